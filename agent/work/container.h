/*
 * The pieces of a container. Private to agent/work.
 *
 *     RUN/VM.bundle/config.json   what crun is to make (OCI runtime specification 1.0), new at each start
 *                  /pid           made by crun once the container exists
 *                  /state         crun's own notes, in a file system that goes with its last process
 *
 *     agent --launch--> poolherd-container --exec--> crun --> the container's process 1
 *
 * crun stays its parent in the foreground: it passes signals on and ends with the same status, so that a container
 * is a process like any other to agent and guard.
 */
#ifndef PH_AGENT_WORK_CONTAINER_H
#define PH_AGENT_WORK_CONTAINER_H

#include "agent/work/command.h"

/* config.json: a heap text into *text_out. root and the mounts' sources are absolute paths on the node, in the order
 * of the declaration. Pure. 0, -ENOMEM, -EINVAL (a text that is no UTF-8). */
int ph_container_config(const struct ph_vm *vm, const struct ph_container *container,
    const struct ph_command *command, const char *root, const struct ph_texts *sources,
    char **text_out);

/* poolherd-container: makes the file systems of its own that crun needs, and becomes crun. Returns -errno. */
int ph_container_exec(const char *bundle, const char *name);

#endif
