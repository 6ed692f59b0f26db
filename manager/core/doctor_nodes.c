/*
 * Doctor: nodes. See doctor.c.
 */
#include "manager/core/doctor.h"

#include <stdlib.h>
#include <string.h>

static void find_count(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    struct core_names away = {0};
    size_t ready = 0;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;

        if (node->row.admin == PH_ADMIN_RETIRED)
            continue;
        if (core->cluster.nodes[i].available)
            ready++;
        else
            core_names_add(&away, node->row.name);
    }
    if (ready >= 2)
        core_holds(doctor, "second-node", "%zu nodes may be given pools", ready);
    else
        core_broken(doctor, "second-node",
            "invite another node (poolherd node invite NAME) or bring one back",
            "%zu nodes may be given pools: with fewer than 2, nothing can be taken over", ready);
    if (away.count == 0)
        core_holds(doctor, "nodes-ready", "every node may be given pools");
    else
        core_broken(doctor, "nodes-ready",
            "poolherd node show NAME says why; poolherd node resume NAME ends maintenance and "
            "quarantine",
            "lost, in maintenance, quarantined or not admitted: %s", core_names_said(&away));
}

/* What happens to pools when the manager is silent for longer than a lease. */
static void find_witnesses(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    struct core_names alone = {0}, barely = {0};
    size_t count = 0;
    int64_t least = PH_WITNESSES_MAX;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct core_node *node = core->nodes.items[i].value;
        int64_t survives = core_voters_survive(node);

        if (node->row.admin == PH_ADMIN_RETIRED || !node->row.granting)
            continue;
        count++;
        if (survives < 0)
            core_names_add(&alone, node->row.name);
        else if (survives == 0)
            core_names_add(&barely, node->row.name);
        least = survives < least ? survives : least;
    }
    if (alone.count > 0 || count == 0)
        core_broken(doctor, "manager-silence",
            count < 2
                ? "invite a second node, better a third one (poolherd node invite NAME)"
                : "wait until they have confirmed their witnesses; if that does not come, see "
                  "poolherd node show NAME, and whether agents reach each other's endpoints",
            "a manager silent for longer than lease_ms (%llu ms) stops every pool safely on nodes "
            "that have no witnesses: %s",
            (unsigned long long)core->config.timing.lease_ms,
            count == 0 ? "there is no node yet" : core_names_said(&alone));
    if (barely.count > 0)
        core_broken(doctor, "manager-and-node",
            "a third node gives each two witnesses, of which one may fail as well",
            "each has one witness, so that pools run on when the manager fails, but not when the "
            "other node fails at the same time: %s",
            core_names_said(&barely));
    if (alone.count == 0 && count > 0)
        core_holds(doctor, "manager-silence",
            "the manager may be away for any time: pools run on by the votes of witnesses%s%s",
            least >= 1 ? ", of which " : "",
            least >= 2   ? "two may fail besides"
            : least == 1 ? "one may fail besides"
                         : "");
}

static void find_unknown_sizes(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    struct core_names unknown = {0}, over = {0};

    for (size_t i = 0; i < core->nodes.count; i++) {
        const struct ph_place_node *place = &core->cluster.nodes[i];
        const struct ph_node *row = place->node;

        if (!place->available)
            continue;
        if (row->cpu == 0 || row->memory_mib == 0 || row->disk_mib == 0)
            core_names_add(&unknown, row->name);
        if ((row->cpu != 0 && place->cpu_used > row->cpu) ||
            (row->memory_mib != 0 && place->memory_used_mib > row->memory_mib) ||
            (row->disk_mib != 0 && place->disk_used_mib > row->disk_mib))
            core_names_add(&over, row->name);
    }
    if (unknown.count == 0)
        core_holds(doctor, "sizes-known", "every node that may be given pools says what it offers");
    else
        core_broken(doctor, "sizes-known",
            "set cpu, memory_mib and disk_mib in the agent's configuration",
            "did not say how much cpu, memory or disk they have, so that no limit is applied "
            "there: %s",
            core_names_said(&unknown));
    if (over.count == 0)
        core_holds(doctor, "not-overfull", "no node carries more than it offers");
    else
        core_broken(doctor, "not-overfull",
            "move pools away (poolherd pool move NAME) or lower what they declare",
            "carry more than they offer: %s", core_names_said(&over));
}

/* Of the nodes that run pools: the one with most memory in use, then most pools. */
static long largest(const struct ph_core *core)
{
    long best = -1;

    for (size_t i = 0; i < core->cluster.node_count; i++) {
        const struct ph_place_node *node = &core->cluster.nodes[i];

        if (node->pools == 0)
            continue;
        if (best < 0 || node->memory_used_mib > core->cluster.nodes[best].memory_used_mib ||
            (node->memory_used_mib == core->cluster.nodes[best].memory_used_mib &&
                node->pools > core->cluster.nodes[best].pools))
            best = (long)i;
    }
    return best;
}

static void find_capacity(struct core_doctor *doctor)
{
    struct ph_core *core = doctor->core;
    struct ph_planned_move_list plan = {0};
    struct core_names stranded = {0};
    long index = largest(core);
    const char *why = "";

    if (index < 0) {
        core_holds(doctor, "capacity-after-loss", "no node runs a pool");
        return;
    }
    const char *name = core->cluster.nodes[index].node->name;

    if (ph_place_drain(&core->cluster, name, NULL, &plan) != 0)
        core->no_memory = true;
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.items[i].to[0] != '\0')
            continue;
        if (stranded.count == 0)
            why = core_text(plan.items[i].reason);
        core_names_add(&stranded, plan.items[i].pool);
    }
    if (stranded.count == 0)
        core_holds(doctor, "capacity-after-loss",
            "the pools of the largest node, %s, would find room elsewhere", name);
    else
        core_broken(doctor, "capacity-after-loss",
            "add a node or capacity, or allow the pools on more nodes",
            "if %s were lost, these pools would find no place: %s (%s)", name,
            core_names_said(&stranded), why);
    for (size_t i = 0; i < plan.count; i++)
        ph_record_fini(&ph_record_planned_move, &plan.items[i]);
    free(plan.items);
}

static void find_versions(struct core_doctor *doctor)
{
    const struct ph_core *core = doctor->core;
    const char *first = NULL, *other = NULL;

    for (size_t i = 0; i < core->nodes.count; i++) {
        const char *version =
            core_text(((struct core_node *)core->nodes.items[i].value)->row.version);

        if (version[0] == '\0')
            continue;
        if (first == NULL)
            first = version;
        else if (strcmp(first, version) != 0)
            other = version;
    }
    if (other == NULL)
        core_holds(doctor, "one-version", "all agents have one version");
    else
        core_broken(doctor, "one-version",
            "upgrade the agents that are behind; their workloads run on meanwhile",
            "agents have different versions: %s, %s", first, other);
}

void core_find_nodes(struct core_doctor *doctor)
{
    find_count(doctor);
    find_capacity(doctor);
    find_witnesses(doctor);
    core_find_fencing(doctor);
    find_unknown_sizes(doctor);
    find_versions(doctor);
}
