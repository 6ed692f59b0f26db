#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/map.h"

static void against_a_plain_array(void **state)
{
    enum { KEYS = 500, STEPS = 20000 };
    static char keys[KEYS][24];
    int values[KEYS], present[KEYS] = {0};
    struct ph_map map = {0, 0, NULL};
    uint32_t random = 12345;
    size_t count = 0;

    (void)state;
    for (int i = 0; i < KEYS; i++)
        snprintf(keys[i], sizeof keys[i], i % 2 ? "k%03d" : "a-longer-key-%03d", i);
    for (int step = 0; step < STEPS; step++) {
        random = random * 1664525u + 1013904223u;
        int i = (int)((random >> 8) % KEYS);
        if (random >> 31) {
            assert_int_equal(ph_map_put(&map, keys[i], &values[i]), present[i] ? -EEXIST : 0);
            count += !present[i];
            present[i] = 1;
        } else {
            assert_ptr_equal(ph_map_remove(&map, keys[i]), present[i] ? &values[i] : NULL);
            count -= present[i] != 0;
            present[i] = 0;
        }
        assert_int_equal(map.count, count);
    }
    for (int i = 0; i < KEYS; i++)
        assert_ptr_equal(ph_map_get(&map, keys[i]), present[i] ? &values[i] : NULL);
    for (size_t i = 1; i < map.count; i++)
        assert_true(strcmp(map.items[i - 1].key, map.items[i].key) < 0);
    ph_map_fini(&map);
    assert_int_equal(map.count, 0);
}

static void lower(void **state)
{
    struct ph_map map = {0, 0, NULL};
    int value;

    (void)state;
    assert_int_equal(ph_map_lower(&map, "a"), 0);
    assert_null(ph_map_get(&map, "a"));
    ph_map_put(&map, "b", &value);
    ph_map_put(&map, "d", &value);
    assert_int_equal(ph_map_lower(&map, "a"), 0);
    assert_int_equal(ph_map_lower(&map, "b"), 0);
    assert_int_equal(ph_map_lower(&map, "c"), 1);
    assert_int_equal(ph_map_lower(&map, "e"), 2);
    ph_map_fini(&map);
}

/* The first eight bytes are compared as a number, the rest as text: together as strcmp() does it. */
static void order_is_that_of_strcmp(void **state)
{
    static const char *const keys[] = {"", "a", "abcdefg", "abcdefgh", "abcdefghi", "abcdefghj",
        "abcdefgi", "abcdefh", "b", "\x7f", "\x80", "\xc3\xa4", "\xc3\xa4\xc3\xa4\xc3\xa4\xc3\xa4z",
        "\xff\xff\xff\xff\xff\xff\xff\xff", "\xff\xff\xff\xff\xff\xff\xff\xff\xff"};
    enum { KEYS = sizeof keys / sizeof keys[0] };
    struct ph_map map = {0, 0, NULL};
    int value;

    (void)state;
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(ph_map_put(&map, keys[i * 7 % KEYS], &value), 0);
    for (size_t i = 0; i < KEYS; i++) {
        assert_string_equal(map.items[i].key, keys[i]);
        assert_int_equal(ph_map_lower(&map, keys[i]), i);
    }
    assert_int_equal(ph_map_put(&map, "abcdefghi", &value), -EEXIST);
    assert_null(ph_map_get(&map, "abcdefghij"));
    ph_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_a_plain_array),
        cmocka_unit_test(lower), cmocka_unit_test(order_is_that_of_strcmp)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
