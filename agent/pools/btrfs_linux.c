/* Pool driver: a btrfs subvolume, copied with incremental btrfs send. docs/pools.md. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/btrfs.h"
#include "agent/pools/drivers.h"
#include "agent/pools/layout.h"
#include "agent/pools/snapshots.h"
#include "base/child.h"
#include "base/file.h"

static int probe(const char *directory, struct ph_error *error)
{
    const char *const argv[] = {"btrfs", "--version", NULL};
    struct ph_child_result result;
    char pools[PATH_MAX];

    if (ph_path_join(pools, sizeof pools, directory, "pools") != 0 || access(pools, F_OK) != 0)
        (void)ph_path_join(pools, sizeof pools, directory, ".");
    if (!ph_btrfs_is(pools)) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s is not on btrfs; mount a btrfs file system there to use this driver", pools);
        return -ENOTSUP;
    }
    if (geteuid() != 0) {
        ph_error_set(error, PH_FAILED, NULL,
            "btrfs send and receive need root; run the agent as root to use this driver");
        return -ENOTSUP;
    }
    if (ph_child_run(argv, NULL, NULL, 5000, &result) != 0 || result.exit_status != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "btrfs does not run here; install the package btrfs-progs");
        return -ENOTSUP;
    }
    return 0;
}

static int delete_data(struct ph_pool_site *site, const char *relative, struct ph_error *error)
{
    int rv = ph_btrfs_delete(site->base, relative);

    if (rv == 0 || rv == -ENOENT)
        return 0;
    ph_error_set(error, PH_FAILED, NULL, "cannot remove subvolume %s/%s: %s%s", site->base,
        relative, strerror(-rv), rv == -ENOTEMPTY ? " (remove the subvolumes in it first)" : "");
    return rv;
}

/* data/ from the newest copy (a writable snapshot of it), or (NULL) empty. */
static int begin(
    struct ph_pool_site *site, const struct ph_pool_manifest *newest, struct ph_error *error)
{
    struct ph_pool_point point = {.epoch = 0};
    char name[PH_SNAPSHOT_NAME], relative[PH_SNAPSHOT_NAME + 16], path[PATH_MAX];
    int rv;

    if (newest != NULL) {
        point.epoch = newest->epoch;
        point.sequence = newest->sequence;
    }
    if (!ph_btrfs_is(site->base)) {
        ph_error_set(error, PH_FAILED, NULL, "%s is not on btrfs", site->base);
        return -ENOTSUP;
    }
    /* Every subvolume's top has inode 256. */
    rv = ph_site_begin(
        site, newest != NULL ? &point : NULL, newest != NULL ? &newest->lineage : NULL, 256, error);
    if (rv != 0)
        return rv;
    if (newest == NULL) {
        rv = ph_btrfs_create(site->base, "data");
        ph_site_path(site, "data", path);
        if (rv == 0 && chmod(path, 0755) != 0)
            rv = -errno;
    } else {
        ph_snapshot_name(newest->epoch, newest->sequence, name);
        ph_text_format(relative, sizeof relative, "copies/%s", name);
        ph_site_path(site, relative, path);
        rv = ph_btrfs_snapshot(path, site->base, "data", false);
    }
    if (rv != 0)
        ph_error_set(
            error, PH_FAILED, NULL, "cannot make subvolume %s/data: %s", site->base, strerror(-rv));
    return rv != 0 ? rv : ph_site_sync(site, ".", error);
}

/* The final snapshot: what the last copies are sent from, and what stays when data/ goes. */
static int released(struct ph_pool_site *site, struct ph_error *error)
{
    return ph_snapshot_make(site, site->trace.data_epoch, site->trace.data_sequence, error);
}

static const struct ph_pool_layout layout = {.newest = ph_snapshots_newest,
    .remove_data = delete_data,
    .begin = begin,
    .remove_copies = ph_snapshots_remove_all,
    .released = released,
    .send = ph_btrfs_send,
    .receive = ph_btrfs_receive};

const struct ph_pool_driver ph_pool_driver_btrfs = {
    .name = "btrfs", PH_LAYOUT_DRIVER(&layout), .probe = probe, .mount_path = ph_layout_no_mount};
