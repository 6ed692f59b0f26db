/* poolherd driver list|show: what nodes can do and why not, and what a driver wants to know of a pool. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "base/child.h"
#include "cli/output.h"
#include "cli/show.h"

#define OCF_ROOT "/usr/lib/ocf"
#define METADATA_BYTES_MAX (256 * 1024)
#define METADATA_S 20

static const struct ph_nothing nothing;

static const struct {
    const char *name, *about;
    const struct ph_record *settings; /* NULL: none of its own */
} known[] = {
    {"directory", "a pool in a plain directory, copied with rsync; any file system, no root", NULL},
    {"btrfs", "a pool in a btrfs subvolume, copied with incremental send", NULL},
    {"image", "a pool in a file with ext4 or xfs of its own, copied block by block",
        &ph_record_image_settings},
    {"shared", "a pool on data that all nodes reach; needs fencing", &ph_record_shared_settings},
    {"ocf", "a pool that an OCF resource agent makes reachable (needs fencing); also a workload",
        &ph_record_ocf_settings},
    {"process", "workload: a program that stays in the foreground", NULL},
    {"qemu", "workload: a virtual machine", NULL},
    {"container", "workload: a container, made by crun", &ph_record_container},
};

/* ---- list ---- */

static void print_row(
    struct ph_table *table, const char *node, const char *driver, bool works, const char *reason)
{
    ph_table_row(table);
    ph_table_cell(table, node);
    ph_table_cell(table, driver);
    ph_table_cell(table, works ? "yes" : "no");
    ph_table_cell(table, reason);
}

static void print_drivers(struct ph_cli *cli, const struct ph_node_view_list *nodes)
{
    static const char *const headings[] = {"NODE", "DRIVER", "WORKS", "~WHY NOT", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < nodes->count; i++) {
        const struct ph_node_view *node = &nodes->items[i];
        for (size_t j = 0; j < node->drivers.count; j++)
            print_row(table, node->name, node->drivers.items[j], true, "");
        for (size_t j = 0; j < node->drivers_missing.count; j++) {
            char name[64], text[PH_TEXT_BYTES_MAX];
            const char *said = node->drivers_missing.items[j], *colon = strchr(said, ':');
            size_t bytes = colon ? (size_t)(colon - said) : 0;
            ph_text_format(name, sizeof(name), "%.*s", (int)(bytes < 63 ? bytes : 63), said);
            ph_safe(text, sizeof(text), colon ? colon + 1 + (colon[1] == ' ') : said);
            print_row(table, node->name, name, false, text);
        }
    }
    ph_table_end(&table);
}

PH_CLI_RUN(driver_list)
{
    struct ph_nodes_shown shown = {0};
    struct ph_named named = {0};
    const char *only = cli->value[PH_CLI_NODE];
    int rv = only ? ph_cli_name(only, "--node", named.name, error) : 0;
    if (rv != 0)
        return rv;
    rv = only ? ph_cli_ask(cli, "node.show", &ph_record_named, &named, &ph_record_nodes_shown,
                    &shown, error)
              : ph_cli_ask(cli, "node.list", &ph_record_nothing, &nothing, &ph_record_nodes_shown,
                    &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_node_view, (const struct ph_many *)&shown.nodes, error);
    else if (rv == 0 && shown.nodes.count == 0)
        puts("No node is enrolled yet. Begin with: poolherd node invite NAME");
    else if (rv == 0)
        print_drivers(cli, &shown.nodes);
    ph_record_fini(&ph_record_nodes_shown, &shown);
    return rv;
}

/* ---- show ---- */

static void print_settings(const char *name, const struct ph_record *settings)
{
    printf("\nIn a declaration, under \"%s:\":\n", name);
    for (size_t i = 0; i < settings->field_count; i++)
        printf("  %-18s%s\n", settings->fields[i].name, settings->fields[i].doc);
}

/* The value of NAME="..." within an element that begins at `at`, or "". */
static const char *attribute(const char *at, const char *name, char *out, size_t size)
{
    const char *end = strchr(at, '>');
    char wanted[32];
    size_t bytes = ph_text_format(wanted, sizeof(wanted), " %s=\"", name);
    const char *found = strstr(at, wanted);
    out[0] = '\0';
    if (found && end && found < end) {
        found += bytes;
        ph_text_format(out, size, "%.*s", (int)strcspn(found, "\""), found);
    }
    return out;
}

/* The text of the first <NAME ...>text</NAME> between two places, on one line. */
static const char *element(
    const char *from, const char *to, const char *name, char *out, size_t size)
{
    char open[32];
    size_t used = 0;
    ph_text_format(open, sizeof(open), "<%s", name);
    const char *at = strstr(from, open);
    out[0] = '\0';
    if (!at || at >= to || !(at = strchr(at, '>')))
        return out;
    for (at++; at < to && *at && *at != '<' && used + 1 < size; at++)
        if (*at != '\n')
            out[used++] = *at;
        else if (used > 0 && out[used - 1] != ' ')
            out[used++] = ' ';
    out[used] = '\0';
    return out;
}

static void print_metadata(const char *agent, const char *text)
{
    char name[64], required[8], summary[200], given[100], shown[256];
    const char *end = text + strlen(text), *parameters = strstr(text, "<parameters");
    printf("%s: %s\n\nParameters (* must be given):\n", agent,
        ph_safe(shown, sizeof(shown),
            element(text, parameters ? parameters : end, "shortdesc", summary, sizeof(summary))));
    for (const char *at = text; (at = strstr(at, "<parameter ")) != NULL;) {
        const char *next = strstr(at + 1, "<parameter ");
        if (!next)
            next = end;
        attribute(at, "name", name, sizeof(name));
        attribute(at, "required", required, sizeof(required));
        const char *content = strstr(at, "<content");
        attribute(content && content < next ? content : at, "default", given, sizeof(given));
        element(at, next, "shortdesc", summary, sizeof(summary));
        printf("  %c %-22s%s", strcmp(required, "1") == 0 ? '*' : ' ',
            ph_safe(shown, sizeof(shown), name), "");
        printf("%s", ph_safe(shown, sizeof(shown), summary));
        if (given[0])
            printf(" (default %s)", ph_safe(shown, sizeof(shown), given));
        putchar('\n');
        at = next;
        if (at == end)
            break;
    }
}

/* What a program prints, at most METADATA_BYTES_MAX of it, within METADATA_S. NULL: it does not. */
static char *run_metadata(const char *path)
{
    const char *const argv[] = {path, "meta-data", NULL};
    const char *const environment[] = {
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C",
        "OCF_ROOT=" OCF_ROOT, NULL};
    const struct timespec pause = {.tv_nsec = 20 * 1000000};
    FILE *output = tmpfile();
    char *text = calloc(1, METADATA_BYTES_MAX + 1);
    pid_t pid = 0;
    int status = -1, turns = 0;
    bool well =
        output && text && ph_child_start(argv, environment, -1, fileno(output), -1, &pid) == 0;
    while (well && waitpid(pid, &status, WNOHANG) == 0) {
        if (++turns == METADATA_S * 50)
            kill(-pid, SIGKILL);
        nanosleep(&pause, NULL);
    }
    well = well && WIFEXITED(status) && WEXITSTATUS(status) == 0 && fseek(output, 0, SEEK_SET) == 0;
    if (well)
        text[fread(text, 1, METADATA_BYTES_MAX, output)] = '\0';
    if (output)
        fclose(output);
    if (well)
        return text;
    free(text);
    return NULL;
}

/* An agent's metadata is the same wherever it is installed, so that this machine is asked. */
static int show_agent(const char *agent, struct ph_error *error)
{
    const char *provider = agent + 4, *colon = strchr(provider, ':');
    char path[512];
    if (!colon || strchr(agent, '/') || strstr(agent, ".."))
        return ph_error_set(error, PH_BAD_INPUT, "NAME",
            "\"%s\" is no resource agent; one is ocf:PROVIDER:TYPE", agent);
    ph_text_format(path, sizeof(path), OCF_ROOT "/resource.d/%.*s/%s", (int)(colon - provider),
        provider, colon + 1);
    if (access(path, X_OK) != 0)
        return ph_error_set(error, PH_NOT_FOUND, "NAME",
            "%s is not on this machine (no %s); run this on a node that has it, or install the "
            "package resource-agents",
            agent, path);
    char *text = run_metadata(path);
    if (!text)
        return ph_error_set(error, PH_FAILED, "NAME", "%s does not tell its metadata", agent);
    print_metadata(agent, text);
    free(text);
    return 0;
}

PH_CLI_RUN(driver_show)
{
    const char *names[sizeof(known) / sizeof(known[0])];
    const char *name = cli->argument;
    size_t count = sizeof(known) / sizeof(known[0]);
    if (strncmp(name, "ocf:", 4) == 0)
        return show_agent(name, error);
    for (size_t i = 0; i < count; i++) {
        names[i] = known[i].name;
        if (strcmp(known[i].name, name) != 0)
            continue;
        printf("%s: %s\n", known[i].name, known[i].about);
        if (known[i].settings)
            print_settings(known[i].name, known[i].settings);
        return 0;
    }
    const char *nearest = ph_text_nearest(name, names, count);
    char shown[64];
    return ph_error_set(error, PH_NOT_FOUND, "NAME", "there is no driver %s%s%s%s",
        ph_safe(shown, sizeof(shown), name), nearest ? "; did you mean \"" : "",
        nearest ? nearest : "", nearest ? "\"?" : "");
}
