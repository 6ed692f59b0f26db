/* Pool driver: a plain directory, copied with rsync over a stream. docs/pools.md. */
#include "agent/pools/directory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/drivers.h"
#include "agent/pools/layout.h"
#include "base/child.h"
#include "base/text.h"

static int probe(const char *directory, struct ph_error *error)
{
    const char *const argv[] = {"rsync", "--version", NULL};
    struct ph_child_result result;
    char helper[PATH_MAX];
    (void)directory;

    if (ph_child_run(argv, NULL, NULL, 5000, &result) != 0 || result.exit_status != 0) {
        ph_error_set(error, PH_FAILED, NULL, "rsync does not run here; install the package rsync");
        return -ENOTSUP;
    }
    if (ph_pipe_find(helper, sizeof helper) != 0) {
        ph_error_set(error, PH_FAILED, NULL,
            "poolherd-pipe is not beside this program nor on PATH; install all of Poolherd");
        return -ENOTSUP;
    }
    return 0;
}

static int newest(const struct ph_pool_site *site, struct ph_pool_manifest *out)
{
    char slot[32];
    return ph_copies_newest(site, slot, out);
}

/* Workloads may run as another user; base itself stays closed to them only by its own mode. */
static int open_to_all(struct ph_pool_site *site, const char *directory, struct ph_error *error)
{
    (void)site;
    return chmod(directory, 0755) == 0 ? 0
                                       : ph_error_set(error, PH_FAILED, NULL, "cannot chmod %s: %s",
                                             directory, strerror(errno));
}

static int begin(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    return manifest != NULL ? ph_copies_promote(site, manifest, error)
                            : ph_copies_create(site, open_to_all, error);
}

static const struct ph_pool_layout layout = {.newest = newest,
    .tidy = ph_copies_tidy,
    .remove_data = ph_copies_trash_data,
    .begin = begin,
    .remove_copies = ph_copies_trash,
    .send = ph_directory_send,
    .receive = ph_directory_receive};

const struct ph_pool_driver ph_pool_driver_directory = {.name = "directory",
    PH_LAYOUT_DRIVER(&layout),
    .probe = probe,
    .mount_path = ph_layout_no_mount};
