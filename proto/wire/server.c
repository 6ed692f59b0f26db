/*
 * The ROUTER side.
 *
 * Identity: a message is its key's, never its routing id's. Routing ids are made by the ROUTER
 * itself (five bytes, the first of them zero); a peer that brings its own could squat on the one
 * another is going to have, so its messages are dropped. ZMQ_ROUTER_HANDOVER stays off. A peer that
 * sits on the very next id would even end the program: libzmq 4.3.4 asserts that what it makes is new,
 * counts upwards, and draws the first with rand(), which nobody has seeded. So the start is seeded here
 * (routing_ids_scatter), and how many ids a stranger can try is bounded (door.h).
 *
 * One ZeroMQ context per server, and so none of czmq's, which has one per process:
 * inproc://zeromq.zap.01 is one name per context, each server has its own idea of which keys may come
 * in, and its own thread that says so.
 */
#include "proto/wire/wire_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include <sodium.h>
#include <czmq.h>
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"
#include "proto/wire/door.h"
#include "proto/wire/zap.h"

#define ROUTING_ID_BYTES 5
#define DROPS_PER_CALL 64
/* A client whose connection ends forgets what it has not read yet (ZMQ_IMMEDIATE; libzmq's
 * socket_base_t::hiccuped), so between the last answer and the end it gets a moment to read. */
#define FAREWELL_MS 100
#define DESCRIPTORS_SPARE 128u
#define AGENTS_PER_IO_THREAD 1000u
#define IO_THREADS_MAX 4
#define HANDSHAKE_MS 30000

struct ph_wire_server {
    void *context, *router, *zap;
    bool (*accept)(void *context, const char *public_key);
    bool (*known)(void *context, const char *public_key);
    void *judge_context;
    struct ph_door door;
    char endpoint[PH_ENDPOINT_BYTES_MAX + 1];
    zmq_msg_t text, payload;
    uint64_t dropped;
    bool spoke;
};

static void descriptors_raise(uint32_t expected)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return;
    }
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit); /* what cannot be raised is reported below */
        (void)getrlimit(RLIMIT_NOFILE, &limit);
    }
    if (limit.rlim_cur != RLIM_INFINITY && limit.rlim_cur < expected + DESCRIPTORS_SPARE) {
        ph_log(PH_LOG_WARNING, "few_descriptors",
            "limit=%llu expected=%lu text=\"raise LimitNOFILE: not every peer can connect\"",
            (unsigned long long)limit.rlim_cur, (unsigned long)expected);
    }
}

static int io_threads(uint32_t expected)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    long threads = 1 + (long)(expected / AGENTS_PER_IO_THREAD);

    threads = threads > processors ? processors : threads;
    threads = threads > IO_THREADS_MAX ? IO_THREADS_MAX : threads;
    return threads < 1 ? 1 : (int)threads;
}

static void router_prepare(
    struct ph_wire_server *server, const struct ph_wire_server_config *config)
{
    int expected = config->expected < 128     ? 128
                   : config->expected > 65535 ? 65535
                                              : (int)config->expected;

    ph_wire_socket_prepare(server->router, config->listen, config->public_key, config->secret_key);
    zsock_set_curve_server(server->router, 1);
    zsock_set_zap_domain(server->router, "poolherd");
    zsock_set_router_mandatory(server->router, 1);
    zsock_set_backlog(server->router, expected);
    /* Per connection. Received: more than this waits in the peer's own queue. Sent: a node that says
     * hello may be owed an order for each of its pools. */
    zsock_set_rcvhwm(server->router, 256);
    zsock_set_sndhwm(server->router, 4096);
    /* A handshake is a millisecond of work, and after a restart all come at once: they go on side by
     * side, so with too little time on a busy machine none would ever end, and all begin again. */
    zsock_set_handshake_ivl(server->router, HANDSHAKE_MS + 4 * expected);
}

static int router_bind(struct ph_wire_server *server, const char *listen, struct ph_error *error)
{
    size_t size = sizeof server->endpoint;

    if (zmq_bind(server->router, listen) != 0) {
        int reason = zmq_errno();

        ph_error_set(error, reason == EINVAL ? PH_BAD_INPUT : PH_FAILED, "listen",
            "cannot listen on %s: %s", listen,
            reason == ENODEV ? "no such address or interface" : zmq_strerror(reason));
        return -reason;
    }
    if (zmq_getsockopt(server->router, ZMQ_LAST_ENDPOINT, server->endpoint, &size) != 0) {
        return -zmq_errno();
    }
    return 0;
}

static void routing_ids_scatter(void)
{
    unsigned seed;
    int rv = sodium_init();

    ph_assert(rv >= 0);
    randombytes_buf(&seed, sizeof seed);
    srand(seed);
}

int ph_wire_server_new(const struct ph_wire_server_config *config,
    struct ph_wire_server **server_out, struct ph_error *error)
{
    struct ph_wire_server *server;
    int rv = ph_wire_endpoint_check(config->listen, true, error);

    if (rv == 0) {
        rv = ph_wire_key_check(config->public_key, "public_key", error);
    }
    if (rv == 0) {
        rv = ph_wire_key_check(config->secret_key, "secret_key", error);
    }
    if (rv != 0) {
        return rv;
    }
    server = calloc(1, sizeof *server);
    if (server == NULL) {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
        return -ENOMEM;
    }
    server->accept = config->accept;
    server->known = config->known;
    server->judge_context = config->context;
    zmq_msg_init(&server->text);
    zmq_msg_init(&server->payload);
    ph_wire_prepare();
    descriptors_raise(config->expected);
    routing_ids_scatter();
    server->context = zmq_ctx_new();
    if (server->context == NULL ||
        zmq_ctx_set(server->context, ZMQ_IO_THREADS, io_threads(config->expected)) != 0 ||
        (server->zap = ph_zap_open(server->context)) == NULL ||
        (server->router = zmq_socket(server->context, ZMQ_ROUTER)) == NULL) {
        rv = -zmq_errno();
        ph_error_set(error, PH_FAILED, NULL, "cannot make a ZeroMQ socket: %s", zmq_strerror(-rv));
        goto cleanup;
    }
    router_prepare(server, config);
    if (config->known != NULL) {
        rv = ph_door_init(&server->door, server->context, server->router,
            config->stranger_ms != 0 ? config->stranger_ms : PH_STRANGER_MS);
    }
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "cannot watch connections: %s", zmq_strerror(-rv));
    } else {
        rv = router_bind(server, config->listen, error);
    }
cleanup:
    if (rv != 0) {
        ph_wire_server_destroy(&server);
    } else {
        *server_out = server;
    }
    return rv;
}

void ph_wire_server_destroy(struct ph_wire_server **server_in)
{
    struct ph_wire_server *server = *server_in;

    if (server == NULL) {
        return;
    }
    zmq_msg_close(&server->text);
    zmq_msg_close(&server->payload);
    if (server->spoke) {
        poll(NULL, 0, FAREWELL_MS);
    }
    ph_door_fini(&server->door);
    if (server->router != NULL) {
        zmq_close(server->router); /* before the ZAP socket, so that nobody slips in unasked */
    }
    if (server->zap != NULL) {
        zmq_close(server->zap);
    }
    ph_wire_context_end(&server->context);
    free(server);
    *server_in = NULL;
}

const char *ph_wire_server_endpoint(const struct ph_wire_server *server)
{
    return server->endpoint;
}

void *ph_wire_server_socket(struct ph_wire_server *server)
{
    return server->router;
}

void *ph_wire_server_zap_socket(struct ph_wire_server *server)
{
    return server->zap;
}

static enum ph_zap_verdict judge(void *context, const char *key, const char *address)
{
    struct ph_wire_server *server = context;

    if (server->accept != NULL && !server->accept(server->judge_context, key)) {
        return PH_ZAP_NO;
    }
    if (server->known == NULL) {
        return PH_ZAP_YES;
    }
    ph_door_follow(&server->door); /* before the answer lets its messages through */
    return server->known(server->judge_context, key) ||
                   ph_door_admit(&server->door, address, ph_clock_boot_ms())
               ? PH_ZAP_YES
               : PH_ZAP_LATER;
}

void ph_wire_server_zap(struct ph_wire_server *server)
{
    ph_zap_serve(server->zap, judge, server);
    if (server->known != NULL) {
        ph_door_follow(&server->door);
        ph_door_clear(&server->door, ph_clock_boot_ms());
    }
}

uint64_t ph_wire_server_cut(const struct ph_wire_server *server)
{
    return server->door.cut;
}

uint64_t ph_wire_server_dropped(const struct ph_wire_server *server)
{
    return server->dropped;
}

/* Whether the message just read comes from a peer that may be answered, and under which key. */
static bool peer_known(struct ph_wire_server *server, struct ph_wire_peer *peer)
{
    const char *key = zmq_msg_gets(&server->text, "User-Id");

    if (key == NULL || strlen(key) != PH_KEY_BYTES || peer->routing_bytes != ROUTING_ID_BYTES ||
        peer->routing_id[0] != 0) {
        return false;
    }
    memcpy(peer->public_key, key, PH_KEY_BYTES + 1);
    return true;
}

int ph_wire_server_receive(struct ph_wire_server *server, struct ph_wire_message *message_out)
{
    struct ph_wire_peer *peer = &message_out->peer;
    int drops;

    for (drops = 0; drops < DROPS_PER_CALL; drops++) {
        int rv, bytes = zmq_recv(
                    server->router, peer->routing_id, sizeof peer->routing_id, ZMQ_DONTWAIT);

        if (bytes < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            return -zmq_errno();
        }
        peer->routing_bytes = (size_t)bytes;
        rv = ph_wire_frames_receive(server->router, &server->text, &server->payload, message_out);
        if (rv == 0 && message_out->bytes > 0 && peer_known(server, peer)) {
            if (server->known != NULL) {
                ph_door_heard(&server->door, zmq_msg_get(&server->text, ZMQ_SRCFD),
                    server->known(server->judge_context, peer->public_key));
            }
            return 0;
        }
        server->dropped++;
    }
    return -EAGAIN; /* zmq_poll tells of the rest */
}

int ph_wire_server_send(struct ph_wire_server *server, const struct ph_wire_peer *peer,
    const char *text, size_t bytes, const void *payload, size_t payload_bytes)
{
    if (peer->routing_bytes == 0 || peer->routing_bytes > sizeof peer->routing_id) {
        return -EHOSTUNREACH;
    }
    while (zmq_send(server->router, peer->routing_id, peer->routing_bytes,
               ZMQ_DONTWAIT | ZMQ_SNDMORE) < 0) {
        if (zmq_errno() != EINTR) {
            return -zmq_errno();
        }
    }
    server->spoke = true;
    return ph_wire_frames_send(server->router, text, bytes, payload, payload_bytes);
}
