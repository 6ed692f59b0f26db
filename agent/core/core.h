/*
 * The agent's core: the lease, the life cycle of each pool on this node, and the place of witness
 * duty. Pure: no I/O, no clock, no randomness.
 *
 * Invariants (ph_agent_validate()):
 *   - no task that could make a pool run is started unless the lease is valid and the order's
 *     generation is the lease's;
 *   - an ended lease is never extended: only a welcome with a higher generation begins a new one, and
 *     only after the guard said that nothing is left of the old one;
 *   - term and per-pool epochs only grow, and are durable before anything is done under them.
 */
#ifndef PH_AGENT_CORE_H
#define PH_AGENT_CORE_H

#include "proto/catalogue.h"

struct ph_agent;

enum ph_task_kind {
    PH_TASK_ACTIVATE, /* driver: data to the active place; result: data_epoch */
    /* driver: release the data; result: data_epoch, and sequence: the number the
       released data goes by and its last copies will have, above every copy made
       while it ran (0: the core takes the last one it knows + 1) */
    PH_TASK_DEACTIVATE,
    /* driver + stream: one copy to peer; result: sequence, age_ms, bytes, hash */
    PH_TASK_COPY,
    PH_TASK_DROP,     /* driver: remove every trace */
    PH_TASK_VM_START, /* workload driver; result: pid */
    PH_TASK_VM_STOP,  /* workload driver: signal, wait, kill; done when nothing is left of it */
    PH_TASK_KILL,     /* everything of the pool at once (cgroup.kill), then wait until empty */
    /* workload driver: `operation`, which was never begun before; result: reason (how it went), found */
    PH_TASK_VM_OPERATE,
    /* workload driver: what became of `operation`, which a former process began; status 0: it was done, else
       it was not, or nobody knows; result: reason, found */
    PH_TASK_VM_LOOK
};

struct ph_task {
    int64_t number; /* ascending; names the task in its result */
    enum ph_task_kind kind;
    int64_t epoch;
    int64_t generation; /* of the lease it is started under */
    /* owned copy: pool, create; vms: of VM_START and VM_STOP the one VM meant,
       else all (KILL: with those being removed) */
    struct ph_order order;
    char vm[PH_NAME_BYTES_MAX + 1];
    struct ph_peer peer;           /* COPY: to whom */
    struct ph_operation operation; /* VM_OPERATE, VM_LOOK */
    bool last;                     /* COPY: the pool is released: this is the final copy */
    bool verify;                   /* COPY: trust nothing of what the peer has; result: spoilt */
    uint64_t timeout_ms; /* after which the shell reports TASK_DONE with -ETIMEDOUT, though it may
                              still hang; its real end is then reported as TASK_ENDED */
};

struct ph_task_result {
    int64_t number;
    int status; /* 0 or negative errno */
    /* when status != 0: a sentence with the next step; of an operation also when it succeeded; borrowed */
    const char *reason;
    const char *found; /* VM_OPERATE, VM_LOOK: JSON, or NULL; borrowed */
    int64_t pid;       /* VM_START */
    int64_t data_epoch, sequence, age_ms, bytes;
    const char *hash;
    int64_t spoilt; /* COPY with verify, also when it failed: what the peer had wrong */
};

enum ph_agent_event_kind {
    PH_AE_TICK,
    PH_AE_MESSAGE,       /* from the manager's key: type, body */
    PH_AE_PEER_MESSAGE,  /* from another agent's key: sender (its node), type, body */
    PH_AE_TASK_DONE,     /* result; -ETIMEDOUT means "hangs", a tool that ran out of time is -EIO */
    PH_AE_TASK_ENDED,    /* result: the real end of a task that was reported as -ETIMEDOUT */
    PH_AE_TASK_PROGRESS, /* COPY: result->bytes so far, progress in result->sequence (0..100) */
    PH_AE_VM_ENDED,      /* pool, vm, pid (0: unknown), exit_status (-1: by signal or unknown) */
    PH_AE_VM_ADOPTED,    /* at start: pool, vm, pid: still running from before */
    /* lease `generation` ended. pool NULL: everything is stopped and released, the
       page is clean; else `pool` is one that it could not stop (yet) */
    PH_AE_GUARD_ENDED,
    PH_AE_GUARD_LOST, /* the guard is gone; the shell starts another */
    /* connected; generation, deadline_ms and clean as the page has them (0: none) */
    PH_AE_GUARD_READY,
    PH_AE_COPY_RECEIVED, /* a holder's stream ended well: pool, result->data_epoch, ->sequence */
    PH_AE_VM_SEEN, /* pool, vm, pid; body: a struct ph_vm_report: what its driver sees of it */
    PH_AE_LEAVE,   /* --leave: ask to be drained */
    PH_AE_FACTS    /* facts: what the node is and has is no longer what it was */
};

struct ph_agent_event {
    enum ph_agent_event_kind kind;
    uint64_t now_ms; /* CLOCK_BOOTTIME */
    int64_t wall_ms;
    enum ph_message_type type;
    const void *body;
    const char *sender; /* PEER_MESSAGE */
    const struct ph_task_result *result;
    const char *pool, *vm;
    int64_t pid;
    int exit_status;
    int64_t generation;
    uint64_t deadline_ms;
    const struct ph_hello *facts; /* FACTS: as in struct ph_agent_facts */
    int64_t clean; /* GUARD_READY: highest generation of whose lease nothing is left */
};

enum ph_agent_effect_kind {
    PH_AF_SEND,      /* to the manager, after the saves before it are durable (a beat: at once) */
    PH_AF_SEND_PEER, /* likewise, to the agent of node `peer`, which is among the peers */
    /* value: struct ph_voter_list, of which `witnesses` are all agents to be spoken with and
       heard from now on */
    PH_AF_PEERS,
    PH_AF_SAVE, /* record, value */
    PH_AF_REMOVE,
    /* extend (or begin) lease `generation` to deadline_ms at the guard's page; at_once
       unless the same step saved a new term. -EBUSY or -ESTALE there: do nothing */
    PH_AF_LEASE,
    PH_AF_TASK, /* start; after the saves before it are durable. Owns task */
    /* task `number`: set its `cancelled`; its end is reported as ever (-ECANCELED) */
    PH_AF_CANCEL,
    /* order: accept data for this pool from order->sources at order->epoch or higher;
       with kind other than hold: accept none */
    PH_AF_ALLOW,
    PH_AF_FENCE,    /* value: a fence_run to carry out; its fence_ran is sent to the manager */
    PH_AF_DIVERGED, /* text: the directory of set-aside data that is to be removed */
    PH_AF_NOTE,     /* log `text` at `level`; no save to wait for */
    PH_AF_END /* end this process; text says why (another agent with this identity; has left) */
};

struct ph_agent_effect {
    enum ph_agent_effect_kind kind;
    bool at_once;                     /* SEND, SEND_PEER, LEASE: waits for no save */
    char peer[PH_NAME_BYTES_MAX + 1]; /* SEND_PEER */
    enum ph_message_type type;
    const struct ph_record *record;
    void *value;          /* owned */
    struct ph_task *task; /* owned; ph_task_destroy() when it was taken out */
    int64_t number;       /* CANCEL */
    int64_t generation;
    uint64_t deadline_ms;
    enum ph_event_level level; /* NOTE */
    char *text;                /* NOTE, END, DIVERGED; owned */
};

struct ph_agent_effects {
    size_t count, room;
    struct ph_agent_effect *items;
};
void ph_agent_effects_clear(struct ph_agent_effects *effects);
void ph_agent_effects_fini(struct ph_agent_effects *effects);
void ph_task_destroy(struct ph_task **task);

/* What the shell knows at start. Texts are copied. */
struct ph_agent_facts {
    const char *name;
    const char *instance, *previous; /* random id of this process; of the one before, or "" */
    /* endpoint, labels, drivers, sizes, boot_id, version: the rest is the core's */
    struct ph_hello hello;
    int copies_parallel; /* copies under way at once; 0: 2 */
};

int ph_agent_new(const struct ph_agent_facts *facts, struct ph_agent **agent_out);
void ph_agent_destroy(struct ph_agent **agent);

/* Start-up, in this order: every stored row (meta, assignment and witness: what earlier steps saved, `previous`
 * of the facts among it when the core has saved one), per pool what its driver found on disk, the
 * events GUARD_READY and VM_ADOPTED for each survivor, and from then on everything, a TICK first. Nothing
 * is started before that TICK. A VM is looked for among the vms of the assignment's order, which keeps
 * those still to be stopped (their state is "stopping"). Unusable rows: -EINVAL with *error. */
int ph_agent_load(struct ph_agent *agent, const struct ph_record *record, const void *row,
    struct ph_error *error);
int ph_agent_load_data(struct ph_agent *agent, const char *pool, int64_t data_epoch,
    int64_t data_sequence, bool active_data);

int ph_agent_step(
    struct ph_agent *agent, const struct ph_agent_event *event, struct ph_agent_effects *effects);
uint64_t ph_agent_next_deadline_ms(const struct ph_agent *agent);
/* The manager's stop_ms, as last told and stored: what the guard is to go by. 0: never told. */
uint64_t ph_agent_stop_ms(const struct ph_agent *agent);
bool ph_agent_validate(const struct ph_agent *agent, struct ph_error *error);

#endif
