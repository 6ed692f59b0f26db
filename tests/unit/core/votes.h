/*
 * Witness duty of the fixture's agents (docs/failure-model.md, "Witnesses"). Included by world.h.
 * Links between nodes work unless one of them is `apart`; a vote takes no time.
 */
#ifndef PH_TESTS_CORE_VOTES_H
#define PH_TESTS_CORE_VOTES_H

/* Gives the nodes keys, without which nobody can be a witness. */
FX void fx_keys(struct fixture *fx)
{
    for (int i = 0; i < fx->node_count; i++) {
        struct core_node *node = core_find_node(fx->core, fx->nodes[i].name);

        assert_int_equal(ph_set_text(&node->row.public_key, fx->nodes[i].name), 0);
        fx_store_save(fx, &ph_record_node, &node->row);
        core_voters_changed(fx->core, node);
    }
    fx->votes = true;
}

FX bool fx_is_witness(const struct fx_node *node, const struct fx_node *witness)
{
    for (int i = 0; i < node->witness_count; i++) {
        if (strcmp(node->witnesses[i], witness->name) == 0)
            return true;
    }
    return false;
}

FX void fx_voter_list(struct fixture *fx, int index, const struct ph_voter_list *list)
{
    struct fx_node *node = &fx->nodes[index];
    struct ph_voter_ok ok = {.check = list->check};

    if (list->term < node->term || list->voters < node->voters)
        return;
    if (list->voters > node->voters)
        memset(node->granted_until_ms, 0, sizeof node->granted_until_ms);
    node->voters = list->voters;
    node->witness_count = 0;
    for (size_t i = 0; i < list->witnesses.count; i++)
        snprintf(node->witnesses[node->witness_count++], sizeof node->witnesses[0], "%s",
            list->witnesses.items[i].node);
    memset(node->serves, 0, sizeof node->serves);
    for (size_t i = 0; i < list->serves.count; i++)
        node->serves[fx_node(fx, list->serves.items[i].node) - fx->nodes] = true;
    ok.voters = node->voters;
    fx_post(fx, true, index, PH_MSG_VOTER_OK, &ok);
}

FX void fx_promise_ask(struct fixture *fx, int index, const struct ph_promise_ask *ask)
{
    struct fx_node *witness = &fx->nodes[index];
    int about = (int)(fx_node(fx, ask->node) - fx->nodes);
    uint64_t voted_ms = witness->voted_ms[about];
    struct ph_promise promise = {.voters = ask->voters};

    if (ask->term < witness->term)
        return;
    snprintf(promise.node, sizeof promise.node, "%s", ask->node);
    promise.ago_ms =
        (int64_t)(fx->now_ms - (voted_ms > witness->booted_ms ? voted_ms : witness->booted_ms));
    promise.promised = ask->voters <= witness->promised[about] || voted_ms < witness->booted_ms ||
                       voted_ms == 0 || fx->now_ms - voted_ms >= fx->config.timing.lease_ms;
    if (promise.promised && ask->voters > witness->promised[about])
        witness->promised[about] = ask->voters;
    fx_post(fx, true, index, PH_MSG_PROMISE, &promise);
}

FX bool fx_votes_for(struct fixture *fx, struct fx_node *witness, struct fx_node *node)
{
    int about = (int)(node - fx->nodes);

    if (!witness->up || witness->apart || node->apart || !witness->serves[about] ||
        node->voters <= witness->promised[about] || !witness->lease ||
        fx->now_ms >= witness->deadline_ms)
        return false;
    witness->voted_ms[about] = fx->now_ms;
    return true;
}

/* The manager is silent: a majority of the set, itself among them, extends what it has. */
FX void fx_ask_votes(struct fixture *fx, int index)
{
    struct fx_node *node = &fx->nodes[index];
    uint64_t until[FX_NODES] = {0};
    int count = 0, needed = (node->witness_count + 1) / 2;

    if (!fx->votes || !node->lease || fx->now_ms >= node->deadline_ms || node->voters == 0 ||
        node->witness_count == 0 || fx->now_ms < node->next_ask_ms ||
        fx->now_ms + fx->config.timing.lease_ms <
            node->deadline_ms + 5 * fx->config.timing.beat_ms / 2)
        return;
    node->next_ask_ms = fx->now_ms + fx->config.timing.beat_ms;
    for (int i = 0; i < fx->node_count; i++) {
        struct fx_node *witness = &fx->nodes[i];

        if (!fx_is_witness(node, witness))
            continue;
        if (fx_votes_for(fx, witness, node) && fx_dice(fx, 100) >= fx->loss_percent)
            node->granted_until_ms[i] = fx->now_ms + fx->config.timing.lease_ms;
        until[count++] = node->granted_until_ms[i];
    }
    for (int i = 1; i < count; i++) {
        for (int j = i; j > 0 && until[j - 1] < until[j]; j--) {
            uint64_t other = until[j - 1];

            until[j - 1] = until[j];
            until[j] = other;
        }
    }
    if (needed <= count && until[needed - 1] > node->deadline_ms)
        node->deadline_ms = until[needed - 1];
}

#endif
