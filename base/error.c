#include "poolherd/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include "base/text.h"

static const struct {
    const char *name;
    int error;
} codes[] = {
    [PH_OK] = {"ok", 0},
    [PH_FAILED] = {"failed", -EIO},
    [PH_BAD_INPUT] = {"bad_input", -EINVAL},
    [PH_UNREACHED] = {"unreached", -ETIMEDOUT},
    [PH_NOT_ALLOWED] = {"not_allowed", -EPERM},
    [PH_NOT_FOUND] = {"not_found", -ENOENT},
    [PH_STATE_FORBIDS] = {"state_forbids", -EBUSY},
};
#define CODES (sizeof codes / sizeof codes[0])

const char *ph_code_name(enum ph_code code)
{
    return (size_t)code < CODES ? codes[code].name : codes[PH_FAILED].name;
}

enum ph_code ph_code_from_name(const char *name)
{
    for (size_t i = 0; name != NULL && i < CODES; i++) {
        if (strcmp(codes[i].name, name) == 0)
            return (enum ph_code)i;
    }
    return PH_FAILED;
}

int ph_error_set(
    struct ph_error *error, enum ph_code code, const char *field, const char *format, ...)
{
    if (error != NULL) {
        va_list arguments;
        /* The arguments may point into *error: fill a copy. */
        struct ph_error next = {.code = code};
        ph_text_format(next.field, sizeof next.field, "%s", field != NULL ? field : "");
        va_start(arguments, format);
        ph_text_vformat(next.message, sizeof next.message, format, arguments);
        va_end(arguments);
        if (next.message[0] == '\0' && code != PH_OK)
            ph_text_format(next.message, sizeof next.message, "%s", ph_code_name(code));
        *error = next;
    }
    return (size_t)code < CODES ? codes[code].error : -EIO;
}
