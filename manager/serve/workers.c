#include "manager/serve/workers.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "db/query.h"

#define THREADS 3
#define END_MS 300 /* a query that is still running then is left to the end of the process */
#define READY_BYTES_MAX ((size_t)16 * 1024 * 1024) /* results waiting for the loop */

struct serve_workers {
    pthread_mutex_t lock;
    pthread_cond_t work_came, room_came, thread_ended;
    char *database;
    struct serve_wakeup *wakeup;
    struct serve_work *first, *last;
    size_t waiting;
    struct serve_result *ready_first, *ready_last;
    size_t ready_bytes; /* also those the loop has taken and not sent */
    bool stopping;
    struct serve_worker workers[THREADS];
    pthread_t threads[THREADS];
    size_t started, ended;
};

struct serve_work *serve_work_new(
    enum serve_work_kind kind, const struct ph_wire_peer *peer, int64_t id)
{
    struct serve_work *work = calloc(1, sizeof *work);

    if (work != NULL) {
        work->kind = kind;
        work->peer = *peer;
        work->id = id;
        atomic_init(&work->cancelled, false);
    }
    return work;
}

void serve_work_destroy(struct serve_work **work)
{
    if (*work != NULL) {
        ph_message_fini(&(*work)->message);
        free((*work)->text);
        free(*work);
        *work = NULL;
    }
}

bool serve_workers_give(struct serve_workers *workers, struct serve_work **work)
{
    bool taken = false;

    pthread_mutex_lock(&workers->lock);
    if (workers->waiting < SERVE_WORK_MAX) {
        if (workers->last != NULL) {
            workers->last->next = *work;
        } else {
            workers->first = *work;
        }
        workers->last = *work;
        workers->waiting++;
        *work = NULL;
        taken = true;
        pthread_cond_signal(&workers->work_came);
    }
    pthread_mutex_unlock(&workers->lock);
    return taken;
}

bool serve_workers_give_message(struct serve_workers *workers, enum serve_work_kind kind,
    const struct ph_wire_peer *peer, int64_t id, struct ph_message *message)
{
    struct serve_work *work = serve_work_new(kind, peer, id);
    void *body = message->body;

    if (work == NULL) {
        return false;
    }
    work->message = *message;
    message->body = NULL;
    if (!serve_workers_give(workers, &work)) {
        work->message.body = NULL;
        serve_work_destroy(&work);
        message->body = body;
        return false;
    }
    return true;
}

struct serve_result *serve_workers_take(struct serve_workers *workers)
{
    struct serve_result *ready;

    pthread_mutex_lock(&workers->lock);
    ready = workers->ready_first;
    workers->ready_first = workers->ready_last = NULL;
    pthread_mutex_unlock(&workers->lock);
    return ready;
}

void serve_result_done(struct serve_workers *workers, struct serve_result **result)
{
    struct serve_result *gone = *result;

    if (gone == NULL) {
        return;
    }
    pthread_mutex_lock(&workers->lock);
    workers->ready_bytes -= gone->bytes + gone->payload_bytes;
    pthread_cond_broadcast(&workers->room_came);
    pthread_mutex_unlock(&workers->lock);
    if (gone->last) {
        serve_work_destroy(&gone->work);
    }
    free(gone->text);
    free(gone->payload);
    free(gone);
    *result = NULL;
}

int serve_worker_emit(struct serve_worker *worker, struct serve_work *work, char *text,
    size_t bytes, char *payload, size_t payload_bytes, bool last)
{
    struct serve_workers *workers = worker->workers;
    struct serve_result *result = calloc(1, sizeof *result);
    bool wanted;

    if (result == NULL) {
        abort(); /* a few dozen bytes: nothing sensible can be done any more */
    }
    pthread_mutex_lock(&workers->lock);
    while (workers->ready_bytes > READY_BYTES_MAX && !workers->stopping &&
           !atomic_load(&work->cancelled)) {
        pthread_cond_wait(&workers->room_came, &workers->lock);
    }
    wanted = !workers->stopping && !atomic_load(&work->cancelled);
    if (wanted || last) {
        if (!wanted) {
            free(text);
            free(payload);
            text = payload = NULL;
            bytes = payload_bytes = 0;
        }
        *result = (struct serve_result){work, text, bytes, payload, payload_bytes, last, NULL};
        if (workers->ready_last != NULL) {
            workers->ready_last->next = result;
        } else {
            workers->ready_first = result;
        }
        workers->ready_last = result;
        workers->ready_bytes += bytes + payload_bytes;
    }
    pthread_mutex_unlock(&workers->lock);
    if (!wanted && !last) {
        free(text);
        free(payload);
        free(result);
        return -ECANCELED;
    }
    serve_wakeup_ring(workers->wakeup);
    return wanted ? 0 : -ECANCELED;
}

static void *worker_main(void *argument)
{
    struct serve_worker *worker = argument;
    struct serve_workers *workers = worker->workers;

    pthread_mutex_lock(&workers->lock);
    while (!workers->stopping) {
        struct serve_work *work = workers->first;

        if (work == NULL) {
            pthread_cond_wait(&workers->work_came, &workers->lock);
            continue;
        }
        workers->first = work->next;
        if (workers->first == NULL) {
            workers->last = NULL;
        }
        work->next = NULL;
        workers->waiting--;
        pthread_mutex_unlock(&workers->lock);
        serve_worker_run(worker, work); /* the work is the loop's after its last part */
        pthread_mutex_lock(&workers->lock);
    }
    pthread_mutex_unlock(&workers->lock);
    ph_reader_destroy(&worker->reader);
    pthread_mutex_lock(&workers->lock);
    workers->ended++;
    pthread_cond_signal(&workers->thread_ended);
    pthread_mutex_unlock(&workers->lock);
    return NULL;
}

int serve_workers_new(const char *database, struct ph_store *store, struct serve_wakeup *wakeup,
    struct serve_workers **workers_out)
{
    struct serve_workers *workers = calloc(1, sizeof *workers);
    pthread_condattr_t monotonic;
    sigset_t all, before;
    int rv = 0;

    if (workers == NULL || (workers->database = strdup(database)) == NULL) {
        free(workers);
        return -ENOMEM;
    }
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&workers->thread_ended, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&workers->lock, NULL);
    pthread_cond_init(&workers->work_came, NULL);
    pthread_cond_init(&workers->room_came, NULL);
    workers->wakeup = wakeup;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (rv == 0 && workers->started < THREADS) {
        struct serve_worker *worker = &workers->workers[workers->started];

        *worker = (struct serve_worker){workers->database, store, NULL, workers};
        rv = -pthread_create(&workers->threads[workers->started], NULL, worker_main, worker);
        workers->started += rv == 0 ? 1 : 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (rv != 0) {
        (void)serve_workers_destroy(&workers);
        return rv;
    }
    *workers_out = workers;
    return 0;
}

/* Waits a little for the threads. false: one is deep in a query, which nothing can hurry. */
static bool threads_end(struct serve_workers *workers)
{
    struct timespec until;
    bool all;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += END_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_mutex_lock(&workers->lock);
    workers->stopping = true;
    pthread_cond_broadcast(&workers->work_came);
    pthread_cond_broadcast(&workers->room_came);
    while (workers->ended < workers->started &&
           pthread_cond_timedwait(&workers->thread_ended, &workers->lock, &until) == 0) {
    }
    all = workers->ended == workers->started;
    pthread_mutex_unlock(&workers->lock);
    return all;
}

bool serve_workers_destroy(struct serve_workers **workers_in)
{
    struct serve_workers *workers = *workers_in;
    struct serve_result *result, *next_result;
    size_t i;

    *workers_in = NULL;
    if (workers == NULL) {
        return true;
    }
    if (!threads_end(workers)) {
        return false;
    }
    for (i = 0; i < workers->started; i++) {
        pthread_join(workers->threads[i], NULL);
    }
    while (workers->first != NULL) {
        struct serve_work *work = workers->first;

        workers->first = work->next;
        serve_work_destroy(&work);
    }
    for (result = serve_workers_take(workers); result != NULL; result = next_result) {
        next_result = result->next;
        serve_result_done(workers, &result);
    }
    pthread_cond_destroy(&workers->work_came);
    pthread_cond_destroy(&workers->room_came);
    pthread_cond_destroy(&workers->thread_ended);
    pthread_mutex_destroy(&workers->lock);
    free(workers->database);
    free(workers);
    return true;
}
