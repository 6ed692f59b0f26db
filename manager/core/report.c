/*
 * What nodes say of pools. A report is noted in the peer; what follows from it is decided when the
 * pool is settled, from everything that is known then. Only facts that have to be durable (the data
 * a copy holds, VM states, that a pool was ever active) are written here.
 */
#include "manager/core/request.h"

#include <string.h>

static void report_ok(
    struct ph_core *core, const char *node, const char *pool, const char *of, int64_t number)
{
    struct ph_report_ok body = {.number = number};

    ph_text_format(body.pool, sizeof body.pool, "%s", pool);
    ph_text_format(body.node, sizeof body.node, "%s", of);
    core_send(core, node, PH_MSG_REPORT_OK, &body);
}

static bool runs(enum ph_local_state state)
{
    return state == PH_LOCAL_ACTIVATING || state == PH_LOCAL_ACTIVE ||
           state == PH_LOCAL_DEACTIVATING || state == PH_LOCAL_STUCK;
}

/* A pool that is not in the inventory: what runs of it is stopped, data is left alone. The report is
 * acknowledged only when nothing runs, so that it comes again until then. */
static void report_stray(
    struct ph_core *core, struct core_node *node, const struct ph_report *report)
{
    struct core_about about = {.node = node};
    struct ph_order order = {.term = core->term,
        .manager = core->manager_id,
        .generation = node->row.generation,
        .kind = PH_ORDER_DEACTIVATE,
        .epoch = report->epoch};

    if (!runs(report->state)) {
        report_ok(core, node->row.name, report->pool, "", report->number);
        if (report->data_epoch > 0 && !node->stray_said) {
            node->stray_said = true;
            core_event(core, PH_EVENT_WARNING, "stray-data", &about,
                "%s has data of pool %s, which is not in the inventory: it is left alone",
                node->row.name, report->pool);
        }
        return;
    }
    if (!node->present || order.generation < 1)
        return;
    order.number = ++core->last_order_number;
    ph_text_format(order.pool.name, sizeof order.pool.name, "%s", report->pool);
    core_send(core, node->row.name, PH_MSG_ORDER, &order);
    if (!node->stray_said) {
        node->stray_said = true;
        core_event(core, PH_EVENT_WARNING, "stray-pool", &about,
            "%s runs pool %s, which is not in the inventory: it is told to stop it", node->row.name,
            report->pool);
    }
}

static bool same_text(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

static bool vm_same(const struct ph_vm *row, const struct ph_vm_report *report)
{
    return row->state == report->state && row->pid == report->pid &&
           row->restarts == report->restarts && same_text(row->reason, report->reason) &&
           same_text(row->guest, report->guest) &&
           same_text(row->accelerator, report->accelerator) && same_text(row->vnc, report->vnc) &&
           ph_texts_equal(&row->addresses, &report->addresses) &&
           row->memory_used_mib == report->memory_used_mib &&
           row->disk_used_mib == report->disk_used_mib;
}

static void vm_take(struct ph_core *core, struct core_pool *pool, const struct ph_vm_report *report)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct core_vm *vm = &pool->vms[i];
        const char *reason = report->reason == NULL ? "" : report->reason;

        if (strcmp(vm->row.name, report->name) != 0)
            continue;
        if (vm_same(&vm->row, report))
            return;
        if (report->state == PH_VM_FAILED && vm->row.state != PH_VM_FAILED)
            core_event(core, PH_EVENT_WARNING, "vm-failed", &(struct core_about){.pool = pool},
                "VM %s cannot be started: %s", vm->row.name, reason);
        vm->row.state = report->state;
        vm->row.pid = report->pid;
        vm->row.restarts = report->restarts;
        vm->row.memory_used_mib = report->memory_used_mib;
        vm->row.disk_used_mib = report->disk_used_mib;
        core_set_text(core, &vm->row.reason, "%s", reason);
        core_copy_text(core, &vm->row.guest, report->guest);
        core_copy_text(core, &vm->row.accelerator, report->accelerator);
        core_copy_text(core, &vm->row.vnc, report->vnc);
        core_copy_texts(core, &vm->row.addresses, &report->addresses);
        core_vm_touch(core, vm);
        return;
    }
}

static void owner_take(struct ph_core *core, struct core_pool *pool, const struct ph_report *report)
{
    /* The epoch is stored with the data before anything can be written to it. */
    if (!pool->row.created &&
        (report->state == PH_LOCAL_ACTIVE || report->data_epoch == pool->row.epoch)) {
        pool->row.created = true;
        core_pool_touch(core, pool);
    }
    for (size_t i = 0; i < report->vms.count; i++)
        vm_take(core, pool, &report->vms.items[i]);
    core_operations_take(core, pool, report);
    if (report->state == PH_LOCAL_ACTIVE)
        core_pool_active(core, pool);
    else if (report->state == PH_LOCAL_FAILED && !core_deactivation_wanted(pool))
        core_activation_failed(
            core, pool, report->reason == NULL ? "no reason given" : report->reason);
}

/* A holder on its own copy. Its owner's word is better: it knows how old the data is. And what a
 * former owner has under its own epoch is no copy of anything. */
static void holder_take(struct ph_core *core, struct core_peer *peer)
{
    const struct ph_report *report = &peer->report;
    struct ph_replica *row = &peer->row;

    if ((report->state == PH_LOCAL_COPY || report->state == PH_LOCAL_NONE) &&
        report->data_epoch == 0 && core_copy_usable(peer)) {
        /* It has nothing (any more): an order to drop it was carried out and the answer was lost. Should
         * a copy have arrived this moment, its next report says so. */
        row->state = PH_REPLICA_SEEDING;
        row->epoch = row->sequence = 0;
        core_set_text(core, &row->reason, "%s has no copy of it any more", peer->row.node);
        core_peer_touch(core, peer);
        return;
    }
    if (report->state != PH_LOCAL_COPY || report->data_epoch == 0 || report->data_sequence == 0)
        return;
    if (report->data_epoch < row->epoch ||
        (report->data_epoch == row->epoch && report->data_sequence <= row->sequence))
        return;
    if (!peer->stored || report->data_epoch > peer->pool->row.epoch)
        return;
    if (row->state == PH_REPLICA_DIVERGED && report->data_epoch <= row->epoch)
        return;
    row->state = PH_REPLICA_COMPLETE;
    row->epoch = report->data_epoch;
    row->sequence = report->data_sequence;
    if (ph_set_text(&row->hash, NULL) != 0)
        core->no_memory = true;
    core_peer_touch(core, peer);
    core->attention = true;
}

void core_report_take(struct ph_core *core, struct core_node *node, const struct ph_report *report)
{
    struct core_pool *pool = core_find_pool(core, report->pool);
    struct core_peer *peer = pool == NULL ? NULL : core_find_peer(pool, node->row.name);

    if (pool == NULL) {
        report_stray(core, node, report);
        return;
    }
    report_ok(core, node->row.name, report->pool, "", report->number);
    if (peer == NULL && report->state == PH_LOCAL_NONE)
        return;
    if (peer == NULL)
        peer = core_peer_make(core, pool, node);
    if (peer == NULL || (peer->reported && report->number <= peer->report.number))
        return;
    bool stuck = peer->reported && peer->report.state == PH_LOCAL_STUCK;
    if (ph_record_copy(&ph_record_report, &peer->report, report) != 0) {
        core->no_memory = true;
        return;
    }
    peer->reported = true;
    if (stuck != (report->state == PH_LOCAL_STUCK) || report->state == PH_LOCAL_STUCK)
        core_node_stuck_look(core, node);
    if (strcmp(pool->row.node, node->row.name) == 0) {
        if (report->epoch == pool->row.epoch)
            owner_take(core, pool, report);
    } else if (pool->row.node[0] != '\0' || strcmp(pool->row.home, node->row.name) != 0) {
        holder_take(core, peer);
    }
    if (node->drain != NULL)
        core_drain_dirty(core, node->drain);
    core_pool_dirty(core, pool);
}

/* What a former process of the agent said, and the network delivers only now, is void: its numbers
 * count for nothing, and it is sent no answer, since nobody waits for one. */
static bool of_this_process(const struct core_node *node, const char *instance)
{
    return instance == NULL || node->instance[0] == '\0' || strcmp(node->instance, instance) == 0;
}

void core_report(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_node *node = core_find_node(core, in->sender);

    /* A node that was taken over may speak again when it has been admitted again. */
    if (node != NULL && node->row.granting && !core->outdated &&
        of_this_process(node, ((const struct ph_report *)in->body)->instance))
        core_report_take(core, node, in->body);
}

/* ---- copies ---- */
static void copy_complete(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report)
{
    struct ph_replica *row = &peer->row;
    if (report->urgent > peer->urgent_done)
        peer->urgent_done = report->urgent;
    peer->progress = 100;
    core_copy_verified(core, peer, report);
    if (report->epoch < row->epoch ||
        (report->epoch == row->epoch && report->sequence < row->sequence))
        return;
    if (row->state != PH_REPLICA_COMPLETE)
        core->attention = true;
    row->state = PH_REPLICA_COMPLETE;
    row->epoch = report->epoch;
    row->sequence = report->sequence;
    core_copy_aged(core, peer, report->age_ms);
    row->bytes = report->bytes;
    if (ph_set_text(&row->hash, report->hash) != 0 || ph_set_text(&row->reason, NULL) != 0)
        core->no_memory = true;
    core_peer_touch(core, peer);
}

static void copy_failing(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report)
{
    core_copy_unverified(core, peer, report);
    enum ph_replica_state state = core_copy_usable(peer) ? PH_REPLICA_FAILING : PH_REPLICA_SEEDING;
    const char *reason = report->reason == NULL ? "no reason given" : report->reason;
    struct core_pool *pool = peer->pool;

    if (pool->job != NULL && pool->job->row.kind == PH_JOB_MOVE &&
        pool->job->row.phase == PH_PHASE_STOPPING &&
        strcmp(pool->job->row.target, peer->row.node) == 0)
        pool->job->copy_failures++;
    if (peer->row.state == PH_REPLICA_DIVERGED)
        return;
    if (peer->row.state == state && peer->row.reason != NULL &&
        strcmp(peer->row.reason, reason) == 0)
        return;
    if (state == PH_REPLICA_FAILING && peer->row.state != PH_REPLICA_FAILING)
        core_event(core, PH_EVENT_WARNING, "copy-failing",
            &(struct core_about){.pool = pool, .node = peer->node},
            "newer copies of %s to %s fail: %s", pool->row.name, peer->row.node, reason);
    peer->row.state = state;
    core_set_text(core, &peer->row.reason, "%s", reason);
    core_peer_touch(core, peer);
}

void core_copy_report(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_copy_report *report = in->body;
    struct core_node *sender = core_find_node(core, in->sender);
    struct core_pool *pool = core_find_pool(core, report->pool);
    struct core_peer *peer = pool == NULL ? NULL : core_find_peer(pool, report->node);
    const char *owner;

    if (sender == NULL || !sender->row.granting || core->outdated ||
        !of_this_process(sender, report->instance))
        return;
    report_ok(core, sender->row.name, report->pool, report->node, report->number);
    if (peer == NULL || report->number <= peer->copy_number)
        return;
    owner = pool->row.node[0] != '\0' ? pool->row.node : pool->row.home;
    if (strcmp(owner, sender->row.name) != 0 || strcmp(owner, report->node) == 0)
        return;
    if (report->epoch > pool->row.epoch ||
        (pool->row.node[0] != '\0' && report->epoch != pool->row.epoch))
        return;
    peer->copy_number = report->number;
    peer->sent_bytes = report->sent_bytes;
    peer->kib_s = report->kib_s;
    switch (report->state) {
    case PH_REPLICA_COMPLETE:
        copy_complete(core, peer, report);
        break;
    case PH_REPLICA_FAILING:
        copy_failing(core, peer, report);
        break;
    case PH_REPLICA_SEEDING:
        peer->progress = report->progress;
        break;
    case PH_REPLICA_DIVERGED:
        break;
    }
    core_pool_dirty(core, pool);
}
