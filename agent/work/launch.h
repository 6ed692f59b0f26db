/*
 * Starts a prepared program so that nothing of it can run unseen. Not pure; thread-safe. Private to agent/work.
 *
 *     agent                                   child (system calls only)
 *     fork ---------------------------------> setsid, join the cgroup
 *          <------------------------ "joined"
 *     register the group with the guard
 *     write the pid file
 *          "go" ----------------------------> lease page still valid? chdir, exec
 *          <------------ end of file, or stage and errno
 *
 * To run in a namespace the child only enters (or makes) it and has a process made there, which does the rest
 * and is, entered, the agent's child as well; the first one tells its pid, ends and is waited for.
 *
 * An agent that dies before "go" ends the child (its end of the socket closes). A lease that ends before the
 * look at the page is seen there; one that ends after it finds the child in its cgroup or group.
 */
#ifndef PH_AGENT_WORK_LAUNCH_H
#define PH_AGENT_WORK_LAUNCH_H

#include "agent/work/command.h"
#include "agent/work/space.h"

struct ph_launch {
    const struct ph_command *command;
    const char *directory;            /* working directory */
    const char *cgroup;               /* joined first; "" none */
    const struct ph_space *space;     /* the namespace it runs in; NULL: the agent's own */
    int in_fd, out_fd;                /* -1: /dev/null. Borrowed */
    const struct ph_lease_page *page; /* NULL: not looked at */
    int64_t generation;
    /* Called between "joined" and "go": 0, or -errno and the child ends. */
    int (*registered)(pid_t pid, void *argument, struct ph_error *error);
    void *argument;
};

enum ph_launch_stage {
    PH_LAUNCH_SPACE,
    PH_LAUNCH_CGROUP,
    PH_LAUNCH_LEASE,
    PH_LAUNCH_DIRECTORY,
    PH_LAUNCH_EXEC
};

/* 0 once exec succeeded; the child is then this process's and has to be waited for. On failure there is no
 * child any more, and *error says which step failed: -ESTALE when the lease had ended, -ENOENT/-EACCES/...
 * from exec, -ETIMEDOUT. */
int ph_launch(const struct ph_launch *launch, pid_t *pid_out, struct ph_error *error);
/* The same as the first process of a new PID namespace, which is nobody's child and outlives this process. */
int ph_launch_init(const struct ph_launch *launch, pid_t *pid_out, struct ph_error *error);
/* The same for a companion nobody waits for: the child of a child that ends at once. No pid, no "registered". */
int ph_launch_companion(const struct ph_launch *launch, struct ph_error *error);

#endif
