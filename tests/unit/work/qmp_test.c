/* The monitor client against a server that is not QEMU: what no QEMU can be made to do. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>
#include "agent/work/qmp.h"
#include "base/clock.h"
#include "base/file.h"

#define GREETING                                                                                   \
    "{\"QMP\": {\"version\": {\"qemu\": {\"micro\": 0, \"minor\": 2, \"major\": 7}}, "             \
    "\"capabilities\": []}}\r\n"
#define AGREED "{\"return\": {}, \"id\": 1}\r\n"

/* A server for one client: sends `first`, then after each line it reads the next of `answers`. */
struct fake {
    char directory[32];
    int listener;
    const char *first;
    const char *answers[4];
    size_t piece; /* bytes sent at a time; 0: all */
    bool flood;   /* events without end after the first */
    pthread_t thread;
};

static void send_pieces(const struct fake *fake, int fd, const char *text)
{
    size_t left = strlen(text);
    while (left > 0) {
        size_t bytes = fake->piece > 0 && fake->piece < left ? fake->piece : left;
        ssize_t sent = send(fd, text, bytes, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        text += sent;
        left -= (size_t)sent;
    }
}

static void *serve(void *argument)
{
    struct fake *fake = argument;
    int fd = accept(fake->listener, NULL, NULL);
    char bytes[4096];
    send_pieces(fake, fd, fake->first);
    while (fake->flood && send(fd, "{\"event\": \"STOP\"}\n", 18, MSG_NOSIGNAL) > 0)
        ;
    for (size_t i = 0; !fake->flood; i++) {
        if (recv(fd, bytes, sizeof bytes, 0) <= 0)
            break;
        if (i < 4 && fake->answers[i] != NULL)
            send_pieces(fake, fd, fake->answers[i]);
    }
    close(fd);
    return NULL;
}

/* depth: so many long directories below, for a path that no socket's address can hold */
static void fake_start(struct fake *fake, int depth, char *directory, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(fake->directory, "/tmp/poolherd-qmp-XXXXXX");
    assert_non_null(mkdtemp(fake->directory));
    snprintf(directory, size, "%s", fake->directory);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/s", fake->directory);
    fake->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fake->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fake->listener, 1), 0);
    for (int i = 0; i < depth; i++) {
        char from[48], longer[4096];
        snprintf(longer, sizeof longer, "%s/%060d", directory, i);
        assert_int_equal(mkdir(longer, 0700), 0);
        snprintf(from, sizeof from, "%s/s", fake->directory);
        snprintf(directory, size, "%s", longer);
    }
    if (depth > 0) {
        char to[4096];
        snprintf(to, sizeof to, "%s/s", directory);
        assert_int_equal(rename(address.sun_path, to), 0);
    }
    assert_int_equal(pthread_create(&fake->thread, NULL, serve, fake), 0);
}

static void fake_stop(struct fake *fake)
{
    shutdown(fake->listener, SHUT_RDWR);
    pthread_join(fake->thread, NULL);
    close(fake->listener);
    assert_int_equal(ph_tree_remove(fake->directory), 0);
}

static int open_it(
    struct fake *fake, uint32_t timeout_ms, struct ph_qmp *qmp, struct ph_error *error)
{
    char directory[4096];
    fake_start(fake, 0, directory, sizeof directory);
    return ph_qmp_open(qmp, directory, "s", timeout_ms, error);
}

static void a_conversation_in_pieces(void **state)
{
    (void)state;
    struct fake fake = {.first = GREETING,
        .piece = 1,
        .answers = {AGREED,
            "{\"event\": \"RESUME\", \"timestamp\": {\"seconds\": 1, \"microseconds\": 2}}\r\n"
            "{\"return\": \"not mine\", \"id\": 77}\r\n"
            "\r\n{\"return\": {\"status\": \"running\"}, \"id\": 2}\r\n",
            "{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\\u001b[31m\"}, \"id\": "
            "3}\r\n"}};
    struct ph_qmp qmp;
    struct ph_error error = {0};
    json_t *value = NULL;
    assert_int_equal(open_it(&fake, 5000, &qmp, &error), 0);
    assert_int_equal(ph_qmp_execute(&qmp, "query-status", NULL, 5000, &value, &error), 0);
    assert_string_equal(json_string_value(json_object_get(value, "status")), "running");
    json_decref(value);
    assert_int_equal(
        ph_qmp_execute(&qmp, "stop", json_pack("{s:i}", "x", 1), 5000, NULL, &error), -EIO);
    assert_string_equal(error.field, "GenericError");
    assert_non_null(
        strstr(error.message, "stop: no\\x1b[31m")); /* shown, not played to a terminal */
    ph_qmp_close(&qmp);
    fake_stop(&fake);
}

static void a_path_longer_than_an_address(void **state)
{
    (void)state;
    struct fake fake = {.first = GREETING, .answers = {AGREED}};
    struct ph_qmp qmp;
    struct ph_error error = {0};
    char directory[4096];
    fake_start(&fake, 4, directory, sizeof directory);
    assert_true(strlen(directory) > sizeof((struct sockaddr_un *)NULL)->sun_path);
    assert_int_equal(ph_qmp_open(&qmp, directory, "s", 5000, &error), 0);
    ph_qmp_close(&qmp);
    fake_stop(&fake);
}

static void bad_servers(void **state)
{
    (void)state;
    static const struct {
        const char *first, *answer;
        bool flood;
        int rv;
        const char *says;
    } cases[] = {
        {"hello\n", NULL, false, -EPROTO, "no JSON object"},
        {"[1, 2]\n", NULL, false, -EPROTO, "no JSON object"},
        {"{\"hello\": 1}\n", NULL, false, -EPROTO, "no message"},
        {"{\"event\": \"STOP\"}\n", NULL, false, -EPROTO, "did not greet"},
        {"{\"QMP\": {}, \"QMP\": {}}\n", NULL, false, -EPROTO, "no JSON object"},
        {"", NULL, false, -ETIMEDOUT, "in time"}, /* another client is served */
        {"{\"QMP\": {\"ver", NULL, false, -ETIMEDOUT, "in time"},
        {GREETING, "", false, -ETIMEDOUT, "qmp_capabilities"},
        {GREETING, "nonsense\n", false, -EPROTO, "no JSON object"},
        {GREETING, "{\"return\": {}, \"id\": 2}\n", false, -ETIMEDOUT, "qmp_capabilities"},
        {GREETING, NULL, true, -ETIMEDOUT, "qmp_capabilities"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fake fake = {
            .first = cases[i].first, .answers = {cases[i].answer}, .flood = cases[i].flood};
        struct ph_qmp qmp;
        struct ph_error error = {0};
        uint64_t began_ms = ph_clock_boot_ms();
        int rv = open_it(&fake, 150, &qmp, &error);
        if (rv != cases[i].rv || strstr(error.message, cases[i].says) == NULL)
            fail_msg("case %zu: %d, %s", i, rv, error.message);
        assert_int_equal(qmp.fd, -1);
        assert_true(ph_clock_boot_ms() - began_ms < 5000);
        fake_stop(&fake);
    }
}

static void a_line_without_end(void **state)
{
    (void)state;
    struct ph_qmp_lines lines = {NULL, 0, 0, 0};
    struct ph_qmp_message message;
    struct ph_error error;
    char bytes[65536];
    memset(bytes, 'x', sizeof bytes);
    size_t fed = 0;
    int rv;
    while ((rv = ph_qmp_feed(&lines, bytes, sizeof bytes)) == 0) {
        fed += sizeof bytes;
        assert_int_equal(ph_qmp_next(&lines, &message, &error), -EAGAIN);
        assert_true(fed <= PH_QMP_LINE_BYTES_MAX);
    }
    assert_int_equal(rv, -EMSGSIZE);
    assert_int_equal(fed, PH_QMP_LINE_BYTES_MAX);
    ph_qmp_lines_fini(&lines);
}

static void nobody_there(void **state)
{
    (void)state;
    struct ph_qmp qmp;
    struct ph_error error = {0};
    assert_int_equal(ph_qmp_open(&qmp, "/nowhere", "s", 100, &error), -ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_conversation_in_pieces),
        cmocka_unit_test(a_path_longer_than_an_address), cmocka_unit_test(bad_servers),
        cmocka_unit_test(a_line_without_end), cmocka_unit_test(nobody_there)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
