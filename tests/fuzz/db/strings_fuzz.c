/* Lists of strings as the inventory keeps them: any bytes are refused or read within the promised room, and
 * what was read is written and read the same. Any bytes as text become the inside of a JSON string. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "db/strings.h"

/* Exactly the room that the header promises to be enough, so that ASan sees more. */
static bool read_list(const char *text, size_t bytes, char **out, char ***items, size_t *count)
{
    size_t used = 0;

    *out = malloc(bytes == 0 ? 1 : bytes);
    *items = malloc((bytes / 2 + 1) * sizeof **items);
    ph_assert(*out != NULL && *items != NULL);
    bool good = ph_strings_decode(text, bytes, *out, &used, *items, count);
    ph_assert(!good || used <= bytes);
    return good;
}

static void there_and_back(const char *data, size_t size)
{
    char *out, **items, *again, **same, *text;
    size_t count = 0, count_again = 0, bytes = 0;

    if (read_list(data, size, &out, &items, &count)) {
        const struct ph_texts texts = {.count = count, .items = items};
        text = ph_strings_encode(&texts, &bytes);
        ph_assert(text != NULL && strlen(text) == bytes);
        ph_assert(read_list(text, bytes, &again, &same, &count_again) && count == count_again);
        for (size_t i = 0; i < count; i++)
            ph_assert(!ph_utf8_valid(items[i], strlen(items[i])) || strcmp(items[i], same[i]) == 0);
        free(again);
        free(same);
        free(text);
    }
    free(out);
    free(items);
}

static void escaped(const char *data, size_t size)
{
    char *text = malloc(6 * size + 4), *out, **items;
    size_t count = 0;

    ph_assert(text != NULL);
    memcpy(text, "[\"", 2);
    size_t used = ph_strings_escape(data, size, text + 2);
    ph_assert(used <= 6 * size && ph_utf8_valid(text + 2, used));
    memcpy(text + 2 + used, "\"]", 2);
    ph_assert(read_list(text, used + 4, &out, &items, &count) && count == 1);
    free(out);
    free(items);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    there_and_back((const char *)data, size);
    escaped((const char *)data, size);
    return 0;
}
