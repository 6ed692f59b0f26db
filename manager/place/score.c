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
static double fallback_for(const struct place_view *view, const struct ph_place_question *question,
    enum place_dimension dimension)
{
    double known = 0, capacity = 0, used = 0;

    for (size_t i = 0; i < view->cluster->node_count; i++) {
        const struct ph_place_node *node = place_node(view, i);

        if (!place_counts(view, i))
            continue;
        used += (double)place_used(node, dimension);
        if (place_capacity(node, dimension) > 0) {
            known++;
            capacity += (double)place_capacity(node, dimension);
        }
    }
    if (known > 0)
        return capacity / known;
    if (question->pool != NULL)
        used += (double)place_need(question->pool, dimension);
    double mean = view->counted > 0 ? used / view->counted : 0;

    if (dimension == PLACE_POOLS)
        return mean < 1 ? 1 : mean;
    return mean > 0 ? 2 * mean : 1;
}

static void sum_up(struct place_view *view, enum place_dimension dimension)
{
    struct place_sums *sums = &view->sums[dimension];
    double total = 0;

    sums->centre = 0;
    for (size_t i = 0; i < view->cluster->node_count; i++) {
        const struct ph_place_node *node = place_node(view, i);

        if (place_counts(view, i))
            total += load_of(
                (double)place_used(node, dimension), capacity_for(view, node, dimension), 0);
    }
    sums->centre = view->counted > 0 ? total / view->counted : 0;
    sums->sum = sums->squares = 0;
    for (size_t i = 0; i < view->cluster->node_count; i++) {
        const struct ph_place_node *node = place_node(view, i);

        if (!place_counts(view, i))
            continue;
        double x = load_of(
            (double)place_used(node, dimension), capacity_for(view, node, dimension), sums->centre);

        sums->sum += x;
        sums->squares += x * x;
    }
}

void place_view_init(struct place_view *view, const struct ph_place_cluster *cluster,
    const struct ph_place_question *question)
{
    view->cluster = cluster;
    view->from = question->from;
    view->counted = 0;
    double pools = 0;

    for (size_t i = 0; i < cluster->node_count; i++) {
        if (place_counts(view, i)) {
            view->counted++;
            pools += (double)place_node(view, i)->pools;
        }
    }
    view->mean_pools = view->counted > 0 ? pools / view->counted : 0;
    for (int i = 0; i < PLACE_DIMENSIONS; i++) {
        view->sums[i].fallback = fallback_for(view, question, (enum place_dimension)i);
        sum_up(view, (enum place_dimension)i);
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

static double deviation(double n, double sum, double squares)
{
    double mean = sum / n;
    double variance = squares / n - mean * mean;

    return variance > 0 ? sqrt(variance) : 0;
}

static void rate_balance(const struct place_view *view, const struct place_asked *asked,
    size_t index, struct place_rating *rating)
{
    const struct ph_place_node *node = place_node(view, index);
    const struct ph_pool *pool = asked->question->pool;
    bool counts = place_counts(view, index);
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
        if (view->counted > 0)
            rating->spread += deviation(view->counted, sum, squares);
        if (dimension != PLACE_POOLS && view->counted > 0 && x > sum / view->counted + CROWDED_LOAD)
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
