#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>
#include "poolherd/limits.h"
#include "base/text.h"

#define PATH_BYTES 4096

int ph_path_join(char *out, size_t size, const char *directory, const char *name)
{
    size_t bytes = strlen(directory);
    const char *slash = bytes > 0 && directory[bytes - 1] == '/' ? "" : "/";
    int wanted = snprintf(out, size, "%s%s%s", directory, slash, name);

    return wanted >= 0 && (size_t)wanted < size ? 0 : -ENAMETOOLONG;
}

static int write_all(int fd, const void *bytes, size_t size)
{
    const char *at = bytes;

    while (size > 0) {
        ssize_t written = write(fd, at, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -errno;
        at += written;
        size -= (size_t)written;
    }
    return 0;
}

/* fsync of the directory that holds path: makes a rename in it durable. */
static int sync_parent(const char *path)
{
    char parent[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int rv = 0;

    if (slash == NULL)
        snprintf(parent, sizeof parent, ".");
    else if (slash == path)
        snprintf(parent, sizeof parent, "/");
    else if ((size_t)(slash - path) >= sizeof parent)
        return -ENAMETOOLONG;
    else
        snprintf(parent, sizeof parent, "%.*s", (int)(slash - path), path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    /* EINVAL: a file system that cannot sync directories keeps them in order itself. */
    if (fsync(fd) != 0 && errno != EINVAL)
        rv = -errno;
    close(fd);
    return rv;
}

int ph_file_replace(const char *path, const void *bytes, size_t size, mode_t mode)
{
    static atomic_uint counter;
    char temporary[PATH_BYTES];
    int rv;

    int wanted = snprintf(temporary, sizeof temporary, "%s.new-%ld-%u", path, (long)getpid(),
        atomic_fetch_add(&counter, 1));
    if (wanted < 0 || (size_t)wanted >= sizeof temporary)
        return -ENAMETOOLONG;
    /* The name is ours alone while we live; a file with it is left from a crash of an earlier
     * process with our pid. */
    unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    rv = write_all(fd, bytes, size);
    if (rv == 0 && fchmod(fd, mode) != 0)
        rv = -errno;
    if (rv == 0 && fsync(fd) != 0)
        rv = -errno;
    if (close(fd) != 0 && rv == 0 && errno != EINTR)
        rv = -errno;
    if (rv == 0 && rename(temporary, path) != 0)
        rv = -errno;
    if (rv != 0) {
        unlink(temporary);
        return rv;
    }
    return sync_parent(path);
}

int ph_file_read(const char *path, size_t limit, char **text_out, size_t *size_out)
{
    size_t room = 0, used = 0;
    char *text = NULL;
    struct stat status;
    int rv = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode)) {
        if (status.st_size > 0 && (uintmax_t)status.st_size > limit) {
            rv = -EFBIG;
            goto cleanup;
        }
        room = (size_t)status.st_size + 1;
    }
    for (;;) {
        /* One byte more than the limit is asked for, so that a file that grew is noticed. */
        if (text == NULL || used + 1 >= room) {
            room = text == NULL ? (room < 512 ? 512 : room + 1) : room * 2;
            char *larger = realloc(text, room);
            if (larger == NULL) {
                rv = -ENOMEM;
                goto cleanup;
            }
            text = larger;
        }
        /* cppcheck-suppress nullPointerArithmeticRedundantCheck; there is room only with a text */
        ssize_t got = read(fd, text + used, room - used - 1);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rv = -errno;
        if (got <= 0)
            break;
        used += (size_t)got;
        if (used > limit) {
            rv = -EFBIG;
            break;
        }
    }

cleanup:
    close(fd);
    if (rv != 0) {
        free(text);
        return rv;
    }
    text[used] = '\0';
    *text_out = text;
    if (size_out != NULL)
        *size_out = used;
    return 0;
}

int ph_directory_make(const char *path)
{
    char partial[PATH_BYTES];
    struct stat status;
    size_t bytes = strlen(path);

    if (bytes == 0)
        return -ENOENT;
    if (bytes >= sizeof partial)
        return -ENAMETOOLONG;
    memcpy(partial, path, bytes + 1);
    for (size_t i = 1; i <= bytes; i++) {
        if (partial[i] != '/' && partial[i] != '\0')
            continue;
        char kept = partial[i];
        partial[i] = '\0';
        /* EEXIST comes also from a file; EROFS and EACCES also from a directory that is there. */
        if (mkdir(partial, 0700) != 0) {
            int error = errno;
            if (stat(partial, &status) != 0)
                return -error;
            if (!S_ISDIR(status.st_mode))
                return -ENOTDIR;
        }
        partial[i] = kept;
    }
    return 0;
}

int ph_lock_take(const char *path, int *fd_out, pid_t *holder_out)
{
    char text[32];

    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        int error = errno;
        if (error == EINTR)
            continue;
        if (error == EWOULDBLOCK && holder_out != NULL) {
            ssize_t got = pread(fd, text, sizeof text - 1, 0);
            text[got > 0 ? got : 0] = '\0';
            long holder = strtol(text, NULL, 10);
            *holder_out = holder > 0 ? (pid_t)holder : 0;
        }
        close(fd);
        return -error;
    }
    int bytes = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) != 0 || pwrite(fd, text, (size_t)bytes, 0) != bytes) {
        /* The lock is what counts; the pid is for people. A full disk must not forbid a start here. */
    }
    *fd_out = fd;
    return 0;
}
