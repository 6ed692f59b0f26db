/*
 * Quiet time in one step. While nothing is wrong and nothing is under way, all that happens is that every
 * agent beats and every beat is granted. What a beat and its grant leave behind is known: numbers and times
 * in the agent's core, in the manager's, and on the guard's page. So instead of playing a hundred thousand of
 * them the clock is set to a later moment, and those numbers to what they are then.
 *
 * Why this is exact, and not nearly so:
 *   - Time is skipped only to a moment before anything else is due: any event of the simulator but beats, grants,
 *     wake-ups and the guards' looks; any deadline of an agent's core but beat and lease; any timer of the
 *     manager's core but the leases of nodes that are online. Nothing is skipped while anything is wrong, and
 *     only from a moment to a moment at which no beat and no grant is under way.
 *   - When a beat is sent, how long it and its grant take, and what each clock shows, are functions of the
 *     number of the beat and of the time alone (network.c, clock.c), so the last round before the moment aimed at
 *     is computed, and it is the one that would have been played.
 *   - Between such moments the cores write nothing else. That is not believed but tested: `run --short`
 *     plays the same seed with and without (--every-beat), and the traces must not differ by a byte.
 *
 * It writes into the cores' own structures, which it alone includes; the cores know nothing of it.
 */
#include <string.h>
#include "agent/core/agent.h"
#include "manager/core/internal.h"
#include "tests/sim/sim.h"

#define WORTH_US (SIM_SECOND / 5)   /* for less, beats are played */
#define AGAIN_US (SIM_SECOND / 100) /* after a look that found no quiet */

/* The latest round of a node that is over before a moment. */
struct round {
    int64_t number; /* of its beat */
    uint64_t boot_ms, sent_us, heard_us, over_us;
};

static bool agent_quiet(const struct sim *sim, const struct sim_node *node)
{
    const struct ph_agent *agent = node->agent;
    const struct ph_agent_lease *lease = &agent->lease;
    return agent->started && lease->state == PH_LEASE_VALID && lease->guard_ready &&
           lease->admitted && !lease->hello_wanted && !lease->leaving &&
           lease->generation == lease->admission && node->page_generation == lease->generation &&
           node->page_deadline_ms == lease->deadline_ms && !node->guard_stopping &&
           node->outbox.count == 0 && node->crash_after < 0 &&
           lease->beat_due_ms > sim_clock_ms(sim, &node->clock) &&
           (uint64_t)lease->beat_ms == sim->config.timing.beat_ms &&
           (uint64_t)lease->lease_ms == sim->config.timing.lease_ms;
}

/* It has been told its witnesses, or has none and serves nobody. */
static bool voters_known(const struct core_node *known)
{
    return (known->voters.version == 0 && known->served.count == 0) ||
           (known->list_check != 0 && known->list_check == known->list_taken);
}

static bool granted_quietly(const struct ph_core *core, const struct sim_node *node)
{
    const struct core_node *known = core_find_node(core, node->name);
    return known != NULL && known->row.state == PH_NODE_ONLINE && known->row.granting &&
           known->granted && known->present && known->lease.slot != 0 &&
           known->row.generation == node->agent->lease.admission &&
           strcmp(known->instance, node->instance) == 0 &&
           known->takeover_ms == core->takeover_ms && known->dead_ms >= known->settled_ms &&
           known->heard_number == node->agent->lease.beat_number &&
           known->granted_ms == known->beat_ms && known->confirmed && voters_known(known) &&
           (!known->voters_short || known->eligible_seen == core->eligible_changes) &&
           core->term == node->agent->lease.term;
}

/* It is off, and the manager has drawn its conclusions. */
static bool given_up(const struct ph_core *core, const struct sim_node *node)
{
    const struct core_node *known = core_find_node(core, node->name);
    return known == NULL || (!known->row.granting && known->lease.slot == 0);
}

static bool all_quiet(const struct sim *sim)
{
    const struct sim_manager *manager = &sim->manager;
    const struct ph_core *core = manager->core;
    if (sim->beats_under_way > 0 || sim->now_us < sim->trouble_until_us || core == NULL ||
        manager->outbox.count > 0 || manager->crash_after >= 0 || core->outdated ||
        core->attention || core->voters_due_count > 0 || core->dirty_count > 0 ||
        core->order_count > 0 || core->wanting_next < core->wanting_count ||
        core->suspect_count > 0) {
        return false;
    }
    for (int i = 0; i < sim->node_count; i++) {
        const struct sim_node *node = &sim->nodes[i];
        if (node->powered
                ? node->agent == NULL || !agent_quiet(sim, node) || !granted_quietly(core, node)
                : !given_up(core, node)) {
            return false;
        }
    }
    return true;
}

/* When an agent's core wants to be woken, but for beats, the end of the lease and the manager's silence. */
static uint64_t agent_due_ms(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    uint64_t beat_due_ms = lease->beat_due_ms, deadline_ms = lease->deadline_ms;
    uint64_t granted_ms = lease->granted_ms; /* from which witnesses would be asked */
    lease->beat_due_ms = lease->deadline_ms = PH_NEVER;
    lease->granted_ms = PH_NEVER / 2;
    uint64_t due_ms = ph_agent_next_deadline_ms(agent);
    lease->beat_due_ms = beat_due_ms;
    lease->deadline_ms = deadline_ms;
    lease->granted_ms = granted_ms;
    return due_ms;
}

static uint64_t manager_due_ms(const struct ph_core *core)
{
    uint64_t due_ms = UINT64_MAX;
    for (size_t i = 0; i < core->timers.count; i++) {
        const struct core_timer *timer = core->timers.items[i];
        const struct core_node *node = timer->owner;
        bool lease = timer->kind == CORE_TIMER_NODE && node->row.state == PH_NODE_ONLINE;
        if (!lease && timer->at_ms < due_ms) {
            due_ms = timer->at_ms;
        }
    }
    return due_ms;
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The first moment at which something else happens. */
static uint64_t quiet_until_us(struct sim *sim, uint64_t until_us)
{
    until_us = earlier(until_us, sim_queue_once_us(sim));
    if (until_us < sim->now_us + WORTH_US) {
        return until_us;
    }
    until_us = earlier(
        until_us, sim_clock_first_us(&sim->manager.clock, manager_due_ms(sim->manager.core)));
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (node->powered) {
            until_us =
                earlier(until_us, sim_clock_first_us(&node->clock, agent_due_ms(node->agent)));
        }
    }
    return until_us;
}

static struct round round_of(struct sim *sim, const struct sim_node *node, uint64_t count)
{
    const struct ph_agent_lease *lease = &node->agent->lease;
    struct round round = {.number = lease->beat_number + (int64_t)count};
    round.boot_ms = lease->beat_due_ms + (count - 1) * (uint64_t)lease->beat_ms;
    round.sent_us = sim_clock_first_us(&node->clock, round.boot_ms);
    round.heard_us = round.sent_us + sim_beat_delay_us(sim, node->index, SIM_MANAGER,
                                         node->agent_life, round.number);
    round.over_us = round.heard_us + sim_beat_delay_us(sim, SIM_MANAGER, node->index,
                                         node->agent_life, round.number);
    return round;
}

/* How many rounds of the node begin before until_us. */
static uint64_t rounds_before(const struct sim_node *node, uint64_t until_us)
{
    const struct ph_agent_lease *lease = &node->agent->lease;
    uint64_t beat_ms = (uint64_t)lease->beat_ms;
    if (sim_clock_first_us(&node->clock, lease->beat_due_ms) >= until_us) {
        return 0;
    }
    uint64_t count = (sim_clock_ms_at(&node->clock, until_us) - lease->beat_due_ms) / beat_ms + 1;
    while (
        sim_clock_first_us(&node->clock, lease->beat_due_ms + (count - 1) * beat_ms) >= until_us) {
        count--;
    }
    return count;
}

/* The latest moment before until_us at which no round is under way, and the rounds up to it. */
static uint64_t between_rounds(
    struct sim *sim, uint64_t until_us, struct round *rounds, bool *found_out)
{
    bool moved = true;
    *found_out = true;
    while (moved) {
        moved = false;
        for (int i = 0; i < sim->node_count; i++) {
            const struct sim_node *node = &sim->nodes[i];
            if (!node->powered) {
                continue;
            }
            uint64_t count = rounds_before(node, until_us);
            *found_out = *found_out && count > 1;
            if (!*found_out) {
                return until_us;
            }
            rounds[i] = round_of(sim, node, count);
            if (rounds[i].over_us >= until_us) {
                until_us = rounds[i].sent_us;
                moved = true;
            }
        }
    }
    return until_us;
}

/* As if every beat up to `last` had been sent and granted. */
static void set_agent(struct sim *sim, struct sim_node *node, const struct round *last)
{
    struct ph_agent *agent = node->agent;
    struct ph_agent_lease *lease = &agent->lease;
    int64_t oldest = last->number - PH_AGENT_BEATS;
    sim->stats.skipped_beats += (uint64_t)(last->number - lease->beat_number);
    oldest = oldest > lease->beat_number ? oldest : lease->beat_number;
    for (int64_t number = oldest + 1; number <= last->number; number++) {
        size_t slot = (size_t)(number % PH_AGENT_BEATS);
        lease->beats[slot].number = number;
        lease->beats[slot].boot_ms =
            last->boot_ms - (uint64_t)(last->number - number) * (uint64_t)lease->beat_ms;
    }
    lease->beat_number = last->number;
    lease->granted_ms = last->boot_ms;
    lease->beat_due_ms = last->boot_ms + (uint64_t)lease->beat_ms;
    lease->deadline_ms = last->boot_ms + (uint64_t)lease->lease_ms;
    node->page_deadline_ms = lease->deadline_ms;
    agent->now_ms = sim_clock_ms_at(&node->clock, last->over_us);
}

static void set_manager(struct sim *sim, const struct sim_node *node, const struct round *last)
{
    struct ph_core *core = sim->manager.core;
    struct core_node *known = core_find_node(core, node->name);
    uint64_t heard_ms = sim_clock_ms_at(&sim->manager.clock, last->heard_us);
    known->heard_number = last->number;
    known->heard_ms = known->granted_ms = known->beat_ms = heard_ms;
    known->dead_ms = heard_ms + core->takeover_ms;
    core_timer_set(core, &known->lease, heard_ms + core->config.timing.lease_ms);
    core->now_ms = heard_ms > core->now_ms ? heard_ms : core->now_ms;
    core->wall_ms = sim_wall_ms(sim, sim->manager.wall_skew_ms);
}

void sim_quiet(struct sim *sim, uint64_t until_us)
{
    struct round rounds[SIM_NODES_MAX];
    bool found = false;
    if (sim->options.every_beat || sim->now_us < sim->quiet_look_us || sim->beats_under_way > 0) {
        return;
    }
    sim->quiet_look_us = sim->now_us + AGAIN_US;
    if (!all_quiet(sim)) {
        return;
    }
    until_us = quiet_until_us(sim, until_us);
    if (until_us < sim->now_us + WORTH_US) {
        return;
    }
    until_us = between_rounds(sim, until_us, rounds, &found);
    if (!found) {
        return;
    }
    sim_queue_drop_routine(sim);
    sim->now_us = until_us;
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        if (node->powered) {
            set_agent(sim, node, &rounds[i]);
            set_manager(sim, node, &rounds[i]);
            node->wake_us = 0;
            sim_agent_sleep(sim, i);
            sim_guard_watch(sim, i);
        }
    }
    sim->manager.wake_us = 0;
    sim_manager_sleep(sim);
    sim->quiet_look_us = until_us;
}
