#include "agent/work/watch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "agent/work/qemu_machine.h"
#include "agent/work/qmp.h"
#include "agent/work/qemu_system.h"
#include "agent/work/watch_parts.h"
#include "base/clock.h"
#include "base/file.h"

#define ROUND_MS 5000
#define ANSWER_MS 5000
#define CONNECT_MS_MIN 20 /* QEMU may be about to make its socket */
#define CONNECT_MS_MAX 2000
#define AGENT_MS 2000
#define AGENT_ROUND_MS 10000
#define READS_AT_ONCE 64

struct ph_watcher {
    pthread_t thread;
    pthread_mutex_t lock; /* of `added`, `ending` and each `removed`; the rest is the thread's */
    struct ph_watched *first, *added;
    int wake_fds[2];
    bool ending;
    ph_watcher_seen *seen;
    void *context;
};

static void line_close(struct ph_watch_line *line)
{
    if (line->fd >= 0)
        close(line->fd);
    line->fd = -1;
    ph_qmp_lines_fini(&line->lines);
}

static void watched_free(struct ph_watched *watched)
{
    line_close(&watched->monitor);
    line_close(&watched->agent);
    ph_record_fini(&ph_record_vm_report, &watched->found);
    ph_record_fini(&ph_record_vm_report, &watched->told);
    free(watched->run_directory);
    free(watched);
}

static void disconnect(struct ph_watched *watched, uint64_t now_ms)
{
    line_close(&watched->monitor);
    line_close(&watched->agent);
    watched->state = PH_WATCH_CLOSED;
    watched->due_ms = now_ms + CONNECT_MS_MAX;
}

static bool say(
    const struct ph_watch_line *line, const char *command, json_t *arguments, int64_t id)
{
    char *text = ph_qmp_command(command, arguments, id);
    size_t bytes = text == NULL ? 0 : strlen(text);
    /* Short, and nothing else is under way: it fits into the socket, or QEMU does not read. */
    bool sent = text != NULL && send(line->fd, text, bytes, MSG_NOSIGNAL) == (ssize_t)bytes;
    free(text);
    return sent;
}

static int socket_of(const struct ph_watched *watched, const char *what)
{
    char name[PH_NAME_BYTES_MAX + 16];
    ph_text_format(name, sizeof name, "%s%s", watched->vm, what);
    return ph_socket_connect(watched->run_directory, name);
}

static void connect_monitor(struct ph_watched *watched, uint64_t now_ms)
{
    watched->monitor.fd = socket_of(watched, PH_QEMU_WATCH_SOCKET);
    if (watched->monitor.fd < 0) {
        watched->monitor.fd = -1;
        watched->due_ms = now_ms + CONNECT_MS_MIN;
        return;
    }
    watched->state = PH_WATCH_GREETING;
    watched->due_ms = now_ms + ANSWER_MS;
}

/* Why it is emulated, if it is: only the driver knows, who noted it at the start. */
static void read_accelerator(struct ph_watched *watched)
{
    char name[PH_NAME_BYTES_MAX + 16], path[PATH_MAX], shown[201], *text = NULL;
    ph_text_format(name, sizeof name, "%s" PH_QEMU_ACCELERATOR_FILE, watched->vm);
    if (ph_path_join(path, sizeof path, watched->run_directory, name) == 0 &&
        ph_file_read(path, 256, &text, NULL) == 0) {
        ph_text_printable(shown, sizeof shown, text);
        (void)ph_set_text(&watched->found.accelerator, shown);
    }
    free(text);
}

static void ask(struct ph_watched *watched, size_t index, uint64_t now_ms)
{
    json_t *arguments = strcmp(ph_watch_questions[index], "query-named-block-nodes") == 0
                            ? json_pack("{s:b}", "flat", 1)
                            : NULL;
    watched->asked = (int64_t)index + 1;
    watched->state = PH_WATCH_ASKING;
    watched->due_ms = now_ms + ANSWER_MS;
    if (!say(&watched->monitor, ph_watch_questions[index], arguments, watched->asked))
        disconnect(watched, now_ms);
}

static void tell(struct ph_watcher *watcher, struct ph_watched *watched, uint64_t now_ms)
{
    watched->found.memory_used_mib = ph_work_memory_mib(watched->pid);
    if (!ph_watch_worth_telling(watched, now_ms) ||
        ph_record_copy(&ph_record_vm_report, &watched->told, &watched->found) != 0)
        return;
    watched->told_any = true;
    watched->told_ms = now_ms;
    watcher->seen(watcher->context, watched->pool, watched->vm, watched->pid, &watched->found);
}

/* ---- the guest's own agent, asked for its addresses and left alone again */

static void agent_ask(struct ph_watched *watched, uint64_t now_ms)
{
    watched->agent_due_ms = now_ms + AGENT_ROUND_MS;
    int fd = socket_of(watched, PH_QEMU_AGENT_SOCKET);
    if (fd < 0)
        return;
    watched->agent.fd = fd;
    watched->agent_due_ms = now_ms + AGENT_MS;
    /* What somebody before us asked may be answered first: ids above all others tell ours apart. */
    if (!say(&watched->agent, "guest-sync", json_pack("{s:I}", "id", (json_int_t)now_ms), 1) ||
        !say(&watched->agent, "guest-network-get-interfaces", NULL, 2))
        line_close(&watched->agent);
}

static void agent_done(struct ph_watched *watched, uint64_t now_ms)
{
    line_close(&watched->agent);
    watched->agent_due_ms = now_ms + AGENT_ROUND_MS;
}

static void round_done(struct ph_watcher *watcher, struct ph_watched *watched, uint64_t now_ms)
{
    watched->state = PH_WATCH_SILENT;
    watched->due_ms = now_ms + (watched->again ? 0 : ROUND_MS);
    watched->again = false;
    tell(watcher, watched, now_ms);
    if (watched->agent_there && watched->agent.fd < 0 && now_ms >= watched->agent_due_ms)
        agent_ask(watched, now_ms);
}

static void take(struct ph_watcher *watcher, struct ph_watched *watched,
    const struct ph_qmp_message *message, uint64_t now_ms)
{
    if (message->kind == PH_QMP_EVENT) {
        if (!ph_watch_event(watched, message->word, message->value))
            return;
        if (watched->state == PH_WATCH_SILENT)
            watched->due_ms = now_ms;
        else
            watched->again = true;
        if (strcmp(message->word, "VSERPORT_CHANGE") == 0)
            watched->agent_due_ms = now_ms;
    } else if (message->kind == PH_QMP_GREETING && watched->state == PH_WATCH_GREETING) {
        read_accelerator(watched);
        watched->asked = 0; /* the id of the negotiation */
        watched->due_ms = now_ms + ANSWER_MS;
        if (!say(&watched->monitor, "qmp_capabilities", NULL, 0))
            disconnect(watched, now_ms);
    } else if (message->id == watched->asked && message->kind != PH_QMP_GREETING) {
        size_t index = (size_t)watched->asked; /* of the next question */
        if (index > 0 && message->kind == PH_QMP_RETURN)
            (void)ph_watch_answer(watched, index - 1, message->value);
        if (ph_watch_questions[index] != NULL)
            ask(watched, index, now_ms);
        else
            round_done(watcher, watched, now_ms);
    }
}

/* Reads what is there: false when the conversation is over. */
static bool read_line(struct ph_watch_line *line)
{
    char bytes[8192];
    ssize_t got = recv(line->fd, bytes, sizeof bytes, 0);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR;
    return got > 0 && ph_qmp_feed(&line->lines, bytes, (size_t)got) == 0;
}

static void hear_monitor(struct ph_watcher *watcher, struct ph_watched *watched, uint64_t now_ms)
{
    struct ph_qmp_message message;
    struct ph_error error;
    int rv = 0;
    if (!read_line(&watched->monitor)) {
        disconnect(watched, now_ms);
        return;
    }
    for (int i = 0; i < READS_AT_ONCE && watched->monitor.fd >= 0; i++) {
        rv = ph_qmp_next(&watched->monitor.lines, &message, &error);
        if (rv != 0)
            break;
        take(watcher, watched, &message, now_ms);
        ph_qmp_message_fini(&message);
    }
    /* Nonsense, or a flood of events: not now. */
    if (rv != -EAGAIN && watched->monitor.fd >= 0)
        disconnect(watched, now_ms);
}

static void hear_agent(struct ph_watcher *watcher, struct ph_watched *watched, uint64_t now_ms)
{
    struct ph_qmp_message message;
    struct ph_error error;
    if (!read_line(&watched->agent)) {
        agent_done(watched, now_ms);
        return;
    }
    for (int i = 0; i < READS_AT_ONCE; i++) {
        int rv = ph_qmp_next(&watched->agent.lines, &message, &error);
        if (rv == -EAGAIN)
            return;
        bool interfaces = rv == 0 && message.id == 2;
        if (interfaces && message.kind == PH_QMP_RETURN)
            (void)ph_watch_interfaces(watched, message.value);
        if (rv == 0)
            ph_qmp_message_fini(&message);
        if (rv != 0 || interfaces)
            break;
    }
    agent_done(watched, now_ms);
    tell(watcher, watched, now_ms);
}

/* ---- the thread */

static void pass_time(struct ph_watched *watched, uint64_t now_ms)
{
    if (watched->agent.fd >= 0 && now_ms >= watched->agent_due_ms)
        agent_done(watched, now_ms);
    if (now_ms < watched->due_ms)
        return;
    switch (watched->state) {
    case PH_WATCH_CLOSED:
        connect_monitor(watched, now_ms);
        break;
    case PH_WATCH_SILENT:
        ask(watched, 0, now_ms);
        break;
    case PH_WATCH_GREETING:
    case PH_WATCH_ASKING:
        disconnect(watched, now_ms);
        break;
    }
}

/* Takes in what was added and lets go of what was removed; false: the end. */
static bool take_over(struct ph_watcher *watcher)
{
    char bytes[64];
    while (read(watcher->wake_fds[0], bytes, sizeof bytes) > 0)
        ;
    pthread_mutex_lock(&watcher->lock);
    while (watcher->added != NULL) {
        struct ph_watched *watched = watcher->added;
        watcher->added = watched->next;
        watched->next = watcher->first;
        watcher->first = watched;
    }
    for (struct ph_watched **link = &watcher->first; *link != NULL;) {
        struct ph_watched *watched = *link;
        if (!watched->removed) {
            link = &watched->next;
            continue;
        }
        *link = watched->next;
        watched_free(watched);
    }
    bool ending = watcher->ending;
    pthread_mutex_unlock(&watcher->lock);
    return !ending;
}

/* Every conversation's descriptor, in the order of the list: two places each. */
static int fill(struct ph_watcher *watcher, struct pollfd **polls, size_t *room, size_t *count_out,
    uint64_t now_ms)
{
    size_t count = 1;
    uint64_t wake_ms = now_ms + 60000;
    for (const struct ph_watched *watched = watcher->first; watched; watched = watched->next)
        count += 2;
    if (count > *room) {
        struct pollfd *grown = realloc(*polls, count * 2 * sizeof **polls);
        if (grown == NULL)
            return -ENOMEM;
        *polls = grown;
        *room = count * 2;
    }
    (*polls)[0] = (struct pollfd){.fd = watcher->wake_fds[0], .events = POLLIN};
    count = 1;
    for (const struct ph_watched *watched = watcher->first; watched; watched = watched->next) {
        (*polls)[count++] = (struct pollfd){.fd = watched->monitor.fd, .events = POLLIN};
        (*polls)[count++] = (struct pollfd){.fd = watched->agent.fd, .events = POLLIN};
        if (watched->due_ms < wake_ms)
            wake_ms = watched->due_ms;
        if (watched->agent.fd >= 0 && watched->agent_due_ms < wake_ms)
            wake_ms = watched->agent_due_ms;
    }
    *count_out = count;
    return wake_ms > now_ms ? (int)(wake_ms - now_ms) : 0;
}

static void *watch(void *argument)
{
    struct ph_watcher *watcher = argument;
    struct pollfd *polls = NULL;
    size_t room = 0, count;
    while (take_over(watcher)) {
        int wait_ms = fill(watcher, &polls, &room, &count, ph_clock_boot_ms());
        if (wait_ms < 0 || (poll(polls, (nfds_t)count, wait_ms) < 0 && errno != EINTR)) {
            (void)poll(NULL, 0, CONNECT_MS_MAX); /* no memory: later, perhaps */
            continue;
        }
        uint64_t now_ms = ph_clock_boot_ms();
        size_t at = 1;
        for (struct ph_watched *watched = watcher->first; watched; watched = watched->next) {
            short monitor = polls[at++].revents, agent = polls[at++].revents;
            if (monitor != 0 && watched->monitor.fd >= 0)
                hear_monitor(watcher, watched, now_ms);
            if (agent != 0 && watched->agent.fd >= 0)
                hear_agent(watcher, watched, now_ms);
            pass_time(watched, now_ms);
        }
    }
    while (watcher->first != NULL) {
        struct ph_watched *watched = watcher->first;
        watcher->first = watched->next;
        watched_free(watched);
    }
    free(polls);
    return NULL;
}

/* ---- from other threads */

static void wake(struct ph_watcher *watcher)
{
    ssize_t written = write(watcher->wake_fds[1], "", 1);
    (void)written; /* full: it is awake anyway */
}

int ph_watcher_start(ph_watcher_seen *seen, void *context, struct ph_watcher **watcher_out)
{
    struct ph_watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL)
        return -ENOMEM;
    watcher->seen = seen;
    watcher->context = context;
    if (pipe(watcher->wake_fds) != 0) {
        int rv = -errno;
        free(watcher);
        return rv;
    }
    for (int i = 0; i < 2; i++) {
        fcntl(watcher->wake_fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(watcher->wake_fds[i], F_SETFL, O_NONBLOCK);
    }
    pthread_mutex_init(&watcher->lock, NULL);
    int rv = pthread_create(&watcher->thread, NULL, watch, watcher);
    if (rv != 0) {
        close(watcher->wake_fds[0]);
        close(watcher->wake_fds[1]);
        pthread_mutex_destroy(&watcher->lock);
        free(watcher);
        return -rv;
    }
    *watcher_out = watcher;
    return 0;
}

void ph_watcher_stop(struct ph_watcher **watcher)
{
    struct ph_watcher *stopping = *watcher;
    if (stopping == NULL)
        return;
    pthread_mutex_lock(&stopping->lock);
    stopping->ending = true;
    pthread_mutex_unlock(&stopping->lock);
    wake(stopping);
    pthread_join(stopping->thread, NULL);
    close(stopping->wake_fds[0]);
    close(stopping->wake_fds[1]);
    pthread_mutex_destroy(&stopping->lock);
    free(stopping);
    *watcher = NULL;
}

/* Under the lock. */
static void mark_removed(struct ph_watcher *watcher, const char *pool, const char *vm)
{
    struct ph_watched *const lists[] = {watcher->first, watcher->added};
    for (size_t i = 0; i < 2; i++)
        for (struct ph_watched *watched = lists[i]; watched != NULL; watched = watched->next)
            if (strcmp(watched->pool, pool) == 0 && strcmp(watched->vm, vm) == 0)
                watched->removed = true;
}

int ph_watcher_add(struct ph_watcher *watcher, const char *pool, const char *vm,
    const char *run_directory, pid_t pid)
{
    struct ph_watched *watched = calloc(1, sizeof *watched);
    if (watched == NULL || (watched->run_directory = ph_text_new("%s", run_directory)) == NULL) {
        free(watched);
        return -ENOMEM;
    }
    ph_text_format(watched->pool, sizeof watched->pool, "%s", pool);
    ph_text_format(watched->vm, sizeof watched->vm, "%s", vm);
    ph_text_format(watched->found.name, sizeof watched->found.name, "%s", vm);
    watched->pid = pid;
    watched->monitor.fd = watched->agent.fd = -1;
    watched->found.state = PH_VM_RUNNING;
    pthread_mutex_lock(&watcher->lock);
    mark_removed(watcher, pool, vm);
    watched->next = watcher->added;
    watcher->added = watched;
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher);
    return 0;
}

void ph_watcher_remove(struct ph_watcher *watcher, const char *pool, const char *vm)
{
    pthread_mutex_lock(&watcher->lock);
    mark_removed(watcher, pool, vm);
    pthread_mutex_unlock(&watcher->lock);
    wake(watcher);
}
