/*
 * client_read.c - a backend's half of a read: asks what it must see, and waits until this node has applied that.
 */
#include "postgres.h"

#include "pg_compat.h"
#include "worker/client.h"
#include "worker/client_request.h"

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
		long left = request_time_left(deadline);

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

uint64 client_wait_for_read(ReadLevel level)
{
	uint64 deadline;

	require_preloaded();
	client_require_database();
	if (level == READ_LOCAL)
		return pg_atomic_read_u64(&paxos_shared->applied_slot);
	client_require_primary();
	request_check_not_diverged(REQUEST_READ, false);
	request_check_admission(REQUEST_READ, false);
	deadline = request_deadline();
	return wait_applied(request_slot(REQUEST_READ, level == READ_LEADER, deadline), deadline);
}

uint64 client_wait_for_applied(uint64 slot)
{
	require_preloaded();
	client_require_database();
	client_require_primary();
	request_check_not_diverged(REQUEST_READ, false);
	/* What is applied stays so, whatever has become of this node; what is not may never be. */
	if (pg_atomic_read_u64(&paxos_shared->applied_slot) < slot)
		request_check_admission(REQUEST_READ, false);
	return wait_applied(slot, request_deadline());
}
