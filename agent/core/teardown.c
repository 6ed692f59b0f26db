/*
 * The phases that lead down: stop the VMs, kill what is left, release the data, make the last copies;
 * and drop. What will not die is stuck and is tried again and again; it is never called released.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <string.h>

/* Whether the order has turned round and may be followed now. */
static bool turned(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    return ph_agent_pool_wanted(agent, pool) && !ph_agent_task_any(pool, PH_TASK_DATA, false);
}

bool ph_agent_phase_stopping(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!ph_agent_may_act(agent)) {
        return false;
    }
    if (turned(agent, pool)) {
        /* What is down by now is started again; what still runs runs on. */
        bool same = pool->data_active && pool->active_epoch == pool->order.epoch;
        ph_agent_pool_set_phase(pool, same ? PH_AP_RUNNING : PH_AP_ACTIVATING);
        ph_agent_pool_set_local(pool, PH_LOCAL_ACTIVATING);
        return true;
    }
    ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
    ph_agent_cancel_copies(agent, pool);
    bool kill = false;
    if (ph_agent_vms_stop(agent, pool, &kill) || kill) {
        ph_agent_pool_set_phase(pool, PH_AP_KILLING);
        return true;
    }
    return false;
}

bool ph_agent_phase_killing(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    /* With the guard lost, nobody else ends what runs when the lease is over. */
    bool alone = !agent->lease.guard_ready && agent->lease.state == PH_LEASE_ENDING;
    if (!ph_agent_may_act(agent) && !alone) {
        return false;
    }
    if (ph_agent_task_find(pool, PH_TASK_KILL, NULL) != NULL) {
        return false;
    }
    if (!pool->ran) {
        bool up = turned(agent, pool) && !ph_agent_task_any(pool, PH_TASK_VMS, false);
        ph_agent_pool_set_phase(pool, up ? PH_AP_ACTIVATING : PH_AP_RELEASING);
        return true;
    }
    if (agent->now_ms < pool->retry_ms) {
        return false;
    }
    /* A task that hangs is what a kill may have to end; one that does not will be over soon. */
    unsigned others = PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY);
    bool busy = ph_agent_task_any(pool, others, false) && !ph_agent_task_any(pool, others, true);
    if (!busy) {
        if (pool->local != PH_LOCAL_STUCK) {
            ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
        }
        ph_agent_pool_step(pool, "ending what is left of it");
        (void)ph_agent_task_start(agent, pool, PH_TASK_KILL, NULL, NULL, false);
    }
    return false;
}

bool ph_agent_phase_releasing(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!ph_agent_may_act(agent) || ph_agent_task_find(pool, PH_TASK_DEACTIVATE, NULL) != NULL) {
        return false;
    }
    if (pool->ran) {
        ph_agent_pool_set_phase(pool, PH_AP_KILLING);
        return true;
    }
    if (turned(agent, pool)) {
        if (ph_agent_task_any(pool, PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY), false)) {
            return false;
        }
        ph_agent_pool_set_phase(pool, PH_AP_ACTIVATING);
        return true;
    }
    if (pool->released) {
        pool->released = false;
        switch (pool->order.kind) {
        case PH_ORDER_DEACTIVATE:
            ph_agent_pool_set_phase(pool, PH_AP_COPYING);
            return true;
        case PH_ORDER_DROP:
            ph_agent_pool_set_phase(pool, PH_AP_DROPPING);
            return true;
        case PH_ORDER_ACTIVATE:
        case PH_ORDER_HOLD:
            break;
        }
        ph_agent_pool_set_phase(pool, PH_AP_IDLE);
        ph_agent_pool_set_local(pool, pool->failed ? PH_LOCAL_FAILED : PH_LOCAL_RELEASED);
        return true;
    }
    if (agent->now_ms < pool->retry_ms) {
        return false;
    }
    if (ph_agent_task_any(pool, PH_TASK_ANY, false)) {
        ph_agent_cancel_copies(agent, pool);
        ph_agent_pool_step(pool, "waiting for a task under way to end");
        return false;
    }
    ph_agent_pool_step(pool, "releasing the data");
    (void)ph_agent_task_start(agent, pool, PH_TASK_DEACTIVATE, NULL, NULL, false);
    return false;
}

bool ph_agent_phase_copying(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!ph_agent_may_act(agent)) {
        return false;
    }
    if (pool->order.kind != PH_ORDER_DEACTIVATE) {
        ph_agent_cancel_copies(agent, pool);
        if (ph_agent_task_any(pool, PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY), false)) {
            return false;
        }
        if (ph_agent_pool_wanted(agent, pool)) {
            ph_agent_pool_set_phase(pool, PH_AP_ACTIVATING);
            return true;
        }
        if (ph_agent_task_any(pool, PH_TASK_ANY, false)) {
            return false;
        }
        ph_agent_pool_set_phase(
            pool, pool->order.kind == PH_ORDER_DROP ? PH_AP_DROPPING : PH_AP_IDLE);
        ph_agent_pool_set_local(pool, PH_LOCAL_RELEASED);
        return true;
    }
    ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
    if (ph_agent_last_copies(agent, pool)) {
        ph_agent_pool_set_phase(pool, PH_AP_IDLE);
        ph_agent_pool_reason(pool, "%s", "");
        pool->settled = true;
        ph_agent_pool_set_local(pool, PH_LOCAL_RELEASED);
        return true;
    }
    ph_agent_pool_step(pool, "making the last copy");
    return false;
}

bool ph_agent_phase_dropping(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!ph_agent_may_act(agent) || ph_agent_task_any(pool, PH_TASK_ANY, false)) {
        return false;
    }
    if (pool->settled || pool->order.kind != PH_ORDER_DROP) {
        ph_agent_pool_set_phase(pool, PH_AP_IDLE);
        return true;
    }
    if (pool->local != PH_LOCAL_NONE && pool->local != PH_LOCAL_COPY &&
        pool->local != PH_LOCAL_FAILED) {
        ph_agent_pool_set_local(
            pool, PH_LOCAL_RELEASED); /* nothing runs; the data is still there */
    }
    if (agent->now_ms >= pool->retry_ms) {
        ph_agent_pool_step(pool, "removing every trace");
        (void)ph_agent_task_start(agent, pool, PH_TASK_DROP, NULL, NULL, false);
    }
    return false;
}

static void try_again(
    struct ph_agent *agent, struct ph_agent_pool *pool, const char *what, const char *reason)
{
    pool->failures++;
    pool->retry_ms = agent->now_ms + ph_agent_backoff_ms(pool->failures);
    ph_agent_pool_reason(pool, "%s failed: %s", what, reason);
}

static void deactivated(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_task_result *result)
{
    if (result->status != 0) {
        try_again(agent, pool, "releasing the data", result->reason);
        if (pool->phase == PH_AP_RELEASING) {
            /* Something uses it: end whatever belongs to the pool at once, and try again; if that
             * does not help, a person has to look. */
            uint64_t retry_ms = pool->failures > 1 ? pool->retry_ms : 0;
            pool->ran = true;
            ph_agent_pool_set_phase(pool, PH_AP_KILLING);
            pool->retry_ms = retry_ms;
            if (pool->failures > 1) {
                ph_agent_pool_set_local(pool, PH_LOCAL_STUCK);
            }
        }
        return;
    }
    pool->data_active = false;
    ph_agent_pool_reason(pool, "%s", pool->failed ? pool->reason : "");
    pool->released = pool->phase == PH_AP_RELEASING;
    if (pool->owner_data) {
        if (result->data_epoch > pool->data_epoch) {
            pool->data_epoch = result->data_epoch;
            pool->data_sequence = 0;
        }
        if (result->sequence > 0) {
            pool->data_sequence = result->sequence;
        } else if (pool->unsequenced) {
            pool->data_sequence++;
        }
        if (pool->unsequenced) {
            for (size_t i = 0; i < pool->peer_count; i++) {
                pool->peers[i].last_done = false;
            }
        }
        pool->unsequenced = false;
    }
}

void ph_agent_teardown_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    enum ph_task_kind kind, const struct ph_task_result *result)
{
    if (kind == PH_TASK_DEACTIVATE) {
        deactivated(agent, pool, result);
        return;
    }
    if (kind == PH_TASK_DROP) {
        if (result->status != 0) {
            try_again(agent, pool, "removing its data", result->reason);
            return;
        }
        pool->settled = pool->order.kind == PH_ORDER_DROP;
        pool->data_epoch = 0;
        pool->data_sequence = 0;
        pool->owner_data = false;
        pool->unsequenced = false;
        ph_agent_pool_reason(pool, "%s", "");
        ph_agent_pool_set_local(pool, PH_LOCAL_NONE);
        return;
    }
    if (result->status != 0) { /* KILL */
        if (pool->phase == PH_AP_KILLING) {
            try_again(agent, pool, "ending its processes", result->reason);
            ph_agent_pool_set_local(pool, PH_LOCAL_STUCK);
        }
        return;
    }
    ph_agent_vms_reset(pool);
    pool->ran = false;
    if (pool->local == PH_LOCAL_STUCK && pool->data_active) {
        ph_agent_pool_step(pool, "nothing runs any more");
    } else if (pool->local == PH_LOCAL_STUCK) {
        ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
    }
}
