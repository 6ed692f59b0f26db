#include "agent/work/command.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD_BYTES_MAX (128u * 1024) /* the kernel takes no longer one */
#define PATH_DEFAULT "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define SIGNAL_WORDS "term, int, quit, hup, usr1 or usr2"

static const char *const placeholders[] = {"pool_path", "pool", "node", "epoch", "vm"};
enum { PLACEHOLDERS = sizeof placeholders / sizeof *placeholders };

/* If text begins with {word}: its index, or PLACEHOLDERS when no such placeholder is known, and its
 * length with the braces. -1: an ordinary character. */
static int placeholder_at(const char *text, size_t *length_out)
{
    size_t bytes = 0;
    if (text[0] != '{')
        return -1;
    while ((text[1 + bytes] >= 'a' && text[1 + bytes] <= 'z') || text[1 + bytes] == '_')
        bytes++;
    if (bytes == 0 || text[1 + bytes] != '}')
        return -1;
    *length_out = bytes + 2;
    for (int i = 0; i < PLACEHOLDERS; i++)
        if (strlen(placeholders[i]) == bytes && strncmp(placeholders[i], text + 1, bytes) == 0)
            return i;
    return PLACEHOLDERS;
}

static int fill_in(const char *word, const char *const values[PLACEHOLDERS], char **word_out)
{
    size_t size = 1, length;
    for (const char *at = word; *at != '\0';) {
        int index = placeholder_at(at, &length);
        bool known = index >= 0 && index < PLACEHOLDERS;
        size += known ? strlen(values[index]) : 1;
        at += known ? length : 1;
    }
    if (size > WORD_BYTES_MAX)
        return -E2BIG;
    char *out = malloc(size);
    if (out == NULL)
        return -ENOMEM;
    *word_out = out;
    for (const char *at = word; *at != '\0';) {
        int index = placeholder_at(at, &length);
        if (index >= 0 && index < PLACEHOLDERS) {
            size_t bytes = strlen(values[index]);
            memcpy(out, values[index], bytes);
            out += bytes;
            at += length;
        } else {
            *out++ = *at++;
        }
    }
    *out = '\0';
    return 0;
}

/* ---- the environment */

struct environment {
    size_t count, room;
    char **items;
};

/* Takes entry, which may be NULL (out of memory). A name given again replaces. */
static int environment_add(struct environment *environment, char *entry)
{
    if (entry == NULL)
        return -ENOMEM;
    size_t name = strcspn(entry, "=") + 1;
    for (size_t i = 0; i < environment->count; i++)
        if (strncmp(environment->items[i], entry, name) == 0) {
            free(environment->items[i]);
            environment->items[i] = entry;
            return 0;
        }
    if (environment->count + 1 >= environment->room) {
        free(entry);
        return -E2BIG;
    }
    environment->items[environment->count++] = entry;
    return 0;
}

static int environment_make(const struct ph_work_context *context, struct environment *environment)
{
    static const char *const inherited[] = {"LANG", "TZ"};
    const char *path = getenv("PATH");
    int rv;
    environment->room = 16 + context->vm->environment.count;
    environment->items = calloc(environment->room, sizeof *environment->items);
    if (environment->items == NULL)
        return -ENOMEM;
    if ((rv = environment_add(environment, ph_text_new("POOLHERD_MARK=%s", context->marker))) !=
            0 ||
        (rv = environment_add(environment, ph_text_new("POOLHERD_VM=%s", context->vm->name))) !=
            0 ||
        (rv = environment_add(environment, ph_text_new("POOLHERD_POOL=%s", context->pool->name))) !=
            0 ||
        (rv = environment_add(
             environment, ph_text_new("POOLHERD_POOL_PATH=%s", context->pool_path))) != 0 ||
        (rv = environment_add(environment, ph_text_new("POOLHERD_NODE=%s", context->node))) != 0 ||
        (rv = environment_add(
             environment, ph_text_new("POOLHERD_EPOCH=%lld", (long long)context->epoch))) != 0 ||
        (rv = environment_add(
             environment, ph_text_new("PATH=%s", path != NULL ? path : PATH_DEFAULT))) != 0 ||
        (rv = environment_add(environment, ph_text_new("HOME=%s", context->pool_path))) != 0)
        return rv;
    for (size_t i = 0; rv == 0 && i < sizeof inherited / sizeof *inherited; i++) {
        const char *value = getenv(inherited[i]);
        if (value != NULL)
            rv = environment_add(environment, ph_text_new("%s=%s", inherited[i], value));
    }
    for (size_t i = 0; rv == 0 && i < context->vm->environment.count; i++)
        rv = environment_add(environment, ph_text_new("%s", context->vm->environment.items[i]));
    return rv;
}

/* ---- the program */

static const char *environment_value(char *const *environment, const char *name)
{
    size_t bytes = strlen(name);
    for (; *environment != NULL; environment++)
        if (strncmp(*environment, name, bytes) == 0 && (*environment)[bytes] == '=')
            return *environment + bytes + 1;
    return "";
}

/* Where the program may be: as it stands when it has a slash, else in each directory of PATH. An empty
 * entry of PATH would be the working directory, which is the pool's data: left out. */
static int programs_make(const char *name, const char *path, char ***programs_out)
{
    size_t count = 1;
    for (const char *at = path; *at != '\0'; at++)
        count += *at == ':';
    char **programs = calloc(count + 1, sizeof *programs);
    if (programs == NULL)
        return -ENOMEM;
    *programs_out = programs;
    count = 0;
    /* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): no command is without a first word */
    if (strchr(name, '/') != NULL) {
        programs[0] = ph_text_new("%s", name);
        return programs[0] == NULL ? -ENOMEM : 0;
    }
    while (*path != '\0') {
        size_t bytes = strcspn(path, ":");
        if (bytes > 0) {
            programs[count] = ph_text_new("%.*s/%s", (int)bytes, path, name);
            if (programs[count++] == NULL)
                return -ENOMEM;
        }
        path += bytes + (path[bytes] == ':');
    }
    return 0;
}

static void vector_free(char **vector)
{
    for (char **at = vector; at != NULL && *at != NULL; at++)
        free(*at);
    free(vector);
}

void ph_command_fini(struct ph_command *command)
{
    vector_free(command->argv);
    vector_free(command->environment);
    vector_free(command->programs);
    *command = (struct ph_command){NULL, NULL, NULL};
}

static int make(const struct ph_work_context *context, const struct ph_texts *words, bool fill,
    struct ph_command *command_out)
{
    char epoch[32];
    const char *const values[PLACEHOLDERS] = {
        context->pool_path, context->pool->name, context->node, epoch, context->vm->name};
    struct ph_command command = {NULL, NULL, NULL};
    struct environment environment = {0, 0, NULL};
    ph_text_format(epoch, sizeof epoch, "%lld", (long long)context->epoch);
    int rv = words->count == 0 ? -EINVAL : environment_make(context, &environment);
    command.environment = environment.items;
    if (rv == 0 && (command.argv = calloc(words->count + 1, sizeof *command.argv)) == NULL)
        rv = -ENOMEM;
    for (size_t i = 0; rv == 0 && i < words->count; i++)
        if (fill)
            rv = fill_in(words->items[i], values, &command.argv[i]);
        else if ((command.argv[i] = ph_text_new("%s", words->items[i])) == NULL)
            rv = -ENOMEM;
    if (rv == 0)
        rv = programs_make(
            command.argv[0], environment_value(command.environment, "PATH"), &command.programs);
    if (rv != 0)
        ph_command_fini(&command);
    else
        *command_out = command;
    return rv;
}

int ph_command_make(const struct ph_work_context *context, struct ph_command *command_out)
{
    return make(context, &context->vm->command, true, command_out);
}

int ph_command_make_plain(const struct ph_work_context *context, const struct ph_texts *words,
    struct ph_command *command_out)
{
    return make(context, words, false, command_out);
}

/* ---- checks */

int ph_command_signal(const char *name)
{
    static const struct {
        const char *name;
        int number;
    } signals[] = {{"", SIGTERM}, {"term", SIGTERM}, {"int", SIGINT}, {"quit", SIGQUIT},
        {"hup", SIGHUP}, {"usr1", SIGUSR1}, {"usr2", SIGUSR2}};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        if (strcmp(signals[i].name, name) == 0)
            return signals[i].number;
    return -1;
}

static int word_check(const char *word, size_t index, struct ph_error *error)
{
    char field[64], shown[128];
    size_t length;
    ph_text_format(field, sizeof field, "command[%zu]", index);
    if (strlen(word) > PH_ARGUMENT_BYTES_MAX)
        return ph_error_set(error, PH_BAD_INPUT, field, "the word has %zu bytes; at most %d",
            strlen(word), PH_ARGUMENT_BYTES_MAX);
    for (const char *at = word; *at != '\0'; at++)
        if (placeholder_at(at, &length) == PLACEHOLDERS) {
            char name[64];
            ph_text_format(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), at);
            return ph_error_set(error, PH_BAD_INPUT, field,
                "%s is no placeholder; there are {pool_path}, {pool}, {node}, {epoch} and {vm}",
                ph_text_printable(shown, sizeof shown, name));
        }
    return 0;
}

static bool variable_valid(const char *entry)
{
    size_t bytes = 0;
    for (; entry[bytes] != '\0' && entry[bytes] != '='; bytes++) {
        char c = entry[bytes];
        bool letter = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
        if (!letter && !(bytes > 0 && c >= '0' && c <= '9'))
            return false;
    }
    return bytes > 0 && entry[bytes] == '=';
}

int ph_command_check(const struct ph_vm *vm, struct ph_error *error)
{
    char field[64], shown[128];
    int rv = 0;
    if (vm->command.count == 0 || vm->command.items[0][0] == '\0')
        return ph_error_set(error, PH_BAD_INPUT, "command",
            "a process needs a command: a list of words, the program first");
    if (vm->command.count > PH_ARGUMENTS_MAX)
        return ph_error_set(error, PH_BAD_INPUT, "command", "the command has %zu words; at most %d",
            vm->command.count, PH_ARGUMENTS_MAX);
    for (size_t i = 0; rv == 0 && i < vm->command.count; i++)
        rv = word_check(vm->command.items[i], i, error);
    for (size_t i = 0; rv == 0 && i < vm->environment.count; i++) {
        const char *entry = vm->environment.items[i];
        ph_text_format(field, sizeof field, "environment[%zu]", i);
        if (!variable_valid(entry))
            rv = ph_error_set(error, PH_BAD_INPUT, field, "\"%s\" is not NAME=value",
                ph_text_printable(shown, sizeof shown, entry));
        else if (strncmp(entry, "POOLHERD_", 9) == 0)
            rv = ph_error_set(error, PH_BAD_INPUT, field,
                "\"%s\": names that begin with POOLHERD_ are set by Poolherd itself",
                ph_text_printable(shown, sizeof shown, entry));
    }
    if (rv == 0 && ph_command_signal(vm->stop_signal) < 0)
        rv = ph_error_set(error, PH_BAD_INPUT, "stop_signal", "\"%s\" is not one of " SIGNAL_WORDS,
            ph_text_printable(shown, sizeof shown, vm->stop_signal));
    if (rv == 0 && (vm->stop_timeout_ms < 0 || vm->stop_timeout_ms > 86400000))
        rv = ph_error_set(error, PH_BAD_INPUT, "stop_timeout_ms", "%lld is not in 0..86400000",
            (long long)vm->stop_timeout_ms);
    return rv;
}
