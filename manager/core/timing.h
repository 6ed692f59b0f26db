/*
 * The numbers leases hang on, and the rules that keep them safe. Pure.
 */
#ifndef PH_MANAGER_TIMING_H
#define PH_MANAGER_TIMING_H

#include <stdint.h>
#include "poolherd/error.h"

struct ph_timing {
    uint64_t beat_ms;
    uint64_t lease_ms;
    uint64_t stop_ms;
    uint64_t watchdog_ms; /* of a node, or waited for at least of every node; 0: none */
    double clock_drift;   /* r: each clock's rate is within 1 +- r of real time */
};

/* name: "default" (beat 200, lease 1200, stop 500), "fast" (80, 400, 150), "gentle" (1000, 10000,
 * 5000), each with drift 0.001. -EINVAL for another name. */
int ph_timing_profile(const char *name, struct ph_timing *timing_out);

/* The rules: beat >= PH_BEAT_MS_MIN; lease >= 4 * beat (three beats may be lost); lease <=
 * PH_LEASE_MS_MAX; 50 <= stop <= PH_LEASE_MS_MAX; 0 <= drift <= 0.1. -EINVAL with the field and the rule. */
int ph_timing_check(const struct ph_timing *timing, struct ph_error *error);

/* ceil(k * (lease + max(stop, watchdog))), k = (1+r)/(1-r): how long after the last grant SENT a
 * node may still run something. */
uint64_t ph_timing_takeover_ms(const struct ph_timing *timing);

#endif
