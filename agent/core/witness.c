/*
 * Witnesses, both roles. See docs/failure-model.md, "Witnesses".
 *
 * As a node whose manager is silent: asks its witnesses; votes of a majority of its voter set, its own
 * among them, extend the lease that it has. Nothing but a manager's grant begins one.
 *
 * As a witness: votes, unless it has promised the manager not to, or has no valid lease itself. The last
 * rule makes a witness that is proven to be gone as good as one that has promised: until it is admitted
 * again it votes for nobody. What it voted is kept in memory only, so its own start counts as a vote for
 * everybody, as does the last vote for a node that is off the list; what it promised is on disk.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table: others that are asked, served, or promised away ---- */
static struct ph_agent_witness *find(const struct ph_agent *agent, const char *node)
{
    return ph_map_get(&agent->witnesses, node);
}

static struct ph_agent_witness *find_or_add(struct ph_agent *agent, const char *node)
{
    struct ph_agent_witness *witness = find(agent, node);
    if (witness != NULL) {
        return witness;
    }
    witness = calloc(1, sizeof(*witness));
    if (witness == NULL) {
        agent->out_of_memory = true;
        return NULL;
    }
    (void)ph_text_format(witness->row.node, sizeof(witness->row.node), "%s", node);
    if (ph_map_put(&agent->witnesses, witness->row.node, witness) != 0) {
        agent->out_of_memory = true;
        free(witness);
        return NULL;
    }
    return witness;
}

static void destroy(struct ph_agent_witness *witness)
{
    ph_record_fini(&ph_record_witness, &witness->row);
    free(witness);
}

void ph_agent_witnesses_fini(struct ph_agent *agent)
{
    for (size_t i = 0; i < agent->witnesses.count; i++) {
        destroy(agent->witnesses.items[i].value);
    }
    ph_map_fini(&agent->witnesses);
}

int ph_agent_load_witness(
    struct ph_agent *agent, const struct ph_witness *row, struct ph_error *error)
{
    if (find(agent, row->node) != NULL) {
        return ph_error_set(error, PH_BAD_INPUT, "node", "witness %s is stored twice", row->node);
    }
    struct ph_agent_witness *witness = find_or_add(agent, row->node);
    if (witness == NULL || ph_record_copy(&ph_record_witness, &witness->row, row) != 0) {
        return -ENOMEM;
    }
    return 0;
}

/* Takes one side of the list in: `of` says in which role. Marks what it found. */
static void take_peers(struct ph_agent *agent, const struct ph_peer_list *peers, bool asked)
{
    for (size_t i = 0; i < peers->count; i++) {
        const struct ph_peer *peer = &peers->items[i];
        struct ph_agent_witness *witness =
            strcmp(peer->node, agent->name) == 0 ? NULL : find_or_add(agent, peer->node);
        if (witness == NULL) {
            continue;
        }
        witness->listed |= asked ? PH_LISTED_ASKED : PH_LISTED_SERVED;
        if (ph_set_text(&witness->peer.endpoint, peer->endpoint) != 0 ||
            ph_set_text(&witness->peer.public_key, peer->public_key) != 0) {
            agent->out_of_memory = true;
        }
    }
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* What the list said becomes the row. True: the other is nothing to this node any more. */
static bool settle_row(struct ph_agent *agent, struct ph_agent_witness *witness)
{
    struct ph_witness *row = &witness->row;
    bool asked = (witness->listed & PH_LISTED_ASKED) != 0;
    bool served = (witness->listed & PH_LISTED_SERVED) != 0;
    bool changed = row->asked != asked || row->served != served;
    if (witness->listed != 0) {
        changed |= !same_text(row->endpoint, witness->peer.endpoint) ||
                   !same_text(row->public_key, witness->peer.public_key);
        free(row->endpoint);
        free(row->public_key);
        row->endpoint = witness->peer.endpoint;
        row->public_key = witness->peer.public_key;
        witness->peer.endpoint = witness->peer.public_key = NULL;
    }
    row->asked = asked;
    row->served = served;
    witness->listed = 0;
    if (!asked && !served && row->promised == 0) {
        ph_agent_remove(agent, &ph_record_witness, row);
        return true;
    }
    if (changed) {
        ph_agent_save(agent, &ph_record_witness, row);
    }
    return false;
}

static void rows_from_list(struct ph_agent *agent, const struct ph_voter_list *list)
{
    take_peers(agent, &list->witnesses, true);
    take_peers(agent, &list->serves, false);
    for (size_t i = agent->witnesses.count; i-- > 0;) {
        struct ph_agent_witness *witness = agent->witnesses.items[i].value;
        if (settle_row(agent, witness)) {
            if (witness->voted && witness->voted_ms > agent->forgotten_vote_ms) {
                agent->forgotten_vote_ms = witness->voted_ms;
            }
            ph_map_remove(&agent->witnesses, witness->row.node);
            destroy(witness);
        }
    }
}

/* The shell shall know with whom it may speak. */
void ph_agent_tell_peers(struct ph_agent *agent)
{
    struct ph_voter_list list = {0};
    for (size_t i = 0; i < agent->witnesses.count; i++) {
        const struct ph_agent_witness *witness = agent->witnesses.items[i].value;
        struct ph_many *many = (struct ph_many *)(void *)&list.witnesses;
        if (!witness->row.asked && !witness->row.served) {
            continue;
        }
        struct ph_peer *peer = ph_many_add(&ph_record_peer, many);
        if (peer == NULL || ph_set_text(&peer->endpoint, witness->row.endpoint) != 0 ||
            ph_set_text(&peer->public_key, witness->row.public_key) != 0) {
            agent->out_of_memory = true;
            break;
        }
        (void)ph_text_format(peer->node, sizeof(peer->node), "%s", witness->row.node);
    }
    ph_agent_peers_effect(agent, &list);
    ph_record_fini(&ph_record_voter_list, &list);
}

void ph_agent_on_voter_list(struct ph_agent *agent, const struct ph_voter_list *list)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (!ph_agent_accept_term(agent, list->term, list->manager, "voter.list") ||
        list->voters < lease->voters) {
        return; /* overtaken by a newer one */
    }
    if (list->voters > lease->voters) {
        lease->voters = list->voters;
        ph_agent_save_meta_int(agent, "voters", list->voters);
        for (size_t i = 0; i < agent->witnesses.count; i++) {
            ((struct ph_agent_witness *)agent->witnesses.items[i].value)->granted_until_ms = 0;
        }
    }
    rows_from_list(agent, list);
    ph_agent_tell_peers(agent);
    struct ph_voter_ok ok = {.voters = lease->voters, .check = list->check};
    ph_agent_send(agent, PH_MSG_VOTER_OK, &ok, false);
}

/* ---- asking ---- */
static size_t asked_count(const struct ph_agent *agent)
{
    size_t count = 0;
    for (size_t i = 0; i < agent->witnesses.count; i++) {
        count += ((const struct ph_agent_witness *)agent->witnesses.items[i].value)->row.asked;
    }
    return count;
}

/* When the manager's silence is long enough to ask others, while enough of the lease is left for two
 * attempts at the least: lease_ms >= 4 * beat_ms. */
static uint64_t silent_from_ms(const struct ph_agent_lease *lease)
{
    return lease->granted_ms + 5 * (uint64_t)lease->beat_ms / 2;
}

uint64_t ph_agent_ask_wake_ms(const struct ph_agent *agent)
{
    const struct ph_agent_lease *lease = &agent->lease;
    if (!ph_agent_lease_valid(agent) || !lease->guard_ready || lease->voters == 0 ||
        lease->beat_ms <= 0 || lease->lease_ms <= 0 || agent->witnesses.count == 0) {
        return PH_NEVER;
    }
    uint64_t silent_ms = silent_from_ms(lease);
    return silent_ms > lease->ask_due_ms ? silent_ms : lease->ask_due_ms;
}

void ph_agent_ask_witnesses(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (agent->now_ms < ph_agent_ask_wake_ms(agent)) {
        return;
    }
    size_t slot = lease->ask_count++ % PH_AGENT_ASKS;
    lease->asks[slot].boot_ms = agent->now_ms;
    lease->asks[slot].lease_ms = (uint64_t)lease->lease_ms;
    lease->ask_due_ms = agent->now_ms + (uint64_t)lease->beat_ms;
    struct ph_vote_ask ask = {.generation = lease->generation,
        .boot_ms = (int64_t)agent->now_ms,
        .voters = lease->voters,
        .lease_ms = lease->lease_ms};
    (void)ph_text_format(ask.node, sizeof(ask.node), "%s", agent->name);
    for (size_t i = 0; i < agent->witnesses.count; i++) {
        const struct ph_agent_witness *witness = agent->witnesses.items[i].value;
        if (witness->row.asked) {
            ph_agent_send_peer(agent, witness->row.node, PH_MSG_VOTE_ASK, &ask, true);
        }
    }
}

/* The time up to which a majority of the set, this node among it, has extended the lease. */
static uint64_t majority_until_ms(const struct ph_agent *agent)
{
    uint64_t until[PH_WITNESSES_MAX];
    size_t count = 0, needed = (asked_count(agent) + 1) / 2;
    for (size_t i = 0; i < agent->witnesses.count && count < PH_WITNESSES_MAX; i++) {
        const struct ph_agent_witness *witness = agent->witnesses.items[i].value;
        if (!witness->row.asked) {
            continue;
        }
        size_t at = count++;
        for (; at > 0 && until[at - 1] < witness->granted_until_ms; at--) {
            until[at] = until[at - 1];
        }
        until[at] = witness->granted_until_ms;
    }
    return needed > 0 && needed <= count ? until[needed - 1] : 0;
}

static uint64_t asked_until_ms(const struct ph_agent_lease *lease, int64_t boot_ms)
{
    for (size_t i = 0; i < PH_AGENT_ASKS; i++) {
        if (lease->asks[i].lease_ms > 0 && (int64_t)lease->asks[i].boot_ms == boot_ms) {
            return lease->asks[i].boot_ms + lease->asks[i].lease_ms;
        }
    }
    return 0;
}

static void on_vote(struct ph_agent *agent, const char *sender, const struct ph_vote *vote)
{
    struct ph_agent_lease *lease = &agent->lease;
    struct ph_agent_witness *witness = find(agent, sender);
    uint64_t until_ms = asked_until_ms(lease, vote->boot_ms);
    if (witness == NULL || !witness->row.asked || strcmp(vote->node, agent->name) != 0 ||
        vote->voters != lease->voters || vote->generation != lease->generation || until_ms == 0) {
        return; /* answers nothing that was asked under this set and lease */
    }
    if (!vote->granted) {
        ph_agent_note_refused(agent, "witness %s does not extend the lease: %s", sender,
            vote->reason == NULL ? "" : vote->reason);
        return;
    }
    if (until_ms > witness->granted_until_ms) {
        witness->granted_until_ms = until_ms;
    }
    until_ms = majority_until_ms(agent);
    if (ph_agent_lease_valid(agent) && lease->guard_ready && until_ms > lease->deadline_ms) {
        if (lease->by_votes_ms == 0) {
            ph_agent_note(agent, PH_EVENT_WARNING,
                "the manager is silent; %s and others extend the lease of generation %lld", sender,
                (long long)lease->generation);
        }
        lease->by_votes_ms = agent->now_ms;
        lease->deadline_ms = until_ms;
        ph_agent_lease_effect(agent, lease->generation, until_ms);
    }
}

/* ---- voting ---- */
static const char *refusal(const struct ph_agent *agent, const struct ph_agent_witness *witness,
    const struct ph_vote_ask *ask)
{
    if (witness == NULL || !witness->row.served) {
        return "this node is no witness of yours";
    }
    if (ask->voters <= witness->row.promised) {
        return "it was promised to the manager that this version of your voter set gets no vote";
    }
    if (!ph_agent_lease_valid(agent)) {
        return "this node has no lease itself";
    }
    return NULL;
}

static void on_vote_ask(struct ph_agent *agent, const char *sender, const struct ph_vote_ask *ask)
{
    struct ph_agent_witness *witness = find(agent, sender);
    if (strcmp(ask->node, sender) != 0 || witness == NULL) {
        ph_agent_note_refused(agent, "refused vote.ask for %s from %s", ask->node, sender);
        return;
    }
    const char *reason = refusal(agent, witness, ask);
    struct ph_vote vote = {.generation = ask->generation,
        .boot_ms = ask->boot_ms,
        .voters = ask->voters,
        .granted = reason == NULL};
    (void)ph_text_format(vote.node, sizeof(vote.node), "%s", ask->node);
    if (vote.granted) {
        witness->voted = true;
        witness->voted_ms = agent->now_ms;
    } else if (ph_set_text(&vote.reason, reason) != 0) {
        agent->out_of_memory = true;
    }
    ph_agent_send_peer(agent, sender, PH_MSG_VOTE, &vote, true);
    ph_record_fini(&ph_record_vote, &vote);
}

/* When it may last have voted for a node of which it knows no vote: it has started since, or the node was
 * off the list for a while. What that vote extended may still live. */
static uint64_t voted_at_most_ms(const struct ph_agent *agent)
{
    return agent->forgotten_vote_ms > agent->started_ms ? agent->forgotten_vote_ms
                                                        : agent->started_ms;
}

void ph_agent_on_promise_ask(struct ph_agent *agent, const struct ph_promise_ask *ask)
{
    if (!ph_agent_accept_term(agent, ask->term, ask->manager, "promise.ask") ||
        strcmp(ask->node, agent->name) == 0) {
        return;
    }
    struct ph_agent_witness *witness = find_or_add(agent, ask->node);
    if (witness == NULL) {
        return;
    }
    struct ph_promise promise = {.voters = ask->voters};
    (void)ph_text_format(promise.node, sizeof(promise.node), "%s", ask->node);
    uint64_t since_ms = witness->voted ? witness->voted_ms : voted_at_most_ms(agent);
    promise.ago_ms = (int64_t)(agent->now_ms - since_ms);
    uint64_t lease_ms = agent->lease.lease_ms > 0 ? (uint64_t)agent->lease.lease_ms : 0;
    if (ask->voters <= witness->row.promised) {
        promise.promised = true; /* again: the answer may have been lost */
    } else if (witness->voted && agent->now_ms - witness->voted_ms < lease_ms) {
        promise.heard_ms = promise.ago_ms;
    } else {
        promise.promised = true;
        witness->row.promised = ask->voters;
        ph_agent_save(agent, &ph_record_witness, &witness->row);
        ph_agent_note(agent, PH_EVENT_INFO,
            "promised the manager to extend the lease of %s no more (voter set %lld)", ask->node,
            (long long)ask->voters);
    }
    ph_agent_send(agent, PH_MSG_PROMISE, &promise, false);
}

/* ---- passing on what a broken link keeps back ---- */
/* The witness through which the manager may be reached while it is silent, or NULL. */
static const char *reports_via(const struct ph_agent *agent)
{
    const struct ph_agent_lease *lease = &agent->lease;
    const struct ph_agent_witness *best = NULL;
    if (!ph_agent_lease_valid(agent) || agent->now_ms < silent_from_ms(lease)) {
        return NULL;
    }
    for (size_t i = 0; i < agent->witnesses.count; i++) {
        const struct ph_agent_witness *witness = agent->witnesses.items[i].value;
        if (witness->row.asked && witness->granted_until_ms > agent->now_ms &&
            (best == NULL || witness->granted_until_ms > best->granted_until_ms)) {
            best = witness;
        }
    }
    return best == NULL ? NULL : best->row.node;
}

void ph_agent_relay_report(struct ph_agent *agent, enum ph_message_type type, const void *body)
{
    const char *via = reports_via(agent);
    const struct ph_record *record = ph_messages[type].record;
    struct ph_relay relay = {0};
    struct ph_many *list =
        (struct ph_many *)(void *)(type == PH_MSG_REPORT ? (void *)&relay.reports
                                                         : (void *)&relay.copy_reports);
    if (via == NULL || (type != PH_MSG_REPORT && type != PH_MSG_COPY_REPORT)) {
        return;
    }
    void *item = ph_many_add(record, list);
    if (item == NULL || ph_record_copy(record, item, body) != 0) {
        agent->out_of_memory = true;
    } else {
        (void)ph_text_format(relay.node, sizeof(relay.node), "%s", agent->name);
        ph_agent_send_peer(agent, via, PH_MSG_RELAY, &relay, false);
    }
    ph_record_fini(&ph_record_relay, &relay);
}

/* From the manager, for a node that this one is a witness of. */
void ph_agent_on_relay(struct ph_agent *agent, const struct ph_relay *relay)
{
    const struct ph_agent_witness *witness = find(agent, relay->node);
    if (witness != NULL && witness->row.served) {
        ph_agent_send_peer(agent, relay->node, PH_MSG_RELAY, relay, false);
    }
}

/* From another node: its reports for the manager, or the manager's orders for this one. */
static void on_peer_relay(struct ph_agent *agent, const char *sender, const struct ph_relay *relay)
{
    const struct ph_agent_witness *witness = find(agent, sender);
    if (witness == NULL) {
        return;
    }
    if (witness->row.served && strcmp(relay->node, sender) == 0) {
        ph_agent_send(agent, PH_MSG_RELAY, relay, false);
    }
    if (witness->row.asked && strcmp(relay->node, agent->name) == 0) {
        for (size_t i = 0; i < relay->orders.count; i++) {
            ph_agent_on_order(agent, &relay->orders.items[i]);
        }
        for (size_t i = 0; i < relay->report_oks.count; i++) {
            ph_agent_on_report_ok(agent, &relay->report_oks.items[i]);
        }
    }
}

void ph_agent_on_peer_message(struct ph_agent *agent, const struct ph_agent_event *event)
{
    switch ((int)event->type) {
    case PH_MSG_VOTE_ASK:
        on_vote_ask(agent, event->sender, event->body);
        break;
    case PH_MSG_VOTE:
        on_vote(agent, event->sender, event->body);
        break;
    case PH_MSG_RELAY:
        on_peer_relay(agent, event->sender, event->body);
        break;
    default:
        ph_agent_note_refused(agent, "refused a message from node %s", event->sender);
        break;
    }
}
