/* Systems without Linux's /proc: groups alone. FreeBSD's kinfo_proc will find marks and start times. */
#include "agent/guard/process.h"

#include <errno.h>
#include <signal.h>

int ph_process_read(pid_t pid, struct ph_process *process_out)
{
    if (kill(pid, 0) != 0 && errno == ESRCH)
        return -ESRCH;
    *process_out = (struct ph_process){.pid = pid, .group = pid, .session = pid, .state = 'S'};
    return 0;
}

int ph_process_marks(pid_t pid, struct ph_process_marks *marks_out)
{
    (void)pid;
    *marks_out = (struct ph_process_marks){{0}, {0}};
    return -ENOTSUP;
}

int ph_process_kill(const struct ph_process *process)
{
    return kill(process->pid, SIGKILL) != 0 ? -errno : 0;
}

int ph_process_each(void (*visit)(const struct ph_process *process, void *argument), void *argument)
{
    (void)visit;
    (void)argument;
    return -ENOTSUP;
}

bool ph_group_alive(pid_t group)
{
    return group > 1 && (kill(-group, 0) == 0 || errno != ESRCH);
}

int ph_group_kill(pid_t group, uint64_t start_time)
{
    (void)start_time;
    if (group <= 1)
        return -ESRCH;
    return kill(-group, SIGKILL) != 0 ? -errno : 0;
}

void ph_boot_id(char *out, size_t size)
{
    (void)size;
    out[0] = '\0';
}
