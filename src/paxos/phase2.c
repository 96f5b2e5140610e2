/*
 * phase2.c - Accept, Accepted, and what is chosen (PROTOCOL section A).
 */
#include <string.h>

#include "paxos/internal.h"

/* ---------------------------------------------------------------- flights: what is under way to a follower */

void flights_clear(struct follower *f)
{
	f->flight_head = f->n_flights = f->flight_bytes = 0;
	f->burst = (struct burst){0};
}

/* A3: the window, in bytes; one message may always be under way. */
bool flights_full(const struct paxos *p, const struct follower *f)
{
	return f->n_flights == FLIGHT_MAX || (f->n_flights > 0 && f->flight_bytes >= p->options.window_bytes);
}

void flight_add(struct paxos *p, struct follower *f, uint64_t through, uint32_t bytes)
{
	PAXOS_ASSERT(p, f->n_flights < FLIGHT_MAX);
	f->flights[(f->flight_head + f->n_flights) % FLIGHT_MAX] = (struct flight){through, bytes};
	f->n_flights++;
	f->flight_bytes += bytes;
}

void flights_done(struct follower *f, uint64_t through)
{
	while (f->n_flights > 0 && f->flights[f->flight_head].through <= through)
	{
		f->flight_bytes -= f->flights[f->flight_head].bytes;
		f->flight_head = (f->flight_head + 1) % FLIGHT_MAX;
		f->n_flights--;
	}
}

/*
 * Puts entries first_slot .. last_slot into m, as many as one message holds.  False: none could be read.
 */
bool load_entries(struct paxos *p, uint64_t first_slot, uint64_t last_slot, struct paxos_message *m,
				  uint32_t *bytes)
{
	uint64_t most = min_u64(MESSAGE_BYTES_MAX, max_u64(MESSAGE_BYTES_MIN, p->options.window_bytes));
	uint32_t n = 0;

	*bytes = 0;
	for (uint64_t slot = first_slot; slot <= last_slot && n < PAXOS_MAX_BATCH; slot++)
	{
		struct paxos_entry *e = &p->message_entries[n];

		if (!p->host.read_entry(p->host.context, slot, e))
			break;
		if (n > 0 && *bytes + e->length > most)
			break;
		*bytes += e->length;
		n++;
	}
	m->entries = p->message_entries;
	m->n_entries = n;
	return n > 0;
}

/* ---------------------------------------------------------------- acceptor */

/* A5: remembers what the leader of this ballot called chosen. */
void hear_chosen(struct paxos *p, struct paxos_ballot ballot, uint64_t chosen)
{
	if (ballot_above(ballot, p->leader_chosen_ballot))
	{
		p->leader_chosen_ballot = ballot;
		p->leader_chosen = chosen;
	}
	else if (ballot_equal(ballot, p->leader_chosen_ballot) && chosen > p->leader_chosen)
		p->leader_chosen = chosen;
	else
		return;
	advance_chosen(p);
}

/* A2: at one ballot a slot has one value. */
static bool overlap_is_equal(struct paxos *p, const struct paxos_message *m)
{
	for (uint32_t i = 0; i < m->n_entries; i++)
	{
		uint64_t slot = m->slot + 1 + i;
		struct paxos_entry e;

		if (slot > p->end)
			break;
		if (slot < p->first_slot || !p->host.read_entry(p->host.context, slot, &e))
			continue;
		if (e.length != m->entries[i].length || memcmp(e.bytes, m->entries[i].bytes, e.length) != 0)
			return false;
	}
	return true;
}

bool recv_accept(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	uint64_t known;

	if (m->ballot.node_id != peer->member.node_id)
		return false;
	if (paxos_ballot_compare(m->ballot, p->promise) < 0) /* B0 */
	{
		owe_refuse(p, peer, m->ballot);
		return true;
	}
	if (ballot_above(m->ballot, p->promise))
		take_promise(p, m->ballot);
	if (!ballot_equal(p->accepted, m->ballot) || p->damage.damaged) /* A1, Y2: ask for a Sync */
	{
		if (!ballot_equal(p->staging.ballot, m->ballot))
			owe_promise(p, peer, m->ballot);
		return true;
	}
	hear_chosen(p, m->ballot, m->chosen);
	if (m->slot > p->end) /* A2 */
	{
		peer->owe_gap = true;
		return true;
	}
	if (!overlap_is_equal(p, m))
		return false;
	known = min_u64(p->end - m->slot, m->n_entries);
	if (known < m->n_entries)
	{
		if (!self_accepting(p) || !writes_have_room(p, m->n_entries)) /* A6; asked again later */
			return true;
		write_append(p, m->entries + known, m->n_entries - (uint32_t) known);
	}
	peer->accepted = (struct owed){.owed = true, .ballot = m->ballot, .after = p->last_write_id};
	return true;
}

/* A3, A2: Accepted or Gap, for the proposer of the ballot that this node promised. */
bool send_accepted(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	bool mine = !ballot_none(p->promise) && peer->member.node_id == p->promise.node_id;
	bool counts = ballot_equal(p->durable.accepted, p->promise) && !p->durable.damage.damaged; /* B3, D7 */

	if (mine && counts &&
		(p->durable.end > peer->accepted_told ||
		 (peer->accepted.owed && p->durable.id >= peer->accepted.after)))
	{
		peer->accepted.owed = peer->accepted.owed && p->durable.id < peer->accepted.after;
		peer->accepted_told = p->durable.end;
		m->type = PAXOS_ACCEPTED;
		m->ballot = p->durable.accepted;
		m->slot = p->durable.end;
		return true;
	}
	if (peer->owe_gap)
	{
		peer->owe_gap = false;
		if (!mine || !ballot_equal(p->accepted, p->promise))
			return false;
		m->type = PAXOS_GAP;
		m->ballot = p->accepted;
		m->slot = p->end;
		return true;
	}
	return false;
}

/* ---------------------------------------------------------------- leader */

bool recv_accepted(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct follower *f = &peer->follower;

	if (p->role != PAXOS_LEADER || !ballot_equal(m->ballot, p->own))
		return true;
	if (m->slot > p->end) /* its table is from behind this log: a later leader is there (T5) */
		return true;
	p->progress_ms = p->now_ms;
	f->moved_ms = p->now_ms;
	if (f->progress != PROGRESS_ACCEPT) /* Y1: the Sync is installed */
	{
		flights_clear(f);
		f->progress = PROGRESS_ACCEPT;
		f->next = m->slot + 1;
		f->promise.valid = true;
	}
	flights_done(f, m->slot);
	catch_up_answered(p, f);
	f->match = max_u64(f->match, m->slot);
	f->next = max_u64(f->next, f->match + 1);
	advance_chosen(p);
	return true;
}

/* A2: sends again from the follower's end; a flight lost as a whole asks many times and is sent again once. */
bool recv_gap(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct follower *f = &peer->follower;

	if (p->role != PAXOS_LEADER || !ballot_equal(m->ballot, p->own) || f->progress != PROGRESS_ACCEPT)
		return true;
	if (m->slot > p->end)
		return false;
	if (m->slot < f->match || m->slot + 1 >= f->next)
		return true;
	if (m->slot == f->gap_slot && p->now_ms - f->gap_ms < p->options.heartbeat_interval_ms)
		return true;
	f->gap_slot = m->slot;
	f->gap_ms = p->now_ms;
	f->next = m->slot + 1;
	flights_clear(f);
	return true;
}

/* A4: what a phase-2 quorum holds durably at this leader's ballot. */
static void count_chosen(struct paxos *p)
{
	uint64_t match[PAXOS_MAX_MEMBERS];
	uint32_t n = 0;
	uint64_t slot;

	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		if (p->peers[i].member.learner)
			continue;
		if (i != p->self)
			match[n++] = p->peers[i].follower.match;
		else /* B3: the own sync counts only at the highest promise taken */
			match[n++] = ballot_equal(p->durable.accepted, p->own) && ballot_equal(p->promise, p->own)
							 ? p->durable.end
							 : 0;
	}
	slot = quorum_chosen(match, n);
	if (!ballot_equal(p->leader_chosen_ballot, p->own))
	{
		p->leader_chosen_ballot = p->own;
		p->leader_chosen = p->chosen;
	}
	if (slot > p->leader_chosen)
	{
		p->leader_chosen = slot;
		origins_chosen(p, slot);
		reads_pump(p);
		proposer_pump(p);
	}
}

/* A5: apply receives min(chosen, durable here), where the ballots agree. */
void advance_chosen(struct paxos *p)
{
	uint64_t through;

	if (p->role == PAXOS_LEADER)
		count_chosen(p);
	if (!ballot_equal(p->leader_chosen_ballot, p->durable.accepted) || p->durable.damage.damaged)
		return;
	through = min_u64(p->leader_chosen, p->durable.end);
	if (through > p->chosen)
		p->chosen = through;
}

/* Followers from which nothing came for a while are asked where they stand. */
void followers_tick(struct paxos *p)
{
	if (p->role != PAXOS_LEADER)
		return;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct follower *f = &p->peers[i].follower;
		bool waits = f->progress == PROGRESS_SYNC || (f->progress == PROGRESS_ACCEPT && f->match < p->end);

		if (i == p->self || !waits || p->now_ms - f->moved_ms < 2 * p->options.heartbeat_interval_ms)
			continue;
		f->moved_ms = p->now_ms;
		f->owe_probe = true;
	}
}

/* A1, A5: the next Accept, a probe, or the chosen index alone. */
bool send_accept(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct follower *f = &peer->follower;
	uint32_t bytes = 0;
	bool more;

	if (p->role != PAXOS_LEADER || f->progress != PROGRESS_ACCEPT || lacks_trimmed(p, f))
		return false;
	more = f->next <= p->end && !catch_up_rests(p, f) && !flights_full(p, f);
	if (more && !load_entries(p, f->next, p->end, m, &bytes))
		return false;
	if (!more && !f->owe_probe && f->chosen_sent >= p->leader_chosen)
		return false;
	m->type = more || f->owe_probe ? PAXOS_ACCEPT : PAXOS_CHOSEN;
	m->ballot = p->own;
	m->slot = f->next - 1;
	m->chosen = p->leader_chosen;
	f->owe_probe = false;
	f->chosen_sent = p->leader_chosen;
	if (more)
	{
		if (f->match == f->next - 1)
			f->moved_ms = p->now_ms; /* the wait for an answer begins now */
		catch_up_sends(p, f, bytes);
		f->next += m->n_entries;
		flight_add(p, f, f->next - 1, bytes);
	}
	return true;
}
