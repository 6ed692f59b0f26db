/* Admission and leases: who is granted, who is not, and what silence means. */
#include "fixture.h"

static size_t effects_of(
    struct fixture *fx, enum ph_message_type type, const void *body, enum ph_message_type *first)
{
    struct ph_event_in event = {.kind = PH_EV_MESSAGE,
        .now_ms = fx->now_ms,
        .wall_ms = fx->wall_ms,
        .sender = "n1",
        .type = type,
        .body = body};
    size_t count;

    assert_int_equal(ph_core_step(fx->core, &event, &fx->effects), 0);
    fx_check(fx);
    count = fx->effects.count;
    *first = count == 0 ? PH_MESSAGE_TYPES : fx->effects.items[0].type;
    fx_perform(fx);
    return count;
}

static void a_beat_costs_a_grant(void **state)
{
    struct fixture *fx = fx_new(2, 1);
    char instance[] = "n1-1";
    struct ph_beat beat = {
        .number = 1000, .boot_ms = 77, .generation = 1, .term = 1, .instance = instance};
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .sender = "n1", .type = PH_MSG_BEAT, .body = &beat};
    const struct ph_grant *grant;

    (void)state;
    event.now_ms = fx->now_ms;
    event.wall_ms = fx->wall_ms;
    assert_int_equal(ph_core_step(fx->core, &event, &fx->effects), 0);
    assert_int_equal(fx->effects.count, 1);
    assert_int_equal(fx->effects.items[0].kind, PH_EF_GRANT);
    assert_string_equal(fx->effects.items[0].node, "n1");
    grant = fx->effects.items[0].value;
    assert_int_equal(grant->number, 1000);
    assert_int_equal(grant->boot_ms, 77);
    assert_int_equal(grant->generation, 1);
    assert_int_equal(grant->lease_ms, 1200);
    fx_perform(fx);
    fx_free(fx);
}

static void wrong_beats(void **state)
{
    static const struct {
        int64_t generation;
        const char *instance;
    } cases[] = {{0, "n1-1"}, {2, "n1-1"}, {1, "n1-other"}};
    struct fixture *fx = fx_new(2, 2);
    enum ph_message_type type;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        char instance[32];
        struct ph_beat beat = {
            .number = 1, .generation = cases[i].generation, .term = 1, .instance = instance};

        snprintf(instance, sizeof instance, "%s", cases[i].instance);
        assert_int_equal(effects_of(fx, PH_MSG_BEAT, &beat, &type), 1);
        assert_int_equal(type, PH_MSG_UNWELCOME);
    }
    fx_free(fx);
}

static void two_agents_with_one_identity(void **state)
{
    struct fixture *fx = fx_new(2, 3);
    char instance[] = "intruder";
    struct ph_hello hello = {.instance = instance, .number = 1};
    enum ph_message_type type;

    (void)state;
    effects_of(fx, PH_MSG_HELLO, &hello, &type);
    fx_run(fx, 300);
    assert_true(
        fx_node(fx, "n1")->told_to_end); /* whoever reads it: the newcomer by its own socket */
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    /* When the first has been silent for a lease, the next one is welcome. */
    fx_kill(fx, "n1");
    fx_run(fx, 1250);
    hello.generation = 1;
    effects_of(fx, PH_MSG_HELLO, &hello, &type);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 2);
    fx_free(fx);
}

static void an_agent_restarts_and_goes_on(void **state)
{
    struct fixture *fx = fx_new(2, 4);

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    fx_agent_restart(fx, "n1");
    fx_run(fx, 2000);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    fx_free(fx);
}

static void a_fenced_node_with_a_lease_waits(void **state)
{
    struct fixture *fx = fx_new(3, 5);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx_node(fx, "n1")->cut = true;
    fx_run(fx, 2000); /* lost; its lease has ended with the guard's work done */
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx_node(fx, "n1")->cut = false;
    fx_node(fx, "n1")->lease = true; /* it would not say so, but should it: */
    fx_node(fx, "n1")->held = 99;    /* (and run nothing) */
    fx_node(fx, "n1")->deadline_ms = fx->now_ms + 600;
    fx_run(fx, 500);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    fx_run(fx, 3000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 2);
    fx_free(fx);
}

/* A hello that says "no lease", sent before the lease began and overtaken by the first beat. */
static void an_old_hello_ends_no_lease(void **state)
{
    struct fixture *fx = fx_new(2, 6);
    char instance[] = "n1-1";
    struct ph_hello hello = {.instance = instance, .generation = 0, .lease_left_ms = 0};
    enum ph_message_type type;

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    effects_of(fx, PH_MSG_HELLO, &hello, &type);
    assert_int_equal(type, PH_MESSAGE_TYPES); /* not a word: an answer would end its admission */
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_free(fx);
}

/* Nor does one of its present admission, which a beat has overtaken. */
static void an_overtaken_hello_ends_no_lease(void **state)
{
    struct fixture *fx = fx_new(2, 12);
    char instance[] = "n1-1";
    struct ph_hello hello = {.instance = instance, .generation = 1, .lease_left_ms = 0};
    enum ph_message_type type;

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    hello.number = core_find_node(fx->core, "n1")->heard_number;
    assert_true(hello.number > 1);
    effects_of(fx, PH_MSG_HELLO, &hello, &type);
    assert_int_equal(type, PH_MESSAGE_TYPES);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_free(fx);
}

/* Others get the pools of a node that was admitted anew when what it was granted before is over: by time, and
 * where it has witnesses, by its first beat alone. */
static void a_new_admission_is_settled_later(void **state)
{
    struct fixture *fx = fx_new(2, 13);
    struct core_node *node = core_find_node(fx->core, "n1");
    char instance[] = "n1-1";
    struct ph_hello hello = {.instance = instance, .generation = 1, .lease_left_ms = 0};
    enum ph_message_type type;
    uint64_t dead_ms;

    (void)state;
    fx_run(fx, 1000);
    dead_ms = node->dead_ms;
    assert_true(dead_ms > fx->now_ms);
    assert_true(core_node_settled(fx->core, node));
    hello.number = node->heard_number + 1;
    effects_of(fx, PH_MSG_HELLO, &hello, &type);
    assert_int_equal(node->row.generation, 2);
    assert_int_equal(node->settled_ms, dead_ms);
    assert_false(core_node_settled(fx->core, node));
    fx->core->now_ms = dead_ms;
    assert_true(core_node_settled(fx->core, node));
    assert_int_equal(ph_texts_add(&node->voters.witnesses, "n2"), 0);
    assert_false(core_node_settled(fx->core, node));
    node->confirmed = true;
    assert_true(core_node_settled(fx->core, node));
    fx_free(fx);
}

/* A node that forgot its admission says truly that it has no lease, of what it knows. Time has to prove it. */
static void a_node_without_memory_waits(void **state)
{
    struct fixture *fx = fx_new(2, 7);
    struct fx_node *node = fx_node(fx, "n1");

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    fx_kill(fx, "n1");
    node->generation = 0;
    ph_record_fini(&ph_record_order, &node->pools[0].order);
    node->pool_count = 0;
    fx_boot(fx, "n1");
    node->instance += 5; /* and its process before is not the one we know */
    fx_run(fx, 1000);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_run(fx, 2000);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 2);
    fx_free(fx);
}

static void a_higher_term_stops_everything(void **state)
{
    struct fixture *fx = fx_new(2, 8);
    char instance[] = "n1-1";
    struct ph_beat beat = {.number = 5000, .generation = 1, .term = 9, .instance = instance};
    enum ph_message_type type;

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 2000);
    effects_of(fx, PH_MSG_BEAT, &beat, &type);
    assert_true(fx->core->outdated);
    beat.term = 1;
    effects_of(fx, PH_MSG_BEAT, &beat, &type);
    assert_int_equal(type, PH_MSG_UNWELCOME);
    fx_run(fx, 5000); /* nobody is lost, nothing is moved: it knows that it does not know */
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_ask(fx, PH_MSG_POOL_STOP, &(struct ph_named){.name = "web"});
    assert_non_null(strstr(fx_problem(fx), "--advance-term"));
    fx_free(fx);
}

static void quarantine_and_decay(void **state)
{
    struct fixture *fx = fx_new(2, 9);

    (void)state;
    fx->config.quarantine_failures = 2;
    fx->config.quarantine_ms = 10000;
    fx->config.silent_share_percent = 100;
    fx->core->config = fx->config;
    for (int i = 0; i < 2; i++) {
        fx_kill(fx, "n1");
        fx_run(fx, 2000);
        fx_boot(fx, "n1");
        fx_run(fx, 500);
    }
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_QUARANTINED);
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx_run(fx, 10000);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    assert_int_equal(fx_node_row(fx, "n1")->failures, 0);
    fx_free(fx);
}

/* A longer lease counts at once, a shorter one when the node goes by it. */
static void new_timing(void **state)
{
    struct fixture *fx = fx_new(2, 10);
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &fx->config};
    uint64_t before = fx->core->takeover_ms;

    (void)state;
    ph_timing_profile("gentle", &fx->config.timing);
    fx_step(fx, &event);
    fx_run(fx, 500);
    assert_true(core_find_node(fx->core, "n1")->dead_ms > fx->now_ms + 10000);
    assert_int_equal(fx->core->told_takeover_ms, fx->core->takeover_ms);
    ph_timing_profile("default", &fx->config.timing);
    fx_step(fx, &event);
    fx_run(fx, 5);
    assert_true(core_find_node(fx->core, "n1")->dead_ms > fx->now_ms + 10000);
    fx_run(fx, 100000);
    assert_int_equal(fx->core->takeover_ms, before);
    assert_int_equal(core_find_node(fx->core, "n1")->takeover_ms, before);
    assert_int_equal(fx->core->told_takeover_ms, before);
    fx_free(fx);
}

static void a_leaving_node_is_drained(void **state)
{
    struct fixture *fx = fx_new(2, 11);
    enum ph_message_type type;

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 2000);
    effects_of(fx, PH_MSG_LEAVING, &(struct ph_leaving){0}, &type);
    effects_of(fx, PH_MSG_LEAVING, &(struct ph_leaving){0}, &type);
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_beat_costs_a_grant),
        cmocka_unit_test(wrong_beats),
        cmocka_unit_test(two_agents_with_one_identity),
        cmocka_unit_test(an_agent_restarts_and_goes_on),
        cmocka_unit_test(a_fenced_node_with_a_lease_waits),
        cmocka_unit_test(an_old_hello_ends_no_lease),
        cmocka_unit_test(an_overtaken_hello_ends_no_lease),
        cmocka_unit_test(a_new_admission_is_settled_later),
        cmocka_unit_test(a_node_without_memory_waits),
        cmocka_unit_test(a_higher_term_stops_everything),
        cmocka_unit_test(quarantine_and_decay),
        cmocka_unit_test(new_timing),
        cmocka_unit_test(a_leaving_node_is_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
