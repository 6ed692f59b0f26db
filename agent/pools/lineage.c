/* Points, manifests, and what follows from them: rules 9, 19 and 21 of docs/conversation.md. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/site.h"
#include "agent/pools/tree.h"
#include "agent/pools/users.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/codec.h"

#define MANIFEST_BYTES_MAX (64 * 1024)
#define WHOLE_BYTES (256 * 1024 * 1024) /* up to here a last copy's hash covers everything */

bool ph_lineage_has(const struct ph_pool_point_list *lineage, int64_t epoch, int64_t sequence)
{
    for (size_t i = 0; i < lineage->count; i++)
        if (lineage->items[i].epoch == epoch && lineage->items[i].sequence == sequence)
            return true;
    return false;
}

static int add_point(struct ph_pool_point_list *to, int64_t epoch, int64_t sequence)
{
    struct ph_pool_point *point;

    if (to->count >= PH_LINEAGE_MAX || epoch <= 0 || sequence <= 0)
        return 0;
    point = ph_many_add(&ph_record_pool_point, (struct ph_many *)to);
    if (point == NULL)
        return -ENOMEM;
    point->epoch = epoch;
    point->sequence = sequence;
    return 0;
}

int ph_lineage_make(struct ph_pool_point_list *to, const struct ph_pool_point *point,
    const struct ph_pool_point_list *rest)
{
    int rv = point != NULL ? add_point(to, point->epoch, point->sequence) : 0;

    for (size_t i = 0; rv == 0 && rest != NULL && i < rest->count; i++)
        rv = add_point(to, rest->items[i].epoch, rest->items[i].sequence);
    return rv;
}

int ph_manifest_read(const char *path, const char *pool, struct ph_pool_manifest *out)
{
    struct ph_error why;
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_file_read(path, MANIFEST_BYTES_MAX, &text, &bytes);

    if (rv == 0)
        rv = ph_decode(&ph_record_pool_manifest, text, bytes, out, &why);
    free(text);
    if (rv == 0 && strcmp(out->pool, pool) != 0) {
        ph_record_fini(&ph_record_pool_manifest, out);
        rv = -EINVAL;
    }
    if (rv != 0 && rv != -ENOENT && rv != -ENOMEM) {
        ph_log(PH_LOG_WARNING, "manifest_unusable", "path=%s error=%s", path, strerror(-rv));
        rv = -EBADMSG;
    }
    return rv;
}

static int write_plainly(const char *path, const char *text, size_t bytes)
{
    int rv = 0, fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    while (bytes > 0 && rv == 0) {
        ssize_t put = write(fd, text, bytes);
        if (put > 0) {
            text += put;
            bytes -= (size_t)put;
        } else if (put == 0 || errno != EINTR) {
            rv = put == 0 ? -EIO : -errno;
        }
    }
    if (close(fd) != 0 && rv == 0)
        rv = -errno;
    return rv;
}

int ph_manifest_write(
    const char *path, const struct ph_pool_manifest *manifest, bool flushed_by_caller)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_encode(&ph_record_pool_manifest, manifest, PH_ENCODE_WIRE, &text, &bytes);

    if (rv == 0)
        rv = flushed_by_caller ? write_plainly(path, text, bytes)
                               : ph_file_replace(path, text, bytes, 0600);
    free(text);
    return rv;
}

int ph_manifest_of_open(const struct ph_stream_open *open, struct ph_pool_manifest *out)
{
    ph_text_format(out->pool, sizeof out->pool, "%s", open->pool);
    ph_text_format(out->driver, sizeof out->driver, "%s", open->driver);
    out->epoch = open->epoch;
    out->sequence = open->sequence;
    out->as_of = open->as_of;
    return ph_lineage_make(&out->lineage, NULL, &open->lineage);
}

/* ---- data/ ---- */

bool ph_site_has_data(const struct ph_pool_site *site)
{
    return site->traced && site->trace.data_epoch > 0 && ph_site_has(site, "data");
}

bool ph_site_data_is_in(const struct ph_pool_site *site, const struct ph_pool_point_list *lineage)
{
    return site->trace.released &&
           ph_lineage_has(lineage, site->trace.data_epoch, site->trace.data_sequence);
}

static struct ph_pool_point data_point(const struct ph_pool_site *site)
{
    return (struct ph_pool_point){
        .epoch = site->trace.data_epoch, .sequence = site->trace.data_sequence};
}

int ph_site_begin(struct ph_pool_site *site, const struct ph_pool_point *point,
    const struct ph_pool_point_list *lineage, int64_t inode, struct ph_error *error)
{
    struct ph_pool_trace before = site->trace;
    struct ph_pool_point_list made = {.count = 0};
    int rv = ph_lineage_make(&made, point, lineage);

    if (rv == 0) {
        site->trace.epoch = site->context->epoch;
        site->trace.data_epoch = site->context->epoch;
        site->trace.data_sequence = 1;
        site->trace.released = false;
        site->trace.data_inode = inode;
        site->trace.copied_files = 0;
        site->trace.copied_at_s = 0;
        site->trace.lineage = made;
        rv = ph_site_save(site, error);
    }
    if (rv == 0) {
        free(before.lineage.items);
    } else {
        site->trace = before;
        free(made.items);
    }
    return rv;
}

/* A path NAME.diverged-eN that is free, relative to base. */
static void free_name(const struct ph_pool_site *site, char *out, size_t size)
{
    for (int number = 1; number < 1000; number++) {
        size_t used = ph_text_format(out, size, "../%s.diverged-e%lld", site->context->pool->name,
            (long long)site->trace.data_epoch);
        if (number > 1)
            ph_text_format(out + used, size - used, "-%d", number);
        char data[PATH_MAX];
        ph_text_format(data, sizeof data, "%s/data", out);
        if (!ph_site_has(site, data)) /* one without is of a set-aside that was cut off */
            return;
    }
}

int ph_site_set_aside(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_manifest manifest = {.epoch = 0};
    char name[160], to[192], path[PATH_MAX];

    free_name(site, name, sizeof name);
    int rv = ph_site_make(site, name, error);
    ph_text_format(manifest.pool, sizeof manifest.pool, "%s", site->context->pool->name);
    ph_text_format(manifest.driver, sizeof manifest.driver, "%s", site->context->pool->driver);
    if (manifest.driver[0] == '\0')
        ph_text_format(manifest.driver, sizeof manifest.driver, "directory");
    manifest.epoch = site->trace.data_epoch;
    manifest.sequence = site->trace.data_sequence > 0 ? site->trace.data_sequence : 1;
    manifest.as_of = ph_clock_wall_ms();
    if (rv == 0)
        rv = ph_lineage_make(&manifest.lineage, NULL, &site->trace.lineage);
    ph_text_format(to, sizeof to, "%s/manifest", name);
    ph_site_path(site, to, path);
    if (rv == 0)
        rv = ph_manifest_write(path, &manifest, false);
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    ph_text_format(to, sizeof to, "%s/data", name);
    if (rv == 0)
        rv = ph_site_rename(site, "data", to, error);
    if (rv == 0)
        rv = ph_site_sync(site, name, error);
    if (rv == 0)
        rv = ph_site_sync(site, ".", error);
    if (rv == 0)
        ph_log(PH_LOG_WARNING, "data_diverged",
            "pool=%s epoch=%lld sequence=%lld kept_as=%s reason=a_newer_copy_replaces_it",
            site->context->pool->name, (long long)site->trace.data_epoch,
            (long long)site->trace.data_sequence, name + strlen("../"));
    else if (error != NULL && error->message[0] == '\0')
        ph_error_set(
            error, PH_FAILED, NULL, "cannot set data aside as %s: %s", path, strerror(-rv));
    return rv;
}

int ph_site_settle_data(struct ph_pool_site *site, const struct ph_pool_manifest *newest,
    int (*trash)(struct ph_pool_site *site, const char *relative, struct ph_error *error),
    struct ph_error *error)
{
    struct ph_pool_trace *trace = &site->trace;

    if (!ph_site_has(site, "data"))
        return 0;
    if (!ph_site_has_data(site)) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s/data is there and nobody knows what it is; move it away", site->base);
        return -EEXIST;
    }
    if (newest != NULL && newest->epoch > trace->data_epoch) {
        int rv = ph_site_data_is_in(site, &newest->lineage) ? trash(site, "data", error)
                                                            : ph_site_set_aside(site, error);
        return rv;
    }
    if (trace->data_epoch == site->context->epoch) {
        if (!trace->released)
            return 1;
        /* What is written from now on must not go by the number of the release. */
        trace->released = false;
        trace->data_sequence++;
        trace->data_inode = ph_site_inode(site, "data");
        int rv = ph_site_save(site, error);
        return rv != 0 ? rv : 1;
    }
    struct ph_pool_point point = data_point(site);
    int rv = ph_site_begin(site, &point, &trace->lineage, ph_site_inode(site, "data"), error);
    return rv != 0 ? rv : 1;
}

static int check_source(struct ph_pool_site *site, bool *empty, struct ph_error *error)
{
    char path[PATH_MAX];

    ph_site_path(site, "data", path);
    if (!ph_site_has_data(site)) {
        ph_error_set(error, PH_NOT_FOUND, NULL, "pool %s has no active data here",
            site->context->pool->name);
        return -ENOENT;
    }
    if (ph_site_inode(site, "data") != site->trace.data_inode) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "%s is not the directory that was activated (unmounted, mounted over, or replaced?); "
            "no "
            "copy is made of it. Put it right and deactivate and activate the pool",
            path);
        return -ENODATA;
    }
    int rv = ph_tree_is_empty(path, empty);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "cannot read %s: %s", path, strerror(-rv));
        return rv;
    }
    if (*empty && site->trace.copied_files > 0) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "%s is empty though the last copy was not; the copies are kept as they are. If it is "
            "meant to be empty, make any file in it",
            path);
        return -ENODATA;
    }
    return 0;
}

int ph_site_next_copy(
    struct ph_pool_site *site, struct ph_stream_open *open_out, struct ph_error *error)
{
    struct ph_pool_trace *trace = &site->trace;
    bool empty = false;
    int rv = check_source(site, &empty, error);

    if (rv != 0)
        return rv;
    open_out->stream = 1;
    ph_text_format(open_out->pool, sizeof open_out->pool, "%s", trace->pool);
    open_out->epoch = trace->data_epoch;
    open_out->sequence = trace->data_sequence;
    open_out->as_of = ph_clock_wall_ms();
    rv = ph_lineage_make(&open_out->lineage, NULL, &trace->lineage);
    bool changed = !empty && trace->copied_files == 0;
    if (!empty)
        trace->copied_files = 1;
    if (!trace->released) {
        trace->data_sequence++;
        trace->copied_at_s = open_out->as_of / 1000;
        changed = true;
    }
    if (rv == 0 && changed)
        rv = ph_site_save(site, error);
    if (rv != 0)
        ph_record_fini(&ph_record_stream_open, open_out);
    return rv;
}

int ph_site_release(struct ph_pool_site *site, struct ph_error *error)
{
    char path[PATH_MAX], users[512];

    int rv = ph_site_raise(site, error);
    if (rv != 0 || !ph_site_has_data(site) || site->trace.released)
        return rv;
    ph_site_path(site, "data", path);
    int count = ph_path_writers(path, users, sizeof users);
    if (count > 0) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL, "%d process%s still open for writing in %s: %s",
            count, count == 1 ? " has files" : "es have files", path, users);
        return -EBUSY;
    }
    site->trace.released = true;
    rv = ph_site_save(site, error);
    if (rv != 0)
        site->trace.released = false;
    return rv;
}

void ph_site_describe(const struct ph_pool_site *site, const struct ph_pool_manifest *newest,
    struct ph_pool_data *data_out)
{
    const struct ph_pool_trace *trace = &site->trace;

    memset(data_out, 0, sizeof *data_out);
    data_out->exists = site->traced;
    data_out->epoch = trace->epoch;
    data_out->active_data = ph_site_has_data(site);
    if (newest != NULL) {
        data_out->copy_epoch = newest->epoch;
        data_out->copy_sequence = newest->sequence;
        data_out->copy_as_of = newest->as_of;
    }
    if (data_out->active_data && trace->data_epoch >= data_out->copy_epoch) {
        data_out->copy_epoch = trace->data_epoch;
        data_out->copy_sequence = trace->data_sequence - (trace->released ? 0 : 1);
        data_out->copy_as_of = trace->copied_at_s * 1000;
    }
}

int ph_site_may_receive(struct ph_pool_site *site, const struct ph_stream_open *open,
    const struct ph_pool_manifest *newest, struct ph_error *error)
{
    const char *pool = site->context->pool->name;

    if (newest != NULL && (newest->epoch > open->epoch || (newest->epoch == open->epoch &&
                                                              newest->sequence > open->sequence))) {
        ph_error_set(error, PH_STATE_FORBIDS, "sequence",
            "a newer copy of pool %s is here: %lld.%lld, and %lld.%lld was offered", pool,
            (long long)newest->epoch, (long long)newest->sequence, (long long)open->epoch,
            (long long)open->sequence);
        return -ESTALE;
    }
    if (ph_site_has_data(site) && site->trace.data_epoch >= open->epoch) {
        ph_error_set(error, PH_STATE_FORBIDS, "epoch",
            "this node itself was given pool %s under epoch %lld", pool,
            (long long)site->trace.data_epoch);
        return -EBUSY;
    }
    if (ph_site_has(site, "data") && !ph_site_has_data(site)) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s/data is there and nobody knows what it is; move it away", site->base);
        return -EEXIST;
    }
    return ph_site_raise(site, error);
}

int ph_site_may_send(const struct ph_pool_site *site, const struct ph_stream_open *open, bool last,
    struct ph_error *error)
{
    if (!ph_site_has_data(site) || site->trace.data_epoch != open->epoch) {
        ph_error_set(error, PH_STATE_FORBIDS, "epoch",
            "the data of pool %s here is not of epoch %lld any more", open->pool,
            (long long)open->epoch);
        return -ESTALE;
    }
    if (last && (!site->trace.released || site->trace.data_sequence != open->sequence)) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "pool %s is not released here, so this would not be its last copy", open->pool);
        return -EBUSY;
    }
    return 0;
}

int64_t ph_site_hashed_since(
    const struct ph_pool_site *site, const struct ph_stream_opened *opened, const char *data)
{
    struct ph_tree_content content;
    bool has_last = opened->have_epoch == site->trace.data_epoch &&
                    opened->have_sequence == site->trace.data_sequence - 1;

    if (!has_last || site->trace.copied_at_s <= 2 ||
        ph_tree_measure(data, false, 0, site->context->cancelled, &content, NULL) != 0 ||
        content.bytes <= WHOLE_BYTES)
        return 0;
    return site->trace.copied_at_s - 2; /* clocks of files are coarser than ours */
}
