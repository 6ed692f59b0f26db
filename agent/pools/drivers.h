/* The drivers' own tables. Private to agent/pools. */
#ifndef PH_POOLS_DRIVERS_H
#define PH_POOLS_DRIVERS_H

#include <stddef.h>
#include "agent/pools/driver.h"

extern const struct ph_pool_driver ph_pool_driver_directory;
extern const struct ph_pool_driver ph_pool_driver_btrfs;
extern const struct ph_pool_driver ph_pool_driver_image;
extern const struct ph_pool_driver ph_pool_driver_shared;
extern const struct ph_pool_driver ph_pool_driver_ocf;

/* The path of poolherd-pipe. -ENOENT. */
int ph_pipe_find(char *out, size_t size);

#endif
