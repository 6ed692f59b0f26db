#include "agent/pools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "agent/pools/driver.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/text.h"

#define STEP_MS 50
#define GRACE_MS 1000
#define EXPLAIN_MS 1000
#define OUTLIVE_MS 5000 /* a tool sees the end of its stream, and may tidy up */

static _Atomic uint64_t stall_ms = 300 * 1000;

void ph_pools_set_stall_ms(uint64_t new_stall_ms)
{
    atomic_store(&stall_ms, new_stall_ms);
}

uint64_t ph_tool_stall_ms(void)
{
    return atomic_load(&stall_ms);
}

int ph_tool_start(
    struct ph_tool *tool, const char *const *argv, int in_fd, int out_fd, struct ph_error *error)
{
    static const char usual[] = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    char path[4096];
    const char *inherited = getenv("PATH");
    /* Nothing else: what RSYNC_... variables say must not decide what runs here. */
    const char *environment[] = {path, "LC_ALL=C", NULL};
    int fds[2];

    ph_text_format(path, sizeof path, "PATH=%s",
        inherited != NULL && inherited[0] != '\0' ? inherited : usual);
    memset(tool, 0, sizeof *tool);
    tool->name = argv[0];
    tool->output_fd = -1;
    if (pipe(fds) != 0) {
        ph_error_set(error, PH_FAILED, NULL, "no pipe: %s", strerror(errno));
        return -errno;
    }
    fcntl(fds[0], F_SETFD, FD_CLOEXEC);
    fcntl(fds[1], F_SETFD, FD_CLOEXEC);
    fcntl(fds[0], F_SETFL, O_NONBLOCK);
    int rv = ph_child_start(argv, environment, in_fd, out_fd, fds[1], &tool->pid);
    close(fds[1]);
    if (rv != 0) {
        close(fds[0]);
        tool->pid = 0;
        ph_error_set(error, PH_FAILED, NULL, "%s cannot be started: %s", argv[0], strerror(-rv));
        return rv;
    }
    tool->output_fd = fds[0];
    return 0;
}

/* rsync ends every failure with a line of its own that says less than the one before. */
static void keep_line(struct ph_tool *tool)
{
    tool->line[tool->line_bytes] = '\0';
    if (tool->line_bytes > 0 &&
        (tool->said[0] == '\0' || strncmp(tool->line, "rsync error:", 12) != 0))
        ph_text_printable(tool->said, sizeof tool->said, tool->line);
    tool->line_bytes = 0;
}

/* False at the end of its output. */
static bool read_output(struct ph_tool *tool)
{
    char bytes[4096];

    for (int turn = 0; turn < 64; turn++) {
        ssize_t got = read(tool->output_fd, bytes, sizeof bytes);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
            return true;
        if (got <= 0) {
            keep_line(tool);
            return false;
        }
        for (ssize_t i = 0; i < got; i++) {
            if (bytes[i] == '\n' || bytes[i] == '\r')
                keep_line(tool);
            else if (tool->line_bytes < sizeof tool->line - 1)
                tool->line[tool->line_bytes++] = bytes[i];
        }
    }
    return true;
}

/* Why it has to be ended: cancelled, or hangs. */
enum trouble { FINE, CANCELLED, STALLED, OUTLIVES };

struct watch {
    int64_t bytes;
    uint64_t moved_ms, aborted_ms; /* 0: not aborted */
};

static enum trouble look(
    const struct ph_tool *tool, const atomic_bool *cancelled, struct watch *watch, uint64_t now_ms)
{
    char reason[PH_TEXT_BYTES_MAX];

    if (cancelled != NULL && atomic_load(cancelled))
        return CANCELLED;
    if (tool->stream == NULL)
        return FINE;
    int64_t bytes = ph_stream_bytes(tool->stream);
    if (bytes != watch->bytes) {
        watch->bytes = bytes;
        watch->moved_ms = now_ms;
    }
    ph_stream_reason(tool->stream, reason, sizeof reason);
    if (reason[0] != '\0' && watch->aborted_ms == 0)
        watch->aborted_ms = now_ms;
    if (watch->aborted_ms != 0)
        return now_ms - watch->aborted_ms >= OUTLIVE_MS ? OUTLIVES : FINE;
    return now_ms - watch->moved_ms >= atomic_load(&stall_ms) ? STALLED : FINE;
}

int ph_tool_wait(
    struct ph_tool *tool, const atomic_bool *cancelled, int *status_out, struct ph_error *error)
{
    struct watch watch = {.moved_ms = ph_clock_boot_ms()};
    uint64_t kill_ms = 0;
    enum trouble trouble = FINE;
    bool open = true, ended = false;
    int status = 0;

    while (!ended) {
        struct pollfd item = {.fd = open ? tool->output_fd : -1, .events = POLLIN};
        /* Its output ends with it, so that this wakes up at once in the usual case. */
        poll(&item, 1, open ? STEP_MS : 1);
        if (open)
            open = read_output(tool);
        pid_t pid = waitpid(tool->pid, &status, WNOHANG);
        ended = pid == tool->pid || (pid < 0 && errno != EINTR);
        uint64_t now_ms = ph_clock_boot_ms();
        if (ended)
            continue;
        if (trouble != FINE) {
            if (now_ms >= kill_ms)
                kill(-tool->pid, SIGKILL);
            continue;
        }
        trouble = look(tool, cancelled, &watch, now_ms);
        if (trouble != FINE) {
            kill_ms = now_ms + GRACE_MS;
            kill(-tool->pid, SIGTERM);
        }
    }
    kill(-tool->pid, SIGKILL); /* what it has started and left */
    if (open)
        read_output(tool);
    keep_line(tool);
    close(tool->output_fd);
    tool->output_fd = -1;
    tool->pid = 0;
    *status_out = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (trouble == CANCELLED) {
        ph_error_set(error, PH_FAILED, NULL, "cancelled");
        return -ECANCELED;
    }
    if (trouble == STALLED) {
        ph_error_set(error, PH_FAILED, NULL,
            "%s hangs: it moved nothing for %llu s and was ended (copy_stall_s)", tool->name,
            (unsigned long long)(atomic_load(&stall_ms) / 1000));
        return -EIO;
    }
    return 0;
}

int ph_tool_explain(
    struct ph_stream *stream, const struct ph_tool *tool, int status, struct ph_error *error)
{
    char reason[PH_TEXT_BYTES_MAX];

    ph_stream_reason(stream, reason, sizeof reason);
    /* One that says nothing was told to end by its other side, whose words are on their way. */
    for (int turn = 0; turn < EXPLAIN_MS / STEP_MS && !reason[0] && !tool->said[0]; turn++) {
        poll(NULL, 0, STEP_MS);
        ph_stream_reason(stream, reason, sizeof reason);
    }
    /* Each side may know half of it: a full disk at the holder is told by the owner's rsync. */
    if (reason[0] != '\0')
        ph_error_set(error, PH_FAILED, NULL, "%s%s%s%s", reason, tool->said[0] != '\0' ? " (" : "",
            tool->said, tool->said[0] != '\0' ? ")" : "");
    else
        ph_error_set(error, PH_FAILED, NULL, "%s ended with status %d%s%s", tool->name, status,
            tool->said[0] != '\0' ? ": " : "", tool->said);
    return -EIO;
}
