/*
 * What must hold whatever happens. Judged from outside, by real time and by what lives; the cores are
 * not asked.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

/* What is suspended with its machine does not run. */
bool sim_any_alive(const struct sim *sim, int node, int pool)
{
    const struct sim_node *on = &sim->nodes[node];
    for (int i = 0; i < SIM_VMS && sim->now_us >= on->asleep_until_us; i++) {
        if (on->disks[pool].vms[i].alive) {
            return true;
        }
    }
    return false;
}

void sim_check_alive(struct sim *sim, int pool)
{
    int owner = -1;
    for (int i = 0; i < sim->node_count; i++) {
        if (!sim_any_alive(sim, i, pool)) {
            continue;
        }
        if (owner >= 0) {
            sim_fail(sim, "pool %s runs on %s and on %s", sim->pools[pool].name,
                sim->nodes[owner].name, sim->nodes[i].name);
        }
        owner = i;
    }
}

/* Whoever lives writes all the time. */
void sim_touch_content(struct sim *sim, int node, int pool)
{
    struct sim_disk *disk = &sim->nodes[node].disks[pool];
    if (sim_any_alive(sim, node, pool)) {
        disk->data.content_us = sim->now_us;
        sim->pools[pool].newest_us = sim->now_us;
    }
}

void sim_vm_dies(struct sim *sim, int node, int pool, int vm)
{
    struct sim_disk *disk = &sim->nodes[node].disks[pool];
    if (disk->vms[vm].alive) {
        sim_touch_content(sim, node, pool);
        disk->vms[vm].alive = false;
        sim->stats.pool_stops += !sim_any_alive(sim, node, pool);
    }
}

/* Data becomes active with these contents: is it the newest, and if not, may that be? */
void sim_check_active(struct sim *sim, int node, int index, uint64_t content_us)
{
    struct sim_pool *pool = &sim->pools[index];
    for (int i = 0; i < sim->node_count; i++) {
        sim_touch_content(sim, i, index);
    }
    if (content_us >= pool->newest_us) {
        return;
    }
    uint64_t lost_us = pool->newest_us - content_us;
    /* Had the node it was given to next been lost as well, it may be gone for good reasons. */
    if (pool->clean && pool->clean_node != node && pool->given <= 1) {
        sim_fail(sim,
            "pool %s was released by %s, which is online, and %s goes on without its last %llu ms",
            pool->name, sim->nodes[pool->clean_node].name, sim->nodes[node].name,
            (unsigned long long)(lost_us / 1000));
    }
    sim->stats.losses++;
    for (int i = 0; i < sim->node_count; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disks[index];
        const struct ph_node *row = sim_table_get(&sim->manager.nodes, sim->nodes[i].name);
        bool has = (disk->data.exists && disk->data.content_us > content_us) ||
                   (disk->copy.exists && disk->copy.content_us > content_us);
        if (has && i != node && row != NULL && row->state == PH_NODE_ONLINE &&
            row->admin == PH_ADMIN_ACTIVE) {
            sim->stats.avoidable++;
            sim_trace(sim, sim->nodes[i].name, "has newer data of pool %s", pool->name);
            break;
        }
    }
    sim_trace(sim, sim->nodes[node].name, "pool %s goes on without its last %llu ms", pool->name,
        (unsigned long long)(lost_us / 1000));
    pool->newest_us = content_us;
}

static void check_node(struct sim *sim, const struct ph_node *old, const struct ph_node *row)
{
    if (old != NULL && row->generation < old->generation) {
        sim_fail(sim, "the generation of node %s fell from %lld to %lld", row->name,
            (long long)old->generation, (long long)row->generation);
    }
    if (row->admin != PH_ADMIN_MAINTENANCE || (old != NULL && old->admin == PH_ADMIN_MAINTENANCE)) {
        return;
    }
    sim->stats.drains++;
    const struct sim_node *node = &sim->nodes[sim_node_index(sim, row->name)];
    for (int i = 0; i < sim->pool_count; i++) {
        if (sim_any_alive(sim, node->index, i)) {
            sim_fail(sim, "node %s is called drained while %s runs there", row->name,
                sim->pools[i].name);
        }
    }
}

static void check_pool(struct sim *sim, const struct ph_pool *old, const struct ph_pool *row)
{
    struct sim_pool *pool = &sim->pools[sim_pool_index(sim, row->name)];
    if (row->epoch < pool->epoch) {
        sim_fail(sim, "the epoch of pool %s fell from %lld to %lld", row->name,
            (long long)pool->epoch, (long long)row->epoch);
    }
    if (old != NULL && row->node[0] != '\0' && strcmp(row->node, old->node) != 0 &&
        row->epoch <= old->epoch) {
        sim_fail(sim, "pool %s went to %s without a new epoch", row->name, row->node);
    }
    pool->epoch = row->epoch;
    /* The node with the newest data is not there when it is given away: a take-over, with its loss. */
    const struct ph_node *home =
        sim_table_get(&sim->manager.nodes, sim->nodes[pool->clean_node].name);
    if (row->node[0] != '\0' && (old == NULL || strcmp(row->node, old->node) != 0) &&
        (home == NULL || home->state != PH_NODE_ONLINE)) {
        pool->clean = false;
    }
    pool->given += row->node[0] != '\0' && (old == NULL || strcmp(row->node, old->node) != 0);
    /* Before it is given to a node nothing of it may live on another one. */
    for (int i = 0; row->node[0] != '\0' && i < sim->node_count; i++) {
        if ((old == NULL || strcmp(row->node, old->node) != 0) &&
            strcmp(row->node, sim->nodes[i].name) != 0 &&
            sim_any_alive(sim, i, (int)(pool - sim->pools))) {
            sim_fail(sim, "pool %s is given to %s while it runs on %s", row->name, row->node,
                sim->nodes[i].name);
        }
    }
}

static void check_job(struct sim *sim, const struct ph_job *old, const struct ph_job *row)
{
    if (row->state == PH_JOB_SUCCEEDED) {
        sim->stats.takeovers += row->kind == PH_JOB_TAKEOVER;
        sim->stats.moves += row->kind == PH_JOB_MOVE;
    }
    if (old == NULL || old->phase != row->phase) {
        sim_job_entered(sim, row);
    }
}

void sim_check_saved(
    struct sim *sim, const struct ph_record *record, const void *old, const void *row)
{
    if (row == NULL) {
        return;
    }
    if (record == &ph_record_node) {
        check_node(sim, old, row);
    } else if (record == &ph_record_pool) {
        check_pool(sim, old, row);
    } else if (record == &ph_record_job) {
        check_job(sim, old, row);
    }
}

static int64_t meta_number(const struct ph_meta *meta)
{
    return meta->value == NULL ? 0 : strtoll(meta->value, NULL, 10);
}

void sim_check_kept(
    struct sim *sim, const struct sim_node *node, const struct ph_record *record, const void *row)
{
    if (record == &ph_record_meta) {
        const struct ph_meta *meta = row, *old = sim_table_get(&node->metas, meta->key);
        bool grows = strcmp(meta->key, "term") == 0 || strcmp(meta->key, "generation") == 0;
        if (grows && old != NULL && meta_number(meta) < meta_number(old)) {
            sim_fail(sim, "the %s that %s keeps fell from %s to %s", meta->key, node->name,
                old->value, meta->value);
        }
        return;
    }
    if (record == &ph_record_witness) {
        const struct ph_witness *promise = row,
                                *made = sim_table_get(&node->witnesses, promise->node);
        if (made != NULL && promise->promised < made->promised) {
            sim_fail(sim, "%s forgets what it promised of %s: version %lld", node->name,
                promise->node, (long long)made->promised);
        }
        return;
    }
    const struct ph_assignment *kept = row;
    const struct ph_assignment *old = sim_table_get(&node->assignments, kept->pool);
    if (old != NULL && (kept->epoch < old->epoch || kept->term < old->term)) {
        sim_fail(sim, "%s keeps epoch %lld of term %lld for pool %s, after %lld of %lld",
            node->name, (long long)kept->epoch, (long long)kept->term, kept->pool,
            (long long)old->epoch, (long long)old->term);
    }
}

void sim_check_stopped(struct sim *sim, int node)
{
    for (int i = 0; i < sim->pool_count; i++) {
        if (sim_any_alive(sim, node, i)) {
            sim_fail(sim, "the lease of %s is over, its time to stop is up, and %s runs there",
                sim->nodes[node].name, sim->pools[i].name);
        }
    }
}
