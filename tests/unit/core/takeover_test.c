/* A node is lost, fenced, or returns: what happens to its pools, step by step. */
#include "fixture.h"

static void first_activation(void **state)
{
    struct fixture *fx = fx_new(3, 1);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 500);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    assert_string_equal(fx_pool_row(fx, "web")->node, "n1");
    fx_free(fx);
}

static void killed_node(void **state)
{
    struct fixture *fx = fx_new(3, 2);

    (void)state;
    fx_declare(fx, "web", 1, "n1");
    fx_run(fx, 3000);
    assert_string_equal(fx_active_on(fx, "web"), "n1");
    fx_trace_on(fx);
    fx_kill(fx, "n1");
    fx_run(fx, 3000);
    printf("%s", fx->trace);
    assert_int_equal(fx_pool_row(fx, "web")->state, PH_POOL_ACTIVE);
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_activation),
        cmocka_unit_test(killed_node),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
