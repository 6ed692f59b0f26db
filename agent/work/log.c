/* No more than POSIX in here: poolherd-log is this file and its main. */
#include "agent/work/log.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK_BYTES 65536

/* The first line that begins at or after `from`; `from` when none begins within a chunk. */
static off_t line_after(int fd, off_t from, off_t end)
{
    char text[4096];
    ssize_t got = pread(fd, text, sizeof text, from);
    if (got <= 0)
        return from;
    const char *line_end = memchr(text, '\n', (size_t)got);
    if (line_end == NULL || from + (line_end - text) + 1 >= end)
        return from;
    return from + (line_end - text) + 1;
}

/* In place, since workloads may hold the file open: the newer half moves to the front, the rest is cut off. A
 * line written in the instant between the two is lost; the file never grows over it. */
void ph_work_log_trim(const char *path, size_t limit)
{
    char chunk[CHUNK_BYTES];
    struct stat status;
    off_t to = 0;
    int fd = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY);
    if (fd < 0)
        return;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && status.st_size > (off_t)limit) {
        off_t from = line_after(fd, status.st_size - (off_t)(limit / 2), status.st_size);
        /* Bounded: a fast writer could keep ahead of the copy for ever. */
        while (to < (off_t)limit) {
            ssize_t got = pread(fd, chunk, sizeof chunk, from);
            if (got <= 0 || pwrite(fd, chunk, (size_t)got, to) != got)
                break;
            from += got;
            to += got;
        }
        int rv = ftruncate(fd, to);
        (void)rv; /* nothing more can be done about it; the next trim tries again */
    }
    close(fd);
}

int ph_work_log_pump(int in_fd, const char *path, size_t limit)
{
    char chunk[CHUNK_BYTES];
    struct stat status;
    off_t size = 0;
    /* So that what comes fits into the half that a trim leaves free. */
    size_t chunk_bytes = limit / 2 < sizeof chunk ? limit / 2 : sizeof chunk;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0)
        size = status.st_size;
    for (;;) {
        ssize_t got = read(in_fd, chunk, chunk_bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        if (size + got > (off_t)limit) {
            ph_work_log_trim(path, (size_t)(size < (off_t)limit ? size - 1 : (off_t)limit));
            size = fstat(fd, &status) == 0 ? status.st_size : 0;
        }
        /* What the disk has no room for is dropped: a workload must not stop for its log. */
        ssize_t written = write(fd, chunk, (size_t)got);
        if (written > 0)
            size += written;
    }
    close(fd);
    return 0;
}
