#include "tests/sim/sim.h"

static uint64_t roll(struct sim *sim)
{
    /* xorshift64* */
    sim->random ^= sim->random >> 12;
    sim->random ^= sim->random << 25;
    sim->random ^= sim->random >> 27;
    return sim->random * 2685821657736338717u;
}

uint64_t sim_random(struct sim *sim, uint64_t limit)
{
    return limit == 0 ? 0 : (roll(sim) >> 11) % limit;
}

bool sim_chance(struct sim *sim, double probability)
{
    return (double)(roll(sim) >> 11) / 9007199254740992.0 < probability;
}

uint64_t sim_between(struct sim *sim, uint64_t low, uint64_t high)
{
    return high <= low ? low : low + sim_random(sim, high - low + 1);
}

uint64_t sim_soon(struct sim *sim, uint64_t mean_us)
{
    /* -ln(u) by halvings: exact enough for a waiting time, and the same on every machine. */
    uint64_t bits = roll(sim) | 1u;
    uint64_t whole = 0;
    while ((bits & 0x8000000000000000u) == 0 && whole < 12) {
        bits <<= 1;
        whole++;
    }
    double fraction = (double)((bits >> 11) & 0xfffffffffffffu) / 4503599627370496.0;
    double waits = ((double)whole + 1.0 - fraction) * 0.6931;
    return (uint64_t)((double)mean_us * (waits > 10 ? 10 : waits));
}

void sim_clock_boot(struct sim *sim, struct sim_clock *clock)
{
    double drift = sim->config.timing.clock_drift * 0.95 * 1e6;
    clock->ppm = (int64_t)sim_random(sim, (uint64_t)(2 * drift) + 1) - (int64_t)drift;
    clock->local_us = sim_between(sim, 5 * SIM_SECOND, 100 * SIM_SECOND);
    clock->real_us = sim->now_us;
}

static uint64_t local_us(const struct sim *sim, const struct sim_clock *clock)
{
    int64_t passed = (int64_t)(sim->now_us - clock->real_us);
    return clock->local_us + (uint64_t)(passed + passed / 1000000 * clock->ppm +
                                        passed % 1000000 * clock->ppm / 1000000);
}

uint64_t sim_clock_ms(const struct sim *sim, const struct sim_clock *clock)
{
    return local_us(sim, clock) / 1000;
}

uint64_t sim_clock_real_us(const struct sim *sim, const struct sim_clock *clock, uint64_t local_ms)
{
    if (local_ms > UINT64_MAX / 2000 || local_ms * 1000 <= local_us(sim, clock)) {
        return local_ms > UINT64_MAX / 2000 ? UINT64_MAX : sim->now_us;
    }
    uint64_t left = local_ms * 1000 - local_us(sim, clock);
    double rate = 1.0 + (double)clock->ppm / 1e6;
    return sim->now_us + (uint64_t)((double)left / rate) + 2;
}

int64_t sim_wall_ms(const struct sim *sim, int64_t skew_ms)
{
    return 1700000000000 + (int64_t)(sim->now_us / 1000) + skew_ms;
}
