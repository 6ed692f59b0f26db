/* The end of a lease for file systems that are a pool's alone, and for what only a program can let go of. */
#include "fixture.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include "base/child.h"

#include "lease.h"

static bool mount_volume(struct fixture *fixture, char path[PATH_MAX])
{
    struct ph_child_result result;
    char image[PATH_MAX];
    file_of(fixture, "image", image);
    file_of(fixture, "volume", path);
    int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && ftruncate(fd, 16 << 20) == 0);
    close(fd);
    assert_int_equal(mkdir(path, 0700), 0);
    const char *const format[] = {"mkfs.ext4", "-q", "-F", image, NULL};
    const char *const mounting[] = {"mount", "-o", "loop", image, path, NULL};
    if (ph_child_run(format, NULL, NULL, 20000, &result) == 0 && result.exit_status == 0 &&
        ph_child_run(mounting, NULL, NULL, 20000, &result) == 0 && result.exit_status == 0)
        return true;
    print_message("skipped: no ext4 on a loop device here: %s\n", result.output);
    return false;
}

static void let_go(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)ioctl(fd, FITHAW, 0);
        close(fd);
    }
    (void)umount2(path, MNT_DETACH);
}

/* Also after a test that failed half-way: a frozen or mounted file system is left to nobody. */
static int teardown(void **state)
{
    const struct fixture *fixture = *state;
    char path[PATH_MAX];
    struct stat here, around;
    file_of(fixture, "volume", path);
    if (stat(path, &here) == 0 && stat(fixture->directory, &around) == 0 &&
        here.st_dev != around.st_dev)
        let_go(path);
    return fixture_teardown(state);
}

/* Writes without end, as fast as the disk takes it. */
static pid_t writer_start(const char *path)
{
    char file[PATH_MAX];
    ph_path_join(file, sizeof file, path, "file");
    pid_t pid = fork();
    if (pid == 0) {
        static char bytes[65536];
        setsid();
        int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        for (off_t at = 0;; at = (at + (off_t)sizeof bytes) % (4 << 20))
            if (pwrite(fd, bytes, sizeof bytes, at) < 0)
                pause_ms(1);
    }
    assert_true(pid > 0);
    return pid;
}

static dev_t device_of(const char *path)
{
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    return status.st_dev;
}

/* A writer asleep in a freeze that nobody ends, and a stranger with a file open. */
static void shuts_down_what_is_in_use(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char path[PATH_MAX], file[PATH_MAX];
    if (!mount_volume(fixture, path))
        skip();
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web", "", MARK), 0);
    assert_int_equal(ph_guard_add_volume(fixture->guard, "web", path), 0);
    ph_path_join(file, sizeof file, path, "stranger");
    int held = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600), top = open(path, O_RDONLY);
    assert_true(held >= 0 && top >= 0);
    assert_int_equal(write(held, "x", 1), 1);
    pid_t writer = writer_start(path);
    assert_int_equal(ph_guard_add_group(fixture->guard, "web", writer), 0);
    assert_int_equal(ioctl(top, FIFREEZE, 0), 0);
    close(top);
    ph_lease_end(fixture->page);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    int status = 0;
    bool killed = waitpid(writer, &status, WNOHANG) == writer && WIFSIGNALED(status);
    bool gone = device_of(path) == device_of(fixture->directory);
    /* What the stranger still has open reaches no disk any more. */
    bool dead = write(held, "y", 1) < 0 || fsync(held) != 0;
    close(held);
    let_go(path);
    assert_true(killed);
    assert_true(gone);
    assert_true(dead);
}

/* Nothing is shut down that is not the volume: what is around it is somebody else's. */
static void leaves_the_host_alone(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char path[PATH_MAX], around[PATH_MAX], file[PATH_MAX];
    if (!mount_volume(fixture, around))
        skip();
    ph_path_join(path, sizeof path, around, "mount");
    assert_int_equal(mkdir(path, 0700), 0);
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web", "", MARK), 0);
    assert_int_equal(ph_guard_add_volume(fixture->guard, "web", path), 0); /* never mounted */
    ph_lease_end(fixture->page);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    ph_path_join(file, sizeof file, around, "file");
    int fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool alive = fd >= 0 && write(fd, "x", 1) == 1 && fsync(fd) == 0;
    close(fd);
    let_go(around);
    assert_true(alive);
}

static void runs_what_releases(void **state)
{
    struct fixture *fixture = *state;
    struct ph_guard_report report = {PH_GUARD_NOTHING, 0, ""};
    char release[PATH_MAX], directory[PATH_MAX], text[3 * PATH_MAX];
    file_of(fixture, "release", release);
    file_of(fixture, "there/made", directory);
    ph_text_format(text, sizeof text, "NAME=a value\n\n/bin/mkdir\n%s\n", directory);
    write_file(release, text);
    lease_begin(fixture, 60000);
    assert_int_equal(ph_guard_add_pool(fixture->guard, "web", "", MARK), 0);
    assert_int_equal(ph_guard_add_release(fixture->guard, "web", "relative"), -EINVAL);
    assert_int_equal(ph_guard_add_release(fixture->guard, "web", release), 0);
    ph_lease_end(fixture->page);
    assert_int_equal(ph_guard_remove_pool(fixture->guard, "none"), 0);
    /* It fails as long as the directory around is missing, and is stuck so long. */
    news_wait(fixture, PH_GUARD_STUCK, &report);
    assert_string_equal(report.pool, "web");
    assert_true(atomic_load(&fixture->page->clean) < fixture_generation);
    file_of(fixture, "there", release);
    assert_int_equal(mkdir(release, 0700), 0);
    news_wait(fixture, PH_GUARD_ENDED, &report);
    assert_int_equal(access(directory, F_OK), 0);
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(shuts_down_what_is_in_use),
        TEST(leaves_the_host_alone),
        TEST(runs_what_releases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
