/*
 * What goes wrong and what people do, as data: a play. It is made from a seed (generate.c), written to
 * and read from a file (schedule.c), made shorter (shrink.c) and played (play.c, faults.c, operator.c).
 * Whatever a play does not say, such as delays of messages, comes from its seed.
 *
 *     # why this play is kept
 *     seed 7
 *     nodes 5
 *     length 600.000
 *     expect takeovers 1
 *     at 12.345 power-off node=n3 for=4.500
 *     at 20.000 cancel when=stopping
 */
#ifndef PH_SIM_SCHEDULE_H
#define PH_SIM_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What an action goes by. */
enum sim_operand {
    SIM_BY_NODE = 1,
    SIM_BY_OTHER = 2, /* the process at the other end of a link from `node` */
    SIM_BY_POOL = 4,
    SIM_BY_FOR = 8,
    SIM_BY_AMOUNT = 16,
    SIM_BY_OPERATOR = 32 /* it is something that a person does */
};

/* X(name, word, operands) */
#define SIM_ACTIONS(X)                                                                             \
    X(CALM, "calm", 0) /* faults cease until all runs as declared, which is checked */             \
    X(MANAGER_CRASH, "manager-crash", SIM_BY_FOR)                                                  \
    X(MANAGER_CRASH_AFTER, "manager-crash-after", SIM_BY_FOR | SIM_BY_AMOUNT) /* effects */        \
    X(MANAGER_PAUSE, "manager-pause", SIM_BY_FOR)                                                  \
    X(MANAGER_STALL, "manager-disk-stalls", SIM_BY_FOR)                                            \
    X(MANAGER_FULL, "manager-disk-full", SIM_BY_FOR)                                               \
    X(MANAGER_WALL, "manager-clock-set", SIM_BY_AMOUNT) /* ms, of the wall clock */                \
    X(MANAGER_CUT, "manager-cut-off", SIM_BY_FOR)                                                  \
    X(AGENT_CRASH, "agent-crash", SIM_BY_NODE | SIM_BY_FOR)                                        \
    X(AGENT_CRASH_AFTER, "agent-crash-after", SIM_BY_NODE | SIM_BY_FOR | SIM_BY_AMOUNT)            \
    X(AGENT_PAUSE, "agent-pause", SIM_BY_NODE | SIM_BY_FOR)                                        \
    X(SUSPEND, "suspend", SIM_BY_NODE | SIM_BY_FOR)                                                \
    X(POWER_OFF, "power-off", SIM_BY_NODE | SIM_BY_FOR)                                            \
    X(DISK_LOST, "disk-lost", SIM_BY_NODE | SIM_BY_FOR)                                            \
    X(DISK_STALL, "disk-stalls", SIM_BY_NODE | SIM_BY_FOR)                                         \
    X(DISK_FULL, "disk-full", SIM_BY_NODE | SIM_BY_FOR)                                            \
    X(GUARD_CRASH, "guard-crash", SIM_BY_NODE | SIM_BY_FOR)                                        \
    X(CLOCK_RATE, "clock-rate", SIM_BY_NODE)                                                       \
    X(WALL, "clock-set", SIM_BY_NODE | SIM_BY_AMOUNT)                                              \
    X(CUT, "cut", SIM_BY_NODE | SIM_BY_OTHER | SIM_BY_FOR)                                         \
    X(SLOW, "slow", SIM_BY_NODE | SIM_BY_OTHER | SIM_BY_FOR | SIM_BY_AMOUNT) /* ms */              \
    X(LOSS, "loss", SIM_BY_FOR | SIM_BY_AMOUNT)   /* of messages, per mille */                     \
    X(NOISE, "noise", SIM_BY_FOR | SIM_BY_AMOUNT) /* doubled, late; per mille */                   \
    X(STUTTER, "stutter",                                                                          \
        SIM_BY_FOR | SIM_BY_AMOUNT) /* ms: everybody stands still now and then */                  \
    X(DRIVERS, "drivers-fail", SIM_BY_NODE | SIM_BY_FOR | SIM_BY_AMOUNT) /* per mille */           \
    X(STUBBORN, "vm-stubborn", SIM_BY_POOL | SIM_BY_FOR)                 /* will not die */        \
    X(VM_ENDS, "vm-ends", SIM_BY_POOL)                                                             \
    X(APPLY, "apply", SIM_BY_OPERATOR)                                                             \
    X(MOVE, "move", SIM_BY_POOL | SIM_BY_NODE | SIM_BY_OPERATOR)                                   \
    X(DRAIN, "drain", SIM_BY_NODE | SIM_BY_FOR | SIM_BY_AMOUNT | SIM_BY_OPERATOR)                  \
    X(RESUME, "resume", SIM_BY_NODE | SIM_BY_OPERATOR)                                             \
    X(STOP, "stop", SIM_BY_POOL | SIM_BY_OPERATOR)                                                 \
    X(START, "start", SIM_BY_POOL | SIM_BY_AMOUNT | SIM_BY_OPERATOR)   /* 1: accept data loss */   \
    X(REMOVE, "remove", SIM_BY_POOL | SIM_BY_AMOUNT | SIM_BY_OPERATOR) /* 1: with its data */      \
    X(FENCE, "fence", SIM_BY_NODE | SIM_BY_OPERATOR) /* of one without power: confirmed dead */    \
    X(DEVICES, "fence-devices", SIM_BY_NODE | SIM_BY_OPERATOR) /* declares some, or none */        \
    X(CANCEL, "cancel", SIM_BY_OPERATOR)                                                           \
    X(PAUSE, "pause", SIM_BY_OPERATOR)                                                             \
    X(UNPAUSE, "unpause", SIM_BY_OPERATOR)                                                         \
    X(STATUS, "status", SIM_BY_OPERATOR)                                                           \
    X(LEAVE, "leave", SIM_BY_NODE | SIM_BY_OPERATOR)                                               \
    X(TIDY, "tidy", SIM_BY_OPERATOR) /* resumes, starts again: what only a person can */

#define SIM_ACTION_ENUM(name, word, operands) SIM_DO_##name,
enum sim_action { SIM_ACTIONS(SIM_ACTION_ENUM) SIM_ACTION_COUNT };

extern const struct sim_action_word {
    const char *word;
    unsigned operands;
} sim_actions[SIM_ACTION_COUNT];

/* Beside an index: nobody, or what the job has that an action waits for. */
enum { SIM_NOBODY = -1, SIM_ITS_NODE = -2, SIM_ITS_TARGET = -3, SIM_ITS_POOL = -4 };

struct sim_item {
    uint64_t at_ms;
    enum sim_action action;
    int node, other, pool;
    uint64_t for_ms;
    int64_t amount;
    uint64_t detail; /* what else it needs is drawn from this */
    int when;        /* enum ph_job_phase: done when the next job enters it; negative: at at_ms */
};

struct sim_schedule {
    char profile[16];
    uint64_t seed, length_ms;
    int nodes, pools;
    bool long_intervals; /* copies every few hours instead of every few seconds */
    size_t count, room;
    struct sim_item *items; /* ascending by at_ms */
    struct {
        bool set;
        uint64_t value;
    } expect_takeovers, expect_kills, expect_stops;
};

void sim_schedule_add(struct sim_schedule *schedule, const struct sim_item *item);
void sim_schedule_sort(struct sim_schedule *schedule);
void sim_schedule_fini(struct sim_schedule *schedule);
void sim_item_text(const struct sim_item *item, char *text, size_t size);
/* Writes the play to `path` ("-": standard output) under a comment of one line; ends the program when
 * that cannot be done. */
void sim_schedule_write(const struct sim_schedule *schedule, const char *path, const char *comment);
/* Reads a play; ends the program with the line's number when it is none. */
void sim_schedule_read(struct sim_schedule *schedule, const char *path);

/* ---- generate.c: a play from a seed ---- */
struct sim_wish {
    uint64_t seed;
    double hours;
    int nodes, pools;
    const char *profile;    /* NULL: chosen by the seed */
    double faults_per_hour; /* negative: chosen by the seed */
    bool long_intervals;
};
void sim_generate(const struct sim_wish *wish, struct sim_schedule *schedule_out);

#endif
