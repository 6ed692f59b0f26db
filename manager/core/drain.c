/*
 * Emptying a node: one child move per pool, some at a time, planned together so that no target is
 * piled upon. Ended only when the node's own reports say that nothing of any pool runs there.
 */
#include "manager/core/internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void core_drain_dirty(struct ph_core *core, struct core_job *drain)
{
    (void)core;
    drain->dirty = true;
}

void core_drain_again(struct ph_core *core, struct core_job *drain)
{
    drain->child_next = 0;
    core_drain_dirty(core, drain);
}

void core_drain_child(struct ph_core *core, struct core_job *drain, struct core_job *child)
{
    if (drain->child_count == drain->child_room) {
        size_t room = drain->child_room == 0 ? 16 : drain->child_room * 2;
        struct core_job **children = realloc(drain->children, room * sizeof(struct core_job *));

        if (children == NULL) {
            core->no_memory = true;
            return;
        }
        drain->children = children;
        drain->child_room = room;
    }
    drain->children[drain->child_count++] = child;
    drain->child_ended += core_job_ended(child);
    drain->child_running += child->row.state == PH_JOB_RUNNING;
    drain->dirty = true;
}

/* ---- planning ---- */
struct copies_context {
    const struct ph_core *core;
    struct ph_place_copy copies[PH_COPIES_MAX * 4];
};

static size_t copies_of(void *context, const char *pool, const struct ph_place_copy **copies_out)
{
    struct copies_context *with = context;
    const struct core_pool *found = core_find_pool(with->core, pool);

    *copies_out = with->copies;
    return found == NULL ? 0
                         : core_pool_copies(with->core, found, with->copies,
                               sizeof with->copies / sizeof with->copies[0]);
}

static void drain_plan(
    struct ph_core *core, const struct core_node *node, struct ph_planned_move_list *plan)
{
    struct copies_context context = {.core = core};
    struct ph_place_copies_of copies = {.context = &context, .copies = copies_of};

    if (ph_place_drain(&core->cluster, node->row.name, &copies, plan) == -ENOMEM)
        core->no_memory = true;
}

static void plan_fini(struct ph_planned_move_list *plan)
{
    for (size_t i = 0; i < plan->count; i++)
        ph_record_fini(&ph_record_planned_move, &plan->items[i]);
    free(plan->items);
    *plan = (struct ph_planned_move_list){0};
}

static bool leaves(const struct core_pool *pool, const struct core_node *node)
{
    return strcmp(pool->row.node, node->row.name) == 0 && pool->row.desired == PH_DESIRED_ACTIVE &&
           pool->job == NULL;
}

struct core_job *core_drain_begin(struct ph_core *core, struct core_node *node,
    enum ph_job_kind kind, int64_t max_parallel, int64_t deadline_s, const char *who,
    const struct ph_planned_move_list *given)
{
    struct ph_planned_move_list plan = {0};
    const struct ph_planned_move_list *moves = given;
    struct core_job *job = core_job_new(core, kind, NULL, node, who);

    if (job == NULL)
        return NULL;
    job->row.max_parallel = max_parallel > 0 ? max_parallel : core->config.moves_parallel;
    if (deadline_s > 0) {
        job->row.deadline_at = core->wall_ms + 1000 * deadline_s;
        core_timer_set(core, &job->timer, core->now_ms + 1000 * (uint64_t)deadline_s);
    }
    core_job_set_state(core, job, PH_JOB_RUNNING);
    core_node_admin(
        core, node, PH_ADMIN_DRAINING, "job %lld moves its pools away", (long long)job->row.id);
    if (moves == NULL) {
        drain_plan(core, node, &plan);
        moves = &plan;
    }
    for (size_t i = 0; i < moves->count && !core->no_memory; i++) {
        struct core_pool *pool = core_find_pool(core, moves->items[i].pool);

        if (pool != NULL && leaves(pool, node))
            core_move_begin(core, pool, moves->items[i].to, job, who);
    }
    plan_fini(&plan);
    return job;
}

/* A pool on a draining node that has no move: it was busy when the drain began, or its move ended
 * without its aim. */
void core_drain_adopt(struct ph_core *core, struct core_pool *pool)
{
    struct core_node *node = core_find_node(core, pool->row.node);

    if (node == NULL || node->drain == NULL || node->drain->row.cancelling || !leaves(pool, node))
        return;
    core_move_begin(core, pool, NULL, node->drain, node->drain->row.who);
}

/* ---- the steps ---- */
static void start_children(struct ph_core *core, struct core_job *drain)
{
    while ((int64_t)drain->child_running < drain->row.max_parallel &&
           drain->child_next < drain->child_count) {
        struct core_job *child = drain->children[drain->child_next++];
        struct core_pool *pool = core_find_pool(core, child->row.pool);

        if (core_job_ended(child) || child->row.state != PH_JOB_QUEUED ||
            core->now_ms < child->retry_ms || pool == NULL || pool->row.state != PH_POOL_ACTIVE)
            continue;
        core_job_set_state(core, child, PH_JOB_RUNNING);
        core_pool_dirty(core, pool);
    }
}

static void cancel_children(struct ph_core *core, struct core_job *drain)
{
    if (drain->children_told)
        return;
    drain->children_told = true;
    for (size_t i = 0; i < drain->child_count; i++) {
        struct core_job *child = drain->children[i];
        struct core_pool *pool = core_find_pool(core, child->row.pool);

        if (core_job_ended(child) || child->row.cancelling || pool == NULL ||
            (child->row.phase != PH_PHASE_PLANNED && child->row.phase != PH_PHASE_COPYING))
            continue;
        child->row.cancelling = true;
        core_job_touch(core, child);
        core_pool_dirty(core, pool);
    }
}

static bool quiet(enum ph_local_state state)
{
    return state == PH_LOCAL_NONE || state == PH_LOCAL_COPY || state == PH_LOCAL_RELEASED;
}

/* A pool whose newest data is only on a node that is to be forgotten finds another home, or holds it. */
static bool home_elsewhere(struct ph_core *core, struct core_pool *pool)
{
    struct core_peer *home = core_find_peer(pool, pool->row.home);

    for (size_t i = 0; home != NULL && core_copy_usable(home) && i < pool->peers.count; i++) {
        struct core_peer *peer = pool->peers.items[i].value;

        if (peer == home || !core_copy_usable(peer) || peer->row.epoch != home->row.epoch ||
            peer->row.sequence < home->row.sequence)
            continue;
        memcpy(pool->row.home, peer->row.node, sizeof pool->row.home);
        pool->holders_due = true;
        core_pool_touch(core, pool);
        return true;
    }
    return !pool->row.created;
}

/* Whether nothing of any pool runs there any more; else says what does. */
static bool node_empty(struct ph_core *core, struct core_job *drain, struct core_node *node)
{
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;
        struct core_pool *pool = peer->pool;

        if (strcmp(pool->row.node, node->row.name) == 0) {
            core_job_wait(core, drain, "%s, which is %s on %s", pool->row.name,
                ph_enum_word(&ph_enum_pool_state, (int)pool->row.state), node->row.name);
            return false;
        }
        if (peer->reported && !quiet(peer->report.state)) {
            core_job_wait(core, drain, "%s, of which %s still says %s", pool->row.name,
                node->row.name, ph_enum_word(&ph_enum_local_state, (int)peer->report.state));
            return false;
        }
        if (!peer->reported && node->row.granting) { /* it has not spoken to this manager yet */
            core_job_wait(core, drain, "%s to report what it has", node->row.name);
            return false;
        }
        if (drain->row.kind == PH_JOB_RETIRE && pool->row.node[0] == '\0' &&
            strcmp(pool->row.home, node->row.name) == 0 && !home_elsewhere(core, pool)) {
            core_job_wait(core, drain,
                "%s, whose newest data is on %s alone: start it, give it copies, or remove it",
                pool->row.name, node->row.name);
            return false;
        }
    }
    return true;
}

static void drain_done(struct ph_core *core, struct core_job *drain, struct core_node *node)
{
    char name[PH_NAME_BYTES_MAX + 1];

    memcpy(name, node->row.name, sizeof name);
    if (drain->row.kind == PH_JOB_DRAIN) {
        core_node_admin(core, node, PH_ADMIN_MAINTENANCE,
            "drained by job %lld: nothing of any "
            "pool runs here",
            (long long)drain->row.id);
        core_job_end(
            core, drain, PH_JOB_SUCCEEDED, "nothing of any pool runs on %s any more", name);
        return;
    }
    core_node_admin(core, node, PH_ADMIN_RETIRED, "retired by job %lld", (long long)drain->row.id);
    core_job_end(core, drain, PH_JOB_SUCCEEDED, "%s was drained and is forgotten", name);
    core_identity_revoke(core, name);
    core_node_forget(core, node);
}

static void drain_stopped(struct ph_core *core, struct core_job *drain, struct core_node *node)
{
    bool late = drain->row.deadline_at != 0 && core->wall_ms >= drain->row.deadline_at;

    core_node_admin(core, node, PH_ADMIN_ACTIVE, "job %lld %s", (long long)drain->row.id,
        late ? "ran out of time" : "was cancelled");
    core_job_end(core, drain, late ? PH_JOB_FAILED : PH_JOB_CANCELLED, "%s",
        late ? "its deadline has passed; what had not begun to move stays"
             : "cancelled; what had not begun to move stays");
}

void core_drain_step(struct ph_core *core, struct core_job *drain)
{
    struct core_node *node = core_find_node(core, drain->row.node);

    if (core_job_ended(drain))
        return;
    if (node == NULL) {
        core_job_end(core, drain, PH_JOB_FAILED, "%s is gone", drain->row.node);
        return;
    }
    if (drain->row.deadline_at != 0 && core->wall_ms >= drain->row.deadline_at &&
        !drain->row.cancelling) {
        drain->row.cancelling = true;
        core_job_touch(core, drain);
    }
    if (drain->row.cancelling)
        cancel_children(core, drain);
    else
        start_children(core, drain);
    if (drain->child_count > 0)
        core_job_progress(core, drain, (int64_t)(drain->child_ended * 100 / drain->child_count));
    if (drain->child_ended < drain->child_count) {
        core_job_wait(core, drain, "%zu of %zu moves", drain->child_count - drain->child_ended,
            drain->child_count);
        return;
    }
    if (drain->row.cancelling)
        drain_stopped(core, drain, node);
    else if (node_empty(core, drain, node))
        drain_done(core, drain, node);
}

/* ---- requests ---- */
/* Answers when it may not be drained. */
static bool drain_refused(struct ph_core *core, const struct ph_event_in *in,
    const struct core_node *node, const char *name)
{
    if (node == NULL)
        core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", name);
    else if (node->drain != NULL)
        core_problem(core, in, PH_STATE_FORBIDS, "node", "job %lld (%s) is emptying %s already",
            (long long)node->drain->row.id, core_job_kind_word(node->drain), name);
    else
        return false;
    return true;
}

int ph_request_drain(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_drain *asked = in->body;
    struct core_node *node = core_find_node(core, asked->node);
    struct ph_plan plan = {.complete = true};
    struct core_job *job;

    if (drain_refused(core, in, node, asked->node))
        return 0;
    if (node->row.admin == PH_ADMIN_MAINTENANCE || node->row.admin == PH_ADMIN_RETIRED)
        return core_problem(core, in, PH_STATE_FORBIDS, "node", "%s is in %s already", asked->node,
            ph_enum_word(&ph_enum_node_admin, (int)node->row.admin));
    drain_plan(core, node, &plan.moves);
    for (size_t i = 0; i < plan.moves.count; i++)
        plan.complete &= plan.moves.items[i].to[0] != '\0';
    if (!asked->dry_run) {
        job = core_drain_begin(core, node, PH_JOB_DRAIN, asked->max_parallel, asked->deadline_s,
            in->sender, &plan.moves);
        plan.job = job == NULL ? 0 : job->row.id;
        core_command(core, in, &(struct core_about){.node = node, .job_id = plan.job},
            "drain %s: %zu pools to move", asked->node, plan.moves.count);
    }
    core_set_text_long(core, &plan.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_PLAN, &plan);
    return 0;
}

int ph_request_retire(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    struct core_node *node = core_find_node(core, asked->name);
    struct core_job *job;

    if (drain_refused(core, in, node, asked->name))
        return 0;
    job = core_drain_begin(core, node, PH_JOB_RETIRE, 0, 0, in->sender, NULL);
    if (job == NULL)
        return 0;
    core_command(
        core, in, &(struct core_about){.node = node, .job = job}, "retire %s", asked->name);
    core_answer_done(core, in, job->row.id,
        "%s is drained, then its key is revoked and it is forgotten", asked->name);
    return 0;
}

int ph_request_resume(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    struct core_node *node = core_find_node(core, asked->name);

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no node %s", asked->name);
    if (node->drain != NULL)
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "job %lld is emptying %s; cancel it with `poolherd job cancel %lld`",
            (long long)node->drain->row.id, asked->name, (long long)node->drain->row.id);
    node->row.failures = 0;
    node->row.quarantined_until = 0;
    core_node_admin(core, node, PH_ADMIN_ACTIVE, "resumed by %s", in->sender);
    core_node_touch(core, node);
    core_node_decay_arm(core, node);
    core_node_pools_dirty(core, node);
    core_command(core, in, &(struct core_about){.node = node}, "resume %s", asked->name);
    core_answer_done(core, in, 0, "%s may be given pools again%s", asked->name,
        node->row.state == PH_NODE_ONLINE ? "" : " when it is online");
    return 0;
}
