/*
 * scenario_clock.c - clocks that jump: machines that slept, or whose clock somebody set, also all at once.
 *
 * A jump ends the round under way without its answers, and no more: a put is acknowledged within four election
 * timeouts, and soon nobody is elected any more.  What wall clocks say decides nothing (T4).
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define VARIATIONS 64
#define JUMPS 4
#define HOUR_MS (3600u * 1000)

enum
{
	RECOVERY, /* thousandths of an election timeout until a put is acknowledged, at worst */
	ELECTIONS
};

static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(start % 2 == 0 ? 3 : 5, start);

	return led_world(play, start, &config);
}

/* In turn: all, the leader, all but the leader, one follower. */
static bool jumps(const struct world *w, uint32_t node, uint32_t leader, uint32_t follower)
{
	switch (w->seed / 2 % 4)
	{
		case 0:
			return true;
		case 1:
			return node == leader;
		case 2:
			return node != leader;
		default:
			return node == follower;
	}
}

static void jump(struct world *w, uint32_t times)
{
	static const uint64_t ahead_ms[] = {1000, 60 * 1000, HOUR_MS, 4 * HOUR_MS};
	uint32_t leader = leader_of(w);
	uint32_t follower = other_than(w, leader, 0);

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		struct node *n = &w->nodes[i];

		if (!jumps(w, i, leader, follower))
			continue;
		n->wall_offset_us = times % 2 == 0 ? 3600000000 : -3600000000;
		node_clock_jumps(w, n, ahead_ms[(times + w->seed / 8) % 4]);
	}
}

static void play(struct world *w, uint64_t which, struct measured *m)
{
	uint64_t before = elections(w);

	for (uint32_t times = 0; times < JUMPS; times++)
	{
		sim_time began = w->now;

		TRACE(&w->trace, "---- clocks jump");
		jump(w, times);
		put_done(w, 1 + times % w->config.n_nodes, 4);
		if (timeouts_since(w, began) > m->values[RECOVERY])
			m->values[RECOVERY] = timeouts_since(w, began);
		pass(w, 3);
	}
	m->values[ELECTIONS] = elections(w) - before;
	expect(w, m->values[ELECTIONS] <= 2 * JUMPS, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	before = elections(w);
	pass(w, 20);
	expect(w, elections(w) == before, "L2", "%u elections after the clocks jumped",
		   (unsigned) (elections(w) - before));
	expect_recovery(w);
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until a put is acknowledged, the worst of each", all, n, RECOVERY);
	printf("  elections: %.2f a jump, at most %" PRIu64 " in %u; later ones: none\n",
		   (double) measured_sum(all, n, ELECTIONS) / (double) n / JUMPS, measured_most(all, n, ELECTIONS),
		   JUMPS);
}

const struct scenario scenario_clock_jumps = {
	.name = "clock-jumps",
	.shows = "3 or 5 nodes; clocks jump ahead by up to four hours, wall clocks both ways",
	.n_starts = VARIATIONS,
	.start = start,
	.play = play,
	.report = report,
};
