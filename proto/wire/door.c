#include "proto/wire/door.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <czmq.h>
#include "base/clock.h"
#include "base/log.h"
#include "poolherd/limits.h"

#define EVENTS_ENDPOINT "inproc://poolherd.door"
#define EVENTS (ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED)
#define ROOM_MIN 64
#define ADDRESS_BYTES 256 /* an address as text, with a zone */

enum state { STATE_NONE = 0, STATE_NEW, STATE_SUSPECT, STATE_KNOWN };

struct ph_door_connection {
    uint64_t since_ms; /* suspect; a handshake may take long when thousands come at once */
    enum state state;
};

int ph_door_init(struct ph_door *door, void *context, void *router, uint32_t stranger_ms)
{
    int rv = 0;

    *door = (struct ph_door){.stranger_ms = stranger_ms, .tokens = PH_STRANGERS_MAX};
    door->events = zmq_socket(context, ZMQ_PAIR);
    if (door->events == NULL) {
        return -zmq_errno();
    }
    zsock_set_linger(door->events, 0);
    zsock_set_rcvhwm(door->events, 0); /* a full queue would stop the I/O thread that reports */
    if (zmq_socket_monitor(router, EVENTS_ENDPOINT, EVENTS) != 0) {
        rv = -zmq_errno();
    } else if (zmq_connect(door->events, EVENTS_ENDPOINT) != 0) {
        rv = -zmq_errno();
        zmq_socket_monitor(router, NULL, 0);
    }
    if (rv != 0) {
        zmq_close(door->events);
        door->events = NULL;
        return rv;
    }
    door->router = router;
    return 0;
}

void ph_door_fini(struct ph_door *door)
{
    if (door->events != NULL) {
        zmq_socket_monitor(door->router, NULL, 0);
        zmq_close(door->events);
        door->events = NULL;
    }
    free(door->connections);
    door->connections = NULL;
    door->room = 0;
}

static struct ph_door_connection *find(struct ph_door *door, int descriptor)
{
    return descriptor >= 0 && (size_t)descriptor < door->room ? &door->connections[descriptor]
                                                              : NULL;
}

/* Descriptors are small numbers: the lowest free one is given out. */
static void grow(struct ph_door *door, int descriptor)
{
    size_t room = door->room < ROOM_MIN ? ROOM_MIN : door->room;
    struct ph_door_connection *grown;

    while (room <= (size_t)descriptor) {
        room *= 2;
    }
    grown = realloc(door->connections, room * sizeof *grown);
    if (grown != NULL) {
        memset(grown + door->room, 0, (room - door->room) * sizeof *grown);
        door->connections = grown;
        door->room = room;
    }
}

static void change(struct ph_door *door, struct ph_door_connection *connection, enum state state)
{
    door->suspects += state == STATE_SUSPECT ? 1u : 0u;
    door->suspects -= connection->state == STATE_SUSPECT ? 1u : 0u;
    connection->state = state;
}

static void happened(struct ph_door *door, uint16_t event, int descriptor)
{
    struct ph_door_connection *connection;

    if (event == ZMQ_EVENT_ACCEPTED && descriptor >= 0 && (size_t)descriptor >= door->room) {
        grow(door, descriptor); /* without memory it is not watched */
    }
    connection = find(door, descriptor);
    if (connection != NULL) {
        change(door, connection, event == ZMQ_EVENT_ACCEPTED ? STATE_NEW : STATE_NONE);
    }
}

void ph_door_follow(struct ph_door *door)
{
    unsigned char frame[6]; /* event and value; zmq_socket_monitor(3) */
    uint16_t event;
    int32_t descriptor;
    int bytes;

    if (door->events == NULL) {
        return;
    }
    while ((bytes = zmq_recv(door->events, frame, sizeof frame, ZMQ_DONTWAIT)) >= 0 ||
           zmq_errno() == EINTR) {
        if (bytes != (int)sizeof frame) {
            continue; /* the second frame: our own endpoint */
        }
        memcpy(&event, frame, sizeof event);
        memcpy(&descriptor, frame + sizeof event, sizeof descriptor);
        happened(door, event, descriptor);
    }
}

/* The form in which a ZAP request names it. */
static bool comes_from(int descriptor, const char *address)
{
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    char host[ADDRESS_BYTES];

    return getpeername(descriptor, (struct sockaddr *)&peer, &size) == 0 &&
           getnameinfo(
               (struct sockaddr *)&peer, size, host, sizeof host, NULL, 0, NI_NUMERICHOST) == 0 &&
           strcmp(host, address) == 0;
}

bool ph_door_admit(struct ph_door *door, const char *address, uint64_t now_ms)
{
    size_t i;

    if (door->tokens == 0 && now_ms - door->refilled_ms >= door->stranger_ms) {
        door->refilled_ms = now_ms;
        door->tokens = PH_STRANGERS_MAX;
    }
    if (door->tokens == 0) {
        return false;
    }
    if (door->tokens == PH_STRANGERS_MAX) {
        door->refilled_ms = now_ms; /* the time of a bucket runs from its first use */
    }
    if (--door->tokens == 0) {
        ph_log(PH_LOG_WARNING, "many_strangers", "address=%s limit=%d per_ms=%lu text=%s", address,
            PH_STRANGERS_MAX, (unsigned long)door->stranger_ms,
            "further unknown keys have to wait before they can present an invitation");
    }
    for (i = 0; i < door->room; i++) {
        if (door->connections[i].state == STATE_NEW && comes_from((int)i, address)) {
            change(door, &door->connections[i], STATE_SUSPECT);
            door->connections[i].since_ms = now_ms;
        }
    }
    return true;
}

void ph_door_heard(struct ph_door *door, int descriptor, bool known)
{
    struct ph_door_connection *connection = find(door, descriptor);

    if (connection == NULL || connection->state == STATE_NONE) {
        return; /* what it said has outlived it */
    }
    if (known) {
        change(door, connection, STATE_KNOWN);
    } else if (connection->state != STATE_SUSPECT) {
        change(door, connection, STATE_SUSPECT); /* such as under a key that has been revoked */
        connection->since_ms = ph_clock_boot_ms();
    }
}

void ph_door_clear(struct ph_door *door, uint64_t now_ms)
{
    size_t i;

    for (i = 0; door->suspects > 0 && i < door->room; i++) {
        struct ph_door_connection *connection = &door->connections[i];

        if (connection->state == STATE_SUSPECT &&
            (now_ms - connection->since_ms >= door->stranger_ms ||
                ph_door_bytes((int)i) > PH_STRANGER_BYTES_MAX)) {
            /* libzmq sees the end of the stream, and closes. Should it have closed just now and the
             * number be another connection's already, that one comes back at once. */
            (void)shutdown((int)i, SHUT_RDWR);
            change(door, connection, STATE_NONE);
            door->cut++;
        }
    }
}
