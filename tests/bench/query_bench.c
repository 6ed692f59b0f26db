/*
 * bench_query DATABASE POOL VM REPEATS
 *
 * Queries over an inventory: through the library people's queries go through (db/query.h), and through
 * SQLite itself on the same file, in the same process. One JSON object on stdout, times in seconds.
 *   point      one VM by its key, REPEATS times; raw: prepare, step, read, finalize each time
 *   kept       raw with one prepared statement kept, for comparison
 *   all        every VM as JSON text; raw: sqlite3_step and the same text put together by hand
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "db/query.h"

#define ALL                                                                                        \
    "SELECT pool, name, position, kind, state, pid, restarts, node FROM vms ORDER BY pool, name"
/* What the view vms is, on the tables. */
#define RAW_ALL                                                                                    \
    "SELECT v.pool, v.name, v.position, v.kind, v.state, v.pid, v.restarts, p.node FROM vms v "    \
    "JOIN "                                                                                        \
    "pools p ON p.name = v.pool ORDER BY v.pool, v.name"
#define RAW_POINT                                                                                  \
    "SELECT v.name, v.state, p.node FROM vms v JOIN pools p ON p.name = v.pool WHERE v.pool = ?1 " \
    "AND "                                                                                         \
    "v.name = ?2"

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now); /* others use this machine too */
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_query: %s\n", what);
    exit(1);
}

struct taken {
    size_t bytes;
    int64_t rows;
};

static int part(void *context, const struct ph_texts *columns, const char *json, size_t bytes,
    int64_t rows, bool more)
{
    struct taken *taken = context;

    (void)columns;
    (void)json;
    (void)more;
    taken->bytes += bytes;
    taken->rows += rows;
    return 0;
}

static struct taken ours(struct ph_reader *reader, const char *sql)
{
    struct taken taken = {0};
    struct ph_error error = {0};
    char text[512];
    struct ph_query query = {.sql = text};

    snprintf(text, sizeof text, "%s", sql);
    if (ph_reader_query(reader, &query, part, &taken, &error) != 0) {
        die(error.message);
    }
    return taken;
}

static sqlite3_stmt *prepared(sqlite3 *db, const char *sql)
{
    sqlite3_stmt *statement;

    if (sqlite3_prepare_v2(db, sql, -1, &statement, NULL) != SQLITE_OK) {
        die(sqlite3_errmsg(db));
    }
    return statement;
}

/* Reads one row as text: the least a caller does with it. */
static void raw_point(sqlite3_stmt *statement, const char *pool, const char *vm)
{
    sqlite3_bind_text(statement, 1, pool, -1, SQLITE_STATIC);
    sqlite3_bind_text(statement, 2, vm, -1, SQLITE_STATIC);
    if (sqlite3_step(statement) != SQLITE_ROW || sqlite3_column_text(statement, 0) == NULL ||
        sqlite3_column_text(statement, 1) == NULL || sqlite3_column_text(statement, 2) == NULL ||
        sqlite3_step(statement) != SQLITE_DONE) {
        die("the raw look-up found nothing");
    }
}

/* ---- the same JSON by hand ---- */
static char *buffer;
static size_t used, room;

static void put(const char *bytes, size_t count)
{
    memcpy(buffer + used, bytes, count);
    used += count;
}

static void need(size_t bytes)
{
    if (used + bytes > room) {
        room = (used + bytes) * 2;
        buffer = realloc(buffer, room);
        if (buffer == NULL) {
            die("out of memory");
        }
    }
}

static void put_text(const unsigned char *text, size_t bytes)
{
    static const char hex[] = "0123456789abcdef";
    size_t i;

    need(bytes * 6 + 2);
    buffer[used++] = '"';
    for (i = 0; i < bytes; i++) {
        unsigned char c = text[i];

        if (c >= 0x20 && c != '"' && c != '\\') {
            buffer[used++] = (char)c;
        } else if (c == '"' || c == '\\') {
            buffer[used++] = '\\';
            buffer[used++] = (char)c;
        } else {
            put("\\u00", 4);
            buffer[used++] = hex[c >> 4];
            buffer[used++] = hex[c & 15];
        }
    }
    buffer[used++] = '"';
}

static struct taken raw_all(sqlite3 *db)
{
    sqlite3_stmt *statement = prepared(db, RAW_ALL);
    int columns = sqlite3_column_count(statement), i;
    struct taken taken = {0};

    used = 0;
    while (sqlite3_step(statement) == SQLITE_ROW) {
        taken.rows++;
        need(256);
        buffer[used++] = taken.rows == 1 ? '[' : ',';
        buffer[used++] = '{';
        for (i = 0; i < columns; i++) {
            const char *name = sqlite3_column_name(statement, i);
            char number[24];

            need(strlen(name) + 64);
            if (i > 0) {
                buffer[used++] = ',';
            }
            buffer[used++] = '"';
            put(name, strlen(name));
            put("\":", 2);
            if (sqlite3_column_type(statement, i) == SQLITE_INTEGER) {
                put(number, (size_t)snprintf(number, sizeof number, "%lld",
                                (long long)sqlite3_column_int64(statement, i)));
            } else {
                const unsigned char *text = sqlite3_column_text(statement, i);

                put_text(text, (size_t)sqlite3_column_bytes(statement, i));
            }
        }
        buffer[used++] = '}';
        if (used >= 1024 * 1024) { /* handed out in parts, as the library does */
            taken.bytes += used;
            used = 0;
        }
    }
    buffer[used++] = ']';
    taken.bytes += used;
    sqlite3_finalize(statement);
    return taken;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

static double median(double *values, size_t count)
{
    qsort(values, count, sizeof *values, by_size);
    return values[count / 2];
}

#define ROUNDS 7

int main(int argc, char **argv)
{
    double point[2][ROUNDS], kept[ROUNDS], all[2][ROUNDS], began;
    struct taken mine = {0}, raw = {0};
    struct ph_reader *reader;
    struct ph_error error = {0};
    char sql[300];
    sqlite3 *db;
    sqlite3_stmt *statement;
    int repeats, round, i;

    if (argc != 5) {
        die("usage: bench_query DATABASE POOL VM REPEATS");
    }
    repeats = atoi(argv[4]);
    if (ph_reader_open(argv[1], &reader, &error) != 0) {
        die(error.message);
    }
    if (sqlite3_open_v2(argv[1], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
        die("cannot open the database");
    }
    for (round = 0; round < ROUNDS; round++) { /* in turns, so that both see the same machine */
        began = now_s();
        for (i = 0; i < repeats;
             i++) { /* another text each time: nothing is answered from memory */
            snprintf(sql, sizeof sql,
                "SELECT name, state, node FROM vms WHERE pool = '%s' AND name = '%s' AND %d",
                argv[2], argv[3], i + 1);
            if (ours(reader, sql).rows != 1) {
                die("the look-up found nothing");
            }
        }
        point[0][round] = (now_s() - began) / repeats;
        began = now_s();
        for (i = 0; i < repeats; i++) {
            statement = prepared(db, RAW_POINT);
            raw_point(statement, argv[2], argv[3]);
            sqlite3_finalize(statement);
        }
        point[1][round] = (now_s() - began) / repeats;
        statement = prepared(db, RAW_POINT);
        began = now_s();
        for (i = 0; i < repeats; i++) {
            raw_point(statement, argv[2], argv[3]);
            sqlite3_reset(statement);
        }
        kept[round] = (now_s() - began) / repeats;
        sqlite3_finalize(statement);
        began = now_s();
        mine = ours(reader, ALL);
        all[0][round] = now_s() - began;
        began = now_s();
        raw = raw_all(db);
        all[1][round] = now_s() - began;
    }
    printf("{\"point\":%.9f,\"point_raw\":%.9f,\"point_kept\":%.9f,\"all\":%.6f,\"all_raw\":%.6f,"
           "\"rows\":%lld,\"bytes\":%zu,\"rows_raw\":%lld,\"bytes_raw\":%zu}\n",
        median(point[0], ROUNDS), median(point[1], ROUNDS), median(kept, ROUNDS),
        median(all[0], ROUNDS), median(all[1], ROUNDS), (long long)mine.rows, mine.bytes,
        (long long)raw.rows, raw.bytes);
    sqlite3_close(db);
    ph_reader_destroy(&reader);
    free(buffer);
    return 0;
}
