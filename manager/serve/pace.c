#include "manager/serve/pace.h"

#define WINDOW_MS 200
#define BEAT_SHARE 100
#define REST_MS_MAX 10
#define GATHERED_MIN 2 /* fewer than this in a rest: it would save nothing */

void serve_pace_count(struct serve_pace *pace, size_t messages, uint64_t now_ms)
{
    uint64_t took_ms = now_ms - pace->window_ms;

    if (took_ms >= WINDOW_MS) {
        pace->per_s = pace->count * 1000 / took_ms;
        pace->count = 0;
        pace->window_ms = now_ms;
    }
    pace->count += messages;
}

uint64_t serve_pace_rest_ms(const struct serve_pace *pace, uint64_t beat_ms)
{
    uint64_t rest_ms = beat_ms / BEAT_SHARE;

    rest_ms = rest_ms > REST_MS_MAX ? REST_MS_MAX : rest_ms < 1 ? 1 : rest_ms;
    return pace->per_s * rest_ms >= GATHERED_MIN * 1000 ? rest_ms : 0;
}
