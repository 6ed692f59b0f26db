#include "agent/guard/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/text.h"

#define PIDS_MAX 4194304 /* the kernel's own limit, PID_MAX_LIMIT */
#define LISTS_MAX 100    /* of /proc in one look: a machine that forks faster than it is listed */
/* One entry of an environment may have 128 KiB, all of it 6 MiB: more than this is not searched. */
#define ENVIRONMENT_BYTES_MAX (8u * 1024 * 1024)

static int read_small(const char *path, char *text, size_t size)
{
    ssize_t got;
    int rv = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    do
        got = read(fd, text, size - 1);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        rv = -errno;
    else
        text[got] = '\0';
    close(fd);
    return rv;
}

int ph_process_read(pid_t pid, struct ph_process *process_out)
{
    char path[64], line[1024];
    int rv;
    ph_text_format(path, sizeof path, "/proc/%ld/stat", (long)pid);
    rv = read_small(path, line, sizeof line);
    if (rv != 0)
        return rv;
    return ph_process_parse(line, process_out);
}

static int environment_search(FILE *file, struct ph_process_marks *marks)
{
    static const char mark[] = "POOLHERD_MARK=", vm[] = "POOLHERD_VM=";
    char *entry = NULL;
    size_t room = 0, total = 0;
    ssize_t bytes;
    while (total < ENVIRONMENT_BYTES_MAX && (bytes = getdelim(&entry, &room, '\0', file)) > 0) {
        total += (size_t)bytes;
        if (strncmp(entry, mark, sizeof mark - 1) == 0)
            ph_text_format(marks->mark, sizeof marks->mark, "%s", entry + sizeof mark - 1);
        else if (strncmp(entry, vm, sizeof vm - 1) == 0)
            ph_text_format(marks->vm, sizeof marks->vm, "%s", entry + sizeof vm - 1);
        if (marks->mark[0] != '\0' && marks->vm[0] != '\0')
            break;
    }
    free(entry);
    return ferror(file) ? -errno : 0;
}

int ph_process_marks(pid_t pid, struct ph_process_marks *marks_out)
{
    char path[64];
    int rv, fd;
    FILE *file;
    *marks_out = (struct ph_process_marks){{0}, {0}};
    ph_text_format(path, sizeof path, "/proc/%ld/environ", (long)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : -errno;
    file = fdopen(fd, "r");
    if (file == NULL) {
        close(fd);
        return -ENOMEM;
    }
    rv = environment_search(file, marks_out);
    fclose(file);
    return rv;
}

/* Looks at every process listed that was not looked at before. How many those were. */
static size_t look_at_new(DIR *directory, unsigned char *seen,
    void (*visit)(const struct ph_process *process, void *argument), void *argument)
{
    struct dirent *entry;
    size_t count = 0;
    while ((entry = readdir(directory)) != NULL) {
        struct ph_process process;
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        if (pid <= 0 || pid >= PIDS_MAX || *end != '\0' || pid == (long)getpid() ||
            (seen[pid / 8] & 1u << pid % 8) != 0)
            continue;
        seen[pid / 8] = (unsigned char)(seen[pid / 8] | 1u << pid % 8);
        count++;
        if (ph_process_read((pid_t)pid, &process) == 0 && ph_process_alive(&process))
            visit(&process, argument);
    }
    return count;
}

/* The kernel lists /proc at one instant. What ends after it, before it is looked at, may have left a child
 * that is not in the list: so /proc is listed again until there is nobody new. Then whoever was alive at
 * the last list was looked at alive. */
int ph_process_each(void (*visit)(const struct ph_process *process, void *argument), void *argument)
{
    int rv = -EAGAIN;
    DIR *directory = opendir("/proc");
    if (directory == NULL)
        return -errno;
    unsigned char *seen = calloc(PIDS_MAX / 8, 1);
    if (seen == NULL)
        rv = -ENOMEM;
    for (int list = 0; rv == -EAGAIN && list < LISTS_MAX; list++) {
        rewinddir(directory);
        if (look_at_new(directory, seen, visit, argument) == 0)
            rv = 0;
    }
    free(seen);
    closedir(directory);
    return rv;
}

int ph_process_kill(const struct ph_process *process)
{
    struct ph_process now;
    int fd = (int)syscall(SYS_pidfd_open, process->pid, 0u);
    int error = errno, rv = 0;
    /* Looked at after the opening: from then on the descriptor means that process and no other. */
    if (ph_process_read(process->pid, &now) != 0 || now.start_time != process->start_time)
        rv = -ESRCH;
    else if (fd >= 0)
        rv = syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0u) != 0 ? -errno : 0;
    else if (error == ENOSYS || error == EMFILE || error == ENFILE)
        rv = kill(process->pid, SIGKILL) != 0 ? -errno : 0;
    else
        rv = -error;
    if (fd >= 0)
        close(fd);
    return rv;
}

struct group_search {
    pid_t group;
    bool found;
};

static void group_visit(const struct ph_process *process, void *argument)
{
    struct group_search *search = argument;
    if (process->group == search->group)
        search->found = true;
}

bool ph_group_alive(pid_t group)
{
    struct group_search search = {group, false};
    if (group <= 1 || (kill(-group, 0) != 0 && errno == ESRCH))
        return false;
    if (ph_process_each(group_visit, &search) != 0)
        return true; /* not known to be empty */
    return search.found;
}

int ph_group_kill(pid_t group, uint64_t start_time)
{
    struct ph_process leader;
    if (group <= 1)
        return -ESRCH; /* 0 and 1 would mean "mine" and "everybody" */
    if (ph_process_read(group, &leader) == 0 && leader.start_time != start_time)
        return -ESTALE;
    return kill(-group, SIGKILL) != 0 ? -errno : 0;
}

void ph_boot_id(char *out, size_t size)
{
    char text[64];
    out[0] = '\0';
    if (read_small("/proc/sys/kernel/random/boot_id", text, sizeof text) == 0) {
        text[strcspn(text, "\n")] = '\0';
        ph_text_format(out, size, "%s", text);
    }
}
