/*
 * What operators ask of single VMs. Whether one is halted is part of what shall be, like its declaration: the
 * pool's order carries it, so it needs no command that could be lost, and a take-over does not undo it.
 */
#include "manager/core/request.h"

#include <string.h>

static void add_view(struct ph_core *core, const struct core_pool *pool, const struct ph_vm *row,
    struct ph_vms_shown *shown)
{
    struct ph_vm_view *view =
        ph_many_add(&ph_record_vm_view, (struct ph_many *)(void *)&shown->vms);

    if (view == NULL) {
        core->no_memory = true;
        return;
    }
    core_view_vm(core, row, view);
    memcpy(view->pool, pool->row.name, sizeof view->pool);
    memcpy(view->node, pool->row.node, sizeof view->node);
}

int ph_request_vm_list(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_vms_shown shown = {0};

    for (size_t i = 0; i < core->pools.count; i++) {
        const struct core_pool *pool = core->pools.items[i].value;

        for (size_t v = 0; v < pool->vm_count && shown.vms.count < PH_LIST_ITEMS_MAX; v++)
            add_view(core, pool, &pool->vms[v].row, &shown);
    }
    core_answer_take(core, in, PH_MSG_VMS_SHOWN, &shown);
    return 0;
}

/* The VM meant, or NULL after the answer that there is none. */
static struct core_vm *find(struct ph_core *core, const struct ph_event_in *in,
    const struct ph_vm_named *asked, struct core_pool **pool_out)
{
    struct core_pool *pool = core_find_pool(core, asked->pool);

    if (pool == NULL) {
        core_problem(core, in, PH_NOT_FOUND, "pool", "there is no pool %s", asked->pool);
        return NULL;
    }
    *pool_out = pool;
    for (size_t i = 0; i < pool->vm_count; i++) {
        if (strcmp(pool->vms[i].row.name, asked->vm) == 0)
            return &pool->vms[i];
    }
    core_problem(
        core, in, PH_NOT_FOUND, "vm", "there is no VM %s in pool %s", asked->vm, asked->pool);
    return NULL;
}

int ph_request_vm_show(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_vms_shown shown = {0};
    struct core_pool *pool;
    const struct core_vm *vm = find(core, in, in->body, &pool);

    if (vm == NULL)
        return 0;
    add_view(core, pool, &vm->row, &shown);
    core_answer_take(core, in, PH_MSG_VMS_SHOWN, &shown);
    return 0;
}

static int set_halted(struct ph_core *core, const struct ph_event_in *in, bool halted)
{
    struct core_pool *pool;
    struct core_vm *vm = find(core, in, in->body, &pool);
    const char *word = halted ? "stop" : "start";

    if (vm == NULL)
        return 0;
    if (core_removing(pool))
        return core_problem(core, in, PH_STATE_FORBIDS, "pool", "job %lld is removing %s",
            (long long)pool->job->row.id, pool->row.name);
    core_command(core, in, &(struct core_about){.pool = pool}, "%s vm %s", word, vm->row.name);
    if (vm->row.halted != halted) {
        vm->row.halted = halted;
        core_vm_touch(core, vm);
        pool->row.revision++;
        core_pool_touch(core, pool);
        core_pool_dirty(core, pool);
    }
    if (pool->row.node[0] == '\0')
        core_answer_done(core, in, 0, "%s %s when pool %s is active", vm->row.name,
            halted ? "stays stopped" : "is started", pool->row.name);
    else
        core_answer_done(core, in, 0, "%s is %s on %s", vm->row.name,
            halted ? "stopped" : "started", pool->row.node);
    return 0;
}

int ph_request_vm_start(struct ph_core *core, const struct ph_event_in *in)
{
    return set_halted(core, in, false);
}

int ph_request_vm_stop(struct ph_core *core, const struct ph_event_in *in)
{
    return set_halted(core, in, true);
}
