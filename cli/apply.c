/* poolherd pool apply: a declaration to the manager, and what it changes to the reader. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/declaration.h"
#include "cli/output.h"

static void print_change(struct ph_cli *cli, const struct ph_change *change)
{
    bool add = strcmp(change->action, "add") == 0, remove = strcmp(change->action, "remove") == 0;
    const char *colour = !cli->colour ? "" : add ? "\033[32m" : remove ? "\033[31m" : "\033[33m";
    char before[512], after[512];
    printf("%s%c%s %s", colour, add ? '+' : remove ? '-' : '~', ph_colour_end(cli), change->pool);
    if (change->field && change->field[0])
        printf(": %s %s -> %s", change->field,
            ph_safe(before, sizeof(before), change->before ? change->before : "-"),
            ph_safe(after, sizeof(after), change->after ? change->after : "-"));
    putchar('\n');
}

static void print_applied(const struct ph_applied *applied)
{
    printf("%lld added, %lld changed, %lld removed, %lld unchanged%s\n", (long long)applied->added,
        (long long)applied->changed, (long long)applied->removed, (long long)applied->unchanged,
        applied->dry_run ? " (a dry run: nothing was changed)" : "");
}

static int ask(struct ph_cli *cli, struct ph_apply *apply, bool dry_run, struct ph_applied *applied,
    struct ph_error *error)
{
    apply->dry_run = dry_run;
    return ph_cli_ask(
        cli, "pool.apply", &ph_record_apply, apply, &ph_record_applied, applied, error);
}

PH_CLI_RUN(pool_apply)
{
    const char *path = cli->value[PH_CLI_FILE];
    struct ph_apply apply = {.prune = ph_cli_given(cli, PH_CLI_PRUNE)};
    struct ph_applied applied = {0};
    struct ph_yaml *root = NULL;
    bool dry_run = ph_cli_given(cli, PH_CLI_DRY_RUN);
    if (!path)
        return ph_error_set(error, PH_BAD_INPUT, "--file", "is missing: which declaration?");
    int rv = ph_declaration_read(path, &apply.pools, &root, error);
    /* People see what will change before it does. */
    bool preview = !cli->json && !dry_run;
    if (rv == 0)
        rv = ask(cli, &apply, dry_run || preview, &applied, error);
    for (size_t i = 0; rv == 0 && !cli->json && i < applied.changes.count; i++)
        print_change(cli, &applied.changes.items[i]);
    if (rv == 0 && preview && !fflush(stdout))
        rv = ask(cli, &apply, false, &applied, error);
    if (rv != 0 && root)
        ph_declaration_locate(root, path, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_applied, &applied, error);
    else if (rv == 0)
        print_applied(&applied);
    ph_yaml_destroy(&root);
    ph_record_fini(&ph_record_apply, &apply);
    ph_record_fini(&ph_record_applied, &applied);
    return rv;
}
