/*
 * Jobs: numbered, durable, with a reason and what they wait for. A pool has at most one unfinished
 * job (besides, one that verifies its copies); a drain has one child per pool. Ended jobs are kept in memory for a while, for whoever waits.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

bool core_job_ended(const struct core_job *job)
{
    return job->row.state != PH_JOB_QUEUED && job->row.state != PH_JOB_RUNNING;
}

const char *core_job_kind_word(const struct core_job *job)
{
    return ph_enum_word(&ph_enum_job_kind, (int)job->row.kind);
}

/* Index of the first job with an id that is not lower. */
static size_t job_lower(const struct ph_core *core, int64_t id)
{
    size_t low = 0, high = core->job_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;

        if (core->jobs[middle]->row.id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct core_job *core_find_job(const struct ph_core *core, int64_t id)
{
    size_t index = job_lower(core, id);

    return index < core->job_count && core->jobs[index]->row.id == id ? core->jobs[index] : NULL;
}

static bool list_add(struct ph_core *core, struct core_job ***list, size_t *count, size_t *room,
    struct core_job *job)
{
    if (*count == *room) {
        size_t more = *room == 0 ? 16 : *room * 2;
        struct core_job **items = realloc(*list, more * sizeof(struct core_job *));

        if (items == NULL) {
            core->no_memory = true;
            return false;
        }
        *list = items;
        *room = more;
    }
    (*list)[(*count)++] = job;
    return true;
}

static bool is_drain(const struct core_job *job)
{
    return job->row.kind == PH_JOB_DRAIN || job->row.kind == PH_JOB_RETIRE;
}

/* Hooks an unfinished job to what it is about. The row is complete. */
static void job_link(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    struct core_node *node = core_find_node(core, job->row.node);
    struct core_job *parent = job->row.parent == 0 ? NULL : core_find_job(core, job->row.parent);

    if (is_drain(job)) {
        if (node != NULL)
            node->drain = job;
        list_add(core, &core->drains, &core->drain_count, &core->drain_room, job);
        core_drain_dirty(core, job);
    } else if (job->row.kind == PH_JOB_FENCE) {
        if (node != NULL)
            node->fence = job;
    } else if (pool != NULL && job->row.kind == PH_JOB_VM) {
        core_operation_link(core, pool, job);
    } else if (pool != NULL && job->row.kind == PH_JOB_VERIFY) {
        pool->verify = job;
        core_pool_dirty(core, pool);
    } else if (pool != NULL) {
        pool->job = job;
        core_pool_dirty(core, pool);
    }
    if (parent != NULL && !core_job_ended(parent))
        core_drain_child(core, parent, job);
}

static struct core_job *job_make(struct ph_core *core)
{
    struct core_job *job = calloc(1, sizeof *job);

    if (job == NULL) {
        core->no_memory = true;
        return NULL;
    }
    core_timer_init(core, &job->timer, CORE_TIMER_JOB, job);
    if (!list_add(core, &core->jobs, &core->job_count, &core->job_room, job)) {
        free(job);
        return NULL;
    }
    return job;
}

struct core_job *core_job_new(struct ph_core *core, enum ph_job_kind kind, struct core_pool *pool,
    struct core_node *node, const char *who)
{
    struct core_job *job = job_make(core);

    if (job == NULL)
        return NULL;
    ph_assert(pool == NULL || kind == PH_JOB_VM ||
              (kind == PH_JOB_VERIFY ? pool->verify : pool->job) == NULL);
    job->row.id = ++core->last_job_id;
    job->row.kind = kind;
    job->row.created_at = core->wall_ms;
    job->row.data_loss_ms = kind == PH_JOB_TAKEOVER ? -1 : 0;
    job->row.downtime_ms = kind == PH_JOB_TAKEOVER || kind == PH_JOB_MOVE ? -1 : 0;
    if (pool != NULL)
        memcpy(job->row.pool, pool->row.name, sizeof job->row.pool);
    if (node != NULL)
        memcpy(job->row.node, node->row.name, sizeof job->row.node);
    ph_text_format(job->row.who, sizeof job->row.who, "%s", who == NULL ? "" : who);
    job_link(core, job);
    core_job_touch(core, job);
    return job;
}

int core_job_load(struct ph_core *core, const struct ph_job *row, struct ph_error *error)
{
    struct core_pool *pool = core_find_pool(core, row->pool);
    struct core_job *job;

    if (core->job_count > 0 && core->jobs[core->job_count - 1]->row.id >= row->id)
        return ph_error_set(
            error, PH_BAD_INPUT, "id", "job %lld is not in order", (long long)row->id);
    if (pool != NULL && pool->job != NULL && row->ended_at == 0 && row->kind != PH_JOB_VERIFY &&
        row->kind != PH_JOB_VM)
        return ph_error_set(error, PH_BAD_INPUT, "pool",
            "job %lld and job %lld are both at work on pool %s", (long long)pool->job->row.id,
            (long long)row->id, row->pool);
    job = job_make(core);
    if (job == NULL)
        return 0;
    if (ph_record_copy(&ph_record_job, &job->row, row) != 0)
        core->no_memory = true;
    if (core_job_ended(job))
        core->job_ended++;
    else
        job_link(core, job);
    return 0;
}

void core_job_wait(struct ph_core *core, struct core_job *job, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(text, job->row.waiting_on == NULL ? "" : job->row.waiting_on) == 0)
        return;
    core_set_text(core, &job->row.waiting_on, "%s", text);
    core_job_touch(core, job);
}

void core_job_step(struct ph_core *core, struct core_job *job, const char *format, ...)
{
    struct core_about about = {.job = job, .pool = core_find_pool(core, job->row.pool)};
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(text, job->row.waiting_on == NULL ? "" : job->row.waiting_on) == 0)
        return;
    core_job_wait(core, job, "%s", text);
    if (job->steps_told >= CORE_JOB_STEPS_MAX)
        return;
    job->steps_told++;
    if (about.pool != NULL)
        about.node = core_find_node(core, about.pool->row.node);
    core_event(core, PH_EVENT_INFO, "job-step", &about, "waits for %s", text);
}

void core_job_reason(struct ph_core *core, struct core_job *job, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(text, job->row.reason == NULL ? "" : job->row.reason) == 0)
        return;
    core_set_text(core, &job->row.reason, "%s", text);
    core_job_touch(core, job);
}

void core_job_progress(struct ph_core *core, struct core_job *job, int64_t progress)
{
    if (job->row.progress == progress)
        return;
    job->row.progress = progress;
    core_job_touch(core, job);
}

static struct core_peer *target_peer(const struct ph_core *core, const struct core_job *job)
{
    const struct core_pool *pool = core_find_pool(core, job->row.pool);

    return pool == NULL ? NULL : core_find_peer(pool, job->row.target);
}

/* A move's place is held at its target from the moment it is planned, so that nothing else takes it. */
void core_job_target(struct ph_core *core, struct core_job *job, const char *target)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    struct core_peer *peer = target_peer(core, job);
    struct core_node *node = core_find_node(core, target);
    char name[PH_NAME_BYTES_MAX + 1];

    ph_text_format(name, sizeof name, "%s", target); /* may be the text that is replaced */
    if (peer != NULL)
        peer->held = false;
    if (pool != NULL)
        ph_map_remove(&core->targets, pool->row.name);
    if (strcmp(job->row.target, name) != 0) {
        memcpy(job->row.target, name, sizeof name);
        core_job_touch(core, job);
    }
    if (pool == NULL)
        return;
    if (node != NULL && job->row.kind == PH_JOB_MOVE) {
        peer = core_peer_make(core, pool, node);
        if (peer != NULL)
            peer->held = true;
        if (ph_map_put(&core->targets, pool->row.name, job->row.target) != 0)
            core->no_memory = true;
    }
    core_account(core, pool);
    core_pool_dirty(core, pool);
}

static void job_unlink(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    struct core_node *node = core_find_node(core, job->row.node);
    struct core_job *parent = job->row.parent == 0 ? NULL : core_find_job(core, job->row.parent);
    struct core_peer *peer = target_peer(core, job);
    struct core_node *target = core_find_node(core, job->row.target);

    core_timer_clear(core, &job->timer);
    if (job->slot && target != NULL)
        target->takeovers--;
    job->slot = false;
    if (pool != NULL && pool->job == job) {
        if (peer != NULL)
            peer->held = false;
        ph_map_remove(&core->targets, pool->row.name);
        pool->job = NULL;
        core_account(core, pool);
        core_pool_dirty(core, pool);
    }
    if (pool != NULL && job->row.kind == PH_JOB_VM)
        core_operation_unlink(core, pool, job);
    if (pool != NULL && pool->verify == job)
        pool->verify = NULL;
    if (node != NULL && node->drain == job)
        node->drain = NULL;
    if (node != NULL && node->fence == job)
        node->fence = NULL;
    for (size_t i = 0; i < core->drain_count; i++) {
        if (core->drains[i] == job) {
            core->drain_count--;
            memmove(&core->drains[i], &core->drains[i + 1],
                (core->drain_count - i) * sizeof *core->drains);
        }
    }
    if (parent != NULL && !core_job_ended(parent)) {
        parent->child_ended++;
        core_drain_dirty(core, parent);
    }
}

void core_job_end(
    struct ph_core *core, struct core_job *job, enum ph_job_state state, const char *format, ...)
{
    static const char *const kinds[] = {[PH_JOB_QUEUED] = "",
        [PH_JOB_RUNNING] = "",
        [PH_JOB_SUCCEEDED] = "job-succeeded",
        [PH_JOB_FAILED] = "job-failed",
        [PH_JOB_CANCELLED] = "job-cancelled"};
    struct core_about about = {.job = job,
        .pool = core_find_pool(core, job->row.pool),
        .node = core_find_node(core, job->row.node)};
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    ph_assert(!core_job_ended(job));
    core_job_phase(core, job, PH_PHASE_DONE);
    core_job_set_state(core, job, state);
    core_set_text(core, &job->row.reason, "%s", text);
    core_set_text(core, &job->row.waiting_on, "%s", "");
    if (state == PH_JOB_SUCCEEDED)
        job->row.progress = 100;
    job->row.ended_at = core->wall_ms;
    core_job_touch(core, job);
    core_event(core, state == PH_JOB_FAILED ? PH_EVENT_WARNING : PH_EVENT_INFO, kinds[state],
        &about, "%s %s: %s", core_job_kind_word(job), ph_enum_word(&ph_enum_job_state, (int)state),
        text);
    job_unlink(core, job);
    core->job_ended++;
    core->attention = true;
}

static void job_free(struct ph_core *core, struct core_job *job)
{
    core_timer_clear(core, &job->timer);
    core_untouch(core, job);
    ph_record_fini(&ph_record_job, &job->row);
    free(job->children);
    free(job);
}

/* Forgets ended jobs beyond what is kept, oldest first; in steps, so that the cost is spread thin.
 * Children of an unfinished drain stay with it. */
void core_jobs_trim(struct ph_core *core)
{
    size_t kept = 0, surplus;

    if (core->job_ended < 2 * CORE_JOBS_KEPT)
        return;
    surplus = core->job_ended - CORE_JOBS_KEPT;
    for (size_t i = 0; i < core->job_count && surplus > 0; i++) {
        struct core_job *job = core->jobs[i];
        const struct core_job *parent =
            job->row.parent == 0 ? NULL : core_find_job(core, job->row.parent);

        job->forget = core_job_ended(job) && (parent == NULL || core_job_ended(parent));
        surplus -= job->forget;
    }
    for (size_t i = 0; i < core->job_count; i++) {
        struct core_job *job = core->jobs[i];

        if (!job->forget) {
            core->jobs[kept++] = job;
            continue;
        }
        core->job_ended--;
        job_free(core, job);
    }
    core->job_count = kept;
}

void core_jobs_fini(struct ph_core *core)
{
    for (size_t i = 0; i < core->job_count; i++)
        job_free(core, core->jobs[i]);
    free(core->jobs);
    free(core->drains);
}

void core_job_due(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);
    struct core_job *parent = job->row.parent == 0 ? NULL : core_find_job(core, job->row.parent);

    if (core_job_ended(job))
        return;
    if (parent != NULL)
        core_drain_again(core, parent);
    if (is_drain(job))
        core_drain_dirty(core, job);
    else if (pool != NULL)
        core_pool_dirty(core, pool);
}
