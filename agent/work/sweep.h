/*
 * Everything that belongs to one VM: found, killed, waited for. Not pure; thread-safe. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_SWEEP_H
#define PH_AGENT_WORK_SWEEP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ph_sweep {
    const char *cgroup; /* of the VM; "": found by group, session and mark */
    const char *marker, *vm;
    pid_t group; /* its first process's; 0: unknown */
    uint64_t start_time;
};

/* Waits until nothing of it is left, at most timeout_ms; with kill, killing all the while. 0 or -EBUSY. */
int ph_sweep(const struct ph_sweep *sweep, bool kill, uint32_t timeout_ms);

#endif
