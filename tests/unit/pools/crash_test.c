/* A holder that is killed at any moment of receiving and of promoting has the old complete copy or the
 * new one, never half of one. The holder is a process of its own; the owner is this one. */
#include "tests/unit/pools/btrfs_mount.h"

#define N1 (&world.nodes[0])
#define N2 (&world.nodes[1])
#define FILES 20
#define ROUNDS 10

static uint32_t random_state = 1;

static uint32_t random_below(uint32_t limit)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % limit;
}

static void pause_ms(uint32_t milliseconds)
{
    struct timespec span = {
        .tv_sec = milliseconds / 1000, .tv_nsec = (long)(milliseconds % 1000) * 1000000};
    nanosleep(&span, NULL);
}

/* Every file says the same version; bytes enough that a copy takes its time. */
static void put_version(const struct node *node, int version)
{
    static char text[64 * 1024];
    char name[16];
    memset(text, 'a' + version % 26, sizeof text - 1);
    ph_text_format(text, 16, "%014d", version);
    text[14] = ' ';
    for (int i = 0; i < FILES; i++) {
        ph_text_format(name, sizeof name, "f%02d", i);
        put(node, name, text);
    }
}

/* The one version of all files below relative, or -1. */
static int version_of(const struct node *node, const char *relative)
{
    int version = -1;
    for (int i = 0; i < FILES; i++) {
        char name[PATH_MAX];
        ph_text_format(name, sizeof name, "%s/f%02d", relative, i);
        const char *text = get(node, name);
        if (strlen(text) != 64 * 1024 - 1)
            return -1;
        int this = atoi(text);
        if (version >= 0 && this != version)
            return -1;
        version = this;
    }
    return version;
}

/* Starts the holder's server in a child and learns where it listens. The parent has no threads now, so
 * fork is safe. */
static pid_t start_holder(struct node *node, int64_t epoch)
{
    int fds[2];
    char endpoint[256] = "";
    assert_int_equal(0, pipe(fds));
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(fds[0]);
        start_server(node);
        allow(node, N1, epoch);
        const char *where = ph_stream_server_endpoint(node->server);
        ssize_t written = write(fds[1], where, strlen(where));
        (void)written;
        close(fds[1]);
        for (;;)
            pause();
    }
    close(fds[1]);
    ssize_t got = read(fds[0], endpoint, sizeof endpoint - 1);
    assert_true(got > 0);
    close(fds[0]);
    assert_int_equal(0, ph_set_text(&node->peer.endpoint, endpoint));
    return child;
}

static void end(pid_t child)
{
    kill(child, SIGKILL);
    assert_int_equal(child, waitpid(child, NULL, 0));
}

static pid_t kill_later(pid_t victim, uint32_t milliseconds)
{
    pid_t killer = fork();
    if (killer == 0) {
        pause_ms(milliseconds);
        kill(victim, SIGKILL);
        _exit(0);
    }
    return killer;
}

/* Where the point's files are: the drivers differ. */
static void copy_path(const struct ph_pool_data *data, char out[PATH_MAX])
{
    if (strcmp(world.driver->name, "btrfs") == 0) {
        ph_text_format(out, PATH_MAX, "copies/e%lld-%06lld", (long long)data->copy_epoch,
            (long long)data->copy_sequence);
        return;
    }
    static const char *const slots[] = {"current", "staging", "old"};
    for (size_t i = 0; i < 3; i++) {
        char path[PATH_MAX];
        struct ph_pool_manifest manifest;
        memset(&manifest, 0, sizeof manifest);
        ph_text_format(out, PATH_MAX, "copies/%s/manifest", slots[i]);
        path_in(N2, out, path);
        int rv = ph_manifest_read(path, "web", &manifest);
        bool found = rv == 0 && manifest.sequence == data->copy_sequence;
        ph_record_fini(&ph_record_pool_manifest, &manifest);
        ph_text_format(out, PATH_MAX, "copies/%s/data", slots[i]);
        if (found && has(N2, out))
            return;
    }
    out[0] = '\0';
}

static void must_drop(struct node *node, int64_t epoch)
{
    if (drop(node, epoch) != 0)
        fail_msg("drop: %s", world.error.message);
}

static void receive_killed(void)
{
    world.connect_ms = 700; /* some are killed before */
    int64_t complete = 0;   /* newest sequence confirmed to the owner */
    int killed = 0, versions[ROUNDS + 2] = {0};
    must_activate(N1, 1, true);
    uint32_t usual_ms = 0; /* of a whole copy, the shortest so far */
    for (int round = 1; round <= ROUNDS; round++) {
        put_version(N1, round);
        pid_t child = start_holder(N2, 1);
        pid_t killer = kill_later(child, round == 1 ? 10000 : random_below(usual_ms));
        uint64_t begun_ms = ph_clock_boot_ms();
        int rv = copy(N1, N2, 1, false);
        uint32_t took_ms = (uint32_t)(ph_clock_boot_ms() - begun_ms) + 20;
        if (round == 1)
            kill(killer, SIGKILL);
        /* The first one may have met a busy machine; then all the others would be over before. */
        if (round == 1 || (rv == 0 && took_ms < usual_ms))
            usual_ms = took_ms;
        waitpid(killer, NULL, 0);
        end(child);
        struct ph_pool_data data = inspect(N1);
        versions[data.copy_sequence] = round;
        if (rv == 0)
            complete = world.copy.sequence;
        else
            killed++;
        data = inspect(N2);
        assert_true(data.copy_sequence >= complete);
        if (data.copy_sequence > 0) {
            char path[PATH_MAX];
            copy_path(&data, path);
            assert_string_not_equal("", path);
            if (version_of(N2, path) != versions[data.copy_sequence])
                fail_msg("round %d: copy %lld at %s has version %d, not %d", round,
                    (long long)data.copy_sequence, path, version_of(N2, path),
                    versions[data.copy_sequence]);
            complete = data.copy_sequence;
        }
    }
    printf("%d of %d receives were cut off\n", killed, ROUNDS);
    assert_true(killed > 0);
    /* After all that one more goes through. */
    world.connect_ms = 5000;
    put_version(N1, 777);
    pid_t child = start_holder(N2, 1);
    assert_int_equal(0, copy(N1, N2, 1, false));
    end(child);
    must_activate(N2, 2, false);
    assert_int_equal(777, version_of(N2, "data"));
}

static void promote_killed(void)
{
    must_activate(N1, 1, true);
    put_version(N1, 5);
    for (int round = 1; round <= ROUNDS; round++) {
        pid_t child = start_holder(N2, 1);
        assert_int_equal(0, copy(N1, N2, 1, false));
        end(child);
        int64_t epoch = 1 + round;
        child = fork();
        if (child == 0) {
            char path[PATH_MAX];
            struct ph_pool_context context = context_of(N2, epoch);
            _exit(world.driver->activate(&context, false, path, NULL) == 0 ? 0 : 1);
        }
        pid_t killer = kill_later(child, random_below(25));
        waitpid(killer, NULL, 0);
        waitpid(child, NULL, 0);
        struct ph_pool_data data = inspect(N2);
        assert_true(data.active_data || data.copy_sequence > 0);
        must_activate(N2, epoch, false);
        assert_int_equal(5, version_of(N2, "data"));
        assert_int_equal(0, deactivate(N2, epoch));
        must_drop(N2, epoch);
    }
}

static void run_both(const char *driver, const char *top)
{
    for (int part = 0; part < 2; part++) {
        char below[PATH_MAX];
        ph_text_format(below, sizeof below, "%s", top);
        world_init(driver, below);
        for (int i = 0; i < NODES; i++)
            ph_stream_server_stop(&world.nodes[i].server);
        if (part == 0)
            receive_killed();
        else
            promote_killed();
        must_drop(N1, 1);
        must_drop(N2, 100);
        world_fini();
    }
}

static void directory(void **state)
{
    char top[PATH_MAX];
    (void)state;
    make_top(top);
    run_both("directory", top);
    assert_int_equal(0, ph_tree_remove(top));
}

static void btrfs(void **state)
{
    char top[PATH_MAX];
    (void)state;
    if (!btrfs_works()) {
        skip();
        return;
    }
    make_top(top);
    for (int number = 1; number <= NODES; number++)
        assert_true(mount_btrfs(top, number));
    run_both("btrfs", top);
    unmount_all(top);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(directory), cmocka_unit_test(btrfs)};
    random_state = (uint32_t)ph_clock_wall_ms();
    printf("seed %lu\n", (unsigned long)random_state);
    alarm(115);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
