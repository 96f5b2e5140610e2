/*
 * behind.c - nodes behind what the others' logs retain (PROTOCOL T2, T5, P1): a log that is trimmed, who lacks what is
 * gone from it, and a table that another node's snapshot brought.
 */
#include <string.h>

#include "paxos/internal.h"

/*
 * The first slot of this node's log as far as it proves something: all before it is chosen.  Where a bad record may
 * have said where the log begins, it proves nothing (D7).
 */
uint64_t proven_first_slot(const struct paxos *p)
{
	return p->damage.damaged ? min_u64(p->first_slot, p->damage.lowest_written) : p->first_slot;
}

/* T5: the table as of which slot this node needs, because it or its log lacks what no log holds; 0: none. */
uint64_t table_needed(const struct paxos *p)
{
	uint64_t own = proven_first_slot(p) - 1;

	return max_u64(p->applied < own ? own : 0, p->chosen < p->behind ? p->behind : 0);
}

/* P1: a peer's log begins behind what this node has of it. */
void fall_behind(struct paxos *p, const struct peer *peer, uint64_t slot)
{
	p->behind = max_u64(p->behind, slot);
	p->behind_source = (uint32_t) (peer - p->peers);
}

/* At the end of a round: the need lapses with the peer that told of it, for others may hold more. */
void behind_tick(struct paxos *p)
{
	if (p->behind <= p->chosen || p->peers[p->behind_source].answered_round != p->round)
		p->behind = 0;
	if (table_needed(p) == 0)
		p->behind_told = 0;
}

/* ---------------------------------------------------------------- leader and follower */

/* Whether the next entry that this follower needs is trimmed here. */
bool lacks_trimmed(const struct paxos *p, const struct follower *f)
{
	if (f->progress == PROGRESS_NONE || f->next >= p->first_slot)
		return false;
	return f->next <= (f->progress == PROGRESS_SYNC ? f->sync_end : p->end);
}

bool send_trimmed(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	if (p->role != PAXOS_LEADER || !peer->follower.owe_probe || !lacks_trimmed(p, &peer->follower))
		return false;
	peer->follower.owe_probe = false;
	m->type = PAXOS_TRIMMED;
	m->ballot = p->own;
	m->first_slot = p->first_slot;
	m->chosen = p->leader_chosen;
	return true;
}

/* Answered with a Promise, by which the leader sees that the follower lives (E6), and later that it has the table. */
bool recv_trimmed(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (m->ballot.node_id != peer->member.node_id || m->first_slot == 0 || m->first_slot - 1 > m->chosen)
		return false;
	if (paxos_ballot_compare(m->ballot, p->promise) < 0) /* B0 */
	{
		owe_refuse(p, peer, m->ballot);
		return true;
	}
	if (ballot_above(m->ballot, p->promise))
		take_promise(p, m->ballot);
	hear_chosen(p, m->ballot, m->chosen);
	if (m->first_slot > p->chosen + 1)
		fall_behind(p, peer, m->first_slot - 1);
	owe_promise(p, peer, m->ballot);
	return true;
}

/* ---------------------------------------------------------------- the host has trimmed, or restored */

/* Whatever was being built on a log that began earlier can't be finished. */
static void drop_unfounded(struct paxos *p)
{
	if (!ballot_none(p->staging.ballot) && p->staging.base + 1 < p->first_slot)
		memset(&p->staging, 0, sizeof(p->staging));
	if (p->adoption.active && p->adoption.base + 1 < p->first_slot)
		step_down(p);
}

/* The log ends at "slot" at least: there is nothing before it any more that could be cut off or reported. */
static void raise_end(struct paxos *p, uint64_t slot)
{
	if (is_proposing(p) && p->end < slot)
		step_down(p); /* no log that could lead ends before what is chosen */
	p->end = max_u64(p->end, slot);
	p->durable.end = max_u64(p->durable.end, slot);
	for (uint32_t i = 0; i < p->n_pending; i++)
	{
		struct pending_write *w = &p->pending[(p->pending_head + i) % PENDING_MAX];

		if (!ballot_none(w->accepted))
			w->end = max_u64(w->end, slot);
	}
}

/* D7: what bad records wrote up to there the table has replaced. */
static void outgrow_damage(struct paxos_damage *damage, uint64_t slot)
{
	if (damage->damaged)
		damage->lowest_written = max_u64(damage->lowest_written, slot + 1);
}

/* All before first_slot is chosen and in the table. */
static void begin_log(struct paxos *p, uint64_t first_slot)
{
	raise_end(p, first_slot - 1);
	outgrow_damage(&p->damage, first_slot - 1);
	outgrow_damage(&p->durable.damage, first_slot - 1);
	p->first_slot = max_u64(p->first_slot, first_slot);
	repair_trimmed(p, p->first_slot);
}

void paxos_trimmed(struct paxos *p, uint64_t first_slot)
{
	if (p->role == PAXOS_FENCED || first_slot <= proven_first_slot(p))
		return;
	PAXOS_ASSERT(p, first_slot <= p->applied + 1); /* T2 */
	PAXOS_ASSERT(p, first_slot <= p->chosen + 1);
	PAXOS_ASSERT(p, first_slot <= p->durable.end + 1 || p->durable.damage.damaged);
	begin_log(p, first_slot);
	drop_unfounded(p);
}

/*
 * What is behind the slot stays as it was accepted, and so do the accepted ballot and the promise (T5): all up to the
 * slot is chosen, so that a log which claims it claims what every later leader's log holds, too.  Not an earlier one's:
 * who leads or prepares at a ballot at which less is known to be chosen gives that ballot up.
 */
void paxos_restored(struct paxos *p, const struct paxos_restored *restored)
{
	uint64_t slot = restored->slot;

	if (p->role == PAXOS_FENCED)
		return;
	PAXOS_ASSERT(p, p->n_writes == 0);
	PAXOS_ASSERT(p, slot >= p->applied);
	if (is_proposing(p) && slot > p->chosen)
		step_down(p);
	begin_log(p, slot + 1);
	p->chosen = max_u64(p->chosen, slot);
	paxos_applied(p, slot);
	proposer_restored(p, restored);
	drop_unfounded(p);
	advance_chosen(p);
}
