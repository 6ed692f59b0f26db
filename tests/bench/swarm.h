/*
 * A swarm: many agents in one process, each with its own CURVE key and DEALER socket, just enough of an
 * agent to keep a manager busy. For tests/bench.
 *
 *   swarm.c  sockets, the schedule of beats, what is counted
 *   said.c   what an agent says and hears
 *   fake.c   --pools: pretends to run what it is ordered to, and changes states as fast as it may
 */
#ifndef PH_BENCH_SWARM_H
#define PH_BENCH_SWARM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fake_pool {
    char name[64], vm[64];
    int64_t epoch, order_term, order_number, number, changes;
    bool running, reported;
    struct fake_pool *next;
};

#define SWARM_BEATS 16 /* as many as an agent remembers */

struct agent {
    void *socket;
    int index, fd;
    int64_t number, generation, term; /* of the last beat; as admitted; as last heard */
    int64_t hello_number;
    uint64_t sent_ns[SWARM_BEATS]; /* when beats under way were sent, by their number; 0: none */
    uint64_t lease_ns;             /* the lease's end */
    uint64_t hello_ns;             /* when hello was last said */
    int64_t granted_term, welcome_term;
    bool welcomed, waiting; /* waiting: not connected, as far as is known */
    char instance[24];
    struct fake_pool *pools;
};

struct swarm {
    const char *name; /* prefix of the agents' names */
    int count, first;
    uint64_t beat_ns;
    bool fake; /* report on pools */
    struct agent *agents;
    int64_t term;          /* newest one heard */
    int granted, welcomed; /* agents that heard a grant, a welcome, of that term */
    uint64_t sent, answered, refused, changes;
    uint32_t latency[8192]; /* see latency_slot() */
    uint64_t latency_max_us;
};

uint64_t swarm_now_ns(void);
/* Sends one frame; false: there is no connection (or its queue is full). */
bool swarm_send(struct agent *agent, const char *text, size_t bytes);
void swarm_latency(struct swarm *swarm, uint64_t ns);

/* said.c */
void said_speak(struct swarm *swarm, struct agent *agent); /* a beat or a hello, as is due */
void said_hear(struct swarm *swarm, struct agent *agent, const char *text, size_t bytes);
/* A number in a JSON text written by a manager: said_number(text, bytes, "\"term\":"); -1: not there. */
int64_t said_number(const char *text, const char *key);

/* fake.c */
void fake_order(struct agent *agent, const char *text, size_t bytes);
void fake_report_ok(struct swarm *swarm, struct agent *agent, const char *text, size_t bytes);
void fake_repeat(struct agent *agent); /* what was not acknowledged */

#endif
