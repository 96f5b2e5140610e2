/*
 * trim.c - a host keeps its log small: it drops what its database holds durably (T2), less what a retention keeps
 * for slow peers; and the WAL writer, which makes that durable by and by.
 *
 * In chaos the retention may be as small as nothing, so that every follower that is a little late needs a snapshot.
 * Later it keeps enough for all that are connected, as whoever sets paxoskv.log_retention would.
 */
#include "paxos/quorum.h"
#include "sim.h"

#define QUIET_SLOTS 300
/* How often a node that trims nothing looks whether its damaged log is outgrown. */
#define LOOK_US 500000

/* Where the log begins if nothing but the retention counted. */
static uint64_t retained_from(const struct world *w, const struct node *n)
{
	uint64_t slots = w->config.retention_slots;
	uint64_t applied = n->database.flushed.applied;

	if (!w->config.retain_slots)
		return plog_retained_from(n->log, w->config.retention_bytes);
	if (w->phase > PHASE_CHAOS && slots < QUIET_SLOTS && !w->config.scripted)
		slots = QUIET_SLOTS;
	return applied > slots ? applied - slots + 1 : 1;
}

/* T2: only what the database holds durably. */
static uint64_t durable_through(const struct node *n)
{
	return n->database.flushed.applied;
}

/* T2: what a majority is known to have applied, too. */
static uint64_t dispensable_through(const struct node *n)
{
	uint64_t applied[PAXOS_MAX_MEMBERS];
	uint64_t own = durable_through(n);
	uint64_t majority;
	struct paxos_status status;

	paxos_status(n->core, &status);
	for (uint32_t i = 0; i < status.n_peers; i++)
		applied[i] = status.peers[i].node_id == n->id ? own : status.peers[i].applied;
	majority = quorum_chosen(applied, status.n_peers);
	return own < majority ? own : majority;
}

static bool is_damaged(const struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	return status.damage.damaged;
}

/* What a damaged log lost before that the table holds: nobody else's log may have it; where they can be asked, they were. */
static bool outgrown(const struct node *n)
{
	struct paxos_status status;

	paxos_status(n->core, &status);
	return status.damage.damaged &&
		   (status.durable_end < durable_through(n) || status.damage.lowest_written <= durable_through(n)) &&
		   (!status.damage.repairing || status.missing_everywhere);
}

static void trimmed(struct world *w, struct node *n, uint64_t first_slot)
{
	TRACE(&w->trace, "n%u log begins at slot %u, %u bytes", n->id, first_slot, plog_bytes(n->log));
	n->first_slot = first_slot;
	oracle_trimmed(w, n, first_slot);
	paxos_trimmed(n->core, first_slot);
	w->n_trims++;
}

static void trim_log(struct world *w, struct node *n)
{
	uint64_t first_slot = w->config.trim_us > 0 ? retained_from(w, n) : n->first_slot;
	bool outgrows = outgrown(n) && durable_through(n) + 1 >= n->first_slot;
	struct plog_error error;
	enum plog_code code;

	if (first_slot > dispensable_through(n) + 1)
		first_slot = dispensable_through(n) + 1;
	if (outgrows)
		first_slot = durable_through(n) + 1;
	if (first_slot < n->first_slot)
		first_slot = n->first_slot;
	/*
	 * As in the worker: what a table that is known to be wrong should hold stays, for another's is to take its place;
	 * and so does a damaged log.
	 */
	if (n->database.diverged || (is_damaged(n) && !outgrows) || first_slot <= plog_restoring(n->log) ||
		snapshot_is_installing(n) ||
		(first_slot == n->first_slot && !outgrows && !plog_has_dead_segments(n->log)))
		return;
	if (first_slot > n->first_slot)
		oracle_trims(w, n, first_slot);
	code = plog_trim(n->log, first_slot, &error);
	if (code != PLOG_OK && !(code == PLOG_NO_SPACE && n->disk.full))
	{
		node_log_failed(w, n, code, &error);
		return;
	}
	if (code == PLOG_OK)
		oracle_log_synced(w, n);
	/* Without space for saying so the log begins there all the same, until this life's end. */
	if (first_slot > n->first_slot)
		trimmed(w, n, first_slot);
	else if (outgrows) /* the log begins there already, but for the damage nobody would know why */
		paxos_trimmed(n->core, first_slot);
}

void trim_schedule(struct world *w, struct node *n)
{
	struct event event = {.kind = EVENT_TRIM, .node = n->id, .life = n->life};

	if (w->config.trim_us > 0)
		world_schedule(w, rng_skewed(&w->rng, 100, w->config.trim_us), event);
	else if (!w->config.scripted)
		world_schedule(w, LOOK_US, event);
}

/* Whether the WAL writer came by. */
static bool is_flushed(struct world *w, const struct node *n)
{
	if (w->phase >= PHASE_CONVERGE)
		return true;
	if (w->config.trim_us > 0)
		return rng_chance(&w->rng, 300);
	return is_damaged(n);
}

void trim_run(struct world *w, struct node *n)
{
	if (is_flushed(w, n))
		database_flush(&n->database);
	trim_log(w, n);
	trim_schedule(w, n);
}
