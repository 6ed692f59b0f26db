/*
 * What starting and watching workloads needs beyond POSIX. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_SYSTEM_H
#define PH_AGENT_WORK_SYSTEM_H

#include <stdbool.h>
#include "agent/work/driver.h"

/* In the child, between fork and exec: undoes protections that are the agent's alone. System calls only. */
void ph_work_child_plain(void);

/* Namespaces, in the child, by system calls only. Each but the last makes another process, which alone is in
 * them: 0 there with *pid_out 0, 0 in the caller with its pid, -errno. Entered: a child of the caller's own
 * parent. Made: the first of a new PID namespace, with mounts of its own that follow the host's. */
int ph_work_space_enter(int init_fd, pid_t *pid_out);
int ph_work_space_make(pid_t *pid_out);
/* In the first process of a new one: gives it its own /proc. 0 or -errno. */
int ph_work_space_settle(void);

/* A descriptor that becomes readable when the process ends; -1: there is none. */
int ph_work_pid_open(pid_t pid);
/* Signals just that process: by the descriptor when there is one, else by pid and start time. -ESRCH. */
int ph_work_pid_signal(const struct ph_work_process *process, int number);
/* Whether the process is in the cgroup at `path`. */
bool ph_work_pid_in_cgroup(pid_t pid, const char *path);
/* Waits for the process, ours, without blocking: its wait status. -ECHILD: not ours; -EAGAIN: not ended. */
int ph_work_pid_wait(const struct ph_work_process *process, int *exit_status_out);

#endif
