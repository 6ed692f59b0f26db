/*
 * QEMU's monitor protocol as bytes: lines of JSON in, messages out. Bounded, and indifferent to how the
 * bytes are cut; what is no message of the protocol is an error, whoever sends it. Does no I/O. Private to
 * agent/work.
 */
#ifndef PH_AGENT_WORK_QMP_LINE_H
#define PH_AGENT_WORK_QMP_LINE_H

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>
#include "poolherd/error.h"

#define PH_QMP_LINE_BYTES_MAX (1024 * 1024)

enum ph_qmp_kind { PH_QMP_GREETING, PH_QMP_RETURN, PH_QMP_ERROR, PH_QMP_EVENT };

struct ph_qmp_message {
    enum ph_qmp_kind kind;
    int64_t id;     /* of the command it answers; -1: none */
    char word[64];  /* EVENT: its name; ERROR: its class */
    char text[512]; /* ERROR: its description, printable */
    json_t
        *value; /* RETURN: what is returned, EVENT: its data, GREETING: all of it; or NULL. Owned */
};
void ph_qmp_message_fini(struct ph_qmp_message *message);

struct ph_qmp_lines {
    char *bytes;
    size_t count, room;
    size_t looked; /* no line ends before */
};
void ph_qmp_lines_fini(struct ph_qmp_lines *lines);

/* To be called when ph_qmp_next() has nothing left. 0; -ENOMEM; -EMSGSIZE when a line is longer than allowed
 * (nothing is taken then). */
int ph_qmp_feed(struct ph_qmp_lines *lines, const char *bytes, size_t count);
/* The next whole message: 0; -EAGAIN: none yet; -EPROTO with the reason. Empty lines are passed over. */
int ph_qmp_next(
    struct ph_qmp_lines *lines, struct ph_qmp_message *message_out, struct ph_error *error);

/* {"execute": command, "arguments": arguments, "id": id} and a line end, owned by the caller; NULL when
 * memory is out. Takes arguments, which may be NULL. */
char *ph_qmp_command(const char *command, json_t *arguments, int64_t id);

#endif
