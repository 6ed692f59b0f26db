#include <errno.h>
#include <string.h>
#include "agent/pools/directory.h"
#include "agent/pools/tree.h"
#include "base/text.h"

static const char *const slots[] = {"current", "staging", "released", "old"};

#define SLOTS (sizeof slots / sizeof slots[0])

static int read_slot(
    const struct ph_pool_site *site, const char *slot, struct ph_pool_manifest *manifest_out)
{
    char relative[64], path[PATH_MAX];

    ph_text_format(relative, sizeof relative, "copies/%s/data", slot);
    if (!ph_site_has(site, relative))
        return -ENOENT;
    ph_text_format(relative, sizeof relative, "copies/%s/manifest", slot);
    ph_site_path(site, relative, path);
    return ph_manifest_read(path, site->context->pool->name, manifest_out);
}

int ph_copies_newest(
    const struct ph_pool_site *site, char slot_out[32], struct ph_pool_manifest *manifest_out)
{
    int found = -ENOENT;

    memset(manifest_out, 0, sizeof *manifest_out);
    for (size_t i = 0; i < SLOTS; i++) {
        struct ph_pool_manifest manifest = {.epoch = 0};
        if (read_slot(site, slots[i], &manifest) != 0)
            continue;
        if (found != 0 || manifest.epoch > manifest_out->epoch ||
            (manifest.epoch == manifest_out->epoch && manifest.sequence > manifest_out->sequence)) {
            ph_record_fini(&ph_record_pool_manifest, manifest_out);
            *manifest_out = manifest; /* moved */
            ph_text_format(slot_out, 32, "%s", slots[i]);
            found = 0;
        } else {
            ph_record_fini(&ph_record_pool_manifest, &manifest);
        }
    }
    return found;
}

/* A cut-off staging becomes partial-N; the oldest goes when there are too many. */
static int keep_partial(struct ph_pool_site *site, struct ph_error *error)
{
    char name[64], next[64];
    int count = 0, rv = 0;

    if (!ph_site_has(site, "copies/staging"))
        return 0;
    if (!ph_site_has(site, "copies/staging/data"))
        return ph_site_trash(site, "copies/staging", error);
    for (count = 1; count <= PH_PARTIALS_MAX; count++) {
        ph_text_format(name, sizeof name, "copies/partial-%d", count);
        if (!ph_site_has(site, name))
            break;
    }
    if (count > PH_PARTIALS_MAX) {
        rv = ph_site_trash(site, "copies/partial-1", error);
        for (count = 1; rv == 0 && count < PH_PARTIALS_MAX; count++) {
            ph_text_format(name, sizeof name, "copies/partial-%d", count);
            ph_text_format(next, sizeof next, "copies/partial-%d", count + 1);
            rv = ph_site_rename(site, next, name, error);
        }
    }
    ph_text_format(name, sizeof name, "copies/partial-%d", count);
    return rv != 0 ? rv : ph_site_rename(site, "copies/staging", name, error);
}

int ph_copies_tidy(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_manifest manifest;
    char slot[32], name[64];
    int rv = 0;

    bool has = ph_copies_newest(site, slot, &manifest) == 0;
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    if (has && strcmp(slot, "current") != 0) {
        ph_text_format(name, sizeof name, "copies/%s", slot);
        rv = ph_site_trash(site, "copies/current", error);
        if (rv == 0)
            rv = ph_site_rename(site, name, "copies/current", error);
    }
    if (rv == 0)
        rv = ph_site_trash(site, "copies/old", error);
    if (rv == 0)
        rv = ph_site_trash(site, "copies/released", error);
    if (rv == 0)
        rv = keep_partial(site, error);
    return rv;
}

int ph_copies_trash(struct ph_pool_site *site, struct ph_error *error)
{
    return ph_site_trash(site, "copies", error);
}

int ph_copies_trash_data(struct ph_pool_site *site, const char *relative, struct ph_error *error)
{
    int rv = ph_site_trash(site, relative, error);
    return rv == 0 && strcmp(relative, "data") == 0 ? ph_site_trash(site, "data.new", error) : rv;
}

int ph_copies_create(struct ph_pool_site *site,
    int (*fill)(struct ph_pool_site *site, const char *directory, struct ph_error *error),
    struct ph_error *error)
{
    char path[PATH_MAX];

    int rv = ph_site_trash(site, "data.new", error);
    if (rv == 0)
        rv = ph_site_make(site, "data.new", error);
    ph_site_path(site, "data.new", path);
    if (rv == 0)
        rv = fill(site, path, error);
    if (rv == 0)
        rv = ph_site_begin(site, NULL, NULL, ph_site_inode(site, "data.new"), error);
    if (rv == 0)
        rv = ph_site_rename(site, "data.new", "data", error);
    return rv != 0 ? rv : ph_site_sync(site, ".", error);
}

int ph_copies_take_data(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_manifest manifest = {.epoch = site->trace.data_epoch,
        .sequence = site->trace.data_sequence,
        .as_of = site->trace.copied_at_s * 1000};
    char path[PATH_MAX];
    bool empty = true;
    int rv;

    ph_site_path(site, "data", path);
    if (ph_tree_is_empty(path, &empty) == 0)
        manifest.files = empty ? 0 : 1;
    ph_text_format(manifest.pool, sizeof manifest.pool, "%s", site->trace.pool);
    ph_text_format(manifest.driver, sizeof manifest.driver, "%s", site->context->driver->name);
    rv = ph_lineage_make(&manifest.lineage, NULL, &site->trace.lineage);
    if (rv == 0)
        rv = ph_site_make(site, "copies", error);
    if (rv == 0)
        rv = ph_site_trash(site, "copies/released", error);
    if (rv == 0)
        rv = ph_site_make(site, "copies/released", error);
    ph_site_path(site, "copies/released/manifest", path);
    if (rv == 0) {
        rv = ph_manifest_write(path, &manifest, false);
        if (rv != 0)
            ph_error_set(error, PH_FAILED, NULL, "cannot write %s: %s", path, strerror(-rv));
    }
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    if (rv == 0)
        rv = ph_site_rename(site, "data", "copies/released/data", error);
    if (rv == 0)
        rv = ph_site_sync(site, "copies/released", error);
    if (rv == 0)
        rv = ph_site_sync(site, "copies", error);
    return rv != 0 ? rv : ph_site_sync(site, ".", error);
}

int ph_copies_accept(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv;

    /* Under another name first, so that one flush covers data and manifest: a name is what makes a
     * slot complete. */
    ph_site_path(site, "copies/staging/manifest.new", path);
    rv = ph_manifest_write(path, manifest, true);
    if (rv == 0)
        rv = ph_tree_sync(site->base);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "the copy cannot be made durable: %s", strerror(-rv));
        return rv;
    }
    rv = ph_site_rename(site, "copies/staging/manifest.new", "copies/staging/manifest", error);
    if (rv == 0 && ph_site_has(site, "copies/current"))
        rv = ph_site_rename(site, "copies/current", "copies/old", error);
    if (rv == 0)
        rv = ph_site_rename(site, "copies/staging", "copies/current", error);
    if (rv == 0)
        rv = ph_site_sync(site, "copies/current", error);
    if (rv == 0)
        rv = ph_site_sync(site, "copies", error);
    for (int count = 1; rv == 0 && count <= PH_PARTIALS_MAX; count++) {
        char name[64];
        ph_text_format(name, sizeof name, "copies/partial-%d", count);
        (void)ph_site_trash(site, name, NULL);
    }
    if (rv == 0)
        (void)ph_site_trash(site, "copies/old", NULL);
    return rv;
}

int ph_copies_promote(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    struct ph_pool_point point = {.epoch = manifest->epoch, .sequence = manifest->sequence};
    int rv = ph_site_begin(
        site, &point, &manifest->lineage, ph_site_inode(site, "copies/current/data"), error);

    if (rv == 0)
        rv = ph_site_rename(site, "copies/current/data", "data", error);
    if (rv == 0)
        rv = ph_site_sync(site, ".", error);
    /* Partial receives share files with what is data/ now: they must not be links to live files. */
    if (rv == 0)
        rv = ph_site_trash(site, "copies", error);
    return rv;
}
