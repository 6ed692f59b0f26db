/* The lease's numbers: profiles, the rules that refuse unsafe combinations, the take-over wait. */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "manager/core/timing.h"
#include "poolherd/limits.h"

static void profiles_are_safe(void **state)
{
    (void)state;
    const char *names[] = {"default", "fast", "gentle"};
    struct ph_timing timing;
    struct ph_error error;

    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ph_timing_profile(names[i], &timing), 0);
        assert_int_equal(ph_timing_check(&timing, &error), 0);
    }
    assert_int_equal(ph_timing_profile("default", &timing), 0);
    assert_int_equal(timing.beat_ms, 200);
    assert_int_equal(timing.lease_ms, 1200);
    assert_int_equal(timing.stop_ms, 500);

    timing.beat_ms = 7;
    assert_int_equal(ph_timing_profile("quick", &timing), -EINVAL);
    assert_int_equal(timing.beat_ms, 7);
}

static void unsafe_combinations_are_refused(void **state)
{
    (void)state;
    static const struct {
        struct ph_timing timing;
        const char *field; /* NULL: good */
    } cases[] = {
        {{20, 80, 50, 0, 0}, NULL},
        {{19, 80, 50, 0, 0}, "beat_ms"},
        {{0, 80, 50, 0, 0}, "beat_ms"},
        {{200, 799, 500, 0, 0.001}, "lease_ms"},
        {{200, 800, 500, 0, 0.001}, NULL},
        {{UINT64_MAX / 2, 800, 500, 0, 0.001}, "lease_ms"},
        {{200, PH_LEASE_MS_MAX, 500, 0, 0.001}, NULL},
        {{200, PH_LEASE_MS_MAX + 1, 500, 0, 0.001}, "lease_ms"},
        {{200, 1200, 49, 0, 0.001}, "stop_ms"},
        {{200, 1200, PH_LEASE_MS_MAX + 1, 0, 0.001}, "stop_ms"},
        {{200, 1200, 500, PH_LEASE_MS_MAX, 0.001}, NULL},
        {{200, 1200, 500, PH_LEASE_MS_MAX + 1, 0.001}, "watchdog_ms"},
        {{200, 1200, 500, 0, 0.1}, NULL},
        {{200, 1200, 500, 0, 0.11}, "clock_drift"},
        {{200, 1200, 500, 0, -0.0001}, "clock_drift"},
        {{200, 1200, 500, 0, NAN}, "clock_drift"},
        {{200, 1200, 500, 0, INFINITY}, "clock_drift"},
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_error error = {0};
        int rv = ph_timing_check(&cases[i].timing, &error);

        if (cases[i].field == NULL) {
            assert_int_equal(rv, 0);
        } else {
            assert_int_equal(rv, -EINVAL);
            assert_int_equal(error.code, PH_BAD_INPUT);
            assert_string_equal(error.field, cases[i].field);
            assert_non_null(strstr(error.message, "must be"));
        }
        assert_int_equal(ph_timing_check(&cases[i].timing, NULL), rv);
    }
}

static void takeover_waits_for_the_slowest_clock(void **state)
{
    (void)state;
    static const struct {
        struct ph_timing timing;
        uint64_t takeover_ms;
    } cases[] = {
        {{200, 1200, 500, 0, 0}, 1700},         /* no drift: exactly lease + stop */
        {{200, 1200, 500, 0, 0.001}, 1704},     /* 1703.4, rounded up */
        {{200, 1200, 500, 400, 0.001}, 1704},   /* a quicker watchdog changes nothing */
        {{200, 1200, 500, 10000, 0.001}, 11223} /* the watchdog is the slower one: 11222.4 */
    };

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(ph_timing_takeover_ms(&cases[i].timing), cases[i].takeover_ms);

    /* Never shorter than the node's own clock can stretch it. */
    for (uint64_t lease = 80; lease < 5000; lease += 37) {
        for (double r = 0; r <= 0.1; r += 0.01) {
            struct ph_timing timing = {20, lease, 50, 0, r};
            double real = (double)(lease + 50) / (1 - r); /* how long it may really last */
            double counted = (double)ph_timing_takeover_ms(&timing) / (1 + r);

            assert_true(counted >= real - 1e-6);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(profiles_are_safe),
        cmocka_unit_test(unsafe_combinations_are_refused),
        cmocka_unit_test(takeover_waits_for_the_slowest_clock),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
