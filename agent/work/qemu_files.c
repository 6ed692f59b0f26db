#include "agent/work/qemu_files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/child.h"
#include "base/file.h"

#define TOOL_TIMEOUT_MS 20000
#define FIRMWARE_BYTES_MAX (16 * 1024 * 1024)

static const char *text_of(const char *text)
{
    return text == NULL ? "" : text;
}

static int fail_errno(struct ph_error *error, int rv, const char *field, const char *path)
{
    ph_error_set(error, PH_FAILED, field, "%s: %s", path, strerror(-rv));
    return rv;
}

/* Runs a tool that makes a file; its words when it will not. */
static int make_with(const char *const *argv, const char *package, struct ph_error *error)
{
    struct ph_child_result result;
    char said[400];
    int rv = ph_child_run(argv, NULL, NULL, TOOL_TIMEOUT_MS, &result);
    if (rv == -ENOENT) {
        ph_error_set(error, PH_FAILED, NULL, "%s is not installed (Debian: %s)", argv[0], package);
        return -ENOTSUP;
    }
    if (rv != 0)
        return fail_errno(error, rv, NULL, argv[0]);
    if (result.timed_out)
        return ph_error_set(error, PH_FAILED, NULL, "%s did not end within %d s: does a disk hang?",
                   argv[0], TOOL_TIMEOUT_MS / 1000),
               -EIO;
    if (result.exit_status == 0)
        return 0;
    ph_error_set(error, PH_FAILED, NULL, "%s: %s", argv[0],
        ph_text_printable(said, sizeof said, result.output));
    return -EIO;
}

/* Durable before it has its name: a disk that vanishes with the power would be created anew, empty. */
static int settle(const char *temporary, const char *path)
{
    char directory[PATH_MAX];
    int fd = open(temporary, O_RDONLY | O_CLOEXEC);
    int rv = fd < 0 || fsync(fd) != 0 ? -errno : 0;
    if (fd >= 0)
        close(fd);
    if (rv == 0 && rename(temporary, path) != 0)
        rv = -errno;
    ph_text_format(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (rv == 0 && (fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
        if (fsync(fd) != 0)
            rv = -errno;
        close(fd);
    }
    return rv;
}

static int parent_make(const char *path)
{
    char directory[PATH_MAX];
    ph_text_format(directory, sizeof directory, "%.*s", (int)(strrchr(path, '/') - path), path);
    return ph_directory_make(directory);
}

static int disk_create(const struct ph_qemu_disk *disk, const char *path, struct ph_error *error)
{
    char temporary[PATH_MAX], size[32];
    const char *format = ph_enum_word(&ph_enum_disk_format, (int)disk->format);
    if (strlen(path) + 5 > sizeof temporary)
        return fail_errno(error, -ENAMETOOLONG, NULL, path);
    ph_text_format(temporary, sizeof temporary, "%s.new", path);
    ph_text_format(size, sizeof size, "%lldM", (long long)disk->size_mib);
    const char *const argv[] = {"qemu-img", "create", "-q", "-f", format, temporary, size, NULL};
    int rv = parent_make(path);
    if (rv != 0)
        return fail_errno(error, rv, NULL, path);
    (void)unlink(temporary);
    rv = make_with(argv, "qemu-utils", error);
    if (rv == 0 && (rv = settle(temporary, path)) != 0)
        fail_errno(error, rv, NULL, path);
    if (rv != 0)
        (void)unlink(temporary);
    return rv;
}

/* ---- which disks were there once
 *
 * A disk that vanished must not come back empty: the VM would look well and have lost everything. So the pool
 * has a list of the disks each VM has had (VM.disks), and what is on it is never created again. */

static int list_read(const struct ph_work_context *context, char path[PATH_MAX], char **text_out)
{
    char name[PH_NAME_BYTES_MAX + 8];
    ph_text_format(name, sizeof name, "%s.disks", context->vm->name);
    int rv = ph_qemu_path(context, name, path);
    *text_out = NULL;
    if (rv == 0)
        rv = ph_file_read(path, PH_VM_LIST_BYTES_MAX, text_out, NULL);
    return rv == -ENOENT ? 0 : rv;
}

static bool listed(const char *text, const char *disk)
{
    size_t bytes = strlen(disk);
    for (const char *at = text; at != NULL && *at != '\0';) {
        if (strncmp(at, disk, bytes) == 0 && at[bytes] == '\n')
            return true;
        at = strchr(at, '\n');
        at = at == NULL ? NULL : at + 1;
    }
    return false;
}

static int list_add(const char *path, char **text, const char *disk)
{
    char *longer = ph_text_new("%s%s\n", text_of(*text), disk);
    int rv = longer == NULL ? -ENOMEM
             : strlen(longer) > PH_VM_LIST_BYTES_MAX
                 ? -EFBIG
                 : ph_file_replace(path, longer, strlen(longer), 0600);
    if (rv != 0) {
        free(longer);
        return rv;
    }
    free(*text);
    *text = longer;
    return 0;
}

static int disk_make(const struct ph_work_context *context, const struct ph_qemu_disk *disk,
    const char *field, const char *made, struct ph_error *error)
{
    char path[PATH_MAX];
    struct stat status;
    int rv = ph_qemu_disk_path(context, disk, path);
    if (rv != 0)
        return fail_errno(error, rv, field, text_of(disk->file));
    if (stat(path, &status) == 0)
        return 0;
    if (errno != ENOENT)
        return fail_errno(error, -errno, field, path);
    if (listed(made, disk->name)) {
        ph_error_set(error, PH_NOT_FOUND, field,
            "disk %s was there and is gone: put %s back; or, to begin with an empty one, take its "
            "line "
            "out of %s.disks in the pool",
            disk->name, path, context->vm->name);
        return -ENOENT;
    }
    if (disk->size_mib == 0) {
        ph_error_set(error, PH_NOT_FOUND, field,
            "disk %s: %s is not there; put it there, or declare size_mib to have it created",
            disk->name, path);
        return -ENOENT;
    }
    return disk_create(disk, path, error);
}

int ph_qemu_disks_make(
    const struct ph_work_context *context, const struct ph_qemu *qemu, struct ph_error *error)
{
    char list[PATH_MAX], *made, field[64];
    int rv = list_read(context, list, &made);
    if (rv != 0)
        return fail_errno(error, rv, NULL, list);
    for (size_t i = 0; rv == 0 && i < qemu->disks.count; i++) {
        const struct ph_qemu_disk *disk = &qemu->disks.items[i];
        ph_text_format(field, sizeof field, "qemu.disks[%zu].file", i);
        rv = disk_make(context, disk, field, made, error);
        if (rv == 0 && disk->media == PH_MEDIA_DISK && !listed(made, disk->name) &&
            (rv = list_add(list, &made, disk->name)) != 0)
            fail_errno(error, rv, NULL, list);
    }
    free(made);
    return rv;
}

/* ---- firmware */

int ph_qemu_firmware(const struct ph_work_context *context, const struct ph_qemu *qemu,
    char code_out[PATH_MAX], char vars_out[PATH_MAX], struct ph_error *error)
{
    static const struct {
        const char *code, *vars;
    } known[] = {{"/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"},
        {"/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"}};
    char name[PH_NAME_BYTES_MAX + 8], *text = NULL;
    size_t found = 0, size = 0;
    code_out[0] = vars_out[0] = '\0';
    if (qemu->firmware != PH_FIRMWARE_UEFI)
        return 0;
    while (found < 2 && access(known[found].code, R_OK) != 0)
        found++;
    if (found == 2) {
        ph_error_set(error, PH_FAILED, "qemu.firmware",
            "%s is not there: install OVMF (Debian: ovmf)", known[0].code);
        return -ENOTSUP;
    }
    ph_text_format(code_out, PATH_MAX, "%s", known[found].code);
    ph_text_format(name, sizeof name, "%s.nvram", context->vm->name);
    int rv = ph_qemu_path(context, name, vars_out);
    if (rv == 0 && access(vars_out, F_OK) == 0)
        return 0;
    if (rv == 0)
        rv = ph_file_read(known[found].vars, FIRMWARE_BYTES_MAX, &text, &size);
    if (rv == 0)
        rv = ph_file_replace(vars_out, text, size, 0600);
    free(text);
    return rv == 0 ? 0 : fail_errno(error, rv, "qemu.firmware", vars_out);
}

/* ---- cloud-init */

static int seed_write(
    const char *directory, const char *name, const char *text, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, directory, name);
    if (rv == 0)
        rv = ph_file_replace(path, text, strlen(text), 0600);
    return rv == 0 ? 0 : fail_errno(error, rv, NULL, directory);
}

static int seed_user_data(const struct ph_work_context *context,
    const struct ph_qemu_cloud_init *cloud_init, const char *directory, struct ph_error *error)
{
    const char *text = text_of(cloud_init->user_data), *file = text_of(cloud_init->user_data_file);
    char path[PATH_MAX], *read = NULL;
    if (file[0] == '\0')
        return seed_write(
            directory, "user-data", text[0] != '\0' ? text : "#cloud-config\n{}\n", error);
    int rv = ph_qemu_path(context, file, path);
    if (rv == 0)
        rv = ph_file_read(path, PH_CLOUD_INIT_BYTES_MAX, &read, NULL);
    if (rv != 0)
        return fail_errno(error, rv, "qemu.cloud_init.user_data_file", file);
    rv = seed_write(directory, "user-data", read, error);
    free(read);
    return rv;
}

static int seed_meta_data(const struct ph_work_context *context,
    const struct ph_qemu_cloud_init *cloud_init, const char *directory, struct ph_error *error)
{
    char usual[PH_NAME_BYTES_MAX + 128], uuid[37];
    if (text_of(cloud_init->meta_data)[0] != '\0')
        return seed_write(directory, "meta-data", cloud_init->meta_data, error);
    ph_qemu_uuid(context, uuid);
    ph_text_format(
        usual, sizeof usual, "instance-id: %s\nlocal-hostname: %s\n", uuid, context->vm->name);
    return seed_write(directory, "meta-data", usual, error);
}

static int seed_image(const char *directory, const char *path, struct ph_error *error)
{
    char temporary[PATH_MAX];
    if (strlen(path) + 5 > sizeof temporary)
        return fail_errno(error, -ENAMETOOLONG, NULL, path);
    ph_text_format(temporary, sizeof temporary, "%s.new", path);
    const char *const argv[] = {"genisoimage", "-quiet", "-output", temporary, "-volid", "CIDATA",
        "-joliet", "-rational-rock", directory, NULL};
    int rv = make_with(argv, "genisoimage", error);
    if (rv == 0 && rename(temporary, path) != 0)
        rv = fail_errno(error, -errno, NULL, path);
    if (rv != 0)
        (void)unlink(temporary);
    return rv;
}

int ph_qemu_seed(const struct ph_work_context *context, const struct ph_qemu *qemu,
    char path_out[PATH_MAX], struct ph_error *error)
{
    const struct ph_qemu_cloud_init *cloud_init = &qemu->cloud_init;
    char name[PH_NAME_BYTES_MAX + 32], directory[PATH_MAX];
    bool wanted = text_of(cloud_init->user_data)[0] != '\0' ||
                  text_of(cloud_init->user_data_file)[0] != '\0' ||
                  text_of(cloud_init->meta_data)[0] != '\0' ||
                  text_of(cloud_init->network_config)[0] != '\0';
    path_out[0] = '\0';
    if (!wanted)
        return 0;
    ph_text_format(name, sizeof name, "%s.seed", context->vm->name);
    int rv = ph_path_join(directory, sizeof directory, context->run_directory, name);
    ph_text_format(name, sizeof name, "%s" PH_QEMU_SEED_FILE, context->vm->name);
    if (rv == 0)
        rv = ph_path_join(path_out, PATH_MAX, context->run_directory, name);
    if (rv == 0)
        (void)ph_tree_remove(directory);
    if (rv == 0)
        rv = ph_directory_make(directory);
    if (rv != 0)
        return fail_errno(error, rv, NULL, context->run_directory);
    rv = seed_user_data(context, cloud_init, directory, error);
    if (rv == 0)
        rv = seed_meta_data(context, cloud_init, directory, error);
    if (rv == 0 && text_of(cloud_init->network_config)[0] != '\0')
        rv = seed_write(directory, "network-config", cloud_init->network_config, error);
    if (rv == 0)
        rv = seed_image(directory, path_out, error);
    (void)ph_tree_remove(directory);
    return rv;
}
