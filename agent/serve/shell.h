/*
 * Private to agent/serve: the parts of the shell and what they share. One loop thread owns struct
 * ph_shell; worker threads see their own struct ph_running and the mailbox, nothing else.
 */
#ifndef PH_AGENT_SERVE_SHELL_H
#define PH_AGENT_SERVE_SHELL_H

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include "agent/core/core.h"
#include "agent/guard/guard.h"
#include "agent/pools/driver.h"
#include "agent/serve/settings.h"
#include "agent/stream/stream.h"
#include "agent/work/driver.h"
#include "agent/work/watch.h"
#include "base/map.h"
#include "db/store.h"
#include "proto/wire/wire.h"

/* ---- mailbox.c: what other threads tell the loop ---- */

enum ph_note_kind {
    PH_NOTE_COMMITTED,
    PH_NOTE_TASK_DONE,
    PH_NOTE_COPY_RECEIVED,
    PH_NOTE_FENCED,
    PH_NOTE_VM_SEEN,
    PH_NOTE_PEER,
    PH_NOTE_DIVERGED, /* a removal has ended */
    PH_NOTE_PROBED    /* ph_facts_look() has something to see */
};

struct ph_running;
struct ph_fence_here;

struct ph_note {
    struct ph_note *next;
    enum ph_note_kind kind;
    uint64_t batch; /* COMMITTED */
    enum ph_store_result result;
    struct ph_running *running;       /* TASK_DONE */
    struct ph_fence_here *fenced;     /* FENCED */
    struct ph_vm_report *seen;        /* VM_SEEN; owned by the note */
    int64_t pid;                      /* VM_SEEN */
    char pool[PH_NAME_BYTES_MAX + 1]; /* COPY_RECEIVED, VM_SEEN */
    int64_t epoch, sequence;
    char message[256];
    char node[PH_NAME_BYTES_MAX + 1]; /* PEER: who says text */
    char *text;
    size_t bytes;
};

struct ph_mailbox {
    pthread_mutex_t lock;
    struct ph_note *first, **last;
    int wake_fds[2]; /* [0] becomes readable */
};

int ph_mailbox_init(struct ph_mailbox *mailbox);
void ph_mailbox_fini(struct ph_mailbox *mailbox);
/* A zeroed note to be filled and put. Ends the process when memory is out: a lost note would leave
 * the core waiting for ever, and a restarted agent adopts everything. */
struct ph_note *ph_note_new(enum ph_note_kind kind);
void ph_mailbox_put(struct ph_mailbox *mailbox, struct ph_note *note);
/* all of them as a list; freed by caller */
struct ph_note *ph_mailbox_take(struct ph_mailbox *mailbox);

/* ---- places.c: pools as the shell knows them ---- */

struct ph_place_here {
    char pool[PH_NAME_BYTES_MAX + 1];
    char path[PATH_MAX];   /* where its data is active; "" when it is not */
    char cgroup[PATH_MAX]; /* "" when the machine allows none */
};

/* ---- vms.c: workloads that run ---- */

struct ph_vm_here {
    char key[2 * PH_NAME_BYTES_MAX + 2]; /* "pool/vm" */
    char pool[PH_NAME_BYTES_MAX + 1];
    char vm[PH_NAME_BYTES_MAX + 1];
    struct ph_work_process process;
    bool stopping; /* a task is stopping it and tells its end */
};

/* ---- steps.c and tasks.c: tasks on worker threads ---- */

/* One task. The loop fills the upper part before the thread starts, the thread the lower part. */
struct ph_running {
    struct ph_running *next;
    struct ph_shell *shell; /* only its constant parts: see ph_step_run() */
    struct ph_task *task;   /* owned */
    uint64_t deadline_ms;
    bool overdue; /* -ETIMEDOUT was told to the core, the thread still works */
    atomic_bool cancelled;
    struct ph_work_process process; /* VM_STOP: whom */
    char path[PATH_MAX];            /* of the active data; ACTIVATE fills it */
    char cgroup[PATH_MAX];
    uint64_t progress_told_ms;
    _Atomic int64_t bytes; /* COPY: so far */

    int status;
    struct ph_error error;
    bool started; /* VM_START: process is to be watched */
    bool watched; /* VM_START: by the watcher too */
    char
        *found; /* VM_OPERATE, VM_LOOK: JSON, or NULL; error.message says how it went, either way */
    struct ph_pool_copy copy;
};

/* Carries out running->task on the calling thread. Touches of the shell only what never changes
 * while threads run (directory, identity, guard, streams, cgroup_parent, node name). */
void ph_step_run(struct ph_running *running);

int ph_tasks_start(struct ph_shell *shell, struct ph_task *task); /* takes task */
void ph_tasks_cancel(struct ph_shell *shell, int64_t number);
/* Tells the core of overdue tasks and of the progress of copies. */
void ph_tasks_check(struct ph_shell *shell, uint64_t now_ms);
uint64_t ph_tasks_next_ms(const struct ph_shell *shell);
/* A thread is done: book-keeping, then the event to the core. Takes running. */
void ph_tasks_done(struct ph_shell *shell, struct ph_running *running);

/* ---- facts.c: what the manager is told of this node ---- */

struct ph_probe;
/* Begins to find out which drivers work here, on a thread: their tools may hang. 0 or -errno. */
int ph_facts_probe(struct ph_shell *shell);
/* Fills shell->facts, with the drivers that are known within a moment. 0 or -errno. */
int ph_facts_make(struct ph_shell *shell);
/* Tells the core when drivers or guard have become other than they were. */
void ph_facts_look(struct ph_shell *shell);
/* Tells the guard the manager's stop_ms when that has changed; ask: anyway, to hear of its watchdog. */
void ph_facts_tell_guard(struct ph_shell *shell, bool ask);
void ph_facts_fini(struct ph_shell *shell);

/* ---- fence.c: fence agents for other nodes ---- */
void ph_fence_start(struct ph_shell *shell, const struct ph_fence_run *asked); /* is answered */
void ph_fence_done(struct ph_shell *shell, struct ph_fence_here *here);        /* takes here */

/* ---- diverged.c: data of former owners that newer copies replaced ---- */
/* Tells the manager what is kept here, when there is or was something. */
void ph_diverged_tell(struct ph_shell *shell);
void ph_diverged_start(struct ph_shell *shell, const char *name); /* removes it on a thread */
void ph_diverged_done(struct ph_shell *shell);                    /* a removal has ended */

/* ---- shell ---- */

struct ph_shell {
    const struct ph_agent_options *options;
    char directory[PATH_MAX];
    char cgroup_parent[PATH_MAX];
    char guard_program[PATH_MAX];
    bool spaces; /* each pool in a PID namespace of its own */
    struct ph_agent_config config;
    struct ph_identity_file identity;
    struct ph_store *store;
    struct ph_stream_server *streams;
    struct ph_guard *guard; /* its object lives as long as the shell; reconnects inside */
    struct ph_wire_client *wire;
    struct ph_watcher *watcher;
    struct ph_agent *core;
    struct ph_mailbox mailbox;

    struct ph_agent_effects effects;  /* of the step under way */
    struct ph_agent_effects deferred; /* behind saves; deferred_after[i]: the batch it waits for */
    uint64_t *deferred_after;
    size_t deferred_room;
    uint64_t committed, queued; /* batch numbers */

    struct ph_map places; /* pool -> struct ph_place_here */
    struct ph_map vms;    /* key -> struct ph_vm_here */
    struct ph_map links;  /* node -> peers.c's */
    struct ph_running *running;
    size_t running_count;
    size_t fence_count;    /* fence agents under way */
    bool diverged_told;    /* the manager knows of something that was set aside */
    bool diverged_removal; /* one is under way */

    struct ph_hello facts;  /* what the core says in hello, but for what is its own */
    struct ph_probe *probe; /* under way, or done and not taken; NULL */
    pthread_t probe_thread;
    uint64_t guard_stop_ms;  /* the guard was told; 0: not */
    uint64_t trim_at_ms;     /* next look at the logs, and at the guard's watchdog */
    atomic_int peer_notes;   /* in the mailbox */
    uint64_t guard_retry_ms; /* 0: connected */
    bool leaving;            /* the node is being drained for --leave */
    bool ending;
    char ending_reason[PH_TEXT_BYTES_MAX];
    int exit_code; /* enum ph_code */
};

/* effects.c */
void ph_shell_step(struct ph_shell *shell, struct ph_agent_event *event); /* fills in the times */
void ph_shell_committed(struct ph_shell *shell, const struct ph_note *note);
void ph_shell_end(struct ph_shell *shell, enum ph_code code, const char *reason);

/* places.c */
/* made when absent */
struct ph_place_here *ph_place_here(struct ph_shell *shell, const char *pool);
void ph_place_forget(struct ph_shell *shell, const char *pool);
/* Marker in the environment of a pool's processes; the same after a restart. */
void ph_place_marker(const struct ph_shell *shell, const char *pool, char *out, size_t size);
void ph_shell_places_fini(struct ph_shell *shell);

/* peers.c */
void ph_peers_set(struct ph_shell *shell, const struct ph_voter_list *peers);
/* 0, -EAGAIN: not connected; -ENOENT: no such peer. */
int ph_peers_send(struct ph_shell *shell, const char *node, const char *text, size_t bytes);
/* Makes links anew that have no connection. */
void ph_peers_check(struct ph_shell *shell, uint64_t now_ms);
uint64_t ph_peers_next_ms(const struct ph_shell *shell);
void ph_peers_fini(struct ph_shell *shell);

/* vms.c */
/* takes the pid_fd; watched: its driver says so */
int ph_vms_add(struct ph_shell *shell, const char *pool, const char *vm,
    const struct ph_work_process *process, bool watched);
struct ph_vm_here *ph_vms_find(struct ph_shell *shell, const char *pool, const char *vm);
void ph_vms_remove(struct ph_shell *shell, struct ph_vm_here *here);
/* The workload whose pid_fd is readable ended: tells the core. */
void ph_vms_ended(struct ph_shell *shell, struct ph_vm_here *here);
/* The watcher saw something of one; takes note->seen. */
void ph_vms_seen(struct ph_shell *shell, struct ph_note *note);
void ph_vms_fini(struct ph_shell *shell);
/* Context of a workload; texts borrow from the buffers. */
struct ph_work_paths {
    char run_directory[PATH_MAX];
    char log_path[PATH_MAX];
    char marker[128];
};
int ph_vms_context(const struct ph_shell *shell, const struct ph_order *order,
    const struct ph_vm *vm, int64_t generation, const char *pool_path, const char *cgroup,
    struct ph_work_paths *paths, struct ph_work_context *context);

/* start.c: everything up to the loop, and its undoing. */
int ph_shell_start(struct ph_shell *shell, struct ph_error *error);
void ph_shell_stop(struct ph_shell *shell);
/* Loads what is stored and on disk into the core, then tells it of the guard and the survivors. */
int ph_shell_load(struct ph_shell *shell, struct ph_error *error);
/* Connects to the guard (starting one) and tells the core; on failure plans another attempt. */
void ph_shell_connect_guard(struct ph_shell *shell);

/* loop.c */
int ph_shell_loop(struct ph_shell *shell, struct ph_error *error);

#endif
