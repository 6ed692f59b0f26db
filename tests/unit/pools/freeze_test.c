/* A freeze ends: when told, when its time is up, and when who asked for it is killed. Needs root. */
#include "tests/unit/pools/image_mount.h"

#include "agent/pools/freeze.h"

static char top[PATH_MAX], place[PATH_MAX];

static int setup(void **state)
{
    (void)state;
    make_top(top);
    if (!mount_host(top, 1, "ext4", 16 * MIB))
        return -1;
    ph_text_format(place, sizeof place, "%s/n1", top);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    unmount_hosts(top);
    return 0;
}

/* Writes and waits for the disk; the time it took. */
static uint64_t write_ms(void)
{
    char path[PATH_MAX + 8];
    uint64_t begun_ms = ph_clock_boot_ms();
    ph_text_format(path, sizeof path, "%s/file", place);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(1, write(fd, "x", 1));
    assert_int_equal(0, fsync(fd));
    close(fd);
    return ph_clock_boot_ms() - begun_ms;
}

static void told(void **state)
{
    struct ph_error error = {.code = PH_OK};
    struct ph_freeze freeze;
    (void)state;
    assert_int_equal(0, ph_freeze_begin(&freeze, place, 20000, &error));
    pid_t writer = fork();
    if (writer == 0)
        _exit(write_ms() < 15000 ? 0 : 1);
    struct timespec pause = {.tv_nsec = 100 * 1000000};
    nanosleep(&pause, NULL);
    assert_int_equal(0, waitpid(writer, NULL, WNOHANG)); /* asleep */
    assert_int_equal(0, ph_freeze_end(&freeze));
    int status = 1;
    assert_int_equal(writer, waitpid(writer, &status, 0));
    assert_int_equal(0, status);
}

static void in_time(void **state)
{
    struct ph_error error = {.code = PH_OK};
    struct ph_freeze freeze;
    (void)state;
    assert_int_equal(0, ph_freeze_begin(&freeze, place, 150, &error));
    assert_true(write_ms() < 15000); /* it was thawed without a word from us */
    assert_int_equal(-ETIMEDOUT, ph_freeze_end(&freeze));
}

static void killed(void **state)
{
    int ready[2];
    char byte;
    (void)state;
    assert_int_equal(0, pipe(ready));
    pid_t agent = fork();
    if (agent == 0) {
        struct ph_error error = {.code = PH_OK};
        struct ph_freeze freeze;
        if (ph_freeze_begin(&freeze, place, 100000, &error) == 0)
            (void)!write(ready[1], "x", 1);
        pause();
    }
    assert_int_equal(1, read(ready[0], &byte, 1));
    kill(agent, SIGKILL);
    waitpid(agent, NULL, 0);
    assert_true(write_ms() < 15000);
    close(ready[0]);
    close(ready[1]);
}

/* What is no mount of its own is never frozen: it would be the host's. */
static void not_the_host(void **state)
{
    struct ph_error error = {.code = PH_OK};
    struct ph_freeze freeze;
    char path[PATH_MAX];
    (void)state;
    ph_text_format(path, sizeof path, "%.4000s/directory", place);
    assert_int_equal(0, mkdir(path, 0700));
    assert_int_equal(-ENODATA, ph_freeze_begin(&freeze, path, 1000, &error));
    assert_true(write_ms() < 15000);
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {TEST(told), TEST(in_time), TEST(killed), TEST(not_the_host)};
    if (!images_work())
        return 0;
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
