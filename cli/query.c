/* SQL over the inventory: as a table, as JSON, as CSV (RFC 4180). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "proto/codec.h"

#define COLUMNS_MAX 256

static const char *cell_text(json_t *value, char *out, size_t size)
{
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        ph_text_format(out, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        ph_text_format(out, size, "%.15g", json_real_value(value));
    else
        ph_text_format(out, size, "%s", json_is_null(value) || !value ? "" : "?");
    return out;
}

static void print_table(struct ph_cli *cli, json_t *rows)
{
    const char *headings[COLUMNS_MAX + 1] = {NULL};
    size_t count = 0;
    const char *key;
    json_t *value;
    json_object_foreach(json_array_get(rows, 0), key, value)
    {
        if (count < COLUMNS_MAX)
            headings[count++] = key;
    }
    struct ph_table *table = ph_table_new(cli, headings);
    for (size_t i = 0; table && i < json_array_size(rows); i++) {
        json_t *row = json_array_get(rows, i);
        ph_table_row(table);
        for (size_t j = 0; j < count; j++) {
            char text[64];
            ph_table_cell(table, cell_text(json_object_get(row, headings[j]), text, sizeof(text)));
        }
    }
    ph_table_end(&table);
}

static void put_csv(const char *text)
{
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(json_t *rows)
{
    const char *key;
    json_t *value;
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *comma = "";
        if (i == 0) {
            json_object_foreach(json_array_get(rows, 0), key, value)
            {
                fputs(comma, stdout);
                put_csv(key);
                comma = ",";
            }
            fputs("\r\n", stdout);
            comma = "";
        }
        json_object_foreach(json_array_get(rows, i), key, value)
        {
            char text[64];
            fputs(comma, stdout);
            put_csv(cell_text(value, text, sizeof(text)));
            comma = ",";
        }
        fputs("\r\n", stdout);
    }
}

static int print_rows(struct ph_cli *cli, const char *text, struct ph_error *error)
{
    if (cli->json) {
        puts(text);
        return 0;
    }
    json_t *rows = json_loads(text, 0, NULL);
    if (!json_is_array(rows)) {
        json_decref(rows);
        return ph_error_set(error, PH_FAILED, NULL, "the manager's answer is no list of rows");
    }
    if (ph_cli_given(cli, PH_CLI_CSV))
        print_csv(rows);
    else if (json_array_size(rows) == 0)
        puts("No rows.");
    else
        print_table(cli, rows);
    json_decref(rows);
    return 0;
}

PH_CLI_RUN(query)
{
    struct ph_query query = {0};
    char *body = NULL, *answer = NULL, shown[64];
    const char *when = cli->value[PH_CLI_AS_OF];
    int rv = ph_cli_number(cli, PH_CLI_LIMIT, 0, &query.rows_max, error);
    if (rv == 0 && when && ph_clock_parse_wall(when, ph_clock_wall_ms(), &query.as_of) != 0)
        rv = ph_error_set(error, PH_BAD_INPUT, "--as-of",
            "\"%s\" is no moment; 2026-01-31T12:00:00Z, 2026-01-31, -90s, -15m, -2h, -1d are",
            ph_text_printable(shown, sizeof(shown), when));
    if (rv == 0 && ph_set_text(&query.sql, cli->argument) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (rv == 0)
        rv = ph_record_check(&ph_record_query, &query, error);
    if (rv == 0 && ph_encode(&ph_record_query, &query, PH_ENCODE_WIRE, &body, NULL) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (rv == 0)
        rv = ph_client_ask(cli->client, "query", body, cli->timeout_ms, &answer, error);
    if (rv == 0)
        rv = print_rows(cli, answer, error);
    ph_record_fini(&ph_record_query, &query);
    free(body);
    free(answer);
    return rv;
}
