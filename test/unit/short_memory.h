/*
 * short_memory.h - memory that runs out, for plog_set_allocator().
 */
#ifndef SHORT_MEMORY_H
#define SHORT_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* So many more succeed. */
extern uint64_t allocations_left;

/* As realloc(). */
void *short_of_memory(void *old, size_t size);

#endif /* SHORT_MEMORY_H */
