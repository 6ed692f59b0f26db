#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/file.h"

static char directory[256];

static int setup(void **state)
{
    const char *root = getenv("TMPDIR");

    (void)state;
    snprintf(directory, sizeof directory, "%s/poolherd-file-XXXXXX", root != NULL ? root : "/tmp");
    return mkdtemp(directory) != NULL ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return ph_tree_remove(directory);
}

static const char *in(const char *name)
{
    static char path[2][512];
    static int turn;

    turn = !turn;
    assert_int_equal(ph_path_join(path[turn], sizeof path[turn], directory, name), 0);
    return path[turn];
}

static int entries(const char *path)
{
    DIR *open = opendir(path);
    int count = 0;

    assert_non_null(open);
    while (readdir(open) != NULL)
        count++;
    closedir(open);
    return count - 2;
}

static void join(void **state)
{
    char out[8];

    (void)state;
    assert_int_equal(ph_path_join(out, sizeof out, "/a", "b"), 0);
    assert_string_equal(out, "/a/b");
    assert_int_equal(ph_path_join(out, sizeof out, "/a/", "b"), 0);
    assert_string_equal(out, "/a/b");
    assert_int_equal(ph_path_join(out, sizeof out, "/", "b"), 0);
    assert_string_equal(out, "/b");
    assert_int_equal(ph_path_join(out, sizeof out, "/abcd", "ef"), -ENAMETOOLONG);
}

static void replace_and_read(void **state)
{
    struct stat status;
    char *text;
    size_t size;

    (void)state;
    assert_int_equal(ph_file_replace(in("key"), "one", 3, 0600), 0);
    assert_int_equal(ph_file_replace(in("key"), "second", 6, 0640), 0);
    assert_int_equal(stat(in("key"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640);
    assert_int_equal(ph_file_read(in("key"), 100, &text, &size), 0);
    assert_string_equal(text, "second");
    assert_int_equal(size, 6);
    free(text);
    assert_int_equal(ph_file_read(in("key"), 6, &text, NULL), 0);
    free(text);
    assert_int_equal(ph_file_read(in("key"), 5, &text, NULL), -EFBIG);
    assert_int_equal(ph_file_read(in("none"), 5, &text, NULL), -ENOENT);
    assert_int_equal(ph_file_read(directory, 5, &text, NULL), -EISDIR);
    assert_int_equal(ph_file_replace(in("none/key"), "x", 1, 0600), -ENOENT);
    assert_int_equal(entries(directory), 1); /* no temporary is left */
    /* A target that cannot be replaced stands, and no temporary is left beside it. */
    assert_int_equal(mkdir(in("dir"), 0700), 0);
    assert_int_not_equal(ph_file_replace(in("dir"), "x", 1, 0600), 0);
    assert_int_equal(entries(directory), 2);
}

static void endless_file(void **state)
{
    char *text;

    (void)state;
    assert_int_equal(ph_file_read("/dev/zero", 100000, &text, NULL), -EFBIG);
    /* One without a size beforehand, of just the limit and of one byte more. */
    for (size_t more = 0; more < 2; more++) {
        int pipes[2];
        char name[32];
        assert_int_equal(pipe(pipes), 0);
        assert_int_equal(write(pipes[1], "12345678", 7 + more), 7 + more);
        close(pipes[1]);
        snprintf(name, sizeof name, "/dev/fd/%d", pipes[0]);
        assert_int_equal(ph_file_read(name, 7, &text, NULL), more == 0 ? 0 : -EFBIG);
        if (more == 0)
            free(text);
        close(pipes[0]);
    }
}

static void make_directories(void **state)
{
    struct stat status;

    (void)state;
    assert_int_equal(ph_directory_make(in("a/b//c/")), 0);
    assert_int_equal(ph_directory_make(in("a/b/c")), 0);
    assert_int_equal(stat(in("a/b"), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(ph_file_replace(in("a/file"), "", 0, 0600), 0);
    assert_int_equal(ph_directory_make(in("a/file")), -ENOTDIR);
    assert_int_equal(ph_directory_make(in("a/file/x")), -ENOTDIR);
    assert_int_equal(ph_directory_make(""), -ENOENT);
}

static void one_holder(void **state)
{
    int pipes[2], fd = -1, second = -1;
    pid_t holder = -1;
    char byte;

    (void)state;
    assert_int_equal(pipe(pipes), 0);
    pid_t child = fork();
    if (child == 0) {
        int rv = ph_lock_take(in("lock"), &fd, NULL);
        byte = rv == 0 ? 'y' : 'n';
        if (write(pipes[1], &byte, 1) != 1)
            _exit(1);
        pause();
        _exit(0);
    }
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    assert_int_equal(byte, 'y');
    assert_int_equal(ph_lock_take(in("lock"), &fd, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, child);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(ph_lock_take(in("lock"), &fd, &holder), 0);
    assert_int_equal(fcntl(fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    assert_int_equal(ph_lock_take(in("lock"), &second, &holder), -EWOULDBLOCK);
    assert_int_equal(holder, getpid());
    close(fd);
    close(pipes[0]);
    close(pipes[1]);
}

static void remove_tree(void **state)
{
    (void)state;
    assert_int_equal(ph_directory_make(in("tree/x/y")), 0);
    assert_int_equal(ph_directory_make(in("outside")), 0);
    assert_int_equal(ph_file_replace(in("outside/kept"), "", 0, 0600), 0);
    assert_int_equal(ph_file_replace(in("tree/x/file"), "", 0, 0600), 0);
    assert_int_equal(symlink(in("outside"), in("tree/x/link")), 0);
    assert_int_equal(symlink(in("outside/kept"), in("tree/link")), 0);
    assert_int_equal(chmod(in("tree/x/y"), 0), 0);
    assert_int_equal(ph_tree_remove(in("tree")), 0);
    assert_int_equal(access(in("tree"), F_OK), -1);
    assert_int_equal(access(in("outside/kept"), F_OK), 0);
    /* A link itself is removed, not what it names. */
    assert_int_equal(symlink(in("outside"), in("alias")), 0);
    assert_int_equal(ph_tree_remove(in("alias")), 0);
    assert_int_equal(access(in("outside/kept"), F_OK), 0);
    assert_int_equal(ph_tree_remove(in("nothing")), -ENOENT);
}

static void remove_deep_tree(void **state)
{
    enum { DEPTH = 1500 }; /* more than descriptors are allowed, longer than PATH_MAX allows */
    struct rlimit before;

    (void)state;
    assert_int_equal(mkdir(in("deep"), 0700), 0);
    int fd = open(in("deep"), O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < DEPTH; i++) {
        assert_int_equal(mkdirat(fd, "one-directory-in-another", 0700), 0);
        int next = openat(fd, "one-directory-in-another", O_RDONLY | O_DIRECTORY);
        assert_true(next >= 0);
        close(fd);
        fd = next;
        int file = openat(fd, "file", O_CREAT | O_WRONLY, 0600);
        assert_true(file >= 0);
        close(file);
    }
    close(fd);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit few = {100, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
    assert_int_equal(ph_tree_remove(in("deep")), 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(access(in("deep"), F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(join),
        cmocka_unit_test_setup_teardown(replace_and_read, setup, teardown),
        cmocka_unit_test(endless_file),
        cmocka_unit_test_setup_teardown(make_directories, setup, teardown),
        cmocka_unit_test_setup_teardown(one_holder, setup, teardown),
        cmocka_unit_test_setup_teardown(remove_tree, setup, teardown),
        cmocka_unit_test_setup_teardown(remove_deep_tree, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
