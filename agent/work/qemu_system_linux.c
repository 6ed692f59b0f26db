#include "agent/work/qemu_system.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/file.h"
#include "base/text.h"

int ph_work_short_path(const char *directory, const char *name, char *out, size_t size, int *fd_out)
{
    int fd = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    char short_path[64];
    ph_text_format(short_path, sizeof short_path, "/proc/self/fd/%d", fd);
    int rv = ph_path_join(out, size, short_path, name);
    if (rv != 0)
        close(fd);
    else
        *fd_out = fd;
    return rv;
}

int ph_work_bridge_join(const char *bridge, const char *port)
{
    struct ifreq request = {0};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -errno;
    ph_text_format(request.ifr_name, sizeof request.ifr_name, "%s", bridge);
    request.ifr_ifindex = (int)if_nametoindex(port);
    int rv = ioctl(fd, SIOCBRADDIF, &request) == 0 || errno == EBUSY ? 0 : -errno;
    request = (struct ifreq){0};
    ph_text_format(request.ifr_name, sizeof request.ifr_name, "%s", port);
    if (rv == 0 && ioctl(fd, SIOCGIFFLAGS, &request) != 0)
        rv = -errno;
    request.ifr_flags = (short)(request.ifr_flags | IFF_UP);
    if (rv == 0 && ioctl(fd, SIOCSIFFLAGS, &request) != 0)
        rv = -errno;
    close(fd);
    return rv;
}

int64_t ph_work_memory_mib(pid_t pid)
{
    char path[64], text[128];
    long long resident = 0;
    ph_text_format(path, sizeof path, "/proc/%ld/statm", (long)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    if (fd >= 0)
        close(fd);
    if (got <= 0)
        return 0;
    text[got] = '\0';
    /* NOLINTNEXTLINE(cert-err34-c): the kernel's own numbers */
    if (sscanf(text, "%*s %lld", &resident) != 1)
        return 0;
    return resident * (sysconf(_SC_PAGESIZE) / 1024) / 1024;
}
