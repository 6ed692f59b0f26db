/*
 * The manager's shell: everything the core must not touch. Not pure. One loop, one thread, plus the
 * store's writer and a few readers.
 *
 *     ROUTER -> intake.c -> core -> effects.c -> batch -> writer thread -> outbox.c -> ROUTER
 *                 |                     |                                     ^
 *                 +-> workers.c --------+--- grants: at once -----------------+
 *
 * Invariants:
 *   - an answer or an order leaves only after everything the core saved before it is durable;
 *   - a commit that fails ends the process: nothing that hung on it is ever sent;
 *   - the loop waits for no disk, so grants go out while the writer is in fsync.
 */
#ifndef PH_SERVE_SERVE_H
#define PH_SERVE_SERVE_H

#include <stdbool.h>
#include "poolherd/error.h"

struct ph_serve_options {
    const char *directory;
    const char *listen;      /* NULL: the configuration's */
    const char *config_path; /* NULL: manager.yaml in the directory, if it is there */
    bool advance_term; /* an operator says: this inventory may be older than what agents saw */
};

/* Reads and checks the configuration only. 0, or negative errno with *error. */
int ph_serve_check_config(const struct ph_serve_options *options, struct ph_error *error);

/* Runs until SIGTERM or SIGINT. The exit status: 0; 1 failed (also: a commit failed, start again);
 * 2 bad configuration. What went wrong is on stderr. */
int ph_serve(const struct ph_serve_options *options);

#endif
