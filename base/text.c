#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/assert.h"
#include "poolherd/limits.h"

/* Bytes of the well-formed character at text[0..bytes), or 0. RFC 3629, table of section 4. */
static size_t utf8_character(const unsigned char *text, size_t bytes)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t length;

    if (bytes == 0 || text[0] == 0)
        return 0;
    if (text[0] < 0x80)
        return 1;
    if (text[0] < 0xc2 || text[0] > 0xf4)
        return 0;
    length = text[0] < 0xe0 ? 2 : text[0] < 0xf0 ? 3 : 4;
    if (text[0] == 0xe0)
        low = 0xa0;
    else if (text[0] == 0xed)
        high = 0x9f;
    else if (text[0] == 0xf0)
        low = 0x90;
    else if (text[0] == 0xf4)
        high = 0x8f;
    if (bytes < length || text[1] < low || text[1] > high)
        return 0;
    for (size_t i = 2; i < length; i++) {
        if ((text[i] & 0xc0) != 0x80)
            return 0;
    }
    return length;
}

/* The longest prefix of text[0..bytes) that does not end inside a character. */
static size_t utf8_border(const char *text, size_t bytes)
{
    size_t start = bytes;

    for (size_t back = 1; back <= 4 && back <= bytes; back++) {
        unsigned char c = (unsigned char)text[bytes - back];
        if ((c & 0xc0) == 0x80)
            continue;
        if (c >= 0xc0)
            start = bytes - back;
        break;
    }
    if (start == bytes)
        return bytes; /* ASCII at the end, or no character at all */
    if (utf8_character((const unsigned char *)text + start, bytes - start) == bytes - start)
        return bytes;
    return start;
}

size_t ph_text_vformat(char *out, size_t size, const char *format, va_list arguments)
{
    int wanted;

    ph_assert(size >= 1);
    wanted = vsnprintf(out, size, format, arguments);
    if (wanted < 0) {
        out[0] = '\0';
        return 0;
    }
    if ((size_t)wanted < size)
        return (size_t)wanted;
    size_t kept = utf8_border(out, size - 1);
    out[kept] = '\0';
    return kept;
}

size_t ph_text_format(char *out, size_t size, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    size_t stored = ph_text_vformat(out, size, format, arguments);
    va_end(arguments);
    return stored;
}

char *ph_text_new(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    int wanted = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (wanted < 0)
        return NULL;
    char *text = malloc((size_t)wanted + 1);
    if (text == NULL)
        return NULL;
    va_start(arguments, format);
    vsnprintf(text, (size_t)wanted + 1, format, arguments);
    va_end(arguments);
    return text;
}

bool ph_name_valid(const char *name)
{
    size_t i;

    for (i = 0; name[i] != '\0'; i++) {
        char c = name[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (i >= PH_NAME_BYTES_MAX || (!letter && (i == 0 || (c != '.' && c != '_' && c != '-'))))
            return false;
    }
    return i > 0;
}

bool ph_utf8_valid(const char *text, size_t bytes)
{
    const unsigned char *at = (const unsigned char *)text;

    while (bytes > 0) {
        size_t length = utf8_character(at, bytes);
        if (length == 0)
            return false;
        at += length;
        bytes -= length;
    }
    return true;
}

/* Characters that move a terminal's cursor or reorder what is shown: controls (C0, DEL, C1), line
 * and paragraph separators, bidirectional overrides. */
static bool hidden_character(const unsigned char *c, size_t length)
{
    if (length == 1)
        return c[0] < 0x20 || c[0] == 0x7f;
    if (length == 2)
        return c[0] == 0xc2 && c[1] < 0xa0;
    if (length == 3 && c[0] == 0xe2 && c[1] == 0x80)
        return (c[2] >= 0xa8 && c[2] <= 0xae) || c[2] == 0x8e || c[2] == 0x8f;
    return length == 3 && c[0] == 0xe2 && c[1] == 0x81 && c[2] >= 0xa6 && c[2] <= 0xa9;
}

const char *ph_text_printable(char *out, size_t size, const char *text)
{
    static const char hex[] = "0123456789abcdef";
    const unsigned char *at = (const unsigned char *)text;
    size_t left = strlen(text);
    size_t used = 0, fits = 0; /* fits: where "..." still has room */

    ph_assert(size >= 1);
    while (left > 0) {
        size_t length = utf8_character(at, left);
        bool escape = length == 0 || hidden_character(at, length);
        size_t taken = length == 0 ? 1 : length;
        size_t need = escape ? 4 * taken : taken;
        if (used + need >= size) {
            size_t dots = size - 1 - fits < 3 ? size - 1 - fits : 3;
            memcpy(out + fits, "...", dots);
            used = fits + dots;
            break;
        }
        for (size_t i = 0; i < taken && escape; i++) {
            memcpy(out + used + 4 * i, "\\x", 2);
            out[used + 4 * i + 2] = hex[at[i] >> 4];
            out[used + 4 * i + 3] = hex[at[i] & 15];
        }
        if (!escape)
            memcpy(out + used, at, taken);
        used += need;
        if (used + 3 < size)
            fits = used;
        at += taken;
        left -= taken;
    }
    out[used] = '\0';
    return out;
}

int ph_texts_add(struct ph_texts *texts, const char *item)
{
    size_t bytes = strlen(item) + 1;
    char *copy = malloc(bytes);

    if (copy == NULL)
        return -ENOMEM;
    memcpy(copy, item, bytes);
    /* Room is the count rounded up to a power of two: no third member needed. */
    if ((texts->count & (texts->count - 1)) == 0) {
        size_t room = texts->count == 0 ? 1 : texts->count * 2;
        char **items = realloc(texts->items, room * sizeof *items);
        if (items == NULL) {
            free(copy);
            return -ENOMEM;
        }
        texts->items = items;
    }
    texts->items[texts->count++] = copy;
    return 0;
}

int ph_texts_copy(struct ph_texts *to, const struct ph_texts *from)
{
    struct ph_texts copy = {0, NULL};

    for (size_t i = 0; i < from->count; i++) {
        if (ph_texts_add(&copy, from->items[i]) != 0) {
            ph_texts_fini(&copy);
            return -ENOMEM;
        }
    }
    ph_texts_fini(to);
    *to = copy;
    return 0;
}

bool ph_texts_contain(const struct ph_texts *texts, const char *item)
{
    for (size_t i = 0; i < texts->count; i++) {
        if (strcmp(texts->items[i], item) == 0)
            return true;
    }
    return false;
}

bool ph_texts_equal(const struct ph_texts *a, const struct ph_texts *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (strcmp(a->items[i], b->items[i]) != 0)
            return false;
    }
    return true;
}

void ph_texts_fini(struct ph_texts *texts)
{
    for (size_t i = 0; i < texts->count; i++)
        free(texts->items[i]);
    free(texts->items);
    texts->items = NULL;
    texts->count = 0;
}

/* Levenshtein's distance, two rows; more than `most` is `most` + 1. */
static size_t distance(const char *a, const char *b, size_t most)
{
    size_t before[64], now[64];
    size_t a_bytes = strlen(a), b_bytes = strlen(b);

    if (a_bytes >= 64 || b_bytes >= 64)
        return most + 1;
    for (size_t j = 0; j <= b_bytes; j++)
        before[j] = j;
    for (size_t i = 1; i <= a_bytes; i++) {
        now[0] = i;
        for (size_t j = 1; j <= b_bytes; j++) {
            size_t replaced = before[j - 1] + (a[i - 1] != b[j - 1]);
            size_t removed = before[j] + 1, added = now[j - 1] + 1;
            size_t least = replaced < removed ? replaced : removed;
            now[j] = least < added ? least : added;
        }
        memcpy(before, now, (b_bytes + 1) * sizeof now[0]);
    }
    return before[b_bytes] <= most ? before[b_bytes] : most + 1;
}

const char *ph_text_nearest(const char *text, const char *const *words, size_t count)
{
    size_t most = strlen(text) <= 3 ? 1 : strlen(text) <= 8 ? 2 : 3;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t away = distance(text, words[i], most);
        if (away <= most) {
            nearest = words[i];
            most = away - (away > 0); /* only a nearer one replaces it */
        }
    }
    return nearest;
}
