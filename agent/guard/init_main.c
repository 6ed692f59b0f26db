/*
 * poolherd-init LEASE-PAGE GENERATION CGROUP: process 1 of a pool's PID namespace. Started by the agent, see
 * agent/work/space.h. Reaps what is orphaned in the namespace; at the end of the lease, whether a guard does
 * the same or not, kills the pool's cgroup and ends, upon which the kernel ends the namespace.
 *
 * No signal from inside the namespace ends it, nor one from outside but SIGKILL. It opens nothing later, asks
 * for no memory later, and waits for nobody.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/guard/lease_page.h"
#include "agent/guard/system.h"
#include "base/clock.h"
#include "base/log.h"
#include "poolherd/limits.h"

#define BLIND_MS 10 /* without a timer that knows of suspends */

static int child_pipe[2];

static void on_child(int number)
{
    int saved = errno;
    ssize_t written = write(child_pipe[1], "c", 1);
    (void)written;
    (void)number;
    errno = saved;
}

static int signals_set(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    for (int number = 1; number < 32; number++)
        if (number != SIGKILL && number != SIGSTOP && number != SIGCHLD)
            sigaction(number, &action, NULL);
    if (pipe(child_pipe) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(child_pipe[i], F_SETFL, O_NONBLOCK);
        fcntl(child_pipe[i], F_SETFD, FD_CLOEXEC);
    }
    action.sa_handler = on_child;
    action.sa_flags = SA_NOCLDSTOP;
    return sigaction(SIGCHLD, &action, NULL) != 0 ? -errno : 0;
}

static void reap(void)
{
    char bytes[64];
    while (read(child_pipe[0], bytes, sizeof bytes) > 0)
        ;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
}

/* Returns at the end of the lease. */
static void wait_for_the_end(struct ph_lease_page *page, int64_t generation)
{
    int timer_fd = ph_guard_timer_open();
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        if (!ph_lease_valid(page, generation, now_ms)) {
            int64_t ended;
            /* As the guard does: what one of us has seen to be over is not extended behind its back. */
            (void)ph_lease_end_if_over(page, now_ms, &ended);
            return;
        }
        struct pollfd polls[] = {
            {.fd = timer_fd, .events = POLLIN}, {.fd = child_pipe[0], .events = POLLIN}};
        if (timer_fd >= 0)
            ph_guard_timer_set(timer_fd, atomic_load(&page->deadline_ms));
        if (poll(polls, 2, timer_fd >= 0 ? -1 : BLIND_MS) < 0)
            reap(); /* a signal: most likely a child's */
        if (polls[1].revents != 0)
            reap();
    }
}

int main(int argc, char **argv)
{
    struct ph_lease_page *page;
    char kill_path[PATH_MAX], *end = NULL;
    long long generation = argc == 4 ? strtoll(argv[2], &end, 10) : 0;
    if (argc != 4 || *end != '\0' || generation <= 0 ||
        snprintf(kill_path, sizeof kill_path, "%s/cgroup.kill", argv[3]) >= PATH_MAX) {
        fputs("usage: poolherd-init LEASE-PAGE GENERATION CGROUP   (started by poolherd-agent)\n",
            stderr);
        return 2;
    }
    ph_log_init("poolherd-init", PH_LOG_NOTICE);
    int rv = signals_set();
    if (rv == 0)
        rv = ph_lease_page_open(argv[1], &page);
    if (rv != 0) {
        fprintf(stderr, "poolherd-init: %s: %s\n", argv[1], strerror(-rv));
        return 1;
    }
    int kill_fd = open(kill_path, O_WRONLY | O_CLOEXEC); /* not before Linux 5.14 */
    ph_guard_protect();
    wait_for_the_end(page, generation);
    if (kill_fd >= 0) {
        ssize_t written = write(kill_fd, "1", 1);
        (void)written;
    }
    return 0; /* and with this process the namespace */
}
