/* What the tests of db/ share: a store in a directory of its own, and rows by the catalogue. */
#ifndef PH_TESTS_UNIT_DB_SUPPORT_H
#define PH_TESTS_UNIT_DB_SUPPORT_H

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "db/query.h"
#include "db/store_parts.h"

#define BED_RESULTS 4096

struct bed {
    char dir[256];
    char path[300];
    struct ph_store *store;
    uint64_t done_count; /* written by the writer thread; read after ph_store_flush() */
    enum ph_store_result results[BED_RESULTS];
    char message[PH_STORE_MESSAGE_BYTES]; /* the last that was not empty */
};

static inline void bed_done(
    void *context, uint64_t number, enum ph_store_result result, const char *message)
{
    struct bed *bed = context;
    assert_true(number == bed->done_count + 1); /* in order, each once */
    bed->done_count = number;
    bed->results[number % BED_RESULTS] = result;
    if (message[0] != '\0')
        snprintf(bed->message, sizeof bed->message, "%s", message);
}

static inline void bed_directory(struct bed *bed)
{
    const char *base = getenv("TMPDIR");
    memset(bed, 0, sizeof *bed);
    snprintf(bed->dir, sizeof bed->dir, "%s/ph_db.XXXXXX", base == NULL ? "/tmp" : base);
    assert_non_null(mkdtemp(bed->dir));
    snprintf(bed->path, sizeof bed->path, "%s/inventory.db", bed->dir);
}

static inline void bed_open(struct bed *bed, enum ph_store_schema schema)
{
    struct ph_error error = {0};
    bed->done_count = 0;
    int rv = ph_store_open(bed->path, schema, bed_done, bed, &bed->store, &error);
    if (rv != 0)
        fail_msg("open: %d %s", rv, error.message);
}

static inline void bed_init(struct bed *bed, enum ph_store_schema schema)
{
    bed_directory(bed);
    bed_open(bed, schema);
}

static inline void bed_fini(struct bed *bed)
{
    ph_store_destroy(&bed->store);
    assert_int_equal(ph_tree_remove(bed->dir), 0);
}

static inline enum ph_store_result bed_commit(struct bed *bed, struct ph_batch *batch)
{
    uint64_t number = ph_store_commit(bed->store, &batch);
    assert_null(batch);
    ph_store_flush(bed->store);
    assert_true(bed->done_count >= number);
    return bed->results[number % BED_RESULTS];
}

static inline enum ph_store_result bed_save(
    struct bed *bed, const struct ph_record *record, const void *row)
{
    struct ph_batch *batch = ph_batch_new();
    assert_int_equal(ph_batch_save(batch, record, row), 0);
    return bed_commit(bed, batch);
}

static inline enum ph_store_result bed_remove(
    struct bed *bed, const struct ph_record *record, const void *row)
{
    struct ph_batch *batch = ph_batch_new();
    assert_int_equal(ph_batch_remove(batch, record, row), 0);
    return bed_commit(bed, batch);
}

/* Numbers that are the same in every run. */
static inline uint64_t draw(uint64_t *seed)
{
    uint64_t x = (*seed += 0x9e3779b97f4a7c15u);
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline void random_name(uint64_t *seed, char *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t bytes = 1 + draw(seed) % PH_NAME_BYTES_MAX;
    for (size_t i = 0; i < bytes; i++)
        out[i] = letters[draw(seed) % (i == 0 ? 36 : sizeof letters - 1)];
    out[bytes] = '\0';
}

/* Well-formed UTF-8 with everything that needs care in SQL and JSON. */
static inline char *random_text(uint64_t *seed, size_t bytes_max)
{
    static const char *const pieces[] = {"a", "'", "\"", "\\", "\n", "\t", "\x01", "\x7f", ";--",
        "é", "€", "𝄞", "[]", "{}", "NULL", "%s", " ", "0", "\xef\xbf\xbd", "/"};
    size_t aim = draw(seed) % (bytes_max + 1);
    char *text = calloc(1, bytes_max + 1);
    for (size_t used = 0;;) {
        const char *piece = pieces[draw(seed) % (sizeof pieces / sizeof pieces[0])];
        used += strlen(piece);
        if (used > aim)
            return text;
        strcat(text, piece);
    }
}

static inline void random_field(const struct ph_field *field, char *member, uint64_t *seed)
{
    uint64_t span = (uint64_t)field->max - (uint64_t)field->min;
    switch (field->kind) {
    case PH_FIELD_NAME:
        if (field->flags != PH_OPT || draw(seed) % 4 != 0)
            random_name(seed, member);
        break;
    case PH_FIELD_TEXT: {
        char *text = random_text(seed, (size_t)(field->max < 300 ? field->max : 300));
        assert_int_equal(ph_set_text((char **)(void *)member, text), 0);
        free(text);
        break;
    }
    case PH_FIELD_INT:
        *(int64_t *)(void *)member =
            (int64_t)((uint64_t)field->min +
                      (span == UINT64_MAX ? draw(seed) : draw(seed) % (span + 1)));
        break;
    case PH_FIELD_BOOL:
        *(bool *)(void *)member = draw(seed) % 2 == 1;
        break;
    case PH_FIELD_ENUM:
        *(int *)(void *)member = (int)(draw(seed) % field->enumeration->count);
        break;
    case PH_FIELD_TEXTS:
        for (uint64_t i = draw(seed) % 5; i > 0; i--) {
            char *text = random_text(seed, 60);
            assert_int_equal(ph_texts_add((struct ph_texts *)(void *)member, text), 0);
            free(text);
        }
        break;
    case PH_FIELD_JSON:
        if (draw(seed) % 3 != 0)
            assert_int_equal(
                ph_set_text((char **)(void *)member, "{\"kind\":\"hold\",\"x\":[1,\"é\"]}"), 0);
        break;
    case PH_FIELD_ONE:
    case PH_FIELD_MANY:
        fail_msg("a stored record with a nested one: %s", field->name);
    }
}

static inline void random_row(const struct ph_record *record, void *row, uint64_t *seed)
{
    memset(row, 0, record->size);
    for (size_t i = 0; i < record->field_count; i++)
        random_field(&record->fields[i], (char *)row + record->fields[i].offset, seed);
}

/* The columns and rows of a query as one text, its error, and how it came in parts. */
struct answer {
    int rv;
    char *json;
    size_t bytes;
    int64_t rows;
    int parts;
    bool ended; /* a part said that no other follows */
    char columns[1024];
    struct ph_error error;
};

static inline int answer_part(void *context, const struct ph_texts *columns, const char *rows_json,
    size_t bytes, int64_t rows, bool more)
{
    struct answer *answer = context;
    assert_false(answer->ended);
    assert_true(bytes >= 2 && rows_json[0] == '[' && rows_json[bytes - 1] == ']');
    char *bigger = realloc(answer->json, answer->bytes + bytes + 1);
    assert_non_null(bigger);
    answer->json = bigger;
    memcpy(answer->json + answer->bytes, rows_json, bytes);
    answer->bytes += bytes;
    answer->json[answer->bytes] = '\0';
    answer->rows += rows;
    answer->parts++;
    answer->ended = !more;
    answer->columns[0] = '\0';
    for (size_t i = 0; i < columns->count; i++)
        snprintf(answer->columns + strlen(answer->columns),
            sizeof answer->columns - strlen(answer->columns), "%s%s", i == 0 ? "" : ",",
            columns->items[i]);
    return 0;
}

static inline void ask_query(
    struct ph_reader *reader, const struct ph_query *query, struct answer *answer)
{
    memset(answer, 0, sizeof *answer);
    answer->rv = ph_reader_query(reader, query, answer_part, answer, &answer->error);
    assert_true(answer->rv != 0 || answer->ended);
    assert_true(answer->rv == 0 || answer->error.message[0] != '\0');
}

static inline void ask_as_of(
    struct ph_reader *reader, const char *sql, int64_t as_of, struct answer *answer)
{
    struct ph_query query = {.as_of = as_of};
    assert_int_equal(ph_set_text(&query.sql, sql), 0);
    ask_query(reader, &query, answer);
    free(query.sql);
}

static inline void ask_sql(struct ph_reader *reader, const char *sql, struct answer *answer)
{
    ask_as_of(reader, sql, 0, answer);
}

/* Asks and compares the whole JSON. */
static inline void expect_as_of(
    struct ph_reader *reader, const char *sql, int64_t as_of, const char *json)
{
    struct answer answer;
    ask_as_of(reader, sql, as_of, &answer);
    if (answer.rv != 0)
        fail_msg("%s\n-> %d %s", sql, answer.rv, answer.error.message);
    assert_string_equal(answer.json, json);
    free(answer.json);
}

static inline void expect_json(struct ph_reader *reader, const char *sql, const char *json)
{
    expect_as_of(reader, sql, 0, json);
}

static inline void expect_refused(
    struct ph_reader *reader, const char *sql, int64_t as_of, int rv, const char *part)
{
    struct answer answer;
    ask_as_of(reader, sql, as_of, &answer);
    if (answer.rv != rv || strstr(answer.error.message, part) == NULL)
        fail_msg("%s\n-> %d \"%s\" %s, not %d \"%s\"", sql, answer.rv, answer.error.message,
            answer.json == NULL ? "" : answer.json, rv, part);
    free(answer.json);
}

static inline void bed_reader(struct bed *bed, struct ph_reader **reader_out)
{
    struct ph_error error = {0};
    if (ph_reader_open(bed->path, reader_out, &error) != 0)
        fail_msg("reader: %s", error.message);
}

#endif
