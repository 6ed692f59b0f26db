/* Data that two nodes reach: a path, a device, and what Debian's resource agents start. Needs root for all but the
 * first, else the program says so. */
#include "tests/unit/pools/image_mount.h"

#include "agent/ocf/ocf.h"
#include "proto/codec.h"

#define N1 (&world.nodes[0])
#define N2 (&world.nodes[1])

static bool may_mount;

static int setup(const char *driver)
{
    char top[PATH_MAX];
    world_init(driver, make_top(top));
    return 0;
}

static int setup_shared(void **state)
{
    (void)state;
    return setup("shared");
}

static int setup_ocf(void **state)
{
    (void)state;
    return setup("ocf");
}

static int teardown(void **state)
{
    char path[PATH_MAX];
    (void)state;
    for (int i = 0; i < NODES; i++) {
        path_in(&world.nodes[i], "mount", path);
        (void)umount2(path, MNT_DETACH);
    }
    ph_text_format(path, sizeof path, "%s/there", world.top);
    (void)umount2(path, MNT_DETACH);
    world_fini();
    free(world.pool.settings);
    assert_int_equal(0, ph_tree_remove(world.top));
    return 0;
}

static void settings_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static void settings_of(const char *format, ...)
{
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    assert_int_equal(0, ph_set_text(&world.pool.settings, text));
}

static int attach(struct node *node, int64_t epoch, bool create, char path_out[PATH_MAX])
{
    struct ph_pool_context context = context_of(node, epoch);
    memset(&world.error, 0, sizeof world.error);
    return world.driver->activate(&context, create, path_out, &world.error);
}

static void must_attach(struct node *node, int64_t epoch, bool create, char path_out[PATH_MAX])
{
    int rv = attach(node, epoch, create, path_out);
    if (rv != 0)
        fail_msg("%s: %d %s", node->name, rv, world.error.message);
}

static void a_path(void **state)
{
    char there[PATH_MAX], path[PATH_MAX], token[PATH_MAX];
    (void)state;
    ph_text_format(there, sizeof there, "%s/there", world.top);
    settings_of("{\"shared\":{\"path\":\"%s\"}}", there);
    assert_int_equal(-ENODATA, attach(N1, 1, true, path)); /* not mounted on this node */
    assert_int_equal(0, mkdir(there, 0700));
    must_attach(N1, 2, true, path);
    assert_string_equal(there, path);
    assert_point(N1, 2, 2, true);
    assert_int_equal(0, deactivate(N1, 2));
    assert_point(N1, 2, 2, false);
    must_attach(N2, 3, false, path);
    /* The data itself refuses the former owner, which has not heard of epoch 3. */
    assert_int_equal(-ESTALE, attach(N1, 2, false, path));
    assert_non_null(strstr(world.error.message, "higher than 2"));
    assert_int_equal(0, deactivate(N2, 3));
    /* Emptied, or unmounted: not what it was. */
    ph_text_format(token, sizeof token, "%s/.poolherd-web", there);
    assert_int_equal(0, unlink(token));
    assert_int_equal(-ENODATA, attach(N2, 4, false, path));
    write_file(token, "");
    must_attach(N2, 4, false, path);
    write_file(token, "{");
    assert_true(attach(N2, 5, false, path) != 0); /* broken: nobody knows which epoch it had */
    assert_int_equal(0, deactivate(N2, 5));
    /* No copies, and dropping leaves the data alone. */
    struct ph_pool_context context = context_of(N2, 5);
    struct ph_stream_open open = {.stream = 1};
    assert_int_equal(-ENOTSUP, world.driver->open(&context, &open, &world.error));
    assert_int_equal(0, drop(N2, 5));
    assert_false(inspect(N2).exists);
    assert_int_equal(0, access(token, F_OK));
}

/* A "SAN": one disk that both reach. */
static void a_device(void **state)
{
    char image[PATH_MAX], path[PATH_MAX], device[PH_LOOP_NAME], file[PATH_MAX + 8];
    const char *const format[] = {"mkfs.ext4", "-q", "-F", image, NULL};
    int fd = -1;
    (void)state;
    if (!may_mount)
        skip();
    ph_text_format(image, sizeof image, "%s/disk", world.top);
    int disk = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(disk >= 0 && ftruncate(disk, 16 * MIB) == 0);
    close(disk);
    assert_true(run(format));
    assert_int_equal(0, ph_loop_attach(image, &fd, device));
    settings_of(
        "{\"shared\":{\"source\":\"%s\",\"file_system\":\"ext4\",\"options\":[\"noatime\"]}}",
        device);
    must_attach(N1, 1, true, path);
    must_attach(N1, 1, true, path);
    ph_text_format(file, sizeof file, "%s/a", path);
    write_file(file, "one");
    /* Mounted here already: another mount of it would be silent on ext4, and the end of it. */
    char other[PATH_MAX];
    assert_int_equal(-EBUSY, attach(N2, 2, false, other));
    assert_non_null(strstr(world.error.message, "in use"));
    int held = open(file, O_WRONLY | O_CLOEXEC);
    assert_int_equal(-EBUSY, deactivate(N1, 1));
    close(held);
    assert_int_equal(0, deactivate(N1, 1));
    assert_int_equal(0, deactivate(N1, 1));
    must_attach(N2, 3, false, path);
    ph_text_format(file, sizeof file, "%s/a", path);
    assert_string_equal("one", text_at(file));
    assert_int_equal(0, deactivate(N2, 3));
    assert_int_equal(0, drop(N2, 3));
    close(fd);
}

/* ---- ocf ---- */

static bool agent_is_here(const char *agent)
{
    char path[PATH_MAX];
    if (ph_ocf_find(agent, path, &world.error) == 0)
        return true;
    print_message("skipped: %s\n", world.error.message);
    return false;
}

static void a_dummy(void **state)
{
    char path[PATH_MAX];
    struct ph_pool_context context = context_of(N1, 1);
    (void)state;
    if (!may_mount || !agent_is_here("ocf:heartbeat:Dummy"))
        skip();
    settings_of("{\"ocf\":{\"agent\":\"ocf:heartbeat:Dummy\",\"parameters\":[\"state=%s/state\"]}}",
        world.top);
    char state_file[PATH_MAX];
    ph_text_format(state_file, sizeof state_file, "%s/state", world.top);
    assert_int_equal(0, world.driver->release_file(&context, path, &world.error));
    assert_non_null(strstr(text_at(path), "OCF_RESKEY_state="));
    assert_non_null(strstr(text_at(path), "/resource.d/heartbeat/Dummy\nstop\n"));
    must_attach(N1, 1, true, path);
    assert_int_equal(0, access(state_file, F_OK));
    must_attach(N1, 1, true, path); /* it runs */
    assert_int_equal(0, deactivate(N1, 1));
    assert_int_equal(-1, access(state_file, F_OK));
    assert_false(has(N1, "release"));
    assert_int_equal(0, drop(N1, 1));
    assert_false(inspect(N1).exists);
}

static void a_file_system(void **state)
{
    char image[PATH_MAX], there[PATH_MAX], path[PATH_MAX], file[PATH_MAX + 8], device[PH_LOOP_NAME];
    const char *const format[] = {"mkfs.ext4", "-q", "-F", image, NULL};
    int fd = -1;
    (void)state;
    if (!may_mount || !agent_is_here("ocf:heartbeat:Filesystem"))
        skip();
    if (access("/sbin/modprobe", X_OK) != 0) {
        print_message("skipped: Filesystem needs modprobe (package kmod)\n");
        skip();
    }
    ph_text_format(image, sizeof image, "%s/disk", world.top);
    ph_text_format(there, sizeof there, "%s/there", world.top);
    int disk = open(image, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    assert_true(disk >= 0 && ftruncate(disk, 16 * MIB) == 0);
    close(disk);
    assert_true(run(format));
    assert_int_equal(0, mkdir(there, 0700));
    assert_int_equal(0, ph_loop_attach(image, &fd, device));
    settings_of("{\"ocf\":{\"agent\":\"ocf:heartbeat:Filesystem\",\"parameters\":[\"device=%s\","
                "\"directory=%s\",\"fstype=ext4\",\"force_unmount=false\"],\"path\":\"%s\"}}",
        device, there, there);
    must_attach(N1, 1, true, path);
    assert_string_equal(there, path);
    ph_text_format(file, sizeof file, "%s/a", path);
    write_file(file, "one");
    assert_int_equal(0, deactivate(N1, 1));
    assert_int_equal(-1, access(file, F_OK));
    must_attach(N2, 2, false, path);
    assert_string_equal("one", text_at(file));
    assert_int_equal(0, deactivate(N2, 2));
    close(fd);
}

/* An agent of our own that answers what it is told to. */
static void answers(void **state)
{
    static const struct {
        const char *monitor, *start, *stop;
        int activate, deactivate;
    } cases[] = {
        {"7 0 7", "0", "0", 0, 0}, {"7 7", "0", "0", -EIO, 0}, /* started, and does not run */
        {"7", "1", "0", -EIO, 0},    /* does not start; what is there of it is stopped */
        {"1 7 0 7", "0", "0", 0, 0}, /* half of it was there: stopped first */
        {"0 0", "0", "0", 0, -EIO},  /* says it stopped, and runs */
        {"7 0", "0", "1", 0, -EIO},  /* does not stop: never released */
        {"0 7", "9", "7", 0, 0},     /* ran already; 7 of a stop is stopped */
        {"5", "0", "0", -EIO, 0},    /* what it needs is not installed */
    };
    char root[PATH_MAX], path[PATH_MAX], program[PATH_MAX];
    (void)state;
    ph_text_format(root, sizeof root, "%s/ocf", world.top);
    ph_text_format(path, sizeof path, "%s/resource.d/test", root);
    assert_int_equal(0, ph_directory_make(path));
    assert_true(ph_path_join(program, sizeof program, path, "fake") == 0);
    ph_ocf_set_root(root);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[2048];
        /* Each monitor takes the next word; the last one stays. */
        ph_text_format(text, sizeof text,
            "#!/usr/bin/python3\nimport sys,os\nstate='%s/words'\n"
            "words=open(state).read().split() if os.path.exists(state) else '%s'.split()\n"
            "a=sys.argv[1]\n"
            "if a=='monitor':\n  code=int(words[0])\n  open(state,'w').write(' '.join(words[1:] or "
            "words))\n"
            "else: code=int({'start':'%s','stop':'%s','validate-all':'0'}[a])\n"
            "print('said', os.environ['OCF_RESKEY_a'], "
            "os.environ['OCF_RESOURCE_INSTANCE'])\nsys.exit(code)\n",
            root, cases[i].monitor, cases[i].start, cases[i].stop);
        write_file(program, text);
        assert_int_equal(0, chmod(program, 0700));
        settings_of("{\"ocf\":{\"agent\":\"ocf:test:fake\",\"parameters\":[\"a=b c\"]}}");
        int rv = attach(N1, (int64_t)i + 1, true, path);
        if (rv != cases[i].activate)
            fail_msg("case %zu: activate %d %s", i, rv, world.error.message);
        if (rv != 0)
            assert_true(world.error.message[0] != '\0');
        if (rv == 0 && deactivate(N1, (int64_t)i + 1) != cases[i].deactivate)
            fail_msg("case %zu: deactivate: %s", i, world.error.message);
        if (cases[i].deactivate != 0) {
            assert_true(inspect(N1).active_data); /* not released */
            ph_text_format(text, sizeof text, "%s/words", root);
            write_file(text, "7");
        }
        ph_text_format(text, sizeof text, "%s/words", root);
        (void)unlink(text);
    }
    ph_ocf_set_root("/usr/lib/ocf");
}

int main(void)
{
#define TEST(function, setup) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_path, setup_shared),
        TEST(a_device, setup_shared),
        TEST(a_dummy, setup_ocf),
        TEST(a_file_system, setup_ocf),
        TEST(answers, setup_ocf),
    };
    may_mount = images_work();
    alarm(110);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
