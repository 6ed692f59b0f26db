/*
 * What goes wrong, and when.
 */
#include "tests/sim/sim.h"

#include <string.h>

static void heal_link(struct sim *sim, struct sim_event *event)
{
    sim->cut[event->node][event->pool] = false;
    sim_trace(sim, "network", "the link from %s to %s is whole again",
        sim_process_name(sim, event->node), sim_process_name(sim, event->pool));
}

static void cut_one_way(struct sim *sim, int from, int to, uint64_t until_us)
{
    sim_trace(sim, "network", "the link from %s to %s is cut", sim_process_name(sim, from),
        sim_process_name(sim, to));
    sim->cut[from][to] = true;
    sim_at(sim, until_us, (struct sim_event){.run = heal_link, .node = from, .pool = to});
}

static void cut(struct sim *sim, int node, int other, bool up, bool down)
{
    uint64_t until_us = sim->now_us + sim_between(sim, 50 * SIM_MS, 30 * SIM_SECOND);
    if (up) {
        cut_one_way(sim, node, other, until_us);
    }
    if (down) {
        cut_one_way(sim, other, node, until_us);
    }
}

/* A link that is congested for a while and then gone: the grants under way are the last ones. */
static void congestion_ends(struct sim *sim, struct sim_event *event)
{
    sim->slow_us[event->node][SIM_MANAGER] = sim->slow_us[SIM_MANAGER][event->node] = 0;
    if (sim->storm) {
        cut(sim, event->node, SIM_MANAGER, true, true);
    }
}

static void congest(struct sim *sim, int node)
{
    uint64_t slow_us = sim_between(sim, 0, sim->config.timing.lease_ms * SIM_MS / 3);
    sim->slow_us[node][SIM_MANAGER] = sim->slow_us[SIM_MANAGER][node] = slow_us;
    sim_trace(sim, "network", "the link of %s is slow", sim->nodes[node].name);
    sim_at(sim, sim->now_us + sim_between(sim, SIM_SECOND, 20 * SIM_SECOND),
        (struct sim_event){.run = congestion_ends, .node = node});
}

static void break_links(struct sim *sim, int node)
{
    switch (sim_random(sim, 5)) {
    case 0:
        cut(sim, node, SIM_MANAGER, true, false);
        break;
    case 1:
        cut(sim, node, SIM_MANAGER, false, true);
        break;
    case 2:
        cut(sim, node, SIM_MANAGER, true, true);
        break;
    case 3:
        for (int i = 0; i < sim->options.nodes; i++) {
            cut(sim, i, SIM_MANAGER, true, true); /* the manager is cut off */
        }
        break;
    default:
        cut(sim, node, (int)sim_random(sim, (uint64_t)sim->options.nodes), true, true);
        break;
    }
}

static void kill_a_vm(struct sim *sim, int node, int pool)
{
    struct sim_node *on = &sim->nodes[node];
    for (int i = 0; i < SIM_VMS; i++) {
        struct sim_vm *vm = &on->disks[pool].vms[i];
        if (!vm->alive) {
            continue;
        }
        char name[2] = {(char)('a' + i), '\0'};
        struct ph_agent_event event = {.kind = PH_AE_VM_ENDED,
            .pool = sim->pools[pool].name,
            .vm = name,
            .pid = vm->pid,
            .exit_status = sim_chance(sim, 0.3) ? 0 : -1};
        sim_trace(sim, on->name, "VM %s of %s ends by itself", name, sim->pools[pool].name);
        sim_vm_dies(sim, node, pool, i);
        if (on->agent != NULL) {
            sim_agent_step(sim, node, &event);
        }
        return;
    }
}

static uint64_t outage_us(struct sim *sim)
{
    /* Many are shorter than a lease, some longer than a take-over. */
    uint64_t lease_us = sim->config.timing.lease_ms * SIM_MS;
    return sim_chance(sim, 0.5) ? sim_between(sim, 10 * SIM_MS, lease_us)
                                : sim_between(sim, lease_us, 10 * lease_us + 10 * SIM_SECOND);
}

static void fault(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->storm) {
        return;
    }
    int node = (int)sim_random(sim, (uint64_t)sim->options.nodes);
    int pool = (int)sim_random(sim, (uint64_t)sim->options.pools);
    switch (sim_random(sim, 18)) {
    case 0:
        sim_manager_crash(sim, outage_us(sim));
        break;
    case 1:
        sim->manager.crash_after = (int64_t)sim_random(sim, 30);
        break;
    case 2:
        sim_agent_crash(sim, node, outage_us(sim));
        break;
    case 3:
        sim->nodes[node].crash_after = (int64_t)sim_random(sim, 20);
        break;
    case 4:
        sim_node_power_off(sim, node, SIM_SECOND + outage_us(sim));
        break;
    case 5:
    case 6:
    case 7:
        break_links(sim, node);
        break;
    case 8:
        sim->slow_disk_until_us = sim->now_us + sim_between(sim, SIM_SECOND, 20 * SIM_SECOND);
        break;
    case 9:
        sim->loss = sim_chance(sim, 0.5) ? 0.0 : 0.3 * sim_chance(sim, 0.3) + 0.02;
        break;
    case 10:
        sim_guard_crash(sim, node, sim_between(sim, 5 * SIM_MS, 100 * SIM_MS));
        break;
    case 11:
        sim->rate = sim_chance(sim, 0.3) ? 1.0 : 0.1;
        break;
    case 12:
    case 13:
        congest(sim, node);
        break;
    default:
        kill_a_vm(sim, node, pool);
        break;
    }
    double faults = sim->options.faults;
    sim_at(sim, sim->now_us + sim_soon(sim, (uint64_t)(8 * SIM_SECOND / (faults > 0 ? faults : 1))),
        (struct sim_event){.run = fault});
}

void sim_faults_start(struct sim *sim)
{
    if (sim->options.faults <= 0) {
        return;
    }
    sim->storm = true;
    sim->loss = 0.005;
    sim->rate = 0.1;
    sim_at(sim, sim->now_us + sim_soon(sim, 5 * SIM_SECOND), (struct sim_event){.run = fault});
    sim_operator_start(sim);
}

void sim_faults_cease(struct sim *sim)
{
    sim_trace(sim, "sim", "calm");
    sim->storm = false;
    sim->loss = 0;
    sim->rate = 0;
    sim->slow_disk_until_us = 0;
    sim->manager.crash_after = -1;
    memset(sim->slow_us, 0, sizeof(sim->slow_us));
    memset(sim->cut, 0, sizeof(sim->cut));
    for (int i = 0; i < sim->options.nodes; i++) {
        sim->nodes[i].crash_after = -1;
        for (int j = 0; j < sim->options.pools; j++) {
            for (int k = 0; k < SIM_VMS; k++) {
                sim->nodes[i].disks[j].vms[k].stubborn = false;
            }
        }
    }
}
