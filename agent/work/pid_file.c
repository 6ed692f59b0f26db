#include "agent/work/pid_file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/guard/process.h"
#include "base/file.h"
#include "base/text.h"

#define PID_FILE_HEAD "poolherd-pid 1 "
#define PID_FILE_BYTES_MAX 256

static int path_make(char out[PATH_MAX], const char *directory, const char *vm, const char *end)
{
    int length = snprintf(out, PATH_MAX, "%s/%s%s", directory, vm, end);
    return length < 0 || length >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int ph_pid_file_write(const char *directory, const char *vm, pid_t pid, uint64_t start_time)
{
    char path[PATH_MAX], fresh[PATH_MAX], boot_id[64], text[PID_FILE_BYTES_MAX];
    int fd, rv = path_make(path, directory, vm, ".pid");
    if (rv == 0)
        rv = path_make(fresh, directory, vm, ".pid~"); /* "~" is in no name */
    if (rv != 0)
        return rv;
    ph_boot_id(boot_id, sizeof boot_id);
    size_t bytes = ph_text_format(text, sizeof text, PID_FILE_HEAD "%ld %llu %s\n", (long)pid,
        (unsigned long long)start_time, boot_id);
    fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    ssize_t written = write(fd, text, bytes);
    if (written != (ssize_t)bytes)
        rv = written < 0 ? -errno : -ENOSPC;
    close(fd);
    if (rv == 0 && rename(fresh, path) != 0)
        rv = -errno;
    if (rv != 0)
        unlink(fresh);
    return rv;
}

int ph_pid_file_parse(
    const char *text, const char *boot_id, pid_t *pid_out, uint64_t *start_time_out)
{
    char *end;
    if (strncmp(text, PID_FILE_HEAD, sizeof PID_FILE_HEAD - 1) != 0)
        return -ENOENT;
    text += sizeof PID_FILE_HEAD - 1;
    errno = 0;
    long pid = strtol(text, &end, 10);
    if (errno != 0 || pid <= 1 || pid > INT_MAX || *end != ' ' || end[1] < '0' || end[1] > '9')
        return -ENOENT;
    unsigned long long start_time = strtoull(end + 1, &end, 10);
    size_t bytes = strlen(boot_id);
    if (errno != 0 || *end != ' ' || strncmp(end + 1, boot_id, bytes) != 0 ||
        strcmp(end + 1 + bytes, "\n") != 0)
        return -ENOENT;
    *pid_out = (pid_t)pid;
    *start_time_out = start_time;
    return 0;
}

int ph_pid_file_read(
    const char *directory, const char *vm, pid_t *pid_out, uint64_t *start_time_out)
{
    char path[PATH_MAX], boot_id[64], *text;
    size_t size;
    if (path_make(path, directory, vm, ".pid") != 0 ||
        ph_file_read(path, PID_FILE_BYTES_MAX, &text, &size) != 0)
        return -ENOENT;
    ph_boot_id(boot_id, sizeof boot_id);
    int rv = ph_pid_file_parse(text, boot_id, pid_out, start_time_out);
    free(text);
    return rv;
}

void ph_pid_file_remove(const char *directory, const char *vm)
{
    char path[PATH_MAX];
    if (path_make(path, directory, vm, ".pid") == 0)
        unlink(path);
}
