/*
 * arena.h - an allocator for protobuf-c over a fixed piece of memory, so that unpacking is bounded
 * whatever it reads.  Nothing is freed one by one.
 */
#ifndef TRANSPORT_ARENA_H
#define TRANSPORT_ARENA_H

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

struct arena
{
	uint8_t *bytes; /* aligned to 16 */
	size_t size;
	size_t used;
	ProtobufCAllocator allocator;
};

static inline void *arena_alloc(void *context, size_t size)
{
	struct arena *arena = context;
	size_t rounded = (size + 15) & ~(size_t) 15;
	void *piece;

	if (rounded < size || rounded > arena->size - arena->used)
		return NULL;
	piece = arena->bytes + arena->used;
	arena->used += rounded;
	return piece;
}

static inline void arena_free(void *context, void *piece)
{
}

static inline void arena_init(struct arena *arena, uint8_t *bytes, size_t size)
{
	arena->bytes = bytes;
	arena->size = size;
	arena->used = 0;
	arena->allocator.alloc = arena_alloc;
	arena->allocator.free = arena_free;
	arena->allocator.allocator_data = arena;
}

#endif /* TRANSPORT_ARENA_H */
