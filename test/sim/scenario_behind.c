/*
 * scenario_behind.c - nodes that logs alone can't bring on: away too long, asleep while the leader trims, in the middle
 * of a chain; and a death at every point of the installing of a table (T5).
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VARIATIONS 40
#define CRASH_VARIATIONS 6
#define PUTS 25

enum
{
	BACK, /* thousandths of an election timeout until the node has all, or a put through it is acknowledged */
	ELECTIONS,
	TABLES
};

/* ---------------------------------------------------------------- what all have in common */

static struct sim_config trimming_config(uint32_t n_nodes, uint32_t seed)
{
	struct sim_config config = quiet_config(n_nodes, seed);

	config.trim_us = 5000;
	config.retain_slots = true;
	config.retention_slots = 12;
	config.chunk_rows = 5;
	config.lossy = seed / 2 % 2 == 1;
	return config;
}

static struct world *start_with(const struct play *play, uint32_t start, uint32_t n_nodes)
{
	struct sim_config config = trimming_config(n_nodes, start);

	return led_world(play, start, &config);
}

static struct world *start_three(const struct play *play, uint32_t start)
{
	return start_with(play, start, 3);
}

static struct world *start_either(const struct play *play, uint32_t start)
{
	return start_with(play, start, start % 2 == 0 ? 3 : 5);
}

/* All but that node have dropped what it would need next. */
static bool trimmed_past(struct world *w, uint64_t node)
{
	uint64_t applied = w->nodes[node].database.table.applied;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (i != node && oracle_first_slot(w, i) <= applied + 1)
			return false;
	return true;
}

/* It has itself dropped what its database's backup would need next. */
static bool trimmed_past_backup(struct world *w, uint64_t node)
{
	return oracle_first_slot(w, (uint32_t) node) > w->nodes[node].old_table->applied + 1;
}

/* Puts go on without it until then. */
static void leave_behind(struct world *w, uint32_t node)
{
	uint32_t other = other_than(w, node, 0);

	for (uint32_t i = 0; i < PUTS; i++)
		put_done(w, other, 6);
	expect(w, until(w, trimmed_past, node, 10), "L6", "the others keep what n%u lacks", node);
}

static bool has_all(struct world *w, uint64_t node)
{
	const struct node *n = &w->nodes[node];

	return n->state == NODE_RUNNING && n->session != 0 && n->database.table.applied == oracle_chosen(w) &&
		   snapshot_next_step(n) == STEP_NONE;
}

static void start_again(struct world *w, uint32_t node)
{
	w->nodes[node].held_down = false;
	world_schedule(w, 0, (struct event){.kind = EVENT_START, .node = node});
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until it is back", all, n, BACK);
	printf("  elections: at most %" PRIu64 " a case; tables fetched: %.2f a case\n",
		   measured_most(all, n, ELECTIONS), (double) measured_sum(all, n, TABLES) / (double) n);
}

/* It came back by a table, and no more elections than that came of it since there had been so many. */
static void judge_return(struct world *w, uint32_t node, uint64_t elections_before, uint64_t elections_most,
						 struct measured *m)
{
	m->values[ELECTIONS] = elections(w) - elections_before;
	m->values[TABLES] = w->n_restored;
	expect(w, w->n_restored > 0, "scenario", "n%u needed no table", node);
	expect(w, m->values[ELECTIONS] <= elections_most, "L2", "%u elections", (unsigned) m->values[ELECTIONS]);
}

static void catches_up_by_table(struct world *w, uint32_t node, uint64_t elections_before,
								uint64_t elections_most, struct measured *m)
{
	sim_time began = w->now;

	expect(w, until(w, has_all, node, 6), "L4", "n%u is back, and does not catch up", node);
	m->values[BACK] = timeouts_since(w, began);
	judge_return(w, node, elections_before, elections_most, m);
	expect_recovery(w);
}

/* ---------------------------------------------------------------- three ways to be behind */

/* A follower or, in every third variation, the leader is off for longer than the others' logs remember. */
static void play_away(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t node = w->seed % 3 == 0 ? leader : other_than(w, leader, 0);
	uint64_t before;

	stop_node(w, node, w->seed % 2 == 0);
	leave_behind(w, node);
	before = elections(w);
	start_again(w, node);
	catches_up_by_table(w, node, before, 0, m);
}

/* Three in a row, and the one in the middle was away: only it reaches a quorum, and it must fetch first (P1). */
static void play_away_chained(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t node = other_than(w, leader, 0);
	uint32_t third = other_than(w, leader, node);
	uint64_t before;
	sim_time began;

	stop_node(w, node, true);
	leave_behind(w, node);
	before = elections(w);
	began = w->now;
	cut(w, leader, third);
	start_again(w, node);
	expect(w, until(w, has_all, node, 10), "L4", "n%u reaches both others, and does not catch up", node);
	put_done(w, node, 4);
	m->values[BACK] = timeouts_since(w, began);
	pass(w, 4); /* an end may still find out that it reaches only the middle */
	judge_return(w, node, before, 2, m);
	before = elections(w);
	pass(w, 20);
	put_done(w, node, 1);
	expect(w, elections(w) == before, "L2", "elections go on");
	net_heal_all(w, true);
	pass(w, 2);
	expect_recovery(w);
}

static bool awake(struct world *w, uint64_t node)
{
	return w->nodes[node].frozen_until <= w->now;
}

/* A follower sleeps, connected as ever, while the leader trims past it; the leader leads on. */
static void play_trimmed_past(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t node = other_than(w, leader, 0);
	uint64_t before = elections(w);

	w->nodes[node].frozen_until = w->now + timeouts(w, 20);
	TRACE(&w->trace, "---- n%u sleeps", node);
	/* More than what may be under way to it. */
	for (uint32_t i = 0; i < 3 * PUTS; i++)
		put_done(w, leader, 1);
	expect(w, until(w, trimmed_past, node, 10), "L6", "the others keep what n%u lacks", node);
	until(w, awake, node, 20);
	catches_up_by_table(w, node, before, 0, m);
}

/* Emptied, or an older backup put back, beside a log that no longer has what is missing (T5); at the leader, too. */
static void play_lost_database(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t node = w->seed % 3 == 0 ? leader : other_than(w, leader, 0);
	uint32_t other = other_than(w, node, 0);
	bool all = w->seed / 2 % 2 == 0;
	uint64_t before = elections(w);

	database_back_up(&w->nodes[node]);
	for (uint32_t i = 0; i < PUTS; i++)
		put_done(w, other, 1);
	expect(w, until(w, trimmed_past_backup, node, 10), "L6", "n%u keeps what its backup lacks", node);
	keep_off_once_down(w, node);
	database_lose(w, &w->nodes[node], all);
	put_done(w, other, 4);
	start_again(w, node);
	catches_up_by_table(w, node, before, 2, m);
}

/* A6: what a node missed is more than it may take by Accepts and not apply; a Sync brings it, of any size. */
static struct world *start_tight(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(start % 2 == 0 ? 3 : 5, start);

	config.window_bytes = 512;
	config.value_bytes = config.big_value_bytes = 3000; /* some messages long */
	config.unapplied_bytes_max = 30000;
	return led_world(play, start, &config);
}

static void play_long_sync(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t node = other_than(w, leader, 0);
	sim_time began;

	stop_node(w, node, w->seed % 2 == 0);
	for (uint32_t i = 0; i < 2 * PUTS; i++)
		put_done(w, leader, 1);
	/* Another leader, so that it begins with a Sync. */
	if (w->config.n_nodes > 3)
	{
		isolate(w, leader);
		expect(w, until(w, led_by_another, leader, 10), "L3", "nobody takes over from n%u", leader);
		net_heal_all(w, true);
	}
	else
		stop_node(w, leader, true);
	began = w->now;
	everything_well(w);
	expect(w, until(w, at_rest, 0, 10), "L4", "n%u is back, and does not catch up", node);
	m->values[BACK] = timeouts_since(w, began);
	expect(w, w->n_restored == 0, "scenario", "n%u fetched a table", node);
	expect_recovery(w);
}

/* A window of a few commands, so that what the leader has not sent yet is trimmed. */
static struct world *start_narrow(const struct play *play, uint32_t start)
{
	struct sim_config config = trimming_config(start % 2 == 0 ? 3 : 5, start);

	config.window_bytes = 1024;
	return led_world(play, start, &config);
}

/* ---------------------------------------------------------------- a death while a table is installed */

enum manner
{
	POWER_ALL_KEPT = 0, /* unsynced sectors */
	POWER_ALL_LOST,
	POWER_MIXED, /* each kept, lost or torn, drawn */
	PROCESS,     /* the machine stays */
	MANNERS
};

/* More sectors than one sync leaves behind. */
static uint8_t kept[256];
static uint32_t behind_node;
static uint64_t n_calls;
#define STEPS (STEP_TRIM - STEP_VERIFY + 1)

static bool has_all_chunks(struct world *w, uint64_t node)
{
	return snapshot_next_step(&w->nodes[node]) == STEP_VERIFY;
}

/* The node is back, and has another's table, which counts for nothing yet. */
static struct world *start_install(const struct play *play, uint32_t start)
{
	struct world *w = start_with(play, start, 3);

	behind_node = other_than(w, leader_of(w), 0);
	stop_node(w, behind_node, true);
	leave_behind(w, behind_node);
	start_again(w, behind_node);
	expect(w, until(w, has_all_chunks, behind_node, 6), "L4", "n%u does not fetch a table", behind_node);
	return w;
}

static void play_counting(struct world *w, uint64_t which, struct measured *m)
{
	uint64_t before = w->nodes[behind_node].disk.calls;

	expect(w, until(w, has_all, behind_node, 6), "L4", "n%u does not install its table", behind_node);
	put_done(w, behind_node, 4);
	m->values[0] = w->nodes[behind_node].disk.calls - before;
}

static uint64_t count_points(struct world *w)
{
	struct measured m;

	expect(w, play_apart(w, play_counting, 0, &m), "scenario", "without a crash");
	n_calls = m.values[0];
	return (n_calls + STEPS) * MANNERS;
}

static bool is_down(struct world *w, uint64_t node)
{
	return w->nodes[node].state == NODE_DOWN;
}

static void plan_death(struct world *w, uint64_t point, enum manner manner)
{
	struct node *n = &w->nodes[behind_node];

	keep_off_once_down(w, behind_node);
	memset(kept, FATE_KEPT, sizeof(kept));
	n->disk.fates = manner <= POWER_ALL_LOST ? kept : NULL;
	n->disk.n_fates = manner == POWER_ALL_KEPT ? sizeof(kept) : 0;
	n->dies_alone = n->disk.alone = manner == PROCESS;
	if (point < STEPS)
		n->dies_before = STEP_VERIFY + (enum snapshot_step) point;
	else
		n->disk.crash_in = point - STEPS + 1;
	TRACE(&w->trace, "---- n%u will die before step %u or in file call %u", n->id, n->dies_before,
		  n->disk.crash_in);
}

static void play_death(struct world *w, uint64_t which, struct measured *m)
{
	plan_death(w, which / MANNERS, (enum manner)(which % MANNERS));
	if (until(w, has_all, behind_node, 6) && w->nodes[behind_node].state == NODE_RUNNING)
		put(w, behind_node);
	expect(w, until(w, is_down, behind_node, 6), "scenario", "n%u did not die", behind_node);
	pass(w, which % 3);
	w->nodes[behind_node].disk.fates = NULL;
	everything_well(w);
	expect_recovery(w);
	m->values[TABLES] = w->n_restored;
}

static void report_deaths(const struct measured *all, uint64_t n)
{
	printf("  %" PRIu64 " points, each in %d manners; all came back with everything acknowledged\n",
		   n / MANNERS, MANNERS);
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_away = {
	.name = "away",
	.shows = "3 or 5 nodes; one is off until the others have trimmed past it",
	.n_starts = VARIATIONS,
	.start = start_either,
	.play = play_away,
	.report = report,
};

const struct scenario scenario_away_chained = {
	.name = "away-chained",
	.shows = "3 nodes in a row; the one in the middle was off until the others had trimmed past it",
	.n_starts = VARIATIONS,
	.start = start_three,
	.play = play_away_chained,
	.report = report,
};

const struct scenario scenario_trimmed_past = {
	.name = "trimmed-past",
	.shows = "3 or 5 nodes; a follower sleeps until the leader has trimmed past it",
	.n_starts = VARIATIONS,
	.start = start_narrow,
	.play = play_trimmed_past,
	.report = report,
};

const struct scenario scenario_lost_database = {
	.name = "lost-database",
	.shows = "3 or 5 nodes; the database of one is emptied, or an older one put back, beside its trimmed log",
	.n_starts = VARIATIONS,
	.start = start_either,
	.play = play_lost_database,
	.report = report,
};

const struct scenario scenario_long_sync = {
	.name = "long-sync",
	.shows = "3 or 5 nodes; one was off for longer than A6's limit, and a new leader syncs it",
	.n_starts = VARIATIONS,
	.start = start_tight,
	.play = play_long_sync,
	.report = report,
};

const struct scenario scenario_crash_install = {
	.name = "crash-install",
	.shows = "3 nodes; one dies at any point of installing a table (T5): between two steps, in a file call",
	.n_starts = CRASH_VARIATIONS,
	.start = start_install,
	.count = count_points,
	.play = play_death,
	.report = report_deaths,
};
