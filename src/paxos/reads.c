/*
 * reads.c - linearizable reads by read index (PROTOCOL section R).
 *
 * A node has one request under way at a time; reads that come meanwhile ride on the next one (R2).  The
 * leader has one quorum round under way at a time; requests that come meanwhile ride on the next one.
 */
#include "paxos/internal.h"

/* ---------------------------------------------------------------- leader */

/* The role ended: whoever waits asks again at the next leader. */
void reads_reset_leader(struct paxos *p)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];

		peer->read_waiting = false;
		peer->owe_read_reply = false;
		peer->owe_round = false;
		peer->round_acked = 0;
	}
	p->read_round_confirmed = p->read_round_sent;
}

/* R1: how far quorum rounds are answered, by answers at this ballot. */
static void count_round(struct paxos *p)
{
	uint64_t acked[PAXOS_MAX_MEMBERS];
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->n_peers; i++)
		if (!p->peers[i].member.learner)
			acked[n++] = i != p->self                       ? p->peers[i].round_acked
						 : ballot_equal(p->promise, p->own) ? p->read_round_sent
															: 0;
	p->read_round_confirmed = max_u64(p->read_round_confirmed, quorum_chosen(acked, n));
}

/* The leader's answer to its own request. */
static void answer_self(struct paxos *p, uint64_t index)
{
	struct reader *r = &p->reader;

	r->asked = false;
	r->owe_event = true;
	r->event_token = r->token;
	r->event_index = index;
}

static void answer_ready_requests(struct paxos *p)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		struct peer *peer = &p->peers[i];

		if (!peer->read_waiting || (!peer->read_leader_only && peer->read_round > p->read_round_confirmed))
			continue;
		peer->read_waiting = false;
		if (i == p->self)
			answer_self(p, p->leader_chosen);
		else
		{
			peer->owe_read_reply = true;
			peer->read_reply_index = p->leader_chosen; /* R1: at the time it answers */
		}
	}
}

/* Whether a waiting request needs a round after the present one. */
static bool round_wanted(const struct paxos *p)
{
	for (uint32_t i = 0; i < p->n_peers; i++)
		if (p->peers[i].read_waiting && !p->peers[i].read_leader_only &&
			p->peers[i].read_round > p->read_round_sent)
			return true;
	return false;
}

/* Moves rounds and answers along. */
void reads_pump(struct paxos *p)
{
	if (p->role != PAXOS_LEADER)
		return;
	count_round(p);
	if (p->leader_chosen >= p->noop_slot) /* R1: its own no-op is chosen */
		answer_ready_requests(p);
	if (p->read_round_confirmed == p->read_round_sent && round_wanted(p))
	{
		p->read_round_sent++;
		p->read_round_ms = p->now_ms;
		for (uint32_t i = 0; i < p->n_peers; i++)
			p->peers[i].owe_round = i != p->self && !p->peers[i].member.learner;
		if (p->n_voters == 1)
			reads_pump(p); /* at most once more: nothing waits for a later round then */
	}
}

/* R1: the round of a request is one sent after the request came in. */
static void take_request(struct paxos *p, struct peer *peer, uint64_t sequence, bool leader_only)
{
	peer->read_waiting = true;
	peer->read_leader_only = leader_only;
	peer->read_sequence = sequence;
	peer->read_round = p->read_round_sent + 1;
	peer->owe_read_reply = false;
	reads_pump(p);
}

bool recv_read_request(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (p->role == PAXOS_LEADER && ballot_equal(m->ballot, p->own))
		take_request(p, peer, m->sequence, m->leader_only);
	return true; /* else: the asker asks again at the leader it then knows */
}

bool recv_read_round_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (p->role != PAXOS_LEADER || !ballot_equal(m->ballot, p->own))
		return true;
	if (m->sequence > p->read_round_sent)
		return false;
	if (ballot_equal(m->followed, p->own) && m->sequence > peer->round_acked)
	{
		peer->round_acked = m->sequence;
		reads_pump(p);
	}
	return true;
}

/* ---------------------------------------------------------------- acceptor */

bool recv_read_round(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	if (m->ballot.node_id != peer->member.node_id)
		return false;
	if (paxos_ballot_compare(m->ballot, p->promise) < 0)
		owe_refuse(p, peer, m->ballot);
	else if (ballot_equal(m->ballot, p->promise))
	{
		peer->owe_round_reply = true;
		peer->round_reply = m->sequence;
		peer->round_reply_ballot = m->ballot;
	}
	return true;
}

/* ---------------------------------------------------------------- asking node */

/* Who would answer: the leader's ballot, or none. */
static struct paxos_ballot reader_target(const struct paxos *p)
{
	return p->proposer.usable ? p->proposer.ballot : no_ballot;
}

/* Asks for every read that waits, when none is under way. */
void reader_ask(struct paxos *p)
{
	struct reader *r = &p->reader;
	struct paxos_ballot target = reader_target(p);

	if (r->asked || r->answered_token == r->last_token || r->owe_event || ballot_none(target))
		return;
	r->asked = true;
	r->ballot = target;
	r->sequence++;
	r->token = r->last_token;
	r->leader_only = r->linearizable_token <= r->answered_token;
	r->asked_ms = p->now_ms;
	r->owe_request = p->role != PAXOS_LEADER;
	if (p->role == PAXOS_LEADER)
		take_request(p, &p->peers[p->self], r->sequence, r->leader_only);
}

uint64_t paxos_read(struct paxos *p, bool leader_only)
{
	struct reader *r = &p->reader;

	r->last_token++;
	if (!leader_only)
		r->linearizable_token = r->last_token;
	return r->last_token;
}

bool recv_read_reply(struct paxos *p, struct peer *peer, const struct paxos_message *m)
{
	struct reader *r = &p->reader;

	if (!r->asked || m->sequence != r->sequence || m->named_run != p->options.run ||
		!ballot_equal(m->ballot, r->ballot) || peer->member.node_id != r->ballot.node_id || !m->ready)
		return true; /* R2: answers name run and request */
	r->asked = false;
	r->owe_event = true;
	r->event_token = r->token;
	r->event_index = m->slot;
	return true;
}

/* Asks, or asks again: a new leader, or no answer for a while. */
void reads_tick(struct paxos *p)
{
	struct reader *r = &p->reader;

	if (r->asked && (!ballot_equal(r->ballot, reader_target(p)) ||
					 p->now_ms - r->asked_ms >= 2 * p->options.heartbeat_interval_ms))
		r->asked = false;
	reader_ask(p);
	if (p->role == PAXOS_LEADER && p->read_round_confirmed < p->read_round_sent &&
		p->now_ms - p->read_round_ms >= p->options.heartbeat_interval_ms)
	{
		p->read_round_ms = p->now_ms;
		for (uint32_t i = 0; i < p->n_peers; i++)
			p->peers[i].owe_round =
				i != p->self && !p->peers[i].member.learner && p->peers[i].round_acked < p->read_round_sent;
	}
}

/* ---------------------------------------------------------------- messages */

bool send_reads(struct paxos *p, struct peer *peer, struct paxos_message *m)
{
	struct reader *r = &p->reader;

	if (peer->owe_round && p->role == PAXOS_LEADER)
	{
		peer->owe_round = false;
		m->type = PAXOS_READ_ROUND;
		m->ballot = p->own;
		m->sequence = p->read_round_sent;
		return true;
	}
	if (peer->owe_round_reply)
	{
		peer->owe_round_reply = false;
		m->type = PAXOS_READ_ROUND_REPLY;
		m->ballot = peer->round_reply_ballot;
		m->followed = p->promise; /* as it is now: a higher one taken since spoils the answer */
		m->sequence = peer->round_reply;
		return true;
	}
	if (peer->owe_read_reply && p->role == PAXOS_LEADER)
	{
		peer->owe_read_reply = false;
		m->type = PAXOS_READ_REPLY;
		m->ballot = p->own;
		m->sequence = peer->read_sequence;
		m->named_run = peer->run_met;
		m->slot = peer->read_reply_index;
		m->ready = true;
		return true;
	}
	if (r->asked && r->owe_request && peer->member.node_id == r->ballot.node_id)
	{
		r->owe_request = false;
		m->type = PAXOS_READ_REQUEST;
		m->ballot = r->ballot;
		m->sequence = r->sequence;
		m->leader_only = r->leader_only;
		return true;
	}
	return false;
}
