/*
 * A play from beginning to end: the world is made, every pool is declared, each item is done in its time,
 * and in the calms everything must come to run as declared.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "tests/sim/sim.h"

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
    if (sim->options.failed_fd != 0) { /* whoever reads it wants the moment and the words */
        uint64_t at_ms = (sim->now_us - sim->shift_us) / SIM_MS;
        (void)dprintf(sim->options.failed_fd, "%llu %s\n", (unsigned long long)at_ms, text);
    } else {
        (void)fprintf(stderr, "FAILED seed=%llu at %llu.%06llu s: %s\n",
            (unsigned long long)sim->schedule->seed, (unsigned long long)(sim->now_us / SIM_SECOND),
            (unsigned long long)(sim->now_us % SIM_SECOND), text);
    }
    _Exit(1);
}

int sim_pool_index(const struct sim *sim, const char *name)
{
    for (int i = 0; i < sim->pool_count; i++) {
        if (strcmp(sim->pools[i].name, name) == 0) {
            return i;
        }
    }
    return -1;
}

int sim_node_index(const struct sim *sim, const char *name)
{
    for (int i = 0; i < sim->node_count; i++) {
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

/* ---- the world ---- */
static void make_network(struct sim *sim)
{
    uint64_t stream = sim_hash(sim->schedule->seed, 'd', 0);
    sim->delay_us = sim_between(&stream, 100, 1500);
    sim->spike_us = sim->config.timing.lease_ms * SIM_MS;
    for (int i = 0; i < SIM_PROCESSES; i++) {
        for (int j = 0; j < SIM_PROCESSES; j++) {
            sim->links[i][j].random =
                sim_hash(sim->schedule->seed, 'l', (uint64_t)(i * SIM_PROCESSES + j));
        }
    }
}

static void make_manager(struct sim *sim)
{
    struct sim_manager *manager = &sim->manager;
    manager->random = sim_hash(sim->schedule->seed, 'm', 0);
    manager->nodes.record = &ph_record_node;
    manager->pools.record = &ph_record_pool;
    manager->vms.record = &ph_record_vm;
    manager->replicas.record = &ph_record_replica;
    manager->jobs.record = &ph_record_job;
    manager->identities.record = &ph_record_identity;
    manager->metas.record = &ph_record_meta;
    manager->fence_devices.record = &ph_record_fence_device;
    manager->voter_sets.record = &ph_record_voter_set;
    for (int i = 0; i < sim->node_count; i++) { /* enrolled, as everybody before a first hello */
        struct ph_node row = {0};
        (void)ph_text_format(row.name, sizeof(row.name), "%s", sim->nodes[i].name);
        if (ph_set_text(&row.public_key, sim->nodes[i].name) != 0) {
            abort();
        }
        sim_table_save(&manager->nodes, &row);
        ph_record_fini(&ph_record_node, &row);
    }
    sim_clock_boot(sim, &manager->clock, &manager->random);
    manager->crash_after = -1;
    sim_manager_start(sim);
}

static void make_world(struct sim *sim)
{
    ph_core_config_default(&sim->config);
    if (ph_timing_profile(sim->schedule->profile, &sim->config.timing) != 0) {
        sim_fail(sim, "there is no profile %s", sim->schedule->profile);
    }
    make_network(sim);
    for (int i = 0; i < sim->pool_count; i++) {
        (void)ph_text_format(sim->pools[i].name, sizeof(sim->pools[i].name), "pool%02d", i);
    }
    for (int i = 0; i < sim->node_count; i++) {
        struct sim_node *node = &sim->nodes[i];
        (void)ph_text_format(node->name, sizeof(node->name), "n%d", i + 1);
        node->index = i;
        node->random = sim_hash(sim->schedule->seed, 'n', (uint64_t)i);
        node->metas.record = &ph_record_meta;
        node->assignments.record = &ph_record_assignment;
        node->witnesses.record = &ph_record_witness;
        node->crash_after = -1;
    }
    make_manager(sim);
    for (int i = 0; i < sim->node_count; i++) {
        sim_node_boot(sim, i);
    }
}

static void end_world(struct sim *sim)
{
    for (int i = 0; i < sim->node_count; i++) {
        sim_node_fini(sim, i);
    }
    sim_manager_fini(sim);
    sim_queue_fini(sim);
}

/* ---- time ---- */
static void run_until(struct sim *sim, uint64_t until_us)
{
    do {
        sim_quiet(sim, until_us);
    } while (sim_next(sim, until_us));
}

/* Calm until all runs as declared; not for ever. */
static void calm(struct sim *sim)
{
    char why[1200];
    uint64_t began_us = sim->now_us;
    sim_faults_cease(sim);
    /* The longest anything backs off is a minute, a hung driver hangs two, a drain's move waits half. */
    uint64_t limit_us = 900 * (uint64_t)SIM_SECOND + 40 * sim->config.timing.lease_ms * SIM_MS;
    run_until(sim, sim->now_us + 60 * (uint64_t)SIM_SECOND);
    do {
        sim_operator_tidy(sim);
        if (sim->now_us > began_us + 300 * (uint64_t)SIM_SECOND) {
            sim_operator_replace(sim);
        }
        run_until(sim, sim->now_us + 30 * (uint64_t)SIM_SECOND);
    } while (sim->now_us < began_us + limit_us && !sim_settled(sim, why, sizeof(why)));
    sim_check_settled(sim);
    /* What stands as declared stays so: no orders go back and forth. */
    uint64_t orders = sim->stats.orders;
    run_until(sim, sim->now_us + 60 * (uint64_t)SIM_SECOND);
    if (sim->stats.orders - orders > 20 * (uint64_t)sim->pool_count) {
        sim_fail(sim, "%llu orders were given in a minute in which nothing happened",
            (unsigned long long)(sim->stats.orders - orders));
    }
    sim->shift_us += sim->now_us - began_us;
    sim->calm = false;
}

static void expect(struct sim *sim, bool set, uint64_t wanted, uint64_t counted, const char *what)
{
    if (set && wanted != counted) {
        sim_fail(sim, "%llu %s were expected and %llu counted", (unsigned long long)wanted, what,
            (unsigned long long)counted);
    }
}

static void play(struct sim *sim)
{
    const struct sim_schedule *schedule = sim->schedule;
    make_world(sim);
    run_until(sim, 5 * (uint64_t)SIM_SECOND + 2 * sim->config.timing.beat_ms * SIM_MS);
    sim_operator_declare(sim);
    sim->shift_us = sim->now_us;
    for (size_t i = 0; i < schedule->count; i++) {
        const struct sim_item *item = &schedule->items[i];
        run_until(sim, item->at_ms * SIM_MS + sim->shift_us);
        if (item->action == SIM_DO_CALM) {
            calm(sim);
        } else {
            sim_perform(sim, item);
        }
    }
    run_until(sim, schedule->length_ms * SIM_MS + sim->shift_us);
    const struct sim_stats *stats = &sim->stats;
    expect(sim, schedule->expect_takeovers.set, schedule->expect_takeovers.value, stats->takeovers,
        "take-overs");
    expect(sim, schedule->expect_kills.set, schedule->expect_kills.value, stats->lease_ends,
        "ends of a lease");
    expect(sim, schedule->expect_stops.set, schedule->expect_stops.value, stats->pool_stops,
        "stops of a pool");
    calm(sim);
}

void sim_play(const struct sim_schedule *schedule, const struct sim_options *options,
    struct sim_stats *stats_out)
{
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL) {
        abort();
    }
    sim->options = *options;
    sim->schedule = schedule;
    sim->node_count = schedule->nodes;
    sim->pool_count = schedule->pools;
    play(sim);
    sim->stats.real_us = sim->now_us;
    *stats_out = sim->stats;
    end_world(sim);
    free(sim);
}
