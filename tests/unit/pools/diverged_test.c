/* What counts as set aside, and that nothing else is ever removed. */
#include "agent/pools/diverged.h"
#include "tests/unit/pools/pools_test.h"

static char top[PATH_MAX];

static int setup(void **state)
{
    (void)state;
    make_top(top);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    return ph_tree_remove(top);
}

static void make(const char *name, const char *manifest, bool data)
{
    char path[PATH_MAX];
    ph_text_format(path, sizeof path, "%s/pools/%s%s", top, name, data ? "/data" : "");
    for (char *at = path + strlen(top) + 1; *at != '\0'; at++) {
        if (*at == '/') {
            *at = '\0';
            (void)mkdir(path, 0700);
            *at = '/';
        }
    }
    assert_int_equal(0, mkdir(path, 0700));
    if (data) {
        ph_text_format(path, sizeof path, "%s/pools/%s/data/file", top, name);
        write_file(path, "text");
    }
    if (manifest != NULL) {
        ph_text_format(path, sizeof path, "%s/pools/%s/manifest", top, name);
        write_file(path, manifest);
    }
}

static bool there(const char *name)
{
    struct stat status;
    char path[PATH_MAX];
    ph_text_format(path, sizeof path, "%s/pools/%s", top, name);
    return lstat(path, &status) == 0;
}

#define MANIFEST(pool)                                                                             \
    "{\"pool\":\"" pool "\",\"driver\":\"directory\",\"epoch\":3,\"sequence\":1,\"as_of\":77}"

static void found(void **state)
{
    struct ph_diverged_list list = {.count = 0};
    (void)state;
    assert_int_equal(0, ph_diverged_find(top, &list));
    assert_int_equal(0, list.count);
    make("web.diverged-e3", MANIFEST("web"), true);
    make("web.diverged-e3-2", MANIFEST("web"), true);
    make("web.diverged-e4", MANIFEST("web"), false);  /* cut off */
    make("web.diverged-e5", NULL, true);              /* likewise */
    make("web.diverged-e6", MANIFEST("other"), true); /* of something else */
    make("web.diverged-ex", MANIFEST("web"), true);
    make("web.diverged-e7.diverged-e8", MANIFEST("web.diverged-e7"), true);
    make("web", NULL, true);
    assert_int_equal(0, ph_diverged_find(top, &list));
    assert_int_equal(3, list.count);
    assert_string_equal("web.diverged-e3", list.items[0].name);
    assert_string_equal("web", list.items[0].pool);
    assert_int_equal(3, list.items[0].epoch);
    assert_int_equal(77, list.items[0].since);
    assert_string_equal("web.diverged-e3-2", list.items[1].name);
    assert_string_equal("web.diverged-e7", list.items[2].pool);
    assert_int_equal(8, list.items[2].epoch);
    for (size_t i = 0; i < list.count; i++)
        ph_record_fini(&ph_record_diverged, &list.items[i]);
    free(list.items);
}

static void removed(void **state)
{
    static const char *const wrong[] = {"web", "../web", "web/../web.diverged-e3", "", ".",
        "web.diverged-e", "web.diverged-e3/data"};
    struct ph_error error = {.code = PH_OK};
    (void)state;
    make("web", NULL, true);
    make("web.diverged-e3", MANIFEST("web"), true);
    make("web.diverged-e4", NULL, true); /* a pool may be called so */
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(-EINVAL, ph_diverged_remove(top, wrong[i], &error));
    assert_int_equal(0, ph_diverged_remove(top, "web.diverged-e9", &error)); /* is gone */
    assert_true(ph_diverged_remove(top, "web.diverged-e4", &error) < 0);
    assert_non_null(strstr(error.message, "left alone"));
    assert_true(there("web.diverged-e4/data/file"));
    assert_int_equal(0, ph_diverged_remove(top, "web.diverged-e3", &error));
    assert_false(there("web.diverged-e3"));
    assert_true(there("web/data/file"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(found, setup, teardown),
        cmocka_unit_test_setup_teardown(removed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
