/*
 * What the settings of a VM of kind container mean together: checked in one place, by the manager when they are
 * declared and by the agent before they become a container. Pure.
 */
#ifndef PH_PROTO_CONTAINER_H
#define PH_PROTO_CONTAINER_H

#include <limits.h>
#include "proto/catalogue.h"

/* One mount, taken apart. */
struct ph_container_mount {
    char source[256];      /* path in the pool */
    char target[PATH_MAX]; /* absolute, in the container */
    bool read_only;
};

/* "SOURCE:TARGET", ":ro" or ":rw" after it. False: it is none. */
bool ph_container_mount_parse(const char *text, struct ph_container_mount *mount_out);
/* 0, or -EINVAL with error->field a path below the section ("mounts[1]") and what would be right. */
int ph_container_check(const struct ph_container *container, struct ph_error *error);
/* The section of a VM's row; one without has the defaults. 0; -EINVAL (it is unusable); -ENOMEM. */
int ph_container_of(
    const struct ph_vm *vm, struct ph_container *container_out, struct ph_error *error);

#endif
