/*
 * apply_wait.c - what the apply worker does between its transactions: it waits, and says what for.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "postmaster/interrupt.h"
#include "storage/latch.h"
#include "utils/guc.h"

#include "pg_compat.h"
#include "worker/apply_flush.h"
#include "worker/apply_worker.h"

/* How often to look whether the server has flushed what was committed. */
#define FLUSH_POLL_MS 200

/* ---------------------------------------------------------------- saying what for */

void apply_report(DatabaseState database, bool stopped, const char *detail)
{
	PaxosShared *shared = paxos_shared;

	LWLockAcquire(shared->status_lock, LW_EXCLUSIVE);
	shared->report.database = database;
	shared->report.has_state = apply_worker.state.stored;
	shared->report.store_id = apply_worker.state.store_id;
	shared->report.base_known = apply_worker.base_known;
	shared->report.base = apply_worker.base;
	shared->report.base_loads = apply_worker.base_loads;
	shared->report.stopped = stopped;
	strlcpy(shared->report.detail, detail, sizeof(shared->report.detail));
	LWLockRelease(shared->status_lock);
	shmem_wake_consensus();
}

uint64 apply_clock_ms(void)
{
	instr_time now;

	INSTR_TIME_SET_CURRENT(now);
	return (uint64) INSTR_TIME_GET_MILLISEC(now) + 1;
}

bool apply_is_reminder_due(void)
{
	apply_worker.waits = true;
	return log_limit_pass(&apply_worker.waiting, apply_clock_ms(), NULL);
}

void apply_no_longer_waits(void)
{
	apply_worker.over.burst = 4;
	if (apply_worker.waits && log_limit_pass(&apply_worker.over, apply_clock_ms(), NULL))
		apply_worker.waiting = (struct log_limit){0};
	apply_worker.waits = false;
}

/* ---------------------------------------------------------------- waiting */

bool apply_is_hold_asked(void)
{
	return pg_atomic_read_u32(&paxos_shared->snapshot.hold) != 0;
}

void apply_check_interrupts(void)
{
	if (!IsTransactionState())
		QueryCancelPending = false;
	CHECK_FOR_INTERRUPTS();
}

void apply_wait(long timeout_ms)
{
	int events;

	flush_publish();
	if (flush_is_awaited())
		timeout_ms = timeout_ms < 0 ? FLUSH_POLL_MS : Min(timeout_ms, FLUSH_POLL_MS);
	events = WL_LATCH_SET | WL_EXIT_ON_PM_DEATH | (timeout_ms >= 0 ? WL_TIMEOUT : 0);
	(void) WaitLatch(MyLatch, events, timeout_ms, compat_wait_event("PaxoskvApply"));
	ResetLatch(MyLatch);
	apply_check_interrupts();
}

void apply_reload_if_asked(void)
{
	if (!ConfigReloadPending)
		return;
	ConfigReloadPending = false;
	ProcessConfigFile(PGC_SIGHUP);
}

ErrorData *apply_take_error(MemoryContext context)
{
	ErrorData *error;

	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	MemoryContextSwitchTo(context);
	return error;
}
