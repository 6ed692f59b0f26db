/*
 * A node's disk and what lives of each pool on it: what the tasks of an agent do, done.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <string.h>

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
    if (sim_any_alive(sim, index, pool)) {
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
        if (disk->vms[i].alive && disk->stubborn_until_us > sim->now_us) {
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
    if (node->agent == NULL || node->agent_life != event->life ||
        sim_deferred(sim, event, sim_agent_away_us(node))) {
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
    uint64_t *random = &sim->nodes[task->peer].random;
    sim_at(sim, sim->now_us + sim_between(random, 10, 5 * SIM_MS),
        (struct sim_event){.run = received,
            .node = task->peer,
            .pool = task->pool,
            .life = sim->nodes[task->peer].agent_life});
    result->data_epoch = data->epoch;
    result->sequence = data->sequence;
    result->bytes = 1000;
    result->age_ms = (int64_t)((sim->now_us - data->content_us) / 1000);
    bool answered = sim->now_us >= sim->nodes[index].drivers_until_us || !sim_chance(random, 0.02);
    return answered ? 0 : -EIO; /* it arrived, the answer did not */
}

int sim_disk_apply(struct sim *sim, int index, struct sim_task *task, struct ph_task_result *result)
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
        if (disk->active || sim_any_alive(sim, index, task->pool)) {
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
    case PH_TASK_VM_OPERATE: /* its VMs are processes, to which nothing can be done */
    case PH_TASK_VM_LOOK:
        sim_fail(
            sim, "%s operates on a VM of %s", sim->nodes[index].name, sim->pools[task->pool].name);
    }
    return status;
}

void sim_allow(struct sim *sim, int index, const struct ph_order *order)
{
    int pool = sim_pool_index(sim, order->pool.name);
    struct sim_disk *disk = &sim->nodes[index].disks[pool];
    disk->allowed = order->kind == PH_ORDER_HOLD;
    disk->allowed_epoch = order->epoch;
    memset(disk->allowed_from, 0, sizeof(disk->allowed_from));
    for (size_t i = 0; i < order->sources.count; i++) {
        int source = sim_node_index(sim, order->sources.items[i].node);
        if (source >= 0) {
            disk->allowed_from[source] = true;
        }
    }
    if (disk->allowed && (disk->active || sim_any_alive(sim, index, pool))) {
        sim_fail(sim, "%s accepts copies of %s while it is active there", sim->nodes[index].name,
            order->pool.name);
    }
}
