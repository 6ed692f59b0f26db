/*
 * A file system held still for a moment. Linux only; private to agent/pools.
 *
 * Who writes to a frozen file system sleeps and cannot be killed, so a freeze must end whatever happens: a
 * small process of its own freezes and thaws. It thaws when told, when its time is up, and when this
 * process is gone; and should it be gone itself, this process thaws. The guard thaws what it is about to
 * stop (agent/guard), in case both were killed.
 */
#ifndef PH_POOLS_FREEZE_H
#define PH_POOLS_FREEZE_H

#include <stdint.h>
#include <sys/types.h>
#include "poolherd/error.h"

struct ph_freeze {
    int fd;      /* of the mount */
    int talk_fd; /* to the process that thaws */
    pid_t pid;
};

/* Freezes the file system mounted at path (which must be the top of a mount: its own, and no part of the one
 * around it) for at most limit_ms. What is dirty is written before, so that the freeze itself is short.
 * 0 or -errno with *error: then it is not frozen. */
int ph_freeze_begin(
    struct ph_freeze *freeze, const char *path, uint32_t limit_ms, struct ph_error *error);
/* Thaws. 0: it was frozen until now; -ETIMEDOUT: the time was up before; -EIO: nobody knows. */
int ph_freeze_end(struct ph_freeze *freeze);

#endif
