/*
 * resync.c - paxos_resync(): another node's rows in place of this one's; view paxoskv.snapshot_progress (T5).
 */
#include "postgres.h"

#include "access/xact.h"
#include "fmgr.h"
#include "funcapi.h"

#include "sql/arguments.h"
#include "sql/show.h"

PG_FUNCTION_INFO_V1(paxos_resync);
PG_FUNCTION_INFO_V1(paxoskv_read_snapshot_progress);

#define PROGRESS_COLUMNS 10

/* It can take the tables' locks, and would wait for a transaction that has read them and waits for it. */
static void check_not_in_transaction(void)
{
	if (IsTransactionBlock())
		ereport(
			ERROR,
			(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
			 errmsg("paxos_resync() cannot run inside a transaction block"),
			 errdetail("It may have to wait until no transaction has the rows in use, this one included."),
			 errhint("Call it outside of a transaction block.")));
}

Datum paxos_resync(PG_FUNCTION_ARGS)
{
	check_database();
	check_may_write("paxos_resync()");
	check_not_in_transaction();
	PG_RETURN_INT64((int64) client_resync());
}

static const char *phase_name(SnapshotPhase phase)
{
	static const char *const names[] = {
		[SNAPSHOT_NONE] = "",
		[SNAPSHOT_CONNECTING] = "connecting",
		[SNAPSHOT_STARTING] = "starting",
		[SNAPSHOT_WAITING] = "waiting for apply",
		[SNAPSHOT_LOCKING] = "waiting for a lock",
		[SNAPSHOT_COPYING] = "copying rows",
		[SNAPSHOT_VERIFYING] = "verifying",
		[SNAPSHOT_COMMITTING] = "committing",
		[SNAPSHOT_ENDING] = "waiting for the receiver",
	};

	return (int) phase < (int) lengthof(names) ? names[phase] : "";
}

/* The rows of view paxoskv.snapshot_progress. */
Datum paxoskv_read_snapshot_progress(PG_FUNCTION_ARGS)
{
	ClientSnapshot snapshots[SNAPSHOT_ROLES];
	ReturnSetInfo *result;
	int n;

	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	n = client_snapshots(snapshots);
	for (int i = 0; i < n; i++)
	{
		const ClientSnapshot *snapshot = &snapshots[i];
		Datum values[PROGRESS_COLUMNS];
		bool nulls[PROGRESS_COLUMNS];
		RowBuilder row = {values, nulls, 0};

		row_add_int32_or_null(&row, snapshot->pid);
		row_add_text_or_null(&row, snapshot->role == SNAPSHOT_SENDING ? "sending" : "receiving");
		row_add_int32_or_null(&row, snapshot->peer);
		row_add_text_or_null(&row, phase_name(snapshot->phase));
		row_add_int64_or_null(&row, snapshot->slot);
		row_add_int64_or_null(&row, snapshot->rows_total);
		row_add_int64(&row, snapshot->rows_done);
		row_add_int64_or_null(&row, snapshot->bytes_total);
		row_add_int64(&row, snapshot->bytes_done);
		row_add_int64(&row, (uint64) snapshot->started); /* a timestamptz is an int64 */
		Assert(row.n == PROGRESS_COLUMNS);
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	}
	PG_RETURN_NULL();
}
