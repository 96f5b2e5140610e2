/*
 * apply_results.c - tells the backends what became of their commands, and everybody how far the tables are.
 */
#include "postgres.h"

#include "storage/dsm.h"
#include "utils/memutils.h"

#include "worker/apply_worker.h"

void apply_publish_points(void)
{
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	paxos_shared->state.points = apply_worker.state.points;
	LWLockRelease(paxos_shared->status_lock);
}

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

void apply_publish_results(ApplyResult *results, int n)
{
	static int procs[APPLY_BATCH_ENTRIES];
	int n_procs = 0;

	apply_publish_points();
	pg_atomic_write_u64(&paxos_shared->applied_slot, apply_worker.state.applied);
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
	const struct session *session = session_find(&apply_worker.state.sessions, request->session);

	return request->has_request_id || session == NULL || session->has_void;
}

void apply_publish_lost_results(void)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->map_lock, LW_EXCLUSIVE);
	for (uint32 i = 0; i < shared->map_size; i++)
	{
		uint32 index = *shmem_map_entry(i);
		Request *request = index == 0 ? NULL : shmem_request(index - 1);
		uint64 slot = request == NULL ? 0 : pg_atomic_read_u64(&request->chosen_slot);

		if (slot != 0 && slot <= apply_worker.state.applied)
			shmem_wake_proc(finish_request(request,
										   may_be_void(request) ? OUTCOME_UNKNOWN : OUTCOME_RESULT_LOST,
										   &(ApplyResult){.slot = slot}));
	}
	LWLockRelease(shared->map_lock);
	ConditionVariableBroadcast(&shared->applied_cv);
}
