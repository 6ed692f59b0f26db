/* Pretends to run pools: takes each order in, says the pool is active, and then says a change of its
 * VM's state as soon as the one before is durable (report.ok): what a manager has to store. */
#include "swarm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <jansson.h>

static struct fake_pool *find(struct agent *agent, const char *name, bool make)
{
    struct fake_pool *pool = agent->pools;

    while (pool != NULL && strcmp(pool->name, name) != 0) {
        pool = pool->next;
    }
    if (pool == NULL && make && (pool = calloc(1, sizeof *pool)) != NULL) {
        snprintf(pool->name, sizeof pool->name, "%s", name);
        pool->next = agent->pools;
        agent->pools = pool;
    }
    return pool;
}

static void report(struct agent *agent, struct fake_pool *pool)
{
    char text[512], vms[160] = "";
    int bytes;

    if (pool->running && pool->vm[0] != '\0') {
        snprintf(vms, sizeof vms,
            ",\"vms\":[{\"name\":\"%s\",\"state\":\"running\",\"pid\":1000,\"restarts\":%lld}]",
            pool->vm, (long long)pool->changes);
    }
    bytes = snprintf(text, sizeof text,
        "{\"type\":\"report\",\"id\":0,\"body\":{\"pool\":\"%s\",\"number\":%lld,\"epoch\":%lld,"
        "\"order_term\":%lld,\"order_number\":%lld,\"state\":\"%s\"%s}}",
        pool->name, (long long)pool->number, (long long)pool->epoch, (long long)pool->order_term,
        (long long)pool->order_number, pool->running ? "active" : "released", vms);
    (void)swarm_send(agent, text, (size_t)bytes);
}

void fake_order(struct agent *agent, const char *text, size_t bytes)
{
    json_error_t error;
    json_t *root = json_loadb(text, bytes, 0, &error), *vms = NULL;
    const char *kind, *name;
    json_int_t epoch, term, number;
    struct fake_pool *pool;

    if (root == NULL ||
        json_unpack(root, "{s:{s:s,s:I,s:I,s:I,s:{s:s},s?o}}", "body", "kind", &kind, "epoch",
            &epoch, "term", &term, "number", &number, "pool", "name", &name, "vms", &vms) != 0) {
        json_decref(root);
        return;
    }
    pool = find(agent, name, true);
    if (pool != NULL) {
        const char *vm = json_string_value(json_object_get(json_array_get(vms, 0), "name"));

        pool->epoch = epoch;
        pool->order_term = term;
        pool->order_number = number;
        pool->running = strcmp(kind, "activate") == 0;
        snprintf(pool->vm, sizeof pool->vm, "%s", vm == NULL ? "" : vm);
        pool->number++;
        pool->reported = true;
        report(agent, pool);
    }
    json_decref(root);
}

void fake_report_ok(struct swarm *swarm, struct agent *agent, const char *text, size_t bytes)
{
    char name[64] = "";
    const char *at = strstr(text, "\"pool\":\"");
    struct fake_pool *pool;

    (void)bytes;
    if (at == NULL || sscanf(at, "\"pool\":\"%63[^\"]", name) != 1) {
        return;
    }
    pool = find(agent, name, false);
    if (pool == NULL || said_number(text, "\"number\":") != pool->number) {
        return;
    }
    if (pool->running && pool->vm[0] != '\0') {
        swarm->changes++;
        pool->changes++;
        pool->number++;
        report(agent, pool);
    } else {
        pool->reported = false;
    }
}

void fake_repeat(struct agent *agent)
{
    struct fake_pool *pool;

    for (pool = agent->pools; pool != NULL; pool = pool->next) {
        if (pool->reported) {
            report(agent, pool);
        }
    }
}
