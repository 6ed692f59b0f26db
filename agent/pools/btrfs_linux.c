/* Pool driver: a btrfs subvolume, copied with incremental btrfs send. docs/pools.md. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/btrfs.h"
#include "agent/pools/drivers.h"
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

static int inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    struct ph_pool_manifest newest = {.epoch = 0};
    struct ph_pool_site site;

    memset(data_out, 0, sizeof *data_out);
    int rv = ph_site_open(context, PH_SITE_LOOK, &site, NULL);
    if (rv != 0)
        return rv;
    bool has = ph_snapshots_newest(&site, &newest) == 0;
    ph_site_describe(&site, has ? &newest : NULL, data_out);
    ph_record_fini(&ph_record_pool_manifest, &newest);
    ph_site_close(&site);
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

static int activate_locked(struct ph_pool_site *site, bool make, struct ph_error *error)
{
    struct ph_pool_manifest newest;
    bool has = ph_snapshots_newest(site, &newest) == 0;
    int rv;

    if (has && newest.epoch > site->context->epoch) {
        ph_error_set(error, PH_STATE_FORBIDS, "epoch",
            "the copy here is of epoch %lld, newer than %lld", (long long)newest.epoch,
            (long long)site->context->epoch);
        rv = -ESTALE;
    } else {
        rv = ph_site_settle_data(site, has ? &newest : NULL, delete_data, error);
    }
    if (rv == 0 && (has || make)) {
        rv = begin(site, has ? &newest : NULL, error);
    } else if (rv == 0) {
        ph_error_set(error, PH_NOT_FOUND, NULL,
            "there is neither data nor a complete copy of pool %s on this node",
            site->context->pool->name);
        rv = -ENOENT;
    }
    ph_record_fini(&ph_record_pool_manifest, &newest);
    return rv > 0 ? 0 : rv;
}

static int activate(const struct ph_pool_context *context, bool make, char path_out[PATH_MAX],
    struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, make ? PH_SITE_MAKE : PH_SITE_CHANGE, &site, error);

    if (rv != 0)
        return rv;
    rv = activate_locked(&site, make, error); /* which stores the epoch with what data/ is */
    if (rv == 0)
        ph_site_path(&site, "data", path_out);
    ph_site_close(&site);
    return rv;
}

static int deactivate(const struct ph_pool_context *context, struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0;
    if (rv != 0)
        return rv;
    rv = ph_site_release(&site, error);
    /* The final snapshot: what the last copies are sent from, and what stays when data/ goes. */
    if (rv == 0 && ph_site_has_data(&site))
        rv = ph_snapshot_make(&site, site.trace.data_epoch, site.trace.data_sequence, error);
    ph_site_close(&site);
    return rv;
}

static int drop(const struct ph_pool_context *context, struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv == -ENOENT)
        return 0;
    if (rv != 0)
        return rv;
    rv = ph_site_raise(&site, error);
    if (rv == 0)
        rv = delete_data(&site, "data", error);
    if (rv == 0)
        rv = ph_snapshots_remove_all(&site, error);
    if (rv == 0)
        rv = ph_site_remove(&site, error);
    ph_site_close(&site);
    return rv;
}

static int open_copy(
    const struct ph_pool_context *context, struct ph_stream_open *open_out, struct ph_error *error)
{
    struct ph_pool_site site;
    int rv = ph_site_open(context, PH_SITE_CHANGE, &site, error);

    if (rv != 0)
        return rv;
    rv = ph_site_next_copy(&site, open_out, error);
    if (rv == 0)
        ph_text_format(open_out->driver, sizeof open_out->driver, "btrfs");
    ph_site_close(&site);
    return rv;
}

static void mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    (void)context;
    path_out[0] = '\0';
}

const struct ph_pool_driver ph_pool_driver_btrfs = {.name = "btrfs",
    .probe = probe,
    .inspect = inspect,
    .activate = activate,
    .deactivate = deactivate,
    .drop = drop,
    .open = open_copy,
    .send = ph_btrfs_send,
    .receive = ph_btrfs_receive,
    .mount_path = mount_path};
