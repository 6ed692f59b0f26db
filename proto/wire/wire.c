/*
 * Options and frames, the same for both ends.
 *
 * Options go through czmq's zsock_set_*(), which take a socket of libzmq as it is: one typed call for
 * each, and an assertion where only a mistake of ours could make it fail (keys and endpoints are
 * checked before). Frames stay zmq_msg_t: a zframe or zmsg is an allocation and a copy per message.
 */
#include "proto/wire/wire_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <czmq.h>
#include "base/text.h"
#include "proto/keys.h"

/* How long a message that was sent just before the socket was closed may still travel. */
#define LINGER_MS 500

/* Sockets of all clients of a process; an agent has one to its manager and one per copy under way. */
#define CLIENTS_MAX 4096

static void czmq_prepare(void)
{
    zsys_handler_set(NULL); /* first of all: else czmq takes SIGINT and SIGTERM for itself */
    zsys_set_logstream(stderr);
    zsys_set_max_sockets(CLIENTS_MAX);
}

void ph_wire_prepare(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, czmq_prepare);
}

int ph_wire_key_check(const char *key, const char *what, struct ph_error *error)
{
    if (!ph_key_valid(key)) {
        return ph_error_set(error, PH_BAD_INPUT, what,
            "%s is not a CURVE key: it must be %d characters of Z85", what, PH_KEY_BYTES);
    }
    return 0;
}

int ph_wire_endpoint_check(const char *endpoint, bool listen, struct ph_error *error)
{
    static const char prefix[] = "tcp://";
    char shown[PH_ENDPOINT_BYTES_MAX + 1];
    const char *host, *colon;
    char *end;
    long port;

    ph_text_printable(shown, sizeof shown, endpoint == NULL ? "" : endpoint);
    if (endpoint == NULL || strlen(endpoint) > PH_ENDPOINT_BYTES_MAX ||
        strncmp(endpoint, prefix, sizeof prefix - 1) != 0) {
        return ph_error_set(error, PH_BAD_INPUT, "endpoint",
            "\"%s\" is not an endpoint: it must be tcp://ADDRESS:PORT, at most %d bytes", shown,
            PH_ENDPOINT_BYTES_MAX);
    }
    host = endpoint + sizeof prefix - 1;
    colon = strrchr(host, ':');
    if (colon == NULL || colon == host || strpbrk(host, "/;@ \t\r\n") != NULL) {
        return ph_error_set(error, PH_BAD_INPUT, "endpoint",
            "\"%s\" has no address or no port: it must be tcp://ADDRESS:PORT", shown);
    }
    if (listen && strcmp(colon + 1, "*") == 0) {
        return 0;
    }
    errno = 0;
    port = strtol(colon + 1, &end, 10);
    if (colon[1] < '0' || colon[1] > '9' || *end != '\0' || errno != 0 || port < (listen ? 0 : 1) ||
        port > 65535) {
        return ph_error_set(error, PH_BAD_INPUT, "endpoint",
            "\"%s\" has no port from 1 to 65535%s after the last colon", shown,
            listen ? " (or * for any free one)" : "");
    }
    return 0;
}

/* With ZMQ_IPV6 an IPv4 address is bound and shown as a mapped one ([::ffff:127.0.0.1]), which
 * people and scripts do not expect; so the option is set for everything that is not plain IPv4. */
static bool wants_ipv6(const char *endpoint)
{
    const char *host = endpoint + strlen("tcp://");
    const char *colon = strrchr(host, ':');

    return colon != NULL && strspn(host, "0123456789.") != (size_t)(colon - host);
}

void ph_wire_socket_prepare(
    void *socket, const char *endpoint, const char *public_key, const char *secret_key)
{
    zsock_set_linger(socket, LINGER_MS);
    zsock_set_sndtimeo(socket, 0);
    zsock_set_maxmsgsize(socket, PH_MESSAGE_BYTES_MAX);
    /* Dead peers: the kernel's keep-alive finds idle ones, TCP_USER_TIMEOUT (tcp_maxrt) those that
     * leave data unacknowledged. Both cost nothing per message, unlike ZMQ's heartbeats, which the
     * I/O threads would have to encrypt. */
    zsock_set_tcp_keepalive(socket, 1);
    zsock_set_tcp_keepalive_idle(socket, 10);
    zsock_set_tcp_keepalive_intvl(socket, 5);
    zsock_set_tcp_keepalive_cnt(socket, 3);
    zsock_set_tcp_maxrt(socket, 10000);
    zsock_set_ipv6(socket, wants_ipv6(endpoint));
    zsock_set_curve_publickey(socket, public_key);
    zsock_set_curve_secretkey(socket, secret_key);
}

void ph_wire_context_end(void **context)
{
    if (*context != NULL) {
        while (zmq_ctx_term(*context) != 0 && zmq_errno() == EINTR) {
        }
        *context = NULL;
    }
}

int ph_wire_frames_receive(void *socket, void *text, void *payload, struct ph_wire_message *out)
{
    bool more, too_many = false;

    while (zmq_msg_recv(text, socket, ZMQ_DONTWAIT) < 0) {
        if (zmq_errno() != EINTR) {
            return -zmq_errno();
        }
    }
    out->frames[0] = text;
    out->text = zmq_msg_data(text);
    out->bytes = zmq_msg_size(text);
    out->frames[1] = NULL;
    out->payload = NULL;
    out->payload_bytes = 0;
    more = zmq_msg_more(text) != 0;
    if (more) {
        /* A message arrives whole or not at all, so what follows is already here. */
        while (more) {
            if (zmq_msg_recv(payload, socket, ZMQ_DONTWAIT) < 0) {
                if (zmq_errno() == EINTR) {
                    continue;
                }
                return -zmq_errno();
            }
            too_many = too_many || out->payload != NULL;
            out->frames[1] = payload;
            out->payload = zmq_msg_data(payload);
            out->payload_bytes = zmq_msg_size(payload);
            more = zmq_msg_more(payload) != 0;
        }
    }
    return too_many ? -EMSGSIZE : 0;
}

static int frame_send(void *socket, const void *bytes, size_t size, int more)
{
    while (zmq_send(socket, bytes, size, ZMQ_DONTWAIT | more) < 0) {
        if (zmq_errno() != EINTR) {
            return -zmq_errno();
        }
    }
    return 0;
}

int ph_wire_frames_send(
    void *socket, const char *text, size_t bytes, const void *payload, size_t payload_bytes)
{
    int rv = frame_send(socket, text, bytes, payload != NULL ? ZMQ_SNDMORE : 0);

    if (rv == 0 && payload != NULL) {
        rv = frame_send(socket, payload, payload_bytes, 0);
    }
    return rv;
}
