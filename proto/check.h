/*
 * The checks of single fields, shared by everything that fills a record from outside: JSON, YAML,
 * ph_record_check(). Private to proto/. Pure.
 *
 * Each returns 0 or -EINVAL with *error (which may be NULL) naming the field alone; callers on the
 * way up put the path before it with ph_error_within().
 */
#ifndef PH_PROTO_CHECK_H
#define PH_PROTO_CHECK_H

#include "proto/record.h"

int ph_check_name(const struct ph_field *field, const char *name, struct ph_error *error);
int ph_check_text(
    const struct ph_field *field, const char *text, size_t bytes, struct ph_error *error);
int ph_check_int(const struct ph_field *field, int64_t value, struct ph_error *error);
/* The value of an enum's word into *value_out, or an error that lists the words. */
int ph_check_word(
    const struct ph_field *field, const char *word, int *value_out, struct ph_error *error);
/* The number of items of TEXTS and MANY. */
int ph_check_count(const struct ph_field *field, size_t count, struct ph_error *error);
/* One item of TEXTS. */
int ph_check_item(
    const struct ph_field *field, const char *text, size_t bytes, struct ph_error *error);

/* The words of an enum as "a, b or c". */
const char *ph_enum_list(const struct ph_enum *enumeration, char *out, size_t size);

/* error->field becomes "name.FIELD" (index < 0) or "name[index].FIELD"; without one, "name" or
 * "name[index]". */
void ph_error_within(struct ph_error *error, const char *name, long index);

/* Whether every member is zero or empty: what a record is before anything was put into it. */
bool ph_record_empty(const struct ph_record *record, const void *value);
bool ph_field_empty(const struct ph_field *field, const void *at);

#endif
