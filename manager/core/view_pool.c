/*
 * Pools as people see them, and as they were declared. Pure reading.
 */
#include "manager/core/request.h"

#include <errno.h>
#include <string.h>

#include "proto/codec.h"

int64_t core_view_age_ms(const struct ph_core *core, const struct core_peer *peer)
{
    if (!peer->stored ||
        (peer->row.state != PH_REPLICA_COMPLETE && peer->row.state != PH_REPLICA_FAILING))
        return -1;
    return core_copy_age_ms(core, peer);
}

static void view_copy(struct ph_core *core, const struct core_peer *peer, struct ph_copy_view *view)
{
    ph_text_format(view->node, sizeof view->node, "%s", peer->node->row.name);
    view->state = peer->stored ? peer->row.state : PH_REPLICA_SEEDING;
    view->age_ms = core_view_age_ms(core, peer);
    view->epoch = peer->row.epoch;
    view->sequence = peer->row.sequence;
    view->bytes = peer->row.bytes;
    view->progress = peer->progress;
    view->verified_at = peer->row.verified_at;
    view->spoilt = peer->row.spoilt;
    view->sent_bytes = peer->sent_bytes;
    view->kib_s = peer->kib_s;
    core_copy_text(core, &view->reason, peer->row.reason);
    if (core_text(view->reason)[0] != '\0' || view->state == PH_REPLICA_COMPLETE)
        return;
    if (view->state == PH_REPLICA_DIVERGED)
        core_set_text(core, &view->reason, "%s", ph_enum_replica_state.docs[view->state]);
    else if (peer->node->row.state != PH_NODE_ONLINE)
        core_set_text(core, &view->reason, "%s is %s", view->node,
            ph_enum_word(&ph_enum_node_state, (int)peer->node->row.state));
    else
        core_set_text(core, &view->reason, "waits for the pool's node to send a copy");
}

static void view_copies(
    struct ph_core *core, const struct core_pool *pool, struct ph_copy_view_list *list)
{
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if ((!peer->stored && !peer->chosen) || strcmp(peer->node->row.name, pool->row.node) == 0)
            continue;
        struct ph_copy_view *view =
            ph_many_add(&ph_record_copy_view, (struct ph_many *)(void *)list);

        if (view == NULL)
            core->no_memory = true;
        else
            view_copy(core, peer, view);
    }
}

void core_view_vm(struct ph_core *core, const struct ph_vm *row, struct ph_vm_view *view)
{
    ph_text_format(view->name, sizeof view->name, "%s", row->name);
    ph_text_format(view->kind, sizeof view->kind, "%s", row->kind);
    view->state = row->state;
    view->pid = row->pid;
    view->restarts = row->restarts;
    core_copy_texts(core, &view->command, &row->command);
    core_copy_texts(core, &view->labels, &row->labels);
    core_copy_text(core, &view->guest, row->guest);
    core_copy_text(core, &view->accelerator, row->accelerator);
    core_copy_texts(core, &view->addresses, &row->addresses);
    view->memory_used_mib = row->memory_used_mib;
    view->disk_used_mib = row->disk_used_mib;
    core_copy_text(core, &view->vnc, row->vnc);
    view->halted = row->halted;
    core_copy_text(core, &view->reason, row->reason);
    if (core_text(view->reason)[0] == '\0' && row->state != PH_VM_RUNNING)
        core_set_text(core, &view->reason, "%s", ph_enum_vm_state.docs[row->state]);
}

static void spec_section(
    struct ph_core *core, const struct ph_record *record, const char *row, void *section)
{
    struct ph_error unusable;

    if (row != NULL && ph_decode(record, row, strlen(row), section, &unusable) == -ENOMEM)
        core->no_memory = true;
}

static void spec_vm(struct ph_core *core, const struct ph_vm *row, struct ph_vm_spec *spec)
{
    ph_text_format(spec->name, sizeof spec->name, "%s", row->name);
    ph_text_format(spec->kind, sizeof spec->kind, "%s", row->kind);
    core_copy_texts(core, &spec->command, &row->command);
    core_copy_texts(core, &spec->environment, &row->environment);
    spec->restart = row->restart;
    ph_text_format(spec->stop_signal, sizeof spec->stop_signal, "%s", row->stop_signal);
    spec->stop_timeout_ms = row->stop_timeout_ms;
    spec->start_delay_ms = row->start_delay_ms;
    core_copy_texts(core, &spec->labels, &row->labels);
    spec_section(core, &ph_record_qemu, row->qemu, &spec->qemu);
    spec_section(core, &ph_record_container, row->container, &spec->container);
    spec_section(core, &ph_record_resource, row->ocf, &spec->ocf);
}

void core_pool_spec(struct ph_core *core, const struct core_pool *pool, struct ph_pool_spec *spec)
{
    const struct ph_pool *row = &pool->row;

    ph_text_format(spec->name, sizeof spec->name, "%s", row->name);
    ph_text_format(spec->driver, sizeof spec->driver, "%s", row->driver);
    spec->desired = row->desired;
    spec->priority = row->priority;
    spec->copies = row->copies;
    spec->cpu = row->cpu;
    spec->memory_mib = row->memory_mib;
    spec->disk_mib = row->disk_mib;
    spec->sync_interval_s = row->sync_interval_s;
    spec->max_data_loss_s = row->max_data_loss_s;
    spec->failback = row->failback;
    core_copy_text(core, &spec->failback_at, row->failback_at);
    core_copy_texts(core, &spec->allow, &row->allow);
    core_copy_texts(core, &spec->prefer, &row->prefer);
    core_copy_texts(core, &spec->together, &row->together);
    core_copy_texts(core, &spec->apart, &row->apart);
    core_settings_read(core, row, spec);
    if (ph_many_reserve(&ph_record_vm_spec, (struct ph_many *)(void *)&spec->vms, pool->vm_count) !=
        0) {
        core->no_memory = true;
        return;
    }
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_vm_spec *vm =
            ph_many_add(&ph_record_vm_spec, (struct ph_many *)(void *)&spec->vms);

        if (vm == NULL)
            core->no_memory = true;
        else
            spec_vm(core, &pool->vms[i].row, vm);
    }
}

/* Of a pool that is where it shall be: what is not right all the same, or "". */
static void reason_within(struct ph_core *core, const struct core_pool *pool, char **out)
{
    int64_t kept = 0;

    for (size_t i = 0; i < pool->vm_count; i++) {
        const struct ph_vm *vm = &pool->vms[i].row;

        if (vm->state == PH_VM_BACKOFF || vm->state == PH_VM_FAILED) {
            core_set_text(core, out, "vm %s %s%s%s", vm->name,
                vm->state == PH_VM_FAILED ? "cannot be started" : "waits for its next start",
                core_text(vm->reason)[0] != '\0' ? ": " : "", core_text(vm->reason));
            return;
        }
    }
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        kept += peer->chosen && strcmp(peer->node->row.name, pool->row.node) != 0;
    }
    if (kept < pool->row.copies)
        core_set_text(core, out,
            "%lld of %lld copies have a node: no other one may keep one (poolherd pool explain %s)",
            (long long)kept, (long long)pool->row.copies, pool->row.name);
}

/* Never empty when something is not as usual. */
static void pool_reason(struct ph_core *core, const struct core_pool *pool, char **out)
{
    const struct ph_pool *row = &pool->row;

    if (row->desired == PH_DESIRED_ACTIVE && row->state == PH_POOL_ACTIVE) {
        reason_within(core, pool, out);
        if (core_text(*out)[0] != '\0')
            return;
    }
    core_copy_text(core, out, row->reason);
    if (core_text(*out)[0] != '\0' || row->state == PH_POOL_ACTIVE)
        return;
    if (row->desired == PH_DESIRED_INACTIVE && row->state == PH_POOL_UNASSIGNED)
        core_set_text(
            core, out, "declared inactive, or stopped: poolherd pool start %s", row->name);
    else if (pool->job != NULL)
        core_set_text(core, out, "job %lld (%s) is at work on it", (long long)pool->job->row.id,
            ph_enum_word(&ph_enum_job_kind, (int)pool->job->row.kind));
    else
        core_set_text(core, out, "%s", ph_enum_pool_state.docs[row->state]);
}

void core_view_pool(
    struct ph_core *core, const struct core_pool *pool, bool whole, struct ph_pool_view *view)
{
    const struct ph_pool *row = &pool->row;
    bool running = row->state == PH_POOL_ACTIVE || row->state == PH_POOL_ACTIVATING ||
                   row->state == PH_POOL_DEACTIVATING || row->state == PH_POOL_WAITING;

    ph_text_format(view->name, sizeof view->name, "%s", row->name);
    view->state = row->state;
    view->desired = row->desired;
    ph_text_format(view->node, sizeof view->node, "%s", row->node);
    view->epoch = row->epoch;
    ph_text_format(view->driver, sizeof view->driver, "%s", row->driver);
    view->priority = row->priority;
    view->copies_wanted = row->copies;
    view_copies(core, pool, &view->copies);
    view->vms_declared = (int64_t)pool->vm_count;
    for (size_t i = 0; running && i < pool->vm_count; i++)
        view->vms_running += pool->vms[i].row.state == PH_VM_RUNNING;
    view->job = pool->job != NULL ? pool->job->row.id : 0;
    view->since = row->since;
    pool_reason(core, pool, &view->reason);
    view->lag_ms = core_pool_lag_ms(core, pool);
    view->behind = pool->behind;
    const struct core_peer *failing = core_pool_copy_error(pool);
    if (failing != NULL)
        core_set_text(
            core, &view->copy_error, "%s: %s", failing->row.node, core_text(failing->row.reason));
    if (!whole)
        return;
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_vm_view *vm =
            ph_many_add(&ph_record_vm_view, (struct ph_many *)(void *)&view->vms);

        if (vm == NULL)
            core->no_memory = true;
        else
            core_view_vm(core, &pool->vms[i].row, vm);
    }
    core_pool_spec(core, pool, &view->declared);
    core_view_diverged(core, row->name, &view->diverged);
}

void core_view_pools(struct ph_core *core, struct ph_pool_view_list *list)
{
    struct ph_many *many = (struct ph_many *)(void *)list;

    if (ph_many_reserve(&ph_record_pool_view, many, core->pools.count) != 0)
        core->no_memory = true;
    for (size_t i = 0; i < core->pools.count && !core->no_memory; i++) {
        struct ph_pool_view *view = ph_many_add(&ph_record_pool_view, many);

        if (view == NULL)
            core->no_memory = true;
        else
            core_view_pool(core, core->pools.items[i].value, false, view);
    }
}

int ph_request_pool_list(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_pools_shown shown = {0};

    core_view_pools(core, &shown.pools);
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_POOLS_SHOWN, &shown);
    return 0;
}

int ph_request_pool_show(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    const struct core_pool *pool = core_find_pool(core, asked->name);
    struct ph_pools_shown shown = {0};

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no pool %s", asked->name);
    struct ph_pool_view *view =
        ph_many_add(&ph_record_pool_view, (struct ph_many *)(void *)&shown.pools);

    if (view == NULL)
        core->no_memory = true;
    else
        core_view_pool(core, pool, true, view);
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_POOLS_SHOWN, &shown);
    return 0;
}
