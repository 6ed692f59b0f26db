/*
 * Where this program's own file lies, so that it finds the ones installed beside it. Not pure.
 */
#ifndef PH_BASE_PROGRAM_H
#define PH_BASE_PROGRAM_H

#include <limits.h>
#include <stdbool.h>

/* The path of program `name` in the directory of the running program's file. 0; -ENOENT when there
 * is none that may be run; -ENAMETOOLONG; -errno when the system does not tell where we lie. */
int ph_program_beside(const char *name, char path_out[PATH_MAX]);

/* Whether a directory of PATH has a program of this name that may be run. */
bool ph_program_on_path(const char *name);

#endif
