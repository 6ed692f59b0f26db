/*
 * The manager dies at every boundary between two effects of a scenario, and again while it recovers:
 * before the commit, after it, between any two messages. What it saved is enough to go on.
 */
#include "fixture.h"

typedef void scenario(struct fixture *fx);
typedef void outcome(struct fixture *fx);

static void ask(struct fixture *fx, enum ph_message_type type, const void *body)
{
    if (fx->core == NULL)
        fx_manager_start(fx);
    fx_ask(fx, type, body);
}

static void run(struct fixture *fx, uint64_t ms)
{
    for (uint64_t done = 0; done < ms; done += 100) {
        fx_run(fx, 100);
        if (fx->core == NULL)
            fx_manager_start(fx);
    }
}

/* Runs the scenario with a crash after 0, 1, 2, ... effects, until it ends before the crash comes. */
static void at_every_boundary(scenario *play, outcome *expect, unsigned second_crash)
{
    int64_t after = 0;

    for (;; after++) {
        struct fixture *fx = fx_new(3, 1 + second_crash);
        bool over;

        fx_declare(fx, "db", 1, "n1");
        fx_declare(fx, "web", 1, "n1");
        fx_run(fx, 3000);
        fx_seed_said = (uint64_t)after;
        fx->crash_after = after;
        play(fx);
        over = fx->crashes == 0;
        if (!over && second_crash > 0)
            fx->crash_after = (int64_t)fx_dice(fx, second_crash);
        run(fx, 12000);
        fx->crash_after = -1;
        if (fx->core == NULL)
            fx_manager_start(fx);
        run(fx, 4000);
        expect(fx);
        fx_free(fx);
        if (over)
            break;
    }
    assert_true(after > 10); /* there were boundaries */
}

static void expect_active(struct fixture *fx, const char *pool, const char *not_on)
{
    const struct ph_pool *row = fx_pool_row(fx, pool);

    assert_non_null(row);
    if (row->state != PH_POOL_ACTIVE || strcmp(fx_active_on(fx, pool), row->node) != 0)
        fail_msg("crash after %llu effects: %s is %s: %s", (unsigned long long)fx_seed_said, pool,
            ph_enum_word(&ph_enum_pool_state, (int)row->state), row->reason);
    assert_string_not_equal(row->node, not_on);
}

static void expect_no_jobs(struct fixture *fx)
{
    for (size_t i = 0; i < fx->core->job_count; i++) {
        const struct ph_job *row = &fx->core->jobs[i]->row;

        if (!core_job_ended(fx->core->jobs[i]))
            fail_msg("crash after %llu effects: job %lld (%s) is still %s",
                (unsigned long long)fx_seed_said, (long long)row->id,
                ph_enum_word(&ph_enum_job_kind, (int)row->kind),
                row->waiting_on == NULL ? "" : row->waiting_on);
    }
}

static void play_loss(struct fixture *fx)
{
    fx_kill(fx, "n1");
    run(fx, 6000);
}

static void expect_loss(struct fixture *fx)
{
    expect_active(fx, "db", "n1");
    expect_active(fx, "web", "n1");
    expect_no_jobs(fx);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
}

static void play_move(struct fixture *fx)
{
    ask(fx, PH_MSG_POOL_MOVE, &(struct ph_pool_move){.pool = "web", .target = "n3"});
    run(fx, 3000);
}

static void expect_move(struct fixture *fx)
{
    struct fx_local *local;

    expect_active(
        fx, "web", "n2"); /* the request may have been lost with the manager, or been done */
    expect_no_jobs(fx);
    local = fx_local(fx_node(fx, fx_pool_row(fx, "web")->node), "web");
    assert_int_equal(local->epoch, fx_pool_row(fx, "web")->epoch);
}

static void play_drain(struct fixture *fx)
{
    ask(fx, PH_MSG_DRAIN, &(struct ph_drain){.node = "n1", .max_parallel = 1});
    run(fx, 5000);
}

static void expect_drain(struct fixture *fx)
{
    bool begun = fx_node_row(fx, "n1")->admin != PH_ADMIN_ACTIVE;

    expect_active(fx, "db", begun ? "n1" : "n9");
    expect_active(fx, "web", begun ? "n1" : "n9");
    expect_no_jobs(fx);
    if (begun)
        assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
}

static void play_stop(struct fixture *fx)
{
    ask(fx, PH_MSG_POOL_STOP, &(struct ph_named){.name = "web"});
    run(fx, 1000);
    ask(fx, PH_MSG_POOL_START, &(struct ph_pool_start){.pool = "web"});
    run(fx, 1000);
    ask(fx, PH_MSG_POOL_REMOVE, &(struct ph_pool_remove){.pool = "db", .destroy_data = true});
    run(fx, 2000);
}

static void expect_stop(struct fixture *fx)
{
    const struct ph_pool *row = fx_pool_row(fx, "web");

    if (row->desired == PH_DESIRED_ACTIVE)
        expect_active(fx, "web", "n9");
    else
        assert_string_equal(fx_active_on(fx, "web"), "");
    expect_no_jobs(fx);
    if (fx_pool_row(fx, "db") == NULL)
        assert_string_equal(fx_active_on(fx, "db"), "");
    else
        expect_active(fx, "db", "n9");
}

static void losing_a_node(void **state)
{
    (void)state;
    at_every_boundary(play_loss, expect_loss, 0);
    at_every_boundary(play_loss, expect_loss, 40);
}

static void moving(void **state)
{
    (void)state;
    at_every_boundary(play_move, expect_move, 0);
    at_every_boundary(play_move, expect_move, 40);
}

static void draining(void **state)
{
    (void)state;
    at_every_boundary(play_drain, expect_drain, 0);
}

static void stopping_and_removing(void **state)
{
    (void)state;
    at_every_boundary(play_stop, expect_stop, 0);
}

/* A restart shorter than the lease stops nothing and changes nothing. */
static void short_restart(void **state)
{
    struct fixture *fx = fx_new(3, 7);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    for (int i = 0; i < 5; i++) {
        fx_manager_stop(fx);
        fx_run(fx, 700);
        fx_manager_start(fx);
        fx_run(fx, 2000);
        assert_string_equal(fx_active_on(fx, "web"), "n1");
        assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
        assert_int_equal(fx_node_row(fx, "n1")->generation, 1);
        assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    }
    fx_free(fx);
}

/* A longer silence stops the pools; they come back where their data is, and nothing is lost. */
static void long_restart(void **state)
{
    struct fixture *fx = fx_new(3, 8);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx_manager_stop(fx);
    fx_run(fx, 5000);
    assert_string_equal(fx_active_on(fx, "web"), "");
    fx_manager_start(fx);
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2);
    fx_free(fx);
}

/* What its predecessor may have granted a moment ago is waited for like a grant of its own. */
static void quiet_start(void **state)
{
    struct fixture *fx = fx_new(3, 10);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx_manager_stop(fx);
    fx_kill(fx, "n1");
    fx_manager_start(fx);
    fx_run(fx, fx->core->takeover_ms - 50);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fx_run(fx, 100);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    fx_free(fx);
}

/* And by the longer times that nodes were told before, when the new ones are shorter. */
static void quiet_start_with_shorter_times(void **state)
{
    struct fixture *fx = fx_new(3, 11);
    struct ph_event_in event = {.kind = PH_EV_CONFIG, .config = &fx->config};
    uint64_t before_ms;

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    ph_timing_profile("gentle", &fx->config.timing);
    fx_step(fx, &event);
    fx_run(fx, 3000);
    before_ms = fx->core->takeover_ms;
    fx_manager_stop(fx);
    fx_kill(fx, "n1");
    ph_timing_profile("default", &fx->config.timing);
    fx_manager_start(fx);
    fx_run(fx, before_ms - 50);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fx_run(fx, 1000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    fx_free(fx);
}

static void a_pause_is_durable(void **state)
{
    struct fixture *fx = fx_new(3, 9);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx_ask(fx, PH_MSG_PAUSE, &(struct ph_nothing){0});
    fx_manager_stop(fx);
    fx_manager_start(fx);
    fx_run(fx, 1000);
    fx_kill(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "paused"));
    fx_ask(fx, PH_MSG_UNPAUSE, &(struct ph_nothing){0});
    fx_run(fx, 1000);
    assert_string_not_equal(fx_active_on(fx, "web"), "");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losing_a_node),
        cmocka_unit_test(moving),
        cmocka_unit_test(draining),
        cmocka_unit_test(stopping_and_removing),
        cmocka_unit_test(short_restart),
        cmocka_unit_test(long_restart),
        cmocka_unit_test(quiet_start),
        cmocka_unit_test(quiet_start_with_shorter_times),
        cmocka_unit_test(a_pause_is_durable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
