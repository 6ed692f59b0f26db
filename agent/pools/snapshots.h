/*
 * The btrfs driver's copies. Private to agent/pools.
 *
 *     copies/e7-000123            read-only snapshot: point (7, 123), made here or received
 *     copies/e7-000123.manifest   written last; without it the snapshot does not count and is removed
 *     copies/sent-NODE            name of the newest snapshot that NODE has confirmed
 * A received one counts only if it is read-only and has a received UUID, whatever its manifest says.
 */
#ifndef PH_POOLS_SNAPSHOTS_H
#define PH_POOLS_SNAPSHOTS_H

#include "agent/pools/site.h"

#define PH_SNAPSHOT_NAME 48

void ph_snapshot_name(int64_t epoch, int64_t sequence, char out[PH_SNAPSHOT_NAME]);
/* Whether the snapshot of this point counts; *manifest_out (may be NULL) is replaced. */
bool ph_snapshot_counts(const struct ph_pool_site *site, int64_t epoch, int64_t sequence,
    struct ph_pool_manifest *manifest_out);
/* -ENOENT: none. */
int ph_snapshots_newest(const struct ph_pool_site *site, struct ph_pool_manifest *manifest_out);
/* data/ as it is now becomes the snapshot of this point; one that counts is left as it is. */
int ph_snapshot_make(
    struct ph_pool_site *site, int64_t epoch, int64_t sequence, struct ph_error *error);
/* Removes subvolumes that do not count: cut-off receives. */
int ph_snapshots_remove_partial(struct ph_pool_site *site, struct ph_error *error);
/* Removes what nobody needs: all but the newest and those in sent-*. Failures wait for the next time. */
void ph_snapshots_prune(struct ph_pool_site *site);
/* No snapshot here counts any more, nor is a difference sent to one. */
void ph_snapshots_discredit(struct ph_pool_site *site);
void ph_snapshot_note_sent(struct ph_pool_site *site, const char *node, const char *name);
int ph_snapshots_remove_all(struct ph_pool_site *site, struct ph_error *error);
int ph_snapshot_write_manifest(
    struct ph_pool_site *site, const struct ph_pool_manifest *manifest, struct ph_error *error);

int ph_btrfs_send(struct ph_pool_site *site, struct ph_stream *stream, bool last,
    struct ph_pool_copy *copy_out, struct ph_error *error);
int ph_btrfs_receive(struct ph_pool_site *site, struct ph_stream *stream,
    const struct ph_stream_open *open, struct ph_pool_manifest *manifest, struct ph_error *error);

#endif
