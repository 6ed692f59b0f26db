#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static int by_number(int64_t a, int64_t b)
{
    return (a > b) - (a < b);
}

static bool before(const struct sim_event *a, const struct sim_event *b)
{
    if (a->at_us != b->at_us) {
        return a->at_us < b->at_us;
    }
    if (a->routine != b->routine) {
        return a->routine > b->routine;
    }
    int order = 0;
    if (a->routine != SIM_ONCE) {
        order = by_number(a->node, b->node);
        order = order != 0 ? order : by_number(a->pool, b->pool);
        order = order != 0 ? order : by_number(a->life, b->life);
    }
    return order != 0 ? order < 0 : a->order < b->order;
}

static void rise(struct sim_queue *queue, size_t i, const struct sim_event *event)
{
    while (i > 0 && before(event, &queue->items[(i - 1) / 2])) {
        queue->items[i] = queue->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->items[i] = *event;
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
    rise(queue, queue->count++, &event);
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

bool sim_deferred(struct sim *sim, const struct sim_event *event, uint64_t until_us)
{
    if (sim->now_us >= until_us) {
        return false;
    }
    sim_at(sim, until_us, *event);
    return true;
}

uint64_t sim_queue_once_us(const struct sim *sim)
{
    uint64_t first_us = UINT64_MAX;
    for (size_t i = 0; i < sim->queue.count; i++) {
        const struct sim_event *event = &sim->queue.items[i];
        if (event->routine == SIM_ONCE && event->at_us < first_us) {
            first_us = event->at_us;
        }
    }
    return first_us;
}

void sim_queue_drop_routine(struct sim *sim)
{
    struct sim_queue *queue = &sim->queue;
    size_t count = queue->count;
    queue->count = 0;
    for (size_t i = 0; i < count; i++) {
        struct sim_event event = queue->items[i]; /* what rises stays below i */
        if (event.routine == SIM_ONCE) {
            rise(queue, queue->count++, &event);
        }
    }
}

void sim_queue_fini(struct sim *sim)
{
    /* Everybody is gone: what would have reached them frees itself. */
    sim->now_us = UINT64_MAX;
    for (size_t i = 0; i < sim->queue.count; i++) {
        if (sim->queue.items[i].data != NULL) {
            sim->queue.items[i].run(sim, &sim->queue.items[i]);
        }
    }
    free(sim->queue.items);
}
