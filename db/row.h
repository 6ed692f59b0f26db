/*
 * Rows: a record's struct to the parameters of a statement, and a result row to a struct, by the
 * record's description. Not pure (SQLite).
 *
 * NAME, TEXT -> TEXT ('' when empty), INT, BOOL -> INTEGER, ENUM -> TEXT (its word), TEXTS -> TEXT (a
 * JSON array of strings), JSON -> TEXT or NULL.
 */
#ifndef PH_DB_ROW_H
#define PH_DB_ROW_H

#include <sqlite3.h>

#include "proto/record.h"

/* Binds every field (or the key fields) in catalogue order from parameter 1. The texts of `row` are
 * borrowed until the statement is reset. 0, -ENOMEM, -EINVAL (an enum's value out of range). */
int ph_row_bind(sqlite3_stmt *statement, const struct ph_record *record, const void *row);
int ph_row_bind_keys(sqlite3_stmt *statement, const struct ph_record *record, const void *row);

/* Room for one row's lists; used again for every row. */
struct ph_row_room {
    char *bytes;
    size_t bytes_used, bytes_room;
    char **items;
    size_t items_used, items_room;
};
void ph_row_room_fini(struct ph_row_room *room);

/* Reads a result row whose columns are the record's fields in catalogue order into *row, which is
 * overwritten. Its texts point into SQLite's and the room's memory: valid until the next step, never
 * to be freed. 0, -ENOMEM, -EINVAL with the column and what is wrong with it. */
int ph_row_read(sqlite3_stmt *statement, const struct ph_record *record, struct ph_row_room *room,
    void *row, struct ph_error *error);

#endif
