/*
 * Proving that a node is off: by its fence devices, or by an operator who says so by name. What is done in
 * which order is in fence_run.c; here is who may begin it, and what it leads to. See fencing.h.
 */
#include "manager/core/fencing.h"

#include <string.h>

/* ---- by itself ---- */
/* How long witnesses that do not answer are waited for: they may be away as well. */
static uint64_t witness_patience_ms(const struct ph_core *core)
{
    uint64_t beats_ms = 2 * core->config.timing.beat_ms;

    return beats_ms < CORE_FENCE_WITNESS_MS ? CORE_FENCE_WITNESS_MS : beats_ms;
}

uint64_t core_fence_first_ms(const struct ph_core *core, const struct core_node *node)
{
    const struct core_fencing *fencing = node->fencing;
    uint64_t delay_ms = UINT64_MAX, at_ms;

    for (size_t i = 0; i < fencing->count; i++) {
        const struct ph_fence_device *row = &fencing->devices[i]->row;

        if (row->level == fencing->devices[0]->row.level && (uint64_t)row->delay_ms < delay_ms)
            delay_ms = (uint64_t)row->delay_ms;
    }
    at_ms = node->silent_ms + (delay_ms == UINT64_MAX ? 0 : delay_ms);
    /* Its witnesses are asked first: if one hears it, only our own link to it is broken. */
    if (node->voters.version > 0 && core_promised_ms(core, node) == UINT64_MAX &&
        at_ms < node->silent_ms + witness_patience_ms(core))
        at_ms = node->silent_ms + witness_patience_ms(core);
    /* After our own start it may be slow to find us again: it gets the time of a take-over for it. */
    if (!node->heard && at_ms < core->started_ms + node->takeover_ms)
        at_ms = core->started_ms + node->takeover_ms;
    return at_ms;
}

/* Pools of it that somebody waits for. */
static size_t pools_waiting(const struct core_node *node)
{
    size_t count = 0;

    for (size_t i = 0; i < node->peers.count; i++) {
        const struct ph_pool *row = &((struct core_peer *)node->peers.items[i].value)->pool->row;

        count += strcmp(row->node, node->row.name) == 0 && row->desired == PH_DESIRED_ACTIVE;
    }
    return count;
}

const char *core_fence_forbidden(struct ph_core *core, const struct core_node *node)
{
    if (pools_waiting(node) == 0)
        return "no pool waits for it";
    if (core_node_via(core, node) != NULL)
        return "a witness hears it: only this manager's link to it is broken, and it runs on";
    if (core->online_count == 0)
        return "no other node is online, so nothing would come of it";
    if (!core_brake_holds_fence(core, node))
        return NULL;
    return core_pause_reason(core) != NULL
               ? core_pause_reason(core)
               : "too many nodes are late together: that may be the network, or this manager";
}

static void begin(struct core_node *node, bool automatic, bool reboot)
{
    struct core_fencing *fencing = node->fencing;

    fencing->aim = CORE_FENCE_OFF;
    fencing->automatic = automatic;
    fencing->reboot = reboot;
    fencing->generation = node->row.generation;
    fencing->rounds = 0;
    fencing->round_ms = 0;
    fencing->said[0] = '\0';
}

bool core_fence_begins(struct ph_core *core, struct core_node *node)
{
    struct core_job *job;

    if (node->fence != NULL || node->fencing->count == 0 || node->fencing->declined ||
        core_fence_forbidden(core, node) != NULL)
        return false;
    job = core_job_new(core, PH_JOB_FENCE, NULL, node, "");
    if (job == NULL)
        return false;
    core_job_set_state(core, job, PH_JOB_RUNNING);
    begin(node, true, false);
    core_event(core, PH_EVENT_WARNING, "fence-begun",
        &(struct core_about){.node = node, .job = job},
        "%s has been silent for %llu ms and %zu pools wait for it: its fence devices are to switch "
        "it off",
        node->row.name, (unsigned long long)(core->now_ms - node->beat_ms), pools_waiting(node));
    return true;
}

void core_fence_abort(struct ph_core *core, struct core_node *node, const char *why)
{
    core_fence_idle(node->fencing);
    node->fencing->aim = CORE_FENCE_IDLE;
    node->fencing->round_ms = 0;
    if (node->fence != NULL)
        core_job_end(core, node->fence, PH_JOB_CANCELLED, "%s", why);
}

void core_fence_follow(struct ph_core *core, struct core_node *node)
{
    const struct core_fencing *fencing = node->fencing;
    const char *why = NULL;

    if (fencing == NULL)
        return;
    if (node->row.state == PH_NODE_ONLINE)
        node->fencing->declined = false;
    if (node->row.state == PH_NODE_FENCED)
        why = "it counts as off already";
    else if (node->row.state == PH_NODE_LOST)
        why = "time has proven first that it runs nothing: it is left switched on";
    else if (node->row.state != PH_NODE_SUSPECT)
        why = "it was heard again";
    if (fencing->aim == CORE_FENCE_OFF && why != NULL &&
        (fencing->automatic || node->row.state == PH_NODE_FENCED))
        core_fence_abort(core, node, why);
    if (node->row.state == PH_NODE_SUSPECT && fencing->count > 0 && core->ready)
        core_timer_set(core, &node->fencing->timer, core->now_ms); /* looked at in this very tick */
    else
        core_fence_arm(core, node);
}

/* ---- how a run ends ---- */
void core_fence_proven(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    struct core_job *job = node->fence;
    int64_t level = fencing->level;
    char why[PH_TEXT_BYTES_MAX + 1];

    core_fence_idle(fencing);
    fencing->aim = CORE_FENCE_IDLE;
    if (node->row.generation != fencing->generation) {
        /* Off it was, but it has come back since and been admitted anew: what it runs now is its own. */
        core_job_end(core, job, PH_JOB_FAILED, "%s was switched off, and came back meanwhile",
            node->row.name);
        return;
    }
    job->row.proof = PH_PROOF_FENCED;
    ph_text_format(why, sizeof why, "its fence devices (level %lld) confirmed that it is off: %s",
        (long long)level, fencing->said);
    core_job_end(core, job, PH_JOB_SUCCEEDED, "%s is off: %s", node->row.name, fencing->said);
    if (fencing
            ->automatic) /* counts among those lost together, lest they be switched off one by one */
        core_brake_lost(core, node->silent_ms);
    if (node->row.state != PH_NODE_FENCED)
        core_node_taken(core, node, PH_PROOF_FENCED, why);
    if (fencing->reboot) {
        fencing->aim = CORE_FENCE_ON;
        core_fence_level(core, node, level);
    }
}

void core_fence_failed(struct ph_core *core, struct core_node *node)
{
    struct core_fencing *fencing = node->fencing;
    struct core_about about = {.node = node, .job = node->fence};
    uint64_t pause_ms = CORE_FENCE_ROUND_MS_MIN;

    core_fence_idle(fencing);
    if (!fencing->automatic) {
        fencing->aim = CORE_FENCE_IDLE;
        core_job_end(
            core, node->fence, PH_JOB_FAILED, "not confirmed to be off: %s", fencing->said);
        return;
    }
    for (int64_t i = 0; i < fencing->rounds && pause_ms < CORE_FENCE_ROUND_MS_MAX; i++)
        pause_ms *= 2;
    if (pause_ms > CORE_FENCE_ROUND_MS_MAX)
        pause_ms = CORE_FENCE_ROUND_MS_MAX;
    fencing->rounds++;
    fencing->round_ms = core->now_ms + pause_ms;
    core_event(core, PH_EVENT_ERROR, "fence-failed", &about,
        "no level of its devices proved that %s is off (round %lld; again in %llu ms); until one "
        "does its pools wait for the proof by time: %s",
        node->row.name, (long long)fencing->rounds, (unsigned long long)pause_ms, fencing->said);
    core_job_reason(core, node->fence, "%s", fencing->said);
    core_job_wait(core, node->fence, "round %lld of its fence devices, in at most %llu ms",
        (long long)fencing->rounds + 1, (unsigned long long)pause_ms);
}

void core_fence_on_ended(struct ph_core *core, struct core_node *node, bool all)
{
    core_fence_idle(node->fencing);
    node->fencing->aim = CORE_FENCE_IDLE;
    core_event(core, all ? PH_EVENT_INFO : PH_EVENT_ERROR,
        all ? "node-power-on" : "node-power-failed", &(struct core_about){.node = node},
        all ? "%s is switched on: %s" : "%s could not be switched on by all of its devices: %s",
        node->row.name, node->fencing->said);
}

/* ---- start-up ---- */
int core_device_load(
    struct ph_core *core, const struct ph_fence_device *row, struct ph_error *error)
{
    struct core_node *node = core_find_node(core, row->node);

    if (node == NULL)
        return ph_error_set(error, PH_BAD_INPUT, "node",
            "fence device %s is of node %s, which is not there", row->name, row->node);
    if (node->fencing != NULL &&
        (node->fencing->count == PH_FENCE_DEVICES_MAX || core_device_find(node, row->name) != NULL))
        return ph_error_set(error, PH_BAD_INPUT, "name",
            "node %s has too many fence devices, or %s twice", row->node, row->name);
    (void)core_device_add(core, node, row);
    return 0;
}

/* Tests by itself are spread over the interval by the nodes' names. */
void core_fence_ready(struct ph_core *core, struct core_node *node)
{
    uint64_t hash = 14695981039346656037u;

    if (node->fencing == NULL)
        return;
    for (const char *at = node->row.name; *at != '\0'; at++)
        hash = (hash ^ (unsigned char)*at) * 1099511628211u;
    if (core->config.fence_test_ms != 0)
        node->fencing->test_ms =
            core->now_ms + CORE_FENCE_FIRST_TEST_MS + hash % core->config.fence_test_ms;
    core_fence_arm(core, node);
}

/* Also after a restart of the manager: switching off what is off does no harm. */
void core_fence_resume(struct ph_core *core, struct core_job *job)
{
    struct core_node *node = core_find_node(core, job->row.node);

    if (node == NULL || node->fencing == NULL || node->fencing->count == 0) {
        core_job_end(core, job, PH_JOB_FAILED, "%s",
            node == NULL ? "the node is gone" : "its fence devices are gone");
        return;
    }
    if (job->row.who[0] ==
        '\0') { /* whether it is still needed shows when the node has been awaited */
        core_job_end(core, job, PH_JOB_CANCELLED,
            "the manager has started anew; it begins again if %s stays silent", node->row.name);
        return;
    }
    node->fence = job;
    core_job_set_state(core, job, PH_JOB_RUNNING);
    begin(node, false, false);
    core_fence_level(core, node, core_fence_next_level(node->fencing, 0));
    core_fence_step(core, node);
}

/* ---- requests ---- */
static int fence_by_word(
    struct ph_core *core, const struct ph_event_in *in, struct core_node *node, bool dry_run)
{
    char why[PH_TEXT_BYTES_MAX + 1];

    if (node->row.state == PH_NODE_ONLINE)
        return core_problem(core, in, PH_STATE_FORBIDS, "confirm_dead",
            "%s was heard %lld ms ago, so it is not off; drain it, or use its fence device",
            node->row.name, (long long)core_last_seen_ms(core, node));
    if (dry_run) {
        core_answer_done(core, in, 0, "%s would count as dead and its pools would be taken over",
            node->row.name);
        return 0;
    }
    core_command(core, in, &(struct core_about){.node = node}, "%s swears that %s is off",
        in->sender, node->row.name);
    ph_text_format(why, sizeof why, "%s said that it is off", in->sender);
    core_node_taken(core, node, PH_PROOF_CONFIRMED, why);
    core_answer_done(core, in, 0, "%s counts as dead; its pools are taken over", node->row.name);
    return 0;
}

static int fence_dry_run(
    struct ph_core *core, const struct ph_event_in *in, const struct core_node *node, bool reboot)
{
    char text[PH_TEXT_BYTES_MAX - 300] = "";
    size_t length = 0;

    for (size_t i = 0; i < node->fencing->count; i++) {
        const struct core_device *device = node->fencing->devices[i];
        const char *where = core_device_place(core, device, 0, NULL);

        length += ph_text_format(text + length, sizeof text - length, "%slevel %lld: %s (%s, %s%s)",
            i > 0 ? "; " : "", (long long)device->row.level, device->row.name, device->row.agent,
            where[0] == '\0' ? "reached by no node that is online" : "from ", where);
    }
    core_answer_done(core, in, 0,
        "%s would be switched off by its devices, %s; when all of one level confirm it, its %zu "
        "pools would be taken "
        "over%s",
        node->row.name, text, pools_waiting(node),
        reboot ? ", and it would be switched on again" : "");
    return 0;
}

static int no_device(struct ph_core *core, const struct ph_event_in *in, const char *node)
{
    return core_problem(core, in, PH_STATE_FORBIDS, "node",
        "%s has no fence device; declare one (poolherd fence apply -f FILE), or, if you know that "
        "it is off, say so: poolherd node fence %s --confirm-dead %s",
        node, node, node);
}

static bool has_device(const struct core_node *node)
{
    return node->fencing != NULL && node->fencing->count > 0;
}

static int fence_by_devices(struct ph_core *core, const struct ph_event_in *in,
    struct core_node *node, const struct ph_fence *asked)
{
    struct core_job *job;

    if (!has_device(node))
        return no_device(core, in, asked->node);
    if (asked->dry_run)
        return fence_dry_run(core, in, node, asked->reboot);
    if (node->fence != NULL && node->fencing->automatic)
        core_fence_abort(core, node, "an operator asked for it, which goes on from here");
    if (node->fence != NULL)
        return core_problem(core, in, PH_STATE_FORBIDS, "node", "job %lld is fencing %s already",
            (long long)node->fence->row.id, asked->node);
    if (node->fencing->aim != CORE_FENCE_IDLE)
        return core_problem(
            core, in, PH_STATE_FORBIDS, "node", "%s is being switched on", asked->node);
    job = core_job_new(core, PH_JOB_FENCE, NULL, node, in->sender);
    if (job == NULL)
        return 0;
    core_command(core, in, &(struct core_about){.node = node, .job = job}, "fence %s%s",
        asked->node, asked->reboot ? ", and switch it on again" : "");
    core_job_set_state(core, job, PH_JOB_RUNNING);
    begin(node, false, asked->reboot);
    core_fence_level(core, node, core_fence_next_level(node->fencing, 0));
    core_answer_done(
        core, in, job->row.id, "the fence devices of %s are asked to switch it off", asked->node);
    core_fence_step(core, node);
    return 0;
}

int ph_request_fence(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_fence *asked = in->body;
    struct core_node *node = core_find_node(core, asked->node);

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", asked->node);
    if (node->row.state == PH_NODE_FENCED)
        return core_problem(core, in, PH_STATE_FORBIDS, "node", "%s is fenced already%s%s",
            asked->node, has_device(node) ? "; to switch it on: poolherd fence on " : "",
            has_device(node) ? asked->node : "");
    if (asked->confirm_dead[0] != '\0' && strcmp(asked->confirm_dead, asked->node) != 0)
        return core_problem(core, in, PH_BAD_INPUT, "confirm_dead",
            "it must repeat the node's name, %s", asked->node);
    if (asked->confirm_dead[0] != '\0' && asked->reboot)
        return core_problem(core, in, PH_BAD_INPUT, "reboot",
            "what is off by your word is not switched on; leave one of the two out");
    if (asked->confirm_dead[0] != '\0')
        return fence_by_word(core, in, node, asked->dry_run);
    return fence_by_devices(core, in, node, asked);
}

int ph_request_fence_on(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    struct core_node *node = core_find_node(core, asked->name);

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no node %s", asked->name);
    if (!has_device(node))
        return core_problem(core, in, PH_STATE_FORBIDS, "name",
            "%s has no fence device that could switch it on", asked->name);
    if (node->fencing->aim != CORE_FENCE_IDLE)
        return core_problem(core, in, PH_STATE_FORBIDS, "name", "%s is being switched %s",
            asked->name, node->fencing->aim == CORE_FENCE_ON ? "on already" : "off");
    core_command(core, in, &(struct core_about){.node = node}, "switch %s on", asked->name);
    begin(node, false, false);
    node->fencing->aim = CORE_FENCE_ON;
    core_fence_level(core, node, 0);
    core_answer_done(core, in, 0, "the fence devices of %s are asked to switch it on", asked->name);
    core_fence_step(core, node);
    return 0;
}

int ph_request_fence_test(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_fence_ask *asked = in->body;
    struct core_node *node = core_find_node(core, asked->node);
    size_t called = 0;

    if (asked->node[0] != '\0' && node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "node", "there is no node %s", asked->node);
    if (node != NULL && !has_device(node))
        return no_device(core, in, asked->node);
    for (size_t i = 0; i < core->nodes.count; i++) {
        struct core_node *each = core->nodes.items[i].value;

        if (node == NULL || node == each)
            called += core_fence_test(core, each);
    }
    core_answer_done(core, in, 0, "%zu fence device%s asked for the status", called,
        called == 1 ? " is" : "s are");
    return 0;
}

int core_fence_cancel(struct ph_core *core, const struct ph_event_in *in, struct core_job *job)
{
    struct core_node *node = core_find_node(core, job->row.node);
    long long id = (long long)job->row.id;

    core_command(core, in, &(struct core_about){.node = node, .job = job}, "cancel job %lld", id);
    if (node == NULL || node->fencing == NULL) {
        core_job_end(core, job, PH_JOB_CANCELLED, "by an operator");
    } else {
        node->fencing->declined = node->fencing->automatic;
        core_fence_abort(core, node, "by an operator; a call that was made is not called back");
        core_fence_arm(core, node);
    }
    core_answer_done(core, in, 0,
        "job %lld is cancelled; a device that was told to switch off may still do so", id);
    return 0;
}
