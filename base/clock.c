#include "base/clock.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/assert.h"

#define DAY_MS 86400000LL

uint64_t ph_clock_boot_ms(void)
{
    struct timespec now;

#ifdef CLOCK_BOOTTIME
    int rv = clock_gettime(CLOCK_BOOTTIME, &now);
#else
    /* FreeBSD's CLOCK_MONOTONIC is its uptime, suspend included. */
    int rv = clock_gettime(CLOCK_MONOTONIC, &now);
#endif
    ph_assert(rv == 0);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

int64_t ph_clock_wall_ms(void)
{
    struct timespec now;

    int rv = clock_gettime(CLOCK_REALTIME, &now);
    ph_assert(rv == 0);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Days since 1970-01-01 of a date in the Gregorian calendar, and back. The algorithms are Howard
 * Hinnant's ("chrono-compatible low-level date algorithms"): years begin in March, so that the leap
 * day is the last of its year. */
static int64_t days_from_civil(int64_t year, int month, int day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t year_of_era = year - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int64_t *year, int *month, int *day)
{
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = year_of_era + era * 400 + (*month <= 2);
}

int64_t ph_clock_local_offset_ms(int64_t wall_ms)
{
    time_t now = (time_t)(wall_ms / 1000);
    struct tm local, utc;

    tzset();
    if (localtime_r(&now, &local) == NULL || gmtime_r(&now, &utc) == NULL)
        return 0;
    utc.tm_isdst = local.tm_isdst; /* so that mktime() takes both for the same kind of time */
    time_t back = mktime(&utc);
    return back == (time_t)-1 ? 0 : (int64_t)(now - back) * 1000;
}

void ph_clock_format_wall(int64_t wall_ms, char *out, size_t size)
{
    int64_t days = wall_ms / DAY_MS - (wall_ms % DAY_MS < 0);
    int rest = (int)(wall_ms % DAY_MS + (wall_ms % DAY_MS < 0 ? DAY_MS : 0));
    int64_t year;
    int month, day;

    civil_from_days(days, &year, &month, &day);
    if (year < 0 || year > 9999) {
        snprintf(out, size, "%lldms", (long long)wall_ms); /* outside of RFC 3339 */
        return;
    }
    snprintf(out, size, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", (int)year, month, day,
        rest / 3600000, rest / 60000 % 60, rest / 1000 % 60, rest % 1000);
}

/* Reads exactly `count` digits. */
static bool digits(const char **at, int count, int *value)
{
    *value = 0;
    for (int i = 0; i < count; i++, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        *value = *value * 10 + (**at - '0');
    }
    return true;
}

static bool character(const char **at, const char *choice)
{
    if (**at == '\0' || strchr(choice, **at) == NULL)
        return false;
    (*at)++;
    return true;
}

static int parse_span(const char *text, int64_t now, int64_t *out)
{
    static const struct {
        char letter;
        int64_t ms;
    } units[] = {{'s', 1000}, {'m', 60000}, {'h', 3600000}, {'d', DAY_MS}, {'w', 7 * DAY_MS}};
    int64_t value = 0;
    size_t count = 0;

    for (; text[count] >= '0' && text[count] <= '9'; count++) {
        if (count == 9)
            return -EINVAL;
        value = value * 10 + (text[count] - '0');
    }
    if (count == 0 || text[count] == '\0' || text[count + 1] != '\0')
        return -EINVAL;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (units[i].letter == text[count]) {
            *out = now - value * units[i].ms;
            return 0;
        }
    }
    return -EINVAL;
}

/* Reads [T ]HH:MM[:SS[.fraction]][Z|+HH:MM|-HH:MM] as milliseconds to add to the day's begin. */
static int parse_time(const char **at, int64_t *ms)
{
    int hour, minute, second = 0, zone_hour = 0, zone_minute = 0;
    int64_t fraction = 0, scale = 100, sign = 0;

    if (!character(at, "Tt ") || !digits(at, 2, &hour) || !character(at, ":") ||
        !digits(at, 2, &minute))
        return -EINVAL;
    if (character(at, ":")) {
        if (!digits(at, 2, &second))
            return -EINVAL;
        if (character(at, ".")) {
            if (**at < '0' || **at > '9')
                return -EINVAL;
            for (; **at >= '0' && **at <= '9'; (*at)++, scale /= 10)
                fraction += (**at - '0') * scale;
        }
    }
    if (!character(at, "Zz") && (**at == '+' || **at == '-')) {
        sign = **at == '+' ? 1 : -1;
        (*at)++;
        if (!digits(at, 2, &zone_hour))
            return -EINVAL;
        character(at, ":");
        if (!digits(at, 2, &zone_minute))
            return -EINVAL;
    }
    /* 60: a leap second is the next minute's first. */
    if (hour > 23 || minute > 59 || second > 60 || zone_hour > 23 || zone_minute > 59)
        return -EINVAL;
    *ms = ((hour * 60 + minute) * 60LL + second) * 1000 + fraction -
          sign * (zone_hour * 60 + zone_minute) * 60000LL;
    return 0;
}

int ph_clock_parse_wall(const char *text, int64_t now_wall_ms, int64_t *wall_ms_out)
{
    static const int month_days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    const char *at = text;
    int year, month, day;
    int64_t ms = 0;

    if (strcmp(text, "now") == 0) {
        *wall_ms_out = now_wall_ms;
        return 0;
    }
    if (text[0] == '-')
        return parse_span(text + 1, now_wall_ms, wall_ms_out);
    if (!digits(&at, 4, &year) || !character(&at, "-") || !digits(&at, 2, &month) ||
        !character(&at, "-") || !digits(&at, 2, &day))
        return -EINVAL;
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    if (month < 1 || month > 12 || day < 1 || day > month_days[month - 1] + (month == 2 && leap))
        return -EINVAL;
    if (*at != '\0' && parse_time(&at, &ms) != 0)
        return -EINVAL;
    if (*at != '\0')
        return -EINVAL;
    *wall_ms_out = days_from_civil(year, month, day) * DAY_MS + ms;
    return 0;
}
