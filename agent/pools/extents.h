/*
 * What of a file is still the very blocks of an earlier clone of it, by where the file system keeps them. Linux
 * only; private to agent/pools.
 *
 * Where two files share an extent (reflink: xfs, btrfs), a write to either goes elsewhere. So as long as the
 * earlier clone is there, a range that both have in one place is unchanged. Whatever is not certain
 * (compressed, inline, not written yet, moved meanwhile) counts as changed.
 */
#ifndef PH_POOLS_EXTENTS_H
#define PH_POOLS_EXTENTS_H

#include "agent/pools/blocks.h"

/* Sets unchanged[i] (shape->count of them) to whether block i of `after` is what block i of `before` is. Both are
 * open for reading and nobody writes to them. -EOPNOTSUPP, -E2BIG (too many extents), -EAGAIN (they were
 * moved meanwhile), -ENOMEM, -errno; then nothing is known. */
int ph_extents_unchanged(
    int before, int after, const struct ph_block_map *shape, unsigned char *unchanged);

#endif
