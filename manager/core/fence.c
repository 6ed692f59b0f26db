/*
 * Proving that a node is off: by its fence devices, or by an operator who says so by name.
 */
#include "manager/core/internal.h"

#include <string.h>

static int fence_by_word(
    struct ph_core *core, const struct ph_event_in *in, struct core_node *node, bool dry_run)
{
    char why[PH_TEXT_BYTES_MAX + 1];

    if (node->row.state == PH_NODE_ONLINE)
        return core_problem(core, in, PH_STATE_FORBIDS, "confirm_dead",
            "%s was heard %lld ms ago, so it is not off; drain it, or use its fence device",
            node->row.name, (long long)core_last_seen_ms(core, node));
    if (dry_run) {
        core_answer_done(core, in, 0, "%s would count as dead and its pools would be taken over",
            node->row.name);
        return 0;
    }
    core_command(core, in, &(struct core_about){.node = node}, "%s swears that %s is off",
        in->sender, node->row.name);
    ph_text_format(why, sizeof why, "%s said that it is off", in->sender);
    core_node_taken(core, node, PH_PROOF_CONFIRMED, why);
    core_answer_done(core, in, 0, "%s counts as dead; its pools are taken over", node->row.name);
    return 0;
}

/* Also after a restart of the manager: switching off what is off does no harm. */
void core_fence_resume(struct ph_core *core, struct core_job *job)
{
    struct core_node *node = core_find_node(core, job->row.node);

    if (node == NULL) {
        core_job_end(core, job, PH_JOB_FAILED, "the node is gone");
        return;
    }
    node->fence = job;
    node->fence_generation = node->row.generation;
    core_job_set_state(core, job, PH_JOB_RUNNING);
    core_job_wait(core, job, "the fence device of %s", node->row.name);
    core_fence(core, node->row.name);
}

int ph_request_fence(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_fence *asked = in->body;
    struct core_node *node = core_find_node(core, asked->node);
    struct core_job *job;

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", asked->node);
    if (node->row.state == PH_NODE_FENCED)
        return core_problem(
            core, in, PH_STATE_FORBIDS, "node", "%s is fenced already", asked->node);
    if (asked->confirm_dead[0] != '\0' && strcmp(asked->confirm_dead, asked->node) != 0)
        return core_problem(core, in, PH_BAD_INPUT, "confirm_dead",
            "it must repeat the node's name, %s", asked->node);
    if (asked->confirm_dead[0] != '\0')
        return fence_by_word(core, in, node, asked->dry_run);
    if (node->fence != NULL)
        return core_problem(core, in, PH_STATE_FORBIDS, "node", "job %lld is fencing %s already",
            (long long)node->fence->row.id, asked->node);
    if (asked->dry_run) {
        core_answer_done(core, in, 0,
            "the fence device of %s would be told to switch it off, and its pools would be taken "
            "over",
            asked->node);
        return 0;
    }
    job = core_job_new(core, PH_JOB_FENCE, NULL, node, in->sender);
    if (job == NULL)
        return 0;
    core_command(core, in, &(struct core_about){.node = node, .job = job}, "fence %s", asked->node);
    core_fence_resume(core, job);
    core_answer_done(
        core, in, job->row.id, "the fence device of %s is asked to switch it off", asked->node);
    return 0;
}

void core_fence_done(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_node *node = core_find_node(core, in->sender);
    struct core_job *job = node == NULL ? NULL : node->fence;
    const char *text = in->fence_text == NULL ? "no reason given" : in->fence_text;
    char why[PH_TEXT_BYTES_MAX + 1];

    if (job == NULL)
        return;
    if (!in->fence_confirmed) {
        core_job_end(core, job, PH_JOB_FAILED, "not confirmed to be off: %s", text);
        return;
    }
    if (node->row.generation != node->fence_generation) {
        /* Off it was, but it has come back since and been admitted anew: what it runs now is its own. */
        core_job_end(core, job, PH_JOB_FAILED, "%s was switched off, and came back meanwhile",
            node->row.name);
        return;
    }
    job->row.proof = PH_PROOF_FENCED;
    ph_text_format(why, sizeof why, "its fence device confirmed that it is off: %s", text);
    core_job_end(core, job, PH_JOB_SUCCEEDED, "%s is off: %s", node->row.name, text);
    if (node->row.state != PH_NODE_FENCED)
        core_node_taken(core, node, PH_PROOF_FENCED, why);
}
