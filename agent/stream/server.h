/*
 * The holder's server: one loop thread that owns the ROUTER and pumps every stream, and one thread per
 * receive on which the pool's driver runs. Private to agent/stream.
 *
 *     loop:    open -> checked against `allowed` -> struct receive, thread started
 *     thread:  inspect -> opened (credit 0, or the window when there is a slot) -> driver->receive ->
 *              close with the outcome -> `ended`
 *     loop:    sends what the thread has set, joins it when ended and the close is out
 */
#ifndef PH_STREAM_SERVER_H
#define PH_STREAM_SERVER_H

#include "agent/pools/driver.h"
#include "agent/stream/flow.h"
#include "base/map.h"

/* Why a stream was refused, for the close and the log. */
struct refusal {
    bool again;
    char reason[512];
};

struct receive {
    struct ph_stream_server *server;
    struct receive *next;
    struct ph_stream stream;
    struct ph_wire_peer peer;
    struct ph_pool pool; /* as ordered; owned */
    const struct ph_pool_driver *driver;
    atomic_bool cancelled;
    pthread_t thread;

    /* under the server's lock */
    bool opened_set; /* inspected: have_* may be told */
    bool slot;       /* may receive now */
    bool ended;      /* the thread is at its end; the close is set */

    /* the loop's own */
    bool opened_sent, granted;
};

struct ph_stream_server {
    struct ph_stream_server_config config;
    char directory[PATH_MAX];
    struct ph_wire_server *wire;
    int wake[2];
    pthread_t thread;
    bool running;
    atomic_bool stop;

    pthread_mutex_t lock;
    pthread_cond_t changed;     /* a slot is free, a receive has ended */
    struct ph_map allowed;      /* pool -> struct ph_order (kind hold), owned */
    struct ph_voter_list peers; /* `witnesses`: agents that may send messages beside streams */
    struct receive *receives;   /* changed by the loop only, under the lock */
    int receive_count, receiving;
};

/* Whether `key` may connect at all: some order names it. Any thread. */
bool ph_server_knows(struct ph_stream_server *server, const char *key);
/* peers.c */
bool ph_server_is_peer(struct ph_stream_server *server, const char *key);
/* Hands on what belongs to no stream; false: it is none of these. Loop only. */
bool ph_server_peer_message(struct ph_stream_server *server, const struct ph_message *message,
    const struct ph_wire_message *wire);
/* Checks an open; 0 and a new receive whose thread runs, or a refusal. Loop only. */
int ph_receive_start(struct ph_stream_server *server, const struct ph_wire_peer *peer,
    const struct ph_stream_open *open, struct refusal *refusal);
/* Frees one that has ended (joins). Loop only. */
void ph_receive_destroy(struct receive *receive);
/* Tells receives of `pool` (NULL: all) that `order` (NULL: none) does not allow to end. Lock held. */
void ph_receives_cancel(
    struct ph_stream_server *server, const char *pool, const struct ph_order *order);

#endif
