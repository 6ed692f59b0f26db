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
#include "base/file.h"
#include "base/text.h"

#define GUARD_PRIORITY 50
#define WATCHDOG_PERIOD_MS 1000 /* for a stand-in without a time-out of its own */
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

static void write_once(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    ssize_t written = write(fd, text, strlen(text));
    (void)written; /* not allowed: then without */
    close(fd);
}

void ph_guard_protect(void)
{
    struct sched_param parameters = {.sched_priority = GUARD_PRIORITY};
    struct rlimit unlimited = {RLIM_INFINITY, RLIM_INFINITY};
    bool locked_unlimited = setrlimit(RLIMIT_MEMLOCK, &unlimited) == 0;
    /* Under a limit, MCL_FUTURE would make malloc() fail once it is reached. */
    mlockall(locked_unlimited ? MCL_CURRENT | MCL_FUTURE : MCL_CURRENT);
    sched_setscheduler(0, SCHED_FIFO, &parameters);
    write_once("/proc/self/oom_score_adj", "-1000");
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

int ph_guard_watchdog_open(const char *device, int *fd_out, uint64_t *period_ms_out)
{
    int seconds = 0;
    int fd = open(device, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return -errno;
    *period_ms_out = WATCHDOG_PERIOD_MS;
    if (ioctl(fd, WDIOC_GETTIMEOUT, &seconds) == 0 && seconds > 0)
        *period_ms_out = (uint64_t)seconds * 1000 / 4;
    *fd_out = fd;
    return 0;
}
