/* Where file systems can neither be frozen nor shut down. */
#include "agent/guard/volume.h"

#include <errno.h>
#include "agent/guard/system.h"

void ph_guard_volume_thaw(const char *path)
{
    (void)path;
}

void ph_guard_volume_shut(const char *path)
{
    (void)path;
}

int ph_guard_volume_release(const char *path)
{
    return ph_guard_unmount(path);
}

int ph_guard_run_release(const char *file)
{
    (void)file;
    return -ENOTSUP;
}
