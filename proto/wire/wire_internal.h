/*
 * What the server and the client side of the wire share. Private to proto/wire.
 */
#ifndef PH_WIRE_INTERNAL_H
#define PH_WIRE_INTERNAL_H

#include <stdbool.h>
#include "proto/wire/wire.h"

#define PH_ENDPOINT_BYTES_MAX 255

/* tcp://HOST:PORT with nothing missing; `listen` also allows "*" for either. 0, -EINVAL. */
int ph_wire_endpoint_check(const char *endpoint, bool listen, struct ph_error *error);
int ph_wire_key_check(const char *key, const char *what, struct ph_error *error); /* 0, -EINVAL */
/* Makes czmq fit for us, once per process. Before any other use of it. */
void ph_wire_prepare(void);
/* Options every socket has: CURVE keys, limits, keep-alive, IPv6 where the address needs it. The
 * keys must be valid ones. */
void ph_wire_socket_prepare(
    void *socket, const char *endpoint, const char *public_key, const char *secret_key);
void ph_wire_context_end(void **context);

/* One frame and perhaps a second, after the routing id. 0, -EAGAIN, -EMSGSIZE: it had more frames
 * (all of them are gone then). The frames are zmq_msg_t, initialised. */
int ph_wire_frames_receive(void *socket, void *text, void *payload, struct ph_wire_message *out);
int ph_wire_frames_send(
    void *socket, const char *text, size_t bytes, const void *payload, size_t payload_bytes);

#endif
