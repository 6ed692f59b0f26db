/* What a key that nobody knows may do to a server, and what it may not. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>
#include <zmq.h>
#include "base/clock.h"
#include "proto/wire/wire.h"

#define LIMIT_MS 10000
#define STRANGER_MS 400

struct keys {
    char public_key[PH_KEY_BYTES + 1], secret_key[PH_KEY_BYTES + 1];
};

static struct keys server_keys, good, other;
static bool good_known; /* as the inventory says at the moment */

static int make_keys(void **state)
{
    (void)state;
    assert_int_equal(zmq_curve_keypair(server_keys.public_key, server_keys.secret_key), 0);
    assert_int_equal(zmq_curve_keypair(good.public_key, good.secret_key), 0);
    assert_int_equal(zmq_curve_keypair(other.public_key, other.secret_key), 0);
    return 0;
}

static bool known(void *context, const char *public_key)
{
    (void)context;
    return good_known && strcmp(public_key, good.public_key) == 0;
}

static struct ph_wire_server *serve(uint32_t stranger_ms)
{
    struct ph_wire_server_config config = {.listen = "tcp://127.0.0.1:*",
        .public_key = server_keys.public_key,
        .secret_key = server_keys.secret_key,
        .expected = 10,
        .known = known,
        .stranger_ms = stranger_ms};
    struct ph_wire_server *server = NULL;
    struct ph_error error = {0};

    if (ph_wire_server_new(&config, &server, &error) != 0) {
        fail_msg("%s", error.message);
    }
    good_known = true;
    return server;
}

static struct ph_wire_client *dial(struct ph_wire_server *server, struct keys *keys)
{
    struct ph_wire_client *client = NULL;
    struct ph_error error = {0};

    if (ph_wire_client_new(ph_wire_server_endpoint(server), server_keys.public_key,
            keys->public_key, keys->secret_key, &client, &error) != 0) {
        fail_msg("%s", error.message);
    }
    return client;
}

/* One turn of a server's loop. Whether a message came. */
static bool turn(struct ph_wire_server *server, struct ph_wire_message *message)
{
    zmq_pollitem_t items[2] = {{ph_wire_server_socket(server), 0, ZMQ_POLLIN, 0},
        {ph_wire_server_zap_socket(server), 0, ZMQ_POLLIN, 0}};

    zmq_poll(items, 2, 10);
    ph_wire_server_zap(server);
    return ph_wire_server_receive(server, message) == 0;
}

/* Sends until it has arrived: what is under way when a connection is cut is lost. */
static void says(
    struct ph_wire_client *client, struct ph_wire_server *server, struct ph_wire_message *message)
{
    uint64_t now, end = ph_clock_boot_ms() + LIMIT_MS, next = 0;

    while ((now = ph_clock_boot_ms()) < end) {
        if (now >= next && ph_wire_client_send(client, "word", 4, NULL, 0) == 0) {
            next = now + 200;
        }
        if (turn(server, message)) {
            return;
        }
    }
    fail_msg("the message did not arrive");
}

static void await_cut(struct ph_wire_server *server, uint64_t count)
{
    struct ph_wire_message message;
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;

    while (ph_wire_server_cut(server) < count) {
        assert_true(ph_clock_boot_ms() < end);
        (void)turn(server, &message);
    }
}

/* A way to the server that lets a message begin and never end. */
struct relay {
    int listener, client, server;
    char endpoint[64];
    size_t left; /* bytes that may still go to the server */
};

static void relay_open(struct relay *relay, struct ph_wire_server *server, size_t bytes)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->left = bytes;
    relay->client = -1;
    relay->listener = socket(AF_INET, SOCK_STREAM, 0);
    relay->server = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(relay->listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(relay->listener, 1), 0);
    assert_int_equal(getsockname(relay->listener, (struct sockaddr *)&address, &size), 0);
    snprintf(
        relay->endpoint, sizeof relay->endpoint, "tcp://127.0.0.1:%d", ntohs(address.sin_port));
    address.sin_port = htons((uint16_t)atoi(strrchr(ph_wire_server_endpoint(server), ':') + 1));
    assert_int_equal(connect(relay->server, (struct sockaddr *)&address, sizeof address), 0);
}

/* Moves what can be moved. false: the server has closed the connection. */
static bool relay_turn(struct relay *relay)
{
    char bytes[65536];
    ssize_t got;

    if (relay->client < 0) {
        relay->client = accept4(relay->listener, NULL, NULL, SOCK_NONBLOCK);
        return true;
    }
    if (relay->left > 0) {
        got = recv(relay->client, bytes, relay->left < sizeof bytes ? relay->left : sizeof bytes,
            MSG_DONTWAIT);
        if (got > 0) {
            relay->left -= (size_t)got;
            if (send(relay->server, bytes, (size_t)got, MSG_NOSIGNAL) < 0) {
                return false;
            }
        }
    }
    got = recv(relay->server, bytes, sizeof bytes, MSG_DONTWAIT);
    if (got > 0) {
        assert_int_equal(send(relay->client, bytes, (size_t)got, MSG_NOSIGNAL), got);
    }
    return got != 0 && (got > 0 || errno == EAGAIN);
}

static void relay_close(struct relay *relay)
{
    close(relay->listener);
    close(relay->client);
    close(relay->server);
}

static void a_stranger_may_speak_and_is_then_cut_but_nobody_else(void **state)
{
    struct ph_wire_server *server = serve(STRANGER_MS);
    struct ph_wire_client *friend = dial(server, &good), *stranger;
    struct ph_wire_message message;
    struct ph_wire_peer of_friend, of_stranger;

    (void)state;
    says(friend, server, &message);
    of_friend = message.peer;
    stranger = dial(server, &other);
    says(stranger, server, &message);
    of_stranger = message.peer;
    assert_string_equal(of_stranger.public_key, other.public_key);
    assert_int_equal(ph_wire_server_send(server, &of_stranger, "no", 2, NULL, 0), 0);
    await_cut(server, 1);
    while (ph_wire_server_send(server, &of_stranger, "no", 2, NULL, 0) == 0) {
        (void)turn(server, &message);
    }
    assert_int_equal(ph_wire_server_send(server, &of_friend, "yes", 3, NULL, 0), 0);
    says(friend, server, &message);
    assert_memory_equal(message.peer.routing_id, of_friend.routing_id, of_friend.routing_bytes);
    ph_wire_client_destroy(&friend);
    ph_wire_client_destroy(&stranger);
    ph_wire_server_destroy(&server);
}

static void a_stranger_without_a_word_is_cut(void **state)
{
    struct ph_wire_server *server = serve(STRANGER_MS);
    struct ph_wire_client *stranger = dial(server, &other);

    (void)state;
    await_cut(server, 2); /* it comes again by itself, and again */
    ph_wire_client_destroy(&stranger);
    ph_wire_server_destroy(&server);
}

static void a_message_without_end_is_cut(void **state)
{
    struct ph_wire_server *server = serve(LIMIT_MS); /* bytes count here, not time */
    struct relay relay;
    struct ph_wire_client *client = NULL;
    struct ph_wire_message message;
    struct ph_error error;
    size_t bytes = 4 * PH_STRANGER_BYTES_MAX;
    char *text = calloc(1, bytes);
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS / 2;
    bool sent = false;

    (void)state;
    assert_non_null(text);
    relay_open(&relay, server, 2 * PH_STRANGER_BYTES_MAX);
    fcntl(relay.listener, F_SETFL, O_NONBLOCK);
    assert_int_equal(ph_wire_client_new(relay.endpoint, server_keys.public_key, other.public_key,
                         other.secret_key, &client, &error),
        0);
    while (relay_turn(&relay)) {
        assert_true(ph_clock_boot_ms() < end);
        sent = sent || ph_wire_client_send(client, text, bytes, NULL, 0) == 0;
        assert_false(turn(server, &message));
    }
    assert_true(sent);
    assert_int_equal(ph_wire_server_cut(server), 1);
    free(text);
    relay_close(&relay);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void a_known_key_may_say_more_in_its_first_message(void **state)
{
    struct ph_wire_server *server = serve(LIMIT_MS);
    struct ph_wire_client *friend = dial(server, &good);
    struct ph_wire_message message;
    size_t bytes = 4 * PH_STRANGER_BYTES_MAX;
    char *text = calloc(1, bytes);
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
    bool sent = false;

    (void)state;
    assert_non_null(text);
    do {
        assert_true(ph_clock_boot_ms() < end);
        sent = sent || ph_wire_client_send(friend, text, bytes, NULL, 0) == 0;
    } while (!turn(server, &message));
    assert_int_equal(message.bytes, bytes);
    assert_int_equal(ph_wire_server_cut(server), 0);
    free(text);
    ph_wire_client_destroy(&friend);
    ph_wire_server_destroy(&server);
}

static void a_key_that_is_revoked_becomes_a_strangers(void **state)
{
    struct ph_wire_server *server = serve(STRANGER_MS);
    struct ph_wire_client *client = dial(server, &good);
    struct ph_wire_message message;

    (void)state;
    says(client, server, &message);
    assert_int_equal(ph_wire_server_cut(server), 0);
    good_known = false;
    says(client, server, &message); /* the caller refuses it */
    await_cut(server, 1);
    good_known = true;
    says(client, server, &message);
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

static void many_strangers_wait_and_friends_do_not(void **state)
{
    enum { COUNT = PH_STRANGERS_MAX + 10 };
    struct ph_wire_server *server = serve(LIMIT_MS);
    struct ph_wire_client *strangers[COUNT], *friend;
    struct ph_wire_message message;
    bool sent[COUNT] = {false};
    size_t i, heard = 0;
    uint64_t quiet;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        strangers[i] = dial(server, &other);
    }
    for (quiet = ph_clock_boot_ms(); ph_clock_boot_ms() - quiet < 500;) {
        for (i = 0; i < COUNT; i++) {
            sent[i] = sent[i] || ph_wire_client_send(strangers[i], "word", 4, NULL, 0) == 0;
        }
        while (turn(server, &message)) {
            heard++;
            quiet = ph_clock_boot_ms();
        }
    }
    assert_int_equal(heard, PH_STRANGERS_MAX);
    friend = dial(server, &good);
    says(friend, server, &message);
    assert_string_equal(message.peer.public_key, good.public_key);
    for (i = 0; i < COUNT; i++) {
        ph_wire_client_destroy(&strangers[i]);
    }
    ph_wire_client_destroy(&friend);
    ph_wire_server_destroy(&server);
}

static void strangers_that_had_to_wait_come_in_by_themselves(void **state)
{
    enum { COUNT = PH_STRANGERS_MAX + 10 };
    struct ph_wire_server *server = serve(STRANGER_MS);
    struct ph_wire_client *strangers[COUNT];
    struct ph_wire_message message;
    size_t i, heard = 0;
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;

    (void)state;
    for (i = 0; i < COUNT; i++) {
        strangers[i] = dial(server, &other);
    }
    while (heard < COUNT) {
        assert_true(ph_clock_boot_ms() < end);
        for (i = 0; i < COUNT; i++) {
            if (strangers[i] != NULL) {
                (void)ph_wire_client_send(strangers[i], (char *)&i, sizeof i, NULL, 0);
            }
        }
        while (turn(server, &message)) {
            assert_int_equal(message.bytes, sizeof i);
            memcpy(&i, message.text, sizeof i);
            heard += strangers[i] != NULL ? 1 : 0;
            ph_wire_client_destroy(&strangers[i]); /* it got what it wanted, and goes */
        }
    }
    ph_wire_server_destroy(&server);
}

/* Whether the id is one that libzmq 4.3.4 draws for one of the first sockets after this seed. */
static bool drawn(unsigned seed, const unsigned char *routing_id)
{
    uint32_t value = (uint32_t)routing_id[1] << 24 | (uint32_t)routing_id[2] << 16 |
                     (uint32_t)routing_id[3] << 8 | routing_id[4];
    uint32_t low;
    int i;

    srand(seed);
    for (i = 0; i < 16; i++) {
        low = (uint32_t)rand();
        if (((uint32_t)rand() << 31 | low) == value) {
            return true;
        }
    }
    return false;
}

/* libzmq counts up from it, and ends the program when the next id is taken: a peer that knows where it
 * begins could wait there. Nobody seeds rand() but czmq, with the time. */
static void nobody_can_tell_the_next_routing_id(void **state)
{
    unsigned now = (unsigned)time(NULL), age;
    struct ph_wire_server *server = serve(STRANGER_MS);
    struct ph_wire_client *client = dial(server, &good);
    struct ph_wire_message message;

    (void)state;
    says(client, server, &message);
    assert_int_equal(message.peer.routing_bytes, 5);
    assert_false(drawn(1, message.peer.routing_id)); /* unseeded */
    for (age = 0; age < 60; age++) {
        assert_false(drawn(now + 1 - age, message.peer.routing_id));
    }
    ph_wire_client_destroy(&client);
    ph_wire_server_destroy(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            nobody_can_tell_the_next_routing_id), /* first: nothing has drawn from rand() */
        cmocka_unit_test(a_stranger_may_speak_and_is_then_cut_but_nobody_else),
        cmocka_unit_test(a_stranger_without_a_word_is_cut),
        cmocka_unit_test(a_message_without_end_is_cut),
        cmocka_unit_test(a_known_key_may_say_more_in_its_first_message),
        cmocka_unit_test(a_key_that_is_revoked_becomes_a_strangers),
        cmocka_unit_test(many_strangers_wait_and_friends_do_not),
        cmocka_unit_test(strangers_that_had_to_wait_come_in_by_themselves),
    };

    return cmocka_run_group_tests(tests, make_keys, NULL);
}
