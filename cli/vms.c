/* What is asked of VMs. */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/output.h"
#include "cli/show.h"

#define LOOK_AGAIN_MS 100

static void size_cell(struct ph_table *table, int64_t mib)
{
    if (mib > 0)
        ph_table_cellf(table, "%lld MiB", (long long)mib);
    else
        ph_table_cell(table, "");
}

static void show_vms(struct ph_cli *cli, const struct ph_vm_view_list *vms)
{
    static const char *const headings[] = {"POOL/VM", "KIND", "STATE", "GUEST", "NODE", ">MEMORY",
        ">DISK", "ADDRESSES", "~REASON", NULL};
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < vms->count; i++) {
        const struct ph_vm_view *vm = &vms->items[i];
        char addresses[256];
        size_t used = 0;
        addresses[0] = 0;
        for (size_t j = 0; j < vm->addresses.count && used < sizeof(addresses) - 1; j++)
            used += ph_text_format(addresses + used, sizeof(addresses) - used, "%s%s",
                j > 0 ? " " : "", vm->addresses.items[j]);
        ph_table_row(table);
        ph_table_cellf(table, "%s/%s", vm->pool, vm->name);
        ph_table_cell(table, vm->kind);
        ph_table_cell(table, vm->halted && vm->state == PH_VM_STOPPED
                                 ? "halted"
                                 : ph_enum_word(&ph_enum_vm_state, (int)vm->state));
        ph_table_cell(table, vm->guest ? vm->guest : "");
        ph_table_cell(table, vm->node);
        size_cell(table, vm->memory_used_mib);
        size_cell(table, vm->disk_used_mib);
        ph_table_cell(table, addresses);
        ph_table_cell(table, vm->reason);
    }
    ph_table_end(&table);
}

PH_CLI_RUN(vm_list)
{
    static const struct ph_nothing nothing;
    struct ph_vms_shown shown = {0};
    int rv = ph_cli_ask(
        cli, "vm.list", &ph_record_nothing, &nothing, &ph_record_vms_shown, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_many(&ph_record_vm_view, (const struct ph_many *)&shown.vms, error);
    else if (rv == 0 && shown.vms.count == 0)
        puts("No VM is declared yet.");
    else if (rv == 0)
        show_vms(cli, &shown.vms);
    ph_record_fini(&ph_record_vms_shown, &shown);
    return rv;
}

/* POOL/VM */
static int read_name(struct ph_cli *cli, struct ph_vm_named *named, struct ph_error *error)
{
    char pool[2 * PH_NAME_BYTES_MAX + 8];
    const char *slash = cli->argument ? strchr(cli->argument, '/') : NULL;
    char shown[64];
    if (!slash)
        return ph_error_set(error, PH_BAD_INPUT, "POOL/VM",
            "\"%s\" must be a pool and a VM in it, such as shop/db",
            ph_text_printable(shown, sizeof(shown), cli->argument ? cli->argument : ""));
    ph_text_format(pool, sizeof(pool), "%.*s", (int)(slash - cli->argument), cli->argument);
    int rv = ph_cli_name(pool, "POOL/VM", named->pool, error);
    return rv != 0 ? rv : ph_cli_name(slash + 1, "POOL/VM", named->vm, error);
}

static int look(struct ph_cli *cli, const struct ph_vm_named *named, struct ph_vms_shown *shown,
    struct ph_error *error)
{
    int rv =
        ph_cli_ask(cli, "vm.show", &ph_record_vm_named, named, &ph_record_vms_shown, shown, error);
    if (rv == 0 && shown->vms.count != 1) {
        ph_record_fini(&ph_record_vms_shown, shown);
        rv = ph_error_set(
            error, PH_NOT_FOUND, "POOL/VM", "there is no VM %s/%s", named->pool, named->vm);
    }
    return rv;
}

static void print_vm(struct ph_cli *cli, const struct ph_vm_view *vm)
{
    const char *state = ph_enum_word(&ph_enum_vm_state, (int)vm->state);
    char text[2048];
    printf("%-13s%s/%s (%s)\n", "vm", vm->pool, vm->name, vm->kind);
    printf("%-13s%s%s%s%s\n", "state", ph_colour(cli, state), state, ph_colour_end(cli),
        vm->halted ? ", halted by an operator" : "");
    printf("%-13s%s\n", "reason", ph_safe(text, sizeof(text), vm->reason ? vm->reason : "-"));
    printf("%-13s%s, pid %lld, restarted %lld times\n", "node", vm->node[0] ? vm->node : "-",
        (long long)vm->pid, (long long)vm->restarts);
    if (strcmp(vm->kind, "qemu") != 0)
        return;
    printf("%-13s%s\n", "guest", ph_safe(text, sizeof(text), vm->guest ? vm->guest : "-"));
    printf("%-13s%s\n", "accelerator",
        ph_safe(text, sizeof(text), vm->accelerator ? vm->accelerator : "-"));
    printf("%-13s%lld MiB of the node's memory, %lld MiB of the pool\n", "uses",
        (long long)vm->memory_used_mib, (long long)vm->disk_used_mib);
    printf("%-13s%s\n", "vnc", ph_safe(text, sizeof(text), vm->vnc ? vm->vnc : "-"));
    for (size_t i = 0; i < vm->addresses.count; i++)
        printf("%-13s%s\n", "address", ph_safe(text, sizeof(text), vm->addresses.items[i]));
    for (size_t i = 0; i < vm->labels.count; i++)
        printf("%-13s%s\n", "label", ph_safe(text, sizeof(text), vm->labels.items[i]));
}

PH_CLI_RUN(vm_show)
{
    struct ph_vm_named named = {0};
    struct ph_vms_shown shown = {0};
    int rv = read_name(cli, &named, error);
    if (rv == 0)
        rv = look(cli, &named, &shown, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_vm_view, &shown.vms.items[0], error);
    else if (rv == 0)
        print_vm(cli, &shown.vms.items[0]);
    ph_record_fini(&ph_record_vms_shown, &shown);
    return rv;
}

/* Looks until the VM is what was asked for, or cannot become it. */
static int wait_for(
    struct ph_cli *cli, const struct ph_vm_named *named, bool run, struct ph_error *error)
{
    for (;;) {
        struct ph_vms_shown shown = {0};
        int rv = look(cli, named, &shown, error);
        if (rv != 0)
            return rv;
        const struct ph_vm_view *vm = &shown.vms.items[0];
        bool done = run ? vm->state == PH_VM_RUNNING : vm->state == PH_VM_STOPPED;
        if (vm->halted == run)
            rv = ph_error_set(
                error, PH_FAILED, NULL, "somebody %s it meanwhile", run ? "stopped" : "started");
        else if (!done && !vm->node[0])
            rv = run ? ph_error_set(
                           error, PH_STATE_FORBIDS, NULL, "its pool %s is on no node", vm->pool)
                     : 0;
        else if (!done && run && (vm->state == PH_VM_FAILED || vm->state == PH_VM_ENDED))
            rv = ph_error_set(
                error, PH_FAILED, NULL, "%s", vm->reason ? vm->reason : "it did not start");
        else
            rv = done ? 0 : 1;
        ph_record_fini(&ph_record_vms_shown, &shown);
        if (rv <= 0)
            return rv;
        (void)poll(NULL, 0, LOOK_AGAIN_MS);
    }
}

static int change(struct ph_cli *cli, const char *type, bool run, struct ph_error *error)
{
    struct ph_vm_named named = {0};
    struct ph_done done = {0};
    char text[2048];
    int rv = read_name(cli, &named, error);
    if (rv == 0)
        rv = ph_cli_ask(cli, type, &ph_record_vm_named, &named, &ph_record_done, &done, error);
    if (rv == 0 && cli->json)
        rv = ph_print_one(&ph_record_done, &done, error);
    else if (rv == 0)
        printf("%s\n", ph_safe(text, sizeof(text), done.message ? done.message : "done"));
    if (rv == 0 && ph_cli_given(cli, PH_CLI_WAIT))
        rv = wait_for(cli, &named, run, error);
    ph_record_fini(&ph_record_done, &done);
    return rv;
}

PH_CLI_RUN(vm_start)
{
    return change(cli, "vm.start", true, error);
}

PH_CLI_RUN(vm_stop)
{
    return change(cli, "vm.stop", false, error);
}
