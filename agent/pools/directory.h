/*
 * Copies in slots, each with a data/ of its own: the directory driver's, and the image driver's. Private to agent/pools.
 *
 *     copies/current/{data,manifest}   the newest complete copy
 *     copies/staging/data              being received: files equal to current's are hard links to them,
 *                                      never changed in place, so a cut-off receive harms nothing
 *     copies/partial-N/data            cut-off receives: what they have need not be sent again
 *     copies/released/{data,manifest}  data/ of a former owner on its way to being current
 *     copies/old/{data,manifest}       on its way out
 * A slot is complete when it has both data and a manifest that can be read; the manifest is put in place
 * (rename) after the data is durable. The newest complete slot counts, whatever its name, so that every
 * rename below may be the last thing before a crash.
 */
#ifndef PH_POOLS_DIRECTORY_H
#define PH_POOLS_DIRECTORY_H

#include "agent/pools/site.h"

#define PH_PARTIALS_MAX 4

/* The newest complete slot: its name ("current") and manifest. -ENOENT: none. */
int ph_copies_newest(
    const struct ph_pool_site *site, char slot_out[32], struct ph_pool_manifest *manifest_out);
/* Makes the newest complete slot current, trashes the others and turns a cut-off staging into a partial. */
int ph_copies_tidy(struct ph_pool_site *site, struct ph_error *error);
/* A new data/ under the context's epoch, which `fill` puts right while it has another name. */
int ph_copies_create(struct ph_pool_site *site,
    int (*fill)(struct ph_pool_site *site, const char *directory, struct ph_error *error),
    struct ph_error *error);
int ph_copies_trash(struct ph_pool_site *site, struct ph_error *error);
int ph_copies_trash_data(struct ph_pool_site *site, const char *relative, struct ph_error *error);
/* data/ (released, all of it in what is going to be received) becomes a copy. */
int ph_copies_take_data(struct ph_pool_site *site, struct ph_error *error);
/* staging is complete: durable, manifest in place, then current. */
int ph_copies_accept(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error);
/* current becomes data/ under the context's epoch. */
int ph_copies_promote(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error);

int ph_directory_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error);
int ph_directory_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error);

#endif
