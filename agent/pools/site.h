/*
 * A pool's directory on this node: its paths, its lock, its fencing token. Private to agent/pools.
 *
 *     DIR/pools/NAME/epoch     struct ph_pool_trace as JSON; replaced as a whole, durably
 *     DIR/pools/NAME/lock      flock: one change at a time, also among processes
 *     DIR/pools/NAME/trash/    what was renamed away and is removed when there is time
 *     DIR/pools/NAME.diverged-eN/{data,manifest}
 *
 * Invariants: the trace is durable before anything is done under what it says; data_* of the trace speak
 * of data/ whenever data/ is there, because data/ only comes to be (rename) after the trace that
 * describes it, and only when it was not there.
 */
#ifndef PH_POOLS_SITE_H
#define PH_POOLS_SITE_H

#include "agent/pools/driver.h"

enum ph_site_use {
    PH_SITE_LOOK,   /* no lock, no check: an unlocked view for inspect() */
    PH_SITE_SHARE,  /* several may: copies being sent */
    PH_SITE_CHANGE, /* one alone */
    PH_SITE_MAKE    /* ... and the directory is made when it is not there */
};

struct ph_pool_site {
    const struct ph_pool_context *context;
    char base[PATH_MAX]; /* absolute */
    int lock_fd;         /* or -1 */
    bool exists;         /* base is there */
    bool traced;         /* the epoch file is there */
    struct ph_pool_trace trace;
    int64_t spoilt; /* receiving with verify: what of the copy here was not what it should be */
};

/* Opens. -ESTALE: the context's epoch is lower than the stored one; -EBADMSG: the epoch file is broken,
 * or missing though there is data (never taken for "nothing was here"); -EBUSY: locked for too long;
 * -ECANCELED; -EINVAL: a bad name; -ENOENT: nothing here (only with SHARE and CHANGE). */
int ph_site_open(const struct ph_pool_context *context, enum ph_site_use use,
    struct ph_pool_site *site, struct ph_error *error);
void ph_site_close(struct ph_pool_site *site);

/* Stores the context's epoch when it is higher. Durable when it returns 0. */
int ph_site_raise(struct ph_pool_site *site, struct ph_error *error);
/* Stores the trace as it is. On failure the stored one stands, and the caller must not act. */
int ph_site_save(struct ph_pool_site *site, struct ph_error *error);

/* base/relative; out is PATH_MAX. Names here are short: -ENAMETOOLONG comes at ph_site_open(). */
void ph_site_path(const struct ph_pool_site *site, const char *relative, char out[PATH_MAX]);
bool ph_site_has(const struct ph_pool_site *site, const char *relative);      /* as a directory */
int64_t ph_site_inode(const struct ph_pool_site *site, const char *relative); /* 0: not there */
/* Whether something is mounted on base/mount, whose path is written. */
bool ph_site_is_mounted(const struct ph_pool_site *site, char path_out[PATH_MAX]);
/* mkdir, an existing one is fine; rename; fsync of a directory. 0 or -errno with *error. */
int ph_site_make(struct ph_pool_site *site, const char *relative, struct ph_error *error);
int ph_site_rename(
    struct ph_pool_site *site, const char *from, const char *to, struct ph_error *error);
int ph_site_sync(struct ph_pool_site *site, const char *relative, struct ph_error *error);

/* Renames away; removed by ph_site_empty_trash(), whose failures are logged only. */
int ph_site_trash(struct ph_pool_site *site, const char *relative, struct ph_error *error);
void ph_site_empty_trash(struct ph_pool_site *site);
/* Removes the trash, the epoch file and the directory itself; there must be no data and no copies. */
int ph_site_remove(struct ph_pool_site *site, struct ph_error *error);

/* Whether data/ is there and the trace says what it is. */
bool ph_site_has_data(const struct ph_pool_site *site);
/* Whether data that began from `lineage` (or is it) has all of data/ in it: then data/ may go. */
bool ph_site_data_is_in(const struct ph_pool_site *site, const struct ph_pool_point_list *lineage);
/* Moves data/ to NAME.diverged-eN with a manifest beside it. */
int ph_site_set_aside(struct ph_pool_site *site, struct ph_error *error);
/* The trace for data that begins under the context's epoch from `point` with `lineage` before it
 * (NULL: begins empty); `inode` of what is going to be data/. Saved. */
int ph_site_begin(struct ph_pool_site *site, const struct ph_pool_point *point,
    const struct ph_pool_point_list *lineage, int64_t inode, struct ph_error *error);

/* What every driver's activate does with data/ that is here already: 1 when it is to be used as it is
 * (the trace is saved), 0 when it is not there (any more: trashed or set aside), or -errno.
 * `newest`: the newest complete copy, or NULL. */
int ph_site_settle_data(struct ph_pool_site *site, const struct ph_pool_manifest *newest,
    int (*trash)(struct ph_pool_site *site, const char *relative, struct ph_error *error),
    struct ph_error *error);
/* What every driver's open does: guards, the next sequence, *open_out filled. */
int ph_site_next_copy(
    struct ph_pool_site *site, struct ph_stream_open *open_out, struct ph_error *error);
/* What every driver's deactivate does: -EBUSY while somebody writes; else released. */
int ph_site_release(struct ph_pool_site *site, struct ph_error *error);
/* What every driver's inspect does; `newest` as above. */
void ph_site_describe(const struct ph_pool_site *site, const struct ph_pool_manifest *newest,
    struct ph_pool_data *data_out);
/* What every driver's receive checks first, raising the epoch: -ESTALE, -EBUSY (owner here). */
int ph_site_may_receive(struct ph_pool_site *site, const struct ph_stream_open *open,
    const struct ph_pool_manifest *newest, struct ph_error *error);

/* What every driver's send checks first: -ESTALE, -EBUSY (`last` of data that is not released). */
int ph_site_may_send(const struct ph_pool_site *site, const struct ph_stream_open *open, bool last,
    struct ph_error *error);
/* From which second on content goes into a last copy's hash: 0, all of it, unless the tree is large and
 * the holder has our last copy already. */
int64_t ph_site_hashed_since(
    const struct ph_pool_site *site, const struct ph_stream_opened *opened, const char *data);

bool ph_lineage_has(const struct ph_pool_point_list *lineage, int64_t epoch, int64_t sequence);
/* *to (empty) becomes point, then `rest`, at most PH_LINEAGE_MAX. -ENOMEM. */
int ph_lineage_make(struct ph_pool_point_list *to, const struct ph_pool_point *point,
    const struct ph_pool_point_list *rest);

/* path is the manifest's own. -ENOENT, -EBADMSG. *out is replaced. */
int ph_manifest_read(const char *path, const char *pool, struct ph_pool_manifest *out);
/* Durably (replaced as a whole), or plainly when the caller flushes the file system anyway. */
int ph_manifest_write(
    const char *path, const struct ph_pool_manifest *manifest, bool flushed_by_caller);
/* What the holder writes of a copy it has received. */
int ph_manifest_of_open(const struct ph_stream_open *open, struct ph_pool_manifest *out);

#endif
