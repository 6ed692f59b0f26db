#include "base/child_fds.h"

#include <limits.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

void ph_child_close_from(int lowest)
{
#ifdef SYS_close_range
    if (syscall(SYS_close_range, (unsigned)lowest, UINT_MAX, 0U) == 0)
        return;
#endif
    struct rlimit limit;
    long highest = 65536; /* kernels before 5.9: the limit may be unlimited, so bound the loop */

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < (rlim_t)highest)
        highest = (long)limit.rlim_cur;
    for (int fd = lowest; fd < highest; fd++)
        close(fd);
}
