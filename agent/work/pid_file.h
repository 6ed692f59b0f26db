/*
 * RUN/VM.pid: which process a VM's first one is, for the agent that follows a killed one:
 *     poolherd-pid 1 PID START-TIME BOOT-ID
 * Survives the agent, not a power cut, and says so by the boot id. Parse is pure. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_PID_FILE_H
#define PH_AGENT_WORK_PID_FILE_H

#include <stdint.h>
#include <sys/types.h>

int ph_pid_file_write(const char *directory, const char *vm, pid_t pid, uint64_t start_time);
/* 0; -ENOENT: there is none, it is malformed, or of another boot. */
int ph_pid_file_read(
    const char *directory, const char *vm, pid_t *pid_out, uint64_t *start_time_out);
void ph_pid_file_remove(const char *directory, const char *vm);
/* 0 or -ENOENT. */
int ph_pid_file_parse(
    const char *text, const char *boot_id, pid_t *pid_out, uint64_t *start_time_out);

#endif
