/*
 * What operators ask of pools, jobs and the cluster as a whole: start, stop, remove, cancel, pause.
 */
#include "manager/core/internal.h"

#include <string.h>

/* ---- removal ---- */
bool core_removing(const struct core_pool *pool)
{
    return pool->job != NULL && pool->job->row.kind == PH_JOB_REMOVE;
}

static void destroy_key(const struct core_job *job, char *key, size_t size)
{
    ph_text_format(key, size, "destroy.%lld", (long long)job->row.id);
}

bool core_destroying(const struct ph_core *core, const struct core_pool *pool)
{
    char key[PH_NAME_BYTES_MAX + 1];

    if (!core_removing(pool))
        return false;
    destroy_key(pool->job, key, sizeof key);
    return core_meta_get(core, key)[0] != '\0';
}

/* Whether every node that had something of it has said that nothing is left. */
static bool all_dropped(struct ph_core *core, struct core_job *job, const struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;
        bool trace = peer->stored || peer->chosen || strcmp(pool->row.home, peer->row.node) == 0 ||
                     (peer->reported && peer->report.state != PH_LOCAL_NONE);

        if (!trace || (peer->reported && peer->report.state == PH_LOCAL_NONE &&
                          core_order_echoed(core, peer) && peer->order_kind == PH_ORDER_DROP))
            continue;
        core_job_wait(core, job, "%s, which is %s, to delete its data", peer->row.node,
            core_node_state_word(peer->node));
        return false;
    }
    return true;
}

static void step_remove(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    char name[PH_NAME_BYTES_MAX + 1], key[PH_NAME_BYTES_MAX + 1];
    bool destroy = core_destroying(core, pool);

    core_job_set_state(core, job, PH_JOB_RUNNING);
    if (pool->row.node[0] != '\0') {
        core_job_phase(core, job, PH_PHASE_STOPPING);
        return;
    }
    if (destroy && !all_dropped(core, job, pool))
        return;
    memcpy(name, pool->row.name, sizeof name);
    destroy_key(job, key, sizeof key);
    core_job_end(core, job, PH_JOB_SUCCEEDED,
        destroy ? "%s was stopped, its data deleted, and it is forgotten"
                : "%s was stopped and is forgotten; its data stays where it was",
        name);
    core_meta_forget(core, key);
    core_pool_forget(core, pool);
}

bool core_may_remove(const struct core_pool *pool, struct ph_error *error)
{
    const struct core_job *job = pool->job;

    if (job != NULL && job->row.kind == PH_JOB_REMOVE)
        ph_error_set(error, PH_STATE_FORBIDS, "pool", "job %lld is removing %s already",
            (long long)job->row.id, pool->row.name);
    else if (job != NULL && job->row.kind == PH_JOB_MOVE && job->row.phase != PH_PHASE_PLANNED &&
             job->row.phase != PH_PHASE_COPYING)
        ph_error_set(error, PH_STATE_FORBIDS, "pool",
            "job %lld (move) is at work on %s and past its point of return; wait for its end",
            (long long)job->row.id, pool->row.name);
    else
        return true;
    return false;
}

struct core_job *core_remove_begin(struct ph_core *core, const struct ph_event_in *in,
    struct core_pool *pool, bool destroy_data, struct ph_error *error)
{
    char key[PH_NAME_BYTES_MAX + 1];
    struct core_job *job = pool->job;

    if (!core_may_remove(pool, error))
        return NULL;
    if (job != NULL)
        core_job_end(core, job, PH_JOB_CANCELLED, "the pool is removed");
    job = core_job_new(core, PH_JOB_REMOVE, pool, core_find_node(core, pool->row.node), in->sender);
    if (job == NULL)
        return NULL;
    destroy_key(job, key, sizeof key);
    if (destroy_data)
        core_meta_set(core, key, pool->row.name);
    core_pool_dirty(core, pool);
    return job;
}

int ph_request_pool_remove(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_pool_remove *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->pool);
    struct ph_error error = {0};
    struct core_job *job;

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "pool", "there is no pool %s", asked->pool);
    if (asked->dry_run) {
        core_answer_done(core, in, 0, "%s would be stopped and forgotten; its data %s", asked->pool,
            asked->destroy_data ? "would be deleted on every node" : "would stay");
        return 0;
    }
    job = core_remove_begin(core, in, pool, asked->destroy_data, &error);
    if (job == NULL)
        return core->no_memory
                   ? 0
                   : core_problem(core, in, error.code, error.field, "%s", error.message);
    core_command(core, in, &(struct core_about){.pool = pool, .job = job}, "remove %s%s",
        asked->pool, asked->destroy_data ? " and delete its data" : "");
    core_answer_done(core, in, job->row.id, "%s is stopped and forgotten; its data %s", asked->pool,
        asked->destroy_data ? "is deleted on every node" : "stays");
    return 0;
}

/* ---- start and stop ---- */
static void step_start(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    if (pool->row.desired == PH_DESIRED_INACTIVE) {
        core_job_end(core, job, PH_JOB_CANCELLED, "the pool is to be inactive");
    } else if (pool->row.node[0] != '\0' && core_confirmed(pool)) {
        core_job_end(core, job, PH_JOB_SUCCEEDED, "active on %s", pool->row.node);
    } else if (pool->row.state == PH_POOL_FAILED) {
        core_job_end(core, job, PH_JOB_FAILED, "%s",
            pool->row.reason == NULL ? "no candidate is left" : pool->row.reason);
    } else if (pool->row.node[0] != '\0') {
        core_job_phase(core, job, PH_PHASE_ACTIVATING);
        core_job_set_state(core, job, PH_JOB_RUNNING);
    } else if (job->row.phase == PH_PHASE_ACTIVATING) {
        core_job_phase(core, job, PH_PHASE_PLANNED);
        core_job_set_state(core, job, PH_JOB_QUEUED);
    }
}

static void step_stop(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    if (pool->row.desired == PH_DESIRED_ACTIVE) {
        core_job_end(core, job, PH_JOB_CANCELLED, "the pool is wanted again");
    } else if (pool->row.node[0] == '\0') {
        core_job_end(core, job, PH_JOB_SUCCEEDED, "stopped");
    } else {
        core_job_phase(core, job, PH_PHASE_STOPPING);
        core_job_set_state(core, job, PH_JOB_RUNNING);
    }
}

void core_operate_step(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);

    if (job->row.kind == PH_JOB_TAKEOVER)
        core_takeover_step(core, job, pool);
    else if (job->row.kind == PH_JOB_START)
        step_start(core, job, pool);
    else if (job->row.kind == PH_JOB_STOP)
        step_stop(core, job, pool);
    else
        step_remove(core, job, pool);
}

static int busy(struct ph_core *core, const struct ph_event_in *in, const struct core_pool *pool)
{
    core_problem(core, in, PH_STATE_FORBIDS, "pool",
        "job %lld (%s, %s) is at work on %s; wait for its end, or cancel it",
        (long long)pool->job->row.id, core_job_kind_word(pool->job),
        ph_enum_word(&ph_enum_job_phase, (int)pool->job->row.phase), pool->row.name);
    return 0;
}

int ph_request_pool_start(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_pool_start *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->pool);
    struct core_job *job;

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "pool", "there is no pool %s", asked->pool);
    job = pool->job;
    /* A planned move waits for the pool to run somewhere: it is no reason not to start it. */
    if (job != NULL && (job->row.kind == PH_JOB_REMOVE ||
                           (job->row.kind == PH_JOB_MOVE &&
                               (job->row.phase != PH_PHASE_PLANNED || pool->row.node[0] != '\0'))))
        return busy(core, in, pool);
    core_command(core, in, &(struct core_about){.pool = pool}, "start %s%s%s", asked->pool,
        asked->accept_data_loss ? ", accepting loss of data" : "", asked->retry ? ", again" : "");
    if (job != NULL && job->row.kind == PH_JOB_STOP) {
        core_job_end(core, job, PH_JOB_CANCELLED, "the pool is wanted again");
        job = NULL;
    }
    pool->row.desired = PH_DESIRED_ACTIVE;
    pool->data_loss_accepted |= asked->accept_data_loss;
    pool->attempts = 0;
    pool->failed_epoch = 0;
    if (pool->retry_at_ms != 0)
        pool->retry_at_ms = core->now_ms;
    ph_texts_fini(&pool->failed_on);
    if (pool->row.state == PH_POOL_FAILED)
        core_pool_state(core, pool, PH_POOL_UNASSIGNED, "to be started again");
    core_pool_touch(core, pool);
    if (job == NULL && !(pool->row.state == PH_POOL_ACTIVE && core_confirmed(pool)))
        job = core_job_new(core, PH_JOB_START, pool, NULL, in->sender);
    if (job == NULL && !core->no_memory)
        core_answer_done(core, in, 0, "%s is active on %s already", asked->pool, pool->row.node);
    else if (job != NULL)
        core_answer_done(core, in, job->row.id, "%s is started", asked->pool);
    return 0;
}

int ph_request_pool_stop(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->name);
    struct core_job *job;

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no pool %s", asked->name);
    job = pool->job;
    if (job != NULL && (job->row.kind == PH_JOB_REMOVE ||
                           (job->row.kind == PH_JOB_MOVE && job->row.phase != PH_PHASE_PLANNED &&
                               job->row.phase != PH_PHASE_COPYING)))
        return busy(core, in, pool);
    core_command(core, in, &(struct core_about){.pool = pool}, "stop %s", asked->name);
    if (job != NULL && job->row.kind != PH_JOB_STOP) {
        core_job_end(core, job, PH_JOB_CANCELLED, "%s stopped the pool", in->sender);
        job = NULL;
    }
    pool->row.desired = PH_DESIRED_INACTIVE;
    core_pool_touch(core, pool);
    if (job == NULL && pool->row.node[0] != '\0')
        job =
            core_job_new(core, PH_JOB_STOP, pool, core_find_node(core, pool->row.node), in->sender);
    core_answer_done(core, in, job == NULL ? 0 : job->row.id,
        job == NULL ? "%s is not running" : "%s is stopped", asked->name);
    return 0;
}

/* ---- jobs ---- */
static int cancel_pool_job(struct ph_core *core, const struct ph_event_in *in, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    long long id = (long long)job->row.id;

    if (pool == NULL || job->row.kind == PH_JOB_TAKEOVER)
        return core_problem(core, in, PH_STATE_FORBIDS, "id",
            "a take-over cannot be cancelled; `poolherd pool stop %s` makes the pool inactive",
            job->row.pool);
    if (job->row.kind == PH_JOB_REMOVE && pool->row.node[0] == '\0')
        return core_problem(core, in, PH_STATE_FORBIDS, "id", "data of %s is being deleted already",
            pool->row.name);
    if (job->row.kind == PH_JOB_MOVE &&
        (job->row.phase == PH_PHASE_ACTIVATING || job->row.phase == PH_PHASE_RETURNING))
        return core_problem(core, in, PH_STATE_FORBIDS, "id",
            "job %lld is %s and cannot be cancelled any more; move the pool back when it has ended",
            id, ph_enum_word(&ph_enum_job_phase, (int)job->row.phase));
    if (job->row.kind == PH_JOB_VM && job->row.epoch > 0)
        return core_problem(core, in, PH_STATE_FORBIDS, "id",
            "%s has been told to do it; what has begun is not stopped half-way", job->row.node);
    core_command(core, in, &(struct core_about){.pool = pool, .job = job}, "cancel job %lld", id);
    if (job->row.kind == PH_JOB_MOVE) {
        job->row.cancelling = true;
        core_job_touch(core, job);
    } else {
        if (job->row.kind == PH_JOB_START)
            pool->row.desired = PH_DESIRED_INACTIVE;
        else if (job->row.kind == PH_JOB_STOP)
            pool->row.desired = PH_DESIRED_ACTIVE;
        else if (job->row.kind == PH_JOB_VERIFY)
            core_verify_stop(pool);
        core_job_end(core, job, PH_JOB_CANCELLED, "cancelled by %s", in->sender);
        core_pool_touch(core, pool);
    }
    core_pool_dirty(core, pool);
    core_answer_done(core, in, job->row.id, "job %lld is cancelled", id);
    return 0;
}

int ph_request_job_cancel(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_numbered *asked = in->body;
    struct core_job *job = core_find_job(core, asked->id);

    if (job == NULL)
        return core_problem(
            core, in, PH_NOT_FOUND, "id", "there is no unfinished job %lld", (long long)asked->id);
    if (core_job_ended(job))
        return core_problem(core, in, PH_STATE_FORBIDS, "id", "job %lld has %s already",
            (long long)asked->id, ph_enum_word(&ph_enum_job_state, (int)job->row.state));
    switch (job->row.kind) {
    case PH_JOB_FENCE:
        return core_fence_cancel(core, in, job);
    case PH_JOB_DRAIN:
    case PH_JOB_RETIRE:
        core_command(
            core, in, &(struct core_about){.job = job}, "cancel job %lld", (long long)asked->id);
        job->row.cancelling = true;
        core_job_touch(core, job);
        core_drain_dirty(core, job);
        core_answer_done(core, in, job->row.id,
            "job %lld is cancelled: what has not begun to stop stays, the rest is finished",
            (long long)asked->id);
        return 0;
    case PH_JOB_MOVE:
    case PH_JOB_TAKEOVER:
    case PH_JOB_START:
    case PH_JOB_STOP:
    case PH_JOB_REMOVE:
    case PH_JOB_VERIFY:
    case PH_JOB_VM:
        break;
    }
    return cancel_pool_job(core, in, job);
}

/* ---- the cluster ---- */
int ph_request_pause(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_about about = {0};

    core->paused = true;
    core_meta_set(core, "paused", "yes");
    core_command(core, in, &about, "pause automatic action");
    core_answer_done(core, in, 0,
        "nothing is taken over, placed, tried again, copied elsewhere or moved back by itself "
        "until "
        "`poolherd cluster resume`; leases go on");
    return 0;
}

int ph_request_unpause(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_about about = {0};

    core_meta_set(core, "paused", "");
    core_command(core, in, &about, "resume automatic action");
    core_brake_release(core);
    core_answer_done(core, in, 0, "automatic action goes on");
    return 0;
}
