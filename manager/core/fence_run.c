/*
 * One fence run: which device is called when, from where, and what its answer means. See fencing.h.
 */
#include "manager/core/fencing.h"

#include <string.h>

/* ---- one call ---- */
const char *core_device_place(
    const struct ph_core *core, const struct core_device *device, size_t first, size_t *index_out)
{
    size_t count = device->row.run_from.count;

    for (size_t i = 0; i < count; i++) {
        size_t index = (first + i) % count;
        const char *name = device->row.run_from.items[index];
        const struct core_node *node = core_find_node(core, name);

        if (strcmp(name, CORE_FENCE_MANAGER) != 0 &&
            (node == NULL || node->row.state != PH_NODE_ONLINE || !node->present))
            continue;
        if (index_out != NULL)
            *index_out = index;
        return name;
    }
    return "";
}

static uint64_t call_limit_ms(const struct core_device *device, enum ph_fence_action action)
{
    uint64_t one_ms = (uint64_t)device->row.timeout_ms;

    return (action == PH_FENCE_STATUS ? one_ms : 2 * one_ms) + CORE_FENCE_ANSWER_MS;
}

static void call_send(struct ph_core *core, const struct core_node *node,
    const struct core_device *device, const char *where)
{
    const struct core_node *runner = core_find_node(core, where);
    struct ph_fence_run run = {.number = device->number,
        .term = core->term,
        .action = device->action,
        .timeout_ms = device->row.timeout_ms};

    if (ph_set_text(&run.manager, core->manager_id) != 0 ||
        ph_set_text(&run.agent, device->row.agent) != 0 ||
        ph_texts_copy(&run.options, &device->row.options) != 0 ||
        ph_texts_copy(&run.option_files, &device->row.option_files) != 0)
        core->no_memory = true;
    memcpy(run.node, node->row.name, sizeof run.node);
    memcpy(run.device, device->row.name, sizeof run.device);
    if (strcmp(where, CORE_FENCE_MANAGER) == 0) {
        core_fence(core, node->row.name, &run);
    } else {
        run.beat = runner->heard_number;
        core_send(core, where, PH_MSG_FENCE_RUN, &run);
    }
    ph_record_fini(&ph_record_fence_run, &run);
}

bool core_device_call(struct ph_core *core, struct core_node *node, struct core_device *device,
    enum ph_fence_action action)
{
    size_t index = 0;
    const char *where = core_device_place(core, device, device->place, &index);

    if (where[0] == '\0')
        return false;
    device->place = index;
    device->action = action;
    device->number = ++core->fence_number;
    device->due_ms = core->now_ms + call_limit_ms(device, action);
    ph_text_format(device->where, sizeof device->where, "%s", where);
    call_send(core, node, device, where);
    return true;
}

/* ---- answers ---- */
static void said(struct core_fencing *fencing, const struct core_device *device, const char *text)
{
    ph_text_format(fencing->said, sizeof fencing->said, "%s from %s: %s", device->row.name,
        device->where[0] == '\0' ? "nowhere" : device->where, text);
}

static void device_note(struct ph_core *core, struct core_node *node, struct core_device *device,
    enum ph_power_state power, const char *text)
{
    struct ph_fence_device *row = &device->row;
    bool failed = power == PH_POWER_FAILED;

    if (failed && row->failures == 0)
        core_event(core, PH_EVENT_WARNING, "fence-device-failed",
            &(struct core_about){.node = node, .job = node->fence},
            "fence device %s of %s, called from %s: %s", row->name, node->row.name,
            device->where[0] == '\0' ? "nowhere" : device->where, text);
    else if (!failed && row->failures > 0)
        core_event(core, PH_EVENT_INFO, "fence-device-works",
            &(struct core_about){.node = node, .job = node->fence},
            "fence device %s of %s answers again, after %lld failures: the node is %s", row->name,
            node->row.name, (long long)row->failures,
            ph_enum_word(&ph_enum_power_state, (int)power));
    row->power = power;
    row->checked_at = core->wall_ms;
    row->failures = !failed ? 0 : row->failures < INT32_MAX ? row->failures + 1 : row->failures;
    memcpy(row->checked_from, device->where, sizeof row->checked_from);
    core_set_text(core, &row->reason, "%s", text);
    core_save(core, &ph_record_fence_device, row);
}

/* A call has ended, well or not. */
static void device_answered(struct ph_core *core, struct core_node *node,
    struct core_device *device, enum ph_power_state power, const char *text)
{
    bool well = device->action == PH_FENCE_OFF  ? power == PH_POWER_OFF
                : device->action == PH_FENCE_ON ? power == PH_POWER_ON
                                                : power != PH_POWER_FAILED;

    device->number = 0;
    device_note(core, node, device, power, text);
    if (device->phase != CORE_DEVICE_CALLED)
        return; /* a test */
    said(node->fencing, device, text);
    device->tries++;
    device->place++;
    if (well) {
        device->phase = CORE_DEVICE_DONE;
    } else if (device->tries < device->row.attempts) {
        device->phase = CORE_DEVICE_WAITING;
        device->due_ms = core->now_ms + CORE_FENCE_AGAIN_MS;
    } else {
        device->phase = CORE_DEVICE_GIVEN_UP;
    }
}

/* It is of a run that has ended, or was given up. It proves nothing, and somebody may want to know. */
static void answered_late(struct ph_core *core, struct core_node *node, const char *device,
    const struct ph_fence_ran *ran)
{
    if (ran->action == PH_FENCE_OFF && ran->power == PH_POWER_OFF)
        core_event(core, PH_EVENT_WARNING, "fence-late", &(struct core_about){.node = node},
            "fence device %s of %s says that it is off, in answer to a call that no longer counts",
            device, node->row.name);
}

void core_fence_ran(struct ph_core *core, const char *from, const struct ph_fence_ran *ran)
{
    struct core_node *node = core_find_node(core, ran->node);
    struct core_device *device = node == NULL ? NULL : core_device_find(node, ran->device);

    if (device == NULL || ran->term != core->term)
        return;
    if (device->number == 0 || device->number != ran->number || strcmp(device->where, from) != 0 ||
        device->action != ran->action) {
        answered_late(core, node, device->row.name, ran);
        return;
    }
    device_answered(core, node, device, ran->power, core_text(ran->reason));
    core_fence_step(core, node);
}

bool ph_core_fence_wanted(const struct ph_core *core, const struct ph_fence_run *run)
{
    const struct core_node *node = core_find_node(core, run->node);
    const struct core_device *device = node == NULL ? NULL : core_device_find(node, run->device);

    return device != NULL && run->term == core->term && device->number == run->number;
}

/* ---- levels ---- */
int64_t core_fence_next_level(const struct core_fencing *fencing, int64_t after)
{
    for (size_t i = 0; i < fencing->count; i++) {
        if (fencing->devices[i]->row.level > after)
            return fencing->devices[i]->row.level;
    }
    return 0;
}

static bool takes_part(const struct core_fencing *fencing, const struct core_device *device)
{
    return fencing->level == 0 || device->row.level == fencing->level;
}

void core_fence_idle(struct core_fencing *fencing)
{
    for (size_t i = 0; i < fencing->count; i++) {
        struct core_device *device = fencing->devices[i];

        if (device->phase == CORE_DEVICE_CALLED)
            device->number = 0; /* its answer comes too late */
        device->phase = CORE_DEVICE_IDLE;
    }
}

void core_fence_level(struct ph_core *core, struct core_node *node, int64_t level)
{
    struct core_fencing *fencing = node->fencing;
    bool waits = fencing->aim == CORE_FENCE_OFF && fencing->automatic && fencing->rounds == 0;

    core_fence_idle(fencing);
    fencing->level = level;
    fencing->round_ms = 0;
    for (size_t i = 0; i < fencing->count; i++) {
        struct core_device *device = fencing->devices[i];

        if (!takes_part(fencing, device))
            continue;
        device->phase = CORE_DEVICE_WAITING;
        device->number = 0; /* of a test that is under way */
        device->tries = 0;
        device->place = 0;
        device->due_ms = core->now_ms;
        if (waits && node->silent_ms + (uint64_t)device->row.delay_ms > core->now_ms)
            device->due_ms = node->silent_ms + (uint64_t)device->row.delay_ms;
    }
}

/* ---- steps ---- */
static void call_due(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    enum ph_fence_action action = fencing->aim == CORE_FENCE_ON ? PH_FENCE_ON : PH_FENCE_OFF;

    for (size_t i = 0; i < fencing->count; i++) {
        struct core_device *device = fencing->devices[i];

        if (device->number != 0 && device->due_ms <= core->now_ms)
            device_answered(core, node, device, PH_POWER_FAILED, "no answer within its time");
        if (device->phase != CORE_DEVICE_WAITING || device->due_ms > core->now_ms)
            continue;
        if (core_device_call(core, node, device, action)) {
            device->phase = CORE_DEVICE_CALLED;
            continue;
        }
        device->phase = CORE_DEVICE_CALLED; /* a call that nobody could make */
        device->where[0] = '\0';
        device->action = action;
        device_answered(core, node, device, PH_POWER_FAILED,
            "none of the nodes that reach it (run_from) is online");
    }
}

struct tally {
    size_t part, done, given_up, open;
    char open_names[200];
};

static struct tally count_devices(const struct core_fencing *fencing)
{
    struct tally tally = {0};
    size_t length = 0;

    for (size_t i = 0; i < fencing->count; i++) {
        const struct core_device *device = fencing->devices[i];
        bool open = device->phase == CORE_DEVICE_WAITING || device->phase == CORE_DEVICE_CALLED;

        if (!takes_part(fencing, device))
            continue;
        tally.part++;
        tally.done += device->phase == CORE_DEVICE_DONE;
        tally.given_up += device->phase == CORE_DEVICE_GIVEN_UP;
        tally.open += open;
        if (open && length + PH_NAME_BYTES_MAX + 3 < sizeof tally.open_names)
            length += ph_text_format(tally.open_names + length, sizeof tally.open_names - length,
                "%s%s", length > 0 ? ", " : "", device->row.name);
    }
    return tally;
}

static void off_step(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    struct tally tally = count_devices(fencing);
    int64_t next;

    if (tally.part > 0 && tally.done == tally.part) {
        core_fence_proven(core, node);
        return;
    }
    if (tally.part > 0 && tally.given_up == 0) {
        core_job_wait(core, node->fence, "fence device%s %s of level %lld",
            tally.open == 1 ? "" : "s", tally.open_names, (long long)fencing->level);
        return;
    }
    next = core_fence_next_level(fencing, fencing->level);
    if (next != 0) {
        core_event(core, PH_EVENT_WARNING, "fence-level-failed",
            &(struct core_about){.node = node, .job = node->fence},
            "level %lld of %s failed, level %lld is next: %s", (long long)fencing->level,
            node->row.name, (long long)next, fencing->said);
        core_fence_level(core, node, next);
        core_fence_step(core, node);
        return;
    }
    core_fence_failed(core, node);
}

static void on_step(struct ph_core *core, struct core_node *node)
{
    struct tally tally = count_devices(node->fencing);

    if (tally.open == 0)
        core_fence_on_ended(core, node, tally.part > 0 && tally.done == tally.part);
}

static void round_step(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;

    if (fencing->round_ms != 0) {
        if (fencing->round_ms > core->now_ms)
            return;
        core_fence_level(core, node, core_fence_next_level(fencing, 0));
    }
    call_due(core, node);
    off_step(core, node);
}

void core_fence_arm(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    uint64_t at_ms = UINT64_MAX;

    if (fencing == NULL)
        return;
    for (size_t i = 0; i < fencing->count; i++) {
        const struct core_device *device = fencing->devices[i];

        if ((device->number != 0 || device->phase == CORE_DEVICE_WAITING) && device->due_ms < at_ms)
            at_ms = device->due_ms;
    }
    if (fencing->aim == CORE_FENCE_OFF && fencing->round_ms != 0 && fencing->round_ms < at_ms)
        at_ms = fencing->round_ms;
    if (fencing->aim == CORE_FENCE_OFF && fencing->automatic &&
        core->now_ms + core->config.timing.lease_ms < at_ms)
        at_ms = core->now_ms + core->config.timing.lease_ms; /* it may be forbidden meanwhile */
    if (fencing->aim == CORE_FENCE_IDLE && node->row.state == PH_NODE_SUSPECT &&
        fencing->count > 0) {
        uint64_t first_ms = core_fence_first_ms(core, node);

        if (first_ms <= core->now_ms) /* it was looked at just now, and is again soon */
            first_ms = core->now_ms + core->config.timing.beat_ms;
        at_ms = first_ms < at_ms ? first_ms : at_ms;
    }
    if (fencing->test_ms != 0 && fencing->count > 0 && fencing->test_ms < at_ms)
        at_ms = fencing->test_ms;
    if (at_ms == UINT64_MAX)
        core_timer_clear(core, &fencing->timer);
    else
        core_timer_set(core, &fencing->timer, at_ms > core->now_ms ? at_ms : core->now_ms + 1);
}

/* Devices are asked now and then, so that a dead one is known before it is needed. */
static void test_due(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;

    if (fencing->test_ms == 0 || fencing->test_ms > core->now_ms)
        return;
    fencing->test_ms =
        core->config.fence_test_ms == 0 ? 0 : core->now_ms + core->config.fence_test_ms;
    if (fencing->aim == CORE_FENCE_IDLE && !core->outdated)
        (void)core_fence_test(core, node);
}

size_t core_fence_test(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    size_t called = 0;

    for (size_t i = 0; fencing != NULL && i < fencing->count; i++) {
        struct core_device *device = fencing->devices[i];

        if (device->number != 0 || device->phase == CORE_DEVICE_CALLED)
            continue; /* what is under way tells as much */
        device->place = 0;
        if (core_device_call(core, node, device, PH_FENCE_STATUS)) {
            called++;
        } else {
            device->where[0] = '\0';
            device_note(core, node, device, PH_POWER_FAILED,
                "none of the nodes that reach it (run_from) is online");
        }
    }
    core_fence_arm(core, node);
    return called;
}

void core_fence_due(struct ph_core *core, struct core_node *node)
{
    core_fence_step(core, node);
}

void core_fence_step(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    const char *forbidden;

    if (fencing == NULL)
        return;
    test_due(core, node);
    if (fencing->aim == CORE_FENCE_IDLE && node->row.state == PH_NODE_SUSPECT &&
        core_fence_first_ms(core, node) <= core->now_ms && core_fence_begins(core, node))
        core_fence_level(core, node, core_fence_next_level(fencing, 0));
    if (fencing->aim == CORE_FENCE_OFF && fencing->automatic &&
        (forbidden = core_fence_forbidden(core, node)) != NULL)
        core_fence_abort(core, node, forbidden);
    if (fencing->aim == CORE_FENCE_OFF) {
        round_step(core, node);
    } else {
        call_due(core, node);
        if (fencing->aim == CORE_FENCE_ON)
            on_step(core, node);
    }
    core_fence_arm(core, node);
}
