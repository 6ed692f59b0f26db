/*
 * The commands of `poolherd`: one table from which the parser, --help, shell completion and the man
 * page come. Private to cli/.
 *
 *     poolherd [options] COMMAND [SUBCOMMAND] [argument] [options]
 */
#ifndef PH_CLI_COMMAND_H
#define PH_CLI_COMMAND_H

#include <stdbool.h>
#include <stdint.h>
#include "poolherd/client.h"
#include "poolherd/error.h"
#include "proto/catalogue.h"

/* Every option there is, each with one meaning everywhere. O(symbol, "name", letter, "ARGUMENT" or
 * NULL, "help"). */
#define PH_CLI_OPTIONS(O)                                                                          \
    O(MANAGER, "manager", 'm', "DIR|ENDPOINT", "the manager: its directory or tcp://ADDR:PORT")    \
    O(IDENTITY, "identity", 'i', "FILE", "who asks: an identity file")                             \
    O(JSON, "json", 'j', NULL, "print one JSON document")                                          \
    O(NO_COLOUR, "no-colour", 0, NULL, "no colours, also on a terminal ($NO_COLOR does the same)") \
    O(TIMEOUT, "timeout", 0, "SECONDS", "how long to wait for an answer (default 30)")             \
    O(VERSION, "version", 'V', NULL, "print the version")                                          \
    O(HELP, "help", 'h', NULL, "say what a command does, with an example")                         \
    O(FILE, "file", 'f', "FILE", "the declaration, YAML or JSON; - is standard input")             \
    O(DRY_RUN, "dry-run", 'n', NULL, "only say what would be done")                                \
    O(PRUNE, "prune", 0, NULL, "remove what the file does not name (data of pools stays)")         \
    O(WAIT, "wait", 'w', NULL, "wait until it is done; exit status 1 when it failed")              \
    O(MAX_PARALLEL, "max-parallel", 0, "N", "moves at a time (default: the manager's)")            \
    O(DEADLINE, "deadline", 0, "SECONDS", "give up after this, leaving the rest where it is")      \
    O(CONFIRM_DEAD, "confirm-dead", 0, "NAME",                                                     \
        "swear that this node is off: its pools move at once")                                     \
    O(REBOOT, "reboot", 0, NULL, "once it is proven off, switch it on again")                      \
    O(TO, "to", 't', "NODE", "the node to move to (default: the best one)")                        \
    O(ACCEPT_DATA_LOSS, "accept-data-loss", 0, NULL,                                               \
        "start from the freshest copy whatever its age")                                           \
    O(RETRY, "retry", 0, NULL, "forget earlier failures and try again")                            \
    O(DESTROY_DATA, "destroy-data", 0, NULL, "also delete its data on every node")                 \
    O(ALL, "all", 'a', NULL, "ended ones too")                                                     \
    O(FOLLOW, "follow", 'F', NULL, "go on printing new ones")                                      \
    O(POOL, "pool", 'p', "NAME", "only of this pool")                                              \
    O(NODE, "node", 0, "NAME", "only of this node")                                                \
    O(JOB, "job", 0, "ID", "only of this job")                                                     \
    O(STORY, "story", 0, "ID", "the story of this job, step by step, from what preceded it on")    \
    O(LIMIT, "limit", 0, "N", "at most so many")                                                   \
    O(AS_OF, "as-of", 0, "WHEN", "as it was then: 2026-01-31T12:00:00Z, -15m, -2h, -1d")           \
    O(CSV, "csv", 0, NULL, "print comma-separated values")                                         \
    O(REQUEST_ID, "request-id", 0, "TEXT", "asked again as the same TEXT, it is not done again")   \
    O(ROLE, "role", 0, "ROLE", "what it may do: viewer, operator, admin")                          \
    O(VALID, "valid", 0, "SECONDS", "how long the invitation is good for (default a day)")

#define PH_CLI_OPTION_SYMBOL(symbol, name, letter, argument, help) PH_CLI_##symbol,
enum ph_cli_option { PH_CLI_OPTIONS(PH_CLI_OPTION_SYMBOL) PH_CLI_OPTION_COUNT };
#define PH_CLI_BIT(symbol) (UINT64_C(1) << PH_CLI_##symbol)
#define PH_CLI_GLOBAL                                                                              \
    (PH_CLI_BIT(MANAGER) | PH_CLI_BIT(IDENTITY) | PH_CLI_BIT(JSON) | PH_CLI_BIT(NO_COLOUR) |       \
        PH_CLI_BIT(TIMEOUT) | PH_CLI_BIT(HELP))

struct ph_cli_option_description {
    const char *name;
    char letter; /* 0: none */
    const char *argument;
    const char *help;
};
extern const struct ph_cli_option_description ph_cli_options[PH_CLI_OPTION_COUNT];

/* What a command runs with. */
struct ph_cli {
    /* "" for a given option without argument; NULL: not given */
    const char *value[PH_CLI_OPTION_COUNT];
    const char *argument;     /* NULL: none */
    struct ph_client *client; /* NULL when the command needs none */
    uint32_t timeout_ms;
    bool json, colour, terminal;
};

enum ph_cli_argument { PH_CLI_NO_ARGUMENT, PH_CLI_ARGUMENT, PH_CLI_MAY_ARGUMENT };

struct ph_cli_command {
    const char *words;         /* "node drain" */
    const char *argument_name; /* "NAME"; NULL: takes none; "[X]": optional */
    uint64_t options;          /* besides the global ones */
    bool local;                /* needs no manager */
    int (*run)(struct ph_cli *cli, struct ph_error *error);
    const char *completes; /* what its argument is: "node", "pool", "job", "word..." or NULL */
    const char *summary;
    const char *details;
    const char *example;
};
extern const struct ph_cli_command ph_cli_commands[]; /* ends with words == NULL */

#define PH_CLI_RUN(name) int ph_cli_##name(struct ph_cli *cli, struct ph_error *error)
PH_CLI_RUN(status);
PH_CLI_RUN(node_list);
PH_CLI_RUN(node_show);
PH_CLI_RUN(node_invite);
PH_CLI_RUN(node_drain);
PH_CLI_RUN(node_resume);
PH_CLI_RUN(node_fence);
PH_CLI_RUN(node_retire);
PH_CLI_RUN(driver_list);
PH_CLI_RUN(driver_show);
PH_CLI_RUN(fence_list);
PH_CLI_RUN(fence_show);
PH_CLI_RUN(fence_apply);
PH_CLI_RUN(fence_test);
PH_CLI_RUN(fence_on);
PH_CLI_RUN(pool_list);
PH_CLI_RUN(pool_show);
PH_CLI_RUN(pool_apply);
PH_CLI_RUN(pool_move);
PH_CLI_RUN(pool_start);
PH_CLI_RUN(pool_stop);
PH_CLI_RUN(pool_remove);
PH_CLI_RUN(pool_verify);
PH_CLI_RUN(diverged_list);
PH_CLI_RUN(diverged_drop);
PH_CLI_RUN(pool_explain);
PH_CLI_RUN(vm_list);
PH_CLI_RUN(vm_show);
PH_CLI_RUN(vm_start);
PH_CLI_RUN(vm_stop);
PH_CLI_RUN(vm_reset);
PH_CLI_RUN(vm_pause);
PH_CLI_RUN(vm_resume);
PH_CLI_RUN(snapshot_create);
PH_CLI_RUN(snapshot_list);
PH_CLI_RUN(snapshot_rollback);
PH_CLI_RUN(snapshot_delete);
PH_CLI_RUN(job_list);
PH_CLI_RUN(job_show);
PH_CLI_RUN(job_watch);
PH_CLI_RUN(job_cancel);
PH_CLI_RUN(events);
PH_CLI_RUN(query);
PH_CLI_RUN(doctor);
PH_CLI_RUN(cluster_pause);
PH_CLI_RUN(cluster_resume);
PH_CLI_RUN(identity_list);
PH_CLI_RUN(identity_invite);
PH_CLI_RUN(identity_revoke);
PH_CLI_RUN(login);
PH_CLI_RUN(completion);
PH_CLI_RUN(man);

/* parse.c: the whole program. Returns the exit status. */
int ph_cli_main(int argc, char **argv);

/* help.c */
void ph_cli_help(void);
void ph_cli_help_group(const char *word);
void ph_cli_help_command(const struct ph_cli_command *command);

/* ask.c: requests by their records. Answers are initialised and replaced. */
int ph_cli_ask(struct ph_cli *cli, const char *type, const struct ph_record *request_record,
    const void *request, const struct ph_record *answer_record, void *answer,
    struct ph_error *error);
/* The whole number given with an option, or `otherwise` when it was not given. PH_BAD_INPUT. */
int ph_cli_number(const struct ph_cli *cli, enum ph_cli_option option, int64_t otherwise,
    int64_t *number_out, struct ph_error *error);
bool ph_cli_given(const struct ph_cli *cli, enum ph_cli_option option);
/* Copies a name from the command line into a NAME member; bad input names `field`. */
int ph_cli_name(
    const char *text, const char *field, char out[PH_NAME_BYTES_MAX + 1], struct ph_error *error);

/* wait.c: follows a job to its end, showing progress unless --json. 0 when it succeeded. */
int ph_cli_follow(struct ph_cli *cli, int64_t job, struct ph_error *error);

#endif
