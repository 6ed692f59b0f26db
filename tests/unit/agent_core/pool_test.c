#include "world.h"

static void setup(struct world *world)
{
    world_new(world);
    world_admit(world, 1, 1);
}

/* The node's beats are granted before each check that needs a valid lease. */
static void refresh(struct world *world)
{
    world_run(world, 200, 1);
}

static void deactivate(struct world *world, const char *pool, int64_t epoch, const char *peer)
{
    world_order(world, pool,
        &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = epoch, .peers = {peer}});
}

static void test_up_and_down_in_order(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a", "b", "c"}});
    assert_null(world_task(&world, "p", PH_TASK_VM_START, NULL));
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    const char *up[] = {"a", "b", "c"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(world_task_count(&world), 1);
        assert_int_equal(world_task(&world, "p", PH_TASK_VM_START, up[i])->order.vms.count, 1);
        world_done(&world, "p", PH_TASK_VM_START, up[i], 0);
        world_expect(&world, i < 2 ? PH_LOCAL_ACTIVATING : PH_LOCAL_ACTIVE);
    }
    assert_int_equal(world_row(&world, "p")->local, PH_LOCAL_ACTIVE);
    deactivate(&world, "p", 1, NULL);
    world_expect(&world, PH_LOCAL_DEACTIVATING);
    for (size_t i = 3; i-- > 0;) {
        assert_int_equal(world_task_count(&world), 1);
        world_done(&world, "p", PH_TASK_VM_STOP, up[i], 0);
    }
    /* Whatever the VMs left behind is ended before the data is released. */
    assert_int_equal(world_task(&world, "p", PH_TASK_KILL, NULL)->order.vms.count, 3);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    assert_int_equal(world_row(&world, "p")->local, PH_LOCAL_RELEASED);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_failed_activation(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, -ENOSPC);
    world_expect(&world, PH_LOCAL_FAILED);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_string_equal(report->reason, "a reason");
    world_run(&world, 60000, 1);
    assert_int_equal(world_task_count(&world), 0);
    /* The manager decides when to try again, by a new order. */
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2, .vms = {"a"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    world_destroy(&world);
}

static void test_hanging_activation(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1});
    struct ph_task *task = world_task(&world, "p", PH_TASK_ACTIVATE, NULL);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, -ETIMEDOUT);
    world_expect(&world, PH_LOCAL_FAILED);
    const struct ph_agent_effect *cancel = world_effect(&world, PH_AF_CANCEL);
    assert_non_null(cancel);
    assert_int_equal(cancel->number, task->number);
    /* While it may still act on the pool, nothing else does. */
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2});
    world_run(&world, 5000, 1);
    assert_int_equal(world_task_count(&world), 1);
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 3, .sources = {"n2"}});
    assert_int_equal(world.allow_count, 0);
    /* It came true after all: that is taken back, then the order is carried out. */
    struct ph_task_result result = {.status = 0, .data_epoch = 1};
    world_result(&world, task, &result, PH_AE_TASK_ENDED);
    assert_int_equal(world.allow_count, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    assert_int_equal(world.allow_count, 1);
    world_expect(&world, PH_LOCAL_COPY);
    world_destroy(&world);
}

static void test_what_will_not_die_is_stuck(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a", "b"}});
    deactivate(&world, "p", 1, NULL);
    world_done(&world, "p", PH_TASK_VM_STOP, "b", -EBUSY);
    /* One will not: all of it is killed. */
    world_done(&world, "p", PH_TASK_KILL, NULL, -EBUSY);
    world_expect(&world, PH_LOCAL_STUCK);
    assert_int_equal(world_task_count(&world), 0);
    world_run(&world, 999, 1);
    assert_int_equal(world_task_count(&world), 0);
    world_run(&world, 1, 1);
    world_done(&world, "p", PH_TASK_KILL, NULL, -EBUSY);
    world_run(&world, 2000, 1);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    world_destroy(&world);
}

static void test_hanging_stop_is_killed(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}});
    deactivate(&world, "p", 1, NULL);
    struct ph_task *stop = world_task(&world, "p", PH_TASK_VM_STOP, "a");
    world_done(&world, "p", PH_TASK_VM_STOP, "a", -ETIMEDOUT);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    /* Released only when the hanging task is over. */
    assert_null(world_task(&world, "p", PH_TASK_DEACTIVATE, NULL));
    struct ph_task_result result = {.status = 0};
    world_result(&world, stop, &result, PH_AE_TASK_ENDED);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    world_destroy(&world);
}

static void test_busy_data(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}});
    deactivate(&world, "p", 1, NULL);
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, -EBUSY);
    world_expect(&world, PH_LOCAL_DEACTIVATING);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0); /* at once */
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, -EBUSY);
    world_expect(&world, PH_LOCAL_STUCK);
    world_run(&world, 2000, 1);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    world_destroy(&world);
}

static void test_last_copy_holds_the_release(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}, .peers = {"n2", "n3"}});
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    world_done(&world, "p", PH_TASK_COPY, "n3", 0);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = 1, .peers = {"!n2", "n3"}});
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    struct ph_task *last = world_task(&world, "p", PH_TASK_COPY, "n2");
    assert_non_null(last);
    assert_true(last->last);
    assert_null(world_task(&world, "p", PH_TASK_COPY, "n3"));
    world_done(&world, "p", PH_TASK_COPY, "n2", -EHOSTUNREACH);
    world_expect(&world, PH_LOCAL_DEACTIVATING);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_non_null(strstr(report->reason, "n2"));
    world_run(&world, 1000, 1);
    int64_t sequence = world_task(&world, "p", PH_TASK_COPY, "n2")->number;
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    report = world_sent(&world, PH_MSG_REPORT);
    assert_int_equal(report->data_epoch, 1);
    assert_int_equal(report->data_sequence, sequence);
    /* The other one gets it afterwards, and nobody waits. */
    assert_true(world_task(&world, "p", PH_TASK_COPY, "n3")->last);
    world_done(&world, "p", PH_TASK_COPY, "n3", -ESTALE);
    world_run(&world, 120000, 1);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_released_stays_released(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, NULL);
    deactivate(&world, "p", 1, NULL);
    world_done(&world, "p", PH_TASK_VM_STOP, "web", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    /* The same again with other peers: taken in, and nothing is called active or stopped for it. */
    deactivate(&world, "p", 1, "n2");
    world_expect(&world, PH_LOCAL_RELEASED);
    assert_int_equal(world_row(&world, "p")->number, world.order_number);
    assert_int_equal(world_task_count(&world), 1);
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    /* One that is required holds a release back, also when it is asked for later. */
    deactivate(&world, "p", 1, "!n3");
    world_expect(&world, PH_LOCAL_DEACTIVATING);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_COPY, "n3", 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    world_destroy(&world);
}

static void test_released_data_is_newer_than_its_copies(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a"}, .peers = {"n2"}});
    int64_t sequence = world_task(&world, "p", PH_TASK_COPY, "n2")->number;
    world_done(&world, "p", PH_TASK_COPY, "n2", 0);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = 1});
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    /* What was written since the copy must not pass for the copy. */
    assert_true(report->data_sequence > sequence);
    world_destroy(&world);
}

static void test_turning_round(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, &(struct world_order){.vms = {"a", "b"}});
    deactivate(&world, "p", 1, NULL);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_STOP, "b"));
    /* Activate again (rule 12), under a new epoch: the data is activated under it, "a" never stops. */
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2, .vms = {"a", "b"}});
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    assert_null(world_task(&world, "p", PH_TASK_VM_STOP, "a"));
    assert_int_equal(world_task(&world, "p", PH_TASK_ACTIVATE, NULL)->epoch, 2);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    assert_null(world_task(&world, "p", PH_TASK_VM_START, "a"));
    world_done(&world, "p", PH_TASK_VM_START, "b", 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    /* And from the last copy. */
    deactivate(&world, "p", 2, "!n2");
    world_done(&world, "p", PH_TASK_VM_STOP, "b", 0);
    world_done(&world, "p", PH_TASK_VM_STOP, "a", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    refresh(&world);
    world_order(&world, "p",
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 3, .vms = {"a", "b"}});
    assert_non_null(world_effect(&world, PH_AF_CANCEL));
    world_done(&world, "p", PH_TASK_COPY, "n2", -ECANCELED);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_VM_START, "a", 0);
    world_done(&world, "p", PH_TASK_VM_START, "b", 0);
    world_expect(&world, PH_LOCAL_ACTIVE);
    world_destroy(&world);
}

static void test_deactivate_before_it_is_active(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1});
    deactivate(&world, "p", 1, NULL);
    assert_non_null(world_effect(&world, PH_AF_CANCEL));
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, -ECANCELED);
    world_expect(&world, PH_LOCAL_RELEASED);
    /* The cancel came too late: */
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2});
    deactivate(&world, "p", 2, NULL);
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_RELEASED);
    /* Of a pool that never was here at all: */
    deactivate(&world, "q", 7, NULL);
    world_expect(&world, PH_LOCAL_RELEASED);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_lease_end_in_every_phase(void **state)
{
    (void)state;
    for (int stage = 0; stage < 7; stage++) {
        struct world world;
        setup(&world);
        world_order(&world, "p",
            &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"a"}});
        const struct {
            enum ph_task_kind kind;
            const char *name;
        } steps[] = {{PH_TASK_ACTIVATE, NULL}, {PH_TASK_VM_START, "a"}, {PH_TASK_VM_STOP, "a"},
            {PH_TASK_KILL, NULL}, {PH_TASK_DEACTIVATE, NULL}, {PH_TASK_COPY, "n2"}};
        for (int i = 0; i < stage; i++) {
            world_done(&world, "p", steps[i].kind, steps[i].name, 0);
            if (i == 1) {
                deactivate(&world, "p", 1, "!n2");
            }
        }
        world_run(&world, 1300, 0);
        size_t tasks = world_task_count(&world);
        world_guard_ended(&world, NULL);
        const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
        assert_non_null(hello);
        assert_int_equal(hello->pools.items[0].vms.count, 0);
        assert_int_not_equal(hello->pools.items[0].state, PH_LOCAL_ACTIVE);
        world_admit(&world, 1, 2);
        /* Whatever hung over from before must end before anything new is done. */
        if (tasks > 0 && stage != 5) {
            assert_int_equal(world_task_count(&world), tasks);
        }
        world_order(&world, "p",
            &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2, .vms = {"a"}});
        for (int i = 0; i < 12 && world_task_count(&world) > 0; i++) {
            for (size_t j = 0; j < WORLD_TASKS; j++) {
                struct ph_task *task = world.tasks[j];
                if (task != NULL) {
                    char name[130];
                    (void)snprintf(name, sizeof(name), "%s%s", task->vm, task->peer.node);
                    world_done(&world, "p", task->kind, name[0] ? name : NULL, 0);
                    break;
                }
            }
        }
        world_run(&world, 600, 1);
        world_order(&world, "p",
            &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2, .vms = {"a"}});
        world_expect(&world, PH_LOCAL_ACTIVE);
        assert_int_equal(world_vm_state(&world, "a"), PH_VM_RUNNING);
        world_destroy(&world);
    }
}

static void test_owner_becomes_holder(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, NULL);
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 2, .sources = {"n2"}});
    assert_int_equal(world.allow_count, 0); /* no data is taken while it is still active here */
    world_done(&world, "p", PH_TASK_VM_STOP, "web", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    assert_int_equal(world.allow_count, 1);
    world_expect(&world, PH_LOCAL_COPY);
    struct ph_task_result received = {.data_epoch = 2, .sequence = 9};
    struct ph_agent_event event = {.kind = PH_AE_COPY_RECEIVED, .pool = "p", .result = &received};
    world_step(&world, &event);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_int_equal(report->data_epoch, 2);
    assert_int_equal(report->data_sequence, 9);
    /* Then it becomes the owner: nobody's data is accepted any more, before the data is touched. */
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 3});
    assert_int_equal(world.allow_count, 2);
    assert_int_equal(world.allowed.kind, PH_ORDER_ACTIVATE);
    world_destroy(&world);
}

static void test_drop(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, NULL);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_DROP, .epoch = 1});
    world_done(&world, "p", PH_TASK_VM_STOP, "web", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_done(&world, "p", PH_TASK_DROP, NULL, -EIO);
    world_expect(&world, PH_LOCAL_RELEASED);
    assert_non_null(((const struct ph_report *)world_sent(&world, PH_MSG_REPORT))->reason);
    world_run(&world, 1000, 1);
    world_done(&world, "p", PH_TASK_DROP, NULL, 0);
    world_expect(&world, PH_LOCAL_NONE);
    world_destroy(&world);
}

static void test_failed_reactivation_stops_all(void **state)
{
    (void)state;
    struct world world;
    setup(&world);
    world_activate(&world, "p", 1, NULL);
    world_order(
        &world, "p", &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 2, .vms = {"web"}});
    world_done(&world, "p", PH_TASK_ACTIVATE, NULL, -ESTALE);
    world_done(&world, "p", PH_TASK_VM_STOP, "web", 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_expect(&world, PH_LOCAL_FAILED);
    const struct ph_report *report = world_sent(&world, PH_MSG_REPORT);
    assert_string_equal(report->reason, "a reason");
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_and_down_in_order),
        cmocka_unit_test(test_failed_activation),
        cmocka_unit_test(test_hanging_activation),
        cmocka_unit_test(test_what_will_not_die_is_stuck),
        cmocka_unit_test(test_hanging_stop_is_killed),
        cmocka_unit_test(test_busy_data),
        cmocka_unit_test(test_last_copy_holds_the_release),
        cmocka_unit_test(test_released_stays_released),
        cmocka_unit_test(test_released_data_is_newer_than_its_copies),
        cmocka_unit_test(test_turning_round),
        cmocka_unit_test(test_deactivate_before_it_is_active),
        cmocka_unit_test(test_lease_end_in_every_phase),
        cmocka_unit_test(test_owner_becomes_holder),
        cmocka_unit_test(test_drop),
        cmocka_unit_test(test_failed_reactivation_stops_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
