/*
 * A play from a seed: storms of faults and commands, each followed by a calm in which all must come to
 * run as declared. Few faults per hour make a long play: copies every few hours, a calm once a day, and
 * nothing wrong for most of the time.
 */
#include "tests/sim/schedule.h"

#include <stdlib.h>
#include <string.h>
#include "base/text.h"
#include "proto/catalogue.h"
#include "tests/sim/sim.h"

#define STORM_MS 600000u
#define DAY_MS 86400000u
#define LONG_PLAY 20.0 /* fewer faults per hour than this */

struct author {
    struct sim_schedule *schedule;
    uint64_t stream;
    uint64_t lease_ms;
    double faults_per_hour;
    bool calm_days; /* few faults, and none that lasts for long */
};

static uint64_t outage_ms(struct author *author)
{
    /* Many are shorter than a lease, some longer than a take-over. */
    uint64_t lease_ms = author->lease_ms;
    return sim_chance(&author->stream, 0.5)
               ? sim_between(&author->stream, 10, lease_ms)
               : sim_between(&author->stream, lease_ms, 10 * lease_ms + 10000);
}

static uint64_t spell_ms(struct author *author, uint64_t most_ms)
{
    uint64_t most = author->calm_days ? most_ms / 3 : most_ms;
    return sim_between(&author->stream, 1000, most);
}

static int any_node(struct author *author)
{
    return (int)sim_random(&author->stream, (uint64_t)author->schedule->nodes);
}

/* Waits, now and then, for the worst moment: the next job that enters some phase. */
static void ambush(struct author *author, struct sim_item *item)
{
    static const int phases[] = {
        PH_PHASE_COPYING, PH_PHASE_STOPPING, PH_PHASE_ACTIVATING, PH_PHASE_RETURNING};
    if (!sim_chance(&author->stream, 0.2)) {
        return;
    }
    item->when = phases[sim_random(&author->stream, 4)];
    if (item->node >= 0 && item->node < author->schedule->nodes) {
        item->node = sim_chance(&author->stream, 0.5) ? SIM_ITS_NODE : SIM_ITS_TARGET;
    }
    if ((sim_actions[item->action].operands & SIM_BY_POOL) != 0) {
        item->pool = SIM_ITS_POOL;
    }
}

static void add(struct author *author, struct sim_item item)
{
    item.detail = 1 + sim_random(&author->stream, 1u << 30);
    sim_schedule_add(author->schedule, &item);
}

static void add_link(struct author *author, struct sim_item item)
{
    add(author, item);
    int from = item.node;
    item.node = item.other;
    item.other = from;
    add(author, item);
}

/* A congested link is slow for a while and then gone: the grants under way are the last ones. */
static void congestion(struct author *author, struct sim_item item)
{
    item.action = SIM_DO_SLOW;
    item.other = SIM_MANAGER;
    item.for_ms = spell_ms(author, 20000);
    item.amount = (int64_t)sim_between(&author->stream, 0, author->lease_ms / 3);
    add_link(author, item);
    item.at_ms += item.for_ms;
    item.action = SIM_DO_CUT;
    item.for_ms = sim_between(&author->stream, 50, 30000);
    item.amount = 0;
    add_link(author, item);
}

static void link_fault(struct author *author, struct sim_item item)
{
    int other = any_node(author);
    item.action = SIM_DO_CUT;
    item.other = sim_chance(&author->stream, 0.7) || other == item.node ? SIM_MANAGER : other;
    item.for_ms = sim_between(&author->stream, 50, 30000);
    uint64_t way = sim_random(&author->stream, 3);
    if (way == 2) {
        add_link(author, item);
        return;
    }
    if (way == 1) {
        int from = item.node;
        item.node = item.other;
        item.other = from;
    }
    add(author, item);
}

static void fault(struct author *author, uint64_t at_ms)
{
    uint64_t *stream = &author->stream;
    struct sim_item item = {
        .at_ms = at_ms, .node = any_node(author), .other = SIM_NOBODY, .when = -1};
    item.pool = (int)sim_random(stream, (uint64_t)author->schedule->pools);
    static const struct {
        enum sim_action action;
        int weight;
    } faults[] = {{SIM_DO_MANAGER_CRASH, 3}, {SIM_DO_MANAGER_CRASH_AFTER, 4},
        {SIM_DO_MANAGER_PAUSE, 2}, {SIM_DO_MANAGER_STALL, 2}, {SIM_DO_MANAGER_FULL, 1},
        {SIM_DO_MANAGER_WALL, 1}, {SIM_DO_MANAGER_CUT, 2}, {SIM_DO_AGENT_CRASH, 3},
        {SIM_DO_AGENT_CRASH_AFTER, 4}, {SIM_DO_AGENT_PAUSE, 3}, {SIM_DO_SUSPEND, 2},
        {SIM_DO_POWER_OFF, 4}, {SIM_DO_DISK_LOST, 1}, {SIM_DO_DISK_STALL, 2}, {SIM_DO_DISK_FULL, 1},
        {SIM_DO_GUARD_CRASH, 3}, {SIM_DO_CLOCK_RATE, 1}, {SIM_DO_WALL, 1}, {SIM_DO_CUT, 9},
        {SIM_DO_SLOW, 5}, {SIM_DO_LOSS, 2}, {SIM_DO_NOISE, 2}, {SIM_DO_DRIVERS, 3},
        {SIM_DO_STUBBORN, 2}, {SIM_DO_VM_ENDS, 10}};
    int total = 0;
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) {
        total += faults[i].weight;
    }
    int drawn = (int)sim_random(stream, (uint64_t)total);
    size_t chosen = 0;
    while (drawn >= faults[chosen].weight) {
        drawn -= faults[chosen++].weight;
    }
    item.action = faults[chosen].action;
    item.for_ms = outage_ms(author);
    item.amount = (int64_t)sim_random(stream, 30);
    switch ((int)item.action) {
    case SIM_DO_CUT:
        link_fault(author, item);
        return;
    case SIM_DO_SLOW:
        congestion(author, item);
        return;
    case SIM_DO_MANAGER_STALL:
    case SIM_DO_DISK_STALL:
    case SIM_DO_MANAGER_FULL:
    case SIM_DO_DISK_FULL:
        item.for_ms = spell_ms(author, 20000);
        break;
    case SIM_DO_GUARD_CRASH:
        item.for_ms = sim_between(stream, 5, 100);
        break;
    case SIM_DO_LOSS:
        item.amount = sim_chance(stream, 0.3) ? 300 : 20;
        item.for_ms = spell_ms(author, 120000);
        break;
    case SIM_DO_NOISE:
        item.amount = 50;
        item.for_ms = spell_ms(author, 120000);
        break;
    case SIM_DO_DRIVERS:
        item.amount = sim_chance(stream, 0.3) ? 1000 : 300;
        item.for_ms = spell_ms(author, 120000);
        break;
    case SIM_DO_STUBBORN:
        item.for_ms = spell_ms(author, 300000);
        break;
    case SIM_DO_WALL:
    case SIM_DO_MANAGER_WALL:
        item.amount = (int64_t)sim_random(stream, 7200000) - 3600000;
        break;
    case SIM_DO_POWER_OFF:
    case SIM_DO_DISK_LOST:
        item.for_ms += 1000 + (author->calm_days ? sim_random(stream, 7200000) : 0);
        break;
    default:
        break;
    }
    ambush(author, &item);
    add(author, item);
}

static void command(struct author *author, uint64_t at_ms)
{
    static const enum sim_action commands[] = {SIM_DO_APPLY, SIM_DO_APPLY, SIM_DO_MOVE, SIM_DO_MOVE,
        SIM_DO_MOVE, SIM_DO_MOVE, SIM_DO_DRAIN, SIM_DO_DRAIN, SIM_DO_RESUME, SIM_DO_RESUME,
        SIM_DO_RESUME, SIM_DO_STOP, SIM_DO_START, SIM_DO_START, SIM_DO_REMOVE, SIM_DO_FENCE,
        SIM_DO_DEVICES, SIM_DO_DEVICES, SIM_DO_CANCEL, SIM_DO_CANCEL, SIM_DO_PAUSE, SIM_DO_UNPAUSE,
        SIM_DO_UNPAUSE, SIM_DO_STATUS, SIM_DO_LEAVE};
    uint64_t *stream = &author->stream;
    struct sim_item item = {
        .at_ms = at_ms, .node = any_node(author), .other = SIM_NOBODY, .when = -1};
    item.pool = (int)sim_random(stream, (uint64_t)author->schedule->pools);
    item.action = commands[sim_random(stream, sizeof(commands) / sizeof(commands[0]))];
    if (item.action == SIM_DO_DRAIN) {
        item.amount = (int64_t)sim_random(stream, 5);
        item.for_ms = sim_chance(stream, 0.2) ? sim_between(stream, 5000, 120000) : 0;
    } else if (item.action == SIM_DO_START) {
        item.amount = sim_chance(stream, 0.3);
    } else if (item.action == SIM_DO_REMOVE) {
        item.amount = sim_chance(stream, 0.5);
    } else if (item.action == SIM_DO_MOVE && sim_chance(stream, 0.5)) {
        item.node = SIM_NOBODY;
    }
    ambush(author, &item);
    add(author, item);
}

static void some(struct author *author, uint64_t from_ms, uint64_t to_ms, double per_hour,
    void (*write)(struct author *author, uint64_t at_ms))
{
    uint64_t mean_ms = (uint64_t)(3600000.0 / per_hour);
    for (uint64_t at_ms = from_ms + sim_soon(&author->stream, mean_ms); at_ms < to_ms;
         at_ms += 1 + sim_soon(&author->stream, mean_ms)) {
        write(author, at_ms);
    }
}

/* What is a little wrong all the time. */
static void background(struct author *author, uint64_t at_ms)
{
    struct sim_item item = {
        .at_ms = at_ms, .for_ms = STORM_MS, .node = SIM_NOBODY, .other = SIM_NOBODY, .when = -1};
    item.action = SIM_DO_LOSS;
    item.amount = 5;
    add(author, item);
    item.action = SIM_DO_NOISE;
    item.amount = 10;
    add(author, item);
    item.action = SIM_DO_DRIVERS;
    item.amount = 100;
    add(author, item);
}

static void storm(struct author *author, uint64_t from_ms, uint64_t to_ms)
{
    double faults = author->faults_per_hour;
    struct sim_item item = {.node = SIM_NOBODY, .other = SIM_NOBODY, .when = -1};
    if (!author->calm_days) {
        background(author, from_ms + 1);
    }
    some(author, from_ms, to_ms, faults, fault);
    some(author, from_ms, to_ms, faults > 360 ? 360 : faults, command);
    for (uint64_t at_ms = from_ms + 7200000u; at_ms < to_ms; at_ms += 7200000u) {
        item.at_ms = at_ms;
        item.action = SIM_DO_TIDY;
        add(author, item);
    }
    item.at_ms = to_ms;
    item.action = SIM_DO_CALM;
    add(author, item);
}

void sim_generate(const struct sim_wish *wish, struct sim_schedule *schedule)
{
    static const char *const profiles[] = {"default", "fast", "gentle"};
    static const double levels[] = {150, 450, 450, 900, 1800};
    struct author author = {.schedule = schedule, .stream = sim_hash(wish->seed, 'g', 0)};
    struct ph_timing timing;
    *schedule = (struct sim_schedule){.seed = wish->seed,
        .nodes = wish->nodes,
        .pools = wish->pools,
        .length_ms = (uint64_t)(wish->hours * 3600000)};
    uint64_t profile = sim_random(&author.stream, 3), level = sim_random(&author.stream, 5);
    (void)ph_text_format(schedule->profile, sizeof(schedule->profile), "%s",
        wish->profile == NULL ? profiles[profile] : wish->profile);
    author.faults_per_hour = wish->faults_per_hour < 0 ? levels[level] : wish->faults_per_hour;
    author.calm_days = author.faults_per_hour < LONG_PLAY;
    schedule->long_intervals = author.calm_days || wish->long_intervals;
    author.lease_ms = ph_timing_profile(schedule->profile, &timing) == 0 ? timing.lease_ms : 1200;
    if (author.faults_per_hour > 0) {
        uint64_t spell_ms = author.calm_days ? DAY_MS : STORM_MS;
        for (uint64_t at_ms = 0; at_ms < schedule->length_ms; at_ms += spell_ms) {
            uint64_t end_ms = at_ms + spell_ms;
            storm(&author, at_ms, end_ms < schedule->length_ms ? end_ms : schedule->length_ms);
        }
    }
    sim_schedule_sort(schedule);
}
