#include "agent/stream/flow.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/clock.h"

#define KEEP_ALIVE_MS 1000
#define SOCKET_BYTES (1024 * 1024)
#define READS_PER_TURN 8
#define PACE_MS 10                 /* between two looks whether a limit leaves room */
#define COPY_BYTES_MAX (32 * 1024) /* smaller chunks are copied, larger ones handed over */

int ph_wake_pipe(int fds[2])
{
    if (pipe(fds) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(fds[i], F_SETFL, O_NONBLOCK);
    }
    return 0;
}

void ph_wake_drain(int fd)
{
    char bytes[64];
    while (read(fd, bytes, sizeof bytes) > 0)
        ;
}

void ph_flow_wake(const struct ph_stream *stream)
{
    ssize_t written = write(stream->wake_fd, "", 1); /* full: it is going to wake up anyway */
    (void)written;
}

static int socket_pair(int fds[2])
{
    int size = SOCKET_BYTES;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        /* Fewer turns of the pump; a smaller limit of the system is as good. */
        setsockopt(fds[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
        setsockopt(fds[i], SOL_SOCKET, SO_RCVBUF, &size, sizeof size);
    }
    return 0;
}

int ph_flow_init(struct ph_stream *stream, const struct ph_stream_open *open,
    const struct ph_stream_link *link, int wake_fd, const atomic_bool *cancelled)
{
    pthread_condattr_t attributes;
    int fds[2];
    int rv = socket_pair(fds);

    if (rv != 0)
        return rv;
    memset(stream, 0, sizeof *stream);
    stream->driver_fd = fds[0];
    stream->pump_fd = fds[1];
    stream->wake_fd = wake_fd;
    stream->link = *link;
    stream->cancelled = cancelled;
    stream->heard_ms = stream->sent_ms = ph_clock_boot_ms();
    pthread_mutex_init(&stream->lock, NULL);
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&stream->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    rv = ph_record_copy(&ph_record_stream_open, &stream->open, open);
    if (rv != 0)
        ph_flow_fini(stream);
    return rv;
}

void ph_flow_fini(struct ph_stream *stream)
{
    while (stream->in_first != NULL) {
        struct ph_stream_block *block = stream->in_first;
        stream->in_first = block->next;
        zmq_msg_close(&block->message);
        free(block);
    }
    if (stream->holding)
        zmq_msg_close(&stream->held);
    free(stream->scratch);
    ph_pace_release(&stream->paces[0]);
    ph_pace_release(&stream->paces[1]);
    close(stream->driver_fd);
    close(stream->pump_fd);
    ph_record_fini(&ph_record_stream_open, &stream->open);
    ph_record_fini(&ph_record_stream_opened, &stream->opened);
    ph_record_fini(&ph_record_stream_close, &stream->mine);
    ph_record_fini(&ph_record_stream_close, &stream->theirs);
    pthread_cond_destroy(&stream->changed);
    pthread_mutex_destroy(&stream->lock);
}

int ph_flow_send(const struct ph_stream_link *link, enum ph_message_type type, const void *body,
    zmq_msg_t *payload)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(type, 0, body, &text, &bytes);

    if (rv == 0)
        rv = link->send(link->context, text, bytes, payload);
    free(text);
    return rv;
}

/* 0, or -EAGAIN: later. Anything else has aborted the stream. */
static int say(
    struct ph_stream *stream, enum ph_message_type type, const void *body, zmq_msg_t *payload)
{
    int rv = ph_flow_send(&stream->link, type, body, payload);

    if (rv == 0)
        stream->sent_ms = ph_clock_boot_ms();
    else if (rv == -ENOMEM)
        rv = -EAGAIN;
    else if (rv != -EAGAIN)
        ph_flow_abort(
            stream, false, "the connection to the other node was lost: %s", zmq_strerror(-rv));
    return rv;
}

bool ph_flow_aborted(struct ph_stream *stream)
{
    pthread_mutex_lock(&stream->lock);
    bool aborted = stream->aborted;
    pthread_mutex_unlock(&stream->lock);
    return aborted;
}

void ph_flow_abort(struct ph_stream *stream, bool tell, const char *format, ...)
{
    struct ph_stream_close close = {.stream = stream->open.stream, .reason = stream->reason};
    va_list arguments;
    bool first;

    pthread_mutex_lock(&stream->lock);
    first = !stream->aborted;
    if (first) {
        stream->aborted = true;
        va_start(arguments, format);
        ph_text_vformat(stream->reason, sizeof stream->reason, format, arguments);
        va_end(arguments);
        pthread_cond_broadcast(&stream->changed);
    }
    pthread_mutex_unlock(&stream->lock);
    if (!first)
        return;
    shutdown(stream->pump_fd, SHUT_RDWR);
    if (tell && !stream->mine_sent) {
        stream->mine_sent = true;
        (void)ph_flow_send(&stream->link, PH_MSG_STREAM_CLOSE, &close, NULL);
    }
}

void ph_flow_close(struct ph_stream *stream, const struct ph_stream_close *mine, bool after_data)
{
    pthread_mutex_lock(&stream->lock);
    if (!stream->mine_set && ph_record_copy(&ph_record_stream_close, &stream->mine, mine) == 0) {
        stream->mine.stream = stream->open.stream;
        stream->mine_set = true;
        stream->mine_after_data = after_data;
    }
    pthread_mutex_unlock(&stream->lock);
    ph_flow_wake(stream);
}

static void count(struct ph_stream *stream, int64_t bytes)
{
    _Atomic int64_t *counter = atomic_load(&stream->counter);
    int64_t now = atomic_fetch_add(&stream->bytes, bytes) + bytes;

    if (counter != NULL)
        atomic_store(counter, now);
}

/* ---- from the peer to the local reader: inbound.c; from the local writer to the peer ---- */

static void free_chunk(void *data, void *hint)
{
    (void)hint;
    free(data);
}

/* Puts what was read into a frame, without a copy when it is large. */
static int make_chunk(struct ph_stream *stream, size_t bytes, zmq_msg_t *chunk)
{
    if (bytes > COPY_BYTES_MAX) {
        if (zmq_msg_init_data(chunk, stream->scratch, bytes, free_chunk, NULL) != 0)
            return -ENOMEM;
        stream->scratch = NULL;
        return 0;
    }
    if (zmq_msg_init_size(chunk, bytes) != 0)
        return -ENOMEM;
    memcpy(zmq_msg_data(chunk), stream->scratch, bytes);
    return 0;
}

/* Sends the chunk held. False: no room yet, or aborted. */
static bool send_held(struct ph_stream *stream)
{
    struct ph_stream_data data = {.stream = stream->open.stream, .offset = stream->out_offset};

    if (say(stream, PH_MSG_STREAM_DATA, &data, &stream->held) != 0)
        return false;
    stream->holding = false;
    stream->out_offset += stream->held_bytes;
    count(stream, stream->held_bytes);
    return true;
}

/* What the limits leave of what is wanted. 0: nothing now, and paced_until_ms says so. */
static size_t paced(struct ph_stream *stream, struct ph_pace *const paces[2], size_t wanted)
{
    uint64_t now_ms = ph_clock_boot_ms();
    int64_t room = ph_pace_room(paces[0], now_ms, (int64_t)wanted);

    room = ph_pace_room(paces[1], now_ms, room);
    stream->paced_until_ms = room > 0 || wanted == 0 ? 0 : now_ms + PACE_MS;
    return (size_t)room;
}

/* One chunk from the local end. False: nothing there, no credit or no room. */
static bool read_chunk(struct ph_stream *stream)
{
    size_t wanted = stream->out_credit < PH_STREAM_CHUNK_BYTES ? (size_t)stream->out_credit
                                                               : PH_STREAM_CHUNK_BYTES;
    struct ph_pace *paces[2];
    size_t have = 0;

    pthread_mutex_lock(&stream->lock);
    memcpy(paces, stream->paces, sizeof paces);
    pthread_mutex_unlock(&stream->lock);
    wanted = paced(stream, paces, wanted);
    if (stream->out_ended || stream->holding || wanted == 0)
        return false;
    if (stream->scratch == NULL && (stream->scratch = malloc(PH_STREAM_CHUNK_BYTES)) == NULL)
        return false;
    while (have < wanted) {
        ssize_t got = recv(stream->pump_fd, stream->scratch + have, wanted - have, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            break;
        if (got <= 0) {
            stream->out_ended = true;
            break;
        }
        have += (size_t)got;
    }
    if (have == 0)
        return false;
    if (make_chunk(stream, have, &stream->held) != 0) {
        ph_flow_abort(stream, true, "out of memory"); /* the bytes read would be lost */
        return false;
    }
    stream->holding = true;
    stream->held_bytes = (int64_t)have;
    ph_pace_spend(paces[0], stream->held_bytes);
    ph_pace_spend(paces[1], stream->held_bytes);
    stream->out_credit -= (int64_t)have;
    return send_held(stream);
}

short ph_flow_events(const struct ph_stream *stream)
{
    short events = 0;

    bool paced_now = stream->paced_until_ms > ph_clock_boot_ms();
    if (!stream->out_ended && !stream->holding && stream->out_credit > 0 && !paced_now)
        events |= ZMQ_POLLIN;
    if (stream->in_queued > 0 && !stream->in_discard)
        events |= ZMQ_POLLOUT;
    return events;
}

void ph_flow_local(struct ph_stream *stream, short events)
{
    if (ph_flow_aborted(stream))
        return;
    if (stream->holding)
        (void)send_held(stream);
    if ((events & ZMQ_POLLOUT) != 0)
        ph_flow_drain(stream);
    for (int turn = 0; (events & ZMQ_POLLIN) != 0 && turn < READS_PER_TURN; turn++) {
        if (!read_chunk(stream))
            break;
    }
}

/* ---- what is due ---- */

/* Sends the end of data and the close, when their time has come. */
static void say_end(struct ph_stream *stream)
{
    struct ph_stream_close mine;
    bool ready, after_data;

    if (stream->out_ended && !stream->holding && !stream->end_sent) {
        struct ph_stream_end end = {.stream = stream->open.stream, .bytes = stream->out_offset};
        stream->end_sent = say(stream, PH_MSG_STREAM_END, &end, NULL) == 0;
    }
    if (stream->mine_sent)
        return;
    pthread_mutex_lock(&stream->lock);
    ready = stream->mine_set;
    after_data = stream->mine_after_data;
    mine = stream->mine; /* borrowed: set once, freed only at the end of the stream */
    pthread_mutex_unlock(&stream->lock);
    if (ready && (!after_data || stream->end_sent))
        stream->mine_sent = say(stream, PH_MSG_STREAM_CLOSE, &mine, NULL) == 0;
    if (stream->mine_sent && !mine.complete)
        ph_flow_abort(stream, false, "%s", mine.reason != NULL ? mine.reason : "it failed here");
}

void ph_flow_tick(struct ph_stream *stream, uint64_t now_ms)
{
    if (ph_flow_aborted(stream))
        return;
    if (stream->cancelled != NULL && atomic_load(stream->cancelled)) {
        ph_flow_abort(stream, true,
            stream->opener ? "cancelled by the owner" : "ended by the holder: its orders changed");
        return;
    }
    if (now_ms > stream->heard_ms + PH_STREAM_IDLE_MS) {
        ph_flow_abort(
            stream, false, "the other node has said nothing for %d ms", PH_STREAM_IDLE_MS);
        return;
    }
    if (stream->holding)
        (void)send_held(stream);
    say_end(stream);
    if (now_ms >= stream->sent_ms + KEEP_ALIVE_MS) {
        struct ph_stream_data nothing = {
            .stream = stream->open.stream, .offset = stream->out_offset};
        (void)say(stream, PH_MSG_STREAM_DATA, &nothing, NULL);
    }
}

void ph_flow_count(struct ph_stream *stream, int64_t bytes)
{
    count(stream, bytes);
}

int ph_flow_say(struct ph_stream *stream, enum ph_message_type type, const void *body)
{
    return say(stream, type, body, NULL);
}
