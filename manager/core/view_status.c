/*
 * The whole cluster at a glance. Pure reading.
 */
#include "manager/core/request.h"

static void pause_reason(struct ph_core *core, char **out)
{
    if (core->outdated)
        core_set_text(core, out,
            "term %lld was seen and this manager has %lld: it grants nothing until it is restarted "
            "with --advance-term",
            (long long)core->seen_term, (long long)core->term);
    else if (core_pause_reason(core) != NULL)
        core_set_text(core, out, "%s", core_pause_reason(core));
}

int ph_request_status(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_status_shown shown = {0};

    core_copy_text(core, &shown.cluster, core->cluster_id);
    core_copy_text(core, &shown.manager, core->manager_id);
    shown.term = core->term;
    shown.uptime_ms = (int64_t)(core->now_ms - core->started_ms);
    shown.paused = core->outdated || core_pause_reason(core) != NULL;
    pause_reason(core, &shown.reason);
    shown.beat_ms = (int64_t)core->config.timing.beat_ms;
    shown.lease_ms = (int64_t)core->config.timing.lease_ms;
    shown.stop_ms = (int64_t)core->config.timing.stop_ms;
    shown.takeover_ms = (int64_t)core->takeover_ms;
    core_view_nodes(core, &shown.nodes);
    core_view_pools(core, &shown.pools);
    for (size_t i = 0; i < core->job_count; i++) {
        const struct core_job *job = core->jobs[i];

        if (core_job_ended(job))
            continue;
        struct ph_job *view = ph_many_add(&ph_record_job, (struct ph_many *)(void *)&shown.jobs);

        if (view == NULL)
            core->no_memory = true;
        else
            core_view_job(core, job, view);
    }
    core_answer_take(core, in, PH_MSG_STATUS_SHOWN, &shown);
    return 0;
}
