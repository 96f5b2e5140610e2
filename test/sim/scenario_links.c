/*
 * scenario_links.c - partial connectivity as in Omni-Paxos (EuroSys '23): quorum loss, constrained election,
 * chained; and a link that works one way only, or comes and goes.
 *
 * One node reaches a quorum all the time.  So a put through it is acknowledged within four election timeouts,
 * and then nobody is elected any more, neither while the links are bad nor when they heal.
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define VARIATIONS 100
#define RECOVERY_TIMEOUTS 4
#define STABLE_TIMEOUTS 30

enum
{
	RECOVERY, /* thousandths of an election timeout until a put is acknowledged again */
	ELECTIONS
};

/* ---------------------------------------------------------------- what all have in common */

/* Another leader and other ballots in each variation; in half of them a cut link resets no connection. */
static struct world *start_with(const struct play *play, uint32_t start, uint32_t n_nodes)
{
	struct sim_config config = quiet_config(n_nodes, start);

	config.lossy = start / 2 % 2 == 1;
	return led_world(play, start, &config);
}

static struct world *start_three(const struct play *play, uint32_t start)
{
	return start_with(play, start, 3);
}

static struct world *start_five(const struct play *play, uint32_t start)
{
	return start_with(play, start, 5);
}

static struct world *start_either(const struct play *play, uint32_t start)
{
	return start_with(play, start, start % 2 == 0 ? 3 : 5);
}

/* From the moment that the links are as the story has them: how long nothing goes on, and how many try. */
static void measure_recovery(struct world *w, uint32_t hub, struct measured *m)
{
	uint64_t before = elections(w);
	sim_time began = w->now;

	put_done(w, hub, RECOVERY_TIMEOUTS);
	m->values[RECOVERY] = timeouts_since(w, began);
	m->values[ELECTIONS] = elections(w) - before;
}

/* L2: puts go on, elections don't. */
static void expect_stable(struct world *w, uint32_t node, const char *when)
{
	uint64_t before = elections(w);

	for (uint32_t i = 0; i < STABLE_TIMEOUTS / 5; i++)
	{
		put_done(w, node, 1);
		pass(w, 5);
	}
	expect(w, elections(w) == before, "L2", "%u more elections %s", (unsigned) (elections(w) - before), when);
}

static void stable_then_heal(struct world *w, uint32_t hub)
{
	expect_stable(w, hub, "while the links stay as they are");
	net_heal_all(w, true);
	expect_stable(w, hub, "after the links healed");
	expect_recovery(w);
}

/* Only the links with the hub stay, but not that with "apart" (0: nobody). */
static void star(struct world *w, uint32_t hub, uint32_t apart)
{
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->config.n_nodes; b++)
			if ((a != hub && b != hub) || a == apart || b == apart)
				cut(w, a, b);
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until a put is acknowledged", all, n, RECOVERY);
	printf("  elections: %.2f a case, at most %" PRIu64 "; later ones: none\n",
		   (double) measured_sum(all, n, ELECTIONS) / (double) n, measured_most(all, n, ELECTIONS));
}

/* ---------------------------------------------------------------- the paper's three */

/* The leader is left with one node, which reaches all the others. */
static void play_quorum_loss(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t hub = other_than(w, leader_of(w), 0);

	star(w, hub, 0);
	measure_recovery(w, hub, m);
	expect(w, m->values[ELECTIONS] <= 3, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	stable_then_heal(w, hub);
}

/* The leader is cut off; the only node that reaches a quorum lacks the newest entries. */
static void play_constrained(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t hub = other_than(w, leader, 0);

	cut(w, leader, hub);
	put_done(w, leader, 1);
	put_done(w, leader, 1);
	star(w, hub, leader);
	measure_recovery(w, hub, m);
	expect(w, m->values[ELECTIONS] <= 3, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	stable_then_heal(w, hub);
}

/* Three in a row: the leader at one end. */
static void play_chained(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t hub = other_than(w, leader, 0);

	star(w, hub, 0);
	measure_recovery(w, hub, m);
	expect(w, m->values[ELECTIONS] <= 2, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	stable_then_heal(w, hub);
}

/* ---------------------------------------------------------------- one way, and flapping */

/* In turn: one link from, to, or between others than the leader; the leader can't send at all, or not hear. */
static void cut_one_way(struct world *w, uint32_t leader, uint32_t peer, uint32_t third)
{
	if (w->seed % 5 == 0)
		net_cut(w, leader, peer, true);
	if (w->seed % 5 == 1)
		net_cut(w, peer, leader, true);
	if (w->seed % 5 == 2)
		net_cut(w, peer, third, true);
	for (uint32_t i = 1; i <= w->config.n_nodes && w->seed % 5 >= 3; i++)
		if (i != leader)
			net_cut(w, w->seed % 5 == 3 ? leader : i, w->seed % 5 == 3 ? i : leader, true);
}

static void play_one_way(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t peer = other_than(w, leader, 0);
	uint32_t third = other_than(w, leader, peer);

	cut_one_way(w, leader, peer, third);
	measure_recovery(w, third, m);
	expect(w, m->values[ELECTIONS] <= 2, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	stable_then_heal(w, third);
}

/* One link of the leader, one way or both; or all of them, each at its own times. */
static void flap(struct world *w, uint32_t leader, uint32_t peer)
{
	sim_time every = timeouts(w, 1) / (1 + w->seed % 10);
	sim_time last = w->now + timeouts(w, STABLE_TIMEOUTS);

	if (w->seed % 3 == 0)
		net_flap(w, leader, peer, w->seed % 2 == 0, every, last);
	else if (w->seed % 3 == 1)
		net_flap(w, peer, leader, w->seed % 2 == 0, every, last);
	for (uint32_t i = 1; i <= w->config.n_nodes && w->seed % 3 == 2; i++)
		if (i != leader)
			net_flap(w, leader, i, true, every, last);
}

/* A third node is asked, whose links with the others are whole. */
static void play_flapping(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t peer = other_than(w, leader, 0);
	uint32_t third = other_than(w, leader, peer);
	uint64_t before = elections(w);

	flap(w, leader, peer);
	measure_recovery(w, third, m);
	for (uint32_t i = 0; i < STABLE_TIMEOUTS; i++)
	{
		put_done(w, third, RECOVERY_TIMEOUTS);
		pass(w, 1);
	}
	m->values[ELECTIONS] = elections(w) - before;
	expect(w, m->values[ELECTIONS] <= 2, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	net_heal_all(w, true);
	pass(w, 2);
	expect_stable(w, third, "after the links stopped flapping");
	expect_recovery(w);
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_quorum_loss = {
	.name = "quorum-loss",
	.shows = "5 nodes; the leader is left with one node, which reaches all the others",
	.n_starts = VARIATIONS,
	.start = start_five,
	.play = play_quorum_loss,
	.report = report,
};

const struct scenario scenario_constrained = {
	.name = "constrained",
	.shows = "5 nodes; the leader is cut off, and who alone reaches a quorum lacks the newest entries",
	.n_starts = VARIATIONS,
	.start = start_five,
	.play = play_constrained,
	.report = report,
};

const struct scenario scenario_chained = {
	.name = "chained",
	.shows = "3 nodes in a row, the leader at one end",
	.n_starts = VARIATIONS,
	.start = start_three,
	.play = play_chained,
	.report = report,
};

const struct scenario scenario_one_way = {
	.name = "one-way",
	.shows = "3 or 5 nodes; a link loses what goes one way, or the leader can't send, or not hear",
	.n_starts = VARIATIONS,
	.start = start_either,
	.play = play_one_way,
	.report = report,
};

const struct scenario scenario_flapping = {
	.name = "flapping",
	.shows = "3 or 5 nodes; a link of the leader comes and goes, or all do, for 30 election timeouts",
	.n_starts = VARIATIONS,
	.start = start_either,
	.play = play_flapping,
	.report = report,
};
