/* Why is it there, and why not elsewhere. */
#include "tests/unit/core/request_bed.h"

static const struct ph_explanation *explain(struct bed *bed, const char *pool)
{
    struct ph_named named = {0};

    ph_text_format(named.name, sizeof named.name, "%s", pool);
    return bed_get(bed, PH_MSG_POOL_EXPLAIN, &named, PH_MSG_EXPLANATION);
}

static void says(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static struct ph_pool pool_row(const char *name, const char *node)
{
    struct ph_pool row = {.state = node[0] != '\0' ? PH_POOL_ACTIVE : PH_POOL_UNASSIGNED,
        .epoch = 4,
        .created = true,
        .memory_mib = 4096,
        .revision = 1};

    ph_text_format(row.name, sizeof row.name, "%s", name);
    ph_text_format(row.driver, sizeof row.driver, "directory");
    ph_text_format(row.node, sizeof row.node, "%s", node);
    return row;
}

static void where_it_is_and_every_other_node(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_pool web = pool_row("web", "n1"), big = pool_row("big", "n2");
    struct ph_named missing = {.name = "mail"};

    bed_node(bed, "n1");
    bed_node(bed, "n2");
    bed_node(bed, "n3");
    assert_int_equal(ph_texts_add(&web.allow, "n1"), 0);
    assert_int_equal(ph_texts_add(&web.allow, "n2"), 0);
    big.memory_mib = 8000;
    bed_load(bed, &ph_record_pool, &big);
    bed_load(bed, &ph_record_pool, &web);
    bed_ready(bed);
    const struct ph_explanation *answer = explain(bed, "web");

    assert_string_equal(answer->pool, "web");
    assert_string_equal(answer->node, "n1");
    assert_int_equal(answer->state, PH_POOL_ACTIVE);
    says(answer->reason, "web is active on n1 under epoch 4");
    says(answer->reason, "Placement would choose n1 again");
    assert_int_equal(answer->candidates.count, 3);
    assert_true(answer->candidates.items[0].chosen);
    assert_true(answer->candidates.items[0].possible);
    assert_false(answer->candidates.items[1].possible);
    says(answer->candidates.items[1].reasons.items[0],
        "needs 4096 MiB memory, n2 has 192 of 8192 left");
    says(answer->candidates.items[2].reasons.items[0], "n3 is not among its allowed nodes");
    assert_int_equal(bed->effects.count, 1);
    bed_refused(bed, PH_MSG_POOL_EXPLAIN, &missing, "not_found", "name", "mail");
    bed_free(bed);
}

static void a_pool_with_no_place(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};

    bed_spec(&apply, "huge")->memory_mib = 9000;
    bed_apply(bed, &apply);
    const struct ph_explanation *answer = explain(bed, "huge");

    assert_string_equal(answer->node, "");
    says(answer->reason, "needs 9000 MiB memory");
    for (size_t i = 0; i < 3; i++) {
        assert_false(answer->candidates.items[i].possible);
        assert_false(answer->candidates.items[i].chosen);
        assert_true(answer->candidates.items[i].reasons.count > 0);
    }
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

static void a_stopped_pool(void **state)
{
    (void)state;
    struct bed *bed = bed_three();
    struct ph_apply apply = {0};

    bed_spec(&apply, "off")->desired = PH_DESIRED_INACTIVE;
    bed_apply(bed, &apply);
    says(explain(bed, "off")->reason, "poolherd pool start off");
    ph_record_fini(&ph_record_apply, &apply);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_it_is_and_every_other_node),
        cmocka_unit_test(a_pool_with_no_place),
        cmocka_unit_test(a_stopped_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
