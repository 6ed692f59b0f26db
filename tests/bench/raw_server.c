/*
 * raw_server LISTEN PUBLIC SECRET KEYFILE TERM IO_THREADS
 *
 * What an agent's beat costs with nothing but the libraries: ROUTER, CURVE, a ZAP handler, jansson.
 * Each message is decoded, its sender looked up by key, its fields checked, and an answer encoded.
 * The peer of tests/bench/beats.py; says "ready endpoint=..." as the manager does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <jansson.h>
#include <zmq.h>

#define KEY_BYTES 40
#define SLOTS 65536u /* a power of two, above twice the most agents */

struct known {
    char key[KEY_BYTES + 1];
    char instance[65];
    json_int_t number;
};

static struct known *table[SLOTS];
static json_int_t term;

static struct known **slot_of(const char *key)
{
    unsigned hash = 2166136261u;
    const char *at;

    for (at = key; *at != '\0'; at++) {
        hash = (hash ^ (unsigned char)*at) * 16777619u;
    }
    while (table[hash % SLOTS] != NULL && strcmp(table[hash % SLOTS]->key, key) != 0) {
        hash++;
    }
    return &table[hash % SLOTS];
}

static int keys_read(const char *path)
{
    char public_key[KEY_BYTES + 1];
    FILE *file = fopen(path, "r");

    if (file == NULL) {
        return -1;
    }
    while (fscanf(file, "%40s %*s", public_key) == 1) {
        struct known **slot = slot_of(public_key);

        *slot = calloc(1, sizeof **slot);
        if (*slot == NULL) {
            return -1;
        }
        memcpy((*slot)->key, public_key, sizeof public_key);
    }
    return fclose(file);
}

static void zap(void *socket)
{
    for (;;) {
        unsigned char frames[7][256];
        int sizes[7] = {0}, count = 0, more = 1;
        size_t size = sizeof more;
        char key[KEY_BYTES + 1] = "";

        while (more && count < 7) {
            sizes[count] = zmq_recv(socket, frames[count], 256, ZMQ_DONTWAIT);
            if (sizes[count] < 0) {
                return;
            }
            count++;
            zmq_getsockopt(socket, ZMQ_RCVMORE, &more, &size);
        }
        int good = count == 7 && sizes[6] == 32 && zmq_z85_encode(key, frames[6], 32) != NULL &&
                   *slot_of(key) != NULL;

        zmq_send(socket, "1.0", 3, ZMQ_SNDMORE);
        zmq_send(socket, frames[1], (size_t)sizes[1], ZMQ_SNDMORE);
        zmq_send(socket, good ? "200" : "400", 3, ZMQ_SNDMORE);
        zmq_send(socket, "", 0, ZMQ_SNDMORE);
        zmq_send(socket, key, strlen(key), ZMQ_SNDMORE);
        zmq_send(socket, "", 0, 0);
    }
}

static json_t *answer_beat(struct known *known, json_t *body)
{
    json_int_t number, boot_ms, generation, seen;
    const char *instance;

    if (json_unpack(body, "{s:I,s:I,s:I,s:I,s:s}", "number", &number, "boot_ms", &boot_ms,
            "generation", &generation, "term", &seen, "instance", &instance) != 0 ||
        number < 0 || boot_ms < 0 || generation != 1 || seen > term ||
        strlen(instance) >= sizeof known->instance) {
        return NULL;
    }
    memcpy(known->instance, instance, strlen(instance) + 1);
    known->number = number;
    return json_pack("{s:s,s:i,s:{s:I,s:I,s:I,s:I,s:s,s:i}}", "type", "grant", "id", 0, "body",
        "number", number, "boot_ms", boot_ms, "generation", generation, "term", term, "manager",
        "0123456789abcdef", "lease_ms", 10000);
}

static json_t *answer_hello(json_t *body)
{
    const char *instance;

    if (json_unpack(body, "{s:s}", "instance", &instance) != 0) {
        return NULL;
    }
    return json_pack("{s:s,s:i,s:{s:I,s:s,s:s,s:i,s:s,s:i,s:i,s:i}}", "type", "welcome", "id", 0,
        "body", "term", term, "manager", "0123456789abcdef", "name", "n", "generation", 1,
        "instance", instance, "beat_ms", 1000, "lease_ms", 10000, "stop_ms", 5000);
}

static void answer(void *router, const unsigned char *id, size_t id_bytes, zmq_msg_t *message)
{
    const char *key = zmq_msg_gets(message, "User-Id"), *type;
    struct known *known = key != NULL ? *slot_of(key) : NULL;
    json_error_t error;
    json_t *root, *body, *reply = NULL;

    if (known == NULL) {
        return;
    }
    root = json_loadb(zmq_msg_data(message), zmq_msg_size(message), 0, &error);
    if (root != NULL && json_unpack(root, "{s:s,s:o}", "type", &type, "body", &body) == 0) {
        reply = strcmp(type, "beat") == 0    ? answer_beat(known, body)
                : strcmp(type, "hello") == 0 ? answer_hello(body)
                                             : NULL;
    }
    if (reply != NULL) {
        char *text = json_dumps(reply, JSON_COMPACT);

        if (text != NULL && zmq_send(router, id, id_bytes, ZMQ_SNDMORE | ZMQ_DONTWAIT) >= 0) {
            zmq_send(router, text, strlen(text), ZMQ_DONTWAIT);
        }
        free(text);
    }
    json_decref(reply);
    json_decref(root);
}

static void set(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) {
        perror("zmq_setsockopt");
        exit(1);
    }
}

int main(int argc, char **argv)
{
    char endpoint[256];
    size_t size = sizeof endpoint;
    struct rlimit limit;
    void *context, *router, *authority;

    if (argc != 7 || keys_read(argv[4]) != 0) {
        fprintf(stderr, "usage: raw_server LISTEN PUBLIC SECRET KEYFILE TERM IO_THREADS\n");
        return 2;
    }
    term = atoll(argv[5]);
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    context = zmq_ctx_new();
    zmq_ctx_set(context, ZMQ_IO_THREADS, atoi(argv[6]));
    authority = zmq_socket(context, ZMQ_REP);
    zmq_bind(authority, "inproc://zeromq.zap.01");
    router = zmq_socket(context, ZMQ_ROUTER);
    set(router, ZMQ_LINGER, 0);
    set(router, ZMQ_ROUTER_MANDATORY, 1);
    set(router, ZMQ_BACKLOG, 20000);
    set(router, ZMQ_HANDSHAKE_IVL, 60000);
    set(router, ZMQ_CURVE_SERVER, 1);
    zmq_setsockopt(router, ZMQ_CURVE_PUBLICKEY, argv[2], KEY_BYTES + 1);
    zmq_setsockopt(router, ZMQ_CURVE_SECRETKEY, argv[3], KEY_BYTES + 1);
    if (zmq_bind(router, argv[1]) != 0 ||
        zmq_getsockopt(router, ZMQ_LAST_ENDPOINT, endpoint, &size) != 0) {
        fprintf(stderr, "raw_server: %s: %s\n", argv[1], zmq_strerror(zmq_errno()));
        return 1;
    }
    printf("ready endpoint=%s term=%lld\n", endpoint, (long long)term);
    fflush(stdout);
    for (;;) {
        zmq_pollitem_t items[] = {{router, 0, ZMQ_POLLIN, 0}, {authority, 0, ZMQ_POLLIN, 0}};
        int i;

        if (zmq_poll(items, 2, 1000) < 0) {
            continue;
        }
        zap(authority);
        for (i = 0; i < 1000; i++) {
            unsigned char id[256];
            int bytes = zmq_recv(router, id, sizeof id, ZMQ_DONTWAIT);
            zmq_msg_t message;

            if (bytes < 0) {
                break;
            }
            zmq_msg_init(&message);
            if (zmq_msg_recv(&message, router, ZMQ_DONTWAIT) >= 0) {
                answer(router, id, (size_t)bytes, &message);
            }
            zmq_msg_close(&message);
        }
    }
}
