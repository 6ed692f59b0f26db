/*
 * Inside manager/core: the live picture and who owns what. Pure. Not included outside this directory
 * and its unit tests.
 *
 *     event -> handler (changes rows through core_*_touch, marks pools dirty)
 *           -> core_settle: every dirty pool is looked at again (schedule, move, take-over, orders)
 *           -> core_flush: one SAVE per touched row, then the SENDs and ANSWERs, in that order
 *
 *     nodes (by name) ──┐                          ┌── pools (by name)
 *     struct core_node ─┤ peers: pool -> peer      ├─ struct core_pool: vms[], job
 *                       └──> struct core_peer <────┘ peers: node -> peer
 *                            (one pool on one node: replica row, wanted order, newest report)
 *
 * Files
 *   core.c      new, load, ready, step, settle, next_deadline          validate.c  ph_core_validate
 *   effects.c   effects, events, answers, touching and flushing rows   timer.c     heap of (time, id)
 *   state.c     transition tables; the only place that sets node.state/admin, pool.state, job.state/phase
 *   picture.c   nodes and sums for placement                           brakes.c    silent share, pause, quarantine
 *   node.c      hello, beat, leases                                    report.c    reports, copy reports
 *   silence.c   suspect, lost, fenced
 *   voters.c    who may extend a node's lease when we are silent       promise.c   their promises not to
 *   order.c     wanted order per peer, sending again                   schedule.c  where an unassigned pool goes
 *   assign.c    on and off a node, failed activations                  settle.c    all that is dirty, and its order
 *   objects.c   making, finding, forgetting                            copies.c   who keeps copies
 *   failback.c  takeover.c  move.c  drain.c  job.c  fence.c  operate.c (pool start/stop/remove, pause, resume)
 *   request.h says the rest: request.c (the table), view_*.c, apply*.c, explain.c, doctor*.c, identity.c,
 *   timing.c
 *
 * Rules for all of them
 *   - Rows are changed in place and then touched (core_node_touch, core_pool_touch, ...): the row is saved once,
 *     at the end of the step, before any message of this step is sent.
 *   - Memory: helpers that cannot allocate set core->no_memory and go on; ph_core_step() then gives up with
 *     -ENOMEM and no effects. So nothing here checks for memory but the helpers (and code that dereferences
 *     what it just allocated: return quietly when it is NULL).
 *   - A handler of a request answers exactly once: core_answer*, core_problem, or keeps in->request for later
 *     (nothing does so at present).
 */
#ifndef PH_MANAGER_CORE_INTERNAL_H
#define PH_MANAGER_CORE_INTERNAL_H

#include "base/assert.h"
#include "manager/core/core.h"
#include "manager/place/place.h"

#define CORE_TEXT 65            /* instance and manager ids with their terminator */
#define CORE_JOBS_KEPT 1000     /* ended jobs kept in memory for job.list and job.show */
#define CORE_ORDER_RETRY_MS 500 /* first repetition of an order nobody acknowledged */
#define CORE_ORDER_RETRY_MS_MAX 5000
#define CORE_JOB_STEPS_MAX 100  /* events of kind job-step by one job and one manager */
#define CORE_RETRY_MS_MAX 60000 /* longest pause between attempts to activate */

struct core_node;
struct core_pool;
struct core_peer;
struct core_job;

/* ---- timer.c ------------------------------------------------------------------------------------------ */
enum core_timer_kind {
    CORE_TIMER_NODE,     /* a node's lease: suspect, lost */
    CORE_TIMER_DECAY,    /* a node's failure count or quarantine */
    CORE_TIMER_ORDER,    /* a peer's order is sent again */
    CORE_TIMER_POOL,     /* a pool is looked at again (retry, failback at a time of day) */
    CORE_TIMER_JOB,      /* a drain's deadline */
    CORE_TIMER_BRAKE,    /* the automatic pause is looked at again */
    CORE_TIMER_FENCE,    /* a fence run goes on, or may begin */
    CORE_TIMER_DIVERGED, /* something set aside expires, or is to be announced */
    CORE_TIMER_LOOK      /* wanting pools are looked at again */
};
struct core_timer {
    uint64_t at_ms, id; /* order of the heap: earlier first, then the one made first */
    size_t slot;        /* place in the heap + 1; 0: not armed */
    enum core_timer_kind kind;
    void *owner;
};
struct core_timers {
    size_t count, room;
    struct core_timer **items;
    uint64_t last_id;
};
void core_timer_init(
    struct ph_core *core, struct core_timer *timer, enum core_timer_kind kind, void *owner);
void core_timer_set(
    struct ph_core *core, struct core_timer *timer, uint64_t at_ms); /* arms or moves */
void core_timer_clear(struct ph_core *core, struct core_timer *timer);
struct core_timer *core_timer_due(
    struct ph_core *core, uint64_t now_ms); /* taken out of the heap, or NULL */

/* What a witness of a silent node answered about the version in force of its voter set. */
struct core_promise {
    char witness[PH_NAME_BYTES_MAX + 1];
    bool promised;    /* it will never vote for that version again */
    uint64_t over_ms; /* from then on nothing runs by its votes */
};
/* Data of a former owner that its node has set aside. */
struct core_diverged {
    struct ph_diverged row;
    uint64_t announced_ms; /* when its end was announced; 0: not */
    bool dropping;         /* its node is told to remove it */
};
#define CORE_VOTERS_UNKNOWN "?" /* in voters.before: nobody knows whom the node may ask */

/* ---- the live picture ---------------------------------------------------------------------------------- */
struct core_node {
    struct ph_node row; /* durable; first, so that the maps serve placement too */
    bool save;
    struct ph_map peers; /* pool name -> struct core_peer *: every pool that concerns this node */
    /* of the agent process that was last welcomed; "": none by this manager */
    char instance[CORE_TEXT];
    bool present;         /* welcomed by this manager: orders can be sent */
    bool heard;           /* by this manager */
    uint64_t heard_ms;    /* last message of the instance */
    int64_t heard_number; /* highest number of a beat or hello of the instance */
    uint64_t beat_ms;     /* last beat that was granted; our start for a node we grant unheard */
    bool granted;         /* a grant may be out: granted_ms counts (our own start is one) */
    uint64_t granted_ms;  /* when the last grant was SENT */
    uint64_t silent_ms;   /* when it became suspect */
    uint64_t dead_ms;     /* from then on nothing granted under the present generation can live */
    uint64_t settled_ms;  /* from then on nothing granted under earlier generations can live */
    /* longest takeover time the node may have been told under this generation */
    uint64_t takeover_ms;
    uint64_t hello_ms; /* newest hello that was welcomed */
    struct core_timer lease, decay;
    struct core_job *drain;       /* unfinished drain or retire of this node */
    struct core_job *fence;       /* unfinished fence job */
    struct core_fencing *fencing; /* its fence devices; NULL: it never had any (fencing.h) */
    size_t takeovers;             /* activations of take-overs under way here */
    uint64_t refused_ms;          /* last event about a duplicate identity: at most one per lease */
    bool held_said;               /* that its pools are not taken over by time alone */
    /* diverged.c: as the node said last; in order of name */
    struct core_diverged *diverged;
    size_t diverged_count;
    bool diverged_heard; /* by this manager */
    struct core_timer diverged_timer;
    bool stray_said; /* the event about data of unknown pools was written for this instance */

    /* voters.c, promise.c */
    bool confirmed;    /* has beaten to us under the generation in force: earlier ones are over */
    uint64_t taken_ms; /* when it became lost or fenced; our start for what was so before */
    struct ph_voter_set voters;    /* durable once its version is not 0 */
    bool eligible;                 /* as a witness of others; counted in core->eligible_count */
    bool voters_due, voters_short; /* to be looked at; has fewer witnesses than could be wished */
    uint64_t eligible_seen;        /* core->eligible_changes when it was last looked at */
    struct ph_map served;          /* name -> struct core_node *: whose witness it is */
    int64_t list_check;            /* of the voter.list it shall have; 0: to be made anew */
    int64_t list_taken;            /* of the one it has confirmed to us */
    uint64_t list_sent_ms;
    struct core_promise promises[2 * PH_WITNESSES_MAX + 1];
    size_t promise_count;
    bool promises_asked; /* for the version in force */
    uint64_t promise_ask_ms;
    bool unproven_said;
    char via[PH_NAME_BYTES_MAX + 1]; /* the witness that hears it while we do not; "" */
    uint64_t via_ms;
};

/* One pool on one node. Exists while it has a replica row, is the pool's node, home or a job's target, or the
 * node reported a trace. */
struct core_peer {
    struct core_node *node;
    struct core_pool *pool;
    struct ph_replica row; /* pool and node always set; durable when stored */
    bool stored, save;     /* the row is in the inventory; it has to be saved */
    bool chosen;           /* holder: the node shall keep a copy */

    struct ph_report report; /* newest one of this instance of the agent */
    bool reported;
    int64_t copy_number; /* newest copy.report of the owner about this peer */
    int64_t progress;    /* of the copy under way, 0..100 */
    int64_t urgent;      /* asked of the owner: a copy that begins now */
    int64_t urgent_done; /* answered by a complete copy */
    int64_t verify;      /* likewise: a copy that compares all (verify.c) */
    int64_t verify_done;
    int64_t verify_failures;   /* of this one, in a row */
    uint64_t verify_retry_ms;  /* by schedule: not before */
    int64_t spoilt_found;      /* by a try of it that could not make it good */
    int64_t sent_bytes, kib_s; /* of the copy under way, as the owner said last */
    /* row.as_of by the clock that nobody sets: valid while copied_as_of is row.as_of, that is for copies
     * that this process was told of. */
    uint64_t copied_ms;
    int64_t copied_as_of;

    bool ordered; /* an order is wanted; the fields below describe it */
    int64_t order_number;
    enum ph_order_kind order_kind;
    int64_t order_epoch, order_generation, order_revision;
    bool order_create, order_run;
    char *order_peers;       /* its copies or sources as text, to see a change */
    bool order_sent;         /* at least once to this instance */
    uint64_t order_pause_ms; /* present pause between repetitions */
    struct core_timer resend;
    bool held; /* a move under way will bring the pool here */

    int64_t counted_cpu, counted_memory_mib, counted_disk_mib, counted_pools, counted_copies;
    /* what picture.c added */
};

struct core_vm {
    struct ph_vm row;
    bool save;
};

struct core_pool {
    struct ph_pool row; /* durable; first */
    bool save, dirty;
    bool wanting;        /* something of the cluster; core->wanting has it ... */
    bool wanting_listed; /* ... and those that wanted something since it was last sorted */
    bool holders_due;    /* who keeps copies has to be decided again */
    bool copies_short;   /* fewer holders than wanted */
    size_t vm_count;
    struct core_vm *vms;  /* in order of position */
    struct ph_map peers;  /* node name -> struct core_peer * */
    struct core_job *job; /* the unfinished job at work on it, or NULL: at most one */
    size_t operation_count;
    struct core_job **operations; /* besides, unfinished ones on its VMs, ascending by id */
    int64_t attempts;             /* failed activations on the present node */
    struct ph_texts failed_on;    /* candidates that were given up */
    uint64_t retry_at_ms;         /* not before; 0: at once */
    bool data_loss_accepted;      /* pool start --accept-data-loss, until it is active */
    uint64_t down_ms; /* when it left active (manager's clock); 0: unknown or it is active */
    /* its node failed to activate it and has to release it before another gets it */
    bool release_wanted;
    int64_t failbacks;    /* in a row that failed */
    uint64_t failback_ms; /* not before */
    struct core_timer timer;
    /* verify.c */
    struct core_job
        *verify; /* the unfinished job that compares its copies, beside `job`; or NULL */
    struct core_timer care;
    bool behind; /* said that the freshest copy is older than max_data_loss_s */
    bool settings_read;
    int64_t settings_revision, verify_interval_s;
    bool orders_due;
    /* its node reported this epoch as failed, and the agent has not restarted since */
    int64_t failed_epoch;
    uint64_t lost_ms; /* when a lost node's pool came free; 0: it was not lost */
};

struct core_touched {
    int kind;
    void *owner; /* NULL: forgotten since */
};

struct core_job {
    struct ph_job row; /* durable; first */
    bool save;
    uint64_t down_ms;      /* take-over and move: when the pool left active; 0: unknown */
    int64_t urgent;        /* move: the urgent copy waited for */
    int64_t attempts;      /* move of a drain: times it had to be planned again */
    uint64_t retry_ms;     /* move: not before */
    bool slot;             /* take-over: counted in its target's takeovers */
    int64_t copy_failures; /* move, while stopping: times the last copy failed */
    size_t steps_told;     /* events of kind job-step */
    struct core_timer timer;
    size_t child_count, child_room, child_ended, child_running, child_next; /* of a drain */
    struct core_job **children; /* ascending by id, which is their priority */
    bool children_told;         /* of a drain that is being cancelled */
    bool dirty;                 /* of a drain: look again in this step */
    bool forget;                /* private to core_jobs_trim */
};

struct ph_core {
    struct ph_core_config config;
    uint64_t takeover_ms; /* of config.timing */
    int64_t term;
    char manager_id[CORE_TEXT];
    char cluster_id[CORE_TEXT];
    uint64_t now_ms, started_ms;
    int64_t wall_ms;
    bool ready, no_memory;

    struct ph_map nodes;        /* name -> struct core_node * */
    struct ph_map pools;        /* name -> struct core_pool *, also a const struct ph_pool * */
    struct ph_map identities;   /* name -> struct ph_identity * (identity.c) */
    struct ph_map keys;         /* public key -> the same struct ph_identity * (identity.c) */
    struct ph_map metas;        /* key -> struct ph_meta * */
    struct ph_map relations;    /* for place.h: pool -> who names it */
    struct ph_map targets;      /* for place.h: pool -> node a move will put it on */
    size_t job_count, job_room; /* ascending by id; ended ones are kept for a while */
    struct core_job **jobs;
    size_t job_ended; /* how many of them have ended */

    int64_t last_event_id, last_job_id, last_order_number;
    int64_t fence_number; /* of the last call of a fence agent */
    struct core_timers timers;
    struct ph_place_node *picture; /* picture[i] is nodes.items[i] */
    size_t picture_room;
    struct ph_place_cluster cluster; /* for place.h: kept up to date */

    size_t dirty_count, dirty_room, order_count, order_room;
    struct core_pool **dirty; /* to be settled in this step */
    size_t batch_count;
    struct core_pool **batch;   /* being settled */
    struct core_pool **orders;  /* whose orders are to be computed at the end of it */
    struct ph_effects *effects; /* of the step under way: grants and removals and saves */
    struct ph_effects later;    /* sends and answers: after the saves */
    size_t touched_count, touched_room;
    struct core_touched *touched; /* rows to save (private to effects.c) */

    /* brakes.c */
    bool paused;       /* by an operator (meta "paused") */
    bool braked;       /* by the silent share */
    bool brake_lifted; /* by an operator, until nobody is silent any more */
    char brake_reason[PH_TEXT_BYTES_MAX + 1];
    size_t online_count, suspect_count;
    size_t late_count;            /* nodes late at ... */
    uint64_t late_ms;             /* ... this time (private to brakes.c) */
    size_t lost_count, lost_room; /* when nodes lost lately fell silent, ascending */
    uint64_t *lost_ms;
    struct core_timer brake;
    bool outdated; /* somebody has seen a higher term: we stopped granting (rule 5) */
    int64_t seen_term;

    /* schedule.c: pools that want something of the cluster (a place, more copies, to go back) */
    size_t wanting_count, wanting_room, wanting_next; /* a pass is under way while next < count */
    struct core_pool **wanting;
    bool attention; /* something changed that may help them */
    struct core_timer look;
    size_t work;              /* nodes that placement looked at in this step: bounds it */
    struct core_job **drains; /* unfinished drains and retires, ascending by id */
    size_t drain_count, drain_room;
    uint64_t told_takeover_ms; /* meta "takeover_ms": the longest any node may still live by */
    int64_t urgent;            /* last number given to a peer's urgent */
    int64_t epoch_floor;   /* meta "epoch_floor": epochs of forgotten pools are not used again */
    size_t eligible_count; /* nodes that can be witnesses */
    uint64_t eligible_changes; /* times that one became so or ceased to be */
    size_t voters_due_count, voters_due_room;
    struct core_node **voters_due; /* whose sets are to be looked at; NULL: forgotten since */
};

/* ---- look-ups (NULL when absent) -------------------------------------------------------------------------- */
struct core_node *core_find_node(const struct ph_core *core, const char *name);
struct core_pool *core_find_pool(const struct ph_core *core, const char *name);
struct core_job *core_find_job(const struct ph_core *core, int64_t id);
struct core_peer *core_find_peer(const struct core_pool *pool, const char *node);
const struct ph_identity *core_find_identity(const struct ph_core *core, const char *name);
bool core_job_ended(const struct core_job *job);

/* ---- effects.c ------------------------------------------------------------------------------------------- */
/* A changed row is saved at the end of the step. core_pool_touch also marks the pool dirty: everything that
 * follows from its row (placement, orders, copies) is looked at again in this step. */
void core_node_touch(struct ph_core *core, struct core_node *node);
void core_pool_touch(struct ph_core *core, struct core_pool *pool);
void core_pool_dirty(
    struct ph_core *core, struct core_pool *pool); /* look again; the row did not change */
void core_peer_touch(struct ph_core *core, struct core_peer *peer);
void core_vm_touch(struct ph_core *core, struct core_vm *vm);
void core_job_touch(struct ph_core *core, struct core_job *job);
void core_meta_set(struct ph_core *core, const char *key, const char *value);
void core_meta_forget(struct ph_core *core, const char *key);
void core_untouch(struct ph_core *core, void *owner);                   /* before it is freed */
const char *core_meta_get(const struct ph_core *core, const char *key); /* "" when absent */

/* At once: the value is copied. For identities and events and removals; rows above go through touch. */
void core_save(struct ph_core *core, const struct ph_record *record, const void *row);
void core_remove(struct ph_core *core, const struct ph_record *record, const void *row);

/* After the saves. `body` is copied. */
void core_send(struct ph_core *core, const char *node, enum ph_message_type type, const void *body);
void core_grant(struct ph_core *core, const char *node, enum ph_message_type type,
    const void *body); /* at once */
void core_answer(struct ph_core *core, const struct ph_event_in *in, enum ph_message_type type,
    const void *body);
/* As core_answer for big bodies: takes what the body owns and leaves it empty. */
void core_answer_take(
    struct ph_core *core, const struct ph_event_in *in, enum ph_message_type type, void *body);
void core_answer_done(struct ph_core *core, const struct ph_event_in *in, int64_t job,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
/* Answers "problem"; returns 0, so that a handler may `return core_problem(...)`. */
int core_problem(struct ph_core *core, const struct ph_event_in *in, enum ph_code code,
    const char *field, const char *format, ...) __attribute__((format(printf, 5, 6)));
void core_send_take(struct ph_core *core, const char *node, enum ph_message_type type, void *body);
/* One call of a fence agent by the manager itself, after the saves. */
void core_fence(struct ph_core *core, const char *node, const struct ph_fence_run *run);

/* An event row. NULL for what does not apply. `about` may be zeroed. */
struct core_about {
    const struct core_node *node;
    const struct core_pool *pool;
    const struct core_job *job;
    const char *who;
    int64_t job_id; /* when job is NULL */
};
void core_event(struct ph_core *core, enum ph_event_level level, const char *kind,
    const struct core_about *about, const char *format, ...) __attribute__((format(printf, 5, 6)));
/* The event of kind "command" every changing request leaves. */
void core_command(struct ph_core *core, const struct ph_event_in *in,
    const struct core_about *about, const char *format, ...) __attribute__((format(printf, 4, 5)));

void core_flush(struct ph_core *core);
/* Texts: format into an owned member. */
void core_set_text(struct ph_core *core, char **member, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_set_text_long(struct ph_core *core, char **member, const char *text); /* of any length */

/* ---- objects.c, picture.c: the parts that only these files and the state machines use ---- */
struct core_node *core_node_make(struct ph_core *core, const char *name); /* without touching */
struct core_pool *core_pool_make(struct ph_core *core, const char *name);
void core_node_free(struct ph_core *core, struct core_node *node);
void core_pool_free(struct ph_core *core, struct core_pool *pool);
void core_peer_unstore(struct ph_core *core, struct core_peer *peer);
void core_peer_forget(struct ph_core *core, struct core_peer *peer);
void core_picture_cluster(struct ph_core *core); /* hands the picture to place.h */
bool core_picture_insert(struct ph_core *core, struct core_node *node);
void core_picture_remove(struct ph_core *core, struct core_node *node);
void core_picture_available(struct ph_core *core, const struct core_node *node, bool available);
void core_unaccount(struct ph_core *core, struct core_peer *peer);
bool core_node_available(const struct core_node *node); /* online and active: may get new pools */
bool core_copy_usable(const struct core_peer *peer);
/* The node with the newest data says that it has none: its disk was lost, or is not mounted. */
bool core_home_empty(const struct core_pool *pool);
/* How old a copy is; -1: unknown. core_copy_aged() notes that it is so old now. */
int64_t core_copy_age_ms(const struct ph_core *core, const struct core_peer *peer);
void core_copy_aged(const struct ph_core *core, struct core_peer *peer, int64_t age_ms);

/* ---- node.c ---- */
void core_node_hello(struct ph_core *core, const struct ph_event_in *in);
void core_node_beat(struct ph_core *core, const struct ph_event_in *in);
void core_node_leaving(struct ph_core *core, const struct ph_event_in *in);
void core_node_welcome(struct ph_core *core, struct core_node *node);
void core_node_say_hello(struct ph_core *core, const struct core_node *node);
void core_node_pools_dirty(struct ph_core *core, struct core_node *node);
void core_node_reports_clear(struct ph_core *core, struct core_node *node);
/* Its active pools may be down since its last beat: that is where the time without them begins. */
void core_node_pools_down(struct core_node *node);
/* Timing that nodes were told: counted by until they go by another. */
void core_told(struct ph_core *core);
void core_told_due(struct ph_core *core);
/* last_resort.c: by its watchdog, and whether time alone may free its pools: NULL, or why not */
uint64_t core_node_wait_ms(const struct ph_core *core, const struct core_node *node);
uint64_t core_node_told_wait_ms(const struct ph_core *core, const struct core_node *node);
const char *core_node_held(const struct ph_core *core, const struct core_node *node);
void core_node_held_say(struct ph_core *core, struct core_node *node); /* once */
void core_node_stuck_look(struct ph_core *core, struct core_node *node);
void core_node_stuck_set(struct ph_core *core, struct core_node *node, bool stuck);
/* ---- silence.c ---- */
void core_node_lease_due(struct ph_core *core, struct core_node *node);
/* THE rule for taking a node's pools without its word or a fence: PH_PROOF_NONE or PH_PROOF_EXPIRED. */
enum ph_proof core_node_may_be_taken_over(const struct ph_core *core, const struct core_node *node);
/* The node is lost or fenced: no more grants, its pools are free. */
void core_node_taken(
    struct ph_core *core, struct core_node *node, enum ph_proof proof, const char *why);
/* Whether what the node released under an earlier generation may go to other nodes. */
bool core_node_settled(const struct ph_core *core, const struct core_node *node);

/* ---- voters.c ---- */
int core_voters_load(struct ph_core *core, const struct ph_voter_set *row, struct ph_error *error);
void core_voters_ready(struct ph_core *core);
void core_voters_tell(
    struct ph_core *core, struct core_node *node); /* at each beat: if it is due */
void core_voters_hello(struct ph_core *core, struct core_node *node, int64_t version);
void core_voters_ok(struct ph_core *core, const struct ph_event_in *in);
void core_voters_changed(struct ph_core *core, struct core_node *node); /* came, went, moved */
void core_voters_due(struct ph_core *core, struct core_node *node);
void core_voters_settle(struct ph_core *core);
void core_voters_renew(
    struct ph_core *core, struct core_node *node); /* the same in a new version */
void core_voters_forget(struct ph_core *core, struct core_node *node);
/* How many of its witnesses may fail besides the manager; -1: not even the manager. */
int64_t core_voters_survive(const struct core_node *node);

/* ---- promise.c ---- */
void core_promise(struct ph_core *core, const struct ph_event_in *in);
void core_relay(struct ph_core *core, const struct ph_event_in *in);
/* Asks those who have not promised; when to do so again, UINT64_MAX: no need. */
uint64_t core_promises_ask(struct ph_core *core, struct core_node *node);
/* From when on nothing runs by any vote; 0: it has no witnesses; UINT64_MAX: they have not promised. */
uint64_t core_promised_ms(const struct ph_core *core, const struct core_node *node);
void core_promises_void(struct ph_core *core, struct core_node *node);
void core_promises_doubt(struct ph_core *core, const struct core_node *witness);
/* The witness through which a silent node can be reached, or NULL. */
const char *core_node_via(const struct ph_core *core, const struct core_node *node);

/* ---- brakes.c ---- */
const char *core_pause_reason(const struct ph_core *core); /* NULL: automatic take-over may go on */
/* Whether an operator's pause keeps this pool from being placed, retried or copied elsewhere by itself:
 * not when an operator asked for just this (start, move, drain, a fence run or word about its node). */
bool core_pause_holds(const struct ph_core *core, const struct core_pool *pool);
void core_brake_check(struct ph_core *core); /* after a node's state changed: may let go */
bool core_brake_holds(
    struct ph_core *core, const struct core_node *node); /* before a node becomes lost */
/* The same before anything is switched off: nodes that are late, though not silent yet, count as well. */
bool core_brake_holds_fence(struct ph_core *core, const struct core_node *node);
void core_brake_lost(struct ph_core *core, uint64_t silent_ms);
void core_brake_release(struct ph_core *core);
void core_outdated(struct ph_core *core, const struct core_node *node, int64_t term);
void core_node_failure(struct ph_core *core, struct core_node *node);
void core_node_decay_arm(struct ph_core *core, struct core_node *node);
void core_node_decay_due(struct ph_core *core, struct core_node *node);

/* ---- operations.c ---- */
void core_operation_link(struct ph_core *core, struct core_pool *pool, struct core_job *job);
void core_operation_unlink(
    struct ph_core *core, struct core_pool *pool, const struct core_job *job);
bool core_operation_linked(const struct core_pool *pool, const struct core_job *job);
void core_operations_settle(struct ph_core *core, struct core_pool *pool);
void core_operations_restored(struct ph_core *core); /* the inventory is a restored backup */
/* Those that the pool's node shall do: into its order; as text, to see a change; and what it says of them. */
void core_operations_add(
    struct ph_core *core, struct ph_order *order, const struct core_pool *pool);
size_t core_operations_text(const struct core_pool *pool, char *text, size_t size);
void core_operations_take(
    struct ph_core *core, struct core_pool *pool, const struct ph_report *report);

/* ---- report.c ---- */
void core_report(struct ph_core *core, const struct ph_event_in *in);
void core_report_take(struct ph_core *core, struct core_node *node, const struct ph_report *report);
void core_copy_report(struct ph_core *core, const struct ph_event_in *in);

/* ---- order.c ---- */
void core_orders(struct ph_core *core, struct core_pool *pool);
void core_order_due(struct ph_core *core, struct core_peer *peer);
bool core_order_echoed(const struct ph_core *core, const struct core_peer *peer);
/* The node took in the order to deactivate, and nothing of the pool runs or is mounted there. */
bool core_released(const struct ph_core *core, const struct core_pool *pool);

/* ---- assign.c, schedule.c, settle.c ---- */
bool core_confirmed(const struct core_pool *pool); /* was active under its present epoch */
bool core_deactivation_wanted(const struct core_pool *pool);
/* Whether a copy holds exactly what its pool's home has (home: the peer there, or NULL). */
bool core_equal_to_home(const struct core_peer *peer, const struct core_peer *home);
void core_assign(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, const char *why);
/* Takes the pool off its node, which needs a proof. data_here: the newest data is there. */
void core_unassign(struct ph_core *core, struct core_pool *pool, enum ph_proof proof,
    bool data_here, const char *why);
void core_schedule(struct ph_core *core, struct core_pool *pool);
void core_activation_failed(struct ph_core *core, struct core_pool *pool, const char *reason);
void core_pool_active(struct ph_core *core, struct core_pool *pool); /* its node said so */
void core_pool_settle(struct ph_core *core, struct core_pool *pool);
void core_pool_due(struct ph_core *core, struct core_pool *pool);
void core_attend(struct ph_core *core);
void core_want(struct ph_core *core, struct core_pool *pool);
void core_settle(struct ph_core *core); /* settle.c, with attend, want, due */
void core_pool_unlist(struct ph_core *core, const struct core_pool *pool);
void core_holders(struct ph_core *core, struct core_pool *pool); /* copies.c */
int64_t core_next_urgent(struct ph_core *core);
void core_failback(struct ph_core *core, struct core_pool *pool); /* failback.c */

/* ---- verify.c ---- */
/* Says when copies fall behind, asks for verifications that are due, takes a job of that kind on. */
void core_copies_watch(struct ph_core *core, struct core_pool *pool);
void core_copy_verified(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report);
void core_copy_unverified(
    struct ph_core *core, struct core_peer *peer, const struct ph_copy_report *report);
int64_t core_pool_lag_ms(
    const struct ph_core *core, const struct core_pool *pool); /* -1: no copy */
void core_verify_stop(struct core_pool *pool);                 /* nothing more is compared now */
/* The copy whose error stands, or NULL. */
const struct core_peer *core_pool_copy_error(const struct core_pool *pool);

/* ---- diverged.c ---- */
void core_diverged_said(struct ph_core *core, const struct ph_event_in *in);
void core_diverged_due(struct ph_core *core, struct core_node *node);
void core_diverged_free(struct ph_core *core, struct core_node *node);
/* Those of one pool, or (NULL) of all. */
void core_view_diverged(struct ph_core *core, const char *pool, struct ph_diverged_view_list *list);

/* ---- job.c ---- */
struct core_job *core_job_new(struct ph_core *core, enum ph_job_kind kind, struct core_pool *pool,
    struct core_node *node, const char *who);
int core_job_load(struct ph_core *core, const struct ph_job *row, struct ph_error *error);
void core_job_end(struct ph_core *core, struct core_job *job, enum ph_job_state state,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
void core_job_wait(struct ph_core *core, struct core_job *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* As core_job_wait, and its story tells when: for steps that a node reports and for what is waited for. */
void core_job_step(struct ph_core *core, struct core_job *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_job_reason(struct ph_core *core, struct core_job *job, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void core_job_progress(struct ph_core *core, struct core_job *job, int64_t progress);
void core_job_target(struct ph_core *core, struct core_job *job, const char *target); /* "": none */
void core_jobs_trim(struct ph_core *core);
void core_jobs_fini(struct ph_core *core);
void core_job_due(struct ph_core *core, struct core_job *job);
const char *core_job_kind_word(const struct core_job *job);

/* ---- takeover.c move.c drain.c fence.c operate.c ---- */
void core_takeover_pool(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, enum ph_proof proof);
/* The same for a pool that nobody has, whose newest data is on the node that is gone. */
void core_takeover_home(
    struct ph_core *core, struct core_pool *pool, struct core_node *node, enum ph_proof proof);
void core_takeover_step(struct ph_core *core, struct core_job *job, struct core_pool *pool);
void core_takeover_assigned(struct ph_core *core, struct core_pool *pool, int64_t loss_ms);
/* The same for a pool that is assigned without a take-over: an operator starts it. */
void core_takeover_loss(struct ph_core *core, struct core_pool *pool, int64_t loss_ms);
void core_move_step(struct ph_core *core, struct core_job *job);
void core_move_activation_failed(struct ph_core *core, struct core_job *job, const char *reason);
struct core_job *core_move_begin(struct ph_core *core, struct core_pool *pool, const char *target,
    struct core_job *parent, const char *who);
/* Placement among all nodes, or (data_needed) among those in question->copies: O(copies) then. */
long core_choose(struct ph_core *core, const struct ph_place_question *question, char *reason,
    size_t reason_size);
long core_move_choose(struct ph_core *core, struct core_pool *pool, const char *only, char *reason,
    size_t reason_size);
struct core_job *core_drain_begin(struct ph_core *core, struct core_node *node,
    enum ph_job_kind kind, int64_t max_parallel, int64_t deadline_s, const char *who,
    const struct ph_planned_move_list *plan);
void core_drain_step(struct ph_core *core, struct core_job *drain);
void core_drain_dirty(struct ph_core *core, struct core_job *drain);
void core_drain_again(
    struct ph_core *core, struct core_job *drain); /* its queued moves are tried */
void core_drain_child(struct ph_core *core, struct core_job *drain, struct core_job *child);
void core_drain_adopt(
    struct ph_core *core, struct core_pool *pool); /* a pool on a draining node without a job */
/* ---- fence*.c: see fencing.h ---- */
/* ---- settings.c ---- */
/* The driver keeps no copies: every node that may have the pool reaches the same data. */
bool core_data_is_shared(const struct ph_pool *row);
/* ... and nobody said that time alone may prove that the former owner writes no more. */
bool core_needs_fencing(const struct ph_pool *row);

int core_device_load(
    struct ph_core *core, const struct ph_fence_device *row, struct ph_error *error);
void core_fence_ready(struct ph_core *core, struct core_node *node);
void core_fence_resume(struct ph_core *core, struct core_job *job);
/* A call has ended that `from` (a node, or "manager") made. */
void core_fence_ran(struct ph_core *core, const char *from, const struct ph_fence_ran *ran);
void core_fence_due(struct ph_core *core, struct core_node *node);
void core_fence_follow(struct ph_core *core, struct core_node *node); /* its state has changed */
void core_fence_abort(struct ph_core *core, struct core_node *node, const char *why);
int core_fence_cancel(struct ph_core *core, const struct ph_event_in *in, struct core_job *job);
size_t core_fence_test(struct ph_core *core, struct core_node *node); /* how many were asked */
void core_fencing_free(struct ph_core *core, struct core_node *node);
void core_fencing_forget(struct ph_core *core, struct core_node *node); /* also the rows */
void core_operate_step(
    struct ph_core *core, struct core_job *job); /* start, stop, remove: may forget the pool */
bool core_removing(const struct core_pool *pool);
bool core_destroying(const struct ph_core *core, const struct core_pool *pool);
const char *core_node_state_word(const struct core_node *node);

/* ---- state.c: with reason (a sentence); asserts the transition is in the table; writes the event ---------- */
void core_node_state(struct ph_core *core, struct core_node *node, enum ph_node_state state,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
void core_node_admin(struct ph_core *core, struct core_node *node, enum ph_node_admin admin,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
void core_pool_state(struct ph_core *core, struct core_pool *pool, enum ph_pool_state state,
    const char *format, ...) __attribute__((format(printf, 4, 5)));
void core_pool_reason(struct ph_core *core, struct core_pool *pool, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void core_node_count(struct ph_core *core, const struct core_node *node, bool more);
void core_job_phase(struct ph_core *core, struct core_job *job, enum ph_job_phase phase);
void core_job_set_state(struct ph_core *core, struct core_job *job, enum ph_job_state state);

/* ---- making and forgetting -------------------------------------------------------------------------------- */
/* A new row with this name (NULL only without memory); state joining/unassigned; touched. For JOIN and apply. */
struct core_node *core_node_new(struct ph_core *core, const char *name);
struct core_pool *core_pool_new(struct ph_core *core, const char *name);
void core_node_forget(struct ph_core *core, struct core_node *node); /* also its row and replicas */
void core_pool_forget(
    struct ph_core *core, struct core_pool *pool); /* also its rows, vms, replicas */
/* The pool's VMs become exactly rows[0..count) (in order; position is set from it); observed fields of those
 * that stay are kept; gone ones are removed from the inventory. For apply. Bump row.revision yourself. */
void core_pool_set_vms(
    struct ph_core *core, struct core_pool *pool, const struct ph_vm *rows, size_t count);
struct core_peer *core_peer_make(
    struct ph_core *core, struct core_pool *pool, struct core_node *node);

/* ---- picture.c -------------------------------------------------------------------------------------------- */
void core_account(
    struct ph_core *core, struct core_pool *pool); /* sums again after any change of a pool */
void core_picture_node(
    struct ph_core *core, struct core_node *node); /* after any change of a node's state */
const struct ph_place_node *core_place_node(
    const struct ph_core *core, const struct core_node *node);
/* Usable data of a pool elsewhere, for place.h: at most `room` entries; names borrowed. Also for explain. */
size_t core_pool_copies(const struct ph_core *core, const struct core_pool *pool,
    struct ph_place_copy *out, size_t room);

/* ---- for views ---------------------------------------------------------------------------------------------- */
uint64_t core_lease_left_ms(const struct ph_core *core, const struct core_node *node);
int64_t core_last_seen_ms(
    const struct ph_core *core, const struct core_node *node); /* -1: not heard */

/* ---- one entry per message type. An operator's request (or an agent's message), the event it came with.
 * 0 or -ENOMEM. The table is in request.c: ph_request_handle() finds the entry; core_step calls it. ----------- */
typedef int core_handler(struct ph_core *core, const struct ph_event_in *in);
int ph_request_handle(
    struct ph_core *core, const struct ph_event_in *in); /* request.c: PH_EV_REQUEST */
/* request.h's files */
core_handler ph_request_status, ph_request_node_list, ph_request_node_show, ph_request_invite,
    ph_request_join, ph_request_apply, ph_request_pool_list, ph_request_pool_show,
    ph_request_pool_explain, ph_request_vm_list, ph_request_vm_show, ph_request_vm_start,
    ph_request_vm_stop, ph_request_vm_operate, ph_request_job_list, ph_request_job_show,
    ph_request_events, ph_request_story, ph_request_doctor, ph_request_query,
    ph_request_identity_list, ph_request_identity_revoke;
/* move.c, drain.c, fence.c, operate.c */
core_handler ph_request_fence_on, ph_request_fence_test, ph_request_fence_apply,
    ph_request_fence_list;
core_handler ph_request_drain, ph_request_resume, ph_request_fence, ph_request_retire,
    ph_request_pool_move, ph_request_pool_start, ph_request_pool_stop, ph_request_pool_remove,
    ph_request_job_cancel, ph_request_pause, ph_request_unpause, ph_request_pool_verify,
    ph_request_diverged_show, ph_request_diverged_remove;

/* identity.c: called by retire; by ph_core_load for each identity row; by destroy. */
void core_identity_revoke(struct ph_core *core, const char *name);
int core_identity_load(struct ph_core *core, const struct ph_identity *row, struct ph_error *error);
void core_identities_fini(struct ph_core *core);

/* Whether core_remove_begin() would refuse; false fills *error. Changes nothing. */
bool core_may_remove(const struct core_pool *pool, struct ph_error *error);
/* operate.c: what apply --prune and pool.remove share. Starts a job of kind remove; NULL with *error when the
 * state forbids it. `in` names who asked. */
struct core_job *core_remove_begin(struct ph_core *core, const struct ph_event_in *in,
    struct core_pool *pool, bool destroy_data, struct ph_error *error);

#endif
