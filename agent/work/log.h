/*
 * Logs of workloads, bounded whatever a workload writes.
 *
 * A workload writes into a pipe, and poolherd-log, a process of its own in the workload's cgroup, moves what
 * comes to the file and cuts the file when it is full. Why so: a file the workload writes itself can fill the
 * disk between two trims; RLIMIT_FSIZE would limit its data files as well; a pipe read by the agent would
 * stop the workload when the agent is restarted. poolherd-log lives as long as somebody holds the pipe. Where
 * it is not installed the workload writes to the file itself and the agent's trims have to do.
 */
#ifndef PH_AGENT_WORK_LOG_H
#define PH_AGENT_WORK_LOG_H

#include <stddef.h>

/* Cuts a log over the limit to its newer half, at the start of a line. Called now and then by the agent. */
void ph_work_log_trim(const char *path, size_t limit);
/* Moves what comes from in_fd to the log until its end; the file never exceeds limit. 0 or -errno. */
int ph_work_log_pump(int in_fd, const char *path, size_t limit);

#endif
