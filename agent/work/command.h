/*
 * A declared command made into what execve() takes: placeholders filled in, the environment composed. Pure,
 * but for ph_command_make() reading PATH, LANG and TZ of this process.
 *
 * Placeholders: {pool_path} {pool} {node} {epoch} {vm}, anywhere in a word. A brace that does not begin a
 * [a-z_]+ in braces is an ordinary character, so that JSON can be passed.
 */
#ifndef PH_AGENT_WORK_COMMAND_H
#define PH_AGENT_WORK_COMMAND_H

#include "agent/work/driver.h"

struct ph_command {
    char **argv;        /* NULL-terminated */
    char **environment; /* NULL-terminated; POOLHERD_ names first */
    char **programs;    /* NULL-terminated: paths to try to execute, in order */
};

/* 0, -ENOMEM, -E2BIG (a word longer than 128 KiB once filled in). */
int ph_command_make(const struct ph_work_context *context, struct ph_command *command_out);
/* The same of a driver's own words, which are taken as they are. */
int ph_command_make_plain(const struct ph_work_context *context, const struct ph_texts *words,
    struct ph_command *command_out);
void ph_command_fini(struct ph_command *command);

/* Whether the declaration can be made into a command. 0 or -EINVAL with the field. */
int ph_command_check(const struct ph_vm *vm, struct ph_error *error);

/* The signal for "term", "int", ...; "" is term. -1: unknown. */
int ph_command_signal(const char *name);

#endif
