/*
 * OCF resource agents: programs under OCF_ROOT/resource.d/PROVIDER/TYPE that start, stop and look after one
 * thing (Open Cluster Framework, resource agent API 1.1; Debian: resource-agents). Not pure; any thread.
 *
 * An agent is run with an action as its only argument and its parameters as OCF_RESKEY_NAME in an environment
 * made here; nothing of ours is in it. Its exit codes are 0 to 9; 7 says that it does not run, which of a
 * monitor is an answer and no failure. Every action has a time limit.
 */
#ifndef PH_AGENT_OCF_H
#define PH_AGENT_OCF_H

#include <limits.h>
#include <stdatomic.h>
#include <stdint.h>
#include "base/text.h"
#include "poolherd/error.h"

#define PH_OCF_TIMEOUT_MS 50000 /* unless said */

enum ph_ocf_code {
    PH_OCF_SUCCESS = 0,
    PH_OCF_GENERIC = 1,
    PH_OCF_ARGS = 2,
    PH_OCF_UNIMPLEMENTED = 3,
    PH_OCF_PERM = 4,
    PH_OCF_INSTALLED = 5,
    PH_OCF_CONFIGURED = 6,
    PH_OCF_NOT_RUNNING = 7,
    PH_OCF_RUNNING_PROMOTED = 8,
    PH_OCF_FAILED_PROMOTED = 9
};

/* One resource; borrowed texts. */
struct ph_ocf {
    const char *agent;                 /* "ocf:heartbeat:Filesystem" */
    const char *instance;              /* its name, unique on the node */
    const struct ph_texts *parameters; /* NAME=value */
    uint32_t timeout_ms;               /* 0: PH_OCF_TIMEOUT_MS */
};

/* The agent's program. -EINVAL: no name of an agent; -ENOENT: not here; each with *error. */
int ph_ocf_find(const char *agent, char path_out[PATH_MAX], struct ph_error *error);
/* Runs one action. 0 and the exit code (also an unknown one); -ENOENT, -ETIMEDOUT, -ECANCELED, -errno: with
 * *error. What it said last goes to `said`. */
int ph_ocf_run(const struct ph_ocf *ocf, const char *action, const atomic_bool *cancelled,
    int *code_out, char *said, size_t size, struct ph_error *error);
/* "7 (not running)" */
const char *ph_ocf_meaning(int code);

/* Starts it unless a monitor says that it runs. -EIO and *error when it does not run afterwards. */
int ph_ocf_start(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error);
/* Stops it. 0 only when it was stopped, and a monitor says so; -EIO else: something of it may run. */
int ph_ocf_stop(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error);
/* Whether it runs: 0, -ESRCH (7), -EIO with *error (anything else). */
int ph_ocf_monitor(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error);

/* Writes down, durably, how it is stopped, for the guard (ph_guard_add_release). */
int ph_ocf_write_release(const struct ph_ocf *ocf, const char *file, struct ph_error *error);
/* Runs what such a file says, as the guard does, and removes it when that ended with 0. Also 0 when there is no
 * such file; -EIO, -ETIMEDOUT, -errno with *error, and the file stays. */
int ph_ocf_run_release(const char *file, uint32_t timeout_ms, struct ph_error *error);
/* The same for every NAME.release of a directory; the first error, after all were tried. */
int ph_ocf_run_releases(const char *directory, uint32_t timeout_ms, struct ph_error *error);

/* Elsewhere than /usr/lib/ocf. For tests; before any thread. */
void ph_ocf_set_root(const char *root);
/* "ocf:PROVIDER:TYPE" of every agent here, sorted; at most 1000. */
int ph_ocf_list(struct ph_texts *agents_out);

#endif
