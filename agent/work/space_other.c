#include "agent/work/space.h"

#include <errno.h>
#include <stddef.h>

int ph_space_probe(const char *directory, struct ph_error *why)
{
    (void)directory;
    ph_error_set(why, PH_FAILED, NULL, "this system has no PID namespaces");
    return -ENOTSUP;
}
