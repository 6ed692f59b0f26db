#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/file.h"
#include "proto/catalogue.h"
#include "proto/codec.h"
#include "proto/yaml.h"

#define POOL "pools:\n- name: a\n  driver: d\n"

/* Reads text as a pool.apply; its JSON, or NULL with *error. */
static char *read_apply(const char *text, size_t bytes, struct ph_error *error)
{
    struct ph_apply apply = {.prune = true};
    struct ph_yaml *root = NULL;
    char *json = NULL;

    int rv = ph_yaml_parse(text, bytes, "f.yaml", &root, error);
    if (rv == 0)
        rv = ph_yaml_decode(&ph_record_apply, root, "f.yaml", &apply, error);
    if (rv == 0) {
        assert_int_equal(ph_encode(&ph_record_apply, &apply, PH_ENCODE_WIRE, &json, NULL), 0);
    } else {
        assert_int_equal(rv, -EINVAL);
        assert_true(apply.prune && apply.pools.count == 0); /* as it was */
    }
    ph_yaml_destroy(&root);
    assert_null(root);
    ph_record_fini(&ph_record_apply, &apply);
    return json;
}

static void accepted(void **state)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"", "{\"prune\":true}"},
        {"# only a comment\n", "{\"prune\":true}"},
        {"---\n", "{\"prune\":true}"},
        {"{}", "{\"prune\":true}"},
        {"prune: false", "{}"},
        {"pools:", "{\"prune\":true}"},
        {"pools: ~\nprune: false", "{}"},
        {POOL "  failback: yes\n  copies: 7\n  priority: -5\nprune: false",
            "{\"pools\":[{\"name\":\"a\",\"driver\":\"d\",\"priority\":-5,\"copies\":7,"
            "\"failback\":\"yes\"}]}"},
        {POOL "  failback: \"no\"\nprune: false",
            "{\"pools\":[{\"name\":\"a\",\"driver\":\"d\"}]}"},
        {"{\"pools\":[{\"name\":\"a\",\n\t\t\"driver\":\"d\",\"copies\":1}],\"prune\":false}",
            "{\"pools\":[{\"name\":\"a\",\"driver\":\"d\",\"copies\":1}]}"},
        {POOL "  vms:\n  - name: v\n    kind: process\n    command: [sh, -c, \"a: b\", 8080, true, "
              "'']\nprune: false",
            "{\"pools\":[{\"name\":\"a\",\"driver\":\"d\",\"vms\":[{\"name\":\"v\",\"kind\":"
            "\"process\","
            "\"command\":[\"sh\",\"-c\",\"a: b\",\"8080\",\"true\",\"\"]}]}]}"},
        {POOL
            "  failback_at: \"23:59\"\n  failback: at\n  allow:\n  - n1\n  - zone=b\nprune: false",
            "{\"pools\":[{\"name\":\"a\",\"driver\":\"d\",\"failback\":\"at\",\"failback_at\":\"23:"
            "59\",\"allow\":[\"n1\",\"zone=b\"]}]}"},
        {"pools:\n- name: \"1\"\n  driver: 007\nprune: false",
            "{\"pools\":[{\"name\":\"1\",\"driver\":\"007\"}]}"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_error error = {.message = ""};
        char *json = read_apply(cases[i].text, strlen(cases[i].text), &error);
        if (json == NULL)
            fail_msg("%s: %s: %s", cases[i].text, error.field, error.message);
        assert_string_equal(json, cases[i].json);
        free(json);
    }
}

static void refused(void **state)
{
    static const struct {
        const char *text, *field, *says;
    } cases[] = {
        {"[", "f.yaml:1", "not YAML"},
        {"a: b: c", "f.yaml:1", "not YAML"},
        {"x:\n\t- a", "f.yaml:2", "not YAML"},
        {"\xff", "f.yaml:1", "UTF-8"},
        {"- a", "f.yaml:1", "list; it must be a mapping"},
        {"text", "f.yaml:1", "\"text\" is not a mapping"},
        {"prune: true\nprune: false", "f.yaml:2", "line 1 has it too"},
        {"a: &x 1", "f.yaml:1", "anchors"},
        {"a: *x", "f.yaml:1", "aliases"},
        {"a: !!int 1", "f.yaml:1", "tags"},
        {"! a: 1", "f.yaml:1", "tags"},
        {"%TAG ! tag:x:\n---\na: 1", "f.yaml:1", "%TAG"},
        {"a: 1\n---\nb: 2", "f.yaml:2", "second document"},
        {"? [a]\n: b", "f.yaml:1", "a key must be a plain word"},
        {"? {a: b}\n: b", "f.yaml:1", "a key must be a plain word"},
        {"a: \"x\\0y\"", "f.yaml:1", "NUL"},
        {"<<: {prune: true}", "f.yaml:1",
            "\"<<\" is not known here; known are pools, dry_run, prune"},
        {"pruen: true", "f.yaml:1", "did you mean \"prune\"?"},
        {"pools:\n- name: a\n  drivers: d", "f.yaml:3: pools[0]", "did you mean \"driver\"?"},
        {"pools:\n- name: a\n  \"co\\npies\": d", "f.yaml:3: pools[0]", "\"co\\x0apies\""},
        {"pools:\n- name: a\n", "f.yaml:2: pools[0]", "driver is missing"},
        {"pools:\n- name:\n  driver: d\n", "f.yaml:2: pools[0].name", "empty"},
        {"pools:\n- name: A\n  driver: d\n", "f.yaml:2: pools[0].name", "\"A\" is not a name"},
        {"pools: {a: b}", "f.yaml:1: pools", "is a mapping; it must be a list"},
        {"pools: word", "f.yaml:1: pools", "\"word\" is not a list"},
        {"pools: [word]", "f.yaml:1: pools[0]", "\"word\" is not a mapping"},
        {"prune: yes", "f.yaml:1: prune", "\"yes\" is not true or false"},
        {"prune: \"true\"", "f.yaml:1: prune", "quoted"},
        {"prune: [true]", "f.yaml:1: prune", "is a list"},
        {"prune:", "f.yaml:1: prune", "no value"},
        {POOL "  copies: 1.0", "f.yaml:4: pools[0].copies",
            "\"1.0\" is not a whole number from 0 to 7"},
        {POOL "  copies: \"1\"", "f.yaml:4: pools[0].copies", "quoted"},
        {POOL "  copies: 010", "f.yaml:4: pools[0].copies", "\"010\""},
        {POOL "  copies: 0x1", "f.yaml:4: pools[0].copies", "\"0x1\""},
        {POOL "  copies: 1_0", "f.yaml:4: pools[0].copies", "\"1_0\""},
        {POOL "  copies: -1", "f.yaml:4: pools[0].copies", "0 to 7"},
        {POOL "  copies: -", "f.yaml:4", "not YAML"},
        {POOL "  copies: --1", "f.yaml:4: pools[0].copies", "\"--1\""},
        {POOL "  copies: 99999999999999999999", "f.yaml:4: pools[0].copies", "whole number"},
        {POOL "  failback: true", "f.yaml:4: pools[0].failback",
            "\"true\" is not one of no, yes or at"},
        {POOL "  failback: [yes]", "f.yaml:4: pools[0].failback", "is a list"},
        {POOL "  failback_at: 23:59:59", "f.yaml:4: pools[0].failback_at", "8 bytes"},
        {POOL "  failback_at: {a: b}", "f.yaml:4: pools[0].failback_at", "must be a string"},
        {POOL "  allow: n1", "f.yaml:4: pools[0].allow", "\"n1\" is not a list"},
        {POOL "  allow: [[n1]]", "f.yaml:4: pools[0].allow[0]", "is a list; it must be a string"},
        {POOL "  allow: [n1, ~]", "f.yaml:4: pools[0].allow[1]", "write \"\""},
        {POOL "  vms:\n  - name: v\n    kind: process\n    restart: often",
            "f.yaml:7: pools[0].vms[0].restart", "always, on-failure or never"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_error error = {.message = ""};
        char *json = read_apply(cases[i].text, strlen(cases[i].text), &error);
        bool path_right = strncmp(error.field, cases[i].field, strlen(cases[i].field)) == 0;
        if (json != NULL || !path_right || strstr(error.message, cases[i].says) == NULL)
            fail_msg("%s: [%s] %s", cases[i].text, error.field, error.message);
        assert_int_equal(error.code, PH_BAD_INPUT);
    }
}

static char *repeat(const char *piece, size_t times)
{
    size_t bytes = strlen(piece);
    char *text = malloc(bytes * times + 1);

    assert_non_null(text);
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * bytes, piece, bytes);
    text[bytes * times] = '\0';
    return text;
}

static void bounded(void **state)
{
    static const struct {
        const char *piece;
        size_t times;
        const char *says;
    } cases[] = {
        {"[", 100000, "nested more than 32"},
        {"{a: ", 100000, "nested more than 32"},
        {"- ", 100000, "nested more than 32"},
        {"? ", 1000, "a key must be a plain word"},
        {"- a\n", 4100000, "more than 4000000 values"},
    };
    struct ph_error error;
    struct ph_yaml *root;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char *text = repeat(cases[i].piece, cases[i].times);
        assert_int_equal(ph_yaml_parse(text, strlen(text), "f", &root, &error), -EINVAL);
        if (strstr(error.message, cases[i].says) == NULL)
            fail_msg("%s: %s", cases[i].piece, error.message);
        assert_null(root);
        free(text);
    }
    char *keys = malloc(40000), *at = keys;
    for (int i = 0; i < 1100; i++)
        at += sprintf(at, "key%d: 1\n", i);
    assert_int_equal(ph_yaml_parse(keys, strlen(keys), "f", &root, &error), -EINVAL);
    assert_string_equal(error.field, "f:1025");
    assert_non_null(strstr(error.message, "more than 1024 keys"));
    free(keys);
}

static void tree(void **state)
{
    static const char text[] = "a: 1\nb:\n  - \"x\"\n  - y\n";
    static const char *const known[] = {"a", "c"};
    char long_name[400];
    struct ph_error error;
    struct ph_yaml *root;

    (void)state;
    assert_int_equal(ph_yaml_parse(text, strlen(text), "f", &root, &error), 0);
    const struct ph_yaml *b = ph_yaml_get(root, "b");
    assert_non_null(b);
    assert_null(ph_yaml_get(root, "z"));
    assert_null(ph_yaml_get(b, "z")); /* not a mapping */
    assert_int_equal(b->kind, PH_YAML_SEQUENCE);
    assert_int_equal(b->count, 2);
    assert_true(b->items[0]->quoted);
    assert_false(b->items[1]->quoted);
    assert_int_equal(b->items[1]->line, 4);
    assert_int_equal(b->items[1]->column, 5);
    assert_int_equal(ph_yaml_check_keys(root, known, 2, "f", "", &error), -EINVAL);
    assert_string_equal(error.field, "f:2");
    assert_int_equal(ph_yaml_fail(b, "f", "pools[0].x", &error, "is %d", 7), -EINVAL);
    assert_string_equal(error.field, "f:3: pools[0].x");
    assert_string_equal(error.message, "is 7");
    memset(long_name, 'd', sizeof long_name - 1);
    strcpy(long_name + sizeof long_name - 12, "/pools.yaml");
    ph_yaml_fail(b, long_name, "pools[0].x", &error, "x");
    assert_non_null(strstr(error.field, "/pools.yaml:3: pools[0].x"));
    ph_yaml_destroy(&root);
    ph_yaml_destroy(&root); /* harmless */
}

static void files(void **state)
{
    char name[] = "/tmp/poolherd-yaml-XXXXXX";
    struct ph_error error;
    struct ph_yaml *root;

    (void)state;
    assert_int_equal(ph_yaml_read("/no/such/file", &root, &error), -ENOENT);
    assert_int_equal(error.code, PH_NOT_FOUND);
    assert_int_equal(ph_yaml_read("/", &root, &error), -EISDIR);
    int fd = mkstemp(name);
    assert_int_equal(write(fd, "a: [1]\n", 7), 7);
    assert_int_equal(ph_yaml_read(name, &root, &error), 0);
    ph_yaml_destroy(&root);
    assert_int_equal(ftruncate(fd, (off_t)PH_MESSAGE_BYTES_MAX + 1), 0);
    assert_int_equal(ph_yaml_read(name, &root, &error), -EINVAL);
    assert_non_null(strstr(error.message, "larger than"));
    /* "-" is stdin. */
    assert_int_equal(ftruncate(fd, 7), 0);
    int saved = dup(STDIN_FILENO);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    dup2(fd, STDIN_FILENO);
    assert_int_equal(ph_yaml_read("-", &root, &error), 0);
    assert_int_equal(root->count, 1);
    ph_yaml_destroy(&root);
    if (saved >= 0) {
        dup2(saved, STDIN_FILENO);
        close(saved);
    }
    close(fd);
    unlink(name);
}

static void defaults_stay(void **state)
{
    static const char text[] = "listen: tcp://0.0.0.0:1\nlabels: [a=b]\n";
    struct ph_agent_config config = {.name = "n1", .cpu = 4000, .copies_parallel = 2};
    struct ph_error error;
    struct ph_yaml *root;

    (void)state;
    ph_set_text(&config.listen, "tcp://*:*");
    ph_texts_add(&config.labels, "default=1");
    assert_int_equal(ph_yaml_parse(text, strlen(text), "f", &root, &error), 0);
    assert_int_equal(ph_yaml_decode(&ph_record_agent_config, root, "f", &config, &error), 0);
    assert_string_equal(config.name, "n1");
    assert_string_equal(config.listen, "tcp://0.0.0.0:1");
    assert_int_equal(config.cpu, 4000);
    assert_int_equal(config.labels.count, 1);
    assert_string_equal(config.labels.items[0], "a=b");
    ph_yaml_destroy(&root);
    ph_record_fini(&ph_record_agent_config, &config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accepted), cmocka_unit_test(refused),
        cmocka_unit_test(bounded), cmocka_unit_test(tree), cmocka_unit_test(files),
        cmocka_unit_test(defaults_stay)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
