/* The client library against a manager that says what each test wants. */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>
#include <zmq.h>
#include "poolherd/client.h"
#include "base/file.h"
#include "proto/keys.h"
#include "proto/message.h"
#include "proto/wire/wire.h"

#define LIMIT_MS 5000

struct fake;
typedef void fake_answer(
    struct fake *fake, const struct ph_wire_peer *peer, const struct ph_message *message);

struct fake {
    struct ph_wire_server *server;
    struct ph_identity_file keys;
    fake_answer *answer;
    atomic_bool stop;
    atomic_int heard;
    char last_key[PH_KEY_BYTES + 1], first_key[PH_KEY_BYTES + 1];
    pthread_t thread;
    char directory[64], identity[96], endpoint[256];
};

static void say(struct fake *fake, const struct ph_wire_peer *peer, enum ph_message_type type,
    int64_t id, const void *body, const char *payload)
{
    char *text = NULL;
    size_t bytes = 0;

    assert_int_equal(ph_message_encode(type, id, body, &text, &bytes), 0);
    (void)ph_wire_server_send(
        fake->server, peer, text, bytes, payload, payload != NULL ? strlen(payload) : 0);
    free(text);
}

static void *fake_main(void *argument)
{
    struct fake *fake = argument;

    while (!atomic_load(&fake->stop)) {
        zmq_pollitem_t items[2] = {{ph_wire_server_socket(fake->server), 0, ZMQ_POLLIN, 0},
            {ph_wire_server_zap_socket(fake->server), 0, ZMQ_POLLIN, 0}};
        struct ph_wire_message raw;
        struct ph_message message = {0};
        struct ph_error error = {0};

        zmq_poll(items, 2, 20);
        ph_wire_server_zap(fake->server);
        if (ph_wire_server_receive(fake->server, &raw) != 0) {
            continue;
        }
        assert_int_equal(ph_message_decode(raw.text, raw.bytes, &message, &error), 0);
        memcpy(fake->last_key, raw.peer.public_key, sizeof fake->last_key);
        if (fake->first_key[0] == '\0') {
            memcpy(fake->first_key, raw.peer.public_key, sizeof fake->first_key);
        }
        fake->answer(fake, &raw.peer, &message);
        atomic_fetch_add(&fake->heard, 1);
        ph_message_fini(&message);
    }
    return NULL;
}

static int fake_start(void **state)
{
    struct fake *fake = calloc(1, sizeof *fake);
    struct ph_identity_file identity;
    struct ph_wire_server_config config = {.listen = "tcp://127.0.0.1:*", .expected = 4};
    struct ph_error error = {0};
    const char *base = getenv("TMPDIR");

    assert_non_null(fake);
    unsetenv("POOLHERD_MANAGER");
    unsetenv("POOLHERD_IDENTITY");
    snprintf(fake->directory, sizeof fake->directory, "%s/ph-client-XXXXXX",
        base != NULL && strlen(base) < 30 ? base : "/tmp");
    assert_non_null(mkdtemp(fake->directory));
    setenv("XDG_CONFIG_HOME", fake->directory, 1);
    setenv("HOME", fake->directory, 1);
    assert_int_equal(ph_identity_make("manager", &fake->keys), 0);
    config.public_key = fake->keys.public_key;
    config.secret_key = fake->keys.secret_key;
    if (ph_wire_server_new(&config, &fake->server, &error) != 0) {
        fail_msg("%s", error.message);
    }
    snprintf(fake->endpoint, sizeof fake->endpoint, "%s", ph_wire_server_endpoint(fake->server));
    assert_int_equal(ph_identity_make("admin", &identity), 0);
    snprintf(identity.manager_endpoint, sizeof identity.manager_endpoint, "%s", fake->endpoint);
    memcpy(identity.manager_key, fake->keys.public_key, sizeof identity.manager_key);
    snprintf(fake->identity, sizeof fake->identity, "%s/admin.identity", fake->directory);
    assert_int_equal(ph_identity_save(fake->identity, &identity), 0);
    *state = fake;
    return 0;
}

static void fake_serve(struct fake *fake, fake_answer *answer)
{
    fake->answer = answer;
    assert_int_equal(pthread_create(&fake->thread, NULL, fake_main, fake), 0);
}

static int fake_end(void **state)
{
    struct fake *fake = *state;

    atomic_store(&fake->stop, true);
    if (fake->answer != NULL) {
        pthread_join(fake->thread, NULL);
    }
    ph_wire_server_destroy(&fake->server);
    ph_tree_remove(fake->directory);
    free(fake);
    return 0;
}

static struct ph_client *client_of(const char *manager, const char *identity)
{
    struct ph_client *client = NULL;
    struct ph_error error = {0};

    if (ph_client_new(manager, identity, &client, &error) != 0) {
        fail_msg("%s", error.message);
    }
    return client;
}

static void answer_by_type(
    struct fake *fake, const struct ph_wire_peer *peer, const struct ph_message *message)
{
    if (message->type == PH_MSG_RESUME) {
        char code[] = "state_forbids", text[] = "n1 is active", field[] = "name";
        struct ph_problem problem = {.code = code, .message = text, .field = field};

        say(fake, peer, PH_MSG_PROBLEM, message->id, &problem, NULL);
    } else if (message->type == PH_MSG_QUERY) {
        const struct ph_query *query = message->body;
        char name[] = "a", *names[] = {name};
        struct ph_rows rows = {.columns = {1, names}, .count = 2, .more = true};

        if (strcmp(query->sql, "none") == 0) {
            rows.more = false;
            say(fake, peer, PH_MSG_ROWS, message->id, &rows, "[]");
            return;
        }
        say(fake, peer, PH_MSG_ROWS, message->id, &rows, "[{\"a\":1},{\"a\":2}]");
        say(fake, peer, PH_MSG_ROWS, message->id + 1000, &rows, "[{\"a\":666}]"); /* not ours */
        say(fake, peer, PH_MSG_ROWS, message->id, &rows, "[]");
        if (strcmp(query->sql, "broken") == 0) {
            say(fake, peer, PH_MSG_ROWS, message->id, &rows, "{");
            return;
        }
        rows.more = false;
        say(fake, peer, PH_MSG_ROWS, message->id, &rows, "[{\"a\":3}]");
    } else if (message->type != PH_MSG_DOCTOR) { /* doctor: silence */
        char text[] = "so it is";
        struct ph_done done = {.job = 7, .message = text};

        say(fake, peer, PH_MSG_DONE, message->id - 1, &done, NULL); /* of an earlier request */
        say(fake, peer, PH_MSG_DONE, message->id, &done, NULL);
    }
}

static void answers_problems_and_rows(void **state)
{
    struct fake *fake = *state;
    struct ph_client *client;
    struct ph_error error;
    char *text = NULL;

    fake_serve(fake, answer_by_type);
    client = client_of(fake->directory, NULL);
    assert_string_equal(ph_client_endpoint(client), fake->endpoint);
    assert_int_equal(
        ph_client_ask(client, "pool.stop", "{\"name\":\"web\"}", LIMIT_MS, &text, &error), 0);
    assert_string_equal(text, "{\"job\":7,\"message\":\"so it is\"}");
    free(text);
    assert_int_equal(
        ph_client_ask(client, "node.resume", "{\"name\":\"n1\"}", LIMIT_MS, &text, &error), -EBUSY);
    assert_int_equal(error.code, PH_STATE_FORBIDS);
    assert_string_equal(error.message, "n1 is active");
    assert_string_equal(error.field, "name");
    assert_int_equal(ph_client_ask(client, "query", "{\"sql\":\"x\"}", LIMIT_MS, &text, &error), 0);
    assert_string_equal(text, "[{\"a\":1},{\"a\":2},{\"a\":3}]");
    free(text);
    assert_int_equal(
        ph_client_ask(client, "query", "{\"sql\":\"none\"}", LIMIT_MS, &text, &error), 0);
    assert_string_equal(text, "[]");
    free(text);
    assert_true(
        ph_client_ask(client, "query", "{\"sql\":\"broken\"}", LIMIT_MS, &text, &error) < 0);
    assert_int_equal(error.code, PH_FAILED);
    ph_client_destroy(&client);
    assert_null(client);
}

static void bad_requests_are_not_sent(void **state)
{
    struct fake *fake = *state;
    struct ph_client *client;
    struct ph_error error;
    char *text = NULL;

    fake_serve(fake, answer_by_type);
    client = client_of(fake->directory, NULL);
    assert_int_equal(ph_client_ask(client, "pool.stob", "{}", LIMIT_MS, &text, &error), -EINVAL);
    assert_non_null(strstr(error.message, "pool.stob"));
    assert_int_equal(ph_client_ask(client, "pool.stop", "{}", LIMIT_MS, &text, &error), -EINVAL);
    assert_string_equal(error.field, "name");
    assert_int_equal(
        ph_client_ask(client, "pool.stop", "{\"name\":\"../x\"}", LIMIT_MS, &text, &error),
        -EINVAL);
    assert_int_equal(ph_client_ask(client, "pool.stop", "{", LIMIT_MS, &text, &error), -EINVAL);
    assert_int_equal(error.code, PH_BAD_INPUT);
    ph_client_destroy(&client);
    assert_int_equal(atomic_load(&fake->heard), 0);
}

static void silence_and_absence_are_told_apart(void **state)
{
    struct fake *fake = *state;
    struct ph_client *client;
    struct ph_error error;
    char *text = NULL;

    client = client_of(fake->directory, NULL); /* nobody serves yet: no handshake is answered */
    assert_int_equal(ph_client_ask(client, "doctor", "{}", 100, &text, &error), -ETIMEDOUT);
    assert_int_equal(error.code, PH_UNREACHED);
    assert_non_null(strstr(error.message, "nothing was sent"));
    fake_serve(fake, answer_by_type);
    assert_int_equal(
        ph_client_ask(client, "pool.stop", "{\"name\":\"web\"}", LIMIT_MS, &text, &error), 0);
    free(text);
    assert_int_equal(ph_client_ask(client, "doctor", "{}", 100, &text, &error), -ETIMEDOUT);
    assert_int_equal(error.code, PH_UNREACHED);
    assert_non_null(strstr(error.message, "carried out or not"));
    ph_client_destroy(&client);
}

static void the_manager_and_the_identity_are_found(void **state)
{
    struct fake *fake = *state;
    char path[160], text[512], other[160];
    struct ph_client *client;
    struct ph_error error;

    /* Environment. */
    setenv("POOLHERD_MANAGER", fake->directory, 1);
    client = client_of(NULL, NULL);
    assert_string_equal(ph_client_endpoint(client), fake->endpoint);
    ph_client_destroy(&client);
    setenv("POOLHERD_MANAGER", "tcp://127.0.0.1:9", 1);
    setenv("POOLHERD_IDENTITY", fake->identity, 1);
    client = client_of(NULL, NULL);
    assert_string_equal(ph_client_endpoint(client), "tcp://127.0.0.1:9");
    ph_client_destroy(&client);
    /* An argument wins. A directory with another identity: the endpoint is in its own file. */
    snprintf(path, sizeof path, "%s/endpoint", fake->directory);
    assert_int_equal(ph_file_replace(path, "tcp://127.0.0.1:8\n", 18, 0644), 0);
    client = client_of(fake->directory, fake->identity);
    assert_string_equal(ph_client_endpoint(client), "tcp://127.0.0.1:8");
    ph_client_destroy(&client);
    unsetenv("POOLHERD_MANAGER");
    client = client_of(NULL, NULL); /* the identity knows */
    assert_string_equal(ph_client_endpoint(client), fake->endpoint);
    ph_client_destroy(&client);
    unsetenv("POOLHERD_IDENTITY");
    /* The configuration file. */
    snprintf(path, sizeof path, "%s/poolherd", fake->directory);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof path, "%s/poolherd/config.yaml", fake->directory);
    snprintf(text, sizeof text, "manager: tcp://127.0.0.1:7\nidentity: %s\n", fake->identity);
    assert_int_equal(ph_file_replace(path, text, strlen(text), 0600), 0);
    client = client_of(NULL, NULL);
    assert_string_equal(ph_client_endpoint(client), "tcp://127.0.0.1:7");
    ph_client_destroy(&client);
    assert_int_equal(ph_file_replace(path, "manger: x\n", 10, 0600), 0);
    assert_int_equal(ph_client_new(NULL, NULL, &client, &error), -EINVAL);
    assert_non_null(strstr(error.field, "config.yaml"));
    unlink(path);
    /* An endpoint alone does not say who asks. */
    assert_int_equal(ph_client_new("tcp://127.0.0.1:7", NULL, &client, &error), -EINVAL);
    snprintf(other, sizeof other, "%s/nowhere", fake->directory);
    assert_int_equal(ph_client_new(other, NULL, &client, &error), -ENOENT);
    assert_int_equal(error.code, PH_NOT_FOUND);
}

static void an_identity_others_can_touch_is_refused(void **state)
{
    struct fake *fake = *state;
    char link_path[160];
    struct ph_client *client = NULL;
    struct ph_error error;

    assert_int_equal(chmod(fake->identity, 0640), 0);
    assert_int_equal(ph_client_new(fake->directory, NULL, &client, &error), -EPERM);
    assert_int_equal(error.code, PH_NOT_ALLOWED);
    assert_non_null(strstr(error.message, "0640"));
    assert_int_equal(chmod(fake->identity, 0600), 0);
    snprintf(link_path, sizeof link_path, "%s/link", fake->directory);
    assert_int_equal(symlink(fake->identity, link_path), 0);
    assert_int_equal(ph_client_new(fake->directory, link_path, &client, &error), -EPERM);
    assert_int_equal(chmod(fake->directory, 0777), 0);
    assert_int_equal(ph_client_new(fake->directory, NULL, &client, &error), -EPERM);
    assert_non_null(strstr(error.message, "replace"));
    assert_int_equal(chmod(fake->directory, 0700), 0);
    ph_client_destroy(&client);
    assert_null(client);
}

static void answer_join(
    struct fake *fake, const struct ph_wire_peer *peer, const struct ph_message *message)
{
    const struct ph_join *join = message->body;
    char cluster[] = "c1", code[] = "not_allowed", text[] = "this is no open invitation";
    struct ph_joined joined = {.role = PH_ROLE_AGENT, .cluster = cluster};
    struct ph_problem problem = {.code = code, .message = text};

    assert_int_equal(message->type, PH_MSG_JOIN);
    if (strcmp(join->secret, "good") != 0) {
        say(fake, peer, PH_MSG_PROBLEM, message->id, &problem, NULL);
    } else if (atomic_load(&fake->heard) > 0) { /* the first answer is lost */
        snprintf(joined.name, sizeof joined.name, "%s", join->name);
        say(fake, peer, PH_MSG_JOINED, message->id, &joined, NULL);
    }
}

static void token_make(struct fake *fake, const char *name, const char *secret, char *out)
{
    struct ph_invitation invitation = {.expires_at = 4102444800000};

    snprintf(invitation.endpoint, sizeof invitation.endpoint, "%s", fake->endpoint);
    memcpy(invitation.manager_key, fake->keys.public_key, sizeof invitation.manager_key);
    snprintf(invitation.name, sizeof invitation.name, "%s", name);
    snprintf(invitation.secret, sizeof invitation.secret, "%s", secret);
    assert_int_equal(ph_invitation_print(&invitation, out, PH_TOKEN_BYTES_MAX + 1), 0);
}

static void a_join_survives_a_lost_answer(void **state)
{
    struct fake *fake = *state;
    char token[PH_TOKEN_BYTES_MAX + 1], path[160];
    struct ph_identity_file identity;
    struct ph_error error;
    struct stat status;

    fake_serve(fake, answer_join);
    snprintf(path, sizeof path, "%s/n1.identity", fake->directory);
    token_make(fake, "n1", "good", token);
    assert_int_equal(ph_client_join(token, path, 300, &error), -ETIMEDOUT);
    assert_int_equal(error.code, PH_UNREACHED);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    if (ph_client_join(token, path, LIMIT_MS, &error) != 0) {
        fail_msg("%s", error.message);
    }
    assert_int_equal(ph_identity_load(path, &identity, &error), 0);
    assert_string_equal(identity.name, "n1");
    assert_string_equal(identity.manager_endpoint, fake->endpoint);
    assert_string_equal(identity.public_key, fake->last_key);
    assert_string_equal(fake->first_key, fake->last_key);
    /* Another invitation does not overwrite it. */
    token_make(fake, "n2", "good", token);
    assert_int_equal(ph_client_join(token, path, LIMIT_MS, &error), -EBUSY);
    assert_int_equal(error.code, PH_STATE_FORBIDS);
}

static void a_refused_join_leaves_nothing(void **state)
{
    struct fake *fake = *state;
    char token[PH_TOKEN_BYTES_MAX + 1], path[160];
    struct ph_error error;

    fake_serve(fake, answer_join);
    snprintf(path, sizeof path, "%s/n1.identity", fake->directory);
    token_make(fake, "n1", "bad", token);
    assert_int_equal(ph_client_join(token, path, LIMIT_MS, &error), -EPERM);
    assert_int_equal(error.code, PH_NOT_ALLOWED);
    assert_int_equal(access(path, F_OK), -1);
    assert_int_equal(ph_client_join("ph1.garbage", path, LIMIT_MS, &error), -EINVAL);
    assert_int_equal(access(path, F_OK), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(answers_problems_and_rows, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(bad_requests_are_not_sent, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(silence_and_absence_are_told_apart, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(
            the_manager_and_the_identity_are_found, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(
            an_identity_others_can_touch_is_refused, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(a_join_survives_a_lost_answer, fake_start, fake_end),
        cmocka_unit_test_setup_teardown(a_refused_join_leaves_nothing, fake_start, fake_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
