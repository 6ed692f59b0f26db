#include "world.h"

static void setup(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
}

static void acknowledge(struct world *world, const char *pool, const char *peer)
{
    const struct ph_copy_report *report = world_sent(world, PH_MSG_COPY_REPORT);
    assert_non_null(report);
    assert_string_equal(report->node, peer);
    struct ph_report_ok ok = {.number = report->number};
    (void)snprintf(ok.pool, sizeof(ok.pool), "%s", pool);
    (void)snprintf(ok.node, sizeof(ok.node), "%s", peer);
    world_message(world, PH_MSG_REPORT_OK, &ok);
}

static uint64_t wait_for_copy(struct world *world, const char *pool, const char *peer)
{
    uint64_t begin_ms = world->now_ms;
    while (world_task(world, pool, PH_TASK_COPY, peer) == NULL) {
        assert_true(world->now_ms - begin_ms < 600000);
        world_run(world, ph_agent_next_deadline_ms(world->agent) - world->now_ms, 1);
    }
    return world->now_ms - begin_ms;
}

static void test_from_begin_to_begin(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2"}, .interval_s = 5});
    assert_int_equal(wait_for_copy(&world, "p", "n2"), 0); /* a new peer: at once */
    world_run(&world, 2000, 1);
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    const struct ph_copy_report *report = world_sent(&world, PH_MSG_COPY_REPORT);
    assert_non_null(report);
    assert_int_equal(report->state, PH_REPLICA_COMPLETE);
    assert_int_equal(report->epoch, 1);
    assert_int_equal(report->age_ms, 10);
    acknowledge(&world, "p", "n2");
    assert_int_equal(wait_for_copy(&world, "p", "n2"), 3000);
    /* A copy that takes longer than the interval is followed by the next at once. */
    world_run(&world, 7000, 1);
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    assert_int_equal(wait_for_copy(&world, "p", "n2"), 0);
    world_destroy(&world);
}

static void test_interval_nought_copies_once(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2"}});
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    world_run(&world, 300000, 1);
    assert_int_equal(world_task_count(&world), 0);
    /* urgent grew: once more, and echoed. */
    struct world_order order = {
        .kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {NULL}, .peers = {"n2"}, .urgent = 4};
    world_order(&world, "p", &order);
    assert_int_equal(world_task(&world, "p", PH_TASK_COPY, "n2")->peer.urgent, 4);
    /* Grown again while one is under way: that one began too early. */
    order.urgent = 5;
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    const struct ph_copy_report *report = world_sent(&world, PH_MSG_COPY_REPORT);
    assert_int_equal(report->urgent, 4);
    assert_int_equal(world_task(&world, "p", PH_TASK_COPY, "n2")->peer.urgent, 5);
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    report = world_sent(&world, PH_MSG_COPY_REPORT);
    assert_int_equal(report->urgent, 5);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_failures_back_off(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2"}, .interval_s = 600});
    const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        world_done(&world, "p", PH_TASK_COPY, "n2", -EHOSTUNREACH);
        const struct ph_copy_report *report = world_sent(&world, PH_MSG_COPY_REPORT);
        assert_int_equal(report->state, PH_REPLICA_FAILING);
        assert_string_equal(report->reason, "a reason");
        acknowledge(&world, "p", "n2");
        assert_int_equal(wait_for_copy(&world, "p", "n2"), expected[i]);
    }
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    const struct ph_copy_report *report = world_sent(&world, PH_MSG_COPY_REPORT);
    assert_int_equal(report->state, PH_REPLICA_COMPLETE);
    assert_null(report->reason);
    world_destroy(&world);
}

static void test_limit_and_order(void **state)
{
    (void)state;
    struct world world;
    memset(&world, 0, sizeof(world));
    world.copies_parallel = 0;
    setup(&world); /* the default: two at a time */
    const char *pools[] = {"c", "b", "a"};
    for (size_t i = 0; i < 3; i++) {
        world_activate(
            &world, pools[i], 1, &(struct world_order){.peers = {"n2"}, .interval_s = 600});
        world_run(&world, 10, 1);
    }
    assert_non_null(world_task(&world, "c", PH_TASK_COPY, NULL));
    assert_non_null(world_task(&world, "b", PH_TASK_COPY, NULL));
    assert_null(world_task(&world, "a", PH_TASK_COPY, NULL));
    /* An urgent one goes before one that waits longer. */
    world_activate(
        &world, "d", 1, &(struct world_order){.peers = {"n3"}, .interval_s = 600, .urgent = 1});
    world_done(&world, "b", PH_TASK_COPY, NULL, 0);
    assert_non_null(world_task(&world, "d", PH_TASK_COPY, NULL));
    assert_null(world_task(&world, "a", PH_TASK_COPY, NULL));
    /* A last copy that a release waits for needs no turn. */
    world_order(&world, "b",
        &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = 1, .peers = {"!n2"}});
    world_done(&world, "b", PH_TASK_DEACTIVATE, NULL, 0);
    assert_true(world_task(&world, "b", PH_TASK_COPY, NULL)->last);
    world_done(&world, "b", PH_TASK_COPY, NULL, 0);
    world_done(&world, "c", PH_TASK_COPY, NULL, 0);
    assert_non_null(world_task(&world, "a", PH_TASK_COPY, NULL));
    world_destroy(&world);
}

static void test_progress_about_once_a_second(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2"}});
    struct ph_task *task = world_task(&world, "p", PH_TASK_COPY, "n2");
    int reports = 0;
    for (int i = 0; i < 50; i++) {
        world_run(&world, 100, 1);
        struct ph_task_result result = {.bytes = i * 1000, .sequence = i * 2};
        world_result(&world, task, &result, PH_AE_TASK_PROGRESS);
        const struct ph_copy_report *report = world_sent(&world, PH_MSG_COPY_REPORT);
        if (report != NULL && report->progress == i * 2) {
            reports++;
            assert_int_equal(report->state, PH_REPLICA_SEEDING);
        }
    }
    assert_int_equal(reports, 5);
    world_destroy(&world);
}

static void test_repeated_until_acknowledged(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2"}});
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    int64_t age_ms =
        ((const struct ph_copy_report *)world_sent(&world, PH_MSG_COPY_REPORT))->age_ms;
    uint64_t sent_ms = world.now_ms;
    const struct ph_copy_report *report = NULL;
    while (report == NULL) {
        world.now_ms = ph_agent_next_deadline_ms(world.agent);
        world_tick(&world);
        report = world_sent(&world, PH_MSG_COPY_REPORT);
    }
    assert_int_equal(world.now_ms - sent_ms, 500);
    assert_int_equal(report->age_ms, age_ms + 500); /* it has grown older meanwhile */
    acknowledge(&world, "p", "n2");
    for (int i = 0; i < 100; i++) {
        world.now_ms += 100;
        world_tick(&world);
        assert_null(world_sent(&world, PH_MSG_COPY_REPORT));
    }
    world_destroy(&world);
}

static void test_peer_leaves_and_hangs(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.peers = {"n2", "n3"}, .vms = {"a"}});
    struct ph_task *hung = world_task(&world, "p", PH_TASK_COPY, "n2");
    world_done(&world, "p", PH_TASK_COPY, "n2", -ETIMEDOUT);
    assert_non_null(world_effect(&world, PH_AF_CANCEL));
    /* Its slot stays taken, the pool's VMs are none of its business. */
    world_vm_ended(&world, "p", "a", 1);
    world_run(&world, 1500, 1);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    /* Its peer leaves the order and comes back: still one copy to it at a time. */
    struct world_order order = {
        .kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a"}, .peers = {"n3"}};
    world_order(&world, "p", &order);
    order.peers[1] = "n2";
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_COPY, "n3", 0);
    assert_int_equal(world_task_count(&world), 1);
    struct ph_task_result result = {.status = -ECANCELED};
    world_result(&world, hung, &result, PH_AE_TASK_ENDED);
    world_run(&world, 1000, 1);
    assert_non_null(world_task(&world, "p", PH_TASK_COPY, "n2"));
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_from_begin_to_begin),
        cmocka_unit_test(test_interval_nought_copies_once),
        cmocka_unit_test(test_failures_back_off),
        cmocka_unit_test(test_limit_and_order),
        cmocka_unit_test(test_progress_about_once_a_second),
        cmocka_unit_test(test_repeated_until_acknowledged),
        cmocka_unit_test(test_peer_leaves_and_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
