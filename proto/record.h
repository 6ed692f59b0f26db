/*
 * Descriptions of records: what a struct in C, a JSON object on the wire, a row in SQLite and an
 * entry in docs/protocol.md have in common. Pure; knows no JSON and no SQL.
 *
 * Each record is written once, as an X-macro in proto/catalogue/. From it come
 *   - the struct (PH_STRUCT below),
 *   - its description (struct ph_record ph_record_NAME, made in catalogue.c),
 *   - the JSON codec and its checks (codec.h), the SQL binding (db/store.h), --json, the docs.
 *
 *     field kind   C member                     JSON             SQL      min..max mean
 *     NAME         char m[PH_NAME_BYTES_MAX+1]  string           TEXT     a legal name; "" only if !REQUIRED
 *     TEXT         char *m (owned, NULL = "")   string           TEXT     bytes
 *     INT          int64_t m                    integer          INTEGER  value
 *     BOOL         bool m                       true/false       INTEGER  -
 *     ENUM         enum ph_REF m                string           TEXT     -
 *     TEXTS        struct ph_texts m            array of string  TEXT     items (each <= PH_ARGUMENT_BYTES_MAX)
 *     JSON         char *m (owned, NULL = null) any value        TEXT     bytes
 *     ONE          struct ph_REF m              object           (not in rows)
 *     MANY         struct ph_REF_list m         array of object  (not in rows)   items
 *
 * A record with no memory in it set (all bytes zero) is a valid empty record, and ph_record_fini()
 * returns it to that.
 */
#ifndef PH_PROTO_RECORD_H
#define PH_PROTO_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/text.h"
#include "poolherd/error.h"
#include "poolherd/limits.h"

enum ph_field_kind {
    PH_FIELD_NAME,
    PH_FIELD_TEXT,
    PH_FIELD_INT,
    PH_FIELD_BOOL,
    PH_FIELD_ENUM,
    PH_FIELD_TEXTS,
    PH_FIELD_JSON,
    PH_FIELD_ONE,
    PH_FIELD_MANY
};

/* Flags of a field. */
#define PH_OPT 0u    /* may be absent: then it is zero/empty */
#define PH_REQ 1u    /* must be present in JSON, and not "" for NAME, and for TEXT with min > 0 */
#define PH_KEY 3u    /* part of the primary key; implies PH_REQ */
#define PH_SECRET 4u /* in no view, no log, no --json */

struct ph_enum {
    const char *name;         /* "node_state" */
    const char *const *words; /* words[value]; count of them */
    const char *const *docs;
    size_t count;
};

struct ph_record;

struct ph_field {
    const char *name;
    enum ph_field_kind kind;
    unsigned flags;
    size_t offset;
    int64_t min, max;
    const struct ph_enum *enumeration; /* ENUM */
    const struct ph_record *record;    /* ONE, MANY */
    const char *doc;
};

struct ph_record {
    const char *name; /* "node"; also the SQL table's singular */
    size_t size;      /* of the struct */
    size_t field_count;
    const struct ph_field *fields;
    const char *doc;
};

/* The layout every MANY member shares. may_alias: the same memory is also seen by its own type. */
struct ph_many {
    size_t count;
    void *items;
} __attribute__((may_alias));

/* Frees what the record owns and zeroes it. */
void ph_record_fini(const struct ph_record *record, void *value);
/* Deep copy over `to`, which is initialised and replaced. 0 or -ENOMEM (to is then empty). */
int ph_record_copy(const struct ph_record *record, void *to, const void *from);
/* A heap copy, or NULL. Freed by ph_record_destroy(). */
void *ph_record_new_copy(const struct ph_record *record, const void *from);
void ph_record_destroy(const struct ph_record *record, void **value);
bool ph_record_equal(const struct ph_record *record, const void *a, const void *b);

/* Checks every field of *value against its description, nested ones too. 0, or -EINVAL with
 * error->field as a path such as "vms[2].command" and a message that says what would be right. */
int ph_record_check(const struct ph_record *record, const void *value, struct ph_error *error);

const struct ph_field *ph_record_field(const struct ph_record *record, const char *name);

/* The word of an enum's value ("?" when out of range), and the value of a word (-1 when unknown). */
const char *ph_enum_word(const struct ph_enum *enumeration, int value);
int ph_enum_value(const struct ph_enum *enumeration, const char *word);

/* Sets an owned text member: frees the old, copies the new (NULL or "" becomes NULL). 0, -ENOMEM. */
int ph_set_text(char **member, const char *text);

/* Makes room for one more zeroed item of a MANY member and returns it, or NULL (unchanged). Counts on
 * room for the count rounded up to a power of two, which ph_many_reserve() makes: do not allocate
 * items in another way and then add to them. */
void *ph_many_add(const struct ph_record *item_record, struct ph_many *many);
/* Room for `count` items, all zero, in an empty list; many->count stays 0. 0 or -ENOMEM. */
int ph_many_reserve(const struct ph_record *item_record, struct ph_many *many, size_t count);

/* ---- X-macro machinery. A catalogue entry is
 *      #define PH_FIELDS_node(F, T)  F(T, KIND, member, ref, flags, min, max, "doc") ...
 *   (T is handed through: the record's name, for offsetof)
 *      #define PH_VALUES_node_state(V)  V(PH_NODE_JOINING, "joining", "doc") ...
 */
#define PH_MEMBER_NAME(m, ref) char m[PH_NAME_BYTES_MAX + 1];
#define PH_MEMBER_TEXT(m, ref) char *m;
#define PH_MEMBER_INT(m, ref) int64_t m;
#define PH_MEMBER_BOOL(m, ref) bool m;
#define PH_MEMBER_ENUM(m, ref) enum ph_##ref m;
#define PH_MEMBER_TEXTS(m, ref) struct ph_texts m;
#define PH_MEMBER_JSON(m, ref) char *m;
#define PH_MEMBER_ONE(m, ref) struct ph_##ref m;
#define PH_MEMBER_MANY(m, ref) struct ph_##ref##_list m;
#define PH_MEMBER(T, kind, m, ref, flags, min, max, doc) PH_MEMBER_##kind(m, ref)

#define PH_ENUM_VALUE(symbol, word, doc) symbol,
#define PH_DECLARE_ENUM(name)                                                                      \
    enum ph_##name{PH_VALUES_##name(PH_ENUM_VALUE)};                                               \
    extern const struct ph_enum ph_enum_##name;

#define PH_DECLARE_RECORD(name)                                                                    \
    struct ph_##name {                                                                             \
        PH_FIELDS_##name(PH_MEMBER, name)                                                          \
    };                                                                                             \
    struct ph_##name##_list {                                                                      \
        size_t count;                                                                              \
        struct ph_##name *items;                                                                   \
    };                                                                                             \
    extern const struct ph_record ph_record_##name;

#endif
