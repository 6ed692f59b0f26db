/*
 * poolherd-guard --dir DIR --stop-ms N [--foreground]
 *
 * Started by the agent, outlives it: leaves its session, process group and (where there are cgroups) its
 * cgroup, and says by its exit status whether the guard behind it stands: 0 yes, 1 no (why on stderr),
 * 3 another one holds DIR. SIGTERM stops everything of the node and then the guard; SIGHUP and SIGINT do
 * nothing.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/server.h"
#include "agent/guard/system.h"
#include "base/child_fds.h"
#include "base/file.h"
#include "base/log.h"
#include "poolherd/limits.h"
#include "poolherd/version.h"

#define STATUS_HELD 3
#define READY_FD 3

struct options {
    char directory[PATH_MAX];
    uint64_t stop_ms;
    bool foreground;
};

static int signal_pipe[2];

static void on_terminate(int number)
{
    int saved = errno;
    ssize_t written = write(signal_pipe[1], "t", 1);
    (void)written;
    (void)number;
    errno = saved;
}

static int usage(FILE *to)
{
    fputs(
        "usage: poolherd-guard --dir DIR --stop-ms N [--foreground]\n"
        "Stops every workload of the agent in DIR when its lease ends. Started by poolherd-agent.\n"
        "  --dir DIR          the agent's directory\n"
        "  --stop-ms N        milliseconds it has to stop everything, until the agent says "
        "otherwise\n"
        "  --foreground       do not become a daemon\n",
        to);
    return to == stdout ? 0 : 2;
}

static int options_read(int argc, char **argv, struct options *options)
{
    static const struct option known[] = {{"dir", required_argument, NULL, 'd'},
        {"stop-ms", required_argument, NULL, 's'}, {"foreground", no_argument, NULL, 'f'},
        {"help", no_argument, NULL, 'h'}, {"version", no_argument, NULL, 'v'}, {NULL, 0, NULL, 0}};
    const char *directory = NULL;
    int letter;
    char *end;
    while ((letter = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (letter) {
        case 'd':
            directory = optarg;
            break;
        case 's':
            errno = 0;
            options->stop_ms = strtoull(optarg, &end, 10);
            if (errno != 0 || *end != '\0' || *optarg < '0' || *optarg > '9' ||
                options->stop_ms == 0 || options->stop_ms > PH_LEASE_MS_MAX) {
                fprintf(stderr, "poolherd-guard: --stop-ms %s: give milliseconds, 1 to %d\n",
                    optarg, PH_LEASE_MS_MAX);
                return 2;
            }
            break;
        case 'f':
            options->foreground = true;
            break;
        case 'h':
            exit(usage(stdout));
        case 'v':
            puts("poolherd-guard " PH_VERSION);
            exit(0);
        default:
            return usage(stderr);
        }
    }
    if (directory == NULL || options->stop_ms == 0 || optind != argc)
        return usage(stderr);
    if (realpath(directory, options->directory) == NULL) {
        fprintf(stderr, "poolherd-guard: --dir %s: %s\n", directory, strerror(errno));
        return 2;
    }
    return 0;
}

/* Returns only in the daemon; its parent waits for the word that it is ready. */
static void become_daemon(void)
{
    int ready[2];
    unsigned char status = 1;
    if (pipe(ready) != 0)
        exit(1);
    pid_t pid = fork();
    if (pid < 0)
        exit(1);
    if (pid > 0) {
        close(ready[1]);
        ssize_t got;
        do
            got = read(ready[0], &status, 1);
        while (got < 0 && errno == EINTR);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
        _exit(got == 1 ? status : 1);
    }
    /* A session of its own, and then no leader of it: nobody's signals and no terminal reach it. */
    if (setsid() < 0 || (pid = fork()) < 0)
        _exit(1);
    if (pid > 0)
        _exit(0);
    if (ready[1] != READY_FD)
        dup2(ready[1], READY_FD);
    ph_child_close_from(READY_FD + 1);
    fcntl(READY_FD, F_SETFD, FD_CLOEXEC);
}

/* Out of the agent's files: a log of its own, no terminal, no pipe that somebody reads. */
static void leave_files(const char *directory)
{
    char path[PATH_MAX];
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), log_fd = -1;
    if (ph_path_join(path, sizeof path, directory, "log") == 0 && ph_directory_make(path) == 0 &&
        ph_path_join(path, sizeof path, directory, "log/guard.log") == 0)
        log_fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    dup2(null_fd, 0);
    dup2(null_fd, 1);
    dup2(log_fd >= 0 ? log_fd : null_fd, 2);
    if (null_fd > 2)
        close(null_fd);
    if (log_fd > 2)
        close(log_fd);
}

static void signals_set(void)
{
    struct sigaction action = {.sa_handler = SIG_IGN};
    sigset_t none;
    sigaction(SIGHUP, &action, NULL);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGPIPE, &action, NULL);
    action.sa_handler = on_terminate;
    sigaction(SIGTERM, &action, NULL);
    action.sa_handler = SIG_DFL; /* helpers are waited for */
    sigaction(SIGCHLD, &action, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

/* Into a group of its own beside the pools', where cgroups are allowed; parent_out "" where not. */
static void move_apart(const char *directory, char parent_out[PATH_MAX])
{
    char own[PATH_MAX];
    if (ph_cgroup_parent(directory, parent_out, PATH_MAX, NULL) == 0 &&
        ph_cgroup_child(parent_out, "guard", "self", own, sizeof own) == 0)
        ph_cgroup_join(own);
}

/* The other way, when nothing is left: a group with a process in it cannot be removed. */
static void move_back(char parent[PATH_MAX])
{
    char *slash = strrchr(parent, '/');
    if (slash == NULL)
        return;
    *slash = '\0';
    int rv = ph_cgroup_join(parent);
    *slash = '/';
    if (rv == 0)
        ph_cgroup_remove(parent);
}

static void say_ready(const struct options *options, unsigned char status)
{
    if (options->foreground)
        return;
    ssize_t written = write(READY_FD, &status, 1);
    (void)written;
    close(READY_FD);
}

static int prepare(const struct options *options, char run[PATH_MAX], int *lock_fd_out)
{
    char path[PATH_MAX];
    pid_t holder = 0;
    int rv = ph_path_join(run, PATH_MAX, options->directory, "run");
    if (rv == 0)
        rv = ph_directory_make(run);
    if (rv == 0)
        rv = ph_path_join(path, sizeof path, run, "guard.lock");
    if (rv == 0)
        rv = ph_lock_take(path, lock_fd_out, &holder);
    if (rv == 0 && (pipe(signal_pipe) != 0 || fcntl(signal_pipe[0], F_SETFL, O_NONBLOCK) != 0 ||
                       fcntl(signal_pipe[1], F_SETFL, O_NONBLOCK) != 0))
        rv = -errno;
    if (rv == -EWOULDBLOCK)
        fprintf(stderr, "poolherd-guard: %s has a guard already, process %ld\n", options->directory,
            (long)holder);
    else if (rv != 0)
        fprintf(stderr, "poolherd-guard: %s/run: %s\n", options->directory, strerror(-rv));
    return rv;
}

int main(int argc, char **argv)
{
    struct options options = {.stop_ms = 0};
    static struct ph_guard_server server; /* large, and there is one */
    struct ph_error error;
    char run[PATH_MAX], parent[PATH_MAX];
    int lock_fd, rv = options_read(argc, argv, &options);
    if (rv != 0)
        return rv;
    umask(077);
    ph_log_init("poolherd-guard", PH_LOG_NOTICE);
    if (!options.foreground)
        become_daemon();
    signals_set();
    rv = prepare(&options, run, &lock_fd);
    if (rv != 0) {
        say_ready(&options, rv == -EWOULDBLOCK ? STATUS_HELD : 1);
        return rv == -EWOULDBLOCK ? STATUS_HELD : 1;
    }
    rv = ph_guard_server_init(&server, run, options.stop_ms, signal_pipe[0], &error);
    if (rv != 0) {
        fprintf(stderr, "poolherd-guard: %s\n", error.message);
        say_ready(&options, 1);
        ph_guard_server_fini(&server);
        return 1;
    }
    move_apart(options.directory, parent);
    if (chdir("/") != 0) /* hold no mount */
        return 1;
    if (!options.foreground)
        leave_files(options.directory);
    ph_guard_protect();
    say_ready(&options, 0);
    rv = ph_guard_server_run(&server);
    ph_guard_server_fini(&server);
    move_back(parent);
    return rv != 0;
}
