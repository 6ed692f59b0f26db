/* The first byte chooses a record, the rest is its JSON text; odd: a seed for a random value of it,
 * which must come back the same. */
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/codec.h"
#include "tests/unit/proto/random_record.h"

static void there_and_back(const struct ph_record *record, const void *value)
{
    void *back = calloc(1, record->size), *copy = ph_record_new_copy(record, value);
    struct ph_error error;
    size_t bytes;
    char *text;

    ph_assert(back != NULL && copy != NULL);
    ph_assert(ph_record_equal(record, value, copy));
    ph_assert(ph_encode(record, value, PH_ENCODE_WIRE, &text, &bytes) == 0);
    ph_assert(ph_decode(record, text, bytes, back, &error) == 0);
    ph_assert(ph_record_equal(record, value, back));
    free(text);
    ph_assert(ph_encode(record, value, PH_ENCODE_SHOWN, &text, &bytes) == 0);
    free(text);
    ph_record_destroy(record, &back);
    ph_record_destroy(record, &copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_error error = {.code = PH_OK};

    if (size < 2)
        return 0;
    const struct ph_record *record = every_record[data[0] % EVERY_RECORD];
    void *value = calloc(1, record->size);
    ph_assert(value != NULL);
    if (data[1] % 2 == 1 && size >= 10) {
        struct random_source source = {1};
        memcpy(&source.state, data + 2, sizeof source.state);
        source.state |= 1;
        random_record(&source, record, value, 0);
        ph_assert(ph_record_check(record, value, &error) == 0);
        there_and_back(record, value);
    } else if (ph_decode(record, (const char *)data + 2, size - 2, value, &error) == 0) {
        ph_assert(ph_record_check(record, value, &error) == 0);
        there_and_back(record, value);
    } else {
        for (size_t i = 0; i < record->size; i++)
            ph_assert(((const char *)value)[i] == 0); /* left empty */
        ph_assert(ph_utf8_valid(error.message, strlen(error.message)));
    }
    ph_record_destroy(record, &value);
    return 0;
}
