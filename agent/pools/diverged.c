#include "agent/pools/diverged.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "agent/pools/drivers.h"
#include "agent/pools/layout.h"
#include "base/file.h"

#define MARK ".diverged-e"

/* POOL.diverged-eN or POOL.diverged-eN-K, as ph_site_set_aside() makes them. */
static bool parse(const char *name, char pool[PH_NAME_BYTES_MAX + 1], int64_t *epoch)
{
    const char *mark = NULL;
    char *end = NULL;

    for (const char *at = name; (at = strstr(at, MARK)) != NULL; at++)
        mark = at; /* a pool's name may have the same in it: the last one counts */
    if (mark == NULL || mark == name || mark - name > PH_NAME_BYTES_MAX)
        return false;
    ph_text_format(pool, PH_NAME_BYTES_MAX + 1, "%.*s", (int)(mark - name), name);
    const char *digits = mark + strlen(MARK);
    if (!ph_name_valid(pool) || digits[0] < '0' || digits[0] > '9')
        return false;
    errno = 0;
    *epoch = strtoll(digits, &end, 10);
    if (*end == '-' && end[1] >= '1' && end[1] <= '9')
        (void)strtol(end + 1, &end, 10);
    return errno == 0 && *end == '\0';
}

static bool is_directory(const char *path)
{
    struct stat status;

    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static int read_one(const char *pools, const char *name, struct ph_diverged *item, char driver[64])
{
    struct ph_pool_manifest manifest = {.epoch = 0};
    char path[PATH_MAX], pool[PH_NAME_BYTES_MAX + 1];
    int64_t epoch;

    if (!parse(name, pool, &epoch) ||
        ph_text_format(path, sizeof path, "%s/%s/data", pools, name) >= sizeof path ||
        !is_directory(path))
        return -ENOENT;
    ph_text_format(path, sizeof path, "%s/%s/manifest", pools, name);
    int rv = ph_manifest_read(path, pool, &manifest);
    if (rv == 0 && item != NULL) {
        memcpy(item->pool, pool, sizeof item->pool);
        item->epoch = epoch;
        item->since = manifest.as_of;
        rv = ph_set_text(&item->name, name);
    }
    ph_text_format(driver, 64, "%s", manifest.driver);
    ph_record_fini(&ph_record_pool_manifest, &manifest);
    return rv;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct ph_diverged *)a)->name, ((const struct ph_diverged *)b)->name);
}

int ph_diverged_find(const char *directory, struct ph_diverged_list *list)
{
    char pools[PATH_MAX], driver[64];
    struct dirent *entry;
    int rv = ph_path_join(pools, sizeof pools, directory, "pools");
    DIR *entries = rv == 0 ? opendir(pools) : NULL;

    if (rv == 0 && entries == NULL)
        return errno == ENOENT ? 0 : -errno;
    while (rv == 0 && (entry = readdir(entries)) != NULL && list->count < PH_DIVERGED_MAX) {
        struct ph_diverged item = {.epoch = 0};
        if (strstr(entry->d_name, MARK) == NULL ||
            read_one(pools, entry->d_name, &item, driver) != 0) {
            ph_record_fini(&ph_record_diverged, &item);
            continue;
        }
        struct ph_diverged *added =
            ph_many_add(&ph_record_diverged, (struct ph_many *)(void *)list);
        rv = added == NULL ? -ENOMEM : 0;
        if (rv == 0)
            *added = item; /* moved */
        else
            ph_record_fini(&ph_record_diverged, &item);
    }
    if (entries != NULL)
        closedir(entries);
    if (rv == 0 && list->count > 1)
        qsort(list->items, list->count, sizeof list->items[0], by_name);
    return rv;
}

int ph_diverged_remove(const char *directory, const char *name, struct ph_error *error)
{
    char pools[PATH_MAX], driver_name[64], pool_name[PH_NAME_BYTES_MAX + 1];
    struct ph_pool pool = {.epoch = 0};
    struct ph_pool_site site = {.lock_fd = -1};
    char path[PATH_MAX];
    int64_t epoch;

    if (!parse(name, pool_name, &epoch) || strchr(name, '/') != NULL) {
        ph_error_set(error, PH_BAD_INPUT, "name", "that is no data that was set aside");
        return -EINVAL;
    }
    int rv = ph_path_join(pools, sizeof pools, directory, "pools");
    if (rv == 0)
        rv = ph_path_join(site.base, sizeof site.base, pools, name);
    if (rv != 0 || !is_directory(site.base))
        return rv;
    rv = read_one(pools, name, NULL, driver_name);
    const struct ph_pool_driver *driver = ph_pool_driver_find(driver_name);
    if (rv == 0 && driver != NULL && driver->layout != NULL) {
        /* The driver knows how its data goes (a subvolume is deleted). It is told that this is a pool's place. */
        struct ph_pool_context context = {
            .driver = driver, .directory = directory, .pool = &pool, .epoch = epoch};
        ph_text_format(pool.name, sizeof pool.name, "%s", pool_name);
        site.context = &context;
        site.exists = true;
        rv = driver->layout->remove_data(&site, "data", error);
        site.context = NULL;
    }
    ph_site_path(&site, "epoch", path);
    if (rv == -ENOENT && (ph_site_has(&site, "data") || access(path, F_OK) == 0))
        return ph_error_set(error, PH_STATE_FORBIDS, "name",
            "%s is not what a set-aside has made; it is left alone",
            site.base); /* a pool of that name */
    if (rv == -ENOENT)
        rv = 0; /* what a removal that was cut off has left */
    if (rv == 0)
        rv = ph_tree_remove(site.base);
    if (rv != 0 && error->message[0] == '\0')
        ph_error_set(error, PH_FAILED, NULL, "cannot remove %s: %s", site.base, strerror(-rv));
    return rv;
}
