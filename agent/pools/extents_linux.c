#include "agent/pools/extents.h"

#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define BATCH 256
#define EXTENTS_MAX (1024 * 1024)
#define UNCERTAIN                                                                                  \
    (FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC | FIEMAP_EXTENT_ENCODED |                      \
        FIEMAP_EXTENT_DATA_ENCRYPTED | FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |     \
        FIEMAP_EXTENT_DATA_TAIL)

struct extent {
    uint64_t at, place, length, flags; /* of one size: they are compared as bytes */
};

struct extents {
    struct extent *items;
    size_t count, room;
};

static int add(struct extents *extents, const struct fiemap_extent *extent)
{
    if (extents->count == extents->room) {
        size_t room = extents->room == 0 ? BATCH : extents->room * 2;
        if (room > EXTENTS_MAX)
            return -E2BIG;
        struct extent *items = realloc(extents->items, room * sizeof *items);
        if (items == NULL)
            return -ENOMEM;
        extents->items = items;
        extents->room = room;
    }
    extents->items[extents->count++] = (struct extent){.at = extent->fe_logical,
        .place = extent->fe_physical,
        .length = extent->fe_length,
        .flags = extent->fe_flags & (UNCERTAIN | FIEMAP_EXTENT_UNWRITTEN)};
    return 0;
}

static int read_extents(int fd, struct extents *extents)
{
    size_t size = sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent);
    struct fiemap *map = calloc(1, size);
    uint64_t from = 0;
    bool last = false;
    int rv = map == NULL ? -ENOMEM : 0;

    while (rv == 0 && !last) {
        memset(map, 0, size);
        map->fm_start = from;
        map->fm_length = UINT64_MAX - from;
        map->fm_flags = FIEMAP_FLAG_SYNC;
        map->fm_extent_count = BATCH;
        if (ioctl(fd, FS_IOC_FIEMAP, map) != 0)
            rv = errno == ENOTTY || errno == EBADR ? -EOPNOTSUPP : -errno;
        if (rv != 0 || map->fm_mapped_extents == 0)
            break;
        for (uint32_t i = 0; rv == 0 && i < map->fm_mapped_extents; i++) {
            const struct fiemap_extent *extent = &map->fm_extents[i];
            last = (extent->fe_flags & FIEMAP_EXTENT_LAST) != 0;
            if (extent->fe_length == 0 || extent->fe_logical + extent->fe_length <= from)
                rv = -EOPNOTSUPP; /* no progress: what it says makes no sense */
            else
                rv = add(extents, extent);
            from = extent->fe_logical + extent->fe_length;
        }
    }
    free(map);
    return rv;
}

/* The one that has `at`, or the next one after it; NULL: only a hole follows. */
static const struct extent *extent_at(const struct extents *extents, size_t *index, uint64_t at)
{
    while (
        *index < extents->count && extents->items[*index].at + extents->items[*index].length <= at)
        (*index)++;
    return *index < extents->count ? &extents->items[*index] : NULL;
}

/* Whether both have the same at `at`, and up to where that holds. */
static bool same_at(
    const struct extent *a, const struct extent *b, uint64_t at, uint64_t end, uint64_t *until)
{
    bool in_a = a != NULL && a->at <= at, in_b = b != NULL && b->at <= at;
    uint64_t until_a = a == NULL ? end : in_a ? a->at + a->length : a->at;
    uint64_t until_b = b == NULL ? end : in_b ? b->at + b->length : b->at;

    *until = until_a < until_b ? until_a : until_b;
    if (*until > end)
        *until = end;
    if (!in_a || !in_b)
        return !in_a && !in_b;
    return ((a->flags | b->flags) & UNCERTAIN) == 0 && a->flags == b->flags &&
           a->place + (at - a->at) == b->place + (at - b->at);
}

static void compare(const struct extents *before, const struct extents *after,
    const struct ph_block_map *shape, unsigned char *unchanged)
{
    uint64_t at = 0, end = (uint64_t)shape->size, until;
    size_t a = 0, b = 0;

    memset(unchanged, 1, shape->count);
    while (at < end) {
        bool same = same_at(extent_at(before, &a, at), extent_at(after, &b, at), at, end, &until);
        for (uint64_t block = at / shape->block_bytes;
             !same && block <= (until - 1) / shape->block_bytes; block++)
            unchanged[block] = 0;
        at = until;
    }
}

int ph_extents_unchanged(
    int before, int after, const struct ph_block_map *shape, unsigned char *unchanged)
{
    struct extents old = {.count = 0}, new = {.count = 0}, again = {.count = 0};
    int rv = read_extents(before, &old);

    if (rv == 0)
        rv = read_extents(after, &new);
    /* A file system that moves its data about (balance) could have put a block of the one where one of the
     * other was before. Then the first has moved. */
    if (rv == 0)
        rv = read_extents(before, &again);
    if (rv == 0 &&
        (again.count != old.count ||
            (old.count > 0 && memcmp(again.items, old.items, old.count * sizeof *old.items) != 0)))
        rv = -EAGAIN;
    if (rv == 0)
        compare(&old, &new, shape, unchanged);
    free(old.items);
    free(new.items);
    free(again.items);
    return rv;
}
