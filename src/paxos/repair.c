/*
 * repair.c - D7: a log that is whole but for some slots, whose records rotted, gets these back from the other nodes.
 *
 * Two logs of one accepted ballot hold the same up to where the shorter one ends, so any copy under the accepted ballot
 * of the whole log is what was lost.  So is what is chosen, in a slot that this node knew to be chosen when it held it:
 * in another, what was lost may have been something else.  All peers are asked, each for all that is missing, one
 * question at a time.  Until the last slot is durable again the node is damaged, as any other; then it never
 * was.  What others have heard of it meanwhile stays true: it told them of less than it has.
 */
#include "paxos/internal.h"

/* Writes that one answer may cause (OUTBOX_WRITES). */
#define RUNS_MAX 3
/* How long nodes that are not connected may have what the table holds, too. */
#define PATIENCE_TIMEOUTS (uint64_t) 4

void repair_create(struct paxos *p, const struct paxos_holes *holes)
{
	struct repair *r = &p->repair;

	if (!p->damage.damaged || holes->n == 0)
		return;
	PAXOS_ASSERT(p, holes->n <= PAXOS_MAX_HOLES && holes->end > p->end);
	PAXOS_ASSERT(p, holes->at[0].first == p->end + 1 && holes->at[holes->n - 1].last <= holes->end);
	r->active = true;
	r->since_ms = p->now_ms;
	r->holes = *holes;
	p->damage.repairing = p->durable.damage.repairing = true;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].asked.cursor = 1;
		p->peers[i].asked.sequence = p->options.run << 32; /* answers to a past life answer nothing */
	}
}

/* ---------------------------------------------------------------- what has become of it */

/* Who proposes at the ballot promised hears what this log is now; it may wait for that. */
static void tell_proposer(struct paxos *p)
{
	struct peer *peer = ballot_none(p->promise) ? NULL : find_peer(p, p->promise.node_id);

	if (peer == &p->peers[p->self])
		phase1_repaired(p);
	else if (peer != NULL)
		owe_promise(p, peer, p->promise);
}

/* Every voter, or only those that are connected, has said of every slot that is missing that it has none. */
static bool all_passed(const struct paxos *p, bool connected)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		const struct peer *peer = &p->peers[i];

		if (i != p->self && !peer->member.learner && !peer->asked.passed && (peer->connected || !connected))
			return false;
	}
	return true;
}

/*
 * D8: whether there is hope, as everybody is told; and where there is none.  What is applied here is not lost: when that
 * is durable the host has the log begin behind it (T2), without waiting for ever for nodes that are away.
 */
static void update_hope(struct paxos *p)
{
	struct repair *r = &p->repair;
	bool waited = p->now_ms - r->since_ms >= PATIENCE_TIMEOUTS * p->options.election_timeout_ms;
	bool all = all_passed(p, false);
	uint64_t lost = 0;

	r->nowhere = r->holes.n > 0 && (all || (waited && all_passed(p, true)));
	if (r->holes.n > 0 && all && r->holes.at[r->holes.n - 1].last > p->applied)
		lost = max_u64(r->holes.at[0].first, holes_next(&r->holes, p->applied + 1));
	if (lost == p->damage.lost_slot)
		return;
	p->damage.lost_slot = p->durable.damage.lost_slot = lost;
	p->damage.repairing = p->durable.damage.repairing = lost == 0;
	tell_proposer(p);
}

/*
 * Nothing is missing any more, and that is durable: the log is what it was.  A Sync at the ballot that it has accepted
 * brings nothing (Y3); one at a higher ballot goes on, its base is before what was missing.
 */
static void complete(struct paxos *p)
{
	struct repair *r = &p->repair;

	PAXOS_ASSERT(p, p->damage.damaged && p->durable.damage.damaged);
	PAXOS_ASSERT(p, ballot_equal(p->accepted, p->durable.accepted));
	r->active = false;
	p->damage = p->durable.damage = (struct paxos_damage){0};
	p->end = p->durable.end = max_u64(p->end, r->holes.end);
	if (ballot_equal(p->staging.ballot, p->accepted))
		p->staging = (struct staging){0};
	for (uint32_t i = 0; i < p->n_peers; i++)
		p->peers[i].accepted_told = 0;
	tell_proposer(p);
}

void repair_durable(struct paxos *p)
{
	struct repair *r = &p->repair;

	if (r->active && r->holes.n == 0 && p->durable.id >= r->after)
		complete(p);
}

/* T2: what is before first_slot is chosen and in the table. */
void repair_trimmed(struct paxos *p, uint64_t first_slot)
{
	if (!p->repair.active)
		return;
	holes_trim(&p->repair.holes, first_slot);
	update_hope(p);
	repair_durable(p);
}

/* ---------------------------------------------------------------- asking */

static void pass_ends(struct paxos *p, struct peer *peer)
{
	peer->asked.passed = true;
	peer->asked.passed_ms = p->now_ms;
	peer->asked.cursor = 1;
	peer->asked.waits = false;
}

void repair_forget_peer(struct peer *peer)
{
	peer->asked.waits = peer->asked.passed = false;
	peer->asked.cursor = 1;
	peer->repair_owed.owed = false;
}

void repair_tick(struct paxos *p)
{
	if (p->repair.active)
		update_hope(p);
}

/* When all was asked in vain it is asked again after a while: somebody may have learned more. */
static bool may_ask(const struct paxos *p, const struct asked *a)
{
	if (a->waits)
		return p->now_ms - a->asked_ms >= 2 * p->options.heartbeat_interval_ms;
	return !a->passed || a->cursor > 1 || p->now_ms - a->passed_ms >= p->options.election_timeout_ms;
}

bool send_repair_ask(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct repair *r = &p->repair;
	struct asked *a = &peer->asked;
	uint64_t slot;

	if (!r->active || r->holes.n == 0 || !may_ask(p, a))
		return false;
	slot = holes_next(&r->holes, a->cursor);
	if (slot == 0)
	{
		pass_ends(p, peer);
		return false;
	}
	a->waits = true;
	a->asked_ms = p->now_ms;
	a->slot = slot;
	a->end = holes_find(&r->holes, slot)->last;
	m->type = PAXOS_REPAIR_ASK;
	m->accepted = p->accepted;
	m->sequence = ++a->sequence;
	m->slot = slot - 1;
	m->end = a->end;
	m->chosen = p->chosen;
	return true;
}

/* Takes entries of slots that are still missing.  The first slot that had to be left, or 0. */
static uint64_t take_entries(struct paxos *p, const struct paxos_message *m)
{
	struct repair *r = &p->repair;
	uint32_t runs = 0;

	for (uint32_t i = 0; i < m->n_entries;)
	{
		uint64_t slot = m->slot + 1 + i;
		uint32_t n = 0;

		while (i + n < m->n_entries && runs < RUNS_MAX && holes_find(&r->holes, slot + n) != NULL &&
			   holes_fill(&r->holes, slot + n))
			n++;
		if (n > 0)
		{
			write_repair(p, slot, m->entries + i, n);
			r->after = p->last_write_id;
			runs++;
			i += n;
		}
		else if (holes_find(&r->holes, slot) != NULL)
			return slot;
		else
			i++;
	}
	return 0;
}

bool recv_repair(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct asked *a = &peer->asked;
	uint64_t left;

	if (!p->repair.active || !a->waits || m->sequence != a->sequence ||
		!ballot_equal(m->accepted, p->accepted))
		return true; /* late */
	if (m->slot + 1 < a->slot || m->slot > a->end || m->n_entries > a->end - m->slot)
		return false;
	if (!writes_have_room(p, m->n_entries))
		return true; /* asked for again */
	left = take_entries(p, m);
	a->cursor = left != 0 ? left : m->slot + m->n_entries + 1;
	a->waits = left != 0;
	if (left == 0 && holes_next(&p->repair.holes, a->cursor) == 0)
		pass_ends(p, peer);
	update_hope(p);
	return true;
}

/* ---------------------------------------------------------------- answering */

bool recv_repair_ask(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (m->slot >= m->end || ballot_none(m->accepted))
		return false;
	peer->repair_owed = (struct repair_owed){.owed = true,
											 .accepted = m->accepted,
											 .slot = m->slot + 1,
											 .end = m->end,
											 .chosen = m->chosen,
											 .sequence = m->sequence};
	return true;
}

/*
 * How far this log surely holds what the asking one held: under the same accepted ballot all of it; else what both know
 * to be chosen, which in a damaged log may have been written behind the first bad record.
 */
static uint64_t same_through(const struct paxos *p, const struct repair_owed *o)
{
	uint64_t end = p->repair.active ? p->repair.holes.end : p->end;

	if (ballot_equal(p->accepted, o->accepted))
		return end;
	if (p->damage.damaged && !p->repair.active)
		end = min_u64(end, p->damage.lowest_written - 1);
	return min_u64(end, min_u64(p->chosen, o->chosen));
}

/* What this log has of a slot that is missing elsewhere and those behind it, or from where on it has none. */
bool send_repair(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	const struct repair_owed *o = &peer->repair_owed;
	const struct paxos_holes *own = &p->repair.holes;
	const struct paxos_slots *hole;
	uint64_t slot = max_u64(o->slot, p->first_slot);
	uint64_t last = min_u64(o->end, same_through(p, o));
	uint32_t bytes;

	if (!o->owed)
		return false;
	peer->repair_owed.owed = false;
	hole = p->repair.active ? holes_find(own, slot) : NULL;
	if (hole != NULL)
		slot = hole->last + 1;
	if (p->repair.active && holes_next(own, slot) != 0)
		last = min_u64(last, holes_next(own, slot) - 1);
	m->type = PAXOS_REPAIR;
	m->accepted = o->accepted;
	m->sequence = o->sequence;
	m->slot = o->end;
	m->end = o->end;
	if (slot > last)
		return true;
	m->slot = slot - 1;
	return load_entries(p, slot, last, m, &bytes);
}
