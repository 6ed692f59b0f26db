#include "agent/guard/process.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

int ph_process_parse(const char *line, struct ph_process *process_out)
{
    long pid, group, session, threads;
    unsigned long long start_time;
    char state;
    /* The name may hold anything, blanks and parentheses too: the last ")" ends it. */
    const char *rest = strrchr(line, ')');
    /* NOLINTNEXTLINE(cert-err34-c): the kernel wrote the line, and the ranges are checked below */
    if (rest == NULL || sscanf(line, "%ld", &pid) != 1)
        return -EINVAL;
    /* NOLINTNEXTLINE(cert-err34-c): likewise */
    if (sscanf(rest + 1,
            " %c %*d %ld %ld %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d %ld %*d %llu",
            &state, &group, &session, &threads, &start_time) != 5)
        return -EINVAL;
    if (pid <= 0 || pid > INT32_MAX || group < 0 || group > INT32_MAX || session < 0 ||
        session > INT32_MAX)
        return -EINVAL;
    *process_out = (struct ph_process){.pid = (pid_t)pid,
        .group = (pid_t)group,
        .session = (pid_t)session,
        .state = state,
        .threads = threads,
        .start_time = start_time};
    return 0;
}

bool ph_process_alive(const struct ph_process *process)
{
    if (process->state == 'X' || process->state == 'x')
        return false;
    /* A leader that left its other threads running looks ended, and is not. */
    return process->state != 'Z' || process->threads > 1;
}
