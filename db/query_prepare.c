#include "db/query_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "db/connect.h"

#define COLUMN_NAME_BYTES_MAX 200

void ph_prepared_fini(struct ph_prepared *prepared)
{
    sqlite3_finalize(prepared->statement);
    free(prepared->sql);
    ph_texts_fini(&prepared->columns);
    ph_texts_fini(&prepared->keys);
    *prepared = (struct ph_prepared){0};
}

static int bad(struct ph_error *error, const char *message)
{
    ph_error_set(error, PH_BAD_INPUT, "sql", "%s", message);
    return -EINVAL;
}

/* What SQLite said, for a person. */
static int explain(struct ph_session *session, int code, struct ph_error *error)
{
    const char *text = sqlite3_errmsg(session->db);
    int offset = sqlite3_error_offset(session->db);
    if (session->denied[0] != '\0')
        return bad(error, session->denied);
    if ((code & 0xff) != SQLITE_ERROR && (code & 0xff) != SQLITE_TOOBIG &&
        (code & 0xff) != SQLITE_AUTH && (code & 0xff) != SQLITE_RANGE)
        return ph_sqlite_failed(session->db, code, "reading", session->reader->path, error);
    if (strncmp(text, "no such table", 13) == 0)
        ph_error_set(error, PH_BAD_INPUT, "sql", "%s; the views are " PH_VIEWS_TEXT, text);
    else if (offset >= 0)
        ph_error_set(error, PH_BAD_INPUT, "sql", "%s (at byte %d)", text, offset);
    else
        ph_error_set(error, PH_BAD_INPUT, "sql", "%s", text);
    return -EINVAL;
}

static int check_text(const char *sql, struct ph_error *error)
{
    size_t bytes = strlen(sql);
    if (bytes > PH_SQL_BYTES_MAX) {
        ph_error_set(error, PH_BAD_INPUT, "sql", "the query has %zu bytes; at most %d are allowed",
            bytes, PH_SQL_BYTES_MAX);
        return -EINVAL;
    }
    if (!ph_utf8_valid(sql, bytes))
        return bad(error, "the query is not well-formed UTF-8");
    int weight = ph_query_weight(sql, PH_QUERY_WEIGHT_MAX);
    if (weight < 0) {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    if (weight > PH_QUERY_WEIGHT_MAX)
        return bad(error,
            "the query uses its WITH names too often: put in place they make more than "
            "1000 SELECTs");
    return 0;
}

static int check_statement(
    struct ph_session *session, sqlite3_stmt *statement, const char *tail, struct ph_error *error)
{
    if (statement == NULL)
        return bad(error, "the query is empty; write one SELECT over " PH_VIEWS_TEXT);
    if (sqlite3_stmt_isexplain(statement) != 0)
        return bad(error, "a query only reads: EXPLAIN is not a SELECT");
    if (!sqlite3_stmt_readonly(statement) || sqlite3_column_count(statement) == 0)
        return bad(error, "a query only reads: that is not a SELECT");
    if (sqlite3_bind_parameter_count(statement) > 0)
        return bad(
            error, "parameters (?, :name, @name, $name) have no value here; write the value");
    /* The rest may be comments and white space; anything else, even a mistake, is a second one. */
    sqlite3_stmt *second = NULL;
    if (tail[0] == '\0')
        return 0;
    int code = sqlite3_prepare_v2(session->db, tail, -1, &second, NULL);
    sqlite3_finalize(second);
    if (code != SQLITE_OK || second != NULL)
        return bad(error, "one statement at a time: something follows the first");
    return 0;
}

static int add_name(struct ph_prepared *prepared, const char *name)
{
    char *key = NULL;
    int rv = ph_texts_add(&prepared->columns, name);
    if (rv == 0) {
        key = ph_json_key(name);
        rv = key == NULL ? -ENOMEM : ph_texts_add(&prepared->keys, key);
    }
    free(key);
    return rv;
}

/* Names of the columns; one that was there before gets a number, so that an object has it once. */
static int name_columns(struct ph_prepared *prepared)
{
    char name[COLUMN_NAME_BYTES_MAX + 16];
    int rv = 0;
    for (int i = 0; rv == 0 && i < sqlite3_column_count(prepared->statement); i++) {
        const char *given = sqlite3_column_name(prepared->statement, i);
        if (given == NULL)
            return -ENOMEM;
        ph_text_format(name, COLUMN_NAME_BYTES_MAX, "%s", given);
        size_t bytes = strlen(name);
        for (int number = 2; ph_texts_contain(&prepared->columns, name); number++)
            ph_text_format(name + bytes, sizeof name - bytes, "_%d", number);
        rv = add_name(prepared, name);
    }
    return rv;
}

static int prepare(struct ph_session *session, const char *sql, struct ph_prepared *prepared,
    struct ph_error *error)
{
    const char *tail = NULL;
    int rv = check_text(sql, error);
    if (rv != 0)
        return rv;
    session->denied[0] = '\0';
    int code = sqlite3_prepare_v3(
        session->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared->statement, &tail);
    rv = code == SQLITE_OK ? check_statement(session, prepared->statement, tail, error)
                           : explain(session, code, error);
    if (rv != 0)
        return rv;
    rv = name_columns(prepared);
    prepared->sql = rv == 0 ? strdup(sql) : NULL;
    if (prepared->sql != NULL)
        return 0;
    ph_error_set(error, PH_FAILED, NULL, "out of memory");
    return -ENOMEM;
}

int ph_session_prepare(struct ph_session *session, const char *sql,
    struct ph_prepared **prepared_out, struct ph_error *error)
{
    struct ph_prepared *oldest = &session->cache[0];
    uint64_t now = ++session->reader->queries;
    for (size_t i = 0; i < PH_QUERY_CACHED; i++) {
        struct ph_prepared *item = &session->cache[i];
        if (item->sql != NULL && strcmp(item->sql, sql) == 0) {
            item->used = now;
            *prepared_out = item;
            return 0;
        }
        if (item->used < oldest->used)
            oldest = item;
    }
    ph_prepared_fini(oldest);
    int rv = prepare(session, sql, oldest, error);
    if (rv != 0) {
        ph_prepared_fini(oldest);
        return rv;
    }
    oldest->used = now;
    *prepared_out = oldest;
    return 0;
}
