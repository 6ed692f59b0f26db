/*
 * A hardware watchdog (or the kernel's softdog): once opened it resets the machine unless it is fed in time.
 * The guard feeds it only while nothing runs here that should not; so what the guard cannot kill, and what
 * nobody guards any more, ends with the machine. Private to agent/guard. Not pure.
 *
 *     CLOSED --open--> ARMED --feed, feed, ...--> --close(clean): 'V'--> CLOSED
 *                        `--close(not clean), or the guard dies: it bites after timeout_ms
 *
 * A device that answers no WDIOC_GETTIMEOUT is fed too, but promises nothing: timeout_ms stays 0 and
 * `problem` says so.
 */
#ifndef PH_AGENT_WATCHDOG_H
#define PH_AGENT_WATCHDOG_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

struct ph_watchdog {
    int fd;                /* -1: closed */
    char device[PATH_MAX]; /* as wanted; "": none */
    int wanted_s;          /* 0: whatever the device has */
    uint64_t timeout_ms;   /* read back from the device; 0: none that can be counted on */
    uint64_t period_ms, next_ms;
    char problem[256]; /* why it is not what was wanted; "": it is */
};

#define PH_WATCHDOG_INIT                                                                           \
    {                                                                                              \
        .fd = -1                                                                                   \
    }

/* Makes it what is wanted: opens, sets, reads back. The same as before: nothing, but one that could not be
 * opened is tried again. Another one: the one before is closed cleanly. Read timeout_ms and problem. */
void ph_watchdog_want(struct ph_watchdog *watchdog, const char *device, int wanted_s);
/* Feeds it when its time has come. A failed write is noted in problem, and timeout_ms becomes 0. */
void ph_watchdog_feed(struct ph_watchdog *watchdog, uint64_t now_ms);
/* Clean: with the letter after which the machine is not reset. */
void ph_watchdog_close(struct ph_watchdog *watchdog, bool clean);

/* system_linux.c, system_other.c: sets wanted_s (0: not) and reads back. 0 or -errno; *step_out says which
 * request failed. */
int ph_watchdog_system_set(int fd, int wanted_s, int *seconds_out, const char **step_out);

#endif
