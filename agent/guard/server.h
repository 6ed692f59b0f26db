/*
 * The guard's loop: the lease page, the agent's messages, the watchdog. Private to agent/guard.
 */
#ifndef PH_AGENT_GUARD_SERVER_H
#define PH_AGENT_GUARD_SERVER_H

#include <limits.h>
#include "agent/guard/lease_page.h"
#include "agent/guard/stopping.h"
#include "agent/guard/table.h"
#include "agent/guard/watchdog.h"
#include "poolherd/error.h"

#define PH_GUARD_CONNECTIONS_MAX 64
#define PH_GUARD_LINGER_MS 30000 /* without lease, pool and agent; then the guard is not needed */

struct ph_guard_connection {
    int fd; /* -1: free */
    bool news;
};

struct ph_guard_server {
    char run_directory[PATH_MAX];
    char boot_id[64];
    struct ph_lease_page *page;
    struct ph_guard_table table;
    struct ph_guard_stopping stopping;
    int listen_fd, timer_fd, signal_fd; /* signal_fd: readable when asked to end */
    struct ph_guard_connection connections[PH_GUARD_CONNECTIONS_MAX];
    uint64_t stop_ms;

    bool ending; /* the lease is over, and not everything is stopped yet */
    int64_t ending_generation;
    uint64_t ending_since_ms; /* its deadline */
    uint64_t noticed_ms;
    bool leaving;                     /* ends once nothing is left */
    bool done;                        /* it did: nothing has to be kept for a successor */
    uint64_t round_ms, round_wait_ms; /* when the next round is due; grows */
    uint64_t alone_since_ms;          /* 0: not alone */

    struct ph_watchdog watchdog;
};

/* Reads page and table of RUN, listens. A table whose lease is over is stopped at once. 0 or -errno with
 * *error. The caller holds the lock. */
int ph_guard_server_init(struct ph_guard_server *server, const char *run_directory,
    uint64_t stop_ms, int signal_fd, struct ph_error *error);
/* Runs until told to stop and nothing is left, or until not needed. 0 or -errno. */
int ph_guard_server_run(struct ph_guard_server *server);
void ph_guard_server_fini(struct ph_guard_server *server);

/* Between server.c and requests.c. */
struct ph_guard_message;
void ph_guard_request(
    struct ph_guard_server *server, int index, const struct ph_guard_message *message);
void ph_guard_server_send(
    struct ph_guard_server *server, int index, const struct ph_guard_message *message);
void ph_guard_server_answer(struct ph_guard_server *server, int index, uint64_t number, int status);
void ph_guard_server_check(struct ph_guard_server *server, uint64_t now_ms);
void ph_guard_server_hurry(struct ph_guard_server *server, uint64_t now_ms);
void ph_guard_server_leave(struct ph_guard_server *server);
int ph_guard_server_store(const struct ph_guard_server *server);

#endif
