/*
 * pool.c - interned byte strings: equal bytes have one number, from 1.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "explore.h"

#define CHUNK (1u << 24)

struct item
{
	const uint8_t *bytes;
	uint32_t length;
	uint32_t hash;
};

struct pool
{
	struct item *items; /* [0] is not used */
	uint32_t n;
	uint32_t capacity;
	uint32_t *table;
	uint32_t mask;
	uint8_t *chunk; /* begins with the address of the one before */
	uint32_t chunk_used;
};

_Noreturn void die(const char *format, ...)
{
	va_list args;

	fflush(stdout);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(2);
}

static void *or_die(void *memory)
{
	if (memory == NULL)
		die("out of memory");
	return memory;
}

static uint64_t mix(uint64_t a, uint64_t b)
{
	__extension__ unsigned __int128 product = (unsigned __int128) a * b;

	return (uint64_t) product ^ (uint64_t) (product >> 64);
}

uint64_t hash_bytes(const void *bytes, size_t length)
{
	const uint8_t *at = bytes;
	uint64_t hash = 0x9e3779b97f4a7c15u ^ length;
	uint64_t word;

	for (; length >= 8; at += 8, length -= 8)
	{
		memcpy(&word, at, 8);
		hash = mix(hash ^ word ^ 0xa0761d6478bd642fu, 0xe7037ed1a0b428dbu);
	}
	word = 0;
	memcpy(&word, at, length);
	hash = mix(hash ^ word, 0x8ebc6af09c88c6e3u);
	return mix(hash ^ 0x589965cc75374cc3u, 0x1d8e4e27c47d124fu);
}

struct pool *pool_new(void)
{
	struct pool *pool = or_die(calloc(1, sizeof(*pool)));

	pool->n = 1;
	pool->capacity = 1024;
	pool->items = or_die(calloc(pool->capacity, sizeof(*pool->items)));
	pool->mask = 2047;
	pool->table = or_die(calloc(pool->mask + 1, sizeof(*pool->table)));
	return pool;
}

static void grow(struct pool *pool)
{
	pool->capacity *= 2;
	pool->items = or_die(realloc(pool->items, pool->capacity * sizeof(*pool->items)));
	free(pool->table);
	pool->mask = pool->capacity * 2 - 1;
	pool->table = or_die(calloc((size_t) pool->mask + 1, sizeof(*pool->table)));
	for (uint32_t id = 1; id < pool->n; id++)
	{
		uint32_t at = pool->items[id].hash & pool->mask;

		while (pool->table[at] != 0)
			at = (at + 1) & pool->mask;
		pool->table[at] = id;
	}
}

static const uint8_t *keep(struct pool *pool, const void *bytes, uint32_t length)
{
	uint8_t *kept;
	uint32_t rounded = (length + 15) & ~15u;

	if (rounded > CHUNK - 16)
		die("a string of %u bytes", length);
	if (pool->chunk == NULL || pool->chunk_used + rounded > CHUNK)
	{
		uint8_t *chunk = or_die(malloc(CHUNK));

		memcpy(chunk, &pool->chunk, sizeof(pool->chunk));
		pool->chunk = chunk;
		pool->chunk_used = 16;
	}
	kept = pool->chunk + pool->chunk_used;
	pool->chunk_used += rounded;
	memcpy(kept, bytes, length);
	return kept;
}

uint32_t pool_intern(struct pool *pool, const void *bytes, uint32_t length)
{
	uint32_t hash = (uint32_t) hash_bytes(bytes, length);
	uint32_t at = hash & pool->mask;

	for (; pool->table[at] != 0; at = (at + 1) & pool->mask)
	{
		const struct item *item = &pool->items[pool->table[at]];

		if (item->hash == hash && item->length == length && memcmp(item->bytes, bytes, length) == 0)
			return pool->table[at];
	}
	pool->items[pool->n] = (struct item){keep(pool, bytes, length), length, hash};
	pool->table[at] = pool->n++;
	if (pool->n == pool->capacity)
		grow(pool);
	return pool->n - 1;
}

const void *pool_get(const struct pool *pool, uint32_t id, uint32_t *length)
{
	if (id == 0 || id >= pool->n)
		die("no string %u", id);
	if (length != NULL)
		*length = pool->items[id].length;
	return pool->items[id].bytes;
}

uint32_t pool_count(const struct pool *pool)
{
	return pool->n - 1;
}

void pool_free(struct pool *pool)
{
	while (pool != NULL && pool->chunk != NULL)
	{
		uint8_t *chunk = pool->chunk;

		memcpy(&pool->chunk, chunk, sizeof(pool->chunk));
		free(chunk);
	}
	if (pool == NULL)
		return;
	free(pool->items);
	free(pool->table);
	free(pool);
}
