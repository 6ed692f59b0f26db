#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/log.h"

static int saved_stderr, pipes[2];

/* What one call writes, without time and pid: "level program[...] " is cut off, too. */
#define LINE(...) (ph_log(__VA_ARGS__), read_line())
static const char *read_line(void)
{
    static char line[8192];
    ssize_t got = read(pipes[0], line, sizeof line - 1);

    assert_true(got > 0);
    line[got] = '\0';
    assert_int_equal(line[got - 1], '\n');
    assert_ptr_equal(strchr(line, '\n'), line + got - 1);
    line[got - 1] = '\0';
    const char *rest = strstr(line, "] ");
    assert_non_null(rest);
    return rest + 2;
}

static int setup(void **state)
{
    (void)state;
    saved_stderr = dup(STDERR_FILENO);
    if (pipe(pipes) != 0 || dup2(pipes[1], STDERR_FILENO) < 0)
        return -1;
    ph_log_init("test", PH_LOG_INFO);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    dup2(saved_stderr, STDERR_FILENO);
    close(saved_stderr);
    close(pipes[0]);
    close(pipes[1]);
    return 0;
}

static void lines(void **state)
{
    (void)state;
    assert_string_equal(
        LINE(PH_LOG_NOTICE, "what", "pool=%s epoch=%lld", "web", 5LL), "what pool=web epoch=5");
    assert_string_equal(LINE(PH_LOG_ERROR, "what", "reason=%s x=%d", "no space left", -1),
        "what reason=\"no space left\" x=-1");
    assert_string_equal(LINE(PH_LOG_ERROR, "what", "a=%s b=%s", "", "say \"hi\""),
        "what a=\"\" b=\"say \\\"hi\\\"\"");
    assert_string_equal(LINE(PH_LOG_ERROR, "what", "a=%s", "x\nfake error line=1"),
        "what a=\"x\\x0afake error line=1\"");
    assert_string_equal(
        LINE(PH_LOG_ERROR, "what", "a=%s b=1", "\xff\x1b[0m"), "what a=\"\\xff\\x1b[0m\" b=1");
    assert_string_equal(LINE(PH_LOG_ERROR, "what", "at=%s:%d z=%zu p=%5.1f%% c=%c", "host", 80,
                            (size_t)7, 1.25, 'q'),
        "what at=host:80 z=7 p=\"  1.2%\" c=q");
    assert_string_equal(LINE(PH_LOG_ERROR, "what", "cut=%.*s u=%u x=%08lx", 2, "abcdef", 3u, 255ul),
        "what cut=ab u=3 x=000000ff");
    assert_string_equal(
        LINE(PH_LOG_ERROR, "what", "plain words %s end", "here"), "what plain words here end");
    assert_string_equal(
        LINE(PH_LOG_ERROR, "what", "q=\"%s\" r=%s", "in quotes", "s"), "what q=\"in quotes\" r=s");
}

static void levels_and_length(void **state)
{
    static char huge[20000];

    (void)state;
    memset(huge, 'h', sizeof huge - 1);
    ph_log(PH_LOG_DEBUG, "unseen", "a=%d", 1); /* below the level: the next line is the first */
    const char *line = LINE(PH_LOG_INFO, "seen", "big=%s after=%s", huge, "x");
    assert_true(strlen(line) < 4096);
    assert_non_null(strstr(line, "after=x"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(lines, setup, teardown),
        cmocka_unit_test_setup_teardown(levels_and_length, setup, teardown)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
