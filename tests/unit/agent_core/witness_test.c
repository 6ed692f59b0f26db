/* Witnesses in the agent's core: asking, voting, promising, and passing on. */
#include "world.h"

static char manager[] = "m1";

static void peer_message(
    struct world *world, const char *sender, enum ph_message_type type, const void *body)
{
    struct ph_agent_event event = {
        .kind = PH_AE_PEER_MESSAGE, .sender = sender, .type = type, .body = body};
    world_step(world, &event);
}

static void take_list(
    struct world *world, int64_t voters, const char *witnesses, const char *serves)
{
    struct ph_peer asked[PH_WITNESSES_MAX] = {0}, served[PH_WITNESSES_MAX] = {0};
    struct ph_voter_list list = {.term = 1, .manager = manager, .voters = voters, .check = voters};
    char endpoint[] = "tcp://127.0.0.1:1", key[] = "key";
    for (const char *at = witnesses; *at != '\0'; at++) {
        struct ph_peer *peer = &asked[list.witnesses.count++];
        (void)snprintf(peer->node, sizeof(peer->node), "n%c", *at);
        peer->endpoint = endpoint;
        peer->public_key = key;
    }
    for (const char *at = serves; *at != '\0'; at++) {
        struct ph_peer *peer = &served[list.serves.count++];
        (void)snprintf(peer->node, sizeof(peer->node), "n%c", *at);
        peer->endpoint = endpoint;
        peer->public_key = key;
    }
    list.witnesses.items = asked;
    list.serves.items = served;
    world_message(world, PH_MSG_VOTER_LIST, &list);
}

/* n1 with a lease of generation 1 from now on, and witnesses n2 and n3, which it serves too. */
static void setup(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
    take_list(world, 1, "23", "23");
}

static const struct ph_agent_effect *said_to(
    const struct world *world, const char *node, enum ph_message_type type)
{
    for (size_t i = 0; i < world->effects.count; i++) {
        const struct ph_agent_effect *effect = &world->effects.items[i];
        if (effect->kind == PH_AF_SEND_PEER && effect->type == type &&
            strcmp(effect->peer, node) == 0) {
            return effect;
        }
    }
    return NULL;
}

/* Time passes without a word of the manager until the witnesses are asked. */
static struct ph_vote_ask silence(struct world *world)
{
    for (int i = 0; i < 40; i++) {
        world->now_ms += 25;
        world_tick(world);
        const struct ph_agent_effect *effect = said_to(world, "n2", PH_MSG_VOTE_ASK);
        if (effect != NULL) {
            assert_non_null(said_to(world, "n3", PH_MSG_VOTE_ASK));
            assert_true(effect->at_once);
            return *(const struct ph_vote_ask *)effect->value;
        }
    }
    fail_msg("the witnesses were not asked");
    return (struct ph_vote_ask){0};
}

static struct ph_vote vote_for(const struct ph_vote_ask *ask)
{
    struct ph_vote vote = {.generation = ask->generation,
        .boot_ms = ask->boot_ms,
        .voters = ask->voters,
        .granted = true};
    (void)snprintf(vote.node, sizeof(vote.node), "%s", ask->node);
    return vote;
}

static void test_the_list_is_durable_before_it_is_confirmed(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    bool saved = false;
    for (size_t i = 0; i < world.effects.count; i++) {
        const struct ph_agent_effect *effect = &world.effects.items[i];
        saved |= effect->kind == PH_AF_SAVE && effect->record == &ph_record_meta &&
                 strcmp(((const struct ph_meta *)effect->value)->key, "voters") == 0;
        if (effect->kind == PH_AF_SEND && effect->type == PH_MSG_VOTER_OK) {
            assert_true(saved);
            assert_false(effect->at_once);
        }
    }
    const struct ph_voter_ok *ok = world_sent(&world, PH_MSG_VOTER_OK);
    assert_non_null(ok);
    assert_int_equal(ok->voters, 1);
    assert_int_equal(world.witness_count, 2);
    assert_int_equal(world.peer_count, 2);
    /* One that was overtaken changes nothing. */
    take_list(&world, 2, "3", "3");
    assert_int_equal(world.witness_count, 1);
    take_list(&world, 1, "23", "23");
    assert_int_equal(world.witness_count, 1);
    assert_null(world_sent(&world, PH_MSG_VOTER_OK));
    world_destroy(&world);
}

static void test_a_majority_extends_the_lease_from_when_it_was_asked(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    uint64_t deadline_ms = world.page_deadline_ms;
    struct ph_vote_ask ask = silence(&world);
    assert_string_equal(ask.node, "n1");
    assert_int_equal(ask.boot_ms, world.now_ms);
    assert_int_equal(ask.lease_ms, 1200);
    struct ph_vote vote = vote_for(&ask);
    world.now_ms += 20;
    peer_message(&world, "n3", PH_MSG_VOTE, &vote); /* with its own vote two of three */
    assert_int_equal(world.page_deadline_ms, (uint64_t)ask.boot_ms + 1200);
    assert_true(world.page_deadline_ms > deadline_ms);
    world_destroy(&world);
}

static void test_of_five_two_votes_are_needed(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    take_list(&world, 1, "2345", "");
    uint64_t deadline_ms = world.page_deadline_ms;
    struct ph_vote_ask ask = silence(&world);
    struct ph_vote vote = vote_for(&ask);
    peer_message(&world, "n4", PH_MSG_VOTE, &vote);
    peer_message(&world, "n4", PH_MSG_VOTE, &vote); /* the same one counts once */
    assert_int_equal(world.page_deadline_ms, deadline_ms);
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    assert_int_equal(world.page_deadline_ms, (uint64_t)ask.boot_ms + 1200);
    world_destroy(&world);
}

static void test_votes_that_do_not_count(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    uint64_t deadline_ms = world.page_deadline_ms;
    struct ph_vote_ask ask = silence(&world);
    struct ph_vote vote = vote_for(&ask);
    peer_message(&world, "n4", PH_MSG_VOTE, &vote); /* nobody's witness */
    vote.voters = 2;
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    vote = vote_for(&ask);
    vote.generation = 2;
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    vote = vote_for(&ask);
    vote.boot_ms++; /* answers nothing that was asked */
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    vote = vote_for(&ask);
    vote.granted = false;
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    assert_int_equal(world.page_deadline_ms, deadline_ms);
    /* A new set: what the old one answers is void. */
    take_list(&world, 2, "34", "");
    vote = vote_for(&ask);
    peer_message(&world, "n3", PH_MSG_VOTE, &vote);
    assert_int_equal(world.page_deadline_ms, deadline_ms);
    world_destroy(&world);
}

/* A vote under the set of before and one under the new set are no two votes. */
static void test_votes_of_an_earlier_set_are_forgotten(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    take_list(&world, 1, "2345", "");
    uint64_t deadline_ms = world.page_deadline_ms;
    struct ph_vote_ask ask = silence(&world);
    struct ph_vote vote = vote_for(&ask);
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    take_list(&world, 2, "2346", "");
    ask = silence(&world);
    vote = vote_for(&ask);
    peer_message(&world, "n4", PH_MSG_VOTE, &vote);
    assert_int_equal(world.page_deadline_ms, deadline_ms);
    peer_message(&world, "n6", PH_MSG_VOTE, &vote);
    assert_int_equal(world.page_deadline_ms, (uint64_t)ask.boot_ms + 1200);
    world_destroy(&world);
}

static void test_an_ended_lease_stays_ended(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct ph_vote_ask ask = silence(&world);
    struct ph_vote vote = vote_for(&ask);
    world.now_ms = world.page_deadline_ms;
    peer_message(&world, "n2", PH_MSG_VOTE, &vote); /* it would reach further, and is too late */
    assert_null(world_effect(&world, PH_AF_LEASE));
    world_guard_ended(&world, NULL);
    peer_message(&world, "n3", PH_MSG_VOTE, &vote);
    assert_null(world_effect(&world, PH_AF_LEASE));
    world_destroy(&world);
}

static void test_nobody_is_asked_while_the_manager_speaks(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    for (int i = 0; i < 100; i++) {
        world.now_ms += 50;
        world_tick(&world);
        assert_null(said_to(&world, "n2", PH_MSG_VOTE_ASK));
        const struct ph_beat *beat = world_sent(&world, PH_MSG_BEAT);
        if (beat != NULL) {
            struct ph_beat copy = *beat;
            world_grant(&world, 1, &copy);
        }
    }
    world_destroy(&world);
}

static const struct ph_vote *ask_of(struct world *world, const char *node, int64_t voters)
{
    struct ph_vote_ask ask = {.generation = 1, .boot_ms = 77, .voters = voters, .lease_ms = 1200};
    (void)snprintf(ask.node, sizeof(ask.node), "%s", node);
    peer_message(world, node, PH_MSG_VOTE_ASK, &ask);
    const struct ph_agent_effect *effect = said_to(world, node, PH_MSG_VOTE);
    return effect == NULL ? NULL : effect->value;
}

static const struct ph_promise *promise_of(struct world *world, const char *node, int64_t voters)
{
    struct ph_promise_ask ask = {.term = 1, .manager = manager, .voters = voters};
    (void)snprintf(ask.node, sizeof(ask.node), "%s", node);
    world_message(world, PH_MSG_PROMISE_ASK, &ask);
    return world_sent(world, PH_MSG_PROMISE);
}

static void test_a_promise_is_durable_and_for_ever(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world.now_ms += 300;
    const struct ph_promise *promise = promise_of(&world, "n2", 4);
    assert_true(promise->promised);
    assert_int_equal(promise->ago_ms, 300); /* its own start counts as a vote */
    bool saved = false;
    for (size_t i = 0; i < world.effects.count; i++) {
        const struct ph_agent_effect *effect = &world.effects.items[i];
        saved |= effect->kind == PH_AF_SAVE && effect->record == &ph_record_witness;
        if (effect->kind == PH_AF_SEND && effect->type == PH_MSG_PROMISE) {
            assert_true(saved);
            assert_false(effect->at_once);
        }
    }
    assert_false(ask_of(&world, "n2", 4)->granted);
    assert_true(ask_of(&world, "n2", 5)->granted);
    assert_true(ask_of(&world, "n3", 4)->granted);
    /* The process restarts, and the list no longer names it. */
    world_boot(&world);
    world_guard_ready(&world);
    world_tick(&world);
    assert_false(ask_of(&world, "n2", 4)->granted);
    take_list(&world, 2, "3", "3");
    assert_int_equal(world.witness_count, 2);
    take_list(&world, 3, "23", "23");
    assert_false(ask_of(&world, "n2", 4)->granted);
    world_destroy(&world);
}

static void test_a_witness_that_hears_the_node_does_not_promise(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world.now_ms += 100;
    assert_true(ask_of(&world, "n2", 1)->granted);
    world.now_ms += 700;
    const struct ph_promise *promise = promise_of(&world, "n2", 1);
    assert_false(promise->promised);
    assert_int_equal(promise->heard_ms, 700);
    world.now_ms += 500;
    promise = promise_of(&world, "n2", 1);
    assert_true(promise->promised);
    assert_int_equal(promise->ago_ms, 1200);
    /* Said again when the answer was lost; the age goes on. */
    world.now_ms += 100;
    promise = promise_of(&world, "n2", 1);
    assert_true(promise->promised);
    assert_int_equal(promise->ago_ms, 1300);
    world_destroy(&world);
}

static void test_a_vote_counts_also_when_the_node_was_taken_off_the_list(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world.now_ms += 500;
    assert_true(ask_of(&world, "n2", 1)->granted);
    take_list(&world, 2, "3", "3");
    world.now_ms += 100;
    const struct ph_promise *promise = promise_of(&world, "n2", 1);
    assert_true(promise->promised);
    assert_int_equal(promise->ago_ms, 100); /* what that vote extended may still live */
    world_destroy(&world);
}

static void test_a_node_without_a_lease_votes_for_nobody(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world.now_ms = world.page_deadline_ms;
    const struct ph_vote *vote = ask_of(&world, "n2", 1);
    assert_false(vote->granted);
    assert_non_null(strstr(vote->reason, "no lease"));
    assert_true(promise_of(&world, "n2", 1)->promised);
    world_destroy(&world);
}

static void test_strangers_and_borrowed_names_get_nothing(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    assert_null(ask_of(&world, "n9", 1));
    struct ph_vote_ask ask = {.node = "n3", .generation = 1, .voters = 1, .lease_ms = 1200};
    peer_message(&world, "n2", PH_MSG_VOTE_ASK, &ask);
    assert_null(said_to(&world, "n2", PH_MSG_VOTE));
    assert_null(said_to(&world, "n3", PH_MSG_VOTE));
    struct ph_relay relay = {.node = "n3"};
    peer_message(&world, "n2", PH_MSG_RELAY, &relay);
    assert_null(world_sent(&world, PH_MSG_RELAY));
    /* An older manager gets no promise. */
    struct ph_promise_ask old = {.term = 0, .manager = manager, .node = "n2", .voters = 9};
    world_message(&world, PH_MSG_PROMISE_ASK, &old);
    assert_null(world_sent(&world, PH_MSG_PROMISE));
    world_destroy(&world);
}

static void test_orders_and_reports_pass_through_a_witness(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct ph_vote_ask ask = silence(&world);
    struct ph_vote vote = vote_for(&ask);
    peer_message(&world, "n2", PH_MSG_VOTE, &vote);
    struct ph_order order = {.term = 1,
        .manager = manager,
        .generation = 1,
        .number = 1,
        .kind = PH_ORDER_HOLD,
        .epoch = 1,
        .pool = {.name = "p"}};
    (void)snprintf(order.pool.driver, sizeof(order.pool.driver), "directory");
    struct ph_relay relay = {.node = "n1", .orders = {1, &order}};
    peer_message(&world, "n9", PH_MSG_RELAY, &relay); /* not of a stranger */
    assert_int_equal(world.assignment_count, 0);
    peer_message(&world, "n3", PH_MSG_RELAY, &relay);
    assert_int_equal(world.assignment_count, 1);
    const struct ph_agent_effect *back = said_to(&world, "n2", PH_MSG_RELAY);
    assert_non_null(back);
    const struct ph_relay *said = back->value;
    assert_string_equal(said->node, "n1");
    assert_int_equal(said->reports.count, 1);
    assert_int_equal(said->reports.items[0].order_number, 1);
    /* As a witness: both ways. */
    struct ph_relay other = {.node = "n2"};
    peer_message(&world, "n2", PH_MSG_RELAY, &other);
    assert_non_null(world_sent(&world, PH_MSG_RELAY));
    world_message(&world, PH_MSG_RELAY, &other);
    assert_non_null(said_to(&world, "n2", PH_MSG_RELAY));
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_list_is_durable_before_it_is_confirmed),
        cmocka_unit_test(test_a_majority_extends_the_lease_from_when_it_was_asked),
        cmocka_unit_test(test_of_five_two_votes_are_needed),
        cmocka_unit_test(test_votes_that_do_not_count),
        cmocka_unit_test(test_votes_of_an_earlier_set_are_forgotten),
        cmocka_unit_test(test_an_ended_lease_stays_ended),
        cmocka_unit_test(test_nobody_is_asked_while_the_manager_speaks),
        cmocka_unit_test(test_a_promise_is_durable_and_for_ever),
        cmocka_unit_test(test_a_witness_that_hears_the_node_does_not_promise),
        cmocka_unit_test(test_a_vote_counts_also_when_the_node_was_taken_off_the_list),
        cmocka_unit_test(test_a_node_without_a_lease_votes_for_nobody),
        cmocka_unit_test(test_strangers_and_borrowed_names_get_nothing),
        cmocka_unit_test(test_orders_and_reports_pass_through_a_witness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
