#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "cli/command.h"
#include "proto/codec.h"

int ph_cli_ask(struct ph_cli *cli, const char *type, const struct ph_record *request_record,
    const void *request, const struct ph_record *answer_record, void *answer,
    struct ph_error *error)
{
    char *body = NULL, *text = NULL;
    int rv = ph_record_check(request_record, request, error);
    if (rv == 0 && ph_encode(request_record, request, PH_ENCODE_WIRE, &body, NULL) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    if (rv == 0)
        rv = ph_client_ask(cli->client, type, body, cli->timeout_ms, &text, error);
    if (rv == 0 && ph_decode(answer_record, text, strlen(text), answer, error) != 0)
        rv = ph_error_set(error, PH_FAILED, NULL,
            "the manager's answer is not understood; is it of another version? (%s)",
            ph_client_endpoint(cli->client));
    free(body);
    free(text);
    return rv;
}

bool ph_cli_given(const struct ph_cli *cli, enum ph_cli_option option)
{
    return cli->value[option] != NULL;
}

int ph_cli_number(const struct ph_cli *cli, enum ph_cli_option option, int64_t otherwise,
    int64_t *number_out, struct ph_error *error)
{
    const char *text = cli->value[option];
    char field[64], shown[64], *end = NULL;
    *number_out = otherwise;
    if (!text)
        return 0;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == 0 && number >= 0) {
        *number_out = number;
        return 0;
    }
    ph_text_format(field, sizeof(field), "--%s", ph_cli_options[option].name);
    return ph_error_set(error, PH_BAD_INPUT, field, "\"%s\" is no whole number of 0 or more",
        ph_text_printable(shown, sizeof(shown), text));
}

int ph_cli_name(
    const char *text, const char *field, char out[PH_NAME_BYTES_MAX + 1], struct ph_error *error)
{
    char shown[128];
    if (ph_name_valid(text)) {
        ph_text_format(out, PH_NAME_BYTES_MAX + 1, "%s", text);
        return 0;
    }
    return ph_error_set(error, PH_BAD_INPUT, field,
        "\"%s\" is no name: 1 to 63 of a-z 0-9 . _ -, a letter or digit first",
        ph_text_printable(shown, sizeof(shown), text));
}
