#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

struct sim_out *sim_outbox_add(struct sim_outbox *outbox, enum sim_out_kind kind)
{
    if (outbox->count == outbox->room) {
        outbox->room = outbox->room == 0 ? 32 : outbox->room * 2;
        outbox->items = realloc(outbox->items, outbox->room * sizeof(*outbox->items));
        if (outbox->items == NULL) {
            abort();
        }
    }
    struct sim_out *out = &outbox->items[outbox->count++];
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    return out;
}

void sim_out_fini(struct sim_out *out)
{
    if (out->value != NULL) {
        ph_record_destroy(out->record, &out->value);
    }
    ph_task_destroy(&out->task);
}

bool sim_outbox_take(struct sim_outbox *outbox, struct sim_out *out)
{
    if (outbox->count == 0 || outbox->committing > 0 || outbox->items[0].kind != SIM_DO) {
        return false;
    }
    *out = outbox->items[0];
    outbox->count--;
    memmove(outbox->items, outbox->items + 1, outbox->count * sizeof(*outbox->items));
    return true;
}

void sim_outbox_clear(struct sim_outbox *outbox)
{
    for (size_t i = 0; i < outbox->count; i++) {
        sim_out_fini(&outbox->items[i]);
    }
    outbox->count = 0;
    outbox->committing = 0;
}
