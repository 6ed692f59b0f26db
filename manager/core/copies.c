/*
 * Who keeps copies: chosen by placement, kept as long as they can, dropped only when enough others
 * are complete (order.c).
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

#define KEEP_MAX 64

/* Ascending over terms too: an agent compares it with what it was asked before. */
int64_t core_next_urgent(struct ph_core *core)
{
    return ++core->urgent;
}

static int by_freshness(const void *a, const void *b)
{
    const struct core_peer *x = *(struct core_peer *const *)a;
    const struct core_peer *y = *(struct core_peer *const *)b;

    if (x->row.epoch != y->row.epoch)
        return x->row.epoch > y->row.epoch ? -1 : 1;
    if (x->row.sequence != y->row.sequence)
        return x->row.sequence > y->row.sequence ? -1 : 1;
    if (x->chosen != y->chosen)
        return x->chosen ? -1 : 1;
    return strcmp(x->row.node, y->row.node);
}

static bool excluded(const struct core_pool *pool, const struct core_peer *peer)
{
    return strcmp(peer->row.node, pool->row.node) == 0 ||
           (pool->row.node[0] == '\0' && strcmp(peer->row.node, pool->row.home) == 0);
}

/* Those that have something to keep, best first. */
static size_t keep_list(const struct core_pool *pool, const char *names[KEEP_MAX])
{
    struct core_peer *peers[KEEP_MAX];
    size_t count = 0;

    for (size_t i = 0; i < pool->peers.count && count < KEEP_MAX; i++) {
        struct core_peer *peer = pool->peers.items[i].value;

        if (!excluded(pool, peer) &&
            (peer->chosen || (peer->stored && peer->row.state != PH_REPLICA_DIVERGED)))
            peers[count++] = peer;
    }
    /* cppcheck-suppress uninitvar; the first `count` are set */
    qsort(peers, count, sizeof *peers, by_freshness);
    for (size_t i = 0; i < count; i++)
        names[i] = peers[i]->row.node;
    return count;
}

static void choose(struct ph_core *core, struct core_pool *pool, struct core_node *node)
{
    struct core_peer *peer = core_peer_make(core, pool, node);

    if (peer == NULL)
        return;
    peer->chosen = true;
    if (!peer->stored) {
        peer->row.state = PH_REPLICA_SEEDING;
        core_peer_touch(core, peer);
    }
}

/* A kept copy that may go on being kept (as placement sees it, without asking about every node). */
static bool keeps_well(const struct core_pool *pool, const struct core_node *node)
{
    if (node->row.state != PH_NODE_ONLINE && node->row.state != PH_NODE_SUSPECT)
        return false;
    if (!ph_texts_contain(&node->row.drivers, pool->row.driver))
        return false;
    for (size_t i = 0; i < pool->row.allow.count; i++) {
        if (ph_place_matches(&node->row, pool->row.allow.items[i]))
            return true;
    }
    return pool->row.allow.count == 0;
}

/* Nothing to choose: exactly as many as wanted are kept, and well. The usual case at a restart. */
static bool all_kept(
    const struct ph_core *core, struct core_pool *pool, const char *const *keep, size_t kept)
{
    if (kept != (size_t)pool->row.copies)
        return false;
    for (size_t i = 0; i < kept; i++) {
        if (!keeps_well(pool, core_find_node(core, keep[i])))
            return false;
    }
    for (size_t i = 0; i < kept; i++)
        core_find_peer(pool, keep[i])->chosen = true;
    return true;
}

/* Under an operator's pause those that keep a copy go on keeping it, and nobody else is asked to. */
static void keep_all(
    struct ph_core *core, struct core_pool *pool, const char *const *keep, size_t kept, size_t want)
{
    for (size_t i = 0; i < kept && i < want; i++)
        core_find_peer(pool, keep[i])->chosen = true;
    pool->holders_due = true;
    pool->copies_short = kept < want;
    core_want(core, pool);
}

void core_holders(struct ph_core *core, struct core_pool *pool)
{
    const char *keep[KEEP_MAX];
    size_t indices[PH_COPIES_MAX + 1];
    size_t want = (size_t)pool->row.copies, got, taken = 0, kept;

    if (!pool->row.created)
        return; /* nothing to copy yet; due when it has been active */
    pool->holders_due = false;
    pool->copies_short = false;
    if (core_removing(pool))
        return;
    kept = keep_list(pool, keep);
    if (all_kept(core, pool, keep, kept))
        return;
    if (core->paused) {
        keep_all(core, pool, keep, kept, want);
        return;
    }
    core->work += core->nodes.count;
    /* One more, since what is released counts for nothing at its home. */
    got = ph_place_copies(
        &core->cluster, &pool->row, keep, kept, want + (pool->row.node[0] == '\0'), indices);
    for (size_t i = 0; i < pool->peers.count; i++)
        ((struct core_peer *)pool->peers.items[i].value)->chosen = false;
    for (size_t i = 0; i < got && taken < want; i++) {
        struct core_node *node = core->nodes.items[indices[i]].value;

        if (pool->row.node[0] == '\0' && strcmp(node->row.name, pool->row.home) == 0)
            continue;
        choose(core, pool, node);
        taken++;
    }
    pool->copies_short = taken < want;
    if (pool->copies_short)
        core_want(core, pool);
    core_pool_dirty(core, pool); /* orders follow */
}
