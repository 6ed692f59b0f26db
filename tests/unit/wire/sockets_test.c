/* Servers and clients on loopback: who gets in, what is dropped, who can be answered. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include <pthread.h>
#include <zmq.h>
#include "base/clock.h"
#include "proto/wire/wire.h"

#define LIMIT_MS 5000
#define QUIET_MS 300 /* how long "nothing comes" is watched for */

struct keys {
    char public_key[PH_KEY_BYTES + 1], secret_key[PH_KEY_BYTES + 1];
};

static struct keys server_keys, good, other;

static int make_keys(void **state)
{
    (void)state;
    assert_int_equal(zmq_curve_keypair(server_keys.public_key, server_keys.secret_key), 0);
    assert_int_equal(zmq_curve_keypair(good.public_key, good.secret_key), 0);
    assert_int_equal(zmq_curve_keypair(other.public_key, other.secret_key), 0);
    return 0;
}

static bool accept_good(void *context, const char *public_key)
{
    ++*(int *)context;
    return strcmp(public_key, good.public_key) == 0;
}

static struct ph_wire_server *serve(
    const char *listen, bool (*accept)(void *, const char *), void *context)
{
    struct ph_wire_server_config config = {.listen = listen,
        .public_key = server_keys.public_key,
        .secret_key = server_keys.secret_key,
        .expected = 10,
        .accept = accept,
        .context = context};
    struct ph_wire_server *server = NULL;
    struct ph_error error = {0};

    if (ph_wire_server_new(&config, &server, &error) != 0) {
        fail_msg("%s", error.message);
    }
    return server;
}

static struct ph_wire_client *dial(const char *endpoint, const char *server_key, struct keys *keys)
{
    struct ph_wire_client *client = NULL;
    struct ph_error error = {0};

    if (ph_wire_client_new(
            endpoint, server_key, keys->public_key, keys->secret_key, &client, &error) != 0) {
        fail_msg("%s", error.message);
    }
    return client;
}

/* Serves ZAP and waits for a message at the server. */
static bool server_gets(struct ph_wire_server *server, struct ph_wire_message *message, long limit)
{
    uint64_t end = ph_clock_boot_ms() + (uint64_t)limit;
    uint64_t now;

    while ((now = ph_clock_boot_ms()) < end) {
        zmq_pollitem_t items[2] = {{ph_wire_server_socket(server), 0, ZMQ_POLLIN, 0},
            {ph_wire_server_zap_socket(server), 0, ZMQ_POLLIN, 0}};
        int rv = ph_wire_server_receive(server, message);

        if (rv == 0) {
            return true;
        }
        assert_int_equal(rv, -EAGAIN);
        zmq_poll(items, 2, (long)(end - now));
        ph_wire_server_zap(server);
    }
    return false;
}

static bool client_gets(struct ph_wire_client *client, struct ph_wire_message *message, long limit)
{
    uint64_t end = ph_clock_boot_ms() + (uint64_t)limit;
    uint64_t now;

    while ((now = ph_clock_boot_ms()) < end) {
        zmq_pollitem_t item = {ph_wire_client_socket(client), 0, ZMQ_POLLIN, 0};
        int rv = ph_wire_client_receive(client, message);

        if (rv == 0) {
            return true;
        }
        assert_int_equal(rv, -EAGAIN);
        zmq_poll(&item, 1, (long)(end - now));
    }
    return false;
}

/* A client may send once its handshake is done, for which the server's ZAP must be served. */
static bool client_sends(struct ph_wire_client *client, struct ph_wire_server *server,
    const char *text, const void *payload, size_t payload_bytes, long limit)
{
    uint64_t end = ph_clock_boot_ms() + (uint64_t)limit;
    uint64_t now;

    while ((now = ph_clock_boot_ms()) < end) {
        zmq_pollitem_t items[2] = {{ph_wire_client_socket(client), 0, ZMQ_POLLOUT, 0},
            {ph_wire_server_zap_socket(server), 0, ZMQ_POLLIN, 0}};
        int rv = ph_wire_client_send(client, text, strlen(text), payload, payload_bytes);

        if (rv == 0) {
            return true;
        }
        assert_int_equal(rv, -EAGAIN);
        zmq_poll(items, 2, (long)(end - now));
        ph_wire_server_zap(server);
    }
    return false;
}

static void one_and_two_frames_go_both_ways_under_the_senders_key(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_client *client =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    struct ph_wire_message message;
    struct ph_wire_peer peer;

    (void)state;
    assert_non_null(strstr(ph_wire_server_endpoint(server), "tcp://127.0.0.1:"));
    assert_null(strchr(ph_wire_server_endpoint(server), '*'));
    assert_true(client_sends(client, server, "hello", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_string_equal(message.peer.public_key, good.public_key);
    assert_int_equal(message.bytes, 5);
    assert_memory_equal(message.text, "hello", 5);
    assert_null(message.payload);
    peer = message.peer;
    assert_int_equal(ph_wire_server_send(server, &peer, "rows", 4, "[1]", 3), 0);
    assert_true(client_gets(client, &message, LIMIT_MS));
    assert_memory_equal(message.text, "rows", 4);
    assert_int_equal(message.payload_bytes, 3);
    assert_memory_equal(message.payload, "[1]", 3);
    assert_true(client_sends(client, server, "data", "abc", 3, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.payload, "abc", 3);
    /* An empty second frame is still one. */
    assert_int_equal(ph_wire_server_send(server, &peer, "rows", 4, "", 0), 0);
    assert_true(client_gets(client, &message, LIMIT_MS));
    assert_non_null(message.payload);
    assert_int_equal(message.payload_bytes, 0);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
    assert_null(client);
    assert_null(server);
}

static void a_wrong_server_key_gets_no_message_through(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_client *client = dial(ph_wire_server_endpoint(server), other.public_key, &good);
    struct ph_wire_message message;

    (void)state;
    (void)client_sends(client, server, "hello", NULL, 0, QUIET_MS);
    assert_false(server_gets(server, &message, QUIET_MS));
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void accept_decides_which_keys_come_in(void **state)
{
    int asked = 0;
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", accept_good, &asked);
    struct ph_wire_client *stranger =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &other);
    struct ph_wire_client *friend;
    struct ph_wire_message message;

    (void)state;
    (void)client_sends(stranger, server, "hello", NULL, 0, QUIET_MS);
    assert_false(server_gets(server, &message, QUIET_MS));
    assert_true(asked > 0);
    friend = dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    assert_true(client_sends(friend, server, "friend", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.text, "friend", 6);
    assert_string_equal(message.peer.public_key, good.public_key);
    ph_wire_client_destroy(&stranger);
    ph_wire_client_destroy(&friend);
    ph_wire_server_destroy(&server);
}

static void nothing_is_accepted_in_clear(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_message message;
    void *context = zmq_ctx_new();
    int plain;

    (void)state;
    for (plain = 0; plain < 2; plain++) {
        void *socket = zmq_socket(context, ZMQ_DEALER);
        int none = 0;

        zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
        if (plain) {
            zmq_setsockopt(socket, ZMQ_PLAIN_USERNAME, "admin", 5);
            zmq_setsockopt(socket, ZMQ_PLAIN_PASSWORD, "admin", 5);
        }
        assert_int_equal(zmq_connect(socket, ph_wire_server_endpoint(server)), 0);
        assert_int_equal(zmq_send(socket, "hello", 5, 0), 5);
        assert_false(server_gets(server, &message, QUIET_MS));
        zmq_close(socket);
    }
    zmq_ctx_term(context);
    ph_wire_server_destroy(&server);
}

/* A raw CURVE client, for what ph_wire_client would not do. */
static void *raw_client(void *context, const char *endpoint, const char *routing_id, size_t bytes)
{
    void *socket = zmq_socket(context, ZMQ_DEALER);
    int none = 0;

    zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none);
    zmq_setsockopt(socket, ZMQ_CURVE_SERVERKEY, server_keys.public_key, PH_KEY_BYTES + 1);
    zmq_setsockopt(socket, ZMQ_CURVE_PUBLICKEY, other.public_key, PH_KEY_BYTES + 1);
    zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, other.secret_key, PH_KEY_BYTES + 1);
    if (bytes > 0) {
        assert_int_equal(zmq_setsockopt(socket, ZMQ_ROUTING_ID, routing_id, bytes), 0);
    }
    assert_int_equal(zmq_connect(socket, endpoint), 0);
    return socket;
}

static void oversized_and_many_frames_are_dropped_and_the_next_message_is_not(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    void *context = zmq_ctx_new();
    void *raw = raw_client(context, ph_wire_server_endpoint(server), NULL, 0);
    struct ph_wire_client *client =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    struct ph_wire_message message;
    char *big = calloc(1, PH_MESSAGE_BYTES_MAX + 1);
    int i;

    (void)state;
    for (i = 0; i < 100; i++) {
        assert_int_equal(zmq_send(raw, "part", 4, ZMQ_SNDMORE), 4);
    }
    assert_int_equal(zmq_send(raw, "end", 3, 0), 3);
    assert_int_equal(zmq_send(raw, "", 0, 0), 0); /* an empty message says nothing */
    assert_int_equal(zmq_send(raw, "fine", 4, 0), 4);
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.text, "fine", 4);
    assert_int_equal(ph_wire_server_dropped(server), 2);
    /* Over the limit: libzmq ends that connection; others are not touched. */
    assert_non_null(big);
    assert_int_equal(
        zmq_send(raw, big, PH_MESSAGE_BYTES_MAX + 1, ZMQ_DONTWAIT), PH_MESSAGE_BYTES_MAX + 1);
    assert_true(client_sends(client, server, "after", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.text, "after", 5);
    assert_false(server_gets(server, &message, QUIET_MS));
    free(big);
    zmq_close(raw);
    zmq_ctx_term(context);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void two_servers_in_one_process_keep_their_own_rules(void **state)
{
    int asked_one = 0, asked_two = 0;
    struct ph_wire_server *one = serve("tcp://127.0.0.1:*", accept_good, &asked_one);
    struct ph_wire_server *two = serve("tcp://127.0.0.1:*", NULL, &asked_two);
    struct ph_wire_client *to_one =
        dial(ph_wire_server_endpoint(one), server_keys.public_key, &other);
    struct ph_wire_client *to_two =
        dial(ph_wire_server_endpoint(two), server_keys.public_key, &other);
    struct ph_wire_message message;

    (void)state;
    assert_true(client_sends(to_two, two, "two", NULL, 0, LIMIT_MS));
    assert_true(server_gets(two, &message, LIMIT_MS));
    (void)client_sends(to_one, one, "one", NULL, 0, QUIET_MS);
    assert_false(server_gets(one, &message, QUIET_MS));
    assert_true(asked_one > 0);
    ph_wire_client_destroy(&to_one);
    ph_wire_client_destroy(&to_two);
    ph_wire_server_destroy(&one);
    ph_wire_server_destroy(&two);
}

static void an_address_in_use_is_named(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_server *second = NULL;
    struct ph_wire_server_config config = {.listen = ph_wire_server_endpoint(server),
        .public_key = server_keys.public_key,
        .secret_key = server_keys.secret_key,
        .expected = 1};
    struct ph_error error = {0};

    (void)state;
    assert_int_equal(ph_wire_server_new(&config, &second, &error), -EADDRINUSE);
    assert_null(second);
    assert_non_null(strstr(error.message, ph_wire_server_endpoint(server)));
    ph_wire_server_destroy(&server);
}

static void bad_addresses_and_keys_are_refused(void **state)
{
    static const char *const listens[] = {"", "127.0.0.1:7460", "ipc:///tmp/x", "inproc://x",
        "tcp://", "tcp://127.0.0.1", "tcp://127.0.0.1:", "tcp://:80", "tcp://127.0.0.1:65536",
        "tcp://127.0.0.1:-1", "tcp://127.0.0.1:7x", "tcp://127.0.0.1:80;tcp://*:80",
        "tcp://a b:80"};
    size_t i;

    (void)state;
    for (i = 0; i < sizeof listens / sizeof listens[0]; i++) {
        struct ph_wire_server_config config = {.listen = listens[i],
            .public_key = server_keys.public_key,
            .secret_key = server_keys.secret_key};
        struct ph_wire_server *server = NULL;
        struct ph_wire_client *client = NULL;
        struct ph_error error = {0};

        assert_int_equal(ph_wire_server_new(&config, &server, &error), -EINVAL);
        assert_int_equal(error.code, PH_BAD_INPUT);
        assert_true(error.message[0] != '\0');
        assert_int_equal(ph_wire_client_new(listens[i], server_keys.public_key, good.public_key,
                             good.secret_key, &client, &error),
            -EINVAL);
        config.listen = "tcp://127.0.0.1:*";
        config.secret_key = "too short";
        assert_int_equal(ph_wire_server_new(&config, &server, &error), -EINVAL);
        assert_string_equal(error.field, "secret_key");
    }
}

static void a_client_finds_a_server_that_was_restarted(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    char endpoint[256];
    struct ph_wire_client *client;
    struct ph_wire_message message;
    int i;

    (void)state;
    snprintf(endpoint, sizeof endpoint, "%s", ph_wire_server_endpoint(server));
    client = dial(endpoint, server_keys.public_key, &good);
    assert_true(client_sends(client, server, "before", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    for (i = 0; i < 3; i++) {
        ph_wire_server_destroy(&server);
        server = serve(endpoint, NULL, NULL);
        /* What is sent before the break is noticed may be lost, so it is said again, as all is. */
        do {
            (void)client_sends(client, server, "again", NULL, 0, 50);
        } while (!server_gets(server, &message, 50));
        assert_memory_equal(message.text, "again", 5);
        assert_string_equal(message.peer.public_key, good.public_key);
    }
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void a_routing_id_cannot_be_stolen(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_client *client =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    struct ph_wire_message message;
    struct ph_wire_peer peer;
    void *context = zmq_ctx_new();
    void *thief, *named;
    char stolen[16];

    (void)state;
    assert_true(client_sends(client, server, "mine", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    peer = message.peer;
    /* A thief that knows the very id: libzmq ignores it while the owner is connected. */
    thief = raw_client(
        context, ph_wire_server_endpoint(server), (char *)peer.routing_id, peer.routing_bytes);
    assert_int_equal(zmq_send(thief, "theft", 5, 0), 5);
    assert_false(server_gets(server, &message, QUIET_MS));
    assert_int_equal(ph_wire_server_send(server, &peer, "secret", 6, NULL, 0), 0);
    assert_true(client_gets(client, &message, LIMIT_MS));
    assert_memory_equal(message.text, "secret", 6);
    assert_int_equal(zmq_recv(thief, stolen, sizeof stolen, ZMQ_DONTWAIT), -1);
    /* An id of a peer's own making is not served at all. */
    named = raw_client(context, ph_wire_server_endpoint(server), "node-1", 6);
    assert_int_equal(zmq_send(named, "named", 5, 0), 5);
    assert_false(server_gets(server, &message, QUIET_MS));
    assert_int_equal(ph_wire_server_dropped(server), 1);
    zmq_close(thief);
    zmq_close(named);
    zmq_ctx_term(context);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void a_peer_that_left_is_unreachable(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_client *client =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    struct ph_wire_message message;
    struct ph_wire_peer peer, nobody = {.routing_id = {0, 1, 2, 3, 4}, .routing_bytes = 5};
    uint64_t end;
    int rv;

    (void)state;
    assert_true(client_sends(client, server, "hello", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    peer = message.peer;
    assert_int_equal(ph_wire_server_send(server, &nobody, "x", 1, NULL, 0), -EHOSTUNREACH);
    ph_wire_client_destroy(&client);
    end = ph_clock_boot_ms() + LIMIT_MS;
    while ((rv = ph_wire_server_send(server, &peer, "x", 1, NULL, 0)) == 0 &&
           ph_clock_boot_ms() < end) {
        (void)server_gets(server, &message, 10);
    }
    assert_int_equal(rv, -EHOSTUNREACH);
    ph_wire_server_destroy(&server);
}

static void a_client_without_a_server_queues_nothing(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    char endpoint[256];
    struct ph_wire_client *client;
    struct ph_wire_message message;

    (void)state;
    snprintf(endpoint, sizeof endpoint, "%s", ph_wire_server_endpoint(server));
    ph_wire_server_destroy(&server);
    client = dial(endpoint, server_keys.public_key, &good);
    assert_int_equal(ph_wire_client_send(client, "stale", 5, NULL, 0), -EAGAIN);
    server = serve(endpoint, NULL, NULL);
    assert_true(client_sends(client, server, "fresh", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.text, "fresh", 5);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void the_last_message_before_destroy_arrives(void **state)
{
    struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
    struct ph_wire_client *client =
        dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
    struct ph_wire_message message;

    (void)state;
    assert_true(client_sends(client, server, "first", NULL, 0, LIMIT_MS));
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_true(client_sends(client, server, "leaving", NULL, 0, LIMIT_MS));
    ph_wire_client_destroy(&client);
    assert_true(server_gets(server, &message, LIMIT_MS));
    assert_memory_equal(message.text, "leaving", 7);
    ph_wire_server_destroy(&server);
}

/* The client's thread reads as soon as it can, and must not find that the end came first. */
static void *answer_await(void *argument)
{
    struct ph_wire_client *client = argument;
    struct ph_wire_message message;

    return client_gets(client, &message, LIMIT_MS) ? client : NULL;
}

static void the_last_answer_before_destroy_arrives(void **state)
{
    int i;

    (void)state;
    for (i = 0; i < 10; i++) {
        struct ph_wire_server *server = serve("tcp://127.0.0.1:*", NULL, NULL);
        struct ph_wire_client *client =
            dial(ph_wire_server_endpoint(server), server_keys.public_key, &good);
        struct ph_wire_message message;
        pthread_t thread;
        void *got = NULL;

        assert_true(client_sends(client, server, "ask", NULL, 0, LIMIT_MS));
        assert_true(server_gets(server, &message, LIMIT_MS));
        assert_int_equal(pthread_create(&thread, NULL, answer_await, client), 0);
        assert_int_equal(ph_wire_server_send(server, &message.peer, "no", 2, NULL, 0), 0);
        ph_wire_server_destroy(&server);
        pthread_join(thread, &got);
        assert_non_null(got);
        ph_wire_client_destroy(&client);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_and_two_frames_go_both_ways_under_the_senders_key),
        cmocka_unit_test(a_wrong_server_key_gets_no_message_through),
        cmocka_unit_test(accept_decides_which_keys_come_in),
        cmocka_unit_test(nothing_is_accepted_in_clear),
        cmocka_unit_test(oversized_and_many_frames_are_dropped_and_the_next_message_is_not),
        cmocka_unit_test(two_servers_in_one_process_keep_their_own_rules),
        cmocka_unit_test(an_address_in_use_is_named),
        cmocka_unit_test(bad_addresses_and_keys_are_refused),
        cmocka_unit_test(a_client_finds_a_server_that_was_restarted),
        cmocka_unit_test(a_routing_id_cannot_be_stolen),
        cmocka_unit_test(a_peer_that_left_is_unreachable),
        cmocka_unit_test(a_client_without_a_server_queues_nothing),
        cmocka_unit_test(the_last_message_before_destroy_arrives),
        cmocka_unit_test(the_last_answer_before_destroy_arrives),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
