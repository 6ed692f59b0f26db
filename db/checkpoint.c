#include "db/checkpoint.h"

#include <errno.h>
#include <string.h>

#include "db/connect.h"

static void *run(void *argument)
{
    struct ph_checkpointer *checkpointer = argument;
    pthread_mutex_lock(&checkpointer->mutex);
    while (!checkpointer->stop) {
        if (!checkpointer->wanted) {
            pthread_cond_wait(&checkpointer->wake, &checkpointer->mutex);
            continue;
        }
        checkpointer->wanted = false;
        pthread_mutex_unlock(&checkpointer->mutex);
        /* A failure only means that the log stays longer; the writer meets the disk's trouble itself. */
        sqlite3_wal_checkpoint_v2(checkpointer->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
        pthread_mutex_lock(&checkpointer->mutex);
    }
    pthread_mutex_unlock(&checkpointer->mutex);
    return NULL;
}

int ph_checkpointer_start(
    struct ph_checkpointer *checkpointer, const char *path, struct ph_error *error)
{
    *checkpointer = (struct ph_checkpointer){0};
    int code = sqlite3_open_v2(path, &checkpointer->db,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(checkpointer->db,
            "PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 0", NULL, NULL, NULL);
    if (code != SQLITE_OK) {
        int rv = ph_sqlite_failed(checkpointer->db, code, "opening", path, error);
        sqlite3_close(checkpointer->db);
        return rv;
    }
    pthread_mutex_init(&checkpointer->mutex, NULL);
    pthread_cond_init(&checkpointer->wake, NULL);
    int rv = pthread_create(&checkpointer->thread, NULL, run, checkpointer);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "starting a thread: %s", strerror(rv));
        pthread_cond_destroy(&checkpointer->wake);
        pthread_mutex_destroy(&checkpointer->mutex);
        sqlite3_close(checkpointer->db);
        return -rv;
    }
    return 0;
}

void ph_checkpointer_want(struct ph_checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->wanted = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->mutex);
}

void ph_checkpointer_stop(struct ph_checkpointer *checkpointer)
{
    pthread_mutex_lock(&checkpointer->mutex);
    checkpointer->stop = true;
    pthread_cond_signal(&checkpointer->wake);
    pthread_mutex_unlock(&checkpointer->mutex);
    pthread_join(checkpointer->thread, NULL);
    pthread_cond_destroy(&checkpointer->wake);
    pthread_mutex_destroy(&checkpointer->mutex);
    sqlite3_close(checkpointer->db);
}
