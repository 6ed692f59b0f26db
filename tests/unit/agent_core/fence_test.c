/* Fence agents run for other nodes: only for our manager, and only while the question is fresh. */
#include "world.h"

static char manager[] = "m1", agent[] = "fence_test";

static void ask(struct world *world, int64_t term, int64_t beat, enum ph_fence_action action)
{
    struct ph_fence_run run = {.number = 5,
        .term = term,
        .manager = manager,
        .beat = beat,
        .node = "n2",
        .device = "ipmi",
        .agent = agent,
        .action = action,
        .timeout_ms = 1000};
    world_message(world, PH_MSG_FENCE_RUN, &run);
}

static int64_t beat(struct world *world)
{
    world->now_ms += 200;
    world_tick(world);
    const struct ph_beat *sent = world_sent(world, PH_MSG_BEAT);
    assert_non_null(sent);
    struct ph_beat copy = *sent;
    world_grant(world, 1, &copy);
    return copy.number;
}

static void test_a_fresh_question_is_carried_out(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    int64_t number = beat(&world);
    ask(&world, 1, number, PH_FENCE_OFF);
    assert_int_equal(world.fences, 1);
    const struct ph_agent_effect *effect = world_effect(&world, PH_AF_FENCE);
    assert_non_null(effect);
    assert_string_equal(((const struct ph_fence_run *)effect->value)->device, "ipmi");
    ask(&world, 1, number + 1, PH_FENCE_OFF); /* a hello in between has a number of its own */
    assert_int_equal(world.fences, 2);
    world_destroy(&world);
}

static void test_one_that_waited_is_refused(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    int64_t number = beat(&world);
    for (int i = 0; i < 7; i++) {
        beat(&world);
    }
    ask(&world, 1, number, PH_FENCE_OFF); /* heard 1400 ms ago: longer than a lease */
    assert_int_equal(world.fences, 0);
    const struct ph_fence_ran *ran = world_sent(&world, PH_MSG_FENCE_RAN);
    assert_non_null(ran);
    assert_int_equal(ran->number, 5);
    assert_int_equal(ran->power, PH_POWER_FAILED);
    assert_non_null(strstr(ran->reason, "older than a lease"));
    ask(&world, 1, number, PH_FENCE_STATUS); /* which does no harm */
    assert_int_equal(world.fences, 1);
    ask(&world, 1, 0, PH_FENCE_OFF);
    ask(&world, 1, 0, PH_FENCE_ON);
    assert_int_equal(world.fences, 1);
    world_destroy(&world);
}

/* The node hung, its beats with it: no beat is missing, and yet the question is old. */
static void test_a_hung_node_refuses_what_it_finds(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 1, 1);
    int64_t number = beat(&world);
    world.now_ms += 60000;
    ask(&world, 1, number, PH_FENCE_OFF);
    assert_int_equal(world.fences, 0);
    world_destroy(&world);
}

static void test_others_are_not_obeyed(void **state)
{
    (void)state;
    struct world world;
    world_new(&world);
    world_admit(&world, 2, 1);
    world.now_ms += 200;
    world_tick(&world);
    const struct ph_beat *sent = world_sent(&world, PH_MSG_BEAT);
    assert_non_null(sent);
    int64_t number = sent->number;
    ask(&world, 1, number, PH_FENCE_OFF); /* a former term */
    assert_int_equal(world.fences, 0);
    assert_null(world_sent(&world, PH_MSG_FENCE_RAN));
    manager[1] = '2';
    ask(&world, 2, number, PH_FENCE_OFF); /* another manager with that term */
    manager[1] = '1';
    assert_int_equal(world.fences, 0);
    struct ph_fence_run run = {.number = 5,
        .term = 2,
        .manager = manager,
        .beat = number,
        .node = "n1",
        .device = "ipmi",
        .agent = agent,
        .action = PH_FENCE_OFF,
        .timeout_ms = 1000};
    world_message(&world, PH_MSG_FENCE_RUN, &run); /* itself */
    assert_int_equal(world.fences, 0);
    assert_non_null(world_sent(&world, PH_MSG_FENCE_RAN));
    world_destroy(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_fresh_question_is_carried_out),
        cmocka_unit_test(test_one_that_waited_is_refused),
        cmocka_unit_test(test_a_hung_node_refuses_what_it_finds),
        cmocka_unit_test(test_others_are_not_obeyed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
