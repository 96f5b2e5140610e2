/*
 * client_resync.c - T5, a backend's half: asks for another node's rows, waits until they are there; and what is told of
 * tables under way.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/timestamp.h"

#include "pg_compat.h"
#include "worker/client.h"
#include "worker/client_request.h"
#include "worker/settings.h"

/* How often to look whether the consensus worker can answer at all. */
#define LOOK_MS 1000

/* Between two lives of the consensus worker one waits for the next; where it never runs, not for ever. */
static void check_worker(TimestampTz *missing_since)
{
	TimestampTz now = GetCurrentTimestamp();

	if (pg_atomic_read_u32(&paxos_shared->consensus_procno) != (uint32) NO_PROC)
		*missing_since = 0;
	else if (*missing_since == 0)
		*missing_since = now;
	else if (TimestampDifferenceExceeds(*missing_since, now, Max(paxoskv_commit_timeout, 2 * LOOK_MS)))
		refuse_late(REFUSED_READ);
}

uint64 client_resync(void)
{
	SnapshotShared *shared = &paxos_shared->snapshot;
	char refusal[sizeof(paxos_shared->snapshot.refusal)] = "";
	TimestampTz missing_since = 0;
	uint64 number;
	uint64 slot = 0;
	bool ok = false;

	require_preloaded();
	client_require_database();
	client_require_primary();
	request_check_answered(REFUSED_READ);
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	number = ++shared->asked;
	LWLockRelease(paxos_shared->status_lock);
	shmem_wake_consensus();
	ConditionVariablePrepareToSleep(&shared->answered_cv);
	for (;;)
	{
		bool answered;

		LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
		answered = shared->answered >= number;
		ok = shared->answered_ok >= number;
		slot = shared->answered_slot;
		strlcpy(refusal, shared->refusal, sizeof(refusal));
		LWLockRelease(paxos_shared->status_lock);
		if (answered)
			break;
		request_check_answered(REFUSED_READ);
		check_worker(&missing_since);
		(void) ConditionVariableTimedSleep(&shared->answered_cv, LOOK_MS, compat_wait_event("PaxoskvResync"));
	}
	ConditionVariableCancelSleep();
	if (!ok)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the rows of another node could not be loaded"), errdetail("%s", refusal),
						errhint("This node's rows are as they were. View paxoskv.nodes shows the others.")));
	return slot;
}

int client_snapshots(ClientSnapshot snapshots[SNAPSHOT_ROLES])
{
	int n = 0;

	require_preloaded();
	for (int i = 0; i < SNAPSHOT_ROLES; i++)
	{
		SnapshotSide *side = &paxos_shared->snapshot.sides[i];
		ClientSnapshot *snapshot = &snapshots[n];

		if (pg_atomic_read_u32(&side->job) == 0)
			continue;
		pg_read_barrier();
		snapshot->role = (SnapshotRole) i;
		snapshot->pid = pg_atomic_read_u32(&side->pid);
		snapshot->peer = side->peer;
		snapshot->phase = (SnapshotPhase) pg_atomic_read_u32(&side->phase);
		snapshot->slot = pg_atomic_read_u64(&side->slot);
		snapshot->rows_total = pg_atomic_read_u64(&side->rows_total);
		snapshot->rows_done = pg_atomic_read_u64(&side->rows_done);
		snapshot->bytes_total = pg_atomic_read_u64(&side->bytes_total);
		snapshot->bytes_done = pg_atomic_read_u64(&side->bytes_done);
		snapshot->started = side->started;
		n++;
	}
	return n;
}
