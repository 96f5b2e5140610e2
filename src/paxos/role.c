/*
 * role.c - what this node is: follower, candidate, leader, fenced.  The only file that changes p->role.
 *
 *	 follower  -> candidate	 take_over(): E5
 *	 candidate -> leader	 become_leader(): its log is adopted, its no-op appended (P3)
 *	 candidate, leader -> follower	 step_down(): B5, E6, E7
 *	 any	   -> fenced	 fence(): X1, for good
 */
#include <string.h>

#include "paxos/internal.h"

/* Clears what a proposer knows of the others. */
static void clear_proposing(struct paxos *p)
{
	memset(&p->adoption, 0, sizeof(p->adoption));
	p->noop_slot = 0;
	p->n_unchosen = 0;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		memset(&p->peers[i].follower, 0, sizeof(p->peers[i].follower));
		origin_reset(&p->peers[i].origin);
	}
	reads_reset_leader(p);
}

/* B3: what was owed at a lower ballot never leaves once a higher one is taken, this node's own too. */
static void withdraw_answers(struct paxos *p)
{
	memset(&p->staging, 0, sizeof(p->staging));
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].accepted.owed = false;
		p->peers[i].owe_gap = p->peers[i].owe_sync_progress = p->peers[i].owe_chunk = false;
		p->peers[i].promise.owed = false;
	}
}

/* E5, B1: takes a ballot above all met; Prepares leave when the own promise is durable. */
void take_over(struct paxos *p)
{
	struct paxos_ballot ballot = {
		.round = p->highest_met.round + 1, .priority = p->options.priority, .node_id = p->options.node_id};

	if (is_proposing(p))
		step_down(p);
	PAXOS_ASSERT(p, p->role == PAXOS_FOLLOWER);
	PAXOS_ASSERT(p, ballot_above(ballot, p->promise));
	PAXOS_ASSERT(p, ballot_above(ballot, p->followed));
	withdraw_answers(p);
	write_promise(p, ballot);
	clear_proposing(p);
	p->role = PAXOS_CANDIDATE;
	p->own = ballot;
	p->elections++;
	p->progress_ms = p->connected_ms = p->now_ms;
	follow(p, ballot);
	for (uint32_t i = 0; i < p->n_peers; i++)
		p->peers[i].follower.owe_prepare = i != p->self;
	p->owe_role_event = true;
}

/*
 * P1, P3: the adopted log is installed in its own (handed to the log, not yet durable) and the no-op goes
 * behind it.  Syncs may leave; the leader counts itself when its own sync is done (A4).
 */
void become_leader(struct paxos *p)
{
	struct paxos_entry noop = {p->noop_bytes, ENTRY_HEADER_BYTES};

	PAXOS_ASSERT(p, p->role == PAXOS_CANDIDATE);
	PAXOS_ASSERT(p, ballot_equal(p->accepted, p->own));
	PAXOS_ASSERT(p, ballot_equal(p->promise, p->own));
	p->role = PAXOS_LEADER;
	p->noop_slot = p->end + 1;
	noop_encode(p->noop_bytes, p->options.node_id);
	write_append(p, &noop, 1);
	p->progress_ms = p->now_ms;
	for (uint32_t i = 0; i < p->n_peers; i++)
	{
		p->peers[i].owe_heartbeat = i != p->self; /* announces itself for forwarding */
		if (i != p->self && p->peers[i].follower.promise.valid)
			start_follower(p, &p->peers[i]);
	}
	p->owe_role_event = true;
	proposer_check_leader(p);
}

/* B2: gives the ballot up for good. */
void step_down(struct paxos *p)
{
	PAXOS_ASSERT(p, is_proposing(p));
	PAXOS_ASSERT(p, !ballot_none(p->own));
	clear_proposing(p);
	p->role = PAXOS_FOLLOWER;
	p->own = no_ballot;
	p->content = false;
	p->owe_role_event = true;
	proposer_check_leader(p);
}

/* B0: raises the promise; whoever proposed at a lower one stops (B5). */
void take_promise(struct paxos *p, struct paxos_ballot ballot)
{
	PAXOS_ASSERT(p, ballot_above(ballot, p->promise));
	PAXOS_ASSERT(p, ballot.node_id != p->options.node_id);
	if (is_proposing(p))
		step_down(p);
	withdraw_answers(p);
	write_promise(p, ballot);
	follow(p, ballot);
}

/* X1: another run of this node is alive.  Sends nothing more. */
void fence(struct paxos *p)
{
	if (p->role == PAXOS_FENCED)
		return;
	if (is_proposing(p))
		step_down(p);
	p->role = PAXOS_FENCED;
	p->owe_fenced_event = true;
	p->owe_role_event = true;
}
