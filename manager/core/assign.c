/*
 * On and off a node, and what becomes of an activation that fails.
 *
 * What a pool's row says about its data:
 *
 *     created   home     node        the newest data is
 *     no        ""       any         nowhere
 *     no        H        ""          nowhere; H was its last node, which matters for settled_ms only
 *     yes       H        ""          at H, which released it or was taken over; a complete copy is as
 *                                    good when H's own replica row is complete (a clean release) and
 *                                    the copy is of the same epoch and not older
 *     yes       H        N           at H until N has confirmed (then home is "")
 *     yes       ""       N           at N: N was active under the present epoch ("confirmed")
 */
#include "manager/core/internal.h"

#include <string.h>

bool core_confirmed(const struct core_pool *pool)
{
    return pool->row.created && pool->row.node[0] != '\0' && pool->row.home[0] == '\0';
}

bool core_deactivation_wanted(const struct core_pool *pool)
{
    const struct core_job *job = pool->job;

    if (pool->row.desired == PH_DESIRED_INACTIVE || pool->release_wanted)
        return true;
    if (job == NULL)
        return false;
    if (job->row.kind == PH_JOB_REMOVE)
        return true;
    return job->row.kind == PH_JOB_MOVE && (job->row.phase == PH_PHASE_STOPPING ||
                                               (job->row.phase == PH_PHASE_RETURNING &&
                                                   strcmp(pool->row.node, job->row.target) == 0));
}

/* ---- on and off a node ---- */
static void vms_stopped(struct ph_core *core, struct core_pool *pool)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct core_vm *vm = &pool->vms[i];

        if (vm->row.state == PH_VM_STOPPED && vm->row.pid == 0)
            continue;
        vm->row.state = PH_VM_STOPPED;
        vm->row.pid = vm->row.restarts = 0;
        core_set_text(core, &vm->row.reason, "%s", "");
        core_vm_touch(core, vm);
    }
}

bool core_equal_to_home(const struct core_peer *peer, const struct core_peer *home)
{
    return home != NULL && core_copy_usable(home) && core_copy_usable(peer) &&
           peer->row.epoch == home->row.epoch && peer->row.sequence >= home->row.sequence;
}

/* Another node than `home` goes on with older data: what home has is no copy of it. */
static void home_diverges(struct ph_core *core, struct core_pool *pool, const char *chosen)
{
    struct core_peer *home = core_find_peer(pool, pool->row.home);
    struct core_peer *peer = core_find_peer(pool, chosen);

    if (core_data_is_shared(&pool->row) || home == NULL || peer == home ||
        (peer != NULL && core_equal_to_home(peer, home)))
        return;
    home->row.state = PH_REPLICA_DIVERGED;
    home->row.epoch = pool->row.epoch;
    home->row.sequence = 0;
    home->row.as_of = 0;
    core_set_text(core, &home->row.reason,
        "its data was the newest when it was lost; %s went on from an older copy", chosen);
    core_peer_touch(core, home);
}

void core_assign(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, const char *why)
{
    char reason[PH_TEXT_BYTES_MAX + 1]; /* `why` may be the reason that is replaced */

    ph_assert(node->row.granting);
    /* Another node only after its own release, or a proof: core_unassign() has seen to that. */
    ph_assert(pool->row.node[0] == '\0' || strcmp(pool->row.node, node->row.name) == 0);
    ph_text_format(reason, sizeof reason, "%s", why);
    if (core_confirmed(pool))
        memcpy(pool->row.home, pool->row.node, sizeof pool->row.home);
    if (pool->row.created)
        home_diverges(core, pool, node->row.name);
    else
        pool->row.home[0] = '\0';
    if (core_peer_make(core, pool, node) == NULL)
        return;
    pool->row.epoch++;
    memcpy(pool->row.node, node->row.name, sizeof pool->row.node);
    pool->release_wanted = false;
    pool->retry_at_ms = 0;
    pool->holders_due = true;
    for (size_t i = 0; i < pool->peers.count; i++)
        ((struct core_peer *)pool->peers.items[i].value)->copy_number = 0;
    core_pool_state(core, pool, PH_POOL_ACTIVATING, "%s", reason);
    core_pool_touch(core, pool);
    core_account(core, pool);
}

void core_unassign(struct ph_core *core, struct core_pool *pool, enum ph_proof proof,
    bool data_here, const char *why)
{
    struct core_peer *peer = core_find_peer(pool, pool->row.node);
    char old[PH_NAME_BYTES_MAX + 1];

    ph_assert(proof != PH_PROOF_NONE && peer != NULL);
    memcpy(old, pool->row.node, sizeof old);
    if (pool->row.created && (data_here || core_confirmed(pool))) {
        home_diverges(core, pool, old);
        memcpy(pool->row.home, old, sizeof pool->row.home);
        core_peer_unstore(core, peer); /* it is no copy: it is the thing itself */
    } else if (!pool->row.created) {
        memcpy(pool->row.home, old, sizeof pool->row.home);
    }
    pool->row.node[0] = '\0';
    pool->attempts = 0;
    pool->retry_at_ms = 0;
    pool->release_wanted = false;
    pool->holders_due = true;
    vms_stopped(core, pool);
    core_pool_state(core, pool, PH_POOL_UNASSIGNED, "%s", why);
    core_pool_touch(core, pool);
    core_account(core, pool);
}

void core_pool_active(struct ph_core *core, struct core_pool *pool)
{
    struct core_peer *peer = core_find_peer(pool, pool->row.node);

    if (core_deactivation_wanted(pool))
        return;
    pool->row.created = true;
    if (!core_confirmed(pool)) {
        pool->row.home[0] = '\0';
        core_peer_unstore(core, peer);
        pool->holders_due = true;
    }
    pool->attempts = 0;
    pool->retry_at_ms = 0;
    pool->lost_ms = 0;
    pool->data_loss_accepted = false;
    ph_texts_fini(&pool->failed_on);
    if (peer->node->row.state == PH_NODE_ONLINE && pool->row.state != PH_POOL_ACTIVE) {
        core_pool_state(core, pool, PH_POOL_ACTIVE, "%s runs it", pool->row.node);
        core->attention = true; /* a slot may be free, copies can begin */
    }
    core_pool_touch(core, pool);
}

/* ---- failed activations ---- */
static uint64_t backoff_ms(uint64_t first_ms, int64_t attempts)
{
    uint64_t pause_ms = first_ms;

    while (--attempts > 0 && pause_ms < CORE_RETRY_MS_MAX)
        pause_ms *= 2;
    return pause_ms > CORE_RETRY_MS_MAX ? CORE_RETRY_MS_MAX : pause_ms;
}

void core_activation_failed(struct ph_core *core, struct core_pool *pool, const char *reason)
{
    uint64_t pause_ms;

    if (pool->failed_epoch == pool->row.epoch)
        return; /* told before */
    pool->failed_epoch = pool->row.epoch;
    pool->attempts++;
    core_event(core, PH_EVENT_WARNING, "activation-failed",
        &(struct core_about){.pool = pool, .node = core_find_node(core, pool->row.node)},
        "activation on %s failed (attempt %lld of %d): %s", pool->row.node,
        (long long)pool->attempts, core->config.activation_attempts, reason);
    if (pool->job != NULL && pool->job->row.kind == PH_JOB_MOVE &&
        pool->job->row.phase == PH_PHASE_ACTIVATING) {
        core_move_activation_failed(core, pool->job, reason);
        return;
    }
    if (pool->attempts < core->config.activation_attempts) {
        pause_ms = backoff_ms(core->config.retry_ms, pool->attempts);
        pool->retry_at_ms = core->now_ms + pause_ms;
        core_timer_set(core, &pool->timer, pool->retry_at_ms);
        core_pool_reason(core, pool,
            "activation on %s failed (attempt %lld of %d), next one in %llu ms: %s", pool->row.node,
            (long long)pool->attempts, core->config.activation_attempts,
            (unsigned long long)pause_ms, reason);
        return;
    }
    if (ph_texts_add(&pool->failed_on, pool->row.node) != 0)
        core->no_memory = true;
    pool->release_wanted = true;
    core_pool_reason(core, pool, "activation on %s failed %lld times: %s", pool->row.node,
        (long long)pool->attempts, reason);
}
