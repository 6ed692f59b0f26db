#include "agent/ocf/ocf.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/child.h"
#include "base/file.h"
#include "poolherd/limits.h"

#define ROOT "/usr/lib/ocf"
#define WORDS_MAX (256 + 16)
#define AGENTS_MAX 1000

static char root[PATH_MAX] = ROOT;

void ph_ocf_set_root(const char *new_root)
{
    ph_text_format(root, sizeof root, "%s", new_root);
}

const char *ph_ocf_meaning(int code)
{
    static const char *const meanings[] = {"0 (success)", "1 (failed)", "2 (bad arguments)",
        "3 (action not implemented)", "4 (no permission)",
        "5 (something it needs is not installed)", "6 (not configured)", "7 (not running)",
        "8 (running, promoted)", "9 (failed, promoted)"};

    return code >= 0 && code < (int)(sizeof meanings / sizeof meanings[0]) ? meanings[code]
                                                                           : "no code of OCF";
}

/* ---- names ---- */

static bool legal(const char *word, size_t bytes)
{
    return bytes > 0 && bytes <= PH_NAME_BYTES_MAX && word[0] != '.' &&
           strspn(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.") >=
               bytes;
}

struct name {
    char provider[PH_NAME_BYTES_MAX + 1], type[PH_NAME_BYTES_MAX + 1];
};

static bool split(const char *agent, struct name *name)
{
    const char *provider = strncmp(agent, "ocf:", 4) == 0 ? agent + 4 : NULL;
    const char *colon = provider != NULL ? strchr(provider, ':') : NULL;

    if (colon == NULL || !legal(provider, (size_t)(colon - provider)) ||
        !legal(colon + 1, strlen(colon + 1)))
        return false;
    ph_text_format(
        name->provider, sizeof name->provider, "%.*s", (int)(colon - provider), provider);
    ph_text_format(name->type, sizeof name->type, "%s", colon + 1);
    return true;
}

int ph_ocf_find(const char *agent, char path_out[PATH_MAX], struct ph_error *error)
{
    struct name name;
    char shown[80];

    if (agent == NULL || !split(agent, &name)) {
        ph_error_set(error, PH_BAD_INPUT, "agent",
            "\"%s\" is no resource agent; one is ocf:PROVIDER:TYPE, such as "
            "ocf:heartbeat:Filesystem",
            ph_text_printable(shown, sizeof shown, agent != NULL ? agent : ""));
        return -EINVAL;
    }
    ph_text_format(path_out, PATH_MAX, "%.*s/resource.d/%s/%s", PATH_MAX - 256, root, name.provider,
        name.type);
    if (access(path_out, X_OK) == 0)
        return 0;
    ph_error_set(error, PH_NOT_FOUND, "agent",
        "%s is not here (no %s); install the package resource-agents, or the one that has it",
        agent, path_out);
    return -ENOENT;
}

int ph_ocf_list(struct ph_texts *agents_out)
{
    char path[PATH_MAX], below[PATH_MAX], text[2 * PH_NAME_BYTES_MAX + 8];
    int rv = ph_path_join(path, sizeof path, root, "resource.d");
    DIR *providers = rv == 0 ? opendir(path) : NULL;

    if (providers == NULL)
        return rv != 0 ? rv : -errno;
    for (struct dirent *provider; rv == 0 && (provider = readdir(providers)) != NULL;) {
        if (!legal(provider->d_name, strlen(provider->d_name)) ||
            ph_path_join(below, sizeof below, path, provider->d_name) != 0)
            continue;
        DIR *types = opendir(below);
        if (types == NULL)
            continue;
        for (struct dirent *type; rv == 0 && (type = readdir(types)) != NULL;) {
            char program[PATH_MAX];
            if (!legal(type->d_name, strlen(type->d_name)) || agents_out->count >= AGENTS_MAX ||
                ph_path_join(program, sizeof program, below, type->d_name) != 0 ||
                access(program, X_OK) != 0)
                continue;
            ph_text_format(text, sizeof text, "ocf:%s:%s", provider->d_name, type->d_name);
            rv = ph_texts_add(agents_out, text);
        }
        closedir(types);
    }
    closedir(providers);
    return rv;
}

/* ---- running ---- */

static uint32_t limit_ms(const struct ph_ocf *ocf)
{
    return ocf->timeout_ms > 0 ? ocf->timeout_ms : PH_OCF_TIMEOUT_MS;
}

static int add(struct ph_texts *words, const char *name, const char *between, const char *value)
{
    char text[PH_ARGUMENT_BYTES_MAX + 32];

    if (ph_text_format(text, sizeof text, "%s%s%s", name, between, value) >= sizeof text - 1)
        return -E2BIG;
    return ph_texts_add(words, text);
}

static int make_environment(const struct ph_ocf *ocf, struct ph_texts *words)
{
    struct name name;
    char number[24];
    int rv = split(ocf->agent, &name) ? 0 : -EINVAL;

    ph_text_format(number, sizeof number, "%lu", (unsigned long)limit_ms(ocf));
    const char *const fixed[][2] = {
        {"PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}, {"LC_ALL", "C"},
        {"HOME", "/"}, {"OCF_ROOT", root}, {"OCF_RA_VERSION_MAJOR", "1"},
        {"OCF_RA_VERSION_MINOR", "1"}, {"OCF_RESOURCE_INSTANCE", ocf->instance},
        {"OCF_RESOURCE_PROVIDER", name.provider}, {"OCF_RESOURCE_TYPE", name.type},
        {"OCF_RESKEY_CRM_meta_timeout", number}, {"HA_use_logd", "no"}};
    for (size_t i = 0; rv == 0 && i < sizeof fixed / sizeof fixed[0]; i++)
        rv = add(words, fixed[i][0], "=", fixed[i][1]);
    for (size_t i = 0; rv == 0 && ocf->parameters != NULL && i < ocf->parameters->count; i++)
        rv = add(words, "OCF_RESKEY_", "", ocf->parameters->items[i]);
    return rv == 0 && words->count >= WORDS_MAX ? -E2BIG : rv;
}

static int run(const char *program, const char *action, const struct ph_texts *words,
    uint32_t timeout_ms, struct ph_child_result *result)
{
    const char *const argv[] = {program, action, NULL};
    const char *environment[WORDS_MAX + 1];

    for (size_t i = 0; i < words->count; i++)
        environment[i] = words->items[i];
    environment[words->count] = NULL;
    return ph_child_run(argv, environment, NULL, timeout_ms, result);
}

/* The last line that is not empty. */
static void last_line(const char *output, char *said, size_t size)
{
    const char *end = output + strlen(output), *start;

    while (end > output && (end[-1] == '\n' || end[-1] == ' '))
        end--;
    for (start = end; start > output && start[-1] != '\n'; start--)
        ;
    char line[512];
    ph_text_format(line, sizeof line, "%.*s", (int)(end - start), start);
    ph_text_printable(said, size, line);
}

int ph_ocf_run(const struct ph_ocf *ocf, const char *action, const atomic_bool *cancelled,
    int *code_out, char *said, size_t size, struct ph_error *error)
{
    struct ph_child_result *result = calloc(1, sizeof *result);
    struct ph_texts words = {.count = 0};
    char program[PATH_MAX];
    int rv = result == NULL ? -ENOMEM : ph_ocf_find(ocf->agent, program, error);

    said[0] = '\0';
    if (rv == 0 && cancelled != NULL && atomic_load(cancelled))
        rv = -ECANCELED;
    if (rv == 0)
        rv = make_environment(ocf, &words);
    if (rv == 0)
        rv = run(program, action, &words, limit_ms(ocf), result);
    if (rv == 0) {
        last_line(result->output, said, size);
        if (result->timed_out)
            rv = -ETIMEDOUT;
        else
            *code_out = result->exit_status;
    }
    if (rv != 0 && error != NULL && error->message[0] == '\0')
        ph_error_set(error, PH_FAILED, NULL, "%s %s: %s", ocf->agent, action,
            rv == -ETIMEDOUT ? "it took too long and was ended (timeout_s)" : strerror(-rv));
    ph_texts_fini(&words);
    free(result);
    return rv;
}

static int failed(const struct ph_ocf *ocf, const char *action, int code, const char *said,
    struct ph_error *error)
{
    ph_error_set(error, PH_FAILED, NULL, "%s %s answers %s%s%s", ocf->agent, action,
        ph_ocf_meaning(code), said[0] != '\0' ? ": " : "", said);
    return -EIO;
}

int ph_ocf_monitor(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error)
{
    char said[256];
    int code = 0;
    int rv = ph_ocf_run(ocf, "monitor", cancelled, &code, said, sizeof said, error);

    if (rv != 0)
        return rv;
    if (code == PH_OCF_SUCCESS || code == PH_OCF_RUNNING_PROMOTED)
        return 0;
    return code == PH_OCF_NOT_RUNNING ? -ESRCH : failed(ocf, "monitor", code, said, error);
}

int ph_ocf_start(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error)
{
    struct ph_error why = {.code = PH_OK};
    char said[256];
    int code = 0;
    int rv = ph_ocf_run(ocf, "validate-all", cancelled, &code, said, sizeof said, error);

    if (rv == 0 && code != PH_OCF_SUCCESS && code != PH_OCF_UNIMPLEMENTED)
        return failed(ocf, "validate-all", code, said, error);
    if (rv == 0)
        rv = ph_ocf_monitor(ocf, cancelled, &why);
    if (rv == 0)
        return 0;     /* it runs: adopted */
    if (rv == -EIO) { /* half of it, perhaps: down first, and only then up */
        rv = ph_ocf_stop(ocf, cancelled, error);
        if (rv != 0)
            return rv;
    } else if (rv != -ESRCH) {
        if (error != NULL && error->message[0] == '\0')
            *error = why;
        return rv;
    }
    rv = ph_ocf_run(ocf, "start", cancelled, &code, said, sizeof said, error);
    if (rv == 0 && code != PH_OCF_SUCCESS)
        return failed(ocf, "start", code, said, error);
    if (rv == 0)
        rv = ph_ocf_monitor(ocf, cancelled, error);
    if (rv == -ESRCH)
        return failed(ocf, "monitor after its start", PH_OCF_NOT_RUNNING, "", error);
    return rv;
}

int ph_ocf_stop(const struct ph_ocf *ocf, const atomic_bool *cancelled, struct ph_error *error)
{
    char said[256];
    int code = 0;
    int rv = ph_ocf_run(ocf, "stop", cancelled, &code, said, sizeof said, error);

    if (rv != 0)
        return rv;
    if (code != PH_OCF_SUCCESS && code != PH_OCF_NOT_RUNNING)
        return failed(ocf, "stop", code, said, error);
    rv = ph_ocf_monitor(ocf, NULL, error);
    if (rv == -ESRCH)
        return 0;
    return rv == 0 ? failed(ocf, "monitor after its stop", PH_OCF_SUCCESS, "it still runs", error)
                   : rv;
}

/* ---- for the guard ---- */

int ph_ocf_write_release(const struct ph_ocf *ocf, const char *file, struct ph_error *error)
{
    struct ph_texts words = {.count = 0};
    char program[PATH_MAX], *text = NULL;
    size_t size = 0;
    int rv = ph_ocf_find(ocf->agent, program, error);

    if (rv == 0)
        rv = make_environment(ocf, &words);
    FILE *out = rv == 0 ? open_memstream(&text, &size) : NULL;
    if (rv == 0 && out == NULL)
        rv = -errno;
    for (size_t i = 0; rv == 0 && i < words.count; i++) {
        if (strchr(words.items[i], '\n') != NULL)
            rv = -EINVAL;
        fprintf(out, "%s\n", words.items[i]);
    }
    if (out != NULL) {
        fprintf(out, "\n%s\nstop\n", program);
        if (fclose(out) != 0 && rv == 0)
            rv = -ENOMEM;
    }
    if (rv == 0)
        rv = ph_file_replace(file, text, size, 0600);
    if (rv != 0 && error != NULL && error->message[0] == '\0')
        ph_error_set(error, PH_FAILED, NULL, "cannot write %s: %s", file, strerror(-rv));
    ph_texts_fini(&words);
    free(text);
    return rv;
}
