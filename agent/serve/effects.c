/* Performs what the core wants, in its order: what stands behind a save waits for the save. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/message.h"

void ph_shell_end(struct ph_shell *shell, enum ph_code code, const char *reason)
{
    if (shell->ending)
        return;
    shell->ending = true;
    shell->exit_code = (int)code;
    ph_text_format(shell->ending_reason, sizeof(shell->ending_reason), "%s", reason);
}

static void send_message(struct ph_shell *shell, const struct ph_agent_effect *effect)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(effect->type, 0, effect->value, &text, &bytes);
    if (rv == 0)
        rv = effect->kind == PH_AF_SEND_PEER
                 ? ph_peers_send(shell, effect->peer, text, bytes)
                 : ph_wire_client_send(shell->wire, text, bytes, NULL, 0);
    free(text);
    /* -EAGAIN: not connected. Everything that matters is sent again by the core. */
    if (rv != 0 && rv != -EAGAIN)
        ph_log(PH_LOG_WARNING, "send_failed", "type=%s error=%s", ph_messages[effect->type].type,
            strerror(-rv));
}

static void hold_lease(struct ph_shell *shell, const struct ph_agent_effect *effect)
{
    struct ph_lease_page *page = shell->guard ? ph_guard_page(shell->guard) : NULL;
    if (!page)
        return;
    uint64_t now_ms = ph_clock_boot_ms();
    int rv = ph_lease_extend(page, effect->generation, effect->deadline_ms, now_ms);
    if (rv == -ESTALE && atomic_load(&page->generation) < effect->generation) {
        rv = ph_lease_begin(page, effect->generation, effect->deadline_ms);
        if (rv == 0)
            ph_log(PH_LOG_NOTICE, "lease_begun", "node=%s generation=%lld", shell->identity.name,
                (long long)effect->generation);
    }
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "lease_not_extended", "node=%s generation=%lld error=%s",
            shell->identity.name, (long long)effect->generation, strerror(-rv));
}

/* Refusing everybody must wait for receives under way, so it is done on the thread of the task that
 * needs it (steps.c); accepting is quick. */
static void allow(struct ph_shell *shell, const struct ph_order *order)
{
    int rv = order->kind == PH_ORDER_HOLD ? ph_stream_server_allow(shell->streams, order) : 0;
    if (rv != 0)
        ph_log(PH_LOG_ERROR, "allow_failed", "pool=%s error=%s", order->pool.name, strerror(-rv));
}

static void note(const struct ph_agent_effect *effect)
{
    enum ph_log_level level = effect->level == PH_EVENT_ERROR     ? PH_LOG_ERROR
                              : effect->level == PH_EVENT_WARNING ? PH_LOG_WARNING
                                                                  : PH_LOG_NOTICE;
    ph_log(level, "core", "message=%s", effect->text ? effect->text : "");
}

static void perform(struct ph_shell *shell, struct ph_agent_effect *effect)
{
    switch (effect->kind) {
    case PH_AF_SEND:
    case PH_AF_SEND_PEER:
        send_message(shell, effect);
        break;
    case PH_AF_TASK: {
        struct ph_task *task = effect->task;
        effect->task = NULL;
        int rv = ph_tasks_start(shell, task);
        if (rv != 0)
            ph_shell_end(shell, PH_FAILED, "no thread could be started for a task");
        break;
    }
    case PH_AF_ALLOW:
        allow(shell, effect->value);
        break;
    case PH_AF_FENCE:
        ph_fence_start(shell, effect->value);
        break;
    case PH_AF_DIVERGED:
        ph_diverged_start(shell, effect->text);
        break;
    case PH_AF_PEERS:
        ph_peers_set(shell, effect->value);
        break;
    case PH_AF_CANCEL:
        ph_tasks_cancel(shell, effect->number);
        break;
    case PH_AF_NOTE:
        note(effect);
        break;
    case PH_AF_END:
        ph_shell_end(shell, shell->leaving ? PH_OK : PH_FAILED,
            effect->text ? effect->text : "the core asked for it");
        break;
    case PH_AF_LEASE:
        hold_lease(shell, effect);
        break;
    case PH_AF_SAVE:
    case PH_AF_REMOVE:
        break;
    }
}

/* Moves an effect behind the batch that it waits for. */
static void defer(struct ph_shell *shell, struct ph_agent_effect *effect, uint64_t batch)
{
    struct ph_agent_effects *deferred = &shell->deferred;
    if (deferred->count == deferred->room) {
        size_t room = deferred->room ? deferred->room * 2 : 64;
        struct ph_agent_effect *items = realloc(deferred->items, room * sizeof(*items));
        ph_assert(items);
        deferred->items = items;
        deferred->room = room;
    }
    if (deferred->room > shell->deferred_room) {
        uint64_t *after = realloc(shell->deferred_after, deferred->room * sizeof(*after));
        ph_assert(after);
        shell->deferred_after = after;
        shell->deferred_room = deferred->room;
    }
    shell->deferred_after[deferred->count] = batch;
    deferred->items[deferred->count++] = *effect;
    memset(effect, 0, sizeof(*effect)); /* owns nothing any more */
}

static bool save(struct ph_shell *shell)
{
    struct ph_batch *batch = ph_batch_new();
    int rv = batch ? 0 : -ENOMEM;
    for (size_t i = 0; rv == 0 && i < shell->effects.count; i++) {
        const struct ph_agent_effect *effect = &shell->effects.items[i];
        if (effect->kind == PH_AF_SAVE)
            rv = ph_batch_save(batch, effect->record, effect->value);
        else if (effect->kind == PH_AF_REMOVE)
            rv = ph_batch_remove(batch, effect->record, effect->value);
    }
    ph_assert(rv == 0); /* out of memory: the restarted agent adopts what runs */
    bool any = !ph_batch_empty(batch);
    if (any)
        shell->queued = ph_store_commit(shell->store, &batch);
    ph_batch_destroy(&batch);
    return any;
}

void ph_shell_step(struct ph_shell *shell, struct ph_agent_event *event)
{
    event->now_ms = ph_clock_boot_ms();
    event->wall_ms = ph_clock_wall_ms();
    ph_agent_effects_clear(&shell->effects);
    int rv = ph_agent_step(shell->core, event, &shell->effects);
    ph_assert(rv == 0); /* out of memory only */
    save(shell);
    for (size_t i = 0; i < shell->effects.count; i++) {
        struct ph_agent_effect *effect = &shell->effects.items[i];
        if (effect->kind == PH_AF_SAVE || effect->kind == PH_AF_REMOVE)
            continue;
        bool at_once =
            effect->at_once || effect->kind == PH_AF_NOTE || effect->kind == PH_AF_CANCEL;
        if (at_once || shell->queued == shell->committed)
            perform(shell, effect);
        else
            defer(shell, effect, shell->queued);
    }
    ph_facts_tell_guard(shell, false);
}

void ph_shell_committed(struct ph_shell *shell, const struct ph_note *note)
{
    if (note->result != PH_STORE_OK) {
        ph_log(
            PH_LOG_ERROR, "save_failed", "node=%s reason=%s", shell->identity.name, note->message);
        ph_shell_end(shell, PH_FAILED,
            "the agent's own database could not be written; its workloads run on until the lease "
            "ends");
        return;
    }
    shell->committed = note->batch;
    size_t ready = 0;
    while (ready < shell->deferred.count && shell->deferred_after[ready] <= shell->committed)
        ready++;
    for (size_t i = 0; i < ready; i++)
        perform(shell, &shell->deferred.items[i]);
    if (ready == 0)
        return;
    struct ph_agent_effects done = {ready, ready, shell->deferred.items};
    size_t left = shell->deferred.count - ready;
    struct ph_agent_effect *rest = NULL;
    if (left > 0) {
        rest = malloc(shell->deferred.room * sizeof(*rest));
        ph_assert(rest);
        memcpy(rest, shell->deferred.items + ready, left * sizeof(*rest));
        memmove(shell->deferred_after, shell->deferred_after + ready, left * sizeof(uint64_t));
    }
    shell->deferred.items = rest;
    shell->deferred.count = left;
    shell->deferred.room = rest ? shell->deferred.room : 0;
    ph_agent_effects_fini(&done);
}
