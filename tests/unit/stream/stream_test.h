/* An owner and a holder in one process, and a driver whose receive a test chooses. */
#ifndef PH_STREAM_TEST_H
#define PH_STREAM_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/pools/driver.h"
#include "base/clock.h"

typedef int (*receive_function)(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error);

static receive_function test_receive;
static atomic_int test_received; /* complete copies told */
static struct ph_pool_data test_data;

static int inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    (void)context;
    *data_out = test_data;
    return 0;
}

static int receive(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    return test_receive(context, stream, open, copy_out, error);
}

static const struct ph_pool_driver test_driver = {
    .name = "test", .inspect = inspect, .receive = receive};

static const struct ph_pool_driver *find_driver(const char *name)
{
    return strcmp(name, "test") == 0 ? &test_driver : NULL;
}

static void received(void *context, const char *pool, int64_t epoch, int64_t sequence)
{
    (void)context;
    (void)pool;
    (void)epoch;
    (void)sequence;
    atomic_fetch_add(&test_received, 1);
}

struct pair {
    struct ph_identity_file owner, holder;
    struct ph_stream_server *server;
    struct ph_peer peer;
    struct ph_stream_open open;
    atomic_bool cancelled;
};

static void pair_allow(struct pair *pair, const char *pool, int64_t epoch, const char *key)
{
    struct ph_order order;
    memset(&order, 0, sizeof order);
    order.kind = PH_ORDER_HOLD;
    order.epoch = epoch;
    ph_text_format(order.pool.name, sizeof order.pool.name, "%s", pool);
    ph_text_format(order.pool.driver, sizeof order.pool.driver, "test");
    struct ph_peer *source = ph_many_add(&ph_record_peer, (struct ph_many *)&order.sources);
    ph_text_format(source->node, sizeof source->node, "owner");
    assert_int_equal(0, ph_set_text(&source->public_key, key));
    assert_int_equal(0, ph_stream_server_allow(pair->server, &order));
    ph_record_fini(&ph_record_order, &order);
}

static inline void pair_refuse(struct pair *pair, const char *pool)
{
    struct ph_order order;
    memset(&order, 0, sizeof order);
    order.kind = PH_ORDER_DROP;
    ph_text_format(order.pool.name, sizeof order.pool.name, "%s", pool);
    assert_int_equal(0, ph_stream_server_allow(pair->server, &order));
}

static void pair_init(struct pair *pair, int parallel)
{
    struct ph_error error = {0};
    memset(pair, 0, sizeof *pair);
    assert_int_equal(0, ph_identity_make("owner", &pair->owner));
    assert_int_equal(0, ph_identity_make("holder", &pair->holder));
    struct ph_stream_server_config config = {.identity = &pair->holder,
        .listen = "tcp://127.0.0.1:*",
        .directory = "/nonexistent",
        .receives_parallel = parallel,
        .received = received,
        .find_driver = find_driver};
    assert_int_equal(0, ph_stream_server_start(&config, &pair->server, &error));
    ph_text_format(pair->peer.node, sizeof pair->peer.node, "holder");
    assert_int_equal(0, ph_set_text(&pair->peer.endpoint, ph_stream_server_endpoint(pair->server)));
    assert_int_equal(0, ph_set_text(&pair->peer.public_key, pair->holder.public_key));
    ph_text_format(pair->open.pool, sizeof pair->open.pool, "web");
    ph_text_format(pair->open.driver, sizeof pair->open.driver, "test");
    pair->open.epoch = 5;
    pair->open.sequence = 1;
    atomic_store(&test_received, 0);
    memset(&test_data, 0, sizeof test_data);
}

static void pair_fini(struct pair *pair)
{
    ph_stream_server_stop(&pair->server);
    assert_null(pair->server);
    ph_record_fini(&ph_record_peer, &pair->peer);
}

static inline int pair_connect(
    struct pair *pair, uint32_t timeout_ms, struct ph_stream **stream, struct ph_error *error)
{
    return ph_stream_connect(
        &pair->owner, &pair->peer, &pair->open, &pair->cancelled, timeout_ms, stream, error);
}

/* Reads up to the end of file; -1 on an error. */
static int64_t read_all(int fd, uint64_t *sum)
{
    static _Thread_local unsigned char bytes[65536];
    int64_t total = 0;
    for (;;) {
        ssize_t got = read(fd, bytes, sizeof bytes);
        if (got < 0)
            return -1;
        if (got == 0)
            return total;
        for (ssize_t i = 0; sum != NULL && i < got; i++)
            *sum = *sum * 31 + bytes[i];
        total += got;
    }
}

/* Writes count bytes of a sequence; false when the other end is gone. */
static inline bool write_bytes(int fd, int64_t count, uint64_t *sum)
{
    static _Thread_local unsigned char bytes[65536];
    uint32_t state = 1;
    while (count > 0) {
        size_t part = count < (int64_t)sizeof bytes ? (size_t)count : sizeof bytes;
        for (size_t i = 0; sum != NULL && i < part; i++) {
            state = state * 1664525 + 1013904223;
            bytes[i] = (unsigned char)(state >> 24);
            *sum = *sum * 31 + bytes[i];
        }
        for (size_t at = 0; at < part;) {
            ssize_t put = send(fd, bytes + at, part - at, MSG_NOSIGNAL);
            if (put <= 0)
                return false;
            at += (size_t)put;
        }
        count -= (int64_t)part;
    }
    return true;
}

#endif
