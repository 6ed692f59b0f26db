#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void ph_task_destroy(struct ph_task **task)
{
    if (*task == NULL) {
        return;
    }
    ph_record_fini(&ph_record_order, &(*task)->order);
    ph_record_fini(&ph_record_peer, &(*task)->peer);
    ph_record_fini(&ph_record_operation, &(*task)->operation);
    free(*task);
    *task = NULL;
}

void ph_agent_effects_clear(struct ph_agent_effects *effects)
{
    for (size_t i = 0; i < effects->count; i++) {
        struct ph_agent_effect *effect = &effects->items[i];
        if (effect->value != NULL) {
            ph_record_destroy(effect->record, &effect->value);
        }
        ph_task_destroy(&effect->task);
        free(effect->text);
    }
    effects->count = 0;
}

void ph_agent_effects_fini(struct ph_agent_effects *effects)
{
    ph_agent_effects_clear(effects);
    free(effects->items);
    memset(effects, 0, sizeof(*effects));
}

/* A zeroed effect, or NULL: then the step fails as a whole, and the process reloads. */
static struct ph_agent_effect *add(struct ph_agent *agent, enum ph_agent_effect_kind kind)
{
    struct ph_agent_effects *effects = agent->effects;
    if (effects->count == effects->room) {
        size_t room = effects->room == 0 ? 16 : effects->room * 2;
        struct ph_agent_effect *items = realloc(effects->items, room * sizeof(*items));
        if (items == NULL) {
            agent->out_of_memory = true;
            return NULL;
        }
        effects->items = items;
        effects->room = room;
    }
    struct ph_agent_effect *effect = &effects->items[effects->count++];
    memset(effect, 0, sizeof(*effect));
    effect->kind = kind;
    return effect;
}

static void add_value(struct ph_agent *agent, enum ph_agent_effect_kind kind,
    const struct ph_record *record, const void *value)
{
    void *copy = ph_record_new_copy(record, value);
    struct ph_agent_effect *effect = copy == NULL ? NULL : add(agent, kind);
    if (effect == NULL) {
        agent->out_of_memory = true;
        if (copy != NULL) {
            ph_record_destroy(record, &copy);
        }
        return;
    }
    effect->record = record;
    effect->value = copy;
}

void ph_agent_send_owned(
    struct ph_agent *agent, enum ph_message_type type, void *body, bool at_once)
{
    ph_agent_relay_report(agent, type, body);
    struct ph_agent_effect *effect = add(agent, PH_AF_SEND);
    if (effect == NULL) {
        ph_record_destroy(ph_messages[type].record, &body);
        return;
    }
    effect->type = type;
    effect->at_once = at_once;
    effect->record = ph_messages[type].record;
    effect->value = body;
}

void ph_agent_send(
    struct ph_agent *agent, enum ph_message_type type, const void *body, bool at_once)
{
    void *copy = ph_record_new_copy(ph_messages[type].record, body);
    if (copy == NULL) {
        agent->out_of_memory = true;
        return;
    }
    ph_agent_send_owned(agent, type, copy, at_once);
}

void ph_agent_send_peer(struct ph_agent *agent, const char *node, enum ph_message_type type,
    const void *body, bool at_once)
{
    void *copy = ph_record_new_copy(ph_messages[type].record, body);
    struct ph_agent_effect *effect = copy == NULL ? NULL : add(agent, PH_AF_SEND_PEER);
    if (effect == NULL) {
        agent->out_of_memory = true;
        if (copy != NULL) {
            ph_record_destroy(ph_messages[type].record, &copy);
        }
        return;
    }
    effect->type = type;
    effect->at_once = at_once;
    effect->record = ph_messages[type].record;
    effect->value = copy;
    (void)ph_text_format(effect->peer, sizeof(effect->peer), "%s", node);
}

void ph_agent_peers_effect(struct ph_agent *agent, const struct ph_voter_list *peers)
{
    add_value(agent, PH_AF_PEERS, &ph_record_voter_list, peers);
}

void ph_agent_save(struct ph_agent *agent, const struct ph_record *record, const void *row)
{
    add_value(agent, PH_AF_SAVE, record, row);
}

void ph_agent_remove(struct ph_agent *agent, const struct ph_record *record, const void *row)
{
    add_value(agent, PH_AF_REMOVE, record, row);
}

void ph_agent_allow(struct ph_agent *agent, const struct ph_order *order)
{
    add_value(agent, PH_AF_ALLOW, &ph_record_order, order);
}

void ph_agent_fence_effect(struct ph_agent *agent, const struct ph_fence_run *run)
{
    add_value(agent, PH_AF_FENCE, &ph_record_fence_run, run);
}

__attribute__((format(printf, 3, 0))) static void note(
    struct ph_agent *agent, enum ph_event_level level, const char *format, va_list arguments)
{
    char text[PH_TEXT_BYTES_MAX];
    (void)ph_text_vformat(text, sizeof(text), format, arguments);
    char *copy = ph_text_new("%s", text);
    struct ph_agent_effect *effect = copy == NULL ? NULL : add(agent, PH_AF_NOTE);
    if (effect == NULL) {
        agent->out_of_memory = true;
        free(copy);
        return;
    }
    effect->level = level;
    effect->text = copy;
}

void ph_agent_note(struct ph_agent *agent, enum ph_event_level level, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    note(agent, level, format, arguments);
    va_end(arguments);
}

void ph_agent_note_refused(struct ph_agent *agent, const char *format, ...)
{
    if (agent->now_ms < agent->lease.note_ms) {
        return;
    }
    agent->lease.note_ms = agent->now_ms + PH_AGENT_NOTE_MS;
    va_list arguments;
    va_start(arguments, format);
    note(agent, PH_EVENT_WARNING, format, arguments);
    va_end(arguments);
}

void ph_agent_lease_effect(struct ph_agent *agent, int64_t generation, uint64_t deadline_ms)
{
    struct ph_agent_effect *effect = add(agent, PH_AF_LEASE);
    if (effect != NULL) {
        effect->generation = generation;
        effect->deadline_ms = deadline_ms;
        effect->at_once = !agent->new_term;
    }
}

void ph_agent_cancel_effect(struct ph_agent *agent, int64_t number)
{
    struct ph_agent_effect *effect = add(agent, PH_AF_CANCEL);
    if (effect != NULL) {
        effect->number = number;
    }
}

void ph_agent_task_effect(struct ph_agent *agent, struct ph_task *task)
{
    struct ph_agent_effect *effect = add(agent, PH_AF_TASK);
    if (effect == NULL) {
        ph_task_destroy(&task);
        return;
    }
    effect->task = task;
    effect->number = task->number;
}

void ph_agent_end(struct ph_agent *agent, const char *reason)
{
    char *copy = ph_text_new("%s", reason);
    struct ph_agent_effect *effect = copy == NULL ? NULL : add(agent, PH_AF_END);
    if (effect == NULL) {
        agent->out_of_memory = true;
        free(copy);
        return;
    }
    effect->text = copy;
}

void ph_agent_on_diverged_drop(struct ph_agent *agent, const struct ph_diverged_drop *drop)
{
    if (!ph_agent_accept_term(agent, drop->term, drop->manager, "diverged.drop")) {
        return;
    }
    char *copy = ph_text_new("%s", drop->name);
    struct ph_agent_effect *effect = copy == NULL ? NULL : add(agent, PH_AF_DIVERGED);
    if (effect == NULL) {
        agent->out_of_memory = true;
        free(copy);
        return;
    }
    effect->text = copy;
}

void ph_agent_save_meta(struct ph_agent *agent, const char *key, const char *value)
{
    struct ph_meta row = {0};
    (void)ph_text_format(row.key, sizeof(row.key), "%s", key);
    if (ph_set_text(&row.value, value) != 0) {
        agent->out_of_memory = true;
        return;
    }
    ph_agent_save(agent, &ph_record_meta, &row);
    ph_record_fini(&ph_record_meta, &row);
}

void ph_agent_save_meta_int(struct ph_agent *agent, const char *key, int64_t value)
{
    char text[32];
    (void)ph_text_format(text, sizeof(text), "%lld", (long long)value);
    ph_agent_save_meta(agent, key, text);
}
