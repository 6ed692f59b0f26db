/*
 * Making and forgetting nodes, pools, peers, and finding them.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

struct core_node *core_find_node(const struct ph_core *core, const char *name)
{
    return name[0] == '\0' ? NULL : ph_map_get(&core->nodes, name);
}

struct core_pool *core_find_pool(const struct ph_core *core, const char *name)
{
    return name[0] == '\0' ? NULL : ph_map_get(&core->pools, name);
}

const struct ph_identity *core_find_identity(const struct ph_core *core, const char *name)
{
    return ph_map_get(&core->identities, name);
}

struct core_peer *core_find_peer(const struct core_pool *pool, const char *node)
{
    return node[0] == '\0' ? NULL : ph_map_get(&pool->peers, node);
}

/* A node's live part; the row is the caller's to fill before anything else happens. */
struct core_node *core_node_make(struct ph_core *core, const char *name)
{
    struct core_node *node = calloc(1, sizeof *node);

    if (node == NULL) {
        core->no_memory = true;
        return NULL;
    }
    ph_text_format(node->row.name, sizeof node->row.name, "%s", name);
    core_timer_init(core, &node->lease, CORE_TIMER_NODE, node);
    core_timer_init(core, &node->decay, CORE_TIMER_DECAY, node);
    core_timer_init(core, &node->diverged_timer, CORE_TIMER_DIVERGED, node);
    if (ph_map_put(&core->nodes, node->row.name, node) != 0) {
        core->no_memory = true;
        free(node);
        return NULL;
    }
    if (!core_picture_insert(core, node)) {
        ph_map_remove(&core->nodes, node->row.name);
        free(node);
        return NULL;
    }
    return node;
}

struct core_node *core_node_new(struct ph_core *core, const char *name)
{
    struct core_node *node = core_node_make(core, name);

    if (node == NULL)
        return NULL;
    node->row.since = core->wall_ms;
    core_set_text(core, &node->row.reason, "enrolled; its agent has not said hello yet");
    core_node_touch(core, node);
    return node;
}

void core_node_free(struct ph_core *core, struct core_node *node)
{
    core_timer_clear(core, &node->lease);
    core_timer_clear(core, &node->decay);
    core_fencing_free(core, node);
    core_diverged_free(core, node);
    ph_record_fini(&ph_record_node, &node->row);
    ph_record_fini(&ph_record_voter_set, &node->voters);
    ph_map_fini(&node->peers);
    ph_map_fini(&node->served);
    free(node);
}

void core_node_forget(struct ph_core *core, struct core_node *node)
{
    core_fencing_forget(core, node);
    while (node->peers.count > 0) {
        struct core_peer *peer = node->peers.items[node->peers.count - 1].value;
        /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): core_peer_forget() took the last one out of the map */
        struct core_pool *pool = peer->pool;

        if (strcmp(pool->row.home, node->row.name) == 0) {
            pool->row.home[0] = '\0';
            core_pool_touch(core, pool);
        }
        core_peer_forget(core, peer);
        pool->holders_due = true;
        core_pool_dirty(core, pool);
    }
    core_node_count(core, node, false);
    core_voters_forget(core, node);
    core_picture_remove(core, node);
    core_remove(core, &ph_record_node, &node->row);
    core_untouch(core, node);
    core_node_free(core, node);
}

struct core_peer *core_peer_make(
    struct ph_core *core, struct core_pool *pool, struct core_node *node)
{
    struct core_peer *peer = ph_map_get(&pool->peers, node->row.name);

    if (peer != NULL)
        return peer;
    peer = calloc(1, sizeof *peer);
    if (peer == NULL) {
        core->no_memory = true;
        return NULL;
    }
    peer->node = node;
    peer->pool = pool;
    ph_text_format(peer->row.pool, sizeof peer->row.pool, "%s", pool->row.name);
    ph_text_format(peer->row.node, sizeof peer->row.node, "%s", node->row.name);
    core_timer_init(core, &peer->resend, CORE_TIMER_ORDER, peer);
    if (ph_map_put(&pool->peers, peer->row.node, peer) != 0 ||
        ph_map_put(&node->peers, peer->row.pool, peer) != 0) {
        ph_map_remove(&pool->peers, peer->row.node);
        core->no_memory = true;
        free(peer);
        return NULL;
    }
    return peer;
}

/* The replica row goes; the peer stays. */
void core_peer_unstore(struct ph_core *core, struct core_peer *peer)
{
    struct ph_replica fresh = {.state = PH_REPLICA_SEEDING};

    if (!peer->stored)
        return;
    core_remove(core, &ph_record_replica, &peer->row);
    peer->stored = false;
    memcpy(fresh.pool, peer->row.pool, sizeof fresh.pool);
    memcpy(fresh.node, peer->row.node, sizeof fresh.node);
    ph_record_fini(&ph_record_replica, &peer->row);
    peer->row = fresh;
}

static void peer_free(struct ph_core *core, struct core_peer *peer)
{
    core_timer_clear(core, &peer->resend);
    ph_record_fini(&ph_record_replica, &peer->row);
    ph_record_fini(&ph_record_report, &peer->report);
    free(peer->order_peers);
    free(peer);
}

void core_peer_forget(struct ph_core *core, struct core_peer *peer)
{
    core_peer_unstore(core, peer);
    core_unaccount(core, peer);
    core_untouch(core, peer);
    ph_map_remove(&peer->pool->peers, peer->row.node);
    ph_map_remove(&peer->node->peers, peer->row.pool);
    peer_free(core, peer);
}

struct core_pool *core_pool_make(struct ph_core *core, const char *name)
{
    struct core_pool *pool = calloc(1, sizeof *pool);

    if (pool == NULL) {
        core->no_memory = true;
        return NULL;
    }
    ph_text_format(pool->row.name, sizeof pool->row.name, "%s", name);
    pool->holders_due = true;
    core_timer_init(core, &pool->timer, CORE_TIMER_POOL, pool);
    core_timer_init(core, &pool->care, CORE_TIMER_POOL, pool);
    if (ph_map_put(&core->pools, pool->row.name, pool) != 0) {
        core->no_memory = true;
        free(pool);
        return NULL;
    }
    return pool;
}

struct core_pool *core_pool_new(struct ph_core *core, const char *name)
{
    struct core_pool *pool = core_pool_make(core, name);

    if (pool == NULL)
        return NULL;
    pool->row.since = core->wall_ms;
    pool->row.epoch = core->epoch_floor;
    core_set_text(core, &pool->row.reason, "declared; has no node yet");
    core_pool_touch(core, pool);
    return pool;
}

void core_pool_free(struct ph_core *core, struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count; i++)
        peer_free(core, pool->peers.items[i].value);
    ph_map_fini(&pool->peers);
    for (size_t i = 0; i < pool->vm_count; i++)
        ph_record_fini(&ph_record_vm, &pool->vms[i].row);
    free(pool->vms);
    free(pool->operations);
    core_timer_clear(core, &pool->timer);
    core_timer_clear(core, &pool->care);
    ph_texts_fini(&pool->failed_on);
    ph_record_fini(&ph_record_pool, &pool->row);
    free(pool);
}

void core_pool_forget(struct ph_core *core, struct core_pool *pool)
{
    char text[24];

    if (pool->row.epoch > core->epoch_floor) {
        core->epoch_floor = pool->row.epoch;
        ph_text_format(text, sizeof text, "%lld", (long long)core->epoch_floor);
        core_meta_set(core, "epoch_floor", text);
    }
    while (pool->operation_count > 0)
        core_job_end(core, pool->operations[0], PH_JOB_CANCELLED, "the pool is removed");
    if (pool->verify != NULL)
        core_job_end(core, pool->verify, PH_JOB_CANCELLED, "the pool is removed");
    while (pool->peers.count > 0) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): likewise */
        core_peer_forget(core, pool->peers.items[pool->peers.count - 1].value);
    for (size_t i = 0; i < pool->vm_count; i++) {
        core_remove(core, &ph_record_vm, &pool->vms[i].row);
        if (pool->vms[i].save) /* the search is long when many pools change in one step */
            core_untouch(core, &pool->vms[i]);
    }
    core_remove(core, &ph_record_pool, &pool->row);
    core_untouch(core, pool);
    ph_place_unrelate(&core->relations, &pool->row);
    ph_map_remove(&core->targets, pool->row.name);
    core_pool_unlist(core, pool);
    ph_map_remove(&core->pools, pool->row.name);
    core_pool_free(core, pool);
}

static void vm_copy_observed(struct ph_core *core, struct ph_vm *to, const struct ph_vm *from)
{
    to->state = from->state;
    to->pid = from->pid;
    to->restarts = from->restarts;
    to->halted = from->halted; /* not declared either: an operator said so */
    to->memory_used_mib = from->memory_used_mib;
    to->disk_used_mib = from->disk_used_mib;
    if (ph_set_text(&to->reason, from->reason) != 0 || ph_set_text(&to->guest, from->guest) != 0 ||
        ph_set_text(&to->accelerator, from->accelerator) != 0 ||
        ph_set_text(&to->vnc, from->vnc) != 0 ||
        ph_texts_copy(&to->addresses, &from->addresses) != 0)
        core->no_memory = true;
}

static struct core_vm *find_vm(struct core_vm *vms, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(vms[i].row.name, name) == 0)
            return &vms[i];
    }
    return NULL;
}

void core_pool_set_vms(
    struct ph_core *core, struct core_pool *pool, const struct ph_vm *rows, size_t count)
{
    struct core_vm *vms = calloc(count == 0 ? 1 : count, sizeof *vms);

    if (vms == NULL) {
        core->no_memory = true;
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct ph_vm *row = &vms[i].row;
        const struct core_vm *old = find_vm(pool->vms, pool->vm_count, rows[i].name);

        if (ph_record_copy(&ph_record_vm, row, &rows[i]) != 0)
            core->no_memory = true;
        ph_text_format(row->pool, sizeof row->pool, "%s", pool->row.name);
        row->position = (int64_t)i;
        row->state = PH_VM_STOPPED;
        row->pid = row->restarts = 0;
        if (old != NULL)
            vm_copy_observed(core, row, &old->row);
        if (old == NULL || !ph_record_equal(&ph_record_vm, row, &old->row))
            core_vm_touch(core, &vms[i]);
    }
    for (size_t i = 0; i < pool->vm_count; i++) {
        if (find_vm(vms, count, pool->vms[i].row.name) == NULL)
            core_remove(core, &ph_record_vm, &pool->vms[i].row);
        if (pool->vms[i].save) /* the search is long when many pools change in one step */
            core_untouch(core, &pool->vms[i]);
        ph_record_fini(&ph_record_vm, &pool->vms[i].row);
    }
    free(pool->vms);
    pool->vms = vms;
    pool->vm_count = count;
    core_pool_dirty(core, pool);
}
