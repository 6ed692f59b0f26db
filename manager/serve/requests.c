#include "manager/serve/requests.h"

#include <stdlib.h>
#include <string.h>

struct serve_request *serve_request_add(struct serve_requests *requests)
{
    struct serve_request *request;

    if (requests->count == requests->room) {
        size_t room = requests->room == 0 ? 16 : requests->room * 2;
        struct serve_request *grown;

        if (requests->count >= SERVE_REQUESTS_MAX ||
            (grown = realloc(requests->items, room * sizeof *grown)) == NULL) {
            return NULL;
        }
        requests->items = grown;
        requests->room = room;
    }
    request = &requests->items[requests->count++];
    memset(request, 0, sizeof *request);
    request->handle = ++requests->last_handle;
    return request;
}

bool serve_request_take(
    struct serve_requests *requests, uint64_t handle, struct serve_request *request_out)
{
    size_t i = requests->count;

    /* Nearly always the newest: the core answers most requests in the step they came in. */
    while (i > 0 && requests->items[i - 1].handle != handle) {
        i--;
    }
    if (i == 0) {
        return false;
    }
    *request_out = requests->items[i - 1];
    requests->count--;
    memmove(&requests->items[i - 1], &requests->items[i],
        (requests->count - (i - 1)) * sizeof requests->items[0]);
    return true;
}

void serve_requests_fini(struct serve_requests *requests)
{
    free(requests->items);
    *requests = (struct serve_requests){0};
}
