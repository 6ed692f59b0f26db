/*
 * Where a pool without a node goes, what becomes of one whose activation fails, and the assigned
 * pool's state, which follows from its node, its job and its node's newest report.
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

#include <stdlib.h>
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

static bool equal_to_home(const struct core_peer *peer, const struct core_peer *home)
{
    return home != NULL && core_copy_usable(home) && core_copy_usable(peer) &&
           peer->row.epoch == home->row.epoch && peer->row.sequence >= home->row.sequence;
}

/* Another node than `home` goes on with older data: what home has is no copy of it. */
static void home_diverges(struct ph_core *core, struct core_pool *pool, const char *chosen)
{
    struct core_peer *home = core_find_peer(pool, pool->row.home);
    struct core_peer *peer = core_find_peer(pool, chosen);

    if (home == NULL || peer == home || (peer != NULL && equal_to_home(peer, home)))
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
    pool->lost_at = 0;
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

/* ---- where it goes ---- */
static bool given_up(const struct core_pool *pool, const char *node)
{
    return ph_texts_contain(&pool->failed_on, node);
}

static bool has_slot(
    const struct ph_core *core, const struct core_pool *pool, const struct core_node *node)
{
    return pool->job == NULL || pool->job->row.kind != PH_JOB_TAKEOVER ||
           node->takeovers < (size_t)core->config.takeovers_per_node;
}

/* What the pool waits for is said in its reason and in its job's waiting_on. */
static void waits(struct ph_core *core, struct core_pool *pool, enum ph_pool_state state,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
static void waits(
    struct ph_core *core, struct core_pool *pool, enum ph_pool_state state, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (state == PH_POOL_UNASSIGNED && pool->row.state == PH_POOL_BLOCKED)
        state = PH_POOL_BLOCKED; /* it goes on waiting: no flapping between the two */
    core_pool_state(core, pool, state, "%s", text);
    if (pool->job != NULL && state != PH_POOL_FAILED)
        core_job_wait(core, pool->job, "%s", text);
    if (state != PH_POOL_FAILED)
        core_want(core, pool);
}

static void give_up(struct ph_core *core, struct core_pool *pool, const char *last)
{
    core_pool_state(core, pool, PH_POOL_FAILED,
        "no candidate is left (%s); repair the cause, then `poolherd pool start %s --retry`", last,
        pool->row.name);
}

struct choice {
    struct ph_place_copy copies[PH_COPIES_MAX * 4];
    size_t count;
    bool slot_full;  /* a candidate was left out because it is busy with other take-overs */
    bool too_old;    /* the best one is older than the pool allows */
    bool elsewhere;  /* usable copies exist on nodes that are not available */
    int64_t loss_ms; /* age of the chosen data; -1: unknown */
};

static void choice_add(struct choice *choice, const struct core_peer *peer, int64_t age_ms)
{
    if (choice->count < sizeof choice->copies / sizeof choice->copies[0])
        choice->copies[choice->count++] =
            (struct ph_place_copy){.node = peer->row.node, .complete = true, .age_ms = age_ms};
}

static bool candidate(const struct ph_core *core, const struct core_pool *pool,
    const struct core_peer *peer, struct choice *choice)
{
    if (!core_copy_usable(peer) || given_up(pool, peer->row.node) ||
        strcmp(peer->row.node, pool->row.home) == 0)
        return false;
    if (!core_node_available(peer->node)) {
        choice->elsewhere = true;
        return false;
    }
    if (!has_slot(core, pool, peer->node)) {
        choice->slot_full = true;
        return false;
    }
    return true;
}

/* Copies that hold exactly what home has. */
static void equal_copies(
    const struct ph_core *core, const struct core_pool *pool, struct choice *choice)
{
    const struct core_peer *home = core_find_peer(pool, pool->row.home);

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (equal_to_home(peer, home) && candidate(core, pool, peer, choice))
            choice_add(choice, peer, 0);
    }
}

/* What was lost with the node: the time between the copy and the moment the node was given up. */
static int64_t copy_loss_ms(
    const struct ph_core *core, const struct core_pool *pool, const struct core_peer *peer)
{
    int64_t until = pool->lost_at != 0 ? pool->lost_at : core->wall_ms;

    if (peer->row.as_of == 0)
        return -1;
    return until > peer->row.as_of ? until - peer->row.as_of : 0;
}

static bool newer(const struct core_peer *a, const struct core_peer *b)
{
    return a->row.epoch != b->row.epoch ? a->row.epoch > b->row.epoch
                                        : a->row.sequence > b->row.sequence;
}

/* The freshest complete copies on nodes that can take them now. */
static void freshest_copies(
    const struct ph_core *core, const struct core_pool *pool, struct choice *choice)
{
    const struct core_peer *best = NULL;
    int64_t limit_ms = pool->row.max_data_loss_s * 1000;

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (candidate(core, pool, peer, choice) && (best == NULL || newer(peer, best)))
            best = peer;
    }
    if (best == NULL)
        return;
    choice->loss_ms = copy_loss_ms(core, pool, best);
    if (limit_ms > 0 && !pool->data_loss_accepted &&
        (choice->loss_ms < 0 || choice->loss_ms > limit_ms)) {
        choice->too_old = true;
        return;
    }
    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (candidate(core, pool, peer, choice) && !newer(best, peer))
            choice_add(choice, peer, choice->loss_ms < 0 ? INT64_MAX : choice->loss_ms);
    }
}

static bool assign_among(
    struct ph_core *core, struct core_pool *pool, struct choice *choice, char *reason, size_t size)
{
    struct ph_place_question question = {.pool = &pool->row,
        .copies = choice->copies,
        .copy_count = choice->count,
        .data_needed = true};
    long index;

    if (choice->count == 0)
        return false;
    index = ph_place_choose(&core->cluster, &question, reason, size);
    if (index < 0)
        return false;
    core_assign(core, pool, core->nodes.items[index].value, reason);
    if (pool->job != NULL && pool->job->row.kind == PH_JOB_TAKEOVER)
        core_takeover_assigned(core, pool, choice->loss_ms);
    return true;
}

static bool home_is_gone(const struct core_node *home)
{
    return home == NULL || home->row.state == PH_NODE_LOST || home->row.state == PH_NODE_FENCED;
}

static void schedule_waits(struct ph_core *core, struct core_pool *pool,
    const struct core_node *home, const struct choice *choice, const char *place_reason)
{
    const char *name = pool->row.name;

    if (choice->slot_full && choice->count == 0) {
        waits(core, pool, PH_POOL_UNASSIGNED,
            "waits for a slot: the nodes with its copies are busy taking over others");
    } else if (choice->count > 0) {
        waits(core, pool, PH_POOL_BLOCKED, "no node with its data can take it: %s", place_reason);
    } else if (choice->too_old) {
        char age[48] = "of unknown age";

        if (choice->loss_ms >= 0)
            ph_text_format(age, sizeof age, "%lld s old", (long long)(choice->loss_ms / 1000));
        waits(core, pool, PH_POOL_BLOCKED,
            "the freshest copy that can be used is %s, and max_data_loss_s is %lld: waits for %s, "
            "or for `poolherd pool start %s --accept-data-loss`",
            age, (long long)pool->row.max_data_loss_s,
            pool->row.home[0] == '\0' ? "a better one" : pool->row.home, name);
    } else if (pool->failed_on.count > 0 &&
               (home_is_gone(home) || given_up(pool, home->row.name))) {
        give_up(core, pool, "activation failed on every node that has its newest data");
    } else if (home_is_gone(home)) {
        waits(core, pool, PH_POOL_BLOCKED,
            "no usable copy is on a node that can take it%s: waits for %s",
            choice->elsewhere ? " (nodes that have one are not available)" : "",
            pool->row.home[0] == '\0' ? "a copy" : pool->row.home);
    } else if (home->row.state == PH_NODE_JOINING || home->row.state == PH_NODE_SUSPECT) {
        waits(core, pool, PH_POOL_UNASSIGNED, "waits for %s, which has the newest data and is %s",
            home->row.name, core_node_state_word(home));
    } else {
        waits(core, pool, PH_POOL_BLOCKED,
            "the newest data is on %s, which is in %s: waits until another node has a copy of it, "
            "or `poolherd node resume %s`, or `poolherd pool start %s --accept-data-loss`",
            home->row.name, ph_enum_word(&ph_enum_node_admin, (int)home->row.admin), home->row.name,
            name);
    }
}

/* A grant of its former admission may be under way still: nobody else gets the pool until that could
 * keep nothing alive. */
static bool unsettled(struct ph_core *core, struct core_pool *pool, const struct core_node *home)
{
    if (home == NULL || core->now_ms >= home->settled_ms)
        return false;
    core_timer_set(core, &pool->timer, home->settled_ms);
    waits(core, pool, PH_POOL_UNASSIGNED, "waits for its last node, %s, which is %s",
        home->row.name, core_node_state_word(home));
    return true;
}

static void schedule_with_data(struct ph_core *core, struct core_pool *pool)
{
    struct core_node *home = core_find_node(core, pool->row.home);
    struct choice choice = {0};
    char reason[PH_TEXT_BYTES_MAX + 1] = "";

    if (home != NULL && core_node_available(home) && !given_up(pool, home->row.name)) {
        core_assign(core, pool, home, "its newest data is there");
        if (pool->job != NULL && pool->job->row.kind == PH_JOB_TAKEOVER)
            core_takeover_assigned(core, pool, 0);
        return;
    }
    if (unsettled(core, pool, home))
        return;
    equal_copies(core, pool, &choice);
    if (choice.count == 0 && (home_is_gone(home) || pool->data_loss_accepted))
        freshest_copies(core, pool, &choice);
    if (!assign_among(core, pool, &choice, reason, sizeof reason))
        schedule_waits(core, pool, home, &choice, reason);
}

static void schedule_new(struct ph_core *core, struct core_pool *pool)
{
    struct ph_place_question question = {.pool = &pool->row};
    struct core_node *last = core_find_node(core, pool->row.home);
    char reason[PH_TEXT_BYTES_MAX + 1] = "";
    long index;

    if (last != NULL && core->now_ms < last->settled_ms) {
        if (core_node_available(last) && !given_up(pool, last->row.name))
            core_assign(core, pool, last, "it was placed there before");
        else
            unsettled(core, pool, last);
        return;
    }
    for (size_t i = 0; i < pool->failed_on.count; i++) {
        struct core_node *node = core_find_node(core, pool->failed_on.items[i]);

        if (node != NULL)
            core_picture_available(core, node, false);
    }
    index = ph_place_choose(&core->cluster, &question, reason, sizeof reason);
    for (size_t i = 0; i < pool->failed_on.count; i++) {
        struct core_node *node = core_find_node(core, pool->failed_on.items[i]);

        if (node != NULL)
            core_picture_available(core, node, core_node_available(node));
    }
    if (index >= 0) {
        core_assign(core, pool, core->nodes.items[index].value, reason);
        if (pool->job != NULL && pool->job->row.kind == PH_JOB_TAKEOVER)
            core_takeover_assigned(core, pool, 0);
    } else if (pool->failed_on.count > 0) {
        give_up(core, pool, "activation failed, and no other node can take it");
    } else {
        waits(core, pool, PH_POOL_BLOCKED, "no node can take it: %s", reason);
    }
}

/* The last owner, which released the pool, says at which point its data stands. Whoever has a copy of
 * the same point has the same data (agent/pools/driver.h: a release takes a sequence of its own). */
static void home_point(struct ph_core *core, struct core_pool *pool)
{
    struct core_peer *peer = core_find_peer(pool, pool->row.home);
    const struct ph_report *report = peer == NULL ? NULL : &peer->report;
    struct ph_replica *row = peer == NULL ? NULL : &peer->row;

    if (peer == NULL || report->state != PH_LOCAL_RELEASED || !core_order_echoed(core, peer) ||
        peer->order_kind != PH_ORDER_DEACTIVATE || report->data_epoch == 0 ||
        report->data_epoch > pool->row.epoch || report->data_sequence == 0 ||
        (core_copy_usable(peer) && row->epoch == report->data_epoch &&
            row->sequence == report->data_sequence))
        return;
    row->state = PH_REPLICA_COMPLETE;
    row->epoch = report->data_epoch;
    row->sequence = report->data_sequence;
    row->as_of = core->wall_ms;
    core_peer_touch(core, peer);
}

void core_schedule(struct ph_core *core, struct core_pool *pool)
{
    home_point(core, pool);
    if (pool->row.desired == PH_DESIRED_INACTIVE || core_removing(pool)) {
        if (pool->row.state != PH_POOL_UNASSIGNED)
            core_pool_state(core, pool, PH_POOL_UNASSIGNED, "stopped, as declared");
        else
            core_pool_reason(core, pool, "stopped, as declared");
        return;
    }
    if (pool->row.state == PH_POOL_FAILED || core->outdated || !core->ready)
        return;
    if (pool->row.created)
        schedule_with_data(core, pool);
    else
        schedule_new(core, pool);
}
