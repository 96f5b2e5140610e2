/*
 * holes.c - a short list of ranges of slots, by rising slot, none touching the next.
 */
#include "paxos/holes.h"

#include <string.h>

static void drop(struct paxos_holes *holes, uint32_t from, uint32_t count)
{
	memmove(holes->at + from, holes->at + from + count, (holes->n - from - count) * sizeof *holes->at);
	holes->n -= count;
}

const struct paxos_slots *holes_find(const struct paxos_holes *holes, uint64_t slot)
{
	for (uint32_t i = 0; i < holes->n; i++)
		if (holes->at[i].first <= slot && slot <= holes->at[i].last)
			return &holes->at[i];
	return NULL;
}

uint64_t holes_next(const struct paxos_holes *holes, uint64_t slot)
{
	for (uint32_t i = 0; i < holes->n; i++)
		if (holes->at[i].last >= slot)
			return holes->at[i].first > slot ? holes->at[i].first : slot;
	return 0;
}

bool holes_add(struct paxos_holes *holes, uint64_t first, uint64_t last)
{
	if (holes->n > 0 && holes->at[holes->n - 1].last + 1 == first)
	{
		holes->at[holes->n - 1].last = last;
		return true;
	}
	if (holes->n == PAXOS_MAX_HOLES)
		return false;
	holes->at[holes->n++] = (struct paxos_slots){first, last};
	return true;
}

bool holes_fill(struct paxos_holes *holes, uint64_t slot)
{
	struct paxos_slots *hole = (struct paxos_slots *) holes_find(holes, slot);

	if (hole == NULL)
		return true;
	if (hole->first == hole->last)
		drop(holes, (uint32_t) (hole - holes->at), 1);
	else if (hole->first == slot)
		hole->first++;
	else if (hole->last == slot)
		hole->last--;
	else if (holes->n == PAXOS_MAX_HOLES)
		return false;
	else
	{
		memmove(hole + 1, hole, (size_t) (holes->at + holes->n - hole) * sizeof *hole);
		holes->n++;
		hole[0].last = slot - 1;
		hole[1].first = slot + 1;
	}
	return true;
}

void holes_cut(struct paxos_holes *holes, uint64_t base)
{
	while (holes->n > 0 && holes->at[holes->n - 1].first > base)
		holes->n--;
	if (holes->n > 0 && holes->at[holes->n - 1].last > base)
		holes->at[holes->n - 1].last = base;
}

void holes_trim(struct paxos_holes *holes, uint64_t first_slot)
{
	uint32_t gone = 0;

	while (gone < holes->n && holes->at[gone].last < first_slot)
		gone++;
	drop(holes, 0, gone);
	if (holes->n > 0 && holes->at[0].first < first_slot)
		holes->at[0].first = first_slot;
}
