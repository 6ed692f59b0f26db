/*
 * Fills any record of the catalogue with random values within its limits, from a seed: for the
 * property tests and the fuzzer of records.
 */
#ifndef PH_TEST_RANDOM_RECORD_H
#define PH_TEST_RANDOM_RECORD_H

#include <stdlib.h>
#include <string.h>
#include "proto/catalogue.h"
#include "proto/record.h"

struct random_source {
    uint64_t state;
};

static inline uint32_t random_next(struct random_source *source)
{
    /* xorshift64*, by Marsaglia and Vigna. */
    source->state ^= source->state >> 12;
    source->state ^= source->state << 25;
    source->state ^= source->state >> 27;
    return (uint32_t)((source->state * 2685821657736338717u) >> 32);
}

static inline uint32_t random_below(struct random_source *source, uint32_t limit)
{
    return limit == 0 ? 0 : random_next(source) % limit;
}

static inline void random_name(struct random_source *source, char *out)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789._-";
    size_t bytes = 1 + random_below(source, random_below(source, 4) == 0 ? 63 : 12);

    for (size_t i = 0; i < bytes; i++)
        out[i] = letters[random_below(source, i == 0 ? 36 : 39)];
    out[bytes] = '\0';
}

/* At most `most` bytes of text that is hard to carry: quotes, controls, all lengths of UTF-8. */
static inline void random_text(struct random_source *source, char *out, size_t most)
{
    static const char *const pieces[] = {"a", "Z", "\"", "\\", "/", "\n", "\t", "\r", "\x01",
        "\x1f", "\x7f", "\xc2\x80", "\xc3\xa4", "\xe2\x82\xac", "\xe2\x80\xa8", "\xf0\x9f\x98\x80",
        "</", " ", "{", "}", "[", ",", ":", "null", "'", "%s"};
    size_t used = 0, wanted = random_below(source, 24);

    for (size_t i = 0; i < wanted; i++) {
        const char *piece = pieces[random_below(source, sizeof pieces / sizeof pieces[0])];
        if (used + strlen(piece) > most)
            break;
        memcpy(out + used, piece, strlen(piece));
        used += strlen(piece);
    }
    if (used == 0 && most > 0)
        out[used++] = 'x';
    out[used] = '\0';
}

static inline int64_t random_int(struct random_source *source, int64_t min, int64_t max)
{
    uint64_t span = (uint64_t)max - (uint64_t)min;
    uint64_t wide = (uint64_t)random_next(source) << 32 | random_next(source);

    switch (random_below(source, 4)) {
    case 0:
        return min;
    case 1:
        return max;
    case 2:
        return (int64_t)((uint64_t)min + (span < 100 ? wide % (span + 1) : wide % 100));
    default:
        return (int64_t)((uint64_t)min + (span == UINT64_MAX ? wide : wide % (span + 1)));
    }
}

static inline void random_record(
    struct random_source *source, const struct ph_record *record, void *value, int depth)
{
    static const char *const json[] = {
        "null", "{}", "[1,2,{\"a\":\"b\"}]", "\"text\"", "-5", "true"};
    char text[128];

    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        void *at = (char *)value + field->offset;
        int64_t most = field->max < 100 ? field->max : 100;
        if ((field->flags & PH_REQ) == 0 && random_below(source, 3) == 0)
            continue;
        switch (field->kind) {
        case PH_FIELD_NAME:
            random_name(source, at);
            break;
        case PH_FIELD_TEXT:
            random_text(source, text, (size_t)most);
            while ((int64_t)strlen(text) < field->min && (int64_t)strlen(text) < 100)
                strcat(text, "x");
            ph_set_text(at, text);
            break;
        case PH_FIELD_INT:
            *(int64_t *)at = random_int(source, field->min, field->max);
            break;
        case PH_FIELD_BOOL:
            *(bool *)at = random_below(source, 2) == 1;
            break;
        case PH_FIELD_ENUM: {
            int word = (int)random_below(source, (uint32_t)field->enumeration->count);
            memcpy(at, &word, sizeof word);
            break;
        }
        case PH_FIELD_TEXTS:
            for (uint32_t n = random_below(source, most < 5 ? (uint32_t)most + 1 : 6); n > 0; n--) {
                random_text(source, text, 100);
                ph_texts_add(at, text);
            }
            break;
        case PH_FIELD_JSON:
            ph_set_text(at, json[1 + random_below(source, 5)]);
            break;
        case PH_FIELD_ONE:
            random_record(source, field->record, at, depth + 1);
            break;
        case PH_FIELD_MANY:
            for (uint32_t n = random_below(source, depth < 2 && most > 3 ? 5 : 2); n > 0; n--)
                random_record(source, field->record, ph_many_add(field->record, at), depth + 1);
            break;
        }
    }
}

#define PH_TEST_LIST_RECORD(name) &ph_record_##name,
static const struct ph_record *const every_record[] = {
    /* clang-format off */
    PH_SETTINGS_RECORDS(PH_TEST_LIST_RECORD)
    PH_RECORDS(PH_TEST_LIST_RECORD)
    PH_AGENT_RECORDS(PH_TEST_LIST_RECORD)
    PH_OPERATOR_RECORDS(PH_TEST_LIST_RECORD)
    PH_STREAM_RECORDS(PH_TEST_LIST_RECORD)
    PH_DECLARATION_RECORDS(PH_TEST_LIST_RECORD)
    PH_FENCING_RECORDS(PH_TEST_LIST_RECORD)
    PH_CONFIG_RECORDS(PH_TEST_LIST_RECORD)
    /* clang-format on */
};
#define EVERY_RECORD (sizeof every_record / sizeof every_record[0])

#endif
