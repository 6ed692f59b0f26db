/*
 * cgroup v2, where the machine has it and allows it: a set of processes nobody in it can leave, killed
 * with one write. No controllers are used. Where there is none (another system, no permission) paths
 * are "" and process groups and marks take its place. Not pure; thread-safe.
 *
 *     OWN                      the cgroup the agent was started in (systemd: Delegate=yes)
 *      `- poolherd-HASH        ph_cgroup_parent(): one per agent directory
 *          |- guard            the guard, so that killing the agent's processes spares it
 *          `- pool-NAME        ph_cgroup_make(): what ph_cgroup_kill() and the guard kill
 *              `- vm-NAME      one per workload, made by its driver
 */
#ifndef PH_AGENT_CGROUP_H
#define PH_AGENT_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include "poolherd/error.h"

/* Makes DIR's parent group (kept when there is one); path_out "" when the machine does not allow it,
 * with the reason in *why. 0, -ENOTSUP, -EPERM, -ENAMETOOLONG. */
int ph_cgroup_parent(const char *directory, char *path_out, size_t size, struct ph_error *why);
/* Where the parent of an agent's directory (its real path; it may be gone) is or would be. 0 or -errno. */
int ph_cgroup_parent_path(const char *directory, char *path_out, size_t size);
/* Makes (or finds) the group of one pool. "" as parent gives "". 0 or -errno. */
int ph_cgroup_make(const char *parent, const char *pool, char *path_out, size_t size);
/* Makes (or finds) PATH/PREFIX-NAME. */
int ph_cgroup_child(
    const char *path, const char *prefix, const char *name, char *path_out, size_t size);
/* Removes the group and those under it; one that still holds processes stays. */
void ph_cgroup_remove(const char *path);

/* Moves this process into the group. 0 or -errno. */
int ph_cgroup_join(const char *path);
/* SIGKILL to everything in it and under it: cgroup.kill, and where the kernel has none (before 5.14)
 * process by process, to be called again until it is empty. 0 or -errno; a group that is gone is 0. */
int ph_cgroup_kill(const char *path);
/* Whether anything in it or under it has not ended. True when that cannot be told. */
bool ph_cgroup_populated(const char *path);

#endif
