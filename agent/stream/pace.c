#include "agent/stream/pace.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "poolherd/limits.h"

#define BUCKET_MS 200

struct ph_pace {
    struct ph_pace *next;
    char name[PH_NAME_BYTES_MAX + 1];
    int users;
    int64_t kib_s;
    int64_t bytes; /* left; below 0: more was sent than there was */
    uint64_t at_ms;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ph_pace *paces; /* few: of pools being copied */

struct ph_pace *ph_pace_get(const char *name, int64_t kib_s)
{
    struct ph_pace *pace;

    pthread_mutex_lock(&lock);
    for (pace = paces; pace != NULL && strcmp(pace->name, name) != 0; pace = pace->next)
        ;
    if (pace == NULL && (pace = calloc(1, sizeof *pace)) != NULL) {
        ph_text_format(pace->name, sizeof pace->name, "%s", name);
        pace->next = paces;
        paces = pace;
    }
    if (pace != NULL) {
        pace->users++;
        pace->kib_s = kib_s;
    }
    pthread_mutex_unlock(&lock);
    return pace;
}

void ph_pace_release(struct ph_pace **pace)
{
    struct ph_pace *held = *pace;

    *pace = NULL;
    if (held == NULL)
        return;
    pthread_mutex_lock(&lock);
    if (--held->users == 0) {
        struct ph_pace **link = &paces;
        while (*link != held)
            link = &(*link)->next;
        *link = held->next;
        free(held);
    }
    pthread_mutex_unlock(&lock);
}

int64_t ph_pace_room(struct ph_pace *pace, uint64_t now_ms, int64_t wanted)
{
    int64_t room = wanted;

    if (pace == NULL)
        return room;
    pthread_mutex_lock(&lock);
    if (pace->kib_s > 0) {
        int64_t full = pace->kib_s * 1024 * BUCKET_MS / 1000;
        uint64_t span_ms = now_ms > pace->at_ms ? now_ms - pace->at_ms : 0;
        /* A debt is one chunk at most; after so long a pause it is paid whatever the rate. */
        int64_t earned =
            span_ms > 3600 * 1000 ? full : pace->kib_s * 1024 * (int64_t)span_ms / 1000;

        if (earned > 0 || pace->at_ms == 0) {
            pace->bytes =
                pace->at_ms == 0 || pace->bytes + earned > full ? full : pace->bytes + earned;
            pace->at_ms = now_ms;
        }
        if (pace->bytes < room)
            room = pace->bytes > 0 ? pace->bytes : 0;
    }
    pthread_mutex_unlock(&lock);
    return room;
}

void ph_pace_spend(struct ph_pace *pace, int64_t bytes)
{
    if (pace == NULL)
        return;
    pthread_mutex_lock(&lock);
    pace->bytes -= bytes;
    pthread_mutex_unlock(&lock);
}
