#include "agent/work/space.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "agent/guard/cgroup.h"
#include "agent/guard/process.h"
#include "agent/work/launch.h"
#include "agent/work/pid_file.h"
#include "agent/work/system.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/program.h"

#define INIT_NAME ".init" /* of its pid file; no VM has such a name */
#define CLOSE_TIMEOUT_MS 5000
#define PAUSE_MS 1

/* Two VMs of a pool that are started at the same time share one. */
static pthread_mutex_t opening = PTHREAD_MUTEX_INITIALIZER;

static int init_cgroup(const char *pool_cgroup, char out[PATH_MAX])
{
    return ph_cgroup_child(pool_cgroup, "init", "pool", out, PATH_MAX);
}

/* The init that runs already, from this agent or the one before. */
static int find(const struct ph_space_settings *settings, struct ph_space *space)
{
    struct ph_process now;
    uint64_t start_time;
    pid_t pid;
    char cgroup[PATH_MAX];
    if (ph_pid_file_read(settings->run_directory, INIT_NAME, &pid, &start_time) != 0 ||
        init_cgroup(settings->cgroup, cgroup) != 0)
        return -ENOENT;
    /* Opened first and compared after: from then on the descriptor means that very process. */
    int fd = ph_work_pid_open(pid);
    if (fd >= 0 && ph_process_read(pid, &now) == 0 && ph_process_alive(&now) &&
        now.start_time == start_time && ph_work_pid_in_cgroup(pid, cgroup)) {
        *space = (struct ph_space){.pid = pid, .pid_fd = fd};
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return -ENOENT;
}

static int note_pid(pid_t pid, void *argument, struct ph_error *error)
{
    const struct ph_space_settings *settings = argument;
    struct ph_process process;
    int rv = ph_process_read(pid, &process);
    if (rv == 0)
        rv = ph_pid_file_write(settings->run_directory, INIT_NAME, pid, process.start_time);
    return rv == 0 ? 0
                   : ph_error_set(error, PH_FAILED, NULL, "%s/%s.pid: %s", settings->run_directory,
                         INIT_NAME, strerror(-rv));
}

/* The guard's log takes what it has to say. */
static int log_open(const char *directory)
{
    char path[PATH_MAX];
    if (ph_path_join(path, sizeof path, directory, "log/guard.log") != 0)
        return -1;
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static int start(
    const struct ph_space_settings *settings, const char *program, struct ph_error *error)
{
    char page[PATH_MAX], generation[32], cgroup[PATH_MAX], mark[PH_MARK_BYTES_MAX + 32];
    char node[PH_NAME_BYTES_MAX + 32], pool[PH_NAME_BYTES_MAX + 32], file[PATH_MAX],
        parent[PATH_MAX], run[PATH_MAX + 32];
    char *argv[] = {file, page, generation, parent, NULL}, *programs[] = {file, NULL};
    char *environment[] = {mark, node, pool, run, NULL}; /* whose it is, for people */
    struct ph_command command = {argv, environment, programs};
    pid_t pid;
    int rv = ph_path_join(page, sizeof page, settings->directory, "run/state/lease");
    if (rv == 0)
        rv = init_cgroup(settings->cgroup, cgroup);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s: %s", settings->cgroup, strerror(-rv));
    ph_text_format(file, sizeof file, "%s", program);
    ph_text_format(parent, sizeof parent, "%s", settings->cgroup);
    ph_text_format(generation, sizeof generation, "%lld", (long long)settings->generation);
    ph_text_format(mark, sizeof mark, "POOLHERD_MARK=%s", settings->marker);
    ph_text_format(node, sizeof node, "POOLHERD_NODE=%s", settings->node);
    ph_text_format(pool, sizeof pool, "POOLHERD_POOL=%s", settings->pool);
    ph_text_format(run, sizeof run, "POOLHERD_RUN=%s", settings->run_directory);
    struct ph_launch launch = {.command = &command,
        .directory = "/",
        .cgroup = cgroup,
        .in_fd = -1,
        .out_fd = log_open(settings->directory),
        .page = ph_guard_page(settings->guard),
        .generation = settings->generation,
        .registered = note_pid,
        .argument = (void *)(uintptr_t)settings};
    rv = ph_launch_init(&launch, &pid, error);
    if (launch.out_fd >= 0)
        close(launch.out_fd);
    return rv;
}

int ph_space_open(
    const struct ph_space_settings *settings, struct ph_space *space_out, struct ph_error *error)
{
    char program[PATH_MAX];
    int rv = 0;
    if (settings->program != NULL)
        (void)ph_text_format(program, sizeof program, "%s", settings->program);
    else
        rv = ph_program_beside("poolherd-init", program);
    if (rv != 0)
        return ph_error_set(error, PH_NOT_FOUND, NULL, "poolherd-init: %s", strerror(-rv));
    pthread_mutex_lock(&opening);
    rv = find(settings, space_out);
    if (rv != 0) {
        rv = ph_directory_make(settings->run_directory);
        if (rv == 0)
            rv = start(settings, program, error);
        if (rv == 0 && find(settings, space_out) != 0)
            rv = ph_error_set(error, PH_FAILED, NULL,
                "the init of %s's PID namespace ended at once; the guard's log may say why",
                settings->pool);
    }
    pthread_mutex_unlock(&opening);
    return rv;
}

int ph_space_close(const struct ph_space_settings *settings, struct ph_error *error)
{
    const struct timespec pause = {.tv_nsec = PAUSE_MS * 1000000};
    uint64_t until_ms = ph_clock_boot_ms() + CLOSE_TIMEOUT_MS;
    struct ph_space space;
    char cgroup[PATH_MAX];
    if (settings->cgroup[0] == '\0' || find(settings, &space) != 0 ||
        init_cgroup(settings->cgroup, cgroup) != 0)
        return 0;
    close(space.pid_fd);
    /* Out of its cgroup it has left its mounts as well, which could keep the pool's in use. */
    do {
        ph_cgroup_kill(cgroup);
        if (!ph_cgroup_populated(cgroup)) {
            ph_pid_file_remove(settings->run_directory, INIT_NAME);
            ph_cgroup_remove(cgroup);
            return 0;
        }
        nanosleep(&pause, NULL);
    } while (ph_clock_boot_ms() < until_ms);
    ph_error_set(error, PH_STATE_FORBIDS, NULL,
        "the init of its PID namespace, process %ld, is not ended by SIGKILL", (long)space.pid);
    return -EBUSY;
}
