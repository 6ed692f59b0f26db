#include "db/store_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "db/connect.h"

#define GROUP_BATCHES_MAX 4096
#define GROUP_OPERATIONS_MAX 50000 /* keeps an acknowledgement from waiting for a long queue */

/* 4 MiB of log wake the checkpointer. Should it not keep up (a log can only start over when all of it
 * has been copied back and nobody writes), the writer makes a checkpoint itself at 256 MiB. */
#define CHECKPOINT_PAGES 1024
#define CHECKPOINT_PAGES_MAX 65536

/* Takes a group off the queue (mutex held). */
static struct ph_batch *take_group(struct ph_store *store)
{
    struct ph_batch *group = store->first;
    struct ph_batch *end = group;
    size_t batches = 1, operations = group->count;
    while (end->next != NULL && batches < GROUP_BATCHES_MAX &&
           operations + end->next->count <= GROUP_OPERATIONS_MAX) {
        end = end->next;
        batches++;
        operations += end->count;
    }
    store->first = end->next;
    if (store->first == NULL)
        store->last = NULL;
    end->next = NULL;
    return group;
}

static bool refused(struct ph_store *store, struct ph_batch *group)
{
    if (!store->refuse_all && group->number > store->refuse_to)
        return false;
    for (struct ph_batch *batch = group; batch != NULL; batch = batch->next) {
        batch->result = store->refuse_as;
        snprintf(batch->message, sizeof batch->message,
            "not tried: an earlier batch, on which this one may build, could not be stored");
    }
    return true;
}

/* Splits the batches that stand behind a failure from those that were given after it was reported. */
static struct ph_batch *split_behind(const struct ph_store *store, struct ph_batch *group)
{
    if (store->refuse_all || group->number > store->refuse_to)
        return NULL;
    while (group->next != NULL && group->next->number <= store->refuse_to)
        group = group->next;
    struct ph_batch *rest = group->next;
    group->next = NULL;
    return rest;
}

static int note_wal(void *context, sqlite3 *db, const char *name, int pages)
{
    struct ph_store *store = context;
    (void)db;
    (void)name;
    if (pages < store->wal_pages)
        store->wal_pages_asked = 0; /* it has started over */
    store->wal_pages = pages;
    return SQLITE_OK;
}

static void care_for_wal(struct ph_store *store)
{
    if (store->wal_pages >= CHECKPOINT_PAGES_MAX) {
        sqlite3_wal_checkpoint_v2(store->writer.db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        store->wal_pages = 0;
    } else if (store->wal_pages - store->wal_pages_asked >= CHECKPOINT_PAGES) {
        store->wal_pages_asked = store->wal_pages;
        ph_checkpointer_want(&store->checkpointer);
    }
}

static uint64_t submitted(struct ph_store *store)
{
    pthread_mutex_lock(&store->mutex);
    uint64_t number = store->submitted;
    pthread_mutex_unlock(&store->mutex);
    return number;
}

/* Runs one group and reports it. Called without the mutex. */
static void do_group(struct ph_store *store, struct ph_batch *group)
{
    struct ph_batch *rest = split_behind(store, group);
    bool failed = !refused(store, group) && !ph_writer_group(&store->writer, group);
    uint64_t finished = 0;
    if (failed) {
        store->refuse_as = group->result;
        store->refuse_all = group->result == PH_STORE_UNKNOWN;
        ph_log(PH_LOG_ERROR, "store_failed", "batch=%llu reason=\"%s\"",
            (unsigned long long)group->number, group->message);
    }
    while (group != NULL) {
        struct ph_batch *batch = group;
        group = batch->next;
        finished = batch->number;
        if (store->done != NULL)
            store->done(store->context, batch->number, batch->result, batch->message);
        ph_batch_destroy(&batch);
    }
    if (failed)
        store->refuse_to = submitted(store);
    care_for_wal(store);
    pthread_mutex_lock(&store->mutex);
    store->completed = finished;
    pthread_cond_broadcast(&store->finished);
    pthread_mutex_unlock(&store->mutex);
    if (rest != NULL)
        do_group(store, rest);
}

static void do_activation(struct ph_store *store)
{
    struct ph_activation *activation = store->activation;
    store->activation = NULL;
    pthread_mutex_unlock(&store->mutex);
    activation->rv = ph_writer_activate(&store->writer, activation->manager_id, activation->above,
        &activation->term, &activation->error);
    if (activation->rv == 0)
        store->refuse_to = 0;
    pthread_mutex_lock(&store->mutex);
    activation->finished = true;
    pthread_cond_broadcast(&store->finished);
}

static void do_trim(struct ph_store *store)
{
    struct ph_retention retention = store->retention;
    store->trim_wanted = false;
    store->trimming = true;
    pthread_mutex_unlock(&store->mutex);
    int rv = store->refuse_all ? 0 : ph_writer_trim(&store->writer, &retention);
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "trim_failed", "reason=\"%s\"", strerror(-rv));
    care_for_wal(store);
    pthread_mutex_lock(&store->mutex);
    store->trimming = false;
    pthread_cond_broadcast(&store->finished);
}

static void *write_all(void *argument)
{
    struct ph_store *store = argument;
    pthread_mutex_lock(&store->mutex);
    for (;;) {
        if (store->first != NULL) {
            struct ph_batch *group = take_group(store);
            pthread_mutex_unlock(&store->mutex);
            do_group(store, group);
            pthread_mutex_lock(&store->mutex);
        } else if (store->activation != NULL) {
            do_activation(store);
        } else if (store->trim_wanted) {
            do_trim(store);
        } else if (store->stop) {
            break;
        } else {
            pthread_cond_wait(&store->wake, &store->mutex);
        }
    }
    pthread_mutex_unlock(&store->mutex);
    return NULL;
}

int ph_store_open(const char *path, enum ph_store_schema schema, ph_store_done *done, void *context,
    struct ph_store **store_out, struct ph_error *error)
{
    sqlite3 *db = NULL;
    struct ph_store *store = calloc(1, sizeof *store);
    char *copy = strdup(path);
    if (store == NULL || copy == NULL) {
        free(store);
        free(copy);
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    store->path = copy;
    store->schema = schema;
    store->done = done;
    store->context = context;
    pthread_mutex_init(&store->mutex, NULL);
    pthread_cond_init(&store->wake, NULL);
    pthread_cond_init(&store->finished, NULL);

    int rv = ph_connect_writer(path, schema, &db, error);
    if (rv != 0)
        goto no_writer;
    rv = ph_writer_init(&store->writer, db, schema, error);
    if (rv == 0) {
        sqlite3_wal_hook(db, note_wal, store);
        rv = ph_checkpointer_start(&store->checkpointer, path, error);
    }
    if (rv != 0)
        goto no_checkpointer;
    rv = pthread_create(&store->thread, NULL, write_all, store);
    if (rv == 0) {
        *store_out = store;
        return 0;
    }
    ph_error_set(error, PH_FAILED, NULL, "starting a thread: %s", strerror(rv));
    rv = -rv;
    ph_checkpointer_stop(&store->checkpointer);
no_checkpointer:
    ph_writer_fini(&store->writer);
no_writer:
    pthread_cond_destroy(&store->finished);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
    return rv;
}

int ph_store_activate_above(struct ph_store *store, const char *manager_id, int64_t above,
    int64_t *term_out, struct ph_error *error)
{
    if (store->schema != PH_SCHEMA_MANAGER || manager_id[0] == '\0' ||
        strlen(manager_id) > PH_MANAGER_ID_BYTES_MAX) {
        ph_error_set(error, PH_BAD_INPUT, "manager_id",
            "a manager's store is activated with an id of 1 to %d bytes", PH_MANAGER_ID_BYTES_MAX);
        return -EINVAL;
    }
    struct ph_activation activation = {.manager_id = manager_id, .above = above};
    pthread_mutex_lock(&store->mutex);
    while (store->activation != NULL)
        pthread_cond_wait(&store->finished, &store->mutex);
    /* cppcheck-suppress autoVariables; we wait below until the writer has let go of it */
    store->activation = &activation;
    pthread_cond_signal(&store->wake);
    while (!activation.finished)
        pthread_cond_wait(&store->finished, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
    if (activation.rv == 0)
        *term_out = activation.term;
    else if (error != NULL)
        *error = activation.error;
    return activation.rv;
}

int ph_store_activate(
    struct ph_store *store, const char *manager_id, int64_t *term_out, struct ph_error *error)
{
    return ph_store_activate_above(store, manager_id, 0, term_out, error);
}

uint64_t ph_store_commit(struct ph_store *store, struct ph_batch **batch)
{
    struct ph_batch *given = *batch;
    *batch = NULL;
    pthread_mutex_lock(&store->mutex);
    uint64_t number = ++store->submitted;
    given->number = number;
    if (store->last == NULL)
        store->first = given;
    else
        store->last->next = given;
    store->last = given;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    return number;
}

void ph_store_flush(struct ph_store *store)
{
    pthread_mutex_lock(&store->mutex);
    while (store->completed != store->submitted || store->trim_wanted || store->trimming)
        pthread_cond_wait(&store->finished, &store->mutex);
    pthread_mutex_unlock(&store->mutex);
}

void ph_store_trim(struct ph_store *store, const struct ph_retention *retention)
{
    pthread_mutex_lock(&store->mutex);
    store->retention = *retention;
    store->trim_wanted = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
}

void ph_store_destroy(struct ph_store **store_in)
{
    struct ph_store *store = *store_in;
    if (store == NULL)
        return;
    pthread_mutex_lock(&store->mutex);
    store->stop = true;
    pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    pthread_join(store->thread, NULL);
    ph_checkpointer_stop(&store->checkpointer);
    for (int i = 0; i < store->idle_count; i++)
        sqlite3_close(store->idle[i]);
    ph_writer_fini(&store->writer); /* the last connection copies the log back and removes it */
    pthread_cond_destroy(&store->finished);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->path);
    free(store);
    *store_in = NULL;
}
