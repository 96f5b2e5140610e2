/*
 * liveness.c - L1 to L5: what must be true once faults have stopped, at the end of each phase.
 */
#include "sim.h"

static struct paxos_status status_of(const struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	return status;
}

static const struct node *ready_leader(const struct world *w)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct node *n = &w->nodes[i];
		struct paxos_status status;

		if (n->state != NODE_RUNNING)
			continue;
		status = status_of(n);
		if (status.role == PAXOS_LEADER && status.leader_id == n->node_id && status.quorum)
			return n;
	}
	return NULL;
}

static uint64_t count_elections(const struct world *w)
{
	uint64_t elections = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (w->nodes[i].state == NODE_RUNNING)
			elections += status_of(&w->nodes[i]).elections;
	return elections;
}

/* L1, L3: the partial shape left one node that reaches a quorum. */
static void check_partial(struct world *w)
{
	uint64_t ok = 0;

	if (w->config.final == FINAL_WHOLE)
		return;
	/* D8 needs all voters; a minority that is down or unreachable may be what it needs. */
	if (oracle_undamaged(w) < w->config.n_nodes)
		return;
	/* F2: a cluster forms only with everybody there. */
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (w->nodes[i].state == NODE_FORMING)
			return;
	if (ready_leader(w) == NULL)
		world_fail(w, "L3", "a node reaches a quorum of whole nodes, and nobody leads");
	for (uint32_t i = 0; i < w->config.n_clients; i++)
		ok += w->clients[i].ok_in_phase;
	/* Few clients may all sit at a node that does not reach the leader, and be slow to look for another. */
	if (ok == 0 && w->config.n_clients >= 4)
		world_fail(w, "L1", "there is a leader, and no request was answered");
}

static void check_healed(struct world *w)
{
	const struct node *leader = ready_leader(w);

	if (leader == NULL)
		world_fail(w, "L1", "everything is healed, and nobody leads");
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct node *n = &w->nodes[i];

		if (world_lost(w, i))
			continue;
		if (n->state != NODE_RUNNING)
			world_fail(w, "L1", "n%u does not run", i);
		if (status_of(n).leader_id != leader->id)
			world_fail(w, "L1", "n%u leads, n%u thinks that n%u does", leader->id, i, status_of(n).leader_id);
		if (n->session == 0)
			world_fail(w, "L1", "n%u has no session", i);
	}
	w->elections = count_elections(w);
}

static void check_steady(struct world *w)
{
	if (!w->config.tight_apply && count_elections(w) != w->elections)
		world_fail(w, "L2", "elections go on: %u more", (unsigned) (count_elections(w) - w->elections));
	for (uint32_t i = 0; i < w->config.n_clients; i++)
		if (w->clients[i].ok_in_phase == 0 && !world_lost(w, w->clients[i].node))
			world_fail(w, "L1", "client %u at n%u got no answer", i, w->clients[i].node);
}

static void check_resolved(struct world *w, const struct node *n)
{
	for (uint32_t i = 0; i < n->n_numbered; i++)
		if (!n->numbered[i]->resolved)
			world_fail(w, "L1", "n%u never resolves s%u-%u", n->id, (unsigned) n->session, i + 1);
}

static void check_converged(struct world *w)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct node *n = &w->nodes[i];

		if (world_lost(w, i))
			continue;
		if (n->database.table.applied != oracle_chosen(w))
			world_fail(w, "L4", "n%u has applied %u, chosen is %u", i, (unsigned) n->database.table.applied,
					   (unsigned) oracle_chosen(w));
		if (status_of(n).damage.damaged || oracle_damaged(w, i))
			world_fail(w, "L4", "n%u is still damaged", i);
		check_resolved(w, n);
	}
	for (uint64_t i = 0; i < w->n_requests; i++)
		if (w->requests[i]->state == REQUEST_SUBMITTED || w->requests[i]->state == REQUEST_NUMBERED)
			world_fail(w, "L5", "request %u never ends", (unsigned) (i + 1));
}

void liveness_phase_ends(struct world *w)
{
	if (w->phase == PHASE_CHAOS)
		return;
	if (!oracle_recoverable(w))
		w->stopped_safely = true;
	if (w->stopped_safely)
		return;
	switch (w->phase)
	{
		case PHASE_PARTIAL:
			check_partial(w);
			break;
		case PHASE_HEALED:
			check_healed(w);
			break;
		case PHASE_STEADY:
			check_steady(w);
			break;
		case PHASE_CONVERGE:
			check_converged(w);
			break;
		default:
			break;
	}
}
