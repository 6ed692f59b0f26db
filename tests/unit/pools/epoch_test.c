/* The fencing token, points and manifests, and what is found after a crash at each step. */
#include "tests/unit/pools/pools_test.h"

#include "agent/pools/directory.h"

#define N1 (&world.nodes[0])

static int setup(void **state)
{
    char top[PATH_MAX];
    (void)state;
    world_init("directory", make_top(top));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_fini();
    assert_int_equal(0, ph_tree_remove(world.top));
    return 0;
}

static void only_grows(void **state)
{
    static const struct {
        int64_t epoch;
        int expected;
        int64_t stored;
    } steps[] = {{3, 0, 3}, {3, 0, 3}, {2, -ESTALE, 3}, {0, -ESTALE, 3}, {9, 0, 9}, {8, -ESTALE, 9},
        {INT64_MAX, 0, INT64_MAX}};
    (void)state;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        struct ph_pool_context context = context_of(N1, steps[i].epoch);
        struct ph_pool_site site;
        struct ph_error error = {0};
        int rv = ph_site_open(&context, PH_SITE_MAKE, &site, &error);
        if (rv == 0) {
            assert_int_equal(0, ph_site_raise(&site, &error));
            ph_site_close(&site);
        }
        assert_int_equal(steps[i].expected, rv);
        assert_true(inspect(N1).epoch == steps[i].stored);
    }
}

static void names(void **state)
{
    static const char *const bad[] = {"", "..", ".", "a/b", "../x", "A", "a b", "\xff", "a\nb"};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct ph_pool pool;
        struct ph_pool_context context = context_of(N1, 1);
        struct ph_pool_data data;
        struct ph_pool_site site;
        memset(&pool, 0, sizeof pool);
        memcpy(pool.name, bad[i], strlen(bad[i]) + 1);
        context.pool = &pool;
        assert_int_equal(-EINVAL, ph_site_open(&context, PH_SITE_MAKE, &site, NULL));
        assert_int_equal(-EINVAL, world.driver->inspect(&context, &data));
    }
}

static void one_at_a_time(void **state)
{
    struct ph_pool_context context = context_of(N1, 1);
    struct ph_pool_site site, other;
    struct ph_error error = {0};
    (void)state;
    assert_int_equal(0, ph_site_open(&context, PH_SITE_MAKE, &site, &error));
    atomic_store(&N1->cancelled, true); /* else it would wait for its turn */
    assert_int_equal(-ECANCELED, ph_site_open(&context, PH_SITE_CHANGE, &other, &error));
    assert_int_equal(-ECANCELED, ph_site_open(&context, PH_SITE_SHARE, &other, &error));
    ph_site_close(&site);
    atomic_store(&N1->cancelled, false);
    assert_int_equal(0, ph_site_open(&context, PH_SITE_SHARE, &site, &error));
    assert_int_equal(0, ph_site_open(&context, PH_SITE_SHARE, &other, &error));
    ph_site_close(&site);
    ph_site_close(&other);
}

static void lineages(void **state)
{
    struct ph_pool_point_list list = {.count = 0}, longer;
    struct ph_pool_point point;
    (void)state;
    for (int64_t i = 1; i <= 40; i++) {
        memset(&longer, 0, sizeof longer);
        point = (struct ph_pool_point){.epoch = i, .sequence = 2 * i};
        assert_int_equal(0, ph_lineage_make(&longer, &point, &list));
        free(list.items);
        list = longer;
    }
    assert_int_equal(PH_LINEAGE_MAX, list.count);
    assert_true(ph_lineage_has(&list, 40, 80));
    assert_true(ph_lineage_has(&list, 40 - PH_LINEAGE_MAX + 1, 2 * (40 - PH_LINEAGE_MAX + 1)));
    assert_false(ph_lineage_has(&list, 40 - PH_LINEAGE_MAX, 2 * (40 - PH_LINEAGE_MAX)));
    assert_false(ph_lineage_has(&list, 40, 79));
    free(list.items);
}

static void make_slot(const char *slot, int64_t epoch, int64_t sequence)
{
    char relative[64], path[PATH_MAX];
    struct ph_pool_manifest manifest = {.epoch = epoch, .sequence = sequence, .files = 1};
    ph_text_format(manifest.pool, sizeof manifest.pool, "web");
    ph_text_format(manifest.driver, sizeof manifest.driver, "directory");
    ph_text_format(relative, sizeof relative, "copies/%s/data", slot);
    path_in(N1, relative, path);
    assert_int_equal(0, ph_directory_make(path));
    ph_text_format(relative, sizeof relative, "copies/%s/data/name", slot);
    path_in(N1, relative, path);
    write_file(path, slot);
    ph_text_format(relative, sizeof relative, "copies/%s/manifest", slot);
    path_in(N1, relative, path);
    if (sequence > 0)
        assert_int_equal(0, ph_manifest_write(path, &manifest, false));
    else
        write_file(path, "{\"pool\":\"web\",\"driver\":\"directory\",\"epoch\":");
}

/* Each state that a crash between two steps can leave: the newest complete slot is what counts. */
static void crash_states(void **state)
{
    static const struct {
        struct {
            const char *slot;
            int64_t epoch, sequence; /* sequence 0: a torn manifest */
        } slots[3];
        const char *expected;
    } cases[] = {
        {{{"current", 5, 1}, {"staging", 5, 2}}, "staging"},
        {{{"current", 5, 1}, {"staging", 5, 0}}, "current"},
        {{{"old", 5, 1}, {"staging", 5, 2}}, "staging"},
        {{{"old", 5, 1}, {"staging", 5, 0}}, "old"},
        {{{"old", 5, 1}, {"current", 5, 2}}, "current"},
        {{{"current", 5, 9}, {"released", 6, 1}}, "released"},
        {{{"released", 6, 1}, {"old", 5, 9}, {"staging", 6, 0}}, "released"},
        {{{"current", 5, 0}}, NULL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_pool_context context = context_of(N1, 5);
        struct ph_pool_site site;
        struct ph_error error = {0};
        assert_int_equal(0, ph_site_open(&context, PH_SITE_MAKE, &site, &error));
        assert_int_equal(0, ph_site_raise(&site, &error));
        ph_site_close(&site);
        for (size_t j = 0; j < 3 && cases[i].slots[j].slot != NULL; j++)
            make_slot(cases[i].slots[j].slot, cases[i].slots[j].epoch, cases[i].slots[j].sequence);
        assert_int_equal(cases[i].expected != NULL ? 0 : -ENOENT, activate(N1, 7, false));
        if (cases[i].expected != NULL) {
            assert_string_equal(cases[i].expected, get(N1, "data/name"));
            assert_false(has(N1, "copies"));
        }
        assert_int_equal(0, drop(N1, 7));
    }
}

/* data/ beside a newer copy: cut off after the copy was accepted and before data/ was set aside. */
static void data_beside_newer_copy(void **state)
{
    (void)state;
    must_activate(N1, 5, true);
    put(N1, "name", "owner of 5");
    make_slot("current", 6, 3);
    assert_point(N1, 6, 3, true);
    must_activate(N1, 7, false);
    assert_string_equal("current", get(N1, "data/name"));
    assert_string_equal("owner of 5", get(N1, "../web.diverged-e5/data/name"));
    /* An older copy beside data/ does not count. */
    make_slot("current", 6, 9);
    must_activate(N1, 8, false);
    assert_string_equal("current", get(N1, "data/name"));
    assert_false(has(N1, "../web.diverged-e7"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(only_grows),
        TEST(names),
        TEST(one_at_a_time),
        TEST(lineages),
        TEST(crash_states),
        TEST(data_beside_newer_copy),
    };
    alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
