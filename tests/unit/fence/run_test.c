/* The runner, with small fence agents made here: they note their argv and stdin, and lie, hang and babble. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "agent/fence/run.h"
#include "base/clock.h"
#include "base/file.h"

#define SECRET "s3cr3t=with \"signs\""

static char directory[] = "/tmp/poolherd-fence-XXXXXX";

static const char *in_directory(const char *name)
{
    static char paths[4][256];
    static int next;
    char *path = paths[next++ % 4];

    snprintf(path, sizeof paths[0], "%s/%s", directory, name);
    return path;
}

static void write_file(const char *name, const char *text, mode_t mode)
{
    const char *path = in_directory(name);
    FILE *file;

    unlink(path);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static char *read_text(const char *name)
{
    char *text = NULL;
    size_t bytes;

    if (ph_file_read(in_directory(name), 1 << 20, &text, &bytes) != 0)
        return strdup("");
    return text;
}

/* `body` runs with $action; "$D" is the directory, whose file `power` holds on or off. */
static void make_agent(const char *name, const char *body)
{
    char *text;

    assert_true(asprintf(&text,
                    "#!/bin/sh\nD='%s'\ninput=$(cat)\nprintf '%%s\\n' \"$0 $*\" >>\"$D/argv\"\n"
                    "printf '%%s\\n' \"$input\" >>\"$D/stdin\"\nenv >>\"$D/environment\"\n"
                    "action=$(printf '%%s\\n' \"$input\" | sed -n 's/^action=//p')\n"
                    "status() { case $(cat \"$D/power\") in on) exit 0;; off) exit 2;; *) exit 1;; "
                    "esac; }\n"
                    "%s\n",
                    directory, body) > 0);
    write_file(name, text, 0755);
    free(text);
}

static void power(const char *state)
{
    write_file("power", state, 0644);
}

static struct ph_fence_run *run_of(
    const char *agent, enum ph_fence_action action, int64_t timeout_ms)
{
    static struct ph_fence_run run;

    ph_record_fini(&ph_record_fence_run, &run);
    run.number = 7;
    run.term = 3;
    run.action = action;
    run.timeout_ms = timeout_ms;
    snprintf(run.node, sizeof run.node, "n1");
    snprintf(run.device, sizeof run.device, "ipmi");
    assert_int_equal(ph_set_text(&run.manager, "m"), 0);
    assert_int_equal(ph_set_text(&run.agent, agent), 0);
    return &run;
}

static struct ph_fence_ran ran;

static enum ph_power_state carry_out(const struct ph_fence_run *run)
{
    struct ph_error error = {0};

    ph_record_fini(&ph_record_fence_ran, &ran);
    ph_fence_carry_out(run, &ran);
    if (ph_record_check(&ph_record_fence_ran, &ran, &error) != 0)
        fail_msg("the answer is not valid: %s: %s", error.field, error.message);
    assert_int_equal(ran.number, 7);
    assert_int_equal(ran.term, 3);
    assert_string_equal(ran.node, "n1");
    assert_string_equal(ran.device, "ipmi");
    assert_int_equal(ran.action, run->action);
    return ran.power;
}

static void forget(void)
{
    unlink(in_directory("argv"));
    unlink(in_directory("stdin"));
    unlink(in_directory("environment"));
}

#define HONEST                                                                                     \
    "case $action in status) status;; off|on) echo $action >\"$D/power\"; exit 0;; *) exit 9;; "   \
    "esac"

static void off_is_confirmed_by_a_status(void **state)
{
    struct ph_fence_run *run;
    char *text;

    (void)state;
    forget();
    make_agent("fence_honest", HONEST);
    power("on");
    run = run_of("fence_honest", PH_FENCE_OFF, 5000);
    assert_int_equal(ph_texts_add(&run->options, "ip=192.0.2.1"), 0);
    assert_int_equal(ph_texts_add(&run->options, "plug=a=b"), 0);
    assert_int_equal(carry_out(run), PH_POWER_OFF);
    text = read_text("stdin");
    assert_string_equal(
        text, "action=off\nip=192.0.2.1\nplug=a=b\naction=status\nip=192.0.2.1\nplug=a=b\n");
    free(text);
    assert_int_equal(carry_out(run_of("fence_honest", PH_FENCE_STATUS, 5000)), PH_POWER_OFF);
    assert_int_equal(carry_out(run_of("fence_honest", PH_FENCE_ON, 5000)), PH_POWER_ON);
    assert_int_equal(carry_out(run_of("fence_honest", PH_FENCE_STATUS, 5000)), PH_POWER_ON);
}

static void a_status_alone_changes_nothing(void **state)
{
    char *text;

    (void)state;
    forget();
    make_agent("fence_honest", HONEST);
    power("on");
    assert_int_equal(carry_out(run_of("fence_honest", PH_FENCE_STATUS, 5000)), PH_POWER_ON);
    text = read_text("stdin");
    assert_string_equal(text, "action=status\n");
    free(text);
}

static void secrets_go_by_stdin_alone(void **state)
{
    struct ph_fence_run *run;
    char word[300], *text;

    (void)state;
    forget();
    make_agent("fence_babbler", "echo \"logging in with $input\" >&2; " HONEST);
    write_file("password", SECRET "\n", 0600);
    power("on");
    snprintf(word, sizeof word, "password=%s", in_directory("password"));
    run = run_of("fence_babbler", PH_FENCE_OFF, 5000);
    assert_int_equal(ph_texts_add(&run->option_files, word), 0);
    assert_int_equal(carry_out(run), PH_POWER_OFF);
    text = read_text("stdin");
    assert_non_null(strstr(text, "action=off\npassword=" SECRET "\n"));
    free(text);
    text = read_text("argv");
    assert_null(strstr(text, "s3cr3t"));
    assert_non_null(strstr(text, "fence_babbler \n")); /* no argument at all */
    free(text);
    text = read_text("environment");
    assert_true(strlen(text) > 0);
    assert_null(strstr(text, "s3cr3t"));
    free(text);
    assert_non_null(strstr(ran.reason, "logging in"));
    assert_null(strstr(ran.reason, "s3cr3t"));
}

static void option_files_are_looked_at(void **state)
{
    static const struct {
        const char *text;
        mode_t mode;
        const char *reason;
    } cases[] = {{"x\n", 0644, "nobody else can read"}, {"x\n", 0640, "nobody else can read"},
        {"", 0600, "one line"}, {"\n", 0600, "one line"}, {"one\ntwo\n", 0600, "one line"},
        {"one\naction=reboot\n", 0600, "one line"}};
    char word[300];

    (void)state;
    make_agent("fence_honest", HONEST);
    power("on");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_fence_run *run = run_of("fence_honest", PH_FENCE_OFF, 5000);

        forget();
        write_file("password", cases[i].text, cases[i].mode);
        snprintf(word, sizeof word, "password=%s", in_directory("password"));
        assert_int_equal(ph_texts_add(&run->option_files, word), 0);
        assert_int_equal(carry_out(run), PH_POWER_FAILED);
        if (strstr(ran.reason, cases[i].reason) == NULL)
            fail_msg("case %zu: %s", i, ran.reason);
        assert_int_equal(access(in_directory("argv"), F_OK), -1); /* it was never called */
    }
    struct ph_fence_run *run = run_of("fence_honest", PH_FENCE_OFF, 5000);

    assert_int_equal(ph_texts_add(&run->option_files, "password=/nowhere/at/all"), 0);
    assert_int_equal(carry_out(run), PH_POWER_FAILED);
    assert_non_null(strstr(ran.reason, "No such file"));
    run = run_of("fence_honest", PH_FENCE_OFF, 5000);
    snprintf(word, sizeof word, "password=%s", directory);
    assert_int_equal(ph_texts_add(&run->option_files, word), 0);
    assert_int_equal(carry_out(run), PH_POWER_FAILED);
}

static void only_a_status_of_2_means_off(void **state)
{
    static const struct {
        const char *body;
        enum ph_power_state power;
        const char *reason;
    } cases[] = {
        {"case $action in status) exit 0;; *) exit 0;; esac", PH_POWER_ON, "and yet its status"},
        {"case $action in status) exit 1;; *) exit 0;; esac", PH_POWER_FAILED, "exited with 1"},
        {"case $action in status) exit 3;; *) exit 0;; esac", PH_POWER_FAILED, "exited with 3"},
        {"case $action in status) kill -9 $$;; *) exit 0;; esac", PH_POWER_FAILED, "signal 9"},
        {"case $action in status) echo 'Status: OFF'; exit 1;; *) exit 2;; esac", PH_POWER_FAILED,
            "OFF"},
        /* what `off` says is no matter: it may have been off before */
        {"case $action in status) exit 2;; *) echo 'already off'; exit 1;; esac", PH_POWER_OFF,
            "already off"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        make_agent("fence_case", cases[i].body);
        if (carry_out(run_of("fence_case", PH_FENCE_OFF, 600)) != cases[i].power ||
            strstr(ran.reason, cases[i].reason) == NULL)
            fail_msg("case %zu: %s: %s", i, ph_enum_word(&ph_enum_power_state, (int)ran.power),
                ran.reason);
    }
}

static void a_device_may_take_a_moment(void **state)
{
    (void)state;
    make_agent("fence_slow", "case $action in status) echo x >>\"$D/asked\"; [ $(wc -l "
                             "<\"$D/asked\") -ge 3 ] && exit 2; exit 0;; esac");
    unlink(in_directory("asked"));
    assert_int_equal(carry_out(run_of("fence_slow", PH_FENCE_OFF, 5000)), PH_POWER_OFF);
}

static void what_hangs_is_killed_and_no_proof(void **state)
{
    uint64_t began_ms = ph_clock_boot_ms();

    (void)state;
    make_agent("fence_hung", "[ $action = status ] && status; sleep 600 & wait");
    power("on");
    assert_int_equal(carry_out(run_of("fence_hung", PH_FENCE_OFF, 300)), PH_POWER_ON);
    assert_non_null(strstr(ran.reason, "off did not end within 300 ms"));
    make_agent("fence_hung", "[ $action = off ] && exit 0; trap '' TERM; sleep 600 & wait");
    assert_int_equal(carry_out(run_of("fence_hung", PH_FENCE_OFF, 300)), PH_POWER_FAILED);
    assert_non_null(strstr(ran.reason, "status did not end within 300 ms"));
    /* hangs in off, and yet it is off: a separate status says so */
    make_agent("fence_hung", "[ $action = status ] && exit 2; sleep 600 & wait");
    assert_int_equal(carry_out(run_of("fence_hung", PH_FENCE_OFF, 300)), PH_POWER_OFF);
    assert_true(ph_clock_boot_ms() - began_ms < 20000);
    assert_true(ran.took_ms >= 300);
}

static void floods_and_garbage_are_bounded(void **state)
{
    (void)state;
    make_agent("fence_flood", "[ $action = status ] && exit 1; exec yes 0123456789abcdef");
    assert_int_equal(carry_out(run_of("fence_flood", PH_FENCE_OFF, 400)), PH_POWER_FAILED);
    assert_true(strlen(ran.reason) <= PH_TEXT_BYTES_MAX);
    make_agent("fence_garbage", "head -c 100000 /dev/urandom; printf '\\033[31m\\377\\n'; exit 1");
    assert_int_equal(carry_out(run_of("fence_garbage", PH_FENCE_OFF, 900)), PH_POWER_FAILED);
    assert_true(ph_utf8_valid(ran.reason, strlen(ran.reason)));
    assert_null(strchr(ran.reason, '\033'));
    make_agent(
        "fence_deaf", "exit 2"); /* reads nothing; its stdin is larger than a socket's buffer */
    struct ph_fence_run *run = run_of("fence_deaf", PH_FENCE_STATUS, 3000);
    char option[4001];

    memset(option, 'x', 4000);
    option[1] = '=';
    option[4000] = '\0';
    for (int i = 0; i < PH_FENCE_OPTIONS_MAX; i++)
        assert_int_equal(ph_texts_add(&run->options, option), 0);
    (void)carry_out(run); /* ends, and no SIGPIPE */
}

static void only_fence_agents_are_run(void **state)
{
    static const char *const names[] = {
        "sh", "../fence_x", "/bin/sh", "fence_x;rm", "fence_X", "fence_", "", "fence-x"};

    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(carry_out(run_of(names[i], PH_FENCE_OFF, 1000)), PH_POWER_FAILED);
        assert_non_null(ran.reason);
    }
    assert_int_equal(
        carry_out(run_of("fence_that_is_not_there", PH_FENCE_OFF, 1000)), PH_POWER_FAILED);
    assert_non_null(strstr(ran.reason, "no such program"));
}

static void a_line_end_in_an_option_is_refused(void **state)
{
    static const char *const options[] = {"ip=1\naction=on", "a\nction=on", "=x", "noequals"};

    (void)state;
    make_agent("fence_honest", HONEST);
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        struct ph_fence_run *run = run_of("fence_honest", PH_FENCE_OFF, 1000);

        forget();
        assert_int_equal(ph_texts_add(&run->options, options[i]), 0);
        assert_int_equal(carry_out(run), PH_POWER_FAILED);
        assert_int_equal(access(in_directory("argv"), F_OK), -1);
    }
}

/* Debian's own agent for tests: keeps its state in a file. */
static void with_debians_fence_dummy(void **state)
{
    struct ph_fence_run *run;
    char word[300];

    (void)state;
    if (access("/usr/sbin/fence_dummy", X_OK) != 0)
        skip();
    snprintf(word, sizeof word, "status_file=%s", in_directory("dummy"));
    for (int i = 0; i < 3; i++) {
        static const enum ph_fence_action actions[] = {PH_FENCE_ON, PH_FENCE_OFF, PH_FENCE_STATUS};
        static const enum ph_power_state powers[] = {PH_POWER_ON, PH_POWER_OFF, PH_POWER_OFF};

        run = run_of("fence_dummy", actions[i], 30000);
        assert_int_equal(ph_texts_add(&run->options, "type=file"), 0);
        assert_int_equal(ph_texts_add(&run->options, word), 0);
        if (carry_out(run) != powers[i])
            fail_msg("%d: %s", i, ran.reason);
    }
    /* one that exists and cannot reach its device is no proof */
    run = run_of("fence_apc", PH_FENCE_STATUS, 15000);
    assert_int_equal(ph_texts_add(&run->options, "ip=127.0.0.1"), 0);
    assert_int_equal(ph_texts_add(&run->options, "ipport=1"), 0);
    assert_int_equal(ph_texts_add(&run->options, "username=u"), 0);
    assert_int_equal(ph_texts_add(&run->options, "plug=1"), 0);
    assert_int_equal(ph_texts_add(&run->options, "login_timeout=1"), 0);
    assert_int_equal(carry_out(run), PH_POWER_FAILED);
}

static int set_up(void **state)
{
    char path[4200];
    const char *before = getenv("PATH");

    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s:%s:/usr/sbin", directory, before == NULL ? "/bin" : before);
    return setenv("PATH", path, 1);
}

static int tear_down(void **state)
{
    (void)state;
    ph_record_fini(&ph_record_fence_ran, &ran);
    (void)run_of("", PH_FENCE_STATUS, 1);
    return ph_tree_remove(directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(off_is_confirmed_by_a_status),
        cmocka_unit_test(a_status_alone_changes_nothing),
        cmocka_unit_test(secrets_go_by_stdin_alone),
        cmocka_unit_test(option_files_are_looked_at),
        cmocka_unit_test(only_a_status_of_2_means_off),
        cmocka_unit_test(a_device_may_take_a_moment),
        cmocka_unit_test(what_hangs_is_killed_and_no_proof),
        cmocka_unit_test(floods_and_garbage_are_bounded),
        cmocka_unit_test(only_fence_agents_are_run),
        cmocka_unit_test(a_line_end_in_an_option_is_refused),
        cmocka_unit_test(with_debians_fence_dummy),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
