/*
 * consensus_snapshot.c - T5 in the consensus worker: what sending and receiving a table have in common.
 *
 * Each is a job with a number, a worker that does it, and a ring of bytes between the two; a bounded piece of bytes
 * crosses this process in a turn of its loop.
 */
#include "postgres.h"

#include <signal.h>

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "worker/consensus_snapshot.h"
#include "worker/workers.h"

/* So often, at SNAPSHOT_POLL_MS each, before it gets a signal. */
#define POLLS_BEFORE_END 20

static uint32 last_number;
static struct log_limit no_worker[SNAPSHOT_ROLES];
static uint32 without_job[SNAPSHOT_ROLES]; /* how often a worker was seen whose job is over */
static uint64 look_ms;

/* ---------------------------------------------------------------- jobs */

uint32 snapshot_number(void)
{
	return ++last_number;
}

void snapshot_begin_job(SnapshotSide *side, uint32 peer, SnapshotPhase phase)
{
	side->peer = peer;
	side->started = GetCurrentTimestamp();
	side->error[0] = '\0';
	side->unfit = false;
	side->store_id = consensus.state.store_id;
	side->run = consensus.state.run;
	side->nonce = consensus.nonce;
	pg_atomic_write_u64(&side->slot, 0);
	pg_atomic_write_u64(&side->rows_total, 0);
	pg_atomic_write_u64(&side->rows_done, 0);
	pg_atomic_write_u64(&side->bytes_total, 0);
	pg_atomic_write_u64(&side->bytes_done, 0);
	pg_atomic_write_u64(&side->ring.written, 0);
	pg_atomic_write_u64(&side->ring.consumed, 0);
	pg_atomic_write_u32(&side->step, STEP_WORKING);
	pg_atomic_write_u32(&side->phase, phase);
	pg_write_barrier();
	pg_atomic_write_u32(&side->job, snapshot_number());
}

void snapshot_wake_worker(SnapshotSide *side)
{
	shmem_wake_proc((int) pg_atomic_read_u32(&side->procno));
}

/* Its worker would see it by itself, but for one that waits for a lock; one that may commit is left to do it. */
void snapshot_end_job(SnapshotSide *side)
{
	SnapshotStep step = step_of(side);
	int pid = (int) pg_atomic_read_u32(&side->pid);

	pg_atomic_write_u32(&side->job, 0);
	pg_atomic_write_u32(&side->phase, SNAPSHOT_NONE);
	snapshot_wake_worker(side);
	if (pid != 0 && (step == STEP_WORKING || step == STEP_RECEIVED || step == STEP_READY))
		(void) kill(pid, SIGTERM);
}

bool snapshot_has_stopped(BackgroundWorkerHandle *worker)
{
	pid_t pid;

	return worker == NULL || GetBackgroundWorkerPid(worker, &pid) == BGWH_STOPPED;
}

bool snapshot_start_worker(SnapshotRole role, BackgroundWorkerHandle **worker)
{
	MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

	*worker = workers_start_snapshot(role, pg_atomic_read_u32(&side_of(role)->job));
	MemoryContextSwitchTo(context);
	if (*worker == NULL && log_limit_pass(&no_worker[role], consensus.now_ms, NULL))
		ereport(WARNING, (errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
						  errmsg("paxoskv cannot %s now: all background workers are in use",
								 role == SNAPSHOT_SENDING ? "send its rows" : "load another node's rows"),
						  errhint("A higher max_worker_processes makes room.")));
	return *worker != NULL;
}

bool snapshot_is_free(SnapshotRole role, BackgroundWorkerHandle **worker)
{
	/* Also one of an earlier life of this process, of which there is no handle. */
	if (!snapshot_has_stopped(*worker) || pg_atomic_read_u32(&side_of(role)->pid) != 0)
		return false;
	if (*worker != NULL)
		pfree(*worker);
	*worker = NULL;
	return true;
}

bool snapshot_database_is_ready(void)
{
	bool ready;

	LWLockAcquire(paxos_shared->status_lock, LW_SHARED);
	ready = paxos_shared->report.database == DATABASE_READY;
	LWLockRelease(paxos_shared->status_lock);
	return ready;
}

/*
 * One whose job is over ends by itself when it looks; where it waits for a lock, or computes, it is ended.  At its
 * commit it cannot be.
 */
static bool end_workers_without_job(void)
{
	bool any = false;

	for (int i = 0; i < SNAPSHOT_ROLES; i++)
	{
		SnapshotSide *side = side_of((SnapshotRole) i);
		uint32 pid = pg_atomic_read_u32(&side->pid);

		if (pid == 0 || pg_atomic_read_u32(&side->job) != 0)
			without_job[i] = 0;
		else if (++without_job[i] % POLLS_BEFORE_END == 0)
			(void) kill((pid_t) pid, SIGTERM);
		any |= without_job[i] > 0;
	}
	return any;
}

/* ---------------------------------------------------------------- the transport */

void snapshot_stream_open(enum transport_stream which, uint32 node_id)
{
	if (which == STREAM_DIALED)
		receive_stream_open();
	else
		send_stream_open(node_id);
}

bool snapshot_stream_bytes(enum transport_stream which, const uint8 *bytes, uint32 length)
{
	if (which == STREAM_DIALED)
		return receive_stream_bytes(bytes, length);
	send_stream_bytes(bytes, length);
	return true;
}

void snapshot_stream_end(enum transport_stream which, const char *reason)
{
	if (which == STREAM_DIALED)
		receive_stream_end(reason);
	else
		send_stream_end(reason);
}

/* ---------------------------------------------------------------- the loop */

void snapshot_step(void)
{
	bool connected = consensus.transport != NULL && consensus.core != NULL;

	receive_step(connected);
	if (connected)
		send_step();
	if (consensus.now_ms >= look_ms)
		look_ms = end_workers_without_job() ? consensus.now_ms + SNAPSHOT_POLL_MS : 0;
}

uint64 snapshot_next_deadline(void)
{
	uint64 deadline = Min(receive_next_deadline(), send_next_deadline());

	return look_ms != 0 ? Min(deadline, look_ms) : deadline;
}

/* ---------------------------------------------------------------- start */

static bool is_left_over(void)
{
	bool ready = snapshot_database_is_ready();

	for (int i = 0; i < SNAPSHOT_ROLES; i++)
		if (pg_atomic_read_u32(&side_of((SnapshotRole) i)->pid) != 0)
			return true;
	return ready && pg_atomic_read_u32(&shared_snapshot()->held) != 0;
}

void snapshot_abandon(void)
{
	receive_start();
	send_start();
	for (int i = 0; i < SNAPSHOT_ROLES; i++)
		snapshot_end_job(side_of((SnapshotRole) i));
	pg_atomic_write_u32(&shared_snapshot()->hold, 0);
	shmem_wake_apply();
}

void snapshot_start(void)
{
	/* Other numbers than an earlier life's. */
	consensus_random(&last_number, sizeof(last_number));
	last_number = last_number >> 2 | 1;
	snapshot_abandon();
	/* One that may commit does; then the apply worker says what there is. */
	while (is_left_over())
	{
		(void) end_workers_without_job();
		CHECK_FOR_INTERRUPTS();
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | WL_TIMEOUT, SNAPSHOT_POLL_MS,
						 compat_wait_event("PaxoskvStart"));
		ResetLatch(MyLatch);
	}
}
