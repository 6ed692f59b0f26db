#include "machine.h"

/* One pool's way through life, as a list of what happens; each step is one or more core steps. */
static bool play(struct machine *machine, int step, int64_t *generation)
{
    struct world *world = &machine->world;
    struct machine_pool *pool = &machine->pools[0];
    const struct world_order up = {.kind = PH_ORDER_ACTIVATE,
        .epoch = 1,
        .create = true,
        .vms = {"v0", "v1"},
        .peers = {"n2"},
        .interval_s = 60};
    const struct world_order changed = {.kind = PH_ORDER_ACTIVATE,
        .epoch = 1,
        .vms = {"v0=new", "v2"},
        .peers = {"n2"},
        .interval_s = 60};
    const struct world_order down = {
        .kind = PH_ORDER_DEACTIVATE, .epoch = 1, .peers = {"!n2"}, .vms = {"v0=new", "v2"}};
    const struct world_order hold = {.kind = PH_ORDER_HOLD, .epoch = 2, .sources = {"n2"}};
    const struct world_order drop = {.kind = PH_ORDER_DROP, .epoch = 2};
    switch (step) {
    case 0:
        world_welcome(world, 1, ++*generation);
        return true;
    case 1:
        machine_manager(machine, generation);
        return true;
    case 2:
        machine_order(machine, pool, &up);
        return true;
    case 7:
        machine_order(machine, pool, &changed);
        return true;
    case 13:
        machine_order(machine, pool, &down);
        return true;
    case 20:
        machine_order(machine, pool, &hold);
        return true;
    case 22:
        machine_order(machine, pool, &drop);
        return true;
    case 25:
        return false;
    default:
        break;
    }
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        if (world->tasks[i] != NULL) {
            machine_finish(machine, world->tasks[i], 0, false);
            break;
        }
    }
    return true;
}

/* Dies after every number of effects of every step, starts again, and ends where the order says. */
static void test_death_at_every_effect(void **state)
{
    (void)state;
    int deaths = 0;
    for (int dying = 0; dying < 25; dying++) {
        bool died = true;
        for (long after = 0; died; after++) {
            struct machine machine;
            int64_t generation = 0;
            machine_new(&machine);
            died = false;
            for (int step = 0; step <= dying; step++) {
                machine.world.crash_after = step == dying ? after : -1;
                (void)play(&machine, step, &generation);
                died = died || machine.world.crashed;
            }
            if (died) {
                deaths++;
                machine_restart(&machine);
            }
            machine.world.crash_after = -1;
            machine_converge(&machine, &generation);
            machine_destroy(&machine);
        }
    }
    assert_true(deaths > 40);
}

static void start(struct machine *machine, int64_t *generation)
{
    machine_new(machine);
    *generation = 1;
    world_welcome(&machine->world, 1, 1);
    machine_manager(machine, generation);
}

static void finish_all(struct machine *machine)
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < WORLD_TASKS; i++) {
            if (machine->world.tasks[i] != NULL) {
                machine_finish(machine, machine->world.tasks[i], 0, false);
                more = true;
            }
        }
    }
}

static void test_running_vms_are_kept(void **state)
{
    (void)state;
    struct machine machine;
    int64_t generation = 0;
    start(&machine, &generation);
    struct machine_pool *pool = &machine.pools[0];
    machine_order(&machine, pool,
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"v0", "v1", "v2"}});
    finish_all(&machine);
    int64_t pid = pool->pid[0];
    pool->alive[1] = false; /* ends while no agent is there to see it */
    machine_restart(&machine);
    const struct ph_hello *hello = world_sent(&machine.world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_true(hello->lease_left_ms > 0);
    assert_string_equal(hello->previous, "i1");
    assert_int_equal(hello->generation, 1);
    assert_int_equal(hello->pools.items[0].state, PH_LOCAL_ACTIVE);
    assert_int_equal(hello->pools.items[0].vms.items[0].pid, pid);
    /* Only the missing one is started; no activation. */
    assert_int_equal(world_task_count(&machine.world), 1);
    assert_non_null(world_task(&machine.world, "p0", PH_TASK_VM_START, "v1"));
    finish_all(&machine);
    assert_int_equal(pool->pid[0], pid);
    machine_destroy(&machine);
}

static void test_policy_of_the_missing(void **state)
{
    (void)state;
    const enum ph_restart_policy policies[] = {
        PH_RESTART_ALWAYS, PH_RESTART_ON_FAILURE, PH_RESTART_NEVER};
    for (size_t i = 0; i < 3; i++) {
        struct machine machine;
        int64_t generation = 0;
        start(&machine, &generation);
        struct machine_pool *pool = &machine.pools[0];
        machine_order(&machine, pool,
            &(struct world_order){
                .kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"v0"}, .restart = policies[i]});
        finish_all(&machine);
        pool->alive[0] = false;
        machine_restart(&machine);
        assert_int_equal(world_task_count(&machine.world), policies[i] != PH_RESTART_NEVER);
        machine_destroy(&machine);
    }
    /* One that was left ended before stays so. */
    struct machine machine;
    int64_t generation = 0;
    start(&machine, &generation);
    machine_order(&machine, &machine.pools[0],
        &(struct world_order){.kind = PH_ORDER_ACTIVATE,
            .epoch = 1,
            .vms = {"v0"},
            .restart = PH_RESTART_ON_FAILURE});
    finish_all(&machine);
    machine.pools[0].alive[0] = false;
    world_vm_ended(&machine.world, "p0", "v0", 0);
    machine_restart(&machine);
    assert_int_equal(world_task_count(&machine.world), 0);
    machine_destroy(&machine);
}

static void test_without_a_lease_all_is_released(void **state)
{
    (void)state;
    struct machine machine;
    int64_t generation = 0;
    start(&machine, &generation);
    machine_order(&machine, &machine.pools[0],
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"v0"}});
    machine_order(&machine, &machine.pools[1],
        &(struct world_order){.kind = PH_ORDER_HOLD, .epoch = 1, .sources = {"n2"}});
    finish_all(&machine);
    /* The guard ended everything while no agent ran. */
    machine_guard_kills(&machine);
    machine.world.page_deadline_ms = 0;
    machine.world.page_clean = 1;
    machine.world.now_ms += 5000;
    machine.world.allow_count = 0;
    machine_restart(&machine);
    const struct ph_hello *hello = world_sent(&machine.world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_int_equal(hello->lease_left_ms, 0);
    assert_int_equal(hello->pools.items[0].state, PH_LOCAL_RELEASED);
    assert_int_equal(hello->pools.items[1].state, PH_LOCAL_COPY);
    assert_int_equal(machine.world.allow_count, 1);
    /* The driver may tidy up, and nothing else happens. */
    world_done(&machine.world, "p0", PH_TASK_DEACTIVATE, NULL, 0);
    assert_int_equal(world_task_count(&machine.world), 0);
    machine_destroy(&machine);
}

static void test_guard_still_at_work(void **state)
{
    (void)state;
    struct machine machine;
    int64_t generation = 0;
    start(&machine, &generation);
    machine_order(&machine, &machine.pools[0],
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"v0"}});
    finish_all(&machine);
    machine.world.now_ms += 1300;
    machine.world.page_deadline_ms = 0;
    machine_restart(&machine);
    assert_null(world_sent(&machine.world, PH_MSG_HELLO));
    assert_int_equal(world_task_count(&machine.world), 0);
    machine_guard_kills(&machine);
    world_guard_ended(&machine.world, NULL);
    const struct ph_hello *hello = world_sent(&machine.world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_int_equal(hello->pools.items[0].state, PH_LOCAL_RELEASED);
    machine_destroy(&machine);
}

static void test_survivors_without_a_page(void **state)
{
    (void)state;
    struct machine machine;
    int64_t generation = 0;
    start(&machine, &generation);
    machine_order(&machine, &machine.pools[0],
        &(struct world_order){.kind = PH_ORDER_ACTIVATE, .epoch = 1, .vms = {"v0"}});
    finish_all(&machine);
    /* Somebody removed the guard and its page: what runs is ended before this node says hello. */
    machine.world.page_generation = machine.world.page_clean = 0;
    machine.world.page_deadline_ms = 0;
    machine_restart(&machine);
    assert_null(world_sent(&machine.world, PH_MSG_HELLO));
    finish_all(&machine);
    assert_int_equal(machine_alive(&machine.pools[0]), 0);
    machine.world.now_ms += 200;
    world_tick(&machine.world);
    machine_destroy(&machine);
}

static void test_unusable_rows(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    struct ph_error error = {0};
    char text[] = "{\"term\":1}", number[] = "many";
    struct ph_assignment row = {.pool = "p", .order = text};
    assert_int_equal(ph_agent_load(world.agent, &ph_record_assignment, &row, &error), -EINVAL);
    assert_string_not_equal(error.message, "");
    struct ph_meta meta = {.key = "term", .value = number};
    assert_int_equal(ph_agent_load(world.agent, &ph_record_meta, &meta, &error), -EINVAL);
    assert_string_equal(error.field, "term");
    struct ph_node node = {.name = "n1"};
    assert_int_equal(ph_agent_load(world.agent, &ph_record_node, &node, &error), -EINVAL);
    /* Data of a pool that no order names is kept and told of. */
    assert_int_equal(ph_agent_load_data(world.agent, "stray", 4, 2, false), 0);
    world.now_ms += 1000;
    world_tick(&world);
    const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_string_equal(hello->pools.items[hello->pools.count - 1].pool, "stray");
    assert_int_equal(hello->pools.items[hello->pools.count - 1].data_epoch, 4);
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_death_at_every_effect),
        cmocka_unit_test(test_running_vms_are_kept),
        cmocka_unit_test(test_policy_of_the_missing),
        cmocka_unit_test(test_without_a_lease_all_is_released),
        cmocka_unit_test(test_guard_still_at_work),
        cmocka_unit_test(test_survivors_without_a_page),
        cmocka_unit_test(test_unusable_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
