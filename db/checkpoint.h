/*
 * Checkpoints on a thread and connection of their own, so that an acknowledgement never waits while the
 * write-ahead log is copied back. Passive: it disturbs neither the writer nor any reader.
 */
#ifndef PH_DB_CHECKPOINT_H
#define PH_DB_CHECKPOINT_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>

#include "poolherd/error.h"

struct ph_checkpointer {
    sqlite3 *db;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    bool wanted, stop;
};

int ph_checkpointer_start(
    struct ph_checkpointer *checkpointer, const char *path, struct ph_error *error);
void ph_checkpointer_want(struct ph_checkpointer *checkpointer); /* returns at once */
void ph_checkpointer_stop(struct ph_checkpointer *checkpointer); /* waits for one under way */

#endif
