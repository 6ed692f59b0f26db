/* What holds for every record, over many seeds: reading what was written gives the same. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include "proto/codec.h"
#include "proto/message.h"
#include "random_record.h"

enum { SEEDS = 300 };

static void check_one(const struct ph_record *record, uint64_t seed)
{
    struct random_source source = {seed * 7919 + 1};
    void *value = calloc(1, record->size), *back = calloc(1, record->size), *copy;
    struct ph_error error = {.message = ""};
    size_t bytes, bytes_again;
    char *text, *again;

    random_record(&source, record, value, 0);
    if (ph_record_check(record, value, &error) != 0)
        fail_msg("%s seed %llu: %s: %s", record->name, (unsigned long long)seed, error.field,
            error.message);
    assert_int_equal(ph_encode(record, value, PH_ENCODE_WIRE, &text, &bytes), 0);
    assert_int_equal(strlen(text), bytes);
    if (ph_decode(record, text, bytes, back, &error) != 0)
        fail_msg("%s seed %llu: %s: %s in %s", record->name, (unsigned long long)seed, error.field,
            error.message, text);
    if (!ph_record_equal(record, value, back))
        fail_msg(
            "%s seed %llu: another value from %s", record->name, (unsigned long long)seed, text);
    assert_int_equal(ph_encode(record, back, PH_ENCODE_WIRE, &again, &bytes_again), 0);
    assert_string_equal(text, again);

    copy = ph_record_new_copy(record, value);
    assert_non_null(copy);
    assert_true(ph_record_equal(record, value, copy));
    assert_int_equal(ph_record_copy(record, back, copy), 0); /* over one that owns memory */
    assert_int_equal(ph_record_copy(record, back, back), 0);
    assert_true(ph_record_equal(record, value, back));
    ph_record_destroy(record, &copy);
    assert_null(copy);

    /* Shown: still JSON that can be read, unless a secret was required. */
    free(again);
    assert_int_equal(ph_encode(record, value, PH_ENCODE_SHOWN, &again, &bytes_again), 0);
    bool secrets = false;
    for (size_t i = 0; i < record->field_count; i++)
        secrets = secrets || (record->fields[i].flags & PH_SECRET) != 0;
    if (!secrets) {
        /* An optional number below its least was absent; shown as 0, it is not readable. */
        int rv = ph_decode(record, again, bytes_again, back, &error);
        if (rv == 0)
            assert_true(ph_record_equal(record, value, back));
        else
            assert_non_null(strstr(error.message, "must be"));
    }
    free(text);
    free(again);
    ph_record_fini(record, back);
    free(back);
    ph_record_destroy(record, &value);
}

static void every_record_there_and_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_RECORD; i++) {
        for (uint64_t seed = 0; seed < SEEDS; seed++)
            check_one(every_record[i], seed);
    }
}

static void every_message_there_and_back(void **state)
{
    (void)state;
    for (int type = 0; type < PH_MESSAGE_TYPES; type++) {
        const struct ph_record *record = ph_messages[type].record;
        assert_int_equal(ph_message_type_find(ph_messages[type].type), type);
        for (uint64_t seed = 0; seed < 50; seed++) {
            struct random_source source = {seed * 104729 + 3};
            void *body = calloc(1, record->size);
            struct ph_message message;
            struct ph_error error;
            size_t bytes;
            char *text;
            random_record(&source, record, body, 0);
            int64_t id = random_int(&source, 0, INT64_MAX);
            int rv = ph_message_encode((enum ph_message_type)type, id, body, &text, &bytes);
            if (rv == 0) {
                assert_true(bytes <= ph_messages[type].bytes_max);
                assert_int_equal(ph_message_decode(text, bytes, &message, &error), 0);
                assert_int_equal(message.type, type);
                assert_true(message.id == id);
                assert_true(ph_record_equal(record, body, message.body));
                ph_message_fini(&message);
                free(text);
            } else {
                assert_int_equal(rv, -EMSGSIZE);
            }
            ph_record_destroy(record, &body);
        }
    }
}

/* Every beginning of a good text is refused, and nothing leaks or crashes. */
static void cut_texts_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < EVERY_RECORD; i++) {
        const struct ph_record *record = every_record[i];
        struct random_source source = {i + 11};
        void *value = calloc(1, record->size);
        struct ph_error error;
        size_t bytes;
        char *text;
        random_record(&source, record, value, 1);
        assert_int_equal(ph_encode(record, value, PH_ENCODE_WIRE, &text, &bytes), 0);
        for (size_t cut = 0; cut < bytes; cut += 1 + cut / 64) {
            assert_int_equal(ph_decode(record, text, cut, value, &error), -EINVAL);
            assert_int_equal(error.code, PH_BAD_INPUT);
            assert_true(error.message[0] != '\0');
        }
        free(text);
        ph_record_destroy(record, &value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_record_there_and_back),
        cmocka_unit_test(every_message_there_and_back), cmocka_unit_test(cut_texts_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
