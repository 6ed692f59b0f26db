/*
 * Inside manager/core: a node's fence devices and the run that is under way on them. Pure.
 *
 *     fence.c          requests: node fence, fence on, fence test; begin, end, and when a run begins by itself
 *     fence_run.c      one run: levels, attempts, rounds; calls go out, answers come in
 *     fence_device.c   a node's devices: made, found, sorted, forgotten
 *     fence_apply.c    fence.apply: check all, compare all, then change
 *     fence_view.c     fence.list, and what doctor and node show say
 *
 * A run (aim OFF) goes through the levels in ascending order. All devices of a level are called at once, each up
 * to `attempts` times; the level succeeds when every one has confirmed by a separate status that the node is off, and
 * one device that has used up its attempts ends it. After the last level an operator's run has failed; one that
 * began by itself starts over with a growing pause, for as long as the node is silent.
 *
 * Invariants
 *   - a run that began by itself calls nothing while automatic action is paused or the silent share brakes;
 *   - a node counts as fenced only by answers to calls of its run under way, about the generation it had when that
 *     began: what comes late is noted and proves nothing.
 */
#ifndef PH_MANAGER_FENCING_H
#define PH_MANAGER_FENCING_H

#include "manager/core/request.h"

#define CORE_FENCE_TIMEOUT_MS 20000 /* of a device that declares none */
#define CORE_FENCE_ATTEMPTS 2
#define CORE_FENCE_AGAIN_MS 1000     /* between two calls of one device */
#define CORE_FENCE_ROUND_MS_MIN 2000 /* between two rounds; doubles */
#define CORE_FENCE_ROUND_MS_MAX 60000
#define CORE_FENCE_ANSWER_MS 5000 /* for the way there and back, and waiting for a thread */
#define CORE_FENCE_FIRST_TEST_MS 60000
#define CORE_FENCE_WITNESS_MS 200    /* at least so long its witnesses are waited for */
#define CORE_FENCE_MANAGER "manager" /* in run_from */

enum core_fence_aim { CORE_FENCE_IDLE, CORE_FENCE_OFF, CORE_FENCE_ON };

enum core_device_phase {
    CORE_DEVICE_IDLE,
    CORE_DEVICE_WAITING, /* to be called at due_ms */
    CORE_DEVICE_CALLED,  /* an answer is awaited until due_ms */
    CORE_DEVICE_DONE,
    CORE_DEVICE_GIVEN_UP
};

struct core_device {
    struct ph_fence_device row; /* durable */
    enum core_device_phase phase;
    enum ph_fence_action action;
    int64_t number; /* of the call under way; 0: none */
    uint64_t due_ms;
    int64_t tries;
    size_t place; /* where in run_from the next call begins to look */
    char where[PH_NAME_BYTES_MAX + 1];
};

struct core_fencing {
    size_t count;
    struct core_device *devices[PH_FENCE_DEVICES_MAX]; /* by level, then position */
    struct core_timer timer;
    enum core_fence_aim aim;
    bool automatic, reboot;
    bool declined; /* an operator cancelled the run that began by itself: none until it is heard */
    int64_t level; /* aim OFF: the one under way; aim ON: 0 for all */
    int64_t generation;               /* admission that the run is about */
    int64_t rounds;                   /* that have failed */
    uint64_t round_ms;                /* the next one not before; 0: one is under way */
    uint64_t test_ms;                 /* the next test by itself; 0: none planned */
    char said[PH_TEXT_BYTES_MAX / 2]; /* what the devices said last */
};

/* ---- fence_run.c ---- */
void core_fence_level(struct ph_core *core, struct core_node *node, int64_t level);
void core_fence_step(struct ph_core *core, struct core_node *node); /* time or an answer has come */
void core_fence_idle(struct core_fencing *fencing); /* what is under way no longer counts */
void core_fence_arm(struct ph_core *core, struct core_node *node);
bool core_device_call(struct ph_core *core, struct core_node *node, struct core_device *device,
    enum ph_fence_action action);
/* Where it would be run now, beginning with run_from[first]; "" and the reason: nowhere. */
const char *core_device_place(
    const struct ph_core *core, const struct core_device *device, size_t first, size_t *index_out);
int64_t core_fence_next_level(const struct core_fencing *fencing, int64_t after); /* 0: none */

/* ---- fence.c ---- */
bool core_fence_begins(struct ph_core *core, struct core_node *node); /* by itself, now */
uint64_t core_fence_first_ms(const struct ph_core *core, const struct core_node *node);
/* Why a run that began by itself must not go on; NULL: it may. */
const char *core_fence_forbidden(struct ph_core *core, const struct core_node *node);
void core_fence_proven(struct ph_core *core, struct core_node *node);
void core_fence_failed(struct ph_core *core, struct core_node *node);
void core_fence_on_ended(struct ph_core *core, struct core_node *node, bool all);

/* ---- fence_device.c ---- */
struct core_fencing *core_fencing_make(struct ph_core *core, struct core_node *node);
struct core_device *core_device_find(const struct core_node *node, const char *name);
struct core_device *core_device_add(
    struct ph_core *core, struct core_node *node, const struct ph_fence_device *row);
void core_device_remove(struct ph_core *core, struct core_node *node, struct core_device *device);
void core_fencing_sort(struct core_fencing *fencing);

#endif
