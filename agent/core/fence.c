/*
 * Fence agents for other nodes, run here because this node reaches their device. The manager decides; what
 * is looked at here is only that the question is of our manager and fresh: one that waited in a queue while this node
 * hung could switch off a node that has long returned.
 */
#include "agent/core/agent.h"

#include <string.h>

/* When the newest beat was sent that the manager had heard when it asked; 0: not remembered. */
static uint64_t heard_beat_ms(const struct ph_agent *agent, int64_t number)
{
    uint64_t newest_ms = 0;
    int64_t newest = 0;
    for (size_t i = 0; i < PH_AGENT_BEATS; i++) {
        if (agent->lease.beats[i].number > newest && agent->lease.beats[i].number <= number) {
            newest = agent->lease.beats[i].number;
            newest_ms = agent->lease.beats[i].boot_ms;
        }
    }
    return newest_ms;
}

static void refuse(struct ph_agent *agent, const struct ph_fence_run *run, const char *reason)
{
    struct ph_fence_ran ran = {
        .number = run->number, .term = run->term, .action = run->action, .power = PH_POWER_FAILED};
    memcpy(ran.node, run->node, sizeof(ran.node));
    memcpy(ran.device, run->device, sizeof(ran.device));
    ran.reason = ph_text_new("%s", reason);
    ph_agent_send(agent, PH_MSG_FENCE_RAN, &ran, false);
    ph_record_fini(&ph_record_fence_ran, &ran);
}

void ph_agent_on_fence_run(struct ph_agent *agent, const struct ph_fence_run *run)
{
    if (!ph_agent_accept_term(agent, run->term, run->manager, "fence.run")) {
        return;
    }
    uint64_t heard_ms = heard_beat_ms(agent, run->beat);
    if (strcmp(run->node, agent->name) == 0) {
        refuse(agent, run, "a node does not switch itself off");
    } else if (run->action != PH_FENCE_STATUS &&
               (heard_ms == 0 || !ph_agent_lease_valid(agent) ||
                   agent->now_ms - heard_ms >= (uint64_t)agent->lease.lease_ms)) {
        refuse(agent, run, "the question is older than a lease: it is not carried out");
    } else {
        ph_agent_fence_effect(agent, run);
    }
}
