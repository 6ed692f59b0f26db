/*
 * A drain planned on a large synthetic cluster: how long it takes, and where everything goes.
 *
 *     place_bench NODES POOLS [SEED [VICTIM]]     "pool node" per moved pool on stdout, times on stderr
 *
 * The problem is made of the same random numbers as CPython's random.Random(seed) would give (MT19937,
 * init_by_array), so that planners of other projects can be given the very same one.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "manager/place/place.h"

/* ---- Matsumoto & Nishimura, "Mersenne Twister", 1998; as CPython uses it ---- */
static uint32_t twister[624];
static size_t twister_at = 624;

static void twister_seed(uint64_t seed)
{
    uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    size_t keys = key[1] != 0 ? 2 : 1, i = 1, j = 0;

    twister[0] = 19650218;
    for (size_t k = 1; k < 624; k++)
        twister[k] = 1812433253U * (twister[k - 1] ^ (twister[k - 1] >> 30)) + (uint32_t)k;
    for (size_t k = 624; k > 0; k--) {
        twister[i] = (twister[i] ^ ((twister[i - 1] ^ (twister[i - 1] >> 30)) * 1664525U)) +
                     key[j] + (uint32_t)j;
        if (++i == 624) {
            twister[0] = twister[623];
            i = 1;
        }
        j = (j + 1) % keys;
    }
    for (size_t k = 623; k > 0; k--) {
        twister[i] =
            (twister[i] ^ ((twister[i - 1] ^ (twister[i - 1] >> 30)) * 1566083941U)) - (uint32_t)i;
        if (++i == 624) {
            twister[0] = twister[623];
            i = 1;
        }
    }
    twister[0] = 0x80000000U;
    twister_at = 624;
}

static uint32_t twister_next(void)
{
    if (twister_at == 624) {
        for (size_t k = 0; k < 624; k++) {
            uint32_t y = (twister[k] & 0x80000000U) | (twister[(k + 1) % 624] & 0x7fffffffU);

            twister[k] = twister[(k + 397) % 624] ^ (y >> 1) ^ ((y & 1) != 0 ? 0x9908b0dfU : 0);
        }
        twister_at = 0;
    }
    uint32_t y = twister[twister_at++];

    y ^= y >> 11;
    y ^= (y << 7) & 0x9d2c5680U;
    y ^= (y << 15) & 0xefc60000U;
    return y ^ (y >> 18);
}

static double random_unit(void)
{
    uint32_t a = twister_next() >> 5, b = twister_next() >> 6;

    return ((double)a * 67108864.0 + (double)b) / 9007199254740992.0;
}

static uint32_t random_below(uint32_t n) /* n of 3 bits */
{
    uint32_t r;

    do
        r = twister_next() >> 29;
    while (r >= n);
    return r;
}

/* ---- the problem ---- */
static const int64_t memories[] = {1024, 2048, 4096, 8192}, cpus[] = {1, 1, 2, 4},
                     disks[] = {10240, 20480, 51200, 102400};

static int by_memory(const void *a, const void *b) /* largest first; equal ones in order */
{
    const struct ph_pool *x = *(struct ph_pool *const *)a, *y = *(struct ph_pool *const *)b;

    if (x->memory_mib != y->memory_mib)
        return x->memory_mib > y->memory_mib ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* As int(total / (n * 0.6)) + 1. */
static int64_t capacity(double total, size_t nodes)
{
    return (int64_t)(total / ((double)nodes * 0.6)) + 1;
}

static void put_greedily(
    struct ph_pool *pools, size_t pool_count, struct ph_place_node *nodes, size_t node_count)
{
    struct ph_pool **order = calloc(pool_count, sizeof *order);

    for (size_t i = 0; i < pool_count; i++)
        order[i] = &pools[i];
    qsort(order, pool_count, sizeof(struct ph_pool *), by_memory);
    for (size_t i = 0; i < pool_count; i++) {
        size_t least = 0;

        for (size_t n = 1; n < node_count; n++) {
            if (nodes[n].memory_used_mib < nodes[least].memory_used_mib)
                least = n;
        }
        ph_text_format(order[i]->node, sizeof order[i]->node, "%s", nodes[least].node->name);
        nodes[least].memory_used_mib += order[i]->memory_mib;
        nodes[least].cpu_used += order[i]->cpu;
        nodes[least].disk_used_mib += order[i]->disk_mib;
        nodes[least].pools++;
    }
    free(order);
}

static double now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

struct problem {
    size_t node_count, pool_count;
    struct ph_node *rows;
    struct ph_place_node *nodes;
    struct ph_pool *pools;
    struct ph_map by_name, relations;
};

static void *or_end(void *memory)
{
    if (memory == NULL) {
        fprintf(stderr, "no memory\n");
        exit(1);
    }
    return memory;
}

static void make_problem(struct problem *problem, uint64_t seed)
{
    size_t node_count = problem->node_count, pool_count = problem->pool_count;
    double memory = 0, cpu = 0, disk = 0;

    problem->rows = or_end(calloc(node_count, sizeof *problem->rows));
    problem->nodes = or_end(calloc(node_count, sizeof *problem->nodes));
    problem->pools = or_end(calloc(pool_count, sizeof *problem->pools));
    twister_seed(seed * 1000003 + node_count * 101 + pool_count);
    for (size_t i = 0; i < pool_count; i++) {
        struct ph_pool *pool = &problem->pools[i];
        double at = random_unit() * 10.0; /* weights 4, 3, 2, 1 */
        size_t kind = at < 4 ? 0 : at < 7 ? 1 : at < 9 ? 2 : 3;

        ph_text_format(pool->name, sizeof pool->name, "pool%05zu", i);
        ph_text_format(pool->driver, sizeof pool->driver, "directory");
        pool->memory_mib = memories[kind];
        pool->cpu = 1000 * cpus[kind];
        pool->disk_mib = disks[random_below(4)];
        memory += (double)pool->memory_mib;
        cpu += (double)cpus[kind];
        disk += 2.0 * (double)pool->disk_mib;
        if (ph_map_put(&problem->by_name, pool->name, pool) != 0)
            or_end(NULL);
    }
    for (size_t n = 0; n < node_count; n++) {
        struct ph_node *row = &problem->rows[n];

        ph_text_format(row->name, sizeof row->name, "node%04zu", n);
        row->state = PH_NODE_ONLINE;
        row->memory_mib = (capacity(memory, node_count) / 1024 + 8) * 1024;
        row->cpu = 1000 * capacity(cpu, node_count);
        row->disk_mib = (capacity(disk, node_count) / 10240 + 20) * 10240;
        if (ph_texts_add(&row->drivers, "directory") != 0)
            or_end(NULL);
        problem->nodes[n] = (struct ph_place_node){.node = row, .available = true};
    }
    put_greedily(problem->pools, pool_count, problem->nodes, node_count);
}

static void end_problem(struct problem *problem)
{
    for (size_t n = 0; n < problem->node_count; n++)
        ph_record_fini(&ph_record_node, &problem->rows[n]);
    ph_map_fini(&problem->by_name);
    free(problem->rows);
    free(problem->nodes);
    free(problem->pools);
}

/* The best of a few runs: what the work costs when nobody else is in the way. */
static void measure(const struct problem *problem, const char *victim)
{
    struct ph_place_cluster cluster = {.nodes = problem->nodes,
        .node_count = problem->node_count,
        .pools = &problem->by_name,
        .relations = &problem->relations};
    struct ph_place_question question = {
        .pool = &problem->pools[0], .from = problem->pools[0].node};
    struct ph_planned_move_list plan = {0};
    char reason[PH_TEXT_BYTES_MAX + 1];
    double drain = 1e9, choose = 1e9;

    for (int run = 0; run < 20; run++) {
        double start = now_s();

        if (ph_place_drain(&cluster, victim, NULL, &plan) != 0) {
            fprintf(stderr, "there is no node %s\n", victim);
            exit(1);
        }
        drain = fmin(drain, now_s() - start);
        start = now_s();
        ph_place_choose(&cluster, &question, reason, sizeof reason);
        choose = fmin(choose, now_s() - start);
    }
    fprintf(stderr,
        "drain %s: %zu pools planned in %.3f ms; one choice among %zu nodes in %.3f ms\n", victim,
        plan.count, drain * 1e3, problem->node_count, choose * 1e3);
    for (size_t i = 0; i < plan.count; i++) {
        if (plan.items[i].to[0] != '\0')
            printf("%s %s\n", plan.items[i].pool, plan.items[i].to);
        ph_record_fini(&ph_record_planned_move, &plan.items[i]);
    }
    free(plan.items);
}

int main(int argc, char **argv)
{
    struct problem problem = {
        .node_count = argc > 1 ? strtoul(argv[1], NULL, 10) : 100,
        .pool_count = argc > 2 ? strtoul(argv[2], NULL, 10) : 5000,
    };
    char victim[32];

    if (problem.node_count < 2 || problem.node_count > PH_NODES_MAX || problem.pool_count < 1 ||
        problem.pool_count > PH_POOLS_MAX || argc > 5) {
        fprintf(stderr, "usage: place_bench NODES POOLS [SEED [VICTIM]]\n");
        return 2;
    }
    ph_text_format(victim, sizeof victim, "node%04zu", problem.node_count / 2);
    if (argc > 4)
        ph_text_format(victim, sizeof victim, "%s", argv[4]);
    make_problem(&problem, argc > 3 ? strtoul(argv[3], NULL, 10) : 1);
    measure(&problem, victim);
    end_problem(&problem);
    return 0;
}
