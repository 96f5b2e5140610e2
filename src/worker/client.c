/*
 * client.c - a backend's half of the hand-off: fill a request, submit it, wait interruptibly, say the truth
 * about the outcome.
 *
 * Until the consensus worker has numbered a command its backend can withdraw it by compare-and-swap: then
 * it is certainly not applied (X2).  After that every way out, by time-out, cancel or termination, is 40003.
 */
#include "postgres.h"

#include "access/xact.h"
#include "access/xlog.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "tcop/utility.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "paxos/bytes.h"
#include "pg_compat.h"
#include "worker/client.h"
#include "worker/client_errors.h"
#include "worker/client_memory.h"
#include "worker/settings.h"
#include "worker/shmem.h"

/* The consensus worker copies so much of a log entry at a time. */
#define LOG_PIECE_BYTES (64u * 1024)

/* ---------------------------------------------------------------- before submitting */

bool client_preloaded(void)
{
	return paxos_shared != NULL;
}

/* The store lives in one database of the server. */
void client_require_database(void)
{
	static Oid checked = InvalidOid;
	char *name;

	if (checked == MyDatabaseId)
		return;
	name = get_database_name(MyDatabaseId);
	if (name == NULL || strcmp(name, paxoskv_database) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the store is in database \"%s\"", paxoskv_database),
				 errhint("Connect to that database, or set paxoskv.database and restart the server.")));
	checked = MyDatabaseId;
}

void client_require_primary(void)
{
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE), errmsg("a standby confirms no reads"),
				 errdetail("Its paxoskv workers are dormant until it is promoted."),
				 errhint("Read with consistency 'local', or on a node of the cluster.")));
}

static void check_write_allowed(void)
{
	PreventCommandIfReadOnly("a paxoskv write");
	PreventCommandIfParallelMode("a paxoskv write");
	PreventCommandDuringRecovery("a paxoskv write");
	if (paxoskv_in_transaction == IN_TRANSACTION_ERROR && IsTransactionBlock())
		ereport(ERROR, (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
						errmsg("a paxoskv write cannot run inside a transaction block"),
						errdetail("It would take effect at once, whatever became of the transaction, and "
								  "paxoskv.in_transaction is \"error\"."),
						errhint("Call it outside of a transaction block.")));
}

static Refused refused_as(RequestKind kind, bool has_request_id)
{
	if (kind == REQUEST_TRIM)
		return REFUSED_TRIM;
	if (kind != REQUEST_COMMAND)
		return REFUSED_READ;
	return has_request_id ? REFUSED_ATTEMPT : REFUSED_COMMAND;
}

/* What is known to be refused is refused before anything is allocated. */
static void check_admission(RequestKind kind, bool has_request_id)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);

	if (admission == ADMIT || admission == ADMIT_STARTING || kind == REQUEST_LOG)
		return;
	if (kind == REQUEST_READ && (admission == ADMIT_APPLY_BEHIND || admission == ADMIT_DISK_FULL))
		return;
	refuse(refused_as(kind, has_request_id), admission);
}

/* T3: what a node has applied is not to be relied on where its rows are known to be wrong. */
static void check_not_diverged(RequestKind kind, bool has_request_id)
{
	if (pg_atomic_read_u32(&paxos_shared->state.diverged) != 0)
		refuse(refused_as(kind, has_request_id), ADMIT_DIVERGED);
}

/* By a clock that nobody sets. */
static uint64 monotonic_ms(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MILLISEC(now);
}

/* One millisecond more, because the one that has begun does not count. */
static uint64 deadline_from_now(void)
{
	return monotonic_ms() + (uint64) paxoskv_commit_timeout + 1;
}

/* Milliseconds left; 0: none. */
static long time_left(uint64 deadline)
{
	uint64 now = monotonic_ms();

	return now >= deadline ? 0 : (long) (deadline - now);
}

/* Not inlined: its variables would be live across the callers' setjmp. */
static pg_noinline Request *allocate(RequestKind kind, bool has_request_id, uint32 length, uint64 deadline)
{
	ConditionVariable *full = NULL;
	Request *request;

	while ((request = shmem_request_allocate(length, &full)) == NULL)
	{
		long left = time_left(deadline);

		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			refuse_queue_full(refused_as(kind, has_request_id), full == &paxos_shared->arena_cv);
		}
		/* The first call for a variable only prepares and returns at once, so nothing is missed. */
		(void) ConditionVariableTimedSleep(full, left, compat_wait_event("PaxoskvQueue"));
	}
	ConditionVariableCancelSleep();
	return request;
}

/* ---------------------------------------------------------------- cancelled too late */

/* The last command of this session that was applied, and how many there were. */
static struct
{
	uint64 count;
	uint64 session;
	uint64 number;
	uint64 slot;
} applied;

static void note_applied(const Request *request)
{
	applied.count++;
	applied.session = request->session;
	applied.number = request->number;
	applied.slot = request->slot;
}

/* A command that an earlier call, perhaps of another session, had applied: its name is not kept. */
static void note_remembered(uint64 slot)
{
	applied.count++;
	applied.session = applied.number = 0;
	applied.slot = slot;
}

uint64 client_commands_applied(void)
{
	return applied.count;
}

/* The error that is being handled, as a sentence; it is over then. */
static void take_error(MemoryContext context, char *why, size_t size)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	snprintf(why, size, "%c%s.", pg_toupper((unsigned char) error->message[0]), error->message + 1);
}

void client_raise_cancelled_late(MemoryContext context)
{
	char why[256];

	take_error(context, why, sizeof(why));
	raise_cancelled_late(applied.session, applied.number, applied.slot, why);
}

/* ---------------------------------------------------------------- waiting */

/* Lets go of a request in any state; after an ERROR or FATAL too. */
static void release(int code, Datum arg)
{
	Request *request = (Request *) DatumGetPointer(arg);

	(void) shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_WITHDRAWN);
	shmem_request_drop(request, HOLD_CLIENT);
}

static bool had_no_effect(RequestOutcome outcome)
{
	return outcome == OUTCOME_REFUSED || outcome == OUTCOME_CONFLICT || outcome == OUTCOME_GIVEN_UP ||
		   outcome == OUTCOME_TOO_OLD;
}

/*
 * An interrupt that raises an error goes its own way where the request could be withdrawn, and becomes
 * 40003 where it could not (DESIGN section 5).  A termination can't be caught: the error comes first, the
 * connection ends right after it.
 */
static void check_interrupts(Request *request)
{
	MemoryContext context = CurrentMemoryContext;

	if (ProcDiePending && request->kind == REQUEST_COMMAND &&
		!shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_WITHDRAWN) &&
		shmem_request_state(request) == REQUEST_NUMBERED)
		raise_unknown(request, "The connection is being terminated due to administrator command.");
	PG_TRY();
	{
		CHECK_FOR_INTERRUPTS();
	}
	PG_CATCH();
	{
		char why[256];
		RequestState state;

		if (request->kind != REQUEST_COMMAND ||
			shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_WITHDRAWN))
			PG_RE_THROW();
		/* It may be done since its state was last looked at: applied, perhaps. */
		state = shmem_request_state(request);
		if (state == REQUEST_WITHDRAWN || (state == REQUEST_DONE && had_no_effect(request->outcome)))
			PG_RE_THROW();
		take_error(context, why, sizeof(why));
		if (state == REQUEST_DONE && request->outcome != OUTCOME_UNKNOWN)
			raise_cancelled_late(request->session, request->number, request->slot, why);
		raise_unknown(request, why);
	}
	PG_END_TRY();
}

/* The deadline has come.  True: the request is done after all. */
static bool give_up(Request *request)
{
	if (shmem_request_move(request, REQUEST_SUBMITTED, REQUEST_WITHDRAWN))
		refuse_late(refused_as(request->kind, request->has_request_id));
	if (shmem_request_state(request) == REQUEST_DONE)
		return true;
	raise_unknown(request, "This node did not apply it within paxoskv.commit_timeout.");
}

static void wait_until_done(Request *request, uint64 deadline)
{
	for (;;)
	{
		long left;

		ResetLatch(MyLatch);
		if (shmem_request_state(request) == REQUEST_DONE)
			return;
		check_interrupts(request);
		left = time_left(deadline);
		if (left <= 0 && give_up(request))
			return;
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT, left,
						 compat_wait_event("PaxoskvRequest"));
	}
}

/* Raises what was refused or is unknown. */
static void check_outcome(Request *request)
{
	switch (request->outcome)
	{
		case OUTCOME_OK:
		case OUTCOME_RESULT_LOST:
		case OUTCOME_BEHIND:
			return;
		case OUTCOME_REFUSED:
			refuse(refused_as(request->kind, request->has_request_id), request->admission);
		case OUTCOME_UNKNOWN:
			raise_unknown(request, "The worker that had taken it has ended.");
		case OUTCOME_CONFLICT:
			raise_conflict(request_id_of(request), request_id_length_of(request));
		case OUTCOME_GIVEN_UP:
			raise_given_up();
		case OUTCOME_TOO_OLD:
			raise_too_old(request);
		case OUTCOME_NONE:
			break;
	}
	elog(ERROR, "request is done without an outcome");
}

/* ---------------------------------------------------------------- commands */

/* Whether the slot alone says all that the command's caller is told. */
static bool slot_is_the_result(const struct operation *operations, uint32 n_operations)
{
	for (uint32 i = 0; i < n_operations; i++)
		if (operations[i].kind != OPERATION_PUT || operations[i].precondition != PRECONDITION_NONE ||
			operations[i].branch != BRANCH_ALWAYS)
			return false;
	return true;
}

/* A command, or a fence. */
typedef struct Submission
{
	const struct operation *operations;
	uint32 n_operations;
	const char *request_id;
	uint32 request_id_length;  /* 0: none */
	uint64 stamp;              /* O3 */
	const struct fence *fence; /* NULL: a command */
} Submission;

static uint32 checked_size(const Submission *submission)
{
	size_t size;

	if (submission->fence != NULL)
		return (uint32) fence_size(submission->fence->request_id_length);
	size = command_size(submission->request_id_length, submission->operations, submission->n_operations);
	if (size == 0 || size > (size_t) paxoskv_max_command_size)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("the command is too large"),
				 size == 0 ? errdetail("It exceeds what a command can hold.")
						   : errdetail("It has %zu bytes, paxoskv.max_command_size is %d.", size,
									   paxoskv_max_command_size),
				 errhint("Divide it, or set paxoskv.max_command_size higher, up to 8 MB, and restart the "
						 "server.")));
	return (uint32) size;
}

static void encode(const Submission *submission, uint8 *bytes)
{
	int64 now_us = GetCurrentTimestamp() + (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;

	if (submission->fence != NULL)
		fence_encode(bytes, (uint32) paxoskv_node_id, now_us, submission->fence);
	else
		command_encode(bytes, (uint32) paxoskv_node_id, submission->stamp, now_us, submission->request_id,
					   submission->request_id_length, submission->operations, submission->n_operations);
}

/* Copies what lies in a segment; false: it cannot be had. */
static bool copy_segment(dsm_handle handle, char *to, uint32 length)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool copied = false;

	PG_TRY();
	{
		dsm_segment *segment = dsm_attach(handle);

		if (segment != NULL)
		{
			memcpy(to, dsm_segment_address(segment), length);
			dsm_detach(segment);
			copied = true;
		}
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		FlushErrorState();
	}
	PG_END_TRY();
	return copied;
}

/* Copies the details into the caller's memory.  Without them, the caller is told that the command is applied. */
static void take_details(const Request *request, ClientResult *result)
{
	uint32 length = request->details_length;
	bool taken;
	char *copy;

	if (length == 0)
		return;
	copy = MemoryContextAllocExtended(CurrentMemoryContext, length, MCXT_ALLOC_HUGE | MCXT_ALLOC_NO_OOM);
	taken = copy != NULL;
	if (taken && request->details_segment != DSM_HANDLE_INVALID)
		taken = copy_segment(request->details_segment, copy, length);
	else if (taken)
		memcpy(copy, request->details, length);
	if (!taken)
		raise_result_lost(request->session, request->number, request->slot,
						  "there is no memory for what its operations read");
	result->details = copy;
	result->details_length = length;
}

bool client_next_detail(const ClientResult *result, uint32 *at, ClientDetail *detail)
{
	const uint8 *p = (const uint8 *) result->details + *at;

	if (*at >= result->details_length)
		return false;
	detail->kind = p[0];
	detail->count = get_u64(p + 1);
	detail->revision = get_u64(p + 9);
	detail->create_revision = get_u64(p + 17);
	detail->written_at_us = (int64) get_u64(p + 25);
	detail->value_length = get_u32(p + 33);
	detail->value = (const char *) p + CLIENT_DETAIL_BYTES;
	*at += CLIENT_DETAIL_BYTES + detail->value_length;
	return true;
}

/*
 * O2, O3: looks the request id up.  True: its command is applied here, *result is its first result.  False: nothing is
 * remembered of it here, the submission has its stamp.
 */
static bool is_remembered(Submission *submission, uint32 size, ClientResult *result)
{
	const char *id = submission->request_id;
	uint32 length = submission->request_id_length;
	struct remembered remembered;
	struct paxos_entry entry;
	enum request_verdict verdict;
	uint8 *bytes;

	if (!client_look_up_request(id, length, &remembered, &submission->stamp))
		return false;
	bytes = MemoryContextAllocHuge(CurrentMemoryContext, size);
	encode(submission, bytes);
	entry = (struct paxos_entry){bytes, size};
	verdict = request_judge(&remembered, command_digest(&entry), 0, 0);
	pfree(bytes);
	if (verdict == REQUEST_GIVEN_UP)
		raise_given_up();
	if (verdict == REQUEST_CONFLICT)
		raise_conflict(id, length);
	note_remembered(remembered.slot);
	if (remembered.details_lost)
		raise_result_forgotten(remembered.slot);
	result->revision = remembered.slot;
	result->rows_removed = (int64) remembered.rows_removed;
	result->succeeded = remembered.succeeded;
	result->details = remembered.details;
	result->details_length = remembered.details_length;
	return true;
}

/* Applied, but its result is not there: an error unless the slot says it all. */
static void check_result(const Submission *submission, const Request *request)
{
	if (request->outcome != OUTCOME_RESULT_LOST || submission->fence != NULL)
		return;
	if (!request->details_lost && slot_is_the_result(submission->operations, submission->n_operations))
		return;
	raise_result_lost(request->session, request->number, request->slot,
					  request->details_lost ? "what its operations read is too large to be handed over"
											: "the apply worker ended before it could say what it did");
}

static ClientResult submit(const Submission *submission, uint32 size)
{
	uint64 deadline = deadline_from_now();
	bool has_request_id = submission->request_id_length > 0;
	Request *request = allocate(REQUEST_COMMAND, has_request_id, size, deadline);
	ClientResult result = {0};

	PG_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	{
		request->kind = REQUEST_COMMAND;
		request->has_request_id = has_request_id;
		encode(submission, shmem_request_data(request));
		shmem_request_submit(request);
		wait_until_done(request, deadline);
		check_outcome(request);
		note_applied(request);
		check_result(submission, request);
		result.revision = request->slot;
		result.rows_removed = request->rows_removed;
		result.succeeded = request->succeeded;
		take_details(request, &result);
	}
	PG_END_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	release(0, PointerGetDatum(request));
	return result;
}

ClientResult client_submit(const struct operation *operations, uint32 n_operations, const char *request_id,
						   uint32 request_id_length)
{
	Submission submission = {.operations = operations,
							 .n_operations = n_operations,
							 .request_id = request_id,
							 .request_id_length = request_id_length};
	ClientResult result = {0};
	uint32 size;

	require_preloaded();
	check_write_allowed();
	client_require_database();
	size = checked_size(&submission);
	check_not_diverged(REQUEST_COMMAND, request_id_length > 0);
	if (request_id_length > 0 && is_remembered(&submission, size, &result))
		return result;
	check_admission(REQUEST_COMMAND, request_id_length > 0);
	return submit(&submission, size);
}

void client_give_up(const struct fence *fence)
{
	Submission submission = {.fence = fence};

	require_preloaded();
	check_write_allowed();
	client_require_database();
	check_admission(REQUEST_COMMAND, false);
	(void) submit(&submission, checked_size(&submission));
}

/* ---------------------------------------------------------------- reads */

/* Waits until this node has applied through slot; returns where it is. */
static uint64 wait_applied(uint64 slot, uint64 deadline)
{
	PaxosShared *shared = paxos_shared;
	uint64 applied = pg_atomic_read_u64(&shared->applied_slot);

	if (applied >= slot)
		return applied;
	ConditionVariablePrepareToSleep(&shared->applied_cv);
	while ((applied = pg_atomic_read_u64(&shared->applied_slot)) < slot)
	{
		long left = time_left(deadline);

		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			refuse_not_applied(slot);
		}
		(void) ConditionVariableTimedSleep(&shared->applied_cv, left, compat_wait_event("PaxoskvApplied"));
	}
	ConditionVariableCancelSleep();
	return applied;
}

static uint64 read_index(bool leader_only, uint64 deadline)
{
	Request *request = allocate(REQUEST_READ, false, 0, deadline);
	uint64 slot = 0;

	PG_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	{
		request->kind = REQUEST_READ;
		request->leader_only = leader_only;
		shmem_request_submit(request);
		wait_until_done(request, deadline);
		check_outcome(request);
		slot = request->slot;
	}
	PG_END_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	release(0, PointerGetDatum(request));
	return slot;
}

uint64 client_wait_for_read(ReadLevel level)
{
	uint64 deadline;

	require_preloaded();
	client_require_database();
	if (level == READ_LOCAL)
		return pg_atomic_read_u64(&paxos_shared->applied_slot);
	client_require_primary();
	check_not_diverged(REQUEST_READ, false);
	check_admission(REQUEST_READ, false);
	deadline = deadline_from_now();
	return wait_applied(read_index(level == READ_LEADER, deadline), deadline);
}

uint64 client_wait_for_applied(uint64 slot)
{
	require_preloaded();
	client_require_database();
	client_require_primary();
	check_not_diverged(REQUEST_READ, false);
	/* What is applied stays so, whatever has become of this node; what is not may never be. */
	if (pg_atomic_read_u64(&paxos_shared->applied_slot) < slot)
		check_admission(REQUEST_READ, false);
	return wait_applied(slot, deadline_from_now());
}

/* ---------------------------------------------------------------- the log */

/* One piece of an entry, from offset on; grows entry->entry.bytes.  False: nothing is chosen there. */
static bool read_log_piece(uint64 slot, uint64 offset, ClientLogEntry *entry, uint64 *total)
{
	uint64 deadline = deadline_from_now();
	Request *request = allocate(REQUEST_LOG, false, LOG_PIECE_BYTES, deadline);
	bool found = false;

	PG_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	{
		request->kind = REQUEST_LOG;
		request->log_slot = slot;
		request->log_offset = offset;
		shmem_request_submit(request);
		wait_until_done(request, deadline);
		check_outcome(request);
		found = request->outcome == OUTCOME_OK;
		if (found)
		{
			uint8 *bytes = unconstify(uint8_t *, entry->entry.bytes);
			uint64 n = Min(request->log_total - offset, LOG_PIECE_BYTES);

			entry->slot = request->slot;
			entry->epoch = request->log_epoch;
			entry->ballot = request->log_ballot;
			*total = request->log_total;
			if (offset == 0)
				bytes = MemoryContextAllocHuge(CurrentMemoryContext, Max(*total, 1));
			memcpy(bytes + offset, shmem_request_data(request), n);
			entry->entry.bytes = bytes;
			entry->entry.length = (uint32_t) (offset + n);
		}
	}
	PG_END_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	release(0, PointerGetDatum(request));
	return found;
}

bool client_read_log(uint64 slot, ClientLogEntry *entry)
{
	uint64 total = 0;

	require_preloaded();
	client_require_database();
	client_require_primary();
	memset(entry, 0, sizeof(*entry));
	if (!read_log_piece(slot, 0, entry, &total))
		return false;
	while (entry->entry.length < total)
	{
		uint64 same = entry->slot;

		if (!read_log_piece(same, entry->entry.length, entry, &total))
			return false;
		if (entry->slot != same) /* it was trimmed in the middle */
			return client_read_log(entry->slot, entry);
	}
	return true;
}

/* ---------------------------------------------------------------- trimming */

static void check_trimming(void)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);
	ClientStatus status;

	/* What refuses a write and leaves the log to work is no reason. */
	if (admission == ADMIT_UNFORMED || admission == ADMIT_OUTSIDER || admission == ADMIT_FENCED ||
		admission == ADMIT_DORMANT)
		refuse(REFUSED_TRIM, admission);
	check_not_diverged(REQUEST_TRIM, false);
	if (!enableFsync || pg_atomic_read_u32(&paxos_shared->fsync_was_off) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the log cannot be trimmed, because fsync is or was off"),
						errdetail("The database may lose in a crash what it has applied, and the log alone "
								  "would have it."),
						errhint("Turn fsync on and restart the server.")));
	client_status(&status);
	if (strcmp(status.role, "damaged") == 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the log cannot be trimmed, because it is damaged"),
						errdetail("What is left of it stays as it is until the other nodes have healed it."),
						errhint("paxos_status() shows role \"damaged\" until then; try again later.")));
}

uint64 client_trim(void)
{
	uint64 deadline = deadline_from_now();
	Request *request;
	uint64 first_slot = 0;

	require_preloaded();
	client_require_database();
	PreventCommandDuringRecovery("paxos_trim()");
	check_trimming();
	request = allocate(REQUEST_TRIM, false, 0, deadline);
	PG_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	{
		request->kind = REQUEST_TRIM;
		shmem_request_submit(request);
		wait_until_done(request, deadline);
		check_outcome(request);
		first_slot = request->slot;
	}
	PG_END_ENSURE_ERROR_CLEANUP(release, PointerGetDatum(request));
	release(0, PointerGetDatum(request));
	return first_slot;
}

/* ---------------------------------------------------------------- status */

/* Either between two lives, or never registered (the server's log has "too many background workers"). */
static void describe_missing_worker(ClientStatus *status)
{
	bool no_consensus = pg_atomic_read_u32(&paxos_shared->consensus_procno) == (uint32) NO_PROC;
	bool no_apply = pg_atomic_read_u32(&paxos_shared->apply_procno) == (uint32) NO_PROC;

	if (!no_consensus && !no_apply)
		return;
	snprintf(status->detail, sizeof(status->detail),
			 "The %s worker is not running; if that goes on, the server's log says why, or "
			 "max_worker_processes is too low.",
			 no_consensus ? "consensus" : "apply");
}

void client_status(ClientStatus *status)
{
	PaxosShared *shared = paxos_shared;

	memset(status, 0, sizeof(*status));
	if (shared == NULL)
	{
		strlcpy(status->role, "dormant", sizeof(status->role));
		strlcpy(status->detail, "paxoskv is not in shared_preload_libraries.", sizeof(status->detail));
		return;
	}
	LWLockAcquire(shared->status_lock, LW_SHARED);
	*status = shared->status;
	if (shared->report.detail[0] != '\0' && (status->detail[0] == '\0' || shared->report.stopped))
		strlcpy(status->detail, shared->report.detail, sizeof(status->detail));
	if (pg_atomic_read_u32(&shared->state.diverged) != 0)
		strlcpy(status->detail, shared->state.divergence, sizeof(status->detail));
	LWLockRelease(shared->status_lock);
	status->chosen_slot = pg_atomic_read_u64(&shared->chosen_slot);
	status->applied_slot = pg_atomic_read_u64(&shared->applied_slot);
	status->last_slot = Max(status->last_slot, status->chosen_slot); /* published less often */
	status->commands = pg_atomic_read_u64(&shared->commands);
	status->syncs = pg_atomic_read_u64(&shared->syncs);
	for (int i = 0; i < status->n_nodes; i++)
		if (status->nodes[i].self)
			status->nodes[i].applied_slot = status->applied_slot;
	if (status->detail[0] == '\0')
		describe_missing_worker(status);
	if (RecoveryInProgress())
	{
		strlcpy(status->role, "dormant", sizeof(status->role));
		strlcpy(status->detail, "This server is a standby; its workers start when it is promoted.",
				sizeof(status->detail));
	}
}

bool client_is_member(void)
{
	bool member;

	if (paxos_shared == NULL)
		return false;
	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	member = paxos_shared->member;
	LWLockRelease(paxos_shared->status_lock);
	return member;
}

bool client_begin_load(void)
{
	bool agreed;

	if (paxos_shared == NULL)
		return true;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	agreed = paxos_shared->agreed;
	if (!agreed)
		paxos_shared->loads++;
	LWLockRelease(paxos_shared->status_lock);
	return !agreed;
}

void client_extension_created(void)
{
	if (paxos_shared != NULL)
		shmem_wake_apply();
}
