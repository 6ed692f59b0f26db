#include "agent/guard/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/guard/system.h"
#include "base/child.h"
#include "base/file.h"

#define SHUT_DOWN _IOR('X', 125, uint32_t) /* 0x8004587d, of xfs first; ext4, f2fs, btrfs too */
#define WITHOUT_LOG 2u                     /* like pulling the plug: nothing more is written */
#define RELEASE_BYTES_MAX (256 * 1024)
#define RELEASE_WORDS_MAX 512

/* Opens the top of the file system mounted on path, or -1 when path is a plain directory: what is below it is
 * somebody else's then. */
static int open_top(const char *path)
{
    struct stat here, above;
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0)
        return -1;
    if (fstat(fd, &here) == 0 && fstatat(fd, "..", &above, 0) == 0 && here.st_dev != above.st_dev)
        return fd;
    close(fd);
    return -1;
}

void ph_guard_volume_thaw(const char *path)
{
    int fd = open_top(path);

    if (fd < 0)
        return;
    (void)ioctl(fd, FITHAW, 0); /* EINVAL: it was not frozen */
    close(fd);
}

void ph_guard_volume_shut(const char *path)
{
    uint32_t how = WITHOUT_LOG;
    int fd = open_top(path);

    if (fd < 0)
        return;
    (void)ioctl(fd, SHUT_DOWN, &how); /* ENOTTY: one that cannot; then it stays busy, and stuck */
    close(fd);
}

static int shut_and_detach(const char *path)
{
    uint32_t how = WITHOUT_LOG;
    int fd = open_top(path);

    if (fd < 0)
        return -EBUSY;
    int rv = ioctl(fd, SHUT_DOWN, &how) == 0 ? 0 : -EBUSY;
    close(fd);
    if (rv == 0 && umount2(path, UMOUNT_NOFOLLOW) != 0 && umount2(path, MNT_DETACH) != 0)
        rv = -errno;
    return rv;
}

int ph_guard_volume_release(const char *path)
{
    ph_guard_volume_thaw(path);
    int rv = ph_guard_unmount(path);

    return rv == -EBUSY ? shut_and_detach(path) : rv;
}

/* ---- what a file says ---- */

/* Cuts text into lines: *environment up to the empty one, argv after it. */
static bool cut(char *text, const char **environment, const char **argv)
{
    size_t count = 0;
    bool before = true;

    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end == NULL || count + 1 >= RELEASE_WORDS_MAX)
            return false;
        *end = '\0';
        if (before && *line == '\0') {
            environment[count] = NULL;
            before = false;
            count = 0;
        } else {
            (before ? environment : argv)[count++] = line;
        }
        line = end + 1;
    }
    argv[before ? 0 : count] = NULL;
    return !before && count > 0;
}

int ph_guard_run_release(const char *file)
{
    static const char *environment[RELEASE_WORDS_MAX], *argv[RELEASE_WORDS_MAX];
    struct sched_param usual = {.sched_priority = 0};
    char *text = NULL;
    int status = 0;
    pid_t pid = 0;
    int rv = ph_file_read(file, RELEASE_BYTES_MAX, &text, NULL);

    if (rv == -ENOENT)
        return 0; /* taken back since */
    if (rv == 0 && !cut(text, environment, argv))
        rv = -EBADMSG;
    (void)sched_setscheduler(0, SCHED_OTHER, &usual); /* it is no guard */
    if (rv == 0)
        rv = ph_child_start(argv, environment, -1, -1, -1, &pid);
    free(text);
    if (rv != 0)
        return rv;
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}
