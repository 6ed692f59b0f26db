/* The guard as a process: what it kills, when, and what it survives. */
#include "tests/unit/guard/lease.h"
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/un.h>
/* Ends it now; the guard sleeps until its deadline unless something wakes it. */
static void lease_end(struct fixture *fixture)
{
    ph_lease_end(fixture->page);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
}

/* A pool with its cgroup, or without one when `marked`. */
static void pool_add(struct fixture *fixture, const char *pool, bool marked, char cgroup[PATH_MAX])
{
    cgroup[0] = '\0';
    if (!marked)
        assert_int_equal(ph_cgroup_make(fixture->parent, pool, cgroup, PATH_MAX), 0);
    assert_int_equal(ph_guard_add_pool(fixture->guard, pool, cgroup, MARK), 0);
}

static void kills_at_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char cgroup[PATH_MAX];
    for (int marked = 0; marked < 2; marked++) {
        uint64_t deadline_ms = lease_begin(fixture, 1500);
        pool_add(fixture, "web", marked, cgroup);
        pid_t pid = workload_start("stubborn", "", cgroup);
        assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
        int status;
        assert_int_equal(waitpid(pid, &status, 0), pid);
        uint64_t dead_ms = ph_clock_boot_ms();
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), SIGKILL);
        assert_true(dead_ms >= deadline_ms);
        news_wait(fixture, PH_GUARD_ENDED, &report);
        uint64_t told_ms = ph_clock_boot_ms();
        assert_int_equal(report.generation, fixture_generation);
        assert_int_equal(atomic_load(&fixture->page->clean), fixture_generation);
        assert_int_equal(atomic_load(&fixture->page->deadline_ms), 0);
        print_message("%s: killed %llu ms after the deadline, all of it clean %llu ms after it\n",
            cgroup[0] != '\0' ? "cgroup" : "group and mark",
            (unsigned long long)(dead_ms - deadline_ms),
            (unsigned long long)(told_ms - deadline_ms));
        assert_true(dead_ms - deadline_ms < 2000);
    }
}

static void catches_what_leaves_its_session(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char cgroup[PATH_MAX], file[PATH_MAX];
    pid_t daemon, parent;
    for (int marked = 0; marked < 2; marked++) {
        if (!marked && fixture->parent[0] == '\0')
            continue; /* only a cgroup holds who cleans its environment */
        file_of(fixture, marked ? "pids.marked" : "pids.cgroup", file);
        lease_begin(fixture, 60000);
        pool_add(fixture, "web", marked, cgroup);
        parent = workload_start(marked ? "daemon" : "clean-daemon", file, cgroup);
        WAIT_FOR(workload_pids(file, &daemon, 1) == 1);
        waitpid(parent, NULL, 0);
        assert_true(runs(daemon));
        assert_int_not_equal(getsid(daemon), parent);
        assert_int_equal(ph_guard_kill_pool(fixture->guard, "web", LIMIT_MS), 0);
        assert_false(runs(daemon));
        /* And at the end of a lease, without having been registered as a group. */
        unlink(file);
        parent = workload_start(marked ? "daemon" : "clean-daemon", file, cgroup);
        WAIT_FOR(workload_pids(file, &daemon, 1) == 1);
        waitpid(parent, NULL, 0);
        lease_end(fixture);
        news_wait(fixture, PH_GUARD_ENDED, &report);
        assert_false(runs(daemon));
    }
}

static void marks_count(const struct ph_process *process, void *argument)
{
    struct ph_process_marks marks;
    if (ph_process_marks(process->pid, &marks) == 0 && strcmp(marks.mark, MARK) == 0)
        ++*(int *)argument;
}

/* One scan is not enough for what is reborn elsewhere while it is being looked for. */
static void chases_what_keeps_forking(void **state)
{
    struct fixture *fixture = *state;
    char cgroup[PATH_MAX], file[PATH_MAX];
    file_of(fixture, "pids", file);
    lease_begin(fixture, 60000);
    for (int round = 0; round < 5; round++) {
        int left = 0;
        pid_t pid;
        unlink(file);
        pool_add(fixture, "web", true, cgroup);
        pid_t parent = workload_start("relay", file, cgroup);
        WAIT_FOR(workload_pids(file, &pid, 1) == 1);
        waitpid(parent, NULL, 0);
        assert_int_equal(ph_guard_kill_pool(fixture->guard, "web", LIMIT_MS), 0);
        pause_ms(30); /* several generations of it */
        assert_int_equal(ph_process_each(marks_count, &left), 0);
        assert_int_equal(left, 0);
    }
}

static void kills_other_groups_of_a_session(void **state)
{
    struct fixture *fixture = *state;
    char cgroup[PATH_MAX], file[PATH_MAX];
    pid_t pids[2];
    file_of(fixture, "pids", file);
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web", "", "another-mark"), 0);
    cgroup[0] = '\0';
    pid_t pid = workload_start("family", file, cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    WAIT_FOR(workload_pids(file, pids, 2) == 2);
    assert_int_equal(ph_guard_kill_pool(fixture->guard, "web", LIMIT_MS), 0);
    assert_false(runs(pids[0]));
    assert_false(runs(pids[1]));
    waitpid(pid, NULL, 0);
}

static void an_extended_lease_keeps_everything(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report;
    char cgroup[PATH_MAX];
    uint64_t first_ms = lease_begin(fixture, 1500);
    pool_add(fixture, "web", false, cgroup);
    pid_t pid = workload_start("sleep", "", cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    while (ph_clock_boot_ms() < first_ms + 500) {
        uint64_t now_ms = ph_clock_boot_ms();
        assert_int_equal(
            ph_lease_extend(fixture->page, fixture_generation, now_ms + 1500, now_ms), 0);
        pause_ms(20);
    }
    assert_true(runs(pid));
    assert_int_equal(ph_guard_read(fixture->guard, &report), 0);
    assert_int_equal(report.news, PH_GUARD_NOTHING);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    uint64_t now_ms = ph_clock_boot_ms();
    assert_int_equal(
        ph_lease_extend(fixture->page, fixture_generation, now_ms + 300, now_ms), -ESTALE);
}

static void outlives_the_agent(void **state)
{
    struct fixture *fixture = *state;
    char cgroup[PATH_MAX], file[PATH_MAX];
    pid_t workload;
    file_of(fixture, "pids", file);
    uint64_t deadline_ms = ph_clock_boot_ms() + 2000;
    fixture_generation++;
    pid_t agent = fork();
    if (agent == 0) {
        /* An agent of its own group, killed with it. */
        setpgid(0, 0);
        struct ph_guard *guard;
        if (ph_guard_connect(fixture->directory, GUARD_PROGRAM, 500, &guard, NULL) != 0 ||
            ph_lease_begin(ph_guard_page(guard), fixture_generation, deadline_ms) != 0 ||
            ph_cgroup_make(fixture->parent, "web", cgroup, PATH_MAX) != 0 ||
            ph_guard_add_pool(guard, "web", cgroup, MARK) != 0)
            _exit(1);
        pid_t pid = workload_start("sleep", file, cgroup);
        if (ph_guard_add_group(guard, "web", pid) != 0)
            _exit(1);
        for (;;)
            pause();
    }
    setpgid(agent, agent);
    WAIT_FOR(workload_pids(file, &workload, 1) == 1);
    kill(-agent, SIGHUP);
    kill(-agent, SIGKILL);
    assert_int_equal(waitpid(agent, NULL, 0), agent);
    assert_true(runs(guard_pid(fixture)));
    assert_true(runs(workload));
    WAIT_FOR(!runs(workload));
    assert_true(ph_clock_boot_ms() >= deadline_ms);
    WAIT_FOR(atomic_load(&fixture->page->clean) == fixture_generation);
}

static void keeps_apart_from_the_agent(void **state)
{
    struct fixture *fixture = *state;
    struct ph_process guard, own;
    char path[64], text[4096];
    pid_t pid = guard_pid(fixture);
    assert_int_equal(ph_process_read(pid, &guard), 0);
    assert_int_equal(ph_process_read(getpid(), &own), 0);
    assert_int_not_equal(guard.session, own.session);
    assert_int_not_equal(guard.group, own.group);
    kill(pid, SIGHUP);
    kill(pid, SIGINT);
    kill(pid, SIGPIPE);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
    assert_int_equal(pid, guard_pid(fixture));
    if (fixture->parent[0] != '\0') {
        snprintf(path, sizeof path, "/proc/%ld/cgroup", (long)pid);
        FILE *file = fopen(path, "r");
        size_t got = fread(text, 1, sizeof text - 1, file);
        text[got] = '\0';
        fclose(file);
        assert_non_null(strstr(text, "/guard-self"));
    }
}

static void a_successor_knows_the_table(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    struct ph_error error;
    char cgroup[PATH_MAX];
    lease_begin(fixture, 60000);
    pool_add(fixture, "web", false, cgroup);
    pid_t pid = workload_start("sleep", "", cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    pid_t first = guard_pid(fixture);
    int fd = ph_guard_fd(fixture->guard);
    kill(first, SIGKILL);
    news_wait(fixture, PH_GUARD_GONE, &report);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "db", "", MARK), -ENOTCONN);
    assert_int_equal(ph_guard_reconnect(fixture->guard, &error), 0);
    assert_int_equal(ph_guard_fd(fixture->guard), fd);
    assert_ptr_equal(ph_guard_page(fixture->guard), fixture->page);
    assert_int_not_equal(guard_pid(fixture), first);
    assert_true(runs(pid));
    assert_true(ph_lease_valid(fixture->page, fixture_generation, ph_clock_boot_ms()));
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "web"), -EBUSY);
    lease_end(fixture);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    assert_false(runs(pid));
    waitpid(pid, NULL, 0);
}

static void a_late_successor_kills_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    struct ph_error error;
    char cgroup[PATH_MAX];
    uint64_t deadline_ms = lease_begin(fixture, 1500);
    pool_add(fixture, "web", true, cgroup);
    pid_t pid = workload_start("sleep", "", cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    kill(guard_pid(fixture), SIGKILL);
    news_wait(fixture, PH_GUARD_GONE, &report);
    while (ph_clock_boot_ms() <= deadline_ms)
        pause_ms(10);
    assert_true(runs(pid)); /* nobody was there */
    assert_int_equal(ph_guard_reconnect(fixture->guard, &error), 0);
    waitpid(pid, NULL, 0);
    WAIT_FOR(atomic_load(&fixture->page->clean) == fixture_generation);
}

/* A stand-in for a cgroup with a process in it that the kernel cannot end. */
static void says_what_is_stuck(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char cgroup[PATH_MAX], fake[PATH_MAX];
    uint64_t deadline_ms = lease_begin(fixture, 1500);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    pool_add(fixture, "web", false, cgroup);
    pid_t pid = workload_start("sleep", "", cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    news_wait(fixture, PH_GUARD_STUCK, &report);
    assert_true(ph_clock_boot_ms() >= deadline_ms + 500);
    assert_string_equal(report.pool, "disk");
    assert_int_equal(report.generation, fixture_generation);
    assert_int_equal(waitpid(pid, NULL, 0), pid); /* the others did not wait for it */
    assert_true(atomic_load(&fixture->page->clean) < fixture_generation);
    assert_int_equal(ph_lease_begin(fixture->page, fixture_generation + 1, UINT64_MAX), -EBUSY);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web2", "", MARK), -ESTALE);
    /* One that connects later hears of it too. */
    struct ph_guard *second;
    assert_int_equal(ph_guard_connect(fixture->directory, GUARD_PROGRAM, 500, &second, NULL), 0);
    struct fixture other = {.guard = second};
    news_wait(&other, PH_GUARD_STUCK, &report);
    ph_guard_disconnect(&second);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    news_wait(fixture, PH_GUARD_ENDED, &report);
    assert_int_equal(atomic_load(&fixture->page->clean), fixture_generation);
}

static void kills_one_pool_alone(void **state)
{
    struct fixture *fixture = *state;
    char first[PATH_MAX], second[PATH_MAX], fake[PATH_MAX];
    lease_begin(fixture, 60000);
    pool_add(fixture, "web", false, first);
    if (first[0] == '\0') { /* both pools would carry the same mark */
        print_message("skipped: needs a cgroup to tell two pools apart\n");
        skip();
    }
    pool_add(fixture, "db", false, second);
    pid_t web = workload_start("stubborn", "", first);
    pid_t db = workload_start("sleep", "", second);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", web), 0);
    assert_int_equal(ph_guard_add_group(fixture->guard, "db", db), 0);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "web"), -EBUSY);
    assert_int_equal(ph_guard_kill_pool(fixture->guard, "web", LIMIT_MS), 0);
    assert_false(runs(web)); /* though it was not waited for */
    assert_true(runs(db));
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "web"), 0);
    assert_int_equal(
        ph_guard_kill_pool(fixture->guard, "web", 100), 0); /* nothing is known of it */
    waitpid(web, NULL, 0);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    assert_int_equal(ph_guard_kill_pool(fixture->guard, "disk", 60), -EBUSY);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    assert_int_equal(ph_guard_kill_pool(fixture->guard, "disk", LIMIT_MS), 0);
    assert_true(runs(db));
    assert_int_equal(ph_guard_stop(fixture->guard), 0);
    waitpid(db, NULL, 0);
}

static void refuses_what_makes_no_sense(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard *guard = fixture->guard;
    char long_name[200];
    memset(long_name, 'a', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    assert_int_equal(ph_guard_add_pool(guard, "web", "", MARK), -ESTALE); /* no lease */
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_group(guard, "web", getpid()), -ENOENT); /* not its pool */
    assert_int_equal(ph_guard_add_pool(guard, "web", "relative", MARK), -EINVAL);
    assert_int_equal(ph_guard_add_pool(guard, "web", "", "two\nlines"), -EINVAL);
    assert_int_equal(ph_guard_add_pool(guard, "we b", "", MARK), -EPROTO);
    assert_int_equal(ph_guard_add_pool(guard, "", "", MARK), -EPROTO);
    assert_int_equal(ph_guard_add_pool(guard, long_name, "", MARK), -ENAMETOOLONG);
    assert_int_equal(ph_guard_add_pool(guard, "web", "", long_name), -ENAMETOOLONG);
    assert_int_equal(ph_guard_add_pool(guard, "web", "", MARK), 0);
    assert_int_equal(ph_guard_add_pool(guard, "web", "", MARK), 0); /* known already */
    assert_int_equal(ph_guard_add_group(guard, "web", 1), -EINVAL);
    assert_int_equal(ph_guard_add_group(guard, "web", 0), -ESRCH);
    assert_int_equal(ph_guard_add_group(guard, "web", -1), -ESRCH);
    pid_t ended = fork();
    if (ended == 0)
        _exit(0);
    waitpid(ended, NULL, 0);
    assert_int_equal(ph_guard_add_group(guard, "web", ended), -ESRCH);
    assert_int_equal(ph_guard_add_mount(guard, "web", "relative"), -EINVAL);
    assert_int_equal(ph_guard_remove_pool(guard, "web"), 0);
}

static void there_is_one_guard(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard *second;
    struct ph_error error;
    pid_t pid = guard_pid(fixture);
    assert_int_equal(ph_guard_connect(fixture->directory, GUARD_PROGRAM, 500, &second, &error), 0);
    assert_int_equal(guard_pid(fixture), pid);
    ph_guard_disconnect(&second);
    pid_t other = fork();
    if (other == 0) {
        int null_fd = open("/dev/null", O_WRONLY);
        dup2(null_fd, 2);
        execl(GUARD_PROGRAM, "poolherd-guard", "--dir", fixture->directory, "--stop-ms", "100",
            (char *)NULL);
        _exit(127);
    }
    int status;
    assert_int_equal(waitpid(other, &status, 0), other);
    assert_int_equal(WEXITSTATUS(status), 3);
    assert_int_equal(guard_pid(fixture), pid);
    assert_int_equal(ph_guard_connect("/nonexistent", GUARD_PROGRAM, 500, &second, &error), -EIO);
    assert_non_null(strstr(error.message, "/nonexistent"));
}

static void ends_when_told(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char cgroup[PATH_MAX], path[PATH_MAX];
    struct stat status;
    pid_t guard = guard_pid(fixture);
    lease_begin(fixture, 60000);
    pool_add(fixture, "web", true, cgroup);
    pid_t pid = workload_start("sleep", "", cgroup);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", pid), 0);
    assert_int_equal(ph_guard_stop(fixture->guard), 0);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    assert_int_equal(report.generation, fixture_generation);
    news_wait(fixture, PH_GUARD_GONE, &report);
    assert_false(runs(pid));
    waitpid(pid, NULL, 0);
    WAIT_FOR(!runs(guard));
    file_of(fixture, "run/state", path);
    assert_int_equal(lstat(path, &status), -1);
    /* And a new one starts afresh. */
    assert_int_equal(ph_guard_reconnect(fixture->guard, NULL), 0);
    assert_int_equal(atomic_load(&fixture->page->generation), 0);
    lease_begin(fixture, 100);
    news_wait(fixture, PH_GUARD_ENDED, &report);
}

static void a_long_directory_works(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard *guard;
    struct ph_error error;
    char path[PATH_MAX];
    ph_text_format(path, sizeof path, "%s/%0150d/%0150d", fixture->directory, 1, 2);
    assert_int_equal(ph_directory_make(path), 0);
    if (ph_guard_connect(path, GUARD_PROGRAM, 500, &guard, &error) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(ph_guard_stop(guard), 0);
    struct fixture other = {.guard = guard};
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    news_wait(&other, PH_GUARD_GONE, &report);
    ph_guard_disconnect(&guard);
}

static void feeds_the_watchdog_while_safe(void **state)
{
    struct fixture *fixture = *state;
    char device[PATH_MAX], fake[PATH_MAX], *text;
    struct stat status;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    size_t size;
    assert_int_equal(ph_guard_stop(fixture->guard), 0);
    news_wait(fixture, PH_GUARD_GONE, &report);
    ph_guard_disconnect(&fixture->guard);
    file_of(fixture, "watchdog", device);
    write_file(device, "");
    struct ph_guard_settings settings = {fixture->directory, GUARD_PROGRAM, 100, device, 0};
    assert_int_equal(ph_guard_connect_with(&settings, &fixture->guard, NULL), 0);
    fixture->page = ph_guard_page(fixture->guard);
    WAIT_FOR(stat(device, &status) == 0 && status.st_size >= 1);
    lease_begin(fixture, 3000);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    WAIT_FOR(stat(device, &status) == 0 && status.st_size >= 2);
    lease_end(fixture);
    news_wait(fixture, PH_GUARD_STUCK, &report);
    stat(device, &status);
    off_t fed = status.st_size;
    pause_ms(1500); /* more than its period: nothing may come */
    stat(device, &status);
    assert_int_equal(status.st_size, fed);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    WAIT_FOR(stat(device, &status) == 0 && status.st_size > fed);
    pid_t pid = guard_pid(fixture);
    kill(pid, SIGTERM);
    WAIT_FOR(!runs(pid));
    assert_int_equal(ph_file_read(device, 4096, &text, &size), 0);
    assert_int_equal(text[size - 1], 'V');
    assert_ptr_equal(strchr(text, 'V'), &text[size - 1]);
    free(text);
}

static void sweeps_up_after_killed_guards(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char path[PATH_MAX], left[PATH_MAX], cgroup[PATH_MAX], gone[PATH_MAX], file[PATH_MAX];
    struct ph_error error;
    struct stat status;
    file_of(fixture, "pids", file);
    file_of(fixture, "gone", gone);
    assert_int_equal(mkdir(gone, 0700), 0);
    struct fixture other = {.guard = NULL};
    ph_text_format(other.directory, sizeof other.directory, "%s", gone);
    ph_cgroup_parent(gone, other.parent, sizeof other.parent, NULL);
    fixture_connect(&other, 500);
    lease_begin(&other, 60000);
    pool_add(&other, "web", other.parent[0] == '\0', cgroup);
    pid_t pid = workload_start("sleep", file, cgroup);
    assert_int_equal(ph_guard_add_group(other.guard, "web", pid), 0);
    ph_path_join(path, sizeof path, gone, "run/state");
    if (readlink(path, left, 9) < 9) {
        print_message("skipped: the directory is on tmpfs itself, nothing is left elsewhere\n");
        skip();
    }
    assert_non_null(realpath(path, left));
    kill(guard_pid(&other), SIGKILL);
    news_wait(&other, PH_GUARD_GONE, &report);
    ph_guard_disconnect(&other.guard);
    assert_int_equal(ph_tree_remove(gone), 0);
    /* While its workload runs, what is known of it stays. */
    for (int round = 0; round < 2; round++) {
        kill(guard_pid(fixture), SIGKILL);
        news_wait(fixture, PH_GUARD_GONE, &report);
        assert_int_equal(ph_guard_reconnect(fixture->guard, &error), 0);
        assert_int_equal(stat(left, &status), round == 0 ? 0 : -1);
        if (other.parent[0] != '\0')
            assert_int_equal(stat(other.parent, &status), round == 0 ? 0 : -1);
        if (round == 0) {
            assert_true(runs(pid));
            kill(pid, SIGKILL);
            waitpid(pid, NULL, 0);
        }
    }
    assert_true(
        ph_lease_begin(fixture->page, ++fixture_generation, UINT64_MAX) == 0); /* its own stands */
    assert_int_equal(ph_guard_add_pool(fixture->guard, "db", "", MARK), 0);
}

static void releases_mounts(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char path[PATH_MAX], file[PATH_MAX];
    struct stat before, after;
    file_of(fixture, "mount", path);
    assert_int_equal(mkdir(path, 0700), 0);
    stat(path, &before);
    if (mount("none", path, "tmpfs", 0, "size=64k") != 0) {
        print_message("skipped: needs the right to mount a tmpfs\n");
        skip();
    }
    ph_path_join(file, sizeof file, path, "file");
    write_file(file, "x");
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web", "", MARK), 0);
    assert_int_equal(ph_guard_add_mount(fixture->guard, "web", path), 0);
    int busy_fd = open(file, O_RDONLY);
    lease_end(fixture);
    news_wait(fixture, PH_GUARD_STUCK, &report);
    assert_string_equal(report.pool, "web");
    assert_true(atomic_load(&fixture->page->clean) < fixture_generation);
    close(busy_fd);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    stat(path, &after);
    assert_int_equal(before.st_dev, after.st_dev);
}

static void ends_many_pools_together(void **state)
{
    enum { POOLS = 60 };
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char cgroup[PATH_MAX], name[32];
    pid_t pids[POOLS];
    for (int marked = 0; marked < 2; marked++) {
        lease_begin(fixture, 60000);
        for (int i = 0; i < POOLS; i++) {
            snprintf(name, sizeof name, "pool%d", i);
            pool_add(fixture, name, marked, cgroup);
            pids[i] = workload_start("stubborn", "", cgroup);
            assert_int_equal(ph_guard_add_group(fixture->guard, name, pids[i]), 0);
        }
        uint64_t ended_ms = ph_clock_boot_ms();
        lease_end(fixture);
        news_wait(fixture, PH_GUARD_ENDED, &report);
        print_message("%d pools with %s: ended in %llu ms, none of them waited for\n", POOLS,
            cgroup[0] != '\0' ? "cgroups" : "groups and marks",
            (unsigned long long)(ph_clock_boot_ms() - ended_ms));
        for (int i = 0; i < POOLS; i++) {
            assert_false(runs(pids[i]));
            waitpid(pids[i], NULL, 0);
        }
    }
}

static void bears_nonsense_on_its_socket(void **state)
{
    struct fixture *fixture = *state;
    char run[PATH_MAX], bytes[8192];
    unsigned seed = 1;
    file_of(fixture, "run", run);
    assert_int_equal(chdir(run), 0);
    for (int i = 0; i < 200; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "guard.sock"};
        int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);
        assert_true(fd >= 0);
        assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
        for (size_t j = 0; j < sizeof bytes; j++)
            bytes[j] = (char)rand_r(&seed);
        size_t size = i % 4 == 0 ? 4400 : (size_t)rand_r(&seed) % sizeof bytes;
        ssize_t sent = write(fd, bytes, size);
        (void)sent;
        close(fd);
    }
    assert_int_equal(chdir("/"), 0);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        TEST(kills_at_the_deadline),
        TEST(catches_what_leaves_its_session),
        TEST(chases_what_keeps_forking),
        TEST(kills_other_groups_of_a_session),
        TEST(an_extended_lease_keeps_everything),
        TEST(outlives_the_agent),
        TEST(keeps_apart_from_the_agent),
        TEST(a_successor_knows_the_table),
        TEST(a_late_successor_kills_at_once),
        TEST(says_what_is_stuck),
        TEST(kills_one_pool_alone),
        TEST(refuses_what_makes_no_sense),
        TEST(there_is_one_guard),
        TEST(ends_when_told),
        TEST(a_long_directory_works),
        TEST(feeds_the_watchdog_while_safe),
        TEST(sweeps_up_after_killed_guards),
        TEST(releases_mounts),
        TEST(ends_many_pools_together),
        TEST(bears_nonsense_on_its_socket),
    };
    int rv = cmocka_run_group_tests(tests, NULL, NULL);
    return rv != 0 ? rv : run_again_unprivileged();
}
