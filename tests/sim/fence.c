/*
 * Fence devices and whoever calls them: some nodes have some, in one or two levels. A device may not answer, and takes
 * its time; what it says of the power at the end of a call is true at that moment.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void add(
    struct sim *sim, int node, struct ph_fence_node *declared, const char *name, int level)
{
    int from = (int)sim_random(&sim->person, (uint64_t)sim->node_count);
    struct ph_fence_spec *spec =
        ph_many_add(&ph_record_fence_spec, (struct ph_many *)(void *)&declared->devices);
    if (spec == NULL || ph_set_text(&spec->agent, "fence_sim") != 0 ||
        (from != node && ph_texts_add(&spec->run_from, sim->nodes[from].name) != 0) ||
        ((from == node || sim_chance(&sim->person, 0.5)) &&
            ph_texts_add(&spec->run_from, "manager") != 0)) {
        abort();
    }
    (void)ph_text_format(spec->name, sizeof(spec->name), "%s", name);
    spec->level = level;
    spec->timeout_ms = 3000;
    spec->attempts = (int64_t)sim_between(&sim->person, 1, 2);
    spec->delay_ms =
        sim_chance(&sim->person, 0.7) ? 0 : (int64_t)sim_between(&sim->person, 1, 3000);
}

void sim_fence_declare(struct sim *sim, int node, struct ph_fence_apply *apply)
{
    struct ph_fence_node *declared =
        ph_many_add(&ph_record_fence_node, (struct ph_many *)(void *)&apply->fencing);
    if (declared == NULL) {
        abort();
    }
    (void)ph_text_format(declared->node, sizeof(declared->node), "%s", sim->nodes[node].name);
    if (sim_chance(&sim->person, 0.2)) {
        return; /* loses what it has */
    }
    add(sim, node, declared, "a", 1);
    if (sim_chance(&sim->person, 0.3)) {
        add(sim, node, declared, "b", 1);
    }
    if (sim_chance(&sim->person, 0.5)) {
        add(sim, node, declared, "c", 2);
    }
}

static void ended(struct sim *sim, struct sim_event *event)
{
    struct ph_fence_ran *ran = event->data;
    uint64_t away_us = event->pool == SIM_MANAGER ? sim->manager.paused_until_us
                                                  : sim_agent_away_us(&sim->nodes[event->pool]);
    if (sim_deferred(sim, event, away_us)) {
        return;
    }
    bool answers = event->vm != 0;
    ran->power = !answers                          ? PH_POWER_FAILED
                 : sim->nodes[event->node].powered ? PH_POWER_ON
                                                   : PH_POWER_OFF;
    if (event->pool == SIM_MANAGER && sim->manager.core != NULL &&
        event->life == sim->manager.life) {
        struct ph_event_in in = {.kind = PH_EV_FENCE_DONE, .body = ran};
        sim_trace(sim, "manager", "fence device %s/%s answers %s", ran->node, ran->device,
            ph_enum_word(&ph_enum_power_state, (int)ran->power));
        sim_manager_step(sim, &in);
    } else if (event->pool != SIM_MANAGER && sim->nodes[event->pool].agent != NULL &&
               event->life == sim->nodes[event->pool].agent_life) {
        sim_send(sim, event->pool, SIM_MANAGER, PH_MSG_FENCE_RAN, ran);
    }
    ph_record_fini(&ph_record_fence_ran, ran);
    free(ran);
}

static void cut(struct sim *sim, struct sim_event *event)
{
    uint64_t off_us = sim_between(&sim->nodes[event->node].random, SIM_SECOND, 60 * SIM_SECOND);
    sim_node_power_off(sim, event->node, off_us);
}

void sim_fence_run(struct sim *sim, int from, const struct ph_fence_run *run)
{
    int node = sim_node_index(sim, run->node);
    uint64_t *random = from == SIM_MANAGER ? &sim->manager.random : &sim->nodes[from].random;
    bool works = sim->calm || sim_chance(random, 0.8);
    uint64_t takes_us = sim_between(random, 20 * SIM_MS, 5 * SIM_SECOND);
    struct ph_fence_ran *ran = calloc(1, sizeof(*ran));
    if (ran == NULL) {
        abort();
    }
    ran->number = run->number;
    ran->term = run->term;
    ran->action = run->action;
    memcpy(ran->node, run->node, sizeof(ran->node));
    memcpy(ran->device, run->device, sizeof(ran->device));
    /* What does not answer may have switched off all the same. */
    if (run->action == PH_FENCE_OFF && (works || sim_chance(random, 0.3))) {
        sim_at(sim, sim->now_us + sim_random(random, takes_us),
            (struct sim_event){.run = cut, .node = node});
    }
    sim_at(sim, sim->now_us + takes_us,
        (struct sim_event){.run = ended,
            .node = node,
            .pool = from,
            .vm = works,
            .life = from == SIM_MANAGER ? sim->manager.life : sim->nodes[from].agent_life,
            .data = ran});
}
