/*
 * The client library: ask a manager, get an answer. One connection, one thread at a time.
 *
 *     struct ph_client *client;
 *     struct ph_error error;
 *     if (ph_client_new(NULL, NULL, &client, &error) != 0) ...
 *     char *text;
 *     if (ph_client_ask(client, "pool.list", "{}", 5000, &text, &error) == 0) puts(text);
 *
 * Every request and answer is described in docs/protocol.md.
 */
#ifndef POOLHERD_CLIENT_H
#define POOLHERD_CLIENT_H

#include <stddef.h>
#include <stdint.h>
#include "poolherd/error.h"

struct ph_client;

/* Finds the manager and the identity and connects (lazily: nothing is sent yet).
 * manager: a manager's directory, or an endpoint "tcp://..." (then `identity` must know its key), or
 * NULL: $POOLHERD_MANAGER, then `manager` in $XDG_CONFIG_HOME/poolherd/config.yaml or
 * ~/.config/poolherd/config.yaml or /etc/poolherd/config.yaml, then /var/lib/poolherd/manager.
 * identity: path of an identity file, or NULL: $POOLHERD_IDENTITY, then `identity` there, then
 * admin.identity in the manager's directory.
 * 0, or negative errno with *error: PH_BAD_INPUT, PH_NOT_FOUND, PH_NOT_ALLOWED (file modes). */
int ph_client_new(const char *manager, const char *identity, struct ph_client **client_out,
    struct ph_error *error);
void ph_client_destroy(struct ph_client **client);

/* Sends one request (type and JSON body) and waits for its whole answer: the answer's body as JSON
 * text (for a query: the array of rows), owned by the caller. PH_UNREACHED after timeout_ms without
 * an answer; the request may then have been carried out or not. A problem answered by the manager is
 * returned in *error with its code. */
int ph_client_ask(struct ph_client *client, const char *type, const char *body, uint32_t timeout_ms,
    char **answer_out, struct ph_error *error);

/* The endpoint in use, for messages. Borrowed. */
const char *ph_client_endpoint(const struct ph_client *client);

/* Presents an invitation and, when it was good, leaves an identity file at `path`. Used by agents
 * and by `poolherd login`. */
int ph_client_join(
    const char *token, const char *path, uint32_t timeout_ms, struct ph_error *error);

#endif
