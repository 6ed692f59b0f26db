/*
 * fence.apply: the fence devices that are declared become those there are. All or nothing, and idempotent.
 *
 *     check everything  ->  compare everything  ->  (dry run: answer)  ->  change  ->  answer
 *
 * A node that the file names gets exactly the devices named there; one it does not name keeps its own, unless it
 * says prune. A device that is new or changed is asked for its status at once.
 */
#include "manager/core/fencing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Where in the file, and what is being made of it. */
struct fence_applying {
    struct ph_core *core;
    const struct ph_fence_apply *asked;
    struct ph_map named; /* node -> its struct ph_fence_node in the file */
    struct ph_fence_applied answer;
    struct ph_error error;
    size_t node, device; /* being checked */
};

static int fault(struct fence_applying *at, const char *field, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static int fault(struct fence_applying *at, const char *field, const char *format, ...)
{
    char path[128], text[900];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    if (at->device == SIZE_MAX)
        ph_text_format(path, sizeof path, "fencing[%zu].%s", at->node, field);
    else
        ph_text_format(
            path, sizeof path, "fencing[%zu].devices[%zu].%s", at->node, at->device, field);
    return ph_error_set(&at->error, PH_BAD_INPUT, path, "%s", text);
}

/* ---- checks ---- */
/* What cuts a node off from storage or a network, or only says something about it, leaves its pools running:
 * they live on its own disks. */
static int check_agent(struct fence_applying *at, const char *agent)
{
    static const char *const others[] = {"fence_scsi", "fence_mpath", "fence_brocade",
        "fence_cisco_mds", "fence_sanbox2", "fence_ifmib", "fence_hds_cb", "fence_kdump",
        "fence_heuristics_ping", "fence_ack_manual", "fence_evacuate", "fence_compute",
        "fence_watchdog", NULL};
    char shown[80];

    if (strncmp(agent, "fence_", 6) != 0 || agent[6] == '\0' ||
        agent[strspn(agent, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
        return fault(at, "agent",
            "\"%s\" is no fence agent: the name of a program of fence-agents, such as "
            "fence_ipmilan, "
            "without a path",
            ph_text_printable(shown, sizeof shown, agent));
    for (size_t i = 0; others[i] != NULL; i++) {
        if (strcmp(agent, others[i]) == 0)
            return fault(at, "agent",
                "%s does not switch a node off, so its pools could run on; use one that cuts its "
                "power, such as fence_ipmilan, fence_apc or fence_virsh",
                agent);
    }
    return 0;
}

/* The length of the key in key=value, or 0. */
static size_t key_length(const char *word)
{
    size_t length =
        strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");

    return word[length] == '=' ? length : 0;
}

static bool key_is(const char *word, size_t length, const char *key)
{
    return strlen(key) == length && strncmp(word, key, length) == 0;
}

static bool key_is_secret(const char *word, size_t length)
{
    static const char *const parts[] = {
        "passw", "secret", "token", "api_key", "apikey", "community", NULL};
    char key[64];

    ph_text_format(key, sizeof key, "%.*s", (int)(length < 63 ? length : 63), word);
    if (length > 7 && strcmp(key + strlen(key) - 7, "_script") == 0)
        return false; /* a program that prints it */
    for (size_t i = 0; parts[i] != NULL; i++) {
        if (strstr(key, parts[i]) != NULL)
            return true;
    }
    return false;
}

static int check_option(struct fence_applying *at, const char *field, const char *word, bool file)
{
    static const char *const ours[] = {"action", "option", "o", NULL};
    static const char *const babbling[] = {"debug", "debug_file", "debug-file", NULL};
    size_t length = key_length(word);
    char shown[80];

    if (length == 0 || strpbrk(word, "\n\r") != NULL)
        return fault(at, field,
            "\"%s\" must be key=%s on one line, the key of letters, digits, _ and -",
            ph_text_printable(shown, sizeof shown, word), file ? "/path" : "value");
    for (size_t i = 0; ours[i] != NULL; i++) {
        if (key_is(word, length, ours[i]))
            return fault(at, field, "%s is given by Poolherd: off, on or status", ours[i]);
    }
    for (size_t i = 0; babbling[i] != NULL; i++) {
        if (key_is(word, length, babbling[i]))
            return fault(at, field, "%s makes an agent write down what it is told, secrets too",
                babbling[i]);
    }
    if (file && (word[length + 1] != '/' || strlen(word + length + 1) < 2))
        return fault(at, field, "\"%s\" must be key=/path: an absolute path where the agent is run",
            ph_text_printable(shown, sizeof shown, word));
    if (!file && key_is_secret(word, length)) /* its value is not repeated */
        return fault(at, field,
            "%.*s is a secret, and options are shown to everybody: put it into a file of mode 0600 "
            "and name "
            "that in option_files: [%.*s=/path]",
            (int)length, word, (int)length, word);
    return 0;
}

static int check_options(struct fence_applying *at, const struct ph_fence_spec *spec)
{
    size_t all = spec->options.count + spec->option_files.count;
    char field[64];
    int rv = 0;

    for (size_t i = 0; i < all && rv == 0; i++) {
        bool file = i >= spec->options.count;
        size_t index = file ? i - spec->options.count : i;
        const char *word = file ? spec->option_files.items[index] : spec->options.items[index];

        ph_text_format(field, sizeof field, "%s[%zu]", file ? "option_files" : "options", index);
        rv = check_option(at, field, word, file);
        for (size_t j = 0; j < i && rv == 0; j++) {
            const char *other = j < spec->options.count
                                    ? spec->options.items[j]
                                    : spec->option_files.items[j - spec->options.count];
            size_t length = key_length(word);

            if (strncmp(word, other, length + 1) == 0)
                rv =
                    fault(at, field, "%.*s is given twice", (int)(length < 64 ? length : 64), word);
        }
    }
    return rv;
}

static int check_places(struct fence_applying *at, const char *node, const struct ph_texts *places)
{
    char field[64], shown[80];

    for (size_t i = 0; i < places->count; i++) {
        const char *name = places->items[i];

        ph_text_format(field, sizeof field, "run_from[%zu]", i);
        if (strcmp(name, node) == 0)
            return fault(at, field,
                "%s cannot switch itself off when it hangs; name manager, or other nodes", name);
        if (strcmp(name, CORE_FENCE_MANAGER) != 0 &&
            (!ph_name_valid(name) || core_find_node(at->core, name) == NULL))
            return fault(at, field,
                "there is no node %s; it must be manager or a node that has joined",
                ph_text_printable(shown, sizeof shown, name));
        for (size_t j = 0; j < i; j++) {
            if (strcmp(places->items[j], name) == 0)
                return fault(at, field, "%s is named twice", name);
        }
    }
    return 0;
}

static int check_device(struct fence_applying *at, const struct ph_fence_node *node)
{
    const struct ph_fence_spec *spec = &node->devices.items[at->device];
    int rv;

    for (size_t i = 0; i < at->device; i++) {
        if (strcmp(node->devices.items[i].name, spec->name) == 0)
            return fault(at, "name", "%s has two devices named %s", node->node, spec->name);
    }
    rv = check_agent(at, core_text(spec->agent));
    if (rv == 0)
        rv = check_options(at, spec);
    return rv == 0 ? check_places(at, node->node, &spec->run_from) : rv;
}

/* Only an operator's run stands in the way: one that began by itself begins anew with what is declared. */
static int check_idle(struct fence_applying *at, const struct core_node *node)
{
    const struct core_fencing *fencing = node->fencing;

    if (fencing == NULL || fencing->aim == CORE_FENCE_IDLE || fencing->automatic)
        return 0;
    return ph_error_set(&at->error, PH_STATE_FORBIDS, "fencing",
        "the devices of %s are at work: they are switching it %s; wait for the end of that",
        node->row.name, fencing->aim == CORE_FENCE_ON ? "on" : "off");
}

/* Names first: who is named decides who is pruned. */
static int note_names(struct fence_applying *at)
{
    for (at->node = 0; at->node < at->asked->fencing.count; at->node++) {
        union {
            const struct ph_fence_node *borrowed;
            void *value; /* the map hands it back as const */
        } entry = {.borrowed = &at->asked->fencing.items[at->node]};
        int rv;

        at->device = SIZE_MAX;
        if (core_find_node(at->core, entry.borrowed->node) == NULL)
            return fault(at, "node",
                "there is no node %s; it must have joined (poolherd node invite %s)",
                entry.borrowed->node, entry.borrowed->node);
        rv = ph_map_put(&at->named, entry.borrowed->node, entry.value);
        if (rv == -EEXIST)
            return fault(at, "node", "%s is declared twice in the file", entry.borrowed->node);
        if (rv != 0)
            return rv;
    }
    return 0;
}

static int check_all(struct fence_applying *at)
{
    const struct ph_fence_apply *asked = at->asked;
    int rv = ph_record_check(&ph_record_fence_apply, asked, &at->error);

    if (rv == 0)
        rv = note_names(at);
    for (at->node = 0; rv == 0 && at->node < asked->fencing.count; at->node++) {
        const struct ph_fence_node *each = &asked->fencing.items[at->node];

        rv = check_idle(at, core_find_node(at->core, each->node));
        for (at->device = 0; rv == 0 && at->device < each->devices.count; at->device++)
            rv = check_device(at, each);
    }
    for (size_t i = 0; rv == 0 && asked->prune && i < at->core->nodes.count; i++) {
        const struct core_node *node = at->core->nodes.items[i].value;

        if (ph_map_get(&at->named, node->row.name) == NULL)
            rv = check_idle(at, node);
    }
    return rv;
}

/* ---- comparing ---- */
/* A device as declared, with what was left out filled in. */
static void row_of(struct ph_core *core, const struct ph_fence_node *node, size_t index,
    struct ph_fence_device *row)
{
    const struct ph_fence_spec *spec = &node->devices.items[index];

    memcpy(row->node, node->node, sizeof row->node);
    memcpy(row->name, spec->name, sizeof row->name);
    row->position = (int64_t)index;
    row->level = spec->level == 0 ? 1 : spec->level;
    core_copy_text(core, &row->agent, spec->agent);
    core_copy_texts(core, &row->options, &spec->options);
    core_copy_texts(core, &row->option_files, &spec->option_files);
    core_copy_texts(core, &row->run_from, &spec->run_from);
    if (row->run_from.count == 0 && ph_texts_add(&row->run_from, CORE_FENCE_MANAGER) != 0)
        core->no_memory = true;
    row->delay_ms = spec->delay_ms;
    row->timeout_ms = spec->timeout_ms == 0 ? CORE_FENCE_TIMEOUT_MS : spec->timeout_ms;
    row->attempts = spec->attempts == 0 ? CORE_FENCE_ATTEMPTS : spec->attempts;
}

static void note(struct fence_applying *at, const char *action, const struct ph_fence_device *row,
    const struct ph_field *field, const void *before, const void *after)
{
    struct ph_core *core = at->core;
    struct ph_fence_change_list *list = &at->answer.changes;
    struct ph_fence_change *change =
        list->count >= PH_LIST_ITEMS_MAX
            ? NULL
            : ph_many_add(&ph_record_fence_change, (struct ph_many *)(void *)list);

    if (change == NULL) {
        core->no_memory |= list->count < PH_LIST_ITEMS_MAX;
        return;
    }
    core_copy_text(core, &change->action, action);
    memcpy(change->node, row->node, sizeof change->node);
    memcpy(change->device, row->name, sizeof change->device);
    if (field == NULL)
        return;
    core_copy_text(core, &change->field, field->name);
    change->before = core_field_json(&ph_record_fence_device, field, before);
    change->after = core_field_json(&ph_record_fence_device, field, after);
}

/* Of the fields that people declare. With at: notes them. */
static bool differs(struct fence_applying *at, const struct ph_fence_device *before,
    const struct ph_fence_device *after)
{
    static const char *const declared[] = {"level", "agent", "options", "option_files", "run_from",
        "delay_ms", "timeout_ms", "attempts"};
    bool changed = false;

    for (size_t i = 0; i < sizeof declared / sizeof declared[0]; i++) {
        const struct ph_field *field = ph_record_field(&ph_record_fence_device, declared[i]);

        if (core_field_equal(&ph_record_fence_device, field, before, after))
            continue;
        changed = true;
        note(at, "change", after, field, before, after);
    }
    return changed;
}

static bool declares(const struct ph_fence_node *node, const char *device)
{
    for (size_t i = 0; node != NULL && i < node->devices.count; i++) {
        if (strcmp(node->devices.items[i].name, device) == 0)
            return true;
    }
    return false;
}

static void device_make(struct ph_core *core, struct core_node *node, struct core_device *device,
    struct ph_fence_device *row)
{
    if (device == NULL) {
        device = core_device_add(core, node, row);
    } else if (ph_record_copy(&ph_record_fence_device, &device->row, row) != 0) {
        core->no_memory = true;
    }
    if (device != NULL)
        core_save(core, &ph_record_fence_device, &device->row);
    if (node->fencing != NULL)
        node->fencing->test_ms = core->now_ms; /* it shows at once whether it works */
}

/* One node: compares, and makes it so when `change`. declared: NULL when it is pruned. */
static void node_apply(struct fence_applying *at, struct core_node *node,
    const struct ph_fence_node *declared, bool change)
{
    struct ph_core *core = at->core;
    bool any = false;

    for (size_t i = node->fencing == NULL ? 0 : node->fencing->count; i > 0; i--) {
        struct core_device *device = node->fencing->devices[i - 1];

        if (declares(declared, device->row.name))
            continue;
        note(at, "remove", &device->row, NULL, NULL, NULL);
        at->answer.removed++;
        any = true;
        if (change)
            core_device_remove(core, node, device);
    }
    for (size_t i = 0; declared != NULL && i < declared->devices.count; i++) {
        struct core_device *device = core_device_find(node, declared->devices.items[i].name);
        struct ph_fence_device row = {0};
        bool changed = true;

        row_of(core, declared, i, &row);
        if (device == NULL) {
            note(at, "add", &row, NULL, NULL, NULL);
            at->answer.added++;
        } else if (differs(at, &device->row, &row)) {
            at->answer.changed++;
        } else {
            at->answer.unchanged++;
            changed = false;
        }
        any |= changed;
        if (change && changed)
            device_make(core, node, device, &row);
        ph_record_fini(&ph_record_fence_device, &row);
    }
    if (!change || !any)
        return;
    if (node->fencing != NULL)
        core_fencing_sort(node->fencing);
    core_event(core, PH_EVENT_INFO, "fence-declared", &(struct core_about){.node = node},
        "its fence devices were declared anew: it has %zu",
        node->fencing == NULL ? (size_t)0 : node->fencing->count);
}

static void apply_all(struct fence_applying *at, bool change)
{
    const struct ph_fence_apply *asked = at->asked;
    struct ph_core *core = at->core;

    ph_record_fini(&ph_record_fence_applied, &at->answer);
    at->answer.dry_run = asked->dry_run;
    for (size_t i = 0; asked->prune && i < core->nodes.count; i++) {
        struct core_node *node = core->nodes.items[i].value;

        if (ph_map_get(&at->named, node->row.name) == NULL)
            node_apply(at, node, NULL, change);
    }
    for (size_t i = 0; i < asked->fencing.count; i++)
        node_apply(at, core_find_node(core, asked->fencing.items[i].node), &asked->fencing.items[i],
            change);
}

/* A run that began by itself begins anew with what is declared now. */
static void abort_runs(struct fence_applying *at)
{
    for (size_t i = 0; i < at->answer.changes.count; i++) {
        struct core_node *node = core_find_node(at->core, at->answer.changes.items[i].node);

        if (node != NULL && node->fencing != NULL && node->fencing->aim != CORE_FENCE_IDLE)
            core_fence_abort(at->core, node, "its fence devices were declared anew");
    }
}

static void arm_all(struct ph_core *core, const struct ph_fence_applied *answer)
{
    for (size_t i = 0; i < answer->changes.count; i++) {
        struct core_node *node = core_find_node(core, answer->changes.items[i].node);

        if (node != NULL)
            core_fence_step(core, node);
    }
}

int ph_request_fence_apply(struct ph_core *core, const struct ph_event_in *in)
{
    struct fence_applying at = {.core = core, .asked = in->body};
    int rv = check_all(&at);

    if (rv == 0) {
        apply_all(&at, false);
        if (!at.asked->dry_run && at.answer.added + at.answer.changed + at.answer.removed > 0) {
            abort_runs(&at);
            apply_all(&at, true);
            core_command(core, in, &(struct core_about){0},
                "fence devices applied: %lld added, %lld changed, %lld removed, %lld unchanged",
                (long long)at.answer.added, (long long)at.answer.changed,
                (long long)at.answer.removed, (long long)at.answer.unchanged);
            arm_all(core, &at.answer);
        }
        core_answer_take(core, in, PH_MSG_FENCE_APPLIED, &at.answer);
    } else if (at.error.code != PH_OK) {
        core_problem(core, in, at.error.code, at.error.field, "%s", at.error.message);
    } else {
        core->no_memory = true;
    }
    ph_record_fini(&ph_record_fence_applied, &at.answer);
    ph_map_fini(&at.named);
    return 0;
}
