/*
 * The shell around the manager's core: one transaction at a time, what waits for it behind it, grants
 * at once; and death at any of its effects.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static struct sim_table *table_of(struct sim_manager *manager, const struct ph_record *record)
{
    struct sim_table *tables[] = {&manager->nodes, &manager->pools, &manager->vms,
        &manager->replicas, &manager->jobs, &manager->identities, &manager->metas,
        &manager->fence_devices, &manager->voter_sets};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        if (tables[i]->record == record) {
            return tables[i];
        }
    }
    return NULL; /* events: only their last number is kept */
}

static void save(struct sim *sim, const struct sim_out *out)
{
    struct sim_manager *manager = &sim->manager;
    struct sim_table *table = table_of(manager, out->record);
    if (out->record == &ph_record_event) {
        const struct ph_event *event = out->value;
        manager->last_event_id =
            event->id > manager->last_event_id ? event->id : manager->last_event_id;
        if (sim_tracing(sim)) {
            sim_trace(sim, "event", "%s %s %s: %s", event->kind, event->node, event->pool,
                event->message == NULL ? "" : event->message);
        }
        return;
    }
    if (out->kind == SIM_REMOVE) {
        sim_check_saved(sim, out->record, out->value, NULL);
        sim_table_remove(table, out->value);
        return;
    }
    bool kept = out->record == &ph_record_node || out->record == &ph_record_pool;
    const void *old = kept ? sim_table_get(table, out->value) : NULL;
    if (out->record == &ph_record_job) {
        const struct ph_job *job = out->value;
        manager->last_job_id = job->id > manager->last_job_id ? job->id : manager->last_job_id;
        old = sim_table_job(table, job->id);
    }
    sim_check_saved(sim, out->record, old, out->value);
    sim_table_save(table, out->value);
    if (out->record == &ph_record_job && ((struct ph_job *)out->value)->ended_at != 0) {
        sim_table_remove(table, out->value); /* ended jobs are not loaded again */
    }
}

static void perform(struct sim *sim, const struct sim_out *out)
{
    if (sim_tracing(sim) && out->what != PH_EF_FENCE &&
        (out->type != PH_MSG_GRANT || sim->options.trace_beats)) {
        sim_trace(sim, "manager", "says %s to %s", ph_messages[out->type].type,
            out->what == PH_EF_ANSWER ? "the operator" : out->node);
    }
    switch (out->what) {
    case PH_EF_SEND:
    case PH_EF_GRANT:
        sim_send(sim, SIM_MANAGER, sim_node_index(sim, out->node), out->type, out->value);
        break;
    case PH_EF_ANSWER:
        sim_operator_answer(sim, out->request, out->type, out->value);
        break;
    case PH_EF_FENCE:
        if (ph_core_fence_wanted(sim->manager.core, out->value)) {
            sim_fence_run(sim, SIM_MANAGER, out->value);
        }
        break;
    default:
        break;
    }
}

static void pump(struct sim *sim);

/* Between any two effects, and between the commit and what waited for it, the process may die. */
static bool dies_here(struct sim_manager *manager)
{
    if (manager->crash_after == 0) {
        return true;
    }
    manager->crash_after -= manager->crash_after > 0;
    return false;
}

static void committed(struct sim *sim, struct sim_event *event)
{
    struct sim_manager *manager = &sim->manager;
    if (event->life != manager->life || manager->core == NULL ||
        sim_deferred(sim, event, manager->paused_until_us)) {
        return;
    }
    if (sim->now_us < manager->full_until_us) {
        sim_trace(sim, "manager", "its disk is full");
        sim_manager_crash(sim, SIM_SECOND);
        return;
    }
    size_t count = manager->outbox.committing;
    manager->outbox.committing = 0;
    for (size_t i = 0; i < count; i++) {
        struct sim_out *out = &manager->outbox.items[i];
        if (out->kind != SIM_DO) {
            save(sim, out);
        }
    }
    /* The saves are done; what they held back goes in its order. */
    for (size_t i = 0; i < count && manager->life == event->life; i++) {
        if (dies_here(manager)) {
            sim_manager_crash(sim, manager->crash_for_us);
            return;
        }
        struct sim_out out = manager->outbox.items[0];
        manager->outbox.count--;
        memmove(manager->outbox.items, manager->outbox.items + 1,
            manager->outbox.count * sizeof(*manager->outbox.items));
        if (out.kind == SIM_DO) {
            perform(sim, &out);
        }
        sim_out_fini(&out);
    }
    if (manager->life == event->life) {
        pump(sim);
    }
}

static uint64_t commit_us(struct sim *sim)
{
    uint64_t *random = &sim->manager.random;
    if (sim->now_us < sim->manager.stall_until_us && sim_chance(random, 0.3)) {
        return sim_between(random, 100 * SIM_MS, 4 * SIM_SECOND);
    }
    return sim_between(random, 200, 6 * SIM_MS);
}

static void pump(struct sim *sim)
{
    struct sim_outbox *outbox = &sim->manager.outbox;
    int64_t life = sim->manager.life;
    struct sim_out out;
    while (sim->manager.life == life && sim_outbox_take(outbox, &out)) {
        perform(sim, &out);
        sim_out_fini(&out);
    }
    if (sim->manager.life == life && outbox->count > 0 && outbox->committing == 0) {
        outbox->committing = outbox->count;
        sim_at(
            sim, sim->now_us + commit_us(sim), (struct sim_event){.run = committed, .life = life});
    }
}

static void wake(struct sim *sim, struct sim_event *event)
{
    struct sim_manager *manager = &sim->manager;
    if (event->life != manager->life || manager->core == NULL || event->at_us != manager->wake_us) {
        return;
    }
    if (sim->now_us < manager->paused_until_us) {
        manager->wake_us = manager->paused_until_us;
        sim_at(sim, manager->paused_until_us, *event);
        return;
    }
    manager->wake_us = 0;
    struct ph_event_in in = {.kind = PH_EV_TICK};
    sim_manager_step(sim, &in);
}

void sim_manager_sleep(struct sim *sim)
{
    struct sim_manager *manager = &sim->manager;
    uint64_t due_ms = ph_core_next_deadline_ms(manager->core);
    if (due_ms == UINT64_MAX) {
        manager->wake_us = UINT64_MAX;
        return;
    }
    uint64_t at_us = sim_clock_real_us(sim, &manager->clock, due_ms);
    if (at_us != manager->wake_us) {
        manager->wake_us = at_us;
        sim_at(sim, at_us,
            (struct sim_event){
                .run = wake, .routine = SIM_WAKE, .node = SIM_MANAGER, .life = manager->life});
    }
}

/* Moves the step's effects on; false when the process died among them. */
static bool take_effects(struct sim *sim)
{
    struct sim_manager *manager = &sim->manager;
    for (size_t i = 0; i < manager->effects.count; i++) {
        struct ph_effect *effect = &manager->effects.items[i];
        if (dies_here(manager)) {
            return false;
        }
        if (effect->kind == PH_EF_GRANT) {
            struct sim_out out = {
                .what = PH_EF_GRANT, .type = effect->type, .value = effect->value};
            memcpy(out.node, effect->node, sizeof(out.node));
            perform(sim, &out);
            continue;
        }
        bool saves = effect->kind == PH_EF_SAVE || effect->kind == PH_EF_REMOVE;
        struct sim_out *out = sim_outbox_add(&manager->outbox, effect->kind == PH_EF_SAVE ? SIM_SAVE
                                                               : saves ? SIM_REMOVE
                                                                       : SIM_DO);
        out->what = (int)effect->kind;
        out->record = effect->record;
        out->value = effect->value;
        out->type = effect->type;
        out->request = effect->request;
        memcpy(out->node, effect->node, sizeof(out->node));
        if (!saves && out->value != NULL) {
            out->record = ph_messages[out->type].record;
        }
        effect->value = NULL;
    }
    return true;
}

/* A step that only granted a beat changed little: those are looked at now and then. */
static bool changed(const struct sim *sim)
{
    const struct ph_effects *effects = &sim->manager.effects;
    bool grant = effects->count == 1 && effects->items[0].kind == PH_EF_GRANT;
    return (!grant && effects->count > 0) || sim->stats.steps % 64 == 0;
}

static void validate(struct sim *sim)
{
    struct ph_error error = {0};
    if (!ph_core_validate(sim->manager.core, &error)) {
        sim_fail(sim, "the manager's core is broken: %s: %s", error.field, error.message);
    }
}

void sim_manager_step(struct sim *sim, struct ph_event_in *event)
{
    struct sim_manager *manager = &sim->manager;
    event->now_ms = sim_clock_ms(sim, &manager->clock);
    event->wall_ms = sim_wall_ms(sim, sim->manager.wall_skew_ms);
    ph_effects_clear(&manager->effects);
    sim->stats.steps++;
    if (ph_core_step(manager->core, event, &manager->effects) != 0) {
        sim_fail(sim, "a step of the manager's core failed");
    }
    if (changed(sim)) {
        validate(sim);
    }
    if (!take_effects(sim)) {
        sim_manager_crash(sim, manager->crash_for_us);
        return;
    }
    pump(sim);
    sim_manager_sleep(sim);
}

static void start(struct sim *sim, struct sim_event *event)
{
    if (event->life == sim->manager.life && sim->manager.core == NULL &&
        !sim_deferred(sim, event, sim->manager.full_until_us)) { /* no term without a disk */
        sim_manager_start(sim);
    }
}

void sim_manager_crash(struct sim *sim, uint64_t back_after_us)
{
    struct sim_manager *manager = &sim->manager;
    if (manager->core == NULL) {
        return;
    }
    sim->stats.crashes++;
    sim_trace(sim, "manager", "dies");
    /* A transaction under way is there as a whole or not at all. */
    if (manager->outbox.committing > 0 && sim->now_us >= manager->full_until_us &&
        sim_chance(&manager->random, 0.5)) {
        for (size_t i = 0; i < manager->outbox.committing; i++) {
            if (manager->outbox.items[i].kind != SIM_DO) {
                save(sim, &manager->outbox.items[i]);
            }
        }
    }
    sim_outbox_clear(&manager->outbox);
    ph_effects_clear(&manager->effects);
    ph_core_destroy(&manager->core);
    manager->life++;
    manager->crash_after = -1;
    manager->paused_until_us = 0;
    sim_trouble(sim, sim->now_us + back_after_us);
    if (sim_chance(&manager->random, 0.1)) {
        sim_clock_boot(
            sim, &manager->clock, &manager->random); /* the whole machine was restarted */
    }
    sim_at(
        sim, sim->now_us + back_after_us, (struct sim_event){.run = start, .life = manager->life});
}

static void load(struct sim *sim, const struct sim_table *table)
{
    struct ph_error error = {0};
    for (size_t i = 0; i < table->rows.count; i++) {
        const struct sim_row *row = table->rows.items[i].value;
        if (ph_core_load(sim->manager.core, table->record, row->value, &error) != 0) {
            sim_fail(sim, "a stored row %s %s cannot be loaded: %s: %s", table->record->name,
                row->key, error.field, error.message);
        }
    }
}

void sim_manager_start(struct sim *sim)
{
    struct sim_manager *manager = &sim->manager;
    char id[24];
    manager->term++;
    (void)ph_text_format(id, sizeof(id), "manager-%lld", (long long)manager->term);
    manager->wake_us = 0;
    manager->crash_after = -1;
    manager->crash_for_us = SIM_SECOND;
    if (ph_core_new(&sim->config, manager->term, id, "sim", &manager->core) != 0) {
        sim_fail(sim, "the manager's core cannot be made");
    }
    load(sim, &manager->nodes);
    load(sim, &manager->voter_sets);
    load(sim, &manager->pools);
    load(sim, &manager->vms);
    load(sim, &manager->replicas);
    load(sim, &manager->identities);
    load(sim, &manager->fence_devices);
    load(sim, &manager->metas);
    load(sim, &manager->jobs);
    ph_effects_clear(&manager->effects);
    if (ph_core_ready(manager->core, sim_clock_ms(sim, &manager->clock),
            sim_wall_ms(sim, sim->manager.wall_skew_ms), manager->last_event_id,
            manager->last_job_id, &manager->effects) != 0) {
        sim_fail(sim, "the manager's core does not get ready");
    }
    sim_trace(sim, "manager", "starts under term %lld", (long long)manager->term);
    validate(sim);
    (void)take_effects(sim);
    pump(sim);
    sim_manager_sleep(sim);
}

void sim_manager_fini(struct sim *sim)
{
    struct sim_manager *manager = &sim->manager;
    sim_outbox_clear(&manager->outbox);
    free(manager->outbox.items);
    ph_effects_fini(&manager->effects);
    ph_core_destroy(&manager->core);
    struct sim_table *tables[] = {&manager->nodes, &manager->pools, &manager->vms,
        &manager->replicas, &manager->jobs, &manager->identities, &manager->metas,
        &manager->fence_devices, &manager->voter_sets};
    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        sim_table_fini(tables[i]);
    }
}
