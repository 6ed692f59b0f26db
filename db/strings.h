/*
 * Lists of strings as JSON arrays, and text as JSON strings. Pure.
 *
 * The inventory has up to hundreds of thousands of such lists and loads all of them at start, so
 * this is done in one pass without building a document.
 */
#ifndef PH_DB_STRINGS_H
#define PH_DB_STRINGS_H

#include <stdbool.h>
#include <stddef.h>

#include "base/text.h"

/* A heap text (terminated), NULL when memory is out. */
char *ph_strings_encode(const struct ph_texts *texts, size_t *bytes_out);

/* Reads text[0..bytes) into terminated strings in `out` (needs `bytes` bytes) with pointers to them in
 * `items` (needs bytes / 2 + 1). False when it is anything but an array of strings without NUL. */
bool ph_strings_decode(
    const char *text, size_t bytes, char *out, size_t *used_out, char **items, size_t *count_out);

/* Writes text[0..bytes) as the inside of a JSON string into `out` (needs 6 * bytes) and returns the
 * bytes written. Malformed UTF-8 and NUL become U+FFFD: JSON has neither. */
size_t ph_strings_escape(const char *text, size_t bytes, char *out);

#endif
