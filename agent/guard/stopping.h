/*
 * Stops pools: kills until nothing runs, then releases what the pool has beside its processes. Private to agent/guard.
 * Never blocks: what may wait for a disk (reading another process's memory, unmounting) is done by helper
 * processes, so that one dead disk does not keep the guard from all other pools.
 *
 *     CALM --kill_start--> KILLING --nothing left--> RELEASING (lease ended) --unmounted--> DONE
 *                                   `--------------> DONE (one pool's kill)
 */
#ifndef PH_AGENT_GUARD_STOPPING_H
#define PH_AGENT_GUARD_STOPPING_H

#include "agent/guard/table.h"

struct ph_guard_stopping {
    int scan_fd; /* results of the scan under way; -1: none */
    pid_t scan_pid;
    bool late; /* half of the time is over: volumes whose writers live on are shut down */
};

#define PH_GUARD_STOPPING_INIT                                                                     \
    {                                                                                              \
        .scan_fd = -1                                                                              \
    }

/* Marks the pool as one to be killed; with whole, to be released as well. */
void ph_guard_kill_start(struct ph_guard_pool *pool, bool whole);
/* One round: kills, looks, goes on with helpers. Returns how many pools are not DONE (or CALM) yet. */
size_t ph_guard_round(struct ph_guard_stopping *stopping, struct ph_guard_table *table);
/* Drops groups that are empty, before their numbers can be given to others. */
void ph_guard_prune(struct ph_guard_pool *pool);
/* Whether something of the pool runs, as far as that can be told without a scan. */
bool ph_guard_runs(const struct ph_guard_pool *pool);
/* What keeps the pool from DONE, for people. */
void ph_guard_say_stuck(const struct ph_guard_pool *pool, char *out, size_t size);

#endif
