/*
 * Transactions on the writing connection: a group of batches, an activation, a step of trimming.
 * Belongs to the writer thread alone. Knows nothing of queues.
 */
#ifndef PH_DB_WRITER_H
#define PH_DB_WRITER_H

#include <sqlite3.h>

#include "db/batch.h"
#include "db/table.h"

#define PH_MANAGER_ID_BYTES_MAX 127

struct ph_writer {
    sqlite3 *db;
    enum ph_store_schema schema;
    const struct ph_tables *tables;
    sqlite3_stmt *begin, *commit, *rollback;
    sqlite3_stmt *savepoint, *release, *rollback_to;
    sqlite3_stmt *active, *clock; /* NULL in an agent's */
    sqlite3_stmt *save[PH_TABLES_MAX], *remove[PH_TABLES_MAX];
    bool term_known; /* false: no manager has ever been active on this store */
    int64_t term;    /* of our activation, or the one found at open */
    char manager_id[PH_MANAGER_ID_BYTES_MAX + 1];
    int64_t clock_ms;        /* the last moment given to history */
    int64_t clock_stored_ms; /* what history_clock holds, -1 unknown */
    int64_t (*wall_ms)(void);
};

int ph_writer_init(
    struct ph_writer *writer, sqlite3 *db, enum ph_store_schema schema, struct ph_error *error);
void ph_writer_fini(struct ph_writer *writer); /* closes the connection too */

/* Commits a list of batches in one transaction and sets result and message of each. True when they all
 * have a known fate that the next batches may build on: each is stored, or refused by a constraint. */
bool ph_writer_group(struct ph_writer *writer, struct ph_batch *first);

/* The next term, greater than `above` and than any before, stored durably with manager_id. */
int ph_writer_activate(struct ph_writer *writer, const char *manager_id, int64_t above,
    int64_t *term_out, struct ph_error *error);

/* Deletes at most rows_max rows of each kind. 0 or -errno. (trim.c) */
int ph_writer_trim(struct ph_writer *writer, const struct ph_retention *retention);

/* Steps a statement that returns no rows of interest and resets it. SQLITE_OK or the error. */
int ph_writer_run(sqlite3_stmt *statement);
/* Whether the store is still ours: reads term and manager_id in the open transaction. */
int ph_writer_is_active(struct ph_writer *writer, bool *active_out);
void ph_writer_roll_back(struct ph_writer *writer);

#endif
