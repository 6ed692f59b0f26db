#include "manager/serve/wakeup.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stop_asked, reload_asked;
static int signal_fd = -1;

static void on_signal(int number)
{
    int saved = errno;
    ssize_t written;

    if (number == SIGHUP) {
        reload_asked = 1;
    } else {
        stop_asked = 1;
    }
    written = write(signal_fd, "s", 1); /* a full pipe wakes the loop as well */
    (void)written;
    errno = saved;
}

int serve_wakeup_init(struct serve_wakeup *wakeup)
{
    static const int taken[] = {SIGTERM, SIGINT, SIGHUP};
    struct sigaction action;
    int fds[2], i;

    wakeup->read_fd = wakeup->write_fd = -1;
    atomic_init(&wakeup->pending, false);
    if (pipe(fds) != 0) {
        return -errno;
    }
    for (i = 0; i < 2; i++) {
        if (fcntl(fds[i], F_SETFD, FD_CLOEXEC) != 0 || fcntl(fds[i], F_SETFL, O_NONBLOCK) != 0) {
            int rv = -errno;

            close(fds[0]);
            close(fds[1]);
            return rv;
        }
    }
    wakeup->read_fd = fds[0];
    wakeup->write_fd = fds[1];
    signal_fd = fds[1];
    stop_asked = reload_asked = 0;
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = on_signal;
    action.sa_flags = SA_RESTART;
    for (i = 0; i < 3; i++) {
        sigaction(taken[i], &action, NULL);
    }
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    return 0;
}

void serve_wakeup_fini(struct serve_wakeup *wakeup)
{
    struct sigaction action;

    if (wakeup->read_fd < 0) {
        return;
    }
    memset(&action, 0, sizeof action);
    sigemptyset(&action.sa_mask);
    action.sa_handler = SIG_IGN; /* the end has begun; a second SIGTERM changes nothing */
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    close(wakeup->read_fd);
    close(wakeup->write_fd);
    wakeup->read_fd = wakeup->write_fd = -1;
}

void serve_wakeup_ring(struct serve_wakeup *wakeup)
{
    if (!atomic_exchange(&wakeup->pending, true)) {
        ssize_t written = write(wakeup->write_fd, "w", 1);
        (void)written;
    }
}

void serve_wakeup_clear(struct serve_wakeup *wakeup)
{
    char bytes[64];

    while (read(wakeup->read_fd, bytes, sizeof bytes) > 0) {
    }
    atomic_store(&wakeup->pending, false);
}

bool serve_signal_stop(void)
{
    return stop_asked != 0;
}

bool serve_signal_reload(void)
{
    bool asked = reload_asked != 0;

    reload_asked = 0;
    return asked;
}
