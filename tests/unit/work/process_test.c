/* The process driver against real processes, in a cgroup and without one, as root and not. */
#include "tests/unit/guard/fixture.h"
#include <pthread.h>
#include <sys/resource.h>
#include "agent/work/driver.h"
#include "agent/work/pid_file.h"

static bool without_cgroup;
static char program[PATH_MAX];
static int64_t generation = 0;

struct place {
    struct fixture fixture; /* first: fixture_teardown() takes it for that */
    char pool_path[PATH_MAX], run[PATH_MAX], log[PATH_MAX], cgroup[PATH_MAX], pids[PATH_MAX];
    struct ph_pool pool;
    struct ph_vm vm;
    struct ph_work_context context;
    struct ph_work_process process;
    struct ph_error error;
};

static const struct ph_work_driver *driver(void)
{
    const struct ph_work_driver *found = ph_work_driver_find("process");
    assert_non_null(found);
    assert_null(ph_work_driver_find("none"));
    return found;
}

static void file_of(const struct place *place, const char *name, char out[PATH_MAX])
{
    assert_int_equal(ph_path_join(out, PATH_MAX, place->fixture.directory, name), 0);
}

static int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    fixture_make(&place->fixture);
    fixture_connect(&place->fixture, 500);
    file_of(place, "pool", place->pool_path);
    file_of(place, "run/work/web", place->run);
    file_of(place, "vm1.log", place->log);
    file_of(place, "pids", place->pids);
    assert_int_equal(mkdir(place->pool_path, 0700), 0);
    strcpy(place->pool.name, "web");
    strcpy(place->vm.name, "vm1");
    if (!without_cgroup)
        ph_cgroup_make(place->fixture.parent, "web", place->cgroup, sizeof place->cgroup);
    assert_int_equal(ph_lease_begin(place->fixture.page, ++generation, UINT64_MAX), 0);
    assert_int_equal(ph_guard_add_pool(place->fixture.guard, "web", place->cgroup, MARK), 0);
    place->context = (struct ph_work_context){.node = "n1",
        .pool = &place->pool,
        .vm = &place->vm,
        .epoch = 3,
        .generation = generation,
        .pool_path = place->pool_path,
        .run_directory = place->run,
        .log_path = place->log,
        .cgroup = place->cgroup,
        .marker = MARK,
        .guard = place->fixture.guard,
        .log_program = PH_BINARY_DIR "/poolherd-log"};
    place->process.pid_fd = -1;
    *state = place;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *place = *state;
    ph_texts_fini(&place->vm.command);
    ph_texts_fini(&place->vm.environment);
    if (place->process.pid_fd >= 0)
        close(place->process.pid_fd);
    return fixture_teardown(state);
}

static void command_set(struct place *place, const char *first, const char *second,
    const char *third, const char *fourth)
{
    const char *words[] = {first, second, third, fourth};
    ph_texts_fini(&place->vm.command);
    for (size_t i = 0; i < 4 && words[i] != NULL; i++)
        assert_int_equal(ph_texts_add(&place->vm.command, words[i]), 0);
}

static void start(struct place *place)
{
    if (driver()->start(&place->context, &place->process, &place->error) != 0)
        fail_msg("%s", place->error.message);
}

static void stop(struct place *place)
{
    if (driver()->stop(&place->context, &place->process, &place->error) != 0)
        fail_msg("%s", place->error.message);
    assert_false(runs(place->process.pid));
    ph_work_exit_status(&place->process);
    if (place->process.pid_fd >= 0)
        close(place->process.pid_fd);
    place->process = (struct ph_work_process){.pid_fd = -1};
    assert_int_equal(driver()->adopt(&place->context, &place->process), -ENOENT);
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"), 0);
    assert_int_equal(ph_guard_add_pool(place->fixture.guard, "web", place->cgroup, MARK), 0);
}

static char *log_text(const struct place *place)
{
    char *text;
    size_t size;
    if (ph_file_read(place->log, 4 * PH_WORKLOAD_LOG_BYTES_MAX, &text, &size) != 0)
        return strdup("");
    return text;
}

static bool log_has(const struct place *place, const char *part)
{
    char *text = log_text(place);
    bool has = strstr(text, part) != NULL;
    free(text);
    return has;
}

static void wait_for_end(const struct place *place)
{
    struct pollfd polls = {.fd = place->process.pid_fd, .events = POLLIN};
    assert_int_equal(poll(&polls, 1, LIMIT_MS), 1);
}

static void starts_and_stops(void **state)
{
    struct place *place = *state;
    struct ph_process process;
    pid_t pid;
    command_set(place, program, "--workload", "sleep", place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    assert_int_equal(pid, place->process.pid);
    assert_int_equal(ph_process_read(pid, &process), 0);
    assert_int_equal(process.start_time, place->process.start_time);
    assert_int_equal(process.session, pid);
    assert_int_equal(process.group, pid);
    assert_true(place->process.pid_fd >= 0);
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"), -EBUSY);
    stop(place);
}

static void gives_directory_environment_and_log(void **state)
{
    struct place *place = *state;
    char expected[PATH_MAX + 64];
    ph_texts_add(&place->vm.environment, "MINE=yes");
    command_set(place, "env", NULL, NULL, NULL);
    start(place);
    wait_for_end(place);
    assert_int_equal(ph_work_exit_status(&place->process), 0);
    ph_text_format(expected, sizeof expected, "POOLHERD_POOL_PATH=%s\n", place->pool_path);
    WAIT_FOR(log_has(place, expected));
    WAIT_FOR(log_has(place, "MINE=yes\n"));
    ph_text_format(
        expected, sizeof expected, "POOLHERD_MARK=%s\nPOOLHERD_VM=vm1\nPOOLHERD_POOL=web\n", MARK);
    assert_true(log_has(place, expected));
    assert_true(log_has(place, "POOLHERD_NODE=n1\nPOOLHERD_EPOCH=3\n"));
    stop(place);
    command_set(place, "pwd", "-P", NULL, NULL);
    start(place);
    WAIT_FOR(log_has(place, "/pool\n"));
    stop(place);
    command_set(place, "ls", "{pool_path}/missing-{epoch}", NULL, NULL);
    start(place);
    WAIT_FOR(log_has(place, "/pool/missing-3")); /* stderr too */
    stop(place);
}

static void passes_no_descriptor_and_no_signal_mask(void **state)
{
    struct place *place = *state;
    sigset_t set, before;
    int leak = open("/dev/null", O_RDONLY); /* without close-on-exec */
    sigfillset(&set);
    pthread_sigmask(SIG_SETMASK, &set, &before);
    signal(SIGPIPE, SIG_IGN);
    command_set(place, "ls", "-l", "/proc/self/fd", NULL);
    start(place);
    WAIT_FOR(log_has(place, " 2 -> "));
    wait_for_end(place);
    WAIT_FOR(log_has(place, "/proc/")); /* ls's own, 3 */
    assert_false(log_has(place, " 4 -> "));
    stop(place);
    command_set(place, "grep", "Sig", "/proc/self/status", NULL);
    start(place);
    WAIT_FOR(log_has(place, "SigBlk:\t0000000000000000"));
    WAIT_FOR(log_has(place, "SigIgn:\t0000000000000000"));
    stop(place);
    signal(SIGPIPE, SIG_DFL);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(leak);
}

static void tells_exit_status(void **state)
{
    struct place *place = *state;
    command_set(place, program, "--workload", "exit", "");
    start(place);
    wait_for_end(place);
    assert_int_equal(ph_work_exit_status(&place->process), 7);
    assert_int_equal(ph_work_exit_status(&place->process), -1); /* once */
    stop(place);
    command_set(place, program, "--workload", "sleep", "");
    start(place);
    assert_int_equal(ph_work_exit_status(&place->process), -1); /* runs */
    kill(place->process.pid, SIGKILL);
    wait_for_end(place);
    assert_int_equal(ph_work_exit_status(&place->process), -1); /* by a signal */
    stop(place);
}

static void says_why_it_cannot_start(void **state)
{
    struct place *place = *state;
    char plain[PATH_MAX];
    ph_path_join(plain, sizeof plain, place->pool_path, "plain");
    int fd = open(plain, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    close(fd);
    const struct {
        const char *word;
        int rv;
        const char *says;
    } cases[] = {
        {"/nonexistent/program", -ENOENT, "/nonexistent/program cannot be executed: No such file"},
        {"no-such-program-at-all", -ENOENT, "(looked for along PATH)"},
        {plain, -EACCES, "Permission denied"},
        {"{pool_path}", -EACCES, "Permission denied"},
        {"./plain", -EACCES, "Permission denied"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_process before;
        command_set(place, cases[i].word, NULL, NULL, NULL);
        place->error = (struct ph_error){PH_OK, "", ""};
        assert_int_equal(
            driver()->start(&place->context, &place->process, &place->error), cases[i].rv);
        assert_string_equal(place->error.field, "command[0]");
        if (strstr(place->error.message, cases[i].says) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", place->error.message, cases[i].says);
        assert_int_equal(driver()->adopt(&place->context, &place->process), -ENOENT);
        assert_int_equal(ph_guard_kill_pool(place->fixture.guard, "web", LIMIT_MS), 0);
        assert_int_equal(ph_process_read(getpid(), &before), 0);
        assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child is left */
    }
    command_set(place, "true", NULL, NULL, NULL);
    place->context.pool_path = "/nonexistent";
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -ENOENT);
    assert_non_null(strstr(place->error.message, "/nonexistent: No such file"));
    place->context.pool_path = place->pool_path;
    place->context.log_path = "/nonexistent/vm1.log";
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -ENOENT);
    assert_non_null(strstr(place->error.message, "the log /nonexistent/vm1.log cannot be opened"));
    place->context.log_path = place->log;
    command_set(place, "true", "{nonsense}", NULL, NULL);
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -EINVAL);
    assert_string_equal(place->error.field, "command[1]");
}

static void starts_nothing_without_a_lease(void **state)
{
    struct place *place = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    command_set(place, program, "--workload", "sleep", place->pids);
    /* Of another generation than the lease's: the child sees it itself. */
    place->context.generation = generation - 1;
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -ESTALE);
    assert_int_equal(place->error.code, PH_STATE_FORBIDS);
    place->context.generation = generation;
    ph_lease_end(place->fixture.page);
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -ESTALE);
    news_wait(&place->fixture, PH_GUARD_ENDED, &report);
    assert_int_equal(driver()->start(&place->context, &place->process, &place->error), -ESTALE);
    pid_t pid;
    assert_int_equal(workload_pids(place->pids, &pid, 1), 0);
}

static void dies_with_the_lease(void **state)
{
    struct place *place = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    command_set(place, program, "--workload", "stubborn", place->pids);
    start(place);
    ph_lease_end(place->fixture.page);
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "none"), 0); /* wakes it */
    wait_for_end(place);
    news_wait(&place->fixture, PH_GUARD_ENDED, &report);
    assert_int_equal(ph_work_exit_status(&place->process), -1);
    assert_int_equal(driver()->adopt(&place->context, &(struct ph_work_process){0}), -ENOENT);
}

static void kills_what_ignores_the_signal(void **state)
{
    struct place *place = *state;
    pid_t pid;
    place->vm.stop_timeout_ms = 150;
    command_set(place, program, "--workload", "stubborn", place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    uint64_t before_ms = ph_clock_boot_ms();
    stop(place);
    assert_true(ph_clock_boot_ms() - before_ms >= 150);
}

static void sends_the_declared_signal(void **state)
{
    struct place *place = *state;
    pid_t pid;
    strcpy(place->vm.stop_signal, "usr1"); /* the stubborn one ignores TERM alone */
    command_set(place, program, "--workload", "stubborn", place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    uint64_t before_ms = ph_clock_boot_ms();
    stop(place);
    assert_true(ph_clock_boot_ms() - before_ms < 5000); /* of 10,000 it would get */
}

static void stops_what_daemons_leave(void **state)
{
    struct place *place = *state;
    pid_t pid;
    command_set(place, program, "--workload", place->cgroup[0] != '\0' ? "clean-daemon" : "daemon",
        place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    wait_for_end(place); /* the first process ended; the VM has not */
    assert_true(runs(pid));
    assert_int_equal(driver()->adopt(&place->context, &(struct ph_work_process){0}), -ENOENT);
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"),
        place->cgroup[0] != '\0' ? -EBUSY : 0); /* without a cgroup only a scan would tell */
    stop(place);
    assert_false(runs(pid));
    /* The same, of a run that nobody remembers. */
    unlink(place->pids);
    if (place->cgroup[0] == '\0')
        ph_guard_add_pool(place->fixture.guard, "web", place->cgroup, MARK);
    start(place);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    wait_for_end(place);
    ph_work_exit_status(&place->process);
    close(place->process.pid_fd);
    place->process = (struct ph_work_process){.pid_fd = -1};
    assert_int_equal(driver()->stop(&place->context, &place->process, &place->error), 0);
    assert_false(runs(pid));
}

static void starts_over_what_is_left(void **state)
{
    struct place *place = *state;
    pid_t pids[2];
    command_set(place, program, "--workload", place->cgroup[0] != '\0' ? "clean-daemon" : "daemon",
        place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, pids, 1) == 1);
    wait_for_end(place);
    ph_work_exit_status(&place->process);
    close(place->process.pid_fd);
    command_set(place, program, "--workload", "sleep", place->pids);
    start(place);
    WAIT_FOR(workload_pids(place->pids, pids, 2) == 2);
    assert_false(runs(pids[0]));
    assert_true(runs(pids[1]));
    stop(place);
}

static void adopts_what_a_killed_agent_left(void **state)
{
    struct place *place = *state;
    struct ph_work_process adopted = {.pid_fd = -1};
    pid_t pid;
    command_set(place, program, "--workload", "sleep", place->pids);
    assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
    pid_t agent = fork();
    if (agent == 0) {
        struct ph_work_process process;
        int rv = driver()->start(&place->context, &process, &place->error);
        kill(getpid(), SIGKILL);
        _exit(rv);
    }
    waitpid(agent, NULL, 0);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    assert_int_equal(driver()->adopt(&place->context, &adopted), 0);
    assert_int_equal(adopted.pid, pid);
    place->process = adopted;
    /* Not under another mark: the file may be a copy. */
    place->context.marker = "another";
    assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
    place->context.marker = MARK;
    stop(place);
}

static void notices_the_end_of_an_adopted_one(void **state)
{
    struct place *place = *state;
    struct ph_work_process adopted = {.pid_fd = -1};
    pid_t pid;
    command_set(place, program, "--workload", "sleep", place->pids);
    pid_t agent = fork();
    if (agent == 0) {
        struct ph_work_process process;
        _exit(driver()->start(&place->context, &process, &place->error) != 0);
    }
    waitpid(agent, NULL, 0);
    WAIT_FOR(workload_pids(place->pids, &pid, 1) == 1);
    assert_int_equal(driver()->adopt(&place->context, &adopted), 0);
    place->process = adopted;
    kill(pid, SIGKILL);
    wait_for_end(place);
    assert_int_equal(ph_work_exit_status(&place->process), -1);
    assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
}

static void adopts_no_reused_number(void **state)
{
    struct place *place = *state;
    struct ph_process own;
    struct ph_work_process adopted;
    assert_int_equal(ph_process_read(getpid(), &own), 0);
    assert_int_equal(ph_directory_make(place->run), 0);
    /* This process lives, and is no VM: once with another start time, once without a mark. */
    assert_int_equal(ph_pid_file_write(place->run, "vm1", getpid(), own.start_time + 1), 0);
    assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
    assert_int_equal(ph_pid_file_write(place->run, "vm1", getpid(), own.start_time), 0);
    if (own.session != own.pid)
        assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
    assert_int_equal(ph_pid_file_write(place->run, "vm1", 999999999, 1), 0);
    assert_int_equal(driver()->adopt(&place->context, &adopted), -ENOENT);
}

static void a_dead_agent_starts_nothing(void **state)
{
    struct place *place = *state;
    pid_t pid, guard = guard_pid(&place->fixture);
    command_set(place, program, "--workload", "sleep", place->pids);
    /* The guard sleeps, so the start stays in the middle: registered nowhere, not executed. */
    kill(guard, SIGSTOP);
    pid_t agent = fork();
    if (agent == 0) {
        struct ph_work_process process;
        driver()->start(&place->context, &process, &place->error);
        _exit(0);
    }
    pause_ms(300);
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    kill(guard, SIGCONT);
    pause_ms(100);
    assert_int_equal(workload_pids(place->pids, &pid, 1), 0);
    assert_int_equal(driver()->adopt(&place->context, &place->process), -ENOENT);
    WAIT_FOR(ph_guard_remove_pool(place->fixture.guard, "web") == 0);
}

static void bounds_the_log(void **state)
{
    struct place *place = *state;
    struct stat status;
    off_t most = 0;
    command_set(place, "yes", "a line of the log", NULL, NULL);
    start(place);
    uint64_t until_ms = ph_clock_boot_ms() + 700;
    while (ph_clock_boot_ms() < until_ms) {
        if (stat(place->log, &status) == 0 && status.st_size > most)
            most = status.st_size;
        if (most > PH_WORKLOAD_LOG_BYTES_MAX)
            break;
    }
    assert_true(runs(place->process.pid));
    assert_true(most > PH_WORKLOAD_LOG_BYTES_MAX / 2);
    assert_true(most <= PH_WORKLOAD_LOG_BYTES_MAX);
    stop(place);
}

static void works_without_its_log_program(void **state)
{
    struct place *place = *state;
    struct stat status;
    place->context.log_program = "/nonexistent";
    command_set(place, "yes", "a line of the log", NULL, NULL);
    start(place);
    WAIT_FOR(stat(place->log, &status) == 0 && status.st_size > 2 * PH_WORKLOAD_LOG_BYTES_MAX);
    stop(place);
    ph_work_log_trim(place->log, PH_WORKLOAD_LOG_BYTES_MAX);
    assert_int_equal(stat(place->log, &status), 0);
    assert_true(status.st_size <= PH_WORKLOAD_LOG_BYTES_MAX / 2);
    char *text = log_text(place);
    assert_int_equal(strncmp(text, "a line of the log\n", 18), 0);
    free(text);
}

static void keeps_last_words(void **state)
{
    struct place *place = *state;
    for (int i = 0; i < 20; i++) {
        char word[32];
        snprintf(word, sizeof word, "last words %d", i);
        command_set(place, "echo", word, NULL, NULL);
        start(place);
        wait_for_end(place);
        stop(place);
        assert_true(log_has(place, word));
    }
}

struct many {
    struct place *place;
    int index, failures;
};

static void *many_thread(void *argument)
{
    struct many *many = argument;
    char log[PATH_MAX], word[32];
    struct ph_vm vm = {.position = many->index, .stop_timeout_ms = 2000};
    struct ph_work_context context = many->place->context;
    struct ph_work_process process;
    struct ph_error error;
    ph_text_format(vm.name, sizeof vm.name, "vm%d", many->index);
    ph_text_format(word, sizeof word, "vm%d.log", many->index);
    ph_path_join(log, sizeof log, many->place->fixture.directory, word);
    ph_texts_add(&vm.command, "sleep");
    ph_texts_add(&vm.command, "1000");
    context.vm = &vm;
    context.log_path = log;
    for (int i = 0; i < 5; i++) {
        if (driver()->start(&context, &process, &error) != 0) {
            print_message("%s\n", error.message);
            many->failures++;
            break;
        }
        if (driver()->stop(&context, &process, &error) != 0)
            many->failures++;
        ph_work_exit_status(&process);
        close(process.pid_fd);
    }
    ph_texts_fini(&vm.command);
    return NULL;
}

static void works_from_many_threads(void **state)
{
    enum { THREADS = 8 };
    struct place *place = *state;
    pthread_t threads[THREADS];
    struct many many[THREADS];
    for (int i = 0; i < THREADS; i++) {
        many[i] = (struct many){place, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, many_thread, &many[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(many[i].failures, 0);
    }
    assert_int_equal(ph_guard_kill_pool(place->fixture.guard, "web", LIMIT_MS), 0);
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"), 0);
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
    ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = '\0';
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(starts_and_stops),
        TEST(gives_directory_environment_and_log),
        TEST(passes_no_descriptor_and_no_signal_mask),
        TEST(tells_exit_status),
        TEST(says_why_it_cannot_start),
        TEST(starts_nothing_without_a_lease),
        TEST(dies_with_the_lease),
        TEST(kills_what_ignores_the_signal),
        TEST(sends_the_declared_signal),
        TEST(stops_what_daemons_leave),
        TEST(starts_over_what_is_left),
        TEST(adopts_what_a_killed_agent_left),
        TEST(notices_the_end_of_an_adopted_one),
        TEST(adopts_no_reused_number),
        TEST(a_dead_agent_starts_nothing),
        TEST(bounds_the_log),
        TEST(works_without_its_log_program),
        TEST(keeps_last_words),
        TEST(works_from_many_threads),
    };
    int rv = cmocka_run_group_tests_name("as the machine allows", tests, NULL, NULL);
    if (rv == 0 && geteuid() == 0) { /* others have no cgroup anyway */
        without_cgroup = true;
        rv = cmocka_run_group_tests_name("without cgroup", tests, NULL, NULL);
    }
    return rv != 0 ? rv : run_again_unprivileged();
}
