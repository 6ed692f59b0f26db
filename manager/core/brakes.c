/*
 * What keeps Poolherd from making things worse by itself: too many nodes silent together, an
 * operator's pause, a manager that finds itself behind, nodes that fail too often.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

const char *core_pause_reason(const struct ph_core *core)
{
    if (core->outdated)
        return "this manager's inventory is older than what its nodes have seen; restart it with "
               "--advance-term when you are sure that no other manager runs";
    if (core->paused)
        return "an operator paused automatic action; `poolherd cluster resume` ends that";
    if (core->braked)
        return core->brake_reason;
    return NULL;
}

bool core_pause_holds(const struct ph_core *core, const struct core_pool *pool)
{
    const struct core_job *job = pool->job;

    return core->paused && (job == NULL || (job->row.kind == PH_JOB_TAKEOVER &&
                                               job->row.proof == PH_PROOF_EXPIRED));
}

/* ---- the silent share ---- */
static void lost_forget(struct ph_core *core)
{
    size_t gone = 0;

    while (gone < core->lost_count && core->lost_ms[gone] + 3 * core->takeover_ms < core->now_ms)
        gone++;
    core->lost_count -= gone;
    if (gone > 0)
        memmove(core->lost_ms, core->lost_ms + gone, core->lost_count * sizeof *core->lost_ms);
}

void core_brake_lost(struct ph_core *core, uint64_t silent_ms)
{
    size_t index;

    if (core->lost_count == core->lost_room) {
        size_t room = core->lost_room == 0 ? 16 : core->lost_room * 2;
        uint64_t *lost = realloc(core->lost_ms, room * sizeof *lost);

        if (lost == NULL) {
            core->no_memory = true;
            return;
        }
        core->lost_ms = lost;
        core->lost_room = room;
    }
    for (index = core->lost_count; index > 0 && core->lost_ms[index - 1] > silent_ms; index--)
        core->lost_ms[index] = core->lost_ms[index - 1];
    core->lost_ms[index] = silent_ms;
    core->lost_count++;
}

/* Nodes silent together with one that fell silent at silent_ms, itself counted. */
static size_t silent_together(const struct ph_core *core, uint64_t silent_ms)
{
    size_t count = core->suspect_count;

    for (size_t i = core->lost_count; i > 0; i--) {
        if (core->lost_ms[i - 1] + core->takeover_ms < silent_ms)
            break;
        count++;
    }
    return count;
}

static bool too_many(const struct ph_core *core, size_t silent, size_t all)
{
    return silent >= 2 && silent * 100 > all * (size_t)core->config.silent_share_percent;
}

/* Their reason says whether a pause keeps them waiting. */
static void look_at_silent_pools(struct ph_core *core)
{
    for (size_t i = 0; i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;

        if (node->row.state == PH_NODE_SUSPECT)
            core_node_pools_dirty(core, node);
    }
}

bool core_brake_holds(struct ph_core *core, const struct core_node *node)
{
    size_t silent, all;
    struct core_about about = {0};

    lost_forget(core);
    if (core->outdated || core->paused)
        return true;
    if (core->braked)
        return true;
    if (core->brake_lifted)
        return false;
    silent = silent_together(core, node->silent_ms);
    all = core->online_count + silent;
    if (!too_many(core, silent, all))
        return false;
    core->braked = true;
    ph_text_format(core->brake_reason, sizeof core->brake_reason,
        "%zu of %zu nodes fell silent together, more than %d%%: that looks like the network or "
        "the manager, so nothing is taken over until enough return, or an operator fences nodes "
        "or says `poolherd cluster resume`",
        silent, all, core->config.silent_share_percent);
    core_event(core, PH_EVENT_ERROR, "takeover-paused", &about, "%s", core->brake_reason);
    look_at_silent_pools(core);
    return true;
}

/* Nodes that are online and late by half a lease. Counted once for all that are silent at one time. */
static size_t late_together(struct ph_core *core)
{
    if (core->late_ms == core->now_ms)
        return core->late_count;
    core->late_ms = core->now_ms;
    core->late_count = 0;
    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        core->late_count += node->row.state == PH_NODE_ONLINE &&
                            core->now_ms - node->beat_ms >= core->config.timing.lease_ms / 2;
    }
    return core->late_count;
}

/* When a manager is cut off, the node that fell silent first is due before the others are called silent: those
 * cut off with it are later than half a lease by then, since a beat is at most a quarter of one. */
bool core_brake_holds_fence(struct ph_core *core, const struct core_node *node)
{
    size_t silent;

    if (core_pause_reason(core) != NULL)
        return true;
    if (core->brake_lifted)
        return false;
    lost_forget(core);
    silent = silent_together(core, node->silent_ms);
    return too_many(core, silent + late_together(core), core->online_count + silent);
}

/* Nodes that waited under a brake may be due. */
static void look_at_silent_nodes(struct ph_core *core, uint64_t at_ms)
{
    for (size_t i = 0; i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;

        if (node->row.state == PH_NODE_SUSPECT)
            core_timer_set(core, &node->lease, at_ms);
    }
    look_at_silent_pools(core);
    core->attention = true;
}

void core_brake_check(struct ph_core *core)
{
    struct core_about about = {0};

    if (!core->ready)
        return;
    if (core->suspect_count == 0)
        core->brake_lifted = false;
    if (!core->braked ||
        too_many(core, core->suspect_count, core->online_count + core->suspect_count))
        return;
    core->braked = false;
    core_event(core, PH_EVENT_INFO, "takeover-resumed", &about,
        "enough nodes have returned (%zu online, %zu silent): automatic take-over goes on",
        core->online_count, core->suspect_count);
    /* Where some return the others are about to: they get the time of a lease to do so. */
    look_at_silent_nodes(core, core->now_ms + core->config.timing.lease_ms);
}

/* An operator's word: goes on whatever the share, until nobody is silent any more. */
void core_brake_release(struct ph_core *core)
{
    core->paused = false;
    core->braked = false;
    core->brake_lifted = core->suspect_count > 0;
    look_at_silent_nodes(core, core->now_ms);
}

/* ---- terms ---- */
void core_outdated(struct ph_core *core, const struct core_node *node, int64_t term)
{
    struct core_about about = {.node = node};

    if (term > core->seen_term)
        core->seen_term = term;
    if (core->outdated)
        return;
    core->outdated = true;
    core_event(core, PH_EVENT_ERROR, "manager-outdated", &about,
        "%s has obeyed a manager of term %lld and this one has term %lld: its inventory is a "
        "restored backup, or another manager runs; it grants and decides nothing any more; restart "
        "it with --advance-term when you are sure that no other manager runs",
        node->row.name, (long long)term, (long long)core->term);
}

/* ---- nodes that fail too often ---- */
void core_node_decay_arm(struct ph_core *core, struct core_node *node)
{
    uint64_t at_ms = UINT64_MAX;

    if (node->row.failures > 0)
        at_ms = core->now_ms + core->config.quarantine_window_ms;
    if (node->row.admin == PH_ADMIN_QUARANTINED) {
        int64_t left_ms = node->row.quarantined_until - core->wall_ms;
        uint64_t end_ms = core->now_ms + (left_ms > 0 ? (uint64_t)left_ms : 0);

        if (end_ms < at_ms)
            at_ms = end_ms;
    }
    if (at_ms == UINT64_MAX)
        core_timer_clear(core, &node->decay);
    else
        core_timer_set(core, &node->decay, at_ms);
}

void core_node_failure(struct ph_core *core, struct core_node *node)
{
    if (node->row.failures < 1000000)
        node->row.failures++;
    core_node_touch(core, node);
    if (node->row.failures >= core->config.quarantine_failures &&
        node->row.admin == PH_ADMIN_ACTIVE) {
        node->row.quarantined_until = core->wall_ms + (int64_t)core->config.quarantine_ms;
        core_node_admin(core, node, PH_ADMIN_QUARANTINED,
            "lost %lld times lately: gets no pools for %llu s; `poolherd node resume %s` ends that",
            (long long)node->row.failures, (unsigned long long)(core->config.quarantine_ms / 1000),
            node->row.name);
    }
    core_node_decay_arm(core, node);
}

void core_node_decay_due(struct ph_core *core, struct core_node *node)
{
    if (node->row.admin == PH_ADMIN_QUARANTINED && core->wall_ms >= node->row.quarantined_until) {
        node->row.quarantined_until = 0;
        node->row.failures = 0;
        core_node_admin(core, node, PH_ADMIN_ACTIVE, "its quarantine has ended");
        core_node_pools_dirty(core, node);
    } else if (node->row.failures > 0 && node->row.admin != PH_ADMIN_QUARANTINED) {
        node->row.failures--;
        core_node_touch(core, node);
    }
    core_node_decay_arm(core, node);
}
