/*
 * apply_worker.c - the apply worker: turns chosen entries into rows, many to a transaction.
 *
 * It commits asynchronously (T1): PostgreSQL may lose the last transactions in a crash, never one from the
 * middle, and the log replays them.  Trouble of the surroundings (locks, disk, memory) is waited out; what
 * can't be applied at all stops it at its slot (T4; apply_errors.c tells them apart).  Nothing is ever skipped.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "log/log.h"
#include "pg_compat.h"
#include "worker/apply_base.h"
#include "worker/apply_flush.h"
#include "worker/apply_worker.h"
#include "worker/settings.h"
#include "worker/workers.h"

#define BATCH_BYTES (4u << 20)
/* What may or may not pass is tried so often, about seven seconds, before it stops apply. */
#define DOUBTFUL_TRIES 8

ApplyWorker apply_worker;
static bool is_apply_worker = false;

typedef enum BatchOutcome
{
	BATCH_DONE,
	BATCH_RETRY,    /* the surroundings */
	BATCH_DOUBTFUL, /* they or itself */
	BATCH_BROKEN,   /* its own fault */
} BatchOutcome;

bool am_apply_worker(void)
{
	return is_apply_worker;
}

/* ---------------------------------------------------------------- one batch */

/* F5: what is there when the first command comes is what the cluster agreed to begin with, or nothing is applied. */
static void count_what_is_there(ApplyState *state)
{
	struct paxos_base base;
	Recount recount;
	uint64 loads;

	base_read(&base, &recount, &loads);
	if (!base_same(&base, &apply_worker.config.base))
		ereport(ERROR, (errcode(ERRCODE_DATA_EXCEPTION),
						errmsg("the rows are not those that the cluster began with")));
	state->hash = recount.result.found.hash;
	state->rows = (int64) recount.result.found.rows;
}

static int apply_in_transaction(ApplyEntry *entries, int n, ApplyState *state)
{
	int n_results;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	if (!apply_load_config())
		elog(ERROR, "entries were chosen without a configuration");
	if (!state->stored)
	{
		LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
		state->store_id = paxos_shared->store_id;
		LWLockRelease(paxos_shared->status_lock);
		count_what_is_there(state);
	}
	n_results = apply_fold(entries, n, &apply_worker.config, paxos_shared->map_session, state,
						   apply_worker.results, apply_worker.details_context);
	store_write_state(state, &apply_worker.config);
	PopActiveSnapshot();
	CommitTransactionCommand();
	state->stored = true;
	return n_results;
}

static void remind(uint64 slot, const ErrorData *error)
{
	char detail[512];

	snprintf(detail, sizeof(detail), "Apply waits at slot %llu: %s.", (unsigned long long) slot,
			 error->message);
	apply_report(DATABASE_READY, false, detail);
	if (!apply_is_reminder_due())
		return;
	ereport(LOG, (errcode(error->sqlerrcode),
				  errmsg("paxoskv cannot apply slot %llu now and tries again: %s", (unsigned long long) slot,
						 error->message),
				  error->detail ? errdetail_internal("%s", error->detail) : 0));
}

static BatchOutcome judge_error(uint64 slot, const ErrorData *error)
{
	ApplyErrorKind kind = apply_judge_error(error->sqlerrcode);

	/* Its tables are gone: this life began with others. */
	if (kind != APPLY_ERROR_PASSES && apply_find_extension() != apply_worker.extension)
	{
		ereport(LOG, (errmsg("paxoskv apply worker starts anew: %s", error->message)));
		proc_exit(1);
	}
	if (kind == APPLY_ERROR_STAYS)
		return BATCH_BROKEN;
	remind(slot, error);
	return kind == APPLY_ERROR_PASSES ? BATCH_RETRY : BATCH_DOUBTFUL;
}

/* Tries n entries in one transaction, or as many as it takes; *message says what broke. */
static BatchOutcome try_entries(ApplyEntry *entries, int n, char *message, size_t size)
{
	ApplyState state = apply_worker.state;
	volatile BatchOutcome outcome = BATCH_DONE;
	volatile int n_results = 0;
	MemoryContext context = CurrentMemoryContext;
	bool first;

	MemoryContextReset(apply_worker.details_context);
	PG_TRY();
	{
		n_results = apply_in_transaction(entries, n, &state);
	}
	PG_CATCH();
	{
		ErrorData *error = apply_take_error(context);

		outcome = judge_error(entries[0].slot, error);
		strlcpy(message, error->message, size);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (outcome != BATCH_DONE)
		return outcome;
	first = !apply_worker.state.stored;
	apply_worker.state = state;
	flush_note(state.applied);
	if (apply_worker.waits)
	{
		apply_report(DATABASE_READY, false, "");
		apply_no_longer_waits();
	}
	apply_publish_results(apply_worker.results, n_results);
	flush_publish();
	if (first) /* D3: from now on the database follows one log */
		apply_report(DATABASE_READY, false, "");
	pgstat_report_stat(false);
	return BATCH_DONE;
}

/*
 * T4: stops at a slot until the server restarts or reloads, or another's rows come; says so in the log and in the
 * status.  of_tables: what is there may be the cause, not the entry.
 */
static void stop_at(uint64 slot, const char *why, bool of_tables)
{
	char detail[512];

	snprintf(detail, sizeof(detail), "Apply has stopped at slot %llu: %s.", (unsigned long long) slot, why);
	ereport(LOG,
			(errcode(ERRCODE_DATA_EXCEPTION),
			 errmsg("paxoskv apply has stopped at slot %llu: %s", (unsigned long long) slot, why),
			 of_tables
				 ? errhint("Nothing is skipped. If what this node has cannot be read, SELECT "
						   "paxos_resync() on it takes the rows of another one. Otherwise mend the cause, "
						   "then reload or restart the server.")
				 : errhint("Nothing is skipped. Mend the cause (a later version may know this entry), then "
						   "reload or restart the server.")));
	apply_report(DATABASE_READY, true, detail);
	while (!ConfigReloadPending && !apply_is_hold_asked())
		apply_wait(-1);
	apply_reload_if_asked();
	apply_report(DATABASE_READY, false, "");
}

/* For so long, whatever is chosen meanwhile: that is no reason to try again. */
static void pause_before_retry(long pause_ms)
{
	uint64 now = apply_clock_ms();
	uint64 until = now + (uint64) pause_ms;

	for (; now < until && !ConfigReloadPending && !apply_is_hold_asked() &&
		   pg_atomic_read_u32(&paxos_shared->state.diverged) == 0;
		 now = apply_clock_ms())
		apply_wait((long) (until - now));
	apply_reload_if_asked();
}

/* Applies n entries, however long that takes.  False: the stream must be asked for again. */
static bool apply_entries(ApplyEntry *entries, int n)
{
	long pause_ms = APPLY_RETRY_FIRST_MS;
	char message[256] = "";
	int doubts = 0;

	for (;;)
	{
		BatchOutcome outcome;

		if (apply_stop_if_diverged() || apply_is_hold_asked())
			return false;
		outcome = try_entries(entries, n, message, sizeof(message));
		if (outcome == BATCH_DONE && apply_worker.state.applied == entries[n - 1].slot)
			return true;
		if (outcome == BATCH_DONE)
		{
			int done = (int) (apply_worker.state.applied - entries[0].slot) + 1;

			entries += done;
			n -= done;
			pause_ms = APPLY_RETRY_FIRST_MS;
			doubts = 0;
			continue;
		}
		if (outcome == BATCH_DOUBTFUL && ++doubts == DOUBTFUL_TRIES)
			outcome = BATCH_BROKEN;
		if (outcome == BATCH_BROKEN && n == 1)
		{
			stop_at(entries[0].slot, message, doubts > 0);
			return false;
		}
		if (outcome == BATCH_BROKEN)
		{
			/* One by one, to find the one. */
			for (int i = 0; i < n; i++)
				if (!apply_entries(&entries[i], 1))
					return false;
			return true;
		}
		pause_before_retry(pause_ms);
		pause_ms = Min(2 * pause_ms, APPLY_RETRY_MAX_MS);
	}
}

static void apply_batch(void)
{
	const char *why = NULL;
	int n = apply_check(apply_worker.entries, apply_worker.n_entries, &why);

	if (n > 0 && !apply_entries(apply_worker.entries, n))
		feed_reader_ask(&apply_worker.feed, apply_worker.state.applied + 1, TopMemoryContext);
	else if (n < apply_worker.n_entries)
	{
		stop_at(apply_worker.entries[n].slot, why, false);
		feed_reader_ask(&apply_worker.feed, apply_worker.state.applied + 1, TopMemoryContext);
	}
}

/* ---------------------------------------------------------------- loop */

/* Takes what is there, up to a batch.  An entry that is still coming in stays with the reader. */
static void collect_batch(void)
{
	uint64 bytes = 0;

	apply_worker.n_entries = 0;
	while (apply_worker.n_entries < APPLY_BATCH_ENTRIES && bytes < BATCH_BYTES)
	{
		ApplyEntry *entry = &apply_worker.entries[apply_worker.n_entries];

		if (!feed_read(&apply_worker.feed, &entry->slot, &entry->entry))
			break;
		bytes += entry->entry.length;
		apply_worker.n_entries++;
	}
}

/* Keeps prepared segment files ready, while there is nothing to apply. */
static void prepare_segments(void)
{
	uint64 log_bytes = pg_atomic_read_u64(&paxos_shared->log_bytes);
	struct plog_options options = {.segment_bytes = (uint64) paxoskv_segment_size, .min_free_segments = 2};
	struct plog_error error;
	char directory[MAXPGPATH];

	if (log_bytes == 0 || (apply_worker.prepared && apply_worker.prepared_at_log_bytes == log_bytes))
		return;
	apply_worker.prepared = true;
	apply_worker.prepared_at_log_bytes = log_bytes;
	if (paxoskv_log_directory[0] != '\0')
		strlcpy(directory, paxoskv_log_directory, sizeof(directory));
	else
		snprintf(directory, sizeof(directory), "%s/paxoskv/pgsql_tmp_log", DataDir);
	if (plog_prepare_segments(directory, file_ops_posix(), &options, &error) != PLOG_OK &&
		log_limit_pass(&apply_worker.preparing, apply_clock_ms(), NULL))
		ereport(LOG, (errmsg("paxoskv could not prepare segments of the log: %s", error.message)));
}

static void detach(int code, Datum arg)
{
	pg_atomic_write_u32(&paxos_shared->apply_procno, (uint32) NO_PROC);
}

static void start(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	is_apply_worker = true;
	flush_forget();
	before_shmem_exit(detach, (Datum) 0);
	apply_connect();
	pg_atomic_write_u32(&paxos_shared->apply_procno, (uint32) compat_my_procno());
	apply_override_settings();
	apply_worker.batch_context =
		AllocSetContextCreate(TopMemoryContext, "paxoskv batch", ALLOCSET_DEFAULT_SIZES);
	apply_worker.details_context =
		AllocSetContextCreate(TopMemoryContext, "paxoskv results", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(apply_worker.batch_context);
	apply_begin();
}

/*
 * T5: stands still, in no transaction, while another's rows are loaded.  Then begins as in a new life: with what the
 * tables have.
 */
static void stay_held(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;

	while (apply_is_hold_asked())
	{
		pg_atomic_write_u32(&snapshot->held, pg_atomic_read_u32(&snapshot->hold));
		shmem_wake_consensus();
		apply_wait(-1);
		apply_reload_if_asked();
	}
	apply_begin();
}

static void free_entries(void)
{
	for (int i = 0; i < apply_worker.n_entries; i++)
		pfree(unconstify(uint8_t *, apply_worker.entries[i].entry.bytes));
	apply_worker.n_entries = 0;
}

void paxoskv_apply_main(Datum arg)
{
	start();
	for (;;)
	{
		apply_check_interrupts();
		apply_reload_if_asked();
		if (apply_is_hold_asked() || apply_worker.stale)
		{
			stay_held();
			continue;
		}
		if (apply_stop_if_diverged())
			continue;
		if (feed_reader_broken(&apply_worker.feed))
		{
			apply_report(DATABASE_READY, false, "");
			feed_reader_ask(&apply_worker.feed, apply_worker.state.applied + 1, TopMemoryContext);
		}
		collect_batch();
		if (apply_worker.n_entries > 0)
		{
			apply_batch();
			free_entries();
			MemoryContextReset(apply_worker.details_context);
			MemoryContextReset(apply_worker.batch_context);
			MemoryContextSwitchTo(apply_worker.batch_context);
			continue;
		}
		prepare_segments();
		(void) pgstat_report_stat(false);
		apply_wait(apply_worker.prepared ? -1 : 1000);
	}
}
