/*
 * Out of the door. Nothing waits for a peer: what cannot be delivered is dropped, since agents are
 * told again (docs/conversation.md) and people ask again.
 */
#include "manager/serve/manager.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* Answers that list things may be megabytes: they are put into text by a worker. */
static bool answer_large(enum ph_message_type type)
{
    return ph_messages[type].bytes_max > 1024 * 1024 && type != PH_MSG_ORDER;
}

#define RESULT_BLOCKED_MS 30000 /* then the asker is given up */

static void unsent_log(struct serve_manager *manager, const char *to, const char *type, int rv)
{
    unsigned kept;

    if (rv == -EHOSTUNREACH || !serve_quiet_pass(&manager->quiet_unsent, manager->now_ms, &kept)) {
        return;
    }
    ph_log(PH_LOG_WARNING, "not_sent", "to=%s type=%s before=%u text=%s", to, type, kept,
        rv == -EAGAIN ? "its queue is full" : strerror(-rv));
}

void serve_send(struct serve_manager *manager, const struct ph_wire_peer *peer,
    enum ph_message_type type, int64_t id, const void *body)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(type, id, body, &text, &bytes);

    if (rv == 0) {
        rv = ph_wire_server_send(manager->wire, peer, text, bytes, NULL, 0);
    }
    free(text);
    if (rv != 0) {
        unsent_log(manager, peer->public_key, ph_messages[type].type, rv);
    }
    if (rv == -EMSGSIZE && type != PH_MSG_PROBLEM) {
        serve_send_problem(manager, peer, id, PH_FAILED, NULL,
            "the answer is larger than a message may be: ask for less, or use a query");
    }
}

void serve_send_node(struct serve_manager *manager, const char *node,
    const struct ph_wire_peer *first, enum ph_message_type type, const void *body)
{
    struct serve_peer *known = ph_map_get(&manager->peers, node);
    char *text = NULL;
    size_t bytes = 0;
    int rv;

    if (first == NULL && known == NULL) {
        return; /* not heard since the manager started */
    }
    rv = ph_message_encode(type, 0, body, &text, &bytes);
    if (rv == 0) {
        rv = first != NULL ? ph_wire_server_send(manager->wire, first, text, bytes, NULL, 0)
                           : -EHOSTUNREACH;
    }
    if (rv == -EHOSTUNREACH && known != NULL) {
        rv = ph_wire_server_send(manager->wire, &known->peer, text, bytes, NULL, 0);
    }
    free(text);
    if (rv != 0) {
        unsent_log(manager, node, ph_messages[type].type, rv);
    }
}

void serve_send_problem(struct serve_manager *manager, const struct ph_wire_peer *peer, int64_t id,
    enum ph_code code, const char *field, const char *format, ...)
{
    char message[PH_TEXT_BYTES_MAX], word[32], field_text[128];
    struct ph_problem problem = {.code = word, .message = message};
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(message, sizeof message, format, arguments);
    va_end(arguments);
    ph_text_format(word, sizeof word, "%s", ph_code_name(code));
    if (field != NULL && field[0] != '\0') {
        ph_text_format(field_text, sizeof field_text, "%s", field);
        problem.field = field_text;
    }
    serve_send(manager, peer, PH_MSG_PROBLEM, id, &problem);
}

/* A worker puts a large answer into text; when they are all busy the loop does it. */
static void answer_deliver(struct serve_manager *manager, struct serve_letter *letter)
{
    struct ph_message message = {.type = letter->type, .id = letter->id, .body = letter->body};

    if (answer_large(letter->type) && serve_workers_give_message(manager->workers,
                                          SERVE_WORK_ENCODE, &letter->peer, letter->id, &message)) {
        letter->body = NULL;
        return;
    }
    serve_send(manager, &letter->peer, letter->type, letter->id, letter->body);
}

/* What waited for the disk may have become pointless: the node has come back, or the run was given up. */
static void fence_run(struct serve_manager *manager, struct serve_letter *letter)
{
    struct ph_fence_run *run = letter->body;

    if (!ph_core_fence_wanted(manager->core, run)) {
        return;
    }
    ph_log(PH_LOG_NOTICE, "fence_call", "node=%s device=%s agent=%s action=%s number=%lld",
        run->node, run->device, run->agent, ph_enum_word(&ph_enum_fence_action, (int)run->action),
        (long long)run->number);
    if (serve_fencer_give(manager->fencer, run) != 0) {
        manager->failed = true;
    }
}

void serve_fenced(struct serve_manager *manager)
{
    struct serve_fence_call *call = serve_fencer_take(manager->fencer);

    while (call != NULL) {
        struct serve_fence_call *next = call->next;
        struct ph_event_in event = {.kind = PH_EV_FENCE_DONE, .body = &call->ran};

        ph_log(PH_LOG_NOTICE, "fence_answer",
            "node=%s device=%s action=%s power=%s took_ms=%lld number=%lld text=%s", call->ran.node,
            call->ran.device, ph_enum_word(&ph_enum_fence_action, (int)call->ran.action),
            ph_enum_word(&ph_enum_power_state, (int)call->ran.power), (long long)call->ran.took_ms,
            (long long)call->ran.number, call->ran.reason != NULL ? call->ran.reason : "");
        serve_step(manager, &event);
        serve_fence_call_destroy(&call);
        call = next;
    }
}

void serve_deliver(struct serve_manager *manager)
{
    struct serve_letter letter;

    while (serve_outbox_take(&manager->outbox, manager->durable, &letter)) {
        if (letter.kind == PH_EF_ANSWER) {
            answer_deliver(manager, &letter);
        } else if (letter.kind == PH_EF_SEND) {
            serve_send_node(manager, letter.node, letter.has_peer ? &letter.peer : NULL,
                letter.type, letter.body);
        } else {
            fence_run(manager, &letter);
        }
        serve_letter_fini(&letter);
    }
}

void serve_refuse_all(struct serve_manager *manager, const char *reason)
{
    struct serve_letter letter;
    size_t i;

    while (serve_outbox_take(&manager->outbox, UINT64_MAX, &letter)) {
        if (letter.kind == PH_EF_ANSWER) {
            serve_send_problem(manager, &letter.peer, letter.id, PH_FAILED, NULL, "%s", reason);
        }
        serve_letter_fini(&letter);
    }
    for (i = 0; i < manager->requests.count; i++) {
        serve_send_problem(manager, &manager->requests.items[i].peer, manager->requests.items[i].id,
            PH_FAILED, NULL, "%s", reason);
    }
    manager->requests.count = 0;
}

/* Sends one part. false: it has to wait, as everything of the same work does. */
static bool result_send(struct serve_manager *manager, struct serve_result *result)
{
    struct serve_work *work = result->work;
    int rv;

    if (result->text == NULL || atomic_load(&work->cancelled)) {
        return true;
    }
    rv = ph_wire_server_send(manager->wire, &work->peer, result->text, result->bytes,
        result->payload, result->payload_bytes);
    if (rv == -EAGAIN) {
        if (work->blocked_since_ms == 0) {
            work->blocked_since_ms = manager->now_ms;
        }
        if (manager->now_ms - work->blocked_since_ms < RESULT_BLOCKED_MS) {
            return false;
        }
    }
    work->blocked_since_ms = 0;
    if (rv != 0) {
        atomic_store(&work->cancelled, true);
        unsent_log(manager, work->peer.public_key, "an answer's part", rv);
    }
    return true;
}

bool serve_collect(struct serve_manager *manager)
{
    struct serve_result **link = &manager->blocked, *result;

    while (*link != NULL) {
        link = &(*link)->next;
    }
    *link = serve_workers_take(manager->workers);
    manager->pass++;
    link = &manager->blocked;
    while ((result = *link) != NULL) {
        struct serve_work *work = result->work;

        if (work->kind == SERVE_WORK_DECODE && result->last) {
            serve_intake_decoded(manager, &work->peer, &work->message, work->rv, &work->error);
        } else if (work->pass == manager->pass || !result_send(manager, result)) {
            work->pass = manager->pass; /* an earlier part waits: keep the order */
            link = &result->next;
            continue;
        }
        *link = result->next;
        serve_result_done(manager->workers, &result);
    }
    return manager->blocked != NULL;
}
