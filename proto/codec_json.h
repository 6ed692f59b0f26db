/*
 * The codec's inside, for message.c and record.c. Private to proto/: nothing else sees jansson. Pure.
 */
#ifndef PH_PROTO_CODEC_JSON_H
#define PH_PROTO_CODEC_JSON_H

#include <jansson.h>
#include "proto/codec.h"

/* Text that grows. A failure is remembered and makes all further additions do nothing. */
struct ph_buffer {
    char *text;
    size_t used;
    size_t room;
    int error; /* 0, -ENOMEM, -EINVAL */
};

void ph_buffer_add(struct ph_buffer *buffer, const char *bytes, size_t count);
void ph_buffer_add_string(struct ph_buffer *buffer, const char *text); /* quoted; checks UTF-8 */
void ph_buffer_add_int(struct ph_buffer *buffer, int64_t value);
void ph_buffer_add_record(struct ph_buffer *buffer, const struct ph_record *record,
    const void *value, enum ph_encoding encoding);
/* The text, terminated, to the caller; or the remembered error. Empties the buffer. */
int ph_buffer_take(struct ph_buffer *buffer, char **text_out, size_t *bytes_out);

/* Parses within the limits of depth and number of values. A JSON object or array; *root_out is owned
 * (json_decref). 0, -EINVAL with *error, -ENOMEM. */
int ph_json_load(const char *text, size_t bytes, json_t **root_out, struct ph_error *error);

/* Like ph_decode() from what is parsed already. */
int ph_json_decode(
    const struct ph_record *record, json_t *object, void *value, struct ph_error *error);

/* Whether text is JSON within the field's limit. */
int ph_check_json(const struct ph_field *field, const char *text, struct ph_error *error);

#endif
