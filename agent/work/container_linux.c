/*
 * What crun is given beside its bundle: a place for its notes that no crash can leave behind, and a
 * /sys/fs/cgroup as it knows it. On a host with both cgroup versions (v2 at /sys/fs/cgroup/unified) crun
 * refuses to run at all, though it is not to touch any cgroup: the container stays in the VM's own.
 */
#include <errno.h>
#include <linux/magic.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "agent/work/container.h"
#include "base/file.h"

#define CGROUPS "/sys/fs/cgroup"

static bool is_cgroup2(const char *path)
{
    struct statfs status;
    return statfs(path, &status) == 0 && status.f_type == CGROUP2_SUPER_MAGIC;
}

static int make_mounts(const char *state)
{
    if (unshare(CLONE_NEWNS) != 0 || mount("", "/", NULL, MS_REC | MS_SLAVE, NULL) != 0)
        return -errno;
    if (mkdir(state, 0700) != 0 && errno != EEXIST)
        return -errno;
    if (mount("crun", state, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=4m") != 0)
        return -errno;
    if (!is_cgroup2(CGROUPS) && is_cgroup2(CGROUPS "/unified") &&
        mount(CGROUPS "/unified", CGROUPS, NULL, MS_BIND, NULL) != 0)
        return -errno;
    return 0;
}

int ph_container_exec(const char *bundle, const char *name)
{
    char state[PATH_MAX], pid_file[PATH_MAX];
    char program[] = "crun", root[] = "--root", no_cgroup[] = "--cgroup-manager=disabled",
         run[] = "run", bundle_option[] = "--bundle", pid_option[] = "--pid-file";
    char bundle_path[PATH_MAX], id[256];
    int rv = ph_path_join(state, sizeof state, bundle, "state");
    if (rv == 0)
        rv = ph_path_join(pid_file, sizeof pid_file, bundle, "pid");
    if (rv == 0)
        rv = make_mounts(state);
    if (rv != 0)
        return rv;
    ph_text_format(bundle_path, sizeof bundle_path, "%s", bundle);
    ph_text_format(id, sizeof id, "%s", name);
    char *argv[] = {program, root, state, no_cgroup, run, bundle_option, bundle_path, pid_option,
        pid_file, id, NULL};
    execvp(program, argv);
    return -errno;
}
