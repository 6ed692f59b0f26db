#include "agent/work/system.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

void ph_work_child_plain(void)
{
}

int ph_work_space_enter(int init_fd, pid_t *pid_out)
{
    (void)init_fd;
    (void)pid_out;
    return -ENOTSUP;
}

int ph_work_space_make(pid_t *pid_out)
{
    (void)pid_out;
    return -ENOTSUP;
}

int ph_work_space_settle(void)
{
    return -ENOTSUP;
}

int ph_work_pid_open(pid_t pid)
{
    (void)pid;
    return -1;
}

int ph_work_pid_signal(const struct ph_work_process *process, int number)
{
    if (process->pid <= 1)
        return -ESRCH;
    return kill(process->pid, number) != 0 ? -errno : 0;
}

bool ph_work_pid_in_cgroup(pid_t pid, const char *path)
{
    (void)pid;
    (void)path;
    return false;
}

int ph_work_pid_wait(const struct ph_work_process *process, int *exit_status_out)
{
    int status;
    pid_t ended = waitpid(process->pid, &status, WNOHANG);
    if (ended < 0)
        return -errno;
    if (ended == 0)
        return -EAGAIN;
    *exit_status_out = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    return 0;
}
