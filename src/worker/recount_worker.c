/*
 * recount_worker.c - a worker that lives for one recount, so that a large table holds up neither apply nor consensus.
 *
 * It takes one snapshot and no lock that anybody but DDL waits for.  The consensus worker starts it, one at a time,
 * and takes what it leaves on the board.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/backend_status.h"
#include "utils/guc.h"
#include "utils/snapmgr.h"

#include "worker/settings.h"
#include "worker/shmem.h"
#include "worker/workers.h"

/* ALTER DATABASE ... SET may have made them unfit: a deferrable snapshot waits for others, a time-out ends it. */
static void override_settings(void)
{
	static const char *const settings[][2] = {
		{"default_transaction_isolation", "read committed"},
		{"default_transaction_deferrable", "off"},
		{"transaction_timeout", "0"},
	};

	for (int i = 0; i < (int) lengthof(settings); i++)
		if (GetConfigOption(settings[i][0], true, false) != NULL)
			SetConfigOption(settings[i][0], settings[i][1], PGC_SUSET, PGC_S_OVERRIDE);
}

void paxoskv_recount_main(Datum arg)
{
	StateBoard *board = &paxos_shared->state;
	Recount recount;

	pqsignal(SIGTERM, die);
	BackgroundWorkerUnblockSignals();
	BackgroundWorkerInitializeConnection(paxoskv_database, NULL, BGWORKER_BYPASS_ALLOWCONN);
	override_settings();
	pgstat_report_activity(STATE_RUNNING, "recomputing the state hash");
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	recount_tables(&recount);
	PopActiveSnapshot();
	CommitTransactionCommand();

	LWLockAcquire(paxos_shared->status_lock, LW_EXCLUSIVE);
	board->recount = recount;
	board->counted = DatumGetUInt32(arg);
	LWLockRelease(paxos_shared->status_lock);
	pg_atomic_fetch_add_u64(&board->changes, 1);
	shmem_wake_consensus();
	proc_exit(0);
}
