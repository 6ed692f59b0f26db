/* Data that several nodes reach: a path that all have, or a source that is mounted by the owner alone. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/attach.h"
#include "agent/pools/users.h"
#include "base/child.h"

#define MOUNT_MS 45000 /* a server that does not answer must not keep the task for ever */

static int run_tool(const char *const *argv, const char *what, struct ph_error *error)
{
    struct ph_child_result result;
    char said[256];
    int rv = ph_child_run(argv, NULL, NULL, MOUNT_MS, &result);

    if (rv == 0 && result.exit_status == 0)
        return 0;
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "%s does not run: %s", argv[0], strerror(-rv));
    else
        ph_error_set(error, PH_FAILED, NULL, "cannot %s %s: %s", argv[0], what,
            result.timed_out ? "no answer in time"
                             : ph_text_printable(said, sizeof said, result.output));
    return rv != 0 ? rv : -EIO;
}

/* Of a device: that nobody on this node has it mounted, in any namespace. Of anything else: 0. */
static int prove_free(const char *source, struct ph_error *error)
{
    struct stat status;

    if (stat(source, &status) != 0 || !S_ISBLK(status.st_mode))
        return 0;
    int fd = open(source, O_RDWR | O_EXCL | O_CLOEXEC);
    if (fd < 0) {
        int rv = -errno;
        ph_error_set(error, PH_STATE_FORBIDS, NULL, "%s is %s", source,
            rv == -EBUSY ? "in use on this node (a mount in another namespace?); unmount it there"
                         : strerror(-rv));
        return rv;
    }
    close(fd);
    return 0;
}

static int join_options(const struct ph_shared_settings *shared, char *out, size_t size)
{
    size_t used = ph_text_format(out, size, "rw");

    for (size_t i = 0; i < shared->options.count; i++)
        used += ph_text_format(out + used, size - used, ",%s", shared->options.items[i]);
    return used + 1 < size ? 0 : -E2BIG;
}

static int mount_source(struct ph_pool_site *site, const struct ph_shared_settings *shared,
    const char *path, struct ph_error *error)
{
    char options[1024], again[PATH_MAX];
    int rv = ph_site_make(site, "mount", error);

    if (rv == 0)
        rv = prove_free(shared->source, error);
    if (rv == 0 && (rv = join_options(shared, options, sizeof options)) != 0)
        ph_error_set(error, PH_BAD_INPUT, "shared.options", "they are too long together");
    if (rv != 0)
        return rv;
    const char *const argv[] = {
        "mount", "-t", shared->file_system, "-o", options, "--", shared->source, path, NULL};
    rv = run_tool(argv, shared->source, error);
    if (rv == 0 && !ph_site_is_mounted(site, again)) {
        ph_error_set(
            error, PH_FAILED, NULL, "%s was mounted, and is not on %s", shared->source, path);
        rv = -EIO;
    }
    return rv;
}

static int attach(struct ph_pool_site *site, const struct ph_pool_settings *settings,
    char path_out[PATH_MAX], bool *own_out, struct ph_error *error)
{
    const struct ph_shared_settings *shared = &settings->shared;
    struct stat status;

    *own_out = false;
    if (shared->source != NULL && shared->file_system != NULL)
        return ph_site_is_mounted(site, path_out) ? 0 : mount_source(site, shared, path_out, error);
    ph_text_format(path_out, PATH_MAX, "%s", shared->path != NULL ? shared->path : "");
    if (path_out[0] == '/' && stat(path_out, &status) == 0 && S_ISDIR(status.st_mode))
        return 0;
    ph_error_set(error, PH_STATE_FORBIDS, "shared.path",
        "there is no directory %s on this node; mount the shared storage there", path_out);
    return -ENODATA;
}

static int detach(
    struct ph_pool_site *site, const struct ph_pool_settings *settings, struct ph_error *error)
{
    const struct ph_shared_settings *shared = &settings->shared;
    char path[PATH_MAX], users[512];

    if (shared->source == NULL)
        return 0;
    const char *const argv[] = {"umount", "--", path, NULL};
    if (ph_site_is_mounted(site, path)) {
        int count = ph_path_writers(path, users, sizeof users);
        if (count > 0) {
            ph_error_set(error, PH_STATE_FORBIDS, NULL,
                "%d process%s still open for writing in %s: %s", count,
                count == 1 ? " has files" : "es have files", path, users);
            return -EBUSY;
        }
        int rv = run_tool(argv, path, error);
        if (rv != 0)
            return rv == -EIO && ph_site_is_mounted(site, path) ? -EBUSY : rv;
    }
    return prove_free(shared->source, error);
}

const struct ph_pool_attachment ph_attachment_shared = {.attach = attach, .detach = detach};

void ph_shared_mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    struct ph_pool_settings settings;
    struct ph_error why;
    char directory[PATH_MAX];

    path_out[0] = '\0';
    if (ph_attach_settings(context, &settings, &why) == 0 && settings.shared.source != NULL &&
        realpath(context->directory, directory) != NULL &&
        ph_text_format(path_out, PATH_MAX, "%s/pools/%s/mount", directory, context->pool->name) >=
            PATH_MAX - 1)
        path_out[0] = '\0';
    ph_record_fini(&ph_record_pool_settings, &settings);
}
