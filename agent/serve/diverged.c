/* Data of former owners that newer copies replaced: what there is, and its removal on the manager's word. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/pools/diverged.h"
#include "agent/serve/shell.h"
#include "base/log.h"
#include "proto/message.h"

#define STACK_BYTES (512 * 1024)

void ph_diverged_tell(struct ph_shell *shell)
{
    struct ph_diverged_report list = {0};
    char *text = NULL;
    size_t bytes = 0;

    int rv = ph_diverged_find(shell->directory, &list.items);
    if (rv == 0 && (list.items.count > 0 || shell->diverged_told))
        rv = ph_message_encode(PH_MSG_DIVERGED_LIST, 0, &list, &text, &bytes);
    /* A lost one comes again with the next look. */
    if (rv == 0 && text != NULL && ph_wire_client_send(shell->wire, text, bytes, NULL, 0) == 0)
        shell->diverged_told = true;
    free(text);
    ph_record_fini(&ph_record_diverged_report, &list);
}

struct removal {
    struct ph_shell *shell; /* only its directory and mailbox */
    char name[129];
};

static void *run(void *argument)
{
    struct removal *removal = argument;
    struct ph_error error = {.code = PH_OK};
    int rv = ph_diverged_remove(removal->shell->directory, removal->name, &error);

    ph_log(rv == 0 ? PH_LOG_NOTICE : PH_LOG_ERROR,
        rv == 0 ? "diverged_removed" : "diverged_not_removed", "name=%s reason=%s", removal->name,
        rv == 0 ? "" : error.message);
    ph_mailbox_put(&removal->shell->mailbox, ph_note_new(PH_NOTE_DIVERGED));
    free(removal);
    return NULL;
}

void ph_diverged_start(struct ph_shell *shell, const char *name)
{
    pthread_attr_t attributes;
    pthread_t thread;
    struct removal *removal = shell->diverged_removal ? NULL : calloc(1, sizeof *removal);

    if (removal == NULL || pthread_attr_init(&attributes) != 0) {
        free(removal);
        return; /* one at a time; the manager asks again */
    }
    removal->shell = shell;
    ph_text_format(removal->name, sizeof removal->name, "%s", name);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    shell->diverged_removal = pthread_create(&thread, &attributes, run, removal) == 0;
    pthread_attr_destroy(&attributes);
    if (!shell->diverged_removal)
        free(removal);
}

void ph_diverged_done(struct ph_shell *shell)
{
    shell->diverged_removal = false;
    ph_diverged_tell(shell);
}
