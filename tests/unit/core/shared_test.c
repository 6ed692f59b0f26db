/* Pools whose data every node reaches: moved without copies, and taken over by a proof that is more than time. */
#include "fixture.h"

static void declare(struct fixture *fx, bool told)
{
    char argument[] = "true", path[] = "/srv/web", first[] = "n1";
    char *command[] = {argument}, *words[] = {first};
    struct ph_vm_spec vm = {.name = "vm1", .kind = "process", .command = {1, command}};
    struct ph_pool_spec spec = {.name = "web",
        .driver = "shared",
        .prefer = {1, words},
        .vms = {1, &vm},
        .shared = {.path = path, .without_fencing = told}};
    struct ph_apply apply = {.pools = {1, &spec}};

    fx_ask(fx, PH_MSG_APPLY, &apply);
    assert_int_equal(fx->answer_type, told ? PH_MSG_APPLIED : PH_MSG_PROBLEM);
}

/* As if each node had had a fence device when it was declared. */
static struct fixture *web_on_n1(bool told)
{
    struct fixture *fx = fx_new(3, 7);
    struct core_pool *pool;

    declare(fx, true);
    pool = core_find_pool(fx->core, "web");
    if (!told)
        assert_int_equal(
            ph_set_text(&pool->row.settings, "{\"shared\":{\"path\":\"/srv/web\"}}"), 0);
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    return fx;
}

static void needs_devices(void **state)
{
    struct fixture *fx = fx_new(2, 3);

    (void)state;
    fx_run(fx, 500);
    declare(fx, false);
    assert_non_null(strstr(fx_problem(fx), "has no fence device"));
    fx_free(fx);
}

static void moves_without_a_copy(void **state)
{
    struct fixture *fx = web_on_n1(false);
    struct ph_pool_move move = {.pool = "web", .target = "n2"};

    (void)state;
    fx_ask(fx, PH_MSG_POOL_MOVE, &move);
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n2");
    assert_int_equal(fx_job_row(fx, 1)->state, PH_JOB_SUCCEEDED);
    for (size_t i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "n%zu", i + 1);
        struct core_peer *peer = core_find_peer(core_find_pool(fx->core, "web"), name);
        assert_true(peer == NULL || !peer->stored); /* nothing of it is a copy */
    }
    fx_free(fx);
}

static void time_alone_is_no_proof(void **state)
{
    struct fixture *fx = web_on_n1(false);
    struct ph_fence fence = {.node = "n1", .confirm_dead = "n1"};

    (void)state;
    fx_kill(fx, "n1");
    fx_run(fx, 20000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_SUSPECT);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    assert_non_null(strstr(fx_node_row(fx, "n1")->reason, "without_fencing"));
    fx_ask(fx, PH_MSG_FENCE, &fence);
    fx_run(fx, 3000);
    assert_true(fx_pool_row(fx, "web")->node[0] != '\0');
    assert_string_not_equal(fx_pool_row(fx, "web")->node, "n1");
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    fx_free(fx);
}

static void unless_told(void **state)
{
    struct fixture *fx = web_on_n1(true);

    (void)state;
    fx_kill(fx, "n1");
    fx_run(fx, 4000);
    assert_int_equal(fx_node_row(fx, "n1")->state, PH_NODE_LOST);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    assert_int_equal(fx_job_row(fx, 1)->data_loss_ms, 0);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(needs_devices),
        cmocka_unit_test(moves_without_a_copy),
        cmocka_unit_test(time_alone_is_no_proof),
        cmocka_unit_test(unless_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
