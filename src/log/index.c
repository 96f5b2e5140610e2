/*
 * index.c - where each slot's record lies: extents of up to PLOG_EXTENT_SLOTS consecutive slots, 40 bytes
 * each, by rising slot.  A reader scans from an extent's begin.
 */
#include "log/internal.h"

#include <string.h>

bool log_index_reserve(struct log_index *index, size_t more)
{
	size_t capacity = index->capacity == 0 ? 64 : index->capacity;
	struct log_extent *extents;

	while (capacity < index->count + more)
		capacity *= 2;
	if (capacity == index->capacity)
		return true;
	extents = plog_reallocate(index->extents, capacity * sizeof *extents);
	if (extents == NULL)
		return false;
	index->extents = extents;
	index->capacity = capacity;
	return true;
}

void log_index_add(struct log_index *index, uint64_t slot, uint16_t type, struct plog_position place)
{
	struct log_extent *last = index->count > 0 ? &index->extents[index->count - 1] : NULL;

	if (last != NULL && !last->closed && last->type == type && last->segment == place.segment &&
		last->count < PLOG_EXTENT_SLOTS && last->slot + last->count == slot)
	{
		last->count++;
		return;
	}
	plog_assert(index->count < index->capacity);
	plog_assert(last == NULL || last->slot + last->count <= slot);
	index->extents[index->count++] = (struct log_extent){
		.slot = slot, .segment = place.segment, .offset = place.offset, .count = 1, .type = type};
}

void log_index_insert(struct log_index *index, uint64_t slot, uint16_t type, struct plog_position place)
{
	size_t at = index->count;

	plog_assert(index->count < index->capacity);
	while (at > 0 && index->extents[at - 1].slot > slot)
		at--;
	plog_assert(at == 0 || index->extents[at - 1].slot + index->extents[at - 1].count <= slot);
	memmove(index->extents + at + 1, index->extents + at, (index->count - at) * sizeof *index->extents);
	index->count++;
	index->extents[at] = (struct log_extent){.slot = slot,
											 .segment = place.segment,
											 .offset = place.offset,
											 .count = 1,
											 .type = type,
											 .closed = true};
}

void log_index_cut(struct log_index *index, uint64_t base)
{
	struct log_extent *last;

	while (index->count > 0 && index->extents[index->count - 1].slot > base)
		index->count--;
	if (index->count == 0)
		return;
	last = &index->extents[index->count - 1];
	if (last->slot + last->count - 1 > base)
		last->count = (uint32_t) (base - last->slot + 1);
	last->closed = true;
}

void log_index_take(struct log_index *index, struct log_index *from, uint64_t base, uint64_t end)
{
	log_index_cut(from, end);
	log_index_trim(from, base + 1);
	plog_assert(index->count + from->count <= index->capacity);
	for (size_t i = 0; i < from->count; i++)
	{
		from->extents[i].closed = true;
		index->extents[index->count++] = from->extents[i];
	}
	from->count = 0;
}

void log_index_trim(struct log_index *index, uint64_t first_slot)
{
	size_t gone = 0;
	struct log_extent *first;

	while (gone < index->count && index->extents[gone].slot + index->extents[gone].count <= first_slot)
		gone++;
	if (gone > 0)
		memmove(index->extents, index->extents + gone, (index->count - gone) * sizeof *index->extents);
	index->count -= gone;
	if (index->count == 0)
		return;
	/* A reader skips the records before the slot that it wants, so the offset may stay. */
	first = &index->extents[0];
	if (first->slot < first_slot)
	{
		first->count -= (uint32_t) (first_slot - first->slot);
		first->slot = first_slot;
	}
}

const struct log_extent *log_index_find(const struct log_index *index, uint64_t slot)
{
	size_t low = 0;
	size_t high = index->count;
	const struct log_extent *extent;

	while (low < high)
	{
		size_t middle = low + (high - low) / 2;

		if (index->extents[middle].slot <= slot)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	extent = &index->extents[low - 1];
	return slot - extent->slot < extent->count ? extent : NULL;
}

uint64_t log_index_complete_from(const struct log_index *index, uint64_t end, const struct paxos_holes *holes)
{
	uint64_t from = end + 1;
	size_t i = index->count;

	for (;;)
	{
		const struct paxos_slots *hole = holes_find(holes, from - 1);

		if (hole != NULL)
			from = hole->first;
		else if (i > 0 && index->extents[i - 1].slot + index->extents[i - 1].count == from)
			from = index->extents[--i].slot;
		else
			break;
	}
	return from;
}

void log_index_free(struct log_index *index)
{
	plog_free(index->extents);
	memset(index, 0, sizeof *index);
}
