#include "proto/message.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/check.h"
#include "proto/codec_json.h"

#define LITERAL(buffer, text) ph_buffer_add(buffer, text, sizeof(text) - 1)

int ph_message_encode(
    enum ph_message_type type, int64_t id, const void *body, char **text_out, size_t *bytes_out)
{
    const struct ph_message_description *description = &ph_messages[type];
    struct ph_buffer buffer = {0};
    size_t bytes;
    char *text;

    ph_assert((int)type >= 0 && type < PH_MESSAGE_TYPES);
    /* The type comes first: sniff_type() of the receiver counts on it. */
    LITERAL(&buffer, "{\"type\":\"");
    ph_buffer_add(&buffer, description->type, strlen(description->type));
    LITERAL(&buffer, "\",\"id\":");
    ph_buffer_add_int(&buffer, id);
    LITERAL(&buffer, ",\"body\":");
    ph_buffer_add_record(&buffer, description->record, body, PH_ENCODE_WIRE);
    LITERAL(&buffer, "}");
    int rv = ph_buffer_take(&buffer, &text, &bytes);
    if (rv != 0)
        return rv;
    if (bytes > description->bytes_max) {
        free(text);
        return -EMSGSIZE;
    }
    *text_out = text;
    if (bytes_out != NULL)
        *bytes_out = bytes;
    return 0;
}

static int too_long(struct ph_error *error, const char *type, size_t bytes, size_t limit)
{
    ph_error_set(error, PH_BAD_INPUT, NULL, "a message of type %s has %zu bytes; it may have %zu",
        type, bytes, limit);
    return -EMSGSIZE;
}

static int unknown_type(struct ph_error *error, const char *word)
{
    char shown[96];

    return ph_error_set(error, PH_BAD_INPUT, "type", "\"%s\" is not a type of message",
        ph_text_printable(shown, sizeof shown, word));
}

/* Parsing costs memory in proportion, so the limit of a long frame's type is found before: such a
 * frame must begin with {"type":"WORD". 0, or the error. */
static int sniff_type(const char *text, size_t bytes, struct ph_error *error)
{
    static const char start[] = "{\"type\":\"";
    char word[PH_NAME_BYTES_MAX + 1];
    size_t length = 0;

    if (bytes > PH_MESSAGE_BYTES_MAX)
        return too_long(error, "any", bytes, PH_MESSAGE_BYTES_MAX);
    if (memcmp(text, start, sizeof start - 1) != 0)
        return ph_error_set(error, PH_BAD_INPUT, "type",
            "a message of more than %d bytes must begin with its type", PH_MESSAGE_BYTES_USUAL);
    for (const char *at = text + sizeof start - 1; length < PH_NAME_BYTES_MAX && *at != '"'; at++)
        word[length++] = *at;
    word[length] = '\0';
    int type = ph_message_type_find(word);
    if (type < 0)
        return unknown_type(error, word);
    if (bytes > ph_messages[type].bytes_max)
        return too_long(error, word, bytes, ph_messages[type].bytes_max);
    return 0;
}

static int decode_envelope(
    json_t *root, size_t bytes, struct ph_message *message, struct ph_error *error)
{
    json_t *id = json_object_get(root, "id");
    json_t *type = json_object_get(root, "type");
    json_t *body = json_object_get(root, "body");

    if (id != NULL && (!json_is_integer(id) || json_integer_value(id) < 0))
        return ph_error_set(error, PH_BAD_INPUT, "id", "id must be an integer of 0 or more");
    message->id = id != NULL ? json_integer_value(id) : 0;
    if (!json_is_string(type))
        return ph_error_set(error, PH_BAD_INPUT, "type", "type is missing or not a string");
    int found = ph_message_type_find(json_string_value(type));
    if (found < 0)
        return unknown_type(error, json_string_value(type));
    const struct ph_message_description *description = &ph_messages[found];
    if (bytes > description->bytes_max)
        return too_long(error, description->type, bytes, description->bytes_max);
    if (!json_is_object(body))
        return ph_error_set(error, PH_BAD_INPUT, "body", "body is missing or not an object");
    void *value = calloc(1, description->record->size);
    if (value == NULL)
        return -ENOMEM;
    int rv = ph_json_decode(description->record, body, value, error);
    if (rv != 0) {
        if (rv == -EINVAL)
            ph_error_within(error, "body", -1);
        free(value);
        return rv;
    }
    message->type = (enum ph_message_type)found;
    message->body = value;
    return 0;
}

int ph_message_decode(
    const char *text, size_t bytes, struct ph_message *message, struct ph_error *error)
{
    json_t *root = NULL;
    int rv = 0;

    *message = (struct ph_message){0};
    if (bytes > PH_MESSAGE_BYTES_USUAL)
        rv = sniff_type(text, bytes, error);
    if (rv == 0)
        rv = ph_json_load(text, bytes, &root, error);
    if (rv == 0 && !json_is_object(root))
        rv = ph_error_set(error, PH_BAD_INPUT, NULL, "a message must be a JSON object");
    if (rv == 0)
        rv = decode_envelope(root, bytes, message, error);
    if (rv == -ENOMEM)
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    json_decref(root);
    return rv;
}

void ph_message_fini(struct ph_message *message)
{
    if (message->body != NULL)
        ph_record_destroy(ph_messages[message->type].record, &message->body);
    *message = (struct ph_message){0};
}
