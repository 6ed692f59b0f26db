/*
 * What the agent's core commands, as it would come true on a machine: data that is active or not,
 * processes that live or not, a guard that ends them. Every effect is judged the moment it is
 * performed: nothing may run without a lease, nothing twice, nothing may be called released that lives.
 */
#ifndef PH_TEST_AGENT_MACHINE_H
#define PH_TEST_AGENT_MACHINE_H

#include "world.h"

#define MACHINE_POOLS 3
#define MACHINE_VMS 3

struct machine_pool {
    char name[4];
    bool active;   /* the data */
    int64_t epoch; /* stored with it */
    int64_t sequence;
    bool owner; /* data/ is there */
    bool alive[MACHINE_VMS];
    int64_t pid[MACHINE_VMS];
    struct ph_order order; /* newest of the manager */
    int64_t echoed;        /* number of the newest order a report named */
    enum ph_local_state reported;
};

struct machine {
    struct world world;
    struct machine_pool pools[MACHINE_POOLS];
    int64_t last_pid;
    bool live; /* the world is set up: judge */
};

static inline struct machine *machine_of(struct world *world)
{
    return world->context;
}

static inline struct machine_pool *machine_pool(struct machine *machine, const char *name)
{
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        if (strcmp(machine->pools[i].name, name) == 0) {
            return &machine->pools[i];
        }
    }
    fail_msg("no pool %s", name);
    return NULL;
}

static inline size_t machine_vm(const char *name)
{
    assert_true(name[0] == 'v' && name[1] >= '0' && name[1] < '0' + MACHINE_VMS);
    return (size_t)(name[1] - '0');
}

static inline size_t machine_alive(const struct machine_pool *pool)
{
    size_t count = 0;
    for (size_t i = 0; i < MACHINE_VMS; i++) {
        count += pool->alive[i];
    }
    return count;
}

static inline bool machine_lease(const struct world *world, int64_t generation)
{
    return world->page_generation == generation && world->page_deadline_ms > world->now_ms;
}

static inline void machine_judge_task(struct world *world, const struct ph_task *task)
{
    struct machine_pool *pool = machine_pool(machine_of(world), task->order.pool.name);
    bool others = false;
    for (size_t i = 0; i < WORLD_TASKS; i++) {
        others = others || (world->tasks[i] != NULL &&
                               strcmp(world->tasks[i]->order.pool.name, pool->name) == 0);
    }
    switch (task->kind) {
    case PH_TASK_ACTIVATE:
        assert_true(machine_lease(world, task->generation));
        assert_int_equal(task->order.generation, task->generation);
        assert_false(others);
        break;
    case PH_TASK_VM_START:
        assert_true(machine_lease(world, task->generation));
        assert_int_equal(task->order.generation, task->generation);
        assert_true(pool->active);
        assert_false(pool->alive[machine_vm(task->vm)]);
        break;
    case PH_TASK_DEACTIVATE:
    case PH_TASK_DROP:
        assert_false(others);
        assert_int_equal(machine_alive(pool), 0);
        break;
    case PH_TASK_COPY:
        assert_true(pool->owner);
        assert_true(pool->active != task->last);
        assert_true(!task->last || machine_alive(pool) == 0);
        break;
    case PH_TASK_VM_OPERATE:
        assert_true(machine_lease(world, task->generation));
        assert_true(pool->alive[machine_vm(task->vm)]);
        break;
    case PH_TASK_VM_STOP:
    case PH_TASK_KILL:
    case PH_TASK_VM_LOOK:
        break;
    }
}

static inline void machine_judge_report(struct world *world, const struct ph_report *report)
{
    struct machine_pool *pool = machine_pool(machine_of(world), report->pool);
    bool down = report->state == PH_LOCAL_NONE || report->state == PH_LOCAL_COPY ||
                report->state == PH_LOCAL_RELEASED || report->state == PH_LOCAL_FAILED;
    if (down && machine_alive(pool) > 0) {
        fail_msg("pool %s was called %s while something of it lives", pool->name,
            ph_enum_word(&ph_enum_local_state, (int)report->state));
    }
    if (report->order_number > pool->echoed) {
        pool->echoed = report->order_number;
    }
    pool->reported = report->state;
    const struct ph_assignment *row = world_row(world, report->pool);
    if (row != NULL && report->order_number > 0) {
        /* What is reported is durable first. */
        assert_true(row->number >= report->order_number);
        assert_int_equal(row->local, report->state);
    }
}

static inline void machine_hook(struct world *world, const struct ph_agent_effect *effect)
{
    if (effect->kind == PH_AF_TASK) {
        machine_judge_task(world, effect->task);
    } else if (effect->kind == PH_AF_ALLOW) {
        const struct ph_order *order = effect->value;
        struct machine_pool *pool = machine_pool(machine_of(world), order->pool.name);
        assert_true(order->kind != PH_ORDER_HOLD || (!pool->active && machine_alive(pool) == 0));
    } else if (effect->kind == PH_AF_SEND && effect->type == PH_MSG_REPORT) {
        machine_judge_report(world, effect->value);
    } else if (effect->kind == PH_AF_SEND && effect->type == PH_MSG_HELLO) {
        const struct ph_hello *hello = effect->value;
        struct machine *machine = machine_of(world);
        for (size_t i = 0; i < MACHINE_POOLS && hello->lease_left_ms == 0; i++) {
            assert_int_equal(machine_alive(&machine->pools[i]), 0);
        }
        for (size_t i = 0; i < hello->pools.count; i++) {
            machine_judge_report(world, &hello->pools.items[i]);
        }
    }
}

/* The task comes true (status 0) or fails; status -ETIMEDOUT: hangs. */
static inline void machine_finish(
    struct machine *machine, struct ph_task *task, int status, bool ended)
{
    struct world *world = &machine->world;
    struct machine_pool *pool = machine_pool(machine, task->order.pool.name);
    struct ph_task_result result = {.status = status, .reason = "it did not work"};
    bool valid = machine_lease(world, task->generation);
    if (status == 0) {
        switch (task->kind) {
        case PH_TASK_ACTIVATE:
            if (task->epoch < pool->epoch) {
                result.status = -ESTALE;
                break;
            }
            pool->active = pool->owner = true;
            pool->epoch = result.data_epoch = task->epoch;
            break;
        case PH_TASK_DEACTIVATE:
            pool->active = false;
            break;
        case PH_TASK_DROP:
            pool->owner = false;
            pool->epoch = pool->sequence = 0;
            break;
        case PH_TASK_COPY:
            result.sequence = ++pool->sequence;
            result.data_epoch = task->epoch;
            break;
        case PH_TASK_VM_START:
            if (!valid || !pool->active) {
                result.status = -ESTALE; /* the child looks at the page before exec */
                break;
            }
            assert_false(pool->alive[machine_vm(task->vm)]);
            pool->alive[machine_vm(task->vm)] = true;
            pool->pid[machine_vm(task->vm)] = result.pid = ++machine->last_pid;
            break;
        case PH_TASK_VM_STOP:
            pool->alive[machine_vm(task->vm)] = false;
            break;
        case PH_TASK_KILL:
            memset(pool->alive, 0, sizeof(pool->alive));
            break;
        case PH_TASK_VM_OPERATE:
        case PH_TASK_VM_LOOK:
            break;
        }
    }
    world_result(world, task, &result, ended ? PH_AE_TASK_ENDED : PH_AE_TASK_DONE);
}

static inline void machine_guard_kills(struct machine *machine)
{
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        memset(machine->pools[i].alive, 0, sizeof(machine->pools[i].alive));
        machine->pools[i].active = false;
    }
}

/* The process dies and another one starts over what is left. */
static inline void machine_restart(struct machine *machine)
{
    struct world *world = &machine->world;
    world->crashed = false;
    world->crash_after = -1;
    world_boot(world);
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        struct machine_pool *pool = &machine->pools[i];
        if (world_row(world, pool->name) != NULL) {
            assert_int_equal(ph_agent_load_data(world->agent, pool->name, pool->epoch,
                                 pool->sequence, pool->owner),
                0);
        }
    }
    world_guard_ready(world);
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        struct machine_pool *pool = &machine->pools[i];
        for (size_t j = 0; j < MACHINE_VMS; j++) {
            const struct ph_assignment *row = world_row(world, pool->name);
            char vm[3] = {'v', (char)('0' + j), '\0'};
            if (!pool->alive[j]) {
                continue;
            }
            /* A shell looks for survivors among the VMs of the stored order. */
            assert_non_null(row);
            if (strstr(row->order, vm) == NULL) {
                fail_msg("pool %s: %s lives and is not in the stored order", pool->name, vm);
            }
            struct ph_agent_event event = {
                .kind = PH_AE_VM_ADOPTED, .pool = pool->name, .vm = vm, .pid = pool->pid[j]};
            world_step(world, &event);
        }
    }
    world_tick(world);
}

static inline void machine_new(struct machine *machine)
{
    memset(machine, 0, sizeof(*machine));
    world_new(&machine->world);
    machine->world.context = machine;
    machine->world.hook = machine_hook;
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        (void)snprintf(machine->pools[i].name, sizeof(machine->pools[i].name), "p%d", (int)i);
    }
}

static inline void machine_destroy(struct machine *machine)
{
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        ph_record_fini(&ph_record_order, &machine->pools[i].order);
    }
    world_destroy(&machine->world);
}

/* Sends (again) the newest order of the pool; activate orders are for the newest admission. */
static inline void machine_send(struct machine *machine, struct machine_pool *pool)
{
    if (pool->order.number > 0) {
        world_message(&machine->world, PH_MSG_ORDER, &pool->order);
    }
}

static inline void machine_order(
    struct machine *machine, struct machine_pool *pool, const struct world_order *given)
{
    ph_record_fini(&ph_record_order, &pool->order);
    world_fill_order(&machine->world, pool->name, given, &pool->order);
    machine_send(machine, pool);
}

/* Answers a hello, and grants a beat, of the last step. */
static inline void machine_manager(struct machine *machine, int64_t *generation)
{
    struct world *world = &machine->world;
    const struct ph_hello *hello = world_sent(world, PH_MSG_HELLO);
    const struct ph_beat *sent = world_sent(world, PH_MSG_BEAT);
    if (sent != NULL && hello == NULL) {
        struct ph_beat beat = *sent;
        world_grant(world, 1, &beat);
        return;
    }
    if (hello != NULL) {
        if (hello->lease_left_ms == 0) {
            ++*generation;
        }
        world_welcome(world, 1, *generation);
    }
}

/* Lets everything come true until each pool stands as ordered, with a manager that repeats itself. */
static inline void machine_converge(struct machine *machine, int64_t *generation)
{
    struct world *world = &machine->world;
    for (int round = 0; round < 400; round++) {
        uint64_t due_ms = ph_agent_next_deadline_ms(world->agent);
        world->now_ms = due_ms > world->now_ms + 100 ? world->now_ms + 100 : due_ms;
        world_tick(world);
        machine_manager(machine, generation);
        if (world_sent(world, PH_MSG_BEAT) != NULL) {
            machine_manager(machine, generation);
        }
        for (size_t i = 0; i < WORLD_TASKS; i++) {
            if (world->tasks[i] != NULL) {
                machine_finish(machine, world->tasks[i], 0, false);
            }
        }
        for (size_t i = 0; i < MACHINE_POOLS && round % 8 == 0; i++) {
            struct machine_pool *pool = &machine->pools[i];
            if (pool->order.number > 0 && pool->order.kind == PH_ORDER_ACTIVATE &&
                pool->order.generation != *generation) {
                /* Admitted anew: the manager assigns anew, under a new epoch. */
                pool->order.generation = *generation;
                pool->order.epoch++;
                pool->order.number = ++world->order_number;
            }
            machine_send(machine, pool);
        }
    }
    for (size_t i = 0; i < MACHINE_POOLS; i++) {
        struct machine_pool *pool = &machine->pools[i];
        if (pool->order.number == 0) {
            continue;
        }
        bool up = pool->order.kind == PH_ORDER_ACTIVATE;
        assert_int_equal(pool->echoed, pool->order.number);
        assert_int_equal(pool->active, up);
        for (size_t j = 0; j < MACHINE_VMS; j++) {
            bool wanted = false;
            for (size_t k = 0; k < pool->order.vms.count; k++) {
                wanted = wanted || machine_vm(pool->order.vms.items[k].name) == j;
            }
            assert_int_equal(pool->alive[j], up && wanted && pool->order.run);
        }
    }
}

#endif
