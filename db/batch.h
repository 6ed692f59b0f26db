/*
 * The inside of a batch: operations in order, each with a copy of its row. Built by one thread, given
 * to the store, destroyed by the writer.
 */
#ifndef PH_DB_BATCH_H
#define PH_DB_BATCH_H

#include "db/store.h"

struct ph_store_operation {
    const struct ph_record *record;
    void *row; /* owned */
    bool remove;
};

#define PH_STORE_MESSAGE_BYTES 512

struct ph_batch {
    size_t count, room;
    struct ph_store_operation *operations;

    /* The store's, from ph_store_commit() on; here so that queueing needs no memory. */
    struct ph_batch *next;
    uint64_t number;
    enum ph_store_result result;
    char message[PH_STORE_MESSAGE_BYTES];
};

#endif
