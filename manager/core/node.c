/*
 * Admission and lease. See docs/conversation.md, "Admission and lease" and "Taking over" in the
 * failure model.
 *
 *   dead_ms     when the last grant of the present generation, wherever it is, can keep nothing alive
 *   settled_ms  the same for the generations before
 *   confirmed   its first beat under a generation: those before are over for good. A node that is
 *               admitted again says that it runs nothing, and is believed for its own pools; but its
 *               word may be old, so another node gets them only when it is confirmed, or lost
 *
 * What the node's witnesses granted is promise.c's; a node that is not heard is silence.c's.
 */
#include "manager/core/internal.h"

#include <string.h>

#define GENERATION_MAX (INT64_MAX / 2) /* far more than admissions ever; leaves room to count on */

static const char *text_or_empty(const char *text)
{
    return text == NULL ? "" : text;
}

static uint64_t later_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

const char *core_node_state_word(const struct core_node *node)
{
    return ph_enum_word(&ph_enum_node_state, (int)node->row.state);
}

uint64_t core_lease_left_ms(const struct ph_core *core, const struct core_node *node)
{
    uint64_t end_ms = node->granted_ms + core->config.timing.lease_ms;

    if (!node->row.granting || !node->granted || !node->heard || end_ms <= core->now_ms)
        return 0;
    return end_ms - core->now_ms;
}

int64_t core_last_seen_ms(const struct ph_core *core, const struct core_node *node)
{
    return node->heard ? (int64_t)(core->now_ms - node->heard_ms) : -1;
}

void core_node_pools_dirty(struct ph_core *core, struct core_node *node)
{
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        core_pool_dirty(core, peer->pool);
    }
}

static void unwelcome(struct ph_core *core, const char *node, int64_t number, bool say_hello,
    bool duplicate, const char *reason)
{
    char text[PH_TEXT_BYTES_MAX + 1];
    struct ph_unwelcome body = {.number = number,
        .term = core->term,
        .manager = core->manager_id,
        .say_hello = say_hello,
        .duplicate = duplicate,
        .reason = text};

    ph_text_format(text, sizeof text, "%s", reason);
    core_grant(core, node, PH_MSG_UNWELCOME, &body);
}

void core_node_say_hello(struct ph_core *core, const struct core_node *node)
{
    unwelcome(core, node->row.name, 0, true, false, "the cluster's timing has changed");
}

/* ---- beats ---- */
static void node_heard(struct ph_core *core, struct core_node *node)
{
    node->heard = true;
    node->heard_ms = core->now_ms;
}

/* It goes by the generation in force, so whatever came before it is over. */
static void node_confirmed(struct ph_core *core, struct core_node *node)
{
    if (node->confirmed)
        return;
    node->confirmed = true;
    core_node_pools_dirty(core, node);
    core->attention = true;
}

static void node_granted(struct ph_core *core, struct core_node *node)
{
    node->granted = true;
    node->granted_ms = node->beat_ms = core->now_ms;
    uint64_t wait_ms = core_node_wait_ms(core, node);
    /* Once the node has been welcomed by us and no longer repeats its hello, it goes by our timing. */
    if (node->takeover_ms != wait_ms && node->present &&
        core->now_ms - node->hello_ms > 3 * later_of(core->config.timing.beat_ms, 200))
        node->takeover_ms = wait_ms;
    node->dead_ms = later_of(node->dead_ms, core->now_ms + later_of(node->takeover_ms, wait_ms));
}

/* The lease timer is not moved at each beat: it looks again when it fires. */
static void node_online(struct ph_core *core, struct core_node *node)
{
    node->held_said = false;
    if (node->row.state == PH_NODE_SUSPECT)
        core_node_state(core, node, PH_NODE_ONLINE, "heard again after %llu ms of silence",
            (unsigned long long)core->now_ms - node->silent_ms + core->config.timing.lease_ms);
    else
        core_node_state(core, node, PH_NODE_ONLINE, "admitted under generation %lld",
            (long long)node->row.generation);
    core_node_pools_dirty(core, node);
    core_voters_changed(core, node);
    core_timer_set(core, &node->lease, core->now_ms + core->config.timing.lease_ms);
}

void core_node_beat(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_beat *beat = in->body;
    struct core_node *node = core_find_node(core, in->sender);
    struct ph_grant grant;

    if (node == NULL) {
        unwelcome(core, in->sender, beat->number, true, false, "not admitted: say hello");
        return;
    }
    if (beat->term > core->term)
        core_outdated(core, node, beat->term);
    if (core->outdated) {
        unwelcome(core, in->sender, beat->number, false, false, core_pause_reason(core));
        return;
    }
    if (!node->row.granting || beat->generation != node->row.generation ||
        (node->instance[0] != '\0' && strcmp(node->instance, beat->instance) != 0)) {
        unwelcome(core, in->sender, beat->number, true, false,
            "this beat is not of the admission in force: say hello");
        return;
    }
    if (node->instance[0] == '\0') {
        ph_text_format(node->instance, sizeof node->instance, "%s", beat->instance);
        node->heard_number = 0;
    }
    if (beat->number > node->heard_number)
        node->heard_number = beat->number;
    node_heard(core, node);
    node_granted(core, node);
    grant = (struct ph_grant){.number = beat->number,
        .boot_ms = beat->boot_ms,
        .generation = beat->generation,
        .term = core->term,
        .manager = core->manager_id,
        .lease_ms = (int64_t)core->config.timing.lease_ms};
    core_grant(core, in->sender, PH_MSG_GRANT, &grant);
    if (node->row.state == PH_NODE_SUSPECT || node->promises_asked)
        core_promises_void(core, node);
    if (!node->confirmed || node->row.state != PH_NODE_ONLINE) {
        node_confirmed(core, node);
        if (node->row.state != PH_NODE_ONLINE)
            node_online(core, node);
        else
            core_voters_changed(core, node);
    }
    core_voters_tell(core, node);
}

/* ---- hello ---- */
void core_node_welcome(struct ph_core *core, struct core_node *node)
{
    struct ph_welcome body = {.term = core->term,
        .manager = core->manager_id,
        .generation = node->row.generation,
        .instance = node->instance,
        .beat_ms = (int64_t)core->config.timing.beat_ms,
        .lease_ms = (int64_t)core->config.timing.lease_ms,
        .stop_ms = (int64_t)core->config.timing.stop_ms};

    ph_text_format(body.name, sizeof body.name, "%s", node->row.name);
    node->takeover_ms = later_of(node->takeover_ms, core_node_wait_ms(core, node));
    core_send(core, node->row.name, PH_MSG_WELCOME, &body);
}

static bool fact_text(struct ph_core *core, char **member, const char *text)
{
    if (strcmp(text_or_empty(*member), text_or_empty(text)) == 0)
        return false;
    if (ph_set_text(member, text) != 0)
        core->no_memory = true;
    return true;
}

static bool fact_texts(struct ph_core *core, struct ph_texts *member, const struct ph_texts *texts)
{
    if (ph_texts_equal(member, texts))
        return false;
    if (ph_texts_copy(member, texts) != 0)
        core->no_memory = true;
    return true;
}

static bool fact_number(int64_t *member, int64_t number)
{
    bool changed = *member != number;

    *member = number;
    return changed;
}

static void node_facts(struct ph_core *core, struct core_node *node, const struct ph_hello *hello)
{
    struct ph_node *row = &node->row;
    bool endpoint = fact_text(core, &row->endpoint, hello->endpoint);
    bool offers = fact_texts(core, &row->labels, &hello->labels);
    bool changed;

    bool guarded = fact_number(&row->watchdog_ms, hello->watchdog_ms);

    offers |= fact_texts(core, &row->drivers, &hello->drivers);
    bool missing = fact_texts(core, &row->drivers_missing, &hello->drivers_missing);

    offers |= fact_number(&row->cpu, hello->cpu);
    offers |= fact_number(&row->memory_mib, hello->memory_mib);
    offers |= fact_number(&row->disk_mib, hello->disk_mib);
    changed = endpoint | offers | missing;
    changed |= fact_text(core, &row->version, hello->version);
    changed |= fact_text(core, &row->boot_id, hello->boot_id);
    guarded |= row->kills_by != hello->kills_by;
    guarded |= fact_text(core, &row->guard_note, hello->guard_note);
    row->kills_by = hello->kills_by;
    if (guarded)
        node->held_said = false;
    changed |= guarded;
    if (endpoint)
        core_node_pools_dirty(core, node); /* those that copy to it have to know */
    if (offers)
        core->attention = true;
    if (endpoint | offers)
        core_voters_changed(core, node);
    if (changed)
        core_node_touch(core, node);
}

/* Everything this agent said before is forgotten: a new process counts its reports from one. */
void core_node_reports_clear(struct ph_core *core, struct core_node *node)
{
    node->stray_said = false;
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;
        struct core_pool *pool = peer->pool;

        ph_record_fini(&ph_record_report, &peer->report);
        peer->reported = false;
        peer->order_sent = false;
        if (strcmp(pool->row.node, node->row.name) == 0 ||
            strcmp(pool->row.home, node->row.name) == 0) {
            pool->failed_epoch = 0;
            for (size_t j = 0; j < pool->peers.count; j++)
                ((struct core_peer *)pool->peers.items[j].value)->copy_number = 0;
        }
        core_pool_dirty(core, pool);
    }
}

void core_node_pools_down(struct core_node *node)
{
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_pool *pool = ((struct core_peer *)node->peers.items[i].value)->pool;

        if (strcmp(pool->row.node, node->row.name) == 0 && pool->row.state == PH_POOL_ACTIVE &&
            pool->down_ms == 0)
            pool->down_ms = node->beat_ms;
    }
}

/* A lease that has ended, or never began, is believed of the node's own pools. */
static void node_admit(struct ph_core *core, struct core_node *node, int64_t held_generation)
{
    bool failed = node->row.state == PH_NODE_LOST || node->row.state == PH_NODE_FENCED;

    core_node_pools_down(node);
    if (node->row.granting && node->granted)
        node->settled_ms = later_of(node->settled_ms, node->dead_ms);
    if (held_generation > node->row.generation)
        node->row.generation = held_generation;
    node->row.generation++;
    node->row.granting = true;
    node->granted = false;
    node->confirmed = false;
    node->dead_ms = 0;
    core_promises_void(core, node);
    core_promises_doubt(core, node);
    core_voters_changed(core, node);
    node->beat_ms = core->now_ms;
    node->takeover_ms = core_node_wait_ms(core, node);
    core_node_state(core, node, PH_NODE_JOINING,
        "admitted under generation %lld; its first beat is awaited",
        (long long)node->row.generation);
    core_node_touch(core, node);
    core_timer_set(core, &node->lease, core->now_ms + core->config.timing.lease_ms);
    if (failed)
        core_node_failure(core, node);
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        if (strcmp(peer->pool->row.node, node->row.name) == 0)
            core_unassign(core, peer->pool, PH_PROOF_RELEASED, true,
                "its node was admitted anew and runs nothing; the newest data is there");
    }
}

static bool hello_refused(
    struct ph_core *core, struct core_node *node, const struct ph_hello *hello)
{
    const char *manager = text_or_empty(hello->manager);
    struct core_about about = {.node = node};

    if (hello->term > core->term ||
        (hello->term == core->term && manager[0] != '\0' && strcmp(manager, core->manager_id) != 0))
        core_outdated(core, node, hello->term);
    if (core->outdated) {
        unwelcome(core, node->row.name, 0, false, false, core_pause_reason(core));
        return true;
    }
    if (node->row.admin == PH_ADMIN_RETIRED) {
        unwelcome(core, node->row.name, 0, false, false, "this node was retired");
        return true;
    }
    if (node->instance[0] == '\0' || strcmp(node->instance, hello->instance) == 0 ||
        strcmp(node->instance, text_or_empty(hello->previous)) == 0 ||
        core->now_ms - node->heard_ms >= core->config.timing.lease_ms)
        return false;
    unwelcome(core, node->row.name, 0, false, true,
        "another agent with this identity is alive; two agents must not share one directory");
    if (node->refused_ms == 0 || core->now_ms - node->refused_ms >= core->config.timing.lease_ms) {
        node->refused_ms = core->now_ms;
        core_event(core, PH_EVENT_ERROR, "node-duplicate", &about,
            "a second agent presents itself as %s while the first one is alive: it was told to end",
            node->row.name);
    }
    return true;
}

/* A hello that comes after what was said later speaks of a lease and of pools as they were. */
static bool hello_overtaken(const struct core_node *node, const struct ph_hello *hello)
{
    return hello->number != 0 && strcmp(node->instance, hello->instance) == 0 &&
           hello->number <= node->heard_number;
}

/* Whether this hello may be answered with the generation in force, with a new one, or not yet. */
enum answer { ANSWER_SAME, ANSWER_NEW, ANSWER_WAIT, ANSWER_NOTHING };

static enum answer hello_answer(const struct ph_core *core, const struct core_node *node,
    const struct ph_hello *hello, const char **reason)
{
    if (hello->lease_left_ms > 0) {
        if (node->row.granting && hello->generation == node->row.generation)
            return ANSWER_SAME;
        *reason =
            "the node still has a lease of an admission that is no longer granted: it runs on "
            "to its end, and may then be admitted anew";
        return ANSWER_WAIT;
    }
    if (hello->generation > GENERATION_MAX) {
        *reason = "the generation it claims was never given";
        return ANSWER_WAIT;
    }
    if (!node->row.granting)
        return ANSWER_NEW;
    if (!node->granted) /* welcomed before, and nothing was ever granted under it */
        return hello->generation <= node->row.generation ? ANSWER_SAME : ANSWER_NEW;
    if (hello->generation >= node->row.generation ||
        core_node_may_be_taken_over(core, node) != PH_PROOF_NONE)
        return ANSWER_NEW;
    /* It speaks of an older admission, while grants of a newer one are out. Either this hello was
     * overtaken by what came after it, or the node has forgotten its admission: then what it says of
     * its lease proves nothing, and time has to. */
    if (strcmp(node->instance, hello->instance) == 0 &&
        core->now_ms - node->beat_ms < core->config.timing.lease_ms)
        return ANSWER_NOTHING;
    *reason = "a newer admission of this node may still hold a lease: it is admitted when that has "
              "proven to be over";
    return ANSWER_WAIT;
}

static void hello_reports(
    struct ph_core *core, struct core_node *node, const struct ph_hello *hello, bool first)
{
    for (size_t i = 0; i < hello->pools.count; i++)
        core_report_take(core, node, &hello->pools.items[i]);
    for (size_t i = 0; first && i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        if (!peer->reported) { /* everything with a trace was named */
            peer->reported = true;
            peer->report.state = PH_LOCAL_NONE;
        }
    }
    core_node_stuck_look(core, node);
}

void core_node_hello(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_hello *hello = in->body;
    struct core_node *node = core_find_node(core, in->sender);
    const char *reason = "";
    enum answer answer;
    bool first;

    if (node == NULL)
        node = core_node_new(core, in->sender);
    if (node == NULL || hello_overtaken(node, hello) || hello_refused(core, node, hello))
        return;
    answer = hello_answer(core, node, hello, &reason);
    if (answer == ANSWER_NOTHING)
        return;
    if (answer == ANSWER_WAIT) {
        unwelcome(core, node->row.name, 0, false, false, reason);
        return;
    }
    first = !node->present || strcmp(node->instance, hello->instance) != 0;
    ph_text_format(node->instance, sizeof node->instance, "%s", hello->instance);
    node->heard_number = hello->number;
    node_heard(core, node);
    node->hello_ms = core->now_ms;
    node->present = true;
    node_facts(core, node, hello);
    if (first)
        core_node_reports_clear(core, node);
    if (answer == ANSWER_NEW)
        node_admit(core, node, hello->generation);
    core_node_welcome(core, node);
    core_voters_hello(core, node, hello->voters);
    hello_reports(core, node, hello, first);
    for (size_t i = 0; i < node->peers.count; i++) {
        struct core_peer *peer = node->peers.items[i].value;

        peer->order_sent = false; /* it gets all of them again */
        core_pool_dirty(core, peer->pool);
    }
}

void core_node_leaving(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_leaving *leaving = in->body;
    struct core_node *node = core_find_node(core, in->sender);
    struct core_job *job;

    if (node == NULL || node->drain != NULL || core->outdated ||
        (node->row.admin != PH_ADMIN_ACTIVE && node->row.admin != PH_ADMIN_QUARANTINED))
        return;
    job = core_drain_begin(core, node, PH_JOB_DRAIN, 0, 0, "", NULL);
    if (job == NULL)
        return;
    core_event(core, PH_EVENT_INFO, "node-leaving", &(struct core_about){.node = node, .job = job},
        "the agent of %s asks to be drained%s%s", node->row.name,
        text_or_empty(leaving->reason)[0] == '\0' ? "" : ": ", text_or_empty(leaving->reason));
}
