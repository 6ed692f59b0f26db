#include "agent/pools/btrfs.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/btrfs.h>
#include <linux/btrfs_tree.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#define SUBVOLUME_INODE 256 /* BTRFS_FIRST_FREE_OBJECTID: the top of every subvolume */

bool ph_btrfs_is(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == BTRFS_SUPER_MAGIC;
}

static int open_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 ? fd : -errno;
}

int ph_btrfs_look(const char *path, struct ph_btrfs_subvolume *out)
{
    struct btrfs_ioctl_get_subvol_info_args info = {.flags = 0};
    struct stat status;
    int fd = open_directory(path);
    int rv = 0;

    if (fd < 0)
        return fd;
    if (fstat(fd, &status) != 0 || status.st_ino != SUBVOLUME_INODE || !ph_btrfs_is(path))
        rv = -ENOTDIR;
    else if (ioctl(fd, BTRFS_IOC_GET_SUBVOL_INFO, &info) < 0) /* 1 is a success too */
        rv = -errno;
    close(fd);
    if (rv != 0)
        return rv;
    out->read_only = (info.flags & BTRFS_ROOT_SUBVOL_RDONLY) != 0;
    out->received = false;
    for (size_t i = 0; i < sizeof info.received_uuid; i++)
        out->received = out->received || info.received_uuid[i] != 0;
    return 0;
}

static int on_parent(const char *parent, unsigned long request, void *arguments)
{
    int fd = open_directory(parent);
    int rv = 0;

    if (fd < 0)
        return fd;
    if (ioctl(fd, request, arguments) < 0)
        rv = -errno;
    close(fd);
    return rv;
}

int ph_btrfs_create(const char *parent, const char *name)
{
    struct btrfs_ioctl_vol_args arguments = {.fd = 0};

    if (strlen(name) >= sizeof arguments.name)
        return -ENAMETOOLONG;
    ph_text_format(arguments.name, sizeof arguments.name, "%s", name);
    return on_parent(parent, BTRFS_IOC_SUBVOL_CREATE, &arguments);
}

int ph_btrfs_snapshot(const char *source, const char *parent, const char *name, bool read_only)
{
    struct btrfs_ioctl_vol_args_v2 arguments = {.flags = read_only ? BTRFS_SUBVOL_RDONLY : 0};
    int fd = open_directory(source);

    if (fd < 0)
        return fd;
    if (strlen(name) >= sizeof arguments.name) {
        close(fd);
        return -ENAMETOOLONG;
    }
    ph_text_format(arguments.name, sizeof arguments.name, "%s", name);
    arguments.fd = fd;
    int rv = on_parent(parent, BTRFS_IOC_SNAP_CREATE_V2, &arguments);
    close(fd);
    return rv;
}

int ph_btrfs_delete(const char *parent, const char *name)
{
    struct btrfs_ioctl_vol_args arguments = {.fd = 0};

    if (strlen(name) >= sizeof arguments.name)
        return -ENAMETOOLONG;
    ph_text_format(arguments.name, sizeof arguments.name, "%s", name);
    return on_parent(parent, BTRFS_IOC_SNAP_DESTROY, &arguments);
}
