/*
 * YAML (and so JSON) files to records, with file and line in every complaint. Not pure (files).
 *
 * Only what people need in a declaration: mappings, sequences, scalars, anchors refused, duplicate
 * keys refused, unknown keys refused with the nearest known one ("did you mean ..."): a file is
 * written by a person, and a misspelt key must not be ignored silently.
 */
#ifndef PH_PROTO_YAML_H
#define PH_PROTO_YAML_H

#include "proto/record.h"

enum ph_yaml_kind { PH_YAML_SCALAR, PH_YAML_SEQUENCE, PH_YAML_MAPPING };

struct ph_yaml {
    enum ph_yaml_kind kind;
    int line, column;      /* from 1 */
    bool quoted;           /* of a scalar: then it is a string whatever it looks like */
    char *text;            /* scalar */
    size_t count;          /* sequence: items; mapping: pairs */
    struct ph_yaml **keys; /* mapping: scalars */
    struct ph_yaml **items;
};

/* Parses text[0..bytes); `file` is for messages. A text without content (comments only) is an empty
 * mapping. A long `file` is shown by its end. error->field = "FILE:LINE" or "FILE:LINE: field.path"
 * in all complaints of this header. -EINVAL, -ENOMEM. */
int ph_yaml_parse(const char *text, size_t bytes, const char *file, struct ph_yaml **root_out,
    struct ph_error *error);
/* "-": stdin */
int ph_yaml_read(const char *path, struct ph_yaml **root_out, struct ph_error *error);
void ph_yaml_destroy(struct ph_yaml **root);

const struct ph_yaml *ph_yaml_get(const struct ph_yaml *mapping, const char *key); /* or NULL */

/* Reads a mapping into *value (initialised; fields not named keep their value, so defaults go first)
 * by the record's description, with its limits. On failure *value is as it was. A list that is named
 * replaces the one there was. Text may be plain or quoted; numbers, true and false must be plain. */
int ph_yaml_decode(const struct ph_record *record, const struct ph_yaml *mapping, const char *file,
    void *value, struct ph_error *error);

/* For readers of shapes that are no record: a complaint about `at` (never NULL); path may be "". */
int ph_yaml_fail(const struct ph_yaml *at, const char *file, const char *path,
    struct ph_error *error, const char *format, ...) __attribute__((format(printf, 5, 6)));

/* Refuses the first key of `mapping` that is not one of known[0..count), with the nearest known one.
 * path: of the mapping, "" at the root. 0 or -EINVAL. */
int ph_yaml_check_keys(const struct ph_yaml *mapping, const char *const *known, size_t count,
    const char *file, const char *path, struct ph_error *error);

#endif
