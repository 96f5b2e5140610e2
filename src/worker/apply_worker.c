/*
 * apply_worker.c - the apply worker: turns chosen entries into rows, many to a transaction, and answers the
 * backends whose commands they are.
 *
 * It commits asynchronously (T1): PostgreSQL may lose the last transactions in a crash, never one from the
 * middle, and the log replays them.  Trouble of the surroundings (locks, disk, memory) is waited out; what
 * can't be applied at all stops it at its slot (T4; apply_errors.c tells them apart).  Nothing is ever skipped.
 */
#include "postgres.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "commands/dbcommands.h"
#include "commands/extension.h"
#include "executor/spi.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/dsm.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "log/log.h"
#include "pg_compat.h"
#include "transport/log_limit.h"
#include "worker/apply.h"
#include "worker/apply_base.h"
#include "worker/apply_flush.h"
#include "worker/feed.h"
#include "worker/recount.h"
#include "worker/settings.h"
#include "worker/shmem.h"
#include "worker/store_tables.h"
#include "worker/workers.h"

#define BATCH_ENTRIES 1024
#define BATCH_BYTES (4u << 20)
#define RETRY_FIRST_MS 50
#define RETRY_MAX_MS 2000
#define MISSING_POLL_MS 250
/* F5: how often to look whether rows were loaded. */
#define BASE_POLL_MS 250
/* What may or may not pass is tried so often, about seven seconds, before it stops apply. */
#define DOUBTFUL_TRIES 8
/* How often to try to store that its rows are not the cluster's. */
#define STORE_AGAIN_MS 30000
/* How often to look whether the server has flushed what was committed. */
#define FLUSH_POLL_MS 200

typedef struct ApplyWorker
{
	ApplyState state; /* as committed */
	struct paxos_config config;
	bool base_known; /* F5 */
	struct paxos_base base;
	uint64 base_loads;
	FeedReader feed;
	MemoryContext batch_context;
	MemoryContext details_context; /* of the results of one transaction */
	Oid extension;                 /* whose tables this life has begun with */
	ApplyEntry entries[BATCH_ENTRIES];
	ApplyResult results[BATCH_ENTRIES];
	int n_entries;
	bool stale;               /* "state" was read while another's rows were being loaded (T5) */
	bool waits;               /* for its surroundings, and says so in the status */
	struct log_limit waiting; /* what goes on */
	struct log_limit over;    /* and is over: the next one is said at once, unless it comes and goes */
	struct log_limit preparing;
	uint64 prepared_at_log_bytes; /* log size when segments were last prepared */
	bool prepared;
} ApplyWorker;

static ApplyWorker apply;
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

/* ---------------------------------------------------------------- reports */

static void report(DatabaseState database, bool stopped, const char *detail)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->report.database = database;
	shared->report.has_state = apply.state.stored;
	shared->report.store_id = apply.state.store_id;
	shared->report.base_known = apply.base_known;
	shared->report.base = apply.base;
	shared->report.base_loads = apply.base_loads;
	shared->report.stopped = stopped;
	strlcpy(shared->report.detail, detail, sizeof(shared->report.detail));
	LWLockRelease(shared->status_lock);
	shmem_wake_consensus();
}

static void detach(int code, Datum arg)
{
	pg_atomic_write_u32(&paxos_shared->apply_procno, (uint32) NO_PROC);
}

/* A cancel is meant for a statement; where none runs it must not end the worker. */
static void check_interrupts(void)
{
	if (!IsTransactionState())
		QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

/* Waits for the latch, interruptibly; -1: for as long as it takes, or until there is a flush to be told of. */
static void wait_latch(long timeout_ms)
{
	int events;

	flush_publish();
	if (flush_is_awaited())
		timeout_ms = timeout_ms < 0 ? FLUSH_POLL_MS : Min(timeout_ms, FLUSH_POLL_MS);
	events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);
	(void) WaitLatch(MyLatch, events, timeout_ms, compat_wait_event("PaxoskvApply"));
	ResetLatch(MyLatch);
	check_interrupts();
}

static void reload_if_asked(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

/* ---------------------------------------------------------------- the database */

/* Looks the database up in a worker that is bound to none: by a scan, as autovacuum does. */
static Oid find_database(void)
{
	Relation relation;
	TableScanDesc scan;
	HeapTuple tuple;
	Oid found = InvalidOid;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	relation = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(relation, 0, NULL);
	while ((tuple = heap_getnext(scan, ForwardScanDirection)) != NULL)
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);

		if (strcmp(NameStr(database->datname), paxoskv_database) == 0)
			found = database->oid;
	}
	table_endscan(scan);
	table_close(relation, AccessShareLock);
	CommitTransactionCommand();
	return found;
}

/* A worker connects once in its life: this one waits for the database, the next one connects to it. */
static void look_for_database(void)
{
	PaxosShared *shared = paxos_shared;
	char detail[NAMEDATALEN + 80];
	bool said = false;
	Oid oid;

	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	snprintf(detail, sizeof(detail), "Database \"%s\" does not exist.", paxoskv_database);
	while (!OidIsValid(oid = find_database()))
	{
		if (!said)
			ereport(LOG, (errmsg("paxoskv waits for database \"%s\" to be created", paxoskv_database)));
		said = true;
		report(DATABASE_MISSING, false, detail);
		wait_latch(MISSING_POLL_MS);
		reload_if_asked();
	}
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->database_oid = oid;
	LWLockRelease(shared->status_lock);
	proc_exit(1);
}

/*
 * Connects by name if that was not tried, by the OID that the last life found, or looks for the database.
 * What is tried is noted before, so that a failure (which ends this life) leads to the look-up.
 */
static void connect_to_database(void)
{
	PaxosShared *shared = paxos_shared;
	bool tried;
	Oid oid;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	tried = shared->by_name;
	oid = shared->database_oid;
	shared->by_name = true;
	shared->database_oid = InvalidOid;
	LWLockRelease(shared->status_lock);
	if (OidIsValid(oid))
		BackgroundWorkerInitializeConnectionByOid(oid, InvalidOid, BGWORKER_BYPASS_ALLOWCONN);
	else if (!tried)
		BackgroundWorkerInitializeConnection(paxoskv_database, NULL, BGWORKER_BYPASS_ALLOWCONN);
	else
		look_for_database();
	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->by_name = false;
	LWLockRelease(shared->status_lock);
}

static void override_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", ""},
		{"session_replication_role", "replica"},
		{"synchronous_commit", "off"},
		{"lock_timeout", "1s"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"row_security", "off"},
		{"temp_file_limit", "-1"}, /* a clear of many rows must not stop at it, again and again */
		{"exit_on_error", "off"},
		{"max_parallel_workers_per_gather", "0"},
		{"plan_cache_mode", "force_generic_plan"},
		{"enable_seqscan", "off"},
		{"enable_hashjoin", "off"},
		{"enable_mergejoin", "off"},
		{"enable_nestloop", "on"},
		{"enable_indexscan", "on"},
		{"jit", "off"},
		{"transaction_timeout", "0"},
	};

	/* ALTER DATABASE ... SET session_authorization or role would make it somebody without rights. */
	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
	for (int i = 0; i < (int) lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

static Oid find_extension(void)
{
	Oid extension;

	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	extension = get_extension_oid(PAXOSKV_EXTENSION, true);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return extension;
}

static void wait_for_extension(void)
{
	char detail[NAMEDATALEN + 100];
	bool said = false;

	if (GetDatabaseEncoding() != PG_UTF8)
	{
		snprintf(detail, sizeof(detail), "Database \"%s\" is not UTF8.", paxoskv_database);
		ereport(LOG, (errcode(ERRCODE_FEATURE_NOT_SUPPORTED), errmsg("paxoskv needs a database in UTF8"),
					  errdetail("%s", detail)));
		report(DATABASE_MISSING, true, detail);
		for (;;)
			wait_latch(-1);
	}
	snprintf(detail, sizeof(detail), "Extension paxoskv is not created in database \"%s\".",
			 paxoskv_database);
	while (!OidIsValid(apply.extension = find_extension()))
	{
		if (!said)
		{
			ereport(LOG, (errmsg("paxoskv waits for its extension to be created in database \"%s\"",
								 paxoskv_database),
						  errhint("CREATE EXTENSION paxoskv, there.")));
			report(EXTENSION_MISSING, false, detail);
		}
		said = true;
		wait_latch(MISSING_POLL_MS);
		reload_if_asked();
	}
}

/* ---------------------------------------------------------------- errors */

/* In a PG_CATCH block: ends the transaction, and returns its error in the context. */
static ErrorData *take_error(MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	return error;
}

/* Whether what goes wrong is to be logged again. */
static uint64 clock_ms(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MILLISEC(now) + 1;
}

/* Notes that it waits for its surroundings; whether the log is to be told, again. */
static bool is_reminder_due(void)
{
	apply.waits = true;
	return log_limit_pass(&apply.waiting, clock_ms(), NULL);
}

/* ---------------------------------------------------------------- a state that is not the cluster's (T3) */

static void store_diverged(const char *why)
{
	MemoryContext context = CurrentMemoryContext;

	PG_TRY();
	{
		StartTransactionCommand();
		PushActiveSnapshot(GetTransactionSnapshot());
		store_write_diverged(why);
		PopActiveSnapshot();
		CommitTransactionCommand();
		strlcpy(apply.state.diverged, why, sizeof(apply.state.diverged));
	}
	PG_CATCH();
	{
		ErrorData *error = take_error(context);

		if (is_reminder_due())
			ereport(LOG, (errcode(error->sqlerrcode),
						  errmsg("paxoskv cannot store now why apply has stopped: %s", error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* T5: the consensus worker wants the tables for another's rows. */
static bool is_hold_asked(void)
{
	return pg_atomic_read_u32(&paxos_shared->snapshot.hold) != 0;
}

/* Applies nothing more, in this life or a later one: until the tables are made anew, or another's rows come (T5). */
static void stay_stopped(const char *why)
{
	ereport(
		LOG,
		(errcode(ERRCODE_DATA_CORRUPTED),
		 errmsg("paxoskv apply has stopped: the rows of this node are not the cluster's"),
		 errdetail("%s", why),
		 errhint("Reads and writes are refused here, the other nodes go on. SELECT paxos_resync() on this "
				 "node takes the rows of another one.")));
	report(DATABASE_READY, true, why);
	for (uint64 tried_ms = 0; !is_hold_asked();)
	{
		bool due = tried_ms == 0 || clock_ms() - tried_ms >= STORE_AGAIN_MS;

		/* Until it is stored it is tried again; there is a row to store it in once something was applied. */
		if (apply.state.stored && apply.state.diverged[0] == '\0' && due)
		{
			tried_ms = clock_ms();
			store_diverged(why);
		}
		wait_latch(apply.state.diverged[0] == '\0' ? STORE_AGAIN_MS : -1);
		reload_if_asked();
	}
}

/* Whether it did: then it was asked to stand still meanwhile. */
static bool stop_if_diverged(void)
{
	StateBoard *board = &paxos_shared->state;
	char why[DIVERGENCE_MAX];

	if (pg_atomic_read_u32(&board->diverged) == 0)
		return false;
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	strlcpy(why, board->divergence, sizeof(why));
	LWLockRelease(paxos_shared->status_lock);
	stay_stopped(why);
	return true;
}

/* Another's rows are there: whatever was wrong with the old ones. */
static void forget_divergence(void)
{
	StateBoard *board = &paxos_shared->state;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	board->divergence[0] = '\0';
	pg_atomic_write_u32(&board->diverged, 0);
	LWLockRelease(paxos_shared->status_lock);
	pg_atomic_fetch_add_u64(&board->changes, 1);
}

/* What an earlier life stored holds in this one. */
static void publish_stored_divergence(void)
{
	StateBoard *board = &paxos_shared->state;

	if (apply.state.diverged[0] == '\0')
		return;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	strlcpy(board->divergence, apply.state.diverged, sizeof(board->divergence));
	pg_atomic_write_u32(&board->diverged, 1);
	LWLockRelease(paxos_shared->status_lock);
}

static void publish_points(void)
{
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	paxos_shared->state.points = apply.state.points;
	LWLockRelease(paxos_shared->status_lock);
}

/* ---------------------------------------------------------------- the state, when a life begins */

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
	apply.state = state;
	publish_points(); /* first: who has stopped is judged by how far it got (state_is_lost()) */
	publish_stored_divergence();
	pg_atomic_write_u64(&paxos_shared->applied_slot, state.applied);
	flush_begin(state.applied);
}

static void no_longer_waits(void)
{
	apply.over.burst = 4;
	if (apply.waits && log_limit_pass(&apply.over, clock_ms(), NULL))
		apply.waiting = (struct log_limit){0};
	apply.waits = false;
}

static void report_unreadable(const ErrorData *error)
{
	const char *advice = "";
	char detail[512];

	/* an older version's tables lack what a newer library asks for */
	if (error->sqlerrcode == ERRCODE_UNDEFINED_COLUMN || error->sqlerrcode == ERRCODE_UNDEFINED_TABLE)
		advice = " If the library was updated, run ALTER EXTENSION " PAXOSKV_EXTENSION " UPDATE.";
	snprintf(detail, sizeof(detail), "Apply cannot begin: %s.%s", error->message, advice);
	report(EXTENSION_MISSING, apply_judge_error(error->sqlerrcode) != APPLY_ERROR_PASSES, detail);
	if (is_reminder_due())
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
		ErrorData *error = take_error(context);

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
	long pause_ms = RETRY_FIRST_MS;

	while (!try_to_read_state())
	{
		wait_latch(pause_ms);
		reload_if_asked();
		pause_ms = Min(2 * pause_ms, RETRY_MAX_MS);
		wait_for_extension();
	}
	no_longer_waits();
}

/* ---------------------------------------------------------------- before the first command (F5) */

static bool load_config(void)
{
	PaxosShared *shared = paxos_shared;
	bool ok;

	LWLockAcquire(shared->status_lock, LW_SHARED);
	ok = shared->config_length > 0 && config_decode(&apply.config, shared->config, shared->config_length);
	LWLockRelease(shared->status_lock);
	return ok;
}

static void report_base_error(ErrorData *error)
{
	char detail[512];

	apply.base_known = false;
	snprintf(detail, sizeof(detail), "It is not known what the cluster is to begin with: %s.",
			 error->message);
	report(BASE_UNREADABLE, false, detail);
	if (is_reminder_due())
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
	old = !apply.base_known || apply.base_loads != paxos_shared->loads;
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
		base_read(&apply.base, &recount, &apply.base_loads);
		PopActiveSnapshot();
		CommitTransactionCommand();
		flush_begin(apply.state.applied); /* what is agreed on must outlast a crash */
		apply.base_known = true;
		report(DATABASE_READY, false, "");
		no_longer_waits();
	}
	PG_CATCH();
	{
		ErrorData *error = take_error(context);

		report_base_error(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
}

/* What a superuser loads until there is a cluster is what it begins with; the log then begins behind it. */
static void wait_for_cluster(void)
{
	while (!apply.state.stored && !load_config())
	{
		if (find_extension() != apply.extension)
			proc_exit(1);
		if (base_is_old())
			look_at_base();
		wait_latch(BASE_POLL_MS);
		reload_if_asked();
	}
	if (apply.state.stored)
		return;
	if (base_is_old())
		look_at_base();
	if (apply.base_known && base_same(&apply.base, &apply.config.base))
		apply.state.applied = apply.base.slot;
	pg_atomic_write_u64(&paxos_shared->applied_slot, apply.state.applied);
}

/* ---------------------------------------------------------------- results */

static Request *numbered_request(uint64 session, uint64 number)
{
	uint32 *entry = shmem_map_entry(number);
	Request *request;

	if (session != paxos_shared->map_session || *entry == 0)
		return NULL;
	request = shmem_request(*entry - 1);
	return request->session == session && request->number == number ? request : NULL;
}

/* Gives the outcome to its client; returns whom to wake.  map_lock is held. */
static int finish_request(Request *request, RequestOutcome outcome, const ApplyResult *result)
{
	int procno = request->procno;
	bool moved;

	request->outcome = outcome;
	request->slot = result->slot;
	request->rows_removed = result->rows_removed;
	request->succeeded = result->succeeded;
	*shmem_map_entry(request->number) = 0;
	moved = shmem_request_move(request, REQUEST_NUMBERED, REQUEST_DONE);
	shmem_request_drop(request, HOLD_APPLY);
	return moved ? procno : NO_PROC;
}

/* A pinned segment with the result's details; DSM_HANDLE_INVALID: there is no room. */
static dsm_handle make_segment(const ApplyResult *result)
{
	MemoryContext context = CurrentMemoryContext;
	volatile dsm_handle handle = DSM_HANDLE_INVALID;

	PG_TRY();
	{
		dsm_segment *segment = dsm_create(result->details_length, DSM_CREATE_NULL_IF_MAXSEGMENTS);

		if (segment != NULL)
		{
			memcpy(dsm_segment_address(segment), result->details, result->details_length);
			dsm_pin_segment(segment);
			handle = dsm_segment_handle(segment);
			dsm_detach(segment);
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return handle;
}

/*
 * Large details get segments before map_lock is taken, which the consensus worker waits for; only those of this node's
 * session, and some for nobody, as what the session is may change until then.
 */
static void make_segments(ApplyResult *results, int n)
{
	for (int i = 0; i < n; i++)
	{
		results[i].segment = DSM_HANDLE_INVALID;
		if (results[i].details_length > REQUEST_INLINE_DETAILS &&
			results[i].session == paxos_shared->map_session)
			results[i].segment = make_segment(&results[i]);
	}
}

static void drop_segments(ApplyResult *results, int n)
{
	for (int i = 0; i < n; i++)
		if (results[i].segment != DSM_HANDLE_INVALID)
			dsm_unpin_segment(results[i].segment);
}

/* Puts what the command's operations did where its client finds it; the outcome to tell it.  map_lock is held. */
static RequestOutcome hand_over(Request *request, ApplyResult *result)
{
	if (result->outcome == APPLY_CONFLICT)
		return OUTCOME_CONFLICT;
	if (result->outcome == APPLY_GIVEN_UP)
		return OUTCOME_GIVEN_UP;
	if (result->outcome == APPLY_TOO_OLD)
		return OUTCOME_TOO_OLD;
	request->details_lost = result->details_lost;
	if (result->details_lost)
		return OUTCOME_RESULT_LOST;
	request->details_length = result->details_length;
	if (result->details_length > REQUEST_INLINE_DETAILS)
	{
		request->details_segment = result->segment;
		result->segment = DSM_HANDLE_INVALID; /* the request's last holder lets go of it */
		return request->details_segment != DSM_HANDLE_INVALID ? OUTCOME_OK : OUTCOME_RESULT_LOST;
	}
	if (result->details_length > 0)
		memcpy(request->details, result->details, result->details_length);
	return OUTCOME_OK;
}

/* First everything is marked done, then the latches are set, outside of the lock. */
static void publish_results(ApplyResult *results, int n)
{
	static int procs[BATCH_ENTRIES];
	int n_procs = 0;

	publish_points();
	pg_atomic_write_u64(&paxos_shared->applied_slot, apply.state.applied);
	if (n > 0)
	{
		make_segments(results, n);
		LWLockAcquire(paxos_shared->map_lock, LW_EXCLUSIVE);
		for (int i = 0; i < n; i++)
		{
			Request *request = numbered_request(results[i].session, results[i].number);

			if (request != NULL)
				procs[n_procs++] = finish_request(request, hand_over(request, &results[i]), &results[i]);
		}
		LWLockRelease(paxos_shared->map_lock);
		drop_segments(results, n);
	}
	for (int i = 0; i < n_procs; i++)
		shmem_wake_proc(procs[i]);
	ConditionVariableBroadcast(&paxos_shared->applied_cv);
}

/* O: whether a command that is next in its session may have had no effect all the same. */
static bool may_be_void(const Request *request)
{
	const struct session *session = session_find(&apply.state.sessions, request->session);

	return request->has_request_id || session == NULL || session->has_void;
}

/* What the last life committed and did not say any more: applied, the result is not known (X6). */
static void publish_lost_results(void)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->map_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < shared->map_size; i++)
	{
		uint32 index = *shmem_map_entry(i);
		Request *request = index == 0 ? NULL : shmem_request(index - 1);
		uint64 slot = request == NULL ? 0 : pg_atomic_read_u64(&request->chosen_slot);

		if (slot != 0 && slot <= apply.state.applied)
			shmem_wake_proc(finish_request(request,
										   may_be_void(request) ? OUTCOME_UNKNOWN : OUTCOME_RESULT_LOST,
										   &(ApplyResult){.slot = slot}));
	}
	LWLockRelease(shared->map_lock);
	ConditionVariableBroadcast(&shared->applied_cv);
}

/* ---------------------------------------------------------------- one batch */

/* F5: what is there when the first command comes is what the cluster agreed to begin with, or nothing is applied. */
static void count_what_is_there(ApplyState *state)
{
	struct paxos_base base;
	Recount recount;
	uint64 loads;

	base_read(&base, &recount, &loads);
	if (!base_same(&base, &apply.config.base))
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
	if (!load_config())
		elog(ERROR, "entries were chosen without a configuration");
	if (!state->stored)
	{
		LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
		state->store_id = paxos_shared->store_id;
		LWLockRelease(paxos_shared->status_lock);
		count_what_is_there(state);
	}
	n_results = apply_fold(entries, n, &apply.config, paxos_shared->map_session, state, apply.results,
						   apply.details_context);
	store_write_state(state, &apply.config);
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
	report(DATABASE_READY, false, detail);
	if (!is_reminder_due())
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
	if (kind != APPLY_ERROR_PASSES && find_extension() != apply.extension)
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
	ApplyState state = apply.state;
	volatile BatchOutcome outcome = BATCH_DONE;
	volatile int n_results = 0;
	MemoryContext context = CurrentMemoryContext;
	bool first;

	MemoryContextReset(apply.details_context);
	PG_TRY();
	{
		n_results = apply_in_transaction(entries, n, &state);
	}
	PG_CATCH();
	{
		ErrorData *error = take_error(context);

		outcome = judge_error(entries[0].slot, error);
		strlcpy(message, error->message, size);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	if (outcome != BATCH_DONE)
		return outcome;
	first = !apply.state.stored;
	apply.state = state;
	flush_note(state.applied);
	if (apply.waits)
	{
		report(DATABASE_READY, false, "");
		no_longer_waits();
	}
	publish_results(apply.results, n_results);
	flush_publish();
	if (first) /* D3: from now on the database follows one log */
		report(DATABASE_READY, false, "");
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
	report(DATABASE_READY, true, detail);
	while (!ConfigReloadPending && !is_hold_asked())
		wait_latch(-1);
	reload_if_asked();
	report(DATABASE_READY, false, "");
}

/* Applies n entries, however long that takes.  False: the stream must be asked for again. */
static bool apply_entries(ApplyEntry *entries, int n)
{
	long pause_ms = RETRY_FIRST_MS;
	char message[256] = "";
	int doubts = 0;

	for (;;)
	{
		BatchOutcome outcome;

		if (stop_if_diverged() || is_hold_asked())
			return false;
		outcome = try_entries(entries, n, message, sizeof(message));
		if (outcome == BATCH_DONE && apply.state.applied == entries[n - 1].slot)
			return true;
		if (outcome == BATCH_DONE)
		{
			int done = (int) (apply.state.applied - entries[0].slot) + 1;

			entries += done;
			n -= done;
			pause_ms = RETRY_FIRST_MS;
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
		wait_latch(pause_ms);
		reload_if_asked();
		pause_ms = Min(2 * pause_ms, RETRY_MAX_MS);
	}
}

static void apply_batch(void)
{
	const char *why = NULL;
	int n = apply_check(apply.entries, apply.n_entries, &why);

	if (n > 0 && !apply_entries(apply.entries, n))
		feed_reader_ask(&apply.feed, apply.state.applied + 1, TopMemoryContext);
	else if (n < apply.n_entries)
	{
		stop_at(apply.entries[n].slot, why, false);
		feed_reader_ask(&apply.feed, apply.state.applied + 1, TopMemoryContext);
	}
}

/* ---------------------------------------------------------------- loop */

/* Takes what is there, up to a batch.  An entry that is still coming in stays with the reader. */
static void collect_batch(void)
{
	uint64 bytes = 0;

	apply.n_entries = 0;
	while (apply.n_entries < BATCH_ENTRIES && bytes < BATCH_BYTES)
	{
		ApplyEntry *entry = &apply.entries[apply.n_entries];

		if (!feed_read(&apply.feed, &entry->slot, &entry->entry))
			break;
		bytes += entry->entry.length;
		apply.n_entries++;
	}
}

/* Keeps prepared segment files ready, while there is nothing to apply. */
static void prepare_segments(void)
{
	uint64 log_bytes = pg_atomic_read_u64(&paxos_shared->log_bytes);
	struct plog_options options = {.segment_bytes = (uint64) paxoskv_segment_size, .min_free_segments = 2};
	struct plog_error error;
	char directory[MAXPGPATH];

	if (log_bytes == 0 || (apply.prepared && apply.prepared_at_log_bytes == log_bytes))
		return;
	apply.prepared = true;
	apply.prepared_at_log_bytes = log_bytes;
	if (paxoskv_log_directory[0] != '\0')
		strlcpy(directory, paxoskv_log_directory, sizeof(directory));
	else
		snprintf(directory, sizeof(directory), "%s/paxoskv/pgsql_tmp_log", DataDir);
	if (plog_prepare_segments(directory, file_ops_posix(), &options, &error) != PLOG_OK &&
		log_limit_pass(&apply.preparing, clock_ms(), NULL))
		ereport(LOG, (errmsg("paxoskv could not prepare segments of the log: %s", error.message)));
}

/* T5: who loads may be about to commit, though nobody waits for it any more; then it has, or never will. */
static void wait_for_loader(void)
{
	while (pg_atomic_read_u32(&paxos_shared->snapshot.sides[SNAPSHOT_RECEIVING].pid) != 0 && !is_hold_asked())
	{
		wait_latch(MISSING_POLL_MS);
		reload_if_asked();
	}
}

/* What the tables have.  Where they were being loaded just then it is read again before anything is applied. */
static void read_tables(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;
	uint64 loads;

	apply.stale = is_hold_asked();
	wait_for_loader();
	loads = pg_atomic_read_u64(&snapshot->loads);
	wait_for_extension();
	wait_for_state();
	/* Another's rows: whatever was wrong with the old ones. */
	if (loads != pg_atomic_read_u64(&snapshot->loads_seen) && apply.state.diverged[0] == '\0')
		forget_divergence();
	pg_atomic_write_u64(&snapshot->loads_seen, loads);
}

/* With what the tables have. */
static void begin_applying(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;

	read_tables();
	wait_for_cluster();
	report(DATABASE_READY, false, "");
	publish_lost_results();
	feed_reader_ask(&apply.feed, apply.state.applied + 1, TopMemoryContext);
	if (!apply.stale && !is_hold_asked())
		pg_atomic_write_u32(&snapshot->held, 0);
	shmem_wake_consensus();
}

static void start(void)
{
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();
	is_apply_worker = true;
	flush_forget();
	before_shmem_exit(detach, (Datum) 0);
	connect_to_database();
	pg_atomic_write_u32(&paxos_shared->apply_procno, (uint32) compat_my_procno());
	override_settings();
	apply.batch_context = AllocSetContextCreate(TopMemoryContext, "paxoskv batch", ALLOCSET_DEFAULT_SIZES);
	apply.details_context =
		AllocSetContextCreate(TopMemoryContext, "paxoskv results", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(apply.batch_context);
	begin_applying();
}

/*
 * T5: stands still, in no transaction, while another's rows are loaded.  Then begins as in a new life: with what the
 * tables have.
 */
static void stay_held(void)
{
	SnapshotShared *snapshot = &paxos_shared->snapshot;

	while (is_hold_asked())
	{
		pg_atomic_write_u32(&snapshot->held, pg_atomic_read_u32(&snapshot->hold));
		shmem_wake_consensus();
		wait_latch(-1);
		reload_if_asked();
	}
	begin_applying();
}

static void free_entries(void)
{
	for (int i = 0; i < apply.n_entries; i++)
		pfree(unconstify(uint8_t *, apply.entries[i].entry.bytes));
	apply.n_entries = 0;
}

void paxoskv_apply_main(Datum arg)
{
	start();
	for (;;)
	{
		check_interrupts();
		reload_if_asked();
		if (is_hold_asked() || apply.stale)
		{
			stay_held();
			continue;
		}
		if (stop_if_diverged())
			continue;
		if (feed_reader_broken(&apply.feed))
		{
			report(DATABASE_READY, false, "");
			feed_reader_ask(&apply.feed, apply.state.applied + 1, TopMemoryContext);
		}
		collect_batch();
		if (apply.n_entries > 0)
		{
			apply_batch();
			free_entries();
			MemoryContextReset(apply.details_context);
			MemoryContextReset(apply.batch_context);
			MemoryContextSwitchTo(apply.batch_context);
			continue;
		}
		prepare_segments();
		(void) pgstat_report_stat(false);
		wait_latch(apply.prepared ? -1 : 1000);
	}
}
