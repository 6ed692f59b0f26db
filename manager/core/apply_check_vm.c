/*
 * Whether the VMs of a declaration are sound. Changes nothing; part of apply_check.c's work.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/codec.h"
#include "proto/container.h"
#include "proto/qemu.h"
#include "proto/resource.h"

static bool one_of(const char *word, const char *const *words)
{
    for (size_t i = 0; words[i] != NULL; i++) {
        if (strcmp(words[i], word) == 0)
            return true;
    }
    return false;
}

/* ---- workloads ---- */
/* A placeholder is {word} of a-z and _; any other brace stands for itself. */
static int check_word(const struct core_apply_place *at, const char *field, const char *word)
{
    static const char *const known[] = {"pool_path", "pool", "node", "epoch", "vm", NULL};
    char name[32];

    for (const char *open = strchr(word, '{'); open != NULL; open = strchr(open + 1, '{')) {
        size_t length = strspn(open + 1, "abcdefghijklmnopqrstuvwxyz_");

        if (length == 0 || open[1 + length] != '}')
            continue;
        ph_text_format(name, sizeof name, "%.*s", (int)(length < 31 ? length : 31), open + 1);
        if (length > 31 || !one_of(name, known))
            return core_apply_fault(at, field,
                "{%s} is no placeholder; there are {pool_path}, {pool}, {node}, {epoch}, {vm}",
                name);
    }
    return 0;
}

static size_t variable_name_length(const char *text)
{
    size_t length = strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_");

    return length > 0 && (text[0] < '0' || text[0] > '9') && text[length] == '=' ? length : 0;
}

static int check_environment(
    const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    char field[96], said[80];

    for (size_t i = 0; i < vm->environment.count; i++) {
        const char *word = vm->environment.items[i];
        size_t length = variable_name_length(word);

        ph_text_format(field, sizeof field, "vms[%zu].environment[%zu]", v, i);
        if (length == 0)
            return core_apply_fault(at, field,
                "\"%s\" must be NAME=value, NAME of letters, digits and _",
                ph_text_printable(said, sizeof said, word));
        if (strncmp(word, "POOLHERD_", 9) == 0)
            return core_apply_fault(at, field, "POOLHERD_ variables are set by the agent");
        for (size_t j = 0; j < i; j++) {
            if (strncmp(vm->environment.items[j], word, length + 1) == 0)
                return core_apply_fault(
                    at, field, "%.*s is set twice", (int)(length < 64 ? length : 64), word);
        }
    }
    return 0;
}

static int check_process(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    static const char *const signals[] = {"", "term", "int", "quit", "hup", "usr1", "usr2", NULL};
    char field[96];
    int rv;

    ph_text_format(field, sizeof field, "vms[%zu].stop_signal", v);
    if (!one_of(vm->stop_signal, signals))
        return core_apply_fault(
            at, field, "%s must be term, int, quit, hup, usr1 or usr2", vm->stop_signal);
    ph_text_format(field, sizeof field, "vms[%zu].command", v);
    if (vm->command.count == 0 || vm->command.items[0][0] == '\0')
        return core_apply_fault(
            at, field, "vm %s needs a command: a program and its arguments", vm->name);
    for (size_t i = 0; i < vm->command.count; i++) {
        ph_text_format(field, sizeof field, "vms[%zu].command[%zu]", v, i);
        rv = check_word(at, field, vm->command.items[i]);
        if (rv != 0)
            return rv;
    }
    return check_environment(at, vm, v);
}

/* What only a kind with a command of its own has. */
static int check_no_command(
    const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v, const char *instead)
{
    char field[96];

    ph_text_format(field, sizeof field, "vms[%zu].command", v);
    if (vm->command.count > 0)
        return core_apply_fault(at, field, "is for kind: process; %s", instead);
    ph_text_format(field, sizeof field, "vms[%zu].environment", v);
    if (vm->environment.count > 0)
        return core_apply_fault(at, field, "is for kind: process");
    ph_text_format(field, sizeof field, "vms[%zu].stop_signal", v);
    if (vm->stop_signal[0] != '\0')
        return core_apply_fault(at, field, "is for kind: process; this one is stopped otherwise");
    return 0;
}

static int section_fault(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v,
    const char *section, const struct ph_error *error)
{
    char field[160];

    ph_text_format(field, sizeof field, "vms[%zu].%s.%.100s", v, section, error->field);
    return core_apply_fault(at, field, "vm %s: %s", vm->name, error->message);
}

static int check_qemu(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    struct ph_error error = {0};
    int rv = check_no_command(at, vm, v, "what a machine starts from is in qemu");

    if (rv == 0 && ph_qemu_check(&vm->qemu, &error) != 0)
        rv = section_fault(at, vm, v, "qemu", &error);
    return rv;
}

static int check_container(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    struct ph_error error = {0};
    int rv = check_process(at, vm, v);

    if (rv == 0 && ph_container_check(&vm->container, &error) != 0)
        rv = section_fault(at, vm, v, "container", &error);
    return rv;
}

static int check_resource(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    struct ph_error error = {0};
    int rv = check_no_command(at, vm, v, "what the resource agent does is in ocf");

    if (rv == 0 && ph_resource_check(&vm->ocf, &error) != 0)
        rv = section_fault(at, vm, v, "ocf", &error);
    return rv;
}

/* A section of another kind would be passed over without a word. */
static int check_sections(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    const struct {
        const char *kind;
        const struct ph_record *record;
        const void *section;
    } sections[] = {{"qemu", &ph_record_qemu, &vm->qemu},
        {"container", &ph_record_container, &vm->container},
        {"ocf", &ph_record_resource, &vm->ocf}};
    char field[96];

    for (size_t i = 0; i < sizeof sections / sizeof sections[0]; i++) {
        ph_text_format(field, sizeof field, "vms[%zu].%s", v, sections[i].kind);
        if (strcmp(vm->kind, sections[i].kind) != 0 &&
            !ph_record_empty(sections[i].record, sections[i].section))
            return core_apply_fault(at, field, "is for kind: %s", sections[i].kind);
    }
    return 0;
}

static int check_labels(const struct core_apply_place *at, const struct ph_vm_spec *vm, size_t v)
{
    char field[96], said[80];

    for (size_t i = 0; i < vm->labels.count; i++) {
        const char *word = vm->labels.items[i];

        ph_text_format(field, sizeof field, "vms[%zu].labels[%zu]", v, i);
        if (word[0] == '=' || strchr(word, '=') == NULL)
            return core_apply_fault(at, field, "\"%s\" is no label; key=value is",
                ph_text_printable(said, sizeof said, word));
    }
    return 0;
}

static int check_vm(const struct core_apply_place *at, size_t v)
{
    const struct ph_vm_spec *vm = &at->spec->vms.items[v];
    char field[96];
    int rv;

    ph_text_format(field, sizeof field, "vms[%zu].name", v);
    if (!ph_name_valid(vm->name))
        return core_apply_fault(at, field, "a vm needs a name of a-z 0-9 . _ -");
    rv = check_sections(at, vm, v);
    if (rv != 0)
        return rv;
    ph_text_format(field, sizeof field, "vms[%zu].kind", v);
    if (strcmp(vm->kind, "process") == 0)
        rv = check_process(at, vm, v);
    else if (strcmp(vm->kind, "qemu") == 0)
        rv = check_qemu(at, vm, v);
    else if (strcmp(vm->kind, "container") == 0)
        rv = check_container(at, vm, v);
    else if (strcmp(vm->kind, "ocf") == 0)
        rv = check_resource(at, vm, v);
    else
        return core_apply_fault(at, field,
            "there is no workload driver %s; there are process, qemu, container and ocf", vm->kind);
    return rv != 0 ? rv : check_labels(at, vm, v);
}

/* All of them have to fit into one order. */
static int check_settings_size(const struct core_apply_place *at)
{
    size_t total = 0;

    for (size_t v = 0; v < at->spec->vms.count; v++) {
        const struct ph_vm_spec *vm = &at->spec->vms.items[v];
        char *text = NULL;
        size_t bytes = 0;
        int rv =
            strcmp(vm->kind, "container") == 0
                ? ph_encode(&ph_record_container, &vm->container, PH_ENCODE_WIRE, &text, &bytes)
            : strcmp(vm->kind, "ocf") == 0
                ? ph_encode(&ph_record_resource, &vm->ocf, PH_ENCODE_WIRE, &text, &bytes)
                : ph_encode(&ph_record_qemu, &vm->qemu, PH_ENCODE_WIRE, &text, &bytes);

        free(text);
        if (rv != 0)
            return rv;
        total += bytes;
        if (bytes > PH_VM_SETTINGS_BYTES_MAX || total > PH_VM_SETTINGS_OF_POOL_BYTES_MAX)
            return core_apply_fault(at, "vms",
                "the settings of its VMs have too many bytes: at most %d of one and %d of all",
                PH_VM_SETTINGS_BYTES_MAX, PH_VM_SETTINGS_OF_POOL_BYTES_MAX);
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int core_apply_check_vms(const struct core_apply_place *at)
{
    const char *names[PH_VMS_PER_POOL_MAX];
    size_t count = at->spec->vms.count;
    int rv;

    if (count > PH_VMS_PER_POOL_MAX)
        return core_apply_fault(
            at, "vms", "%zu VMs; a pool has at most %d", count, PH_VMS_PER_POOL_MAX);
    for (size_t v = 0; v < count; v++) {
        rv = check_vm(at, v);
        if (rv != 0)
            return rv;
        names[v] = at->spec->vms.items[v].name;
    }
    if (count == 0)
        return 0;
    qsort(names, count, sizeof names[0], by_name);
    for (size_t v = 1; v < count; v++) {
        if (strcmp(names[v - 1], names[v]) == 0)
            return core_apply_fault(at, "vms", "vm %s is declared twice", names[v]);
    }
    return check_settings_size(at);
}
