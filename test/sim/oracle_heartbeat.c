/*
 * oracle_heartbeat.c - what a node may say of itself in a heartbeat: B1, E2, P3, E7.
 */
#include "oracle.h"

/* Five rounds: two of grace (E4), the one under way, and one whose end is told of. */
static sim_time long_enough(const struct world *w)
{
	return w->config.election_timeout_ms * SIM_MS;
}

/* E2: its host has said that the disk is full or stalled; so long that rounds have ended since. */
static void check_accepting(struct world *w, const struct node *n, const struct paxos_message *m)
{
	sim_time since = n->not_accepting_since;

	if (!n->no_space && !n->overdue)
		return;
	if (m->accepting)
		world_fail(w, "E2", "n%u says that it accepts, and its disk is full or stalled", n->node_id);
	if (n->frozen_until > since)
		since = n->frozen_until;
	if (m->ballot.round != 0 && m->content && w->now - since > long_enough(w))
		world_fail(w, "E2", "n%u is content with itself as leader, and its disk is full or stalled",
				   n->node_id);
}

/* P3: only a leader with an entry of its own behind the adopted log takes commands of others. */
static void check_ready(struct world *w, const struct node *n, const struct paxos_message *m)
{
	const struct image *taken = &w->oracle->witnesses[n->id].taken;
	const struct ballot_record *record = oracle_ballot(w, m->ballot);

	if (m->ballot.round == 0)
		return;
	if (!record->established || paxos_ballot_compare(taken->accepted, m->ballot) != 0 ||
		taken->end <= record->adopted_end)
		world_fail(w, "P3", "n%u announces itself for forwarding at ballot %u.%u before an entry of its own",
				   n->node_id, (unsigned) m->ballot.round, m->ballot.node_id);
}

void oracle_check_heartbeat(struct world *w, const struct node *n, const struct paxos_message *m)
{
	if (m->ballot.round != 0 &&
		paxos_ballot_compare(w->oracle->witnesses[n->id].durable.promise, m->ballot) < 0)
		world_fail(w, "B1", "n%u announces ballot %u.%u before its own promise is durable", n->node_id,
				   (unsigned) m->ballot.round, m->ballot.node_id);
	check_accepting(w, n, m);
	if (m->ready)
		check_ready(w, n, m);
}
