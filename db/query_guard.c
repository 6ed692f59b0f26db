#include "db/query_parts.h"

#include <stdarg.h>
#include <string.h>

#include "db/table.h"

/* Functions that neither reach outside of the query nor can run for long on a bounded value. */
static const char *const functions[] = {"->", "->>", "abs", "as_of", "avg", "ceil", "ceiling",
    "char", "coalesce", "count", "cume_dist", "date", "datetime", "dense_rank", "exp",
    "first_value", "floor", "format", "glob", "group_concat", "hex", "ifnull", "iif", "instr",
    "iso", "json", "json_array", "json_array_length", "json_each", "json_extract",
    "json_group_array", "json_group_object", "json_object", "json_quote", "json_type", "json_valid",
    "julianday", "lag", "last_value", "lead", "length", "like", "ln", "log", "log10", "log2",
    "lower", "ltrim", "max", "min", "mod", "now_ms", "nth_value", "ntile", "nullif", "percent_rank",
    "pow", "power", "printf", "quote", "random", "rank", "replace", "round", "row_number", "rtrim",
    "sign", "sqrt", "strftime", "substr", "substring", "sum", "time", "total", "trim", "trunc",
    "typeof", "unicode", "unixepoch", "upper"};

/* Notes why: the first reason counts. */
__attribute__((format(printf, 2, 3))) static int refuse(
    struct ph_session *session, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (session->denied[0] == '\0')
        ph_text_vformat(session->denied, sizeof session->denied, format, arguments);
    va_end(arguments);
    return SQLITE_DENY;
}

static bool function_allowed(const char *name)
{
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++)
        if ((functions[i][0] | 0x20) == (name[0] | 0x20) &&
            sqlite3_stricmp(functions[i], name) == 0)
            return true;
    return false;
}

/* The record of a table that a view reads: of `pools`, and of `pools_history`. */
static const struct ph_record *record_of(const char *table, bool past)
{
    const struct ph_tables *tables = ph_tables_of(PH_SCHEMA_MANAGER);
    for (size_t i = 0; i < tables->count; i++) {
        const struct ph_table *item = &tables->items[i];
        size_t bytes = strlen(item->name);
        if (item->record == &ph_record_meta || strncmp(table, item->name, bytes) != 0)
            continue;
        if (item->history && strcmp(table + bytes, "_history") == 0)
            return item->record;
        if (table[bytes] == '\0')
            return !past || item->history || item->record == &ph_record_event ? item->record : NULL;
    }
    return NULL;
}

static int no_history(struct ph_session *session, const char *table)
{
    return refuse(session,
        "%s keep no history: ask nodes, pools, vms or events, or leave the moment out", table);
}

/* Reading a table itself: for our views only, and only what they show. The name of the view is no
 * proof, since a WITH name of the asker's can be the same word: so the column decides as well. */
static int read_main(
    struct ph_session *session, const char *table, const char *column, const char *view)
{
    const struct ph_record *record = session->last_record;
    if (record == NULL || strcmp(session->last_table, table) != 0) {
        record = record_of(table, session->past);
        session->last_record = record; /* a query reads many columns of few tables */
        ph_text_format(session->last_table, sizeof session->last_table, "%s", table);
    }
    if (record == NULL) {
        if (strcmp(table, "json_each") == 0 || strcmp(table, "json_tree") == 0)
            return SQLITE_OK;
        if (session->past && record_of(table, false) != NULL)
            return no_history(session, table);
        return refuse(session, "\"%s\" is not one of the views " PH_VIEWS_TEXT, table);
    }
    if (column[0] == '\0') /* only whether there are rows */
        return SQLITE_OK;
    if (view == NULL)
        return refuse(session, "read the view %s, not a table", table);
    if (ph_view_shows(column))
        return SQLITE_OK;
    if (strcmp(view, session->key_view) == 0 && strcmp(column, "public_key") == 0)
        return SQLITE_OK;
    return refuse(session, "\"%s\" is never shown", column);
}

/* Without a database it is the number of rows of something in FROM that is asked for, by the name it has
 * there: a table, or a WITH name or subquery of the asker's. */
static int count_rows(struct ph_session *session, const char *name)
{
    if (name == NULL)
        return SQLITE_OK;
    if (sqlite3_stricmp(name, "meta") == 0 || sqlite3_stricmp(name, "history_clock") == 0 ||
        sqlite3_strnicmp(name, "sqlite_", 7) == 0)
        return refuse(session, "\"%s\" is not one of the views " PH_VIEWS_TEXT, name);
    if (session->past && record_of(name, true) == NULL && record_of(name, false) != NULL)
        return no_history(session, name);
    return SQLITE_OK;
}

static int read_any(struct ph_session *session, const char *table, const char *column,
    const char *database, const char *view)
{
    if (database == NULL && (column == NULL || column[0] == '\0'))
        return count_rows(session, table);
    if (table == NULL || column == NULL || database == NULL)
        return refuse(session, "that cannot be read in a query");
    if (strcmp(database, "temp") != 0)
        return read_main(session, table, column, view);
    if (strncmp(table, "sqlite_", 7) == 0)
        return refuse(session, "\"%s\" is not one of the views " PH_VIEWS_TEXT, table);
    return SQLITE_OK; /* nothing but our views is there */
}

int ph_query_guard(void *context, int action, const char *first, const char *second,
    const char *database, const char *view)
{
    struct ph_session *session = context;
    if (session->internal)
        return SQLITE_OK;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ:
        return read_any(session, first, second, database, view);
    case SQLITE_FUNCTION:
        if (second != NULL && function_allowed(second))
            return SQLITE_OK;
        return refuse(
            session, "the function %s() is not allowed in a query", second == NULL ? "?" : second);
    case SQLITE_PRAGMA:
        return refuse(
            session, "a query only reads: PRAGMA %s is not allowed", first == NULL ? "?" : first);
    case SQLITE_ATTACH:
    case SQLITE_DETACH:
        return refuse(session, "a query only reads: %s is not allowed",
            action == SQLITE_ATTACH ? "ATTACH" : "DETACH");
    case SQLITE_INSERT:
    case SQLITE_UPDATE:
    case SQLITE_DELETE:
        return refuse(session,
            "a query only reads: %s cannot be changed; use the commands of poolherd",
            first == NULL ? "?" : first);
    default:
        return refuse(session, "a query only reads: that is not a SELECT");
    }
}
