/*
 * ZeroMQ sockets as Poolherd uses them: CURVE always, sizes bounded, the sender's key known for every
 * message. Not pure. One thread per object.
 *
 *  - A server (manager, stream receiver) is a ROUTER. Its ZAP handler runs inside ph_wire_server_zap(),
 *    called from the same loop, so that the caller's table of keys needs no lock; it stores the
 *    sender's Z85 key as User-Id, which comes back with every message.
 *  - A client (agent, command line, stream sender) is a DEALER.
 *
 * A server makes its own routing ids and drops messages of peers that bring one; a caller binds
 * names to peer.public_key, and answers to the peer of the very message it answers.
 *
 * Known traps that this module keeps away from everybody: a missing ZAP handler lets any key in; two
 * servers in one process need ZAP domains; a ROUTER must not block (MANDATORY, SNDTIMEO 0); default
 * linger loses the last message; czmq takes SIGINT and SIGTERM unless told not to.
 *
 * czmq: the clients' sockets and their context (zsys), every option (zsock_set_*), key pairs (zcert, in
 * proto/keys.c). libzmq: the server's context, which must be its own for ZAP, zmq_poll and frames,
 * which czmq would copy.
 */
#ifndef PH_WIRE_WIRE_H
#define PH_WIRE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "poolherd/error.h"
#include "poolherd/limits.h"

/* Who a message came from: the routing id to answer to and the CURVE key it was sent under. */
struct ph_wire_peer {
    unsigned char routing_id[256];
    size_t routing_bytes;
    char public_key[PH_KEY_BYTES + 1];
};

struct ph_wire_message {
    struct ph_wire_peer peer; /* server only */
    void *frames[2];          /* zmq_msg_t *: owned by the object until the next receive */
    const char *text;         /* first frame */
    size_t bytes;
    const char *payload; /* second frame, or NULL */
    size_t payload_bytes;
};

struct ph_wire_server;

/* expected: most connections, for the backlog and I/O threads. accept(): whether a key may connect at
 * all (NULL: any key may, and the caller judges each message). known(): whether a key that may is more
 * than a stranger (NULL: each is). PH_STRANGERS_MAX strangers are let in within stranger_ms (others
 * try again by themselves), and each connection of one is cut after that time, or after
 * PH_STRANGER_BYTES_MAX bytes. Both are called from ph_wire_server_zap() and _receive(). */
struct ph_wire_server_config {
    const char *listen; /* tcp://ADDR:PORT, PORT may be * */
    const char *public_key, *secret_key;
    uint32_t expected;
    bool (*accept)(void *context, const char *public_key);
    bool (*known)(void *context, const char *public_key);
    void *context;
    uint32_t stranger_ms; /* 0: PH_STRANGER_MS */
};
int ph_wire_server_new(const struct ph_wire_server_config *config,
    struct ph_wire_server **server_out,
    struct ph_error *error); /* -EADDRINUSE, -EINVAL, ... with the address in *error */
void ph_wire_server_destroy(
    struct ph_wire_server **server); /* takes 100 to 600 ms for the last words */
const char *ph_wire_server_endpoint(const struct ph_wire_server *server); /* with the real port */

/* For zmq_poll: the ROUTER, and the ZAP socket (poll both for input). */
void *ph_wire_server_socket(struct ph_wire_server *server);
void *ph_wire_server_zap_socket(struct ph_wire_server *server);
void ph_wire_server_zap(struct ph_wire_server *server); /* answers what waits, cuts strangers */

/* The next message without waiting: 0, -EAGAIN. Frames beyond two, oversized or unauthenticated ones
 * are dropped here (and counted). Borrowed until the next call. */
int ph_wire_server_receive(struct ph_wire_server *server, struct ph_wire_message *message_out);
/* Sends one or two frames (payload may be NULL) without waiting. -EHOSTUNREACH: gone; -EAGAIN: its
 * queue is full. */
int ph_wire_server_send(struct ph_wire_server *server, const struct ph_wire_peer *peer,
    const char *text, size_t bytes, const void *payload, size_t payload_bytes);
/* Messages dropped by ph_wire_server_receive(), and strangers' connections cut, so far. */
uint64_t ph_wire_server_dropped(const struct ph_wire_server *server);
uint64_t ph_wire_server_cut(const struct ph_wire_server *server);

struct ph_wire_client;

/* Connects in the background and again (20..200 ms apart) whenever the connection is lost. Nothing
 * is queued while there is no connection: send() answers -EAGAIN then (zmq_poll the socket for
 * output to learn when there is one: the handshake is done and the server has accepted the key), and
 * what was under way when it broke is lost. */
int ph_wire_client_new(const char *endpoint, const char *server_key, const char *public_key,
    const char *secret_key, struct ph_wire_client **client_out, struct ph_error *error);
void ph_wire_client_destroy(struct ph_wire_client **client);
void *ph_wire_client_socket(struct ph_wire_client *client);
int ph_wire_client_receive(struct ph_wire_client *client, struct ph_wire_message *message_out);
/* 0; -EAGAIN: not connected yet, or the queue is full. */
int ph_wire_client_send(struct ph_wire_client *client, const char *text, size_t bytes,
    const void *payload, size_t payload_bytes);

#endif
