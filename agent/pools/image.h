/*
 * The image driver: a file system in a file. Linux only; private to agent/pools.
 *
 *     data/image                   the file; its map beside it (data/map) while it is at rest
 *     mount/                       where it is mounted while the pool is active
 *     copies/current/data/{image,map}, copies/current/manifest
 *     copies/staging/data/image    being received, when the file can be cloned (reflink) or is new; else
 *     copies/staging/data/delta    the blocks that differ from current's. With its manifest it is complete, and
 *                                  is then written into current's image, again from the start after a crash
 *     points/NODE.map              what NODE has confirmed: the basis of the next difference
 *     points/NODE.image            a clone of just that, where files can be cloned and copies are regular: shared
 *                                  blocks need not be read again (extents.h)
 *     points/held.map              of the copy that data/ began from: what other holders have of it too
 *
 * The slots of copies/ are those of the directory driver (directory.h).
 */
#ifndef PH_POOLS_IMAGE_H
#define PH_POOLS_IMAGE_H

#include "agent/pools/blocks.h"
#include "agent/pools/layout.h"

/* How long a file system may be frozen at the most: its writers sleep so long. */
#define PH_FREEZE_MS_MAX 1000
/* Without reflink all of the file is read while it is frozen, so it may not have more data than this. */
#define PH_FROZEN_READ_BYTES_MAX ((int64_t)1 << 30)

/* ---- image_file_linux.c: the file and its map ---- */
/* A new file with what is in the other: shared where the file system can (*shared_out true), else, when `copy`,
 * copied; else -EOPNOTSUPP and nothing is left. */
int ph_image_clone(
    const char *from, const char *to, bool copy, bool *shared_out, const atomic_bool *cancelled);
bool ph_image_can_clone(const struct ph_pool_site *site);
/* Reads the map at relative when it is of that very file at rest (image: relative path, or NULL: any). */
int ph_image_map_load(const struct ph_pool_site *site, const char *relative, const char *image,
    struct ph_block_map *map, struct ph_map_stamp *stamp);
/* Writes it, with the stamp of the file at rest (image: relative path, or NULL). */
int ph_image_map_store(const struct ph_pool_site *site, const char *relative, const char *image,
    const struct ph_block_map *map, struct ph_map_stamp stamp);

/* Walks over an open file: each block's bytes (NULL: all zero), in order, from block `first`, at most `count`.
 * Holes are not read. Ends with what `visit` returns when that is not 0; -ECANCELED. */
typedef int ph_image_visit(
    void *context, uint32_t index, const unsigned char *bytes, uint32_t length);
int ph_image_walk(int fd, const struct ph_block_map *shape, uint32_t first, uint32_t count,
    const atomic_bool *cancelled, ph_image_visit *visit, void *context);
/* The hash of a block of zeros of that length. */
void ph_image_zero_hash(uint32_t length, unsigned char out[PH_BLOCK_HASH_BYTES]);
/* Writes runs into an open file; zeros become holes. */
int ph_image_put(int fd, const struct ph_block_map *shape, const struct ph_block_run *run,
    const unsigned char *bytes);
int64_t ph_image_data_bytes(int fd); /* what of it is not a hole */

/* ---- image_clones_linux.c ---- */
/* Which blocks of the open file are those of the clone that was kept for this holder: one byte per block of map,
 * owned by the caller, with *known (empty) the map of that clone. NULL: nothing is known. */
unsigned char *ph_image_unchanged(const struct ph_pool_site *site, const char *peer, int fd,
    const struct ph_block_map *map, struct ph_block_map *known);
/* The holder has confirmed what `clone` (a path; NULL: there is none) has: keeps it as `kept` while copies are
 * regular and there is room, else none. */
bool ph_image_clone_keep(const struct ph_pool_site *site, const char *peer, const char *clone,
    char kept[PH_NAME_BYTES_MAX + 16]);
/* Removes those of copies that are long past, all when the disk is nearly full (or `all`). */
void ph_image_clones_prune(const struct ph_pool_site *site, bool all);

/* ---- image_io_linux.c: exact amounts over a stream ---- */
/* 0; -EIO with the stream's reason, -ECANCELED, or -EIO when nothing moved for the stall time. */
int ph_image_read(struct ph_stream *stream, void *bytes, size_t count, struct ph_error *error);
int ph_image_write(
    struct ph_stream *stream, const void *bytes, size_t count, struct ph_error *error);

/* ---- image_send_linux.c, image_receive_linux.c ---- */
int ph_image_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error);
int ph_image_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error);
/* Carries on with a complete delta that a crash has kept from its image. */
int ph_image_settle(struct ph_pool_site *site, struct ph_error *error);
/* Unmounts, and proves that nobody has the file any more. */
int ph_image_unuse(struct ph_pool_site *site, struct ph_error *error);

#endif
