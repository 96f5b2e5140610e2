/*
 * scenario_lanes.c - thin links, full of commands: what is small overtakes what is large, so that a cluster that
 * has all its links busy for long still hears its heartbeats.
 *
 * Nothing else fails.  A link carries a window in a third of an election timeout; two windows wait in it now and
 * then, longer than three rounds.
 */
#include "scenario.h"

#include <inttypes.h>
#include <stdio.h>

#define VARIATIONS 8
#define BUSY_TIMEOUTS 30
#define WINDOW_BYTES (32u << 10)
#define VALUE_BYTES (12u << 10)
/* 32 KiB in 170 ms */
#define BYTE_NS 5200

enum
{
	PUTS,
	READ /* thousandths of an election timeout until a read at the leader is answered, at worst */
};

static struct world *start(const struct play *play, uint32_t start)
{
	struct sim_config config = quiet_config(start % 2 == 0 ? 3 : 5, start);

	config.window_bytes = WINDOW_BYTES;
	config.value_bytes = config.big_value_bytes = VALUE_BYTES;
	config.delay_us = 1000;
	return quiet_world(play, start, &config);
}

static void thin_links(struct world *w, uint32_t byte_ns)
{
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = 1; b <= w->config.n_nodes; b++)
			w->network.directions[a][b].byte_ns = byte_ns;
}

/* All clients but one. */
static void keep_busy(struct world *w)
{
	uint32_t busy = 0;

	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		busy += w->clients[i].request != NULL;
	for (; busy < SIM_CLIENTS - 1; busy++)
		put(w, 1 + (uint32_t) (w->n_requests % w->config.n_nodes));
}

static void play(struct world *w, uint64_t which, struct measured *m)
{
	uint64_t first = w->n_requests;
	uint64_t before = elections(w);
	sim_time last = w->now + timeouts(w, BUSY_TIMEOUTS);

	thin_links(w, BYTE_NS);
	while (w->now < last)
	{
		sim_time began = w->now;
		uint64_t id;

		keep_busy(w);
		expect(w, elections(w) == before, "L2", "%u elections, and only the links are busy",
			   (unsigned) (elections(w) - before));
		id = get(w, leader_of(w));
		expect(w, until(w, answered, id, 1) && is_done(w, id), "L1",
			   "the leader's reads wait for what is large");
		if (timeouts_since(w, began) > m->values[READ])
			m->values[READ] = timeouts_since(w, began);
	}
	for (uint64_t id = first + 1; id <= w->n_requests; id++)
		m->values[PUTS] += w->requests[id - 1]->kind == REQUEST_PUT && is_done(w, id);
	expect(w, m->values[PUTS] >= BUSY_TIMEOUTS, "L1", "only %u puts are acknowledged",
		   (unsigned) m->values[PUTS]);
	thin_links(w, 0);
	expect_recovery(w);
}

static void report(const struct measured *all, uint64_t n)
{
	report_distribution("election timeouts until the leader answers a read, the worst of each", all, n, READ);
	printf("  %.0f puts a case acknowledged meanwhile; elections: none\n",
		   (double) measured_sum(all, n, PUTS) / (double) n);
}

const struct scenario scenario_lanes = {
	.name = "lanes",
	.shows = "3 or 5 nodes; thin links, full of commands for 30 election timeouts: nobody misses a heartbeat",
	.n_starts = VARIATIONS,
	.start = start,
	.play = play,
	.report = report,
};
