/* What containers and resources may say of themselves. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>
#include "proto/container.h"
#include "proto/path.h"
#include "proto/resource.h"

static void paths_stay_in_the_pool(void **state)
{
    static const struct {
        const char *path;
        bool inside;
    } cases[] = {{"a", true}, {"a/b.c", true}, {"..a/b", true}, {"/a", false}, {"..", false},
        {"a/../b", false}, {"a/..", false}, {"./a", false}, {"a//b", false}, {"a/", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (ph_path_in_pool(cases[i].path) != cases[i].inside)
            fail_msg("%s", cases[i].path);
}

static void mounts_are_taken_apart(void **state)
{
    static const char *const wrong[] = {"", "a", ":", "a:", ":/b", "a:b", "a:/", "/a:/b", "../a:/b",
        "a:/b/../c", "a:/b:", "a:/b:rx", "a:/b:ro:ro", "a\n:/b"};
    struct ph_container_mount mount = {.read_only = true};
    (void)state;
    assert_true(ph_container_mount_parse("a/b:/c", &mount));
    assert_string_equal(mount.source, "a/b");
    assert_string_equal(mount.target, "/c");
    assert_false(mount.read_only);
    assert_true(ph_container_mount_parse("a:/c/d:ro", &mount));
    assert_string_equal(mount.target, "/c/d");
    assert_true(mount.read_only);
    assert_true(ph_container_mount_parse("a:/c/d:rw", &mount));
    assert_false(mount.read_only);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (ph_container_mount_parse(wrong[i], &mount))
            fail_msg("\"%s\" is taken", wrong[i]);
}

static void containers_are_checked(void **state)
{
    static const struct {
        const char *json, *field;
    } cases[] = {{"{}", NULL}, {"{\"root\":\"web.root\",\"directory\":\"/\"}", NULL},
        {"{\"root\":\"/srv\"}", "root"}, {"{\"directory\":\"srv\"}", "directory"},
        {"{\"directory\":\"/a/../b\"}", "directory"}, {"{\"hostname\":\"-x\"}", "hostname"},
        {"{\"hostname\":\"a b\"}", "hostname"}, {"{\"mounts\":[\"a:/b\",\"c\"]}", "mounts[1]"},
        {"{\"mounts\":[\"a:/b\",\"c:/b:ro\"]}", "mounts[1]"}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        struct ph_vm vm = {.container = text};
        struct ph_container container = {0};
        struct ph_error error = {0};
        ph_text_format(text, sizeof text, "%s", cases[i].json);
        assert_int_equal(ph_container_of(&vm, &container, &error), 0);
        assert_int_equal(
            ph_container_check(&container, &error), cases[i].field == NULL ? 0 : -EINVAL);
        if (cases[i].field != NULL)
            assert_string_equal(error.field, cases[i].field);
        ph_record_fini(&ph_record_container, &container);
    }
}

static void resources_are_checked(void **state)
{
    static const struct {
        const char *json, *field;
    } cases[] = {
        {"{\"agent\":\"ocf:heartbeat:IPaddr2\",\"parameters\":[\"ip=1\",\"n=a=b\"]}", NULL},
        {"{}", "agent"}, {"{\"agent\":\"IPaddr2\"}", "agent"},
        {"{\"agent\":\"ocf:heartbeat\"}", "agent"}, {"{\"agent\":\"ocf::x\"}", "agent"},
        {"{\"agent\":\"ocf:../x:y\"}", "agent"}, {"{\"agent\":\"ocf:x:y/z\"}", "agent"},
        {"{\"agent\":\"ocf:x:y\",\"parameters\":[\"ip\"]}", "parameters[0]"},
        {"{\"agent\":\"ocf:x:y\",\"parameters\":[\"=ip\"]}", "parameters[0]"},
        {"{\"agent\":\"ocf:x:y\",\"parameters\":[\"a=b\\nc\"]}", "parameters[0]"},
        {"{\"agent\":\"ocf:x:y\",\"parameters\":[\"a=b\",\"a=c\"]}", "parameters[1]"}};
    struct ph_vm none = {.ocf = NULL};
    struct ph_resource resource = {0};
    struct ph_error error = {0};
    (void)state;
    assert_int_equal(ph_resource_of(&none, &resource, &error), -EINVAL);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[200];
        struct ph_vm vm = {.ocf = text};
        ph_text_format(text, sizeof text, "%s", cases[i].json);
        memset(&resource, 0, sizeof resource);
        if (ph_resource_of(&vm, &resource, &error) != 0) {
            /* A line break is refused where texts are read. */
            assert_non_null(cases[i].field);
            continue;
        }
        assert_int_equal(
            ph_resource_check(&resource, &error), cases[i].field == NULL ? 0 : -EINVAL);
        if (cases[i].field != NULL)
            assert_string_equal(error.field, cases[i].field);
        ph_record_fini(&ph_record_resource, &resource);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(paths_stay_in_the_pool),
        cmocka_unit_test(mounts_are_taken_apart), cmocka_unit_test(containers_are_checked),
        cmocka_unit_test(resources_are_checked)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
