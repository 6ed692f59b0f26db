/* Too many silent together; pauses; what lifts them. */
#include "fixture.h"

static struct fixture *spread(int nodes, uint64_t seed)
{
    struct fixture *fx = fx_new(nodes, seed);

    for (int i = 0; i < nodes; i++) {
        char pool[16], node[16];

        snprintf(pool, sizeof pool, "p%d", i + 1);
        snprintf(node, sizeof node, "n%d", i + 1);
        fx_declare(fx, pool, 1, node);
    }
    fx_run(fx, 3000);
    return fx;
}

static void one_node_is_no_reason(void **state)
{
    struct fixture *fx = spread(2, 1);

    (void)state;
    fx_kill(fx, "n1"); /* half of them, but a single one */
    fx_run(fx, 3000);
    assert_false(fx->core->braked);
    assert_string_equal(fx_active_on(fx, "p1"), "n2");
    fx_free(fx);
}

static void most_of_them_together(void **state)
{
    struct fixture *fx = spread(5, 2);

    (void)state;
    for (int i = 0; i < 3; i++)
        fx->nodes[i].cut = true;
    fx_run(fx, 10000);
    assert_true(fx->core->braked);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_node_row(fx, fx->nodes[i].name)->state, PH_NODE_SUSPECT);
    assert_int_equal(fx_pool_row(fx, "p1")->state, PH_POOL_WAITING);
    assert_non_null(strstr(fx_pool_row(fx, "p1")->reason, "3 of 5 nodes"));
    assert_int_equal(fx_pool_row(fx, "p1")->epoch, 1);
    /* One returns: two of five silent is few enough, and those are taken over. */
    fx->nodes[0].cut = false;
    fx_run(fx, 5000);
    assert_false(fx->core->braked);
    assert_string_equal(fx_active_on(fx, "p1"), "n1");
    assert_int_equal(fx_node_row(fx, "n2")->state, PH_NODE_LOST);
    fx_free(fx);
}

static void an_operator_goes_on(void **state)
{
    struct fixture *fx = spread(5, 3);

    (void)state;
    for (int i = 0; i < 3; i++)
        fx_kill(fx, fx->nodes[i].name);
    fx_run(fx, 5000);
    assert_true(fx->core->braked);
    fx_ask(fx, PH_MSG_UNPAUSE, &(struct ph_nothing){0});
    fx_run(fx, 3000);
    assert_false(fx->core->braked);
    for (int i = 0; i < 3; i++)
        assert_int_equal(fx_node_row(fx, fx->nodes[i].name)->state, PH_NODE_LOST);
    fx_free(fx);
}

static void fencing_goes_on_under_the_brake(void **state)
{
    struct fixture *fx = spread(5, 4);

    (void)state;
    for (int i = 0; i < 3; i++)
        fx_kill(fx, fx->nodes[i].name);
    fx_run(fx, 5000);
    assert_true(fx->core->braked);
    fx_ask(fx, PH_MSG_FENCE, &(struct ph_fence){.node = "n1", .confirm_dead = "n1"});
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_FENCED);
    assert_string_not_equal(fx_pool_row(fx, "p1")->node, "n1");
    fx_free(fx);
}

/* One after the other is a bad day, not a broken network. */
static void one_after_the_other(void **state)
{
    struct fixture *fx = spread(5, 5);

    (void)state;
    for (int i = 0; i < 3; i++) {
        fx_kill(fx, fx->nodes[i].name);
        fx_run(fx, 8000);
        assert_int_equal(fx_node_row(fx, fx->nodes[i].name)->state, PH_NODE_LOST);
    }
    assert_false(fx->core->braked);
    fx_free(fx);
}

/* The manager itself was cut off: everybody is silent, everybody returns, nothing is moved. */
static void the_manager_was_cut_off(void **state)
{
    struct fixture *fx = spread(4, 6);

    (void)state;
    for (int i = 0; i < 4; i++)
        fx->nodes[i].cut = true;
    fx_run(fx, 6000);
    assert_true(fx->core->braked);
    for (int i = 0; i < 4; i++)
        fx->nodes[i].cut = false;
    fx_run(fx, 4000);
    assert_false(fx->core->braked);
    for (int i = 0; i < 4; i++) {
        char pool[16];

        snprintf(pool, sizeof pool, "p%d", i + 1);
        assert_string_equal(fx_active_on(fx, pool), fx->nodes[i].name);
    }
    fx_free(fx);
}

/* Failures are forgotten one by one: twice in an afternoon is flapping, twice in a year is not. */
static void failures_decay(void **state)
{
    struct fixture *fx = fx_new(2, 7);

    (void)state;
    fx->config.quarantine_failures = 2;
    fx->config.quarantine_window_ms = 20000;
    fx->core->config = fx->config;
    for (int i = 0; i < 2; i++) {
        fx_kill(fx, "n1");
        fx_run(fx, 3000);
        fx_boot(fx, "n1");
        fx_run(fx, 500);
        assert_int_equal(fx_node_row(fx, "n1")->failures, 1);
        fx_run(fx, 21000);
        assert_int_equal(fx_node_row(fx, "n1")->failures, 0);
        assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    }
    fx_free(fx);
}

/* Each attempt waits twice as long as the one before; then it is failed, and says what to do. */
static void attempts_back_off(void **state)
{
    struct fixture *fx = fx_new(1, 8);
    uint64_t at_ms[8] = {0};
    int64_t epoch = 0;

    (void)state;
    fx->core->config.activation_attempts = 4;
    fx->core->config.retry_ms = 500;
    fx_declare(fx, "web", 0, "n1");
    fx_local_make(fx_node(fx, "n1"), "web")->fail_always = true;
    for (int i = 0; i < 3000 && fx_pool_row(fx, "web")->state != PH_POOL_FAILED; i++) {
        fx_run(fx, FX_STEP_MS);
        if (fx_pool_row(fx, "web")->epoch != epoch)
            at_ms[(epoch = fx_pool_row(fx, "web")->epoch)] = fx->now_ms;
    }
    assert_int_equal(epoch, 4);
    for (int i = 1; i < 4; i++)
        assert_in_range(at_ms[i + 1] - at_ms[i], 500 << (i - 1), (500 << (i - 1)) + 200);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_FAILED);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "pool start web --retry"));
    fx_run(fx, 120000);
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 4); /* and stays so */
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_node_is_no_reason),
        cmocka_unit_test(most_of_them_together),
        cmocka_unit_test(an_operator_goes_on),
        cmocka_unit_test(fencing_goes_on_under_the_brake),
        cmocka_unit_test(one_after_the_other),
        cmocka_unit_test(the_manager_was_cut_off),
        cmocka_unit_test(failures_decay),
        cmocka_unit_test(attempts_back_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
