/*
 * The ZAP handler (rfc.zeromq.org/spec/27): libzmq asks it about every CURVE handshake of its
 * context. Private to proto/wire. One per context, bound before any socket listens: without one
 * libzmq lets every key in.
 */
#ifndef PH_WIRE_ZAP_H
#define PH_WIRE_ZAP_H

enum ph_zap_verdict {
    PH_ZAP_YES,
    PH_ZAP_LATER, /* it is cut off without a word, and tries again */
    PH_ZAP_NO,    /* it is told, and does not try again */
};

/* address: of the peer, without its port. */
typedef enum ph_zap_verdict ph_zap_judge(
    void *context, const char *public_key, const char *address);

void *ph_zap_open(void *zmq_context); /* the bound socket, or NULL with zmq_errno() */
/* Answers what waits, at most a few hundred requests at a time. The key becomes the User-Id of every
 * message of that connection. */
void ph_zap_serve(void *socket, ph_zap_judge *judge, void *context);

#endif
