#include "manager/serve/story.h"
#include <errno.h>
#include <string.h>
#include "base/text.h"

struct span {
    int64_t first, last; /* ids of events */
};

struct telling {
    struct ph_store *store;
    struct ph_story *story;
    struct ph_error *error;
    char id[24];
};

/* ---- single rows ---- */
static int job_each(void *context, const void *row)
{
    return ph_record_copy(&ph_record_job, context, row);
}

static int id_each(void *context, const void *row)
{
    *(int64_t *)context = ((const struct ph_event *)row)->id;
    return 0;
}

/* The id of the event that `tail` finds; *id_out stays as it is when it finds none. */
static int event_id(
    struct telling *telling, const char *tail, const char *a, const char *b, int64_t *id_out)
{
    const char *arguments[] = {a, b, NULL};

    return ph_store_load_where(
        telling->store, &ph_record_event, tail, arguments, id_each, id_out, telling->error);
}

static void number(char text[24], int64_t value)
{
    ph_text_format(text, 24, "%lld", (long long)value);
}

/* ---- from where to where ---- */
/* A silence that was not over when the job began: it is what the job is about. */
static int silence_before(struct telling *telling, struct span *span)
{
    const char *node = telling->story->job.node;
    int64_t heard = 0, silent = span->first;
    char before[24], after[24];
    int rv;

    number(before, span->first);
    rv = event_id(telling,
        "WHERE node = ?1 AND id < ?2 AND (kind = 'node-online' OR kind = 'node-joining') "
        "ORDER BY id DESC LIMIT 1",
        node, before, &heard);
    number(after, heard);
    if (rv == 0) {
        rv = event_id(telling,
            "WHERE node = ?1 AND id > ?2 AND kind = 'node-suspect' ORDER BY id LIMIT 1", node,
            after, &silent);
    }
    if (rv == 0 && silent < span->first) {
        span->first = silent;
    }
    return rv;
}

static int span_find(struct telling *telling, struct span *span)
{
    const struct ph_job *job = &telling->story->job;
    char last[24], ended[24];
    int rv;

    *span = (struct span){.first = INT64_MAX, .last = INT64_MAX};
    rv = event_id(telling, "WHERE job = ?1 ORDER BY id LIMIT 1", telling->id, NULL, &span->first);
    if (rv == 0 && job->ended_at != 0) {
        span->last = 0;
        rv = event_id(
            telling, "WHERE job = ?1 ORDER BY id DESC LIMIT 1", telling->id, NULL, &span->last);
        number(last, span->last);
        number(ended, job->ended_at);
        if (rv == 0) {
            rv = event_id(telling, "WHERE at = ?1 AND id > ?2 ORDER BY id DESC LIMIT 1", ended,
                last, &span->last);
        }
    }
    if (rv == 0 && job->node[0] != '\0' &&
        (job->kind == PH_JOB_TAKEOVER || job->kind == PH_JOB_FENCE)) {
        rv = silence_before(telling, span);
    }
    return rv;
}

/* ---- what is in it ---- */
static int step_each(void *context, const void *row)
{
    struct ph_story *story = context;
    struct ph_story_step *step;

    if (story->steps.count >= PH_STORY_STEPS_MAX) {
        story->whole = false;
        return 0;
    }
    step = ph_many_add(&ph_record_story_step, (struct ph_many *)(void *)&story->steps);
    return step == NULL ? -ENOMEM : ph_record_copy(&ph_record_event, &step->event, row);
}

static int steps_find(struct telling *telling, const struct span *span)
{
    const struct ph_job *job = &telling->story->job;
    char first[24], last[24], limit[24];
    const char *arguments[] = {telling->id, first, last, job->pool, job->node,
        job->kind == PH_JOB_FENCE ? "yes" : "", limit, NULL};

    number(first, span->first);
    number(last, span->last);
    number(limit, PH_STORY_STEPS_MAX + 1);
    return ph_store_load_where(telling->store, &ph_record_event,
        "WHERE job = ?1 OR job IN (SELECT id FROM jobs WHERE parent = ?1) OR (id >= ?2 AND "
        "id <= ?3 AND ((pool = '' AND node = ?5 AND node <> '') OR (pool = ?4 AND pool <> '') OR "
        "(pool = '' AND node <> '' AND node IN (SELECT node FROM events WHERE job = ?1 OR job IN "
        "(SELECT id FROM jobs WHERE parent = ?1))) OR "
        "(pool = '' AND node = '' AND job = 0) OR (?6 <> '' AND node = ?5))) "
        "ORDER BY id LIMIT ?7",
        arguments, step_each, telling->story, telling->error);
}

static int related_each(void *context, const void *row)
{
    struct ph_story *story = context;
    struct ph_job *job = ph_many_add(&ph_record_job, (struct ph_many *)(void *)&story->jobs);

    return job == NULL ? -ENOMEM : ph_record_copy(&ph_record_job, job, row);
}

static int related_find(struct telling *telling)
{
    const struct ph_job *job = &telling->story->job;
    char limit[24], ended[24];
    const char *children[] = {telling->id, limit, NULL};
    const char *takeovers[] = {job->node, ended, limit, NULL};

    number(limit, PH_STORY_JOBS_MAX);
    number(ended, job->ended_at);
    if (job->kind == PH_JOB_FENCE) {
        return ph_store_load_where(telling->store, &ph_record_job,
            "WHERE kind = 'takeover' AND node = ?1 AND created_at = ?2 ORDER BY id LIMIT ?3",
            takeovers, related_each, telling->story, telling->error);
    }
    return ph_store_load_where(telling->store, &ph_record_job,
        "WHERE parent = ?1 ORDER BY id LIMIT ?2", children, related_each, telling->story,
        telling->error);
}

static void times_set(struct ph_story *story)
{
    int64_t began = story->job.silent_at != 0 ? story->job.silent_at : story->job.created_at;

    if (story->steps.count > 0 && story->steps.items[0].event.at < began) {
        began = story->steps.items[0].event.at;
    }
    story->began_at = began;
    for (size_t i = 0; i < story->steps.count; i++) {
        story->steps.items[i].after_ms = story->steps.items[i].event.at - began;
    }
}

int serve_story(
    struct ph_store *store, int64_t job, struct ph_story *story_out, struct ph_error *error)
{
    struct telling telling = {.store = store, .story = story_out, .error = error};
    const char *arguments[] = {telling.id, NULL};
    struct span span;
    int rv;

    number(telling.id, job);
    story_out->whole = true;
    rv = ph_store_load_where(
        store, &ph_record_job, "WHERE id = ?1", arguments, job_each, &story_out->job, error);
    if (rv == 0 && story_out->job.id == 0) {
        ph_error_set(error, PH_NOT_FOUND, "id",
            "there is no job %lld, or it ended longer ago than jobs are kept (jobs_days)",
            (long long)job);
        return -ENOENT;
    }
    if (rv == 0) {
        rv = span_find(&telling, &span);
    }
    if (rv == 0) {
        rv = steps_find(&telling, &span);
    }
    if (rv == 0) {
        rv = related_find(&telling);
    }
    times_set(story_out);
    return rv;
}
