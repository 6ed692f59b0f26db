/*
 * One stream: its credit, its offsets and its socketpair. Private to agent/stream.
 *
 * Two threads touch a stream: the pump (the connection's own thread at the opener, the server's loop at
 * the holder) and the driver's. What they share is under `lock`; all else is the pump's.
 *
 * Invariant: bytes queued here for the local reader <= PH_STREAM_CREDIT_BYTES, because no more credit
 * than that is ever open; a peer that sends beyond its credit is aborted.
 */
#ifndef PH_STREAM_FLOW_H
#define PH_STREAM_FLOW_H

#include <pthread.h>
#include <stdbool.h>
#include <zmq.h>
#include "agent/stream/pace.h"
#include "agent/stream/stream.h"
#include "proto/message.h"
#include "proto/wire/wire.h"

/* How messages leave. *payload (may be NULL) is taken over when 0 is returned; it is the caller's
 * still at -EAGAIN (no room now) and any other error (the peer is gone). */
struct ph_stream_link {
    int (*send)(void *context, const char *text, size_t bytes, zmq_msg_t *payload);
    void *context;
};

/* Received bytes that the local reader has not taken yet: a frame as it came, or small ones gathered. */
struct ph_stream_block {
    struct ph_stream_block *next;
    zmq_msg_t message;
    size_t filled, taken;
    size_t room; /* 0: a frame as it came */
};

struct ph_stream {
    int driver_fd, pump_fd; /* the socketpair */
    int wake_fd;            /* write end of the pump's wake-up pipe; borrowed */
    struct ph_stream_link link;
    struct ph_stream_open open;
    struct ph_stream_opened opened;
    char peer[PH_NAME_BYTES_MAX + 1];
    const atomic_bool *cancelled;
    _Atomic int64_t bytes;
    _Atomic(_Atomic int64_t *) counter;
    _Atomic int64_t spoilt; /* of the peer's close */

    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool aborted;
    char reason[PH_TEXT_BYTES_MAX];
    bool mine_set, mine_after_data; /* `mine` is to be sent: at once, or behind all data */
    struct ph_stream_close mine;
    bool theirs_set;
    struct ph_stream_close theirs;
    struct ph_pace *paces[2]; /* the pool's, the node's; set once */

    /* the pump's own */
    bool opener; /* else the holder's end */
    bool mine_sent;
    char *scratch;  /* PH_STREAM_CHUNK_BYTES to read into; NULL while the last went out as it was */
    zmq_msg_t held; /* a chunk that the connection had no room for */
    bool holding;
    int64_t held_bytes;
    int64_t out_credit, out_offset;
    uint64_t paced_until_ms; /* nothing is read here before: a limit is reached; 0: none is */
    bool out_ended;          /* end of file read here */
    bool end_sent;
    struct ph_stream_block *in_first, *in_last;
    int64_t in_queued; /* bytes in the blocks */
    int64_t in_offset; /* of the next byte from the peer */
    int64_t in_window; /* what the peer may still send */
    int64_t in_owed;   /* consumed, and not given back as credit yet */
    bool in_ended;     /* the peer said end */
    bool in_shut;      /* ... and the local reader was told */
    bool in_discard;   /* nobody reads here any more */
    uint64_t heard_ms, sent_ms;
};

int ph_flow_init(struct ph_stream *stream, const struct ph_stream_open *open,
    const struct ph_stream_link *link, int wake_fd, const atomic_bool *cancelled);
void ph_flow_fini(struct ph_stream *stream);

/* ---- the pump ---- */
short ph_flow_events(const struct ph_stream *stream);       /* to poll pump_fd for */
void ph_flow_local(struct ph_stream *stream, short events); /* moves what can be moved */
/* A data, credit, end or close message of this stream. The payload's frame may be taken over. */
void ph_flow_message(
    struct ph_stream *stream, const struct ph_message *message, struct ph_wire_message *wire);
/* Sends what is due and looks at clocks and the cancel flag. */
void ph_flow_tick(struct ph_stream *stream, uint64_t now_ms);
/* Allows the peer `bytes` more. */
void ph_flow_grant(struct ph_stream *stream, int64_t bytes);
/* Ends it both ways; the peer is told unless it is gone. Any thread may, with tell false. */
void ph_flow_abort(struct ph_stream *stream, bool tell, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
bool ph_flow_aborted(struct ph_stream *stream);

/* Encodes and sends. */
int ph_flow_send(const struct ph_stream_link *link, enum ph_message_type type, const void *body,
    zmq_msg_t *payload);

/* Between flow.c and inbound.c. */
void ph_flow_drain(struct ph_stream *stream);
void ph_flow_count(struct ph_stream *stream, int64_t bytes);
int ph_flow_say(struct ph_stream *stream, enum ph_message_type type, const void *body);

/* ---- the driver's thread ---- */
void ph_flow_wake(const struct ph_stream *stream);
/* Says `mine` (copied), once; a later one is ignored. */
void ph_flow_close(struct ph_stream *stream, const struct ph_stream_close *mine, bool after_data);

/* A pipe with both ends non-blocking and close-on-exec. */
int ph_wake_pipe(int fds[2]);
void ph_wake_drain(int fd);

#endif
