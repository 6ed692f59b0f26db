/*
 * The parts of the running manager. Private to manager/serve; all of it belongs to the loop's thread
 * but for what commits.c and workers.c say.
 */
#ifndef PH_SERVE_MANAGER_H
#define PH_SERVE_MANAGER_H

#include "poolherd/version.h"
#include "db/store.h"
#include "manager/core/core.h"
#include "manager/serve/commits.h"
#include "manager/serve/fencer.h"
#include "manager/serve/house.h"
#include "manager/serve/outbox.h"
#include "manager/serve/pace.h"
#include "manager/serve/quiet.h"
#include "manager/serve/requests.h"
#include "manager/serve/settings.h"
#include "manager/serve/wakeup.h"
#include "manager/serve/workers.h"
#include "proto/message.h"
#include "proto/wire/wire.h"

/* Where a node's last message came from. */
struct serve_peer {
    char node[PH_NAME_BYTES_MAX + 1];
    struct ph_wire_peer peer;
};

struct serve_manager {
    struct ph_serve_options options;
    struct serve_settings settings;
    struct serve_house house;
    char id[64]; /* of this activation; belongs to the term */
    char cluster[64];
    int64_t term;
    int64_t seen_term; /* highest one an agent has told of */

    struct serve_wakeup wakeup;
    struct ph_wire_server *wire;
    struct ph_store *store;
    struct serve_commits commits;
    struct ph_core *core;
    struct ph_effects effects; /* of the step under way */
    struct ph_batch *batch;    /* saves that were not handed over yet; NULL: none */
    uint64_t submitted;        /* number of the last batch handed over */
    uint64_t durable;          /* of the last one known to be on disk */

    struct ph_map peers;      /* node -> struct serve_peer * */
    const char *current_node; /* whose message is being worked on, or NULL */
    const struct ph_wire_peer *current_peer;
    struct serve_requests requests;
    struct serve_outbox outbox;
    struct serve_workers *workers;
    struct serve_fencer *fencer;
    struct serve_result *blocked; /* parts whose asker's queue was full */
    uint64_t pass;                /* number of the present look at them */
    struct serve_quiet quiet_unknown, quiet_malformed, quiet_refused, quiet_unsent;
    struct serve_pace pace;
    uint64_t dropped;      /* by the wire, as last logged */
    uint64_t now_ms;       /* never goes back */
    uint64_t hand_over_ms; /* no tick before, see serve.c */
    uint64_t trim_ms;      /* next step of retention */
    bool failed;           /* out of memory in the core: end and reload */
};

/* boot.c: store, first rows, term, core. 0 or negative errno with *error. */
int serve_boot(struct serve_manager *manager, struct ph_error *error);

/* intake.c */
void serve_intake(struct serve_manager *manager, const struct ph_wire_message *raw);
/* A big request that a worker has decoded. Takes the message. */
void serve_intake_decoded(struct serve_manager *manager, const struct ph_wire_peer *peer,
    struct ph_message *message, int rv, const struct ph_error *error);

/* effects.c */
uint64_t serve_now_ms(struct serve_manager *manager);
/* Carries out what the core left in manager->effects. */
void serve_effects(struct serve_manager *manager);
void serve_step(struct serve_manager *manager, struct ph_event_in *event);
/* Hands the open batch to the writer, unless enough are under way. */
void serve_submit(struct serve_manager *manager);
void serve_peer_remember(
    struct serve_manager *manager, const char *node, const struct ph_wire_peer *peer);

/* send.c. Nothing here waits; what cannot be delivered is dropped. */
void serve_send(struct serve_manager *manager, const struct ph_wire_peer *peer,
    enum ph_message_type type, int64_t id, const void *body);
void serve_send_node(struct serve_manager *manager, const char *node,
    const struct ph_wire_peer *first, enum ph_message_type type, const void *body);
void serve_send_problem(struct serve_manager *manager, const struct ph_wire_peer *peer, int64_t id,
    enum ph_code code, const char *field, const char *format, ...)
    __attribute__((format(printf, 6, 7)));
/* Sends what has become durable, in order. */
void serve_deliver(struct serve_manager *manager);
/* The inventory refused a batch: says no to every request that hung on it. */
void serve_refuse_all(struct serve_manager *manager, const char *reason);
/* What the workers have ready. Returns whether some of it has to be tried again soon. */
bool serve_collect(struct serve_manager *manager);
/* Answers of fence agents that were run here. */
void serve_fenced(struct serve_manager *manager);

/* reload.c */
void serve_reload(struct serve_manager *manager);
void serve_trim(struct serve_manager *manager);

#endif
