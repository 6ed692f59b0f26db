/*
 * The settings of a VM made into a command line of QEMU. Pure, and the same on every node for what a guest can
 * see: machine type, device order, addresses, serial numbers. Private to agent/work.
 *
 * Nothing of it is secret and nothing is read by a shell. Values that people choose are JSON strings
 * (-blockdev, -device, -netdev, -object), or were checked to have no comma (proto/qemu.h).
 */
#ifndef PH_AGENT_WORK_QEMU_MACHINE_H
#define PH_AGENT_WORK_QEMU_MACHINE_H

#include "agent/work/driver.h"

#define PH_QEMU_PROGRAM "qemu-system-x86_64"
#define PH_QEMU_TAP_BYTES 16

/* Sockets and files in the VM's run directory: VM + one of these. QEMU's working directory is there, so their
 * names are short whatever the directory's path. */
#define PH_QEMU_TASK_SOCKET ".task"
#define PH_QEMU_WATCH_SOCKET ".watch"
#define PH_QEMU_SERIAL_SOCKET ".serial"
#define PH_QEMU_AGENT_SOCKET ".agent"
#define PH_QEMU_SEED_FILE ".seed.iso"
#define PH_QEMU_ACCELERATOR_FILE ".accelerator"

struct ph_qemu_machine {
    const struct ph_work_context *context;
    const struct ph_qemu *qemu;
    bool kvm;
    const char *seed;          /* path of the cloud-init disk; "" none */
    const char *firmware_code; /* path; "" the machine's own BIOS */
    const char *firmware_vars; /* path, with firmware_code */
};

/* 0 and the words of the command, -ENOMEM, -ENAMETOOLONG. words_out is empty before. */
int ph_qemu_command(const struct ph_qemu_machine *machine, struct ph_texts *words_out);

/* Where a file that the settings name is: absolute ones as they are, others in the pool. -ENAMETOOLONG. */
int ph_qemu_path(const struct ph_work_context *context, const char *file, char out[PATH_MAX]);
/* A disk's file, named or not. */
int ph_qemu_disk_path(
    const struct ph_work_context *context, const struct ph_qemu_disk *disk, char out[PATH_MAX]);

/* What is derived from (cluster, pool, VM, card), so that it is the same wherever the VM runs. */
void ph_qemu_mac(
    const struct ph_work_context *context, const struct ph_qemu_nic *nic, char out[18]);
void ph_qemu_tap(const struct ph_work_context *context, const struct ph_qemu_nic *nic,
    char out[PH_QEMU_TAP_BYTES]);
void ph_qemu_uuid(const struct ph_work_context *context, char out[37]);

#endif
