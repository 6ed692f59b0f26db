#include "world.h"

static void setup(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
}

static void test_taken_in_saved_then_done(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 4, .create = true, .vms = {"a"}});
    /* The row comes before the task and the report. */
    size_t save = 99, task = 99, report = 99;
    for (size_t i = 0; i < world.effects.count; i++) {
        const struct ph_agent_effect *effect = &world.effects.items[i];
        if (effect->kind == PH_AF_SAVE && effect->record == &ph_record_assignment && save == 99) {
            save = i;
        } else if (effect->kind == PH_AF_TASK) {
            task = i;
        } else if (effect->kind == PH_AF_SEND && effect->type == PH_MSG_REPORT) {
            report = i;
        }
    }
    assert_true(save < task && task != 99);
    assert_true(save < report && report != 99);
    assert_int_equal(world_row(&world, "p")->epoch, 4);
    assert_int_equal(world_row(&world, "p")->number, world.order_number);
    struct ph_task *activate = world_task(&world, "p", PH_TASK_ACTIVATE, NULL);
    assert_non_null(activate);
    assert_true(activate->order.create);
    assert_int_equal(activate->epoch, 4);
    assert_int_equal(activate->generation, 1);
    assert_string_equal(activate->order.pool.driver, "directory");
    const struct ph_report *sent = world_sent(&world, PH_MSG_REPORT);
    assert_int_equal(sent->order_number, world.order_number);
    assert_int_equal(sent->order_term, 1);
    assert_int_equal(sent->state, PH_LOCAL_ACTIVATING);
    world_destroy(&world);
}

/* A larger disk_mib while it runs: its driver looks at the data again, and nothing is stopped for it. */
static void test_grows_while_it_runs(void **state)
{
    (void)state;
    struct world world;
    struct ph_order order;
    setup(&world);
    world_activate(&world, "p", 4, &(struct world_order){.vms = {"a"}});
    world_fill_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 4, .vms = {"a"}}, &order);
    order.pool.disk_mib = 99;
    world_message(&world, PH_MSG_ORDER, &order);
    struct ph_task *task = world_task(&world, "p", PH_TASK_ACTIVATE, NULL);
    assert_non_null(task);
    assert_int_equal(task->order.pool.disk_mib, 99);
    assert_null(world_task(&world, "p", PH_TASK_VM_STOP, NULL));
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    /* The same size again is nothing to look at. */
    struct ph_order again = {0};
    assert_int_equal(ph_record_copy(&ph_record_order, &again, &order), 0);
    again.number = ++world.order_number;
    world_message(&world, PH_MSG_ORDER, &again);
    assert_null(world_task(&world, "p", PH_TASK_ACTIVATE, NULL));
    ph_record_fini(&ph_record_order, &again);
    ph_record_fini(&ph_record_order, &order);
    world_destroy(&world);
}

static void test_older_ones_are_ignored(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct ph_order first, second;
    world_fill_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 4, .sources = {"n2"}}, &first);
    world_fill_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 4, .sources = {"n3"}}, &second);
    world_message(&world, PH_MSG_ORDER, &second);
    assert_string_equal(world.allowed.sources.items[0].node, "n3");
    world_message(&world, PH_MSG_ORDER, &first);
    assert_int_equal(world.effects.count, 0);
    /* The same again is answered again: the answer was lost. */
    world_message(&world, PH_MSG_ORDER, &second);
    assert_non_null(world_sent(&world, PH_MSG_REPORT));
    assert_int_equal(world.allow_count, 1);
    /* A new term begins its numbers anew. */
    first.term = 2;
    first.number = 1;
    world_message(&world, PH_MSG_ORDER, &first);
    assert_string_equal(world.allowed.sources.items[0].node, "n2");
    ph_record_fini(&ph_record_order, &first);
    ph_record_fini(&ph_record_order, &second);
    world_destroy(&world);
}

static void refused(
    struct world *world, const char *pool, const struct world_order *order, const char *word)
{
    world_order(world, pool, order);
    const struct ph_report *report = world_sent(world, PH_MSG_REPORT);
    assert_non_null(report);
    assert_int_not_equal(report->order_number, world->order_number);
    if (report->reason == NULL || strstr(report->reason, word) == NULL) {
        fail_msg("the reason \"%s\" does not name %s", report->reason ? report->reason : "", word);
    }
    assert_int_equal(world_task_count(world), 0);
}

static void test_refusals_say_why(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    refused(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .generation = 2}, "admission");
    world_order(&world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 5});
    refused(&world, "q", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 4}, "epoch");
    refused(&world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 4}, "epoch");
    /* Other kinds are taken under any admission. */
    world_order(
        &world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 6, .generation = 9});
    world_expect(&world, PH_LOCAL_COPY);
    world_destroy(&world);
}

static void test_stale_manager_is_ignored(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1, .term = 3});
    size_t rows = world.assignment_count;
    world_order(&world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1, .term = 2});
    assert_int_equal(world.assignment_count, rows);
    assert_non_null(world_effect(&world, PH_AF_NOTE));
    struct ph_order order;
    world_fill_order(
        &world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1, .term = 3}, &order);
    assert_int_equal(ph_set_text(&order.manager, "other"), 0);
    world_message(&world, PH_MSG_ORDER, &order);
    assert_int_equal(world.assignment_count, rows);
    ph_record_fini(&ph_record_order, &order);
    world_destroy(&world);
}

static void test_reports_until_acknowledged(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1});
    const uint64_t gaps[] = {500, 1000, 2000, 4000, 5000, 5000};
    uint64_t sent_ms = world.now_ms;
    for (size_t i = 0; i < sizeof(gaps) / sizeof(gaps[0]); i++) {
        const struct ph_report *report = NULL;
        while (report == NULL) {
            world.now_ms = ph_agent_next_deadline_ms(world.agent);
            world_tick(&world);
            report = world_sent(&world, PH_MSG_REPORT);
            const struct ph_beat *beat = world_sent(&world, PH_MSG_BEAT);
            if (beat != NULL && report == NULL) {
                struct ph_beat copy = *beat;
                world_grant(&world, 1, &copy);
            } else if (beat != NULL) {
                struct ph_beat copy = *beat;
                int64_t number = report->number;
                world_grant(&world, 1, &copy);
                assert_int_equal(number, world.report_number);
            }
        }
        assert_int_equal(world.now_ms - sent_ms, gaps[i]);
        sent_ms = world.now_ms;
    }
    struct ph_report_ok ok = {.pool = "p", .number = world.report_number - 1};
    world_message(&world, PH_MSG_REPORT_OK, &ok); /* of an older one */
    assert_true(ph_agent_next_deadline_ms(world.agent) != UINT64_MAX);
    ok.number = world.report_number;
    world_message(&world, PH_MSG_REPORT_OK, &ok);
    int64_t number = world.report_number;
    world_run(&world, 20000, 1);
    assert_int_equal(world.report_number, number);
    world_destroy(&world);
}

static void test_order_for_an_unknown_running_pool(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, NULL);
    /* Rule 16: the order names the pool alone; the rest the agent knows. */
    struct ph_order order;
    world_fill_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = 1}, &order);
    order.pool.driver[0] = '\0';
    world_message(&world, PH_MSG_ORDER, &order);
    ph_record_fini(&ph_record_order, &order);
    struct ph_task *stop = world_task(&world, "p", PH_TASK_VM_STOP, "web");
    assert_non_null(stop);
    assert_string_equal(stop->order.pool.driver, "directory");
    assert_string_equal(stop->order.vms.items[0].kind, "process");
    assert_non_null(strstr(world_row(&world, "p")->order, "web"));
    world_destroy(&world);
}

static void test_dropped_is_remembered(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct ph_order late;
    world_fill_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .create = true}, &late);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1});
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_DROP, .epoch = 1});
    world_done(&world, "p", PH_TASK_DROP, NULL, 0);
    world_expect(&world, PH_LOCAL_NONE);
    struct ph_report_ok ok = {.pool = "p", .number = world.report_number};
    world_message(&world, PH_MSG_REPORT_OK, &ok);
    /* An order of before that comes now would make the pool anew, beside its owner. */
    world_message(&world, PH_MSG_ORDER, &late);
    assert_int_equal(world_task_count(&world), 0);
    /* With a new term such an order is refused anyway, and the memory of it goes. */
    assert_non_null(world_row(&world, "p"));
    world_order(&world, "q", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1, .term = 2});
    assert_null(world_row(&world, "p"));
    world_message(&world, PH_MSG_ORDER, &late);
    assert_int_equal(world_task_count(&world), 0);
    ph_record_fini(&ph_record_order, &late);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_taken_in_saved_then_done),
        cmocka_unit_test(test_grows_while_it_runs),
        cmocka_unit_test(test_older_ones_are_ignored),
        cmocka_unit_test(test_refusals_say_why),
        cmocka_unit_test(test_stale_manager_is_ignored),
        cmocka_unit_test(test_reports_until_acknowledged),
        cmocka_unit_test(test_order_for_an_unknown_running_pool),
        cmocka_unit_test(test_dropped_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
