#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include "agent/pools/tree.h"

int ph_tree_sync(const char *path)
{
    int rv = 0, fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    if (syncfs(fd) != 0)
        rv = -errno;
    close(fd);
    return rv;
}
