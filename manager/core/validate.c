/*
 * Whether the picture is sound: the invariants of core.h, and that what is kept twice agrees. For
 * tests and the simulator; everything is counted again, so it is slow.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

static bool wrong(struct ph_error *error, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static bool wrong(struct ph_error *error, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    ph_error_set(error, PH_FAILED, NULL, "%s", text);
    return false;
}

static bool node_sound(const struct core_node *node, struct ph_error *error)
{
    const struct ph_node *row = &node->row;
    bool alive = row->state == PH_NODE_ONLINE || row->state == PH_NODE_SUSPECT;

    if (row->granting && row->generation < 1)
        return wrong(error, "node %s is granted without a generation", row->name);
    if (alive && !row->granting)
        return wrong(error, "node %s is online or suspect and not granted", row->name);
    if ((row->state == PH_NODE_LOST || row->state == PH_NODE_FENCED) && row->granting)
        return wrong(error, "node %s is lost or fenced and granted", row->name);
    if (node->drain != NULL &&
        (core_job_ended(node->drain) || strcmp(node->drain->row.node, row->name) != 0))
        return wrong(error, "node %s is drained by a job that is not its own", row->name);
    if (row->admin == PH_ADMIN_DRAINING && node->drain == NULL)
        return wrong(error, "node %s is draining without a job", row->name);
    if (node->fence != NULL && core_job_ended(node->fence))
        return wrong(error, "node %s is fenced by a job that has ended", row->name);
    return true;
}

static bool assigned_state(enum ph_pool_state state)
{
    return state == PH_POOL_ACTIVATING || state == PH_POOL_ACTIVE ||
           state == PH_POOL_DEACTIVATING || state == PH_POOL_WAITING;
}

static bool pool_sound(
    const struct ph_core *core, const struct core_pool *pool, struct ph_error *error)
{
    const struct ph_pool *row = &pool->row;
    const struct core_node *node = core_find_node(core, row->node);

    if (row->node[0] != '\0') {
        if (node == NULL)
            return wrong(error, "pool %s is on node %s, which is not there", row->name, row->node);
        if (!assigned_state(row->state))
            return wrong(error, "pool %s is on %s and %s", row->name, row->node,
                ph_enum_word(&ph_enum_pool_state, (int)row->state));
        if (!node->row.granting)
            return wrong(error, "pool %s is on %s, which gets no grants", row->name, row->node);
        if (row->epoch < 1)
            return wrong(error, "pool %s is on %s without an epoch", row->name, row->node);
        if (core_find_peer(pool, row->node) == NULL)
            return wrong(error, "pool %s has no peer on its node", row->name);
    } else if (assigned_state(row->state)) {
        return wrong(error, "pool %s is on no node and %s", row->name,
            ph_enum_word(&ph_enum_pool_state, (int)row->state));
    }
    if (row->state == PH_POOL_ACTIVE && !core_confirmed(pool))
        return wrong(error, "pool %s is active without a confirmation", row->name);
    if (row->home[0] != '\0' && core_find_node(core, row->home) == NULL)
        return wrong(error, "pool %s has its home on %s, which is not there", row->name, row->home);
    if (pool->job != NULL &&
        (core_job_ended(pool->job) || strcmp(pool->job->row.pool, row->name) != 0))
        return wrong(error, "pool %s has a job that is not its own", row->name);
    if (pool->dirty && core->ready && !core->outdated &&
        ph_core_next_deadline_ms(core) > core->now_ms)
        return wrong(error, "pool %s is not settled, and no tick is due", row->name);
    return true;
}

/* At most one node is ordered to run the pool, and it is the pool's node. */
static bool orders_sound(const struct core_pool *pool, struct ph_error *error)
{
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (peer->ordered && peer->order_kind == PH_ORDER_ACTIVATE &&
            (strcmp(peer->row.node, pool->row.node) != 0 || peer->order_epoch != pool->row.epoch))
            return wrong(error, "pool %s: %s is ordered to run epoch %lld; it is on \"%s\" at %lld",
                pool->row.name, peer->row.node, (long long)peer->order_epoch, pool->row.node,
                (long long)pool->row.epoch);
        if (peer->stored && peer->row.epoch > pool->row.epoch)
            return wrong(error, "pool %s: the copy on %s is of epoch %lld, the pool of %lld",
                pool->row.name, peer->row.node, (long long)peer->row.epoch,
                (long long)pool->row.epoch);
        if (peer->held && (pool->job == NULL || pool->job->row.kind != PH_JOB_MOVE ||
                              strcmp(pool->job->row.target, peer->row.node) != 0))
            return wrong(error, "pool %s: its place on %s is held by no move", pool->row.name,
                peer->row.node);
        if (peer != ph_map_get(&peer->node->peers, pool->row.name))
            return wrong(error, "pool %s: %s does not know it", pool->row.name, peer->row.node);
    }
    return true;
}

static bool sums_sound(const struct ph_core *core, size_t index, struct ph_error *error)
{
    const struct core_node *node = core->nodes.items[index].value;
    const struct ph_place_node *place = &core->picture[index];
    int64_t cpu = 0, memory_mib = 0, disk_mib = 0, pools = 0, copies = 0;

    if (place->node != &node->row || place->available != core_node_available(node))
        return wrong(error, "node %s: the picture shows another", node->row.name);
    for (size_t i = 0; i < node->peers.count; i++) {
        const struct core_peer *peer = node->peers.items[i].value;
        const struct ph_pool *row = &peer->pool->row;
        bool runs = strcmp(row->node, node->row.name) == 0 || peer->held;
        bool keeps = peer->stored || peer->chosen || strcmp(row->home, node->row.name) == 0;

        cpu += runs ? row->cpu : 0;
        memory_mib += runs ? row->memory_mib : 0;
        disk_mib += runs || keeps ? row->disk_mib : 0;
        pools += runs;
        copies += keeps && !runs;
    }
    if (cpu != place->cpu_used || memory_mib != place->memory_used_mib ||
        disk_mib != place->disk_used_mib || pools != place->pools || copies != place->copies)
        return wrong(error, "node %s: its sums are wrong (pools %lld, counted %lld)",
            node->row.name, (long long)place->pools, (long long)pools);
    return true;
}

static bool counts_sound(const struct ph_core *core, struct ph_error *error)
{
    size_t online = 0, suspect = 0, ended = 0;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;
        size_t takeovers = 0;

        online += node->row.state == PH_NODE_ONLINE;
        suspect += node->row.state == PH_NODE_SUSPECT;
        for (size_t j = 0; j < core->job_count; j++)
            takeovers +=
                core->jobs[j]->slot && strcmp(core->jobs[j]->row.target, node->row.name) == 0;
        if (takeovers != node->takeovers)
            return wrong(error, "node %s: %zu take-overs, counted %zu", node->row.name,
                node->takeovers, takeovers);
    }
    if (online != core->online_count || suspect != core->suspect_count)
        return wrong(error, "online %zu, counted %zu; suspect %zu, counted %zu", core->online_count,
            online, core->suspect_count, suspect);
    for (size_t i = 0; i < core->job_count; i++) {
        if (i > 0 && core->jobs[i - 1]->row.id >= core->jobs[i]->row.id)
            return wrong(error, "jobs are out of order");
        ended += core_job_ended(core->jobs[i]);
    }
    if (ended != core->job_ended)
        return wrong(error, "%zu jobs have ended, counted %zu", core->job_ended, ended);
    return true;
}

static bool job_sound(
    const struct ph_core *core, const struct core_job *job, struct ph_error *error)
{
    const struct core_pool *pool = core_find_pool(core, job->row.pool);
    size_t child_ended = 0, running = 0;

    for (size_t i = 0; i < job->child_count && !core_job_ended(job); i++) {
        child_ended += core_job_ended(job->children[i]);
        running += job->children[i]->row.state == PH_JOB_RUNNING;
    }
    if (!core_job_ended(job) && (child_ended != job->child_ended || running != job->child_running))
        return wrong(error, "job %lld miscounts its children", (long long)job->row.id);
    if (core_job_ended(job)) {
        if (pool != NULL && (pool->job == job || pool->verify == job))
            return wrong(
                error, "pool %s holds on to job %lld", pool->row.name, (long long)job->row.id);
        if (job->row.ended_at == 0 || job->row.phase != PH_PHASE_DONE)
            return wrong(error, "job %lld has not ended well", (long long)job->row.id);
    } else if (job->row.pool[0] != '\0' &&
               (pool == NULL ||
                   (job->row.kind == PH_JOB_VM
                           ? !core_operation_linked(pool, job)
                           : (job->row.kind == PH_JOB_VERIFY ? pool->verify : pool->job) != job))) {
        return wrong(error, "job %lld is at work on pool %s, which does not know it",
            (long long)job->row.id, job->row.pool);
    } else if (job->row.phase == PH_PHASE_DONE) {
        return wrong(error, "job %lld is done and has not ended", (long long)job->row.id);
    }
    return true;
}

static bool timers_sound(const struct core_timers *timers, struct ph_error *error)
{
    for (size_t i = 0; i < timers->count; i++) {
        const struct core_timer *timer = timers->items[i];
        const struct core_timer *parent = timers->items[i == 0 ? 0 : (i - 1) / 2];

        if (timer->slot != i + 1 || parent->at_ms > timer->at_ms)
            return wrong(error, "the heap of timers is out of order");
    }
    return true;
}

bool ph_core_validate(const struct ph_core *core, struct ph_error *error)
{
    if (core->cluster.node_count != core->nodes.count)
        return wrong(
            error, "the picture has %zu nodes of %zu", core->cluster.node_count, core->nodes.count);
    for (size_t i = 0; i < core->nodes.count; i++) {
        if (!node_sound(core->nodes.items[i].value, error) || !sums_sound(core, i, error))
            return false;
    }
    for (size_t i = 0; i < core->pools.count; i++) {
        if (!pool_sound(core, core->pools.items[i].value, error) ||
            !orders_sound(core->pools.items[i].value, error))
            return false;
    }
    for (size_t i = 0; i < core->job_count; i++) {
        if (!job_sound(core, core->jobs[i], error))
            return false;
    }
    return counts_sound(core, error) && timers_sound(&core->timers, error);
}
