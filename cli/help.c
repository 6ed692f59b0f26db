/* --help and the man page, from the tables of commands and options. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/command.h"
#include "poolherd/version.h"

static void option_words(char *out, size_t size, const struct ph_cli_option_description *option)
{
    char letter[8] = "    ";
    if (option->letter)
        ph_text_format(letter, sizeof(letter), "-%c, ", option->letter);
    ph_text_format(out, size, "%s--%s%s%s", letter, option->name, option->argument ? " " : "",
        option->argument ? option->argument : "");
}

static void print_options(uint64_t mask)
{
    for (int i = 0; i < PH_CLI_OPTION_COUNT; i++) {
        char words[128];
        if (!(mask & (UINT64_C(1) << i)))
            continue;
        option_words(words, sizeof(words), &ph_cli_options[i]);
        printf("  %-28s %s\n", words, ph_cli_options[i].help);
    }
}

static void print_commands(const char *group)
{
    size_t length = group ? strlen(group) : 0;
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++) {
        char words[128];
        if (group && (strncmp(command->words, group, length) != 0 || command->words[length] != ' '))
            continue;
        ph_text_format(words, sizeof(words), "%s %s", command->words,
            command->argument_name ? command->argument_name : "");
        printf("  %-24s %s\n", words, command->summary);
    }
}

void ph_cli_help(void)
{
    puts("Usage: poolherd COMMAND [argument] [options]\n\n"
         "Keeps every declared pool on exactly one node of a shared-nothing cluster.\n\nCommands:");
    print_commands(NULL);
    puts("\nOptions of every command:");
    print_options(PH_CLI_GLOBAL | PH_CLI_BIT(VERSION));
    puts("\nThe manager is --manager, else $POOLHERD_MANAGER, else `manager` in\n"
         "~/.config/poolherd/config.yaml or /etc/poolherd/config.yaml; who asks is --identity, "
         "else\n"
         "$POOLHERD_IDENTITY, else `identity` there, else the admin identity in the manager's "
         "directory.\n\n"
         "Exit status: 0 done, 1 failed, 2 bad usage or input, 3 manager not reached, 4 not "
         "allowed,\n"
         "5 not found, 6 the state forbids it.\n\n"
         "Example: poolherd status");
}

void ph_cli_help_group(const char *word)
{
    printf("Usage: poolherd %s COMMAND [argument] [options]\n\nCommands:\n", word);
    print_commands(word);
    puts("\nMore: poolherd COMMAND --help");
}

void ph_cli_help_command(const struct ph_cli_command *command)
{
    printf("Usage: poolherd %s%s%s [options]\n\n%c%s.\n", command->words,
        command->argument_name ? " " : "", command->argument_name ? command->argument_name : "",
        command->summary[0] >= 'a' && command->summary[0] <= 'z' ? command->summary[0] - 'a' + 'A'
                                                                 : command->summary[0],
        command->summary + 1);
    if (command->details)
        printf("\n%s\n", command->details);
    if (command->options) {
        puts("\nOptions:");
        print_options(command->options);
    }
    puts("\nOptions of every command:");
    print_options(PH_CLI_GLOBAL);
    printf("\nExample: %s\n", command->example);
}

/* ---- the man page ---- */

/* Text for troff: hyphens as minus signs, no line that begins with a control character. */
static void put_troff(const char *text)
{
    bool line_start = true;
    for (; *text; text++) {
        if (line_start && (*text == '.' || *text == '\''))
            fputs("\\&", stdout);
        if (*text == '-')
            fputs("\\-", stdout);
        else if (*text == '\\')
            fputs("\\e", stdout);
        else
            putchar(*text);
        line_start = *text == '\n';
    }
}

static void man_options(uint64_t mask)
{
    for (int i = 0; i < PH_CLI_OPTION_COUNT; i++) {
        char words[128];
        if (!(mask & (UINT64_C(1) << i)))
            continue;
        option_words(words, sizeof(words), &ph_cli_options[i]);
        fputs(".TP\n.B ", stdout);
        put_troff(words + strspn(words, " "));
        putchar('\n');
        put_troff(ph_cli_options[i].help);
        putchar('\n');
    }
}

PH_CLI_RUN(man)
{
    (void)cli;
    (void)error;
    printf(".TH POOLHERD 1 \"\" \"Poolherd %s\" \"User Commands\"\n", PH_VERSION);
    puts(".SH NAME\npoolherd \\- declare, move and query pools of a failover cluster\n"
         ".SH SYNOPSIS\n.B poolherd\nCOMMAND [argument] [options]\n.SH COMMANDS");
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++) {
        printf(".SS poolherd %s %s\n", command->words,
            command->argument_name ? command->argument_name : "");
        put_troff(command->summary);
        puts(".");
        if (command->details) {
            puts(".PP");
            put_troff(command->details);
            putchar('\n');
        }
        man_options(command->options);
        fputs(".PP\nExample:\n.PP\n.RS\n.nf\n", stdout);
        put_troff(command->example);
        puts("\n.fi\n.RE");
    }
    puts(".SH OPTIONS OF EVERY COMMAND");
    man_options(PH_CLI_GLOBAL | PH_CLI_BIT(VERSION));
    puts(".SH EXIT STATUS\n0 done, 1 failed, 2 bad usage or input, 3 manager not reached, 4 not "
         "allowed, 5 not found, 6 the state forbids it.\n"
         ".SH ENVIRONMENT\n.TP\n.B POOLHERD_MANAGER\nthe manager's directory or endpoint\n"
         ".TP\n.B POOLHERD_IDENTITY\npath of the identity file\n"
         ".TP\n.B NO_COLOR\nno colours when set\n"
         ".SH FILES\n.TP\n.I ~/.config/poolherd/config.yaml\nmanager and identity to use\n"
         ".SH SEE ALSO\n.BR poolherd\\-manager (8),\n.BR poolherd\\-agent (8)");
    return 0;
}
