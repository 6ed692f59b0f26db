/* Maps of blocks, as files and on the stream: what is said is understood, and nothing else is. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/pools/blocks.h"

#define MIB ((int64_t)1024 * 1024)

static void sizes(void **state)
{
    struct ph_block_map map;
    (void)state;
    assert_int_equal(ph_block_bytes_for(1), PH_BLOCK_BYTES_MIN);
    assert_int_equal(ph_block_bytes_for((int64_t)60 << 30), PH_BLOCK_BYTES_MIN);
    assert_int_equal(ph_block_bytes_for((int64_t)1 << 40), MIB + MIB);
    assert_int_equal(ph_block_bytes_for(PH_IMAGE_BYTES_MAX), PH_BLOCK_BYTES_MAX);
    for (int64_t size = 1; size <= PH_IMAGE_BYTES_MAX; size = size * 5 + 3) {
        assert_int_equal(0, ph_block_map_init(&map, size, ph_block_bytes_for(size)));
        uint32_t last = ph_block_length(&map, map.count - 1);
        assert_true(last > 0 && last <= map.block_bytes);
        assert_int_equal(size, (int64_t)(map.count - 1) * map.block_bytes + last);
        ph_block_map_fini(&map);
    }
    assert_int_equal(-EINVAL, ph_block_map_init(&map, 0, PH_BLOCK_BYTES_MIN));
    assert_int_equal(-EINVAL, ph_block_map_init(&map, MIB, PH_BLOCK_BYTES_MIN + 1));
    assert_int_equal(-EINVAL, ph_block_map_init(&map, PH_IMAGE_BYTES_MAX, PH_BLOCK_BYTES_MIN));
    assert_int_equal(-EINVAL, ph_block_map_init(&map, PH_IMAGE_BYTES_MAX + 1, PH_BLOCK_BYTES_MAX));
}

static void files(void **state)
{
    struct ph_map_stamp stamp = {1, 2, 3, 4, 5}, read;
    struct ph_block_map map, again;
    char hash[65], other[65];
    size_t size;
    (void)state;
    assert_int_equal(0, ph_block_map_init(&map, 3 * MIB + 1, PH_BLOCK_BYTES_MIN));
    for (uint32_t i = 0; i < map.count; i++)
        ph_block_hash(&i, sizeof i, ph_block_hash_at(&map, i));
    unsigned char *bytes = ph_block_map_encode(&map, &stamp, &size);
    assert_non_null(bytes);
    assert_int_equal(0, ph_block_map_decode(&again, &read, bytes, size));
    assert_memory_equal(&stamp, &read, sizeof stamp);
    ph_block_map_hash(&map, hash);
    ph_block_map_hash(&again, other);
    assert_string_equal(hash, other);
    assert_true(ph_block_same(&map, &again, map.count - 1));
    assert_false(ph_block_same(&map, &again, map.count));
    ph_block_hash_at(&again, 7)[0] ^= 1;
    assert_false(ph_block_same(&map, &again, 7));
    ph_block_map_hash(&again, other);
    assert_string_not_equal(hash, other);
    ph_block_map_fini(&again);
    /* Cut anywhere, or with any bit changed, it is none. */
    for (size_t cut = 0; cut < size; cut += 97)
        assert_int_equal(-EBADMSG, ph_block_map_decode(&again, &read, bytes, cut));
    for (size_t at = 0; at < size; at += 31) {
        bytes[at] ^= 4;
        assert_int_equal(-EBADMSG, ph_block_map_decode(&again, &read, bytes, size));
        bytes[at] ^= 4;
    }
    free(bytes);
    ph_block_map_fini(&map);
}

static void on_the_stream(void **state)
{
    struct ph_block_head head = {5 * MIB, PH_BLOCK_BYTES_MIN, true, 7, 9}, head_read;
    struct ph_block_answer answer = {PH_BLOCKS_HASHES, 80}, answer_read;
    struct ph_block_run run = {PH_RUN_DATA, 70, 10}, run_read;
    struct ph_block_map map;
    unsigned char bytes[PH_HEAD_BYTES];
    (void)state;
    ph_block_head_encode(&head, bytes);
    assert_int_equal(0, ph_block_head_decode(&head_read, bytes));
    assert_true(head_read.size == head.size && head_read.last && head_read.basis_epoch == 7 &&
                head_read.basis_sequence == 9 && head_read.block_bytes == head.block_bytes);
    bytes[0] ^= 1;
    assert_int_equal(-EBADMSG, ph_block_head_decode(&head_read, bytes));
    head.size = 0;
    ph_block_head_encode(&head, bytes);
    assert_int_equal(-EBADMSG, ph_block_head_decode(&head_read, bytes));

    ph_block_answer_encode(&answer, bytes);
    assert_int_equal(0, ph_block_answer_decode(&answer_read, 80, bytes));
    assert_int_equal(80, answer_read.count);
    assert_int_equal(-EBADMSG, ph_block_answer_decode(&answer_read, 79, bytes));
    answer.mode = PH_BLOCKS_AGREED; /* with hashes: makes no sense */
    ph_block_answer_encode(&answer, bytes);
    assert_int_equal(-EBADMSG, ph_block_answer_decode(&answer_read, 80, bytes));

    assert_int_equal(0, ph_block_map_init(&map, 5 * MIB, PH_BLOCK_BYTES_MIN)); /* 80 blocks */
    ph_block_run_encode(&run, bytes);
    assert_int_equal(0, ph_block_run_decode(&run_read, &map, bytes));
    const struct ph_block_run wrong[] = {{PH_RUN_DATA, 71, 10}, {PH_RUN_DATA, 80, 1},
        {PH_RUN_DATA, 0, 0}, {PH_RUN_DATA, 0, 17}, {PH_RUN_ZERO, 0, 81},
        {PH_RUN_ZERO, UINT32_MAX, 1}, {PH_RUN_ZERO, 1, UINT32_MAX}, {(enum ph_run_kind)4, 0, 1}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        ph_block_run_encode(&wrong[i], bytes);
        assert_int_equal(-EBADMSG, ph_block_run_decode(&run_read, &map, bytes));
    }
    ph_block_map_fini(&map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes),
        cmocka_unit_test(files),
        cmocka_unit_test(on_the_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
