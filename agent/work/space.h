/*
 * A pool's own PID namespace, so that what runs of the pool ends when nobody guards it any more. Not pure;
 * thread-safe.
 *
 *     host                             the pool's namespace (its own PIDs, its own /proc)
 *     agent --starts-------------------> 1  poolherd-init     agent/guard/init_main.c
 *       `----starts, waits for----------> 2  a workload's first process
 *                                        3    ... and what that starts; orphans go to 1, which reaps them
 *
 * poolherd-init looks at the lease page as the guard does. At the end of the lease, guard or no guard, it
 * kills the pool's cgroup and ends; and when it ends, of whatever, the kernel kills everything in the
 * namespace and lets nothing new into it. It is nobody's child that matters: agent and guard come and go. The
 * workloads' first processes are the agent's children as ever, with the pids the host knows.
 *
 * A namespace is one lease's and one activation's: ph_space_open() finds it or makes it, ph_space_close()
 * ends it before the data is released. RUN/.init.pid names its init for the agent that follows.
 */
#ifndef PH_AGENT_WORK_SPACE_H
#define PH_AGENT_WORK_SPACE_H

#include <stdint.h>
#include <sys/types.h>
#include "agent/guard/guard.h"

struct ph_space {
    pid_t pid; /* of its init, on the host */
    int pid_fd;
};

struct ph_space_settings {
    const char *node, *pool;
    const char *directory;     /* the agent's DIR */
    const char *run_directory; /* DIR/run/work/POOL */
    const char *cgroup;        /* the pool's; needed */
    const char *marker;
    int64_t generation; /* of the lease */
    struct ph_guard *guard;
    const char *program; /* poolherd-init; NULL: beside this program's own file */
};

/* Whether pools of the agent in `directory` can have one here. 0, or -ENOTSUP/-EPERM with the reason. */
int ph_space_probe(const char *directory, struct ph_error *why);
/* 0; the caller closes pid_fd. -ESTALE: the lease has ended; -errno with *error. */
int ph_space_open(
    const struct ph_space_settings *settings, struct ph_space *space_out, struct ph_error *error);
/* Ends the pool's namespace, if it has one, and waits until its init is gone; whatever runs in it ends too.
 * 0, or -EBUSY with *error. Of the settings only run_directory and cgroup are looked at. */
int ph_space_close(const struct ph_space_settings *settings, struct ph_error *error);

#endif
