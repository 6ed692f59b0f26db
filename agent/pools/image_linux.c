/* Pool driver: ext4 or xfs in a sparse file, mounted through a loop device. docs/pools.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "agent/pools/directory.h"
#include "agent/pools/drivers.h"
#include "agent/pools/image.h"
#include "agent/pools/loop.h"
#include "agent/pools/users.h"
#include "base/child.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/codec.h"

#define MIB ((int64_t)1024 * 1024)
#define TOOL_MS (10 * 60 * 1000) /* mkfs and growing, on a slow disk */
#define CLEAR_MS 3000 /* a device that was just unmounted: somebody may look at it still */

static int run_tool(const char *const *argv, uint32_t limit_ms, struct ph_error *error)
{
    struct ph_child_result result;
    char said[256];
    int rv = ph_child_run(argv, NULL, NULL, limit_ms, &result);

    if (rv == 0 && result.exit_status == 0)
        return 0;
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "%s does not run: %s", argv[0], strerror(-rv));
    else
        ph_error_set(error, PH_FAILED, NULL, "%s ended with status %d: %s", argv[0],
            result.exit_status, ph_text_printable(said, sizeof said, result.output));
    return rv != 0 ? rv : -EIO;
}

/* Looked for, not run: an agent that starts waits for this. */
static bool is_installed(const char *program)
{
    static const char *const places[] = {"/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin"};
    char path[PATH_MAX];

    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (ph_path_join(path, sizeof path, places[i], program) == 0 && access(path, X_OK) == 0)
            return true;
    return false;
}

static int probe(const char *directory, struct ph_error *error)
{
    (void)directory;
    if (geteuid() != 0) {
        ph_error_set(error, PH_FAILED, NULL,
            "loop devices and mounts need root; run the agent as root to use this driver");
        return -ENOTSUP;
    }
    if (access("/dev/loop-control", R_OK | W_OK) != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "there is no /dev/loop-control; load the kernel module loop");
        return -ENOTSUP;
    }
    if (!is_installed("mkfs.ext4") || !is_installed("mkfs.xfs")) {
        ph_error_set(error, PH_FAILED, NULL, "mkfs.%s is not here; install the package %s",
            is_installed("mkfs.ext4") ? "xfs" : "ext4",
            is_installed("mkfs.ext4") ? "xfsprogs" : "e2fsprogs");
        return -ENOTSUP;
    }
    return 0;
}

static int newest(const struct ph_pool_site *site, struct ph_pool_manifest *out)
{
    char slot[32];
    return ph_copies_newest(site, slot, out);
}

static int tidy(struct ph_pool_site *site, struct ph_error *error)
{
    int rv = ph_image_settle(site, error);
    return rv != 0 ? rv : ph_copies_tidy(site, error);
}

/* ---- making ---- */

static enum ph_file_system file_system(const struct ph_pool_site *site)
{
    const char *text = site->context->pool->settings;
    struct ph_pool_settings settings = {.image = {.file_system = PH_FILE_SYSTEM_EXT4}};
    enum ph_file_system chosen = PH_FILE_SYSTEM_EXT4;

    if (text != NULL &&
        ph_decode(&ph_record_pool_settings, text, strlen(text), &settings, NULL) == 0)
        chosen = settings.image.file_system;
    ph_record_fini(&ph_record_pool_settings, &settings);
    return chosen;
}

static int64_t wanted_bytes(const struct ph_pool_site *site)
{
    return site->context->pool->disk_mib * MIB;
}

/* data/image, formatted and durable. */
static int fill(struct ph_pool_site *site, const char *directory, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, directory, "image");
    int64_t size = wanted_bytes(site);
    bool ext4 = file_system(site) == PH_FILE_SYSTEM_EXT4;
    const char *const ext4_argv[] = {"mkfs.ext4", "-q", "-F", path, NULL};
    const char *const xfs_argv[] = {"mkfs.xfs", "-q", "-f", path, NULL};

    if (size <= 0 || size > PH_IMAGE_BYTES_MAX) {
        ph_error_set(error, PH_BAD_INPUT, "size.disk_mib",
            "%lld MiB is no size of an image; declare size.disk_mib",
            (long long)site->context->pool->disk_mib);
        return -EINVAL;
    }
    int fd = rv == 0 ? open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0 || ftruncate(fd, size) != 0) {
        rv = rv != 0 ? rv : -errno;
        ph_error_set(error, PH_FAILED, NULL, "cannot make %s of %lld MiB: %s", path,
            (long long)(size / MIB), strerror(-rv));
    }
    if (rv == 0)
        rv = run_tool(ext4 ? ext4_argv : xfs_argv, TOOL_MS, error);
    if (rv == 0 && fsync(fd) != 0) {
        rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "cannot write %s: %s", path, strerror(-rv));
    }
    if (fd >= 0)
        close(fd);
    return rv;
}

/* What other holders have of the copy that data/ begins from stays known, and its map is at rest no more. */
static void keep_map(struct ph_pool_site *site)
{
    struct ph_block_map map;
    struct ph_map_stamp stamp;

    if (ph_image_map_load(site, "copies/current/data/map", NULL, &map, &stamp) != 0)
        return;
    if (stamp.epoch > 0 && ph_site_make(site, "points", NULL) == 0)
        (void)ph_image_map_store(site, "points/held.map", NULL, &map, stamp);
    ph_block_map_fini(&map);
}

static int begin(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    if (manifest == NULL)
        return ph_copies_create(site, fill, error);
    keep_map(site);
    return ph_copies_promote(site, manifest, error);
}

/* ---- using ---- */

static dev_t device_of(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0 ? status.st_dev : 0;
}

/* One that is in use would be mounted twice without a word, and destroyed. */
static int refuse_used(const char *image, struct ph_error *error)
{
    char device[PH_LOOP_NAME];
    int rv = ph_loop_release(image, CLEAR_MS, device);

    if (rv == -EBUSY)
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "%s is in use through %s (a mount in another namespace?); unmount it there", image,
            device);
    else if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "loop devices cannot be looked at: %s", strerror(-rv));
    return rv;
}

static int mount_device(
    struct ph_pool_site *site, const char *device, const char *path, struct ph_error *error)
{
    bool ext4 = file_system(site) == PH_FILE_SYSTEM_EXT4;
    /* discard: what is deleted becomes a hole, which no copy has to read or carry. nouuid: a copy has the
     * file system's identity, and both may be on one machine. */
    int rv = mount(device, path, ext4 ? "ext4" : "xfs", MS_NOATIME,
                 ext4 ? "discard,errors=remount-ro" : "discard,nouuid") == 0
                 ? 0
                 : -errno;

    if (rv == 0)
        return 0;
    ph_error_set(error, PH_FAILED, NULL, "cannot mount %s/data/image as %s: %s%s", site->base,
        ext4 ? "ext4" : "xfs", strerror(-rv),
        rv == -EUCLEAN || rv == -EINVAL
            ? (ext4 ? "; repair it with e2fsck -f" : "; repair it with xfs_repair")
            : "");
    return rv;
}

static int mount_image(struct ph_pool_site *site, const char *path, struct ph_error *error)
{
    char image[PATH_MAX], map[PATH_MAX], device[PH_LOOP_NAME];
    int fd = -1, rv;

    ph_site_path(site, "data/image", image);
    ph_site_path(site, "data/map", map);
    rv = refuse_used(image, error);
    if (rv != 0)
        return rv;
    (void)unlink(map); /* it is of the file at rest */
    rv = ph_loop_attach(image, &fd, device);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "no loop device for %s: %s", image, strerror(-rv));
        return rv;
    }
    rv = mount_device(site, device, path, error);
    close(fd); /* the mount keeps the device now; without one it is gone */
    return rv;
}

/* The name of a block device by its number: /dev/loop3. */
static int device_name(dev_t device, char out[PH_LOOP_NAME])
{
    char link[64], target[PATH_MAX];

    ph_text_format(link, sizeof link, "/sys/dev/block/%u:%u", major(device), minor(device));
    ssize_t got = readlink(link, target, sizeof target - 1);
    if (got <= 0)
        return -ENODEV;
    target[got] = '\0';
    const char *slash = strrchr(target, '/');
    ph_text_format(out, PH_LOOP_NAME, "/dev/%.24s", slash != NULL ? slash + 1 : target);
    return 0;
}

/* Grows file, device and file system, each of which may be larger already. Online. */
static int grow(struct ph_pool_site *site, const char *path, struct ph_error *error)
{
    char image[PATH_MAX], device[PH_LOOP_NAME];
    struct stat status;
    const char *const ext4_argv[] = {"resize2fs", device, NULL};
    const char *const xfs_argv[] = {"xfs_growfs", path, NULL};

    ph_site_path(site, "data/image", image);
    if (stat(image, &status) != 0 || (int64_t)status.st_size >= wanted_bytes(site))
        return 0;
    int rv = device_name(device_of(path), device);
    if (rv == 0 && truncate(image, wanted_bytes(site)) != 0)
        rv = -errno;
    if (rv == 0)
        rv = ph_loop_grow(device);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s", strerror(-rv));
        return rv;
    }
    return run_tool(
        file_system(site) == PH_FILE_SYSTEM_EXT4 ? ext4_argv : xfs_argv, TOOL_MS, error);
}

static int use(struct ph_pool_site *site, char path_out[PATH_MAX], struct ph_error *error)
{
    struct ph_error why = {.code = PH_OK};
    int rv = 0;

    if (!ph_site_is_mounted(site, path_out)) {
        rv = ph_site_make(site, "mount", error);
        if (rv == 0)
            rv = mount_image(site, path_out, error);
    }
    if (rv == 0 && grow(site, path_out, &why) != 0) /* a pool that runs is better than none */
        ph_log(PH_LOG_WARNING, "image_not_grown", "pool=%s disk_mib=%lld reason=%s",
            site->context->pool->name, (long long)site->context->pool->disk_mib, why.message);
    return rv;
}

static int unmount(struct ph_pool_site *site, const char *path, struct ph_error *error)
{
    char users[512];

    if (umount2(path, UMOUNT_NOFOLLOW) == 0)
        return 0;
    int rv = -errno;
    int count = rv == -EBUSY ? ph_path_writers(path, users, sizeof users) : 0;
    if (count > 0)
        ph_error_set(error, PH_STATE_FORBIDS, NULL, "%d process%s still open for writing in %s: %s",
            count, count == 1 ? " has files" : "es have files", path, users);
    else
        ph_error_set(error, PH_FAILED, NULL, "cannot unmount %s: %s%s", path, strerror(-rv),
            rv == -EBUSY ? " (who uses it: fuser -vm)" : "");
    (void)site;
    return rv;
}

int ph_image_unuse(struct ph_pool_site *site, struct ph_error *error)
{
    char path[PATH_MAX], image[PATH_MAX];
    bool was_mounted = false;
    int rv = 0;

    for (int layers = 0; rv == 0 && layers < 8 && ph_site_is_mounted(site, path); layers++) {
        was_mounted = true;
        rv = unmount(site, path, error);
    }
    ph_site_path(site, "data/image", image);
    if (rv != 0 || access(image, F_OK) != 0)
        return rv;
    rv = refuse_used(image, error);
    if (rv == 0 && was_mounted) {
        /* Released data stands for a point that others have too, so it must outlive a power cut. */
        int fd = open(image, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fdatasync(fd) != 0) {
            rv = -errno;
            ph_error_set(error, PH_FAILED, NULL, "cannot write %s: %s", image, strerror(-rv));
        }
        if (fd >= 0)
            close(fd);
    }
    return rv;
}

static int remove_copies(struct ph_pool_site *site, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = ph_copies_trash(site, error);

    if (rv == 0)
        rv = ph_site_trash(site, "points", error);
    ph_site_path(site, "mount", path);
    if (rv == 0 && rmdir(path) != 0 && errno != ENOENT) {
        rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "cannot remove %s: %s", path, strerror(-rv));
    }
    return rv;
}

static void mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    char directory[PATH_MAX];

    if (realpath(context->directory, directory) == NULL ||
        ph_text_format(path_out, PATH_MAX, "%s/pools/%s/mount", directory, context->pool->name) >=
            PATH_MAX - 1)
        path_out[0] = '\0';
}

static const struct ph_pool_layout layout = {.newest = newest,
    .tidy = tidy,
    .remove_data = ph_copies_trash_data,
    .begin = begin,
    .remove_copies = remove_copies,
    .use = use,
    .unuse = ph_image_unuse,
    .send = ph_image_send,
    .receive = ph_image_receive};

const struct ph_pool_driver ph_pool_driver_image = {
    .name = "image", PH_LAYOUT_DRIVER(&layout), .probe = probe, .mount_path = mount_path};
