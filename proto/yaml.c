/* From text to a tree: libyaml's events, bounded, with everything refused that a declaration does not
 * need and that could surprise its reader. yaml_decode.c goes from the tree to records. */
#include "proto/yaml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yaml.h>
#include "base/file.h"

#define FILE_BYTES_SHOWN 60
#define KEYS_MAX 1024 /* of one mapping: duplicates are looked for one by one */

/* "FILE:LINE" or "FILE:LINE: path" */
__attribute__((format(printf, 5, 0))) static int complain(const char *file, int line,
    const char *path, struct ph_error *error, const char *format, va_list arguments)
{
    char field[sizeof error->field], message[sizeof error->message];
    size_t bytes = strlen(file);
    bool cut = bytes > FILE_BYTES_SHOWN;

    ph_text_format(field, sizeof field, "%s%s:%d%s%s", cut ? "..." : "",
        file + (cut ? bytes - FILE_BYTES_SHOWN : 0), line, path[0] != '\0' ? ": " : "", path);
    ph_text_vformat(message, sizeof message, format, arguments);
    return ph_error_set(error, PH_BAD_INPUT, field, "%s", message);
}

int ph_yaml_fail(const struct ph_yaml *at, const char *file, const char *path,
    struct ph_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int rv = complain(file, at->line, path, error, format, arguments);
    va_end(arguments);
    return rv;
}

__attribute__((format(printf, 4, 5))) static int fail_at(
    const char *file, int line, struct ph_error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int rv = complain(file, line, "", error, format, arguments);
    va_end(arguments);
    return rv;
}

void ph_yaml_destroy(struct ph_yaml **root)
{
    struct ph_yaml *node = *root;

    if (node == NULL)
        return;
    /* Recursion is bounded by the depth limit of the parser. */
    for (size_t i = 0; i < node->count; i++) {
        if (node->keys != NULL)
            ph_yaml_destroy(&node->keys[i]);
        ph_yaml_destroy(&node->items[i]);
    }
    free(node->keys);
    free(node->items);
    free(node->text);
    free(node);
    *root = NULL;
}

const struct ph_yaml *ph_yaml_get(const struct ph_yaml *mapping, const char *key)
{
    for (size_t i = 0; mapping->kind == PH_YAML_MAPPING && i < mapping->count; i++) {
        if (strcmp(mapping->keys[i]->text, key) == 0)
            return mapping->items[i];
    }
    return NULL;
}

struct reading {
    const char *file;
    struct ph_error *error;
    struct ph_yaml *root;
    struct ph_yaml *open[PH_JSON_DEPTH_MAX]; /* collections begun and not ended */
    size_t depth;
    struct ph_yaml *key; /* read, its value is still to come; owned */
    size_t nodes;
    bool documents; /* one has begun */
};

static struct ph_yaml *node_new(enum ph_yaml_kind kind, const yaml_mark_t *mark)
{
    struct ph_yaml *node = calloc(1, sizeof *node);

    if (node != NULL) {
        node->kind = kind;
        node->line = (int)mark->line + 1;
        node->column = (int)mark->column + 1;
    }
    return node;
}

/* Room for one more child; grows at powers of two. */
static int make_room(struct ph_yaml ***children, size_t count)
{
    if ((count & (count - 1)) != 0)
        return 0;
    struct ph_yaml **larger = realloc(*children, (count == 0 ? 1 : count * 2) * sizeof *larger);
    if (larger == NULL)
        return -ENOMEM;
    *children = larger;
    return 0;
}

static int check_key(
    struct reading *reading, const struct ph_yaml *parent, const struct ph_yaml *key)
{
    char shown[96];

    if (key->kind != PH_YAML_SCALAR)
        return ph_yaml_fail(key, reading->file, "", reading->error, "a key must be a plain word");
    if (parent->count >= KEYS_MAX)
        return ph_yaml_fail(
            key, reading->file, "", reading->error, "a mapping has more than %d keys", KEYS_MAX);
    for (size_t i = 0; i < parent->count; i++) {
        if (strcmp(parent->keys[i]->text, key->text) == 0)
            return ph_yaml_fail(key, reading->file, "", reading->error,
                "the key \"%s\" is given twice; line %d has it too",
                ph_text_printable(shown, sizeof shown, key->text), parent->keys[i]->line);
    }
    return 0;
}

/* Puts node, which it owns from now on, where the reading stands. */
static int attach(struct reading *reading, struct ph_yaml *node)
{
    int rv = 0;

    if (reading->depth == 0) {
        reading->root = node;
        return 0;
    }
    struct ph_yaml *parent = reading->open[reading->depth - 1];
    if (parent->kind == PH_YAML_MAPPING && reading->key == NULL) {
        rv = check_key(reading, parent, node);
        if (rv == 0)
            reading->key = node;
        else
            ph_yaml_destroy(&node);
        return rv;
    }
    rv = make_room(&parent->items, parent->count);
    if (rv == 0 && parent->kind == PH_YAML_MAPPING)
        rv = make_room(&parent->keys, parent->count);
    if (rv != 0) {
        ph_yaml_destroy(&node);
        return rv;
    }
    if (parent->kind == PH_YAML_MAPPING) {
        parent->keys[parent->count] = reading->key;
        reading->key = NULL;
    }
    parent->items[parent->count++] = node;
    return 0;
}

static int add_scalar(struct reading *reading, const yaml_event_t *event)
{
    const char *text = (const char *)event->data.scalar.value;
    size_t bytes = event->data.scalar.length;
    int line = (int)event->start_mark.line + 1;

    if (memchr(text, '\0', bytes) != NULL)
        return fail_at(reading->file, line, reading->error, "a text contains a NUL character");
    struct ph_yaml *node = node_new(PH_YAML_SCALAR, &event->start_mark);
    if (node == NULL)
        return -ENOMEM;
    node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->text = malloc(bytes + 1);
    if (node->text == NULL) {
        ph_yaml_destroy(&node);
        return -ENOMEM;
    }
    memcpy(node->text, text, bytes);
    node->text[bytes] = '\0';
    return attach(reading, node);
}

static int begin_collection(
    struct reading *reading, enum ph_yaml_kind kind, const yaml_event_t *event)
{
    int line = (int)event->start_mark.line + 1;

    if (reading->depth == PH_JSON_DEPTH_MAX)
        return fail_at(
            reading->file, line, reading->error, "nested more than %d deep", PH_JSON_DEPTH_MAX);
    if (kind == PH_YAML_SEQUENCE || kind == PH_YAML_MAPPING) {
        struct ph_yaml *node = node_new(kind, &event->start_mark);
        if (node == NULL)
            return -ENOMEM;
        int rv = attach(reading, node);
        if (rv != 0)
            return rv;
        reading->open[reading->depth++] = node;
    }
    return 0;
}

/* What a declaration has no use for, and what would make two readers see two things in one file. */
static int refuse_extras(struct reading *reading, const yaml_event_t *event)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    int line = (int)event->start_mark.line + 1;

    if (event->type == YAML_ALIAS_EVENT)
        return fail_at(reading->file, line, reading->error,
            "aliases (*name) are not supported; write the value out");
    if (event->type == YAML_DOCUMENT_START_EVENT) {
        if (reading->documents)
            return fail_at(reading->file, line, reading->error,
                "a second document begins (---); a file holds one");
        reading->documents = true;
        if (event->data.document_start.tag_directives.start !=
            event->data.document_start.tag_directives.end)
            return fail_at(reading->file, line, reading->error, "%%TAG is not supported");
    }
    if (event->type == YAML_SCALAR_EVENT) {
        anchor = event->data.scalar.anchor;
        tag = event->data.scalar.tag;
    } else if (event->type == YAML_SEQUENCE_START_EVENT) {
        anchor = event->data.sequence_start.anchor;
        tag = event->data.sequence_start.tag;
    } else if (event->type == YAML_MAPPING_START_EVENT) {
        anchor = event->data.mapping_start.anchor;
        tag = event->data.mapping_start.tag;
    }
    if (anchor != NULL)
        return fail_at(reading->file, line, reading->error, "anchors (&name) are not supported");
    if (tag != NULL)
        return fail_at(reading->file, line, reading->error, "tags (!name) are not supported");
    return 0;
}

static int take_event(struct reading *reading, const yaml_event_t *event)
{
    int rv = refuse_extras(reading, event);

    if (rv != 0)
        return rv;
    if (event->type == YAML_SCALAR_EVENT || event->type == YAML_SEQUENCE_START_EVENT ||
        event->type == YAML_MAPPING_START_EVENT) {
        if (++reading->nodes > PH_JSON_VALUES_MAX)
            return fail_at(reading->file, (int)event->start_mark.line + 1, reading->error,
                "the file has more than %d values", PH_JSON_VALUES_MAX);
    }
    if (event->type == YAML_SCALAR_EVENT)
        return add_scalar(reading, event);
    if (event->type == YAML_SEQUENCE_START_EVENT)
        return begin_collection(reading, PH_YAML_SEQUENCE, event);
    if (event->type == YAML_MAPPING_START_EVENT)
        return begin_collection(reading, PH_YAML_MAPPING, event);
    if (event->type == YAML_SEQUENCE_END_EVENT || event->type == YAML_MAPPING_END_EVENT)
        reading->depth--;
    return 0;
}

/* The number of the last line that has something; libyaml places what is missing at the end of a text
 * in the line after it. */
static size_t last_line(const char *text, size_t bytes)
{
    size_t lines = 1;

    for (size_t i = 0; i + 1 < bytes; i++)
        lines += text[i] == '\n';
    return lines;
}

static int parse_problem(
    struct reading *reading, const yaml_parser_t *parser, const char *text, size_t bytes)
{
    char shown[128], context[128] = "";
    size_t line = parser->problem_mark.line + 1, last = last_line(text, bytes);

    if (parser->error == YAML_MEMORY_ERROR)
        return -ENOMEM;
    const char *problem = parser->problem != NULL ? parser->problem : "malformed";
    if (parser->error == YAML_READER_ERROR)
        return fail_at(reading->file, (int)parser->mark.line + 1, reading->error,
            "not YAML: %s (byte %zu); the file must be text in UTF-8",
            ph_text_printable(shown, sizeof shown, problem), parser->problem_offset);
    if (parser->context != NULL)
        ph_text_format(context, sizeof context, ", %s that begins in line %zu", parser->context,
            parser->context_mark.line + 1);
    return fail_at(reading->file, (int)(line < last ? line : last), reading->error,
        "not YAML: %s (column %zu)%s", ph_text_printable(shown, sizeof shown, problem),
        parser->problem_mark.column + 1, context);
}

/* A file of comments only, or an empty one, says nothing: an empty mapping. */
static int empty_is_mapping(struct reading *reading)
{
    const yaml_mark_t start = {0};
    struct ph_yaml *root = reading->root;

    if (root != NULL && (root->kind != PH_YAML_SCALAR || root->quoted || root->text[0] != '\0'))
        return 0;
    ph_yaml_destroy(&reading->root);
    reading->root = node_new(PH_YAML_MAPPING, &start);
    return reading->root != NULL ? 0 : -ENOMEM;
}

int ph_yaml_parse(const char *text, size_t bytes, const char *file, struct ph_yaml **root_out,
    struct ph_error *error)
{
    struct reading reading = {.file = file, .error = error};
    yaml_parser_t parser;
    bool ended = false;
    int rv = 0;

    *root_out = NULL;
    if (!yaml_parser_initialize(&parser))
        return -ENOMEM;
    yaml_parser_set_encoding(&parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, bytes);
    while (rv == 0 && !ended) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            rv = parse_problem(&reading, &parser, text, bytes);
            break;
        }
        rv = take_event(&reading, &event);
        ended = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
    }
    yaml_parser_delete(&parser);
    if (rv == 0)
        rv = empty_is_mapping(&reading);
    ph_yaml_destroy(&reading.key);
    if (rv != 0) {
        ph_yaml_destroy(&reading.root);
        if (rv == -ENOMEM)
            ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return rv;
    }
    *root_out = reading.root;
    return 0;
}

static int read_stdin(char **text_out, size_t *bytes_out)
{
    char *text = NULL;
    size_t used = 0, room = 0;

    for (;;) {
        if (used == room) {
            room = room == 0 ? 65536 : room * 2;
            char *larger = realloc(text, room);
            if (larger == NULL) {
                free(text);
                return -ENOMEM;
            }
            text = larger;
        }
        ssize_t got = read(STDIN_FILENO, text + used, room - used);
        if (got < 0 && errno == EINTR)
            continue;
        int rv = got < 0 ? -errno : 0;
        used += got > 0 ? (size_t)got : 0;
        if (used > PH_MESSAGE_BYTES_MAX)
            rv = -EFBIG;
        if (rv != 0) {
            free(text);
            return rv;
        }
        if (got == 0)
            break;
    }
    *text_out = text;
    *bytes_out = used;
    return 0;
}

int ph_yaml_read(const char *path, struct ph_yaml **root_out, struct ph_error *error)
{
    bool is_stdin = strcmp(path, "-") == 0;
    char *text;
    size_t bytes;

    *root_out = NULL;
    int rv = is_stdin ? read_stdin(&text, &bytes)
                      : ph_file_read(path, PH_MESSAGE_BYTES_MAX, &text, &bytes);
    if (rv == -EFBIG)
        return ph_error_set(
            error, PH_BAD_INPUT, NULL, "%s is larger than %d bytes", path, PH_MESSAGE_BYTES_MAX);
    if (rv != 0) {
        ph_error_set(error, rv == -ENOENT ? PH_NOT_FOUND : PH_BAD_INPUT, NULL,
            "%s cannot be read: %s", path, strerror(-rv));
        return rv;
    }
    rv = ph_yaml_parse(text, bytes, is_stdin ? "<stdin>" : path, root_out, error);
    free(text);
    return rv;
}
