/* rng.c - see rng.h. */
#include "rng.h"

static uint64_t splitmix(uint64_t *state)
{
	uint64_t z = (*state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

static uint64_t rotate(uint64_t x, int k)
{
	return (x << k) | (x >> (64 - k));
}

void rng_seed(struct rng *r, uint64_t seed, uint64_t stream)
{
	uint64_t state = seed * 0xd1342543de82ef95u + stream * 0x2545f4914f6cdd1du + 1;

	for (int i = 0; i < 4; i++)
		r->s[i] = splitmix(&state);
}

uint64_t rng_next(struct rng *r)
{
	uint64_t result = rotate(r->s[1] * 5, 7) * 9;
	uint64_t t = r->s[1] << 17;

	r->s[2] ^= r->s[0];
	r->s[3] ^= r->s[1];
	r->s[1] ^= r->s[2];
	r->s[0] ^= r->s[3];
	r->s[2] ^= t;
	r->s[3] = rotate(r->s[3], 45);
	return result;
}

uint64_t rng_below(struct rng *r, uint64_t n)
{
	return rng_next(r) % n;
}

uint64_t rng_between(struct rng *r, uint64_t low, uint64_t high)
{
	return low + rng_below(r, high - low + 1);
}

uint64_t rng_skewed(struct rng *r, uint64_t low, uint64_t high)
{
	uint64_t a = rng_below(r, 1024);
	uint64_t b = rng_below(r, 1024);

	return low + (high - low) * a / 1024 * b / 1024;
}

bool rng_chance(struct rng *r, uint32_t per_mille)
{
	return per_mille > 0 && rng_below(r, 1000) < per_mille;
}

void rng_bytes(struct rng *r, void *bytes, size_t length)
{
	uint8_t *p = bytes;

	for (size_t i = 0; i < length; i++)
		p[i] = (uint8_t) (rng_next(r) >> 24);
}
