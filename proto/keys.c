#include "proto/keys.h"

#include <errno.h>
#include <czmq.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include "base/assert.h"
#include "base/file.h"
#include "proto/codec.h"
#include "proto/describe.h"

/* The two forms on disk and on paper, described like everything else. */
#define PH_FIELDS_key_manager(F, T)                                                                \
    F(T, TEXT, endpoint, none, PH_REQ, 1, 255, "where the manager listens")                        \
    F(T, TEXT, public_key, none, PH_REQ, PH_KEY_BYTES, PH_KEY_BYTES, "the manager's CURVE key")
#define PH_FIELDS_key_file(F, T)                                                                   \
    F(T, NAME, name, none, PH_REQ, 1, 63, "whose keys these are")                                  \
    F(T, TEXT, public_key, none, PH_REQ, PH_KEY_BYTES, PH_KEY_BYTES, "CURVE, Z85")                 \
    F(T, TEXT, secret_key, none, PH_REQ | PH_SECRET, PH_KEY_BYTES, PH_KEY_BYTES, "CURVE, Z85")     \
    F(T, ONE, manager, key_manager, PH_OPT, 0, 0, "absent in the manager's own file")
#define PH_FIELDS_key_invitation(F, T)                                                             \
    F(T, TEXT, endpoint, none, PH_REQ, 1, 255, "where the manager listens")                        \
    F(T, TEXT, public_key, none, PH_REQ, PH_KEY_BYTES, PH_KEY_BYTES, "the manager's CURVE key")    \
    F(T, NAME, name, none, PH_REQ, 1, 63, "who is invited")                                        \
    F(T, TEXT, secret, none, PH_REQ | PH_SECRET, 1, 128, "good for one join")                      \
    F(T, INT, expires, none, PH_REQ, 0, INT64_MAX, "wall clock ms")

PH_DECLARE_RECORD(key_manager)
PH_DECLARE_RECORD(key_file)
PH_DECLARE_RECORD(key_invitation)
PH_DEFINE_RECORD(key_manager)
PH_DEFINE_RECORD(key_file)
PH_DEFINE_RECORD(key_invitation)

#define TOKEN_PREFIX "ph1."
#define IDENTITY_FILE_BYTES_MAX 4096

static void sodium_ready(void)
{
    int rv = sodium_init(); /* 1: it was already */
    ph_assert(rv >= 0);
}

static void wipe_text(char *text)
{
    if (text != NULL)
        sodium_memzero(text, strlen(text));
    free(text);
}

static void put(char *out, size_t size, const char *text)
{
    ph_text_format(out, size, "%s", text != NULL ? text : "");
}

/* zmq_z85_decode() reads outside its table for other characters in older versions, so they are kept
 * from it. */
bool ph_key_valid(const char *text)
{
    static const char alphabet[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                   ".-:+=^!/*?&<>()[]{}@%$#";
    uint8_t bytes[32];

    return text != NULL && strlen(text) == PH_KEY_BYTES && strspn(text, alphabet) == PH_KEY_BYTES &&
           zmq_z85_decode(bytes, text) != NULL;
}

static int bad_key(struct ph_error *error, const char *field)
{
    return ph_error_set(error, PH_BAD_INPUT, field, "%s is not a CURVE key of %d characters in Z85",
        field, PH_KEY_BYTES);
}

/* zcert_destroy() only frees: both forms of the secret are overwritten in place before. */
static void cert_wipe(zcert_t *pair)
{
    sodium_memzero((void *)(uintptr_t)zcert_secret_key(pair), 32);
    sodium_memzero((void *)(uintptr_t)zcert_secret_txt(pair), PH_KEY_BYTES);
}

int ph_identity_make(const char *name, struct ph_identity_file *identity)
{
    struct ph_identity_file made = {.name = ""};
    zcert_t *pair;

    if (!ph_name_valid(name))
        return -EINVAL;
    pair = zcert_new();
    if (pair == NULL)
        return -ENOTSUP; /* a ZeroMQ without CURVE */
    put(made.name, sizeof made.name, name);
    put(made.public_key, sizeof made.public_key, zcert_public_txt(pair));
    put(made.secret_key, sizeof made.secret_key, zcert_secret_txt(pair));
    cert_wipe(pair);
    zcert_destroy(&pair);
    *identity = made;
    sodium_memzero(&made, sizeof made);
    return 0;
}

static int identity_from_file(
    const struct ph_key_file *file, struct ph_identity_file *identity, struct ph_error *error)
{
    char derived[PH_KEY_BYTES + 1];

    if (!ph_key_valid(file->secret_key))
        return bad_key(error, "secret_key");
    if (!ph_key_valid(file->public_key))
        return bad_key(error, "public_key");
    if (file->manager.public_key != NULL && !ph_key_valid(file->manager.public_key))
        return bad_key(error, "manager.public_key");
    if (zmq_curve_public(derived, file->secret_key) != 0)
        return ph_error_set(error, PH_FAILED, NULL, "this build of ZeroMQ has no CURVE");
    if (strcmp(derived, file->public_key) != 0)
        return ph_error_set(
            error, PH_BAD_INPUT, "public_key", "public_key and secret_key do not belong together");
    put(identity->name, sizeof identity->name, file->name);
    put(identity->public_key, sizeof identity->public_key, file->public_key);
    put(identity->secret_key, sizeof identity->secret_key, file->secret_key);
    put(identity->manager_endpoint, sizeof identity->manager_endpoint, file->manager.endpoint);
    put(identity->manager_key, sizeof identity->manager_key, file->manager.public_key);
    return 0;
}

int ph_identity_load(const char *path, struct ph_identity_file *identity, struct ph_error *error)
{
    struct ph_identity_file loaded = {.name = ""};
    struct ph_key_file file = {.name = ""};
    struct ph_error inner = {.code = PH_OK};
    struct stat status;
    size_t bytes;
    char *text;

    int rv = ph_file_read(path, IDENTITY_FILE_BYTES_MAX, &text, &bytes);
    if (rv == -ENOENT)
        return ph_error_set(error, PH_NOT_FOUND, NULL, "there is no identity file %s", path);
    if (rv == -EACCES)
        return ph_error_set(error, PH_NOT_ALLOWED, NULL,
            "the identity file %s may not be read by "
            "this user",
            path);
    if (rv != 0)
        return ph_error_set(error, PH_BAD_INPUT, NULL, "the identity file %s cannot be read: %s",
            path, strerror(-rv));
    if (stat(path, &status) == 0 && (status.st_mode & 077) != 0) {
        rv = ph_error_set(error, PH_NOT_ALLOWED, NULL,
            "the identity file %s has mode %04o, so others may read its secret key; make it 0600",
            path, (unsigned)status.st_mode & 07777);
        goto cleanup;
    }
    rv = ph_decode(&ph_record_key_file, text, bytes, &file, &inner);
    if (rv == 0)
        rv = identity_from_file(&file, &loaded, &inner);
    if (rv == 0)
        *identity = loaded;
    else
        ph_error_set(error, inner.code != PH_OK ? inner.code : PH_FAILED, inner.field,
            "identity file %s: %s", path, inner.code != PH_OK ? inner.message : "out of memory");

cleanup:
    sodium_memzero(&loaded, sizeof loaded);
    wipe_text(text);
    wipe_text(file.secret_key);
    file.secret_key = NULL;
    ph_record_fini(&ph_record_key_file, &file);
    return rv;
}

int ph_identity_save(const char *path, const struct ph_identity_file *identity)
{
    struct ph_key_file file = {.name = ""};
    size_t bytes;
    char *text;

    put(file.name, sizeof file.name, identity->name);
    int rv = ph_set_text(&file.public_key, identity->public_key);
    if (rv == 0)
        rv = ph_set_text(&file.secret_key, identity->secret_key);
    if (rv == 0)
        rv = ph_set_text(&file.manager.endpoint, identity->manager_endpoint);
    if (rv == 0)
        rv = ph_set_text(&file.manager.public_key, identity->manager_key);
    if (rv == 0)
        rv = ph_record_check(&ph_record_key_file, &file, NULL);
    if (rv == 0)
        rv = ph_encode(&ph_record_key_file, &file, PH_ENCODE_WIRE, &text, &bytes);
    if (rv == 0) {
        text[bytes] = '\n'; /* instead of the terminator: the file ends with a line */
        rv = ph_file_replace(path, text, bytes + 1, 0600);
        sodium_memzero(text, bytes + 1);
        free(text);
    }
    wipe_text(file.secret_key);
    file.secret_key = NULL;
    ph_record_fini(&ph_record_key_file, &file);
    return rv;
}

int ph_invitation_print(const struct ph_invitation *invitation, char *out, size_t size)
{
    struct ph_key_invitation form = {.expires = invitation->expires_at};
    const size_t prefix = sizeof TOKEN_PREFIX - 1;
    const int variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
    char *text = NULL;
    size_t bytes;

    sodium_ready();
    put(form.name, sizeof form.name, invitation->name);
    int rv = ph_set_text(&form.endpoint, invitation->endpoint);
    if (rv == 0)
        rv = ph_set_text(&form.public_key, invitation->manager_key);
    if (rv == 0)
        rv = ph_set_text(&form.secret, invitation->secret);
    if (rv == 0)
        rv = ph_record_check(&ph_record_key_invitation, &form, NULL);
    if (rv == 0)
        rv = ph_encode(&ph_record_key_invitation, &form, PH_ENCODE_WIRE, &text, &bytes);
    if (rv == 0) {
        size_t needed = prefix + sodium_base64_encoded_len(bytes, variant); /* with terminator */
        if (needed > size || needed - 1 > PH_TOKEN_BYTES_MAX) {
            rv = -EMSGSIZE;
        } else {
            memcpy(out, TOKEN_PREFIX, prefix);
            sodium_bin2base64(
                out + prefix, size - prefix, (const unsigned char *)text, bytes, variant);
        }
    }
    wipe_text(text);
    wipe_text(form.secret);
    form.secret = NULL;
    ph_record_fini(&ph_record_key_invitation, &form);
    return rv;
}

int ph_invitation_read(const char *token, struct ph_invitation *out, struct ph_error *error)
{
    struct ph_key_invitation form = {.name = ""};
    struct ph_error inner = {.code = PH_OK};
    const size_t prefix = sizeof TOKEN_PREFIX - 1;
    unsigned char text[PH_TOKEN_BYTES_MAX];
    size_t bytes = 0, length = strlen(token);

    sodium_ready();
    if (strncmp(token, TOKEN_PREFIX, prefix) != 0)
        return ph_error_set(error, PH_BAD_INPUT, "token",
            "an invitation begins with \"%s\"; copy "
            "the whole word that `node invite` printed",
            TOKEN_PREFIX);
    if (length > PH_TOKEN_BYTES_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "token",
            "the invitation has %zu characters; it "
            "has %d at most",
            length, PH_TOKEN_BYTES_MAX);
    if (sodium_base642bin(text, sizeof text, token + prefix, length - prefix, NULL, &bytes, NULL,
            sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0)
        return ph_error_set(error, PH_BAD_INPUT, "token",
            "the invitation is damaged: copy the "
            "whole word that `node invite` printed");
    int rv = ph_decode(&ph_record_key_invitation, (const char *)text, bytes, &form, &inner);
    if (rv == 0 && !ph_key_valid(form.public_key))
        rv = bad_key(&inner, "public_key");
    if (rv == 0) {
        *out = (struct ph_invitation){.expires_at = form.expires};
        put(out->endpoint, sizeof out->endpoint, form.endpoint);
        put(out->manager_key, sizeof out->manager_key, form.public_key);
        put(out->name, sizeof out->name, form.name);
        put(out->secret, sizeof out->secret, form.secret);
    } else if (rv == -EINVAL) {
        ph_error_set(error, PH_BAD_INPUT, "token", "the invitation is damaged: %s", inner.message);
    } else {
        ph_error_set(error, PH_FAILED, NULL, "out of memory");
    }
    sodium_memzero(text, sizeof text);
    wipe_text(form.secret);
    form.secret = NULL;
    ph_record_fini(&ph_record_key_invitation, &form);
    return rv;
}

void ph_secret_make(char *out)
{
    unsigned char bytes[32];

    sodium_ready();
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2base64(out, 44, bytes, sizeof bytes, sodium_base64_VARIANT_URLSAFE_NO_PADDING);
    sodium_memzero(bytes, sizeof bytes);
}

void ph_secret_hash(const char *secret, char *out)
{
    unsigned char hash[crypto_hash_sha256_BYTES];

    sodium_ready();
    crypto_hash_sha256(hash, (const unsigned char *)secret, strlen(secret));
    sodium_bin2hex(out, 65, hash, sizeof hash);
}

void ph_id_make(char *out)
{
    unsigned char bytes[8];

    sodium_ready();
    randombytes_buf(bytes, sizeof bytes);
    sodium_bin2hex(out, 17, bytes, sizeof bytes);
}
