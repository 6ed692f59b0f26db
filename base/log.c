#include "base/log.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include "base/clock.h"
#include "base/text.h"

#define LINE_BYTES 4096
#define VALUE_BYTES 2048

static const char *program_name = "poolherd";
static atomic_int level_limit = PH_LOG_NOTICE;

void ph_log_init(const char *program, enum ph_log_level level)
{
    program_name = program;
    atomic_store(&level_limit, (int)level);
}

struct line {
    char text[LINE_BYTES];
    size_t used;
};

static void line_add(struct line *line, const char *text, size_t bytes)
{
    size_t room = sizeof line->text - 1 - line->used; /* one byte stays free for the newline */
    size_t taken = bytes < room ? bytes : room;

    memcpy(line->text + line->used, text, taken);
    line->used += taken;
}

/* Adds a value: as it is, or in double quotes when a reader could not tell where it ends. */
static void line_add_value(struct line *line, const char *value)
{
    char shown[VALUE_BYTES];

    ph_text_printable(shown, sizeof shown, value);
    bool plain = shown[0] != '\0';
    for (const char *c = shown; *c != '\0' && plain; c++)
        plain = strchr(" \"=\\", *c) == NULL;
    if (plain) {
        line_add(line, shown, strlen(shown));
        return;
    }
    line_add(line, "\"", 1);
    for (const char *c = shown; *c != '\0'; c++) {
        /* \xNN of the escape above stays as it is; only quotes need one. */
        if (*c == '"')
            line_add(line, "\\", 1);
        line_add(line, c, 1);
    }
    line_add(line, "\"", 1);
}

/* One conversion, specification[0..] = "%...c", formatted with its argument from the list. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void convert(
    char *out, size_t size, const char *specification, const char *length, va_list *arguments)
{
    char letter = specification[strlen(specification) - 1];

    out[0] = '\0';
    switch (letter) {
    case 'd':
    case 'i':
    case 'u':
    case 'x':
    case 'X':
    case 'o':
        /* Signedness is the conversion's; the sizes are what va_arg must know. */
        if (strcmp(length, "ll") ==
            0) /* NOLINTNEXTLINE(bugprone-branch-clone): each reads another type */
            ph_text_format(out, size, specification, va_arg(*arguments, long long));
        else if (strcmp(length, "l") == 0)
            ph_text_format(out, size, specification, va_arg(*arguments, long));
        else if (strcmp(length, "z") == 0)
            ph_text_format(out, size, specification, va_arg(*arguments, size_t));
        else if (strcmp(length, "j") == 0)
            ph_text_format(out, size, specification, va_arg(*arguments, intmax_t));
        else if (strcmp(length, "t") == 0)
            ph_text_format(out, size, specification, va_arg(*arguments, ptrdiff_t));
        else
            ph_text_format(out, size, specification, va_arg(*arguments, int));
        break;
    case 'c': /* NOLINT(bugprone-branch-clone): likewise */
        ph_text_format(out, size, specification, va_arg(*arguments, int));
        break;
    case 'f':
    case 'g':
    case 'e':
        ph_text_format(out, size, specification, va_arg(*arguments, double));
        break;
    case 'p':
        ph_text_format(out, size, specification, va_arg(*arguments, void *));
        break;
    case 's': {
        const char *text = va_arg(*arguments, const char *);
        ph_text_format(out, size, specification, text != NULL ? text : "");
        break;
    }
    default:
        break;
    }
}
#pragma GCC diagnostic pop

/* Takes one conversion off the format into specification; a '*' is filled in. */
static const char *take_specification(
    const char *at, char *specification, size_t size, char length[3], va_list *arguments)
{
    size_t used = 0, lengths = 0;

    specification[used++] = *at++;
    for (; *at != '\0' && used + 12 < size; at++) {
        if (*at == '*') {
            used +=
                ph_text_format(specification + used, size - used, "%d", va_arg(*arguments, int));
            continue;
        }
        specification[used++] = *at;
        if (strchr("hlzjt", *at) != NULL && lengths < 2)
            length[lengths++] = *at;
        if (isalpha((unsigned char)*at) && strchr("hlzjt", *at) == NULL) {
            at++;
            break;
        }
    }
    specification[used] = '\0';
    length[lengths] = '\0';
    return at;
}

/* Fills the line from "key=%s key=%lld": everything from a literal '=' to the next literal space is
 * one value, whatever its arguments contain. */
static void line_fill(struct line *line, const char *format, va_list *arguments)
{
    char value[VALUE_BYTES];
    size_t used = 0;
    bool in_value = false, quoted = false;

    for (const char *at = format; *at != '\0';) {
        char piece[VALUE_BYTES];
        if (at[0] == '%' && at[1] != '%') {
            char specification[48], length[3];
            at = take_specification(at, specification, sizeof specification, length, arguments);
            convert(piece, sizeof piece, specification, length, arguments);
        } else {
            piece[0] = *at;
            piece[1] = '\0';
            at += at[0] == '%' ? 2 : 1;
            if (in_value && piece[0] == '"') {
                quoted = !quoted; /* quotes in the format are redone by line_add_value() */
                continue;
            }
            if (in_value && piece[0] == ' ' && !quoted) {
                value[used] = '\0';
                line_add_value(line, value);
                in_value = false;
            }
            if (!in_value) {
                line_add(line, piece, 1);
                in_value = piece[0] == '=';
                used = 0;
                continue;
            }
        }
        if (in_value) {
            used += ph_text_format(value + used, sizeof value - used, "%s", piece);
        } else {
            char shown[VALUE_BYTES];
            ph_text_printable(shown, sizeof shown, piece);
            line_add(line, shown, strlen(shown));
        }
    }
    value[used] = '\0';
    if (in_value)
        line_add_value(line, value);
}

void ph_log(enum ph_log_level level, const char *what, const char *format, ...)
{
    static const char *const words[] = {"error", "warning", "notice", "info", "debug"};
    struct line line = {.used = 0};
    char now[32], head[160];
    va_list arguments;
    int saved = errno;

    if ((int)level > atomic_load(&level_limit) || (int)level < 0)
        return;
    ph_clock_format_wall(ph_clock_wall_ms(), now, sizeof now);
    size_t bytes = ph_text_format(head, sizeof head, "%s %s %s[%ld] %s", now, words[level],
        program_name, (long)getpid(), what);
    line_add(&line, head, bytes);
    if (format != NULL && format[0] != '\0') {
        line_add(&line, " ", 1);
        va_start(arguments, format);
        line_fill(&line, format, &arguments);
        va_end(arguments);
    }
    line.text[line.used++] = '\n';
    /* One write: lines of several threads and processes do not mix. Nowhere to report a failure. */
    ssize_t written = write(STDERR_FILENO, line.text, line.used);
    (void)written;
    errno = saved;
}
