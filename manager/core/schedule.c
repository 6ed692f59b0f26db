/*
 * Where a pool without a node goes, and what it waits for when it goes nowhere. What its row says about
 * its data is drawn in assign.c.
 */
#include "manager/core/internal.h"

#include <string.h>

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
    const char *on;
    va_list arguments;
    bool told;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (state == PH_POOL_UNASSIGNED && pool->row.state == PH_POOL_BLOCKED)
        state = PH_POOL_BLOCKED; /* it goes on waiting: no flapping between the two */
    on = strncmp(text, "waits for ", 10) == 0 ? text + 10 : text;
    told = pool->row.state != state; /* by the event about the state */
    core_pool_state(core, pool, state, "%s", text);
    if (pool->job != NULL && state != PH_POOL_FAILED && told)
        core_job_wait(core, pool->job, "%s", on);
    else if (pool->job != NULL && state != PH_POOL_FAILED)
        core_job_step(core, pool->job, "%s", on);
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
    bool gave_up;    /* a candidate was left out because activation failed there */
    bool too_old;    /* the best one is older than the pool allows */
    bool elsewhere;  /* usable copies exist on nodes that are not available */
    bool diverged;   /* the last resort: what former owners have counts too */
    int64_t loss_ms; /* age of the chosen data; -1: unknown */
};

static void choice_add(struct choice *choice, const struct core_peer *peer, int64_t age_ms)
{
    if (choice->count < sizeof choice->copies / sizeof choice->copies[0])
        choice->copies[choice->count++] =
            (struct ph_place_copy){.node = peer->row.node, .complete = true, .age_ms = age_ms};
}

/* On a node that may be given the pool, whatever else speaks against it. */
static bool reachable(
    const struct core_pool *pool, const struct core_peer *peer, struct choice *choice)
{
    bool former = choice->diverged && peer->stored && peer->row.state == PH_REPLICA_DIVERGED &&
                  peer->reported && peer->report.data_epoch > 0; /* if its disk is still there */

    if (!(core_copy_usable(peer) || former) || strcmp(peer->row.node, pool->row.home) == 0)
        return false;
    if (!core_node_available(peer->node))
        choice->elsewhere = true;
    return core_node_available(peer->node);
}

static void consider(const struct ph_core *core, const struct core_pool *pool,
    const struct core_peer *peer, struct choice *choice, int64_t age_ms)
{
    if (given_up(pool, peer->row.node))
        choice->gave_up = true;
    else if (!has_slot(core, pool, peer->node))
        choice->slot_full = true;
    else
        choice_add(choice, peer, age_ms);
}

/* Copies that hold exactly what home has. */
static void equal_copies(
    const struct ph_core *core, const struct core_pool *pool, struct choice *choice)
{
    const struct core_peer *home = core_find_peer(pool, pool->row.home);

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (core_equal_to_home(peer, home) && reachable(pool, peer, choice))
            consider(core, pool, peer, choice, 0);
    }
}

/* What was lost with the node: the time between the copy and the moment the node was given up. */
static int64_t copy_loss_ms(
    const struct ph_core *core, const struct core_pool *pool, const struct core_peer *peer)
{
    int64_t age_ms = core_copy_age_ms(core, peer);
    int64_t since_ms = pool->lost_ms != 0 ? (int64_t)(core->now_ms - pool->lost_ms) : 0;

    if (age_ms < 0)
        return -1;
    return age_ms > since_ms ? age_ms - since_ms : 0;
}

static bool newer(const struct core_peer *a, const struct core_peer *b)
{
    return a->row.epoch != b->row.epoch ? a->row.epoch > b->row.epoch
                                        : a->row.sequence > b->row.sequence;
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
    index = core_choose(core, &question, reason, size);
    if (index < 0)
        return false;
    core_assign(core, pool, core->nodes.items[index].value, reason);
    if (pool->job != NULL && pool->job->row.kind == PH_JOB_TAKEOVER)
        core_takeover_assigned(core, pool, choice->loss_ms);
    else
        core_takeover_loss(core, pool, choice->loss_ms);
    return true;
}

/* The freshest copy that is older than `below` (NULL: than none). */
static const struct core_peer *freshest(
    const struct core_pool *pool, const struct core_peer *below, struct choice *choice)
{
    const struct core_peer *best = NULL;

    for (size_t i = 0; i < pool->peers.count; i++) {
        const struct core_peer *peer = pool->peers.items[i].value;

        if (reachable(pool, peer, choice) && (below == NULL || newer(below, peer)) &&
            (best == NULL || newer(peer, best)))
            best = peer;
    }
    return best;
}

/* The freshest complete copy on an available node. A busy node is waited for, and one that failed to
 * activate it fails the pool: neither is a reason to lose more data. One that is full is. */
static bool assign_freshest(
    struct ph_core *core, struct core_pool *pool, struct choice *choice, char *reason, size_t size)
{
    int64_t limit_ms = pool->row.max_data_loss_s * 1000;
    const struct core_peer *best = NULL;

    while ((best = freshest(pool, best, choice)) != NULL) {
        int64_t loss_ms = copy_loss_ms(core, pool, best);

        if (limit_ms > 0 && !pool->data_loss_accepted && (loss_ms < 0 || loss_ms > limit_ms)) {
            choice->too_old = choice->count == 0;
            choice->loss_ms = loss_ms;
            return false;
        }
        choice->count = 0;
        choice->loss_ms = loss_ms;
        for (size_t i = 0; i < pool->peers.count; i++) {
            const struct core_peer *peer = pool->peers.items[i].value;

            if (reachable(pool, peer, choice) && !newer(best, peer) && !newer(peer, best))
                consider(core, pool, peer, choice, loss_ms < 0 ? INT64_MAX : loss_ms);
        }
        if (assign_among(core, pool, choice, reason, size))
            return true;
        if (choice->count == 0 && (choice->slot_full || !pool->data_loss_accepted))
            return false;
    }
    if (pool->data_loss_accepted && !choice->diverged && !choice->elsewhere && choice->count == 0 &&
        !choice->gave_up) {
        /* Nobody has a copy. What a former owner has is older still, and all there is. */
        choice->diverged = true;
        return assign_freshest(core, pool, choice, reason, size);
    }
    return false;
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
    } else if (choice->gave_up || (home != NULL && given_up(pool, home->row.name))) {
        give_up(core, pool, "activation failed on every node that has its newest data");
    } else if (home_is_gone(home)) {
        waits(core, pool, PH_POOL_BLOCKED,
            "no usable copy is on a node that can take it%s: waits for %s",
            choice->elsewhere ? " (nodes that have one are not available)" : "",
            pool->row.home[0] == '\0' ? "a copy" : pool->row.home);
    } else if (home->row.state == PH_NODE_JOINING || home->row.state == PH_NODE_SUSPECT) {
        waits(core, pool, PH_POOL_UNASSIGNED, "waits for %s, which has the newest data and is %s",
            home->row.name, core_node_state_word(home));
    } else if (core_home_empty(pool)) {
        waits(core, pool, PH_POOL_BLOCKED,
            "%s had the newest data and now says that it has none: bring its disk back, or go on "
            "from "
            "an older copy with `poolherd pool start %s --accept-data-loss`",
            home->row.name, name);
    } else {
        waits(core, pool, PH_POOL_BLOCKED,
            "the newest data is on %s, which is in %s: waits until another node has a copy of it, "
            "or `poolherd node resume %s`, or `poolherd pool start %s --accept-data-loss`",
            home->row.name, ph_enum_word(&ph_enum_node_admin, (int)home->row.admin), home->row.name,
            name);
    }
}

/* A lease of its former admission may begin or go on still: nobody else gets the pool until it is known
 * to be over. */
static bool unsettled(struct ph_core *core, struct core_pool *pool, const struct core_node *home)
{
    if (home == NULL || core_node_settled(core, home))
        return false;
    if (core->now_ms < home->settled_ms)
        core_timer_set(core, &pool->timer, home->settled_ms);
    waits(core, pool, PH_POOL_UNASSIGNED, "waits for its last node, %s, which is %s",
        home->row.name, core_node_state_word(home));
    return true;
}

/* What ran goes on where it was; nothing else happens by itself. */
static bool paused(struct ph_core *core, struct core_pool *pool)
{
    if (!core_pause_holds(core, pool))
        return false;
    waits(core, pool, PH_POOL_UNASSIGNED,
        "automatic action is paused: waits for `poolherd cluster resume`, or for `poolherd pool "
        "start %s`",
        pool->row.name);
    return true;
}

/* A drain that is under way moves pools, and keeps none down: what came free on the node meanwhile (its
 * lease ended, say) goes on there, where the newest data is, until it has been moved. */
static bool being_drained(const struct core_node *home)
{
    return home->row.state == PH_NODE_ONLINE && home->drain != NULL;
}

static void schedule_with_data(struct ph_core *core, struct core_pool *pool)
{
    struct core_node *home = core_find_node(core, pool->row.home);
    struct choice choice = {0};
    char reason[PH_TEXT_BYTES_MAX + 1] = "";

    if (home != NULL && !given_up(pool, home->row.name) && !core_home_empty(pool) &&
        (core_node_available(home) || being_drained(home))) {
        core_assign(core, pool, home,
            home->drain == NULL ? "its newest data is there"
                                : "its newest data is there; the drain moves it on from there");
        if (pool->job != NULL && pool->job->row.kind == PH_JOB_TAKEOVER)
            core_takeover_assigned(core, pool, 0);
        return;
    }
    if (unsettled(core, pool, home))
        return;
    if (home != NULL && home->row.state == PH_NODE_JOINING &&
        (home->row.admin == PH_ADMIN_ACTIVE || home->drain != NULL) &&
        !given_up(pool, home->row.name)) {
        /* It comes back, a beat away: the pool stays where it was. */
        waits(core, pool, PH_POOL_UNASSIGNED, "waits for %s, which has the newest data and is %s",
            home->row.name, core_node_state_word(home));
        return;
    }
    if (paused(core, pool))
        return;
    equal_copies(core, pool, &choice);
    if (assign_among(core, pool, &choice, reason, sizeof reason))
        return;
    if (choice.count == 0 && !choice.slot_full &&
        (home_is_gone(home) || pool->data_loss_accepted) &&
        assign_freshest(core, pool, &choice, reason, sizeof reason))
        return;
    schedule_waits(core, pool, home, &choice, reason);
}

/* One that has no data yet, or whose data is wherever it goes. */
static void schedule_new(struct ph_core *core, struct core_pool *pool)
{
    struct ph_place_question question = {.pool = &pool->row};
    struct core_node *last = core_find_node(core, pool->row.home);
    char reason[PH_TEXT_BYTES_MAX + 1] = "";
    long index;

    if (last != NULL && !core_node_settled(core, last)) {
        if (core_node_available(last) && !given_up(pool, last->row.name))
            core_assign(core, pool, last, "it was placed there before");
        else
            unsettled(core, pool, last);
        return;
    }
    if (paused(core, pool))
        return;
    for (size_t i = 0; i < pool->failed_on.count; i++) {
        struct core_node *node = core_find_node(core, pool->failed_on.items[i]);

        if (node != NULL)
            core_picture_available(core, node, false);
    }
    index = core_choose(core, &question, reason, sizeof reason);
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
    core_copy_aged(core, peer, 0);
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
    if (pool->row.created && !core_data_is_shared(&pool->row))
        schedule_with_data(core, pool);
    else
        schedule_new(core, pool);
}
