#include "db/strings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Bytes that can be copied into a JSON string as they are. */
static bool plain(unsigned char byte)
{
    return byte >= 0x20 && byte < 0x7f && byte != '"' && byte != '\\';
}

/* Length of the well-formed UTF-8 sequence at text[0..bytes), 0 when there is none (RFC 3629). */
static size_t sequence(const unsigned char *text, size_t bytes)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high;
        size_t length;
    } forms[] = {
        {0x01, 0x7f, 0x00, 0xff, 1},
        {0xc2, 0xdf, 0x80, 0xbf, 2},
        {0xe0, 0xe0, 0xa0, 0xbf, 3},
        {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3},
        {0xee, 0xef, 0x80, 0xbf, 3},
        {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4},
        {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        if (text[0] < forms[i].first_low || text[0] > forms[i].first_high)
            continue;
        if (bytes < forms[i].length)
            return 0;
        if (forms[i].length > 1 &&
            (text[1] < forms[i].second_low || text[1] > forms[i].second_high))
            return 0;
        for (size_t j = 2; j < forms[i].length; j++)
            if ((text[j] & 0xc0) != 0x80)
                return 0;
        return forms[i].length;
    }
    return 0;
}

static size_t escape_control(unsigned char byte, char *out)
{
    static const char digits[] = "0123456789abcdef";
    static const char *const shorts = "\b\t\n\f\r";
    const char *found = strchr(shorts, byte);
    out[0] = '\\';
    if (byte == '"' || byte == '\\') {
        out[1] = (char)byte;
        return 2;
    }
    if (found != NULL && byte != 0) {
        out[1] = "btnfr"[found - shorts];
        return 2;
    }
    out[1] = 'u';
    out[2] = out[3] = '0';
    out[4] = digits[byte >> 4];
    out[5] = digits[byte & 15];
    return 6;
}

size_t ph_strings_escape(const char *text, size_t bytes, char *out)
{
    const unsigned char *in = (const unsigned char *)text;
    size_t used = 0;
    size_t i = 0;
    while (i < bytes) {
        size_t run = i;
        while (run < bytes && plain(in[run]))
            run++;
        memcpy(out + used, text + i, run - i);
        used += run - i;
        i = run;
        if (i == bytes)
            break;
        size_t length = sequence(in + i, bytes - i);
        if (length == 1) {
            used += escape_control(in[i], out + used);
            i++;
        } else if (length == 0) {
            /* NOLINTNEXTLINE(bugprone-not-null-terminated-result): it is in the middle of a text */
            memcpy(out + used, "\xef\xbf\xbd", 3);
            used += 3;
            i++;
        } else {
            memcpy(out + used, in + i, length);
            used += length;
            i += length;
        }
    }
    return used;
}

char *ph_strings_encode(const struct ph_texts *texts, size_t *bytes_out)
{
    size_t room = 3;
    for (size_t i = 0; i < texts->count; i++)
        room += strlen(texts->items[i]) * 6 + 3;
    char *json = malloc(room);
    if (json == NULL)
        return NULL;
    size_t used = 0;
    json[used++] = '[';
    for (size_t i = 0; i < texts->count; i++) {
        if (i > 0)
            json[used++] = ',';
        json[used++] = '"';
        used += ph_strings_escape(texts->items[i], strlen(texts->items[i]), json + used);
        json[used++] = '"';
    }
    json[used++] = ']';
    json[used] = '\0';
    *bytes_out = used;
    return json;
}

struct scan {
    const char *at, *end;
};

static void skip_space(struct scan *scan)
{
    while (scan->at < scan->end &&
           (*scan->at == ' ' || *scan->at == '\t' || *scan->at == '\n' || *scan->at == '\r'))
        scan->at++;
}

static bool take(struct scan *scan, char expected)
{
    skip_space(scan);
    if (scan->at == scan->end || *scan->at != expected)
        return false;
    scan->at++;
    return true;
}

/* Four hex digits. */
static bool take_unit(struct scan *scan, uint32_t *unit_out)
{
    uint32_t unit = 0;
    if (scan->end - scan->at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char digit = *scan->at++;
        uint32_t value;
        if (digit >= '0' && digit <= '9')
            value = (uint32_t)(digit - '0');
        else if (digit >= 'a' && digit <= 'f')
            value = (uint32_t)(digit - 'a' + 10);
        else if (digit >= 'A' && digit <= 'F')
            value = (uint32_t)(digit - 'A' + 10);
        else
            return false;
        unit = unit << 4 | value;
    }
    *unit_out = unit;
    return true;
}

/* The rest of \u....; a pair of surrogates is one character. Never longer than its escape was. */
static bool take_character(struct scan *scan, char **out)
{
    uint32_t code, low;
    if (!take_unit(scan, &code) || code == 0 || (code >= 0xdc00 && code <= 0xdfff))
        return false;
    if (code >= 0xd800 && code <= 0xdbff) {
        if (scan->end - scan->at < 2 || scan->at[0] != '\\' || scan->at[1] != 'u')
            return false;
        scan->at += 2;
        if (!take_unit(scan, &low) || low < 0xdc00 || low > 0xdfff)
            return false;
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    }
    unsigned char *byte = (unsigned char *)*out;
    if (code < 0x80) {
        *byte++ = (unsigned char)code;
    } else if (code < 0x800) {
        *byte++ = (unsigned char)(0xc0 | code >> 6);
        *byte++ = (unsigned char)(0x80 | (code & 0x3f));
    } else if (code < 0x10000) {
        *byte++ = (unsigned char)(0xe0 | code >> 12);
        *byte++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        *byte++ = (unsigned char)(0x80 | (code & 0x3f));
    } else {
        *byte++ = (unsigned char)(0xf0 | code >> 18);
        *byte++ = (unsigned char)(0x80 | (code >> 12 & 0x3f));
        *byte++ = (unsigned char)(0x80 | (code >> 6 & 0x3f));
        *byte++ = (unsigned char)(0x80 | (code & 0x3f));
    }
    *out = (char *)byte;
    return true;
}

static bool take_escape(struct scan *scan, char **out)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    if (scan->at == scan->end)
        return false;
    char kind = *scan->at++;
    if (kind == 'u')
        return take_character(scan, out);
    const char *found = kind == '\0' ? NULL : strchr(from, kind);
    if (found == NULL)
        return false;
    *(*out)++ = to[found - from];
    return true;
}

static bool take_string(struct scan *scan, char **out)
{
    if (!take(scan, '"'))
        return false;
    while (scan->at < scan->end) {
        char byte = *scan->at++;
        if (byte == '"') {
            *(*out)++ = '\0';
            return true;
        }
        if ((unsigned char)byte < 0x20)
            return false;
        if (byte != '\\')
            *(*out)++ = byte;
        else if (!take_escape(scan, out))
            return false;
    }
    return false;
}

bool ph_strings_decode(
    const char *text, size_t bytes, char *out, size_t *used_out, char **items, size_t *count_out)
{
    struct scan scan = {text, text + bytes};
    char *start = out;
    size_t count = 0;
    if (!take(&scan, '['))
        return false;
    if (!take(&scan, ']')) {
        do {
            items[count++] = out;
            if (!take_string(&scan, &out))
                return false;
        } while (take(&scan, ','));
        if (!take(&scan, ']'))
            return false;
    }
    skip_space(&scan);
    *used_out = (size_t)(out - start);
    *count_out = count;
    return scan.at == scan.end;
}
