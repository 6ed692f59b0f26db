/*
 * Witness duty. Reserved: this agent gives no grants to other nodes yet, so it makes no promises
 * either; it answers, so that a manager that asks does not wait.
 */
#include "agent/core/agent.h"

#include <string.h>

void ph_agent_on_promise_ask(struct ph_agent *agent, const struct ph_promise_ask *ask)
{
    if (!ph_agent_accept_term(agent, ask->term, ask->manager, "promise.ask")) {
        return;
    }
    struct ph_promise promise = {.generation = ask->generation, .promised = false};
    memcpy(promise.node, ask->node, sizeof(promise.node));
    ph_agent_send(agent, PH_MSG_PROMISE, &promise, false);
}
