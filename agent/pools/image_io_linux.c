#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/pools/image.h"
#include "agent/pools/tool.h"
#include "base/clock.h"

#define STEP_MS 500
#define EXPLAIN_MS 1000

/* The stream has ended under us: its own words are on their way. */
static int explain(struct ph_stream *stream, const char *what, struct ph_error *error)
{
    char reason[PH_TEXT_BYTES_MAX];

    for (int waited_ms = 0;; waited_ms += 50) {
        ph_stream_reason(stream, reason, sizeof reason);
        if (reason[0] != '\0' || waited_ms >= EXPLAIN_MS)
            break;
        poll(NULL, 0, 50);
    }
    ph_error_set(error, PH_FAILED, NULL, "%s", reason[0] != '\0' ? reason : what);
    return -EIO;
}

/* Waits until something can be moved. */
static int ready(struct ph_stream *stream, short events, uint64_t moved_ms, struct ph_error *error)
{
    for (;;) {
        struct pollfd item = {.fd = ph_stream_fd(stream), .events = events};
        int got = poll(&item, 1, STEP_MS);
        if (got > 0)
            return 0;
        if (got < 0 && errno != EINTR)
            return explain(stream, strerror(errno), error);
        if (ph_clock_boot_ms() - moved_ms >= ph_tool_stall_ms()) {
            ph_error_set(error, PH_FAILED, NULL,
                "the copy hangs: nothing moved for %llu s (copy_stall_s)",
                (unsigned long long)(ph_tool_stall_ms() / 1000));
            return -EIO;
        }
    }
}

static int move(
    struct ph_stream *stream, char *in, const char *out, size_t count, struct ph_error *error)
{
    uint64_t moved_ms = ph_clock_boot_ms();
    size_t done = 0;

    while (done < count) {
        ssize_t got = in != NULL ? recv(ph_stream_fd(stream), in + done, count - done, MSG_DONTWAIT)
                                 : send(ph_stream_fd(stream), out + done, count - done,
                                       MSG_DONTWAIT | MSG_NOSIGNAL);
        if (got > 0) {
            done += (size_t)got;
            moved_ms = ph_clock_boot_ms();
            continue;
        }
        if (got < 0 && errno == EINTR)
            continue;
        if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK))
            return explain(stream, "the other node ended the copy early", error);
        int rv = ready(stream, in != NULL ? POLLIN : POLLOUT, moved_ms, error);
        if (rv != 0)
            return rv;
    }
    return 0;
}

int ph_image_read(struct ph_stream *stream, void *bytes, size_t count, struct ph_error *error)
{
    return move(stream, bytes, NULL, count, error);
}

int ph_image_write(
    struct ph_stream *stream, const void *bytes, size_t count, struct ph_error *error)
{
    return move(stream, NULL, bytes, count, error);
}
