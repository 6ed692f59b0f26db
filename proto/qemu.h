/*
 * What the settings of a VM of kind qemu mean together: checked in one place, by the manager when they are
 * declared and by the agent before they become a machine. Pure.
 */
#ifndef PH_PROTO_QEMU_H
#define PH_PROTO_QEMU_H

#include "proto/catalogue.h"

#define PH_STOP_TIMEOUT_MS_USUAL 10000   /* of a VM that declares none */
#define PH_STOP_TIMEOUT_MS_MACHINE 60000 /* of a machine, which has services of its own to stop */

/* 0, or -EINVAL with error->field a path below the section ("disks[1].file") and what would be right. */
int ph_qemu_check(const struct ph_qemu *qemu, struct ph_error *error);

/* The section of a VM's row. 0; -EINVAL (there is none, or it is unusable); -ENOMEM. */
int ph_qemu_of(const struct ph_vm *vm, struct ph_qemu *qemu_out, struct ph_error *error);

/* How long the VM may take to end by itself. */
int64_t ph_stop_timeout_ms(const struct ph_vm *vm);

/* aa:bb:cc:dd:ee:ff of one machine (unicast) into six bytes; false when it is none. */
bool ph_mac_parse(const char *text, unsigned char bytes_out[6]);

#endif
