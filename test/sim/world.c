/*
 * world.c - virtual time: the event queue, the phases of a run, what a seed draws.
 */
#include "sim.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* A run that needs more events than this never ends. */
#define EVENT_BUDGET 4000000u
#define LONG_CHAOS_MS 60000

/* ---------------------------------------------------------------- failure */

void world_fail(struct world *w, const char *rule, const char *format, ...)
{
	va_list arguments;

	fflush(stdout);
	trace_print_tail(&w->trace, stdout, 60);
	printf("seed %" PRIu64 " failed at %" PRIu64 ".%03" PRIu64 " ms, after %" PRIu64 " seeds, %" PRIu64
		   " events, %" PRIu32 " faults\nbroken: %s: ",
		   w->seed, w->now / 1000, w->now % 1000, w->n_seeds, w->dispatched, w->n_faults, rule);
	va_start(arguments, format);
	vprintf(format, arguments);
	va_end(arguments);
	putchar('\n');
	failure_end(w, rule);
}

/* ---------------------------------------------------------------- event queue: a binary heap */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->sequence < b->sequence;
}

static void push(struct world *w, const struct event *event)
{
	uint32_t i;

	if (w->n_events == w->heap_capacity)
	{
		w->heap_capacity = w->heap_capacity == 0 ? 1024 : w->heap_capacity * 2;
		w->heap = realloc(w->heap, w->heap_capacity * sizeof(*w->heap));
	}
	i = w->n_events++;
	while (i > 0 && before(event, &w->heap[(i - 1) / 2]))
	{
		w->heap[i] = w->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	w->heap[i] = *event;
}

static struct event pop(struct world *w)
{
	struct event first = w->heap[0];
	struct event last = w->heap[--w->n_events];
	uint32_t i = 0;

	for (;;)
	{
		uint32_t child = 2 * i + 1;

		if (child >= w->n_events)
			break;
		if (child + 1 < w->n_events && before(&w->heap[child + 1], &w->heap[child]))
			child++;
		if (!before(&w->heap[child], &last))
			break;
		w->heap[i] = w->heap[child];
		i = child;
	}
	w->heap[i] = last;
	return first;
}

void world_schedule(struct world *w, sim_time delay, struct event event)
{
	event.at = w->now + delay;
	event.sequence = w->next_sequence++;
	push(w, &event);
}

/* ---------------------------------------------------------------- what a seed draws */

static uint32_t draw_n_nodes(struct rng *r)
{
	uint64_t die = rng_below(r, 100);

	if (die < 12)
		return 1;
	if (die < 72)
		return 3;
	return die < 92 ? 5 : 7;
}

/* A few seeds are about one thing that needs more than a fault now and then. */
static void draw_themes(struct rng *r, struct sim_config *c)
{
	if (rng_chance(r, 30) && c->n_nodes <= 5)
	{
		/* A shape of connectivity for minutes. */
		c->chaos_ms = rng_between(r, LONG_CHAOS_MS / 1000, 240) * 1000;
		c->fault_gap_ms = (uint32_t) rng_between(r, 2000, 20000);
		c->fault_weights[FAULT_GRAPH] = 20;
		c->think_us = 400000;
	}
	else if (rng_chance(r, 40))
	{
		/* Old copies of a log come to life among peers that know better (X1). */
		for (int i = 0; i < FAULTS; i++)
			c->fault_weights[i] /= 4;
		c->fault_weights[FAULT_RESTORE] = c->fault_weights[FAULT_CLONE] = 10;
	}
	else if (rng_chance(r, 70))
	{
		/* Only doubtful copies are left (D8): what a sync covers is many sectors, some of which are lost. */
		c->power_storms = true;
		c->fault_gap_ms = c->election_timeout_ms * 4;
		c->fault_weights[FAULT_ALL_LOSE_POWER] = 60;
		c->value_bytes = c->value_bytes < 512 ? 512 : c->value_bytes;
		c->window_bytes = c->window_bytes < 8192 ? 8192 : c->window_bytes;
		c->n_clients = SIM_CLIENTS;
		c->think_us = 10000;
		c->sync_us = c->sync_us < 10000 ? 10000 : c->sync_us;
	}
}

/* Each kind of fault is absent, rare or frequent, so that rare combinations are common somewhere. */
static void draw_faults(struct rng *r, struct sim_config *c)
{
	static const uint32_t weights[] = {0, 0, 1, 4, 10};

	for (size_t i = 0; i <= FAULT_LEADER; i++)
		c->fault_weights[i] = weights[rng_below(r, 5)];
	c->chaos_ms = c->election_timeout_ms * rng_between(r, 8, 40);
	c->fault_gap_ms = rng_chance(r, 50)
						  ? 0
						  : (uint32_t) rng_between(r, c->election_timeout_ms / 4, c->election_timeout_ms * 4);
	c->fault_weights[FAULT_ALL_LOSE_POWER]++;
	/* What can't be undone is for few seeds: the rest of such a one has fewer nodes. */
	for (int i = FAULT_WIPE; i <= FAULT_CLONE; i++)
		c->fault_weights[i] = rng_chance(r, 150) ? 1 + (uint32_t) rng_below(r, 6) : 0;
	c->core_checks_runs = rng_chance(r, 300);
	c->rot_anywhere = rng_chance(r, 80);
	if (c->rot_anywhere)
		c->fault_weights[FAULT_ROT] = 10;
	c->crash_in_call = (uint32_t) rng_below(r, 4) * 250;
	draw_themes(r, c);
	c->final = rng_chance(r, 600) ? FINAL_WHOLE : (enum final_shape) rng_below(r, FINAL_SHAPES);
}

static void draw_times(struct rng *r, struct sim_config *c)
{
	uint32_t round_us;

	c->election_timeout_ms = (uint32_t) rng_between(r, 150, 1000);
	c->heartbeat_ms = c->election_timeout_ms / (uint32_t) rng_between(r, 8, 12);
	round_us = c->election_timeout_ms * 1000 / 5;
	/* E1: a round exceeds the slowest round trip. */
	c->delay_us = (uint32_t) rng_skewed(r, 100, round_us / 4);
	c->sync_us = (uint32_t) rng_skewed(r, 50, 20000);
	c->tell_us = rng_chance(r, 500) ? 0 : (uint32_t) rng_skewed(r, 1, 5000);
	c->send_us = rng_chance(r, 500) ? 0 : (uint32_t) rng_skewed(r, 1, 3000);
	c->apply_us = (uint32_t) rng_skewed(r, 10, 20000);
	c->apply_batch = (uint32_t) rng_skewed(r, 1, 64);
	c->think_us = (uint32_t) rng_skewed(r, 10000, 400000);
	c->deadline_ms = (uint32_t) rng_between(r, c->election_timeout_ms / 2, c->election_timeout_ms * 5);
}

static void draw_config(struct rng *r, struct sim_config *c)
{
	memset(c, 0, sizeof(*c));
	c->n_nodes = draw_n_nodes(r);
	c->n_clients = (uint32_t) rng_between(r, 1, SIM_CLIENTS);
	draw_times(r, c);
	c->priorities = rng_chance(r, 300);
	c->window_bytes = 512u << rng_below(r, 8);
	/* A6: above the sum of all windows, in which one command of any size may always be in flight. */
	c->segment_bytes = (64u << 10) << rng_below(r, 3);
	c->cache_bytes = rng_chance(r, 300) ? 1024 : 1u << 20;
	c->min_free_segments = rng_below(r, 3);
	c->lossy = rng_chance(r, 400);
	if (c->lossy)
	{
		c->drop = rng_chance(r, 300) ? 0 : (uint32_t) rng_skewed(r, 1, 200);
		if (rng_chance(r, 100))
			c->drop = 500;
		c->duplicate = rng_chance(r, 300) ? 0 : (uint32_t) rng_skewed(r, 1, 200);
		c->late = rng_chance(r, 300) ? 0 : (uint32_t) rng_skewed(r, 1, 100);
	}
	c->value_bytes = 8u << rng_below(r, 8);
	c->big_value_bytes = rng_chance(r, 800) ? c->value_bytes : (uint32_t) rng_between(r, 4096, 80000);
	c->tight_apply = rng_chance(r, 100);
	c->read_share = (uint32_t) rng_below(r, 700);
	c->id_share = rng_chance(r, 400) ? (uint32_t) rng_below(r, 500) : 0;
	c->condition_share = rng_chance(r, 500) ? (uint32_t) rng_below(r, 500) : 0;
	c->ids_kept = (uint32_t) rng_skewed(r, 2, SIM_IDS);
	c->closed_kept = (uint32_t) rng_between(r, 1, SIM_CLOSED);
	draw_faults(r, c);
	c->unapplied_bytes_max =
		(c->window_bytes + (SIM_BATCH_KEYS + 1) * (uint64_t) c->big_value_bytes) * (c->n_nodes + 2);
	if (!c->tight_apply)
		c->unapplied_bytes_max *= 64;
}

/* The cluster forms under wipes (F2 to F4).  A stream of its own: the other seeds stay what they were. */
static void draw_early_faults(uint64_t seed, struct sim_config *c)
{
	struct rng r;

	rng_seed(&r, seed, 3);
	if (!rng_chance(&r, 30) || c->fault_gap_ms == 0)
		return;
	c->early_faults = true;
	c->fault_weights[FAULT_WIPE] = 20;
}

/*
 * How much of its log a node keeps, and what becomes of databases and of snapshots: the same for a seed's other draws,
 * whatever is drawn here.
 */
static void draw_trimming(uint64_t seed, struct sim_config *c)
{
	static const uint32_t weights[] = {0, 0, 1, 4};
	struct rng r;

	rng_seed(&r, seed, 4);
	c->chunk_rows = (uint32_t) rng_skewed(&r, 1, SIM_ROWS);
	c->spoiled_chunks = rng_chance(&r, 300) ? (uint32_t) rng_between(&r, 1, 50) : 0;
	c->snapshot_faults = 40 * (uint32_t) rng_below(&r, 4);
	c->fault_weights[FAULT_DATABASE] = weights[rng_below(&r, 4)];
	if (c->rot_anywhere || c->n_nodes < 3)
		c->fault_weights[FAULT_DATABASE] = 0;
	if (rng_chance(&r, 450))
		return;
	c->trim_us = (uint32_t) rng_skewed(&r, 1000, 500000);
	/* Where chaos lasts for minutes, trims many times a millisecond would be most of what a run may take. */
	if (c->chaos_ms >= LONG_CHAOS_MS && c->trim_us < c->chaos_ms / 20)
		c->trim_us = (uint32_t) (c->chaos_ms / 20);
	c->retain_slots = rng_chance(&r, 700);
	c->retention_slots = rng_chance(&r, 300) ? 0 : rng_skewed(&r, 0, 400);
	c->segment_bytes = (32u << 10) << rng_below(&r, 3);
	c->retention_bytes = c->segment_bytes * rng_below(&r, 4);
	c->trim_files_max = (uint32_t) rng_below(&r, 3);
}

static void override_config(struct sim_config *c, const struct sim_overrides *o)
{
	if (o->config != NULL)
		*c = *o->config;
	if (o->n_clients > 0 && o->n_clients < c->n_clients)
		c->n_clients = o->n_clients;
	if (o->chaos_ms > 0 && o->chaos_ms < c->chaos_ms)
		c->chaos_ms = o->chaos_ms;
	if (o->not_lossy)
	{
		c->lossy = false;
		c->drop = c->duplicate = c->late = 0;
	}
	if (o->final_whole)
		c->final = FINAL_WHOLE;
	if (o->no_delays)
		c->tell_us = c->send_us = c->apply_us = 0;
}

static void trace_config(struct world *w)
{
	const struct sim_config *c = &w->config;

	TRACE(&w->trace, "world: %u nodes, %u clients, election timeout %u ms, delay %u us, sync %u us, lossy %u",
		  c->n_nodes, c->n_clients, c->election_timeout_ms, c->delay_us, c->sync_us, c->lossy);
	TRACE(&w->trace, "world: window %u, segment %u, cache %u, values %u / %u, chaos %u ms, final shape %u",
		  c->window_bytes, c->segment_bytes, c->cache_bytes, c->value_bytes, c->big_value_bytes, c->chaos_ms,
		  c->final);
	TRACE(&w->trace, "world: trims every %u us, by slots %u, keeps %u slots or %u bytes", c->trim_us,
		  c->retain_slots, c->retention_slots, c->retention_bytes);
}

/* ---------------------------------------------------------------- making and freeing */

struct world *world_new(uint64_t seed, bool print_trace, const struct sim_overrides *overrides)
{
	struct world *w = calloc(1, sizeof(*w));

	w->seed = seed;
	trace_init(&w->trace, print_trace);
	rng_seed(&w->rng, seed, 1);
	draw_config(&w->rng, &w->config);
	draw_early_faults(seed, &w->config);
	draw_trimming(seed, &w->config);
	if (overrides != NULL)
		w->overrides = *overrides;
	override_config(&w->config, &w->overrides);
	w->draws = seed + ((uint64_t) w->overrides.variant << 40);
	if (w->overrides.variant > 0)
		rng_seed(&w->rng, w->draws, 1);
	trace_config(w);
	w->oracle = oracle_new(w);
	w->n_machines = w->config.n_nodes;
	net_init(w);
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		node_init(w, i);
	for (uint32_t i = 0; i < w->config.n_clients; i++)
		client_init(w, i);
	faults_init(w);
	world_enter_phase(w, PHASE_CHAOS);
	return w;
}

void world_free(struct world *w)
{
	for (uint32_t i = 0; i < w->n_events; i++)
		if (w->heap[i].kind == EVENT_DELIVER)
			net_free_packet(w->heap[i].data);
		else if (w->heap[i].kind == EVENT_HANDSHAKE)
			free(w->heap[i].data);
	for (uint32_t i = 1; i <= w->n_machines; i++)
		node_free(w, &w->nodes[i]);
	copies_free(w);
	for (uint64_t i = 0; i < w->n_requests; i++)
	{
		free(w->requests[i]->bytes);
		free(w->requests[i]->kept);
		free(w->requests[i]);
	}
	oracle_free(w->oracle);
	free(w->requests);
	free(w->intents);
	free(w->heap);
	free(w);
}

/* ---------------------------------------------------------------- phases */

static const char *const phase_names[] = {
	"", "chaos", "faults stop but for the final shape", "healed", "steady", "converge", "end"};

static sim_time phase_length(const struct world *w)
{
	sim_time timeout = w->config.election_timeout_ms * SIM_MS;

	switch (w->phase)
	{
		case PHASE_CHAOS:
			return w->config.chaos_ms * SIM_MS;
		case PHASE_PARTIAL:
			return w->config.final == FINAL_WHOLE ? 0 : 12 * timeout + 3000 * SIM_MS;
		case PHASE_HEALED:
			return 12 * timeout + 3000 * SIM_MS;
		case PHASE_STEADY:
			return 6 * timeout + 1000 * SIM_MS;
		case PHASE_CONVERGE:
			return 6 * timeout + w->config.deadline_ms * SIM_MS + 2000 * SIM_MS;
		case PHASE_END:
			break;
	}
	return 0;
}

void world_enter_phase(struct world *w, enum phase phase)
{
	w->phase = phase;
	w->phase_began = w->disturbed_at = w->now;
	TRACE(&w->trace, "---- phase: %s", TRACE_STRING(phase_names[phase]));
	for (uint32_t i = 0; i < w->config.n_clients; i++)
		w->clients[i].ok_in_phase = 0;
	if (phase == PHASE_PARTIAL)
	{
		faults_stop(w);
		faults_final_shape(w);
	}
	if (phase == PHASE_HEALED)
		faults_stop(w);
	if ((phase == PHASE_PARTIAL && w->config.final != FINAL_WHOLE) || phase == PHASE_HEALED)
		world_schedule(w, w->config.election_timeout_ms * SIM_MS / 5, (struct event){.kind = EVENT_WATCH});
	if (phase == PHASE_CONVERGE)
		world_schedule(w, phase_length(w) / 2, (struct event){.kind = EVENT_WATCH});
	if (phase == PHASE_END)
		w->finished = true;
	else
		world_schedule(w, phase_length(w), (struct event){.kind = EVENT_PHASE});
}

uint32_t world_quorum(const struct world *w)
{
	return w->config.n_nodes / 2 + 1;
}

uint32_t world_leader(const struct world *w, bool ready)
{
	struct paxos_ballot best = {0, 0, 0};

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		struct paxos_status status;

		if (w->nodes[i].state != NODE_RUNNING)
			continue;
		paxos_status(w->nodes[i].core, &status);
		if (status.role == PAXOS_LEADER && (!ready || (status.leader_id == i && status.quorum)) &&
			paxos_ballot_compare(status.ballot, best) > 0)
			best = status.ballot;
	}
	return best.node_id;
}

bool world_lost(const struct world *w, uint32_t node)
{
	const struct node *n = &w->nodes[node];
	const struct paxos_id *store_id;

	if (n->state == NODE_BROKEN || n->fenced || n->copy)
		return true;
	if (!w->formed || !n->wiped)
		return false;
	store_id = &w->members.members[config_find(&w->members, n->node_id)].store_id;
	return memcmp(store_id, &n->log_state.store_id, sizeof(*store_id)) != 0;
}

uint32_t world_n_lost(const struct world *w)
{
	uint32_t lost = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		lost += world_lost(w, i);
	return lost;
}

/* ---------------------------------------------------------------- running */

static void dispatch(struct world *w, const struct event *event)
{
	switch (event->kind)
	{
		case EVENT_DELIVER:
			net_deliver(w, event->data);
			break;
		case EVENT_HANDSHAKE:
			net_handshake(w, event->data);
			break;
		case EVENT_WATCH:
			liveness_watch(w);
			break;
		case EVENT_ADMIN:
			copies_admin(w);
			break;
		case EVENT_CONNECT:
			net_try_connect(w, (uint32_t) event->a, (uint32_t) event->b);
			break;
		case EVENT_LOSE:
			net_lose(w, event->node, (uint32_t) event->a, event->b, event->c != 0);
			break;
		case EVENT_CLIENT:
			client_event(w, (uint32_t) event->a);
			break;
		case EVENT_DEADLINE:
			client_deadline(w, w->requests[event->a - 1]);
			break;
		case EVENT_FAULT:
			faults_next(w, (uint32_t) event->a);
			break;
		case EVENT_SOURCE_DIES:
			faults_source_dies(w, (uint32_t) event->a);
			break;
		case EVENT_HEAL_LINK:
			if (w->phase == PHASE_CHAOS)
				net_cut(w, (uint32_t) event->a, (uint32_t) event->b, false);
			break;
		case EVENT_HEAL_ALL:
			if (w->phase == PHASE_CHAOS) /* else it did when faults stopped, and a final shape stays */
				net_heal_all(w, false);
			break;
		case EVENT_FLAP:
			if (w->phase == PHASE_CHAOS)
				net_flap_event(w, (uint32_t) event->a, (uint32_t) event->b, event->c != 0);
			break;
		case EVENT_PHASE:
			liveness_phase_ends(w);
			world_enter_phase(w, w->phase + 1);
			break;
		default:
			node_event(w, &w->nodes[event->node], event);
	}
}

/* A frozen process takes no part; what is meant for it waits, in order. */
static bool postponed(struct world *w, const struct event *event)
{
	struct event later = *event;
	const struct node *n;

	if (event->node == 0)
		return false;
	n = &w->nodes[event->node];
	if (n->frozen_until <= w->now)
		return false;
	later.at = n->frozen_until;
	push(w, &later);
	return true;
}

void world_step(struct world *w)
{
	struct event event;

	if (w->n_events == 0)
		world_fail(w, "world", "nothing will ever happen again");
	event = pop(w);
	w->now = event.at;
	w->trace.now_us = w->now;
	if (postponed(w, &event))
		return;
	if (++w->dispatched > EVENT_BUDGET)
		world_fail(w, "watchdog", "the run takes more than %u events", EVENT_BUDGET);
	if (event.life != 0 && event.life != w->nodes[event.node].life)
		return;
	dispatch(w, &event);
}

void world_run(struct world *w)
{
	while (!w->finished)
		world_step(w);
	TRACE(&w->trace, "end: %u events, %u messages, %u requests", w->dispatched, w->network.sent,
		  w->n_requests);
}
