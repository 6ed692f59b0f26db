/* Any text as an endpoint: what is accepted has an address, a port and a length that is in the limits. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "base/text.h"
#include "proto/wire/wire_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    struct ph_error error = {.code = PH_OK};

    ph_assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    for (int listen = 0; listen < 2; listen++) {
        if (ph_wire_endpoint_check(text, listen == 1, &error) == 0) {
            const char *colon = strrchr(text, ':');
            ph_assert(strlen(text) <= PH_ENDPOINT_BYTES_MAX && strncmp(text, "tcp://", 6) == 0);
            ph_assert(colon > text + 6 && strpbrk(text + 6, "/;@ \t\r\n") == NULL);
            if (listen == 0 || colon[1] != '*')
                ph_assert(strtol(colon + 1, NULL, 10) >= 1 - listen &&
                          strtol(colon + 1, NULL, 10) <= 65535);
        } else {
            ph_assert(error.message[0] != '\0');
            ph_assert(ph_utf8_valid(error.message, strlen(error.message)));
        }
    }
    if (ph_wire_key_check(text, "key", &error) == 0)
        ph_assert(strlen(text) == PH_KEY_BYTES);
    free(text);
    return 0;
}
