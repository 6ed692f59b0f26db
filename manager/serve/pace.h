/*
 * How long the loop may rest before it looks for messages again. Private.
 *
 * With thousands of agents a beat comes every fraction of a millisecond. Waking up for each costs more
 * than answering it: a dozen system calls here, and in ZeroMQ's threads another wake-up for each answer.
 * So when many come and nobody waits for anything else, the loop lets them gather for a hundredth of a
 * beat's period. A lease counts from the moment its beat was SENT, so that is all the answer's delay
 * takes from it; and a deadline of the core, a signal, a commit or a worker ends the rest.
 */
#ifndef PH_SERVE_PACE_H
#define PH_SERVE_PACE_H

#include <stddef.h>
#include <stdint.h>

struct serve_pace {
    uint64_t window_ms; /* begin of the present count */
    uint64_t count;
    uint64_t per_s; /* messages, in the window before */
};

void serve_pace_count(struct serve_pace *pace, size_t messages, uint64_t now_ms);
/* 0: look at once. */
uint64_t serve_pace_rest_ms(const struct serve_pace *pace, uint64_t beat_ms);

#endif
