/*
 * What the drivers with data/ and copies/ have in common: the order of locking, checking, and changing what
 * the trace says. A driver says how its data comes and goes; each function here is one of struct
 * ph_pool_driver's with that. Private to agent/pools.
 */
#ifndef PH_POOLS_LAYOUT_H
#define PH_POOLS_LAYOUT_H

#include "agent/pools/site.h"

struct ph_pool_layout {
    /* The newest complete copy's manifest, *out zeroed before. -ENOENT: none. */
    int (*newest)(const struct ph_pool_site *site, struct ph_pool_manifest *out);
    /* Before an activation: puts right what a cut-off step has left. NULL: nothing. */
    int (*tidy)(struct ph_pool_site *site, struct ph_error *error);
    int (*remove_data)(struct ph_pool_site *site, const char *relative, struct ph_error *error);
    /* data/, which is not there, from the newest copy (NULL: empty); durable. */
    int (*begin)(
        struct ph_pool_site *site, const struct ph_pool_manifest *newest, struct ph_error *error);
    int (*remove_copies)(struct ph_pool_site *site, struct ph_error *error);
    /* data/ is there and may be used: to be mounted. NULL: it is used as it is. */
    int (*use)(struct ph_pool_site *site, char path_out[PATH_MAX], struct ph_error *error);
    /* Undoes use(), also when nothing was used. -EBUSY. NULL: nothing. */
    int (*unuse)(struct ph_pool_site *site, struct ph_error *error);
    /* data/ was just released (or was before). NULL: nothing. */
    int (*released)(struct ph_pool_site *site, struct ph_error *error);
    /* With the lock shared, and the checks of ph_site_may_send() made: sends; fills in bytes and hash. */
    int (*send)(struct ph_pool_site *site, struct ph_stream *stream, bool last,
        struct ph_pool_copy *copy_out, struct ph_error *error);
    /* With the lock: receives until the copy is complete and durable; its manifest is the caller's. */
    int (*receive)(struct ph_pool_site *site, struct ph_stream *stream,
        const struct ph_stream_open *open, struct ph_pool_manifest *manifest,
        struct ph_error *error);
};

/* As in struct ph_pool_driver, by context->driver->layout. */
int ph_layout_inspect(const struct ph_pool_context *context, struct ph_pool_data *data_out);
int ph_layout_activate(const struct ph_pool_context *context, bool create, char path_out[PATH_MAX],
    struct ph_error *error);
int ph_layout_deactivate(const struct ph_pool_context *context, struct ph_error *error);
int ph_layout_drop(const struct ph_pool_context *context, struct ph_error *error);
int ph_layout_open(
    const struct ph_pool_context *context, struct ph_stream_open *open_out, struct ph_error *error);
int ph_layout_send(const struct ph_pool_context *context, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error);
int ph_layout_receive(const struct ph_pool_context *context, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_copy *copy_out, struct ph_error *error);
/* Nothing is mounted by it. */
void ph_layout_no_mount(const struct ph_pool_context *context, char path_out[PATH_MAX]);

/* The rest of a driver's table. */
#define PH_LAYOUT_DRIVER(layout_)                                                                  \
    .layout = (layout_), .inspect = ph_layout_inspect, .activate = ph_layout_activate,             \
    .deactivate = ph_layout_deactivate, .drop = ph_layout_drop, .open = ph_layout_open,            \
    .send = ph_layout_send, .receive = ph_layout_receive

#endif
