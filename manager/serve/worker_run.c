/*
 * What the worker threads do with their work.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "db/query.h"
#include "manager/serve/story.h"
#include "manager/serve/workers.h"

/* What one query may send: a slow reader's answers pile up in the manager's memory. */
#define QUERY_BYTES_MAX ((size_t)512 * 1024 * 1024)
#define EVENTS_DEFAULT 100
#define EVENT_CONDITIONS 4

static void problem_emit(
    struct serve_worker *worker, struct serve_work *work, const struct ph_error *error)
{
    enum ph_code code = error->code == PH_OK ? PH_FAILED : error->code;
    char word[32], message[sizeof error->message], field[sizeof error->field];
    struct ph_problem problem = {.code = word, .message = message};
    char *text = NULL;
    size_t bytes = 0;

    ph_text_format(word, sizeof word, "%s", ph_code_name(code));
    ph_text_format(message, sizeof message, "%s",
        error->message[0] != '\0' ? error->message : "it failed for an unknown reason");
    ph_text_format(field, sizeof field, "%s", error->field);
    problem.field = field[0] != '\0' ? field : NULL;
    if (ph_message_encode(PH_MSG_PROBLEM, work->id, &problem, &text, &bytes) != 0) {
        text = NULL;
        bytes = 0;
    }
    (void)serve_worker_emit(worker, work, text, bytes, NULL, 0, true);
}

/* ---- queries ---- */

struct query_run {
    struct serve_worker *worker;
    struct serve_work *work;
    size_t sent_bytes;
    bool ended; /* the last part is out */
    bool too_large;
};

static int query_part(void *context, const struct ph_texts *columns, const char *rows_json,
    size_t bytes, int64_t rows, bool more)
{
    struct query_run *run = context;
    struct ph_rows head = {.columns = *columns, .count = rows, .more = more}; /* borrowed */
    char *text = NULL, *payload;
    size_t text_bytes = 0;

    run->sent_bytes += bytes;
    if (run->sent_bytes > QUERY_BYTES_MAX) {
        run->too_large = true;
        return -ECANCELED;
    }
    payload = malloc(bytes + 1);
    if (payload == NULL ||
        ph_message_encode(PH_MSG_ROWS, run->work->id, &head, &text, &text_bytes) != 0) {
        free(payload);
        return -ECANCELED;
    }
    memcpy(payload, rows_json, bytes);
    if (!more) {
        run->ended = true;
    }
    return serve_worker_emit(run->worker, run->work, text, text_bytes, payload, bytes, !more);
}

static void query_run(struct serve_worker *worker, struct serve_work *work)
{
    struct query_run run = {.worker = worker, .work = work};
    struct ph_error error = {0};
    int rv = 0;

    if (worker->reader == NULL) {
        rv = ph_reader_open(worker->database, &worker->reader, &error);
    }
    if (rv == 0) {
        rv = ph_reader_query(worker->reader, work->message.body, query_part, &run, &error);
    }
    if (run.ended) {
        return; /* the work is the loop's already */
    }
    if (run.too_large) {
        ph_error_set(&error, PH_BAD_INPUT, "sql",
            "the result is larger than %zu MiB: ask for fewer rows or columns",
            QUERY_BYTES_MAX / (1024 * 1024));
    } else if (rv == -ECANCELED) {
        ph_error_set(&error, PH_FAILED, NULL, "the query was given up");
    }
    problem_emit(worker, work, &error);
}

/* ---- events ---- */

static int event_add(void *context, const void *row)
{
    struct ph_event_list *list = context;
    struct ph_event *event = ph_many_add(&ph_record_event, (struct ph_many *)(void *)list);

    if (event == NULL) {
        return -ENOMEM;
    }
    return ph_record_copy(&ph_record_event, event, row);
}

static void events_run(struct serve_worker *worker, struct serve_work *work)
{
    const struct ph_events_ask *ask = work->message.body;
    struct ph_events_shown shown = {0};
    struct ph_error error = {0};
    char tail[256], after[24], job[24], limit[24];
    const char *arguments[EVENT_CONDITIONS + 2];
    size_t count = 0, used, i;
    char *text = NULL;
    size_t bytes = 0;
    int rv;

    ph_text_format(after, sizeof after, "%lld", (long long)ask->after);
    ph_text_format(job, sizeof job, "%lld", (long long)ask->job);
    ph_text_format(
        limit, sizeof limit, "%lld", (long long)(ask->limit > 0 ? ask->limit : EVENTS_DEFAULT));
    arguments[count++] = after;
    used = ph_text_format(tail, sizeof tail, "WHERE id > ?1");
    if (ask->pool[0] != '\0') {
        arguments[count++] = ask->pool;
        used += ph_text_format(tail + used, sizeof tail - used, " AND pool = ?%zu", count);
    }
    if (ask->node[0] != '\0') {
        arguments[count++] = ask->node;
        used += ph_text_format(tail + used, sizeof tail - used, " AND node = ?%zu", count);
    }
    if (ask->job > 0) {
        arguments[count++] = job;
        used += ph_text_format(tail + used, sizeof tail - used, " AND job = ?%zu", count);
    }
    arguments[count++] = limit;
    ph_text_format(tail + used, sizeof tail - used, " ORDER BY id DESC LIMIT ?%zu", count);
    arguments[count] = NULL;
    rv = ph_store_load_where(
        worker->store, &ph_record_event, tail, arguments, event_add, &shown.events, &error);
    for (i = 0; rv == 0 && i < shown.events.count / 2; i++) { /* newest so many, oldest first */
        struct ph_event *other = &shown.events.items[shown.events.count - 1 - i];
        struct ph_event swap = shown.events.items[i];

        shown.events.items[i] = *other;
        *other = swap;
    }
    if (rv == 0) {
        rv = ph_message_encode(PH_MSG_EVENTS_SHOWN, work->id, &shown, &text, &bytes);
    }
    ph_record_fini(&ph_record_events_shown, &shown);
    if (rv == 0) {
        (void)serve_worker_emit(worker, work, text, bytes, NULL, 0, true);
    } else {
        if (rv == -EMSGSIZE) {
            ph_error_set(&error, PH_BAD_INPUT, "limit", "too many events for one answer");
        }
        problem_emit(worker, work, &error);
    }
}

/* ---- stories ---- */

static void story_run(struct serve_worker *worker, struct serve_work *work)
{
    const struct ph_numbered *asked = work->message.body;
    struct ph_story story = {0};
    struct ph_error error = {0};
    char *text = NULL;
    size_t bytes = 0;
    int rv = serve_story(worker->store, asked->id, &story, &error);

    if (rv == 0) {
        rv = ph_message_encode(PH_MSG_STORY_SHOWN, work->id, &story, &text, &bytes);
    }
    ph_record_fini(&ph_record_story, &story);
    if (rv == 0) {
        (void)serve_worker_emit(worker, work, text, bytes, NULL, 0, true);
    } else {
        problem_emit(worker, work, &error);
    }
}

/* ---- coding ---- */

static void encode_run(struct serve_worker *worker, struct serve_work *work)
{
    struct ph_error error = {0};
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_message_encode(work->message.type, work->id, work->message.body, &text, &bytes);

    if (rv == 0) {
        (void)serve_worker_emit(worker, work, text, bytes, NULL, 0, true);
        return;
    }
    ph_error_set(&error, PH_FAILED, NULL,
        rv == -EMSGSIZE ? "the answer is larger than a message may be: ask for less, or use a query"
                        : "the answer could not be put into a message");
    problem_emit(worker, work, &error);
}

void serve_worker_run(struct serve_worker *worker, struct serve_work *work)
{
    switch (work->kind) {
    case SERVE_WORK_QUERY:
        query_run(worker, work);
        break;
    case SERVE_WORK_EVENTS:
        events_run(worker, work);
        break;
    case SERVE_WORK_STORY:
        story_run(worker, work);
        break;
    case SERVE_WORK_DECODE:
        work->rv = ph_message_decode(work->text, work->bytes, &work->message, &work->error);
        (void)serve_worker_emit(worker, work, NULL, 0, NULL, 0, true);
        break;
    case SERVE_WORK_ENCODE:
        encode_run(worker, work);
        break;
    }
}
