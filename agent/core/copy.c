/*
 * Copies to peers: when each is due, which goes first, and what came of it.
 *
 * While the pool runs: at once to a new peer and when `urgent` grew, else every sync_interval_s from
 * begin to begin; urgent ones first, then the oldest. Once it is released: the last copies, which wait
 * for no turn when the release waits for them.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct ph_agent_peer *ph_agent_peer_find(const struct ph_agent_pool *pool, const char *node)
{
    for (size_t i = 0; i < pool->peer_count; i++) {
        if (strcmp(pool->peers[i].peer.node, node) == 0) {
            return &pool->peers[i];
        }
    }
    return NULL;
}

void ph_agent_peer_fini(struct ph_agent_peer *peer)
{
    ph_record_fini(&ph_record_peer, &peer->peer);
    free(peer->reason);
    memset(peer, 0, sizeof(*peer));
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

void ph_agent_peers_take(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_peer_list *peers)
{
    struct ph_agent_peer *taken = calloc(peers->count == 0 ? 1 : peers->count, sizeof(*taken));
    if (taken == NULL) {
        agent->out_of_memory = true;
        return;
    }
    for (size_t i = 0; i < peers->count; i++) {
        const struct ph_peer *wanted = &peers->items[i];
        struct ph_agent_peer *old = ph_agent_peer_find(pool, wanted->node);
        struct ph_agent_peer *peer = &taken[i];
        int64_t urgent_before = 0;
        if (old != NULL) {
            *peer = *old;
            memset(old, 0, sizeof(*old));
            urgent_before = peer->peer.urgent;
        } else {
            peer->added_ms = agent->now_ms;
            /* A task of before may still be there, when the peer was taken off the order and on it. */
            peer->task = ph_agent_task_find(pool, PH_TASK_COPY, wanted->node) != NULL;
        }
        if (wanted->urgent > urgent_before || wanted->verify > peer->peer.verify) {
            peer->urgent_ms = agent->now_ms;
            peer->retry_ms = 0;
            peer->last_done = false;
        }
        if (peer->task && (!same_text(peer->peer.endpoint, wanted->endpoint) ||
                              !same_text(peer->peer.public_key, wanted->public_key))) {
            /* It speaks to where nobody is any more, and would find that out by waiting. */
            struct ph_agent_task *task = ph_agent_task_find(pool, PH_TASK_COPY, wanted->node);
            if (task != NULL) {
                ph_agent_task_cancel(agent, task);
            }
        }
        if (!ph_record_equal(&ph_record_peer, &peer->peer, wanted)) {
            peer->retry_ms = 0; /* a new endpoint or a new need: worth a try now */
            if (ph_record_copy(&ph_record_peer, &peer->peer, wanted) != 0) {
                agent->out_of_memory = true;
            }
        }
    }
    for (size_t i = 0; i < pool->peer_count; i++) {
        struct ph_agent_peer *old = &pool->peers[i];
        struct ph_agent_task *task = old->peer.node[0] == '\0'
                                         ? NULL
                                         : ph_agent_task_find(pool, PH_TASK_COPY, old->peer.node);
        if (task != NULL) {
            ph_agent_task_cancel(agent, task);
        }
        ph_agent_peer_fini(old);
    }
    free(pool->peers);
    pool->peers = taken;
    pool->peer_count = peers->count;
    agent->copies_touched = true;
}

/* When the next regular copy to the peer is due, and how much it is in a hurry (lower: more). */
static uint64_t due_ms(
    const struct ph_agent_pool *pool, const struct ph_agent_peer *peer, int *class_out)
{
    uint64_t due = PH_NEVER;
    *class_out = 1;
    if (peer->task) {
        return PH_NEVER;
    }
    if (peer->peer.urgent > peer->urgent_begun || peer->peer.verify > peer->verify_begun) {
        *class_out = 0;
        due = peer->urgent_ms;
    } else if (peer->begun_ms == 0) {
        due = peer->added_ms;
    } else if (peer->failures > 0) {
        due = peer->retry_ms;
    } else if (pool->order.pool.sync_interval_s > 0) {
        due = peer->begun_ms + (uint64_t)pool->order.pool.sync_interval_s * 1000;
    }
    return due < peer->retry_ms ? peer->retry_ms : due;
}

static bool copies_now(const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    return pool->phase == PH_AP_RUNNING && pool->data_active &&
           pool->active_epoch == pool->order.epoch && ph_agent_pool_wanted(agent, pool) &&
           !pool->renew && !ph_agent_task_any(pool, PH_TASK_DATA, false);
}

static bool start_copy(
    struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_peer *peer, bool last)
{
    if (!ph_agent_task_start(agent, pool, PH_TASK_COPY, NULL, peer, last)) {
        return false;
    }
    peer->begun_ms = agent->now_ms;
    peer->urgent_begun = peer->peer.urgent;
    if (!last) {
        peer->verify_begun = peer->peer.verify;
    }
    peer->sent_bytes = peer->kib_s = 0;
    peer->sent_ms = agent->now_ms;
    peer->progress = 0;
    peer->progress_ms = agent->now_ms + PH_AGENT_PROGRESS_MS;
    return true;
}

/* Starts the copy that is due longest; false when none is (then copies_wake_ms says when). */
static bool start_one(struct ph_agent *agent)
{
    struct ph_agent_pool *best_pool = NULL;
    struct ph_agent_peer *best = NULL;
    int best_class = 0;
    uint64_t best_due = 0;
    agent->copies_wake_ms = PH_NEVER;
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->peer_count == 0 || !copies_now(agent, pool)) {
            continue;
        }
        for (size_t j = 0; j < pool->peer_count; j++) {
            int class = 0;
            uint64_t due = due_ms(pool, &pool->peers[j], &class);
            if (due > agent->now_ms) {
                agent->copies_wake_ms = due < agent->copies_wake_ms ? due : agent->copies_wake_ms;
            } else if (best == NULL || class < best_class ||
                       (class == best_class && due < best_due)) {
                best = &pool->peers[j];
                best_pool = pool;
                best_class = class;
                best_due = due;
            }
        }
    }
    return best != NULL && agent->copies_under_way < agent->copies_parallel &&
           start_copy(agent, best_pool, best, false);
}

void ph_agent_copies_start(struct ph_agent *agent)
{
    if (!agent->copies_touched && agent->now_ms < agent->copies_wake_ms) {
        return;
    }
    agent->copies_touched = false;
    while (start_one(agent)) {
    }
}

bool ph_agent_last_copies(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (!pool->owner_data) {
        return true;
    }
    bool complete = true;
    for (size_t i = 0; i < pool->peer_count; i++) {
        struct ph_agent_peer *peer = &pool->peers[i];
        if (!peer->peer.required || peer->last_done) {
            continue;
        }
        complete = false;
        if (!peer->task && agent->now_ms >= peer->retry_ms) {
            (void)start_copy(agent, pool, peer, true);
        }
    }
    for (size_t i = 0; i < pool->peer_count && complete && pool->phase == PH_AP_IDLE; i++) {
        struct ph_agent_peer *peer = &pool->peers[i];
        if (!peer->peer.required && !peer->last_done && !peer->task &&
            agent->now_ms >= peer->retry_ms && agent->copies_under_way < agent->copies_parallel) {
            (void)start_copy(agent, pool, peer, true);
        }
    }
    return complete;
}

void ph_agent_copy_slot_free(struct ph_agent *agent)
{
    agent->copies_touched = true;
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->settled && pool->peer_count > 0) {
            ph_agent_pool_touch(pool); /* a copy nobody waits for may have waited for the slot */
        }
    }
}

uint64_t ph_agent_last_copies_wake_ms(
    const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    uint64_t wake_ms = PH_NEVER;
    bool idle = pool->phase == PH_AP_IDLE && pool->settled;
    if ((pool->phase != PH_AP_COPYING && !idle) || !pool->owner_data ||
        pool->order.kind != PH_ORDER_DEACTIVATE) {
        return wake_ms;
    }
    for (size_t i = 0; i < pool->peer_count; i++) {
        const struct ph_agent_peer *peer = &pool->peers[i];
        bool turn = peer->peer.required || agent->copies_under_way < agent->copies_parallel;
        bool phase = idle ? !peer->peer.required : peer->peer.required;
        if (!peer->last_done && !peer->task && turn && phase && peer->retry_ms < wake_ms) {
            wake_ms = peer->retry_ms;
        }
    }
    return wake_ms;
}

static void succeeded(struct ph_agent *agent, struct ph_agent_pool *pool,
    struct ph_agent_peer *peer, const struct ph_agent_task *task,
    const struct ph_task_result *result)
{
    uint64_t age_ms = result->age_ms > 0 ? (uint64_t)result->age_ms : 0;
    peer->complete = true;
    peer->epoch = result->data_epoch > 0 ? result->data_epoch : task->epoch;
    peer->sequence = result->sequence;
    peer->bytes = result->bytes;
    peer->as_of_ms = agent->now_ms > age_ms ? agent->now_ms - age_ms : 0;
    (void)ph_text_format(
        peer->hash, sizeof(peer->hash), "%s", result->hash == NULL ? "" : result->hash);
    peer->failures = 0;
    peer->retry_ms = 0;
    peer->progress = 100;
    (void)ph_set_text(&peer->reason, NULL);
    if (task->urgent > peer->urgent_done) {
        peer->urgent_done = task->urgent;
    }
    if (task->verify > 0) {
        peer->verify_done = task->verify;
        peer->spoilt = result->spoilt;
    }
    if (task->last && !pool->data_active && pool->owner_data && task->epoch == pool->order.epoch) {
        peer->last_done = true;
    }
    if (pool->owner_data && task->epoch >= pool->data_epoch &&
        result->sequence > pool->data_sequence) {
        pool->data_epoch = task->epoch;
        pool->data_sequence = result->sequence;
    }
    ph_agent_copy_report_dirty(peer);
}

void ph_agent_copy_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended)
{
    agent->copies_touched = true;
    struct ph_agent_peer *peer = ph_agent_peer_find(pool, task->name);
    if (peer == NULL) {
        return; /* no longer asked for */
    }
    bool hung = result->status == -ETIMEDOUT && !ended;
    peer->task = hung;
    peer->sent_bytes = peer->kib_s = 0;
    if (result->status == 0) {
        if (task->epoch == pool->order.epoch) {
            succeeded(agent, pool, peer, task, result);
        }
        return;
    }
    peer->urgent_begun = peer->urgent_done;
    peer->verify_begun = peer->verify_done;
    peer->spoilt = task->verify > 0 ? result->spoilt : 0;
    if (task->cancelled && !task->hung) {
        peer->begun_ms = 0; /* once it may be made again it is due */
        peer->added_ms = agent->now_ms;
        return;
    }
    if (task->hung) {
        return; /* was counted when it was given up */
    }
    peer->failures++;
    peer->retry_ms = agent->now_ms + ph_agent_backoff_ms(peer->failures);
    (void)ph_set_text(&peer->reason, result->reason);
    if (task->last) {
        peer->last_done = result->status == -ESTALE && !peer->peer.required;
        if (peer->peer.required) {
            ph_agent_pool_reason(
                pool, "the last copy to %s failed: %s", peer->peer.node, result->reason);
        }
    }
    ph_agent_copy_report_dirty(peer);
}

void ph_agent_on_copy_received(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, event->pool);
    const struct ph_task_result *result = event->result;
    if (pool == NULL || result == NULL || pool->phase != PH_AP_IDLE || pool->data_active) {
        return;
    }
    bool newer = result->data_epoch > pool->data_epoch ||
                 (result->data_epoch == pool->data_epoch && result->sequence > pool->data_sequence);
    if (!newer) {
        return;
    }
    pool->data_epoch = result->data_epoch;
    pool->data_sequence = result->sequence;
    pool->owner_data = false;
    pool->unsequenced = false;
    if (result->data_epoch > pool->epoch) {
        pool->epoch = result->data_epoch;
        pool->unsaved = true;
    }
    pool->report_dirty = true;
    ph_agent_pool_touch(pool);
}
