#include "agent/work/qmp_line.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"

void ph_qmp_message_fini(struct ph_qmp_message *message)
{
    json_decref(message->value);
    message->value = NULL;
}

void ph_qmp_lines_fini(struct ph_qmp_lines *lines)
{
    free(lines->bytes);
    *lines = (struct ph_qmp_lines){NULL, 0, 0, 0};
}

int ph_qmp_feed(struct ph_qmp_lines *lines, const char *bytes, size_t count)
{
    size_t line = lines->count; /* bytes of the line that is not whole yet */
    const char *first = count == 0 ? NULL : memchr(bytes, '\n', count);
    if (count == 0)
        return 0;
    if (line + (first == NULL ? count : (size_t)(first - bytes)) > PH_QMP_LINE_BYTES_MAX ||
        count > PH_QMP_LINE_BYTES_MAX)
        return -EMSGSIZE;
    if (lines->count + count > lines->room) {
        size_t room = lines->room == 0 ? 4096 : lines->room;
        while (room < lines->count + count)
            room *= 2;
        char *grown = realloc(lines->bytes, room);
        if (grown == NULL)
            return -ENOMEM;
        lines->bytes = grown;
        lines->room = room;
    }
    memcpy(lines->bytes + lines->count, bytes, count);
    lines->count += count;
    return 0;
}

static void drop(struct ph_qmp_lines *lines, size_t count)
{
    memmove(lines->bytes, lines->bytes + count, lines->count - count);
    lines->count -= count;
    lines->looked = 0;
}

static const char *string_in(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));
    return text == NULL ? "" : text;
}

/* Sorts one object; takes nothing of it but references. */
static int sort(const json_t *root, struct ph_qmp_message *message, struct ph_error *error)
{
    const json_t *id = json_object_get(root, "id");
    json_t *value;
    message->id = json_is_integer(id) ? (int64_t)json_integer_value(id) : -1;
    if ((value = json_object_get(root, "return")) != NULL) {
        message->kind = PH_QMP_RETURN;
        message->value = json_incref(value);
    } else if (json_is_object(value = json_object_get(root, "error"))) {
        message->kind = PH_QMP_ERROR;
        ph_text_format(message->word, sizeof message->word, "%s", string_in(value, "class"));
        ph_text_printable(message->text, sizeof message->text, string_in(value, "desc"));
    } else if (json_is_string(json_object_get(root, "event"))) {
        message->kind = PH_QMP_EVENT;
        ph_text_format(message->word, sizeof message->word, "%s", string_in(root, "event"));
        message->value = json_incref(json_object_get(root, "data"));
    } else if (json_is_object(value = json_object_get(root, "QMP"))) {
        message->kind = PH_QMP_GREETING;
        message->value = json_incref(value);
    } else {
        return ph_error_set(error, PH_FAILED, NULL, "QEMU's monitor sent what is no message");
    }
    return 0;
}

int ph_qmp_next(
    struct ph_qmp_lines *lines, struct ph_qmp_message *message_out, struct ph_error *error)
{
    for (;;) {
        const char *end = lines->count == lines->looked ? NULL
                                                        : memchr(lines->bytes + lines->looked, '\n',
                                                              lines->count - lines->looked);
        if (end == NULL) {
            lines->looked = lines->count;
            return -EAGAIN;
        }
        size_t bytes = (size_t)(end - lines->bytes), begin = 0;
        while (bytes > begin && (lines->bytes[bytes - 1] == '\r' || lines->bytes[bytes - 1] == ' '))
            bytes--;
        /* The guest agent marks the first answer after a delimited sync so. */
        if (bytes > begin && (unsigned char)lines->bytes[begin] == 0xff)
            begin++;
        size_t used = (size_t)(end - lines->bytes) + 1;
        if (bytes == begin) {
            drop(lines, used);
            continue;
        }
        json_error_t problem;
        json_t *root =
            json_loadb(lines->bytes + begin, bytes - begin, JSON_REJECT_DUPLICATES, &problem);
        drop(lines, used);
        *message_out = (struct ph_qmp_message){.id = -1};
        int rv = 0;
        if (!json_is_object(root))
            rv = ph_error_set(error, PH_FAILED, NULL, "QEMU's monitor sent what is no JSON object");
        else
            rv = sort(root, message_out, error);
        json_decref(root);
        return rv == 0 ? 0 : -EPROTO;
    }
}

char *ph_qmp_command(const char *command, json_t *arguments, int64_t id)
{
    json_t *root = json_pack(
        "{s:s, s:o*, s:I}", "execute", command, "arguments", arguments, "id", (json_int_t)id);
    char *text = root == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    if (text == NULL)
        return NULL;
    char *line = ph_text_new("%s\n", text);
    free(text);
    return line;
}
