/*
 * Randomness. Each process, link and decision has a stream of its own, so that leaving one fault out
 * of a schedule changes what follows from it and nothing else: that is what makes shrinking work.
 */
#include "tests/sim/sim.h"

static uint64_t mix(uint64_t value)
{
    /* The finalizer of splitmix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number
     * generators", 2014). */
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

uint64_t sim_hash(uint64_t a, uint64_t b, uint64_t c)
{
    return mix(mix(mix(a) ^ b) ^ c);
}

static uint64_t roll(uint64_t *stream)
{
    uint64_t value = mix(*stream);
    *stream += 0x9e3779b97f4a7c15u;
    return value;
}

uint64_t sim_random(uint64_t *stream, uint64_t limit)
{
    return limit == 0 ? 0 : (roll(stream) >> 11) % limit;
}

bool sim_chance(uint64_t *stream, double probability)
{
    return (double)(roll(stream) >> 11) / 9007199254740992.0 < probability;
}

uint64_t sim_between(uint64_t *stream, uint64_t low, uint64_t high)
{
    return high <= low ? low : low + sim_random(stream, high - low + 1);
}

uint64_t sim_soon(uint64_t *stream, uint64_t mean)
{
    /* -ln(u) by halvings: exact enough for a waiting time, and the same on every machine. */
    uint64_t bits = roll(stream) | 1u;
    uint64_t whole = 0;
    while ((bits & 0x8000000000000000u) == 0 && whole < 12) {
        bits <<= 1;
        whole++;
    }
    double fraction = (double)((bits >> 11) & 0xfffffffffffffu) / 4503599627370496.0;
    double waits = ((double)whole + 1.0 - fraction) * 0.6931;
    return (uint64_t)((double)mean * (waits > 10 ? 10 : waits));
}
