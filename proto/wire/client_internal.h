/*
 * The parts of the client library: where the manager is and who asks (client_find.c), the
 * conversation (client.c), enrolment (client_join.c). Private to proto/wire.
 */
#ifndef PH_WIRE_CLIENT_INTERNAL_H
#define PH_WIRE_CLIENT_INTERNAL_H

#include "poolherd/client.h"
#include "proto/catalogue.h"
#include "proto/keys.h"
#include "proto/wire/wire.h"

/* As ph_client_new() says; the identity found has endpoint and key of the manager filled in. */
int ph_client_find(const char *manager, const char *identity_path,
    struct ph_identity_file *identity_out, struct ph_error *error);
/* Loads an identity file after checking that only its owner (us, or root) can read or replace it. */
int ph_client_identity_load(
    const char *path, struct ph_identity_file *identity_out, struct ph_error *error);
void ph_client_identity_forget(struct ph_identity_file *identity); /* overwrites the secret */

int ph_client_open(
    const struct ph_identity_file *identity, struct ph_client **client_out, struct ph_error *error);
int ph_client_ask_record(struct ph_client *client, enum ph_message_type type, const void *body,
    uint32_t timeout_ms, char **answer_out, struct ph_error *error);

#endif
