/*
 * writes.c - what must be durable: handed to the host in order, and credited when the host says so.
 */
#include "paxos/internal.h"

/* Room in the outbox for one input's writes; an input that would need more waits. */
bool writes_have_room(const struct paxos *p, uint32_t n_entries)
{
	return p->n_writes + 3 <= OUTBOX_WRITES && p->n_write_entries + n_entries + 1 <= OUTBOX_ENTRIES;
}

/* A place in the outbox, with the next id. */
static struct paxos_write *new_write(struct paxos *p, enum paxos_write_type type)
{
	struct paxos_write *w;

	PAXOS_ASSERT(p, p->n_writes < OUTBOX_WRITES);
	PAXOS_ASSERT(p, p->role != PAXOS_FENCED);
	w = &p->writes[(p->write_head + p->n_writes) % OUTBOX_WRITES];
	p->n_writes++;
	*w = (struct paxos_write){.id = ++p->last_write_id, .type = type, .epoch = p->config.epoch};
	return w;
}

/* Remembers what becomes durable with write w.  A full ring credits the newest ones together. */
static void add_pending(struct paxos *p, const struct paxos_write *w, bool heals)
{
	struct pending_write *pending;

	if (p->n_pending == PENDING_MAX)
		pending = &p->pending[(p->pending_head + PENDING_MAX - 1) % PENDING_MAX];
	else
	{
		pending = &p->pending[(p->pending_head + p->n_pending) % PENDING_MAX];
		p->n_pending++;
		*pending = (struct pending_write){0};
	}
	PAXOS_ASSERT(p, pending->id < w->id);
	pending->id = w->id;
	if (w->type == PAXOS_WRITE_PROMISE)
		pending->promise = w->ballot;
	if (w->type == PAXOS_WRITE_APPEND || w->type == PAXOS_WRITE_INSTALL)
	{
		pending->accepted = p->accepted;
		pending->end = p->end;
	}
	pending->heals |= heals;
}

/* Copies the entry headers, so that the caller's array may go; the bytes stay the caller's. */
static void attach_entries(struct paxos *p, struct paxos_write *w, const struct paxos_entry *entries,
						   uint32_t n_entries)
{
	PAXOS_ASSERT(p, p->n_write_entries + n_entries <= OUTBOX_ENTRIES);
	w->entries = &p->write_entries[p->n_write_entries];
	w->n_entries = n_entries;
	for (uint32_t i = 0; i < n_entries; i++)
		p->write_entries[p->n_write_entries++] = entries[i];
}

/* B4, B0: the promise only rises. */
void write_promise(struct paxos *p, struct paxos_ballot ballot)
{
	struct paxos_write *w = new_write(p, PAXOS_WRITE_PROMISE);

	PAXOS_ASSERT(p, ballot_above(ballot, p->promise));
	w->ballot = ballot;
	p->promise = ballot;
	add_pending(p, w, false);
}

/*
 * A6: notes how many bytes Accepts have brought through the log's end.  The last mark moves along until it
 * is a step ahead of the one before it; a full ring only gets coarser.
 */
static void mark_bytes(struct paxos *p, uint64_t bytes)
{
	uint64_t step = p->options.unapplied_bytes_max / (BYTE_MARKS / 2);
	uint64_t before = p->bytes_applied;
	uint32_t last;

	p->bytes_taken += bytes;
	if (p->n_marks > 1)
		before = p->marks[(p->mark_head + p->n_marks - 2) % BYTE_MARKS].bytes;
	last = (p->mark_head + p->n_marks - 1) % BYTE_MARKS;
	if (p->n_marks == 0 || (p->n_marks < BYTE_MARKS && p->marks[last].bytes - before >= step))
		last = (p->mark_head + p->n_marks++) % BYTE_MARKS;
	p->marks[last] = (struct byte_mark){p->end, p->bytes_taken};
}

/* A1: appends behind the log's end, at the accepted ballot. */
void write_append(struct paxos *p, const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_write *w = new_write(p, PAXOS_WRITE_APPEND);
	uint64_t bytes = 0;

	PAXOS_ASSERT(p, n_entries > 0);
	PAXOS_ASSERT(p, ballot_equal(p->accepted, p->promise)); /* S4: nothing below the promise */
	PAXOS_ASSERT(p, !p->damage.damaged);
	w->ballot = p->accepted;
	w->first_slot = p->end + 1;
	attach_entries(p, w, entries, n_entries);
	p->end += n_entries;
	add_pending(p, w, false);
	for (uint32_t i = 0; i < n_entries; i++)
		bytes += entries[i].length;
	mark_bytes(p, bytes);
}

/* Y1: stages entries of another log; they are no part of ours until an INSTALL. */
void write_stage(struct paxos *p, struct paxos_ballot ballot, uint64_t base, uint64_t first_slot,
				 const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_write *w = new_write(p, PAXOS_WRITE_STAGE);

	PAXOS_ASSERT(p, ballot_equal(ballot, p->promise));
	PAXOS_ASSERT(p, first_slot > base);
	w->ballot = ballot;
	w->base = base;
	w->first_slot = first_slot;
	attach_entries(p, w, entries, n_entries);
	add_pending(p, w, false);
}

/* D7: what slots of the log held whose records rotted; the accepted ballot stays. */
void write_repair(struct paxos *p, uint64_t first_slot, const struct paxos_entry *entries, uint32_t n_entries)
{
	struct paxos_write *w = new_write(p, PAXOS_WRITE_REPAIR);

	PAXOS_ASSERT(p, p->damage.damaged && p->repair.active);
	PAXOS_ASSERT(p, first_slot > p->end && first_slot + n_entries <= p->repair.holes.end + 1);
	w->ballot = p->accepted;
	w->first_slot = first_slot;
	attach_entries(p, w, entries, n_entries);
	add_pending(p, w, false);
}

/* Y1, P1: truncates, installs and raises the accepted ballot in one record. */
void write_install(struct paxos *p, struct paxos_ballot ballot, uint64_t base, uint64_t end)
{
	struct paxos_write *w;

	PAXOS_ASSERT(p, ballot_equal(ballot, p->promise));
	PAXOS_ASSERT(p, ballot_above(ballot, p->accepted) || p->damage.damaged);
	PAXOS_ASSERT(p, base <= p->end && base <= end);
	PAXOS_ASSERT(p, p->chosen <= end); /* what is chosen stays */
	w = new_write(p, PAXOS_WRITE_INSTALL);
	w->ballot = ballot;
	w->base = base;
	w->end = end;
	PAXOS_ASSERT(p, base + 1 >= proven_first_slot(p)); /* T5: nothing is built before what the table holds */
	p->accepted = ballot;
	p->end = end;
	p->first_slot = min_u64(p->first_slot, base + 1); /* where damage hid what was before it */
	p->damage = (struct paxos_damage){0};
	p->repair.active = false; /* whichever comes first */
	for (uint32_t i = 0; i < p->n_peers; i++)
		p->peers[i].accepted_told = 0;
	/* A6: a Sync's bytes don't count, and what it replaced no longer does */
	p->n_marks = 0;
	p->bytes_taken = p->bytes_applied = 0;
	add_pending(p, w, true);
}

/* A6: bytes up to a slot, as the marks know it: those at or below it. */
static uint64_t bytes_through(const struct paxos *p, uint64_t slot)
{
	uint64_t bytes = p->bytes_applied;

	for (uint32_t i = 0; i < p->n_marks; i++)
	{
		const struct byte_mark *mark = &p->marks[(p->mark_head + i) % BYTE_MARKS];

		if (mark->slot > slot)
			break;
		bytes = mark->bytes;
	}
	return bytes;
}

/* A6: whether what is chosen, durable here and unapplied exceeds the hard limit. */
bool over_unapplied_limit(const struct paxos *p)
{
	if (p->bytes_taken - p->bytes_applied <= p->options.unapplied_bytes_max)
		return false;
	return bytes_through(p, p->chosen) - p->bytes_applied > p->options.unapplied_bytes_max;
}

/* A6: the applied index rose. */
void forget_applied_bytes(struct paxos *p)
{
	while (p->n_marks > 0 && p->marks[p->mark_head].slot <= p->applied)
	{
		p->bytes_applied = p->marks[p->mark_head].bytes;
		p->mark_head = (p->mark_head + 1) % BYTE_MARKS;
		p->n_marks--;
	}
}

/* Credits every write up to id. */
void writes_durable(struct paxos *p, uint64_t id)
{
	PAXOS_ASSERT(p, id <= p->last_write_id);
	PAXOS_ASSERT(p, p->n_writes == 0 || id < p->writes[p->write_head].id); /* drained before durable */
	while (p->n_pending > 0 && p->pending[p->pending_head].id <= id)
	{
		const struct pending_write *w = &p->pending[p->pending_head];

		if (!ballot_none(w->promise))
			p->durable.promise = w->promise;
		if (!ballot_none(w->accepted))
		{
			PAXOS_ASSERT(p, paxos_ballot_compare(w->accepted, p->durable.accepted) >= 0 ||
								p->durable.damage.damaged);
			p->durable.accepted = w->accepted;
			p->durable.end = w->end;
		}
		if (w->heals)
			p->durable.damage = (struct paxos_damage){0};
		p->pending_head = (p->pending_head + 1) % PENDING_MAX;
		p->n_pending--;
	}
	if (id > p->durable.id)
		p->durable.id = id;
}
