/*
 * CURVE identities and invitations. Not pure (randomness, files).
 *
 * An identity file is JSON, mode 0600: {"name","public_key","secret_key","manager":{"endpoint",
 * "public_key"}}. `manager` is absent in the manager's own. An invitation is the one word
 * "ph1." + base64url of {"endpoint","public_key","name","secret","expires"}.
 */
#ifndef PH_PROTO_KEYS_H
#define PH_PROTO_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "poolherd/error.h"
#include "poolherd/limits.h"

struct ph_identity_file {
    char name[PH_NAME_BYTES_MAX + 1];
    char public_key[PH_KEY_BYTES + 1]; /* Z85 */
    char secret_key[PH_KEY_BYTES + 1]; /* Z85 */
    char manager_endpoint[256];        /* "" when absent */
    char manager_key[PH_KEY_BYTES + 1];
};

struct ph_invitation {
    char endpoint[256];
    char manager_key[PH_KEY_BYTES + 1];
    char name[PH_NAME_BYTES_MAX + 1];
    char secret[129];
    int64_t expires_at; /* wall ms */
};

/* Whether text is a CURVE key: 40 characters of Z85 (ZeroMQ RFC 32) that stand for 32 bytes. */
bool ph_key_valid(const char *text);

int ph_identity_make(const char *name, struct ph_identity_file *identity); /* a new key pair */
int ph_identity_load(const char *path, struct ph_identity_file *identity, struct ph_error *error);
int ph_identity_save(const char *path, const struct ph_identity_file *identity); /* durable, 0600 */

int ph_invitation_print(const struct ph_invitation *invitation, char *out, size_t size);
int ph_invitation_read(const char *token, struct ph_invitation *out, struct ph_error *error);

/* 32 random bytes from the kernel as 43 characters of base64url; out needs 44. */
void ph_secret_make(char *out);
/* SHA-256 of a secret as 64 hex digits; out needs 65. */
void ph_secret_hash(const char *secret, char *out);
/* A random id of 16 hex digits; out needs 17. */
void ph_id_make(char *out);

#endif
