/* Who keeps copies, over losses and returns. */
#include "fixture.h"

static enum ph_replica_state copy_on(struct fixture *fx, const char *pool, const char *node)
{
    struct core_peer *peer = core_find_peer(core_find_pool(fx->core, pool), node);

    assert_non_null(peer);
    return peer->row.state;
}

/* What reports of the pool come in meanwhile must not make it forget that it lacks a copy. */
static void returned_node_gets_its_copy_again(void **state)
{
    struct fixture *fx = fx_new(3, 21);
    const char *owner;

    (void)state;
    fx_declare(fx, "web", 2, "n1");
    fx_run(fx, 3000);
    for (int round = 0; round < 4; round++) {
        char lost[64];

        owner = fx_active_on(fx, "web");
        assert_non_null(owner);
        snprintf(lost, sizeof lost, "%s", owner);
        fx_kill(fx, lost);
        fx_run(fx, 4000);
        owner = fx_active_on(fx, "web");
        assert_non_null(owner);
        assert_string_not_equal(owner, lost);
        fx_boot(fx, lost);
        fx_run(fx, 6000);
        assert_int_equal(copy_on(fx, "web", lost), PH_REPLICA_COMPLETE);
    }
    fx_free(fx);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(returned_node_gets_its_copy_again),
    };

    return cmocka_run_group_tests_name("holders", tests, NULL, NULL);
}
