/* One job's story, as a person reads it: what it was about, what decided, and each step with its time. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

static const char *const titles[] = {[PH_JOB_MOVE] = "Move",
    [PH_JOB_DRAIN] = "Drain",
    [PH_JOB_TAKEOVER] = "Take-over",
    [PH_JOB_START] = "Start",
    [PH_JOB_STOP] = "Stop",
    [PH_JOB_REMOVE] = "Removal",
    [PH_JOB_FENCE] = "Fence run",
    [PH_JOB_RETIRE] = "Retirement",
    [PH_JOB_VERIFY] = "Verification",
    [PH_JOB_VM] = "Operation"};

static bool moves(const struct ph_job *job)
{
    return job->kind == PH_JOB_MOVE || job->kind == PH_JOB_TAKEOVER;
}

static const char *moment(char out[40], int64_t wall_ms)
{
    char when[32];

    ph_text_format(out, 40, "%s.%03d", ph_time(when, wall_ms), (int)(wall_ms % 1000));
    return out;
}

static void print_title(struct ph_cli *cli, const struct ph_job *job)
{
    const char *state = ph_enum_word(&ph_enum_job_state, (int)job->state);

    printf("%s of %s", titles[job->kind], job->pool[0] ? job->pool : job->node);
    if (job->pool[0] && job->node[0])
        printf(": %s -> %s", job->node, job->target[0] ? job->target : "nowhere yet");
    printf(
        " (job %lld, %s%s%s", (long long)job->id, ph_colour(cli, state), state, ph_colour_end(cli));
    if (job->who[0])
        printf(", asked for by %s", job->who);
    puts(")");
}

static void print_copy(const struct ph_job *job)
{
    char age[32];

    if (!job->target[0])
        puts("none was chosen yet");
    else if (job->copy_epoch == 0)
        puts("none was needed: what is there is the newest");
    else if (job->data_loss_ms < 0)
        printf("number %lld of epoch %lld, of unknown age\n", (long long)job->copy_sequence,
            (long long)job->copy_epoch);
    else
        printf("number %lld of epoch %lld on %s, %s old when %s was given up\n",
            (long long)job->copy_sequence, (long long)job->copy_epoch, job->target,
            ph_age(age, job->data_loss_ms), job->node);
}

static void print_summary(const struct ph_story *story)
{
    const struct ph_job *job = &story->job;
    char text[2048], when[40];

    if (job->kind == PH_JOB_TAKEOVER)
        printf("%-12s%s, last heard %s\n", "silent", job->node,
            job->silent_at ? moment(when, job->silent_at) : "before this manager started");
    if (job->proof != PH_PROOF_NONE)
        printf("%-12s%s: %s\n", "proof", ph_enum_word(&ph_enum_proof, (int)job->proof),
            ph_enum_proof.docs[job->proof]);
    if (job->kind == PH_JOB_TAKEOVER) {
        printf("%-12s", "copy");
        print_copy(job);
    }
    if (moves(job) && job->ended_at)
        printf("%-12s%s\n", "without it",
            job->downtime_ms < 0 ? "unknown" : ph_age(when, job->downtime_ms));
    if (!job->ended_at && job->waiting_on)
        printf("%-12s%s\n", "waits for", ph_safe(text, sizeof(text), job->waiting_on));
    if (job->reason)
        printf("%-12s%s\n", "result", ph_safe(text, sizeof(text), job->reason));
    printf("%-12s%s\n", "T+0", moment(when, story->began_at));
}

static void print_time(int64_t after_ms)
{
    char text[32];
    int64_t ms = after_ms < 0 ? -after_ms : after_ms;

    ph_text_format(text, sizeof(text), "T%c%lld.%03lld s", after_ms < 0 ? '-' : '+',
        (long long)(ms / 1000), (long long)(ms % 1000));
    printf("%13s  ", text);
}

static void print_step(
    struct ph_cli *cli, const struct ph_story *story, const struct ph_story_step *step)
{
    const struct ph_event *event = &step->event;
    const char *level = ph_enum_word(&ph_enum_event_level, (int)event->level);
    char text[2048];

    print_time(step->after_ms);
    printf("%s%-18s%s ", event->level == PH_EVENT_INFO ? "" : ph_colour(cli, level), event->kind,
        event->level == PH_EVENT_INFO ? "" : ph_colour_end(cli));
    if (event->node[0])
        printf("node=%s ", event->node);
    if (event->pool[0] && strcmp(event->pool, story->job.pool) != 0)
        printf("pool=%s ", event->pool);
    if (event->job && event->job != story->job.id)
        printf("job=%lld ", (long long)event->job);
    if (event->who[0])
        printf("who=%s ", event->who);
    puts(event->message ? ph_safe(text, sizeof(text), event->message) : "");
}

static void print_story(struct ph_cli *cli, const struct ph_story *story)
{
    int64_t term = story->steps.count > 0 ? story->steps.items[0].event.term : 0;

    print_title(cli, &story->job);
    print_summary(story);
    putchar('\n');
    if (story->job.silent_at && story->job.silent_at == story->began_at) {
        print_time(0);
        printf("%-18s node=%s heard for the last time\n", "", story->job.node);
    }
    for (size_t i = 0; i < story->steps.count; i++) {
        const struct ph_story_step *step = &story->steps.items[i];

        if (step->event.term != term) {
            term = step->event.term;
            printf(
                "%13s  %-18s the manager has started anew (term %lld)\n", "", "", (long long)term);
        }
        print_step(cli, story, step);
    }
    if (story->steps.count == 0)
        puts("Its events are older than events are kept (events_days).");
    if (!story->whole)
        printf("There is more than %d steps: the newest are left out.\n", PH_STORY_STEPS_MAX);
    if (story->jobs.count > 0) {
        puts(story->job.kind == PH_JOB_FENCE ? "\nTake-overs that followed:" : "\nIts moves:");
        ph_show_jobs(cli, &story->jobs);
    }
}

/* A story is of one job and of all that belongs to it: nothing narrows it down. */
static int check_alone(const struct ph_cli *cli, struct ph_error *error)
{
    static const enum ph_cli_option others[] = {
        PH_CLI_FOLLOW, PH_CLI_POOL, PH_CLI_NODE, PH_CLI_JOB, PH_CLI_LIMIT};

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (ph_cli_given(cli, others[i]))
            return ph_error_set(error, PH_BAD_INPUT, "--story",
                "tells everything of one job; it goes with no --%s",
                ph_cli_options[others[i]].name);
    return 0;
}

int ph_cli_story(struct ph_cli *cli, struct ph_error *error)
{
    struct ph_numbered numbered = {0};
    struct ph_story story = {0};
    int rv = check_alone(cli, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_STORY, 0, &numbered.id, error);
    if (rv == 0 && numbered.id == 0)
        rv = ph_error_set(error, PH_BAD_INPUT, "--story",
            "\"%s\" is no job's number; `poolherd job list --all` shows them",
            cli->value[PH_CLI_STORY]);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "events.story", &ph_record_numbered, &numbered, &ph_record_story, &story, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_story, &story, error);
    else if (rv == 0)
        print_story(cli, &story);
    ph_record_fini(&ph_record_story, &story);
    return rv;
}
