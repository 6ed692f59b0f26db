/* The manager as a program: its directory, who may do what, bad input, signals. */
#include "running.h"

#include <zmq.h>

static int64_t term_now(struct running *running)
{
    struct ph_client *client = running_client(running, NULL);
    json_t *status = running_ask(running, client, "status", "{}");
    int64_t term = integer_of(status, "term");

    json_decref(status);
    ph_client_destroy(&client);
    return term;
}

static unsigned mode_of(struct running *running, const char *name)
{
    char path[160];
    struct stat status;

    snprintf(path, sizeof path, "%s/%s", running->directory, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 07777;
}

static void the_first_start_makes_everything_and_the_next_goes_on(void **state)
{
    struct running *running = *state;
    struct ph_client *client;
    char ready[sizeof running->ready], cluster[80];
    json_t *status;

    running_must_start(running, NULL);
    assert_int_equal(mode_of(running, "."), 0700);
    assert_int_equal(mode_of(running, "inventory.db"), 0600);
    assert_int_equal(mode_of(running, "manager.identity"), 0600);
    assert_int_equal(mode_of(running, "admin.identity"), 0600);
    assert_non_null(strstr(running->ready, "endpoint=tcp://127.0.0.1:"));
    assert_non_null(strstr(running->ready, " term=1\n"));
    client = running_client(running, NULL);
    assert_memory_equal(running->ready + strlen("ready endpoint="), ph_client_endpoint(client),
        strlen(ph_client_endpoint(client)));
    status = running_ask(running, client, "status", "{}");
    snprintf(cluster, sizeof cluster, "%s", text_of(status, "cluster"));
    assert_true(cluster[0] != '\0');
    assert_true(text_of(status, "version")[0] != '\0');
    assert_int_equal(integer_of(status, "lease_ms"), 1200);
    json_decref(status);
    memcpy(ready, running->ready, sizeof ready);
    assert_int_equal(running_stop(running, SIGTERM), 0);
    running_must_start(running, NULL);
    /* The same port, so that agents find it again; the next term. The client reconnects. */
    *strstr(ready, " term=") = '\0';
    assert_memory_equal(running->ready, ready, strlen(ready));
    status = running_ask(running, client, "status", "{}");
    assert_int_equal(integer_of(status, "term"), 2);
    assert_string_equal(text_of(status, "cluster"), cluster);
    json_decref(status);
    ph_client_destroy(&client);
    assert_int_equal(running_stop(running, SIGINT), 0);
}

static void a_second_manager_on_one_directory_is_refused(void **state)
{
    struct running *running = *state;
    struct ph_child_result result;
    char pid[32];
    const char *argv[] = {
        MANAGER, "--dir", running->directory, "--listen", "tcp://127.0.0.1:*", NULL};

    running_must_start(running, NULL);
    assert_int_equal(ph_child_run(argv, NULL, NULL, LIMIT_MS, &result), 0);
    assert_int_equal(result.exit_status, 1);
    snprintf(pid, sizeof pid, "pid %ld", (long)running->pid);
    assert_non_null(strstr(result.output, pid));
    assert_int_equal(term_now(running), 1);
}

static void wrong_usage_and_configuration_are_named(void **state)
{
    struct running *running = *state;
    char path[160];
    struct {
        const char *argv[8], *says;
        int status;
    } cases[] = {
        {{MANAGER, NULL}, "--dir", 2},
        {{MANAGER, "--help", NULL}, "usage:", 0},
        {{MANAGER, "--version", NULL}, "poolherd-manager 0.", 0},
        {{MANAGER, "--nonsense", NULL}, "nonsense", 2},
        {{MANAGER, "surplus", NULL}, "no arguments", 2},
        {{MANAGER, "--dir", running->directory, "--listen", "ipc://x", NULL}, "tcp://", 2},
        {{MANAGER, "--dir", running->directory, "--listen", "tcp://192.0.2.77:*", NULL},
            "192.0.2.77", 1},
        {{MANAGER, "--check-config", "--config", path, NULL}, "lease", 2},
        {{MANAGER, "--check-config", "--config", "/nonexistent/x.yaml", NULL}, "x.yaml", 2},
        {{MANAGER, "--dir", "/dev/null/x", NULL}, "/dev/null/x", 1},
    };
    size_t i;

    snprintf(path, sizeof path, "%s/bad.yaml", running->base);
    assert_int_equal(ph_file_replace(path, "beat_ms: 500\nlease_ms: 600\n", 27, 0600), 0);
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct ph_child_result result;

        assert_int_equal(ph_child_run(cases[i].argv, NULL, NULL, LIMIT_MS, &result), 0);
        if (result.exit_status != cases[i].status || strstr(result.output, cases[i].says) == NULL) {
            fail_msg("case %zu: status %d: %s", i, result.exit_status, result.output);
        }
    }
}

static void the_manager_key_is_never_replaced_silently(void **state)
{
    struct running *running = *state;
    char path[160];

    running_must_start(running, NULL);
    assert_int_equal(running_stop(running, SIGTERM), 0);
    /* A lost admin key is made anew; a lost manager key would cut off every agent. */
    snprintf(path, sizeof path, "%s/admin.identity", running->directory);
    assert_int_equal(unlink(path), 0);
    running_must_start(running, NULL);
    assert_int_equal(term_now(running), 2);
    assert_int_equal(running_stop(running, SIGTERM), 0);
    snprintf(path, sizeof path, "%s/manager.identity", running->directory);
    assert_int_equal(unlink(path), 0);
    assert_false(running_start(running, NULL));
    assert_int_equal(WEXITSTATUS(running_wait(running)), 1);
}

static void joins_good_bad_reused_and_ended(void **state)
{
    struct running *running = *state;
    struct ph_client *admin;
    struct ph_error error = {0};
    struct ph_invitation invitation;
    char path[160], other[160], token[PH_TOKEN_BYTES_MAX + 1];
    json_t *invited;
    int64_t expires;

    running_must_start(running, NULL);
    admin = running_client(running, NULL);
    running_enrol(running, admin, "n1", "agent", path);
    assert_int_equal(access(path, F_OK), 0);
    /* The same key again: the answer may have been lost. Another key: no. */
    invited = running_ask(running, admin, "invite", "{\"name\":\"n2\",\"role\":\"agent\"}");
    snprintf(other, sizeof other, "%s/n2.identity", running->base);
    assert_int_equal(ph_client_join(text_of(invited, "token"), other, ANSWER_MS, &error), 0);
    assert_int_equal(ph_client_join(text_of(invited, "token"), other, ANSWER_MS, &error), 0);
    snprintf(path, sizeof path, "%s/thief.identity", running->base);
    assert_int_equal(ph_client_join(text_of(invited, "token"), path, ANSWER_MS, &error), -EPERM);
    assert_int_equal(error.code, PH_NOT_ALLOWED);
    /* A wrong secret. */
    assert_int_equal(ph_invitation_read(text_of(invited, "token"), &invitation, &error), 0);
    snprintf(invitation.secret, sizeof invitation.secret, "wrong");
    assert_int_equal(ph_invitation_print(&invitation, token, sizeof token), 0);
    assert_int_equal(ph_client_join(token, path, ANSWER_MS, &error), -EPERM);
    json_decref(invited);
    /* One that has ended: its second has passed by the manager's clock, which is ours. */
    invited =
        running_ask(running, admin, "invite", "{\"name\":\"n3\",\"role\":\"agent\",\"valid_s\":1}");
    expires = integer_of(invited, "expires");
    while (ph_clock_wall_ms() <= expires) {
        poll(NULL, 0, 20);
    }
    assert_int_equal(ph_client_join(text_of(invited, "token"), path, ANSWER_MS, &error), -EPERM);
    assert_non_null(strstr(error.message, "ended"));
    json_decref(invited);
    ph_client_destroy(&admin);
}

static void roles_and_revocation_hold_on_every_message(void **state)
{
    struct running *running = *state;
    struct ph_client *admin, *viewer, *operator, * node;
    char path[160];

    running_must_start(running, NULL);
    admin = running_client(running, NULL);
    running_enrol(running, admin, "v", "viewer", path);
    viewer = running_client(running, path);
    running_enrol(running, admin, "o", "operator", path);
    operator= running_client(running, path);
    running_enrol(running, admin, "n1", "agent", path);
    node = running_client(running, path);
    json_decref(running_ask(running, viewer, "node.list", "{}"));
    json_decref(running_ask(running, viewer, "query", "{\"sql\":\"SELECT name FROM nodes\"}"));
    running_refused(viewer, "pool.apply", "{\"pools\":[]}", PH_NOT_ALLOWED);
    running_refused(viewer, "node.drain", "{\"node\":\"n1\"}", PH_NOT_ALLOWED);
    running_refused(viewer, "identity.list", "{}", PH_NOT_ALLOWED);
    json_decref(running_ask(running, operator, "pool.apply", "{\"pools\":[]}"));
    running_refused(operator, "invite", "{\"name\":\"x\",\"role\":\"admin\"}", PH_NOT_ALLOWED);
    running_refused(operator, "identity.revoke", "{\"name\":\"admin\"}", PH_NOT_ALLOWED);
    running_refused(node, "status", "{}", PH_NOT_ALLOWED);
    running_refused(node, "query", "{\"sql\":\"SELECT 1\"}", PH_NOT_ALLOWED);
    /* What is no request, or not for a manager. */
    running_refused(admin, "done", "{}", PH_BAD_INPUT);
    running_refused(admin, "leaving", "{}", PH_NOT_ALLOWED);
    running_refused(admin, "stream.end", "{\"stream\":1,\"bytes\":0}", PH_STATE_FORBIDS);
    json_decref(running_ask(running, admin, "identity.revoke", "{\"name\":\"v\"}"));
    running_refused(viewer, "node.list", "{}", PH_NOT_ALLOWED); /* a live session, refused */
    running_refused(viewer, "query", "{\"sql\":\"SELECT 1\"}", PH_NOT_ALLOWED);
    ph_client_destroy(&admin);
    ph_client_destroy(&viewer);
    ph_client_destroy(&operator);
    ph_client_destroy(&node);
}

/* A raw connection under the admin's key, or under a key nobody knows. */
static struct ph_wire_client *raw_client(struct running *running, bool known)
{
    struct ph_identity_file admin, stranger;
    struct ph_wire_client *raw = NULL;
    struct ph_error error = {0};
    char path[160];

    snprintf(path, sizeof path, "%s/admin.identity", running->directory);
    assert_int_equal(ph_identity_load(path, &admin, &error), 0);
    assert_int_equal(ph_identity_make("stranger", &stranger), 0);
    assert_int_equal(ph_wire_client_new(admin.manager_endpoint, admin.manager_key,
                         known ? admin.public_key : stranger.public_key,
                         known ? admin.secret_key : stranger.secret_key, &raw, &error),
        0);
    return raw;
}

static void raw_say(struct ph_wire_client *raw, const char *text, size_t bytes, const char *payload)
{
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;

    while (ph_wire_client_send(raw, text, bytes, payload, payload != NULL ? strlen(payload) : 0) !=
           0) {
        zmq_pollitem_t item = {ph_wire_client_socket(raw), 0, ZMQ_POLLOUT, 0};

        assert_true(ph_clock_boot_ms() < end);
        zmq_poll(&item, 1, 100);
    }
}

/* The next answer: its type; *id_out is its id; the code of a problem goes to code[32]. */
static enum ph_message_type raw_hear(struct ph_wire_client *raw, int64_t *id_out, char *code)
{
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
    struct ph_wire_message message;
    struct ph_message decoded;
    struct ph_error error = {0};
    enum ph_message_type type;

    while (ph_wire_client_receive(raw, &message) != 0) {
        zmq_pollitem_t item = {ph_wire_client_socket(raw), 0, ZMQ_POLLIN, 0};

        assert_true(ph_clock_boot_ms() < end);
        zmq_poll(&item, 1, 100);
    }
    assert_int_equal(ph_message_decode(message.text, message.bytes, &decoded, &error), 0);
    *id_out = decoded.id;
    type = decoded.type;
    code[0] = '\0';
    if (type == PH_MSG_PROBLEM) {
        snprintf(code, 32, "%s", ((struct ph_problem *)decoded.body)->code);
    }
    ph_message_fini(&decoded);
    return type;
}

static void bad_messages_are_answered_or_dropped_and_change_nothing(void **state)
{
    static const struct {
        const char *text, *code;
        int64_t id;
    } cases[] = {
        {"{\"type\":\"nonsense\",\"id\":5,\"body\":{}}", "bad_input", 5},
        {"{\"type\":\"status\",\"id\":6}", "bad_input", 6},
        {"{\"type\":\"pool.show\",\"id\":7,\"body\":{\"name\":7}}", "bad_input", 7},
        {"{\"type\":\"pool.show\",\"id\":8,\"body\":{\"name\":\"a b\"}}", "bad_input", 8},
        {"{\"type\":\"pool.show\",\"id\":9,\"body\":{\"name\":\"../../etc\"}}", "bad_input", 9},
        {"{\"type\":\"pool.show\",\"id\":10,\"body\":{\"name\":\"none\"}}", "not_found", 10},
    };
    static const char *const silent[] = {"", "{", "[]", "null", "\xff\xfe", "{\"type\":\"status\"",
        "{\"type\":1,\"id\":-4,\"body\":{}}", "{\"id\":99999999999999999999999}"};
    struct running *running = *state;
    struct ph_wire_client *raw, *stranger;
    char code[32], *big;
    int64_t id;
    size_t i;

    running_must_start(running, NULL);
    raw = raw_client(running, true);
    for (i = 0; i < sizeof silent / sizeof silent[0]; i++) {
        raw_say(raw, silent[i], strlen(silent[i]), NULL);
    }
    raw_say(raw, "{\"type\":\"status\"}", 17, "a second frame");
    for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        raw_say(raw, cases[i].text, strlen(cases[i].text), NULL);
        assert_int_equal(raw_hear(raw, &id, code), PH_MSG_PROBLEM);
        assert_int_equal(id, cases[i].id);
        assert_string_equal(code, cases[i].code);
    }
    /* Large: a worker takes it apart. Too large for its type, and not JSON at all. */
    big = malloc(5000000);
    assert_non_null(big);
    memset(big, ' ', 5000000);
    memcpy(big, "{\"type\":\"status\",\"id\":12,", 25);
    raw_say(raw, big, 5000000, NULL);
    memset(big, '[', 5000000);
    raw_say(raw, big, 5000000, NULL);
    free(big);
    /* A key that nobody knows may present an invitation and nothing else. */
    stranger = raw_client(running, false);
    raw_say(stranger, "{\"type\":\"status\",\"id\":1,\"body\":{}}", 34, NULL);
    assert_int_equal(raw_hear(stranger, &id, code), PH_MSG_PROBLEM);
    assert_int_equal(id, 1);
    assert_string_equal(code, "not_allowed");
    raw_say(stranger,
        "{\"type\":\"join\",\"id\":2,\"body\":{\"name\":\"admin\",\"secret\":\"guess\"}}", 63,
        NULL);
    assert_int_equal(raw_hear(stranger, &id, code), PH_MSG_PROBLEM);
    assert_string_equal(code, "not_allowed");
    ph_wire_client_destroy(&stranger);
    ph_wire_client_destroy(&raw);
    assert_int_equal(term_now(running), 1); /* it lives, and it is the same one */
}

static void large_declarations_are_taken_apart_elsewhere(void **state)
{
    struct running *running = *state;
    struct ph_client *client;
    struct ph_error error = {0};
    size_t room = 400000, used;
    char *body = malloc(room), *text = NULL;
    json_t *answer;
    int i;

    assert_non_null(body);
    running_must_start(running, NULL);
    client = running_client(running, NULL);
    used = (size_t)snprintf(body, room, "{\"pools\":[");
    for (i = 0; i < 1000; i++) {
        used += (size_t)snprintf(body + used, room - used,
            "%s{\"name\":\"p%04d\",\"driver\":\"directory\",\"priority\":%d,\"vms\":[{\"name\":"
            "\"v\","
            "\"kind\":\"process\",\"command\":[\"sleep\",\"1\"]}]}",
            i > 0 ? "," : "", i, i);
    }
    snprintf(body + used, room - used, "]}");
    answer = running_ask(running, client, "pool.apply", body);
    assert_int_equal(integer_of(answer, "added"), 1000);
    json_decref(answer);
    answer = running_ask(running, client, "pool.list", "{}");
    assert_int_equal(json_array_size(json_object_get(answer, "pools")), 1000);
    json_decref(answer);
    /* One wrong value deep inside: named, and nothing is changed. */
    memcpy(strstr(body, "\"priority\":500"), "\"priority\":\"x\"", 14);
    assert_int_equal(ph_client_ask(client, "pool.apply", body, ANSWER_MS, &text, &error), -EINVAL);
    assert_int_equal(error.code, PH_BAD_INPUT);
    assert_string_equal(error.field, "pools[500].priority");
    body[0] = ' ';
    assert_int_equal(ph_client_ask(client, "pool.apply", body, ANSWER_MS, &text, &error), -EINVAL);
    free(body);
    ph_client_destroy(&client);
}

static void a_reload_takes_what_is_good(void **state)
{
    struct running *running = *state;
    struct ph_client *client;
    char path[160];
    const char *more[] = {"--config", path, NULL};
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
    int64_t lease_ms = 0;
    char *log = NULL;

    snprintf(path, sizeof path, "%s/config.yaml", running->base);
    assert_int_equal(ph_file_replace(path, "profile: gentle\n", 16, 0600), 0);
    running_must_start(running, more);
    client = running_client(running, NULL);
    assert_int_equal(ph_file_replace(path, "profile: gentle\nlease_ms: 20000\n", 32, 0600), 0);
    assert_int_equal(kill(running->pid, SIGHUP), 0);
    while (lease_ms != 20000 && ph_clock_boot_ms() < end) {
        json_t *status = running_ask(running, client, "status", "{}");

        lease_ms = integer_of(status, "lease_ms");
        json_decref(status);
    }
    assert_int_equal(lease_ms, 20000);
    /* A bad file changes nothing and is named. */
    assert_int_equal(ph_file_replace(path, "lease_ms: 1\n", 12, 0600), 0);
    assert_int_equal(kill(running->pid, SIGHUP), 0);
    do {
        free(log);
        log = NULL;
        assert_int_equal(ph_file_read(running->log, 1 << 20, &log, NULL), 0);
    } while (strstr(log, "reload_refused") == NULL && ph_clock_boot_ms() < end);
    assert_non_null(strstr(log, "reload_refused"));
    free(log);
    json_t *status = running_ask(running, client, "status", "{}");
    assert_int_equal(integer_of(status, "lease_ms"), 20000);
    json_decref(status);
    ph_client_destroy(&client);
}

static void an_old_copy_goes_on_above_what_agents_saw(void **state)
{
    static const char *const advance[] = {"--advance-term", NULL};
    struct running *running = *state;

    running_must_start(running, NULL);
    assert_int_equal(running_stop(running, SIGTERM), 0);
    running_must_start(running, advance);
    assert_true(term_now(running) > 1000);
}

static void queries_and_events_are_answered_from_the_inventory(void **state)
{
    struct running *running = *state;
    struct ph_client *client;
    json_t *answer, *events;
    int i;

    running_must_start(running, NULL);
    client = running_client(running, NULL);
    for (i = 0; i < 5; i++) {
        char body[80];

        snprintf(body, sizeof body, "{\"name\":\"n%d\",\"role\":\"agent\"}", i);
        json_decref(running_ask(running, client, "invite", body));
    }
    answer = running_ask(running, client, "query",
        "{\"sql\":\"SELECT name, role FROM identities WHERE role = 'agent' ORDER BY name\"}");
    assert_int_equal(json_array_size(answer), 5);
    assert_string_equal(text_of(json_array_get(answer, 4), "name"), "n4");
    json_decref(answer);
    running_refused(client, "query", "{\"sql\":\"DELETE FROM events\"}", PH_BAD_INPUT);
    running_refused(
        client, "query", "{\"sql\":\"SELECT token_hash FROM identities\"}", PH_BAD_INPUT);
    answer = running_ask(running, client, "events", "{\"limit\":3}");
    events = json_object_get(answer, "events");
    assert_int_equal(json_array_size(events), 3);
    assert_true(
        integer_of(json_array_get(events, 0), "id") < integer_of(json_array_get(events, 2), "id"));
    assert_string_equal(text_of(json_array_get(events, 2), "kind"), "command");
    assert_string_equal(text_of(json_array_get(events, 2), "who"), "admin");
    json_decref(answer);
    answer = running_ask(running, client, "events", "{\"after\":1000000}");
    assert_int_equal(json_array_size(json_object_get(answer, "events")), 0);
    json_decref(answer);
    ph_client_destroy(&client);
}

int main(void)
{
#define MANAGER_TEST(name) cmocka_unit_test_setup_teardown(name, running_setup, running_teardown)
    const struct CMUnitTest tests[] = {
        MANAGER_TEST(the_first_start_makes_everything_and_the_next_goes_on),
        MANAGER_TEST(a_second_manager_on_one_directory_is_refused),
        MANAGER_TEST(wrong_usage_and_configuration_are_named),
        MANAGER_TEST(the_manager_key_is_never_replaced_silently),
        MANAGER_TEST(joins_good_bad_reused_and_ended),
        MANAGER_TEST(roles_and_revocation_hold_on_every_message),
        MANAGER_TEST(bad_messages_are_answered_or_dropped_and_change_nothing),
        MANAGER_TEST(large_declarations_are_taken_apart_elsewhere),
        MANAGER_TEST(a_reload_takes_what_is_good),
        MANAGER_TEST(an_old_copy_goes_on_above_what_agents_saw),
        MANAGER_TEST(queries_and_events_are_answered_from_the_inventory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
