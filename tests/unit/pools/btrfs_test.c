/* Real btrfs. Needs root, else the program says SKIP. */
#include <linux/btrfs.h>
#include <sys/ioctl.h>
#include "tests/unit/pools/btrfs_mount.h"

#include "agent/pools/btrfs.h"
#include "agent/pools/diverged.h"

#define N1 (&world.nodes[0])
#define N2 (&world.nodes[1])
#define N3 (&world.nodes[2])

static int setup(void **state)
{
    char top[PATH_MAX];
    (void)state;
    make_top(top);
    for (int number = 1; number <= NODES; number++) {
        if (!mount_btrfs(top, number)) {
            unmount_all(top);
            return -1;
        }
    }
    world_init("btrfs", top);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    world_fini();
    unmount_all(world.top);
    return 0;
}

static int count_snapshots(const struct node *node)
{
    char path[PATH_MAX], below[PATH_MAX];
    struct ph_btrfs_subvolume subvolume;
    int count = 0;
    path_in(node, "copies", path);
    DIR *entries = opendir(path);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.' && ph_path_join(below, sizeof below, path, entry->d_name) == 0)
            count += ph_btrfs_look(below, &subvolume) == 0;
    if (entries != NULL)
        closedir(entries);
    return count;
}

static void activation(void **state)
{
    struct ph_error error = {0};
    struct ph_btrfs_subvolume subvolume;
    char path[PATH_MAX];
    (void)state;
    assert_int_equal(0, world.driver->probe(N1->directory, &error));
    assert_int_equal(-ENOTSUP, world.driver->probe("/proc", &error));
    assert_int_equal(-ENOENT, activate(N1, 1, false));
    must_activate(N1, 1, true);
    path_in(N1, "data", path);
    assert_int_equal(0, ph_btrfs_look(path, &subvolume));
    assert_false(subvolume.read_only);
    put(N1, "a", "one");
    must_activate(N1, 1, true);
    must_activate(N1, 3, false);
    assert_string_equal("one", get(N1, "data/a"));
    assert_int_equal(-ESTALE, activate(N1, 2, false));
    assert_int_equal(0, deactivate(N1, 3));
    assert_int_equal(0, deactivate(N1, 3));
    assert_point(N1, 3, 1, true);
    assert_string_equal("one", get(N1, "copies/e3-000001/a"));
    must_activate(N1, 3, false);
    assert_int_equal(0, deactivate(N1, 3));
    assert_point(N1, 3, 2, true);
    assert_int_equal(0, drop(N1, 3));
    assert_int_equal(0, drop(N1, 3));
    assert_false(inspect(N1).exists);
}

static void incremental(void **state)
{
    static char big[2 * 1024 * 1024 + 1];
    char here[65], there[65];
    (void)state;
    for (size_t i = 0; i < sizeof big - 1; i++)
        big[i] = (char)('a' + (i * i + i / 7919) % 26);
    must_activate(N1, 1, true);
    put(N1, "big", big);
    must_copy(N1, N2, 1, false);
    assert_true(world.stream_bytes > (int64_t)sizeof big);
    assert_point(N2, 1, 1, false);
    for (int round = 0; round < 3; round++) {
        put(N1, "small", round == 0 ? "a" : "b");
        must_copy(N1, N2, 1, false);
        assert_true(world.stream_bytes < 20000);
        assert_int_equal(1, count_snapshots(N2)); /* the newest; older ones are removed */
        assert_int_equal(1, count_snapshots(N1));
    }
    /* Back and forth: differences only, nothing diverges. */
    for (int64_t epoch = 1; epoch < 6; epoch++) {
        struct node *from = epoch % 2 == 1 ? N1 : N2, *to = epoch % 2 == 1 ? N2 : N1;
        char text[32];
        ph_text_format(text, sizeof text, "%lld", (long long)epoch);
        put(from, "late", text);
        uint64_t begun_ms = ph_clock_boot_ms();
        move(from, to, epoch);
        printf("move: %d ms\n", (int)(ph_clock_boot_ms() - begun_ms));
        assert_true(world.stream_bytes < 20000);
        assert_string_equal(text, get(to, "data/late"));
        hash_of(from, "data", here);
        hash_of(to, "data", there);
        assert_string_equal(here, there);
        assert_string_equal(here, world.copy.hash);
        /* Again, when the answer was lost: nothing is sent. */
        if (epoch == 1) {
            put(to, "mine", "");
            must_copy(to, from, epoch + 1, false);
            assert_false(has(from, "data"));
        }
        assert_false(has(from, "../web.diverged-e1"));
        assert_in_range(count_snapshots(from), 1, 3);
        assert_in_range(count_snapshots(to), 1, 3);
    }
    assert_string_equal(big, get(N2, "data/big"));
}

static void last_again(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    int64_t sequence = world.copy.sequence;
    must_copy(N1, N2, 1, true); /* its answer was lost */
    assert_int_equal(sequence, world.copy.sequence);
    assert_true(world.stream_bytes == 0);
    must_copy(N1, N3, 1, true);
    assert_int_equal(sequence, world.copy.sequence);
    must_activate(N3, 2, false);
    put(N3, "b", "two");
    must_copy(N3, N2, 2, false); /* they have the last copy in common */
    assert_true(world.stream_bytes < 10000);
    assert_string_equal("two", get(N2, "copies/e2-000001/b"));
}

static void partial(void **state)
{
    char path[PATH_MAX], name[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    /* What a cut-off receive leaves: a writable subvolume of the next name, without a manifest. */
    path_in(N2, "copies", path);
    assert_int_equal(0, ph_btrfs_create(path, "e1-000002"));
    path_in(N2, "copies/e1-000002/half", name);
    write_file(name, "half");
    assert_point(N2, 1, 1, false);
    /* ... or one with a manifest, whose subvolume never got its received UUID. */
    assert_int_equal(0, ph_btrfs_create(path, "e1-000009"));
    path_in(N2, "copies/e1-000009.manifest", name);
    write_file(
        name, "{\"pool\":\"web\",\"driver\":\"btrfs\",\"epoch\":1,\"sequence\":9,\"files\":1}");
    assert_point(N2, 1, 1, false);
    must_copy(N1, N2, 1, false);
    assert_point(N2, 1, 2, false);
    assert_false(has(N2, "copies/e1-000002/half"));
    assert_false(has(N2, "copies/e1-000009"));
    must_activate(N2, 2, false);
    assert_string_equal("one", get(N2, "data/a"));
}

static void diverged(void **state)
{
    (void)state;
    must_activate(N1, 5, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 5, false);
    put(N1, "a", "one and more");
    must_activate(N2, 6, false);
    put(N2, "b", "two");
    must_copy(N2, N1, 6, false);
    assert_true(world.stream_bytes < 10000); /* the snapshot is common though the data diverged */
    assert_point(N1, 6, 1, false);
    assert_string_equal("one and more", get(N1, "../web.diverged-e5/data/a"));
    assert_string_equal("one", get(N1, "copies/e6-000001/a"));
    assert_int_equal(0, drop(N1, 6));
    assert_string_equal("one and more", get(N1, "../web.diverged-e5/data/a"));
    assert_int_equal(0, ph_diverged_remove(N1->directory, "web.diverged-e5", &world.error));
    assert_false(has(N1, "../web.diverged-e5"));
}

static void emptied_and_stale(void **state)
{
    char path[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    path_in(N1, "data/a", path);
    assert_int_equal(0, unlink(path));
    assert_int_equal(-ENODATA, copy(N1, N2, 1, false));
    put(N1, "a", "one");
    must_activate(N2, 3, false);
    allow(N2, N1, 1);
    assert_true(copy(N1, N2, 1, false) < 0);
    assert_non_null(strstr(world.error.message, "older than 3"));
}

/* A difference to a snapshot that only the holder still has: sent whole. */
static void nothing_in_common(void **state)
{
    char path[PATH_MAX];
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    path_in(N1, "copies/e1-000001.manifest", path);
    assert_int_equal(0, unlink(path));
    put(N1, "b", "two");
    must_copy(N1, N2, 1, false);
    assert_string_equal("two", get(N2, "copies/e1-000002/b"));
}

/* As a disk does it, if btrfs would not tell: other bytes in a snapshot that nobody writes to. */
static void rot(const struct node *node, const char *snapshot, const char *name)
{
    char path[PATH_MAX], file[PATH_MAX];
    uint64_t flags = 0, frozen;
    path_in(node, snapshot, path);
    ph_text_format(file, sizeof file, "%.*s/%s", PATH_MAX - 100, path, name);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(0, ioctl(fd, BTRFS_IOC_SUBVOL_GETFLAGS, &frozen));
    assert_int_equal(0, ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &flags));
    write_file(file, "rot");
    assert_int_equal(0, ioctl(fd, BTRFS_IOC_SUBVOL_SETFLAGS, &frozen));
    close(fd);
}

static void verified(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    put(N1, "b", "two");
    must_copy(N1, N2, 1, false);
    world.verify = true;
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, world.spoilt);
    assert_true(world.stream_bytes < 10000);
    rot(N2, "copies/e1-000002", "a");
    world.verify = false;
    must_copy(N1, N2, 1, false); /* a difference says nothing of what did not change */
    assert_string_equal("rot", get(N2, "copies/e1-000003/a"));
    world.verify = true;
    assert_true(copy(N1, N2, 1, false) < 0);
    assert_int_equal(1, world.spoilt);
    assert_non_null(strstr(world.error.message, "differs from its source"));
    assert_int_equal(0, inspect(N2).copy_epoch); /* it counts no more ... */
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, world.spoilt); /* ... and the next one is whole */
    must_activate(N2, 2, false);
    assert_string_equal("one", get(N2, "data/a"));
    assert_string_equal("two", get(N2, "data/b"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(activation),
        TEST(incremental),
        TEST(last_again),
        TEST(partial),
        TEST(diverged),
        TEST(emptied_and_stale),
        TEST(nothing_in_common),
        TEST(verified),
    };
    if (!btrfs_works())
        return 0;
    alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
