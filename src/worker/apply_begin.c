/*
 * apply_begin.c - how the apply worker begins, in a new life or after another's rows were loaded: with what the tables
 * have, and before the first command with what the cluster agrees to begin with.
 */
#include "postgres.h"

#include "access/xact.h"
#include "executor/spi.h"
#include "storage/ipc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "worker/apply_base.h"
#include "worker/apply_flush.h"
#include "worker/apply_worker.h"
#include "worker/store_tables.h"

/* F5: how often to look whether rows were loaded. */
#define BASE_POLL_MS 250

/* ---------------------------------------------------------------- the state */

static void read_state(void)
{
	ApplyState state;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	SPI_connect();
	store_prepare();
	store_read_state(&state);
	SPI_finish();
	PopActiveSnapshot();
	CommitTransactionCommand();
	apply_worker.state = state;
	apply_publish_points(); /* first: who has stopped is judged by how far it got (state_is_lost()) */
	apply_publish_divergence();
	pg_atomic_write_u64(&paxos_shared->applied_slot, state.applied);
	flush_begin(state.applied);
}

static void report_unreadable(const ErrorData *error)
{
	const char *advice = "";
	char detail[512];

	/* an older version's tables lack what a newer library asks for */
	if (error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN || error->sqlerrcode == ERRCODE_UNDEFINED_TABLE)
		advice = " If the library was updated, run ALTER EXTENSION " PAXOSKV_EXTENSION " UPDATE.";
	snprintf(detail, sizeof(detail), "Apply cannot begin: %s.%s", error->message, advice);
	apply_report(EXTENSION_MISSING, apply_judge_error(error->sqlerrcode) != APPLY_ERROR_PASSES, detail);
	if (apply_is_reminder_due())
		ereport(LOG,
				(errcode(error->sqlerrcode),
				 errmsg("paxoskv apply cannot read its tables and tries again: %s", error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 errhint("If the library was updated, run ALTER EXTENSION %s UPDATE.", PAXOSKV_EXTENSION)));
}

static bool try_to_read_state(void)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	PG_TRY();
	{
		read_state();
		done = true;
	}
	PG_CATCH();
	{
		ErrorData *error = apply_take_error(context);

		report_unreadable(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return done;
}

/* Tables that can't be read are waited for, as an extension that is not there: a new life would find the same. */
static void wait_for_state(void)
{
	long pause_ms = APPLY_RETRY_FIRST_MS;

	while (!try_to_read_state())
	{
		apply_wait(pause_ms);
		apply_reload_if_asked();
		pause_ms = Min(2 * pause_ms, APPLY_RETRY_MAX_MS);
		apply_wait_for_extension();
	}
	apply_no_longer_waits();
}

/* ---------------------------------------------------------------- before the first command (F5) */

bool apply_load_config(void)
{
	PaxosShared *shared = paxos_shared;
	bool ok;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	ok = shared->config_length > 0 &&
		 config_decode(&apply_worker.config, shared->config, shared->config_length);
	LWLockRelease(shared->status_lock);
	return ok;
}

static void report_base_error(ErrorData *error)
{
	char detail[512];

	apply_worker.base_known = false;
	snprintf(detail, sizeof(detail), "It is not known what the cluster is to begin with: %s.",
			 error->message);
	apply_report(BASE_UNREADABLE, false, detail);
	if (apply_is_reminder_due())
		ereport(
			LOG,
			(errcode(error->sqlerrcode),
			 errmsg("paxoskv cannot tell what the cluster is to begin with: %s", error->message),
			 error->sqlerrcode == ERRCODE_DATA_EXCEPTION
				 ? errhint("DROP EXTENSION paxoskv drops these rows; create it again, and restore a dump.")
				 : 0));
}

static bool base_is_old(void)
{
	bool old;

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	old = !apply_worker.base_known || apply_worker.base_loads != paxos_shared->loads;
	LWLockRelease(paxos_shared->status_lock);
	return old;
}

/* Reads the tables, and reports what they hold. */
static void look_at_base(void)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		Recount recount;

		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		base_read(&apply_worker.base, &recount, &apply_worker.base_loads);
		PopActiveSnapshot();
		CommitTransactionCommand();
		flush_begin(apply_worker.state.applied); /* what is agreed on must outlast a crash */
		apply_worker.base_known = true;
		apply_report(DATABASE_READY, false, "");
		apply_no_longer_waits();
	}
	PG_CATCH();
	{
		ErrorData *error = apply_take_error(context);

		report_base_error(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* What a superuser loads until there is a cluster is what it begins with; the log then begins behind it. */
static void wait_for_cluster(void)
{
	while (!apply_worker.state.stored && !apply_load_config())
	{
		if (apply_find_extension() != apply_worker.extension)
			proc_exit(1);
		if (base_is_old())
			look_at_base();
		apply_wait(BASE_POLL_MS);
		apply_reload_if_asked();
	}
	if (apply_worker.state.stored)
		return;
	if (base_is_old())
		look_at_base();
	if (apply_worker.base_known && base_same(&apply_worker.base, &apply_worker.config.base))
		apply_worker.state.applied = apply_worker.base.slot;
	pg_atomic_write_u64(&paxos_shared->applied_slot, apply_worker.state.applied);
}

/* ---------------------------------------------------------------- beginning */

/* T5: who loads may be about to commit, though nobody waits for it any more; then it has, or never will. */
static void wait_for_loader(void)
{
	while (pg_atomic_read_u32(&paxos_shared->snapshot.sides[SNAPSHOT_RECEIVING].pid) != 0 &&
		   !apply_is_hold_asked())
	{
		apply_wait(APPLY_MISSING_POLL_MS);
		apply_reload_if_asked();
	}
}

/* What the tables have.  Where they were being loaded just then it is read again before anything is applied. */
static void read_tables(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;
	uint64 loads;

	apply_worker.stale = apply_is_hold_asked();
	wait_for_loader();
	loads = pg_atomic_read_u64(&snapshot->loads);
	apply_wait_for_extension();
	wait_for_state();
	/* Another's rows: whatever was wrong with the old ones. */
	if (loads != pg_atomic_read_u64(&snapshot->loads_seen) && apply_worker.state.diverged[0] == '\0')
		apply_forget_divergence();
	pg_atomic_write_u64(&snapshot->loads_seen, loads);
}

void apply_begin(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;

	read_tables();
	wait_for_cluster();
	apply_report(DATABASE_READY, false, "");
	apply_publish_lost_results();
	feed_reader_ask(&apply_worker.feed, apply_worker.state.applied + 1, TopMemoryContext);
	if (!apply_worker.stale && !apply_is_hold_asked())
		pg_atomic_write_u32(&snapshot->held, 0);
	shmem_wake_consensus();
}
