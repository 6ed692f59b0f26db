/*
 * A conversation with one QEMU over a monitor socket: greeting, capabilities, commands one at a time with a
 * time limit on each. Not pure; one thread per connection. Private to agent/work.
 *
 * A monitor socket serves one client; a second one connects and hears nothing. So each VM has two sockets:
 * the tasks' (opened for a task and closed after it) and the watcher's.
 */
#ifndef PH_AGENT_WORK_QMP_H
#define PH_AGENT_WORK_QMP_H

#include "agent/work/qmp_line.h"

struct ph_qmp {
    int fd;
    int64_t last_id;
    struct ph_qmp_lines lines;
};

/* A socket in a directory, whose path may be longer than a socket's address: the fd, or -errno. Not
 * blocking: the fd is readable or writable when it may be used. */
int ph_socket_connect(const char *directory, const char *name);

/* Connects and negotiates. 0; -ENOENT, -ECONNREFUSED: nobody listens (yet); -ETIMEDOUT: no greeting, as
 * when another client is served; -EPROTO; -ECONNRESET: QEMU ended. */
int ph_qmp_open(struct ph_qmp *qmp, const char *directory, const char *name, uint32_t timeout_ms,
    struct ph_error *error);
/* The same without greeting and negotiation: qemu-guest-agent's socket. An answer of somebody earlier may
 * come first, so the first command is guest-sync. */
int ph_qmp_open_guest(struct ph_qmp *qmp, const char *directory, const char *name,
    uint32_t timeout_ms, struct ph_error *error);
void ph_qmp_close(struct ph_qmp *qmp);

/* One command and its answer; events in between are passed over. Takes arguments (may be NULL). *value_out
 * is owned by the caller (may be NULL). 0; -EIO: QEMU refused, with its own words and the error's class as
 * field; -ETIMEDOUT, -EPROTO, -ECONNRESET: the conversation is over, close it. */
int ph_qmp_execute(struct ph_qmp *qmp, const char *command, json_t *arguments, uint32_t timeout_ms,
    json_t **value_out, struct ph_error *error);
/* Waits for an event of this name. 0 and its data (may be NULL), or as above. */
int ph_qmp_await(struct ph_qmp *qmp, const char *event, uint32_t timeout_ms, json_t **data_out,
    struct ph_error *error);

#endif
