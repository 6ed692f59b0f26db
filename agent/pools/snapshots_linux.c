#include "agent/pools/snapshots.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/btrfs.h"
#include "agent/pools/tree.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define SENT_KEPT_S                                                                                \
    (3 * 24 * 3600) /* a node that confirmed nothing for so long gets a whole copy */
#define MANIFEST ".manifest"
#define SENT "sent-"

void ph_snapshot_name(int64_t epoch, int64_t sequence, char out[PH_SNAPSHOT_NAME])
{
    ph_text_format(out, PH_SNAPSHOT_NAME, "e%" PRId64 "-%06" PRId64, epoch, sequence);
}

static void path_of(
    const struct ph_pool_site *site, const char *name, const char *ending, char out[PATH_MAX])
{
    char relative[128];

    ph_text_format(relative, sizeof relative, "copies/%s%s", name, ending);
    ph_site_path(site, relative, out);
}

bool ph_snapshot_counts(const struct ph_pool_site *site, int64_t epoch, int64_t sequence,
    struct ph_pool_manifest *manifest_out)
{
    struct ph_pool_manifest manifest = {.epoch = 0};
    struct ph_btrfs_subvolume subvolume;
    char name[PH_SNAPSHOT_NAME], path[PATH_MAX];

    ph_snapshot_name(epoch, sequence, name);
    path_of(site, name, "", path);
    bool counts = ph_btrfs_look(path, &subvolume) == 0 && subvolume.read_only;
    path_of(site, name, MANIFEST, path);
    counts = counts && ph_manifest_read(path, site->context->pool->name, &manifest) == 0 &&
             manifest.epoch == epoch && manifest.sequence == sequence &&
             (manifest.made_here || subvolume.received);
    if (counts && manifest_out != NULL) {
        ph_record_fini(&ph_record_pool_manifest, manifest_out);
        *manifest_out = manifest; /* moved */
    } else {
        ph_record_fini(&ph_record_pool_manifest, &manifest);
    }
    return counts;
}

/* The point in "e7-000123"; false when the name is not of a snapshot of ours. */
static bool parse_name(const char *name, int64_t *epoch, int64_t *sequence)
{
    char again[PH_SNAPSHOT_NAME];

    /* NOLINTNEXTLINE(cert-err34-c): what was read is printed and compared below */
    if (sscanf(name, "e%" SCNd64 "-%" SCNd64, epoch, sequence) != 2 || *epoch <= 0 ||
        *sequence <= 0)
        return false;
    ph_snapshot_name(*epoch, *sequence, again);
    return strcmp(name, again) == 0;
}

/* The names in copies/, without . and .. ; an absent directory has none. */
static int read_names(const struct ph_pool_site *site, struct ph_texts *names)
{
    char path[PATH_MAX];
    int rv = 0;

    ph_site_path(site, "copies", path);
    DIR *entries = opendir(path);
    if (entries == NULL)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; rv == 0 && (entry = readdir(entries)) != NULL;)
        if (entry->d_name[0] != '.')
            rv = ph_texts_add(names, entry->d_name);
    closedir(entries);
    if (rv != 0)
        ph_texts_fini(names);
    return rv;
}

int ph_snapshots_newest(const struct ph_pool_site *site, struct ph_pool_manifest *manifest_out)
{
    struct ph_texts names = {.count = 0};
    int64_t epoch, sequence;
    int found = -ENOENT;
    int rv = read_names(site, &names);

    memset(manifest_out, 0, sizeof *manifest_out);
    if (rv != 0)
        return rv;
    for (size_t i = 0; i < names.count; i++) {
        if (!parse_name(names.items[i], &epoch, &sequence) || epoch < manifest_out->epoch ||
            (epoch == manifest_out->epoch && sequence < manifest_out->sequence))
            continue;
        if (ph_snapshot_counts(site, epoch, sequence, manifest_out))
            found = 0;
    }
    ph_texts_fini(&names);
    return found;
}

static int failed(struct ph_error *error, int rv, const char *what, const char *path)
{
    ph_error_set(error, PH_FAILED, NULL, "cannot %s %s: %s%s", what, path, strerror(-rv),
        rv == -ENOTEMPTY ? " (remove the subvolumes in it first)" : "");
    return rv;
}

int ph_snapshot_write_manifest(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    char name[PH_SNAPSHOT_NAME], path[PATH_MAX];

    ph_snapshot_name(manifest->epoch, manifest->sequence, name);
    path_of(site, name, MANIFEST, path);
    int rv = ph_manifest_write(path, manifest, false);
    return rv == 0 ? 0 : failed(error, rv, "write", path);
}

/* The manifest first, so that what is half removed does not count. */
static int remove_snapshot(struct ph_pool_site *site, const char *name, struct ph_error *error)
{
    char path[PATH_MAX];

    path_of(site, name, MANIFEST, path);
    if (unlink(path) != 0 && errno != ENOENT)
        return failed(error, -errno, "remove", path);
    ph_site_path(site, "copies", path);
    int rv = ph_btrfs_delete(path, name);
    path_of(site, name, "", path);
    return rv == 0 || rv == -ENOENT ? 0 : failed(error, rv, "remove subvolume", path);
}

int ph_snapshot_make(
    struct ph_pool_site *site, int64_t epoch, int64_t sequence, struct ph_error *error)
{
    struct ph_pool_manifest manifest = {
        .epoch = epoch, .sequence = sequence, .as_of = ph_clock_wall_ms(), .made_here = true};
    char name[PH_SNAPSHOT_NAME], data[PATH_MAX], copies[PATH_MAX];
    bool empty = true;

    if (ph_snapshot_counts(site, epoch, sequence, NULL))
        return 0;
    ph_snapshot_name(epoch, sequence, name);
    ph_site_path(site, "data", data);
    ph_site_path(site, "copies", copies);
    ph_text_format(manifest.pool, sizeof manifest.pool, "%s", site->trace.pool);
    ph_text_format(manifest.driver, sizeof manifest.driver, "btrfs");
    int rv = ph_site_make(site, "copies", error);
    if (rv == 0)
        rv = remove_snapshot(site, name, error); /* one without a manifest: cut off */
    if (rv == 0) {
        rv = ph_btrfs_snapshot(data, copies, name, true);
        if (rv != 0)
            failed(error, rv, "make a snapshot of", data);
    }
    if (rv == 0)
        rv = ph_lineage_make(&manifest.lineage, NULL, &site->trace.lineage);
    if (rv == 0 && ph_tree_is_empty(data, &empty) == 0)
        manifest.files = empty ? 0 : 1;
    if (rv == 0)
        rv = ph_snapshot_write_manifest(site, &manifest, error);
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    return rv;
}

int ph_snapshots_remove_partial(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_texts names = {.count = 0};
    struct ph_btrfs_subvolume subvolume;
    int64_t epoch, sequence;
    char path[PATH_MAX];
    int rv = read_names(site, &names);

    for (size_t i = 0; rv == 0 && i < names.count; i++) {
        path_of(site, names.items[i], "", path);
        if (ph_btrfs_look(path, &subvolume) != 0)
            continue;
        if (!parse_name(names.items[i], &epoch, &sequence) ||
            !ph_snapshot_counts(site, epoch, sequence, NULL))
            rv = remove_snapshot(site, names.items[i], error);
    }
    ph_texts_fini(&names);
    return rv;
}

static void read_sent(
    struct ph_pool_site *site, const struct ph_texts *names, struct ph_texts *keep)
{
    struct stat status;
    char path[PATH_MAX];

    for (size_t i = 0; i < names->count; i++) {
        char *text = NULL;
        size_t bytes = 0;
        if (strncmp(names->items[i], SENT, strlen(SENT)) != 0)
            continue;
        path_of(site, names->items[i], "", path);
        if (stat(path, &status) != 0)
            continue;
        if (status.st_mtime + SENT_KEPT_S < ph_clock_wall_ms() / 1000)
            unlink(path);
        else if (ph_file_read(path, PH_SNAPSHOT_NAME, &text, &bytes) == 0)
            (void)ph_texts_add(keep, text);
        free(text);
    }
}

void ph_snapshots_prune(struct ph_pool_site *site)
{
    struct ph_pool_manifest newest;
    struct ph_texts names = {.count = 0}, keep = {.count = 0};
    struct ph_error why;
    char name[PH_SNAPSHOT_NAME];
    int64_t epoch, sequence;

    if (ph_snapshots_newest(site, &newest) != 0)
        return;
    ph_snapshot_name(newest.epoch, newest.sequence, name);
    ph_record_fini(&ph_record_pool_manifest, &newest);
    if (read_names(site, &names) == 0 && ph_texts_add(&keep, name) == 0) {
        read_sent(site, &names, &keep);
        for (size_t i = 0; i < names.count; i++)
            /* One that is being sent to another node refuses to go; the next time. */
            if (parse_name(names.items[i], &epoch, &sequence) &&
                !ph_texts_contain(&keep, names.items[i]) &&
                ph_snapshot_counts(site, epoch, sequence, NULL) &&
                remove_snapshot(site, names.items[i], &why) != 0)
                ph_log(PH_LOG_DEBUG, "snapshot_kept", "pool=%s reason=%s",
                    site->context->pool->name, why.message);
    }
    ph_texts_fini(&names);
    ph_texts_fini(&keep);
}

void ph_snapshots_discredit(struct ph_pool_site *site)
{
    struct ph_texts names = {.count = 0};
    int64_t epoch, sequence;
    char path[PATH_MAX];

    if (read_names(site, &names) != 0)
        return;
    for (size_t i = 0; i < names.count; i++) {
        if (!parse_name(names.items[i], &epoch, &sequence))
            continue;
        path_of(site, names.items[i], MANIFEST, path);
        if (unlink(path) != 0 && errno != ENOENT)
            ph_log(PH_LOG_WARNING, "manifest_kept", "path=%s error=%s", path, strerror(errno));
    }
    ph_texts_fini(&names);
    (void)ph_site_sync(site, "copies", NULL);
}

void ph_snapshot_note_sent(struct ph_pool_site *site, const char *node, const char *name)
{
    char file[PH_NAME_BYTES_MAX + 8], path[PATH_MAX];

    if (!ph_name_valid(node))
        return;
    ph_text_format(file, sizeof file, SENT "%s", node);
    path_of(site, file, "", path);
    int rv = ph_file_replace(path, name, strlen(name), 0600);
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "note_failed", "path=%s error=%s", path, strerror(-rv));
}

int ph_snapshots_remove_all(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_texts names = {.count = 0};
    struct ph_btrfs_subvolume subvolume;
    char path[PATH_MAX];
    int rv = read_names(site, &names);

    for (size_t i = 0; rv == 0 && i < names.count; i++) {
        path_of(site, names.items[i], "", path);
        if (ph_btrfs_look(path, &subvolume) == 0)
            rv = remove_snapshot(site, names.items[i], error);
    }
    ph_texts_fini(&names);
    return rv == 0 ? ph_site_trash(site, "copies", error) : rv;
}
