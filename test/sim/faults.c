/*
 * faults.c - what goes wrong, and when: each seed weighs the kinds for itself.
 *
 * Faults are numbered in order of time.  Each draws its gap, kind, target and parameters from a generator of
 * its own, so that leaving one out (struct sim_overrides) leaves the others as they were.
 */
#include "sim.h"

/* Streams of the seed: one a fault, and one for the final shape. */
#define STREAM_FAULTS 1000000
#define STREAM_FINAL 999999
/* So many strike while the cluster forms, where a seed says so. */
#define EARLY_FAULTS 12

/* ---------------------------------------------------------------- small things */

static sim_time duration(struct world *w, uint32_t timeouts)
{
	return rng_skewed(&w->fault_rng, 10 * SIM_MS, timeouts * w->config.election_timeout_ms * SIM_MS);
}

static bool is_up(const struct node *n)
{
	return n->state == NODE_FORMING || n->state == NODE_RUNNING;
}

static void crash(struct world *w, struct node *n, bool power)
{
	if (!is_up(n))
		return;
	if (power && rng_chance(&w->fault_rng, w->config.crash_in_call))
	{
		if (rng_chance(&w->fault_rng, 500))
			n->disk.crash_at_sync = rng_between(&w->fault_rng, 1, 6);
		else
			n->disk.crash_in = rng_between(&w->fault_rng, 1, 40);
	}
	else
		node_die(w, n, power);
}

/* ---------------------------------------------------------------- the network */

static void cut_both(struct world *w, uint32_t a, uint32_t b)
{
	net_cut(w, a, b, true);
	net_cut(w, b, a, true);
}

static void partition(struct world *w, uint32_t group)
{
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->config.n_nodes; b++)
			if (((group >> a) & 1) != ((group >> b) & 1))
				cut_both(w, a, b);
	world_schedule(w, duration(w, 12), (struct event){.kind = EVENT_HEAL_ALL});
}

static void one_way(struct world *w, uint32_t node)
{
	uint32_t peer = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes);
	bool out = rng_chance(&w->fault_rng, 500);
	uint32_t from = out ? node : peer;
	uint32_t to = out ? peer : node;

	if (peer == node)
		return;
	net_cut(w, from, to, true);
	world_schedule(w, duration(w, 12), (struct event){.kind = EVENT_HEAL_LINK, .a = from, .b = to});
}

/* All that comes to a node, or all that leaves it, is late; most often what was sent is answered too late. */
static void slow_links(struct world *w, uint32_t node)
{
	uint32_t slow_us = (uint32_t) rng_between(&w->fault_rng, w->config.election_timeout_ms * SIM_MS / 10,
											  w->config.election_timeout_ms * SIM_MS * 3 / 2);
	bool incoming = rng_chance(&w->fault_rng, 750);

	TRACE(&w->trace, "net links %s n%u are slow by %u us", TRACE_STRING(incoming ? "to" : "from"), node,
		  slow_us);
	for (uint32_t peer = 1; peer <= w->config.n_nodes; peer++)
		if (peer != node)
			w->network.directions[incoming ? peer : node][incoming ? node : peer].slow_us = slow_us;
	world_schedule(w, duration(w, 12), (struct event){.kind = EVENT_HEAL_ALL});
}

/* Each direction of each link is there or not, and stays so, whatever else heals. */
static void random_graph(struct world *w)
{
	sim_time left = w->config.chaos_ms * SIM_MS;
	uint32_t cut = (uint32_t) rng_between(&w->fault_rng, 100, 600);
	sim_time until = w->now + rng_skewed(&w->fault_rng, w->config.election_timeout_ms * SIM_MS, left);

	TRACE(&w->trace, "net a random graph until %u us", until);
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = 1; b <= w->config.n_nodes; b++)
			if (a != b && rng_chance(&w->fault_rng, cut))
				net_hold_cut(w, a, b, until);
	world_schedule(w, until - w->now, (struct event){.kind = EVENT_HEAL_ALL});
}

/* Every few milliseconds to a few rounds. */
static void flap(struct world *w, uint32_t node)
{
	sim_time timeout = w->config.election_timeout_ms * SIM_MS;
	sim_time every = rng_skewed(&w->fault_rng, 3 * SIM_MS, timeout);
	sim_time until = w->now + rng_between(&w->fault_rng, timeout, 30 * timeout);
	uint32_t peer = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes);
	bool out = rng_chance(&w->fault_rng, 500);

	if (peer != node)
		net_flap(w, out ? node : peer, out ? peer : node, rng_chance(&w->fault_rng, 500), every, until);
}

/* Only links with the hub stay; "apart" loses those too. */
static void star(struct world *w, uint32_t hub, uint32_t apart)
{
	for (uint32_t a = 1; a <= w->config.n_nodes; a++)
		for (uint32_t b = a + 1; b <= w->config.n_nodes; b++)
			if ((a != hub && b != hub) || a == apart || b == apart)
				cut_both(w, a, b);
}

static uint32_t other_than(struct world *w, uint32_t node)
{
	uint32_t other = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes - 1);

	return other >= node ? other + 1 : other;
}

/* Partial connectivity, as the Omni-Paxos paper names it. */
static void shape(struct world *w, enum final_shape which)
{
	uint32_t node = world_leader(w, false);

	if (node == 0)
		node = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes);
	if (w->config.n_nodes < 3)
		return;
	TRACE(&w->trace, "---- partial connectivity, shape %u around n%u", which, node);
	if (which == FINAL_QUORUM_LOSS)
		star(w, other_than(w, node), 0);
	else if (which == FINAL_CONSTRAINED && w->config.n_nodes >= 5)
		star(w, other_than(w, node), node);
	else
		cut_both(w, node, other_than(w, node));
}

/* ---------------------------------------------------------------- single nodes */

static void freeze(struct world *w, struct node *n)
{
	sim_time last = w->phase_began + (w->config.chaos_ms + 4 * w->config.election_timeout_ms) * SIM_MS;

	if (n->frozen_until > w->now)
		return;
	/* Now and then so long that everybody has gone on without it. */
	n->frozen_until = w->now + duration(w, rng_chance(&w->fault_rng, 250) ? 30 : 4);
	/* Faults stop some time, this one soon after. */
	if (n->frozen_until > last)
		n->frozen_until = last;
	TRACE(&w->trace, "n%u freezes until %u us", n->id, n->frozen_until);
}

static void slow_disk(struct world *w, struct node *n)
{
	n->slow_disk = duration(w, 3);
	TRACE(&w->trace, "n%u disk is slow: %u us more a sync", n->id, n->slow_disk);
	world_schedule(w, duration(w, 8), (struct event){.kind = EVENT_UNSTALL, .node = n->id});
}

static void fill_disk(struct world *w, struct node *n)
{
	n->disk.full = true;
	TRACE(&w->trace, "n%u disk is full", n->id);
	world_schedule(w, duration(w, 8), (struct event){.kind = EVENT_FULL_ENDS, .node = n->id});
}

/* Its log or its table is not, or will not be, what it was. */
static bool is_impaired(const struct world *w, uint32_t node)
{
	const struct node *n = &w->nodes[node];

	return ((w->rotten >> node) & 1) != 0 || world_lost(w, node) || (n->wiped && !w->formed) ||
		   n->database.diverged || n->database.flushed.applied < n->database.lost_through;
}

uint32_t faults_impaired(const struct world *w, const struct node *n)
{
	uint32_t count = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		count += i != n->id && is_impaired(w, i);
	return count;
}

/*
 * None before the cluster has formed (F2), and mostly at most a minority at a time, which D7 survives.  Where
 * more rots, the cluster may have to stop, and still must not lose anything in silence.
 */
static void rot(struct world *w, struct node *n)
{
	uint32_t most = w->config.rot_anywhere ? w->config.n_nodes : (w->config.n_nodes - 1) / 2;

	if (n->config.n_members == 0 || world_lost(w, n->id) || (w->rotten & (1u << n->id)) != 0 ||
		faults_impaired(w, n) >= most)
		return;
	if (w->config.rot_anywhere)
		node_settle(w, n);
	/* What rots within 50 ms of its sync looks torn (D5): a majority may lose only older records. */
	if (w->config.rot_anywhere &&
		(n->state != NODE_RUNNING || plog_dirty(n->log) || plog_wants_completion(n->log)))
		return;
	if (is_up(n))
		node_die(w, n, rng_chance(&w->fault_rng, 500));
	if (disk_rot(&n->disk, &w->fault_rng))
		w->rotten |= 1u << n->id;
}

/* At most a minority of the logs that there were, or all but one where the cluster may have to stop. */
static void wipe(struct world *w, struct node *n)
{
	uint32_t most = w->config.rot_anywhere ? w->config.n_nodes - 1 : (w->config.n_nodes - 1) / 2;
	bool database_too = rng_chance(&w->fault_rng, 700);

	if (faults_impaired(w, n) < most && !n->copy && !n->fenced && n->state != NODE_BROKEN)
		copies_wipe(w, n, database_too);
}

/*
 * T2, T5: what a log dropped is in tables alone, and that it was chosen is known only where it was applied.  Without a
 * table that holds it nobody can go on where this log begins, though the entries may still be in logs.  A majority is
 * known to have applied it; but a power loss may take back what is not flushed, and a log that outgrows damage does not
 * wait for a majority.  So as many others as a minority is must hold it durably and be unimpaired: this node counts as
 * impaired until it has such a table again, and no fault makes it more than a minority, so at any moment until then one
 * of them is left.
 */
static bool tables_hold_what_log_dropped(const struct world *w, const struct node *n)
{
	uint32_t holders = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		holders +=
			i != n->id && !is_impaired(w, i) && w->nodes[i].database.flushed.applied + 1 >= n->first_slot;
	return holders >= (w->config.n_nodes - 1) / 2;
}

/*
 * Recreated empty, restored from an older backup, or changed, beside the log as it is: at most a minority at a time,
 * and none that was the only one.
 */
static void lose_database(struct world *w, struct node *n)
{
	bool all = rng_chance(&w->fault_rng, 400);
	bool one_row = rng_chance(&w->fault_rng, 300);

	if (w->config.rot_anywhere || n->config.n_members == 0 || world_lost(w, n->id) || n->copy ||
		(w->rotten & (1u << n->id)) != 0 || faults_impaired(w, n) >= (w->config.n_nodes - 1) / 2 ||
		!is_up(n) || !tables_hold_what_log_dropped(w, n))
		return;
	if (one_row && n->state == NODE_RUNNING && snapshot_next_step(n) == STEP_NONE)
		database_diverge(w, n);
	else if (!one_row)
		database_lose(w, n, all);
}

/* On several nodes at once, all down together. */
static void rot_everywhere(struct world *w)
{
	sim_time off = w->now + duration(w, 4);

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		if (rng_chance(&w->fault_rng, 600))
		{
			rot(w, &w->nodes[i]);
			w->nodes[i].down_until = off;
		}
}

static void bits_flip(struct world *w, struct node *n)
{
	if (w->config.rot_anywhere)
		rot_everywhere(w);
	else
		rot(w, n);
}

static void stall_apply(struct world *w, struct node *n)
{
	n->apply_stalled = true;
	TRACE(&w->trace, "n%u apply stalls", n->id);
	world_schedule(w, duration(w, 10), (struct event){.kind = EVENT_UNSTALL, .node = n->id});
}

/* The monotonic clock forward by up to hours (a machine that slept), the wall clock both ways by an hour. */
static void clock_jumps(struct world *w, struct node *n)
{
	uint64_t ms = rng_skewed(&w->fault_rng, 1, rng_chance(&w->fault_rng, 500) ? 5000 : 4 * 3600 * 1000);
	int64_t wall_us = (int64_t) rng_below(&w->fault_rng, 7200000000) - 3600000000;

	if (rng_chance(&w->fault_rng, 400))
	{
		TRACE(&w->trace, "n%u wall clock jumps, +%u us", n->id, (uint64_t) wall_us);
		n->wall_offset_us = wall_us;
		return;
	}
	TRACE(&w->trace, "n%u clock jumps %u ms ahead", n->id, ms);
	node_clock_jumps(w, n, ms);
}

/* All go down before one comes back; most of them in the middle of what their disks were doing. */
static void lose_power_everywhere(struct world *w)
{
	sim_time off = w->now + duration(w, 6);

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		struct node *n = &w->nodes[i];

		n->down_until = off;
		if (is_up(n) && rng_chance(&w->fault_rng, w->config.power_storms ? 950 : 800))
			n->disk.crash_at_sync = rng_between(&w->fault_rng, 1, 2);
		else if (is_up(n))
			node_die(w, n, true);
	}
}

/* ---------------------------------------------------------------- one fault */

static const char *const fault_names[FAULTS] = {"power loss",
												"process dies",
												"all lose power",
												"partition",
												"isolation",
												"one-way link",
												"reset",
												"slow network",
												"freeze",
												"slow disk",
												"disk full",
												"write or sync fails",
												"bits flip",
												"apply stalls",
												"partial shape",
												"slow links",
												"a clock jumps",
												"flapping link",
												"random graph",
												"wiped",
												"restored",
												"cloned",
												"one at the leader",
												"database lost"};

static void slow_network(struct world *w)
{
	w->network.slow_us = (uint32_t) duration(w, 1);
	world_schedule(w, duration(w, 6), (struct event){.kind = EVENT_HEAL_ALL});
}

/* What no restart mends. */
static void inflict_on_store(struct world *w, enum fault fault, struct node *n)
{
	if (fault == FAULT_WIPE)
		wipe(w, n);
	else if (fault == FAULT_DATABASE)
		lose_database(w, n);
	else if (fault == FAULT_RESTORE)
		copies_restore(w, n);
	else
		copies_clone(w, n);
}

static void inflict(struct world *w, enum fault fault, struct node *n)
{
	switch (fault)
	{
		case FAULT_POWER_LOSS:
			crash(w, n, true);
			break;
		case FAULT_PROCESS_DIES:
			crash(w, n, false);
			break;
		case FAULT_ALL_LOSE_POWER:
			lose_power_everywhere(w);
			break;
		case FAULT_PARTITION:
			partition(w, (uint32_t) rng_below(&w->fault_rng, 2u << w->config.n_nodes));
			break;
		case FAULT_ISOLATE:
			partition(w, 1u << n->id);
			break;
		case FAULT_ONE_WAY:
			one_way(w, n->id);
			break;
		case FAULT_RESET:
			if (w->config.n_nodes > 1)
				net_reset_pair(w, n->id, other_than(w, n->id));
			break;
		case FAULT_SLOW_NETWORK:
			slow_network(w);
			break;
		case FAULT_FREEZE:
			freeze(w, n);
			break;
		case FAULT_SLOW_DISK:
			slow_disk(w, n);
			break;
		case FAULT_DISK_FULL:
			fill_disk(w, n);
			break;
		case FAULT_IO_ERROR:
			n->disk.fail_in = rng_between(&w->fault_rng, 1, 20);
			break;
		case FAULT_ROT:
			bits_flip(w, n);
			break;
		case FAULT_SLOW_LINKS:
			slow_links(w, n->id);
			break;
		case FAULT_APPLY_STALLS:
			stall_apply(w, n);
			break;
		case FAULT_CLOCK:
			clock_jumps(w, n);
			break;
		case FAULT_FLAPPING:
			flap(w, n->id);
			break;
		case FAULT_GRAPH:
			random_graph(w);
			break;
		case FAULT_WIPE:
		case FAULT_RESTORE:
		case FAULT_CLONE:
		case FAULT_DATABASE:
			inflict_on_store(w, fault, n);
			break;
		default:
			shape(w, (enum final_shape) rng_between(&w->fault_rng, FINAL_QUORUM_LOSS, FINAL_CHAINED));
			world_schedule(w, duration(w, 12), (struct event){.kind = EVENT_HEAL_ALL});
	}
}

static enum fault draw_fault(struct world *w)
{
	uint32_t total = 0;
	uint64_t die;

	for (uint32_t i = 0; i < FAULTS; i++)
		total += w->config.fault_weights[i];
	if (total == 0)
		return FAULT_POWER_LOSS;
	die = rng_below(&w->fault_rng, total);
	for (uint32_t i = 0; i < FAULTS; i++)
	{
		if (die < w->config.fault_weights[i])
			return (enum fault) i;
		die -= w->config.fault_weights[i];
	}
	return FAULT_POWER_LOSS;
}

/* Which fault, and whom it strikes. */
static enum fault draw_target(struct world *w, uint32_t *node)
{
	static const enum fault at_leader[] = {FAULT_POWER_LOSS, FAULT_PROCESS_DIES, FAULT_ISOLATE,
										   FAULT_ONE_WAY,    FAULT_FREEZE,       FAULT_SLOW_DISK,
										   FAULT_SLOW_LINKS};
	enum fault fault = draw_fault(w);

	*node = 1 + (uint32_t) rng_below(&w->fault_rng, w->config.n_nodes);
	if (fault == FAULT_LEADER)
	{
		fault = at_leader[rng_below(&w->fault_rng, sizeof(at_leader) / sizeof(at_leader[0]))];
		*node = world_leader(w, false) != 0 ? world_leader(w, false) : *node;
	}
	return fault;
}

static bool left_out(const struct world *w, uint32_t index)
{
	const struct sim_overrides *o = &w->overrides;

	for (uint32_t i = 0; i < o->n_left_out; i++)
		if (o->left_out[i] == index)
			return true;
	return o->limit_faults && index >= o->max_faults;
}

/* The gap before a fault is its own, too: what comes later keeps its time when an earlier one is left out. */
static void schedule_fault(struct world *w, uint32_t index)
{
	uint64_t most = index == 0 ? 4 * w->config.election_timeout_ms : w->config.fault_gap_ms;

	if (w->config.early_faults && index < EARLY_FAULTS)
		most = 40;

	rng_seed(&w->fault_rng, w->seed, STREAM_FAULTS + index);
	world_schedule(w, rng_between(&w->fault_rng, SIM_MS, most * SIM_MS),
				   (struct event){.kind = EVENT_FAULT, .a = index});
}

void faults_next(struct world *w, uint32_t index)
{
	uint32_t node;
	enum fault fault;

	if (w->phase != PHASE_CHAOS)
		return;
	rng_seed(&w->fault_rng, w->seed, STREAM_FAULTS + index);
	rng_next(&w->fault_rng); /* the gap */
	fault = draw_target(w, &node);
	w->n_faults = index + 1;
	TRACE(&w->trace, "---- fault %u: %s, n%u%s", index, TRACE_STRING(fault_names[fault]), node,
		  TRACE_STRING(left_out(w, index) ? " (left out)" : ""));
	if (!left_out(w, index))
		inflict(w, fault, &w->nodes[node]);
	schedule_fault(w, index + 1);
}

void faults_init(struct world *w)
{
	if (w->config.fault_gap_ms > 0)
		schedule_fault(w, 0);
	rng_seed(&w->fault_rng, w->seed, STREAM_FINAL);
}

/* ---------------------------------------------------------------- the end of faults */

/* Frozen nodes wake when their time comes: what waits for them must stay in order. */
void faults_stop(struct world *w)
{
	w->kill_source = false;
	copies_end(w);
	if (!w->formed)
		world_schedule(w, 500 * SIM_MS, (struct event){.kind = EVENT_ADMIN});
	net_heal_all(w, true);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		struct node *n = &w->nodes[i];

		n->disk.full = false;
		n->disk.crash_in = 0;
		n->disk.crash_at_sync = 0;
		n->disk.fail_in = 0;
		n->held_down = false;
		n->down_until = 0;
		n->slow_disk = 0;
		n->apply_stalled = false;
		if (n->state == NODE_DOWN)
			world_schedule(w, rng_below(&w->fault_rng, 50 * SIM_MS),
						   (struct event){.kind = EVENT_START, .node = i});
		else if (n->state == NODE_RUNNING)
			apply_schedule(w, n);
	}
}

static void hold_down(struct world *w, struct node *n)
{
	n->held_down = true;
	if (is_up(n))
		node_die(w, n, true);
}

/* Of three nodes the leader only freezes for a while, since a second one is to die. */
static void leader_goes(struct world *w)
{
	struct node *n = &w->nodes[world_leader(w, false)];

	if (n->id == 0 || w->config.n_nodes < 3)
		return;
	w->kill_source = true;
	if (w->config.n_nodes > 3)
		hold_down(w, n);
	else if (n->frozen_until <= w->now)
		n->frozen_until = w->now + 3 * w->config.election_timeout_ms * SIM_MS;
}

void faults_pulled(struct world *w, uint32_t source)
{
	if (!w->kill_source)
		return;
	w->kill_source = false;
	world_schedule(w, rng_skewed(&w->fault_rng, 0, 2 * w->config.delay_us),
				   (struct event){.kind = EVENT_SOURCE_DIES, .a = source});
}

void faults_source_dies(struct world *w, uint32_t source)
{
	if (w->phase == PHASE_PARTIAL)
		hold_down(w, &w->nodes[source]);
}

void faults_final_shape(struct world *w)
{
	uint32_t minority = (w->config.n_nodes - 1) / 2;

	rng_seed(&w->fault_rng, w->seed, STREAM_FINAL);
	if (w->config.final == FINAL_WHOLE)
		return;
	if (w->config.final == FINAL_SOURCE_DIES)
	{
		leader_goes(w);
		return;
	}
	if (w->config.final != FINAL_MINORITY)
	{
		shape(w, w->config.final);
		return;
	}
	for (uint32_t i = 1; i <= minority; i++)
		hold_down(w, &w->nodes[i]);
}
