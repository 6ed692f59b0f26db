/*
 * The network: every message is delayed, some are lost, doubled or overtaken, and links can be cut
 * in one direction or both.
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

static void arrives_at_manager(struct sim *sim, struct sim_event *event)
{
    struct message *message = event->data;
    if (sim->manager.core != NULL && !sim->cut_up[event->node]) {
        struct ph_event_in in = {.kind = PH_EV_MESSAGE,
            .sender = sim->nodes[event->node].name,
            .type = message->type,
            .body = message->body};
        if (sim_tracing(sim)) {
            sim_trace(sim, "manager", "hears %s of %s", ph_messages[message->type].type, in.sender);
        }
        sim_manager_step(sim, &in);
    }
    message_free(message);
}

static void arrives_at_agent(struct sim *sim, struct sim_event *event)
{
    struct message *message = event->data;
    if (sim->nodes[event->node].agent != NULL && !sim->cut_down[event->node]) {
        struct ph_agent_event in = {
            .kind = PH_AE_MESSAGE, .type = message->type, .body = message->body};
        if (sim_tracing(sim)) {
            sim_trace(
                sim, sim->nodes[event->node].name, "hears %s", ph_messages[message->type].type);
        }
        sim_agent_step(sim, event->node, &in);
    }
    message_free(message);
}

static void send(struct sim *sim, int node, enum ph_message_type type, const void *body,
    void (*run)(struct sim *sim, struct sim_event *event))
{
    int times = 1;
    if (sim->storm) {
        times = sim_chance(sim, sim->loss)                         ? 0
                : sim->options.duplicates && sim_chance(sim, 0.01) ? 2
                                                                   : 1;
    }
    for (int i = 0; i < times; i++) {
        struct message *message = calloc(1, sizeof(*message));
        if (message == NULL) {
            abort();
        }
        message->type = type;
        message->body = ph_record_new_copy(ph_messages[type].record, body);
        uint64_t delay_us = sim->delay_us + sim_random(sim, sim->delay_us + 1);
        delay_us += sim->slow_us[node];
        if (sim->storm && (i > 0 || sim_chance(sim, 0.005))) {
            delay_us += sim_random(sim, sim->spike_us + 1); /* long enough to be overtaken */
        }
        sim->messages++;
        sim_at(sim, sim->now_us + delay_us,
            (struct sim_event){.run = run, .node = node, .data = message});
    }
}

void sim_send_to_manager(struct sim *sim, int node, enum ph_message_type type, const void *body)
{
    if (!sim->cut_up[node]) {
        send(sim, node, type, body, arrives_at_manager);
    }
}

void sim_send_to_agent(struct sim *sim, int node, enum ph_message_type type, const void *body)
{
    sim->orders += type == PH_MSG_ORDER;
    if (!sim->cut_down[node]) {
        send(sim, node, type, body, arrives_at_agent);
    }
}

bool sim_reachable(const struct sim *sim, int from, int to)
{
    return sim->nodes[to].powered && sim->nodes[to].agent != NULL && !sim->cut_between[from][to] &&
           !sim->cut_between[to][from];
}
