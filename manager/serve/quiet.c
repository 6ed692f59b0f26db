#include "manager/serve/quiet.h"

#define WINDOW_MS 10000
#define LINES 10

bool serve_quiet_pass(struct serve_quiet *quiet, uint64_t now_ms, unsigned *kept_out)
{
    quiet->total++;
    *kept_out = 0;
    if (quiet->said == 0 || now_ms - quiet->window_ms >= WINDOW_MS) {
        quiet->window_ms = now_ms;
        quiet->said = 0;
        *kept_out = quiet->kept;
        quiet->kept = 0;
    }
    if (quiet->said >= LINES) {
        quiet->kept++;
        return false;
    }
    quiet->said++;
    return true;
}
