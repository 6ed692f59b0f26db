#include "proto/wire/zap.h"

#include <errno.h>
#include <stdbool.h>
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

static void reply(
    void *socket, const struct zap_frame *request, enum ph_zap_verdict verdict, const char *key)
{
    static const char *const codes[] = {"200", "300", "400"}, *const texts[] = {
                                                                  "OK", "later", "refused"};
    bool echo = request->size <= ZAP_FRAME_BYTES_MAX;

    reply_part(socket, "1.0", 3, ZMQ_SNDMORE);
    reply_part(socket, request->bytes, echo ? request->size : 0, ZMQ_SNDMORE);
    reply_part(socket, codes[verdict], 3, ZMQ_SNDMORE);
    reply_part(socket, texts[verdict], strlen(texts[verdict]), ZMQ_SNDMORE);
    reply_part(socket, key, verdict == PH_ZAP_YES ? PH_KEY_BYTES : 0, ZMQ_SNDMORE);
    reply_part(socket, "", 0, 0);
}

void ph_zap_serve(void *socket, ph_zap_judge *judge, void *context)
{
    struct zap_frame frames[ZAP_FRAMES];
    char key[PH_KEY_BYTES + 1], address[ZAP_FRAME_BYTES_MAX + 1];
    int handled;

    for (handled = 0; handled < REQUESTS_PER_CALL; handled++) {
        enum ph_zap_verdict verdict = PH_ZAP_NO;
        int count = request_read(socket, frames);

        if (count == 0) {
            return;
        }
        if (count == ZAP_FRAMES && frame_is(&frames[0], "1.0") && frame_is(&frames[5], "CURVE") &&
            frames[6].size == CURVE_KEY_BYTES && frames[1].size <= ZAP_FRAME_BYTES_MAX &&
            frames[3].size <= ZAP_FRAME_BYTES_MAX &&
            zmq_z85_encode(key, frames[6].bytes, CURVE_KEY_BYTES) != NULL) {
            memcpy(address, frames[3].bytes, frames[3].size);
            address[frames[3].size] = '\0';
            verdict = judge(context, key, address);
        }
        if (count < 2) {
            frames[1].size = 0;
        }
        reply(socket, &frames[1], verdict, key);
    }
}
