/*
 * A node that is not heard: suspect, then taken over once it is proven that nothing of it can run. See
 * "Taking over" in the failure model; dead_ms and settled_ms are node.c's.
 */
#include "manager/core/internal.h"

#include <string.h>

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t own_grants_over_ms(const struct core_node *node)
{
    return later_of(node->dead_ms, node->settled_ms);
}

enum ph_proof core_node_may_be_taken_over(const struct ph_core *core, const struct core_node *node)
{
    if (core->now_ms < later_of(own_grants_over_ms(node), core_promised_ms(core, node)))
        return PH_PROOF_NONE;
    if (core_node_held(core, node) != NULL)
        return PH_PROOF_NONE; /* what runs there may not have ended with its lease */
    return PH_PROOF_EXPIRED;
}

bool core_node_settled(const struct ph_core *core, const struct core_node *node)
{
    if (node->confirmed || !node->row.granting)
        return true;
    return node->voters.witnesses.count == 0 && node->voters.before.count == 0 &&
           core->now_ms >= node->settled_ms;
}

static void node_silent(struct ph_core *core, struct core_node *node)
{
    node->silent_ms = core->now_ms;
    node->unproven_said = false;
    node->promise_ask_ms = core->now_ms;
    core_node_pools_down(node);
    core_node_state(core, node, PH_NODE_SUSPECT,
        "no beat for %llu ms; it may run its pools until its lease is proven to be over",
        (unsigned long long)(core->now_ms - node->beat_ms));
    core_node_pools_dirty(core, node);
}

/* Our own grants are over; what its witnesses may have granted is not known. */
static void node_unproven(struct ph_core *core, struct core_node *node)
{
    if (node->unproven_said || core_node_via(core, node) != NULL ||
        core_promised_ms(core, node) != UINT64_MAX)
        return;
    node->unproven_said = true;
    core_set_text(core, &node->row.reason,
        "silent, and too few of its witnesses answer to prove that it runs nothing: its pools wait "
        "until they do, it returns, is fenced, or `poolherd node fence %s --confirm-dead %s`",
        node->row.name, node->row.name);
    core_node_touch(core, node);
    core_event(core, PH_EVENT_ERROR, "node-unproven", &(struct core_about){.node = node},
        "%s is %s", node->row.name, node->row.reason);
    core_node_pools_dirty(core, node);
}

void core_node_lease_due(struct ph_core *core, struct core_node *node)
{
    uint64_t silent_ms = node->beat_ms + core->config.timing.lease_ms;
    uint64_t over_ms = own_grants_over_ms(node), ask_ms;

    if (!node->row.granting || core->outdated)
        return;
    if (node->row.state == PH_NODE_JOINING || node->row.state == PH_NODE_ONLINE) {
        if (core->now_ms < silent_ms) {
            core_timer_set(core, &node->lease, silent_ms);
            return;
        }
        node_silent(core, node);
    }
    ask_ms = core_pause_reason(core) == NULL ? core_promises_ask(core, node) : UINT64_MAX;
    if (core->now_ms < over_ms) {
        core_timer_set(core, &node->lease, ask_ms < over_ms ? ask_ms : over_ms);
        return;
    }
    if (core_node_held(core, node) != NULL) { /* perhaps the configuration or the node says more */
        core_node_held_say(core, node);
        core_timer_set(core, &node->lease, core->now_ms + core->config.timing.lease_ms);
        return;
    }
    if (core_brake_holds(core, node))
        return; /* looked at again when the brake lets go */
    if (core_node_may_be_taken_over(core, node) == PH_PROOF_NONE) {
        node_unproven(core, node);
        over_ms = core_promised_ms(core, node);
        core_timer_set(core, &node->lease, ask_ms < over_ms ? ask_ms : over_ms);
        return;
    }
    core_node_taken(core, node, PH_PROOF_EXPIRED, "");
}

void core_node_taken(
    struct ph_core *core, struct core_node *node, enum ph_proof proof, const char *why)
{
    core_node_pools_down(node);
    if (proof == PH_PROOF_EXPIRED) {
        core_brake_lost(core, node->silent_ms);
        core_node_state(core, node, PH_NODE_LOST,
            "last heard %llu ms ago; its last grant was sent %llu ms ago%s, so that nothing of it "
            "can run any more",
            (unsigned long long)(core->now_ms - node->beat_ms),
            (unsigned long long)(core->now_ms - (node->granted ? node->granted_ms : node->beat_ms)),
            node->voters.witnesses.count > 0 ? " and its witnesses have promised" : "");
    } else {
        core_node_state(core, node, PH_NODE_FENCED, "%s", why);
    }
    node->row.granting = false;
    node->present = false;
    node->granted = false;
    node->confirmed = false;
    node->taken_ms = core->now_ms;
    node->via[0] = '\0';
    node->promise_count = 0;
    node->dead_ms = node->settled_ms = 0;
    node->held_said = false;
    core_node_stuck_set(core, node, false);
    core_voters_changed(core, node);
    core_node_touch(core, node);
    core_timer_clear(core, &node->lease);
    core_node_reports_clear(core, node);
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        peer->pool->holders_due = true;
        if (strcmp(peer->pool->row.node, node->row.name) == 0)
            core_takeover_pool(core, peer->pool, node, proof);
        else if (peer->pool->row.node[0] == '\0' &&
                 strcmp(peer->pool->row.home, node->row.name) == 0)
            core_takeover_home(core, peer->pool, node, proof);
    }
    if (node->drain != NULL)
        core_drain_dirty(core, node->drain);
}
