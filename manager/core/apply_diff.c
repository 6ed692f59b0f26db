/*
 * What declaring a pool would change, field by field, as JSON before and after.
 */
#include "manager/core/request.h"

#include <stdlib.h>
#include <string.h>

#include "proto/codec.h"

#define VALUE_BYTES_MAX 65536               /* of one before or after, as in the catalogue */
#define ANSWER_BYTES_MAX (16 * 1024 * 1024) /* of all of them: the answer has to fit one message */

void core_apply_note(struct core_applying *applying, const char *action, const char *pool,
    const char *field, const char *before, const char *after)
{
    struct ph_core *core = applying->core;
    struct ph_change_list *list = &applying->answer.changes;

    if (list->count >= PH_LIST_ITEMS_MAX)
        return; /* the counts still say how much there is */
    struct ph_change *change = ph_many_add(&ph_record_change, (struct ph_many *)(void *)list);

    if (change == NULL) {
        core->no_memory = true;
        return;
    }
    core_copy_text(core, &change->action, action);
    ph_text_format(change->pool, sizeof change->pool, "%s", pool);
    core_copy_text(core, &change->field, field);
    applying->text_bytes += 128 + strlen(core_text(before)) + strlen(core_text(after));
    if (applying->text_bytes > ANSWER_BYTES_MAX)
        return; /* the field is named; its values are left out */
    core_copy_text(core, &change->before, before);
    core_copy_text(core, &change->after, after);
}

/* One field of a record as JSON text, owned by the caller; NULL without memory. */
char *core_field_json(
    const struct ph_record *record, const struct ph_field *field, const void *value)
{
    struct ph_record part = *record;
    char *text = NULL, *end, *cut;
    size_t bytes = 0, skip = strlen(field->name) + 4; /* {"name": */

    part.fields = field;
    part.field_count = 1;
    if (ph_encode(&part, value, PH_ENCODE_SHOWN, &text, &bytes) != 0)
        return NULL;
    end = bytes > skip ? text + bytes - 1 : NULL; /* the closing brace */
    if (end == NULL || *end != '}') {
        free(text);
        return ph_text_new("null");
    }
    *end = '\0';
    cut = bytes - skip > VALUE_BYTES_MAX ? ph_text_new("\"(too long to be shown)\"")
                                         : ph_text_new("%s", text + skip);
    free(text);
    return cut;
}

bool core_field_equal(
    const struct ph_record *record, const struct ph_field *field, const void *a, const void *b)
{
    struct ph_record part = *record;

    part.fields = field;
    part.field_count = 1;
    return ph_record_equal(&part, a, b);
}

static char *whole_json(const struct ph_record *record, const void *value)
{
    char *text = NULL;
    size_t bytes = 0;

    if (ph_encode(record, value, PH_ENCODE_SHOWN, &text, &bytes) != 0)
        return NULL;
    if (bytes <= VALUE_BYTES_MAX)
        return text;
    free(text);
    return ph_text_new("\"(too long to be shown)\"");
}

static const struct ph_vm_spec *find_vm(const struct ph_vm_spec_list *list, const char *name)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->items[i].name, name) == 0)
            return &list->items[i];
    }
    return NULL;
}

static void note_vm(struct core_applying *applying, const char *pool,
    const struct ph_vm_spec *before, const struct ph_vm_spec *after)
{
    char field[PH_NAME_BYTES_MAX + 8];
    char *old = before == NULL ? NULL : whole_json(&ph_record_vm_spec, before);
    char *new = after == NULL ? NULL : whole_json(&ph_record_vm_spec, after);

    /* cppcheck-suppress nullPointer; never both are NULL */
    ph_text_format(field, sizeof field, "vms.%s", (after != NULL ? after : before)->name);
    core_apply_note(applying, "change", pool, field, old, new);
    free(old);
    free(new);
}

static char *order_json(const struct ph_vm_spec_list *list)
{
    struct ph_pool_spec only = {0};
    char *text = NULL;
    bool whole = true;

    for (size_t i = 0; i < list->count; i++)
        whole = whole && ph_texts_add(&only.allow, list->items[i].name) == 0;
    if (whole)
        text = core_field_json(
            &ph_record_pool_spec, ph_record_field(&ph_record_pool_spec, "allow"), &only);
    ph_texts_fini(&only.allow);
    return text;
}

/* VMs by name: added, removed, changed; and their order when that is all that changed. */
static void note_vms(struct core_applying *applying, const struct ph_pool_spec *before,
    const struct ph_pool_spec *after)
{
    bool noted = false;

    for (size_t i = 0; i < before->vms.count; i++) {
        const struct ph_vm_spec *old = &before->vms.items[i];
        const struct ph_vm_spec *new = find_vm(&after->vms, old->name);

        if (new == NULL || !ph_record_equal(&ph_record_vm_spec, old, new)) {
            note_vm(applying, after->name, old, new);
            noted = true;
        }
    }
    for (size_t i = 0; i < after->vms.count; i++) {
        if (find_vm(&before->vms, after->vms.items[i].name) == NULL) {
            note_vm(applying, after->name, NULL, &after->vms.items[i]);
            noted = true;
        }
    }
    if (noted)
        return;
    char *old = order_json(&before->vms), *new = order_json(&after->vms);

    core_apply_note(applying, "change", after->name, "vms", old, new);
    free(old);
    free(new);
}

bool core_apply_diff(struct core_applying *applying, const struct core_pool *current,
    const struct ph_pool_spec *spec, bool *vms_changed_out)
{
    const struct ph_record *record = &ph_record_pool_spec;
    struct ph_pool_spec before = {0};
    bool changed = false;

    *vms_changed_out = current == NULL;
    if (current == NULL) {
        core_apply_note(applying, "add", spec->name, NULL, NULL, NULL);
        return true;
    }
    core_pool_spec(applying->core, current, &before);
    for (size_t i = 0; i < record->field_count; i++) {
        const struct ph_field *field = &record->fields[i];

        if (core_field_equal(record, field, &before, spec))
            continue;
        changed = true;
        if (strcmp(field->name, "vms") == 0) {
            *vms_changed_out = true;
            note_vms(applying, &before, spec);
            continue;
        }
        char *old = core_field_json(record, field, &before),
             *new = core_field_json(record, field, spec);

        core_apply_note(applying, "change", spec->name, field->name, old, new);
        free(old);
        free(new);
    }
    ph_record_fini(record, &before);
    return changed;
}
