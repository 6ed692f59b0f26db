/* Every allocation of ours and of jansson's fails once: the answer is -ENOMEM, what was begun is
 * freed (the sanitizer's leak check sees to that) and the outputs are as promised. Linked with
 * --wrap for malloc, calloc and realloc (tests/CMakeLists.txt). */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "proto/codec.h"
#include "proto/message.h"
#include "proto/yaml.h"

static long countdown = -1; /* < 0: nothing fails */
static bool failed;
static bool failed_in_jansson; /* which may call it a malformed text */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool fails_now(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    countdown = -1;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return fails_now() ? NULL : __real_realloc(old, size);
}

static const char text[] =
    "{\"type\":\"pool.apply\",\"id\":7,\"body\":{\"pools\":[{\"name\":\"web\",\"driver\":\"d\","
    "\"failback_at\":\"23:59\",\"allow\":[\"a\",\"b\",\"c\"],\"vms\":[{\"name\":\"v\",\"kind\":"
    "\"process\",\"command\":[\"x\",\"y\"]},{\"name\":\"w\",\"kind\":\"process\"}]},"
    "{\"name\":\"db\",\"driver\":\"d\",\"prefer\":[\"a\"]}]}}";

static void *jansson_malloc(size_t size)
{
    void *memory = __wrap_malloc(size);

    failed_in_jansson = failed_in_jansson || memory == NULL;
    return memory;
}

/* Does `step` with the nth allocation failing, for each n, until none fails. */
static void each_failure(int (*step)(void), long least)
{
    for (long n = 0;; n++) {
        countdown = n;
        failed = failed_in_jansson = false;
        int rv = step();
        countdown = -1;
        if (!failed) {
            assert_int_equal(rv, 0);
            assert_true(n >= least); /* that many allocations there were: the test sees them */
            return;
        }
        if (!failed_in_jansson || rv != -EINVAL)
            assert_int_equal(rv, -ENOMEM);
    }
}

static struct ph_message kept;

static int decode_step(void)
{
    struct ph_message message;
    struct ph_error error = {.code = PH_OK};

    int rv = ph_message_decode(text, sizeof text - 1, &message, &error);
    if (rv != 0) {
        assert_null(message.body);
        assert_int_equal(error.code, rv == -ENOMEM ? PH_FAILED : PH_BAD_INPUT);
    }
    ph_message_fini(&message);
    return rv;
}

static int encode_step(void)
{
    char *out = NULL;

    int rv = ph_message_encode(PH_MSG_APPLY, 1, kept.body, &out, NULL);
    assert_int_equal(out == NULL, rv != 0);
    free(out);
    return rv;
}

static int copy_step(void)
{
    struct ph_apply copy = {.prune = true};

    int rv = ph_record_copy(&ph_record_apply, &copy, kept.body);
    if (rv != 0)
        assert_true(copy.pools.items == NULL && !copy.prune);
    ph_record_fini(&ph_record_apply, &copy);
    void *heap = ph_record_new_copy(&ph_record_apply, kept.body);
    if (heap == NULL)
        rv = -ENOMEM;
    ph_record_destroy(&ph_record_apply, &heap);
    return rv;
}

static int yaml_step(void)
{
    static const char file[] = "pools:\n- name: web\n  driver: d\n  failback_at: \"23:59\"\n"
                               "  allow: [a, b, c]\n  vms:\n  - {name: v, kind: process}\n";
    struct ph_error error = {.code = PH_OK};
    struct ph_apply apply = {.dry_run = true};
    struct ph_yaml *root;

    int rv = ph_yaml_parse(file, sizeof file - 1, "f", &root, &error);
    if (rv == 0)
        rv = ph_yaml_decode(&ph_record_apply, root, "f", &apply, &error);
    if (rv != 0)
        assert_true(apply.dry_run && apply.pools.items == NULL);
    ph_yaml_destroy(&root);
    ph_record_fini(&ph_record_apply, &apply);
    return rv;
}

static void out_of_memory(void **state)
{
    struct ph_error error;

    (void)state;
    json_set_alloc_funcs(jansson_malloc, free);
    assert_int_equal(ph_message_decode(text, sizeof text - 1, &kept, &error), 0);
    each_failure(decode_step, 50);
    each_failure(encode_step, 1);
    each_failure(copy_step, 20);
    each_failure(yaml_step, 20);
    ph_message_fini(&kept);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(out_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
