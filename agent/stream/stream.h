/*
 * The data channel between agents: byte streams over ZeroMQ with CURVE both ways, flow control by
 * credit, a size check at the end. The opener (owner of a pool) connects; the receiver's server
 * accepts only peers that the manager's orders named, and only for the pool and epoch ordered.
 *
 * A stream looks like a file descriptor to a driver, so that any tool can be put on it; pumping,
 * credit and encryption are this module's. The bytes that wait in memory are at most
 * PH_STREAM_CREDIT_BYTES per stream and direction, however slow a side is.
 *
 *     driver, tool <-> socketpair <-> pump <-> DEALER ==CURVE== ROUTER <-> pump <-> socketpair <-> ...
 *
 * An end that is lost (process, machine, network) ends the stream at the other within about a second
 * when the connection breaks, and after PH_STREAM_IDLE_MS when nothing tells: both sides say
 * something every second. What was begun is then aborted: the socketpair is shut down both ways, so
 * that the tool on it ends, and every call here answers with the reason.
 */
#ifndef PH_AGENT_STREAM_H
#define PH_AGENT_STREAM_H

#include <stdatomic.h>
#include <stdint.h>
#include "proto/catalogue.h"
#include "proto/keys.h"

struct ph_stream;
struct ph_pool_driver;

/* ---- both sides, inside a driver ---- */

/* The local end: a socketpair end to be used as a child's stdin and stdout. Bytes written to it go to
 * the peer, bytes from the peer are read from it; end of file both ways works: shutdown(fd, SHUT_WR)
 * when the last byte is written (closing copies of it in children does not do it). Borrowed. */
int ph_stream_fd(struct ph_stream *stream);
/* As it was opened with: pool, epoch, sequence, ... */
const struct ph_stream_open *ph_stream_opening(const struct ph_stream *stream);
/* What the other side said when it opened (sender: what the receiver has, for differences). */
const struct ph_stream_opened *ph_stream_opened(const struct ph_stream *stream);
/* Sender: the node it goes to. Receiver: "". */
const char *ph_stream_peer(const struct ph_stream *stream);
int64_t ph_stream_bytes(const struct ph_stream *stream); /* so far, both directions */
/* From now on the bytes so far are kept in *bytes too, for progress. It must outlive the stream. */
void ph_stream_count_into(struct ph_stream *stream, _Atomic int64_t *bytes);
/* Limits what is sent from here on: of the pool's streams together, and of all of the node's (KiB/s; 0: none). */
void ph_stream_limit(struct ph_stream *stream, int64_t pool_kib_s, int64_t node_kib_s);
/* Sender: what the receiver said in its close that was wrong there (a verify), also when the copy failed. */
int64_t ph_stream_spoilt(struct ph_stream *stream);
/* Why the stream was aborted, or "". out needs PH_TEXT_BYTES_MAX bytes. */
void ph_stream_reason(struct ph_stream *stream, char *out, size_t size);

/* Sender: sends what is left, then stream.close with the outcome, and waits for the receiver's (hash,
 * size, complete). 0 when the receiver says complete; else -EIO with its reason, -ETIMEDOUT,
 * -ECANCELED. *theirs_out is the caller's to free (ph_record_fini), empty unless 0 is returned. */
int ph_stream_finish(struct ph_stream *stream, const struct ph_stream_close *mine,
    struct ph_stream_close *theirs_out, uint32_t timeout_ms, struct ph_error *error);
/* Receiver: waits for the sender's close: all was sent, and the hash. The same errors. */
int ph_stream_wait_close(struct ph_stream *stream, struct ph_stream_close *theirs_out,
    uint32_t timeout_ms, struct ph_error *error);

/* ---- owner side ---- */

/* Connects and opens. A holder that does not know its order yet refuses for the moment: this is tried
 * again for up to three seconds of timeout_ms. `cancelled` is watched for the stream's whole life and
 * must outlive it. 0, -ETIMEDOUT, -ECANCELED, -EPERM (refused, with the holder's reason), ... */
int ph_stream_connect(const struct ph_identity_file *identity, const struct ph_peer *peer,
    const struct ph_stream_open *open, const atomic_bool *cancelled, uint32_t timeout_ms,
    struct ph_stream **stream_out, struct ph_error *error);
void ph_stream_destroy(struct ph_stream **stream); /* closes; an unfinished one is aborted */

/* ---- holder side: a server with its own threads ---- */
struct ph_stream_server;

struct ph_stream_server_config {
    const struct ph_identity_file *identity; /* borrowed for the server's life */
    const char *listen;                      /* tcp://ADDR:PORT, port may be * */
    const char *directory;                   /* the agent's DIR; copied */
    int receives_parallel;                   /* 0: 4; more wait with credit 0 */
    /* Called on a receive thread when a copy is complete and durable. */
    void (*received)(void *context, const char *pool, int64_t epoch, int64_t sequence);
    /* Called on the server's thread: a message (votes, relay) of one of the peers. NULL: ignored. */
    void (*message)(void *context, const char *node, const char *text, size_t bytes);
    /* The driver by name, or NULL (ph_pool_driver_find). */
    const struct ph_pool_driver *(*find_driver)(const char *name);
    void *context;
};
int ph_stream_server_start(const struct ph_stream_server_config *config,
    struct ph_stream_server **server_out, struct ph_error *error);
const char *ph_stream_server_endpoint(const struct ph_stream_server *server);
/* From now on data for order->pool is accepted from order->sources at order->epoch or higher (kind
 * hold; quick, though a receive that is no longer allowed is told to end), or from nobody (any other
 * kind; a receive under way is aborted and waited for). 0, -ENOMEM (then from nobody). */
int ph_stream_server_allow(struct ph_stream_server *server, const struct ph_order *order);
/* From now on messages beside streams are taken from peers->witnesses. 0, -ENOMEM (as before). */
int ph_stream_server_peers(struct ph_stream_server *server, const struct ph_voter_list *peers);
void ph_stream_server_stop(struct ph_stream_server **server);

#endif
