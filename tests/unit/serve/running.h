/* A manager of its own for each test: started from the built program, on loopback, in a directory
 * that goes away. Included by the tests of tests/unit/serve. */
#ifndef PH_TEST_RUNNING_H
#define PH_TEST_RUNNING_H

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>
#include <jansson.h>
#include "poolherd/client.h"
#include "base/child.h"
#include "base/clock.h"
#include "base/file.h"
#include "proto/keys.h"
#include "proto/message.h"
#include "proto/wire/wire.h"

#define LIMIT_MS 20000
#define ANSWER_MS 10000
#define MANAGER PH_BINARY_DIR "/poolherd-manager"

struct running {
    char base[80];      /* temporary; goes away */
    char directory[96]; /* the manager's */
    char log[112];
    char ready[512]; /* the line on stdout */
    pid_t pid;
    int out_fd;
};

static inline int running_setup(void **state)
{
    struct running *running = calloc(1, sizeof *running);
    const char *base = getenv("TMPDIR");

    assert_non_null(running);
    unsetenv("POOLHERD_MANAGER");
    unsetenv("POOLHERD_IDENTITY");
    snprintf(running->base, sizeof running->base, "%s/ph-manager-XXXXXX",
        base != NULL && strlen(base) < 40 ? base : "/tmp");
    assert_non_null(mkdtemp(running->base));
    snprintf(running->directory, sizeof running->directory, "%s/manager", running->base);
    snprintf(running->log, sizeof running->log, "%s/log", running->base);
    running->out_fd = -1;
    *state = running;
    return 0;
}

static inline void running_log_show(struct running *running)
{
    char *text = NULL;

    if (ph_file_read(running->log, 1 << 22, &text, NULL) == 0) {
        fprintf(stderr, "---- the manager's log\n%s----\n", text);
    }
    free(text);
}

/* Reads the line on stdout. false: the program ended without one. */
static inline bool running_read_ready(struct running *running)
{
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
    size_t used = 0;

    while (ph_clock_boot_ms() < end && used + 1 < sizeof running->ready) {
        struct pollfd item = {running->out_fd, POLLIN, 0};
        ssize_t bytes;

        poll(&item, 1, 100);
        if (item.revents == 0) {
            continue;
        }
        bytes = read(running->out_fd, running->ready + used, 1);
        if (bytes <= 0) {
            return false;
        }
        used++;
        running->ready[used] = '\0';
        if (running->ready[used - 1] == '\n') {
            return strncmp(running->ready, "ready ", 6) == 0;
        }
    }
    return false;
}

/* Starts it with these further arguments (NULL-terminated, at most 8). Whether it became ready. */
static inline bool running_start(struct running *running, const char *const *more)
{
    const char *argv[16] = {MANAGER, "--dir", running->directory};
    size_t count = 3, i;
    bool listen = false;
    int fds[2], log_fd, rv;

    for (i = 0; more != NULL && more[i] != NULL; i++) {
        listen = listen || strcmp(more[i], "--listen") == 0;
        argv[count++] = more[i];
    }
    if (!listen) {
        argv[count++] = "--listen";
        argv[count++] = "tcp://127.0.0.1:*";
    }
    argv[count] = NULL;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    log_fd = open(running->log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(log_fd >= 0);
    rv = ph_child_start(argv, NULL, -1, fds[1], log_fd, &running->pid);
    close(fds[1]);
    close(log_fd);
    assert_int_equal(rv, 0);
    if (running->out_fd >= 0) {
        close(running->out_fd);
    }
    running->out_fd = fds[0];
    running->ready[0] = '\0';
    return running_read_ready(running);
}

static inline void running_must_start(struct running *running, const char *const *more)
{
    if (!running_start(running, more)) {
        running_log_show(running);
        fail_msg("the manager did not become ready");
    }
}

/* Waits for its end; the status of waitpid(). */
static inline int running_wait(struct running *running)
{
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
    int status = 0;

    while (waitpid(running->pid, &status, WNOHANG) == 0) {
        if (ph_clock_boot_ms() > end) {
            running_log_show(running);
            fail_msg("the manager did not end");
        }
        poll(NULL, 0, 2);
    }
    running->pid = 0;
    return status;
}

static inline int running_stop(struct running *running, int signal_number)
{
    assert_int_equal(kill(running->pid, signal_number), 0);
    return running_wait(running);
}

static inline int running_teardown(void **state)
{
    struct running *running = *state;

    if (running->pid > 0) {
        kill(running->pid, SIGKILL);
        waitpid(running->pid, NULL, 0);
    }
    if (running->out_fd >= 0) {
        close(running->out_fd);
    }
    ph_tree_remove(running->base);
    free(running);
    return 0;
}

static inline struct ph_client *running_client(struct running *running, const char *identity)
{
    struct ph_client *client = NULL;
    struct ph_error error = {0};

    if (ph_client_new(running->directory, identity, &client, &error) != 0) {
        fail_msg("%s", error.message);
    }
    return client;
}

/* Asks; fails the test when the answer is a problem. The answer as JSON. */
static inline json_t *running_ask(
    struct running *running, struct ph_client *client, const char *type, const char *body)
{
    struct ph_error error = {0};
    char *text = NULL;
    json_t *answer;

    if (ph_client_ask(client, type, body, ANSWER_MS, &text, &error) != 0) {
        running_log_show(running);
        fail_msg("%s: %s", type, error.message);
    }
    answer = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(answer);
    free(text);
    return answer;
}

/* Asks for what must be refused with this code. */
static inline void running_refused(
    struct ph_client *client, const char *type, const char *body, enum ph_code code)
{
    struct ph_error error = {0};
    char *text = NULL;

    assert_true(ph_client_ask(client, type, body, ANSWER_MS, &text, &error) < 0);
    if (error.code != code) {
        fail_msg("%s: %s: %s", type, ph_code_name(error.code), error.message);
    }
    assert_true(error.message[0] != '\0');
}

static inline int64_t integer_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_integer(value));
    return json_integer_value(value);
}

static inline const char *text_of(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    assert_true(json_is_string(value));
    return json_string_value(value);
}

/* Invites NAME and joins; leaves BASE/NAME.identity, whose path is written to path_out[160]. */
static inline void running_enrol(struct running *running, struct ph_client *admin, const char *name,
    const char *role, char *path_out)
{
    struct ph_error error = {0};
    char body[160];
    json_t *invited;

    snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"%s\"}", name, role);
    invited = running_ask(running, admin, "invite", body);
    snprintf(path_out, 160, "%s/%s.identity", running->base, name);
    if (ph_client_join(text_of(invited, "token"), path_out, ANSWER_MS, &error) != 0) {
        running_log_show(running);
        fail_msg("join %s: %s", name, error.message);
    }
    json_decref(invited);
}

#endif
