/* Who may send what here, and the receives under way. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/stream/server.h"
#include "base/log.h"

#define RECEIVES_PARALLEL 4

static bool names_key(const struct ph_order *order, const char *key)
{
    for (size_t i = 0; i < order->sources.count; i++) {
        const char *source = order->sources.items[i].public_key;
        if (source != NULL && strcmp(source, key) == 0)
            return true;
    }
    return false;
}

bool ph_server_knows(struct ph_stream_server *server, const char *key)
{
    bool known = false;

    pthread_mutex_lock(&server->lock);
    for (size_t i = 0; !known && i < server->allowed.count; i++)
        known = names_key(server->allowed.items[i].value, key);
    pthread_mutex_unlock(&server->lock);
    return known;
}

/* 0, or -EPERM with the reason. Lock held. */
static int check(const struct ph_stream_server *server, const struct ph_wire_peer *peer,
    const struct ph_stream_open *open, struct refusal *refusal)
{
    const struct ph_order *order = ph_map_get(&server->allowed, open->pool);

    if (order == NULL || !names_key(order, peer->public_key)) {
        refusal->again = true; /* our order may be under way */
        ph_text_format(refusal->reason, sizeof refusal->reason,
            "this node has no order to take data of pool %s from there", open->pool);
    } else if (open->epoch < order->epoch) {
        ph_text_format(refusal->reason, sizeof refusal->reason,
            "epoch %lld of pool %s is older than %lld, which this node was ordered to follow",
            (long long)open->epoch, open->pool, (long long)order->epoch);
    } else if (order->pool.driver[0] != '\0' && strcmp(order->pool.driver, open->driver) != 0) {
        refusal->again = true;
        ph_text_format(refusal->reason, sizeof refusal->reason,
            "pool %s was declared with driver %s, the data is of driver %s", open->pool,
            order->pool.driver, open->driver);
    } else if (server->receive_count >= PH_STREAMS_MAX) {
        refusal->again = true;
        ph_text_format(refusal->reason, sizeof refusal->reason,
            "%d streams are open here, which is the limit", PH_STREAMS_MAX);
    } else {
        return 0;
    }
    return -EPERM;
}

/* One receive per pool: an older one of an owner that has come back, or of an older epoch, must end
 * first. */
static bool pool_is_busy(struct ph_stream_server *server, const struct ph_wire_peer *peer,
    const struct ph_stream_open *open)
{
    for (struct receive *other = server->receives; other != NULL; other = other->next) {
        if (strcmp(other->pool.name, open->pool) != 0)
            continue;
        if (other->stream.open.epoch < open->epoch ||
            strcmp(other->peer.public_key, peer->public_key) == 0)
            atomic_store(&other->cancelled, true);
        return true;
    }
    return false;
}

void ph_receives_cancel(
    struct ph_stream_server *server, const char *pool, const struct ph_order *order)
{
    for (struct receive *receive = server->receives; receive != NULL; receive = receive->next) {
        if (pool != NULL && strcmp(receive->pool.name, pool) != 0)
            continue;
        if (order == NULL || !names_key(order, receive->peer.public_key) ||
            receive->stream.open.epoch < order->epoch)
            atomic_store(&receive->cancelled, true);
    }
    pthread_cond_broadcast(&server->changed);
}

/* Waits until fewer than receives_parallel are receiving. -ECANCELED. */
static int take_slot(struct receive *receive)
{
    struct ph_stream_server *server = receive->server;
    int parallel = server->config.receives_parallel;
    int rv = 0;

    parallel = parallel > 0 ? parallel : RECEIVES_PARALLEL;
    pthread_mutex_lock(&server->lock);
    receive->opened_set = true;
    ph_flow_wake(&receive->stream);
    while (server->receiving >= parallel && !atomic_load(&receive->cancelled) &&
           !ph_flow_aborted(&receive->stream))
        pthread_cond_wait(&server->changed, &server->lock);
    if (server->receiving >= parallel)
        rv = -ECANCELED;
    else {
        receive->slot = true;
        server->receiving++;
    }
    pthread_mutex_unlock(&server->lock);
    ph_flow_wake(&receive->stream);
    return rv;
}

static void end(struct receive *receive)
{
    struct ph_stream_server *server = receive->server;

    pthread_mutex_lock(&server->lock);
    if (receive->slot)
        server->receiving--;
    receive->ended = true;
    pthread_cond_broadcast(&server->changed);
    pthread_mutex_unlock(&server->lock);
    ph_flow_wake(&receive->stream);
}

static void *run(void *argument)
{
    struct receive *receive = argument;
    struct ph_stream_server *server = receive->server;
    const struct ph_stream_open *open = &receive->stream.open;
    struct ph_pool_context context = {.driver = receive->driver,
        .directory = server->directory,
        .pool = &receive->pool,
        .epoch = open->epoch,
        .cancelled = &receive->cancelled};
    struct ph_pool_data data = {.exists = false};
    struct ph_pool_copy copy = {.epoch = 0};
    struct ph_error error = {.code = PH_OK};
    int rv = receive->driver->inspect(&context, &data);

    if (rv != 0) {
        ph_error_set(&error, PH_FAILED, NULL, "what is here of pool %s cannot be read: %s",
            receive->pool.name, strerror(-rv));
    } else {
        receive->stream.opened.have_epoch = data.copy_epoch;
        receive->stream.opened.have_sequence = data.copy_sequence;
        rv = take_slot(receive);
    }
    if (rv == 0)
        rv = receive->driver->receive(&context, &receive->stream, open, &copy, &error);
    if (rv != 0 && error.message[0] == '\0')
        ph_error_set(&error, PH_FAILED, NULL, "%s",
            rv == -ECANCELED ? "the holder ended the copy" : strerror(-rv));
    struct ph_stream_close close = {.complete = rv == 0,
        .size = copy.bytes,
        .hash = copy.hash,
        .reason = error.message,
        .spoilt = copy.spoilt};
    if (rv == 0 && server->config.received != NULL)
        server->config.received(
            server->config.context, receive->pool.name, open->epoch, open->sequence);
    ph_log(rv == 0 ? PH_LOG_INFO : PH_LOG_WARNING, rv == 0 ? "copy_received" : "copy_not_received",
        "pool=%s epoch=%lld sequence=%lld stream_bytes=%lld reason=%s", receive->pool.name,
        (long long)open->epoch, (long long)open->sequence,
        (long long)ph_stream_bytes(&receive->stream), rv == 0 ? "" : error.message);
    ph_flow_close(&receive->stream, &close, false);
    end(receive);
    return NULL;
}

static int send_frames(void *context, const char *text, size_t bytes, zmq_msg_t *payload)
{
    struct receive *receive = context;
    void *router = ph_wire_server_socket(receive->server->wire);

    if (payload == NULL)
        return ph_wire_server_send(receive->server->wire, &receive->peer, text, bytes, NULL, 0);
    if (zmq_send(router, receive->peer.routing_id, receive->peer.routing_bytes,
            ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_send(router, text, bytes, ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0 ||
        zmq_msg_send(payload, router, ZMQ_DONTWAIT) < 0)
        return -zmq_errno();
    return 0;
}

int ph_receive_start(struct ph_stream_server *server, const struct ph_wire_peer *peer,
    const struct ph_stream_open *open, struct refusal *refusal)
{
    const struct ph_pool_driver *driver = server->config.find_driver(open->driver);
    struct receive *receive = NULL;
    int rv;

    memset(refusal, 0, sizeof *refusal);
    pthread_mutex_lock(&server->lock);
    rv = check(server, peer, open, refusal);
    if (rv == 0 && driver == NULL) {
        ph_text_format(
            refusal->reason, sizeof refusal->reason, "no pool driver %s here", open->driver);
        rv = -EPERM;
    }
    if (rv == 0 && pool_is_busy(server, peer, open)) {
        refusal->again = true;
        ph_text_format(refusal->reason, sizeof refusal->reason,
            "another copy of pool %s is being received", open->pool);
        pthread_cond_broadcast(&server->changed);
        rv = -EPERM;
    }
    if (rv == 0) {
        const struct ph_order *order = ph_map_get(&server->allowed, open->pool);
        receive = calloc(1, sizeof *receive);
        rv = receive == NULL ? -ENOMEM
                             : ph_record_copy(&ph_record_pool, &receive->pool, &order->pool);
    }
    pthread_mutex_unlock(&server->lock);
    if (rv == -EPERM)
        return rv;
    if (rv == 0) {
        struct ph_stream_link link = {.send = send_frames, .context = receive};
        receive->server = server;
        receive->peer = *peer;
        receive->driver = driver;
        ph_text_format(receive->pool.name, sizeof receive->pool.name, "%s", open->pool);
        rv = ph_flow_init(&receive->stream, open, &link, server->wake[1], &receive->cancelled);
    }
    if (rv == 0) {
        pthread_mutex_lock(&server->lock);
        rv = -pthread_create(&receive->thread, NULL, run, receive);
        if (rv == 0) {
            receive->next = server->receives;
            server->receives = receive;
            server->receive_count++;
        }
        pthread_mutex_unlock(&server->lock);
        if (rv != 0)
            ph_flow_fini(&receive->stream);
    }
    if (rv != 0) {
        refusal->again = true;
        ph_text_format(refusal->reason, sizeof refusal->reason, "%s", strerror(-rv));
        if (receive != NULL)
            ph_record_fini(&ph_record_pool, &receive->pool);
        free(receive);
    }
    return rv;
}

void ph_receive_destroy(struct receive *receive)
{
    pthread_join(receive->thread, NULL);
    ph_flow_fini(&receive->stream);
    ph_record_fini(&ph_record_pool, &receive->pool);
    free(receive);
}
