#include "agent/fence/run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <sodium.h>

#include "base/child.h"
#include "base/clock.h"

#define INPUT_BYTES_MAX (1024 * 1024)
#define STATUS_ON 0 /* exit statuses of action=status, as fence-agents define them */
#define STATUS_OFF 2
#define AGAIN_MS 250 /* between two looks at a status */
#define SAID_BYTES 400

/* What an agent is told, and what must not be seen of it. */
struct fence_input {
    char *text; /* key=value lines without the action */
    size_t bytes;
    size_t secret_count;
    char *secrets[PH_FENCE_OPTIONS_MAX];
};

static void input_fini(struct fence_input *input)
{
    for (size_t i = 0; i < input->secret_count; i++) {
        sodium_memzero(input->secrets[i], strlen(input->secrets[i]));
        free(input->secrets[i]);
    }
    if (input->text != NULL)
        sodium_memzero(input->text, input->bytes);
    free(input->text);
    *input = (struct fence_input){0};
}

/* Grows by copying, so that no freed piece of memory keeps a secret. */
static int input_add(
    struct fence_input *input, const char *key, size_t key_bytes, const char *value)
{
    size_t more;
    char *text;

    if (key == NULL || value == NULL)
        return -EINVAL;
    more = key_bytes + strlen(value) + 2;
    if (memchr(key, '\n', key_bytes) != NULL || strchr(value, '\n') != NULL)
        return -EINVAL;
    if (input->bytes + more > INPUT_BYTES_MAX)
        return -E2BIG;
    text = malloc(input->bytes + more + 1);
    if (text == NULL)
        return -ENOMEM;
    if (input->text != NULL)
        memcpy(text, input->text, input->bytes);
    memcpy(text + input->bytes, key, key_bytes);
    text[input->bytes + key_bytes] = '=';
    memcpy(text + input->bytes + key_bytes + 1, value, strlen(value));
    text[input->bytes + more - 1] = '\n';
    text[input->bytes + more] = '\0';
    if (input->text != NULL)
        sodium_memzero(input->text, input->bytes);
    free(input->text);
    input->text = text;
    input->bytes += more;
    return 0;
}

/* ---- secrets ---- */
static int secret_open(const char *path, struct ph_error *error)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);

    if (fd < 0)
        return ph_error_set(error, PH_FAILED, "option_files", "%s: %s", path, strerror(errno));
    if (fstat(fd, &status) == 0 && S_ISREG(status.st_mode) && (status.st_mode & 077) == 0 &&
        (status.st_uid == geteuid() || status.st_uid == 0))
        return fd;
    close(fd);
    return ph_error_set(error, PH_FAILED, "option_files",
        "%s must be a regular file of root or of this user that nobody else can read (mode 0600)",
        path);
}

/* The file's one line, without its end. */
static int secret_read(const char *path, char **secret_out, struct ph_error *error)
{
    char buffer[PH_FENCE_SECRET_BYTES_MAX + 2];
    int fd = secret_open(path, error), rv = 0;
    ssize_t got;

    if (fd < 0)
        return fd;
    do
        got = read(fd, buffer, sizeof buffer - 1);
    while (got < 0 && errno == EINTR);
    close(fd);
    buffer[got > 0 ? got : 0] = '\0';
    if (got > 0 && buffer[got - 1] == '\n')
        buffer[got - 1] = '\0';
    if (got <= 0 || got > PH_FENCE_SECRET_BYTES_MAX || buffer[0] == '\0' ||
        strlen(buffer) + 1 < (size_t)got || strchr(buffer, '\n') != NULL)
        rv = ph_error_set(error, PH_FAILED, "option_files",
            "%s must hold one line of 1 to %d bytes", path, PH_FENCE_SECRET_BYTES_MAX);
    else if ((*secret_out = strdup(buffer)) == NULL)
        rv = ph_error_set(error, PH_FAILED, NULL, "out of memory");
    sodium_memzero(buffer, sizeof buffer);
    return rv;
}

static int secrets_add(
    struct fence_input *input, const struct ph_texts *files, struct ph_error *error)
{
    for (size_t i = 0; i < files->count && i < PH_FENCE_OPTIONS_MAX; i++) {
        const char *word = files->items[i], *equals = strchr(word, '=');
        char *secret = NULL;
        int rv = equals == NULL || equals == word || equals[1] != '/'
                     ? ph_error_set(error, PH_BAD_INPUT, "option_files",
                           "\"%s\" must be key=/path of a file", word)
                     : secret_read(equals + 1, &secret, error);

        if (rv != 0)
            return rv;
        input->secrets[input->secret_count++] = secret;
        rv = input_add(input, word, (size_t)(equals - word), secret);
        if (rv != 0)
            return ph_error_set(error, PH_FAILED, NULL, "%s: %s", word, strerror(-rv));
    }
    return 0;
}

static int options_add(
    struct fence_input *input, const struct ph_texts *options, struct ph_error *error)
{
    for (size_t i = 0; i < options->count; i++) {
        const char *word = options->items[i], *equals = strchr(word, '=');
        int rv = equals == NULL || equals == word
                     ? -EINVAL
                     : input_add(input, word, (size_t)(equals - word), equals + 1);

        if (rv != 0)
            return ph_error_set(
                error, PH_BAD_INPUT, "options", "\"%.60s\" must be key=value on one line", word);
    }
    return 0;
}

/* ---- what an agent says ---- */
/* The end of its last lines, on one line, with every secret blotted out. */
static void said(const struct fence_input *input, char *output, char *out, size_t size)
{
    size_t bytes;
    char plain[SAID_BYTES + 1];

    for (size_t i = 0; i < input->secret_count; i++) {
        size_t length = strlen(input->secrets[i]);

        if (length == 0)
            continue;
        if (length < 4 && strstr(output, input->secrets[i]) != NULL)
            output[0] = '\0'; /* too short to be told from what is none: nothing is shown */
        for (char *at = output; (at = strstr(at, input->secrets[i])) != NULL; at += length)
            memset(at, '*', length);
    }
    bytes = strlen(output);
    while (bytes > 0 && (output[bytes - 1] == '\n' || output[bytes - 1] == ' '))
        output[--bytes] = '\0';
    ph_text_format(
        plain, sizeof plain, "%s", bytes > SAID_BYTES ? output + bytes - SAID_BYTES : output);
    for (char *at = plain; *at != '\0'; at++)
        if (*at == '\n' || *at == '\r' || *at == '\t')
            *at = ' ';
    ph_text_printable(out, size, plain);
}

/* One call. The exit status, or -1 when there is none; *text_out says what happened. */
static int call(const struct ph_fence_run *run, const struct fence_input *input, const char *action,
    int64_t timeout_ms, char *text_out, size_t text_size)
{
    const char *argv[] = {run->agent, NULL};
    const char *path = getenv("PATH");
    char *path_variable =
        ph_text_new("PATH=%s", path == NULL ? "/usr/sbin:/usr/bin:/sbin:/bin" : path);
    const char *environment[] = {path_variable, "LANG=C.UTF-8", "LC_ALL=C.UTF-8", "HOME=/", NULL};
    struct ph_child_result *result = calloc(1, sizeof *result);
    size_t bytes = input->bytes + strlen(action) + sizeof "action=\n";
    char *text = malloc(bytes);
    char output[3 * SAID_BYTES];
    int rv = -ENOMEM, status = -1;

    if (path_variable != NULL && result != NULL && text != NULL) {
        size_t used = ph_text_format(text, bytes, "action=%s\n", action);

        if (input->text != NULL)
            memcpy(text + used, input->text, input->bytes + 1);
        rv = ph_child_run(argv, environment, text, (uint32_t)timeout_ms, result);
    }
    if (rv != 0) {
        ph_text_format(text_out, text_size, "%s cannot be run: %s", run->agent,
            rv == -ENOENT ? "there is no such program on PATH (Debian: fence-agents)"
                          : strerror(-rv));
    } else {
        said(input, result->output, output, sizeof output);
        status = result->exit_status;
        if (result->timed_out)
            ph_text_format(text_out, text_size, "%s did not end within %lld ms and was killed%s%s",
                action, (long long)timeout_ms, output[0] != '\0' ? ": " : "", output);
        else if (status < 0)
            ph_text_format(
                text_out, text_size, "%s was ended by signal %d", action, result->signal);
        else
            ph_text_format(text_out, text_size, "%s exited with %d%s%s", action, status,
                output[0] != '\0' ? ": " : "", output);
    }
    if (text != NULL)
        sodium_memzero(text, bytes);
    if (result != NULL)
        sodium_memzero(result->output, sizeof result->output);
    free(text);
    free(result);
    free(path_variable);
    return status;
}

static void rest(uint64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* Asks until the answer is the one wanted, or for a moment only: devices take a little to notice. */
static enum ph_power_state confirm(const struct ph_fence_run *run, const struct fence_input *input,
    enum ph_power_state wanted, char *text, size_t text_size)
{
    uint64_t end_ms =
        ph_clock_boot_ms() +
        (uint64_t)(run->timeout_ms < PH_FENCE_CONFIRM_MS ? run->timeout_ms : PH_FENCE_CONFIRM_MS);

    for (;;) {
        int status = call(run, input, "status", run->timeout_ms, text, text_size);
        enum ph_power_state power = status == STATUS_ON    ? PH_POWER_ON
                                    : status == STATUS_OFF ? PH_POWER_OFF
                                                           : PH_POWER_FAILED;

        if (power == wanted || wanted == PH_POWER_UNKNOWN ||
            ph_clock_boot_ms() + AGAIN_MS >= end_ms)
            return power;
        rest(AGAIN_MS);
    }
}

static bool agent_name_sound(const char *name)
{
    return name != NULL && strncmp(name, "fence_", 6) == 0 &&
           name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] == '\0';
}

static void answer(struct ph_fence_ran *ran, const struct ph_fence_run *run, const char *text)
{
    ran->number = run->number;
    ran->term = run->term;
    memcpy(ran->node, run->node, sizeof ran->node);
    memcpy(ran->device, run->device, sizeof ran->device);
    ran->action = run->action;
    (void)ph_set_text(&ran->reason, text); /* without memory it has no reason, and still counts */
}

void ph_fence_refuse(
    const struct ph_fence_run *run, struct ph_fence_ran *ran, const char *format, ...)
{
    char text[PH_TEXT_BYTES_MAX];
    va_list arguments;

    va_start(arguments, format);
    ph_text_vformat(text, sizeof text, format, arguments);
    va_end(arguments);
    ran->power = PH_POWER_FAILED;
    answer(ran, run, text);
}

/* Switches, then asks. */
static void act(
    const struct ph_fence_run *run, const struct fence_input *input, struct ph_fence_ran *ran)
{
    enum ph_power_state wanted = run->action == PH_FENCE_OFF  ? PH_POWER_OFF
                                 : run->action == PH_FENCE_ON ? PH_POWER_ON
                                                              : PH_POWER_UNKNOWN;
    const char *action = ph_enum_word(&ph_enum_fence_action, (int)run->action);
    char first[PH_TEXT_BYTES_MAX] = "", second[PH_TEXT_BYTES_MAX], text[PH_TEXT_BYTES_MAX];

    if (run->action != PH_FENCE_STATUS)
        (void)call(run, input, action, run->timeout_ms, first, sizeof first / 2);
    ran->power = confirm(run, input, wanted, second, sizeof second / 2);
    if (run->action == PH_FENCE_STATUS)
        ph_text_format(text, sizeof text, "%s", second);
    else if (ran->power == PH_POWER_FAILED || ran->power == wanted)
        ph_text_format(text, sizeof text, "%s; then %s", first, second);
    else
        ph_text_format(text, sizeof text, "%s, and yet its status says that the node is %s: %s",
            first, ph_enum_word(&ph_enum_power_state, (int)ran->power), second);
    answer(ran, run, text);
}

void ph_fence_carry_out(const struct ph_fence_run *run, struct ph_fence_ran *ran)
{
    uint64_t began_ms = ph_clock_boot_ms();
    struct fence_input input = {0};
    struct ph_error error = {0};

    if (!agent_name_sound(run->agent))
        ph_fence_refuse(run, ran, "\"%s\" is no fence agent: fence_ and then a-z, 0-9, _",
            run->agent == NULL ? "" : run->agent);
    else if (options_add(&input, &run->options, &error) != 0 ||
             secrets_add(&input, &run->option_files, &error) != 0)
        ph_fence_refuse(run, ran, "%s", error.message);
    else
        act(run, &input, ran);
    ran->took_ms = (int64_t)(ph_clock_boot_ms() - began_ms);
    input_fini(&input);
}
