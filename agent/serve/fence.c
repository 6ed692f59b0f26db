/* Fence agents for other nodes, each on a thread of its own; the answer goes straight to the manager. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/fence/run.h"
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/log.h"
#include "proto/message.h"

#define FENCES_MAX 16 /* agents at once; the manager tries again, here or elsewhere */
#define FENCE_STACK_BYTES (512 * 1024)

struct ph_fence_here {
    struct ph_shell *shell; /* only its mailbox */
    struct ph_fence_run run;
    struct ph_fence_ran ran;
};

static void here_destroy(struct ph_fence_here *here)
{
    ph_record_fini(&ph_record_fence_run, &here->run);
    ph_record_fini(&ph_record_fence_ran, &here->ran);
    free(here);
}

static void *run(void *argument)
{
    struct ph_fence_here *here = argument;
    ph_fence_carry_out(&here->run, &here->ran);
    struct ph_note *note = ph_note_new(PH_NOTE_FENCED);
    note->fenced = here;
    ph_mailbox_put(&here->shell->mailbox, note);
    return NULL;
}

static void answer(struct ph_shell *shell, const struct ph_fence_ran *ran)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(PH_MSG_FENCE_RAN, 0, ran, &text, &bytes);
    if (rv == 0)
        rv = ph_wire_client_send(shell->wire, text, bytes, NULL, 0);
    free(text);
    ph_log(PH_LOG_NOTICE, "fence_answer",
        "node=%s device=%s action=%s power=%s took_ms=%lld number=%lld sent=%s reason=%s",
        ran->node, ran->device, ph_enum_word(&ph_enum_fence_action, (int)ran->action),
        ph_enum_word(&ph_enum_power_state, (int)ran->power), (long long)ran->took_ms,
        (long long)ran->number, rv == 0 ? "yes" : strerror(-rv), ran->reason ? ran->reason : "");
}

static int start(struct ph_fence_here *here)
{
    pthread_attr_t attributes;
    pthread_t thread;
    int rv = pthread_attr_init(&attributes);
    if (rv != 0)
        return -rv;
    rv = pthread_attr_setstacksize(&attributes, FENCE_STACK_BYTES);
    if (rv == 0)
        rv = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (rv == 0)
        rv = pthread_create(&thread, &attributes, run, here);
    pthread_attr_destroy(&attributes);
    return -rv;
}

void ph_fence_start(struct ph_shell *shell, const struct ph_fence_run *asked)
{
    struct ph_fence_here *here = calloc(1, sizeof(*here));
    ph_assert(here && ph_record_copy(&ph_record_fence_run, &here->run, asked) == 0);
    here->shell = shell;
    ph_log(PH_LOG_NOTICE, "fence_call", "node=%s device=%s agent=%s action=%s number=%lld",
        asked->node, asked->device, asked->agent,
        ph_enum_word(&ph_enum_fence_action, (int)asked->action), (long long)asked->number);
    int rv = shell->fence_count >= FENCES_MAX ? -EAGAIN : start(here);
    if (rv == 0) {
        shell->fence_count++;
        return;
    }
    ph_fence_refuse(&here->run, &here->ran, "%s runs %zu fence agents already, or %s",
        shell->identity.name, shell->fence_count, strerror(-rv));
    answer(shell, &here->ran);
    here_destroy(here);
}

void ph_fence_done(struct ph_shell *shell, struct ph_fence_here *here)
{
    shell->fence_count--;
    answer(shell, &here->ran);
    here_destroy(here);
}
