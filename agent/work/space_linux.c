/* Whether PID namespaces can be had here: rights, a kernel that knows setns() with a pidfd (5.8), and mounts
 * that are shared, as systemd makes them. */
#include "agent/work/space.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/program.h"

/* Whether the mount that holds `path` is shared: in a namespace its copy then follows what is unmounted on the
 * host. A private one would be kept alive there, with the pool's device. */
static bool mount_is_shared(const char *path)
{
    char *line = NULL;
    size_t room = 0, longest = 0;
    bool shared = false;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return false;
    while (getline(&line, &room, file) > 0) {
        /* 22 27 0:21 / /proc rw,relatime shared:5 - proc proc rw */
        char point[PATH_MAX];
        const char *rest = strstr(line, " - ");
        if (rest == NULL || sscanf(line, "%*s %*s %*s %*s %4095s", point) != 1)
            continue;
        size_t bytes = strlen(point);
        bool holds = bytes == 1 || (strncmp(path, point, bytes) == 0 &&
                                       (path[bytes] == '/' || path[bytes] == '\0'));
        if (!holds || bytes < longest)
            continue;
        const char *tag = strstr(line, " shared:");
        longest = bytes;
        shared = tag != NULL && tag < rest;
    }
    free(line);
    fclose(file);
    return shared;
}

/* In a child that ends at once: system calls only. */
static _Noreturn void try_it(void)
{
    int fd = (int)syscall(SYS_pidfd_open, getppid(), 0u);
    if (fd < 0 || setns(fd, CLONE_NEWNS) != 0 || unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
        _exit(errno & 0x7f);
    _exit(0);
}

int ph_space_probe(const char *directory, struct ph_error *why)
{
    char program[PATH_MAX];
    int status = 0;
    if (ph_program_beside("poolherd-init", program) != 0) {
        ph_error_set(why, PH_NOT_FOUND, NULL, "poolherd-init is not installed beside this program");
        return -ENOTSUP;
    }
    if (!mount_is_shared("/") || !mount_is_shared(directory)) {
        ph_error_set(why, PH_FAILED, NULL,
            "the mounts of / and %s are not both shared; `mount --make-rshared /` makes them so",
            directory);
        return -ENOTSUP;
    }
    pid_t pid = fork();
    if (pid == 0)
        try_it();
    if (pid < 0)
        return -errno;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    int error = WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
    if (error == 0)
        return 0;
    ph_error_set(why, PH_NOT_ALLOWED, NULL,
        "a PID and a mount namespace cannot be made (%s): run as root, on Linux 5.8 or later",
        strerror(error));
    return -EPERM;
}
