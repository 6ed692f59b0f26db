/* The writing half of the codec: text straight into a growing buffer, no tree in between. */
#include "proto/codec_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "proto/check.h"

static bool make_room(struct ph_buffer *buffer, size_t more)
{
    if (buffer->error != 0)
        return false;
    if (buffer->room - buffer->used > more) /* one byte stays for the terminator */
        return true;
    size_t room = buffer->room == 0 ? 256 : buffer->room;
    while (room - buffer->used <= more)
        room *= 2;
    char *text = realloc(buffer->text, room);
    if (text == NULL) {
        buffer->error = -ENOMEM;
        return false;
    }
    buffer->text = text;
    buffer->room = room;
    return true;
}

void ph_buffer_add(struct ph_buffer *buffer, const char *bytes, size_t count)
{
    if (!make_room(buffer, count))
        return;
    memcpy(buffer->text + buffer->used, bytes, count);
    buffer->used += count;
}

#define ADD(buffer, literal) ph_buffer_add(buffer, literal, sizeof(literal) - 1)

static void add_escape(struct ph_buffer *buffer, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    char escape[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
    const char *short_form = c == '"'    ? "\\\""
                             : c == '\\' ? "\\\\"
                             : c == '\n' ? "\\n"
                             : c == '\t' ? "\\t"
                             : c == '\r' ? "\\r"
                                         : NULL;
    if (short_form != NULL)
        ph_buffer_add(buffer, short_form, 2);
    else
        ph_buffer_add(buffer, escape, sizeof escape);
}

void ph_buffer_add_string(struct ph_buffer *buffer, const char *text)
{
    const unsigned char *at = (const unsigned char *)text;
    bool ascii = true;

    ADD(buffer, "\"");
    for (;;) {
        const unsigned char *start = at;
        while (*at >= 0x20 && *at != '"' && *at != '\\') {
            ascii = ascii && *at < 0x80;
            at++;
        }
        ph_buffer_add(buffer, (const char *)start, (size_t)(at - start));
        if (*at == '\0')
            break;
        add_escape(buffer, *at++);
    }
    ADD(buffer, "\"");
    if (!ascii && !ph_utf8_valid(text, (size_t)((const char *)at - text)) && buffer->error == 0)
        buffer->error = -EINVAL;
}

void ph_buffer_add_int(struct ph_buffer *buffer, int64_t value)
{
    char digits[24];
    size_t start = sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

    do {
        digits[--start] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (value < 0)
        digits[--start] = '-';
    ph_buffer_add(buffer, digits + start, sizeof digits - start);
}

static void add_texts(struct ph_buffer *buffer, const struct ph_texts *texts)
{
    ADD(buffer, "[");
    for (size_t i = 0; i < texts->count; i++) {
        if (i > 0)
            ADD(buffer, ",");
        ph_buffer_add_string(buffer, texts->items[i]);
    }
    ADD(buffer, "]");
}

static void add_field(struct ph_buffer *buffer, const struct ph_field *field, const void *at,
    enum ph_encoding encoding)
{
    const char *text;
    int word;

    switch (field->kind) {
    case PH_FIELD_NAME:
        ph_buffer_add_string(buffer, at);
        break;
    case PH_FIELD_TEXT:
        text = *(char *const *)at;
        ph_buffer_add_string(buffer, text != NULL ? text : "");
        break;
    case PH_FIELD_INT:
        ph_buffer_add_int(buffer, *(const int64_t *)at);
        break;
    case PH_FIELD_BOOL:
        if (*(const bool *)at)
            ADD(buffer, "true");
        else
            ADD(buffer, "false");
        break;
    case PH_FIELD_ENUM:
        memcpy(&word, at, sizeof word);
        if (word < 0 || (size_t)word >= field->enumeration->count) {
            if (buffer->error == 0)
                buffer->error = -EINVAL;
            return;
        }
        ph_buffer_add_string(buffer, field->enumeration->words[word]);
        break;
    case PH_FIELD_TEXTS:
        add_texts(buffer, at);
        break;
    case PH_FIELD_JSON:
        text = *(char *const *)at;
        if (text != NULL && text[0] != '\0')
            ph_buffer_add(buffer, text, strlen(text));
        else
            ADD(buffer, "null");
        break;
    case PH_FIELD_ONE:
        /* Shown: an optional record that is not there, as in a list without details. */
        if ((field->flags & PH_REQ) == 0 && ph_record_empty(field->record, at))
            ADD(buffer, "null");
        else
            ph_buffer_add_record(buffer, field->record, at, encoding);
        break;
    case PH_FIELD_MANY: {
        const struct ph_many *many = at;
        ADD(buffer, "[");
        for (size_t i = 0; i < many->count; i++) {
            if (i > 0)
                ADD(buffer, ",");
            ph_buffer_add_record(buffer, field->record,
                (const char *)many->items + i * field->record->size, encoding);
        }
        ADD(buffer, "]");
        break;
    }
    }
}

void ph_buffer_add_record(struct ph_buffer *buffer, const struct ph_record *record,
    const void *value, enum ph_encoding encoding)
{
    bool first = true;

    ADD(buffer, "{");
    for (size_t i = 0; i < record->field_count && buffer->error == 0; i++) {
        const struct ph_field *field = &record->fields[i];
        const void *at = (const char *)value + field->offset;
        bool required = (field->flags & PH_REQ) != 0;
        if (encoding == PH_ENCODE_SHOWN ? (field->flags & PH_SECRET) != 0
                                        : !required && ph_field_empty(field, at))
            continue;
        if (first)
            ADD(buffer, "\"");
        else
            ADD(buffer, ",\"");
        first = false;
        ph_buffer_add(buffer, field->name, strlen(field->name));
        ADD(buffer, "\":");
        add_field(buffer, field, at, encoding);
    }
    ADD(buffer, "}");
}

int ph_buffer_take(struct ph_buffer *buffer, char **text_out, size_t *bytes_out)
{
    int error = buffer->error;

    if (error == 0 && !make_room(buffer, 0))
        error = -ENOMEM;
    if (error == 0) {
        buffer->text[buffer->used] = '\0';
        *text_out = buffer->text;
        if (bytes_out != NULL)
            *bytes_out = buffer->used;
    } else {
        free(buffer->text);
    }
    *buffer = (struct ph_buffer){0};
    return error;
}

int ph_encode(const struct ph_record *record, const void *value, enum ph_encoding encoding,
    char **text_out, size_t *bytes_out)
{
    struct ph_buffer buffer = {0};

    ph_buffer_add_record(&buffer, record, value, encoding);
    return ph_buffer_take(&buffer, text_out, bytes_out);
}
