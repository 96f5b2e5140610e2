/*
 * rng.h - the simulator's randomness: xoshiro256**, seeded by splitmix64.
 *
 * Integers only, so that a seed means the same on every machine and compiler.
 */
#ifndef SIM_RNG_H
#define SIM_RNG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct rng
{
	uint64_t s[4];
};

/* "stream" tells apart the generators that one seed gives to the parts of the world. */
void rng_seed(struct rng *r, uint64_t seed, uint64_t stream);
uint64_t rng_next(struct rng *r);
/* 0 .. n - 1; n > 0. */
uint64_t rng_below(struct rng *r, uint64_t n);
/* low .. high, both included. */
uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high);
/* The same, small values far more likely: delays. */
uint64_t rng_skewed(struct rng *r, uint64_t low, uint64_t high);
bool rng_chance(struct rng *r, uint32_t per_mille);
void rng_bytes(struct rng *r, void *bytes, size_t length);

#endif /* SIM_RNG_H */
