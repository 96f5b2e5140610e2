/*
 * scenario_par.c - every combination of damaged copies of a short log on three nodes, as in 'Protocol-Aware
 * Recovery for Consensus-Based Storage' (FAST '18): 4 entries x 3 nodes, each copy intact or damaged, 4,096
 * cases; and 3 entries x 3 nodes, each copy intact, corrupt or lost, 19,683 cases.
 *
 * All entries are acknowledged and their syncs known completed; all nodes stop, records are damaged at rest,
 * all nodes start.  What must come of it is computed here from the pattern alone, by the rules:
 *
 *	 - A node with any bad record is damaged beyond doubt (D6), and counts in phase 1 only with an undamaged
 *	   voter whose log reaches as far as its markers name (D7).  All logs here end alike, so one whole node
 *	   vouches for the others: the cluster recovers.
 *	 - Without a whole node each gets back from the others what they have (D7): where each record has an intact
 *	   copy somewhere, all become whole.
 *	 - Where a record has none, nothing may be given up, since nothing is in doubt (D8): the cluster stops, and
 *	   says so.
 */
#include "scenario.h"

#include "log/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NODES 3
#define ENTRIES_MAX 4

enum copy_state
{
	COPY_INTACT = 0,
	COPY_CORRUPT, /* a bit flipped, in header or payload */
	COPY_LOST     /* zeroes */
};

enum verdict
{
	RECOVERED = 0, /* a node is whole */
	REPAIRED,      /* recovered, none is whole, every record has an intact copy somewhere */
	LOST,          /* stopped, a record has no intact copy */
	VERDICTS
};

/* ---------------------------------------------------------------- the cases */

static uint32_t n_entries;
static uint32_t n_states; /* 2: intact or damaged somehow */
static uint64_t slots[ENTRIES_MAX];
/* Two nodes, a whole one of which suffices; 0: any one does.  They have followed a leader that the third did not. */
static uint32_t pair[2];

static uint64_t n_cases(void)
{
	uint64_t n = 1;

	for (uint32_t i = 0; i < NODES * n_entries; i++)
		n *= n_states;
	return n;
}

static void pattern_of(uint64_t which, enum copy_state copies[NODES][ENTRIES_MAX])
{
	struct rng r;

	rng_seed(&r, which, 13);
	for (uint32_t node = 0; node < NODES; node++)
		for (uint32_t entry = 0; entry < n_entries; entry++, which /= n_states)
		{
			copies[node][entry] = (enum copy_state)(which % n_states);
			if (n_states == 2 && copies[node][entry] != COPY_INTACT)
				copies[node][entry] = rng_chance(&r, 500) ? COPY_CORRUPT : COPY_LOST;
		}
}

static bool is_whole(const enum copy_state copies[ENTRIES_MAX])
{
	for (uint32_t entry = 0; entry < n_entries; entry++)
		if (copies[entry] != COPY_INTACT)
			return false;
	return true;
}

/* Whether all that the node misses is somewhere; in the last two slots the third of a pair held something else. */
static bool can_be_whole(enum copy_state copies[NODES][ENTRIES_MAX], uint32_t node)
{
	for (uint32_t entry = 0; entry < n_entries; entry++)
	{
		bool found = copies[node - 1][entry] == COPY_INTACT;

		for (uint32_t i = 1; i <= NODES; i++)
			if (pair[0] == 0 || i == pair[0] || i == pair[1])
				found |= copies[i - 1][entry] == COPY_INTACT;
		if (!found)
			return false;
	}
	return true;
}

static enum verdict expected(enum copy_state copies[NODES][ENTRIES_MAX])
{
	uint32_t node = pair[0] == 0 ? 1 : pair[0];

	for (uint32_t i = 1; i <= NODES; i++)
		if ((pair[0] == 0 || i == pair[0] || i == pair[1]) && is_whole(copies[i - 1]))
			return RECOVERED;
	return can_be_whole(copies, node) ? REPAIRED : LOST;
}

/* ---------------------------------------------------------------- damage at rest */

struct place
{
	const char *path;
	uint64_t offset;
	uint32_t length;
};

/* The newest good record of that slot in one segment. */
static bool find_in_segment(const uint8_t *bytes, uint64_t size, uint64_t slot, struct place *place)
{
	struct plog_segment_header header;
	struct plog_record record;
	bool found = false;

	if (size < PLOG_BLOCK || format_get_header(bytes, &header) != FORMAT_GOOD)
		return false;
	for (uint64_t at = header.data_offset; at + PLOG_RECORD_HEADER <= size;
		 at += format_padded(record.length))
	{
		format_get_record(bytes + at, &record);
		if (!format_length_possible(record.length, size - at) ||
			!format_record_good(bytes + at, record.length, &header.identity, at))
			break;
		if (record.type != PLOG_RECORD_ENTRY || record.slot != slot)
			continue;
		found = true;
		place->offset = at;
		place->length = record.length;
	}
	return found;
}

static struct place find_record(struct world *w, uint32_t node, uint64_t slot)
{
	const struct disk *d = &w->nodes[node].disk;
	struct place place = {NULL, 0, 0};

	for (uint32_t i = 0; i < d->synced.n; i++)
	{
		const char *path = d->synced.names[i].path;
		uint64_t size = 0;
		const uint8_t *bytes = disk_platter(d, path, &size);

		if (strstr(path, "/segment.") != NULL && find_in_segment(bytes, size, slot, &place))
			place.path = path;
	}
	expect(w, place.path != NULL, "scenario", "n%u has no record of slot %u", node, (unsigned) slot);
	return place;
}

static void damage(struct world *w, uint32_t node, struct place place, enum copy_state state, struct rng *r)
{
	bool header = rng_chance(r, 300);

	w->rotten |= 1u << node;
	if (state == COPY_LOST)
		disk_spoil(&w->nodes[node].disk, place.path, place.offset, place.length, true);
	else if (header)
		disk_spoil(&w->nodes[node].disk, place.path, place.offset, PLOG_RECORD_HEADER, false);
	else
		disk_spoil(&w->nodes[node].disk, place.path, place.offset + PLOG_RECORD_HEADER,
				   place.length - PLOG_RECORD_HEADER, false);
}

static void stop_and_damage(struct world *w, uint64_t which, enum copy_state copies[NODES][ENTRIES_MAX],
							bool tables_too)
{
	struct rng r;

	rng_seed(&r, which, 17);
	for (uint32_t i = 1; i <= NODES; i++)
		stop_node(w, i, false);
	for (uint32_t i = 1; i <= NODES; i++)
	{
		struct place places[ENTRIES_MAX];

		for (uint32_t entry = 0; entry < n_entries; entry++)
			places[entry] = find_record(w, i, slots[entry]);
		for (uint32_t entry = 0; entry < n_entries; entry++)
			if (copies[i - 1][entry] != COPY_INTACT)
				damage(w, i, places[entry], copies[i - 1][entry], &r);
		if (tables_too)
			database_clear(&w->nodes[i].database);
	}
}

/* ---------------------------------------------------------------- what comes of it */

static bool given_up(struct world *w, uint64_t unused)
{
	return w->stopped_safely;
}

/* Every node says why, and nobody is told anything. */
static void expect_stopped(struct world *w, enum copy_state copies[NODES][ENTRIES_MAX])
{
	uint64_t puts[NODES];
	uint64_t gets[NODES];
	uint64_t chosen = oracle_chosen(w);

	expect(w, until(w, given_up, 0, 8), "D8", "no node says that the log can't be recovered");
	for (uint32_t i = 0; i < NODES; i++)
	{
		const struct node *n = &w->nodes[i + 1];

		expect(w, n->state == NODE_RUNNING || n->state == NODE_BROKEN, "L1", "n%u does not start", n->id);
		expect(w,
			   is_whole(copies[i]) ||
				   (n->log_state.paxos.damage.damaged && n->log_state.damage_place[0] != '\0'),
			   "S15", "n%u does not say that it is damaged", n->id);
		puts[i] = put(w, n->id);
		gets[i] = get(w, n->id);
	}
	pass(w, 4);
	for (uint32_t i = 0; i < NODES; i++)
		expect(w, !is_done(w, puts[i]) && !is_done(w, gets[i]), "S15", "n%u answers a request", i + 1);
	expect(w, oracle_chosen(w) == chosen && leader_of(w) == 0, "S15", "something is chosen");
}

/*
 * In half of the cases the tables are lost too: then all is read from the log again.  So they are where a record is lost:
 * with them it is not (tables_hold_it()).
 */
static void play(struct world *w, uint64_t which, struct measured *m)
{
	enum copy_state copies[NODES][ENTRIES_MAX];
	enum verdict verdict;
	struct rng r;

	pattern_of(which, copies);
	verdict = expected(copies);
	rng_seed(&r, which, 19);
	stop_and_damage(w, which, copies, rng_chance(&r, 500) || verdict == LOST);
	everything_well(w);
	if (verdict == LOST)
		expect_stopped(w, copies);
	else
		expect_recovery(w);
	m->values[verdict] = 1;
}

/* T2: what every table holds durably the logs may begin behind. */
static void tables_hold_it(struct world *w, uint64_t which, struct measured *m)
{
	enum copy_state copies[NODES][ENTRIES_MAX];

	pattern_of(which, copies);
	if (expected(copies) != LOST)
		return;
	stop_and_damage(w, which, copies, false);
	everything_well(w);
	expect_recovery(w);
	m->values[RECOVERED] = 1;
}

static void report(const struct measured *all, uint64_t n)
{
	static const char *const names[VERDICTS] = {
		"recovered, a node is whole", "recovered, no node is whole and every record has an intact copy",
		"stopped safely, a record is lost everywhere"};

	for (int v = 0; v < VERDICTS; v++)
		printf("  %6" PRIu64 " %s\n", measured_sum(all, n, v), names[v]);
	printf("  %6d wrong\n", 0); /* the first would have ended it */
}

/* ---------------------------------------------------------------- the log */

static void put_entries(struct world *w, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
	{
		put_done(w, 1 + i % NODES, 2);
		expect(w, until(w, at_rest, 0, 2), "L4", "no rest after a put");
		slots[i] = oracle_chosen(w);
	}
}

static struct world *start_with(const struct play *play, uint32_t entries, uint32_t states, bool trims)
{
	struct sim_config config = quiet_config(3, 1);
	struct world *w;

	if (trims)
	{
		config.trim_us = 5000;
		config.retain_slots = true;
		config.retention_slots = 10000; /* nothing goes by itself */
	}
	w = quiet_world(play, 1, &config);
	n_entries = entries;
	n_states = states;
	pair[0] = pair[1] = 0;
	return w;
}

static struct world *start_4096(const struct play *play, uint32_t start)
{
	struct world *w = start_with(play, 4, 2, false);

	put_entries(w, 0, 4);
	return w;
}

static struct world *start_tables(const struct play *play, uint32_t start)
{
	struct world *w = start_with(play, 4, 2, true);

	put_entries(w, 0, 4);
	return w;
}

static struct world *start_19683(const struct play *play, uint32_t start)
{
	struct world *w = start_with(play, 3, 3, false);

	put_entries(w, 0, 3);
	return w;
}

/* Two entries are everywhere; then the leader is alone, with others than those that the two go on with. */
static struct world *start_apart(const struct play *play, uint32_t start)
{
	struct world *w = start_with(play, 4, 2, false);
	uint32_t old;
	uint32_t leader;

	put_entries(w, 0, 2);
	old = leader_of(w);
	isolate(w, old);
	for (int i = 0; i < 4; i++)
		put(w, old);
	expect(w, until(w, led_by_another, old, 10), "L3", "nobody takes over from n%u", old);
	leader = leader_of(w);
	pass(w, 2);
	for (uint32_t i = 2; i < 4; i++)
	{
		put_done(w, leader, 2);
		pass(w, 2);
		slots[i] = oracle_chosen(w);
	}
	pair[0] = leader;
	pair[1] = other_than(w, leader, old);
	return w;
}

static uint64_t count(struct world *w)
{
	return n_cases();
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_par = {
	.name = "par",
	.shows = "3 nodes, 4 acknowledged entries, each copy intact or damaged (Protocol-Aware Recovery)",
	.n_starts = 1,
	.start = start_4096,
	.count = count,
	.play = play,
	.report = report,
};

const struct scenario scenario_par_tables = {
	.name = "par-tables",
	.shows = "those of par in which a record is lost, with tables that hold what was in it",
	.n_starts = 1,
	.start = start_tables,
	.count = count,
	.play = tables_hold_it,
	.report = report,
};

const struct scenario scenario_par_apart = {
	.name = "par-apart",
	.shows = "the same, where one log has another ballot, other entries, another end than the two others",
	.n_starts = 1,
	.start = start_apart,
	.count = count,
	.play = play,
	.report = report,
};

const struct scenario scenario_par3 = {
	.name = "par3",
	.shows = "3 nodes, 3 acknowledged entries, each copy intact, corrupt or lost",
	.longer = true,
	.n_starts = 1,
	.start = start_19683,
	.count = count,
	.play = play,
	.report = report,
};
