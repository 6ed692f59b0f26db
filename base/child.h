/*
 * Children without a shell: argv vectors, close-on-exec everywhere, a time limit on each, output
 * bounded. Not pure. Linux and BSD alike (posix only).
 */
#ifndef PH_BASE_CHILD_H
#define PH_BASE_CHILD_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct ph_child_result {
    int exit_status; /* 0..255, or -1 when a signal or the time limit ended it */
    int signal;      /* the signal that ended it, else 0 */
    int timed_out;   /* 1 when the limit did */
    size_t output_bytes;
    char output[8192]; /* stdout and stderr together: the last bytes, terminated */
};

/* Runs argv (NULL-terminated, found on PATH) in its own process group with stdin from input (may be
 * NULL: /dev/null), waits at most timeout_ms, then kills the group. environment: NULL inherits.
 * Safe to call from any thread. 0 when it ran, whatever its exit status; -errno when it could not
 * be started (-ENOENT: no such program). */
int ph_child_run(const char *const *argv, const char *const *environment, const char *input,
    uint32_t timeout_ms, struct ph_child_result *result);

/* Starts argv in its own process group with the given fds as stdin/stdout/stderr (-1: /dev/null);
 * everything else is closed in the child. 0 and *pid_out, or -errno. The caller waits for it. */
int ph_child_start(const char *const *argv, const char *const *environment, int in_fd, int out_fd,
    int error_fd, pid_t *pid_out);

#endif
