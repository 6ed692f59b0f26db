#include "support.h"

#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* -- the schema and the catalogue say the same -- */
static const char *sql_type(enum ph_field_kind kind)
{
    return kind == PH_FIELD_INT || kind == PH_FIELD_BOOL ? "INTEGER" : "TEXT";
}

struct column {
    char name[64], type[16];
    int not_null, key;
    bool seen;
};

static size_t columns_of(sqlite3 *db, const char *table, struct column *columns, size_t room)
{
    sqlite3_stmt *statement = NULL;
    size_t count = 0;
    assert_int_equal(
        sqlite3_prepare_v2(db, "SELECT name, type, \"notnull\", pk FROM pragma_table_xinfo(?1)", -1,
            &statement, NULL),
        SQLITE_OK);
    sqlite3_bind_text(statement, 1, table, -1, SQLITE_STATIC);
    while (sqlite3_step(statement) == SQLITE_ROW) {
        struct column *column = &columns[count++];
        assert_true(count <= room);
        memset(column, 0, sizeof *column);
        snprintf(column->name, sizeof column->name, "%s", sqlite3_column_text(statement, 0));
        snprintf(column->type, sizeof column->type, "%s", sqlite3_column_text(statement, 1));
        column->not_null = sqlite3_column_int(statement, 2);
        column->key = sqlite3_column_int(statement, 3);
    }
    sqlite3_finalize(statement);
    return count;
}

static void match_field(
    const char *table, const struct ph_field *field, struct column *columns, size_t count, int key)
{
    size_t found = count;
    for (size_t i = 0; i < count; i++)
        if (strcmp(columns[i].name, field->name) == 0)
            found = i;
    if (found == count)
        fail_msg("%s has no column %s", table, field->name);
    struct column *column = &columns[found];
    column->seen = true;
    if (strcmp(column->type, sql_type(field->kind)) != 0)
        fail_msg("%s.%s is %s", table, field->name, column->type);
    bool row_number =
        key > 0 && field->kind == PH_FIELD_INT; /* never NULL though not declared so */
    if (!row_number && column->not_null != (field->kind != PH_FIELD_JSON))
        fail_msg("%s.%s: NOT NULL %d", table, field->name, column->not_null);
    if (key >= 0 && column->key != key)
        fail_msg("%s.%s: key %d, not %d", table, field->name, column->key, key);
}

/* `extra` names, separated by spaces, are the only columns without a field. */
static void match_table(
    sqlite3 *db, const char *table, const struct ph_record *record, bool keys, const char *extra)
{
    struct column columns[64];
    size_t count = columns_of(db, table, columns, 64);
    int key = 0;
    for (size_t i = 0; i < record->field_count; i++) {
        bool is_key = keys && ph_field_is_key(&record->fields[i]);
        match_field(table, &record->fields[i], columns, count, !keys ? -1 : is_key ? ++key : 0);
    }
    for (size_t i = 0; i < count; i++) {
        char padded[80];
        ph_text_format(padded, sizeof padded, " %s ", columns[i].name);
        if (!columns[i].seen && strstr(extra, padded) == NULL)
            fail_msg("%s.%s is no field of %s", table, columns[i].name, record->name);
        if (columns[i].seen && strstr(extra, padded) != NULL)
            fail_msg("%s.%s is both", table, columns[i].name);
    }
}

static int64_t ask_number(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    return number;
}

static void schema_is_the_catalogue(void **state)
{
    (void)state;
    for (int schema = PH_SCHEMA_MANAGER; schema <= PH_SCHEMA_AGENT; schema++) {
        struct bed bed;
        bed_init(&bed, (enum ph_store_schema)schema);
        sqlite3 *db = bed.store->writer.db;
        const struct ph_tables *tables = ph_tables_of((enum ph_store_schema)schema);
        int64_t expected = schema == PH_SCHEMA_MANAGER ? 1 : 0; /* history_clock */
        for (size_t i = 0; i < tables->count; i++) {
            const struct ph_table *table = &tables->items[i];
            char history[64];
            match_table(db, table->name, table->record, true, table->history ? " valid_from " : "");
            snprintf(history, sizeof history, "%s_history", table->name);
            if (table->history)
                match_table(db, history, table->record, false, " change valid_from valid_to ");
            expected += table->history ? 2 : 1;
        }
        assert_int_equal(
            ask_number(db, "SELECT count(*) FROM sqlite_schema WHERE type = 'table' AND "
                           "name NOT LIKE 'sqlite_%'"),
            expected);
        assert_int_equal(
            ask_number(db, "SELECT count(*) FROM pragma_table_list WHERE schema = 'main' "
                           "AND name NOT LIKE 'sqlite_%' AND strict = 0"),
            0);
        assert_int_equal(ask_number(db, "SELECT count(*) FROM pragma_integrity_check WHERE "
                                        "integrity_check <> 'ok'"),
            0);
        bed_fini(&bed);
    }
}

/* Sets one column of a fresh row; the rest has defaults. SQLite's result. */
static int try_value(
    sqlite3 *db, const struct ph_table *table, const struct ph_field *field, const char *value)
{
    char sql[1024];
    size_t used =
        (size_t)snprintf(sql, sizeof sql, "INSERT INTO %s (\"%s\"", table->name, field->name);
    for (size_t i = 0; i < table->record->field_count; i++)
        if (ph_field_is_key(&table->record->fields[i]))
            used += (size_t)snprintf(
                sql + used, sizeof sql - used, ", \"%s\"", table->record->fields[i].name);
    used += (size_t)snprintf(sql + used, sizeof sql - used, ") VALUES ('%s'", value);
    for (size_t i = 0; i < table->record->field_count; i++)
        if (ph_field_is_key(&table->record->fields[i]))
            used += (size_t)snprintf(sql + used, sizeof sql - used, ", %s",
                table->record->fields[i].kind == PH_FIELD_INT ? "1" : "'k'");
    snprintf(sql + used, sizeof sql - used, ")");
    int code = sqlite3_exec(db, sql, NULL, NULL, NULL);
    snprintf(sql, sizeof sql, "DELETE FROM %s", table->name);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    return code & 0xff;
}

static void checks_know_every_word(void **state)
{
    (void)state;
    for (int schema = PH_SCHEMA_MANAGER; schema <= PH_SCHEMA_AGENT; schema++) {
        struct bed bed;
        bed_init(&bed, (enum ph_store_schema)schema);
        sqlite3 *db = bed.store->writer.db;
        const struct ph_tables *tables = ph_tables_of((enum ph_store_schema)schema);
        sqlite3_exec(db, "PRAGMA foreign_keys = OFF", NULL, NULL, NULL);
        for (size_t i = 0; i < tables->count; i++) {
            for (size_t f = 0; f < tables->items[i].record->field_count; f++) {
                const struct ph_field *field = &tables->items[i].record->fields[f];
                if (field->kind == PH_FIELD_BOOL)
                    assert_int_equal(
                        try_value(db, &tables->items[i], field, "2"), SQLITE_CONSTRAINT);
                if (field->kind != PH_FIELD_ENUM)
                    continue;
                for (size_t w = 0; w < field->enumeration->count; w++)
                    if (try_value(db, &tables->items[i], field, field->enumeration->words[w]) !=
                        SQLITE_OK)
                        fail_msg("%s.%s refuses %s", tables->items[i].name, field->name,
                            field->enumeration->words[w]);
                assert_int_equal(
                    try_value(db, &tables->items[i], field, "nonsense"), SQLITE_CONSTRAINT);
            }
        }
        bed_fini(&bed);
    }
}

/* -- files that are not ours to open -- */
static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(db);
}

static void expect_open(struct bed *bed, enum ph_store_schema schema, int rv, const char *part)
{
    struct ph_error error = {0};
    char *before = NULL, *after = NULL;
    size_t before_bytes = 0, after_bytes = 0;
    ph_file_read(bed->path, 1 << 24, &before, &before_bytes);
    int got = ph_store_open(bed->path, schema, NULL, NULL, &bed->store, &error);
    ph_file_read(bed->path, 1 << 24, &after, &after_bytes);
    if (got != rv || strstr(error.message, part) == NULL)
        fail_msg("%d \"%s\", not %d \"%s\"", got, error.message, rv, part);
    assert_null(bed->store);
    assert_int_equal(before_bytes, after_bytes);
    if (before != NULL)
        assert_memory_equal(before, after, before_bytes);
    free(before);
    free(after);
}

static void a_newer_schema_is_refused(void **state)
{
    struct bed bed;
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    ph_store_destroy(&bed.store);
    run_sql(bed.path, "PRAGMA user_version = 999");
    expect_open(&bed, PH_SCHEMA_MANAGER, -ENOTSUP, "newer Poolherd");
    bed_fini(&bed);
}

static void other_files_are_refused_unchanged(void **state)
{
    struct bed bed;
    char garbage[5000];
    (void)state;
    bed_directory(&bed);
    memset(garbage, 'g', sizeof garbage);
    assert_int_equal(ph_file_replace(bed.path, garbage, sizeof garbage, 0600), 0);
    expect_open(&bed, PH_SCHEMA_MANAGER, -EUCLEAN, "not a");
    assert_int_equal(unlink(bed.path), 0);
    run_sql(bed.path, "CREATE TABLE theirs (a)");
    expect_open(&bed, PH_SCHEMA_MANAGER, -EUCLEAN, "another program");
    assert_int_equal(unlink(bed.path), 0);
    bed_open(&bed, PH_SCHEMA_AGENT);
    ph_store_destroy(&bed.store);
    expect_open(&bed, PH_SCHEMA_MANAGER, -EUCLEAN, "an agent, not of a manager");
    assert_int_equal(unlink(bed.path), 0);
    assert_int_equal(mkdir(bed.path, 0700), 0);
    struct ph_error error = {0};
    assert_int_equal(
        ph_store_open(bed.path, PH_SCHEMA_MANAGER, NULL, NULL, &bed.store, &error), -EISDIR);
    snprintf(bed.path, sizeof bed.path, "%s/none/inventory.db", bed.dir);
    expect_open(&bed, PH_SCHEMA_MANAGER, -ENOENT, "No such file");
    bed_fini(&bed);
}

static void the_file_is_private_and_lasting(void **state)
{
    struct bed bed;
    struct stat status;
    struct ph_error error;
    int64_t term;
    char wal[320];
    (void)state;
    bed_init(&bed, PH_SCHEMA_MANAGER);
    assert_int_equal(ph_store_activate(bed.store, "m", &term, &error), 0);
    assert_int_equal(stat(bed.path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    snprintf(wal, sizeof wal, "%s-wal", bed.path);
    assert_int_equal(stat(wal, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    sqlite3 *db = bed.store->writer.db;
    assert_int_equal(ask_number(db, "PRAGMA synchronous"), 2);
    assert_int_equal(ask_number(db, "PRAGMA foreign_keys"), 1);
    ph_store_destroy(&bed.store);
    assert_int_not_equal(stat(wal, &status), 0); /* closed cleanly: all is in the one file */
    bed_open(&bed, PH_SCHEMA_MANAGER);
    assert_int_equal(ph_store_activate(bed.store, "m", &term, &error), 0);
    assert_int_equal(term, 2);
    bed_fini(&bed);
}

/* An earlier schema with rows in it is brought up to date and loses nothing. */
static void an_earlier_schema_is_migrated(void **state)
{
    struct bed bed;
    char *sql = NULL;
    size_t bytes;
    (void)state;
    bed_directory(&bed);
    assert_int_equal(ph_file_read(PH_SOURCE_DIR "/db/migrations/manager/0001_inventory.sql",
                         1 << 20, &sql, &bytes),
        0);
    run_sql(bed.path, sql);
    free(sql);
    run_sql(bed.path, "PRAGMA user_version = 1; INSERT INTO pools (name) VALUES ('old')");
    bed_open(&bed, PH_SCHEMA_MANAGER);
    sqlite3 *db = bed.store->writer.db;
    assert_int_equal(ask_number(db, "SELECT count(*) FROM pools"), 1);
    assert_int_equal(ask_number(db, "SELECT count(*) FROM pools_history"), 0);
    assert_true(ask_number(db, "PRAGMA user_version") >= 2);
    bed_fini(&bed);
}

/* -- file systems that are full or cannot be written: in a mount namespace of a child's own -- */
#define SKIPPED 77

static int on_small_disk(struct bed *bed, bool read_only)
{
    struct ph_error error = {0};
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("small", bed->dir, "tmpfs", 0, "size=512k") != 0)
        return SKIPPED;
    int rv = ph_store_open(bed->path, PH_SCHEMA_MANAGER, bed_done, bed, &bed->store, &error);
    if (rv != 0)
        return 1;
    struct ph_event event = {.id = 1};
    if (bed_save(bed, &ph_record_event, &event) != PH_STORE_OK)
        return 2;
    if (read_only) {
        ph_store_destroy(&bed->store);
        if (mount(NULL, bed->dir, NULL, MS_REMOUNT | MS_RDONLY, NULL) != 0)
            return 3;
        rv = ph_store_open(bed->path, PH_SCHEMA_MANAGER, NULL, NULL, &bed->store, &error);
        return rv == -EROFS && error.message[0] != '\0' ? 0 : 4;
    }
    char text[1000] = {0};
    memset(text, 'x', sizeof text - 1);
    enum ph_store_result result = PH_STORE_OK;
    for (event.id = 2; result == PH_STORE_OK && event.id < 2000; event.id++) {
        event.message = text;
        result = bed_save(bed, &ph_record_event, &event);
    }
    if (result != PH_STORE_UNAVAILABLE || strstr(bed->message, "full") == NULL)
        return 5;
    /* What was acknowledged before is there; what was refused is not. */
    int64_t stored = event.id - 2;
    sqlite3 *db = NULL;
    if (sqlite3_open(bed->path, &db) != SQLITE_OK)
        return 6;
    return ask_number(db, "SELECT count(*) FROM events") == stored ? 0 : 7;
}

static void in_child(bool read_only)
{
    struct bed bed;
    int status;
    bed_directory(&bed);
    fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        _exit(on_small_disk(&bed, read_only));
    assert_true(child > 0);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(ph_tree_remove(bed.dir), 0);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == SKIPPED) {
        print_message("skipped: needs the right to mount a tmpfs\n");
        skip();
    }
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_full_disk_is_survived(void **state)
{
    (void)state;
    in_child(false);
}

static void a_read_only_file_system_is_named(void **state)
{
    (void)state;
    in_child(true);
}

static void a_directory_without_permission_is_named(void **state)
{
    struct bed bed;
    (void)state;
    if (geteuid() == 0) {
        print_message("skipped: root may write everywhere\n");
        skip();
    }
    bed_directory(&bed);
    assert_int_equal(chmod(bed.dir, 0500), 0);
    expect_open(&bed, PH_SCHEMA_MANAGER, -EACCES, "ermission");
    assert_int_equal(chmod(bed.dir, 0700), 0);
    bed_fini(&bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schema_is_the_catalogue),
        cmocka_unit_test(checks_know_every_word),
        cmocka_unit_test(a_newer_schema_is_refused),
        cmocka_unit_test(other_files_are_refused_unchanged),
        cmocka_unit_test(the_file_is_private_and_lasting),
        cmocka_unit_test(an_earlier_schema_is_migrated),
        cmocka_unit_test(a_full_disk_is_survived),
        cmocka_unit_test(a_read_only_file_system_is_named),
        cmocka_unit_test(a_directory_without_permission_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
