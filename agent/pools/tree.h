/*
 * What a directory tree holds, and a hash of it that two nodes can compare. Not pure. Private to
 * agent/pools.
 *
 * The hash (BLAKE2b, 256 bits) is taken over every entry in byte order of the names within each
 * directory: path, type, permission bits, and of a file its size and content, of a symbolic link its
 * target, of a device its number. Not owners (a copy kept without root has none of them), not times.
 * With since_s only content of files modified at or after that second goes in; the others count by
 * size, so that the last copy of a large pool need not read again what an earlier copy has brought and
 * rsync or btrfs has checked.
 */
#ifndef PH_POOLS_TREE_H
#define PH_POOLS_TREE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "poolherd/error.h"

#define PH_TREE_DEPTH_MAX 256
#define PH_TREE_HASH_BYTES 64 /* hex digits */

struct ph_tree_content {
    int64_t entries; /* below the top */
    int64_t bytes;   /* of regular files */
    char hash[PH_TREE_HASH_BYTES + 1];
};

/* Without `hash` only entries and bytes. An entry that vanishes in between is an error (-ENOENT) with
 * `hash` and passed over without. -ECANCELED, -ELOOP: deeper than PH_TREE_DEPTH_MAX, -errno; each with
 * the path in *error. */
int ph_tree_measure(const char *path, bool hash, int64_t since_s, const atomic_bool *cancelled,
    struct ph_tree_content *content_out, struct ph_error *error);
/* Adds to *wrong the files of `before` that have size and time of the file of that name in `after` and another
 * content: something else than a change of the data has changed them. The same file under both is not read. */
int ph_tree_compare(const char *before, const char *after, const atomic_bool *cancelled,
    int64_t *wrong, struct ph_error *error);
int ph_tree_is_empty(const char *path, bool *empty_out);
/* Everything written so far below path (and on its file system) is durable. 0 or -errno. */
int ph_tree_sync(const char *path);

#endif
