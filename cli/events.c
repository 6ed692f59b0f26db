#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

#define LOOK_MS 300 /* between two looks with --follow */

static int fill(struct ph_cli *cli, struct ph_events_ask *ask, struct ph_error *error)
{
    int rv = ph_cli_number(cli, PH_CLI_LIMIT, 100, &ask->limit, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_JOB, 0, &ask->job, error);
    if (rv == 0 && cli->value[PH_CLI_POOL])
        rv = ph_cli_name(cli->value[PH_CLI_POOL], "--pool", ask->pool, error);
    if (rv == 0 && cli->value[PH_CLI_NODE])
        rv = ph_cli_name(cli->value[PH_CLI_NODE], "--node", ask->node, error);
    return rv;
}

static void print_events(struct ph_cli *cli, const struct ph_event_list *events)
{
    for (size_t i = 0; i < events->count; i++) {
        const struct ph_event *event = &events->items[i];
        const char *level = ph_enum_word(&ph_enum_event_level, (int)event->level);
        char when[32], text[2048];
        printf("%s.%03d  %s%-7s%s  %-18s ", ph_time(when, event->at), (int)(event->at % 1000),
            ph_colour(cli, level), level, ph_colour_end(cli), event->kind);
        if (event->job)
            printf("job=%lld ", (long long)event->job);
        if (event->node[0])
            printf("node=%s ", event->node);
        if (event->pool[0])
            printf("pool=%s ", event->pool);
        if (event->who[0])
            printf("who=%s ", event->who);
        printf("%s\n", event->message ? ph_safe(text, sizeof(text), event->message) : "");
    }
    fflush(stdout);
}

/* --follow --json prints one object a line; without --follow --json prints one array. */
static int print_each(const struct ph_event_list *events, struct ph_error *error)
{
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < events->count; i++)
        rv = ph_print_one(&ph_record_event, &events->items[i], error);
    fflush(stdout);
    return rv;
}

PH_CLI_RUN(events)
{
    if (ph_cli_given(cli, PH_CLI_STORY))
        return ph_cli_story(cli, error);
    struct ph_events_ask ask = {0};
    bool follow = ph_cli_given(cli, PH_CLI_FOLLOW);
    int rv = fill(cli, &ask, error);
    do {
        struct ph_events_shown shown = {0};
        if (rv == 0)
            rv = ph_cli_ask(
                cli, "events", &ph_record_events_ask, &ask, &ph_record_events_shown, &shown, error);
        if (rv == 0 && cli->json && follow)
            rv = print_each(&shown.events, error);
        else if (rv == 0 && cli->json)
            rv = ph_print_many(&ph_record_event, (const struct ph_many *)&shown.events, error);
        else if (rv == 0)
            print_events(cli, &shown.events);
        if (rv == 0 && shown.events.count > 0)
            ask.after = shown.events.items[shown.events.count - 1].id;
        ph_record_fini(&ph_record_events_shown, &shown);
        if (rv == 0 && follow)
            poll(NULL, 0, LOOK_MS); /* until the next look; ends with a signal */
    } while (rv == 0 && follow);
    return rv;
}
