/* Systems without cgroups: FreeBSD's jails are to take their place. */
#include "agent/guard/cgroup.h"

#include <errno.h>

int ph_cgroup_parent(const char *directory, char *path_out, size_t size, struct ph_error *why)
{
    (void)directory;
    (void)size;
    path_out[0] = '\0';
    ph_error_set(why, PH_FAILED, NULL, "this system has no cgroups");
    return -ENOTSUP;
}

int ph_cgroup_parent_path(const char *directory, char *path_out, size_t size)
{
    (void)directory;
    (void)size;
    path_out[0] = '\0';
    return -ENOTSUP;
}

int ph_cgroup_make(const char *parent, const char *pool, char *path_out, size_t size)
{
    (void)parent;
    (void)pool;
    (void)size;
    path_out[0] = '\0';
    return 0;
}

int ph_cgroup_child(
    const char *path, const char *prefix, const char *name, char *path_out, size_t size)
{
    (void)path;
    (void)prefix;
    (void)name;
    (void)size;
    path_out[0] = '\0';
    return -ENOTSUP;
}

void ph_cgroup_remove(const char *path)
{
    (void)path;
}

int ph_cgroup_join(const char *path)
{
    (void)path;
    return -ENOTSUP;
}

int ph_cgroup_kill(const char *path)
{
    (void)path;
    return 0;
}

bool ph_cgroup_populated(const char *path)
{
    (void)path;
    return false;
}
