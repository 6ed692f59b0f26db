#include "db/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/connect.h"
#include "db/row.h"

/* A wall clock that was set back by less than this is held, so that spans of history stay in order;
 * a greater step is believed, since the time before it must have been wrong. */
#define CLOCK_HELD_MS (60 * 60 * 1000)

int ph_writer_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW || code == SQLITE_DONE)
        code = SQLITE_OK;
    /* The extended code is in the reset's result as well; the bindings are set anew each time. */
    sqlite3_reset(statement);
    return code;
}

void ph_writer_roll_back(struct ph_writer *writer)
{
    writer->clock_stored_ms = -1;
    if (!sqlite3_get_autocommit(writer->db))
        ph_writer_run(writer->rollback);
}

static int prepare(sqlite3 *db, const char *sql, sqlite3_stmt **out)
{
    return sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, out, NULL);
}

static int prepare_tables(struct ph_writer *writer)
{
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < writer->tables->count; i++) {
        char *save = ph_table_save_sql(&writer->tables->items[i]);
        char *remove = ph_table_remove_sql(&writer->tables->items[i]);
        if (save == NULL || remove == NULL)
            code = SQLITE_NOMEM;
        if (code == SQLITE_OK)
            code = prepare(writer->db, save, &writer->save[i]);
        if (code == SQLITE_OK)
            code = prepare(writer->db, remove, &writer->remove[i]);
        free(save);
        free(remove);
    }
    return code;
}

static int prepare_all(struct ph_writer *writer)
{
    const struct {
        const char *sql;
        sqlite3_stmt **out;
        bool manager_only;
    } statements[] = {
        {"BEGIN IMMEDIATE", &writer->begin, false},
        {"COMMIT", &writer->commit, false},
        {"ROLLBACK", &writer->rollback, false},
        {"SAVEPOINT batch", &writer->savepoint, false},
        {"RELEASE batch", &writer->release, false},
        {"ROLLBACK TO batch", &writer->rollback_to, false},
        {"SELECT (SELECT value FROM meta WHERE key = 'term'),"
         " (SELECT value FROM meta WHERE key = 'manager_id')",
            &writer->active, true},
        {"UPDATE history_clock SET at = ?1 WHERE id = 1", &writer->clock, true},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < sizeof statements / sizeof statements[0]; i++)
        if (!statements[i].manager_only || writer->schema == PH_SCHEMA_MANAGER)
            code = prepare(writer->db, statements[i].sql, statements[i].out);
    return code == SQLITE_OK ? prepare_tables(writer) : code;
}

/* The activation the store is under now. */
static int read_active(
    struct ph_writer *writer, bool *known_out, int64_t *term_out, char *manager_id)
{
    int code = sqlite3_step(writer->active);
    if (code == SQLITE_ROW) {
        const char *id = (const char *)sqlite3_column_text(writer->active, 1);
        *known_out = sqlite3_column_type(writer->active, 0) != SQLITE_NULL;
        *term_out = sqlite3_column_int64(writer->active, 0);
        snprintf(manager_id, PH_MANAGER_ID_BYTES_MAX + 1, "%s", id == NULL ? "" : id);
        code = SQLITE_OK;
    } else if (code == SQLITE_DONE) {
        code = SQLITE_ERROR;
    }
    sqlite3_reset(writer->active);
    return code;
}

int ph_writer_is_active(struct ph_writer *writer, bool *active_out)
{
    char manager_id[PH_MANAGER_ID_BYTES_MAX + 1];
    bool known = false;
    int64_t term = 0;
    *active_out = true;
    if (writer->active == NULL)
        return SQLITE_OK;
    int code = read_active(writer, &known, &term, manager_id);
    if (code == SQLITE_OK)
        *active_out = known == writer->term_known && term == writer->term &&
                      strcmp(manager_id, writer->manager_id) == 0;
    return code;
}

static int read_clock(struct ph_writer *writer)
{
    sqlite3_stmt *statement = NULL;
    int code = prepare(writer->db, "SELECT at FROM history_clock WHERE id = 1", &statement);
    if (code == SQLITE_OK) {
        code = sqlite3_step(statement);
        if (code == SQLITE_ROW) {
            writer->clock_ms = sqlite3_column_int64(statement, 0);
            writer->clock_stored_ms = writer->clock_ms;
            code = SQLITE_OK;
        } else if (code == SQLITE_DONE) {
            code = SQLITE_CORRUPT;
        }
    }
    sqlite3_finalize(statement);
    return code;
}

int ph_writer_init(
    struct ph_writer *writer, sqlite3 *db, enum ph_store_schema schema, struct ph_error *error)
{
    *writer = (struct ph_writer){.db = db,
        .schema = schema,
        .tables = ph_tables_of(schema),
        .clock_stored_ms = -1,
        .wall_ms = ph_clock_wall_ms};
    int code = prepare_all(writer);
    if (code == SQLITE_OK && writer->active != NULL)
        code = read_active(writer, &writer->term_known, &writer->term, writer->manager_id);
    if (code == SQLITE_OK && writer->clock != NULL)
        code = read_clock(writer);
    if (code == SQLITE_OK)
        return 0;
    return ph_sqlite_failed(db, code, "preparing", sqlite3_db_filename(db, "main"), error);
}

void ph_writer_fini(struct ph_writer *writer)
{
    sqlite3_stmt *statement;
    while ((statement = sqlite3_next_stmt(writer->db, NULL)) != NULL)
        sqlite3_finalize(statement);
    sqlite3_close(writer->db);
    *writer = (struct ph_writer){0};
}

/* Gives history the moment of this batch. */
static int set_clock(struct ph_writer *writer)
{
    int64_t now = writer->wall_ms();
    if (now > writer->clock_ms || writer->clock_ms - now > CLOCK_HELD_MS)
        writer->clock_ms = now;
    if (writer->clock_ms == writer->clock_stored_ms)
        return SQLITE_OK;
    sqlite3_bind_int64(writer->clock, 1, writer->clock_ms);
    int code = ph_writer_run(writer->clock);
    if (code == SQLITE_OK)
        writer->clock_stored_ms = writer->clock_ms;
    return code;
}

/* term and manager_id change by activation only. */
static bool is_guarded(const struct ph_writer *writer, const struct ph_store_operation *operation)
{
    if (writer->schema != PH_SCHEMA_MANAGER || operation->record != &ph_record_meta)
        return false;
    const struct ph_meta *meta = operation->row;
    return strcmp(meta->key, "term") == 0 || strcmp(meta->key, "manager_id") == 0;
}

static void say(struct ph_batch *batch, enum ph_store_result result, const char *message)
{
    batch->result = result;
    snprintf(batch->message, sizeof batch->message, "%s", message);
}

/* SQLITE_OK, SQLITE_CONSTRAINT with the batch's message set, or an error of the whole transaction. */
static int apply(
    struct ph_writer *writer, struct ph_batch *batch, const struct ph_store_operation *operation)
{
    const struct ph_record *record = operation->record;
    int index = ph_table_find(writer->tables, record);
    if (index < 0 || is_guarded(writer, operation)) {
        snprintf(batch->message, sizeof batch->message,
            index < 0 ? "this database stores no %s"
                      : "%s: the keys of an activation are the store's",
            record->name);
        return SQLITE_CONSTRAINT;
    }
    sqlite3_stmt *statement = operation->remove ? writer->remove[index] : writer->save[index];
    int rv = operation->remove ? ph_row_bind_keys(statement, record, operation->row)
                               : ph_row_bind(statement, record, operation->row);
    int code = rv == 0         ? ph_writer_run(statement)
               : rv == -ENOMEM ? SQLITE_NOMEM
                               : SQLITE_CONSTRAINT;
    if ((code & 0xff) != SQLITE_CONSTRAINT && code != SQLITE_TOOBIG)
        return code;
    snprintf(batch->message, sizeof batch->message, "%s %s: %s",
        operation->remove ? "removing" : "saving", record->name,
        rv == 0 ? sqlite3_errmsg(writer->db) : "a value outside of its enum");
    return SQLITE_CONSTRAINT;
}

static bool changes_history(const struct ph_writer *writer, const struct ph_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        int index = ph_table_find(writer->tables, batch->operations[i].record);
        if (index >= 0 && writer->tables->items[index].history)
            return true;
    }
    return false;
}

static int apply_operations(struct ph_writer *writer, struct ph_batch *batch)
{
    int code = changes_history(writer, batch) ? set_clock(writer) : SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < batch->count; i++)
        code = apply(writer, batch, &batch->operations[i]);
    return code;
}

/* One batch that may be refused. SQLITE_OK also when a constraint did so. */
static int apply_guarded(struct ph_writer *writer, struct ph_batch *batch)
{
    int code = ph_writer_run(writer->savepoint);
    if (code == SQLITE_OK)
        code = apply_operations(writer, batch);
    if (code == SQLITE_CONSTRAINT) {
        batch->result = PH_STORE_CONSTRAINT;
        writer->clock_stored_ms = -1;
        code = ph_writer_run(writer->rollback_to);
    }
    return code == SQLITE_OK ? ph_writer_run(writer->release) : code;
}

/* All batches of a group, in an open transaction. A savepoint makes SQLite keep a copy of each page a
 * batch changes, a third of the cost, for what only happens when something is wrong: so the first try
 * is without, and a group in which a batch is refused is done again with one for each. */
static int apply_group(struct ph_writer *writer, struct ph_batch *first)
{
    int code = SQLITE_OK;
    for (struct ph_batch *batch = first; code == SQLITE_OK && batch != NULL; batch = batch->next) {
        say(batch, PH_STORE_OK, "");
        code = apply_operations(writer, batch);
    }
    if (code != SQLITE_CONSTRAINT)
        return code;
    ph_writer_roll_back(writer);
    bool active = true;
    code = ph_writer_run(writer->begin);
    if (code == SQLITE_OK)
        code = ph_writer_is_active(writer, &active);
    if (code == SQLITE_OK && !active)
        return SQLITE_AUTH;
    for (struct ph_batch *batch = first; code == SQLITE_OK && batch != NULL; batch = batch->next) {
        say(batch, PH_STORE_OK, "");
        code = apply_guarded(writer, batch);
    }
    return code;
}

static bool fail_all(struct ph_writer *writer, struct ph_batch *first, enum ph_store_result result,
    const char *message)
{
    ph_writer_roll_back(writer);
    for (struct ph_batch *batch = first; batch != NULL; batch = batch->next)
        say(batch, result, message);
    return false;
}

/* A failed COMMIT. In WAL mode a transaction counts once its last frame, which carries the commit mark,
 * is in the file. ENOSPC means that this frame was not written whole, and BUSY that nothing was tried.
 * After anything else (an fsync that failed, above all) it may come back after a crash. */
static enum ph_store_result result_of_commit(int code)
{
    int basic = code & 0xff;
    return basic == SQLITE_FULL || basic == SQLITE_BUSY ? PH_STORE_UNAVAILABLE : PH_STORE_UNKNOWN;
}

bool ph_writer_group(struct ph_writer *writer, struct ph_batch *first)
{
    char message[PH_STORE_MESSAGE_BYTES];
    bool active = true;
    int code = ph_writer_run(writer->begin);
    if (code == SQLITE_OK)
        code = ph_writer_is_active(writer, &active);
    if (code == SQLITE_OK)
        code = active ? apply_group(writer, first) : SQLITE_AUTH;
    if (code == SQLITE_AUTH)
        return fail_all(writer, first, PH_STORE_NOT_ACTIVE,
            "another manager has activated this store since; this one must end");
    if (code != SQLITE_OK) {
        snprintf(message, sizeof message, "not stored: %s", sqlite3_errmsg(writer->db));
        return fail_all(writer, first, PH_STORE_UNAVAILABLE, message);
    }
    code = ph_writer_run(writer->commit);
    if (code == SQLITE_OK)
        return true;
    enum ph_store_result result = result_of_commit(code);
    snprintf(message, sizeof message, "%s: %s",
        result == PH_STORE_UNKNOWN ? "it is not known whether this was stored" : "not stored",
        sqlite3_errmsg(writer->db));
    return fail_all(writer, first, result, message);
}

static int store_meta(struct ph_writer *writer, const char *key, const char *value)
{
    struct ph_meta row = {0};
    int rv;
    snprintf(row.key, sizeof row.key, "%s", key);
    rv = ph_set_text(&row.value, value);
    sqlite3_stmt *statement = writer->save[ph_table_find(writer->tables, &ph_record_meta)];
    if (rv == 0)
        rv = ph_row_bind(statement, &ph_record_meta, &row);
    int code = rv == 0 ? ph_writer_run(statement) : SQLITE_NOMEM;
    sqlite3_clear_bindings(statement);
    ph_record_fini(&ph_record_meta, &row);
    return code;
}

int ph_writer_activate(struct ph_writer *writer, const char *manager_id, int64_t above,
    int64_t *term_out, struct ph_error *error)
{
    char number[24], earlier[PH_MANAGER_ID_BYTES_MAX + 1];
    bool known = false;
    int64_t term = 0;
    int code = ph_writer_run(writer->begin);
    if (code == SQLITE_OK)
        code = read_active(writer, &known, &term, earlier);
    if (term < above)
        term = above;
    if (code == SQLITE_OK && (term < 0 || term == INT64_MAX))
        code = SQLITE_CORRUPT;
    term = code == SQLITE_OK ? term + 1 : 0;
    snprintf(number, sizeof number, "%lld", (long long)term);
    if (code == SQLITE_OK)
        code = store_meta(writer, "term", number);
    if (code == SQLITE_OK)
        code = store_meta(writer, "manager_id", manager_id);
    if (code == SQLITE_OK)
        code = ph_writer_run(writer->commit);
    if (code != SQLITE_OK) {
        int rv = ph_sqlite_failed(
            writer->db, code, "activating", sqlite3_db_filename(writer->db, "main"), error);
        ph_writer_roll_back(writer);
        return rv;
    }
    writer->term_known = true;
    writer->term = term;
    snprintf(writer->manager_id, sizeof writer->manager_id, "%s", manager_id);
    *term_out = term;
    return 0;
}
