/*
 * Jobs as people see them. Pure reading.
 */
#include "manager/core/request.h"

void core_view_job(struct ph_core *core, const struct core_job *job, struct ph_job *view)
{
    if (ph_record_copy(&ph_record_job, view, &job->row) != 0) {
        core->no_memory = true;
        return;
    }
    if (view->state == PH_JOB_QUEUED && core_text(view->waiting_on)[0] == '\0')
        core_set_text(core, &view->waiting_on, "its turn");
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
