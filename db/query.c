#include "db/query_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "db/connect.h"

int ph_reader_open(const char *path, struct ph_reader **reader_out, struct ph_error *error)
{
    struct ph_reader *reader = calloc(1, sizeof *reader);
    char *copy = strdup(path);
    if (reader == NULL || copy == NULL) {
        free(reader);
        free(copy);
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    reader->path = copy;
    int rv = ph_session_open(reader, false, &reader->present, error);
    if (rv != 0)
        ph_reader_destroy(&reader);
    else
        *reader_out = reader;
    return rv;
}

void ph_reader_destroy(struct ph_reader **reader)
{
    if (*reader == NULL)
        return;
    ph_session_destroy(&(*reader)->present);
    ph_session_destroy(&(*reader)->past);
    free((*reader)->path);
    free((*reader)->json);
    free(*reader);
    *reader = NULL;
}

/* One run of one query. */
struct run {
    struct ph_session *session;
    struct ph_prepared *prepared;
    ph_query_part *part;
    void *context;
    struct ph_json_part json;
    int64_t rows, rows_max;
    uint32_t timeout_ms;
};

static int hand_out(struct run *run, bool more)
{
    static char nothing[] = "[]";
    struct ph_json_part *json = &run->json;
    int stop;
    if (json->rows > 0) {
        json->text[json->used++] = ']'; /* ph_json_row() leaves room */
        stop = run->part(
            run->context, &run->prepared->columns, json->text, json->used, json->rows, more);
    } else {
        stop = run->part(run->context, &run->prepared->columns, nothing, 2, 0, more);
    }
    json->used = 0;
    json->rows = 0;
    return stop == 0 ? 0 : -ECANCELED;
}

static int timed_out(const struct run *run, struct ph_error *error)
{
    ph_error_set(error, PH_FAILED, NULL,
        "the query took longer than %u ms; ask for less, with a WHERE over name or pool",
        (unsigned)run->timeout_ms);
    return -ETIMEDOUT;
}

static int failed(struct run *run, int code, struct ph_error *error)
{
    sqlite3 *db = run->session->db;
    switch (code & 0xff) {
    case SQLITE_INTERRUPT:
        return timed_out(run, error);
    case SQLITE_ERROR:
    case SQLITE_TOOBIG:
    case SQLITE_AUTH:
    case SQLITE_MISMATCH:
    case SQLITE_CONSTRAINT:
        ph_error_set(error, PH_BAD_INPUT, "sql", "%s", sqlite3_errmsg(db));
        return -EINVAL;
    default:
        return ph_sqlite_failed(db, code, "reading", run->session->reader->path, error);
    }
}

static int take_row(struct run *run, struct ph_error *error)
{
    int rv = 0;
    if (run->rows++ >= run->rows_max) {
        ph_error_set(error, PH_FAILED, NULL,
            "the query has more than %lld rows; add a LIMIT or a WHERE", (long long)run->rows_max);
        return -E2BIG;
    }
    if (run->json.used >= PH_QUERY_PART_BYTES) {
        rv = hand_out(run, true);
        if (rv == 0 && ph_clock_boot_ms() >= run->session->reader->deadline_ms)
            return timed_out(run, error);
    }
    if (rv == 0)
        rv = ph_json_row(&run->json, run->prepared);
    if (rv == -E2BIG)
        ph_error_set(error, PH_FAILED, NULL, "a row of the query has more than %d bytes",
            PH_QUERY_ROW_BYTES_MAX);
    else if (rv == -ENOMEM)
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    else if (rv == -ECANCELED)
        ph_error_set(error, PH_FAILED, NULL, "the query was ended by its asker");
    return rv;
}

static int step_all(struct run *run, struct ph_error *error)
{
    sqlite3_stmt *statement = run->prepared->statement;
    int rv = 0;
    int code;
    while ((code = sqlite3_step(statement)) == SQLITE_ROW) {
        rv = take_row(run, error);
        if (rv != 0)
            return rv;
    }
    if (code != SQLITE_DONE)
        return failed(run, code, error);
    rv = hand_out(run, false);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "the query was ended by its asker");
    return rv;
}

/* Opens the past: one snapshot in which the moment is checked against what is still kept. */
static int enter_past(struct ph_session *session, struct ph_error *error)
{
    char wanted[64], kept[64];
    session->internal = true;
    int code = sqlite3_step(session->begin);
    sqlite3_reset(session->begin);
    int64_t kept_since = 0;
    if (code == SQLITE_DONE) {
        code = sqlite3_step(session->kept_since);
        if (code == SQLITE_ROW)
            kept_since = sqlite3_column_int64(session->kept_since, 0);
        sqlite3_reset(session->kept_since);
    }
    session->internal = false;
    if (code != SQLITE_ROW)
        return ph_sqlite_failed(session->db, code, "reading", session->reader->path, error);
    if (session->reader->as_of >= kept_since)
        return 0;
    ph_clock_format_wall(session->reader->as_of, wanted, sizeof wanted);
    ph_clock_format_wall(kept_since, kept, sizeof kept);
    ph_error_set(
        error, PH_BAD_INPUT, "as_of", "history is kept since %s; %s is before that", kept, wanted);
    return -EINVAL;
}

static void leave_past(struct ph_session *session)
{
    session->internal = true;
    if (!sqlite3_get_autocommit(session->db)) {
        sqlite3_step(session->commit);
        sqlite3_reset(session->commit);
    }
    session->internal = false;
}

static int choose_session(struct ph_reader *reader, const struct ph_query *query,
    struct ph_session **out, struct ph_error *error)
{
    if (query->as_of < 0) {
        ph_error_set(error, PH_BAD_INPUT, "as_of", "a moment before 1970 is not a moment of ours");
        return -EINVAL;
    }
    if (query->as_of == 0) {
        *out = reader->present;
        return 0;
    }
    int rv = reader->past != NULL ? 0 : ph_session_open(reader, true, &reader->past, error);
    *out = reader->past;
    return rv;
}

int ph_reader_query(struct ph_reader *reader, const struct ph_query *query, ph_query_part *part,
    void *context, struct ph_error *error)
{
    struct run run = {.part = part, .context = context};
    int64_t timeout_ms = query->timeout_ms;
    run.timeout_ms = timeout_ms <= 0 || timeout_ms > PH_QUERY_TIMEOUT_MS ? PH_QUERY_TIMEOUT_MS
                                                                         : (uint32_t)timeout_ms;
    run.rows_max = query->rows_max <= 0 || query->rows_max > PH_QUERY_ROWS_MAX ? PH_QUERY_ROWS_MAX
                                                                               : query->rows_max;
    reader->as_of = query->as_of;
    reader->now_ms = ph_clock_wall_ms();
    reader->deadline_ms = ph_clock_boot_ms() + run.timeout_ms;

    int rv = choose_session(reader, query, &run.session, error);
    if (rv == 0)
        rv = ph_session_prepare(
            run.session, query->sql == NULL ? "" : query->sql, &run.prepared, error);
    if (rv != 0)
        return rv;
    run.json.text = reader->json;
    run.json.room = reader->json_room;
    if (run.session->past)
        rv = enter_past(run.session, error);
    if (rv == 0)
        rv = step_all(&run, error);
    sqlite3_reset(run.prepared->statement);
    if (run.session->past)
        leave_past(run.session);
    reader->json = run.json.text;
    reader->json_room = run.json.room;
    return rv;
}
