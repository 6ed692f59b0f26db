/* A stream as its driver sees it. */
#include "agent/stream/stream.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "agent/stream/flow.h"

int ph_stream_fd(struct ph_stream *stream)
{
    return stream->driver_fd;
}

const struct ph_stream_open *ph_stream_opening(const struct ph_stream *stream)
{
    return &stream->open;
}

const struct ph_stream_opened *ph_stream_opened(const struct ph_stream *stream)
{
    return &stream->opened;
}

const char *ph_stream_peer(const struct ph_stream *stream)
{
    return stream->peer;
}

int64_t ph_stream_bytes(const struct ph_stream *stream)
{
    return atomic_load(&stream->bytes);
}

void ph_stream_count_into(struct ph_stream *stream, _Atomic int64_t *bytes)
{
    atomic_store(&stream->counter, bytes);
}

void ph_stream_limit(struct ph_stream *stream, int64_t pool_kib_s, int64_t node_kib_s)
{
    pthread_mutex_lock(&stream->lock);
    if (pool_kib_s > 0 && stream->paces[0] == NULL)
        stream->paces[0] = ph_pace_get(stream->open.pool, pool_kib_s);
    if (node_kib_s > 0 && stream->paces[1] == NULL)
        stream->paces[1] = ph_pace_get("", node_kib_s);
    pthread_mutex_unlock(&stream->lock);
}

int64_t ph_stream_spoilt(struct ph_stream *stream)
{
    return atomic_load(&stream->spoilt);
}

void ph_stream_reason(struct ph_stream *stream, char *out, size_t size)
{
    pthread_mutex_lock(&stream->lock);
    ph_text_format(out, size, "%s", stream->aborted ? stream->reason : "");
    pthread_mutex_unlock(&stream->lock);
}

/* Waits for the peer's close, the abort (which a cancellation is too) or the end of the time. */
static int wait_theirs(struct ph_stream *stream, struct ph_stream_close *theirs_out,
    uint32_t timeout_ms, struct ph_error *error)
{
    struct timespec limit;
    int rv = 0;

    clock_gettime(CLOCK_MONOTONIC, &limit);
    limit.tv_sec += timeout_ms / 1000;
    limit.tv_nsec += (long)(timeout_ms % 1000) * 1000000;
    if (limit.tv_nsec >= 1000000000) {
        limit.tv_sec++;
        limit.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&stream->lock);
    while (rv == 0 && !stream->theirs_set && !stream->aborted)
        rv = -pthread_cond_timedwait(&stream->changed, &stream->lock, &limit);
    if (stream->theirs_set) {
        rv = ph_record_copy(&ph_record_stream_close, theirs_out, &stream->theirs);
    } else if (stream->aborted) {
        rv = ph_error_set(error, PH_FAILED, NULL, "%s", stream->reason);
        if (stream->cancelled != NULL && atomic_load(stream->cancelled))
            rv = -ECANCELED;
    } else {
        ph_error_set(error, PH_FAILED, NULL, "the other node did not confirm within %lu s",
            (unsigned long)timeout_ms / 1000);
        rv = -ETIMEDOUT;
    }
    pthread_mutex_unlock(&stream->lock);
    return rv;
}

int ph_stream_finish(struct ph_stream *stream, const struct ph_stream_close *mine,
    struct ph_stream_close *theirs_out, uint32_t timeout_ms, struct ph_error *error)
{
    memset(theirs_out, 0, sizeof *theirs_out);
    shutdown(stream->driver_fd, SHUT_WR);
    ph_flow_close(stream, mine, mine->complete);
    return wait_theirs(stream, theirs_out, timeout_ms, error);
}

int ph_stream_wait_close(struct ph_stream *stream, struct ph_stream_close *theirs_out,
    uint32_t timeout_ms, struct ph_error *error)
{
    memset(theirs_out, 0, sizeof *theirs_out);
    return wait_theirs(stream, theirs_out, timeout_ms, error);
}
