/*
 * phase1.c - Prepare, Promise, Refuse, and the adoption of the best log of a quorum (PROTOCOL section P).
 */
#include "paxos/internal.h"

/* B3: a Promise leaves when the promise and every entry taken before it are durable. */
void owe_promise(struct paxos *p, struct peer *peer, struct paxos_ballot ballot)
{
	PAXOS_ASSERT(p, ballot_equal(ballot, p->promise));
	peer->promise = (struct owed){.owed = true, .ballot = ballot, .after = p->last_write_id};
}

/* B5: a refusal vouches for the promise, and waits for it, too. */
void owe_refuse(struct paxos *p, struct peer *peer, struct paxos_ballot ballot)
{
	peer->refuse = (struct owed){.owed = true, .ballot = ballot, .after = p->last_write_id};
}

bool recv_prepare(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	int order = paxos_ballot_compare(m->ballot, p->promise);

	if (m->ballot.node_id != peer->member.node_id)
		return false;
	if (order < 0) /* B0 */
	{
		owe_refuse(p, peer, m->ballot);
		return true;
	}
	if (order > 0)
		take_promise(p, m->ballot);
	owe_promise(p, peer, m->ballot); /* P2: a repeated Prepare gets the Promise that it would get now */
	return true;
}

/* B5: somebody has promised more than our ballot. */
bool recv_refuse(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	meet_ballot(p, m->followed);
	if (is_proposing(p) && ballot_equal(m->ballot, p->own) && ballot_above(m->followed, p->own))
		step_down(p);
	return true;
}

/* This node's own Promise, from what is durable. */
static void fill_own_promise(const struct paxos *p, struct promise_info *info)
{
	*info = (struct promise_info){.valid = true,
								  .accepted = p->durable.accepted,
								  .first_slot = p->first_slot,
								  .end = p->durable.end,
								  .chosen = p->chosen,
								  .run = p->options.run,
								  .damage = p->durable.damage};
}

static void finish_adoption(struct paxos *p)
{
	struct adoption *a = &p->adoption;

	PAXOS_ASSERT(p, a->active && a->through == a->end);
	if (a->end < p->chosen) /* S6: no quorum's log ends before it, nor heals by less; somebody lied */
	{
		p->refused++;
		step_down(p);
		return;
	}
	p->adopted = (struct log_position){a->accepted, a->end};
	write_install(p, p->own, a->base, a->end);
	a->active = false;
	become_leader(p);
}

/* P1: adopts the log of peers[source]; pulls what this node lacks of it. */
static void begin_adoption(struct paxos *p, uint32_t source, bool all_voters)
{
	const struct promise_info *best = &p->peers[source].follower.promise;
	struct log_position position = {best->accepted, best->end};
	struct adoption *a = &p->adoption;

	PAXOS_ASSERT(p, p->role == PAXOS_CANDIDATE && !a->active);
	/* Y2: meanwhile it may have learned that more is chosen, and trimmed that (T2) */
	fill_own_promise(p, &p->peers[p->self].follower.promise);
	*a = (struct adoption){.active = true,
						   .source = source,
						   .all_voters = all_voters,
						   .accepted = best->accepted,
						   .end = best->end,
						   .after = p->last_write_id};
	/* the own log needs nothing, its intact prefix under D8 included */
	a->base = source == p->self ? a->end : sync_base(&p->peers[p->self].follower.promise, position);
	if (a->base > a->end) /* S6: the best log of a quorum holds what is chosen; somebody lied */
	{
		p->refused++;
		step_down(p);
		return;
	}
	if (a->base < a->end && a->base + 1 < best->first_slot) /* P1: the table first */
	{
		fall_behind(p, &p->peers[source], best->first_slot - 1);
		step_down(p);
		return;
	}
	a->through = a->base;
	if (a->through == a->end)
		finish_adoption(p);
	else
		a->owe_pull = true;
}

/*
 * D8: whether somebody knows more to be chosen than the best intact log of all voters holds: a record was synced that
 * looks as if it never had been, and is bad wherever it was.
 */
static bool chosen_is_lost(const struct paxos *p, uint32_t source)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].follower.promise.chosen > p->peers[source].follower.promise.end)
			return true;
	return false;
}

/* D7: some log may still be whole again. */
static bool repair_under_way(const struct paxos *p)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].follower.promise.valid && p->peers[i].follower.promise.damage.repairing)
			return true;
	return false;
}

/* The first slot of which every voter says that it has no copy; or the one behind the best log. */
static uint64_t first_lost(const struct paxos *p, uint32_t source)
{
	uint64_t lost = 0;

	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		uint64_t slot = p->peers[i].follower.promise.damage.lost_slot;

		if (slot != 0 && (lost == 0 || slot < lost))
			lost = slot;
	}
	return lost != 0 ? lost : p->peers[source].follower.promise.end + 1;
}

/* P1, D7, D8: looks whether the Promises so far suffice. */
static void try_adoption(struct paxos *p)
{
	/* There is a voter always, which a compiler that looks across files can't know. */
	struct quorum_vote votes[PAXOS_MAX_MEMBERS] = {0};
	uint32_t index[PAXOS_MAX_MEMBERS] = {0};
	uint32_t n = 0;
	uint32_t preferred = 0;
	uint32_t source;
	enum quorum_verdict verdict;

	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		const struct promise_info *info = &p->peers[i].follower.promise;

		if (p->peers[i].member.learner)
			continue;
		if (i == p->self)
			preferred = n;
		index[n] = i;
		votes[n++] = (struct quorum_vote){.answered = info->valid,
										  .damaged = info->damage.damaged,
										  .doubtful = info->damage.doubtful,
										  .ballot = info->accepted,
										  .slot = info->end,
										  .named_ballot = info->damage.named_ballot,
										  .named_slot = info->damage.named_slot};
	}
	verdict = quorum_phase1(votes, n, preferred, &source);
	if (verdict == QUORUM_ADOPT_OF_ALL && chosen_is_lost(p, index[source]))
		verdict = QUORUM_UNRECOVERABLE;
	if (verdict == QUORUM_UNRECOVERABLE && repair_under_way(p))
		verdict = QUORUM_NOT_YET;
	switch (verdict)
	{
		case QUORUM_NOT_YET:
			break;
		case QUORUM_ADOPT:
			begin_adoption(p, index[source], false);
			break;
		case QUORUM_ADOPT_OF_ALL:
			begin_adoption(p, index[source], true);
			break;
		case QUORUM_UNRECOVERABLE:
			p->unrecoverable_slot = first_lost(p, index[source]);
			step_down(p);
			break;
	}
}

/* The own promise became durable, or staged entries of the adopted log did. */
void phase1_durable(struct paxos *p)
{
	struct promise_info *own = &p->peers[p->self].follower.promise;

	if (p->role != PAXOS_CANDIDATE || !writes_have_room(p, 1))
		return;
	if (!own->valid && ballot_equal(p->durable.promise, p->own))
	{
		fill_own_promise(p, own);
		try_adoption(p);
	}
	else if (own->valid && !p->adoption.active)
		try_adoption(p);
	else if (p->adoption.active && p->adoption.through == p->adoption.end &&
			 p->durable.id >= p->adoption.after)
		finish_adoption(p);
}

/* D7: this candidate's own log is another now, or is not to be repaired. */
void phase1_repaired(struct paxos *p)
{
	struct promise_info *own = &p->peers[p->self].follower.promise;

	if (p->role != PAXOS_CANDIDATE || p->adoption.active || !own->valid)
		return;
	fill_own_promise(p, own);
	phase1_durable(p);
}

/* Asks again for a chunk that did not come. */
void phase1_tick(struct paxos *p)
{
	struct adoption *a = &p->adoption;

	if (a->active && a->through < a->end && p->now_ms - a->asked_ms >= 2 * p->options.heartbeat_interval_ms)
		a->owe_pull = true;
	phase1_durable(p);
}

bool recv_promise(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct promise_info info = {.valid = true,
								.accepted = m->accepted,
								.first_slot = m->first_slot,
								.end = m->end,
								.chosen = m->chosen,
								.run = m->named_run,
								.damage = m->damage};

	if (m->first_slot == 0 || m->end + 1 < m->first_slot || ballot_above(m->accepted, m->ballot) ||
		(m->damage.damaged && m->damage.lowest_written == 0))
		return false;
	if (!is_proposing(p) || !ballot_equal(m->ballot, p->own) || peer->follower.promise.run > info.run)
		return true; /* P2: late */
	p->progress_ms = p->now_ms;
	peer->follower.owe_prepare = false;
	if (p->role == PAXOS_LEADER)
	{
		struct follower *f = &peer->follower;
		bool news = !f->promise.valid || f->promise.run != info.run ||
					!ballot_equal(f->promise.accepted, info.accepted) || f->promise.end != info.end ||
					f->promise.damage.damaged != info.damage.damaged || info.first_slot > f->base + 1 ||
					(lacks_trimmed(p, f) && sync_base(&info, p->adopted) > f->base);

		if (f->progress == PROGRESS_SYNC && !news)
			return true;
		f->promise = info;
		start_follower(p, peer);
		return true;
	}
	peer->follower.promise = info; /* P2: once a log is chosen, for Y2 only */
	if (!p->adoption.active && p->peers[p->self].follower.promise.valid && writes_have_room(p, 1))
		try_adoption(p);
	return true;
}

/* P1: serves only its candidate, only its intact log, only the log that was promised. */
bool recv_pull(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	const struct paxos_damage *damage = &p->durable.damage;

	if (m->ballot.node_id != peer->member.node_id)
		return false;
	if (paxos_ballot_compare(m->ballot, p->promise) < 0)
	{
		owe_refuse(p, peer, m->ballot);
		return true;
	}
	if (!ballot_equal(m->ballot, p->durable.promise) || !ballot_equal(m->ballot, p->promise))
		return true;
	if (damage->damaged && !(m->all_voters && damage->doubtful)) /* P1, D8 */
		return true;
	/* once a Sync is installed, durable or not, the log that was promised is gone */
	if (!ballot_equal(m->accepted, p->accepted) || !ballot_equal(m->accepted, p->durable.accepted))
		return true;
	if (m->slot + 1 < p->first_slot || m->slot >= p->durable.end)
		return true;
	peer->owe_chunk = true;
	peer->chunk_ballot = m->ballot;
	peer->chunk_accepted = m->accepted;
	peer->chunk_slot = m->slot;
	return true;
}

bool recv_chunk(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct adoption *a = &p->adoption;

	if (p->role != PAXOS_CANDIDATE || !a->active || peer != &p->peers[a->source] ||
		!ballot_equal(m->ballot, p->own) || !ballot_equal(m->accepted, a->accepted))
		return true;
	if (m->slot != a->through || m->n_entries == 0)
		return true; /* a late copy */
	if (m->n_entries > a->end - a->through)
		return false;
	if (!p->host_accepting || !writes_have_room(p, m->n_entries))
		return true; /* asked for again */
	p->progress_ms = p->now_ms;
	write_stage(p, p->own, a->base, a->through + 1, m->entries, m->n_entries);
	a->through += m->n_entries;
	a->after = p->last_write_id;
	a->owe_pull = a->through < a->end;
	return true;
}

static void fill_promise(const struct paxos *p, struct paxos_message *m)
{
	struct promise_info own;

	fill_own_promise(p, &own);
	m->type = PAXOS_PROMISE;
	m->ballot = p->durable.promise;
	m->accepted = own.accepted;
	m->first_slot = own.first_slot;
	m->end = own.end;
	m->chosen = own.chosen;
	m->named_run = own.run;
	m->damage = own.damage;
}

/* Prepare, Promise, Refuse or Pull, whatever is owed to this peer. */
bool send_phase1(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct adoption *a = &p->adoption;

	if (peer->follower.owe_prepare && is_proposing(p) && ballot_equal(p->durable.promise, p->own))
	{
		peer->follower.owe_prepare = false;
		m->type = PAXOS_PREPARE; /* B1: the own promise is durable */
		m->ballot = p->own;
		return true;
	}
	/* while an Install is under way the log is neither the old nor the new one: wait for it, too */
	if (peer->promise.owed && p->durable.id >= peer->promise.after &&
		ballot_equal(p->durable.accepted, p->accepted))
	{
		peer->promise.owed = false;
		PAXOS_ASSERT(p, ballot_equal(peer->promise.ballot, p->promise));
		PAXOS_ASSERT(p, ballot_equal(p->durable.promise, p->promise));
		fill_promise(p, m);
		return true;
	}
	if (peer->refuse.owed && p->durable.id >= peer->refuse.after)
	{
		peer->refuse.owed = false;
		m->type = PAXOS_REFUSE;
		m->ballot = peer->refuse.ballot;
		m->followed = p->durable.promise;
		return true;
	}
	if (a->active && a->owe_pull && peer == &p->peers[a->source])
	{
		a->owe_pull = false;
		a->asked_ms = p->now_ms;
		m->type = PAXOS_PULL;
		m->ballot = p->own;
		m->accepted = a->accepted;
		m->slot = a->through;
		m->all_voters = a->all_voters;
		return true;
	}
	return false;
}

/* P1: a part of our log for the candidate that adopts it. */
bool send_chunk(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	uint32_t bytes;

	if (!peer->owe_chunk)
		return false;
	peer->owe_chunk = false;
	if (!ballot_equal(peer->chunk_ballot, p->promise) || !ballot_equal(peer->chunk_accepted, p->accepted) ||
		peer->chunk_slot >= p->durable.end || peer->chunk_slot + 1 < p->first_slot)
		return false;
	if (!load_entries(p, peer->chunk_slot + 1, p->durable.end, m, &bytes))
		return false;
	m->type = PAXOS_CHUNK;
	m->ballot = peer->chunk_ballot;
	m->accepted = peer->chunk_accepted;
	m->slot = peer->chunk_slot;
	m->end = p->durable.end;
	return true;
}
