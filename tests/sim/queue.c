#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us != b->at_us ? a->at_us < b->at_us : a->order < b->order;
}

void sim_at(struct sim *sim, uint64_t at_us, struct sim_event event)
{
    struct sim_queue *queue = &sim->queue;
    if (queue->count == queue->room) {
        queue->room = queue->room == 0 ? 1024 : queue->room * 2;
        queue->items = realloc(queue->items, queue->room * sizeof(*queue->items));
        if (queue->items == NULL) {
            abort();
        }
    }
    event.at_us = at_us > sim->now_us ? at_us : sim->now_us;
    event.order = queue->order++;
    size_t i = queue->count++;
    while (i > 0 && before(&event, &queue->items[(i - 1) / 2])) {
        queue->items[i] = queue->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->items[i] = event;
}

static struct sim_event pop(struct sim_queue *queue)
{
    struct sim_event first = queue->items[0];
    struct sim_event last = queue->items[--queue->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= queue->count) {
            break;
        }
        if (child + 1 < queue->count && before(&queue->items[child + 1], &queue->items[child])) {
            child++;
        }
        if (!before(&queue->items[child], &last)) {
            break;
        }
        queue->items[i] = queue->items[child];
        i = child;
    }
    if (queue->count > 0) {
        queue->items[i] = last;
    }
    return first;
}

bool sim_next(struct sim *sim, uint64_t until_us)
{
    if (sim->queue.count == 0 || sim->queue.items[0].at_us > until_us) {
        sim->now_us = until_us > sim->now_us ? until_us : sim->now_us;
        return false;
    }
    struct sim_event event = pop(&sim->queue);
    sim->queue.at_once = event.at_us == sim->now_us ? sim->queue.at_once + 1 : 0;
    if (sim->queue.at_once > 1000000) {
        sim_fail(sim, "somebody is due again and again, and time stands still");
    }
    sim->now_us = event.at_us;
    event.run(sim, &event);
    return true;
}

void sim_queue_fini(struct sim *sim)
{
    /* Everybody is gone: what would have reached them frees itself. */
    for (size_t i = 0; i < sim->queue.count; i++) {
        if (sim->queue.items[i].data != NULL) {
            sim->queue.items[i].run(sim, &sim->queue.items[i]);
        }
    }
    free(sim->queue.items);
}
