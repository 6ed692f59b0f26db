/*
 * The simulated world: one manager, some nodes, a network between them, and a person at the command
 * line, all of it driven by one queue of events and one seed. The cores are the real ones; this is the
 * shell around each, with clocks that drift, disks that are slow, and everything that can fail failing.
 *
 * Time is real time in microseconds (sim->now_us). Each machine sees it through its own clock.
 */
#ifndef PH_SIM_H
#define PH_SIM_H

#include <stdbool.h>
#include <stdint.h>
#include "agent/core/core.h"
#include "base/map.h"
#include "manager/core/core.h"

#define SIM_NODES_MAX 32
#define SIM_POOLS_MAX 128
#define SIM_MANAGER SIM_NODES_MAX /* as a process of the network; the others are nodes by index */
#define SIM_PROCESSES (SIM_NODES_MAX + 1)
#define SIM_VMS 3 /* most VMs of one pool; named a, b, c */
#define SIM_SECOND 1000000u
#define SIM_MS 1000u

struct sim;

/* ---- queue.c: what happens when; equal times in the order they were asked for ---- */
struct sim_event {
    uint64_t at_us, order;
    void (*run)(struct sim *sim, struct sim_event *event);
    int node, pool, vm;
    int64_t life; /* of what it is meant for: an event for a dead one is void */
    void *data;   /* owned by the event until run */
};
struct sim_queue {
    size_t count, room;
    struct sim_event *items;
    uint64_t order;
    uint64_t at_once; /* events in a row without time passing */
};
void sim_at(struct sim *sim, uint64_t at_us, struct sim_event event);
bool sim_next(
    struct sim *sim, uint64_t until_us); /* runs the next event; false when none is left */
void sim_queue_fini(struct sim *sim);

/* ---- clock.c: randomness and clocks ---- */
uint64_t sim_random(struct sim *sim, uint64_t limit); /* 0..limit-1 */
bool sim_chance(struct sim *sim, double probability);
uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high); /* inclusive */
uint64_t sim_soon(struct sim *sim, uint64_t mean_us); /* exponential, at most 10 means */

struct sim_clock {
    int64_t ppm;
    uint64_t local_us, real_us; /* it showed local_us at real_us */
};
void sim_clock_boot(struct sim *sim, struct sim_clock *clock);
uint64_t sim_clock_ms(const struct sim *sim, const struct sim_clock *clock);
/* The first real moment at which the clock shows at least local_ms. */
uint64_t sim_clock_real_us(const struct sim *sim, const struct sim_clock *clock, uint64_t local_ms);
int64_t sim_wall_ms(const struct sim *sim, int64_t skew_ms);

/* ---- store.c: rows that are durable ---- */
struct sim_row {
    char *key;
    void *value;
};
struct sim_table {
    const struct ph_record *record;
    struct ph_map rows; /* key -> struct sim_row */
};
void sim_table_save(struct sim_table *table, const void *row);
void sim_table_remove(struct sim_table *table, const void *row);
void sim_table_fini(struct sim_table *table);
const void *sim_table_get(const struct sim_table *table, const char *key);

/* ---- outbox.c: effects that wait for the saves before them ---- */
enum sim_out_kind { SIM_SAVE, SIM_REMOVE, SIM_DO };
struct sim_out {
    enum sim_out_kind kind;
    const struct ph_record *record;
    void *value; /* owned */
    int what;    /* SIM_DO: the effect's kind */
    enum ph_message_type type;
    char node[PH_NAME_BYTES_MAX + 1];
    uint64_t request;
    struct ph_task *task; /* owned */
    int64_t number, generation;
    uint64_t deadline_ms;
};
struct sim_outbox {
    size_t count, room;
    struct sim_out *items;
    size_t committing; /* how many of the first are covered by the commit under way; 0: none is */
};
struct sim_out *sim_outbox_add(struct sim_outbox *outbox, enum sim_out_kind kind);
void sim_outbox_clear(struct sim_outbox *outbox);
void sim_out_fini(struct sim_out *out);
/* Whether something can be done now: the first item needs no save. */
bool sim_outbox_take(struct sim_outbox *outbox, struct sim_out *out);

/* ---- a pool on one node's disk, and what lives of it ---- */
struct sim_data {
    bool exists;
    int64_t epoch, sequence;
    uint64_t content_us; /* the moment of the last write that it holds */
};
struct sim_vm {
    bool alive;
    bool stubborn; /* will not die before stubborn_until_us, whatever is tried */
    uint64_t stubborn_until_us;
    int64_t pid;
    uint64_t since_us;
};
struct sim_disk {
    bool active;
    bool marked;          /* durable: active since it was last released in form */
    int64_t stored_epoch; /* the fencing token */
    struct sim_data data, copy;
    int64_t next_sequence;
    struct sim_vm vms[SIM_VMS];
    /* what the stream server accepts */
    bool allowed;
    int64_t allowed_epoch;
    bool allowed_from[SIM_NODES_MAX];
};

struct sim_task {
    struct ph_task *task; /* owned */
    int pool, vm, peer;
    int64_t serial;
    bool cancelled, hung;
    int status;
    bool overtaken;
    struct sim_data snapshot; /* COPY: what it carries */
};

struct sim_node {
    int index;
    char name[8];
    struct sim_clock clock;
    int64_t wall_skew_ms;
    bool powered;
    int64_t power_life; /* grows with each boot */
    /* guard */
    int64_t page_generation, page_clean;
    uint64_t page_deadline_ms;
    bool guard_up, guard_stopping;
    int64_t guard_life;
    /* agent */
    struct ph_agent *agent; /* NULL: not running */
    int64_t agent_life;
    uint64_t wake_us; /* of the wake-up that is queued */
    char instance[24], previous[24];
    int64_t crash_after; /* effects; negative: never */
    bool dying;
    struct ph_agent_effects effects;
    struct sim_outbox outbox;
    struct sim_table metas, assignments;
    struct sim_disk disks[SIM_POOLS_MAX];
    struct sim_task *tasks[256];
    bool leaving;
};

struct sim_manager {
    struct sim_clock clock;
    struct ph_core *core; /* NULL: not running */
    int64_t life, term;
    uint64_t wake_us;
    int64_t crash_after;
    struct ph_effects effects;
    struct sim_outbox outbox;
    struct sim_table nodes, pools, vms, replicas, jobs, identities, metas, fence_devices;
    int64_t last_event_id, last_job_id;
    uint64_t last_request;
};

/* What the checks remember of a pool, beyond any node. */
struct sim_pool {
    char name[16];
    bool declared; /* the inventory answered that it is */
    bool gone;     /* a removal was asked for, by ... */
    uint64_t gone_request;
    int64_t epoch;
    uint64_t newest_us; /* the newest write anywhere */
    bool clean;         /* what was written last was released cleanly, on clean_node */
    int clean_node;
    int given;               /* to how many nodes it was given since */
    uint64_t lost_writes_us; /* sum of what take-overs lost */
};

struct sim_options {
    uint64_t seed;
    double hours;
    int nodes, pools;
    bool trace, quiet;
    const char *profile; /* NULL: chosen by the seed */
    double faults;       /* 0: none; 1: usual; negative: chosen by the seed */
    bool duplicates;
};

struct sim {
    struct sim_options options;
    uint64_t random;
    uint64_t now_us, end_us;
    struct sim_queue queue;
    struct sim_manager manager;
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_pool pools[SIM_POOLS_MAX];
    struct ph_core_config config;
    /* network */
    bool cut[SIM_PROCESSES][SIM_PROCESSES];         /* from, to */
    uint64_t slow_us[SIM_PROCESSES][SIM_PROCESSES]; /* more delay on a congested link */
    double loss;
    uint64_t delay_us, spike_us;
    /* faults */
    bool storm;  /* faults and operators are at work */
    double rate; /* of failing drivers and workloads, 0..1 */
    uint64_t slow_disk_until_us;
    int64_t serial;
    /* statistics */
    uint64_t steps, messages, takeovers, moves, drains, kills, crashes, losses, avoidable, orders;
    uint64_t trace_hash;
    bool failed;
};

void sim_trace(struct sim *sim, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sim_tracing(const struct sim *sim);
int sim_pool_index(const struct sim *sim, const char *name); /* -1: none */
int sim_node_index(const struct sim *sim, const char *name);
int sim_vm_index(const char *name);

/* ---- network.c ---- */
void sim_send(struct sim *sim, int from, int to, enum ph_message_type type, const void *body);
const char *sim_process_name(const struct sim *sim, int process);
bool sim_reachable(const struct sim *sim, int from, int to); /* between nodes, both ways */

/* ---- manager.c ---- */
void sim_manager_start(struct sim *sim);
void sim_manager_crash(struct sim *sim, uint64_t back_after_us);
void sim_manager_step(struct sim *sim, struct ph_event_in *event);
void sim_manager_fini(struct sim *sim);

/* ---- agent.c ---- */
void sim_agent_start(struct sim *sim, int node);
void sim_agent_crash(struct sim *sim, int node, uint64_t back_after_us);
void sim_agent_step(struct sim *sim, int node, struct ph_agent_event *event);
void sim_node_boot(struct sim *sim, int node);
void sim_node_power_off(struct sim *sim, int node, uint64_t back_after_us);
void sim_node_fini(struct sim *sim, int node);

/* ---- guard.c ---- */
void sim_guard_watch(struct sim *sim, int node); /* the deadline has moved */
void sim_guard_lease(struct sim *sim, int node, int64_t generation, uint64_t deadline_ms);
bool sim_lease_valid(const struct sim *sim, int node, int64_t generation);
void sim_guard_crash(struct sim *sim, int node, uint64_t back_after_us);

/* ---- task.c ---- */
void sim_task_start(struct sim *sim, int node, struct ph_task *task); /* takes it */
void sim_task_cancel(struct sim *sim, int node, int64_t number);
void sim_tasks_die(struct sim *sim, int node, bool power); /* with the agent's process */
void sim_allow(struct sim *sim, int node, const struct ph_order *order);

/* ---- check.c ---- */
void sim_check_alive(struct sim *sim, int pool); /* something of the pool began to live */
void sim_check_saved(struct sim *sim, const struct ph_record *record, const void *old,
    const void *row); /* a row of the inventory is durable */
void sim_check_active(struct sim *sim, int node, int pool, uint64_t content_us);
void sim_check_settled(struct sim *sim); /* faults have ceased long enough */
bool sim_settled(struct sim *sim, char *why, size_t size);
void sim_vm_dies(struct sim *sim, int node, int pool, int vm);
void sim_touch_content(struct sim *sim, int node, int pool);
bool sim_any_alive(const struct sim_disk *disk);

/* ---- operator.c ---- */
void sim_operator_start(struct sim *sim);
void sim_operator_answer(
    struct sim *sim, uint64_t request, enum ph_message_type type, const void *body);
void sim_operator_calm(struct sim *sim);    /* puts right what only a person can */
void sim_operator_declare(struct sim *sim); /* every pool, once, at the first start */

/* ---- fence.c ---- */
/* Some devices of a node into a declaration. */
void sim_fence_declare(struct sim *sim, int node, struct ph_fence_apply *apply);
void sim_fence_run(
    struct sim *sim, int from, const struct ph_fence_run *run); /* by the manager or a node */

/* ---- faults.c ---- */
void sim_faults_start(struct sim *sim);
void sim_faults_cease(struct sim *sim);

#endif
