/*
 * The machine an agent runs on: its power, its sleep, its disk.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

void sim_node_boot(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    node->powered = true;
    node->power_life++;
    node->page_generation = node->page_clean = 0;
    node->page_deadline_ms = 0;
    node->guard_up = true;
    node->guard_stopping = false;
    node->guard_life++;
    node->stopped_by_us = 0;
    sim_clock_boot(sim, &node->clock, &node->random);
    sim_trace(sim, node->name, "has power");
    sim_at(sim, sim->now_us + sim_between(&node->random, SIM_MS, SIM_SECOND),
        (struct sim_event){.run = sim_agent_begin, .node = index, .life = node->agent_life});
}

static void power_on(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (!node->powered && event->life == node->power_life) {
        sim_node_boot(sim, event->node);
    }
}

void sim_node_power_off(struct sim *sim, int index, uint64_t back_after_us)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->powered) {
        sim_trace(sim, node->name, "loses power");
        sim_agent_drop(sim, index, true);
        for (int i = 0; i < sim->pool_count; i++) {
            for (int j = 0; j < SIM_VMS; j++) {
                sim_vm_dies(sim, index, i, j);
            }
            node->disks[i].active = false;
        }
        node->powered = false;
        node->asleep_until_us = 0;
        node->guard_life++;
        node->guard_up = false;
        node->stopped_by_us = 0;
    }
    node->power_life++; /* a later return counts */
    sim_at(sim, sim->now_us + back_after_us,
        (struct sim_event){.run = power_on, .node = index, .life = node->power_life});
}

static void wakes_up(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (!node->powered || event->life != node->power_life ||
        sim->now_us + 1 < node->asleep_until_us) {
        return;
    }
    sim_trace(sim, node->name, "wakes up");
    sim_guard_wakes(
        sim, event->node); /* it sleeps for another microsecond: the guard comes first */
}

/* Nothing on it runs until then; its clock goes on. Whatever was due comes when it wakes up, in its order,
 * and the guard before all. */
void sim_node_suspend(struct sim *sim, int index, uint64_t for_us)
{
    struct sim_node *node = &sim->nodes[index];
    if (!node->powered) {
        return;
    }
    for (int i = 0; i < sim->pool_count; i++) {
        sim_touch_content(sim, index, i);
    }
    uint64_t until_us = sim->now_us + for_us;
    if (until_us < node->asleep_until_us) {
        return;
    }
    node->asleep_until_us = until_us + 1;
    sim_trouble(sim, until_us + SIM_SECOND);
    sim_trace(sim, node->name, "is suspended");
    sim_at(sim, until_us,
        (struct sim_event){.run = wakes_up, .node = index, .life = node->power_life});
}

/* The machine comes back with empty disks, under its old name and keys. */
void sim_node_lose_disk(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    sim_trace(sim, node->name, "has lost its disk");
    sim_table_fini(&node->metas);
    sim_table_fini(&node->assignments);
    sim_table_fini(&node->witnesses);
    node->term_seen = 0;
    memset(node->disks, 0, sizeof(node->disks));
    for (int i = 0; i < sim->pool_count; i++) {
        sim->pools[i].clean = sim->pools[i].clean && sim->pools[i].clean_node != index;
    }
}

void sim_node_fini(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    sim_agent_drop(sim, index, true);
    sim_outbox_clear(&node->outbox);
    free(node->outbox.items);
    ph_agent_effects_fini(&node->effects);
    sim_table_fini(&node->metas);
    sim_table_fini(&node->assignments);
    sim_table_fini(&node->witnesses);
}
