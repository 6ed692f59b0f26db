/* A cluster for placement tests: built by words, freed at once. Names must be added in order. */
#ifndef PH_TEST_PICTURE_H
#define PH_TEST_PICTURE_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "manager/place/place.h"

#define PICTURE_NODES 300
#define PICTURE_POOLS 6000

struct picture {
    struct ph_node node_rows[PICTURE_NODES];
    struct ph_place_node nodes[PICTURE_NODES];
    struct ph_pool pool_rows[PICTURE_POOLS];
    size_t node_count, pool_count;
    struct ph_map pools, relations, targets;
    struct ph_place_cluster cluster;
    char reason[PH_TEXT_BYTES_MAX + 1];
};

static inline struct picture *picture_new(void)
{
    struct picture *picture = calloc(1, sizeof *picture);

    assert_non_null(picture);
    picture->cluster.nodes = picture->nodes;
    picture->cluster.pools = &picture->pools;
    return picture;
}

static inline void picture_free(struct picture *picture)
{
    for (size_t i = 0; i < picture->node_count; i++)
        ph_record_fini(&ph_record_node, &picture->node_rows[i]);
    for (size_t i = 0; i < picture->pool_count; i++)
        ph_record_fini(&ph_record_pool, &picture->pool_rows[i]);
    ph_map_fini(&picture->pools);
    ph_map_fini(&picture->targets);
    ph_place_relations_fini(&picture->relations);
    free(picture);
}

static inline struct ph_node *picture_node(
    struct picture *picture, const char *name, int64_t cpu, int64_t memory_mib, int64_t disk_mib)
{
    size_t i = picture->node_count++;
    struct ph_node *node = &picture->node_rows[i];

    assert_true(i < PICTURE_NODES);
    ph_text_format(node->name, sizeof node->name, "%s", name);
    node->state = PH_NODE_ONLINE;
    node->cpu = cpu;
    node->memory_mib = memory_mib;
    node->disk_mib = disk_mib;
    assert_int_equal(ph_texts_add(&node->drivers, "directory"), 0);
    picture->nodes[i] = (struct ph_place_node){.node = node, .available = true};
    picture->cluster.node_count = picture->node_count;
    return node;
}

static inline struct ph_place_node *picture_place(struct picture *picture, const char *name)
{
    for (size_t i = 0; i < picture->node_count; i++) {
        if (strcmp(picture->node_rows[i].name, name) == 0)
            return &picture->nodes[i];
    }
    fail_msg("no node %s", name);
    return NULL;
}

/* node: "" for an unassigned pool. */
static inline struct ph_pool *picture_pool(struct picture *picture, const char *name,
    const char *node, int64_t cpu, int64_t memory_mib, int64_t disk_mib)
{
    struct ph_pool *pool = &picture->pool_rows[picture->pool_count++];

    assert_true(picture->pool_count <= PICTURE_POOLS);
    ph_text_format(pool->name, sizeof pool->name, "%s", name);
    ph_text_format(pool->driver, sizeof pool->driver, "directory");
    ph_text_format(pool->node, sizeof pool->node, "%s", node);
    pool->cpu = cpu;
    pool->memory_mib = memory_mib;
    pool->disk_mib = disk_mib;
    assert_int_equal(ph_map_put(&picture->pools, pool->name, pool), 0);
    if (node[0] != '\0') {
        struct ph_place_node *place = picture_place(picture, node);

        place->cpu_used += cpu;
        place->memory_used_mib += memory_mib;
        place->disk_used_mib += disk_mib;
        place->pools++;
    }
    return pool;
}

static inline const char *picture_choose(
    struct picture *picture, const struct ph_place_question *question)
{
    long index =
        ph_place_choose(&picture->cluster, question, picture->reason, sizeof picture->reason);

    assert_true(picture->reason[0] != '\0');
    return index < 0 ? "" : picture->node_rows[index].name;
}

static inline void picture_explain_free(struct ph_candidate_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        ph_record_fini(&ph_record_candidate, &list->items[i]);
    free(list->items);
}

static inline void picture_plan_free(struct ph_planned_move_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        ph_record_fini(&ph_record_planned_move, &list->items[i]);
    free(list->items);
}

/* A small generator of its own: the same numbers everywhere. */
static inline uint32_t picture_random(uint64_t *seed, uint32_t below)
{
    *seed = *seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*seed >> 33) % below);
}

#endif
