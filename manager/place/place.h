/*
 * Placement: where a pool goes, and why not elsewhere. Pure, and knows nothing of time, leases or
 * messages: it gets a picture of the cluster and answers.
 *
 * Hard rules, each with a sentence in reasons: node online and active (or the pool is already
 * there), allowed by name or label, driver works there, capacity for cpu/memory/disk, no pool of
 * `apart` there, and, where data exists elsewhere, a complete copy (or, for a planned move, room for
 * one). Soft rules make the score, the earlier ones outweighing the later ones: (when data_needed)
 * the freshest copy; preferred nodes, best first; `together`; a complete copy, unless the node would
 * be crowded; balance, which is the cluster's spread after the choice (standard deviations of the
 * relative load of cpu, memory and disk and of the number of pools, as Ganeti's cluster score in
 * htools has it). Ties break by name. `together` and `apart` hold in both directions, whoever
 * declared them.
 *
 * A capacity of 0 means that the node did not say: then there is no limit, and the reasons say so.
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
    int64_t copies; /* kept there; spreads copies whose pools declare no disk */
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
    bool data_needed; /* a take-over: only nodes with a complete copy qualify */
    const char *from; /* the node it leaves, or NULL; never chosen */
    const char *only; /* an operator named this node, or NULL */
};

/* Who named a pool in its rules: what makes `together` and `apart` hold in both directions without a
 * look at every pool. Kept by the caller, one relation per pool that is named by another. */
struct ph_place_relation {
    char name[PH_NAME_BYTES_MAX + 1];
    struct ph_texts apart_by, together_by; /* the pools that name it */
};
/* Notes, or forgets, what one pool's rules name. `relations` maps pool name -> owned struct
 * ph_place_relation *. Call forget with the old rules before they change. 0 or -ENOMEM (then call
 * forget, or end). */
int ph_place_relate(struct ph_map *relations, const struct ph_pool *pool);
void ph_place_unrelate(struct ph_map *relations, const struct ph_pool *pool);
void ph_place_relations_fini(struct ph_map *relations);

/* A cluster picture. Nodes sorted by name. Borrowed. */
struct ph_place_cluster {
    const struct ph_place_node *nodes;
    size_t node_count;
    const struct ph_map *pools; /* pool name -> const struct ph_pool *, for together/apart */
    /* Made by ph_place_relate(); NULL: every pool is looked at instead (small clusters, tests). */
    const struct ph_map *relations;
    /* Pool name -> const char * node: where moves under way will put pools. Such a pool counts at
     * both ends for `apart`, and at its target for `together`. May be NULL. */
    const struct ph_map *targets;
    /* A workload driver that the pool's VMs need and the node does not have, or NULL. May be NULL. */
    const char *(*lacks)(const void *context, const char *pool, const struct ph_node *node);
    const void *lacks_context;
};

/* Chooses a node: index into cluster->nodes, with one sentence in reason that says why there; or -1
 * with one that names the rule that forbids the last hope. reason_size: PH_TEXT_BYTES_MAX + 1 fits
 * everything. O(nodes). */
long ph_place_choose(const struct ph_place_cluster *cluster,
    const struct ph_place_question *question, char *reason, size_t reason_size);

/* Every node with possible/score/reasons, in node order. `chosen` is the node the pool is on, or, when
 * it is on none, the one ph_place_choose() would choose. out: initialised, replaced. 0 or -ENOMEM. */
int ph_place_explain(const struct ph_place_cluster *cluster,
    const struct ph_place_question *question, struct ph_candidate_list *out);

/* Which nodes shall keep `want` copies: spreads over nodes, keeps those in keep[] that still
 * qualify (best first in keep[]), never the pool's own node. A kept one qualifies while its node is
 * allowed, has the driver and is online or suspect, whatever operators do there; a new one must be
 * available and have the disk. Writes indices, best first, returns how many (<= want). */
size_t ph_place_copies(const struct ph_place_cluster *cluster, const struct ph_pool *pool,
    const char *const *keep, size_t keep_count, size_t want, size_t *indices_out);

/* Plans to empty `node`: pools (those desired active) in order of priority (then name), each to a
 * place, counting what others of the plan take, so that no target is piled upon or overfilled. A
 * pool with no place has `to` empty and the reason. When the order of priority leaves a pool without
 * a place, large ones are tried first. out: initialised, replaced. 0, -ENOENT: no such node, -ENOMEM. */
struct ph_place_copies_of {
    void *context;
    size_t (*copies)(void *context, const char *pool, const struct ph_place_copy **copies_out);
};
int ph_place_drain(const struct ph_place_cluster *cluster, const char *node,
    const struct ph_place_copies_of *copies, struct ph_planned_move_list *out);

/* Whether a word of allow/prefer ("n1", "rack=a") means this node. */
bool ph_place_matches(const struct ph_node *node, const char *word);

#endif
