#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/child.h"
#include "base/clock.h"

static struct ph_child_result result;

#define RUN(input, timeout_ms, ...)                                                                \
    ph_child_run((const char *const[]){__VA_ARGS__, NULL}, NULL, input, timeout_ms, &result)

static void ends(void **state)
{
    (void)state;
    assert_int_equal(RUN(NULL, 10000, "true"), 0);
    assert_int_equal(result.exit_status, 0);
    assert_int_equal(result.output_bytes, 0);
    assert_int_equal(RUN(NULL, 10000, "sh", "-c", "echo out; echo error >&2; exit 7"), 0);
    assert_int_equal(result.exit_status, 7);
    assert_string_equal(result.output, "out\nerror\n");
    assert_int_equal(RUN(NULL, 10000, "sh", "-c", "kill -USR1 $$"), 0);
    assert_int_equal(result.exit_status, -1);
    assert_int_equal(result.signal, SIGUSR1);
    assert_int_equal(result.timed_out, 0);
}

static void cannot_start(void **state)
{
    (void)state;
    assert_int_equal(RUN(NULL, 10000, "no-such-program-anywhere"), -ENOENT);
    assert_int_equal(RUN(NULL, 10000, "/no/such/program"), -ENOENT);
    assert_int_equal(RUN(NULL, 10000, "/etc/passwd"), -EACCES);
    assert_int_equal(RUN(NULL, 10000, ""), -ENOENT);
    assert_int_equal(RUN(NULL, 10000, "/"), -EACCES);
}

static void input_reaches_it(void **state)
{
    enum { BYTES = 300000 };
    char *input = malloc(BYTES + 1);

    (void)state;
    assert_non_null(input);
    memset(input, 'x', BYTES);
    input[BYTES] = '\0';
    assert_int_equal(RUN(input, 10000, "wc", "-c"), 0);
    assert_int_equal(atoi(result.output), BYTES);
    /* One that does not read it: no SIGPIPE for us, no hang. */
    assert_int_equal(RUN(input, 10000, "true"), 0);
    assert_int_equal(result.exit_status, 0);
    assert_int_equal(RUN(NULL, 10000, "wc", "-c"), 0);
    assert_int_equal(atoi(result.output), 0);
    free(input);
}

static void output_is_bounded_to_its_end(void **state)
{
    (void)state;
    assert_int_equal(
        RUN(NULL, 20000, "sh", "-c", "head -c 1000000 /dev/zero | tr '\\0' y; echo the end"), 0);
    assert_int_equal(result.output_bytes, sizeof result.output - 1);
    assert_string_equal(result.output + result.output_bytes - 8, "the end\n");
    assert_int_equal(result.output[0], 'y');
}

static void time_limit_ends_the_group(void **state)
{
    (void)state;
    uint64_t begin = ph_clock_boot_ms();
    /* The grandchild would hold the output open for a minute. */
    assert_int_equal(RUN(NULL, 100, "sh", "-c", "echo begun; sleep 60; echo never"), 0);
    assert_true(ph_clock_boot_ms() - begin < 10000);
    assert_int_equal(result.timed_out, 1);
    assert_int_equal(result.exit_status, -1);
    assert_int_equal(result.signal, SIGKILL);
    assert_int_equal(RUN(NULL, 100, "yes"), 0); /* never stops talking */
    assert_int_equal(result.timed_out, 1);
}

static void time_limit_reaches_grandchildren(void **state)
{
    char directory[] = "/tmp/poolherd-child-XXXXXX", fifo[64], script[128];

    (void)state;
    assert_non_null(mkdtemp(directory));
    snprintf(fifo, sizeof fifo, "%s/fifo", directory);
    assert_int_equal(mkfifo(fifo, 0600), 0);
    struct pollfd reader = {.fd = open(fifo, O_RDONLY | O_NONBLOCK), .events = POLLIN};
    assert_true(reader.fd >= 0);
    /* The grandchild holds the fifo open for as long as it lives. */
    snprintf(script, sizeof script, "exec 3>%s; sleep 60; :", fifo);
    assert_int_equal(RUN(NULL, 300, "sh", "-c", script), 0);
    assert_int_equal(result.timed_out, 1);
    assert_int_equal(poll(&reader, 1, 10000), 1);
    assert_int_equal(reader.revents & POLLHUP, POLLHUP);
    close(reader.fd);
    unlink(fifo);
    rmdir(directory);
}

static void a_daemon_left_behind_does_not_hold_us(void **state)
{
    (void)state;
    uint64_t begin = ph_clock_boot_ms();
    assert_int_equal(RUN(NULL, 30000, "sh", "-c", "sleep 20 & echo $!"), 0);
    assert_true(ph_clock_boot_ms() - begin < 10000);
    assert_int_equal(result.exit_status, 0);
    kill((pid_t)atoi(result.output), SIGKILL);
    /* One that closes its output before its end is waited for. */
    assert_int_equal(RUN(NULL, 30000, "sh", "-c", "exec >&- 2>&-; sleep 0.2; exit 3"), 0);
    assert_int_equal(result.exit_status, 3);
}

static void nothing_is_inherited(void **state)
{
    const char *const environment[] = {"ONLY=this", NULL};
    sigset_t blocked;
    int fds[20];

    (void)state;
    for (size_t i = 0; i < 20; i++)
        fds[i] = open("/dev/null", O_RDONLY); /* without close-on-exec */
    assert_int_equal(RUN(NULL, 10000, "sh", "-c", "ls /proc/self/fd | wc -l"), 0);
    assert_int_equal(atoi(result.output), 4); /* 0, 1, 2 and that of ls itself */
    for (size_t i = 0; i < 20; i++)
        close(fds[i]);
    assert_int_equal(
        ph_child_run((const char *const[]){"env", NULL}, environment, NULL, 10000, &result), 0);
    assert_string_equal(result.output, "ONLY=this\n");
    /* Blocked and ignored signals of ours work in the child. */
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_BLOCK, &blocked, NULL);
    signal(SIGINT, SIG_IGN);
    assert_int_equal(RUN(NULL, 10000, "sh", "-c", "kill -TERM $$; echo alive"), 0);
    assert_int_equal(result.signal, SIGTERM);
    assert_int_equal(RUN(NULL, 10000, "sh", "-c", "kill -INT $$; echo alive"), 0);
    assert_int_equal(result.signal, SIGINT);
    sigprocmask(SIG_UNBLOCK, &blocked, NULL);
    signal(SIGINT, SIG_DFL);
}

static void started_with_given_files(void **state)
{
    int pipes[2], status;
    char text[32];
    pid_t pid;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    assert_int_equal(
        ph_child_start((const char *const[]){"echo", "hello", NULL}, NULL, -1, pipes[1], -1, &pid),
        0);
    close(pipes[1]);
    ssize_t got = read(pipes[0], text, sizeof text);
    assert_int_equal(got, 6);
    assert_memory_equal(text, "hello\n", 6);
    close(pipes[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    /* Its own group from the start, so that it can be killed as one. */
    assert_int_equal(
        ph_child_start((const char *const[]){"sleep", "60", NULL}, NULL, -1, -1, -1, &pid), 0);
    assert_int_equal(getpgid(pid), pid);
    assert_int_equal(kill(-pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(WTERMSIG(status), SIGKILL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends),
        cmocka_unit_test(cannot_start),
        cmocka_unit_test(input_reaches_it),
        cmocka_unit_test(output_is_bounded_to_its_end),
        cmocka_unit_test(time_limit_ends_the_group),
        cmocka_unit_test(time_limit_reaches_grandchildren),
        cmocka_unit_test(a_daemon_left_behind_does_not_hold_us),
        cmocka_unit_test(nothing_is_inherited),
        cmocka_unit_test(started_with_given_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
