/*
 * The files of a machine: disks made when they are declared and not there, firmware variables, the
 * cloud-init disk. Each is made beside its place and renamed into it, so that a half-made one is never used.
 * Not pure; thread-safe. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_QEMU_FILES_H
#define PH_AGENT_WORK_QEMU_FILES_H

#include "agent/work/qemu_machine.h"

#define PH_VM_LIST_BYTES_MAX 65536

/* Every disk is there, or was created, or *error names the one that is missing. 0, -EINVAL, -EIO, -errno. */
int ph_qemu_disks_make(
    const struct ph_work_context *context, const struct ph_qemu *qemu, struct ph_error *error);
/* The paths of OVMF's code and of this VM's variables (copied from OVMF's when new). -ENOTSUP: not
 * installed. Both "" for a BIOS. */
int ph_qemu_firmware(const struct ph_work_context *context, const struct ph_qemu *qemu,
    char code_out[PATH_MAX], char vars_out[PATH_MAX], struct ph_error *error);
/* The disk labelled CIDATA; "" when none is declared. */
int ph_qemu_seed(const struct ph_work_context *context, const struct ph_qemu *qemu,
    char path_out[PATH_MAX], struct ph_error *error);

#endif
