#include "agent/work/qemu_system.h"

#include <errno.h>

int ph_work_short_path(const char *directory, const char *name, char *out, size_t size, int *fd_out)
{
    (void)directory;
    (void)name;
    (void)out;
    (void)size;
    (void)fd_out;
    return -ENAMETOOLONG;
}

int ph_work_bridge_join(const char *bridge, const char *port)
{
    (void)bridge;
    (void)port;
    return -ENOTSUP;
}

int64_t ph_work_memory_mib(pid_t pid)
{
    (void)pid;
    return 0;
}
