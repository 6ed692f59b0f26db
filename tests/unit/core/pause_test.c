/* An operator's pause: nothing happens by itself; what ran goes on, and what is asked for is done. Many
 * pools to few nodes: nobody is given more than it has, the important ones come first, the rest wait. */
#include "fixture.h"

static void pause_all(struct fixture *fx)
{
    fx_ask(fx, PH_MSG_PAUSE, &(struct ph_nothing){0});
}

static void resume_all(struct fixture *fx)
{
    fx_ask(fx, PH_MSG_UNPAUSE, &(struct ph_nothing){0});
}

static void nothing_is_placed(void **state)
{
    struct fixture *fx = fx_new(2, 1);

    (void)state;
    pause_all(fx);
    fx_declare(fx, "web", 0, "n1");
    fx_declare(fx, "db", 0, "n2");
    fx_run(fx, 2000);
    assert_string_equal(fx_pool_row(fx, "web")->node, "");
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "paused"));
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "pool start web"));
    /* Asked for by name is not by itself. */
    fx_ask(fx, PH_MSG_POOL_START, &(struct ph_pool_start){.pool = "web"});
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_string_equal(fx_pool_row(fx, "db")->node, "");
    fx_manager_stop(fx); /* the pause outlives the manager */
    fx_manager_start(fx);
    fx_run(fx, 3000);
    assert_string_equal(fx_pool_row(fx, "db")->node, "");
    resume_all(fx);
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "db"), "n2");
    fx_free(fx);
}

static void no_activation_is_tried_again(void **state)
{
    struct fixture *fx = fx_new(1, 2);

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_local_make(fx_node(fx, "n1"), "web")->fail_activate = 1;
    while (core_find_pool(fx->core, "web")->attempts == 0)
        fx_run(fx, FX_STEP_MS);
    pause_all(fx);
    fx_run(fx, 5000);
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "paused"));
    resume_all(fx);
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

static void nobody_else_is_asked_to_keep_a_copy(void **state)
{
    struct fixture *fx = fx_new(4, 3);
    const char *holder;
    int others = 0;

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    holder = core_find_peer(core_find_pool(fx->core, "web"), "n2") != NULL ? "n2" : NULL;
    assert_non_null(holder);
    pause_all(fx);
    fx_kill(fx, holder);
    fx_run(fx, 1000);
    fx_ask(fx, PH_MSG_FENCE, &(struct ph_fence){.node = "n2", .confirm_dead = "n2"});
    fx_run(fx, 3000);
    if (fx_node_row(fx, "n2")->state != PH_NODE_FENCED) { /* it was too early to say so */
        fx_ask(fx, PH_MSG_FENCE, &(struct ph_fence){.node = "n2", .confirm_dead = "n2"});
        fx_run(fx, 3000);
    }
    assert_int_equal(fx_node_row(fx, "n2")->state, PH_NODE_FENCED);
    assert_null(core_find_peer(core_find_pool(fx->core, "web"), "n3"));
    assert_null(core_find_peer(core_find_pool(fx->core, "web"), "n4"));
    /* Who keeps one goes on, also under a manager that has just started. */
    fx_boot(fx, "n2");
    fx_run(fx, 1000);
    fx_manager_stop(fx);
    fx_manager_start(fx);
    fx_run(fx, 3000);
    assert_true(core_find_peer(core_find_pool(fx->core, "web"), "n2")->chosen);
    fx_kill(fx, "n2");
    fx_run(fx, 3000);
    resume_all(fx);
    fx_run(fx, 3000);
    for (int i = 3; i <= 4; i++) {
        char name[8];
        struct core_peer *peer;

        snprintf(name, sizeof name, "n%d", i);
        peer = core_find_peer(core_find_pool(fx->core, "web"), name);
        others += peer != NULL && peer->chosen;
    }
    assert_int_equal(others, 1);
    fx_free(fx);
}

/* Its agent was away for longer than a lease: no outage comes of the pause. */
static void what_ran_goes_on_where_it_was(void **state)
{
    struct fixture *fx = fx_new(2, 4);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    pause_all(fx);
    fx_kill(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_WAITING);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "paused"));
    fx_boot(fx, "n1");
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

/* Those that a lost node left behind, and that had not got a place when the pause came. */
static void takeovers_that_wait_go_on_waiting(void **state)
{
    struct fixture *fx = fx_new(2, 5);
    int active = 0;

    (void)state;
    for (int i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof name, "p%d", i);
        fx_declare(fx, name, 1, "n1");
    }
    fx_run(fx, 3000);
    fx->core->config.takeovers_per_node = 1;
    fx_kill(fx, "n1");
    while (fx_node_row(fx, "n1")->state != PH_NODE_LOST)
        fx_run(fx, FX_STEP_MS);
    pause_all(fx);
    fx_run(fx, 3000);
    for (int i = 0; i < 3; i++) {
        char name[8];

        snprintf(name, sizeof name, "p%d", i);
        active += fx_pool_row(fx, name)->state == PH_POOL_ACTIVE;
    }
    assert_int_equal(active, 1); /* it was under way */
    assert_non_null(strstr(fx_pool_row(fx, "p2")->reason, "paused"));
    assert_non_null(strstr(fx_job_row(fx, 3)->waiting_on, "cluster resume"));
    resume_all(fx);
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "p1"), "n2");
    assert_string_equal(fx_active_on(fx, "p2"), "n2");
    fx_free(fx);
}

static void an_operators_word_is_not_held(void **state)
{
    struct fixture *fx = fx_new(3, 6);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_declare(fx, "db", 0, "n2");
    fx_run(fx, 3000);
    pause_all(fx);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    fx_ask(fx, PH_MSG_FENCE, &(struct ph_fence){.node = "n1", .confirm_dead = "n1"});
    fx_run(fx, 1000);
    assert_string_not_equal(fx_active_on(fx, "web"), "n1");
    fx_ask(fx, PH_MSG_DRAIN, &(struct ph_drain){.node = "n2"});
    assert_non_null(((struct ph_plan *)fx->answer)->paused); /* and it says that the pause is on */
    fx_run(fx, 3000);
    assert_int_equal(fx_node_row(fx, "n2")->admin, PH_ADMIN_MAINTENANCE);
    assert_string_equal(fx_active_on(fx, "db"), "n3");
    fx_free(fx);
}

static void it_is_said_wherever_one_looks(void **state)
{
    struct fixture *fx = fx_new(1, 7);

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    for (int i = 0; i < 2; i++) {
        const char *said[4];

        fx_ask(fx, PH_MSG_NODE_LIST, &(struct ph_nothing){0});
        said[0] = ((struct ph_nodes_shown *)fx->answer)->paused;
        assert_true((said[0] != NULL) == (i == 1));
        fx_ask(fx, PH_MSG_POOL_LIST, &(struct ph_nothing){0});
        said[1] = ((struct ph_pools_shown *)fx->answer)->paused;
        assert_true((said[1] != NULL) == (i == 1));
        fx_ask(fx, PH_MSG_JOB_LIST, &(struct ph_jobs_ask){0});
        said[2] = ((struct ph_jobs_shown *)fx->answer)->paused;
        assert_true((said[2] != NULL) == (i == 1));
        fx_ask(fx, PH_MSG_POOL_EXPLAIN, &(struct ph_named){.name = "web"});
        said[3] = ((struct ph_explanation *)fx->answer)->paused;
        assert_true((said[3] != NULL) == (i == 1));
        pause_all(fx);
    }
    fx_free(fx);
}

/* ---- many pools to few nodes ---- */
static int64_t promised_mib(struct fixture *fx, const char *node)
{
    return core_place_node(fx->core, core_find_node(fx->core, node))->memory_used_mib;
}

static void survivors_are_not_overloaded(void **state)
{
    struct fixture *fx = fx_new(3, 8);
    int active = 0;

    (void)state;
    for (int i = 0; i < 6; i++) {
        char name[8];

        snprintf(name, sizeof name, "p%d", i);
        fx_declare(fx, name, 2, "n1");
        core_find_pool(fx->core, name)->row.priority = i;
    }
    fx_declare(fx, "big", 0, "n3");
    fx_run(fx, 3000);
    core_find_node(fx->core, "n2")->row.memory_mib = 2 * 64; /* room for two */
    core_find_node(fx->core, "n3")->row.memory_mib = 3 * 64; /* for two beside the one it has */
    fx_kill(fx, "n1");
    fx_run(fx, 4000);
    assert_true(promised_mib(fx, "n2") <= 2 * 64);
    assert_true(promised_mib(fx, "n3") <= 3 * 64);
    for (int i = 2; i < 6; i++) { /* the four that matter most */
        char name[8];

        snprintf(name, sizeof name, "p%d", i);
        active += fx_pool_row(fx, name)->state == PH_POOL_ACTIVE;
    }
    assert_int_equal(active, 4);
    for (int i = 0; i < 2; i++) {
        char name[8];

        snprintf(name, sizeof name, "p%d", i);
        assert_int_equal(fx_pool_row(fx, name)->state, PH_POOL_BLOCKED);
        assert_non_null(strstr(fx_pool_row(fx, name)->reason, "memory"));
    }
    /* There is room again: for one, and it is the one with the higher priority. */
    fx_ask(fx, PH_MSG_POOL_STOP, &(struct ph_named){.name = "big"});
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "p1"), "n3");
    assert_int_equal(fx_pool_row(fx, "p0")->state, PH_POOL_BLOCKED);
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "p0"), "n1");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_placed),
        cmocka_unit_test(no_activation_is_tried_again),
        cmocka_unit_test(nobody_else_is_asked_to_keep_a_copy),
        cmocka_unit_test(what_ran_goes_on_where_it_was),
        cmocka_unit_test(takeovers_that_wait_go_on_waiting),
        cmocka_unit_test(an_operators_word_is_not_held),
        cmocka_unit_test(it_is_said_wherever_one_looks),
        cmocka_unit_test(survivors_are_not_overloaded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
