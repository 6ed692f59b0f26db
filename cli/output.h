/*
 * What people see: tables (libsmartcols), colours on a terminal only, ages and sizes in words, and
 * --json. Private to cli/.
 */
#ifndef PH_CLI_OUTPUT_H
#define PH_CLI_OUTPUT_H

#include "cli/command.h"

struct ph_table;

/* headings: NULL-terminated. A heading that begins with "?" is left out on a narrow terminal; one that
 * begins (then) with ">" is a column of numbers, one with "~" may be cut to fit the terminal. NULL when
 * memory is out. */
struct ph_table *ph_table_new(const struct ph_cli *cli, const char *const *headings);
void ph_table_row(struct ph_table *table); /* begins a row */
/* the next cell; coloured by its word */
void ph_table_cell(struct ph_table *table, const char *text);
void ph_table_cellf(struct ph_table *table, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void ph_table_end(struct ph_table **table); /* prints and destroys; nothing for no rows */

/* Prints the items of a list as one JSON array / one value as one object, secrets left out. */
int ph_print_many(
    const struct ph_record *item_record, const struct ph_many *many, struct ph_error *error);
int ph_print_one(const struct ph_record *record, const void *value, struct ph_error *error);

/* "350ms", "4.2s", "3m12s", "5h", "12d"; "-" when negative. out needs 32 bytes. */
const char *ph_age(char *out, int64_t ms);
const char *ph_size(char *out, int64_t bytes);   /* "1.5 GiB" */
const char *ph_time(char *out, int64_t wall_ms); /* local time to the second; "-" for 0 */
/* ANSI colour for a state's word, or "" . */
const char *ph_colour(const struct ph_cli *cli, const char *word);
const char *ph_colour_end(const struct ph_cli *cli);
/* Text from elsewhere, made harmless for a terminal. */
const char *ph_safe(char *out, size_t size, const char *text);

#endif
