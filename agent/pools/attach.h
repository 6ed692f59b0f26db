/*
 * Drivers whose data is not this node's own: it is reached (attached) while the pool is active, and copied by
 * nobody. Private to agent/pools.
 *
 *     epoch, lock          as everywhere (site.h); data_epoch and released say whether it is attached here
 *     mount/, own/         where it is mounted; a directory of the node's own, where the data has none
 *     release              what the guard runs to let go of it (ocf)
 *
 * Beside the data itself, where it is a file system: .poolherd-NAME, with the highest epoch any node has
 * attached it under. So a former owner whose word is late is refused by the data itself.
 */
#ifndef PH_POOLS_ATTACH_H
#define PH_POOLS_ATTACH_H

#include "agent/pools/site.h"

struct ph_pool_attachment {
    /* Makes the data reachable and says where; *own_out: that is no place of the data's. Idempotent. */
    int (*attach)(struct ph_pool_site *site, const struct ph_pool_settings *settings,
        char path_out[PATH_MAX], bool *own_out, struct ph_error *error);
    /* Undoes it and proves it. Idempotent; an error: something may be attached still. */
    int (*detach)(
        struct ph_pool_site *site, const struct ph_pool_settings *settings, struct ph_error *error);
};

void ph_shared_mount_path(const struct ph_pool_context *context, char path_out[PATH_MAX]);
int ph_ocf_pool_release_file(
    const struct ph_pool_context *context, char path_out[PATH_MAX], struct ph_error *error);
/* *settings is the caller's to free (ph_record_fini), whatever is returned. */
int ph_attach_settings(const struct ph_pool_context *context, struct ph_pool_settings *settings,
    struct ph_error *error);

extern const struct ph_pool_attachment ph_attachment_shared, ph_attachment_ocf;

#endif
