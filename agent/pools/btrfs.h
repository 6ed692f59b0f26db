/* What the btrfs driver asks of the kernel. Linux only; private to agent/pools. */
#ifndef PH_POOLS_BTRFS_H
#define PH_POOLS_BTRFS_H

#include <stdbool.h>

struct ph_btrfs_subvolume {
    bool read_only;
    bool received; /* has a received UUID: `btrfs receive` got to its end */
};

bool ph_btrfs_is(const char *path); /* on btrfs */
/* -ENOENT; -ENOTDIR: not a subvolume. */
int ph_btrfs_look(const char *path, struct ph_btrfs_subvolume *out);
int ph_btrfs_create(const char *parent, const char *name);
/* Atomic and committed when it returns. */
int ph_btrfs_snapshot(const char *source, const char *parent, const char *name, bool read_only);
/* -ENOENT; -ENOTEMPTY: it has subvolumes in it; -EPERM, -EBUSY: is being sent. */
int ph_btrfs_delete(const char *parent, const char *name);

#endif
