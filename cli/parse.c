/* From argv to a command: options anywhere, one or two command words, at most one argument. */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/text.h"
#include "cli/command.h"
#include "poolherd/version.h"
#include "proto/codec.h"

#define LONG_BASE 1000 /* getopt's value for the long option n is LONG_BASE + n */

#define PH_CLI_OPTION_ROW(symbol, name, letter, argument, help) {name, letter, argument, help},
const struct ph_cli_option_description ph_cli_options[PH_CLI_OPTION_COUNT] = {
    PH_CLI_OPTIONS(PH_CLI_OPTION_ROW)};

struct words {
    const char *items[4];
    size_t count;
    bool too_many;
};

/* What getopt did not like: it says it itself only as a line of text, and --json wants JSON. */
static int bad_option(int found, const struct option *longs, char **argv, struct ph_error *error)
{
    char letter[3] = {'-', (char)optopt, 0}, name[128], shown[160];

    if (optopt > 0 && optopt < LONG_BASE)
        memcpy(name, letter, sizeof letter);
    else if (optopt >= LONG_BASE)
        ph_text_format(name, sizeof name, "--%s", longs[optopt - LONG_BASE].name);
    else
        ph_text_format(name, sizeof name, "%s", argv[optind - 1]);
    ph_text_printable(shown, sizeof shown, name);
    if (found == ':')
        return ph_error_set(error, PH_BAD_INPUT, shown, "needs a value");
    if (optopt >= LONG_BASE)
        return ph_error_set(error, PH_BAD_INPUT, shown, "takes no value");
    return ph_error_set(error, PH_BAD_INPUT, shown,
        "is no option, or not one alone; a word that begins with - goes behind --");
}

static bool wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--json") == 0 || strcmp(argv[i], "-j") == 0)
            return true;
    return false;
}

/* Reads argv: options into cli->value, everything else into words. */
static int read_arguments(
    int argc, char **argv, struct ph_cli *cli, struct words *words, struct ph_error *error)
{
    struct option longs[PH_CLI_OPTION_COUNT + 1];
    char shorts[3 * PH_CLI_OPTION_COUNT + 3];
    size_t used = 0;
    shorts[used++] = '-'; /* words come in order, as the argument of option 1 */
    shorts[used++] = ':'; /* a missing value is told from an unknown option */
    opterr = 0;
    memset(longs, 0, sizeof(longs));
    for (int i = 0; i < PH_CLI_OPTION_COUNT; i++) {
        const struct ph_cli_option_description *option = &ph_cli_options[i];
        longs[i] = (struct option){
            option->name, option->argument ? required_argument : no_argument, NULL, LONG_BASE + i};
        if (option->letter) {
            shorts[used++] = option->letter;
            if (option->argument)
                shorts[used++] = ':';
        }
    }
    shorts[used] = 0;
    int found;
    while ((found = getopt_long(argc, argv, shorts, longs, NULL)) != -1) {
        int option = found - LONG_BASE;
        if (found == 1 && words->count < 4) {
            words->items[words->count++] = optarg;
            continue;
        }
        for (int i = 0; found != 1 && found < LONG_BASE && i < PH_CLI_OPTION_COUNT; i++)
            if (ph_cli_options[i].letter && ph_cli_options[i].letter == found)
                option = i;
        if (found == 1) {
            words->too_many = true;
            return -1;
        }
        if (option < 0 || option >= PH_CLI_OPTION_COUNT)
            return bad_option(found, longs, argv, error);
        cli->value[option] = optarg ? optarg : "";
    }
    for (; optind < argc && words->count < 4; optind++)
        words->items[words->count++] = argv[optind];
    return 0;
}

static const struct ph_cli_command *find_command(const struct words *words, size_t *used)
{
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++) {
        const char *space = strchr(command->words, ' ');
        size_t first = space ? (size_t)(space - command->words) : strlen(command->words);
        if (words->count == 0 || strlen(words->items[0]) != first ||
            strncmp(words->items[0], command->words, first) != 0)
            continue;
        if (space && (words->count < 2 || strcmp(words->items[1], space + 1) != 0))
            continue;
        *used = space ? 2 : 1;
        return command;
    }
    return NULL;
}

static bool is_group(const char *word)
{
    size_t length = strlen(word);
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++)
        if (strncmp(command->words, word, length) == 0 && command->words[length] == ' ')
            return true;
    return false;
}

/* Says on stderr what went wrong; the exit status. */
static int complain(const struct ph_cli *cli, const struct ph_error *error)
{
    if (cli->json) {
        struct ph_problem problem;
        memset(&problem, 0, sizeof(problem));
        char *text = NULL;
        if (ph_set_text(&problem.code, ph_code_name(error->code)) == 0 &&
            ph_set_text(&problem.message, error->message) == 0 &&
            ph_set_text(&problem.field, error->field) == 0 &&
            ph_encode(&ph_record_problem, &problem, PH_ENCODE_SHOWN, &text, NULL) == 0)
            fprintf(stderr, "{\"error\":%s}\n", text);
        free(text);
        ph_record_fini(&ph_record_problem, &problem);
    } else {
        char field[256], message[2048];
        fprintf(stderr, "poolherd: %s%s%s\n", ph_text_printable(field, sizeof(field), error->field),
            error->field[0] ? ": " : "",
            ph_text_printable(message, sizeof(message), error->message));
    }
    return error->code == PH_OK ? PH_FAILED : (int)error->code;
}

static int check_usage(const struct ph_cli *cli, const struct ph_cli_command *command,
    const struct words *words, size_t used, struct ph_error *error)
{
    size_t left = words->count - used;
    const char *name = command->argument_name;
    if (words->too_many || left > (name ? 1u : 0u))
        return ph_error_set(error, PH_BAD_INPUT, words->items[used + (name ? 1 : 0)],
            "is one word too many; usage: poolherd %s %s", command->words, name ? name : "");
    if (name && name[0] != '[' && left == 0)
        return ph_error_set(
            error, PH_BAD_INPUT, name, "is missing; usage: poolherd %s %s", command->words, name);
    for (int i = 0; i < PH_CLI_OPTION_COUNT; i++) {
        char field[64];
        ph_text_format(field, sizeof(field), "--%s", ph_cli_options[i].name);
        if (cli->value[i] && !((command->options | PH_CLI_GLOBAL) & (UINT64_C(1) << i)))
            return ph_error_set(error, PH_BAD_INPUT, field,
                "has no meaning for `poolherd %s`; see poolherd %s --help", command->words,
                command->words);
    }
    return 0;
}

static int run_command(struct ph_cli *cli, const struct ph_cli_command *command,
    const struct words *words, size_t used, struct ph_error *error)
{
    int64_t seconds = 0;
    int rv = check_usage(cli, command, words, used, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_TIMEOUT, PH_REQUEST_TIMEOUT_MS / 1000, &seconds, error);
    if (rv != 0)
        return rv;
    cli->timeout_ms = seconds > 86400 ? 86400000u : (uint32_t)seconds * 1000u;
    cli->argument = words->count > used ? words->items[used] : NULL;
    if (!command->local)
        rv = ph_client_new(
            cli->value[PH_CLI_MANAGER], cli->value[PH_CLI_IDENTITY], &cli->client, error);
    if (rv == 0)
        rv = command->run(cli, error);
    ph_client_destroy(&cli->client);
    return rv;
}

int ph_cli_main(int argc, char **argv)
{
    struct ph_cli cli = {0};
    struct words words = {0};
    struct ph_error error = {0};
    size_t used = 0;
    int bad = read_arguments(argc, argv, &cli, &words, &error);
    cli.json = bad ? wants_json(argc, argv) : cli.value[PH_CLI_JSON] != NULL;
    cli.terminal = isatty(STDOUT_FILENO);
    cli.colour = cli.terminal && !getenv("NO_COLOR") && !cli.value[PH_CLI_NO_COLOUR];
    const struct ph_cli_command *command = find_command(&words, &used);
    if (bad && !words.too_many) {
        int status = complain(&cli, &error);
        if (!cli.json)
            fprintf(stderr, "Try poolherd %s --help.\n", command ? command->words : "");
        return status;
    }
    if (cli.value[PH_CLI_VERSION]) {
        puts("poolherd " PH_VERSION);
        return PH_OK;
    }
    if (!command && words.count > 0 && is_group(words.items[0]) &&
        (words.count == 1 || cli.value[PH_CLI_HELP])) {
        ph_cli_help_group(words.items[0]);
        return cli.value[PH_CLI_HELP] ? PH_OK : PH_BAD_INPUT;
    }
    if (cli.value[PH_CLI_HELP] || words.count == 0) {
        if (command)
            ph_cli_help_command(command);
        else
            ph_cli_help();
        return cli.value[PH_CLI_HELP] ? PH_OK : PH_BAD_INPUT;
    }
    if (!command) {
        char shown[128], whole[128];
        ph_text_format(whole, sizeof(whole), "%s%s%s", words.items[0], words.count > 1 ? " " : "",
            words.count > 1 ? words.items[1] : "");
        ph_error_set(&error, PH_BAD_INPUT, NULL, "there is no command \"%s\"; see poolherd --help",
            ph_text_printable(shown, sizeof(shown), whole));
        return complain(&cli, &error);
    }
    int rv = run_command(&cli, command, &words, used, &error);
    if (fflush(stdout) != 0 && rv == 0)
        rv = ph_error_set(&error, PH_FAILED, NULL, "the output could not be written");
    return rv != 0 ? complain(&cli, &error) : PH_OK;
}
