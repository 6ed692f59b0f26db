/*
 * Who may speak: invitations, keys bound to names, revocation.
 *
 *     invite ──> open (secret's hash, end time) ──join──> enrolled (key) ──revoke──> revoked
 *                  ^                                                                   │
 *                  └──────────────────────────── invite again ─────────────────────────┘
 *
 *   - One name, one key. A name that is enrolled is not invited again before it is revoked; a revoked
 *     one stays refused until somebody has joined under the new invitation.
 *   - The hash is kept until it ends, bound to the key that used it: an answer that was lost can be
 *     asked for again with the same key, and the secret is of no use to any other key.
 *   - A key that is bound or revoked under one name cannot join under another.
 *   - A person can be revoked at any time, but for the last admin. A node only when it holds no lease
 *     (retired, lost, fenced or never admitted): a node that is refused is a node that stops its pools,
 *     which is what drain, retire and fence are for.
 *   - A node that joins with a new key while its former self may still hold a lease is told to wait:
 *     a fresh agent truthfully says "nothing runs here", and would be believed about the old machine.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static struct ph_identity *find(const struct ph_core *core, const char *name)
{
    return ph_map_get(&core->identities, name);
}

const struct ph_identity *ph_core_identity_by_key(
    const struct ph_core *core, const char *public_key)
{
    return ph_map_get(&core->keys, public_key);
}

const struct ph_identity *ph_core_identity_by_name(const struct ph_core *core, const char *name)
{
    return find(core, name);
}

int core_identity_load(struct ph_core *core, const struct ph_identity *row, struct ph_error *error)
{
    struct ph_identity *identity = ph_record_new_copy(&ph_record_identity, row);
    int rv = -ENOMEM;

    if (identity == NULL)
        goto failed;
    rv = ph_map_put(&core->identities, identity->name, identity);
    if (rv != 0)
        goto failed;
    if (core_text(identity->public_key)[0] == '\0')
        return 0;
    rv = ph_map_put(&core->keys, identity->public_key, identity);
    if (rv == 0)
        return 0;
    ph_map_remove(&core->identities, identity->name);
failed:
    if (rv == -EEXIST)
        rv = ph_error_set(error, PH_BAD_INPUT, "public_key",
            "identity %s: its name or its key belongs to another identity too", row->name);
    void *owned = identity;

    if (identity != NULL)
        ph_record_destroy(&ph_record_identity, &owned);
    return rv;
}

void core_identities_fini(struct ph_core *core)
{
    for (size_t i = 0; i < core->identities.count; i++) {
        void *identity = core->identities.items[i].value;

        ph_record_destroy(&ph_record_identity, &identity);
    }
    ph_map_fini(&core->identities);
    ph_map_fini(&core->keys);
}

/* ---- invite ---- */
static struct ph_identity *identity_new(struct ph_core *core, const char *name)
{
    struct ph_identity *identity = calloc(1, sizeof *identity);

    if (identity != NULL) {
        ph_text_format(identity->name, sizeof identity->name, "%s", name);
        if (ph_map_put(&core->identities, identity->name, identity) == 0)
            return identity;
        free(identity);
    }
    core->no_memory = true;
    return NULL;
}

int ph_request_invite(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_invite *asked = in->body;
    struct ph_identity *identity = find(core, asked->name);
    struct ph_invited invited = {0};

    if (!ph_name_valid(asked->name))
        return core_problem(core, in, PH_BAD_INPUT, "name",
            "a name is 1 to %d of a-z 0-9 . _ - and begins with a letter or a digit",
            PH_NAME_BYTES_MAX);
    if (asked->role == PH_ROLE_NONE)
        return core_problem(core, in, PH_BAD_INPUT, "role",
            "the role none is for nobody; it must be agent, viewer, operator or admin");
    if (identity != NULL && core_text(identity->public_key)[0] != '\0' && !identity->revoked)
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "%s is enrolled already; revoke it first if its key is to be replaced", asked->name);
    if (asked->role == PH_ROLE_AGENT && core->nodes.count >= PH_NODES_MAX &&
        core_find_node(core, asked->name) == NULL)
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "there are %d nodes, which is the most", PH_NODES_MAX);
    if (core_text(in->random_secret)[0] == '\0' || core_text(in->random_secret_hash)[0] == '\0')
        return core_problem(core, in, PH_FAILED, NULL, "no secret could be made");
    if (identity == NULL)
        identity = identity_new(core, asked->name);
    if (identity == NULL)
        return 0;
    if (identity->created_at == 0)
        identity->created_at = core->wall_ms;
    identity->role = asked->role;
    core_copy_text(core, &identity->token_hash, in->random_secret_hash);
    identity->token_expires_at =
        core->wall_ms + 1000 * (asked->valid_s > 0 ? asked->valid_s : PH_INVITATION_S);
    core_save(core, &ph_record_identity, identity);
    core_command(core, in, &(struct core_about){.node = core_find_node(core, asked->name)},
        "%s was invited as %s", asked->name, ph_enum_word(&ph_enum_role, (int)asked->role));
    core_copy_text(core, &invited.secret, in->random_secret);
    invited.expires = identity->token_expires_at;
    core_answer_take(core, in, PH_MSG_INVITED, &invited);
    return 0;
}

/* ---- join ---- */
/* Whether two hashes are the same, in a time that depends on their lengths alone. */
static bool same_hash(const char *a, const char *b)
{
    size_t bytes = strlen(a);
    unsigned char difference = 0;

    if (bytes == 0 || bytes != strlen(b))
        return false;
    for (size_t i = 0; i < bytes; i++)
        difference |= (unsigned char)a[i] ^ (unsigned char)b[i];
    return difference == 0;
}

static void answer_joined(
    struct ph_core *core, const struct ph_event_in *in, const struct ph_identity *identity)
{
    struct ph_joined joined = {.role = identity->role};

    ph_text_format(joined.name, sizeof joined.name, "%s", identity->name);
    core_copy_text(core, &joined.cluster, core->cluster_id);
    core_answer_take(core, in, PH_MSG_JOINED, &joined);
}

static void bind_key(struct ph_core *core, struct ph_identity *identity, const char *key)
{
    if (core_text(identity->public_key)[0] != '\0')
        ph_map_remove(&core->keys, identity->public_key);
    core_copy_text(core, &identity->public_key, key);
    identity->revoked = false;
    if (identity->public_key == NULL ||
        ph_map_put(&core->keys, identity->public_key, identity) != 0)
        core->no_memory = true;
}

static void enrol_node(struct ph_core *core, const char *name, const char *key)
{
    struct core_node *node = core_find_node(core, name);

    if (node == NULL) {
        node = core_node_new(core, name);
        if (node == NULL)
            return;
        core_set_text(core, &node->row.reason, "enrolled; its agent has not been admitted yet");
    } else if (node->row.admin == PH_ADMIN_RETIRED) {
        core_node_admin(core, node, PH_ADMIN_ACTIVE, "enrolled again");
    }
    core_copy_text(core, &node->row.public_key, key);
    core_node_touch(core, node);
    /* Its peers learn the new key with their next orders. */
    for (size_t i = 0; i < node->peers.count; i++)
        core_pool_dirty(core, ((struct core_peer *)node->peers.items[i].value)->pool);
}

int ph_request_join(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_join *asked = in->body;
    const char *key = core_text(in->random_secret);
    struct ph_identity *identity = find(core, asked->name);
    const struct ph_identity *owner = ph_core_identity_by_key(core, key);
    const struct core_node *node = core_find_node(core, asked->name);

    if (strlen(key) != PH_KEY_BYTES)
        return core_problem(core, in, PH_FAILED, NULL, "the sender's key is not known");
    /* One answer for every name, known or not: who has no secret learns no names. */
    if (identity == NULL ||
        !same_hash(core_text(identity->token_hash), core_text(in->random_secret_hash)))
        return core_problem(core, in, PH_NOT_ALLOWED, "secret",
            "this is no open invitation; ask for a new one: poolherd node invite NAME");
    if (core->wall_ms >= identity->token_expires_at)
        return core_problem(core, in, PH_NOT_ALLOWED, "secret",
            "the invitation of %s has ended; ask for a new one: poolherd node invite %s",
            asked->name, asked->name);
    if (owner == identity && !identity->revoked) {
        answer_joined(core, in, identity);
        return 0;
    }
    if (owner != NULL)
        return core_problem(core, in, PH_NOT_ALLOWED, NULL,
            owner->revoked ? "this key was revoked (%s); join with a new one"
                           : "this key belongs to %s already; join with a new one",
            owner->name);
    if (core_text(identity->public_key)[0] != '\0' && !identity->revoked)
        return core_problem(core, in, PH_NOT_ALLOWED, "secret",
            "the invitation of %s has been used; ask for a new one: poolherd node invite %s",
            asked->name, asked->name);
    if (identity->role == PH_ROLE_AGENT && node != NULL && node->row.granting)
        return core_problem(core, in, PH_STATE_FORBIDS, NULL,
            "%s may still hold a lease under its former key; try again in %llu ms, or fence it",
            asked->name, (unsigned long long)core->takeover_ms);
    bind_key(core, identity, key);
    core_save(core, &ph_record_identity, identity);
    if (identity->role == PH_ROLE_AGENT)
        enrol_node(core, asked->name, key);
    core_event(core, PH_EVENT_INFO, "identity-joined",
        &(struct core_about){.node = core_find_node(core, asked->name), .who = asked->name},
        "%s joined as %s", asked->name, ph_enum_word(&ph_enum_role, (int)identity->role));
    answer_joined(core, in, identity);
    return 0;
}

/* ---- list and revoke ---- */
int ph_request_identity_list(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_identities_shown shown = {0};

    for (size_t i = 0; i < core->identities.count; i++) {
        const struct ph_identity *identity = core->identities.items[i].value;
        struct ph_identity_view *view =
            ph_many_add(&ph_record_identity_view, (struct ph_many *)(void *)&shown.identities);

        if (view == NULL) {
            core->no_memory = true;
            break;
        }
        ph_text_format(view->name, sizeof view->name, "%s", identity->name);
        view->role = identity->role;
        view->enrolled = core_text(identity->public_key)[0] != '\0';
        view->revoked = identity->revoked;
        view->created_at = identity->created_at;
        /* Open: not used (or used by a key that was revoked), and not ended. */
        if (core_text(identity->token_hash)[0] != '\0' && (!view->enrolled || identity->revoked) &&
            core->wall_ms < identity->token_expires_at)
            view->token_expires_at = identity->token_expires_at;
    }
    core_answer_take(core, in, PH_MSG_IDENTITIES_SHOWN, &shown);
    return 0;
}

void core_identity_revoke(struct ph_core *core, const char *name)
{
    struct ph_identity *identity = find(core, name);

    if (identity == NULL)
        return;
    identity->revoked = true;
    identity->token_expires_at = 0;
    core_copy_text(core, &identity->token_hash, NULL);
    core_save(core, &ph_record_identity, identity);
}

static bool last_admin(const struct ph_core *core, const struct ph_identity *identity)
{
    if (identity->role != PH_ROLE_ADMIN || identity->revoked ||
        core_text(identity->public_key)[0] == '\0')
        return false;
    for (size_t i = 0; i < core->identities.count; i++) {
        const struct ph_identity *other = core->identities.items[i].value;

        if (other != identity && other->role == PH_ROLE_ADMIN && !other->revoked &&
            core_text(other->public_key)[0] != '\0')
            return false;
    }
    return true;
}

int ph_request_identity_revoke(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    const struct ph_identity *identity = find(core, asked->name);
    const struct core_node *node = core_find_node(core, asked->name);

    if (identity == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no identity %s", asked->name);
    if (identity->role == PH_ROLE_AGENT && node != NULL && node->row.granting)
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "node %s is %s and its pools would stop without a plan: retire it (poolherd node "
            "retire "
            "%s), or, when it must stop at once, fence it, and then revoke it",
            asked->name, ph_enum_word(&ph_enum_node_state, (int)node->row.state), asked->name);
    if (last_admin(core, identity))
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "%s is the last admin: nobody could invite another; invite and enrol one first",
            asked->name);
    if (!identity->revoked || core_text(identity->token_hash)[0] != '\0') {
        core_identity_revoke(core, asked->name);
        core_command(core, in, &(struct core_about){.node = node}, "%s was revoked", asked->name);
    }
    core_answer_done(core, in, 0, "%s is revoked: refused at its next message", asked->name);
    return 0;
}
