/*
 * What is done to a VM once: reset, pause, a snapshot. Each is a job of kind vm; its number is what makes it
 * happen at most once (docs/vms.md, "Operations").
 *
 *     queued    waits: for its pool to be active and unmoved, for an earlier one on the same VM
 *     running   in the order of the pool's node, under the epoch noted in the job, until a report of that node
 *               has the outcome; then it leaves the order and the node forgets it
 *
 * A pool that gets another epoch meanwhile ends it as failed: it may have happened where the pool was.
 * Such a job is not the pool's job: moves and take-overs do not wait for it.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

#define QUEUED_MAX 1024 /* of one pool */

/* ---- the pool's list ---- */
void core_operation_link(struct ph_core *core, struct core_pool *pool, struct core_job *job)
{
    struct core_job **more =
        realloc(pool->operations, (pool->operation_count + 1) * sizeof(struct core_job *));

    if (more == NULL) {
        core->no_memory = true;
        return;
    }
    pool->operations = more;
    pool->operations[pool->operation_count++] = job;
    core_pool_dirty(core, pool);
}

void core_operation_unlink(struct ph_core *core, struct core_pool *pool, const struct core_job *job)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        if (pool->operations[i] != job)
            continue;
        pool->operation_count--;
        memmove(&pool->operations[i], &pool->operations[i + 1],
            (pool->operation_count - i) * sizeof *pool->operations);
        core_pool_dirty(core, pool);
        return;
    }
}

bool core_operation_linked(const struct core_pool *pool, const struct core_job *job)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        if (pool->operations[i] == job)
            return true;
    }
    return false;
}

static struct core_vm *vm_of(struct core_pool *pool, const char *name)
{
    for (size_t i = 0; i < pool->vm_count; i++) {
        if (strcmp(pool->vms[i].row.name, name) == 0)
            return &pool->vms[i];
    }
    return NULL;
}

/* ---- going on ---- */
/* One that was asked for earlier and is about the same VM. */
static const struct core_job *earlier(const struct core_pool *pool, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (strcmp(pool->operations[i]->row.vm, pool->operations[index]->row.vm) == 0)
            return pool->operations[i];
    }
    return NULL;
}

static size_t sent(const struct core_pool *pool)
{
    size_t count = 0;

    for (size_t i = 0; i < pool->operation_count; i++)
        count += pool->operations[i]->row.state == PH_JOB_RUNNING;
    return count;
}

static void send_next(struct ph_core *core, struct core_pool *pool, size_t index)
{
    struct core_job *job = pool->operations[index];
    const struct core_job *first = earlier(pool, index);

    if (first != NULL) {
        core_job_wait(core, job, "job %lld on the same VM", (long long)first->row.id);
    } else if (pool->job != NULL) {
        core_job_wait(core, job, "job %lld (%s of its pool)", (long long)pool->job->row.id,
            core_job_kind_word(pool->job));
    } else if (pool->row.state != PH_POOL_ACTIVE || pool->row.node[0] == '\0') {
        core_job_wait(core, job, "pool %s to be active; it is %s", pool->row.name,
            ph_enum_word(&ph_enum_pool_state, (int)pool->row.state));
    } else if (sent(pool) >= PH_OPERATIONS_MAX) {
        core_job_wait(core, job, "%d others of its pool", PH_OPERATIONS_MAX);
    } else {
        job->row.epoch = pool->row.epoch;
        memcpy(job->row.node, pool->row.node, sizeof job->row.node);
        core_job_set_state(core, job, PH_JOB_RUNNING);
        core_job_wait(core, job, "%s to do it", pool->row.node);
        core_job_touch(core, job);
    }
}

void core_operations_settle(struct ph_core *core, struct core_pool *pool)
{
    for (size_t i = 0; i < pool->operation_count;) {
        struct core_job *job = pool->operations[i];
        size_t count = pool->operation_count;

        if (vm_of(pool, job->row.vm) == NULL)
            core_job_end(core, job, PH_JOB_FAILED, "%s is no longer declared in %s%s", job->row.vm,
                pool->row.name, job->row.epoch > 0 ? "; it may have been done" : "");
        else if (job->row.epoch > 0 &&
                 (job->row.epoch != pool->row.epoch || pool->row.node[0] == '\0'))
            core_job_end(core, job, PH_JOB_FAILED,
                "%s left %s while it was under way there: it may have been done; look at the VM "
                "before you ask again",
                pool->row.name, job->row.node);
        else if (job->row.epoch == 0)
            send_next(core, pool, i);
        i += pool->operation_count == count; /* one that ended has left the list */
    }
}

/* From a backup: what was under way then may have been done since. */
void core_operations_restored(struct ph_core *core)
{
    for (size_t i = 0; i < core->pools.count; i++) {
        struct core_pool *pool = core->pools.items[i].value;

        while (pool->operation_count > 0)
            core_job_end(core, pool->operations[0], PH_JOB_FAILED,
                "the inventory was restored: it may have been done since; look at the VM before "
                "you ask again");
    }
}

/* ---- orders and reports ---- */
static bool ordered(const struct core_pool *pool, const struct core_job *job)
{
    return job->row.epoch > 0 && job->row.epoch == pool->row.epoch;
}

size_t core_operations_text(const struct core_pool *pool, char *text, size_t size)
{
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < pool->operation_count && used + 1 < size; i++) {
        if (ordered(pool, pool->operations[i]))
            used += ph_text_format(
                text + used, size - used, "%lld\n", (long long)pool->operations[i]->row.id);
    }
    return used;
}

void core_operations_add(struct ph_core *core, struct ph_order *order, const struct core_pool *pool)
{
    for (size_t i = 0; i < pool->operation_count; i++) {
        const struct core_job *job = pool->operations[i];
        struct ph_operation *operation;

        if (!ordered(pool, job) || order->operations.count == PH_OPERATIONS_MAX)
            continue;
        operation = ph_many_add(&ph_record_operation, (struct ph_many *)(void *)&order->operations);
        if (operation == NULL) {
            core->no_memory = true;
            return;
        }
        operation->number = job->row.id;
        operation->epoch = job->row.epoch;
        operation->operation = job->row.operation;
        memcpy(operation->pool, job->row.pool, sizeof operation->pool);
        memcpy(operation->vm, job->row.vm, sizeof operation->vm);
        memcpy(operation->item, job->row.item, sizeof operation->item);
    }
}

void core_operations_take(
    struct ph_core *core, struct core_pool *pool, const struct ph_report *report)
{
    for (size_t i = 0; i < report->operations.count; i++) {
        const struct ph_operation *told = &report->operations.items[i];
        struct core_job *job = core_find_job(core, told->number);

        if (job == NULL || job->row.kind != PH_JOB_VM || core_job_ended(job) ||
            job->row.epoch != told->epoch || strcmp(job->row.pool, pool->row.name) != 0 ||
            told->state == PH_OPERATION_BEGUN)
            continue;
        core_copy_text(core, &job->row.result, told->result);
        core_job_end(core, job,
            told->state == PH_OPERATION_SUCCEEDED ? PH_JOB_SUCCEEDED : PH_JOB_FAILED, "%s",
            core_text(told->reason));
    }
}

/* ---- asked ---- */
static bool about_snapshot(enum ph_vm_operation operation)
{
    return operation == PH_OPERATION_SNAPSHOT_CREATE ||
           operation == PH_OPERATION_SNAPSHOT_ROLLBACK || operation == PH_OPERATION_SNAPSHOT_DELETE;
}

/* The job that was made for the same asker as the same, ended or not. */
static const struct core_job *asked_before(
    const struct ph_core *core, const char *who, const char *id)
{
    for (size_t i = core->job_count; id[0] != '\0' && i-- > 0;) {
        const struct core_job *job = core->jobs[i];

        if (job->row.request_id != NULL && strcmp(job->row.request_id, id) == 0 &&
            strcmp(job->row.who, who) == 0)
            return job;
    }
    return NULL;
}

static bool same(const struct core_job *job, const struct ph_vm_operate *asked)
{
    return job->row.kind == PH_JOB_VM && job->row.operation == asked->operation &&
           strcmp(job->row.pool, asked->pool) == 0 && strcmp(job->row.vm, asked->vm) == 0 &&
           strcmp(job->row.item, asked->item) == 0;
}

/* Whether it makes sense; else it was answered. */
static bool sound(struct ph_core *core, const struct ph_event_in *in, struct core_pool *pool)
{
    const struct ph_vm_operate *asked = in->body;
    const struct core_vm *vm = pool == NULL ? NULL : vm_of(pool, asked->vm);
    const char *word = ph_enum_word(&ph_enum_vm_operation, (int)asked->operation);

    if (pool == NULL)
        core_problem(core, in, PH_NOT_FOUND, "pool", "there is no pool %s", asked->pool);
    else if (vm == NULL)
        core_problem(
            core, in, PH_NOT_FOUND, "vm", "there is no VM %s in pool %s", asked->vm, asked->pool);
    else if (asked->operation == PH_OPERATION_NONE)
        core_problem(core, in, PH_BAD_INPUT, "operation", "says nothing that could be done");
    else if (strcmp(vm->row.kind, "qemu") != 0)
        core_problem(core, in, PH_STATE_FORBIDS, "vm", "%s is of kind %s; %s is for kind qemu",
            asked->vm, vm->row.kind, word);
    else if (about_snapshot(asked->operation) != (asked->item[0] != '\0'))
        core_problem(core, in, PH_BAD_INPUT, "item",
            asked->item[0] == '\0' ? "%s needs the name of a snapshot" : "%s is about no snapshot",
            word);
    else if (asked->item[0] != '\0' && strspn(asked->item, "0123456789") == strlen(asked->item))
        core_problem(core, in, PH_BAD_INPUT, "item",
            "a snapshot's name needs something but digits in it: QEMU would take %s for a number "
            "of its own",
            asked->item);
    else if (core_removing(pool))
        core_problem(core, in, PH_STATE_FORBIDS, "pool", "job %lld is removing %s",
            (long long)pool->job->row.id, asked->pool);
    else if (vm->row.halted)
        core_problem(core, in, PH_STATE_FORBIDS, "vm",
            "%s was stopped by an operator; start it first (poolherd vm start %s/%s)", asked->vm,
            asked->pool, asked->vm);
    else if (pool->operation_count >= QUEUED_MAX)
        core_problem(core, in, PH_STATE_FORBIDS, "pool", "%zu operations on VMs of %s wait already",
            pool->operation_count, asked->pool);
    else
        return true;
    return false;
}

int ph_request_vm_operate(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_vm_operate *asked = in->body;
    struct core_pool *pool = core_find_pool(core, asked->pool);
    const char *id = core_text(asked->request_id);
    const struct core_job *before = asked_before(core, in->sender, id);
    struct core_job *job;

    if (before != NULL && !same(before, asked))
        return core_problem(core, in, PH_STATE_FORBIDS, "request_id",
            "job %lld, which is something else, was asked for as %s", (long long)before->row.id,
            id);
    if (before != NULL) {
        core_answer_done(
            core, in, before->row.id, "job %lld was asked for as this", (long long)before->row.id);
        return 0;
    }
    if (!sound(core, in, pool))
        return 0;
    job = core_job_new(core, PH_JOB_VM, pool, NULL, in->sender);
    if (job == NULL)
        return 0;
    memcpy(job->row.vm, asked->vm, sizeof job->row.vm);
    memcpy(job->row.item, asked->item, sizeof job->row.item);
    job->row.operation = asked->operation;
    core_copy_text(core, &job->row.request_id, asked->request_id);
    core_command(core, in, &(struct core_about){.pool = pool, .job = job}, "%s of %s/%s%s%s",
        ph_enum_word(&ph_enum_vm_operation, (int)asked->operation), asked->pool, asked->vm,
        asked->item[0] != '\0' ? ": " : "", asked->item);
    core_answer_done(core, in, job->row.id, "job %lld does it", (long long)job->row.id);
    return 0;
}
