#include "agent/guard/guard.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include "agent/guard/protocol.h"
#include "agent/guard/system.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/text.h"

#define START_TIMEOUT_MS 10000
#define ANSWER_TIMEOUT_MS 5000 /* the guard answers at once; longer means that it is hanging */
#define RETRY_MS 10
#define STATUS_HELD 3 /* exit status of a guard that found another */

struct ph_guard {
    char run_directory[PATH_MAX];
    char *program, *watchdog;
    uint64_t stop_ms;
    bool stop_told; /* stop_ms is in force, not only a beginning */
    int watchdog_s;
    uint64_t watchdog_ms;
    char problem[256];
    struct ph_lease_page *page;
    int news_fd;          /* keeps its number for good */
    pthread_mutex_t lock; /* guards request_fd and next_number */
    int request_fd;       /* short requests, one at a time; a kill has a connection of its own */
    uint64_t next_number;
};

static int message_send(int fd, const struct ph_guard_message *message)
{
    ssize_t sent;
    do
        sent = send(fd, message, sizeof *message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    if (sent == (ssize_t)sizeof *message)
        return 0;
    return sent < 0 && errno == EAGAIN ? -ETIMEDOUT : -ENOTCONN;
}

static int message_receive(int fd, struct ph_guard_message *message)
{
    ssize_t got;
    do
        got = recv(fd, message, sizeof *message, 0);
    while (got < 0 && errno == EINTR);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return -ETIMEDOUT;
    if (got != (ssize_t)sizeof *message)
        return -ENOTCONN;
    return message->version == PH_GUARD_VERSION ? 0 : -EPROTO;
}

/* One request, one answer. Answers to earlier requests that were given up are skipped. */
static int ask_on(int fd, const struct ph_guard_message *message, struct ph_guard_message *answer)
{
    int rv = message_send(fd, message);
    while (rv == 0) {
        rv = message_receive(fd, answer);
        if (rv == 0 && answer->word == PH_GUARD_ANSWER && answer->number == message->number)
            return answer->status;
    }
    return rv;
}

static int connection_open(const char *run_directory, uint32_t timeout_ms, int *fd_out)
{
    struct sockaddr_un address;
    struct timeval limit = {
        .tv_sec = (time_t)(timeout_ms / 1000), .tv_usec = (suseconds_t)(timeout_ms % 1000) * 1000};
    int directory_fd;
    int rv = ph_guard_address(run_directory, "guard.sock", &address, &directory_fd);
    if (rv != 0)
        return rv;
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        rv = -errno;
    } else {
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
        if (connect(fd, (struct sockaddr *)&address, sizeof address) != 0)
            rv = -errno;
        else
            rv = ph_guard_check_peer(fd);
    }
    if (directory_fd >= 0)
        close(directory_fd);
    if (rv == 0)
        *fd_out = fd;
    else if (fd >= 0)
        close(fd);
    return rv;
}

static void hello_make(const struct ph_guard *guard, bool news, struct ph_guard_message *message)
{
    *message = (struct ph_guard_message){.version = PH_GUARD_VERSION,
        .word = PH_GUARD_HELLO,
        .value_ms = guard->stop_told ? guard->stop_ms : 0,
        .status = guard->watchdog_s,
        .group = news};
    ph_text_format(message->text, sizeof message->text, "%s", guard->watchdog);
}

static void told_take(struct ph_guard *guard, struct ph_guard_message *answer)
{
    answer->text[sizeof answer->text - 1] = '\0';
    guard->watchdog_ms = answer->value_ms;
    ph_text_format(guard->problem, sizeof guard->problem, "%s", answer->text);
}

static int hello(struct ph_guard *guard, int fd, bool news)
{
    struct ph_guard_message message, answer;
    hello_make(guard, news, &message);
    int rv = ask_on(fd, &message, &answer);
    if (rv == 0)
        told_take(guard, &answer);
    return rv;
}

static int connect_both(struct ph_guard *guard, int *news_fd_out, int *request_fd_out)
{
    int news_fd, request_fd;
    int rv = connection_open(guard->run_directory, ANSWER_TIMEOUT_MS, &news_fd);
    if (rv != 0)
        return rv;
    rv = connection_open(guard->run_directory, ANSWER_TIMEOUT_MS, &request_fd);
    if (rv == 0) {
        rv = hello(guard, request_fd, false);
        if (rv == 0)
            rv = hello(guard, news_fd, true);
        if (rv == 0) {
            *news_fd_out = news_fd;
            *request_fd_out = request_fd;
            return 0;
        }
        close(request_fd);
    }
    close(news_fd);
    return rv;
}

static int program_start(struct ph_guard *guard, struct ph_error *error)
{
    char directory[PATH_MAX], stop_ms[32];
    struct ph_child_result result;
    const char *argv[] = {guard->program, "--dir", directory, "--stop-ms", stop_ms, NULL};
    ph_text_format(directory, sizeof directory, "%s", guard->run_directory);
    *strrchr(directory, '/') = '\0'; /* RUN is DIR/run */
    ph_text_format(stop_ms, sizeof stop_ms, "%llu", (unsigned long long)guard->stop_ms);
    int rv = ph_child_run(argv, NULL, NULL, START_TIMEOUT_MS, &result);
    if (rv != 0)
        return ph_error_set(error, rv == -ENOENT ? PH_NOT_FOUND : PH_FAILED, NULL,
            "the guard %s cannot be started: %s", guard->program, strerror(-rv));
    if (result.exit_status == 0 || result.exit_status == STATUS_HELD)
        return 0;
    result.output[strcspn(result.output, "\n")] = '\0';
    return ph_error_set(error, PH_FAILED, NULL, "the guard did not start%s: %s",
        result.timed_out ? " in time" : "",
        result.output[0] != '\0' ? result.output : "it said nothing");
}

/* Connects, starting a guard when none is there, until it works or START_TIMEOUT_MS is over: in between
 * a guard may be on its way out or in. */
static int connect_or_start(
    struct ph_guard *guard, int *news_fd_out, int *request_fd_out, struct ph_error *error)
{
    const struct timespec pause = {.tv_nsec = RETRY_MS * 1000000L};
    uint64_t deadline_ms = ph_clock_boot_ms() + START_TIMEOUT_MS;
    int rv;
    for (bool first = true;; first = false) {
        rv = connect_both(guard, news_fd_out, request_fd_out);
        if (rv == 0)
            return 0;
        if (rv != -ENOENT && rv != -ECONNREFUSED && rv != -ENOTCONN && rv != -EPROTO)
            break;
        if (ph_clock_boot_ms() >= deadline_ms)
            break;
        if (!first)
            nanosleep(&pause, NULL);
        if (rv == -ENOENT || rv == -ECONNREFUSED) {
            int started = program_start(guard, error);
            if (started != 0)
                return started;
        }
    }
    return ph_error_set(error, PH_FAILED, NULL, "%s/guard.sock: %s", guard->run_directory,
        rv == -EPROTO ? "a guard of another version holds it; it ends with the lease"
                      : strerror(-rv));
}

static int page_open(struct ph_guard *guard, struct ph_error *error)
{
    char path[PATH_MAX];
    int rv = ph_path_join(path, sizeof path, guard->run_directory, "state/lease");
    if (rv == 0)
        rv = guard->page == NULL ? ph_lease_page_open(path, &guard->page)
                                 : ph_lease_page_replace(guard->page, path);
    if (rv != 0)
        return ph_error_set(error, PH_FAILED, NULL, "%s: %s", path, strerror(-rv));
    return 0;
}

int ph_guard_connect_with(
    const struct ph_guard_settings *settings, struct ph_guard **guard_out, struct ph_error *error)
{
    char directory[PATH_MAX];
    int rv;
    struct ph_guard *guard = calloc(1, sizeof *guard);
    if (guard == NULL)
        return ph_error_set(error, PH_FAILED, NULL, "out of memory");
    guard->news_fd = guard->request_fd = -1;
    guard->stop_ms = settings->stop_ms;
    guard->watchdog_s = settings->watchdog_s;
    guard->program = strdup(settings->program);
    guard->watchdog = strdup(settings->watchdog_device != NULL ? settings->watchdog_device : "");
    pthread_mutex_init(&guard->lock, NULL);
    if (guard->program == NULL || guard->watchdog == NULL)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    else if (realpath(settings->directory, directory) == NULL)
        rv = ph_error_set(error, PH_FAILED, NULL, "%s: %s", settings->directory, strerror(errno));
    else if (ph_path_join(guard->run_directory, sizeof guard->run_directory, directory, "run") != 0)
        rv = ph_error_set(error, PH_BAD_INPUT, NULL, "%s is too long a path", directory);
    else if ((rv = connect_or_start(guard, &guard->news_fd, &guard->request_fd, error)) == 0)
        rv = page_open(guard, error);
    if (rv != 0)
        ph_guard_disconnect(&guard);
    else
        *guard_out = guard;
    return rv;
}

int ph_guard_connect(const char *directory, const char *program, uint64_t stop_ms,
    struct ph_guard **guard_out, struct ph_error *error)
{
    const struct ph_guard_settings settings = {directory, program, stop_ms, "", 0};
    return ph_guard_connect_with(&settings, guard_out, error);
}

int ph_guard_reconnect(struct ph_guard *guard, struct ph_error *error)
{
    int news_fd = -1, request_fd = -1;
    int rv = connect_or_start(guard, &news_fd, &request_fd, error);
    if (rv != 0)
        return rv;
    rv = page_open(guard, error);
    if (rv == 0 &&
        (dup2(news_fd, guard->news_fd) < 0 || fcntl(guard->news_fd, F_SETFD, FD_CLOEXEC) != 0))
        rv = ph_error_set(error, PH_FAILED, NULL, "the guard's socket: %s", strerror(errno));
    close(news_fd);
    if (rv != 0) {
        close(request_fd);
        return rv;
    }
    pthread_mutex_lock(&guard->lock);
    close(guard->request_fd);
    guard->request_fd = request_fd;
    pthread_mutex_unlock(&guard->lock);
    return 0;
}

void ph_guard_disconnect(struct ph_guard **guard)
{
    struct ph_guard *self = *guard;
    *guard = NULL;
    if (self == NULL)
        return;
    if (self->news_fd >= 0)
        close(self->news_fd);
    if (self->request_fd >= 0)
        close(self->request_fd);
    ph_lease_page_close(&self->page);
    pthread_mutex_destroy(&self->lock);
    free(self->program);
    free(self->watchdog);
    free(self);
}

struct ph_lease_page *ph_guard_page(struct ph_guard *guard)
{
    return guard->page;
}

int ph_guard_fd(const struct ph_guard *guard)
{
    return guard->news_fd;
}

void ph_guard_tell(struct ph_guard *guard, uint64_t stop_ms)
{
    struct ph_guard_message message;
    if (stop_ms > 0) {
        guard->stop_ms = stop_ms;
        guard->stop_told = true;
    }
    hello_make(guard, true, &message);
    /* One that does not take it is hanging or gone, which other signs tell. */
    (void)send(guard->news_fd, &message, sizeof message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

uint64_t ph_guard_watchdog_ms(const struct ph_guard *guard)
{
    return guard->watchdog_ms;
}

const char *ph_guard_problem(const struct ph_guard *guard)
{
    return guard->problem;
}

int ph_guard_read(struct ph_guard *guard, struct ph_guard_report *report_out)
{
    struct ph_guard_message message;
    *report_out = (struct ph_guard_report){.news = PH_GUARD_NOTHING};
    ssize_t got = recv(guard->news_fd, &message, sizeof message, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
        return 0;
    if (got != (ssize_t)sizeof message || message.version != PH_GUARD_VERSION) {
        report_out->news = PH_GUARD_GONE;
        return 0;
    }
    report_out->generation = message.generation;
    if (message.word == PH_GUARD_NEWS_ENDED) {
        report_out->news = PH_GUARD_ENDED;
    } else if (message.word == PH_GUARD_NEWS_STUCK) {
        report_out->news = PH_GUARD_STUCK;
    } else if (message.word == PH_GUARD_ANSWER && message.status == 0) {
        report_out->news = PH_GUARD_TOLD;
        told_take(guard, &message);
    }
    message.pool[sizeof message.pool - 1] = '\0';
    ph_text_format(report_out->pool, sizeof report_out->pool, "%s", message.pool);
    return 0;
}

static int ask(struct ph_guard *guard, enum ph_guard_word word, const char *pool, pid_t group,
    const char *mark, const char *text)
{
    struct ph_guard_message answer,
        message = {.version = PH_GUARD_VERSION, .word = word, .group = (int32_t)group};
    if (strlen(pool) >= sizeof message.pool || strlen(mark) >= sizeof message.mark ||
        strlen(text) >= sizeof message.text)
        return -ENAMETOOLONG;
    ph_text_format(message.pool, sizeof message.pool, "%s", pool);
    ph_text_format(message.mark, sizeof message.mark, "%s", mark);
    ph_text_format(message.text, sizeof message.text, "%s", text);
    pthread_mutex_lock(&guard->lock);
    message.number = ++guard->next_number;
    int rv = ask_on(guard->request_fd, &message, &answer);
    pthread_mutex_unlock(&guard->lock);
    return rv;
}

int ph_guard_add_pool(
    struct ph_guard *guard, const char *pool, const char *cgroup, const char *marker)
{
    return ask(guard, PH_GUARD_ADD_POOL, pool, 0, marker, cgroup);
}

int ph_guard_add_group(struct ph_guard *guard, const char *pool, pid_t group)
{
    return ask(guard, PH_GUARD_ADD_GROUP, pool, group, "", "");
}

int ph_guard_add_mount(struct ph_guard *guard, const char *pool, const char *path)
{
    return ask(guard, PH_GUARD_ADD_MOUNT, pool, 0, "", path);
}

int ph_guard_add_volume(struct ph_guard *guard, const char *pool, const char *path)
{
    return ask(guard, PH_GUARD_ADD_VOLUME, pool, 0, "", path);
}

int ph_guard_add_release(struct ph_guard *guard, const char *pool, const char *file)
{
    return ask(guard, PH_GUARD_ADD_RELEASE, pool, 0, "", file);
}

int ph_guard_remove_pool(struct ph_guard *guard, const char *pool)
{
    return ask(guard, PH_GUARD_REMOVE_POOL, pool, 0, "", "");
}

int ph_guard_stop(struct ph_guard *guard)
{
    return ask(guard, PH_GUARD_STOP, "", 0, "", "");
}

int ph_guard_kill_pool(struct ph_guard *guard, const char *pool, uint32_t timeout_ms)
{
    struct ph_guard_message answer, message = {.version = PH_GUARD_VERSION,
                                        .word = PH_GUARD_KILL_POOL,
                                        .number = 1,
                                        .value_ms = timeout_ms};
    int fd;
    if (strlen(pool) >= sizeof message.pool)
        return -ENAMETOOLONG;
    ph_text_format(message.pool, sizeof message.pool, "%s", pool);
    int rv = connection_open(guard->run_directory, timeout_ms + ANSWER_TIMEOUT_MS, &fd);
    if (rv != 0)
        return rv == -ENOENT || rv == -ECONNREFUSED ? -ENOTCONN : rv;
    rv = ask_on(fd, &message, &answer);
    close(fd);
    return rv;
}
