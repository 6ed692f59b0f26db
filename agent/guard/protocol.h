/*
 * The words between agent and guard: one struct per message on SOCK_SEQPACKET, so that there is nothing to
 * parse. Private to agent/guard. A guard outlives the agents it serves: whoever changes this struct changes
 * PH_GUARD_VERSION, and an agent that meets a guard of another version waits for its end.
 */
#ifndef PH_AGENT_GUARD_PROTOCOL_H
#define PH_AGENT_GUARD_PROTOCOL_H

#include <limits.h>
#include <stdint.h>
#include "agent/guard/process.h"
#include "poolherd/limits.h"

#define PH_GUARD_VERSION 0x70684702u

enum ph_guard_word {
    PH_GUARD_HELLO =
        1, /* value_ms: stop_ms, 0: as it is; group 1: send news here; text: watchdog device or
                           "", status: its time-out in s. Answered with value_ms: the watchdog's real
                           time-out, 0: none; text: what is wrong with it */
    PH_GUARD_ADD_POOL,  /* pool, text: cgroup or "", mark */
    PH_GUARD_ADD_GROUP, /* pool, group */
    PH_GUARD_ADD_MOUNT, /* pool, text: path */
    PH_GUARD_REMOVE_POOL,
    PH_GUARD_KILL_POOL, /* pool, value_ms: time limit */
    PH_GUARD_STOP,
    PH_GUARD_ANSWER,     /* number of the request, status */
    PH_GUARD_NEWS_ENDED, /* generation */
    PH_GUARD_NEWS_STUCK, /* generation, pool, text: on what */
    PH_GUARD_ADD_VOLUME, /* pool, text: path */
    PH_GUARD_ADD_RELEASE /* pool, text: path of a file */
};

struct ph_guard_message {
    uint32_t version;
    uint32_t word;
    uint64_t number;
    int64_t generation;
    uint64_t value_ms;
    int32_t status;
    int32_t group;
    char pool[PH_NAME_BYTES_MAX + 1];
    char mark[PH_MARK_BYTES_MAX + 1];
    char text[PATH_MAX];
};

#endif
