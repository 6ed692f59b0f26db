/*
 * swarm --keys FILE COUNT             makes COUNT key pairs ("public secret" a line)
 * swarm [--pools] ENDPOINT SERVER_KEY FILE FIRST COUNT BEAT_MS
 *     runs agents FIRST .. FIRST+COUNT-1 of the file. On stdout, JSON lines: {"event":"granted"} when
 *     each of them has had a grant of the newest term, "welcomed" likewise, and for each line "mark" on
 *     stdin what was counted since the last one. "quit", or the end of stdin, ends it.
 *
 * One thread beside ZeroMQ's: an epoll over the sockets' descriptors. Such a descriptor says only that
 * something may have happened, so a socket is read until it has nothing, after each sending too.
 */
#include "swarm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define KEY_BYTES 41
#define CONTEXT_SOCKETS 2000 /* as many clients share one I/O thread */

static void die(const char *what)
{
    fprintf(stderr, "swarm: %s: %s\n", what, zmq_strerror(zmq_errno()));
    exit(1);
}

uint64_t swarm_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000ULL + (uint64_t)now.tv_nsec;
}

bool swarm_send(struct agent *agent, const char *text, size_t bytes)
{
    return zmq_send(agent->socket, text, bytes, ZMQ_DONTWAIT) >= 0;
}

/* Below 1 ms by the microsecond, then coarser by half a per cent or so. */
static size_t latency_slot(uint64_t us)
{
    size_t shift = 0;

    while ((us >> shift) >= 1024) {
        shift++;
    }
    return shift == 0 ? (size_t)us : 1024 + (shift - 1) * 512 + (size_t)((us >> shift) - 512);
}

static uint64_t slot_us(size_t slot)
{
    return slot < 1024 ? slot : (uint64_t)(512 + (slot - 1024) % 512) << (1 + (slot - 1024) / 512);
}

void swarm_latency(struct swarm *swarm, uint64_t ns)
{
    uint64_t us = ns / 1000;
    size_t slot = latency_slot(us), last = sizeof swarm->latency / sizeof swarm->latency[0] - 1;

    swarm->latency[slot > last ? last : slot]++;
    swarm->latency_max_us = us > swarm->latency_max_us ? us : swarm->latency_max_us;
}

static uint64_t percentile_us(const struct swarm *swarm, double share)
{
    uint64_t seen = 0;
    size_t i;

    for (i = 0; i < sizeof swarm->latency / sizeof swarm->latency[0]; i++) {
        seen += swarm->latency[i];
        if (seen > 0 && (double)seen >= share * (double)swarm->answered) {
            return slot_us(i);
        }
    }
    return 0;
}

static void mark(struct swarm *swarm)
{
    printf("{\"event\":\"mark\",\"at\":%.6f,\"sent\":%llu,\"answered\":%llu,\"refused\":%llu,"
           "\"changes\":%llu,\"p50_us\":%llu,\"p99_us\":%llu,\"max_us\":%llu}\n",
        (double)swarm_now_ns() / 1e9, (unsigned long long)swarm->sent,
        (unsigned long long)swarm->answered, (unsigned long long)swarm->refused,
        (unsigned long long)swarm->changes, (unsigned long long)percentile_us(swarm, 0.5),
        (unsigned long long)percentile_us(swarm, 0.99), (unsigned long long)swarm->latency_max_us);
    fflush(stdout);
    swarm->sent = swarm->answered = swarm->refused = swarm->changes = swarm->latency_max_us = 0;
    memset(swarm->latency, 0, sizeof swarm->latency);
}

static int make_keys(const char *path, int count)
{
    char public_key[KEY_BYTES], secret_key[KEY_BYTES];
    FILE *file = fopen(path, "w");
    int i;

    if (file == NULL) {
        die(path);
    }
    for (i = 0; i < count; i++) {
        if (zmq_curve_keypair(public_key, secret_key) != 0) {
            die("zmq_curve_keypair");
        }
        fprintf(file, "%s %s\n", public_key, secret_key);
    }
    return fclose(file) == 0 ? 0 : 1;
}

static void set(void *socket, int option, int value)
{
    if (zmq_setsockopt(socket, option, &value, sizeof value) != 0) {
        die("zmq_setsockopt");
    }
}

/* As an agent does it (proto/wire/dealer.c). Each of some source addresses has its own ports. */
static void connect_one(struct agent *agent, void *context, const char *endpoint,
    const char *server_key, const char *public_key, const char *secret_key)
{
    char from[300];
    size_t size = sizeof agent->fd;

    agent->socket = zmq_socket(context, ZMQ_DEALER);
    if (agent->socket == NULL) {
        die("zmq_socket");
    }
    set(agent->socket, ZMQ_LINGER, 0);
    set(agent->socket, ZMQ_IMMEDIATE, 1);
    set(agent->socket, ZMQ_RECONNECT_IVL, 20);
    set(agent->socket, ZMQ_RECONNECT_IVL_MAX, 200);
    set(agent->socket, ZMQ_HANDSHAKE_IVL, 60000);
    snprintf(from, sizeof from, "tcp://127.0.%d.%d:0;%s", 1 + agent->index % 8,
        2 + agent->index % 200, endpoint + strlen("tcp://"));
    if (zmq_setsockopt(agent->socket, ZMQ_CURVE_SERVERKEY, server_key, KEY_BYTES) != 0 ||
        zmq_setsockopt(agent->socket, ZMQ_CURVE_PUBLICKEY, public_key, KEY_BYTES) != 0 ||
        zmq_setsockopt(agent->socket, ZMQ_CURVE_SECRETKEY, secret_key, KEY_BYTES) != 0 ||
        zmq_connect(agent->socket, from) != 0 ||
        zmq_getsockopt(agent->socket, ZMQ_FD, &agent->fd, &size) != 0) {
        die(from);
    }
    agent->waiting = true;
}

static void connect_all(
    struct swarm *swarm, int epoll, const char *endpoint, const char *server_key, const char *path)
{
    char public_key[KEY_BYTES], secret_key[KEY_BYTES];
    FILE *file = fopen(path, "r");
    void *context = NULL;
    int i;

    if (file == NULL) {
        die(path);
    }
    for (i = 0; i < swarm->first + swarm->count; i++) {
        struct agent *agent = &swarm->agents[i - swarm->first];

        if (fscanf(file, "%40s %40s", public_key, secret_key) != 2) {
            die(path);
        }
        if (i < swarm->first) {
            continue;
        }
        if ((i - swarm->first) % CONTEXT_SOCKETS == 0 && (context = zmq_ctx_new()) != NULL) {
            zmq_ctx_set(context, ZMQ_MAX_SOCKETS, CONTEXT_SOCKETS + 8);
        }
        agent->index = i;
        snprintf(agent->instance, sizeof agent->instance, "bench-%d", i);
        connect_one(agent, context, endpoint, server_key, public_key, secret_key);
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, agent->fd,
                &(struct epoll_event){.events = EPOLLIN | EPOLLET, .data.ptr = agent}) != 0) {
            die("epoll_ctl");
        }
    }
    fclose(file);
}

static void read_all(struct swarm *swarm, struct agent *agent)
{
    zmq_msg_t message;

    for (;;) {
        zmq_msg_init(&message);
        if (zmq_msg_recv(&message, agent->socket, ZMQ_DONTWAIT) < 0) {
            zmq_msg_close(&message);
            return;
        }
        size_t bytes = zmq_msg_size(&message);
        char text[2048], *whole = bytes < sizeof text ? text : malloc(bytes + 1);

        if (whole != NULL) {
            memcpy(whole, zmq_msg_data(&message), bytes);
            whole[bytes] = '\0';
            said_hear(swarm, agent, whole, bytes);
        }
        if (whole != text) {
            free(whole);
        }
        zmq_msg_close(&message);
    }
}

/* Something may have happened: a message, a connection made, a connection lost. */
static void look(struct swarm *swarm, struct agent *agent)
{
    int events = 0;
    size_t size = sizeof events;

    read_all(swarm, agent);
    if (zmq_getsockopt(agent->socket, ZMQ_EVENTS, &events, &size) != 0) {
        die("ZMQ_EVENTS");
    }
    if ((events & ZMQ_POLLOUT) == 0) {
        agent->waiting = true;
    } else if (agent->waiting) {
        agent->waiting = false;
        agent->hello_ns = 0;
        said_speak(swarm, agent);
        read_all(swarm, agent);
    }
    if ((events & ZMQ_POLLIN) != 0) {
        read_all(swarm, agent);
    }
}

/* false: the end. */
static bool commands(struct swarm *swarm)
{
    static char line[64];
    static size_t used;
    ssize_t got = read(STDIN_FILENO, line + used, sizeof line - 1 - used);
    char *end;

    if (got <= 0) {
        return got < 0 && errno == EINTR;
    }
    used += (size_t)got;
    line[used] = '\0';
    while ((end = strchr(line, '\n')) != NULL) {
        *end = '\0';
        if (strcmp(line, "mark") == 0) {
            mark(swarm);
        } else if (strcmp(line, "quit") == 0) {
            return false;
        }
        used -= (size_t)(end + 1 - line);
        memmove(line, end + 1, used + 1);
    }
    return true;
}

static void run(struct swarm *swarm, int epoll)
{
    struct epoll_event events[512];
    uint64_t start_ns = swarm_now_ns(), turn = 0; /* turn: beats that were due so far */
    uint64_t step_ns = swarm->beat_ns / (uint64_t)swarm->count;
    int i, count;

    for (;;) {
        uint64_t due_ns, now_ns = swarm_now_ns();

        for (i = 0; start_ns + turn * step_ns <= now_ns && i < 1000; i++, turn++) {
            struct agent *agent = &swarm->agents[turn % (uint64_t)swarm->count];

            said_speak(swarm, agent);
            look(swarm, agent);
        }
        due_ns = start_ns + turn * step_ns;
        now_ns = swarm_now_ns();
        count = epoll_wait(
            epoll, events, 512, due_ns <= now_ns ? 0 : (int)((due_ns - now_ns + 999999) / 1000000));
        for (i = 0; i < count; i++) {
            if (events[i].data.ptr != NULL) {
                look(swarm, events[i].data.ptr);
            } else if (!commands(swarm)) {
                return;
            }
        }
    }
}

int main(int argc, char **argv)
{
    struct swarm swarm = {.name = "n"};
    struct rlimit limit;
    int epoll;

    if (argc == 4 && strcmp(argv[1], "--keys") == 0) {
        return make_keys(argv[2], atoi(argv[3]));
    }
    if (argc > 1 && strcmp(argv[1], "--pools") == 0) {
        swarm.fake = true;
        argv++;
        argc--;
    }
    if (argc != 7) {
        fprintf(stderr, "usage: swarm --keys FILE COUNT\n"
                        "       swarm [--pools] ENDPOINT SERVER_KEY FILE FIRST COUNT BEAT_MS\n");
        return 2;
    }
    swarm.first = atoi(argv[4]);
    swarm.count = atoi(argv[5]);
    swarm.beat_ns = strtoull(argv[6], NULL, 10) * 1000000ULL;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    swarm.agents = swarm.count > 0 ? calloc((size_t)swarm.count, sizeof *swarm.agents) : NULL;
    if (epoll < 0 || swarm.agents == NULL ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, STDIN_FILENO,
            &(struct epoll_event){.events = EPOLLIN, .data.ptr = NULL}) != 0) {
        die("cannot start");
    }
    connect_all(&swarm, epoll, argv[1], argv[2], argv[3]);
    run(&swarm, epoll);
    fflush(stdout);
    _exit(0); /* closing thousands of sockets one by one is of no use to anybody */
}
