#include "agent/stream/server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/log.h"

#define POLL_MS 100
#define MESSAGES_PER_TURN 64

/* ---- the loop ---- */

static struct receive *find(
    struct ph_stream_server *server, const struct ph_wire_peer *peer, int64_t stream)
{
    for (struct receive *receive = server->receives; receive != NULL; receive = receive->next) {
        if (receive->stream.open.stream == stream &&
            receive->peer.routing_bytes == peer->routing_bytes &&
            memcmp(receive->peer.routing_id, peer->routing_id, peer->routing_bytes) == 0 &&
            strcmp(receive->peer.public_key, peer->public_key) == 0)
            return receive;
    }
    return NULL;
}

struct answer {
    struct ph_stream_server *server;
    const struct ph_wire_peer *peer;
};

static int send_answer(void *context, const char *text, size_t bytes, zmq_msg_t *payload)
{
    struct answer *answer = context;
    (void)payload;
    return ph_wire_server_send(answer->server->wire, answer->peer, text, bytes, NULL, 0);
}

static void refuse(struct ph_stream_server *server, const struct ph_wire_peer *peer, int64_t stream,
    struct refusal *refusal)
{
    struct answer answer = {.server = server, .peer = peer};
    struct ph_stream_link link = {.send = send_answer, .context = &answer};
    struct ph_stream_close close = {
        .stream = stream, .again = refusal->again, .reason = refusal->reason};

    (void)ph_flow_send(&link, PH_MSG_STREAM_CLOSE, &close, NULL);
}

static void take_message(
    struct ph_stream_server *server, struct ph_message *message, struct ph_wire_message *wire)
{
    struct refusal refusal = {.reason = "no such stream is open here"};
    struct receive *receive;
    int64_t stream;

    if (ph_server_peer_message(server, message, wire))
        return;
    if (message->type < PH_MSG_STREAM_OPEN || message->type > PH_MSG_STREAM_CLOSE)
        return;
    memcpy(&stream, message->body, sizeof stream); /* the first field of every stream message */
    receive = find(server, &wire->peer, stream);
    if (message->type == PH_MSG_STREAM_OPEN) {
        if (receive == NULL &&
            ph_receive_start(server, &wire->peer, message->body, &refusal) != 0) {
            ph_log(refusal.again ? PH_LOG_DEBUG : PH_LOG_WARNING, "stream_refused",
                "key=%s reason=%s", wire->peer.public_key, refusal.reason);
            refuse(server, &wire->peer, stream, &refusal);
        }
    } else if (receive != NULL) {
        ph_flow_message(&receive->stream, message, wire);
    } else if (message->type != PH_MSG_STREAM_CLOSE) {
        refuse(server, &wire->peer, stream, &refusal);
    }
}

static void take_messages(struct ph_stream_server *server)
{
    struct ph_wire_message wire;

    for (int count = 0; count < MESSAGES_PER_TURN; count++) {
        struct ph_message message = {.body = NULL};
        struct ph_error error = {.code = PH_OK};

        if (ph_wire_server_receive(server->wire, &wire) != 0)
            return;
        if (ph_message_decode(wire.text, wire.bytes, &message, &error) == 0)
            take_message(server, &message, &wire);
        else
            ph_log(PH_LOG_WARNING, "stream_message_malformed", "key=%s reason=%s",
                wire.peer.public_key, error.message);
        ph_message_fini(&message);
    }
}

/* Tells the opener what the thread has found and when it may send. */
static void tell_opened(struct receive *receive)
{
    struct ph_stream *stream = &receive->stream;
    bool opened_set, slot;

    pthread_mutex_lock(&receive->server->lock);
    opened_set = receive->opened_set;
    slot = receive->slot;
    pthread_mutex_unlock(&receive->server->lock);
    if (opened_set && !receive->opened_sent) {
        int64_t credit = slot ? PH_STREAM_CREDIT_BYTES : 0;
        stream->opened.stream = stream->open.stream;
        stream->opened.credit = credit;
        if (ph_flow_say(stream, PH_MSG_STREAM_OPENED, &stream->opened) != 0)
            return;
        receive->opened_sent = true;
        receive->granted = slot;
        stream->in_window = credit;
    } else if (receive->opened_sent && slot && !receive->granted) {
        receive->granted = true;
        ph_flow_grant(stream, PH_STREAM_CREDIT_BYTES);
    }
}

/* Sends what is due; takes out what has ended. */
static void tick(struct ph_stream_server *server)
{
    struct receive **link = &server->receives;
    uint64_t now_ms = ph_clock_boot_ms();

    while (*link != NULL) {
        struct receive *receive = *link;
        bool ended, aborted;

        if (!ph_flow_aborted(&receive->stream))
            tell_opened(receive);
        pthread_mutex_lock(&server->lock);
        ended = receive->ended; /* first: the close set before it is then sent below */
        pthread_mutex_unlock(&server->lock);
        ph_flow_tick(&receive->stream, now_ms);
        aborted = ph_flow_aborted(&receive->stream);
        pthread_mutex_lock(&server->lock);
        if (aborted) {
            atomic_store(&receive->cancelled, true); /* the driver need not wait for its tool */
            pthread_cond_broadcast(&server->changed);
        }
        if (ended && (aborted || receive->stream.mine_sent)) {
            *link = receive->next;
            server->receive_count--;
            pthread_cond_broadcast(&server->changed);
        } else {
            receive = NULL;
            link = &(*link)->next;
        }
        pthread_mutex_unlock(&server->lock);
        if (receive != NULL)
            ph_receive_destroy(receive);
    }
}

static size_t poll_set(struct ph_stream_server *server, zmq_pollitem_t *items,
    struct receive **polled, long *timeout_ms)
{
    size_t count = 3;

    items[0] =
        (zmq_pollitem_t){.socket = ph_wire_server_socket(server->wire), .events = ZMQ_POLLIN};
    items[1] =
        (zmq_pollitem_t){.socket = ph_wire_server_zap_socket(server->wire), .events = ZMQ_POLLIN};
    items[2] = (zmq_pollitem_t){.fd = server->wake[0], .events = ZMQ_POLLIN};
    for (struct receive *receive = server->receives; receive != NULL; receive = receive->next) {
        short events = ph_flow_events(&receive->stream);
        if (receive->stream.holding)
            *timeout_ms = 5;
        if (events == 0 || ph_flow_aborted(&receive->stream))
            continue;
        polled[count] = receive;
        items[count++] = (zmq_pollitem_t){.fd = receive->stream.pump_fd, .events = events};
    }
    return count;
}

static void *loop(void *argument)
{
    struct ph_stream_server *server = argument;
    zmq_pollitem_t items[PH_STREAMS_MAX + 3];
    struct receive *polled[PH_STREAMS_MAX + 3];

    while (!atomic_load(&server->stop) || server->receives != NULL) {
        long timeout_ms = server->receives != NULL ? POLL_MS : 10 * POLL_MS;
        size_t count = poll_set(server, items, polled, &timeout_ms);

        if (zmq_poll(items, (int)count, timeout_ms) < 0 && zmq_errno() != EINTR) {
            ph_log(PH_LOG_ERROR, "stream_poll", "error=%s", zmq_strerror(zmq_errno()));
            continue;
        }
        if ((items[2].revents & ZMQ_POLLIN) != 0)
            ph_wake_drain(server->wake[0]);
        if ((items[1].revents & ZMQ_POLLIN) != 0)
            ph_wire_server_zap(server->wire);
        for (size_t i = 3; i < count; i++)
            ph_flow_local(&polled[i]->stream, items[i].revents);
        take_messages(server);
        tick(server);
    }
    return NULL;
}

/* ---- the outside ---- */

static bool accept_key(void *context, const char *key)
{
    return ph_server_knows(context, key) || ph_server_is_peer(context, key);
}

int ph_stream_server_start(const struct ph_stream_server_config *config,
    struct ph_stream_server **server_out, struct ph_error *error)
{
    struct ph_stream_server *server = calloc(1, sizeof *server);
    int rv = server == NULL ? -ENOMEM : ph_wake_pipe(server->wake);

    if (rv != 0) {
        free(server);
        ph_error_set(error, PH_FAILED, NULL, "the data channel: %s", strerror(-rv));
        return rv;
    }
    struct ph_wire_server_config wire = {.listen = config->listen,
        .public_key = config->identity->public_key,
        .secret_key = config->identity->secret_key,
        .expected = PH_STREAMS_MAX,
        .accept = accept_key,
        .context = server};
    server->config = *config;
    ph_text_format(server->directory, sizeof server->directory, "%s", config->directory);
    pthread_mutex_init(&server->lock, NULL);
    pthread_cond_init(&server->changed, NULL);
    rv = ph_wire_server_new(&wire, &server->wire, error);
    if (rv == 0) {
        rv = -pthread_create(&server->thread, NULL, loop, server);
        server->running = rv == 0;
        if (rv != 0)
            ph_error_set(error, PH_FAILED, NULL, "the data channel: %s", strerror(-rv));
    }
    if (rv != 0)
        ph_stream_server_stop(&server);
    *server_out = server;
    return rv;
}

const char *ph_stream_server_endpoint(const struct ph_stream_server *server)
{
    return ph_wire_server_endpoint(server->wire);
}

static void forget(struct ph_stream_server *server, const char *pool)
{
    void *order = ph_map_remove(&server->allowed, pool);
    ph_record_destroy(&ph_record_order, &order);
}

static bool is_receiving(const struct ph_stream_server *server, const char *pool)
{
    for (const struct receive *receive = server->receives; receive != NULL; receive = receive->next)
        if (strcmp(receive->pool.name, pool) == 0)
            return true;
    return false;
}

static void wake(struct ph_stream_server *server)
{
    ssize_t written = write(server->wake[1], "", 1);
    (void)written;
}

int ph_stream_server_allow(struct ph_stream_server *server, const struct ph_order *order)
{
    const char *pool = order->pool.name;
    struct ph_order *copy = NULL;
    int rv = 0;

    pthread_mutex_lock(&server->lock);
    forget(server, pool);
    if (order->kind == PH_ORDER_HOLD) {
        copy = ph_record_new_copy(&ph_record_order, order);
        rv = copy == NULL ? -ENOMEM : ph_map_put(&server->allowed, copy->pool.name, copy);
        if (rv != 0) {
            void *unused = copy;
            ph_record_destroy(&ph_record_order, &unused);
            copy = NULL;
        }
    }
    ph_receives_cancel(server, pool, copy);
    wake(server);
    while (order->kind != PH_ORDER_HOLD && is_receiving(server, pool))
        pthread_cond_wait(&server->changed, &server->lock);
    pthread_mutex_unlock(&server->lock);
    return rv;
}

void ph_stream_server_stop(struct ph_stream_server **server_in)
{
    struct ph_stream_server *server = *server_in;

    if (server == NULL)
        return;
    pthread_mutex_lock(&server->lock);
    while (server->allowed.count > 0)
        forget(server, server->allowed.items[0].key);
    ph_receives_cancel(server, NULL, NULL);
    pthread_mutex_unlock(&server->lock);
    atomic_store(&server->stop, true);
    wake(server);
    if (server->running)
        pthread_join(server->thread, NULL);
    ph_wire_server_destroy(&server->wire);
    ph_map_fini(&server->allowed);
    ph_record_fini(&ph_record_voter_list, &server->peers);
    pthread_cond_destroy(&server->changed);
    pthread_mutex_destroy(&server->lock);
    close(server->wake[0]);
    close(server->wake[1]);
    free(server);
    *server_in = NULL;
}
