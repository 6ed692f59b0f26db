/*
 * The ZAP handler (rfc.zeromq.org/spec/27): libzmq asks it about every CURVE handshake of its
 * context. Private to proto/wire. One per context, bound before any socket listens: without one
 * libzmq lets every key in.
 */
#ifndef PH_WIRE_ZAP_H
#define PH_WIRE_ZAP_H

#include <stdbool.h>

typedef bool ph_zap_accept(void *context, const char *public_key);

void *ph_zap_open(void *zmq_context); /* the bound socket, or NULL with zmq_errno() */
/* Answers what waits, at most a few hundred requests at a time. accept may be NULL: any key. The
 * key becomes the User-Id of every message of that connection. */
void ph_zap_serve(void *socket, ph_zap_accept *accept, void *context);

#endif
