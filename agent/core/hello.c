/*
 * Presenting the node, beating, and being admitted.
 */
#include "agent/core/agent.h"

#include <stdlib.h>
#include <string.h>

static uint64_t beat_period_ms(const struct ph_agent *agent)
{
    return agent->lease.beat_ms > 0 ? (uint64_t)agent->lease.beat_ms : PH_AGENT_HELLO_MS_MIN;
}

static bool may_hello(const struct ph_agent *agent)
{
    const struct ph_agent_lease *lease = &agent->lease;
    if (!lease->hello_wanted || !lease->guard_ready || !agent->started) {
        return false;
    }
    /* Without a lease a hello says that nothing runs here. */
    for (size_t i = 0; lease->state == PH_LEASE_NONE && i < agent->pools.count; i++) {
        const struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->ran) {
            return false;
        }
    }
    return lease->state == PH_LEASE_NONE || lease->state == PH_LEASE_VALID;
}

static bool may_beat(const struct ph_agent *agent)
{
    const struct ph_agent_lease *lease = &agent->lease;
    return lease->admitted && lease->guard_ready &&
           (lease->state == PH_LEASE_VALID ||
               (lease->state == PH_LEASE_NONE && lease->admission > lease->generation));
}

void ph_agent_want_hello(struct ph_agent *agent)
{
    if (!agent->lease.hello_wanted) {
        agent->lease.hello_wanted = true;
        agent->lease.hello_count = 0;
        agent->lease.hello_ms = agent->now_ms;
    }
}

static void send_hello(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    struct ph_hello *hello = ph_record_new_copy(&ph_record_hello, &agent->hello);
    if (hello == NULL) {
        agent->out_of_memory = true;
        return;
    }
    hello->number =
        ++lease->beat_number; /* one count with the beats: their order tells which is stale */
    hello->generation = lease->admission;
    hello->term = lease->term;
    hello->voters = lease->voters;
    hello->lease_left_ms = 0;
    if (ph_agent_lease_valid(agent)) {
        uint64_t left_ms = lease->deadline_ms - agent->now_ms;
        hello->lease_left_ms = left_ms > PH_LEASE_MS_MAX ? PH_LEASE_MS_MAX : (int64_t)left_ms;
    }
    bool bad = ph_set_text(&hello->instance, agent->instance) != 0 ||
               ph_set_text(&hello->previous, agent->previous) != 0 ||
               ph_set_text(&hello->manager, lease->manager) != 0;
    for (size_t i = 0; i < agent->pools.count && !bad; i++) {
        struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (!ph_agent_pool_has_trace(pool)) {
            continue;
        }
        struct ph_report *report =
            ph_many_add(&ph_record_report, (struct ph_many *)(void *)&hello->pools);
        bad = report == NULL || ph_agent_report_fill(agent, pool, report) != 0;
    }
    if (bad) {
        agent->out_of_memory = true;
        void *value = hello;
        ph_record_destroy(&ph_record_hello, &value);
        return;
    }
    ph_agent_send_owned(agent, PH_MSG_HELLO, hello, false);
    uint64_t period_ms = beat_period_ms(agent);
    period_ms = period_ms < PH_AGENT_HELLO_MS_MIN ? PH_AGENT_HELLO_MS_MIN : period_ms;
    if (lease->hello_count < PH_AGENT_HELLO_QUICK) {
        lease->hello_count++;
    } else if (period_ms < PH_AGENT_HELLO_MS_MAX) {
        period_ms = PH_AGENT_HELLO_MS_MAX; /* long silence: a hello is not free with many pools */
    }
    lease->hello_ms = agent->now_ms + period_ms;
}

static void send_beat(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    lease->beat_number++;
    size_t slot = (size_t)(lease->beat_number % PH_AGENT_BEATS);
    lease->beats[slot].number = lease->beat_number;
    lease->beats[slot].boot_ms = agent->now_ms;
    struct ph_beat beat = {.number = lease->beat_number,
        .boot_ms = (int64_t)agent->now_ms,
        .generation = lease->admission,
        .term = lease->term,
        .instance = agent->instance};
    ph_agent_send(agent, PH_MSG_BEAT, &beat, true);
    /* Without an answer by half the period the next one is due: a lease outlives ten losses in a row instead
     * of five. For as long as a lease only, so that a manager that is away is not beaten twice as often. */
    bool lately = lease->granted_ms != 0 && lease->lease_ms > 0 &&
                  agent->now_ms < lease->granted_ms + (uint64_t)lease->lease_ms;
    lease->beat_due_ms = agent->now_ms + beat_period_ms(agent) / (lately ? 2 : 1);
}

void ph_agent_beat_answered(struct ph_agent *agent, int64_t number, uint64_t boot_ms)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (number == lease->beat_number) {
        lease->beat_due_ms = boot_ms + beat_period_ms(agent);
    }
}

/* Whether nothing of any pool is active or on its way, so that a node that leaves may go. */
static bool all_idle(const struct ph_agent *agent)
{
    for (size_t i = 0; i < agent->pools.count; i++) {
        const struct ph_agent_pool *pool = agent->pools.items[i].value;
        if (pool->phase != PH_AP_IDLE || pool->task_count > 0) {
            return false;
        }
    }
    return true;
}

static void speak_leaving(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (!lease->leaving || agent->now_ms < lease->leave_ms) {
        return;
    }
    /* The manager's drain has begun by the second time at the latest; from then on idle means done. */
    if (lease->leave_asked_ms != 0 &&
        agent->now_ms >= lease->leave_asked_ms + 2 * PH_AGENT_LEAVE_MS && all_idle(agent)) {
        lease->leaving = false;
        ph_agent_end(agent, "left the cluster's work: nothing runs here any more");
        return;
    }
    lease->leave_ms = agent->now_ms + PH_AGENT_LEAVE_MS;
    if (lease->admitted) {
        struct ph_leaving leaving = {0};
        ph_agent_send(agent, PH_MSG_LEAVING, &leaving, false);
        if (lease->leave_asked_ms == 0) {
            lease->leave_asked_ms = agent->now_ms;
        }
    }
}

void ph_agent_on_leave(struct ph_agent *agent)
{
    agent->lease.leaving = true;
    agent->lease.leave_ms = agent->now_ms;
    agent->lease.leave_asked_ms = 0;
}

void ph_agent_speak(struct ph_agent *agent)
{
    if (may_hello(agent) && agent->now_ms >= agent->lease.hello_ms) {
        send_hello(agent);
    }
    if (may_beat(agent) && agent->now_ms >= agent->lease.beat_due_ms) {
        send_beat(agent);
    }
    ph_agent_ask_witnesses(agent);
    speak_leaving(agent);
}

uint64_t ph_agent_speak_wake_ms(const struct ph_agent *agent)
{
    const struct ph_agent_lease *lease = &agent->lease;
    uint64_t wake_ms = PH_NEVER;
    if (may_hello(agent) && lease->hello_ms < wake_ms) {
        wake_ms = lease->hello_ms;
    }
    if (may_beat(agent) && lease->beat_due_ms < wake_ms) {
        wake_ms = lease->beat_due_ms;
    }
    if (lease->leaving && lease->leave_ms < wake_ms) {
        wake_ms = lease->leave_ms;
    }
    uint64_t ask_ms = ph_agent_ask_wake_ms(agent);
    return ask_ms < wake_ms ? ask_ms : wake_ms;
}

void ph_agent_on_facts(struct ph_agent *agent, const struct ph_hello *facts)
{
    if (ph_record_copy(&ph_record_hello, &agent->hello, facts) != 0) {
        agent->out_of_memory = true;
        return;
    }
    ph_agent_want_hello(agent);
}

uint64_t ph_agent_stop_ms(const struct ph_agent *agent)
{
    int64_t stop_ms = agent->lease.stop_ms;
    return stop_ms > 0 && stop_ms <= PH_LEASE_MS_MAX ? (uint64_t)stop_ms : 0;
}

static void take_timing(struct ph_agent *agent, const struct ph_welcome *welcome)
{
    struct ph_agent_lease *lease = &agent->lease;
    const struct {
        const char *key;
        int64_t value, *member;
    } numbers[] = {{"beat_ms", welcome->beat_ms, &lease->beat_ms},
        {"lease_ms", welcome->lease_ms, &lease->lease_ms},
        {"stop_ms", welcome->stop_ms, &lease->stop_ms}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (*numbers[i].member != numbers[i].value) {
            *numbers[i].member = numbers[i].value;
            ph_agent_save_meta_int(agent, numbers[i].key, numbers[i].value);
        }
    }
}

void ph_agent_on_welcome(struct ph_agent *agent, const struct ph_welcome *welcome)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (!ph_agent_accept_term(agent, welcome->term, welcome->manager, "welcome")) {
        return;
    }
    if (welcome->instance == NULL || strcmp(welcome->instance, agent->instance) != 0) {
        return; /* for an earlier process */
    }
    if (strcmp(welcome->name, agent->name) != 0) {
        ph_agent_note_refused(
            agent, "refused a welcome for node %s: this is node %s", welcome->name, agent->name);
        return;
    }
    if (welcome->beat_ms < PH_BEAT_MS_MIN || welcome->generation < lease->admission ||
        !lease->guard_ready) {
        return; /* answers an older hello */
    }
    bool same_valid = lease->state == PH_LEASE_VALID && welcome->generation == lease->generation;
    bool fresh = lease->state == PH_LEASE_NONE && welcome->generation > lease->generation;
    if (!same_valid && !fresh) {
        if (lease->state == PH_LEASE_VALID) {
            ph_agent_note_refused(agent,
                "refused admission %lld: lease generation %lld is still valid here",
                (long long)welcome->generation, (long long)lease->generation);
        }
        return; /* an ended lease is never begun anew; hello goes on */
    }
    if (welcome->generation > lease->admission) {
        lease->admission = welcome->generation;
        ph_agent_save_meta_int(agent, "generation", lease->admission);
        ph_agent_prune(agent);
    }
    if (!lease->ever_admitted) {
        ph_agent_save_meta(agent, "instance", agent->instance);
    }
    take_timing(agent, welcome);
    if (!lease->admitted) {
        lease->beat_due_ms = agent->now_ms;
    }
    lease->admitted = true;
    lease->ever_admitted = true;
    lease->hello_wanted = false;
    lease->duplicate_once = false;
    for (size_t i = 0; i < agent->pools.count; i++) {
        ph_agent_pool_touch(agent->pools.items[i].value);
    }
}

void ph_agent_on_unwelcome(struct ph_agent *agent, const struct ph_unwelcome *unwelcome)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (!ph_agent_accept_term(agent, unwelcome->term, unwelcome->manager, "unwelcome")) {
        return;
    }
    const char *reason = unwelcome->reason == NULL ? "" : unwelcome->reason;
    if (unwelcome->duplicate) {
        if (lease->ever_admitted) {
            return; /* the newcomer ends; this one was first */
        }
        uint64_t wait_ms = 2 * (uint64_t)(lease->lease_ms > 1000 ? lease->lease_ms : 1000);
        if (!lease->duplicate_once) {
            /* It may be this directory's own earlier process, of which the manager has not heard that
             * it is gone: that one falls silent, a true double does not. */
            lease->duplicate_once = true;
            lease->hello_ms = agent->now_ms + wait_ms;
            lease->duplicate_ms = lease->hello_ms;
            ph_agent_note(agent, PH_EVENT_WARNING,
                "the manager hears another agent with this identity; asking once more: %s", reason);
        } else if (agent->now_ms >= lease->duplicate_ms) {
            ph_agent_end(agent, reason[0] != '\0'
                                    ? reason
                                    : "another agent with this identity is alive; give this node "
                                      "its own name and invitation");
        }
        return;
    }
    if (reason[0] != '\0') {
        ph_agent_note_refused(agent, "not welcome: %s", reason);
    }
    lease->admitted = false;
    ph_agent_want_hello(agent);
}
