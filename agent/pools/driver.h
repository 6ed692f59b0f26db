/*
 * Pool drivers: one table of functions each (directory, btrfs, image, ...). A driver
 * knows its own tool and nothing else; the order of steps is the agent core's. Called on worker
 * threads; may block.
 *
 * On disk, under DIR/pools/NAME (the layout of copies is the driver's own):
 *     epoch        highest epoch this node has activated or received under: the fencing token; a
 *                  lower one is refused by every function here (one helper: trace.h)
 *     data/        the active (or released) data
 *     copies/      complete copies, each with a manifest written last; a copy without one does not count
 * and beside it DIR/pools/NAME.diverged-eN: data of a former owner that a newer copy replaced.
 *
 * A point of the data is (epoch, sequence). Sequences begin at 1 with each activation under a new
 * epoch; each copy takes the next; the release takes one too, which all last copies then share. So
 * equal points are equal data, and released data is newer than any copy made while it ran.
 */
#ifndef PH_AGENT_POOLS_DRIVER_H
#define PH_AGENT_POOLS_DRIVER_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include "agent/stream/stream.h"
#include "proto/catalogue.h"

struct ph_pool_driver;
struct ph_pool_layout;

struct ph_pool_context {
    const struct ph_pool_driver *driver; /* whose functions are called with it */
    const char *directory;               /* the agent's DIR */
    const struct ph_pool *pool;
    int64_t epoch;
    const atomic_bool *cancelled; /* set: end soon with -ECANCELED */
};

/* What is on this node's disk of a pool. */
struct ph_pool_data {
    bool exists;           /* any trace */
    bool active_data;      /* data/ is there: this node was its owner */
    int64_t epoch;         /* stored epoch */
    int64_t copy_epoch;    /* of the newest complete copy (or of data/, when that is newer) */
    int64_t copy_sequence; /* of data/: the release's number, else of the last copy begun */
    int64_t copy_as_of;    /* wall ms */
};

/* A copy as made or received. */
struct ph_pool_copy {
    int64_t epoch, sequence, as_of, bytes, age_ms;
    char hash[129];
    int64_t spoilt; /* of a verification, also when it fails: what the holder had wrong */
};

struct ph_pool_driver {
    const char *name;
    const struct ph_pool_layout *layout; /* of those that keep data/ and copies/; else NULL */
    /* -ENOTSUP with the reason and the remedy in *error. */
    int (*probe)(const char *directory, struct ph_error *error);
    int (*inspect)(const struct ph_pool_context *context, struct ph_pool_data *data_out);
    /* Checks and stores the epoch, makes the data active: as it is, or promoted from the newest
     * complete copy, or (create) made empty. Writes the path of the data. -ESTALE: lower epoch;
     * -ENOENT: no data here and not create. Idempotent. */
    int (*activate)(const struct ph_pool_context *context, bool create, char path_out[PATH_MAX],
        struct ph_error *error);
    /* Nothing runs any more: releases the data, which stays. -EBUSY: something still uses it, and
     * which processes. Idempotent. `mounted_path` for the guard: see mount(). */
    int (*deactivate)(const struct ph_pool_context *context, struct ph_error *error);
    int (*drop)(const struct ph_pool_context *context, struct ph_error *error);
    /* Owner: says what the next copy will be, for ph_stream_connect(): pool, driver, epoch, lineage
     * and the next sequence, taken durably (of released data: the release's, so that all last copies
     * are one point). *open_out is empty, and the caller's to free (ph_record_fini). Refuses what must
     * not be copied: an emptied or unmounted source (-ENODATA). send() may still choose another parent
     * when it sees what the receiver has. */
    int (*open)(const struct ph_pool_context *context, struct ph_stream_open *open_out,
        struct ph_error *error);
    /* Owner: makes one copy and sends it over a stream connected with what open() said. `last`: nothing
     * runs, so the copy is exact, and its hash is compared with the receiver's. */
    int (*send)(const struct ph_pool_context *context, struct ph_stream *stream, bool last,
        struct ph_pool_copy *copy_out, struct ph_error *error);
    /* Holder: receives into staging; complete and durable before it returns 0. */
    int (*receive)(const struct ph_pool_context *context, struct ph_stream *stream,
        const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error);
    /* Where it mounts a file system that is the pool's alone, for the guard to release; "": nowhere. */
    void (*mount_path)(const struct ph_pool_context *context, char path_out[PATH_MAX]);
    /* Before an activation: writes down what the guard is to run to release it (ph_guard_add_release), and
     * where. NULL: nothing. */
    int (*release_file)(
        const struct ph_pool_context *context, char path_out[PATH_MAX], struct ph_error *error);
};

const struct ph_pool_driver *ph_pool_driver_find(const char *name); /* or NULL */
extern const struct ph_pool_driver *const ph_pool_drivers[];        /* NULL-terminated */

/* How long the tool of a copy may move no byte before it is ended and the copy has failed: for all that
 * begin to wait from now on. 5 minutes unless said. */
void ph_pools_set_stall_ms(uint64_t stall_ms);

/* Where poolherd-pipe is, when not beside this program, one directory up or on PATH. Call before any
 * thread is started. */
void ph_pools_set_pipe(const char *path);

#endif
