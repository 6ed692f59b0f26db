/*
 * What stops a node's pools when the node itself cannot: its watchdog. Time alone frees the pools of a
 * silent node because its guard, or failing that its watchdog, has ended everything by then. Where
 * neither can be counted on, a proof from outside is needed (docs/failure-model.md, "Last resorts").
 */
#include "manager/core/internal.h"

#include <string.h>

#include "manager/core/doctor.h"

static uint64_t larger_of(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* A node counts with what it has; the configuration may ask for more, and what it has not yet said. */
uint64_t core_node_wait_ms(const struct ph_core *core, const struct core_node *node)
{
    struct ph_timing timing = core->config.timing;

    timing.watchdog_ms = larger_of(timing.watchdog_ms, (uint64_t)node->row.watchdog_ms);
    return ph_timing_takeover_ms(&timing);
}

/* What a node may still live by after a restart of the manager: told_ms by the timing of before, and
 * then, its lease having ended under that, its watchdog. */
uint64_t core_node_told_wait_ms(const struct ph_core *core, const struct core_node *node)
{
    struct ph_timing watchdog = {.watchdog_ms = (uint64_t)node->row.watchdog_ms,
        .clock_drift = core->config.timing.clock_drift};
    uint64_t now_ms = core_node_wait_ms(core, node);

    if (core->told_takeover_ms <= core->takeover_ms)
        return now_ms;
    return larger_of(now_ms, core->told_takeover_ms + ph_timing_takeover_ms(&watchdog));
}

const char *core_node_held(const struct ph_core *core, const struct core_node *node)
{
    for (size_t i = 0; i < node->peers.count; i++) {
        const struct core_pool *pool = ((struct core_peer *)node->peers.items[i].value)->pool;

        if (strcmp(pool->row.node, node->row.name) == 0 && core_needs_fencing(&pool->row))
            return "it has a pool whose data other nodes reach too (driver shared or ocf), and "
                   "nobody said without_fencing";
    }
    if (node->row.watchdog_ms > 0)
        return NULL;
    if (node->row.stuck)
        return "it said that something of a pool cannot be stopped there, and it has no watchdog "
               "that "
               "would reset it";
    if (core->config.hold_without_watchdog)
        return "it has no watchdog, and the configuration says without_watchdog: hold";
    return NULL;
}

void core_node_held_say(struct ph_core *core, struct core_node *node)
{
    struct core_about about = {.node = node};
    const char *why = core_node_held(core, node);

    if (node->held_said || why == NULL)
        return;
    node->held_said = true;
    core_node_state(core, node, node->row.state,
        "silent, and time alone proves nothing: %s; `poolherd node fence %s` frees its pools", why,
        node->row.name);
    core_event(core, PH_EVENT_ERROR, "takeover-held", &about,
        "the pools of %s are not taken over by time alone: %s; fence it, or when you know that it "
        "is "
        "off: poolherd node fence %s --confirm-dead %s",
        node->row.name, why, node->row.name, node->row.name);
    core_node_pools_dirty(core, node);
}

/* From what it reports of its pools; looked at when one of them becomes stuck or ceases to be. */
void core_node_stuck_look(struct ph_core *core, struct core_node *node)
{
    bool stuck = false;

    for (size_t i = 0; i < node->peers.count && !stuck; i++) {
        const struct core_peer *peer = node->peers.items[i].value;

        stuck = peer->reported && peer->report.state == PH_LOCAL_STUCK;
    }
    core_node_stuck_set(core, node, stuck);
}

void core_node_stuck_set(struct ph_core *core, struct core_node *node, bool stuck)
{
    if (node->row.stuck == stuck)
        return;
    node->row.stuck = stuck;
    node->held_said = false;
    core_node_touch(core, node);
}

/* ---- doctor ---- */
static void find_watchdogs(struct core_doctor *doctor)
{
    struct ph_core *core = doctor->core;
    bool hold = core->config.hold_without_watchdog;
    struct core_names without = {0}, open = {0};
    uint64_t longest_ms = core->config.timing.watchdog_ms;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        if (node->row.admin == PH_ADMIN_RETIRED)
            continue;
        longest_ms = larger_of(longest_ms, (uint64_t)node->row.watchdog_ms);
        if (node->row.watchdog_ms > 0)
            continue;
        core_names_add(&without, node->row.name);
        if (node->row.kills_by != PH_KILLS_NAMESPACE)
            core_names_add(&open, node->row.name);
    }
    if (without.count == 0 && core->nodes.count > 0)
        core_holds(doctor, "watchdog",
            "every node feeds a watchdog; the longest time-out waited for is %llu ms",
            (unsigned long long)longest_ms);
    else if (core->nodes.count == 0)
        core_holds(doctor, "watchdog", "no node yet that would need one");
    else
        core_broken(doctor, "watchdog",
            "set watchdog: /dev/watchdog in the agent's configuration (modprobe softdog where "
            "there "
            "is no device), or give the node a fence device; without_watchdog in the manager's "
            "configuration says what becomes of a silent node that has none",
            hold ? "without a watchdog, and so held until fencing or an operator confirms "
                   "(without_watchdog: hold): %s"
                 : "without a watchdog, and taken over by time alone (without_watchdog: accept), "
                   "trusting that SIGKILL ends what ran, also in a kernel that hangs: %s",
            core_names_said(&without));
    if (open.count == 0)
        core_holds(doctor, "guard-and-agent",
            "when the agent and the guard of a node die together, something else stops its pools");
    else
        core_broken(doctor, "guard-and-agent",
            "run the agents as root with pid_namespaces (the default), or give them a watchdog",
            "when agent and guard die together there, what they ran goes on unguarded%s: %s",
            hold ? "" : " and would be started elsewhere as well", core_names_said(&open));
}

static void find_guards(struct core_doctor *doctor)
{
    struct ph_core *core = doctor->core;
    struct core_names marks = {0}, lacking = {0}, stuck = {0};
    const char *note = "";

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        if (node->row.admin == PH_ADMIN_RETIRED)
            continue;
        if (node->row.kills_by == PH_KILLS_GROUPS)
            core_names_add(&marks, node->row.name);
        if (node->row.stuck)
            core_names_add(&stuck, node->row.name);
        if (core_text(node->row.guard_note)[0] == '\0')
            continue;
        if (lacking.count == 0)
            note = core_text(node->row.guard_note);
        core_names_add(&lacking, node->row.name);
    }
    if (marks.count > 0)
        core_broken(doctor, "kill-means",
            "run the agent as root or under systemd with Delegate=yes, on a machine with cgroup v2",
            "pools are killed by process groups and marks, which a program that hides well "
            "escapes: "
            "%s",
            core_names_said(&marks));
    else
        core_holds(doctor, "kill-means", "pools are killed by means that nothing escapes");
    if (lacking.count > 0)
        core_broken(doctor, "guard-means",
            "mend it or take it out of the agent's configuration, then restart the agent; its "
            "workloads run on meanwhile",
            "the guard lacks what is configured on %s; the first says: %s",
            core_names_said(&lacking), note);
    if (stuck.count > 0)
        core_broken(doctor, "nothing-stuck",
            "poolherd node show NAME and pool show say what; kill it by hand or restart the "
            "machine",
            "something of a pool cannot be stopped on %s: without a watchdog the node's pools are "
            "taken over only when it is proven to be off",
            core_names_said(&stuck));
}

void core_find_last_resorts(struct core_doctor *doctor)
{
    find_watchdogs(doctor);
    find_guards(doctor);
}
