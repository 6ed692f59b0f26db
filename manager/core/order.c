/*
 * The one order a node shall have for a pool, computed from the inventory whenever something about
 * the pool changed. It gets a new number when its content changes, and is sent again until a report
 * of the node echoes that number.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_TEXT_BYTES                                                                           \
    ((PH_COPIES_MAX + 1) * (PH_NAME_BYTES_MAX + PH_KEY_BYTES + 320) + PH_OPERATIONS_MAX * 21)

struct wanted {
    bool any;
    enum ph_order_kind kind;
    bool create, run;
    bool owner; /* `copies` are for it; else `sources` */
};

static bool is(const char *name, const struct core_peer *peer)
{
    return strcmp(name, peer->row.node) == 0;
}

static bool runs_something(const struct core_peer *peer)
{
    switch (peer->report.state) {
    case PH_LOCAL_ACTIVATING:
    case PH_LOCAL_ACTIVE:
    case PH_LOCAL_DEACTIVATING:
    case PH_LOCAL_STUCK:
    case PH_LOCAL_FAILED:
        return peer->reported;
    case PH_LOCAL_NONE:
    case PH_LOCAL_COPY:
    case PH_LOCAL_RELEASED:
        break;
    }
    return false;
}

bool core_order_echoed(const struct ph_core *core, const struct core_peer *peer)
{
    return peer->ordered && peer->reported && peer->report.order_term == core->term &&
           peer->report.order_number == peer->order_number;
}

/* The proof of a clean release: the node has durably taken in that it shall not run this epoch, and
 * says that it does not. A report that only says "released" is none: an agent says so too between
 * taking in an order to activate and beginning with it. */
bool core_released(const struct ph_core *core, const struct core_pool *pool)
{
    const struct core_peer *peer = core_find_peer(pool, pool->row.node);

    if (peer == NULL || !core_order_echoed(core, peer) || peer->order_kind != PH_ORDER_DEACTIVATE ||
        peer->order_epoch != pool->row.epoch)
        return false;
    switch (peer->report.state) {
    case PH_LOCAL_RELEASED:
    case PH_LOCAL_COPY:
    case PH_LOCAL_NONE:
        return true;
    case PH_LOCAL_FAILED: /* nothing runs: an activation that failed has nothing to release */
        return !core_confirmed(pool);
    case PH_LOCAL_ACTIVATING:
    case PH_LOCAL_ACTIVE:
    case PH_LOCAL_DEACTIVATING:
    case PH_LOCAL_STUCK:
        break;
    }
    return false;
}

/* Enough others have complete copies, so that one no longer wanted may go. */
static bool enough_copies(const struct core_pool *pool)
{
    int64_t complete = 0;

    if (pool->row.state != PH_POOL_ACTIVE || pool->copies_short || pool->holders_due ||
        pool->job != NULL)
        return false;
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (peer->chosen && core_copy_usable(peer) && peer->row.epoch == pool->row.epoch)
            complete++;
    }
    return complete >= pool->row.copies;
}

static struct wanted order_wanted(
    const struct ph_core *core, const struct core_pool *pool, const struct core_peer *peer)
{
    struct wanted wanted = {.any = true};

    if (is(pool->row.node, peer)) {
        wanted.owner = true;
        wanted.kind = core_deactivation_wanted(pool) ? PH_ORDER_DEACTIVATE : PH_ORDER_ACTIVATE;
        wanted.create = wanted.kind == PH_ORDER_ACTIVATE && !pool->row.created;
        wanted.run = wanted.kind == PH_ORDER_ACTIVATE;
        return wanted;
    }
    if (runs_something(peer)) { /* of an epoch that is over, or nobody's */
        wanted.kind = PH_ORDER_DEACTIVATE;
        return wanted;
    }
    if (pool->row.node[0] == '\0' && core_destroying(core, pool)) {
        wanted.kind = PH_ORDER_DROP;
        return wanted;
    }
    if (pool->row.node[0] == '\0' && is(pool->row.home, peer)) {
        wanted.kind = PH_ORDER_DEACTIVATE; /* released; goes on giving its data to the holders */
        wanted.owner = true;
        return wanted;
    }
    wanted.kind = PH_ORDER_HOLD;
    if (peer->chosen || peer->held)
        return wanted;
    if (peer->stored && peer->row.state != PH_REPLICA_DIVERGED && enough_copies(pool) &&
        !is(pool->row.home, peer))
        wanted.kind = PH_ORDER_DROP;
    else if (!peer->stored && peer->order_kind == PH_ORDER_DROP && peer->ordered)
        wanted.any = peer->reported && peer->report.state != PH_LOCAL_NONE,
        wanted.kind = PH_ORDER_DROP;
    else if (!peer->stored && (!peer->reported || peer->report.state == PH_LOCAL_NONE))
        wanted.any = false;
    return wanted;
}

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static bool required(const struct core_pool *pool, const struct core_peer *peer)
{
    const struct core_job *job = pool->job;

    return peer->held && job != NULL && job->row.kind == PH_JOB_MOVE &&
           job->row.phase == PH_PHASE_STOPPING;
}

/* One that was called off is not asked for any more. */
static int64_t verify(const struct core_peer *peer)
{
    return peer->verify > peer->verify_done ? peer->verify : 0;
}

/* Whether `other` belongs into the list of the peer's order. */
static bool listed(const struct core_pool *pool, const struct core_peer *peer,
    const struct wanted *wanted, const struct core_peer *other)
{
    const char *owner = pool->row.node[0] != '\0' ? pool->row.node : pool->row.home;

    if (other == peer || text_or_empty(other->node->row.endpoint)[0] == '\0')
        return false;
    if (core_data_is_shared(&pool->row))
        return false;
    if (core_removing(pool))
        return false; /* nobody would ever tell its last node to end with copies of it */
    if (wanted->owner)
        return other->chosen || other->held;
    return wanted->kind == PH_ORDER_HOLD && (peer->chosen || peer->held) && is(owner, other);
}

static void peers_text(const struct core_pool *pool, const struct core_peer *peer,
    const struct wanted *wanted, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    if (wanted->owner)
        used = core_operations_text(pool, text, size);
    for (size_t i = 0; i < pool->peers.count && used + 1 < size; i++) {
        const struct core_peer *other = pool->peers.items[i].value;

        if (!listed(pool, peer, wanted, other))
            continue;
        used += ph_text_format(text + used, size - used, "%s %s %s %lld %d %lld\n", other->row.node,
            text_or_empty(other->node->row.endpoint), text_or_empty(other->node->row.public_key),
            (long long)(wanted->owner ? other->urgent : 0), wanted->owner && required(pool, other),
            (long long)(wanted->owner ? verify(other) : 0));
    }
}

static void add_peers(struct ph_core *core, struct ph_order *order, const struct core_pool *pool,
    const struct core_peer *peer, const struct wanted *wanted)
{
    struct ph_many *list = (struct ph_many *)(void *)(wanted->owner ? (void *)&order->copies
                                                                    : (void *)&order->sources);

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *other = pool->peers.items[i].value;
        struct ph_peer *item;

        if (!listed(pool, peer, wanted, other) || list->count == PH_COPIES_MAX + 1)
            continue;
        item = ph_many_add(&ph_record_peer, list);
        if (item == NULL || ph_set_text(&item->endpoint, other->node->row.endpoint) != 0 ||
            ph_set_text(&item->public_key, other->node->row.public_key) != 0) {
            core->no_memory = true;
            return;
        }
        ph_text_format(item->node, sizeof item->node, "%s", other->row.node);
        item->urgent = wanted->owner ? other->urgent : 0;
        item->required = wanted->owner && required(pool, other);
        item->verify = wanted->owner ? verify(other) : 0;
    }
}

/* The declaration alone: what is observed changes all the time and is none of the node's business. */
static void add_declaration(struct ph_core *core, struct ph_order *order,
    const struct core_pool *pool, const struct wanted *wanted)
{
    if (ph_record_copy(&ph_record_pool, &order->pool, &pool->row) != 0 ||
        ph_set_text(&order->pool.reason, NULL) != 0) {
        core->no_memory = true;
        return;
    }
    order->pool.state = PH_POOL_UNASSIGNED;
    order->pool.since = 0;
    if (!wanted->owner)
        return;
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_vm *vm = ph_many_add(&ph_record_vm, (struct ph_many *)(void *)&order->vms);

        if (vm == NULL || ph_record_copy(&ph_record_vm, vm, &pool->vms[i].row) != 0 ||
            ph_set_text(&vm->reason, NULL) != 0 || ph_set_text(&vm->guest, NULL) != 0 ||
            ph_set_text(&vm->accelerator, NULL) != 0 || ph_set_text(&vm->vnc, NULL) != 0) {
            core->no_memory = true;
            return;
        }
        ph_texts_fini(&vm->addresses);
        vm->state = PH_VM_STOPPED;
        vm->pid = vm->restarts = vm->memory_used_mib = vm->disk_used_mib = 0;
    }
    core_operations_add(core, order, pool);
}

static void order_send(struct ph_core *core, struct core_peer *peer)
{
    const struct core_pool *pool = peer->pool;
    struct wanted wanted = order_wanted(core, pool, peer);
    struct ph_order order = {.term = core->term,
        .generation = peer->order_generation,
        .number = peer->order_number,
        .kind = peer->order_kind,
        .epoch = peer->order_epoch,
        .create = peer->order_create,
        .run = peer->order_run};

    if (ph_set_text(&order.manager, core->manager_id) != 0 ||
        ph_set_text(&order.cluster, core->cluster_id) != 0)
        core->no_memory = true;
    add_declaration(core, &order, pool, &wanted);
    add_peers(core, &order, pool, peer, &wanted);
    core_send_take(core, peer->row.node, PH_MSG_ORDER, &order);
    peer->order_sent = true;
    core_timer_set(core, &peer->resend, core->now_ms + peer->order_pause_ms);
}

static bool may_send(const struct core_peer *peer)
{
    return peer->node->present && peer->node->row.granting;
}

static void order_none(struct ph_core *core, struct core_peer *peer)
{
    peer->ordered = false;
    peer->order_sent = false;
    free(peer->order_peers);
    peer->order_peers = NULL;
    core_timer_clear(core, &peer->resend);
}

static void order_compute(struct ph_core *core, struct core_pool *pool, struct core_peer *peer)
{
    struct wanted wanted = order_wanted(core, pool, peer);
    char text[PEERS_TEXT_BYTES];
    bool same;

    if (!wanted.any) {
        order_none(core, peer);
        return;
    }
    peers_text(pool, peer, &wanted, text, sizeof text);
    same = peer->ordered && peer->order_kind == wanted.kind &&
           peer->order_epoch == pool->row.epoch &&
           peer->order_generation == peer->node->row.generation &&
           peer->order_revision == pool->row.revision && peer->order_create == wanted.create &&
           peer->order_run == wanted.run && strcmp(text_or_empty(peer->order_peers), text) == 0;
    if (!same) {
        peer->ordered = true;
        peer->order_number = ++core->last_order_number;
        peer->order_kind = wanted.kind;
        peer->order_epoch = pool->row.epoch;
        peer->order_generation = peer->node->row.generation;
        peer->order_revision = pool->row.revision;
        peer->order_create = wanted.create;
        peer->order_run = wanted.run;
        core_set_text_long(core, &peer->order_peers, text);
        peer->order_sent = false;
    }
    if (!peer->order_sent)
        peer->order_pause_ms = CORE_ORDER_RETRY_MS;
    if (peer->order_sent && core_order_echoed(core, peer))
        core_timer_clear(core, &peer->resend);
    else if (!peer->order_sent && may_send(peer))
        order_send(core, peer);
}

void core_order_due(struct ph_core *core, struct core_peer *peer)
{
    if (peer->pool->orders_due)
        return; /* it is about to be computed anew */
    if (!peer->ordered || !may_send(peer) || core_order_echoed(core, peer))
        return;
    peer->order_pause_ms = peer->order_pause_ms * 2 > CORE_ORDER_RETRY_MS_MAX
                               ? CORE_ORDER_RETRY_MS_MAX
                               : peer->order_pause_ms * 2;
    order_send(core, peer);
}

/* A peer that stands for nothing any more. */
static bool peer_idle(const struct core_pool *pool, const struct core_peer *peer)
{
    return !peer->stored && !peer->chosen && !peer->held && !peer->ordered &&
           !is(pool->row.node, peer) && !is(pool->row.home, peer) &&
           (!peer->reported || peer->report.state == PH_LOCAL_NONE);
}

static void dropped(struct ph_core *core, struct core_peer *peer)
{
    if (peer->ordered && peer->order_kind == PH_ORDER_DROP && core_order_echoed(core, peer) &&
        peer->report.state == PH_LOCAL_NONE)
        core_peer_unstore(core, peer);
    core_account(core, peer->pool);
}

void core_orders(struct ph_core *core, struct core_pool *pool)
{
    for (size_t i = 0; i < pool->peers.count;) {
        struct core_peer *peer = pool->peers.items[i].value;

        dropped(core, peer);
        order_compute(core, pool, peer);
        if (peer_idle(pool, peer))
            core_peer_forget(core, peer);
        else
            i++;
    }
}
