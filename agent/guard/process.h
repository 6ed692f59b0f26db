/*
 * Processes as /proc shows them: who is in a group, who carries a mark in its environment. What the
 * guard and the workload drivers kill by where there is no cgroup. Not pure; thread-safe.
 *
 * A pid alone names nobody for long: pid and start_time together name one process of this boot.
 * What a mark cannot find: a program that empties or overwrites its environment AND leaves its group
 * and session. Only a cgroup holds those; `doctor` says which of the two a node has.
 */
#ifndef PH_AGENT_PROCESS_H
#define PH_AGENT_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define PH_MARK_BYTES_MAX 127 /* of a POOLHERD_MARK */

struct ph_process {
    pid_t pid, group, session;
    char state;
    long threads;
    uint64_t start_time; /* clock ticks since boot */
};

/* 0, -ESRCH, or -ENOTSUP where the system has no /proc. Never blocks. */
int ph_process_read(pid_t pid, struct ph_process *process_out);
/* Reads one line of /proc/PID/stat. Pure. 0 or -EINVAL. */
int ph_process_parse(const char *line, struct ph_process *process_out);
/* False for what has ended and only waits for its parent. */
bool ph_process_alive(const struct ph_process *process);

/* Names read from a process's environment; "" for those it has not. */
struct ph_process_marks {
    char mark[PH_MARK_BYTES_MAX + 1]; /* POOLHERD_MARK */
    char vm[64];                      /* POOLHERD_VM */
};
/* 0, -ESRCH, -EACCES: another user's. May block as long as the process's memory is locked. */
int ph_process_marks(pid_t pid, struct ph_process_marks *marks_out);

/* SIGKILL to that very process, by a pidfd where the kernel has them: a number that was given out anew in
 * between hurts nobody. 0, -ESRCH, -errno. */
int ph_process_kill(const struct ph_process *process);

/* Calls visit for every process that has not ended, but this one; a process born meanwhile is not missed.
 * 0, -ENOTSUP, -errno; -EAGAIN: processes are born faster than they can be looked at. */
int ph_process_each(
    void (*visit)(const struct ph_process *process, void *argument), void *argument);

/* Whether a process that has not ended is in the group. A group whose members have all ended counts as
 * empty even while their parent, which may hang, has not waited for them. */
bool ph_group_alive(pid_t group);
/* SIGKILL to the group whose leader started at start_time. -ESRCH: it is empty. -ESTALE: the leader has
 * another start time, so the number was given out again: nobody is hurt. */
int ph_group_kill(pid_t group, uint64_t start_time);

/* What one boot of the machine has that no other has. Needs 64 bytes. "" when unknown. */
void ph_boot_id(char *out, size_t size);

#endif
