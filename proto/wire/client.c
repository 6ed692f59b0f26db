/*
 * The client library's conversation: one request, one answer (or the parts of one).
 */
#include "poolherd/client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#include "base/clock.h"
#include "proto/codec.h"
#include "proto/message.h"
#include "proto/wire/client_internal.h"

/* A query's answer is put together here, in memory. */
#define ROWS_BYTES_MAX ((size_t)1024 * 1024 * 1024)

struct ph_client {
    struct ph_wire_client *wire;
    char endpoint[256];
    int64_t last_id;
};

struct rows_text {
    char *text;
    size_t bytes, room;
};

int ph_client_open(
    const struct ph_identity_file *identity, struct ph_client **client_out, struct ph_error *error)
{
    struct ph_client *client = calloc(1, sizeof *client);
    int rv;

    if (client == NULL) {
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    rv = ph_wire_client_new(identity->manager_endpoint, identity->manager_key, identity->public_key,
        identity->secret_key, &client->wire, error);
    if (rv != 0) {
        free(client);
        return rv;
    }
    ph_text_format(client->endpoint, sizeof client->endpoint, "%s", identity->manager_endpoint);
    *client_out = client;
    return 0;
}

int ph_client_new(const char *manager, const char *identity_path, struct ph_client **client_out,
    struct ph_error *error)
{
    struct ph_identity_file identity;
    int rv = ph_client_find(manager, identity_path, &identity, error);

    if (rv == 0) {
        rv = ph_client_open(&identity, client_out, error);
    }
    ph_client_identity_forget(&identity);
    return rv;
}

void ph_client_destroy(struct ph_client **client)
{
    if (*client != NULL) {
        ph_wire_client_destroy(&(*client)->wire);
        free(*client);
        *client = NULL;
    }
}

const char *ph_client_endpoint(const struct ph_client *client)
{
    return client->endpoint;
}

/* Waits for `events` on the socket until the deadline. Whether they came. */
static bool socket_wait(struct ph_client *client, short events, uint64_t deadline_ms)
{
    zmq_pollitem_t item = {ph_wire_client_socket(client->wire), 0, events, 0};

    for (;;) {
        uint64_t now = ph_clock_boot_ms();
        int rv = zmq_poll(&item, 1, now < deadline_ms ? (long)(deadline_ms - now) : 0);

        if (rv > 0) {
            return true;
        }
        if (rv == 0 && now >= deadline_ms) {
            return false;
        }
        if (rv < 0 && zmq_errno() != EINTR) {
            return false;
        }
    }
}

static int request_send(struct ph_client *client, const char *text, size_t bytes,
    uint64_t deadline_ms, uint32_t timeout_ms, struct ph_error *error)
{
    int rv;

    for (;;) {
        rv = ph_wire_client_send(client->wire, text, bytes, NULL, 0);
        if (rv != -EAGAIN) {
            break;
        }
        if (!socket_wait(client, ZMQ_POLLOUT, deadline_ms)) {
            return ph_error_set(error, PH_UNREACHED, NULL,
                "the manager at %s could not be reached within %lu ms; nothing was sent",
                client->endpoint, (unsigned long)timeout_ms);
        }
    }
    if (rv != 0) {
        return ph_error_set(
            error, PH_FAILED, NULL, "cannot send to %s: %s", client->endpoint, zmq_strerror(-rv));
    }
    return 0;
}

/* Appends the items of one part, the text of a JSON array, to the array being built. */
static int rows_add(struct rows_text *rows, const char *part, size_t bytes, struct ph_error *error)
{
    size_t needed;

    if (bytes < 2 || part[0] != '[' || part[bytes - 1] != ']') {
        return ph_error_set(error, PH_FAILED, NULL, "the manager sent rows that are no JSON array");
    }
    part++;
    bytes -= 2;
    needed = rows->bytes + bytes + 4; /* "[" or ",", "]", terminator */
    if (needed > ROWS_BYTES_MAX) {
        return ph_error_set(error, PH_FAILED, NULL,
            "the result is larger than %zu MiB: ask for fewer rows or columns",
            ROWS_BYTES_MAX / (1024 * 1024));
    }
    if (needed > rows->room) {
        size_t room = rows->room * 2 > needed ? rows->room * 2 : needed;
        char *grown = realloc(rows->text, room);

        if (grown == NULL) {
            return ph_error_set(error, PH_FAILED, NULL, "out of memory");
        }
        rows->text = grown;
        rows->room = room;
    }
    if (rows->bytes == 0) {
        rows->text[rows->bytes++] = '[';
    } else if (rows->bytes > 1 && bytes > 0) {
        rows->text[rows->bytes++] = ',';
    }
    memcpy(rows->text + rows->bytes, part, bytes);
    rows->bytes += bytes;
    return 0;
}

/* What the manager answered: 1 when more parts follow, 0 when *answer_out is complete. */
static int answer_take(const struct ph_message *message, const struct ph_wire_message *raw,
    struct rows_text *rows, char **answer_out, struct ph_error *error)
{
    size_t bytes;
    int rv;

    if (message->type == PH_MSG_PROBLEM) {
        const struct ph_problem *problem = message->body;
        enum ph_code code = ph_code_from_name(problem->code);
        const char *field = problem->field != NULL ? problem->field : "";

        /* To the manager the request is a message's body; to the asker it is all there is. */
        field += strncmp(field, "body.", 5) == 0 ? 5 : 0;
        return ph_error_set(error, code == PH_OK ? PH_FAILED : code, field, "%s", problem->message);
    }
    if (message->type == PH_MSG_ROWS) {
        const struct ph_rows *part = message->body;

        rv = rows_add(rows, raw->payload != NULL ? raw->payload : "", raw->payload_bytes, error);
        if (rv != 0 || part->more) {
            return rv != 0 ? rv : 1;
        }
        rows->text[rows->bytes++] = ']';
        rows->text[rows->bytes] = '\0';
        *answer_out = rows->text;
        rows->text = NULL;
        return 0;
    }
    rv = ph_encode(
        ph_messages[message->type].record, message->body, PH_ENCODE_SHOWN, answer_out, &bytes);
    return rv == 0 ? 0 : ph_error_set(error, PH_FAILED, NULL, "out of memory");
}

static int answer_wait(struct ph_client *client, uint64_t deadline_ms, uint32_t timeout_ms,
    struct rows_text *rows, char **answer_out, struct ph_error *error)
{
    struct ph_wire_message raw;
    int rv;

    for (;;) {
        struct ph_message message = {0};

        rv = ph_wire_client_receive(client->wire, &raw);
        if (rv == -EAGAIN) {
            if (!socket_wait(client, ZMQ_POLLIN, deadline_ms)) {
                return ph_error_set(error, PH_UNREACHED, NULL,
                    "no answer from the manager at %s within %lu ms; the request may have been "
                    "carried out or not",
                    client->endpoint, (unsigned long)timeout_ms);
            }
            continue;
        }
        if (rv != 0) {
            return ph_error_set(error, PH_FAILED, NULL, "cannot receive from %s: %s",
                client->endpoint, zmq_strerror(-rv));
        }
        rv = ph_message_decode(raw.text, raw.bytes, &message, error);
        if (message.id != client->last_id) {
            ph_message_fini(&message); /* of an earlier request that was given up */
            continue;
        }
        if (rv == 0) {
            rv = answer_take(&message, &raw, rows, answer_out, error);
        }
        ph_message_fini(&message);
        if (rv <= 0) {
            return rv;
        }
    }
}

static int type_find(const char *type, enum ph_message_type *type_out, struct ph_error *error)
{
    char shown[128];
    int found = ph_message_type_find(type);

    if (found < 0) {
        return ph_error_set(error, PH_BAD_INPUT, "type", "there is no message \"%s\"",
            ph_text_printable(shown, sizeof shown, type));
    }
    *type_out = (enum ph_message_type)found;
    return 0;
}

/* Sends the request's text, which it frees, and waits for the answer. */
static int ask_text(struct ph_client *client, char *text, size_t bytes, uint32_t timeout_ms,
    char **answer_out, struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + timeout_ms;
    struct rows_text rows = {0};
    int rv = request_send(client, text, bytes, deadline_ms, timeout_ms, error);

    free(text);
    if (rv == 0) {
        rv = answer_wait(client, deadline_ms, timeout_ms, &rows, answer_out, error);
    }
    free(rows.text);
    return rv;
}

static int too_large(enum ph_message_type type, struct ph_error *error)
{
    return ph_error_set(error, PH_BAD_INPUT, NULL, "the request is larger than %zu bytes",
        ph_messages[type].bytes_max);
}

int ph_client_ask_record(struct ph_client *client, enum ph_message_type type, const void *body,
    uint32_t timeout_ms, char **answer_out, struct ph_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(type, ++client->last_id, body, &text, &bytes);

    if (rv != 0) {
        return rv == -EMSGSIZE ? too_large(type, error)
                               : ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    return ask_text(client, text, bytes, timeout_ms, answer_out, error);
}

/* A large body goes as it is: the manager checks it anyway, and doing so twice takes half a second
 * for 10,000 pools. The braces catch what would not even let the manager read the request's id. */
static int ask_large(struct ph_client *client, enum ph_message_type type, const char *body,
    uint32_t timeout_ms, char **answer_out, struct ph_error *error)
{
    const char *word = ph_messages[type].type;
    size_t bytes = strlen(body);
    char *text;

    if (bytes + strlen(word) + 64 > ph_messages[type].bytes_max) {
        return too_large(type, error);
    }
    if (body[0] != '{' || body[bytes - 1] != '}') {
        return ph_error_set(error, PH_BAD_INPUT, NULL, "a request must be a JSON object");
    }
    text = ph_text_new(
        "{\"type\":\"%s\",\"id\":%lld,\"body\":%s}", word, (long long)++client->last_id, body);
    if (text == NULL) {
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    return ask_text(client, text, strlen(text), timeout_ms, answer_out, error);
}

int ph_client_ask(struct ph_client *client, const char *type_word, const char *body,
    uint32_t timeout_ms, char **answer_out, struct ph_error *error)
{
    enum ph_message_type type = PH_MSG_PROBLEM;
    const struct ph_record *record;
    struct ph_error local = {0};
    void *value;
    int rv;

    error = error != NULL ? error : &local;
    memset(error, 0, sizeof *error);
    rv = type_find(type_word, &type, error);
    if (rv != 0) {
        return rv;
    }
    if (strlen(body) > PH_MESSAGE_BYTES_USUAL) {
        return ask_large(client, type, body, timeout_ms, answer_out, error);
    }
    record = ph_messages[type].record;
    value = calloc(1, record->size);
    if (value == NULL) {
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    rv = ph_decode(record, body, strlen(body), value, error);
    if (rv == 0) {
        rv = ph_client_ask_record(client, type, value, timeout_ms, answer_out, error);
    }
    ph_record_fini(record, value);
    free(value);
    return rv;
}
