#include "cli/output.h"
#include <errno.h>
#include <libsmartcols/libsmartcols.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "base/text.h"
#include "proto/codec.h"

#define WIDTH_FOR_ALL 110 /* columns; on narrower terminals what matters less is left out */
#define WIDTH_WITHOUT_TERMINAL 10000

struct ph_table {
    const struct ph_cli *cli;
    struct libscols_table *scols;
    struct libscols_line *line;
    size_t column;
    size_t rows;
};

/* Words of states, by how they should strike the eye. */
static const struct {
    const char *word, *colour;
} colours[] = {{"active", "\033[32m"}, {"online", "\033[32m"}, {"running", "\033[32m"},
    {"succeeded", "\033[32m"}, {"complete", "\033[32m"}, {"yes", "\033[32m"},
    {"activating", "\033[33m"}, {"deactivating", "\033[33m"}, {"waiting", "\033[33m"},
    {"suspect", "\033[33m"}, {"draining", "\033[33m"}, {"maintenance", "\033[33m"},
    {"joining", "\033[33m"}, {"seeding", "\033[33m"}, {"queued", "\033[33m"},
    {"backoff", "\033[33m"}, {"warning", "\033[33m"}, {"quarantined", "\033[31m"},
    {"lost", "\033[31m"}, {"fenced", "\033[31m"}, {"failed", "\033[31m"}, {"blocked", "\033[31m"},
    {"failing", "\033[31m"}, {"error", "\033[31m"}, {"no", "\033[31m"}, {"diverged", "\033[31m"}};

static const char *colour_of(const char *word)
{
    for (size_t i = 0; i < sizeof(colours) / sizeof(colours[0]); i++)
        if (strcmp(colours[i].word, word) == 0)
            return colours[i].colour;
    return NULL;
}

const char *ph_colour(const struct ph_cli *cli, const char *word)
{
    const char *colour = cli->colour ? colour_of(word) : NULL;
    return colour ? colour : "";
}

const char *ph_colour_end(const struct ph_cli *cli)
{
    return cli->colour ? "\033[0m" : "";
}

struct ph_table *ph_table_new(const struct ph_cli *cli, const char *const *headings)
{
    struct ph_table *table = calloc(1, sizeof(*table));
    if (!table)
        return NULL;
    table->cli = cli;
    table->scols = scols_new_table();
    if (!table->scols) {
        free(table);
        return NULL;
    }
    scols_table_enable_colors(table->scols, cli->colour);
    scols_table_enable_noencoding(table->scols, 1); /* cells are made safe before they get here */
    scols_table_set_column_separator(table->scols, "  ");
    if (!cli->terminal) {
        scols_table_set_termforce(table->scols, SCOLS_TERMFORCE_ALWAYS);
        scols_table_set_termwidth(table->scols, WIDTH_WITHOUT_TERMINAL);
    }
    bool narrow = cli->terminal && scols_table_get_termwidth(table->scols) < WIDTH_FOR_ALL;
    for (; *headings; headings++) {
        const char *heading = *headings;
        int flags = 0;
        if (heading[0] == '?') {
            flags = narrow ? SCOLS_FL_HIDDEN : 0;
            heading++;
        }
        if (heading[0] == '>')
            flags |= SCOLS_FL_RIGHT;
        else if (heading[0] == '~')
            flags |= SCOLS_FL_TRUNC;
        scols_table_new_column(
            table->scols, heading[0] == '>' || heading[0] == '~' ? heading + 1 : heading, 0, flags);
    }
    return table;
}

void ph_table_row(struct ph_table *table)
{
    table->line = scols_table_new_line(table->scols, NULL);
    table->column = 0;
    table->rows++;
}

void ph_table_cell(struct ph_table *table, const char *text)
{
    char safe[2048];
    if (!table->line)
        return;
    ph_safe(safe, sizeof(safe), text && text[0] ? text : "-");
    scols_line_set_data(table->line, table->column, safe);
    const char *colour = table->cli->colour ? colour_of(safe) : NULL;
    if (colour)
        scols_cell_set_color(scols_line_get_cell(table->line, table->column), colour);
    table->column++;
}

void ph_table_cellf(struct ph_table *table, const char *format, ...)
{
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    ph_text_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    ph_table_cell(table, text);
}

void ph_table_end(struct ph_table **table)
{
    if (!*table)
        return;
    fflush(stdout);
    if ((*table)->rows > 0)
        scols_print_table((*table)->scols);
    scols_unref_table((*table)->scols);
    free(*table);
    *table = NULL;
}

int ph_print_one(const struct ph_record *record, const void *value, struct ph_error *error)
{
    char *text = NULL;
    size_t bytes = 0;
    int rv = ph_encode(record, value, PH_ENCODE_SHOWN, &text, &bytes);
    if (rv != 0)
        return ph_error_set(
            error, PH_FAILED, NULL, "the answer could not be printed: %s", strerror(-rv));
    fwrite(text, 1, bytes, stdout);
    putchar('\n');
    free(text);
    return 0;
}

int ph_print_many(
    const struct ph_record *item_record, const struct ph_many *many, struct ph_error *error)
{
    int rv = 0;
    putchar('[');
    for (size_t i = 0; rv == 0 && i < many->count; i++) {
        char *text = NULL;
        size_t bytes = 0;
        rv = ph_encode(item_record, (const char *)many->items + i * item_record->size,
            PH_ENCODE_SHOWN, &text, &bytes);
        if (rv == 0) {
            fputs(i > 0 ? ",\n " : "", stdout);
            fwrite(text, 1, bytes, stdout);
        }
        free(text);
    }
    fputs("]\n", stdout);
    return rv == 0 ? 0
                   : ph_error_set(error, PH_FAILED, NULL, "the answer could not be printed: %s",
                         strerror(-rv));
}

const char *ph_age(char *out, int64_t ms)
{
    long long value = (long long)ms;
    if (value < 0)
        ph_text_format(out, 32, "-");
    else if (value < 1000)
        ph_text_format(out, 32, "%lldms", value);
    else if (value < 60000)
        ph_text_format(out, 32, "%lld.%llds", value / 1000, value / 100 % 10);
    else if (value < 3600000)
        ph_text_format(out, 32, "%lldm%02llds", value / 60000, value / 1000 % 60);
    else if (value < 2 * 86400000LL)
        ph_text_format(out, 32, "%lldh%02lldm", value / 3600000, value / 60000 % 60);
    else
        ph_text_format(out, 32, "%lldd", value / 86400000);
    return out;
}

const char *ph_size(char *out, int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0])) {
        value /= 1024;
        unit++;
    }
    ph_text_format(out, 32, unit == 0 || value >= 100 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

const char *ph_time(char *out, int64_t wall_ms)
{
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm parts;
    if (wall_ms <= 0 || !localtime_r(&seconds, &parts) ||
        strftime(out, 32, "%Y-%m-%d %H:%M:%S", &parts) == 0)
        ph_text_format(out, 32, "-");
    return out;
}

const char *ph_safe(char *out, size_t size, const char *text)
{
    return ph_text_printable(out, size, text ? text : "");
}
