#include "world.h"

static void test_hello_until_welcome(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_string_equal(hello->instance, "i1");
    assert_int_equal(hello->lease_left_ms, 0);
    assert_int_equal(hello->generation, 0);
    assert_null(world_sent(&world, PH_MSG_BEAT));
    int64_t number = hello->number;
    world.now_ms += 199;
    world_tick(&world);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world.now_ms += 1;
    world_tick(&world);
    hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_true(hello->number > number);
    world_welcome(&world, 1, 7);
    const struct ph_beat *beat = world_sent(&world, PH_MSG_BEAT);
    assert_non_null(beat);
    assert_int_equal(beat->generation, 7);
    world.now_ms += 200;
    world_tick(&world);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    assert_non_null(world_sent(&world, PH_MSG_BEAT));
    world_destroy(&world);
}

/* What becomes known later, or changes, is told by another hello. */
static void test_new_facts_are_told(void **state)
{
    (void)state;
    struct world world;
    char note[] = "the watchdog is busy";
    world_new(&world);
    assert_int_equal(ph_agent_stop_ms(world.agent), 0);
    world_admit(&world, 1, 1);
    assert_int_equal(ph_agent_stop_ms(world.agent), 500);
    world_tick(&world);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    struct ph_hello facts = {.watchdog_ms = 8000, .kills_by = PH_KILLS_CGROUP, .guard_note = note};
    struct ph_agent_event event = {.kind = PH_AE_FACTS, .facts = &facts};
    world_step(&world, &event);
    const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_int_equal(hello->watchdog_ms, 8000);
    assert_int_equal(hello->kills_by, PH_KILLS_CGROUP);
    assert_string_equal(hello->guard_note, note);
    assert_int_equal(hello->generation, 1);
    assert_true(hello->lease_left_ms > 0);
    assert_string_equal(hello->instance, "i1");
    world_destroy(&world);
}

static void test_lease_counts_from_the_beat(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_welcome(&world, 1, 1);
    struct ph_beat first = *(const struct ph_beat *)world_sent(&world, PH_MSG_BEAT);
    world.now_ms += 150;
    world_grant(&world, 1, &first);
    const struct ph_agent_effect *lease = world_effect(&world, PH_AF_LEASE);
    assert_non_null(lease);
    assert_true(lease->at_once);
    assert_int_equal(lease->generation, 1);
    assert_int_equal(lease->deadline_ms, (uint64_t)first.boot_ms + 1200);
    world.now_ms += 50;
    world_tick(&world);
    struct ph_beat second = *(const struct ph_beat *)world_sent(&world, PH_MSG_BEAT);
    world_grant(&world, 1, &second);
    assert_int_equal(world.page_deadline_ms, (uint64_t)second.boot_ms + 1200);
    /* An older grant that comes late shortens nothing. */
    world_grant(&world, 1, &first);
    assert_null(world_effect(&world, PH_AF_LEASE));
    assert_int_equal(world.page_deadline_ms, (uint64_t)second.boot_ms + 1200);
    world_destroy(&world);
}

static void test_foreign_grants_are_ignored(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_welcome(&world, 5, 3);
    struct ph_beat beat = *(const struct ph_beat *)world_sent(&world, PH_MSG_BEAT);
    struct ph_beat cases[] = {
        {.number = beat.number + 1, .boot_ms = beat.boot_ms, .generation = 3},
        {.number = beat.number, .boot_ms = beat.boot_ms + 1, .generation = 3},
        {.number = beat.number, .boot_ms = beat.boot_ms, .generation = 2},
        {.number = beat.number, .boot_ms = beat.boot_ms, .generation = 4},
        {.number = 0, .boot_ms = 0, .generation = 3},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        world_grant(&world, 5, &cases[i]);
        assert_null(world_effect(&world, PH_AF_LEASE));
    }
    world_grant(&world, 4, &beat); /* a lower term */
    assert_null(world_effect(&world, PH_AF_LEASE));
    char other[] = "m2";
    struct ph_grant grant = {.number = beat.number,
        .boot_ms = beat.boot_ms,
        .generation = 3,
        .term = 5,
        .manager = other,
        .lease_ms = 1200};
    world_message(&world, PH_MSG_GRANT, &grant); /* the same term, another manager */
    assert_null(world_effect(&world, PH_AF_LEASE));
    /* A grant so late that its lease would be over already. */
    world.now_ms += 1200;
    world_grant(&world, 5, &beat);
    assert_null(world_effect(&world, PH_AF_LEASE));
    world_destroy(&world);
}

static void test_new_term_is_saved_and_said(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_run(&world, 200, 0);
    struct ph_beat beat = *(const struct ph_beat *)world_sent(&world, PH_MSG_BEAT);
    char manager[] = "m9";
    struct ph_grant grant = {.number = beat.number,
        .boot_ms = beat.boot_ms,
        .generation = 1,
        .term = 2,
        .manager = manager,
        .lease_ms = 1200};
    world_message(&world, PH_MSG_GRANT, &grant);
    /* The term is saved first, the lease is extended after that, and hello follows. */
    assert_int_equal(world.effects.items[0].kind, PH_AF_SAVE);
    const struct ph_agent_effect *lease = world_effect(&world, PH_AF_LEASE);
    assert_non_null(lease);
    assert_false(lease->at_once);
    const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_int_equal(hello->term, 2);
    assert_string_equal(hello->manager, "m9");
    assert_true(hello->lease_left_ms > 0);
    /* Meanwhile it goes on beating under its admission. */
    world.now_ms += 200;
    world_tick(&world);
    assert_non_null(world_sent(&world, PH_MSG_BEAT));
    world_destroy(&world);
}

static void test_end_is_the_end(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_activate(&world, "p", 1, NULL);
    world_run(&world, 1100, 0);
    struct ph_beat beat = {0};
    assert_true(ph_agent_next_deadline_ms(world.agent) <= world.page_deadline_ms);
    const struct ph_beat *sent = world_sent(&world, PH_MSG_BEAT);
    if (sent != NULL) {
        beat = *sent;
    }
    world_run(&world, 100, 0);
    /* No grant revives it, though the beat it answers was sent in time. */
    world_grant(&world, 1, &beat);
    assert_null(world_effect(&world, PH_AF_LEASE));
    /* No hello and no beat before the guard has said that nothing is left. */
    world_run(&world, 400, 0);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world_vm_ended(&world, "p", "web", -1);
    assert_int_equal(world_task_count(&world), 0);
    world_guard_ended(&world, NULL);
    const struct ph_hello *hello = world_sent(&world, PH_MSG_HELLO);
    assert_non_null(hello);
    assert_int_equal(hello->lease_left_ms, 0);
    assert_int_equal(hello->pools.count, 1);
    assert_int_equal(hello->pools.items[0].state, PH_LOCAL_RELEASED);
    assert_int_equal(hello->pools.items[0].epoch, 1);
    /* Welcomed under the ended generation: nothing. Under a new one: beats, and a lease. */
    world_welcome(&world, 1, 1);
    assert_null(world_sent(&world, PH_MSG_BEAT));
    world_admit(&world, 1, 2);
    /* The old order is of the old generation and starts nothing; the driver may tidy up. */
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    assert_int_equal(world_task_count(&world), 0);
    world_run(&world, 3000, 1);
    assert_int_equal(world_task_count(&world), 0);
    world_destroy(&world);
}

static void test_stuck_at_the_end(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_activate(&world, "p", 1, NULL);
    world_run(&world, 1300, 0);
    world_guard_ended(&world, "p");
    world_expect(&world, PH_LOCAL_STUCK);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world_run(&world, 10000, 0);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world_guard_ended(&world, NULL);
    assert_non_null(world_sent(&world, PH_MSG_HELLO));
    world_destroy(&world);
}

static void test_guard_lost(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_activate(&world, "p", 1, NULL);
    world_run(&world, 200, 0);
    struct ph_beat beat = *(const struct ph_beat *)world_sent(&world, PH_MSG_BEAT);
    struct ph_agent_event lost = {.kind = PH_AE_GUARD_LOST};
    world_step(&world, &lost);
    world_grant(&world, 1, &beat);
    assert_null(world_effect(&world, PH_AF_LEASE));
    /* Nothing new runs meanwhile, though the VM should be started again. */
    world_vm_ended(&world, "p", "web", 1);
    world_run(&world, 500, 0);
    assert_int_equal(world_task_count(&world), 0);
    /* Another guard in time: all goes on. */
    world_guard_ready(&world);
    world_run(&world, 200, 1);
    assert_int_equal(world.page_generation, 1);
    world_run(&world, 1000, 1);
    assert_non_null(world_task(&world, "p", PH_TASK_VM_START, "web"));
    world_done(&world, "p", PH_TASK_VM_START, "web", 0);
    /* None in time: at the end of the lease the core kills by itself. */
    world_step(&world, &lost);
    world_run(&world, 1300, 0);
    assert_non_null(world_task(&world, "p", PH_TASK_KILL, NULL));
    world_done(&world, "p", PH_TASK_KILL, NULL, -EBUSY);
    world_run(&world, 1100, 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    assert_int_equal(world_task_count(&world), 0);
    world.page_deadline_ms = 0;
    world.page_clean = 1;
    world_guard_ready(&world);
    assert_non_null(world_sent(&world, PH_MSG_HELLO));
    world_destroy(&world);
}

static void test_guard_page_lost(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_activate(&world, "p", 1, NULL);
    struct ph_agent_event lost = {.kind = PH_AE_GUARD_LOST};
    world_step(&world, &lost);
    world.page_generation = world.page_clean = 0;
    world.page_deadline_ms = 0;
    world_guard_ready(&world);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world_done(&world, "p", PH_TASK_VM_STOP, "web", 0);
    assert_null(world_sent(&world, PH_MSG_HELLO));
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_run(&world, 1000, 0);
    world_destroy(&world);
}

static void test_unwelcome(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    char manager[] = "m1", reason[] = "it was fenced";
    struct ph_unwelcome unwelcome = {
        .term = 1, .manager = manager, .say_hello = true, .reason = reason};
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    assert_non_null(world_sent(&world, PH_MSG_HELLO));
    assert_non_null(world_effect(&world, PH_AF_NOTE));
    world_run(&world, 300, 0);
    assert_null(world_sent(&world, PH_MSG_BEAT));
    /* Under the same generation it is still welcome while its lease lasts. */
    world_welcome(&world, 1, 1);
    assert_non_null(world_sent(&world, PH_MSG_BEAT));
    /* A new generation is of no use before the old lease is over and clean. */
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    world_welcome(&world, 1, 2);
    assert_null(world_sent(&world, PH_MSG_BEAT));
    world_destroy(&world);
}

static void test_duplicate(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    char manager[] = "m1";
    struct ph_unwelcome unwelcome = {.term = 1, .manager = manager, .duplicate = true};
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    assert_false(world.ended);
    /* It falls silent for longer than a lease, and asks once more. */
    world_run(&world, 1900, 0);
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome); /* the answer to an earlier hello */
    assert_false(world.ended);
    world_run(&world, 200, 0);
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    assert_true(world.ended);
    assert_non_null(world_effect(&world, PH_AF_END)->text);
    world_destroy(&world);
    /* The one that was first does not mind. */
    world_new(&world);
    world_admit(&world, 1, 1);
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    world_run(&world, 100, 1);
    world_message(&world, PH_MSG_UNWELCOME, &unwelcome);
    assert_false(world.ended);
    world_destroy(&world);
}

static void test_leave(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    world_activate(&world, "p", 1, NULL);
    struct ph_agent_event leave = {.kind = PH_AE_LEAVE};
    world_step(&world, &leave);
    assert_non_null(world_sent(&world, PH_MSG_LEAVING));
    world_run(&world, 5000, 1);
    assert_false(world.ended);
    world_order(&world, "p", &(struct world_order){.kind = PH_ORDER_DEACTIVATE, .epoch = 1});
    world_done(&world, "p", PH_TASK_VM_STOP, NULL, 0);
    world_done(&world, "p", PH_TASK_KILL, NULL, 0);
    assert_false(world.ended);
    world_done(&world, "p", PH_TASK_DEACTIVATE, NULL, 0);
    world_run(&world, 1100, 1);
    assert_true(world.ended);
    world_destroy(&world);
}

static void test_idle_costs_beats_only(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    for (int i = 0; i < 20; i++) {
        char name[8];
        (void)snprintf(name, sizeof(name), "p%d", i);
        world_activate(&world, name, 1, NULL);
    }
    /* Acknowledge everything, then count the deadlines of ten seconds: one per beat. */
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 20; i++) {
            struct ph_report_ok ok = {0};
            (void)snprintf(ok.pool, sizeof(ok.pool), "p%d", i);
            for (int64_t number = 1; number <= world.report_number; number++) {
                ok.number = number;
                world_message(&world, PH_MSG_REPORT_OK, &ok);
            }
        }
        world_run(&world, 600, 1);
    }
    int deadlines = 0;
    uint64_t end_ms = world.now_ms + 10000;
    while (ph_agent_next_deadline_ms(world.agent) <= end_ms) {
        world.now_ms = ph_agent_next_deadline_ms(world.agent);
        world_tick(&world);
        const struct ph_beat *sent = world_sent(&world, PH_MSG_BEAT);
        assert_non_null(sent);
        struct ph_beat beat = *sent;
        world_grant(&world, 1, &beat);
        deadlines++;
    }
    assert_int_equal(deadlines, 50);
    world_destroy(&world);
}

static struct ph_beat next_beat(struct world *world)
{
    const struct ph_beat *sent = NULL;
    while (sent == NULL) {
        world->now_ms = ph_agent_next_deadline_ms(world->agent);
        world_tick(world);
        sent = world_sent(world, PH_MSG_BEAT);
    }
    return *sent;
}

/* What gets no answer is asked again after half a period, as long as a lease of the last answer. */
static void test_unanswered_beats_come_sooner(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    struct ph_beat beat = next_beat(&world);
    world_grant(&world, 1, &beat);
    uint64_t period_ms = ph_agent_next_deadline_ms(world.agent) - (uint64_t)beat.boot_ms;
    assert_int_equal(period_ms, 200);
    beat = next_beat(&world);
    assert_int_equal(ph_agent_next_deadline_ms(world.agent), world.now_ms + period_ms / 2);
    world.now_ms += 30; /* answered: the next one is due in its time */
    world_grant(&world, 1, &beat);
    assert_int_equal(ph_agent_next_deadline_ms(world.agent), (uint64_t)beat.boot_ms + period_ms);
    int beats = 0;
    for (uint64_t end_ms = (uint64_t)beat.boot_ms + 1100; world.now_ms < end_ms; beats++) {
        (void)next_beat(&world);
    }
    assert_int_equal(beats, 10); /* every 100 ms from 200 to 1100 */
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hello_until_welcome),
        cmocka_unit_test(test_new_facts_are_told),
        cmocka_unit_test(test_lease_counts_from_the_beat),
        cmocka_unit_test(test_foreign_grants_are_ignored),
        cmocka_unit_test(test_new_term_is_saved_and_said),
        cmocka_unit_test(test_end_is_the_end),
        cmocka_unit_test(test_stuck_at_the_end),
        cmocka_unit_test(test_guard_lost),
        cmocka_unit_test(test_guard_page_lost),
        cmocka_unit_test(test_unwelcome),
        cmocka_unit_test(test_duplicate),
        cmocka_unit_test(test_leave),
        cmocka_unit_test(test_idle_costs_beats_only),
        cmocka_unit_test(test_unanswered_beats_come_sooner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
