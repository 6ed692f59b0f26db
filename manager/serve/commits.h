/* How far the writer thread has come: written by it, read by the loop. Private. */
#ifndef PH_SERVE_COMMITS_H
#define PH_SERVE_COMMITS_H

#include <pthread.h>
#include <stdbool.h>
#include "db/store.h"
#include "manager/serve/wakeup.h"

struct serve_commits {
    pthread_mutex_t lock;
    struct serve_wakeup *wakeup; /* NULL while starting: nobody to wake */
    uint64_t done;               /* every batch up to this one is durable */
    uint64_t failed;             /* the first that is not, 0: none */
    enum ph_store_result result;
    char message[PH_TEXT_BYTES_MAX + 1];
};

void serve_commits_init(struct serve_commits *commits, struct serve_wakeup *wakeup);
void serve_commits_fini(struct serve_commits *commits);
/* For ph_store_open(); context is the struct. */
void serve_commits_done(
    void *context, uint64_t batch_number, enum ph_store_result result, const char *message);
/* Whether none has failed; *done_out is set either way. On failure message (of
 * PH_TEXT_BYTES_MAX + 1 bytes) says what happened. */
bool serve_commits_look(
    struct serve_commits *commits, uint64_t *done_out, enum ph_store_result *result, char *message);

#endif
