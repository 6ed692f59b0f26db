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
} pending[PENDING];

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
    for (int i = 0; i < sim->options.pools; i++) {
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

static void declare_one(struct sim *sim, struct ph_apply *apply, int pool)
{
    struct ph_pool_spec *spec =
        ph_many_add(&ph_record_pool_spec, (struct ph_many *)(void *)&apply->pools);
    must(sim, spec != NULL);
    (void)ph_text_format(spec->name, sizeof(spec->name), "%s", sim->pools[pool].name);
    (void)ph_text_format(spec->driver, sizeof(spec->driver), "directory");
    spec->desired = PH_DESIRED_ACTIVE;
    spec->priority = (int64_t)sim_random(sim, 5);
    spec->copies = sim->options.nodes > 1 ? 1 + (int64_t)sim_random(sim, 2) : 0;
    spec->copies = spec->copies >= sim->options.nodes ? sim->options.nodes - 1 : spec->copies;
    spec->cpu = 1000;
    spec->memory_mib = 128;
    spec->disk_mib = 128;
    spec->sync_interval_s = (int64_t)sim_between(sim, 2, 60);
    spec->max_data_loss_s =
        sim_chance(sim, 0.3) ? spec->sync_interval_s + (int64_t)sim_between(sim, 5, 300) : 0;
    spec->failback = sim_chance(sim, 0.2) ? PH_FAILBACK_YES : PH_FAILBACK_NO;
    if (sim_chance(sim, 0.3)) {
        must(sim, ph_texts_add(&spec->prefer,
                      sim->nodes[sim_random(sim, (uint64_t)sim->options.nodes)].name) == 0);
    }
    int vms = 1 + (int)sim_random(sim, SIM_VMS);
    for (int i = 0; i < vms; i++) {
        struct ph_vm_spec *vm =
            ph_many_add(&ph_record_vm_spec, (struct ph_many *)(void *)&spec->vms);
        must(sim, vm != NULL);
        vm->name[0] = (char)('a' + i);
        (void)ph_text_format(vm->kind, sizeof(vm->kind), "process");
        must(sim, ph_texts_add(&vm->command, sim_chance(sim, 0.5) ? "serve" : "work") == 0);
        vm->restart =
            sim_chance(sim, 0.8) ? PH_RESTART_ALWAYS : (enum ph_restart_policy)sim_random(sim, 3);
        vm->stop_timeout_ms = 1000;
    }
}

static void apply_some(struct sim *sim, bool all)
{
    struct ph_apply apply = {0};
    bool chosen[SIM_POOLS_MAX] = {false};
    for (int i = 0; i < sim->options.pools; i++) {
        chosen[i] = all || sim_chance(sim, 0.1);
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

static void move_pool(struct sim *sim, const char *name)
{
    struct ph_pool_move move = {0};
    (void)ph_text_format(move.pool, sizeof(move.pool), "%s", name);
    if (sim_chance(sim, 0.5)) {
        (void)ph_text_format(move.target, sizeof(move.target), "%s",
            sim->nodes[sim_random(sim, (uint64_t)sim->options.nodes)].name);
    }
    (void)ask(sim, PH_MSG_POOL_MOVE, &move);
}

static void drain_node(struct sim *sim, const char *name)
{
    struct ph_drain drain = {.max_parallel = (int64_t)sim_random(sim, 5),
        .deadline_s = sim_chance(sim, 0.2) ? (int64_t)sim_between(sim, 5, 120) : 0};
    (void)ph_text_format(drain.node, sizeof(drain.node), "%s", name);
    (void)ask(sim, PH_MSG_DRAIN, &drain);
}

static void remove_pool(struct sim *sim, int pool)
{
    struct ph_pool_remove request = {.destroy_data = sim_chance(sim, 0.5)};
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
    } else if (sim_chance(sim, 0.7)) {
        return;
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
    const struct sim_row *row = sim->manager.jobs.rows.items[sim_random(sim, count)].value;
    struct ph_numbered request = {.id = ((const struct ph_job *)row->value)->id};
    (void)ask(sim, PH_MSG_JOB_CANCEL, &request);
}

static void command(struct sim *sim, struct sim_event *event)
{
    (void)event;
    if (!sim->storm) {
        return;
    }
    int pool = (int)sim_random(sim, (uint64_t)sim->options.pools);
    int node = (int)sim_random(sim, (uint64_t)sim->options.nodes);
    struct ph_nothing nothing = {0};
    switch (sim_random(sim, 22)) {
    case 0:
    case 1:
        apply_some(sim, false);
        break;
    case 2:
    case 3:
    case 4:
    case 5:
        move_pool(sim, sim->pools[pool].name);
        break;
    case 6:
    case 7:
        drain_node(sim, sim->nodes[node].name);
        break;
    case 8:
    case 9:
    case 10:
        ask_named(sim, PH_MSG_RESUME, sim->nodes[node].name);
        break;
    case 11:
        ask_named(sim, PH_MSG_POOL_STOP, sim->pools[pool].name);
        break;
    case 12:
    case 13:
        start_pool(sim, sim->pools[pool].name, sim_chance(sim, 0.3));
        break;
    case 14:
        remove_pool(sim, pool);
        break;
    case 15:
        fence_node(sim, node);
        break;
    case 16:
    case 17:
        cancel_something(sim);
        break;
    case 20:
    case 21:
        declare_fencing(sim, node);
        break;
    case 18:
        (void)ask(sim, sim_chance(sim, 0.3) ? PH_MSG_PAUSE : PH_MSG_UNPAUSE, &nothing);
        break;
    default:
        (void)ask(sim, PH_MSG_STATUS, &nothing);
        break;
    }
    sim_at(sim, sim->now_us + sim_soon(sim, 10 * SIM_SECOND), (struct sim_event){.run = command});
}

void sim_operator_start(struct sim *sim)
{
    sim_at(sim, sim->now_us + sim_soon(sim, 10 * SIM_SECOND), (struct sim_event){.run = command});
}

void sim_operator_calm(struct sim *sim)
{
    struct ph_nothing nothing = {0};
    (void)ask(sim, PH_MSG_UNPAUSE, &nothing);
    for (int i = 0; i < sim->options.nodes; i++) {
        const struct ph_node *row = sim_table_get(&sim->manager.nodes, sim->nodes[i].name);
        if (row != NULL && row->admin != PH_ADMIN_ACTIVE && row->admin != PH_ADMIN_DRAINING) {
            ask_named(sim, PH_MSG_RESUME, sim->nodes[i].name);
        }
    }
    for (int i = 0; i < sim->options.pools; i++) {
        const struct ph_pool *row = sim_table_get(&sim->manager.pools, sim->pools[i].name);
        if (row != NULL && row->desired == PH_DESIRED_ACTIVE &&
            (row->state == PH_POOL_BLOCKED || row->state == PH_POOL_FAILED)) {
            start_pool(sim, sim->pools[i].name, true);
        }
    }
}
