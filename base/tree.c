#include "base/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A tree is removed with at most this many directories open; deeper ones are first moved up to the
 * root, so that depth costs neither file descriptors nor stack. */
#define DEPTH_MAX 32

struct removal {
    int root_fd;
    dev_t device;
    unsigned moved;
    bool moved_some; /* the root must be read once more */
    int error;       /* the first one */
};

static void note(struct removal *removal, int error)
{
    if (removal->error == 0)
        removal->error = error;
}

/* Empties the directory behind fd, which it closes. */
static void empty_directory(struct removal *removal, int fd, int depth);

static void remove_entry(struct removal *removal, int parent_fd, const char *name, int depth)
{
    struct stat status;

    if (fstatat(parent_fd, name, &status, AT_SYMLINK_NOFOLLOW) != 0) {
        if (errno != ENOENT)
            note(removal, -errno);
        return;
    }
    if (!S_ISDIR(status.st_mode)) {
        if (unlinkat(parent_fd, name, 0) != 0 && errno != ENOENT)
            note(removal, -errno);
        return;
    }
    if (status.st_dev != removal->device) {
        note(removal, -EXDEV);
        return;
    }
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0)
        return;
    if (depth >= DEPTH_MAX) {
        char higher[32];
        snprintf(higher, sizeof higher, ".removing-%u", removal->moved++);
        if (renameat(parent_fd, name, removal->root_fd, higher) != 0)
            note(removal, -errno);
        else
            removal->moved_some = true;
        return;
    }
    int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && geteuid() != 0 && fchmodat(parent_fd, name, 0700, 0) == 0)
        fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) {
        note(removal, -errno);
        return;
    }
    if (geteuid() != 0 && (status.st_mode & 0700) != 0700)
        fchmod(fd, 0700); /* a failure shows below */
    empty_directory(removal, fd, depth + 1);
    if (unlinkat(parent_fd, name, AT_REMOVEDIR) != 0 && errno != ENOENT)
        note(removal, -errno);
}

static void empty_directory(struct removal *removal, int fd, int depth)
{
    DIR *directory = fdopendir(fd);

    if (directory == NULL) {
        note(removal, -errno);
        close(fd);
        return;
    }
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            if (errno != 0)
                note(removal, -errno);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            remove_entry(removal, dirfd(directory), entry->d_name, depth);
    }
    closedir(directory);
}

int ph_tree_remove(const char *path)
{
    struct removal removal = {.root_fd = -1};
    struct stat status;

    if (lstat(path, &status) != 0)
        return -errno;
    if (!S_ISDIR(status.st_mode))
        return unlink(path) == 0 ? 0 : -errno;
    removal.root_fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (removal.root_fd < 0)
        return -errno;
    removal.device = status.st_dev;
    do {
        removal.moved_some = false;
        int fd = openat(removal.root_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            note(&removal, -errno);
        else
            empty_directory(&removal, fd, 0);
    } while (removal.moved_some && removal.error == 0);
    close(removal.root_fd);
    if (removal.error == 0 && rmdir(path) != 0)
        removal.error = -errno;
    return removal.error;
}
