/* What is asked of jobs, plans, and the following of a job to its end. */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

#define LOOK_MS 150 /* between two looks at a job that is followed */

/* Only of these the time without the pool is measured. */
static bool moves(const struct ph_job *job)
{
    return job->kind == PH_JOB_MOVE || job->kind == PH_JOB_TAKEOVER;
}

void ph_show_jobs(struct ph_cli *cli, const struct ph_job_list *jobs)
{
    static const char *const headings[] = {">JOB", "KIND", "STATE", "?PHASE", "?>DONE", "POOL",
        "FROM", "TO", ">WITHOUT", "?>DATA LOSS", "?WHO", "~WAITS FOR / REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < jobs->count; i++) {
        const struct ph_job *job = &jobs->items[i];
        bool ended = job->ended_at > 0;
        char text[32];
        ph_table_row(table);
        ph_table_cellf(table, "%lld", (long long)job->id);
        ph_table_cell(table, ph_enum_word(&ph_enum_job_kind, (int)job->kind));
        ph_table_cell(table, ph_enum_word(&ph_enum_job_state, (int)job->state));
        ph_table_cell(table, ph_enum_word(&ph_enum_job_phase, (int)job->phase));
        ph_table_cellf(table, "%lld%%", (long long)job->progress);
        ph_table_cell(table, job->pool);
        ph_table_cell(table, job->node);
        ph_table_cell(table, job->target);
        ph_table_cell(table, ended && moves(job) ? ph_age(text, job->downtime_ms) : "");
        ph_table_cell(
            table, ended && job->kind == PH_JOB_TAKEOVER ? ph_age(text, job->data_loss_ms) : "");
        ph_table_cell(table, job->who);
        ph_table_cell(table, !ended && job->waiting_on ? job->waiting_on : job->reason);
    }
    ph_table_end(&table);
}

void ph_show_plan(struct ph_cli *cli, const struct ph_plan *plan)
{
    static const char *const headings[] = {"POOL", "FROM", "TO", ">PRIORITY", "WHY", NULL};
    ph_show_pause(cli, plan->paused);
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < plan->moves.count; i++) {
        const struct ph_planned_move *move = &plan->moves.items[i];
        ph_table_row(table);
        ph_table_cell(table, move->pool);
        ph_table_cell(table, move->from);
        ph_table_cell(table, move->to);
        ph_table_cellf(table, "%lld", (long long)move->priority);
        ph_table_cell(table, move->reason);
    }
    ph_table_end(&table);
    if (plan->moves.count == 0)
        puts("Nothing has to move.");
    else if (!plan->complete)
        puts("Not every pool has a place to go; see above.");
}

static int ask_jobs(struct ph_cli *cli, bool all, int64_t parent, struct ph_jobs_shown *shown,
    struct ph_error *error)
{
    struct ph_jobs_ask ask = {.all = all, .parent = parent};
    return ph_cli_ask(
        cli, "job.list", &ph_record_jobs_ask, &ask, &ph_record_jobs_shown, shown, error);
}

static int ask_job(
    struct ph_cli *cli, int64_t id, struct ph_jobs_shown *shown, struct ph_error *error)
{
    struct ph_numbered numbered = {.id = id};
    int rv = ph_cli_ask(
        cli, "job.show", &ph_record_numbered, &numbered, &ph_record_jobs_shown, shown, error);
    if (rv == 0 && shown->jobs.count != 1) {
        ph_record_fini(&ph_record_jobs_shown, shown);
        rv = ph_error_set(error, PH_NOT_FOUND, "ID", "there is no job %lld", (long long)id);
    }
    return rv;
}

static int argument_id(struct ph_cli *cli, int64_t *id_out, struct ph_error *error)
{
    char *end = NULL, shown[64];
    long long id = strtoll(cli->argument, &end, 10);
    if (id <= 0 || *end != 0)
        return ph_error_set(error, PH_BAD_INPUT, "ID", "\"%s\" is no job's number",
            ph_text_printable(shown, sizeof(shown), cli->argument));
    *id_out = id;
    return 0;
}

PH_CLI_RUN(job_list)
{
    struct ph_jobs_shown shown = {0};
    int rv = ask_jobs(cli, ph_cli_given(cli, PH_CLI_ALL), 0, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_job, (const struct ph_many *)&shown.jobs, error);
    else if (rv == 0) {
        ph_show_pause(cli, shown.paused);
        if (shown.jobs.count > 0)
            ph_show_jobs(cli, &shown.jobs);
        else
            puts(ph_cli_given(cli, PH_CLI_ALL) ? "No job yet."
                                               : "No job is under way. Ended ones: --all");
    }
    ph_record_fini(&ph_record_jobs_shown, &shown);
    return rv;
}

PH_CLI_RUN(job_show)
{
    struct ph_jobs_shown shown = {0}, children = {0};
    int64_t id = 0;
    int rv = argument_id(cli, &id, error);
    if (rv == 0)
        rv = ask_job(cli, id, &shown, error);
    if (rv == 0 && cli->json) {
        rv = ph_print_one(&ph_record_job, &shown.jobs.items[0], error);
    } else if (rv == 0) {
        rv = ask_jobs(cli, true, id, &children, error);
        ph_show_pause(cli, shown.paused);
        ph_show_jobs(cli, &shown.jobs);
        printf("\nStep by step: poolherd events --story %lld\n", (long long)id);
        if (children.jobs.count > 0) {
            putchar('\n');
            ph_show_jobs(cli, &children.jobs);
        }
    }
    ph_record_fini(&ph_record_jobs_shown, &shown);
    ph_record_fini(&ph_record_jobs_shown, &children);
    return rv;
}

/* ---- following ---- */

static void print_bar(const struct ph_job *job, int width)
{
    int filled = (int)(job->progress * width / 100);
    putchar('[');
    for (int i = 0; i < width; i++)
        putchar(i < filled ? '#' : '.');
    printf("] %3lld%%", (long long)job->progress);
}

static void print_line(struct ph_cli *cli, const struct ph_job *job, bool child)
{
    const char *state = ph_enum_word(&ph_enum_job_state, (int)job->state);
    const char *phase = ph_enum_word(&ph_enum_job_phase, (int)job->phase);
    char text[256], without[32];
    printf("%s%-9s %-16s ", child ? "  " : "", ph_enum_word(&ph_enum_job_kind, (int)job->kind),
        job->pool[0] ? job->pool : job->node);
    print_bar(job, 24);
    printf("  %s%s%s", ph_colour(cli, state),
        job->state == PH_JOB_RUNNING && job->pool[0] ? phase : state, ph_colour_end(cli));
    if (job->target[0])
        printf(" -> %s", job->target);
    if (job->state == PH_JOB_SUCCEEDED && moves(job) && job->downtime_ms >= 0)
        printf(", %s without the pool", ph_age(without, job->downtime_ms));
    else if (!job->ended_at && job->waiting_on && job->waiting_on[0])
        printf(", waits for %s", ph_safe(text, sizeof(text), job->waiting_on));
    else if (job->ended_at && job->state != PH_JOB_SUCCEEDED && job->reason)
        printf(": %s", ph_safe(text, sizeof(text), job->reason));
    putchar('\n');
}

/* What makes a line worth printing anew where lines cannot be overwritten. */
static uint64_t fingerprint(
    const struct ph_jobs_shown *parent, const struct ph_jobs_shown *children)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < parent->jobs.count; i++)
        sum = sum * 31 + (uint64_t)parent->jobs.items[i].state * 7 +
              (uint64_t)parent->jobs.items[i].phase;
    for (size_t i = 0; i < children->jobs.count; i++)
        sum = sum * 31 + (uint64_t)children->jobs.items[i].state * 7 +
              (uint64_t)children->jobs.items[i].phase;
    return sum;
}

int ph_cli_follow(struct ph_cli *cli, int64_t id, struct ph_error *error)
{
    struct ph_jobs_shown shown = {0}, children = {0};
    size_t lines = 0;
    uint64_t last = UINT64_MAX;
    bool ended = false;
    int rv = 0;
    while (rv == 0 && !ended) {
        rv = ask_job(cli, id, &shown, error);
        if (rv == 0)
            rv = ask_jobs(cli, true, id, &children, error);
        if (rv != 0)
            break;
        if (!cli->json && last == UINT64_MAX)
            ph_show_pause(cli, shown.paused);
        ended = shown.jobs.items[0].ended_at > 0;
        uint64_t now = fingerprint(&shown, &children);
        if (!cli->json && (cli->terminal || ended || now != last)) {
            if (cli->terminal && lines > 0)
                printf("\033[%zuA\033[J", lines); /* up, and clear to the end */
            print_line(cli, &shown.jobs.items[0], false);
            lines = 1;
            for (size_t i = 0; i < children.jobs.count; i++) {
                if (children.jobs.items[i].id == id) /* the answer names the drain itself too */
                    continue;
                print_line(cli, &children.jobs.items[i], true);
                lines++;
            }
            fflush(stdout);
        }
        last = now;
        if (!ended)
            poll(NULL, 0, LOOK_MS); /* the next look; the job itself is awaited without a limit */
    }
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_job, &shown.jobs.items[0], error);
    if (rv == 0 && shown.jobs.items[0].state != PH_JOB_SUCCEEDED)
        rv = ph_error_set(error, PH_FAILED, NULL, "job %lld %s: %s", (long long)id,
            ph_enum_word(&ph_enum_job_state, (int)shown.jobs.items[0].state),
            shown.jobs.items[0].reason ? shown.jobs.items[0].reason : "no reason given");
    ph_record_fini(&ph_record_jobs_shown, &shown);
    ph_record_fini(&ph_record_jobs_shown, &children);
    return rv;
}

PH_CLI_RUN(job_watch)
{
    int64_t id = 0;
    int rv = argument_id(cli, &id, error);
    return rv != 0 ? rv : ph_cli_follow(cli, id, error);
}

PH_CLI_RUN(job_cancel)
{
    struct ph_numbered numbered = {0};
    struct ph_done done = {0};
    int rv = argument_id(cli, &numbered.id, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "job.cancel", &ph_record_numbered, &numbered, &ph_record_done, &done, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_done, &done, error);
    else if (rv == 0)
        puts(done.message ? done.message : "cancelling");
    ph_record_fini(&ph_record_done, &done);
    return rv;
}
