/* Commands that change something: each sends one request and says what will be done. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

/* Prints an answer "done", and follows its job with --wait. Takes done's memory. */
static int finish(struct ph_cli *cli, int rv, struct ph_done *done, struct ph_error *error)
{
    char text[2048];
    bool wait = ph_cli_given(cli, PH_CLI_WAIT) && done->job > 0;
    if (rv == 0 && cli->json && !wait) {
        rv = ph_print_one(&ph_record_done, done, error);
    } else if (rv == 0 && !cli->json) {
        printf("%s", done->message ? ph_safe(text, sizeof(text), done->message) : "done");
        printf(done->job > 0 ? " (job %lld)\n" : "\n", (long long)done->job);
    }
    if (rv == 0 && wait)
        rv = ph_cli_follow(cli, done->job, error);
    ph_record_fini(&ph_record_done, done);
    return rv;
}

/* As finish(), for an answer that is a plan. */
static int finish_plan(struct ph_cli *cli, int rv, struct ph_plan *plan, struct ph_error *error)
{
    bool wait = ph_cli_given(cli, PH_CLI_WAIT) && plan->job > 0;
    if (rv == 0 && cli->json && !wait) {
        rv = ph_print_one(&ph_record_plan, plan, error);
    } else if (rv == 0 && !cli->json) {
        ph_show_plan(cli, plan);
        if (plan->job > 0 && !wait)
            printf("Job %lld does it; follow it with: poolherd job watch %lld\n",
                (long long)plan->job, (long long)plan->job);
        else if (plan->job == 0 && ph_cli_given(cli, PH_CLI_DRY_RUN))
            puts("A dry run: nothing was changed.");
    }
    if (rv == 0 && wait)
        rv = ph_cli_follow(cli, plan->job, error);
    ph_record_fini(&ph_record_plan, plan);
    return rv;
}

/* A request that is no more than a name. */
static int ask_named(struct ph_cli *cli, const char *type, struct ph_error *error)
{
    struct ph_named named = {0};
    struct ph_done done = {0};
    int rv = ph_cli_name(cli->argument, "NAME", named.name, error);
    if (rv == 0)
        rv = ph_cli_ask(cli, type, &ph_record_named, &named, &ph_record_done, &done, error);
    return finish(cli, rv, &done, error);
}

static int ask_nothing(struct ph_cli *cli, const char *type, struct ph_error *error)
{
    struct ph_nothing nothing = {0};
    struct ph_done done = {0};
    int rv = ph_cli_ask(cli, type, &ph_record_nothing, &nothing, &ph_record_done, &done, error);
    return finish(cli, rv, &done, error);
}

PH_CLI_RUN(node_drain)
{
    struct ph_drain drain = {.dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN)};
    struct ph_plan plan = {0};
    int rv = ph_cli_name(cli->argument, "NAME", drain.node, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_MAX_PARALLEL, 0, &drain.max_parallel, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_DEADLINE, 0, &drain.deadline_s, error);
    if (rv == 0)
        rv = ph_cli_ask(cli, "node.drain", &ph_record_drain, &drain, &ph_record_plan, &plan, error);
    return finish_plan(cli, rv, &plan, error);
}

PH_CLI_RUN(node_resume)
{
    return ask_named(cli, "node.resume", error);
}

PH_CLI_RUN(node_retire)
{
    return ask_named(cli, "node.retire", error);
}

PH_CLI_RUN(node_fence)
{
    struct ph_fence fence = {
        .dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN), .reboot = ph_cli_given(cli, PH_CLI_REBOOT)};
    struct ph_done done = {0};
    const char *dead = cli->value[PH_CLI_CONFIRM_DEAD];
    int rv = ph_cli_name(cli->argument, "NAME", fence.node, error);
    if (rv == 0 && dead)
        rv = ph_cli_name(dead, "--confirm-dead", fence.confirm_dead, error);
    if (rv == 0 && dead && strcmp(dead, fence.node) != 0)
        rv = ph_error_set(error, PH_BAD_INPUT, "--confirm-dead",
            "says %s, but the node is %s; name the same node twice", dead, fence.node);
    if (rv == 0)
        rv = ph_cli_ask(cli, "node.fence", &ph_record_fence, &fence, &ph_record_done, &done, error);
    return finish(cli, rv, &done, error);
}

PH_CLI_RUN(pool_move)
{
    struct ph_pool_move move = {.dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN)};
    struct ph_plan plan = {0};
    int rv = ph_cli_name(cli->argument, "NAME", move.pool, error);
    if (rv == 0 && cli->value[PH_CLI_TO])
        rv = ph_cli_name(cli->value[PH_CLI_TO], "--to", move.target, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "pool.move", &ph_record_pool_move, &move, &ph_record_plan, &plan, error);
    return finish_plan(cli, rv, &plan, error);
}

PH_CLI_RUN(pool_start)
{
    struct ph_pool_start start = {.accept_data_loss = ph_cli_given(cli, PH_CLI_ACCEPT_DATA_LOSS),
        .retry = ph_cli_given(cli, PH_CLI_RETRY)};
    struct ph_done done = {0};
    int rv = ph_cli_name(cli->argument, "NAME", start.pool, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "pool.start", &ph_record_pool_start, &start, &ph_record_done, &done, error);
    return finish(cli, rv, &done, error);
}

PH_CLI_RUN(pool_stop)
{
    return ask_named(cli, "pool.stop", error);
}

PH_CLI_RUN(pool_verify)
{
    return ask_named(cli, "pool.verify", error);
}

PH_CLI_RUN(pool_remove)
{
    struct ph_pool_remove remove = {.destroy_data = ph_cli_given(cli, PH_CLI_DESTROY_DATA),
        .dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN)};
    struct ph_done done = {0};
    int rv = ph_cli_name(cli->argument, "NAME", remove.pool, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "pool.remove", &ph_record_pool_remove, &remove, &ph_record_done, &done, error);
    return finish(cli, rv, &done, error);
}

PH_CLI_RUN(cluster_pause)
{
    return ask_nothing(cli, "cluster.pause", error);
}

PH_CLI_RUN(cluster_resume)
{
    return ask_nothing(cli, "cluster.resume", error);
}

PH_CLI_RUN(identity_revoke)
{
    return ask_named(cli, "identity.revoke", error);
}
