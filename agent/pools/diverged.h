/*
 * Data of former owners that newer copies replaced: DIR/pools/NAME.diverged-eN/{data,manifest}. Not pure.
 */
#ifndef PH_POOLS_DIVERGED_H
#define PH_POOLS_DIVERGED_H

#include "proto/catalogue.h"

/* All below DIR, in order of name, at most PH_DIVERGED_MAX. *list is empty before. What has no readable manifest
 * or no data (a set-aside that was cut off) is none. 0, -ENOMEM, -errno of the directory; ENOENT is none. */
int ph_diverged_find(const char *directory, struct ph_diverged_list *list);
/* Removes one. A name that is none of these is refused with -EINVAL; one that is gone is removed. */
int ph_diverged_remove(const char *directory, const char *name, struct ph_error *error);

#endif
