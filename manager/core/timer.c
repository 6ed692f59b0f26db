/*
 * A binary heap of timers, earliest first, ties in the order the timers were made, so that runs
 * repeat. Arming, moving and clearing are O(log n); the next deadline is the first item.
 */
#include "manager/core/internal.h"

#include <stdlib.h>

static bool timer_before(const struct core_timer *a, const struct core_timer *b)
{
    return a->at_ms != b->at_ms ? a->at_ms < b->at_ms : a->id < b->id;
}

static void timer_place(struct core_timers *timers, size_t index, struct core_timer *timer)
{
    timers->items[index] = timer;
    timer->slot = index + 1;
}

static void timer_up(struct core_timers *timers, size_t index)
{
    struct core_timer *timer = timers->items[index];

    while (index > 0) {
        size_t parent = (index - 1) / 2;

        if (!timer_before(timer, timers->items[parent]))
            break;
        timer_place(timers, index, timers->items[parent]);
        index = parent;
    }
    timer_place(timers, index, timer);
}

static void timer_down(struct core_timers *timers, size_t index)
{
    struct core_timer *timer = timers->items[index];

    for (;;) {
        size_t child = 2 * index + 1;

        if (child >= timers->count)
            break;
        if (child + 1 < timers->count &&
            timer_before(timers->items[child + 1], timers->items[child]))
            child++;
        if (!timer_before(timers->items[child], timer))
            break;
        timer_place(timers, index, timers->items[child]);
        index = child;
    }
    timer_place(timers, index, timer);
}

void core_timer_init(
    struct ph_core *core, struct core_timer *timer, enum core_timer_kind kind, void *owner)
{
    *timer = (struct core_timer){.id = ++core->timers.last_id, .kind = kind, .owner = owner};
}

void core_timer_set(struct ph_core *core, struct core_timer *timer, uint64_t at_ms)
{
    struct core_timers *timers = &core->timers;

    if (timer->slot != 0) {
        if (timer->at_ms == at_ms)
            return;
        timer->at_ms = at_ms;
        timer_up(timers, timer->slot - 1);
        timer_down(timers, timer->slot - 1);
        return;
    }
    if (timers->count == timers->room) {
        size_t room = timers->room == 0 ? 64 : timers->room * 2;
        struct core_timer **items = realloc(timers->items, room * sizeof *items);

        if (items == NULL) {
            core->no_memory = true;
            return;
        }
        timers->items = items;
        timers->room = room;
    }
    timer->at_ms = at_ms;
    timer_place(timers, timers->count++, timer);
    timer_up(timers, timers->count - 1);
}

void core_timer_clear(struct ph_core *core, struct core_timer *timer)
{
    struct core_timers *timers = &core->timers;
    size_t index;

    if (timer->slot == 0)
        return;
    index = timer->slot - 1;
    timer->slot = 0;
    timers->count--;
    if (index == timers->count)
        return;
    timer_place(timers, index, timers->items[timers->count]);
    timer_up(timers, index);
    timer_down(timers, timers->items[index]->slot - 1);
}

struct core_timer *core_timer_due(struct ph_core *core, uint64_t now_ms)
{
    struct core_timer *timer;

    if (core->timers.count == 0 || core->timers.items[0]->at_ms > now_ms)
        return NULL;
    timer = core->timers.items[0];
    core_timer_clear(core, timer);
    return timer;
}
