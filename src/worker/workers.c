/*
 * workers.c - registration of the background workers.
 */
#include "postgres.h"

#include "miscadmin.h"
#include "postmaster/bgworker.h"

#include "worker/workers.h"

static BackgroundWorker worker_of(const char *name, const char *function, int restart_s)
{
	BackgroundWorker worker = {0};

	strlcpy(worker.bgw_name, name, BGW_MAXLEN);
	strlcpy(worker.bgw_type, name, BGW_MAXLEN);
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_RecoveryFinished;
	worker.bgw_restart_time = restart_s;
	strlcpy(worker.bgw_library_name, "paxoskv", sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, function, BGW_MAXLEN);
	return worker;
}

/*
 * Static, so that they can't find all slots taken; restarted after a second; not before recovery is over,
 * so a hot standby has none.
 */
static void register_one(const char *name, const char *function)
{
	BackgroundWorker worker = worker_of(name, function, 1);

	RegisterBackgroundWorker(&worker);
}

BackgroundWorkerHandle *workers_start_recount(uint32 number)
{
	BackgroundWorker worker = worker_of("paxoskv recount worker", "paxoskv_recount_main", BGW_NEVER_RESTART);
	BackgroundWorkerHandle *handle = NULL;

	worker.bgw_main_arg = UInt32GetDatum(number);
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

BackgroundWorkerHandle *workers_start_snapshot(SnapshotRole role, uint32 job)
{
	bool sends = role == SNAPSHOT_SENDING;
	BackgroundWorker worker =
		worker_of(sends ? "paxoskv snapshot sender" : "paxoskv snapshot receiver",
				  sends ? "paxoskv_snapshot_send_main" : "paxoskv_snapshot_load_main", BGW_NEVER_RESTART);
	BackgroundWorkerHandle *handle = NULL;

	worker.bgw_main_arg = UInt32GetDatum(job);
	worker.bgw_notify_pid = MyProcPid; /* that it ended is noticed at once */
	return RegisterDynamicBackgroundWorker(&worker, &handle) ? handle : NULL;
}

void workers_register(void)
{
	register_one("paxoskv consensus worker", "paxoskv_consensus_main");
	register_one("paxoskv apply worker", "paxoskv_apply_main");
}
