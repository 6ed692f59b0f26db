#include "db/store_parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "db/connect.h"
#include "db/row.h"

static int borrow(struct ph_store *store, sqlite3 **db_out, struct ph_error *error)
{
    sqlite3 *db = NULL;
    pthread_mutex_lock(&store->mutex);
    if (store->idle_count > 0)
        db = store->idle[--store->idle_count];
    pthread_mutex_unlock(&store->mutex);
    if (db == NULL)
        return ph_connect_reader(store->path, db_out, error);
    *db_out = db;
    return 0;
}

static void give_back(struct ph_store *store, sqlite3 *db)
{
    pthread_mutex_lock(&store->mutex);
    if (store->idle_count < PH_STORE_IDLE_READERS) {
        store->idle[store->idle_count++] = db;
        db = NULL;
    }
    pthread_mutex_unlock(&store->mutex);
    sqlite3_close(db);
}

static int scan(sqlite3_stmt *statement, const struct ph_record *record, ph_store_each *each,
    void *context, const char *path, struct ph_error *error)
{
    struct ph_row_room room = {0};
    void *row = malloc(record->size);
    int rv = row == NULL ? -ENOMEM : 0;
    int code = SQLITE_ROW;
    while (rv == 0 && (code = sqlite3_step(statement)) == SQLITE_ROW) {
        rv = ph_row_read(statement, record, &room, row, error);
        if (rv == 0)
            rv = each(context, row);
    }
    if (rv == 0 && code != SQLITE_DONE)
        rv = ph_sqlite_failed(sqlite3_db_handle(statement), code, "reading", path, error);
    ph_row_room_fini(&room);
    free(row);
    return rv;
}

static int load(struct ph_store *store, const struct ph_record *record, const char *sql,
    const char *const *arguments, ph_store_each *each, void *context, struct ph_error *error)
{
    sqlite3_stmt *statement = NULL;
    sqlite3 *db;
    int rv = borrow(store, &db, error);
    if (rv != 0)
        return rv;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    int count = code == SQLITE_OK ? sqlite3_bind_parameter_count(statement) : 0;
    for (int i = 0; code == SQLITE_OK && i < count; i++) {
        if (arguments == NULL || arguments[i] == NULL)
            code = SQLITE_RANGE; /* fewer arguments than parameters */
        else
            code = sqlite3_bind_text(statement, i + 1, arguments[i], -1, SQLITE_STATIC);
    }
    rv = code == SQLITE_OK ? scan(statement, record, each, context, store->path, error)
                           : ph_sqlite_failed(db, code, "reading", store->path, error);
    sqlite3_finalize(statement);
    give_back(store, db);
    return rv;
}

static int load_with(struct ph_store *store, const struct ph_record *record, const char *tail,
    const char *const *arguments, ph_store_each *each, void *context, struct ph_error *error)
{
    const struct ph_tables *tables = ph_tables_of(store->schema);
    int index = ph_table_find(tables, record);
    if (index < 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s stores no %s", store->path, record->name);
        return -EINVAL;
    }
    char *select = ph_table_select_sql(&tables->items[index]);
    char *order = tail == NULL ? ph_table_order_sql(&tables->items[index]) : NULL;
    const char *rest = tail == NULL ? order : tail;
    char *sql = select == NULL || rest == NULL ? NULL : ph_text_new("%s %s", select, rest);
    int rv = -ENOMEM;
    if (sql != NULL)
        rv = load(store, record, sql, arguments, each, context, error);
    else
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    free(sql);
    free(order);
    free(select);
    return rv;
}

int ph_store_load(struct ph_store *store, const struct ph_record *record, ph_store_each *each,
    void *context, struct ph_error *error)
{
    return load_with(store, record, NULL, NULL, each, context, error);
}

int ph_store_load_where(struct ph_store *store, const struct ph_record *record, const char *tail,
    const char *const *arguments, ph_store_each *each, void *context, struct ph_error *error)
{
    return load_with(store, record, tail, arguments, each, context, error);
}
