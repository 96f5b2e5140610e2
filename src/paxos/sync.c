/*
 * sync.c - Sync before Accept (PROTOCOL section Y): a leader makes a follower's log its own, in one durable
 * step on the follower's side.
 */
#include <string.h>

#include "paxos/internal.h"

/*
 * Y2: the last slot that surely is the same in the acceptor's log and in the adopted one.  Rests only on
 * what the acceptor said in a Promise at this ballot.
 */
uint64_t sync_base(const struct promise_info *promise, struct log_position adopted)
{
	uint64_t base;

	if (ballot_equal(promise->accepted,
					 adopted.ballot)) /* its table may have come from behind that end (T5) */
		base = max_u64(promise->chosen, min_u64(promise->end, adopted.slot));
	else
		base = promise->chosen;
	if (promise->damage.damaged)
	{
		base = min_u64(base, promise->end);
		if (base >= promise->damage.lowest_written)
			base = promise->damage.lowest_written - 1;
	}
	return base;
}

/* A Promise at the leader's ballot is in: Sync, or straight to Accept where the log is ours already (Y3). */
void start_follower(struct paxos *p, struct peer *peer)
{
	struct follower *f = &peer->follower;

	PAXOS_ASSERT(p, p->role == PAXOS_LEADER);
	PAXOS_ASSERT(p, f->promise.valid);
	flights_clear(f);
	f->moved_ms = p->now_ms;
	f->owe_probe = false;
	f->chosen_sent = 0;
	if (ballot_equal(f->promise.accepted, p->own) && !f->promise.damage.damaged)
	{
		f->progress = PROGRESS_ACCEPT;
		f->match = max_u64(f->match, min_u64(f->promise.end, p->end));
		f->next = f->match + 1;
		advance_chosen(p);
		return;
	}
	f->progress = PROGRESS_SYNC;
	f->match = 0;
	f->base = min_u64(sync_base(&f->promise, p->adopted), p->end);
	f->sync_end = p->end;
	f->next = f->base + 1;
	f->owe_probe = f->next > f->sync_end; /* nothing to stage: one empty chunk installs */
}

/* Y1: a chunk.  Taken in order; anything else is answered with how far it is staged. */
bool recv_sync(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct staging *s = &p->staging;

	if (m->ballot.node_id != peer->member.node_id || m->base > m->end || m->slot < m->base ||
		m->slot > m->end || m->n_entries > m->end - m->slot)
		return false;
	if (paxos_ballot_compare(m->ballot, p->promise) < 0) /* B0 */
	{
		owe_refuse(p, peer, m->ballot);
		return true;
	}
	if (ballot_above(m->ballot, p->promise)) /* its base rests on no Promise of this log (Y2) */
	{
		take_promise(p, m->ballot);
		owe_promise(p, peer, m->ballot);
		return true;
	}
	hear_chosen(p, m->ballot, m->chosen);
	if (ballot_equal(p->accepted, m->ballot) && !p->damage.damaged) /* Y3 */
	{
		peer->accepted = (struct owed){.owed = true, .ballot = m->ballot, .after = p->last_write_id};
		return true;
	}
	if (m->end + 1 < p->first_slot) /* a late one, from before this node was given a table (T5) */
	{
		owe_promise(p, peer, m->ballot);
		return true;
	}
	if (m->end < p->chosen) /* no leader's log ends before what is chosen */
		return false;
	/* D7: heals this run only, and only from what this run said; a late one reaches no later run, nor a log made whole */
	if (m->named_run != (p->damage.damaged ? p->options.run : 0))
	{
		owe_promise(p, peer, m->ballot);
		return true;
	}
	if (p->damage.damaged && m->base >= p->damage.lowest_written)
	{
		owe_promise(p, peer, m->ballot);
		return true;
	}
	if (m->base > p->end || m->base + 1 < proven_first_slot(p))
	{
		owe_promise(p, peer, m->ballot);
		return true;
	}
	if (m->n_entries > 0 && !p->host_accepting) /* E2: without space it would wait in memory, all of it */
		return true;
	if (!ballot_equal(s->ballot, m->ballot) || s->base != m->base || s->end != m->end)
		*s = (struct staging){.ballot = m->ballot,
							  .base = m->base,
							  .end = m->end,
							  .through = m->base,
							  .after = p->last_write_id};
	peer->owe_sync_progress = true;
	if (m->slot != s->through || !writes_have_room(p, m->n_entries))
	{
		peer->sync_resend = m->slot >= s->through; /* a hole, or no room; not a late copy */
		return true;
	}
	if (m->n_entries > 0)
	{
		write_stage(p, m->ballot, s->base, s->through + 1, m->entries, m->n_entries);
		s->through += m->n_entries;
		s->after = p->last_write_id;
	}
	staging_durable(p);
	return true;
}

/* Y1: when all chunks are durable, the one record that installs them. */
void staging_durable(struct paxos *p)
{
	struct staging *s = &p->staging;

	if (ballot_none(s->ballot) || s->through < s->end || p->durable.id < s->after || !writes_have_room(p, 0))
		return;
	PAXOS_ASSERT(p, ballot_equal(s->ballot, p->promise)); /* take_promise() drops lower ones */
	write_install(p, s->ballot, s->base, s->end);
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].owe_sync_progress = false;
		if (p->peers[i].member.node_id == s->ballot.node_id)
			p->peers[i].accepted =
				(struct owed){.owed = true, .ballot = s->ballot, .after = p->last_write_id};
	}
	memset(s, 0, sizeof(*s));
}

bool recv_sync_progress(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct follower *f = &peer->follower;

	if (p->role != PAXOS_LEADER || !ballot_equal(m->ballot, p->own) || f->progress != PROGRESS_SYNC ||
		m->base != f->base || m->end != f->sync_end || m->slot < f->base || m->slot > f->sync_end)
		return true;
	p->progress_ms = p->now_ms;
	f->moved_ms = p->now_ms;
	flights_done(f, m->slot);
	catch_up_answered(p, f);
	if (m->slot + 1 > f->next || (!m->ready && m->slot + 1 < f->next))
	{
		f->next = m->slot + 1;
		flights_clear(f);
	}
	return true;
}

/* The next chunk for a follower that is being synced, or a probe. */
bool send_sync(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct follower *f = &peer->follower;
	uint32_t bytes = 0;
	bool chunk;

	if (p->role != PAXOS_LEADER || f->progress != PROGRESS_SYNC)
		return false;
	if (lacks_trimmed(p, f)) /* needs a snapshot of the table */
		return false;
	chunk = f->next <= f->sync_end && !catch_up_rests(p, f) && !flights_full(p, f);
	if (!chunk && !f->owe_probe)
		return false;
	if (chunk && !load_entries(p, f->next, f->sync_end, m, &bytes))
		return false;
	m->type = PAXOS_SYNC;
	m->ballot = p->own;
	m->base = f->base;
	m->end = f->sync_end;
	m->slot = f->next - 1;
	m->chosen = p->leader_chosen;
	m->named_run = f->promise.damage.damaged ? f->promise.run : 0;
	f->owe_probe = false;
	if (chunk)
	{
		catch_up_sends(p, f, bytes);
		f->next += m->n_entries;
		flight_add(p, f, f->next - 1, bytes);
	}
	return true;
}

bool send_sync_progress(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	const struct staging *s = &p->staging;

	if (!peer->owe_sync_progress)
		return false;
	peer->owe_sync_progress = false;
	if (ballot_none(s->ballot) || s->ballot.node_id != peer->member.node_id)
		return false;
	m->type = PAXOS_SYNC_PROGRESS;
	m->ballot = s->ballot;
	m->base = s->base;
	m->end = s->end;
	m->slot = s->through;
	m->ready = !peer->sync_resend;
	peer->sync_resend = false;
	return true;
}
