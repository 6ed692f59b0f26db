#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/image.h"
#include "base/file.h"
#include "base/log.h"

#define MAP_FILE_BYTES_MAX ((size_t)PH_BLOCKS_MAX * PH_BLOCK_HASH_BYTES + 4096)
#define COPY_STEP_BYTES (8 * 1024 * 1024)

/* ---- clones ---- */

static int copy_ranges(int from, int to, const atomic_bool *cancelled)
{
    off_t at = 0, end = lseek(from, 0, SEEK_END);

    while (at < end) {
        off_t data = lseek(from, at, SEEK_DATA);
        if (data < 0)
            return errno == ENXIO ? 0 : -errno;
        off_t hole = lseek(from, data, SEEK_HOLE);
        if (hole < 0)
            return -errno;
        for (off_t in = data, out = data; in < hole;) {
            size_t step = hole - in < COPY_STEP_BYTES ? (size_t)(hole - in) : COPY_STEP_BYTES;
            if (cancelled != NULL && atomic_load(cancelled))
                return -ECANCELED;
            ssize_t got = copy_file_range(from, &in, to, &out, step, 0);
            if (got < 0 && errno == EINTR)
                continue;
            if (got <= 0)
                return got == 0 ? -EIO : -errno;
        }
        at = hole;
    }
    return 0;
}

int ph_image_clone(
    const char *from, const char *to, bool copy, bool *shared_out, const atomic_bool *cancelled)
{
    struct stat status;
    int rv = 0, out, in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);

    if (in < 0)
        return -errno;
    out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (out < 0) {
        rv = -errno;
        close(in);
        return rv;
    }
    *shared_out = ioctl(out, FICLONE, in) == 0;
    if (!*shared_out && !copy)
        rv = -EOPNOTSUPP;
    else if (!*shared_out)
        rv = fstat(in, &status) != 0 || ftruncate(out, status.st_size) != 0
                 ? -errno
                 : copy_ranges(in, out, cancelled);
    close(in);
    close(out);
    if (rv != 0)
        unlink(to);
    return rv;
}

bool ph_image_can_clone(const struct ph_pool_site *site)
{
    char path[PATH_MAX];
    bool can = false;

    /* O_TMPFILE: nothing is left, whatever ends us. */
    ph_site_path(site, ".", path);
    int a = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    int b = open(path, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
    if (a >= 0 && b >= 0)
        can = write(a, "x", 1) == 1 && ioctl(b, FICLONE, a) == 0;
    if (a >= 0)
        close(a);
    if (b >= 0)
        close(b);
    return can;
}

/* ---- maps ---- */

static int stamp_of(
    const struct ph_pool_site *site, const char *image, struct ph_map_stamp *stamp, int64_t *size)
{
    struct stat status;
    char path[PATH_MAX];

    ph_site_path(site, image, path);
    if (stat(path, &status) != 0)
        return -errno;
    stamp->inode = (int64_t)status.st_ino;
    stamp->mtime_s = (int64_t)status.st_mtim.tv_sec;
    stamp->mtime_ns = (int64_t)status.st_mtim.tv_nsec;
    *size = (int64_t)status.st_size;
    return 0;
}

int ph_image_map_load(const struct ph_pool_site *site, const char *relative, const char *image,
    struct ph_block_map *map, struct ph_map_stamp *stamp)
{
    struct ph_map_stamp now = {.epoch = 0};
    char path[PATH_MAX], *bytes = NULL;
    size_t size = 0;
    int64_t file_size = 0;

    memset(map, 0, sizeof *map);
    ph_site_path(site, relative, path);
    int rv = ph_file_read(path, MAP_FILE_BYTES_MAX, &bytes, &size);
    if (rv == 0)
        rv = ph_block_map_decode(map, stamp, (const unsigned char *)bytes, size);
    free(bytes);
    if (rv == 0 && image != NULL) {
        rv = stamp_of(site, image, &now, &file_size);
        if (rv == 0 && (now.inode != stamp->inode || now.mtime_s != stamp->mtime_s ||
                           now.mtime_ns != stamp->mtime_ns || file_size != map->size))
            rv = -ESTALE;
        if (rv != 0)
            ph_block_map_fini(map);
    }
    return rv;
}

int ph_image_map_store(const struct ph_pool_site *site, const char *relative, const char *image,
    const struct ph_block_map *map, struct ph_map_stamp stamp)
{
    char path[PATH_MAX];
    size_t size = 0;
    int64_t file_size = map->size;
    int rv = image != NULL ? stamp_of(site, image, &stamp, &file_size) : 0;

    if (rv == 0 && file_size != map->size)
        rv = -EINVAL;
    if (rv != 0)
        return rv;
    unsigned char *bytes = ph_block_map_encode(map, &stamp, &size);
    if (bytes == NULL)
        return -ENOMEM;
    ph_site_path(site, relative, path);
    rv = ph_file_replace(path, bytes, size, 0600);
    free(bytes);
    return rv;
}

/* ---- blocks ---- */

void ph_image_zero_hash(uint32_t length, unsigned char out[PH_BLOCK_HASH_BYTES])
{
    static _Thread_local unsigned char kept[PH_BLOCK_HASH_BYTES];
    static _Thread_local uint32_t kept_length;

    if (kept_length != length) {
        unsigned char *zeros = calloc(1, length);
        if (zeros == NULL) { /* no hash of anything: such a block is sent */
            memset(out, 0, PH_BLOCK_HASH_BYTES);
            return;
        }
        ph_block_hash(zeros, length, kept);
        free(zeros);
        kept_length = length;
    }
    memcpy(out, kept, sizeof kept);
}

static bool all_zero(const unsigned char *bytes, size_t count)
{
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

static int read_all(int fd, unsigned char *bytes, size_t count, off_t at)
{
    while (count > 0) {
        ssize_t got = pread(fd, bytes, count, at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got == 0 ? -ENODATA : -errno;
        bytes += got;
        count -= (size_t)got;
        at += got;
    }
    return 0;
}

int ph_image_walk(int fd, const struct ph_block_map *shape, uint32_t first, uint32_t count,
    const atomic_bool *cancelled, ph_image_visit *visit, void *context)
{
    unsigned char *bytes = calloc(1, shape->block_bytes);
    off_t data = -1; /* no data from here on before it */
    int rv = bytes == NULL ? -ENOMEM : 0;
    uint32_t end = count > shape->count - first ? shape->count : first + count;

    for (uint32_t index = first; rv == 0 && index < end; index++) {
        off_t at = (off_t)index * shape->block_bytes;
        uint32_t length = ph_block_length(shape, index);
        if (cancelled != NULL && atomic_load(cancelled)) {
            rv = -ECANCELED;
            break;
        }
        if (data < at) {
            data = lseek(fd, at, SEEK_DATA);
            if (data < 0)
                data = errno == ENXIO ? (off_t)shape->size : at;
        }
        if (data >= at + (off_t)length) {
            rv = visit(context, index, NULL, length);
            continue;
        }
        rv = read_all(fd, bytes, length, at);
        if (rv == 0)
            rv = visit(context, index, all_zero(bytes, length) ? NULL : bytes, length);
    }
    free(bytes);
    return rv;
}

static int write_all(int fd, const unsigned char *bytes, size_t count, off_t at)
{
    while (count > 0) {
        ssize_t put = pwrite(fd, bytes, count, at);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return put == 0 ? -EIO : -errno;
        bytes += put;
        count -= (size_t)put;
        at += put;
    }
    return 0;
}

static int write_zeros(int fd, off_t at, off_t count)
{
    static const unsigned char zeros[PH_BLOCK_BYTES_MIN];

    if (fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, at, count) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return -errno;
    while (count > 0) {
        size_t step = count < (off_t)sizeof zeros ? (size_t)count : sizeof zeros;
        int rv = write_all(fd, zeros, step, at);
        if (rv != 0)
            return rv;
        at += (off_t)step;
        count -= (off_t)step;
    }
    return 0;
}

int ph_image_put(int fd, const struct ph_block_map *shape, const struct ph_block_run *run,
    const unsigned char *bytes)
{
    off_t at = (off_t)run->index * shape->block_bytes;
    off_t end = at + (off_t)run->count * shape->block_bytes;

    if (end > (off_t)shape->size)
        end = (off_t)shape->size;
    return run->kind == PH_RUN_ZERO ? write_zeros(fd, at, end - at)
                                    : write_all(fd, bytes, (size_t)(end - at), at);
}

int64_t ph_image_data_bytes(int fd)
{
    struct stat status;
    return fstat(fd, &status) == 0 ? (int64_t)status.st_blocks * 512 : 0;
}
