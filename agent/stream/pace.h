/*
 * Limits of the rate at which copies are sent: one of the node, one of each pool, each shared by all streams
 * that it concerns. Token buckets; a bucket holds what may be sent in a fifth of a second, so that a limit is
 * kept from moment to moment. Thread-safe.
 */
#ifndef PH_STREAM_PACE_H
#define PH_STREAM_PACE_H

#include <stdint.h>

struct ph_pace;

/* The one of this name ("": the node's), made when it is not there, with this limit from now on (0: none).
 * Released with ph_pace_release(). NULL without memory: then there is no limit. */
struct ph_pace *ph_pace_get(const char *name, int64_t kib_s);
void ph_pace_release(struct ph_pace **pace);

/* Bytes that may be sent now, at most `wanted`; 0: wait a little. NULL: all of it. */
int64_t ph_pace_room(struct ph_pace *pace, uint64_t now_ms, int64_t wanted);
void ph_pace_spend(struct ph_pace *pace, int64_t bytes);

#endif
