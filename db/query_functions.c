#include "db/query_parts.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

/* SQLite's own instr, replace and trim compare every position with every byte of their second argument:
 * on two megabytes that is minutes without a place to stop. These refuse such pairs. */
#define PRODUCT_MAX (64 * 1024 * 1024)

static void iso(sqlite3_context *context, int count, sqlite3_value **values)
{
    char text[64];
    (void)count;
    if (sqlite3_value_numeric_type(values[0]) != SQLITE_INTEGER ||
        sqlite3_value_int64(values[0]) <= 0)
        return; /* NULL: 0 stands for never */
    ph_clock_format_wall(sqlite3_value_int64(values[0]), text, sizeof text);
    sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

static void now_ms(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct ph_reader *reader = sqlite3_user_data(context);
    (void)count;
    (void)values;
    sqlite3_result_int64(context, reader->now_ms);
}

static void as_of(sqlite3_context *context, int count, sqlite3_value **values)
{
    const struct ph_reader *reader = sqlite3_user_data(context);
    (void)count;
    (void)values;
    sqlite3_result_int64(context, reader->as_of == 0 ? reader->now_ms : reader->as_of);
}

struct bytes {
    const char *at;
    size_t count;
};

/* The text of a value; false when it is NULL or memory is out (the result is then set). */
static bool text_of(sqlite3_context *context, sqlite3_value *value, struct bytes *out)
{
    if (sqlite3_value_type(value) == SQLITE_NULL)
        return false;
    out->at = (const char *)sqlite3_value_text(value);
    out->count = (size_t)sqlite3_value_bytes(value);
    if (out->at == NULL)
        sqlite3_result_error_nomem(context);
    return out->at != NULL;
}

static bool two_texts(
    sqlite3_context *context, sqlite3_value **values, struct bytes *first, struct bytes *second)
{
    if (!text_of(context, values[0], first) || !text_of(context, values[1], second))
        return false;
    if ((uint64_t)first->count * second->count <= PRODUCT_MAX)
        return true;
    sqlite3_result_error(context, "texts too long for this function in a query", -1);
    return false;
}

/* The next place of `part` in `text` from `from` on, or text.count when there is none. */
static size_t find(struct bytes text, struct bytes part, size_t from)
{
    for (size_t i = from; part.count <= text.count && i <= text.count - part.count; i++)
        if (memcmp(text.at + i, part.at, part.count) == 0)
            return i;
    return text.count;
}

static void instr(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct bytes text, part;
    (void)count;
    if (!two_texts(context, values, &text, &part))
        return;
    size_t place = find(text, part, 0);
    int64_t characters = 1;
    if (place == text.count && part.count > 0) {
        sqlite3_result_int(context, 0);
        return;
    }
    for (size_t i = 0; i < place; i++)
        if ((text.at[i] & 0xc0) != 0x80)
            characters++;
    sqlite3_result_int64(context, part.count == 0 ? 1 : characters);
}

static void replace(sqlite3_context *context, int count, sqlite3_value **values)
{
    struct bytes text, part, with;
    (void)count;
    if (!two_texts(context, values, &text, &part) || !text_of(context, values[2], &with))
        return;
    if (part.count == 0) {
        sqlite3_result_value(context, values[0]);
        return;
    }
    size_t room = text.count;
    if (with.count > part.count)
        room += (text.count / part.count) * (with.count - part.count);
    /* An upper bound; the exact size would take a second pass. */
    if (room > PH_QUERY_VALUE_BYTES_MAX) {
        sqlite3_result_error_toobig(context);
        return;
    }
    char *out = sqlite3_malloc64(room + 1);
    if (out == NULL) {
        sqlite3_result_error_nomem(context);
        return;
    }
    size_t used = 0, at = 0;
    while (at < text.count) {
        size_t place = find(text, part, at);
        memcpy(out + used, text.at + at, place - at);
        used += place - at;
        if (place == text.count)
            break;
        memcpy(out + used, with.at, with.count);
        used += with.count;
        at = place + part.count;
    }
    sqlite3_result_text64(context, out, used, sqlite3_free, SQLITE_UTF8);
}

/* Bytes of the UTF-8 character at text[at]. */
static size_t character(struct bytes text, size_t at)
{
    size_t bytes = 1;
    while (at + bytes < text.count && (text.at[at + bytes] & 0xc0) == 0x80)
        bytes++;
    return bytes;
}

static bool in_set(struct bytes set, const char *what, size_t bytes)
{
    for (size_t i = 0; i < set.count;) {
        size_t length = character(set, i);
        if (length == bytes && memcmp(set.at + i, what, bytes) == 0)
            return true;
        i += length;
    }
    return false;
}

/* trim, ltrim, rtrim: the user data says which ends. */
static void trim(sqlite3_context *context, int count, sqlite3_value **values)
{
    const char *ends = sqlite3_user_data(context);
    struct bytes text, set = {" ", 1};
    if (count == 1 ? !text_of(context, values[0], &text) : !two_texts(context, values, &text, &set))
        return;
    if (ends[0] == 'l') {
        while (text.count > 0) {
            size_t length = character(text, 0);
            if (!in_set(set, text.at, length))
                break;
            text.at += length;
            text.count -= length;
        }
    }
    if (ends[1] == 'r') {
        while (text.count > 0) {
            size_t start = text.count - 1;
            while (start > 0 && (text.at[start] & 0xc0) == 0x80)
                start--;
            if (!in_set(set, text.at + start, text.count - start))
                break;
            text.count = start;
        }
    }
    sqlite3_result_text64(context, text.at, text.count, SQLITE_TRANSIENT, SQLITE_UTF8);
}

int ph_query_functions(sqlite3 *db, struct ph_reader *reader)
{
    static char both[] = "lr", left[] = "l-", right[] = "-r";
    const int always = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    const struct {
        const char *name;
        int arguments;
        void *data;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } all[] = {
        {"iso", 1, NULL, iso},
        {"now_ms", 0, reader, now_ms},
        {"as_of", 0, reader, as_of},
        {"instr", 2, NULL, instr},
        {"replace", 3, NULL, replace},
        {"trim", 1, both, trim},
        {"trim", 2, both, trim},
        {"ltrim", 1, left, trim},
        {"ltrim", 2, left, trim},
        {"rtrim", 1, right, trim},
        {"rtrim", 2, right, trim},
    };
    int code = SQLITE_OK;
    /* now_ms and as_of stand still within one query, which is what "deterministic" asks of them. */
    for (size_t i = 0; code == SQLITE_OK && i < sizeof all / sizeof all[0]; i++)
        code = sqlite3_create_function_v2(db, all[i].name, all[i].arguments, always, all[i].data,
            all[i].function, NULL, NULL, NULL);
    return code;
}
