/*
 * Jobs as people see them. Pure reading.
 */
#include "manager/core/request.h"

/* Of a copy that the job waits for: how far it is and how fast it goes. */
static void view_rate(struct ph_core *core, const struct core_job *job, struct ph_job *view)
{
    const struct core_pool *pool = core_find_pool(core, job->row.pool);
    const struct core_peer *peer = NULL;

    if (pool == NULL || core_job_ended(job))
        return;
    if (job->row.kind == PH_JOB_MOVE)
        peer = core_find_peer(pool, job->row.target);
    for (size_t i = 0; job->row.kind == PH_JOB_VERIFY && i < pool->peers.count; i++) {
        const struct core_peer *other = pool->peers.items[i].value;
        if (other->verify > other->verify_done)
            peer = other;
    }
    if (peer == NULL || peer->sent_bytes == 0)
        return;
    char text[PH_TEXT_BYTES_MAX + 1];
    ph_text_format(text, sizeof text, "%s (%lld MiB sent to %s, %lld.%lld MiB/s)",
        core_text(view->waiting_on), (long long)(peer->sent_bytes >> 20), peer->row.node,
        (long long)(peer->kib_s / 1024), (long long)(peer->kib_s % 1024 * 10 / 1024));
    core_set_text(core, &view->waiting_on, "%s", text);
}

void core_view_job(struct ph_core *core, const struct core_job *job, struct ph_job *view)
{
    if (ph_record_copy(&ph_record_job, view, &job->row) != 0) {
        core->no_memory = true;
        return;
    }
    if (view->state == PH_JOB_QUEUED && core_text(view->waiting_on)[0] == '\0')
        core_set_text(core, &view->waiting_on, "its turn");
    view_rate(core, job, view);
    if ((view->state == PH_JOB_FAILED || view->state == PH_JOB_CANCELLED) &&
        core_text(view->reason)[0] == '\0')
        core_set_text(core, &view->reason, "%s", ph_enum_job_state.docs[view->state]);
}

static void add_job(struct ph_core *core, const struct core_job *job, struct ph_job_list *list)
{
    struct ph_job *view = ph_many_add(&ph_record_job, (struct ph_many *)(void *)list);

    if (view == NULL)
        core->no_memory = true;
    else
        core_view_job(core, job, view);
}

int ph_request_job_list(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_jobs_ask *asked = in->body;
    struct ph_jobs_shown shown = {0};

    for (size_t i = 0; i < core->job_count; i++) {
        const struct core_job *job = core->jobs[i];

        if ((core_job_ended(job) && !asked->all) ||
            (asked->parent != 0 && job->row.parent != asked->parent &&
                job->row.id != asked->parent))
            continue;
        add_job(core, job, &shown.jobs);
    }
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_JOBS_SHOWN, &shown);
    return 0;
}

int ph_request_job_show(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_numbered *asked = in->body;
    const struct core_job *job = core_find_job(core, asked->id);
    struct ph_jobs_shown shown = {0};

    if (job == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "id",
            asked->id > 0 && asked->id <= core->last_job_id
                ? "job %lld ended long ago: poolherd query \"SELECT * FROM jobs WHERE id = %lld\""
                : "there is no job %lld (the newest is %lld)",
            (long long)asked->id,
            (long long)(asked->id > 0 && asked->id <= core->last_job_id ? asked->id
                                                                        : core->last_job_id));
    add_job(core, job, &shown.jobs);
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_JOBS_SHOWN, &shown);
    return 0;
}
