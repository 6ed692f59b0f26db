/*
 * The DEALER side. Its sockets are czmq's: they live in the one context that zsys keeps for a process,
 * however many there are. (From zsys_socket() rather than zsock_new(), which ends the program when
 * there is no descriptor left.)
 *
 * ZMQ_IMMEDIATE is on: a message is taken only while there is a connection, and what was not yet
 * sent when it breaks is dropped. Everything said is level-triggered, so an old message delivered
 * after a reconnect would only be in the way: thousands of stale beats on a manager that just came
 * back.
 */
#include "proto/wire/wire_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <czmq.h>

#define RECONNECT_MS 20
#define RECONNECT_MS_MAX 200
#define HANDSHAKE_MS 60000 /* the server may have thousands to do (server.c) */

struct ph_wire_client {
    void *socket;
    zmq_msg_t text, payload;
};

static int dealer_connect(struct ph_wire_client *client, const char *endpoint,
    const char *server_key, const char *public_key, const char *secret_key, struct ph_error *error)
{
    int rv = 0;

    ph_wire_socket_prepare(client->socket, endpoint, public_key, secret_key);
    zsock_set_immediate(client->socket, 1);
    zsock_set_reconnect_ivl(client->socket, RECONNECT_MS);
    zsock_set_reconnect_ivl_max(client->socket, RECONNECT_MS_MAX);
    zsock_set_connect_timeout(client->socket, 1000);
    zsock_set_handshake_ivl(client->socket, HANDSHAKE_MS);
    zsock_set_tcp_maxrt(client->socket, 3000); /* sooner than the server: it is we who reconnect */
    zsock_set_sndhwm(client->socket, 1000);
    zsock_set_rcvhwm(client->socket, 4096);
    zsock_set_curve_serverkey(client->socket, server_key);
    if (zmq_connect(client->socket, endpoint) != 0) {
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
    ph_wire_prepare();
    client->socket = zsys_socket(ZMQ_DEALER, __FILE__, __LINE__);
    if (client->socket == NULL) {
        rv = -zmq_errno();
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
        zsys_close(client->socket, __FILE__, __LINE__);
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
