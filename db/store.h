/*
 * The store: the one door to durable state. Embedded SQLite today; the interface assumes neither
 * that a commit is local nor that it is instant (../docs/architecture.md, "The store").
 *
 * One writer thread owns the only writing connection (WAL, synchronous=FULL, foreign keys, STRICT
 * tables). Batches are committed in the order given, several per transaction when they queue up
 * (grouped commit), and each batch is all or nothing. The caller's loop never waits for a disk.
 */
#ifndef PH_DB_STORE_H
#define PH_DB_STORE_H

#include <stdint.h>
#include "proto/catalogue.h"

enum ph_store_result {
    PH_STORE_OK,
    PH_STORE_CONSTRAINT, /* refused by a constraint; nothing of the batch was stored */
    PH_STORE_NOT_ACTIVE, /* another manager has activated the store since */
    /* disk full, I/O error: outcome known: not stored. Nor are the batches given
       before its done() returned, since they may build on it */
    PH_STORE_UNAVAILABLE,
    PH_STORE_UNKNOWN /* the outcome is not known: end the process and reload */
};

enum ph_store_schema { PH_SCHEMA_MANAGER, PH_SCHEMA_AGENT };

struct ph_store;
struct ph_batch;

/* Called on the writer thread after each batch, in order of submission. Must be quick (it wakes the
 * loop). `message` is for people. */
typedef void ph_store_done(
    void *context, uint64_t batch_number, enum ph_store_result result, const char *message);

/* Opens or makes the database file, migrates it (numbered migrations in db/migrations, each in one
 * transaction; a newer schema than this program knows is refused), starts the writer.
 * 0 or negative errno with *error (-EROFS, -ENOSPC, -EACCES, -ENOENT: no such directory,
 * -EUCLEAN: not a database, or not of this schema, -ENOTSUP: a newer schema). */
int ph_store_open(const char *path, enum ph_store_schema schema, ph_store_done *done, void *context,
    struct ph_store **store_out, struct ph_error *error);

/* Takes the role of the writer: increments `term` in meta and stores `manager_id` beside it,
 * durably, before it returns, after all batches queued so far. From then on batches of an earlier
 * activation get NOT_ACTIVE; so do batches of a store that never activated, once another has. A batch
 * that saves these two keys of meta itself is refused (CONSTRAINT). Managers only. */
int ph_store_activate(
    struct ph_store *store, const char *manager_id, int64_t *term_out, struct ph_error *error);
/* As above, with a term greater than `above` too (--advance-term: a manager that saw a higher one). */
int ph_store_activate_above(struct ph_store *store, const char *manager_id, int64_t above,
    int64_t *term_out, struct ph_error *error);

/* A batch is built by one thread and then given away. */
struct ph_batch *ph_batch_new(void);
int ph_batch_save(struct ph_batch *batch, const struct ph_record *record, const void *row);
int ph_batch_remove(struct ph_batch *batch, const struct ph_record *record, const void *row);
bool ph_batch_empty(const struct ph_batch *batch);
void ph_batch_destroy(struct ph_batch **batch);

/* Queues the batch (ownership moves, *batch becomes NULL) and returns its number, ascending from 1. */
uint64_t ph_store_commit(struct ph_store *store, struct ph_batch **batch);

/* Waits until every queued batch is done. For start-up, shut-down and tests. */
void ph_store_flush(struct ph_store *store);

/* Reads every row of a record in primary key order. `row` is borrowed during the call; a non-zero
 * return of each() ends the scan and is returned. On a connection of its own; any thread. Sees what is
 * committed, not what is queued. -EINVAL: a stored value is not what the catalogue says. */
typedef int ph_store_each(void *context, const void *row);
int ph_store_load(struct ph_store *store, const struct ph_record *record, ph_store_each *each,
    void *context, struct ph_error *error);
/* As above with a condition: "WHERE pool = ?1 ORDER BY id DESC LIMIT ?2"; arguments are text,
 * NULL-terminated. */
int ph_store_load_where(struct ph_store *store, const struct ph_record *record, const char *tail,
    const char *const *arguments, ph_store_each *each, void *context, struct ph_error *error);

/* Trims history and ended jobs/events older than the given wall times by at most `rows_max` rows
 * each (small steps, on the writer thread, in its own transaction). */
struct ph_retention {
    int64_t history_before, events_before, jobs_before; /* wall ms */
    int64_t rows_max;
};
void ph_store_trim(struct ph_store *store, const struct ph_retention *retention);

void ph_store_destroy(struct ph_store **store); /* flushes, stops the writer, checkpoints, closes */

#endif
