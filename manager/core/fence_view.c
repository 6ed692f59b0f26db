/*
 * Fence devices as people see them, and what doctor says of them. Reads only.
 */
#include "manager/core/doctor.h"
#include "manager/core/fencing.h"

#include <string.h>

static void view_device(
    struct ph_core *core, const struct core_device *device, struct ph_fence_view *view)
{
    const struct ph_fence_device *row = &device->row;

    memcpy(view->node, row->node, sizeof view->node);
    memcpy(view->name, row->name, sizeof view->name);
    view->level = row->level;
    core_copy_text(core, &view->agent, row->agent);
    core_copy_texts(core, &view->options, &row->options);
    core_copy_texts(core, &view->option_files, &row->option_files);
    core_copy_texts(core, &view->run_from, &row->run_from);
    view->delay_ms = row->delay_ms;
    view->timeout_ms = row->timeout_ms;
    view->attempts = row->attempts;
    view->power = row->power;
    view->checked_at = row->checked_at;
    memcpy(view->checked_from, row->checked_from, sizeof view->checked_from);
    view->failures = row->failures;
    core_copy_text(core, &view->reason, row->reason);
    ph_text_format(view->usable_from, sizeof view->usable_from, "%s",
        core_device_place(core, device, 0, NULL));
    view->busy = device->number != 0;
}

static void view_devices(
    struct ph_core *core, const struct core_node *node, struct ph_fence_view_list *list)
{
    for (size_t i = 0; node->fencing != NULL && i < node->fencing->count; i++) {
        struct ph_fence_view *view =
            ph_many_add(&ph_record_fence_view, (struct ph_many *)(void *)list);

        if (view == NULL) {
            core->no_memory = true;
            return;
        }
        view_device(core, node->fencing->devices[i], view);
    }
}

int ph_request_fence_list(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_fence_ask *asked = in->body;
    const struct core_node *node = core_find_node(core, asked->node);
    struct ph_fence_shown shown = {0};

    if (asked->node[0] != '\0' && node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", asked->node);
    if (node != NULL)
        view_devices(core, node, &shown.devices);
    for (size_t i = 0; node == NULL && i < core->nodes.count && !core->no_memory; i++)
        view_devices(core, core->nodes.items[i].value, &shown.devices);
    core_answer_take(core, in, PH_MSG_FENCE_SHOWN, &shown);
    return 0;
}

/* ---- doctor ---- */
/* Whether one level could switch it off by all that is known; its state as text. */
static bool level_works(
    const struct ph_core *core, const struct core_fencing *fencing, int64_t level)
{
    for (size_t i = 0; i < fencing->count; i++) {
        const struct core_device *device = fencing->devices[i];

        if (device->row.level == level &&
            ((device->row.power != PH_POWER_ON && device->row.power != PH_POWER_OFF) ||
                core_device_place(core, device, 0, NULL)[0] == '\0'))
            return false;
    }
    return true;
}

static bool some_level_works(const struct ph_core *core, const struct core_fencing *fencing)
{
    for (int64_t level = core_fence_next_level(fencing, 0); level != 0;
         level = core_fence_next_level(fencing, level)) {
        if (level_works(core, fencing, level))
            return true;
    }
    return false;
}

/* "ipmi from manager: on 12 s ago" */
static void device_say(
    const struct ph_core *core, const struct core_device *device, char *out, size_t size)
{
    const struct ph_fence_device *row = &device->row;
    const char *where = core_device_place(core, device, 0, NULL);
    long long age_s = (long long)(core->wall_ms - row->checked_at) / 1000;

    if (where[0] == '\0')
        ph_text_format(out, size, "%s/%s: reached by no node that is online", row->node, row->name);
    else if (row->checked_at == 0)
        ph_text_format(out, size, "%s/%s from %s: never tested", row->node, row->name, where);
    else
        ph_text_format(out, size, "%s/%s from %s: %s %lld s ago", row->node, row->name, where,
            ph_enum_word(&ph_enum_power_state, (int)row->power), age_s < 0 ? 0 : age_s);
}

void core_view_fencing(struct ph_core *core, const struct core_node *node, char **out)
{
    char text[3 * PH_NAME_BYTES_MAX + 64];
    struct core_names names = {0};

    if (node->fencing == NULL || node->fencing->count == 0)
        return;
    for (size_t i = 0; i < node->fencing->count; i++) {
        device_say(core, node->fencing->devices[i], text, sizeof text);
        core_names_add(&names, text);
    }
    core_copy_text(core, out, core_names_said(&names));
}

void core_find_fencing(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    struct core_names without = {0}, broken = {0}, sound = {0};
    char text[3 * PH_NAME_BYTES_MAX + 64];

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;
        const struct core_fencing *fencing = node->fencing;

        if (node->row.admin == PH_ADMIN_RETIRED)
            continue;
        if (fencing == NULL || fencing->count == 0) {
            core_names_add(&without, node->row.name);
            continue;
        }
        for (size_t j = 0; j < fencing->count; j++) {
            const struct ph_fence_device *row = &fencing->devices[j]->row;
            bool good = (row->power == PH_POWER_ON || row->power == PH_POWER_OFF) &&
                        core_device_place(core, fencing->devices[j], 0, NULL)[0] != '\0';

            device_say(core, fencing->devices[j], text, sizeof text);
            core_names_add(good ? &sound : &broken, text);
        }
        if (!some_level_works(core, fencing)) {
            ph_text_format(text, sizeof text, "%s as a whole", node->row.name);
            core_names_add(&broken, text);
        }
    }
    if (without.count > 0)
        core_broken(doctor, "fence-devices",
            "declare them (poolherd fence apply -f FILE); the wait is safe without them, and an "
            "operator who knows "
            "that a node is off can end it at once: poolherd node fence NAME --confirm-dead NAME",
            "nodes without a fence device: %s; when one falls silent its pools wait %llu ms for "
            "its lease to end",
            core_names_said(&without), (unsigned long long)core->takeover_ms);
    else if (core->nodes.count > 0)
        core_holds(doctor, "fence-devices", "every node has a fence device");
    if (broken.count > 0)
        core_broken(doctor, "fence-devices-work",
            "poolherd fence show NODE says what each device answered; poolherd fence test NODE "
            "asks again",
            "fence devices that did not answer, or cannot be reached: %s",
            core_names_said(&broken));
    if (sound.count > 0)
        core_holds(doctor, broken.count > 0 ? "fence-devices-others" : "fence-devices-work",
            "fence devices that answered: %s", core_names_said(&sound));
}
