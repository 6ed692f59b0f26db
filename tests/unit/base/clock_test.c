#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"

#define NOW 1769860800123 /* 2026-01-31T12:00:00.123Z */

static void parse(void **state)
{
    static const struct {
        const char *text;
        int64_t ms; /* -1: refused */
    } cases[] = {
        {"now", NOW},
        {"-90s", NOW - 90000},
        {"-15m", NOW - 900000},
        {"-2h", NOW - 7200000},
        {"-1d", NOW - 86400000},
        {"-1w", NOW - 604800000},
        {"-0s", NOW},
        {"1970-01-01", 0},
        {"1970-01-01T00:00:00Z", 0},
        {"2026-01-31T12:00:00.123Z", NOW},
        {"2026-01-31 12:00:00.123", NOW},
        {"2026-01-31T13:00:00.123+01:00", NOW},
        {"2026-01-31t06:30:00.1239-0530", NOW},
        {"2026-01-31T12:00", NOW - 123},
        {"2024-02-29", 1709164800000},
        {"2000-02-29", 951782400000},
        {"1999-12-31T23:59:60Z", 946684800000},
        {"", -1},
        {"-", -1},
        {"-5", -1},
        {"-s", -1},
        {"-5x", -1},
        {"-5ss", -1},
        {"-1234567890s", -1},
        {"2023-02-29", -1},
        {"1900-02-29", -1},
        {"2026-00-01", -1},
        {"2026-13-01", -1},
        {"2026-01-32", -1},
        {"2026-1-1", -1},
        {"2026-01-01T", -1},
        {"2026-01-01T24:00", -1},
        {"2026-01-01T00:60", -1},
        {"2026-01-01T00:00:61", -1},
        {"2026-01-01T00:00.5", -1},
        {"2026-01-01T00:00:00.", -1},
        {"2026-01-01T00:00:00+", -1},
        {"2026-01-01T00:00:00+25:00", -1},
        {"2026-01-01T00:00:00Zx", -1},
        {"2026-01-01x", -1},
        {"yesterday", -1},
        {" now", -1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int64_t ms = -7;
        int rv = ph_clock_parse_wall(cases[i].text, NOW, &ms);
        if (cases[i].ms == -1) {
            assert_int_equal(rv, -EINVAL);
            assert_int_equal(ms, -7); /* untouched */
        } else {
            assert_int_equal(rv, 0);
            assert_int_equal(ms, cases[i].ms);
        }
    }
}

static void format(void **state)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {NOW, "2026-01-31T12:00:00.123Z"},
        {951782400000, "2000-02-29T00:00:00.000Z"},
        {253402300799999, "9999-12-31T23:59:59.999Z"},
        {INT64_MAX, "9223372036854775807ms"},
        {INT64_MIN, "-9223372036854775808ms"},
    };
    char out[32];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        ph_clock_format_wall(cases[i].ms, out, sizeof out);
        assert_string_equal(out, cases[i].text);
    }
}

static void there_and_back(void **state)
{
    char out[32];

    (void)state;
    /* Steps of a prime near 11 days through the years 1600 to 2400. */
    for (int64_t ms = -11676096000000; ms < 13569465600000; ms += 950400011) {
        int64_t back;
        ph_clock_format_wall(ms, out, sizeof out);
        assert_int_equal(ph_clock_parse_wall(out, 0, &back), 0);
        assert_int_equal(back, ms);
    }
}

static void clocks_go_on(void **state)
{
    (void)state;
    uint64_t before = ph_clock_boot_ms();
    assert_true(ph_clock_boot_ms() >= before);
    assert_true(ph_clock_wall_ms() > 1700000000000);
}

static void local_time_is_so_far_from_utc(void **state)
{
    (void)state;
    static const struct {
        const char *zone;
        int64_t wall_ms, offset_ms;
    } cases[] = {{"UTC0", 1769860800000, 0}, {"XXX-2", 1769860800000, 2 * 3600000},
        {"XXX3:30", 1769860800000, -(3 * 3600000 + 1800000)},
        /* winter and summer of a zone that changes at the end of March and of October */
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1769860800000, 3600000},
        {"CET-1CEST,M3.5.0,M10.5.0/3", 1785499200000, 2 * 3600000}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        setenv("TZ", cases[i].zone, 1);
        assert_int_equal(ph_clock_local_offset_ms(cases[i].wall_ms), cases[i].offset_ms);
    }
    unsetenv("TZ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(local_time_is_so_far_from_utc),
        cmocka_unit_test(parse), cmocka_unit_test(format), cmocka_unit_test(there_and_back),
        cmocka_unit_test(clocks_go_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
