/*
 * state_hash.c - T3: a row's 128-bit hash, and sums of them.
 *
 * A state of two 64-bit halves takes in the row 16 bytes at a time.  Each step is a bijection of the state
 * for any input, so nothing taken in is ever lost: two rows that differ in one block only can't collide.
 * The fixed columns and all lengths come first, so that no shift of bytes between columns goes unseen.
 * The values are kept on disk and compared between nodes: they must never change for a given row.
 */
#include "paxos/state_hash.h"

#include <string.h>

#include "paxos/bytes.h"

/* Odd, with bits as if random: the fractional parts of the square roots of 2, 3, 5, 7 and 11. */
#define FACTOR_A 0x6a09e667f3bcc909u
#define FACTOR_B 0xbb67ae8584caa73bu
#define FACTOR_C 0x3c6ef372fe94f82bu
#define START_A 0xa54ff53a5f1d36f1u
#define START_B 0x510e527fade682d1u

/* The high half of the 128-bit product. */
static inline uint64_t multiply_high(uint64_t a, uint64_t b)
{
#ifdef __SIZEOF_INT128__
	return (uint64_t) (((unsigned __int128) a * b) >> 64);
#else
	uint64_t a_low = a & UINT32_MAX;
	uint64_t a_high = a >> 32;
	uint64_t b_low = b & UINT32_MAX;
	uint64_t b_high = b >> 32;
	uint64_t middle = a_high * b_low + (a_low * b_low >> 32);
	uint64_t carry = a_low * b_high + (middle & UINT32_MAX);

	return a_high * b_high + (middle >> 32) + (carry >> 32);
#endif
}

/*
 * Takes in 16 bytes.  Low product halves carry bits upwards, high halves bring them down; each half is
 * changed by a function of the other, which can be undone.
 */
static inline void absorb(struct state_hash *state, uint64_t x, uint64_t y)
{
	uint64_t a = (state->low ^ x) + START_A;
	uint64_t b = (state->high ^ y) + START_B;

	a = a * FACTOR_A ^ multiply_high(b, FACTOR_B);
	b = b * FACTOR_B ^ multiply_high(a, FACTOR_C);
	state->low = a;
	state->high = b;
}

static void absorb_bytes(struct state_hash *state, const char *bytes, uint32_t length)
{
	const uint8_t *at = (const uint8_t *) bytes;
	uint8_t last[16] = {0};

	for (; length >= 16; length -= 16, at += 16)
		absorb(state, get_u64(at), get_u64(at + 8));
	if (length > 0)
	{
		memcpy(last, at, length);
		absorb(state, get_u64(last), get_u64(last + 8));
	}
}

/* The last bytes taken in must reach every bit too. */
static struct state_hash finish(struct state_hash state)
{
	for (int i = 0; i < 3; i++)
		absorb(&state, 0, 0);
	return state;
}

struct state_hash state_hash_bytes(uint64_t kind, const void *bytes, uint32_t length)
{
	struct state_hash state = {START_B, START_A};

	absorb(&state, kind, length);
	absorb_bytes(&state, bytes, length);
	return finish(state);
}

struct state_hash state_hash_row(const struct hashed_row *row)
{
	struct state_hash state = {START_A, START_B};

	absorb(&state, row->partition_length | (uint64_t) row->key_length << 32,
		   row->value_length | (uint64_t) row->value_kind << 32);
	absorb(&state, row->revision, row->create_revision);
	absorb(&state, (uint64_t) row->written_at_us, 0);
	absorb_bytes(&state, row->partition, row->partition_length);
	absorb_bytes(&state, row->key, row->key_length);
	absorb_bytes(&state, row->value, row->value_length);
	return finish(state);
}

struct state_hash state_hash_add(struct state_hash a, struct state_hash b)
{
	struct state_hash sum = {.low = a.low + b.low, .high = a.high + b.high};

	if (sum.low < a.low)
		sum.high++;
	return sum;
}

struct state_hash state_hash_subtract(struct state_hash a, struct state_hash b)
{
	struct state_hash difference = {.low = a.low - b.low, .high = a.high - b.high};

	if (a.low < b.low)
		difference.high--;
	return difference;
}

void state_hash_to_bytes(struct state_hash hash, uint8_t bytes[16])
{
	for (int i = 0; i < 8; i++)
	{
		bytes[i] = (uint8_t) (hash.high >> (56 - 8 * i));
		bytes[8 + i] = (uint8_t) (hash.low >> (56 - 8 * i));
	}
}

struct state_hash state_hash_from_bytes(const uint8_t bytes[16])
{
	struct state_hash hash = {0, 0};

	for (int i = 0; i < 8; i++)
	{
		hash.high = hash.high << 8 | bytes[i];
		hash.low = hash.low << 8 | bytes[8 + i];
	}
	return hash;
}
