/*
 * Inside manager/place: one view of the cluster while a question is being answered. Pure.
 *
 *     place_view_init()       O(nodes): sums of the relative load of the nodes that count
 *     place_view_move()       O(1): a pool comes to, or leaves, a node in a plan
 *     place_rate()            O(1): the first rule that forbids a node, or its score
 *
 * so that a choice is O(nodes) and a plan O(pools * nodes), whatever the cluster's size.
 */
#ifndef PH_PLACE_INTERNAL_H
#define PH_PLACE_INTERNAL_H

#include "manager/place/place.h"

enum place_dimension { PLACE_CPU, PLACE_MEMORY, PLACE_DISK, PLACE_POOLS, PLACE_DIMENSIONS };

/* In the order they are asked: a node that fails a later one was the nearer to being chosen. */
enum place_rule {
    PLACE_RULE_FROM,
    PLACE_RULE_ONLY,
    PLACE_RULE_ALLOW,
    PLACE_RULE_AVAILABLE,
    PLACE_RULE_DRIVER,
    PLACE_RULE_DATA,
    PLACE_RULE_APART,
    PLACE_RULE_CAPACITY,
    PLACE_RULES /* none forbids it */
};

struct place_sums {
    double centre; /* subtracted from each load, so that equal loads give exactly no spread */
    double sum, squares;
    double fallback; /* capacity assumed, for balance only, where a node did not say */
};

struct place_view {
    const struct ph_place_cluster *cluster;
    struct ph_place_node *moved;  /* a plan's own sums, or NULL: the cluster's */
    const struct ph_map *planned; /* pool name -> const struct place_choice * of a plan, or NULL */
    long from;                    /* index of the node that is left, or -1 */
    double counted;               /* nodes that count for balance */
    double mean_pools;
    struct place_sums sums[PLACE_DIMENSIONS];
};

/* A plan's answer for one pool. */
struct place_choice {
    const struct ph_pool *pool;
    long index; /* of the target, or -1 */
};

/* One pool's question, prepared once for all nodes. */
struct place_asked {
    const struct ph_place_question *question;
    long here;                             /* index of the node it is on, or -1 */
    const struct ph_place_relation *named; /* who names it, or NULL */
    const struct ph_place_copy *freshest;  /* complete, or NULL */
};

struct place_rating {
    enum place_rule rule; /* PLACE_RULES: possible */
    int64_t score;
    /* What the score is made of. */
    size_t prefer;                    /* 1: matches the first word; 0: none */
    size_t together;                  /* pools of `together` there */
    const struct ph_place_copy *copy; /* complete and there, or NULL */
    bool crowded;                     /* so much above the mean that the copy does not count */
    double spread;                    /* of the cluster, after the choice */
};

/* ---- what is looked at for every node of every choice: inline ---- */
static inline const struct ph_place_node *place_node(const struct place_view *view, size_t index)
{
    return view->moved != NULL ? &view->moved[index] : &view->cluster->nodes[index];
}

/* Whether the node's load counts for balance. */
static inline bool place_counts(const struct place_view *view, size_t index)
{
    return place_node(view, index)->available && (long)index != view->from;
}

static inline int64_t place_capacity(
    const struct ph_place_node *node, enum place_dimension dimension)
{
    return dimension == PLACE_CPU      ? node->node->cpu
           : dimension == PLACE_MEMORY ? node->node->memory_mib
           : dimension == PLACE_DISK   ? node->node->disk_mib
                                       : 0;
}

static inline int64_t place_used(const struct ph_place_node *node, enum place_dimension dimension)
{
    return dimension == PLACE_CPU      ? node->cpu_used
           : dimension == PLACE_MEMORY ? node->memory_used_mib
           : dimension == PLACE_DISK   ? node->disk_used_mib
                                       : node->pools;
}

static inline int64_t place_need(const struct ph_pool *pool, enum place_dimension dimension)
{
    return dimension == PLACE_CPU      ? pool->cpu
           : dimension == PLACE_MEMORY ? pool->memory_mib
           : dimension == PLACE_DISK   ? pool->disk_mib
                                       : 1;
}

/* rules.c */
enum place_rule place_forbidden(
    const struct place_view *view, const struct place_asked *asked, size_t index);
size_t place_together(const struct place_view *view, const struct place_asked *asked, size_t index);
/* A driver that the pool or its VMs need and the node does not have, or NULL. */
const char *place_lacks(
    const struct ph_place_cluster *cluster, const struct ph_pool *pool, const struct ph_node *node);
bool place_allowed(const struct ph_pool *pool, const struct ph_node *node);
/* The dimension in which the pool does not fit, or -1. */
int place_overfull(const struct place_view *view, const struct place_asked *asked, size_t index);
const struct ph_place_copy *place_copy_at(
    const struct ph_place_question *question, const char *node);
long place_find(const struct ph_place_cluster *cluster, const char *node);

/* score.c */
void place_view_init(struct place_view *view, const struct ph_place_cluster *cluster,
    const struct ph_place_question *question);
/* Only what the rules need: no score may be asked of it. */
void place_view_bare(struct place_view *view, const struct ph_place_cluster *cluster);
void place_view_move(
    struct place_view *view, size_t index, const struct ph_pool *pool, int sign, bool disk_counted);
void place_ask(const struct place_view *view, const struct ph_place_question *question,
    struct place_asked *asked);
void place_rate(const struct place_view *view, const struct place_asked *asked, size_t index,
    struct place_rating *rating);
/* The best index or -1; *best is its rating, or that of the last hope (*hope: its index, -1: no node). */
long place_best(const struct place_view *view, const struct place_asked *asked,
    struct place_rating *best, long *hope);

/* say.c: sentences */
void place_say_forbidden(const struct place_view *view, const struct place_asked *asked,
    size_t index, enum place_rule rule, char *out, size_t size);
void place_say_chosen(const struct place_view *view, const struct place_asked *asked, size_t index,
    const struct place_rating *rating, char *out, size_t size);
void place_say_none(const struct place_view *view, const struct place_asked *asked, long hope,
    char *out, size_t size);
/* Adds what the score is made of. 0 or -ENOMEM. */
int place_say_score(const struct place_view *view, const struct place_asked *asked, size_t index,
    const struct place_rating *rating, struct ph_texts *out);
int place_say_unknown(const struct ph_place_node *node, struct ph_texts *out);

#endif
