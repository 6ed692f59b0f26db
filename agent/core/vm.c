/*
 * VMs of a pool that is active here: started in order, started again with back-off, stopped in reverse,
 * and brought in line with a changed declaration.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint64_t ph_agent_backoff_ms(int failures)
{
    uint64_t wait_ms = PH_AGENT_BACKOFF_MS_MIN;
    for (int i = 1; i < failures && wait_ms < PH_AGENT_BACKOFF_MS_MAX; i++) {
        wait_ms *= 2;
    }
    return wait_ms < PH_AGENT_BACKOFF_MS_MAX ? wait_ms : PH_AGENT_BACKOFF_MS_MAX;
}

struct ph_agent_vm *ph_agent_vm_find(const struct ph_agent_pool *pool, const char *name)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        if (strcmp(pool->vms[i].spec.name, name) == 0) {
            return &pool->vms[i];
        }
    }
    return NULL;
}

void ph_agent_vm_fini(struct ph_agent_vm *vm)
{
    ph_record_fini(&ph_record_vm, &vm->spec);
    ph_record_fini(&ph_record_vm, &vm->next);
    ph_record_fini(&ph_record_vm_report, &vm->seen);
    free(vm->reason);
    memset(vm, 0, sizeof(*vm));
}

bool ph_agent_vm_alive(const struct ph_agent_vm *vm)
{
    return vm->task || vm->operation || vm->state == PH_VM_RUNNING || vm->state == PH_VM_STARTING ||
           vm->state == PH_VM_STOPPING;
}

static bool same_settings(const char *a, const char *b)
{
    return strcmp(a == NULL ? "" : a, b == NULL ? "" : b) == 0;
}

/* Whether what runs by `a` also satisfies `b`: only what the process itself was given counts. */
static bool same_process(const struct ph_vm *a, const struct ph_vm *b)
{
    return strcmp(a->kind, b->kind) == 0 && ph_texts_equal(&a->command, &b->command) &&
           ph_texts_equal(&a->environment, &b->environment) && same_settings(a->qemu, b->qemu) &&
           same_settings(a->container, b->container) && same_settings(a->ocf, b->ocf);
}

static bool is_wanted(const struct ph_agent_pool *pool, const struct ph_agent_vm *vm)
{
    const struct ph_vm *spec = vm->changed ? &vm->next : &vm->spec;
    return pool->order.run && !vm->removed && !spec->halted;
}

static void set_spec(struct ph_agent *agent, struct ph_vm *to, const struct ph_vm *from)
{
    if (ph_record_copy(&ph_record_vm, to, from) != 0) {
        agent->out_of_memory = true;
    }
}

static void set_state(
    struct ph_agent_pool *pool, struct ph_agent_vm *vm, enum ph_vm_state state, const char *reason)
{
    if (vm->state != state || strcmp(vm->reason == NULL ? "" : vm->reason, reason) != 0) {
        pool->report_dirty = true;
        pool->unsaved = pool->unsaved || vm->state == PH_VM_ENDED || state == PH_VM_ENDED;
        vm->state = state;
        (void)ph_set_text(&vm->reason, reason);
    }
    if (state != PH_VM_RUNNING && state != PH_VM_STOPPING) {
        ph_record_fini(&ph_record_vm_report, &vm->seen);
    }
}

/* One VM of the new declaration that was there before. */
static void keep(struct ph_agent *agent, struct ph_agent_vm *vm, const struct ph_vm *spec)
{
    vm->removed = false;
    if (!ph_agent_vm_alive(vm) || same_process(&vm->spec, spec)) {
        vm->changed = false;
        set_spec(agent, &vm->spec, spec);
        return;
    }
    vm->changed = true;
    set_spec(agent, &vm->next, spec);
}

void ph_agent_vms_take(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_vm_list *vms, bool active)
{
    size_t room = vms->count + pool->vm_count;
    struct ph_agent_vm *taken = calloc(room == 0 ? 1 : room, sizeof(*taken));
    if (taken == NULL) {
        agent->out_of_memory = true;
        return;
    }
    size_t count = 0;
    for (size_t i = 0; i < vms->count; i++) {
        struct ph_agent_vm *old = ph_agent_vm_find(pool, vms->items[i].name);
        struct ph_agent_vm *vm = &taken[count++];
        /* One that ended for good and is now declared to run always starts like any new one. */
        bool revived =
            old != NULL && old->state == PH_VM_ENDED && vms->items[i].restart == PH_RESTART_ALWAYS;
        bool kept =
            old != NULL && !revived &&
            (ph_agent_vm_alive(old) || (active && same_process(&old->spec, &vms->items[i])));
        if (kept) {
            *vm = *old;
            memset(old, 0, sizeof(*old));
            keep(agent, vm, &vms->items[i]);
        } else {
            set_spec(agent, &vm->spec, &vms->items[i]);
        }
    }
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_agent_vm *old = &pool->vms[i];
        if (old->spec.name[0] != '\0' && ph_agent_vm_alive(old) && count < room) {
            old->removed = true;
            taken[count++] = *old;
        } else {
            ph_agent_vm_fini(old);
        }
    }
    free(pool->vms);
    pool->vms = taken;
    pool->vm_count = count;
}

static void erase_removed(struct ph_agent_pool *pool)
{
    size_t kept = 0;
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_agent_vm *vm = &pool->vms[i];
        if (vm->removed && !ph_agent_vm_alive(vm)) {
            ph_agent_vm_fini(vm);
            pool->unsaved = true;
            pool->report_dirty = true;
            continue;
        }
        if (kept != i) {
            pool->vms[kept] = *vm;
        }
        kept++;
    }
    pool->vm_count = kept;
}

static void take_next(struct ph_agent_pool *pool, struct ph_agent_vm *vm)
{
    if (vm->changed) {
        ph_record_fini(&ph_record_vm, &vm->spec);
        vm->spec = vm->next;
        memset(&vm->next, 0, sizeof(vm->next));
        vm->changed = false;
        vm->attempted = false;
        vm->failures = 0;
        pool->unsaved = true;
    }
}

static void start(struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_vm *vm)
{
    if (ph_agent_task_start(agent, pool, PH_TASK_VM_START, vm, NULL, false)) {
        vm->restarts += vm->attempted ? 1 : 0;
        vm->attempted = true;
        vm->ended_early = false;
        pool->ran = true;
        set_state(pool, vm, PH_VM_STARTING, "");
    }
}

static void stop(struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_vm *vm)
{
    if (ph_agent_task_start(agent, pool, PH_TASK_VM_STOP, vm, NULL, false)) {
        set_state(pool, vm, PH_VM_STOPPING, "");
    }
}

/* Until when the VMs after this one wait to be started for the first time. */
static uint64_t delay_ends_ms(const struct ph_agent_vm *vm)
{
    return vm->state == PH_VM_RUNNING ? vm->started_ms + (uint64_t)vm->spec.start_delay_ms : 0;
}

void ph_agent_vms_advance(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    unsigned others = PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY);
    if (ph_agent_task_any(pool, others, true) || ph_agent_task_any(pool, PH_TASK_DATA, false)) {
        return;
    }
    bool waits = ph_agent_task_any(pool, PH_TASK_BIT(PH_TASK_VM_START), false);
    bool complete = true;
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_agent_vm *vm = &pool->vms[i];
        bool wanted = is_wanted(pool, vm);
        if (vm->task || vm->operation) {
            complete = complete && vm->state != PH_VM_STARTING;
            continue;
        }
        if (vm->state == PH_VM_RUNNING) {
            waits = waits || (wanted && agent->now_ms < delay_ends_ms(vm));
            if ((!wanted || vm->changed) && agent->now_ms >= vm->retry_ms) {
                stop(agent, pool, vm);
            }
            continue;
        }
        if (vm->removed) {
            continue;
        }
        take_next(pool, vm);
        if (!wanted) {
            set_state(pool, vm, PH_VM_STOPPED, "");
            vm->attempted = false;
        } else if (!vm->attempted) {
            complete = false;
            if (!waits) {
                ph_agent_pool_step(pool, "starting VMs");
                start(agent, pool, vm);
                waits = true;
            }
        } else if (vm->state == PH_VM_BACKOFF && agent->now_ms >= vm->retry_ms) {
            start(agent, pool, vm);
        }
    }
    erase_removed(pool);
    if (complete && pool->local != PH_LOCAL_ACTIVE) {
        ph_agent_pool_step(pool, "");
        ph_agent_pool_set_local(pool, PH_LOCAL_ACTIVE);
    }
}

bool ph_agent_vms_stop(struct ph_agent *agent, struct ph_agent_pool *pool, bool *kill_out)
{
    if (ph_agent_task_any(pool, PH_TASK_VMS, true)) {
        *kill_out = true;
        return false;
    }
    for (size_t i = pool->vm_count; i-- > 0;) {
        struct ph_agent_vm *vm = &pool->vms[i];
        if (vm->stop_failed) {
            *kill_out = true;
            return false;
        }
        if (vm->task || vm->operation) {
            return false;
        }
        if (vm->state == PH_VM_RUNNING) {
            char step[65];
            (void)ph_text_format(step, sizeof(step), "stopping %s", vm->spec.name);
            ph_agent_pool_step(pool, step);
            stop(agent, pool, vm);
            return false;
        }
        vm->attempted = false;
        set_state(pool, vm, PH_VM_STOPPED, "");
    }
    return true;
}

void ph_agent_vms_reset(struct ph_agent_pool *pool)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_agent_vm *vm = &pool->vms[i];
        set_state(pool, vm, PH_VM_STOPPED, "");
        vm->pid = 0;
        vm->attempted = false;
        vm->failures = 0;
        vm->retry_ms = 0;
        vm->stop_failed = false;
        take_next(pool, vm);
    }
    erase_removed(pool);
}

static void back_off(
    struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_vm *vm, const char *reason)
{
    vm->failures++;
    vm->retry_ms = agent->now_ms + ph_agent_backoff_ms(vm->failures);
    set_state(pool, vm, PH_VM_BACKOFF, reason);
}

static void ended(
    struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_vm *vm, int exit_status)
{
    char reason[80];
    if (exit_status < 0) {
        (void)ph_text_format(reason, sizeof(reason), "ended by a signal");
    } else {
        (void)ph_text_format(reason, sizeof(reason), "ended with status %d", exit_status);
    }
    vm->pid = 0;
    if (pool->phase != PH_AP_RUNNING || vm->changed || !is_wanted(pool, vm)) {
        vm->attempted = false;
        set_state(pool, vm, PH_VM_STOPPED, "");
        return;
    }
    bool again = vm->spec.restart == PH_RESTART_ALWAYS ||
                 (vm->spec.restart == PH_RESTART_ON_FAILURE && exit_status != 0);
    if (!again) {
        set_state(pool, vm, PH_VM_ENDED, reason);
        return;
    }
    if (agent->now_ms - vm->started_ms >= PH_AGENT_VM_SETTLED_MS) {
        vm->failures = 0;
    }
    back_off(agent, pool, vm, reason);
}

static void start_failed(struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_agent_vm *vm,
    const struct ph_task_result *result)
{
    if (result->status == -ESTALE) {
        set_state(pool, vm, PH_VM_STOPPED, ""); /* the lease ended while it was being started */
        vm->attempted = false;
        return;
    }
    bool hopeless = result->status == -EINVAL || result->status == -ENOTSUP ||
                    (vm->spec.restart == PH_RESTART_NEVER && result->status != -ETIMEDOUT);
    if (hopeless) {
        set_state(pool, vm, PH_VM_FAILED, result->reason);
    } else {
        back_off(agent, pool, vm, result->reason);
    }
}

void ph_agent_vm_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended_now)
{
    struct ph_agent_vm *vm = ph_agent_vm_find(pool, task->name);
    if (vm == NULL) {
        return;
    }
    bool hung = result->status == -ETIMEDOUT && !ended_now;
    vm->task = hung;
    if (pool->phase == PH_AP_IDLE || task->generation != agent->lease.generation) {
        if (task->kind == PH_TASK_VM_START || !hung) {
            set_state(pool, vm, PH_VM_STOPPED, ""); /* the guard ended all of it */
        }
        return;
    }
    if (task->kind == PH_TASK_VM_STOP) {
        if (result->status == 0 || !pool->ran) { /* !ran: a kill was done meanwhile */
            vm->pid = 0;
            vm->attempted = false;
            vm->stop_failed = false;
            vm->retry_ms = 0;
            vm->failures = 0;
            set_state(pool, vm, PH_VM_STOPPED, "");
            return;
        }
        vm->stop_failed = true;
        vm->failures++;
        vm->retry_ms = agent->now_ms + ph_agent_backoff_ms(vm->failures);
        set_state(pool, vm, PH_VM_RUNNING, result->reason);
        return;
    }
    if (result->status != 0) {
        start_failed(agent, pool, vm, result);
        return;
    }
    pool->ran = true; /* also when it comes true after a kill: then another one is due */
    vm->pid = result->pid;
    vm->started_ms = agent->now_ms;
    vm->retry_ms = 0;
    set_state(pool, vm, PH_VM_RUNNING, "");
    if (vm->ended_early) {
        vm->ended_early = false;
        ended(agent, pool, vm, vm->ended_status);
    }
}

void ph_agent_on_vm_ended(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, event->pool);
    struct ph_agent_vm *vm = pool == NULL ? NULL : ph_agent_vm_find(pool, event->vm);
    if (vm == NULL) {
        return;
    }
    ph_agent_pool_touch(pool);
    if (vm->state == PH_VM_STARTING) {
        vm->ended_early = true;
        vm->ended_status = event->exit_status;
    } else if (vm->state == PH_VM_RUNNING && !vm->task &&
               (event->pid == 0 || vm->pid == 0 || event->pid == vm->pid)) {
        ended(agent, pool, vm, event->exit_status);
    }
}

/* One that has ended meanwhile, or was started anew, is not the one that was seen. */
void ph_agent_on_vm_seen(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, event->pool);
    struct ph_agent_vm *vm = pool == NULL ? NULL : ph_agent_vm_find(pool, event->vm);
    bool it = vm != NULL && vm->pid == event->pid &&
              (vm->state == PH_VM_RUNNING || vm->state == PH_VM_STOPPING);
    if (!it || ph_record_equal(&ph_record_vm_report, &vm->seen, event->body)) {
        return;
    }
    if (ph_record_copy(&ph_record_vm_report, &vm->seen, event->body) != 0) {
        agent->out_of_memory = true;
    }
    pool->report_dirty = true;
    ph_agent_pool_touch(pool);
}

void ph_agent_on_vm_adopted(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, event->pool);
    struct ph_agent_vm *vm = pool == NULL ? NULL : ph_agent_vm_find(pool, event->vm);
    if (agent->started || vm == NULL) {
        ph_agent_note(agent, PH_EVENT_WARNING, "pool=%s vm=%s runs here and is not known",
            event->pool, event->vm);
        if (pool != NULL) {
            pool->ran = true;
        }
        return;
    }
    vm->attempted = true;
    vm->pid = event->pid;
    vm->started_ms = agent->now_ms;
    pool->ran = true;
    set_state(pool, vm, PH_VM_RUNNING, "");
    if (vm->stale && !vm->removed) {
        vm->changed = true;
        set_spec(agent, &vm->next, &vm->spec);
    }
}

void ph_agent_vms_adopted(struct ph_agent *agent, struct ph_agent_pool *pool, bool was_active)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        struct ph_agent_vm *vm = &pool->vms[i];
        if (ph_agent_vm_alive(vm) || !is_wanted(pool, vm) || vm->state == PH_VM_ENDED ||
            !was_active) {
            continue;
        }
        vm->attempted = true;
        if (vm->spec.restart == PH_RESTART_NEVER) {
            set_state(pool, vm, PH_VM_ENDED, "ended while no agent ran");
        } else {
            vm->retry_ms = agent->now_ms;
            set_state(pool, vm, PH_VM_BACKOFF, "ended while no agent ran");
        }
    }
    erase_removed(pool);
}

uint64_t ph_agent_vms_wake_ms(const struct ph_agent_pool *pool)
{
    uint64_t wake_ms = PH_NEVER;
    bool blocked = ph_agent_task_any(pool, PH_TASK_VMS, true);
    /* A task under way wakes the pool when it ends. */
    bool busy = ph_agent_task_any(pool, PH_TASK_ANY & ~PH_TASK_BIT(PH_TASK_COPY), false);
    uint64_t delayed_ms = 0;
    for (size_t i = 0; i < pool->vm_count && pool->phase == PH_AP_RUNNING && !blocked; i++) {
        const struct ph_agent_vm *vm = &pool->vms[i];
        bool wanted = is_wanted(pool, vm);
        bool due = (vm->state == PH_VM_BACKOFF && wanted) ||
                   (vm->state == PH_VM_RUNNING && (vm->changed || !wanted));
        if (due && !vm->task && !vm->operation && vm->retry_ms < wake_ms) {
            wake_ms = vm->retry_ms;
        }
        if (delay_ends_ms(vm) > delayed_ms) {
            delayed_ms = delay_ends_ms(vm);
        }
        bool first = wanted && !vm->attempted && !vm->removed;
        if (first && !busy && delayed_ms > 0 && delayed_ms < wake_ms) {
            wake_ms = delayed_ms;
        }
    }
    return wake_ms;
}
