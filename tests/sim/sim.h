/*
 * The simulated world: managers, nodes, a network between them, and a person at the command line, all of
 * it driven by one queue of events and one play (schedule.h). The cores are the real ones; this is the
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
#include "tests/sim/schedule.h"

#define SIM_NODES_MAX 32
#define SIM_POOLS_MAX 128
#define SIM_MANAGER SIM_NODES_MAX /* as a process of the network; the others are nodes by index */
#define SIM_PROCESSES (SIM_NODES_MAX + 1)
#define SIM_VMS 3      /* most VMs of one pool; named a, b, c */
#define SIM_TASKS 256  /* of one agent under way at once */
#define SIM_WAITING 64 /* items that wait for a job's phase */
#define SIM_SECOND 1000000u
#define SIM_MS 1000u

struct sim;

/* ---- queue.c: what happens when; equal times in the order they were asked for ---- */
/* Events of each beat period. They come first among those of one moment, and by what they are instead of
 * when they were asked for: so it does not matter how many of them were played before (quiet.c). */
enum sim_routine { SIM_ONCE, SIM_LOOK, SIM_WAKE, SIM_BEAT };
struct sim_event {
    uint64_t at_us, order;
    void (*run)(struct sim *sim, struct sim_event *event);
    enum sim_routine routine;
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
/* Puts the event off to until_us when that is still to come: its process is not running. */
bool sim_deferred(struct sim *sim, const struct sim_event *event, uint64_t until_us);
uint64_t sim_queue_once_us(const struct sim *sim); /* of the first that is no routine */
void sim_queue_drop_routine(struct sim *sim);
void sim_queue_fini(struct sim *sim);

/* ---- random.c: each stream is one number ---- */
uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c);
uint64_t sim_random(uint64_t *stream, uint64_t limit); /* 0..limit-1 */
bool sim_chance(uint64_t *stream, double probability);
uint64_t sim_between(uint64_t *stream, uint64_t low, uint64_t high); /* inclusive */
uint64_t sim_soon(uint64_t *stream, uint64_t mean); /* exponential, at most 10 means */

/* ---- clock.c ---- */
struct sim_clock {
    int64_t ppm;
    uint64_t local_us, real_us; /* it showed local_us at real_us */
};
void sim_clock_boot(struct sim *sim, struct sim_clock *clock, uint64_t *stream);
void sim_clock_rate(struct sim *sim, struct sim_clock *clock, uint64_t *stream); /* another one */
uint64_t sim_clock_ms(const struct sim *sim, const struct sim_clock *clock);
uint64_t sim_clock_ms_at(const struct sim_clock *clock, uint64_t real_us);
/* The first real moment at which the clock shows at least local_ms; real_us: or now. */
uint64_t sim_clock_first_us(const struct sim_clock *clock, uint64_t local_ms);
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
void sim_table_copy(struct sim_table *to, const struct sim_table *from);
const void *sim_table_get(const struct sim_table *table, const char *key);
const void *sim_table_job(const struct sim_table *table, int64_t id);

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
    uint64_t stubborn_until_us; /* its VMs will not die before, whatever is tried */
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
    uint64_t random;
    struct sim_clock clock;
    int64_t wall_skew_ms;
    bool powered;
    int64_t power_life; /* grows with each boot */
    /* troubles: until when */
    uint64_t asleep_until_us; /* all of it: suspended */
    uint64_t paused_until_us; /* its agent */
    uint64_t stall_until_us, full_until_us, drivers_until_us;
    double drivers_rate; /* of failing drivers, 0..1 */
    /* guard */
    int64_t page_generation, page_clean;
    uint64_t page_deadline_ms;
    bool guard_up, guard_stopping;
    int64_t guard_life;
    uint64_t stopped_by_us; /* nothing may run from then on; 0: no lease ended */
    /* agent */
    struct ph_agent *agent; /* NULL: not running */
    int64_t agent_life;
    uint64_t wake_us; /* of the wake-up that is queued */
    char instance[24], previous[24];
    int64_t crash_after; /* boundaries between effects; negative: never */
    uint64_t crash_for_us;
    struct ph_agent_effects effects;
    struct sim_outbox outbox;
    struct sim_table metas, assignments, witnesses;
    int64_t term_seen; /* highest that it made durable */
    struct sim_disk disks[SIM_POOLS_MAX];
    struct sim_task *tasks[SIM_TASKS];
};

struct sim_manager {
    uint64_t random;
    struct sim_clock clock;
    int64_t wall_skew_ms;
    struct ph_core *core; /* NULL: not running */
    int64_t life, term;
    uint64_t wake_us;
    int64_t crash_after;
    uint64_t crash_for_us;
    uint64_t paused_until_us, stall_until_us, full_until_us;
    struct ph_effects effects;
    struct sim_outbox outbox;
    struct sim_table nodes, pools, vms, replicas, jobs, identities, metas, fence_devices,
        voter_sets;
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
    int given; /* to how many nodes it was given since */
};

struct sim_options {
    bool trace;       /* every line but those of beats and grants */
    bool trace_beats; /* those too */
    bool every_beat;  /* none is skipped in quiet times */
    int failed_fd;    /* 0: a failure is said on standard error */
};

struct sim_link {
    uint64_t random;
    uint64_t cut_until_us, slow_until_us;
    uint64_t slow_us; /* more delay while it is congested */
};

struct sim_stats {
    uint64_t real_us, steps, messages, skipped_beats, faults, commands;
    uint64_t takeovers, moves, drains, lease_ends, pool_stops, crashes, losses, avoidable, orders,
        replaced;
};

struct sim {
    struct sim_options options;
    const struct sim_schedule *schedule;
    int node_count, pool_count;
    uint64_t now_us;
    uint64_t shift_us; /* how much later than written the play is, for the calms in it */
    struct sim_queue queue;
    struct sim_manager manager;
    struct sim_node nodes[SIM_NODES_MAX];
    struct sim_pool pools[SIM_POOLS_MAX];
    struct ph_core_config config;
    /* network: from, to */
    struct sim_link links[SIM_PROCESSES][SIM_PROCESSES];
    uint64_t delay_us, spike_us;
    uint64_t loss_until_us, noise_until_us, stutter_until_us, stutter_us;
    double loss, noise;
    int beats_under_way;       /* messages of beats, grants and their like */
    uint64_t trouble_until_us; /* until then something is not as it should be (quiet.c) */
    uint64_t quiet_look_us;    /* not before: the last look found no quiet */
    bool calm;
    struct sim_item waiting[SIM_WAITING]; /* for a job's phase */
    size_t waiting_count;
    int64_t serial;
    uint64_t person; /* the operator's stream */
    struct sim_stats stats;
};

void sim_trace(struct sim *sim, const char *who, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool sim_tracing(const struct sim *sim);
int sim_pool_index(const struct sim *sim, const char *name); /* -1: none */
int sim_node_index(const struct sim *sim, const char *name);
int sim_vm_index(const char *name);
/* From now until until_us something is wrong: no time is skipped. */
void sim_trouble(struct sim *sim, uint64_t until_us);

/* ---- network.c ---- */
void sim_send(struct sim *sim, int from, int to, enum ph_message_type type, const void *body);
const char *sim_process_name(const struct sim *sim, int process);
bool sim_reachable(const struct sim *sim, int from, int to); /* between nodes, both ways */
/* How long a beat, or the grant that answers it, is under way when nothing is wrong. */
uint64_t sim_beat_delay_us(struct sim *sim, int from, int to, int64_t life, int64_t number);

/* ---- manager.c ---- */
void sim_manager_start(struct sim *sim);
void sim_manager_crash(struct sim *sim, uint64_t back_after_us);
void sim_manager_step(struct sim *sim, struct ph_event_in *event);
void sim_manager_sleep(struct sim *sim); /* asks for the wake-up at its next deadline */
void sim_manager_fini(struct sim *sim);

/* ---- agent.c ---- */
void sim_agent_start(struct sim *sim, int node);
void sim_agent_begin(struct sim *sim, struct sim_event *event);
void sim_agent_crash(struct sim *sim, int node, uint64_t back_after_us);
void sim_agent_step(struct sim *sim, int node, struct ph_agent_event *event);
void sim_agent_sleep(struct sim *sim, int node);
uint64_t sim_agent_away_us(const struct sim_node *node); /* until then it does not run */

/* ---- node.c: the machine under an agent ---- */
void sim_node_boot(struct sim *sim, int node);
void sim_node_power_off(struct sim *sim, int node, uint64_t back_after_us);
void sim_node_suspend(struct sim *sim, int node, uint64_t for_us);
void sim_node_lose_disk(struct sim *sim, int node);
void sim_node_fini(struct sim *sim, int node);
void sim_agent_drop(struct sim *sim, int node, bool power); /* the process is no more */
void sim_agent_save(struct sim *sim, struct sim_node *node, const struct sim_out *out);

/* ---- guard.c ---- */
void sim_guard_watch(struct sim *sim, int node); /* the deadline has moved */
void sim_guard_lease(struct sim *sim, int node, int64_t generation, uint64_t deadline_ms);
bool sim_lease_valid(const struct sim *sim, int node, int64_t generation);
void sim_guard_crash(struct sim *sim, int node, uint64_t back_after_us);
void sim_guard_wakes(struct sim *sim, int node); /* the machine was suspended */

/* ---- task.c ---- */
void sim_task_start(struct sim *sim, int node, struct ph_task *task); /* takes it */
void sim_task_cancel(struct sim *sim, int node, int64_t number);
void sim_tasks_die(struct sim *sim, int node, bool power); /* with the agent's process */

/* ---- disk.c ---- */
/* What the task does to the disk and to what runs there, done. */
int sim_disk_apply(struct sim *sim, int node, struct sim_task *task, struct ph_task_result *result);
void sim_allow(struct sim *sim, int node, const struct ph_order *order);

/* ---- check.c ---- */
void sim_check_alive(struct sim *sim, int pool); /* something of the pool began to live */
void sim_check_saved(struct sim *sim, const struct ph_record *record, const void *old,
    const void *row); /* a row of the inventory is durable */
void sim_check_active(struct sim *sim, int node, int pool, uint64_t content_us);
void sim_check_kept(struct sim *sim, const struct sim_node *node, const struct ph_record *record,
    const void *row);                              /* a row of an agent is about to be durable */
void sim_check_stopped(struct sim *sim, int node); /* the time to stop is up */
void sim_vm_dies(struct sim *sim, int node, int pool, int vm);
void sim_touch_content(struct sim *sim, int node, int pool);
bool sim_any_alive(const struct sim *sim, int node, int pool);

/* ---- settled.c ---- */
void sim_check_settled(struct sim *sim); /* faults have ceased long enough */
bool sim_settled(struct sim *sim, char *why, size_t size);

/* ---- operator.c ---- */
void sim_operate(struct sim *sim, const struct sim_item *item);
void sim_operator_answer(
    struct sim *sim, uint64_t request, enum ph_message_type type, const void *body);
void sim_operator_tidy(struct sim *sim);    /* puts right what only a person can */
void sim_operator_replace(struct sim *sim); /* nodes of which nothing can be proven */
void sim_operator_declare(struct sim *sim); /* every pool, once, at the first start */

/* ---- fence.c ---- */
/* Some devices of a node into a declaration. */
void sim_fence_declare(struct sim *sim, int node, struct ph_fence_apply *apply);
void sim_fence_run(
    struct sim *sim, int from, const struct ph_fence_run *run); /* by the manager or a node */

/* ---- faults.c ---- */
void sim_perform(struct sim *sim, const struct sim_item *item);
void sim_job_entered(struct sim *sim, const struct ph_job *job); /* a phase, durably */
void sim_faults_cease(struct sim *sim);

/* ---- quiet.c ---- */
/* Steps over beats that are answered, when nothing else happens before until_us. */
void sim_quiet(struct sim *sim, uint64_t until_us);

/* ---- play.c ---- */
/* Plays the schedule to its end; a failure ends the program or, with failed_fd, this process. */
void sim_play(const struct sim_schedule *schedule, const struct sim_options *options,
    struct sim_stats *stats_out);

#endif
