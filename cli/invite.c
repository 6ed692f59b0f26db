/* Invitations: printed for others, and presented for oneself. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/file.h"
#include "base/text.h"
#include "cli/output.h"
#include "proto/codec.h"
#include "proto/keys.h"

static int invite(struct ph_cli *cli, enum ph_role role, struct ph_error *error)
{
    struct ph_invite ask = {.role = role};
    struct ph_invited invited = {0};
    int rv = ph_cli_name(cli->argument, "NAME", ask.name, error);
    if (rv == 0)
        rv = ph_cli_number(cli, PH_CLI_VALID, 0, &ask.valid_s, error);
    if (rv == 0)
        rv =
            ph_cli_ask(cli, "invite", &ph_record_invite, &ask, &ph_record_invited, &invited, error);
    if (rv == 0 && cli->json)
        printf("{\"token\":\"%s\",\"expires\":%lld}\n", invited.token, (long long)invited.expires);
    else if (rv == 0)
        puts(invited.token);
    ph_record_fini(&ph_record_invited, &invited);
    return rv;
}

PH_CLI_RUN(node_invite)
{
    return invite(cli, PH_ROLE_AGENT, error);
}

PH_CLI_RUN(identity_invite)
{
    const char *word = ph_cli_given(cli, PH_CLI_ROLE) ? cli->value[PH_CLI_ROLE] : "viewer";
    int role = ph_enum_value(&ph_enum_role, word);
    char shown[64];
    if (role != PH_ROLE_VIEWER && role != PH_ROLE_OPERATOR && role != PH_ROLE_ADMIN)
        return ph_error_set(error, PH_BAD_INPUT, "--role",
            "\"%s\" is no role of a person; viewer, operator and admin are",
            ph_text_printable(shown, sizeof(shown), word));
    return invite(cli, (enum ph_role)role, error);
}

static int identity_path(const struct ph_cli *cli, char *out, size_t size, struct ph_error *error)
{
    const char *base = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    char directory[PATH_MAX];
    if (cli->value[PH_CLI_IDENTITY])
        return ph_text_format(out, size, "%s", cli->value[PH_CLI_IDENTITY]) < size - 1
                   ? 0
                   : -ENAMETOOLONG;
    if (base && base[0] == '/')
        ph_text_format(directory, sizeof(directory), "%s/poolherd", base);
    else if (home && home[0] == '/')
        ph_text_format(directory, sizeof(directory), "%s/.config/poolherd", home);
    else
        return ph_error_set(error, PH_BAD_INPUT, "--identity",
            "is needed, since neither $HOME nor $XDG_CONFIG_HOME says where to keep the identity");
    int rv = ph_directory_make(directory);
    if (rv == 0)
        rv = ph_path_join(out, size, directory, "identity");
    return rv == 0 ? 0 : ph_error_set(error, PH_FAILED, NULL, "%s: %s", directory, strerror(-rv));
}

/* From now on `poolherd` finds manager and identity by itself, unless the user has said otherwise. */
static int remember(const char *identity_file, struct ph_error *error)
{
    char path[PATH_MAX], *slash, text[2 * PATH_MAX], *old = NULL;
    ph_text_format(path, sizeof(path), "%s", identity_file);
    slash = strrchr(path, '/');
    if (!slash)
        return 0;
    ph_text_format(slash + 1, sizeof(path) - (size_t)(slash + 1 - path), "config.yaml");
    if (ph_file_read(path, PH_MESSAGE_BYTES_USUAL, &old, NULL) == 0) {
        free(old);
        return 0;
    }
    struct ph_identity_file identity;
    int rv = ph_identity_load(identity_file, &identity, error);
    if (rv != 0)
        return rv;
    ph_text_format(text, sizeof(text), "manager: \"%s\"\nidentity: \"%s\"\n",
        identity.manager_endpoint, identity_file);
    rv = ph_file_replace(path, text, strlen(text), 0600);
    return rv == 0 ? 0 : ph_error_set(error, PH_FAILED, NULL, "%s: %s", path, strerror(-rv));
}

PH_CLI_RUN(login)
{
    char path[PATH_MAX], word[PH_TOKEN_BYTES_MAX + 2];
    const char *token = cli->argument;
    if (strcmp(token, "-") == 0) {
        token = fgets(word, sizeof(word), stdin) ? word : "";
        word[strcspn(word, " \t\r\n")] = 0;
    }
    int rv = identity_path(cli, path, sizeof(path), error);
    if (rv == 0)
        rv = ph_client_join(token, path, cli->timeout_ms, error);
    if (rv == 0 && !cli->value[PH_CLI_IDENTITY])
        rv = remember(path, error);
    if (rv == 0)
        printf("The identity is kept in %s\n", path);
    return rv;
}
