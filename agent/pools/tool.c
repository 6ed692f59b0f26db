#include "agent/pools/tool.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "base/child.h"
#include "base/clock.h"
#include "base/text.h"

#define STEP_MS 50
#define GRACE_MS 1000

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

int ph_tool_wait(
    struct ph_tool *tool, const atomic_bool *cancelled, int *status_out, struct ph_error *error)
{
    uint64_t killed_ms = 0;
    bool open = true, ended = false, cancel = false;
    int status = 0;

    while (!ended) {
        struct pollfd item = {.fd = open ? tool->output_fd : -1, .events = POLLIN};
        /* Its output ends with it, so that this wakes up at once in the usual case. */
        poll(&item, 1, open ? STEP_MS : 1);
        if (open)
            open = read_output(tool);
        pid_t pid = waitpid(tool->pid, &status, WNOHANG);
        ended = pid == tool->pid || (pid < 0 && errno != EINTR);
        if (ended || cancelled == NULL || !atomic_load(cancelled))
            continue;
        uint64_t now_ms = ph_clock_boot_ms();
        if (!cancel) {
            cancel = true;
            killed_ms = now_ms + GRACE_MS;
            kill(-tool->pid, SIGTERM);
        } else if (now_ms >= killed_ms) {
            kill(-tool->pid, SIGKILL);
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
    if (cancel) {
        ph_error_set(error, PH_FAILED, NULL, "cancelled");
        return -ECANCELED;
    }
    return 0;
}

int ph_tool_explain(
    struct ph_stream *stream, const struct ph_tool *tool, int status, struct ph_error *error)
{
    char reason[PH_TEXT_BYTES_MAX];

    ph_stream_reason(stream, reason, sizeof reason);
    if (reason[0] != '\0')
        ph_error_set(error, PH_FAILED, NULL, "%s", reason);
    else
        ph_error_set(error, PH_FAILED, NULL, "%s ended with status %d: %s", tool->name, status,
            tool->said[0] != '\0' ? tool->said : "it said nothing");
    return -EIO;
}
