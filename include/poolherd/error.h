/*
 * What went wrong, said so that a person and a script can act on it. Pure.
 *
 * Inside the program functions return 0 or a negative errno; at a border (a message, a file, a
 * command line) the answer is a struct ph_error: a code that decides the exit status, the field
 * that was wrong, and one sentence with the value and what would be right.
 */
#ifndef POOLHERD_ERROR_H
#define POOLHERD_ERROR_H

#include <stdbool.h>

enum ph_code {
    PH_OK = 0,           /* exit status 0 */
    PH_FAILED = 1,       /* it was tried and failed; also: internal */
    PH_BAD_INPUT = 2,    /* usage, a malformed message, a bad declaration */
    PH_UNREACHED = 3,    /* the manager was not reached in time */
    PH_NOT_ALLOWED = 4,  /* the role does not permit it, the key is unknown or revoked */
    PH_NOT_FOUND = 5,    /* no such node, pool, vm, job */
    PH_STATE_FORBIDS = 6 /* exists, allowed, but not in this state; the message says which state */
};

struct ph_error {
    enum ph_code code;
    char field[128];    /* "pools[3].size.cpu", "" when no single field is to blame */
    char message[1024]; /* a sentence; never empty when code != PH_OK */
};

/* The word for a code on the wire and in --json: "ok", "failed", "bad_input", "unreached",
 * "not_allowed", "not_found", "state_forbids". Never NULL. */
const char *ph_code_name(enum ph_code code);

/* The code for a word of ph_code_name(); PH_FAILED for an unknown one. */
enum ph_code ph_code_from_name(const char *name);

/* Fills *error (which may be NULL: then only the return value matters) and returns the negative
 * errno that stands for `code`: -EIO, -EINVAL, -ETIMEDOUT, -EPERM, -ENOENT, -EBUSY. `field` may be
 * NULL. Long texts are cut at a character border of UTF-8. */
int ph_error_set(struct ph_error *error, enum ph_code code, const char *field, const char *format,
    ...) __attribute__((format(printf, 4, 5)));

#endif
