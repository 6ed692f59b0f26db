#include "agent/work/launch.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/work/system.h"
#include "base/child_fds.h"
#include "base/clock.h"
#include "base/file.h"

#define LAUNCH_TIMEOUT_MS 10000 /* a child that hangs on a dead disk before or in exec */
#define CHANNEL_FD 3            /* in the child */
#define CGROUP_FD 4
#define SPACE_FD 5

struct word {
    int stage; /* enum ph_launch_stage; -1: joined / go; -2: another process goes on, `error` is its pid */
    int error;
};
#define WORD_GO (-1)
#define WORD_MOVED (-2)

enum kind { WORKLOAD, INIT, COMPANION };

/* What the child needs, all of it made before the fork. */
struct child {
    const struct ph_launch *launch;
    int channel_fd, cgroup_fd, in_fd, out_fd;
    enum kind kind;
};

static _Noreturn void child_fail(enum ph_launch_stage stage, int error)
{
    struct word word = {(int)stage, error};
    ssize_t written = write(CHANNEL_FD, &word, sizeof word);
    (void)written;
    _exit(127);
}

/* Puts descriptors where the workload expects them and closes all others: a copy of another child's
 * channel, held here, would keep that child from noticing the agent's end. */
static int child_files(const struct child *child)
{
    const int space_fd = child->launch->space != NULL ? child->launch->space->pid_fd : -1;
    const int from[] = {
        child->in_fd, child->out_fd, child->out_fd, child->channel_fd, child->cgroup_fd, space_fd};
    int high[6];
    for (int i = 0; i < 6; i++) { /* first out of the way of 0..5, then into place */
        high[i] = from[i] < 0 ? -1 : fcntl(from[i], F_DUPFD, 10);
        if (from[i] >= 0 && high[i] < 0)
            return -errno;
    }
    for (int i = 0; i < 6; i++)
        if (high[i] >= 0 && dup2(high[i], i) < 0)
            return -errno;
    if (high[4] < 0)
        close(CGROUP_FD);
    ph_child_close_from(space_fd >= 0 ? SPACE_FD + 1 : SPACE_FD);
    if (child->cgroup_fd >= 0)
        fcntl(CGROUP_FD, F_SETFD, FD_CLOEXEC);
    if (space_fd >= 0)
        fcntl(SPACE_FD, F_SETFD, FD_CLOEXEC);
    fcntl(CHANNEL_FD, F_SETFD, FD_CLOEXEC);
    return 0;
}

static void child_signals(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigset_t none;
    for (int number = 1; number < 65; number++)
        sigaction(number, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Into the namespace: returns in the process that is in it, and ends the one that is not. */
static void child_move(const struct child *child)
{
    struct word word = {WORD_MOVED, 0};
    pid_t pid = 0;
    int rv = 0;
    if (child->kind == INIT)
        rv = ph_work_space_make(&pid);
    else if (child->launch->space != NULL)
        rv = ph_work_space_enter(SPACE_FD, &pid);
    if (rv != 0)
        child_fail(PH_LAUNCH_SPACE, -rv);
    if (pid > 0) {
        word.error = (int)pid;
        _exit(write(CHANNEL_FD, &word, sizeof word) == sizeof word ? 0 : 127);
    }
    if (child->kind == INIT && (rv = ph_work_space_settle()) != 0)
        child_fail(PH_LAUNCH_SPACE, -rv);
}

/* Between fork and exec: system calls only, since other threads may have held any lock. */
static _Noreturn void child_run(const struct child *child)
{
    const struct ph_launch *launch = child->launch;
    struct word word = {WORD_GO, 0};
    int rv = child_files(child), error = ENOENT;
    if (rv != 0)
        _exit(127); /* the channel's end says so */
    child_signals();
    umask(022);
    ph_work_child_plain();
    child_move(child);
    setsid();
    if (child->cgroup_fd >= 0 && write(CGROUP_FD, "0", 1) != 1)
        child_fail(PH_LAUNCH_CGROUP, errno);
    if (child->kind == COMPANION) {
        pid_t pid = fork();
        if (pid != 0)
            _exit(pid < 0 ? 127 : 0);
    }
    if (write(CHANNEL_FD, &word, sizeof word) != sizeof word)
        _exit(127);
    do
        rv = (int)read(CHANNEL_FD, &word, sizeof word);
    while (rv < 0 && errno == EINTR);
    if (rv != (int)sizeof word)
        _exit(127); /* the agent is gone, or does not want it */
    if (launch->page != NULL &&
        !ph_lease_valid(launch->page, launch->generation, ph_clock_boot_ms()))
        child_fail(PH_LAUNCH_LEASE, ESTALE);
    if (chdir(launch->directory) != 0)
        child_fail(PH_LAUNCH_DIRECTORY, errno);
    for (char **program = launch->command->programs; *program != NULL; program++) {
        execve(*program, launch->command->argv, launch->command->environment);
        int why = errno;
        /* Go on looking, but remember one that is there and may not be executed. Directories of a PATH that
         * are closed to this user say nothing about the program. */
        if (launch->command->programs[1] == NULL || access(*program, F_OK) == 0)
            error = why;
        if (why != ENOENT && why != ENOTDIR && why != EACCES) {
            error = why;
            break;
        }
    }
    child_fail(PH_LAUNCH_EXEC, error);
}

/* One word of the child; 0, -ECONNRESET at its end, -ETIMEDOUT. */
static int word_receive(int fd, uint64_t deadline_ms, struct word *word_out)
{
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        struct pollfd polls = {.fd = fd, .events = POLLIN};
        if (now_ms >= deadline_ms)
            return -ETIMEDOUT;
        if (poll(&polls, 1, (int)(deadline_ms - now_ms)) <= 0)
            continue;
        ssize_t got = recv(fd, word_out, sizeof *word_out, 0);
        if (got < 0 && errno == EINTR)
            continue;
        return got == (ssize_t)sizeof *word_out ? 0 : -ECONNRESET;
    }
}

static int failure(const struct ph_launch *launch, const struct word *word, struct ph_error *error)
{
    const char *reason = strerror(word->error), *program = launch->command->argv[0];
    switch ((enum ph_launch_stage)word->stage) {
    case PH_LAUNCH_SPACE:
        ph_error_set(
            error, PH_FAILED, NULL, "%s: no PID namespace can be used: %s", program, reason);
        break;
    case PH_LAUNCH_CGROUP:
        ph_error_set(
            error, PH_FAILED, NULL, "the cgroup %s cannot be joined: %s", launch->cgroup, reason);
        break;
    case PH_LAUNCH_LEASE:
        ph_error_set(
            error, PH_STATE_FORBIDS, NULL, "the lease ended before %s was started", program);
        break;
    case PH_LAUNCH_DIRECTORY:
        ph_error_set(error, PH_FAILED, NULL, "%s: %s", launch->directory, reason);
        break;
    case PH_LAUNCH_EXEC:
    default:
        ph_error_set(error, PH_FAILED, "command[0]", "%s cannot be executed: %s%s", program, reason,
            word->error == ENOENT && strchr(program, '/') == NULL ? " (looked for along PATH)"
                                                                  : "");
        break;
    }
    return -word->error;
}

/* "Joined" or why not, and from a child that moved also who goes on: in either order. *pid is 0 until that is
 * known; a child that could not move has ended, and tells nobody's pid. */
static int joined(int fd, uint64_t deadline_ms, pid_t *pid, struct word *word_out)
{
    bool said = false, failed = false;
    while (!said || *pid == 0) {
        struct word word;
        int rv = word_receive(fd, deadline_ms, &word);
        if (rv != 0)
            return failed && rv == -ECONNRESET ? 0 : rv;
        if (word.stage == WORD_MOVED) {
            *pid = (pid_t)word.error;
        } else {
            *word_out = word;
            said = true;
            failed = word.stage >= 0;
        }
    }
    return 0;
}

/* "Joined", registration, "go", and what came of it. */
static int handshake(const struct ph_launch *launch, pid_t *pid, int fd, struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + LAUNCH_TIMEOUT_MS;
    struct word word = {WORD_GO, 0};
    int rv = joined(fd, deadline_ms, pid, &word);
    if (rv == 0 && word.stage < 0) {
        if (launch->registered != NULL)
            rv = launch->registered(*pid, launch->argument, error);
        if (rv != 0)
            return rv;
        word = (struct word){WORD_GO, 0};
        if (send(fd, &word, sizeof word, MSG_NOSIGNAL) != (ssize_t)sizeof word)
            rv = -ECONNRESET;
        else
            rv = word_receive(fd, deadline_ms, &word);
        if (rv == -ECONNRESET)
            return 0; /* exec closed it; or it was killed, which its exit will tell */
    }
    if (rv == -ETIMEDOUT)
        ph_error_set(error, PH_FAILED, NULL, "%s was not started within %d s: does a disk hang?",
            launch->command->argv[0], LAUNCH_TIMEOUT_MS / 1000);
    else if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "%s was killed before it was started",
            launch->command->argv[0]);
    return rv != 0 ? rv : failure(launch, &word, error);
}

/* One that hangs in the kernel is left to be a zombie one day rather than waited for. */
static void wait_for(pid_t pid, int rv)
{
    while (waitpid(pid, NULL, rv == -ETIMEDOUT ? WNOHANG : 0) < 0 && errno == EINTR)
        ;
}

static int launch_with(
    const struct ph_launch *launch, enum kind kind, pid_t *pid_out, struct ph_error *error)
{
    char procs[PATH_MAX];
    sigset_t all, before;
    bool moves = kind == INIT || launch->space != NULL;
    int channel[2] = {-1, -1}, rv = 0;
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), cgroup_fd = -1;
    if (launch->cgroup[0] != '\0') {
        rv = ph_path_join(procs, sizeof procs, launch->cgroup, "cgroup.procs");
        if (rv == 0 && (cgroup_fd = open(procs, O_WRONLY | O_CLOEXEC)) < 0)
            rv = -errno;
    }
    if (rv == 0 &&
        (null_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel) != 0))
        rv = -errno;
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s cannot be prepared: %s", launch->command->argv[0],
            strerror(-rv));
        goto cleanup;
    }
    struct child child = {.launch = launch,
        .channel_fd = channel[1],
        .cgroup_fd = cgroup_fd,
        .in_fd = launch->in_fd >= 0 ? launch->in_fd : null_fd,
        .out_fd = launch->out_fd >= 0 ? launch->out_fd : null_fd,
        .kind = kind};
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t first = fork();
    if (first == 0)
        child_run(&child);
    rv = first < 0 ? -errno : 0;
    pid_t pid = moves || first < 0 ? 0 : first;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(channel[1]);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "no process for %s: %s", launch->command->argv[0],
            strerror(-rv));
    else
        rv = handshake(launch, &pid, channel[0], error);
    close(channel[0]); /* a child that still waits ends by this */
    if (first > 0 && moves)
        wait_for(first, rv); /* it has said who goes on, or that it cannot */
    if (pid > 0 && rv != 0)
        kill(pid, SIGKILL);
    if (pid > 0 && kind != INIT && (rv != 0 || kind == COMPANION))
        wait_for(pid, rv);
    if (rv == 0)
        *pid_out = pid;
cleanup:
    if (null_fd >= 0)
        close(null_fd);
    if (cgroup_fd >= 0)
        close(cgroup_fd);
    return rv;
}

int ph_launch(const struct ph_launch *launch, pid_t *pid_out, struct ph_error *error)
{
    return launch_with(launch, WORKLOAD, pid_out, error);
}

int ph_launch_init(const struct ph_launch *launch, pid_t *pid_out, struct ph_error *error)
{
    return launch_with(launch, INIT, pid_out, error);
}

int ph_launch_companion(const struct ph_launch *launch, struct ph_error *error)
{
    pid_t pid;
    return launch_with(launch, COMPANION, &pid, error);
}
