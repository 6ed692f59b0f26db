/*
 * What the settings of a VM of kind ocf (section `ocf`) mean: checked by the manager when they are declared and by
 * the agent before the resource is started. Pure.
 */
#ifndef PH_PROTO_RESOURCE_H
#define PH_PROTO_RESOURCE_H

#include "proto/catalogue.h"

#define PH_RESOURCE_INTERVAL_S 10 /* of a resource that declares none */
#define PH_RESOURCE_TIMEOUT_S 20

/* 0, or -EINVAL with error->field a path below the section and what would be right. */
int ph_resource_check(const struct ph_resource *resource, struct ph_error *error);
/* The section of a VM's row. 0; -EINVAL (there is none, or it is unusable); -ENOMEM. */
int ph_resource_of(
    const struct ph_vm *vm, struct ph_resource *resource_out, struct ph_error *error);

#endif
