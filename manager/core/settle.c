/*
 * Settling: every pool about which something changed in this step is looked at until nothing follows
 * any more; then the orders that follow are computed, once. Pools go in order of priority, then name,
 * so that the important ones get the places.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

/* Bounds one step, in nodes that placement looks at (some 100 ns each): beats must not wait. What is
 * left over is done by the next tick, which is due at once. */
#define WORK_MAX 400000u
#define ATTEND_AGAIN_MS 10

static bool push(struct ph_core *core, struct core_pool ***list, size_t *count, size_t *room,
    struct core_pool *pool)
{
    if (*count == *room) {
        size_t more = *room == 0 ? 64 : *room * 2;
        struct core_pool **items = realloc(*list, more * sizeof(struct core_pool *));

        if (items == NULL) {
            core->no_memory = true;
            return false;
        }
        *list = items;
        *room = more;
    }
    (*list)[(*count)++] = pool;
    return true;
}

void core_pool_dirty(struct ph_core *core, struct core_pool *pool)
{
    if (!pool->dirty)
        pool->dirty = push(core, &core->dirty, &core->dirty_count, &core->dirty_room, pool);
    if (!pool->orders_due)
        pool->orders_due = push(core, &core->orders, &core->order_count, &core->order_room, pool);
}

static int by_priority(const void *a, const void *b)
{
    const struct core_pool *x = *(struct core_pool *const *)a;
    const struct core_pool *y = *(struct core_pool *const *)b;

    if (x == NULL || y == NULL)
        return (x == NULL) - (y == NULL);
    if (x->row.priority != y->row.priority)
        return x->row.priority > y->row.priority ? -1 : 1;
    return strcmp(x->row.name, y->row.name);
}

static int by_name(const void *a, const void *b)
{
    const struct core_pool *x = *(struct core_pool *const *)a;
    const struct core_pool *y = *(struct core_pool *const *)b;

    if (x == NULL || y == NULL)
        return (x == NULL) - (y == NULL);
    return strcmp(x->row.name, y->row.name);
}

/* ---- pools that want something of the cluster ---- */
void core_want(struct ph_core *core, struct core_pool *pool)
{
    pool->wanting = true;
    /* Once: a pool that is looked at in a pass and goes on waiting must not prolong the pass. */
    if (!pool->wanting_listed)
        pool->wanting_listed =
            push(core, &core->wanting, &core->wanting_count, &core->wanting_room, pool);
}

static void list_forget(struct core_pool **list, size_t count, const struct core_pool *pool)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == pool)
            list[i] = NULL;
    }
}

void core_pool_unlist(struct ph_core *core, const struct core_pool *pool)
{
    list_forget(core->wanting, core->wanting_count, pool);
    list_forget(core->dirty, core->dirty_count, pool);
    list_forget(core->batch, core->batch_count, pool);
    list_forget(core->orders, core->order_count, pool);
}

/* Drops those that got what they wanted. */
static void wanting_sort(struct ph_core *core)
{
    size_t kept = 0;

    qsort(core->wanting, core->wanting_count, sizeof *core->wanting, by_priority);
    for (size_t i = 0; i < core->wanting_count; i++) {
        struct core_pool *pool = core->wanting[i];

        if (pool != NULL && pool->wanting)
            core->wanting[kept++] = pool;
        else if (pool != NULL)
            pool->wanting_listed = false;
    }
    core->wanting_count = kept;
    core->wanting_next = 0;
}

void core_attend(struct ph_core *core)
{
    size_t budget = WORK_MAX / (core->nodes.count + 16) + 1;

    if (core->attention) {
        core->attention = false;
        for (size_t i = 0; i < core->drain_count; i++)
            core_drain_again(core, core->drains[i]);
        if (core->wanting_count > 0)
            wanting_sort(core);
    }
    while (budget > 0 && core->wanting_next < core->wanting_count) {
        struct core_pool *pool = core->wanting[core->wanting_next++];

        if (pool != NULL && pool->wanting) {
            pool->holders_due |= pool->copies_short;
            core_pool_dirty(core, pool);
            budget--;
        }
    }
}

/* ---- one pool ---- */
static bool reported_now(const struct core_pool *pool, const struct core_peer *peer)
{
    return peer->reported && peer->report.epoch == pool->row.epoch;
}

static const char *step_of(const struct core_peer *peer)
{
    return peer->report.step == NULL || peer->report.step[0] == '\0' ? "" : peer->report.step;
}

static void job_waits(struct ph_core *core, struct core_job *job, const struct core_pool *pool,
    const struct core_peer *peer, const char *what)
{
    const char *step = reported_now(pool, peer) ? step_of(peer) : "";

    if (step[0] == '\0')
        core_job_wait(core, job, "%s to %s it", pool->row.node, what);
    else
        core_job_step(core, job, "%s to %s it: %s", pool->row.node, what, step);
}

static void deactivating(struct ph_core *core, struct core_pool *pool, const struct core_peer *peer)
{
    const char *why = peer->report.reason == NULL ? "" : peer->report.reason;

    if (reported_now(pool, peer) && peer->report.state == PH_LOCAL_STUCK) {
        core_pool_state(core, pool, PH_POOL_DEACTIVATING, "stuck on %s: %s", pool->row.node, why);
        if (pool->job != NULL)
            core_job_wait(core, pool->job, "%s: stuck: %s", pool->row.node, why);
        return;
    }
    core_pool_state(core, pool, PH_POOL_DEACTIVATING,
        pool->release_wanted                       ? "%s could not activate it and releases it"
        : pool->row.desired == PH_DESIRED_INACTIVE ? "%s stops it, as declared"
                                                   : "%s stops it for its move or removal",
        pool->row.node);
    if (pool->job != NULL && pool->job->row.kind != PH_JOB_MOVE)
        job_waits(core, pool->job, pool, peer, "stop");
}

/* An operator's pause holds the next attempt too. */
static bool retry_waits(struct ph_core *core, struct core_pool *pool)
{
    static const char said[] = "automatic action is paused, so activation is not tried again";
    const char *why = pool->row.reason == NULL ? "" : pool->row.reason;

    if (!core_pause_holds(core, pool))
        return false;
    if (strncmp(why, said, sizeof said - 1) != 0)
        core_pool_reason(core, pool, "%s before `poolherd cluster resume`: %s", said, why);
    core_want(core, pool); /* looked at again when the pause ends */
    return true;
}

/* The state of a pool that has a node. */
static void refresh(struct ph_core *core, struct core_pool *pool)
{
    struct core_node *node = core_find_node(core, pool->row.node);
    struct core_peer *peer = core_find_peer(pool, pool->row.node);
    bool wanted = core_deactivation_wanted(pool);

    if (node->row.state != PH_NODE_ONLINE && core_node_via(core, node) == NULL) {
        const char *pause = core_pause_reason(core);

        if (pause == NULL && node->held_said)
            core_pool_state(core, pool, PH_POOL_WAITING,
                "its node %s is %s and not taken over by time alone: %s", node->row.name,
                core_node_state_word(node), core_text(core_node_held(core, node)));
        else
            core_pool_state(core, pool, PH_POOL_WAITING, "its node %s is %s%s%s", node->row.name,
                core_node_state_word(node),
                pause == NULL ? "" : "; take-over is paused: ", pause == NULL ? "" : pause);
        return;
    }
    if (!wanted && pool->row.state == PH_POOL_DEACTIVATING) {
        core_assign(core, pool, node, "it is wanted again"); /* whatever of the stop was done */
        return;
    }
    if (!wanted && pool->retry_at_ms != 0 && core->now_ms >= pool->retry_at_ms &&
        !retry_waits(core, pool)) {
        core_assign(core, pool, node, "activation is tried again");
        return;
    }
    if (wanted) {
        deactivating(core, pool, peer);
        return;
    }
    if (core_confirmed(pool) &&
        (!peer->reported || !reported_now(pool, peer) || peer->report.state == PH_LOCAL_ACTIVE)) {
        core_pool_state(core, pool, PH_POOL_ACTIVE, "%s runs it", pool->row.node);
        return;
    }
    if (pool->row.state != PH_POOL_ACTIVATING)
        core_pool_state(core, pool, PH_POOL_ACTIVATING, "%s activates it", node->row.name);
    if (pool->job != NULL && pool->job->row.kind != PH_JOB_MOVE)
        job_waits(core, pool->job, pool, peer, "activate");
}

static bool moving(const struct core_pool *pool)
{
    return pool->job != NULL && pool->job->row.kind == PH_JOB_MOVE &&
           pool->job->row.phase == PH_PHASE_STOPPING;
}

/* Returns whether the pool is still there. */
static bool job_step(struct ph_core *core, struct core_pool *pool)
{
    struct core_job *job = pool->job;
    char name[PH_NAME_BYTES_MAX + 1];

    if (job == NULL)
        return true;
    memcpy(name, pool->row.name, sizeof name);
    switch (job->row.kind) {
    case PH_JOB_MOVE:
        core_move_step(core, job);
        break;
    case PH_JOB_TAKEOVER:
    case PH_JOB_START:
    case PH_JOB_STOP:
    case PH_JOB_REMOVE:
        core_operate_step(core, job);
        break;
    case PH_JOB_DRAIN:
    case PH_JOB_FENCE:
    case PH_JOB_RETIRE:
    case PH_JOB_VERIFY:
    case PH_JOB_VM:
        break;
    }
    return core_find_pool(core, name) == pool;
}

void core_pool_settle(struct ph_core *core, struct core_pool *pool)
{
    struct core_peer *owner;

    pool->wanting = false;
    if (!job_step(core, pool))
        return;
    owner = core_find_peer(pool, pool->row.node);
    if (owner != NULL && !moving(pool) && core_deactivation_wanted(pool) &&
        core_released(core, pool))
        core_unassign(core, pool, PH_PROOF_RELEASED, pool->failed_epoch != pool->row.epoch,
            pool->release_wanted ? "released after its activation had failed" : "released");
    if (pool->row.node[0] == '\0')
        core_schedule(core, pool);
    if (pool->row.node[0] != '\0') {
        refresh(core, pool);
        core_drain_adopt(core, pool);
        core_failback(core, pool);
    }
    if (pool->holders_due)
        core_holders(core, pool);
    else if (pool->copies_short)
        core_want(core, pool); /* it still lacks a copy, whatever it was looked at for */
    core_copies_watch(core, pool);
    core_operations_settle(core, pool);
    core_account(core, pool);
}

void core_pool_due(struct ph_core *core, struct core_pool *pool)
{
    core_pool_dirty(core, pool);
}

/* ---- everything ---- */
/* What cannot be done in this step goes back to where it was. */
static void put_back(struct ph_core *core, struct core_pool **batch, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct core_pool *pool = batch[i];

        if (pool == NULL || !pool->dirty)
            continue;
        pool->dirty = push(core, &core->dirty, &core->dirty_count, &core->dirty_room, pool);
    }
}

static void settle_dirty(struct ph_core *core)
{
    while (core->dirty_count > 0 && core->work < WORK_MAX && !core->no_memory) {
        size_t count = core->dirty_count, done;
        struct core_pool **batch = core->dirty;

        core->dirty = NULL;
        core->dirty_count = core->dirty_room = 0;
        qsort(batch, count, sizeof *batch, by_priority);
        core->batch = batch;
        core->batch_count = count;
        for (done = 0; done < count && core->work < WORK_MAX && !core->no_memory; done++) {
            if (batch[done] == NULL)
                continue;
            batch[done]->dirty = false;
            core_pool_settle(core, batch[done]);
        }
        core->batch = NULL;
        core->batch_count = 0;
        put_back(core, batch + done, count - done);
        free(batch);
    }
}

static bool settle_drains(struct ph_core *core)
{
    bool any = false;

    for (size_t i = 0; i < core->drain_count; i++) {
        struct core_job *drain = core->drains[i];

        if (!drain->dirty)
            continue;
        drain->dirty = false;
        any = true;
        core_drain_step(core, drain);
        if (i < core->drain_count && core->drains[i] != drain)
            i--; /* it ended and is no longer listed */
    }
    return any;
}

static bool drains_dirty(const struct ph_core *core)
{
    for (size_t i = 0; i < core->drain_count; i++) {
        if (core->drains[i]->dirty)
            return true;
    }
    return false;
}

static void settle_orders(struct ph_core *core)
{
    if (core->order_count > 1)
        qsort(core->orders, core->order_count, sizeof *core->orders, by_name);
    for (size_t i = 0; i < core->order_count; i++) {
        struct core_pool *pool = core->orders[i];

        if (pool == NULL)
            continue;
        pool->orders_due = false;
        core_orders(core, pool);
    }
    core->order_count = 0;
}

void core_settle(struct ph_core *core)
{
    bool attended = false;

    if (core->outdated || !core->ready)
        return; /* what is dirty stays so: nothing is decided from an old inventory */
    core->work = 0;
    for (;;) {
        settle_dirty(core);
        if (core->no_memory)
            return;
        if (core->work >= WORK_MAX)
            break;
        if (settle_drains(core) || core->dirty_count > 0)
            continue;
        if (attended || (!core->attention && core->wanting_next >= core->wanting_count))
            break; /* a pass over those that want something begins at most once in a step */
        attended = true;
        core_attend(core);
    }
    if (core->dirty_count > 0 || core->wanting_next < core->wanting_count || drains_dirty(core))
        core_timer_set(core, &core->look, core->now_ms);
    else if (core->attention)
        core_timer_set(core, &core->look, core->now_ms + ATTEND_AGAIN_MS);
    settle_orders(core);
}
