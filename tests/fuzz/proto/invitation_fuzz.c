/* Any word as an invitation; and, since few words are base64, any bytes in one. */
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "proto/keys.h"

static void read_token(const char *token)
{
    struct ph_invitation invitation, again;
    struct ph_error error = {.code = PH_OK};
    char printed[PH_TOKEN_BYTES_MAX + 1];

    if (ph_invitation_read(token, &invitation, &error) != 0) {
        ph_assert(error.code != PH_OK && error.message[0] != '\0');
        return;
    }
    if (ph_invitation_print(&invitation, printed, sizeof printed) == 0) {
        ph_assert(ph_invitation_read(printed, &again, &error) == 0);
        ph_assert(memcmp(&invitation, &again, sizeof again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;

    if (size > 4096)
        return 0;
    char *token = malloc(size + 1);
    ph_assert(token != NULL);
    memcpy(token, data, size);
    token[size] = '\0';
    read_token(token);
    free(token);

    size_t room = 4 + sodium_base64_encoded_len(size, variant);
    token = malloc(room);
    ph_assert(token != NULL);
    memcpy(token, "ph1.", 4);
    sodium_bin2base64(token + 4, room - 4, data, size, variant);
    read_token(token);
    free(token);
    return 0;
}
