/*
 * snapshot.c - a node that logs alone can't bring on fetches another's table (T5): as the short-lived workers of
 * source and receiver do it, in bounded chunks over a connection of its own.
 *
 * The source reads in one database snapshot, and goes on trimming.  At the receiver apply waits; what came is
 * verified against the state hash, and counts only then.  The order of T5 has a pause between any two steps, in
 * which the node may die; what was interrupted begins anew, with whomever is there.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

struct fetch
{
	uint64_t serial;
	enum snapshot_step step;
	uint32_t source;
	uint64_t source_life;
	uint32_t next_row;
	struct table read;   /* at the source, in one database snapshot */
	struct table loaded; /* at the receiver, uncommitted */
};

/* ---------------------------------------------------------------- whom to ask */

static bool is_damaged(const struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	return status.damage.damaged;
}

static uint64_t needed(const struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	return status.behind;
}

static bool reaches(const struct world *w, const struct node *a, const struct node *b)
{
	return net_connected(w, a->id, b->node_id) && net_connected(w, b->id, a->node_id) &&
		   !w->network.directions[a->id][b->id].cut && !w->network.directions[b->id][a->id].cut;
}

bool snapshot_source_fits(const struct world *w, const struct node *n, const struct node *source)
{
	return source != n && source->state == NODE_RUNNING && !source->fenced && !source->copy &&
		   !source->database.diverged && !source->dying && source->frozen_until <= w->now &&
		   reaches(w, n, source) && source->database.table.applied >= needed(n) &&
		   source->database.table.applied >= n->database.table.applied;
}

/* A follower rather than the leader; one whose log is damaged, only if nobody else is there: its table is not. */
static uint32_t rank(const struct node *source, uint32_t leader)
{
	return is_damaged(source) ? 3 : source->id == leader ? 2 : 1;
}

/* 0: nobody. */
static uint32_t choose_source(struct world *w, const struct node *n)
{
	uint32_t leader = world_leader(w, false);
	uint32_t best[SIM_NODES];
	uint32_t best_rank = 4;
	uint32_t n_best = 0;

	for (uint32_t i = 1; i <= w->config.n_nodes; i++)
	{
		const struct node *source = &w->nodes[i];

		if (!snapshot_source_fits(w, n, source) || rank(source, leader) > best_rank)
			continue;
		if (rank(source, leader) < best_rank)
			n_best = 0;
		best_rank = rank(source, leader);
		best[n_best++] = i;
	}
	return n_best == 0 ? 0 : best[rng_below(&w->rng, n_best)];
}

/* ---------------------------------------------------------------- beginning and ending */

enum snapshot_step snapshot_next_step(const struct node *n)
{
	return n->fetch == NULL ? STEP_NONE : n->fetch->step;
}

bool snapshot_is_loading(const struct node *n)
{
	return n->fetch != NULL;
}

bool snapshot_is_installing(const struct node *n)
{
	return n->fetch != NULL && n->fetch->step >= STEP_BEGIN;
}

static void next_step(struct world *w, struct node *n, enum snapshot_step step, sim_time most)
{
	n->fetch->step = step;
	world_schedule(
		w, rng_skewed(&w->rng, 10, most + 10),
		(struct event){.kind = EVENT_SNAPSHOT, .node = n->id, .life = n->life, .a = n->fetch->serial});
}

void snapshot_forget(struct node *n)
{
	free(n->fetch);
	n->fetch = NULL;
}

static void look_later(struct world *w, struct node *n, sim_time delay)
{
	if (n->fetch_scheduled)
		return;
	n->fetch_scheduled = true;
	world_schedule(w, delay, (struct event){.kind = EVENT_FETCH, .node = n->id, .life = n->life});
}

/* What came is rolled back; the node looks whether it still needs a table, and whose. */
static void interrupt(struct world *w, struct node *n, const char *why)
{
	TRACE(&w->trace, "n%u snapshot of n%u is interrupted: %s", n->id, n->fetch->source, TRACE_STRING(why));
	w->n_interrupted++;
	snapshot_forget(n);
	apply_schedule(w, n);
	look_later(w, n, rng_skewed(&w->rng, SIM_MS, 100 * SIM_MS));
}

void snapshot_behind(struct world *w, struct node *n, uint64_t slot)
{
	TRACE(&w->trace, "n%u is behind: it needs a table as of slot %u", n->id, slot);
	if (n->fetch == NULL)
		look_later(w, n, rng_skewed(&w->rng, 10, 50 * SIM_MS));
}

void snapshot_resync(struct world *w, struct node *n)
{
	if (n->state == NODE_RUNNING && n->fetch == NULL)
		look_later(w, n, rng_skewed(&w->rng, 10, 50 * SIM_MS));
}

void snapshot_look(struct world *w, struct node *n)
{
	uint32_t source;

	n->fetch_scheduled = false;
	if (n->fetch != NULL || (needed(n) == 0 && !n->database.diverged))
		return;
	source = choose_source(w, n);
	if (source == 0)
	{
		look_later(w, n, rng_between(&w->rng, 5 * SIM_MS, 50 * SIM_MS));
		return;
	}
	n->fetch = calloc(1, sizeof(*n->fetch));
	n->fetch->serial = ++n->fetches;
	n->fetch->source = source;
	n->fetch->source_life = w->nodes[source].life;
	TRACE(&w->trace, "n%u asks n%u for its table", n->id, source);
	next_step(w, n, STEP_READ, 2 * w->config.delay_us);
}

/* ---------------------------------------------------------------- the transfer */

/* At the source: everything is read in one transaction, at one applied index. */
static void read_table(struct world *w, struct node *n, const struct node *source)
{
	n->fetch->read = source->database.table;
	TRACE(&w->trace, "n%u reads its table at slot %u for n%u", source->id, n->fetch->read.applied, n->id);
	next_step(w, n, STEP_CHUNK, w->config.delay_us);
}

/* What lies between two disks may turn bits; only the state hash tells. */
static void spoil(struct world *w, struct table *table, uint32_t row)
{
	if (w->config.spoiled_chunks == 0 || w->phase != PHASE_CHAOS || !table->rows[row].present ||
		!rng_chance(&w->rng, w->config.spoiled_chunks))
		return;
	TRACE(&w->trace, "net a chunk of a snapshot is spoiled");
	table->rows[row].value_digest ^= 1;
	table->rows[row].hash.low ^= rng_next(&w->rng) | 1; /* as another value's would be */
}

static void take_rows(struct world *w, struct node *n)
{
	struct fetch *f = n->fetch;

	for (uint32_t i = 0; i < w->config.chunk_rows && f->next_row < SIM_ROWS; i++, f->next_row++)
	{
		f->loaded.rows[f->next_row] = f->read.rows[f->next_row];
		spoil(w, &f->loaded, f->next_row);
	}
}

/* With the last chunk: applied index, state hash, sessions, what is remembered (O). */
static void take_state(struct fetch *f)
{
	f->loaded.applied = f->read.applied;
	f->loaded.hash = f->read.hash;
	f->loaded.sessions = f->read.sessions;
	f->loaded.memory = f->read.memory;
}

static void take_chunk(struct world *w, struct node *n)
{
	struct fetch *f = n->fetch;

	take_rows(w, n);
	if (f->next_row < SIM_ROWS)
	{
		next_step(w, n, STEP_CHUNK, w->config.delay_us);
		return;
	}
	take_state(f);
	TRACE(&w->trace, "n%u has all chunks of n%u, as of slot %u", n->id, f->source, f->loaded.applied);
	next_step(w, n, STEP_VERIFY, w->config.apply_us);
}

/* Computed from what now is in the table, against what the source says. */
static bool is_verified(const struct table *table)
{
	struct state_hash hash = memory_state_hash(&table->memory);

	for (uint32_t i = 0; i < SIM_ROWS; i++)
		if (table->rows[i].present)
			hash = state_hash_add(hash, table->rows[i].hash);
	return hash.low == table->hash.low && hash.high == table->hash.high;
}

/* The other end is gone, or can't be heard. */
static bool is_cut_off(const struct world *w, const struct node *n)
{
	const struct node *source = &w->nodes[n->fetch->source];

	return source->state != NODE_RUNNING || source->life != n->fetch->source_life ||
		   w->network.directions[n->id][source->id].cut || w->network.directions[source->id][n->id].cut;
}

/* Before T5's order begins; what comes later needs no source. */
static void transfer(struct world *w, struct node *n)
{
	struct fetch *f = n->fetch;
	const struct node *source = &w->nodes[f->source];

	if (is_cut_off(w, n))
		interrupt(w, n, "the source is gone");
	else if (w->phase == PHASE_CHAOS && rng_chance(&w->rng, w->config.snapshot_faults))
		interrupt(w, n, "the connection is lost");
	else if (source->frozen_until > w->now)
		next_step(w, n, f->step, source->frozen_until - w->now);
	else if (f->step == STEP_READ)
		read_table(w, n, source);
	else
		take_chunk(w, n);
}

/* ---------------------------------------------------------------- T5's order */

static void verify(struct world *w, struct node *n)
{
	struct fetch *f = n->fetch;

	if (!is_verified(&f->loaded))
		interrupt(w, n, "its state hash is not that of the source");
	else if (f->loaded.applied < n->database.table.applied + !n->database.diverged)
		interrupt(w, n, "it is not newer than the table here");
	else
		next_step(w, n, STEP_BEGIN, 5 * SIM_MS);
}

/* False: the disk is full, or this life ends. */
static bool log_took(struct world *w, struct node *n, enum plog_code code, const struct plog_error *error)
{
	if (code == PLOG_OK)
		return true;
	if (code == PLOG_NO_SPACE && n->disk.full)
		next_step(w, n, n->fetch->step, 50 * SIM_MS);
	else
		node_log_failed(w, n, code, error);
	return false;
}

static void begin(struct world *w, struct node *n)
{
	struct plog_error error;

	if (!log_took(w, n, plog_begin_restore(n->log, n->fetch->loaded.applied, &error), &error))
		return;
	TRACE(&w->trace, "n%u is installing a table as of slot %u", n->id, n->fetch->loaded.applied);
	oracle_log_synced(w, n);
	next_step(w, n, STEP_COMMIT, 5 * SIM_MS);
}

/* The worker that loads dies before it commits. */
static void give_up(struct world *w, struct node *n)
{
	struct plog_error error;

	if (log_took(w, n, plog_begin_restore(n->log, 0, &error), &error))
	{
		oracle_log_synced(w, n);
		interrupt(w, n, "its worker died");
	}
}

/* synchronous_commit = on. */
static void commit(struct world *w, struct node *n)
{
	const struct table *table = &n->fetch->loaded;

	if (w->phase == PHASE_CHAOS && rng_chance(&w->rng, w->config.snapshot_faults))
	{
		give_up(w, n);
		return;
	}
	oracle_installs(w, n, table);
	n->database.table = *table;
	n->database.diverged = false;
	database_flush(&n->database);
	TRACE(&w->trace, "n%u has committed a table as of slot %u", n->id, table->applied);
	next_step(w, n, STEP_TRIM, 5 * SIM_MS);
}

/* The name of this run's session in that table; 0: not there. */
static struct session own_session(const struct node *n, const struct table *table)
{
	for (uint32_t i = 0; i < table->sessions.n; i++)
	{
		const struct session *s = &table->sessions.sessions[i];

		if (s->node_id == n->node_id && s->run == n->log_state.run && s->nonce == n->nonce && s->open)
			return *s;
	}
	return (struct session){0};
}

static void finish(struct world *w, struct node *n)
{
	uint64_t slot = n->fetch->loaded.applied;
	struct session session = own_session(n, &n->database.table);
	struct paxos_status before;
	struct plog_error error;

	oracle_trims(w, n, slot + 1);
	if (!log_took(w, n, plog_trim(n->log, slot + 1, &error), &error))
		return;
	n->first_slot = slot + 1;
	oracle_log_synced(w, n);
	oracle_restored_to(w, n, slot);
	paxos_status(n->core, &before);
	snapshot_forget(n);
	paxos_restored(n->core, &(struct paxos_restored){.slot = slot,
													 .session = session.session,
													 .last_number = session.last_number});
	TRACE(&w->trace, "n%u goes on behind slot %u", n->id, slot);
	oracle_check_restored(w, n, &before, slot);
	w->n_restored++;
	w->disturbed_at = w->now;
	node_pump(w, n);
	ring_restored(w, n, session.last_number);
	node_pump(w, n);
	apply_schedule(w, n);
	if (needed(n) != 0)
		look_later(w, n, SIM_MS);
}

/* Between two steps of T5's order; as a scenario says, or by chance. */
static bool dies_here(struct world *w, struct node *n)
{
	if (n->dies_before != STEP_NONE)
		return n->fetch->step == n->dies_before;
	return w->phase == PHASE_CHAOS && n->fetch->step >= STEP_BEGIN &&
		   rng_chance(&w->rng, w->config.snapshot_faults);
}

void snapshot_step(struct world *w, struct node *n, uint64_t serial)
{
	if (n->fetch == NULL || n->fetch->serial != serial)
		return;
	if (dies_here(w, n))
	{
		TRACE(&w->trace, "n%u dies while it installs, before step %u", n->id, n->fetch->step);
		n->disk.dead = true;
		n->disk.alone = n->dies_before != STEP_NONE ? n->dies_alone : rng_chance(&w->rng, 300);
		n->dies_before = STEP_NONE;
		return;
	}
	switch (n->fetch->step)
	{
		case STEP_NONE:
			break;
		case STEP_READ:
		case STEP_CHUNK:
			transfer(w, n);
			break;
		case STEP_VERIFY:
			verify(w, n);
			break;
		case STEP_BEGIN:
			begin(w, n);
			break;
		case STEP_COMMIT:
			commit(w, n);
			break;
		case STEP_TRIM:
			finish(w, n);
			break;
	}
}

/* ---------------------------------------------------------------- at a start */

/* Nothing happened; said so at once, or left to the next one. */
static bool give_up_at_start(struct world *w, struct node *n)
{
	struct plog_error error;
	enum plog_code code;

	if (rng_chance(&w->rng, 500))
		return true;
	code = plog_begin_restore(n->log, 0, &error);
	if (code == PLOG_OK)
		return true;
	if (code == PLOG_NO_SPACE && n->disk.full)
		n->dying = true;
	else
		node_log_failed(w, n, code, &error);
	return false;
}

/* A crash came between the database's transaction and the trim: what was committed holds. */
bool snapshot_finish_at_start(struct world *w, struct node *n)
{
	uint64_t slot = n->log_state.restoring;
	struct plog_error error;
	enum plog_code code;

	if (slot == 0)
		return true;
	if (n->database.table.applied != slot)
		return give_up_at_start(w, n);
	TRACE(&w->trace, "n%u finishes installing the table as of slot %u", n->id, slot);
	oracle_trims(w, n, slot + 1);
	code = plog_trim(n->log, slot + 1, &error);
	if (code != PLOG_OK)
	{
		if (code == PLOG_NO_SPACE && n->disk.full)
			n->dying = true;
		else
			node_log_failed(w, n, code, &error);
		return false;
	}
	plog_refresh_state(n->log, &n->log_state);
	oracle_log_synced(w, n);
	oracle_restored_to(w, n, slot);
	return true;
}
