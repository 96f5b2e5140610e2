/*
 * snapshot_send.c - the worker that sends this node's table (T5): one read-only transaction, one snapshot, which is the
 * table at exactly the slot that its state names.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/bufmgr.h"
#include "storage/ipc.h"
#include "utils/backend_status.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "paxos/bytes.h"
#include "worker/shmem.h"
#include "worker/snapshot.h"
#include "worker/snapshot_format.h"
#include "worker/snapshot_table.h"
#include "worker/store_tables.h"
#include "worker/workers.h"

static SnapshotWorker worker;

static void send_chunk(SnapshotChunkKind kind, uint8 table, const void *payload, uint64 length)
{
	uint8 header[SNAPSHOT_CHUNK_HEADER_BYTES];

	snapshot_put_chunk(header, kind, table, payload, length);
	snapshot_write(&worker, header, sizeof(header));
	snapshot_write(&worker, payload, length);
	pg_atomic_fetch_add_u64(&worker.side->bytes_done, length);
}

/* ---------------------------------------------------------------- the header */

static uint64 disk_bytes(void)
{
	Relation table = store_open_table("kv");
	uint64 blocks = RelationGetNumberOfBlocks(table);

	if (OidIsValid(table->rd_rel->reltoastrelid))
	{
		Relation toast = table_open(table->rd_rel->reltoastrelid, AccessShareLock);

		blocks += RelationGetNumberOfBlocks(toast);
		table_close(toast, AccessShareLock);
	}
	table_close(table, AccessShareLock);
	return blocks * BLCKSZ;
}

static const uint8 *bytes_of(Datum datum, uint32 *length)
{
	bytea *value = DatumGetByteaPP(datum);

	*length = (uint32) VARSIZE_ANY_EXHDR(value);
	return (const uint8 *) VARDATA_ANY(value);
}

static void fill_header(SnapshotHeader *header, const Datum *values, const bool *nulls)
{
	if (!nulls[STATE_DIVERGED - 1])
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED), errmsg("the rows of this node are not the cluster's")));
	header->slot = (uint64) DatumGetInt64(values[STATE_APPLIED_SLOT - 1]);
	header->hash = store_hash_of(values[STATE_HASH - 1]);
	header->rows = (uint64) DatumGetInt64(values[STATE_ROW_COUNT - 1]);
	header->request_count = (uint64) DatumGetInt64(values[STATE_REQUEST_COUNT - 1]);
	header->newest_dropped = (uint64) DatumGetInt64(values[STATE_NEWEST_DROPPED - 1]);
	header->disk_bytes = disk_bytes();
	header->config = bytes_of(values[STATE_CONFIG - 1], &header->config_length);
	header->sessions = bytes_of(values[STATE_SESSIONS - 1], &header->sessions_length);
	if (header->config_length > FORMATION_BLOB_MAX || header->sessions_length > SNAPSHOT_SESSIONS_MAX)
		elog(ERROR, "the store's state is larger than can be sent");
}

static void send_header(void)
{
	Relation table = store_open_table("state");
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, GetActiveSnapshot(), 0, NULL);
	uint8 *bytes = palloc(SNAPSHOT_HEADER_MAX);
	SnapshotHeader header;

	if (!table_scan_getnextslot(scan, ForwardScanDirection, slot))
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("nothing has been applied on this node")));
	slot_getallattrs(slot);
	fill_header(&header, slot->tts_values, slot->tts_isnull);
	pg_atomic_write_u64(&worker.side->slot, header.slot);
	pg_atomic_write_u64(&worker.side->rows_total, header.rows);
	pg_atomic_write_u64(&worker.side->bytes_total, header.disk_bytes);
	send_chunk(CHUNK_HEADER, 0, bytes, snapshot_put_header(bytes, &header));
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	table_close(table, AccessShareLock);
}

/* ---------------------------------------------------------------- rows */

static uint64 send_table(int number)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext row_context = AllocSetContextCreate(outer, "paxoskv row", ALLOCSET_DEFAULT_SIZES);
	SnapshotScan scan;
	StringInfoData chunk;
	uint64 rows = 0;

	initStringInfo(&chunk);
	snapshot_scan_begin(&scan, &snapshot_tables[number]);
	while (snapshot_scan_next(&scan))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(row_context);
		snapshot_row_append(&chunk, scan.table, &scan.row);
		MemoryContextSwitchTo(outer);
		MemoryContextReset(row_context);
		rows++;
		if (chunk.len < (int) SNAPSHOT_CHUNK_BYTES)
			continue;
		send_chunk(CHUNK_ROWS, (uint8) number, chunk.data, (uint64) chunk.len);
		resetStringInfo(&chunk);
		if (number == SNAPSHOT_KV)
			pg_atomic_write_u64(&worker.side->rows_done, rows);
		/* A large row's memory is not kept. */
		if (chunk.maxlen > (int) SNAPSHOT_CHUNK_BYTES * 4)
		{
			pfree(chunk.data);
			initStringInfo(&chunk);
		}
	}
	if (chunk.len > 0)
		send_chunk(CHUNK_ROWS, (uint8) number, chunk.data, (uint64) chunk.len);
	if (number == SNAPSHOT_KV)
		pg_atomic_write_u64(&worker.side->rows_done, rows);
	snapshot_scan_end(&scan);
	pfree(chunk.data);
	MemoryContextDelete(row_context);
	return rows;
}

static void send_all(void)
{
	uint8 counts[8 * SNAPSHOT_TABLES];

	StartTransactionCommand();
	XactIsoLevel = XACT_REPEATABLE_READ;
	XactReadOnly = true;
	PushActiveSnapshot(GetTransactionSnapshot());
	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_COPYING);
	send_header();
	for (int i = 0; i < SNAPSHOT_TABLES; i++)
		put_u64(counts + 8 * i, send_table(i));
	send_chunk(CHUNK_END, 0, counts, sizeof(counts));
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void paxoskv_snapshot_send_main(Datum arg)
{
	snapshot_worker_start(&worker, SNAPSHOT_SENDING, DatumGetUInt32(arg));
	pgstat_report_activity(STATE_RUNNING, "sending the rows to another node");
	PG_TRY();
	{
		send_all();
	}
	PG_CATCH();
	{
		snapshot_worker_failed(&worker);
	}
	PG_END_TRY();
	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_ENDING);
	snapshot_worker_step(&worker, STEP_SENT);
	proc_exit(0);
}
