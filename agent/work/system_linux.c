#include "agent/work/system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/guard/process.h"

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

void ph_work_child_plain(void)
{
    /* A unit may protect the agent from the out-of-memory killer; what it starts is not to inherit that. */
    int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t written = write(fd, "0", 1);
        (void)written;
        close(fd);
    }
    struct sched_param parameters = {.sched_priority = 0};
    if (sched_getscheduler(0) != SCHED_OTHER)
        sched_setscheduler(0, SCHED_OTHER, &parameters);
}

/* Like fork(), by the system call alone: the C library's would run what others registered with it. */
static int clone_plain(uint64_t flags, uint64_t exit_signal, pid_t *pid_out)
{
    struct clone_args arguments = {.flags = flags, .exit_signal = exit_signal};
    long pid = syscall(SYS_clone3, &arguments, sizeof arguments);
    if (pid < 0)
        return -errno;
    *pid_out = (pid_t)pid;
    return 0;
}

int ph_work_space_enter(int init_fd, pid_t *pid_out)
{
    if (setns(init_fd, CLONE_NEWPID | CLONE_NEWNS) != 0)
        return -errno;
    return clone_plain(CLONE_PARENT, 0, pid_out); /* its signal is then ours, SIGCHLD */
}

int ph_work_space_make(pid_t *pid_out)
{
    if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return -errno;
    return clone_plain(0, SIGCHLD, pid_out);
}

int ph_work_space_settle(void)
{
    return mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) != 0 ? -errno : 0;
}

int ph_work_pid_open(pid_t pid)
{
    return (int)syscall(SYS_pidfd_open, pid, 0u); /* close-on-exec by itself */
}

int ph_work_pid_signal(const struct ph_work_process *process, int number)
{
    struct ph_process now;
    if (process->pid_fd >= 0) {
        if (syscall(SYS_pidfd_send_signal, process->pid_fd, number, NULL, 0u) == 0)
            return 0;
        if (errno != ENOSYS)
            return -errno;
    }
    if (process->pid <= 1 || ph_process_read(process->pid, &now) != 0 ||
        now.start_time != process->start_time)
        return -ESRCH;
    return kill(process->pid, number) != 0 ? -errno : 0;
}

bool ph_work_pid_in_cgroup(pid_t pid, const char *path)
{
    char file[64], line[PATH_MAX + 8];
    bool found = false;
    size_t path_bytes = strlen(path);
    snprintf(file, sizeof file, "/proc/%ld/cgroup", (long)pid);
    FILE *stream = fopen(file, "re");
    if (stream == NULL)
        return false;
    while (fgets(line, sizeof line, stream) != NULL) {
        const char *name = line + 3; /* "0::/system.slice/.../pool-web/vm-web" */
        size_t bytes = strcspn(line, "\n") - 3;
        if (strncmp(line, "0::/", 4) != 0 || bytes <= 1 || bytes > path_bytes)
            continue;
        /* path is the mount point and this name. */
        found = strncmp(path + path_bytes - bytes, name, bytes) == 0;
    }
    fclose(stream);
    return found;
}

int ph_work_pid_wait(const struct ph_work_process *process, int *exit_status_out)
{
    siginfo_t info = {.si_pid = 0};
    int rv;
    do
        rv = process->pid_fd >= 0
                 ? waitid((idtype_t)P_PIDFD, (id_t)process->pid_fd, &info, WEXITED | WNOHANG)
                 : waitid(P_PID, (id_t)process->pid, &info, WEXITED | WNOHANG);
    while (rv != 0 && errno == EINTR);
    if (rv != 0)
        return -errno;
    if (info.si_pid == 0)
        return -EAGAIN;
    *exit_status_out = info.si_code == CLD_EXITED ? info.si_status : -1;
    return 0;
}
