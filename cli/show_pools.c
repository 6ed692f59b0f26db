/* What is asked of pools. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

static const struct ph_nothing nothing;

/* "n2 0.8s, n3 12.0s (failing)" */
static void copies_text(const struct ph_pool_view *pool, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (size_t i = 0; i < pool->copies.count && used < size - 1; i++) {
        const struct ph_copy_view *copy = &pool->copies.items[i];
        char age[32];
        used += ph_text_format(out + used, size - used, "%s%s", i > 0 ? ", " : "", copy->node);
        if (copy->age_ms >= 0)
            used += ph_text_format(out + used, size - used, " %s", ph_age(age, copy->age_ms));
        if (copy->state != PH_REPLICA_COMPLETE)
            used += ph_text_format(out + used, size - used, " (%s)",
                ph_enum_word(&ph_enum_replica_state, (int)copy->state));
    }
}

/* Why it is in its state, and what its copies suffer from. */
static void reason_text(const struct ph_pool_view *pool, char *out, size_t size)
{
    const char *reason = pool->reason ? pool->reason : "";
    const char *error = pool->copy_error ? pool->copy_error : "";
    size_t used = ph_text_format(out, size, "%s", reason);

    if (pool->behind && used < size)
        used +=
            ph_text_format(out + used, size - used, "%scopies are behind", used > 0 ? "; " : "");
    if (error[0] && used < size)
        ph_text_format(out + used, size - used, "%scopy to %s", used > 0 ? "; " : "", error);
}

void ph_show_pools(struct ph_cli *cli, const struct ph_pool_view_list *pools)
{
    static const char *const headings[] = {"POOL", "STATE", "NODE", "?>EPOCH", "?DRIVER", ">VMS",
        "COPIES (AGE)", "?>PRIORITY", "~REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < pools->count; i++) {
        const struct ph_pool_view *pool = &pools->items[i];
        const char *state = ph_enum_word(&ph_enum_pool_state, (int)pool->state);
        char copies[1024];
        copies_text(pool, copies, sizeof(copies));
        ph_table_row(table);
        ph_table_cell(table, pool->name);
        if (pool->desired == PH_DESIRED_INACTIVE && pool->state == PH_POOL_UNASSIGNED)
            ph_table_cell(table, "inactive");
        else
            ph_table_cell(table, state);
        ph_table_cell(table, pool->node);
        ph_table_cellf(table, "%lld", (long long)pool->epoch);
        ph_table_cell(table, pool->driver);
        ph_table_cellf(
            table, "%lld/%lld", (long long)pool->vms_running, (long long)pool->vms_declared);
        ph_table_cell(table, copies);
        ph_table_cellf(table, "%lld", (long long)pool->priority);
        char reason[1024];
        reason_text(pool, reason, sizeof(reason));
        ph_table_cell(table, reason);
    }
    ph_table_end(&table);
}

PH_CLI_RUN(pool_list)
{
    struct ph_pools_shown shown = {0};
    int rv = ph_cli_ask(
        cli, "pool.list", &ph_record_nothing, &nothing, &ph_record_pools_shown, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_pool_view, (const struct ph_many *)&shown.pools, error);
    else if (rv == 0 && shown.pools.count == 0)
        puts("No pool is declared yet. Begin with: poolherd pool apply -f pools.yaml");
    else if (rv == 0) {
        ph_show_pause(cli, shown.paused);
        ph_show_pools(cli, &shown.pools);
    }
    ph_record_fini(&ph_record_pools_shown, &shown);
    return rv;
}

static void print_vms(struct ph_cli *cli, const struct ph_vm_view_list *vms)
{
    static const char *const headings[] = {
        "VM", "KIND", "STATE", ">PID", ">RESTARTS", "~COMMAND", "~REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < vms->count; i++) {
        const struct ph_vm_view *vm = &vms->items[i];
        char command[512];
        size_t used = 0;
        command[0] = 0;
        for (size_t j = 0; j < vm->command.count && used < sizeof(command) - 1; j++)
            used += ph_text_format(command + used, sizeof(command) - used, "%s%s", j > 0 ? " " : "",
                vm->command.items[j]);
        ph_table_row(table);
        ph_table_cell(table, vm->name);
        ph_table_cell(table, vm->kind);
        ph_table_cell(table, ph_enum_word(&ph_enum_vm_state, (int)vm->state));
        ph_table_cellf(table, "%lld", (long long)vm->pid);
        ph_table_cellf(table, "%lld", (long long)vm->restarts);
        ph_table_cell(table, command);
        ph_table_cell(table, vm->reason);
    }
    ph_table_end(&table);
}

/* "1.2 GiB, 80.0 MiB/s", or nothing when nothing is sent now. */
static void under_way_text(const struct ph_copy_view *copy, char *out, size_t size)
{
    char sent[32], rate[32];

    out[0] = 0;
    if (copy->sent_bytes > 0)
        ph_text_format(out, size, "%s, %s/s", ph_size(sent, copy->sent_bytes),
            ph_size(rate, copy->kib_s * 1024));
}

static void verified_text(const struct ph_copy_view *copy, char *out, size_t size)
{
    char when[32];

    if (copy->verified_at == 0)
        ph_text_format(out, size, "never");
    else if (copy->spoilt == 0)
        ph_text_format(out, size, "%s", ph_time(when, copy->verified_at));
    else
        ph_text_format(
            out, size, "%s, %lld wrong", ph_time(when, copy->verified_at), (long long)copy->spoilt);
}

static void print_copies(struct ph_cli *cli, const struct ph_copy_view_list *copies)
{
    static const char *const headings[] = {"COPY ON", "STATE", ">AGE", ">EPOCH", ">SEQUENCE",
        ">SIZE", ">UNDER WAY", "VERIFIED", "~REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < copies->count; i++) {
        const struct ph_copy_view *copy = &copies->items[i];
        char text[64];
        ph_table_row(table);
        ph_table_cell(table, copy->node);
        ph_table_cell(table, ph_enum_word(&ph_enum_replica_state, (int)copy->state));
        ph_table_cell(table, ph_age(text, copy->age_ms));
        ph_table_cellf(table, "%lld", (long long)copy->epoch);
        ph_table_cellf(table, "%lld", (long long)copy->sequence);
        ph_table_cell(table, ph_size(text, copy->bytes));
        under_way_text(copy, text, sizeof(text));
        ph_table_cell(table, text);
        verified_text(copy, text, sizeof(text));
        ph_table_cell(table, text);
        ph_table_cell(table, copy->reason);
    }
    ph_table_end(&table);
}

static void print_pool(struct ph_cli *cli, const struct ph_pool_view *pool)
{
    const char *state = ph_enum_word(&ph_enum_pool_state, (int)pool->state);
    char text[2048], when[32];
    printf("%-12s%s\n", "pool", pool->name);
    printf("%-12s%s%s%s since %s\n", "state", ph_colour(cli, state), state, ph_colour_end(cli),
        ph_time(when, pool->since));
    printf("%-12s%s\n", "desired", ph_enum_word(&ph_enum_pool_desired, (int)pool->desired));
    printf(
        "%-12s%s, epoch %lld\n", "node", pool->node[0] ? pool->node : "-", (long long)pool->epoch);
    printf("%-12s%s\n", "reason", pool->reason ? ph_safe(text, sizeof(text), pool->reason) : "-");
    printf("%-12s%s, %lld copies wanted, priority %lld\n", "declared", pool->driver,
        (long long)pool->copies_wanted, (long long)pool->priority);
    if (pool->job)
        printf("%-12s%lld\n", "job", (long long)pool->job);
    if (pool->vms.count > 0) {
        putchar('\n');
        print_vms(cli, &pool->vms);
    }
    if (pool->copies.count > 0) {
        putchar('\n');
        print_copies(cli, &pool->copies);
    }
    if (pool->diverged.count > 0) {
        putchar('\n');
        ph_show_diverged(cli, &pool->diverged);
    }
}

PH_CLI_RUN(pool_show)
{
    struct ph_named named = {0};
    struct ph_pools_shown shown = {0};
    int rv = ph_cli_name(cli->argument, "NAME", named.name, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "pool.show", &ph_record_named, &named, &ph_record_pools_shown, &shown, error);
    if (rv == 0 && shown.pools.count != 1)
        rv = ph_error_set(error, PH_NOT_FOUND, "NAME", "there is no pool %s", named.name);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_pool_view, &shown.pools.items[0], error);
    else if (rv == 0) {
        ph_show_pause(cli, shown.paused);
        print_pool(cli, &shown.pools.items[0]);
    }
    ph_record_fini(&ph_record_pools_shown, &shown);
    return rv;
}

/* Scores are for comparing alone (--json has them); people want to know which is best. */
static size_t rank_of(
    const struct ph_candidate_list *candidates, const struct ph_candidate *candidate)
{
    size_t rank = 1;
    for (size_t i = 0; i < candidates->count; i++)
        rank += candidates->items[i].possible && candidates->items[i].score > candidate->score;
    return rank;
}

PH_CLI_RUN(pool_explain)
{
    static const char *const headings[] = {"NODE", "POSSIBLE", ">RANK", "WHY", NULL};
    struct ph_named named = {0};
    struct ph_explanation shown = {0};
    int rv = ph_cli_name(cli->argument, "NAME", named.name, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "pool.explain", &ph_record_named, &named, &ph_record_explanation, &shown, error);
    if (rv == 0 && cli->json) {
        rv = ph_print_one(&ph_record_explanation, &shown, error);
    } else if (rv == 0) {
        char text[2048];
        ph_show_pause(cli, shown.paused);
        printf("%s\n\n", ph_safe(text, sizeof(text), shown.reason));
        struct ph_table *table = ph_table_new(cli, headings);
        for (size_t i = 0; table && i < shown.candidates.count; i++) {
            const struct ph_candidate *candidate = &shown.candidates.items[i];
            for (size_t j = 0; j < candidate->reasons.count || j == 0; j++) {
                ph_table_row(table);
                ph_table_cellf(table, "%s%s", j == 0 ? candidate->node : " ",
                    j == 0 && candidate->chosen ? " *" : "");
                ph_table_cell(table, j > 0 ? " " : candidate->possible ? "yes" : "no");
                if (j == 0 && candidate->possible)
                    ph_table_cellf(table, "%zu", rank_of(&shown.candidates, candidate));
                else
                    ph_table_cell(table, j == 0 ? "-" : " ");
                ph_table_cell(
                    table, j < candidate->reasons.count ? candidate->reasons.items[j] : "");
            }
        }
        ph_table_end(&table);
    }
    ph_record_fini(&ph_record_explanation, &shown);
    return rv;
}
