/*
 * Placement: where a pool goes, and why not elsewhere. Pure, and knows nothing of time, leases or
 * messages: it gets a picture of the cluster and answers.
 *
 * Hard rules, each with a sentence in reasons: node online and active (or the pool is already
 * there), allowed by name or label, driver works there, capacity for cpu/memory/disk, no pool of
 * `apart` there, and, where data exists elsewhere, a complete copy (or, for a planned move, room for
 * one). Soft rules make the score: preferred nodes (best first), together, balance (the cluster's
 * spread of relative load after the choice, as Ganeti's score does), the freshest copy. Ties break
 * by name.
 */
#ifndef PH_MANAGER_PLACE_H
#define PH_MANAGER_PLACE_H

#include "base/map.h"
#include "proto/catalogue.h"

/* What placement knows of a node. Sums count pools assigned there and disk of copies kept there. */
struct ph_place_node {
    const struct ph_node *node; /* borrowed */
    bool available;             /* online, admin active, not quarantined: may get new pools */
    int64_t cpu_used, memory_used_mib, disk_used_mib;
    int64_t pools;
};

struct ph_place_copy {
    const char *node;
    bool complete;
    int64_t age_ms;
};

struct ph_place_question {
    const struct ph_pool *pool;
    const struct ph_place_copy *copies; /* usable data elsewhere */
    size_t copy_count;
    bool data_needed;     /* a take-over: only nodes with a complete copy qualify */
    const char *from;     /* the node it leaves, or NULL; never chosen */
    const char *only;     /* an operator named this node, or NULL */
};

/* A cluster picture. Nodes sorted by name; `where` maps pool name -> node name (assigned pools) for
 * together/apart. Borrowed. */
struct ph_place_cluster {
    const struct ph_place_node *nodes;
    size_t node_count;
    const struct ph_map *pools; /* pool name -> const struct ph_pool *, for together/apart */
};

/* Chooses a node: index into cluster->nodes, or -1 with one sentence in reason (bounded by
 * PH_TEXT_BYTES_MAX) that names the rule that forbids the last hope. */
long ph_place_choose(const struct ph_place_cluster *cluster, const struct ph_place_question *question,
    char *reason, size_t reason_size);

/* Every node with possible/score/reasons, in node order. out: initialised, replaced. 0 or -ENOMEM. */
int ph_place_explain(const struct ph_place_cluster *cluster,
    const struct ph_place_question *question, struct ph_candidate_list *out);

/* Which nodes shall keep `want` copies: spreads over nodes, keeps those in keep[] that still
 * qualify, never the active node. Writes indices, returns how many (<= want). */
size_t ph_place_copies(const struct ph_place_cluster *cluster, const struct ph_pool *pool,
    const char *const *keep, size_t keep_count, size_t want, size_t *indices_out);

/* Plans to empty `node`: pools in order of priority (then name), each to a place, counting what
 * earlier ones of the plan take, so that no target is piled upon. out: initialised, replaced. */
struct ph_place_copies_of {
    void *context;
    size_t (*copies)(void *context, const char *pool, const struct ph_place_copy **copies_out);
};
int ph_place_drain(const struct ph_place_cluster *cluster, const char *node,
    const struct ph_place_copies_of *copies, struct ph_planned_move_list *out);

/* Whether a word of allow/prefer ("n1", "rack=a") means this node. */
bool ph_place_matches(const struct ph_node *node, const char *word);

#endif
