/*
 * A planned move, phase by phase (docs/conversation.md, rule 25). Each step looks at what is durable
 * and at the newest reports, so that it may be taken any number of times and after any restart.
 *
 *   planned ──> copying ──> stopping ──> activating ──> done
 *      ^ └─────────┴── cancelled: nothing happened
 *      │                      │             │ the target reports failed, and releases
 *      │                      v             v
 *      └─── child of a drain ─ returning <──┘   back on the source under a new epoch
 *
 * A source or target that is lost ends the move: the take-over goes on from there.
 */
#include "manager/core/internal.h"

#include <string.h>

#define COPY_FAILURES_MAX 5
#define RETRY_MS 2000u

static bool is_child(const struct core_job *job)
{
    return job->row.parent != 0;
}

long core_move_choose(struct ph_core *core, struct core_pool *pool, const char *only, char *reason,
    size_t reason_size)
{
    struct ph_place_copy copies[PH_COPIES_MAX * 4];
    struct ph_place_question question = {.pool = &pool->row,
        .copies = copies,
        .copy_count = core_pool_copies(core, pool, copies, sizeof copies / sizeof copies[0]),
        .from = pool->row.node,
        .only = only};
    struct core_job *job = pool->job;
    struct core_peer *held = NULL;
    long index;

    /* The place it holds already must not count against it. */
    if (job != NULL && job->row.kind == PH_JOB_MOVE)
        held = core_find_peer(pool, job->row.target);
    if (held != NULL && held->held)
        core_unaccount(core, held);
    index = core_choose(core, &question, reason, reason_size);
    core_account(core, pool);
    return index;
}

static void phase(struct ph_core *core, struct core_job *job, enum ph_job_phase next)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);

    core_job_phase(core, job, next);
    core_event(core, PH_EVENT_INFO, "move-phase", &(struct core_about){.pool = pool, .job = job},
        "%s: %s -> %s", ph_enum_word(&ph_enum_job_phase, (int)next), job->row.node,
        job->row.target);
    core_pool_dirty(core, pool);
}

/* A drain's move that did not come off is planned again, later; another one ends. */
static void give_up(struct ph_core *core, struct core_job *job, const char *reason)
{
    struct core_job *drain = is_child(job) ? core_find_job(core, job->row.parent) : NULL;

    if (job->row.cancelling || (drain != NULL && drain->row.cancelling)) {
        core_job_end(core, job, PH_JOB_CANCELLED, "%s", reason);
        return;
    }
    if (drain == NULL || core_job_ended(drain)) {
        core_job_end(core, job, PH_JOB_FAILED, "%s", reason);
        return;
    }
    job->attempts++;
    job->retry_ms = core->now_ms + RETRY_MS * (uint64_t)(job->attempts > 15 ? 15 : job->attempts);
    core_timer_set(core, &job->timer, job->retry_ms);
    core_job_target(core, job, "");
    phase(core, job, PH_PHASE_PLANNED);
    core_job_set_state(core, job, PH_JOB_QUEUED);
    core_job_progress(core, job, 0);
    core_job_reason(core, job, "%s", reason);
    core_job_wait(core, job, "another attempt: %s", reason);
    core_drain_dirty(core, drain);
}

/* ---- planned ---- */
static void begin_copying(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    struct core_peer *peer = core_find_peer(pool, job->row.target);

    if (peer == NULL)
        return;
    peer->progress = 0;
    peer->urgent = job->urgent = core_next_urgent(core);
    core_job_set_state(core, job, PH_JOB_RUNNING);
    core_job_wait(core, job, "%s to get a copy", job->row.target);
    phase(core, job, PH_PHASE_COPYING);
}

static void step_planned(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    const char *only = job->row.target[0] != '\0' ? job->row.target : NULL;
    char reason[PH_TEXT_BYTES_MAX + 1];
    long index;

    if (is_child(job) && job->row.state == PH_JOB_QUEUED)
        return; /* its drain gives it a slot */
    if (pool->row.state != PH_POOL_ACTIVE) {
        core_job_wait(core, job, "the pool, which is %s",
            ph_enum_word(&ph_enum_pool_state, (int)pool->row.state));
        return;
    }
    if (core->now_ms < job->retry_ms) {
        core_timer_set(core, &job->timer, job->retry_ms);
        return;
    }
    index = core_move_choose(core, pool, only, reason, sizeof reason);
    if (index < 0 && only != NULL && is_child(job))
        index = core_move_choose(core, pool, NULL, reason, sizeof reason);
    if (index < 0) {
        if (is_child(job))
            core_job_target(core, job, "");
        core_job_set_state(core, job, PH_JOB_QUEUED);
        core_job_step(core, job, "a place: %s", reason);
        core_want(core, pool);
        return;
    }
    core_job_target(core, job, core->nodes.items[index].key);
    begin_copying(core, job, pool);
}

/* ---- copying ---- */
static const char *unfit(const struct ph_core *core, const struct core_job *job)
{
    const struct core_node *target = core_find_node(core, job->row.target);

    if (target == NULL)
        return "is gone";
    if (target->row.state == PH_NODE_LOST || target->row.state == PH_NODE_FENCED ||
        target->row.state == PH_NODE_JOINING)
        return core_node_state_word(target);
    if (target->row.admin != PH_ADMIN_ACTIVE)
        return ph_enum_word(&ph_enum_node_admin, (int)target->row.admin);
    return NULL;
}

static void step_copying(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    struct core_peer *peer = core_find_peer(pool, job->row.target);
    const char *why = unfit(core, job);
    char text[PH_TEXT_BYTES_MAX + 1];

    if (why != NULL || peer == NULL) {
        ph_text_format(text, sizeof text, "its target %s became unfit (%s); nothing has happened",
            job->row.target, why == NULL ? "gone" : why);
        give_up(core, job, text);
        return;
    }
    if (job->urgent == 0 || peer->urgent < job->urgent) /* after a restart of the manager */
        peer->urgent = job->urgent = core_next_urgent(core);
    if (!core_data_is_shared(&pool->row) && peer->urgent_done < job->urgent) {
        const char *failing = peer->row.reason == NULL ? "" : peer->row.reason;

        core_job_progress(core, job, peer->progress / 2);
        core_job_wait(core, job, "%s to get a copy%s%s", job->row.target,
            failing[0] == '\0' ? "" : ": ", failing);
        return;
    }
    if (pool->row.state != PH_POOL_ACTIVE)
        return; /* it is not begun while its node is silent */
    job->copy_failures = 0;
    job->down_ms = 0;
    core_job_progress(core, job, 50);
    core_job_wait(core, job, "%s to stop it", job->row.node);
    phase(core, job, PH_PHASE_STOPPING);
    core_pool_state(core, pool, PH_POOL_DEACTIVATING, "%s stops it: it moves to %s", job->row.node,
        job->row.target);
    job->down_ms = pool->down_ms;
}

/* ---- stopping ---- */
static void return_to_source(struct ph_core *core, struct core_job *job, struct core_pool *pool,
    struct core_node *source, const char *reason)
{
    core_job_reason(core, job, "%s", reason);
    core_job_wait(core, job, "%s to activate it again", source->row.name);
    phase(core, job, PH_PHASE_RETURNING);
    core_assign(core, pool, source, reason);
}

static bool target_has_last_copy(const struct core_peer *source, const struct core_peer *target)
{
    return core_copy_usable(target) && source->report.data_epoch > 0 &&
           source->report.data_sequence > 0 && target->row.epoch == source->report.data_epoch &&
           target->row.sequence == source->report.data_sequence;
}

static void switch_over(struct ph_core *core, struct core_job *job, struct core_pool *pool,
    struct core_peer *source, struct core_node *target)
{
    int64_t epoch = source->report.data_epoch, sequence = source->report.data_sequence;

    core_unassign(core, pool, PH_PROOF_RELEASED, true, "released for its move");
    /* What the source has is exactly what the target starts from: the best copy there is. */
    if (!core_data_is_shared(&pool->row)) {
        source->row.state = PH_REPLICA_COMPLETE;
        source->row.epoch = epoch;
        source->row.sequence = sequence;
        core_copy_aged(core, source, 0);
        core_peer_touch(core, source);
    }
    job->row.proof = PH_PROOF_RELEASED;
    core_job_progress(core, job, 75);
    core_job_wait(core, job, "%s to activate it", job->row.target);
    phase(core, job, PH_PHASE_ACTIVATING);
    core_assign(core, pool, target, "moved there");
}

static void step_stopping(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    struct core_node *source = core_find_node(core, job->row.node);
    struct core_node *target = core_find_node(core, job->row.target);
    struct core_peer *from = core_find_peer(pool, job->row.node);
    struct core_peer *to = core_find_peer(pool, job->row.target);
    const char *why = unfit(core, job);
    char text[PH_TEXT_BYTES_MAX + 1];

    if (job->row.cancelling || why != NULL || to == NULL ||
        job->copy_failures >= COPY_FAILURES_MAX) {
        if (source->row.state != PH_NODE_ONLINE)
            return; /* the take-over decides, or it comes back */
        if (job->row.cancelling)
            ph_text_format(text, sizeof text, "cancelled while %s stopped it", source->row.name);
        else if (why != NULL || to == NULL)
            ph_text_format(text, sizeof text, "its target %s became unfit (%s)", job->row.target,
                why == NULL ? "gone" : why);
        else
            ph_text_format(text, sizeof text, "the last copy to %s failed: %s", job->row.target,
                to->row.reason == NULL ? "no reason given" : to->row.reason);
        return_to_source(core, job, pool, source, text);
        return;
    }
    if (core_released(core, pool)) {
        if (!core_data_is_shared(&pool->row) && !target_has_last_copy(from, to)) {
            core_job_step(core, job, "%s to confirm the last copy", job->row.target);
            return;
        }
        if (target->row.state == PH_NODE_ONLINE)
            switch_over(core, job, pool, from, target);
        else
            core_job_wait(
                core, job, "%s, which is %s", job->row.target, core_node_state_word(target));
        return;
    }
    if (from->reported && from->report.state == PH_LOCAL_STUCK)
        core_job_wait(core, job, "%s, where it is stuck: %s", job->row.node,
            from->report.reason == NULL ? "" : from->report.reason);
    else if (from->reported && from->report.step != NULL)
        core_job_step(core, job, "%s to stop it: %s", job->row.node, from->report.step);
}

/* ---- activating ---- */
static void step_activating(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    uint64_t down_ms = job->down_ms != 0 ? job->down_ms : pool->down_ms;

    if (job->row.cancelling)
        core_job_wait(core, job, "%s to activate it: it is too late to cancel", job->row.target);
    if (!core_confirmed(pool)) {
        struct core_peer *peer = core_find_peer(pool, pool->row.node);

        if (peer != NULL && peer->reported && peer->report.epoch == pool->row.epoch &&
            peer->report.step != NULL)
            core_job_step(core, job, "%s to activate it: %s", job->row.target, peer->report.step);
        return;
    }
    if (down_ms != 0)
        job->row.downtime_ms = (int64_t)(core->now_ms - down_ms);
    pool->down_ms = 0;
    pool->failback_ms = 0;
    core_job_end(core, job, PH_JOB_SUCCEEDED, "moved from %s to %s; %lld ms without the pool",
        job->row.node, job->row.target, (long long)job->row.downtime_ms);
}

void core_move_activation_failed(struct ph_core *core, struct core_job *job, const char *reason)
{
    core_job_reason(core, job, "activation on %s failed: %s", job->row.target, reason);
    core_job_wait(core, job, "%s to release it", job->row.target);
    phase(core, job, PH_PHASE_RETURNING);
}

/* ---- returning ---- */
static void step_returning(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    struct core_node *source = core_find_node(core, job->row.node);
    char reason[PH_TEXT_BYTES_MAX + 1];

    if (strcmp(pool->row.node, job->row.target) == 0 && core_released(core, pool))
        core_unassign(core, pool, PH_PROOF_RELEASED, pool->failed_epoch != pool->row.epoch,
            "released after its activation had failed");
    ph_text_format(reason, sizeof reason, "%s", job->row.reason == NULL ? "" : job->row.reason);
    if (pool->row.node[0] == '\0') {
        if (source == NULL || source->row.state != PH_NODE_ONLINE ||
            strcmp(pool->row.home, job->row.node) != 0) {
            core_job_end(core, job, PH_JOB_FAILED, "%s; and %s could not take it back", reason,
                job->row.node);
            return;
        }
        core_job_wait(core, job, "%s to activate it again", source->row.name);
        core_assign(core, pool, source, "its move failed: back where it was");
        return;
    }
    if (strcmp(pool->row.node, job->row.node) == 0 && core_confirmed(pool)) {
        if (pool->down_ms != 0)
            job->row.downtime_ms = (int64_t)(core->now_ms - pool->down_ms);
        pool->down_ms = 0;
        give_up(core, job, reason);
    }
}

/* ---- any phase ---- */
/* A drain's pool whose node was admitted anew, so that nothing runs there: it goes on there first (schedule.c),
 * unless its data is gone from there. */
static bool comes_back(struct ph_core *core, struct core_job *job, const struct core_pool *pool)
{
    const struct core_node *source = core_find_node(core, job->row.node);

    if (!is_child(job) || pool->row.node[0] != '\0' || strcmp(pool->row.home, job->row.node) != 0 ||
        job->row.cancelling || core_home_empty(pool) ||
        (job->row.phase != PH_PHASE_PLANNED && job->row.phase != PH_PHASE_COPYING) ||
        source == NULL ||
        (source->row.state != PH_NODE_JOINING && source->row.state != PH_NODE_ONLINE))
        return false;
    if (job->row.phase == PH_PHASE_COPYING)
        phase(core, job, PH_PHASE_PLANNED);
    core_job_set_state(core, job, PH_JOB_QUEUED);
    core_job_progress(core, job, 0);
    return true; /* what the pool waits for is said where it is placed */
}

static bool ended_elsewhere(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    const char *at = job->row.phase == PH_PHASE_ACTIVATING ? job->row.target : job->row.node;

    if (job->row.phase == PH_PHASE_RETURNING || strcmp(pool->row.node, at) == 0)
        return false;
    if (job->row.cancelling)
        core_job_end(core, job, PH_JOB_CANCELLED, "cancelled; the pool had left %s by itself", at);
    else if (is_child(job) && strcmp(pool->row.node, job->row.node) != 0 &&
             job->row.phase != PH_PHASE_ACTIVATING)
        core_job_end(core, job, PH_JOB_SUCCEEDED, "the pool left %s by itself", at);
    else
        core_job_end(core, job, PH_JOB_FAILED, "the pool left %s by itself", at);
    return true;
}

void core_move_step(struct ph_core *core, struct core_job *job)
{
    struct core_pool *pool = core_find_pool(core, job->row.pool);

    if (comes_back(core, job, pool) || ended_elsewhere(core, job, pool))
        return;
    if (job->row.cancelling &&
        (job->row.phase == PH_PHASE_PLANNED || job->row.phase == PH_PHASE_COPYING)) {
        core_job_end(core, job, PH_JOB_CANCELLED, "cancelled; nothing had happened");
        return;
    }
    switch (job->row.phase) {
    case PH_PHASE_PLANNED:
        step_planned(core, job, pool);
        break;
    case PH_PHASE_COPYING:
        step_copying(core, job, pool);
        break;
    case PH_PHASE_STOPPING:
        step_stopping(core, job, pool);
        break;
    case PH_PHASE_ACTIVATING:
        step_activating(core, job, pool);
        break;
    case PH_PHASE_RETURNING:
        step_returning(core, job, pool);
        break;
    case PH_PHASE_DONE:
        break;
    }
}

struct core_job *core_move_begin(struct ph_core *core, struct core_pool *pool, const char *target,
    struct core_job *parent, const char *who)
{
    struct core_job *job =
        core_job_new(core, PH_JOB_MOVE, pool, core_find_node(core, pool->row.node), who);

    if (job == NULL)
        return NULL;
    if (parent != NULL) {
        job->row.parent = parent->row.id;
        core_drain_child(core, parent, job);
    }
    if (target != NULL && target[0] != '\0')
        core_job_target(core, job, target);
    core_pool_dirty(core, pool);
    return job;
}

int ph_request_pool_move(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_pool_move *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->pool);
    const char *only = asked->target[0] == '\0' ? NULL : asked->target;
    char reason[PH_TEXT_BYTES_MAX + 1];
    struct ph_planned_move move = {.reason = reason};
    struct ph_plan plan = {.complete = true, .moves = {1, &move}};
    struct core_job *job;
    long index;

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "pool", "there is no pool %s", asked->pool);
    if (only != NULL && core_find_node(core, only) == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "target", "there is no node %s", only);
    if (pool->job != NULL)
        return core_problem(core, in, PH_STATE_FORBIDS, "pool",
            "job %lld (%s) is at work on %s; cancel it, or wait for its end",
            (long long)pool->job->row.id, core_job_kind_word(pool->job), asked->pool);
    if (pool->row.state != PH_POOL_ACTIVE)
        return core_problem(core, in, PH_STATE_FORBIDS, "pool",
            "%s is %s; only an active pool can be moved", asked->pool,
            ph_enum_word(&ph_enum_pool_state, (int)pool->row.state));
    if (only != NULL && strcmp(only, pool->row.node) == 0)
        return core_problem(
            core, in, PH_STATE_FORBIDS, "target", "%s is on %s already", asked->pool, only);
    index = core_move_choose(core, pool, only, reason, sizeof reason);
    if (index < 0)
        return core_problem(core, in, PH_STATE_FORBIDS, only == NULL ? NULL : "target",
            "%s cannot be moved: %s", asked->pool, reason);
    memcpy(move.pool, pool->row.name, sizeof move.pool);
    memcpy(move.from, pool->row.node, sizeof move.from);
    ph_text_format(move.to, sizeof move.to, "%s", core->nodes.items[index].key);
    move.priority = pool->row.priority;
    if (!asked->dry_run) {
        job = core_move_begin(core, pool, move.to, NULL, in->sender);
        if (job == NULL)
            return 0;
        plan.job = job->row.id;
        core_command(core, in, &(struct core_about){.pool = pool, .job = job},
            "move %s from %s to %s", pool->row.name, move.from, move.to);
    }
    core_set_text_long(core, &plan.paused, core_pause_reason(core));
    core_answer(core, in, PH_MSG_PLAN, &plan);
    core_set_text_long(core, &plan.paused, NULL);
    return 0;
}
