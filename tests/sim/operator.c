/*
 * The person at the command line: declares, moves, drains, cancels, changes their mind; and in calm
 * weather puts right what only a person can.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>
#include <string.h>

#define PENDING 64
static struct {
    uint64_t request;
    bool pools[SIM_POOLS_MAX];
} pending[PENDING]; /* declarations that wait for their answer */

static uint64_t ask(struct sim *sim, enum ph_message_type type, const void *body)
{
    struct sim_manager *manager = &sim->manager;
    if (manager->core == NULL) {
        return 0;
    }
    uint64_t request = ++manager->last_request;
    struct ph_event_in in = {.kind = PH_EV_REQUEST,
        .sender = "admin",
        .role = PH_ROLE_ADMIN,
        .type = type,
        .body = body,
        .request = request};
    sim_trace(sim, "operator", "asks %s", ph_messages[type].type);
    sim_manager_step(sim, &in);
    return request;
}

void sim_operator_answer(
    struct sim *sim, uint64_t request, enum ph_message_type type, const void *body)
{
    if (type == PH_MSG_PROBLEM && sim_tracing(sim)) {
        const struct ph_problem *problem = body;
        sim_trace(sim, "operator", "is told: %s", problem->message);
    }
    if (type == PH_MSG_PROBLEM && request == 1) {
        sim_fail(sim, "the first declaration was refused: %s",
            ((const struct ph_problem *)body)->message);
    }
    size_t slot = (size_t)(request % PENDING);
    if (type != PH_MSG_APPLIED || pending[slot].request != request) {
        return;
    }
    for (int i = 0; i < sim->pool_count; i++) {
        if (pending[slot].pools[i] && request > sim->pools[i].gone_request) {
            sim->pools[i].declared = true;
            sim->pools[i].gone = false;
        }
    }
    pending[slot].request = 0;
}

static void must(struct sim *sim, bool ok)
{
    if (!ok) {
        sim_fail(sim, "memory is out");
    }
}

/* Seconds between copies, and how old the newest may be at a take-over. */
static void declare_copies(struct sim *sim, struct ph_pool_spec *spec)
{
    uint64_t *person = &sim->person;
    bool rare = sim->schedule->long_intervals;
    spec->copies = sim->node_count > 1 ? 1 + (int64_t)sim_random(person, 2) : 0;
    spec->copies = spec->copies >= sim->node_count ? sim->node_count - 1 : spec->copies;
    spec->sync_interval_s =
        (int64_t)(rare ? sim_between(person, 900, 14400) : sim_between(person, 2, 60));
    spec->max_data_loss_s =
        sim_chance(person, 0.3) ? spec->sync_interval_s + (int64_t)sim_between(person, 5, 300) : 0;
}

static void declare_one(struct sim *sim, struct ph_apply *apply, int pool)
{
    uint64_t *person = &sim->person;
    struct ph_pool_spec *spec =
        ph_many_add(&ph_record_pool_spec, (struct ph_many *)(void *)&apply->pools);
    must(sim, spec != NULL);
    (void)ph_text_format(spec->name, sizeof(spec->name), "%s", sim->pools[pool].name);
    (void)ph_text_format(spec->driver, sizeof(spec->driver), "directory");
    spec->desired = PH_DESIRED_ACTIVE;
    spec->priority = (int64_t)sim_random(person, 5);
    declare_copies(sim, spec);
    spec->cpu = 1000;
    spec->memory_mib = 128;
    spec->disk_mib = 128;
    spec->failback = sim_chance(person, 0.2) ? PH_FAILBACK_YES : PH_FAILBACK_NO;
    if (sim_chance(person, 0.3)) {
        must(sim, ph_texts_add(&spec->prefer,
                      sim->nodes[sim_random(person, (uint64_t)sim->node_count)].name) == 0);
    }
    int vms = 1 + (int)sim_random(person, SIM_VMS);
    for (int i = 0; i < vms; i++) {
        struct ph_vm_spec *vm =
            ph_many_add(&ph_record_vm_spec, (struct ph_many *)(void *)&spec->vms);
        must(sim, vm != NULL);
        vm->name[0] = (char)('a' + i);
        (void)ph_text_format(vm->kind, sizeof(vm->kind), "process");
        must(sim, ph_texts_add(&vm->command, sim_chance(person, 0.5) ? "serve" : "work") == 0);
        vm->restart = sim_chance(person, 0.8) ? PH_RESTART_ALWAYS
                                              : (enum ph_restart_policy)sim_random(person, 3);
        vm->stop_timeout_ms = 1000;
    }
}

static void apply_some(struct sim *sim, bool all)
{
    struct ph_apply apply = {0};
    bool chosen[SIM_POOLS_MAX] = {false};
    uint64_t *person = &sim->person;
    for (int i = 0; i < sim->pool_count; i++) {
        chosen[i] = all || sim_chance(person, 0.1);
        if (chosen[i]) {
            declare_one(sim, &apply, i);
        }
    }
    /* The answer can come within the question: the place for it is ready before. */
    uint64_t request = sim->manager.last_request + 1;
    size_t slot = (size_t)(request % PENDING);
    pending[slot].request = request;
    memcpy(pending[slot].pools, chosen, sizeof(chosen));
    (void)ask(sim, PH_MSG_APPLY, &apply);
    ph_record_fini(&ph_record_apply, &apply);
}

void sim_operator_declare(struct sim *sim)
{
    memset(pending, 0, sizeof(pending));
    sim->person = sim_hash(sim->schedule->seed, 'o', 0);
    apply_some(sim, true);
}

static void ask_named(struct sim *sim, enum ph_message_type type, const char *name)
{
    struct ph_named named = {0};
    (void)ph_text_format(named.name, sizeof(named.name), "%s", name);
    (void)ask(sim, type, &named);
}

static void start_pool(struct sim *sim, const char *name, bool everything)
{
    struct ph_pool_start start = {.accept_data_loss = everything, .retry = true};
    (void)ph_text_format(start.pool, sizeof(start.pool), "%s", name);
    (void)ask(sim, PH_MSG_POOL_START, &start);
}

static void move_pool(struct sim *sim, const char *name, int target)
{
    struct ph_pool_move move = {0};
    (void)ph_text_format(move.pool, sizeof(move.pool), "%s", name);
    if (target >= 0) {
        (void)ph_text_format(move.target, sizeof(move.target), "%s", sim->nodes[target].name);
    }
    (void)ask(sim, PH_MSG_POOL_MOVE, &move);
}

static void drain_node(struct sim *sim, const char *name, const struct sim_item *item)
{
    struct ph_drain drain = {
        .max_parallel = item->amount, .deadline_s = (int64_t)(item->for_ms + 999) / 1000};
    (void)ph_text_format(drain.node, sizeof(drain.node), "%s", name);
    (void)ask(sim, PH_MSG_DRAIN, &drain);
}

static void remove_pool(struct sim *sim, int pool, bool with_data)
{
    struct ph_pool_remove request = {.destroy_data = with_data};
    (void)ph_text_format(request.pool, sizeof(request.pool), "%s", sim->pools[pool].name);
    sim->pools[pool].gone = true;
    sim->pools[pool].gone_request = sim->manager.last_request + 1;
    (void)ask(sim, PH_MSG_POOL_REMOVE, &request);
}

static void fence_node(struct sim *sim, int node)
{
    struct ph_fence request = {0};
    (void)ph_text_format(request.node, sizeof(request.node), "%s", sim->nodes[node].name);
    if (!sim->nodes[node].powered) { /* they went and looked */
        (void)ph_text_format(
            request.confirm_dead, sizeof(request.confirm_dead), "%s", sim->nodes[node].name);
    }
    (void)ask(sim, PH_MSG_FENCE, &request);
}

static void declare_fencing(struct sim *sim, int node)
{
    struct ph_fence_apply apply = {0};
    sim_fence_declare(sim, node, &apply);
    (void)ask(sim, PH_MSG_FENCE_APPLY, &apply);
    ph_record_fini(&ph_record_fence_apply, &apply);
}

static void cancel_something(struct sim *sim)
{
    size_t count = sim->manager.jobs.rows.count;
    if (count == 0) {
        return;
    }
    const struct sim_row *row = sim->manager.jobs.rows.items[sim_random(&sim->person, count)].value;
    struct ph_numbered request = {.id = ((const struct ph_job *)row->value)->id};
    (void)ask(sim, PH_MSG_JOB_CANCEL, &request);
}

static void leave(struct sim *sim, int node)
{
    if (sim->nodes[node].agent != NULL) {
        struct ph_agent_event event = {.kind = PH_AE_LEAVE};
        sim_agent_step(sim, node, &event);
    }
}

void sim_operate(struct sim *sim, const struct sim_item *item)
{
    struct ph_nothing nothing = {0};
    const char *pool = item->pool >= 0 ? sim->pools[item->pool].name : "";
    const char *node = item->node >= 0 ? sim->nodes[item->node].name : "";
    sim->person = sim_hash(sim->schedule->seed, item->detail, 'o');
    switch ((int)item->action) {
    case SIM_DO_APPLY:
        apply_some(sim, false);
        break;
    case SIM_DO_MOVE:
        move_pool(sim, pool, item->node);
        break;
    case SIM_DO_DRAIN:
        drain_node(sim, node, item);
        break;
    case SIM_DO_RESUME:
        ask_named(sim, PH_MSG_RESUME, node);
        break;
    case SIM_DO_STOP:
        ask_named(sim, PH_MSG_POOL_STOP, pool);
        break;
    case SIM_DO_START:
        start_pool(sim, pool, item->amount != 0);
        break;
    case SIM_DO_REMOVE:
        remove_pool(sim, item->pool, item->amount != 0);
        break;
    case SIM_DO_FENCE:
        fence_node(sim, item->node);
        break;
    case SIM_DO_DEVICES:
        declare_fencing(sim, item->node);
        break;
    case SIM_DO_CANCEL:
        cancel_something(sim);
        break;
    case SIM_DO_PAUSE:
        (void)ask(sim, PH_MSG_PAUSE, &nothing);
        break;
    case SIM_DO_UNPAUSE:
        (void)ask(sim, PH_MSG_UNPAUSE, &nothing);
        break;
    case SIM_DO_STATUS:
        (void)ask(sim, PH_MSG_STATUS, &nothing);
        break;
    case SIM_DO_LEAVE:
        leave(sim, item->node);
        break;
    default:
        sim_operator_tidy(sim);
        break;
    }
}

void sim_operator_tidy(struct sim *sim)
{
    struct ph_nothing nothing = {0};
    (void)ask(sim, PH_MSG_UNPAUSE, &nothing);
    for (int i = 0; i < sim->node_count; i++) {
        const struct ph_node *row = sim_table_get(&sim->manager.nodes, sim->nodes[i].name);
        if (row != NULL && row->admin != PH_ADMIN_ACTIVE && row->admin != PH_ADMIN_DRAINING) {
            ask_named(sim, PH_MSG_RESUME, sim->nodes[i].name);
        }
    }
    for (int i = 0; i < sim->pool_count; i++) {
        const struct ph_pool *row = sim_table_get(&sim->manager.pools, sim->pools[i].name);
        if (row != NULL && row->desired == PH_DESIRED_ACTIVE &&
            (row->state == PH_POOL_BLOCKED || row->state == PH_POOL_FAILED)) {
            start_pool(sim, sim->pools[i].name, true);
        }
    }
}

/* Nobody can prove that nothing runs on a node that has lost its memory, when its witnesses cannot be known
 * either: a person switches it off, says so, and switches it on again. */
void sim_operator_replace(struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++) {
        const struct ph_node *row = sim_table_get(&sim->manager.nodes, sim->nodes[i].name);
        if (row == NULL || row->state != PH_NODE_SUSPECT) {
            continue;
        }
        if (sim->nodes[i].powered) {
            sim_trace(sim, "operator", "switches %s off", row->name);
            sim->stats.replaced++;
            sim_node_power_off(sim, i, 90 * (uint64_t)SIM_SECOND);
        } else {
            fence_node(sim, i);
        }
    }
}
