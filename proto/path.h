/*
 * Paths that stand in a declaration. Pure.
 */
#ifndef PH_PROTO_PATH_H
#define PH_PROTO_PATH_H

#include <stdbool.h>

/* Whether it leads to something inside the pool: relative, with neither "." nor ".." nor "//" in it, and no "/"
 * at its end. What is outside the pool is not the pool's: it is not copied and not fenced. */
bool ph_path_in_pool(const char *path);

#endif
