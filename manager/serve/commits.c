#include "manager/serve/commits.h"

#include "base/text.h"

void serve_commits_init(struct serve_commits *commits, struct serve_wakeup *wakeup)
{
    *commits = (struct serve_commits){.wakeup = wakeup};
    pthread_mutex_init(&commits->lock, NULL);
}

void serve_commits_fini(struct serve_commits *commits)
{
    pthread_mutex_destroy(&commits->lock);
}

void serve_commits_done(
    void *context, uint64_t batch_number, enum ph_store_result result, const char *message)
{
    struct serve_commits *commits = context;

    pthread_mutex_lock(&commits->lock);
    if (commits->failed == 0) {
        if (result == PH_STORE_OK) {
            commits->done = batch_number;
        } else {
            /* What comes after it stands on ground that is not there: it never counts. */
            commits->failed = batch_number;
            commits->result = result;
            ph_text_format(commits->message, sizeof commits->message, "%s",
                message != NULL && message[0] != '\0' ? message : "no reason given");
        }
    }
    pthread_mutex_unlock(&commits->lock);
    if (commits->wakeup != NULL) {
        serve_wakeup_ring(commits->wakeup);
    }
}

bool serve_commits_look(
    struct serve_commits *commits, uint64_t *done_out, enum ph_store_result *result, char *message)
{
    bool good;

    pthread_mutex_lock(&commits->lock);
    *done_out = commits->done;
    good = commits->failed == 0;
    if (!good) {
        *result = commits->result;
        ph_text_format(message, sizeof commits->message, "%s", commits->message);
    }
    pthread_mutex_unlock(&commits->lock);
    return good;
}
