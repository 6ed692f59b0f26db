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

static void tell_agent(struct sim *sim, struct sim_event *event)
{
    const struct sim_node *node = &sim->nodes[event->node];
    if (node->agent != NULL && !sim_deferred(sim, event, sim_agent_away_us(node))) {
        struct ph_agent_event in = {.kind = PH_AE_GUARD_ENDED, .generation = event->life};
        sim_agent_step(sim, event->node, &in);
    }
}

static void stop_all(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    for (int i = 0; i < sim->pool_count; i++) {
        if (sim_any_alive(sim, index, i) && node->disks[i].stubborn_until_us > sim->now_us) {
            sim_trace(sim, node->name, "the watchdog resets it");
            sim_node_power_off(sim, index, sim_between(&node->random, SIM_SECOND, 20 * SIM_SECOND));
            return;
        }
    }
    for (int i = 0; i < sim->pool_count; i++) {
        for (int j = 0; j < SIM_VMS; j++) {
            sim_vm_dies(sim, index, i, j);
        }
        node->disks[i].active = false;
    }
    node->guard_stopping = false;
    node->page_clean = node->page_generation;
    sim_trace(sim, node->name, "guard: nothing is left of generation %lld",
        (long long)node->page_generation);
    sim_at(sim, sim->now_us,
        (struct sim_event){.run = tell_agent, .node = index, .life = node->page_generation});
}

static void stopped(struct sim *sim, struct sim_event *event)
{
    const struct sim_node *node = &sim->nodes[event->node];
    if (event->life == node->guard_life && node->powered && node->guard_stopping &&
        !sim_deferred(sim, event, node->asleep_until_us)) {
        stop_all(sim, event->node);
    }
}

static void must_be_stopped(struct sim *sim, struct sim_event *event)
{
    const struct sim_node *node = &sim->nodes[event->node];
    if (event->life == node->guard_life && node->stopped_by_us == sim->now_us) {
        sim_check_stopped(sim, event->node);
    }
}

static void lease_over(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    node->stopped_by_us =
        1 + sim_clock_first_us(&node->clock, node->page_deadline_ms + sim->config.timing.stop_ms);
    node->page_deadline_ms = 0;
    node->guard_stopping = true;
    sim->stats.lease_ends++;
    sim_trace(sim, node->name, "guard: the lease of generation %lld is over",
        (long long)node->page_generation);
    if (node->stopped_by_us > sim->now_us) {
        sim_at(sim, node->stopped_by_us,
            (struct sim_event){.run = must_be_stopped, .node = index, .life = node->guard_life});
    }
}

static void look(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->guard_life || node->guard_stopping || node->page_deadline_ms == 0 ||
        sim_deferred(sim, event, node->asleep_until_us)) {
        return;
    }
    if (node->page_deadline_ms > sim_clock_ms(sim, &node->clock)) {
        sim_guard_watch(sim, event->node);
        return;
    }
    lease_over(sim, event->node);
    /* Everything lives as long as it may: the last moment is the one that matters. */
    uint64_t latest_us = node->stopped_by_us - 1;
    uint64_t at_us = sim_chance(&node->random, 0.3)
                         ? latest_us
                         : sim_between(&node->random, sim->now_us, latest_us);
    sim_at(sim, at_us,
        (struct sim_event){.run = stopped, .node = event->node, .life = node->guard_life});
}

/* What was assumed: the guard gets the processor before what it guards does. */
void sim_guard_wakes(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->page_deadline_ms != 0 && node->page_deadline_ms <= sim_clock_ms(sim, &node->clock)) {
        lease_over(sim, index);
    }
    if (node->guard_stopping) {
        stop_all(sim, index);
    }
}

void sim_guard_watch(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    sim_at(sim, sim_clock_real_us(sim, &node->clock, node->page_deadline_ms),
        (struct sim_event){
            .run = look, .routine = SIM_LOOK, .node = index, .life = node->guard_life});
}

void sim_guard_lease(struct sim *sim, int index, int64_t generation, uint64_t deadline_ms)
{
    struct sim_node *node = &sim->nodes[index];
    uint64_t now_ms = sim_clock_ms(sim, &node->clock);
    if (generation > node->page_generation) {
        if (node->page_clean >= node->page_generation && deadline_ms > now_ms) {
            node->page_generation = generation;
            node->page_deadline_ms = deadline_ms;
            node->stopped_by_us = 0; /* it was stopped earlier than it had to be */
            sim_guard_watch(sim, index);
        }
    } else if (generation == node->page_generation && node->page_deadline_ms > now_ms &&
               deadline_ms > node->page_deadline_ms) {
        node->page_deadline_ms = deadline_ms; /* the look at the old one looks again */
    }
}

static void tell_ready(struct sim *sim, struct sim_event *event)
{
    const struct sim_node *node = &sim->nodes[event->node];
    if (event->life == node->guard_life && node->agent != NULL &&
        !sim_deferred(sim, event, sim_agent_away_us(node))) {
        struct ph_agent_event ready = {.kind = PH_AE_GUARD_READY,
            .generation = node->page_generation,
            .deadline_ms = node->page_deadline_ms,
            .clean = node->page_clean};
        sim_agent_step(sim, event->node, &ready);
    }
}

static void back(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->guard_life || !node->powered ||
        sim_deferred(sim, event, node->asleep_until_us)) {
        return;
    }
    node->guard_up = true;
    sim_at(sim, sim->now_us,
        (struct sim_event){.run = tell_ready, .node = event->node, .life = node->guard_life});
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
        node->page_deadline_ms < now_ms + 2 * back_after_us / 1000 ||
        sim->now_us < sim_agent_away_us(node)) {
        return;
    }
    sim_trace(sim, node->name, "guard dies");
    node->guard_life++;
    node->guard_up = false;
    struct ph_agent_event lost = {.kind = PH_AE_GUARD_LOST};
    sim_agent_step(sim, index, &lost);
    sim_trouble(sim, sim->now_us + back_after_us);
    sim_at(sim, sim->now_us + back_after_us,
        (struct sim_event){.run = back, .node = index, .life = node->guard_life});
}
