/*
 * What a key that nobody knows may do to a server: hold a connection for a short time and say a few
 * bytes. Private to proto/wire.
 *
 * A stranger has to be let in, or it could not present its invitation. But CURVE has then done all it
 * can: a message of endless frames is kept by libzmq until its end (ZMQ_MAXMSGSIZE is per frame, the
 * high-water mark counts whole messages), and a connection without a word stays for ever. So strangers
 * are let in at a bounded rate, and their connections are cut after a time or a number of bytes.
 *
 * libzmq tells the key of a handshake without its connection, and connections without their key. So the
 * door keeps, by descriptor, the connections that have not spoken yet under a known key; when it lets
 * a stranger in, those from the same address are suspect until they have.
 *
 *     ACCEPTED -> new --(a stranger comes in from its address)--> suspect --(late, or much)--> cut
 *                  \______________(a message under a known key)______/ -> known
 *
 * Events of a connection come before its ZAP request, and that before its messages, as long as the
 * events are read (ph_door_follow) before a request is answered.
 */
#ifndef PH_WIRE_DOOR_H
#define PH_WIRE_DOOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ph_door_connection; /* one per descriptor, see door.c */

struct ph_door {
    void *router, *events;
    struct ph_door_connection *connections;
    size_t room;
    size_t suspects;      /* connections that may have to be cut */
    uint32_t stranger_ms; /* a stranger's time */
    uint64_t refilled_ms; /* strangers let in are counted out of a bucket */
    uint32_t tokens;
    uint64_t cut; /* connections, so far */
};

/* Begins to watch the ROUTER, before it is bound. 0 or -errno; then ph_door_fini() does nothing. */
int ph_door_init(struct ph_door *door, void *context, void *router, uint32_t stranger_ms);
void ph_door_fini(struct ph_door *door); /* before the ROUTER is closed */

/* Reads what happened to connections. */
void ph_door_follow(struct ph_door *door);
/* Whether a stranger from this address may come in now. */
bool ph_door_admit(struct ph_door *door, const char *address, uint64_t now_ms);
/* A message came over this descriptor (ZMQ_SRCFD), under a key that is known or not. */
void ph_door_heard(struct ph_door *door, int descriptor, bool known);
/* Cuts what has been here too long or said too much. */
void ph_door_clear(struct ph_door *door, uint64_t now_ms);

/* door_linux.c: bytes received over a connection so far; 0 where that cannot be told. */
uint64_t ph_door_bytes(int descriptor);

#endif
