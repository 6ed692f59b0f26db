/* Which nodes keep copies. */
#include "tests/unit/place/picture.h"

static struct picture *three(void)
{
    struct picture *picture = picture_new();

    picture_node(picture, "n1", 4000, 8192, 100000);
    picture_node(picture, "n2", 4000, 8192, 100000);
    picture_node(picture, "n3", 4000, 8192, 100000);
    return picture;
}

static void set(
    struct picture *picture, size_t index, enum ph_node_state state, enum ph_node_admin admin)
{
    picture->node_rows[index].state = state;
    picture->node_rows[index].admin = admin;
    picture->nodes[index].available = state == PH_NODE_ONLINE && admin == PH_ADMIN_ACTIVE;
}

static void copies_spread_and_stay(void **state)
{
    (void)state;
    struct picture *picture = three();
    size_t chosen[PH_COPIES_MAX];
    char name[8];

    /* Pools on n1 put their copies on n2 and n3 in turn. */
    for (int i = 0; i < 10; i++) {
        ph_text_format(name, sizeof name, "p%d", i);
        struct ph_pool *pool = picture_pool(picture, name, "n1", 0, 0, 0);

        assert_int_equal(ph_place_copies(&picture->cluster, pool, NULL, 0, 1, chosen), 1);
        assert_int_not_equal(chosen[0], 0);
        picture->nodes[chosen[0]].copies++;
    }
    assert_int_equal(picture->nodes[1].copies, 5);
    assert_int_equal(picture->nodes[2].copies, 5);

    struct ph_pool *pool = picture_pool(picture, "web", "n1", 0, 0, 1000);
    const char *keep[] = {"n3", "n1", "n9", "n3"};

    /* A kept one stays although it is the fuller; the active node and unknown ones never do. */
    picture->nodes[2].copies = 50;
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 4, 1, chosen), 1);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 4, 3, chosen), 2);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(chosen[1], 1);
    /* In maintenance it keeps what it has; lost it does not count; a full one gets no new copy. */
    set(picture, 2, PH_NODE_ONLINE, PH_ADMIN_DRAINING);
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 1, 1, chosen), 1);
    assert_int_equal(chosen[0], 2);
    set(picture, 2, PH_NODE_SUSPECT, PH_ADMIN_ACTIVE);
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 1, 1, chosen), 1);
    assert_int_equal(chosen[0], 2);
    set(picture, 2, PH_NODE_LOST, PH_ADMIN_ACTIVE);
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 1, 1, chosen), 1);
    assert_int_equal(chosen[0], 1);
    picture->nodes[1].disk_used_mib = 99500;
    assert_int_equal(ph_place_copies(&picture->cluster, pool, keep, 1, 1, chosen), 0);
    picture_free(picture);
}

static void copies_go_where_a_takeover_could(void **state)
{
    (void)state;
    struct picture *picture = three();
    size_t chosen[PH_COPIES_MAX];
    struct ph_pool *pool = picture_pool(picture, "web", "n1", 0, 0, 0);

    picture_pool(picture, "db", "n2", 0, 0, 0);
    assert_int_equal(ph_texts_add(&pool->apart, "db"), 0);
    picture->nodes[2].copies = 3; /* n3 is the fuller, but n2 runs what it must be apart from */
    assert_int_equal(ph_place_copies(&picture->cluster, pool, NULL, 0, 1, chosen), 1);
    assert_int_equal(chosen[0], 2);
    assert_int_equal(ph_texts_add(&pool->prefer, "n2"), 0);
    ph_texts_fini(&pool->apart);
    assert_int_equal(ph_place_copies(&picture->cluster, pool, NULL, 0, 1, chosen), 1);
    assert_int_equal(chosen[0], 1);
    picture_free(picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_spread_and_stay),
        cmocka_unit_test(copies_go_where_a_takeover_could),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
