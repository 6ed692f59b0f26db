/*
 * The network between all processes: every message is delayed, some are lost, doubled or overtaken, and
 * each link can be cut or slow in one direction alone. A process is a node's index, or SIM_MANAGER.
 */
#include "tests/sim/sim.h"

#include <stdlib.h>

struct message {
    enum ph_message_type type;
    void *body;
};

static void message_free(struct message *message)
{
    ph_record_destroy(ph_messages[message->type].record, &message->body);
    free(message);
}

const char *sim_process_name(const struct sim *sim, int process)
{
    return process == SIM_MANAGER ? "manager" : sim->nodes[process].name;
}

static void hear_as_manager(struct sim *sim, int from, const struct message *message)
{
    if (sim->manager.core != NULL) {
        struct ph_event_in in = {.kind = PH_EV_MESSAGE,
            .sender = sim->nodes[from].name,
            .type = message->type,
            .body = message->body};
        sim_manager_step(sim, &in);
    }
}

static void hear_as_agent(struct sim *sim, int node, int from, const struct message *message)
{
    if (sim->nodes[node].agent == NULL) {
        return;
    }
    if (from != SIM_MANAGER) {
        sim_fail(sim, "agents have nothing to say to each other yet");
    }
    struct ph_agent_event in = {
        .kind = PH_AE_MESSAGE, .type = message->type, .body = message->body};
    sim_agent_step(sim, node, &in);
}

static void arrives(struct sim *sim, struct sim_event *event)
{
    struct message *message = event->data;
    int from = event->pool, to = event->node;
    if (!sim->cut[from][to]) {
        if (sim_tracing(sim)) {
            sim_trace(sim, sim_process_name(sim, to), "hears %s of %s",
                ph_messages[message->type].type, sim_process_name(sim, from));
        }
        if (to == SIM_MANAGER) {
            hear_as_manager(sim, from, message);
        } else {
            hear_as_agent(sim, to, from, message);
        }
    }
    message_free(message);
}

void sim_send(struct sim *sim, int from, int to, enum ph_message_type type, const void *body)
{
    int times = 1;
    if (sim->cut[from][to]) {
        return;
    }
    if (sim->storm) {
        times = sim_chance(sim, sim->loss)                         ? 0
                : sim->options.duplicates && sim_chance(sim, 0.01) ? 2
                                                                   : 1;
    }
    sim->orders += type == PH_MSG_ORDER;
    for (int i = 0; i < times; i++) {
        struct message *message = calloc(1, sizeof(*message));
        if (message == NULL) {
            abort();
        }
        message->type = type;
        message->body = ph_record_new_copy(ph_messages[type].record, body);
        uint64_t delay_us = sim->delay_us + sim_random(sim, sim->delay_us + 1);
        delay_us += sim->slow_us[from][to];
        if (sim->storm && (i > 0 || sim_chance(sim, 0.005))) {
            delay_us += sim_random(sim, sim->spike_us + 1); /* long enough to be overtaken */
        }
        sim->messages++;
        sim_at(sim, sim->now_us + delay_us,
            (struct sim_event){.run = arrives, .node = to, .pool = from, .data = message});
    }
}

bool sim_reachable(const struct sim *sim, int from, int to)
{
    return sim->nodes[to].powered && sim->nodes[to].agent != NULL && !sim->cut[from][to] &&
           !sim->cut[to][from];
}
