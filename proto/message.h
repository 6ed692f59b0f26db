/*
 * The envelope: {"type":"beat","id":7,"body":{...}} in one frame, sometimes followed by a second
 * frame of raw bytes (rows of a query, data of a stream). Pure.
 *
 * `id` is the asker's number: an answer echoes it. 0: no answer is awaited.
 */
#ifndef PH_PROTO_MESSAGE_H
#define PH_PROTO_MESSAGE_H

#include "proto/catalogue.h"

struct ph_message {
    enum ph_message_type type;
    int64_t id;
    void *body; /* owned; a struct of ph_messages[type].record */
};

/* 0 and an owned text. -ENOMEM, -EINVAL, -EMSGSIZE when over the type's limit. */
int ph_message_encode(
    enum ph_message_type type, int64_t id, const void *body, char **text_out, size_t *bytes_out);

/* Reads one frame. -EINVAL: malformed, an unknown type (the message names it), a wrong body;
 * -EMSGSIZE: over the type's limit. On failure *message is empty but for id, which is kept when it
 * could be read, so that the asker can be answered. */
int ph_message_decode(
    const char *text, size_t bytes, struct ph_message *message, struct ph_error *error);

void ph_message_fini(struct ph_message *message);

#endif
