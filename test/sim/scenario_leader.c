/*
 * scenario_leader.c - a leader that can't lead, though its links are fine: its disk stalls, or its process is
 * frozen for a while and goes on as if nothing had been.
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define VARIATIONS 100
#define STALL_MS 2000
#define FROZEN_TIMEOUTS 10

enum
{
	RECOVERY, /* thousandths of an election timeout until a put is acknowledged again */
	ELECTIONS,
	REPLACED, /* ... until another node leads, where the old one still answers */
	READ      /* ... until the read at the woken leader is answered */
};

static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(start % 2 == 0 ? 3 : 5, start);

	return led_world(play, start, &config);
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until a put is acknowledged", all, n, RECOVERY);
	if (measured_sum(all, n, REPLACED) > 0)
		report_distribution("... until another node leads", all, n, REPLACED);
	if (measured_sum(all, n, READ) > 0)
		report_distribution("... from waking until the old leader answers a read", all, n, READ);
	printf("  elections: %.2f a case, at most %" PRIu64 "\n",
		   (double) measured_sum(all, n, ELECTIONS) / (double) n, measured_most(all, n, ELECTIONS));
}

static void expect_no_election(struct world *w, uint32_t node, const char *when)
{
	uint64_t before = elections(w);

	for (uint32_t i = 0; i < 6; i++)
	{
		put_done(w, node, 1);
		pass(w, 5);
	}
	expect(w, elections(w) == before, "L2", "%u elections %s", (unsigned) (elections(w) - before), when);
}

/* E2, E7: another node takes over, although the old leader answers every heartbeat. */
static void play_stalled_disk(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t old = leader_of(w);
	uint32_t other = other_than(w, old, 0);
	uint64_t before = elections(w);
	sim_time began = w->now;

	w->nodes[old].slow_disk = STALL_MS * SIM_MS;
	TRACE(&w->trace, "---- n%u: a sync takes %u ms", old, STALL_MS);
	put_done(w, other, 4);
	m->values[RECOVERY] = timeouts_since(w, began);
	expect(w, until(w, led_by_another, old, 4), "E7", "n%u leads on, with a disk that stalls", old);
	m->values[REPLACED] = timeouts_since(w, began);
	expect_no_election(w, other, "while the disk stalls");
	w->nodes[old].slow_disk = 0;
	expect_no_election(w, other, "after the disk is fast again");
	m->values[ELECTIONS] = elections(w) - before;
	expect(w, m->values[ELECTIONS] <= 2, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	expect_recovery(w);
}

static bool awake(struct world *w, uint64_t node)
{
	return w->nodes[node].frozen_until <= w->now;
}

/* S11: in every second variation its links are gone when it wakes, so that nobody can tell it. */
static void play_frozen(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t old = leader_of(w);
	uint32_t other = other_than(w, old, 0);
	uint64_t before = elections(w);
	sim_time began = w->now;
	uint64_t early = get(w, old);
	uint64_t late;

	w->nodes[old].frozen_until = w->now + timeouts(w, FROZEN_TIMEOUTS);
	TRACE(&w->trace, "---- n%u freezes", old);
	put_done(w, other, 4);
	m->values[RECOVERY] = timeouts_since(w, began);
	expect(w, led_by_another(w, old), "L3", "n%u is frozen and leads", old);
	late = get(w, old);
	if (w->seed % 4 >= 2)
		isolate(w, old);
	until(w, awake, old, FROZEN_TIMEOUTS);
	if (w->seed % 4 >= 2)
	{
		pass(w, 3);
		expect(w, !is_done(w, late), "S11", "n%u, alone, serves a linearizable read", old);
		net_heal_all(w, true);
	}
	began = w->now;
	expect(w, until(w, answered, late, 4) && is_done(w, late) && is_done(w, early), "L1",
		   "n%u is awake and connected, and does not answer a read", old);
	m->values[READ] = timeouts_since(w, began);
	expect_no_election(w, other, "after it woke");
	m->values[ELECTIONS] = elections(w) - before;
	expect(w, m->values[ELECTIONS] <= 2, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
	expect_recovery(w);
}

const struct scenario scenario_stalled_disk = {
	.name = "stalled-disk",
	.shows = "3 or 5 nodes; a sync at the leader takes 2 s",
	.n_starts = VARIATIONS,
	.start = start,
	.play = play_stalled_disk,
	.report = report,
};

const struct scenario scenario_frozen_leader = {
	.name = "frozen-leader",
	.shows =
		"3 or 5 nodes; the leader is frozen for 10 election timeouts, and asked for a read when it wakes",
	.n_starts = VARIATIONS,
	.start = start,
	.play = play_frozen,
	.report = report,
};
