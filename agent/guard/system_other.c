/* Fallbacks: correct, less protected. */
#include "agent/guard/system.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include "agent/guard/watchdog.h"
#include "base/file.h"

int ph_guard_address(
    const char *directory, const char *name, struct sockaddr_un *address_out, int *fd_out)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, directory, name);
    memset(address_out, 0, sizeof *address_out);
    address_out->sun_family = AF_UNIX;
    if (rv == 0 && strlen(path) >= sizeof address_out->sun_path)
        rv = -ENAMETOOLONG;
    if (rv == 0)
        memcpy(address_out->sun_path, path, strlen(path) + 1);
    *fd_out = -1;
    return rv;
}

int ph_guard_check_peer(int socket_fd)
{
    (void)socket_fd; /* the socket's mode, 0600, has to do */
    return 0;
}

int ph_guard_timer_open(void)
{
    return -1;
}

void ph_guard_timer_set(int fd, uint64_t at_ms)
{
    (void)fd;
    (void)at_ms;
}

void ph_guard_protect(void)
{
}

int ph_guard_state_make(const char *run_directory)
{
    char state[PATH_MAX];
    int rv = ph_path_join(state, sizeof state, run_directory, "state");
    return rv != 0 ? rv : ph_directory_make(state);
}

void ph_guard_state_sweep(void)
{
}

int ph_guard_state_sign(const char *state_directory, const char *run_directory)
{
    (void)state_directory;
    (void)run_directory;
    return 0;
}

void ph_guard_state_remove(const char *run_directory)
{
    char state[PATH_MAX];
    if (ph_path_join(state, sizeof state, run_directory, "state") == 0)
        ph_tree_remove(state);
}

int ph_guard_unmount(const char *path)
{
    (void)path;
    return -ENOTSUP;
}

int ph_watchdog_system_set(int fd, int wanted_s, int *seconds_out, const char **step_out)
{
    (void)fd;
    (void)wanted_s;
    (void)seconds_out;
    *step_out = "watchdogs of this system";
    return -ENOTSUP;
}
