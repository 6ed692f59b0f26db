/*
 * A shell for the agent's core in a test: it keeps what was saved, lists what was sent and started, and
 * checks the invariants after each step. Nothing happens by itself: a test finishes each task.
 */
#ifndef PH_TEST_AGENT_WORLD_H
#define PH_TEST_AGENT_WORLD_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "agent/core/core.h"

#define WORLD_ROWS 64
#define WORLD_TASKS 64

struct world {
    struct ph_agent *agent;
    uint64_t now_ms;
    int instance;
    struct ph_agent_effects effects; /* of the last step */
    struct ph_assignment assignments[WORLD_ROWS];
    size_t assignment_count;
    struct ph_witness witnesses[WORLD_ROWS];
    struct ph_operation operations[WORLD_ROWS];
    size_t operation_count;
    size_t witness_count, peer_count;
    struct ph_meta metas[WORLD_ROWS];
    size_t meta_count;
    struct ph_task *tasks[WORLD_TASKS]; /* started and not finished; NULL: free */
    int64_t page_generation, page_clean;
    uint64_t page_deadline_ms;
    int64_t order_number, report_number;
    struct ph_order allowed; /* newest PH_AF_ALLOW */
    int fences;              /* PH_AF_FENCE so far */
    int allow_count;
    bool ended;
    int copies_parallel;
    void (*hook)(
        struct world *world, const struct ph_agent_effect *effect); /* before each effect */
    void *context;
    long crash_after; /* effects that are still performed before the process dies; negative: all */
    bool crashed;
};

static inline void world_save(struct world *world, const struct ph_record *record, const void *row)
{
    if (record == &ph_record_operation) {
        size_t i = 0;
        const struct ph_operation *operation = row;
        while (i < world->operation_count && world->operations[i].number != operation->number) {
            i++;
        }
        assert_true(i < WORLD_ROWS);
        assert_int_equal(ph_record_copy(record, &world->operations[i], row), 0);
        world->operation_count += i == world->operation_count;
        return;
    }
    if (record == &ph_record_witness) {
        size_t i = 0;
        const struct ph_witness *witness = row;
        while (i < world->witness_count && strcmp(world->witnesses[i].node, witness->node) != 0) {
            i++;
        }
        assert_true(i < WORLD_ROWS);
        assert_true(i == world->witness_count || world->witnesses[i].promised <= witness->promised);
        assert_int_equal(ph_record_copy(record, &world->witnesses[i], row), 0);
        world->witness_count += i == world->witness_count;
        return;
    }
    if (record == &ph_record_meta) {
        size_t i = 0;
        const struct ph_meta *meta = row;
        while (i < world->meta_count && strcmp(world->metas[i].key, meta->key) != 0) {
            i++;
        }
        assert_true(i < WORLD_ROWS);
        assert_int_equal(ph_record_copy(record, &world->metas[i], row), 0);
        world->meta_count += i == world->meta_count;
        return;
    }
    assert_ptr_equal(record, &ph_record_assignment);
    const struct ph_assignment *assignment = row;
    size_t i = 0;
    while (
        i < world->assignment_count && strcmp(world->assignments[i].pool, assignment->pool) != 0) {
        i++;
    }
    assert_true(i < WORLD_ROWS);
    assert_int_equal(ph_record_copy(record, &world->assignments[i], row), 0);
    world->assignment_count += i == world->assignment_count;
}

static inline void world_remove(
    struct world *world, const struct ph_record *record, const void *row)
{
    for (size_t i = 0; record == &ph_record_operation && i < world->operation_count; i++) {
        if (world->operations[i].number == ((const struct ph_operation *)row)->number) {
            ph_record_fini(record, &world->operations[i]);
            world->operations[i] = world->operations[--world->operation_count];
            memset(&world->operations[world->operation_count], 0, sizeof(struct ph_operation));
            return;
        }
    }
    for (size_t i = 0; record == &ph_record_witness && i < world->witness_count; i++) {
        if (strcmp(world->witnesses[i].node, row) == 0) {
            ph_record_fini(record, &world->witnesses[i]);
            world->witnesses[i] = world->witnesses[--world->witness_count];
            memset(&world->witnesses[world->witness_count], 0, sizeof(struct ph_witness));
            return;
        }
    }
    const struct ph_assignment *assignment = row;
    for (size_t i = 0; i < world->assignment_count; i++) {
        if (strcmp(world->assignments[i].pool, assignment->pool) == 0) {
            ph_record_fini(&ph_record_assignment, &world->assignments[i]);
            world->assignments[i] = world->assignments[world->assignment_count - 1];
            memset(&world->assignments[--world->assignment_count], 0, sizeof(struct ph_assignment));
            return;
        }
    }
}

static inline void world_keep_task(struct world *world, struct ph_agent_effect *effect)
{
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        if (world->tasks[i] == NULL) {
            world->tasks[i] = effect->task;
            effect->task = NULL;
            return;
        }
    }
    fail_msg("too many tasks");
}

static inline void world_perform(struct world *world, struct ph_agent_effect *effect)
{
    switch (effect->kind) {
    case PH_AF_SAVE:
        world_save(world, effect->record, effect->value);
        break;
    case PH_AF_REMOVE:
        world_remove(world, effect->record, effect->value);
        break;
    case PH_AF_LEASE:
        if (effect->generation > world->page_generation) {
            assert_true(world->page_clean >= world->page_generation);
            world->page_generation = effect->generation;
            world->page_deadline_ms = effect->deadline_ms;
        } else {
            assert_int_equal(effect->generation, world->page_generation);
            assert_true(world->page_deadline_ms > world->now_ms);
            assert_true(effect->deadline_ms > world->page_deadline_ms);
            world->page_deadline_ms = effect->deadline_ms;
        }
        break;
    case PH_AF_TASK:
        world_keep_task(world, effect);
        break;
    case PH_AF_ALLOW:
        assert_int_equal(ph_record_copy(&ph_record_order, &world->allowed, effect->value), 0);
        world->allow_count++;
        break;
    case PH_AF_END:
        world->ended = true;
        break;
    case PH_AF_SEND:
        if (effect->type == PH_MSG_REPORT) {
            world->report_number = ((struct ph_report *)effect->value)->number;
        }
        break;
    case PH_AF_DIVERGED:
        break;
    case PH_AF_FENCE:
        world->fences++;
        break;
    case PH_AF_PEERS:
        world->peer_count = ((struct ph_voter_list *)effect->value)->witnesses.count;
        break;
    case PH_AF_SEND_PEER:
    case PH_AF_CANCEL:
    case PH_AF_NOTE:
        break;
    }
}

static inline void world_step(struct world *world, struct ph_agent_event *event)
{
    ph_agent_effects_clear(&world->effects);
    event->now_ms = world->now_ms;
    event->wall_ms = (int64_t)world->now_ms;
    assert_int_equal(ph_agent_step(world->agent, event, &world->effects), 0);
    for (size_t i = 0; i < world->effects.count && !world->crashed; i++) {
        if (world->crash_after == 0) {
            world->crashed = true;
            break;
        }
        world->crash_after -= world->crash_after > 0;
        if (world->hook != NULL) {
            world->hook(world, &world->effects.items[i]);
        }
        world_perform(world, &world->effects.items[i]);
    }
    struct ph_error error = {0};
    if (!ph_agent_validate(world->agent, &error)) {
        fail_msg("%s: %s", error.field, error.message);
    }
}

static inline void world_tick(struct world *world)
{
    struct ph_agent_event event = {.kind = PH_AE_TICK};
    world_step(world, &event);
}

static inline void world_message(struct world *world, enum ph_message_type type, const void *body)
{
    struct ph_agent_event event = {.kind = PH_AE_MESSAGE, .type = type, .body = body};
    world_step(world, &event);
}

/* Starts (or restarts) the agent over what is saved. */
static inline void world_boot(struct world *world)
{
    char instance[16], previous[16];
    ph_agent_destroy(&world->agent);
    (void)snprintf(previous, sizeof(previous), "i%d", world->instance);
    (void)snprintf(instance, sizeof(instance), "i%d", ++world->instance);
    struct ph_agent_facts facts = {.name = "n1",
        .instance = instance,
        .previous = previous,
        .copies_parallel = world->copies_parallel};
    assert_int_equal(ph_agent_new(&facts, &world->agent), 0);
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        ph_task_destroy(&world->tasks[i]);
    }
    struct ph_error error = {0};
    for (size_t i = 0; i < world->meta_count; i++) {
        assert_int_equal(ph_agent_load(world->agent, &ph_record_meta, &world->metas[i], &error), 0);
    }
    for (size_t i = 0; i < world->witness_count; i++) {
        assert_int_equal(
            ph_agent_load(world->agent, &ph_record_witness, &world->witnesses[i], &error), 0);
    }
    for (size_t i = 0; i < world->operation_count; i++) {
        assert_int_equal(
            ph_agent_load(world->agent, &ph_record_operation, &world->operations[i], &error), 0);
    }
    for (size_t i = 0; i < world->assignment_count; i++) {
        assert_int_equal(
            ph_agent_load(world->agent, &ph_record_assignment, &world->assignments[i], &error), 0);
    }
}

static inline void world_guard_ready(struct world *world)
{
    struct ph_agent_event event = {.kind = PH_AE_GUARD_READY,
        .generation = world->page_generation,
        .deadline_ms = world->page_deadline_ms,
        .clean = world->page_clean};
    world_step(world, &event);
}

static inline void world_guard_ended(struct world *world, const char *stuck)
{
    world->page_deadline_ms = 0;
    if (stuck == NULL) {
        world->page_clean = world->page_generation;
    }
    struct ph_agent_event event = {
        .kind = PH_AE_GUARD_ENDED, .generation = world->page_generation, .pool = stuck};
    world_step(world, &event);
}

static inline void world_new(struct world *world)
{
    memset(world, 0, sizeof(*world));
    world->crash_after = -1;
    world->now_ms = 1000;
    world_boot(world);
    world_guard_ready(world);
    world_tick(world);
}

static inline void world_destroy(struct world *world)
{
    ph_agent_destroy(&world->agent);
    ph_agent_effects_fini(&world->effects);
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        ph_task_destroy(&world->tasks[i]);
    }
    for (size_t i = 0; i < world->assignment_count; i++) {
        ph_record_fini(&ph_record_assignment, &world->assignments[i]);
    }
    for (size_t i = 0; i < world->witness_count; i++) {
        ph_record_fini(&ph_record_witness, &world->witnesses[i]);
    }
    for (size_t i = 0; i < world->operation_count; i++) {
        ph_record_fini(&ph_record_operation, &world->operations[i]);
    }
    for (size_t i = 0; i < world->meta_count; i++) {
        ph_record_fini(&ph_record_meta, &world->metas[i]);
    }
    ph_record_fini(&ph_record_order, &world->allowed);
}

/* The newest message of a type among the last step's effects, or NULL. */
static inline const void *world_sent(const struct world *world, enum ph_message_type type)
{
    for (size_t i = world->effects.count; i-- > 0;) {
        const struct ph_agent_effect *effect = &world->effects.items[i];
        if (effect->kind == PH_AF_SEND && effect->type == type) {
            return effect->value;
        }
    }
    return NULL;
}

static inline const struct ph_agent_effect *world_effect(
    const struct world *world, enum ph_agent_effect_kind kind)
{
    for (size_t i = 0; i < world->effects.count; i++) {
        if (world->effects.items[i].kind == kind) {
            return &world->effects.items[i];
        }
    }
    return NULL;
}

static inline const char *world_instance(const struct world *world)
{
    static char text[16];
    (void)snprintf(text, sizeof(text), "i%d", world->instance);
    return text;
}

static inline void world_welcome(struct world *world, int64_t term, int64_t generation)
{
    char manager[] = "m1";
    char instance[16];
    (void)snprintf(instance, sizeof(instance), "%s", world_instance(world));
    struct ph_welcome welcome = {.term = term,
        .manager = manager,
        .name = "n1",
        .generation = generation,
        .instance = instance,
        .beat_ms = 200,
        .lease_ms = 1200,
        .stop_ms = 500};
    world_message(world, PH_MSG_WELCOME, &welcome);
}

static inline void world_grant(struct world *world, int64_t term, const struct ph_beat *beat)
{
    char manager[] = "m1";
    struct ph_grant grant = {.number = beat->number,
        .boot_ms = beat->boot_ms,
        .generation = beat->generation,
        .term = term,
        .manager = manager,
        .lease_ms = 1200};
    world_message(world, PH_MSG_GRANT, &grant);
}

/* Moves time, ticking at each deadline; grants every beat at once under `term` (0: none). */
static inline void world_run(struct world *world, uint64_t span_ms, int64_t term)
{
    uint64_t end_ms = world->now_ms + span_ms;
    for (;;) {
        uint64_t due_ms = ph_agent_next_deadline_ms(world->agent);
        if (due_ms > end_ms) {
            break;
        }
        assert_true(due_ms >= world->now_ms);
        world->now_ms = due_ms;
        world_tick(world);
        const struct ph_beat *sent = world_sent(world, PH_MSG_BEAT);
        if (sent != NULL && term > 0) {
            struct ph_beat beat = *sent;
            world_grant(world, term, &beat);
        }
        /* A deadline that stays where it is after its tick would spin for ever. */
        assert_true(ph_agent_next_deadline_ms(world->agent) > world->now_ms);
    }
    world->now_ms = end_ms;
}

/* Admits the node and begins its lease. */
static inline void world_admit(struct world *world, int64_t term, int64_t generation)
{
    world_welcome(world, term, generation);
    const struct ph_beat *sent = world_sent(world, PH_MSG_BEAT);
    assert_non_null(sent);
    struct ph_beat beat = *sent;
    world_grant(world, term, &beat);
    assert_int_equal(world->page_generation, generation);
}

struct world_order {
    enum ph_order_kind kind;
    int64_t epoch, generation, term, interval_s;
    bool create, data_only;
    const char *vms[4]; /* names; "NAME=word" has the command word */
    const char *halted; /* the one of them that is; NULL: none */
    enum ph_restart_policy restart;
    int64_t start_delay_ms; /* of each VM */
    const char *peers[4];   /* "!NAME" is required */
    int64_t urgent;
    const char *sources[2];
    int64_t operations[4]; /* numbers of resets of the first VM */
};

static inline struct ph_many *world_many(void *member)
{
    return member;
}

static inline void world_fill_order(
    struct world *world, const char *pool, const struct world_order *given, struct ph_order *order)
{
    memset(order, 0, sizeof(*order));
    order->term = given->term == 0 ? 1 : given->term;
    (void)ph_set_text(&order->manager, "m1");
    order->generation = given->generation == 0 ? world->page_generation : given->generation;
    order->number = ++world->order_number;
    order->kind = given->kind;
    order->epoch = given->epoch;
    order->create = given->create;
    order->run = !given->data_only;
    (void)snprintf(order->pool.name, sizeof(order->pool.name), "%s", pool);
    (void)snprintf(order->pool.driver, sizeof(order->pool.driver), "directory");
    order->pool.sync_interval_s = given->interval_s;
    for (size_t i = 0; i < 4 && given->vms[i] != NULL; i++) {
        struct ph_vm *vm = ph_many_add(&ph_record_vm, world_many(&order->vms));
        const char *equal = strchr(given->vms[i], '=');
        size_t length = equal == NULL ? strlen(given->vms[i]) : (size_t)(equal - given->vms[i]);
        (void)snprintf(vm->name, sizeof(vm->name), "%.*s", (int)length, given->vms[i]);
        (void)snprintf(vm->pool, sizeof(vm->pool), "%s", pool);
        (void)snprintf(vm->kind, sizeof(vm->kind), "process");
        (void)ph_texts_add(&vm->command, equal == NULL ? "run" : equal + 1);
        vm->restart = given->restart;
        vm->start_delay_ms = given->start_delay_ms;
        vm->halted = given->halted != NULL && strcmp(vm->name, given->halted) == 0;
        vm->position = (int64_t)i;
    }
    for (size_t i = 0; i < 4 && given->peers[i] != NULL; i++) {
        struct ph_peer *peer = ph_many_add(&ph_record_peer, world_many(&order->copies));
        bool required = given->peers[i][0] == '!';
        (void)snprintf(peer->node, sizeof(peer->node), "%s", given->peers[i] + required);
        peer->required = required;
        peer->urgent = given->urgent;
    }
    for (size_t i = 0; i < 2 && given->sources[i] != NULL; i++) {
        struct ph_peer *peer = ph_many_add(&ph_record_peer, world_many(&order->sources));
        (void)snprintf(peer->node, sizeof(peer->node), "%s", given->sources[i]);
    }
    for (size_t i = 0; i < 4 && given->operations[i] != 0; i++) {
        struct ph_operation *operation =
            ph_many_add(&ph_record_operation, world_many(&order->operations));
        operation->number = given->operations[i];
        operation->epoch = given->epoch;
        operation->operation = PH_OPERATION_RESET;
        (void)snprintf(operation->pool, sizeof(operation->pool), "%s", pool);
        (void)snprintf(operation->vm, sizeof(operation->vm), "%s", given->vms[0]);
    }
}

static inline void world_order(
    struct world *world, const char *pool, const struct world_order *given)
{
    struct ph_order order;
    world_fill_order(world, pool, given, &order);
    world_message(world, PH_MSG_ORDER, &order);
    ph_record_fini(&ph_record_order, &order);
}

/* The unfinished task of a kind (and VM or peer, NULL: any), or NULL. */
static inline struct ph_task *world_task(
    const struct world *world, const char *pool, enum ph_task_kind kind, const char *name)
{
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        struct ph_task *task = world->tasks[i];
        if (task != NULL && task->kind == kind && strcmp(task->order.pool.name, pool) == 0 &&
            (name == NULL || strcmp(task->vm, name) == 0 || strcmp(task->peer.node, name) == 0)) {
            return task;
        }
    }
    return NULL;
}

static inline size_t world_task_count(const struct world *world)
{
    size_t count = 0;
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        count += world->tasks[i] != NULL;
    }
    return count;
}

static inline void world_result(struct world *world, struct ph_task *task,
    struct ph_task_result *result, enum ph_agent_event_kind kind)
{
    result->number = task->number;
    if (kind == PH_AE_TASK_ENDED || (kind == PH_AE_TASK_DONE && result->status != -ETIMEDOUT)) {
        for (size_t i = 0; i < WORLD_TASKS; i++) {
            if (world->tasks[i] == task) {
                ph_task_destroy(&world->tasks[i]);
            }
        }
    }
    struct ph_agent_event event = {.kind = kind, .result = result};
    world_step(world, &event);
}

/* Ends the task of that kind; it must be there. */
static inline void world_done(
    struct world *world, const char *pool, enum ph_task_kind kind, const char *name, int status)
{
    struct ph_task *task = world_task(world, pool, kind, name);
    if (task == NULL) {
        fail_msg("pool %s has no task of kind %d for %s", pool, (int)kind, name ? name : "any");
    }
    struct ph_task_result result = {.status = status, .reason = status == 0 ? NULL : "a reason"};
    if (status == 0 && kind == PH_TASK_ACTIVATE) {
        result.data_epoch = task->epoch;
    } else if (status == 0 && kind == PH_TASK_VM_START) {
        result.pid = 100 + task->number;
    } else if (status == 0 && kind == PH_TASK_COPY) {
        result.sequence = task->number;
        result.data_epoch = task->epoch;
        result.age_ms = 10;
    }
    world_result(world, task, &result, PH_AE_TASK_DONE);
}

static inline void world_vm_ended(struct world *world, const char *pool, const char *vm, int status)
{
    struct ph_agent_event event = {
        .kind = PH_AE_VM_ENDED, .pool = pool, .vm = vm, .exit_status = status};
    world_step(world, &event);
}

static inline const struct ph_assignment *world_row(const struct world *world, const char *pool)
{
    for (size_t i = 0; i < world->assignment_count; i++) {
        if (strcmp(world->assignments[i].pool, pool) == 0) {
            return &world->assignments[i];
        }
    }
    return NULL;
}

/* The newest report of the last step says this. */
static inline void world_expect(const struct world *world, enum ph_local_state state)
{
    const struct ph_report *report = world_sent(world, PH_MSG_REPORT);
    if (report == NULL) {
        fail_msg("no report was sent; expected %s", ph_enum_word(&ph_enum_local_state, (int)state));
    }
    assert_string_equal(ph_enum_word(&ph_enum_local_state, (int)report->state),
        ph_enum_word(&ph_enum_local_state, (int)state));
}

static inline enum ph_vm_state world_vm_state(const struct world *world, const char *vm)
{
    const struct ph_report *report = world_sent(world, PH_MSG_REPORT);
    assert_non_null(report);
    for (size_t i = 0; i < report->vms.count; i++) {
        if (strcmp(report->vms.items[i].name, vm) == 0) {
            return report->vms.items[i].state;
        }
    }
    fail_msg("no VM %s in the report", vm);
    return PH_VM_STOPPED;
}

/* One pool, active, with a single VM "web" unless others are given. */
static inline void world_activate(
    struct world *world, const char *pool, int64_t epoch, const struct world_order *given)
{
    struct world_order order = given != NULL ? *given : (struct world_order){.vms = {"web"}};
    order.kind = PH_ORDER_ACTIVATE;
    order.epoch = epoch;
    world_order(world, pool, &order);
    world_done(world, pool, PH_TASK_ACTIVATE, NULL, 0);
    for (size_t i = 0; i < 4 && order.vms[i] != NULL; i++) {
        world_done(world, pool, PH_TASK_VM_START, NULL, 0);
    }
}

#endif
