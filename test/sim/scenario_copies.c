/*
 * scenario_copies.c - a node that runs twice: an old copy of its disk comes to life beside it, among peers that
 * have met a higher run (X1).  Which of the two is the older nobody knows, so both are told, fence themselves,
 * and the others go on.
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define VARIATIONS 40

enum
{
	FENCED /* thousandths of an election timeout until both are */
};

/* In half of them the transport's handshake lets both in, and the core finds out. */
static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(start % 2 == 0 ? 3 : 5, start);

	config.core_checks_runs = start / 2 % 2 == 1;
	return led_world(play, start, &config);
}

static bool both_fenced(struct world *w, uint64_t node)
{
	return w->nodes[node].fenced && w->nodes[w->n_machines].fenced;
}

static void play(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t twice = w->seed / 4 % 2 == 0 ? leader_of(w) : other_than(w, leader_of(w), 0);
	uint32_t other = other_than(w, twice, 0);
	sim_time began;

	/* Its disk is copied, then it starts again, as often as its peers must know better; then the copy runs. */
	for (int i = 0; i < 10; i++)
	{
		copies_clone(w, &w->nodes[twice]);
		if (w->n_machines > w->config.n_nodes)
			break;
		expect(w, until(w, at_rest, 0, 30), "L1", "n%u does not come back", twice);
		pass(w, 1);
	}
	expect(w, w->n_machines > w->config.n_nodes, "scenario", "no copy runs");
	began = w->now;
	expect(w, until(w, both_fenced, twice, 20), "X1", "n%u runs twice, and its two are not both fenced",
		   twice);
	m->values[FENCED] = timeouts_since(w, began);
	put_done(w, other, 8);
	put_done(w, other, 1);
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until both are fenced", all, n, FENCED);
}

const struct scenario scenario_two_copies = {
	.name = "two-copies",
	.shows = "3 or 5 nodes; an old copy of a node's disk runs beside it: both are fenced, the others go on",
	.n_starts = VARIATIONS,
	.start = start,
	.play = play,
	.report = report,
};
