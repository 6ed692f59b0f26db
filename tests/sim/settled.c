/*
 * Whether everything runs as declared, which it must some time after the faults have ceased.
 */
#include "tests/sim/sim.h"

#include <string.h>

/* Whether the manager counts what a node has as this pool's. What is left of another pool that had the name
 * before is nobody's: it is left alone, and never gone on from. */
static bool is_counted(const struct sim *sim, const struct ph_pool *row, const char *node)
{
    if (strcmp(row->node, node) == 0 || strcmp(row->home, node) == 0) {
        return true;
    }
    for (size_t i = 0; i < sim->manager.replicas.rows.count; i++) {
        const struct sim_row *stored = sim->manager.replicas.rows.items[i].value;
        const struct ph_replica *replica = stored->value;
        if (strcmp(replica->pool, row->name) == 0 && strcmp(replica->node, node) == 0) {
            return true;
        }
    }
    return false;
}

/* Its last copy went with a disk: nobody can make it run again. */
static bool data_gone(const struct sim *sim, int index, const struct ph_pool *row)
{
    for (int i = 0; i < sim->node_count; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disks[index];
        if ((disk->data.exists || disk->copy.exists) && is_counted(sim, row, sim->nodes[i].name)) {
            return false;
        }
    }
    return row->created && row->state != PH_POOL_ACTIVE;
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

/* What there is of the pool, for whoever reads the trace. */
static void show_pool(struct sim *sim, int index, const char *pool)
{
    for (int i = 0; i < sim->node_count; i++) {
        const struct sim_disk *disk = &sim->nodes[i].disks[index];
        sim_trace(sim, sim->nodes[i].name,
            "has of %s: data=%lld.%lld written %llu us, copy=%lld.%lld written %llu us%s%s", pool,
            (long long)disk->data.epoch, (long long)disk->data.sequence,
            (unsigned long long)disk->data.content_us, (long long)disk->copy.epoch,
            (long long)disk->copy.sequence, (unsigned long long)disk->copy.content_us,
            disk->active ? ", active" : "", sim_any_alive(sim, i, index) ? ", running" : "");
    }
    for (size_t i = 0; i < sim->manager.replicas.rows.count; i++) {
        const struct sim_row *row = sim->manager.replicas.rows.items[i].value;
        const struct ph_replica *replica = row->value;
        if (strcmp(replica->pool, pool) == 0) {
            sim_trace(sim, "manager", "knows a copy of %s on %s: %s %lld.%lld", pool, replica->node,
                ph_enum_word(&ph_enum_replica_state, (int)replica->state),
                (long long)replica->epoch, (long long)replica->sequence);
        }
    }
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
        int index = sim_pool_index(sim, row->name);
        if (!runs_as_declared(sim, index, row) && !data_gone(sim, index, row)) {
            show_pool(sim, index, row->name);
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
        const struct ph_pool *pool = sim_table_get(&sim->manager.pools, row->pool);
        if (pool != NULL && data_gone(sim, sim_pool_index(sim, row->pool), pool)) {
            continue;
        }
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
    for (int i = 0; i < sim->pool_count; i++) {
        if (sim->pools[i].declared && !sim->pools[i].gone &&
            sim_table_get(&sim->manager.pools, sim->pools[i].name) == NULL) {
            sim_fail(sim, "pool %s was acknowledged and is not there", sim->pools[i].name);
        }
    }
}
