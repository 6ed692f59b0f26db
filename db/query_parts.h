/*
 * The inside of a reader. For db/ and its tests.
 *
 *     query -> text checks -> prepare under the guard (or from the cache) -> step -> JSON parts
 *
 * What keeps a query harmless, in layers: the connection is read-only (open mode and query_only); the
 * guard, SQLite's authorizer, lets through SELECTs that read the views and the functions listed; the
 * columns with keys and secrets are never let through, by whatever path they are reached; a handler
 * looks at the time every few microseconds; sizes are limited per connection; and what SQLite cannot
 * limit itself is checked on the text (query_weight.c) or replaced (query_functions.c).
 */
#ifndef PH_DB_QUERY_PARTS_H
#define PH_DB_QUERY_PARTS_H

#include <sqlite3.h>

#include "base/text.h"
#include "db/query.h"
#include "proto/record.h"

#define PH_QUERY_PART_BYTES (1024 * 1024)
#define PH_QUERY_ROW_BYTES_MAX (8 * 1024 * 1024)
#define PH_QUERY_VALUE_BYTES_MAX (2 * 1024 * 1024)
#define PH_QUERY_COLUMNS_MAX 200
#define PH_QUERY_CACHED 8
#define PH_QUERY_CACHED_BYTES_MAX 4096
#define PH_QUERY_WEIGHT_MAX 1000

/* A prepared statement with the names of its columns, plain and as `"name":` for the rows. */
struct ph_prepared {
    char *sql;
    sqlite3_stmt *statement;
    struct ph_texts columns;
    struct ph_texts keys;
    uint64_t used; /* when, in queries; the least is replaced */
};

struct ph_reader;

/* One connection: the present, or a past moment. Their views have the same names. */
struct ph_session {
    struct ph_reader *reader;
    sqlite3 *db;
    bool past;
    char key_view[48]; /* the one view that may look at public keys; its name is random */
    struct ph_prepared cache[PH_QUERY_CACHED];
    sqlite3_stmt *begin, *commit, *kept_since; /* past only */
    const struct ph_record *last_record;       /* of last_table: the guard's memory */
    char last_table[64];
    bool internal;    /* our own statement is being prepared: the guard looks away */
    char denied[256]; /* why the guard said no */
};

struct ph_reader {
    char *path;
    struct ph_session *present, *past; /* past: opened when first asked for */
    int64_t as_of;                     /* wall ms; 0: the present */
    int64_t now_ms;                    /* wall clock at the start of the query */
    uint64_t deadline_ms;              /* CLOCK_BOOTTIME */
    uint64_t queries;
    char *json; /* the part being made; kept for the next query */
    size_t json_room;
};

/* query_session.c */
int ph_session_open(
    struct ph_reader *reader, bool past, struct ph_session **session_out, struct ph_error *error);
void ph_session_destroy(struct ph_session **session);
/* Whether a column of this name is shown in views: keys and secrets never are, in whatever table. A test
 * compares this with the PH_SECRET fields of the catalogue. */
bool ph_view_shows(const char *column);
#define PH_VIEWS_TEXT                                                                              \
    "nodes, pools, vms, replicas, jobs, events, identities, fence_devices, nodes_history, "        \
    "pools_history, vms_history"

/* query_prepare.c */
int ph_session_prepare(struct ph_session *session, const char *sql,
    struct ph_prepared **prepared_out, struct ph_error *error);
void ph_prepared_fini(struct ph_prepared *prepared);

/* query_guard.c: SQLite's authorizer; context is the session. */
int ph_query_guard(void *context, int action, const char *first, const char *second,
    const char *database, const char *view);

/* query_functions.c: iso, now_ms, as_of, and bounded forms of what could run for minutes. */
int ph_query_functions(sqlite3 *db, struct ph_reader *reader);

/* query_weight.c: an upper bound of how many SELECTs the text makes once its WITH names are put in
 * place, saturating at `most` + 1. Pure. -1: memory. */
int ph_query_weight(const char *sql, int most);

/* query_json.c */
struct ph_json_part {
    char *text;
    size_t used, room;
    int64_t rows;
};
/* Appends one result row as an object. 0, -ENOMEM, -E2BIG (PH_QUERY_ROW_BYTES_MAX). */
int ph_json_row(struct ph_json_part *part, const struct ph_prepared *prepared);
/* `"name":` of a column, escaped; heap text or NULL. */
char *ph_json_key(const char *name);

#endif
