/* Data of former owners that newer copies replaced. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

void ph_show_diverged(struct ph_cli *cli, const struct ph_diverged_view_list *items)
{
    static const char *const headings[] = {
        "SET ASIDE", "POOL", ">EPOCH", "SINCE", "REMOVED AFTER", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < items->count; i++) {
        const struct ph_diverged_view *item = &items->items[i];
        char when[32];
        ph_table_row(table);
        ph_table_cellf(table, "%s/%s", item->node, item->name);
        ph_table_cell(table, item->pool);
        ph_table_cellf(table, "%lld", (long long)item->epoch);
        ph_table_cell(table, ph_time(when, item->since));
        ph_table_cell(table, item->dropping          ? "now"
                             : item->expires_at == 0 ? "never"
                                                     : ph_time(when, item->expires_at));
    }
    ph_table_end(&table);
}

PH_CLI_RUN(diverged_list)
{
    static const struct ph_nothing nothing;
    struct ph_diverged_shown shown = {0};
    int rv = ph_cli_ask(cli, "diverged.show", &ph_record_nothing, &nothing,
        &ph_record_diverged_shown, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_diverged_view, (const struct ph_many *)&shown.items, error);
    else if (rv == 0 && shown.items.count == 0)
        puts("No node has set data of a pool aside.");
    else if (rv == 0)
        ph_show_diverged(cli, &shown.items);
    ph_record_fini(&ph_record_diverged_shown, &shown);
    return rv;
}

PH_CLI_RUN(diverged_drop)
{
    struct ph_diverged_ask ask = {0};
    struct ph_done done = {0};
    char node[PH_NAME_BYTES_MAX + 1], text[2048];
    const char *slash = strchr(cli->argument, '/');
    if (!slash || slash - cli->argument > PH_NAME_BYTES_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "NODE/NAME",
            "\"%s\" must be a node and a name, as n1/web.diverged-e3",
            ph_text_printable(text, sizeof(text), cli->argument));
    ph_text_format(node, sizeof(node), "%.*s", (int)(slash - cli->argument), cli->argument);
    int rv = ph_cli_name(node, "NODE/NAME", ask.node, error);
    if (rv == 0 && ph_set_text(&ask.name, slash + 1) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (rv == 0)
        rv = ph_cli_ask(
            cli, "diverged.remove", &ph_record_diverged_ask, &ask, &ph_record_done, &done, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_done, &done, error);
    else if (rv == 0)
        puts(ph_safe(text, sizeof(text), done.message));
    ph_record_fini(&ph_record_diverged_ask, &ask);
    ph_record_fini(&ph_record_done, &done);
    return rv;
}
