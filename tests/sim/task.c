/*
 * Tasks of an agent: pool drivers, workload drivers and the data channel, as slow and as wilful as
 * they come. What a task does to the disk, it does at its end.
 */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct sim_task **find(struct sim_node *node, int64_t serial)
{
    for (size_t i = 0; i < SIM_TASKS; i++) {
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
    uint64_t *random = &sim->nodes[index].random;
    sim_at(sim, sim->now_us + sim_between(random, SIM_SECOND, 60 * SIM_SECOND),
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
    if (slot == NULL || node->agent == NULL || sim_deferred(sim, event, sim_agent_away_us(node))) {
        return;
    }
    struct sim_task *task = *slot;
    if (task->status == -ETIMEDOUT && !task->hung && task->cancelled) {
        task->status = -ECANCELED; /* before its time was up */
    }
    if (task->status == -ETIMEDOUT && !task->hung) {
        task->status = sim_chance(&node->random, 0.5) ? 0 : -EIO;
        hang(sim, event->node, task);
        return;
    }
    struct ph_task_result result = {0};
    if (task->status != 0) {
        result.status = task->status;
    } else if (task->cancelled && sim_chance(&node->random, 0.7)) {
        result.status = -ECANCELED;
    } else {
        result.status = sim_disk_apply(sim, event->node, task, &result);
    }
    if (node->agent != NULL && find(node, event->life) == slot) {
        report(sim, event->node, slot, &result);
    }
}

/* How likely its drivers fail, 0..1. */
static double drivers_rate(const struct sim *sim, const struct sim_node *node)
{
    return sim->now_us < node->drivers_until_us ? node->drivers_rate : 0;
}

static uint64_t duration_us(struct sim *sim, struct sim_node *node, const struct ph_task *task)
{
    double rate = drivers_rate(sim, node);
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
    case PH_TASK_VM_LOOK:
        break;
    case PH_TASK_VM_OPERATE:
        high_ms = 1000;
        break;
    }
    uint64_t us = sim_between(&node->random, low_ms * SIM_MS, high_ms * SIM_MS);
    bool slow = rate > 0 && sim_chance(&node->random, 0.03 + 0.1 * rate);
    return slow ? us * sim_between(&node->random, 5, 50) : us;
}

static int outcome(struct sim *sim, struct sim_node *node, const struct ph_task *task)
{
    double rate = drivers_rate(sim, node);
    if (rate <= 0 || !sim_chance(&node->random, 0.05 * rate)) {
        return 0;
    }
    if (sim_chance(&node->random, 0.15) && task->kind != PH_TASK_COPY) {
        return -ETIMEDOUT;
    }
    return task->kind == PH_TASK_KILL ? -EBUSY : -EIO;
}

void sim_task_start(struct sim *sim, int index, struct ph_task *given)
{
    struct sim_node *node = &sim->nodes[index];
    size_t free_slot = 0;
    while (free_slot < SIM_TASKS && node->tasks[free_slot] != NULL) {
        free_slot++;
    }
    struct sim_task *task = calloc(1, sizeof(*task));
    if (free_slot == SIM_TASKS || task == NULL) {
        sim_fail(sim, "%s has too many tasks under way", node->name);
    }
    node->tasks[free_slot] = task;
    task->task = given;
    task->serial = ++sim->serial;
    task->pool = sim_pool_index(sim, given->order.pool.name);
    task->vm = given->vm[0] == '\0' ? -1 : sim_vm_index(given->vm);
    task->peer = given->peer.node[0] == '\0' ? -1 : sim_node_index(sim, given->peer.node);
    task->status = outcome(sim, node, given);
    sim_trace(sim, node->name, "task %lld of %s (kind %d %s) begins under epoch %lld",
        (long long)given->number, sim->pools[task->pool].name, (int)given->kind,
        given->kind == PH_TASK_COPY ? given->peer.node : given->vm, (long long)given->epoch);
    uint64_t takes_us = duration_us(sim, node, given);
    if (given->kind == PH_TASK_COPY) {
        struct sim_disk *disk = &node->disks[task->pool];
        sim_touch_content(sim, index, task->pool);
        if (given->last && (disk->active || sim_any_alive(sim, index, task->pool))) {
            sim_fail(sim, "%s makes the last copy of %s, which is active", node->name,
                sim->pools[task->pool].name);
        }
        if (disk->data.exists && (disk->active || disk->data.sequence == 0)) {
            disk->data.sequence = ++disk->next_sequence;
        }
        task->snapshot = disk->data;
        if (task->peer >= 0 && !sim_reachable(sim, index, task->peer)) {
            takes_us = sim_between(&node->random, SIM_SECOND, 5 * SIM_SECOND);
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
    for (size_t i = 0; i < SIM_TASKS; i++) {
        struct sim_task *task = node->tasks[i];
        if (task != NULL && task->task->number == number && !task->cancelled) {
            if (task->hung && sim_chance(&node->random, 0.7)) {
                return; /* what hangs does not listen */
            }
            task->cancelled = true;
            sim_at(sim, sim->now_us + sim_between(&node->random, SIM_MS, 50 * SIM_MS),
                (struct sim_event){.run = finish, .node = index, .life = task->serial});
        }
    }
}

void sim_tasks_die(struct sim *sim, int index, bool power)
{
    struct sim_node *node = &sim->nodes[index];
    for (size_t i = 0; i < SIM_TASKS; i++) {
        struct sim_task *task = node->tasks[i];
        if (task == NULL) {
            continue;
        }
        /* A worker thread dies somewhere on its way: it did all of it, or nothing. */
        if (!power && task->status == 0 && task->task->kind != PH_TASK_COPY &&
            sim_chance(&node->random, 0.5)) {
            struct ph_task_result result = {0};
            (void)sim_disk_apply(sim, index, task, &result);
        }
        task_free(&node->tasks[i]);
    }
}
