/*
 * The witnesses' part of the proof that nothing of a silent node can run any more. See
 * docs/failure-model.md, "Witnesses".
 *
 * A promise is for ever and about a version of the node's voter set, so a late one is as true as a fresh
 * one; what it says of the witness's last vote only grows older. A witness that is itself lost or fenced
 * has no lease, and a node without a lease votes for nobody: that counts as a promise while it lasts.
 */
#include "manager/core/internal.h"

#include <string.h>

static struct core_promise *find(struct core_node *node, const char *witness)
{
    for (size_t i = 0; i < node->promise_count; i++)
        if (strcmp(node->promises[i].witness, witness) == 0)
            return &node->promises[i];
    return NULL;
}

static uint64_t takeover_ms(const struct ph_core *core, const struct core_node *node)
{
    uint64_t wait_ms = core_node_wait_ms(core, node);

    return node->takeover_ms > wait_ms ? node->takeover_ms : wait_ms;
}

/* From when on no vote of that witness keeps the node's lease alive; UINT64_MAX: it has not promised. */
static uint64_t over_ms(
    const struct ph_core *core, const struct core_node *node, const char *witness)
{
    const struct core_node *row = core_find_node(core, witness);
    uint64_t over = UINT64_MAX;

    for (size_t i = 0; i < node->promise_count; i++)
        if (node->promises[i].promised && strcmp(node->promises[i].witness, witness) == 0)
            over = node->promises[i].over_ms;
    if (row != NULL && !row->row.granting &&
        (row->row.state == PH_NODE_LOST || row->row.state == PH_NODE_FENCED)) {
        uint64_t lost = row->taken_ms + takeover_ms(core, node);

        over = lost < over ? lost : over;
    }
    return over;
}

/* When enough of these witnesses are bound that the rest with the node are no majority. */
static uint64_t set_over_ms(
    const struct ph_core *core, const struct core_node *node, const struct ph_texts *witnesses)
{
    uint64_t over[PH_WITNESSES_MAX + 1];
    size_t count = 0, members = witnesses->count + 1;
    size_t needed = members - (members / 2 + 1) + 1;

    if (witnesses->count == 0)
        return 0;
    if (ph_texts_contain(witnesses, CORE_VOTERS_UNKNOWN))
        return UINT64_MAX;
    for (size_t i = 0; i < witnesses->count && i < PH_WITNESSES_MAX + 1; i++) {
        uint64_t one = over_ms(core, node, witnesses->items[i]);
        size_t at = count++;

        for (; at > 0 && over[at - 1] > one; at--)
            over[at] = over[at - 1];
        over[at] = one;
    }
    return needed <= count ? over[needed - 1] : UINT64_MAX;
}

uint64_t core_promised_ms(const struct ph_core *core, const struct core_node *node)
{
    uint64_t now = set_over_ms(core, node, &node->voters.witnesses);
    uint64_t before = set_over_ms(core, node, &node->voters.before);

    return now > before ? now : before;
}

static void ask_all(struct ph_core *core, struct core_node *node, const struct ph_texts *witnesses,
    const struct ph_texts *asked)
{
    struct ph_promise_ask ask = {
        .term = core->term, .manager = core->manager_id, .voters = node->voters.version};

    ph_text_format(ask.node, sizeof ask.node, "%s", node->row.name);
    for (size_t i = 0; i < witnesses->count; i++) {
        const struct core_promise *promise = find(node, witnesses->items[i]);

        if ((asked != NULL && ph_texts_contain(asked, witnesses->items[i])) ||
            (promise != NULL && promise->promised) ||
            core_find_node(core, witnesses->items[i]) == NULL)
            continue;
        node->promises_asked = true;
        core_send(core, witnesses->items[i], PH_MSG_PROMISE_ASK, &ask);
    }
}

/* Nobody has heard it for a while. */
static void via_expires(struct ph_core *core, struct core_node *node)
{
    if (node->via[0] == '\0' || core_node_via(core, node) != NULL)
        return;
    node->via[0] = '\0';
    core_set_text(core, &node->row.reason, "silent, also to its witnesses");
    core_node_touch(core, node);
    core_node_pools_dirty(core, node);
}

uint64_t core_promises_ask(struct ph_core *core, struct core_node *node)
{
    uint64_t pause_ms = core->config.timing.lease_ms / 2;

    via_expires(core, node);
    if (node->voters.version == 0 || core_promised_ms(core, node) != UINT64_MAX)
        return UINT64_MAX;
    if (core->now_ms >= node->promise_ask_ms) {
        node->promise_ask_ms = core->now_ms + pause_ms;
        ask_all(core, node, &node->voters.witnesses, NULL);
        ask_all(core, node, &node->voters.before, &node->voters.witnesses);
    }
    return node->promise_ask_ms;
}

/* Heard again, or admitted: a version that some witness may have promised away serves no more. */
void core_promises_void(struct ph_core *core, struct core_node *node)
{
    node->promise_count = 0;
    node->via[0] = '\0';
    if (!node->promises_asked)
        return;
    node->promises_asked = false;
    if (node->voters.version > 0)
        core_voters_renew(core, node);
}

/* A witness is admitted anew: should it have lost its disk, then what it promised is lost as well. If it
 * has not it says the same again. */
void core_promises_doubt(struct ph_core *core, const struct core_node *witness)
{
    for (size_t i = 0; core->suspect_count > 0 && i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;
        struct core_promise *promise = find(node, witness->row.name);

        if (promise == NULL || !promise->promised)
            continue;
        promise->promised = false;
        node->promise_ask_ms = core->now_ms;
        if (node->row.state == PH_NODE_SUSPECT)
            core_timer_set(core, &node->lease, core->now_ms);
    }
}

static bool is_witness(const struct core_node *node, const char *name)
{
    return ph_texts_contain(&node->voters.witnesses, name) ||
           ph_texts_contain(&node->voters.before, name);
}

/* The node runs on: only the manager's own link to it is broken. */
static void heard_by(struct ph_core *core, struct core_node *node, const char *witness)
{
    bool news = node->via[0] == '\0';

    ph_text_format(node->via, sizeof node->via, "%s", witness);
    node->via_ms = core->now_ms;
    if (!news)
        return;
    core_set_text(core, &node->row.reason,
        "silent here, but its witness %s hears it: only the manager's link to it is broken, so it "
        "runs on and nothing is taken over",
        witness);
    core_node_touch(core, node);
    core_event(core, PH_EVENT_WARNING, "node-heard-by-witness", &(struct core_about){.node = node},
        "%s is silent here, but %s hears it: it runs on, and its orders go through %s",
        node->row.name, witness, witness);
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        peer->order_sent = false; /* those under way when it fell silent */
        core_pool_dirty(core, peer->pool);
    }
}

void core_promise(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_promise *said = in->body;
    struct core_node *node = core_find_node(core, said->node);
    struct core_promise *promise;
    uint64_t wait_ms;

    if (node == NULL || core->outdated || said->voters != node->voters.version ||
        !is_witness(node, in->sender) || node->row.state != PH_NODE_SUSPECT)
        return;
    if (!said->promised) {
        heard_by(core, node, in->sender);
        return;
    }
    promise = find(node, in->sender);
    if (promise == NULL && node->promise_count < PH_WITNESSES_MAX * 2 + 1) {
        promise = &node->promises[node->promise_count++];
        *promise = (struct core_promise){0}; /* what was promised of an earlier version is void */
    }
    if (promise == NULL || promise->promised)
        return;
    wait_ms = takeover_ms(core, node);
    wait_ms = (uint64_t)said->ago_ms < wait_ms ? wait_ms - (uint64_t)said->ago_ms : 0;
    *promise = (struct core_promise){.promised = true, .over_ms = core->now_ms + wait_ms};
    ph_text_format(promise->witness, sizeof promise->witness, "%s", in->sender);
    core_event(core, PH_EVENT_INFO, "witness-promised", &(struct core_about){.node = node},
        "%s promised to extend %s's lease no more; its last vote is %lld ms old", in->sender,
        node->row.name, (long long)said->ago_ms);
    core_node_lease_due(core, node);
    core_fence_due(core, node); /* enough of them do not hear it */
}

/* ---- through a witness ---- */
/* Names the witness through which an order may reach the node, or NULL. */
const char *core_node_via(const struct ph_core *core, const struct core_node *node)
{
    if (node->row.state != PH_NODE_SUSPECT || node->via[0] == '\0' ||
        core->now_ms - node->via_ms > 4 * core->config.timing.lease_ms)
        return NULL;
    return node->via;
}

void core_relay(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_relay *relay = in->body;
    struct core_node *node = core_find_node(core, relay->node);
    struct ph_event_in inner = *in;

    /* Only of a node whose own link is broken, and only by one that is trusted to vote for it. */
    if (node == NULL || node->row.state != PH_NODE_SUSPECT || !is_witness(node, in->sender))
        return;
    node->via_ms = core->now_ms;
    ph_text_format(node->via, sizeof node->via, "%s", in->sender);
    inner.sender = node->row.name;
    for (size_t i = 0; i < relay->reports.count; i++) {
        inner.type = PH_MSG_REPORT;
        inner.body = &relay->reports.items[i];
        core_report(core, &inner);
    }
    for (size_t i = 0; i < relay->copy_reports.count; i++) {
        inner.type = PH_MSG_COPY_REPORT;
        inner.body = &relay->copy_reports.items[i];
        core_copy_report(core, &inner);
    }
}
