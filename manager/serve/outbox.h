/*
 * What has to wait for the disk: a queue in the order of the core's effects. Private.
 *
 *     taken first -> [after 7][after 7][after 9] ... [after 12] <- added last
 *
 * `after` never falls along the queue, because batches are numbered in the order they are filled.
 */
#ifndef PH_SERVE_OUTBOX_H
#define PH_SERVE_OUTBOX_H

#include "manager/core/core.h"
#include "proto/wire/wire.h"

struct serve_letter {
    uint64_t after;           /* the batch that must be durable first */
    enum ph_effect_kind kind; /* SEND, ANSWER, FENCE */
    enum ph_message_type type;
    void *body; /* owned */
    int64_t id; /* ANSWER: the asker's number */
    char node[PH_NAME_BYTES_MAX + 1];
    bool has_peer; /* ANSWER, and SEND that answers a message: to this peer first */
    struct ph_wire_peer peer;
};

struct serve_outbox {
    size_t first, count, room; /* a ring */
    struct serve_letter *items;
};

/* A zeroed letter at the end, or NULL without memory. */
struct serve_letter *serve_outbox_add(struct serve_outbox *outbox);
/* Takes the first one out when it may go (after <= durable). The body is then the caller's. */
bool serve_outbox_take(
    struct serve_outbox *outbox, uint64_t durable, struct serve_letter *letter_out);
void serve_letter_fini(struct serve_letter *letter);
void serve_outbox_fini(struct serve_outbox *outbox);

#endif
