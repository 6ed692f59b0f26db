/*
 * Taking over a pool whose node was lost or fenced. The job tells the story; schedule.c chooses the
 * copy and the node, as for every pool without one.
 */
#include "manager/core/internal.h"

#include <string.h>

static void slot_free(struct ph_core *core, struct core_job *job)
{
    struct core_node *target = core_find_node(core, job->row.target);

    if (job->slot && target != NULL) {
        target->takeovers--;
        core->attention = true;
    }
    job->slot = false;
}

static void again(struct ph_core *core, struct core_job *job)
{
    slot_free(core, job);
    core_job_target(core, job, "");
    core_job_phase(core, job, PH_PHASE_PLANNED);
    core_job_set_state(core, job, PH_JOB_QUEUED);
}

/* What is under way on the pool when its node is lost. Returns whether a take-over is to begin. */
static bool interrupt(struct ph_core *core, struct core_pool *pool, const struct core_node *node)
{
    struct core_job *job = pool->job;

    if (job == NULL)
        return true;
    switch (job->row.kind) {
    case PH_JOB_TAKEOVER:
        again(core, job);
        core_job_reason(core, job, "%s was lost while it activated the pool", node->row.name);
        return false;
    case PH_JOB_MOVE:
    case PH_JOB_START:
        if (job->down_ms != 0 && pool->down_ms == 0)
            pool->down_ms = job->down_ms;
        core_job_end(core, job, job->row.cancelling ? PH_JOB_CANCELLED : PH_JOB_FAILED,
            "%s was lost: a take-over goes on from here", node->row.name);
        return true;
    case PH_JOB_STOP:
    case PH_JOB_REMOVE:
    case PH_JOB_DRAIN:
    case PH_JOB_FENCE:
    case PH_JOB_RETIRE:
    case PH_JOB_VERIFY:
    case PH_JOB_VM:
        break;
    }
    return false;
}

/* The job that tells the story; NULL when there is nothing to tell, or no memory. */
static struct core_job *begin(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, enum ph_proof proof)
{
    struct core_job *job;

    if (!interrupt(core, pool, node) || pool->row.desired != PH_DESIRED_ACTIVE)
        return NULL;
    job = core_job_new(core, PH_JOB_TAKEOVER, pool, node, "");
    if (job == NULL)
        return NULL;
    job->row.proof = proof;
    if (node->heard)
        job->row.silent_at = core->wall_ms - (int64_t)(core->now_ms - node->beat_ms);
    job->down_ms = pool->down_ms;
    core_event(core, PH_EVENT_WARNING, "takeover-begun",
        &(struct core_about){.pool = pool, .node = node, .job = job},
        "%s was last heard %llu ms ago; proof that it runs nothing: %s", node->row.name,
        (unsigned long long)(core->now_ms - node->beat_ms),
        ph_enum_word(&ph_enum_proof, (int)proof));
    return job;
}

void core_takeover_pool(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, enum ph_proof proof)
{
    begin(core, pool, node, proof);
    pool->lost_ms = core->now_ms;
    core_unassign(core, pool, proof, true,
        proof == PH_PROOF_EXPIRED ? "its node was lost" : "its node was fenced");
}

void core_takeover_home(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, enum ph_proof proof)
{
    if (!pool->row.created || pool->row.desired != PH_DESIRED_ACTIVE || pool->job != NULL)
        return;
    begin(core, pool, node, proof);
    pool->lost_ms = core->now_ms;
    core_pool_dirty(core, pool);
}

void core_takeover_assigned(struct ph_core *core, struct core_pool *pool, int64_t loss_ms)
{
    struct core_job *job = pool->job;
    struct core_node *target = core_find_node(core, pool->row.node);
    const struct core_peer *peer = core_find_peer(pool, pool->row.node);
    struct core_about about = {.pool = pool, .node = target, .job = job};
    /* The candidate before has made its copy the pool's data, and gave it up again: what was lost on the
     * way to it stays lost. */
    bool further = pool->row.created && strcmp(pool->row.home, job->row.node) != 0;

    slot_free(core, job); /* of the candidate before */
    core_job_target(core, job, pool->row.node);
    job->slot = true;
    target->takeovers++;
    if (further && (loss_ms < 0 || job->row.data_loss_ms < 0))
        job->row.data_loss_ms = -1;
    else
        job->row.data_loss_ms = loss_ms + (further ? job->row.data_loss_ms : 0);
    if (!further)
        job->row.copy_epoch = job->row.copy_sequence = 0;
    if (core_copy_usable(peer) && strcmp(pool->row.home, target->row.name) != 0) {
        job->row.copy_epoch = peer->row.epoch;
        job->row.copy_sequence = peer->row.sequence;
    }
    core_job_phase(core, job, PH_PHASE_ACTIVATING);
    core_job_set_state(core, job, PH_JOB_RUNNING);
    core_job_progress(core, job, 50);
    core_job_touch(core, job);
    if (!pool->row.created)
        core_event(core, PH_EVENT_INFO, "takeover-target", &about,
            "%s gets it; it had never been active, so there is no data to lose", target->row.name);
    else if (loss_ms == 0)
        core_event(core, PH_EVENT_INFO, "takeover-target", &about,
            "%s gets it: its data there is the newest", target->row.name);
    else if (loss_ms < 0)
        core_event(core, PH_EVENT_WARNING, "takeover-target", &about,
            "%s gets it: copy %lld of epoch %lld, whose age is not known", target->row.name,
            (long long)peer->row.sequence, (long long)peer->row.epoch);
    else
        core_event(core, PH_EVENT_INFO, "takeover-target", &about,
            "%s gets it: copy %lld of epoch %lld, which was %lld ms old", target->row.name,
            (long long)peer->row.sequence, (long long)peer->row.epoch, (long long)loss_ms);
}

void core_takeover_loss(struct ph_core *core, struct core_pool *pool, int64_t loss_ms)
{
    struct core_job *job = pool->job;
    struct core_node *target = core_find_node(core, pool->row.node);
    char loss[48] = "its age is not known";

    if (loss_ms == 0 || !pool->row.created)
        return;
    if (loss_ms > 0)
        ph_text_format(loss, sizeof loss, "%lld ms old", (long long)loss_ms);
    if (job != NULL) {
        job->row.data_loss_ms = loss_ms;
        core_job_touch(core, job);
    }
    core_event(core, PH_EVENT_WARNING, "data-lost",
        &(struct core_about){.pool = pool, .node = target, .job = job},
        "%s goes on from an older copy: %s", target->row.name, loss);
}

void core_takeover_step(struct ph_core *core, struct core_job *job, struct core_pool *pool)
{
    if (job->row.phase == PH_PHASE_ACTIVATING && pool->row.node[0] == '\0')
        again(core, job);
    if (pool->row.node[0] != '\0' && core_confirmed(pool)) {
        uint64_t down_ms = job->down_ms != 0 ? job->down_ms : pool->down_ms;

        if (down_ms != 0)
            job->row.downtime_ms = (int64_t)(core->now_ms - down_ms);
        pool->down_ms = 0;
        core_job_end(core, job, PH_JOB_SUCCEEDED,
            "active on %s; %lld ms without the pool, %lld ms of data lost", pool->row.node,
            (long long)job->row.downtime_ms, (long long)job->row.data_loss_ms);
    } else if (pool->row.node[0] == '\0' && pool->row.desired == PH_DESIRED_INACTIVE) {
        core_job_end(core, job, PH_JOB_CANCELLED, "the pool is to be inactive");
    } else if (pool->row.state == PH_POOL_FAILED) {
        core_job_end(core, job, PH_JOB_FAILED, "%s",
            pool->row.reason == NULL ? "no candidate is left" : pool->row.reason);
    }
}
