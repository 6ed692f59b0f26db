/*
 * A stream whose peer may say anything in any order, while the local end reads and writes as it likes. The
 * first bit of the input chooses which end we are; then each byte is a step, with the bytes it needs behind.
 * What was received is what came, in order; no more is queued than credit was given; no more is sent than
 * the peer allows.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/stream/flow.h"
#include "base/assert.h"
#include "base/clock.h"

#define NUMBER 7

struct world {
    const uint8_t *data;
    size_t size;
    struct ph_stream stream;
    int64_t allowed;  /* credit we gave the stream */
    int64_t out;      /* bytes it has sent */
    int64_t in;       /* bytes it has taken from us */
    int64_t read;     /* bytes its reader has seen */
    unsigned refuses; /* sends that find no room */
};

static uint8_t next(struct world *world)
{
    if (world->size == 0)
        return 0;
    world->size--;
    return *world->data++;
}

static int64_t number(struct world *world)
{
    static const int64_t corners[] = {0, 1, 4096, 4097, PH_STREAM_CHUNK_BYTES,
        PH_STREAM_CREDIT_BYTES, PH_STREAM_CREDIT_BYTES + 1, (int64_t)1 << 40, INT64_MAX - 1,
        INT64_MAX};
    uint8_t choice = next(world);
    return choice < 128 ? choice : corners[choice % (sizeof corners / sizeof corners[0])];
}

static int sent(void *context, const char *text, size_t bytes, zmq_msg_t *payload)
{
    struct world *world = context;
    struct ph_message message;
    struct ph_error error;

    if (world->refuses > 0) {
        world->refuses--;
        return -EAGAIN;
    }
    ph_assert(ph_message_decode(text, bytes, &message, &error) == 0);
    if (message.type == PH_MSG_STREAM_DATA) {
        const struct ph_stream_data *data = message.body;
        ph_assert(data->stream == NUMBER && data->offset == world->out);
        if (payload != NULL) {
            world->out += (int64_t)zmq_msg_size(payload);
            ph_assert(world->out <= world->allowed);
            zmq_msg_close(payload);
        }
    } else if (message.type == PH_MSG_STREAM_END) {
        ph_assert(((const struct ph_stream_end *)message.body)->bytes == world->out);
    }
    ph_message_fini(&message);
    return 0;
}

/* Hands the stream what the peer said, as it would come from the wire. */
static void say(struct world *world, enum ph_message_type type, const void *body, size_t bytes)
{
    struct ph_message message;
    struct ph_error error;
    struct ph_wire_message wire = {.text = NULL};
    zmq_msg_t payload;
    size_t length;
    char *text;

    if (ph_message_encode(type, 0, body, &text, &length) != 0)
        return;
    if (ph_message_decode(text, length, &message, &error) == 0) {
        ph_assert(zmq_msg_init_size(&payload, bytes) == 0);
        for (size_t i = 0; i < bytes; i++) /* each byte tells its place */
            ((unsigned char *)zmq_msg_data(&payload))[i] = (unsigned char)((uint64_t)world->in + i);
        wire.frames[1] = &payload;
        wire.payload = zmq_msg_data(&payload);
        wire.payload_bytes = bytes;
        ph_flow_message(&world->stream, &message, &wire);
        zmq_msg_close(&payload);
        ph_message_fini(&message);
    }
    free(text);
}

static void peer_sends(struct world *world, int64_t elsewhere)
{
    size_t bytes = (size_t)next(world) * (next(world) % 4 == 0 ? 1024 : 1);
    struct ph_stream_data data = {
        .stream = NUMBER, .offset = elsewhere > 0 ? elsewhere : world->in};
    int64_t before = world->stream.in_offset;

    say(world, PH_MSG_STREAM_DATA, &data, bytes);
    if (world->stream.in_offset != before) {
        ph_assert(data.offset == before);
        world->in += (int64_t)bytes;
    }
}

static void peer_allows(struct world *world)
{
    struct ph_stream_credit credit = {.stream = NUMBER, .bytes = number(world)};
    int64_t before = world->stream.out_credit;

    say(world, PH_MSG_STREAM_CREDIT, &credit, 0);
    if (world->stream.out_credit != before)
        world->allowed += credit.bytes;
}

static void peer_closes(struct world *world)
{
    uint8_t how = next(world);
    struct ph_stream_close close = {.stream = NUMBER,
        .complete = (how & 1) != 0,
        .again = (how & 2) != 0,
        .reason = (how & 4) != 0 ? (char[]){"no\nroom"} : NULL};
    say(world, PH_MSG_STREAM_CLOSE, &close, 0);
}

static void reader_reads(struct world *world)
{
    unsigned char bytes[65536];
    ssize_t got = recv(world->stream.driver_fd, bytes, (size_t)next(world) * 257 + 1, MSG_DONTWAIT);
    for (ssize_t i = 0; i < got; i++)
        ph_assert(bytes[i] == (unsigned char)(uint64_t)world->read++);
    ph_assert(world->read <= world->in);
}

static void writer_writes(struct world *world)
{
    static const unsigned char bytes[65536];
    ssize_t done = send(
        world->stream.driver_fd, bytes, (size_t)next(world) * 257, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)done;
}

static void step(struct world *world)
{
    struct ph_stream *stream = &world->stream;
    struct ph_stream_end end = {.stream = NUMBER, .bytes = world->in};
    struct ph_stream_close mine = {.complete = (next(world) & 1) != 0, .reason = (char[]){"done"}};

    switch (next(world) % 14) {
    case 0:
    case 1:
        peer_sends(world, 0);
        break;
    case 2:
        peer_sends(world, number(world));
        break;
    case 3:
        peer_allows(world);
        break;
    case 4:
        say(world, PH_MSG_STREAM_END, &end, 0);
        break;
    case 5:
        end.bytes = number(world);
        say(world, PH_MSG_STREAM_END, &end, 0);
        break;
    case 6:
        peer_closes(world);
        break;
    case 7:
        reader_reads(world);
        break;
    case 8:
        writer_writes(world);
        break;
    case 9:
        shutdown(stream->driver_fd, SHUT_WR);
        break;
    case 10:
        ph_flow_close(stream, &mine, next(world) % 2 == 0);
        break;
    case 11:
        world->refuses = next(world) % 4;
        break;
    case 12:
        ph_flow_tick(stream, ph_clock_boot_ms() + (uint64_t)next(world) * 100);
        break;
    default:
        ph_flow_local(stream, (short)(ph_flow_events(stream) & (ZMQ_POLLIN | ZMQ_POLLOUT)));
        break;
    }
    ph_assert(stream->in_queued >= 0 && stream->in_queued <= PH_STREAM_CREDIT_BYTES);
    ph_assert(stream->in_window >= 0 && stream->in_window <= PH_STREAM_CREDIT_BYTES);
    ph_assert(stream->out_credit >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int wake[2] = {-1, -1};
    struct world world = {.data = data, .size = size > 4096 ? 4096 : size};
    struct ph_stream_link link = {sent, &world};
    struct ph_stream_open open = {
        .stream = NUMBER, .pool = "web", .driver = "directory", .epoch = 1, .sequence = 1};
    atomic_bool cancelled = false;

    if (wake[0] < 0)
        ph_assert(ph_wake_pipe(wake) == 0);
    if (ph_flow_init(&world.stream, &open, &link, wake[1], &cancelled) != 0)
        return 0;
    world.stream.opener = next(&world) % 2 == 0;
    ph_flow_grant(&world.stream, PH_STREAM_CREDIT_BYTES);
    while (world.size > 0)
        step(&world);
    ph_flow_abort(&world.stream, true, "over");
    ph_flow_fini(&world.stream);
    ph_wake_drain(wake[0]);
    return 0;
}
