#include "db/query_parts.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/connect.h"
#include "db/table.h"

/* The views are temporary ones of the connection, with the names of the tables: temporary names are
 * looked up first, so `nodes` is the view and main.nodes, which the guard refuses, the table. They are
 * made from the catalogue. */

#define PROGRESS_OPERATIONS 2000 /* between two looks at the clock: some tens of microseconds */

bool ph_view_shows(const char *column)
{
    return strcmp(column, "public_key") != 0 && strcmp(column, "token_hash") != 0;
}

struct sql {
    char text[16384];
    size_t used;
    bool full;
};

__attribute__((format(printf, 2, 3))) static void add(struct sql *sql, const char *format, ...)
{
    va_list arguments;
    size_t room = sizeof sql->text - sql->used;
    va_start(arguments, format);
    int bytes = vsnprintf(sql->text + sql->used, room, format, arguments);
    va_end(arguments);
    if (bytes < 0 || (size_t)bytes >= room)
        sql->full = true;
    else
        sql->used += (size_t)bytes;
}

static void add_columns(struct sql *sql, const struct ph_record *record, const char *prefix)
{
    const char *separator = "";
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        if (!ph_view_shows(field->name))
            continue;
        add(sql, "%s%s\"%s\"", separator, prefix, field->name);
        separator = ", ";
    }
}

static void add_view(struct sql *sql, const char *name, const char *suffix)
{
    add(sql, ";\nCREATE TEMP VIEW \"%s%s\" AS SELECT ", name, suffix);
}

/* The rows that were in force at as_of(). */
static void add_past(struct sql *sql, const struct ph_table *table, const char *more)
{
    add_columns(sql, table->record, "v.");
    add(sql, "%s FROM main.%s v WHERE v.valid_from <= as_of() UNION ALL SELECT ", more,
        table->name);
    add_columns(sql, table->record, "v.");
    add(sql, "%s FROM main.%s_history v WHERE v.valid_to > as_of() AND v.valid_from <= as_of()",
        more, table->name);
}

/* vms also show the node of their pool, which is what people ask for. Of the past it is a subquery, which
 * uses the indexes of both tables; a join would put the whole past of pools together first. */
static void add_vms(struct sql *sql, const struct ph_table *table, bool past)
{
    if (past) {
        add_past(sql, table,
            ", coalesce((SELECT p.node FROM main.pools p WHERE p.name = v.pool AND"
            " p.valid_from <= as_of()), (SELECT p.node FROM main.pools_history p WHERE"
            " p.name = v.pool AND p.valid_to > as_of() AND p.valid_from <= as_of())) AS node");
        return;
    }
    add_columns(sql, table->record, "v.");
    add(sql, ", p.node AS node FROM main.vms v LEFT JOIN main.pools p ON p.name = v.pool");
}

static void add_history(struct sql *sql, const struct ph_table *table)
{
    add_view(sql, table->name, "_history");
    add_columns(sql, table->record, "");
    add(sql, ", valid_from, valid_to FROM main.%s_history UNION ALL SELECT ", table->name);
    add_columns(sql, table->record, "");
    add(sql, ", valid_from, NULL FROM main.%s", table->name);
}

static void add_identities(struct sql *sql, const struct ph_record *record, const char *key_view)
{
    add_view(sql, key_view, "");
    add(sql, "name AS key_of, public_key <> '' AS enrolled FROM main.identities");
    add_view(sql, "identities", "");
    add_columns(sql, record, "i.");
    add(sql,
        ", k.enrolled AS enrolled FROM main.identities i LEFT JOIN temp.\"%s\" k"
        " ON k.key_of = i.name",
        key_view);
}

static void add_table(
    struct sql *sql, const struct ph_session *session, const struct ph_table *table)
{
    if (table->record == &ph_record_meta)
        return;
    if (table->record == &ph_record_identity) {
        if (!session->past)
            add_identities(sql, table->record, session->key_view);
        return;
    }
    if (session->past && !table->history && table->record != &ph_record_event)
        return; /* it keeps no history; the guard says so */
    add_view(sql, table->name, "");
    if (table->record == &ph_record_vm) {
        add_vms(sql, table, session->past);
    } else if (session->past && table->history) {
        add_past(sql, table, "");
    } else {
        add_columns(sql, table->record, "");
        add(sql, " FROM main.%s%s", table->name, session->past ? " WHERE at <= as_of()" : "");
    }
    if (table->history)
        add_history(sql, table);
}

static int make_views(struct ph_session *session)
{
    const struct ph_tables *tables = ph_tables_of(PH_SCHEMA_MANAGER);
    struct sql *sql = calloc(1, sizeof *sql);
    if (sql == NULL)
        return SQLITE_NOMEM;
    for (size_t i = 0; i < tables->count; i++)
        add_table(sql, session, &tables->items[i]);
    int code = sql->full ? SQLITE_TOOBIG : sqlite3_exec(session->db, sql->text, NULL, NULL, NULL);
    /* A table-valued function makes itself known at its first use, which the guard would refuse. */
    if (code == SQLITE_OK)
        code = sqlite3_exec(session->db,
            "SELECT 1 FROM json_each('[]'); SELECT 1 FROM json_tree('[]')", NULL, NULL, NULL);
    free(sql);
    return code;
}

static void set_limits(sqlite3 *db)
{
    static const int limits[][2] = {
        {SQLITE_LIMIT_LENGTH, PH_QUERY_VALUE_BYTES_MAX},
        {SQLITE_LIMIT_SQL_LENGTH, PH_SQL_BYTES_MAX},
        {SQLITE_LIMIT_COLUMN, PH_QUERY_COLUMNS_MAX},
        {SQLITE_LIMIT_EXPR_DEPTH, 100},
        {SQLITE_LIMIT_COMPOUND_SELECT, 50},
        {SQLITE_LIMIT_VDBE_OP, 1000000},
        {SQLITE_LIMIT_FUNCTION_ARG, 100},
        {SQLITE_LIMIT_ATTACHED, 0},
        {SQLITE_LIMIT_LIKE_PATTERN_LENGTH, 100},
        {SQLITE_LIMIT_VARIABLE_NUMBER, 0},
        {SQLITE_LIMIT_TRIGGER_DEPTH, 1},
        {SQLITE_LIMIT_WORKER_THREADS, 0},
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++)
        sqlite3_limit(db, limits[i][0], limits[i][1]);
}

/* Ends a statement whose time is over. */
static int look_at_clock(void *context)
{
    const struct ph_session *session = context;
    return !session->internal && ph_clock_boot_ms() >= session->reader->deadline_ms;
}

static int prepare_past(struct ph_session *session)
{
    const struct {
        const char *sql;
        sqlite3_stmt **out;
    } all[] = {
        {"BEGIN", &session->begin},
        {"COMMIT", &session->commit},
        {"SELECT kept_since FROM main.history_clock WHERE id = 1", &session->kept_since},
    };
    int code = SQLITE_OK;
    for (size_t i = 0; code == SQLITE_OK && i < sizeof all / sizeof all[0]; i++)
        code = sqlite3_prepare_v3(
            session->db, all[i].sql, -1, SQLITE_PREPARE_PERSISTENT, all[i].out, NULL);
    return code;
}

static int set_up(struct ph_session *session)
{
    unsigned char random[16];
    sqlite3_randomness(sizeof random, random);
    char *at = session->key_view;
    at += snprintf(at, 8, "keys_");
    for (size_t i = 0; i < sizeof random; i++)
        at += snprintf(at, 3, "%02x", random[i]);
    /* Sorting goes to files, not memory; query_only would refuse the views, so it comes after them. */
    int code = sqlite3_exec(
        session->db, "PRAGMA query_only = OFF; PRAGMA temp_store = FILE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = ph_query_functions(session->db, session->reader);
    if (code == SQLITE_OK)
        code = make_views(session);
    if (code == SQLITE_OK && session->past)
        code = prepare_past(session);
    if (code == SQLITE_OK)
        code = sqlite3_exec(session->db, "PRAGMA query_only = ON", NULL, NULL, NULL);
    if (code == SQLITE_OK) {
        set_limits(session->db);
        sqlite3_progress_handler(session->db, PROGRESS_OPERATIONS, look_at_clock, session);
        code = sqlite3_set_authorizer(session->db, ph_query_guard, session);
    }
    return code;
}

int ph_session_open(
    struct ph_reader *reader, bool past, struct ph_session **session_out, struct ph_error *error)
{
    struct ph_session *session = calloc(1, sizeof *session);
    if (session == NULL) {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    session->reader = reader;
    session->past = past;
    int rv = ph_connect_reader(reader->path, &session->db, error);
    if (rv == 0) {
        int code = set_up(session);
        if (code != SQLITE_OK)
            rv = ph_sqlite_failed(session->db, code, "opening", reader->path, error);
    }
    if (rv != 0)
        ph_session_destroy(&session);
    else
        *session_out = session;
    return rv;
}

void ph_session_destroy(struct ph_session **session)
{
    if (*session == NULL)
        return;
    for (size_t i = 0; i < PH_QUERY_CACHED; i++)
        ph_prepared_fini(&(*session)->cache[i]);
    sqlite3_finalize((*session)->begin);
    sqlite3_finalize((*session)->commit);
    sqlite3_finalize((*session)->kept_since);
    sqlite3_close((*session)->db);
    free(*session);
    *session = NULL;
}
