/* Invitations, joining, revoking. */
#include "tests/unit/core/request_bed.h"

static const char *const key_one = "AAAAAAAAAABBBBBBBBBBCCCCCCCCCCDDDDDDDDDD";
static const char *const key_two = "EEEEEEEEEEFFFFFFFFFFGGGGGGGGGGHHHHHHHHHH";

static struct bed *bed_admin(void)
{
    struct bed *bed = bed_new();
    struct ph_identity row = {.role = PH_ROLE_ADMIN, .created_at = 1};

    ph_text_format(row.name, sizeof row.name, "admin");
    assert_int_equal(ph_set_text(&row.public_key, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"), 0);
    bed_load(bed, &ph_record_identity, &row);
    bed_ready(bed);
    return bed;
}

static const struct ph_invited *invite(
    struct bed *bed, const char *name, enum ph_role role, const char *secret)
{
    struct ph_invite ask = {.role = role, .valid_s = 100};
    char hash[80];

    ph_text_format(ask.name, sizeof ask.name, "%s", name);
    ph_text_format(hash, sizeof hash, "hash-of-%s", secret);
    bed->secret = secret;
    bed->secret_hash = hash;
    const struct ph_invited *invited = bed_get(bed, PH_MSG_INVITE, &ask, PH_MSG_INVITED);

    bed->secret = bed->secret_hash = NULL;
    return invited;
}

/* Presents a secret with a key; returns the answer. */
static const struct ph_effect *join(
    struct bed *bed, const char *name, const char *secret, const char *key)
{
    static char hash[80];
    char text[80];
    struct ph_join ask = {.secret = text};

    ph_text_format(ask.name, sizeof ask.name, "%s", name);
    ph_text_format(text, sizeof text, "%s", secret);
    ph_text_format(hash, sizeof hash, "hash-of-%s", secret);
    bed->secret = key;
    bed->secret_hash = hash;
    bed->sender = "";
    bed->role = PH_ROLE_NONE;
    const struct ph_effect *answer = bed_ask(bed, PH_MSG_JOIN, &ask);

    bed->secret = bed->secret_hash = NULL;
    bed->sender = "alice";
    bed->role = PH_ROLE_ADMIN;
    return answer;
}

static void join_refused(struct bed *bed, const char *name, const char *secret, const char *key,
    const char *code, const char *words)
{
    const struct ph_effect *answer = join(bed, name, secret, key);
    const struct ph_problem *problem = answer->value;

    assert_string_equal(ph_messages[answer->type].type, "problem");
    assert_string_equal(problem->code, code);
    if (strstr(problem->message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", problem->message, words);
    assert_int_equal(bed->effects.count, 1);
}

static void joined(struct bed *bed, const char *name, const char *secret, const char *key)
{
    const struct ph_effect *answer = join(bed, name, secret, key);

    if (answer->type != PH_MSG_JOINED)
        fail_msg("%s", ((struct ph_problem *)answer->value)->message);
    assert_string_equal(((struct ph_joined *)answer->value)->name, name);
    assert_string_equal(((struct ph_joined *)answer->value)->cluster, "cluster-one");
}

static void revoke(struct bed *bed, const char *name)
{
    struct ph_named named = {0};

    ph_text_format(named.name, sizeof named.name, "%s", name);
    bed_get(bed, PH_MSG_IDENTITY_REVOKE, &named, PH_MSG_DONE);
}

static void a_node_enrols_once(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();
    const struct ph_invited *invited = invite(bed, "n1", PH_ROLE_AGENT, "s1");

    assert_string_equal(invited->secret, "s1");
    assert_int_equal(invited->expires, BED_WALL_MS + 100000);
    assert_string_equal(bed_event(bed, "command")->who, "alice");
    assert_null(ph_core_identity_by_key(bed->core, key_one));

    join_refused(bed, "n1", "wrong", key_one, "not_allowed", "no open invitation");
    join_refused(bed, "n2", "s1", key_one, "not_allowed", "no open invitation");
    join_refused(bed, "n1", "s1", "short", "failed", "key");
    joined(bed, "n1", "s1", key_one);
    assert_int_equal(bed_saved(bed, &ph_record_identity), 1);
    assert_int_equal(bed_saved(bed, &ph_record_node), 1);
    const struct ph_identity *identity = ph_core_identity_by_key(bed->core, key_one);

    assert_non_null(identity);
    assert_string_equal(identity->name, "n1");
    assert_int_equal(identity->role, PH_ROLE_AGENT);
    assert_ptr_equal(identity, ph_core_identity_by_name(bed->core, "n1"));

    struct ph_named n1 = {.name = "n1"};
    const struct ph_nodes_shown *shown = bed_get(bed, PH_MSG_NODE_SHOW, &n1, PH_MSG_NODES_SHOWN);

    assert_int_equal(shown->nodes.items[0].state, PH_NODE_JOINING);
    assert_true(shown->nodes.items[0].reason[0] != '\0');

    /* The answer may have been lost: the same key may ask again, no other one, and not for ever. */
    joined(bed, "n1", "s1", key_one);
    assert_int_equal(bed->effects.count, 1);
    join_refused(bed, "n1", "s1", key_two, "not_allowed", "has been used");
    bed->wall_ms += 100000;
    join_refused(bed, "n1", "s1", key_one, "not_allowed", "has ended");
    bed_free(bed);
}

static void invitations_end_and_are_replaced(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();

    invite(bed, "bob", PH_ROLE_VIEWER, "s1");
    invite(bed, "bob", PH_ROLE_OPERATOR, "s2");
    join_refused(bed, "bob", "s1", key_one, "not_allowed", "no open invitation");
    bed->wall_ms += 99999;
    joined(bed, "bob", "s2", key_one);
    assert_int_equal(bed_saved(bed, &ph_record_node), 0); /* a person is no node */
    assert_int_equal(ph_core_identity_by_key(bed->core, key_one)->role, PH_ROLE_OPERATOR);

    invite(bed, "carol", PH_ROLE_VIEWER, "s3");
    bed->wall_ms += 100000;
    join_refused(bed, "carol", "s3", key_two, "not_allowed", "has ended");
    bed_free(bed);
}

static void bad_invitations(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();
    struct ph_invite ask = {.name = "bob", .role = PH_ROLE_NONE};

    bed->secret = "s";
    bed->secret_hash = "h";
    bed_refused(bed, PH_MSG_INVITE, &ask, "bad_input", "role", "must be agent");
    ask.role = PH_ROLE_VIEWER;
    ph_text_format(ask.name, sizeof ask.name, "admin");
    bed_refused(bed, PH_MSG_INVITE, &ask, "state_forbids", "name", "revoke it first");
    ph_text_format(ask.name, sizeof ask.name, "A B");
    bed_refused(bed, PH_MSG_INVITE, &ask, "bad_input", "name", "a-z");
    ph_text_format(ask.name, sizeof ask.name, "bob");
    bed->role = PH_ROLE_OPERATOR;
    bed_refused(bed, PH_MSG_INVITE, &ask, "not_allowed", "", "admin");
    bed->role = PH_ROLE_ADMIN;
    bed->secret = NULL;
    bed_refused(bed, PH_MSG_INVITE, &ask, "failed", "", "secret");
    bed_free(bed);
}

static void one_key_one_name(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();

    invite(bed, "bob", PH_ROLE_VIEWER, "s1");
    joined(bed, "bob", "s1", key_one);
    invite(bed, "carol", PH_ROLE_ADMIN, "s2");
    join_refused(bed, "carol", "s2", key_one, "not_allowed", "belongs to bob");
    revoke(bed, "bob");
    join_refused(bed, "carol", "s2", key_one, "not_allowed", "was revoked");
    joined(bed, "carol", "s2", key_two);
    bed_free(bed);
}

static void revoked_ones_come_back_with_a_new_key(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();

    invite(bed, "bob", PH_ROLE_VIEWER, "s1");
    joined(bed, "bob", "s1", key_one);
    revoke(bed, "bob");
    assert_non_null(bed_event(bed, "command"));
    assert_true(ph_core_identity_by_key(bed->core, key_one)->revoked);
    revoke(bed, "bob"); /* again: nothing to do */
    assert_int_equal(bed->effects.count, 1);
    /* Its old secret is worth nothing any more. */
    join_refused(bed, "bob", "s1", key_two, "not_allowed", "no open invitation");
    invite(bed, "bob", PH_ROLE_VIEWER, "s2");
    assert_true(ph_core_identity_by_key(bed->core, key_one)->revoked); /* until somebody joins */
    join_refused(bed, "bob", "s2", key_one, "not_allowed", "was revoked");
    joined(bed, "bob", "s2", key_two);
    assert_null(ph_core_identity_by_key(bed->core, key_one));
    assert_false(ph_core_identity_by_key(bed->core, key_two)->revoked);
    bed_free(bed);
}

static void the_last_admin_stays(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();
    struct ph_named admin = {.name = "admin"}, nobody = {.name = "nobody"};

    bed_refused(bed, PH_MSG_IDENTITY_REVOKE, &nobody, "not_found", "name", "nobody");
    bed_refused(bed, PH_MSG_IDENTITY_REVOKE, &admin, "state_forbids", "name", "last admin");
    invite(bed, "eve", PH_ROLE_ADMIN, "s1"); /* not enrolled: does not count */
    bed_refused(bed, PH_MSG_IDENTITY_REVOKE, &admin, "state_forbids", "name", "last admin");
    joined(bed, "eve", "s1", key_one);
    revoke(bed, "admin");
    bed_free(bed);
}

static void a_node_with_a_lease_is_not_revoked(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_identity row = {.role = PH_ROLE_AGENT, .created_at = 1};
    struct ph_named n1 = {.name = "n1"};

    ph_text_format(row.name, sizeof row.name, "n1");
    assert_int_equal(ph_set_text(&row.public_key, key_one), 0);
    bed_node(bed, "n1");
    bed_load(bed, &ph_record_identity, &row);
    bed_ready(bed);
    bed_refused(bed, PH_MSG_IDENTITY_REVOKE, &n1, "state_forbids", "name", "retire");
    bed_free(bed);
}

static void a_new_machine_waits_for_the_old_ones_lease(void **state)
{
    (void)state;
    struct bed *bed = bed_new();
    struct ph_identity row = {.role = PH_ROLE_AGENT, .created_at = 1, .revoked = true};

    ph_text_format(row.name, sizeof row.name, "n1");
    assert_int_equal(ph_set_text(&row.public_key, key_one), 0);
    bed_node(bed, "n1"); /* still granting: its lease may live */
    bed_load(bed, &ph_record_identity, &row);
    bed_ready(bed);
    invite(bed, "n1", PH_ROLE_AGENT, "s1");
    join_refused(bed, "n1", "s1", key_two, "state_forbids", "lease");
    bed_free(bed);
}

static void lists_without_secrets(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();

    invite(bed, "bob", PH_ROLE_VIEWER, "s1");
    const struct ph_identities_shown *shown =
        bed_get(bed, PH_MSG_IDENTITY_LIST, &(struct ph_nothing){0}, PH_MSG_IDENTITIES_SHOWN);

    assert_int_equal(shown->identities.count, 2);
    assert_string_equal(shown->identities.items[0].name, "admin");
    assert_true(shown->identities.items[0].enrolled);
    assert_string_equal(shown->identities.items[1].name, "bob");
    assert_false(shown->identities.items[1].enrolled);
    assert_int_equal(shown->identities.items[1].token_expires_at, BED_WALL_MS + 100000);
    joined(bed, "bob", "s1", key_one);
    shown = bed_get(bed, PH_MSG_IDENTITY_LIST, &(struct ph_nothing){0}, PH_MSG_IDENTITIES_SHOWN);
    assert_int_equal(shown->identities.items[1].token_expires_at, 0); /* used */
    bed_free(bed);
}

static void two_rows_with_one_key_are_refused(void **state)
{
    (void)state;
    struct bed *bed = bed_admin();
    struct ph_identity row = {.role = PH_ROLE_VIEWER};
    struct ph_error error = {0};

    ph_text_format(row.name, sizeof row.name, "bob");
    assert_int_equal(ph_set_text(&row.public_key, "ZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZZ"), 0);
    assert_int_equal(ph_core_load(bed->core, &ph_record_identity, &row, &error), -EINVAL);
    assert_null(ph_core_identity_by_name(bed->core, "bob"));
    ph_record_fini(&ph_record_identity, &row);
    bed_free(bed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_node_enrols_once),
        cmocka_unit_test(invitations_end_and_are_replaced),
        cmocka_unit_test(bad_invitations),
        cmocka_unit_test(one_key_one_name),
        cmocka_unit_test(revoked_ones_come_back_with_a_new_key),
        cmocka_unit_test(the_last_admin_stays),
        cmocka_unit_test(a_node_with_a_lease_is_not_revoked),
        cmocka_unit_test(a_new_machine_waits_for_the_old_ones_lease),
        cmocka_unit_test(lists_without_secrets),
        cmocka_unit_test(two_rows_with_one_key_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
