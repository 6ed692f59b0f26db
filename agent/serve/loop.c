/* The loop: waits for the manager, the guard, threads, workloads, signals and time; tells the core. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "proto/message.h"

#define TRIM_MS 5000
#define MESSAGES_AT_ONCE 256

enum { ITEM_WIRE, ITEM_MAILBOX, ITEM_SIGNAL, ITEM_GUARD, ITEMS_FIXED };

static int signal_fds[2] = {-1, -1};

static void on_signal(int number)
{
    int saved = errno;
    unsigned char byte = (unsigned char)number;
    ssize_t written = write(signal_fds[1], &byte, 1);
    (void)written;
    errno = saved;
}

static int catch_signals(void)
{
    static const int numbers[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR1};
    if (pipe(signal_fds) != 0)
        return -errno;
    for (int i = 0; i < 2; i++) {
        fcntl(signal_fds[i], F_SETFD, FD_CLOEXEC);
        fcntl(signal_fds[i], F_SETFL, O_NONBLOCK);
    }
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
    action.sa_handler = SIG_IGN;
    sigaction(SIGPIPE, &action, NULL);
    return 0;
}

static void handle_signals(struct ph_shell *shell)
{
    unsigned char number;
    while (read(signal_fds[0], &number, 1) == 1) {
        if (number == SIGTERM || number == SIGINT) {
            ph_shell_end(shell, PH_OK, "asked to end; workloads go on until the lease ends");
        } else if (number == SIGUSR1) {
            ph_log(PH_LOG_NOTICE, "leaving", "node=%s", shell->identity.name);
            shell->leaving = true;
            struct ph_agent_event event = {.kind = PH_AE_LEAVE};
            ph_shell_step(shell, &event);
        } else {
            ph_log(PH_LOG_NOTICE, "restart_to_reread",
                "node=%s hint=\"restart the agent within the lease; its workloads go on\"",
                shell->identity.name);
        }
    }
}

static void handle_messages(struct ph_shell *shell)
{
    struct ph_wire_message frame;
    for (int i = 0; i < MESSAGES_AT_ONCE && ph_wire_client_receive(shell->wire, &frame) == 0; i++) {
        struct ph_message message = {0};
        struct ph_error error = {0};
        if (ph_message_decode(frame.text, frame.bytes, &message, &error) != 0) {
            ph_log(PH_LOG_WARNING, "message_refused", "field=%s reason=%s", error.field,
                error.message);
            continue;
        }
        ph_log(PH_LOG_DEBUG, "message", "type=%s body=%.*s", ph_messages[message.type].type,
            (int)(frame.bytes < 400 ? frame.bytes : 400), frame.text);
        struct ph_agent_event event = {
            .kind = PH_AE_MESSAGE, .type = message.type, .body = message.body};
        ph_shell_step(shell, &event);
        ph_message_fini(&message);
    }
}

/* What another agent said, received by the server's thread. */
static void handle_peer(struct ph_shell *shell, struct ph_note *note)
{
    struct ph_message message = {0};
    struct ph_error error = {0};
    if (ph_message_decode(note->text, note->bytes, &message, &error) != 0) {
        ph_log(PH_LOG_WARNING, "message_refused", "node=%s field=%s reason=%s", note->node,
            error.field, error.message);
        return;
    }
    struct ph_agent_event event = {.kind = PH_AE_PEER_MESSAGE,
        .sender = note->node,
        .type = message.type,
        .body = message.body};
    ph_shell_step(shell, &event);
    ph_message_fini(&message);
}

static void handle_notes(struct ph_shell *shell)
{
    struct ph_note *note = ph_mailbox_take(&shell->mailbox);
    while (note) {
        struct ph_note *next = note->next;
        if (note->kind == PH_NOTE_COMMITTED) {
            ph_shell_committed(shell, note);
        } else if (note->kind == PH_NOTE_PROBED) {
            ph_facts_look(shell);
        } else if (note->kind == PH_NOTE_TASK_DONE) {
            ph_tasks_done(shell, note->running);
        } else if (note->kind == PH_NOTE_FENCED) {
            ph_fence_done(shell, note->fenced);
        } else if (note->kind == PH_NOTE_DIVERGED) {
            ph_diverged_done(shell);
        } else if (note->kind == PH_NOTE_VM_SEEN) {
            ph_vms_seen(shell, note);
        } else if (note->kind == PH_NOTE_PEER) {
            atomic_fetch_sub(&shell->peer_notes, 1);
            handle_peer(shell, note);
            free(note->text);
        } else {
            struct ph_task_result result = {.data_epoch = note->epoch, .sequence = note->sequence};
            struct ph_agent_event event = {
                .kind = PH_AE_COPY_RECEIVED, .pool = note->pool, .result = &result};
            ph_shell_step(shell, &event);
        }
        free(note);
        note = next;
    }
}

static void handle_guard(struct ph_shell *shell)
{
    struct ph_guard_report report;
    while (ph_guard_read(shell->guard, &report) == 0 && report.news != PH_GUARD_NOTHING) {
        struct ph_agent_event event = {.kind = PH_AE_GUARD_ENDED, .generation = report.generation};
        if (report.news == PH_GUARD_GONE) {
            ph_log(PH_LOG_ERROR, "guard_lost", "node=%s", shell->identity.name);
            event.kind = PH_AE_GUARD_LOST;
            ph_shell_step(shell, &event);
            ph_shell_connect_guard(shell);
            return;
        }
        if (report.news == PH_GUARD_TOLD) {
            ph_facts_look(shell);
            continue;
        }
        if (report.news == PH_GUARD_STUCK)
            event.pool = report.pool;
        ph_log(PH_LOG_WARNING, report.news == PH_GUARD_STUCK ? "guard_stuck" : "lease_ended",
            "node=%s generation=%lld pool=%s", shell->identity.name, (long long)report.generation,
            report.news == PH_GUARD_STUCK ? report.pool : "");
        ph_shell_step(shell, &event);
    }
}

/* The guard's fd, while there is a guard, and workloads' pid fds behind the fixed items; returns how
 * many items there are. */
static size_t fill_items(struct ph_shell *shell, zmq_pollitem_t *items, struct ph_vm_here **watched,
    size_t *first_vm_out)
{
    items[ITEM_WIRE] = (zmq_pollitem_t){ph_wire_client_socket(shell->wire), 0, ZMQ_POLLIN, 0};
    items[ITEM_MAILBOX] = (zmq_pollitem_t){NULL, shell->mailbox.wake_fds[0], ZMQ_POLLIN, 0};
    items[ITEM_SIGNAL] = (zmq_pollitem_t){NULL, signal_fds[0], ZMQ_POLLIN, 0};
    size_t count = ITEM_GUARD;
    if (shell->guard_retry_ms == 0)
        items[count++] = (zmq_pollitem_t){NULL, ph_guard_fd(shell->guard), ZMQ_POLLIN, 0};
    *first_vm_out = count;
    for (size_t i = 0; i < shell->vms.count; i++) {
        struct ph_vm_here *here = shell->vms.items[i].value;
        if (here->stopping || here->process.pid_fd < 0)
            continue;
        watched[count] = here;
        items[count++] = (zmq_pollitem_t){NULL, here->process.pid_fd, ZMQ_POLLIN, 0};
    }
    return count;
}

static long timeout_ms(const struct ph_shell *shell)
{
    uint64_t now_ms = ph_clock_boot_ms();
    uint64_t next_ms = ph_agent_next_deadline_ms(shell->core);
    uint64_t tasks_ms = ph_tasks_next_ms(shell);
    uint64_t peers_ms = ph_peers_next_ms(shell);
    if (tasks_ms < next_ms)
        next_ms = tasks_ms;
    if (peers_ms < next_ms)
        next_ms = peers_ms;
    if (shell->trim_at_ms < next_ms)
        next_ms = shell->trim_at_ms;
    if (shell->guard_retry_ms && shell->guard_retry_ms < next_ms)
        next_ms = shell->guard_retry_ms;
    return next_ms <= now_ms ? 0 : next_ms - now_ms > 60000 ? 60000 : (long)(next_ms - now_ms);
}

static void trim_logs(struct ph_shell *shell)
{
    char name[2 * PH_NAME_BYTES_MAX + 16], path[PATH_MAX];
    for (size_t i = 0; i < shell->vms.count; i++) {
        const struct ph_vm_here *here = shell->vms.items[i].value;
        ph_text_format(name, sizeof(name), "log/%s/%s.log", here->pool, here->vm);
        if (ph_path_join(path, sizeof(path), shell->directory, name) == 0)
            ph_work_log_trim(path, PH_WORKLOAD_LOG_BYTES_MAX);
    }
}

static void pass_time(struct ph_shell *shell)
{
    uint64_t now_ms = ph_clock_boot_ms();
    ph_tasks_check(shell, now_ms);
    ph_peers_check(shell, now_ms);
    if (ph_agent_next_deadline_ms(shell->core) <= now_ms) {
        struct ph_agent_event event = {.kind = PH_AE_TICK};
        ph_shell_step(shell, &event);
    }
    if (shell->trim_at_ms <= now_ms) {
        shell->trim_at_ms = now_ms + TRIM_MS;
        trim_logs(shell);
        ph_diverged_tell(shell);
        if (shell->guard_retry_ms == 0)
            ph_facts_tell_guard(shell, shell->config.watchdog != NULL);
    }
    if (shell->guard_retry_ms && shell->guard_retry_ms <= now_ms)
        ph_shell_connect_guard(shell);
}

static int turn(
    struct ph_shell *shell, zmq_pollitem_t **items, struct ph_vm_here ***watched, size_t *room)
{
    if (*room < ITEMS_FIXED + shell->vms.count) {
        *room = 2 * (ITEMS_FIXED + shell->vms.count);
        *items = realloc(*items, *room * sizeof(**items));
        *watched = realloc(*watched, *room * sizeof(**watched));
    }
    ph_assert(*items && *watched);
    size_t first_vm, count = fill_items(shell, *items, *watched, &first_vm);
    int rv = zmq_poll(*items, (int)count, timeout_ms(shell));
    if (rv < 0)
        return errno == EINTR ? 0 : -errno;
    if ((*items)[ITEM_SIGNAL].revents)
        handle_signals(shell);
    if ((*items)[ITEM_WIRE].revents)
        handle_messages(shell);
    /* Ended workloads before the notes, which may change the table of workloads. */
    for (size_t i = first_vm; i < count; i++)
        if ((*items)[i].revents && !(*watched)[i]->stopping)
            ph_vms_ended(shell, (*watched)[i]);
    if (first_vm == ITEMS_FIXED && (*items)[ITEM_GUARD].revents)
        handle_guard(shell);
    if ((*items)[ITEM_MAILBOX].revents)
        handle_notes(shell);
    pass_time(shell);
    return 0;
}

int ph_shell_loop(struct ph_shell *shell, struct ph_error *error)
{
    zmq_pollitem_t *items = NULL;
    struct ph_vm_here **watched = NULL;
    size_t room = 0;
    int rv = catch_signals();
    if (rv == 0)
        rv = ph_shell_load(shell, error);
    while (rv == 0 && !shell->ending)
        rv = turn(shell, &items, &watched, &room);
    free(items);
    free(watched);
    if (rv != 0)
        return error->code ? rv : ph_error_set(error, PH_FAILED, NULL, "%s", strerror(-rv));
    ph_log(PH_LOG_NOTICE, "ended", "node=%s reason=%s", shell->identity.name, shell->ending_reason);
    return shell->exit_code == PH_OK ? 0
                                     : ph_error_set(error, (enum ph_code)shell->exit_code, NULL,
                                           "%s", shell->ending_reason);
}
