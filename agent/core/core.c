#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int ph_agent_new(const struct ph_agent_facts *facts, struct ph_agent **agent_out)
{
    if (!ph_name_valid(facts->name) || facts->instance == NULL || facts->instance[0] == '\0' ||
        strlen(facts->instance) >= sizeof(((struct ph_agent *)NULL)->instance)) {
        return -EINVAL;
    }
    struct ph_agent *agent = calloc(1, sizeof(*agent));
    if (agent == NULL) {
        return -ENOMEM;
    }
    (void)ph_text_format(agent->name, sizeof(agent->name), "%s", facts->name);
    (void)ph_text_format(agent->instance, sizeof(agent->instance), "%s", facts->instance);
    (void)ph_text_format(agent->previous, sizeof(agent->previous), "%s",
        facts->previous == NULL ? "" : facts->previous);
    if (ph_record_copy(&ph_record_hello, &agent->hello, &facts->hello) != 0) {
        free(agent);
        return -ENOMEM;
    }
    agent->copies_parallel = facts->copies_parallel > 0 ? facts->copies_parallel : 2;
    agent->copies_wake_ms = PH_NEVER;
    *agent_out = agent;
    return 0;
}

void ph_agent_destroy(struct ph_agent **agent)
{
    if (*agent == NULL) {
        return;
    }
    for (size_t i = 0; i < (*agent)->pools.count; i++) {
        ph_agent_pool_destroy((*agent)->pools.items[i].value);
    }
    ph_map_fini(&(*agent)->pools);
    ph_agent_witnesses_fini(*agent);
    ph_record_fini(&ph_record_hello, &(*agent)->hello);
    free(*agent);
    *agent = NULL;
}

int ph_agent_load(
    struct ph_agent *agent, const struct ph_record *record, const void *row, struct ph_error *error)
{
    if (record == &ph_record_meta) {
        return ph_agent_load_meta(agent, row, error);
    }
    if (record == &ph_record_assignment) {
        return ph_agent_load_assignment(agent, row, error);
    }
    if (record == &ph_record_witness) {
        return ph_agent_load_witness(agent, row, error);
    }
    if (record == &ph_record_operation) {
        return ph_agent_load_operation(agent, row, error);
    }
    return ph_error_set(error, PH_BAD_INPUT, record->name, "an agent keeps no such rows");
}

static void on_message(struct ph_agent *agent, const struct ph_agent_event *event)
{
    /* Only what a manager says to agents; anything else is not for the core. */
    switch ((int)event->type) {
    case PH_MSG_WELCOME:
        ph_agent_on_welcome(agent, event->body);
        break;
    case PH_MSG_GRANT:
        ph_agent_on_grant(agent, event->body);
        break;
    case PH_MSG_UNWELCOME:
        ph_agent_on_unwelcome(agent, event->body);
        break;
    case PH_MSG_ORDER:
        ph_agent_on_order(agent, event->body);
        break;
    case PH_MSG_REPORT_OK:
        ph_agent_on_report_ok(agent, event->body);
        break;
    case PH_MSG_FENCE_RUN:
        ph_agent_on_fence_run(agent, event->body);
        break;
    case PH_MSG_DIVERGED_DROP:
        ph_agent_on_diverged_drop(agent, event->body);
        break;
    case PH_MSG_VOTER_LIST:
        ph_agent_on_voter_list(agent, event->body);
        break;
    case PH_MSG_RELAY:
        ph_agent_on_relay(agent, event->body);
        break;
    case PH_MSG_PROMISE_ASK:
        ph_agent_on_promise_ask(agent, event->body);
        break;
    default:
        ph_agent_note_refused(agent, "refused a message of type %s from the manager",
            event->type < PH_MESSAGE_TYPES ? ph_messages[event->type].type : "?");
        break;
    }
}

static void dispatch(struct ph_agent *agent, const struct ph_agent_event *event)
{
    switch (event->kind) {
    case PH_AE_TICK:
        break;
    case PH_AE_MESSAGE:
        on_message(agent, event);
        break;
    case PH_AE_PEER_MESSAGE:
        ph_agent_on_peer_message(agent, event);
        break;
    case PH_AE_TASK_DONE:
        ph_agent_on_task(agent, event->result, false);
        break;
    case PH_AE_TASK_ENDED:
        ph_agent_on_task(agent, event->result, true);
        break;
    case PH_AE_TASK_PROGRESS:
        ph_agent_on_progress(agent, event->result);
        break;
    case PH_AE_VM_ENDED:
        ph_agent_on_vm_ended(agent, event);
        break;
    case PH_AE_VM_SEEN:
        ph_agent_on_vm_seen(agent, event);
        break;
    case PH_AE_VM_ADOPTED:
        ph_agent_on_vm_adopted(agent, event);
        break;
    case PH_AE_GUARD_ENDED:
        ph_agent_on_guard_ended(agent, event);
        break;
    case PH_AE_GUARD_LOST:
        ph_agent_on_guard_lost(agent);
        break;
    case PH_AE_GUARD_READY:
        ph_agent_on_guard_ready(agent, event);
        break;
    case PH_AE_COPY_RECEIVED:
        ph_agent_on_copy_received(agent, event);
        break;
    case PH_AE_FACTS:
        ph_agent_on_facts(agent, event->facts);
        break;
    case PH_AE_LEAVE:
        ph_agent_on_leave(agent);
        break;
    }
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* What was due by now was done in this step, or waits for something whose end touches the pool. */
static uint64_t later(const struct ph_agent *agent, uint64_t at_ms)
{
    return at_ms > agent->now_ms ? at_ms : PH_NEVER;
}

static uint64_t pool_wake_ms(const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    uint64_t wake_ms = ph_agent_reports_wake_ms(agent, pool);
    if (!agent->lease.guard_ready && agent->lease.state == PH_LEASE_ENDING && pool->ran &&
        pool->retry_ms > agent->now_ms) {
        return least(wake_ms, pool->retry_ms); /* see kill_alone() */
    }
    if (!ph_agent_may_act(agent)) {
        return wake_ms; /* the guard's word, or a lease, touches every pool */
    }
    wake_ms = least(wake_ms, later(agent, ph_agent_vms_wake_ms(pool)));
    wake_ms = least(wake_ms, later(agent, ph_agent_last_copies_wake_ms(agent, pool)));
    return least(wake_ms, later(agent, pool->retry_ms));
}

/* The guard is gone and the lease is over: what runs has nobody else to end it. */
static void kill_alone(struct ph_agent *agent, struct ph_agent_pool *pool)
{
    if (agent->lease.guard_ready || agent->lease.state != PH_LEASE_ENDING || !pool->ran ||
        !pool->has_order || agent->now_ms < pool->retry_ms) {
        return;
    }
    if (pool->phase == PH_AP_RUNNING || pool->phase == PH_AP_ACTIVATING) {
        ph_agent_pool_set_phase(pool, PH_AP_STOPPING);
    }
    if (pool->phase == PH_AP_STOPPING || pool->phase == PH_AP_RELEASING) {
        ph_agent_pool_set_phase(pool, PH_AP_KILLING);
    }
}

static void settle_pools(struct ph_agent *agent)
{
    /* Advancing one pool touches no other; what is freed for all (a copy's slot) is looked at after. */
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->touched || agent->now_ms >= pool->wake_ms) {
            pool->touched = true;
            kill_alone(agent, pool);
            ph_agent_pool_advance(agent, pool);
        }
    }
    ph_agent_copies_start(agent);
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->touched) {
            ph_agent_reports_flush(agent, pool);
        }
    }
    ph_agent_speak(agent);
    for (size_t i = 0; i < agent->pools.count; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->touched) {
            pool->touched = false;
            pool->wake_ms = pool_wake_ms(agent, pool);
        }
    }
}

int ph_agent_step(
    struct ph_agent *agent, const struct ph_agent_event *event, struct ph_agent_effects *effects)
{
    agent->effects = effects;
    agent->new_term = false;
    if (event->now_ms > agent->now_ms) {
        agent->now_ms =
            event->now_ms; /* the clock never goes back; a late event does not turn it */
    }
    if (agent->started_ms == 0) {
        agent->started_ms = agent->now_ms;
    }
    ph_agent_check_lease(agent);
    bool still_loading = event->kind == PH_AE_GUARD_READY || event->kind == PH_AE_VM_ADOPTED;
    if (!agent->started && !still_loading && agent->lease.guard_ready) {
        ph_agent_adopt(agent);
        ph_agent_tell_peers(agent);
        agent->started = true;
    }
    dispatch(agent, event);
    if (agent->started) {
        settle_pools(agent);
    }
    agent->effects = NULL;
    return agent->out_of_memory ? -ENOMEM : 0;
}

uint64_t ph_agent_next_deadline_ms(const struct ph_agent *agent)
{
    if (!agent->started) {
        return agent->lease.guard_ready ? agent->now_ms : PH_NEVER;
    }
    uint64_t wake_ms = least(ph_agent_speak_wake_ms(agent), ph_agent_lease_wake_ms(agent));
    if (agent->copies_under_way < agent->copies_parallel) {
        wake_ms = least(wake_ms, agent->copies_wake_ms);
    }
    for (size_t i = 0; i < agent->pools.count; i++) {
        const struct ph_agent_pool *pool = agent->pools.items[i].value;
        wake_ms = least(wake_ms, pool->wake_ms);
    }
    return wake_ms;
}
