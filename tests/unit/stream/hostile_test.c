/* A peer that has the key and the order, and says what no honest one would. */
#include "tests/unit/stream/stream_test.h"

#include "proto/message.h"
#include "proto/wire/wire.h"
#include <zmq.h>

static int read_to_end(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error)
{
    struct ph_stream_close theirs;
    (void)context;
    (void)open;
    (void)copy_out;
    read_all(ph_stream_fd(stream), NULL);
    int rv = ph_stream_wait_close(stream, &theirs, 10000, error);
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

static void next_message(struct ph_wire_client *wire, struct ph_message *out)
{
    struct ph_wire_message message;
    struct ph_error error;
    uint64_t until_ms = ph_clock_boot_ms() + 5000;
    memset(out, 0, sizeof *out);
    while (ph_clock_boot_ms() < until_ms) {
        zmq_pollitem_t item = {.socket = ph_wire_client_socket(wire), .events = ZMQ_POLLIN};
        zmq_poll(&item, 1, 100);
        if (ph_wire_client_receive(wire, &message) != 0)
            continue;
        assert_int_equal(0, ph_message_decode(message.text, message.bytes, out, &error));
        return;
    }
    fail_msg("no message came");
}

/* The next message of this type, whatever comes before. */
static void expect(struct ph_wire_client *wire, enum ph_message_type type, struct ph_message *out)
{
    for (;;) {
        next_message(wire, out);
        if (out->type == type)
            return;
        ph_message_fini(out);
    }
}

static void say(struct ph_wire_client *wire, enum ph_message_type type, const void *body,
    const char *payload, size_t bytes)
{
    char *text;
    size_t count;
    assert_int_equal(0, ph_message_encode(type, 0, body, &text, &count));
    assert_int_equal(0, ph_wire_client_send(wire, text, count, payload, bytes));
    free(text);
}

static struct ph_wire_client *connect_raw(struct pair *pair)
{
    struct ph_wire_client *wire;
    struct ph_error error;
    assert_int_equal(0, ph_wire_client_new(pair->peer.endpoint, pair->peer.public_key,
                            pair->owner.public_key, pair->owner.secret_key, &wire, &error));
    zmq_pollitem_t item = {.socket = ph_wire_client_socket(wire), .events = ZMQ_POLLOUT};
    assert_int_equal(1, zmq_poll(&item, 1, 5000));
    return wire;
}

/* Opens; refused as long as the stream before is still being cleared away. */
static void open_raw(struct ph_wire_client *wire, struct pair *pair, int64_t stream)
{
    uint64_t until_ms = ph_clock_boot_ms() + 5000;
    pair->open.stream = stream;
    while (ph_clock_boot_ms() < until_ms) {
        struct ph_message message;
        say(wire, PH_MSG_STREAM_OPEN, &pair->open, NULL, 0);
        next_message(wire, &message);
        bool opened = message.type == PH_MSG_STREAM_OPENED;
        if (opened)
            assert_int_equal(
                PH_STREAM_CREDIT_BYTES, ((const struct ph_stream_opened *)message.body)->credit);
        else
            assert_int_equal(PH_MSG_STREAM_CLOSE, message.type);
        ph_message_fini(&message);
        if (opened)
            return;
    }
    fail_msg("not opened");
}

static void expect_close(struct ph_wire_client *wire, int64_t stream, const char *reason)
{
    struct ph_message message;
    expect(wire, PH_MSG_STREAM_CLOSE, &message);
    const struct ph_stream_close *close = message.body;
    assert_int_equal(stream, close->stream);
    assert_false(close->complete);
    if (strstr(close->reason, reason) == NULL)
        fail_msg("closed with %s instead of %s", close->reason, reason);
    ph_message_fini(&message);
}

static void lies(void **state)
{
    static char chunk[1024 * 1024];
    struct pair pair;
    int64_t stream = 7;
    (void)state;
    test_receive = read_to_end;
    pair_init(&pair, 0);
    pair_allow(&pair, "web", 5, pair.owner.public_key);
    struct ph_wire_client *wire = connect_raw(&pair);

    /* Not JSON, not a message, not of this channel: nothing comes of it. */
    assert_int_equal(0, ph_wire_client_send(wire, "}{", 2, NULL, 0));
    assert_int_equal(0, ph_wire_client_send(wire, "{\"type\":\"beat\"}", 15, chunk, 10));
    struct ph_leaving leaving = {.reason = NULL};
    say(wire, PH_MSG_LEAVING, &leaving, NULL, 0);

    /* A stream that is not open. */
    struct ph_stream_data data = {.stream = 99, .offset = 0};
    say(wire, PH_MSG_STREAM_DATA, &data, chunk, 10);
    expect_close(wire, 99, "no such stream");

    /* Bytes left out. */
    open_raw(wire, &pair, ++stream);
    data = (struct ph_stream_data){.stream = stream, .offset = 1};
    say(wire, PH_MSG_STREAM_DATA, &data, chunk, 10);
    expect_close(wire, stream, "bytes were lost");

    /* More than the credit, to a reader that reads or not: the window is 8 MB in one go. */
    open_raw(wire, &pair, ++stream);
    static char huge[PH_STREAM_CREDIT_BYTES + 1];
    data = (struct ph_stream_data){.stream = stream, .offset = 0};
    say(wire, PH_MSG_STREAM_DATA, &data, huge, sizeof huge);
    expect_close(wire, stream, "were allowed");

    /* An end that does not fit, and data after an end. */
    open_raw(wire, &pair, ++stream);
    struct ph_stream_end end = {.stream = stream, .bytes = 5};
    say(wire, PH_MSG_STREAM_END, &end, NULL, 0);
    expect_close(wire, stream, "bytes were lost");
    open_raw(wire, &pair, ++stream);
    end = (struct ph_stream_end){.stream = stream, .bytes = 0};
    say(wire, PH_MSG_STREAM_END, &end, NULL, 0);
    data = (struct ph_stream_data){.stream = stream, .offset = 0};
    say(wire, PH_MSG_STREAM_DATA, &data, chunk, 10);
    expect_close(wire, stream, "");

    /* "Complete" without an end. */
    open_raw(wire, &pair, ++stream);
    struct ph_stream_close close = {.stream = stream, .complete = true};
    say(wire, PH_MSG_STREAM_CLOSE, &close, NULL, 0);
    expect_close(wire, stream, "closed before its end");

    /* Credit beyond sense, twice. */
    open_raw(wire, &pair, ++stream);
    struct ph_stream_credit credit = {.stream = stream, .bytes = INT64_MAX};
    say(wire, PH_MSG_STREAM_CREDIT, &credit, NULL, 0);
    say(wire, PH_MSG_STREAM_CREDIT, &credit, NULL, 0);
    expect_close(wire, stream, "too many");

    /* Another key does not reach a stream by knowing its number. */
    open_raw(wire, &pair, ++stream);
    struct pair other = pair;
    assert_int_equal(0, ph_identity_make("other", &other.owner));
    pair_allow(&pair, "other", 1, other.owner.public_key);
    struct ph_wire_client *stranger = connect_raw(&other);
    data = (struct ph_stream_data){.stream = stream, .offset = 5};
    say(stranger, PH_MSG_STREAM_DATA, &data, chunk, 10);
    expect_close(stranger, stream, "no such stream");
    end = (struct ph_stream_end){.stream = stream, .bytes = 0};
    say(wire, PH_MSG_STREAM_END, &end, NULL, 0);
    say(wire, PH_MSG_STREAM_CLOSE, &(struct ph_stream_close){.stream = stream, .complete = true},
        NULL, 0);
    struct ph_message message;
    expect(wire, PH_MSG_STREAM_CLOSE, &message);
    assert_true(((const struct ph_stream_close *)message.body)->complete);
    ph_message_fini(&message);

    assert_int_equal(1, atomic_load(&test_received));
    ph_wire_client_destroy(&stranger);
    ph_wire_client_destroy(&wire);
    pair_fini(&pair);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lies)};
    alarm(100);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
