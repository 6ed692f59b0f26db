#include <unistd.h>
#include "agent/pools/tree.h"

int ph_tree_sync(const char *path)
{
    (void)path;
    sync(); /* schedules only on some systems; the BSDs wait */
    return 0;
}
