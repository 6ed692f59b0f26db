/*
 * Which nodes keep copies of a pool. See place.h.
 */
#include "manager/place/internal.h"

#include <string.h>

static bool can_keep(
    const struct ph_place_cluster *cluster, const struct ph_pool *pool, const struct ph_node *node)
{
    return (node->state == PH_NODE_ONLINE || node->state == PH_NODE_SUSPECT) &&
           node->admin != PH_ADMIN_RETIRED && strcmp(node->name, pool->node) != 0 &&
           place_allowed(pool, node) && place_lacks(cluster, pool, node) == NULL;
}

static bool taken(const size_t *indices, size_t count, size_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (indices[i] == index)
            return true;
    }
    return false;
}

struct means {
    double copies, pools, load; /* load: relative, of disk */
};

/* How badly a new copy would sit on the node: smaller is better; negative: not at all. A node that
 * could not run the pool is a poor place for its copy, as that is where a take-over goes. */
static double burden(const struct place_view *view, const struct place_asked *asked, size_t index,
    const struct means *means)
{
    const struct ph_place_node *node = place_node(view, index);
    const struct ph_pool *pool = asked->question->pool;
    int64_t disk = node->node->disk_mib;
    double load = means->load;

    if (disk > 0) {
        if (pool->disk_mib > disk - node->disk_used_mib)
            return -1;
        load = (double)(node->disk_used_mib + pool->disk_mib) / (double)disk;
    }
    double sum = (double)node->copies / (means->copies + 1) + load +
                 (double)node->pools / (means->pools + 1) / 4;
    enum place_rule rule = place_forbidden(view, asked, index);

    if (rule == PLACE_RULE_APART)
        sum += 1000;
    else if (rule == PLACE_RULE_CAPACITY)
        sum += 100;
    for (size_t i = 0; i < pool->prefer.count; i++) {
        if (ph_place_matches(node->node, pool->prefer.items[i]))
            return sum; /* before all that are not preferred */
    }
    return sum + (pool->prefer.count > 0 ? 10000 : 0);
}

static struct means means_of(const struct ph_place_cluster *cluster)
{
    struct means means = {0};
    double nodes = 0, known = 0;

    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct ph_place_node *node = &cluster->nodes[i];

        if (!node->available)
            continue;
        nodes++;
        means.copies += (double)node->copies;
        means.pools += (double)node->pools;
        if (node->node->disk_mib > 0) {
            known++;
            means.load += (double)node->disk_used_mib / (double)node->node->disk_mib;
        }
    }
    means.copies /= nodes > 0 ? nodes : 1;
    means.pools /= nodes > 0 ? nodes : 1;
    means.load /= known > 0 ? known : 1;
    return means;
}

size_t ph_place_copies(const struct ph_place_cluster *cluster, const struct ph_pool *pool,
    const char *const *keep, size_t keep_count, size_t want, size_t *indices_out)
{
    struct ph_place_question question = {.pool = pool};
    struct place_view view;
    struct place_asked asked;
    size_t count = 0;

    for (size_t i = 0; i < keep_count && count < want; i++) {
        long index = place_find(cluster, keep[i]);

        if (index >= 0 && can_keep(cluster, pool, cluster->nodes[index].node) &&
            !taken(indices_out, count, (size_t)index))
            indices_out[count++] = (size_t)index;
    }
    if (count == want)
        return count;
    place_view_bare(&view, cluster);
    place_ask(&view, &question, &asked);
    struct means means = means_of(cluster);

    while (count < want) {
        long best = -1;
        double least = 0;

        for (size_t i = 0; i < cluster->node_count; i++) {
            const struct ph_place_node *node = &cluster->nodes[i];

            if (!node->available || !can_keep(cluster, pool, node->node) ||
                taken(indices_out, count, i))
                continue;
            double sum = burden(&view, &asked, i, &means);

            if (sum >= 0 && (best < 0 || sum < least)) {
                best = (long)i;
                least = sum;
            }
        }
        if (best < 0)
            break;
        indices_out[count++] = (size_t)best;
    }
    return count;
}
