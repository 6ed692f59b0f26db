#include "base/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/child_fds.h"
#include "base/clock.h"

extern char **environ;

/* Finds `name` on PATH before the fork: execvp() is not async-signal-safe, and other threads may
 * hold locks at the fork. 0 or -errno. */
static int find_program(const char *name, char *out, size_t size)
{
    const char *at = getenv("PATH");
    struct stat status;
    int rv = -ENOENT;

    if (strchr(name, '/') != NULL) {
        int wanted = snprintf(out, size, "%s", name);
        return wanted >= 0 && (size_t)wanted < size ? 0 : -ENAMETOOLONG;
    }
    if (name[0] == '\0')
        return -ENOENT;
    if (at == NULL || at[0] == '\0')
        at = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    for (;;) {
        size_t bytes = strcspn(at, ":");
        int wanted = snprintf(out, size, "%.*s/%s", (int)bytes, at, name);
        /* An empty entry would mean the current directory: nothing is ever run from there. */
        if (bytes > 0 && wanted >= 0 && (size_t)wanted < size && stat(out, &status) == 0 &&
            S_ISREG(status.st_mode)) {
            if (access(out, X_OK) == 0)
                return 0;
            rv = -EACCES;
        }
        if (at[bytes] == '\0')
            return rv;
        at += bytes + 1;
    }
}

struct start {
    const char *path;
    char *const *argv;
    char *const *environment;
    int fds[3];
    int report_fd; /* tells the parent the errno of a failed exec */
};

/* Between fork and exec: async-signal-safe calls only. */
static _Noreturn void run_in_child(struct start *start)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    int error;

    setpgid(0, 0);
    /* The parent blocks signals for its signalfd and ignores SIGPIPE; a child must not inherit it. */
    for (int number = 1; number < 65; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);

    int null_fd = open("/dev/null", O_RDWR);
    if (null_fd < 0)
        goto failed;
    /* First out of the way of 0..2, then into place. */
    for (int i = 0; i < 3; i++) {
        start->fds[i] = fcntl(start->fds[i] >= 0 ? start->fds[i] : null_fd, F_DUPFD, 10);
        if (start->fds[i] < 0)
            goto failed;
    }
    int report = fcntl(start->report_fd, F_DUPFD, 10);
    if (report < 0)
        goto failed;
    start->report_fd = report;
    for (int i = 0; i < 3; i++) {
        if (dup2(start->fds[i], i) < 0)
            goto failed;
    }
    report = dup2(start->report_fd, 3);
    if (report < 0 || fcntl(report, F_SETFD, FD_CLOEXEC) != 0)
        goto failed;
    start->report_fd = report;
    ph_child_close_from(4);
    execve(start->path, start->argv, start->environment);

failed:
    error = errno;
    ssize_t written = write(start->report_fd, &error, sizeof error);
    (void)written;
    _exit(127);
}

static int pipe_close_on_exec(int fds[2])
{
    if (pipe(fds) != 0)
        return -errno;
    /* A fork of another thread in between cannot leak them: children close everything. */
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    return 0;
}

/* The one place that drops const: execve() takes char *const[] for reasons of history and changes
 * nothing. */
static char *const *as_vector(const char *const *vector)
{
    union {
        const char *const *given;
        char *const *wanted;
    } either = {.given = vector};
    return either.wanted;
}

int ph_child_start(const char *const *argv, const char *const *environment, int in_fd, int out_fd,
    int error_fd, pid_t *pid_out)
{
    char path[4096];
    int report[2], error = 0;
    sigset_t all, before;

    if (argv[0] == NULL)
        return -EINVAL;
    int rv = find_program(argv[0], path, sizeof path);
    if (rv != 0)
        return rv;
    rv = pipe_close_on_exec(report);
    if (rv != 0)
        return rv;
    struct start start = {.path = path,
        .argv = as_vector(argv),
        .environment = environment != NULL ? as_vector(environment) : environ,
        .fds = {in_fd, out_fd, error_fd},
        .report_fd = report[1]};

    /* No handler of the parent may run in the child before its dispositions are reset. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = fork();
    if (pid == 0)
        run_in_child(&start);
    int fork_error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(report[1]);
    if (pid < 0) {
        close(report[0]);
        return -fork_error;
    }
    setpgid(pid, pid); /* both sides do it, so that it holds for whoever looks first */

    ssize_t got;
    do
        got = read(report[0], &error, sizeof error);
    while (got < 0 && errno == EINTR);
    close(report[0]);
    if (got == (ssize_t)sizeof error) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        return -error;
    }
    *pid_out = pid;
    return 0;
}

struct exchange {
    int in_fd;  /* our end of the child's stdin, or -1 */
    int out_fd; /* our end of its output, or -1 */
    const char *input;
    size_t input_left;
    struct ph_child_result *result;
};

/* Keeps the last bytes. */
static void keep_output(struct ph_child_result *result, const char *bytes, size_t count)
{
    size_t room = sizeof result->output - 1;

    if (count > room) {
        bytes += count - room;
        count = room;
    }
    if (result->output_bytes + count > room) {
        size_t dropped = result->output_bytes + count - room;
        memmove(result->output, result->output + dropped, result->output_bytes - dropped);
        result->output_bytes -= dropped;
    }
    memcpy(result->output + result->output_bytes, bytes, count);
    result->output_bytes += count;
}

/* Moves what can be moved without waiting. */
static void transfer(struct exchange *exchange)
{
    char buffer[4096];

    while (exchange->in_fd >= 0) {
        /* A socket, not a pipe, because only send() can do without SIGPIPE. */
        ssize_t sent = exchange->input_left == 0
                           ? 0
                           : send(exchange->in_fd, exchange->input, exchange->input_left,
                                 MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (sent > 0) {
            exchange->input += sent;
            exchange->input_left -= (size_t)sent;
        }
        if (sent < 0 || exchange->input_left == 0) {
            close(exchange->in_fd);
            exchange->in_fd = -1;
        }
    }
    /* Bounded, so that a child that never stops talking meets its time limit. */
    for (int round = 0; exchange->out_fd >= 0 && round < 64; round++) {
        ssize_t got = read(exchange->out_fd, buffer, sizeof buffer);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (got <= 0) {
            close(exchange->out_fd);
            exchange->out_fd = -1;
            break;
        }
        keep_output(exchange->result, buffer, (size_t)got);
    }
}

/* Waits for the child's end or the limit. Some child may hold the output open beyond its own end (a
 * daemon it left) or close it before, so both are watched: the output by poll(), the end by
 * waitpid() at each wake-up, at least every 20 ms. */
static int watch(struct exchange *exchange, pid_t pid, uint64_t deadline_ms, bool *timed_out)
{
    int status = 0, step_ms = 1;

    for (;;) {
        struct pollfd polls[2];
        nfds_t count = 0;

        transfer(exchange);
        pid_t ended = waitpid(pid, &status, WNOHANG);
        if (ended == pid)
            break;
        if (ended < 0 && errno != EINTR)
            return -1; /* somebody else reaped it */
        uint64_t now = ph_clock_boot_ms();
        if (now >= deadline_ms) {
            *timed_out = true;
            kill(-pid, SIGKILL);
            while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
                ;
            break;
        }
        if (exchange->in_fd >= 0)
            polls[count++] = (struct pollfd){.fd = exchange->in_fd, .events = POLLOUT};
        if (exchange->out_fd >= 0)
            polls[count++] = (struct pollfd){.fd = exchange->out_fd, .events = POLLIN};
        uint64_t left = deadline_ms - now;
        int wait_ms = left < (uint64_t)step_ms ? (int)left : step_ms;
        poll(polls, count, wait_ms);
        if (step_ms < 20)
            step_ms *= 2;
    }
    transfer(exchange);
    return status;
}

int ph_child_run(const char *const *argv, const char *const *environment, const char *input,
    uint32_t timeout_ms, struct ph_child_result *result)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    struct exchange exchange = {.in_fd = -1, .out_fd = -1, .result = result};
    bool timed_out = false;
    pid_t pid = -1;
    int rv;

    result->exit_status = -1;
    result->signal = 0;
    result->timed_out = 0;
    result->output_bytes = 0;
    result->output[0] = '\0';
    uint64_t deadline_ms = ph_clock_boot_ms() + timeout_ms;

    rv = pipe_close_on_exec(out);
    if (rv == 0 && input != NULL && socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, in) != 0)
        rv = -errno;
    if (rv == 0)
        rv = ph_child_start(argv, environment, in[0], out[1], out[1], &pid);
    if (in[0] >= 0)
        close(in[0]);
    if (out[1] >= 0)
        close(out[1]);
    if (rv != 0) {
        if (in[1] >= 0)
            close(in[1]);
        if (out[0] >= 0)
            close(out[0]);
        return rv;
    }
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    exchange.in_fd = in[1];
    exchange.out_fd = out[0];
    exchange.input = input;
    exchange.input_left = input != NULL ? strlen(input) : 0;

    int status = watch(&exchange, pid, deadline_ms, &timed_out);
    if (exchange.in_fd >= 0)
        close(exchange.in_fd);
    if (exchange.out_fd >= 0)
        close(exchange.out_fd);
    result->output[result->output_bytes] = '\0';
    result->timed_out = timed_out;
    if (status >= 0 && WIFSIGNALED(status))
        result->signal = WTERMSIG(status);
    else if (status >= 0 && !timed_out)
        result->exit_status = WEXITSTATUS(status);
    return 0;
}
