/*
 * The agent's shell: sockets, threads, the guard and the drivers around the pure core in agent/core.
 * Not pure.
 *
 *     manager --messages--> loop --events--> core --effects--> loop --tasks--> worker threads --> drivers
 *
 * Invariant: an effect that stands behind a save is performed only after that save is durable.
 */
#ifndef PH_AGENT_SERVE_RUN_H
#define PH_AGENT_SERVE_RUN_H

#include <stdbool.h>
#include "poolherd/error.h"

struct ph_agent_options {
    const char *directory; /* DIR: identity, database, pools, logs, run files */
    const char *name;      /* or NULL: the configuration's, or the identity's */
    const char *token;     /* invitation, or NULL: already enrolled */
    const char *listen;    /* or NULL: the configuration's */
    const char *config;    /* file, or NULL: DIR/agent.yaml when it is there */
    bool check_config;     /* validate and return */
};

/* Runs until a signal ends it (workloads go on) or a drain that was asked for with SIGUSR1 is done.
 * 0 after a clean end; negative errno with *error when it could not start or had to stop. */
int ph_agent_run(const struct ph_agent_options *options, struct ph_error *error);

/* Asks the agent that runs on `directory` to have itself drained and end; waits until it has.
 * -ENOENT with *error when none runs there. */
int ph_agent_leave(const char *directory, struct ph_error *error);

#endif
