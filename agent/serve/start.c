/* From an empty process to the loop, and back: lock, identity, database, guard, streams, core. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/serve/shell.h"
#include "agent/work/space.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "base/program.h"
#include "proto/codec.h"

#define GUARD_RETRY_MS 100

static void committed(
    void *context, uint64_t batch, enum ph_store_result result, const char *message)
{
    struct ph_shell *shell = context;
    struct ph_note *note = ph_note_new(PH_NOTE_COMMITTED);
    note->batch = batch;
    note->result = result;
    ph_text_format(note->message, sizeof(note->message), "%s", message ? message : "");
    ph_mailbox_put(&shell->mailbox, note);
}

static void received(void *context, const char *pool, int64_t epoch, int64_t sequence)
{
    struct ph_shell *shell = context;
    struct ph_note *note = ph_note_new(PH_NOTE_COPY_RECEIVED);
    ph_text_format(note->pool, sizeof(note->pool), "%s", pool);
    note->epoch = epoch;
    note->sequence = sequence;
    ph_mailbox_put(&shell->mailbox, note);
}

static void vm_seen(
    void *context, const char *pool, const char *vm, pid_t pid, const struct ph_vm_report *report)
{
    struct ph_shell *shell = context;
    struct ph_vm_report *copy = ph_record_new_copy(&ph_record_vm_report, report);
    if (!copy)
        return;
    struct ph_note *note = ph_note_new(PH_NOTE_VM_SEEN);
    note->seen = copy;
    note->pid = pid;
    ph_text_format(note->pool, sizeof(note->pool), "%s", pool);
    ph_text_format(copy->name, sizeof(copy->name), "%s", vm);
    ph_mailbox_put(&shell->mailbox, note);
}

/* The guard's program: beside this one, else on PATH. */
static void find_guard(struct ph_shell *shell)
{
    if (ph_program_beside("poolherd-guard", shell->guard_program) != 0)
        (void)ph_text_format(shell->guard_program, sizeof shell->guard_program, "poolherd-guard");
}

static int open_store(struct ph_shell *shell, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof(path), shell->directory, "agent.db");
    return rv != 0 ? rv
                   : ph_store_open(path, PH_SCHEMA_AGENT, committed, shell, &shell->store, error);
}

#define PEER_NOTES_MAX 256 /* messages of other agents that wait for the loop */

/* On the server's thread. The text is copied: the frame is the server's. */
static void peer_message(void *context, const char *node, const char *text, size_t bytes)
{
    struct ph_shell *shell = context;
    if (atomic_fetch_add(&shell->peer_notes, 1) >= PEER_NOTES_MAX) {
        atomic_fetch_sub(&shell->peer_notes, 1);
        return; /* said again, if it matters */
    }
    struct ph_note *note = ph_note_new(PH_NOTE_PEER);
    (void)ph_text_format(note->node, sizeof(note->node), "%s", node);
    note->text = malloc(bytes + 1);
    ph_assert(note->text);
    memcpy(note->text, text, bytes);
    note->text[bytes] = '\0';
    note->bytes = bytes;
    ph_mailbox_put(&shell->mailbox, note);
}

static int start_streams(struct ph_shell *shell, struct ph_error *error)
{
    struct ph_stream_server_config config = {.identity = &shell->identity,
        .listen = shell->config.listen,
        .directory = shell->directory,
        .received = received,
        .message = peer_message,
        .find_driver = ph_pool_driver_find,
        .context = shell};
    char last[PATH_MAX];
    struct ph_error taken = {0};
    ph_pools_set_stall_ms((uint64_t)shell->config.copy_stall_s * 1000);
    int rv = -EADDRINUSE;
    if (ph_settings_last_listen(shell->directory, shell->config.listen, last, sizeof(last))) {
        config.listen = last;
        rv = ph_stream_server_start(&config, &shell->streams, &taken);
        config.listen = shell->config.listen;
    }
    if (rv != 0) /* it never had one, or somebody else has it now */
        rv = ph_stream_server_start(&config, &shell->streams, error);
    if (rv == 0)
        ph_settings_keep_port(shell->directory, ph_stream_server_endpoint(shell->streams));
    return rv;
}

static int make_core(struct ph_shell *shell, struct ph_error *error)
{
    char previous[65], instance[65];
    struct ph_agent_facts facts = {.name = shell->identity.name,
        .instance = instance,
        .previous = previous,
        .copies_parallel = (int)shell->config.copies_parallel};
    int rv = ph_settings_instance(shell->directory, previous, instance);
    if (rv == 0)
        rv = ph_facts_make(shell);
    facts.hello = shell->facts; /* borrowed; the core copies it */
    if (rv == 0)
        rv = ph_agent_new(&facts, &shell->core);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, "--dir", "%s: %s", shell->directory, strerror(-rv));
    return 0;
}

static void find_spaces(struct ph_shell *shell)
{
    struct ph_error why = {0};
    shell->spaces = shell->config.pid_namespaces && shell->cgroup_parent[0] &&
                    ph_space_probe(shell->directory, &why) == 0;
    if (!shell->spaces)
        ph_log(PH_LOG_NOTICE, "no_pid_namespaces", "node=%s reason=\"%s\"", shell->identity.name,
            !shell->config.pid_namespaces ? "pid_namespaces is false"
            : !shell->cgroup_parent[0]    ? "they need cgroup v2 beside them"
                                          : why.message);
}

static int stop_ms_row(void *context, const void *row)
{
    const struct ph_meta *meta = row;
    uint64_t *stop_ms = context;
    if (strcmp(meta->key, "stop_ms") == 0 && meta->value != NULL) {
        uint64_t stored = strtoull(meta->value, NULL, 10);
        if (stored > 0 && stored <= PH_LEASE_MS_MAX)
            *stop_ms = stored;
    }
    return 0;
}

/* A guard that has to be started goes by what the manager said last; it may have to stop what the one before
 * left, before the core has loaded anything. */
static uint64_t stored_stop_ms(struct ph_shell *shell)
{
    uint64_t stop_ms = PH_STOP_MS_USUAL;
    struct ph_error error = {0};
    /* What cannot be read is said when the core loads it. */
    (void)ph_store_load(shell->store, &ph_record_meta, stop_ms_row, &stop_ms, &error);
    return stop_ms;
}

static int start_guard(struct ph_shell *shell, struct ph_error *error)
{
    struct ph_guard_settings settings = {.directory = shell->directory,
        .program = shell->guard_program,
        .stop_ms = stored_stop_ms(shell),
        .watchdog_device = shell->config.watchdog,
        .watchdog_s = (int)shell->config.watchdog_s};
    return ph_guard_connect_with(&settings, &shell->guard, error);
}

int ph_shell_start(struct ph_shell *shell, struct ph_error *error)
{
    const char *directory = shell->options->directory;
    int rv = ph_directory_make(directory);
    if (rv != 0 || !realpath(directory, shell->directory))
        return ph_error_set(
            error, PH_FAILED, "--dir", "%s: %s", directory, strerror(rv != 0 ? -rv : errno));
    struct ph_error why = {0};
    find_guard(shell);
    rv = ph_settings_identity(shell->options, shell->config.name, &shell->identity, error);
    if (rv == 0 && ph_facts_probe(shell) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "no thread to ask the drivers' tools on");
    if (rv == 0)
        rv = open_store(shell, error);
    if (rv == 0 && ph_cgroup_parent(shell->directory, shell->cgroup_parent,
                       sizeof(shell->cgroup_parent), &why) != 0)
        shell->cgroup_parent[0] = 0;
    if (rv == 0 && !shell->cgroup_parent[0])
        ph_log(PH_LOG_NOTICE, "no_cgroup", "node=%s reason=%s", shell->identity.name, why.message);
    if (rv == 0)
        find_spaces(shell);
    if (rv == 0)
        rv = start_guard(shell, error);
    if (rv == 0)
        rv = start_streams(shell, error);
    if (rv == 0 && (rv = ph_watcher_start(vm_seen, shell, &shell->watcher)) != 0)
        ph_error_set(error, PH_FAILED, NULL, "no thread for the watcher: %s", strerror(-rv));
    if (rv == 0)
        rv = make_core(shell, error);
    if (rv == 0)
        rv = ph_wire_client_new(shell->identity.manager_endpoint, shell->identity.manager_key,
            shell->identity.public_key, shell->identity.secret_key, &shell->wire, error);
    return rv;
}

void ph_shell_stop(struct ph_shell *shell)
{
    /* Threads that still run borrow from the shell: the process ends right after, and with it they. */
    ph_wire_client_destroy(&shell->wire);
    ph_watcher_stop(&shell->watcher);
    ph_peers_fini(shell);
    if (shell->running_count == 0)
        ph_stream_server_stop(&shell->streams);
    ph_store_destroy(&shell->store);
    ph_vms_fini(shell);
    if (shell->running_count + shell->fence_count == 0 && shell->probe == NULL &&
        !shell->diverged_removal) {
        ph_guard_disconnect(&shell->guard);
        ph_shell_places_fini(shell);
        ph_mailbox_fini(&shell->mailbox);
    }
    ph_agent_effects_fini(&shell->effects);
    ph_agent_effects_fini(&shell->deferred);
    free(shell->deferred_after);
    ph_agent_destroy(&shell->core);
    ph_facts_fini(shell);
    ph_record_fini(&ph_record_agent_config, &shell->config);
}

/* ---- loading ---- */

struct loading {
    struct ph_shell *shell;
    const struct ph_record *record;
    struct ph_error *error;
    struct ph_order_list orders; /* of assignments */
};

static int load_row(void *context, const void *row)
{
    struct loading *loading = context;
    int rv = ph_agent_load(loading->shell->core, loading->record, row, loading->error);
    if (rv != 0 || loading->record != &ph_record_assignment)
        return rv;
    const struct ph_assignment *assignment = row;
    struct ph_order *order = ph_many_add(&ph_record_order, (struct ph_many *)&loading->orders);
    if (!order)
        return -ENOMEM;
    return assignment->order ? ph_decode(&ph_record_order, assignment->order,
                                   strlen(assignment->order), order, loading->error)
                             : 0;
}

static int load_data(struct ph_shell *shell, const struct ph_order *order)
{
    const struct ph_pool_driver *driver = ph_pool_driver_find(order->pool.driver);
    atomic_bool cancelled = false;
    struct ph_pool_context context = {.driver = driver,
        .directory = shell->directory,
        .pool = &order->pool,
        .epoch = order->epoch,
        .cancelled = &cancelled};
    struct ph_pool_data data = {0};
    if (!driver)
        return 0;
    int rv = driver->inspect(&context, &data);
    if (rv != 0) {
        ph_log(
            PH_LOG_WARNING, "inspect_failed", "pool=%s error=%s", order->pool.name, strerror(-rv));
        return 0;
    }
    return ph_agent_load_data(
        shell->core, order->pool.name, data.copy_epoch, data.copy_sequence, data.active_data);
}

/* Workloads that run on from the agent process before this one. */
static void adopt(struct ph_shell *shell, const struct ph_order *order)
{
    char cgroup[PATH_MAX] = "";
    if (shell->cgroup_parent[0] &&
        ph_cgroup_make(shell->cgroup_parent, order->pool.name, cgroup, sizeof(cgroup)) != 0)
        cgroup[0] = 0;
    for (size_t i = 0; i < order->vms.count; i++) {
        const struct ph_vm *vm = &order->vms.items[i];
        const struct ph_work_driver *driver = ph_work_driver_find(vm->kind);
        struct ph_work_paths paths;
        struct ph_work_context context;
        struct ph_work_process process = {.pid_fd = -1};
        if (!driver || ph_vms_context(shell, order, vm, 0, "", cgroup, &paths, &context) != 0 ||
            driver->adopt(&context, &process) != 0)
            continue;
        if (ph_vms_add(shell, order->pool.name, vm->name, &process, driver->watched) != 0)
            continue;
        memcpy(ph_place_here(shell, order->pool.name)->cgroup, cgroup, sizeof(cgroup));
        ph_log(PH_LOG_NOTICE, "vm_adopted", "pool=%s vm=%s pid=%lld", order->pool.name, vm->name,
            (long long)process.pid);
        struct ph_agent_event event = {
            .kind = PH_AE_VM_ADOPTED, .pool = order->pool.name, .vm = vm->name, .pid = process.pid};
        ph_shell_step(shell, &event);
    }
}

static void tell_guard_ready(struct ph_shell *shell)
{
    const struct ph_lease_page *page = ph_guard_page(shell->guard);
    struct ph_agent_event event = {.kind = PH_AE_GUARD_READY,
        .generation = atomic_load(&page->generation),
        .deadline_ms = atomic_load(&page->deadline_ms),
        .clean = atomic_load(&page->clean)};
    ph_shell_step(shell, &event);
}

void ph_shell_connect_guard(struct ph_shell *shell)
{
    struct ph_error error = {0};
    if (ph_guard_reconnect(shell->guard, &error) != 0) {
        ph_log(PH_LOG_ERROR, "guard_unreachable", "node=%s reason=%s", shell->identity.name,
            error.message);
        shell->guard_retry_ms = ph_clock_boot_ms() + GUARD_RETRY_MS;
        return;
    }
    shell->guard_retry_ms = 0;
    tell_guard_ready(shell);
    ph_facts_look(shell);
}

int ph_shell_load(struct ph_shell *shell, struct ph_error *error)
{
    struct loading loading = {.shell = shell, .record = &ph_record_meta, .error = error};
    int rv = ph_store_load(shell->store, &ph_record_meta, load_row, &loading, error);
    loading.record = &ph_record_witness;
    if (rv == 0)
        rv = ph_store_load(shell->store, &ph_record_witness, load_row, &loading, error);
    loading.record = &ph_record_operation;
    if (rv == 0)
        rv = ph_store_load(shell->store, &ph_record_operation, load_row, &loading, error);
    loading.record = &ph_record_assignment;
    if (rv == 0)
        rv = ph_store_load(shell->store, &ph_record_assignment, load_row, &loading, error);
    for (size_t i = 0; rv == 0 && i < loading.orders.count; i++)
        if (loading.orders.items[i].pool.name[0])
            rv = load_data(shell, &loading.orders.items[i]);
    if (rv == 0) {
        tell_guard_ready(shell);
        for (size_t i = 0; i < loading.orders.count; i++)
            adopt(shell, &loading.orders.items[i]);
        struct ph_agent_event event = {.kind = PH_AE_TICK};
        ph_shell_step(shell, &event);
    }
    for (size_t i = 0; i < loading.orders.count; i++)
        ph_record_fini(&ph_record_order, &loading.orders.items[i]);
    free(loading.orders.items);
    return rv;
}
