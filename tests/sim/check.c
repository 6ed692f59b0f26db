/*
 * What must hold whatever happens. Judged from outside, by real time and by what lives; the cores are
 * not asked.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

bool sim_any_alive(const struct sim_disk *disk)
{
    for (int i = 0; i < SIM_VMS; i++) {
        if (disk->vms[i].alive) {
            return true;
        }
    }
    return false;
}

void sim_check_alive(struct sim *sim, int pool)
{
    int owner = -1;
    for (int i = 0; i < sim->options.nodes; i++) {
        if (!sim_any_alive(&sim->nodes[i].disks[pool])) {
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
    if (sim_any_alive(disk)) {
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
    }
}

/* Data becomes active with these contents: is it the newest, and if not, may that be? */
void sim_check_active(struct sim *sim, int node, int index, uint64_t content_us)
{
    struct sim_pool *pool = &sim->pools[index];
    for (int i = 0; i < sim->options.nodes; i++) {
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
    sim->losses++;
    for (int i = 0; i < sim->options.nodes; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disks[index];
        const struct ph_node *row = sim_table_get(&sim->manager.nodes, sim->nodes[i].name);
        bool has = (disk->data.exists && disk->data.content_us > content_us) ||
                   (disk->copy.exists && disk->copy.content_us > content_us);
        if (has && i != node && row != NULL && row->state == PH_NODE_ONLINE &&
            row->admin == PH_ADMIN_ACTIVE) {
            sim->avoidable++;
            sim_trace(sim, sim->nodes[i].name, "has newer data of pool %s", pool->name);
            break;
        }
    }
    sim_trace(sim, sim->nodes[node].name, "pool %s goes on without its last %llu ms", pool->name,
        (unsigned long long)(lost_us / 1000));
    pool->lost_writes_us += lost_us;
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
    sim->drains++;
    const struct sim_node *node = &sim->nodes[sim_node_index(sim, row->name)];
    for (int i = 0; i < sim->options.pools; i++) {
        if (sim_any_alive(&node->disks[i])) {
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
    for (int i = 0; row->node[0] != '\0' && i < sim->options.nodes; i++) {
        if ((old == NULL || strcmp(row->node, old->node) != 0) &&
            strcmp(row->node, sim->nodes[i].name) != 0 &&
            sim_any_alive(&sim->nodes[i].disks[pool - sim->pools])) {
            sim_fail(sim, "pool %s is given to %s while it runs on %s", row->name, row->node,
                sim->nodes[i].name);
        }
    }
}

static void check_job(struct sim *sim, const struct ph_job *row)
{
    if (row->state == PH_JOB_SUCCEEDED) {
        sim->takeovers += row->kind == PH_JOB_TAKEOVER;
        sim->moves += row->kind == PH_JOB_MOVE;
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
        check_job(sim, row);
    }
}

static bool runs_as_declared(struct sim *sim, int index, const struct ph_pool *row)
{
    int node = row->node[0] == '\0' ? -1 : sim_node_index(sim, row->node);
    if (row->desired == PH_DESIRED_INACTIVE) {
        return row->node[0] == '\0' && row->state == PH_POOL_UNASSIGNED;
    }
    if (node < 0 || row->state != PH_POOL_ACTIVE || !sim->nodes[node].disks[index].active) {
        return false;
    }
    for (size_t i = 0; i < sim->manager.vms.rows.count; i++) {
        const struct ph_vm *vm = ((struct sim_row *)sim->manager.vms.rows.items[i].value)->value;
        if (strcmp(vm->pool, row->name) == 0 && vm->restart == PH_RESTART_ALWAYS &&
            !sim->nodes[node].disks[index].vms[sim_vm_index(vm->name)].alive) {
            return false;
        }
    }
    return true;
}

bool sim_settled(struct sim *sim, char *why, size_t size)
{
    if (sim->manager.core == NULL) {
        (void)ph_text_format(why, size, "the manager is not running");
        return false;
    }
    for (size_t i = 0; i < sim->manager.pools.rows.count; i++) {
        const struct ph_pool *row =
            ((struct sim_row *)sim->manager.pools.rows.items[i].value)->value;
        if (!runs_as_declared(sim, sim_pool_index(sim, row->name), row)) {
            (void)ph_text_format(why, size, "pool %s (desired %s) is %s on %s: %s", row->name,
                ph_enum_word(&ph_enum_pool_desired, (int)row->desired),
                ph_enum_word(&ph_enum_pool_state, (int)row->state),
                row->node[0] == '\0' ? "no node" : row->node,
                row->reason == NULL ? "" : row->reason);
            return false;
        }
    }
    for (size_t i = 0; i < sim->manager.jobs.rows.count; i++) {
        const struct ph_job *row = ((struct sim_row *)sim->manager.jobs.rows.items[i].value)->value;
        (void)ph_text_format(why, size, "job %lld (%s of %s%s) goes on, phase %s: %s",
            (long long)row->id, ph_enum_word(&ph_enum_job_kind, (int)row->kind), row->pool,
            row->node, ph_enum_word(&ph_enum_job_phase, (int)row->phase),
            row->waiting_on == NULL ? "" : row->waiting_on);
        return false;
    }
    return true;
}

void sim_check_settled(struct sim *sim)
{
    char why[1200] = "";
    if (!sim_settled(sim, why, sizeof(why))) {
        sim_fail(sim, "faults ceased long ago, and yet %s", why);
    }
    /* What the inventory has acknowledged is there. */
    for (int i = 0; i < sim->options.pools; i++) {
        if (sim->pools[i].declared && !sim->pools[i].gone &&
            sim_table_get(&sim->manager.pools, sim->pools[i].name) == NULL) {
            sim_fail(sim, "pool %s was acknowledged and is not there", sim->pools[i].name);
        }
    }
}
