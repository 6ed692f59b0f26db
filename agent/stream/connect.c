/* The owner's side: one connection and one pump thread per stream. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "agent/stream/flow.h"
#include "base/clock.h"

#define POLL_MS 100
#define MESSAGES_PER_TURN 64
#define FIRST_TRY_MS 300 /* a refused key is not tried again by libzmq, so a new socket is */
#define TRY_MS_MAX 2400
#define AGAIN_MS 3000 /* how long a refusal for the moment is met with another try */
#define AGAIN_PAUSE_MS 50
#define LOST_MS 500 /* no room to send for so long: the connection is gone */

struct opener {
    struct ph_stream stream; /* first: ph_stream_destroy() gets its address */
    struct ph_wire_client *wire;
    int wake[2];
    pthread_t thread;
    bool running;
    atomic_bool stop;
    uint64_t writable_ms;
};

static int send_frames(void *context, const char *text, size_t bytes, zmq_msg_t *payload)
{
    struct opener *opener = context;
    void *socket = ph_wire_client_socket(opener->wire);

    if (payload == NULL)
        return ph_wire_client_send(opener->wire, text, bytes, NULL, 0);
    while (zmq_send(socket, text, bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
        if (zmq_errno() != EINTR)
            return -zmq_errno();
    }
    while (zmq_msg_send(payload, socket, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() != EINTR)
            return -zmq_errno();
    }
    return 0;
}

static bool is_writable(struct opener *opener)
{
    int events = 0;
    size_t size = sizeof events;

    return zmq_getsockopt(ph_wire_client_socket(opener->wire), ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLOUT) != 0;
}

/* ---- the pump ---- */

static void take_messages(struct opener *opener)
{
    struct ph_wire_message wire;
    struct ph_message message;
    struct ph_error error;

    for (int count = 0; count < MESSAGES_PER_TURN; count++) {
        if (ph_wire_client_receive(opener->wire, &wire) != 0)
            return;
        memset(&message, 0, sizeof message);
        if (ph_message_decode(wire.text, wire.bytes, &message, &error) != 0) {
            ph_flow_abort(&opener->stream, true, "a message was malformed: %s", error.message);
        } else {
            const int64_t *stream = message.body; /* the first field of every stream message */
            if (message.type != PH_MSG_STREAM_OPENED && *stream == opener->stream.open.stream)
                ph_flow_message(&opener->stream, &message, &wire);
        }
        ph_message_fini(&message);
    }
}

static void *pump(void *argument)
{
    struct opener *opener = argument;
    struct ph_stream *stream = &opener->stream;

    while (!atomic_load(&opener->stop)) {
        zmq_pollitem_t items[3] = {
            {.socket = ph_wire_client_socket(opener->wire), .events = ZMQ_POLLIN},
            {.fd = opener->wake[0], .events = ZMQ_POLLIN},
            {.fd = stream->pump_fd, .events = ph_flow_events(stream)}};
        bool local = items[2].events != 0 && !ph_flow_aborted(stream);

        bool soon = stream->holding || stream->paced_until_ms != 0;
        if (zmq_poll(items, local ? 3 : 2, soon ? 5 : POLL_MS) < 0 && zmq_errno() != EINTR)
            ph_flow_abort(stream, false, "poll: %s", zmq_strerror(zmq_errno()));
        if ((items[1].revents & ZMQ_POLLIN) != 0)
            ph_wake_drain(opener->wake[0]);
        take_messages(opener);
        short happened = 0;
        if (local)
            happened = items[2].revents;
        ph_flow_local(stream, happened);
        uint64_t now_ms = ph_clock_boot_ms();
        ph_flow_tick(stream, now_ms);
        if (is_writable(opener))
            opener->writable_ms = now_ms;
        else if (now_ms > opener->writable_ms + LOST_MS)
            ph_flow_abort(stream, false, "the connection to %s was lost", stream->peer);
    }
    ph_flow_abort(stream, true, "the owner ended the copy"); /* unless it was closed */
    return NULL;
}

/* ---- opening ---- */

struct attempt {
    struct opener *opener;
    const struct ph_identity_file *identity;
    const struct ph_peer *peer;
    const atomic_bool *cancelled;
    uint64_t deadline_ms;
    struct ph_error *error;
};

static bool is_cancelled(const struct attempt *attempt)
{
    return attempt->cancelled != NULL && atomic_load(attempt->cancelled);
}

/* Waits for one event of the socket, in steps so that a cancellation is seen. */
static int wait_socket(const struct attempt *attempt, short events, uint64_t until_ms)
{
    if (until_ms > attempt->deadline_ms)
        until_ms = attempt->deadline_ms;
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        zmq_pollitem_t item = {
            .socket = ph_wire_client_socket(attempt->opener->wire), .events = events};

        if (is_cancelled(attempt)) {
            ph_error_set(attempt->error, PH_FAILED, NULL, "cancelled");
            return -ECANCELED;
        }
        if (zmq_poll(&item, 1, now_ms < until_ms && until_ms - now_ms < 20 ? 1 : 20) > 0)
            return 0;
        if (now_ms >= until_ms)
            return -ETIMEDOUT;
    }
}

/* A socket whose handshake is done. Refused keys (the order is still on its way to the holder) and
 * nodes that are not up yet are tried again until the deadline. */
static int connect_wire(struct attempt *attempt)
{
    struct opener *opener = attempt->opener;
    const struct ph_identity_file *identity = attempt->identity;
    uint64_t try_ms = FIRST_TRY_MS;
    int rv;

    do {
        ph_wire_client_destroy(&opener->wire);
        rv = ph_wire_client_new(attempt->peer->endpoint, attempt->peer->public_key,
            identity->public_key, identity->secret_key, &opener->wire, attempt->error);
        if (rv != 0)
            return rv;
        rv = wait_socket(attempt, ZMQ_POLLOUT, ph_clock_boot_ms() + try_ms);
        try_ms = try_ms < TRY_MS_MAX ? try_ms * 2 : try_ms;
    } while (rv == -ETIMEDOUT && ph_clock_boot_ms() < attempt->deadline_ms);
    if (rv == -ETIMEDOUT)
        ph_error_set(attempt->error, PH_UNREACHED, NULL,
            "%s did not let us in at %s: it is down, not reachable, or has no order to keep this "
            "pool's copy from here",
            attempt->peer->node, attempt->peer->endpoint);
    return rv;
}

/* Waits for the answer. -EAGAIN: refused for the moment. */
static int await_answer(struct attempt *attempt)
{
    struct ph_stream *stream = &attempt->opener->stream;
    struct ph_wire_message wire;
    struct ph_message message;
    int rv;

    for (;;) {
        rv = wait_socket(attempt, ZMQ_POLLIN, attempt->deadline_ms);
        if (rv == -ETIMEDOUT)
            ph_error_set(attempt->error, PH_UNREACHED, NULL, "%s did not answer in time",
                attempt->peer->node);
        if (rv != 0)
            return rv;
        if (ph_wire_client_receive(attempt->opener->wire, &wire) != 0)
            continue;
        memset(&message, 0, sizeof message);
        rv = ph_message_decode(wire.text, wire.bytes, &message, attempt->error);
        if (rv != 0)
            return rv;
        rv = 1;
        if (message.type == PH_MSG_STREAM_OPENED) {
            const struct ph_stream_opened *opened = message.body;
            if (opened->stream == stream->open.stream)
                rv = ph_record_copy(&ph_record_stream_opened, &stream->opened, opened);
        } else if (message.type == PH_MSG_STREAM_CLOSE) {
            const struct ph_stream_close *close = message.body;
            char shown[512];
            ph_text_printable(shown, sizeof shown, close->reason != NULL ? close->reason : "");
            if (close->stream == stream->open.stream) {
                ph_error_set(attempt->error, PH_NOT_ALLOWED, NULL, "%s refused: %s",
                    attempt->peer->node, shown);
                rv = close->again ? -EAGAIN : -EPERM;
            }
        }
        ph_message_fini(&message);
        if (rv <= 0)
            return rv;
    }
}

static void pause_ms(long milliseconds)
{
    struct timespec span = {.tv_nsec = milliseconds * 1000000};
    nanosleep(&span, NULL);
}

static int open_stream(struct attempt *attempt)
{
    struct ph_stream *stream = &attempt->opener->stream;
    uint64_t again_until_ms = ph_clock_boot_ms() + AGAIN_MS;
    int rv = connect_wire(attempt);

    while (rv == 0) {
        rv = ph_flow_send(&stream->link, PH_MSG_STREAM_OPEN, &stream->open, NULL);
        if (rv == 0)
            rv = await_answer(attempt);
        if (rv != -EAGAIN)
            break;
        if (ph_clock_boot_ms() >= again_until_ms || ph_clock_boot_ms() >= attempt->deadline_ms) {
            rv = -EPERM;
            break;
        }
        pause_ms(AGAIN_PAUSE_MS);
        /* Another number, so that a late answer to the last try is not taken for this one's. */
        stream->open.stream++;
        rv = is_writable(attempt->opener) ? 0 : connect_wire(attempt);
    }
    if (rv != 0)
        return rv;
    stream->out_credit = stream->opened.credit;
    stream->heard_ms = ph_clock_boot_ms();
    ph_flow_grant(stream, PH_STREAM_CREDIT_BYTES);
    return 0;
}

int ph_stream_connect(const struct ph_identity_file *identity, const struct ph_peer *peer,
    const struct ph_stream_open *open, const atomic_bool *cancelled, uint32_t timeout_ms,
    struct ph_stream **stream_out, struct ph_error *error)
{
    struct ph_error unused = {.code = PH_OK};
    struct opener *opener = calloc(1, sizeof *opener);
    struct ph_stream_link link = {.send = send_frames, .context = opener};
    struct attempt attempt = {.opener = opener,
        .identity = identity,
        .peer = peer,
        .cancelled = cancelled,
        .deadline_ms = ph_clock_boot_ms() + timeout_ms,
        .error = error != NULL ? error : &unused};
    int rv = opener == NULL ? -ENOMEM : ph_wake_pipe(opener->wake);

    if (rv == 0) {
        rv = ph_flow_init(&opener->stream, open, &link, opener->wake[1], cancelled);
        if (rv != 0) {
            close(opener->wake[0]);
            close(opener->wake[1]);
        }
    }
    if (rv != 0) {
        free(opener);
        ph_error_set(
            attempt.error, PH_FAILED, NULL, "a stream could not be made: %s", strerror(-rv));
        return rv;
    }
    struct ph_stream *stream = &opener->stream;
    stream->opener = true;
    stream->open.stream = open->stream > 0 ? open->stream : 1;
    ph_text_format(stream->peer, sizeof stream->peer, "%s", peer->node);
    opener->writable_ms = ph_clock_boot_ms();
    if (peer->endpoint == NULL || peer->public_key == NULL)
        rv = ph_error_set(attempt.error, PH_UNREACHED, NULL,
            "%s has told nobody yet where its data channel listens", peer->node);
    else
        rv = open_stream(&attempt);
    if (rv == 0) {
        rv = -pthread_create(&opener->thread, NULL, pump, opener);
        opener->running = rv == 0;
    }
    if (rv != 0)
        ph_stream_destroy(&stream);
    *stream_out = stream;
    return rv;
}

void ph_stream_destroy(struct ph_stream **stream)
{
    struct opener *opener = (struct opener *)(void *)*stream;

    if (opener == NULL)
        return;
    atomic_store(&opener->stop, true);
    ph_flow_wake(&opener->stream);
    if (opener->running)
        pthread_join(opener->thread, NULL);
    ph_wire_client_destroy(&opener->wire);
    ph_flow_fini(&opener->stream);
    close(opener->wake[0]);
    close(opener->wake[1]);
    free(opener);
    *stream = NULL;
}
