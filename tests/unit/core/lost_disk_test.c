/* A node that comes back with an empty disk: what it had is not taken for the newest data any more. */
#include "fixture.h"

static void lose_disk(struct fixture *fx, const char *node)
{
    struct fx_local *local = fx_local(fx_node(fx, node), "web");
    char name[PH_NAME_BYTES_MAX + 1];

    memcpy(name, local->name, sizeof name);
    ph_record_fini(&ph_record_order, &local->order);
    *local = (struct fx_local){0};
    memcpy(local->name, name, sizeof name);
}

static void start(struct fixture *fx)
{
    struct ph_pool_start body = {.pool = "web", .accept_data_loss = true, .retry = true};

    fx_ask(fx, PH_MSG_POOL_START, &body);
}

/* Within a lease it is back and says that nothing runs: the pool is free, and nobody knows where. */
static void home_without_data_waits_for_a_word(void **state)
{
    struct fixture *fx = fx_new(3, 11);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx->no_copies = true;
    fx_run(fx, 1000);
    fx_kill(fx, "n1");
    lose_disk(fx, "n1");
    fx_boot(fx, "n1");
    fx_run(fx, 5000);
    assert_string_equal(fx_pool_row(fx, "web")->home, "n1");
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_BLOCKED);
    assert_non_null(strstr(fx_pool_row(fx, "web")->reason, "says that it has none"));
    assert_int_equal(fx_pool_row(fx, "web")->epoch, 1); /* it was not even tried there */
    fx->no_copies = false;
    start(fx);
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx_free(fx);
}

/* No copy is left either: what a former owner still has is accepted when an operator accepts loss. */
static void former_owner_is_the_last_resort(void **state)
{
    struct fixture *fx = fx_new(2, 12);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    fx->no_copies = true;
    fx_boot(fx, "n1");
    fx_run(fx, 3000);
    assert_int_equal(
        core_find_peer(core_find_pool(fx->core, "web"), "n1")->row.state, PH_REPLICA_DIVERGED);
    fx_kill(fx, "n2");
    lose_disk(fx, "n2");
    fx_boot(fx, "n2");
    fx_run(fx, 3000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_BLOCKED);
    fx->no_copies = false;
    start(fx);
    fx_run(fx, 2000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_free(fx);
}

/* A drain has planned to move it, and its data is gone from there: neither waits for the other. */
static void a_drain_does_not_wait_for_data_that_is_gone(void **state)
{
    struct fixture *fx = fx_new(3, 13);
    struct ph_drain drain = {.node = "n1", .max_parallel = 1};

    (void)state;
    fx_declare(fx, "all", 1, "n1");
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    fx->no_copies = true;
    fx_ask(fx, PH_MSG_DRAIN, &drain); /* the first pool's copy does not end, the other one waits */
    fx_run(fx, 1000);
    fx_kill(fx, "n1");
    lose_disk(fx, "n1");
    fx_boot(fx, "n1");
    fx_run(fx, 5000);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_BLOCKED);
    assert_null(core_find_pool(fx->core, "web")->job);
    start(fx);
    fx_run(fx, 2000);
    assert_string_not_equal(fx_active_on(fx, "web"), "");
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(home_without_data_waits_for_a_word),
        cmocka_unit_test(former_owner_is_the_last_resort),
        cmocka_unit_test(a_drain_does_not_wait_for_data_that_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
