#include "world.h"

#include "agent/core/agent.h"

static void setup(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
}

/* The moment a start of `vm` is begun, counted from now; fails after ten minutes. */
static uint64_t wait_for_start(struct world *world, const char *vm)
{
    uint64_t begin_ms = world->now_ms;
    while (world_task(world, "p", PH_TASK_VM_START, vm) == NULL) {
        assert_true(world->now_ms - begin_ms < 600000);
        uint64_t due_ms = ph_agent_next_deadline_ms(world->agent);
        world_run(world, due_ms - world->now_ms, 1);
    }
    return world->now_ms - begin_ms;
}

static void test_restart_policies(void **state)
{
    (void)state;
    const struct {
        enum ph_restart_policy policy;
        int status;
        enum ph_vm_state expected;
    } cases[] = {
        {PH_RESTART_ALWAYS, 0, PH_VM_BACKOFF},
        {PH_RESTART_ALWAYS, 1, PH_VM_BACKOFF},
        {PH_RESTART_ON_FAILURE, 0, PH_VM_ENDED},
        {PH_RESTART_ON_FAILURE, 1, PH_VM_BACKOFF},
        {PH_RESTART_ON_FAILURE, -1, PH_VM_BACKOFF},
        {PH_RESTART_NEVER, 0, PH_VM_ENDED},
        {PH_RESTART_NEVER, -1, PH_VM_ENDED},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct world world;
        setup(&world);
        world_activate(
            &world, "p", 1, &(struct world_order){.vms = {"a"}, .restart = cases[i].policy});
        world_vm_ended(&world, "p", "a", cases[i].status);
        assert_int_equal(world_vm_state(&world, "a"), cases[i].expected);
        world_run(&world, 5000, 1);
        assert_int_equal(world_task_count(&world), cases[i].expected == PH_VM_BACKOFF);
        world_destroy(&world);
    }
}

static void test_ended_and_now_wanted_always(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct world_order order = {.vms = {"a"}, .restart = PH_RESTART_NEVER};
    world_activate(&world, "p", 1, &order);
    world_vm_ended(&world, "p", "a", 0);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_ENDED);
    order.kind = PH_ORDER_ACTIVATE;
    order.epoch = 1;
    world_order(&world, "p", &order); /* as it was: it stays ended */
    assert_int_equal(world_task_count(&world), 0);
    order.restart = PH_RESTART_ALWAYS;
    world_order(&world, "p", &order);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_START, "a"));
    world_destroy(&world);
}

static void test_back_off_doubles_and_is_forgotten(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}});
    const uint64_t expected[] = {1000, 2000, 4000, 8000, 16000, 32000, 60000, 60000};
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        world_vm_ended(&world, "p", "a", 1);
        assert_int_equal(wait_for_start(&world, "a"), expected[i]);
        world_done(&world, "p", PH_TASK_VM_START, "a", 0);
        const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
        assert_int_equal(report->vms.items[0].restarts, i + 1);
    }
    world_run(&world, 59000, 1);
    world_vm_ended(&world, "p", "a", 1);
    assert_int_equal(wait_for_start(&world, "a"), 60000);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    world_run(&world, 60000, 1);
    world_vm_ended(&world, "p", "a", 1);
    assert_int_equal(wait_for_start(&world, "a"), 1000);
    world_destroy(&world);
}

static void test_failed_start(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b", "c"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_VM_START, "a", -ENOENT);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_BACKOFF);
    world_done(&world, "p", PH_TASK_VM_START, "b", -EINVAL); /* makes no sense: never again */
    assert_int_equal(world_vm_state(&world, "b"), PH_VM_FAILED);
    world_done(&world, "p", PH_TASK_VM_START, "c", 0);
    /* The pool is active all the same. */
    world_expect(&world, PH_LOCAL_ACTIVE);
    assert_int_equal(wait_for_start(&world, "a"), 1000);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    world_run(&world, 120000, 1);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_hanging_start(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    struct ph_task *hung = world_task(&world, "p", PH_TASK_VM_START, "a");
    world_done(&world, "p", PH_TASK_VM_START, "a", -ETIMEDOUT);
    world_run(&world, 5000, 1);
    assert_int_equal(world_task_count(&world), 1);
    struct ph_task_result result = {.status = 0, .pid = 77};
    world_result(&world, hung, &result, PH_AE_TASK_ENDED);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_RUNNING);
    world_done(&world, "p", PH_TASK_VM_START, "b", 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    world_destroy(&world);
}

static void test_declaration_changes(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a", "b", "c"}});
    /* "a" stays, "b" gets another command, "c" goes, "d" comes. */
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b=other", "d"}});
    assert_null(world_task(&world, "p", PH_TASK_VM_STOP, "a"));
    assert_null(world_task(&world, "p", PH_TASK_ACTIVATE, NULL));
    struct ph_task *stop = world_task(&world, "p", PH_TASK_VM_STOP, "b");
    assert_string_equal(stop->order.vms.items[0].command.items[0], "run"); /* as it runs */
    world_done(&world, "p", PH_TASK_VM_STOP, "c", 0);
    world_done(&world, "p", PH_TASK_VM_START, "d", 0);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    struct ph_task *start = world_task(&world, "p", PH_TASK_VM_START, "b");
    assert_string_equal(start->order.vms.items[0].command.items[0], "other");
    world_done(&world, "p", PH_TASK_VM_START, "b", 0);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_int_equal(report->state, PH_LOCAL_ACTIVE);
    assert_int_equal(report->vms.count, 3);
    assert_string_equal(report->vms.items[2].name, "d");
    /* Observed fields and the policy alone restart nothing. */
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE,
            .epoch = 1,
            .vms = {"a", "b=other", "d"},
            .restart = PH_RESTART_NEVER});
    assert_int_equal(world_task_count(&world), 0);
    world_vm_ended(&world, "p", "a", 0);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_ENDED);
    /* Data only: everything stops, the data stays active. */
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE,
            .epoch = 1,
            .vms = {"a", "b=other", "d"},
            .data_only = true});
    world_done(&world, "p", PH_TASK_VM_STOP, "d", 0);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_change_of_a_change(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}});
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a=two"}});
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a=three"}});
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    assert_string_equal(
        world_task(&world, "p", PH_TASK_VM_START, "a")->order.vms.items[0].command.items[0],
        "three");
    /* Gone and back while it starts. */
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1});
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a=three"}});
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    assert_int_equal(world_task_count(&world), 0);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_RUNNING);
    world_destroy(&world);
}

static void test_stop_that_fails_while_active(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a", "b"}});
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a"}});
    world_done(&world, "p", PH_TASK_VM_STOP, "b", -EBUSY);
    assert_int_equal(world_vm_state(&world, "b"), PH_VM_RUNNING);
    assert_int_equal(world_task_count(&world), 0);
    world_run(&world, 1000, 1);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_int_equal(report->vms.count, 1);
    world_destroy(&world);
}

static void test_end_before_its_start_is_told(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_vm_ended(&world, "p", "a", 3);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_BACKOFF);
    world_destroy(&world);
}

/* A halted VM is stopped, is not started by anything, and starts when it is let go. */
static void test_halted(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct world_order order = {.vms = {"a", "b"}, .epoch = 1, .kind = PH_ORDER_ACTIVATE};
    world_activate(&world, "p", 1, &order);
    order.halted = "a";
    world_order(&world, "p", &order);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_STOP, "a"));
    assert_int_equal(world_task_count(&world), 1);
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_STOPPED);
    assert_int_equal(world_vm_state(&world, "b"), PH_VM_RUNNING);
    world_run(&world, 120000, 1);
    assert_int_equal(world_task_count(&world), 0);

    /* Nor by another activation, whose VMs all begin anew. */
    order.epoch = 2;
    order.kind = PH_ORDER_DEACTIVATE;
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    while (world_task_count(&world) > 0) {
        struct ph_task *task = world_task(&world, "p", PH_TASK_KILL, NULL);
        world_done(&world, "p", task != NULL ? PH_TASK_KILL : PH_TASK_DEACTIVATE, NULL, 0);
    }
    order.epoch = 3;
    order.kind = PH_ORDER_ACTIVATE;
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    assert_null(world_task(&world, "p", PH_TASK_VM_START, "a"));
    world_done(&world, "p", PH_TASK_VM_START, "b", 0);

    order.halted = NULL;
    world_order(&world, "p", &order);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_START, "a"));
    world_destroy(&world);
}

/* One that ends by itself just when it is halted is not backed off and started again. */
static void test_halted_and_ended(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct world_order order = {.vms = {"a"}, .epoch = 1, .kind = PH_ORDER_ACTIVATE};
    world_activate(&world, "p", 1, &order);
    world_vm_ended(&world, "p", "a", 1);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_BACKOFF);
    order.halted = "a";
    world_order(&world, "p", &order);
    assert_int_equal(world_vm_state(&world, "a"), PH_VM_STOPPED);
    world_run(&world, 120000, 1);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

/* What a driver sees of a VM is reported while that very process runs, and no longer. */
static void test_seen(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}});
    struct ph_agent_vm *vm = ph_agent_vm_find(ph_agent_pool_get(world.agent, "p"), "a");
    char guest[] = "running";
    struct ph_vm_report seen = {
        .name = "a", .state = PH_VM_RUNNING, .guest = guest, .memory_used_mib = 9};
    struct ph_agent_event event = {
        .kind = PH_AE_VM_SEEN, .pool = "p", .vm = "a", .pid = vm->pid + 1, .body = &seen};
    world_step(&world, &event);
    assert_null(world_sent(&world, PH_MSG_REPORT)); /* of a process that is not this one */
    event.pid = vm->pid;
    world_step(&world, &event);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_non_null(report);
    assert_string_equal(report->vms.items[0].guest, "running");
    assert_int_equal(report->vms.items[0].memory_used_mib, 9);
    world_step(&world, &event);
    assert_null(world_sent(&world, PH_MSG_REPORT)); /* nothing new */
    world_vm_ended(&world, "p", "a", 0);
    report = world_sent(&world, PH_MSG_REPORT);
    assert_non_null(report);
    assert_null(report->vms.items[0].guest);
    assert_int_equal(report->vms.items[0].memory_used_mib, 0);
    world_destroy(&world);
}

static void test_start_delays(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct world_order order = {
        .kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b", "c"}, .start_delay_ms = 3000};
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    const char *const names[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        /* Counted from when the one before it runs, however long that took. */
        assert_int_equal(wait_for_start(&world, names[i]), i == 0 ? 0 : 3000);
        world_run(&world, 700, 1);
        assert_int_equal(world_task_count(&world), 1);
        world_done(&world, "p", PH_TASK_VM_START, names[i], 0);
    }
    assert_int_equal(world_vm_state(&world, "c"), PH_VM_RUNNING);
    /* It is for the first start: one that ended is not held up by the others. */
    world_vm_ended(&world, "p", "b", 1);
    assert_int_equal(wait_for_start(&world, "b"), PH_AGENT_BACKOFF_MS_MIN);
    world_destroy(&world);
}

/* One that failed has nothing to be waited for. */
static void test_no_delay_after_a_failure(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    struct world_order order = {
        .kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b"}, .start_delay_ms = 60000};
    world_order(&world, "p", &order);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_VM_START, "a", -EINVAL);
    assert_int_equal(wait_for_start(&world, "b"), 0);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_restart_policies),
        cmocka_unit_test(test_ended_and_now_wanted_always),
        cmocka_unit_test(test_back_off_doubles_and_is_forgotten),
        cmocka_unit_test(test_failed_start),
        cmocka_unit_test(test_hanging_start),
        cmocka_unit_test(test_declaration_changes),
        cmocka_unit_test(test_change_of_a_change),
        cmocka_unit_test(test_stop_that_fails_while_active),
        cmocka_unit_test(test_end_before_its_start_is_told),
        cmocka_unit_test(test_halted),
        cmocka_unit_test(test_halted_and_ended),
        cmocka_unit_test(test_seen),
        cmocka_unit_test(test_start_delays),
        cmocka_unit_test(test_no_delay_after_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
