/* Planned moves: each phase, each way out of it. */
#include "fixture.h"

static struct fixture *web_on_n1(int nodes, uint64_t seed)
{
    struct fixture *fx = fx_new(nodes, seed);

    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    return fx;
}

static int64_t move(struct fixture *fx, const char *target)
{
    struct ph_pool_move body = {.pool = "web"};

    snprintf(body.target, sizeof body.target, "%s", target);
    fx_ask(fx, PH_MSG_POOL_MOVE, &body);
    return fx->answer_type == PH_MSG_PLAN ? fx_job_of_answer(fx) : 0;
}

static void run_until_phase(struct fixture *fx, int64_t job, enum ph_job_phase phase)
{
    for (int i = 0; i < 2000 && fx_job_row(fx, job)->phase != phase; i++)
        fx_run(fx, FX_STEP_MS);
    assert_int_equal(fx_job_row(fx, job)->phase, phase);
}

static void cancel(struct fixture *fx, int64_t job)
{
    fx_ask(fx, PH_MSG_JOB_CANCEL, &(struct ph_numbered){.id = job});
}

static void moves_and_loses_nothing(void **state)
{
    struct fixture *fx = web_on_n1(3, 1);
    int64_t job = move(fx, "n3"), serial;

    (void)state;
    assert_int_equal(fx_job_row(fx, job)->phase, PH_PHASE_COPYING);
    serial = fx_local(fx_node(fx, "n1"), "web")->data_serial;
    run_until_phase(fx, job, PH_PHASE_ACTIVATING);
    /* What the target starts from is what the source had, to the last byte. */
    assert_int_equal(fx_local(fx_node(fx, "n3"), "web")->data_serial, serial);
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_job_row(fx, job)->progress, 100);
    assert_in_range(fx_job_row(fx, job)->downtime_ms, 1, 300);
    assert_string_equal(fx_active_on(fx, "web"), "n3");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2);
    fx_run(fx, 3000);
    /* One copy is wanted: the former owner's, which was the newest. */
    assert_true(core_find_peer(core_find_pool(fx->core, "web"), "n1")->chosen);
    assert_int_equal(fx_local(fx_node(fx, "n2"), "web")->state, PH_LOCAL_NONE);
    fx_free(fx);
}

static void refusals(void **state)
{
    struct fixture *fx = web_on_n1(2, 2);
    int64_t job;

    (void)state;
    assert_int_equal(move(fx, "n1"), 0);
    assert_non_null(strstr(fx_problem(fx), "already"));
    assert_int_equal(move(fx, "n9"), 0);
    assert_non_null(strstr(fx_problem(fx), "no node"));
    job = move(fx, "n2");
    assert_int_equal(move(fx, "n2"), 0);
    assert_non_null(strstr(fx_problem(fx), "at work"));
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    cancel(fx, job);
    assert_non_null(strstr(fx_problem(fx), "already"));
    fx_free(fx);
}

static void cancelled_while_copying(void **state)
{
    struct fixture *fx = web_on_n1(3, 3);
    int64_t job;

    (void)state;
    fx->no_copies = true;
    job = move(fx, "n3");
    fx_run(fx, 500);
    assert_int_equal(fx_job_row(fx, job)->phase, PH_PHASE_COPYING);
    assert_non_null(strstr(fx_job_row(fx, job)->waiting_on, "n3"));
    cancel(fx, job);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_CANCELLED);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    assert_null(core_find_pool(fx->core, "web")->job);
    fx_free(fx);
}

static void cancelled_while_stopping(void **state)
{
    struct fixture *fx = web_on_n1(3, 4);
    int64_t job = move(fx, "n3");

    (void)state;
    fx_local(fx_node(fx, "n1"), "web")->slow_stop = true;
    run_until_phase(fx, job, PH_PHASE_STOPPING);
    fx_run(fx, 200);
    cancel(fx, job);
    run_until_phase(fx, job, PH_PHASE_RETURNING);
    fx_local(fx_node(fx, "n1"), "web")->slow_stop = false;
    fx_run(fx, 1000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_CANCELLED);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2);
    fx_free(fx);
}

static void target_fails_to_activate(void **state)
{
    struct fixture *fx = web_on_n1(3, 5);
    int64_t job = move(fx, "n3");

    (void)state;
    run_until_phase(fx, job, PH_PHASE_STOPPING);
    fx_local(fx_node(fx, "n3"), "web")->fail_always = true;
    run_until_phase(fx, job, PH_PHASE_ACTIVATING);
    cancel(fx, job);
    assert_non_null(strstr(fx_problem(fx), "cannot be cancelled"));
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_non_null(strstr(fx_job_row(fx, job)->reason, "failed"));
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 3);
    fx_free(fx);
}

static void target_dies_while_it_activates(void **state)
{
    struct fixture *fx = web_on_n1(3, 6);
    int64_t job = move(fx, "n3");

    (void)state;
    run_until_phase(fx, job, PH_PHASE_ACTIVATING);
    fx_kill(fx, "n3");
    fx_run(fx, 1000);
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2); /* silent is not dead */
    assert_string_equal(fx_active_on(fx, "web"), "");
    fx_run(fx, 2000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_active_on(fx, "web"), "n1"); /* whose copy is the freshest */
    fx_free(fx);
}

static void source_dies(void **state)
{
    struct fixture *fx = web_on_n1(3, 7);
    int64_t job = move(fx, "n3");

    (void)state;
    fx_local(fx_node(fx, "n1"), "web")->slow_stop = true;
    run_until_phase(fx, job, PH_PHASE_STOPPING);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_active_on(fx, "web"), "n3");
    assert_int_equal(fx_job_row(fx, job + 1)->kind, PH_JOB_TAKEOVER);
    assert_int_equal(fx_job_row(fx, job + 1)->state, PH_JOB_SUCCEEDED);
    fx_free(fx);
}

static void target_dies_before_the_switch(void **state)
{
    struct fixture *fx = web_on_n1(3, 8);
    int64_t job;

    (void)state;
    fx->no_copies = true;
    job = move(fx, "n3");
    fx_run(fx, 100);
    fx_kill(fx, "n3");
    fx->no_copies = false;
    fx_run(fx, 3000);
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1);
    fx_free(fx);
}

static void last_copy_does_not_arrive(void **state)
{
    struct fixture *fx = web_on_n1(3, 9);
    int64_t job = move(fx, "n3");

    (void)state;
    run_until_phase(fx, job, PH_PHASE_STOPPING);
    fx_node(fx, "n3")->cut = true;
    fx_run(fx, 4000);
    /* The target is lost, the source has stopped and not released: it goes on there. */
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_FAILED);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

static void failback_when_the_preferred_node_is_ready(void **state)
{
    struct fixture *fx = web_on_n1(3, 10);

    (void)state;
    core_find_pool(fx->core, "web")->row.failback = PH_FAILBACK_YES;
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    assert_string_not_equal(fx_active_on(fx, "web"), "n1");
    fx_boot(fx, "n1");
    fx_run(fx, 5000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

static void failback_at_a_time_of_day(void **state)
{
    struct fixture *fx = web_on_n1(3, 11);
    int64_t day_ms = 24 * 3600 * 1000LL, at_ms;
    char at[8];

    (void)state;
    at_ms = (fx->wall_ms % day_ms) / 60000 + 1; /* the minute after this one */
    snprintf(at, sizeof at, "%02d:%02d", (int)(at_ms / 60) % 24, (int)(at_ms % 60));
    core_find_pool(fx->core, "web")->row.failback = PH_FAILBACK_AT;
    ph_set_text(&core_find_pool(fx->core, "web")->row.failback_at, at);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    fx_boot(fx, "n1");
    fx_run(fx, 2000);
    if ((fx->wall_ms % day_ms) / 60000 < at_ms)
        assert_string_not_equal(fx_active_on(fx, "web"), "n1");
    fx_run(fx, 62000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(moves_and_loses_nothing),
        cmocka_unit_test(refusals),
        cmocka_unit_test(cancelled_while_copying),
        cmocka_unit_test(cancelled_while_stopping),
        cmocka_unit_test(target_fails_to_activate),
        cmocka_unit_test(target_dies_while_it_activates),
        cmocka_unit_test(source_dies),
        cmocka_unit_test(target_dies_before_the_switch),
        cmocka_unit_test(last_copy_does_not_arrive),
        cmocka_unit_test(failback_when_the_preferred_node_is_ready),
        cmocka_unit_test(failback_at_a_time_of_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
