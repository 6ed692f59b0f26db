/* Witnesses in the manager's core: who is chosen, what is needed before a node is taken over. */
#include "fixture.h"

static const struct ph_voter_set *voters(struct fixture *fx, const char *name)
{
    return &core_find_node(fx->core, name)->voters;
}

/* A cluster whose nodes have confirmed their witnesses; each runs a pool that another has a copy of. */
static struct fixture *cluster(int nodes, uint64_t seed)
{
    struct fixture *fx = fx_new(nodes, seed);
    char pool[32];

    fx_keys(fx);
    for (int i = 0; i < nodes; i++) {
        snprintf(pool, sizeof pool, "on-%s", fx->nodes[i].name);
        fx_declare(fx, pool, 1, fx->nodes[i].name);
    }
    fx_run(fx, 4000);
    for (int i = 0; i < nodes; i++) {
        snprintf(pool, sizeof pool, "on-%s", fx->nodes[i].name);
        assert_string_equal(fx_active_on(fx, pool), fx->nodes[i].name);
        assert_int_equal(voters(fx, fx->nodes[i].name)->before.count, 0);
    }
    return fx;
}

static int64_t survives(struct fixture *fx, const char *name)
{
    return core_voters_survive(core_find_node(fx->core, name));
}

static void so_many_as_there_are(void **state)
{
    static const size_t expected[] = {0, 0, 1, 2, 2, 4, 4};

    (void)state;
    for (int nodes = 1; nodes <= FX_NODES; nodes++) {
        struct fixture *fx = cluster(nodes, 1);

        for (int i = 0; i < nodes; i++) {
            const struct ph_voter_set *set = voters(fx, fx->nodes[i].name);

            assert_int_equal(set->witnesses.count, expected[nodes]);
            assert_false(ph_texts_contain(&set->witnesses, fx->nodes[i].name));
            assert_int_equal(survives(fx, fx->nodes[i].name),
                expected[nodes] == 0 ? -1 : (int64_t)expected[nodes] / 2);
        }
        fx_free(fx);
    }
}

static void a_dead_node_costs_no_more_time(void **state)
{
    struct fixture *fx = cluster(3, 2);
    uint64_t dead_ms = core_find_node(fx->core, "n1")->dead_ms;

    (void)state;
    fx_kill(fx, "n1");
    fx_run(fx, dead_ms - fx->now_ms - 50);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fx_run(fx, 300);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    fx_run(fx, 300);
    assert_string_not_equal(fx_active_on(fx, "on-n1"), "");
    fx_free(fx);
}

static void a_broken_link_takes_nothing_over(void **state)
{
    struct fixture *fx = cluster(3, 3);

    (void)state;
    fx_node(fx, "n1")->cut = true;
    fx_run(fx, 20000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_non_null(strstr(fx_node_row(fx, "n1")->reason, "hears it"));
    assert_string_equal(fx_active_on(fx, "on-n1"), "n1");
    assert_int_equal(fx_pool_row(fx, "on-n1")->state, PH_POOL_ACTIVE);
    fx_node(fx, "n1")->cut = false;
    fx_run(fx, 2000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_int_equal(fx_pool_row(fx, "on-n1")->epoch, 1);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    fx_free(fx);
}

static void cut_off_from_all_it_is_taken_over(void **state)
{
    struct fixture *fx = cluster(3, 4);

    (void)state;
    fx_node(fx, "n1")->cut = fx_node(fx, "n1")->apart = true;
    fx_run(fx, 3500);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    assert_string_not_equal(fx_active_on(fx, "on-n1"), "n1");
    assert_string_not_equal(fx_active_on(fx, "on-n1"), "");
    fx_free(fx);
}

static void the_manager_is_away_for_an_hour(void **state)
{
    struct fixture *fx = cluster(5, 5);

    (void)state;
    fx_manager_stop(fx);
    fx_run(fx, 3600 * 1000);
    for (int i = 0; i < 5; i++) {
        char pool[32];

        snprintf(pool, sizeof pool, "on-%s", fx->nodes[i].name);
        assert_string_equal(fx_active_on(fx, pool), fx->nodes[i].name);
    }
    fx_kill(fx, "n3");
    fx_run(fx, 5000);
    assert_string_equal(fx_active_on(fx, "on-n4"), "n4");
    fx_manager_start(fx);
    fx_run(fx, 6000);
    assert_int_equal(fx_node_row(fx, "n3")->state, PH_NODE_LOST);
    assert_string_not_equal(fx_active_on(fx, "on-n3"), "");
    for (int i = 0; i < 5; i++) {
        char pool[32];

        snprintf(pool, sizeof pool, "on-%s", fx->nodes[i].name);
        if (i != 2)
            assert_int_equal(fx_pool_row(fx, pool)->epoch, 1);
    }
    fx_free(fx);
}

/* The witness and the node may be alive together where we cannot see them. */
static void without_promises_it_waits_for_a_word(void **state)
{
    struct fixture *fx = cluster(3, 6);
    struct ph_fence fence = {.node = "n1", .confirm_dead = "n1"};

    (void)state;
    fx->config.silent_share_percent = 100;
    assert_true(fx_step(fx, &(struct ph_event_in){.kind = PH_EV_CONFIG, .config = &fx->config}));
    fx_kill(fx, "n1");
    fx_kill(fx, "n2");
    fx_run(fx, 10000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_int_equal(fx_node_row(fx, "n2")->state, PH_NODE_SUSPECT);
    assert_non_null(strstr(fx_node_row(fx, "n1")->reason, "--confirm-dead n1"));
    assert_true(fx_ask(fx, PH_MSG_FENCE, &fence));
    fx_run(fx, 4000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_FENCED);
    /* What is off votes for nobody: now the other one is proven too. */
    assert_int_equal(fx_node_row(fx, "n2")->state, PH_NODE_LOST);
    fx_free(fx);
}

static void one_after_the_other_they_are_taken_over(void **state)
{
    struct fixture *fx = cluster(3, 7);

    (void)state;
    fx_kill(fx, "n1");
    fx_run(fx, 4000);
    assert_int_equal(voters(fx, "n2")->witnesses.count, 1);
    assert_int_equal(voters(fx, "n2")->before.count, 0);
    fx_kill(fx, "n2");
    fx_run(fx, 4000);
    assert_int_equal(fx_node_row(fx, "n2")->state, PH_NODE_LOST);
    assert_string_equal(fx_active_on(fx, "on-n2"), "n3");
    fx_free(fx);
}

/* Until the node has confirmed a new set, promises are needed under both. */
static void a_set_that_is_not_confirmed(void **state)
{
    struct fixture *fx = cluster(4, 8);
    struct core_node *node = core_find_node(fx->core, "n1");
    struct ph_texts before = {0};
    const char *kept = NULL, *gone = NULL;

    (void)state;
    assert_int_equal(node->voters.witnesses.count, 2);
    gone = node->voters.witnesses.items[0];
    kept = node->voters.witnesses.items[1];
    char gone_name[16], kept_name[16];
    snprintf(gone_name, sizeof gone_name, "%s", gone);
    snprintf(kept_name, sizeof kept_name, "%s", kept);
    /* A witness goes, and the node does not hear of its new set before it falls silent. */
    fx_kill(fx, gone_name);
    while (fx_node_row(fx, gone_name)->state != PH_NODE_LOST)
        fx_run(fx, 5);
    assert_int_equal(node->voters.before.count, 2);
    fx_node(fx, "n1")->cut = true;
    fx_node(fx, "n1")->apart = true;
    assert_int_equal(ph_texts_copy(&before, &node->voters.before), 0);
    assert_true(ph_texts_contain(&before, gone_name));
    fx_run(fx, 6000);
    /* The lost witness counts as one that promised, the other two have: both sets are bound. */
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    ph_texts_fini(&before);
    fx_free(fx);
}

/* A witness that promised serves no more under that version; when the node returns it gets a new one. */
static void a_node_that_returns_gets_a_new_version(void **state)
{
    struct fixture *fx = cluster(3, 9);
    int64_t version = voters(fx, "n1")->version;

    (void)state;
    fx_node(fx, "n1")->cut = fx_node(fx, "n1")->apart = true;
    fx_run(fx, 1100);
    fx_run(fx, 300); /* suspect: the witnesses have promised */
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fx_node(fx, "n1")->cut = fx_node(fx, "n1")->apart = false;
    fx_run(fx, 4000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_true(voters(fx, "n1")->version > version);
    assert_int_equal(voters(fx, "n1")->before.count, 0);
    fx_manager_stop(fx);
    fx_run(fx, 20000);
    assert_string_equal(fx_active_on(fx, "on-n1"), "n1");
    fx_manager_start(fx);
    fx_run(fx, 3000);
    fx_free(fx);
}

/* A witness that lost its disk with its promise could vote again. */
static void a_promise_ends_with_the_disk_it_was_on(void **state)
{
    struct fixture *fx = cluster(3, 14);
    struct core_node *node = core_find_node(fx->core, "n1");
    struct core_promise *promise;

    (void)state;
    fx->config.silent_share_percent = 100;
    assert_true(fx_step(fx, &(struct ph_event_in){.kind = PH_EV_CONFIG, .config = &fx->config}));
    fx_kill(fx, "n1");
    fx_run(fx, 1300); /* suspect: n2 and n3 have promised */
    assert_int_equal(node->row.state, PH_NODE_SUSPECT);
    assert_int_equal(node->promise_count, 2);
    promise = &node->promises[strcmp(node->promises[0].witness, "n2") != 0];
    assert_true(promise->promised);
    fx_node(fx, "n2")->lease = false; /* it comes back without a lease; its promise is gone */
    fx_boot(fx, "n2");
    memset(fx_node(fx, "n2")->promised, 0, sizeof fx_node(fx, "n2")->promised);
    while (core_find_node(fx->core, "n2")->row.generation == 1) {
        fx_run(fx, 5);
        assert_int_not_equal(node->row.state, PH_NODE_LOST);
    }
    assert_true(!promise->promised || fx_node(fx, "n2")->promised[0] > 0);
    fx_run(fx, 4000);
    assert_int_equal(node->row.state, PH_NODE_LOST);
    assert_true(fx_node(fx, "n2")->promised[0] > 0);
    fx_free(fx);
}

static void an_old_inventory_trusts_no_set(void **state)
{
    struct fixture *fx = cluster(3, 10);

    (void)state;
    fx_manager_stop(fx);
    fx->term++; /* as --advance-term does */
    fx_store_save(fx, &ph_record_meta,
        &(struct ph_meta){.key = PH_META_VOTERS_UNKNOWN, .value = (char[]){"1"}});
    for (int i = 0; i < 3; i++)
        fx_node(fx, fx->nodes[i].name)->cut = true;
    fx_manager_start(fx);
    fx_run(fx, 100);
    for (int i = 0; i < 3; i++)
        assert_true(ph_texts_contain(&voters(fx, fx->nodes[i].name)->before, CORE_VOTERS_UNKNOWN));
    fx_manager_stop(fx); /* it is not forgotten by another start */
    fx_manager_start(fx);
    for (int i = 0; i < 3; i++)
        assert_true(ph_texts_contain(&voters(fx, fx->nodes[i].name)->before, CORE_VOTERS_UNKNOWN));
    fx_run(fx, 5000);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(fx_node_row(fx, fx->nodes[i].name)->state, PH_NODE_SUSPECT);
        fx->nodes[i].cut = false;
    }
    fx_run(fx, 4000);
    for (int i = 0; i < 3; i++)
        assert_int_equal(voters(fx, fx->nodes[i].name)->before.count, 0);
    fx_free(fx);
}

static void other_failure_domains_come_first(void **state)
{
    struct fixture *fx = fx_new(6, 11);

    (void)state;
    snprintf(fx->config.failure_domain, sizeof fx->config.failure_domain, "rack");
    fx->config.silent_share_percent = 100;
    assert_true(fx_step(fx, &(struct ph_event_in){.kind = PH_EV_CONFIG, .config = &fx->config}));
    for (int i = 0; i < 6; i++) {
        struct core_node *node = core_find_node(fx->core, fx->nodes[i].name);
        char label[16];

        snprintf(label, sizeof label, "rack=%d", i / 2);
        assert_int_equal(ph_texts_add(&node->row.labels, label), 0);
    }
    for (int i = 0; i < 3; i++) /* so that sets have three members */
        fx_kill(fx, fx->nodes[2 * i + 1].name);
    fx_run(fx, 4000);
    fx_keys(fx);
    fx_run(fx, 1000);
    for (int i = 0; i < 3; i++) /* n1, n3 and n5: each in a rack of its own */
        assert_int_equal(voters(fx, fx->nodes[2 * i].name)->witnesses.count, 2);
    /* n2 shares n1's rack: it gets those apart from it, and theirs stay as they are. */
    fx_boot(fx, "n2");
    fx_run(fx, 2000);
    assert_int_equal(voters(fx, "n2")->witnesses.count, 2);
    assert_false(ph_texts_contain(&voters(fx, "n2")->witnesses, "n1"));
    assert_false(ph_texts_contain(&voters(fx, "n1")->witnesses, "n2"));
    fx_free(fx);
}

static void made_up_promises_prove_nothing(void **state)
{
    struct fixture *fx = cluster(4, 12);
    struct ph_promise promise = {.node = "n1", .promised = true, .ago_ms = 1000000};
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .type = PH_MSG_PROMISE, .body = &promise, .sender = "n4"};

    (void)state;
    fx_node(fx, "n1")->cut = true; /* alive by its witnesses */
    fx_run(fx, 1500);
    for (int i = 0; i < 2; i++) {
        const char *witness = voters(fx, "n1")->witnesses.items[i];

        promise.voters = voters(fx, "n1")->version - 1; /* of an older version */
        event.sender = witness;
        fx_step(fx, &event);
    }
    for (int i = 0; i < 4; i++) { /* of one that is no witness, nor the node itself */
        if (ph_texts_contain(&voters(fx, "n1")->witnesses, fx->nodes[i].name))
            continue;
        promise.voters = voters(fx, "n1")->version;
        event.sender = fx->nodes[i].name;
        fx_step(fx, &event);
    }
    fx_run(fx, 8000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_string_equal(fx_active_on(fx, "on-n1"), "n1");
    fx_free(fx);
}

/* A witness promised, the node was heard again, and another one promises: the first promise is void. */
static void promises_of_before_are_void(void **state)
{
    struct fixture *fx = cluster(3, 14);
    struct ph_promise promise = {.node = "n1", .promised = true, .ago_ms = 1000000};
    struct ph_event_in event = {.kind = PH_EV_MESSAGE, .type = PH_MSG_PROMISE, .body = &promise};

    (void)state;
    for (int i = 0; i < 2; i++) {
        fx_node(fx, "n1")->cut = true;
        fx_run(fx, 1500);
        assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
        promise.voters = voters(fx, "n1")->version;
        event.sender = voters(fx, "n1")->witnesses.items[i];
        fx_step(fx, &event);
        fx_step(fx, &event); /* witnesses are asked until they have answered */
        if (i == 0) {
            fx_node(fx, "n1")->cut = false;
            fx_run(fx, 2000);
            assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
        }
    }
    fx_run(fx, 8000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_string_equal(fx_active_on(fx, "on-n1"), "n1");
    fx_free(fx);
}

/* As if that witness had promised: nothing runs by its votes from over_ms on. */
static void promised(struct core_node *node, const char *witness, uint64_t over_ms)
{
    struct core_promise *promise = &node->promises[node->promise_count++];

    *promise = (struct core_promise){.promised = true, .over_ms = over_ms};
    snprintf(promise->witness, sizeof promise->witness, "%s", witness);
}

/* How long the witnesses' part of the wait is, from what is known of each. */
static void from_when_on_votes_keep_nothing_alive(void **state)
{
    struct fixture *fx = cluster(5, 15);
    struct core_node *node = core_find_node(fx->core, "n1"), *lost;
    const struct ph_texts *set = &node->voters.witnesses;
    uint64_t takeover_ms = fx->core->takeover_ms;

    (void)state;
    assert_int_equal(set->count, 4);
    promised(node, set->items[0], 5000);
    promised(node, set->items[1], 7000);
    assert_true(core_promised_ms(fx->core, node) == UINT64_MAX); /* three of five are needed */
    promised(node, set->items[2], 6000);
    assert_int_equal(core_promised_ms(fx->core, node), 7000);
    /* A witness that was lost has voted for the last time a moment before, for all that is known. */
    node->promise_count = 2;
    lost = core_find_node(fx->core, set->items[3]);
    lost->row.state = PH_NODE_LOST;
    lost->row.granting = false;
    lost->taken_ms = 9000;
    assert_int_equal(core_promised_ms(fx->core, node), 9000 + takeover_ms);
    /* Under the set of before it may have other witnesses, or nobody knows which. */
    promised(node, set->items[2], 6000);
    assert_int_equal(core_promised_ms(fx->core, node), 7000);
    assert_int_equal(ph_texts_copy(&node->voters.before, set), 0);
    assert_int_equal(core_promised_ms(fx->core, node), 7000);
    assert_int_equal(ph_texts_add(&node->voters.before, CORE_VOTERS_UNKNOWN), 0);
    assert_true(core_promised_ms(fx->core, node) == UINT64_MAX);
    ph_texts_fini(&node->voters.before);
    assert_int_equal(ph_texts_add(&node->voters.before, "n9"), 0);
    assert_true(core_promised_ms(fx->core, node) == UINT64_MAX);
    fx_free(fx);
}

static void a_promise_is_waited_for_from_the_last_vote_on(void **state)
{
    struct fixture *fx = cluster(3, 16);
    struct core_node *node = core_find_node(fx->core, "n1");
    struct ph_promise promise = {.node = "n1", .promised = true, .ago_ms = 300};
    struct ph_event_in event = {.kind = PH_EV_MESSAGE, .type = PH_MSG_PROMISE, .body = &promise};

    (void)state;
    fx_node(fx, "n1")->cut = true;
    fx_run(fx, 1500);
    assert_int_equal(node->row.state, PH_NODE_SUSPECT);
    promise.voters = node->voters.version;
    for (size_t i = 0; i < 2; i++) {
        event.sender = node->voters.witnesses.items[i];
        fx_step(fx, &event);
    }
    assert_int_equal(core_promised_ms(fx->core, node),
        fx->now_ms + fx->core->takeover_ms - (uint64_t)promise.ago_ms);
    fx_free(fx);
}

static void only_its_own_version_confirms_a_set(void **state)
{
    struct fixture *fx = cluster(3, 17);
    struct core_node *node = core_find_node(fx->core, "n1");
    struct ph_voter_ok ok = {0};
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .type = PH_MSG_VOTER_OK, .body = &ok, .sender = "n1"};

    (void)state;
    ok.voters = node->voters.version;
    assert_int_equal(ph_texts_copy(&node->voters.before, &node->voters.witnesses), 0);
    node->voters.version++;
    fx_step(fx, &event);
    assert_int_equal(node->voters.before.count, 2);
    ok.voters++;
    fx_step(fx, &event);
    assert_int_equal(node->voters.before.count, 0);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(so_many_as_there_are),
        cmocka_unit_test(a_dead_node_costs_no_more_time),
        cmocka_unit_test(a_broken_link_takes_nothing_over),
        cmocka_unit_test(cut_off_from_all_it_is_taken_over),
        cmocka_unit_test(the_manager_is_away_for_an_hour),
        cmocka_unit_test(without_promises_it_waits_for_a_word),
        cmocka_unit_test(one_after_the_other_they_are_taken_over),
        cmocka_unit_test(a_set_that_is_not_confirmed),
        cmocka_unit_test(a_node_that_returns_gets_a_new_version),
        cmocka_unit_test(a_promise_ends_with_the_disk_it_was_on),
        cmocka_unit_test(an_old_inventory_trusts_no_set),
        cmocka_unit_test(other_failure_domains_come_first),
        cmocka_unit_test(made_up_promises_prove_nothing),
        cmocka_unit_test(promises_of_before_are_void),
        cmocka_unit_test(from_when_on_votes_keep_nothing_alive),
        cmocka_unit_test(a_promise_is_waited_for_from_the_last_vote_on),
        cmocka_unit_test(only_its_own_version_confirms_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
