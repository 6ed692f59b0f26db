/*
 * Copies of a directory with rsync on both ends of a stream: the owner runs it as a client whose
 * "remote shell" is poolherd-pipe, the holder runs `rsync --server` with the stream as its standard
 * input and output. What the holder's rsync is told is written here and nowhere else: of what the
 * owner's asks for, nothing is looked at.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include "agent/pools/directory.h"
#include "agent/pools/drivers.h"
#include "agent/pools/tool.h"
#include "agent/pools/tree.h"
#include "base/log.h"
#include "base/text.h"

#define IDLE "--timeout=300" /* rsync's own: nothing from the other rsync for so long */
#define CLOSE_MS                                                                                   \
    (60 * 60 * 1000) /* the other side hashes and flushes; a lost one is noticed before */
#define RSYNC_VANISHED 24

/* ---- owner ---- */

static int start_client(
    struct ph_tool *tool, struct ph_stream *stream, const char *data, struct ph_error *error)
{
    bool verify = ph_stream_opening(stream)->verify;
    char helper[PATH_MAX], shell[PATH_MAX + 16], source[PATH_MAX + 2];

    if (ph_pipe_find(helper, sizeof helper) != 0 || strchr(helper, '\'') != NULL) {
        ph_error_set(error, PH_FAILED, NULL,
            "poolherd-pipe is not beside this program nor on PATH; install all of Poolherd");
        return -ENOENT;
    }
    ph_text_format(shell, sizeof shell, "'%s' pass", helper);
    ph_text_format(source, sizeof source, "%s/", data);
    const char *const argv[] = {helper, "run", "rsync", verify ? "-aHSAXc" : "-aHSAX",
        "--numeric-ids", "--modify-window=-1", "--partial", IDLE, "-e", shell, "--", source,
        "holder:.", NULL};
    int rv = ph_tool_start(tool, argv, ph_stream_fd(stream), -1, error);
    tool->name = "rsync";
    tool->stream = stream;
    return rv;
}

struct flush {
    pthread_t thread;
    bool running;
    char path[PATH_MAX];
};

static void *run_flush(void *argument)
{
    struct flush *flush = argument;
    int rv = ph_tree_sync(flush->path);

    if (rv != 0)
        ph_log(PH_LOG_WARNING, "flush_failed", "path=%s error=%s", flush->path, strerror(-rv));
    return NULL;
}

/* Released data stands for a point that others have too, so it must outlive a power cut: flushed, but
 * while the holder flushes its own, since the pool is down now. */
static void begin_flush(struct flush *flush, const char *path)
{
    ph_text_format(flush->path, sizeof flush->path, "%s", path);
    flush->running = pthread_create(&flush->thread, NULL, run_flush, flush) == 0;
    if (!flush->running)
        run_flush(flush);
}

static void end_flush(struct flush *flush)
{
    if (flush->running)
        pthread_join(flush->thread, NULL);
}

int ph_directory_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    struct ph_tool tool;
    struct ph_tree_content content = {.entries = 0};
    struct ph_stream_close mine = {.complete = true}, theirs = {.complete = false};
    char data[PATH_MAX];
    int status = 0, ended;

    ph_site_path(site, "data", data);
    int rv = start_client(&tool, stream, data, error);
    if (rv != 0)
        return rv;
    if (last) { /* while rsync runs */
        mine.hashed_since_s = ph_site_hashed_since(site, ph_stream_opened(stream), data);
        rv = ph_tree_measure(
            data, true, mine.hashed_since_s, site->context->cancelled, &content, error);
        mine.hash = content.hash;
        mine.size = content.bytes;
    }
    ended = ph_tool_wait(&tool, site->context->cancelled, &status, error);
    if (rv == 0)
        rv = ended;
    if (rv == 0 && status != 0 && (last || status != RSYNC_VANISHED))
        rv = ph_tool_explain(stream, &tool, status, error);
    if (rv == 0) {
        struct flush flush = {.running = false};
        if (last)
            begin_flush(&flush, data);
        rv = ph_stream_finish(stream, &mine, &theirs, CLOSE_MS, error);
        end_flush(&flush);
    }
    if (rv == 0) {
        copy_out->bytes = theirs.size;
        if (last)
            ph_text_format(copy_out->hash, sizeof copy_out->hash, "%s", content.hash);
    }
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

/* ---- holder ---- */

struct bases {
    char texts[PH_PARTIALS_MAX + 1][64];
    size_t count;
};

static void add_base(struct bases *bases, const char *option, const char *relative)
{
    ph_text_format(bases->texts[bases->count++], sizeof bases->texts[0], "--%s=../../%s/data",
        option, relative);
}

/* Where files that need not be sent again are. From a former owner's data they are copied, not linked:
 * it is going to be set aside, and what is set aside must share nothing with what lives on. */
static void find_bases(const struct ph_pool_site *site, struct bases *bases)
{
    char name[64];

    if (!ph_site_has(site, "copies/current") && ph_site_has(site, "data")) {
        ph_text_format(
            bases->texts[bases->count++], sizeof bases->texts[0], "--copy-dest=../../../data");
        return;
    }
    if (ph_site_has(site, "copies/current"))
        add_base(bases, "link-dest", "current");
    for (int number = 1; number <= PH_PARTIALS_MAX; number++) {
        ph_text_format(name, sizeof name, "copies/partial-%d/data", number);
        if (!ph_site_has(site, name))
            continue;
        ph_text_format(name, sizeof name, "partial-%d", number);
        add_base(bases, "link-dest", name);
    }
}

static int run_server(struct ph_pool_site *site, struct ph_stream *stream, struct ph_error *error)
{
    struct bases bases = {.count = 0};
    struct ph_tool tool;
    char staging[PATH_MAX];
    int status = 0;
    size_t count = 0;
    const char *argv[PH_PARTIALS_MAX + 16];

    int rv = ph_site_make(site, "copies/staging", error);
    if (rv == 0)
        rv = ph_site_make(site, "copies/staging/data", error);
    if (rv != 0)
        return rv;
    find_bases(site, &bases);
    ph_site_path(site, "copies/staging/data", staging);
    /* What `rsync -aHSAX --numeric-ids --modify-window=-1 --partial` tells its other side. */
    argv[count++] = "rsync";
    argv[count++] = "--server";
    /* With c every file's content is compared, whatever its size and time say. */
    argv[count++] =
        ph_stream_opening(stream)->verify ? "-lHogDtpAXrcSe.iLsfxCIvu" : "-lHogDtpAXrSe.iLsfxCIvu";
    argv[count++] = "--numeric-ids";
    argv[count++] = "-@-1";
    argv[count++] = "--partial";
    argv[count++] = IDLE;
    for (size_t i = 0; i < bases.count; i++)
        argv[count++] = bases.texts[i];
    argv[count++] = ".";
    argv[count++] = staging;
    argv[count] = NULL;
    rv = ph_tool_start(&tool, argv, ph_stream_fd(stream), ph_stream_fd(stream), error);
    if (rv != 0)
        return rv;
    tool.stream = stream;
    ph_site_empty_trash(site); /* while rsync runs */
    rv = ph_tool_wait(&tool, site->context->cancelled, &status, error);
    shutdown(ph_stream_fd(stream), SHUT_WR); /* the owner's pipe ends with this */
    if (rv == -ECANCELED || (rv == 0 && status != 0 && status != RSYNC_VANISHED))
        ph_tool_explain(stream, &tool, status, error);
    return rv != 0 ? rv : status == 0 || status == RSYNC_VANISHED ? 0 : -EIO;
}

/* The owner says that all was sent; what arrived is measured and, for a last copy, compared. */
static int check_staging(struct ph_pool_site *site, struct ph_stream *stream,
    struct ph_pool_manifest *manifest, bool had_files, struct ph_error *error)
{
    struct ph_stream_close theirs;
    struct ph_tree_content content;
    char staging[PATH_MAX];
    int rv = ph_stream_wait_close(stream, &theirs, CLOSE_MS, error);

    if (rv != 0)
        return rv;
    bool compare = theirs.hash != NULL;
    ph_site_path(site, "copies/staging/data", staging);
    rv = ph_tree_measure(
        staging, compare, theirs.hashed_since_s, site->context->cancelled, &content, error);
    if (rv == 0 && compare && strcmp(content.hash, theirs.hash) != 0) {
        ph_error_set(error, PH_FAILED, NULL,
            "the copy differs from its source: hash %s here, %s there", content.hash, theirs.hash);
        rv = -EBADMSG;
    }
    if (rv == 0 && content.entries == 0 && had_files) {
        ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "an empty copy of pool %s would replace one with files; it was refused",
            site->context->pool->name);
        rv = -ENODATA;
    }
    if (rv == 0) {
        manifest->files = content.entries;
        manifest->bytes = content.bytes;
        if (compare)
            rv = ph_set_text(&manifest->hash, content.hash);
    }
    ph_record_fini(&ph_record_stream_close, &theirs);
    return rv;
}

/* A verification: what the copy before had wrong. What it had right is in the new one as the same file. */
static int count_spoilt(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_manifest manifest;
    struct ph_tree_content content;
    char slot[32], current[PATH_MAX], staging[PATH_MAX];

    if (ph_copies_newest(site, slot, &manifest) != 0)
        return 0;
    ph_site_path(site, "copies/current/data", current);
    ph_site_path(site, "copies/staging/data", staging);
    int rv = ph_tree_measure(current, false, 0, site->context->cancelled, &content, error);
    /* Of data that a former owner released nobody has written down how much it is. */
    if (rv == 0 && manifest.bytes > 0 && content.entries != manifest.files)
        site->spoilt += content.entries > manifest.files ? content.entries - manifest.files
                                                         : manifest.files - content.entries;
    else if (rv == 0 && manifest.bytes > 0 && content.bytes != manifest.bytes)
        site->spoilt++;
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    return rv != 0
               ? rv
               : ph_tree_compare(current, staging, site->context->cancelled, &site->spoilt, error);
}

/* The epoch is stored before anything else is made. */
static int prepare(struct ph_pool_site *site, const struct ph_stream_open *open, bool *had_files,
    struct ph_error *error)
{
    struct ph_pool_manifest newest;
    char slot[32];
    bool has = ph_copies_newest(site, slot, &newest) == 0;
    int rv = ph_site_may_receive(site, open, has ? &newest : NULL, error);

    ph_record_fini(&ph_record_pool_manifest, &newest);
    if (rv == 0 && ph_site_has_data(site) && ph_site_data_is_in(site, &open->lineage))
        rv = ph_copies_take_data(site, error);
    if (rv == 0)
        rv = ph_site_make(site, "copies", error);
    if (rv == 0)
        rv = ph_copies_tidy(site, error);
    if (rv == 0 && ph_copies_newest(site, slot, &newest) == 0)
        *had_files = newest.files > 0;
    ph_record_fini(&ph_record_pool_manifest, &newest);
    return rv;
}

int ph_directory_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error)
{
    bool had_files = false;
    int rv = prepare(site, open, &had_files, error);

    if (rv == 0)
        rv = run_server(site, stream, error);
    if (rv == 0)
        rv = ph_manifest_of_open(open, manifest);
    if (rv == 0)
        rv = check_staging(site, stream, manifest, had_files, error);
    if (rv == 0 && open->verify)
        rv = count_spoilt(site, error);
    if (rv == 0 && atomic_load(site->context->cancelled))
        rv = -ECANCELED;
    return rv != 0 ? rv : ph_copies_accept(site, manifest, error);
}
