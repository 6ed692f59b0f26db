/*
 * The clocks of the machines: each runs at its own rate within the assumed drift, from its own start.
 * What a clock shows is a function of real time alone, whenever and however often it is asked.
 */
#include "tests/sim/sim.h"

static int64_t any_rate(const struct sim *sim, uint64_t *stream)
{
    double drift = sim->config.timing.clock_drift * 0.95 * 1e6;
    return (int64_t)sim_random(stream, (uint64_t)(2 * drift) + 1) - (int64_t)drift;
}

void sim_clock_boot(struct sim *sim, struct sim_clock *clock, uint64_t *stream)
{
    clock->ppm = any_rate(sim, stream);
    clock->local_us = sim_between(stream, 5 * SIM_SECOND, 100 * SIM_SECOND);
    clock->real_us = sim->now_us;
}

static uint64_t shown_us(const struct sim_clock *clock, uint64_t passed_us)
{
    int64_t passed = (int64_t)passed_us;
    return clock->local_us + (uint64_t)(passed + passed / 1000000 * clock->ppm +
                                        passed % 1000000 * clock->ppm / 1000000);
}

uint64_t sim_clock_ms_at(const struct sim_clock *clock, uint64_t real_us)
{
    return shown_us(clock, real_us - clock->real_us) / 1000;
}

uint64_t sim_clock_ms(const struct sim *sim, const struct sim_clock *clock)
{
    return sim_clock_ms_at(clock, sim->now_us);
}

uint64_t sim_clock_first_us(const struct sim_clock *clock, uint64_t local_ms)
{
    if (local_ms > UINT64_MAX / 2000) {
        return UINT64_MAX;
    }
    uint64_t target_us = local_ms * 1000;
    if (target_us <= clock->local_us) {
        return clock->real_us;
    }
    double rate = 1.0 + (double)clock->ppm / 1e6;
    uint64_t passed_us = (uint64_t)((double)(target_us - clock->local_us) / rate);
    while (shown_us(clock, passed_us) < target_us) {
        passed_us++;
    }
    while (passed_us > 0 && shown_us(clock, passed_us - 1) >= target_us) {
        passed_us--;
    }
    return clock->real_us + passed_us;
}

uint64_t sim_clock_real_us(const struct sim *sim, const struct sim_clock *clock, uint64_t local_ms)
{
    uint64_t real_us = sim_clock_first_us(clock, local_ms);
    return real_us > sim->now_us ? real_us : sim->now_us;
}

void sim_clock_rate(struct sim *sim, struct sim_clock *clock, uint64_t *stream)
{
    clock->local_us = shown_us(clock, sim->now_us - clock->real_us);
    clock->real_us = sim->now_us;
    clock->ppm = any_rate(sim, stream);
}

int64_t sim_wall_ms(const struct sim *sim, int64_t skew_ms)
{
    return 1700000000000 + (int64_t)(sim->now_us / 1000) + skew_ms;
}
