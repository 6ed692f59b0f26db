#include "agent/pools/users.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/text.h"

#define SCAN_MS_MAX 150   /* a pool's move must not wait for a machine with a million open files */
#define FILES_PER_LOOK 64 /* between two looks at the clock */

static bool is_below(const char *path, const char *top, size_t bytes)
{
    return strncmp(path, top, bytes) == 0 && (path[bytes] == '/' || path[bytes] == '\0');
}

static size_t read_small(int directory, const char *name, char *out, size_t size)
{
    int fd = openat(directory, name, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd >= 0 ? read(fd, out, size - 1) : -1;

    if (fd >= 0)
        close(fd);
    out[got > 0 ? got : 0] = '\0';
    return got > 0 ? (size_t)got : 0;
}

static bool opened_for_writing(int process, const char *fd_name)
{
    char name[64], text[256];

    ph_text_format(name, sizeof name, "fdinfo/%s", fd_name);
    read_small(process, name, text, sizeof text);
    const char *flags = strstr(text, "flags:");
    return flags != NULL && (strtoul(flags + 6, NULL, 8) & O_ACCMODE) != O_RDONLY;
}

static bool has_file(int process, const char *top, size_t bytes, uint64_t deadline_ms)
{
    char target[PATH_MAX];
    bool found = false;
    unsigned looked = 0;
    int fds = openat(process, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fds >= 0 ? fdopendir(fds) : NULL;

    if (entries == NULL) {
        if (fds >= 0)
            close(fds);
        return false;
    }
    for (struct dirent *entry; !found && (entry = readdir(entries)) != NULL;) {
        if (++looked % FILES_PER_LOOK == 0 && ph_clock_boot_ms() >= deadline_ms)
            break;
        ssize_t got = readlinkat(dirfd(entries), entry->d_name, target, sizeof target - 1);
        if (got <= 0)
            continue;
        target[got] = '\0';
        found = is_below(target, top, bytes) && opened_for_writing(process, entry->d_name);
    }
    closedir(entries);
    return found;
}

static bool has_mapping(int process, const char *top, size_t bytes)
{
    int fd = openat(process, "maps", O_RDONLY | O_CLOEXEC);
    FILE *maps = fd >= 0 ? fdopen(fd, "r") : NULL;
    char *line = NULL;
    size_t room = 0;
    bool found = false;

    if (maps == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (!found && getline(&line, &room, maps) > 0) {
        const char *path = strchr(line, '/');
        char flags[5] = "";
        if (path != NULL && is_below(path, top, bytes) && sscanf(line, "%*s %4s", flags) == 1)
            found = flags[1] == 'w' && flags[3] == 's';
    }
    free(line);
    fclose(maps);
    return found;
}

int ph_path_writers(const char *path, char *text_out, size_t size)
{
    size_t bytes = strlen(path), used = 0;
    uint64_t deadline_ms = ph_clock_boot_ms() + SCAN_MS_MAX;
    DIR *processes = opendir("/proc");
    int count = 0;

    text_out[0] = '\0';
    if (processes == NULL)
        return 0;
    for (struct dirent *entry; (entry = readdir(processes)) != NULL;) {
        char *end, name[64];
        long pid = strtol(entry->d_name, &end, 10);
        if (pid <= 0 || *end != '\0' || pid == (long)getpid())
            continue;
        if (ph_clock_boot_ms() >= deadline_ms)
            break;
        int process = openat(dirfd(processes), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (process < 0)
            continue;
        if (has_file(process, path, bytes, deadline_ms) || has_mapping(process, path, bytes)) {
            read_small(process, "comm", name, sizeof name);
            name[strcspn(name, "\n")] = '\0';
            if (count < 5)
                used += ph_text_format(
                    text_out + used, size - used, "%s%s (%ld)", count > 0 ? ", " : "", name, pid);
            count++;
        }
        close(process);
    }
    closedir(processes);
    return count;
}

void ph_program_directory(char *out, size_t size)
{
    ssize_t got = readlink("/proc/self/exe", out, size - 1);

    out[got > 0 ? got : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash != NULL)
        *slash = '\0';
}
