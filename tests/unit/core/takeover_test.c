/* A node is lost, fenced, or returns: what happens to its pools, step by step. */
#include "fixture.h"

/* One line per saved row, event and order, in the order of their doing. */
static void expect_trace(struct fixture *fx, const char *const *lines)
{
    const char *at = fx->trace;

    for (size_t i = 0; lines[i] != NULL; i++) {
        const char *found = strstr(at, lines[i]);

        if (found == NULL)
            fail_msg("\"%s\" is missing, or not where it belongs, in:\n%s", lines[i], fx->trace);
        at = found + strlen(lines[i]);
    }
}

static struct fixture *web_on_n1(uint64_t seed)
{
    struct fixture *fx = fx_new(3, seed);

    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    return fx;
}

static void killed_node(void **state)
{
    static const char *const story[] = {"event node-suspect node=n1: no beat for 1200 ms",
        "event pool-waiting node=n1 pool=web: its node n1 is suspect",
        "save node n1 suspect active generation=1 granting", "event node-lost node=n1",
        "event takeover-begun node=n1 pool=web job: n1 was last heard 1705 ms ago; proof that it "
        "runs nothing: expired",
        "event pool-unassigned pool=web job: its node was lost",
        "event pool-activating node=n2 pool=web job",
        "event takeover-target node=n2 pool=web job: n2 gets it: copy 3 of epoch 1",
        /* no more grants, and the new assignment: in one commit, before the order */
        "save node n1 lost active generation=1\n",
        "save pool web activating node=n2 epoch=2 home=n1", "save replica web on n1 diverged",
        "save job 1 takeover running activating target=n2", "send n2 order web activate epoch=2",
        "event pool-active node=n2 pool=web job: n2 runs it",
        "event job-succeeded node=n1 pool=web job: takeover succeeded: active on n2;",
        "save pool web active node=n2 epoch=2 home=\n", NULL};
    struct fixture *fx = web_on_n1(2);

    (void)state;
    fx_trace_on(fx);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    expect_trace(fx, story);
    assert_int_equal(fx_job_row(fx, 1)->proof, PH_PROOF_EXPIRED);
    assert_in_range(fx_job_row(fx, 1)->downtime_ms, 1700, 2000);
    assert_in_range(fx_job_row(fx, 1)->data_loss_ms, 1, 4000);
    fx_free(fx);
}

static void returning_node_keeps_its_data_aside(void **state)
{
    struct fixture *fx = web_on_n1(3);
    struct core_peer *peer;

    (void)state;
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_ONLINE);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 2);
    assert_int_equal(fx_node_row(fx, "n1")->failures, 1);
    peer = core_find_peer(core_find_pool(fx->core, "web"), "n1");
    assert_non_null(peer);
    assert_int_equal(peer->row.state, PH_REPLICA_DIVERGED);
    assert_int_equal(peer->order_kind, PH_ORDER_HOLD); /* what it had been ordered before is over */
    fx_free(fx);
}

static void no_copy_waits_for_the_node(void **state)
{
    struct fixture *fx = fx_new(3, 4);

    (void)state;
    fx_declare(fx, "web", 0, "n1");
    fx_run(fx, 1000);
    fx_kill(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_BLOCKED);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "waits for n1"));
    assert_string_equal(fx_job_row(fx, 1)->waiting_on, fx_pool_row(fx, "web")->reason);
    fx_boot(fx, "n1");
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2);
    assert_int_equal(fx_job_row(fx, 1)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_job_row(fx, 1)->data_loss_ms, 0);
    fx_free(fx);
}

static void too_old_a_copy_waits_for_a_word(void **state)
{
    struct fixture *fx = web_on_n1(5);
    struct ph_pool_start start = {.accept_data_loss = true};

    (void)state;
    snprintf(start.pool, sizeof start.pool, "web");
    core_find_pool(fx->core, "web")->row.max_data_loss_s = 5;
    fx->no_copies = true;
    fx_run(fx, 10000);
    fx_kill(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_BLOCKED);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "--accept-data-loss"));
    fx->no_copies = false;
    fx_ask(fx, PH_MSG_POOL_START, &start);
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_true(fx_job_row(fx, 1)->data_loss_ms > 5000);
    fx_free(fx);
}

static void clean_reboot_within_the_lease(void **state)
{
    struct fixture *fx = web_on_n1(6);

    (void)state;
    /* Everything of it died and it is back before it was missed: its pools come back, with their data. */
    fx_kill(fx, "n1");
    fx_boot(fx, "n1");
    fx_run(fx, 1000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 2);
    assert_int_equal(fx_node_row(fx, "n1")->generation, 2);
    assert_int_equal(fx_node_row(fx, "n1")->failures, 0);
    fx_free(fx);
}

/* It says that it runs nothing, and is gone before its pools are given back to it: nobody has them, and
 * whoever gets them goes on from an older copy. That is a take-over too, with its story. */
static void lost_while_it_was_coming_back(void **state)
{
    static const char *const story[] = {"event pool-unassigned pool=web", "event node-lost node=n1",
        "event takeover-begun node=n1 pool=web job",
        "event takeover-target node=n2 pool=web job: n2 gets it: copy", NULL};
    struct fixture *fx = web_on_n1(13);

    (void)state;
    fx_trace_on(fx);
    fx_kill(fx, "n1");
    fx_boot(fx, "n1");
    while (fx_node_row(fx, "n1")->state != PH_NODE_JOINING)
        fx_run(fx, 1);
    assert_string_equal(fx_pool_row(fx, "web")->node, "");
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    expect_trace(fx, story);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_job_row(fx, 1)->kind, PH_JOB_TAKEOVER);
    assert_int_equal(fx_job_row(fx, 1)->proof, PH_PROOF_EXPIRED);
    assert_in_range(fx_job_row(fx, 1)->data_loss_ms, 1, 6000);
    assert_in_range(fx_job_row(fx, 1)->downtime_ms, 1700, 4000);
    fx_free(fx);
}

/* The one that takes it over comes to nothing, too, and gets it back: the loss on the way to it is told. */
static void a_loss_stays_a_loss(void **state)
{
    struct fixture *fx = web_on_n1(15);
    int64_t loss_ms;

    (void)state;
    fx_kill(fx, "n1");
    while (strcmp(fx_pool_row(fx, "web")->node, "n2") != 0)
        fx_run(fx, 1);
    fx_kill(fx, "n2"); /* before it has said that it runs */
    loss_ms = fx_job_row(fx, 1)->data_loss_ms;
    assert_in_range(loss_ms, 1, 6000);
    fx_boot(fx, "n2");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 3);
    assert_int_equal(fx_job_row(fx, 1)->state, PH_JOB_SUCCEEDED);
    assert_int_equal(fx_job_row(fx, 1)->data_loss_ms, loss_ms);
    assert_int_not_equal(fx_job_row(fx, 1)->copy_epoch, 0);
    fx_free(fx);
}

/* How old the copy is that it goes on from does not hang on the time of day, whoever sets it. */
static void ages_do_not_follow_the_time_of_day(void **state)
{
    static const int64_t jumps_ms[] = {-3600000, 3600000, -1000};

    (void)state;
    for (uint64_t i = 0; i < 3; i++) {
        struct fixture *fx = web_on_n1(16 + i);

        core_find_pool(fx->core, "web")->row.max_data_loss_s = 60;
        fx->no_copies = true;
        fx_run(fx, 10000);
        fx->wall_ms += jumps_ms[i];
        fx_kill(fx, "n1");
        fx_run(fx, 3000);
        assert_string_equal(fx_active_on(fx, "web"), "n2");
        assert_in_range(fx_job_row(fx, 1)->data_loss_ms, 10000, 15000);
        fx_free(fx);
    }
}

/* A manager that has just started knows no other clock; when that was set back, the age is unknown, not none. */
static void an_age_in_the_future_is_unknown(void **state)
{
    struct fixture *fx = web_on_n1(20);

    (void)state;
    fx_manager_stop(fx);
    fx->wall_ms -= 3600000;
    fx_kill(fx, "n1");
    fx_manager_start(fx);
    fx_run(fx, 5000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_job_row(fx, 1)->data_loss_ms, -1);
    fx_free(fx);
}

/* Stopped, then its node is lost, then an operator starts it: the older copy it goes on from is told. */
static void started_from_an_older_copy(void **state)
{
    struct fixture *fx = web_on_n1(14);
    struct ph_named stop = {.name = "web"};
    struct ph_pool_start start = {.pool = "web"};
    int64_t job;

    (void)state;
    fx->no_copies = true;
    fx_run(fx, 1000);
    fx_ask(fx, PH_MSG_POOL_STOP, &stop);
    fx_run(fx, 2000);
    assert_string_equal(fx_pool_row(fx, "web")->node, "");
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    fx_ask(fx, PH_MSG_POOL_START, &start);
    job = fx_job_of_answer(fx);
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_job_row(fx, job)->state, PH_JOB_SUCCEEDED);
    assert_true(fx_job_row(fx, job)->data_loss_ms > 0);
    fx_free(fx);
}

static void fence(struct fixture *fx, const char *node, const char *confirm)
{
    struct ph_fence body = {0};

    snprintf(body.node, sizeof body.node, "%s", node);
    snprintf(body.confirm_dead, sizeof body.confirm_dead, "%s", confirm);
    fx_ask(fx, PH_MSG_FENCE, &body);
}

static void confirmed_dead(void **state)
{
    struct fixture *fx = web_on_n1(7);

    (void)state;
    fence(fx, "n1", "n1"); /* it beats: not to be believed */
    assert_non_null(strstr(fx_problem(fx), "was heard"));
    fence(fx, "n1", "n2");
    assert_non_null(strstr(fx_problem(fx), "repeat"));
    fx_kill(fx, "n1");
    fx_run(fx, 1300);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    fence(fx, "n1", "n1");
    assert_string_equal(fx_problem(fx), "");
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_FENCED);
    assert_false(fx_node_row(fx, "n1")->granting);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n2");
    assert_int_equal(fx_job_row(fx, 1)->proof, PH_PROOF_CONFIRMED);
    fx_free(fx);
}

static void by_priority_and_slots(void **state)
{
    struct fixture *fx = fx_new(2, 10);
    static const char *const names[] = {"a", "b", "c", "d"};
    int active = 0;

    (void)state;
    for (int i = 0; i < 4; i++)
        fx_declare(fx, names[i], 1, "n1");
    fx_run(fx, 3000);
    fx->core->config.takeovers_per_node = 1;
    core_find_pool(fx->core, "c")->row.priority = 5;
    fx_kill(fx, "n1");
    while (fx_node_row(fx, "n1")->state != PH_NODE_LOST)
        fx_run(fx, 5);
    assert_string_equal(fx_pool_row(fx, "c")->node, "n2");
    assert_string_equal(fx_pool_row(fx, "a")->node, "");
    assert_non_null(strstr(fx_pool_row(fx, "a")->reason, "slot"));
    assert_int_equal(core_find_node(fx->core, "n2")->takeovers, 1);
    fx_run(fx, 3000);
    for (int i = 0; i < 4; i++)
        active += strcmp(fx_active_on(fx, names[i]), "n2") == 0;
    assert_int_equal(active, 4);
    fx_free(fx);
}

/* Its copy on n3 is one older than that on n2. */
static void age_on_n3(struct fixture *fx, const char *pool)
{
    struct core_peer *fresh = core_find_peer(core_find_pool(fx->core, pool), "n2");
    struct core_peer *old = core_find_peer(core_find_pool(fx->core, pool), "n3");

    old->row.sequence = fresh->row.sequence - 1;
}

/* A busy node is waited for: no data is given up for a few seconds. A full one is not. */
static void busy_and_full(void **state)
{
    struct fixture *fx = fx_new(3, 12);

    (void)state;
    fx_declare(fx, "a", 2, "n1");
    fx_declare(fx, "b", 2, "n1");
    fx_run(fx, 3000);
    fx->no_copies = true;
    fx_run(fx, 100);
    age_on_n3(fx, "a");
    age_on_n3(fx, "b");
    fx->core->config.takeovers_per_node = 1;
    fx_kill(fx, "n1");
    while (fx_node_row(fx, "n1")->state != PH_NODE_LOST)
        fx_run(fx, 5);
    assert_string_equal(fx_pool_row(fx, "a")->node, "n2");
    assert_string_equal(fx_pool_row(fx, "b")->node, "");
    assert_non_null(strstr(fx_pool_row(fx, "b")->reason, "slot"));
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "b"), "n2");
    fx_free(fx);

    fx = fx_new(3, 13);
    fx_declare(fx, "a", 2, "n1");
    fx_run(fx, 3000);
    fx->no_copies = true;
    fx_run(fx, 100);
    age_on_n3(fx, "a");
    core_find_node(fx->core, "n2")->row.memory_mib = 10;
    fx_kill(fx, "n1");
    fx_run(fx, 2500);
    assert_string_equal(fx_active_on(fx, "a"), "n3");
    fx_free(fx);
}

static void next_candidate_when_activation_fails(void **state)
{
    struct fixture *fx = fx_new(3, 11);

    (void)state;
    fx_declare(fx, "web", 2, "n1");
    fx_run(fx, 3000);
    fx_local(fx_node(fx, "n2"), "web")->fail_always = true;
    fx_local(fx_node(fx, "n3"), "web")->fail_always = true;
    fx->no_copies = true;
    fx_run(fx, 100);
    core_find_peer(core_find_pool(fx->core, "web"), "n2")->row.sequence =
        core_find_peer(core_find_pool(fx->core, "web"), "n3")->row.sequence; /* the same data */
    fx->core->config.retry_ms = 10;
    fx_kill(fx, "n1");
    fx_run(fx, 10000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_FAILED);
    assert_int_equal(fx_job_row(fx, 1)->state, PH_JOB_FAILED);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "--retry"));
    fx_local(fx_node(fx, "n3"), "web")->fail_always = false;
    fx_ask(fx, PH_MSG_POOL_START, &(struct ph_pool_start){.pool = "web", .retry = true});
    fx_run(fx, 5000);
    assert_string_equal(fx_active_on(fx, "web"), "n3");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_node),
        cmocka_unit_test(returning_node_keeps_its_data_aside),
        cmocka_unit_test(no_copy_waits_for_the_node),
        cmocka_unit_test(too_old_a_copy_waits_for_a_word),
        cmocka_unit_test(clean_reboot_within_the_lease),
        cmocka_unit_test(lost_while_it_was_coming_back),
        cmocka_unit_test(a_loss_stays_a_loss),
        cmocka_unit_test(ages_do_not_follow_the_time_of_day),
        cmocka_unit_test(an_age_in_the_future_is_unknown),
        cmocka_unit_test(started_from_an_older_copy),
        cmocka_unit_test(confirmed_dead),
        cmocka_unit_test(by_priority_and_slots),
        cmocka_unit_test(busy_and_full),
        cmocka_unit_test(next_candidate_when_activation_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
