#include "agent/pools/freeze.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/child_fds.h"

#define BEGIN_MS 30000 /* to become frozen: a disk that takes longer has other troubles */

/* What the helper says, one byte each. */
enum word { FROZEN = 'f', REFUSED = 'r', THAWED = 't', TOO_LATE = 'l' };

/* In the helper: descriptors 3 (the mount) and 4 (to the agent), and only calls that are safe after a fork
 * of a process with threads. */
static _Noreturn void run_helper(uint32_t limit_ms)
{
    struct pollfd item = {.fd = 4, .events = POLLIN};
    unsigned char words[2] = {FROZEN, 0};
    int got;

    /* Whoever ends the agent's process group must not leave the file system frozen. */
    setsid();
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    if (ioctl(3, FIFREEZE, 0) != 0) {
        words[0] = REFUSED;
        words[1] = (unsigned char)errno;
        (void)!write(4, words, 2);
        _exit(1);
    }
    (void)!write(4, words, 2);
    do
        got = poll(&item, 1, (int)limit_ms);
    while (got < 0 && errno == EINTR);
    if (got > 0) /* unread it would make the agent lose our answer (ECONNRESET) */
        (void)!read(4, &words[1], 1);
    words[0] = got == 0 ? TOO_LATE : THAWED;
    (void)ioctl(3, FITHAW, 0);
    (void)!write(4, words, 2);
    _exit(0);
}

static pid_t start_helper(int mount_fd, int talk_fd, uint32_t limit_ms)
{
    pid_t pid = fork();

    if (pid != 0)
        return pid;
    /* Above the two places first, so that neither lands on the other. */
    int mount_copy = fcntl(mount_fd, F_DUPFD, 10), talk_copy = fcntl(talk_fd, F_DUPFD, 10);
    if (mount_copy < 0 || talk_copy < 0 || dup2(mount_copy, 3) < 0 || dup2(talk_copy, 4) < 0)
        _exit(1);
    ph_child_close_from(5);
    run_helper(limit_ms);
}

static bool is_top_of_mount(int fd)
{
    struct stat here, above;
    return fstat(fd, &here) == 0 && fstatat(fd, "..", &above, 0) == 0 &&
           here.st_dev != above.st_dev;
}

/* Reads the helper's next words; 0, -ETIMEDOUT, -EPIPE when it is gone. */
static int hear(int fd, int timeout_ms, unsigned char words[2])
{
    struct pollfd item = {.fd = fd, .events = POLLIN};
    int got;

    do
        got = poll(&item, 1, timeout_ms);
    while (got < 0 && errno == EINTR);
    if (got <= 0)
        return got == 0 ? -ETIMEDOUT : -errno;
    ssize_t bytes = recv(fd, words, 2, 0);
    return bytes == 2 ? 0 : -EPIPE;
}

static void finish(struct ph_freeze *freeze)
{
    close(freeze->talk_fd); /* which ends it, were it still there */
    while (waitpid(freeze->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    close(freeze->fd);
}

int ph_freeze_begin(
    struct ph_freeze *freeze, const char *path, uint32_t limit_ms, struct ph_error *error)
{
    unsigned char words[2] = {0, 0};
    int talk[2], rv = 0;

    freeze->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (freeze->fd < 0) {
        rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "cannot freeze %s: %s", path, strerror(-rv));
        return rv;
    }
    if (!is_top_of_mount(freeze->fd)) {
        close(freeze->fd);
        ph_error_set(error, PH_STATE_FORBIDS, NULL, "nothing is mounted on %s", path);
        return -ENODATA;
    }
    if (syncfs(freeze->fd) != 0)
        rv = -errno;
    if (rv == 0 && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, talk) != 0)
        rv = -errno;
    if (rv != 0) {
        close(freeze->fd);
        ph_error_set(error, PH_FAILED, NULL, "cannot freeze %s: %s", path, strerror(-rv));
        return rv;
    }
    freeze->talk_fd = talk[0];
    freeze->pid = start_helper(freeze->fd, talk[1], limit_ms);
    rv = freeze->pid < 0 ? -errno : 0;
    close(talk[1]);
    if (rv != 0) {
        close(talk[0]);
        close(freeze->fd);
    } else {
        rv = hear(talk[0], BEGIN_MS, words);
        if (rv == 0 && words[0] != FROZEN)
            rv = -(int)words[1];
        if (rv != 0)
            finish(freeze);
    }
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "cannot freeze %s: %s", path, strerror(-rv));
    return rv;
}

int ph_freeze_end(struct ph_freeze *freeze)
{
    unsigned char words[2] = {0, 0};
    int rv = 0;

    if (send(freeze->talk_fd, "t", 1, MSG_NOSIGNAL) == 1)
        rv = hear(freeze->talk_fd, BEGIN_MS, words);
    else
        rv = hear(freeze->talk_fd, 0, words); /* it said so before it ended */
    if (rv != 0) {
        (void)ioctl(freeze->fd, FITHAW, 0); /* it was killed, perhaps */
        rv = -EIO;
    } else if (words[0] != THAWED) {
        rv = -ETIMEDOUT;
    }
    finish(freeze);
    return rv;
}
