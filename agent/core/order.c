/*
 * Taking orders in, and keeping them over a restart.
 *
 * The order is stored as on the wire, but for the `state` of its vms, in which the core notes what a
 * restarted agent cannot see: "stopping": removed from the declaration and still to be stopped;
 * "starting": runs by an older declaration and is to be restarted; "ended": left ended by its policy.
 */
#include "agent/core/agent.h"
#include "proto/codec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static bool ordered(const struct ph_order *order, const char *vm)
{
    for (size_t i = 0; i < order->vms.count; i++) {
        if (strcmp(order->vms.items[i].name, vm) == 0) {
            return true;
        }
    }
    return false;
}

/* Fills the order to store from the one in force and the VMs as they are. */
static int stored_order(const struct ph_agent_pool *pool, struct ph_order *order)
{
    if (ph_record_copy(&ph_record_order, order, &pool->order) != 0) {
        return -ENOMEM;
    }
    for (size_t i = 0; i < order->vms.count; i++) {
        const struct ph_agent_vm *vm = ph_agent_vm_find(pool, order->vms.items[i].name);
        enum ph_vm_state state = PH_VM_STOPPED;
        if (vm != NULL && !vm->removed) {
            state = vm->changed                ? PH_VM_STARTING
                    : vm->state == PH_VM_ENDED ? PH_VM_ENDED
                                               : PH_VM_STOPPED;
        }
        order->vms.items[i].state = state;
    }
    for (size_t i = 0; i < pool->vm_count; i++) {
        const struct ph_agent_vm *vm = &pool->vms[i];
        if (!ph_agent_vm_alive(vm) || ordered(&pool->order, vm->spec.name)) {
            continue;
        }
        struct ph_vm *copy = ph_many_add(&ph_record_vm, (struct ph_many *)(void *)&order->vms);
        if (copy == NULL || ph_record_copy(&ph_record_vm, copy, &vm->spec) != 0) {
            return -ENOMEM;
        }
        copy->state = PH_VM_STOPPING;
    }
    return 0;
}

void ph_agent_save_pool(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    pool->unsaved = false;
    struct ph_assignment row = {0};
    struct ph_order order = {0};
    size_t bytes = 0;
    memcpy(row.pool, pool->name, sizeof(row.pool));
    row.epoch = pool->epoch;
    row.local = pool->local;
    if (pool->has_order) {
        row.term = pool->order.term;
        row.number = pool->order.number;
        if (stored_order(pool, &order) != 0 ||
            ph_encode(&ph_record_order, &order, PH_ENCODE_WIRE, &row.order, &bytes) != 0) {
            agent->out_of_memory = true;
        }
    }
    if (!agent->out_of_memory) {
        ph_agent_save(agent, &ph_record_assignment, &row);
    }
    ph_record_fini(&ph_record_order, &order);
    ph_record_fini(&ph_record_assignment, &row);
}

/* What a short order leaves out, the one before knows: an order to stop a pool that the manager never
 * heard of names the pool and no more. */
static int complete_order(const struct ph_agent_pool *pool, struct ph_order *order)
{
    if (order->kind == PH_ORDER_ACTIVATE || !pool->has_order) {
        return 0;
    }
    if (order->pool.driver[0] == '\0' &&
        ph_record_copy(&ph_record_pool, &order->pool, &pool->order.pool) != 0) {
        return -ENOMEM;
    }
    size_t missing = order->vms.count == 0 ? pool->order.vms.count : 0;
    for (size_t i = 0; i < missing; i++) {
        struct ph_vm *vm = ph_many_add(&ph_record_vm, (struct ph_many *)(void *)&order->vms);
        if (vm == NULL || ph_record_copy(&ph_record_vm, vm, &pool->order.vms.items[i]) != 0) {
            return -ENOMEM;
        }
    }
    return 0;
}

static void new_epoch(struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->peer_count; i++) {
        struct ph_agent_peer *peer = &pool->peers[i];
        peer->begun_ms = 0;
        peer->last_done = false;
        peer->complete = false;
        peer->urgent_begun = 0;
    }
}

/* An order to deactivate was carried out in full before. */
static bool released_before(const struct ph_agent_pool *pool)
{
    return pool->has_order && pool->order.kind == PH_ORDER_DEACTIVATE && pool->settled &&
           pool->phase == PH_AP_IDLE && pool->local == PH_LOCAL_RELEASED && !pool->data_active &&
           !pool->ran;
}

static bool required_missing(const struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->peer_count && pool->owner_data; i++) {
        if (pool->peers[i].peer.required && !pool->peers[i].last_done) {
            return true;
        }
    }
    return false;
}

/* What its driver can follow while the pool runs. */
static bool other_size(const struct ph_agent_pool *pool, const struct ph_order *order)
{
    return pool->phase == PH_AP_RUNNING && pool->has_order &&
           pool->order.kind == PH_ORDER_ACTIVATE && order->epoch == pool->epoch &&
           order->pool.disk_mib != pool->order.pool.disk_mib;
}

static void take(struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_order *order)
{
    struct ph_order copy = {0};
    if (ph_record_copy(&ph_record_order, &copy, order) != 0 || complete_order(pool, &copy) != 0) {
        ph_record_fini(&ph_record_order, &copy);
        agent->out_of_memory = true;
        return;
    }
    bool higher = order->epoch > pool->epoch;
    bool released = released_before(pool) && order->kind == PH_ORDER_DEACTIVATE;
    pool->renew = order->kind == PH_ORDER_ACTIVATE && (pool->renew || other_size(pool, order));
    ph_record_fini(&ph_record_order, &pool->order);
    pool->order = copy;
    pool->has_order = true;
    pool->epoch = order->epoch;
    pool->failed = false;
    pool->settled = false;
    pool->failures = 0;
    pool->retry_ms = 0;
    ph_agent_pool_reason(pool, "%s", "");
    if (higher) {
        new_epoch(pool);
    }
    if (order->kind == PH_ORDER_ACTIVATE) {
        ph_agent_vms_take(agent, pool, &pool->order.vms, pool->phase == PH_AP_RUNNING);
        if (pool->phase == PH_AP_IDLE) {
            ph_agent_pool_set_local(pool, PH_LOCAL_ACTIVATING);
        }
    }
    const struct ph_peer_list none = {0};
    bool owner = order->kind == PH_ORDER_ACTIVATE || order->kind == PH_ORDER_DEACTIVATE;
    ph_agent_peers_take(agent, pool, owner ? &pool->order.copies : &none);
    if (released && !required_missing(pool)) {
        pool->settled = true; /* nothing is left to do for it, but for who else gets a copy */
    } else if (order->kind == PH_ORDER_DEACTIVATE && pool->phase == PH_AP_IDLE) {
        /* Stored as "released" it would look done to a restarted agent. */
        ph_agent_pool_set_local(pool, PH_LOCAL_DEACTIVATING);
    }
    ph_agent_save_pool(agent, pool);
    ph_agent_operations_prune(agent, pool);
    if (pool->allowed && order->kind != PH_ORDER_HOLD) {
        ph_agent_allow(agent, &pool->order);
    }
    pool->allowed = false;
    pool->report_dirty = true;
    ph_agent_pool_touch(pool);
}

/* Compares (term, number): negative when the message is older than what was taken in. */
static int compare_order(const struct ph_order *order, const struct ph_order *taken)
{
    if (order->term != taken->term) {
        return order->term < taken->term ? -1 : 1;
    }
    return order->number < taken->number ? -1 : order->number > taken->number;
}

void ph_agent_on_order(struct ph_agent *agent, const struct ph_order *order)
{
    if (!ph_agent_accept_term(agent, order->term, order->manager, "order") ||
        !ph_name_valid(order->pool.name)) {
        return;
    }
    const char *name = order->pool.name;
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, name);
    char reason[256];
    if (pool != NULL && pool->has_order) {
        int compared = compare_order(order, &pool->order);
        if (compared == 0) {
            pool->report_dirty = true; /* sent again: the manager has not heard the answer */
            ph_agent_pool_touch(pool);
        }
        if (compared <= 0) {
            return;
        }
    }
    if (order->kind == PH_ORDER_ACTIVATE &&
        (!agent->lease.admitted || order->generation != agent->lease.admission)) {
        (void)ph_text_format(reason, sizeof(reason),
            "order %lld refused: it is for admission %lld, and this node %s %lld",
            (long long)order->number, (long long)order->generation,
            agent->lease.admitted ? "holds" : "waits for one after",
            (long long)agent->lease.admission);
        ph_agent_report_once(agent, name, order->epoch, reason);
        return;
    }
    if (pool != NULL && order->epoch < pool->epoch) {
        (void)ph_text_format(reason, sizeof(reason),
            "order %lld refused: its epoch %lld is lower than epoch %lld seen here",
            (long long)order->number, (long long)order->epoch, (long long)pool->epoch);
        ph_agent_report_once(agent, name, order->epoch, reason);
        return;
    }
    if (pool == NULL && agent->pools.count >= PH_POOLS_MAX) {
        ph_agent_report_once(agent, name, order->epoch, "this node keeps as many pools as it can");
        return;
    }
    if (pool == NULL) {
        pool = ph_agent_pool_add(agent, name);
    }
    if (pool == NULL) {
        agent->out_of_memory = true;
        return;
    }
    take(agent, pool, order);
}

int ph_agent_load_assignment(
    struct ph_agent *agent, const struct ph_assignment *row, struct ph_error *error)
{
    if (!ph_name_valid(row->pool)) {
        return ph_error_set(
            error, PH_BAD_INPUT, "pool", "a stored assignment has no legal pool name");
    }
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, row->pool);
    if (pool == NULL && (pool = ph_agent_pool_add(agent, row->pool)) == NULL) {
        return -ENOMEM;
    }
    pool->epoch = row->epoch > pool->epoch ? row->epoch : pool->epoch;
    pool->local = row->local;
    if (row->order == NULL) {
        return 0;
    }
    int rv = ph_decode(&ph_record_order, row->order, strlen(row->order), &pool->order, error);
    if (rv != 0) {
        return rv;
    }
    if (strcmp(pool->order.pool.name, row->pool) != 0) {
        return ph_error_set(error, PH_BAD_INPUT, "order",
            "the stored order of pool %s is for pool %s", row->pool, pool->order.pool.name);
    }
    pool->has_order = true;
    pool->epoch = pool->order.epoch > pool->epoch ? pool->order.epoch : pool->epoch;
    ph_agent_vms_take(agent, pool, &pool->order.vms, false);
    /* Those kept only to be stopped are no part of what is wanted. */
    size_t kept = 0;
    for (size_t i = 0; i < pool->order.vms.count; i++) {
        struct ph_vm *spec = &pool->order.vms.items[i];
        struct ph_agent_vm *vm = ph_agent_vm_find(pool, spec->name);
        if (vm != NULL && spec->state == PH_VM_STOPPING) {
            vm->removed = true;
            ph_record_fini(&ph_record_vm, spec);
            continue;
        }
        if (vm != NULL && spec->state == PH_VM_ENDED) {
            vm->state = PH_VM_ENDED;
            vm->attempted = true;
        }
        if (vm != NULL && spec->state == PH_VM_STARTING) {
            vm->stale = true;
        }
        spec->state = PH_VM_STOPPED;
        if (kept != i) {
            pool->order.vms.items[kept] = *spec;
            memset(spec, 0, sizeof(*spec));
        }
        kept++;
    }
    pool->order.vms.count = kept;
    bool owner = pool->order.kind == PH_ORDER_ACTIVATE || pool->order.kind == PH_ORDER_DEACTIVATE;
    const struct ph_peer_list none = {0};
    ph_agent_peers_take(agent, pool, owner ? &pool->order.copies : &none);
    return agent->out_of_memory ? -ENOMEM : 0;
}

void ph_agent_prune(struct ph_agent *agent)
{
    for (size_t i = agent->pools.count; i-- > 0;) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        /* An order can come late, and would make the pool anew if nothing remembered that it was
         * dropped since; a lower term, or an activation of an earlier admission, is refused anyway. */
        if (pool->has_order && pool->order.kind == PH_ORDER_DROP && pool->settled &&
            pool->task_count == 0 && pool->report_acked == pool->report_number &&
            pool->order.term < agent->lease.term) {
            struct ph_assignment row = {0};
            memcpy(row.pool, pool->name, sizeof(row.pool));
            ph_agent_remove(agent, &ph_record_assignment, &row);
            (void)ph_map_remove(&agent->pools, pool->name);
            ph_agent_pool_destroy(pool);
        }
    }
}
