/*
 * The watcher from inside. Private to agent/work/watch*.c.
 *
 *     CLOSED --connect--> GREETING --greeting--> SILENT <--answers of one round--> ASKING
 *        ^------------------- end of file, nonsense, no answer in time -------------'
 */
#ifndef PH_AGENT_WORK_WATCH_PARTS_H
#define PH_AGENT_WORK_WATCH_PARTS_H

#include <stdbool.h>
#include "agent/work/qmp_line.h"
#include "agent/work/watch.h"

enum ph_watch_state { PH_WATCH_CLOSED, PH_WATCH_GREETING, PH_WATCH_SILENT, PH_WATCH_ASKING };

/* One conversation, with a socket that never blocks. */
struct ph_watch_line {
    int fd;
    struct ph_qmp_lines lines;
};

struct ph_watched {
    struct ph_watched *next;
    char pool[PH_NAME_BYTES_MAX + 1], vm[PH_NAME_BYTES_MAX + 1];
    char *run_directory;
    pid_t pid;
    bool removed;
    enum ph_watch_state state;
    struct ph_watch_line monitor, agent;
    uint64_t due_ms; /* CLOSED: when to connect; SILENT: the next round; else: when to give up */
    uint64_t agent_due_ms; /* agent open: when to give up; else: not before */
    int64_t asked;         /* id of the question that is open: its place in the round + 1 */
    bool again;            /* an event came: another round at once */
    bool agent_there;      /* the guest holds the agent's port open */
    struct ph_vm_report found, told;
    bool told_any;
    uint64_t told_ms;
};

/* ---- watch_answer.c: answers into a report. Pure. */

/* The questions of a round, in order; NULL ends them. */
extern const char *const ph_watch_questions[];
/* Takes the answer to question `index`, which may be of any shape. 0 or -ENOMEM. */
int ph_watch_answer(struct ph_watched *watched, size_t index, const json_t *value);
/* An event: whether it means that something may have changed. */
bool ph_watch_event(struct ph_watched *watched, const char *event, const json_t *data);
/* The guest agent's interfaces. */
int ph_watch_interfaces(struct ph_watched *watched, const json_t *value);
/* Whether what was found is worth telling: use that hardly changed is not, nor use that changes all the time. */
bool ph_watch_worth_telling(const struct ph_watched *watched, uint64_t now_ms);

#endif
