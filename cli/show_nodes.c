/* What is asked of nodes, identities and the cluster as a whole. */
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

static const struct ph_nothing nothing;

void ph_show_pause(const struct ph_cli *cli, const char *reason)
{
    char text[2048];
    if (reason && reason[0])
        printf("%sPAUSED%s, no automatic action: %s\n", ph_colour(cli, "failed"),
            ph_colour_end(cli), ph_safe(text, sizeof(text), reason));
}

/* "1.2 of 8 GiB" style: used and offered; offered 0 means unknown. */
static void cell_of(struct ph_table *table, int64_t used, int64_t offered, const char *format)
{
    char left[32], right[32];
    if (strcmp(format, "cpu") == 0) {
        ph_text_format(left, sizeof(left), "%.3g", (double)used / 1000);
        ph_text_format(right, sizeof(right), "%.3g", (double)offered / 1000);
    } else {
        ph_size(left, used * 1024 * 1024);
        ph_size(right, offered * 1024 * 1024);
    }
    if (offered == 0)
        ph_table_cell(table, left);
    else
        ph_table_cellf(table, "%s of %s", left, right);
}

void ph_show_nodes(struct ph_cli *cli, const struct ph_node_view_list *nodes)
{
    static const char *const headings[] = {"NODE", "STATE", "ADMIN", ">POOLS", "?>COPIES",
        "?>LEASE", ">SEEN", "?CPU", "?MEMORY", "~REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < nodes->count; i++) {
        const struct ph_node_view *node = &nodes->items[i];
        char lease[32], seen[32];
        ph_table_row(table);
        ph_table_cell(table, node->name);
        ph_table_cell(table, ph_enum_word(&ph_enum_node_state, (int)node->state));
        ph_table_cell(table, ph_enum_word(&ph_enum_node_admin, (int)node->admin));
        ph_table_cellf(table, "%lld", (long long)node->pools);
        ph_table_cellf(table, "%lld", (long long)node->copies);
        ph_table_cell(table, node->lease_left_ms > 0 ? ph_age(lease, node->lease_left_ms) : "-");
        ph_table_cell(table, ph_age(seen, node->last_seen_ms));
        cell_of(table, node->cpu_used, node->cpu, "cpu");
        cell_of(table, node->memory_used_mib, node->memory_mib, "memory");
        ph_table_cell(table, node->reason);
    }
    ph_table_end(&table);
}

PH_CLI_RUN(node_list)
{
    struct ph_nodes_shown shown = {0};
    int rv = ph_cli_ask(
        cli, "node.list", &ph_record_nothing, &nothing, &ph_record_nodes_shown, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_node_view, (const struct ph_many *)&shown.nodes, error);
    else if (rv == 0 && shown.nodes.count == 0)
        puts("No node is enrolled yet. Begin with: poolherd node invite NAME");
    else if (rv == 0) {
        ph_show_pause(cli, shown.paused);
        ph_show_nodes(cli, &shown.nodes);
    }
    ph_record_fini(&ph_record_nodes_shown, &shown);
    return rv;
}

static void print_texts(const char *label, const struct ph_texts *texts)
{
    printf("%-12s", label);
    for (size_t i = 0; i < texts->count; i++) {
        char safe[256];
        printf("%s%s", i > 0 ? ", " : "", ph_safe(safe, sizeof(safe), texts->items[i]));
    }
    puts(texts->count == 0 ? "-" : "");
}

static void print_node(struct ph_cli *cli, const struct ph_node_view *node)
{
    const char *state = ph_enum_word(&ph_enum_node_state, (int)node->state);
    const char *admin = ph_enum_word(&ph_enum_node_admin, (int)node->admin);
    char text[2048], other[32];
    printf("%-12s%s\n", "node", node->name);
    printf("%-12s%s%s%s since %s\n", "state", ph_colour(cli, state), state, ph_colour_end(cli),
        ph_time(other, node->since));
    printf("%-12s%s%s%s\n", "admin", ph_colour(cli, admin), admin, ph_colour_end(cli));
    printf("%-12s%s\n", "reason", node->reason ? ph_safe(text, sizeof(text), node->reason) : "-");
    printf("%-12sgeneration %lld, %s left", "lease", (long long)node->generation,
        ph_age(other, node->lease_left_ms));
    printf(", last heard %s ago\n", ph_age(other, node->last_seen_ms));
    printf("%-12s%lld, and %lld copies of others\n", "pools", (long long)node->pools,
        (long long)node->copies);
    printf("%-12s%.3g of %.3g\n", "cpu", (double)node->cpu_used / 1000, (double)node->cpu / 1000);
    printf("%-12s%lld of %lld MiB\n", "memory", (long long)node->memory_used_mib,
        (long long)node->memory_mib);
    printf("%-12s%lld of %lld MiB\n", "disk", (long long)node->disk_used_mib,
        (long long)node->disk_mib);
    printf("%-12s%s", "stopped by", ph_enum_word(&ph_enum_kill_means, (int)node->kills_by));
    if (node->watchdog_ms)
        printf(", else by its watchdog within %s", ph_age(other, node->watchdog_ms));
    else
        printf(", no watchdog");
    printf("; %s after its last grant %s\n", ph_age(other, node->takeover_ms),
        node->held ? "its pools still wait" : "its pools may be taken over");
    if (node->held)
        printf("%-12s%s\n", "held", ph_safe(text, sizeof(text), node->held));
    if (node->guard_note)
        printf("%-12s%s\n", "guard", ph_safe(text, sizeof(text), node->guard_note));
    print_texts("labels", &node->labels);
    print_texts("drivers", &node->drivers);
    printf("%-12s%s\n", "data", node->endpoint ? ph_safe(text, sizeof(text), node->endpoint) : "-");
    printf(
        "%-12s%s\n", "version", node->version ? ph_safe(text, sizeof(text), node->version) : "-");
    print_texts("witnesses", &node->witnesses);
    if (node->survives < 0)
        printf("%-12sits pools stop when the manager is silent for longer than a lease\n", "");
    else
        printf(
            "%-12sthe manager and %lld of them may fail together\n", "", (long long)node->survives);
    printf("%-12s%s\n", "fencing",
        node->fencing ? ph_safe(text, sizeof(text), node->fencing) : "no fence device");
    printf("%-12s%lld\n", "failures", (long long)node->failures);
    if (node->job)
        printf("%-12s%lld\n", "job", (long long)node->job);
}

PH_CLI_RUN(node_show)
{
    struct ph_named named = {0};
    struct ph_nodes_shown shown = {0};
    int rv = ph_cli_name(cli->argument, "NAME", named.name, error);
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "node.show", &ph_record_named, &named, &ph_record_nodes_shown, &shown, error);
    if (rv == 0 && shown.nodes.count != 1)
        rv = ph_error_set(error, PH_NOT_FOUND, "NAME", "there is no node %s", named.name);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_node_view, &shown.nodes.items[0], error);
    else if (rv == 0) {
        ph_show_pause(cli, shown.paused);
        print_node(cli, &shown.nodes.items[0]);
    }
    ph_record_fini(&ph_record_nodes_shown, &shown);
    return rv;
}

PH_CLI_RUN(status)
{
    struct ph_status_shown shown = {0};
    int rv = ph_cli_ask(
        cli, "status", &ph_record_nothing, &nothing, &ph_record_status_shown, &shown, error);
    if (rv == 0 && cli->json) {
        rv = ph_print_one(&ph_record_status_shown, &shown, error);
    } else if (rv == 0) {
        char uptime[32], takeover[32];
        printf("cluster %s  term %lld  up %s  take-over after %s of silence\n", shown.cluster,
            (long long)shown.term, ph_age(uptime, shown.uptime_ms),
            ph_age(takeover, shown.takeover_ms));
        if (shown.paused)
            ph_show_pause(cli, shown.reason);
        putchar('\n');
        ph_show_nodes(cli, &shown.nodes);
        if (shown.pools.count > 0) {
            putchar('\n');
            ph_show_pools(cli, &shown.pools);
        }
        if (shown.jobs.count > 0) {
            putchar('\n');
            ph_show_jobs(cli, &shown.jobs);
        }
    }
    ph_record_fini(&ph_record_status_shown, &shown);
    return rv;
}

PH_CLI_RUN(doctor)
{
    struct ph_findings_shown shown = {0};
    int rv = ph_cli_ask(
        cli, "doctor", &ph_record_nothing, &nothing, &ph_record_findings_shown, &shown, error);
    size_t open = 0;
    for (size_t i = 0; rv == 0 && i < shown.findings.count; i++)
        open += shown.findings.items[i].holds ? 0 : 1;
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_finding, (const struct ph_many *)&shown.findings, error);
    for (size_t i = 0; rv == 0 && !cli->json && i < shown.findings.count; i++) {
        const struct ph_finding *finding = &shown.findings.items[i];
        const char *word = finding->holds ? "yes" : "no";
        char text[2048];
        printf("%s%-4s%s%s: %s\n", ph_colour(cli, word), word, ph_colour_end(cli),
            finding->guarantee, ph_safe(text, sizeof(text), finding->message));
        if (!finding->holds && finding->remedy)
            printf("    to mend: %s\n", ph_safe(text, sizeof(text), finding->remedy));
    }
    ph_record_fini(&ph_record_findings_shown, &shown);
    if (rv == 0 && open > 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "%zu guarantee%s not hold here", open,
            open == 1 ? " does" : "s do");
    return rv;
}

PH_CLI_RUN(identity_list)
{
    static const char *const headings[] = {
        "IDENTITY", "ROLE", "ENROLLED", "REVOKED", "INVITED", "INVITATION ENDS", NULL};
    struct ph_identities_shown shown = {0};
    int rv = ph_cli_ask(cli, "identity.list", &ph_record_nothing, &nothing,
        &ph_record_identities_shown, &shown, error);
    if (rv == 0 && cli->json) {
        rv = ph_print_many(
            &ph_record_identity_view, (const struct ph_many *)&shown.identities, error);
    } else if (rv == 0) {
        struct ph_table *table = ph_table_new(cli, headings);
        for (size_t i = 0; table && i < shown.identities.count; i++) {
            const struct ph_identity_view *identity = &shown.identities.items[i];
            char when[32];
            ph_table_row(table);
            ph_table_cell(table, identity->name);
            ph_table_cell(table, ph_enum_word(&ph_enum_role, (int)identity->role));
            ph_table_cellf(table, "%s", identity->enrolled ? "enrolled" : "-");
            ph_table_cellf(table, "%s", identity->revoked ? "revoked" : "-");
            ph_table_cell(table, ph_time(when, identity->created_at));
            ph_table_cell(table, ph_time(when, identity->token_expires_at));
        }
        ph_table_end(&table);
    }
    ph_record_fini(&ph_record_identities_shown, &shown);
    return rv;
}
