/* The guard's table, its file, and the readers of /proc. */
#include "tests/unit/guard/fixture.h"
#include "agent/guard/table.h"

static void keeps_pools_in_order(void **state)
{
    struct ph_guard_table table = {0, 0, NULL, 0};
    char name[16];
    (void)state;
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof name, "p%d", i * 37 % 100);
        assert_non_null(ph_guard_table_add(&table, name));
        assert_string_equal(ph_guard_table_add(&table, name)->name, name); /* finds it */
    }
    assert_int_equal(table.count, 100);
    for (size_t i = 1; i < table.count; i++)
        assert_true(strcmp(table.pools[i - 1].name, table.pools[i].name) < 0);
    uint32_t id = ph_guard_table_find(&table, "p50")->id;
    ph_guard_table_remove(&table, "p50");
    ph_guard_table_remove(&table, "p50");
    assert_null(ph_guard_table_find(&table, "p50"));
    assert_int_equal(table.count, 99);
    assert_int_not_equal(ph_guard_table_add(&table, "p50")->id, id); /* another pool to a scan */
    ph_guard_table_fini(&table);
    assert_int_equal(table.count, 0);
}

static void checks_items(void **state)
{
    struct ph_guard_table table = {0, 0, NULL, 0};
    struct ph_guard_pool *pool = ph_guard_table_add(&table, "web");
    char text[PATH_MAX + 2];
    (void)state;
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_CGROUP, "", 0, 0), -EINVAL);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_CGROUP, "a/b", 0, 0), -EINVAL);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MOUNT, "/a\nmount /etc", 0, 0), -EINVAL);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MARK, "a\x7f", 0, 0), -EINVAL);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 1, 5), -EINVAL);
    memset(text, '/', sizeof text);
    text[PATH_MAX] = '\0';
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MOUNT, text, 0, 0), -EINVAL);
    text[PATH_MAX - 1] = '\0';
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MOUNT, text, 0, 0), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MOUNT, text, 0, 0), 0);
    assert_int_equal(pool->count, 1);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 7, 5), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 7, 5), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 7, 6), 0); /* another process */
    assert_int_equal(pool->count, 3);
    assert_true(ph_guard_pool_has(pool, PH_ITEM_GROUP));
    assert_false(ph_guard_pool_has(pool, PH_ITEM_CGROUP));
    ph_guard_pool_drop(pool, 1);
    assert_int_equal(pool->count, 2);
    assert_int_equal(pool->items[1].start_time, 6);
    int rv = 0;
    for (int i = 0; rv == 0; i++)
        rv = ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 1000 + i, 1);
    assert_int_equal(rv, -ENOSPC);
    ph_guard_table_fini(&table);
}

static void reads_what_it_wrote(void **state)
{
    struct ph_guard_table table = {0, 0, NULL, 0}, again = {0, 0, NULL, 0};
    size_t size, size_again;
    (void)state;
    struct ph_guard_pool *pool = ph_guard_table_add(&table, "web");
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MARK, "m 1", 0, 0), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_CGROUP, "/c g", 0, 0), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_GROUP, NULL, 4711, UINT64_MAX), 0);
    assert_int_equal(ph_guard_pool_add(pool, PH_ITEM_MOUNT, "/m\xff\xc3\xa4", 0, 0), 0);
    ph_guard_table_add(&table, "db");
    char *text = ph_guard_table_encode(&table, "boot-1", &size);
    assert_non_null(text);
    assert_int_equal(ph_guard_table_decode(&again, "boot-2", text, size), -ESTALE);
    assert_int_equal(again.count, 0);
    assert_int_equal(ph_guard_table_decode(&again, "boot-1", text, size), 0);
    char *text_again = ph_guard_table_encode(&again, "boot-1", &size_again);
    assert_string_equal(text, text_again);
    ph_guard_table_fini(&again);
    /* Cut anywhere it is known to be cut, and what was whole is kept. */
    for (size_t i = 0; i < size; i++) {
        int rv = ph_guard_table_decode(&again, "boot-1", text, i);
        assert_int_equal(rv, -EBADMSG);
        assert_true(again.count <= 2);
        ph_guard_table_fini(&again);
    }
    free(text);
    free(text_again);
    ph_guard_table_fini(&table);
}

static void bears_malformed_tables(void **state)
{
    static const struct {
        const char *text;
        int rv;
        size_t pools;
    } cases[] = {
        {"", -EBADMSG, 0},
        {"nonsense\n", -EBADMSG, 0},
        {"poolherd-guard-table 2 b\nend\n", -EBADMSG, 0},
        {"poolherd-guard-table 1 b\nend\n", 0, 0},
        {"poolherd-guard-table 1 b\nend\nmore\n", -EBADMSG, 0},
        {"poolherd-guard-table 1 bb\nend\n", -ESTALE, 0},
        {"poolherd-guard-table 1 b\nmark x\nend\n", -EBADMSG, 0},
        {"poolherd-guard-table 1 b\npool Web\nend\n", -EBADMSG, 0},
        {"poolherd-guard-table 1 b\npool web\nwhat x\npool db\nend\n", -EBADMSG, 2},
        {"poolherd-guard-table 1 b\npool web\ngroup 7\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\npool web\ngroup 7 x\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\npool web\ngroup 1 5\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\npool web\ngroup -7 5\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\npool web\ngroup 99999999999 5\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\npool web\nmount relative\nend\n", -EBADMSG, 1},
        {"poolherd-guard-table 1 b\n\nend\n", -EBADMSG, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ph_guard_table table = {0, 0, NULL, 0};
        int rv = ph_guard_table_decode(&table, "b", cases[i].text, strlen(cases[i].text));
        if (rv != cases[i].rv || table.count != cases[i].pools)
            fail_msg("case %zu: %d with %zu pools", i, rv, table.count);
        ph_guard_table_fini(&table);
    }
}

static void reads_process_lines(void **state)
{
    static const char tail[] = " 1 10 11 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 3 0 777 1 2";
    struct ph_process process;
    char line[256];
    (void)state;
    snprintf(line, sizeof line, "42 (a) b) (c) S%s", tail);
    assert_int_equal(ph_process_parse(line, &process), 0);
    assert_int_equal(process.pid, 42);
    assert_int_equal(process.group, 10);
    assert_int_equal(process.session, 11);
    assert_int_equal(process.threads, 3);
    assert_int_equal(process.start_time, 777);
    assert_true(ph_process_alive(&process));
    process.state = 'Z';
    assert_true(ph_process_alive(&process)); /* other threads run on */
    process.threads = 1;
    assert_false(ph_process_alive(&process));
    assert_int_equal(ph_process_parse("", &process), -EINVAL);
    assert_int_equal(ph_process_parse("42 (x) S 1 10", &process), -EINVAL);
    assert_int_equal(ph_process_parse("x (x) S 1 10 11", &process), -EINVAL);
    assert_int_equal(ph_process_read(getpid(), &process), 0);
    assert_int_equal(process.pid, getpid());
    assert_int_equal(process.group, getpgrp());
    assert_int_equal(process.session, getsid(0));
    assert_int_equal(ph_process_read(INT_MAX, &process), -ESRCH);
}

static void reads_marks(void **state)
{
    struct ph_process_marks marks;
    (void)state;
    pid_t pid = workload_start("sleep", "", "");
    assert_int_equal(ph_process_marks(pid, &marks), 0);
    assert_string_equal(marks.mark, MARK);
    assert_string_equal(marks.vm, "vm1");
    assert_true(ph_group_alive(pid));
    struct ph_process process;
    assert_int_equal(ph_process_read(pid, &process), 0);
    assert_int_equal(ph_group_kill(pid, process.start_time + 1), -ESTALE);
    assert_int_equal(ph_group_kill(1, 0), -ESRCH);
    assert_int_equal(ph_group_kill(0, 0), -ESRCH);
    assert_true(runs(pid));
    assert_int_equal(ph_group_kill(pid, process.start_time), 0);
    WAIT_FOR(!ph_group_alive(pid)); /* not waited for yet */
    waitpid(pid, NULL, 0);
    assert_int_equal(ph_group_kill(pid, process.start_time), -ESRCH);
    assert_int_equal(ph_process_marks(pid, &marks), -ESRCH);
}

static void kills_cgroups_of_old_kernels(void **state)
{
    char directory[] = "/tmp/poolherd-cgroup-XXXXXX", path[PATH_MAX], text[32];
    (void)state;
    assert_non_null(mkdtemp(directory));
    pid_t pid = workload_start("stubborn", "", ""), inner = workload_start("stubborn", "", "");
    /* A directory as a kernel without cgroup.kill shows it, with a group inside. */
    snprintf(path, sizeof path, "%s/cgroup.procs", directory);
    FILE *file = fopen(path, "w");
    fprintf(file, "%ld\n", (long)pid);
    fclose(file);
    snprintf(path, sizeof path, "%s/child", directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/child/cgroup.procs", directory);
    file = fopen(path, "w");
    fprintf(file, "%ld\n", (long)inner);
    fclose(file);
    assert_int_equal(ph_cgroup_kill(directory), 0);
    waitpid(pid, NULL, 0);
    waitpid(inner, NULL, 0);
    snprintf(text, sizeof text, "populated 0\nfrozen 0\n");
    snprintf(path, sizeof path, "%s/cgroup.events", directory);
    assert_false(ph_cgroup_populated(directory)); /* no such group */
    file = fopen(path, "w");
    fputs("populated 1\nfrozen 0\n", file);
    fclose(file);
    assert_true(ph_cgroup_populated(directory));
    file = fopen(path, "w");
    fputs(text, file);
    fclose(file);
    assert_false(ph_cgroup_populated(directory));
    ph_tree_remove(directory);
    assert_int_equal(ph_cgroup_kill(directory), 0);
}

int main(int argc, char **argv)
{
    FIXTURE_MAIN(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_pools_in_order),
        cmocka_unit_test(checks_items),
        cmocka_unit_test(reads_what_it_wrote),
        cmocka_unit_test(bears_malformed_tables),
        cmocka_unit_test(reads_process_lines),
        cmocka_unit_test(reads_marks),
        cmocka_unit_test(kills_cgroups_of_old_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
