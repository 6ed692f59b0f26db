/* What a node can promise when it has to stop everything, and what that means for its pools. */
#include "fixture.h"

static void say(struct fixture *fx, const char *name, int64_t watchdog_ms)
{
    fx_node(fx, name)->watchdog_ms = watchdog_ms;
    fx_agent_restart(fx, name);
    fx_run(fx, 1500);
}

static void configure(struct fixture *fx)
{
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &fx->config};

    fx_step(fx, &event);
    fx_run(fx, 500);
}

static void stick(struct fixture *fx, const char *node, const char *pool, enum ph_local_state state)
{
    static int64_t number = 1000000;
    struct fx_node *at = fx_node(fx, node);
    struct ph_report report = {.number = ++number, .state = state};
    char instance[32];
    struct ph_event_in event = {
        .kind = PH_EV_MESSAGE, .sender = node, .type = PH_MSG_REPORT, .body = &report};

    snprintf(instance, sizeof instance, "%s-%d", node, at->instance);
    snprintf(report.pool, sizeof report.pool, "%s", pool);
    report.instance = instance;
    report.epoch = fx_pool_row(fx, pool)->epoch;
    fx_step(fx, &event);
}

/* When web runs on n2 after n1 fell silent, in ms; -1: not within limit_ms. */
static int taken_after(struct fixture *fx, int limit_ms)
{
    fx_kill(fx, "n1");
    for (int ms = 0; ms < limit_ms; ms += 50) {
        fx_run(fx, 50);
        if (strcmp(fx_pool_row(fx, "web")->node, "n2") == 0)
            return ms;
    }
    return -1;
}

static struct fixture *web_on_n1(uint64_t seed, int64_t watchdog_ms)
{
    struct fixture *fx = fx_new(3, seed);

    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    if (watchdog_ms != 0)
        say(fx, "n1", watchdog_ms);
    return fx;
}

static void the_wait_is_each_nodes_own(void **state)
{
    struct fixture *fx = web_on_n1(1, 8000);

    (void)state;
    assert_int_equal(fx_node_row(fx, "n1")->watchdog_ms, 8000);
    assert_int_equal(core_node_wait_ms(fx->core, core_find_node(fx->core, "n1")), 9219);
    assert_int_equal(core_node_wait_ms(fx->core, core_find_node(fx->core, "n2")), 1704);
    assert_in_range(taken_after(fx, 20000), 8900, 9500);
    fx_free(fx);
    fx = web_on_n1(1, 0);
    assert_in_range(taken_after(fx, 20000), 1400, 2200);
    fx_free(fx);
}

static void a_manager_that_restarts_waits_for_the_watchdog_too(void **state)
{
    struct fixture *fx = web_on_n1(2, 8000);

    (void)state;
    fx_kill(fx, "n1");
    fx_manager_stop(fx);
    fx_run(fx, 200);
    fx_manager_start(fx);
    uint64_t started_ms = fx->now_ms;
    while (strcmp(fx_pool_row(fx, "web")->node, "n2") != 0 && fx->now_ms < started_ms + 20000)
        fx_run(fx, 50);
    assert_in_range(fx->now_ms - started_ms, 9200, 9800);
    fx_free(fx);
}

static void a_shorter_watchdog_counts_when_the_longer_cannot(void **state)
{
    struct fixture *fx = web_on_n1(3, 8000);

    (void)state;
    say(fx, "n1", 2000);
    assert_int_equal(core_find_node(fx->core, "n1")->takeover_ms, 3207);
    fx_run(fx, 9000); /* grants sent while the longer one counted are over */
    assert_in_range(taken_after(fx, 20000), 2900, 3600);
    fx_free(fx);
}

static void a_stuck_node_without_a_watchdog_is_held(void **state)
{
    struct fixture *fx = web_on_n1(4, 0);

    (void)state;
    stick(fx, "n1", "web", PH_LOCAL_STUCK);
    assert_true(fx_node_row(fx, "n1")->stuck);
    assert_int_equal(taken_after(fx, 30000), -1);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_non_null(strstr(fx_node_row(fx, "n1")->reason, "cannot be stopped"));
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "not taken over by time alone"));
    /* A restart of the manager does not forget it. */
    fx_manager_stop(fx);
    fx_manager_start(fx);
    fx_run(fx, 10000);
    assert_true(fx_node_row(fx, "n1")->stuck);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    /* An operator's word does what time cannot. */
    assert_true(fx_ask(fx, PH_MSG_FENCE, &(struct ph_fence){.node = "n1", .confirm_dead = "n1"}));
    fx_run(fx, 3000);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    assert_false(fx_node_row(fx, "n1")->stuck);
    fx_free(fx);
}

static void what_is_stuck_no_more_is_forgotten(void **state)
{
    struct fixture *fx = web_on_n1(5, 0);

    (void)state;
    stick(fx, "n1", "web", PH_LOCAL_STUCK);
    assert_true(fx_node_row(fx, "n1")->stuck);
    stick(fx, "n1", "web", PH_LOCAL_ACTIVE);
    assert_false(fx_node_row(fx, "n1")->stuck);
    assert_in_range(taken_after(fx, 20000), 1400, 2200);
    fx_free(fx);
}

static void a_watchdog_frees_a_stuck_node(void **state)
{
    struct fixture *fx = web_on_n1(6, 5000);

    (void)state;
    stick(fx, "n1", "web", PH_LOCAL_STUCK);
    assert_in_range(taken_after(fx, 20000), 5500, 6600);
    fx_free(fx);
}

static void the_configuration_may_hold(void **state)
{
    struct fixture *fx = web_on_n1(7, 0);

    (void)state;
    fx->config.hold_without_watchdog = true;
    configure(fx);
    assert_int_equal(taken_after(fx, 20000), -1);
    assert_non_null(strstr(fx_node_row(fx, "n1")->reason, "without_watchdog: hold"));
    /* And let go again. */
    fx->config.hold_without_watchdog = false;
    configure(fx);
    fx_run(fx, 3000);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    fx_free(fx);
}

static void with_a_watchdog_hold_does_not_hold(void **state)
{
    struct fixture *fx = web_on_n1(8, 3000);

    (void)state;
    fx->config.hold_without_watchdog = true;
    configure(fx);
    assert_in_range(taken_after(fx, 20000), 3500, 4600);
    fx_free(fx);
}

static void a_held_node_that_returns_goes_on(void **state)
{
    struct fixture *fx = web_on_n1(9, 0);

    (void)state;
    fx->config.hold_without_watchdog = true;
    configure(fx);
    assert_int_equal(taken_after(fx, 5000), -1);
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wait_is_each_nodes_own),
        cmocka_unit_test(a_manager_that_restarts_waits_for_the_watchdog_too),
        cmocka_unit_test(a_shorter_watchdog_counts_when_the_longer_cannot),
        cmocka_unit_test(a_stuck_node_without_a_watchdog_is_held),
        cmocka_unit_test(what_is_stuck_no_more_is_forgotten),
        cmocka_unit_test(a_watchdog_frees_a_stuck_node),
        cmocka_unit_test(the_configuration_may_hold),
        cmocka_unit_test(with_a_watchdog_hold_does_not_hold),
        cmocka_unit_test(a_held_node_that_returns_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
