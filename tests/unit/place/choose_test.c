/* One pool: hard rules with their sentences, soft rules in their order, explanations. */
#include "tests/unit/place/picture.h"

static struct picture *three(void)
{
    struct picture *picture = picture_new();

    picture_node(picture, "n1", 4000, 8192, 100000);
    picture_node(picture, "n2", 4000, 8192, 100000);
    picture_node(picture, "n3", 4000, 8192, 100000);
    return picture;
}

static void matches_names_and_labels(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_node *n1 = &picture->node_rows[0];

    assert_int_equal(ph_texts_add(&n1->labels, "rack=a"), 0);
    assert_int_equal(ph_texts_add(&n1->labels, "n2"), 0); /* not a label: no '=' */
    assert_true(ph_place_matches(n1, "n1"));
    assert_true(ph_place_matches(n1, "rack=a"));
    assert_false(ph_place_matches(n1, "rack=b"));
    assert_false(ph_place_matches(n1, "rack"));
    assert_false(ph_place_matches(n1, "n2"));
    picture_free(picture);
}

static void ties_break_by_name(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *pool = picture_pool(picture, "p", "", 1000, 512, 100);

    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "n1");
    picture_free(picture);
}

/* Each hard rule alone leaves n2 as the only other choice, and says why n1 and n3 are none. */
struct rule_case {
    const char *name;
    void (*break_it)(struct picture *picture, struct ph_pool *pool, const char *node,
        struct ph_place_question *question);
    const char *says; /* of n3 */
};

static void not_allowed(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)picture, (void)node, (void)question;
    if (pool->allow.count == 0)
        assert_int_equal(ph_texts_add(&pool->allow, "n2"), 0);
}
static void draining(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    struct ph_node *row = &picture->node_rows[picture_place(picture, node) - picture->nodes];

    row->admin = PH_ADMIN_DRAINING;
    picture_place(picture, node)->available = false;
}
static void lost(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    picture->node_rows[picture_place(picture, node) - picture->nodes].state = PH_NODE_LOST;
    picture_place(picture, node)->available = false;
}
static void without_driver(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    struct ph_node *row = &picture->node_rows[picture_place(picture, node) - picture->nodes];

    ph_texts_fini(&row->drivers);
    assert_int_equal(ph_texts_add(&row->drivers, "btrfs"), 0);
}
static const char *lacks_qemu(const void *context, const char *pool, const struct ph_node *node)
{
    (void)context;
    assert_string_equal(pool, "web");
    return strcmp(node->name, "n2") == 0 ? NULL : "qemu";
}
static void without_workload_driver(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question, (void)node;
    picture->cluster.lacks = lacks_qemu;
}
static void without_memory(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    picture_place(picture, node)->memory_used_mib = 6992;
}
static void without_cpu(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    picture_place(picture, node)->cpu_used = 3500;
}
static void without_disk(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)pool, (void)question;
    picture_place(picture, node)->disk_used_mib = 99500;
}
static void apart(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    (void)question;
    char name[8];

    ph_text_format(name, sizeof name, "db%s", node);
    picture_pool(picture, name, node, 0, 0, 0);
    assert_int_equal(ph_texts_add(&pool->apart, strcmp(node, "n1") == 0 ? "dbn1" : "dbn3"), 0);
}
static void apart_declared_by_the_other(struct picture *picture, struct ph_pool *pool,
    const char *node, struct ph_place_question *question)
{
    (void)question;
    char name[8];

    ph_text_format(name, sizeof name, "db%s", node);
    struct ph_pool *other = picture_pool(picture, name, node, 0, 0, 0);

    assert_int_equal(ph_texts_add(&other->apart, pool->name), 0);
}
static void data_elsewhere(struct picture *picture, struct ph_pool *pool, const char *node,
    struct ph_place_question *question)
{
    static const struct ph_place_copy copies[] = {{"n2", true, 1000}, {"n1", false, 0}};
    (void)picture, (void)pool, (void)node;

    question->copies = copies;
    question->copy_count = 2;
    question->data_needed = true;
}

static void hard_rules_say_why(void **state)
{
    (void)state;
    static const struct rule_case cases[] = {
        {"allow", not_allowed, "n3 is not among its allowed nodes (n2)"},
        {"draining", draining, "n3 is draining and gets no pools"},
        {"lost", lost, "n3 is lost"},
        {"driver", without_driver, "the driver directory does not work on n3 (it has btrfs)"},
        {"workload driver", without_workload_driver,
            "the driver qemu does not work on n3 (it has directory)"},
        {"memory", without_memory, "needs 4096 MiB memory, n3 has 1200 of 8192 left"},
        {"cpu", without_cpu, "needs 1000 thousandths of a processor, n3 has 500 of 4000 left"},
        {"disk", without_disk, "needs 2000 MiB disk, n3 has 500 of 100000 left"},
        {"apart", apart, "it must be apart from pool dbn3, which is on n3"},
        {"apart, reverse", apart_declared_by_the_other,
            "it must be apart from pool dbn3, which is on n3"},
        {"data", data_elsewhere, "n3 keeps no copy of its data"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (int with_relations = 0; with_relations < 2; with_relations++) {
            struct picture *picture = three();
            struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 4096, 2000);
            struct ph_place_question question = {.pool = pool};
            struct ph_candidate_list list = {0};

            cases[i].break_it(picture, pool, "n1", &question);
            cases[i].break_it(picture, pool, "n3", &question);
            for (size_t p = 0; with_relations && p < picture->pool_count; p++)
                assert_int_equal(ph_place_relate(&picture->relations, &picture->pool_rows[p]), 0);
            picture->cluster.relations = with_relations ? &picture->relations : NULL;

            assert_string_equal(picture_choose(picture, &question), "n2");
            assert_int_equal(ph_place_explain(&picture->cluster, &question, &list), 0);
            assert_int_equal(list.count, 3);
            assert_false(list.items[0].possible);
            assert_true(list.items[1].possible);
            assert_true(list.items[1].chosen);
            assert_false(list.items[2].possible);
            assert_string_equal(list.items[2].reasons.items[0], cases[i].says);

            /* And when n2 goes too, the sentence still names a rule. */
            question.from = "n2";
            assert_string_equal(picture_choose(picture, &question), "");
            assert_non_null(strstr(picture->reason, "no node can take it: "));
            picture_explain_free(&list);
            picture_free(picture);
        }
    }
}

static void only_the_node_asked_for(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *pool = picture_pool(picture, "web", "n1", 1000, 4096, 2000);
    struct ph_place_question question = {.pool = pool, .from = "n1", .only = "n3"};

    assert_string_equal(picture_choose(picture, &question), "n3");
    picture_place(picture, "n3")->memory_used_mib = 8000;
    assert_string_equal(picture_choose(picture, &question), "");
    assert_non_null(strstr(picture->reason, "needs 4096 MiB memory, n3 has 192 of 8192 left"));
    question.only = "n1";
    assert_string_equal(picture_choose(picture, &question), "");
    question.only = "n9";
    assert_string_equal(picture_choose(picture, &question), "");
    assert_string_equal(picture->reason, "there is no node n9");
    picture_free(picture);
}

static void no_nodes_no_choice(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 4096, 2000);

    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "");
    assert_string_equal(picture->reason, "there is no node");
    picture_free(picture);
}

static void the_last_hope_is_the_nearest(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 4096, 2000);

    lost(picture, pool, "n1", NULL);
    without_memory(picture, pool, "n2", NULL);
    without_driver(picture, pool, "n3", NULL);
    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "");
    assert_string_equal(picture->reason,
        "no node can take it: needs 4096 MiB memory, n2 has 1200 of 8192 left; others: "
        "1 not available, 1 without the driver");
    picture_free(picture);
}

static void preferred_then_together_then_copy_then_balance(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_place_copy copies[] = {{"n2", true, 3000}};
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 1024, 2000);
    struct ph_place_question question = {.pool = pool, .copies = copies, .copy_count = 1};

    /* Balance alone: n1 has a pool, so not n1. */
    picture_pool(picture, "a", "n1", 1000, 1024, 2000);
    picture_pool(picture, "b", "n2", 500, 512, 1000);
    question.copy_count = 0;
    assert_string_equal(picture_choose(picture, &question), "n3");
    assert_non_null(strstr(picture->reason, "most evenly"));
    /* A copy beats balance. */
    question.copy_count = 1;
    assert_string_equal(picture_choose(picture, &question), "n2");
    assert_non_null(strstr(picture->reason, "complete copy (3.0 s old)"));
    /* Together beats a copy; the other's word counts as well as its own. */
    assert_int_equal(ph_texts_add(&picture->pool_rows[1].together, "web"), 0);
    assert_string_equal(picture_choose(picture, &question), "n1");
    /* Preferred beats together, the first best. */
    assert_int_equal(ph_texts_add(&pool->prefer, "rack=b"), 0);
    assert_int_equal(ph_texts_add(&pool->prefer, "n2"), 0);
    assert_string_equal(picture_choose(picture, &question), "n2");
    assert_int_equal(ph_texts_add(&picture->node_rows[2].labels, "rack=b"), 0);
    assert_string_equal(picture_choose(picture, &question), "n3");
    assert_non_null(strstr(picture->reason, "n3 is preferred (rack=b)"));
    picture_free(picture);
}

static void a_takeover_takes_the_freshest(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_place_copy copies[] = {{"n2", true, 3000}, {"n3", true, 2999}, {"n1", false, 0}};
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 1024, 2000);
    struct ph_place_question question = {
        .pool = pool, .copies = copies, .copy_count = 3, .data_needed = true};

    assert_int_equal(ph_texts_add(&pool->prefer, "n2"), 0);
    assert_string_equal(picture_choose(picture, &question), "n3");
    assert_non_null(strstr(picture->reason, "freshest"));
    copies[0].age_ms = 2999; /* equally fresh: then the preferred one */
    assert_string_equal(picture_choose(picture, &question), "n2");
    picture_free(picture);
}

static void a_crowded_copy_does_not_draw(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_place_copy copies[] = {{"n1", true, 3000}};
    struct ph_pool *pool = picture_pool(picture, "web", "", 400, 1024, 2000);
    struct ph_place_question question = {.pool = pool, .copies = copies, .copy_count = 1};

    picture_pool(picture, "a", "n1", 1000, 2048, 2000);
    picture_pool(picture, "b", "n1", 1000, 2048, 2000);
    assert_string_not_equal(picture_choose(picture, &question), "n1");
    picture_free(picture);
}

static void unknown_capacity_is_no_limit_and_said(void **state)
{
    (void)state;
    struct picture *picture = picture_new();
    struct ph_candidate_list list = {0};

    picture_node(picture, "n1", 0, 0, 0);
    picture_node(picture, "n2", 0, 0, 0);
    picture_pool(picture, "a", "n1", 9000, 900000, 1);
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000000, 1000000000, 1000000000);
    struct ph_place_question question = {.pool = pool};

    assert_string_equal(picture_choose(picture, &question), "n2");
    assert_int_equal(ph_place_explain(&picture->cluster, &question, &list), 0);
    assert_true(list.items[0].possible && list.items[1].possible);
    bool said = false;

    for (size_t i = 0; i < list.items[1].reasons.count; i++)
        said =
            said || strstr(list.items[1].reasons.items[i], "did not say how much memory") != NULL;
    assert_true(said);
    picture_explain_free(&list);
    picture_free(picture);
}

static void explains_where_it_is(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *pool = picture_pool(picture, "web", "n2", 4000, 8192, 2000);
    struct ph_candidate_list list = {0};

    /* It fills n2, which is no reason against n2; the node may even be draining. */
    draining(picture, pool, "n2", NULL);
    assert_int_equal(
        ph_place_explain(&picture->cluster, &(struct ph_place_question){.pool = pool}, &list), 0);
    assert_true(list.items[1].chosen && list.items[1].possible);
    assert_true(list.items[0].possible && !list.items[0].chosen);
    /* Filled again: the old answer is replaced. */
    assert_int_equal(
        ph_place_explain(&picture->cluster, &(struct ph_place_question){.pool = pool}, &list), 0);
    assert_int_equal(list.count, 3);
    picture_explain_free(&list);
    picture_free(picture);
}

static void moves_under_way_count_at_both_ends(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 1024, 2000);
    static char n2[] = "n2";

    picture_pool(picture, "db", "n1", 0, 0, 0);
    picture_pool(picture, "heavy", "n3", 3000, 6000, 50000); /* n3 is the last to be chosen */
    assert_int_equal(ph_texts_add(&pool->apart, "db"), 0);
    assert_int_equal(ph_map_put(&picture->targets, "db", n2), 0);
    picture->cluster.targets = &picture->targets;
    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "n3");
    /* Together is for where it will be, not for where it leaves. */
    ph_texts_fini(&pool->apart);
    assert_int_equal(ph_texts_add(&pool->together, "db"), 0);
    picture_place(picture, "n2")->cpu_used = 2000;
    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "n2");
    picture_free(picture);
}

static void a_copy_has_its_disk_already(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_place_copy copies[] = {{"n2", true, 3000}};
    struct ph_pool *pool = picture_pool(picture, "web", "", 1000, 1024, 2000);

    for (int n = 0; n < 3; n++)
        picture->nodes[n].disk_used_mib = 99000;
    assert_string_equal(picture_choose(picture, &(struct ph_place_question){.pool = pool}), "");
    assert_string_equal(
        picture_choose(
            picture, &(struct ph_place_question){.pool = pool, .copies = copies, .copy_count = 1}),
        "n2");
    picture_free(picture);
}

/* The scores of a pool that is on a node are those it would have if it were on none. */
static void scores_do_not_depend_on_where_it_is(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_candidate_list assigned = {0}, unassigned = {0};

    picture_pool(picture, "a", "n1", 700, 1024, 2000);
    picture_pool(picture, "b", "n2", 300, 2048, 1000);
    struct ph_pool *pool = picture_pool(picture, "web", "n2", 1000, 1024, 2000);
    struct ph_place_question question = {.pool = pool};

    assert_int_equal(ph_place_explain(&picture->cluster, &question, &assigned), 0);
    pool->node[0] = '\0';
    struct ph_place_node *n2 = picture_place(picture, "n2");

    n2->cpu_used -= 1000;
    n2->memory_used_mib -= 1024;
    n2->disk_used_mib -= 2000;
    n2->pools--;
    assert_int_equal(ph_place_explain(&picture->cluster, &question, &unassigned), 0);
    for (size_t i = 0; i < 3; i++) {
        int64_t difference = assigned.items[i].score - unassigned.items[i].score;

        assert_true(difference > -10 && difference < 10); /* of 1e10: rounding */
    }
    picture_explain_free(&assigned);
    picture_explain_free(&unassigned);
    picture_free(picture);
}

static void relations_come_and_go(void **state)
{
    (void)state;
    struct picture *picture = three();
    struct ph_pool *a = picture_pool(picture, "a", "n1", 0, 0, 0);
    struct ph_pool *b = picture_pool(picture, "b", "n1", 0, 0, 0);

    assert_int_equal(ph_texts_add(&a->apart, "c"), 0);
    assert_int_equal(ph_texts_add(&b->apart, "c"), 0);
    assert_int_equal(ph_texts_add(&b->together, "a"), 0);
    assert_int_equal(ph_place_relate(&picture->relations, a), 0);
    assert_int_equal(ph_place_relate(&picture->relations, a), 0); /* again: no change */
    assert_int_equal(ph_place_relate(&picture->relations, b), 0);
    struct ph_place_relation *c = ph_map_get(&picture->relations, "c");

    assert_non_null(c);
    assert_int_equal(c->apart_by.count, 2);
    ph_place_unrelate(&picture->relations, a);
    assert_int_equal(c->apart_by.count, 1);
    assert_string_equal(c->apart_by.items[0], "b");
    ph_place_unrelate(&picture->relations, b);
    assert_int_equal(picture->relations.count, 0);
    picture_free(picture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_names_and_labels),
        cmocka_unit_test(ties_break_by_name),
        cmocka_unit_test(hard_rules_say_why),
        cmocka_unit_test(only_the_node_asked_for),
        cmocka_unit_test(no_nodes_no_choice),
        cmocka_unit_test(the_last_hope_is_the_nearest),
        cmocka_unit_test(preferred_then_together_then_copy_then_balance),
        cmocka_unit_test(a_takeover_takes_the_freshest),
        cmocka_unit_test(a_crowded_copy_does_not_draw),
        cmocka_unit_test(unknown_capacity_is_no_limit_and_said),
        cmocka_unit_test(explains_where_it_is),
        cmocka_unit_test(moves_under_way_count_at_both_ends),
        cmocka_unit_test(a_copy_has_its_disk_already),
        cmocka_unit_test(scores_do_not_depend_on_where_it_is),
        cmocka_unit_test(relations_come_and_go),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
