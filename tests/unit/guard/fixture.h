/*
 * What the tests of guard and workloads share: a directory, a guard, and this program itself in the role of
 * workloads that behave badly (--workload KIND FILE).
 */
#ifndef PH_TESTS_GUARD_FIXTURE_H
#define PH_TESTS_GUARD_FIXTURE_H

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/guard.h"
#include "agent/guard/process.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#define GUARD_PROGRAM PH_BINARY_DIR "/poolherd-guard"
#define LIMIT_MS 20000 /* for what happens at once on a machine that is not overloaded */

/* Of this run alone: guards of tests that run at the same time kill by their own. */
static char fixture_mark[64];
#define MARK fixture_mark

struct fixture {
    char directory[PATH_MAX];
    char parent[PATH_MAX]; /* cgroup, or "" */
    struct ph_guard *guard;
    struct ph_lease_page *page;
};

static inline void pause_ms(long ms)
{
    const struct timespec time = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Looks every 2 ms until the condition holds; fails the test after LIMIT_MS. */
#define WAIT_FOR(condition)                                                                        \
    do {                                                                                           \
        uint64_t wait_until_ms = ph_clock_boot_ms() + LIMIT_MS;                                    \
        while (!(condition)) {                                                                     \
            if (ph_clock_boot_ms() > wait_until_ms)                                                \
                fail_msg("did not come true in %d ms: %s", LIMIT_MS, #condition);                  \
            pause_ms(2);                                                                           \
        }                                                                                          \
    } while (0)

static inline bool runs(pid_t pid)
{
    struct ph_process process;
    return ph_process_read(pid, &process) == 0 && ph_process_alive(&process);
}

static inline pid_t guard_pid(const struct fixture *fixture)
{
    char path[PATH_MAX], *text;
    size_t size;
    ph_path_join(path, sizeof path, fixture->directory, "run/guard.lock");
    if (ph_file_read(path, 64, &text, &size) != 0)
        return 0;
    pid_t pid = (pid_t)strtol(text, NULL, 10);
    free(text);
    return pid;
}

static inline void fixture_connect(struct fixture *fixture, uint64_t stop_ms)
{
    struct ph_error error;
    if (ph_guard_connect(fixture->directory, GUARD_PROGRAM, stop_ms, &fixture->guard, &error) != 0)
        fail_msg("%s", error.message);
    fixture->page = ph_guard_page(fixture->guard);
}

static inline void fixture_make(struct fixture *fixture)
{
    const char *base = getenv("TMPDIR");
    *fixture = (struct fixture){.guard = NULL};
    ph_text_format(fixture->directory, sizeof fixture->directory, "%s/poolherd-guard-XXXXXX",
        base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(fixture->directory));
    ph_cgroup_parent(fixture->directory, fixture->parent, sizeof fixture->parent, NULL);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);
    fixture_make(fixture);
    fixture_connect(fixture, 500);
    *state = fixture;
    return 0;
}

/* Ends the guard as an operator would, and leaves nothing behind. */
static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;
    char path[PATH_MAX], real[PATH_MAX];
    pid_t pid = guard_pid(fixture);
    if (pid > 1 && runs(pid)) {
        kill(pid, SIGCONT);
        kill(pid, SIGTERM);
        for (int i = 0; i < 1000 && runs(pid); i++)
            pause_ms(5);
        if (runs(pid))
            kill(pid, SIGKILL);
    }
    ph_guard_disconnect(&fixture->guard);
    ph_path_join(path, sizeof path, fixture->directory, "run/state");
    if (realpath(path, real) != NULL)
        ph_tree_remove(real);
    if (fixture->parent[0] != '\0') {
        ph_cgroup_kill(fixture->parent);
        for (int i = 0; i < 1000 && ph_cgroup_populated(fixture->parent); i++)
            pause_ms(2);
        ph_cgroup_remove(fixture->parent);
    }
    ph_tree_remove(fixture->directory);
    free(fixture);
    return 0;
}

static inline void news_wait(
    struct fixture *fixture, enum ph_guard_news news, struct ph_guard_report *report)
{
    uint64_t until_ms = ph_clock_boot_ms() + LIMIT_MS;
    do {
        struct pollfd poll_fd = {.fd = ph_guard_fd(fixture->guard), .events = POLLIN};
        if (ph_clock_boot_ms() > until_ms)
            fail_msg("no news %d, last was %d", news, report->news);
        poll(&poll_fd, 1, 100);
        assert_int_equal(ph_guard_read(fixture->guard, report), 0);
        if (report->news == PH_GUARD_GONE && news != PH_GUARD_GONE)
            fail_msg("the guard is gone while waiting for news %d", news);
    } while (report->news != news);
}

/* ---- workloads */

/* Starts this program as a workload of KIND, in a session and (unless "") a cgroup of its own, marked. */
static inline pid_t workload_start(const char *kind, const char *file, const char *cgroup)
{
    char *argv[] = {
        "/proc/self/exe", "--workload", (char *)(uintptr_t)kind, (char *)(uintptr_t)file, NULL};
    char mark[96];
    char *environment[] = {"OTHER=1", mark, "POOLHERD_VM=vm1", NULL};
    snprintf(mark, sizeof mark, "POOLHERD_MARK=%s", MARK);
    int ready[2];
    char byte;
    assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
    pid_t pid = fork();
    if (pid == 0) {
        setsid();
        if (cgroup[0] != '\0' && ph_cgroup_join(cgroup) != 0)
            _exit(99);
        execve(argv[0], argv, environment);
        _exit(98);
    }
    assert_true(pid > 0);
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 0); /* closed by exec: it is where it shall be */
    close(ready[0]);
    return pid;
}

static inline void workload_tell(const char *file, pid_t pid)
{
    char text[32];
    int fd = open(file, O_WRONLY | O_CREAT | O_APPEND, 0600);
    int length = snprintf(text, sizeof text, "%ld\n", (long)pid);
    if (fd < 0 || write(fd, text, (size_t)length) != length)
        _exit(97);
    close(fd);
}

/* Processes that told their pids. */
static inline size_t workload_pids(const char *file, pid_t *pids, size_t room)
{
    size_t count = 0;
    long pid;
    FILE *stream = fopen(file, "r");
    if (stream == NULL)
        return 0;
    while (count < room && fscanf(stream, "%ld\n", &pid) == 1)
        pids[count++] = (pid_t)pid;
    fclose(stream);
    return count;
}

static inline int workload_main(int argc, char **argv)
{
    const char *kind = argc > 2 ? argv[2] : "", *file = argc > 3 ? argv[3] : "";
    if (strcmp(kind, "stubborn") == 0)
        signal(SIGTERM, SIG_IGN);
    if (strcmp(kind, "daemon") == 0 || strcmp(kind, "clean-daemon") == 0) {
        /* Leaves group and session; its first process ends, as daemons' do. */
        if (fork() > 0)
            _exit(0);
        setsid();
        if (fork() > 0)
            _exit(0);
        if (strcmp(kind, "clean-daemon") == 0) {
            char *again[] = {"/proc/self/exe", "--workload", "sleep", argv[3], NULL};
            char *none[] = {NULL};
            execve(again[0], again, none);
            _exit(96);
        }
    }
    if (strcmp(kind, "family") == 0 && fork() == 0)
        setpgid(0, 0);
    if (file[0] != '\0')
        workload_tell(file, getpid());
    while (strcmp(kind, "relay") == 0) {
        /* Hands over to a child in a session of its own, again and again. */
        if (fork() > 0)
            _exit(0);
        setsid();
        pause_ms(8);
    }
    if (strcmp(kind, "exit") == 0)
        return 7;
    for (;;)
        pause();
}

#define FIXTURE_MAIN(argc, argv)                                                                   \
    do {                                                                                           \
        if ((argc) > 1 && strcmp((argv)[1], "--workload") == 0)                                    \
            return workload_main(argc, argv);                                                      \
        snprintf(fixture_mark, sizeof fixture_mark, "test-%ld-%llu", (long)getpid(),               \
            (unsigned long long)ph_clock_boot_ms());                                               \
    } while (0)

/* Runs this program once more as a user without rights. 0 when its tests passed, or when that cannot be
 * tried here (no root, no setpriv, a build directory closed to others). */
static inline int run_again_unprivileged(void)
{
    int status;
    char program[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    if (length <= 0)
        return 1;
    program[length] = '\0';
    if (geteuid() != 0 || getenv("PH_TEST_UNPRIVILEGED") != NULL)
        return 0;
    pid_t pid = fork();
    if (pid == 0) {
        char *argv[] = {
            "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", program, NULL};
        setenv("PH_TEST_UNPRIVILEGED", "1", 1);
        setenv("TMPDIR", "/tmp", 1);
        execvp(argv[0], argv);
        _exit(127);
    }
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 127 || WEXITSTATUS(status) == 126)) {
        print_message("not tried as an unprivileged user\n");
        return 0;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

#endif
