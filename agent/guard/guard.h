/*
 * The agent's side of the guard: start it when there is none, tell it what to kill.
 *
 * The guard (agent/guard/main.c, `poolherd-guard --dir DIR`) is a process of its own that outlives
 * the agent: locked memory and real-time priority when it may. It holds the table of pools with
 * their cgroups, process groups and mounts, sleeps until the lease page's deadline, and at the end of
 * the lease kills, waits until empty, unmounts, and marks the page clean. It speaks over a
 * SOCK_SEQPACKET unix socket DIR/run/guard.sock, one fixed-size struct per message, every one
 * acknowledged: a registration that was not acknowledged must not be relied on.
 */
#ifndef PH_AGENT_GUARD_H
#define PH_AGENT_GUARD_H

#include <limits.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent/guard/lease_page.h"
#include "poolherd/error.h"
#include "poolherd/limits.h"

struct ph_guard; /* a connection; usable from any thread (locked) */

struct ph_guard_settings {
    const char *directory; /* the agent's DIR */
    const char *program;   /* poolherd-guard */
    uint64_t stop_ms; /* its time to stop everything, for one that is started; see ph_guard_tell */
    const char *watchdog_device; /* "" or NULL: none */
    int watchdog_s;              /* time-out to set on it; 0: what it has */
};

/* Connects to DIR's guard, starting `program` when none answers. 0 or -errno with *error. */
int ph_guard_connect_with(
    const struct ph_guard_settings *settings, struct ph_guard **guard_out, struct ph_error *error);
/* The same, without a watchdog. */
int ph_guard_connect(const char *directory, const char *program, uint64_t stop_ms,
    struct ph_guard **guard_out, struct ph_error *error);
/* After GONE: connects again, starting another guard when there is none; that one knows the table of the
 * one before. Page pointer and fd stay what they were, and other threads may go on using the guard
 * (their requests fail with -ENOTCONN meanwhile). From one thread at a time. 0 or -errno. */
int ph_guard_reconnect(struct ph_guard *guard, struct ph_error *error);
void ph_guard_disconnect(struct ph_guard **guard); /* the guard lives on */

struct ph_lease_page *ph_guard_page(struct ph_guard *guard);
/* Poll this for input; then ph_guard_read() says what happened: */
int ph_guard_fd(const struct ph_guard *guard);

/* Tells the guard the time it has to stop everything (0: as it is), and asks anew for its watchdog. Never
 * waits: the answer is news, PH_GUARD_TOLD. A guard that is started later gets the same time. */
void ph_guard_tell(struct ph_guard *guard, uint64_t stop_ms);
/* The time-out of the watchdog that is fed, read back from the device, as last heard; 0: there is none. */
uint64_t ph_guard_watchdog_ms(const struct ph_guard *guard);
/* What is wrong with the watchdog that was asked for; "": nothing. */
const char *ph_guard_problem(const struct ph_guard *guard);

enum ph_guard_news {
    PH_GUARD_NOTHING,
    PH_GUARD_ENDED,
    PH_GUARD_STUCK,
    PH_GUARD_TOLD,
    PH_GUARD_GONE
};
struct ph_guard_report {
    enum ph_guard_news news;
    int64_t generation;               /* ENDED: everything of it is stopped; page is clean */
    char pool[PH_NAME_BYTES_MAX + 1]; /* STUCK */
};
int ph_guard_read(struct ph_guard *guard, struct ph_guard_report *report_out);

/* Registers what belongs to a pool; must be acknowledged (0) before anything of it runs. cgroup: path
 * of its cgroup directory or "". marker: value of POOLHERD_MARK in its processes' environment, found
 * again in /proc when there is no cgroup; the same after a restart of the agent, and no other agent's
 * on this machine. Registering again adds to what is known. The add functions answer -ESTALE without a
 * valid lease (nothing may run then), -EBUSY while the pool is being killed, -ESRCH for a process that
 * is not there, -EINVAL, -ENOSPC, -ETIMEDOUT, -ENOTCONN; -ENOENT: add the pool first. */
int ph_guard_add_pool(
    struct ph_guard *guard, const char *pool, const char *cgroup, const char *marker);
int ph_guard_add_group(struct ph_guard *guard, const char *pool, pid_t group);
int ph_guard_add_mount(struct ph_guard *guard, const char *pool, const char *path);
/* A mount whose file system is the pool's alone: at the end of the lease it is thawed, and shut down when it is
 * in use still, so that nothing more of it reaches the disk. */
int ph_guard_add_volume(struct ph_guard *guard, const char *pool, const char *path);
/* A file with what is to be run at the end of the lease (and until it ends with 0) to let go of something the
 * pool has beside processes and mounts: lines NAME=value, an empty line, lines of an argv. */
int ph_guard_add_release(struct ph_guard *guard, const char *pool, const char *file);
/* Nothing of it runs any more; -EBUSY when something does: then it stays registered. */
int ph_guard_remove_pool(struct ph_guard *guard, const char *pool);
/* Kills everything of one pool now and waits (at most timeout_ms) until nothing is left: 0, -EBUSY.
 * Mounts stay, and the pool stays registered. Does not hold up other threads' calls. */
int ph_guard_kill_pool(struct ph_guard *guard, const char *pool, uint32_t timeout_ms);
/* Ends the lease now (clean shut-down with --leave), and lets the guard exit once nothing is left. */
int ph_guard_stop(struct ph_guard *guard);

#endif
