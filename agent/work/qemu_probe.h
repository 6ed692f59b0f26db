/*
 * Which accelerator works on this node. Not pure; thread-safe; may take some seconds the first time, so it is
 * not for the loop. Private to agent/work.
 */
#ifndef PH_AGENT_WORK_QEMU_PROBE_H
#define PH_AGENT_WORK_QEMU_PROBE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether a guest runs under KVM with the processor model that VMs get; asked once per process. directory:
 * writable, for a file of the probe. Else why_out says why not. */
bool ph_qemu_kvm_works(const char *directory, char *why_out, size_t size);

#endif
