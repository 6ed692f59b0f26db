#include "agent/pools/site.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/codec.h"

#define TRACE_BYTES_MAX (64 * 1024)
#define LOCK_MS 30000
#define LONGEST_BELOW 256 /* bytes of any name under base, trash and diverged ones too */

void ph_site_path(const struct ph_pool_site *site, const char *relative, char out[PATH_MAX])
{
    (void)ph_path_join(out, PATH_MAX, site->base, relative);
}

static int failed(struct ph_error *error, int rv, const char *what, const char *path)
{
    ph_error_set(error, PH_FAILED, NULL, "%s %s: %s", what, path, strerror(-rv));
    return rv;
}

bool ph_site_has(const struct ph_pool_site *site, const char *relative)
{
    return ph_site_inode(site, relative) > 0;
}

int64_t ph_site_inode(const struct ph_pool_site *site, const char *relative)
{
    char path[PATH_MAX];
    struct stat status;

    ph_site_path(site, relative, path);
    return lstat(path, &status) == 0 && S_ISDIR(status.st_mode) ? (int64_t)status.st_ino : 0;
}

bool ph_site_is_mounted(const struct ph_pool_site *site, char path_out[PATH_MAX])
{
    struct stat here, around;

    ph_site_path(site, "mount", path_out);
    return stat(path_out, &here) == 0 && stat(site->base, &around) == 0 &&
           here.st_dev != around.st_dev;
}

int ph_site_make(struct ph_pool_site *site, const char *relative, struct ph_error *error)
{
    char path[PATH_MAX];

    ph_site_path(site, relative, path);
    if (mkdir(path, 0700) == 0 || (errno == EEXIST && ph_site_has(site, relative)))
        return 0;
    return failed(error, -errno, "cannot make", path);
}

int ph_site_rename(
    struct ph_pool_site *site, const char *from, const char *to, struct ph_error *error)
{
    char old[PATH_MAX], new[PATH_MAX];

    ph_site_path(site, from, old);
    ph_site_path(site, to, new);
    return rename(old, new) == 0 ? 0 : failed(error, -errno, "cannot rename", old);
}

int ph_site_sync(struct ph_pool_site *site, const char *relative, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = 0;

    ph_site_path(site, relative, path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) != 0)
        rv = failed(error, -errno, "cannot make durable", path);
    if (fd >= 0)
        close(fd);
    return rv;
}

/* ---- lock ---- */

static int lock_try(struct ph_pool_site *site, const char *path, bool share)
{
    struct stat mine, there;
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

    if (fd < 0)
        return -errno;
    if (flock(fd, (share ? LOCK_SH : LOCK_EX) | LOCK_NB) != 0) {
        int rv = -errno;
        close(fd);
        return rv;
    }
    /* drop() may have removed it between the two: then it guards nothing. */
    if (fstat(fd, &mine) != 0 || stat(path, &there) != 0 || mine.st_ino != there.st_ino) {
        close(fd);
        return -EWOULDBLOCK;
    }
    site->lock_fd = fd;
    return 0;
}

static int lock(struct ph_pool_site *site, bool share, struct ph_error *error)
{
    const struct timespec pause = {.tv_nsec = 10 * 1000000};
    uint64_t until_ms = ph_clock_boot_ms() + LOCK_MS;
    char path[PATH_MAX];
    int rv;

    ph_site_path(site, "lock", path);
    while ((rv = lock_try(site, path, share)) == -EWOULDBLOCK) {
        if (site->context->cancelled != NULL && atomic_load(site->context->cancelled)) {
            ph_error_set(error, PH_FAILED, NULL, "cancelled");
            return -ECANCELED;
        }
        if (ph_clock_boot_ms() >= until_ms) {
            ph_error_set(error, PH_STATE_FORBIDS, NULL,
                "another task of pool %s has held its lock for %d s", site->context->pool->name,
                LOCK_MS / 1000);
            return -EBUSY;
        }
        nanosleep(&pause, NULL);
    }
    return rv == 0 ? 0 : failed(error, rv, "cannot lock", path);
}

/* ---- trace ---- */

static int load(struct ph_pool_site *site, struct ph_error *error)
{
    const char *pool = site->context->pool->name;
    struct ph_error why = {.code = PH_OK};
    char path[PATH_MAX], *text = NULL;
    size_t bytes = 0;

    ph_site_path(site, "epoch", path);
    int rv = ph_file_read(path, TRACE_BYTES_MAX, &text, &bytes);
    if (rv == -ENOENT && !ph_site_has(site, "data") && !ph_site_has(site, "copies")) {
        ph_text_format(site->trace.pool, sizeof site->trace.pool, "%s", pool);
        return 0;
    }
    if (rv == -ENOENT) /* without the lock it may have come to be in between */
        rv = ph_file_read(path, TRACE_BYTES_MAX, &text, &bytes);
    if (rv == -ENOENT) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s is missing though there is data of pool %s beside it; put it back from a backup, "
            "or "
            "move the directory away",
            path, pool);
        return -EBADMSG;
    }
    if (rv != 0)
        return failed(error, rv, "cannot read", path);
    rv = ph_decode(&ph_record_pool_trace, text, bytes, &site->trace, &why);
    free(text);
    if (rv == -ENOMEM)
        return rv;
    if (rv != 0 || strcmp(site->trace.pool, pool) != 0) {
        ph_error_set(error, PH_FAILED, why.field,
            "%s is broken (%s); put it back from a backup, or "
            "move the directory away",
            path, rv != 0 ? why.message : "it names another pool");
        return -EBADMSG;
    }
    site->traced = true;
    return 0;
}

int ph_site_save(struct ph_pool_site *site, struct ph_error *error)
{
    char path[PATH_MAX], *text = NULL;
    size_t bytes = 0;

    ph_site_path(site, "epoch", path);
    int rv = ph_encode(&ph_record_pool_trace, &site->trace, PH_ENCODE_WIRE, &text, &bytes);
    if (rv == 0)
        rv = ph_file_replace(path, text, bytes, 0600);
    free(text);
    if (rv != 0)
        return failed(error, rv, "cannot write", path);
    site->traced = true;
    return 0;
}

int ph_site_raise(struct ph_pool_site *site, struct ph_error *error)
{
    int64_t before = site->trace.epoch;

    if (site->traced && before >= site->context->epoch)
        return 0;
    site->trace.epoch = site->context->epoch;
    int rv = ph_site_save(site, error);
    if (rv != 0)
        site->trace.epoch = before;
    return rv;
}

/* ---- open and close ---- */

static int find_base(struct ph_pool_site *site, enum ph_site_use use, struct ph_error *error)
{
    const char *pool = site->context->pool->name;
    char directory[PATH_MAX], pools[PATH_MAX];
    struct stat status;

    if (!ph_name_valid(pool)) {
        ph_error_set(error, PH_BAD_INPUT, "pool", "not a legal name of a pool");
        return -EINVAL;
    }
    if (realpath(site->context->directory, directory) == NULL)
        return failed(error, -errno, "no directory", site->context->directory);
    int rv = ph_path_join(pools, sizeof pools, directory, "pools");
    if (rv == 0)
        rv = ph_path_join(site->base, sizeof site->base, pools, pool);
    if (rv != 0 || strlen(site->base) + LONGEST_BELOW >= PATH_MAX)
        return failed(error, -ENAMETOOLONG, "too long a path:", directory);
    if (lstat(site->base, &status) == 0) {
        site->exists = S_ISDIR(status.st_mode);
        return site->exists ? 0 : failed(error, -ENOTDIR, "unusable:", site->base);
    }
    if (errno != ENOENT)
        return failed(error, -errno, "cannot look at", site->base);
    if (use != PH_SITE_MAKE)
        return 0;
    rv = ph_directory_make(site->base);
    if (rv != 0)
        return failed(error, rv, "cannot make", site->base);
    site->exists = true;
    return ph_site_sync(site, "..", error);
}

static int check_epoch(const struct ph_pool_site *site, struct ph_error *error)
{
    if (!site->traced || site->context->epoch >= site->trace.epoch)
        return 0;
    ph_error_set(error, PH_STATE_FORBIDS, "epoch",
        "epoch %lld of pool %s is older than %lld, which this node has seen already",
        (long long)site->context->epoch, site->context->pool->name, (long long)site->trace.epoch);
    return -ESTALE;
}

int ph_site_open(const struct ph_pool_context *context, enum ph_site_use use,
    struct ph_pool_site *site, struct ph_error *error)
{
    memset(site, 0, sizeof *site);
    site->context = context;
    site->lock_fd = -1;
    int rv = find_base(site, use, error);
    if (rv == 0 && !site->exists && use != PH_SITE_LOOK) {
        ph_error_set(error, PH_NOT_FOUND, NULL, "there is nothing of pool %s on this node",
            context->pool->name);
        rv = -ENOENT;
    }
    if (rv == 0 && use != PH_SITE_LOOK)
        rv = lock(site, use == PH_SITE_SHARE, error);
    if (rv == 0 && site->exists)
        rv = load(site, error);
    if (rv == 0 && use != PH_SITE_LOOK)
        rv = check_epoch(site, error);
    if (rv != 0)
        ph_site_close(site);
    return rv;
}

void ph_site_close(struct ph_pool_site *site)
{
    if (site->lock_fd >= 0)
        close(site->lock_fd);
    site->lock_fd = -1;
    ph_record_fini(&ph_record_pool_trace, &site->trace);
}

/* ---- trash ---- */

int ph_site_trash(struct ph_pool_site *site, const char *relative, struct ph_error *error)
{
    char id[17], to[64];

    if (!ph_site_has(site, relative))
        return 0;
    ph_id_make(id);
    ph_text_format(to, sizeof to, "trash/%s", id);
    int rv = ph_site_make(site, "trash", error);
    return rv != 0 ? rv : ph_site_rename(site, relative, to, error);
}

void ph_site_empty_trash(struct ph_pool_site *site)
{
    char path[PATH_MAX];

    if (!ph_site_has(site, "trash"))
        return;
    ph_site_path(site, "trash", path);
    int rv = ph_tree_remove(path);
    if (rv != 0)
        ph_log(PH_LOG_WARNING, "trash_not_removed", "pool=%s path=%s error=%s",
            site->context->pool->name, path, strerror(-rv));
}

/* Files that a crash between two steps of ph_file_replace() has left. */
static int remove_temporaries(struct ph_pool_site *site)
{
    DIR *entries = opendir(site->base);
    int rv = 0;

    if (entries == NULL)
        return -errno;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;)
        if (strncmp(entry->d_name, "epoch.new-", 10) == 0 &&
            unlinkat(dirfd(entries), entry->d_name, 0) != 0)
            rv = -errno;
    closedir(entries);
    return rv;
}

int ph_site_remove(struct ph_pool_site *site, struct ph_error *error)
{
    static const char *const files[] = {"epoch", "lock"};
    char path[PATH_MAX];

    ph_site_path(site, "trash", path);
    int rv = ph_site_has(site, "trash") ? ph_tree_remove(path) : 0;
    if (rv == 0)
        rv = remove_temporaries(site);
    for (size_t i = 0; rv == 0 && i < sizeof files / sizeof files[0]; i++) {
        ph_site_path(site, files[i], path);
        if (unlink(path) != 0 && errno != ENOENT)
            rv = -errno;
    }
    if (rv == 0 && rmdir(site->base) != 0)
        rv = -errno;
    if (rv != 0)
        return failed(error, rv, "cannot remove all of", site->base);
    site->exists = false;
    return 0;
}
