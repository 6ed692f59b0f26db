/* Real ext4, xfs and btrfs. Needs root, else the program says so. */
#include "tests/unit/pools/image_mount.h"

#include <inttypes.h>
#include <pthread.h>
#include "agent/pools/image.h"

#define N1 (&world.nodes[0])
#define N2 (&world.nodes[1])
#define N3 (&world.nodes[2])
#define SIZE_MIB 64

static const struct host {
    const char *type;
    int64_t mib;
    const char *settings; /* of the pool */
    int64_t pool_mib;
    bool clones;
} hosts[] = {
    {"ext4", 512, NULL, SIZE_MIB, false},
    {"xfs", 1024, "{\"image\":{\"file_system\":\"xfs\"}}", 320, true},
    {"btrfs", 512, "{\"image\":{\"file_system\":\"ext4\"}}", SIZE_MIB, true},
};
static const struct host *host = &hosts[0];

static int setup(void **state)
{
    char top[PATH_MAX];
    (void)state;
    make_top(top);
    for (int number = 1; number <= NODES; number++) {
        if (!mount_host(top, number, host->type, host->mib * MIB)) {
            unmount_hosts(top);
            return -1;
        }
    }
    world_init("image", top);
    world.pool.disk_mib = host->pool_mib;
    assert_int_equal(0, ph_set_text(&world.pool.settings, host->settings));
    return 0;
}

static int teardown(void **state)
{
    char device[PH_LOOP_NAME], path[PATH_MAX];
    (void)state;
    for (int i = 0; i < NODES; i++) {
        path_in(&world.nodes[i], "mount", path);
        (void)umount2(path, UMOUNT_NOFOLLOW);
        /* No loop device is ever left. */
        path_in(&world.nodes[i], "data/image", path);
        if (access(path, F_OK) == 0)
            assert_int_equal(0, ph_loop_release(path, 2000, device));
    }
    world_fini();
    unmount_hosts(world.top);
    free(world.pool.settings);
    return 0;
}

/* Bytes that compress badly and differ from each other. */
static void put_bytes(const struct node *node, const char *name, int64_t count, unsigned seed)
{
    char relative[PATH_MAX], path[PATH_MAX];
    static unsigned char bytes[64 * 1024];
    ph_text_format(relative, sizeof relative, "mount/%s", name);
    path_in(node, relative, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
    for (int64_t done = 0; done < count; done += (int64_t)sizeof bytes) {
        for (size_t i = 0; i < sizeof bytes; i++) {
            seed = seed * 1103515245u + 12345u;
            bytes[i] = (unsigned char)(seed >> 16);
        }
        assert_int_equal((ssize_t)sizeof bytes, write(fd, bytes, sizeof bytes));
    }
    assert_int_equal(0, fsync(fd));
    close(fd);
}

static void same_trees(const struct node *a, const struct node *b)
{
    char here[65], there[65];
    hash_of(a, "mount", here);
    hash_of(b, "mount", there);
    assert_string_equal(here, there);
}

static void activation(void **state)
{
    char path[PATH_MAX], device[PH_LOOP_NAME];
    struct stat base, mounted;
    (void)state;
    assert_int_equal(-ENOENT, activate(N1, 1, false));
    must_activate(N1, 1, true);
    path_in(N1, "mount", path);
    assert_int_equal(0, stat(path, &mounted));
    path_in(N1, "data", path);
    assert_int_equal(0, stat(path, &base));
    assert_true(base.st_dev != mounted.st_dev);
    put(N1, "a", "one");
    must_activate(N1, 1, true);
    must_activate(N1, 3, false);
    assert_string_equal("one", get(N1, "mount/a"));
    assert_int_equal(-ESTALE, activate(N1, 2, false));
    path_in(N1, "mount/a", path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(-EBUSY, deactivate(N1, 3));
    close(fd);
    assert_int_equal(0, deactivate(N1, 3));
    assert_int_equal(0, deactivate(N1, 3));
    assert_false(has(N1, "mount/a"));
    path_in(N1, "data/image", path);
    assert_int_equal(-ENOENT, ph_loop_find(path, device));
    assert_point(N1, 3, 1, true);
    must_activate(N1, 3, false);
    assert_string_equal("one", get(N1, "mount/a"));
    assert_int_equal(0, deactivate(N1, 3));
    assert_int_equal(-ESTALE, drop(N1, 2));
    assert_int_equal(0, drop(N1, 3));
    assert_int_equal(0, drop(N1, 3));
    assert_false(inspect(N1).exists);
    assert_false(has(N1, "../web"));
}

/* One that another namespace has mounted must not be mounted, nor count as released. */
static void used_elsewhere(void **state)
{
    char image[PATH_MAX], place[PATH_MAX], device[PH_LOOP_NAME];
    int fd;
    (void)state;
    must_activate(N1, 1, true);
    assert_int_equal(0, deactivate(N1, 1));
    path_in(N1, "data/image", image);
    ph_text_format(place, sizeof place, "%s/elsewhere", world.top);
    assert_int_equal(0, mkdir(place, 0700));
    assert_int_equal(0, ph_loop_attach(image, &fd, device));
    assert_int_equal(
        0, mount(device, place, host->settings == hosts[1].settings ? "xfs" : "ext4", 0, NULL));
    close(fd);
    assert_int_equal(-EBUSY, activate(N1, 2, false));
    assert_non_null(strstr(world.error.message, device));
    assert_int_equal(-EBUSY, deactivate(N1, 2));
    assert_int_equal(0, umount2(place, 0));
    must_activate(N1, 2, false);
}

static void full_and_delta(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 8 * MIB, 1);
    must_copy(N1, N2, 1, false);
    assert_true(world.stream_bytes > 8 * MIB);
    assert_true(world.stream_bytes < 20 * MIB); /* holes do not travel */
    assert_point(N2, 1, 1, false);
    for (unsigned round = 0; round < 3; round++) {
        put_bytes(N1, "small", 64 * 1024, round);
        must_copy(N1, N2, 1, false);
        assert_true(world.stream_bytes < 3 * MIB);
        assert_false(has(N2, "copies/staging"));
    }
    must_copy(N1, N2, 1, false); /* next to nothing */
    assert_true(world.stream_bytes < MIB);
    /* Back and forth: differences only, nothing diverges. */
    for (int64_t epoch = 1; epoch < 4; epoch++) {
        struct node *from = epoch % 2 == 1 ? N1 : N2, *to = epoch % 2 == 1 ? N2 : N1;
        char text[32];
        ph_text_format(text, sizeof text, "%lld", (long long)epoch);
        put(from, "late", text);
        uint64_t begun_ms = ph_clock_boot_ms();
        move(from, to, epoch);
        printf("%s move: %d ms, %lld bytes\n", host->type, (int)(ph_clock_boot_ms() - begun_ms),
            (long long)world.stream_bytes);
        assert_true(world.stream_bytes < 3 * MIB);
        assert_string_equal(text, get(to, "mount/late"));
        must_copy(to, from, epoch + 1, false); /* the released data becomes the copy */
        assert_true(world.stream_bytes < 3 * MIB);
        assert_false(has(from, "data"));
        assert_false(has(from, "../web.diverged-e1"));
    }
    must_copy(N2, N3, 4, false);
    assert_true(world.stream_bytes > 8 * MIB);
    assert_int_equal(0, deactivate(N2, 4));
    must_copy(N2, N3, 4, true);
    must_activate(N3, 5, false);
    must_activate(N2, 4, false); /* to look at it: the data of the release */
    same_trees(N2, N3);
}

static void last_again(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 4 * MIB, 1);
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    int64_t sequence = world.copy.sequence;
    must_copy(N1, N2, 1, true); /* its answer was lost */
    assert_int_equal(sequence, world.copy.sequence);
    assert_true(world.stream_bytes < 64 * 1024);
    must_copy(N1, N3, 1, true);
    must_activate(N3, 2, false);
    put(N3, "b", "two");
    must_copy(N3, N2, 2, false); /* they have the last copy in common */
    assert_true(world.stream_bytes < 3 * MIB);
    /* The former owner too, whose released data is in it. */
    must_copy(N3, N1, 2, false);
    assert_true(world.stream_bytes < 3 * MIB);
}

static void diverged(void **state)
{
    (void)state;
    must_activate(N1, 5, true);
    put_bytes(N1, "big", 4 * MIB, 1);
    must_copy(N1, N2, 5, false);
    put(N1, "a", "one and more");
    must_activate(N2, 6, false);
    put(N2, "b", "two");
    must_copy(
        N2, N1, 6, false); /* N1's is unmounted, set aside, and what is equal does not travel */
    assert_true(world.stream_bytes < 3 * MIB);
    assert_point(N1, 6, 1, false);
    assert_true(has(N1, "../web.diverged-e5/data/image"));
    assert_false(has(N1, "data"));
    assert_int_equal(0, drop(N1, 6));
    assert_true(has(N1, "../web.diverged-e5/data/image"));
}

static void flip_byte(const struct node *node, const char *relative, off_t at)
{
    struct timespec times[2];
    struct stat status;
    char path[PATH_MAX];
    unsigned char byte;
    path_in(node, relative, path);
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && fstat(fd, &status) == 0);
    assert_int_equal(1, pread(fd, &byte, 1, at));
    byte = (unsigned char)~byte;
    assert_int_equal(1, pwrite(fd, &byte, 1, at));
    /* As a disk does it: nobody was told. */
    times[0] = status.st_atim;
    times[1] = status.st_mtim;
    assert_int_equal(0, futimens(fd, times));
    close(fd);
}

/* A bad block at the holder is found and sent again. */
static void corrupted(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 4 * MIB, 1);
    must_copy(N1, N2, 1, false);
    flip_byte(N2, "copies/current/data/image", 5 * MIB);
    for (int round = 0; round < host->pool_mib / 16 + 1; round++)
        must_copy(N1, N2, 1, false);
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    /* In the last copy of one this small everything is looked at. */
    if (host->pool_mib <= 256) {
        flip_byte(N2, "copies/current/data/image", 6 * MIB);
        flip_byte(N2, "copies/current/data/image", 0);
        must_copy(N1, N2, 1, true);
    }
    must_activate(N2, 2, false);
    assert_int_equal(0, deactivate(N2, 2));
    must_activate(N1, 1, false);
    must_activate(N2, 2, false);
    same_trees(N1, N2);
}

/* A verification reads all of what is here, once. */
static void verified(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 4 * MIB, 1);
    must_copy(N1, N2, 1, false);
    world.verify = true;
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, world.spoilt);
    flip_byte(N2, "copies/current/data/image", 0);
    flip_byte(N2, "copies/current/data/image", (host->pool_mib - 1) * (off_t)MIB);
    must_copy(N1, N2, 1, false);
    assert_int_equal(2, world.spoilt);
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, world.spoilt);
}

static int64_t read_so_far(void)
{
    char *text = NULL;
    int64_t bytes = 0;
    assert_int_equal(0, ph_file_read("/proc/self/io", 4096, &text, NULL));
    sscanf(text, "rchar: %" SCNd64, &bytes);
    free(text);
    return bytes;
}

/* Where files can be cloned, a copy reads what has changed since the one before, also the last one. */
static void reads_what_changed(void **state)
{
    (void)state;
    if (!host->clones)
        return;
    world.pool.sync_interval_s = 1;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 40 * MIB, 1);
    must_copy(N1, N2, 1, false);
    assert_true(has(N1, "points/n2.image"));
    for (unsigned round = 0; round < 4; round++) {
        put_bytes(N1, "small", 100 * 1024, round);
        int64_t before = read_so_far();
        if (round == 2) {
            /* Nothing that was not read is other than it was believed to be. */
            must_copy(N1, N2, 1, false);
            world.verify = true;
            must_copy(N1, N2, 1, false);
            world.verify = false;
            assert_int_equal(0, world.spoilt);
            assert_true(world.stream_bytes < MIB / 2);
            continue;
        }
        if (round == 3)
            assert_int_equal(0, deactivate(N1, 1));
        must_copy(N1, N2, 1, round == 3);
        int64_t took = read_so_far() - before - world.stream_bytes;
        /* The holder reads a part of its own (all of a small image, the last time). */
        assert_true(took < (round < 3 ? 30 : 70) * MIB);
        assert_true(world.stream_bytes < 3 * MIB);
    }
    must_copy(N1, N2, 1, true);
    must_activate(N2, 2, false);
    must_activate(N1, 1, false); /* to look at it */
    same_trees(N1, N2);
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N2, N1, 2, false);
    assert_false(has(N1, "points/n2.image")); /* it is the owner's to keep any */
    assert_true(has(N2, "points/n1.image"));
    world.verify = true;
    must_copy(N2, N1, 2, false);
    assert_int_equal(0, world.spoilt);
}

/* CAP_SYS_RESOURCE: without it the kernel grows no ext4 that is mounted, root or not. */
static bool may_grow(void)
{
    char *text = NULL;
    unsigned long long effective = 0;
    if (ph_file_read("/proc/self/status", 1 << 16, &text, NULL) == 0) {
        const char *line = strstr(text, "CapEff:");
        effective = line != NULL ? strtoull(line + 7, NULL, 16) : 0;
    }
    free(text);
    return host->settings == hosts[1].settings || (effective >> 24 & 1) != 0;
}

static void grows(void **state)
{
    struct statvfs before, after;
    char path[PATH_MAX];
    (void)state;
    if (!may_grow()) {
        printf("skipped: growing a mounted ext4 needs CAP_SYS_RESOURCE\n");
        return;
    }
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    path_in(N1, "mount", path);
    assert_int_equal(0, statvfs(path, &before));
    world.pool.disk_mib += 64;
    must_activate(N1, 1, false); /* mounted, and stays so */
    assert_int_equal(0, statvfs(path, &after));
    assert_true(after.f_blocks > before.f_blocks + before.f_blocks / 10);
    put_bytes(N1, "big", 4 * MIB, 1);
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    must_activate(N2, 2, false);
    path_in(N2, "mount", path);
    assert_int_equal(0, statvfs(path, &before));
    assert_int_equal(before.f_blocks, after.f_blocks);
    assert_string_equal("one", get(N2, "mount/a"));
}

static void full_disk(void **state)
{
    char path[PATH_MAX];
    struct statvfs status;
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    path_in(N2, "filler", path);
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && fstatvfs(fd, &status) == 0);
    int64_t left = (int64_t)status.f_bavail * (int64_t)status.f_frsize;
    if (posix_fallocate(fd, 0, left - 4 * MIB) != 0)
        (void)posix_fallocate(fd, 0, left - 24 * MIB);
    put_bytes(N1, "big", 40 * MIB < host->pool_mib * MIB / 2 ? 40 * MIB : 24 * MIB, 1);
    allow(N2, N1, 1);
    int rv = copy(N1, N2, 1, false);
    printf("%s full disk: %d %s\n", host->type, rv, world.error.message);
    assert_true(rv < 0);
    assert_non_null(strstr(world.error.message, "No space left"));
    assert_point(N2, 1, 1, false);
    assert_int_equal(0, ftruncate(fd, 0));
    close(fd);
    must_copy(N1, N2, 1, false);
    must_activate(N2, 2, false);
    assert_string_equal("one", get(N2, "mount/a"));
}

static void *cancel_later(void *argument)
{
    struct timespec pause = {.tv_nsec = *(long *)argument * 1000000};
    nanosleep(&pause, NULL);
    atomic_store(&N1->cancelled, true);
    return NULL;
}

/* Cut anywhere, what the holder has is what it had, or all of the new; the next try goes on. */
static void cut(void **state)
{
    static long delays_ms[] = {1, 6, 15, 30, 60, 100};
    pthread_t thread;
    (void)state;
    must_activate(N1, 1, true);
    for (size_t i = 0; i < sizeof delays_ms / sizeof delays_ms[0]; i++) {
        put_bytes(N1, "big", 12 * MIB, (unsigned)i);
        struct ph_pool_data before = inspect(N2);
        allow(N2, N1, 1);
        assert_int_equal(0, pthread_create(&thread, NULL, cancel_later, &delays_ms[i]));
        int rv = copy(N1, N2, 1, false);
        pthread_join(thread, NULL);
        atomic_store(&N1->cancelled, false);
        printf("%s cut after %ld ms: %d, %lld bytes\n", host->type, delays_ms[i], rv,
            (long long)world.stream_bytes);
        struct ph_pool_data after = inspect(N2);
        assert_true(after.copy_sequence == before.copy_sequence ||
                    after.copy_sequence > before.copy_sequence);
        assert_true(rv != 0 || after.copy_sequence > before.copy_sequence);
        if (i % 2 == 1)
            must_copy(N1, N2, 1, false);
    }
    assert_int_equal(0, deactivate(N1, 1));
    must_copy(N1, N2, 1, true);
    assert_false(has(N2, "copies/partial-1"));
    must_activate(N2, 2, false);
    must_activate(N1, 1, false);
    same_trees(N1, N2);
}

/* A crash between a delta that counts and its writing: half of it is in the image, and it is written anew. */
static void a_delta_is_carried_on(void **state)
{
    struct ph_pool_context context = context_of(N2, 1);
    struct ph_pool_manifest manifest = {.epoch = 0};
    struct ph_block_map map;
    struct ph_map_stamp stamp;
    struct ph_pool_site site;
    char path[PATH_MAX];
    static unsigned char block[PH_BLOCK_BYTES_MIN];
    unsigned char head[PH_RUN_HEAD_BYTES];
    (void)state;
    must_activate(N1, 1, true);
    put_bytes(N1, "big", 4 * MIB, 1);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    assert_int_equal(0, ph_site_open(&context, PH_SITE_CHANGE, &site, &world.error));
    assert_int_equal(0, ph_image_map_load(&site, "copies/current/data/map", NULL, &map, &stamp));
    assert_int_equal(0, ph_site_make(&site, "copies/staging", &world.error));
    assert_int_equal(0, ph_site_make(&site, "copies/staging/data", &world.error));
    path_in(N2, "copies/current/data/image", path);
    int image = open(path, O_RDWR | O_CLOEXEC);
    path_in(N2, "copies/staging/data/delta", path);
    int delta = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(sizeof block, pread(image, block, sizeof block, 0));
    ph_block_run_encode(&(struct ph_block_run){.kind = PH_RUN_DATA, .count = 1}, head);
    assert_int_equal(sizeof head, write(delta, head, sizeof head));
    assert_int_equal(sizeof block, write(delta, block, sizeof block));
    ph_block_run_encode(&(struct ph_block_run){.kind = PH_RUN_END}, head);
    assert_int_equal(sizeof head, write(delta, head, sizeof head));
    memset(block, 0xa5, sizeof block); /* the superblock's block: without it nothing is mounted */
    assert_int_equal(sizeof block, pwrite(image, block, sizeof block, 0));
    close(image);
    close(delta);
    stamp.sequence = 99;
    assert_int_equal(0, ph_image_map_store(&site, "copies/staging/data/map", NULL, &map, stamp));
    path_in(N2, "copies/current/manifest", path);
    assert_int_equal(0, ph_manifest_read(path, "web", &manifest));
    manifest.sequence = 99;
    path_in(N2, "copies/staging/manifest", path);
    assert_int_equal(0, ph_manifest_write(path, &manifest, false));
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    ph_block_map_fini(&map);
    ph_site_close(&site);
    assert_point(N2, 1, 99, false);
    must_activate(N2, 2, false);
    assert_string_equal("one", get(N2, "mount/a"));
    assert_false(has(N2, "copies/staging"));
}

static void stale_and_busy(void **state)
{
    (void)state;
    must_activate(N1, 1, true);
    put(N1, "a", "one");
    must_copy(N1, N2, 1, false);
    must_activate(N2, 3, false);
    allow(N2, N1, 1);
    assert_true(copy(N1, N2, 1, false) < 0);
    assert_string_equal("one", get(N2, "mount/a"));
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(activation),
        TEST(used_elsewhere),
        TEST(full_and_delta),
        TEST(last_again),
        TEST(diverged),
        TEST(corrupted),
        TEST(verified),
        TEST(reads_what_changed),
        TEST(grows),
        TEST(full_disk),
        TEST(cut),
        TEST(a_delta_is_carried_on),
        TEST(stale_and_busy),
    };
    int failed = 0;
    if (!images_work())
        return 0;
    alarm(340);
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        host = &hosts[i];
        printf("-- agents on %s\n", host->type);
        failed += cmocka_run_group_tests_name(host->type, tests, NULL, NULL);
    }
    return failed;
}
