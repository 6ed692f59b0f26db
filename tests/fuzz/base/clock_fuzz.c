/* Any text as a time: refused, or a time that is printed and read the same. */
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "base/clock.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const int64_t now_ms = 1769860800123;
    char *text = malloc(size + 1), shown[32], printable[64];
    int64_t ms, again;

    ph_assert(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (ph_clock_parse_wall(text, now_ms, &ms) == 0) {
        ph_clock_format_wall(ms, shown, sizeof shown);
        /* Years below 0 or above 9999 come from zones and long spans, and have no such form. */
        if (shown[4] == '-')
            ph_assert(ph_clock_parse_wall(shown, 0, &again) == 0 && again == ms);
    }
    ph_text_printable(printable, sizeof printable, text);
    ph_assert(ph_utf8_valid(printable, strlen(printable)));
    ph_name_valid(text);
    free(text);
    return 0;
}
