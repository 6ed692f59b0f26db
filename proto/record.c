#include "proto/record.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/check.h"
#include "proto/codec_json.h"

static void *member(void *value, const struct ph_field *field)
{
    return (char *)value + field->offset;
}

static const void *member_of(const void *value, const struct ph_field *field)
{
    return (const char *)value + field->offset;
}

static void *item(const struct ph_field *field, const struct ph_many *many, size_t index)
{
    return (char *)many->items + index * field->record->size;
}

/* ---- memory */

static void field_fini(const struct ph_field *field, void *at)
{
    switch (field->kind) {
    case PH_FIELD_TEXT:
    case PH_FIELD_JSON:
        free(*(char **)at);
        break;
    case PH_FIELD_TEXTS:
        ph_texts_fini(at);
        break;
    case PH_FIELD_ONE:
        ph_record_fini(field->record, at);
        break;
    case PH_FIELD_MANY: {
        struct ph_many *many = at;
        for (size_t i = 0; i < many->count; i++)
            ph_record_fini(field->record, item(field, many, i));
        free(many->items);
        break;
    }
    case PH_FIELD_NAME:
    case PH_FIELD_INT:
    case PH_FIELD_BOOL:
    case PH_FIELD_ENUM:
        break;
    }
}

void ph_record_fini(const struct ph_record *record, void *value)
{
    for (size_t i = 0; i < record->field_count; i++)
        field_fini(&record->fields[i], member(value, &record->fields[i]));
    memset(value, 0, record->size);
}

static int copy_text(char **to, const char *from)
{
    if (from == NULL) {
        *to = NULL;
        return 0;
    }
    size_t bytes = strlen(from) + 1;
    *to = malloc(bytes);
    if (*to == NULL)
        return -ENOMEM;
    memcpy(*to, from, bytes);
    return 0;
}

static int fill_copy(const struct ph_record *record, void *to, const void *from);

static int field_copy(const struct ph_field *field, void *to, const void *from)
{
    switch (field->kind) {
    case PH_FIELD_TEXT:
    case PH_FIELD_JSON:
        return copy_text(to, *(char *const *)from);
    case PH_FIELD_TEXTS:
        return ph_texts_copy(to, from);
    case PH_FIELD_ONE:
        return fill_copy(field->record, to, from);
    case PH_FIELD_MANY: {
        const struct ph_many *source = from;
        struct ph_many *target = to;
        if (ph_many_reserve(field->record, target, source->count) != 0)
            return -ENOMEM;
        for (size_t i = 0; i < source->count; i++) {
            target->count = i + 1; /* so that a failure frees what was begun */
            if (fill_copy(field->record, item(field, target, i), item(field, source, i)) != 0)
                return -ENOMEM;
        }
        return 0;
    }
    case PH_FIELD_NAME:
        memcpy(to, from, PH_NAME_BYTES_MAX + 1);
        return 0;
    case PH_FIELD_INT:
        *(int64_t *)to = *(const int64_t *)from;
        return 0;
    case PH_FIELD_BOOL:
        *(bool *)to = *(const bool *)from;
        return 0;
    case PH_FIELD_ENUM:
        memcpy(to, from, sizeof(int));
        return 0;
    }
    return -EINVAL;
}

/* to is all zero. On failure it owns what was copied so far. */
static int fill_copy(const struct ph_record *record, void *to, const void *from)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        int rv = field_copy(field, member(to, field), member_of(from, field));
        if (rv != 0)
            return rv;
    }
    return 0;
}

int ph_record_copy(const struct ph_record *record, void *to, const void *from)
{
    if (to == from)
        return 0;
    ph_record_fini(record, to);
    if (fill_copy(record, to, from) != 0) {
        ph_record_fini(record, to);
        return -ENOMEM;
    }
    return 0;
}

void *ph_record_new_copy(const struct ph_record *record, const void *from)
{
    void *to = calloc(1, record->size);

    if (to != NULL && fill_copy(record, to, from) != 0)
        ph_record_destroy(record, &to);
    return to;
}

void ph_record_destroy(const struct ph_record *record, void **value)
{
    if (*value == NULL)
        return;
    ph_record_fini(record, *value);
    free(*value);
    *value = NULL;
}

int ph_set_text(char **member, const char *text)
{
    char *copy = NULL;

    /* Copied before the old is freed: text may be a part of it. */
    if (text != NULL && text[0] != '\0' && copy_text(&copy, text) != 0)
        return -ENOMEM;
    free(*member);
    *member = copy;
    return 0;
}

/* Room is the count rounded up to a power of two, so that it needs no third member. */
static size_t room_for(size_t count)
{
    size_t room = 1;

    while (room < count)
        room *= 2;
    return room;
}

int ph_many_reserve(const struct ph_record *item_record, struct ph_many *many, size_t count)
{
    ph_assert(many->count == 0 && many->items == NULL);
    if (count == 0)
        return 0;
    many->items = calloc(room_for(count), item_record->size);
    return many->items != NULL ? 0 : -ENOMEM;
}

void *ph_many_add(const struct ph_record *item_record, struct ph_many *many)
{
    size_t size = item_record->size;

    if ((many->count & (many->count - 1)) == 0) {
        void *items = realloc(many->items, room_for(many->count + 1) * size);
        if (items == NULL)
            return NULL;
        many->items = items;
    }
    void *added = (char *)many->items + many->count * size;
    memset(added, 0, size);
    many->count++;
    return added;
}

/* ---- comparing */

static bool texts_same(const char *a, const char *b)
{
    return strcmp(a != NULL ? a : "", b != NULL ? b : "") == 0;
}

static bool field_equal(const struct ph_field *field, const void *a, const void *b)
{
    switch (field->kind) {
    case PH_FIELD_NAME:
        return strcmp(a, b) == 0;
    case PH_FIELD_TEXT:
    case PH_FIELD_JSON:
        return texts_same(*(char *const *)a, *(char *const *)b);
    case PH_FIELD_INT:
        return *(const int64_t *)a == *(const int64_t *)b;
    case PH_FIELD_BOOL:
        return *(const bool *)a == *(const bool *)b;
    case PH_FIELD_ENUM:
        return memcmp(a, b, sizeof(int)) == 0;
    case PH_FIELD_TEXTS:
        return ph_texts_equal(a, b);
    case PH_FIELD_ONE:
        return ph_record_equal(field->record, a, b);
    case PH_FIELD_MANY: {
        const struct ph_many *left = a, *right = b;
        if (left->count != right->count)
            return false;
        for (size_t i = 0; i < left->count; i++) {
            if (!ph_record_equal(field->record, item(field, left, i), item(field, right, i)))
                return false;
        }
        return true;
    }
    }
    return false;
}

bool ph_record_equal(const struct ph_record *record, const void *a, const void *b)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        if (!field_equal(field, member_of(a, field), member_of(b, field)))
            return false;
    }
    return true;
}

bool ph_record_empty(const struct ph_record *record, const void *value)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        if (!ph_field_empty(field, member_of(value, field)))
            return false;
    }
    return true;
}

bool ph_field_empty(const struct ph_field *field, const void *at)
{
    int word;

    switch (field->kind) {
    case PH_FIELD_NAME:
        return *(const char *)at == '\0';
    case PH_FIELD_TEXT:
    case PH_FIELD_JSON: {
        const char *text = *(char *const *)at;
        return text == NULL || text[0] == '\0';
    }
    case PH_FIELD_INT:
        return *(const int64_t *)at == 0;
    case PH_FIELD_BOOL:
        return !*(const bool *)at;
    case PH_FIELD_ENUM:
        memcpy(&word, at, sizeof word);
        return word == 0;
    case PH_FIELD_TEXTS:
        return ((const struct ph_texts *)at)->count == 0;
    case PH_FIELD_ONE:
        return ph_record_empty(field->record, at);
    case PH_FIELD_MANY:
        return ((const struct ph_many *)at)->count == 0;
    }
    return false;
}

/* ---- checking */

static int field_check(const struct ph_field *field, const void *at, struct ph_error *error)
{
    const char *text;
    int rv, word;

    switch (field->kind) {
    case PH_FIELD_NAME:
        /* A name that fills its array has no end to read to. */
        if (memchr(at, '\0', PH_NAME_BYTES_MAX + 1) == NULL)
            return ph_error_set(error, PH_BAD_INPUT, field->name, "%s is longer than %d bytes",
                field->name, PH_NAME_BYTES_MAX);
        return ph_check_name(field, at, error);
    case PH_FIELD_TEXT:
        text = *(char *const *)at;
        return ph_check_text(
            field, text != NULL ? text : "", text != NULL ? strlen(text) : 0, error);
    case PH_FIELD_JSON:
        text = *(char *const *)at;
        return text != NULL && text[0] != '\0' ? ph_check_json(field, text, error) : 0;
    case PH_FIELD_INT:
        /* 0 is what an optional one is when it is absent. */
        if (*(const int64_t *)at == 0 && (field->flags & PH_REQ) == 0)
            return 0;
        return ph_check_int(field, *(const int64_t *)at, error);
    case PH_FIELD_BOOL:
        return 0;
    case PH_FIELD_ENUM:
        memcpy(&word, at, sizeof word);
        if (word >= 0 && (size_t)word < field->enumeration->count)
            return 0;
        return ph_error_set(
            error, PH_BAD_INPUT, field->name, "%s has no word for %d", field->name, word);
    case PH_FIELD_TEXTS: {
        const struct ph_texts *texts = at;
        if (ph_check_count(field, texts->count, error) != 0)
            return -EINVAL;
        for (size_t i = 0; i < texts->count; i++) {
            if (ph_check_item(field, texts->items[i], strlen(texts->items[i]), error) != 0) {
                ph_error_within(error, field->name, (long)i);
                return -EINVAL;
            }
        }
        return 0;
    }
    case PH_FIELD_ONE:
        if ((field->flags & PH_REQ) == 0 && ph_record_empty(field->record, at))
            return 0;
        rv = ph_record_check(field->record, at, error);
        if (rv != 0)
            ph_error_within(error, field->name, -1);
        return rv;
    case PH_FIELD_MANY: {
        const struct ph_many *many = at;
        if (ph_check_count(field, many->count, error) != 0)
            return -EINVAL;
        for (size_t i = 0; i < many->count; i++) {
            rv = ph_record_check(field->record, item(field, many, i), error);
            if (rv != 0) {
                ph_error_within(error, field->name, (long)i);
                return rv;
            }
        }
        return 0;
    }
    }
    return -EINVAL;
}

int ph_record_check(const struct ph_record *record, const void *value, struct ph_error *error)
{
    for (size_t i = 0; i < record->field_count; i++) {
        int rv = field_check(&record->fields[i], member_of(value, &record->fields[i]), error);
        if (rv != 0)
            return rv;
    }
    return 0;
}

/* ---- looking up */

const struct ph_field *ph_record_field(const struct ph_record *record, const char *name)
{
    for (size_t i = 0; i < record->field_count; i++) {
        if (strcmp(record->fields[i].name, name) == 0)
            return &record->fields[i];
    }
    return NULL;
}

const char *ph_enum_word(const struct ph_enum *enumeration, int value)
{
    return value >= 0 && (size_t)value < enumeration->count ? enumeration->words[value] : "?";
}

int ph_enum_value(const struct ph_enum *enumeration, const char *word)
{
    for (size_t i = 0; i < enumeration->count; i++) {
        if (strcmp(enumeration->words[i], word) == 0)
            return (int)i;
    }
    return -1;
}
