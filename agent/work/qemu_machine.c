#include "agent/work/qemu_machine.h"

#include <errno.h>
#include <jansson.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "proto/qemu.h"

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

/* ---- names derived from where the VM belongs */

static void derive(const struct ph_work_context *context, const char *what, const char *name,
    unsigned char *out, size_t bytes)
{
    /* Names have no "/", so no two tuples give one text. */
    char text[4 * (PH_NAME_BYTES_MAX + 1) + 96];
    unsigned char hash[crypto_generichash_BYTES];
    ph_text_format(text, sizeof text, "%s/%s/%s/%s/%s", what, text_of(context->cluster),
        context->pool->name, context->vm->name, name);
    crypto_generichash(hash, sizeof hash, (const unsigned char *)text, strlen(text), NULL, 0);
    memcpy(out, hash, bytes);
}

void ph_qemu_mac(const struct ph_work_context *context, const struct ph_qemu_nic *nic, char out[18])
{
    unsigned char mac[6] = {0x02}; /* locally administered, of one machine */
    if (text_of(nic->mac)[0] == '\0' || !ph_mac_parse(nic->mac, mac)) {
        mac[0] = 0x02;
        derive(context, "mac", nic->name, mac + 1, 5);
    }
    ph_text_format(
        out, 18, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
}

void ph_qemu_tap(const struct ph_work_context *context, const struct ph_qemu_nic *nic,
    char out[PH_QEMU_TAP_BYTES])
{
    unsigned char id[6];
    derive(context, "tap", nic->name, id, sizeof id);
    ph_text_format(out, PH_QEMU_TAP_BYTES, "ph%02x%02x%02x%02x%02x%02x", id[0], id[1], id[2], id[3],
        id[4], id[5]);
}

void ph_qemu_uuid(const struct ph_work_context *context, char out[37])
{
    unsigned char b[16];
    derive(context, "uuid", "", b, sizeof b);
    b[6] = (unsigned char)((b[6] & 0x0f) | 0x80); /* RFC 9562: version 8, made as one likes */
    b[8] = (unsigned char)((b[8] & 0x3f) | 0x80);
    ph_text_format(out, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x",
        b[0], b[1], b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13],
        b[14], b[15]);
}

int ph_qemu_path(const struct ph_work_context *context, const char *file, char out[PATH_MAX])
{
    if (file[0] == '/')
        return ph_text_format(out, PATH_MAX, "%s", file) == strlen(file) ? 0 : -ENAMETOOLONG;
    return ph_path_join(out, PATH_MAX, context->pool_path, file);
}

int ph_qemu_disk_path(
    const struct ph_work_context *context, const struct ph_qemu_disk *disk, char out[PATH_MAX])
{
    char name[2 * PH_NAME_BYTES_MAX + 16];
    if (text_of(disk->file)[0] != '\0')
        return ph_qemu_path(context, disk->file, out);
    ph_text_format(name, sizeof name, "%s-%s.%s", context->vm->name, disk->name,
        ph_enum_word(&ph_enum_disk_format, (int)disk->format));
    return ph_qemu_path(context, name, out);
}

/* ---- the command line, word by word; the first failure stays */

struct words {
    const struct ph_qemu_machine *machine;
    struct ph_texts *texts;
    int error;
};

static void add(struct words *words, const char *format, ...) __attribute__((format(printf, 2, 3)));

static void add(struct words *words, const char *format, ...)
{
    char text[PH_ARGUMENT_BYTES_MAX];
    va_list arguments;
    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (words->error == 0)
        words->error = ph_texts_add(words->texts, text);
}

/* Takes `value`; NULL means that memory was out. */
static void add_json(struct words *words, const char *option, json_t *value)
{
    char *text = value == NULL ? NULL : json_dumps(value, JSON_COMPACT);
    json_decref(value);
    if (text == NULL && words->error == 0)
        words->error = -ENOMEM;
    if (words->error == 0)
        words->error = ph_texts_add(words->texts, option);
    if (words->error == 0)
        words->error = ph_texts_add(words->texts, text);
    free(text);
}

static void add_base(struct words *words)
{
    const struct ph_qemu_machine *machine = words->machine;
    const struct ph_qemu *qemu = machine->qemu;
    const char *type = text_of(qemu->machine), *cpu = text_of(qemu->cpu);
    char uuid[37];
    ph_qemu_uuid(machine->context, uuid);
    add(words, PH_QEMU_PROGRAM);
    add(words, "-nodefaults");
    add(words, "-no-user-config");
    add(words, "-sandbox");
    add(words, "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny");
    add(words, "-name");
    add(words, "guest=%s", machine->context->vm->name);
    add(words, "-uuid");
    add(words, "%s", uuid);
    add(words, "-machine");
    add(words, "%s%s", type[0] != '\0' ? type : PH_QEMU_MACHINE,
        machine->firmware_code[0] != '\0' ? ",pflash0=firmware-code,pflash1=firmware-vars" : "");
    add(words, "-accel");
    add(words, "%s", machine->kvm ? "kvm" : "tcg");
    add(words, "-cpu");
    add(words, "%s", cpu[0] != '\0' ? cpu : machine->kvm ? "host" : "max");
    add(words, "-smp");
    add(words, "cpus=%lld", (long long)(qemu->cpus > 0 ? qemu->cpus : 1));
    add(words, "-m");
    add(words, "size=%lldM", (long long)(qemu->memory_mib > 0 ? qemu->memory_mib : 512));
    add(words, "-display");
    add(words, "none");
    add(words, "-rtc");
    add(words, "base=utc,clock=host");
    add(words, "-boot");
    add(words, "menu=off,strict=on");
    add(words, "-S"); /* it begins when everything about it is as it shall be */
}

static void add_sockets(struct words *words)
{
    const char *vm = words->machine->context->vm->name;
    const char *const monitors[] = {PH_QEMU_TASK_SOCKET, PH_QEMU_WATCH_SOCKET};
    for (size_t i = 0; i < 2; i++) {
        add(words, "-chardev");
        add(words, "socket,id=monitor%zu,path=%s%s,server=on,wait=off", i, vm, monitors[i]);
        add(words, "-mon");
        add(words, "chardev=monitor%zu,mode=control", i);
    }
    /* What the guest writes goes where QEMU's own messages go, into the bounded log, whether anybody is
     * connected or not. */
    add(words, "-chardev");
    add(words, "socket,id=serial0,path=%s%s,server=on,wait=off,logfile=/dev/fd/1,logappend=on", vm,
        PH_QEMU_SERIAL_SOCKET);
    add(words, "-serial");
    add(words, "chardev:serial0");
    add(words, "-chardev");
    add(words, "socket,id=agent0,path=%s%s,server=on,wait=off", vm, PH_QEMU_AGENT_SOCKET);
    add_json(words, "-device",
        json_pack("{s:s,s:s}", "driver", "virtio-serial-pci", "id", "serial-bus"));
    add_json(words, "-device",
        json_pack("{s:s,s:s,s:s}", "driver", "virtserialport", "chardev", "agent0", "name",
            "org.qemu.guest_agent.0"));
}

static void add_helpers(struct words *words)
{
    add_json(words, "-object", json_pack("{s:s,s:s}", "qom-type", "rng-builtin", "id", "rng0"));
    add_json(words, "-device", json_pack("{s:s,s:s}", "driver", "virtio-rng-pci", "rng", "rng0"));
    add_json(
        words, "-device", json_pack("{s:s,s:s}", "driver", "virtio-balloon-pci", "id", "balloon0"));
}

static void add_flash(struct words *words)
{
    const struct ph_qemu_machine *machine = words->machine;
    if (machine->firmware_code[0] == '\0')
        return;
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:b}", "driver", "file", "node-name", "firmware-code", "filename",
            machine->firmware_code, "read-only", 1));
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s}", "driver", "file", "node-name", "firmware-vars", "filename",
            machine->firmware_vars));
}

/* ---- disks */

/* Where in the order of boot a disk or nic stands, from 1; 0: not at all. */
static int boot_index(const struct ph_qemu *qemu, const char *name, bool disk)
{
    for (size_t i = 0; i < qemu->boot.count; i++)
        if (strcmp(qemu->boot.items[i], name) == 0)
            return (int)i + 1;
    for (size_t i = 0; disk && qemu->boot.count == 0 && i < qemu->disks.count; i++)
        if (strcmp(qemu->disks.items[i].name, name) == 0)
            return (int)i + 1;
    return 0;
}

static void add_device(struct words *words, json_t *device, int boot)
{
    if (device != NULL && boot > 0 &&
        json_object_set_new(device, "bootindex", json_integer(boot)) != 0)
        words->error = words->error != 0 ? words->error : -ENOMEM;
    add_json(words, "-device", device);
}

static void add_limits(struct words *words, const struct ph_qemu_disk *disk)
{
    char group[40], limited[40], node[40];
    ph_text_format(group, sizeof group, "limits-%s", disk->name);
    ph_text_format(limited, sizeof limited, "limit-%s", disk->name);
    ph_text_format(node, sizeof node, "disk-%s", disk->name);
    json_t *limits = json_object();
    if (limits == NULL ||
        (disk->iops > 0 &&
            json_object_set_new(limits, "iops-total", json_integer(disk->iops)) != 0) ||
        (disk->mib_per_s > 0 && json_object_set_new(limits, "bps-total",
                                    json_integer(disk->mib_per_s * 1024 * 1024)) != 0))
        words->error = -ENOMEM;
    add_json(words, "-object",
        json_pack("{s:s,s:s,s:o}", "qom-type", "throttle-group", "id", group, "limits", limits));
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:s}", "driver", "throttle", "node-name", limited, "throttle-group",
            group, "file", node));
}

static void add_disk(struct words *words, const struct ph_qemu_disk *disk, int *drive)
{
    const struct ph_qemu_machine *machine = words->machine;
    char path[PATH_MAX], file[40], node[40], device[40], bus[16];
    bool cdrom = disk->media == PH_MEDIA_CDROM, read_only = cdrom || disk->read_only;
    bool limited = disk->iops > 0 || disk->mib_per_s > 0;
    int rv = ph_qemu_disk_path(machine->context, disk, path);
    if (rv != 0)
        words->error = words->error != 0 ? words->error : rv;
    ph_text_format(file, sizeof file, "file-%s", disk->name);
    ph_text_format(node, sizeof node, "disk-%s", disk->name);
    ph_text_format(device, sizeof device, "dev-%s", disk->name);
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:b,s:s}", "driver", "file", "node-name", file, "filename", path,
            "read-only", (int)read_only, "discard", "unmap"));
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:b,s:s}", "driver",
            cdrom ? "raw" : ph_enum_word(&ph_enum_disk_format, (int)disk->format), "node-name",
            node, "file", file, "read-only", (int)read_only, "discard", "unmap"));
    if (limited)
        add_limits(words, disk);
    if (limited)
        ph_text_format(node, sizeof node, "limit-%s", disk->name);
    int boot = boot_index(machine->qemu, disk->name, true);
    ph_text_format(bus, sizeof bus, "ide.%d", *drive);
    if (cdrom) {
        (*drive)++;
        add_device(words,
            json_pack(
                "{s:s,s:s,s:s,s:s}", "driver", "ide-cd", "id", device, "drive", node, "bus", bus),
            boot);
        return;
    }
    add_device(words,
        json_pack("{s:s,s:s,s:s,s:s}", "driver", "virtio-blk-pci", "id", device, "drive", node,
            "serial", disk->name),
        boot);
}

static void add_seed(struct words *words)
{
    const char *seed = words->machine->seed;
    if (seed[0] == '\0')
        return;
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:b}", "driver", "file", "node-name", "seed-file", "filename", seed,
            "read-only", 1));
    add_json(words, "-blockdev",
        json_pack("{s:s,s:s,s:s,s:b}", "driver", "raw", "node-name", "seed", "file", "seed-file",
            "read-only", 1));
    add_json(words, "-device",
        json_pack("{s:s,s:s,s:s,s:s}", "driver", "virtio-blk-pci", "id", "dev.seed", "drive",
            "seed", "serial", "cidata"));
}

/* ---- network cards */

static void add_nic(struct words *words, const struct ph_qemu_nic *nic)
{
    const struct ph_qemu_machine *machine = words->machine;
    char mac[18], tap[PH_QEMU_TAP_BYTES], net[40], device[40];
    ph_qemu_mac(machine->context, nic, mac);
    ph_qemu_tap(machine->context, nic, tap);
    ph_text_format(net, sizeof net, "net-%s", nic->name);
    ph_text_format(device, sizeof device, "nic-%s", nic->name);
    if (nic->kind == PH_NIC_TAP) {
        add_json(words, "-netdev",
            json_pack("{s:s,s:s,s:s,s:s,s:s}", "type", "tap", "id", net, "ifname", tap, "script",
                "no", "downscript", "no"));
    } else {
        json_t *forwards = json_array();
        for (size_t i = 0; i < nic->forward.count; i++) {
            const char *text = nic->forward.items[i], *port = strrchr(text, ':');
            json_t *forward = json_object();
            char rule[64];
            ph_text_format(rule, sizeof rule, "tcp:%.*s-:%s", (int)(port - text), text, port + 1);
            if (json_object_set_new(forward, "str", json_string(rule)) != 0 ||
                json_array_append_new(forwards, forward) != 0)
                words->error = -ENOMEM;
        }
        add_json(words, "-netdev",
            json_pack("{s:s,s:s,s:o}", "type", "user", "id", net, "hostfwd", forwards));
    }
    add_device(words,
        json_pack("{s:s,s:s,s:s,s:s}", "driver", "virtio-net-pci", "id", device, "netdev", net,
            "mac", mac),
        boot_index(machine->qemu, nic->name, false));
}

/* ---- what it starts from, what it shows */

static void add_kernel(struct words *words)
{
    const struct ph_qemu *qemu = words->machine->qemu;
    char path[PATH_MAX];
    const struct {
        const char *option, *file;
    } files[] = {{"-kernel", text_of(qemu->kernel)}, {"-initrd", text_of(qemu->initrd)}};
    for (size_t i = 0; i < 2; i++) {
        if (files[i].file[0] == '\0')
            continue;
        int rv = ph_qemu_path(words->machine->context, files[i].file, path);
        if (rv != 0)
            words->error = words->error != 0 ? words->error : rv;
        add(words, "%s", files[i].option);
        add(words, "%s", path);
    }
    if (text_of(qemu->append)[0] != '\0') {
        add(words, "-append");
        add(words, "%s", qemu->append);
    }
}

static void add_screen(struct words *words)
{
    const struct ph_qemu_vnc *vnc = &words->machine->qemu->vnc;
    const char *address = text_of(vnc->address);
    bool six = strchr(address, ':') != NULL;
    if (address[0] == '\0')
        return;
    add_json(words, "-device", json_pack("{s:s,s:s}", "driver", "VGA", "id", "screen"));
    add_json(words, "-device", json_pack("{s:s,s:s}", "driver", "qemu-xhci", "id", "usb"));
    add_json(words, "-device", json_pack("{s:s,s:s}", "driver", "usb-tablet", "bus", "usb.0"));
    add(words, "-vnc");
    add(words, "%s%s%s:%lld%s%s", six ? "[" : "", address, six ? "]" : "",
        (long long)(vnc->port > 0 ? vnc->port - 5900 : 0), vnc->port > 0 ? "" : ",to=999",
        text_of(vnc->password_file)[0] != '\0' ? ",password=on" : "");
}

int ph_qemu_command(const struct ph_qemu_machine *machine, struct ph_texts *words_out)
{
    struct words words = {machine, words_out, 0};
    int drive = 0;
    add_base(&words);
    add_sockets(&words);
    add_helpers(&words);
    add_flash(&words);
    for (size_t i = 0; i < machine->qemu->disks.count; i++)
        add_disk(&words, &machine->qemu->disks.items[i], &drive);
    add_seed(&words);
    for (size_t i = 0; i < machine->qemu->nics.count; i++)
        add_nic(&words, &machine->qemu->nics.items[i]);
    add_kernel(&words);
    add_screen(&words);
    if (words.error != 0)
        ph_texts_fini(words_out);
    return words.error;
}
