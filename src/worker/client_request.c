/*
 * client_request.c - a request's way from a backend to the workers and back: a place in the queue, an interruptible
 * wait, the truth about the outcome.
 *
 * Until the consensus worker has numbered a command its backend can withdraw it by compare-and-swap: then
 * it is certainly not applied (X2).  After that every way out, by time-out, cancel or termination, is 40003.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"

#include "pg_compat.h"
#include "worker/client_request.h"
#include "worker/settings.h"

/* ---------------------------------------------------------------- before submitting */

static Refused refused_as(RequestKind kind, bool has_request_id)
{
	if (kind == REQUEST_TRIM)
		return REFUSED_TRIM;
	if (kind != REQUEST_COMMAND)
		return REFUSED_READ;
	return has_request_id ? REFUSED_ATTEMPT : REFUSED_COMMAND;
}

void request_check_admission(RequestKind kind, bool has_request_id)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);

	if (admission == ADMIT || admission == ADMIT_STARTING || kind == REQUEST_LOG)
		return;
	if (kind == REQUEST_READ && (admission == ADMIT_APPLY_BEHIND || admission == ADMIT_DISK_FULL))
		return;
	refuse(refused_as(kind, has_request_id), admission);
}

void request_check_not_diverged(RequestKind kind, bool has_request_id)
{
	if (pg_atomic_read_u32(&paxos_shared->state.diverged) != 0)
		refuse(refused_as(kind, has_request_id), ADMIT_DIVERGED);
}

void request_check_answered(Refused refused)
{
	Admission admission = (Admission) pg_atomic_read_u32(&paxos_shared->admission);

	if (admission == ADMIT_UNFORMED || admission == ADMIT_OUTSIDER || admission == ADMIT_FENCED ||
		admission == ADMIT_DORMANT)
		refuse(refused, admission);
}

static uint64 monotonic_ms(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MILLISEC(now);
}

/* One millisecond more, because the one that has begun does not count. */
uint64 request_deadline(void)
{
	return monotonic_ms() + (uint64) paxoskv_commit_timeout + 1;
}

long request_time_left(uint64 deadline)
{
	uint64 now = monotonic_ms();

	return now >= deadline ? 0 : (long) (deadline - now);
}

/* Not inlined: its variables would be live across request_slot()'s setjmp. */
pg_noinline Request *request_allocate(RequestKind kind, bool has_request_id, uint32 length, uint64 deadline)
{
	ConditionVariable *full = NULL;
	Request *request;

	while ((request = shmem_request_allocate(length, &full)) == NULL)
	{
		long left = request_time_left(deadline);

		if (left <= 0)
		{
			ConditionVariableCancelSleep();
			refuse_queue_full(refused_as(kind, has_request_id), full == &paxos_shared->arena_cv);
		}
		/* The first call for a variable only prepares and returns at once, so nothing is missed. */
		(void) ConditionVariableTimedSleep(full, left, compat_wait_event("PaxoskvQueue"));
	}
	ConditionVariableCancelSleep();
	request->kind = kind;
	request->has_request_id = has_request_id;
	return request;
}

/* ---------------------------------------------------------------- waiting */

void request_release(int code, Datum arg)
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
		error_as_sentence(context, why, sizeof(why));
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
		left = request_time_left(deadline);
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

void request_run(Request *request, uint64 deadline)
{
	shmem_request_submit(request);
	wait_until_done(request, deadline);
	check_outcome(request);
}

uint64 request_slot(RequestKind kind, bool leader_only, uint64 deadline)
{
	Request *request = request_allocate(kind, false, 0, deadline);
	uint64 slot = 0;

	PG_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	{
		request->leader_only = leader_only;
		request_run(request, deadline);
		slot = request->slot;
	}
	PG_END_ENSURE_ERROR_CLEANUP(request_release, PointerGetDatum(request));
	request_release(0, PointerGetDatum(request));
	return slot;
}
