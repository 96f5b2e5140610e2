/*
 * scenario_play.c - the words that scenarios are told in; see scenario.h.
 */
#include "oracle.h"
#include "scenario.h"

/* ---------------------------------------------------------------- a world to play in */

struct sim_config quiet_config(uint32_t n_nodes, uint64_t seed)
{
	struct rng r;

	rng_seed(&r, seed, 7);
	return (struct sim_config){
		.n_nodes = n_nodes,
		.n_clients = SIM_CLIENTS,
		.scripted = true,
		.election_timeout_ms = 500,
		.heartbeat_ms = 50,
		.window_bytes = 64u << 10,
		.unapplied_bytes_max = 64u << 20,
		.segment_bytes = 64u << 10,
		.cache_bytes = 1u << 20,
		.delay_us = (uint32_t) rng_skewed(&r, 100, 20000), /* E1: a round is 100 ms */
		.sync_us = (uint32_t) rng_skewed(&r, 50, 10000),
		.tell_us = rng_chance(&r, 500) ? 0 : 500,
		.send_us = rng_chance(&r, 500) ? 0 : 500,
		.apply_us = 1000,
		.apply_batch = 64,
		.value_bytes = 64,
		.big_value_bytes = 64,
		.think_us = 1000,
		.deadline_ms = 60000,
		.chaos_ms = 1000000000,
		.final = FINAL_WHOLE,
	};
}

struct world *quiet_world(const struct play *play, uint64_t seed, const struct sim_config *config)
{
	struct sim_overrides overrides = {
		.config = config, .scenario = play->scenario->name, .scenario_case = play->next_case};
	struct world *w = world_new(seed, play->trace, &overrides);

	for (uint32_t i = 1; i <= config->n_nodes; i++)
		w->nodes[i].disk.write_back = 0;
	/* F4: a cluster of one forms at its first command. */
	if (config->n_nodes == 1)
	{
		while (w->nodes[1].state != NODE_FORMING)
			world_step(w);
		put(w, 1);
	}
	expect(w, until(w, at_rest, 0, 60), "L1", "a quiet world does not come to rest");
	return w;
}

/* ---------------------------------------------------------------- time */

sim_time timeouts(const struct world *w, uint64_t n)
{
	return n * w->config.election_timeout_ms * SIM_MS;
}

uint64_t timeouts_since(const struct world *w, sim_time then)
{
	return (w->now - then) / w->config.election_timeout_ms;
}

bool until(struct world *w, condition met, uint64_t argument, uint64_t n_timeouts)
{
	sim_time last = w->now + timeouts(w, n_timeouts);

	while (!met(w, argument))
	{
		if (w->now >= last)
			return false;
		world_step(w);
	}
	return true;
}

static bool never(struct world *w, uint64_t unused)
{
	return false;
}

void pass(struct world *w, uint64_t n_timeouts)
{
	until(w, never, 0, n_timeouts);
}

/* ---------------------------------------------------------------- what can be waited for */

uint32_t leader_of(const struct world *w)
{
	return world_leader(w, true);
}

static bool node_rests(const struct world *w, const struct node *n, uint32_t leader)
{
	struct paxos_status status;

	if (n->state != NODE_RUNNING || n->session == 0 || n->n_ring > 0 || n->n_reads > 0 ||
		n->database.table.applied != oracle_chosen(w) || plog_dirty(n->log) || plog_wants_completion(n->log))
		return false;
	paxos_status(n->core, &status);
	return status.leader_id == leader && status.durable_end == oracle_chosen(w) &&
		   status.end == oracle_chosen(w) && !status.damage.damaged;
}

bool at_rest(struct world *w, uint64_t unused)
{
	uint32_t leader;

	/* Cheap things first: this is asked after every event. */
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (w->nodes[i].state != NODE_RUNNING || w->nodes[i].database.table.applied != oracle_chosen(w))
			return false;
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		if (w->clients[i].request != NULL)
			return false;
	leader = leader_of(w);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (leader == 0 || !node_rests(w, &w->nodes[i], leader))
			return false;
	return true;
}

bool answered(struct world *w, uint64_t request_id)
{
	return w->requests[request_id - 1]->state > REQUEST_NUMBERED;
}

bool led_by_another(struct world *w, uint64_t node)
{
	uint32_t leader = leader_of(w);

	return leader != 0 && leader != node;
}

/* ---------------------------------------------------------------- asking and acting */

uint32_t other_than(struct world *w, uint32_t a, uint32_t b)
{
	uint32_t node;

	do
		node = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes);
	while (node == a || node == b);
	return node;
}

uint64_t elections(const struct world *w)
{
	return w->oracle->n_ballots;
}

static uint64_t ask(struct world *w, uint32_t node, enum request_kind kind)
{
	for (uint32_t i = 0; i < SIM_CLIENTS; i++)
		if (w->clients[i].request == NULL)
			return client_ask(w, i, node, kind, (uint32_t) (w->n_requests % SIM_ROWS))->id;
	world_fail(w, "scenario", "no client is free");
}

uint64_t put(struct world *w, uint32_t node)
{
	return ask(w, node, REQUEST_PUT);
}

uint64_t get(struct world *w, uint32_t node)
{
	return ask(w, node, REQUEST_GET);
}

bool is_done(const struct world *w, uint64_t request_id)
{
	return w->requests[request_id - 1]->state == REQUEST_DONE;
}

void put_done(struct world *w, uint32_t node, uint64_t n_timeouts)
{
	uint64_t id = put(w, node);

	expect(w, until(w, answered, id, n_timeouts) && is_done(w, id), "L1",
		   "a put through n%u is not acknowledged within %u election timeouts", node, (unsigned) n_timeouts);
}

void cut(struct world *w, uint32_t a, uint32_t b)
{
	net_cut(w, a, b, true);
	net_cut(w, b, a, true);
}

void isolate(struct world *w, uint32_t node)
{
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (i != node)
			cut(w, node, i);
}

void move_leader(struct world *w)
{
	uint32_t old = leader_of(w);

	isolate(w, old);
	expect(w, until(w, led_by_another, old, 10), "L3", "nobody takes over from n%u", old);
	net_heal_all(w, true);
	expect(w, until(w, at_rest, 0, 20), "L4", "no rest after another leader was elected");
}

struct world *led_world(const struct play *play, uint32_t start, const struct sim_config *config)
{
	struct world *w = quiet_world(play, start, config);

	for (uint32_t i = 0; i < start % 3; i++)
		move_leader(w);
	put_done(w, leader_of(w), 1);
	return w;
}

void keep_off_once_down(struct world *w, uint32_t node)
{
	w->nodes[node].held_down = true;
}

void stop_node(struct world *w, uint32_t node, bool power)
{
	keep_off_once_down(w, node);
	node_die(w, &w->nodes[node], power);
}

void everything_well(struct world *w)
{
	TRACE(&w->trace, "---- everything is well again");
	faults_stop(w);
}

/* Apart from model.c: no later put is older than an acknowledged one. */
static void expect_all_acknowledged(struct world *w)
{
	for (uint64_t i = 0; i < w->n_requests; i++)
	{
		const struct request *r = w->requests[i];

		for (uint32_t n = 1; n <= w->config.n_nodes && r->kind == REQUEST_PUT && r->state == REQUEST_DONE;
			 n++)
		{
			const struct table_row *row = &w->nodes[n].database.table.rows[r->rows[0]];

			expect(w, row->present && row->revision >= r->slot, "S13",
				   "request %u was acknowledged in slot %u, and n%u does not have it", (unsigned) r->id,
				   (unsigned) r->slot, n);
		}
	}
}

void expect_recovery(struct world *w)
{
	expect(w, until(w, at_rest, 0, 30), "L1", "all is well, and the cluster is not at rest");
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		put_done(w, i, 4);
	expect(w, until(w, at_rest, 0, 10), "L4", "the last puts don't reach every table");
	expect_all_acknowledged(w);
}
