#include "base/child_fds.h"

#include <sys/resource.h>
#include <unistd.h>

void ph_child_close_from(int lowest)
{
    struct rlimit limit;
    long highest = 65536;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)highest)
        highest = (long)limit.rlim_cur;
    for (int fd = lowest; fd < highest; fd++)
        close(fd);
}
