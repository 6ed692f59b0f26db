/*
 * Text that a pure core may use: formatting into bounded buffers, names, UTF-8. Pure.
 *
 * Exists so that the cores need no stdio: ph_text_format() is snprintf under a name that says what
 * happens at the end of the buffer (cut at a UTF-8 border, always terminated).
 */
#ifndef PH_BASE_TEXT_H
#define PH_BASE_TEXT_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Formats into out[size] (size >= 1), cutting at a character border. Returns the bytes stored,
 * without the terminator. */
size_t ph_text_format(char *out, size_t size, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
size_t ph_text_vformat(char *out, size_t size, const char *format, va_list arguments)
    __attribute__((format(printf, 3, 0)));

/* A formatted heap string, or NULL when memory is out. The caller frees it. */
char *ph_text_new(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Whether `name` is a legal name: 1..PH_NAME_BYTES_MAX bytes, [a-z0-9] first and then
 * [a-z0-9._-], and not "." or "..". The one place for this rule. */
bool ph_name_valid(const char *name);

/* Whether text[0..bytes) is well-formed UTF-8 (RFC 3629) without NUL. */
bool ph_utf8_valid(const char *text, size_t bytes);

/* Copies `text` for display in a message: control characters and malformed bytes become \xNN, long
 * texts are cut with "..." in the end. Returns out. */
const char *ph_text_printable(char *out, size_t size, const char *text);

/* The one of words[0..count) that `text` was probably meant to be, or NULL: at most one letter is different,
 * missing or too many in a short one, three in a long one. */
const char *ph_text_nearest(const char *text, const char *const *words, size_t count);

/* A list of owned strings: the C form of a JSON array of strings. It grows by ph_texts_add(), which
 * counts on room for the count rounded up to a power of two: allocate so when you fill it by hand. */
struct ph_texts {
    size_t count;
    char **items;
};

int ph_texts_add(struct ph_texts *texts, const char *item); /* copies; 0 or -ENOMEM */
/* to: initialised, is replaced */
int ph_texts_copy(struct ph_texts *to, const struct ph_texts *from);
bool ph_texts_contain(const struct ph_texts *texts, const char *item);
bool ph_texts_equal(const struct ph_texts *a, const struct ph_texts *b);
void ph_texts_fini(struct ph_texts *texts); /* also leaves it empty and usable */

#endif
