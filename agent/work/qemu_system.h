/*
 * What machines need of the system beyond POSIX. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_QEMU_SYSTEM_H
#define PH_AGENT_WORK_QEMU_SYSTEM_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What the process holds of the node's memory; 0 when that cannot be told. */
int64_t ph_work_memory_mib(pid_t pid);
/* Makes the network device `port` part of the bridge, and up. -ENODEV: there is no such bridge. */
int ph_work_bridge_join(const char *bridge, const char *port);
/* A path to `name` in `directory` of few bytes whatever the directory's length, good while *fd_out is open
 * (-1: it needs none). -ENAMETOOLONG where the system has no such thing. */
int ph_work_short_path(
    const char *directory, const char *name, char *out, size_t size, int *fd_out);

#endif
