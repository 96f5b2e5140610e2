/*
 * election.c - who should lead (PROTOCOL section E): heartbeat rounds, content, takeover.
 *
 * As in Omni-Paxos' ballot leader election: one node that reaches a majority is enough.
 */
#include "paxos/internal.h"

/* E1 */
static uint64_t round_ms(const struct paxos *p)
{
	uint64_t ms = p->options.election_timeout_ms / 5;

	return ms > 0 ? ms : 1;
}

/* splitmix64; jitter only. */
static uint64_t next_random(struct paxos *p)
{
	uint64_t z = (p->random += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return z ^ (z >> 31);
}

/* E5: every ballot seen anywhere counts for the next one taken. */
void meet_ballot(struct paxos *p, struct paxos_ballot ballot)
{
	if (ballot_above(ballot, p->highest_met))
		p->highest_met = ballot;
}

/* E3, E4: follows a higher ballot; content until the next full round ends. */
void follow(struct paxos *p, struct paxos_ballot ballot)
{
	meet_ballot(p, ballot);
	if (!ballot_above(ballot, p->followed))
		return;
	p->followed = ballot;
	p->content = true;
	p->grace_rounds = 2; /* the one under way, and the next */
	p->owe_role_event = true;
	proposer_check_leader(p);
}

/* B5, E3: somebody leads or prepares at this ballot. */
void hear_own_ballot(struct paxos *p, struct paxos_ballot ballot)
{
	if (ballot_none(ballot))
		return;
	meet_ballot(p, ballot);
	if (is_proposing(p) && ballot_above(ballot, p->own))
		step_down(p);
	follow(p, ballot);
}

/* E2, damage left aside. */
bool self_accepting(const struct paxos *p)
{
	return p->host_accepting && !over_unapplied_limit(p);
}

/* E1: asks every voter. */
void begin_round(struct paxos *p)
{
	p->round++;
	p->round_end_ms = p->now_ms + round_ms(p) + next_random(p) % (round_ms(p) / 8 + 1);
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];

		if (i != p->self)
		{
			peer->owe_heartbeat = true;
			peer->round_sent_ms = p->now_ms;
			/* a candidate asks again whoever has not promised (P2) */
			if (is_proposing(p) && !peer->follower.promise.valid)
				peer->follower.owe_prepare = true;
		}
	}
}

/* What a round's answers say, this node's own included. */
struct tally
{
	uint32_t n_answers;   /* voters, self included */
	uint32_t n_undamaged; /* of these */
	uint32_t n_accepting; /* self counted always */
	uint32_t n_agreeing;  /* follow a ballot <= ours; self counted always */
	bool all_discontent;  /* every answer but our own */
	bool vouches[PAXOS_MAX_MEMBERS];
};

static bool answered(const struct paxos *p, uint32_t i)
{
	return i == p->self || p->peers[i].answered_round == p->round;
}

/* D7's votes from heartbeats, for E2. */
static void fill_votes(const struct paxos *p, struct quorum_vote *votes)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		const struct peer *peer = &p->peers[i];
		bool self = i == p->self;
		const struct paxos_damage *damage = self ? &p->durable.damage : &peer->damage;

		votes[i] = (struct quorum_vote){.answered = answered(p, i) && !peer->member.learner,
										.damaged = damage->damaged,
										.doubtful = damage->doubtful,
										.ballot = self ? p->durable.accepted : peer->log.ballot,
										.slot = self ? p->durable.end : peer->log.slot,
										.named_ballot = damage->named_ballot,
										.named_slot = damage->named_slot};
	}
}

/* E2's exception: every voter answers and fewer than a quorum are undamaged. */
static bool damage_excused(const struct paxos *p, const struct tally *t)
{
	return t->n_answers == p->n_voters && t->n_undamaged < quorum_phase1_size(p->n_voters);
}

static void tally_round(const struct paxos *p, struct tally *t)
{
	struct quorum_vote votes[PAXOS_MAX_MEMBERS];

	*t = (struct tally){.all_discontent = true};
	fill_votes(p, votes);
	for (uint32_t i = 0; i < p->n_peers; i++)
		if (votes[i].answered)
		{
			t->n_answers++;
			t->n_undamaged += !votes[i].damaged;
		}
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		const struct peer *peer = &p->peers[i];
		bool accepting;

		if (!votes[i].answered)
			continue;
		if (i == p->self)
		{
			t->n_accepting++;
			t->n_agreeing++;
			continue;
		}
		if (peer->content)
			t->all_discontent = false;
		accepting = peer->accepting && (!votes[i].damaged || damage_excused(p, t) ||
										quorum_vouched(votes, p->n_peers, &votes[i]));
		t->n_accepting += accepting;
		t->n_agreeing += accepting && paxos_ballot_compare(peer->followed, p->followed) <= 0;
	}
}

/* E1, E2: whether this node may take over, as far as its vote and its disk go. */
static bool may_lead(const struct paxos *p, const struct tally *t)
{
	if (p->peers[p->self].member.learner || !self_accepting(p) || p->behind != 0) /* P1: the table first */
		return false;
	return !p->durable.damage.damaged || (damage_excused(p, t) && t->n_undamaged == 0);
}

/* E6: work to do, and nothing came back for an election timeout. */
static bool stalled(const struct paxos *p)
{
	bool work = p->role == PAXOS_CANDIDATE || (p->role == PAXOS_LEADER && p->end > p->chosen);

	return work && p->now_ms - p->progress_ms >= p->options.election_timeout_ms;
}

/* E4 */
static bool is_content(const struct paxos *p, const struct tally *t)
{
	if (is_proposing(p))
		return self_accepting(p) && p->quorum_connected && t->n_agreeing >= quorum_phase2_size(p->n_voters) &&
			   !stalled(p);
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		const struct peer *peer = &p->peers[i];

		if (i != p->self && peer->member.node_id == p->followed.node_id)
			return answered(p, i) && ballot_equal(peer->own, p->followed) && peer->content;
	}
	return false;
}

/* E4 to E7 at the end of a round. */
static void end_round(struct paxos *p)
{
	struct tally t;
	bool grace = p->grace_rounds > 1;

	tally_round(p, &t);
	behind_tick(p);
	p->round_seen = true;
	p->quorum_connected = t.n_accepting >= quorum_phase2_size(p->n_voters);
	if (p->quorum_connected)
		p->connected_ms = p->now_ms;
	if (p->grace_rounds > 0)
		p->grace_rounds--;
	p->content = grace || is_content(p, &t);
	if (is_proposing(p) && (stalled(p) || p->now_ms - p->connected_ms >= p->options.election_timeout_ms))
		step_down(p);
	if (!p->content && p->quorum_connected && t.all_discontent && may_lead(p, &t))
		take_over(p);
}

/* Ends rounds and begins the next. */
void election_tick(struct paxos *p)
{
	if (p->role == PAXOS_LEADER && p->end == p->chosen)
		p->progress_ms = p->now_ms;
	if (p->now_ms < p->round_end_ms || !writes_have_room(p, 1))
		return;
	end_round(p);
	begin_round(p);
}

/* What an answer and a question alike tell of the sender. */
static void note_state(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	peer->own = m->ballot;
	peer->followed = m->followed;
	peer->content = m->content;
	peer->accepting = m->accepting;
	peer->ready = m->ready;
	peer->damage = m->damage;
	peer->log = (struct log_position){m->accepted, m->end};
	peer->applied = m->applied;
	meet_ballot(p, m->followed);
	hear_own_ballot(p, m->ballot);
	if (m->ready && !ballot_none(m->ballot))
		hear_chosen(p, m->ballot, m->chosen);
	proposer_check_leader(p);
}

void recv_heartbeat(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	note_state(p, peer, m);
	peer->owe_heartbeat_reply = true;
	peer->reply_round = m->sequence;
}

void recv_heartbeat_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (m->sequence != p->round)
		return; /* E1: only answers to this round's heartbeat count */
	if (peer->answered_round != p->round && p->now_ms - peer->round_sent_ms > p->round_trip_max_ms)
		p->round_trip_max_ms = p->now_ms - peer->round_sent_ms;
	peer->answered_round = p->round;
	note_state(p, peer, m);
}

/* Fills in a heartbeat or its answer.  The content told is that of the last round that ended. */
void send_heartbeat(struct paxos *p, struct peer *peer, bool reply, struct paxos_message *m)
{
	m->type = reply ? PAXOS_HEARTBEAT_REPLY : PAXOS_HEARTBEAT;
	m->sequence = reply ? peer->reply_round : p->round;
	/* B1: a ballot is announced only when its promise is durable */
	if (is_proposing(p) && ballot_equal(p->durable.promise, p->own))
		m->ballot = p->own;
	m->followed = p->followed;
	m->accepted = p->durable.accepted;
	m->content = p->content;
	m->accepting = self_accepting(p);
	m->ready = p->role == PAXOS_LEADER;
	m->end = p->durable.end;
	m->chosen = p->role == PAXOS_LEADER ? p->leader_chosen : p->chosen;
	m->applied = p->applied;
	m->damage = p->durable.damage;
}
