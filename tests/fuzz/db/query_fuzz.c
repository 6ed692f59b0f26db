/*
 * SQL text against a small inventory: no crash, no write, no key in any answer, and an end in bounded time.
 * The first byte chooses the present or ('!') the past; after a '#', each byte stands for a word of SQL, which
 * gets past the parser far more often than text does.
 */
#define _GNU_SOURCE /* memmem, mkdtemp */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "db/query.h"
#include "db/store.h"

#define KEY "ZZSECRETKEYZZ"
#define TIMEOUT_MS 200
#define TOO_LONG_MS 8000 /* with sanitizers, on a busy machine */

static char directory[] = "/tmp/ph_query_fuzz.XXXXXX";
static char path[64];
static struct ph_reader *reader;

static void must(int ok, const char *what)
{
    if (!ok) {
        fprintf(stderr, "%s\n", what);
        abort();
    }
}

static void done(void *context, uint64_t number, enum ph_store_result result, const char *message)
{
    (void)context;
    (void)number;
    must(result == PH_STORE_OK, message);
}

static void clean_up(void)
{
    ph_reader_destroy(&reader);
    ph_tree_remove(directory);
}

static void fill(struct ph_store *store)
{
    struct ph_batch *batch = ph_batch_new();
    struct ph_node node = {.name = "n1", .public_key = (char[]){KEY}};
    struct ph_identity identity = {
        .name = "alice", .public_key = (char[]){KEY}, .token_hash = (char[]){KEY}};
    struct ph_meta meta = {.key = "secret", .value = (char[]){KEY}};
    must(ph_batch_save(batch, &ph_record_node, &node) == 0, "node");
    must(ph_batch_save(batch, &ph_record_identity, &identity) == 0, "identity");
    must(ph_batch_save(batch, &ph_record_meta, &meta) == 0, "meta");
    for (int i = 0; i < 20; i++) {
        struct ph_pool pool = {.node = "n1", .epoch = i};
        struct ph_vm vm = {.name = "vm"};
        struct ph_event event = {.id = i + 1, .at = i};
        snprintf(pool.name, sizeof pool.name, "p%d", i);
        snprintf(vm.pool, sizeof vm.pool, "p%d", i);
        must(ph_batch_save(batch, &ph_record_pool, &pool) == 0, "pool");
        must(ph_batch_save(batch, &ph_record_vm, &vm) == 0, "vm");
        must(ph_batch_save(batch, &ph_record_event, &event) == 0, "event");
    }
    node.state = PH_NODE_LOST;
    must(ph_batch_save(batch, &ph_record_node, &node) == 0, "node");
    ph_store_commit(store, &batch);
    ph_store_flush(store);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct ph_store *store = NULL;
    struct ph_error error;
    (void)argc;
    (void)argv;
    must(mkdtemp(directory) != NULL, "mkdtemp");
    snprintf(path, sizeof path, "%s/f.db", directory);
    must(ph_store_open(path, PH_SCHEMA_MANAGER, done, NULL, &store, &error) == 0, "open");
    fill(store);
    ph_store_destroy(&store);
    must(ph_reader_open(path, &reader, &error) == 0, "reader");
    atexit(clean_up);
    return 0;
}

static int look(void *context, const struct ph_texts *columns, const char *rows_json, size_t bytes,
    int64_t rows, bool more)
{
    (void)context;
    (void)rows;
    (void)more;
    must(bytes >= 2 && rows_json[0] == '[' && rows_json[bytes - 1] == ']', "not an array");
    must(memmem(rows_json, bytes, KEY, strlen(KEY)) == NULL, "a key was shown");
    for (size_t i = 0; i < columns->count; i++)
        must(columns->items[i] != NULL, "a column without a name");
    return 0;
}

static const char *const words[] = {"SELECT", "*", "FROM", "nodes", "pools", "vms", "replicas",
    "jobs", "events", "identities", "nodes_history", "pools_history", "vms_history", "main.",
    "temp.", "meta", "history_clock", "sqlite_schema", "pragma_table_info('vms')",
    "json_each(labels)", "WHERE", "name", "pool", "node", "state", "epoch", "public_key",
    "token_hash", "value", "valid_from", "id", "at", "=", "<", "IS NOT", "IN", "(", ")", ",", "AND",
    "OR", "NOT", "EXISTS", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "1", "2", "'p1'", "NULL",
    "1e999", "x'00'", "JOIN", "LEFT JOIN", "NATURAL JOIN", "ON", "USING", "UNION", "UNION ALL",
    "EXCEPT", "WITH", "RECURSIVE", "AS", "a", "b", "c", "count(*)", "max(", "sum(", "group_concat(",
    "row_number() OVER (", "PARTITION BY", "ROWS 1 PRECEDING", "printf(", "'%1000000d'", "replace(",
    "instr(", "trim(", "json_group_array(", "json_extract(", "iso(", "as_of()", "char(0)", "||",
    "+", "-", "*", "/", "CASE", "WHEN", "THEN", "ELSE", "END", "CAST(", "AS TEXT)", "LIKE",
    "'%a%a%'", "DISTINCT", "VALUES", ";", "INSERT INTO", "DELETE FROM", "UPDATE", "SET", "PRAGMA",
    "ATTACH", "EXPLAIN", "CREATE", "TEMP", "VIEW", "TABLE", "random()", "abs(", "BETWEEN",
    "COLLATE NOCASE", "FILTER (WHERE", "->>", "'$'", "MATERIALIZED", "alice", "\"a\"",
    "main.identities", "main.nodes"};

static char *text_of(const uint8_t *data, size_t size)
{
    char *sql = calloc(1, size * 32 + 1);
    char *at = sql;
    must(sql != NULL, "memory");
    if (size == 0 || data[0] != '#') {
        memcpy(sql, data, size);
        return sql;
    }
    for (size_t i = 1; i < size; i++) {
        const char *word = words[data[i] % (sizeof words / sizeof words[0])];
        at += sprintf(at, "%s%s", word, word[strlen(word) - 1] == '.' ? "" : " ");
    }
    return sql;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct stat before, after;
    struct ph_error error = {0};
    struct ph_query query = {.timeout_ms = TIMEOUT_MS, .rows_max = 1000};
    /* The asker may know what it looks for; only what comes out unasked is a finding. */
    if (size == 0 || size > PH_SQL_BYTES_MAX || memmem(data, size, "ZZ", 2) != NULL)
        return 0;
    if (data[0] == '!')
        query.as_of = INT64_MAX;
    query.sql = text_of(data + (data[0] == '!'), size - (data[0] == '!'));
    must(stat(path, &before) == 0, "stat");
    uint64_t start_ms = ph_clock_boot_ms();
    int rv = ph_reader_query(reader, &query, look, NULL, &error);
    must(ph_clock_boot_ms() - start_ms < TOO_LONG_MS, "no end in time");
    must((rv == 0) == (error.message[0] == '\0'), "an error without a message");
    must(stat(path, &after) == 0, "stat");
    must(before.st_size == after.st_size && before.st_mtim.tv_sec == after.st_mtim.tv_sec &&
             before.st_mtim.tv_nsec == after.st_mtim.tv_nsec,
        "the file was written");
    free(query.sql);
    return 0;
}
