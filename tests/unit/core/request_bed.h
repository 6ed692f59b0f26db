/* A core with a few rows, asked one request after the other. Time stands still unless a test moves it. */
#ifndef PH_TEST_REQUEST_BED_H
#define PH_TEST_REQUEST_BED_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "manager/core/core.h"

#define BED_NOW_MS 1000000
#define BED_WALL_MS INT64_C(1800000000000)

struct bed {
    struct ph_core *core;
    struct ph_effects effects; /* of the last request */
    uint64_t now_ms;
    int64_t wall_ms;
    const char *sender;
    enum ph_role role;
    const char *secret, *secret_hash;
};

static inline struct bed *bed_new(void)
{
    struct bed *bed = calloc(1, sizeof *bed);
    struct ph_core_config config;

    assert_non_null(bed);
    ph_core_config_default(&config);
    assert_int_equal(ph_core_new(&config, 7, "manager-one", "cluster-one", &bed->core), 0);
    bed->now_ms = BED_NOW_MS;
    bed->wall_ms = BED_WALL_MS;
    bed->sender = "alice";
    bed->role = PH_ROLE_ADMIN;
    return bed;
}

static inline void bed_free(struct bed *bed)
{
    struct ph_error error = {0};

    if (!ph_core_validate(bed->core, &error))
        fail_msg("%s: %s", error.field, error.message);
    ph_effects_fini(&bed->effects);
    ph_core_destroy(&bed->core);
    assert_null(bed->core);
    free(bed);
}

/* Loads the row and frees what it owns. */
static inline void bed_load(struct bed *bed, const struct ph_record *record, void *row)
{
    struct ph_error error = {0};

    if (ph_core_load(bed->core, record, row, &error) != 0)
        fail_msg("%s: %s: %s", record->name, error.field, error.message);
    ph_record_fini(record, row);
}

/* An online node of 4 processors, 8 GiB and 100,000 MiB of disk. */
static inline void bed_node(struct bed *bed, const char *name)
{
    struct ph_node row = {.state = PH_NODE_ONLINE,
        .generation = 1,
        .granting = true,
        .cpu = 4000,
        .memory_mib = 8192,
        .disk_mib = 100000};

    ph_text_format(row.name, sizeof row.name, "%s", name);
    assert_int_equal(ph_texts_add(&row.drivers, "directory"), 0);
    assert_int_equal(ph_texts_add(&row.drivers, "process"), 0);
    assert_int_equal(ph_set_text(&row.version, "0.1.0"), 0);
    bed_load(bed, &ph_record_node, &row);
}

static inline void bed_ready(struct bed *bed)
{
    assert_int_equal(
        ph_core_ready(bed->core, bed->now_ms, bed->wall_ms, 100, 10, &bed->effects), 0);
    ph_effects_clear(&bed->effects);
}

/* Three nodes, n1 to n3, and ready. */
static inline struct bed *bed_three(void)
{
    struct bed *bed = bed_new();

    bed_node(bed, "n1");
    bed_node(bed, "n2");
    bed_node(bed, "n3");
    bed_ready(bed);
    return bed;
}

/* Asks, and returns the one answer. */
static inline const struct ph_effect *bed_ask(
    struct bed *bed, enum ph_message_type type, const void *body)
{
    struct ph_event_in in = {.kind = PH_EV_REQUEST,
        .now_ms = bed->now_ms,
        .wall_ms = bed->wall_ms,
        .sender = bed->sender,
        .role = bed->role,
        .type = type,
        .body = body,
        .request = 42,
        .random_secret = bed->secret,
        .random_secret_hash = bed->secret_hash};
    const struct ph_effect *answer = NULL;

    ph_effects_clear(&bed->effects);
    assert_int_equal(ph_core_step(bed->core, &in, &bed->effects), 0);
    for (size_t i = 0; i < bed->effects.count; i++) {
        const struct ph_effect *effect = &bed->effects.items[i];
        struct ph_error error = {0};

        /* Whatever is stored or said keeps to its description. */
        if (effect->record != NULL && effect->kind != PH_EF_REMOVE &&
            ph_record_check(effect->record, effect->value, &error) != 0)
            fail_msg("%s: %s: %s", effect->record->name, error.field, error.message);
        if (effect->kind != PH_EF_ANSWER)
            continue;
        assert_null(answer);
        assert_int_equal(effect->request, 42);
        answer = effect;
    }
    assert_non_null(answer);
    return answer;
}

/* Asks, and returns the body of an answer of this type. */
static inline void *bed_get(
    struct bed *bed, enum ph_message_type type, const void *body, enum ph_message_type answer_type)
{
    const struct ph_effect *answer = bed_ask(bed, type, body);

    if (answer->type == PH_MSG_PROBLEM && answer_type != PH_MSG_PROBLEM) {
        const struct ph_problem *problem = answer->value;

        fail_msg("%s: %s (%s)", problem->code, problem->message,
            problem->field == NULL ? "" : problem->field);
    }
    assert_string_equal(ph_messages[answer->type].type, ph_messages[answer_type].type);
    return answer->value;
}

/* Asks for something that is refused with this code, this field, and these words in the message. */
static inline void bed_refused(struct bed *bed, enum ph_message_type type, const void *body,
    const char *code, const char *field, const char *words)
{
    const struct ph_problem *problem = bed_get(bed, type, body, PH_MSG_PROBLEM);

    assert_string_equal(problem->code, code);
    assert_string_equal(problem->field == NULL ? "" : problem->field, field);
    if (strstr(problem->message, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", problem->message, words);
    /* All or nothing: a refusal stores nothing. */
    for (size_t i = 0; i < bed->effects.count; i++)
        assert_int_equal(bed->effects.items[i].kind, PH_EF_ANSWER);
}

static inline size_t bed_saved(const struct bed *bed, const struct ph_record *record)
{
    size_t count = 0;

    for (size_t i = 0; i < bed->effects.count; i++)
        count += bed->effects.items[i].kind == PH_EF_SAVE && bed->effects.items[i].record == record;
    return count;
}

/* The event of this kind of the last request, or NULL. */
static inline const struct ph_event *bed_event(const struct bed *bed, const char *kind)
{
    for (size_t i = 0; i < bed->effects.count; i++) {
        const struct ph_event *event = bed->effects.items[i].value;

        if (bed->effects.items[i].kind == PH_EF_SAVE &&
            bed->effects.items[i].record == &ph_record_event && strcmp(event->kind, kind) == 0)
            return event;
    }
    return NULL;
}

/* ---- declarations ---- */
static inline struct ph_pool_spec *bed_spec(struct ph_apply *apply, const char *name)
{
    struct ph_pool_spec *spec =
        ph_many_add(&ph_record_pool_spec, (struct ph_many *)(void *)&apply->pools);

    assert_non_null(spec);
    ph_text_format(spec->name, sizeof spec->name, "%s", name);
    ph_text_format(spec->driver, sizeof spec->driver, "directory");
    spec->cpu = 500;
    spec->memory_mib = 512;
    spec->disk_mib = 1000;
    return spec;
}

static inline struct ph_vm_spec *bed_vm(struct ph_pool_spec *spec, const char *name)
{
    struct ph_vm_spec *vm = ph_many_add(&ph_record_vm_spec, (struct ph_many *)(void *)&spec->vms);

    assert_non_null(vm);
    ph_text_format(vm->name, sizeof vm->name, "%s", name);
    ph_text_format(vm->kind, sizeof vm->kind, "process");
    assert_int_equal(ph_texts_add(&vm->command, "busybox"), 0);
    assert_int_equal(ph_texts_add(&vm->command, "{pool_path}/www"), 0);
    return vm;
}

static inline const struct ph_applied *bed_apply(struct bed *bed, const struct ph_apply *apply)
{
    return bed_get(bed, PH_MSG_APPLY, apply, PH_MSG_APPLIED);
}

static inline const struct ph_pool_view *bed_pool(struct bed *bed, const char *name)
{
    struct ph_named named = {0};
    const struct ph_pools_shown *shown;

    ph_text_format(named.name, sizeof named.name, "%s", name);
    shown = bed_get(bed, PH_MSG_POOL_SHOW, &named, PH_MSG_POOLS_SHOWN);
    assert_int_equal(shown->pools.count, 1);
    return &shown->pools.items[0];
}

#endif
