#include "agent/pools/loop.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/text.h"

#define TRIES 32 /* others may take the free device first */
#define SECTOR_BYTES 512
#define STEP_MS 10

static bool direct_io_suits(int file_fd)
{
    struct statfs status;
    return fstatfs(file_fd, &status) == 0 && status.f_type != BTRFS_SUPER_MAGIC;
}

static int configure(int device_fd, int file_fd)
{
    struct loop_config config = {
        .fd = (__u32)file_fd, .block_size = SECTOR_BYTES, .info.lo_flags = LO_FLAGS_AUTOCLEAR};

    if (direct_io_suits(file_fd))
        config.info.lo_flags |= LO_FLAGS_DIRECT_IO;
    if (ioctl(device_fd, LOOP_CONFIGURE, &config) == 0)
        return 0;
    if (errno != EINVAL)
        return -errno;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR; /* its blocks are larger than a sector */
    return ioctl(device_fd, LOOP_CONFIGURE, &config) == 0 ? 0 : -errno;
}

static int attach_free(int control_fd, int file_fd, int *fd_out, char device_out[PH_LOOP_NAME])
{
    int number = ioctl(control_fd, LOOP_CTL_GET_FREE);

    if (number < 0)
        return -errno;
    ph_text_format(device_out, PH_LOOP_NAME, "/dev/loop%d", number);
    int fd = open(device_out, O_RDWR | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    int rv = configure(fd, file_fd);
    if (rv == 0)
        *fd_out = fd;
    else
        close(fd);
    return rv;
}

int ph_loop_attach(const char *file, int *fd_out, char device_out[PH_LOOP_NAME])
{
    int control_fd = -1, rv = 0, file_fd = open(file, O_RDWR | O_CLOEXEC | O_NOFOLLOW);

    if (file_fd < 0)
        return -errno;
    control_fd = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control_fd < 0)
        rv = -errno;
    if (rv == 0) {
        rv = -EBUSY;
        for (int tries = 0; rv == -EBUSY && tries < TRIES; tries++)
            rv = attach_free(control_fd, file_fd, fd_out, device_out);
        close(control_fd);
    }
    close(file_fd);
    return rv;
}

/* Opens the device when it has the file; else -1. */
static int open_if_it_has(const char *name, const struct stat *wanted, int flags)
{
    struct loop_info64 info = {.lo_number = 0};
    char path[PH_LOOP_NAME];

    ph_text_format(path, sizeof path, "/dev/%s", name);
    int fd = open(path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    if (ioctl(fd, LOOP_GET_STATUS64, &info) == 0 && info.lo_device == wanted->st_dev &&
        info.lo_inode == wanted->st_ino)
        return fd;
    close(fd);
    return -1;
}

int ph_loop_find(const char *file, char device_out[PH_LOOP_NAME])
{
    struct stat status;
    DIR *entries;
    int rv = -ENOENT;

    if (stat(file, &status) != 0)
        return -errno;
    entries = opendir("/sys/block");
    if (entries == NULL)
        return -errno;
    for (struct dirent *entry; rv != 0 && (entry = readdir(entries)) != NULL;) {
        char path[PATH_MAX];
        if (strncmp(entry->d_name, "loop", 4) != 0)
            continue;
        /* Only those in use have this directory: the others need not be opened. */
        ph_text_format(path, sizeof path, "/sys/block/%s/loop", entry->d_name);
        if (access(path, F_OK) != 0)
            continue;
        int fd = open_if_it_has(entry->d_name, &status, O_RDONLY);
        if (fd < 0)
            continue;
        close(fd);
        ph_text_format(device_out, PH_LOOP_NAME, "/dev/%.20s", entry->d_name);
        rv = 0;
    }
    closedir(entries);
    return rv;
}

/* Clears a device that nobody else has open exclusively. */
static void clear_free(const char *file, const char *device)
{
    struct stat status;

    if (stat(file, &status) != 0)
        return;
    int fd = open_if_it_has(device + strlen("/dev/"), &status, O_RDWR | O_EXCL);
    if (fd < 0)
        return;
    (void)ioctl(fd, LOOP_CLR_FD);
    close(fd);
}

int ph_loop_release(const char *file, unsigned wait_ms, char device_out[PH_LOOP_NAME])
{
    const struct timespec pause = {.tv_nsec = STEP_MS * 1000000};
    uint64_t until_ms = ph_clock_boot_ms() + wait_ms;

    for (;;) {
        int rv = ph_loop_find(file, device_out);
        if (rv == -ENOENT)
            return 0;
        if (rv != 0)
            return rv;
        clear_free(file, device_out);
        if (ph_clock_boot_ms() >= until_ms)
            return -EBUSY;
        nanosleep(&pause, NULL);
    }
}

int ph_loop_grow(const char *device)
{
    int fd = open(device, O_RDWR | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    int rv = ioctl(fd, LOOP_SET_CAPACITY) == 0 ? 0 : -errno;
    close(fd);
    return rv;
}
