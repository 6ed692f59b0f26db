/*
 * What the guard has to kill and to release: pools, each with its items. Kept in memory, and as lines
 * in DIR/run/state/table for the guard that follows one that was killed:
 *
 *     poolherd-guard-table 1 BOOT-ID
 *     pool web
 *     mark 5c0f...
 *     cgroup /sys/fs/cgroup/.../pool-web
 *     group 4711 123456          (leader's pid, its start time)
 *     mount /var/lib/poolherd/...
 *     volume /var/lib/poolherd/pools/web/mount
 *     release /var/lib/poolherd/pools/web/release
 *     end
 *
 * Of another boot, nothing of it is left and the table counts as empty. Written beside and renamed: it
 * must survive the guard, not a power cut, so nothing here waits for a disk. Encode and decode are pure.
 */
#ifndef PH_AGENT_GUARD_TABLE_H
#define PH_AGENT_GUARD_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "poolherd/limits.h"

#define PH_GUARD_POOLS_MAX 4096 /* on one node */
#define PH_GUARD_ITEMS_MAX 2048 /* of one pool */
#define PH_GUARD_TABLE_BYTES_MAX (64u * 1024 * 1024)

enum ph_guard_item_kind {
    PH_ITEM_MARK,
    PH_ITEM_CGROUP,
    PH_ITEM_GROUP,
    PH_ITEM_MOUNT,
    PH_ITEM_VOLUME, /* a mount whose file system is the pool's alone (volume.h) */
    PH_ITEM_RELEASE /* a file that says what to run */
};

struct ph_guard_item {
    enum ph_guard_item_kind kind;
    pid_t group;         /* GROUP */
    uint64_t start_time; /* GROUP: of its leader */
    char *text;          /* all others; owned */
};

/* What is being done to a pool; not stored: a guard that starts begins anew. */
enum ph_guard_phase {
    PH_GUARD_CALM,
    PH_GUARD_KILLING,   /* until nothing of it runs */
    PH_GUARD_RELEASING, /* until nothing of it is mounted */
    PH_GUARD_DONE
};

struct ph_guard_pool {
    char name[PH_NAME_BYTES_MAX + 1];
    uint32_t id; /* names it to a scan under way; never used again */
    size_t count, room;
    struct ph_guard_item *items;

    enum ph_guard_phase phase;
    bool whole; /* the lease ended: release it too */
    bool told_stuck;
    int clear_scans;  /* in a row, of /proc, that found nothing of it */
    bool scanning;    /* the scan under way looks for it */
    bool found;       /* and found something */
    pid_t helper;     /* unmounting; 0: none */
    int helper_error; /* why releasing failed last */
    pid_t hammer;     /* thaws its volumes, or shuts them down; 0: none */
    bool shut;        /* they were shut down */
    int asker;        /* connection that waits for KILL, or -1 */
    uint64_t asker_number, asker_deadline_ms;
};

struct ph_guard_table {
    size_t count, room;
    struct ph_guard_pool *pools; /* sorted by name */
    uint32_t last_id;
};

struct ph_guard_pool *ph_guard_table_find(struct ph_guard_table *table, const char *name);
/* Finds or adds. NULL: no memory, or PH_GUARD_POOLS_MAX. Moves other pools. */
struct ph_guard_pool *ph_guard_table_add(struct ph_guard_table *table, const char *name);
void ph_guard_table_remove(struct ph_guard_table *table, const char *name);
void ph_guard_table_fini(struct ph_guard_table *table);

/* Adds an item, or does nothing when it is there. 0, -ENOMEM, -ENOSPC (limit), -EINVAL (text empty, too
 * long, with control characters, or a path that is not absolute). */
int ph_guard_pool_add(struct ph_guard_pool *pool, enum ph_guard_item_kind kind, const char *text,
    pid_t group, uint64_t start_time);
void ph_guard_pool_drop(struct ph_guard_pool *pool, size_t index);
bool ph_guard_pool_has(const struct ph_guard_pool *pool, enum ph_guard_item_kind kind);

/* Heap text, or NULL. */
char *ph_guard_table_encode(
    const struct ph_guard_table *table, const char *boot_id, size_t *size_out);
/* Into an empty table. 0; -ESTALE: of another boot (table stays empty); -EBADMSG: cut or malformed (the
 * table then has what was read: better killed than forgotten); -ENOMEM. */
int ph_guard_table_decode(
    struct ph_guard_table *table, const char *boot_id, const char *text, size_t size);

#endif
