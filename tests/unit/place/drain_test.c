/* Drain plans, and properties over many random clusters. */
#include "tests/unit/place/picture.h"

static void equal_cluster(struct picture *picture, int nodes, int pools_each)
{
    char name[24], node[24];

    for (int n = 0; n < nodes; n++) {
        ph_text_format(node, sizeof node, "n%03d", n);
        picture_node(picture, node, 64000, 65536, 1000000);
    }
    for (int n = 0; n < nodes; n++) {
        for (int p = 0; p < pools_each; p++) {
            ph_text_format(node, sizeof node, "n%03d", n);
            ph_text_format(name, sizeof name, "p%03d-%03d", n, p);
            picture_pool(picture, name, node, 500, 512, 1000);
        }
    }
    for (size_t i = 0; i < picture->pool_count; i++)
        assert_int_equal(ph_place_relate(&picture->relations, &picture->pool_rows[i]), 0);
    picture->cluster.relations = &picture->relations;
}

static void no_target_is_piled_upon(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_planned_move_list plan = {0};
    int64_t share[20] = {0};

    equal_cluster(picture, 20, 50);
    assert_int_equal(ph_place_drain(&picture->cluster, "n007", NULL, &plan), 0);
    assert_int_equal(plan.count, 50);
    for (size_t i = 0; i < plan.count; i++) {
        assert_string_equal(plan.items[i].from, "n007");
        assert_true(plan.items[i].reason != NULL);
        share[picture_place(picture, plan.items[i].to) - picture->nodes]++;
    }
    for (int n = 0; n < 20; n++) { /* 50 over 19: 2 or 3 each */
        if (n == 7)
            assert_int_equal(share[n], 0);
        else
            assert_in_range(share[n], 2, 3);
    }
    picture_plan_free(&plan);
    picture_free(picture);
}

static size_t all_on_n000(void *context, const char *pool, const struct ph_place_copy **copies_out)
{
    static const struct ph_place_copy copy = {"n000", true, 1000};
    (void)context, (void)pool;

    *copies_out = &copy;
    return 1;
}

static void copies_do_not_pile_up_either(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_planned_move_list plan = {0};
    int64_t first = 0;

    equal_cluster(picture, 5, 20);
    struct ph_place_copies_of copies = {NULL, all_on_n000};

    assert_int_equal(ph_place_drain(&picture->cluster, "n003", &copies, &plan), 0);
    for (size_t i = 0; i < plan.count; i++)
        first += strcmp(plan.items[i].to, "n000") == 0;
    /* It draws more than its share of 5, never all 20: at most a quarter above the mean, and two. */
    assert_in_range(first, 5, 12);
    picture_plan_free(&plan);
    picture_free(picture);
}

static void priority_orders_the_moves(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_planned_move_list plan = {0};

    picture_node(picture, "n1", 0, 4096, 0);
    picture_node(picture, "n2", 0, 4096, 0);
    picture_pool(picture, "a", "n1", 0, 1024, 0);
    picture_pool(picture, "b", "n1", 0, 1024, 0)->priority = 5;
    picture_pool(picture, "c", "n1", 0, 1024, 0)->priority = 5;
    picture_pool(picture, "d", "n1", 0, 1024, 0)->desired = PH_DESIRED_INACTIVE;
    picture_pool(picture, "e", "n2", 0, 2048, 0);
    assert_int_equal(ph_place_drain(&picture->cluster, "n1", NULL, &plan), 0);
    assert_int_equal(plan.count, 3);
    assert_string_equal(plan.items[0].pool, "b");
    assert_string_equal(plan.items[1].pool, "c");
    assert_string_equal(plan.items[2].pool, "a");
    /* There is room for two: the one of least priority stays, and knows why. */
    assert_string_equal(plan.items[0].to, "n2");
    assert_string_equal(plan.items[1].to, "n2");
    assert_string_equal(plan.items[2].to, "");
    assert_non_null(strstr(plan.items[2].reason, "needs 1024 MiB memory, n2 has 0 of 4096 left"));
    picture_plan_free(&plan);

    plan = (struct ph_planned_move_list){0};
    assert_int_equal(ph_place_drain(&picture->cluster, "n9", NULL, &plan), -ENOENT);
    assert_int_equal(plan.count, 0);
    picture_free(picture);
}

static void large_ones_are_tried_first_when_it_is_tight(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_planned_move_list plan = {0};

    /* In order of priority the small ones spread over n2 and n3, and the large one fits nowhere. */
    picture_node(picture, "n1", 0, 8192, 0);
    picture_node(picture, "n2", 0, 4096, 0);
    picture_node(picture, "n3", 0, 4096, 0);
    picture_pool(picture, "a", "n1", 0, 1024, 0)->priority = 9;
    picture_pool(picture, "b", "n1", 0, 1024, 0)->priority = 8;
    picture_pool(picture, "c", "n1", 0, 4096, 0);
    assert_int_equal(ph_place_drain(&picture->cluster, "n1", NULL, &plan), 0);
    assert_int_equal(plan.count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_not_equal(plan.items[i].to, "");
    assert_string_equal(plan.items[0].pool, "a");
    picture_plan_free(&plan);
    picture_free(picture);
}

static void together_and_apart_hold_within_a_plan(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_planned_move_list plan = {0};

    picture_node(picture, "n1", 0, 0, 0);
    picture_node(picture, "n2", 0, 0, 0);
    picture_node(picture, "n3", 0, 0, 0);
    struct ph_pool *a = picture_pool(picture, "a", "n1", 0, 0, 0);

    picture_pool(picture, "b", "n1", 0, 0, 0);
    struct ph_pool *c = picture_pool(picture, "c", "n1", 0, 0, 0);

    picture_pool(picture, "d", "n1", 0, 0, 0);
    assert_int_equal(ph_texts_add(&a->apart, "b"), 0);
    assert_int_equal(ph_texts_add(&c->together, "d"), 0);
    assert_int_equal(ph_place_drain(&picture->cluster, "n1", NULL, &plan), 0);
    assert_string_not_equal(plan.items[0].to, plan.items[1].to);
    assert_string_equal(plan.items[2].to, plan.items[3].to);
    picture_plan_free(&plan);
    picture_free(picture);
}

/* A random cluster: sizes, labels, rules, some nodes away. */
static struct picture *random_picture(uint64_t *seed)
{
    struct picture *picture = picture_new();
    int nodes = 2 + (int)picture_random(seed, 12), pools = (int)picture_random(seed, 60);
    char name[24], node[24];

    for (int n = 0; n < nodes; n++) {
        ph_text_format(name, sizeof name, "n%02d", n);
        bool unknown = picture_random(seed, 10) == 0;
        struct ph_node *row = picture_node(picture, name, unknown ? 0 : 16000,
            unknown ? 0 : 1024 * (4 + picture_random(seed, 12)), unknown ? 0 : 50000);

        ph_text_format(node, sizeof node, "rack=%c", (char)('a' + picture_random(seed, 3)));
        assert_int_equal(ph_texts_add(&row->labels, node), 0);
        if (picture_random(seed, 6) == 0) {
            row->admin = PH_ADMIN_MAINTENANCE;
            picture->nodes[n].available = false;
        }
        if (picture_random(seed, 8) == 0)
            ph_texts_fini(&row->drivers);
    }
    for (int p = 0; p < pools; p++) {
        ph_text_format(name, sizeof name, "p%03d", p);
        ph_text_format(node, sizeof node, "n%02d", picture_random(seed, (uint32_t)nodes));
        struct ph_pool *pool = picture_pool(picture, name, node, 100 * picture_random(seed, 20),
            128 * picture_random(seed, 16), 100 * picture_random(seed, 30));

        pool->priority = picture_random(seed, 3);
        if (picture_random(seed, 4) == 0)
            assert_int_equal(
                ph_texts_add(&pool->allow, picture_random(seed, 2) ? "rack=a" : "n01"), 0);
        if (picture_random(seed, 4) == 0)
            assert_int_equal(ph_texts_add(&pool->prefer, "rack=b"), 0);
        if (p > 0 && picture_random(seed, 3) == 0) {
            ph_text_format(node, sizeof node, "p%03d", picture_random(seed, (uint32_t)p));
            assert_int_equal(
                ph_texts_add(picture_random(seed, 2) ? &pool->apart : &pool->together, node), 0);
        }
    }
    for (size_t i = 0; i < picture->pool_count; i++)
        assert_int_equal(ph_place_relate(&picture->relations, &picture->pool_rows[i]), 0);
    picture->cluster.relations = picture_random(seed, 2) ? &picture->relations : NULL;
    return picture;
}

/* The rules again, written down plainly and not shared with the code under test. */
static bool apart_pair(const struct ph_pool *a, const struct ph_pool *b)
{
    return ph_texts_contain(&a->apart, b->name) || ph_texts_contain(&b->apart, a->name);
}

static bool may_be_on(const struct ph_pool *pool, const struct ph_place_node *node)
{
    bool allowed = pool->allow.count == 0;

    for (size_t i = 0; i < pool->allow.count; i++)
        allowed = allowed || ph_place_matches(node->node, pool->allow.items[i]);
    return allowed && node->available && ph_texts_contain(&node->node->drivers, pool->driver);
}

static void a_plan_breaks_no_rule(void **state)
{
    (void)state;
    size_t moved = 0, left = 0;

    for (uint64_t run = 1; run <= 400; run++) {
        uint64_t seed = run;
        struct picture *picture = random_picture(&seed);
        struct ph_planned_move_list plan = {0}, again = {0};
        const char *victim =
            picture->node_rows[picture_random(&seed, (uint32_t)picture->node_count)].name;

        assert_int_equal(ph_place_drain(&picture->cluster, victim, NULL, &plan), 0);
        assert_int_equal(ph_place_drain(&picture->cluster, victim, NULL, &again), 0);
        assert_int_equal(plan.count, again.count);
        for (size_t i = 0; i < plan.count; i++) {
            struct ph_planned_move *move = &plan.items[i];

            assert_string_equal(move->to, again.items[i].to); /* determinism */
            assert_string_equal(move->pool, again.items[i].pool);
            if (move->to[0] == '\0') {
                left++;
                continue;
            }
            moved++;
            struct ph_pool *pool = ph_map_get(&picture->pools, move->pool);
            struct ph_place_node *to = picture_place(picture, move->to);

            assert_string_not_equal(move->to, victim);
            assert_true(may_be_on(pool, to));
            ph_text_format(pool->node, sizeof pool->node, "%s", move->to);
            to->cpu_used += pool->cpu;
            to->memory_used_mib += pool->memory_mib;
            to->disk_used_mib += pool->disk_mib;
            to->pools++;
        }
        for (size_t i = 0; i < plan.count; i++) {
            if (plan.items[i].to[0] == '\0')
                continue;
            const struct ph_pool *pool = ph_map_get(&picture->pools, plan.items[i].pool);
            const struct ph_place_node *to = picture_place(picture, plan.items[i].to);

            /* Overfilled only where it was so before and the pool needs none of it. */
            assert_true(to->node->cpu == 0 || pool->cpu == 0 || to->cpu_used <= to->node->cpu);
            assert_true(to->node->memory_mib == 0 || pool->memory_mib == 0 ||
                        to->memory_used_mib <= to->node->memory_mib);
            assert_true(to->node->disk_mib == 0 || pool->disk_mib == 0 ||
                        to->disk_used_mib <= to->node->disk_mib);
            for (size_t p = 0; p < picture->pool_count; p++) {
                const struct ph_pool *other = &picture->pool_rows[p];

                if (other != pool && strcmp(other->node, pool->node) == 0)
                    assert_false(apart_pair(pool, other));
            }
        }
        picture_plan_free(&plan);
        picture_plan_free(&again);
        picture_free(picture);
    }
    assert_true(moved > 500 && left > 50); /* the runs do exercise both */
}

static void choice_and_explanation_agree(void **state)
{
    (void)state;
    size_t chosen = 0, none = 0;

    for (uint64_t run = 1; run <= 400; run++) {
        uint64_t seed = run * 7919;
        struct picture *picture = random_picture(&seed);
        struct ph_candidate_list list = {0};
        struct ph_pool *pool =
            picture_pool(picture, "zz", "", 1000, 1024 * (1 + picture_random(&seed, 8)), 1000);
        struct ph_place_question question = {.pool = pool};
        char first[PH_NAME_BYTES_MAX + 1];

        if (picture_random(&seed, 3) == 0)
            assert_int_equal(ph_texts_add(&pool->apart, "p000"), 0);
        ph_text_format(first, sizeof first, "%s", picture_choose(picture, &question));
        assert_string_equal(first, picture_choose(picture, &question));
        assert_int_equal(ph_place_explain(&picture->cluster, &question, &list), 0);
        assert_int_equal(list.count, picture->node_count);
        int marked = 0;

        for (size_t i = 0; i < list.count; i++) {
            const struct ph_candidate *candidate = &list.items[i];

            assert_string_equal(candidate->node, picture->node_rows[i].name);
            assert_true(candidate->reasons.count > 0);
            marked += candidate->chosen;
            if (candidate->chosen)
                assert_string_equal(candidate->node, first);
            if (candidate->possible)
                assert_true(may_be_on(pool, &picture->nodes[i]));
        }
        assert_int_equal(marked, first[0] != '\0');
        chosen += first[0] != '\0';
        none += first[0] == '\0';
        picture_explain_free(&list);
        picture_free(picture);
    }
    assert_true(chosen > 100 && none > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_target_is_piled_upon),
        cmocka_unit_test(copies_do_not_pile_up_either),
        cmocka_unit_test(priority_orders_the_moves),
        cmocka_unit_test(large_ones_are_tried_first_when_it_is_tight),
        cmocka_unit_test(together_and_apart_hold_within_a_plan),
        cmocka_unit_test(a_plan_breaks_no_rule),
        cmocka_unit_test(choice_and_explanation_agree),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
