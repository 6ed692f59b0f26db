/* What was acknowledged is there, whatever happens to the process or its disk; and the loop does not
 * wait for the disk. */
#include "running.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <zmq.h>

#define ROUNDS 20
#define ACKS_MAX 20000

struct load {
    struct running *running;
    int number;
    atomic_bool *killed;
    size_t count;
    char (*names)[PH_NAME_BYTES_MAX + 1]; /* acknowledged */
    pthread_t thread;
};

static atomic_int acknowledged;

/* Invites and declares as fast as it is answered, until the manager is gone. */
static void *load_main(void *argument)
{
    struct load *load = argument;
    struct ph_client *client = running_client(load->running, NULL);
    static atomic_int serial;

    while (!atomic_load(load->killed) && load->count < ACKS_MAX) {
        char name[PH_NAME_BYTES_MAX + 1], body[256], *text = NULL;
        struct ph_error error;
        int rv, number = atomic_fetch_add(&serial, 1);

        if (number % 2 == 0) {
            snprintf(name, sizeof name, "i-%d", number);
            snprintf(body, sizeof body, "{\"name\":\"%s\",\"role\":\"viewer\"}", name);
            rv = ph_client_ask(client, "invite", body, 300, &text, &error);
        } else {
            snprintf(name, sizeof name, "p-%d", number);
            snprintf(body, sizeof body,
                "{\"pools\":[{\"name\":\"%s\",\"driver\":\"directory\",\"vms\":[{\"name\":\"v\","
                "\"kind\":\"process\",\"command\":[\"true\"]}]}]}",
                name);
            rv = ph_client_ask(client, "pool.apply", body, 300, &text, &error);
        }
        free(text);
        if (rv == 0) {
            memcpy(load->names[load->count++], name, sizeof name);
            atomic_fetch_add(&acknowledged, 1);
        } else if (rv != -ETIMEDOUT) {
            fprintf(stderr, "%s: %s\n", name, error.message);
            abort();
        }
    }
    ph_client_destroy(&client);
    return NULL;
}

static json_t *names_of(json_t *list)
{
    json_t *names = json_object(), *item;
    size_t i;

    json_array_foreach(list, i, item)
    {
        json_object_set_new(names, text_of(item, "name"), json_true());
    }
    return names;
}

static void nothing_acknowledged_is_lost_when_the_manager_is_killed(void **state)
{
    struct running *running = *state;
    struct load loads[2] = {0};
    atomic_bool killed;
    struct ph_client *client;
    json_t *identities, *pools, *known, *declared;
    int round;
    size_t i, j;

    for (i = 0; i < 2; i++) {
        loads[i].names = calloc(ACKS_MAX, sizeof loads[i].names[0]);
        assert_non_null(loads[i].names);
    }
    srand(7);
    for (round = 0; round < ROUNDS; round++) {
        uint64_t end = ph_clock_boot_ms() + LIMIT_MS;
        int goal = atomic_load(&acknowledged) + 1 + rand() % 40;

        running_must_start(running, NULL);
        atomic_store(&killed, false);
        for (i = 0; i < 2; i++) {
            loads[i].running = running;
            loads[i].killed = &killed;
            assert_int_equal(pthread_create(&loads[i].thread, NULL, load_main, &loads[i]), 0);
        }
        while (atomic_load(&acknowledged) < goal) {
            assert_true(ph_clock_boot_ms() < end);
            poll(NULL, 0, 1);
        }
        assert_int_equal(kill(running->pid, SIGKILL), 0);
        atomic_store(&killed, true);
        (void)running_wait(running);
        for (i = 0; i < 2; i++) {
            pthread_join(loads[i].thread, NULL);
        }
    }
    running_must_start(running, NULL);
    client = running_client(running, NULL);
    identities = running_ask(running, client, "identity.list", "{}");
    pools = running_ask(running, client, "pool.list", "{}");
    known = names_of(json_object_get(identities, "identities"));
    declared = names_of(json_object_get(pools, "pools"));
    for (i = 0; i < 2; i++) {
        assert_true(loads[i].count > 0);
        for (j = 0; j < loads[i].count; j++) {
            const char *name = loads[i].names[j];

            if (json_object_get(name[0] == 'i' ? known : declared, name) == NULL) {
                fail_msg("%s was acknowledged and is gone", name);
            }
        }
        free(loads[i].names);
    }
    json_decref(identities);
    json_decref(pools);
    json_decref(known);
    json_decref(declared);
    ph_client_destroy(&client);
}

/* ---- a node, as far as beats go ---- */

static void node_say(struct ph_wire_client *node, enum ph_message_type type, const void *body)
{
    char *text = NULL;
    size_t bytes = 0;
    uint64_t end = ph_clock_boot_ms() + LIMIT_MS;

    assert_int_equal(ph_message_encode(type, 0, body, &text, &bytes), 0);
    while (ph_wire_client_send(node, text, bytes, NULL, 0) != 0) {
        zmq_pollitem_t item = {ph_wire_client_socket(node), 0, ZMQ_POLLOUT, 0};

        assert_true(ph_clock_boot_ms() < end);
        zmq_poll(&item, 1, 100);
    }
    free(text);
}

/* Waits for a message of this type within limit_ms; false when none came. */
static bool node_hear(struct ph_wire_client *node, enum ph_message_type type, uint64_t limit_ms,
    struct ph_message *message)
{
    uint64_t end = ph_clock_boot_ms() + limit_ms, now;

    while ((now = ph_clock_boot_ms()) < end) {
        struct ph_wire_message raw;
        struct ph_error error = {0};
        zmq_pollitem_t item = {ph_wire_client_socket(node), 0, ZMQ_POLLIN, 0};

        if (ph_wire_client_receive(node, &raw) == 0) {
            assert_int_equal(ph_message_decode(raw.text, raw.bytes, message, &error), 0);
            if (message->type == type) {
                return true;
            }
            ph_message_fini(message);
            continue;
        }
        zmq_poll(&item, 1, (long)(end - now));
    }
    return false;
}

static struct ph_wire_client *node_connect(struct running *running, const char *name)
{
    struct ph_client *admin = running_client(running, NULL);
    struct ph_wire_client *node = NULL;
    struct ph_identity_file identity;
    struct ph_error error = {0};
    char path[160];

    running_enrol(running, admin, name, "agent", path);
    ph_client_destroy(&admin);
    assert_int_equal(ph_identity_load(path, &identity, &error), 0);
    assert_int_equal(ph_wire_client_new(identity.manager_endpoint, identity.manager_key,
                         identity.public_key, identity.secret_key, &node, &error),
        0);
    return node;
}

static int64_t node_admit(struct running *running, struct ph_wire_client *node)
{
    char instance[] = "instance-1";
    struct ph_hello hello = {.instance = instance, .cpu = 1000, .memory_mib = 100, .disk_mib = 100};
    struct ph_message message;
    int64_t generation;

    node_say(node, PH_MSG_HELLO, &hello);
    if (!node_hear(node, PH_MSG_WELCOME, LIMIT_MS, &message)) {
        running_log_show(running);
        fail_msg("no welcome");
    }
    generation = ((struct ph_welcome *)message.body)->generation;
    ph_message_fini(&message);
    return generation;
}

static void node_beat(struct ph_wire_client *node, int64_t number, int64_t generation)
{
    char instance[] = "instance-1";
    struct ph_beat beat = {.number = number,
        .boot_ms = (int64_t)ph_clock_boot_ms(),
        .generation = generation,
        .instance = instance};

    node_say(node, PH_MSG_BEAT, &beat);
}

static void grant_expect(struct running *running, struct ph_wire_client *node, int64_t number)
{
    struct ph_message message;
    const struct ph_grant *grant;

    if (!node_hear(node, PH_MSG_GRANT, LIMIT_MS, &message)) {
        running_log_show(running);
        fail_msg("no grant for beat %lld", (long long)number);
    }
    grant = message.body;
    assert_int_equal(grant->number, number);
    ph_message_fini(&message);
}

static void beats_are_answered_while_the_disk_stands_still(void **state)
{
    struct running *running = *state;
    struct ph_wire_client *node;
    struct ph_client *admin;
    struct ph_error error = {0};
    sqlite3 *other = NULL;
    char path[160], *text = NULL;
    int64_t generation, number;

    running_must_start(running, NULL);
    node = node_connect(running, "n1");
    generation = node_admit(running, node);
    node_beat(node, 1, generation);
    grant_expect(running, node, 1);
    admin = running_client(running, NULL);
    /* Another writer holds the lock: the manager's commits wait, as they would for a slow disk. */
    snprintf(path, sizeof path, "%s/inventory.db", running->directory);
    assert_int_equal(sqlite3_open(path, &other), SQLITE_OK);
    sqlite3_busy_timeout(other, 5000);
    assert_int_equal(sqlite3_exec(other, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(ph_client_ask(admin, "invite", "{\"name\":\"slow\",\"role\":\"viewer\"}", 200,
                         &text, &error),
        -ETIMEDOUT);
    for (number = 2; number < 30; number++) {
        uint64_t sent_ms = ph_clock_boot_ms();

        node_beat(node, number, generation);
        grant_expect(running, node, number);
        assert_true(ph_clock_boot_ms() - sent_ms < 500);
    }
    assert_int_equal(sqlite3_exec(other, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    sqlite3_close(other);
    /* And what waited was not lost. */
    json_decref(running_ask(running, admin, "invite", "{\"name\":\"fast\",\"role\":\"viewer\"}"));
    running_refused(admin, "invite", "{\"name\":\"slow\",\"role\":\"none\"}", PH_BAD_INPUT);
    ph_client_destroy(&admin);
    ph_wire_client_destroy(&node);
}

static void a_short_restart_goes_on_granting(void **state)
{
    struct running *running = *state;
    struct ph_wire_client *node;
    struct ph_message message;
    int64_t generation, number = 1;
    uint64_t end;

    running_must_start(running, NULL);
    node = node_connect(running, "n1");
    generation = node_admit(running, node);
    node_beat(node, number, generation);
    grant_expect(running, node, number);
    assert_int_equal(running_stop(running, SIGKILL), SIGKILL);
    running_must_start(running, NULL);
    /* The stored admission is granted before a hello is heard, under the next term. */
    end = ph_clock_boot_ms() + LIMIT_MS;
    do {
        node_beat(node, ++number, generation);
        assert_true(ph_clock_boot_ms() < end);
    } while (!node_hear(node, PH_MSG_GRANT, 100, &message));
    assert_int_equal(((struct ph_grant *)message.body)->term, 2);
    assert_int_equal(((struct ph_grant *)message.body)->generation, generation);
    ph_message_fini(&message);
    ph_wire_client_destroy(&node);
}

/* A manager that was stopped for longer than a take-over takes finds the beats that waited first, and
 * calls nobody lost. */
static void a_paused_manager_calls_nobody_lost(void **state)
{
    struct running *running = *state;
    struct ph_wire_client *node;
    struct ph_client *admin;
    struct ph_message message;
    int64_t generation, number = 1;
    uint64_t end;
    json_t *shown;

    running_must_start(running, NULL);
    node = node_connect(running, "n1");
    generation = node_admit(running, node);
    node_beat(node, number, generation);
    grant_expect(running, node, number);
    assert_int_equal(kill(running->pid, SIGSTOP), 0);
    for (end = ph_clock_boot_ms() + 3000; ph_clock_boot_ms() < end; poll(NULL, 0, 200)) {
        node_beat(node, ++number, generation);
    }
    assert_int_equal(kill(running->pid, SIGCONT), 0);
    end = ph_clock_boot_ms() + LIMIT_MS;
    do {
        if (node_hear(node, PH_MSG_GRANT, 200, &message)) {
            assert_int_equal(((struct ph_grant *)message.body)->generation, generation);
            if (((struct ph_grant *)message.body)->number == number) {
                ph_message_fini(&message);
                break;
            }
            ph_message_fini(&message);
        } else {
            node_beat(node, ++number, generation);
        }
    } while (ph_clock_boot_ms() < end);
    assert_true(ph_clock_boot_ms() < end);
    admin = running_client(running, NULL);
    shown = running_ask(running, admin, "node.show", "{\"name\":\"n1\"}");
    assert_string_equal(
        text_of(json_array_get(json_object_get(shown, "nodes"), 0), "state"), "online");
    json_decref(shown);
    ph_client_destroy(&admin);
    ph_wire_client_destroy(&node);
}

static void a_long_query_holds_nothing_up(void **state)
{
    static const char query[] =
        "{\"type\":\"query\",\"id\":1,\"body\":{\"sql\":\"SELECT count(*) FROM events a, events b, "
        "events c, events d, events e, events f, events g, events h, events i, events j\"}}";
    struct running *running = *state;
    struct ph_wire_client *node;
    struct ph_client *admin;
    struct ph_identity_file identity;
    struct ph_wire_client *asker = NULL;
    struct ph_error error = {0};
    char path[160];
    int64_t generation, number;
    uint64_t begin_ms;

    running_must_start(running, NULL);
    node = node_connect(running, "n1");
    generation = node_admit(running, node);
    admin = running_client(running, NULL);
    for (number = 0; number < 20; number++) {
        snprintf(path, sizeof path, "{\"name\":\"x%d\",\"role\":\"viewer\"}", (int)number);
        json_decref(running_ask(running, admin, "invite", path));
    }
    snprintf(path, sizeof path, "%s/admin.identity", running->directory);
    assert_int_equal(ph_identity_load(path, &identity, &error), 0);
    assert_int_equal(ph_wire_client_new(identity.manager_endpoint, identity.manager_key,
                         identity.public_key, identity.secret_key, &asker, &error),
        0);
    for (number = 0; number < 8; number++) { /* more than there are threads */
        uint64_t end = ph_clock_boot_ms() + LIMIT_MS;

        while (ph_wire_client_send(asker, query, sizeof query - 1, NULL, 0) != 0) {
            zmq_pollitem_t item = {ph_wire_client_socket(asker), 0, ZMQ_POLLOUT, 0};

            assert_true(ph_clock_boot_ms() < end);
            zmq_poll(&item, 1, 100);
        }
    }
    for (number = 1; number < 20; number++) {
        node_beat(node, number, generation);
        grant_expect(running, node, number);
    }
    json_decref(running_ask(running, admin, "invite", "{\"name\":\"y\",\"role\":\"viewer\"}"));
    begin_ms = ph_clock_boot_ms();
    assert_int_equal(running_stop(running, SIGTERM), 0);
    assert_true(ph_clock_boot_ms() - begin_ms < 5000);
    ph_wire_client_destroy(&asker);
    ph_wire_client_destroy(&node);
    ph_client_destroy(&admin);
}

/* ---- a full disk, played by a limit on the size of files ---- */

static bool start_limited(struct running *running, rlim_t bytes)
{
    const char *const argv[] = {
        MANAGER, "--dir", running->directory, "--listen", "tcp://127.0.0.1:*", NULL};
    int fds[2], log_fd = open(running->log, O_CREAT | O_APPEND | O_WRONLY | O_CLOEXEC, 0600);

    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    running->pid = fork();
    assert_true(running->pid >= 0);
    if (running->pid == 0) {
        struct rlimit limit = {bytes, bytes};

        signal(SIGXFSZ, SIG_IGN);
        setrlimit(RLIMIT_FSIZE, &limit);
        dup2(fds[1], STDOUT_FILENO);
        dup2(log_fd, STDERR_FILENO);
        execv(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    close(fds[1]);
    close(log_fd);
    if (running->out_fd >= 0) {
        close(running->out_fd);
    }
    running->out_fd = fds[0];
    return running_read_ready(running);
}

static void a_full_disk_ends_the_manager_and_loses_nothing(void **state)
{
    struct running *running = *state;
    struct ph_client *client;
    struct ph_error error = {0};
    char path[160], body[256], *text = NULL;
    struct stat status;
    json_t *pools;
    int stored = 0, rv, ended;

    running_must_start(running, NULL);
    assert_int_equal(running_stop(running, SIGTERM), 0);
    snprintf(path, sizeof path, "%s/inventory.db", running->directory);
    assert_int_equal(stat(path, &status), 0);
    if (!start_limited(running, (rlim_t)status.st_size + 200000)) {
        running_log_show(running);
        fail_msg("not ready");
    }
    client = running_client(running, NULL);
    do {
        snprintf(body, sizeof body, "{\"pools\":[{\"name\":\"p-%d\",\"driver\":\"directory\"}]}",
            stored);
        rv = ph_client_ask(client, "pool.apply", body, 3000, &text, &error);
        free(text);
        text = NULL;
        stored += rv == 0;
    } while (rv == 0 && stored < 5000);
    assert_int_equal(error.code, PH_FAILED);
    assert_non_null(strstr(error.message, "stored"));
    ended = running_wait(running);
    assert_true(WIFEXITED(ended) && WEXITSTATUS(ended) == 1);
    ph_client_destroy(&client);
    assert_true(stored > 0);
    running_must_start(running, NULL);
    client = running_client(running, NULL);
    pools = running_ask(running, client, "pool.list", "{}");
    assert_int_equal(json_array_size(json_object_get(pools, "pools")), stored);
    json_decref(pools);
    ph_client_destroy(&client);
}

int main(void)
{
#define DURABLE_TEST(name) cmocka_unit_test_setup_teardown(name, running_setup, running_teardown)
    const struct CMUnitTest tests[] = {
        DURABLE_TEST(nothing_acknowledged_is_lost_when_the_manager_is_killed),
        DURABLE_TEST(beats_are_answered_while_the_disk_stands_still),
        DURABLE_TEST(a_short_restart_goes_on_granting),
        DURABLE_TEST(a_paused_manager_calls_nobody_lost),
        DURABLE_TEST(a_long_query_holds_nothing_up),
        DURABLE_TEST(a_full_disk_ends_the_manager_and_loses_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
