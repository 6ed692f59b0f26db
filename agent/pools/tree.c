#include "agent/pools/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/text.h"

#define BUFFER_BYTES (256 * 1024)

struct walk {
    bool hash;
    int64_t since_s;
    const atomic_bool *cancelled;
    struct ph_tree_content content;
    crypto_generichash_state state;
    char path[PATH_MAX]; /* from the top, for the hash and for messages */
    size_t path_bytes;
    unsigned char *buffer;
    struct ph_error *error;
};

static int failed(struct walk *walk, int rv)
{
    char shown[512];

    ph_text_printable(shown, sizeof shown, walk->path);
    ph_error_set(walk->error, PH_FAILED, NULL, "cannot read \"%s\": %s", shown, strerror(-rv));
    return rv;
}

static void add(struct walk *walk, const void *bytes, size_t count)
{
    crypto_generichash_update(&walk->state, bytes, count);
}

static void add_number(struct walk *walk, uint64_t number)
{
    unsigned char bytes[8];

    for (int i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    add(walk, bytes, sizeof bytes);
}

static char type_of(mode_t mode)
{
    if (S_ISREG(mode))
        return 'f';
    if (S_ISDIR(mode))
        return 'd';
    if (S_ISLNK(mode))
        return 'l';
    if (S_ISFIFO(mode))
        return 'p';
    if (S_ISSOCK(mode))
        return 's';
    return S_ISBLK(mode) ? 'b' : 'c';
}

static int add_content(struct walk *walk, int directory, const char *name)
{
    int rv = 0;
    int fd = openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);

    if (fd < 0)
        return failed(walk, -errno);
    for (;;) {
        ssize_t got = read(fd, walk->buffer, BUFFER_BYTES);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            rv = failed(walk, -errno);
        if (got <= 0)
            break;
        add(walk, walk->buffer, (size_t)got);
        if (walk->cancelled != NULL && atomic_load(walk->cancelled)) {
            rv = -ECANCELED;
            break;
        }
    }
    close(fd);
    return rv;
}

static int add_entry(struct walk *walk, int directory, const char *name, const struct stat *status)
{
    char type = type_of(status->st_mode), target[PATH_MAX];

    add(walk, walk->path, walk->path_bytes + 1);
    add(walk, &type, 1);
    if (type == 'l') {
        ssize_t got = readlinkat(directory, name, target, sizeof target);
        if (got < 0)
            return failed(walk, -errno);
        add_number(walk, (uint64_t)got);
        add(walk, target, (size_t)got);
        return 0; /* its mode means nothing */
    }
    add_number(walk, status->st_mode & 07777);
    if (type == 'b' || type == 'c')
        add_number(walk, (uint64_t)status->st_rdev);
    if (type == 'f') {
        add_number(walk, (uint64_t)status->st_size);
        if (walk->since_s == 0 || (int64_t)status->st_mtime >= walk->since_s)
            return add_content(walk, directory, name);
    }
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The names in a directory, sorted. The caller frees them with ph_texts_fini(). */
static int read_names(struct walk *walk, int fd, struct ph_texts *names)
{
    int rv = 0, again = dup(fd);
    DIR *entries = again >= 0 ? fdopendir(again) : NULL;

    if (entries == NULL) {
        rv = failed(walk, -errno);
        if (again >= 0)
            close(again);
        return rv;
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(entries);
        if (entry == NULL) {
            rv = errno != 0 ? failed(walk, -errno) : 0;
            break;
        }
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        rv = ph_texts_add(names, entry->d_name);
        if (rv != 0)
            break;
    }
    closedir(entries);
    if (rv == 0 && names->count > 1)
        qsort(names->items, names->count, sizeof names->items[0], compare);
    return rv;
}

static int walk_directory(struct walk *walk, int fd, int depth);

static int walk_entry(struct walk *walk, int fd, const char *name, int depth)
{
    struct stat status;

    if (fstatat(fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0)
        return errno == ENOENT && !walk->hash ? 0 : failed(walk, -errno);
    walk->content.entries++;
    if (S_ISREG(status.st_mode))
        walk->content.bytes += status.st_size;
    int rv = walk->hash ? add_entry(walk, fd, name, &status) : 0;
    if (rv != 0 || !S_ISDIR(status.st_mode))
        return rv;
    if (depth >= PH_TREE_DEPTH_MAX)
        return failed(walk, -ELOOP);
    int below = openat(fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return errno == ENOENT && !walk->hash ? 0 : failed(walk, -errno);
    rv = walk_directory(walk, below, depth + 1);
    close(below);
    return rv;
}

static int walk_directory(struct walk *walk, int fd, int depth)
{
    struct ph_texts names = {.count = 0};
    size_t before = walk->path_bytes;
    int rv = read_names(walk, fd, &names);

    for (size_t i = 0; rv == 0 && i < names.count; i++) {
        size_t bytes = strlen(names.items[i]);
        if (walk->cancelled != NULL && atomic_load(walk->cancelled)) {
            rv = -ECANCELED;
            break;
        }
        if (before + bytes + 2 > sizeof walk->path) {
            rv = failed(walk, -ENAMETOOLONG);
            break;
        }
        walk->path[before] = '/';
        memcpy(walk->path + before + 1, names.items[i], bytes + 1);
        walk->path_bytes = before + 1 + bytes;
        rv = walk_entry(walk, fd, names.items[i], depth);
        walk->path_bytes = before;
        walk->path[before] = '\0';
    }
    ph_texts_fini(&names);
    return rv;
}

int ph_tree_measure(const char *path, bool hash, int64_t since_s, const atomic_bool *cancelled,
    struct ph_tree_content *content_out, struct ph_error *error)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char sum[PH_TREE_HASH_BYTES / 2];
    struct walk *walk = calloc(1, sizeof *walk);
    int rv, fd = -1;

    if (walk == NULL || sodium_init() < 0 || (walk->buffer = malloc(BUFFER_BYTES)) == NULL) {
        free(walk);
        return -ENOMEM;
    }
    walk->hash = hash;
    walk->since_s = since_s;
    walk->cancelled = cancelled;
    walk->error = error;
    crypto_generichash_init(&walk->state, NULL, 0, sizeof sum);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "cannot read %s: %s", path, strerror(-rv));
    } else {
        rv = walk_directory(walk, fd, 1);
        close(fd);
    }
    if (rv == 0) {
        if (hash) {
            crypto_generichash_final(&walk->state, sum, sizeof sum);
            for (size_t i = 0; i < sizeof sum; i++) {
                walk->content.hash[2 * i] = digits[sum[i] >> 4];
                walk->content.hash[2 * i + 1] = digits[sum[i] & 15];
            }
        }
        *content_out = walk->content;
    } else if (rv == -ECANCELED) {
        ph_error_set(error, PH_FAILED, NULL, "cancelled");
    }
    free(walk->buffer);
    free(walk);
    return rv;
}

int ph_tree_is_empty(const char *path, bool *empty_out)
{
    DIR *entries = opendir(path);
    struct dirent *entry;

    if (entries == NULL)
        return -errno;
    *empty_out = true;
    errno = 0;
    while ((entry = readdir(entries)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            *empty_out = false;
            break;
        }
    }
    int rv = entry == NULL ? -errno : 0;
    closedir(entries);
    return rv;
}
