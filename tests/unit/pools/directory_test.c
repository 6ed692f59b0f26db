#include "tests/unit/pools/pools_test.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <sys/xattr.h>

#define N1 (&world.nodes[0])
#define N2 (&world.nodes[1])
#define N3 (&world.nodes[2])

static int setup(void **state)
{
    char top[PATH_MAX];
    (void)state;
    world_init("directory", make_top(top));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_fini();
    assert_int_equal(0, ph_tree_remove(world.top));
    return 0;
}

static void activation(void **state)
{
    (void)state;
    assert_int_equal(-ENOENT, activate(N1, 1, false));
    assert_false(inspect(N1).exists);
    must_activate(N1, 1, true);
    assert_point(N1, 1, 0, true);
    put(N1, "a", "one");
    must_activate(N1, 1, true); /* idempotent */
    assert_string_equal("one", get(N1, "data/a"));
    must_activate(N1, 3, false);
    assert_string_equal("one", get(N1, "data/a"));
    assert_int_equal(-ESTALE, activate(N1, 2, false));
    assert_int_equal(-ESTALE, activate(N1, 2, true));
    assert_int_equal(-ESTALE, deactivate(N1, 2));
    assert_int_equal(-ESTALE, drop(N1, 2));
    assert_int_equal(3, inspect(N1).epoch);
    assert_int_equal(0, deactivate(N1, 3));
    assert_int_equal(0, deactivate(N1, 3));
    assert_point(N1, 3, 1, true);
    must_activate(N1, 3, false); /* what is written now is not what was released */
    assert_int_equal(0, deactivate(N1, 3));
    assert_point(N1, 3, 2, true);
    assert_int_equal(0, drop(N1, 3));
    assert_int_equal(0, drop(N1, 3));
    assert_false(inspect(N1).exists);
    assert_int_equal(-ENOENT, activate(N1, 4, false));
}

static void copies_and_move(void **state)
{
    char there[65], here[65];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    assert_point(N2, 1, 1, false);
    assert_string_equal("one", get(N2, "copies/current/data/a"));
    assert_int_equal(1, world.copy.sequence);
    put(N1, "b", "two");
    must_copy(N1, N2, 1, false);
    assert_point(N2, 1, 2, false);
    assert_point(N1, 1, 2, true);
    put(N1, "a", "ONE");
    assert_int_equal(-EBUSY, copy(N1, N2, 1, true)); /* not released */
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    int64_t sequence = world.copy.sequence;
    assert_int_equal(0, world.copy.age_ms);
    hash_of(N1, "data", here);
    hash_of(N2, "copies/current/data", there);
    assert_string_equal(here, there);
    assert_string_equal(here, world.copy.hash);
    /* The same point for every last copy, and again after a lost answer. */
    must_copy(N1, N3, 1, true);
    assert_int_equal(sequence, world.copy.sequence);
    must_copy(N1, N2, 1, true);
    assert_int_equal(sequence, world.copy.sequence);
    assert_point(N1, 1, sequence, true);
    assert_point(N2, 1, sequence, false);
    must_activate(N2, 2, false);
    assert_string_equal("ONE", get(N2, "data/a"));
    assert_point(N2, 2, 0, true);
    /* The former owner takes the new owner's copy; its own data was the very one, so nothing diverged. */
    must_copy(N2, N1, 2, false);
    assert_point(N1, 2, 1, false);
    assert_false(has(N1, "data"));
    assert_false(has(N1, "../web.diverged-e1"));
    assert_int_equal(-ESTALE, activate(N1, 1, false));
}

/* Moved there and back with a large file: it is sent once. */
static void back_and_forth(void **state)
{
    static char big[4 * 1024 * 1024 + 1];
    (void)state;
    for (size_t i = 0; i < sizeof big - 1; i++)
        big[i] = (char)('a' + (i * i + i / 7919) % 26);
    must_activate(N1, 1, true);
    put(N1, "big", big);
    must_copy(N1, N2, 1, false);
    assert_true(world.stream_bytes > (int64_t)sizeof big);
    for (int64_t epoch = 1; epoch < 6; epoch++) {
        struct node *from = epoch % 2 == 1 ? N1 : N2, *to = epoch % 2 == 1 ? N2 : N1;
        char text[32];
        ph_text_format(text, sizeof text, "%lld", (long long)epoch);
        put(from, "small", text);
        if (epoch > 1) {
            must_copy(from, to, epoch, false);
            assert_true(world.stream_bytes < 20000);
        }
        put(from, "late", text);
        move(from, to, epoch);
        assert_true(world.stream_bytes < 20000);
        assert_string_equal(text, get(to, "data/late"));
        assert_string_equal(text, get(to, "data/small"));
        assert_false(has(from, "../web.diverged-e1"));
    }
    assert_string_equal(big, get(N2, "data/big"));
}

/* Not a limit, which a busy machine could not keep: the figure is printed. */
static void time_without_the_pool(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    for (int64_t epoch = 1; epoch < 5; epoch++) {
        struct node *from = epoch % 2 == 1 ? N1 : N2, *to = epoch % 2 == 1 ? N2 : N1;
        must_copy(from, to, epoch, false);
        put(from, "b", "two");
        uint64_t begun_ms = ph_clock_boot_ms();
        assert_int_equal(0, deactivate(from, epoch));
        uint64_t released_ms = ph_clock_boot_ms();
        must_copy(from, to, epoch, true);
        uint64_t copied_ms = ph_clock_boot_ms();
        must_activate(to, epoch + 1, false);
        printf("move: release %d ms, last copy %d ms, activate %d ms\n",
            (int)(released_ms - begun_ms), (int)(copied_ms - released_ms),
            (int)(ph_clock_boot_ms() - copied_ms));
    }
}

static void file_types(void **state)
{
    char path[PATH_MAX], other[PATH_MAX];
    struct stat status, linked;
    const char *names[] = {"new\nline", "\xc3\xa4\xe2\x82\xac", "bad\xff\xfeutf8", " -rf *",
        "'\"\\", "--delete", ":colon", "[glob]?"};
    (void)state;
    must_activate(N1, 1, true);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        put(N1, names[i], names[i]);
    path_in(N1, "data/fifo", path);
    assert_int_equal(0, mkfifo(path, 0600));
    path_in(N1, "data/link", path);
    assert_int_equal(0, symlink("../../../etc/passwd", path));
    path_in(N1, "data/dangling", path);
    assert_int_equal(0, symlink("nowhere", path));
    put(N1, "first", "hard");
    path_in(N1, "data/first", path);
    path_in(N1, "data/second", other);
    assert_int_equal(0, link(path, other));
    assert_int_equal(0, chmod(path, 04751));
    path_in(N1, "data/first", path);
    bool attributes = setxattr(path, "user.colour", "blue", 4, 0) == 0;
    path_in(N1, "data/sparse", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
    assert_int_equal(0, ftruncate(fd, 8 * 1024 * 1024));
    assert_int_equal(3, pwrite(fd, "end", 3, 8 * 1024 * 1024 - 3));
    close(fd);
    path_in(N1, "data/socket", path);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) < sizeof address.sun_path) {
        int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        strcpy(address.sun_path, path);
        assert_int_equal(0, bind(listening, (struct sockaddr *)&address, sizeof address));
        close(listening);
    }
    if (geteuid() == 0) {
        path_in(N1, "data/null", path);
        (void)mknod(path, S_IFCHR | 0600, 0x103); /* not allowed in every container */
    }
    path_in(N1, "data/deep", path);
    for (int i = 0; i < 30; i++) {
        assert_int_equal(0, mkdir(path, 0755));
        assert_true(strlen(path) + 8 < sizeof path);
        strcat(path, "/deeper");
    }
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ph_text_format(path, sizeof path, "copies/current/data/%s", names[i]);
        assert_string_equal(names[i], get(N2, path));
    }
    path_in(N2, "copies/current/data/first", path);
    path_in(N2, "copies/current/data/second", other);
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(0, stat(other, &linked));
    assert_true(status.st_ino == linked.st_ino);
    assert_int_equal(04751, status.st_mode & 07777);
    char value[8];
    if (attributes)
        assert_int_equal(4, getxattr(path, "user.colour", value, sizeof value));
    path_in(N2, "copies/current/data/sparse", path);
    assert_int_equal(0, stat(path, &status));
    assert_int_equal(8 * 1024 * 1024, status.st_size);
    assert_true(status.st_blocks * 512 < 1024 * 1024);
    path_in(N2, "copies/current/data/link", path);
    assert_int_equal(0, lstat(path, &status));
    assert_true(S_ISLNK(status.st_mode));
    path_in(N2, "copies/current/data/fifo", path);
    assert_int_equal(0, lstat(path, &status));
    assert_true(S_ISFIFO(status.st_mode));
}

/* The copy must not share what changes: attributes changed at the source while a receive is cut off, and
 * live files of a promoted copy. */
static void complete_copy_is_untouched(void **state)
{
    char path[PATH_MAX];
    struct stat status;
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    path_in(N1, "data/a", path);
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, chmod(path, 0600));
    /* A staging left by a cut-off receive: a link to current's file. */
    path_in(N2, "copies/staging", path);
    assert_int_equal(0, mkdir(path, 0700));
    path_in(N2, "copies/staging/data", path);
    assert_int_equal(0, mkdir(path, 0700));
    char current[PATH_MAX];
    path_in(N2, "copies/current/data/a", current);
    path_in(N2, "copies/staging/data/a", path);
    assert_int_equal(0, link(current, path));
    int fd = open(current, O_RDONLY | O_CLOEXEC);
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, fstat(fd, &status));
    close(fd);
    assert_int_equal(0644, status.st_mode & 07777);
    assert_int_equal(0, stat(current, &status));
    assert_int_equal(0600, status.st_mode & 07777);
    assert_false(has(N2, "copies/partial-1"));
    must_activate(N2, 2, false);
    path_in(N2, "data/a", path);
    assert_int_equal(0, stat(path, &status));
    assert_false(has(N2, "copies"));
}

static void emptied_source(void **state)
{
    char path[PATH_MAX], away[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    must_copy(N1, N2, 1, false); /* empty from the beginning is fine */
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    path_in(N1, "data/a", path);
    assert_int_equal(0, unlink(path));
    assert_int_equal(-ENODATA, copy(N1, N2, 1, false));
    assert_non_null(strstr(world.error.message, "is empty though the last copy was not"));
    assert_string_equal("one", get(N2, "copies/current/data/a"));
    put(N1, ".meant", "");
    must_copy(N1, N2, 1, false);
    assert_false(has(N2, "copies/current/data/a"));
    /* Another directory in its place: something was (un)mounted. */
    path_in(N1, "data", path);
    path_in(N1, "away", away);
    assert_int_equal(0, rename(path, away));
    assert_int_equal(0, mkdir(path, 0755));
    put(N1, "b", "not it");
    assert_int_equal(-ENODATA, copy(N1, N2, 1, false));
    assert_non_null(strstr(world.error.message, "is not the directory that was activated"));
    assert_true(has(N2, "copies/current/data/.meant"));
}

static void diverged(void **state)
{
    (void)state;
    must_activate(N1, 5, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 5, false);
    put(N1, "a", "one and more"); /* what the lost node wrote after its last copy */
    must_activate(N2, 6, false);
    put(N2, "b", "two");
    must_copy(N2, N1, 6, false);
    assert_point(N1, 6, 1, false);
    assert_false(has(N1, "data"));
    assert_string_equal("one and more", get(N1, "../web.diverged-e5/data/a"));
    assert_non_null(strstr(get(N1, "../web.diverged-e5/manifest"), "\"epoch\":5"));
    assert_string_equal("one", get(N1, "copies/current/data/a"));
    assert_string_equal("two", get(N1, "copies/current/data/b"));
    /* Nor is it touched by dropping the pool here. */
    assert_int_equal(0, drop(N1, 6));
    assert_false(inspect(N1).exists);
    assert_string_equal("one and more", get(N1, "../web.diverged-e5/data/a"));
}

/* A cleanly released former owner that missed a whole owner in between: its data is in the lineage. */
static void missed_an_owner(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    move(N1, N2, 1);
    put(N2, "a", "two");
    move(N2, N3, 2);
    must_copy(N3, N1, 3, false);
    assert_point(N1, 3, 1, false);
    assert_false(has(N1, "../web.diverged-e1"));
    assert_string_equal("two", get(N1, "copies/current/data/a"));
    /* But released data that nobody began from is kept. */
    must_activate(N3, 4, false);
    put(N3, "a", "three");
    must_activate(N1, 5, false);
    assert_int_equal(0, deactivate(N3, 4));
    put(N1, "a", "four");
    must_copy(N1, N3, 5, false);
    assert_string_equal("three", get(N3, "../web.diverged-e4/data/a"));
}

static void verified(void **state)
{
    struct timespec times[2];
    struct stat status;
    char path[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    put(N1, "b", "two");
    put(N1, "c", "six");
    must_copy(N1, N2, 1, false);
    path_in(N2, "copies/current/data/a", path);
    assert_int_equal(0, stat(path, &status));
    write_file(path, "eno"); /* as a disk does it: size and times are as before */
    times[0] = status.st_atim;
    times[1] = status.st_mtim;
    assert_int_equal(0, utimensat(AT_FDCWD, path, times, 0));
    must_copy(N1, N2, 1, false);
    assert_string_equal("eno", get(N2, "copies/current/data/a"));
    put(N1, "b", "three"); /* a change of the data is none of the copy's */
    world.verify = true;
    must_copy(N1, N2, 1, false);
    assert_int_equal(1, world.spoilt);
    assert_string_equal("one", get(N2, "copies/current/data/a"));
    assert_string_equal("three", get(N2, "copies/current/data/b"));
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, world.spoilt);
    path_in(N2, "copies/current/data/c", path);
    assert_int_equal(0, unlink(path)); /* less than the manifest says */
    must_copy(N1, N2, 1, false);
    assert_int_equal(1, world.spoilt);
    assert_string_equal("six", get(N2, "copies/current/data/c"));
}

static void refusals(void **state)
{
    (void)state;
    must_activate(N1, 5, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 5, false);
    must_activate(N2, 7, false);
    /* The holder has seen epoch 7: data of 5 is refused even when an old order would allow it. */
    allow(N2, N1, 5);
    assert_true(copy(N1, N2, 5, false) < 0);
    assert_non_null(strstr(world.error.message, "older than 7"));
    /* Nor at its own epoch. */
    must_activate(N1, 7, false);
    allow(N2, N1, 7);
    assert_true(copy(N1, N2, 7, false) < 0);
    assert_non_null(strstr(world.error.message, "itself was given"));
    assert_string_equal("one", get(N2, "data/a"));
    /* Broken or missing epoch files are never taken for a fresh start. */
    char path[PATH_MAX];
    path_in(N2, "epoch", path);
    write_file(path, "{\"pool\":\"web\",\"epoch\":");
    assert_int_equal(-EBADMSG, activate(N2, 9, true));
    assert_int_equal(0, unlink(path));
    assert_int_equal(-EBADMSG, activate(N2, 9, true));
    assert_non_null(strstr(world.error.message, "is missing though there is data"));
}

static void in_use(void **state)
{
    char path[PATH_MAX];
    int ready[2];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    path_in(N1, "data/a", path);
    assert_int_equal(0, pipe(ready));
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_WRONLY | O_APPEND);
        ssize_t written = write(ready[1], "", fd >= 0 ? 1 : 0);
        (void)written;
        pause();
        _exit(0);
    }
    char byte;
    assert_int_equal(1, read(ready[0], &byte, 1));
    assert_int_equal(-EBUSY, deactivate(N1, 1));
    char pid[32];
    ph_text_format(pid, sizeof pid, "(%d)", (int)child);
    assert_non_null(strstr(world.error.message, pid));
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_int_equal(0, deactivate(N1, 1));
    close(ready[0]);
    close(ready[1]);
}

static void unreadable_holder(void **state)
{
    char path[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    allow(N2, N1, 1);
    assert_int_equal(0, ph_path_join(path, sizeof path, N2->directory, "pools"));
    write_file(path, "a file where a directory should be");
    assert_true(copy(N1, N2, 1, false) < 0);
    assert_int_equal(0, unlink(path));
    must_copy(N1, N2, 1, false);
    /* Cancelled before it began. */
    atomic_store(&N1->cancelled, true);
    assert_int_equal(-ECANCELED, copy(N1, N2, 1, false));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(activation),
        TEST(copies_and_move),
        TEST(back_and_forth),
        TEST(time_without_the_pool),
        TEST(file_types),
        TEST(complete_copy_is_untouched),
        TEST(emptied_source),
        TEST(diverged),
        TEST(missed_an_owner),
        TEST(verified),
        TEST(refusals),
        TEST(in_use),
        TEST(unreadable_holder),
    };
    struct ph_error error;
    if (ph_pool_driver_find("directory")->probe("/", &error) != 0) {
        printf("SKIP: %s\n", error.message);
        return 0;
    }
    alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
