/*
 * One event into the core, and what comes out of it: saves into the open batch, grants at once, the
 * rest into the outbox behind that batch.
 */
#include "manager/serve/manager.h"

#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "base/clock.h"

/* While one batch is in fsync the next is filled, so that commits are grouped all the same and a batch
 * never follows one that turns out to have been refused. */
#define BATCHES_UNDER_WAY 1

uint64_t serve_now_ms(struct serve_manager *manager)
{
    uint64_t now_ms = ph_clock_boot_ms();

    if (now_ms > manager->now_ms) {
        manager->now_ms = now_ms;
    }
    return manager->now_ms;
}

void serve_peer_remember(
    struct serve_manager *manager, const char *node, const struct ph_wire_peer *peer)
{
    struct serve_peer *known = ph_map_get(&manager->peers, node);

    if (known == NULL) {
        known = calloc(1, sizeof *known);
        if (known == NULL) {
            return; /* its answers are lost, as they are while it is not connected */
        }
        ph_text_format(known->node, sizeof known->node, "%s", node);
        if (ph_map_put(&manager->peers, known->node, known) != 0) {
            free(known);
            return;
        }
    }
    known->peer = *peer;
}

/* Operators read from these lines alone why a pool moved; they are the events of the inventory. */
static void event_log(const struct ph_event *event)
{
    static const enum ph_log_level levels[] = {
        [PH_EVENT_INFO] = PH_LOG_NOTICE,
        [PH_EVENT_WARNING] = PH_LOG_WARNING,
        [PH_EVENT_ERROR] = PH_LOG_ERROR,
    };

    ph_log(levels[event->level], event->kind,
        "event=%lld pool=%s node=%s epoch=%lld term=%lld job=%lld who=%s text=%s",
        (long long)event->id, event->pool, event->node, (long long)event->epoch,
        (long long)event->term, (long long)event->job, event->who,
        event->message != NULL ? event->message : "");
}

static void batch_take(struct serve_manager *manager, const struct ph_effect *effect)
{
    int rv;

    if (manager->batch == NULL) {
        manager->batch = ph_batch_new();
    }
    if (manager->batch == NULL) {
        manager->failed = true;
        return;
    }
    rv = effect->kind == PH_EF_SAVE
             ? ph_batch_save(manager->batch, effect->record, effect->value)
             : ph_batch_remove(manager->batch, effect->record, effect->value);
    if (rv != 0) {
        ph_log(
            PH_LOG_ERROR, "row_refused", "record=%s text=%s", effect->record->name, strerror(-rv));
        manager->failed = true; /* half a batch must not be committed */
        return;
    }
    if (effect->kind == PH_EF_SAVE && effect->record == &ph_record_event) {
        event_log(effect->value);
    }
}

/* The batch everything saved so far is in. */
static uint64_t batch_number(const struct serve_manager *manager)
{
    bool open = manager->batch != NULL && !ph_batch_empty(manager->batch);

    return manager->submitted + (open ? 1 : 0);
}

static int invited_complete(
    struct serve_manager *manager, const struct serve_request *request, struct ph_invited *invited)
{
    struct ph_invitation invitation = {.expires_at = invited->expires};
    char token[PH_TOKEN_BYTES_MAX + 1];
    const char *advertise = manager->settings.file.advertise;
    int rv;

    if (advertise != NULL) {
        ph_text_format(invitation.endpoint, sizeof invitation.endpoint, "%s", advertise);
    } else {
        serve_endpoint_reachable(ph_wire_server_endpoint(manager->wire), true, invitation.endpoint,
            sizeof invitation.endpoint);
    }
    ph_text_format(invitation.manager_key, sizeof invitation.manager_key, "%s",
        manager->house.manager.public_key);
    ph_text_format(invitation.name, sizeof invitation.name, "%s", request->name);
    ph_text_format(invitation.secret, sizeof invitation.secret, "%s", invited->secret);
    rv = ph_invitation_print(&invitation, token, sizeof token);
    return rv != 0 ? rv : ph_set_text(&invited->token, token);
}

/* What only the shell knows of an answer. */
static void answer_complete(struct serve_manager *manager, const struct serve_request *request,
    enum ph_message_type type, void *body)
{
    int rv = 0;

    if (type == PH_MSG_INVITED) {
        rv = invited_complete(manager, request, body);
    } else if (type == PH_MSG_STATUS_SHOWN) {
        rv = ph_set_text(&((struct ph_status_shown *)body)->version, PH_VERSION);
    }
    if (rv != 0) {
        ph_log(PH_LOG_ERROR, "answer_incomplete", "type=%s text=%s", ph_messages[type].type,
            strerror(-rv));
    }
}

/* Who knocks with a bad invitation is worth a line. */
static void join_log(struct serve_manager *manager, const struct serve_request *request,
    const struct ph_problem *problem)
{
    unsigned kept;

    if (serve_quiet_pass(&manager->quiet_unknown, manager->now_ms, &kept)) {
        ph_log(PH_LOG_WARNING, "join_refused", "name=%s key=%s before=%u text=%s", request->name,
            request->peer.public_key, kept, problem->message);
    }
}

static void letter_take(struct serve_manager *manager, struct ph_effect *effect)
{
    struct serve_request request = {0};
    struct serve_letter *letter;

    if (effect->kind == PH_EF_ANSWER) {
        if (!serve_request_take(&manager->requests, effect->request, &request)) {
            return; /* answered before: the inventory failed */
        }
        if (request.type == PH_MSG_JOIN && effect->type == PH_MSG_PROBLEM) {
            join_log(manager, &request, effect->value);
        }
        answer_complete(manager, &request, effect->type, effect->value);
    }
    letter = serve_outbox_add(&manager->outbox);
    if (letter == NULL) {
        manager->failed = true;
        return;
    }
    letter->after = batch_number(manager);
    letter->kind = effect->kind;
    letter->type = effect->type;
    letter->body = effect->value;
    effect->value = NULL;
    ph_text_format(letter->node, sizeof letter->node, "%s", effect->node);
    if (effect->kind == PH_EF_ANSWER) {
        letter->id = request.id;
        letter->has_peer = true;
        letter->peer = request.peer;
    } else if (manager->current_node != NULL && strcmp(manager->current_node, effect->node) == 0) {
        letter->has_peer = true; /* of two agents under one name, the one that asked */
        letter->peer = *manager->current_peer;
    }
}

void serve_effects(struct serve_manager *manager)
{
    size_t i;

    for (i = 0; i < manager->effects.count; i++) {
        struct ph_effect *effect = &manager->effects.items[i];

        switch (effect->kind) {
        case PH_EF_SAVE:
        case PH_EF_REMOVE:
            batch_take(manager, effect);
            break;
        case PH_EF_GRANT:
            serve_send_node(manager, effect->node,
                manager->current_node != NULL && strcmp(manager->current_node, effect->node) == 0
                    ? manager->current_peer
                    : NULL,
                effect->type, effect->value);
            break;
        case PH_EF_SEND:
        case PH_EF_ANSWER:
        case PH_EF_FENCE:
            letter_take(manager, effect);
            break;
        }
    }
    ph_effects_clear(&manager->effects);
}

void serve_step(struct serve_manager *manager, struct ph_event_in *event)
{
    event->now_ms = serve_now_ms(manager);
    event->wall_ms = ph_clock_wall_ms();
    if (manager->failed) {
        return;
    }
    if (ph_core_step(manager->core, event, &manager->effects) != 0) {
        manager->failed = true;
        return;
    }
    serve_effects(manager);
}

void serve_submit(struct serve_manager *manager)
{
    if (manager->failed || manager->batch == NULL || ph_batch_empty(manager->batch) ||
        manager->submitted - manager->durable >= BATCHES_UNDER_WAY) {
        return;
    }
    manager->submitted++;
    ph_assert(ph_store_commit(manager->store, &manager->batch) == manager->submitted);
}
