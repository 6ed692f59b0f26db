/* Log lines that a peer could cause without end: at most ten in ten seconds, then a count. Private. */
#ifndef PH_SERVE_QUIET_H
#define PH_SERVE_QUIET_H

#include <stdbool.h>
#include <stdint.h>

struct serve_quiet {
    uint64_t window_ms; /* begin of the present ten seconds */
    unsigned said, kept;
    uint64_t total;
};

/* Counts one. Whether it may be logged; *kept_out: how many were kept quiet before. */
bool serve_quiet_pass(struct serve_quiet *quiet, uint64_t now_ms, unsigned *kept_out);

#endif
