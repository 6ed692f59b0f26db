/*
 * Looks at the machines that run here: what the guest does, its addresses, what it uses. One thread for all of
 * them; it speaks to each QEMU over the VM's second monitor socket, hears its events, asks every few
 * seconds and after each event, and tells what changed. It starts and stops nothing. Thread-safe.
 */
#ifndef PH_AGENT_WORK_WATCH_H
#define PH_AGENT_WORK_WATCH_H

#include <sys/types.h>
#include "proto/catalogue.h"

struct ph_watcher;

/* Called on the watcher's thread; report: guest, accelerator, addresses, memory_used_mib, disk_used_mib, vnc
 * and reason are set, name is the VM's. */
typedef void ph_watcher_seen(
    void *context, const char *pool, const char *vm, pid_t pid, const struct ph_vm_report *report);

int ph_watcher_start(ph_watcher_seen *seen, void *context, struct ph_watcher **watcher_out);
void ph_watcher_stop(struct ph_watcher **watcher);

/* Begins to look at a VM (anew, when it was known). 0 or -ENOMEM. */
int ph_watcher_add(struct ph_watcher *watcher, const char *pool, const char *vm,
    const char *run_directory, pid_t pid);
void ph_watcher_remove(struct ph_watcher *watcher, const char *pool, const char *vm);

#endif
