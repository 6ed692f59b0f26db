/* What is done to a VM once: each request is a job of its own. */
#include <jansson.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

#define LOOK_AGAIN_MS 50

/* POOL/VM, or POOL/VM@SNAPSHOT */
static int read_target(struct ph_cli *cli, const char *usage, bool snapshot,
    struct ph_vm_operate *asked, struct ph_error *error)
{
    char pool[2 * PH_NAME_BYTES_MAX + 8], vm[2 * PH_NAME_BYTES_MAX + 8], shown[64];
    const char *text = cli->argument ? cli->argument : "";
    const char *slash = strchr(text, '/'), *at = slash ? strchr(slash, '@') : NULL;
    if (!slash || (at != NULL) != snapshot)
        return ph_error_set(error, PH_BAD_INPUT, usage, "\"%s\" must be %s, such as %s",
            ph_text_printable(shown, sizeof(shown), text),
            snapshot ? "a pool, a VM in it and a snapshot" : "a pool and a VM in it",
            snapshot ? "shop/db@before-upgrade" : "shop/db");
    ph_text_format(pool, sizeof(pool), "%.*s", (int)(slash - text), text);
    ph_text_format(
        vm, sizeof(vm), "%.*s", at ? (int)(at - slash - 1) : (int)strlen(slash + 1), slash + 1);
    int rv = ph_cli_name(pool, usage, asked->pool, error);
    if (rv == 0)
        rv = ph_cli_name(vm, usage, asked->vm, error);
    return rv != 0 || !snapshot ? rv : ph_cli_name(at + 1, usage, asked->item, error);
}

static int ask(struct ph_cli *cli, enum ph_vm_operation operation, bool snapshot,
    struct ph_done *done, struct ph_error *error)
{
    struct ph_vm_operate asked = {.operation = operation};
    char id[128];
    int rv = read_target(cli, snapshot ? "POOL/VM@SNAPSHOT" : "POOL/VM", snapshot, &asked, error);
    ph_text_format(id, sizeof(id), "%s",
        ph_cli_given(cli, PH_CLI_REQUEST_ID) ? cli->value[PH_CLI_REQUEST_ID] : "");
    asked.request_id = id[0] ? id : NULL;
    return rv != 0 ? rv
                   : ph_cli_ask(cli, "vm.operate", &ph_record_vm_operate, &asked, &ph_record_done,
                         done, error);
}

static int operate(
    struct ph_cli *cli, enum ph_vm_operation operation, bool snapshot, struct ph_error *error)
{
    struct ph_done done = {0};
    char text[2048];
    int rv = ask(cli, operation, snapshot, &done, error);
    bool wait = ph_cli_given(cli, PH_CLI_WAIT);
    if (rv == 0 && cli->json && !wait)
        rv = ph_print_one(&ph_record_done, &done, error);
    else if (rv == 0 && !cli->json && !wait)
        printf("%s\n", ph_safe(text, sizeof(text), done.message ? done.message : "done"));
    if (rv == 0 && wait)
        rv = ph_cli_follow(cli, done.job, error);
    ph_record_fini(&ph_record_done, &done);
    return rv;
}

PH_CLI_RUN(vm_reset)
{
    return operate(cli, PH_OPERATION_RESET, false, error);
}

PH_CLI_RUN(vm_pause)
{
    return operate(cli, PH_OPERATION_PAUSE, false, error);
}

PH_CLI_RUN(vm_resume)
{
    return operate(cli, PH_OPERATION_RESUME, false, error);
}

PH_CLI_RUN(snapshot_create)
{
    return operate(cli, PH_OPERATION_SNAPSHOT_CREATE, true, error);
}

PH_CLI_RUN(snapshot_rollback)
{
    return operate(cli, PH_OPERATION_SNAPSHOT_ROLLBACK, true, error);
}

PH_CLI_RUN(snapshot_delete)
{
    return operate(cli, PH_OPERATION_SNAPSHOT_DELETE, true, error);
}

/* ---- the list, which is known at the VM's node alone ---- */

static int await_job(
    struct ph_cli *cli, int64_t id, struct ph_jobs_shown *shown, struct ph_error *error)
{
    struct ph_numbered numbered = {.id = id};
    for (;;) {
        int rv = ph_cli_ask(
            cli, "job.show", &ph_record_numbered, &numbered, &ph_record_jobs_shown, shown, error);
        if (rv != 0)
            return rv;
        if (shown->jobs.count == 1 && shown->jobs.items[0].ended_at > 0)
            break;
        ph_record_fini(&ph_record_jobs_shown, shown);
        (void)poll(NULL, 0, LOOK_AGAIN_MS);
    }
    const struct ph_job *job = &shown->jobs.items[0];
    return job->state == PH_JOB_SUCCEEDED ? 0
                                          : ph_error_set(error, PH_FAILED, NULL, "%s",
                                                job->reason ? job->reason : "no reason given");
}

static void print_snapshots(struct ph_cli *cli, const json_t *list)
{
    static const char *const headings[] = {"SNAPSHOT", ">AGE", ">MEMORY", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i);
        char age[32];
        ph_table_row(table);
        ph_table_cell(table, json_string_value(json_object_get(item, "name")));
        ph_table_cell(table,
            ph_age(age, ph_clock_wall_ms() - json_integer_value(json_object_get(item, "at"))));
        ph_table_cellf(
            table, "%lld MiB", (long long)json_integer_value(json_object_get(item, "memory_mib")));
    }
    ph_table_end(&table);
}

PH_CLI_RUN(snapshot_list)
{
    struct ph_done done = {0};
    struct ph_jobs_shown shown = {0};
    int rv = ask(cli, PH_OPERATION_SNAPSHOT_LIST, false, &done, error);
    if (rv == 0)
        rv = await_job(cli, done.job, &shown, error);
    const char *found = rv == 0 ? shown.jobs.items[0].result : NULL;
    if (rv == 0 && cli->json) {
        puts(found ? found : "[]");
    } else if (rv == 0) {
        json_t *list = json_loads(found ? found : "[]", 0, NULL);
        if (json_array_size(list) == 0)
            puts("It has no snapshot.");
        else
            print_snapshots(cli, list);
        json_decref(list);
    }
    ph_record_fini(&ph_record_jobs_shown, &shown);
    ph_record_fini(&ph_record_done, &done);
    return rv;
}
