#include "proto/qemu.h"

#include <errno.h>
#include <string.h>
#include "proto/codec.h"
#include "proto/path.h"

static int fault(struct ph_error *error, const char *list, size_t index, const char *field,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

static int fault(struct ph_error *error, const char *list, size_t index, const char *field,
    const char *format, ...)
{
    char path[96], text[400];
    va_list arguments;
    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (list != NULL)
        ph_text_format(path, sizeof path, "%s[%zu].%s", list, index, field);
    else
        ph_text_format(path, sizeof path, "%s", field);
    return ph_error_set(error, PH_BAD_INPUT, path, "%s", text);
}

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static bool printable(const char *text)
{
    for (; *text != '\0'; text++)
        if ((unsigned char)*text < 0x20 || *text == 0x7f)
            return false;
    return true;
}

static int check_path(struct ph_error *error, const char *list, size_t index, const char *field,
    const char *path, bool absolute_too)
{
    char shown[128];
    path = text_of(path);
    if (path[0] == '\0')
        return 0;
    bool fine =
        ph_path_in_pool(path) || (absolute_too && path[0] == '/' && ph_path_in_pool(path + 1));
    if (fine && printable(path))
        return 0;
    return fault(error, list, index, field, "\"%s\" must be a path in the pool%s, without \"..\"",
        ph_text_printable(shown, sizeof shown, path), absolute_too ? " or an absolute one" : "");
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

bool ph_mac_parse(const char *text, unsigned char bytes_out[6])
{
    if (strlen(text) != 17)
        return false;
    for (int i = 0; i < 6; i++) {
        int high = hex(text[3 * i]), low = hex(text[3 * i + 1]);
        if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':'))
            return false;
        bytes_out[i] = (unsigned char)(high * 16 + low);
    }
    return (bytes_out[0] & 1) == 0;
}

static bool same_disk_file(const struct ph_qemu_disk *a, const struct ph_qemu_disk *b)
{
    return text_of(a->file)[0] != '\0' && strcmp(a->file, text_of(b->file)) == 0;
}

static int check_disk(const struct ph_qemu *qemu, size_t i, struct ph_error *error)
{
    const struct ph_qemu_disk *disk = &qemu->disks.items[i];
    bool cdrom = disk->media == PH_MEDIA_CDROM;
    if (!ph_name_valid(disk->name))
        return fault(error, "disks", i, "name", "a disk needs a name of a-z 0-9 . _ -");
    for (size_t j = 0; j < i; j++) {
        if (strcmp(qemu->disks.items[j].name, disk->name) == 0)
            return fault(error, "disks", i, "name", "there are two disks %s", disk->name);
        if (same_disk_file(&qemu->disks.items[j], disk) && !cdrom)
            return fault(error, "disks", i, "file", "%s is the file of another disk", disk->file);
    }
    int rv = check_path(error, "disks", i, "file", disk->file, cdrom);
    if (rv != 0)
        return rv;
    if (cdrom && text_of(disk->file)[0] == '\0')
        return fault(error, "disks", i, "file", "a cdrom needs the file that is in it");
    if (cdrom && (disk->size_mib != 0 || disk->iops != 0 || disk->mib_per_s != 0))
        return fault(error, "disks", i,
            disk->size_mib != 0 ? "size_mib"
            : disk->iops != 0   ? "iops"
                                : "mib_per_s",
            "is for a disk, not for a cdrom");
    return 0;
}

/* ADDRESS:PORT:GUESTPORT */
static bool forward_valid(const char *text)
{
    size_t length = strspn(text, "0123456789.");
    if (length < 7 || length > 15 || text[length] != ':')
        return false;
    text += length + 1;
    for (int i = 0; i < 2; i++) {
        int port = 0;
        size_t digits = strspn(text, "0123456789");
        if (digits == 0 || digits > 5)
            return false;
        for (size_t j = 0; j < digits; j++)
            port = port * 10 + (text[j] - '0');
        if (port < 1 || port > 65535 || text[digits] != (i == 0 ? ':' : '\0'))
            return false;
        text += digits + 1;
    }
    return true;
}

/* As the kernel takes the name of an interface. */
static bool interface_valid(const char *name)
{
    return name[0] != '\0' && strlen(name) <= 15 && strcmp(name, ".") != 0 &&
           strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
               strlen(name);
}

static int check_nic(const struct ph_qemu *qemu, size_t i, struct ph_error *error)
{
    const struct ph_qemu_nic *nic = &qemu->nics.items[i];
    unsigned char mac[6];
    char shown[96];
    if (!ph_name_valid(nic->name))
        return fault(error, "nics", i, "name", "a nic needs a name of a-z 0-9 . _ -");
    for (size_t j = 0; j < i; j++)
        if (strcmp(qemu->nics.items[j].name, nic->name) == 0)
            return fault(error, "nics", i, "name", "there are two nics %s", nic->name);
    for (size_t j = 0; j < qemu->disks.count; j++)
        if (strcmp(qemu->disks.items[j].name, nic->name) == 0)
            return fault(error, "nics", i, "name", "%s is the name of a disk", nic->name);
    if (text_of(nic->mac)[0] != '\0' && !ph_mac_parse(nic->mac, mac))
        return fault(error, "nics", i, "mac", "\"%s\" must be aa:bb:cc:dd:ee:ff of one machine",
            ph_text_printable(shown, sizeof shown, nic->mac));
    if (nic->kind == PH_NIC_TAP && !interface_valid(text_of(nic->bridge)))
        return fault(error, "nics", i, "bridge",
            "\"%s\" must be the name of a bridge on the node, such as br0",
            ph_text_printable(shown, sizeof shown, text_of(nic->bridge)));
    if (nic->kind == PH_NIC_USER && text_of(nic->bridge)[0] != '\0')
        return fault(error, "nics", i, "bridge", "is for kind: tap");
    if (nic->kind == PH_NIC_TAP && nic->forward.count > 0)
        return fault(error, "nics", i, "forward", "is for kind: user");
    for (size_t j = 0; j < nic->forward.count; j++)
        if (!forward_valid(nic->forward.items[j]))
            return fault(error, "nics", i, "forward",
                "\"%s\" must be ADDRESS:PORT:GUESTPORT, such as 127.0.0.1:8080:80",
                ph_text_printable(shown, sizeof shown, nic->forward.items[j]));
    return 0;
}

static bool boots(const struct ph_qemu *qemu, const char *name)
{
    for (size_t i = 0; i < qemu->disks.count; i++)
        if (strcmp(qemu->disks.items[i].name, name) == 0)
            return true;
    for (size_t i = 0; i < qemu->nics.count; i++)
        if (strcmp(qemu->nics.items[i].name, name) == 0)
            return true;
    return false;
}

static int check_boot(const struct ph_qemu *qemu, struct ph_error *error)
{
    char shown[96];
    bool direct = text_of(qemu->kernel)[0] != '\0';
    for (size_t i = 0; i < qemu->boot.count; i++)
        if (!boots(qemu, qemu->boot.items[i]))
            return fault(error, NULL, 0, "boot", "there is neither a disk nor a nic \"%s\"",
                ph_text_printable(shown, sizeof shown, qemu->boot.items[i]));
    if (!direct && text_of(qemu->initrd)[0] != '\0')
        return fault(error, NULL, 0, "initrd", "an initrd is for a kernel; name one");
    if (!direct && text_of(qemu->append)[0] != '\0')
        return fault(error, NULL, 0, "append", "a command line is for a kernel; name one");
    if (!direct && qemu->disks.count == 0)
        return fault(error, NULL, 0, "disks", "it has neither a disk nor a kernel to start from");
    int rv = check_path(error, NULL, 0, "kernel", qemu->kernel, true);
    return rv != 0 ? rv : check_path(error, NULL, 0, "initrd", qemu->initrd, true);
}

static int check_screen(const struct ph_qemu *qemu, struct ph_error *error)
{
    const struct ph_qemu_vnc *vnc = &qemu->vnc;
    const char *address = text_of(vnc->address);
    char shown[96];
    if (address[0] == '\0' && (vnc->port != 0 || text_of(vnc->password_file)[0] != '\0'))
        return fault(error, NULL, 0, "vnc.address", "VNC needs an address to listen at");
    if (strspn(address, "0123456789abcdefABCDEF.:") != strlen(address))
        return fault(error, NULL, 0, "vnc.address", "\"%s\" must be an IP address of the node",
            ph_text_printable(shown, sizeof shown, address));
    if (vnc->port != 0 && vnc->port < 5900)
        return fault(error, NULL, 0, "vnc.port", "%lld must be 5900 or more, or 0 for a free one",
            (long long)vnc->port);
    return check_path(error, NULL, 0, "vnc.password_file", vnc->password_file, false);
}

/* Words that become parts of QEMU's own options, where a comma would begin another one. */
static bool option_valid(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+-") ==
           strlen(text);
}

/* A model and its features: qemu64,+aes,svm=off */
static bool processor_valid(const char *text)
{
    return strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+=,-") ==
           strlen(text);
}

int ph_qemu_check(const struct ph_qemu *qemu, struct ph_error *error)
{
    char shown[96];
    int rv = 0;
    for (size_t i = 0; rv == 0 && i < qemu->disks.count; i++)
        rv = check_disk(qemu, i, error);
    for (size_t i = 0; rv == 0 && i < qemu->nics.count; i++)
        rv = check_nic(qemu, i, error);
    if (rv == 0)
        rv = check_boot(qemu, error);
    if (rv == 0)
        rv = check_screen(qemu, error);
    if (rv != 0)
        return rv;
    if (!option_valid(text_of(qemu->machine)))
        return fault(error, NULL, 0, "machine", "\"%s\" must be a machine type, such as %s",
            ph_text_printable(shown, sizeof shown, qemu->machine), PH_QEMU_MACHINE);
    if (!processor_valid(text_of(qemu->cpu)))
        return fault(error, NULL, 0, "cpu", "\"%s\" must be a model, such as host or qemu64,+aes",
            ph_text_printable(shown, sizeof shown, qemu->cpu));
    if (!printable(text_of(qemu->append)))
        return fault(error, NULL, 0, "append", "a command line has no control characters");
    if (text_of(qemu->cloud_init.user_data)[0] != '\0' &&
        text_of(qemu->cloud_init.user_data_file)[0] != '\0')
        return fault(error, NULL, 0, "cloud_init.user_data_file",
            "user_data is given as well; only one of them can be it");
    return check_path(
        error, NULL, 0, "cloud_init.user_data_file", qemu->cloud_init.user_data_file, false);
}

int ph_qemu_of(const struct ph_vm *vm, struct ph_qemu *qemu_out, struct ph_error *error)
{
    if (vm->qemu == NULL)
        return ph_error_set(error, PH_BAD_INPUT, "qemu", "a VM of kind qemu needs a section qemu");
    return ph_decode(&ph_record_qemu, vm->qemu, strlen(vm->qemu), qemu_out, error);
}

int64_t ph_stop_timeout_ms(const struct ph_vm *vm)
{
    if (vm->stop_timeout_ms > 0)
        return vm->stop_timeout_ms;
    return strcmp(vm->kind, "qemu") == 0 ? PH_STOP_TIMEOUT_MS_MACHINE : PH_STOP_TIMEOUT_MS_USUAL;
}
