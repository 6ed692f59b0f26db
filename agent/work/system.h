/*
 * What starting and watching workloads needs beyond POSIX. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_SYSTEM_H
#define PH_AGENT_WORK_SYSTEM_H

#include <stdbool.h>
#include "agent/work/driver.h"

/* In the child, between fork and exec: undoes protections that are the agent's alone. System calls only. */
void ph_work_child_plain(void);

/* A descriptor that becomes readable when the process ends; -1: there is none. */
int ph_work_pid_open(pid_t pid);
/* Signals just that process: by the descriptor when there is one, else by pid and start time. -ESRCH. */
int ph_work_pid_signal(const struct ph_work_process *process, int number);
/* Whether the process is in the cgroup at `path`. */
bool ph_work_pid_in_cgroup(pid_t pid, const char *path);
/* Waits for the process, ours, without blocking: its wait status. -ECHILD: not ours; -EAGAIN: not ended. */
int ph_work_pid_wait(const struct ph_work_process *process, int *exit_status_out);

#endif
