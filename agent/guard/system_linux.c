#include "agent/guard/system.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/watchdog.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "agent/guard/watchdog.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text.h"

#define GUARD_PRIORITY 50
#define UNMOUNT_LAYERS_MAX 64

int ph_guard_address(
    const char *directory, const char *name, struct sockaddr_un *address_out, int *fd_out)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    *address_out = (struct sockaddr_un){.sun_family = AF_UNIX};
    ph_text_format(
        address_out->sun_path, sizeof address_out->sun_path, "/proc/self/fd/%d/%s", fd, name);
    *fd_out = fd;
    return 0;
}

int ph_guard_check_peer(int socket_fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (getsockopt(socket_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return -errno;
    return peer.uid == geteuid() || peer.uid == 0 ? 0 : -EPERM;
}

int ph_guard_timer_open(void)
{
    return timerfd_create(CLOCK_BOOTTIME, TFD_CLOEXEC | TFD_NONBLOCK);
}

void ph_guard_timer_set(int fd, uint64_t at_ms)
{
    /* All zero would disarm it. */
    struct itimerspec at = {.it_value = {.tv_sec = (time_t)(at_ms / 1000),
                                .tv_nsec = (long)(at_ms % 1000) * 1000000 + 1}};
    timerfd_settime(fd, TFD_TIMER_ABSTIME, &at, NULL);
}

static int write_once(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rv = write(fd, text, strlen(text)) < 0 ? -errno : 0;
    close(fd);
    return rv;
}

/* Not allowed is no error: the guard does without, and says what that means. */
static void protected_by(const char *what, int rv, const char *otherwise)
{
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "not_protected", "what=%s error=\"%s\" text=\"%s\"", what,
            strerror(-rv), otherwise);
}

void ph_guard_protect(void)
{
    struct sched_param parameters = {.sched_priority = GUARD_PRIORITY};
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    bool locked_unlimited = setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
    /* Under a limit, MCL_FUTURE would make malloc() fail once it is reached. */
    int locked = mlockall(locked_unlimited ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT);
    protected_by("locked-memory", locked != 0 ? -errno : 0,
        "a machine that swaps may delay the end of a lease; run as root or raise LimitMEMLOCK");
    protected_by("real-time", sched_setscheduler(0, SCHED_FIFO, &parameters) != 0 ? -errno : 0,
        "a busy machine may delay the end of a lease; run as root or raise LimitRTPRIO");
    protected_by("out-of-memory", write_once("/proc/self/oom_score_adj", "-1000"),
        "a machine out of memory may kill the guard; run as root");
}

static bool on_tmpfs(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == TMPFS_MAGIC;
}

int ph_guard_state_make(const char *run_directory)
{
    char state[PATH_MAX], memory[] = "/dev/shm/poolherd-XXXXXX";
    struct stat status;
    int rv = ph_path_join(state, sizeof state, run_directory, "state");
    if (rv != 0)
        return rv;
    if (stat(state, &status) == 0)
        return S_ISDIR(status.st_mode) && status.st_uid == geteuid() ? 0 : -EPERM;
    unlink(state); /* a link into a tmpfs that went with the last boot */
    if (!on_tmpfs(run_directory) && on_tmpfs("/dev/shm") && mkdtemp(memory) != NULL) {
        rv = ph_guard_state_sign(memory, run_directory);
        if (rv == 0 && symlink(memory, state) != 0)
            rv = -errno;
        if (rv != 0)
            ph_tree_remove(memory);
        return rv;
    }
    return mkdir(state, 0700) != 0 ? -errno : 0;
}

void ph_guard_state_remove(const char *run_directory)
{
    char state[PATH_MAX], real[PATH_MAX];
    if (ph_path_join(state, sizeof state, run_directory, "state") != 0 ||
        realpath(state, real) == NULL)
        return;
    ph_tree_remove(real);
    unlink(state);
}

int ph_guard_unmount(const char *path)
{
    for (int layer = 0; layer < UNMOUNT_LAYERS_MAX; layer++)
        if (umount2(path, UMOUNT_NOFOLLOW) != 0)
            return errno == EINVAL || errno == ENOENT ? 0 : -errno;
    return -EBUSY;
}

int ph_watchdog_system_set(int fd, int wanted_s, int *seconds_out, const char **step_out)
{
    int seconds = wanted_s;
    *step_out = "WDIOC_SETTIMEOUT";
    if (wanted_s > 0 && ioctl(fd, WDIOC_SETTIMEOUT, &seconds) != 0)
        return -errno;
    /* What it was rounded to, or what it always has. */
    *step_out = "WDIOC_GETTIMEOUT";
    if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) != 0)
        return -errno;
    *seconds_out = seconds;
    return seconds > 0 ? 0 : -ERANGE;
}
