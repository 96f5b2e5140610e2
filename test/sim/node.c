/*
 * node.c - one node's worker: hosts the real core and the real log as the PostgreSQL worker does.
 *
 * Every input to the core is followed by handing its writes to the log; syncs come later, and the core
 * hears of them later still.  When a call of the log fails, or the machine dies inside a file call, the
 * life ends as soon as that call is left (n->dying), and nothing more leaves the node.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define LOG_DIRECTORY "/data/log"
/* One of each kind to each peer, and a window full of the smallest entries. */
#define MESSAGES_A_PULL 10000

/* ---------------------------------------------------------------- small things */

uint64_t node_clock_ms(const struct world *w, const struct node *n)
{
	return (uint64_t) ((int64_t) (w->now * n->clock_rate / 1000 / SIM_MS) + n->clock_offset_ms);
}

int64_t node_wall_clock_us(const struct world *w, const struct node *n)
{
	return 1700000000000000 + (int64_t) w->now + n->wall_offset_us;
}

/* The machine was suspended, or whoever set the clock was wrong; it ticks at once. */
void node_clock_jumps(struct world *w, struct node *n, uint64_t ms)
{
	n->clock_offset_ms += (int64_t) ms;
	if (n->state != NODE_RUNNING)
		return;
	n->tick_at = w->now;
	world_schedule(w, 0, (struct event){.kind = EVENT_TICK, .node = n->id, .life = n->life, .a = w->now});
}

/* Whatever the code still does in this life, nobody sees it. */
static bool ended(const struct node *n)
{
	return n->dying || n->disk.dead;
}

static void schedule(struct world *w, struct node *n, enum event_kind kind, sim_time delay, uint64_t a)
{
	world_schedule(w, delay, (struct event){.kind = kind, .node = n->id, .life = n->life, .a = a});
}

void node_log_failed(struct world *w, struct node *n, enum plog_code code, const struct plog_error *error)
{
	if (!n->disk.dead && !n->disk.failed && (w->rotten & (1u << n->id)) == 0)
		world_fail(w, "log", "n%u: code %u with nothing wrong: %s", n->id, code, error->message);
	n->dying = true;
}

static void bury(struct world *w, struct node *n);

static struct plog_options log_options(const struct world *w)
{
	return (struct plog_options){.segment_bytes = w->config.segment_bytes,
								 .cache_bytes = w->config.cache_bytes,
								 .min_free_segments = w->config.min_free_segments,
								 .trim_files_max = w->config.trim_files_max};
}

/* ---------------------------------------------------------------- the core's host */

/* The handlers have no world in their context; one world runs at a time. */
static struct world *assertions_world;

static bool host_read_entry(void *context, uint64_t slot, struct paxos_entry *entry)
{
	struct node *n = context;
	struct plog_error error;

	if (plog_read(n->log, slot, entry, &error) == PLOG_OK)
		return true;
	node_log_failed(assertions_world, n, PLOG_IO, &error);
	return false;
}

static void host_assert_failed(void *context, const char *condition, const char *file, int line)
{
	struct node *n = context;

	world_fail(assertions_world, "assertion", "n%u: %s (%s:%d)", n->id, condition, file, line);
}

void node_drain_writes(struct world *w, struct node *n)
{
	struct paxos_write write;
	struct plog_error error;
	enum plog_code code;

	while (!ended(n) && paxos_next_write(n->core, &write))
	{
		TRACE(&w->trace, "n%u writes %u: type %u ballot %b slots %u +%u base %u end %u", n->id, write.id,
			  write.type, TRACE_BALLOT(write.ballot), write.first_slot, write.n_entries, write.base,
			  write.end);
		oracle_written(w, n, &write);
		/* what damage had hidden is there again */
		if (write.type == PAXOS_WRITE_INSTALL && write.base + 1 < n->first_slot)
			n->first_slot = write.base + 1;
		code = plog_write(n->log, &write, &error);
		if (code != PLOG_OK)
			node_log_failed(w, n, code, &error);
	}
}

static void on_role(struct world *w, struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	TRACE(&w->trace, "n%u role %u, leader n%u, ballot %b, promise %b, accepted %b through %u", n->id,
		  status.role, status.leader_id, TRACE_BALLOT(status.ballot), TRACE_BALLOT(status.promise),
		  TRACE_BALLOT(status.accepted), status.end);
}

static void on_unrecoverable(struct world *w, struct node *n, uint64_t slot)
{
	TRACE(&w->trace, "n%u says that the log can't be recovered from slot %u on", n->id, slot);
	if (oracle_recoverable(w))
		world_fail(w, "S15", "n%u gives up slot %u, which D7 and D8 let it recover", n->id, (unsigned) slot);
	w->stopped_safely = true;
}

/* X1: its worker stays, to be seen sending nothing. */
static void on_fenced(struct world *w, struct node *n)
{
	bool twice = n->copy;

	for (uint32_t i = 1; i <= w->n_machines; i++)
		twice |= w->nodes[i].copy && w->nodes[i].node_id == n->node_id;
	TRACE(&w->trace, "n%u fences itself", n->id);
	if (!twice)
		world_fail(w, "X1", "n%u fences itself, and it does not run twice", n->id);
	n->fenced = true;
	w->n_fenced++;
}

static bool drain_events(struct world *w, struct node *n)
{
	struct paxos_event event;
	bool any = false;

	while (!ended(n) && paxos_next_event(n->core, &event))
	{
		any = true;
		switch (event.type)
		{
			case PAXOS_EVENT_CHOSEN:
				oracle_chosen_event(w, n, event.slot);
				n->chosen = event.slot;
				apply_schedule(w, n);
				break;
			case PAXOS_EVENT_READ:
				ring_reads_confirmed(w, n, &event);
				break;
			case PAXOS_EVENT_SESSION:
				TRACE(&w->trace, "n%u session %u is open", n->id, event.number);
				n->session = event.number;
				break;
			case PAXOS_EVENT_RESOLVED:
				ring_resolved(w, n, &event);
				break;
			case PAXOS_EVENT_ROLE:
				on_role(w, n);
				break;
			case PAXOS_EVENT_FENCED:
				on_fenced(w, n);
				break;
			case PAXOS_EVENT_BEHIND:
				snapshot_behind(w, n, event.slot);
				break;
			case PAXOS_EVENT_UNRECOVERABLE:
				on_unrecoverable(w, n, event.slot);
				break;
		}
		node_drain_writes(w, n);
	}
	return any;
}

static void pull_messages(struct world *w, struct node *n)
{
	struct paxos_message message;
	uint32_t sent = 0;

	while (!ended(n))
	{
		plog_release_reads(n->log);
		if (!paxos_next_message(n->core, &message) || ended(n))
			break;
		if (message.from != n->node_id || message.to == n->node_id || message.to == 0 ||
			message.to > w->config.n_nodes || message.run != n->log_state.run)
			world_fail(w, "message", "n%u makes a message from n%u to n%u of run %u", n->id, message.from,
					   message.to, (unsigned) message.run);
		if (++sent > MESSAGES_A_PULL)
			world_fail(w, "L6", "n%u has no end of messages", n->id);
		oracle_message(w, n, &message);
		net_send_message(w, n->id, &message);
	}
}

static void schedule_tick(struct world *w, struct node *n)
{
	uint64_t deadline = paxos_next_deadline(n->core);
	uint64_t clock = node_clock_ms(w, n);
	sim_time delay = deadline > clock ? (deadline - clock) * SIM_MS : 100;

	if (delay > 10000 * SIM_MS)
		delay = 10000 * SIM_MS;
	if (n->fenced)
		delay = 50 * SIM_MS; /* there is nothing that it would have to do */
	if (n->tick_at > w->now && n->tick_at <= w->now + delay)
		return;
	n->tick_at = w->now + delay;
	schedule(w, n, EVENT_TICK, delay, n->tick_at);
}

static void schedule_sync(struct world *w, struct node *n)
{
	sim_time timeout = w->config.election_timeout_ms * SIM_MS;
	sim_time delay = rng_skewed(&w->rng, 0, w->config.sync_us) + n->slow_disk;

	if (n->sync_scheduled || !plog_dirty(n->log))
		return;
	n->sync_scheduled = true;
	schedule(w, n, EVENT_SYNC, delay, 0);
	if (delay > timeout / 2)
		schedule(w, n, EVENT_OVERDUE, timeout / 2, 0);
}

/* D5: that the last sync, a trim's too, completed. */
static void schedule_completion(struct world *w, struct node *n)
{
	if (n->completion_scheduled || !plog_wants_completion(n->log))
		return;
	n->completion_scheduled = true;
	schedule(w, n, EVENT_COMPLETION, rng_between(&w->rng, 0, 50 * SIM_MS), 0);
}

void node_pump(struct world *w, struct node *n)
{
	if (ended(n) || n->core == NULL)
		return;
	do
		node_drain_writes(w, n);
	while (drain_events(w, n));
	if (ended(n))
		return;
	if (w->config.send_us == 0)
		pull_messages(w, n);
	else if (!n->pull_scheduled)
	{
		n->pull_scheduled = true;
		schedule(w, n, EVENT_PULL, rng_below(&w->rng, w->config.send_us), 0);
	}
	if (ended(n))
		return;
	schedule_sync(w, n);
	schedule_completion(w, n);
	schedule_tick(w, n);
	if (n->n_ring > 0 && !n->drain_scheduled && !n->fenced)
	{
		n->drain_scheduled = true;
		schedule(w, n, EVENT_DRAIN, rng_between(&w->rng, 10, 500), 0);
	}
}

/* Before an input: the clock. */
static void before_input(struct world *w, struct node *n)
{
	plog_release_reads(n->log);
	paxos_tick(n->core, node_clock_ms(w, n));
	node_drain_writes(w, n);
}

/* ---------------------------------------------------------------- formation */

/* F1, F2: there is one cluster, and only whom it began with has a part in it. */
static void join_cluster(struct world *w, struct node *n, const struct paxos_config *config)
{
	struct paxos_id first;
	struct paxos_id hash = config_hash(config);
	int place = config_find(config, n->node_id);

	if (!w->formed)
		w->members = *config;
	w->formed = true;
	first = config_hash(&w->members);
	if (memcmp(&first, &hash, sizeof(hash)) != 0)
		world_fail(w, "F2", "n%u activates another cluster than the one there is", n->id);
	if (place < 0 ||
		memcmp(&config->members[place].store_id, &n->log_state.store_id, sizeof(struct paxos_id)) != 0)
		world_fail(w, "F1", "n%u takes part with a store that is not the configuration's", n->id);
	n->config = *config;
	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
		w->network.met[n->id][i].run_heard = 0;
}

static void make_core(struct world *w, struct node *n, const struct paxos_config *config)
{
	struct paxos_host host = {n, host_read_entry, host_assert_failed};
	struct paxos_durable_state state = n->log_state.paxos;
	struct paxos_options options = {
		.node_id = n->node_id,
		.priority = n->priority,
		.run = n->log_state.run,
		.nonce = n->nonce,
		.seed = rng_next(&w->rng),
		.election_timeout_ms = w->config.election_timeout_ms,
		.heartbeat_interval_ms = w->config.heartbeat_ms,
		.window_bytes = w->config.window_bytes,
		.unapplied_bytes_max = w->config.unapplied_bytes_max,
	};

	join_cluster(w, n, config);
	state.applied = n->database.table.applied;
	if (!state.damage.damaged && state.applied > state.end)
		world_fail(w, "D3", "n%u: applied %u is beyond the log's end %u", n->id, (unsigned) state.applied,
				   (unsigned) state.end);
	n->core_memory = malloc(paxos_memory_size(config, &options));
	n->core = paxos_create(n->core_memory, config, &options, &host, &state, node_clock_ms(w, n));
	n->state = NODE_RUNNING;
	w->disturbed_at = w->now;
	n->first_slot = state.first_slot;
	n->chosen = state.applied;
	if (!state.damage.damaged && n->chosen + 1 < state.first_slot)
		n->chosen = state.first_slot - 1;
	TRACE(&w->trace, "n%u runs: run %u, promise %b, accepted %b through %u, applied %u, damaged %u", n->id,
		  options.run, TRACE_BALLOT(state.promise), TRACE_BALLOT(state.accepted), state.end, state.applied,
		  state.damage.damaged);
	for (uint32_t peer = 1; peer <= w->config.n_nodes; peer++)
		if (peer != n->node_id && net_connected(w, n->id, peer))
		{
			paxos_connected(n->core, peer);
			node_drain_writes(w, n);
		}
	node_pump(w, n);
	trim_schedule(w, n);
	if (n->database.diverged)
		snapshot_resync(w, n);
}

/* F3: one that has acknowledged never acknowledges another. */
static void check_acknowledged(struct world *w, struct node *n)
{
	static const struct paxos_id none;

	if (!n->formation.have_proposal)
		return;
	if (memcmp(&n->acknowledged, &none, sizeof(none)) != 0 &&
		memcmp(&n->acknowledged, &n->formation.proposal_hash, sizeof(none)) != 0)
		world_fail(w, "F3", "n%u acknowledges a second proposal", n->id);
	n->acknowledged = n->formation.proposal_hash;
}

static void formation_step(struct world *w, struct node *n)
{
	struct formation_message message;
	const struct paxos_config *config;
	struct plog_error error;

	if (formation_dirty(&n->formation))
	{
		uint8_t blob[FORMATION_BLOB_MAX];
		uint32_t length = formation_blob(&n->formation, blob);
		enum plog_code code = plog_set_config(n->log, blob, length, &error);

		if (code == PLOG_NO_SPACE)
		{
			schedule(w, n, EVENT_TICK, 20 * SIM_MS, 0);
			return;
		}
		if (code != PLOG_OK)
		{
			node_log_failed(w, n, code, &error);
			return;
		}
		formation_durable(&n->formation);
		check_acknowledged(w, n);
	}
	if (n->formation.state == FORMATION_OUTSIDER && !n->wiped)
		world_fail(w, "F1", "n%u finds itself an outsider, and its store was never lost", n->id);
	while (!ended(n) && formation_next_message(&n->formation, &message))
		net_send_formation(w, n->id, &message);
	config = formation_activated(&n->formation);
	if (n->state == NODE_FORMING && config != NULL)
		make_core(w, n, config);
}

static void begin_formation(struct world *w, struct node *n)
{
	struct formation_options options = {
		.node_id = n->node_id,
		.store_id = n->log_state.store_id,
		.cluster_name = "sim",
		.n_peers = w->config.n_nodes,
		.retry_ms = 30,
	};

	rng_bytes(&w->rng, &options.new_cluster_id, sizeof(options.new_cluster_id));
	for (uint32_t i = 0; i < w->config.n_nodes; i++)
	{
		options.peers[i].node_id = i + 1;
		memcpy(options.peers[i].address, "node0:1", 8);
		options.peers[i].address[4] = (char) ('1' + i);
	}
	if (!formation_init(&n->formation, &options, n->log_state.config, n->log_state.config_length,
						node_clock_ms(w, n)))
		world_fail(w, "F2", "n%u can't read its own formation blob", n->id);
	n->state = NODE_FORMING;
	schedule(w, n, EVENT_TICK, SIM_MS, 0);
	formation_step(w, n);
}

/* ---------------------------------------------------------------- lives */

void node_init(struct world *w, uint32_t id)
{
	struct node *n = &w->nodes[id];

	n->id = n->node_id = id;
	n->clock_offset_ms = (int64_t) rng_between(&w->rng, 1000, 100000000);
	n->clock_rate = (uint32_t) rng_between(&w->rng, 970, 1030);
	if (w->config.priorities)
		n->priority = (uint32_t) rng_below(&w->rng, 3);
	disk_init(&n->disk, id, w->draws, &w->trace, "/data");
	n->disk.write_back = (uint32_t) rng_skewed(&w->rng, 0, 300);
	database_init(&n->database);
	world_schedule(w, rng_below(&w->rng, 50 * SIM_MS), (struct event){.kind = EVENT_START, .node = id});
}

static void release(struct node *n)
{
	plog_close(n->log);
	free(n->core_memory);
	free(n->numbered);
	snapshot_forget(n);
	n->log = NULL;
	n->core = NULL;
	n->core_memory = NULL;
	n->numbered = NULL;
}

void node_free(struct world *w, struct node *n)
{
	release(n);
	disk_free(&n->disk);
	database_free(&n->database);
	free(n->old_table);
}

void node_die(struct world *w, struct node *n, bool power)
{
	sim_time delay = rng_skewed(&w->rng, 10 * SIM_MS, 5000 * SIM_MS);

	if (n->state == NODE_DOWN || n->state == NODE_BROKEN)
		return;
	TRACE(&w->trace, "n%u dies, %s", n->id, TRACE_STRING(power ? "with its machine" : "alone"));
	n->disk.dead = true; /* what the log does while it is closed has no effect */
	release(n);
	disk_end_life(&n->disk, power);
	ring_node_died(w, n);
	if (power || rng_chance(&w->rng, 300))
		database_crash(w, n);
	n->state = n->copy || n->fenced ? NODE_BROKEN : NODE_DOWN;
	n->life++;
	w->disturbed_at = w->now;
	n->frozen_until = 0;
	net_node_died(w, n->id, power);
	net_forget(w, n->id);
	if (w->phase > PHASE_PARTIAL)
		delay = 20 * SIM_MS;
	if (n->state == NODE_DOWN)
		world_schedule(w, delay, (struct event){.kind = EVENT_START, .node = n->id});
	/* It may have been what knew of a copy that it is one. */
	if (n->state == NODE_DOWN && w->n_copies > 0)
		copies_end(w);
}

void node_out(struct world *w, struct node *n)
{
	if (n->state != NODE_BROKEN)
		TRACE(&w->trace, "n%u is taken out for good", n->id);
	node_die(w, n, true);
	n->state = NODE_BROKEN;
}

bool node_serves(const struct node *n)
{
	return !n->fenced && ((n->state == NODE_FORMING && n->formation.state != FORMATION_OUTSIDER) ||
						  n->state == NODE_RUNNING);
}

/* Damage that nothing here can heal (XX001). */
static void refuse_to_start(struct world *w, struct node *n)
{
	TRACE(&w->trace, "n%u refuses to start for good", n->id);
	n->disk.dead = true;
	release(n);
	disk_end_life(&n->disk, false);
	n->state = NODE_BROKEN;
}

/* D6: a cluster of one cuts a doubtful tail off. */
static bool forgive(struct world *w, struct node *n)
{
	struct plog_error error;
	enum plog_code code;

	if (!n->log_state.paxos.damage.damaged || w->config.n_nodes > 1)
		return true;
	if (!n->log_state.paxos.damage.doubtful || n->database.table.applied > n->log_state.paxos.end)
	{
		if ((w->rotten & (1u << n->id)) == 0)
			world_fail(w, "D6", "n%u: a cluster of one is damaged and nothing rotted", n->id);
		refuse_to_start(w, n);
		return false;
	}
	code = plog_forgive_doubt(n->log, &n->log_state, &error);
	if (code == PLOG_OK)
	{
		oracle_forgiven(w, n);
		return true;
	}
	node_log_failed(w, n, code, &error);
	return false;
}

static void open_failed(struct world *w, struct node *n, enum plog_code code, const struct plog_error *error)
{
	bool rotten = (w->rotten & (1u << n->id)) != 0;

	TRACE(&w->trace, "n%u does not start: code %u", n->id, code);
	if (n->disk.dead || n->disk.failed || ((code == PLOG_NO_SPACE || code == PLOG_IO) && n->disk.full))
		n->dying = true;
	else if (code == PLOG_CORRUPT && rotten)
	{
		refuse_to_start(w, n);
	}
	else
		world_fail(w, "log", "n%u: recovery fails, code %u: %s", n->id, code, error->message);
}

static void new_life(struct world *w, struct node *n)
{
	n->dying = false;
	n->tick_at = 0;
	n->told_at = 0;
	n->pull_scheduled = n->sync_scheduled = n->completion_scheduled = false;
	n->apply_scheduled = n->drain_scheduled = n->apply_stalled = false;
	n->no_space = n->overdue = n->fetch_scheduled = false;
	n->chosen = n->session = 0;
	n->nonce = rng_next(&w->rng);
	n->followed = (struct paxos_ballot){0, 0, 0};
	n->n_ring = n->n_numbered = n->numbered_capacity = n->n_reads = n->n_unresolved = 0;
}

void node_start(struct world *w, struct node *n)
{
	struct plog_options options = log_options(w);
	struct paxos_id store_id;
	struct plog_error error;
	enum plog_code code;

	if (n->state != NODE_DOWN || n->held_down)
		return;
	if (n->down_until > w->now)
	{
		world_schedule(w, n->down_until - w->now, (struct event){.kind = EVENT_START, .node = n->id});
		return;
	}
	n->life++;
	new_life(w, n);
	n->state = NODE_FORMING;
	TRACE(&w->trace, "n%u starts, life %u", n->id, n->life);
	if (w->phase == PHASE_CHAOS && w->now > 0 && rng_chance(&w->rng, w->config.crash_in_call / 4))
		n->disk.crash_in = rng_between(&w->rng, 1, 80);
	rng_bytes(&w->rng, &store_id, sizeof(store_id));
	code = plog_open(&n->log, LOG_DIRECTORY, &n->disk.ops, &options, &store_id, &n->log_state, &error);
	if (code != PLOG_OK)
		open_failed(w, n, code, &error);
	else if (!n->disk.dead)
	{
		oracle_recovered(w, n);
		if (forgive(w, n) && snapshot_finish_at_start(w, n))
			begin_formation(w, n);
	}
	else
		n->dying = true;
}

/* ---------------------------------------------------------------- events */

static void on_tick(struct world *w, struct node *n, sim_time tick_at)
{
	if (n->state == NODE_RUNNING)
	{
		if (tick_at != n->tick_at)
			return; /* an earlier one took its place */
		n->tick_at = 0;
		before_input(w, n);
		node_pump(w, n);
		if (!ended(n) && !n->fenced && paxos_next_deadline(n->core) <= node_clock_ms(w, n))
			world_fail(w, "L6", "n%u wants to be called again at once", n->id);
	}
	if (n->dying)
		return;
	formation_tick(&n->formation, node_clock_ms(w, n));
	formation_step(w, n);
	if (n->state == NODE_FORMING)
		schedule(w, n, EVENT_TICK, 10 * SIM_MS, 0);
}

static void on_synced(struct world *w, struct node *n, uint64_t id)
{
	before_input(w, n);
	TRACE(&w->trace, "n%u durable through write %u", n->id, id);
	oracle_told(w, n, id);
	paxos_durable(n->core, id);
	node_pump(w, n);
}

static void set_accepting(struct world *w, struct node *n)
{
	TRACE(&w->trace, "n%u accepting %u", n->id, !n->no_space && !n->overdue);
	n->not_accepting_since = w->now;
	paxos_set_accepting(n->core, !n->no_space && !n->overdue);
}

static void on_sync(struct world *w, struct node *n)
{
	struct plog_error error;
	uint64_t id = 0;
	enum plog_code code;
	sim_time told;

	n->sync_scheduled = false;
	code = plog_sync(n->log, &id, &error);
	if (code != PLOG_OK && !(code == PLOG_NO_SPACE && n->disk.full))
	{
		node_log_failed(w, n, code, &error);
		return;
	}
	TRACE(&w->trace, "n%u synced through write %u, code %u", n->id, id, code);
	oracle_durable(w, n, id);
	if (n->no_space != (code == PLOG_NO_SPACE) || n->overdue)
	{
		n->no_space = code == PLOG_NO_SPACE;
		n->overdue = false;
		w->disturbed_at = w->now;
		set_accepting(w, n);
	}
	told = w->now + rng_below(&w->rng, w->config.tell_us + 1);
	n->told_at = told > n->told_at ? told : n->told_at;
	if (n->told_at == w->now)
		on_synced(w, n, id);
	else
		schedule(w, n, EVENT_SYNCED, n->told_at - w->now, id);
	if (n->dying)
		return;
	node_pump(w, n);
}

static void on_completion(struct world *w, struct node *n)
{
	struct plog_options options = log_options(w);
	struct plog_error error;
	enum plog_code code = PLOG_OK;

	n->completion_scheduled = false;
	if (plog_wants_completion(n->log) && !plog_dirty(n->log))
		code = plog_write_completion(n->log, &error);
	if (code == PLOG_OK && options.min_free_segments > 0)
		code = plog_prepare_segments(LOG_DIRECTORY, &n->disk.ops, &options, &error);
	if (code != PLOG_OK && !(code == PLOG_NO_SPACE && n->disk.full))
		node_log_failed(w, n, code, &error);
}

void node_settle(struct world *w, struct node *n)
{
	if (n->state == NODE_RUNNING && plog_dirty(n->log))
		on_sync(w, n);
	if (!ended(n) && n->state == NODE_RUNNING)
		on_completion(w, n);
	bury(w, n);
}

static void on_overdue(struct world *w, struct node *n)
{
	if (!n->sync_scheduled || n->overdue)
		return;
	n->overdue = true;
	before_input(w, n);
	set_accepting(w, n);
	node_pump(w, n);
}

static void on_drain(struct world *w, struct node *n)
{
	n->drain_scheduled = false;
	if (n->state == NODE_FORMING)
	{
		if (w->config.n_nodes == 1)
			formation_first_command(&n->formation);
		formation_step(w, n);
		return;
	}
	before_input(w, n);
	if (!ended(n) && !n->fenced)
		ring_drain(w, n);
	/* What stayed in the ring waits for another input: looking again at once would find the same. */
	n->drain_scheduled = true;
	node_pump(w, n);
	n->drain_scheduled = false;
}

static void on_abandon(struct world *w, struct node *n, const struct request *request)
{
	before_input(w, n);
	if (!request->resolved)
		paxos_abandon(n->core, request->number);
	node_pump(w, n);
}

/* A peer's transport refuses this run, and tells it why. */
static void on_fence(struct world *w, struct node *n, const struct event *event)
{
	struct paxos_message message = {.type = PAXOS_FENCE,
									.from = w->nodes[event->a].node_id,
									.to = n->node_id,
									.epoch = n->config.epoch,
									.run = event->c,
									.named_run = event->b};

	before_input(w, n);
	if (!ended(n) && !paxos_recv(n->core, &message))
		world_fail(w, "validation", "n%u refuses a fence of n%u", n->id, (unsigned) event->a);
	node_pump(w, n);
}

static void dispatch_running(struct world *w, struct node *n, const struct event *event)
{
	switch (event->kind)
	{
		case EVENT_PULL:
			n->pull_scheduled = false;
			pull_messages(w, n);
			break;
		case EVENT_SYNC:
			on_sync(w, n);
			break;
		case EVENT_SYNCED:
			on_synced(w, n, event->a);
			break;
		case EVENT_COMPLETION:
			on_completion(w, n);
			break;
		case EVENT_OVERDUE:
			on_overdue(w, n);
			break;
		case EVENT_APPLY:
			before_input(w, n);
			if (!ended(n))
				apply_run(w, n);
			break;
		case EVENT_TRIM:
			before_input(w, n);
			if (!ended(n))
				trim_run(w, n);
			node_pump(w, n);
			break;
		case EVENT_FETCH:
			before_input(w, n);
			if (!ended(n))
				snapshot_look(w, n);
			break;
		case EVENT_SNAPSHOT:
			before_input(w, n);
			if (!ended(n))
				snapshot_step(w, n, event->a);
			node_pump(w, n);
			break;
		case EVENT_FENCE:
			on_fence(w, n, event);
			break;
		case EVENT_ABANDON:
			on_abandon(w, n, w->requests[event->a - 1]);
			break;
		default:
			world_fail(w, "world", "event %u for a running node", event->kind);
	}
}

/* A call was left in which the life ended. */
static void bury(struct world *w, struct node *n)
{
	if (n->disk.dead)
		n->dying = true;
	if (n->dying && (n->state == NODE_FORMING || n->state == NODE_RUNNING))
		node_die(w, n, n->disk.dead && !n->disk.alone);
}

void node_event(struct world *w, struct node *n, const struct event *event)
{
	bool up = n->state == NODE_FORMING || n->state == NODE_RUNNING;

	assertions_world = w;
	if (event->kind == EVENT_START)
		node_start(w, n);
	else if (event->kind == EVENT_FULL_ENDS)
		n->disk.full = false;
	else if (event->kind == EVENT_UNSTALL)
	{
		n->slow_disk = 0;
		n->apply_stalled = false;
		if (n->state == NODE_RUNNING)
			apply_schedule(w, n);
	}
	else if (up && event->kind == EVENT_TICK)
		on_tick(w, n, event->a);
	else if (up && event->kind == EVENT_DRAIN)
		on_drain(w, n);
	else if (n->state == NODE_RUNNING)
		dispatch_running(w, n, event);
	bury(w, n);
}

void node_receive(struct world *w, struct node *n, const struct packet *packet)
{
	assertions_world = w;
	if (packet->formation)
	{
		formation_tick(&n->formation, node_clock_ms(w, n));
		if (!formation_recv(&n->formation, packet->formation_message))
			world_fail(w, "F", "n%u finds a formation message of n%u malformed", n->id, packet->from);
		formation_step(w, n);
	}
	else if (n->state == NODE_RUNNING)
	{
		before_input(w, n);
		if (!ended(n) && packet->message.type > PAXOS_HEARTBEAT_REPLY)
			TRACE(&w->trace, "n%u < n%u %s ballot %b slot %u", n->id, packet->from,
				  TRACE_STRING(message_name(packet->message.type)), TRACE_BALLOT(packet->message.ballot),
				  packet->message.slot);
		if (packet->message.run > w->network.met[n->id][packet->message.from].run_heard)
			w->network.met[n->id][packet->message.from].run_heard = packet->message.run;
		oracle_delivered(w, n, &packet->message);
		if (!ended(n) && !paxos_recv(n->core, &packet->message))
			world_fail(w, "validation", "n%u refuses an honest %s of n%u as impossible", n->id,
					   message_name(packet->message.type), packet->from);
		node_pump(w, n);
	}
	bury(w, n);
}

void node_peer_up(struct world *w, struct node *n, uint32_t peer)
{
	assertions_world = w;
	if (n->state != NODE_RUNNING)
		return;
	before_input(w, n);
	if (!ended(n))
		paxos_connected(n->core, peer);
	node_pump(w, n);
	bury(w, n);
}

void node_peer_down(struct world *w, struct node *n, uint32_t peer, bool reset)
{
	assertions_world = w;
	if (n->state != NODE_RUNNING)
		return;
	before_input(w, n);
	if (!ended(n))
		paxos_disconnected(n->core, peer, reset);
	node_pump(w, n);
	bury(w, n);
}
