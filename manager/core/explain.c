/*
 * Why a pool is where it is, and why on no other node. Pure reading.
 */
#include "manager/core/request.h"

#include <string.h>

#define COPIES_ASKED (PH_COPIES_MAX + 2 + 32) /* holders, home, and former ones still there */

/* The newest job that put the pool where it is. */
static const struct core_job *job_that_put_it(
    const struct ph_core *core, const struct core_pool *pool)
{
    for (size_t i = core->job_count; i > 0; i--) {
        const struct core_job *job = core->jobs[i - 1];

        if (strcmp(job->row.pool, pool->row.name) == 0 && job->row.state == PH_JOB_SUCCEEDED &&
            (job->row.kind == PH_JOB_MOVE || job->row.kind == PH_JOB_TAKEOVER ||
                job->row.kind == PH_JOB_START))
            return job;
    }
    return NULL;
}

static size_t say_job(
    const struct core_pool *pool, const struct core_job *job, char *out, size_t size)
{
    const struct ph_job *row = &job->row;

    if (row->kind == PH_JOB_TAKEOVER)
        return ph_text_format(out, size, "Job %lld took it over from %s (proof: %s)%s%s. ",
            (long long)row->id, row->node[0] != '\0' ? row->node : "its former node",
            ph_enum_word(&ph_enum_proof, (int)row->proof),
            core_text(row->reason)[0] != '\0' ? ": " : "", core_text(row->reason));
    if (row->kind == PH_JOB_MOVE && strcmp(row->target, pool->row.node) == 0)
        return ph_text_format(out, size, "Job %lld%s moved it here from %s%s%s%s%s. ",
            (long long)row->id, row->parent != 0 ? " (of a drain)" : "", row->node,
            row->who[0] != '\0' ? ", asked for by " : "", row->who,
            core_text(row->reason)[0] != '\0' ? ": " : "", core_text(row->reason));
    if (row->kind == PH_JOB_START)
        return ph_text_format(out, size, "Job %lld started it%s%s. ", (long long)row->id,
            row->who[0] != '\0' ? ", asked for by " : "", row->who);
    return 0;
}

/* What the placement thinks of the node it is on. */
static size_t say_candidate(
    const struct ph_candidate_list *list, const struct core_pool *pool, char *out, size_t size)
{
    const struct ph_candidate *here = NULL, *better = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].node, pool->row.node) == 0)
            here = &list->items[i];
    }
    if (here == NULL)
        return 0;
    if (!here->possible)
        return ph_text_format(out, size, "It would not be put there today: %s. ",
            here->reasons.count > 0 ? here->reasons.items[0] : "a rule forbids it");
    for (size_t i = 0; i < list->count; i++) {
        const struct ph_candidate *other = &list->items[i];

        if (other->possible && other->score > here->score &&
            (better == NULL || other->score > better->score))
            better = other;
    }
    if (better != NULL)
        return ph_text_format(out, size,
            "%s would score higher today (%s), but a running pool is not moved for that. ",
            better->node, better->reasons.count > 0 ? better->reasons.items[0] : "better balance");
    return ph_text_format(out, size, "Placement would choose %s again: %s. ", here->node,
        here->reasons.count > 0 ? here->reasons.items[0] : "no other node is better");
}

static void say_why(struct ph_core *core, const struct core_pool *pool,
    const struct ph_candidate_list *list, const char *choice, char **out)
{
    const struct ph_pool *row = &pool->row;
    const struct core_job *job = job_that_put_it(core, pool);
    char text[PH_TEXT_BYTES_MAX + 1];
    const char *node = row->node;
    size_t length;

    if (node[0] != '\0')
        length = ph_text_format(text, sizeof text, "%s is %s on %s under epoch %lld. ", row->name,
            ph_enum_word(&ph_enum_pool_state, (int)row->state), node, (long long)row->epoch);
    else
        length = ph_text_format(text, sizeof text, "%s is %s. ", row->name,
            ph_enum_word(&ph_enum_pool_state, (int)row->state));
    if (core_text(row->reason)[0] != '\0')
        length += ph_text_format(text + length, sizeof text - length, "Reason: %s. ", row->reason);
    if (pool->job != NULL)
        length += ph_text_format(text + length, sizeof text - length,
            "Job %lld (%s, %s) is at work on it%s%s. ", (long long)pool->job->row.id,
            ph_enum_word(&ph_enum_job_kind, (int)pool->job->row.kind),
            ph_enum_word(&ph_enum_job_phase, (int)pool->job->row.phase),
            core_text(pool->job->row.waiting_on)[0] != '\0' ? " and waits for " : "",
            core_text(pool->job->row.waiting_on));
    if (node[0] != '\0' && job != NULL)
        length += say_job(pool, job, text + length, sizeof text - length);
    else if (node[0] != '\0' && row->created && pool->job == NULL)
        length += ph_text_format(text + length, sizeof text - length,
            "No job since the manager's start put it there (poolherd events --pool %s has the "
            "older ones). ",
            row->name);
    if (node[0] != '\0')
        length += say_candidate(list, pool, text + length, sizeof text - length);
    else if (row->desired == PH_DESIRED_INACTIVE)
        length += ph_text_format(text + length, sizeof text - length,
            "It is declared inactive, or was stopped: poolherd pool start %s. ", row->name);
    else
        length += ph_text_format(text + length, sizeof text - length, "Placement: %s. ", choice);
    while (length > 0 && text[length - 1] == ' ')
        text[--length] = '\0';
    core_set_text(core, out, "%s", text);
}

int ph_request_pool_explain(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    const struct core_pool *pool = core_find_pool(core, asked->name);
    struct ph_place_copy copies[COPIES_ASKED];
    struct ph_explanation answer = {0};
    char choice[PH_TEXT_BYTES_MAX + 1] = "";

    if (pool == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no pool %s", asked->name);
    struct ph_place_question question = {
        .pool = &pool->row,
        .copies = copies,
        .copy_count = core_pool_copies(core, pool, copies, COPIES_ASKED),
        .data_needed = pool->row.created && pool->row.node[0] == '\0',
    };

    if (ph_place_explain(&core->cluster, &question, &answer.candidates) != 0)
        core->no_memory = true;
    if (pool->row.node[0] == '\0')
        ph_place_choose(&core->cluster, &question, choice, sizeof choice);
    ph_text_format(answer.pool, sizeof answer.pool, "%s", pool->row.name);
    ph_text_format(answer.node, sizeof answer.node, "%s", pool->row.node);
    answer.state = pool->row.state;
    say_why(core, pool, &answer.candidates, choice, &answer.reason);
    core_copy_text(core, &answer.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_EXPLANATION, &answer);
    return 0;
}
