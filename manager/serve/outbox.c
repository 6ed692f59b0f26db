#include "manager/serve/outbox.h"

#include <stdlib.h>
#include <string.h>

static bool outbox_grow(struct serve_outbox *outbox)
{
    size_t room = outbox->room == 0 ? 64 : outbox->room * 2;
    struct serve_letter *items = calloc(room, sizeof *items);
    size_t i;

    if (items == NULL) {
        return false;
    }
    for (i = 0; i < outbox->count; i++) {
        items[i] = outbox->items[(outbox->first + i) % outbox->room];
    }
    free(outbox->items);
    outbox->items = items;
    outbox->first = 0;
    outbox->room = room;
    return true;
}

struct serve_letter *serve_outbox_add(struct serve_outbox *outbox)
{
    struct serve_letter *letter;

    if (outbox->count == outbox->room && !outbox_grow(outbox)) {
        return NULL;
    }
    letter = &outbox->items[(outbox->first + outbox->count) % outbox->room];
    memset(letter, 0, sizeof *letter);
    outbox->count++;
    return letter;
}

bool serve_outbox_take(
    struct serve_outbox *outbox, uint64_t durable, struct serve_letter *letter_out)
{
    if (outbox->count == 0 || outbox->items[outbox->first].after > durable) {
        return false;
    }
    *letter_out = outbox->items[outbox->first];
    outbox->first = (outbox->first + 1) % outbox->room;
    outbox->count--;
    return true;
}

void serve_letter_fini(struct serve_letter *letter)
{
    if (letter->body != NULL) {
        ph_record_destroy(ph_messages[letter->type].record, &letter->body);
    }
}

void serve_outbox_fini(struct serve_outbox *outbox)
{
    struct serve_letter letter;

    while (serve_outbox_take(outbox, UINT64_MAX, &letter)) {
        serve_letter_fini(&letter);
    }
    free(outbox->items);
    *outbox = (struct serve_outbox){0};
}
