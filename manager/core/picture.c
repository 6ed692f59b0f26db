/*
 * The picture placement works on, kept up to date: picture[i] describes nodes.items[i]. What a pool
 * takes from a node is noted in its peer, so that any change is one subtraction and one addition.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

static size_t picture_index(const struct ph_core *core, const struct core_node *node)
{
    return ph_map_lower(&core->nodes, node->row.name);
}

const struct ph_place_node *core_place_node(
    const struct ph_core *core, const struct core_node *node)
{
    return &core->picture[picture_index(core, node)];
}

bool core_node_available(const struct core_node *node)
{
    return node->row.state == PH_NODE_ONLINE && node->row.admin == PH_ADMIN_ACTIVE;
}

static const char *workload_lacks(
    const void *context, const char *pool_name, const struct ph_node *node)
{
    const struct core_pool *pool = core_find_pool(context, pool_name);

    for (size_t i = 0; pool != NULL && i < pool->vm_count; i++)
        if (!ph_texts_contain(&node->drivers, pool->vms[i].row.kind))
            return pool->vms[i].row.kind;
    return NULL;
}

void core_picture_cluster(struct ph_core *core)
{
    core->cluster = (struct ph_place_cluster){.nodes = core->picture,
        .node_count = core->nodes.count,
        .pools = &core->pools,
        .relations = &core->relations,
        .targets = &core->targets,
        .lacks = workload_lacks,
        .lacks_context = core};
}

/* The node is in core->nodes already. */
bool core_picture_insert(struct ph_core *core, struct core_node *node)
{
    size_t index = picture_index(core, node), count = core->nodes.count - 1;

    if (count == core->picture_room) {
        size_t room = core->picture_room == 0 ? 16 : core->picture_room * 2;
        struct ph_place_node *picture = realloc(core->picture, room * sizeof *picture);

        if (picture == NULL) {
            core->no_memory = true;
            return false;
        }
        core->picture = picture;
        core->picture_room = room;
    }
    memmove(
        &core->picture[index + 1], &core->picture[index], (count - index) * sizeof *core->picture);
    core->picture[index] = (struct ph_place_node){.node = &node->row};
    core->picture[index].available = core_node_available(node);
    core_picture_cluster(core);
    return true;
}

/* The node is still in core->nodes; nothing of any pool is counted for it any more. */
void core_picture_remove(struct ph_core *core, struct core_node *node)
{
    size_t index = picture_index(core, node);

    memmove(&core->picture[index], &core->picture[index + 1],
        (core->nodes.count - 1 - index) * sizeof *core->picture);
    ph_map_remove(&core->nodes, node->row.name);
    core_picture_cluster(core);
}

void core_picture_node(struct ph_core *core, struct core_node *node)
{
    struct ph_place_node *place = &core->picture[picture_index(core, node)];
    bool available = core_node_available(node);

    if (available && !place->available)
        core->attention = true;
    place->available = available;
}

void core_picture_available(struct ph_core *core, const struct core_node *node, bool available)
{
    core->picture[picture_index(core, node)].available = available;
}

static void account_peer(struct ph_core *core, struct core_pool *pool, struct core_peer *peer)
{
    bool runs = strcmp(pool->row.node, peer->node->row.name) == 0 || peer->held;
    bool keeps = peer->stored || peer->chosen || strcmp(pool->row.home, peer->node->row.name) == 0;
    int64_t cpu = runs ? pool->row.cpu : 0, memory_mib = runs ? pool->row.memory_mib : 0;
    int64_t disk_mib = runs || keeps ? pool->row.disk_mib : 0;
    int64_t pools = runs ? 1 : 0, copies = keeps && !runs ? 1 : 0;
    struct ph_place_node *place;

    if (cpu == peer->counted_cpu && memory_mib == peer->counted_memory_mib &&
        disk_mib == peer->counted_disk_mib && pools == peer->counted_pools &&
        copies == peer->counted_copies)
        return;
    place = &core->picture[picture_index(core, peer->node)];
    place->cpu_used += cpu - peer->counted_cpu;
    place->memory_used_mib += memory_mib - peer->counted_memory_mib;
    place->disk_used_mib += disk_mib - peer->counted_disk_mib;
    place->pools += pools - peer->counted_pools;
    place->copies += copies - peer->counted_copies;
    if (pools < peer->counted_pools || disk_mib < peer->counted_disk_mib)
        core->attention = true; /* there is room now */
    peer->counted_cpu = cpu;
    peer->counted_memory_mib = memory_mib;
    peer->counted_disk_mib = disk_mib;
    peer->counted_pools = pools;
    peer->counted_copies = copies;
}

void core_account(struct ph_core *core, struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count; i++)
        account_peer(core, pool, pool->peers.items[i].value);
}

/* As if the peer took nothing: before a question about the very place it holds, and before it goes. */
void core_unaccount(struct ph_core *core, struct core_peer *peer)
{
    struct ph_place_node *place = &core->picture[picture_index(core, peer->node)];

    place->cpu_used -= peer->counted_cpu;
    place->memory_used_mib -= peer->counted_memory_mib;
    place->disk_used_mib -= peer->counted_disk_mib;
    place->pools -= peer->counted_pools;
    place->copies -= peer->counted_copies;
    peer->counted_cpu = peer->counted_memory_mib = peer->counted_disk_mib = 0;
    peer->counted_pools = peer->counted_copies = 0;
}

bool core_copy_usable(const struct core_peer *peer)
{
    return peer->stored && peer->row.epoch > 0 &&
           (peer->row.state == PH_REPLICA_COMPLETE || peer->row.state == PH_REPLICA_FAILING);
}

bool core_home_empty(const struct core_pool *pool)
{
    const struct core_peer *peer = core_find_peer(pool, pool->row.home);

    return pool->row.created && peer != NULL && peer->node->present && peer->reported &&
           peer->report.data_epoch == 0 && peer->report.state != PH_LOCAL_ACTIVE &&
           peer->report.state != PH_LOCAL_ACTIVATING;
}

int64_t core_copy_age_ms(const struct ph_core *core, const struct core_peer *peer)
{
    const struct ph_replica *row = &peer->row;

    if (row->as_of == 0)
        return -1;
    if (row->as_of == peer->copied_as_of)
        return (int64_t)(core->now_ms - peer->copied_ms);
    /* All that a former process left is the time of day. One that lies ahead says that it was set back. */
    return core->wall_ms >= row->as_of ? core->wall_ms - row->as_of : -1;
}

void core_copy_aged(const struct ph_core *core, struct core_peer *peer, int64_t age_ms)
{
    int64_t as_of = core->wall_ms - age_ms;

    peer->row.as_of = as_of > 0 ? as_of : 1;
    peer->copied_as_of = age_ms <= (int64_t)core->now_ms ? peer->row.as_of : 0;
    peer->copied_ms = core->now_ms - (uint64_t)age_ms;
}

size_t core_pool_copies(const struct ph_core *core, const struct core_pool *pool,
    struct ph_place_copy *out, size_t room)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->peers.count && count < room; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;
        int64_t age_ms = core_copy_age_ms(core, peer);

        if (strcmp(pool->row.node, peer->node->row.name) == 0)
            continue;
        if (pool->row.node[0] == '\0' && strcmp(pool->row.home, peer->node->row.name) == 0 &&
            !core_home_empty(pool))
            out[count++] = (struct ph_place_copy){.node = peer->node->row.name, .complete = true};
        else if (core_copy_usable(peer))
            out[count++] = (struct ph_place_copy){.node = peer->node->row.name,
                .complete = true,
                .age_ms = age_ms < 0 ? INT64_MAX : age_ms};
    }
    return count;
}

/* The nodes that have a copy, as a small picture of their own: whatever the cluster's size, a
 * take-over has to look at no others. */
static long choose_holder(struct ph_core *core, const struct ph_place_question *question,
    char *reason, size_t reason_size)
{
    struct ph_place_node nodes[PH_COPIES_MAX * 4];
    long indices[PH_COPIES_MAX * 4] = {0}, index;
    struct ph_place_cluster few = core->cluster;
    size_t count = 0;

    /* Copies come from pool->peers, so that they are in order of name, as a picture has to be. */
    for (size_t i = 0; i < question->copy_count; i++) {
        const struct core_node *node = core_find_node(core, question->copies[i].node);

        if (node == NULL || count == sizeof nodes / sizeof nodes[0])
            continue;
        indices[count] = (long)picture_index(core, node);
        nodes[count] = core->picture[indices[count]];
        count++;
    }
    few.nodes = nodes;
    few.node_count = count;
    core->work += count;
    index = ph_place_choose(&few, question, reason, reason_size);
    return index < 0 ? index : indices[index];
}

long core_choose(struct ph_core *core, const struct ph_place_question *question, char *reason,
    size_t reason_size)
{
    if (question->data_needed)
        return choose_holder(core, question, reason, reason_size);
    core->work += core->nodes.count;
    return ph_place_choose(&core->cluster, question, reason, reason_size);
}
