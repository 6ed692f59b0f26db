/* Orders and reports: numbers, repetition, and reports that are lost, doubled, late or lie. */
#include "fixture.h"

static void tell(struct fixture *fx, const char *node, const struct ph_report *report)
{
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .sender = node, .type = PH_MSG_REPORT, .body = report};

    fx_step(fx, &event);
}

static struct core_peer *peer_of(struct fixture *fx, const char *pool, const char *node)
{
    struct core_peer *peer = core_find_peer(core_find_pool(fx->core, pool), node);

    assert_non_null(peer);
    return peer;
}

static size_t count_lines(const char *text, const char *word)
{
    size_t count = 0;

    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

static void sent_again_until_echoed(void **state)
{
    struct fixture *fx = fx_new(1, 1);
    int64_t number;

    (void)state;
    fx_run(fx, 500);
    fx_trace_on(fx);
    fx_node(fx, "n1")->cut = true;
    fx_declare(fx, "web", 0, NULL);
    number = peer_of(fx, "web", "n1")->order_number;
    fx_run(fx, 1100);
    assert_int_equal(
        count_lines(fx->trace, "send n1 order web activate"), 2); /* at 0, 500; next at 1500 */
    fx_node(fx, "n1")->cut = false;
    fx_run(fx, 1000);
    assert_int_equal(peer_of(fx, "web", "n1")->report.state, PH_LOCAL_ACTIVE);
    assert_true(peer_of(fx, "web", "n1")->order_number >= number);
    fx_trace_on(fx);
    fx_run(fx, 10000);
    assert_int_equal(count_lines(fx->trace, "order"), 0); /* echoed: silence */
    fx_free(fx);
}

static void a_new_declaration_is_a_new_order(void **state)
{
    struct fixture *fx = fx_new(1, 2);
    int64_t number, epoch;

    (void)state;
    fx_declare(fx, "web", 0, NULL);
    fx_run(fx, 1000);
    number = peer_of(fx, "web", "n1")->order_number;
    epoch = fx_pool_row(fx, "web")->epoch;
    fx_declare(fx, "web", 0, NULL); /* the same: nothing */
    assert_int_equal(peer_of(fx, "web", "n1")->order_number, number);
    fx_declare(fx, "web", 0, "n1");
    assert_true(peer_of(fx, "web", "n1")->order_number > number);
    assert_int_equal(fx_pool_row(fx, "web")->epoch, epoch);
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

/* An agent says "released" of the epoch it has just been ordered to run, before it begins. */
static void released_is_no_proof_without_the_echo(void **state)
{
    struct fixture *fx = fx_new(2, 3);
    struct core_peer *peer;
    struct ph_report report = {.pool = "web",
        .number = 1000000,
        .epoch = 1,
        .state = PH_LOCAL_RELEASED,
        .data_epoch = 1,
        .data_sequence = 9};

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    peer = peer_of(fx, "web", "n1");
    report.order_term = fx->core->term;
    report.order_number = peer->order_number; /* of the order to activate */
    tell(fx, "n1", &report);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_local(fx_node(fx, "n1"), "web")->slow_stop = true;
    fx_ask(fx, PH_MSG_POOL_STOP, &(struct ph_named){.name = "web"});
    assert_int_equal(peer->order_kind, PH_ORDER_DEACTIVATE);
    report.number++;
    tell(fx, "n1", &report); /* still of the order before */
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    report.number++;
    report.order_number = peer->order_number;
    report.order_term = fx->core->term - 1; /* of a manager before */
    tell(fx, "n1", &report);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    report.number++;
    report.order_term = fx->core->term;
    report.state = PH_LOCAL_STUCK;
    report.reason = (char[]){"a process does not die"};
    tell(fx, "n1", &report);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "stuck"));
    fx_free(fx);
}

static void old_and_doubled_reports(void **state)
{
    struct fixture *fx = fx_new(2, 4);
    struct ph_report report = {.pool = "web", .number = 1, .epoch = 1, .state = PH_LOCAL_FAILED};
    struct ph_report future = {
        .pool = "web", .number = 99999, .epoch = 7, .state = PH_LOCAL_ACTIVE};

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    tell(fx, "n1", &report); /* late */
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    tell(fx, "n1", &future); /* of an epoch that was never given */
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    fx_free(fx);
}

/* A failure is counted once per attempt, however often it is told. */
static void failures_are_counted_once(void **state)
{
    struct fixture *fx = fx_new(1, 5);
    struct ph_report report = {.pool = "web", .number = 1000, .epoch = 1, .state = PH_LOCAL_FAILED};

    (void)state;
    fx_node(fx, "n1")->cut = true;
    fx_declare(fx, "web", 0, NULL);
    for (int i = 0; i < 10; i++) {
        report.number++;
        tell(fx, "n1", &report);
    }
    assert_int_equal(core_find_pool(fx->core, "web")->attempts, 1);
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    fx_free(fx);
}

/* Failed on one, to be tried on the next: only when the first can no longer try by itself. */
static void failed_is_released_before_the_next_candidate(void **state)
{
    struct fixture *fx = fx_new(2, 6);

    (void)state;
    fx->core->config.activation_attempts = 1;
    fx_local_make(fx_node(fx, "n1"), "web")->fail_always = true;
    fx_trace_on(fx);
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_non_null(strstr(fx->trace, "send n1 order web deactivate epoch=1"));
    assert_true(strstr(fx->trace, "send n1 order web deactivate epoch=1") <
                strstr(fx->trace, "send n2 order web activate epoch=2"));
    fx_free(fx);
}

static void a_stranger_runs(void **state)
{
    struct fixture *fx = fx_new(1, 7);
    struct ph_report report = {
        .pool = "ghost", .number = 1, .epoch = 3, .state = PH_LOCAL_ACTIVE, .data_epoch = 3};

    (void)state;
    fx_trace_on(fx);
    tell(fx, "n1", &report);
    assert_non_null(strstr(fx->trace, "send n1 order ghost deactivate epoch=3"));
    assert_non_null(strstr(fx->trace, "stray-pool"));
    fx_trace_on(fx);
    report.number++;
    report.state = PH_LOCAL_RELEASED;
    tell(fx, "n1", &report);
    assert_int_equal(fx->trace_bytes, 0);
    fx_free(fx);
}

/* Reports lost, doubled and out of order, for a while: costs time and nothing else. */
static void a_bad_network(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct fixture *fx = fx_new(3, seed);

        fx->loss_percent = 20;
        fx->twice_percent = 20;
        fx->delay_ms = 150;
        fx_declare(fx, "web", 1, "n1");
        fx_run(fx, 4000);
        fx_ask(fx, PH_MSG_POOL_MOVE, &(struct ph_pool_move){.pool = "web", .target = "n2"});
        fx_run(fx, 8000);
        fx->loss_percent = fx->twice_percent = 0;
        fx->delay_ms = 3;
        fx_run(fx, 15000);
        assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
        assert_string_equal(fx_active_on(fx, "web"), fx_pool_row(fx, "web")->node);
        fx_free(fx);
    }
}

/* A holder that says what it has, when the owner did not live to say so. */
static void a_holder_speaks_for_itself(void **state)
{
    struct fixture *fx = fx_new(2, 8);
    struct core_peer *peer;
    struct ph_report report = {
        .pool = "web", .number = 100000, .epoch = 1, .state = PH_LOCAL_COPY, .data_epoch = 1};
    int64_t as_of;

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    peer = peer_of(fx, "web", "n2");
    as_of = peer->row.as_of;
    report.data_sequence = peer->row.sequence + 1;
    tell(fx, "n2", &report);
    assert_int_equal(peer->row.sequence, report.data_sequence);
    assert_int_equal(peer->row.as_of, as_of); /* how old it is, only the owner could have said */
    report.number++;
    report.data_epoch = 5; /* never was */
    tell(fx, "n2", &report);
    assert_int_equal(peer->row.epoch, 1);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sent_again_until_echoed),
        cmocka_unit_test(a_new_declaration_is_a_new_order),
        cmocka_unit_test(released_is_no_proof_without_the_echo),
        cmocka_unit_test(old_and_doubled_reports),
        cmocka_unit_test(failures_are_counted_once),
        cmocka_unit_test(failed_is_released_before_the_next_candidate),
        cmocka_unit_test(a_stranger_runs),
        cmocka_unit_test(a_bad_network),
        cmocka_unit_test(a_holder_speaks_for_itself),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
