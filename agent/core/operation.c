/*
 * What is done to a VM once (docs/vms.md, "Operations"): each has a number, and
 *
 *     a row is durable before it begins            so a number that has a row is never begun again
 *     its outcome is durable before it is told     so what was told stays true
 *     the row is forgotten when the order no longer names it, which it does until the outcome is durable there
 *
 * One that a former process began and did not end is not repeated: its driver looks what became of it.
 */
#include "agent/core/agent.h"
#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ph_agent_operation *find(const struct ph_agent_pool *pool, int64_t number)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        if (pool->operations[i].row.number == number) {
            return &pool->operations[i];
        }
    }
    return NULL;
}

static bool ordered(const struct ph_agent_pool *pool, int64_t number)
{
    for (size_t i = 0; i < pool->order.operations.count; i++) {
        if (pool->order.operations.items[i].number == number) {
            return true;
        }
    }
    return false;
}

static struct ph_agent_operation *add(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_operation *row)
{
    struct ph_agent_operation *more =
        realloc(pool->operations, (pool->operation_count + 1) * sizeof(*more));
    if (more == NULL) {
        agent->out_of_memory = true;
        return NULL;
    }
    pool->operations = more;
    struct ph_agent_operation *operation = &more[pool->operation_count];
    memset(operation, 0, sizeof(*operation));
    if (ph_record_copy(&ph_record_operation, &operation->row, row) != 0) {
        agent->out_of_memory = true;
        return NULL;
    }
    pool->operation_count++;
    return operation;
}

void ph_agent_operations_fini(struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        ph_record_fini(&ph_record_operation, &pool->operations[i].row);
    }
    free(pool->operations);
}

int ph_agent_load_operation(
    struct ph_agent *agent, const struct ph_operation *row, struct ph_error *error)
{
    if (!ph_name_valid(row->pool) || !ph_name_valid(row->vm)) {
        return ph_error_set(
            error, PH_BAD_INPUT, "pool", "a stored operation has no legal pool or VM");
    }
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, row->pool);
    if (pool == NULL && (pool = ph_agent_pool_add(agent, row->pool)) == NULL) {
        return -ENOMEM;
    }
    return add(agent, pool, row) == NULL ? -ENOMEM : 0;
}

/* One that is under way is kept until it has ended, whatever the order says. */
void ph_agent_operations_prune(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->operation_count; i++) {
        struct ph_agent_operation *operation = &pool->operations[i];
        if (!operation->task && !ordered(pool, operation->row.number)) {
            ph_agent_remove(agent, &ph_record_operation, &operation->row);
            ph_record_fini(&ph_record_operation, &operation->row);
            pool->report_dirty = true;
            continue;
        }
        if (kept != i) {
            pool->operations[kept] = *operation;
        }
        kept++;
    }
    pool->operation_count = kept;
}

static void conclude(struct ph_agent *agent, struct ph_agent_pool *pool,
    struct ph_agent_operation *operation, enum ph_operation_state state, const char *reason,
    const char *found)
{
    char text[PH_TEXT_BYTES_MAX];
    (void)ph_text_format(text, sizeof(text), "%s", reason == NULL ? "" : reason);
    operation->row.state = state;
    if (ph_set_text(&operation->row.reason, text) != 0 ||
        ph_set_text(&operation->row.result, found) != 0) {
        agent->out_of_memory = true;
        return;
    }
    ph_agent_save(agent, &ph_record_operation, &operation->row);
    pool->report_dirty = true;
}

/* Whether another one is under way on the same VM, or was begun earlier and has no outcome. */
static bool busy(const struct ph_agent_pool *pool, const struct ph_operation *wanted)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        const struct ph_operation *row = &pool->operations[i].row;
        if (row->number != wanted->number && strcmp(row->vm, wanted->vm) == 0 &&
            (pool->operations[i].task || row->state == PH_OPERATION_BEGUN)) {
            return true;
        }
    }
    return false;
}

static void start(struct ph_agent *agent, struct ph_agent_pool *pool,
    struct ph_agent_operation *operation, struct ph_agent_vm *vm, enum ph_task_kind kind)
{
    ph_assert(vm != NULL);
    struct ph_task *task = ph_agent_task_make(agent, pool, kind, vm, NULL, false);
    if (task == NULL) {
        return;
    }
    if (ph_record_copy(&ph_record_operation, &task->operation, &operation->row) != 0) {
        agent->out_of_memory = true;
    }
    operation->task = true;
    operation->task_number = task->number;
    vm->operation = true;
    ph_agent_task_effect(agent, task);
}

/* Where a VM stands tells whether something can be done to it: now, later (false), or not at all. */
static bool ready(struct ph_agent *agent, struct ph_agent_pool *pool,
    struct ph_agent_operation *operation, const struct ph_agent_vm *vm, bool begun)
{
    char reason[300];
    if (vm != NULL && vm->state == PH_VM_RUNNING && !vm->task) {
        return true;
    }
    if (vm != NULL && (vm->task || vm->state == PH_VM_STARTING || vm->state == PH_VM_STOPPING)) {
        return false;
    }
    (void)ph_text_format(reason, sizeof(reason), "%s does not run: it is %s%s", operation->row.vm,
        vm == NULL ? "not declared" : ph_enum_word(&ph_enum_vm_state, (int)vm->state),
        begun ? "; it ended in the middle of this, which may have been done" : "");
    conclude(agent, pool, operation, PH_OPERATION_FAILED, reason, NULL);
    return false;
}

void ph_agent_operations_advance(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (ph_agent_task_any(pool, PH_TASK_DATA, false) || !ph_agent_may_run(agent, pool)) {
        return;
    }
    for (size_t i = 0; i < pool->operation_count; i++) {
        struct ph_agent_operation *operation = &pool->operations[i];
        struct ph_agent_vm *vm = ph_agent_vm_find(pool, operation->row.vm);
        if (operation->row.state == PH_OPERATION_BEGUN && !operation->task &&
            ready(agent, pool, operation, vm, true)) {
            start(agent, pool, operation, vm, PH_TASK_VM_LOOK);
        }
    }
    for (size_t i = 0; i < pool->order.operations.count; i++) {
        const struct ph_operation *wanted = &pool->order.operations.items[i];
        struct ph_agent_vm *vm = ph_agent_vm_find(pool, wanted->vm);
        bool later = vm != NULL && vm->state != PH_VM_RUNNING && ph_agent_vm_alive(vm);
        if (find(pool, wanted->number) != NULL || wanted->epoch != pool->order.epoch ||
            busy(pool, wanted) || later || (vm != NULL && vm->task)) {
            continue;
        }
        struct ph_agent_operation *operation = add(agent, pool, wanted);
        if (operation == NULL) {
            return;
        }
        operation->row.state = PH_OPERATION_BEGUN;
        memcpy(operation->row.pool, pool->name, sizeof(operation->row.pool));
        if (ready(agent, pool, operation, vm, false)) {
            ph_agent_save(agent, &ph_record_operation, &operation->row);
            start(agent, pool, operation, vm, PH_TASK_VM_OPERATE);
        }
    }
}

void ph_agent_operation_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended)
{
    struct ph_agent_vm *vm = ph_agent_vm_find(pool, task->name);
    struct ph_agent_operation *operation = NULL;
    bool hung = result->status == -ETIMEDOUT && !ended;
    for (size_t i = 0; i < pool->operation_count; i++) {
        if (pool->operations[i].task && pool->operations[i].task_number == task->number) {
            operation = &pool->operations[i];
        }
    }
    if (vm != NULL) {
        vm->operation = hung; /* nothing else is done to it before that one is over */
    }
    if (operation == NULL) {
        return;
    }
    operation->task = hung;
    if (operation->row.state == PH_OPERATION_BEGUN) {
        conclude(agent, pool, operation,
            result->status == 0 ? PH_OPERATION_SUCCEEDED : PH_OPERATION_FAILED, result->reason,
            result->status == 0 ? result->found : NULL);
    }
    ph_agent_operations_prune(agent, pool);
}

int ph_agent_operations_fill(const struct ph_agent_pool *pool, struct ph_report *report)
{
    for (size_t i = 0; i < pool->operation_count && i < PH_OPERATIONS_MAX; i++) {
        struct ph_operation *out =
            ph_many_add(&ph_record_operation, (struct ph_many *)(void *)&report->operations);
        if (out == NULL ||
            ph_record_copy(&ph_record_operation, out, &pool->operations[i].row) != 0) {
            return -1;
        }
    }
    return 0;
}
