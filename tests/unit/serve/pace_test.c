/* When the loop lets beats gather, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "manager/serve/pace.h"

/* A second of `per_s` messages, one a call. */
static struct serve_pace after_a_second(uint64_t per_s)
{
    struct serve_pace pace = {0};

    for (uint64_t i = 0; i <= per_s; i++)
        serve_pace_count(&pace, 1, 1000000 + i * 1000 / per_s);
    return pace;
}

static void rests_only_when_many_come(void **state)
{
    static const struct {
        uint64_t per_s, beat_ms, rest_ms;
    } cases[] = {
        {15, 200, 0},   /* three nodes */
        {500, 200, 0},  /* less than two in a rest */
        {1100, 200, 2}, /* a hundredth of a beat */
        {100000, 200, 2}, {150, 1000, 0}, {1000, 1000, 10},
        {1000, 60000, 10},            /* and not longer than people notice */
        {1900, 20, 0}, {2100, 20, 1}, /* nor shorter than can be waited for */
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct serve_pace pace = after_a_second(cases[i].per_s);

        assert_int_equal(serve_pace_rest_ms(&pace, cases[i].beat_ms), cases[i].rest_ms);
    }
}

static void forgets_when_none_come(void **state)
{
    struct serve_pace pace = after_a_second(5000);

    (void)state;
    assert_int_equal(serve_pace_rest_ms(&pace, 200), 2);
    serve_pace_count(&pace, 0, 1001500);
    serve_pace_count(&pace, 0, 1002000);
    assert_int_equal(serve_pace_rest_ms(&pace, 200), 0);
}

static void begins_without_a_rest(void **state)
{
    struct serve_pace pace = {0};

    (void)state;
    assert_int_equal(serve_pace_rest_ms(&pace, 200), 0);
    serve_pace_count(&pace, 1000, 7);
    assert_int_equal(serve_pace_rest_ms(&pace, 200), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rests_only_when_many_come),
        cmocka_unit_test(forgets_when_none_come),
        cmocka_unit_test(begins_without_a_rest),
    };

    return cmocka_run_group_tests_name("pace", tests, NULL, NULL);
}
