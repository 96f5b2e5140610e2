/*
 * apply_diverged.c - T3, the apply worker's half: it applies nothing more where its rows are not the cluster's.
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/snapmgr.h"

#include "worker/apply_worker.h"

/* How often to try to store that its rows are not the cluster's. */
#define STORE_AGAIN_MS 30000

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
		strlcpy(apply_worker.state.diverged, why, sizeof(apply_worker.state.diverged));
	}
	PG_CATCH();
	{
		ErrorData *error = apply_take_error(context);

		if (apply_is_reminder_due())
			ereport(LOG, (errcode(error->sqlerrcode),
						  errmsg("paxoskv cannot store now why apply has stopped: %s", error->message)));
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
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
	apply_report(DATABASE_READY, true, why);
	for (uint64 tried_ms = 0; !apply_is_hold_asked();)
	{
		bool due = tried_ms == 0 || apply_clock_ms() - tried_ms >= STORE_AGAIN_MS;

		/* Until it is stored it is tried again; there is a row to store it in once something was applied. */
		if (apply_worker.state.stored && apply_worker.state.diverged[0] == '\0' && due)
		{
			tried_ms = apply_clock_ms();
			store_diverged(why);
		}
		apply_wait(apply_worker.state.diverged[0] == '\0' ? STORE_AGAIN_MS : -1);
		apply_reload_if_asked();
	}
}

bool apply_stop_if_diverged(void)
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

void apply_forget_divergence(void)
{
	StateBoard *board = &paxos_shared->state;

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	board->divergence[0] = '\0';
	pg_atomic_write_u32(&board->diverged, 0);
	LWLockRelease(paxos_shared->status_lock);
	pg_atomic_fetch_add_u64(&board->changes, 1);
}

void apply_publish_divergence(void)
{
	StateBoard *board = &paxos_shared->state;

	if (apply_worker.state.diverged[0] == '\0')
		return;
	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	strlcpy(board->divergence, apply_worker.state.diverged, sizeof(board->divergence));
	pg_atomic_write_u32(&board->diverged, 1);
	LWLockRelease(paxos_shared->status_lock);
}
