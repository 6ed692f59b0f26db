/*
 * What every driver does with a command once it has one: run it in the VM's cgroup with its output in the
 * VM's log, known to guard and pid file before its first instruction; find it again; end all of it. Not
 * pure; thread-safe. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_RUN_H
#define PH_AGENT_WORK_RUN_H

#include <stdbool.h>
#include "agent/work/command.h"

/* As a driver's start(): 0 once exec succeeded. What an earlier run of the VM left is killed first. */
int ph_run_start(const struct ph_work_context *context, const struct ph_command *command,
    const char *directory, struct ph_work_process *process_out, struct ph_error *error);
/* As a driver's adopt(). */
int ph_run_adopt(const struct ph_work_context *context, struct ph_work_process *process_out);
/* Whether the first process has ended, waiting at most timeout_ms for it (less without a pid_fd). */
bool ph_run_ended(const struct ph_work_process *process, int timeout_ms);

/* Asks the VM to end and waits as long as its declaration allows; what it leaves is killed then. */
typedef void ph_run_politely(
    const struct ph_work_context *context, const struct ph_work_process *process);
/* Sends its stop_signal to its first process. */
ph_run_politely ph_run_signal;
/* As a driver's stop(). politely NULL: it is killed at once. */
int ph_run_stop(const struct ph_work_context *context, struct ph_work_process *process,
    ph_run_politely *politely, struct ph_error *error);

/* ---- what it said when it could not be started */

/* How long the log is now. */
off_t ph_run_log_end(const struct ph_work_context *context);
/* The last line that was written to it since `from`, printable. False: none. */
bool ph_run_last_line(const struct ph_work_context *context, off_t from, char *out, size_t size);
/* Ends a VM that was started and is of no use, and forgets it: closes pid_fd, *process is empty. */
void ph_run_give_up(const struct ph_work_context *context, struct ph_work_process *process);

#endif
