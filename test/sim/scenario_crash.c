/*
 * scenario_crash.c - crash points: one put, and one change of leader, in which one node dies inside one file
 * call.  Every call of every node gets its turn, syncs among them; so does every step between two writes.
 *
 * The way there is the same up to that call, so a first playing without a crash counts the calls.
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* How it dies. */
enum manner
{
	POWER_ALL_KEPT = 0, /* unsynced sectors */
	POWER_ALL_LOST,
	POWER_MIXED,    /* each kept, lost or torn, drawn */
	PROCESS,        /* the machine stays */
	TOGETHER_MIXED, /* all nodes lose power at that moment */
	TOGETHER_LOST,
	MANNERS
};

static const char *const manner_names[MANNERS] = {
	"power, unsynced sectors kept", "power, unsynced sectors lost", "power, some torn", "process alone",
	"power everywhere, some torn",  "power everywhere, all lost"};

/* More sectors than one sync leaves behind. */
static uint8_t kept[256];

/* File calls of each node in the scenario at hand, from the start that cases branch off. */
static uint64_t n_calls[SIM_NODES + 1];

/* ---------------------------------------------------------------- the stories, which a crash may end */

static bool crashed(const struct world *w)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (w->nodes[i].state != NODE_RUNNING)
			return true;
	return false;
}

static bool rest_or_crash(struct world *w, uint64_t unused)
{
	return crashed(w) || at_rest(w, 0);
}

static bool taken_over_or_crash(struct world *w, uint64_t old)
{
	return crashed(w) || led_by_another(w, old);
}

/* Through the leader, or in every second variation through another node. */
static void one_put(struct world *w)
{
	uint32_t leader = leader_of(w);

	put(w, w->seed % 2 == 0 ? leader : other_than(w, leader, 0));
	expect(w, until(w, rest_or_crash, 0, 10), "L4", "no rest after one put");
}

/* A put is under way, another node takes over, the old leader comes back. */
static void one_leader_change(struct world *w)
{
	uint32_t old = leader_of(w);

	put(w, old);
	isolate(w, old);
	put(w, other_than(w, old, 0));
	expect(w, until(w, taken_over_or_crash, old, 10), "L3", "nobody takes over from n%u", old);
	net_heal_all(w, true);
	expect(w, until(w, rest_or_crash, 0, 20), "L4", "no rest after a change of leader");
}

/* ---------------------------------------------------------------- counting */

static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(3, start);
	struct world *w = quiet_world(play, start, &config);

	for (uint32_t i = 0; i < start % 3; i++)
		move_leader(w);
	put_done(w, leader_of(w), 1);
	expect(w, until(w, at_rest, 0, 2), "L4", "no rest after a put");
	return w;
}

static void play_counting(struct world *w, uint64_t which, struct measured *m)
{
	uint64_t before[SIM_NODES + 1];

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		before[i] = w->nodes[i].disk.calls;
	if (which == 0)
		one_put(w);
	else
		one_leader_change(w);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		m->values[i] = w->nodes[i].disk.calls - before[i];
}

static uint64_t count_points(struct world *w, uint64_t story)
{
	struct measured m;
	uint64_t n = 0;

	expect(w, play_apart(w, play_counting, story, &m), "scenario", "without a crash");
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		n_calls[i] = m.values[i];
		n += m.values[i];
	}
	return n * MANNERS;
}

static uint64_t count_put(struct world *w)
{
	return count_points(w, 0);
}

static uint64_t count_change(struct world *w)
{
	return count_points(w, 1);
}

/* ---------------------------------------------------------------- one crash */

static void choose_fates(struct disk *d, enum manner manner)
{
	memset(kept, FATE_KEPT, sizeof(kept));
	if (manner == POWER_ALL_KEPT || manner == POWER_ALL_LOST || manner == TOGETHER_LOST)
		d->fates = kept;
	d->n_fates = manner == POWER_ALL_KEPT ? sizeof(kept) : 0;
}

static void plan_crash(struct world *w, uint32_t node, uint64_t call, enum manner manner)
{
	struct disk *d = &w->nodes[node].disk;

	TRACE(&w->trace, "---- n%u will die in its file call %u: %s", node, call,
		  TRACE_STRING(manner_names[manner]));
	keep_off_once_down(w, node);
	d->crash_in = call;
	d->alone = manner == PROCESS;
	choose_fates(d, manner);
}

static void play_point(struct world *w, uint64_t which, struct measured *m, void (*story)(struct world *))
{
	enum manner manner = (enum manner)(which % MANNERS);
	uint64_t call = which / MANNERS + 1;
	uint32_t node = 1;

	while (call > n_calls[node])
		call -= n_calls[node++];
	plan_crash(w, node, call, manner);
	story(w);
	expect(w, w->nodes[node].state == NODE_DOWN, "scenario", "n%u did not die", node);
	for (uint32_t i = 1; i <= w->config.n_nodes && manner >= TOGETHER_MIXED; i++)
		if (i != node)
		{
			choose_fates(&w->nodes[i].disk, manner);
			stop_node(w, i, true);
		}
	pass(w, which / MANNERS % 3); /* the others may go on, and elect, without it */
	everything_well(w);
	expect_recovery(w);
}

static void play_put(struct world *w, uint64_t which, struct measured *m)
{
	play_point(w, which, m, one_put);
}

static void play_change(struct world *w, uint64_t which, struct measured *m)
{
	play_point(w, which, m, one_leader_change);
}

static void report(const struct measured *all, uint64_t n)
{
	printf("  %" PRIu64 " crash points, each in %d manners; all came back with everything acknowledged\n",
		   n / MANNERS, MANNERS);
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_crash_put = {
	.name = "crash-put",
	.shows = "3 nodes; one put, in which a node dies inside any one file call, or all do",
	.n_starts = 20,
	.start = start,
	.count = count_put,
	.play = play_put,
	.report = report,
};

const struct scenario scenario_crash_leader_change = {
	.name = "crash-leader-change",
	.shows = "3 nodes; one change of leader, in which a node dies inside any one file call, or all do",
	.n_starts = 8,
	.start = start,
	.count = count_change,
	.play = play_change,
	.report = report,
};
