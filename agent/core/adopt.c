/*
 * The start of an agent over what an earlier process left: its rows, the data on disk, the guard's
 * page, the VMs found running.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ph_agent_load_data(struct ph_agent *agent, const char *name, int64_t data_epoch,
    int64_t data_sequence, bool active_data)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, name);
    if (pool == NULL && data_epoch <= 0 && !active_data) {
        return 0;
    }
    if (pool == NULL) {
        /* Data of a pool nobody ordered: kept and told of, never touched. */
        pool = ph_agent_pool_add(agent, name);
        if (pool == NULL) {
            return -ENOMEM;
        }
        pool->local = active_data ? PH_LOCAL_RELEASED : PH_LOCAL_COPY;
    }
    pool->data_epoch = data_epoch;
    pool->data_sequence = data_sequence;
    pool->owner_data = active_data;
    pool->epoch = data_epoch > pool->epoch ? data_epoch : pool->epoch;
    return 0;
}

/* Whether the row says that something may have been running or active. */
static bool was_up(const struct ph_agent_pool *pool)
{
    return pool->local == PH_LOCAL_ACTIVE || pool->local == PH_LOCAL_ACTIVATING ||
           pool->local == PH_LOCAL_DEACTIVATING || pool->local == PH_LOCAL_STUCK;
}

static bool any_alive(const struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        if (ph_agent_vm_alive(&pool->vms[i])) {
            return true;
        }
    }
    return false;
}

static void adopt_running(struct ph_agent *agent, struct ph_agent_pool *pool, bool alive)
{
    bool was_active = pool->local == PH_LOCAL_ACTIVE;
    pool->data_active = true;
    pool->active_epoch = pool->data_epoch > 0 && pool->data_epoch < pool->order.epoch
                             ? pool->data_epoch
                             : pool->order.epoch;
    pool->ran = true;
    pool->phase = PH_AP_RUNNING;
    if (pool->local != PH_LOCAL_ACTIVE) {
        ph_agent_pool_set_local(pool, PH_LOCAL_ACTIVATING);
    }
    ph_agent_vms_adopted(agent, pool, was_active);
    ph_agent_note(agent, PH_EVENT_INFO, "pool=%s epoch=%lld adopted%s", pool->name,
        (long long)pool->active_epoch, alive ? " with what runs of it" : "");
}

/* It was on its way down, or is to go down: everything is done once more, which harms nothing. */
static void adopt_stopping(struct ph_agent_pool *pool)
{
    pool->ran = true;
    pool->data_active = pool->owner_data;
    pool->phase = PH_AP_STOPPING;
}

static void adopt_activate(struct ph_agent *agent, struct ph_agent_pool *pool, bool alive)
{
    bool ours =
        agent->lease.state == PH_LEASE_VALID && pool->order.generation == agent->lease.generation;
    bool up = was_up(pool);
    if (pool->local == PH_LOCAL_FAILED && !alive) {
        pool->failed = true;
        return;
    }
    if (ours || agent->lease.state == PH_LEASE_ENDING) {
        if (alive || (pool->local == PH_LOCAL_ACTIVE && pool->owner_data)) {
            adopt_running(agent, pool, alive);
        } else if (up) {
            pool->ran = true; /* something that no pid file names may still be there */
            pool->phase = PH_AP_ACTIVATING;
        }
        return;
    }
    if (alive) {
        adopt_stopping(pool); /* nothing may be running here without a lease */
        return;
    }
    if (up) {
        ph_agent_pool_set_local(pool, PH_LOCAL_RELEASED);
    }
}

void ph_agent_adopt(struct ph_agent *agent)
{
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        bool alive = any_alive(pool);
        ph_agent_pool_touch(pool);
        if (!pool->has_order) {
            continue;
        }
        bool released = pool->local == PH_LOCAL_RELEASED && pool->order.kind == PH_ORDER_DEACTIVATE;
        bool clean = released || pool->local == PH_LOCAL_COPY || pool->local == PH_LOCAL_NONE;
        pool->unsequenced = pool->owner_data && !released;
        /* An activation that came true after all, a release that was not finished: once more. */
        pool->data_active = pool->owner_data && !clean;
        if (pool->order.kind == PH_ORDER_ACTIVATE) {
            adopt_activate(agent, pool, alive);
            continue;
        }
        if (alive || was_up(pool)) {
            adopt_stopping(pool);
        } else if (released) {
            pool->settled = true;
            for (size_t j = 0; j < pool->peer_count; j++) {
                pool->peers[j].last_done = true; /* as far as anybody still waits for them */
            }
        } else if (pool->order.kind == PH_ORDER_DROP) {
            pool->settled = pool->local == PH_LOCAL_NONE && pool->data_epoch == 0;
        } else if (pool->order.kind == PH_ORDER_HOLD) {
            pool->settled = pool->local == PH_LOCAL_COPY;
            pool->unsequenced = false;
        }
    }
}
