#include "agent/work/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "agent/guard/process.h"
#include "agent/work/launch.h"
#include "agent/work/pid_file.h"
#include "agent/work/sweep.h"
#include "agent/work/system.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/program.h"
#include "proto/qemu.h"

#define KILL_TIMEOUT_MS 5000 /* SIGKILL takes a millisecond, or a disk is in the way */
#define SETTLE_MS 200 /* after its first process has ended, for others to end by themselves */
#define POLL_MS 10    /* without a descriptor of the process */

/* ---- output */

/* poolherd-log, beside this program's own file unless told otherwise. False: not installed. */
static bool log_program_find(const struct ph_work_context *context, char out[PATH_MAX])
{
    if (context->log_program == NULL)
        return ph_program_beside("poolherd-log", out) == 0;
    (void)ph_text_format(out, PATH_MAX, "%s", context->log_program);
    return access(out, X_OK) == 0;
}

/* Starts poolherd-log in the VM's cgroup and returns the pipe to it. */
static int log_pipe(const struct ph_work_context *context, const struct ph_command *command,
    const char *cgroup, char *program, int *fd_out, struct ph_error *error)
{
    char limit[32], path[PATH_MAX];
    int fds[2];
    ph_text_format(limit, sizeof limit, "%d", PH_WORKLOAD_LOG_BYTES_MAX);
    ph_text_format(path, sizeof path, "%s", context->log_path);
    char *argv[] = {program, path, limit, NULL}, *programs[] = {program, NULL};
    struct ph_command log_command = {argv, command->environment, programs};
    if (pipe(fds) != 0)
        return ph_error_set(error, PH_FAILED, NULL, "no pipe for the log: %s", strerror(errno));
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    struct ph_launch launch = {.command = &log_command,
        .directory = "/", /* the pool's own would keep it from being unmounted */
        .cgroup = cgroup,
        .in_fd = fds[0],
        .out_fd = -1};
    int rv = ph_launch_companion(&launch, error);
    close(fds[0]);
    if (rv != 0)
        close(fds[1]);
    else
        *fd_out = fds[1];
    return rv;
}

/* Where stdout and stderr go. The file is opened here in any case: one that cannot be written is an error
 * now, and not a workload without a log. */
static int output_open(const struct ph_work_context *context, const struct ph_command *command,
    const char *cgroup, int *fd_out, struct ph_error *error)
{
    char program[PATH_MAX];
    int fd = open(
        context->log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY, 0600);
    if (fd < 0) {
        int rv = -errno;
        ph_error_set(error, PH_FAILED, NULL, "the log %s cannot be opened: %s", context->log_path,
            strerror(-rv));
        return rv;
    }
    ph_work_log_trim(context->log_path, PH_WORKLOAD_LOG_BYTES_MAX);
    if (!log_program_find(context, program)) {
        *fd_out = fd;
        return 0;
    }
    close(fd);
    return log_pipe(context, command, cgroup, program, fd_out, error);
}

/* ---- start */

static int vm_cgroup(const struct ph_work_context *context, char out[PATH_MAX])
{
    out[0] = '\0';
    return context->cgroup[0] == '\0'
               ? 0
               : ph_cgroup_child(context->cgroup, "vm", context->vm->name, out, PATH_MAX);
}

struct registration {
    const struct ph_work_context *context;
    struct ph_work_process process;
};

/* Called while the child waits: nothing of it runs before guard and pid file know of it. */
static int registered(pid_t pid, void *argument, struct ph_error *error)
{
    struct registration *registration = argument;
    const struct ph_work_context *context = registration->context;
    struct ph_process process;
    int rv = ph_process_read(pid, &process);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "process %ld: %s", (long)pid, strerror(-rv));
    rv = ph_guard_add_group(context->guard, context->pool->name, pid);
    if (rv != 0) {
        ph_error_set(error, rv == -ESTALE ? PH_STATE_FORBIDS : PH_FAILED, NULL,
            rv == -ESTALE ? "the lease has ended" : "the guard did not take process %ld in: %s",
            (long)pid, strerror(-rv));
        return rv;
    }
    rv = ph_pid_file_write(context->run_directory, context->vm->name, pid, process.start_time);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s/%s.pid cannot be written: %s",
            context->run_directory, context->vm->name, strerror(-rv));
        return rv;
    }
    registration->process = (struct ph_work_process){
        .pid = pid, .start_time = process.start_time, .pid_fd = ph_work_pid_open(pid)};
    return 0;
}

static int sweep_vm(const struct ph_work_context *context, const struct ph_work_process *process,
    const char *cgroup, bool kill_it, uint32_t timeout_ms)
{
    const struct ph_sweep sweep = {cgroup, context->marker, context->vm->name,
        process != NULL ? process->pid : 0, process != NULL ? process->start_time : 0};
    return ph_sweep(&sweep, kill_it, timeout_ms);
}

static int run(const struct ph_work_context *context, const struct ph_command *command,
    const char *directory, const char *cgroup, struct ph_work_process *process_out,
    struct ph_error *error)
{
    struct registration registration = {.context = context, .process = {.pid_fd = -1}};
    pid_t pid;
    int out_fd = -1, rv = output_open(context, command, cgroup, &out_fd, error);
    if (rv != 0)
        return rv;
    struct ph_launch launch = {.command = command,
        .directory = directory,
        .cgroup = cgroup,
        .space = context->space,
        .in_fd = -1,
        .out_fd = out_fd,
        .page = ph_guard_page(context->guard),
        .generation = context->generation,
        .registered = registered,
        .argument = &registration};
    rv = ph_launch(&launch, &pid, error);
    close(out_fd);
    if (rv == 0) {
        *process_out = registration.process;
        return 0;
    }
    if (registration.process.pid_fd >= 0)
        close(registration.process.pid_fd);
    ph_pid_file_remove(context->run_directory, context->vm->name);
    sweep_vm(context, NULL, cgroup, true, KILL_TIMEOUT_MS); /* the log's process, mostly */
    return rv;
}

int ph_run_start(const struct ph_work_context *context, const struct ph_command *command,
    const char *directory, struct ph_work_process *process_out, struct ph_error *error)
{
    struct ph_work_process before = {.pid = 0};
    char cgroup[PATH_MAX];
    int rv = ph_directory_make(context->run_directory);
    if (rv == 0)
        rv = vm_cgroup(context, cgroup);
    if (rv != 0) {
        ph_error_set(
            error, PH_FAILED, NULL, "%s cannot be prepared: %s", context->vm->name, strerror(-rv));
        return rv;
    }
    /* Of an earlier run only others than its first process can be left here, or the core would not start it:
     * two of one VM must never be. */
    ph_pid_file_read(context->run_directory, context->vm->name, &before.pid, &before.start_time);
    rv = sweep_vm(context, &before, cgroup, true, KILL_TIMEOUT_MS);
    if (rv != 0)
        ph_error_set(error, PH_FAILED, NULL, "something of an earlier run of %s does not die",
            context->vm->name);
    else
        rv = run(context, command, directory, cgroup, process_out, error);
    if (rv != 0 && cgroup[0] != '\0')
        ph_cgroup_remove(cgroup);
    return rv;
}

/* ---- adopt */

/* pid and start time name one process of this boot. The mark is looked at as well, since the file could be
 * a copy of another agent's; a program that wrote over its environment is known by its place instead. */
static bool is_it(const struct ph_work_context *context, const char *cgroup,
    const struct ph_work_process *process)
{
    struct ph_process now;
    struct ph_process_marks marks = {"", ""};
    if (ph_process_read(process->pid, &now) != 0 || !ph_process_alive(&now) ||
        now.start_time != process->start_time)
        return false;
    ph_process_marks(process->pid, &marks);
    if (marks.mark[0] != '\0')
        return strcmp(marks.mark, context->marker) == 0 && strcmp(marks.vm, context->vm->name) == 0;
    return cgroup[0] != '\0' ? ph_work_pid_in_cgroup(process->pid, cgroup)
                             : now.session == process->pid;
}

int ph_run_adopt(const struct ph_work_context *context, struct ph_work_process *process_out)
{
    struct ph_work_process process = {.pid_fd = -1};
    char cgroup[PATH_MAX] = "";
    int rv = ph_pid_file_read(
        context->run_directory, context->vm->name, &process.pid, &process.start_time);
    if (rv != 0)
        return rv;
    if (context->cgroup[0] != '\0')
        snprintf(cgroup, sizeof cgroup, "%s/vm-%s", context->cgroup, context->vm->name);
    /* Opened first and compared after: from then on the descriptor means that very process. */
    process.pid_fd = ph_work_pid_open(process.pid);
    if (!is_it(context, cgroup, &process)) {
        if (process.pid_fd >= 0)
            close(process.pid_fd);
        return -ENOENT;
    }
    *process_out = process;
    return 0;
}

/* ---- stop */

bool ph_run_ended(const struct ph_work_process *process, int timeout_ms)
{
    struct pollfd polls = {.fd = process->pid_fd, .events = POLLIN};
    struct ph_process now;
    if (process->pid_fd >= 0)
        return poll(&polls, 1, timeout_ms) > 0;
    if (ph_process_read(process->pid, &now) != 0 || !ph_process_alive(&now) ||
        now.start_time != process->start_time)
        return true;
    const struct timespec pause = {
        .tv_nsec = (timeout_ms < POLL_MS ? timeout_ms : POLL_MS) * 1000000L};
    nanosleep(&pause, NULL);
    return false;
}

void ph_run_signal(const struct ph_work_context *context, const struct ph_work_process *process)
{
    uint64_t until_ms = ph_clock_boot_ms() + (uint64_t)ph_stop_timeout_ms(context->vm);
    int number = ph_command_signal(context->vm->stop_signal);
    if (number < 0 || ph_work_pid_signal(process, number) != 0)
        return;
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        if (now_ms >= until_ms || ph_run_ended(process, (int)(until_ms - now_ms)))
            return;
    }
}

int ph_run_stop(const struct ph_work_context *context, struct ph_work_process *process,
    ph_run_politely *politely, struct ph_error *error)
{
    char cgroup[PATH_MAX];
    int rv = vm_cgroup(context, cgroup);
    if (rv != 0) {
        ph_error_set(error, PH_FAILED, NULL, "%s: %s", context->cgroup, strerror(-rv));
        return rv;
    }
    if (process->pid > 0) {
        if (politely != NULL)
            politely(context, process);
        if (ph_run_ended(process, 0))
            sweep_vm(context, process, cgroup, false, SETTLE_MS);
    }
    rv = sweep_vm(context, process, cgroup, true, KILL_TIMEOUT_MS);
    if (rv != 0)
        return ph_error_set(error, PH_STATE_FORBIDS, NULL,
            "something of %s is not ended by SIGKILL: it waits in the kernel, for a disk perhaps",
            context->vm->name);
    ph_pid_file_remove(context->run_directory, context->vm->name);
    if (cgroup[0] != '\0')
        ph_cgroup_remove(cgroup);
    return 0;
}

/* ---- a start that failed */

off_t ph_run_log_end(const struct ph_work_context *context)
{
    struct stat status;
    return stat(context->log_path, &status) == 0 ? status.st_size : 0;
}

bool ph_run_last_line(const struct ph_work_context *context, off_t from, char *out, size_t size)
{
    char bytes[4096];
    int fd = open(context->log_path, O_RDONLY | O_CLOEXEC);
    off_t end = fd < 0 ? -1 : lseek(fd, 0, SEEK_END);
    off_t begin = end - (off_t)sizeof bytes + 1 > from ? end - (off_t)sizeof bytes + 1 : from;
    ssize_t got = end > begin ? pread(fd, bytes, sizeof bytes - 1, begin) : -1;
    if (fd >= 0)
        close(fd);
    while (got > 0 && (bytes[got - 1] == '\n' || bytes[got - 1] == '\r'))
        got--;
    if (got <= 0)
        return false;
    bytes[got] = '\0';
    const char *line = strrchr(bytes, '\n');
    ph_text_printable(out, size, line == NULL ? bytes : line + 1);
    return out[0] != '\0';
}

void ph_run_give_up(const struct ph_work_context *context, struct ph_work_process *process)
{
    struct ph_error other = {0};
    ph_run_stop(context, process, NULL, &other);
    (void)ph_work_exit_status(process);
    if (process->pid_fd >= 0)
        close(process->pid_fd);
    *process = (struct ph_work_process){.pid_fd = -1};
}
