/*
 * bench_commit DIRECTORY SECONDS
 *
 * Durable state changes a second: batches of one row through the store, with many under way, and
 * SQLite alone with a commit for each row (WAL, synchronous=FULL), on one file system. Both update the
 * state of one of 1,000 pools in the same table; the store writes their history as well. In turns of a
 * second, since a disk is not equally fast all the time. One JSON object on stdout.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "db/store.h"

#define POOLS 1000
#define UNDER_WAY 1000

static atomic_ullong done_count;
static atomic_bool failed;

static void done(void *context, uint64_t number, enum ph_store_result result, const char *message)
{
    (void)context;
    (void)number;
    if (result != PH_STORE_OK) {
        fprintf(stderr, "bench_commit: %s\n", message);
        atomic_store(&failed, true);
    }
    atomic_fetch_add(&done_count, 1);
}

static void die(const char *what)
{
    fprintf(stderr, "bench_commit: %s\n", what);
    exit(1);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void save(struct ph_store *store, int pool, int64_t turn)
{
    char reason[64];
    struct ph_pool row = {.driver = "directory",
        .state = turn % 2 ? PH_POOL_ACTIVE : PH_POOL_WAITING,
        .epoch = 1,
        .since = turn,
        .reason = reason};
    struct ph_batch *batch = ph_batch_new();

    snprintf(reason, sizeof reason, "change %lld", (long long)turn);
    snprintf(row.name, sizeof row.name, "p%04d", pool);
    if (batch == NULL || ph_batch_save(batch, &ph_record_pool, &row) != 0) {
        die("out of memory");
    }
    ph_store_commit(store, &batch);
}

/* A second of commits, with as many under way as a busy loop has. Changes a second. */
static double ours(struct ph_store *store, int64_t *turn)
{
    unsigned long long before = atomic_load(&done_count), given = 0;
    double began = now_s();

    while (now_s() - began < 1) {
        if (given - (atomic_load(&done_count) - before) >= UNDER_WAY) {
            nanosleep(&(struct timespec){0, 200000}, NULL);
            continue;
        }
        save(store, (int)(*turn % POOLS), *turn / POOLS);
        ++*turn;
        given++;
    }
    ph_store_flush(store);
    if (atomic_load(&failed)) {
        die("a batch failed");
    }
    return (double)given / (now_s() - began);
}

static void sql(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        die(sqlite3_errmsg(db));
    }
}

static double raw(sqlite3_stmt *update, int64_t *turn)
{
    double began = now_s();
    int count = 0;

    while (now_s() - began < 1) {
        char name[16], reason[64];

        snprintf(name, sizeof name, "p%04d", (int)(*turn % POOLS));
        snprintf(reason, sizeof reason, "change %lld", (long long)(*turn / POOLS));
        sqlite3_bind_text(update, 1, *turn / POOLS % 2 ? "active" : "waiting", -1, SQLITE_STATIC);
        sqlite3_bind_int64(update, 2, *turn / POOLS);
        sqlite3_bind_text(update, 3, reason, -1, SQLITE_STATIC);
        sqlite3_bind_text(update, 4, name, -1, SQLITE_STATIC);
        if (sqlite3_step(update) != SQLITE_DONE) {
            die("the raw update failed");
        }
        sqlite3_reset(update);
        ++*turn;
        count++;
    }
    return count / (now_s() - began);
}

static sqlite3 *raw_open(const char *path)
{
    sqlite3 *db;
    char text[128];
    int i;

    if (sqlite3_open(path, &db) != SQLITE_OK) {
        die("cannot open the raw database");
    }
    sql(db,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
        "CREATE TABLE pools (name TEXT PRIMARY KEY, driver TEXT, state TEXT, since INTEGER, reason "
        "TEXT) STRICT, WITHOUT ROWID; BEGIN");
    for (i = 0; i < POOLS; i++) {
        snprintf(text, sizeof text,
            "INSERT INTO pools VALUES ('p%04d', 'directory', 'waiting', 0, '')", i);
        sql(db, text);
    }
    sql(db, "COMMIT");
    return db;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    char path[4096];
    struct ph_store *store;
    struct ph_error error = {0};
    sqlite3 *db;
    sqlite3_stmt *update;
    double rates[2][100];
    int64_t turn = 0, raw_turn = 0, term;
    int rounds = 0, i;

    if (argc != 3 || (rounds = atoi(argv[2])) < 1 || rounds > 100) {
        die("usage: bench_commit DIRECTORY SECONDS");
    }
    ph_text_format(path, sizeof path, "%s/store.db", argv[1]);
    if (ph_store_open(path, PH_SCHEMA_MANAGER, done, NULL, &store, &error) != 0 ||
        ph_store_activate(store, "bench", &term, &error) != 0) {
        die(error.message);
    }
    ph_text_format(path, sizeof path, "%s/raw.db", argv[1]);
    db = raw_open(path);
    if (sqlite3_prepare_v2(db,
            "UPDATE pools SET state = ?1, since = ?2, reason = ?3 WHERE name = ?4", -1, &update,
            NULL) != SQLITE_OK) {
        die(sqlite3_errmsg(db));
    }
    for (i = 0; i < rounds; i++) {
        rates[0][i] = ours(store, &turn);
        rates[1][i] = raw(update, &raw_turn);
    }
    qsort(rates[0], (size_t)rounds, sizeof(double), by_size);
    qsort(rates[1], (size_t)rounds, sizeof(double), by_size);
    printf("{\"rate\":%.1f,\"rate_raw\":%.1f,\"rounds\":%d}\n", rates[0][rounds / 2],
        rates[1][rounds / 2], rounds);
    sqlite3_finalize(update);
    sqlite3_close(db);
    ph_store_destroy(&store);
    return 0;
}
