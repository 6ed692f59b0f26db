#include "agent/work/qmp.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "agent/work/qemu_system.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

int ph_socket_connect(const char *directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int directory_fd = -1, rv = 0;
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0)
        return -errno;
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    if (fcntl(fd, F_SETFL, O_NONBLOCK) != 0)
        rv = -errno;
    if (rv == 0 && ph_path_join(address.sun_path, sizeof address.sun_path, directory, name) != 0)
        rv = ph_work_short_path(
            directory, name, address.sun_path, sizeof address.sun_path, &directory_fd);
    if (rv == 0 && connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        rv = -errno;
    if (directory_fd >= 0)
        close(directory_fd);
    if (rv == 0)
        return fd;
    close(fd);
    return rv;
}

static int said(struct ph_error *error, int rv, const char *what)
{
    if (rv == -ETIMEDOUT)
        ph_error_set(error, PH_FAILED, NULL, "QEMU did not answer %s in time", what);
    else if (rv == -ECONNRESET)
        ph_error_set(error, PH_FAILED, NULL, "QEMU ended before it answered %s", what);
    else if (rv == -EMSGSIZE)
        ph_error_set(error, PH_FAILED, NULL, "QEMU's answer to %s is longer than %d bytes", what,
            PH_QMP_LINE_BYTES_MAX);
    else if (rv != -EPROTO)
        ph_error_set(error, PH_FAILED, NULL, "%s: %s", what, strerror(-rv));
    return rv == -EMSGSIZE ? -EPROTO : rv;
}

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now_ms = ph_clock_boot_ms();
        struct pollfd polls = {.fd = fd, .events = events};
        if (now_ms >= deadline_ms)
            return -ETIMEDOUT;
        uint64_t left_ms = deadline_ms - now_ms;
        int ready = poll(&polls, 1, left_ms > INT_MAX ? INT_MAX : (int)left_ms);
        if (ready > 0)
            return 0;
        if (ready < 0 && errno != EINTR)
            return -errno;
    }
}

static int send_all(struct ph_qmp *qmp, const char *text, uint64_t deadline_ms)
{
    size_t left = strlen(text);
    while (left > 0) {
        ssize_t sent = send(qmp->fd, text, left, MSG_NOSIGNAL);
        if (sent > 0) {
            text += sent;
            left -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            int rv = wait_for(qmp->fd, POLLOUT, deadline_ms);
            if (rv != 0)
                return rv;
        } else {
            return -ECONNRESET;
        }
    }
    return 0;
}

/* The next message, whatever it is. A flood of them ends at the deadline too. */
static int next(struct ph_qmp *qmp, uint64_t deadline_ms, struct ph_qmp_message *message,
    struct ph_error *error)
{
    char bytes[4096];
    for (;;) {
        if (ph_clock_boot_ms() >= deadline_ms)
            return -ETIMEDOUT;
        int rv = ph_qmp_next(&qmp->lines, message, error);
        if (rv != -EAGAIN)
            return rv;
        ssize_t got = recv(qmp->fd, bytes, sizeof bytes, 0);
        if (got > 0)
            rv = ph_qmp_feed(&qmp->lines, bytes, (size_t)got);
        else if (got < 0 && (errno == EAGAIN || errno == EINTR))
            rv = wait_for(qmp->fd, POLLIN, deadline_ms);
        else
            rv = -ECONNRESET;
        if (rv != 0)
            return rv;
    }
}

static int await_greeting(struct ph_qmp *qmp, uint64_t deadline_ms, struct ph_error *error)
{
    struct ph_qmp_message message;
    int rv = next(qmp, deadline_ms, &message, error);
    if (rv != 0)
        return rv;
    bool greeting = message.kind == PH_QMP_GREETING;
    ph_qmp_message_fini(&message);
    if (greeting)
        return 0;
    ph_error_set(error, PH_FAILED, NULL, "QEMU's monitor did not greet");
    return -EPROTO;
}

int ph_qmp_open_guest(struct ph_qmp *qmp, const char *directory, const char *name,
    uint32_t timeout_ms, struct ph_error *error)
{
    (void)timeout_ms;
    *qmp = (struct ph_qmp){.fd = ph_socket_connect(directory, name)};
    if (qmp->fd >= 0)
        return 0;
    int rv = qmp->fd;
    ph_error_set(error, PH_FAILED, NULL, "%s/%s: %s", directory, name, strerror(-rv));
    return rv;
}

int ph_qmp_open(struct ph_qmp *qmp, const char *directory, const char *name, uint32_t timeout_ms,
    struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + timeout_ms;
    int rv = ph_qmp_open_guest(qmp, directory, name, timeout_ms, error);
    if (rv != 0)
        return rv;
    rv = await_greeting(qmp, deadline_ms, error);
    if (rv != 0) {
        rv = said(error, rv, "the connection");
    } else {
        uint64_t now_ms = ph_clock_boot_ms();
        rv = ph_qmp_execute(qmp, "qmp_capabilities", NULL,
            deadline_ms > now_ms ? (uint32_t)(deadline_ms - now_ms) : 0, NULL, error);
    }
    if (rv != 0)
        ph_qmp_close(qmp);
    return rv;
}

void ph_qmp_close(struct ph_qmp *qmp)
{
    if (qmp->fd >= 0)
        close(qmp->fd);
    ph_qmp_lines_fini(&qmp->lines);
    qmp->fd = -1;
}

int ph_qmp_execute(struct ph_qmp *qmp, const char *command, json_t *arguments, uint32_t timeout_ms,
    json_t **value_out, struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + timeout_ms;
    struct ph_qmp_message message;
    int64_t id = ++qmp->last_id;
    char *text = ph_qmp_command(command, arguments, id);
    int rv = text == NULL ? -ENOMEM : send_all(qmp, text, deadline_ms);
    free(text);
    for (;;) {
        if (rv == 0)
            rv = next(qmp, deadline_ms, &message, error);
        if (rv != 0)
            return said(error, rv, command);
        /* An error without an id answers what was not understood at all, and nothing else is asked. */
        bool mine = message.id == id || (message.kind == PH_QMP_ERROR && message.id < 0);
        if (mine && message.kind == PH_QMP_RETURN) {
            if (value_out != NULL)
                *value_out = json_incref(message.value);
            ph_qmp_message_fini(&message);
            return 0;
        }
        if (mine && message.kind == PH_QMP_ERROR) {
            ph_error_set(error, PH_FAILED, message.word, "%s: %s", command, message.text);
            ph_qmp_message_fini(&message);
            return -EIO;
        }
        ph_qmp_message_fini(&message);
    }
}

int ph_qmp_await(struct ph_qmp *qmp, const char *event, uint32_t timeout_ms, json_t **data_out,
    struct ph_error *error)
{
    uint64_t deadline_ms = ph_clock_boot_ms() + timeout_ms;
    for (;;) {
        struct ph_qmp_message message;
        int rv = next(qmp, deadline_ms, &message, error);
        if (rv != 0)
            return said(error, rv, event);
        bool it = message.kind == PH_QMP_EVENT && strcmp(message.word, event) == 0;
        if (it && data_out != NULL)
            *data_out = json_incref(message.value);
        ph_qmp_message_fini(&message);
        if (it)
            return 0;
    }
}
