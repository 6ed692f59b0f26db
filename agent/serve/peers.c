/*
 * Links to other agents, for votes and what is passed on. One that only sends per node: what the other
 * says comes in at our own server (agent/stream/peers.c). They stay connected, though nothing is said
 * while the manager speaks, so that a question need not wait for a handshake.
 *
 * A key that the other does not know yet is refused, and libzmq does not try again then: a link without
 * a connection is made anew from time to time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <zmq.h>
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#define LOOK_MS 1000
#define FIRST_TRY_MS 300
#define TRY_MS_MAX 2400

struct link {
    struct ph_peer peer; /* as the core named it; owned */
    struct ph_wire_client *wire;
    uint64_t look_ms, try_ms;
};

static void link_destroy(struct link *link)
{
    ph_wire_client_destroy(&link->wire);
    ph_record_fini(&ph_record_peer, &link->peer);
    free(link);
}

static int link_open(struct ph_shell *shell, struct link *link)
{
    struct ph_error error = {0};
    int rv;

    ph_wire_client_destroy(&link->wire);
    rv = ph_wire_client_new(link->peer.endpoint ? link->peer.endpoint : "",
        link->peer.public_key ? link->peer.public_key : "", shell->identity.public_key,
        shell->identity.secret_key, &link->wire, &error);
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "peer_failed", "node=%s reason=%s", link->peer.node, error.message);
    return rv;
}

static bool link_connected(const struct link *link)
{
    int events = 0;
    size_t size = sizeof(events);

    return link->wire &&
           zmq_getsockopt(ph_wire_client_socket(link->wire), ZMQ_EVENTS, &events, &size) == 0 &&
           (events & ZMQ_POLLOUT) != 0;
}

static bool same(const struct ph_peer *a, const struct ph_peer *b)
{
    return a->endpoint && b->endpoint && a->public_key && b->public_key &&
           strcmp(a->endpoint, b->endpoint) == 0 && strcmp(a->public_key, b->public_key) == 0;
}

static const struct ph_peer *wanted(const struct ph_voter_list *peers, const char *node)
{
    for (size_t i = 0; i < peers->witnesses.count; i++)
        if (strcmp(peers->witnesses.items[i].node, node) == 0)
            return &peers->witnesses.items[i];
    return NULL;
}

static void connect_to(struct ph_shell *shell, const struct ph_peer *peer, uint64_t now_ms)
{
    struct link *link = calloc(1, sizeof(*link));

    ph_assert(link && ph_record_copy(&ph_record_peer, &link->peer, peer) == 0);
    link->try_ms = FIRST_TRY_MS;
    link->look_ms = now_ms + FIRST_TRY_MS;
    ph_assert(ph_map_put(&shell->links, link->peer.node, link) == 0);
    (void)link_open(shell, link);
}

void ph_peers_set(struct ph_shell *shell, const struct ph_voter_list *peers)
{
    if (ph_stream_server_peers(shell->streams, peers) != 0)
        ph_log(PH_LOG_ERROR, "peers_failed", "reason=\"out of memory\"");
    for (size_t i = shell->links.count; i-- > 0;) {
        struct link *link = shell->links.items[i].value;
        const struct ph_peer *peer = wanted(peers, link->peer.node);

        if (peer && same(peer, &link->peer))
            continue;
        ph_map_remove(&shell->links, link->peer.node);
        link_destroy(link);
    }
    for (size_t i = 0; i < peers->witnesses.count; i++)
        if (!ph_map_get(&shell->links, peers->witnesses.items[i].node))
            connect_to(shell, &peers->witnesses.items[i], ph_clock_boot_ms());
}

void ph_peers_check(struct ph_shell *shell, uint64_t now_ms)
{
    for (size_t i = 0; i < shell->links.count; i++) {
        struct link *link = shell->links.items[i].value;

        if (now_ms < link->look_ms)
            continue;
        if (link_connected(link)) {
            link->try_ms = FIRST_TRY_MS;
            link->look_ms = now_ms + LOOK_MS;
            continue;
        }
        link->try_ms = 2 * link->try_ms < TRY_MS_MAX ? 2 * link->try_ms : TRY_MS_MAX;
        link->look_ms = now_ms + link->try_ms;
        (void)link_open(shell, link);
    }
}

uint64_t ph_peers_next_ms(const struct ph_shell *shell)
{
    uint64_t next_ms = UINT64_MAX;

    for (size_t i = 0; i < shell->links.count; i++) {
        const struct link *link = shell->links.items[i].value;

        next_ms = link->look_ms < next_ms ? link->look_ms : next_ms;
    }
    return next_ms;
}

int ph_peers_send(struct ph_shell *shell, const char *node, const char *text, size_t bytes)
{
    struct link *link = ph_map_get(&shell->links, node);
    return link && link->wire ? ph_wire_client_send(link->wire, text, bytes, NULL, 0) : -ENOENT;
}

void ph_peers_fini(struct ph_shell *shell)
{
    for (size_t i = 0; i < shell->links.count; i++)
        link_destroy(shell->links.items[i].value);
    ph_map_fini(&shell->links);
}
