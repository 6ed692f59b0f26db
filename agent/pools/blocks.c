#include "agent/pools/blocks.h"

#include <errno.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define RUN_MAGIC 0x6e757250u /* "Prun" */
#define MAP_HEAD_BYTES 72

static const char head_magic[8] = "PHhead1", answer_magic[8] = "PHansw1", map_magic[8] = "PHmap_1";

static void put32(unsigned char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (unsigned char)(value >> (8 * i));
}

static void put64(unsigned char *at, int64_t value)
{
    for (int i = 0; i < 8; i++)
        at[i] = (unsigned char)((uint64_t)value >> (8 * i));
}

static uint32_t get32(const unsigned char *at)
{
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

static int64_t get64(const unsigned char *at)
{
    return (int64_t)((uint64_t)get32(at) | (uint64_t)get32(at + 4) << 32);
}

/* ---- maps ---- */

uint32_t ph_block_bytes_for(int64_t size)
{
    uint32_t bytes = PH_BLOCK_BYTES_MIN;

    while (bytes < PH_BLOCK_BYTES_MAX && size / bytes >= PH_BLOCKS_MAX)
        bytes *= 2;
    return bytes;
}

uint32_t ph_block_length(const struct ph_block_map *map, uint32_t index)
{
    int64_t left = map->size - (int64_t)index * map->block_bytes;
    return left < map->block_bytes ? (uint32_t)left : map->block_bytes;
}

static bool shape_is_legal(int64_t size, uint32_t block_bytes)
{
    return size > 0 && size <= PH_IMAGE_BYTES_MAX && block_bytes >= PH_BLOCK_BYTES_MIN &&
           block_bytes <= PH_BLOCK_BYTES_MAX && (block_bytes & (block_bytes - 1)) == 0 &&
           (size - 1) / block_bytes < PH_BLOCKS_MAX;
}

int ph_block_map_init(struct ph_block_map *map, int64_t size, uint32_t block_bytes)
{
    memset(map, 0, sizeof *map);
    if (!shape_is_legal(size, block_bytes))
        return -EINVAL;
    uint32_t count = (uint32_t)((size - 1) / block_bytes + 1);
    map->hashes = calloc(count, PH_BLOCK_HASH_BYTES);
    if (map->hashes == NULL)
        return -ENOMEM;
    map->size = size;
    map->block_bytes = block_bytes;
    map->count = count;
    return 0;
}

void ph_block_map_fini(struct ph_block_map *map)
{
    free(map->hashes);
    memset(map, 0, sizeof *map);
}

int ph_block_map_copy(struct ph_block_map *to, const struct ph_block_map *from)
{
    int rv = ph_block_map_init(to, from->size, from->block_bytes);

    if (rv == 0)
        memcpy(to->hashes, from->hashes, (size_t)from->count * PH_BLOCK_HASH_BYTES);
    return rv;
}

unsigned char *ph_block_hash_at(const struct ph_block_map *map, uint32_t index)
{
    return map->hashes + (size_t)index * PH_BLOCK_HASH_BYTES;
}

void ph_block_hash(const void *bytes, size_t count, unsigned char out[PH_BLOCK_HASH_BYTES])
{
    (void)crypto_generichash(out, PH_BLOCK_HASH_BYTES, bytes, count, NULL, 0);
}

bool ph_block_same(const struct ph_block_map *a, const struct ph_block_map *b, uint32_t index)
{
    return index < a->count && index < b->count && a->block_bytes == b->block_bytes &&
           ph_block_length(a, index) == ph_block_length(b, index) &&
           memcmp(ph_block_hash_at(a, index), ph_block_hash_at(b, index), PH_BLOCK_HASH_BYTES) == 0;
}

void ph_block_map_hash(const struct ph_block_map *map, char out[2 * PH_BLOCK_HASH_BYTES + 1])
{
    unsigned char shape[12], sum[PH_BLOCK_HASH_BYTES];
    crypto_generichash_state state;

    put64(shape, map->size);
    put32(shape + 8, map->block_bytes);
    crypto_generichash_init(&state, NULL, 0, sizeof sum);
    crypto_generichash_update(&state, shape, sizeof shape);
    crypto_generichash_update(&state, map->hashes, (size_t)map->count * PH_BLOCK_HASH_BYTES);
    crypto_generichash_final(&state, sum, sizeof sum);
    sodium_bin2hex(out, 2 * PH_BLOCK_HASH_BYTES + 1, sum, sizeof sum);
}

/* ---- maps as files ---- */

unsigned char *ph_block_map_encode(
    const struct ph_block_map *map, const struct ph_map_stamp *stamp, size_t *size_out)
{
    size_t hashes = (size_t)map->count * PH_BLOCK_HASH_BYTES;
    size_t size = MAP_HEAD_BYTES + hashes + PH_BLOCK_HASH_BYTES;
    unsigned char *bytes = calloc(1, size);

    if (bytes == NULL)
        return NULL;
    memcpy(bytes, map_magic, 8);
    put64(bytes + 8, map->size);
    put32(bytes + 16, map->block_bytes);
    put64(bytes + 24, stamp->epoch);
    put64(bytes + 32, stamp->sequence);
    put64(bytes + 40, stamp->inode);
    put64(bytes + 48, stamp->mtime_s);
    put64(bytes + 56, stamp->mtime_ns);
    memcpy(bytes + MAP_HEAD_BYTES, map->hashes, hashes);
    ph_block_hash(bytes, MAP_HEAD_BYTES + hashes, bytes + MAP_HEAD_BYTES + hashes);
    *size_out = size;
    return bytes;
}

int ph_block_map_decode(
    struct ph_block_map *map, struct ph_map_stamp *stamp, const unsigned char *bytes, size_t size)
{
    unsigned char sum[PH_BLOCK_HASH_BYTES];

    memset(map, 0, sizeof *map);
    if (size < MAP_HEAD_BYTES + PH_BLOCK_HASH_BYTES || memcmp(bytes, map_magic, 8) != 0)
        return -EBADMSG;
    ph_block_hash(bytes, size - sizeof sum, sum);
    if (memcmp(sum, bytes + size - sizeof sum, sizeof sum) != 0)
        return -EBADMSG;
    int rv = ph_block_map_init(map, get64(bytes + 8), get32(bytes + 16));
    if (rv != 0)
        return rv == -EINVAL ? -EBADMSG : rv;
    size_t hashes = (size_t)map->count * PH_BLOCK_HASH_BYTES;
    if (size != MAP_HEAD_BYTES + hashes + sizeof sum) {
        ph_block_map_fini(map);
        return -EBADMSG;
    }
    memcpy(map->hashes, bytes + MAP_HEAD_BYTES, hashes);
    *stamp = (struct ph_map_stamp){.epoch = get64(bytes + 24),
        .sequence = get64(bytes + 32),
        .inode = get64(bytes + 40),
        .mtime_s = get64(bytes + 48),
        .mtime_ns = get64(bytes + 56)};
    return 0;
}

/* ---- on the stream ---- */

void ph_block_head_encode(const struct ph_block_head *head, unsigned char out[PH_HEAD_BYTES])
{
    memset(out, 0, PH_HEAD_BYTES);
    memcpy(out, head_magic, 8);
    put64(out + 8, head->size);
    put32(out + 16, head->block_bytes);
    put32(out + 20, head->last ? 1 : 0);
    put64(out + 24, head->basis_epoch);
    put64(out + 32, head->basis_sequence);
}

int ph_block_head_decode(struct ph_block_head *head, const unsigned char bytes[PH_HEAD_BYTES])
{
    *head = (struct ph_block_head){.size = get64(bytes + 8),
        .block_bytes = get32(bytes + 16),
        .last = (get32(bytes + 20) & 1) != 0,
        .basis_epoch = get64(bytes + 24),
        .basis_sequence = get64(bytes + 32)};
    if (memcmp(bytes, head_magic, 8) != 0 || !shape_is_legal(head->size, head->block_bytes) ||
        head->basis_epoch < 0 || head->basis_sequence < 0)
        return -EBADMSG;
    return 0;
}

void ph_block_answer_encode(
    const struct ph_block_answer *answer, unsigned char out[PH_ANSWER_BYTES])
{
    memcpy(out, answer_magic, 8);
    put32(out + 8, (uint32_t)answer->mode);
    put32(out + 12, answer->count);
}

int ph_block_answer_decode(
    struct ph_block_answer *answer, uint32_t count_max, const unsigned char bytes[PH_ANSWER_BYTES])
{
    uint32_t mode = get32(bytes + 8), count = get32(bytes + 12);

    if (memcmp(bytes, answer_magic, 8) != 0 || mode > PH_BLOCKS_NOTHING || count > count_max ||
        (mode != PH_BLOCKS_HASHES && count != 0))
        return -EBADMSG;
    *answer = (struct ph_block_answer){.mode = (enum ph_block_mode)mode, .count = count};
    return 0;
}

void ph_block_run_encode(const struct ph_block_run *run, unsigned char out[PH_RUN_HEAD_BYTES])
{
    put32(out, RUN_MAGIC);
    put32(out + 4, (uint32_t)run->kind);
    put32(out + 8, run->index);
    put32(out + 12, run->count);
}

uint32_t ph_block_run_max(const struct ph_block_map *map)
{
    return map->block_bytes >= PH_RUN_BYTES_MAX ? 1 : PH_RUN_BYTES_MAX / map->block_bytes;
}

int ph_block_run_decode(struct ph_block_run *run, const struct ph_block_map *map,
    const unsigned char bytes[PH_RUN_HEAD_BYTES])
{
    uint32_t kind = get32(bytes + 4), index = get32(bytes + 8), count = get32(bytes + 12);

    if (get32(bytes) != RUN_MAGIC || kind > PH_RUN_END)
        return -EBADMSG;
    if ((kind == PH_RUN_DATA || kind == PH_RUN_ZERO) &&
        (count == 0 || index >= map->count || count > map->count - index))
        return -EBADMSG;
    if (kind == PH_RUN_DATA && count > ph_block_run_max(map))
        return -EBADMSG;
    *run = (struct ph_block_run){.kind = (enum ph_run_kind)kind, .index = index, .count = count};
    return 0;
}
