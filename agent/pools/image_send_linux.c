/*
 * The owner's side of an image's copy. What is sent is always one moment of the file system:
 *   released              the file itself, unmounted
 *   clones can be made    a clone of the file, made while the file system is frozen
 *   else                  the file while it runs, and then, frozen and so that it ends in time, what has
 *                         changed since; a copy that is not done in time fails, and is never a mixture
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/freeze.h"
#include "agent/pools/image.h"
#include "base/clock.h"
#include "base/log.h"

#define CLOSE_MS (60 * 60 * 1000)
#define IDLE_MS 10000 /* the holder hears from us while we read what has not changed */

struct sending {
    struct ph_pool_site *site;
    struct ph_stream *stream;
    struct ph_error *error;
    int spool_fd;                /* where runs go instead of onto the stream; -1 */
    struct ph_block_map map;     /* of what is sent */
    struct ph_block_map basis;   /* of what the holder has */
    struct ph_block_run pending; /* zeros, or data in `bytes`; count 0: none */
    unsigned char *bytes;
    size_t used;
    int64_t sent_bytes; /* of data */
    uint64_t said_ms;
    /* What an earlier clone, which is kept, says of blocks that need not be read again. */
    struct ph_block_map known;
    unsigned char *unchanged; /* one per block of map; NULL: nothing is known */
    uint32_t known_count;
    bool cloned; /* the clone that is sent has a name still (clone_path()) */
};

/* ---- runs ---- */

static int put(struct sending *sending, const void *bytes, size_t count)
{
    const char *at = bytes;

    if (sending->spool_fd < 0) {
        sending->said_ms = ph_clock_boot_ms();
        return ph_image_write(sending->stream, bytes, count, sending->error);
    }
    while (count > 0) {
        ssize_t wrote = write(sending->spool_fd, at, count);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return ph_error_set(sending->error, PH_FAILED, NULL,
                "what changed cannot be kept aside: %s", strerror(errno));
        at += wrote;
        count -= (size_t)wrote;
    }
    return 0;
}

static int flush(struct sending *sending)
{
    unsigned char head[PH_RUN_HEAD_BYTES];

    if (sending->pending.count == 0)
        return 0;
    ph_block_run_encode(&sending->pending, head);
    int rv = put(sending, head, sizeof head);
    if (rv == 0 && sending->pending.kind == PH_RUN_DATA)
        rv = put(sending, sending->bytes, sending->used);
    sending->pending.count = 0;
    sending->used = 0;
    return rv;
}

static int add(struct sending *sending, uint32_t index, const unsigned char *bytes, uint32_t length)
{
    enum ph_run_kind kind = bytes != NULL ? PH_RUN_DATA : PH_RUN_ZERO;
    struct ph_block_run *run = &sending->pending;
    bool fits = run->count > 0 && run->kind == kind && index == run->index + run->count &&
                (kind == PH_RUN_ZERO || run->count < ph_block_run_max(&sending->map));
    int rv = fits ? 0 : flush(sending);

    if (rv != 0)
        return rv;
    if (run->count == 0)
        *run = (struct ph_block_run){.kind = kind, .index = index};
    if (bytes != NULL) {
        memcpy(sending->bytes + sending->used, bytes, length);
        sending->used += length;
        sending->sent_bytes += length;
    }
    run->count++;
    return 0;
}

static int visit(void *context, uint32_t index, const unsigned char *bytes, uint32_t length)
{
    struct sending *sending = context;
    unsigned char *hash = ph_block_hash_at(&sending->map, index);

    if (bytes != NULL)
        ph_block_hash(bytes, length, hash);
    else
        ph_image_zero_hash(length, hash);
    if (!ph_block_same(&sending->map, &sending->basis, index))
        return add(sending, index, bytes, length);
    if (sending->spool_fd < 0 && ph_clock_boot_ms() - sending->said_ms >= IDLE_MS) {
        unsigned char head[PH_RUN_HEAD_BYTES];
        ph_block_run_encode(&(struct ph_block_run){.kind = PH_RUN_IDLE}, head);
        return put(sending, head, sizeof head);
    }
    return 0;
}

/* The block is what it was, and the holder has it. */
static bool skip(struct sending *sending, uint32_t index)
{
    if (sending->unchanged == NULL || sending->unchanged[index] == 0)
        return false;
    unsigned char *hash = ph_block_hash_at(&sending->map, index);
    memcpy(hash, ph_block_hash_at(&sending->known, index), PH_BLOCK_HASH_BYTES);
    return ph_block_same(&sending->map, &sending->basis, index);
}

/* Sends (or spools) what of the file differs from the basis. */
static int send_changed(struct sending *sending, int fd)
{
    uint32_t count = sending->map.count;
    int rv = 0;

    for (uint32_t index = 0; rv == 0 && index < count;) {
        uint32_t first = index;
        while (index < count && !skip(sending, index))
            index++;
        if (index > first)
            rv = ph_image_walk(fd, &sending->map, first, index - first,
                sending->site->context->cancelled, visit, sending);
        for (; rv == 0 && index < count && skip(sending, index); index++)
            sending->known_count++;
    }
    if (rv == 0)
        rv = flush(sending);
    if (rv != 0 && sending->error->message[0] == '\0')
        ph_error_set(sending->error, PH_FAILED, NULL, "the image cannot be read: %s",
            rv == -ENODATA ? "it ends early" : strerror(-rv));
    return rv;
}

/* ---- what the holder has ---- */

static void point_path(const char *peer, char out[PH_NAME_BYTES_MAX + 16])
{
    ph_text_format(
        out, PH_NAME_BYTES_MAX + 16, "points/%s.map", ph_name_valid(peer) ? peer : "unnamed");
}

/* The map of exactly what the holder says it has, when it was kept. */
static bool find_basis(struct sending *sending, const struct ph_stream_opened *opened)
{
    char named[PH_NAME_BYTES_MAX + 16];
    const char *candidates[] = {named, "points/held.map", "data/map"};
    struct ph_map_stamp stamp;

    point_path(ph_stream_peer(sending->stream), named);
    for (size_t i = 0; opened->have_epoch > 0 && i < 3; i++) {
        const char *image = i == 2 ? "data/image" : NULL;
        if (ph_image_map_load(sending->site, candidates[i], image, &sending->basis, &stamp) != 0)
            continue;
        if (stamp.epoch == opened->have_epoch && stamp.sequence == opened->have_sequence &&
            stamp.sequence > 0)
            return true;
        ph_block_map_fini(&sending->basis);
    }
    return false;
}

static int agree(struct sending *sending, bool last)
{
    const struct ph_stream_opened *opened = ph_stream_opened(sending->stream);
    struct ph_block_head head = {
        .size = sending->map.size, .block_bytes = sending->map.block_bytes, .last = last};
    struct ph_block_answer answer;
    unsigned char bytes[PH_HEAD_BYTES];

    if (find_basis(sending, opened) && sending->basis.block_bytes == head.block_bytes) {
        head.basis_epoch = opened->have_epoch;
        head.basis_sequence = opened->have_sequence;
    }
    ph_block_head_encode(&head, bytes);
    int rv = ph_image_write(sending->stream, bytes, PH_HEAD_BYTES, sending->error);
    if (rv == 0)
        rv = ph_image_read(sending->stream, bytes, PH_ANSWER_BYTES, sending->error);
    if (rv != 0)
        return rv;
    if (ph_block_answer_decode(&answer, sending->map.count, bytes) != 0 ||
        (answer.mode == PH_BLOCKS_AGREED && head.basis_epoch == 0))
        return ph_error_set(sending->error, PH_FAILED, NULL, "the holder's answer is malformed");
    if (answer.mode == PH_BLOCKS_AGREED)
        return 0;
    ph_block_map_fini(&sending->basis);
    if (answer.mode == PH_BLOCKS_NOTHING || answer.count == 0)
        return 0;
    /* What it has, as far as our file goes. A short last block of its own differs from ours by its hash. */
    rv = ph_block_map_init(&sending->basis, head.size, head.block_bytes);
    if (rv != 0)
        return rv;
    rv = ph_image_read(sending->stream, sending->basis.hashes,
        (size_t)answer.count * PH_BLOCK_HASH_BYTES, sending->error);
    return rv; /* those that did not come are zero, which is the hash of nothing */
}

/* ---- one moment of the file ---- */

static int refuse_slow(struct sending *sending, const char *what)
{
    ph_error_set(sending->error, PH_STATE_FORBIDS, NULL,
        "no copy while the pool runs: %s. Put the agent's directory on xfs or btrfs, which clone "
        "files, or declare sync_interval_s: 0 (copies only when it moves)",
        what);
    return -EFBIG;
}

static int send_spool(struct sending *sending)
{
    char bytes[64 * 1024];
    ssize_t got;

    if (lseek(sending->spool_fd, 0, SEEK_SET) != 0)
        return -errno;
    while ((got = read(sending->spool_fd, bytes, sizeof bytes)) > 0) {
        int rv = ph_image_write(sending->stream, bytes, (size_t)got, sending->error);
        if (rv != 0)
            return rv;
    }
    return got == 0 ? 0 : -errno;
}

/* What changed while it was sent, frozen. The spool has no name. */
static int send_rest(struct sending *sending, int fd)
{
    struct ph_freeze freeze;
    char mount[PATH_MAX], base[PATH_MAX];

    ph_site_path(sending->site, "mount", mount);
    ph_site_path(sending->site, ".", base);
    ph_block_map_fini(&sending->basis);
    int rv = ph_block_map_copy(&sending->basis, &sending->map);
    if (rv != 0)
        return rv;
    sending->spool_fd = open(base, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (sending->spool_fd < 0)
        return ph_error_set(
            sending->error, PH_FAILED, NULL, "no file in %s: %s", base, strerror(errno));
    rv = ph_freeze_begin(&freeze, mount, PH_FREEZE_MS_MAX, sending->error);
    if (rv == 0) {
        rv = send_changed(sending, fd);
        int frozen = ph_freeze_end(&freeze);
        if (rv == 0 && frozen != 0)
            rv = refuse_slow(sending, "what it changed could not be read within a second");
    }
    if (rv == 0)
        rv = send_spool(sending);
    close(sending->spool_fd);
    sending->spool_fd = -1;
    return rv;
}

static int clone_frozen(struct sending *sending, const char *image, const char *clone)
{
    struct ph_freeze freeze;
    char mount[PATH_MAX];
    bool shared = false;

    ph_site_path(sending->site, "mount", mount);
    int rv = ph_freeze_begin(&freeze, mount, PH_FREEZE_MS_MAX, sending->error);
    if (rv != 0)
        return rv;
    rv = ph_image_clone(image, clone, false, &shared, NULL);
    int frozen = ph_freeze_end(&freeze);
    if (rv == 0)
        rv = frozen;
    if (rv != 0) {
        unlink(clone);
        ph_error_set(
            sending->error, PH_FAILED, NULL, "no frozen clone of the image: %s", strerror(-rv));
    }
    return rv;
}

static void clone_path(const struct sending *sending, char out[PATH_MAX])
{
    ph_text_format(out, PATH_MAX, "%.*s/points/clone-%s", PATH_MAX - 96, sending->site->base,
        ph_stream_peer(sending->stream));
}

/* Opens what is to be sent. *moving_out: it is the live file. */
static int open_source(struct sending *sending, bool *moving_out, int *fd_out)
{
    char image[PATH_MAX], clone[PATH_MAX];
    const char *path = image;
    int rv = 0;

    *moving_out = false;
    ph_site_path(sending->site, "data/image", image);
    clone_path(sending, clone);
    if (!sending->site->trace.released && ph_image_can_clone(sending->site)) {
        rv = clone_frozen(sending, image, clone);
        path = clone;
    } else if (!sending->site->trace.released) {
        *moving_out = true;
    }
    if (rv != 0)
        return rv;
    *fd_out = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    rv = *fd_out < 0 ? -errno : 0;
    sending->cloned = path == clone;
    if (rv != 0)
        ph_error_set(sending->error, PH_FAILED, NULL, "cannot read %s: %s", path, strerror(-rv));
    else if (*moving_out && ph_image_data_bytes(*fd_out) > PH_FROZEN_READ_BYTES_MAX) {
        close(*fd_out);
        rv = refuse_slow(sending, "its image has more than 1 GiB of data");
    }
    return rv;
}

static int send_all(struct sending *sending, int fd, bool moving, bool last)
{
    unsigned char head[PH_RUN_HEAD_BYTES];
    struct stat status;

    if (fstat(fd, &status) != 0)
        return -errno;
    int rv = ph_block_map_init(
        &sending->map, (int64_t)status.st_size, ph_block_bytes_for((int64_t)status.st_size));
    if (rv == 0) {
        size_t room = sending->map.block_bytes > PH_RUN_BYTES_MAX ? sending->map.block_bytes
                                                                  : PH_RUN_BYTES_MAX;
        sending->bytes = malloc(room);
        rv = sending->bytes == NULL ? -ENOMEM : 0;
    }
    if (rv == 0)
        rv = agree(sending, last);
    if (rv == 0 && !moving && !ph_stream_opening(sending->stream)->verify)
        sending->unchanged = ph_image_unchanged(
            sending->site, ph_stream_peer(sending->stream), fd, &sending->map, &sending->known);
    if (rv == 0)
        rv = send_changed(sending, fd);
    if (rv == 0 && moving)
        rv = send_rest(sending, fd);
    if (rv != 0)
        return rv;
    ph_block_run_encode(&(struct ph_block_run){.kind = PH_RUN_END}, head);
    return ph_image_write(sending->stream, head, sizeof head, sending->error);
}

/* The holder has confirmed: the next difference is to this. */
static void keep_point(struct sending *sending)
{
    const struct ph_stream_open *open = ph_stream_opening(sending->stream);
    struct ph_map_stamp stamp = {.epoch = open->epoch, .sequence = open->sequence};
    char path[PH_NAME_BYTES_MAX + 16], kept[PH_NAME_BYTES_MAX + 16], clone[PATH_MAX];
    const char *peer = ph_stream_peer(sending->stream);

    point_path(peer, path);
    clone_path(sending, clone);
    bool keep = ph_image_clone_keep(sending->site, peer, sending->cloned ? clone : NULL, kept);
    if (keep)
        sending->cloned = false;
    int rv = ph_image_map_store(sending->site, path, keep ? kept : NULL, &sending->map, stamp);
    if (rv == 0 && sending->site->trace.released)
        rv = ph_image_map_store(sending->site, "data/map", "data/image", &sending->map, stamp);
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "map_not_kept", "pool=%s path=%s error=%s",
            sending->site->context->pool->name, path, strerror(-rv));
}

int ph_image_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error)
{
    struct sending sending = {.site = site,
        .stream = stream,
        .error = error,
        .spool_fd = -1,
        .said_ms = ph_clock_boot_ms()};
    struct ph_stream_close mine = {.complete = true}, theirs = {.complete = false};
    char hash[2 * PH_BLOCK_HASH_BYTES + 1], path[PATH_MAX];
    bool moving = false;
    int fd = -1;

    int rv = ph_site_make(site, "points", error);
    if (rv == 0)
        ph_image_clones_prune(site, false);
    if (rv == 0)
        rv = open_source(&sending, &moving, &fd);
    if (rv == 0)
        rv = send_all(&sending, fd, moving, last);
    if (fd >= 0)
        close(fd);
    if (rv == 0) {
        ph_block_map_hash(&sending.map, hash);
        mine.hash = hash;
        mine.size = sending.map.size;
        rv = ph_stream_finish(stream, &mine, &theirs, CLOSE_MS, error);
    }
    if (rv == 0) {
        copy_out->bytes = theirs.size;
        ph_text_format(copy_out->hash, sizeof copy_out->hash, "%s", hash);
        keep_point(&sending);
    }
    if (sending.cloned) {
        clone_path(&sending, path);
        unlink(path);
    }
    if (rv == 0)
        ph_log(PH_LOG_DEBUG, "image_sent", "pool=%s blocks=%u not_read=%u",
            site->context->pool->name, sending.map.count, sending.known_count);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(error, PH_FAILED, NULL, "%s", strerror(-rv));
    ph_record_fini(&ph_record_stream_close, &theirs);
    ph_block_map_fini(&sending.known);
    free(sending.unchanged);
    ph_block_map_fini(&sending.map);
    ph_block_map_fini(&sending.basis);
    free(sending.bytes);
    return rv;
}
