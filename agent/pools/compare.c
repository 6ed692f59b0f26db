#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/tree.h"
#include "base/text.h"

#define BUFFER_BYTES (256 * 1024)

struct comparison {
    const atomic_bool *cancelled;
    int64_t wrong;
    char *a, *b; /* BUFFER_BYTES each */
};

/* Up to BUFFER_BYTES, or to the end. */
static ssize_t fill(int fd, char *buffer)
{
    size_t have = 0;

    while (have < BUFFER_BYTES) {
        ssize_t got = read(fd, buffer + have, BUFFER_BYTES - have);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -errno;
        if (got == 0)
            break;
        have += (size_t)got;
    }
    return (ssize_t)have;
}

/* 1: another content; 0: the same. One that cannot be read any more is wrong when it is of before. */
static int differs(struct comparison *comparison, int before, int after, const char *name)
{
    int a = openat(before, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int b = openat(after, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    int rv = b < 0 ? -errno : a < 0;

    while (rv == 0) {
        ssize_t left = fill(a, comparison->a), right = fill(b, comparison->b);
        if (right < 0)
            rv = (int)right;
        else if (left != right || memcmp(comparison->a, comparison->b, (size_t)right) != 0)
            rv = 1;
        else if (right < BUFFER_BYTES)
            break;
        if (comparison->cancelled != NULL && atomic_load(comparison->cancelled))
            rv = -ECANCELED;
    }
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    return rv;
}

static int compare_directories(struct comparison *comparison, int before, int after, int depth);

static int compare_entry(
    struct comparison *comparison, int before, int after, const char *name, int depth)
{
    struct stat old, new;

    if (fstatat(after, name, &new, AT_SYMLINK_NOFOLLOW) != 0)
        return -errno;
    if (fstatat(before, name, &old, AT_SYMLINK_NOFOLLOW) != 0)
        return 0; /* came newly */
    if (S_ISREG(new.st_mode) && S_ISREG(old.st_mode)) {
        if (old.st_ino == new.st_ino || old.st_size != new.st_size ||
            old.st_mtim.tv_sec != new.st_mtim.tv_sec || old.st_mtim.tv_nsec != new.st_mtim.tv_nsec)
            return 0;
        int rv = differs(comparison, before, after, name);
        comparison->wrong += rv > 0;
        return rv < 0 ? rv : 0;
    }
    if (!S_ISDIR(new.st_mode) || !S_ISDIR(old.st_mode))
        return 0;
    if (depth >= PH_TREE_DEPTH_MAX)
        return -ELOOP;
    int a = openat(before, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int b = openat(after, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rv = a < 0 || b < 0 ? -errno : compare_directories(comparison, a, b, depth + 1);
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    return rv;
}

static int compare_directories(struct comparison *comparison, int before, int after, int depth)
{
    int rv = 0, again = dup(after);
    DIR *entries = again >= 0 ? fdopendir(again) : NULL;

    if (entries == NULL) {
        rv = -errno;
        if (again >= 0)
            close(again);
        return rv;
    }
    while (rv == 0) {
        errno = 0;
        struct dirent *entry = readdir(entries);
        if (entry == NULL) {
            rv = -errno;
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            rv = compare_entry(comparison, before, after, entry->d_name, depth);
        if (comparison->cancelled != NULL && atomic_load(comparison->cancelled))
            rv = -ECANCELED;
    }
    closedir(entries);
    return rv;
}

int ph_tree_compare(const char *before, const char *after, const atomic_bool *cancelled,
    int64_t *wrong, struct ph_error *error)
{
    struct comparison comparison = {
        .cancelled = cancelled, .a = malloc(BUFFER_BYTES), .b = malloc(BUFFER_BYTES)};
    int a = open(before, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int b = open(after, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rv = a < 0 || b < 0 ? -errno : comparison.a == NULL || comparison.b == NULL ? -ENOMEM : 0;

    if (rv == 0)
        rv = compare_directories(&comparison, a, b, 1);
    if (rv == 0)
        *wrong += comparison.wrong;
    else
        ph_error_set(error, PH_FAILED, NULL, "%s cannot be compared with %s: %s", before, after,
            strerror(-rv));
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    free(comparison.a);
    free(comparison.b);
    return rv;
}
