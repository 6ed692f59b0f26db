/* Fence devices: declared, shown, tested, and a node switched on again. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "cli/declaration.h"
#include "cli/output.h"

#define LOOK_MS 150 /* between two looks at devices that are at work */

/* ---- showing ---- */
static int ask_devices(
    struct ph_cli *cli, const char *node, struct ph_fence_shown *shown, struct ph_error *error)
{
    struct ph_fence_ask ask = {0};
    int rv = node ? ph_cli_name(node, "NAME", ask.node, error) : 0;
    return rv != 0 ? rv
                   : ph_cli_ask(cli, "fence.list", &ph_record_fence_ask, &ask,
                         &ph_record_fence_shown, shown, error);
}

static const char *power_word(const struct ph_fence_view *device)
{
    return ph_enum_word(&ph_enum_power_state, (int)device->power);
}

static void show_devices(struct ph_cli *cli, const struct ph_fence_view_list *devices)
{
    static const char *const headings[] = {
        "NODE", ">LEVEL", "DEVICE", "AGENT", "FROM", "POWER", ">TESTED", "~SAID", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < devices->count; i++) {
        const struct ph_fence_view *device = &devices->items[i];
        char age[32];
        ph_table_row(table);
        ph_table_cell(table, device->node);
        ph_table_cellf(table, "%lld", (long long)device->level);
        ph_table_cell(table, device->name);
        ph_table_cell(table, device->agent);
        ph_table_cell(table, device->usable_from[0] ? device->usable_from : "nowhere now");
        ph_table_cell(table, device->busy ? "asking" : power_word(device));
        ph_table_cell(table, device->checked_at == 0
                                 ? "never"
                                 : ph_age(age, ph_clock_wall_ms() - device->checked_at));
        ph_table_cell(table, device->reason);
    }
    ph_table_end(&table);
}

PH_CLI_RUN(fence_list)
{
    struct ph_fence_shown shown = {0};
    int rv = ask_devices(cli, NULL, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_fence_view, (const struct ph_many *)&shown.devices, error);
    else if (rv == 0 && shown.devices.count == 0)
        puts("No fence device is declared yet. Begin with: poolherd fence apply -f FILE");
    else if (rv == 0)
        show_devices(cli, &shown.devices);
    ph_record_fini(&ph_record_fence_shown, &shown);
    return rv;
}

static void print_texts(const char *label, const struct ph_texts *texts)
{
    printf("  %-12s", label);
    for (size_t i = 0; i < texts->count; i++) {
        char safe[512];
        printf("%s%s", i > 0 ? ", " : "", ph_safe(safe, sizeof(safe), texts->items[i]));
    }
    puts(texts->count == 0 ? "-" : "");
}

static void print_device(struct ph_cli *cli, const struct ph_fence_view *device)
{
    char text[2048], other[32];
    printf("%s, level %lld\n", device->name, (long long)device->level);
    printf("  %-12s%s\n", "agent", ph_safe(text, sizeof(text), device->agent));
    print_texts("options", &device->options);
    print_texts("secrets in", &device->option_files);
    print_texts("run from", &device->run_from);
    printf("  %-12s%s\n", "now from", device->usable_from[0] ? device->usable_from : "nowhere");
    printf("  %-12safter %lld ms of silence, %lld ms for a call, %lld calls\n", "limits",
        (long long)device->delay_ms, (long long)device->timeout_ms, (long long)device->attempts);
    printf("  %-12s%s%s%s%s\n", "power", ph_colour(cli, power_word(device)), power_word(device),
        ph_colour_end(cli), device->busy ? ", being asked" : "");
    if (device->checked_at)
        printf("  %-12s%s from %s%s\n", "tested", ph_time(other, device->checked_at),
            device->checked_from[0] ? device->checked_from : "nowhere",
            device->failures ? ", and failed" : "");
    else
        printf("  %-12snever\n", "tested");
    if (device->failures)
        printf("  %-12s%lld in a row\n", "failures", (long long)device->failures);
    printf(
        "  %-12s%s\n", "said", device->reason ? ph_safe(text, sizeof(text), device->reason) : "-");
}

PH_CLI_RUN(fence_show)
{
    struct ph_fence_shown shown = {0};
    int rv = ask_devices(cli, cli->argument, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_fence_view, (const struct ph_many *)&shown.devices, error);
    else if (rv == 0 && shown.devices.count == 0)
        printf("%s has no fence device. Declare one with: poolherd fence apply -f FILE\n",
            cli->argument);
    for (size_t i = 0; rv == 0 && !cli->json && i < shown.devices.count; i++)
        print_device(cli, &shown.devices.items[i]);
    ph_record_fini(&ph_record_fence_shown, &shown);
    return rv;
}

/* ---- at work ---- */
static bool any_busy(const struct ph_fence_view_list *devices)
{
    for (size_t i = 0; i < devices->count; i++)
        if (devices->items[i].busy)
            return true;
    return false;
}

/* The longest that its devices may take with all their attempts. */
static int64_t limit_ms(const struct ph_fence_view_list *devices)
{
    int64_t longest_ms = 0;
    for (size_t i = 0; i < devices->count; i++) {
        const struct ph_fence_view *device = &devices->items[i];
        int64_t one_ms = (2 * device->timeout_ms + 10000) * device->attempts;
        longest_ms = one_ms > longest_ms ? one_ms : longest_ms;
    }
    return longest_ms;
}

/* Looks until no device is at work, and shows the outcome. wanted: UNKNOWN for any answer. */
static int watch(
    struct ph_cli *cli, const char *node, enum ph_power_state wanted, struct ph_error *error)
{
    struct ph_fence_shown shown = {0};
    uint64_t end_ms = 0;
    size_t bad = 0;
    int rv, quiet = 0;
    do {
        ph_record_fini(&ph_record_fence_shown, &shown);
        rv = ask_devices(cli, node, &shown, error);
        if (end_ms == 0)
            end_ms = ph_clock_boot_ms() + (uint64_t)limit_ms(&shown.devices);
        /* Between two attempts a device is idle for a moment: one that failed is looked at for longer. */
        quiet = any_busy(&shown.devices) ? 0 : quiet + 1;
        bad = 0;
        for (size_t i = 0; rv == 0 && i < shown.devices.count; i++) {
            enum ph_power_state power = shown.devices.items[i].power;
            bad += wanted == PH_POWER_UNKNOWN ? power != PH_POWER_ON && power != PH_POWER_OFF
                                              : power != wanted;
        }
        if (rv == 0 && (quiet == 0 || (wanted != PH_POWER_UNKNOWN && bad > 0 && quiet < 10)))
            (void)poll(NULL, 0, LOOK_MS);
        else
            break;
    } while (ph_clock_boot_ms() < end_ms);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_fence_view, (const struct ph_many *)&shown.devices, error);
    else if (rv == 0)
        show_devices(cli, &shown.devices);
    if (rv == 0 && bad > 0)
        rv = ph_error_set(error, PH_FAILED, NULL,
            wanted == PH_POWER_UNKNOWN ? "%zu of %zu fence devices gave no status"
                                       : "%zu of %zu fence devices did not confirm it",
            bad, shown.devices.count);
    ph_record_fini(&ph_record_fence_shown, &shown);
    return rv;
}

PH_CLI_RUN(fence_test)
{
    struct ph_fence_ask ask = {0};
    struct ph_done done = {0};
    int rv = cli->argument ? ph_cli_name(cli->argument, "NAME", ask.node, error) : 0;
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "fence.test", &ph_record_fence_ask, &ask, &ph_record_done, &done, error);
    ph_record_fini(&ph_record_done, &done);
    return rv != 0 ? rv : watch(cli, cli->argument, PH_POWER_UNKNOWN, error);
}

PH_CLI_RUN(fence_on)
{
    struct ph_named named = {0};
    struct ph_done done = {0};
    int rv = ph_cli_name(cli->argument, "NAME", named.name, error);
    if (rv == 0)
        rv = ph_cli_ask(cli, "fence.on", &ph_record_named, &named, &ph_record_done, &done, error);
    ph_record_fini(&ph_record_done, &done);
    return rv != 0 ? rv : watch(cli, cli->argument, PH_POWER_ON, error);
}

/* ---- declaring ---- */
static void print_change(struct ph_cli *cli, const struct ph_fence_change *change)
{
    bool add = strcmp(change->action, "add") == 0, remove = strcmp(change->action, "remove") == 0;
    const char *colour = !cli->colour ? "" : add ? "\033[32m" : remove ? "\033[31m" : "\033[33m";
    char before[512], after[512];
    printf("%s%c%s %s/%s", colour,
        add      ? '+'
        : remove ? '-'
                 : '~',
        ph_colour_end(cli), change->node, change->device);
    if (change->field && change->field[0])
        printf(": %s %s -> %s", change->field,
            ph_safe(before, sizeof(before), change->before ? change->before : "-"),
            ph_safe(after, sizeof(after), change->after ? change->after : "-"));
    putchar('\n');
}

static int ask_apply(struct ph_cli *cli, struct ph_fence_apply *apply, bool dry_run,
    struct ph_fence_applied *applied, struct ph_error *error)
{
    apply->dry_run = dry_run;
    return ph_cli_ask(cli, "fence.apply", &ph_record_fence_apply, apply, &ph_record_fence_applied,
        applied, error);
}

PH_CLI_RUN(fence_apply)
{
    const char *path = cli->value[PH_CLI_FILE];
    struct ph_fence_apply apply = {.prune = ph_cli_given(cli, PH_CLI_PRUNE)};
    struct ph_fence_applied applied = {0};
    struct ph_yaml *root = NULL;
    bool dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN);
    if (!path)
        return ph_error_set(error, PH_BAD_INPUT, "--file", "is missing: which declaration?");
    int rv = ph_declaration_read_fencing(path, &apply.fencing, &root, error);
    bool preview = !cli->json && !dry_run; /* people see what will change before it does */
    if (rv == 0)
        rv = ask_apply(cli, &apply, dry_run || preview, &applied, error);
    for (size_t i = 0; rv == 0 && !cli->json && i < applied.changes.count; i++)
        print_change(cli, &applied.changes.items[i]);
    if (rv == 0 && preview && !fflush(stdout))
        rv = ask_apply(cli, &apply, false, &applied, error);
    if (rv != 0 && root)
        ph_declaration_locate(root, strcmp(path, "-") == 0 ? "stdin" : path, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_fence_applied, &applied, error);
    else if (rv == 0)
        printf("%lld added, %lld changed, %lld removed, %lld unchanged%s\n",
            (long long)applied.added, (long long)applied.changed, (long long)applied.removed,
            (long long)applied.unchanged, dry_run ? " (a dry run: nothing was changed)" : "");
    ph_yaml_destroy(&root);
    ph_record_fini(&ph_record_fence_apply, &apply);
    ph_record_fini(&ph_record_fence_applied, &applied);
    return rv;
}
