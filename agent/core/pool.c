/*
 * The life cycle of one pool on this node.
 *
 *     IDLE -> ACTIVATING -> RUNNING -> STOPPING -> KILLING -> RELEASING -> COPYING -> IDLE
 *       |         ^  \        ^  |         |          |          |           |
 *       |         |   \-------|--|---------+----------+----------+-----------/
 *       |         |  (an order to activate again turns round wherever nothing blocks it)
 *       \-> DROPPING -> IDLE
 *
 * Each phase has one function that looks at the order and the tasks under way, starts what is next,
 * and says whether the phase changed, so that the next one is looked at in the same step. The end of
 * the lease leads from anywhere to IDLE, once the guard has said that nothing is left.
 */
#include "agent/core/agent.h"
#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TO(phase) (1u << (phase))
static const unsigned transitions[PH_AP_COUNT] = {
    [PH_AP_IDLE] = TO(PH_AP_ACTIVATING) | TO(PH_AP_STOPPING) | TO(PH_AP_DROPPING) |
                   TO(PH_AP_RUNNING), /* RUNNING: adopted at start */
    [PH_AP_ACTIVATING] = TO(PH_AP_RUNNING) | TO(PH_AP_STOPPING) | TO(PH_AP_IDLE),
    [PH_AP_RUNNING] = TO(PH_AP_ACTIVATING) | TO(PH_AP_STOPPING) | TO(PH_AP_IDLE),
    [PH_AP_STOPPING] = TO(PH_AP_KILLING) | TO(PH_AP_RELEASING) | TO(PH_AP_ACTIVATING) |
                       TO(PH_AP_RUNNING) | TO(PH_AP_IDLE),
    [PH_AP_KILLING] = TO(PH_AP_RELEASING) | TO(PH_AP_ACTIVATING) | TO(PH_AP_IDLE),
    [PH_AP_RELEASING] = TO(PH_AP_COPYING) | TO(PH_AP_KILLING) | TO(PH_AP_ACTIVATING) |
                        TO(PH_AP_DROPPING) | TO(PH_AP_IDLE),
    [PH_AP_COPYING] = TO(PH_AP_ACTIVATING) | TO(PH_AP_DROPPING) | TO(PH_AP_IDLE),
    [PH_AP_DROPPING] = TO(PH_AP_IDLE),
};

bool ph_agent_phase_allowed(enum ph_agent_phase from, enum ph_agent_phase to)
{
    return from == to || (transitions[from] & TO(to)) != 0;
}

void ph_agent_pool_set_phase(struct ph_agent_pool *pool, enum ph_agent_phase phase)
{
    ph_assert(ph_agent_phase_allowed(pool->phase, phase));
    if (pool->phase != phase) {
        bool same_trouble = (pool->phase == PH_AP_KILLING && phase == PH_AP_RELEASING) ||
                            (pool->phase == PH_AP_RELEASING && phase == PH_AP_KILLING);
        pool->phase = phase;
        pool->failures = same_trouble ? pool->failures : 0;
        pool->retry_ms = 0;
        pool->released = false;
        ph_agent_pool_step(pool, "");
    }
}

struct ph_agent_pool *ph_agent_pool_get(const struct ph_agent *agent, const char *name)
{
    return ph_map_get(&agent->pools, name);
}

struct ph_agent_pool *ph_agent_pool_add(struct ph_agent *agent, const char *name)
{
    struct ph_agent_pool *pool = calloc(1, sizeof(*pool));
    if (pool == NULL) {
        return NULL;
    }
    (void)ph_text_format(pool->name, sizeof(pool->name), "%s", name);
    pool->wake_ms = PH_NEVER;
    pool->active_epoch = -1;
    if (ph_map_put(&agent->pools, pool->name, pool) != 0) {
        free(pool);
        return NULL;
    }
    return pool;
}

void ph_agent_pool_destroy(struct ph_agent_pool *pool)
{
    ph_record_fini(&ph_record_order, &pool->order);
    for (size_t i = 0; i < pool->vm_count; i++) {
        ph_agent_vm_fini(&pool->vms[i]);
    }
    for (size_t i = 0; i < pool->peer_count; i++) {
        ph_agent_peer_fini(&pool->peers[i]);
    }
    ph_agent_operations_fini(pool);
    free(pool->vms);
    free(pool->peers);
    free(pool->tasks);
    free(pool->reason);
    free(pool->step);
    free(pool);
}

void ph_agent_pool_touch(struct ph_agent_pool *pool)
{
    pool->touched = true;
}

void ph_agent_pool_set_local(struct ph_agent_pool *pool, enum ph_local_state local)
{
    if (pool->local != local) {
        pool->local = local;
        pool->unsaved = true;
        pool->report_dirty = true;
    }
}

/* The report shows the newest reason and step; a lost one (no memory) is not worth a restart. */
static void set_shown(struct ph_agent_pool *pool, char **member, const char *text)
{
    if (strcmp(*member == NULL ? "" : *member, text) != 0) {
        (void)ph_set_text(member, text);
        pool->report_dirty = true;
    }
}

void ph_agent_pool_step(struct ph_agent_pool *pool, const char *step)
{
    char text[65];
    (void)ph_text_format(text, sizeof(text), "%s", step);
    set_shown(pool, &pool->step, text);
}

void ph_agent_pool_reason(struct ph_agent_pool *pool, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    (void)ph_text_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    set_shown(pool, &pool->reason, text);
}

bool ph_agent_pool_wanted(const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    return pool->has_order && pool->order.kind == PH_ORDER_ACTIVATE && !pool->failed &&
           ph_agent_may_run(agent, pool);
}

/* A release that nobody waits for: after the end of a lease, or of an activation that came true after
 * it was given up. */
static void clean_up_late(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (pool->data_active && !ph_agent_pool_wanted(agent, pool) && ph_agent_may_act(agent) &&
        !ph_agent_task_any(pool, PH_TASK_ANY, false) && agent->now_ms >= pool->retry_ms) {
        (void)ph_agent_task_start(agent, pool, PH_TASK_DEACTIVATE, NULL, NULL, false);
    }
}

static void settle(struct ph_agent_pool *pool, enum ph_local_state local)
{
    pool->settled = true;
    ph_agent_pool_reason(pool, "%s", "");
    ph_agent_pool_step(pool, "");
    ph_agent_pool_set_local(pool, local);
    pool->report_dirty = true;
}

static bool phase_idle(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!pool->has_order || !ph_agent_may_act(agent)) {
        return false;
    }
    unsigned blocking = PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY);
    if (ph_agent_task_any(pool, blocking, false)) {
        if (ph_agent_task_any(pool, blocking, true) && ph_agent_pool_wanted(agent, pool)) {
            ph_agent_pool_reason(pool, "waits for an earlier task that hangs; look at the node's "
                                       "disk and the pool's driver");
        }
        return false;
    }
    if (ph_agent_pool_wanted(agent, pool)) {
        ph_agent_pool_set_phase(pool, PH_AP_ACTIVATING);
        return true;
    }
    switch (pool->order.kind) {
    case PH_ORDER_ACTIVATE:
        clean_up_late(agent, pool);
        return false;
    case PH_ORDER_DEACTIVATE:
        if (pool->settled) {
            clean_up_late(agent, pool);
            (void)ph_agent_last_copies(agent, pool); /* to those that are not required */
            return false;
        }
        if (pool->data_active || pool->ran || pool->owner_data) {
            ph_agent_pool_set_phase(pool, PH_AP_STOPPING);
            return true;
        }
        settle(pool, PH_LOCAL_RELEASED);
        return false;
    case PH_ORDER_HOLD:
    case PH_ORDER_DROP:
        if (pool->data_active || pool->ran) {
            ph_agent_pool_set_phase(pool, PH_AP_STOPPING);
            return true;
        }
        ph_agent_cancel_copies(agent, pool);
        if (ph_agent_task_any(pool, PH_TASK_ANY, false)) {
            return false;
        }
        if (pool->order.kind == PH_ORDER_HOLD) {
            if (!pool->allowed) {
                pool->allowed = true;
                ph_agent_allow(agent, &pool->order);
            }
            if (!pool->settled) {
                settle(pool, PH_LOCAL_COPY);
            }
        } else if (!pool->settled) {
            ph_agent_pool_set_phase(pool, PH_AP_DROPPING);
            return true;
        }
        return false;
    }
    return false;
}

static bool phase_activating(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    struct ph_agent_task *task = ph_agent_task_find(pool, PH_TASK_ACTIVATE, NULL);
    if (!ph_agent_pool_wanted(agent, pool)) {
        if (task != NULL) {
            ph_agent_task_cancel(agent, task);
            return false;
        }
        if (!ph_agent_may_act(agent)) {
            return false; /* the guard is at work */
        }
        ph_agent_pool_set_phase(pool, pool->data_active || pool->ran ? PH_AP_STOPPING : PH_AP_IDLE);
        if (pool->phase == PH_AP_IDLE && pool->order.kind == PH_ORDER_ACTIVATE) {
            ph_agent_pool_set_local(pool, pool->failed ? PH_LOCAL_FAILED : PH_LOCAL_RELEASED);
        }
        return true;
    }
    if (task != NULL) {
        if (task->epoch != pool->order.epoch) {
            ph_agent_task_cancel(agent, task);
        }
        return false;
    }
    if (pool->data_active && pool->active_epoch == pool->order.epoch) {
        ph_agent_pool_set_phase(pool, PH_AP_RUNNING);
        return true;
    }
    ph_agent_cancel_copies(agent, pool);
    ph_agent_pool_set_local(pool, PH_LOCAL_ACTIVATING);
    ph_agent_pool_step(pool, "activating the data");
    (void)ph_agent_task_start(agent, pool, PH_TASK_ACTIVATE, NULL, NULL, false);
    return false;
}

static bool phase_running(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!ph_agent_may_act(agent)) {
        return false;
    }
    if (!ph_agent_pool_wanted(agent, pool)) {
        ph_agent_pool_set_phase(pool, PH_AP_STOPPING);
        return true;
    }
    if (pool->active_epoch != pool->order.epoch) {
        ph_agent_pool_set_phase(pool, PH_AP_ACTIVATING);
        return true;
    }
    if (pool->renew && !ph_agent_task_any(pool, PH_TASK_ANY, false)) {
        pool->renew = false;
        (void)ph_agent_task_start(agent, pool, PH_TASK_ACTIVATE, NULL, NULL, false);
        return false;
    }
    ph_agent_vms_advance(agent, pool);
    ph_agent_operations_advance(agent, pool);
    agent->copies_touched = true;
    return false;
}

typedef bool phase_function(struct ph_agent *agent, struct ph_agent_pool *pool);
static phase_function *const phases[PH_AP_COUNT] = {
    [PH_AP_IDLE] = phase_idle,
    [PH_AP_ACTIVATING] = phase_activating,
    [PH_AP_RUNNING] = phase_running,
    [PH_AP_STOPPING] = ph_agent_phase_stopping,
    [PH_AP_KILLING] = ph_agent_phase_killing,
    [PH_AP_RELEASING] = ph_agent_phase_releasing,
    [PH_AP_COPYING] = ph_agent_phase_copying,
    [PH_AP_DROPPING] = ph_agent_phase_dropping,
};

void ph_agent_pool_advance(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    /* A pool can walk through each phase once per step; more would be two phases that disagree. */
    for (int steps = 0; phases[pool->phase](agent, pool); steps++) {
        ph_assert(steps < 2 * PH_AP_COUNT);
    }
}

void ph_agent_pool_lease_ended(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    ph_agent_pool_touch(pool);
    if (pool->phase == PH_AP_IDLE || pool->phase == PH_AP_COPYING ||
        pool->phase == PH_AP_DROPPING) {
        return; /* nothing of it ran */
    }
    for (size_t i = 0; i < pool->task_count; i++) {
        ph_agent_task_cancel(agent, &pool->tasks[i]);
    }
    ph_agent_vms_reset(pool);
    pool->ran = false;
    /* data_active stays: an activation may have come true beside the guard's release. It is released
     * by its driver too, which does no harm and lets the driver write down how it was left. */
    pool->active_epoch = -1;
    pool->renew = false;
    ph_agent_pool_set_phase(pool, PH_AP_IDLE);
    ph_agent_pool_reason(pool, "%s", "");
    if (pool->has_order && pool->order.kind != PH_ORDER_ACTIVATE) {
        ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
        return; /* the order is carried on from here */
    }
    ph_agent_pool_set_local(pool, pool->failed ? PH_LOCAL_FAILED : PH_LOCAL_RELEASED);
}
