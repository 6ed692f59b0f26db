/*
 * The data channel between agents: byte streams over ZeroMQ with CURVE both ways, flow control by
 * credit, a size check at the end. The opener (owner of a pool) connects; the receiver's server
 * accepts only peers that the manager's orders named, and only for the pool and epoch ordered.
 *
 * A stream looks like a pair of file descriptors to a driver, so that any tool can be put on it;
 * pumping, credit and encryption are this module's.
 */
#ifndef PH_AGENT_STREAM_H
#define PH_AGENT_STREAM_H

#include <stdatomic.h>
#include <stdint.h>
#include "proto/catalogue.h"
#include "proto/keys.h"

struct ph_stream;

/* ---- both sides, inside a driver ---- */

/* The local end: a socketpair end to be used as a child's stdin and stdout. Bytes written to it go to
 * the peer, bytes from the peer are read from it; end of file both ways works. Borrowed. */
int ph_stream_fd(struct ph_stream *stream);
/* What the other side said when it opened (sender: what the receiver has, for differences). */
const struct ph_stream_opened *ph_stream_opened(const struct ph_stream *stream);
int64_t ph_stream_bytes(const struct ph_stream *stream); /* so far, both directions */
/* Also counts into *counter, which another thread may read at any time and which outlives the stream. */
void ph_stream_count_into(struct ph_stream *stream, _Atomic int64_t *counter);
/* Sender: sends stream.close with the outcome and waits for the receiver's (hash, size, complete).
 * 0 when the receiver says complete; else -EIO with its reason. */
int ph_stream_finish(struct ph_stream *stream, const struct ph_stream_close *mine,
    struct ph_stream_close *theirs_out, uint32_t timeout_ms, struct ph_error *error);

/* ---- owner side ---- */
int ph_stream_connect(const struct ph_identity_file *identity, const struct ph_peer *peer,
    const struct ph_stream_open *open, const atomic_bool *cancelled, uint32_t timeout_ms,
    struct ph_stream **stream_out, struct ph_error *error);
void ph_stream_destroy(struct ph_stream **stream); /* closes; an unfinished one is aborted */

/* ---- holder side: a server with its own threads ---- */
struct ph_stream_server;

struct ph_stream_server_config {
    const struct ph_identity_file *identity;
    const char *listen;    /* tcp://ADDR:PORT, port may be * */
    const char *directory; /* the agent's DIR */
    int receives_parallel; /* 0: 4; more wait with credit 0 */
    /* Called on a receive thread when a copy is complete and durable. */
    void (*received)(void *context, const char *pool, int64_t epoch, int64_t sequence);
    void *context;
};
int ph_stream_server_start(const struct ph_stream_server_config *config,
    struct ph_stream_server **server_out, struct ph_error *error);
const char *ph_stream_server_endpoint(const struct ph_stream_server *server);
/* From now on data for order->pool is accepted from order->sources at order->epoch or higher (kind
 * hold), or from nobody (any other kind; a receive under way is aborted and waited for). */
int ph_stream_server_allow(struct ph_stream_server *server, const struct ph_order *order);
void ph_stream_server_stop(struct ph_stream_server **server);

#endif
