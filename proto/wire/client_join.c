/*
 * Enrolment. The key pair is on disk before the invitation is presented: when the answer is lost,
 * the same key presents the same secret again, and the manager says yes again.
 */
#include "proto/wire/client_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <sodium.h>
#include "base/clock.h"

/* The identity to join with: what an earlier try left at `path`, or a new one, stored. */
static int identity_prepare(const struct ph_invitation *invitation, const char *path,
    struct ph_identity_file *identity, bool *made_out, struct ph_error *error)
{
    int rv;

    *made_out = false;
    if (access(path, F_OK) == 0) {
        rv = ph_client_identity_load(path, identity, error);
        if (rv != 0) {
            return rv;
        }
        if (strcmp(identity->name, invitation->name) != 0 ||
            strcmp(identity->manager_key, invitation->manager_key) != 0) {
            return ph_error_set(error, PH_STATE_FORBIDS, "identity",
                "%s already holds the identity \"%s\"; the invitation is for \"%s\": move the file "
                "away first",
                path, identity->name, invitation->name);
        }
        ph_text_format(identity->manager_endpoint, sizeof identity->manager_endpoint, "%s",
            invitation->endpoint);
        return 0;
    }
    rv = ph_identity_make(invitation->name, identity);
    if (rv == 0) {
        ph_text_format(identity->manager_endpoint, sizeof identity->manager_endpoint, "%s",
            invitation->endpoint);
        ph_text_format(
            identity->manager_key, sizeof identity->manager_key, "%s", invitation->manager_key);
        rv = ph_identity_save(path, identity);
    }
    if (rv != 0) {
        return ph_error_set(error, rv == -EACCES || rv == -EPERM ? PH_NOT_ALLOWED : PH_FAILED,
            "identity", "cannot store the identity file %s: %s", path, strerror(-rv));
    }
    *made_out = true;
    return 0;
}

int ph_client_join(const char *token, const char *path, uint32_t timeout_ms, struct ph_error *error)
{
    struct ph_invitation invitation;
    struct ph_identity_file identity = {0};
    struct ph_client *client = NULL;
    struct ph_join join = {0};
    struct ph_error local = {0};
    char *answer = NULL;
    bool made = false;
    int rv;

    error = error != NULL ? error : &local;
    memset(error, 0, sizeof *error);
    rv = ph_invitation_read(token, &invitation, error);
    if (rv != 0) {
        return rv;
    }
    rv = identity_prepare(&invitation, path, &identity, &made, error);
    if (rv == 0) {
        rv = ph_client_open(&identity, &client, error);
    }
    if (rv == 0) {
        ph_text_format(join.name, sizeof join.name, "%s", invitation.name);
        join.secret = invitation.secret;
        rv = ph_client_ask_record(client, PH_MSG_JOIN, &join, timeout_ms, &answer, error);
    }
    ph_client_destroy(&client);
    if (rv == 0 && !made) {
        /* The endpoint may have changed since the first try. */
        rv = ph_identity_save(path, &identity);
        if (rv != 0) {
            ph_error_set(error, PH_FAILED, "identity", "cannot store the identity file %s: %s",
                path, strerror(-rv));
        }
    } else if (rv != 0 && made && error->code != PH_UNREACHED) {
        (void)unlink(path); /* refused for good: this key is nobody's */
    }
    free(answer);
    ph_client_identity_forget(&identity);
    sodium_memzero(&invitation, sizeof invitation);
    return rv;
}
