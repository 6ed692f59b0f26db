/* Pool driver: a plain directory, copied with rsync over a stream. docs/pools.md. */
#include "agent/pools/directory.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/drivers.h"
#include "base/child.h"
#include "base/text.h"

static int probe(const char *directory, struct ph_error *error)
{
    const char *const argv[] = {"rsync", "--version", NULL};
    struct ph_child_result result;
    char bridge[PATH_MAX];
    (void)directory;

    if (ph_child_run(argv, NULL, NULL, 5000, &result) != 0 || result.exit_status != 0) {
        ph_error_set(error, PH_FAILED, NULL, "rsync does not run here; install the package rsync");
        return -ENOTSUP;
    }
    if (ph_bridge_find(bridge, sizeof bridge) != 0) {
        ph_error_set(error, PH_FAILED, NULL,
            "poolherd-bridge is not beside this program nor on PATH; install all of Poolherd");
        return -ENOTSUP;
    }
    return 0;
}

static int inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out)
{
    struct ph_pool_site site;
    struct ph_pool_manifest newest = {.epoch = 0};
    char slot[32];
    int rv = ph_site_open(context, PH_SITE_LOOK, &site, NULL);

    memset(data_out, 0, sizeof *data_out);
    if (rv != 0)
        return rv;
    bool has = ph_copies_newest(&site, slot, &newest) == 0;
    ph_site_describe(&site, has ? &newest : NULL, data_out);
    ph_record_fini(&ph_record_pool_manifest, &newest);
    ph_site_close(&site);
    return 0;
}

static int create(struct ph_pool_site *site, struct ph_error *error)
{
    char path[PATH_MAX];

    int rv = ph_site_trash(site, "data.new", error);
    if (rv == 0)
        rv = ph_site_make(site, "data.new", error);
    ph_site_path(site, "data.new", path);
    /* Workloads may run as another user; base itself stays closed to them only by its own mode. */
    if (rv == 0 && chmod(path, 0755) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "cannot chmod %s: %s", path, strerror(errno));
    if (rv == 0)
        rv = ph_site_begin(site, NULL, NULL, ph_site_inode(site, "data.new"), error);
    if (rv == 0)
        rv = ph_site_rename(site, "data.new", "data", error);
    return rv != 0 ? rv : ph_site_sync(site, ".", error);
}

static int activate_locked(struct ph_pool_site *site, bool make, struct ph_error *error)
{
    struct ph_pool_manifest newest = {.epoch = 0};
    bool has = false;
    int rv = ph_copies_tidy(site, &has, &newest, error);

    if (rv != 0)
        return rv;
    if (newest.epoch > site->context->epoch) {
        ph_error_set(error, PH_STATE_FORBIDS, "epoch",
            "the copy here is of epoch %lld, newer than %lld", (long long)newest.epoch,
            (long long)site->context->epoch);
        rv = -ESTALE;
    } else {
        rv = ph_site_settle_data(site, has ? &newest : NULL, ph_site_trash, error);
    }
    if (rv == 0 && has)
        rv = ph_copies_promote(site, &newest, error);
    else if (rv == 0 && make)
        rv = create(site, error);
    else if (rv == 0) {
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
        return 0; /* nothing here, nothing to release */
    if (rv != 0)
        return rv;
    rv = ph_site_release(&site, error);
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
        rv = ph_site_trash(&site, "copies", error);
    if (rv == 0)
        rv = ph_site_trash(&site, "data", error);
    if (rv == 0)
        rv = ph_site_trash(&site, "data.new", error);
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
    ph_site_empty_trash(&site);
    rv = ph_site_next_copy(&site, open_out, error);
    if (rv == 0)
        ph_text_format(open_out->driver, sizeof open_out->driver, "directory");
    ph_site_close(&site);
    return rv;
}

static void mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX])
{
    (void)context;
    path_out[0] = '\0';
}

const struct ph_pool_driver ph_pool_driver_directory = {.name = "directory",
    .probe = probe,
    .inspect = inspect,
    .activate = activate,
    .deactivate = deactivate,
    .drop = drop,
    .open = open_copy,
    .send = ph_directory_send,
    .receive = ph_directory_receive,
    .mount_path = mount_path};
