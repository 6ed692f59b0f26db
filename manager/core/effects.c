/*
 * What a step leaves behind: saves first, then what may be said once they are durable. A touched row
 * is saved once, as it stands at the end of the step.
 */
#include "manager/core/internal.h"

#include <stdlib.h>
#include <string.h>

/* The order of saving: a row comes after what it refers to. */
enum touched_kind {
    TOUCHED_META,
    TOUCHED_NODE,
    TOUCHED_POOL,
    TOUCHED_VM,
    TOUCHED_REPLICA,
    TOUCHED_JOB,
    TOUCHED_KINDS
};

void ph_effects_clear(struct ph_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        if (effects->items[i].value != NULL)
            ph_record_destroy(effects->items[i].record, &effects->items[i].value);
    }
    effects->count = 0;
}

void ph_effects_fini(struct ph_effects *effects)
{
    ph_effects_clear(effects);
    free(effects->items);
    *effects = (struct ph_effects){0};
}

static bool effects_reserve(struct ph_core *core, struct ph_effects *effects, size_t more)
{
    if (effects->count + more > effects->room) {
        size_t room = effects->room == 0 ? 16 : effects->room * 2;
        struct ph_effect *items;

        while (room < effects->count + more)
            room *= 2;
        items = realloc(effects->items, room * sizeof *items);
        if (items == NULL) {
            core->no_memory = true;
            return false;
        }
        effects->items = items;
        effects->room = room;
    }
    return true;
}

static struct ph_effect *effect_add(
    struct ph_core *core, struct ph_effects *effects, enum ph_effect_kind kind)
{
    struct ph_effect *effect;

    if (!effects_reserve(core, effects, 1))
        return NULL;
    effect = &effects->items[effects->count++];
    *effect = (struct ph_effect){.kind = kind};
    return effect;
}

static void effect_value(struct ph_core *core, struct ph_effect *effect,
    const struct ph_record *record, const void *value)
{
    if (effect == NULL)
        return;
    effect->record = record;
    effect->value = ph_record_new_copy(record, value);
    if (effect->value == NULL)
        core->no_memory = true;
}

static void effect_message(struct ph_core *core, struct ph_effect *effect, const char *node,
    uint64_t request, enum ph_message_type type, const void *body)
{
    if (effect == NULL)
        return;
    effect->type = type;
    effect->request = request;
    if (node != NULL)
        ph_text_format(effect->node, sizeof effect->node, "%s", node);
    effect_value(core, effect, ph_messages[type].record, body);
}

void core_save(struct ph_core *core, const struct ph_record *record, const void *row)
{
    effect_value(core, effect_add(core, core->effects, PH_EF_SAVE), record, row);
}

void core_remove(struct ph_core *core, const struct ph_record *record, const void *row)
{
    effect_value(core, effect_add(core, core->effects, PH_EF_REMOVE), record, row);
}

/* A node whose own link is broken gets its orders through a witness as well. */
static void relay(
    struct ph_core *core, const char *name, enum ph_message_type type, const void *body)
{
    const struct core_node *node = core_find_node(core, name);
    const char *via = node == NULL ? NULL : core_node_via(core, node);
    const struct ph_record *record = ph_messages[type].record;
    struct ph_relay relay = {0};
    struct ph_many *list =
        (struct ph_many *)(void *)(type == PH_MSG_ORDER ? (void *)&relay.orders
                                                        : (void *)&relay.report_oks);

    if (via == NULL || (type != PH_MSG_ORDER && type != PH_MSG_REPORT_OK))
        return;
    void *item = ph_many_add(record, list);

    if (item == NULL || ph_record_copy(record, item, body) != 0)
        core->no_memory = true;
    ph_text_format(relay.node, sizeof relay.node, "%s", name);
    effect_message(core, effect_add(core, &core->later, PH_EF_SEND), via, 0, PH_MSG_RELAY, &relay);
    ph_record_fini(&ph_record_relay, &relay);
}

void core_send(struct ph_core *core, const char *node, enum ph_message_type type, const void *body)
{
    relay(core, node, type, body);
    effect_message(core, effect_add(core, &core->later, PH_EF_SEND), node, 0, type, body);
}

void core_grant(struct ph_core *core, const char *node, enum ph_message_type type, const void *body)
{
    effect_message(core, effect_add(core, core->effects, PH_EF_GRANT), node, 0, type, body);
}

void core_fence(struct ph_core *core, const char *node, const struct ph_fence_run *run)
{
    effect_message(
        core, effect_add(core, &core->later, PH_EF_FENCE), node, 0, PH_MSG_FENCE_RUN, run);
}

void core_answer(
    struct ph_core *core, const struct ph_event_in *in, enum ph_message_type type, const void *body)
{
    effect_message(
        core, effect_add(core, &core->later, PH_EF_ANSWER), NULL, in->request, type, body);
}

static void take_message(
    struct ph_core *core, struct ph_effect *effect, enum ph_message_type type, void *body)
{
    const struct ph_record *record = ph_messages[type].record;

    if (effect == NULL || (effect->value = malloc(record->size)) == NULL) {
        core->no_memory = true;
        ph_record_fini(record, body);
        return;
    }
    effect->type = type;
    effect->record = record;
    memcpy(effect->value, body, record->size);
    memset(body, 0, record->size);
}

void core_answer_take(
    struct ph_core *core, const struct ph_event_in *in, enum ph_message_type type, void *body)
{
    struct ph_effect *effect = effect_add(core, &core->later, PH_EF_ANSWER);

    if (effect != NULL)
        effect->request = in->request;
    take_message(core, effect, type, body);
}

void core_send_take(struct ph_core *core, const char *node, enum ph_message_type type, void *body)
{
    struct ph_effect *effect;

    relay(core, node, type, body);
    effect = effect_add(core, &core->later, PH_EF_SEND);
    if (effect != NULL)
        ph_text_format(effect->node, sizeof effect->node, "%s", node);
    take_message(core, effect, type, body);
}

void core_answer_done(
    struct ph_core *core, const struct ph_event_in *in, int64_t job, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    struct ph_done done = {.job = job, .message = text};
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    core_answer(core, in, PH_MSG_DONE, &done);
}

int core_problem(struct ph_core *core, const struct ph_event_in *in, enum ph_code code,
    const char *field, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1], word[33], where[129];
    struct ph_problem problem = {.code = word, .message = text, .field = where};
    va_list arguments;

    ph_text_format(word, sizeof word, "%s", ph_code_name(code));
    ph_text_format(where, sizeof where, "%s", field == NULL ? "" : field);
    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    core_answer(core, in, PH_MSG_PROBLEM, &problem);
    return 0;
}

static void event_save(struct ph_core *core, enum ph_event_level level, const char *kind,
    const struct core_about *about, char *text)
{
    struct ph_event event = {.id = ++core->last_event_id,
        .at = core->wall_ms,
        .level = level,
        .term = core->term,
        .message = text};

    ph_text_format(event.kind, sizeof event.kind, "%s", kind);
    if (about->node != NULL)
        ph_text_format(event.node, sizeof event.node, "%s", about->node->row.name);
    if (about->pool != NULL) {
        ph_text_format(event.pool, sizeof event.pool, "%s", about->pool->row.name);
        event.epoch = about->pool->row.epoch;
    }
    if (about->who != NULL)
        ph_text_format(event.who, sizeof event.who, "%s", about->who);
    event.job = about->job != NULL ? about->job->row.id : about->job_id;
    if (event.job == 0 && about->pool != NULL && about->pool->job != NULL)
        event.job = about->pool->job->row.id;
    core_save(core, &ph_record_event, &event);
}

void core_event(struct ph_core *core, enum ph_event_level level, const char *kind,
    const struct core_about *about, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    event_save(core, level, kind, about, text);
}

void core_command(struct ph_core *core, const struct ph_event_in *in,
    const struct core_about *about, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    struct core_about with = *about;
    va_list arguments;

    with.who = in->sender;
    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    event_save(core, PH_EVENT_INFO, "command", &with, text);
}

void core_set_text(struct ph_core *core, char **member, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (strcmp(*member == NULL ? "" : *member, text) != 0 && ph_set_text(member, text) != 0)
        core->no_memory = true;
}

void core_set_text_long(struct ph_core *core, char **member, const char *text)
{
    if (ph_set_text(member, text) != 0)
        core->no_memory = true;
}

/* ---- touching ---- */
static void touch(struct ph_core *core, bool *save, int kind, void *owner)
{
    if (*save)
        return;
    if (core->touched_count == core->touched_room) {
        size_t room = core->touched_room == 0 ? 64 : core->touched_room * 2;
        struct core_touched *items = realloc(core->touched, room * sizeof *items);

        if (items == NULL) {
            core->no_memory = true;
            return;
        }
        core->touched = items;
        core->touched_room = room;
    }
    core->touched[core->touched_count++] = (struct core_touched){.kind = kind, .owner = owner};
    *save = true;
}

void core_untouch(struct ph_core *core, void *owner)
{
    for (size_t i = 0; i < core->touched_count; i++) {
        if (core->touched[i].owner == owner)
            core->touched[i].owner = NULL;
    }
}

void core_node_touch(struct ph_core *core, struct core_node *node)
{
    touch(core, &node->save, TOUCHED_NODE, node);
}

void core_pool_touch(struct ph_core *core, struct core_pool *pool)
{
    touch(core, &pool->save, TOUCHED_POOL, pool);
    core_pool_dirty(core, pool);
}

void core_peer_touch(struct ph_core *core, struct core_peer *peer)
{
    peer->stored = true;
    touch(core, &peer->save, TOUCHED_REPLICA, peer);
}

void core_vm_touch(struct ph_core *core, struct core_vm *vm)
{
    touch(core, &vm->save, TOUCHED_VM, vm);
}

void core_job_touch(struct ph_core *core, struct core_job *job)
{
    touch(core, &job->save, TOUCHED_JOB, job);
}

void core_meta_set(struct ph_core *core, const char *key, const char *value)
{
    struct ph_meta *meta = ph_map_get(&core->metas, key);

    if (meta == NULL) {
        meta = calloc(1, sizeof *meta);
        if (meta == NULL) {
            core->no_memory = true;
            return;
        }
        ph_text_format(meta->key, sizeof meta->key, "%s", key);
        if (ph_map_put(&core->metas, meta->key, meta) != 0) {
            free(meta);
            core->no_memory = true;
            return;
        }
    } else if (strcmp(meta->value == NULL ? "" : meta->value, value) == 0) {
        return;
    }
    core_set_text(core, &meta->value, "%s", value);
    core_save(core, &ph_record_meta, meta);
}

const char *core_meta_get(const struct ph_core *core, const char *key)
{
    const struct ph_meta *meta = ph_map_get(&core->metas, key);

    return meta == NULL || meta->value == NULL ? "" : meta->value;
}

void core_meta_forget(struct ph_core *core, const char *key)
{
    struct ph_meta *meta = ph_map_remove(&core->metas, key);

    if (meta == NULL)
        return;
    core_remove(core, &ph_record_meta, meta);
    ph_record_fini(&ph_record_meta, meta);
    free(meta);
}

static void flush_one(struct ph_core *core, const struct core_touched *touched)
{
    struct core_peer *peer;

    switch ((enum touched_kind)touched->kind) {
    case TOUCHED_NODE:
        core_save(core, &ph_record_node, &((struct core_node *)touched->owner)->row);
        ((struct core_node *)touched->owner)->save = false;
        break;
    case TOUCHED_POOL:
        core_save(core, &ph_record_pool, &((struct core_pool *)touched->owner)->row);
        ((struct core_pool *)touched->owner)->save = false;
        break;
    case TOUCHED_VM:
        core_save(core, &ph_record_vm, &((struct core_vm *)touched->owner)->row);
        ((struct core_vm *)touched->owner)->save = false;
        break;
    case TOUCHED_REPLICA:
        peer = touched->owner;
        if (peer->stored)
            core_save(core, &ph_record_replica, &peer->row);
        peer->save = false;
        break;
    case TOUCHED_JOB:
        core_save(core, &ph_record_job, &((struct core_job *)touched->owner)->row);
        ((struct core_job *)touched->owner)->save = false;
        break;
    case TOUCHED_META:
    case TOUCHED_KINDS:
        break;
    }
}

void core_flush(struct ph_core *core)
{
    for (int kind = 0; core->touched_count > 0 && kind < TOUCHED_KINDS; kind++) {
        for (size_t i = 0; i < core->touched_count; i++) {
            if (core->touched[i].owner != NULL && core->touched[i].kind == kind)
                flush_one(core, &core->touched[i]);
        }
    }
    core->touched_count = 0;
    if (core->later.count == 0 || !effects_reserve(core, core->effects, core->later.count))
        return;
    memcpy(&core->effects->items[core->effects->count], core->later.items,
        core->later.count * sizeof *core->later.items);
    core->effects->count += core->later.count;
    core->later.count = 0; /* moved: nothing of it is ours any more */
}
