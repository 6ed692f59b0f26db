#include <errno.h>
#include "agent/work/container.h"

int ph_container_exec(const char *bundle, const char *name)
{
    (void)bundle;
    (void)name;
    return -ENOTSUP;
}
