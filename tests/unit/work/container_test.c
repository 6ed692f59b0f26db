/* config.json: what a container gets and what it does not. */
#include "tests/unit/guard/fixture.h"
#include <jansson.h>
#include "agent/work/container.h"

static json_t *make(bool root, enum ph_container_network network)
{
    struct ph_vm vm = {.name = "box"};
    struct ph_container container = {.uid = root ? 0 : 1000, .network = network};
    struct ph_texts sources = {0, NULL};
    char program[] = "/bin/app", word[] = "a b", mark[] = "POOLHERD_MARK=m", home[] = "HOME=/srv",
         secret[] = "LD_PRELOAD=x";
    char *argv[] = {program, word, NULL}, *environment[] = {mark, home, secret, NULL};
    const struct ph_command command = {argv, environment, NULL};
    char *text = NULL;
    assert_int_equal(ph_texts_add(&vm.environment, "A=b"), 0);
    assert_int_equal(ph_texts_add(&container.mounts, "data:/srv:ro"), 0);
    assert_int_equal(ph_texts_add(&sources, "/pool/data"), 0);
    assert_int_equal(
        ph_container_config(&vm, &container, &command, "/pool/box.root", &sources, &text), 0);
    json_t *config = json_loads(text, 0, NULL);
    assert_non_null(config);
    free(text);
    ph_texts_fini(&vm.environment);
    ph_texts_fini(&container.mounts);
    ph_texts_fini(&sources);
    return config;
}

static bool holds(const json_t *array, const char *word)
{
    size_t i;
    json_t *item;
    json_array_foreach(array, i, item)
    {
        const char *type = json_string_value(json_object_get(item, "type"));
        if (strcmp(json_is_string(item) ? json_string_value(item) : type, word) == 0)
            return true;
    }
    return false;
}

static void says_what_was_declared(void **state)
{
    json_t *config = make(true, PH_NETWORK_HOST);
    json_t *process = json_object_get(config, "process");
    json_t *environment = json_object_get(process, "env");
    json_t *mounts = json_object_get(config, "mounts");
    json_t *mount = json_array_get(mounts, json_array_size(mounts) - 1);
    (void)state;
    assert_string_equal(
        json_string_value(json_array_get(json_object_get(process, "args"), 1)), "a b");
    assert_true(holds(environment, "POOLHERD_MARK=m"));
    assert_true(holds(environment, "A=b"));
    assert_true(holds(environment, "HOME=/"));
    assert_false(holds(environment, "HOME=/srv"));
    assert_false(holds(environment, "LD_PRELOAD=x"));
    assert_string_equal(json_string_value(json_object_get(config, "hostname")), "box");
    assert_string_equal(json_string_value(json_object_get(mount, "source")), "/pool/data");
    assert_true(holds(json_object_get(mount, "options"), "ro"));
    assert_true(holds(json_object_get(mount, "options"), "nodev"));
    json_decref(config);
}

static void gives_no_more_than_it_needs(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        json_t *config = make(i == 0, i == 0 ? PH_NETWORK_HOST : PH_NETWORK_NONE);
        json_t *process = json_object_get(config, "process");
        json_t *capabilities = json_object_get(process, "capabilities");
        json_t *namespaces = json_object_get(json_object_get(config, "linux"), "namespaces");
        assert_true(json_is_true(json_object_get(process, "noNewPrivileges")));
        assert_true(holds(json_object_get(capabilities, "bounding"), "CAP_SETUID"));
        assert_false(holds(json_object_get(capabilities, "bounding"), "CAP_SYS_ADMIN"));
        assert_false(holds(json_object_get(capabilities, "bounding"), "CAP_MKNOD"));
        assert_int_equal(json_array_size(json_object_get(capabilities, "effective")) > 0, i == 0);
        assert_true(holds(namespaces, "pid"));
        assert_true(holds(namespaces, "mount"));
        assert_int_equal(holds(namespaces, "network"), i == 1);
        json_decref(config);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(says_what_was_declared), cmocka_unit_test(gives_no_more_than_it_needs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
