/* The reading half of the codec: jansson parses, the descriptions decide. encode.c is the other. */
#include "proto/codec_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "proto/check.h"

/* Looks at the text before the parser does: nesting costs it stack and each value costs it memory,
 * so both are bounded here. What is no JSON is the parser's business. */
static int check_shape(const char *text, size_t bytes, struct ph_error *error)
{
    size_t depth = 0, values = 1;

    for (size_t i = 0; i < bytes; i++) {
        switch (text[i]) {
        case '"':
            for (i++; i < bytes && text[i] != '"'; i++) {
                if (text[i] == '\\')
                    i++;
            }
            break;
        case '[':
        case '{':
            values++;
            if (++depth > PH_JSON_DEPTH_MAX)
                return ph_error_set(error, PH_BAD_INPUT, NULL,
                    "the JSON is nested more than %d deep (at byte %zu)", PH_JSON_DEPTH_MAX, i);
            break;
        case ']':
        case '}':
            depth -= depth > 0;
            break;
        case ',':
            if (++values > PH_JSON_VALUES_MAX)
                return ph_error_set(error, PH_BAD_INPUT, NULL, "the JSON has more than %d values",
                    PH_JSON_VALUES_MAX);
            break;
        default:
            break;
        }
    }
    return 0;
}

static int load(
    const char *text, size_t bytes, size_t flags, json_t **root_out, struct ph_error *error)
{
    json_error_t problem;
    char shown[192];

    if (check_shape(text, bytes, error) != 0)
        return -EINVAL;
    *root_out = json_loadb(text, bytes, JSON_REJECT_DUPLICATES | flags, &problem);
    if (*root_out != NULL)
        return 0;
    /* Most of jansson's failed allocations leave no message at all. */
    if (problem.text[0] == '\0' || json_error_code(&problem) == json_error_out_of_memory)
        return -ENOMEM;
    return ph_error_set(error, PH_BAD_INPUT, NULL, "not JSON: %s (line %d, column %d)",
        ph_text_printable(shown, sizeof shown, problem.text), problem.line, problem.column);
}

int ph_json_load(const char *text, size_t bytes, json_t **root_out, struct ph_error *error)
{
    return load(text, bytes, 0, root_out, error);
}

int ph_check_json(const struct ph_field *field, const char *text, struct ph_error *error)
{
    size_t bytes = strlen(text);
    json_t *root;

    if ((int64_t)bytes > field->max)
        return ph_error_set(error, PH_BAD_INPUT, field->name, "%s has %zu bytes; it may have %lld",
            field->name, bytes, (long long)field->max);
    int rv = load(text, bytes, JSON_DECODE_ANY, &root, error);
    if (rv == 0)
        json_decref(root);
    else
        ph_error_within(error, field->name, -1);
    return rv;
}

static int wrong_kind(
    const struct ph_field *field, json_t *found, const char *wanted, struct ph_error *error)
{
    static const char *const kinds[] = {[JSON_OBJECT] = "an object",
        [JSON_ARRAY] = "an array",
        [JSON_STRING] = "a string",
        [JSON_INTEGER] = "an integer",
        [JSON_REAL] = "a number with a fraction",
        [JSON_TRUE] = "true",
        [JSON_FALSE] = "false",
        [JSON_NULL] = "null"};

    return ph_error_set(error, PH_BAD_INPUT, field->name, "%s is %s; it must be %s", field->name,
        kinds[json_typeof(found)], wanted);
}

static int decode_text(
    const struct ph_field *field, json_t *json, char **text, struct ph_error *error)
{
    if (!json_is_string(json))
        return wrong_kind(field, json, "a string", error);
    size_t bytes = json_string_length(json);
    int rv = ph_check_text(field, json_string_value(json), bytes, error);
    if (rv != 0 || bytes == 0)
        return rv;
    *text = malloc(bytes + 1);
    if (*text == NULL)
        return -ENOMEM;
    memcpy(*text, json_string_value(json), bytes + 1);
    return 0;
}

static int decode_texts(
    const struct ph_field *field, json_t *json, struct ph_texts *texts, struct ph_error *error)
{
    if (!json_is_array(json))
        return wrong_kind(field, json, "an array of strings", error);
    size_t count = json_array_size(json);
    int rv = ph_check_count(field, count, error);
    for (size_t i = 0; i < count && rv == 0; i++) {
        json_t *entry = json_array_get(json, i);
        if (!json_is_string(entry))
            rv = ph_error_set(
                error, PH_BAD_INPUT, NULL, "an item of %s is not a string", field->name);
        else
            rv = ph_check_item(field, json_string_value(entry), json_string_length(entry), error);
        if (rv != 0)
            ph_error_within(error, field->name, (long)i);
        else
            rv = ph_texts_add(texts, json_string_value(entry));
    }
    return rv;
}

static int decode_record(
    const struct ph_record *record, json_t *object, void *value, struct ph_error *error);

static int decode_many(
    const struct ph_field *field, json_t *json, struct ph_many *many, struct ph_error *error)
{
    if (!json_is_array(json))
        return wrong_kind(field, json, "an array of objects", error);
    size_t count = json_array_size(json);
    if (ph_check_count(field, count, error) != 0)
        return -EINVAL;
    int rv = ph_many_reserve(field->record, many, count);
    for (size_t i = 0; i < count && rv == 0; i++) {
        json_t *entry = json_array_get(json, i);
        many->count = i + 1; /* so that a failure frees what was begun */
        if (!json_is_object(entry))
            rv = ph_error_set(
                error, PH_BAD_INPUT, NULL, "an item of %s is not an object", field->name);
        else
            rv = decode_record(
                field->record, entry, (char *)many->items + i * field->record->size, error);
        if (rv == -EINVAL)
            ph_error_within(error, field->name, (long)i);
    }
    return rv;
}

static int decode_json(
    const struct ph_field *field, json_t *json, char **text, struct ph_error *error)
{
    if (json_is_null(json))
        return 0;
    *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
    if (*text == NULL)
        return -ENOMEM;
    if ((int64_t)strlen(*text) > field->max)
        return ph_error_set(error, PH_BAD_INPUT, field->name, "%s has %zu bytes; it may have %lld",
            field->name, strlen(*text), (long long)field->max);
    return 0;
}

static int decode_field(
    const struct ph_field *field, json_t *json, void *at, struct ph_error *error)
{
    int rv, word;

    switch (field->kind) {
    case PH_FIELD_NAME:
        if (!json_is_string(json))
            return wrong_kind(field, json, "a string", error);
        rv = ph_check_name(field, json_string_value(json), error);
        if (rv == 0)
            memcpy(at, json_string_value(json), json_string_length(json) + 1);
        return rv;
    case PH_FIELD_TEXT:
        return decode_text(field, json, at, error);
    case PH_FIELD_INT:
        if (!json_is_integer(json))
            return wrong_kind(field, json, "an integer", error);
        rv = ph_check_int(field, json_integer_value(json), error);
        if (rv == 0)
            *(int64_t *)at = json_integer_value(json);
        return rv;
    case PH_FIELD_BOOL:
        if (!json_is_boolean(json))
            return wrong_kind(field, json, "true or false", error);
        *(bool *)at = json_is_true(json);
        return 0;
    case PH_FIELD_ENUM:
        if (!json_is_string(json))
            return wrong_kind(field, json, "a string", error);
        rv = ph_check_word(field, json_string_value(json), &word, error);
        if (rv == 0)
            memcpy(at, &word, sizeof word);
        return rv;
    case PH_FIELD_TEXTS:
        return decode_texts(field, json, at, error);
    case PH_FIELD_JSON:
        return decode_json(field, json, at, error);
    case PH_FIELD_ONE:
        if (json_is_null(json) && (field->flags & PH_REQ) == 0)
            return 0;
        if (!json_is_object(json))
            return wrong_kind(field, json, "an object", error);
        rv = decode_record(field->record, json, at, error);
        if (rv == -EINVAL)
            ph_error_within(error, field->name, -1);
        return rv;
    case PH_FIELD_MANY:
        return decode_many(field, json, at, error);
    }
    return -EINVAL;
}

/* value is all zero; on failure it owns what was read so far. */
static int decode_record(
    const struct ph_record *record, json_t *object, void *value, struct ph_error *error)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        json_t *json = json_object_get(object, field->name);
        if (json == NULL) {
            if ((field->flags & PH_REQ) == 0)
                continue;
            return ph_error_set(
                error, PH_BAD_INPUT, field->name, "%s is missing (%s)", field->name, field->doc);
        }
        int rv = decode_field(field, json, (char *)value + field->offset, error);
        if (rv != 0)
            return rv;
    }
    return 0;
}

int ph_json_decode(
    const struct ph_record *record, json_t *object, void *value, struct ph_error *error)
{
    ph_record_fini(record, value);
    if (!json_is_object(object))
        return ph_error_set(error, PH_BAD_INPUT, NULL, "a %s must be a JSON object", record->name);
    int rv = decode_record(record, object, value, error);
    if (rv == -ENOMEM)
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (rv != 0)
        ph_record_fini(record, value);
    return rv;
}

int ph_decode(const struct ph_record *record, const char *text, size_t bytes, void *value,
    struct ph_error *error)
{
    json_t *root = NULL;

    int rv = ph_json_load(text, bytes, &root, error);
    if (rv != 0) {
        ph_record_fini(record, value);
        return rv;
    }
    rv = ph_json_decode(record, root, value, error);
    json_decref(root);
    return rv;
}
