#include "agent/core/agent.h"

#include <errno.h>
#include <string.h>

static bool broken(struct ph_error *error, const char *pool, const char *rule)
{
    (void)ph_error_set(error, PH_FAILED, pool, "invariant broken: %s", rule);
    return false;
}

#define RULE(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            return broken(error, name, #condition);                                                \
        }                                                                                          \
    } while (0)

static bool valid_lease(const struct ph_agent *agent, struct ph_error *error)
{
    const struct ph_agent_lease *lease = &agent->lease;
    const char *name = "lease";
    RULE(lease->generation <= lease->admission);
    RULE((lease->state == PH_LEASE_VALID) == (lease->deadline_ms != 0));
    RULE(lease->state != PH_LEASE_VALID || lease->generation > 0);
    RULE(!lease->admitted || lease->state == PH_LEASE_VALID || lease->state == PH_LEASE_NONE);
    /* The newest task that could make a pool run was started under a lease that had not ended. */
    RULE(agent->last_run_ms == 0 || agent->last_run_ms < agent->last_run_deadline_ms);
    RULE(agent->last_run_generation <= lease->admission);
    RULE(agent->copies_under_way >= 0);
    return true;
}

static bool local_fits(const struct ph_agent_pool *pool)
{
    switch (pool->phase) {
    case PH_AP_IDLE:
        return pool->local == PH_LOCAL_NONE || pool->local == PH_LOCAL_COPY ||
               pool->local == PH_LOCAL_RELEASED || pool->local == PH_LOCAL_FAILED ||
               pool->local == PH_LOCAL_ACTIVATING || pool->local == PH_LOCAL_DEACTIVATING ||
               pool->local == PH_LOCAL_STUCK;
    case PH_AP_ACTIVATING:
    case PH_AP_RUNNING:
    case PH_AP_STOPPING:
    case PH_AP_KILLING:
    case PH_AP_RELEASING:
        return pool->local != PH_LOCAL_NONE && pool->local != PH_LOCAL_COPY &&
               (pool->local != PH_LOCAL_RELEASED || pool->phase == PH_AP_STOPPING ||
                   pool->phase == PH_AP_ACTIVATING) &&
               (pool->local != PH_LOCAL_FAILED || pool->phase == PH_AP_STOPPING);
    case PH_AP_COPYING:
        return pool->local == PH_LOCAL_DEACTIVATING || pool->local == PH_LOCAL_STUCK;
    case PH_AP_DROPPING:
        return pool->local != PH_LOCAL_ACTIVE && pool->local != PH_LOCAL_ACTIVATING;
    case PH_AP_COUNT:
        break;
    }
    return false;
}

static bool valid_vms(const struct ph_agent_pool *pool, struct ph_error *error)
{
    const char *name = pool->name;
    for (size_t i = 0; i < pool->vm_count; i++) {
        const struct ph_agent_vm *vm = &pool->vms[i];
        RULE(vm->state != PH_VM_RUNNING ||
             (pool->phase != PH_AP_IDLE && pool->phase != PH_AP_COPYING &&
                 pool->phase != PH_AP_DROPPING));
        RULE(vm->state != PH_VM_RUNNING || pool->ran);
        RULE(vm->state != PH_VM_STARTING || vm->task);
        bool found = ph_agent_task_find(pool, PH_TASK_VM_START, vm->spec.name) != NULL ||
                     ph_agent_task_find(pool, PH_TASK_VM_STOP, vm->spec.name) != NULL;
        RULE(vm->task == found);
        bool operated = ph_agent_task_find(pool, PH_TASK_VM_OPERATE, vm->spec.name) != NULL ||
                        ph_agent_task_find(pool, PH_TASK_VM_LOOK, vm->spec.name) != NULL;
        RULE(vm->operation == operated);
    }
    return true;
}

static bool valid_pool(
    const struct ph_agent *agent, const struct ph_agent_pool *pool, struct ph_error *error)
{
    const char *name = pool->name;
    unsigned data = 0;
    unsigned moving = PH_TASK_DATA & ~PH_TASK_BIT(PH_TASK_KILL);
    for (size_t i = 0; i < pool->task_count; i++) {
        const struct ph_agent_task *task = &pool->tasks[i];
        data += (PH_TASK_BIT(task->kind) & moving) != 0;
        RULE(task->number <= agent->last_task);
        RULE(i == 0 || pool->tasks[i - 1].number < task->number);
        RULE(task->epoch <= pool->epoch);
        RULE(task->kind != PH_TASK_ACTIVATE || pool->task_count == 1);
        RULE(task->kind != PH_TASK_DROP || pool->task_count == 1);
        RULE(task->kind != PH_TASK_DEACTIVATE || pool->task_count == 1 ||
             ph_agent_task_find(pool, PH_TASK_KILL, NULL) != NULL);
    }
    RULE(data <= 1);
    RULE(!pool->has_order || pool->order.epoch <= pool->epoch);
    RULE(!pool->has_order || pool->order.term <= agent->lease.term);
    RULE(pool->has_order || pool->phase == PH_AP_IDLE);
    RULE(pool->report_acked <= pool->report_number);
    if (!local_fits(pool)) {
        (void)ph_error_set(error, PH_FAILED, name, "invariant broken: in phase %d it is called %s",
            (int)pool->phase, ph_enum_word(&ph_enum_local_state, (int)pool->local));
        return false;
    }
    RULE(pool->phase != PH_AP_RUNNING || pool->data_active);
    RULE(pool->phase != PH_AP_COPYING || (!pool->ran && !pool->data_active));
    RULE(pool->phase != PH_AP_IDLE || !pool->ran || !pool->has_order || pool->touched ||
         !ph_agent_may_act(agent));
    RULE(pool->phase != PH_AP_RUNNING || pool->order.kind == PH_ORDER_ACTIVATE ||
         !ph_agent_may_act(agent));
    RULE(!pool->settled || pool->order.kind != PH_ORDER_ACTIVATE);
    RULE(!pool->allowed || pool->order.kind == PH_ORDER_HOLD);
    return valid_vms(pool, error);
}

bool ph_agent_validate(const struct ph_agent *agent, struct ph_error *error)
{
    if (!valid_lease(agent, error)) {
        return false;
    }
    for (size_t i = 0; agent->started && i < agent->pools.count; i++) {
        if (!valid_pool(agent, agent->pools.items[i].value, error)) {
            return false;
        }
    }
    return true;
}
