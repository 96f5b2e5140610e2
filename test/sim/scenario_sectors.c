/*
 * scenario_sectors.c - one sync that never ends: all patterns of kept and lost sectors, and a sample with torn
 * ones, of what it covers and of its marker, on one, two and three nodes at once.
 *
 * Several puts are under way, so that the sync covers several sectors.  Each node of a set loses power inside
 * its sync of them, and stays off until all of the set have.  After plain power loss the cluster comes back,
 * with everything acknowledged (D6 to D8).
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define PUTS 3
#define SETS 7 /* the non-empty subsets of three nodes */
/* So many unsynced sectors have all their patterns played. */
#define SECTORS_MAX 12
#define TORN_SAMPLE 150

enum
{
	NODES_LOST, /* values: nodes in the set */
	SECTORS,
	TORN
};

/* Of the start that cases branch off: the nodes that lose power, and the unsynced sectors of each. */
static uint32_t set;
static uint64_t sectors[SIM_NODES + 1];
static uint64_t n_sectors;
static uint8_t fates[SIM_NODES + 1][SECTORS_MAX];

static bool in_set(uint32_t node)
{
	return (set >> (node - 1) & 1) != 0;
}

/* ---------------------------------------------------------------- up to the loss */

static struct world *start_with(const struct play *play, uint32_t start, uint32_t n_nodes)
{
	struct sim_config config = quiet_config(n_nodes, start);
	struct world *w;

	config.send_us = 0; /* who loses power in its sync has sent what it is of */
	config.value_bytes = config.big_value_bytes = n_nodes == 1 ? 1200 : 150;
	w = quiet_world(play, start, &config);
	for (uint32_t i = 0; i < start % 3 && n_nodes > 1; i++)
		move_leader(w);
	put_done(w, leader_of(w), 2);
	expect(w, until(w, at_rest, 0, 2), "L4", "no rest after a put");
	return w;
}

static struct world *start_three(const struct play *play, uint32_t start)
{
	set = 1 + start % SETS;
	return start_with(play, start, 3);
}

static struct world *start_one(const struct play *play, uint32_t start)
{
	set = 1;
	return start_with(play, start, 1);
}

static bool set_is_down(struct world *w, uint64_t unused)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (in_set(i) && w->nodes[i].state == NODE_RUNNING)
			return false;
	return true;
}

static void lose_sync(struct world *w)
{
	uint32_t leader = leader_of(w);

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (in_set(i))
		{
			keep_off_once_down(w, i);
			w->nodes[i].disk.crash_at_sync = 1;
			w->nodes[i].disk.fates = fates[i];
			w->nodes[i].disk.n_fates = (uint32_t) sectors[i];
		}
	for (int i = 0; i < PUTS; i++)
		put(w, leader);
	expect(w, until(w, set_is_down, 0, 20), "scenario", "a node of the set does not sync");
}

/* ---------------------------------------------------------------- which patterns there are */

/* Two small files beside the log are never synced; they are the oldest, and not counted. */
static void play_counting(struct world *w, uint64_t unused, struct measured *m)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		m->values[i] = disk_unsynced(&w->nodes[i].disk);
	lose_sync(w);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		m->values[i] = in_set(i) ? w->nodes[i].disk.unsynced - m->values[i] : 0;
}

static uint64_t count(struct world *w)
{
	struct measured m;

	expect(w, play_apart(w, play_counting, 0, &m), "scenario", "no sectors to count");
	n_sectors = 0;
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		sectors[i] = m.values[i];
		n_sectors += m.values[i];
		expect(w, in_set(i) == (sectors[i] >= 2), "scenario", "n%u: %u sectors", i, (unsigned) sectors[i]);
	}
	expect(w, n_sectors <= SECTORS_MAX, "scenario", "%u sectors are too many", (unsigned) n_sectors);
	return (1u << n_sectors) + TORN_SAMPLE;
}

/* The first 2^n: kept or lost; then some in which each is kept, lost or torn. */
static void choose_fates(const struct world *w, uint64_t which)
{
	bool torn = which >> n_sectors != 0;
	uint64_t pattern = which;
	struct rng r;

	rng_seed(&r, which, 11);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		for (uint64_t s = 0; s < sectors[i]; s++, pattern >>= 1)
			fates[i][s] = (uint8_t) (torn ? rng_below(&r, 3) : (pattern & 1) != 0 ? FATE_KEPT : FATE_LOST);
}

static void play(struct world *w, uint64_t which, struct measured *m)
{
	choose_fates(w, which);
	lose_sync(w);
	pass(w, which % 2);
	everything_well(w);
	expect_recovery(w);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		m->values[NODES_LOST] += in_set(i);
	m->values[SECTORS] = n_sectors;
	m->values[TORN] = which >> n_sectors != 0;
}

static void report(const struct measured *all, uint64_t n)
{
	for (uint64_t nodes = 1; nodes <= 3; nodes++)
	{
		uint64_t patterns = 0;
		uint64_t torn = 0;
		uint64_t most = 0;

		for (uint64_t i = 0; i < n; i++)
		{
			if (all[i].values[NODES_LOST] != nodes)
				continue;
			patterns += all[i].values[TORN] == 0;
			torn += all[i].values[TORN];
			most = all[i].values[SECTORS] > most ? all[i].values[SECTORS] : most;
		}
		if (patterns > 0)
			printf("  on %" PRIu64 " at once: %" PRIu64 " patterns of up to %" PRIu64 " sectors, %" PRIu64
				   " more with torn ones; all came back with everything acknowledged\n",
				   nodes, patterns, most, torn);
	}
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_sector_loss = {
	.name = "sector-loss",
	.shows = "3 nodes; one, two or three lose power inside one sync: all patterns of lost sectors",
	.n_starts = SETS,
	.start = start_three,
	.count = count,
	.play = play,
	.report = report,
};

const struct scenario scenario_sector_loss_one = {
	.name = "sector-loss-one",
	.shows = "a cluster of one loses power inside one sync: all patterns of lost sectors",
	.n_starts = 2,
	.start = start_one,
	.count = count,
	.play = play,
	.report = report,
};
