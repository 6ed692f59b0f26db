/* What an agent of the swarm says and hears. It looks for a few words only, so that the swarm takes
 * little of the processors it shares with what is measured. */
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEASE_NS 10000000000ULL

int64_t said_number(const char *text, const char *key)
{
    const char *at = strstr(text, key);

    return at == NULL ? -1 : strtoll(at + strlen(key), NULL, 10);
}

static void hello(struct swarm *swarm, struct agent *agent)
{
    char text[640];
    uint64_t now_ns = swarm_now_ns();
    int64_t left_ms =
        agent->lease_ns > now_ns ? (int64_t)((agent->lease_ns - now_ns) / 1000000) : 0;
    int bytes = snprintf(text, sizeof text,
        "{\"type\":\"hello\",\"id\":0,\"body\":{\"instance\":\"%s\",\"number\":%lld,\"version\":"
        "\"bench\",\"boot_id\":\"bench\",\"endpoint\":\"tcp://"
        "127.0.0.1:1\",\"drivers\":[\"directory\","
        "\"process\"],\"cpu\":64000,\"memory_mib\":262144,\"disk_mib\":1048576,\"generation\":%lld,"
        "\"term\":%lld,\"lease_left_ms\":%lld,\"pools\":[]}}",
        agent->instance, (long long)++agent->hello_number, (long long)agent->generation,
        (long long)agent->term, (long long)left_ms);

    (void)swarm;
    agent->hello_ns = now_ns;
    agent->waiting = !swarm_send(agent, text, (size_t)bytes);
}

static void beat(struct swarm *swarm, struct agent *agent)
{
    char text[320];
    uint64_t now_ns = swarm_now_ns();
    int bytes = snprintf(text, sizeof text,
        "{\"type\":\"beat\",\"id\":0,\"body\":{\"number\":%lld,\"boot_ms\":%llu,\"generation\":%"
        "lld,"
        "\"term\":%lld,\"instance\":\"%s\"}}",
        (long long)++agent->number, (unsigned long long)(now_ns / 1000000),
        (long long)agent->generation, (long long)agent->term, agent->instance);

    if (!swarm_send(agent, text, (size_t)bytes)) {
        agent->waiting = true;
        return;
    }
    agent->waiting = false;
    agent->sent_ns[agent->number % SWARM_BEATS] = now_ns;
    swarm->sent++;
}

void said_speak(struct swarm *swarm, struct agent *agent)
{
    if (!agent->welcomed && swarm_now_ns() - agent->hello_ns >= swarm->beat_ns / 2) {
        hello(swarm, agent);
    }
    if (agent->generation > 0) {
        beat(swarm, agent);
    }
    if (swarm->fake) {
        fake_repeat(agent);
    }
}

static void term_newer(struct swarm *swarm, int64_t term)
{
    if (term > swarm->term) {
        swarm->term = term;
        swarm->granted = swarm->welcomed = 0;
    }
}

/* A moment worth a line, by the clock that everybody on this machine shares. */
static void say_all(const struct swarm *swarm, const char *what)
{
    printf("{\"event\":\"%s\",\"term\":%lld,\"at\":%.6f}\n", what, (long long)swarm->term,
        (double)swarm_now_ns() / 1e9);
    fflush(stdout);
}

static void granted(struct swarm *swarm, struct agent *agent, const char *text)
{
    int64_t term = said_number(text, "\"term\":"), number = said_number(text, "\"number\":");
    uint64_t *sent_ns = &agent->sent_ns[(uint64_t)number % SWARM_BEATS];

    if (number < 0 || number > agent->number || number + SWARM_BEATS <= agent->number ||
        *sent_ns == 0) {
        return; /* of a beat that is forgotten */
    }
    swarm->answered++;
    swarm_latency(swarm, swarm_now_ns() - *sent_ns);
    if (*sent_ns + LEASE_NS > agent->lease_ns) {
        agent->lease_ns = *sent_ns + LEASE_NS;
    }
    *sent_ns = 0;
    term_newer(swarm, term);
    if (term != agent->granted_term) {
        agent->granted_term = term;
        if (term == swarm->term && ++swarm->granted == swarm->count) {
            say_all(swarm, "granted");
        }
    }
    if (term != agent->term) { /* a manager that has just started: present ourselves */
        agent->term = term;
        agent->welcomed = false;
        hello(swarm, agent);
    }
}

static void welcomed(struct swarm *swarm, struct agent *agent, const char *text)
{
    int64_t term = said_number(text, "\"term\":");

    agent->generation = said_number(text, "\"generation\":");
    agent->term = term;
    term_newer(swarm, term);
    if (!agent->welcomed) {
        agent->welcomed = true;
        if (agent->granted_term != term) {
            beat(swarm, agent);
        }
    }
    if (term != agent->welcome_term) {
        agent->welcome_term = term;
        if (term == swarm->term && ++swarm->welcomed == swarm->count) {
            say_all(swarm, "welcomed");
        }
    }
}

void said_hear(struct swarm *swarm, struct agent *agent, const char *text, size_t bytes)
{
    char type[24] = "";

    if (bytes < 9 || sscanf(text, "{\"type\":\"%23[a-z._]\"", type) != 1) {
        return;
    }
    if (strcmp(type, "grant") == 0) {
        granted(swarm, agent, text);
    } else if (strcmp(type, "welcome") == 0) {
        welcomed(swarm, agent, text);
    } else if (strcmp(type, "unwelcome") == 0) {
        swarm->refused++;
        agent->welcomed = false;
    } else if (swarm->fake && strcmp(type, "order") == 0) {
        fake_order(agent, text, bytes);
    } else if (swarm->fake && strcmp(type, "report.ok") == 0) {
        fake_report_ok(swarm, agent, text, bytes);
    }
}
