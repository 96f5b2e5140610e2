/*
 * test_state_hash.c - T3: the hash tells rows apart, sums in any order, and never changes its values.
 */
#include "paxos/state_hash.h"

#include <stdlib.h>
#include <string.h>

#include "unit.h"

#define N_ROWS 1000000

static struct hashed_row row_of(const char *partition, const char *key, const char *value)
{
	struct hashed_row row = {
		.partition = partition,
		.partition_length = (uint32_t) strlen(partition),
		.key = key,
		.key_length = (uint32_t) strlen(key),
		.value = value,
		.value_length = value ? (uint32_t) strlen(value) : 0,
		.value_kind = value ? 1 : 0,
		.revision = 5,
		.create_revision = 3,
		.written_at_us = 1700000000000000,
	};

	return row;
}

static bool same(struct state_hash a, struct state_hash b)
{
	return a.low == b.low && a.high == b.high;
}

static struct state_hash hash_of(const char *partition, const char *key, const char *value)
{
	struct hashed_row row = row_of(partition, key, value);

	return state_hash_row(&row);
}

/* What is stored by one version is compared by the next. */
static void test_pinned(void)
{
	struct state_hash hash = hash_of("default", "config/limits/connections", "a value of some length: 100");

	ok(hash.high == UINT64_C(0x9a2a6160167386a0) && hash.low == UINT64_C(0x7de59a6d7dac1b13),
	   "a known row has its known hash");
	hash = hash_of("", "", NULL);
	ok(hash.high == UINT64_C(0x208c77aef3b307b3) && hash.low == UINT64_C(0xfde4c9f20643d373),
	   "so has an empty one");
}

static void test_columns(void)
{
	struct hashed_row row = row_of("p", "k", "v"), other = row;
	struct state_hash hash = state_hash_row(&row);

	ok(same(hash, state_hash_row(&other)), "equal rows have equal hashes");
	other.revision++;
	ok(!same(hash, state_hash_row(&other)), "the revision counts");
	other = row;
	other.create_revision++;
	ok(!same(hash, state_hash_row(&other)), "the revision of creation counts");
	other.create_revision = row.revision;
	other.revision = row.create_revision;
	ok(!same(hash, state_hash_row(&other)), "and which of the two is which");
	other = row;
	other.written_at_us++;
	ok(!same(hash, state_hash_row(&other)), "the time of writing counts");
	other = row;
	other.value_kind = 2;
	ok(!same(hash, state_hash_row(&other)), "the kind of value counts");
	ok(!same(hash_of("ab", "c", "d"), hash_of("a", "bc", "d")), "a byte moved from partition to key counts");
	ok(!same(hash_of("a", "bc", "d"), hash_of("a", "b", "cd")), "or from key to value");
	ok(!same(hash_of("", "ab", "c"), hash_of("ab", "", "c")), "or a whole column");
	ok(!same(hash_of("a", "b", "c"), hash_of("a", "c", "b")), "columns are not interchangeable");
	ok(!same(hash_of("a", "b", ""), hash_of("a", "b", NULL)), "an empty value is not none");
	ok(!same(hash_of("", "k", "0123456789abcdef"), hash_of("0123456789abcdef", "k", "")),
	   "nor with whole blocks");
}

/* Bytes of zero pad the last block: their number must count. */
static void test_zeros(void)
{
	static const char zeros[64];
	struct state_hash hashes[65];
	bool distinct = true;

	for (uint32_t n = 0; n <= 64; n++)
	{
		struct hashed_row row = row_of("", "k", "");

		row.value = zeros;
		row.value_length = n;
		hashes[n] = state_hash_row(&row);
		for (uint32_t i = 0; i < n; i++)
			distinct = distinct && !same(hashes[i], hashes[n]);
	}
	ok(distinct, "values of 0 to 64 zero bytes are told apart");
}

static int by_hash(const void *a, const void *b)
{
	const struct state_hash *x = a, *y = b;

	if (x->high != y->high)
		return x->high < y->high ? -1 : 1;
	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return 0;
}

/* Near-identical rows: even each 64-bit half alone should not collide among a million (expected 2.7e-8). */
static void test_distinct(void)
{
	struct state_hash *hashes = malloc(N_ROWS * sizeof(*hashes));
	unsigned equal_high = 0, equal_low = 0;

	for (int i = 0; i < N_ROWS; i++)
	{
		char key[32], value[32];
		struct hashed_row row;

		snprintf(key, sizeof(key), "user/%d", i % 1000);
		snprintf(value, sizeof(value), "%d", i / 1000 % 10);
		row = row_of("default", key, value);
		row.revision = (uint64_t) (i / 10000);
		hashes[i] = state_hash_row(&row);
	}
	qsort(hashes, N_ROWS, sizeof(*hashes), by_hash);
	for (int i = 1; i < N_ROWS; i++)
		equal_high += hashes[i].high == hashes[i - 1].high;
	for (int i = 0; i < N_ROWS; i++)
		hashes[i].high = 0;
	qsort(hashes, N_ROWS, sizeof(*hashes), by_hash);
	for (int i = 1; i < N_ROWS; i++)
		equal_low += hashes[i].low == hashes[i - 1].low;
	ok(equal_high == 0 && equal_low == 0, "a million near-identical rows differ in both halves");
	free(hashes);
}

/* Flips each bit of a row's bytes; counts how often each bit of the hash follows. */
static void test_avalanche(void)
{
	enum
	{
		BYTES = 100,
		ROUNDS = 20
	};
	static unsigned flips[128];
	uint64_t total = 0;
	unsigned least = UINT32_MAX, most = 0;
	uint64_t random = 1;

	for (int round = 0; round < ROUNDS; round++)
	{
		char value[BYTES];
		struct hashed_row row = row_of("p", "key", "");
		struct state_hash hash;

		for (int i = 0; i < BYTES; i++)
		{
			random = random * 6364136223846793005u + 1442695040888963407u;
			value[i] = (char) (random >> 56);
		}
		row.value = value;
		row.value_length = BYTES;
		hash = state_hash_row(&row);
		for (int bit = 0; bit < BYTES * 8; bit++)
		{
			struct state_hash changed;

			value[bit / 8] ^= (char) (1 << bit % 8);
			changed = state_hash_row(&row);
			value[bit / 8] ^= (char) (1 << bit % 8);
			for (int i = 0; i < 64; i++)
			{
				flips[i] += (unsigned) ((hash.low ^ changed.low) >> i & 1);
				flips[64 + i] += (unsigned) ((hash.high ^ changed.high) >> i & 1);
			}
		}
	}
	for (int i = 0; i < 128; i++)
	{
		total += flips[i];
		least = flips[i] < least ? flips[i] : least;
		most = flips[i] > most ? flips[i] : most;
	}
	/* 16,000 flips: half is 8,000 with a standard deviation of 63. */
	ok(least > 7600 && most < 8400, "each bit of the hash follows half of the flips: %u to %u of 16000",
	   least, most);
	ok(total > 1016000 && total < 1032000, "%" PRIu64 " of 2048000 in all", total);
}

static void test_sums(void)
{
	struct state_hash a = hash_of("p", "a", "1"), b = hash_of("p", "b", "2"), c = hash_of("p", "c", "3");
	struct state_hash zero = {0, 0}, sum;
	struct state_hash carry = state_hash_add((struct state_hash){UINT64_MAX, 1}, (struct state_hash){1, 0});
	uint8_t bytes[16];

	ok(carry.low == 0 && carry.high == 2, "a sum carries");
	carry = state_hash_subtract(carry, (struct state_hash){1, 0});
	ok(carry.low == UINT64_MAX && carry.high == 1, "a difference borrows");
	sum = state_hash_add(state_hash_add(a, b), c);
	ok(same(sum, state_hash_add(c, state_hash_add(b, a))), "the order of rows does not count");
	ok(same(state_hash_subtract(sum, b), state_hash_add(a, c)), "a row taken out leaves the others");
	ok(same(state_hash_subtract(state_hash_subtract(state_hash_subtract(sum, a), b), c), zero),
	   "all taken out leaves zero");
	state_hash_to_bytes((struct state_hash){UINT64_C(0x090a0b0c0d0e0f10), UINT64_C(0x0102030405060708)},
						bytes);
	ok(bytes[0] == 1 && bytes[7] == 8 && bytes[8] == 9 && bytes[15] == 16, "bytes are big-endian");
	state_hash_to_bytes(sum, bytes);
	ok(same(state_hash_from_bytes(bytes), sum), "and come back");
}

int main(void)
{
	test_pinned();
	test_columns();
	test_zeros();
	test_distinct();
	test_avalanche();
	test_sums();
	return done();
}
