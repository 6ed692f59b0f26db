/* From the tree of yaml.c to records. */
#include "proto/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "proto/check.h"

#define SHOWN_BYTES 96
#define NAMES_MAX 64 /* looked at for the nearest */

/* Where a reader stands: the path is kept as text, since the file and line go before it. */
struct place {
    const char *file;
    struct ph_error *error;
    char path[96];
};

/* ---- did you mean */

struct names {
    const char *(*at)(const void *from, size_t index);
    const void *from;
    size_t count;
};

static int refuse_key(const struct ph_yaml *key, const struct names *names, const char *file,
    const char *path, struct ph_error *error)
{
    const char *nearest, *all[NAMES_MAX];
    char shown[SHOWN_BYTES], list[512];
    size_t used = 0, count = names->count < NAMES_MAX ? names->count : NAMES_MAX;

    for (size_t i = 0; i < count; i++)
        all[i] = names->at(names->from, i);
    nearest = ph_text_nearest(key->text, all, count);
    ph_text_printable(shown, sizeof shown, key->text);
    if (nearest != NULL)
        return ph_yaml_fail(key, file, path, error,
            "\"%s\" is not known here; did you mean \"%s\"?", shown, nearest);
    list[0] = '\0';
    for (size_t i = 0; i < names->count; i++)
        used += ph_text_format(
            list + used, sizeof list - used, "%s%s", i > 0 ? ", " : "", names->at(names->from, i));
    return ph_yaml_fail(
        key, file, path, error, "\"%s\" is not known here; known are %s", shown, list);
}

static const char *name_of_list(const void *from, size_t index)
{
    return ((const char *const *)from)[index];
}

static const char *name_of_record(const void *from, size_t index)
{
    return ((const struct ph_record *)from)->fields[index].name;
}

int ph_yaml_check_keys(const struct ph_yaml *mapping, const char *const *known, size_t count,
    const char *file, const char *path, struct ph_error *error)
{
    const struct names names = {name_of_list, known, count};

    if (mapping->kind != PH_YAML_MAPPING)
        return ph_yaml_fail(mapping, file, path, error, "must be a mapping (key: value)");
    for (size_t i = 0; i < mapping->count; i++) {
        size_t j = 0;
        while (j < count && strcmp(mapping->keys[i]->text, known[j]) != 0)
            j++;
        if (j == count)
            return refuse_key(mapping->keys[i], &names, file, path, error);
    }
    return 0;
}

/* ---- fields */

static int fail(const struct place *place, const struct ph_yaml *node, const char *wanted)
{
    char shown[SHOWN_BYTES];

    if (node->kind == PH_YAML_MAPPING)
        return ph_yaml_fail(
            node, place->file, place->path, place->error, "is a mapping; it must be %s", wanted);
    if (node->kind == PH_YAML_SEQUENCE)
        return ph_yaml_fail(
            node, place->file, place->path, place->error, "is a list; it must be %s", wanted);
    ph_text_printable(shown, sizeof shown, node->text);
    if (node->quoted)
        return ph_yaml_fail(node, place->file, place->path, place->error,
            "\"%s\" is quoted and so a string; it must be %s", shown, wanted);
    if (node->text[0] == '\0')
        return ph_yaml_fail(
            node, place->file, place->path, place->error, "has no value; it must be %s", wanted);
    return ph_yaml_fail(
        node, place->file, place->path, place->error, "\"%s\" is not %s", shown, wanted);
}

/* A check of check.h failed: its sentence, at this place. */
static int fail_check(
    const struct place *place, const struct ph_yaml *node, const struct ph_error *problem)
{
    return ph_yaml_fail(node, place->file, place->path, place->error, "%s", problem->message);
}

/* Nothing written, or YAML's words for it. */
static bool is_null(const struct ph_yaml *node)
{
    return node->kind == PH_YAML_SCALAR && !node->quoted &&
           (node->text[0] == '\0' || strcmp(node->text, "~") == 0 ||
               strcmp(node->text, "null") == 0);
}

static int decode_int(const struct place *place, const struct ph_field *field,
    const struct ph_yaml *node, int64_t *out)
{
    struct ph_error problem;
    char wanted[96];
    char *end;

    if (field->max == INT64_MAX)
        ph_text_format(
            wanted, sizeof wanted, "a whole number of %lld or more", (long long)field->min);
    else
        ph_text_format(wanted, sizeof wanted, "a whole number from %lld to %lld",
            (long long)field->min, (long long)field->max);
    if (node->kind != PH_YAML_SCALAR || node->quoted)
        return fail(place, node, wanted);
    const char *digits = node->text + (node->text[0] == '-');
    /* YAML 1.1 reads 010 as eight and 1.2 as ten, so neither is read. */
    if (digits[0] == '\0' || strspn(digits, "0123456789") != strlen(digits) ||
        (digits[0] == '0' && digits[1] != '\0'))
        return fail(place, node, wanted);
    errno = 0;
    long long value = strtoll(node->text, &end, 10);
    if (errno != 0 || *end != '\0')
        return fail(place, node, wanted);
    if (ph_check_int(field, value, &problem) != 0)
        return fail_check(place, node, &problem);
    *out = value;
    return 0;
}

static int decode_texts(const struct place *place, const struct ph_field *field,
    const struct ph_yaml *node, struct ph_texts *out)
{
    struct ph_error problem;
    int rv = 0;

    ph_texts_fini(out);
    if (is_null(node))
        return 0;
    if (node->kind != PH_YAML_SEQUENCE)
        return fail(place, node, "a list ([a, b])");
    if (ph_check_count(field, node->count, &problem) != 0)
        return fail_check(place, node, &problem);
    for (size_t i = 0; i < node->count && rv == 0; i++) {
        const struct ph_yaml *item = node->items[i];
        struct place inner = *place;
        ph_text_format(inner.path, sizeof inner.path, "%s[%zu]", place->path, i);
        if (item->kind != PH_YAML_SCALAR)
            return fail(&inner, item, "a string");
        if (is_null(item))
            return fail(&inner, item, "a string; write \"\" for an empty one");
        if (ph_check_item(field, item->text, strlen(item->text), &problem) != 0)
            return fail_check(&inner, item, &problem);
        rv = ph_texts_add(out, item->text);
    }
    return rv;
}

static int decode_mapping(const struct place *place, const struct ph_record *record,
    const struct ph_yaml *mapping, void *value);

static int decode_many(const struct place *place, const struct ph_field *field,
    const struct ph_yaml *node, struct ph_many *many)
{
    struct ph_error problem;
    int rv;

    for (size_t i = 0; i < many->count; i++)
        ph_record_fini(field->record, (char *)many->items + i * field->record->size);
    free(many->items);
    many->items = NULL;
    many->count = 0;
    if (is_null(node))
        return 0;
    if (node->kind != PH_YAML_SEQUENCE)
        return fail(place, node, "a list (one \"- name: ...\" per item)");
    if (ph_check_count(field, node->count, &problem) != 0)
        return fail_check(place, node, &problem);
    rv = ph_many_reserve(field->record, many, node->count);
    for (size_t i = 0; i < node->count && rv == 0; i++) {
        struct place inner = *place;
        ph_text_format(inner.path, sizeof inner.path, "%s[%zu]", place->path, i);
        many->count = i + 1;
        rv = decode_mapping(
            &inner, field->record, node->items[i], (char *)many->items + i * field->record->size);
    }
    return rv;
}

static int decode_field(
    const struct place *place, const struct ph_field *field, const struct ph_yaml *node, void *at)
{
    struct ph_error problem;
    char words[256], wanted[280];
    int word, rv;

    switch (field->kind) {
    case PH_FIELD_NAME:
    case PH_FIELD_TEXT:
        if (node->kind != PH_YAML_SCALAR)
            return fail(place, node, "a string");
        const char *text = is_null(node) ? "" : node->text;
        rv = field->kind == PH_FIELD_NAME ? ph_check_name(field, text, &problem)
                                          : ph_check_text(field, text, strlen(text), &problem);
        if (rv != 0)
            return fail_check(place, node, &problem);
        if (field->kind == PH_FIELD_TEXT)
            return ph_set_text(at, text);
        memcpy(at, text, strlen(text) + 1);
        return 0;
    case PH_FIELD_INT:
        return decode_int(place, field, node, at);
    case PH_FIELD_BOOL:
        if (node->kind != PH_YAML_SCALAR || node->quoted ||
            (strcmp(node->text, "true") != 0 && strcmp(node->text, "false") != 0))
            return fail(place, node, "true or false");
        *(bool *)at = node->text[0] == 't';
        return 0;
    case PH_FIELD_ENUM:
        ph_enum_list(field->enumeration, words, sizeof words);
        ph_text_format(wanted, sizeof wanted, "one of %s", words);
        word = node->kind == PH_YAML_SCALAR ? ph_enum_value(field->enumeration, node->text) : -1;
        if (word < 0) {
            /* Quotes do not matter here: a word is a string. */
            struct ph_yaml unquoted = *node;
            unquoted.quoted = false;
            return fail(place, &unquoted, wanted);
        }
        memcpy(at, &word, sizeof word);
        return 0;
    case PH_FIELD_TEXTS:
        return decode_texts(place, field, node, at);
    case PH_FIELD_JSON:
        return fail(place, node, "left out: it cannot be given in a file");
    case PH_FIELD_ONE:
        return decode_mapping(place, field->record, node, at);
    case PH_FIELD_MANY:
        return decode_many(place, field, node, at);
    }
    return -EINVAL;
}

static int check_missing(const struct place *place, const struct ph_record *record,
    const struct ph_yaml *mapping, const void *value)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        if ((field->flags & PH_REQ) == 0 || ph_yaml_get(mapping, field->name) != NULL)
            continue;
        /* A default may stand in for it; for a number or a word only zero says that there is none. */
        if (ph_field_empty(field, (const char *)value + field->offset))
            return ph_yaml_fail(mapping, place->file, place->path, place->error,
                "%s is missing (%s)", field->name, field->doc);
    }
    return 0;
}

static int decode_mapping(const struct place *place, const struct ph_record *record,
    const struct ph_yaml *mapping, void *value)
{
    const struct names names = {name_of_record, record, record->field_count};
    int rv = 0;

    if (mapping->kind != PH_YAML_MAPPING)
        return fail(place, mapping, "a mapping (key: value)");
    for (size_t i = 0; i < mapping->count && rv == 0; i++) {
        const struct ph_yaml *key = mapping->keys[i];
        const struct ph_field *field = ph_record_field(record, key->text);
        struct place inner = *place;
        if (field == NULL)
            return refuse_key(key, &names, place->file, place->path, place->error);
        ph_text_format(inner.path, sizeof inner.path, "%s%s%s", place->path,
            place->path[0] != '\0' ? "." : "", field->name);
        rv = decode_field(&inner, field, mapping->items[i], (char *)value + field->offset);
    }
    return rv != 0 ? rv : check_missing(place, record, mapping, value);
}

int ph_yaml_decode(const struct ph_record *record, const struct ph_yaml *mapping, const char *file,
    void *value, struct ph_error *error)
{
    struct place place = {.file = file, .error = error, .path = ""};
    void *next = ph_record_new_copy(record, value);
    int rv = next == NULL ? -ENOMEM : decode_mapping(&place, record, mapping, next);

    if (rv == 0) {
        ph_record_fini(record, value);
        memcpy(value, next, record->size);
        free(next);
        return 0;
    }
    ph_record_destroy(record, &next);
    if (rv == -ENOMEM)
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    return rv;
}
