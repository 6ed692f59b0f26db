/*
 * pool.apply: what is declared becomes what is wanted. All or nothing, and idempotent.
 *
 *     check everything  ->  compare everything  ->  (dry run: answer)  ->  change  ->  answer
 *
 * A declaration is whole: a field it leaves out has its default, `desired` too. So a pool that was
 * stopped by hand becomes active when a file that does not say `desired: inactive` is applied, and
 * the comparison shows it as a change before it happens.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/check.h"
#include "proto/codec.h"

/* What comparing found, one per pool of the file. */
struct verdict {
    bool changed, vms_changed;
};

/* A section of a VM's declaration as it is stored; one that says nothing is none. */
static void store_section(
    struct ph_core *core, const struct ph_record *record, const void *section, char **row)
{
    free(*row);
    *row = NULL;
    if (!ph_record_empty(record, section) &&
        ph_encode(record, section, PH_ENCODE_WIRE, row, NULL) != 0)
        core->no_memory = true;
}

static void spec_to_vm(struct ph_core *core, const struct ph_vm_spec *spec, struct ph_vm *row)
{
    ph_text_format(row->name, sizeof row->name, "%s", spec->name);
    ph_text_format(row->kind, sizeof row->kind, "%s", spec->kind);
    core_copy_texts(core, &row->command, &spec->command);
    core_copy_texts(core, &row->environment, &spec->environment);
    row->restart = spec->restart;
    ph_text_format(row->stop_signal, sizeof row->stop_signal, "%s", spec->stop_signal);
    row->stop_timeout_ms = spec->stop_timeout_ms;
    row->start_delay_ms = spec->start_delay_ms;
    core_copy_texts(core, &row->labels, &spec->labels);
    store_section(core, &ph_record_qemu, &spec->qemu, &row->qemu);
    store_section(core, &ph_record_container, &spec->container, &row->container);
    store_section(core, &ph_record_resource, &spec->ocf, &row->ocf);
}

static void set_vms(
    struct ph_core *core, struct core_pool *pool, const struct ph_vm_spec_list *specs)
{
    struct ph_vm *rows = calloc(specs->count + 1, sizeof *rows);

    if (rows == NULL) {
        core->no_memory = true;
        return;
    }
    for (size_t i = 0; i < specs->count; i++) {
        ph_text_format(rows[i].pool, sizeof rows[i].pool, "%s", pool->row.name);
        rows[i].position = (int64_t)i;
        spec_to_vm(core, &specs->items[i], &rows[i]);
    }
    core_pool_set_vms(core, pool, rows, specs->count);
    for (size_t i = 0; i < specs->count; i++)
        ph_record_fini(&ph_record_vm, &rows[i]);
    free(rows);
}

static void set_pool(struct ph_core *core, struct core_pool *pool, const struct ph_pool_spec *spec)
{
    struct ph_pool *row = &pool->row;

    ph_place_unrelate(&core->relations, row);
    ph_text_format(row->driver, sizeof row->driver, "%s", spec->driver);
    row->desired = spec->desired;
    row->priority = spec->priority;
    row->copies = spec->copies;
    row->cpu = spec->cpu;
    row->memory_mib = spec->memory_mib;
    row->disk_mib = spec->disk_mib;
    row->sync_interval_s = spec->sync_interval_s;
    row->max_data_loss_s = spec->max_data_loss_s;
    row->failback = spec->failback;
    core_copy_text(core, &row->failback_at, spec->failback_at);
    core_copy_texts(core, &row->allow, &spec->allow);
    core_copy_texts(core, &row->prefer, &spec->prefer);
    core_copy_texts(core, &row->together, &spec->together);
    core_copy_texts(core, &row->apart, &spec->apart);
    core_settings_store(core, row, spec);
    row->revision++;
    if (ph_place_relate(&core->relations, row) != 0)
        core->no_memory = true;
}

/* What failed under the old declaration may work under the new one. */
static void try_again(struct ph_core *core, struct core_pool *pool)
{
    pool->attempts = 0;
    pool->failed_epoch = 0;
    ph_texts_fini(&pool->failed_on);
    if (pool->row.state == PH_POOL_FAILED)
        core_pool_state(
            core, pool, PH_POOL_UNASSIGNED, "its declaration changed; to be started again");
}

static void change_pool(struct core_applying *applying, const struct ph_event_in *in,
    const struct ph_pool_spec *spec, const struct verdict *verdict)
{
    struct ph_core *core = applying->core;
    struct core_pool *pool = core_find_pool(core, spec->name);
    bool added = pool == NULL;

    if (added)
        pool = core_pool_new(core, spec->name);
    if (pool == NULL)
        return;
    set_pool(core, pool, spec);
    if (verdict->vms_changed)
        set_vms(core, pool, &spec->vms);
    if (!added)
        try_again(core, pool);
    pool->holders_due = true; /* copies, allow or disk may be others */
    core_account(core, pool);
    core_pool_touch(core, pool);
    core_event(core, PH_EVENT_INFO, added ? "pool-declared" : "pool-changed",
        &(struct core_about){.pool = pool, .who = in->sender},
        added ? "declared" : "its declaration changed: revision %lld",
        (long long)pool->row.revision);
}

/* Those that are to go, by name: the map changes while they do. */
static int prune(struct core_applying *applying, const struct ph_event_in *in)
{
    struct ph_core *core = applying->core;
    const struct ph_change_list *changes = &applying->answer.changes;
    int rv = 0;

    for (size_t i = 0; i < changes->count && rv == 0 && !core->no_memory; i++) {
        struct core_pool *pool;

        if (strcmp(changes->items[i].action, "remove") != 0)
            continue;
        pool = core_find_pool(core, changes->items[i].pool);
        if (pool != NULL && core_remove_begin(core, in, pool, false, &applying->error) == NULL)
            rv = -1;
    }
    return rv;
}

static void compare_all(struct core_applying *applying, struct verdict *verdicts)
{
    struct ph_core *core = applying->core;
    const struct ph_apply *asked = applying->asked;
    struct ph_applied *answer = &applying->answer;

    /* Removals first: they are done first, too. */
    for (size_t i = 0; asked->prune && i < core->pools.count; i++) {
        const struct core_pool *pool = core->pools.items[i].value;

        if (core_removing(pool) || ph_map_get(&applying->named, pool->row.name) != NULL)
            continue;
        core_apply_note(applying, "remove", pool->row.name, NULL, NULL, NULL);
        answer->removed++;
    }
    for (size_t i = 0; i < asked->pools.count; i++) {
        const struct ph_pool_spec *spec = &asked->pools.items[i];
        const struct core_pool *current = core_find_pool(core, spec->name);

        verdicts[i].changed = core_apply_diff(applying, current, spec, &verdicts[i].vms_changed);
        if (current == NULL)
            answer->added++;
        else if (verdicts[i].changed)
            answer->changed++;
        else
            answer->unchanged++;
    }
}

static int change_all(
    struct core_applying *applying, const struct ph_event_in *in, const struct verdict *verdicts)
{
    const struct ph_apply *asked = applying->asked;
    struct ph_applied *answer = &applying->answer;
    struct ph_core *core = applying->core;

    if (answer->added + answer->changed + answer->removed == 0)
        return 0;
    if (prune(applying, in) != 0)
        return -1;
    for (size_t i = 0; i < asked->pools.count && !core->no_memory; i++) {
        if (verdicts[i].changed)
            change_pool(applying, in, &asked->pools.items[i], &verdicts[i]);
    }
    core_command(core, in, &(struct core_about){0},
        "pools applied: %lld added, %lld changed, %lld removed, %lld unchanged",
        (long long)answer->added, (long long)answer->changed, (long long)answer->removed,
        (long long)answer->unchanged);
    return 0;
}

int ph_request_apply(struct ph_core *core, const struct ph_event_in *in)
{
    struct core_applying applying = {.core = core, .asked = in->body};
    struct verdict *verdicts = calloc(applying.asked->pools.count + 1, sizeof *verdicts);
    int rv = verdicts == NULL ? -1 : core_apply_check(&applying);

    if (verdicts == NULL)
        core->no_memory = true;
    if (rv == 0) {
        compare_all(&applying, verdicts);
        applying.answer.dry_run = applying.asked->dry_run;
        if (!applying.asked->dry_run)
            rv = change_all(&applying, in, verdicts);
    }
    if (rv == 0)
        core_answer_take(core, in, PH_MSG_APPLIED, &applying.answer);
    else if (applying.error.code != PH_OK)
        core_problem(
            core, in, applying.error.code, applying.error.field, "%s", applying.error.message);
    else
        core->no_memory = true;
    ph_record_fini(&ph_record_applied, &applying.answer);
    ph_map_fini(&applying.named);
    free(verdicts);
    return 0;
}
