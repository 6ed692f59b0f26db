/*
 * The soft rules as one number, and the choice. See place.h.
 *
 * Balance follows Ganeti's cluster score (htools, src/Ganeti/HTools/Cluster/Metrics.hs): the sum of
 * the standard deviations of what each node carries. With x the load of a node, n nodes, S = sum x
 * and Q = sum x*x kept, putting d more on a node of load x gives S+d and Q+2xd+dd, so each candidate
 * costs four square roots.
 *
 * The number packs the soft rules so that an earlier one always outweighs all later ones together.
 */
#include "manager/place/internal.h"

#include <math.h>
#include <string.h>

#define BALANCE_UNITS 1e10                 /* of spread 1.0 */
#define BALANCE_MAX INT64_C(1000000000000) /* 1e12 */
#define COPY_POINTS (2 * BALANCE_MAX)
#define TOGETHER_POINTS (2 * COPY_POINTS)
#define TOGETHER_MAX 128
#define PREFER_POINTS INT64_C(1000000000000000)  /* 1e15 > COPY + TOGETHER * TOGETHER_MAX */
#define FRESH_POINTS INT64_C(100000000000000000) /* 1e17 > PREFER * PH_RELATIONS_MAX */
#define FRESH_MAX 80

/* A node is crowded when it carries this much more than the mean already: then a copy there does not
 * draw the pool, lest all pools whose copies share a node follow each other there. */
#define CROWDED_LOAD 0.15
#define CROWDED_POOLS_FACTOR 1.25
#define CROWDED_POOLS_MORE 1.0

static double load_of(double used, double capacity, double centre)
{
    return used / capacity - centre;
}

static double capacity_for(
    const struct place_view *view, const struct ph_place_node *node, enum place_dimension dimension)
{
    int64_t capacity = place_capacity(node, dimension);

    return capacity > 0 ? (double)capacity : view->sums[dimension].fallback;
}

/* Capacity assumed for nodes that did not say: the mean of those that did; else what makes the mean
 * load one half. Pools are counted in units of their own mean, as they have no capacity. */
static void set_fallbacks(struct place_view *view, const struct ph_place_question *question)
{
    double known[PLACE_DIMENSIONS] = {0}, capacity[PLACE_DIMENSIONS] = {0};
    double used[PLACE_DIMENSIONS] = {0};
    const struct ph_pool *pool = question->pool;
    /* Not when it is where it is counted: what is assumed must not depend on where the pool is. */
    bool comes = pool != NULL && (pool->node[0] == '\0' || question->from != NULL);

    view->counted = 0;
    for (size_t i = 0; i < view->cluster->node_count; i++) {
        const struct ph_place_node *node = place_node(view, i);

        if (!place_counts(view, i))
            continue;
        view->counted++;
        for (int d = 0; d < PLACE_DIMENSIONS; d++) {
            int64_t offered = place_capacity(node, (enum place_dimension)d);

            used[d] += (double)place_used(node, (enum place_dimension)d);
            known[d] += offered > 0 ? 1 : 0;
            capacity[d] += (double)offered;
        }
    }
    double nodes = view->counted > 0 ? view->counted : 1;

    view->mean_pools = used[PLACE_POOLS] / nodes;
    for (int d = 0; d < PLACE_DIMENSIONS; d++) {
        if (comes)
            used[d] += (double)place_need(pool, (enum place_dimension)d);
        double mean = used[d] / nodes;

        if (known[d] > 0)
            view->sums[d].fallback = capacity[d] / known[d];
        else if (d == PLACE_POOLS)
            view->sums[d].fallback = mean < 1 ? 1 : mean;
        else
            view->sums[d].fallback = mean > 0 ? 2 * mean : 1;
    }
}

void place_view_bare(struct place_view *view, const struct ph_place_cluster *cluster)
{
    *view = (struct place_view){.cluster = cluster, .from = -1};
}

void place_view_init(struct place_view *view, const struct ph_place_cluster *cluster,
    const struct ph_place_question *question)
{
    bool first = true;

    memset(view->sums, 0, sizeof view->sums);
    view->cluster = cluster;
    view->from = question->from != NULL ? place_find(cluster, question->from) : -1;
    set_fallbacks(view, question);
    for (size_t i = 0; i < cluster->node_count; i++) {
        const struct ph_place_node *node = place_node(view, i);

        if (!place_counts(view, i))
            continue;
        for (int d = 0; d < PLACE_DIMENSIONS; d++) {
            struct place_sums *sums = &view->sums[d];
            enum place_dimension dimension = (enum place_dimension)d;
            double capacity = capacity_for(view, node, dimension);
            double used = (double)place_used(node, dimension);

            if (first) /* any load that occurs will do as the centre */
                sums->centre = load_of(used, capacity, 0);
            double x = load_of(used, capacity, sums->centre);

            sums->sum += x;
            sums->squares += x * x;
        }
        first = false;
    }
}

static double change_of(const struct place_view *view, const struct ph_place_node *node,
    const struct ph_pool *pool, enum place_dimension dimension, bool disk_counted)
{
    if (dimension == PLACE_DISK && disk_counted)
        return 0;
    return (double)place_need(pool, dimension) / capacity_for(view, node, dimension);
}

void place_view_move(
    struct place_view *view, size_t index, const struct ph_pool *pool, int sign, bool disk_counted)
{
    struct ph_place_node *node = &view->moved[index];

    if (place_counts(view, index)) {
        for (int i = 0; i < PLACE_DIMENSIONS; i++) {
            enum place_dimension dimension = (enum place_dimension)i;
            struct place_sums *sums = &view->sums[i];
            double x = load_of((double)place_used(node, dimension),
                capacity_for(view, node, dimension), sums->centre);
            double d = sign * change_of(view, node, pool, dimension, disk_counted);

            sums->sum += d;
            sums->squares += 2 * x * d + d * d;
        }
        view->mean_pools += sign / view->counted;
    }
    node->cpu_used += sign * pool->cpu;
    node->memory_used_mib += sign * pool->memory_mib;
    node->disk_used_mib += disk_counted ? 0 : sign * pool->disk_mib;
    node->pools += sign;
}

void place_ask(const struct place_view *view, const struct ph_place_question *question,
    struct place_asked *asked)
{
    const struct ph_place_cluster *cluster = view->cluster;

    asked->question = question;
    asked->here = -1;
    if (question->pool->node[0] != '\0' &&
        (question->from == NULL || strcmp(question->from, question->pool->node) != 0))
        asked->here = place_find(cluster, question->pool->node);
    asked->named =
        cluster->relations != NULL ? ph_map_get(cluster->relations, question->pool->name) : NULL;
    asked->freshest = NULL;
    for (size_t i = 0; i < question->copy_count; i++) {
        const struct ph_place_copy *copy = &question->copies[i];

        if (copy->complete && (asked->freshest == NULL || copy->age_ms < asked->freshest->age_ms))
            asked->freshest = copy;
    }
}

static double deviation(double share, double sum, double squares)
{
    double mean = sum * share;
    double variance = squares * share - mean * mean;

    return variance > 0 ? sqrt(variance) : 0;
}

static void rate_balance(const struct place_view *view, const struct place_asked *asked,
    size_t index, struct place_rating *rating)
{
    const struct ph_place_node *node = place_node(view, index);
    const struct ph_pool *pool = asked->question->pool;
    bool counts = place_counts(view, index);
    double share = view->counted > 0 ? 1 / view->counted : 0;
    bool held = place_copy_at(asked->question, node->node->name) != NULL;

    for (int i = 0; i < PLACE_DIMENSIONS; i++) {
        enum place_dimension dimension = (enum place_dimension)i;
        const struct place_sums *sums = &view->sums[i];
        double d = change_of(view, node, pool, dimension, held);
        double capacity = capacity_for(view, node, dimension);
        double x = load_of((double)place_used(node, dimension), capacity, sums->centre);
        double sum = sums->sum, squares = sums->squares;

        if (asked->here >= 0) { /* as if it were on no node yet */
            const struct ph_place_node *here = place_node(view, (size_t)asked->here);

            if (place_counts(view, (size_t)asked->here)) {
                double y = load_of((double)place_used(here, dimension),
                    capacity_for(view, here, dimension), sums->centre);
                double e = change_of(view, here, pool, dimension, false);

                sum -= e;
                squares += e * e - 2 * y * e;
            }
            if (here == node)
                x -= change_of(view, node, pool, dimension, false);
        }
        if (counts) {
            sum += d;
            squares += 2 * x * d + d * d;
        }
        rating->spread += deviation(share, sum, squares);
        if (dimension != PLACE_POOLS && x > sum * share + CROWDED_LOAD)
            rating->crowded = true;
    }
    double pools = (double)node->pools - ((long)index == asked->here ? 1 : 0);

    if (pools > view->mean_pools * CROWDED_POOLS_FACTOR + CROWDED_POOLS_MORE)
        rating->crowded = true;
}

static int64_t freshness(const struct ph_place_question *question, const struct ph_place_copy *copy)
{
    int64_t older = 1;

    for (size_t i = 0; i < question->copy_count; i++)
        older += question->copies[i].complete && question->copies[i].age_ms > copy->age_ms;
    return older < FRESH_MAX ? older : FRESH_MAX;
}

void place_rate(const struct place_view *view, const struct place_asked *asked, size_t index,
    struct place_rating *rating)
{
    const struct ph_place_question *question = asked->question;
    const struct ph_node *node = place_node(view, index)->node;
    const struct ph_pool *pool = question->pool;

    *rating = (struct place_rating){.rule = place_forbidden(view, asked, index)};
    if (rating->rule != PLACE_RULES)
        return;
    for (size_t i = 0; i < pool->prefer.count && rating->prefer == 0; i++) {
        if (ph_place_matches(node, pool->prefer.items[i]))
            rating->prefer = i + 1;
    }
    rating->together = place_together(view, asked, index);
    rating->copy = place_copy_at(question, node->name);
    if (rating->copy != NULL && !rating->copy->complete)
        rating->copy = NULL;
    rate_balance(view, asked, index, rating);

    double units = rating->spread * BALANCE_UNITS;
    int64_t score = units < (double)BALANCE_MAX ? -(int64_t)units : -BALANCE_MAX;

    if (rating->copy != NULL && !rating->crowded)
        score += COPY_POINTS;
    score += TOGETHER_POINTS *
             (int64_t)(rating->together < TOGETHER_MAX ? rating->together : TOGETHER_MAX);
    if (rating->prefer > 0 && rating->prefer <= PH_RELATIONS_MAX)
        score += PREFER_POINTS * (int64_t)(PH_RELATIONS_MAX + 1 - rating->prefer);
    if (question->data_needed && rating->copy != NULL)
        score += FRESH_POINTS * freshness(question, rating->copy);
    rating->score = score;
}

long place_best(const struct place_view *view, const struct place_asked *asked,
    struct place_rating *best, long *hope)
{
    long index = -1;
    struct place_rating rating;

    *best = (struct place_rating){.rule = PLACE_RULE_FROM};
    *hope = -1;
    for (size_t i = 0; i < view->cluster->node_count; i++) {
        place_rate(view, asked, i, &rating);
        if (rating.rule == PLACE_RULES ? index < 0 || rating.score > best->score
                                       : index < 0 && (*hope < 0 || rating.rule > best->rule)) {
            *best = rating;
            *hope = (long)i;
            if (rating.rule == PLACE_RULES)
                index = (long)i;
        }
    }
    return index;
}
