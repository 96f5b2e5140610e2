/*
 * snapshot_load.c - the worker that makes this node's table another's (T5).
 *
 * One transaction: readers see the old rows or the new ones.  Rows of paxoskv.kv come in the order of their keys, and
 * are merged with those that there are: a row that is the same stays as it is, so that a table which is nearly right
 * costs a read, and an empty one plain inserts.  What then lies in the tables is recounted, row by row, and has to have
 * the hash that the sender's state had; only then may the transaction commit, and only when the log says so durably.
 * Nobody else writes here: the apply worker stands still.
 *
 * Where the own tables can't be read, or merging did not give what came, the next attempt puts all that comes into new
 * files and reads nothing of the old ones (snapshot_rewrite.c).
 */
#include "postgres.h"

#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/backend_status.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "paxos/bytes.h"
#include "pg_compat.h"
#include "worker/apply.h"
#include "worker/recount.h"
#include "worker/settings.h"
#include "worker/shmem.h"
#include "worker/snapshot.h"
#include "worker/snapshot_format.h"
#include "worker/snapshot_table.h"
#include "worker/store_tables.h"
#include "worker/workers.h"

/* A payload's memory beyond that is given back. */
#define KEPT_BYTES (1u << 20)
/* After so much work it rests for half as long, so that the server's, and the machine's, other work goes on. */
#define WORK_US 20000
/* At most: it does not hear that it is to end then, and a chunk's work may be that of a whole table. */
#define REST_MAX_MS 100
/* How often to look whether the tables are locked. */
#define LOCK_POLL_MS 20

static SnapshotWorker worker;

/* What is coming in. */
static struct
{
	SnapshotChunk chunk;
	uint8 *bytes; /* of its payload */
	uint64 capacity;
	const uint8 *at; /* the next row */
	uint64 rows[SNAPSHOT_TABLES];
	SnapshotHeader header;
	instr_time since; /* when the work on this chunk began */
	int64 worked_us;  /* since the last rest */
	bool taking;      /* just now: what goes wrong then is not wrong with this node's own tables */
} in;

pg_noreturn static void refuse_stream(const char *what)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED), errmsg("%s", what)));
}

/* ---------------------------------------------------------------- chunks */

static void make_room(uint64 length)
{
	if (length <= in.capacity && in.capacity <= KEPT_BYTES)
		return;
	if (in.bytes != NULL)
		pfree(in.bytes);
	in.capacity = Max(length, SNAPSHOT_CHUNK_BYTES * 2);
	in.bytes = MemoryContextAllocHuge(TopMemoryContext, in.capacity);
}

/* Waiting for bytes is no work. */
static void rest_from_work(void)
{
	instr_time worked;

	INSTR_TIME_SET_CURRENT(worked);
	INSTR_TIME_SUBTRACT(worked, in.since);
	in.worked_us += (int64) INSTR_TIME_GET_MICROSEC(worked);
	if (in.worked_us < WORK_US)
		return;
	(void) WaitLatch(NULL, WL_TIMEOUT | WL_EXIT_ON_PM_DEATH, (long) Min(in.worked_us / 2000, REST_MAX_MS),
					 compat_wait_event("PaxoskvSnapshotPace"));
	CHECK_FOR_INTERRUPTS();
	in.worked_us = 0;
}

/* The next chunk, all of it. */
static void read_chunk(void)
{
	uint8 header[SNAPSHOT_CHUNK_HEADER_BYTES];

	if (in.bytes != NULL)
		rest_from_work();
	snapshot_read(&worker, header, sizeof(header));
	if (!snapshot_get_chunk(header, &in.chunk))
		refuse_stream("what came is no chunk of a table");
	make_room(in.chunk.length);
	snapshot_read(&worker, in.bytes, in.chunk.length);
	if (!snapshot_chunk_is_whole(&in.chunk, in.bytes))
		refuse_stream("a chunk of the table came damaged");
	pg_atomic_fetch_add_u64(&worker.side->bytes_done, in.chunk.length);
	in.at = in.bytes;
	INSTR_TIME_SET_CURRENT(in.since);
	if (in.chunk.kind == CHUNK_ERROR)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("the other node sends no table: %.*s", (int) Min(in.chunk.length, 160),
							   (const char *) in.bytes)));
}

static const uint8 *chunk_end(void)
{
	return in.bytes + in.chunk.length;
}

/* The header stays in memory of its own. */
static void read_header(void)
{
	uint8 *bytes;

	in.taking = true;
	read_chunk();
	bytes = MemoryContextAlloc(TopMemoryContext, in.chunk.length + 1);
	memcpy(bytes, in.bytes, in.chunk.length);
	if (in.chunk.kind != CHUNK_HEADER || !snapshot_get_header(bytes, in.chunk.length, &in.header))
		refuse_stream("the table came without a header of this version");
	if (in.header.slot < worker.side->wanted)
		refuse_stream("the table that came is older than this node's");
	pg_atomic_write_u64(&worker.side->slot, in.header.slot);
	pg_atomic_write_u64(&worker.side->rows_total, in.header.rows);
	pg_atomic_write_u64(&worker.side->bytes_total, in.header.disk_bytes);
	read_chunk();
}

/* The next row of the table, in the current context; false: there are no more. */
static bool next_row(int number, SnapshotRow *row)
{
	in.taking = true;
	while (in.chunk.kind == CHUNK_ROWS && in.chunk.table == number && in.at == chunk_end())
	{
		if (number == SNAPSHOT_KV)
			pg_atomic_write_u64(&worker.side->rows_done, in.rows[number]);
		read_chunk();
	}
	if (in.chunk.kind != CHUNK_ROWS || in.chunk.table != number)
	{
		in.taking = false;
		return false;
	}
	snapshot_row_read(row, &snapshot_tables[number], &in.at, chunk_end());
	in.rows[number]++;
	in.taking = false;
	return true;
}

static void check_end(void)
{
	in.taking = true;
	if (in.chunk.kind != CHUNK_END || in.chunk.length != 8 * SNAPSHOT_TABLES)
		refuse_stream("the table came without an end");
	for (int i = 0; i < SNAPSHOT_TABLES; i++)
		if (get_u64(in.bytes + 8 * i) != in.rows[i])
			refuse_stream("the table came with another number of rows than was sent");
	in.taking = false;
	pg_atomic_write_u64(&worker.side->rows_done, in.rows[SNAPSHOT_KV]);
	snapshot_worker_step(&worker, STEP_RECEIVED);
}

/* ---------------------------------------------------------------- tables */

/* Also rows that no index leads to. */
static void delete_all(SnapshotWriter *writer)
{
	TupleTableSlot *old = table_slot_create(writer->relation, NULL);
	TableScanDesc scan = table_beginscan(writer->relation, GetActiveSnapshot(), 0, NULL);

	while (table_scan_getnextslot(scan, ForwardScanDirection, old))
	{
		CHECK_FOR_INTERRUPTS();
		snapshot_writer_delete(writer, &old->tts_tid);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(old);
}

/* A table without rows, or one that will be. */
static void begin_empty(SnapshotWriter *writer, const SnapshotTable *table)
{
	if (worker.side->replace)
	{
		snapshot_writer_begin_anew(writer, table);
		return;
	}
	snapshot_writer_begin(writer, table);
	delete_all(writer);
}

static void copy_table(int number)
{
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext row_context = AllocSetContextCreate(outer, "paxoskv row", ALLOCSET_DEFAULT_SIZES);
	SnapshotWriter *writer = palloc(sizeof(SnapshotWriter));
	SnapshotRow row;

	begin_empty(writer, &snapshot_tables[number]);
	MemoryContextSwitchTo(row_context);
	while (next_row(number, &row))
	{
		CHECK_FOR_INTERRUPTS();
		snapshot_writer_insert(writer, &row);
		MemoryContextReset(row_context);
	}
	MemoryContextSwitchTo(outer);
	snapshot_writer_end(writer);
	pfree(writer);
	MemoryContextDelete(row_context);
}

/*
 * All that is there before a key, or at it where it differs, goes; what comes is put in.  For a table with one unique
 * index: another one could have a row in the way that goes only later.
 */
static void merge_table(int number)
{
	const SnapshotTable *table = &snapshot_tables[number];
	MemoryContext outer = CurrentMemoryContext;
	MemoryContext row_context = AllocSetContextCreate(outer, "paxoskv row", ALLOCSET_DEFAULT_SIZES);
	SnapshotWriter *writer = palloc(sizeof(SnapshotWriter));
	SnapshotScan own;
	SnapshotRow row;
	bool have_own;

	snapshot_writer_begin(writer, table);
	snapshot_scan_begin(&own, table);
	have_own = snapshot_scan_next(&own);
	for (;;)
	{
		int order = 1;

		CHECK_FOR_INTERRUPTS();
		MemoryContextReset(row_context);
		MemoryContextSwitchTo(row_context);
		if (!next_row(number, &row))
			break;
		while (have_own && (order = snapshot_row_compare(table, &own.row, &row)) < 0)
		{
			snapshot_writer_delete(writer, &own.tuple->t_self);
			MemoryContextSwitchTo(outer);
			have_own = snapshot_scan_next(&own);
			MemoryContextSwitchTo(row_context);
		}
		if (!have_own || order > 0)
		{
			snapshot_writer_insert(writer, &row);
			continue;
		}
		if (!snapshot_row_equal(table, &own.row, &row))
		{
			snapshot_writer_delete(writer, &own.tuple->t_self);
			snapshot_writer_insert(writer, &row);
		}
		MemoryContextSwitchTo(outer);
		have_own = snapshot_scan_next(&own);
	}
	MemoryContextSwitchTo(outer);
	for (; have_own; have_own = snapshot_scan_next(&own))
		snapshot_writer_delete(writer, &own.tuple->t_self);
	snapshot_scan_end(&own);
	snapshot_writer_end(writer);
	pfree(writer);
	MemoryContextDelete(row_context);
}

/* One row in place of whatever there is. */
static void replace_state(void)
{
	static const SnapshotTable state = {"state", "state_pkey", STATE_COLUMNS, 0, "bv8v8vv88v", ".........n"};
	SnapshotWriter *writer = palloc(sizeof(SnapshotWriter));
	SnapshotHeader *header = &in.header;
	SnapshotRow row = {0};

	begin_empty(writer, &state);
	row.values[STATE_ONLY_ROW - 1] = BoolGetDatum(true);
	row.values[STATE_STORE_ID - 1] = store_bytes_datum(&worker.side->store_id, sizeof(worker.side->store_id));
	row.values[STATE_APPLIED_SLOT - 1] = Int64GetDatum((int64) header->slot);
	row.values[STATE_HASH - 1] = store_hash_datum(header->hash);
	row.values[STATE_ROW_COUNT - 1] = Int64GetDatum((int64) header->rows);
	row.values[STATE_CONFIG - 1] = store_bytes_datum(header->config, header->config_length);
	row.values[STATE_SESSIONS - 1] = store_bytes_datum(header->sessions, header->sessions_length);
	row.values[STATE_REQUEST_COUNT - 1] = Int64GetDatum((int64) header->request_count);
	row.values[STATE_NEWEST_DROPPED - 1] = Int64GetDatum((int64) header->newest_dropped);
	row.values[STATE_DIVERGED - 1] = (Datum) 0;
	row.nulls[STATE_DIVERGED - 1] = true;
	snapshot_writer_insert(writer, &row);
	snapshot_writer_end(writer);
	pfree(writer);
}

static void wait_for_lock(void)
{
	snapshot_worker_wait(&worker, LOCK_POLL_MS);
}

static void put_files_in_place(void)
{
	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_LOCKING);
	snapshot_rewrite_finish(wait_for_lock);
}

/* ---------------------------------------------------------------- what may not be believed */

static void check_sessions(struct session_table *sessions)
{
	store_sessions_of(sessions, store_bytes_datum(in.header.sessions, in.header.sessions_length));
	in.taking = false;
}

static void verify(void)
{
	Recount recount;

	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_VERIFYING);
	CommandCounterIncrement();
	PushActiveSnapshot(GetTransactionSnapshot());
	recount_tables(&recount);
	PopActiveSnapshot();
	if (recount.result.differs)
		ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("the table that came has not the state hash that came with it"),
						recount.detail[0] != '\0' ? errdetail_internal("%s", recount.detail) : 0));
	if (in.rows[SNAPSHOT_REQUESTS] != in.header.request_count)
		refuse_stream("the table came with another number of request ids than its state has");
}

static const struct session *own_session(const struct session_table *sessions)
{
	const SnapshotSide *side = worker.side;

	for (uint32 i = 0; i < sessions->n; i++)
	{
		const struct session *session = &sessions->sessions[i];

		if (session->open && session->node_id == (uint32) paxoskv_node_id && session->run == side->run &&
			session->nonce == side->nonce &&
			memcmp(&session->store_id, &side->store_id, sizeof(side->store_id)) == 0)
			return session;
	}
	return NULL;
}

/* ---------------------------------------------------------------- all of it */

/* From here on nobody else changes the tables. */
static void wait_for_hold(void)
{
	SnapshotShared *shared = &paxos_shared->snapshot;

	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_WAITING);
	while (pg_atomic_read_u32(&shared->held) == 0 ||
		   pg_atomic_read_u32(&shared->held) != pg_atomic_read_u32(&shared->hold))
		snapshot_worker_wait(&worker, 100);
}

static void load(void)
{
	struct session_table *sessions = palloc(sizeof(*sessions));
	const struct session *session;

	wait_for_hold();
	read_header();
	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_COPYING);
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	check_sessions(sessions);
	for (int i = 0; i < SNAPSHOT_TABLES; i++)
	{
		if (i == SNAPSHOT_KV && !worker.side->replace)
			merge_table(i);
		else
			copy_table(i);
	}
	check_end();
	replace_state();
	if (worker.side->replace)
		put_files_in_place();
	PopActiveSnapshot();
	verify();
	session = own_session(sessions);
	worker.side->restored = (struct paxos_restored){
		.slot = in.header.slot,
		.session = session != NULL ? session->session : 0,
		.last_number = session != NULL ? session->last_number : 0,
	};
	pg_atomic_write_u32(&worker.side->phase, SNAPSHOT_COMMITTING);
	snapshot_worker_step(&worker, STEP_READY);
	while (pg_atomic_read_u32(&worker.side->step) != STEP_GRANTED)
		snapshot_worker_wait(&worker, -1);
	/* Committed or not, nothing may end this process before it has said so. */
	HOLD_INTERRUPTS();
	ForceSyncCommit();
	CommitTransactionCommand();
	pg_atomic_fetch_add_u64(&paxos_shared->snapshot.loads, 1);
	snapshot_worker_step(&worker, STEP_COMMITTED);
	RESUME_INTERRUPTS();
}

/*
 * In a PG_CATCH block.  Pages that can't be read, an index that leads elsewhere, files that are gone: another attempt
 * would meet the same.  Locks, memory and space are none of that.
 */
static bool are_tables_unfit(void)
{
	return !in.taking &&
		   (apply_judge_error(geterrcode()) != APPLY_ERROR_PASSES || geterrcode() == ERRCODE_IO_ERROR);
}

void paxoskv_snapshot_load_main(Datum arg)
{
	snapshot_worker_start(&worker, SNAPSHOT_RECEIVING, DatumGetUInt32(arg));
	pgstat_report_activity(STATE_RUNNING, "loading the rows of another node");
	PG_TRY();
	{
		load();
	}
	PG_CATCH();
	{
		worker.side->unfit = are_tables_unfit();
		snapshot_worker_failed(&worker);
	}
	PG_END_TRY();
	proc_exit(0);
}
