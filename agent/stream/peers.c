/* Messages of other agents that belong to no stream: votes, and what is passed on for a node. */
#include "agent/stream/server.h"

#include <errno.h>
#include <string.h>

int ph_stream_server_peers(struct ph_stream_server *server, const struct ph_voter_list *peers)
{
    struct ph_voter_list copy = {0};
    int rv = ph_record_copy(&ph_record_voter_list, &copy, peers);

    if (rv != 0)
        return -ENOMEM;
    pthread_mutex_lock(&server->lock);
    ph_record_fini(&ph_record_voter_list, &server->peers);
    server->peers = copy;
    pthread_mutex_unlock(&server->lock);
    return 0;
}

/* The node that a key belongs to; false: nobody that this node speaks with. Lock held. */
static const char *node_of(const struct ph_stream_server *server, const char *key)
{
    for (size_t i = 0; i < server->peers.witnesses.count; i++) {
        const struct ph_peer *peer = &server->peers.witnesses.items[i];

        if (peer->public_key != NULL && strcmp(peer->public_key, key) == 0)
            return peer->node;
    }
    return NULL;
}

bool ph_server_is_peer(struct ph_stream_server *server, const char *key)
{
    bool found;

    pthread_mutex_lock(&server->lock);
    found = node_of(server, key) != NULL;
    pthread_mutex_unlock(&server->lock);
    return found;
}

bool ph_server_peer_message(struct ph_stream_server *server, const struct ph_message *message,
    const struct ph_wire_message *wire)
{
    char node[PH_NAME_BYTES_MAX + 1] = "";

    if (message->type != PH_MSG_VOTE_ASK && message->type != PH_MSG_VOTE &&
        message->type != PH_MSG_RELAY)
        return false;
    pthread_mutex_lock(&server->lock);
    const char *name = node_of(server, wire->peer.public_key);

    if (name != NULL)
        ph_text_format(node, sizeof node, "%s", name);
    pthread_mutex_unlock(&server->lock);
    if (node[0] != '\0' && server->config.message != NULL)
        server->config.message(server->config.context, node, wire->text, wire->bytes);
    return true;
}
