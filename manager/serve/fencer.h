/*
 * Fence agents run by the manager itself: on threads that exist only while there is something to run, so that the
 * loop never waits for one. Private.
 */
#ifndef PH_SERVE_FENCER_H
#define PH_SERVE_FENCER_H

#include <stdbool.h>
#include "manager/serve/wakeup.h"
#include "proto/catalogue.h"

#define SERVE_FENCE_THREADS 16   /* agents run at once */
#define SERVE_FENCE_WAITING 4096 /* calls that wait for one */

struct serve_fencer;

/* One call: the question, and the answer once it is done. */
struct serve_fence_call {
    struct ph_fence_run run;
    struct ph_fence_ran ran;
    struct serve_fence_call *next;
};

int serve_fencer_new(struct serve_wakeup *wakeup, struct serve_fencer **fencer_out);
/* Waits a moment for what runs. false: an agent still runs; then nothing the fencer uses may go before the process. */
bool serve_fencer_destroy(struct serve_fencer **fencer);

/* Takes what *run owns. What switches goes before what only asks. Every call given is answered, also when no thread can be
 * had. -ENOMEM: nothing was taken. */
int serve_fencer_give(struct serve_fencer *fencer, struct ph_fence_run *run);

/* All calls that are done, in the order they ended: the caller's, each freed by serve_fence_call_destroy(). */
struct serve_fence_call *serve_fencer_take(struct serve_fencer *fencer);
void serve_fence_call_destroy(struct serve_fence_call **call);

#endif
