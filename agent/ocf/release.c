/* What the guard does with a file of ph_ocf_write_release(), done by the agent while its lease is good. */
#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "agent/ocf/ocf.h"
#include "base/child.h"
#include "base/file.h"
#include "poolherd/limits.h"

#define RELEASE_BYTES_MAX (1024 * 1024)
#define WORDS_MAX 600
#define ENDING ".release"

/* Cuts text into lines: environment up to the empty one, argv after it. */
static bool cut(char *text, const char **environment, const char **argv)
{
    size_t counts[2] = {0, 0};
    int part = 0;
    for (char *line = text; *line != '\0';) {
        char *end = strchr(line, '\n');
        if (end == NULL || counts[part] + 1 >= WORDS_MAX)
            return false;
        *end = '\0';
        if (part == 0 && *line == '\0')
            part = 1;
        else
            (part == 0 ? environment : argv)[counts[part]++] = line;
        line = end + 1;
    }
    environment[counts[0]] = NULL;
    argv[counts[1]] = NULL;
    return counts[1] > 0;
}

static int fail(const char *file, int rv, const char *what, struct ph_error *error)
{
    const char *name = strrchr(file, '/');
    ph_error_set(error, PH_FAILED, NULL, "%s: %s", name == NULL ? file : name + 1, what);
    return rv;
}

/* Runs the text of a file; 0 when the resource agent says that it is stopped. */
static int run(const char *file, char *text, uint32_t timeout_ms, struct ph_child_result *result,
    const char **words, struct ph_error *error)
{
    char says[160];
    if (!cut(text, words, words + WORDS_MAX))
        return fail(
            file, -EBADMSG, "it is damaged; stop the resource by hand and remove it", error);
    int rv = ph_child_run(words + WORDS_MAX, words, NULL, timeout_ms, result);
    if (rv != 0)
        return fail(file, rv, strerror(-rv), error);
    if (result->timed_out)
        return fail(file, -ETIMEDOUT, "the resource agent did not stop it in time", error);
    if (result->exit_status == 0)
        return 0;
    ph_text_format(says, sizeof says, "the resource agent's stop answers %s",
        ph_ocf_meaning(result->exit_status));
    return fail(file, -EIO, says, error);
}

int ph_ocf_run_release(const char *file, uint32_t timeout_ms, struct ph_error *error)
{
    struct ph_child_result *result = calloc(1, sizeof *result);
    const char **words = calloc(2 * WORDS_MAX, sizeof *words);
    char *text = NULL;
    bool room = result != NULL && words != NULL;
    int rv = room ? ph_file_read(file, RELEASE_BYTES_MAX, &text, NULL) : -ENOMEM;
    if (rv == 0) {
        rv = run(file, text, timeout_ms, result, words, error);
        if (rv == 0 && unlink(file) != 0 && errno != ENOENT)
            rv = fail(file, -errno, strerror(errno), error);
    } else if (rv != -ENOENT) {
        fail(file, rv, strerror(-rv), error);
    }
    bool none = text == NULL && rv == -ENOENT;
    free(text);
    free(words);
    free(result);
    return none ? 0 : rv;
}

int ph_ocf_run_releases(const char *directory, uint32_t timeout_ms, struct ph_error *error)
{
    DIR *entries = opendir(directory);
    int rv = 0;
    if (entries == NULL)
        return errno == ENOENT ? 0 : -errno;
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        size_t bytes = strlen(entry->d_name), ending = strlen(ENDING);
        char path[PATH_MAX];
        if (bytes <= ending || strcmp(entry->d_name + bytes - ending, ENDING) != 0 ||
            ph_path_join(path, sizeof path, directory, entry->d_name) != 0)
            continue;
        struct ph_error why = {.code = PH_OK};
        int one = ph_ocf_run_release(path, timeout_ms, &why);
        if (one != 0 && rv == 0) {
            rv = one;
            if (error != NULL)
                *error = why;
        }
    }
    closedir(entries);
    return rv;
}
