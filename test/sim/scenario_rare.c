/*
 * scenario_rare.c - what random seeds hardly ever bring about: copies of messages that come when least
 * expected, all flights to a follower used, a log of more segments than may be open.
 */
#include "oracle.h"
#include "scenario.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define VARIATIONS 20

enum
{
	TIMES, /* copies given, messages under way, segments opened again */
	SECOND
};

/* ---------------------------------------------------------------- messages under way */

/* The newest of that type on its way to that node (0: to any); NULL: none. */
static const struct packet *under_way(const struct world *w, enum paxos_message_type type, uint32_t to)
{
	const struct packet *newest = NULL;
	uint64_t sequence = 0;

	for (uint32_t i = 0; i < w->n_events; i++)
	{
		const struct event *event = &w->heap[i];
		const struct packet *packet = event->data;

		if (event->kind != EVENT_DELIVER || packet->formation || packet->message.type != type ||
			(to != 0 && packet->to != to) || event->sequence < sequence)
			continue;
		newest = packet;
		sequence = event->sequence;
	}
	return newest;
}

static uint32_t count_under_way(const struct world *w, enum paxos_message_type type, uint32_t to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < w->n_events; i++)
	{
		const struct packet *packet = w->heap[i].data;

		n += w->heap[i].kind == EVENT_DELIVER && !packet->formation && packet->message.type == type &&
			 packet->to == to;
	}
	return n;
}

/* A copy that was long under way: without entries. */
static void give_copy(struct world *w, const struct packet *copy)
{
	TRACE(&w->trace, "---- a late copy reaches n%u", copy->to);
	node_receive(w, &w->nodes[copy->to], copy);
}

static void report_copies(const struct measured *all, uint64_t n)
{
	printf("  %.1f late copies a case\n", (double) measured_sum(all, n, TIMES) / (double) n);
}

/* ---------------------------------------------------------------- a Pull during an Install's writes */

static struct world *start_pull(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(5, start);

	config.sync_us = 10000;
	config.tell_us = 5000;
	return quiet_world(play, start, &config);
}

static bool is_pulled(struct world *w, uint64_t unused)
{
	return under_way(w, PAXOS_PULL, 0) != NULL;
}

/* The log that it promised is gone, but for the disk's last word. */
static bool installs(const struct world *w, uint32_t node, struct paxos_ballot ballot)
{
	const struct witness *witness = &w->oracle->witnesses[node];

	return paxos_ballot_compare(witness->taken.accepted, ballot) == 0 &&
		   paxos_ballot_compare(witness->durable.accepted, ballot) != 0;
}

/* P1: as in "constrained", so that the candidate must pull; its source then gets the Pull once more. */
static void play_pull(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t hub = other_than(w, leader, 0);
	struct packet copy;

	cut(w, leader, hub);
	put_done(w, leader, 1);
	put_done(w, leader, 1);
	isolate(w, leader);
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->config.n_nodes; b++)
			if (a != hub && b != hub)
				cut(w, a, b);
	expect(w, until(w, is_pulled, 0, 4), "scenario", "nobody pulls a log");
	copy = *under_way(w, PAXOS_PULL, 0);
	for (sim_time last = w->now + timeouts(w, 4); w->now < last; world_step(w))
		if (installs(w, copy.to, copy.message.ballot) && m->values[TIMES] < 50)
		{
			give_copy(w, &copy);
			m->values[TIMES]++;
		}
	expect(w, m->values[TIMES] > 0, "scenario", "n%u installs in no time", copy.to);
	put_done(w, hub, 4);
	everything_well(w);
	net_heal_all(w, true);
	expect_recovery(w);
}

/* ---------------------------------------------------------------- a late answer to a Forward */

static struct world *start_reply(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(3, start);

	config.window_bytes = 2048;
	config.delay_us = 5000;
	return quiet_world(play, start, &config);
}

static bool is_answered(struct world *w, uint64_t node)
{
	return under_way(w, PAXOS_FORWARD_REPLY, (uint32_t) node) != NULL;
}

/* X3, X4: at the present sequence; every second one says "not leader". */
static void play_reply(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t origin = other_than(w, leader, 0);
	struct packet copy;
	uint64_t id;

	for (int i = 0; i < 4; i++)
		put(w, origin);
	expect(w, until(w, is_answered, origin, 4), "scenario", "n%u gets no answer to a Forward", origin);
	copy = *under_way(w, PAXOS_FORWARD_REPLY, origin);
	for (int i = 0; i < 10; i++)
		put_done(w, origin, 2);
	for (uint32_t round = 0; round < 10; round++)
	{
		id = put(w, origin);
		for (int i = 0; i < 5; i++)
			put(w, origin);
		world_step(w);
		copy.message.ready = round % 2 == 0;
		give_copy(w, &copy);
		m->values[TIMES]++;
		expect(w, until(w, answered, id, 2) && is_done(w, id), "X3", "n%u does not go on after a late answer",
			   origin);
		expect(w, until(w, at_rest, 0, 4), "X3", "n%u does not get rid of its commands", origin);
	}
	expect_recovery(w);
}

/* ---------------------------------------------------------------- all flights used */

static struct world *start_flights(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(3, start);

	config.window_bytes = 1u << 20;
	config.delay_us = 300;
	config.sync_us = 200;
	config.tell_us = config.send_us = 0;
	config.apply_us = 100;
	return quiet_world(play, start, &config);
}

static bool is_awake(struct world *w, uint64_t node)
{
	return w->nodes[node].frozen_until <= w->now;
}

/* A3: a follower answers nothing, the others go on; it gets no more than 256 messages, and then all the rest. */
static void play_flights(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	uint32_t asleep = other_than(w, leader, 0);
	uint64_t before = elections(w);

	w->nodes[asleep].frozen_until = w->now + timeouts(w, 12);
	for (uint32_t i = 0; i < 600; i++)
	{
		uint32_t flights;

		put_done(w, leader, 1);
		flights = count_under_way(w, PAXOS_ACCEPT, asleep);
		if (flights > m->values[TIMES])
			m->values[TIMES] = flights;
	}
	expect(w, m->values[TIMES] >= 256, "scenario", "at most %u Accepts were under way",
		   (unsigned) m->values[TIMES]);
	/* a probe now and then besides */
	expect(w, m->values[TIMES] <= 256 + 64, "L6", "%u Accepts are under way", (unsigned) m->values[TIMES]);
	expect(w, !is_awake(w, asleep), "scenario", "n%u woke too early", asleep);
	until(w, is_awake, asleep, 12);
	expect(w, until(w, at_rest, 0, 4), "L4", "n%u does not catch up", asleep);
	expect(w, elections(w) == before, "L2", "%u elections", (unsigned) (elections(w) - before));
	expect_recovery(w);
}

static void report_flights(const struct measured *all, uint64_t n)
{
	printf("  at most %" PRIu64 " Accepts were under way to one follower\n", measured_most(all, n, TIMES));
}

/* ---------------------------------------------------------------- more segments than may be open */

#define SEGMENTS 45

/* Of the disk that refuses to open an old segment: its own function, and at which time. */
static int (*really_open)(void *context, const char *path, bool create, bool read_only);
static uint64_t opened_again;
static uint64_t refuse_at;

/* Recovery has opened all of them before: what is opened to be read now was closed meanwhile. */
static int refusing_open(void *context, const char *path, bool create, bool read_only)
{
	struct disk *d = context;

	if (!create && strstr(path, "/segment.") != NULL && ++opened_again == refuse_at)
	{
		d->failed = true; /* the life that meets this may end */
		return -EIO;
	}
	return really_open(context, path, create, read_only);
}

static struct world *start_segments(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(3, start);
	struct world *w;
	uint32_t away;

	config.segment_bytes = 32u << 10;
	config.cache_bytes = 1024;
	config.value_bytes = config.big_value_bytes = 20u << 10;
	w = quiet_world(play, start, &config);
	away = other_than(w, leader_of(w), 0);
	stop_node(w, away, true);
	for (uint32_t i = 0; i < SEGMENTS; i++)
		put_done(w, leader_of(w), 4);
	return w;
}

static uint64_t count_segments(struct world *w)
{
	return 4;
}

/* D1, D4: who was away needs the oldest; the leader can't open one, and its worker's life ends, and no more. */
static void play_segments(struct world *w, uint64_t which, struct measured *m)
{
	uint32_t leader = leader_of(w);
	struct disk *d = &w->nodes[leader].disk;
	uint64_t life = w->nodes[leader].life;

	really_open = d->ops.open;
	d->ops.open = refusing_open;
	opened_again = 0;
	refuse_at = which == 0 ? 0 : 1 + 4 * (which - 1);
	everything_well(w);
	expect(w, until(w, at_rest, 0, 60), "L4", "who was away does not catch up");
	m->values[TIMES] = opened_again;
	m->values[SECOND] = w->nodes[leader].life != life;
	expect(w, opened_again >= 10, "scenario", "only %u segments were opened again", (unsigned) opened_again);
	expect(w, (m->values[SECOND] != 0) == (which > 0), "D4", "n%u %s", leader,
		   which > 0 ? "goes on, and could not read its log" : "dies of a segment that it closed itself");
	expect_recovery(w);
}

static void report_segments(const struct measured *all, uint64_t n)
{
	printf("  %.0f segments opened again a case; lives that ended where one could not be: %" PRIu64
		   " of %" PRIu64 "\n",
		   (double) measured_sum(all, n, TIMES) / (double) n, measured_sum(all, n, SECOND), n);
}

/* ---------------------------------------------------------------- the list */

const struct scenario scenario_late_pull = {
	.name = "late-pull",
	.shows = "5 nodes; a Pull comes again while its source writes the record that replaces its log",
	.n_starts = VARIATIONS,
	.start = start_pull,
	.play = play_pull,
	.report = report_copies,
};

const struct scenario scenario_late_reply = {
	.name = "late-reply",
	.shows = "3 nodes; an old answer to a Forward, which grants less or says \"not leader\", comes again",
	.n_starts = VARIATIONS,
	.start = start_reply,
	.play = play_reply,
	.report = report_copies,
};

const struct scenario scenario_all_flights = {
	.name = "all-flights",
	.shows = "3 nodes; a follower sleeps until 256 Accepts are under way to it, the others go on",
	.n_starts = 5,
	.start = start_flights,
	.play = play_flights,
	.report = report_flights,
};

const struct scenario scenario_many_segments = {
	.name = "many-segments",
	.shows = "3 nodes; a log of more segments than may be open, one of which can't be opened again",
	.n_starts = 3,
	.start = start_segments,
	.count = count_segments,
	.play = play_segments,
	.report = report_segments,
};
