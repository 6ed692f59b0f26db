#include "db/row.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"
#include "db/strings.h"
#include "db/table.h"

/* SQLITE_STATIC by a name of ours: the macro is a cast that -Wcast-qual and -Wpedantic accept. */
static int bind_static(sqlite3_stmt *statement, int index, const char *text)
{
    return sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
}

static int bind_texts(sqlite3_stmt *statement, int index, const struct ph_texts *texts)
{
    if (texts->count == 0)
        return bind_static(statement, index, "[]");
    size_t bytes;
    char *json = ph_strings_encode(texts, &bytes);
    if (json == NULL)
        return SQLITE_NOMEM;
    return sqlite3_bind_text64(statement, index, json, bytes, free, SQLITE_UTF8);
}

static int bind_enum(sqlite3_stmt *statement, int index, const struct ph_field *field, int value)
{
    if (value < 0 || (size_t)value >= field->enumeration->count)
        return SQLITE_RANGE;
    return bind_static(statement, index, field->enumeration->words[value]);
}

static int bind_field(
    sqlite3_stmt *statement, int index, const struct ph_field *field, const void *row)
{
    const char *member = (const char *)row + field->offset;
    const char *text;
    int64_t number;
    bool flag;
    int value;

    switch (field->kind) {
    case PH_FIELD_NAME:
        return bind_static(statement, index, member);
    case PH_FIELD_TEXT:
        memcpy(&text, member, sizeof text);
        return bind_static(statement, index, text == NULL ? "" : text);
    case PH_FIELD_JSON:
        memcpy(&text, member, sizeof text);
        return text == NULL ? sqlite3_bind_null(statement, index)
                            : bind_static(statement, index, text);
    case PH_FIELD_INT:
        memcpy(&number, member, sizeof number);
        return sqlite3_bind_int64(statement, index, number);
    case PH_FIELD_BOOL:
        memcpy(&flag, member, sizeof flag);
        return sqlite3_bind_int(statement, index, flag ? 1 : 0);
    case PH_FIELD_ENUM:
        memcpy(&value, member, sizeof value);
        return bind_enum(statement, index, field, value);
    case PH_FIELD_TEXTS:
        return bind_texts(statement, index, (const struct ph_texts *)(const void *)member);
    case PH_FIELD_ONE:
    case PH_FIELD_MANY:
        break;
    }
    ph_assert(false); /* stored records have no nested ones; a test sees to it */
    return SQLITE_MISUSE;
}

static int bind_fields(
    sqlite3_stmt *statement, const struct ph_record *record, const void *row, bool keys_only)
{
    int index = 1;
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        if (keys_only && !ph_field_is_key(field))
            continue;
        int rv = bind_field(statement, index++, field, row);
        if (rv != SQLITE_OK)
            return rv == SQLITE_NOMEM ? -ENOMEM : -EINVAL;
    }
    return 0;
}

int ph_row_bind(sqlite3_stmt *statement, const struct ph_record *record, const void *row)
{
    return bind_fields(statement, record, row, false);
}

int ph_row_bind_keys(sqlite3_stmt *statement, const struct ph_record *record, const void *row)
{
    return bind_fields(statement, record, row, true);
}

void ph_row_room_fini(struct ph_row_room *room)
{
    free(room->bytes);
    free(room->items);
    *room = (struct ph_row_room){0};
}

/* Room for every list of the row before the first is read: pointers into it must stay. */
static int make_room(
    sqlite3_stmt *statement, const struct ph_record *record, struct ph_row_room *room)
{
    size_t bytes = 0;
    for (size_t i = 0; i < record->field_count; i++)
        if (record->fields[i].kind == PH_FIELD_TEXTS)
            bytes += (size_t)sqlite3_column_bytes(statement, (int)i);
    room->bytes_used = 0;
    room->items_used = 0;
    if (bytes + 1 > room->bytes_room) {
        char *bigger = realloc(room->bytes, bytes * 2 + 1);
        if (bigger == NULL)
            return -ENOMEM;
        room->bytes = bigger;
        room->bytes_room = bytes * 2 + 1;
    }
    size_t items = bytes / 2 + 1; /* "", takes three bytes; [""] four */
    if (items > room->items_room) {
        char **bigger = realloc(room->items, items * 2 * sizeof *bigger);
        if (bigger == NULL)
            return -ENOMEM;
        room->items = bigger;
        room->items_room = items * 2;
    }
    return 0;
}

static int wrong(const struct ph_field *field, const char *what, struct ph_error *error)
{
    ph_error_set(error, PH_FAILED, field->name, "stored %s of column \"%s\" is %s",
        field->kind == PH_FIELD_ENUM ? "word" : "value", field->name, what);
    return -EINVAL;
}

static int read_texts(sqlite3_stmt *statement, int column, const struct ph_field *field,
    struct ph_row_room *room, char *member, struct ph_error *error)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
    struct ph_texts texts = {0, NULL};
    if (bytes != 2 || memcmp(text, "[]", 2) != 0) {
        texts.items = room->items + room->items_used;
        size_t used;
        if (!ph_strings_decode(
                text, bytes, room->bytes + room->bytes_used, &used, texts.items, &texts.count))
            return wrong(field, "not a JSON array of strings", error);
        room->bytes_used += used;
        room->items_used += texts.count;
    }
    memcpy(member, &texts, sizeof texts);
    return 0;
}

static int read_text(sqlite3_stmt *statement, int column, const struct ph_field *field,
    char *member, struct ph_error *error)
{
    const char *text = (const char *)sqlite3_column_text(statement, column);
    size_t bytes = (size_t)sqlite3_column_bytes(statement, column);
    int value;

    switch ((int)field->kind) {
    case PH_FIELD_NAME:
        if (bytes > PH_NAME_BYTES_MAX)
            return wrong(field, "too long for a name", error);
        memcpy(member, text, bytes);
        member[bytes] = '\0';
        return 0;
    case PH_FIELD_ENUM:
        value = ph_enum_value(field->enumeration, text);
        if (value < 0)
            return wrong(field, "unknown to this version", error);
        memcpy(member, &value, sizeof value);
        return 0;
    default:
        if (bytes == 0)
            text = NULL;
        memcpy(member, &text, sizeof text);
        return 0;
    }
}

static int read_field(sqlite3_stmt *statement, int column, const struct ph_field *field,
    struct ph_row_room *room, char *member, struct ph_error *error)
{
    int type = sqlite3_column_type(statement, column);
    if (field->kind == PH_FIELD_INT || field->kind == PH_FIELD_BOOL) {
        if (type != SQLITE_INTEGER)
            return wrong(field, "not an integer", error);
        int64_t number = sqlite3_column_int64(statement, column);
        bool flag = number != 0;
        if (field->kind == PH_FIELD_INT)
            memcpy(member, &number, sizeof number);
        else
            memcpy(member, &flag, sizeof flag);
        return 0;
    }
    if (type == SQLITE_NULL && field->kind == PH_FIELD_JSON)
        return 0;
    if (type != SQLITE_TEXT)
        return wrong(field, "not a text", error);
    if (field->kind == PH_FIELD_TEXTS)
        return read_texts(statement, column, field, room, member, error);
    return read_text(statement, column, field, member, error);
}

int ph_row_read(sqlite3_stmt *statement, const struct ph_record *record, struct ph_row_room *room,
    void *row, struct ph_error *error)
{
    memset(row, 0, record->size);
    int rv = make_room(statement, record, room);
    for (size_t i = 0; rv == 0 && i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        rv = read_field(statement, (int)i, field, room, (char *)row + field->offset, error);
    }
    if (rv == -ENOMEM)
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    return rv;
}
