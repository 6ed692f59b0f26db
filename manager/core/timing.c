/*
 * The numbers leases hang on; see timing.h. Pure.
 */
#include "manager/core/timing.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/assert.h"
#include "poolherd/limits.h"

#define STOP_MS_MIN 50
#define BEATS_PER_LEASE_MIN 4
#define CLOCK_DRIFT_MAX 0.1

static const struct {
    const char *name;
    struct ph_timing timing;
} profiles[] = {
    {"default", {200, 1200, 500, 0, 0.001}},
    {"fast", {80, 400, 150, 0, 0.001}},
    {"gentle", {1000, 10000, 5000, 0, 0.001}},
};

int ph_timing_profile(const char *name, struct ph_timing *timing_out)
{
    for (size_t i = 0; i < sizeof profiles / sizeof profiles[0]; i++) {
        if (strcmp(profiles[i].name, name) == 0) {
            *timing_out = profiles[i].timing;
            return 0;
        }
    }
    return -EINVAL;
}

int ph_timing_check(const struct ph_timing *timing, struct ph_error *error)
{
    unsigned long long beat = timing->beat_ms, lease = timing->lease_ms, stop = timing->stop_ms;

    if (timing->beat_ms < PH_BEAT_MS_MIN)
        return ph_error_set(error, PH_BAD_INPUT, "beat_ms",
            "beat_ms is %llu; it must be at least %d, so that beats stay cheap", beat,
            PH_BEAT_MS_MIN);
    if (timing->lease_ms > PH_LEASE_MS_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "lease_ms",
            "lease_ms is %llu; it must be at most %d: no take-over without a fence device could "
            "begin earlier",
            lease, PH_LEASE_MS_MAX);
    /* Divided, not multiplied: a beat_ms near UINT64_MAX must not wrap round to a small product. */
    if (timing->beat_ms > timing->lease_ms / BEATS_PER_LEASE_MIN)
        return ph_error_set(error, PH_BAD_INPUT, "lease_ms",
            "lease_ms is %llu and beat_ms is %llu; lease_ms must be at least %d * beat_ms, so that "
            "three beats may be lost",
            lease, beat, BEATS_PER_LEASE_MIN);
    if (timing->stop_ms < STOP_MS_MIN || timing->stop_ms > PH_LEASE_MS_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "stop_ms",
            "stop_ms is %llu; it must be %d to %d: the time in which a node kills everything once "
            "its lease has ended",
            stop, STOP_MS_MIN, PH_LEASE_MS_MAX);
    if (timing->watchdog_ms > PH_LEASE_MS_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "watchdog_ms",
            "watchdog_ms is %llu; it must be at most %d, or 0 to wait for what each node reports",
            (unsigned long long)timing->watchdog_ms, PH_LEASE_MS_MAX);
    /* Written so that a value that is not a number is refused too. */
    if (!(timing->clock_drift >= 0 && timing->clock_drift <= CLOCK_DRIFT_MAX))
        return ph_error_set(error, PH_BAD_INPUT, "clock_drift",
            "clock_drift is %g; it must be 0 to %g: each clock's rate is within 1 +- clock_drift "
            "of real time",
            timing->clock_drift, CLOCK_DRIFT_MAX);
    return 0;
}

uint64_t ph_timing_takeover_ms(const struct ph_timing *timing)
{
    uint64_t stop = timing->stop_ms > timing->watchdog_ms ? timing->stop_ms : timing->watchdog_ms;
    double r = timing->clock_drift;

    ph_assert(r >= 0 && r <= CLOCK_DRIFT_MAX && timing->lease_ms <= PH_LEASE_MS_MAX &&
              stop <= PH_LEASE_MS_MAX);
    /* The node's clock may run slow (its lease lasts 1/(1-r) of ours) and ours fast (1+r). */
    double exact = (1 + r) / (1 - r) * (double)(timing->lease_ms + stop);
    uint64_t whole = (uint64_t)exact;

    return (double)whole < exact ? whole + 1 : whole;
}
