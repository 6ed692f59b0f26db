/*
 * Nodes as people see them. Pure reading.
 */
#include "manager/core/request.h"

static int64_t copies_kept(const struct core_node *node)
{
    int64_t count = 0;

    for (size_t i = 0; i < node->peers.count; i++) {
        const struct core_peer *peer = node->peers.items[i].value;

        count += peer->stored && peer->row.state != PH_REPLICA_DIVERGED;
    }
    return count;
}

/* Never empty when something is not as usual. */
static void node_reason(struct ph_core *core, const struct core_node *node, char **out)
{
    const struct ph_node *row = &node->row;
    bool usual = row->state == PH_NODE_ONLINE && row->admin == PH_ADMIN_ACTIVE;

    if (core_text(row->reason)[0] != '\0' || usual)
        core_copy_text(core, out, row->reason);
    else if (row->admin == PH_ADMIN_DRAINING && node->drain != NULL)
        core_set_text(core, out, "job %lld moves its pools away", (long long)node->drain->row.id);
    else if (row->admin != PH_ADMIN_ACTIVE)
        core_set_text(core, out, "%s", ph_enum_node_admin.docs[row->admin]);
    else
        core_set_text(core, out, "%s", ph_enum_node_state.docs[row->state]);
}

void core_view_node(struct ph_core *core, const struct core_node *node, struct ph_node_view *view)
{
    const struct ph_node *row = &node->row;
    const struct ph_place_node *place = core_place_node(core, node);

    ph_text_format(view->name, sizeof view->name, "%s", row->name);
    view->state = row->state;
    view->admin = row->admin;
    view->copies = copies_kept(node);
    view->lease_left_ms = (int64_t)core_lease_left_ms(core, node);
    view->last_seen_ms = core_last_seen_ms(core, node);
    view->generation = row->generation;
    core_copy_texts(core, &view->labels, &row->labels);
    core_copy_texts(core, &view->drivers, &row->drivers);
    core_copy_texts(core, &view->drivers_missing, &row->drivers_missing);
    core_copy_text(core, &view->endpoint, row->endpoint);
    core_copy_text(core, &view->version, row->version);
    view->cpu = row->cpu;
    view->memory_mib = row->memory_mib;
    view->disk_mib = row->disk_mib;
    if (place != NULL) {
        view->pools = place->pools;
        view->cpu_used = place->cpu_used;
        view->memory_used_mib = place->memory_used_mib;
        view->disk_used_mib = place->disk_used_mib;
    }
    view->failures = row->failures;
    view->job = node->drain != NULL ? node->drain->row.id : 0;
    view->since = row->since;
    view->watchdog_ms = row->watchdog_ms;
    view->kills_by = row->kills_by;
    core_copy_text(core, &view->guard_note, row->guard_note);
    view->takeover_ms = (int64_t)core_node_wait_ms(core, node);
    core_set_text(core, &view->held, "%s", core_text(core_node_held(core, node)));
    node_reason(core, node, &view->reason);
    core_view_fencing(core, node, &view->fencing);
    core_copy_texts(core, &view->witnesses, &node->voters.witnesses);
    view->survives = core_voters_survive(node);
}

void core_view_nodes(struct ph_core *core, struct ph_node_view_list *list)
{
    struct ph_many *many = (struct ph_many *)(void *)list;

    if (ph_many_reserve(&ph_record_node_view, many, core->nodes.count) != 0)
        core->no_memory = true;
    for (size_t i = 0; i < core->nodes.count && !core->no_memory; i++) {
        struct ph_node_view *view = ph_many_add(&ph_record_node_view, many);

        if (view == NULL)
            core->no_memory = true;
        else
            core_view_node(core, core->nodes.items[i].value, view);
    }
}

int ph_request_node_list(struct ph_core *core, const struct ph_event_in *in)
{
    struct ph_nodes_shown shown = {0};

    core_view_nodes(core, &shown.nodes);
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_NODES_SHOWN, &shown);
    return 0;
}

int ph_request_node_show(struct ph_core *core, const struct ph_event_in *in)
{
    const struct ph_named *asked = in->body;
    const struct core_node *node = core_find_node(core, asked->name);
    struct ph_nodes_shown shown = {0};

    if (node == NULL)
        return core_problem(core, in, PH_NOT_FOUND, "name", "there is no node %s", asked->name);
    struct ph_node_view *view =
        ph_many_add(&ph_record_node_view, (struct ph_many *)(void *)&shown.nodes);

    if (view == NULL)
        core->no_memory = true;
    else
        core_view_node(core, node, view);
    core_copy_text(core, &shown.paused, core_pause_reason(core));
    core_answer_take(core, in, PH_MSG_NODES_SHOWN, &shown);
    return 0;
}
