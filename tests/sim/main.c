/*
 * ph_sim: see run --help.
 */
#include "tests/sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *const profiles[] = {"default", "fast", "gentle", "slow"};

bool sim_tracing(const struct sim *sim)
{
    return sim->options.trace;
}

void sim_trace(struct sim *sim, const char *who, const char *format, ...)
{
    if (!sim->options.trace) {
        return;
    }
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)ph_text_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)printf("%10llu.%06llu %-8s %s\n", (unsigned long long)(sim->now_us / SIM_SECOND),
        (unsigned long long)(sim->now_us % SIM_SECOND), who, text);
}

_Noreturn void sim_fail(struct sim *sim, const char *format, ...)
{
    char text[1400];
    va_list arguments;
    va_start(arguments, format);
    (void)ph_text_vformat(text, sizeof(text), format, arguments);
    va_end(arguments);
    (void)fflush(stdout);
    (void)fprintf(stderr, "FAILED seed=%llu at %llu.%06llu s: %s\n",
        (unsigned long long)sim->options.seed, (unsigned long long)(sim->now_us / SIM_SECOND),
        (unsigned long long)(sim->now_us % SIM_SECOND), text);
    _Exit(1);
}

int sim_pool_index(const struct sim *sim, const char *name)
{
    for (int i = 0; i < sim->options.pools; i++) {
        if (strcmp(sim->pools[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int sim_node_index(const struct sim *sim, const char *name)
{
    for (int i = 0; i < sim->options.nodes; i++) {
        if (strcmp(sim->nodes[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int sim_vm_index(const char *name)
{
    int index = name[0] - 'a';
    return index >= 0 && index < SIM_VMS ? index : 0;
}

static int set_timing(struct sim *sim)
{
    const char *profile = sim->options.profile;
    if (profile == NULL) {
        profile = profiles[sim_random(sim, 3)];
        sim->options.profile = profile;
    }
    ph_core_config_default(&sim->config);
    if (strcmp(profile, "slow") == 0) { /* the longest there is: for simulating much quiet time */
        sim->config.timing.beat_ms = 100000;
        sim->config.timing.lease_ms = 600000;
        sim->config.timing.stop_ms = 5000;
        return 0;
    }
    return ph_timing_profile(profile, &sim->config.timing);
}

static void set_up(struct sim *sim)
{
    sim->random = sim->options.seed * 0x9e3779b97f4a7c15u + 0x632be59bd9b4e019u;
    sim->random = sim->random == 0 ? 1 : sim->random;
    for (int i = 0; i < 8; i++) {
        (void)sim_random(sim, 2);
    }
    if (set_timing(sim) != 0) {
        sim_fail(sim, "there is no profile %s", sim->options.profile);
    }
    if (sim->options.faults < 0) {
        static const double levels[] = {0.3, 1, 1, 2, 4};
        sim->options.faults = levels[sim_random(sim, 5)];
    }
    sim->delay_us = sim_between(sim, 100, 1500);
    sim->spike_us = sim->config.timing.lease_ms * SIM_MS;
    struct sim_manager *manager = &sim->manager;
    manager->nodes.record = &ph_record_node;
    manager->pools.record = &ph_record_pool;
    manager->vms.record = &ph_record_vm;
    manager->replicas.record = &ph_record_replica;
    manager->jobs.record = &ph_record_job;
    manager->identities.record = &ph_record_identity;
    manager->metas.record = &ph_record_meta;
    manager->fence_devices.record = &ph_record_fence_device;
    for (int i = 0; i < sim->options.pools; i++) {
        (void)ph_text_format(sim->pools[i].name, sizeof(sim->pools[i].name), "pool%02d", i);
    }
    for (int i = 0; i < sim->options.nodes; i++) {
        struct sim_node *node = &sim->nodes[i];
        (void)ph_text_format(node->name, sizeof(node->name), "n%d", i + 1);
        node->index = i;
        node->metas.record = &ph_record_meta;
        node->assignments.record = &ph_record_assignment;
        node->crash_after = -1;
    }
    sim_clock_boot(sim, &manager->clock);
    manager->crash_after = -1;
    sim_manager_start(sim);
    for (int i = 0; i < sim->options.nodes; i++) {
        sim_node_boot(sim, i);
    }
}

static void run_for(struct sim *sim, uint64_t span_us)
{
    uint64_t until_us = sim->now_us + span_us;
    until_us = until_us > sim->end_us ? sim->end_us : until_us;
    while (sim_next(sim, until_us)) {
    }
}

/* Calm until all runs as declared; not for ever. */
static void calm(struct sim *sim)
{
    char why[1200];
    sim_faults_cease(sim);
    /* The longest anything backs off is a minute, a hung driver hangs two, a drain's move waits half. */
    uint64_t limit_us = 900 * (uint64_t)SIM_SECOND + 40 * sim->config.timing.lease_ms * SIM_MS;
    uint64_t until_us = sim->now_us + limit_us;
    sim->end_us = until_us > sim->end_us ? until_us : sim->end_us;
    run_for(sim, 60 * (uint64_t)SIM_SECOND);
    do {
        sim_operator_calm(sim);
        run_for(sim, 30 * (uint64_t)SIM_SECOND);
    } while (sim->now_us < until_us && !sim_settled(sim, why, sizeof(why)));
    sim_check_settled(sim);
    /* What stands as declared stays so: no orders go back and forth. */
    uint64_t orders = sim->orders, quiet_us = 60 * (uint64_t)SIM_SECOND;
    sim->end_us += quiet_us;
    run_for(sim, quiet_us);
    if (sim->orders - orders > 20 * (uint64_t)sim->options.pools) {
        sim_fail(sim, "%llu orders were given in a minute in which nothing happened",
            (unsigned long long)(sim->orders - orders));
    }
}

static void play(struct sim *sim)
{
    set_up(sim);
    uint64_t end_us = (uint64_t)(sim->options.hours * 3600) * SIM_SECOND;
    sim->end_us = end_us;
    run_for(sim, 5 * (uint64_t)SIM_SECOND + 2 * sim->config.timing.beat_ms * SIM_MS);
    sim_operator_declare(sim);
    while (sim->now_us < end_us) {
        sim->end_us = end_us;
        sim_faults_start(sim);
        run_for(sim, 600 * (uint64_t)SIM_SECOND);
        calm(sim);
        if (sim->options.faults <= 0) {
            sim->end_us = end_us;
            run_for(sim, end_us);
        }
    }
    calm(sim);
}

static double seconds_now(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void run_one(const struct sim_options *options)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL) {
        abort();
    }
    sim->options = *options;
    double began = seconds_now();
    play(sim);
    double took = seconds_now() - began;
    double hours = (double)sim->now_us / 3.6e9;
    if (!options->quiet) {
        (void)fprintf(stderr,
            "ok seed=%llu profile=%s faults=%.1f hours=%.1f steps=%llu crashes=%llu kills=%llu "
            "takeovers=%llu moves=%llu drained=%llu losses=%llu avoidable=%llu %.1f hours/s\n",
            (unsigned long long)options->seed, sim->options.profile, sim->options.faults, hours,
            (unsigned long long)sim->steps, (unsigned long long)sim->crashes,
            (unsigned long long)sim->kills, (unsigned long long)sim->takeovers,
            (unsigned long long)sim->moves, (unsigned long long)sim->drains,
            (unsigned long long)sim->losses, (unsigned long long)sim->avoidable,
            hours / (took > 0 ? took : 1e-9));
    }
    for (int i = 0; i < sim->options.nodes; i++) {
        sim_node_fini(sim, i);
    }
    sim_manager_fini(sim);
    sim_queue_fini(sim);
    free(sim);
}

static int usage(void)
{
    (void)fprintf(stderr,
        "usage: ph_sim [--seed S] [--seeds N] [--hours H] [--nodes N] [--pools N] "
        "[--profile default|fast|gentle|slow] [--faults LEVEL] [--trace] "
        "[--no-duplicates] [--quiet]\n");
    return 2;
}

int main(int argc, char **argv)
{
    struct sim_options options = {
        .seed = 1, .hours = 1, .nodes = 5, .pools = 20, .faults = -1, .duplicates = true};
    uint64_t seeds = 1;
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--trace") == 0) {
            options.trace = true;
            continue;
        }
        if (strcmp(argv[i], "--quiet") == 0) {
            options.quiet = true;
            continue;
        }
        if (strcmp(argv[i], "--no-duplicates") == 0) {
            options.duplicates = false;
            continue;
        }
        if (value == NULL) {
            return usage();
        }
        i++;
        if (strcmp(argv[i - 1], "--seed") == 0) {
            options.seed = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--seeds") == 0) {
            seeds = strtoull(value, NULL, 10);
        } else if (strcmp(argv[i - 1], "--hours") == 0) {
            options.hours = strtod(value, NULL);
        } else if (strcmp(argv[i - 1], "--nodes") == 0) {
            options.nodes = atoi(value);
        } else if (strcmp(argv[i - 1], "--pools") == 0) {
            options.pools = atoi(value);
        } else if (strcmp(argv[i - 1], "--profile") == 0) {
            options.profile = value;
        } else if (strcmp(argv[i - 1], "--faults") == 0) {
            options.faults = strtod(value, NULL);
        } else {
            return usage();
        }
    }
    if (options.nodes < 1 || options.nodes > SIM_NODES_MAX || options.pools < 1 ||
        options.pools > SIM_POOLS_MAX) {
        return usage();
    }
    for (uint64_t i = 0; i < seeds; i++) {
        struct sim_options one = options;
        one.seed = options.seed + i;
        run_one(&one);
    }
    return 0;
}
