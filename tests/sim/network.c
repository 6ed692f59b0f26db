/*
 * The network between all processes: every message is delayed, some are lost, doubled or overtaken, and
 * each link can be cut or slow in one direction alone. A process is a node's index, or SIM_MANAGER.
 *
 * What happens to a beat or a grant depends on its number alone, not on how many were sent before it.
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
    struct ph_event_in in = {.kind = PH_EV_MESSAGE,
        .sender = sim->nodes[from].name,
        .type = message->type,
        .body = message->body};
    sim_manager_step(sim, &in);
}

static void hear_as_agent(struct sim *sim, int node, int from, const struct message *message)
{
    struct ph_agent_event in = {.kind = from == SIM_MANAGER ? PH_AE_MESSAGE : PH_AE_PEER_MESSAGE,
        .sender = from == SIM_MANAGER ? NULL : sim->nodes[from].name,
        .type = message->type,
        .body = message->body};
    sim_agent_step(sim, node, &in);
}

static bool runs(const struct sim *sim, int process)
{
    return process == SIM_MANAGER ? sim->manager.core != NULL : sim->nodes[process].agent != NULL;
}

static bool is_routine(enum ph_message_type type)
{
    return type == PH_MSG_BEAT || type == PH_MSG_GRANT;
}

static uint64_t process_away_us(const struct sim *sim, int process)
{
    return process == SIM_MANAGER ? sim->manager.paused_until_us
                                  : sim_agent_away_us(&sim->nodes[process]);
}

static void arrives(struct sim *sim, struct sim_event *event)
{
    struct message *message = event->data;
    int from = event->pool, to = event->node;
    if (sim_deferred(sim, event, process_away_us(sim, to))) {
        return; /* it waits in the socket's buffer */
    }
    sim->beats_under_way -= event->routine == SIM_BEAT;
    if (runs(sim, to) && sim->links[from][to].cut_until_us <= sim->now_us) {
        if (sim_tracing(sim) && (!is_routine(message->type) || sim->options.trace_beats)) {
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

static uint64_t beat_stream(const struct sim *sim, int from, int to, int64_t life, int64_t number)
{
    uint64_t link = (uint64_t)(from * SIM_PROCESSES + to);
    return sim_hash(sim->schedule->seed + ((uint64_t)life << 32), link, (uint64_t)number);
}

static uint64_t delay_us(const struct sim *sim, uint64_t *stream)
{
    return sim->delay_us + sim_random(stream, sim->delay_us + 1);
}

uint64_t sim_beat_delay_us(struct sim *sim, int from, int to, int64_t life, int64_t number)
{
    uint64_t stream = beat_stream(sim, from, to, life, number);
    return delay_us(sim, &stream);
}

static void dispatch(struct sim *sim, int from, int to, enum ph_message_type type, const void *body,
    uint64_t takes_us, int64_t number)
{
    struct message *message = calloc(1, sizeof(*message));
    if (message == NULL) {
        abort();
    }
    message->type = type;
    message->body = ph_record_new_copy(ph_messages[type].record, body);
    sim->stats.messages++;
    sim->beats_under_way += is_routine(type);
    sim_at(sim, sim->now_us + takes_us,
        (struct sim_event){.run = arrives,
            .routine = is_routine(type) ? SIM_BEAT : SIM_ONCE,
            .node = to,
            .pool = from,
            .life = number,
            .data = message});
}

void sim_send(struct sim *sim, int from, int to, enum ph_message_type type, const void *body)
{
    struct sim_link *link = &sim->links[from][to];
    uint64_t own, *stream = &link->random;
    int64_t number = 0;
    sim->stats.orders += type == PH_MSG_ORDER;
    if (sim->now_us < link->cut_until_us) {
        return;
    }
    if (is_routine(type)) {
        number = type == PH_MSG_BEAT ? ((const struct ph_beat *)body)->number
                                     : ((const struct ph_grant *)body)->number;
        int node = type == PH_MSG_BEAT ? from : to;
        own = beat_stream(sim, from, to, sim->nodes[node].agent_life, number);
        stream = &own;
    }
    uint64_t takes_us = delay_us(sim, stream);
    takes_us += sim->now_us < link->slow_until_us ? link->slow_us : 0;
    if (sim->now_us < sim->loss_until_us && sim_chance(stream, sim->loss)) {
        return;
    }
    bool noisy = sim->now_us < sim->noise_until_us;
    if (noisy && sim_chance(stream, sim->noise)) { /* twice, and the other one late */
        dispatch(
            sim, from, to, type, body, takes_us + sim_random(stream, sim->spike_us + 1), number);
    }
    if (noisy && sim_chance(stream, sim->noise / 2)) {
        takes_us += sim_random(stream, sim->spike_us + 1); /* long enough to be overtaken */
    }
    dispatch(sim, from, to, type, body, takes_us, number);
}

bool sim_reachable(const struct sim *sim, int from, int to)
{
    const struct sim_node *node = &sim->nodes[to];
    return node->powered && node->agent != NULL && node->asleep_until_us <= sim->now_us &&
           sim->links[from][to].cut_until_us <= sim->now_us &&
           sim->links[to][from].cut_until_us <= sim->now_us;
}
