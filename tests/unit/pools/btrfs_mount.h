/* One small btrfs per node on a loop device, in a mount namespace of this process: it goes with the
 * process, whatever ends it. */
#ifndef PH_BTRFS_MOUNT_H
#define PH_BTRFS_MOUNT_H

#include <sched.h>
#include <sys/mount.h>
#include "tests/unit/pools/pools_test.h"

static inline bool run(const char *const *argv)
{
    struct ph_child_result result;
    int rv = ph_child_run(argv, NULL, NULL, 30000, &result);
    if (rv != 0 || result.exit_status != 0)
        printf("%s: %s %s\n", argv[0], rv != 0 ? strerror(-rv) : "", rv == 0 ? result.output : "");
    return rv == 0 && result.exit_status == 0;
}

static inline bool mount_btrfs(const char *top, int number)
{
    char image[PATH_MAX], directory[PATH_MAX];
    ph_text_format(image, sizeof image, "%s/image%d", top, number);
    ph_text_format(directory, sizeof directory, "%s/n%d", top, number);
    int fd = open(image, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    bool made = fd >= 0 && ftruncate(fd, 256 * 1024 * 1024) == 0;
    if (fd >= 0)
        close(fd);
    const char *const format[] = {"mkfs.btrfs", "-q", image, NULL};
    const char *const mounting[] = {"mount", "-o", "loop", image, directory, NULL};
    return made && mkdir(directory, 0700) == 0 && run(format) && run(mounting);
}

static inline void unmount_all(const char *top)
{
    char path[PATH_MAX];
    for (int number = 1; number <= NODES; number++) {
        ph_text_format(path, sizeof path, "%s/n%d", top, number);
        umount2(path, MNT_DETACH);
    }
    assert_int_equal(0, ph_tree_remove(top));
}

/* False, with a word on why, where this cannot be tested. */
static inline bool btrfs_works(void)
{
    char top[PATH_MAX];
    if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0 ||
        mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) {
        printf("skipped: mounting btrfs on loop devices needs root\n");
        return false;
    }
    make_top(top);
    bool works = mount_btrfs(top, 1);
    unmount_all(top);
    if (!works)
        printf("skipped: btrfs on a loop device does not work here\n");
    return works;
}

#endif
