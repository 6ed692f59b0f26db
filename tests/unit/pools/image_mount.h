/* Three nodes, each on a host file system of its own (ext4, xfs or btrfs on a loop file) in a mount namespace
 * of this process: what it mounts goes with it, whatever ends it. */
#ifndef PH_IMAGE_MOUNT_H
#define PH_IMAGE_MOUNT_H

#include <sched.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include "agent/pools/loop.h"
#include "tests/unit/pools/pools_test.h"

#define MIB ((int64_t)1024 * 1024)

static inline bool run(const char *const *argv)
{
    struct ph_child_result result;
    int rv = ph_child_run(argv, NULL, NULL, 60000, &result);
    if (rv != 0 || result.exit_status != 0)
        printf("%s: %s %s\n", argv[0], rv != 0 ? strerror(-rv) : "", rv == 0 ? result.output : "");
    return rv == 0 && result.exit_status == 0;
}

static inline bool mount_host(const char *top, int number, const char *type, int64_t bytes)
{
    char image[PATH_MAX], directory[PATH_MAX], format[32];
    ph_text_format(image, sizeof image, "%s/host%d", top, number);
    ph_text_format(directory, sizeof directory, "%s/n%d", top, number);
    ph_text_format(format, sizeof format, "mkfs.%s", type);
    int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool made = fd >= 0 && ftruncate(fd, bytes) == 0;
    if (fd >= 0)
        close(fd);
    const char *const argv[] = {format, "-q", image, NULL};
    const char *const mounting[] = {"mount", "-o", "loop", image, directory, NULL};
    return made && mkdir(directory, 0700) == 0 && run(argv) && run(mounting);
}

/* What a failed test may have left mounted is let go of first. */
static inline void unmount_hosts(const char *top)
{
    char path[PATH_MAX];
    for (int number = 1; number <= NODES; number++) {
        ph_text_format(path, sizeof path, "%s/n%d/pools/web/mount", top, number);
        while (umount2(path, MNT_DETACH) == 0)
            ;
        ph_text_format(path, sizeof path, "%s/n%d", top, number);
        umount2(path, MNT_DETACH);
    }
    assert_int_equal(0, ph_tree_remove(top));
}

/* False, with a word on why, where this cannot be tested. */
static inline bool images_work(void)
{
    struct ph_error error = {.code = PH_OK};
    const struct ph_pool_driver *driver = ph_pool_driver_find("image");
    if (driver->probe("/", &error) != 0) {
        printf("skipped: %s\n", error.message);
        return false;
    }
    if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: no mount namespace: %s\n", strerror(errno));
        return false;
    }
    return true;
}

#endif
