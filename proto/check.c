#include "proto/check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_BYTES 96 /* of a bad value in a message */

int ph_check_name(const struct ph_field *field, const char *name, struct ph_error *error)
{
    char shown[SHOWN_BYTES];

    if (name[0] == '\0') {
        if ((field->flags & PH_REQ) == 0)
            return 0;
        return ph_error_set(
            error, PH_BAD_INPUT, field->name, "%s is empty; it needs a name", field->name);
    }
    if (ph_name_valid(name))
        return 0;
    return ph_error_set(error, PH_BAD_INPUT, field->name,
        "\"%s\" is not a name: it must have 1 to %d of a-z, 0-9, '.', '_', '-' and begin with a "
        "letter or digit",
        ph_text_printable(shown, sizeof shown, name), PH_NAME_BYTES_MAX);
}

int ph_check_text(
    const struct ph_field *field, const char *text, size_t bytes, struct ph_error *error)
{
    char shown[SHOWN_BYTES];

    if (bytes == 0 && ((field->flags & PH_REQ) == 0 || field->min == 0))
        return 0;
    if (bytes == 0)
        return ph_error_set(error, PH_BAD_INPUT, field->name,
            "%s is empty; it must have %lld to "
            "%lld bytes",
            field->name, (long long)field->min, (long long)field->max);
    if ((int64_t)bytes < field->min || (int64_t)bytes > field->max) {
        /* A secret is never shown, not even a wrong one. */
        if (field->flags & PH_SECRET)
            return ph_error_set(error, PH_BAD_INPUT, field->name,
                "%s has %zu bytes; it must have %lld to %lld", field->name, bytes,
                (long long)field->min, (long long)field->max);
        return ph_error_set(error, PH_BAD_INPUT, field->name,
            "\"%s\" has %zu bytes; %s must have %lld to %lld",
            ph_text_printable(shown, sizeof shown, text), bytes, field->name, (long long)field->min,
            (long long)field->max);
    }
    if (!ph_utf8_valid(text, bytes))
        return ph_error_set(
            error, PH_BAD_INPUT, field->name, "%s is not text in UTF-8", field->name);
    return 0;
}

int ph_check_int(const struct ph_field *field, int64_t value, struct ph_error *error)
{
    if (value >= field->min && value <= field->max)
        return 0;
    if (field->max == INT64_MAX)
        return ph_error_set(error, PH_BAD_INPUT, field->name,
            "%lld is too small; %s must be %lld "
            "or more",
            (long long)value, field->name, (long long)field->min);
    return ph_error_set(error, PH_BAD_INPUT, field->name,
        "%lld is out of range; %s must be %lld "
        "to %lld",
        (long long)value, field->name, (long long)field->min, (long long)field->max);
}

const char *ph_enum_list(const struct ph_enum *enumeration, char *out, size_t size)
{
    size_t used = 0;

    out[0] = '\0';
    for (size_t i = 0; i < enumeration->count; i++) {
        const char *between = i == 0 ? "" : i + 1 == enumeration->count ? " or " : ", ";
        used += ph_text_format(out + used, size - used, "%s%s", between, enumeration->words[i]);
    }
    return out;
}

int ph_check_word(
    const struct ph_field *field, const char *word, int *value_out, struct ph_error *error)
{
    char shown[SHOWN_BYTES], words[256];
    int value = ph_enum_value(field->enumeration, word);

    if (value >= 0) {
        *value_out = value;
        return 0;
    }
    return ph_error_set(error, PH_BAD_INPUT, field->name, "\"%s\" is not known; %s must be %s",
        ph_text_printable(shown, sizeof shown, word), field->name,
        ph_enum_list(field->enumeration, words, sizeof words));
}

int ph_check_count(const struct ph_field *field, size_t count, struct ph_error *error)
{
    if ((uint64_t)count > (uint64_t)field->max || (int64_t)count < field->min)
        return ph_error_set(error, PH_BAD_INPUT, field->name,
            "%s has %zu items; it must have %lld to %lld", field->name, count,
            (long long)field->min, (long long)field->max);
    return 0;
}

int ph_check_item(
    const struct ph_field *field, const char *text, size_t bytes, struct ph_error *error)
{
    if (bytes > PH_ARGUMENT_BYTES_MAX)
        return ph_error_set(error, PH_BAD_INPUT, NULL,
            "an item of %s has %zu bytes; it may have %d", field->name, bytes,
            PH_ARGUMENT_BYTES_MAX);
    if (!ph_utf8_valid(text, bytes))
        return ph_error_set(
            error, PH_BAD_INPUT, NULL, "an item of %s is not text in UTF-8", field->name);
    return 0;
}

void ph_error_within(struct ph_error *error, const char *name, long index)
{
    char path[sizeof error->field];

    if (error == NULL)
        return;
    const char *inner = error->field;
    const char *dot = inner[0] != '\0' && inner[0] != '[' ? "." : "";
    if (index >= 0)
        ph_text_format(path, sizeof path, "%s[%ld]%s%s", name, index, dot, inner);
    else
        ph_text_format(path, sizeof path, "%s%s%s", name, dot, inner);
    memcpy(error->field, path, sizeof path);
}
