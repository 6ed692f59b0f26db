#include "agent/guard/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/text.h"

#define CGROUP_DEPTH_MAX 32

static int path_make(char *out, size_t size, const char *directory, const char *name)
{
    int length = snprintf(out, size, "%s/%s", directory, name);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

/* The kernel writes blanks and backslashes of a mount point as \ooo. */
static void unescape(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; to++) {
        if (from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' &&
            from[2] <= '7' && from[3] >= '0' && from[3] <= '7') {
            *to = (char)((from[1] - '0') * 64 + (from[2] - '0') * 8 + (from[3] - '0'));
            from += 4;
        } else {
            *to = *from++;
        }
    }
    *to = '\0';
}

/* Where cgroup v2 is mounted: /sys/fs/cgroup, or /sys/fs/cgroup/unified on a hybrid. */
static int mount_find(char *out, size_t size)
{
    char *line = NULL;
    size_t room = 0;
    int rv = -ENOTSUP;
    FILE *file = fopen("/proc/self/mountinfo", "re");
    if (file == NULL)
        return -errno;
    while (rv != 0 && getline(&line, &room, file) > 0) {
        /* 41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw */
        char root[PATH_MAX], point[PATH_MAX];
        const char *kind = strstr(line, " - cgroup2 ");
        if (kind == NULL || sscanf(line, "%*s %*s %*s %4095s %4095s", root, point) != 2)
            continue;
        unescape(point);
        if (strlen(point) < size) {
            ph_text_format(out, size, "%s", point);
            rv = 0;
        }
    }
    free(line);
    fclose(file);
    return rv;
}

/* This process's own group, "0::/PATH" of /proc/self/cgroup, as a path; the mount point when the
 * group is not visible from here. */
static int own_find(const char *point, char *out, size_t size)
{
    char line[PATH_MAX + 8];
    struct stat status;
    FILE *file = fopen("/proc/self/cgroup", "re");
    int length = snprintf(out, size, "%s", point);
    if (file == NULL)
        return -errno;
    while (fgets(line, sizeof line, file) != NULL) {
        char *path = line + 3;
        if (strncmp(line, "0::/", 4) != 0)
            continue;
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(path, "/..", 3) == 0 || path[1] == '\0')
            break;
        length = snprintf(out, size, "%s%s", point, path);
        if (length > 0 && (size_t)length < size && stat(out, &status) != 0)
            length = snprintf(out, size, "%s", point);
        break;
    }
    fclose(file);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

static int file_write(const char *directory, const char *name, const char *text)
{
    char path[PATH_MAX];
    int fd, rv = path_make(path, sizeof path, directory, name);
    if (rv != 0)
        return rv;
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, text, strlen(text)) < 0)
        rv = -errno;
    close(fd);
    return rv;
}

/* Whether a process may really be moved into it: permissions, delegation and the kernel's rules about
 * groups with controllers are many; trying tells. The child uses nothing but system calls. */
static int join_try(const char *path)
{
    char procs[PATH_MAX];
    int status, fd, rv = path_make(procs, sizeof procs, path, "cgroup.procs");
    pid_t child;
    if (rv != 0)
        return rv;
    fd = open(procs, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    child = fork();
    if (child == 0)
        _exit(write(fd, "0", 1) == 1 ? 0 : (errno & 0x7f));
    if (child < 0)
        rv = -errno;
    close(fd);
    if (child < 0)
        return rv;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return 0; /* somebody else waited for it; the open above succeeded at least */
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EIO;
}

int ph_cgroup_parent_path(const char *directory, char *path_out, size_t size)
{
    char point[PATH_MAX], own[PATH_MAX];
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a: a short name for a long path */
    int rv = mount_find(point, sizeof point);
    if (rv == 0)
        rv = own_find(point, own, sizeof own);
    if (rv != 0)
        return rv;
    for (const char *at = directory; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * UINT64_C(0x100000001b3);
    int length = snprintf(path_out, size, "%s/poolherd-%016llx", own, (unsigned long long)hash);
    return length < 0 || (size_t)length >= size ? -ENAMETOOLONG : 0;
}

int ph_cgroup_parent(const char *directory, char *path_out, size_t size, struct ph_error *why)
{
    char real[PATH_MAX], path[PATH_MAX];
    path_out[0] = '\0';
    if (realpath(directory, real) == NULL)
        return ph_error_set(why, PH_NOT_FOUND, NULL, "%s: %s", directory, strerror(errno));
    int rv = ph_cgroup_parent_path(real, path, sizeof path);
    if (rv == 0 && strlen(path) >= size)
        rv = -ENAMETOOLONG;
    if (rv == -ENAMETOOLONG)
        return rv;
    if (rv != 0) {
        ph_error_set(why, PH_FAILED, NULL,
            "cgroup v2 is not mounted: workloads that leave their process group are found by their "
            "environment only");
        return -ENOTSUP;
    }
    rv = mkdir(path, 0755) != 0 && errno != EEXIST ? -errno : join_try(path);
    if (rv != 0) {
        rmdir(path);
        ph_error_set(why, PH_NOT_ALLOWED, NULL,
            "%s cannot be used (%s): run as root, or under systemd with Delegate=yes; until then "
            "workloads that leave their process group are found by their environment only",
            path, strerror(-rv));
        return -EPERM;
    }
    ph_text_format(path_out, size, "%s", path);
    return 0;
}

int ph_cgroup_child(
    const char *path, const char *prefix, const char *name, char *path_out, size_t size)
{
    /* The prefix keeps a pool named "cgroup.procs" apart from the kernel's file of that name. */
    int length = snprintf(path_out, size, "%s/%s-%s", path, prefix, name);
    int rv = 0;
    if (length < 0 || (size_t)length >= size)
        rv = -ENAMETOOLONG;
    else if (mkdir(path_out, 0755) != 0 && errno != EEXIST)
        rv = -errno;
    if (rv != 0)
        path_out[0] = '\0';
    return rv;
}

int ph_cgroup_make(const char *parent, const char *pool, char *path_out, size_t size)
{
    path_out[0] = '\0';
    if (parent[0] == '\0')
        return 0;
    /* A guard that is no longer needed takes the parent with it. */
    if (mkdir(parent, 0755) != 0 && errno != EEXIST)
        return -errno;
    return ph_cgroup_child(parent, "pool", pool, path_out, size);
}

/* Calls visit for each group right under path. */
static void each_child(const char *path, int depth, void (*visit)(const char *path, int depth))
{
    struct dirent *entry;
    char child[PATH_MAX];
    DIR *directory = depth < CGROUP_DEPTH_MAX ? opendir(path) : NULL;
    if (directory == NULL)
        return;
    while ((entry = readdir(directory)) != NULL)
        if (entry->d_type == DT_DIR && strcmp(entry->d_name, ".") != 0 &&
            strcmp(entry->d_name, "..") != 0 &&
            path_make(child, sizeof child, path, entry->d_name) == 0)
            visit(child, depth + 1);
    closedir(directory);
}

static void remove_at(const char *path, int depth)
{
    if (rmdir(path) == 0 || errno != EBUSY)
        return;
    each_child(path, depth, remove_at);
    rmdir(path);
}

void ph_cgroup_remove(const char *path)
{
    if (path[0] == '/')
        remove_at(path, 0);
}

int ph_cgroup_join(const char *path)
{
    return file_write(path, "cgroup.procs", "0");
}

static void kill_at(const char *path, int depth)
{
    char procs[PATH_MAX], line[32];
    FILE *file =
        path_make(procs, sizeof procs, path, "cgroup.procs") == 0 ? fopen(procs, "re") : NULL;
    if (file != NULL) {
        while (fgets(line, sizeof line, file) != NULL) {
            long pid = strtol(line, NULL, 10);
            if (pid > 1 && pid != (long)getpid())
                kill((pid_t)pid, SIGKILL);
        }
        fclose(file);
    }
    each_child(path, depth, kill_at);
}

int ph_cgroup_kill(const char *path)
{
    int rv = file_write(path, "cgroup.kill", "1");
    if (rv == 0)
        return 0;
    if (access(path, F_OK) != 0)
        return errno == ENOENT ? 0 : -errno;
    kill_at(path, 0);
    return 0;
}

bool ph_cgroup_populated(const char *path)
{
    char events[PATH_MAX], line[128];
    bool populated = true;
    FILE *file;
    if (path_make(events, sizeof events, path, "cgroup.events") != 0)
        return true;
    file = fopen(events, "re");
    if (file == NULL)
        return errno != ENOENT;
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, "populated 0", 11) == 0)
            populated = false;
    fclose(file);
    return populated;
}
