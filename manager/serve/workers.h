/*
 * Threads for what would hold up the loop: queries, events, and the coding of large messages. Private.
 * Everything they need comes with the work; they touch the store's reading side and nothing else of
 * the manager.
 */
#ifndef PH_SERVE_WORKERS_H
#define PH_SERVE_WORKERS_H

#include <stdatomic.h>
#include <stdbool.h>
#include "db/store.h"
#include "manager/serve/wakeup.h"
#include "proto/message.h"
#include "proto/wire/wire.h"

#define SERVE_WORK_MAX 256 /* waiting at once */

enum serve_work_kind {
    SERVE_WORK_QUERY,  /* message: a query -> rows, one or more */
    SERVE_WORK_EVENTS, /* message: events -> events.shown */
    SERVE_WORK_STORY,  /* message: events.story -> story.shown */
    SERVE_WORK_DECODE, /* text -> message, rv, error: back to the loop */
    SERVE_WORK_ENCODE  /* message: an answer -> its text */
};

struct serve_work {
    enum serve_work_kind kind;
    struct ph_wire_peer peer;
    int64_t id;
    struct ph_message message; /* owned */
    char *text;                /* DECODE: owned */
    size_t bytes;
    int rv; /* DECODE: result */
    struct ph_error error;
    atomic_bool cancelled;     /* the asker is gone */
    uint64_t blocked_since_ms; /* the loop's: when its queue became full; 0: it is not */
    uint64_t pass;             /* the loop's */
    struct serve_work *next;
};

/* One part of an answer. `last`: the work is done, and now the loop's to destroy. */
struct serve_result {
    struct serve_work *work;
    char *text;
    size_t bytes;
    char *payload;
    size_t payload_bytes;
    bool last;
    struct serve_result *next;
};

struct serve_workers;

int serve_workers_new(const char *database, struct ph_store *store, struct serve_wakeup *wakeup,
    struct serve_workers **workers_out);
/* Before the process ends: cancels what runs, and waits for it a moment. false: a thread is still deep
 * in a query; then nothing it uses may go before the process does. */
bool serve_workers_destroy(struct serve_workers **workers);

struct serve_work *serve_work_new(
    enum serve_work_kind kind, const struct ph_wire_peer *peer, int64_t id);
void serve_work_destroy(struct serve_work **work);
/* Takes the work. false: too much is waiting; it is still the caller's. */
bool serve_workers_give(struct serve_workers *workers, struct serve_work **work);

/* Work about a message, whose body it takes. false: no memory, or too much is waiting; the message is
 * still the caller's. */
bool serve_workers_give_message(struct serve_workers *workers, enum serve_work_kind kind,
    const struct ph_wire_peer *peer, int64_t id, struct ph_message *message);

/* All parts that are ready, in order; the loop's from then on. */
struct serve_result *serve_workers_take(struct serve_workers *workers);
/* Gives a result (or NULL) back the room it took, frees it, and its work when it was the last. */
void serve_result_done(struct serve_workers *workers, struct serve_result **result);

/* worker_run.c: does the work; parts go out through emit(), which takes text and payload and waits
 * for room. -ECANCELED: nobody wants more. */
struct serve_worker {
    const char *database;
    struct ph_store *store;
    struct ph_reader *reader; /* opened when first needed */
    struct serve_workers *workers;
};
int serve_worker_emit(struct serve_worker *worker, struct serve_work *work, char *text,
    size_t bytes, char *payload, size_t payload_bytes, bool last);
void serve_worker_run(struct serve_worker *worker, struct serve_work *work);

#endif
