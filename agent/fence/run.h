/*
 * One call of a fence agent (Debian's fence-agents), with proof. Not pure. The manager and the agents
 * share it: a device is reached from either.
 *
 *     agent's stdin: options, secrets read from their files, action=...     argv: the agent's name alone
 *
 * Invariant: `off` is never believed. Only a separate call with action=status that exits with 2 says
 * that a node is off, and only one that exits with 0 that it is on; everything else (another status, a
 * signal, the time limit, an agent that is not there) is "failed". The action is always named: what an
 * agent does without one is to reboot.
 */
#ifndef PH_AGENT_FENCE_RUN_H
#define PH_AGENT_FENCE_RUN_H

#include "proto/catalogue.h"

#define PH_FENCE_SECRET_BYTES_MAX 1024 /* of one secret file */
#define PH_FENCE_CONFIRM_MS 3000 /* how long a status may go on saying the old thing, at most */

/* Carries out run->action and fills *ran (initialised; the caller's to destroy), whatever happens: failures are its
 * reason. Blocks for up to 2 * run->timeout_ms + PH_FENCE_CONFIRM_MS; safe to call from any thread. */
void ph_fence_carry_out(const struct ph_fence_run *run, struct ph_fence_ran *ran);

/* The same answer for a call that could not even begin. */
void ph_fence_refuse(const struct ph_fence_run *run, struct ph_fence_ran *ran, const char *format,
    ...) __attribute__((format(printf, 3, 4)));

#endif
