/* config.json. What a container may do is decided here: the defaults are those people know from other runtimes,
 * less making device nodes (its cgroup, shared with nothing else, has no device rules) and raw sockets. */
#include <errno.h>
#include <jansson.h>
#include <string.h>
#include "agent/work/container.h"
#include "proto/container.h"

#define PATH_USUAL "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static const char *text_or(const char *text, const char *otherwise)
{
    return text == NULL || text[0] == '\0' ? otherwise : text;
}

static json_t *list(const char *const *words)
{
    json_t *array = json_array();
    for (; *words != NULL; words++)
        json_array_append_new(array, json_string(*words));
    return array;
}

/* ---- the process */

/* A name that comes later stands instead of an earlier one: what is declared, instead of what is usual. */
static json_t *environment(const struct ph_vm *vm, const struct ph_command *command)
{
    json_t *words = json_array();
    bool path = false, home = false;
    for (size_t i = 0; i < vm->environment.count; i++) {
        path = path || strncmp(vm->environment.items[i], "PATH=", 5) == 0;
        home = home || strncmp(vm->environment.items[i], "HOME=", 5) == 0;
    }
    if (!path)
        json_array_append_new(words, json_string(PATH_USUAL));
    if (!home)
        json_array_append_new(words, json_string("HOME=/"));
    for (char **word = command->environment; *word != NULL; word++)
        if (strncmp(*word, "POOLHERD_", 9) == 0)
            json_array_append_new(words, json_string(*word));
    for (size_t i = 0; i < vm->environment.count; i++)
        json_array_append_new(words, json_string(vm->environment.items[i]));
    return words;
}

static json_t *capabilities(bool root)
{
    static const char *const usual[] = {"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
        "CAP_KILL", "CAP_NET_BIND_SERVICE", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
        "CAP_SETUID", "CAP_SYS_CHROOT", NULL};
    static const char *const none[] = {NULL};
    return json_pack("{s:o,s:o,s:o}", "bounding", list(usual), "permitted",
        list(root ? usual : none), "effective", list(root ? usual : none));
}

static json_t *process(
    const struct ph_vm *vm, const struct ph_container *container, const struct ph_command *command)
{
    json_t *arguments = json_array();
    for (char **word = command->argv; *word != NULL; word++)
        json_array_append_new(arguments, json_string(*word));
    return json_pack("{s:b,s:{s:I,s:I},s:o,s:o,s:s,s:b,s:o}", "terminal", 0, "user", "uid",
        (json_int_t)container->uid, "gid", (json_int_t)container->gid, "args", arguments, "env",
        environment(vm, command), "cwd", text_or(container->directory, "/"), "noNewPrivileges", 1,
        "capabilities", capabilities(container->uid == 0));
}

/* ---- file systems and namespaces */

static json_t *mounts(const struct ph_container *container, const struct ph_texts *sources)
{
    static const struct {
        const char *target, *type, *options[8];
    } usual[] = {{"/proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=1m"}},
        {"/dev/pts", "devpts", {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"}},
        {"/dev/shm", "tmpfs", {"nosuid", "noexec", "nodev", "mode=1777", "size=64m"}},
        {"/sys", "sysfs", {"nosuid", "noexec", "nodev", "ro"}}};
    json_t *all = json_array();
    for (size_t i = 0; i < sizeof usual / sizeof usual[0]; i++)
        json_array_append_new(
            all, json_pack("{s:s,s:s,s:s,s:o}", "destination", usual[i].target, "type",
                     usual[i].type, "source", usual[i].type, "options", list(usual[i].options)));
    for (size_t i = 0; i < container->mounts.count; i++) {
        struct ph_container_mount mount;
        if (!ph_container_mount_parse(container->mounts.items[i], &mount))
            continue; /* was checked */
        json_array_append_new(
            all, json_pack("{s:s,s:s,s:s,s:[s,s,s,s]}", "destination", mount.target, "type", "bind",
                     "source", sources->items[i], "options", "rbind", "nosuid", "nodev",
                     mount.read_only ? "ro" : "rw"));
    }
    return all;
}

static json_t *linux_part(const struct ph_container *container)
{
    static const char *const masked[] = {"/proc/acpi", "/proc/kcore", "/proc/keys",
        "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
        "/proc/timer_stats", "/sys/firmware", NULL};
    static const char *const read_only[] = {
        "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", NULL};
    json_t *namespaces = json_pack(
        "[{s:s},{s:s},{s:s},{s:s}]", "type", "pid", "type", "mount", "type", "ipc", "type", "uts");
    if (container->network == PH_NETWORK_NONE)
        json_array_append_new(namespaces, json_pack("{s:s}", "type", "network"));
    return json_pack("{s:o,s:o,s:o}", "namespaces", namespaces, "maskedPaths", list(masked),
        "readonlyPaths", list(read_only));
}

int ph_container_config(const struct ph_vm *vm, const struct ph_container *container,
    const struct ph_command *command, const char *root, const struct ph_texts *sources,
    char **text_out)
{
    json_t *config = json_pack("{s:s,s:o,s:{s:s,s:b},s:s,s:o,s:o}", "ociVersion", "1.0.0",
        "process", process(vm, container, command), "root", "path", root, "readonly",
        (int)container->read_only, "hostname", text_or(container->hostname, vm->name), "mounts",
        mounts(container, sources), "linux", linux_part(container));
    if (config == NULL)
        return -EINVAL;
    *text_out = json_dumps(config, JSON_COMPACT);
    json_decref(config);
    return *text_out == NULL ? -ENOMEM : 0;
}
