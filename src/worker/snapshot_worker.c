/*
 * snapshot_worker.c - what the workers that send and load a table are made of: their life, their settings, and the ring
 * of bytes between them and the consensus worker.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#include "pg_compat.h"
#include "worker/settings.h"
#include "worker/shmem.h"
#include "worker/snapshot.h"

static SnapshotSide *own_side = NULL;
static bool is_loader = false;

/* ---------------------------------------------------------------- shared memory */

void snapshot_shmem_init(SnapshotShared *shared)
{
	for (int i = 0; i < SNAPSHOT_ROLES; i++)
	{
		SnapshotSide *side = &shared->sides[i];

		pg_atomic_init_u32(&side->job, 0);
		pg_atomic_init_u32(&side->procno, (uint32) NO_PROC);
		pg_atomic_init_u32(&side->step, STEP_WORKING);
		pg_atomic_init_u32(&side->phase, SNAPSHOT_NONE);
		pg_atomic_init_u32(&side->pid, 0);
		pg_atomic_init_u64(&side->slot, 0);
		pg_atomic_init_u64(&side->rows_total, 0);
		pg_atomic_init_u64(&side->rows_done, 0);
		pg_atomic_init_u64(&side->bytes_total, 0);
		pg_atomic_init_u64(&side->bytes_done, 0);
		pg_atomic_init_u64(&side->ring.written, 0);
		pg_atomic_init_u64(&side->ring.consumed, 0);
	}
	pg_atomic_init_u32(&shared->hold, 0);
	pg_atomic_init_u32(&shared->held, 0);
	pg_atomic_init_u64(&shared->loads, 0);
	pg_atomic_init_u64(&shared->loads_seen, 0);
	ConditionVariableInit(&shared->answered_cv);
}

/* ---------------------------------------------------------------- the ring */

uint64 snapshot_ring_put(SnapshotRing *ring, const void *bytes, uint64 length)
{
	uint64 written = pg_atomic_read_u64(&ring->written);
	uint64 n = Min(length, snapshot_ring_room(ring));
	uint64 place = written % SNAPSHOT_RING_BYTES;
	uint64 first = Min(n, SNAPSHOT_RING_BYTES - place);

	pg_memory_barrier(); /* what was consumed has been read */
	memcpy(ring->bytes + place, bytes, first);
	memcpy(ring->bytes, (const uint8 *) bytes + first, n - first);
	pg_write_barrier();
	pg_atomic_write_u64(&ring->written, written + n);
	return n;
}

uint64 snapshot_ring_get(SnapshotRing *ring, void *bytes, uint64 length)
{
	uint64 consumed = pg_atomic_read_u64(&ring->consumed);
	uint64 n = Min(length, snapshot_ring_filled(ring));
	uint64 place = consumed % SNAPSHOT_RING_BYTES;
	uint64 first = Min(n, SNAPSHOT_RING_BYTES - place);

	pg_read_barrier();
	memcpy(bytes, ring->bytes + place, first);
	memcpy((uint8 *) bytes + first, ring->bytes, n - first);
	pg_memory_barrier();
	pg_atomic_write_u64(&ring->consumed, consumed + n);
	return n;
}

void snapshot_write(SnapshotWorker *worker, const void *bytes, uint64 length)
{
	const uint8 *p = bytes;

	while (length > 0)
	{
		uint64 n = snapshot_ring_put(&worker->side->ring, p, length);

		p += n;
		length -= n;
		shmem_wake_consensus();
		if (length > 0)
			snapshot_worker_wait(worker, -1);
	}
}

void snapshot_read(SnapshotWorker *worker, void *bytes, uint64 length)
{
	uint8 *p = bytes;

	while (length > 0)
	{
		uint64 n = snapshot_ring_get(&worker->side->ring, p, length);

		p += n;
		length -= n;
		/* Only where it may have waited for room: this is done for each small piece of a chunk. */
		if (n > 0 && snapshot_ring_room(&worker->side->ring) >= SNAPSHOT_RING_BYTES / 2)
			shmem_wake_consensus();
		if (length > 0)
			snapshot_worker_wait(worker, -1);
	}
}

/* ---------------------------------------------------------------- life */

bool am_snapshot_loader(void)
{
	return is_loader;
}

static void detach(int code, Datum arg)
{
	pg_atomic_write_u32(&own_side->procno, (uint32) NO_PROC);
	pg_write_barrier();
	pg_atomic_write_u32(&own_side->pid, 0);
	shmem_wake_consensus();
	shmem_wake_apply();
}

/* Another one's life may not be over yet, or this one's job is: whoever is there alone may work. */
static void take_place(uint32 job)
{
	uint32 nobody = 0;

	if (pg_atomic_read_u32(&own_side->job) != job ||
		!pg_atomic_compare_exchange_u32(&own_side->pid, &nobody, (uint32) MyProcPid))
		proc_exit(0);
	before_shmem_exit(detach, (Datum) 0);
	if (pg_atomic_read_u32(&own_side->job) != job)
		proc_exit(0);
	pg_atomic_write_u32(&own_side->procno, (uint32) compat_my_procno());
}

/* Whatever ALTER DATABASE or ALTER ROLE ... SET say. */
static void override_settings(void)
{
	static const char *const settings[][2] = {
		{"role", "none"},
		{"search_path", ""},
		{"session_replication_role", "replica"},
		{"synchronous_commit", "local"},
		{"lock_timeout", "0"},
		{"statement_timeout", "0"},
		{"idle_in_transaction_session_timeout", "0"},
		{"default_transaction_read_only", "off"},
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"row_security", "off"},
		{"exit_on_error", "off"},
		{"transaction_timeout", "0"},
	};

	SetSessionAuthorization(BOOTSTRAP_SUPERUSERID, true);
	for (int i = 0; i < (int) lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

void snapshot_worker_start(SnapshotWorker *worker, SnapshotRole role, uint32 job)
{
	worker->side = own_side = &paxos_shared->snapshot.sides[role];
	worker->job = job;
	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	take_place(job);
	BackgroundWorkerInitializeConnection(paxoskv_database, NULL, BGWORKER_BYPASS_ALLOWCONN);
	override_settings();
	is_loader = role == SNAPSHOT_RECEIVING;
}

void snapshot_worker_step(SnapshotWorker *worker, SnapshotStep step)
{
	pg_write_barrier();
	pg_atomic_write_u32(&worker->side->step, step);
	shmem_wake_consensus();
}

void snapshot_worker_wait(SnapshotWorker *worker, long timeout_ms)
{
	int events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);

	if (pg_atomic_read_u32(&worker->side->job) != worker->job)
		proc_exit(0);
	(void) WaitLatch(MyLatch, events, timeout_ms, compat_wait_event("PaxoskvSnapshot"));
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	if (pg_atomic_read_u32(&worker->side->job) != worker->job)
		proc_exit(0);
}

void snapshot_worker_failed(SnapshotWorker *worker)
{
	ErrorData *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	strlcpy(worker->side->error, error->message, sizeof(worker->side->error));
	if (error->detail != NULL)
	{
		strlcat(worker->side->error, ": ", sizeof(worker->side->error));
		strlcat(worker->side->error, error->detail, sizeof(worker->side->error));
	}
	snapshot_worker_step(worker, STEP_FAILED);
	proc_exit(0);
}
