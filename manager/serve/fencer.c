#include "manager/serve/fencer.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "agent/fence/run.h"

#define END_MS 300 /* an agent that still runs then is left to itself */

struct queue {
    struct serve_fence_call *first, **last;
};

struct serve_fencer {
    pthread_mutex_t lock;
    pthread_cond_t thread_ended;
    struct serve_wakeup *wakeup;
    struct queue urgent, usual, done;
    size_t waiting, threads;
    bool stopping;
};

static void queue_put(struct queue *queue, struct serve_fence_call *call)
{
    call->next = NULL;
    *queue->last = call;
    queue->last = &call->next;
}

static struct serve_fence_call *queue_take(struct queue *queue)
{
    struct serve_fence_call *call = queue->first;

    if (call != NULL) {
        queue->first = call->next;
        if (queue->first == NULL) {
            queue->last = &queue->first;
        }
        call->next = NULL;
    }
    return call;
}

int serve_fencer_new(struct serve_wakeup *wakeup, struct serve_fencer **fencer_out)
{
    struct serve_fencer *fencer = calloc(1, sizeof *fencer);
    pthread_condattr_t monotonic;

    if (fencer == NULL) {
        return -ENOMEM;
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&fencer->thread_ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&fencer->lock, NULL);
    fencer->wakeup = wakeup;
    fencer->urgent.last = &fencer->urgent.first;
    fencer->usual.last = &fencer->usual.first;
    fencer->done.last = &fencer->done.first;
    *fencer_out = fencer;
    return 0;
}

void serve_fence_call_destroy(struct serve_fence_call **call)
{
    if (*call != NULL) {
        ph_record_fini(&ph_record_fence_run, &(*call)->run);
        ph_record_fini(&ph_record_fence_ran, &(*call)->ran);
        free(*call);
        *call = NULL;
    }
}

static void *thread_main(void *argument)
{
    struct serve_fencer *fencer = argument;
    struct serve_fence_call *call;

    pthread_mutex_lock(&fencer->lock);
    while (!fencer->stopping && ((call = queue_take(&fencer->urgent)) != NULL ||
                                    (call = queue_take(&fencer->usual)) != NULL)) {
        fencer->waiting--;
        pthread_mutex_unlock(&fencer->lock);
        ph_fence_carry_out(&call->run, &call->ran);
        pthread_mutex_lock(&fencer->lock);
        queue_put(&fencer->done, call);
        serve_wakeup_ring(fencer->wakeup);
    }
    fencer->threads--;
    pthread_cond_signal(&fencer->thread_ended);
    pthread_mutex_unlock(&fencer->lock);
    return NULL;
}

/* With the lock held. Signals are the loop's. */
static int thread_start(struct serve_fencer *fencer)
{
    pthread_attr_t attributes;
    sigset_t all, before;
    pthread_t thread;
    int rv = pthread_attr_init(&attributes);

    if (rv != 0) {
        return -rv;
    }
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    rv = pthread_create(&thread, &attributes, thread_main, fencer);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    fencer->threads += rv == 0 ? 1 : 0;
    return -rv;
}

int serve_fencer_give(struct serve_fencer *fencer, struct ph_fence_run *run)
{
    struct serve_fence_call *call = calloc(1, sizeof *call);
    const char *refused = NULL;
    int rv = 0;

    if (call == NULL) {
        return -ENOMEM;
    }
    call->run = *run;
    *run = (struct ph_fence_run){0};
    pthread_mutex_lock(&fencer->lock);
    if (fencer->waiting >= SERVE_FENCE_WAITING) {
        refused = "too many calls of fence agents are waiting";
    } else if (fencer->threads < SERVE_FENCE_THREADS) {
        rv = thread_start(fencer);
        refused = rv != 0 && fencer->threads == 0 ? strerror(-rv) : NULL;
    }
    if (refused != NULL) {
        ph_fence_refuse(&call->run, &call->ran, "it cannot be run now: %s", refused);
        queue_put(&fencer->done, call);
        serve_wakeup_ring(fencer->wakeup);
    } else {
        queue_put(call->run.action == PH_FENCE_STATUS ? &fencer->usual : &fencer->urgent, call);
        fencer->waiting++;
    }
    pthread_mutex_unlock(&fencer->lock);
    return 0;
}

struct serve_fence_call *serve_fencer_take(struct serve_fencer *fencer)
{
    struct serve_fence_call *done;

    pthread_mutex_lock(&fencer->lock);
    done = fencer->done.first;
    fencer->done.first = NULL;
    fencer->done.last = &fencer->done.first;
    pthread_mutex_unlock(&fencer->lock);
    return done;
}

static void queue_free(struct queue *queue)
{
    struct serve_fence_call *call;

    while ((call = queue_take(queue)) != NULL) {
        serve_fence_call_destroy(&call);
    }
}

bool serve_fencer_destroy(struct serve_fencer **fencer_in)
{
    struct serve_fencer *fencer = *fencer_in;
    struct timespec until;
    bool all;

    *fencer_in = NULL;
    if (fencer == NULL) {
        return true;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += END_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&fencer->lock);
    fencer->stopping = true;
    while (fencer->threads > 0 &&
           pthread_cond_timedwait(&fencer->thread_ended, &fencer->lock, &until) == 0) {
    }
    all = fencer->threads == 0;
    pthread_mutex_unlock(&fencer->lock);
    if (!all) {
        return false;
    }
    queue_free(&fencer->urgent);
    queue_free(&fencer->usual);
    queue_free(&fencer->done);
    pthread_cond_destroy(&fencer->thread_ended);
    pthread_mutex_destroy(&fencer->lock);
    free(fencer);
    return true;
}
