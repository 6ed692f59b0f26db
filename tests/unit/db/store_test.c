#include "support.h"

/* -- every stored record comes back as it was -- */
#define ROWS 60

struct expected {
    const struct ph_record *record;
    void *rows[ROWS];
    size_t count, seen;
};

static bool same_key(const struct ph_record *record, const void *a, const void *b)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        const char *left = (const char *)a + field->offset;
        const char *right = (const char *)b + field->offset;
        if (!ph_field_is_key(field))
            continue;
        if (field->kind == PH_FIELD_NAME ? strcmp(left, right) != 0
                                         : memcmp(left, right, sizeof(int64_t)) != 0)
            return false;
    }
    return true;
}

static int compare_row(void *context, const void *row)
{
    struct expected *expected = context;
    for (size_t i = 0; i < expected->count; i++) {
        if (!same_key(expected->record, expected->rows[i], row))
            continue;
        assert_true(ph_record_equal(expected->record, expected->rows[i], row));
        expected->seen++;
        return 0;
    }
    fail_msg("a %s nobody saved", expected->record->name);
    return 0;
}

static void compare_all(struct bed *bed, struct expected *expected)
{
    struct ph_error error;
    expected->seen = 0;
    assert_int_equal(ph_store_load(bed->store, expected->record, compare_row, expected, &error), 0);
    assert_int_equal(expected->seen, expected->count);
}

/* The parents of vms and replicas must exist. */
static void give_parent(struct bed *bed, const struct ph_record *record, void *row)
{
    struct ph_pool pool = {0};
    if (record != &ph_record_vm && record != &ph_record_replica)
        return;
    snprintf(pool.name, sizeof pool.name, "%s",
        record == &ph_record_vm ? ((struct ph_vm *)row)->pool : ((struct ph_replica *)row)->pool);
    assert_int_equal(bed_save(bed, &ph_record_pool, &pool), PH_STORE_OK);
}

static void round_trip(enum ph_store_schema schema, const struct ph_record *record)
{
    struct bed bed;
    struct expected expected = {.record = record};
    uint64_t seed = 7;
    bed_init(&bed, schema);
    for (expected.count = 0; expected.count < ROWS; expected.count++) {
        void *row = calloc(1, record->size);
        random_row(record, row, &seed);
        give_parent(&bed, record, row);
        assert_int_equal(bed_save(&bed, record, row), PH_STORE_OK);
        expected.rows[expected.count] = row;
    }
    compare_all(&bed, &expected);
    /* Change half of them, remove a quarter, and look again after a new start. */
    for (size_t i = 0; i < ROWS / 2; i++) {
        char *changed = calloc(1, record->size);
        random_row(record, changed, &seed);
        for (size_t f = 0; f < record->field_count; f++) {
            const struct ph_field *field = &record->fields[f];
            bool grows =
                field->kind == PH_FIELD_INT &&
                (strcmp(field->name, "epoch") == 0 || strcmp(field->name, "generation") == 0 ||
                    strcmp(field->name, "version") == 0 || strcmp(field->name, "promised") == 0);
            if (ph_field_is_key(field) || grows)
                memcpy(changed + field->offset, (char *)expected.rows[i] + field->offset,
                    field->kind == PH_FIELD_NAME ? PH_NAME_BYTES_MAX + 1 : sizeof(int64_t));
            if (record == &ph_record_operation && strcmp(field->name, "state") == 0)
                memcpy(changed + field->offset, (char *)expected.rows[i] + field->offset,
                    sizeof(enum ph_operation_state)); /* an outcome stays */
        }
        if (bed_save(&bed, record, changed) != PH_STORE_OK)
            fail_msg("%s: %s", record->name, bed.message);
        ph_record_destroy(record, &expected.rows[i]);
        expected.rows[i] = changed;
    }
    for (size_t i = 0; i < ROWS / 4; i++) {
        expected.count--;
        if (bed_remove(&bed, record, expected.rows[expected.count]) != PH_STORE_OK)
            fail_msg("%s: %s", record->name, bed.message);
        ph_record_destroy(record, &expected.rows[expected.count]);
    }
    compare_all(&bed, &expected);
    ph_store_destroy(&bed.store);
    bed_open(&bed, schema);
    compare_all(&bed, &expected);
    for (size_t i = 0; i < expected.count; i++)
        ph_record_destroy(record, &expected.rows[i]);
    bed_fini(&bed);
}

static void every_record_round_trips(void **state)
{
    (void)state;
    for (int schema = PH_SCHEMA_MANAGER; schema <= PH_SCHEMA_AGENT; schema++) {
        const struct ph_tables *tables = ph_tables_of((enum ph_store_schema)schema);
        for (size_t i = 0; i < tables->count; i++)
            round_trip((enum ph_store_schema)schema, tables->items[i].record);
    }
}

/* -- batches -- */
static int count_row(void *context, const void *row)
{
    (void)row;
    ++*(int64_t *)context;
    return 0;
}

static int64_t rows_of(struct bed *bed, const struct ph_record *record)
{
    int64_t count = 0;
    struct ph_error error;
    assert_int_equal(ph_store_load(bed->store, record, count_row, &count, &error), 0);
    return count;
}

static struct ph_pool pool_named(const char *name)
{
    struct ph_pool pool = {0};
    snprintf(pool.name, sizeof pool.name, "%s", name);
    return pool;
}

static struct ph_vm vm_named(const char *pool, const char *name)
{
    struct ph_vm vm = {0};
    snprintf(vm.pool, sizeof vm.pool, "%s", pool);
    snprintf(vm.name, sizeof vm.name, "%s", name);
    return vm;
}

/* A batch with a good pool and a vm of a pool that does not exist. */
static struct ph_batch *half_bad_batch(const char *name)
{
    struct ph_batch *batch = ph_batch_new();
    struct ph_pool pool = pool_named(name);
    struct ph_vm vm = vm_named("nowhere", "vm");
    assert_int_equal(ph_batch_save(batch, &ph_record_pool, &pool), 0);
    assert_int_equal(ph_batch_save(batch, &ph_record_vm, &vm), 0);
    return batch;
}

static void a_refused_batch_takes_none_with_it(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    for (int i = 0; i < 300; i++) {
        char name[32];
        snprintf(name, sizeof name, "pool-%d", i);
        struct ph_pool pool = pool_named(name);
        struct ph_batch *batch = i % 3 == 1 ? half_bad_batch(name) : ph_batch_new();
        if (i % 3 != 1)
            assert_int_equal(ph_batch_save(batch, &ph_record_pool, &pool), 0);
        assert_int_equal(ph_store_commit(bed.store, &batch), i + 1);
    }
    ph_store_flush(bed.store);
    assert_int_equal(bed.done_count, 300);
    for (int i = 0; i < 300; i++)
        assert_int_equal(bed.results[i + 1], i % 3 == 1 ? PH_STORE_CONSTRAINT : PH_STORE_OK);
    assert_int_equal(rows_of(&bed, &ph_record_pool), 200);
    assert_non_null(strstr(bed.message, "saving vm: FOREIGN KEY"));
    bed_fini(&bed);
}

static void constraints_hold(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    struct ph_pool pool = pool_named("");
    assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_CONSTRAINT);
    pool = pool_named("p");
    pool.state = (enum ph_pool_state)99;
    assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_CONSTRAINT);
    pool.state = PH_POOL_ACTIVE;
    pool.epoch = 5;
    assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_OK);
    pool.epoch = 4;
    assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_CONSTRAINT);
    assert_non_null(strstr(bed.message, "never goes back"));
    struct ph_job job = {.id = 1, .progress = 101};
    assert_int_equal(bed_save(&bed, &ph_record_job, &job), PH_STORE_CONSTRAINT);
    struct ph_assignment foreign = {.pool = "p"};
    assert_int_equal(bed_save(&bed, &ph_record_assignment, &foreign), PH_STORE_CONSTRAINT);
    struct ph_meta term = {.key = "term", .value = (char[]){"9"}};
    assert_int_equal(bed_save(&bed, &ph_record_meta, &term), PH_STORE_CONSTRAINT);
    assert_int_equal(bed_remove(&bed, &ph_record_meta, &term), PH_STORE_CONSTRAINT);
    /* What belongs to a pool goes with it. */
    struct ph_vm vm = vm_named("p", "v");
    struct ph_replica replica = {.pool = "p", .node = "n"};
    pool.epoch = 5;
    assert_int_equal(bed_save(&bed, &ph_record_vm, &vm), PH_STORE_OK);
    assert_int_equal(bed_save(&bed, &ph_record_replica, &replica), PH_STORE_OK);
    assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_OK);
    assert_int_equal(rows_of(&bed, &ph_record_vm), 1);
    assert_int_equal(bed_remove(&bed, &ph_record_pool, &pool), PH_STORE_OK);
    assert_int_equal(rows_of(&bed, &ph_record_vm), 0);
    assert_int_equal(rows_of(&bed, &ph_record_replica), 0);
    bed_fini(&bed);
}

static void an_empty_batch_is_done(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_AGENT);
    struct ph_batch *batch = ph_batch_new();
    assert_true(ph_batch_empty(batch));
    assert_int_equal(bed_commit(&bed, batch), PH_STORE_OK);
    bed_fini(&bed);
}

/* -- terms -- */
static void only_the_newest_activation_writes(void **state)
{
    struct bed one;
    struct bed two;
    struct ph_error error;
    struct ph_pool pool = pool_named("p");
    int64_t term;
    (void)state;
    bed_init(&one, PH_SCHEMA_MANAGER);
    two = one;
    bed_open(&two, PH_SCHEMA_MANAGER);
    assert_int_equal(ph_store_activate(one.store, "first", &term, &error), 0);
    assert_int_equal(term, 1);
    assert_int_equal(bed_save(&one, &ph_record_pool, &pool), PH_STORE_OK);
    assert_int_equal(bed_save(&two, &ph_record_pool, &pool), PH_STORE_NOT_ACTIVE);
    assert_int_equal(ph_store_activate(two.store, "second", &term, &error), 0);
    assert_int_equal(term, 2);
    assert_int_equal(bed_save(&two, &ph_record_pool, &pool), PH_STORE_OK);
    pool.epoch = 9;
    assert_int_equal(bed_save(&one, &ph_record_pool, &pool), PH_STORE_NOT_ACTIVE);
    assert_int_equal(ph_store_activate_above(one.store, "first", 40, &term, &error), 0);
    assert_int_equal(term, 41);
    assert_int_equal(bed_save(&one, &ph_record_pool, &pool), PH_STORE_OK);
    assert_int_equal(bed_save(&two, &ph_record_pool, &pool), PH_STORE_NOT_ACTIVE);
    assert_int_equal(ph_store_activate(one.store, "", &term, &error), -EINVAL);
    ph_store_destroy(&two.store);
    bed_fini(&one);
}

/* -- a disk that is full -- */
static void set_page_limit(struct bed *bed, int pages)
{
    char sql[64];
    snprintf(sql, sizeof sql, "PRAGMA max_page_count = %d", pages);
    ph_store_flush(bed->store); /* the writer is idle: its connection may be used */
    assert_int_equal(sqlite3_exec(bed->store->writer.db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static struct ph_batch *big_batch(int from, int count)
{
    struct ph_batch *batch = ph_batch_new();
    char text[1001] = {0};
    memset(text, 'x', 1000);
    for (int i = 0; i < count; i++) {
        struct ph_event event = {.id = from + i, .message = text};
        assert_int_equal(ph_batch_save(batch, &ph_record_event, &event), 0);
    }
    return batch;
}

static void a_full_disk_stores_nothing_and_recovers(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    assert_int_equal(bed_commit(&bed, big_batch(1, 10)), PH_STORE_OK);
    set_page_limit(&bed, 120);
    assert_int_equal(bed_commit(&bed, big_batch(100, 1000)), PH_STORE_UNAVAILABLE);
    assert_non_null(strstr(bed.message, "full"));
    assert_int_equal(rows_of(&bed, &ph_record_event), 10);
    set_page_limit(&bed, 1000000);
    /* What was given after the failure was reported is tried again. */
    assert_int_equal(bed_commit(&bed, big_batch(100, 1000)), PH_STORE_OK);
    assert_int_equal(rows_of(&bed, &ph_record_event), 1010);
    bed_fini(&bed);
}

static void nothing_is_stored_behind_a_failure(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    set_page_limit(&bed, 120);
    struct ph_batch *batch = big_batch(1, 60000); /* fills a group of its own */
    ph_store_commit(bed.store, &batch);
    for (int i = 0; i < 5; i++) {
        batch = big_batch(100000 + i, 1);
        ph_store_commit(bed.store, &batch);
    }
    ph_store_flush(bed.store);
    for (int i = 1; i <= 6; i++)
        assert_int_equal(bed.results[i], PH_STORE_UNAVAILABLE);
    assert_int_equal(rows_of(&bed, &ph_record_event), 0);
    assert_int_equal(bed_commit(&bed, big_batch(1, 1)), PH_STORE_OK);
    bed_fini(&bed);
}

/* -- reading -- */
static int stop_at_second(void *context, const void *row)
{
    const struct ph_event *event = row;
    *(int64_t *)context = event->id;
    return event->id == 2 ? 17 : 0;
}

static int first_id(void *context, const void *row)
{
    int64_t *ids = context;
    ids[1 + ids[0]++] = ((const struct ph_event *)row)->id;
    return 0;
}

static void loads_with_a_condition(void **state)
{
    struct bed bed;
    struct ph_error error;
    int64_t last = 0, ids[8] = {0};
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    for (int64_t i = 1; i <= 5; i++) {
        struct ph_event event = {.id = i, .job = i % 2};
        assert_int_equal(bed_save(&bed, &ph_record_event, &event), PH_STORE_OK);
    }
    assert_int_equal(ph_store_load(bed.store, &ph_record_event, stop_at_second, &last, &error), 17);
    assert_int_equal(last, 2);
    const char *arguments[] = {"1", "2", NULL};
    assert_int_equal(
        ph_store_load_where(bed.store, &ph_record_event, "WHERE job = ?1 ORDER BY id DESC LIMIT ?2",
            arguments, first_id, ids, &error),
        0);
    assert_int_equal(ids[0], 2);
    assert_int_equal(ids[1], 5);
    assert_int_equal(ids[2], 3);
    assert_true(ph_store_load_where(bed.store, &ph_record_event, "WHERE nonsense = 1", NULL,
                    first_id, ids, &error) < 0);
    assert_non_null(strstr(error.message, "nonsense"));
    bed_fini(&bed);
}

/* Someone edited the file by hand with constraints off. */
static void damaged_rows_are_named(void **state)
{
    static const struct {
        const char *sql, *part;
    } cases[] = {
        {"PRAGMA ignore_check_constraints=ON; UPDATE pools SET state='asleep'", "unknown"},
        {"UPDATE pools SET driver=printf('%.*c', 64, 'x')", "too long"},
        {"UPDATE pools SET allow='[1]'", "array"},
        {"UPDATE pools SET allow='[\"\\ud800\"]'", "array"},
        {"UPDATE pools SET allow='[\"a\" \"b\"]'", "array"},
        {"UPDATE pools SET allow='[\"a\"'", "array"},
        {"UPDATE pools SET allow=''", "array"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bed bed;
        struct ph_error error = {0};
        int64_t count = 0;
        struct ph_pool pool = pool_named("p");
        bed_init(&bed, PH_SCHEMA_MANAGER);
        assert_int_equal(bed_save(&bed, &ph_record_pool, &pool), PH_STORE_OK);
        assert_int_equal(
            sqlite3_exec(bed.store->writer.db, cases[i].sql, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(
            ph_store_load(bed.store, &ph_record_pool, count_row, &count, &error), -EINVAL);
        if (strstr(error.message, cases[i].part) == NULL)
            fail_msg("%s -> %s", cases[i].sql, error.message);
        assert_int_equal(count, 0);
        bed_fini(&bed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_record_round_trips),
        cmocka_unit_test(a_refused_batch_takes_none_with_it),
        cmocka_unit_test(constraints_hold),
        cmocka_unit_test(an_empty_batch_is_done),
        cmocka_unit_test(only_the_newest_activation_writes),
        cmocka_unit_test(a_full_disk_stores_nothing_and_recovers),
        cmocka_unit_test(nothing_is_stored_behind_a_failure),
        cmocka_unit_test(loads_with_a_condition),
        cmocka_unit_test(damaged_rows_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
