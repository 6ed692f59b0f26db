/*
 * The inside of a store: the queue of batches, its writer thread, its checkpointer and its readers. For
 * db/ and its tests.
 *
 *     ph_store_commit -> queue -> [writer thread: a group = one transaction] -> done(), in order
 *                                                        |
 *                                            log grows: -> [checkpointer thread]
 */
#ifndef PH_DB_STORE_PARTS_H
#define PH_DB_STORE_PARTS_H

#include <pthread.h>

#include "db/checkpoint.h"
#include "db/writer.h"

#define PH_STORE_IDLE_READERS 4

struct ph_activation {
    const char *manager_id;
    int64_t above;
    int64_t term;
    int rv;
    struct ph_error error;
    bool finished;
};

struct ph_store {
    char *path;
    enum ph_store_schema schema;
    ph_store_done *done;
    void *context;

    struct ph_writer writer; /* the writer thread's; others only while it is known to be idle */
    struct ph_checkpointer checkpointer;
    int wal_pages;       /* as of the last commit (writer thread) */
    int wal_pages_asked; /* when the checkpointer was last woken */
    uint64_t refuse_to;  /* batches up to this number stand behind a failed one (writer thread) */
    enum ph_store_result refuse_as;
    bool refuse_all; /* an outcome is unknown */

    pthread_t thread;
    pthread_mutex_t mutex;   /* guards everything below */
    pthread_cond_t wake;     /* work for the writer */
    pthread_cond_t finished; /* something was done */
    struct ph_batch *first, *last;
    uint64_t submitted, completed;
    struct ph_activation *activation;
    struct ph_retention retention;
    bool trim_wanted, trimming, stop;
    sqlite3 *idle[PH_STORE_IDLE_READERS]; /* open read-only connections nobody uses */
    int idle_count;
};

#endif
