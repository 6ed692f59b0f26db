/*
 * The DEALER side. All clients of a process share contexts (a thread or two for a thousand of them),
 * because an agent has one to the manager and one to each peer it copies to.
 *
 * ZMQ_IMMEDIATE is on: a message is taken only while there is a connection, and what was not yet
 * sent when it breaks is dropped. Everything said is level-triggered, so an old message delivered
 * after a reconnect would only be in the way: thousands of stale beats on a manager that just came
 * back.
 */
#include "proto/wire/wire_internal.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <zmq.h>

#define CLIENTS_PER_CONTEXT 1000
#define RECONNECT_MS 20
#define RECONNECT_MS_MAX 200

struct shared_context {
    void *context;
    unsigned users;
    struct shared_context *next;
};

struct ph_wire_client {
    struct shared_context *shared;
    void *socket;
    zmq_msg_t text, payload;
};

static pthread_mutex_t contexts_lock = PTHREAD_MUTEX_INITIALIZER;
static struct shared_context *contexts;

static struct shared_context *context_take(void)
{
    struct shared_context *found;

    pthread_mutex_lock(&contexts_lock);
    for (found = contexts; found != NULL && found->users >= CLIENTS_PER_CONTEXT;) {
        found = found->next;
    }
    if (found == NULL && (found = calloc(1, sizeof *found)) != NULL) {
        found->context = zmq_ctx_new();
        if (found->context == NULL) {
            free(found);
            found = NULL;
        } else {
            found->next = contexts;
            contexts = found;
        }
    }
    if (found != NULL) {
        found->users++;
    }
    pthread_mutex_unlock(&contexts_lock);
    return found;
}

static void context_give_back(struct shared_context *shared)
{
    struct shared_context **link = &contexts;
    void *ended = NULL;

    pthread_mutex_lock(&contexts_lock);
    shared->users--;
    if (shared->users == 0) {
        while (*link != shared) {
            link = &(*link)->next;
        }
        *link = shared->next;
        ended = shared->context;
        free(shared);
    }
    pthread_mutex_unlock(&contexts_lock);
    ph_wire_context_end(&ended); /* lingers, so outside the lock */
}

static int dealer_connect(struct ph_wire_client *client, const char *endpoint,
    const char *server_key, const char *public_key, const char *secret_key, struct ph_error *error)
{
    static const int options[][2] = {
        {ZMQ_IMMEDIATE, 1},
        {ZMQ_RECONNECT_IVL, RECONNECT_MS},
        {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MS_MAX},
        {ZMQ_CONNECT_TIMEOUT, 1000},
        {ZMQ_TCP_MAXRT, 3000}, /* sooner than the server: it is the client that reconnects */
        {ZMQ_SNDHWM, 1000},
        {ZMQ_RCVHWM, 4096},
    };
    size_t i;
    int rv = ph_wire_socket_prepare(client->socket, endpoint, public_key, secret_key, error);

    for (i = 0; rv == 0 && i < sizeof options / sizeof options[0]; i++) {
        rv = ph_wire_set(client->socket, options[i][0], options[i][1]);
    }
    if (rv == 0 &&
        (zmq_setsockopt(client->socket, ZMQ_CURVE_SERVERKEY, server_key, PH_KEY_BYTES + 1) != 0 ||
            zmq_connect(client->socket, endpoint) != 0)) {
        rv = -zmq_errno();
        ph_error_set(
            error, PH_FAILED, "endpoint", "cannot connect to %s: %s", endpoint, zmq_strerror(-rv));
    }
    return rv;
}

int ph_wire_client_new(const char *endpoint, const char *server_key, const char *public_key,
    const char *secret_key, struct ph_wire_client **client_out, struct ph_error *error)
{
    struct ph_wire_client *client;
    int rv = ph_wire_endpoint_check(endpoint, false, error);

    if (rv == 0) {
        rv = ph_wire_key_check(server_key, "server_key", error);
    }
    if (rv == 0) {
        rv = ph_wire_key_check(public_key, "public_key", error);
    }
    if (rv == 0) {
        rv = ph_wire_key_check(secret_key, "secret_key", error);
    }
    if (rv != 0) {
        return rv;
    }
    client = calloc(1, sizeof *client);
    if (client == NULL) {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    zmq_msg_init(&client->text);
    zmq_msg_init(&client->payload);
    client->shared = context_take();
    if (client->shared == NULL ||
        (client->socket = zmq_socket(client->shared->context, ZMQ_DEALER)) == NULL) {
        rv = client->shared == NULL ? -ENOMEM : -zmq_errno();
        ph_error_set(error, PH_FAILED, NULL, "cannot make a ZeroMQ socket: %s", zmq_strerror(-rv));
    } else {
        rv = dealer_connect(client, endpoint, server_key, public_key, secret_key, error);
    }
    if (rv != 0) {
        ph_wire_client_destroy(&client);
    } else {
        *client_out = client;
    }
    return rv;
}

void ph_wire_client_destroy(struct ph_wire_client **client_in)
{
    struct ph_wire_client *client = *client_in;

    if (client == NULL) {
        return;
    }
    zmq_msg_close(&client->text);
    zmq_msg_close(&client->payload);
    if (client->socket != NULL) {
        zmq_close(client->socket);
    }
    if (client->shared != NULL) {
        context_give_back(client->shared);
    }
    free(client);
    *client_in = NULL;
}

void *ph_wire_client_socket(struct ph_wire_client *client)
{
    return client->socket;
}

int ph_wire_client_receive(struct ph_wire_client *client, struct ph_wire_message *message_out)
{
    int rv;

    message_out->peer.routing_bytes = 0;
    message_out->peer.public_key[0] = '\0';
    do {
        rv = ph_wire_frames_receive(client->socket, &client->text, &client->payload, message_out);
    } while (
        rv == -EMSGSIZE); /* only the server whose key we know can send it; not ours: ignored */
    return rv;
}

int ph_wire_client_send(struct ph_wire_client *client, const char *text, size_t bytes,
    const void *payload, size_t payload_bytes)
{
    return ph_wire_frames_send(client->socket, text, bytes, payload, payload_bytes);
}
