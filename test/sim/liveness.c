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

/* A voter that needs nobody's help: it runs, on a whole log. */
static bool is_usable(const struct world *w, uint32_t node)
{
	return w->nodes[node].state == NODE_RUNNING && !world_lost(w, node) && !oracle_damaged(w, node);
}

static bool both_ways(const struct world *w, uint32_t a, uint32_t b)
{
	return !w->network.directions[a][b].cut && !w->network.directions[b][a].cut;
}

/* P1: whether it could adopt that node's log at once, without a table first. */
static bool may_adopt(const struct world *w, uint32_t hub, uint32_t node)
{
	struct paxos_status status = status_of(&w->nodes[hub]);

	return status.behind == 0 && oracle_first_slot(w, node) <= status.chosen + 1;
}

/*
 * T5: whether one that the hub reaches needs a table as of a slot that another's log begins behind, while a table that
 * might do is known to be wrong (T3), which nobody gives away, or was lost: others have it, but they may be those that
 * are cut off or stay down.
 */
static bool table_may_be_missing(const struct world *w, uint32_t hub)
{
	uint64_t first_slot = 0;
	uint64_t chosen = UINT64_MAX;
	bool gone = false;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (is_usable(w, i) && both_ways(w, hub, i))
		{
			struct paxos_status status = status_of(&w->nodes[i]);
			const struct database *database = &w->nodes[i].database;

			gone |= database->diverged || database->table.applied < database->lost_through;
			if (oracle_first_slot(w, i) > first_slot)
				first_slot = oracle_first_slot(w, i);
			if (status.chosen < chosen)
				chosen = status.chosen;
		}
	return gone && first_slot > chosen + 1;
}

/* L3: one that reaches a quorum of such voters suffices; "at_once": even if it needs no table first. */
static bool quorum_connected(const struct world *w, bool at_once)
{
	for (uint32_t hub = 1; hub <= w->config.n_nodes; hub++)
	{
		uint32_t reached = 0;
		bool fit = true;

		for (uint32_t i = 1; i <= w->config.n_nodes && is_usable(w, hub); i++)
			if (is_usable(w, i) && both_ways(w, hub, i))
			{
				reached++;
				fit &= !at_once || may_adopt(w, hub, i);
			}
		if (reached >= world_quorum(w) && fit && !table_may_be_missing(w, hub))
			return true;
	}
	return false;
}

/*
 * L3: within four election timeouts there is a leader, and something of it chosen; counted from the last thing
 * that changed who hears whom; a frozen process begins when it wakes.
 */
void liveness_watch(struct world *w)
{
	sim_time timeout = w->config.election_timeout_ms * SIM_MS;
	sim_time from = w->disturbed_at;
	const struct node *leader = ready_leader(w);

	if (w->phase == PHASE_CONVERGE)
		w->elections = count_elections(w);
	if (w->phase != PHASE_PARTIAL && w->phase != PHASE_HEALED)
		return;
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (w->nodes[i].frozen_until > from)
			from = w->nodes[i].frozen_until;
	if (leader != NULL && oracle_led(w, status_of(leader).ballot))
		return;
	world_schedule(w, timeout / 5, (struct event){.kind = EVENT_WATCH});
	/* nor before there is such a node: a log may be put back, or begin behind what it lost, late */
	if (!quorum_connected(w, true))
		w->fit_since = 0;
	else if (w->fit_since == 0)
		w->fit_since = w->now;
	if (w->fit_since > from)
		from = w->fit_since;
	if (w->fit_since != 0 && w->now > from + 4 * timeout)
		world_fail(w, "L3",
				   "a node reaches a quorum of whole nodes for four election timeouts, and nobody leads");
}

/* L1, L3: the partial shape left one node that reaches a quorum. */
static void check_partial(struct world *w)
{
	uint64_t ok = 0;

	if (w->config.final == FINAL_WHOLE || !quorum_connected(w, false))
		return;
	if (ready_leader(w) == NULL && w->now <= w->fit_since + 4 * w->config.election_timeout_ms * SIM_MS)
		return;
	if (ready_leader(w) == NULL)
		world_fail(w, "L3", "a node reaches a quorum of whole nodes, and nobody leads");
	for (uint32_t i = 0; i < w->config.n_clients; i++)
		ok += w->clients[i].ok_in_phase;
	/* Few clients may all sit at a node that does not reach the leader, and be slow to look for another. */
	if (ok == 0 && w->config.n_clients >= 4)
		world_fail(w, "L1", "there is a leader, and no request was answered");
}

/* E7: faults have stopped for long; where messages are lost one by one, a round may miss its quorum. */
static void check_leaders(struct world *w)
{
	for (uint32_t i = 1; i <= w->config.n_nodes && !w->config.lossy; i++)
	{
		const struct node *n = &w->nodes[i];

		if (n->state == NODE_RUNNING && status_of(n).role == PAXOS_LEADER && !status_of(n).quorum)
			world_fail(w, "E7", "n%u leads, and reaches no quorum", i);
	}
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
	w->healed_judged = true;
}

static void check_steady(struct world *w)
{
	if (!w->config.tight_apply && w->healed_judged && count_elections(w) != w->elections)
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
	/* Where apply falls behind A6's limit, leading goes to and fro with the load, and ends with it. */
	if (count_elections(w) != w->elections)
		world_fail(w, "L2", "elections go on when nobody asks for anything");
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
		if (n->fetch != NULL || status_of(n).behind != 0)
			world_fail(w, "L4", "n%u still needs a table", i);
		bounds_log(w, n);
		check_resolved(w, n);
	}
}

/* L5, whatever else is wrong. */
static void check_ended(struct world *w)
{
	for (uint64_t i = 0; i < w->n_requests; i++)
		if (w->requests[i]->state == REQUEST_SUBMITTED || w->requests[i]->state == REQUEST_NUMBERED)
			world_fail(w, "L5", "request %u never ends", (unsigned) (i + 1));
}

/*
 * F3: who had activated is lost, and with it acknowledgements that nobody else holds.  Nothing can be chosen yet, and who
 * is left may be wiped, as formation says.
 */
static bool formation_is_lost(const struct world *w)
{
	bool forming = false;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		if (world_lost(w, i))
			continue;
		if (w->nodes[i].state != NODE_FORMING)
			return false;
		forming = true;
	}
	return w->formed && forming && world_n_lost(w) > 0;
}

/* Damage beyond D7 and D8 excuses no progress for as long as it lasts, and nothing else. */
void liveness_phase_ends(struct world *w)
{
	if (w->phase == PHASE_CHAOS)
		return;
	if (w->phase != PHASE_PARTIAL || w->config.final != FINAL_WHOLE)
		check_leaders(w);
	if (w->phase == PHASE_CONVERGE)
		check_ended(w);
	if (formation_is_lost(w) && oracle_chosen(w) > 0 && world_n_lost(w) < world_quorum(w))
		world_fail(w, "F3", "slot %u is chosen, and what is left never formed", (unsigned) oracle_chosen(w));
	if (w->phase == PHASE_CONVERGE && (!oracle_recoverable(w) || formation_is_lost(w)))
		w->stopped_safely = true;
	if (w->stopped_safely || !oracle_recoverable(w) || formation_is_lost(w))
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
