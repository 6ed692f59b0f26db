#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/file.h"

static void make_key(char out[2 * PH_NAME_BYTES_MAX + 2], const char *pool, const char *vm)
{
    ph_text_format(out, 2 * PH_NAME_BYTES_MAX + 2, "%s/%s", pool, vm);
}

struct ph_vm_here *ph_vms_find(struct ph_shell *shell, const char *pool, const char *vm)
{
    char key[2 * PH_NAME_BYTES_MAX + 2];
    make_key(key, pool, vm);
    return ph_map_get(&shell->vms, key);
}

/* What is not watched is only not seen: no reason to end for want of memory. */
static void watch(struct ph_shell *shell, const struct ph_vm_here *here)
{
    char relative[PH_NAME_BYTES_MAX + 16], directory[PATH_MAX];
    ph_text_format(relative, sizeof(relative), "run/work/%s", here->pool);
    if (ph_path_join(directory, sizeof(directory), shell->directory, relative) == 0)
        (void)ph_watcher_add(shell->watcher, here->pool, here->vm, directory, here->process.pid);
}

int ph_vms_add(struct ph_shell *shell, const char *pool, const char *vm,
    const struct ph_work_process *process, bool watched)
{
    struct ph_vm_here *old = ph_vms_find(shell, pool, vm);
    if (old)
        ph_vms_remove(shell, old);
    struct ph_vm_here *here = calloc(1, sizeof(*here));
    ph_assert(here);
    make_key(here->key, pool, vm);
    ph_text_format(here->pool, sizeof(here->pool), "%s", pool);
    ph_text_format(here->vm, sizeof(here->vm), "%s", vm);
    here->process = *process;
    if (watched)
        watch(shell, here);
    return ph_map_put(&shell->vms, here->key, here);
}

void ph_vms_remove(struct ph_shell *shell, struct ph_vm_here *here)
{
    ph_map_remove(&shell->vms, here->key);
    if (shell->watcher)
        ph_watcher_remove(shell->watcher, here->pool, here->vm);
    if (here->process.pid_fd >= 0)
        close(here->process.pid_fd);
    free(here);
}

void ph_vms_ended(struct ph_shell *shell, struct ph_vm_here *here)
{
    char pool[PH_NAME_BYTES_MAX + 1], vm[PH_NAME_BYTES_MAX + 1];
    memcpy(pool, here->pool, sizeof(pool));
    memcpy(vm, here->vm, sizeof(vm));
    struct ph_agent_event event = {.kind = PH_AE_VM_ENDED,
        .pool = pool,
        .vm = vm,
        .pid = here->process.pid,
        .exit_status = ph_work_exit_status(&here->process)};
    ph_vms_remove(shell, here);
    ph_shell_step(shell, &event);
}

void ph_vms_seen(struct ph_shell *shell, struct ph_note *note)
{
    struct ph_agent_event event = {.kind = PH_AE_VM_SEEN,
        .pool = note->pool,
        .vm = note->seen->name,
        .pid = note->pid,
        .body = note->seen};
    ph_shell_step(shell, &event);
    void *seen = note->seen;
    note->seen = NULL;
    ph_record_destroy(&ph_record_vm_report, &seen);
}

void ph_vms_fini(struct ph_shell *shell)
{
    while (shell->vms.count > 0)
        ph_vms_remove(shell, shell->vms.items[shell->vms.count - 1].value);
    ph_map_fini(&shell->vms);
}

int ph_vms_context(const struct ph_shell *shell, const struct ph_order *order,
    const struct ph_vm *vm, int64_t generation, const char *pool_path, const char *cgroup,
    struct ph_work_paths *paths, struct ph_work_context *context)
{
    char log_directory[PATH_MAX], file[PH_NAME_BYTES_MAX + 8], relative[PH_NAME_BYTES_MAX + 16];
    ph_text_format(relative, sizeof(relative), "run/work/%s", order->pool.name);
    int rv = ph_path_join(
        paths->run_directory, sizeof(paths->run_directory), shell->directory, relative);
    ph_text_format(relative, sizeof(relative), "log/%s", order->pool.name);
    if (rv == 0)
        rv = ph_path_join(log_directory, sizeof(log_directory), shell->directory, relative);
    if (rv == 0)
        rv = ph_directory_make(paths->run_directory);
    if (rv == 0)
        rv = ph_directory_make(log_directory);
    ph_text_format(file, sizeof(file), "%s.log", vm->name);
    if (rv == 0)
        rv = ph_path_join(paths->log_path, sizeof(paths->log_path), log_directory, file);
    if (rv != 0)
        return rv;
    ph_place_marker(shell, order->pool.name, paths->marker, sizeof(paths->marker));
    *context = (struct ph_work_context){.node = shell->identity.name,
        .pool = &order->pool,
        .vm = vm,
        .epoch = order->epoch,
        .generation = generation,
        .pool_path = pool_path,
        .run_directory = paths->run_directory,
        .log_path = paths->log_path,
        .cgroup = cgroup,
        .marker = paths->marker,
        .guard = shell->guard,
        .cluster = order->cluster};
    return 0;
}
