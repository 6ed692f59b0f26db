/* Plays in processes of their own, and the shortest play that still fails in the same way. */
#ifndef PH_SIM_SHRINK_H
#define PH_SIM_SHRINK_H

#include "tests/sim/sim.h"

/* Plays in a child. True: it went well; false: when it failed (a time of the play) and in which words. */
bool sim_attempt(const struct sim_schedule *schedule, const struct sim_options *options,
    uint64_t *at_ms_out, char *words, size_t size);

/* Shrinks in place, for at most seconds_max, saying how it goes on standard error and writing the
 * result to standard output. 0, or 1 when the play does not fail at all. */
int sim_shrink(
    struct sim_schedule *schedule, const struct sim_options *options, unsigned seconds_max);

#endif
