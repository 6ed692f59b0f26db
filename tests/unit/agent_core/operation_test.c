/* What is done to VMs once: never twice, never without a row, and always with an outcome. */
#include "world.h"

#include "agent/core/agent.h"

static void active(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
    world_activate(world, "p", 1, &(struct world_order){.vms = {"a", "b"}});
}

static void order(struct world *world, const int64_t *numbers, size_t count)
{
    struct world_order order = {.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b"}};
    for (size_t i = 0; i < count; i++) {
        order.operations[i] = numbers[i];
    }
    world_order(world, "p", &order);
}

static const struct ph_operation *told(const struct world *world, int64_t number)
{
    const struct ph_report *report = world_sent(world, PH_MSG_REPORT);
    assert_non_null(report);
    for (size_t i = 0; i < report->operations.count; i++) {
        if (report->operations.items[i].number == number) {
            return &report->operations.items[i];
        }
    }
    return NULL;
}

static void test_it_is_done_once_and_forgotten(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    order(&world, (int64_t[]){7}, 1);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_OPERATE, "a"));
    assert_int_equal(world.operation_count, 1); /* the row came first: see world_perform() */
    assert_int_equal(world.operations[0].state, PH_OPERATION_BEGUN);
    order(&world, (int64_t[]){7}, 1); /* said again meanwhile */
    assert_int_equal(world_task_count(&world), 1);
    world_done(&world, "p", PH_TASK_VM_OPERATE, "a", 0);
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_SUCCEEDED);
    assert_int_equal(world.operations[0].state, PH_OPERATION_SUCCEEDED);
    order(&world, (int64_t[]){7}, 1); /* the manager has not heard it yet */
    assert_int_equal(world_task_count(&world), 0);
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_SUCCEEDED);
    order(&world, NULL, 0);
    assert_int_equal(world.operation_count, 0);
    world_destroy(&world);
}

static void test_one_after_another_on_one_vm(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    order(&world, (int64_t[]){7, 8}, 2);
    assert_int_equal(world_task(&world, "p", PH_TASK_VM_OPERATE, "a")->operation.number, 7);
    assert_int_equal(world_task_count(&world), 1);
    world_done(&world, "p", PH_TASK_VM_OPERATE, "a", -EIO);
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_FAILED);
    assert_int_equal(world_task(&world, "p", PH_TASK_VM_OPERATE, "a")->operation.number, 8);
    world_destroy(&world);
}

/* A process that dies in the middle: the next one looks, and does not do it again. */
static void test_a_restarted_agent_looks(void **state)
{
    (void)state;
    for (int status = -EIO; status <= 0; status += EIO) {
        struct world world;
        active(&world);
        order(&world, (int64_t[]){7}, 1);
        world_boot(&world);
        assert_int_equal(ph_agent_load_data(world.agent, "p", 1, 1, true), 0);
        struct ph_agent_event adopted = {
            .kind = PH_AE_VM_ADOPTED, .pool = "p", .vm = "a", .pid = 100};
        world_step(&world, &adopted);
        world_guard_ready(&world);
        world_tick(&world);
        assert_null(world_task(&world, "p", PH_TASK_VM_OPERATE, "a"));
        assert_non_null(world_task(&world, "p", PH_TASK_VM_LOOK, "a"));
        world_done(&world, "p", PH_TASK_VM_LOOK, "a", status);
        assert_int_equal(
            world.operations[0].state, status == 0 ? PH_OPERATION_SUCCEEDED : PH_OPERATION_FAILED);
        assert_null(world_task(&world, "p", PH_TASK_VM_OPERATE, "a"));
        world_destroy(&world);
    }
}

static void test_what_does_not_run_is_said(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    world_vm_ended(&world, "p", "a", 1); /* backs off */
    order(&world, (int64_t[]){7}, 1);
    assert_null(world_task(&world, "p", PH_TASK_VM_OPERATE, "a"));
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_FAILED);
    assert_non_null(strstr(told(&world, 7)->reason, "does not run"));
    assert_int_equal(world.operation_count, 1);
    world_destroy(&world);
}

/* A VM that ends meanwhile is not started again before the operation is over; a pool is not stopped either. */
static void test_nothing_else_meanwhile(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    order(&world, (int64_t[]){7}, 1);
    world_vm_ended(&world, "p", "a", 1);
    world_run(&world, 5000, 1);
    assert_null(world_task(&world, "p", PH_TASK_VM_START, "a"));
    struct world_order stop = {
        .kind = PH_ORDER_DEACTIVATE, .epoch = 1, .vms = {"a", "b"}, .operations = {7}};
    world_order(&world, "p", &stop);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    assert_null(world_task(&world, "p", PH_TASK_KILL, NULL));
    world_done(&world, "p", PH_TASK_VM_OPERATE, "a", -EIO);
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_FAILED);
    assert_non_null(world_task(&world, "p", PH_TASK_KILL, NULL));
    world_destroy(&world);
}

static void test_nothing_is_begun_on_the_way_down(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    struct world_order stop = {
        .kind = PH_ORDER_DEACTIVATE, .epoch = 1, .vms = {"a", "b"}, .operations = {7}};
    world_order(&world, "p", &stop);
    assert_null(world_task(&world, "p", PH_TASK_VM_OPERATE, NULL));
    assert_int_equal(world.operation_count, 0);
    world_destroy(&world);
}

/* One that hangs has an outcome, and is no reason to do it again. */
static void test_one_that_hangs(void **state)
{
    (void)state;
    struct world world;
    active(&world);
    order(&world, (int64_t[]){7}, 1);
    world_done(&world, "p", PH_TASK_VM_OPERATE, "a", -ETIMEDOUT);
    assert_int_equal(told(&world, 7)->state, PH_OPERATION_FAILED);
    order(&world, (int64_t[]){8}, 1);
    assert_int_equal(world_task(&world, "p", PH_TASK_VM_OPERATE, "a")->operation.number, 7);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_it_is_done_once_and_forgotten),
        cmocka_unit_test(test_one_after_another_on_one_vm),
        cmocka_unit_test(test_a_restarted_agent_looks),
        cmocka_unit_test(test_what_does_not_run_is_said),
        cmocka_unit_test(test_nothing_else_meanwhile),
        cmocka_unit_test(test_nothing_is_begun_on_the_way_down),
        cmocka_unit_test(test_one_that_hangs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
