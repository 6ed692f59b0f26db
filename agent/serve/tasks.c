/* Tasks on threads of their own: started for the core, watched, and told back to it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/serve/shell.h"
#include "base/assert.h"
#include "base/clock.h"
#include "base/log.h"

#define TASK_STACK_BYTES (512 * 1024)
#define PROGRESS_MS 1000

static const char *const kind_words[] = {[PH_TASK_ACTIVATE] = "activate",
    [PH_TASK_DEACTIVATE] = "deactivate",
    [PH_TASK_COPY] = "copy",
    [PH_TASK_DROP] = "drop",
    [PH_TASK_VM_START] = "vm_start",
    [PH_TASK_VM_STOP] = "vm_stop",
    [PH_TASK_KILL] = "kill",
    [PH_TASK_VM_OPERATE] = "vm_operate",
    [PH_TASK_VM_LOOK] = "vm_look"};

static void *run(void *argument)
{
    struct ph_running *running = argument;
    ph_step_run(running);
    struct ph_note *note = ph_note_new(PH_NOTE_TASK_DONE);
    note->running = running;
    ph_mailbox_put(&running->shell->mailbox, note);
    return NULL;
}

/* What the thread may know of the loop's books, copied before it starts. */
static void brief(struct ph_shell *shell, struct ph_running *running)
{
    const struct ph_task *task = running->task;
    const struct ph_place_here *place = ph_map_get(&shell->places, task->order.pool.name);
    if (place && task->kind != PH_TASK_ACTIVATE) {
        memcpy(running->path, place->path, sizeof(running->path));
        memcpy(running->cgroup, place->cgroup, sizeof(running->cgroup));
    }
    struct ph_vm_here *here =
        task->kind == PH_TASK_VM_STOP ? ph_vms_find(shell, task->order.pool.name, task->vm) : NULL;
    running->process.pid_fd = -1;
    if (here) {
        here->stopping = true;
        running->process = here->process;
        running->process.pid_fd = here->process.pid_fd >= 0 ? dup(here->process.pid_fd) : -1;
    }
}

int ph_tasks_start(struct ph_shell *shell, struct ph_task *task)
{
    struct ph_running *running = calloc(1, sizeof(*running));
    ph_assert(running);
    running->shell = shell;
    running->task = task;
    running->deadline_ms = task->timeout_ms ? ph_clock_boot_ms() + task->timeout_ms : UINT64_MAX;
    brief(shell, running);

    pthread_attr_t attributes;
    pthread_t thread;
    int rv = pthread_attr_init(&attributes);
    if (rv == 0)
        rv = pthread_attr_setstacksize(&attributes, TASK_STACK_BYTES);
    if (rv == 0)
        rv = pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (rv == 0)
        rv = pthread_create(&thread, &attributes, run, running);
    pthread_attr_destroy(&attributes);
    if (rv != 0) {
        ph_task_destroy(&running->task);
        free(running);
        return -rv;
    }
    running->next = shell->running;
    shell->running = running;
    shell->running_count++;
    ph_log(PH_LOG_INFO, "task_started", "task=%lld kind=%s pool=%s vm=%s peer=%s epoch=%lld",
        (long long)task->number, kind_words[task->kind], task->order.pool.name, task->vm,
        task->peer.node, (long long)task->epoch);
    return 0;
}

void ph_tasks_cancel(struct ph_shell *shell, int64_t number)
{
    for (struct ph_running *running = shell->running; running; running = running->next)
        if (running->task->number == number)
            atomic_store(&running->cancelled, true);
}

uint64_t ph_tasks_next_ms(const struct ph_shell *shell)
{
    uint64_t next_ms = UINT64_MAX;
    for (const struct ph_running *running = shell->running; running; running = running->next) {
        if (!running->overdue && running->deadline_ms < next_ms)
            next_ms = running->deadline_ms;
        if (running->task->kind == PH_TASK_COPY &&
            running->progress_told_ms + PROGRESS_MS < next_ms)
            next_ms = running->progress_told_ms + PROGRESS_MS;
    }
    return next_ms;
}

void ph_tasks_check(struct ph_shell *shell, uint64_t now_ms)
{
    /* A step may start tasks, which go in front of the list, and ends none. */
    for (struct ph_running *running = shell->running; running; running = running->next) {
        if (!running->overdue && running->deadline_ms <= now_ms) {
            running->overdue = true;
            atomic_store(&running->cancelled, true);
            ph_log(PH_LOG_WARNING, "task_overdue", "task=%lld kind=%s pool=%s vm=%s",
                (long long)running->task->number, kind_words[running->task->kind],
                running->task->order.pool.name, running->task->vm);
            struct ph_task_result result = {.number = running->task->number,
                .status = -ETIMEDOUT,
                .reason = "it did not end in its time and may still hang"};
            struct ph_agent_event event = {.kind = PH_AE_TASK_DONE, .result = &result};
            ph_shell_step(shell, &event);
        } else if (running->task->kind == PH_TASK_COPY && !running->overdue &&
                   running->progress_told_ms + PROGRESS_MS <= now_ms) {
            bool first = running->progress_told_ms == 0;
            running->progress_told_ms = now_ms;
            struct ph_task_result result = {
                .number = running->task->number, .bytes = atomic_load(&running->bytes)};
            struct ph_agent_event event = {.kind = PH_AE_TASK_PROGRESS, .result = &result};
            if (!first)
                ph_shell_step(shell, &event);
        }
    }
}

/* The loop's books after a task: where the pool's data is, which workloads run. */
static void note_outcome(struct ph_shell *shell, struct ph_running *running)
{
    const struct ph_task *task = running->task;
    const char *pool = task->order.pool.name;
    struct ph_vm_here *here = NULL;
    switch (task->kind) {
    case PH_TASK_ACTIVATE:
    case PH_TASK_VM_START:
        if (running->path[0] && running->status == 0) {
            struct ph_place_here *place = ph_place_here(shell, pool);
            memcpy(place->path, running->path, sizeof(place->path));
            memcpy(place->cgroup, running->cgroup, sizeof(place->cgroup));
        }
        if (running->started)
            ph_assert(ph_vms_add(shell, pool, task->vm, &running->process, running->watched) == 0);
        break;
    case PH_TASK_VM_STOP:
        here = ph_vms_find(shell, pool, task->vm);
        if (running->process.pid_fd >= 0)
            close(running->process.pid_fd);
        if (here && running->status == 0)
            ph_vms_remove(shell, here);
        else if (here)
            here->stopping = false;
        break;
    case PH_TASK_DEACTIVATE:
    case PH_TASK_DROP:
        if (running->status == 0)
            ph_place_forget(shell, pool);
        break;
    case PH_TASK_COPY:
    case PH_TASK_KILL:
    case PH_TASK_VM_OPERATE:
    case PH_TASK_VM_LOOK:
        break;
    }
}

void ph_tasks_done(struct ph_shell *shell, struct ph_running *running)
{
    struct ph_running **link = &shell->running;
    while (*link != running)
        link = &(*link)->next;
    *link = running->next;
    shell->running_count--;
    note_outcome(shell, running);
    const struct ph_task *task = running->task;
    ph_log(running->status == 0 ? PH_LOG_INFO : PH_LOG_WARNING, "task_done",
        "task=%lld kind=%s pool=%s vm=%s peer=%s epoch=%lld status=%s reason=%s",
        (long long)task->number, kind_words[task->kind], task->order.pool.name, task->vm,
        task->peer.node, (long long)task->epoch,
        running->status == 0 ? "ok" : strerror(-running->status), running->error.message);
    struct ph_task_result result = {.number = task->number,
        .status = running->status,
        .reason = running->error.message,
        .found = running->found,
        .pid = running->started ? running->process.pid : 0,
        .data_epoch = running->copy.epoch,
        .sequence = running->copy.sequence,
        .age_ms = running->copy.age_ms,
        .bytes = running->copy.bytes,
        .hash = running->copy.hash,
        .spoilt = running->copy.spoilt};
    struct ph_agent_event event = {
        .kind = running->overdue ? PH_AE_TASK_ENDED : PH_AE_TASK_DONE, .result = &result};
    ph_shell_step(shell, &event);
    ph_task_destroy(&running->task);
    free(running->found);
    free(running);
}
