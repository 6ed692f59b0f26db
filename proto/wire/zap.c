#include "proto/wire/zap.h"

#include <errno.h>
#include <string.h>
#include <zmq.h>
#include "poolherd/limits.h"

#define ZAP_FRAMES 7 /* version, request id, domain, address, routing id, mechanism, credentials */
#define ZAP_FRAME_BYTES_MAX 256
#define REQUESTS_PER_CALL 512
#define CURVE_KEY_BYTES 32

struct zap_frame {
    size_t size;
    unsigned char bytes[ZAP_FRAME_BYTES_MAX];
};

void *ph_zap_open(void *zmq_context)
{
    void *socket = zmq_socket(zmq_context, ZMQ_REP);
    int none = 0;

    if (socket != NULL && (zmq_setsockopt(socket, ZMQ_LINGER, &none, sizeof none) != 0 ||
                              zmq_bind(socket, "inproc://zeromq.zap.01") != 0)) {
        int reason = zmq_errno();

        zmq_close(socket);
        errno = reason;
        return NULL;
    }
    return socket;
}

/* Reads one request whole. Returns the number of frames, 0 when none waits. */
static int request_read(void *socket, struct zap_frame frames[ZAP_FRAMES])
{
    int count = 0, more = 1;
    size_t size = sizeof more;

    while (more != 0) {
        struct zap_frame surplus;
        struct zap_frame *frame = count < ZAP_FRAMES ? &frames[count] : &surplus;
        int bytes = zmq_recv(socket, frame->bytes, sizeof frame->bytes, ZMQ_DONTWAIT);

        if (bytes < 0) {
            if (zmq_errno() == EINTR) {
                continue;
            }
            return 0;
        }
        frame->size = (size_t)bytes; /* may exceed the buffer: then nothing below matches it */
        count++;
        if (zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size) != 0) {
            return 0;
        }
    }
    return count;
}

static bool frame_is(const struct zap_frame *frame, const char *text)
{
    return frame->size == strlen(text) && memcmp(frame->bytes, text, frame->size) == 0;
}

static void reply_part(void *socket, const void *bytes, size_t size, int more)
{
    /* The asker is a handshake in the same process; if it is gone the reply goes nowhere. */
    while (zmq_send(socket, bytes, size, ZMQ_DONTWAIT | more) < 0 && zmq_errno() == EINTR) {
    }
}

void ph_zap_serve(void *socket, ph_zap_accept *accept, void *context)
{
    struct zap_frame frames[ZAP_FRAMES];
    char key[PH_KEY_BYTES + 1];
    int handled;

    for (handled = 0; handled < REQUESTS_PER_CALL; handled++) {
        int count = request_read(socket, frames);
        bool good;

        if (count == 0) {
            return;
        }
        good = count == ZAP_FRAMES && frame_is(&frames[0], "1.0") &&
               frame_is(&frames[5], "CURVE") && frames[6].size == CURVE_KEY_BYTES &&
               frames[1].size <= ZAP_FRAME_BYTES_MAX &&
               zmq_z85_encode(key, frames[6].bytes, CURVE_KEY_BYTES) != NULL &&
               (accept == NULL || accept(context, key));
        reply_part(socket, "1.0", 3, ZMQ_SNDMORE);
        reply_part(socket, frames[1].bytes,
            count > 1 && frames[1].size <= ZAP_FRAME_BYTES_MAX ? frames[1].size : 0, ZMQ_SNDMORE);
        reply_part(socket, good ? "200" : "400", 3, ZMQ_SNDMORE);
        reply_part(socket, good ? "OK" : "refused", good ? 2 : 7, ZMQ_SNDMORE);
        reply_part(socket, key, good ? PH_KEY_BYTES : 0, ZMQ_SNDMORE);
        reply_part(socket, "", 0, 0);
    }
}
