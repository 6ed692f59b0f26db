/*
 * The agent's core from inside: what it knows of its lease, its pools, their VMs and copies. Private to
 * agent/core. Pure.
 *
 *     agent --- lease (one)
 *        \----- pools, by name --- order (the newest taken in)
 *                     |      \---- phase: where the life cycle stands (pool.c has the table)
 *                     |----------- vms, in start order; those removed from the order but still there last
 *                     |----------- peers: who gets copies
 *                     \----------- tasks under way
 *
 * A step: the event changes facts; then every pool that was touched, or whose wake_ms has come, is
 * advanced towards its order; then due copies are started; then saves and reports are flushed.
 */
#ifndef PH_AGENT_CORE_AGENT_H
#define PH_AGENT_CORE_AGENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "agent/core/core.h"
#include "base/map.h"

#define PH_NEVER UINT64_MAX

#define PH_AGENT_BEATS 256 /* beats remembered; older ones get no credit */
#define PH_AGENT_ASKS                                                                              \
    16 /* questions to witnesses remembered: a lease is not that many beats long */
#define PH_AGENT_HELLO_MS_MIN 200
#define PH_AGENT_HELLO_MS_MAX 1000 /* of the period, once the manager has been silent for long */
#define PH_AGENT_HELLO_QUICK 50    /* hellos before the period begins to grow */
#define PH_AGENT_RESEND_MS_MIN 500
#define PH_AGENT_RESEND_MS_MAX 5000
#define PH_AGENT_BACKOFF_MS_MIN 1000
#define PH_AGENT_BACKOFF_MS_MAX 60000
#define PH_AGENT_VM_SETTLED_MS 60000 /* running for so long forgets earlier failures */
#define PH_AGENT_PROGRESS_MS 1000
#define PH_AGENT_LEAVE_MS 1000
#define PH_AGENT_NOTE_MS 5000 /* between notes about the same kind of nonsense */

#define PH_TASK_ACTIVATE_MS 60000
#define PH_TASK_DEACTIVATE_MS 30000
#define PH_TASK_COPY_MS (24u * 3600u * 1000u) /* the stream has its own, shorter limits */
#define PH_TASK_DROP_MS 300000
#define PH_TASK_VM_START_MS 30000
#define PH_TASK_VM_STOP_MS 10000 /* beyond the VM's own stop_timeout_ms */
#define PH_TASK_KILL_MS 10000
#define PH_TASK_VM_OPERATE_MS 300000 /* memory is written at the disk's pace */

enum ph_lease_state {
    PH_LEASE_UNKNOWN, /* the guard has not spoken yet */
    PH_LEASE_NONE,    /* no lease, and nothing is left of an earlier one */
    PH_LEASE_VALID,
    PH_LEASE_ENDING /* over; the guard has not said yet that nothing is left */
};

struct ph_agent_lease {
    int64_t term;
    char manager[65];
    int64_t admission;    /* generation of the newest welcome, durable; 0: none */
    int64_t generation;   /* of the page's lease, valid or over */
    uint64_t deadline_ms; /* while VALID */
    enum ph_lease_state state;
    bool guard_ready;
    bool admitted; /* this instance was welcomed under `admission` */
    bool ever_admitted;
    bool hello_wanted;
    uint64_t hello_ms; /* when the next one is due */
    int hello_count;
    uint64_t duplicate_ms; /* when it asks once more after such an answer */
    bool duplicate_once;   /* told once that another instance is alive */
    int64_t beat_ms, lease_ms, stop_ms;
    uint64_t beat_due_ms;
    int64_t beat_number;
    struct {
        int64_t number;
        uint64_t boot_ms;
    } beats[PH_AGENT_BEATS];
    /* witness.c */
    int64_t voters;       /* version of the voter set in force, durable; 0: none */
    uint64_t granted_ms;  /* when the newest beat that the manager granted was sent */
    uint64_t by_votes_ms; /* when votes last extended the lease since the manager's last grant; 0 */
    uint64_t ask_due_ms;
    size_t ask_count;
    struct {
        uint64_t boot_ms, lease_ms;
    } asks[PH_AGENT_ASKS];
    bool leaving;
    uint64_t leave_ms, leave_asked_ms;
    uint64_t note_ms; /* no note about refused messages before */
};

/* Another node: a witness of this one (asked), served by this one, or promised away. */
enum { PH_LISTED_ASKED = 1, PH_LISTED_SERVED = 2 };
struct ph_agent_witness {
    struct ph_witness row;     /* durable; first */
    bool voted;                /* by this process */
    uint64_t voted_ms;         /* when it last did */
    uint64_t granted_until_ms; /* asked: up to when it has extended the lease under this set */
    int listed;                /* while a list is taken in */
    struct ph_peer peer;       /* likewise */
};

/* Where a pool's life cycle stands. */
enum ph_agent_phase {
    PH_AP_IDLE,       /* no data active, nothing runs */
    PH_AP_ACTIVATING, /* driver activate */
    PH_AP_RUNNING,    /* data active; VMs are kept as ordered */
    PH_AP_STOPPING,   /* VMs in reverse order */
    PH_AP_KILLING,    /* everything of the pool, until nothing is left */
    PH_AP_RELEASING,  /* driver deactivate */
    PH_AP_COPYING,    /* last copies to required peers */
    PH_AP_DROPPING,   /* driver drop */
    PH_AP_COUNT
};

struct ph_agent_task {
    int64_t number;
    enum ph_task_kind kind;
    int64_t generation, epoch;
    char name[PH_NAME_BYTES_MAX + 1]; /* of the VM or peer */
    int64_t urgent, verify;
    uint64_t began_ms;
    bool last, hung, cancelled;
};

struct ph_agent_vm {
    struct ph_vm spec; /* as it runs, or as it is to be started */
    struct ph_vm next; /* changed: what to start after the stop */
    bool changed;      /* runs by an older declaration */
    bool removed;      /* no longer in the order */
    bool stale;        /* loaded: if it is found running, it runs by an older declaration */
    bool attempted;    /* was started once in this activation */
    bool stop_failed;
    enum ph_vm_state state;
    int64_t pid, restarts;
    int failures;      /* in a row, for the back-off */
    uint64_t retry_ms; /* BACKOFF, or a failed stop: not before */
    uint64_t started_ms;
    bool task;        /* a VM_START or VM_STOP is under way */
    bool operation;   /* a VM_OPERATE or VM_LOOK is; it may end meanwhile */
    bool ended_early; /* ended before its VM_START was reported done */
    int ended_status;
    char *reason;
    struct ph_vm_report seen; /* what its driver saw of it while it runs */
};

struct ph_agent_peer {
    struct ph_peer peer;
    bool task;
    uint64_t added_ms;    /* when the order first named it */
    uint64_t begun_ms;    /* of the newest regular copy; 0: none in this process */
    uint64_t urgent_ms;   /* when urgent last grew */
    int64_t urgent_begun; /* urgent that a copy under way or done satisfies */
    int failures;
    uint64_t retry_ms;
    bool last_done;
    bool complete; /* what follows is a complete copy of this process */
    int64_t epoch, sequence, bytes, urgent_done;
    uint64_t as_of_ms; /* the moment whose data it holds, this node's clock */
    char hash[129];
    char *reason;
    int64_t progress;
    uint64_t progress_ms;
    int64_t verify_begun, verify_done; /* as urgent_begun, urgent_done */
    int64_t spoilt;                    /* what the newest verification found wrong */
    int64_t sent_bytes, kib_s;         /* of the copy under way */
    uint64_t sent_ms;                  /* when sent_bytes was that much */
    int64_t report_number;             /* newest sent */
    bool report_dirty, report_open;
    uint64_t report_due_ms, report_delay_ms;
};

/* operation.c */
struct ph_agent_operation {
    struct ph_operation row; /* durable once it has begun */
    bool task;               /* a VM_OPERATE or VM_LOOK of it is under way */
    int64_t task_number;
};

struct ph_agent_pool {
    char name[PH_NAME_BYTES_MAX + 1];
    bool has_order;
    struct ph_order order;
    int64_t epoch; /* highest seen in an order or on disk */
    enum ph_agent_phase phase;
    enum ph_local_state local;
    bool unsaved;
    bool failed;      /* the driver's activate failed under this order */
    bool settled;     /* deactivate, hold, drop: carried out */
    bool released;    /* RELEASING: the driver's deactivate succeeded */
    bool data_active; /* driver activated and not deactivated since */
    int64_t active_epoch;
    bool ran;         /* something of it may be alive: kill before releasing */
    bool owner_data;  /* the data here is the pool's own, not a copy of it */
    bool unsequenced; /* owner_data may have changed since data_sequence */
    bool allowed;     /* data is accepted by the stream server under this order */
    bool renew;       /* its size changed: the driver is to look at the active data again */
    int64_t data_epoch, data_sequence;
    int failures; /* of KILL, DEACTIVATE, DROP in a row */
    uint64_t retry_ms;
    char *reason, *step;
    struct ph_agent_vm *vms;
    size_t vm_count;
    struct ph_agent_operation *operations;
    size_t operation_count;
    struct ph_agent_peer *peers;
    size_t peer_count;
    struct ph_agent_task *tasks;
    size_t task_count, task_room;
    int64_t report_number, report_acked;
    bool report_dirty;
    uint64_t report_due_ms, report_delay_ms;
    bool touched;
    uint64_t wake_ms;
};

struct ph_agent {
    char name[PH_NAME_BYTES_MAX + 1];
    char instance[65], previous[65];
    struct ph_hello hello;
    int copies_parallel;
    bool started, out_of_memory;
    struct ph_agent_lease lease;
    struct ph_map pools;
    struct ph_map witnesses;    /* node -> struct ph_agent_witness * */
    uint64_t started_ms;        /* of the first step */
    uint64_t forgotten_vote_ms; /* newest vote for a node that is no longer in witnesses */
    int64_t last_task, last_report;
    int copies_under_way;
    bool copies_touched;
    uint64_t copies_wake_ms;
    uint64_t last_run_ms, last_run_deadline_ms; /* newest task that could make a pool run */
    int64_t last_run_generation;
    /* of the step under way */
    uint64_t now_ms;
    bool new_term;
    struct ph_agent_effects *effects;
};

/* ---- effects.c ---- */
void ph_agent_send(
    struct ph_agent *agent, enum ph_message_type type, const void *body, bool at_once);
/* As ph_agent_send(), but takes `body`, a heap record. */
void ph_agent_send_owned(
    struct ph_agent *agent, enum ph_message_type type, void *body, bool at_once);
/* To another agent; `body` is copied. */
void ph_agent_send_peer(struct ph_agent *agent, const char *node, enum ph_message_type type,
    const void *body, bool at_once);
void ph_agent_peers_effect(struct ph_agent *agent, const struct ph_voter_list *peers);
void ph_agent_save(struct ph_agent *agent, const struct ph_record *record, const void *row);
void ph_agent_remove(struct ph_agent *agent, const struct ph_record *record, const void *row);
void ph_agent_note(struct ph_agent *agent, enum ph_event_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* A note about something a peer sent that was refused: bounded in number. */
void ph_agent_note_refused(struct ph_agent *agent, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_agent_lease_effect(struct ph_agent *agent, int64_t generation, uint64_t deadline_ms);
void ph_agent_allow(struct ph_agent *agent, const struct ph_order *order);
void ph_agent_fence_effect(struct ph_agent *agent, const struct ph_fence_run *run);
void ph_agent_on_diverged_drop(struct ph_agent *agent, const struct ph_diverged_drop *drop);
void ph_agent_cancel_effect(struct ph_agent *agent, int64_t number);
void ph_agent_task_effect(struct ph_agent *agent, struct ph_task *task);
void ph_agent_end(struct ph_agent *agent, const char *reason);
void ph_agent_save_meta(struct ph_agent *agent, const char *key, const char *value);
void ph_agent_save_meta_int(struct ph_agent *agent, const char *key, int64_t value);

/* ---- lease.c ---- */
bool ph_agent_lease_valid(const struct ph_agent *agent);
/* Whether a task of this pool that makes it run may start now. */
bool ph_agent_may_run(const struct ph_agent *agent, const struct ph_agent_pool *pool);
/* Whether a task that only stops or moves data may start now (the guard is not at work). */
bool ph_agent_may_act(const struct ph_agent *agent);
int ph_agent_load_meta(struct ph_agent *agent, const struct ph_meta *row, struct ph_error *error);
/* Takes (term, manager) of a message. False: stale or of another manager; noted. */
bool ph_agent_accept_term(
    struct ph_agent *agent, int64_t term, const char *manager, const char *what);
void ph_agent_check_lease(struct ph_agent *agent); /* time has passed */
void ph_agent_on_grant(struct ph_agent *agent, const struct ph_grant *grant);
void ph_agent_on_guard_ready(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_on_guard_ended(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_on_guard_lost(struct ph_agent *agent);
uint64_t ph_agent_lease_wake_ms(const struct ph_agent *agent);

/* ---- hello.c ---- */
void ph_agent_on_welcome(struct ph_agent *agent, const struct ph_welcome *welcome);
void ph_agent_on_unwelcome(struct ph_agent *agent, const struct ph_unwelcome *unwelcome);
void ph_agent_on_leave(struct ph_agent *agent);
void ph_agent_on_facts(struct ph_agent *agent, const struct ph_hello *facts);
/* Sends what is due: a hello, a beat, a request to be drained. */
void ph_agent_speak(struct ph_agent *agent);
void ph_agent_want_hello(struct ph_agent *agent);
/* The beat sent at boot_ms was granted: the next one has time. */
void ph_agent_beat_answered(struct ph_agent *agent, int64_t number, uint64_t boot_ms);
uint64_t ph_agent_speak_wake_ms(const struct ph_agent *agent);

/* ---- order.c ---- */
void ph_agent_on_order(struct ph_agent *agent, const struct ph_order *order);
int ph_agent_load_assignment(
    struct ph_agent *agent, const struct ph_assignment *row, struct ph_error *error);
void ph_agent_save_pool(struct ph_agent *agent, struct ph_agent_pool *pool);
/* Forgets dropped pools whose old orders can no longer be taken in. */
void ph_agent_prune(struct ph_agent *agent);

/* ---- pool.c ---- */
struct ph_agent_pool *ph_agent_pool_get(const struct ph_agent *agent, const char *name);
struct ph_agent_pool *ph_agent_pool_add(struct ph_agent *agent, const char *name);
void ph_agent_pool_destroy(struct ph_agent_pool *pool);
void ph_agent_pool_advance(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_pool_set_local(struct ph_agent_pool *pool, enum ph_local_state local);
void ph_agent_pool_set_phase(struct ph_agent_pool *pool, enum ph_agent_phase phase);
bool ph_agent_phase_allowed(enum ph_agent_phase from, enum ph_agent_phase to);
/* The order wants it running here, and nothing forbids it. */
bool ph_agent_pool_wanted(const struct ph_agent *agent, const struct ph_agent_pool *pool);
void ph_agent_pool_lease_ended(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_pool_step(struct ph_agent_pool *pool, const char *step);
void ph_agent_pool_reason(struct ph_agent_pool *pool, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_agent_pool_touch(struct ph_agent_pool *pool);

/* ---- teardown.c: the phases that lead down ---- */
bool ph_agent_phase_stopping(struct ph_agent *agent, struct ph_agent_pool *pool);
bool ph_agent_phase_killing(struct ph_agent *agent, struct ph_agent_pool *pool);
bool ph_agent_phase_releasing(struct ph_agent *agent, struct ph_agent_pool *pool);
bool ph_agent_phase_copying(struct ph_agent *agent, struct ph_agent_pool *pool);
bool ph_agent_phase_dropping(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_teardown_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    enum ph_task_kind kind, const struct ph_task_result *result);

/* ---- task.c ---- */
/* A task under the rules, in the pool's list, for the caller to complete and to hand to ph_agent_task_effect();
 * NULL when the rules forbid it now. start() does both, and notes that the VM has a task. */
struct ph_task *ph_agent_task_make(struct ph_agent *agent, struct ph_agent_pool *pool,
    enum ph_task_kind kind, struct ph_agent_vm *vm, struct ph_agent_peer *peer, bool last);
bool ph_agent_task_start(struct ph_agent *agent, struct ph_agent_pool *pool, enum ph_task_kind kind,
    struct ph_agent_vm *vm, struct ph_agent_peer *peer, bool last);
void ph_agent_task_cancel(struct ph_agent *agent, struct ph_agent_task *task);
struct ph_agent_task *ph_agent_task_find(
    const struct ph_agent_pool *pool, enum ph_task_kind kind, const char *name);
bool ph_agent_task_any(const struct ph_agent_pool *pool, unsigned kinds, bool hung_only);
void ph_agent_cancel_copies(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_on_task(struct ph_agent *agent, const struct ph_task_result *result, bool ended);
void ph_agent_on_progress(struct ph_agent *agent, const struct ph_task_result *result);
#define PH_TASK_BIT(kind) (1u << (kind))
#define PH_TASK_ANY 0x1ffu
#define PH_TASK_VMS                                                                                \
    (PH_TASK_BIT(PH_TASK_VM_START) | PH_TASK_BIT(PH_TASK_VM_STOP) |                                \
        PH_TASK_BIT(PH_TASK_VM_OPERATE) | PH_TASK_BIT(PH_TASK_VM_LOOK))
#define PH_TASK_DATA                                                                               \
    (PH_TASK_BIT(PH_TASK_ACTIVATE) | PH_TASK_BIT(PH_TASK_DEACTIVATE) | PH_TASK_BIT(PH_TASK_DROP) | \
        PH_TASK_BIT(PH_TASK_KILL))

/* ---- vm.c ---- */
struct ph_agent_vm *ph_agent_vm_find(const struct ph_agent_pool *pool, const char *name);
/* Takes the order's VMs over. Those that run are compared and kept; active: so are the others that did
 * not change (ended, backing off), else they start anew. */
void ph_agent_vms_take(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_vm_list *vms, bool active);
void ph_agent_vm_fini(struct ph_agent_vm *vm);
void ph_agent_vms_advance(struct ph_agent *agent, struct ph_agent_pool *pool);
/* One step of stopping them all in reverse: true when none is left; *kill_out when one will not. */
bool ph_agent_vms_stop(struct ph_agent *agent, struct ph_agent_pool *pool, bool *kill_out);
void ph_agent_vms_reset(struct ph_agent_pool *pool); /* nothing of them runs any more */
void ph_agent_vm_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended);
void ph_agent_on_vm_ended(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_on_vm_seen(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_on_vm_adopted(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_vms_adopted(struct ph_agent *agent, struct ph_agent_pool *pool, bool was_active);
bool ph_agent_vm_alive(const struct ph_agent_vm *vm);
uint64_t ph_agent_vms_wake_ms(const struct ph_agent_pool *pool);
uint64_t ph_agent_backoff_ms(int failures);

/* ---- operation.c ---- */
int ph_agent_load_operation(
    struct ph_agent *agent, const struct ph_operation *row, struct ph_error *error);
void ph_agent_operations_fini(struct ph_agent_pool *pool);
void ph_agent_operations_prune(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_operations_advance(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_operation_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended);
int ph_agent_operations_fill(const struct ph_agent_pool *pool, struct ph_report *report);

/* ---- copy.c ---- */
void ph_agent_peers_take(
    struct ph_agent *agent, struct ph_agent_pool *pool, const struct ph_peer_list *peers);
void ph_agent_peer_fini(struct ph_agent_peer *peer);
struct ph_agent_peer *ph_agent_peer_find(const struct ph_agent_pool *pool, const char *node);
void ph_agent_copies_start(struct ph_agent *agent);
/* Starts due last copies of a released pool; true when every required peer has its own. */
bool ph_agent_last_copies(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_copy_result(struct ph_agent *agent, struct ph_agent_pool *pool,
    const struct ph_agent_task *task, const struct ph_task_result *result, bool ended);
void ph_agent_on_copy_received(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_copy_slot_free(struct ph_agent *agent);
uint64_t ph_agent_last_copies_wake_ms(
    const struct ph_agent *agent, const struct ph_agent_pool *pool);

/* ---- report.c ---- */
int ph_agent_report_fill(
    struct ph_agent *agent, struct ph_agent_pool *pool, struct ph_report *report);
bool ph_agent_pool_has_trace(const struct ph_agent_pool *pool);
void ph_agent_reports_flush(struct ph_agent *agent, struct ph_agent_pool *pool);
void ph_agent_on_report_ok(struct ph_agent *agent, const struct ph_report_ok *ok);
void ph_agent_report_once(
    struct ph_agent *agent, const char *pool, int64_t epoch, const char *reason);
void ph_agent_copy_report_dirty(struct ph_agent_peer *peer);
uint64_t ph_agent_reports_wake_ms(const struct ph_agent *agent, const struct ph_agent_pool *pool);

/* ---- adopt.c ---- */
/* After the guard and the survivors have been heard: where does each loaded pool stand? */
void ph_agent_adopt(struct ph_agent *agent);

/* ---- fence.c ---- */
void ph_agent_on_fence_run(struct ph_agent *agent, const struct ph_fence_run *run);

/* ---- witness.c ---- */
int ph_agent_load_witness(
    struct ph_agent *agent, const struct ph_witness *row, struct ph_error *error);
void ph_agent_witnesses_fini(struct ph_agent *agent);
void ph_agent_on_voter_list(struct ph_agent *agent, const struct ph_voter_list *list);
void ph_agent_on_promise_ask(struct ph_agent *agent, const struct ph_promise_ask *ask);
void ph_agent_on_relay(struct ph_agent *agent, const struct ph_relay *relay);
void ph_agent_on_peer_message(struct ph_agent *agent, const struct ph_agent_event *event);
void ph_agent_tell_peers(struct ph_agent *agent);
void ph_agent_ask_witnesses(struct ph_agent *agent); /* when it is due */
uint64_t ph_agent_ask_wake_ms(const struct ph_agent *agent);
/* While the manager is silent, a report also goes through a witness. */
void ph_agent_relay_report(struct ph_agent *agent, enum ph_message_type type, const void *body);

#endif
