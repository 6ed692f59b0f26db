/*
 * The lease: which manager counts, which grants extend, and when it is over. A lease that has ended
 * stays ended; the next one has a higher generation and begins only over a clean page.
 */
#include "agent/core/agent.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

bool ph_agent_lease_valid(const struct ph_agent *agent)
{
    return agent->lease.state == PH_LEASE_VALID && agent->now_ms < agent->lease.deadline_ms;
}

bool ph_agent_may_run(const struct ph_agent *agent, const struct ph_agent_pool *pool)
{
    return agent->started && agent->lease.guard_ready && ph_agent_lease_valid(agent) &&
           pool->has_order && pool->order.generation == agent->lease.generation;
}

bool ph_agent_may_act(const struct ph_agent *agent)
{
    return agent->started && agent->lease.guard_ready &&
           (agent->lease.state == PH_LEASE_NONE || ph_agent_lease_valid(agent));
}

static int read_number(const char *text, int64_t *out)
{
    char *end = NULL;
    errno = 0;
    long long value = text == NULL ? -1 : strtoll(text, &end, 10);
    if (errno != 0 || value < 0 || end == text || *end != '\0') {
        return -EINVAL;
    }
    *out = value;
    return 0;
}

int ph_agent_load_meta(struct ph_agent *agent, const struct ph_meta *row, struct ph_error *error)
{
    struct ph_agent_lease *lease = &agent->lease;
    const struct {
        const char *key;
        int64_t *value;
    } numbers[] = {{"term", &lease->term}, {"generation", &lease->admission},
        {"beat_ms", &lease->beat_ms}, {"lease_ms", &lease->lease_ms}, {"stop_ms", &lease->stop_ms},
        {"voters", &lease->voters}};
    const struct {
        const char *key;
        char *value;
        size_t size;
    } texts[] = {{"manager", lease->manager, sizeof(lease->manager)},
        {"instance", agent->previous, sizeof(agent->previous)}};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (strcmp(row->key, numbers[i].key) == 0 &&
            read_number(row->value, numbers[i].value) != 0) {
            return ph_error_set(error, PH_BAD_INPUT, row->key,
                "the stored value \"%s\" is no number; a whole number from 0 on belongs there",
                row->value == NULL ? "" : row->value);
        }
    }
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (strcmp(row->key, texts[i].key) == 0) {
            (void)ph_text_format(
                texts[i].value, texts[i].size, "%s", row->value == NULL ? "" : row->value);
        }
    }
    return 0;
}

bool ph_agent_accept_term(
    struct ph_agent *agent, int64_t term, const char *manager, const char *what)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (manager == NULL || manager[0] == '\0' || strlen(manager) >= sizeof(lease->manager)) {
        ph_agent_note_refused(agent, "refused a message \"%s\" without a manager's id", what);
        return false;
    }
    if (term < lease->term) {
        ph_agent_note_refused(agent,
            "refused \"%s\" of term %lld (manager %s): term %lld was seen here; an outdated "
            "manager "
            "is still running",
            what, (long long)term, manager, (long long)lease->term);
        return false;
    }
    if (term == lease->term && strcmp(manager, lease->manager) != 0) {
        ph_agent_note_refused(agent,
            "refused \"%s\" of manager %s: term %lld belongs to manager %s; start one of them with "
            "--advance-term",
            what, manager, (long long)term, lease->manager);
        return false;
    }
    if (term > lease->term) {
        lease->term = term;
        (void)ph_text_format(lease->manager, sizeof(lease->manager), "%s", manager);
        /* In this order: with the id alone stored the new manager's term is still taken as new. */
        ph_agent_save_meta(agent, "manager", manager);
        ph_agent_save_meta_int(agent, "term", term);
        agent->new_term = true;
        ph_agent_want_hello(agent);
        ph_agent_prune(agent);
    }
    return true;
}

static void end_lease(struct ph_agent *agent)
{
    struct ph_agent_lease *lease = &agent->lease;
    lease->state = PH_LEASE_ENDING;
    lease->deadline_ms = 0;
    lease->admitted = false;
    ph_agent_note(agent, PH_EVENT_WARNING,
        "lease of generation %lld has ended; the guard stops what runs",
        (long long)lease->generation);
    for (size_t i = 0; i < agent->pools.count; i++) {
        ph_agent_pool_touch(agent->pools.items[i].value);
    }
}

void ph_agent_check_lease(struct ph_agent *agent)
{
    if (agent->lease.state == PH_LEASE_VALID && agent->now_ms >= agent->lease.deadline_ms) {
        end_lease(agent);
    }
}

static void lease_is_clean(struct ph_agent *agent)
{
    agent->lease.state = PH_LEASE_NONE;
    agent->lease.deadline_ms = 0;
    agent->lease.admitted = false;
    for (size_t i = 0; i < agent->pools.count; i++) {
        ph_agent_pool_lease_ended(agent, agent->pools.items[i].value);
    }
    ph_agent_want_hello(agent);
}

void ph_agent_on_guard_ready(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_lease *lease = &agent->lease;
    bool first = lease->state == PH_LEASE_UNKNOWN;
    bool page_lost = !first && event->generation < lease->generation;
    lease->guard_ready = true;
    if (event->generation > lease->admission) {
        /* The agent died between the page and its own disk: the page knows better. */
        lease->admission = event->generation;
        ph_agent_save_meta_int(agent, "generation", lease->admission);
    }
    bool ended_before = lease->state == PH_LEASE_ENDING && event->generation == lease->generation;
    lease->generation = event->generation;
    if (event->generation > 0 && event->deadline_ms > agent->now_ms && !ended_before) {
        lease->state = PH_LEASE_VALID;
        lease->deadline_ms = event->deadline_ms;
        /* Whoever granted it: the manager is given a moment to speak before witnesses are asked. */
        lease->granted_ms = event->deadline_ms > (uint64_t)lease->lease_ms
                                ? event->deadline_ms - (uint64_t)lease->lease_ms
                                : 0;
        ph_agent_want_hello(agent);
    } else if (page_lost) {
        /* A new page knows nothing of the lease there was: it is over, and as no guard will stop what
         * runs, each pool is stopped like any that is not wanted. No hello before that is done. */
        ph_agent_note(agent, PH_EVENT_ERROR, "the guard's page was lost; stopping everything");
        lease->state = PH_LEASE_NONE;
        lease->deadline_ms = 0;
        lease->admitted = false;
        ph_agent_want_hello(agent);
    } else if (event->clean >= event->generation) {
        lease_is_clean(agent);
    } else if (lease->state != PH_LEASE_ENDING) {
        end_lease(agent);
    }
    if (first) {
        ph_agent_want_hello(agent);
    }
    for (size_t i = 0; i < agent->pools.count; i++) {
        ph_agent_pool_touch(agent->pools.items[i].value);
    }
}

void ph_agent_on_guard_ended(struct ph_agent *agent, const struct ph_agent_event *event)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (event->generation != lease->generation || lease->state == PH_LEASE_NONE) {
        return; /* an older lease, which was dealt with */
    }
    if (lease->state != PH_LEASE_ENDING) {
        end_lease(agent);
    }
    if (event->pool == NULL) {
        ph_agent_note(agent, PH_EVENT_INFO, "nothing is left of lease generation %lld",
            (long long)lease->generation);
        lease_is_clean(agent);
        return;
    }
    struct ph_agent_pool *pool = ph_agent_pool_get(agent, event->pool);
    ph_agent_note(agent, PH_EVENT_ERROR,
        "pool=%s cannot be stopped after the end of the lease; kill its processes or restart this "
        "machine",
        event->pool);
    if (pool != NULL) {
        ph_agent_pool_set_local(pool, PH_LOCAL_STUCK);
        ph_agent_pool_reason(pool,
            "the guard could not stop it at the end of the lease; kill its processes by hand or "
            "restart the machine");
        ph_agent_pool_touch(pool);
    }
}

void ph_agent_on_guard_lost(struct ph_agent *agent)
{
    /* Without a guard nothing holds the deadline: no new run, and no extension, until the shell has
     * another one. What runs goes on until the lease's end, and is then killed by the core itself. */
    agent->lease.guard_ready = false;
    ph_agent_note(agent, PH_EVENT_ERROR,
        "the guard is gone; the lease is not extended until another one runs");
}

/* It granted a beat that was sent then: witnesses need not be asked before that is a while ago. */
static void manager_speaks(struct ph_agent *agent, uint64_t sent_ms)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (sent_ms > lease->granted_ms) {
        lease->granted_ms = sent_ms;
    }
    if (lease->by_votes_ms != 0) {
        lease->by_votes_ms = 0;
        ph_agent_note(agent, PH_EVENT_INFO, "the manager extends the lease again");
    }
}

void ph_agent_on_grant(struct ph_agent *agent, const struct ph_grant *grant)
{
    struct ph_agent_lease *lease = &agent->lease;
    if (!ph_agent_accept_term(agent, grant->term, grant->manager, "grant")) {
        return;
    }
    size_t slot = (size_t)(grant->number % PH_AGENT_BEATS);
    if (!lease->admitted || grant->generation != lease->admission || grant->number <= 0 ||
        lease->beats[slot].number != grant->number ||
        lease->beats[slot].boot_ms != (uint64_t)grant->boot_ms) {
        return; /* answers no beat of this admission that is remembered */
    }
    if (!lease->guard_ready || lease->state == PH_LEASE_UNKNOWN || grant->lease_ms <= 0 ||
        grant->lease_ms > PH_LEASE_MS_MAX) {
        return;
    }
    ph_agent_beat_answered(agent, grant->number, lease->beats[slot].boot_ms);
    uint64_t deadline_ms = lease->beats[slot].boot_ms + (uint64_t)grant->lease_ms;
    if (deadline_ms <= agent->now_ms) {
        return;
    }
    if (lease->state == PH_LEASE_VALID && lease->generation == grant->generation) {
        manager_speaks(agent, lease->beats[slot].boot_ms);
        if (deadline_ms > lease->deadline_ms) {
            lease->deadline_ms = deadline_ms;
            ph_agent_lease_effect(agent, lease->generation, deadline_ms);
        }
    } else if (lease->state == PH_LEASE_NONE && grant->generation > lease->generation) {
        manager_speaks(agent, lease->beats[slot].boot_ms);
        lease->state = PH_LEASE_VALID;
        lease->generation = grant->generation;
        lease->deadline_ms = deadline_ms;
        ph_agent_lease_effect(agent, lease->generation, deadline_ms);
        ph_agent_note(agent, PH_EVENT_INFO, "lease of generation %lld begins under term %lld",
            (long long)lease->generation, (long long)lease->term);
        for (size_t i = 0; i < agent->pools.count; i++) {
            ph_agent_pool_touch(agent->pools.items[i].value);
        }
    }
}

uint64_t ph_agent_lease_wake_ms(const struct ph_agent *agent)
{
    return agent->lease.state == PH_LEASE_VALID ? agent->lease.deadline_ms : PH_NEVER;
}
