/* The watchdog: which bytes a device gets, and when, measured against the lease. */
#include "tests/unit/guard/lease.h"

#include <poll.h>

#define FAKE PH_BINARY_DIR "/tests/fake_watchdog.so"
/* What a loaded machine may add to an instant; a real-time guard needs far less. */
#define SLACK_MS 250

struct device {
    struct fixture *fixture;
    char path[PATH_MAX];
    int fd; /* the test's end of the pipe */
    size_t count;
    struct {
        char byte;
        uint64_t at_ms;
    } bytes[1024];
};

static struct device device_made;

static void fake_environment(const char *step)
{
    const char *asan = getenv("ASAN_OPTIONS");
    char options[1024];
    ph_text_format(
        options, sizeof options, "%s:verify_asan_link_order=0", asan != NULL ? asan : "");
    setenv("LD_PRELOAD", FAKE, 1);
    setenv("ASAN_OPTIONS", options, 1);
    setenv("POOLHERD_TEST_WATCHDOG_STEP", step, 1);
}

static int connect_with(struct device *device, uint64_t stop_ms, const char *path, int seconds)
{
    struct fixture *fixture = device->fixture;
    struct ph_error error;
    struct ph_guard_settings settings = {fixture->directory, GUARD_PROGRAM, stop_ms, path, seconds};
    int rv = ph_guard_connect_with(&settings, &fixture->guard, &error);
    if (rv != 0)
        fail_msg("%s", error.message);
    fixture->page = ph_guard_page(fixture->guard);
    return rv;
}

static int device_setup(void **state)
{
    struct fixture *fixture = malloc(sizeof *fixture);
    fixture_make(fixture);
    device_made = (struct device){.fixture = fixture, .fd = -1};
    ph_path_join(device_made.path, PATH_MAX, fixture->directory, "watchdog");
    if (mkfifo(device_made.path, 0600) != 0)
        return -1;
    device_made.fd = open(device_made.path, O_RDWR | O_NONBLOCK | O_CLOEXEC);
    fake_environment("1");
    *state = &device_made;
    return device_made.fd >= 0 ? 0 : -1;
}

static int device_teardown(void **state)
{
    struct device *device = *state;
    void *fixture = device->fixture;
    unsetenv("LD_PRELOAD");
    int rv = fixture_teardown(&fixture);
    close(device->fd);
    return rv;
}

/* Notes what comes until an instant. */
static void watch(struct device *device, uint64_t until_ms)
{
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        struct pollfd polls = {.fd = device->fd, .events = POLLIN};
        char byte;
        if (now_ms >= until_ms)
            return;
        poll(&polls, 1, (int)(until_ms - now_ms));
        while (device->count < 1024 && read(device->fd, &byte, 1) == 1) {
            device->bytes[device->count].byte = byte;
            device->bytes[device->count++].at_ms = ph_clock_boot_ms();
        }
    }
}

/* Every byte since `first` is a feeding, and none was late: a quarter of a time-out apart at most. */
static void expect_fed(const struct device *device, size_t first, uint64_t since_ms,
    uint64_t until_ms, uint64_t period_ms)
{
    uint64_t before_ms = since_ms;
    for (size_t i = first; i < device->count; i++) {
        assert_int_equal(device->bytes[i].byte, 'k');
        assert_in_range(device->bytes[i].at_ms - before_ms, 0, period_ms + SLACK_MS);
        before_ms = device->bytes[i].at_ms;
    }
    assert_true(until_ms <= before_ms + period_ms + SLACK_MS);
}

static uint64_t last_ms(const struct device *device)
{
    assert_true(device->count > 0);
    return device->bytes[device->count - 1].at_ms;
}

static void is_fed_while_nothing_runs(void **state)
{
    struct device *device = *state;
    connect_with(device, 500, device->path, 1);
    uint64_t began_ms = ph_clock_boot_ms();
    assert_int_equal(ph_guard_watchdog_ms(device->fixture->guard), 1000);
    assert_string_equal(ph_guard_problem(device->fixture->guard), "");
    watch(device, began_ms + 1500);
    expect_fed(device, 0, began_ms, began_ms + 1500, 250);
    assert_in_range(device->count, 4, 8); /* a quarter of a time-out apart, not more often */
}

static void is_fed_by_a_valid_lease_and_not_after(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char fake[PATH_MAX];
    connect_with(device, 100, device->path, 1);
    lease_begin(fixture, 1500);
    uint64_t deadline_ms = atomic_load(&fixture->page->deadline_ms);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    watch(device, deadline_ms - 20);
    expect_fed(device, 0, deadline_ms - 1500, deadline_ms - 20, 250);
    /* Something is left: from the deadline on nothing comes, for longer than any time-out. */
    watch(device, deadline_ms + 1500);
    assert_true(last_ms(device) <= deadline_ms + SLACK_MS);
    size_t fed = device->count;
    news_wait(fixture, PH_GUARD_STUCK, &report);
    assert_string_equal(report.pool, "disk");
    watch(device, deadline_ms + 2500);
    assert_int_equal(device->count, fed);
    /* Nothing is left any more. */
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    news_wait(fixture, PH_GUARD_ENDED, &report);
    watch(device, ph_clock_boot_ms() + 400);
    assert_true(device->count > fed);
}

static void gives_the_guard_its_time_first(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    char fake[PATH_MAX];
    /* stop_ms is 2 s longer than the time-out: it is fed so much longer, so that it bites when both are over. */
    connect_with(device, 3000, device->path, 1);
    lease_begin(fixture, 300);
    uint64_t deadline_ms = atomic_load(&fixture->page->deadline_ms);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    watch(device, deadline_ms + 3500);
    assert_in_range(last_ms(device), deadline_ms + 1500, deadline_ms + 2000 + SLACK_MS);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
}

static void is_stopped_by_the_letter_on_a_clean_end_alone(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    connect_with(device, 500, device->path, 1);
    watch(device, ph_clock_boot_ms() + 300);
    pid_t pid = guard_pid(fixture);
    kill(pid, SIGKILL);
    news_wait(fixture, PH_GUARD_GONE, &report);
    watch(device, ph_clock_boot_ms() + 100);
    for (size_t i = 0; i < device->count; i++)
        assert_int_equal(device->bytes[i].byte, 'k');
    size_t before = device->count;
    /* Its successor opens the device again and goes on. */
    assert_int_equal(ph_guard_reconnect(fixture->guard, NULL), 0);
    assert_int_equal(ph_guard_watchdog_ms(fixture->guard), 1000);
    watch(device, ph_clock_boot_ms() + 400);
    assert_true(device->count > before);
    pid = guard_pid(fixture);
    kill(pid, SIGTERM);
    WAIT_FOR(!runs(pid));
    watch(device, ph_clock_boot_ms() + 400);
    for (size_t i = 0; i + 1 < device->count; i++)
        assert_int_equal(device->bytes[i].byte, 'k');
    assert_int_equal(device->bytes[device->count - 1].byte, 'V');
}

static void what_cannot_be_counted_on_is_said(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    char path[PATH_MAX];
    int fd;
    static const struct {
        const char *file, *words;
    } cases[] = {{"missing", "cannot be opened: No such file"}, {"plain", "is not counted on"}};
    ph_path_join(path, sizeof path, fixture->directory, "plain");
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    close(fd);
    for (size_t i = 0; i < 2; i++) {
        ph_path_join(path, sizeof path, fixture->directory, cases[i].file);
        connect_with(device, 500, path, 0);
        assert_int_equal(ph_guard_watchdog_ms(fixture->guard), 0);
        if (strstr(ph_guard_problem(fixture->guard), cases[i].words) == NULL)
            fail_msg("%s", ph_guard_problem(fixture->guard));
        ph_guard_disconnect(&fixture->guard);
    }
    /* One that appears later is found when it is asked for again. */
    connect_with(device, 500, device->path, 1);
    assert_int_equal(ph_guard_watchdog_ms(fixture->guard), 1000);
}

static void what_the_device_makes_of_the_time_out_counts(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    fake_environment("4");
    connect_with(device, 500, device->path, 5);
    assert_int_equal(ph_guard_watchdog_ms(fixture->guard), 8000);
    assert_non_null(strstr(ph_guard_problem(fixture->guard), "8 s, though watchdog_s asks for 5"));
}

static void news_come_when_it_is_told_something(void **state)
{
    struct device *device = *state;
    struct fixture *fixture = device->fixture;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char fake[PATH_MAX];
    connect_with(device, 60000, device->path, 1);
    /* The manager's stop_ms takes the place of the one it was started with. */
    ph_guard_tell(fixture->guard, 100);
    news_wait(fixture, PH_GUARD_TOLD, &report);
    assert_int_equal(ph_guard_watchdog_ms(fixture->guard), 1000);
    lease_begin(fixture, 100);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    news_wait(fixture, PH_GUARD_STUCK, &report);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    news_wait(fixture, PH_GUARD_ENDED, &report);
    /* An agent that connects and does not know better leaves it as it is. */
    ph_guard_disconnect(&fixture->guard);
    connect_with(device, 60000, device->path, 1);
    lease_begin(fixture, 100);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    news_wait(fixture, PH_GUARD_STUCK, &report);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
    /* Nor does it forget when its guard is followed by another. */
    news_wait(fixture, PH_GUARD_ENDED, &report);
    ph_guard_tell(fixture->guard, 150);
    news_wait(fixture, PH_GUARD_TOLD, &report);
    kill(guard_pid(fixture), SIGKILL);
    news_wait(fixture, PH_GUARD_GONE, &report);
    assert_int_equal(ph_guard_reconnect(fixture->guard, NULL), 0);
    lease_begin(fixture, 100);
    fake_cgroup(fixture, "fake", fake, "populated 1\n");
    assert_int_equal(ph_guard_add_pool(fixture->guard, "disk", fake, MARK), 0);
    uint64_t began_ms = ph_clock_boot_ms();
    news_wait(fixture, PH_GUARD_STUCK, &report);
    assert_true(ph_clock_boot_ms() < began_ms + 10000);
    fake_cgroup(fixture, "fake", fake, "populated 0\n");
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
#define TEST(function) cmocka_unit_test_setup_teardown(function, device_setup, device_teardown)
    const struct CMUnitTest tests[] = {
        TEST(is_fed_while_nothing_runs),
        TEST(is_fed_by_a_valid_lease_and_not_after),
        TEST(gives_the_guard_its_time_first),
        TEST(is_stopped_by_the_letter_on_a_clean_end_alone),
        TEST(what_cannot_be_counted_on_is_said),
        TEST(what_the_device_makes_of_the_time_out_counts),
        TEST(news_come_when_it_is_told_something),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
