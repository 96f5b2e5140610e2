/*
 * consensus_trim.c - T2: the log's old segments go, once the table holds durably what is in them.
 *
 * By itself the worker keeps the newest paxoskv.log_retention for nodes that were away, and whatever the table does not
 * hold durably, as the apply worker says (apply_flush.h), or no majority of the nodes has applied.  paxos_trim() keeps
 * only the latter and what connected nodes have not applied yet.  Files go a few at a time, so that heartbeats are
 * never late because of them.
 */
#include "postgres.h"

#include "miscadmin.h"

#include "paxos/quorum.h"
#include "worker/consensus.h"
#include "worker/settings.h"

/* How often to look whether the log is too long; and while files are going. */
#define LOOK_MS 100
#define DROP_MS 20
/* How long paxos_trim() waits for apply and for connected nodes. */
#define ASKED_WAIT_MIN_MS 1000
#define ASKED_WAIT_MAX_MS 3000
/* How long a damaged log waits for the others' help before it begins behind what the table holds. */
#define DAMAGE_WAIT_MS 5000

static struct
{
	uint64 due_ms;
	/* paxos_trim(): the first "answering" of those that wait; 0: none is under way */
	uint32 answering;
	uint64 asked_slot; /* it would have the log begin behind this one */
	uint64 until_ms;
	bool fsync_reported;
	bool was_damaged;        /* what that left beside the log goes when it is healed */
	uint64 damaged_until_ms; /* is waited for help; 0: not damaged */
} local;

/* ---------------------------------------------------------------- what may go */

/* Evidence, or what another node's table is to replace, stays. */
static bool is_held(void)
{
	return consensus.status.damage.damaged || pg_atomic_read_u32(&paxos_shared->state.diverged) != 0 ||
		   plog_restoring(consensus.log) != 0;
}

/* The table holds durably everything through this slot. */
static uint64 durably_applied(void)
{
	uint64 flushed = pg_atomic_read_u64(&paxos_shared->flushed_slot);

	return Min(flushed, Min(consensus.applied, consensus.chosen));
}

/* What nodes that are connected have applied, as far as their heartbeats told. */
static uint64 applied_by_connected(void)
{
	uint64 slot = UINT64_MAX;

	for (uint32 i = 0; i < consensus.status.n_peers; i++)
	{
		const struct paxos_peer_status *peer = &consensus.status.peers[i];

		if (peer->connected && peer->node_id != (uint32) paxoskv_node_id && !state_diverged(peer->node_id))
			slot = Min(slot, peer->applied);
	}
	return slot;
}

/*
 * What a majority of the voters has applied, as far as this node knows.  A log that drops more leaves the rest to one
 * table: with that lost, another node may have the entries and can't know any more that they are the chosen ones (T2).
 */
static uint64 applied_by_majority(void)
{
	uint64 applied[PAXOS_MAX_MEMBERS];
	uint32 n = 0;

	for (uint32 i = 0; i < consensus.status.n_peers; i++)
	{
		const struct paxos_peer_status *peer = &consensus.status.peers[i];

		if (consensus.config.members[i].learner)
			continue;
		if (peer->node_id == (uint32) paxoskv_node_id)
			applied[n++] = durably_applied();
		else
			applied[n++] = state_diverged(peer->node_id) ? 0 : peer->applied;
	}
	return n > 0 ? quorum_chosen(applied, n) : 0;
}

/* What the log may let go of, whatever is to be retained. */
static uint64 dispensable(void)
{
	return Min(durably_applied(), applied_by_majority());
}

/*
 * The segment that is written to is hardly begun at times, so it does not count.  The setting's least value is several
 * times what is under way to followers that are up to date.
 */
static uint64 bytes_to_keep(void)
{
	return ((uint64) paxoskv_log_retention << 20) + consensus.log_options.segment_bytes;
}

/* ---------------------------------------------------------------- trimming */

/* Lets the log begin there, and some of the files before it go.  False: there are more. */
static bool begin_with(uint64 first_slot)
{
	struct plog_error error;
	enum plog_code code;

	if (first_slot <= consensus.status.first_slot && !plog_has_dead_segments(consensus.log))
		return true;
	first_slot = Max(first_slot, consensus.status.first_slot);
	code = plog_trim(consensus.log, first_slot, &error);
	if (code != PLOG_OK && code != PLOG_NO_SPACE)
		consensus_log_failed(&error);
	/* Without space for saying so the log begins there all the same, until this life's end. */
	if (first_slot > consensus.status.first_slot)
	{
		host_note_input("trimmed");
		paxos_trimmed(consensus.core, first_slot);
		host_pump_writes();
		consensus.status.first_slot = first_slot;
	}
	consensus.status_due = true;
	return code != PLOG_OK || !plog_has_dead_segments(consensus.log);
}

static void report_fsync(void)
{
	if (local.fsync_reported)
		return;
	local.fsync_reported = true;
	ereport(LOG, (errmsg("paxoskv log is not trimmed, because fsync is or was off"),
				  errdetail("The database may lose in a crash what it has applied, and the log alone would "
							"have it."),
				  errhint("Turn fsync on and restart the server.")));
}

bool trim_is_prevented(void)
{
	return local.fsync_reported;
}

/* By itself.  False: more is to go. */
static bool trim_to_retention(void)
{
	uint64 keep = bytes_to_keep();

	if (local.was_damaged)
	{
		local.was_damaged = false;
		(void) begin_with(consensus.status.first_slot);
	}
	if (plog_bytes(consensus.log) <= keep)
		return true;
	if (pg_atomic_read_u32(&paxos_shared->fsync_was_off) != 0)
	{
		report_fsync();
		return true;
	}
	return begin_with(Min(plog_retained_from(consensus.log, keep), dispensable() + 1));
}

/* D7: entries that rotted, of which no other node has a copy. */
static bool misses_for_good(void)
{
	return consensus.status.missing_through != 0 && consensus.status.missing_everywhere;
}

/* ... are not needed where the table holds durably what was in them: the log begins behind them then. */
static void trim_past_missing(void)
{
	uint64 through = consensus.status.missing_through;

	if (pg_atomic_read_u32(&paxos_shared->fsync_was_off) != 0 && formation_alone())
		consensus_stay_dormant(
			"damaged", ADMIT_DORMANT, ERRCODE_DATA_CORRUPTED, "the log is damaged",
			"What cannot be read is in the table, but not surely on its disk, because fsync is or "
			"was off.",
			"Turn fsync on, restart the server, and look after its disk.");
	if (durably_applied() < through)
	{
		pg_atomic_write_u32(&paxos_shared->flush_asked, 1);
		shmem_wake_apply();
		return;
	}
	ereport(LOG,
			(errmsg("paxoskv log begins behind slot %llu now, because no node has a copy of what is damaged",
					(unsigned long long) through),
			 errdetail("The table holds what was in it.")));
	(void) begin_with(through + 1);
	status_refresh(true);
}

/*
 * D7: a damaged log is healed by a Sync from behind what of it is surely whole, and the others' logs may not reach back
 * that far any more.  What the table holds durably the log may begin behind.  No file goes while it is damaged.
 */
static void outgrow_damage(void)
{
	const struct paxos_damage *damage = &consensus.status.damage;
	uint64 slot = durably_applied();
	struct plog_error error;
	enum plog_code code;

	if (!damage->damaged)
		local.damaged_until_ms = 0;
	else if (local.damaged_until_ms == 0)
		local.damaged_until_ms = consensus.now_ms + DAMAGE_WAIT_MS;
	if (!damage->damaged || consensus.now_ms < local.damaged_until_ms ||
		pg_atomic_read_u32(&paxos_shared->state.diverged) != 0 || plog_restoring(consensus.log) != 0 ||
		pg_atomic_read_u32(&paxos_shared->fsync_was_off) != 0)
		return;
	if (damage->lowest_written > slot && consensus.status.durable_end >= slot)
		return;
	host_pump_writes();
	code = plog_trim(consensus.log, slot + 1, &error);
	if (code != PLOG_OK && code != PLOG_NO_SPACE) /* it begins there all the same, as above */
		consensus_log_failed(&error);
	ereport(LOG, (errmsg("paxoskv log begins behind slot %llu now, because it is damaged before",
						 (unsigned long long) slot),
				  errdetail("The table holds what was in it.")));
	host_note_input("outgrown");
	paxos_trimmed(consensus.core, slot + 1);
	host_pump_writes();
	status_refresh(true);
}

/* ---------------------------------------------------------------- paxos_trim() */

static void begin_answering(void)
{
	uint64 wait_ms = Min(Max(ASKED_WAIT_MIN_MS, (uint64) paxoskv_election_timeout), ASKED_WAIT_MAX_MS);

	local.answering = requests_trims_waiting();
	local.asked_slot = consensus.applied;
	local.until_ms = consensus.now_ms + wait_ms;
	/* Without that it would be known a moment later, too: the server flushes by itself. */
	pg_atomic_write_u32(&paxos_shared->flush_asked, 1);
	shmem_wake_apply();
}

/* Trims for those that asked, once what they asked for can go, or it is not worth the wait. */
static bool trim_as_asked(void)
{
	uint64 slot;

	if (local.answering == 0)
		begin_answering();
	slot = Min(dispensable(), applied_by_connected());
	if (slot < local.asked_slot && consensus.now_ms < local.until_ms)
		return false;
	if (!is_held() && !begin_with(slot + 1))
		return false;
	status_refresh(true);
	status_publish(true);
	requests_answer_trims(local.answering, consensus.status.first_slot);
	local.answering = 0;
	return requests_trims_waiting() == 0;
}

/* ---------------------------------------------------------------- step */

void trim_step(void)
{
	bool all = true;

	local.was_damaged |= consensus.status.damage.damaged;
	if (consensus.core == NULL)
	{
		/* A cluster of one before its first command: there is nothing yet; others were refused. */
		if (consensus.admission == ADMIT)
			requests_answer_trims(requests_trims_waiting(), 1);
		return;
	}
	if (consensus.now_ms < local.due_ms && (local.answering != 0 || requests_trims_waiting() == 0))
		return;
	if (misses_for_good() && pg_atomic_read_u32(&paxos_shared->state.diverged) == 0 &&
		plog_restoring(consensus.log) == 0)
		trim_past_missing();
	outgrow_damage();
	if (!is_held())
		all = trim_to_retention();
	if (requests_trims_waiting() > 0)
		all &= trim_as_asked();
	else
		local.answering = 0; /* they were refused meanwhile */
	local.due_ms = consensus.now_ms + (all ? LOOK_MS : DROP_MS);
}

uint64 trim_next_deadline(void)
{
	if (consensus.core == NULL)
		return UINT64_MAX;
	if (requests_trims_waiting() == 0 && !misses_for_good() && plog_bytes(consensus.log) <= bytes_to_keep())
		return UINT64_MAX;
	return local.due_ms;
}
