/*
 * The holder's side of an image's copy. What arrives never touches the complete copy before it is complete
 * itself: it goes into a clone of it, into a new file, or, where files cannot be cloned, into a delta beside
 * it, which is written into it only when it is durable and checked (image.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/directory.h"
#include "agent/pools/image.h"
#include "agent/pools/tree.h"
#include "base/log.h"

#define CLOSE_MS (60 * 60 * 1000)
#define SCRUB_BYTES ((int64_t)16 * 1024 * 1024)  /* looked at again with each copy, in turn */
#define WHOLE_BYTES ((int64_t)256 * 1024 * 1024) /* up to here all of it with a last copy */

struct receiving {
    struct ph_pool_site *site;
    struct ph_stream *stream;
    struct ph_error *error;
    struct ph_block_head head;
    struct ph_block_map map;   /* of what is being received */
    struct ph_block_map basis; /* of what is here */
    const char *basis_image;   /* its file, relative; NULL: nothing is here */
    bool delta;                /* fd is of a delta, not of the image */
    int64_t wrong;             /* blocks here that are not what their map says */
    int fd;
    int current_fd; /* with delta: current's image */
    unsigned char *bytes;
};

static int failed(struct receiving *receiving, int rv, const char *what)
{
    if (rv != 0 && receiving->error->message[0] == '\0')
        ph_error_set(receiving->error, PH_FAILED, NULL, "%s: %s", what, strerror(-rv));
    return rv;
}

static int open_at(const struct ph_pool_site *site, const char *relative, int flags)
{
    char path[PATH_MAX];

    ph_site_path(site, relative, path);
    int fd = open(path, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
    return fd >= 0 ? fd : -errno;
}

static bool file_is_there(const struct ph_pool_site *site, const char *relative)
{
    struct stat status;
    char path[PATH_MAX];

    ph_site_path(site, relative, path);
    return lstat(path, &status) == 0 && S_ISREG(status.st_mode);
}

/* ---- a complete delta ---- */

static int read_file(int fd, void *bytes, size_t count)
{
    char *at = bytes;

    while (count > 0) {
        ssize_t got = read(fd, at, count);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? -EBADMSG : -errno;
        at += got;
        count -= (size_t)got;
    }
    return 0;
}

/* Runs up to the end, from the file into the image. */
static int replay(int delta, int image, const struct ph_block_map *map)
{
    unsigned char head[PH_RUN_HEAD_BYTES];
    struct ph_block_run run = {.kind = PH_RUN_IDLE};
    size_t room = map->block_bytes > PH_RUN_BYTES_MAX ? map->block_bytes : PH_RUN_BYTES_MAX;
    unsigned char *bytes = malloc(room);
    int rv = bytes == NULL ? -ENOMEM : 0;

    while (rv == 0 && run.kind != PH_RUN_END) {
        rv = read_file(delta, head, sizeof head);
        if (rv == 0)
            rv = ph_block_run_decode(&run, map, head);
        if (rv != 0 || run.kind == PH_RUN_IDLE || run.kind == PH_RUN_END)
            continue;
        size_t count = 0;
        for (uint32_t i = 0; run.kind == PH_RUN_DATA && i < run.count; i++)
            count += ph_block_length(map, run.index + i);
        rv = read_file(delta, bytes, count);
        if (rv == 0)
            rv = ph_image_put(image, map, &run, bytes);
    }
    free(bytes);
    return rv;
}

static int apply_delta(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error)
{
    struct ph_block_map map;
    struct ph_map_stamp stamp;
    char path[PATH_MAX];
    int delta = -1, image = -1;
    int rv = ph_image_map_load(site, "copies/staging/data/map", NULL, &map, &stamp);

    if (rv == 0) {
        delta = open_at(site, "copies/staging/data/delta", O_RDONLY);
        image = open_at(site, "copies/current/data/image", O_RDWR);
        rv = delta < 0 ? delta : image < 0 ? image : 0;
    }
    if (rv == 0 && ftruncate(image, (off_t)map.size) != 0)
        rv = -errno;
    if (rv == 0)
        rv = replay(delta, image, &map);
    if (rv == 0 && fsync(image) != 0)
        rv = -errno;
    if (rv == 0)
        rv = ph_image_map_store(
            site, "copies/current/data/map", "copies/current/data/image", &map, stamp);
    ph_site_path(site, "copies/current/manifest", path);
    if (rv == 0)
        rv = ph_manifest_write(path, manifest, false);
    if (delta >= 0)
        close(delta);
    if (image >= 0)
        close(image);
    ph_block_map_fini(&map);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL,
            "what was received cannot be written into %s/copies/current/data/image: %s", site->base,
            strerror(-rv));
    return rv;
}

int ph_image_settle(struct ph_pool_site *site, struct ph_error *error)
{
    struct ph_pool_manifest manifest = {.epoch = 0};
    char path[PATH_MAX];
    int rv = 0;

    if (!file_is_there(site, "copies/staging/data/delta"))
        return 0;
    ph_site_path(site, "copies/staging/manifest", path);
    /* Without a manifest it was cut off, and is worth nothing. */
    if (ph_manifest_read(path, site->context->pool->name, &manifest) == 0)
        rv = apply_delta(site, &manifest, error);
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    if (rv == 0)
        rv = ph_site_trash(site, "copies/staging", error);
    return rv == 0 && ph_site_has(site, "copies") ? ph_site_sync(site, "copies", error) : rv;
}

/* ---- what is here ---- */

static int hash_block(void *context, uint32_t index, const unsigned char *bytes, uint32_t length)
{
    struct receiving *receiving = context;
    unsigned char *kept = ph_block_hash_at(&receiving->basis, index);
    unsigned char hash[PH_BLOCK_HASH_BYTES];

    if (bytes != NULL)
        ph_block_hash(bytes, length, hash);
    else
        ph_image_zero_hash(length, hash);
    if (memcmp(kept, hash, sizeof hash) != 0) {
        receiving->wrong++;
        memcpy(kept, hash, sizeof hash);
    }
    return 0;
}

static int hash_basis(struct receiving *receiving, uint32_t first, uint32_t count)
{
    int fd = open_at(receiving->site, receiving->basis_image, O_RDONLY);
    int rv = fd < 0 ? fd
                    : ph_image_walk(fd, &receiving->basis, first, count,
                          receiving->site->context->cancelled, hash_block, receiving);

    if (fd >= 0)
        close(fd);
    return failed(receiving, rv, "what is here cannot be read");
}

/* The kept map is believed, but for a part of it that is compared with the file each time. */
static int scrub(struct receiving *receiving)
{
    const struct ph_block_map *basis = &receiving->basis;
    uint32_t part = (uint32_t)(SCRUB_BYTES / basis->block_bytes) + 1;
    uint32_t parts = (basis->count - 1) / part + 1;
    int64_t turn = ph_stream_opening(receiving->stream)->sequence;
    bool verify = ph_stream_opening(receiving->stream)->verify;
    bool whole = verify || (receiving->head.last && basis->size <= WHOLE_BYTES);
    int rv = whole ? hash_basis(receiving, 0, basis->count)
                   : hash_basis(receiving, (uint32_t)(turn % parts) * part, part);

    if (rv == 0 && verify)
        receiving->site->spoilt = receiving->wrong;
    else if (rv == 0 && receiving->wrong > 0)
        ph_log(PH_LOG_ERROR, "copy_corrupt", "pool=%s path=%s/%s next_step=look_at_the_disk",
            receiving->site->context->pool->name, receiving->site->base, receiving->basis_image);
    return rv;
}

/* Loads the map of what is here, or makes it. */
static int know_basis(struct receiving *receiving, bool *agreed_out)
{
    struct ph_block_head *head = &receiving->head;
    struct ph_map_stamp stamp = {.epoch = 0};
    struct stat status;
    char map[PATH_MAX], image[PATH_MAX];

    *agreed_out = false;
    if (receiving->basis_image == NULL)
        return 0;
    ph_text_format(map, sizeof map, "%.*smap",
        (int)(strlen(receiving->basis_image) - strlen("image")), receiving->basis_image);
    int rv =
        ph_image_map_load(receiving->site, map, receiving->basis_image, &receiving->basis, &stamp);
    if (rv == 0 && receiving->basis.block_bytes == head->block_bytes) {
        rv = scrub(receiving);
        *agreed_out = rv == 0 && receiving->wrong == 0 && head->basis_epoch > 0 &&
                      stamp.epoch == head->basis_epoch && stamp.sequence == head->basis_sequence;
        return rv;
    }
    ph_block_map_fini(&receiving->basis);
    ph_site_path(receiving->site, receiving->basis_image, image);
    if (stat(image, &status) != 0)
        return failed(receiving, -errno, "what is here cannot be read");
    if (ph_block_map_init(&receiving->basis, (int64_t)status.st_size, head->block_bytes) != 0) {
        receiving->basis_image = NULL; /* nothing that could be an image */
        return 0;
    }
    return hash_basis(receiving, 0, receiving->basis.count);
}

static int answer(struct receiving *receiving, bool agreed)
{
    struct ph_block_answer reply = {.mode = PH_BLOCKS_NOTHING};
    unsigned char bytes[PH_ANSWER_BYTES];

    if (agreed) {
        reply.mode = PH_BLOCKS_AGREED;
    } else if (receiving->basis_image != NULL) {
        reply.mode = PH_BLOCKS_HASHES;
        reply.count = receiving->basis.count < receiving->map.count ? receiving->basis.count
                                                                    : receiving->map.count;
    }
    ph_block_answer_encode(&reply, bytes);
    int rv = ph_image_write(receiving->stream, bytes, sizeof bytes, receiving->error);
    if (rv == 0 && reply.count > 0)
        rv = ph_image_write(receiving->stream, receiving->basis.hashes,
            (size_t)reply.count * PH_BLOCK_HASH_BYTES, receiving->error);
    return rv;
}

/* ---- where it goes ---- */

/* A cut-off first copy is gone on with; otherwise what was cut off is worth nothing. */
static int take_partial(struct receiving *receiving)
{
    struct ph_pool_site *site = receiving->site;
    char name[64], image[96];
    int rv = 0;

    for (int number = PH_PARTIALS_MAX; rv == 0 && number >= 1; number--) {
        ph_text_format(name, sizeof name, "copies/partial-%d", number);
        ph_text_format(image, sizeof image, "%s/data/image", name);
        if (receiving->basis_image == NULL && file_is_there(site, image)) {
            rv = ph_site_rename(site, name, "copies/staging", receiving->error);
            receiving->basis_image = "copies/staging/data/image";
        } else {
            rv = ph_site_trash(site, name, receiving->error);
        }
    }
    return rv;
}

static int find_basis(struct receiving *receiving)
{
    struct ph_pool_site *site = receiving->site;

    if (file_is_there(site, "copies/current/data/image"))
        receiving->basis_image = "copies/current/data/image";
    else if (file_is_there(site, "data/image")) /* a former owner's, to be set aside */
        receiving->basis_image = "data/image";
    return take_partial(receiving);
}

/* The file that runs are written to. */
static int open_target(struct receiving *receiving)
{
    static const char staging[] = "copies/staging/data/image";
    struct ph_pool_site *site = receiving->site;
    const char *basis = receiving->basis_image;
    bool shared = false, current = basis != NULL && strncmp(basis, "copies/current", 14) == 0;
    char from[PATH_MAX], to[PATH_MAX];
    int rv = ph_site_make(site, "copies/staging", receiving->error);

    if (rv == 0)
        rv = ph_site_make(site, "copies/staging/data", receiving->error);
    if (rv != 0)
        return rv;
    ph_site_path(site, staging, to);
    if (basis != NULL && strcmp(basis, staging) != 0) {
        ph_site_path(site, basis, from);
        rv = ph_image_clone(from, to, !current, &shared, site->context->cancelled);
        receiving->delta = rv == -EOPNOTSUPP && current;
        if (rv != 0 && !receiving->delta)
            return failed(receiving, rv, "no copy of what is here can be made");
        if (receiving->delta)
            receiving->current_fd = open_at(site, basis, O_RDWR);
    }
    receiving->fd = open_at(site, receiving->delta ? "copies/staging/data/delta" : staging,
        O_RDWR | O_CREAT | (receiving->delta ? O_TRUNC : 0));
    rv = receiving->fd < 0 ? receiving->fd : 0;
    if (rv == 0 && !receiving->delta && ftruncate(receiving->fd, (off_t)receiving->head.size) != 0)
        rv = -errno;
    return failed(receiving, rv, "the copy cannot be begun");
}

/* ---- receiving ---- */

static int append(struct receiving *receiving, const void *bytes, size_t count)
{
    const char *at = bytes;

    while (count > 0) {
        ssize_t put = write(receiving->fd, at, count);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put == 0 ? -EIO : -errno;
        at += put;
        count -= (size_t)put;
    }
    return 0;
}

/* Room for it in the image it is going to be written into: when the delta counts as the copy, nothing may be
 * missing for that. Zeros stay zeros. */
static int reserve(const struct receiving *receiving, const struct ph_block_run *run)
{
    off_t at = (off_t)run->index * receiving->map.block_bytes;

    if (run->kind == PH_RUN_ZERO)
        return 0;
    if (fallocate(receiving->current_fd, FALLOC_FL_KEEP_SIZE, at,
            (off_t)run->count * receiving->map.block_bytes) == 0)
        return 0;
    return errno == EOPNOTSUPP ? 0 : -errno;
}

static int take_run(struct receiving *receiving, const struct ph_block_run *run,
    const unsigned char head[PH_RUN_HEAD_BYTES])
{
    size_t used = 0;
    int rv = 0;

    for (uint32_t i = 0; i < run->count; i++) {
        uint32_t length = ph_block_length(&receiving->map, run->index + i);
        unsigned char *hash = ph_block_hash_at(&receiving->map, run->index + i);
        if (run->kind == PH_RUN_ZERO) {
            ph_image_zero_hash(length, hash);
            continue;
        }
        rv = ph_image_read(receiving->stream, receiving->bytes + used, length, receiving->error);
        if (rv != 0)
            return rv;
        ph_block_hash(receiving->bytes + used, length, hash);
        used += length;
    }
    if (receiving->delta) {
        rv = reserve(receiving, run);
        if (rv == 0)
            rv = append(receiving, head, PH_RUN_HEAD_BYTES);
        if (rv == 0)
            rv = append(receiving, receiving->bytes, used);
    } else {
        rv = ph_image_put(receiving->fd, &receiving->map, run, receiving->bytes);
    }
    return failed(receiving, rv, "the copy cannot be written here");
}

static int take_runs(struct receiving *receiving)
{
    unsigned char head[PH_RUN_HEAD_BYTES];
    struct ph_block_run run = {.kind = PH_RUN_IDLE};
    size_t room = receiving->map.block_bytes > PH_RUN_BYTES_MAX ? receiving->map.block_bytes
                                                                : PH_RUN_BYTES_MAX;
    int rv = 0;

    receiving->bytes = malloc(room);
    if (receiving->bytes == NULL)
        return -ENOMEM;
    while (rv == 0 && run.kind != PH_RUN_END) {
        rv = ph_image_read(receiving->stream, head, sizeof head, receiving->error);
        if (rv == 0 && ph_block_run_decode(&run, &receiving->map, head) != 0)
            rv = ph_error_set(receiving->error, PH_FAILED, NULL, "what came is malformed");
        if (rv == 0 && (run.kind == PH_RUN_DATA || run.kind == PH_RUN_ZERO))
            rv = take_run(receiving, &run, head);
    }
    if (rv == 0 && receiving->delta)
        rv = failed(
            receiving, append(receiving, head, sizeof head), "the copy cannot be written here");
    return rv;
}

/* What did not come is what is here. A file without a basis is zeros. */
static int begin_map(struct receiving *receiving)
{
    int rv = ph_block_map_init(&receiving->map, receiving->head.size, receiving->head.block_bytes);

    for (uint32_t i = 0; rv == 0 && i < receiving->map.count; i++) {
        if (i < receiving->basis.count &&
            ph_block_length(&receiving->basis, i) == ph_block_length(&receiving->map, i))
            memcpy(ph_block_hash_at(&receiving->map, i), ph_block_hash_at(&receiving->basis, i),
                PH_BLOCK_HASH_BYTES);
    }
    return rv;
}

static int check(struct receiving *receiving, struct ph_pool_manifest *manifest)
{
    struct ph_stream_close theirs;
    char hash[2 * PH_BLOCK_HASH_BYTES + 1];
    int rv = ph_stream_wait_close(receiving->stream, &theirs, CLOSE_MS, receiving->error);

    if (rv != 0)
        return rv;
    ph_block_map_hash(&receiving->map, hash);
    if (theirs.hash == NULL || strcmp(theirs.hash, hash) != 0) {
        ph_error_set(receiving->error, PH_FAILED, NULL,
            "the copy differs from its source: hash %s here, %s there", hash,
            theirs.hash != NULL ? theirs.hash : "none");
        rv = -EBADMSG;
    }
    ph_record_fini(&ph_record_stream_close, &theirs);
    manifest->files = 1;
    manifest->bytes = receiving->map.size;
    return rv != 0 ? rv : ph_set_text(&manifest->hash, hash);
}

/* A delta with its manifest is the copy, whatever happens from now on. */
static int accept_delta(struct receiving *receiving, const struct ph_pool_manifest *manifest)
{
    struct ph_pool_site *site = receiving->site;
    char path[PATH_MAX];

    ph_site_path(site, "copies/staging/manifest.new", path);
    int rv = ph_manifest_write(path, manifest, true);
    if (rv == 0)
        rv = ph_tree_sync(site->base);
    if (rv != 0)
        return failed(receiving, rv, "the copy cannot be made durable");
    rv = ph_site_rename(
        site, "copies/staging/manifest.new", "copies/staging/manifest", receiving->error);
    if (rv == 0)
        rv = ph_site_sync(site, "copies/staging", receiving->error);
    return rv == 0 ? ph_image_settle(site, receiving->error) : rv;
}

static int install(struct receiving *receiving, const struct ph_pool_manifest *manifest)
{
    struct ph_map_stamp stamp = {.epoch = manifest->epoch, .sequence = manifest->sequence};
    int rv = fsync(receiving->fd) == 0 ? 0 : -errno; /* its times are settled then */

    if (rv == 0)
        rv = ph_image_map_store(receiving->site, "copies/staging/data/map",
            receiving->delta ? NULL : "copies/staging/data/image", &receiving->map, stamp);
    if (rv != 0)
        return failed(receiving, rv, "the copy cannot be made durable");
    return receiving->delta ? accept_delta(receiving, manifest)
                            : ph_copies_accept(receiving->site, manifest, receiving->error);
}

static int prepare(struct receiving *receiving, const struct ph_stream_open *open)
{
    struct ph_pool_site *site = receiving->site;
    struct ph_pool_manifest newest;
    char slot[32];
    int rv = ph_image_settle(site, receiving->error);
    bool has = rv == 0 && ph_copies_newest(site, slot, &newest) == 0;

    if (rv == 0)
        rv = ph_site_may_receive(site, open, has ? &newest : NULL, receiving->error);
    if (has)
        ph_record_fini(&ph_record_pool_manifest, &newest);
    /* What is going to be a copy, or set aside, must be at rest. */
    if (rv == 0 && ph_site_has_data(site))
        rv = ph_image_unuse(site, receiving->error);
    if (rv == 0 && ph_site_has_data(site) && ph_site_data_is_in(site, &open->lineage))
        rv = ph_copies_take_data(site, receiving->error);
    if (rv == 0)
        rv = ph_site_make(site, "copies", receiving->error);
    if (rv == 0)
        ph_image_clones_prune(site, true); /* of when this node was the owner */
    return rv == 0 ? ph_copies_tidy(site, receiving->error) : rv;
}

static int receive(struct receiving *receiving, const struct ph_stream_open *open,
    struct ph_pool_manifest *manifest)
{
    unsigned char bytes[PH_HEAD_BYTES];
    bool agreed = false;
    int rv = prepare(receiving, open);

    if (rv == 0)
        rv = ph_image_read(receiving->stream, bytes, sizeof bytes, receiving->error);
    if (rv == 0 && ph_block_head_decode(&receiving->head, bytes) != 0)
        rv = ph_error_set(receiving->error, PH_FAILED, NULL, "what came is malformed");
    if (rv == 0)
        rv = find_basis(receiving);
    if (rv == 0)
        rv = know_basis(receiving, &agreed);
    if (rv == 0)
        rv = begin_map(receiving);
    if (rv == 0)
        rv = open_target(receiving);
    if (rv == 0)
        rv = answer(receiving, agreed);
    ph_site_empty_trash(receiving->site); /* while the owner reads */
    if (rv == 0)
        rv = take_runs(receiving);
    shutdown(ph_stream_fd(receiving->stream), SHUT_WR);
    if (rv == 0)
        rv = ph_manifest_of_open(open, manifest);
    if (rv == 0)
        rv = check(receiving, manifest);
    if (rv == 0 && atomic_load(receiving->site->context->cancelled))
        rv = -ECANCELED;
    return rv == 0 ? install(receiving, manifest) : rv;
}

int ph_image_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error)
{
    struct receiving receiving = {
        .site = site, .stream = stream, .error = error, .fd = -1, .current_fd = -1};
    int rv = receive(&receiving, open, manifest);

    if (receiving.fd >= 0)
        close(receiving.fd);
    if (receiving.current_fd >= 0)
        close(receiving.current_fd);
    ph_block_map_fini(&receiving.map);
    ph_block_map_fini(&receiving.basis);
    free(receiving.bytes);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(error, PH_FAILED, NULL, "%s", strerror(-rv));
    return rv;
}
