/*
 * Workload drivers: one table of functions each (process, qemu, container, ocf). A driver
 * knows its own tool and nothing else; when to start and stop is the agent core's decision. Called
 * on worker threads, may block up to its time limits, never longer.
 */
#ifndef PH_AGENT_WORK_DRIVER_H
#define PH_AGENT_WORK_DRIVER_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/guard.h"
#include "agent/work/log.h"
#include "proto/catalogue.h"

struct ph_work_context {
    const char *node;
    const struct ph_pool *pool;
    const struct ph_vm *vm;
    int64_t epoch;
    int64_t generation;        /* of the lease; checked in the child just before exec */
    const char *pool_path;     /* where the pool's data is active */
    const char *run_directory; /* DIR/run/work/POOL: pid files */
    const char *log_path;      /* DIR/log/POOL/VM.log, bounded by PH_WORKLOAD_LOG_BYTES_MAX */
    const char *cgroup;        /* "" when there is none */
    const char *marker;        /* POOLHERD_MARK */
    const struct ph_space
        *space; /* the pool's PID namespace (space.h), NULL: none. A driver may leave it
                                     aside for what has to see the host's processes */
    struct ph_guard *guard;
    const char *log_program; /* poolherd-log; NULL: beside this program's own file */
    const char *cluster;     /* the cluster's id; NULL: not known */
};

struct ph_work_process {
    pid_t pid;
    uint64_t start_time; /* of /proc/PID/stat: tells a reused pid */
    int pid_fd; /* readable when it ended (pidfd_open); -1 where there is none. Whoever holds the
                            struct closes it; no driver does */
};

/* Something done once (PH_VALUES_vm_operation). 0: it was done; else why not, and then nothing has changed unless
 * the text says so. *error has a sentence in either case. *found_out: JSON, malloc'ed, or NULL. */
typedef int ph_work_operate(const struct ph_work_context *context,
    const struct ph_operation *operation, char **found_out, struct ph_error *error);

struct ph_work_driver {
    const char *name;
    bool watched; /* there is something to see of it beside its process: see watch.h */
    /* Whether it works on this node; -ENOTSUP with the reason and the remedy. */
    int (*probe)(struct ph_error *error);
    /* Whether the declaration makes sense to this driver. -EINVAL with field. */
    int (*check)(const struct ph_vm *vm, struct ph_error *error);
    /* Starts it; 0 once exec succeeded. -ESTALE when the lease ended meanwhile. Writes the pid file
     * before exec, so that a crash of the agent at any instant leaves nothing unknown. What is left of an
     * earlier run of the same VM is killed first. The pool is registered with the guard by the caller. */
    int (*start)(const struct ph_work_context *context, struct ph_work_process *process_out,
        struct ph_error *error);
    /* Signal, wait stop_timeout_ms, SIGKILL to everything of it, wait. 0 when nothing is left; -EBUSY when
     * something will not die. With pid 0 (its first process is gone) it kills what that one left. */
    int (*stop)(const struct ph_work_context *context, struct ph_work_process *process,
        struct ph_error *error);
    /* Finds it running from an earlier agent process. -ENOENT when it is not. */
    int (*adopt)(const struct ph_work_context *context, struct ph_work_process *process_out);
    /* Does it to a VM that runs, for the first time; and finds out what became of one that a former process of
     * the agent began. Both NULL: nothing can be done to VMs of this kind. They end within 5 minutes. */
    ph_work_operate *operate, *look;
};

const struct ph_work_driver *ph_work_driver_find(const char *name); /* NULL: none of that name */
extern const struct ph_work_driver *const ph_work_drivers[];        /* NULL-terminated */

/* The pool's cgroup: ph_cgroup_parent(), ph_cgroup_make(), ph_cgroup_remove(): agent/guard/cgroup.h,
 * where the guard, which must not depend on this library, finds them too. */

/* Waits for an ended child (ours) or tells that another's is gone; exit status or -1. */
int ph_work_exit_status(const struct ph_work_process *process);
#endif
