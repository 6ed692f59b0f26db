/*
 * The manager's core: decides everything, touches nothing. Pure: no I/O, no clock, no randomness.
 *
 *     message -> decode and check -> event -> ph_core_step -> effects -> commit -> act
 *
 * Invariants (checked by ph_core_validate() after each simulator step):
 *   - a pool's epoch only grows; each assignment to a node is a new epoch;
 *   - a node whose `granting` is false gets no grant until it is admitted under a higher generation;
 *   - a pool leaves a node only with a proof (enum ph_proof) noted in its job.
 */
#ifndef PH_MANAGER_CORE_H
#define PH_MANAGER_CORE_H

#include "base/map.h"
#include "manager/core/timing.h"
#include "proto/catalogue.h"

/* A stored meta row that says: this inventory is an old one. To be durable before the term is advanced. */
#define PH_META_VOTERS_UNKNOWN "voters_unknown"

struct ph_core;

enum ph_event_kind {
    PH_EV_TICK,       /* time passed; the shell has first drained its sockets */
    PH_EV_MESSAGE,    /* an authenticated message of a node (message_type with role AGENT) */
    PH_EV_REQUEST,    /* an authorised operator's message; must be answered exactly once */
    PH_EV_FENCE_DONE, /* a call of effect PH_EF_FENCE ended: body is its struct ph_fence_ran */
    PH_EV_CONFIG      /* new timing or limits after SIGHUP */
};

struct ph_event_in {
    enum ph_event_kind kind;
    uint64_t now_ms;    /* CLOCK_BOOTTIME */
    int64_t wall_ms;    /* for people and ages only */
    const char *sender; /* MESSAGE: the node; REQUEST: the identity */
    enum ph_role role;  /* REQUEST */
    enum ph_message_type type;
    const void *body; /* struct of the type's record; borrowed */
    uint64_t request; /* REQUEST: handle for the answer */
    /* REQUEST invite: a fresh secret, and its hash: the core has neither */
    const char *random_secret;
    const char *random_secret_hash;
    const struct ph_core_config *config; /* CONFIG */
};

enum ph_effect_kind {
    PH_EF_SAVE,   /* record, row: upsert */
    PH_EF_REMOVE, /* record, row: delete by key */
    PH_EF_SEND,   /* to node: type, body; after everything saved so far is durable */
    PH_EF_GRANT,  /* to node: a grant or unwelcome that promises nothing new: sent at once */
    PH_EF_ANSWER, /* to request: type, body; after everything saved so far is durable */
    PH_EF_FENCE   /* run a fence agent here: value is its struct ph_fence_run */
};

struct ph_effect {
    enum ph_effect_kind kind;
    const struct ph_record *record; /* of row (SAVE, REMOVE) or body */
    void *value;                    /* owned: row or body */
    enum ph_message_type type;      /* SEND, GRANT, ANSWER */
    char node[PH_NAME_BYTES_MAX + 1];
    uint64_t request;
};

struct ph_effects {
    size_t count, room;
    struct ph_effect *items;
};

void ph_effects_clear(struct ph_effects *effects); /* destroys what they own; keeps the room */
void ph_effects_fini(struct ph_effects *effects);

struct ph_core_config {
    struct ph_timing timing;
    /* more nodes than this silent together: automatic take-over pauses */
    int silent_share_percent;
    int quarantine_failures; /* losses within quarantine_window_ms that quarantine a node */
    uint64_t quarantine_window_ms;
    uint64_t quarantine_ms;
    int activation_attempts; /* per candidate, before the pool is failed */
    uint64_t retry_ms;       /* first back-off between attempts; doubles up to a minute */
    int moves_parallel;      /* of a drain without --max-parallel */
    int takeovers_per_node;  /* activations under way on one target at a time */
    bool
        hold_without_watchdog; /* time alone never frees the pools of a node that has no watchdog */
    int64_t local_offset_ms;   /* local time - UTC, for failback at HH:MM */
    uint64_t diverged_keep_ms; /* of data that was set aside; 0: for ever */
    uint64_t fence_test_ms;    /* between two tests of each fence device by itself; 0: none */
    /* key of the label whose value says with which others a node fails; "": each by itself */
    char failure_domain[PH_NAME_BYTES_MAX + 1];
};
void ph_core_config_default(struct ph_core_config *config);

/* A new core for a manager that has just activated its store under (term, manager_id). */
int ph_core_new(const struct ph_core_config *config, int64_t term, const char *manager_id,
    const char *cluster_id, struct ph_core **core_out);
void ph_core_destroy(struct ph_core **core);

/* Start-up: one call per stored row of meta, node, voter_set, pool, vm, replica, identity, fence_device
 * and of jobs that have
 * not ended (ascending by id), in that order; then ph_core_ready(), which begins the quiet start at now_ms and may give
 * effects (orders are only sent once the nodes say hello). Unusable rows: -EINVAL with *error. */
int ph_core_load(
    struct ph_core *core, const struct ph_record *record, const void *row, struct ph_error *error);
int ph_core_ready(struct ph_core *core, uint64_t now_ms, int64_t wall_ms, int64_t last_event_id,
    int64_t last_job_id, struct ph_effects *effects);

/* One event. Appends to *effects in the order they must be done. 0, or -ENOMEM (the process ends
 * and reloads). A request the core refuses is answered with a problem, not with an error here. */
int ph_core_step(struct ph_core *core, const struct ph_event_in *event, struct ph_effects *effects);

/* When the next tick is due at the latest (CLOCK_BOOTTIME ms); UINT64_MAX: never. */
uint64_t ph_core_next_deadline_ms(const struct ph_core *core);

/* Whether a call that waited for a commit is still wanted: asked just before it is made. */
bool ph_core_fence_wanted(const struct ph_core *core, const struct ph_fence_run *run);

/* The identity bound to a key, and by name; NULL when there is none. Borrowed, until the next step. */
const struct ph_identity *ph_core_identity_by_key(
    const struct ph_core *core, const char *public_key);
const struct ph_identity *ph_core_identity_by_name(const struct ph_core *core, const char *name);

/* Whether every invariant holds; false fills *error. For tests and the simulator. */
bool ph_core_validate(const struct ph_core *core, struct ph_error *error);

#endif
