/*
 * oracle_log.c - the oracle's picture of a log: entries by name, and what each write does to it.
 */
#include "oracle.h"

#include <stdlib.h>
#include <string.h>

/* ---------------------------------------------------------------- arrays by slot */

uint32_t slots_get(const struct slots *slots, uint64_t slot)
{
	return slot < slots->capacity ? slots->ids[slot] : 0;
}

void slots_set(struct slots *slots, uint64_t slot, uint32_t id)
{
	if (slot >= slots->capacity)
	{
		uint64_t capacity = slots->capacity == 0 ? 64 : slots->capacity;

		while (capacity <= slot)
			capacity *= 2;
		slots->ids = realloc(slots->ids, capacity * sizeof(*slots->ids));
		memset(slots->ids + slots->capacity, 0, (capacity - slots->capacity) * sizeof(*slots->ids));
		slots->capacity = capacity;
	}
	slots->ids[slot] = id;
	if (slot > slots->end)
		slots->end = slot;
}

void slots_copy(struct slots *to, const struct slots *from, uint64_t end)
{
	if (end == 0)
		return;
	slots_set(to, end, slots_get(from, end));
	memcpy(to->ids, from->ids, end * sizeof(*to->ids));
	to->end = end;
}

/* ---------------------------------------------------------------- images */

void image_copy(struct image *to, const struct image *from)
{
	struct slots log = to->log;
	struct slots stage = to->stage;

	slots_copy(&log, &from->log, from->damaged && from->holes.n > 0 ? from->holes.end : from->end);
	slots_copy(&stage, &from->stage, from->stage.end);
	stage.end = from->stage.end;
	*to = *from;
	to->log = log;
	to->stage = stage;
}

void image_free(struct image *image)
{
	free(image->log.ids);
	free(image->stage.ids);
}

struct told image_told(const struct image *image, uint64_t id)
{
	return (struct told){id, image->accepted, image->end, image->damaged};
}

static const char *apply_append(struct image *image, const struct pending *write, uint32_t take)
{
	if (image->damaged)
		return "D7: a damaged log is appended to";
	if (paxos_ballot_compare(write->ballot, image->accepted) != 0)
		return "A1: an Accept is taken without the ballot's Sync";
	if (write->first_slot != image->end + 1)
		return "A2: an append that leaves a gap or overwrites";
	for (uint32_t i = 0; i < take; i++)
		slots_set(&image->log, write->first_slot + i, write->ids[i]);
	image->end += take;
	return NULL;
}

static const char *apply_stage(struct image *image, const struct pending *write)
{
	if (paxos_ballot_compare(write->ballot, image->stage_ballot) != 0 || write->base != image->stage_base)
	{
		if (image->stage.capacity > 0)
			memset(image->stage.ids, 0, image->stage.capacity * sizeof(*image->stage.ids));
		image->stage.end = 0;
		image->stage_ballot = write->ballot;
		image->stage_base = write->base;
	}
	for (uint32_t i = 0; i < write->n; i++)
		slots_set(&image->stage, write->first_slot + i, write->ids[i]);
	return NULL;
}

static const char *apply_install(struct image *image, const struct pending *write)
{
	if (write->base > image->end)
		return "Y2: a Sync is installed behind the log's end";
	if (write->end < write->base)
		return "Y1: a Sync ends before its base";
	if (!image->damaged && paxos_ballot_compare(write->ballot, image->accepted) <= 0)
		return "Y3: a Sync is installed at or below the accepted ballot";
	for (uint64_t slot = write->base + 1; slot <= write->end; slot++)
	{
		uint32_t id = slots_get(&image->stage, slot);

		if (id == 0 || paxos_ballot_compare(write->ballot, image->stage_ballot) != 0)
			return "Y1: a Sync is installed of which a part was never staged";
		slots_set(&image->log, slot, id);
	}
	image->end = write->end;
	if (write->base < image->before)
		image->before = write->base;
	image->accepted = write->ballot;
	image->damaged = image->doubtful = false;
	image->holes.n = 0;
	image->repaired_by = write->id;
	return NULL;
}

/* D7: the log is what it was when the last slot is back. */
static const char *apply_repair(struct image *image, const struct pending *write)
{
	if (!image->damaged || paxos_ballot_compare(write->ballot, image->accepted) != 0)
		return "D7: a log is repaired at another ballot than it had accepted, or misses nothing";
	for (uint32_t i = 0; i < write->n; i++)
	{
		if (holes_find(&image->holes, write->first_slot + i) == NULL)
			return "D7: a slot is repaired that was not missing";
		holes_fill(&image->holes, write->first_slot + i);
		slots_set(&image->log, write->first_slot + i, write->ids[i]);
	}
	image->repaired_by = write->id;
	if (image->holes.n > 0)
		return NULL;
	image->damaged = false;
	image->end = image->holes.end;
	return NULL;
}

const char *image_apply(struct image *image, const struct pending *write, uint32_t take)
{
	if (write->type == PAXOS_WRITE_PROMISE)
	{
		if (paxos_ballot_compare(write->ballot, image->promise) < 0)
			return "S4: a promise falls";
		image->promise = write->ballot;
		return NULL;
	}
	if (write->type == PAXOS_WRITE_REPAIR)
		return apply_repair(image, write);
	if (paxos_ballot_compare(write->ballot, image->promise) < 0)
		return "S4: something is accepted below the promise";
	/* Its ballot in the log is a promise too (B4). */
	image->promise = write->ballot;
	if (write->type == PAXOS_WRITE_APPEND)
		return apply_append(image, write, take);
	return write->type == PAXOS_WRITE_STAGE ? apply_stage(image, write) : apply_install(image, write);
}

/* ---------------------------------------------------------------- names of entries */

static void grow_hash(struct oracle *o)
{
	free(o->hash);
	o->hash_size = o->hash_size == 0 ? 1024 : o->hash_size * 2;
	o->hash = calloc(o->hash_size, sizeof(*o->hash));
	for (uint32_t i = 0; i < o->n_names; i++)
	{
		uint32_t at = (uint32_t) o->names[i].digest & (o->hash_size - 1);

		while (o->hash[at] != 0)
			at = (at + 1) & (o->hash_size - 1);
		o->hash[at] = i + 1;
	}
}

uint32_t oracle_name(struct oracle *o, const struct paxos_entry *entry)
{
	uint64_t digest = bytes_digest(entry->bytes, entry->length);
	struct name *name;
	uint32_t at;

	if (o->n_names * 2 >= o->hash_size)
		grow_hash(o);
	at = (uint32_t) digest & (o->hash_size - 1);
	for (; o->hash[at] != 0; at = (at + 1) & (o->hash_size - 1))
	{
		name = &o->names[o->hash[at] - 1];
		if (name->digest == digest && name->length == entry->length &&
			memcmp(name->bytes, entry->bytes, entry->length) == 0)
			return o->hash[at];
	}
	if (o->n_names == o->names_capacity)
	{
		o->names_capacity = o->names_capacity == 0 ? 256 : o->names_capacity * 2;
		o->names = realloc(o->names, o->names_capacity * sizeof(*o->names));
	}
	name = &o->names[o->n_names++];
	name->digest = digest;
	name->length = entry->length;
	name->bytes = malloc(entry->length + 1);
	memcpy(name->bytes, entry->bytes, entry->length);
	o->hash[at] = o->n_names;
	return o->n_names;
}

void oracle_names_free(struct oracle *o)
{
	for (uint32_t i = 0; i < o->n_names; i++)
		free(o->names[i].bytes);
	free(o->names);
	free(o->hash);
}
