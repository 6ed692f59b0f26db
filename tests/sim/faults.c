/*
 * What goes wrong: each fault of a play, done to the world. Most last until a moment that is noted where
 * the trouble is; those that wait for a job's phase are done when the next job has entered it.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

void sim_trouble(struct sim *sim, uint64_t until_us)
{
    sim->trouble_until_us = until_us > sim->trouble_until_us ? until_us : sim->trouble_until_us;
}

static void later(uint64_t *until_us, uint64_t other_us)
{
    *until_us = other_us > *until_us ? other_us : *until_us;
}

static void kill_a_vm(struct sim *sim, int pool, uint64_t detail)
{
    int node = 0;
    while (node < sim->node_count && !sim_any_alive(sim, node, pool)) {
        node++;
    }
    if (node == sim->node_count || sim->now_us < sim_agent_away_us(&sim->nodes[node])) {
        return;
    }
    struct sim_node *on = &sim->nodes[node];
    int index = (int)(detail % SIM_VMS);
    while (!on->disks[pool].vms[index].alive) {
        index = (index + 1) % SIM_VMS;
    }
    char name[2] = {(char)('a' + index), '\0'};
    struct ph_agent_event event = {.kind = PH_AE_VM_ENDED,
        .pool = sim->pools[pool].name,
        .vm = name,
        .pid = on->disks[pool].vms[index].pid,
        .exit_status = detail % 3 == 0 ? 0 : -1};
    sim_trace(sim, on->name, "VM %s of %s ends by itself", name, sim->pools[pool].name);
    sim_vm_dies(sim, node, pool, index);
    if (on->agent != NULL) {
        sim_agent_step(sim, node, &event);
    }
}

static void change_rate(struct sim *sim, struct sim_node *node)
{
    if (!node->powered) {
        return;
    }
    sim_clock_rate(sim, &node->clock, &node->random);
    if (node->page_deadline_ms != 0) {
        sim_guard_watch(sim, node->index);
    }
    if (node->agent != NULL) {
        sim_agent_sleep(sim, node->index);
    }
}

static void fault_of_manager(struct sim *sim, const struct sim_item *item, uint64_t until_us)
{
    struct sim_manager *manager = &sim->manager;
    switch ((int)item->action) {
    case SIM_DO_MANAGER_CRASH:
        sim_manager_crash(sim, item->for_ms * SIM_MS);
        break;
    case SIM_DO_MANAGER_CRASH_AFTER:
        manager->crash_after = item->amount;
        manager->crash_for_us = item->for_ms * SIM_MS;
        break;
    case SIM_DO_MANAGER_PAUSE:
        later(&manager->paused_until_us, manager->core == NULL ? 0 : until_us);
        break;
    case SIM_DO_MANAGER_STALL:
        later(&manager->stall_until_us, until_us);
        break;
    case SIM_DO_MANAGER_FULL:
        later(&manager->full_until_us, until_us);
        break;
    case SIM_DO_MANAGER_CUT:
        for (int i = 0; i < sim->node_count; i++) {
            later(&sim->links[i][SIM_MANAGER].cut_until_us, until_us);
            later(&sim->links[SIM_MANAGER][i].cut_until_us, until_us);
        }
        break;
    default:
        manager->wall_skew_ms = item->amount;
        break;
    }
}

static void fault_of_node(struct sim *sim, const struct sim_item *item, uint64_t until_us)
{
    struct sim_node *node = &sim->nodes[item->node];
    switch ((int)item->action) {
    case SIM_DO_AGENT_CRASH:
        sim_agent_crash(sim, item->node, item->for_ms * SIM_MS);
        break;
    case SIM_DO_AGENT_CRASH_AFTER:
        node->crash_after = item->amount;
        node->crash_for_us = item->for_ms * SIM_MS;
        break;
    case SIM_DO_AGENT_PAUSE:
        later(&node->paused_until_us, node->agent == NULL ? 0 : until_us);
        break;
    case SIM_DO_SUSPEND:
        sim_node_suspend(sim, item->node, item->for_ms * SIM_MS);
        break;
    case SIM_DO_DISK_LOST:
        sim_node_power_off(sim, item->node, item->for_ms * SIM_MS);
        sim_node_lose_disk(sim, item->node);
        break;
    case SIM_DO_POWER_OFF:
        sim_node_power_off(sim, item->node, item->for_ms * SIM_MS);
        break;
    case SIM_DO_DISK_STALL:
        later(&node->stall_until_us, until_us);
        break;
    case SIM_DO_DISK_FULL:
        later(&node->full_until_us, until_us);
        break;
    case SIM_DO_GUARD_CRASH:
        sim_guard_crash(sim, item->node, item->for_ms * SIM_MS);
        break;
    case SIM_DO_CLOCK_RATE:
        change_rate(sim, node);
        break;
    default:
        node->wall_skew_ms = item->amount;
        break;
    }
}

/* One process stands still, about once in ten seconds. */
static void stand_still(struct sim *sim, struct sim_event *event)
{
    bool manager = event->node == SIM_MANAGER;
    struct sim_node *node = &sim->nodes[manager ? 0 : event->node];
    uint64_t *random = manager ? &sim->manager.random : &node->random;
    if (sim->now_us >= sim->stutter_until_us) {
        return;
    }
    if (manager && sim->manager.core != NULL) {
        later(&sim->manager.paused_until_us, sim->now_us + sim->stutter_us);
    } else if (!manager && node->agent != NULL) {
        later(&node->paused_until_us, sim->now_us + sim->stutter_us);
    }
    sim_at(sim, sim->now_us + sim_soon(random, 10 * SIM_SECOND), *event);
}

static void stutter(struct sim *sim, const struct sim_item *item, uint64_t until_us)
{
    bool already = sim->now_us < sim->stutter_until_us;
    sim->stutter_us = (uint64_t)item->amount * SIM_MS;
    later(&sim->stutter_until_us, until_us);
    for (int i = 0; i <= sim->node_count && !already; i++) {
        sim_at(sim, sim->now_us,
            (struct sim_event){.run = stand_still, .node = i == sim->node_count ? SIM_MANAGER : i});
    }
}

static void fault(struct sim *sim, const struct sim_item *item, uint64_t until_us)
{
    double share = (double)item->amount / 1000;
    struct sim_link *link = NULL;
    switch ((int)item->action) {
    case SIM_DO_CUT:
        later(&sim->links[item->node][item->other].cut_until_us, until_us);
        break;
    case SIM_DO_SLOW:
        link = &sim->links[item->node][item->other];
        link->slow_us = (uint64_t)item->amount * SIM_MS;
        later(&link->slow_until_us, until_us);
        break;
    case SIM_DO_LOSS:
        sim->loss = share;
        later(&sim->loss_until_us, until_us);
        break;
    case SIM_DO_NOISE:
        sim->noise = share;
        later(&sim->noise_until_us, until_us);
        break;
    case SIM_DO_STUTTER:
        stutter(sim, item, until_us);
        break;
    case SIM_DO_DRIVERS:
        for (int i = 0; i < sim->node_count; i++) {
            if (item->node == SIM_NOBODY || item->node == i) {
                sim->nodes[i].drivers_rate = share;
                later(&sim->nodes[i].drivers_until_us, until_us);
            }
        }
        break;
    case SIM_DO_STUBBORN:
        for (int i = 0; i < sim->node_count; i++) {
            later(&sim->nodes[i].disks[item->pool].stubborn_until_us, until_us);
        }
        break;
    default:
        kill_a_vm(sim, item->pool, item->detail);
        break;
    }
}

/* What else goes wrong is seen in the processes themselves. */
static bool delays_beats(const struct sim_item *item)
{
    switch ((int)item->action) {
    case SIM_DO_CUT:
    case SIM_DO_SLOW:
        return item->node == SIM_MANAGER || item->other == SIM_MANAGER;
    case SIM_DO_MANAGER_CUT:
    case SIM_DO_LOSS:
    case SIM_DO_NOISE:
    case SIM_DO_STUTTER:
    case SIM_DO_MANAGER_PAUSE:
    case SIM_DO_AGENT_PAUSE:
        return true;
    default:
        return false;
    }
}

static void done_now(struct sim *sim, const struct sim_item *item)
{
    uint64_t until_us = sim->now_us + item->for_ms * SIM_MS;
    unsigned operands = sim_actions[item->action].operands;
    if (sim_tracing(sim)) {
        char text[256];
        sim_item_text(item, text, sizeof(text));
        sim_trace(sim, "play", "%s", text);
    }
    if ((operands & SIM_BY_OPERATOR) != 0) {
        sim->stats.commands++;
        sim_operate(sim, item);
        return;
    }
    sim->stats.faults++;
    if (delays_beats(item)) {
        sim_trouble(sim, until_us);
    }
    if (item->action <= SIM_DO_MANAGER_CUT) {
        fault_of_manager(sim, item, until_us);
    } else if (item->action <= SIM_DO_WALL) {
        fault_of_node(sim, item, until_us);
    } else {
        fault(sim, item, until_us);
    }
}

static void item_due(struct sim *sim, struct sim_event *event)
{
    struct sim_item *item = event->data;
    bool asks = (sim_actions[item->action].operands & SIM_BY_OPERATOR) != 0;
    if (sim->now_us != UINT64_MAX &&
        !(asks && sim_deferred(sim, event, sim->manager.paused_until_us))) {
        done_now(sim, item);
        free(item);
    } else if (sim->now_us == UINT64_MAX) {
        free(item); /* the world has ended */
    }
}

static void due_at(struct sim *sim, uint64_t at_us, const struct sim_item *item)
{
    struct sim_item *copy = malloc(sizeof(*copy));
    if (copy == NULL) {
        abort();
    }
    *copy = *item;
    sim_at(sim, at_us, (struct sim_event){.run = item_due, .data = copy});
}

void sim_perform(struct sim *sim, const struct sim_item *item)
{
    if (item->when < 0) {
        due_at(sim, sim->now_us, item);
    } else if (sim->waiting_count < SIM_WAITING) {
        sim->waiting[sim->waiting_count++] = *item;
    }
}

/* Who or what is meant, now that the job is known; false: the job has none. */
static bool resolve(const struct sim *sim, struct sim_item *item, const struct ph_job *job)
{
    unsigned operands = sim_actions[item->action].operands;
    if (item->pool == SIM_ITS_POOL) {
        item->pool = sim_pool_index(sim, job->pool);
    }
    if (item->node == SIM_ITS_NODE) {
        item->node = sim_node_index(sim, job->node);
    } else if (item->node == SIM_ITS_TARGET) {
        item->node = sim_node_index(sim, job->target);
    }
    bool node_needed = (operands & SIM_BY_NODE) != 0 && item->action != SIM_DO_MOVE &&
                       item->action != SIM_DO_DRIVERS;
    return (!node_needed || item->node >= 0) && ((operands & SIM_BY_POOL) == 0 || item->pool >= 0);
}

void sim_job_entered(struct sim *sim, const struct ph_job *job)
{
    size_t kept = 0;
    for (size_t i = 0; i < sim->waiting_count; i++) {
        struct sim_item item = sim->waiting[i];
        if (item.when != (int)job->phase || !resolve(sim, &item, job)) {
            sim->waiting[kept++] = sim->waiting[i];
            continue;
        }
        /* At once, or a little later: while what the phase began is under way. */
        due_at(sim, sim->now_us + item.detail % 4 * (item.detail % 40) * SIM_MS, &item);
    }
    sim->waiting_count = kept;
}

void sim_faults_cease(struct sim *sim)
{
    sim_trace(sim, "play", "calm");
    sim->calm = true;
    sim->waiting_count = 0;
    sim->loss_until_us = sim->noise_until_us = sim->stutter_until_us = 0;
    sim->manager.stall_until_us = sim->manager.full_until_us = 0;
    sim->manager.crash_after = -1;
    for (int i = 0; i < SIM_PROCESSES; i++) {
        for (int j = 0; j < SIM_PROCESSES; j++) {
            sim->links[i][j].cut_until_us = sim->links[i][j].slow_until_us = 0;
        }
    }
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        node->crash_after = -1;
        if (!node->powered) {
            sim_node_power_off(sim, i, SIM_SECOND); /* back sooner */
        }
        node->stall_until_us = node->full_until_us = node->drivers_until_us = 0;
        for (int j = 0; j < sim->pool_count; j++) {
            node->disks[j].stubborn_until_us = 0;
        }
    }
}
