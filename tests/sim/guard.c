/*
 * The guard of each node: ends what runs within stop_ms of the lease's end, whether the agent lives or
 * not. What even it cannot kill, the hardware watchdog resets with the whole machine.
 */
#include "tests/sim/sim.h"

bool sim_lease_valid(const struct sim *sim, int index, int64_t generation)
{
    const struct sim_node *node = &sim->nodes[index];
    return node->page_generation == generation &&
           node->page_deadline_ms > sim_clock_ms(sim, &node->clock);
}

static void tell_agent(struct sim *sim, int index, const char *pool)
{
    if (sim->nodes[index].agent != NULL) {
        struct ph_agent_event event = {.kind = PH_AE_GUARD_ENDED,
            .generation = sim->nodes[index].page_generation,
            .pool = pool};
        sim_agent_step(sim, index, &event);
    }
}

static void stopped(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->guard_life || !node->powered) {
        return;
    }
    for (int i = 0; i < sim->options.pools; i++) {
        for (int j = 0; j < SIM_VMS; j++) {
            const struct sim_vm *vm = &node->disks[i].vms[j];
            if (vm->alive && vm->stubborn && vm->stubborn_until_us > sim->now_us) {
                sim->kills++;
                sim_trace(sim, node->name, "the watchdog resets it");
                sim_node_power_off(sim, event->node, sim_between(sim, SIM_SECOND, 20 * SIM_SECOND));
                return;
            }
        }
    }
    for (int i = 0; i < sim->options.pools; i++) {
        for (int j = 0; j < SIM_VMS; j++) {
            sim_vm_dies(sim, event->node, i, j);
        }
        node->disks[i].active = false;
    }
    node->guard_stopping = false;
    node->page_clean = node->page_generation;
    sim_trace(sim, node->name, "guard: nothing is left of generation %lld",
        (long long)node->page_generation);
    tell_agent(sim, event->node, NULL);
}

static void look(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->guard_life || node->guard_stopping || node->page_deadline_ms == 0) {
        return;
    }
    uint64_t now_ms = sim_clock_ms(sim, &node->clock);
    if (node->page_deadline_ms > now_ms) {
        sim_at(sim, sim_clock_real_us(sim, &node->clock, node->page_deadline_ms),
            (struct sim_event){.run = look, .node = event->node, .life = node->guard_life});
        return;
    }
    uint64_t end_ms = node->page_deadline_ms + sim->config.timing.stop_ms;
    node->page_deadline_ms = 0;
    node->guard_stopping = true;
    sim->kills++;
    sim_trace(sim, node->name, "guard: the lease of generation %lld is over",
        (long long)node->page_generation);
    uint64_t latest_us = sim_clock_real_us(sim, &node->clock, end_ms);
    /* Everything lives as long as it may: the last moment is the one that matters. */
    uint64_t at_us = sim_chance(sim, 0.3) ? latest_us : sim_between(sim, sim->now_us, latest_us);
    sim_at(sim, at_us,
        (struct sim_event){.run = stopped, .node = event->node, .life = node->guard_life});
}

void sim_guard_watch(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    sim_at(sim, sim_clock_real_us(sim, &node->clock, node->page_deadline_ms),
        (struct sim_event){.run = look, .node = index, .life = node->guard_life});
}

void sim_guard_lease(struct sim *sim, int index, int64_t generation, uint64_t deadline_ms)
{
    struct sim_node *node = &sim->nodes[index];
    uint64_t now_ms = sim_clock_ms(sim, &node->clock);
    if (generation > node->page_generation) {
        if (node->page_clean >= node->page_generation && deadline_ms > now_ms) {
            node->page_generation = generation;
            node->page_deadline_ms = deadline_ms;
            sim_guard_watch(sim, index);
        }
    } else if (generation == node->page_generation && node->page_deadline_ms > now_ms &&
               deadline_ms > node->page_deadline_ms) {
        node->page_deadline_ms = deadline_ms; /* the look at the old one looks again */
    }
}

static void back(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->guard_life || !node->powered) {
        return;
    }
    node->guard_up = true;
    if (node->agent != NULL) {
        struct ph_agent_event ready = {.kind = PH_AE_GUARD_READY,
            .generation = node->page_generation,
            .deadline_ms = node->page_deadline_ms,
            .clean = node->page_clean};
        sim_agent_step(sim, event->node, &ready);
    }
    if (node->page_deadline_ms != 0) {
        sim_guard_watch(sim, event->node);
    }
}

/* The guard dies and the agent starts another; before the lease is over, or the watchdog bites. */
void sim_guard_crash(struct sim *sim, int index, uint64_t back_after_us)
{
    struct sim_node *node = &sim->nodes[index];
    uint64_t now_ms = sim_clock_ms(sim, &node->clock);
    if (!node->powered || node->agent == NULL || !node->guard_up || node->guard_stopping ||
        node->page_deadline_ms < now_ms + 2 * back_after_us / 1000) {
        return;
    }
    sim_trace(sim, node->name, "guard dies");
    node->guard_life++;
    node->guard_up = false;
    struct ph_agent_event lost = {.kind = PH_AE_GUARD_LOST};
    sim_agent_step(sim, index, &lost);
    sim_at(sim, sim->now_us + back_after_us,
        (struct sim_event){.run = back, .node = index, .life = node->guard_life});
}
