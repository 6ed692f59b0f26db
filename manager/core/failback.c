/*
 * Going back to a preferred node: only for pools that ask for it, and never while something else is
 * at work on the pool.
 */
#include "manager/core/internal.h"

#include <string.h>

#define DAY_MS (24 * 3600 * 1000LL)
#define WINDOW_MS (60 * 1000LL)
#define FAILED_PAUSE_MS (60 * 1000u)

static size_t rank(const struct core_pool *pool, const struct core_node *node)
{
    for (size_t i = 0; i < pool->row.prefer.count; i++) {
        if (ph_place_matches(&node->row, pool->row.prefer.items[i]))
            return i;
    }
    return pool->row.prefer.count;
}

/* Milliseconds until the time of day HH:MM; 0 within the minute that begins then. -1: no such time. */
static int64_t until_time(const struct ph_core *core, const char *text)
{
    int64_t at_ms, today_ms;

    if (text == NULL || strlen(text) != 5 || text[2] != ':')
        return -1;
    for (int i = 0; i < 5; i++) {
        if (i != 2 && (text[i] < '0' || text[i] > '9'))
            return -1;
    }
    at_ms = ((text[0] - '0') * 10 + (text[1] - '0')) * 3600000LL +
            ((text[3] - '0') * 10 + (text[4] - '0')) * 60000LL;
    today_ms = (core->wall_ms + core->config.local_offset_ms) % DAY_MS;
    if (today_ms >= at_ms && today_ms < at_ms + WINDOW_MS)
        return 0;
    return at_ms > today_ms ? at_ms - today_ms : at_ms + DAY_MS - today_ms;
}

static bool not_yet(struct ph_core *core, struct core_pool *pool)
{
    int64_t left_ms;

    if (core->now_ms < pool->failback_ms) {
        core_timer_set(core, &pool->timer, pool->failback_ms);
        return true;
    }
    if (pool->row.failback == PH_FAILBACK_YES)
        return false;
    left_ms = until_time(core, pool->row.failback_at);
    if (left_ms > 0)
        core_timer_set(core, &pool->timer, core->now_ms + (uint64_t)left_ms);
    return left_ms != 0;
}

void core_failback(struct ph_core *core, struct core_pool *pool)
{
    struct core_node *node = core_find_node(core, pool->row.node);
    char reason[PH_TEXT_BYTES_MAX + 1];
    size_t current;
    struct core_job *job;
    long index;

    if (pool->row.failback == PH_FAILBACK_NO || pool->row.prefer.count == 0 ||
        pool->row.state != PH_POOL_ACTIVE || pool->job != NULL || node->drain != NULL)
        return;
    current = rank(pool, node);
    if (current == 0)
        return;
    core_want(core, pool); /* looked at again when a node becomes available */
    if (core_pause_reason(core) != NULL || not_yet(core, pool))
        return;
    index = core_move_choose(core, pool, NULL, reason, sizeof reason);
    if (index < 0 || rank(pool, core->nodes.items[index].value) >= current)
        return;
    pool->failback_ms = core->now_ms + FAILED_PAUSE_MS; /* should it fail */
    job = core_move_begin(core, pool, core->nodes.items[index].key, NULL, "");
    if (job != NULL)
        core_event(core, PH_EVENT_INFO, "failback",
            &(struct core_about){.pool = pool, .node = core->nodes.items[index].value, .job = job},
            "goes back to %s, which it prefers: %s", core->nodes.items[index].key, reason);
}
