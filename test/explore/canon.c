/*
 * canon.c - makes cores that behave alike equal, byte for byte.
 *
 * The core itself is changed, between two inputs, and then goes on from there: were a change here not
 * equivalent for the core, it would show as a difference of behaviour, not as a state that is missed.  What is
 * done to each field, and why nothing that matters is lost, stands beside it.  Whatever is not named here
 * (the protocol's own state) stays as it is, fields that a planted bug adds among it.
 */
#include <string.h>

#include "explore.h"

/* Any time will do: only differences to the present matter. */
#define NOW 1000000u

/*
 * Time is one of three things in the model: nothing passes (every input but a tick), a short tick, after which
 * all that waits is asked for again, or a long one, an election timeout.  Every "since when" is compared with
 * the present only in a tick (and gap_ms in recv_gap()), and either tick is longer than any patience that it
 * is to end.  So only whether a tick has passed since matters, and only to gap_ms.
 */
static void forget_times(struct paxos *p)
{
	uint64_t gap_age;

	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];
		struct follower *f = &peer->follower;

		gap_age = p->now_ms - f->gap_ms;
		f->gap_ms = f->gap_slot == 0 ? 0 : NOW - (gap_age > 2 ? 2 : gap_age);
		f->moved_ms = NOW;
		peer->round_sent_ms = peer->heard_ms = NOW; /* status, and the warning of E1, alone */
	}
	p->round_end_ms = NOW + 1; /* a round is 1 ms (node.c), without jitter */
	p->random = 0;             /* jitter only */
	p->progress_ms = p->connected_ms = p->read_round_ms = NOW;
	p->adoption.asked_ms = p->adoption.active ? NOW : 0;
	p->proposer.open_ms = p->proposer.moved_ms = NOW;
	p->reader.asked_ms = p->reader.asked ? NOW : 0;
	p->now_ms = NOW;
}

/*
 * Elections are an input here (README, "Elections"): a node takes over when the explorer says so.  What the
 * core keeps to decide that, and only that, is set to what makes it ready to: discontent, no grace, a round
 * that nobody has answered.  Heartbeats owed are never given out but by the explorer.
 */
void forget_election(struct paxos *p)
{
	p->round = p->options.run << 32; /* compared only with what a question and its answer carry */
	p->content = false;
	p->grace_rounds = 0;
	p->round_seen = true; /* status */
	p->quorum_connected = false;
	p->reset_round = no_ballot; /* connections are never reset by a process' death here */
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];

		peer->owe_heartbeat = peer->owe_heartbeat_reply = false;
		peer->reply_round = peer->answered_round = 0;
		peer->run_met_round = UINT64_MAX; /* X1's fence: no answer is ever late here */
		peer->content = peer->accepting = false;
		peer->followed = no_ballot;
		peer->log = (struct log_position){.slot = 0};
		if (!peer->ready) /* proposer_check_leader() asks for both */
			peer->own = no_ballot;
	}
}

bool followers_forward;

/* What only counts or warns, or is written before it is read. */
static void forget_statistics(struct paxos *p)
{
	p->elections = p->refused = p->round_trip_max_ms = 0;
	memset(p->noop_bytes, 0, sizeof(p->noop_bytes));
	p->write_head = p->n_write_entries = 0; /* drained */
	p->owe_role_event = false;
	/* FORWARD alone carries it, and nobody sends one who was never told of a ready leader */
	if (!followers_forward)
		p->proposer.sequence = 0;
	/* A6: its limit is never near */
	p->n_marks = p->mark_head = 0;
	p->bytes_taken = p->bytes_applied = 0;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].applied = 0;              /* status */
		flights_clear(&p->peers[i].follower); /* A3: the window is never full */
	}
}

/*
 * Ids of writes only rise by one, and are compared with the durable one: they are counted from there.  The
 * host's are counted alike: its pending writes are 1, 2 ...
 */
static uint64_t shift(uint64_t id, uint64_t by)
{
	return id > by ? id - by : 0;
}

static void shift_owed(struct owed *owed, uint64_t by)
{
	struct owed old = *owed;

	memset(owed, 0, sizeof(*owed)); /* padding, too */
	if (!old.owed)
		return; /* ballot and after are set together with it */
	owed->owed = true;
	owed->ballot = old.ballot;
	owed->after = shift(old.after, by);
}

static void renumber_writes(struct paxos *p)
{
	uint64_t by = p->durable.id;
	struct pending_write pending[PENDING];

	if (p->n_pending > PENDING)
		die("%u writes are pending", p->n_pending);
	memset(pending, 0, sizeof(pending));
	for (uint32_t i = 0; i < p->n_pending; i++)
	{
		const struct pending_write *old = &p->pending[(p->pending_head + i) % PENDING_MAX];

		pending[i].id = old->id - by;
		pending[i].promise = old->promise;
		pending[i].accepted = old->accepted;
		pending[i].end = old->end;
		pending[i].heals = old->heals;
	}
	p->pending_head = 0;
	memcpy(p->pending, pending, sizeof(pending));
	p->last_write_id -= by;
	p->durable.id = 0;
	p->staging.after = ballot_none(p->staging.ballot) ? 0 : shift(p->staging.after, by);
	p->adoption.after = shift(p->adoption.after, by);
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		shift_owed(&p->peers[i].promise, by);
		shift_owed(&p->peers[i].refuse, by);
		shift_owed(&p->peers[i].accepted, by);
	}
}

/* What is owed no more, and padding that struct assignment may have brought along. */
static void clean_peer(struct peer *peer)
{
	struct promise_info old = peer->follower.promise;
	struct promise_info *info = &peer->follower.promise;

	memset(info, 0, sizeof(*info));
	if (old.valid)
	{
		info->valid = true;
		info->accepted = old.accepted;
		info->first_slot = old.first_slot;
		info->end = old.end;
		info->chosen = old.chosen;
		info->run = old.run;
	}
	memset(&peer->damage, 0, sizeof(peer->damage)); /* no log is damaged here */
	if (!peer->owe_chunk)
	{
		peer->chunk_ballot = peer->chunk_accepted = no_ballot;
		peer->chunk_slot = 0;
	}
	if (!peer->owe_round_reply)
	{
		peer->round_reply_ballot = no_ballot;
		peer->round_reply = 0;
	}
	if (!peer->read_waiting)
		peer->read_round = 0;
	if (!peer->owe_read_reply)
		peer->read_reply_index = 0;
	if (!peer->read_waiting && !peer->owe_read_reply)
	{
		peer->read_sequence = 0;
		peer->read_leader_only = false;
	}
}

static void clean_adoption(struct paxos *p)
{
	struct adoption old = p->adoption;
	struct adoption *a = &p->adoption;

	memset(a, 0, sizeof(*a));
	if (!old.active) /* every reader asks for "active" first */
		return;
	a->active = true;
	a->source = old.source;
	a->all_voters = old.all_voters;
	a->accepted = old.accepted;
	a->base = old.base;
	a->end = old.end;
	a->through = old.through;
	a->after = old.after;
	a->owe_pull = old.owe_pull;
	a->asked_ms = old.asked_ms;
}

/* Rings begin at 0; what is behind their end is zero. */
static void clean_rings(struct paxos *p)
{
	struct unchosen unchosen[SLOTS];
	struct proposer *o = &p->proposer;

	if (p->n_unchosen > SLOTS)
		die("%u commands are not chosen", p->n_unchosen);
	memset(unchosen, 0, sizeof(unchosen));
	for (uint32_t i = 0; i < p->n_unchosen; i++)
		unchosen[i] = p->unchosen[(p->unchosen_head + i) % p->unchosen_capacity];
	p->unchosen_head = 0;
	memcpy(p->unchosen, unchosen, sizeof(unchosen));
	for (uint32_t number = 1; number < o->capacity; number++)
	{
		struct command old = o->commands[number];

		memset(&o->commands[number], 0, sizeof(old));
		if (number < o->first_unresolved || number > o->last_number)
			continue;
		o->commands[number].bytes = old.bytes;
		o->commands[number].length = old.length;
	}
}

void canonicalize(struct paxos *p)
{
	PAXOS_ASSERT(p, p->n_writes == 0);
	PAXOS_ASSERT(p, !p->damage.damaged && !p->durable.damage.damaged);
	memset(&p->damage, 0, sizeof(p->damage));
	memset(&p->durable.damage, 0, sizeof(p->durable.damage));
	if (p->role != PAXOS_LEADER) /* Y2: set before it is read, when a leader's log is adopted */
		p->adopted = (struct log_position){.slot = 0};
	clean_adoption(p);
	for (uint32_t i = 0; i < p->n_peers; i++)
		clean_peer(&p->peers[i]);
	clean_rings(p);
	renumber_writes(p);
	forget_times(p);
	forget_election(p);
	forget_statistics(p);
}
