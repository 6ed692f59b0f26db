/* Any frame: refused with a reason, or read into something that is written and read the same. */
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/codec.h"
#include "proto/message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ph_error error = {.code = PH_OK};
    struct ph_message message, again;
    size_t bytes;
    char *text;

    if (ph_message_decode((const char *)data, size, &message, &error) != 0) {
        ph_assert(message.body == NULL && message.id >= 0);
        ph_assert(error.code != PH_OK && error.message[0] != '\0');
        ph_assert(ph_utf8_valid(error.message, strlen(error.message)));
        return 0;
    }
    const struct ph_record *record = ph_messages[message.type].record;
    ph_assert(ph_record_check(record, message.body, &error) == 0);
    int rv = ph_message_encode(message.type, message.id, message.body, &text, &bytes);
    if (rv == 0) { /* else: longer than its type may be, with its defaults written out */
        ph_assert(ph_message_decode(text, bytes, &again, &error) == 0);
        ph_assert(again.type == message.type && again.id == message.id);
        ph_assert(ph_record_equal(record, message.body, again.body));
        ph_message_fini(&again);
        free(text);
    }
    ph_message_fini(&message);
    return 0;
}
