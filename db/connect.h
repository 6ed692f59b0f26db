/*
 * Connections to a database file, and its schema brought up to date. Not pure.
 */
#ifndef PH_DB_CONNECT_H
#define PH_DB_CONNECT_H

#include <sqlite3.h>

#include "db/store.h"

/* The writing connection: makes the file (0600) when absent, refuses what is not ours, WAL,
 * synchronous=FULL, foreign keys, migrated. 0, or -errno with *error. */
int ph_connect_writer(
    const char *path, enum ph_store_schema schema, sqlite3 **db_out, struct ph_error *error);

/* A read-only connection to a database that exists. 0, or -errno with *error. */
int ph_connect_reader(const char *path, sqlite3 **db_out, struct ph_error *error);

/* The errno that stands for what SQLite said: -ENOSPC, -EROFS, -EACCES, -EUCLEAN, -EBUSY, -ENOMEM,
 * -ENOENT, -EIO. */
int ph_sqlite_errno(sqlite3 *db, int code);

/* *error for an operation on `path` that failed with `code`; returns ph_sqlite_errno(). */
int ph_sqlite_failed(
    sqlite3 *db, int code, const char *what, const char *path, struct ph_error *error);

#endif
