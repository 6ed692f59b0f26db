/* From the peer to the local reader: checks of what arrives, the queue, credit given back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/stream/flow.h"
#include "base/clock.h"

#define SMALL_BYTES (4 * 1024) /* payloads up to this are gathered in one block: a queue of */
#define GATHER_BYTES (4 * SMALL_BYTES) /* single bytes must not cost a frame each */
#define CREDIT_STEP (PH_STREAM_CREDIT_BYTES / 4)
#define CREDIT_MAX ((int64_t)1 << 40)

void ph_flow_grant(struct ph_stream *stream, int64_t bytes)
{
    struct ph_stream_credit credit = {.stream = stream->open.stream, .bytes = bytes};

    if (ph_flow_say(stream, PH_MSG_STREAM_CREDIT, &credit) == 0)
        stream->in_window += bytes;
    else
        stream->in_owed += bytes;
}

static void give_back(struct ph_stream *stream, int64_t bytes)
{
    stream->in_owed += bytes;
    if (stream->in_owed >= CREDIT_STEP && !stream->in_ended) {
        int64_t owed = stream->in_owed;
        stream->in_owed = 0;
        ph_flow_grant(stream, owed);
    }
}

static void drop_first(struct ph_stream *stream)
{
    struct ph_stream_block *block = stream->in_first;

    stream->in_first = block->next;
    if (stream->in_first == NULL)
        stream->in_last = NULL;
    zmq_msg_close(&block->message);
    free(block);
}

void ph_flow_drain(struct ph_stream *stream)
{
    while (stream->in_first != NULL) {
        struct ph_stream_block *block = stream->in_first;
        const char *bytes = zmq_msg_data(&block->message);
        size_t left = block->filled - block->taken;
        ssize_t sent = (ssize_t)left;

        if (!stream->in_discard)
            sent = send(stream->pump_fd, bytes + block->taken, left, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return;
        if (sent < 0) {
            /* The tool here has ended reading. Whether that is right, its driver knows. */
            stream->in_discard = true;
            continue;
        }
        block->taken += (size_t)sent;
        stream->in_queued -= sent;
        if (block->taken == block->filled)
            drop_first(stream);
        give_back(stream, sent);
    }
    if (stream->in_ended && !stream->in_shut) {
        stream->in_shut = true;
        shutdown(stream->pump_fd, SHUT_WR);
    }
}

static struct ph_stream_block *add_block(struct ph_stream *stream)
{
    struct ph_stream_block *block = calloc(1, sizeof *block);

    if (block == NULL)
        return NULL;
    if (stream->in_last != NULL)
        stream->in_last->next = block;
    else
        stream->in_first = block;
    stream->in_last = block;
    zmq_msg_init(&block->message);
    return block;
}

static int enqueue(struct ph_stream *stream, struct ph_wire_message *wire)
{
    struct ph_stream_block *last = stream->in_last;
    size_t bytes = wire->payload_bytes;

    if (bytes > SMALL_BYTES) {
        last = add_block(stream);
        if (last == NULL || zmq_msg_move(&last->message, wire->frames[1]) != 0)
            return -ENOMEM;
        last->filled = bytes;
        return 0;
    }
    if (last == NULL || last->room < last->filled + bytes) {
        last = add_block(stream);
        if (last == NULL || zmq_msg_init_size(&last->message, GATHER_BYTES) != 0)
            return -ENOMEM;
        last->room = GATHER_BYTES;
    }
    memcpy((char *)zmq_msg_data(&last->message) + last->filled, wire->payload, bytes);
    last->filled += bytes;
    return 0;
}

static void data(
    struct ph_stream *stream, const struct ph_stream_data *body, struct ph_wire_message *wire)
{
    int64_t bytes = (int64_t)wire->payload_bytes;

    if (body->offset != stream->in_offset) {
        ph_flow_abort(stream, true, "bytes were lost: offset %lld came where %lld was due",
            (long long)body->offset, (long long)stream->in_offset);
        return;
    }
    if (bytes == 0)
        return; /* only to be heard */
    if (stream->in_ended || bytes > stream->in_window) {
        ph_flow_abort(stream, true, "%lld bytes came where %lld were allowed", (long long)bytes,
            (long long)(stream->in_ended ? 0 : stream->in_window));
        return;
    }
    if (enqueue(stream, wire) != 0) {
        ph_flow_abort(stream, true, "out of memory");
        return;
    }
    stream->in_offset += bytes;
    stream->in_window -= bytes;
    stream->in_queued += bytes;
    ph_flow_count(stream, bytes);
    ph_flow_drain(stream);
}

static void closed(struct ph_stream *stream, struct ph_stream_close *body)
{
    char shown[512];

    atomic_store(&stream->spoilt, body->spoilt);
    if (!body->complete) {
        ph_text_printable(shown, sizeof shown,
            body->reason != NULL ? body->reason : "the other node gave no reason");
        ph_flow_abort(stream, false, "%s", shown);
        return;
    }
    if (!stream->opener && !stream->in_ended) {
        ph_flow_abort(stream, true, "it was closed before its end");
        return;
    }
    pthread_mutex_lock(&stream->lock);
    if (!stream->theirs_set) {
        stream->theirs = *body;
        memset(body, 0, sizeof *body); /* its texts are ours now */
        stream->theirs_set = true;
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
}

void ph_flow_message(
    struct ph_stream *stream, const struct ph_message *message, struct ph_wire_message *wire)
{
    stream->heard_ms = ph_clock_boot_ms();
    if (ph_flow_aborted(stream))
        return;
    if (message->type == PH_MSG_STREAM_DATA) {
        data(stream, message->body, wire);
    } else if (message->type == PH_MSG_STREAM_CREDIT) {
        const struct ph_stream_credit *credit = message->body;
        if (credit->bytes > CREDIT_MAX - stream->out_credit)
            ph_flow_abort(
                stream, true, "%lld bytes of credit are too many", (long long)credit->bytes);
        else
            stream->out_credit += credit->bytes;
    } else if (message->type == PH_MSG_STREAM_END) {
        const struct ph_stream_end *end = message->body;
        if (end->bytes != stream->in_offset) {
            ph_flow_abort(stream, true, "bytes were lost: %lld arrived of %lld",
                (long long)stream->in_offset, (long long)end->bytes);
        } else {
            stream->in_ended = true;
            ph_flow_drain(stream);
        }
    } else if (message->type == PH_MSG_STREAM_CLOSE) {
        closed(stream, message->body);
    }
}
