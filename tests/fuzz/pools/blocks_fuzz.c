/* What a peer says about blocks, and a map from a disk: the first byte chooses which. What is accepted is within
 * its limits, and said again it is the same. */
#include <stdlib.h>
#include <string.h>
#include "agent/pools/blocks.h"
#include "base/assert.h"

static void run(const uint8_t *data, size_t size)
{
    struct ph_block_map map;
    struct ph_block_run read;
    unsigned char again[PH_RUN_HEAD_BYTES];

    if (size < PH_RUN_HEAD_BYTES || ph_block_map_init(&map, 77 * 65536 + 5, 65536) != 0)
        return;
    if (ph_block_run_decode(&read, &map, data) == 0) {
        bool blocks = read.kind == PH_RUN_DATA || read.kind == PH_RUN_ZERO;
        ph_assert(!blocks || (read.count > 0 && read.index + read.count <= map.count));
        ph_assert(read.kind != PH_RUN_DATA || read.count <= ph_block_run_max(&map));
        ph_block_run_encode(&read, again);
        ph_assert(memcmp(again, data, sizeof again) == 0);
    }
    ph_block_map_fini(&map);
}

static void head(const uint8_t *data, size_t size)
{
    struct ph_block_head read;
    struct ph_block_map map;

    if (size < PH_HEAD_BYTES || ph_block_head_decode(&read, data) != 0)
        return;
    ph_assert(read.size > 0 && read.size <= PH_IMAGE_BYTES_MAX);
    ph_assert(ph_block_map_init(&map, read.size, read.block_bytes) == 0);
    ph_assert(map.count <= PH_BLOCKS_MAX);
    ph_block_map_fini(&map);
}

static void map(const uint8_t *data, size_t size)
{
    struct ph_block_map read;
    struct ph_map_stamp stamp;
    size_t bytes = 0;

    if (ph_block_map_decode(&read, &stamp, data, size) != 0)
        return;
    unsigned char *again = ph_block_map_encode(&read, &stamp, &bytes);
    ph_assert(again != NULL && bytes == size);
    free(again);
    ph_block_map_fini(&read);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_block_answer answer;

    if (size == 0)
        return 0;
    switch (data[0] % 4) {
    case 0:
        head(data + 1, size - 1);
        break;
    case 1:
        run(data + 1, size - 1);
        break;
    case 2:
        map(data + 1, size - 1);
        break;
    default:
        if (size > PH_ANSWER_BYTES && ph_block_answer_decode(&answer, 1000, data + 1) == 0)
            ph_assert(answer.count <= 1000);
    }
    return 0;
}
