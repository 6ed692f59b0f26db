/*
 * What the libraries alone need for what a manager does with a whole inventory. One JSON object each.
 *
 *   bench_raw_inventory apply FILE DIRECTORY   libyaml's events of a declaration; then as many rows of
 *                                              pools and vms into an SQLite file, in one transaction
 *   bench_raw_inventory load DATABASE          every column of every pool and vm through SQLite
 */
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <yaml.h>

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void die(const char *what)
{
    fprintf(stderr, "bench_raw_inventory: %s\n", what);
    exit(1);
}

/* Names a pool and a VM for each "- name:" at the two depths of a declaration. */
static long parse(const char *path)
{
    FILE *file = fopen(path, "rb");
    yaml_parser_t parser;
    yaml_event_t event;
    long names = 0;
    int more = 1;

    if (file == NULL || !yaml_parser_initialize(&parser)) {
        die(path);
    }
    yaml_parser_set_input_file(&parser, file);
    while (more) {
        if (!yaml_parser_parse(&parser, &event)) {
            die("not YAML");
        }
        names += event.type == YAML_SCALAR_EVENT && event.data.scalar.length == 4 &&
                 memcmp(event.data.scalar.value, "name", 4) == 0;
        more = event.type != YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    fclose(file);
    return names;
}

static void run(sqlite3 *db, const char *text)
{
    if (sqlite3_exec(db, text, NULL, NULL, NULL) != SQLITE_OK) {
        die(sqlite3_errmsg(db));
    }
}

static void insert(sqlite3 *db, long pools)
{
    sqlite3_stmt *pool, *vm;
    long i;

    run(db,
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
        "CREATE TABLE pools (name TEXT PRIMARY KEY, driver TEXT, state TEXT, cpu INTEGER, memory "
        "INTEGER, disk INTEGER, reason TEXT) STRICT, WITHOUT ROWID;"
        "CREATE TABLE vms (pool TEXT REFERENCES pools, name TEXT, kind TEXT, command TEXT, state "
        "TEXT, PRIMARY KEY (pool, name)) STRICT, WITHOUT ROWID; BEGIN");
    sqlite3_prepare_v2(db,
        "INSERT INTO pools VALUES (?1, 'directory', 'unassigned', 1000, 128, 256, '')", -1, &pool,
        NULL);
    sqlite3_prepare_v2(db,
        "INSERT INTO vms VALUES (?1, 'vm', 'process', '[\"sleep\",\"1000\"]', 'stopped')", -1, &vm,
        NULL);
    for (i = 0; i < pools; i++) {
        char name[32];
        int bytes = snprintf(name, sizeof name, "p%05ld", i);

        sqlite3_bind_text(pool, 1, name, bytes, SQLITE_STATIC);
        sqlite3_bind_text(vm, 1, name, bytes, SQLITE_STATIC);
        if (sqlite3_step(pool) != SQLITE_DONE || sqlite3_step(vm) != SQLITE_DONE) {
            die(sqlite3_errmsg(db));
        }
        sqlite3_reset(pool);
        sqlite3_reset(vm);
    }
    sqlite3_finalize(pool);
    sqlite3_finalize(vm);
    run(db, "COMMIT");
}

static long load(sqlite3 *db, const char *table)
{
    char text[64];
    sqlite3_stmt *statement;
    long rows = 0;
    int i;

    snprintf(text, sizeof text, "SELECT * FROM %s", table);
    if (sqlite3_prepare_v2(db, text, -1, &statement, NULL) != SQLITE_OK) {
        die(sqlite3_errmsg(db));
    }
    while (sqlite3_step(statement) == SQLITE_ROW) {
        for (i = 0; i < sqlite3_column_count(statement); i++) {
            free(strdup(sqlite3_column_text(statement, i) == NULL
                            ? ""
                            : (const char *)sqlite3_column_text(statement, i)));
        }
        rows++;
    }
    sqlite3_finalize(statement);
    return rows;
}

int main(int argc, char **argv)
{
    double began = now_s();
    char path[4096];
    sqlite3 *db;
    long count;

    if (argc == 4 && strcmp(argv[1], "apply") == 0) {
        count = parse(argv[2]) / 2;
        snprintf(path, sizeof path, "%s/raw.db", argv[3]);
        if (sqlite3_open(path, &db) != SQLITE_OK) {
            die(path);
        }
        insert(db, count);
    } else if (argc == 3 && strcmp(argv[1], "load") == 0) {
        if (sqlite3_open_v2(argv[2], &db, SQLITE_OPEN_READONLY, NULL) != SQLITE_OK) {
            die(argv[2]);
        }
        count = load(db, "pools") + load(db, "vms");
    } else {
        die("usage: bench_raw_inventory apply FILE DIRECTORY | load DATABASE");
    }
    sqlite3_close(db);
    printf("{\"seconds\":%.6f,\"count\":%ld}\n", now_s() - began, count);
    return 0;
}
