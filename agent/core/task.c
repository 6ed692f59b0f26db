/*
 * Tasks: starting them under the rules, ending them, and their results.
 */
#include "agent/core/agent.h"
#include "base/assert.h"
#include "proto/qemu.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool runs(enum ph_task_kind kind)
{
    return kind == PH_TASK_ACTIVATE || kind == PH_TASK_VM_START || kind == PH_TASK_VM_OPERATE;
}

bool ph_agent_task_any(const struct ph_agent_pool *pool, unsigned kinds, bool hung_only)
{
    for (size_t i = 0; i < pool->task_count; i++) {
        const struct ph_agent_task *task = &pool->tasks[i];
        if ((PH_TASK_BIT(task->kind) & kinds) != 0 && (task->hung || !hung_only)) {
            return true;
        }
    }
    return false;
}

struct ph_agent_task *ph_agent_task_find(
    const struct ph_agent_pool *pool, enum ph_task_kind kind, const char *name)
{
    for (size_t i = 0; i < pool->task_count; i++) {
        if (pool->tasks[i].kind == kind &&
            (name == NULL || strcmp(pool->tasks[i].name, name) == 0)) {
            return &pool->tasks[i];
        }
    }
    return NULL;
}

void ph_agent_task_cancel(struct ph_agent *agent, struct ph_agent_task *task)
{
    /* Stopping is never cancelled: it only ever leads where every order may go on from. */
    bool useful = task->kind == PH_TASK_ACTIVATE || task->kind == PH_TASK_COPY ||
                  task->kind == PH_TASK_DROP || task->hung;
    if (useful && !task->cancelled) {
        task->cancelled = true;
        ph_agent_cancel_effect(agent, task->number);
    }
}

void ph_agent_cancel_copies(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->task_count; i++) {
        if (pool->tasks[i].kind == PH_TASK_COPY) {
            ph_agent_task_cancel(agent, &pool->tasks[i]);
        }
    }
}

static uint64_t timeout_ms(enum ph_task_kind kind, const struct ph_agent_vm *vm)
{
    switch (kind) {
    case PH_TASK_ACTIVATE:
        return PH_TASK_ACTIVATE_MS;
    case PH_TASK_DEACTIVATE:
        return PH_TASK_DEACTIVATE_MS;
    case PH_TASK_COPY:
        return PH_TASK_COPY_MS;
    case PH_TASK_DROP:
        return PH_TASK_DROP_MS;
    case PH_TASK_VM_START:
        return PH_TASK_VM_START_MS;
    case PH_TASK_VM_STOP:
        return PH_TASK_VM_STOP_MS +
               (vm != NULL ? (uint64_t)ph_stop_timeout_ms(&vm->spec) : PH_STOP_TIMEOUT_MS_USUAL);
    case PH_TASK_VM_OPERATE:
    case PH_TASK_VM_LOOK:
        return PH_TASK_VM_OPERATE_MS;
    case PH_TASK_KILL:
        break;
    }
    return PH_TASK_KILL_MS;
}

/* What the task needs of the order: everything about the pool, of the VMs only those meant. */
static int fill_order(const struct ph_agent_pool *pool, enum ph_task_kind kind,
    const struct ph_agent_vm *vm, struct ph_order *order)
{
    struct ph_order shallow = pool->order; /* borrowed members, copied below */
    memset(&shallow.vms, 0, sizeof(shallow.vms));
    memset(&shallow.copies, 0, sizeof(shallow.copies));
    memset(&shallow.sources, 0, sizeof(shallow.sources));
    memset(&shallow.operations, 0, sizeof(shallow.operations));
    if (ph_record_copy(&ph_record_order, order, &shallow) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < pool->vm_count; i++) {
        const struct ph_agent_vm *each = &pool->vms[i];
        if ((vm != NULL && each != vm) || (vm == NULL && each->removed && kind != PH_TASK_KILL)) {
            continue;
        }
        struct ph_vm *copy = ph_many_add(&ph_record_vm, (struct ph_many *)(void *)&order->vms);
        if (copy == NULL || ph_record_copy(&ph_record_vm, copy, &each->spec) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

struct ph_task *ph_agent_task_make(struct ph_agent *agent, struct ph_agent_pool *pool,
    enum ph_task_kind kind, struct ph_agent_vm *vm, struct ph_agent_peer *peer, bool last)
{
    if (runs(kind)) {
        /* The one rule that everything hangs on, asked again where nothing can get round it. */
        if (!ph_agent_may_run(agent, pool)) {
            return NULL;
        }
        agent->last_run_ms = agent->now_ms;
        agent->last_run_deadline_ms = agent->lease.deadline_ms;
        agent->last_run_generation = agent->lease.generation;
    }
    if ((PH_TASK_BIT(kind) & PH_TASK_DATA) != 0 &&
        ph_agent_task_any(pool, kind == PH_TASK_KILL ? PH_TASK_DATA : PH_TASK_ANY, false)) {
        return NULL;
    }
    if (pool->task_count == pool->task_room) {
        size_t room = pool->task_room == 0 ? 4 : pool->task_room * 2;
        struct ph_agent_task *tasks = realloc(pool->tasks, room * sizeof(*tasks));
        if (tasks == NULL) {
            agent->out_of_memory = true;
            return NULL;
        }
        pool->tasks = tasks;
        pool->task_room = room;
    }
    struct ph_task *out = calloc(1, sizeof(*out));
    if (out == NULL || fill_order(pool, kind, vm, &out->order) != 0 ||
        (peer != NULL && ph_record_copy(&ph_record_peer, &out->peer, &peer->peer) != 0)) {
        ph_task_destroy(&out);
        agent->out_of_memory = true;
        return NULL;
    }
    struct ph_agent_task *task = &pool->tasks[pool->task_count++];
    memset(task, 0, sizeof(*task));
    task->number = ++agent->last_task;
    task->kind = kind;
    task->generation = agent->lease.generation;
    task->epoch = pool->order.epoch;
    task->began_ms = agent->now_ms;
    task->last = last;
    task->urgent = peer != NULL ? peer->peer.urgent : 0;
    /* Not with a last copy: nobody waits for a comparison while the pool is down. */
    if (peer != NULL && !last && peer->peer.verify > peer->verify_done) {
        task->verify = peer->peer.verify;
    }
    if (vm != NULL || peer != NULL) {
        (void)ph_text_format(
            task->name, sizeof(task->name), "%s", vm != NULL ? vm->spec.name : peer->peer.node);
    }
    out->number = task->number;
    out->kind = kind;
    out->epoch = task->epoch;
    out->generation = task->generation;
    out->last = last;
    out->verify = task->verify > 0;
    out->timeout_ms = timeout_ms(kind, vm);
    if (vm != NULL) {
        memcpy(out->vm, vm->spec.name, sizeof(out->vm));
    }
    if (peer != NULL) {
        peer->task = true;
        agent->copies_under_way++;
    }
    return out;
}

bool ph_agent_task_start(struct ph_agent *agent, struct ph_agent_pool *pool, enum ph_task_kind kind,
    struct ph_agent_vm *vm, struct ph_agent_peer *peer, bool last)
{
    struct ph_task *task = ph_agent_task_make(agent, pool, kind, vm, peer, last);
    if (task == NULL) {
        return false;
    }
    if (vm != NULL) {
        vm->task = true;
    }
    ph_agent_task_effect(agent, task);
    return true;
}

/* The activation has an outcome, in time or late. */
static void activated(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result)
{
    if (result->status == 0) {
        if (!pool->owner_data || result->data_epoch > pool->data_epoch) {
            pool->data_sequence = 0;
        }
        pool->data_epoch = result->data_epoch > 0 ? result->data_epoch : task->epoch;
        pool->data_active = true;
        pool->active_epoch = task->epoch;
        pool->owner_data = true;
        pool->unsequenced = true;
        pool->report_dirty = true;
        if (task->generation != agent->lease.generation || !ph_agent_lease_valid(agent)) {
            pool->active_epoch = -1; /* outlived its lease: to be activated anew before it counts */
        }
        return;
    }
    if (pool->phase != PH_AP_ACTIVATING || task->epoch != pool->order.epoch ||
        pool->order.kind != PH_ORDER_ACTIVATE || (task->cancelled && !task->hung)) {
        return;
    }
    pool->failed = true;
    ph_agent_pool_reason(pool, "%s",
        result->status == -ETIMEDOUT
            ? "activating the data hangs; look at the node's disk and the pool's driver"
            : result->reason);
    if (!pool->data_active && !pool->ran) {
        ph_agent_pool_set_phase(pool, PH_AP_IDLE);
        ph_agent_pool_set_local(pool, PH_LOCAL_FAILED);
    }
}

static struct ph_agent_pool *find_task(
    const struct ph_agent *agent, int64_t number, size_t *index_out)
{
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        for (size_t j = 0; j < pool->task_count; j++) {
            if (pool->tasks[j].number == number) {
                *index_out = j;
                return pool;
            }
        }
    }
    return NULL;
}

static void dispatch(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended)
{
    switch (task->kind) {
    case PH_TASK_ACTIVATE:
        activated(agent, pool, task, result);
        break;
    case PH_TASK_DEACTIVATE:
    case PH_TASK_DROP:
    case PH_TASK_KILL:
        ph_agent_teardown_result(agent, pool, task->kind, result);
        break;
    case PH_TASK_COPY:
        ph_agent_copy_result(agent, pool, task, result, ended);
        break;
    case PH_TASK_VM_START:
    case PH_TASK_VM_STOP:
        ph_agent_vm_result(agent, pool, task, result, ended);
        break;
    case PH_TASK_VM_OPERATE:
    case PH_TASK_VM_LOOK:
        ph_agent_operation_result(agent, pool, task, result, ended);
        break;
    }
}

void ph_agent_on_task(struct ph_agent *agent, const struct ph_task_result *given, bool ended)
{
    size_t index = 0;
    struct ph_agent_pool *pool = find_task(agent, given->number, &index);
    if (pool == NULL || pool->tasks[index].hung != ended) {
        return; /* of another process, or reported twice */
    }
    struct ph_task_result result = *given;
    if (result.status != 0 && (result.reason == NULL || result.reason[0] == '\0')) {
        result.reason = strerror(result.status < 0 ? -result.status : result.status);
    }
    ph_agent_pool_touch(pool);
    struct ph_agent_task task = pool->tasks[index];
    if (!ended && result.status == -ETIMEDOUT) {
        /* It may go on for ever, so what waits for it hears of a failure; its slot stays taken. */
        pool->tasks[index].hung = true;
        dispatch(agent, pool, &task, &result, false);
        if (find_task(agent, given->number, &index) == pool) {
            ph_agent_task_cancel(agent, &pool->tasks[index]);
        }
        return;
    }
    memmove(&pool->tasks[index], &pool->tasks[index + 1],
        (pool->task_count - index - 1) * sizeof(*pool->tasks));
    pool->task_count--;
    if (task.kind == PH_TASK_COPY) {
        agent->copies_under_way--;
        ph_agent_copy_slot_free(agent);
    }
    if (result.status == -ETIMEDOUT) {
        result.status = -EIO;
    }
    dispatch(agent, pool, &task, &result, ended);
}

void ph_agent_on_progress(struct ph_agent *agent, const struct ph_task_result *result)
{
    size_t index = 0;
    struct ph_agent_pool *pool = find_task(agent, result->number, &index);
    if (pool == NULL || pool->tasks[index].kind != PH_TASK_COPY) {
        return;
    }
    struct ph_agent_peer *peer = ph_agent_peer_find(pool, pool->tasks[index].name);
    if (peer != NULL && agent->now_ms >= peer->progress_ms) {
        peer->progress_ms = agent->now_ms + PH_AGENT_PROGRESS_MS;
        uint64_t span_ms = agent->now_ms - peer->sent_ms;
        int64_t grown = result->bytes - peer->sent_bytes;
        peer->kib_s = span_ms > 0 && grown > 0 ? grown / 1024 * 1000 / (int64_t)span_ms : 0;
        peer->sent_bytes = result->bytes;
        peer->sent_ms = agent->now_ms;
        peer->progress = result->sequence < 0 ? 0 : result->sequence > 100 ? 100 : result->sequence;
        ph_agent_copy_report_dirty(peer);
        ph_agent_pool_touch(pool);
    }
}
