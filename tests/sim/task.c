/*
 * Tasks of an agent: pool drivers, workload drivers and the data channel, as slow and as wilful as
 * they come. What a task does to the disk, it does at its end.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define TASKS (sizeof(((struct sim_node *)NULL)->tasks) / sizeof(struct sim_task *))

static bool newer(const struct sim_data *a, const struct sim_data *b)
{
    return a->epoch != b->epoch ? a->epoch > b->epoch : a->sequence > b->sequence;
}

static int activate(struct sim *sim, int index, const struct sim_task *task)
{
    struct sim_disk *disk = &sim->nodes[index].disks[task->pool];
    struct sim_pool *pool = &sim->pools[task->pool];
    int64_t epoch = task->task->epoch;
    if (epoch < disk->stored_epoch) {
        return -ESTALE;
    }
    bool create = task->task->order.create && !(disk->data.exists && disk->data.epoch == epoch);
    if (!create && !disk->data.exists && !disk->copy.exists) {
        return -ENOENT;
    }
    disk->stored_epoch = epoch;
    if (create) {
        disk->data = (struct sim_data){.exists = true, .epoch = epoch};
        disk->copy = (struct sim_data){0};
        disk->next_sequence = 0;
        pool->newest_us = 0;
        pool->clean = false;
    } else if (!disk->data.exists || (disk->copy.exists && newer(&disk->copy, &disk->data))) {
        disk->data = disk->copy;
    }
    if (disk->data.epoch < epoch) {
        disk->data.epoch = epoch;
        disk->data.sequence = 0;
        disk->next_sequence = 0;
    }
    disk->active = disk->marked = true;
    sim_trace(sim, sim->nodes[index].name, "disk: %s active at epoch %lld, written %llu us",
        pool->name, (long long)epoch, (unsigned long long)disk->data.content_us);
    sim_check_active(sim, index, task->pool, disk->data.content_us);
    return 0;
}

static int deactivate(
    struct sim *sim, int index, const struct sim_task *task, struct ph_task_result *result)
{
    int pool = task->pool;
    struct sim_disk *disk = &sim->nodes[index].disks[pool];
    if (sim_any_alive(disk)) {
        return -EBUSY;
    }
    bool ordered = disk->active && task->task->order.kind == PH_ORDER_DEACTIVATE;
    if (disk->marked) { /* whether it was released by the guard, by a power cut, or not yet */
        disk->active = disk->marked = false;
        disk->data.sequence = ++disk->next_sequence;
        if (ordered && disk->data.content_us == sim->pools[pool].newest_us) {
            sim->pools[pool].clean = true;
            sim->pools[pool].clean_node = index;
            sim->pools[pool].given = 0;
        }
    }
    result->data_epoch = disk->data.exists ? disk->data.epoch : 0;
    result->sequence = disk->data.exists ? disk->data.sequence : 0;
    return 0;
}

static int vm_start(
    struct sim *sim, int index, const struct sim_task *task, struct ph_task_result *result)
{
    struct sim_node *node = &sim->nodes[index];
    struct sim_disk *disk = &node->disks[task->pool];
    struct sim_vm *vm = &disk->vms[task->vm];
    if (!sim_lease_valid(sim, index, task->task->generation)) {
        return -ESTALE;
    }
    if (!node->guard_up) {
        return -EIO; /* it could not be registered */
    }
    if (!disk->active) {
        sim_fail(sim, "%s starts %s of %s without its data", node->name, task->task->vm,
            sim->pools[task->pool].name);
    }
    if (vm->alive) {
        sim_fail(sim, "%s starts %s of %s, which is running", node->name, task->task->vm,
            sim->pools[task->pool].name);
    }
    vm->alive = true;
    vm->pid = ++sim->serial;
    vm->since_us = sim->now_us;
    vm->stubborn = sim->storm && sim_chance(sim, 0.02 * sim->rate);
    vm->stubborn_until_us = sim->now_us + sim_between(sim, SIM_SECOND, 300 * SIM_SECOND);
    result->pid = vm->pid;
    sim->pools[task->pool].clean = false;
    sim_touch_content(sim, index, task->pool);
    sim_check_alive(sim, task->pool);
    return 0;
}

static int stop_vms(struct sim *sim, int index, const struct sim_task *task)
{
    struct sim_disk *disk = &sim->nodes[index].disks[task->pool];
    int status = 0;
    for (int i = 0; i < SIM_VMS; i++) {
        if (task->vm >= 0 && i != task->vm) {
            continue;
        }
        if (disk->vms[i].alive && disk->vms[i].stubborn &&
            disk->vms[i].stubborn_until_us > sim->now_us) {
            status = -EBUSY;
        } else {
            sim_vm_dies(sim, index, task->pool, i);
        }
    }
    return status;
}

static void received(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (node->agent == NULL || node->agent_life != event->life) {
        return;
    }
    const struct sim_data *copy = &node->disks[event->pool].copy;
    struct ph_task_result result = {.data_epoch = copy->epoch, .sequence = copy->sequence};
    struct ph_agent_event in = {
        .kind = PH_AE_COPY_RECEIVED, .pool = sim->pools[event->pool].name, .result = &result};
    sim_agent_step(sim, event->node, &in);
}

static int copy(struct sim *sim, int index, struct sim_task *task, struct ph_task_result *result)
{
    if (task->peer < 0 || !sim_reachable(sim, index, task->peer)) {
        return -EHOSTUNREACH;
    }
    struct sim_disk *there = &sim->nodes[task->peer].disks[task->pool];
    const struct sim_data *data = &task->snapshot;
    if (!data->exists) {
        return -ENOENT;
    }
    if (!there->allowed || !there->allowed_from[index] || data->epoch < there->allowed_epoch) {
        return -EACCES;
    }
    if (data->epoch < there->stored_epoch) {
        return -ESTALE;
    }
    if (there->active) {
        sim_fail(sim, "%s takes a copy of %s while it is active there", sim->nodes[task->peer].name,
            sim->pools[task->pool].name);
    }
    there->stored_epoch = data->epoch;
    if (!there->copy.exists || !newer(&there->copy, data)) {
        there->copy = *data;
    }
    sim_at(sim, sim->now_us + sim_between(sim, 10, 5 * SIM_MS),
        (struct sim_event){.run = received,
            .node = task->peer,
            .pool = task->pool,
            .life = sim->nodes[task->peer].agent_life});
    result->data_epoch = data->epoch;
    result->sequence = data->sequence;
    result->bytes = 1000;
    result->age_ms = (int64_t)((sim->now_us - data->content_us) / 1000);
    return sim->storm && sim_chance(sim, 0.02) ? -EIO : 0; /* it arrived, the answer did not */
}

/* What the task does, done. */
static int apply(struct sim *sim, int index, struct sim_task *task, struct ph_task_result *result)
{
    struct sim_disk *disk = &sim->nodes[index].disks[task->pool];
    int status = 0;
    switch (task->task->kind) {
    case PH_TASK_ACTIVATE:
        status = activate(sim, index, task);
        result->data_epoch = task->task->epoch;
        break;
    case PH_TASK_DEACTIVATE:
        status = deactivate(sim, index, task, result);
        break;
    case PH_TASK_COPY:
        status = copy(sim, index, task, result);
        break;
    case PH_TASK_DROP:
        if (disk->active || sim_any_alive(disk)) {
            sim_fail(sim, "%s drops %s while it is active there", sim->nodes[index].name,
                sim->pools[task->pool].name);
        }
        disk->data = disk->copy = (struct sim_data){0};
        disk->stored_epoch = disk->next_sequence = 0;
        disk->marked = false;
        break;
    case PH_TASK_VM_START:
        status = vm_start(sim, index, task, result);
        break;
    case PH_TASK_VM_STOP:
    case PH_TASK_KILL:
        status = stop_vms(sim, index, task);
        break;
    }
    return status;
}

static struct sim_task **find(struct sim_node *node, int64_t serial)
{
    for (size_t i = 0; i < TASKS; i++) {
        if (node->tasks[i] != NULL && node->tasks[i]->serial == serial) {
            return &node->tasks[i];
        }
    }
    return NULL;
}

static void task_free(struct sim_task **slot)
{
    ph_task_destroy(&(*slot)->task);
    free(*slot);
    *slot = NULL;
}

static void finish(struct sim *sim, struct sim_event *event);

static void report(
    struct sim *sim, int index, struct sim_task **slot, struct ph_task_result *result)
{
    struct sim_task *task = *slot;
    bool was_hung = task->hung;
    result->number = task->task->number;
    result->reason = result->status == 0 ? NULL : "the simulated driver says no";
    sim_trace(sim, sim->nodes[index].name, "task %lld of %s (kind %d %s) ends: %d",
        (long long)result->number, sim->pools[task->pool].name, (int)task->task->kind,
        task->task->kind == PH_TASK_COPY ? task->task->peer.node : task->task->vm, result->status);
    task_free(slot);
    struct ph_agent_event in = {
        .kind = was_hung ? PH_AE_TASK_ENDED : PH_AE_TASK_DONE, .result = result};
    sim_agent_step(sim, index, &in);
}

static void hang(struct sim *sim, int index, struct sim_task *task)
{
    task->hung = true;
    sim_at(sim, sim->now_us + sim_between(sim, SIM_SECOND, 60 * SIM_SECOND),
        (struct sim_event){.run = finish, .node = index, .life = task->serial});
    struct ph_task_result result = {
        .number = task->task->number, .status = -ETIMEDOUT, .reason = "the simulated driver hangs"};
    struct ph_agent_event in = {.kind = PH_AE_TASK_DONE, .result = &result};
    sim_agent_step(sim, index, &in);
}

static void finish(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    struct sim_task **slot = find(node, event->life);
    if (slot == NULL || node->agent == NULL) {
        return;
    }
    struct sim_task *task = *slot;
    if (task->status == -ETIMEDOUT && !task->hung && task->cancelled) {
        task->status = -ECANCELED; /* before its time was up */
    }
    if (task->status == -ETIMEDOUT && !task->hung) {
        task->status = sim_chance(sim, 0.5) ? 0 : -EIO;
        hang(sim, event->node, task);
        return;
    }
    struct ph_task_result result = {0};
    if (task->status != 0) {
        result.status = task->status;
    } else if (task->cancelled && sim_chance(sim, 0.7)) {
        result.status = -ECANCELED;
    } else {
        result.status = apply(sim, event->node, task, &result);
    }
    if (node->agent != NULL && find(node, event->life) == slot) {
        report(sim, event->node, slot, &result);
    }
}

static uint64_t duration_us(struct sim *sim, const struct ph_task *task)
{
    uint64_t low_ms = 2, high_ms = 50;
    switch (task->kind) {
    case PH_TASK_ACTIVATE:
        high_ms = 100;
        break;
    case PH_TASK_COPY:
        low_ms = 20;
        high_ms = 400;
        break;
    case PH_TASK_VM_STOP:
        high_ms = 200;
        break;
    case PH_TASK_DEACTIVATE:
    case PH_TASK_DROP:
    case PH_TASK_VM_START:
    case PH_TASK_KILL:
        break;
    }
    uint64_t us = sim_between(sim, low_ms * SIM_MS, high_ms * SIM_MS);
    bool slow = sim->storm && sim_chance(sim, 0.03 + 0.1 * sim->rate);
    return slow ? us * sim_between(sim, 5, 50) : us;
}

static int outcome(struct sim *sim, const struct ph_task *task)
{
    if (!sim->storm || !sim_chance(sim, 0.05 * sim->rate)) {
        return 0;
    }
    if (sim_chance(sim, 0.15) && task->kind != PH_TASK_COPY) {
        return -ETIMEDOUT;
    }
    return task->kind == PH_TASK_KILL ? -EBUSY : -EIO;
}

void sim_task_start(struct sim *sim, int index, struct ph_task *given)
{
    struct sim_node *node = &sim->nodes[index];
    size_t free_slot = 0;
    while (free_slot < TASKS && node->tasks[free_slot] != NULL) {
        free_slot++;
    }
    struct sim_task *task = calloc(1, sizeof(*task));
    if (free_slot == TASKS || task == NULL) {
        sim_fail(sim, "%s has too many tasks under way", node->name);
    }
    node->tasks[free_slot] = task;
    task->task = given;
    task->serial = ++sim->serial;
    task->pool = sim_pool_index(sim, given->order.pool.name);
    task->vm = given->vm[0] == '\0' ? -1 : sim_vm_index(given->vm);
    task->peer = given->peer.node[0] == '\0' ? -1 : sim_node_index(sim, given->peer.node);
    task->status = outcome(sim, given);
    sim_trace(sim, node->name, "task %lld of %s (kind %d %s) begins under epoch %lld",
        (long long)given->number, sim->pools[task->pool].name, (int)given->kind,
        given->kind == PH_TASK_COPY ? given->peer.node : given->vm, (long long)given->epoch);
    uint64_t takes_us = duration_us(sim, given);
    if (given->kind == PH_TASK_COPY) {
        struct sim_disk *disk = &node->disks[task->pool];
        sim_touch_content(sim, index, task->pool);
        if (given->last && (disk->active || sim_any_alive(disk))) {
            sim_fail(sim, "%s makes the last copy of %s, which is active", node->name,
                sim->pools[task->pool].name);
        }
        if (disk->data.exists && (disk->active || disk->data.sequence == 0)) {
            disk->data.sequence = ++disk->next_sequence;
        }
        task->snapshot = disk->data;
        if (task->peer >= 0 && !sim_reachable(sim, index, task->peer)) {
            takes_us = sim_between(sim, SIM_SECOND, 5 * SIM_SECOND);
        }
    }
    if (task->status == -ETIMEDOUT) {
        takes_us = given->timeout_ms * SIM_MS;
    } else if (task->status == -EIO && given->kind == PH_TASK_VM_STOP) {
        takes_us = 10 * SIM_SECOND;
    }
    sim_at(sim, sim->now_us + takes_us,
        (struct sim_event){.run = finish, .node = index, .life = task->serial});
}

void sim_task_cancel(struct sim *sim, int index, int64_t number)
{
    struct sim_node *node = &sim->nodes[index];
    for (size_t i = 0; i < TASKS; i++) {
        struct sim_task *task = node->tasks[i];
        if (task != NULL && task->task->number == number && !task->cancelled) {
            if (task->hung && sim_chance(sim, 0.7)) {
                return; /* what hangs does not listen */
            }
            task->cancelled = true;
            sim_at(sim, sim->now_us + sim_between(sim, SIM_MS, 50 * SIM_MS),
                (struct sim_event){.run = finish, .node = index, .life = task->serial});
        }
    }
}

void sim_tasks_die(struct sim *sim, int index, bool power)
{
    struct sim_node *node = &sim->nodes[index];
    for (size_t i = 0; i < TASKS; i++) {
        struct sim_task *task = node->tasks[i];
        if (task == NULL) {
            continue;
        }
        /* A worker thread dies somewhere on its way: it did all of it, or nothing. */
        if (!power && task->status == 0 && task->task->kind != PH_TASK_COPY &&
            sim_chance(sim, 0.5)) {
            struct ph_task_result result = {0};
            (void)apply(sim, index, task, &result);
        }
        task_free(&node->tasks[i]);
    }
}

void sim_allow(struct sim *sim, int index, const struct ph_order *order)
{
    struct sim_disk *disk = &sim->nodes[index].disks[sim_pool_index(sim, order->pool.name)];
    disk->allowed = order->kind == PH_ORDER_HOLD;
    disk->allowed_epoch = order->epoch;
    memset(disk->allowed_from, 0, sizeof(disk->allowed_from));
    for (size_t i = 0; i < order->sources.count; i++) {
        int source = sim_node_index(sim, order->sources.items[i].node);
        if (source >= 0) {
            disk->allowed_from[source] = true;
        }
    }
    if (disk->allowed && (disk->active || sim_any_alive(disk))) {
        sim_fail(sim, "%s accepts copies of %s while it is active there", sim->nodes[index].name,
            order->pool.name);
    }
}
