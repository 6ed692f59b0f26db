/*
 * In through the door: who is it, may it say that, and what does the core make of it.
 */
#include "manager/serve/manager.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sodium.h>

/* While the disk stands still, what waits for it must not grow without end. Beats need no disk. */
#define LETTERS_MAX 200000

static bool overloaded(const struct serve_manager *manager)
{
    return manager->outbox.count >= LETTERS_MAX || manager->requests.count >= SERVE_REQUESTS_MAX;
}

/* What a node may send to a manager. */
static bool type_of_node(enum ph_message_type type)
{
    return type == PH_MSG_BEAT || type == PH_MSG_HELLO || type == PH_MSG_REPORT ||
           type == PH_MSG_COPY_REPORT || type == PH_MSG_LEAVING || type == PH_MSG_FENCE_RAN ||
           type == PH_MSG_DIVERGED_LIST || type == PH_MSG_VOTER_OK || type == PH_MSG_PROMISE ||
           type == PH_MSG_RELAY;
}

static void refuse(struct serve_manager *manager, const struct ph_wire_peer *peer, int64_t id,
    enum ph_code code, const char *who, const char *what, const char *reason)
{
    unsigned kept;

    if (serve_quiet_pass(&manager->quiet_refused, manager->now_ms, &kept)) {
        ph_log(PH_LOG_WARNING, "refused", "who=%s key=%s type=%s before=%u text=%s", who,
            peer->public_key, what, kept, reason);
    }
    serve_send_problem(manager, peer, id, code, NULL, "%s", reason);
}

static void malformed(struct serve_manager *manager, const struct ph_wire_peer *peer,
    const char *who, int64_t id, const struct ph_error *error)
{
    unsigned kept;

    if (serve_quiet_pass(&manager->quiet_malformed, manager->now_ms, &kept)) {
        ph_log(PH_LOG_WARNING, "malformed", "who=%s key=%s field=%s before=%u text=%s", who,
            peer->public_key, error->field, kept, error->message);
    }
    if (id > 0) {
        serve_send_problem(manager, peer, id, error->code == PH_OK ? PH_FAILED : error->code,
            error->field, "%s", error->message);
    }
}

static void stranger(struct serve_manager *manager, const struct ph_wire_peer *peer, int64_t id)
{
    unsigned kept;

    if (serve_quiet_pass(&manager->quiet_unknown, manager->now_ms, &kept)) {
        ph_log(PH_LOG_WARNING, "unknown_key", "key=%s before=%u text=%s", peer->public_key, kept,
            "it may only present an invitation");
    }
    serve_send_problem(manager, peer, id, PH_NOT_ALLOWED, NULL,
        "this key is not known here: present an invitation first (poolherd node invite NAME)");
}

/* A request for the core: it gets a handle, and is answered exactly once. */
static void request_take(struct serve_manager *manager, const struct ph_wire_peer *peer,
    const struct ph_identity *identity, struct ph_message *message)
{
    char secret[64] = "", hash[65];
    struct ph_event_in event = {.kind = PH_EV_REQUEST,
        .sender = identity != NULL ? identity->name : "",
        .role = identity != NULL ? identity->role : PH_ROLE_NONE,
        .type = message->type,
        .body = message->body};
    struct serve_request *request =
        overloaded(manager) ? NULL : serve_request_add(&manager->requests);

    if (request == NULL) {
        serve_send_problem(manager, peer, message->id, PH_FAILED, NULL,
            "the manager has more to store than its disk takes: try again later");
        return;
    }
    request->id = message->id;
    request->type = message->type;
    request->peer = *peer;
    event.request = request->handle;
    if (message->type == PH_MSG_INVITE) {
        const struct ph_invite *invite = message->body;

        ph_text_format(request->name, sizeof request->name, "%s", invite->name);
        ph_secret_make(secret);
        ph_secret_hash(secret, hash);
        event.random_secret = secret;
        event.random_secret_hash = hash;
    } else if (message->type == PH_MSG_JOIN) {
        const struct ph_join *join = message->body;

        /* The core compares hashes and binds the sender's key; see core.h. */
        ph_text_format(request->name, sizeof request->name, "%s", join->name);
        ph_secret_hash(join->secret, hash);
        event.sender = "";
        event.role = PH_ROLE_NONE;
        event.random_secret = peer->public_key;
        event.random_secret_hash = hash;
    }
    serve_step(manager, &event);
    sodium_memzero(secret, sizeof secret);
}

/* Keeps the highest term an agent told of, for --advance-term after a restored backup. */
static void term_notice(struct serve_manager *manager, const struct ph_message *message)
{
    int64_t term = message->type == PH_MSG_BEAT    ? ((const struct ph_beat *)message->body)->term
                   : message->type == PH_MSG_HELLO ? ((const struct ph_hello *)message->body)->term
                                                   : 0;
    struct ph_meta meta = {.key = "seen_term"};
    char value[24];

    if (term <= manager->term || term <= manager->seen_term) {
        return;
    }
    manager->seen_term = term;
    ph_log(PH_LOG_ERROR, "term_behind", "term=%lld seen=%lld text=%s", (long long)manager->term,
        (long long)term,
        "agents know a newer manager than this inventory: it is an old copy; when no other manager "
        "runs, start this one again with --advance-term");
    ph_text_format(value, sizeof value, "%lld", (long long)term);
    meta.value = value;
    if (manager->batch == NULL) {
        manager->batch = ph_batch_new();
    }
    if (manager->batch == NULL || ph_batch_save(manager->batch, &ph_record_meta, &meta) != 0) {
        manager->failed = true;
    }
}

static void node_message(struct serve_manager *manager, const struct ph_wire_peer *peer,
    const struct ph_identity *identity, struct ph_message *message)
{
    char name[PH_NAME_BYTES_MAX + 1]; /* the identity is borrowed only until the step */
    struct ph_event_in event = {.kind = PH_EV_MESSAGE,
        .sender = name,
        .role = identity->role,
        .type = message->type,
        .body = message->body};

    if (message->type != PH_MSG_BEAT && overloaded(manager)) {
        return; /* it is said again */
    }
    memcpy(name, identity->name, sizeof name);
    term_notice(manager, message);
    serve_peer_remember(manager, name, peer);
    manager->current_node = name;
    manager->current_peer = peer;
    serve_step(manager, &event);
    manager->current_node = NULL;
    manager->current_peer = NULL;
}

/* Queries and events never come to the core: their answers are in the inventory. */
static void work_give(struct serve_manager *manager, const struct ph_wire_peer *peer,
    struct ph_message *message, enum serve_work_kind kind)
{
    if (!serve_workers_give_message(manager->workers, kind, peer, message->id, message)) {
        serve_send_problem(manager, peer, message->id, PH_FAILED, NULL,
            "too many queries are waiting (%d): try again later", SERVE_WORK_MAX);
    }
}

static void message_take(struct serve_manager *manager, const struct ph_wire_peer *peer,
    const struct ph_identity *identity, struct ph_message *message)
{
    const struct ph_message_description *description = &ph_messages[message->type];

    /* NOLINTNEXTLINE(bugprone-branch-clone): the one request that a stranger may make comes first */
    if (message->type == PH_MSG_JOIN) {
        request_take(manager, peer, identity, message);
    } else if (identity == NULL) {
        stranger(manager, peer, message->id);
    } else if (description->role == PH_ROLE_NONE) {
        refuse(manager, peer, message->id, PH_BAD_INPUT, identity->name, description->type,
            "a manager is not told this: it is an answer or an order");
    } else if (description->role == PH_ROLE_AGENT && !type_of_node(message->type)) {
        refuse(manager, peer, message->id, PH_STATE_FORBIDS, identity->name, description->type,
            "this manager has no use for that message: it is for agents, or of a newer version");
    } else if (description->role == PH_ROLE_AGENT) {
        if (identity->role != PH_ROLE_AGENT) {
            refuse(manager, peer, message->id, PH_NOT_ALLOWED, identity->name, description->type,
                "only a node may say this, and this identity is none");
            return;
        }
        node_message(manager, peer, identity, message);
    } else if (identity->role < description->role) {
        char reason[160];

        ph_text_format(reason, sizeof reason, "%s needs the role %s; %s has the role %s",
            description->type, ph_enum_word(&ph_enum_role, (int)description->role), identity->name,
            ph_enum_word(&ph_enum_role, (int)identity->role));
        refuse(
            manager, peer, message->id, PH_NOT_ALLOWED, identity->name, description->type, reason);
    } else if (message->type == PH_MSG_QUERY) {
        work_give(manager, peer, message, SERVE_WORK_QUERY);
    } else if (message->type == PH_MSG_EVENTS) {
        work_give(manager, peer, message, SERVE_WORK_EVENTS);
    } else if (message->type == PH_MSG_STORY) {
        work_give(manager, peer, message, SERVE_WORK_STORY);
    } else {
        request_take(manager, peer, identity, message);
    }
}

/* Whether the key may speak at all. */
static bool revoked(struct serve_manager *manager, const struct ph_wire_peer *peer,
    const struct ph_identity *identity, int64_t id)
{
    if (identity == NULL || !identity->revoked) {
        return false;
    }
    refuse(manager, peer, id, PH_NOT_ALLOWED, identity->name, "", "this key has been revoked");
    return true;
}

void serve_intake_decoded(struct serve_manager *manager, const struct ph_wire_peer *peer,
    struct ph_message *message, int rv, const struct ph_error *error)
{
    const struct ph_identity *identity = ph_core_identity_by_key(manager->core, peer->public_key);

    if (revoked(manager, peer, identity, message->id)) {
        return;
    }
    if (rv == 0) {
        message_take(manager, peer, identity, message);
    } else if (identity != NULL) {
        malformed(manager, peer, identity->name, message->id, error);
    } else {
        stranger(manager, peer, message->id);
    }
}

/* A large declaration is taken apart by a worker, and then comes back. Agents' messages stay in
 * order, so they are not. */
static bool decode_elsewhere(struct serve_manager *manager, const struct ph_wire_message *raw)
{
    const struct ph_identity *identity;
    struct serve_work *work;

    if (raw->bytes <= PH_MESSAGE_BYTES_USUAL) {
        return false; /* before anything is looked up: it is nearly always so */
    }
    identity = ph_core_identity_by_key(manager->core, raw->peer.public_key);
    if (identity == NULL || identity->revoked || identity->role == PH_ROLE_AGENT) {
        return false;
    }
    work = serve_work_new(SERVE_WORK_DECODE, &raw->peer, 0);
    if (work == NULL || (work->text = malloc(raw->bytes)) == NULL) {
        serve_work_destroy(&work);
        return false;
    }
    memcpy(work->text, raw->text, raw->bytes);
    work->bytes = raw->bytes;
    if (!serve_workers_give(manager->workers, &work)) {
        serve_work_destroy(&work);
        return false;
    }
    return true;
}

void serve_intake(struct serve_manager *manager, const struct ph_wire_message *raw)
{
    struct ph_message message = {0};
    struct ph_error error;
    int rv;

    if (decode_elsewhere(manager, raw)) {
        return;
    }
    if (raw->bytes > ph_messages[PH_MSG_JOIN].bytes_max &&
        ph_core_identity_by_key(manager->core, raw->peer.public_key) == NULL) {
        stranger(manager, &raw->peer, 0); /* not worth parsing */
        return;
    }
    error = (struct ph_error){.code = PH_OK};
    rv = ph_message_decode(raw->text, raw->bytes, &message, &error);
    serve_intake_decoded(manager, &raw->peer, &message, rv, &error);
    ph_message_fini(&message);
}
