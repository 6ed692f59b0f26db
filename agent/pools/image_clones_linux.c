/*
 * Clones of what each holder has confirmed (points/NODE.image beside points/NODE.map): the next copy reads only
 * what is not in them. They are a saving and nothing more: one that is missing or not the map's own is not used.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>
#include "agent/pools/extents.h"
#include "agent/pools/image.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"

#define ROOM_PERCENT 10        /* less is free: no clone is kept */
#define KEPT_S (3 * 24 * 3600) /* a clone, after its copy */

static bool names(
    const char *peer, char map[PH_NAME_BYTES_MAX + 16], char image[PH_NAME_BYTES_MAX + 16])
{
    if (!ph_name_valid(peer))
        return false;
    ph_text_format(map, PH_NAME_BYTES_MAX + 16, "points/%s.map", peer);
    ph_text_format(image, PH_NAME_BYTES_MAX + 16, "points/%s.image", peer);
    return true;
}

static bool is_full(const struct ph_pool_site *site)
{
    struct statvfs disk;

    return statvfs(site->base, &disk) != 0 || disk.f_bavail < disk.f_blocks / 100 * ROOM_PERCENT;
}

unsigned char *ph_image_unchanged(const struct ph_pool_site *site, const char *peer, int fd,
    const struct ph_block_map *map, struct ph_block_map *known)
{
    char map_name[PH_NAME_BYTES_MAX + 16], image[PH_NAME_BYTES_MAX + 16], path[PATH_MAX];
    struct ph_map_stamp stamp;

    if (!names(peer, map_name, image) ||
        ph_image_map_load(site, map_name, image, known, &stamp) != 0)
        return NULL;
    ph_site_path(site, image, path);
    int before = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    unsigned char *unchanged = calloc(1, map->count);
    int rv = before < 0 ? -errno : unchanged == NULL ? -ENOMEM : 0;
    if (rv == 0 && known->block_bytes != map->block_bytes)
        rv = -EINVAL; /* it has grown by very much */
    if (rv == 0)
        rv = ph_extents_unchanged(before, fd, map, unchanged);
    if (before >= 0)
        close(before);
    if (rv != 0) {
        ph_log(PH_LOG_DEBUG, "image_read_whole", "pool=%s reason=%s", site->context->pool->name,
            strerror(-rv));
        free(unchanged);
        return NULL;
    }
    for (uint32_t i = 0; i < map->count; i++)
        if (i >= known->count || ph_block_length(known, i) != ph_block_length(map, i))
            unchanged[i] = 0;
    return unchanged;
}

bool ph_image_clone_keep(const struct ph_pool_site *site, const char *peer, const char *clone,
    char kept[PH_NAME_BYTES_MAX + 16])
{
    char map[PH_NAME_BYTES_MAX + 16], path[PATH_MAX];

    if (!names(peer, map, kept))
        return false;
    ph_site_path(site, kept, path);
    if (clone != NULL && site->context->pool->sync_interval_s > 0 && !is_full(site)) {
        /* Its extents are to be as durable as the map that is going to speak of them. */
        int fd = open(clone, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        bool done = fd >= 0 && fsync(fd) == 0 && rename(clone, path) == 0;
        if (fd >= 0)
            close(fd);
        if (done)
            return true;
    }
    unlink(path); /* of an earlier point */
    return false;
}

void ph_image_clones_prune(const struct ph_pool_site *site, bool all)
{
    char path[PATH_MAX], directory[PATH_MAX];
    struct dirent *entry;
    struct stat status;

    ph_site_path(site, "points", directory);
    DIR *entries = opendir(directory);
    bool full = is_full(site);
    while (entries != NULL && (entry = readdir(entries)) != NULL) {
        size_t length = strlen(entry->d_name);
        bool kept = length > 6 && strcmp(entry->d_name + length - 6, ".image") == 0;
        /* What a copy that was cut off has left; one under way is young. */
        bool left = strncmp(entry->d_name, "clone-", 6) == 0;
        if ((!kept && !left) || ph_path_join(path, sizeof path, directory, entry->d_name) != 0 ||
            stat(path, &status) != 0)
            continue;
        if (all || (kept && full) || status.st_mtime + KEPT_S < ph_clock_wall_ms() / 1000)
            unlink(path);
    }
    if (entries != NULL)
        closedir(entries);
}
