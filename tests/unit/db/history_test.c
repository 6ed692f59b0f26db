#include "support.h"

static int64_t test_now_ms;

static int64_t test_clock(void)
{
    return test_now_ms;
}

static void open_at(struct bed *bed, int64_t now_ms, struct ph_reader **reader)
{
    bed_init(bed, PH_SCHEMA_MANAGER);
    ph_store_flush(bed->store);
    bed->store->writer.wall_ms = test_clock;
    test_now_ms = now_ms;
    bed_reader(bed, reader);
}

static void close_all(struct bed *bed, struct ph_reader **reader)
{
    ph_reader_destroy(reader);
    bed_fini(bed);
}

static void save_pool(struct bed *bed, int64_t now_ms, const char *node, int64_t epoch)
{
    struct ph_pool pool = {.name = "web", .epoch = epoch};
    snprintf(pool.node, sizeof pool.node, "%s", node);
    test_now_ms = now_ms;
    assert_int_equal(bed_save(bed, &ph_record_pool, &pool), PH_STORE_OK);
}

static void save_vm(struct bed *bed, int64_t now_ms, enum ph_vm_state vm_state, int64_t pid)
{
    struct ph_vm vm = {.pool = "web", .name = "httpd", .state = vm_state, .pid = pid};
    test_now_ms = now_ms;
    assert_int_equal(bed_save(bed, &ph_record_vm, &vm), PH_STORE_OK);
}

static void each_change_has_its_span(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    (void)state;
    open_at(&bed, 1000, &reader);
    save_pool(&bed, 1000, "n1", 1);
    save_pool(&bed, 1500, "n1", 1); /* nothing changed */
    save_pool(&bed, 2000, "n2", 2);
    save_pool(&bed, 2000, "n3", 3); /* within the same millisecond: kept, and never in force */
    struct ph_pool web = {.name = "web"};
    test_now_ms = 3000;
    assert_int_equal(bed_remove(&bed, &ph_record_pool, &web), PH_STORE_OK);
    save_pool(&bed, 4000, "n4", 1); /* declared anew */
    expect_json(reader,
        "SELECT node, valid_from, valid_to FROM pools_history ORDER BY valid_from, valid_to, node",
        "[{\"node\":\"n1\",\"valid_from\":1000,\"valid_to\":2000},"
        "{\"node\":\"n2\",\"valid_from\":2000,\"valid_to\":2000},"
        "{\"node\":\"n3\",\"valid_from\":2000,\"valid_to\":3000},"
        "{\"node\":\"n4\",\"valid_from\":4000,\"valid_to\":null}]");
    static const struct {
        int64_t as_of;
        const char *json;
    } cases[] = {
        {999, "[]"},
        {1000, "[{\"node\":\"n1\"}]"},
        {1999, "[{\"node\":\"n1\"}]"},
        {2000, "[{\"node\":\"n3\"}]"},
        {2999, "[{\"node\":\"n3\"}]"},
        {3000, "[]"},
        {3999, "[]"},
        {4000, "[{\"node\":\"n4\"}]"},
        {9000, "[{\"node\":\"n4\"}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        expect_as_of(reader, "SELECT node FROM pools", cases[i].as_of, cases[i].json);
        expect_as_of(
            reader, "SELECT node FROM pools WHERE name = 'web'", cases[i].as_of, cases[i].json);
    }
    close_all(&bed, &reader);
}

static void a_pid_alone_is_no_change(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    (void)state;
    open_at(&bed, 1000, &reader);
    save_pool(&bed, 1000, "n1", 1);
    save_vm(&bed, 1100, PH_VM_RUNNING, 11);
    save_vm(&bed, 1200, PH_VM_RUNNING, 12);
    expect_json(
        reader, "SELECT pid, valid_from FROM vms_history", "[{\"pid\":12,\"valid_from\":1100}]");
    save_vm(&bed, 1300, PH_VM_STOPPED, 0);
    expect_json(reader, "SELECT count(*) AS n FROM vms_history", "[{\"n\":2}]");
    /* vms show the node their pool was on then; what goes with a pool ends with it. */
    save_pool(&bed, 1400, "n2", 2);
    expect_as_of(reader, "SELECT name, state, node FROM vms", 1250,
        "[{\"name\":\"httpd\",\"state\":\"running\",\"node\":\"n1\"}]");
    expect_as_of(
        reader, "SELECT state, node FROM vms", 1500, "[{\"state\":\"stopped\",\"node\":\"n2\"}]");
    struct ph_pool web = {.name = "web"};
    test_now_ms = 1600;
    assert_int_equal(bed_remove(&bed, &ph_record_pool, &web), PH_STORE_OK);
    expect_as_of(reader, "SELECT * FROM vms", 1600, "[]");
    expect_as_of(reader, "SELECT state FROM vms", 1599, "[{\"state\":\"stopped\"}]");
    close_all(&bed, &reader);
}

static void nodes_have_history_too(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    struct ph_node node = {.name = "n1", .public_key = (char[]){"secretish"}};
    (void)state;
    open_at(&bed, 1000, &reader);
    assert_int_equal(bed_save(&bed, &ph_record_node, &node), PH_STORE_OK);
    node.state = PH_NODE_LOST;
    test_now_ms = 2000;
    assert_int_equal(bed_save(&bed, &ph_record_node, &node), PH_STORE_OK);
    expect_as_of(reader, "SELECT state FROM nodes", 1999, "[{\"state\":\"joining\"}]");
    expect_as_of(reader, "SELECT state FROM nodes", 2000, "[{\"state\":\"lost\"}]");
    struct answer answer;
    ask_sql(reader, "SELECT * FROM nodes_history", &answer);
    assert_int_equal(answer.rows, 2);
    assert_null(strstr(answer.json, "secretish"));
    free(answer.json);
    close_all(&bed, &reader);
}

/* Everything in one batch changes at one moment, and batches of one transaction do not share it. */
static void a_batch_is_one_moment(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    struct ph_pool pool = {.name = "web"};
    struct ph_vm vm = {.pool = "web"};
    (void)state;
    open_at(&bed, 5000, &reader);
    struct ph_batch *batch = ph_batch_new();
    assert_int_equal(ph_batch_save(batch, &ph_record_pool, &pool), 0);
    for (int i = 0; i < 100; i++) {
        snprintf(vm.name, sizeof vm.name, "vm%d", i);
        assert_int_equal(ph_batch_save(batch, &ph_record_vm, &vm), 0);
    }
    assert_int_equal(bed_commit(&bed, batch), PH_STORE_OK);
    expect_as_of(reader, "SELECT count(*) AS n FROM vms", 4999, "[{\"n\":0}]");
    expect_as_of(reader, "SELECT count(*) AS n FROM vms", 5000, "[{\"n\":100}]");
    /* A refused batch leaves no trace in history, nor its moment. */
    vm.state = (enum ph_vm_state)77;
    test_now_ms = 6000;
    batch = ph_batch_new();
    pool.epoch = 1;
    assert_int_equal(ph_batch_save(batch, &ph_record_pool, &pool), 0);
    assert_int_equal(ph_batch_save(batch, &ph_record_vm, &vm), 0);
    assert_int_equal(bed_commit(&bed, batch), PH_STORE_CONSTRAINT);
    expect_json(reader, "SELECT count(*) AS n FROM pools_history", "[{\"n\":1}]");
    save_pool(&bed, 6000, "n1", 1);
    expect_as_of(reader, "SELECT epoch FROM pools", 6000, "[{\"epoch\":1}]");
    close_all(&bed, &reader);
}

static void a_clock_set_back_keeps_order(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    const int64_t hour = 3600 * 1000;
    (void)state;
    open_at(&bed, 10 * hour, &reader);
    save_pool(&bed, 10 * hour, "n1", 1);
    save_pool(&bed, 10 * hour - 500, "n2", 2); /* half a second back: held */
    expect_json(reader, "SELECT valid_to >= valid_from AS ok FROM pools_history WHERE valid_to > 0",
        "[{\"ok\":1}]");
    expect_as_of(reader, "SELECT node FROM pools", 10 * hour, "[{\"node\":\"n2\"}]");
    save_pool(&bed, 2 * hour, "n3", 3); /* eight hours back: believed */
    expect_as_of(reader, "SELECT node FROM pools", 2 * hour, "[{\"node\":\"n3\"}]");
    expect_as_of(reader, "SELECT node FROM pools", 11 * hour, "[{\"node\":\"n3\"}]");
    close_all(&bed, &reader);
}

static void what_has_no_history_says_so(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    (void)state;
    open_at(&bed, 1000, &reader);
    static const char *const tables[] = {"replicas", "jobs", "identities", "main.replicas"};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++) {
        char sql[64];
        snprintf(sql, sizeof sql, "SELECT * FROM %s", tables[i]);
        expect_refused(reader, sql, 2000, -EINVAL, "keep no history");
        snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", tables[i]);
        expect_refused(reader, sql, 2000, -EINVAL, "keep no history");
    }
    expect_refused(reader, "SELECT * FROM main.pools", 2000, -EINVAL, "not a table");
    expect_refused(reader, "SELECT * FROM pools", -5, -EINVAL, "1970");
    /* Events are a history already. */
    for (int64_t i = 1; i <= 3; i++) {
        struct ph_event event = {.id = i, .at = i * 1000};
        assert_int_equal(bed_save(&bed, &ph_record_event, &event), PH_STORE_OK);
    }
    expect_as_of(reader, "SELECT id FROM events", 2500, "[{\"id\":1},{\"id\":2}]");
    close_all(&bed, &reader);
}

static void trimming_goes_in_steps_and_is_remembered(void **state)
{
    struct bed bed;
    struct ph_reader *reader;
    (void)state;
    open_at(&bed, 1000, &reader);
    for (int64_t i = 1; i <= 10; i++) {
        struct ph_event event = {.id = i, .at = i * 1000};
        struct ph_job job = {.id = i, .state = PH_JOB_SUCCEEDED, .ended_at = i == 2 ? 0 : i * 1000};
        save_pool(&bed, i * 1000, i % 2 == 0 ? "n1" : "n2", i);
        assert_int_equal(bed_save(&bed, &ph_record_event, &event), PH_STORE_OK);
        assert_int_equal(bed_save(&bed, &ph_record_job, &job), PH_STORE_OK);
    }
    struct ph_retention retention = {
        .history_before = 5001, .events_before = 5001, .jobs_before = 5001, .rows_max = 2};
    ph_store_trim(bed.store, &retention);
    ph_store_flush(bed.store);
    expect_json(reader, "SELECT min(valid_to) AS v FROM pools_history", "[{\"v\":4000}]");
    expect_json(reader, "SELECT min(id) AS v FROM events", "[{\"v\":3}]");
    expect_json(reader, "SELECT group_concat(id) AS v FROM jobs WHERE id < 5", "[{\"v\":\"2,4\"}]");
    expect_refused(reader, "SELECT * FROM pools", 2999, -EINVAL, "history is kept since 1970-");
    expect_as_of(reader, "SELECT epoch FROM pools", 3000, "[{\"epoch\":3}]");
    retention = (struct ph_retention){INT64_MAX, INT64_MAX, INT64_MAX, 1000};
    ph_store_trim(bed.store, &retention);
    ph_store_flush(bed.store);
    /* The version in force is no history, and the last numbers stay. */
    expect_json(
        reader, "SELECT epoch, valid_to FROM pools_history", "[{\"epoch\":10,\"valid_to\":null}]");
    expect_json(reader, "SELECT id FROM events", "[{\"id\":10}]");
    expect_json(reader, "SELECT group_concat(id) AS v FROM jobs", "[{\"v\":\"2,10\"}]");
    expect_refused(reader, "SELECT * FROM pools", 9999, -EINVAL, "history is kept since");
    expect_as_of(reader, "SELECT epoch FROM pools", 10000, "[{\"epoch\":10}]");
    close_all(&bed, &reader);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_change_has_its_span),
        cmocka_unit_test(a_pid_alone_is_no_change),
        cmocka_unit_test(nodes_have_history_too),
        cmocka_unit_test(a_batch_is_one_moment),
        cmocka_unit_test(a_clock_set_back_keeps_order),
        cmocka_unit_test(what_has_no_history_says_so),
        cmocka_unit_test(trimming_goes_in_steps_and_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
