/*
 * A file as blocks: their hashes, and the words in which two nodes say which of them differ. Pure.
 * Private to agent/pools.
 *
 * A map has one BLAKE2b-256 hash per block; the hash over the map (and its sizes) is the hash of the file.
 *
 *     owner                                   holder
 *     head   block size, file size, basis  ->
 *                                          <- answer   AGREED: it has exactly the basis whose map the
 *                                                      owner kept | HASHES of what it has | NOTHING
 *     run    index, count, their bytes     ->  for every run of blocks that differ; later runs win
 *     run    index, count, all zero        ->
 *     end                                  ->  then the stream's close with the hash of the file
 *
 * All numbers are little-endian. What is read from a peer is checked here and nowhere else.
 */
#ifndef PH_POOLS_BLOCKS_H
#define PH_POOLS_BLOCKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PH_BLOCK_HASH_BYTES 32
#define PH_BLOCK_BYTES_MIN (64 * 1024)
#define PH_BLOCK_BYTES_MAX (16 * 1024 * 1024)
#define PH_BLOCKS_MAX (1024 * 1024) /* a larger file has larger blocks */
#define PH_IMAGE_BYTES_MAX ((int64_t)16 << 40)
#define PH_RUN_BYTES_MAX (1024 * 1024) /* of data in one run, unless one block is larger */

struct ph_block_map {
    int64_t size; /* of the file; 0: an empty map */
    uint32_t block_bytes, count;
    unsigned char *hashes; /* count * PH_BLOCK_HASH_BYTES, owned */
};

/* The block size for a file of this size: the least that needs no more than PH_BLOCKS_MAX. */
uint32_t ph_block_bytes_for(int64_t size);
/* The bytes of one block: the last may be shorter. */
uint32_t ph_block_length(const struct ph_block_map *map, uint32_t index);
/* An empty map for a file; size 1..PH_IMAGE_BYTES_MAX, a legal block size for it. 0, -EINVAL, -ENOMEM. */
int ph_block_map_init(struct ph_block_map *map, int64_t size, uint32_t block_bytes);
void ph_block_map_fini(struct ph_block_map *map);
int ph_block_map_copy(struct ph_block_map *to, const struct ph_block_map *from);
unsigned char *ph_block_hash_at(const struct ph_block_map *map, uint32_t index);
/* Of one block's bytes. */
void ph_block_hash(const void *bytes, size_t count, unsigned char out[PH_BLOCK_HASH_BYTES]);
/* Whether both have this block and it is equal. */
bool ph_block_same(const struct ph_block_map *a, const struct ph_block_map *b, uint32_t index);
/* Of the whole file, as hexadecimal digits. */
void ph_block_map_hash(const struct ph_block_map *map, char out[2 * PH_BLOCK_HASH_BYTES + 1]);

/* ---- a map as a file: what it is the map of, so that it is never believed of another file ---- */
struct ph_map_stamp {
    int64_t epoch, sequence;          /* the point of the data; 0: none */
    int64_t inode, mtime_s, mtime_ns; /* of the file; 0: of none on this node */
};
/* Heap bytes, or NULL. */
unsigned char *ph_block_map_encode(
    const struct ph_block_map *map, const struct ph_map_stamp *stamp, size_t *size_out);
/* Into an empty map. 0, -EBADMSG (cut, changed, malformed), -ENOMEM. */
int ph_block_map_decode(
    struct ph_block_map *map, struct ph_map_stamp *stamp, const unsigned char *bytes, size_t size);

/* ---- on the stream ---- */
#define PH_HEAD_BYTES 48
struct ph_block_head {
    int64_t size;
    uint32_t block_bytes;
    bool last;                           /* nothing runs: check all that can be checked */
    int64_t basis_epoch, basis_sequence; /* whose map the owner has; 0: none */
};
void ph_block_head_encode(const struct ph_block_head *head, unsigned char out[PH_HEAD_BYTES]);
int ph_block_head_decode(struct ph_block_head *head, const unsigned char bytes[PH_HEAD_BYTES]);

enum ph_block_mode { PH_BLOCKS_AGREED, PH_BLOCKS_HASHES, PH_BLOCKS_NOTHING };
#define PH_ANSWER_BYTES 16
struct ph_block_answer {
    enum ph_block_mode mode;
    uint32_t count; /* of hashes that follow: at most the head's blocks */
};
void ph_block_answer_encode(
    const struct ph_block_answer *answer, unsigned char out[PH_ANSWER_BYTES]);
int ph_block_answer_decode(
    struct ph_block_answer *answer, uint32_t count_max, const unsigned char bytes[PH_ANSWER_BYTES]);

enum ph_run_kind { PH_RUN_DATA, PH_RUN_ZERO, PH_RUN_IDLE, PH_RUN_END };
#define PH_RUN_HEAD_BYTES 16
struct ph_block_run {
    enum ph_run_kind kind;
    uint32_t index, count; /* DATA, ZERO */
};
void ph_block_run_encode(const struct ph_block_run *run, unsigned char out[PH_RUN_HEAD_BYTES]);
/* Checked against the map's shape. -EBADMSG. */
int ph_block_run_decode(struct ph_block_run *run, const struct ph_block_map *map,
    const unsigned char bytes[PH_RUN_HEAD_BYTES]);
/* The most blocks of data in one run. */
uint32_t ph_block_run_max(const struct ph_block_map *map);

#endif
