#include "db/query_parts.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/strings.h"

static int make_room(struct ph_json_part *part, size_t bytes)
{
    if (part->used + bytes <= part->room)
        return 0;
    size_t room = (part->used + bytes) * 2;
    char *bigger = realloc(part->text, room);
    if (bigger == NULL)
        return -ENOMEM;
    part->text = bigger;
    part->room = room;
    return 0;
}

static void add(struct ph_json_part *part, const char *text, size_t bytes)
{
    memcpy(part->text + part->used, text, bytes);
    part->used += bytes;
}

static void add_integer(struct ph_json_part *part, int64_t value)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--at] = '-';
    add(part, digits + at, sizeof digits - at);
}

/* The shortest of 15 or 17 digits that reads back as the same number. */
static void add_real(struct ph_json_part *part, double value)
{
    char text[40];
    if (!isfinite(value)) {
        add(part, "null", 4);
        return;
    }
    snprintf(text, sizeof text, "%.15g", value);
    if (strtod(text, NULL) != value)
        snprintf(text, sizeof text, "%.17g", value);
    add(part, text, strlen(text));
    if (strpbrk(text, ".e") == NULL)
        add(part, ".0", 2); /* a real stays one for its reader */
}

static void add_blob(struct ph_json_part *part, const unsigned char *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";
    add(part, "\"", 1);
    for (size_t i = 0; i < count; i++) {
        part->text[part->used++] = digits[bytes[i] >> 4];
        part->text[part->used++] = digits[bytes[i] & 15];
    }
    add(part, "\"", 1);
}

static int add_value(struct ph_json_part *part, sqlite3_stmt *statement, int column)
{
    int type = sqlite3_column_type(statement, column);
    if (type == SQLITE_TEXT) {
        const char *text = (const char *)sqlite3_column_text(statement, column);
        size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
        if (text == NULL || make_room(part, bytes * 6 + 64) != 0)
            return -ENOMEM;
        part->text[part->used++] = '"';
        part->used += ph_strings_escape(text, bytes, part->text + part->used);
        part->text[part->used++] = '"';
        return 0;
    }
    if (type == SQLITE_BLOB) {
        size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
        if (make_room(part, bytes * 2 + 64) != 0)
            return -ENOMEM;
        add_blob(part, sqlite3_column_blob(statement, column), bytes);
        return 0;
    }
    if (make_room(part, 64) != 0)
        return -ENOMEM;
    if (type == SQLITE_INTEGER)
        add_integer(part, sqlite3_column_int64(statement, column));
    else if (type == SQLITE_FLOAT)
        add_real(part, sqlite3_column_double(statement, column));
    else
        add(part, "null", 4);
    return 0;
}

int ph_json_row(struct ph_json_part *part, const struct ph_prepared *prepared)
{
    size_t start = part->used;
    int rv = make_room(part, 8);
    if (rv == 0)
        add(part, part->rows == 0 ? "[{" : ",{", 2);
    for (size_t i = 0; rv == 0 && i < prepared->keys.count; i++) {
        const char *key = prepared->keys.items[i]; /* `"name":` */
        size_t bytes = strlen(key);
        rv = make_room(part, bytes + 8);
        if (rv != 0)
            break;
        if (i > 0)
            part->text[part->used++] = ',';
        add(part, key, bytes);
        rv = add_value(part, prepared->statement, (int)i);
        if (part->used - start > PH_QUERY_ROW_BYTES_MAX)
            return -E2BIG;
    }
    if (rv == 0)
        rv = make_room(part, 8);
    if (rv == 0) {
        part->text[part->used++] = '}';
        part->rows++;
    }
    return rv;
}

char *ph_json_key(const char *name)
{
    size_t bytes = strlen(name);
    char *key = malloc(bytes * 6 + 4);
    if (key == NULL)
        return NULL;
    size_t used = 0;
    key[used++] = '"';
    used += ph_strings_escape(name, bytes, key + used);
    memcpy(key + used, "\":", 3);
    return key;
}
