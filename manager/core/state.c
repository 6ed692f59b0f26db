/*
 * The tables of allowed transitions, and the only functions that change a state. A transition that is
 * not in its table is our own bug, so it is asserted; each change leaves an event with its reason.
 */
#include "manager/core/internal.h"

#include <string.h>

#define BIT(value) (1u << (value))

static const unsigned node_states[] = {
    [PH_NODE_JOINING] =
        BIT(PH_NODE_ONLINE) | BIT(PH_NODE_SUSPECT) | BIT(PH_NODE_LOST) | BIT(PH_NODE_FENCED),
    [PH_NODE_ONLINE] = BIT(PH_NODE_SUSPECT) | BIT(PH_NODE_JOINING) | BIT(PH_NODE_FENCED),
    [PH_NODE_SUSPECT] =
        BIT(PH_NODE_ONLINE) | BIT(PH_NODE_JOINING) | BIT(PH_NODE_LOST) | BIT(PH_NODE_FENCED),
    [PH_NODE_LOST] = BIT(PH_NODE_JOINING) | BIT(PH_NODE_FENCED),
    [PH_NODE_FENCED] = BIT(PH_NODE_JOINING),
};

static const unsigned node_admins[] = {
    [PH_ADMIN_ACTIVE] = BIT(PH_ADMIN_DRAINING) | BIT(PH_ADMIN_QUARANTINED) | BIT(PH_ADMIN_RETIRED),
    [PH_ADMIN_DRAINING] = BIT(PH_ADMIN_ACTIVE) | BIT(PH_ADMIN_MAINTENANCE) | BIT(PH_ADMIN_RETIRED),
    [PH_ADMIN_MAINTENANCE] = BIT(PH_ADMIN_ACTIVE) | BIT(PH_ADMIN_DRAINING) | BIT(PH_ADMIN_RETIRED),
    [PH_ADMIN_QUARANTINED] = BIT(PH_ADMIN_ACTIVE) | BIT(PH_ADMIN_DRAINING) | BIT(PH_ADMIN_RETIRED),
    [PH_ADMIN_RETIRED] = BIT(PH_ADMIN_ACTIVE), /* enrolled anew under the old name */
};

static const unsigned pool_states[] = {
    [PH_POOL_UNASSIGNED] = BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_BLOCKED) | BIT(PH_POOL_FAILED),
    [PH_POOL_ACTIVATING] = BIT(PH_POOL_ACTIVE) | BIT(PH_POOL_DEACTIVATING) | BIT(PH_POOL_WAITING) |
                           BIT(PH_POOL_UNASSIGNED),
    [PH_POOL_ACTIVE] = BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_DEACTIVATING) | BIT(PH_POOL_WAITING) |
                       BIT(PH_POOL_UNASSIGNED),
    [PH_POOL_DEACTIVATING] = BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_ACTIVE) | BIT(PH_POOL_WAITING) |
                             BIT(PH_POOL_UNASSIGNED),
    [PH_POOL_WAITING] = BIT(PH_POOL_ACTIVE) | BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_DEACTIVATING) |
                        BIT(PH_POOL_UNASSIGNED),
    [PH_POOL_BLOCKED] = BIT(PH_POOL_UNASSIGNED) | BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_FAILED),
    [PH_POOL_FAILED] = BIT(PH_POOL_UNASSIGNED) | BIT(PH_POOL_ACTIVATING) | BIT(PH_POOL_BLOCKED),
};

static const unsigned job_states[] = {
    [PH_JOB_QUEUED] =
        BIT(PH_JOB_RUNNING) | BIT(PH_JOB_SUCCEEDED) | BIT(PH_JOB_FAILED) | BIT(PH_JOB_CANCELLED),
    [PH_JOB_RUNNING] =
        BIT(PH_JOB_QUEUED) | BIT(PH_JOB_SUCCEEDED) | BIT(PH_JOB_FAILED) | BIT(PH_JOB_CANCELLED),
    [PH_JOB_SUCCEEDED] = 0,
    [PH_JOB_FAILED] = 0,
    [PH_JOB_CANCELLED] = 0,
};

static const unsigned job_phases[] = {
    [PH_PHASE_PLANNED] = BIT(PH_PHASE_COPYING) | BIT(PH_PHASE_STOPPING) | BIT(PH_PHASE_ACTIVATING) |
                         BIT(PH_PHASE_DONE),
    [PH_PHASE_COPYING] = BIT(PH_PHASE_PLANNED) | BIT(PH_PHASE_STOPPING) | BIT(PH_PHASE_DONE),
    [PH_PHASE_STOPPING] = BIT(PH_PHASE_ACTIVATING) | BIT(PH_PHASE_RETURNING) |
                          BIT(PH_PHASE_PLANNED) | BIT(PH_PHASE_DONE),
    [PH_PHASE_ACTIVATING] = BIT(PH_PHASE_PLANNED) | BIT(PH_PHASE_RETURNING) | BIT(PH_PHASE_DONE),
    [PH_PHASE_RETURNING] = BIT(PH_PHASE_PLANNED) | BIT(PH_PHASE_DONE),
    [PH_PHASE_DONE] = 0,
};

static bool allowed(const unsigned *table, int from, int to)
{
    return from == to || (table[from] & BIT(to)) != 0;
}

#define FORMAT_REASON(text, format)                                                                \
    do {                                                                                           \
        va_list arguments;                                                                         \
        va_start(arguments, format);                                                               \
        ph_text_vformat((text), sizeof(text), format, arguments);                                  \
        va_end(arguments);                                                                         \
    } while (0)

/* How many nodes are online and silent, for the brake: kept here, where they change. */
static void count_node(struct ph_core *core, enum ph_node_state state, bool more)
{
    size_t *count = state == PH_NODE_ONLINE    ? &core->online_count
                    : state == PH_NODE_SUSPECT ? &core->suspect_count
                                               : NULL;

    if (count != NULL)
        *count = more ? *count + 1 : *count - 1;
}

void core_node_count(struct ph_core *core, const struct core_node *node, bool more)
{
    count_node(core, node->row.state, more);
}

void core_node_state(
    struct ph_core *core, struct core_node *node, enum ph_node_state state, const char *format, ...)
{
    static const char *const kinds[] = {[PH_NODE_JOINING] = "node-joining",
        [PH_NODE_ONLINE] = "node-online",
        [PH_NODE_SUSPECT] = "node-suspect",
        [PH_NODE_LOST] = "node-lost",
        [PH_NODE_FENCED] = "node-fenced"};
    struct core_about about = {.node = node};
    char text[PH_TEXT_BYTES_MAX + 1];

    FORMAT_REASON(text, format);
    ph_assert(allowed(node_states, (int)node->row.state, (int)state));
    /* Why it gets no pools must not be lost in what else is said of it. */
    if (node->row.admin == PH_ADMIN_QUARANTINED || node->row.admin == PH_ADMIN_MAINTENANCE)
        core_set_text(core, &node->row.reason, "%s; %s: `poolherd node resume %s` ends that", text,
            node->row.admin == PH_ADMIN_QUARANTINED ? "quarantined, lost too often"
                                                    : "in maintenance",
            node->row.name);
    else
        core_set_text(core, &node->row.reason, "%s", text);
    if (node->row.state != state) {
        count_node(core, node->row.state, false);
        count_node(core, state, true);
        node->row.state = state;
        node->row.since = core->wall_ms;
        core_event(core,
            state == PH_NODE_LOST || state == PH_NODE_FENCED ? PH_EVENT_ERROR
            : state == PH_NODE_SUSPECT                       ? PH_EVENT_WARNING
                                                             : PH_EVENT_INFO,
            kinds[state], &about, "%s", text);
        core_picture_node(core, node);
        core_brake_check(core);
        core_fence_follow(core, node);
    }
    core_node_touch(core, node);
}

void core_node_admin(
    struct ph_core *core, struct core_node *node, enum ph_node_admin admin, const char *format, ...)
{
    static const char *const kinds[] = {[PH_ADMIN_ACTIVE] = "node-active",
        [PH_ADMIN_DRAINING] = "node-draining",
        [PH_ADMIN_MAINTENANCE] = "node-maintenance",
        [PH_ADMIN_QUARANTINED] = "node-quarantined",
        [PH_ADMIN_RETIRED] = "node-retired"};
    struct core_about about = {.node = node, .job = node->drain};
    char text[PH_TEXT_BYTES_MAX + 1];

    FORMAT_REASON(text, format);
    ph_assert(allowed(node_admins, (int)node->row.admin, (int)admin));
    if (node->row.admin != admin) {
        node->row.admin = admin;
        node->row.since = core->wall_ms;
        core_set_text(core, &node->row.reason, "%s", text);
        core_event(core, admin == PH_ADMIN_QUARANTINED ? PH_EVENT_WARNING : PH_EVENT_INFO,
            kinds[admin], &about, "%s", text);
        core_picture_node(core, node);
    }
    core_node_touch(core, node);
}

void core_pool_reason(struct ph_core *core, struct core_pool *pool, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];

    FORMAT_REASON(text, format);
    if (strcmp(pool->row.reason == NULL ? "" : pool->row.reason, text) == 0)
        return;
    core_set_text(core, &pool->row.reason, "%s", text);
    core_pool_touch(core, pool);
}

/* Whether the job that brought it there has yet to say how long it was down. */
static bool counts_downtime(const struct core_job *job)
{
    return job != NULL &&
           (job->row.kind == PH_JOB_TAKEOVER ||
               (job->row.kind == PH_JOB_MOVE && (job->row.phase == PH_PHASE_ACTIVATING ||
                                                    job->row.phase == PH_PHASE_RETURNING)));
}

static void up_again(struct ph_core *core, struct core_pool *pool)
{
    struct core_job *drain = pool->job == NULL || pool->job->row.parent == 0
                                 ? NULL
                                 : core_find_job(core, pool->job->row.parent);

    if (!counts_downtime(pool->job))
        pool->down_ms = 0;
    if (drain != NULL)
        core_drain_again(core, drain);
}

void core_pool_state(
    struct ph_core *core, struct core_pool *pool, enum ph_pool_state state, const char *format, ...)
{
    static const char *const kinds[] = {[PH_POOL_UNASSIGNED] = "pool-unassigned",
        [PH_POOL_ACTIVATING] = "pool-activating",
        [PH_POOL_ACTIVE] = "pool-active",
        [PH_POOL_DEACTIVATING] = "pool-deactivating",
        [PH_POOL_WAITING] = "pool-waiting",
        [PH_POOL_BLOCKED] = "pool-blocked",
        [PH_POOL_FAILED] = "pool-failed"};
    struct core_about about = {.pool = pool, .node = core_find_node(core, pool->row.node)};
    char text[PH_TEXT_BYTES_MAX + 1];

    FORMAT_REASON(text, format);
    if (pool->row.state == state) {
        core_pool_reason(core, pool, "%s", text);
        return;
    }
    ph_assert(allowed(pool_states, (int)pool->row.state, (int)state));
    if (pool->row.state == PH_POOL_ACTIVE && pool->down_ms == 0)
        pool->down_ms = core->now_ms;
    if (state == PH_POOL_ACTIVE)
        up_again(core, pool);
    pool->row.state = state;
    pool->row.since = core->wall_ms;
    core_set_text(core, &pool->row.reason, "%s", text);
    core_event(core,
        state == PH_POOL_BLOCKED || state == PH_POOL_FAILED ? PH_EVENT_ERROR
        : state == PH_POOL_WAITING                          ? PH_EVENT_WARNING
                                                            : PH_EVENT_INFO,
        kinds[state], &about, "%s", text);
    core_pool_touch(core, pool);
}

void core_job_phase(struct ph_core *core, struct core_job *job, enum ph_job_phase phase)
{
    ph_assert(allowed(job_phases, (int)job->row.phase, (int)phase));
    if (job->row.phase == phase)
        return;
    job->row.phase = phase;
    core_job_touch(core, job);
}

void core_job_set_state(struct ph_core *core, struct core_job *job, enum ph_job_state state)
{
    struct core_job *parent = job->row.parent == 0 ? NULL : core_find_job(core, job->row.parent);

    ph_assert(allowed(job_states, (int)job->row.state, (int)state));
    if (job->row.state == state)
        return;
    if (state == PH_JOB_RUNNING && job->row.started_at == 0)
        job->row.started_at = core->wall_ms;
    if (parent != NULL) {
        parent->child_running -= job->row.state == PH_JOB_RUNNING;
        parent->child_running += state == PH_JOB_RUNNING;
    }
    job->row.state = state;
    core_job_touch(core, job);
}
