/*
 * The shell around an agent's core.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

static void perform(struct sim *sim, int index, struct sim_out *out)
{
    struct sim_node *node = &sim->nodes[index];
    switch (out->what) {
    case PH_AF_SEND:
        if (sim_tracing(sim) && out->type == PH_MSG_REPORT) {
            const struct ph_report *report = out->value;
            sim_trace(sim, node->name, "says report %s %s epoch=%lld order=%lld data=%lld.%lld %s",
                report->pool, ph_enum_word(&ph_enum_local_state, (int)report->state),
                (long long)report->epoch, (long long)report->order_number,
                (long long)report->data_epoch, (long long)report->data_sequence,
                report->reason == NULL ? "" : report->reason);
        } else if (sim_tracing(sim)) {
            if (out->type != PH_MSG_BEAT || sim->options.trace_beats) {
                sim_trace(sim, node->name, "says %s", ph_messages[out->type].type);
            }
        }
        sim_send(sim, index, SIM_MANAGER, out->type, out->value);
        break;
    case PH_AF_SEND_PEER:
        sim_trace(sim, node->name, "says %s to %s", ph_messages[out->type].type, out->node);
        sim_send(sim, index, sim_node_index(sim, out->node), out->type, out->value);
        break;
    case PH_AF_LEASE:
        sim_guard_lease(sim, index, out->generation, out->deadline_ms);
        break;
    case PH_AF_TASK: {
        struct ph_task *task = out->task;
        out->task = NULL;
        sim_task_start(sim, index, task);
        break;
    }
    case PH_AF_DIVERGED:
    case PH_AF_FENCE:
        sim_fence_run(sim, index, out->value);
        break;
    case PH_AF_CANCEL:
        sim_task_cancel(sim, index, out->number);
        break;
    case PH_AF_ALLOW:
        sim_allow(sim, index, out->value);
        break;
    default:
        break;
    }
}

void sim_agent_save(struct sim *sim, struct sim_node *node, const struct sim_out *out)
{
    struct sim_table *table = out->record == &ph_record_meta      ? &node->metas
                              : out->record == &ph_record_witness ? &node->witnesses
                                                                  : &node->assignments;
    if (out->kind == SIM_REMOVE) {
        sim_table_remove(table, out->value);
    } else {
        sim_check_kept(sim, node, out->record, out->value);
        sim_table_save(table, out->value);
    }
}

/* Between any two effects, and between the commit and what waited for it, the process may die. */
static bool dies_here(struct sim_node *node)
{
    if (node->crash_after == 0) {
        return true;
    }
    node->crash_after -= node->crash_after > 0;
    return false;
}

static void die(struct sim *sim, int index)
{
    sim_agent_crash(sim, index, sim->nodes[index].crash_for_us);
}

static void pump(struct sim *sim, int index);

static void committed(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->agent_life || node->agent == NULL ||
        sim_deferred(sim, event, sim_agent_away_us(node))) {
        return;
    }
    if (sim->now_us < node->full_until_us) {
        sim_trace(sim, node->name, "its disk is full");
        sim_agent_crash(sim, event->node, SIM_SECOND);
        return;
    }
    size_t count = node->outbox.committing;
    node->outbox.committing = 0;
    for (size_t i = 0; i < count; i++) {
        if (node->outbox.items[i].kind != SIM_DO) {
            sim_agent_save(sim, node, &node->outbox.items[i]);
        }
    }
    for (size_t i = 0; i < count && node->agent_life == event->life; i++) {
        if (dies_here(node)) {
            die(sim, event->node);
            return;
        }
        struct sim_out out = node->outbox.items[0];
        node->outbox.count--;
        memmove(node->outbox.items, node->outbox.items + 1,
            node->outbox.count * sizeof(*node->outbox.items));
        if (out.kind == SIM_DO) {
            perform(sim, event->node, &out);
        }
        sim_out_fini(&out);
    }
    if (node->agent_life == event->life) {
        pump(sim, event->node);
    }
}

static void pump(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    int64_t life = node->agent_life;
    struct sim_out out;
    while (node->agent_life == life && sim_outbox_take(&node->outbox, &out)) {
        perform(sim, index, &out);
        sim_out_fini(&out);
    }
    if (node->agent_life == life && node->outbox.count > 0 && node->outbox.committing == 0) {
        bool slow = sim->now_us < node->stall_until_us && sim_chance(&node->random, 0.3);
        uint64_t takes_us = slow ? sim_between(&node->random, 100 * SIM_MS, 4 * SIM_SECOND)
                                 : sim_between(&node->random, 200, 6 * SIM_MS);
        node->outbox.committing = node->outbox.count;
        sim_at(sim, sim->now_us + takes_us,
            (struct sim_event){.run = committed, .node = index, .life = life});
    }
}

static void wake(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life != node->agent_life || node->agent == NULL || event->at_us != node->wake_us) {
        return;
    }
    uint64_t away_us = sim_agent_away_us(node);
    if (sim->now_us < away_us) {
        node->wake_us = away_us;
        sim_at(sim, away_us, *event);
        return;
    }
    node->wake_us = 0;
    struct ph_agent_event in = {.kind = PH_AE_TICK};
    sim_agent_step(sim, event->node, &in);
}

uint64_t sim_agent_away_us(const struct sim_node *node)
{
    return node->asleep_until_us > node->paused_until_us ? node->asleep_until_us
                                                         : node->paused_until_us;
}

void sim_agent_sleep(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    uint64_t due_ms = ph_agent_next_deadline_ms(node->agent);
    if (due_ms == UINT64_MAX) {
        node->wake_us = UINT64_MAX;
        return;
    }
    uint64_t at_us = sim_clock_real_us(sim, &node->clock, due_ms);
    if (at_us != node->wake_us) {
        node->wake_us = at_us;
        sim_at(sim, at_us,
            (struct sim_event){
                .run = wake, .routine = SIM_WAKE, .node = index, .life = node->agent_life});
    }
}

/* Moves the step's effects on; false when the process dies among them. */
static bool take_effects(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    for (size_t i = 0; i < node->effects.count; i++) {
        struct ph_agent_effect *effect = &node->effects.items[i];
        if (effect->kind == PH_AF_NOTE) {
            if (sim_tracing(sim)) {
                sim_trace(sim, node->name, "notes: %s", effect->text);
            }
            continue;
        }
        if (dies_here(node)) {
            return false;
        }
        if (effect->kind == PH_AF_END) {
            sim_trace(sim, node->name, "ends: %s", effect->text);
            return false;
        }
        struct sim_out out = {.kind = effect->kind == PH_AF_SAVE     ? SIM_SAVE
                                      : effect->kind == PH_AF_REMOVE ? SIM_REMOVE
                                                                     : SIM_DO,
            .what = (int)effect->kind,
            .record = effect->record,
            .value = effect->value,
            .type = effect->type,
            .task = effect->task,
            .number = effect->number,
            .generation = effect->generation,
            .deadline_ms = effect->deadline_ms};
        memcpy(out.node, effect->peer, sizeof(out.node));
        effect->value = NULL;
        effect->task = NULL;
        if (effect->at_once) {
            perform(sim, index, &out);
            sim_out_fini(&out);
        } else {
            *sim_outbox_add(&node->outbox, out.kind) = out;
        }
    }
    return true;
}

/* A beat or its grant changes little: those steps are looked at now and then. */
static bool changed(const struct sim *sim, const struct sim_node *node)
{
    const struct ph_agent_effects *effects = &node->effects;
    return effects->count > 1 || (effects->count == 1 && !effects->items[0].at_once) ||
           sim->stats.steps % 64 == 0;
}

void sim_agent_step(struct sim *sim, int index, struct ph_agent_event *event)
{
    struct sim_node *node = &sim->nodes[index];
    int64_t life = node->agent_life;
    event->now_ms = sim_clock_ms(sim, &node->clock);
    event->wall_ms = sim_wall_ms(sim, node->wall_skew_ms);
    ph_agent_effects_clear(&node->effects);
    sim->stats.steps++;
    if (ph_agent_step(node->agent, event, &node->effects) != 0) {
        sim_fail(sim, "a step of the core of %s failed", node->name);
    }
    struct ph_error error;
    if (changed(sim, node) && !ph_agent_validate(node->agent, &error)) {
        sim_fail(sim, "the core of %s is broken: %s: %s", node->name, error.field, error.message);
    }
    if (!take_effects(sim, index)) {
        die(sim, index);
        return;
    }
    pump(sim, index);
    if (node->agent_life == life && node->agent != NULL) {
        sim_agent_sleep(sim, index);
    }
}

/* ---- the process ---- */
static void load(struct sim *sim, struct sim_node *node, const struct sim_table *table)
{
    struct ph_error error = {0};
    for (size_t i = 0; i < table->rows.count; i++) {
        const struct sim_row *row = table->rows.items[i].value;
        if (ph_agent_load(node->agent, table->record, row->value, &error) != 0) {
            sim_fail(sim, "%s cannot load its row %s: %s", node->name, row->key, error.message);
        }
    }
}

static void load_disks(struct sim *sim, struct sim_node *node)
{
    for (int i = 0; i < sim->pool_count; i++) {
        const struct sim_disk *disk = &node->disks[i];
        const struct sim_data *newest = &disk->data;
        if (!newest->exists ||
            (disk->copy.exists && (disk->copy.epoch > newest->epoch ||
                                      (disk->copy.epoch == newest->epoch &&
                                          disk->copy.sequence > newest->sequence)))) {
            newest = &disk->copy;
        }
        if (newest->exists) {
            (void)ph_agent_load_data(node->agent, sim->pools[i].name, newest->epoch,
                newest->sequence, disk->data.exists && newest == &disk->data);
        }
    }
}

/* The shell looks for survivors among the VMs of the stored orders: there each one must be. */
static void adopt(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    for (int i = 0; i < sim->pool_count; i++) {
        for (int j = 0; j < SIM_VMS; j++) {
            const struct sim_vm *vm = &node->disks[i].vms[j];
            if (!vm->alive || node->agent == NULL) {
                continue;
            }
            char name[2] = {(char)('a' + j), '\0'}, quoted[16];
            const struct ph_assignment *row = sim_table_get(&node->assignments, sim->pools[i].name);
            (void)ph_text_format(quoted, sizeof(quoted), "\"name\":\"%s\"", name);
            if (row == NULL || row->order == NULL || strstr(row->order, quoted) == NULL) {
                sim_fail(sim, "%s: VM %s of %s lives and no stored order names it", node->name,
                    name, sim->pools[i].name);
            }
            struct ph_agent_event event = {
                .kind = PH_AE_VM_ADOPTED, .pool = sim->pools[i].name, .vm = name, .pid = vm->pid};
            sim_agent_step(sim, index, &event);
        }
    }
}

void sim_agent_begin(struct sim *sim, struct sim_event *event)
{
    struct sim_node *node = &sim->nodes[event->node];
    if (event->life == node->agent_life && node->agent == NULL && node->powered &&
        !sim_deferred(sim, event, node->asleep_until_us)) {
        sim_agent_start(sim, event->node);
    }
}

void sim_agent_start(struct sim *sim, int index)
{
    struct sim_node *node = &sim->nodes[index];
    static char endpoint[32];
    struct ph_agent_facts facts = {.name = node->name, .copies_parallel = 2};
    memcpy(node->previous, node->instance, sizeof(node->previous));
    (void)ph_text_format(node->instance, sizeof(node->instance), "i%lld-%lld",
        (long long)node->power_life, (long long)node->agent_life);
    facts.instance = node->instance;
    facts.previous = node->previous;
    (void)ph_text_format(endpoint, sizeof(endpoint), "tcp://%s:1", node->name);
    facts.hello.endpoint = endpoint;
    facts.hello.cpu = 64000;
    facts.hello.memory_mib = 1 << 20;
    facts.hello.disk_mib = 1 << 20;
    /* Its watchdog bites when stop_ms is over and something is left (guard.c). */
    facts.hello.watchdog_ms = (int64_t)sim->config.timing.stop_ms;
    if (ph_texts_add(&facts.hello.drivers, "directory") != 0 ||
        ph_texts_add(&facts.hello.drivers, "process") != 0 ||
        ph_agent_new(&facts, &node->agent) != 0) {
        sim_fail(sim, "the core of %s cannot be made", node->name);
    }
    ph_texts_fini(&facts.hello.drivers);
    node->wake_us = 0;
    node->crash_after = -1;
    node->crash_for_us = SIM_SECOND;
    sim_trace(sim, node->name, "agent starts as %s", node->instance);
    load(sim, node, &node->metas);
    load(sim, node, &node->assignments);
    load(sim, node, &node->witnesses);
    load_disks(sim, node);
    struct ph_agent_event ready = {.kind = PH_AE_GUARD_READY,
        .generation = node->page_generation,
        .deadline_ms = node->page_deadline_ms,
        .clean = node->page_clean};
    sim_agent_step(sim, index, &ready);
    adopt(sim, index);
    if (node->agent != NULL) {
        struct ph_agent_event tick = {.kind = PH_AE_TICK};
        sim_agent_step(sim, index, &tick);
    }
}

void sim_agent_drop(struct sim *sim, int index, bool power)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->agent == NULL) {
        return;
    }
    if (node->outbox.committing > 0 && sim->now_us >= node->full_until_us &&
        sim_chance(&node->random, 0.5)) {
        for (size_t i = 0; i < node->outbox.committing; i++) {
            if (node->outbox.items[i].kind != SIM_DO) {
                sim_agent_save(sim, node, &node->outbox.items[i]);
            }
        }
    }
    sim_outbox_clear(&node->outbox);
    ph_agent_effects_clear(&node->effects);
    ph_agent_destroy(&node->agent);
    node->agent_life++;
    node->paused_until_us = 0;
    sim_tasks_die(sim, index, power);
    for (int i = 0; i < sim->pool_count; i++) {
        node->disks[i].allowed = false; /* the stream server dies with it */
    }
}

void sim_agent_crash(struct sim *sim, int index, uint64_t back_after_us)
{
    struct sim_node *node = &sim->nodes[index];
    if (node->agent == NULL) {
        return;
    }
    sim->stats.crashes++;
    sim_trace(sim, node->name, "agent dies");
    sim_agent_drop(sim, index, false);
    sim_trouble(sim, sim->now_us + back_after_us);
    sim_at(sim, sim->now_us + back_after_us,
        (struct sim_event){.run = sim_agent_begin, .node = index, .life = node->agent_life});
}
