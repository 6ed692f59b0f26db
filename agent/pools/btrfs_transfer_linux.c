/* Copies of a btrfs pool: `btrfs send` and `btrfs receive` on the ends of a stream. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/pools/btrfs.h"
#include "agent/pools/snapshots.h"
#include "agent/pools/tool.h"
#include "agent/pools/tree.h"

#define CLOSE_MS (60 * 60 * 1000)

static void snapshot_path(
    const struct ph_pool_site *site, int64_t epoch, int64_t sequence, char out[PATH_MAX])
{
    char name[PH_SNAPSHOT_NAME], relative[PH_SNAPSHOT_NAME + 16];

    ph_snapshot_name(epoch, sequence, name);
    ph_text_format(relative, sizeof relative, "copies/%s", name);
    ph_site_path(site, relative, out);
}

/* ---- owner ---- */

/* Sends the snapshot as a difference to what both sides have, or whole; nothing when the holder has it
 * (its answer to an earlier try was lost). */
static int start_send(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_tool *tool, struct ph_error *error)
{
    const struct ph_stream_opened *opened = ph_stream_opened(stream);
    char snapshot[PATH_MAX], parent[PATH_MAX];
    const char *argv[8];
    size_t count = 0;

    tool->pid = 0;
    if (opened->have_epoch == open->epoch && opened->have_sequence == open->sequence)
        return 0;
    snapshot_path(site, open->epoch, open->sequence, snapshot);
    argv[count++] = "btrfs";
    argv[count++] = "send";
    argv[count++] = "-q";
    if (opened->have_epoch > 0 && opened->have_sequence > 0 &&
        ph_snapshot_counts(site, opened->have_epoch, opened->have_sequence, NULL)) {
        snapshot_path(site, opened->have_epoch, opened->have_sequence, parent);
        argv[count++] = "-p";
        argv[count++] = parent;
    }
    argv[count++] = snapshot;
    argv[count] = NULL;
    return ph_tool_start(tool, argv, -1, ph_stream_fd(stream), error);
}

int ph_btrfs_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    const struct ph_stream_open *open = ph_stream_opening(stream);
    struct ph_stream_close mine = {.complete = true}, theirs = {.complete = false};
    struct ph_tree_content content = {.entries = 0};
    struct ph_tool tool = {.pid = 0};
    char snapshot[PATH_MAX], name[PH_SNAPSHOT_NAME];
    int status = 0;

    int rv = ph_snapshot_make(site, open->epoch, open->sequence, error);
    if (rv == 0)
        rv = start_send(site, stream, open, &tool, error);
    if (rv != 0)
        return rv;
    snapshot_path(site, open->epoch, open->sequence, snapshot);
    if (last || open->verify) { /* while it is sent */
        if (!open->verify)
            mine.hashed_since_s = ph_site_hashed_since(site, ph_stream_opened(stream), snapshot);
        rv = ph_tree_measure(
            snapshot, true, mine.hashed_since_s, site->context->cancelled, &content, error);
        mine.hash = content.hash;
        mine.size = content.bytes;
    }
    if (tool.pid > 0) {
        tool.stream = stream;
        int ended = ph_tool_wait(&tool, site->context->cancelled, &status, error);
        rv = rv != 0 ? rv : ended;
        if (rv == 0 && status != 0)
            rv = ph_tool_explain(stream, &tool, status, error);
    }
    if (rv == 0)
        rv = ph_stream_finish(stream, &mine, &theirs, CLOSE_MS, error);
    if (rv == 0) {
        copy_out->bytes = theirs.size;
        ph_text_format(copy_out->hash, sizeof copy_out->hash, "%s", content.hash);
        ph_snapshot_name(open->epoch, open->sequence, name);
        ph_snapshot_note_sent(site, ph_stream_peer(stream), name);
        ph_snapshots_prune(site);
    }
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

/* ---- holder ---- */

/* The epoch is stored before anything else is made. */
static int prepare(struct ph_pool_site *site, const struct ph_stream_open *open, bool *had_files,
    bool *have_out, struct ph_error *error)
{
    struct ph_pool_manifest newest;
    bool has = ph_snapshots_newest(site, &newest) == 0;
    int rv = ph_site_may_receive(site, open, has ? &newest : NULL, error);

    *had_files = has && newest.files > 0;
    *have_out = has && newest.epoch == open->epoch && newest.sequence == open->sequence;
    ph_record_fini(&ph_record_pool_manifest, &newest);
    if (rv == 0 && !ph_btrfs_is(site->base)) {
        ph_error_set(error, PH_FAILED, NULL, "%s is not on btrfs", site->base);
        rv = -ENOTSUP;
    }
    if (rv == 0)
        rv = ph_site_make(site, "copies", error);
    if (rv == 0)
        rv = ph_snapshots_remove_partial(site, error);
    if (rv == 0 && ph_site_has_data(site) && ph_site_data_is_in(site, &open->lineage)) {
        /* Its final snapshot stays: differences are sent to it. */
        rv = ph_snapshot_make(site, site->trace.data_epoch, site->trace.data_sequence, error);
        if (rv == 0) {
            rv = ph_btrfs_delete(site->base, "data");
            if (rv != 0)
                ph_error_set(error, PH_FAILED, NULL, "cannot remove subvolume %s/data: %s%s",
                    site->base, strerror(-rv),
                    rv == -ENOTEMPTY ? " (remove the subvolumes in it first)" : "");
        }
    }
    return rv;
}

static int run_receive(struct ph_pool_site *site, struct ph_stream *stream, struct ph_error *error)
{
    struct ph_tool tool;
    char copies[PATH_MAX];
    int status = 0;

    ph_site_path(site, "copies", copies);
    /* In a chroot: what a stream names can be nowhere else. */
    const char *const argv[] = {"btrfs", "receive", "-q", "-C", copies, NULL};
    int rv = ph_tool_start(&tool, argv, ph_stream_fd(stream), -1, error);
    if (rv != 0)
        return rv;
    tool.stream = stream;
    rv = ph_tool_wait(&tool, site->context->cancelled, &status, error);
    shutdown(ph_stream_fd(stream), SHUT_RD); /* what comes still is of no use */
    if (rv == -ECANCELED || (rv == 0 && status != 0))
        ph_tool_explain(stream, &tool, status, error);
    return rv != 0 ? rv : status == 0 ? 0 : -EIO;
}

static int check_received(struct ph_pool_site *site, struct ph_stream *stream,
    struct ph_pool_manifest *manifest, bool had_files, struct ph_error *error)
{
    struct ph_stream_close theirs;
    struct ph_btrfs_subvolume subvolume;
    struct ph_tree_content content = {.entries = 0};
    char path[PATH_MAX];
    bool empty = true;
    int rv = ph_stream_wait_close(stream, &theirs, CLOSE_MS, error);

    if (rv != 0)
        return rv;
    snapshot_path(site, manifest->epoch, manifest->sequence, path);
    rv = ph_btrfs_look(path, &subvolume);
    if (rv == 0 && (!subvolume.read_only || !subvolume.received))
        rv = -EBADMSG;
    if (rv == 0)
        rv = ph_tree_is_empty(path, &empty);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "what arrived is not a complete snapshot %s: %s", path,
            strerror(-rv));
    manifest->files = empty ? 0 : 1;
    manifest->bytes = ph_stream_bytes(stream);
    if (rv == 0 && theirs.hash != NULL) {
        rv = ph_tree_measure(
            path, true, theirs.hashed_since_s, site->context->cancelled, &content, error);
        if (rv == 0 && strcmp(content.hash, theirs.hash) != 0) {
            ph_error_set(error, PH_FAILED, NULL,
                "the copy differs from its source: hash %s here, %s there", content.hash,
                theirs.hash);
            /* What came is a difference to what was here: that is wrong. */
            site->spoilt = ph_stream_opening(stream)->verify;
            rv = -EBADMSG;
        }
        manifest->files = content.entries;
        manifest->bytes = content.bytes;
        if (rv == 0)
            rv = ph_set_text(&manifest->hash, content.hash);
    }
    if (rv == 0 && empty && had_files) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "an empty copy of pool %s would replace one with files; it was refused",
            site->context->pool->name);
        rv = -ENODATA;
    }
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

int ph_btrfs_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error)
{
    bool had_files = false, have = false;
    int rv = prepare(site, open, &had_files, &have, error);

    if (rv == 0 && !have)
        rv = run_receive(site, stream, error);
    if (rv == 0)
        rv = ph_manifest_of_open(open, manifest);
    shutdown(ph_stream_fd(stream), SHUT_WR);
    if (rv == 0)
        rv = check_received(site, stream, manifest, had_files && !have, error);
    if (site->spoilt > 0) /* they go when a whole copy begins to come */
        ph_snapshots_discredit(site);
    if (rv == 0 && atomic_load(site->context->cancelled))
        rv = -ECANCELED;
    if (rv == 0 && !have) {
        rv = ph_tree_sync(site->base);
        if (rv != 0)
            ph_error_set(
                error, PH_FAILED, NULL, "the copy cannot be made durable: %s", strerror(-rv));
    }
    if (rv == 0 && !have)
        rv = ph_snapshot_write_manifest(site, manifest, error);
    if (rv == 0)
        ph_snapshots_prune(site);
    return rv;
}
