/* Shell completion, from the table of commands. Names of nodes, pools and jobs are asked live. */
#include <stdio.h>
#include <string.h>
#include "base/text.h"
#include "cli/command.h"

/* Each line: the command's words, what its argument is, its options. */
static void print_table(const char *open, const char *close)
{
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++) {
        printf("%s%s|%s|", open, command->words, command->completes ? command->completes : "");
        for (int i = 0; i < PH_CLI_OPTION_COUNT; i++)
            if ((command->options | PH_CLI_GLOBAL) & (UINT64_C(1) << i))
                printf(" --%s", ph_cli_options[i].name);
        printf("%s\n", close);
    }
}

static void print_bash(void)
{
    puts("# completion of poolherd for bash\n_poolherd() {\n"
         "    local table=(");
    print_table("        '", "'");
    puts("    )\n"
         "    local current=\"${COMP_WORDS[COMP_CWORD]}\" words=() word row path kind options\n"
         "    for word in \"${COMP_WORDS[@]:1:COMP_CWORD-1}\"; do\n"
         "        [[ $word == -* ]] || words+=(\"$word\")\n"
         "    done\n"
         "    local candidates=()\n"
         "    for row in \"${table[@]}\"; do\n"
         "        IFS='|' read -r path kind options <<<\"$row\"\n"
         "        local parts=($path)\n"
         "        if [[ \"${words[*]:0:${#parts[@]}}\" == \"$path\" ]]; then\n"
         "            [[ $current == -* ]] && candidates+=($options)\n"
         "            if [[ ${#words[@]} -eq ${#parts[@]} && $current != -* ]]; then\n"
         "                case $kind in\n"
         "                node|pool) candidates+=($(poolherd query \"SELECT name FROM ${kind}s\" "
         "--csv 2>/dev/null | tail -n +2)) ;;\n"
         "                job) candidates+=($(poolherd query 'SELECT id FROM jobs ORDER BY id DESC "
         "LIMIT 50' --csv 2>/dev/null | tail -n +2)) ;;\n"
         "                *) candidates+=($kind) ;;\n"
         "                esac\n"
         "            fi\n"
         "        elif [[ ${#words[@]} -eq 0 ]]; then\n"
         "            candidates+=(\"${parts[0]}\")\n"
         "        elif [[ ${#words[@]} -eq 1 && ${words[0]} == \"${parts[0]}\" && -n ${parts[1]} "
         "]]; then\n"
         "            candidates+=(\"${parts[1]}\")\n"
         "        fi\n"
         "    done\n"
         "    COMPREPLY=($(compgen -W \"${candidates[*]}\" -- \"$current\"))\n"
         "}\n"
         "complete -o default -F _poolherd poolherd");
}

static void print_fish(void)
{
    puts("# completion of poolherd for fish\ncomplete -c poolherd -f");
    for (const struct ph_cli_command *command = ph_cli_commands; command->words; command++) {
        const char *space = strchr(command->words, ' ');
        if (!space) {
            printf("complete -c poolherd -n __fish_use_subcommand -a %s -d '%s'\n", command->words,
                command->summary);
            continue;
        }
        printf("complete -c poolherd -n __fish_use_subcommand -a %.*s\n"
               "complete -c poolherd -n '__fish_seen_subcommand_from %.*s' -a %s -d '%s'\n",
            (int)(space - command->words), command->words, (int)(space - command->words),
            command->words, space + 1, command->summary);
    }
    for (int i = 0; i < PH_CLI_OPTION_COUNT; i++)
        printf("complete -c poolherd -l %s -d \"%s\"%s\n", ph_cli_options[i].name,
            ph_cli_options[i].help, ph_cli_options[i].argument ? " -r" : "");
}

PH_CLI_RUN(completion)
{
    char shown[64];
    if (strcmp(cli->argument, "bash") == 0) {
        print_bash();
    } else if (strcmp(cli->argument, "zsh") == 0) {
        puts("#compdef poolherd\nautoload -U +X bashcompinit && bashcompinit");
        print_bash();
    } else if (strcmp(cli->argument, "fish") == 0) {
        print_fish();
    } else {
        return ph_error_set(error, PH_BAD_INPUT, "SHELL",
            "\"%s\" is not known; bash, zsh and fish are",
            ph_text_printable(shown, sizeof(shown), cli->argument));
    }
    return 0;
}
