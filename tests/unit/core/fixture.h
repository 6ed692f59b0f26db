/*
 * A small world around the manager's core: a store that keeps what it saves, a network that delays,
 * doubles, reorders and loses, and agents that behave as docs/conversation.md says. The world knows
 * what really runs, and fails the test at the instant a pool runs in two places.
 *
 * One seed decides everything. tests/sim plays the real agents; this one is for the core alone.
 */
#ifndef PH_TESTS_CORE_FIXTURE_H
#define PH_TESTS_CORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>
#include "manager/core/internal.h"

#define FX static inline
#define FX_NODES 6
#define FX_POOLS 12
#define FX_ROWS 4096
#define FX_STEP_MS 5
#define FX_BEATS 16

struct fx_row {
    const struct ph_record *record;
    void *value;
};

struct fx_message {
    uint64_t at_ms, order;
    bool to_manager;
    int node;
    enum ph_message_type type;
    void *body;
};

/* One pool on one node, as it really is. */
struct fx_local {
    char name[PH_NAME_BYTES_MAX + 1];
    struct ph_order order; /* newest taken in; durable */
    bool ordered;
    int64_t seen_epoch;
    enum ph_local_state state;
    int64_t epoch;                                  /* the report speaks of */
    int64_t data_epoch, data_sequence, data_serial; /* serial: which data it really is */
    uint64_t ready_ms;                              /* when what is under way is done */
    int64_t report_number;
    bool report_due, report_acked;
    bool operated; /* it does what its order names, and says so */
    uint64_t report_ms;
    uint64_t copy_ms[FX_NODES];
    int64_t urgent[FX_NODES];
    int64_t copy_number[FX_NODES];
    bool unsequenced;  /* changed since data_sequence */
    int fail_activate; /* so many activations fail */
    bool fail_always;
    bool slow_stop; /* stays deactivating until cleared */
};

struct fx_node {
    char name[16];
    bool enrolled, up, cut;
    int instance;
    int64_t generation, held; /* durable; held: of the lease */
    int64_t term;
    char manager[CORE_TEXT];
    bool welcomed, lease, ending; /* ending: the guard is stopping things */
    uint64_t ended_ms;
    uint64_t deadline_ms, next_beat_ms, next_hello_ms;
    int64_t beat_number;
    struct {
        int64_t number;
        uint64_t sent_ms;
    } beats[FX_BEATS];
    int pool_count;
    struct fx_local pools[FX_POOLS];
    uint64_t beats_granted;
    bool told_to_end;
    int64_t watchdog_ms; /* what it says of its watchdog */
    /* votes.h; voters, witnesses, serves and promised are durable */
    bool apart; /* no link to other nodes */
    int64_t voters, promised[FX_NODES];
    int witness_count;
    char witnesses[FX_NODES][PH_NAME_BYTES_MAX + 1];
    bool serves[FX_NODES];
    uint64_t booted_ms, voted_ms[FX_NODES], granted_until_ms[FX_NODES], next_ask_ms;
};

struct fixture {
    struct ph_core *core;
    struct ph_core_config config;
    int64_t term, last_event_id, last_job_id;
    uint64_t now_ms;
    int64_t wall_ms;
    uint64_t seed;
    struct ph_effects effects;
    size_t row_count;
    struct fx_row rows[FX_ROWS];
    struct fx_node nodes[FX_NODES];
    int node_count;
    size_t message_count, message_room;
    struct fx_message *messages;
    uint64_t message_order;
    /* the network */
    unsigned loss_percent, twice_percent;
    uint64_t delay_ms;
    /* crash of the manager in the middle of a step's effects: so many more effects are done; -1: never */
    int64_t crash_after;
    int crashes;
    bool manager_down;
    /* the last answer to a request, and what it asked for */
    enum ph_message_type answer_type;
    void *answer;
    uint64_t request;
    int64_t serial; /* data written so far */
    char *trace;    /* text of effects; NULL: not kept */
    size_t trace_bytes, trace_room;
    int fences;                /* calls of fence agents by the manager itself */
    struct ph_fence_run fence; /* the newest */
    uint64_t copy_every_ms;
    bool no_copies; /* copies do not arrive */
    bool validate;
    bool votes;   /* agents ask each other while the manager is silent */
    bool lawless; /* messages are made up: what runs where proves nothing */
    bool
        keeps_beats; /* agents go on counting on grants under way when they say hello without a lease */
};

static uint64_t fx_seed_said; /* for the judge's message */

FX uint64_t fx_random(struct fixture *fx)
{
    fx->seed ^= fx->seed << 13;
    fx->seed ^= fx->seed >> 7;
    fx->seed ^= fx->seed << 17;
    return fx->seed;
}

FX unsigned fx_dice(struct fixture *fx, unsigned sides)
{
    return (unsigned)(fx_random(fx) >> 11) % sides;
}

FX void fx_trace(struct fixture *fx, const char *format, ...) __attribute__((format(printf, 2, 3)));
FX void fx_trace(struct fixture *fx, const char *format, ...)
{
    char line[2048];
    va_list arguments;
    size_t bytes;

    if (fx->trace == NULL)
        return;
    va_start(arguments, format);
    ph_text_vformat(line, sizeof line, format, arguments);
    va_end(arguments);
    if (getenv("PH_TRACE") != NULL)
        fprintf(stderr, "%llu %s\n", (unsigned long long)(fx->now_ms - 1000000), line);
    bytes = strlen(line);
    if (fx->trace_bytes + bytes + 2 > fx->trace_room) {
        fx->trace_room = fx->trace_room * 2 + bytes + 2;
        fx->trace = realloc(fx->trace, fx->trace_room);
        assert_non_null(fx->trace);
    }
    memcpy(fx->trace + fx->trace_bytes, line, bytes);
    fx->trace_bytes += bytes;
    fx->trace[fx->trace_bytes++] = '\n';
    fx->trace[fx->trace_bytes] = '\0';
}

FX void fx_trace_on(struct fixture *fx)
{
    free(fx->trace);
    fx->trace = calloc(1, 4096);
    assert_non_null(fx->trace);
    fx->trace_room = 4096;
    fx->trace_bytes = 0;
}

/* ---- the store ---- */
FX bool fx_same_key(const struct ph_record *record, const void *a, const void *b)
{
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];
        const char *x = (const char *)a + field->offset, *y = (const char *)b + field->offset;

        if ((field->flags & PH_KEY) != PH_KEY)
            continue;
        if (field->kind == PH_FIELD_NAME ? strcmp(x, y) != 0 : memcmp(x, y, sizeof(int64_t)) != 0)
            return false;
    }
    return true;
}

FX void *fx_stored(struct fixture *fx, const struct ph_record *record, const void *like)
{
    for (size_t i = 0; i < fx->row_count; i++) {
        if (fx->rows[i].record == record && fx_same_key(record, fx->rows[i].value, like))
            return fx->rows[i].value;
    }
    return NULL;
}

FX void fx_store_save(struct fixture *fx, const struct ph_record *record, const void *value)
{
    struct ph_error error = {0};
    void *old;

    if (ph_record_check(record, value, &error) != 0)
        fail_msg("a %s row that is not valid is saved: %s: %s", record->name, error.field,
            error.message);
    if (record == &ph_record_event) {
        const struct ph_event *event = value;

        assert_true(event->id > fx->last_event_id);
        fx->last_event_id = event->id;
        return;
    }
    if (record == &ph_record_job && ((const struct ph_job *)value)->id > fx->last_job_id)
        fx->last_job_id = ((const struct ph_job *)value)->id;
    old = fx_stored(fx, record, value);
    if (old != NULL) {
        if (record == &ph_record_pool)
            assert_true(((const struct ph_pool *)value)->epoch >= ((struct ph_pool *)old)->epoch);
        if (record == &ph_record_node)
            assert_true(
                ((const struct ph_node *)value)->generation >= ((struct ph_node *)old)->generation);
        assert_int_equal(ph_record_copy(record, old, value), 0);
        return;
    }
    assert_true(fx->row_count < FX_ROWS);
    fx->rows[fx->row_count++] = (struct fx_row){record, ph_record_new_copy(record, value)};
}

FX void fx_store_remove(struct fixture *fx, const struct ph_record *record, const void *value)
{
    for (size_t i = 0; i < fx->row_count; i++) {
        if (fx->rows[i].record != record || !fx_same_key(record, fx->rows[i].value, value))
            continue;
        ph_record_destroy(record, &fx->rows[i].value);
        memmove(&fx->rows[i], &fx->rows[i + 1], (fx->row_count - i - 1) * sizeof fx->rows[0]);
        fx->row_count--;
        return;
    }
}

/* ---- the network ---- */
FX struct fx_node *fx_node(struct fixture *fx, const char *name)
{
    for (int i = 0; i < fx->node_count; i++) {
        if (strcmp(fx->nodes[i].name, name) == 0)
            return &fx->nodes[i];
    }
    return NULL;
}

FX void fx_post(
    struct fixture *fx, bool to_manager, int node, enum ph_message_type type, const void *body)
{
    unsigned copies = 1;

    if (fx->nodes[node].cut || (fx->loss_percent > 0 && fx_dice(fx, 100) < fx->loss_percent))
        return;
    if (fx->twice_percent > 0 && fx_dice(fx, 100) < fx->twice_percent)
        copies = 2;
    while (copies-- > 0) {
        struct fx_message *message;

        if (fx->message_count == fx->message_room) {
            fx->message_room = fx->message_room == 0 ? 256 : 2 * fx->message_room;
            fx->messages = realloc(fx->messages, fx->message_room * sizeof *fx->messages);
            assert_non_null(fx->messages);
        }
        message = &fx->messages[fx->message_count++];
        *message = (struct fx_message){
            .at_ms = fx->now_ms + (fx->delay_ms > 0 ? fx_dice(fx, (unsigned)fx->delay_ms) : 0),
            .order = ++fx->message_order,
            .to_manager = to_manager,
            .node = node,
            .type = type,
            .body = ph_record_new_copy(ph_messages[type].record, body)};
        assert_non_null(message->body);
    }
}

/* ---- what the manager does ---- */
FX void fx_manager_stop(struct fixture *fx)
{
    ph_core_destroy(&fx->core);
    ph_effects_clear(&fx->effects);
    fx->manager_down = true;
}

FX void fx_trace_save(struct fixture *fx, const struct ph_record *record, const void *value)
{
    if (record == &ph_record_event) {
        const struct ph_event *event = value;

        fx_trace(fx, "event %s%s%s%s%s%s: %s", event->kind, event->node[0] ? " node=" : "",
            event->node, event->pool[0] ? " pool=" : "", event->pool, event->job ? " job" : "",
            event->message);
    } else if (record == &ph_record_pool) {
        const struct ph_pool *pool = value;

        fx_trace(fx, "save pool %s %s node=%s epoch=%lld home=%s", pool->name,
            ph_enum_word(&ph_enum_pool_state, (int)pool->state), pool->node, (long long)pool->epoch,
            pool->home);
    } else if (record == &ph_record_node) {
        const struct ph_node *node = value;

        fx_trace(fx, "save node %s %s %s generation=%lld%s", node->name,
            ph_enum_word(&ph_enum_node_state, (int)node->state),
            ph_enum_word(&ph_enum_node_admin, (int)node->admin), (long long)node->generation,
            node->granting ? " granting" : "");
    } else if (record == &ph_record_job) {
        const struct ph_job *job = value;

        fx_trace(fx, "save job %lld %s %s %s target=%s", (long long)job->id,
            ph_enum_word(&ph_enum_job_kind, (int)job->kind),
            ph_enum_word(&ph_enum_job_state, (int)job->state),
            ph_enum_word(&ph_enum_job_phase, (int)job->phase), job->target);
    } else if (record == &ph_record_replica) {
        const struct ph_replica *replica = value;

        fx_trace(fx, "save replica %s on %s %s %lld.%lld", replica->pool, replica->node,
            ph_enum_word(&ph_enum_replica_state, (int)replica->state), (long long)replica->epoch,
            (long long)replica->sequence);
    }
}

FX void fx_trace_send(struct fixture *fx, const struct ph_effect *effect)
{
    if (effect->type == PH_MSG_ORDER) {
        const struct ph_order *order = effect->value;

        fx_trace(fx, "send %s order %s %s epoch=%lld copies=%zu", effect->node, order->pool.name,
            ph_enum_word(&ph_enum_order_kind, (int)order->kind), (long long)order->epoch,
            order->copies.count);
    } else if (effect->type != PH_MSG_REPORT_OK) {
        fx_trace(fx, "send %s %s", effect->node, ph_messages[effect->type].type);
    }
}

FX bool fx_crash(struct fixture *fx)
{
    if (fx->crash_after < 0 || fx->crash_after-- > 0)
        return false;
    fx->crash_after = -1;
    fx->crashes++;
    fx_manager_stop(fx);
    return true;
}

FX void fx_do_one(struct fixture *fx, struct ph_effect *effect)
{
    struct fx_node *node = fx_node(fx, effect->node);
    struct ph_error error = {0};

    switch (effect->kind) {
    case PH_EF_SEND:
    case PH_EF_GRANT:
        if (ph_record_check(effect->record, effect->value, &error) != 0)
            fail_msg("%s is not valid: %s: %s", ph_messages[effect->type].type, error.field,
                error.message);
        if (effect->kind == PH_EF_SEND)
            fx_trace_send(fx, effect);
        if (node != NULL)
            fx_post(fx, false, (int)(node - fx->nodes), effect->type, effect->value);
        break;
    case PH_EF_ANSWER:
        if (fx->answer != NULL)
            ph_record_destroy(ph_messages[fx->answer_type].record, &fx->answer);
        if (ph_record_check(effect->record, effect->value, &error) != 0)
            fail_msg("%s is not valid: %s: %s", ph_messages[effect->type].type, error.field,
                error.message);
        fx->answer_type = effect->type;
        fx->answer = effect->value;
        effect->value = NULL;
        assert_int_equal(effect->request, fx->request);
        fx->request++;
        break;
    case PH_EF_FENCE:
        fx->fences++;
        assert_int_equal(ph_record_copy(&ph_record_fence_run, &fx->fence, effect->value), 0);
        fx_trace(fx, "fence %s/%s %s", effect->node, fx->fence.device,
            ph_enum_word(&ph_enum_fence_action, (int)fx->fence.action));
        break;
    case PH_EF_SAVE:
    case PH_EF_REMOVE:
        break;
    }
}

/* Grants at once; then one commit of all saves; then the rest, in order. Returns false when the manager
 * "crashed" in between. */
FX bool fx_perform(struct fixture *fx)
{
    struct ph_effects *effects = &fx->effects;

    for (size_t i = 0; i < effects->count; i++) {
        if (effects->items[i].kind != PH_EF_GRANT)
            continue;
        fx_do_one(fx, &effects->items[i]);
        if (fx_crash(fx))
            return false;
    }
    if (effects->count > 0 && fx_crash(fx))
        return false;
    for (size_t i = 0; i < effects->count; i++) {
        struct ph_effect *effect = &effects->items[i];

        if (effect->kind == PH_EF_SAVE) {
            fx_trace_save(fx, effect->record, effect->value);
            fx_store_save(fx, effect->record, effect->value);
        } else if (effect->kind == PH_EF_REMOVE) {
            fx_store_remove(fx, effect->record, effect->value);
        }
    }
    for (size_t i = 0; i < effects->count; i++) {
        if (effects->items[i].kind == PH_EF_GRANT)
            continue;
        fx_do_one(fx, &effects->items[i]);
        if (effects->items[i].kind != PH_EF_SAVE && effects->items[i].kind != PH_EF_REMOVE &&
            fx_crash(fx))
            return false;
    }
    ph_effects_clear(effects);
    return true;
}

FX void fx_check(struct fixture *fx)
{
    struct ph_error error = {0};

    if (fx->validate && fx->core != NULL && !ph_core_validate(fx->core, &error))
        fail_msg("seed %llu: %s", (unsigned long long)fx_seed_said, error.message);
}

FX bool fx_step(struct fixture *fx, struct ph_event_in *event)
{
    bool alive;

    if (fx->core == NULL)
        return false;
    event->now_ms = fx->now_ms;
    event->wall_ms = fx->wall_ms;
    assert_int_equal(ph_core_step(fx->core, event, &fx->effects), 0);
    fx_check(fx);
    alive = fx_perform(fx);
    return alive;
}

FX void fx_tick(struct fixture *fx)
{
    struct ph_event_in event = {.kind = PH_EV_TICK};

    if (fx->core != NULL && ph_core_next_deadline_ms(fx->core) <= fx->now_ms)
        fx_step(fx, &event);
}

/* The fence agent that the manager called last (or the given call) answers. */
FX void fx_fence_answer(
    struct fixture *fx, const struct ph_fence_run *run, enum ph_power_state power)
{
    char reason[] = "as the test wants it";
    struct ph_fence_ran ran = {.number = run->number,
        .term = run->term,
        .action = run->action,
        .power = power,
        .reason = reason};
    struct ph_event_in event = {.kind = PH_EV_FENCE_DONE, .body = &ran};

    memcpy(ran.node, run->node, sizeof ran.node);
    memcpy(ran.device, run->device, sizeof ran.device);
    fx_step(fx, &event);
}

FX void fx_manager_start(struct fixture *fx)
{
    static const struct ph_record *const kinds[] = {&ph_record_meta, &ph_record_node,
        &ph_record_voter_set, &ph_record_pool, &ph_record_vm, &ph_record_replica,
        &ph_record_identity, &ph_record_fence_device, &ph_record_job};
    char id[32];
    struct ph_error error = {0};

    fx->term++;
    snprintf(id, sizeof id, "manager-%lld", (long long)fx->term);
    assert_int_equal(ph_core_new(&fx->config, fx->term, id, "cluster", &fx->core), 0);
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        for (size_t i = 0; i < fx->row_count; i++) {
            const struct ph_job *job = fx->rows[i].value;

            if (fx->rows[i].record != kinds[k])
                continue;
            if (kinds[k] == &ph_record_job && job->state != PH_JOB_QUEUED &&
                job->state != PH_JOB_RUNNING)
                continue;
            if (ph_core_load(fx->core, kinds[k], fx->rows[i].value, &error) != 0)
                fail_msg("load %s: %s: %s", kinds[k]->name, error.field, error.message);
        }
    }
    assert_int_equal(ph_core_ready(fx->core, fx->now_ms, fx->wall_ms, fx->last_event_id,
                         fx->last_job_id, &fx->effects),
        0);
    fx->manager_down = false;
    fx_check(fx);
    fx_perform(fx);
}

/* ---- requests ---- */
FX bool fx_ask(struct fixture *fx, enum ph_message_type type, const void *body)
{
    struct ph_event_in event = {.kind = PH_EV_REQUEST,
        .sender = "operator",
        .role = PH_ROLE_ADMIN,
        .type = type,
        .body = body,
        .request = fx->request};
    uint64_t before = fx->request;

    if (!fx_step(fx, &event))
        return false;
    assert_int_equal(fx->request, before + 1); /* answered exactly once */
    return true;
}

FX const char *fx_problem(const struct fixture *fx)
{
    return fx->answer_type == PH_MSG_PROBLEM ? ((const struct ph_problem *)fx->answer)->message
                                             : "";
}

FX int64_t fx_job_of_answer(const struct fixture *fx)
{
    if (fx->answer_type == PH_MSG_DONE)
        return ((const struct ph_done *)fx->answer)->job;
    if (fx->answer_type == PH_MSG_PLAN)
        return ((const struct ph_plan *)fx->answer)->job;
    fail_msg("the answer is %s: %s", ph_messages[fx->answer_type].type, fx_problem(fx));
    return 0;
}

#include "world.h"

#endif
