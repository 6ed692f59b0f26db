/*
 * Pools in PID namespaces: what the workload sees, what the agent sees of it, and that everything ends by the
 * kernel when nobody guards it. In a mount namespace of its own, whose mounts are shared as systemd's are.
 */
#include "tests/unit/guard/lease.h"

#include <dirent.h>
#include <sched.h>
#include <sys/mount.h>
#include "agent/work/driver.h"
#include "agent/work/pid_file.h"
#include "agent/work/space.h"

#define INIT_PROGRAM PH_BINARY_DIR "/poolherd-init"
#define SLACK_MS 500 /* a loaded machine; init is a real-time process */

static char program[PATH_MAX];

struct place {
    struct fixture fixture;
    char pool_path[PATH_MAX], run[PATH_MAX], log[PATH_MAX], cgroup[PATH_MAX], pids[PATH_MAX];
    uint64_t deadline_ms;
    struct ph_pool pool;
    struct ph_vm vm;
    struct ph_work_context context;
    struct ph_work_process process;
    struct ph_space_settings settings;
    struct ph_space space;
    struct ph_error error;
};

static int place_setup(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    struct fixture *fixture = &place->fixture;
    char path[PATH_MAX];
    fixture_make(fixture);
    fixture_connect(fixture, 500);
    file_of(fixture, "pool", place->pool_path);
    file_of(fixture, "run/work/web", place->run);
    file_of(fixture, "vm1.log", place->log);
    file_of(fixture, "pids", place->pids);
    file_of(fixture, "log", path);
    ph_directory_make(path);
    assert_int_equal(mkdir(place->pool_path, 0700), 0);
    strcpy(place->pool.name, "web");
    strcpy(place->vm.name, "vm1");
    assert_int_equal(
        ph_cgroup_make(fixture->parent, "web", place->cgroup, sizeof place->cgroup), 0);
    place->process.pid_fd = place->space.pid_fd = -1;
    place->settings = (struct ph_space_settings){.node = "n1",
        .pool = "web",
        .directory = fixture->directory,
        .run_directory = place->run,
        .cgroup = place->cgroup,
        .marker = MARK,
        .guard = fixture->guard,
        .program = INIT_PROGRAM};
    place->context = (struct ph_work_context){.node = "n1",
        .pool = &place->pool,
        .vm = &place->vm,
        .epoch = 3,
        .pool_path = place->pool_path,
        .run_directory = place->run,
        .log_path = place->log,
        .cgroup = place->cgroup,
        .marker = MARK,
        .space = &place->space,
        .guard = fixture->guard,
        .log_program = PH_BINARY_DIR "/poolherd-log"};
    *state = place;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *place = *state;
    ph_texts_fini(&place->vm.command);
    if (place->process.pid_fd >= 0)
        close(place->process.pid_fd);
    if (place->space.pid_fd >= 0)
        close(place->space.pid_fd);
    return fixture_teardown(state);
}

/* A lease of this length, and a workload in the pool's namespace. */
static void begin(struct place *place, uint64_t length_ms, const char *first, const char *second,
    const char *third)
{
    const char *words[] = {first, second, third, place->pids};
    place->deadline_ms = lease_begin(&place->fixture, length_ms);
    place->context.generation = place->settings.generation = fixture_generation;
    assert_int_equal(ph_guard_add_pool(place->fixture.guard, "web", place->cgroup, MARK), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ph_texts_add(&place->vm.command, words[i]), 0);
    if (ph_space_open(&place->settings, &place->space, &place->error) != 0 ||
        ph_work_driver_find("process")->start(&place->context, &place->process, &place->error) != 0)
        fail_msg("%s", place->error.message);
}

static size_t told(const struct place *place, pid_t *pids, size_t room)
{
    return workload_pids(place->pids, pids, room);
}

/* Waits until nothing of the pool is left; when that was. */
static uint64_t end_of_all(const struct place *place)
{
    WAIT_FOR(!ph_cgroup_populated(place->cgroup));
    return ph_clock_boot_ms();
}

static void the_workload_sees_its_own_processes(void **state)
{
    struct place *place = *state;
    char *text, expected[64], file[PATH_MAX];
    begin(place, 60000, "/bin/sh", "-c",
        "(readlink /proc/self/ns/pid; cd /proc; echo $$; echo [0-9]*; readlink self) >$0.new 2>&1; "
        "mv $0.new $0; exec sleep 600");
    ph_text_format(file, sizeof file, "%s", place->pids);
    WAIT_FOR(access(file, F_OK) == 0);
    assert_int_equal(ph_file_read(file, 4096, &text, NULL), 0);
    ph_text_format(expected, sizeof expected, "pid:[");
    assert_true(strncmp(text, expected, 5) == 0);
    char own[64] = "";
    assert_true(readlink("/proc/self/ns/pid", own, sizeof own - 1) > 0);
    assert_null(strstr(text, own));
    char *line = strchr(text, '\n') + 1;
    long pid = strtol(line, &line, 10);
    assert_in_range(pid, 2, 30); /* its own count, not the host's */
    assert_true(strncmp(line, "\n1 ", 3) == 0);
    free(text);
    /* The agent has it by the pid of the host, as its own child, in the pool's cgroup. */
    assert_true(runs(place->process.pid));
    struct ph_process process;
    assert_int_equal(ph_process_read(place->process.pid, &process), 0);
    assert_int_equal(process.session, process.pid);
    assert_int_equal(process.start_time, place->process.start_time);
    assert_int_equal(kill(place->process.pid, SIGTERM), 0);
    assert_int_equal(waitpid(place->process.pid, NULL, 0), place->process.pid);
    assert_true(runs(place->space.pid));
}

static void its_end_is_told_as_ever(void **state)
{
    struct place *place = *state;
    begin(place, 60000, "/bin/sh", "-c", "exit 7");
    struct pollfd polls = {.fd = place->process.pid_fd, .events = POLLIN};
    assert_int_equal(poll(&polls, 1, LIMIT_MS), 1);
    assert_int_equal(ph_work_exit_status(&place->process), 7);
    /* One that cannot be executed leaves nothing behind. */
    ph_texts_fini(&place->vm.command);
    ph_texts_add(&place->vm.command, "/none");
    struct ph_work_process none = {.pid_fd = -1};
    assert_int_equal(
        ph_work_driver_find("process")->start(&place->context, &none, &place->error), -ENOENT);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
}

static size_t zombies_of(pid_t parent)
{
    char path[64], line[512];
    size_t count = 0;
    DIR *directory = opendir("/proc");
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) {
        char state = ' ';
        long above = 0;
        snprintf(path, sizeof path, "/proc/%.20s/stat", entry->d_name);
        FILE *file = entry->d_name[0] >= '0' && entry->d_name[0] <= '9' ? fopen(path, "r") : NULL;
        if (file == NULL)
            continue;
        if (fgets(line, sizeof line, file) != NULL)
            sscanf(strrchr(line, ')') + 1, " %c %ld", &state, &above);
        count += state == 'Z' && above == (long)parent;
        fclose(file);
    }
    closedir(directory);
    return count;
}

static void orphans_are_reaped(void **state)
{
    struct place *place = *state;
    begin(place, 60000, "/bin/sh", "-c",
        "for i in 1 2 3 4 5 6 7 8; do (sleep 0.05 &); done; sleep 0.3; : >$0; exec sleep 600");
    WAIT_FOR(access(place->pids, F_OK) == 0);
    WAIT_FOR(zombies_of(place->space.pid) == 0);
    assert_true(runs(place->space.pid));
}

static void everything_ends_with_its_init(void **state)
{
    struct place *place = *state;
    pid_t pids[4];
    /* Leaves group, session and environment. */
    begin(place, 60000, program, "--workload", "clean-daemon");
    WAIT_FOR(told(place, pids, 4) == 1);
    assert_true(ph_cgroup_populated(place->cgroup));
    kill(guard_pid(&place->fixture), SIGSTOP);
    kill(place->space.pid, SIGKILL);
    end_of_all(place);
    assert_int_equal(waitpid(place->process.pid, NULL, 0), place->process.pid);
}

/* Guard and agent (here: whoever extends the lease) are gone at once; the kernel does the rest. */
static void nothing_outlives_the_lease_without_a_guard(void **state)
{
    struct place *place = *state;
    begin(place, 1000, program, "--workload", "stubborn");
    pid_t guard = guard_pid(&place->fixture);
    kill(guard, SIGKILL);
    WAIT_FOR(!runs(guard));
    assert_true(runs(place->process.pid));
    uint64_t ended_ms = end_of_all(place);
    assert_in_range(ended_ms, place->deadline_ms, place->deadline_ms + SLACK_MS);
    print_message("all had ended %llu ms after the lease\n",
        (unsigned long long)(ended_ms - place->deadline_ms));
    /* The lease is over for good, and a guard that comes late finds it so. */
    uint64_t now_ms = ph_clock_boot_ms();
    assert_int_equal(
        ph_lease_extend(place->fixture.page, fixture_generation, now_ms + 1000, now_ms), -ESTALE);
    waitpid(place->process.pid, NULL, 0);
    assert_int_equal(ph_guard_reconnect(place->fixture.guard, NULL), 0);
    WAIT_FOR(atomic_load(&place->fixture.page->clean) == fixture_generation);
}

static void a_stopped_guard_makes_no_difference(void **state)
{
    struct place *place = *state;
    begin(place, 700, program, "--workload", "stubborn");
    kill(guard_pid(&place->fixture), SIGSTOP);
    uint64_t ended_ms = end_of_all(place);
    assert_in_range(ended_ms, place->deadline_ms, place->deadline_ms + SLACK_MS);
    /* Said to be over where the agent extends it: by a clock that it read before, it could not any more. */
    assert_int_equal(ph_lease_extend(place->fixture.page, fixture_generation,
                         place->deadline_ms + 5000, place->deadline_ms - 1),
        -ESTALE);
    waitpid(place->process.pid, NULL, 0);
}

static void a_guard_may_be_replaced_while_it_runs(void **state)
{
    struct place *place = *state;
    begin(place, 1000, program, "--workload", "sleep");
    uint64_t until_ms = ph_clock_boot_ms() + 3000;
    kill(guard_pid(&place->fixture), SIGKILL);
    while (ph_clock_boot_ms() < until_ms) {
        uint64_t now_ms = ph_clock_boot_ms();
        assert_int_equal(
            ph_lease_extend(place->fixture.page, fixture_generation, now_ms + 1000, now_ms), 0);
        pause_ms(50);
        if (guard_pid(&place->fixture) == 0 || !runs(guard_pid(&place->fixture))) {
            struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
            news_wait(&place->fixture, PH_GUARD_GONE, &report);
            assert_int_equal(ph_guard_reconnect(place->fixture.guard, NULL), 0);
        }
    }
    assert_true(runs(place->process.pid));
    assert_true(runs(place->space.pid));
    place->deadline_ms = atomic_load(&place->fixture.page->deadline_ms);
    assert_in_range(end_of_all(place), place->deadline_ms, place->deadline_ms + SLACK_MS);
    waitpid(place->process.pid, NULL, 0);
}

static void it_is_found_again_and_ended(void **state)
{
    struct place *place = *state;
    struct ph_space again = {.pid_fd = -1};
    begin(place, 60000, program, "--workload", "sleep");
    assert_int_equal(ph_space_open(&place->settings, &again, &place->error), 0);
    assert_int_equal(again.pid, place->space.pid);
    close(again.pid_fd);
    /* The agent that follows adopts by the host's pid. */
    struct ph_work_process adopted;
    const struct ph_work_driver *driver = ph_work_driver_find("process");
    assert_int_equal(driver->adopt(&place->context, &adopted), 0);
    assert_int_equal(adopted.pid, place->process.pid);
    close(adopted.pid_fd);
    assert_int_equal(driver->stop(&place->context, &place->process, &place->error), 0);
    waitpid(place->process.pid, NULL, 0);
    /* With its init the pool still counts as running. */
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"), -EBUSY);
    assert_int_equal(ph_space_close(&place->settings, &place->error), 0);
    assert_false(ph_cgroup_populated(place->cgroup));
    assert_int_equal(ph_guard_remove_pool(place->fixture.guard, "web"), 0);
    assert_int_equal(ph_space_close(&place->settings, &place->error), 0); /* there is none */
    assert_int_equal(ph_guard_add_pool(place->fixture.guard, "web", place->cgroup, MARK), 0);
    assert_int_equal(ph_space_open(&place->settings, &again, &place->error), 0);
    assert_int_not_equal(again.pid, place->space.pid);
    close(again.pid_fd);
}

static void after_the_lease_there_is_none(void **state)
{
    struct place *place = *state;
    struct ph_space space = {.pid_fd = -1};
    lease_begin(&place->fixture, 60000);
    place->settings.generation = fixture_generation - 1;
    assert_int_equal(ph_space_open(&place->settings, &space, &place->error), -ESTALE);
    end_of_all(place);
}

static void mounts_follow_the_host(void **state)
{
    struct place *place = *state;
    char mountinfo[64], *text;
    assert_int_equal(mount("none", place->pool_path, "tmpfs", 0, NULL), 0);
    begin(place, 60000, program, "--workload", "sleep");
    assert_int_equal(umount2(place->pool_path, UMOUNT_NOFOLLOW), -1); /* it is used in there */
    assert_int_equal(errno, EBUSY);
    assert_int_equal(
        ph_work_driver_find("process")->stop(&place->context, &place->process, &place->error), 0);
    waitpid(place->process.pid, NULL, 0);
    snprintf(mountinfo, sizeof mountinfo, "/proc/%ld/mountinfo", (long)place->space.pid);
    assert_int_equal(ph_file_read(mountinfo, 1 << 20, &text, NULL), 0);
    assert_non_null(strstr(text, place->pool_path));
    free(text);
    assert_int_equal(umount2(place->pool_path, UMOUNT_NOFOLLOW), 0);
    assert_int_equal(ph_file_read(mountinfo, 1 << 20, &text, NULL), 0);
    assert_null(strstr(text, place->pool_path));
    free(text);
}

static bool allowed(void)
{
    struct ph_error why = {0};
    char parent[PATH_MAX], directory[] = "/tmp/poolherd-space-XXXXXX";
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_SHARED, NULL) != 0)
        return false;
    if (mkdtemp(directory) == NULL)
        return false;
    bool cgroup = ph_cgroup_parent(directory, parent, sizeof parent, NULL) == 0;
    ph_cgroup_remove(parent);
    int rv = ph_space_probe(directory, &why);
    rmdir(directory);
    /* The test lies elsewhere than the programs do. */
    return cgroup && (rv == 0 || strstr(why.message, "beside") != NULL);
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
    ssize_t bytes = readlink("/proc/self/exe", program, sizeof program - 1);
    program[bytes > 0 ? bytes : 0] = '\0';
    if (!allowed()) {
        fputs("skipped: namespaces or cgroups cannot be made here (root is needed)\n", stderr);
        return 0;
    }
#define TEST(function) cmocka_unit_test_setup_teardown(function, place_setup, place_teardown)
    const struct CMUnitTest tests[] = {
        TEST(the_workload_sees_its_own_processes),
        TEST(its_end_is_told_as_ever),
        TEST(orphans_are_reaped),
        TEST(everything_ends_with_its_init),
        TEST(nothing_outlives_the_lease_without_a_guard),
        TEST(a_stopped_guard_makes_no_difference),
        TEST(a_guard_may_be_replaced_while_it_runs),
        TEST(it_is_found_again_and_ended),
        TEST(after_the_lease_there_is_none),
        TEST(mounts_follow_the_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
