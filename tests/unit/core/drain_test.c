/* Emptying a node, stopping half-way, retiring it; stopping, starting and removing pools. */
#include "fixture.h"

static struct fixture *pools_on_n1(int nodes, int count, uint64_t seed)
{
    struct fixture *fx = fx_new(nodes, seed);

    for (int i = 0; i < count; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        fx_declare(fx, name, 1, "n1");
    }
    fx_run(fx, 2000);
    assert_int_equal(core_place_node(fx->core, core_find_node(fx->core, "n1"))->pools, count);
    return fx;
}

static int64_t drain(struct fixture *fx, int64_t parallel, int64_t deadline_s)
{
    struct ph_drain body = {.node = "n1", .max_parallel = parallel, .deadline_s = deadline_s};

    fx_ask(fx, PH_MSG_DRAIN, &body);
    return fx_job_of_answer(fx);
}

static int assigned(struct fixture *fx, const char *node)
{
    return (int)core_place_node(fx->core, core_find_node(fx->core, node))->pools;
}

static void drained(void **state)
{
    struct fixture *fx = pools_on_n1(3, 6, 1);
    int64_t job;
    size_t most = 0;

    (void)state;
    fx_ask(fx, PH_MSG_DRAIN, &(struct ph_drain){.node = "n1", .dry_run = true});
    assert_int_equal(((struct ph_plan *)fx->answer)->moves.count, 6);
    assert_int_equal(fx_job_of_answer(fx), 0);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    job = drain(fx, 2, 0);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_DRAINING);
    for (int i = 0; i < 2000 && fx_job_row(fx, job)->state == PH_JOB_RUNNING; i++) {
        struct core_job *live = core_find_job(fx->core, job);

        most = live->child_running > most ? live->child_running : most;
        fx_run(fx, FX_STEP_MS);
    }
    assert_int_equal(most, 2);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    assert_int_equal(assigned(fx, "n1"), 0);
    assert_int_equal(assigned(fx, "n2"), 3); /* nobody is piled upon */
    assert_int_equal(assigned(fx, "n3"), 3);
    fx_ask(fx, PH_MSG_RESUME, &(struct ph_named){.name = "n1"});
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    fx_run(fx, 1000);
    assert_int_equal(assigned(fx, "n1"), 0); /* nothing comes back by surprise */
    fx_free(fx);
}

/* Not "complete" while anything still runs there, and it can be seen what. */
static void waits_for_what_will_not_stop(void **state)
{
    struct fixture *fx = pools_on_n1(2, 2, 2);
    int64_t job;

    (void)state;
    fx_local(fx_node(fx, "n1"), "p0")->slow_stop = true;
    job = drain(fx, 0, 0);
    fx_run(fx, 10000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    assert_int_equal(fx_job_row(fx, job)->progress, 50);
    assert_string_equal(fx_active_on(fx, "p1"), "n2");
    assert_non_null(strstr(fx_job_row(fx, job)->waiting_on, "1 of 2 moves"));
    fx_local(fx_node(fx, "n1"), "p0")->slow_stop = false;
    fx_run(fx, 2000);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    fx_free(fx);
}

static struct fixture *ranked_on_n1(int copies, uint64_t seed)
{
    struct fixture *fx = fx_new(3, seed);

    for (int i = 0; i < 3; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        fx_declare(fx, name, copies, "n1");
        core_find_pool(fx->core, name)->row.priority = 10 * i;
    }
    fx_run(fx, 2000);
    fx_node(fx, "n1")->cut = true;
    return fx;
}

/* Nothing moves while the node is silent; when it is heard again the drain goes on at once, by priority. */
static void goes_on_when_the_node_is_heard_again(void **state)
{
    struct fixture *fx = ranked_on_n1(0, 14);
    int64_t job;

    (void)state;
    fx_node(fx, "n1")->deadline_ms += 10000; /* the manager's link alone is broken */
    fx_run(fx, 1400);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    job = drain(fx, 1, 0);
    fx_run(fx, 100);
    assert_int_equal(fx_job_row(fx, job + 1)->state, PH_JOB_QUEUED);
    fx_node(fx, "n1")->cut = false;
    while (fx_node_row(fx, "n1")->state != PH_NODE_ONLINE)
        fx_run(fx, FX_STEP_MS);
    assert_int_equal(fx_job_row(fx, job + 1)->state, PH_JOB_RUNNING);
    assert_string_equal(fx_job_row(fx, job + 1)->pool, "p2");
    fx_run(fx, 5000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    for (int i = 1; i < 3; i++)
        assert_true(fx_job_row(fx, job + i)->started_at < fx_job_row(fx, job + i + 1)->started_at);
    fx_free(fx);
}

/* Its lease ended, and it is back: its pools go on where their newest data is, and move on from there. */
static void a_lease_that_ends_in_a_drain_leaves_no_pool_behind(void **state)
{
    struct fixture *fx = ranked_on_n1(1, 15);
    int64_t job = drain(fx, 1, 0);

    (void)state;
    fx_run(fx, 1500);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fx_node(fx, "n1")->cut = false;
    fx_run(fx, 10000);
    for (int i = 0; i < 3; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        if (fx_pool_row(fx, name)->state != PH_POOL_ACTIVE)
            fail_msg("%s: %s", name, fx_pool_row(fx, name)->reason);
        assert_string_not_equal(fx_active_on(fx, name), "n1");
    }
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    fx_free(fx);
}

static void no_place(void **state)
{
    struct fixture *fx = pools_on_n1(2, 1, 3);
    int64_t job;

    (void)state;
    core_find_node(fx->core, "n2")->row.memory_mib = 10;
    job = drain(fx, 0, 0);
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    assert_int_equal(fx_job_row(fx, job + 1)->state, PH_JOB_QUEUED);
    assert_non_null(strstr(fx_job_row(fx, job + 1)->waiting_on, "place"));
    fx_agent_restart(fx, "n2"); /* and says again how much it has */
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

static void cancelled(void **state)
{
    struct fixture *fx = pools_on_n1(3, 4, 4);
    int64_t job;

    (void)state;
    for (int i = 0; i < 4; i++)
        fx_node(fx, "n1")->pools[i].slow_stop = true;
    job = drain(fx, 2, 0);
    fx_run(fx, 500); /* two are being stopped, two wait */
    fx_ask(fx, PH_MSG_JOB_CANCEL, &(struct ph_numbered){.id = job});
    fx_run(fx, 500);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    for (int i = 0; i < 4; i++)
        fx_node(fx, "n1")->pools[i].slow_stop = false;
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_CANCELLED);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    assert_int_equal(assigned(fx, "n1"), 2);
    for (int i = 0; i < 4; i++) {
        char name[16];

        snprintf(name, sizeof name, "p%d", i);
        assert_string_not_equal(fx_active_on(fx, name), "");
    }
    fx_free(fx);
}

static void too_late(void **state)
{
    struct fixture *fx = pools_on_n1(3, 2, 5);
    int64_t job;

    (void)state;
    fx->no_copies = true;
    job = drain(fx, 0, 2);
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_non_null(strstr(fx_job_row(fx, job)->reason, "deadline"));
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_ACTIVE);
    assert_int_equal(assigned(fx, "n1"), 2);
    fx_free(fx);
}

static void node_dies_under_it(void **state)
{
    struct fixture *fx = pools_on_n1(3, 3, 6);
    int64_t job;

    (void)state;
    for (int i = 0; i < 3; i++)
        fx_node(fx, "n1")->pools[i].slow_stop = true;
    job = drain(fx, 1, 0);
    fx_run(fx, 500);
    fx_kill(fx, "n1");
    fx_run(fx, 4000);
    assert_int_equal(assigned(fx, "n1"), 0);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED); /* nothing runs there: proven */
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    fx_free(fx);
}

static void target_dies_and_another_is_found(void **state)
{
    struct fixture *fx = pools_on_n1(3, 1, 7);
    char target[64];
    int64_t job;

    (void)state;
    fx->no_copies = true;
    job = drain(fx, 0, 0);
    fx_run(fx, 100);
    snprintf(target, sizeof target, "%s", fx_job_row(fx, job + 1)->target);
    fx->no_copies = false;
    fx_kill(fx, target);
    fx_run(fx, 10000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_string_not_equal(fx_pool_row(fx, "p0")->node, target);
    assert_string_not_equal(fx_pool_row(fx, "p0")->node, "n1");
    fx_free(fx);
}

static void retired(void **state)
{
    struct fixture *fx = pools_on_n1(3, 2, 8);
    int64_t job;

    (void)state;
    fx_ask(fx, PH_MSG_RETIRE, &(struct ph_named){.name = "n1"});
    job = fx_job_of_answer(fx);
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(assigned(fx, "n2") + assigned(fx, "n3"), 2);
    fx_kill(fx, "n1"); /* its key is revoked: the shell would not let it speak */
    fx_run(fx, 3000);
    fx_free(fx);
}

static void stop_start_remove(void **state)
{
    struct fixture *fx = pools_on_n1(2, 1, 9);
    int64_t job;

    (void)state;
    fx_trace_on(fx);
    fx_ask(fx, PH_MSG_POOL_STOP, &(struct ph_named){.name = "p0"});
    job = fx_job_of_answer(fx);
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_pool_row(fx, "p0")->state, PH_POOL_UNASSIGNED);
    assert_string_equal(fx_pool_row(fx, "p0")->home, "n1");
    fx_run(fx, 2000);
    /* The other one got what it has, so that it may start there too. */
    assert_int_equal(fx_local(fx_node(fx, "n2"), "p0")->data_serial,
        fx_local(fx_node(fx, "n1"), "p0")->data_serial);
    fx_ask(fx, PH_MSG_DRAIN, &(struct ph_drain){.node = "n1"});
    fx_run(fx, 500);
    assert_int_equal(fx_node_row(fx, "n1")->admin, PH_ADMIN_MAINTENANCE);
    fx_ask(fx, PH_MSG_POOL_START, &(struct ph_pool_start){.pool = "p0"});
    job = fx_job_of_answer(fx);
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_string_equal(fx_active_on(fx, "p0"), "n2");
    fx_ask(fx, PH_MSG_POOL_REMOVE, &(struct ph_pool_remove){.pool = "p0", .destroy_data = true});
    job = fx_job_of_answer(fx);
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_null(fx_pool_row(fx, "p0"));
    assert_int_equal(fx_local(fx_node(fx, "n1"), "p0")->state, PH_LOCAL_NONE);
    assert_int_equal(fx_local(fx_node(fx, "n2"), "p0")->state, PH_LOCAL_NONE);
    fx_declare(fx, "p0", 0, NULL);
    fx_run(fx, 1000);
    assert_true(fx_pool_row(fx, "p0")->epoch > 2); /* an epoch is never used again */
    assert_string_not_equal(fx_active_on(fx, "p0"), "");
    fx_free(fx);
}

static void removal_waits_for_a_lost_nodes_data(void **state)
{
    struct fixture *fx = pools_on_n1(3, 1, 10);
    const char *holder;
    int64_t job;

    (void)state;
    holder = core_find_peer(core_find_pool(fx->core, "p0"), "n2") != NULL ? "n2" : "n3";
    fx_kill(fx, holder);
    fx_run(fx, 3000);
    fx_ask(fx, PH_MSG_POOL_REMOVE, &(struct ph_pool_remove){.pool = "p0", .destroy_data = true});
    job = fx_job_of_answer(fx);
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    assert_non_null(strstr(fx_job_row(fx, job)->waiting_on, holder));
    fx_boot(fx, holder);
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

/* A manager that has just started does not know what runs on a node before the node has said so. */
static void not_before_it_has_spoken(void **state)
{
    struct fixture *fx = fx_new(2, 40);
    int64_t job;

    (void)state;
    fx_declare(fx, "web", 1, "n2"); /* with a copy on n1 */
    fx_run(fx, 3000);
    fx_manager_stop(fx);
    fx_node(fx, "n1")->cut = true;
    fx_manager_start(fx);
    job = drain(fx, 0, 0);
    fx_run(fx, 300);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_RUNNING);
    assert_non_null(strstr(fx_job_row(fx, job)->waiting_on, "n1 to report"));
    fx_node(fx, "n1")->cut = false;
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(drained),
        cmocka_unit_test(not_before_it_has_spoken),
        cmocka_unit_test(waits_for_what_will_not_stop),
        cmocka_unit_test(goes_on_when_the_node_is_heard_again),
        cmocka_unit_test(a_lease_that_ends_in_a_drain_leaves_no_pool_behind),
        cmocka_unit_test(no_place),
        cmocka_unit_test(cancelled),
        cmocka_unit_test(too_late),
        cmocka_unit_test(node_dies_under_it),
        cmocka_unit_test(target_dies_and_another_is_found),
        cmocka_unit_test(retired),
        cmocka_unit_test(stop_start_remove),
        cmocka_unit_test(removal_waits_for_a_lost_nodes_data),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
