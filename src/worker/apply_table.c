/*
 * apply_table.c - the store's tables by the table's own functions: rows are found by one index scan, and written
 * at the place where they were found.
 *
 * No statement could do that: each would look the row up again, lock it, and copy its columns through arrays.
 * Nobody else changes these tables (protect.c), and the transaction holds them open, so a place stays good
 * until its end.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "pg_compat.h"
#include "worker/apply.h"
#include "worker/store_tables.h"

/* One table, open in the transaction that runs. */
typedef struct OpenTable
{
	Relation relation;
	EState *executor;
	ResultRelInfo *result; /* its indexes */
	TupleTableSlot *slot;  /* a row on its way in */
} OpenTable;

/* paxoskv.kv, and the way to its rows. */
struct StoreRows
{
	OpenTable table;
	Relation index;
	IndexScanDesc scan;
	TupleTableSlot *found;
	ScanKeyData keys[2];
};

/* ---------------------------------------------------------------- opening and closing */

static OpenTable open_table(const char *name, int n_columns)
{
	OpenTable table;

	table.relation = try_table_open(store_relation_id(name), RowExclusiveLock);
	if (table.relation == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE), errmsg("relation \"paxoskv.%s\" does not exist", name)));
	if (RelationGetDescr(table.relation)->natts != n_columns)
		ereport(ERROR, (errcode(ERRCODE_DATATYPE_MISMATCH),
						errmsg("table \"paxoskv.%s\" does not have the columns it was made with", name)));
	table.executor = CreateExecutorState();
	table.result = makeNode(ResultRelInfo);
	InitResultRelInfo(table.result, table.relation, 0, NULL, 0);
	ExecOpenIndices(table.result, false);
	table.slot = MakeSingleTupleTableSlot(RelationGetDescr(table.relation), &TTSOpsVirtual);
	return table;
}

static void close_table(OpenTable *table)
{
	ExecDropSingleTupleTableSlot(table->slot);
	ExecCloseIndices(table->result);
	FreeExecutorState(table->executor);
	table_close(table->relation, NoLock);
}

StoreRows *store_open_rows(void)
{
	StoreRows *rows = palloc(sizeof(StoreRows));

	rows->table = open_table("kv", KV_COLUMNS);
	rows->index = index_open(store_relation_id("kv_key"), RowExclusiveLock);
	for (int i = 0; i < 2; i++)
		ScanKeyEntryInitialize(&rows->keys[i], 0, (AttrNumber) (i + 1), BTEqualStrategyNumber, InvalidOid,
							   rows->index->rd_indcollation[i], F_TEXTEQ, (Datum) 0);
	rows->scan =
		compat_index_beginscan(rows->table.relation, rows->index, GetActiveSnapshot(), lengthof(rows->keys));
	rows->found = table_slot_create(rows->table.relation, NULL);
	return rows;
}

void store_close_rows(StoreRows *rows)
{
	ExecDropSingleTupleTableSlot(rows->found);
	index_endscan(rows->scan);
	index_close(rows->index, NoLock);
	close_table(&rows->table);
	pfree(rows);
}

/* ---------------------------------------------------------------- writing a row */

/* The new row is in table->slot, as a virtual tuple; *place becomes its place. */
static void insert_tuple(OpenTable *table, ItemPointer place)
{
	simple_table_tuple_insert(table->relation, table->slot);
	list_free(compat_insert_index_tuples(table->result, table->slot, table->executor, false));
	*place = table->slot->tts_tid;
	ExecClearTuple(table->slot);
	ResetPerTupleExprContext(table->executor);
}

static void update_tuple(OpenTable *table, ItemPointer place)
{
	CompatUpdateIndexes update_indexes;

	simple_table_tuple_update(table->relation, place, table->slot, GetActiveSnapshot(), &update_indexes);
	/* Keys never change: only a row that had to move to another page needs new entries. */
	if (compat_update_all_indexes(update_indexes))
		list_free(compat_insert_index_tuples(table->result, table->slot, table->executor, true));
	*place = table->slot->tts_tid;
	ExecClearTuple(table->slot);
	ResetPerTupleExprContext(table->executor);
}

/* ---------------------------------------------------------------- rows */

static Datum text_datum(const char *bytes, uint32 length)
{
	return PointerGetDatum(cstring_to_text_with_len(bytes, (int) length));
}

static Datum column(TupleTableSlot *slot, int number)
{
	bool is_null;
	Datum value = slot_getattr(slot, number, &is_null);

	if (is_null)
		elog(ERROR, "column %d of a row of the store is null", number);
	return value;
}

static void read_row(TupleTableSlot *slot, ApplyRow *row)
{
	row->place = slot->tts_tid;
	row->revision = (uint64) DatumGetInt64(column(slot, KV_REVISION));
	row->create_revision = (uint64) DatumGetInt64(column(slot, KV_CREATE_REVISION));
	row->written_at_us = DatumGetTimestampTz(column(slot, KV_WRITTEN_AT)) +
						 (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY;
	row->counted_hash = store_hash_of(column(slot, KV_HASH));
}

static void find_row(StoreRows *rows, ApplyRow *row)
{
	rows->keys[0].sk_argument = text_datum(row->partition, row->partition_length);
	rows->keys[1].sk_argument = text_datum(row->key, row->key_length);
	index_rescan(rows->scan, rows->keys, lengthof(rows->keys), NULL, 0);
	row->stored = index_getnext_slot(rows->scan, ForwardScanDirection, rows->found);
	row->exists = row->counted = row->stored;
	if (row->stored)
		read_row(rows->found, row);
	pfree(DatumGetPointer(rows->keys[0].sk_argument));
	pfree(DatumGetPointer(rows->keys[1].sk_argument));
}

void store_read_rows(StoreRows *open, ApplyRow **rows, int n)
{
	for (int i = 0; i < n; i++)
		find_row(open, rows[i]);
}

/*
 * One at a time, when it is looked at: a short command can name more and larger values than there is memory for.
 * The row's place is that of its version before this transaction: one that was written has its value in memory.
 */
const char *store_read_value(StoreRows *open, const ApplyRow *row, uint32 *length)
{
	ItemPointerData place = row->place;
	text *value;

	if (!table_tuple_fetch_row_version(open->table.relation, &place, GetActiveSnapshot(), open->found))
		elog(ERROR, "a row of the store is not where it was found");
	value = DatumGetTextPCopy(column(open->found, KV_VALUE));
	ExecClearTuple(open->found);
	*length = VARSIZE(value) - VARHDRSZ;
	return VARDATA(value);
}

/* The row as a tuple in table->slot; its bytes live until the executor's next reset. */
static void fill_slot(OpenTable *table, const ApplyRow *row)
{
	MemoryContext context = MemoryContextSwitchTo(GetPerTupleMemoryContext(table->executor));
	TupleTableSlot *slot = table->slot;
	Datum *values = slot->tts_values;

	ExecClearTuple(slot);
	memset(slot->tts_isnull, 0, KV_COLUMNS * sizeof(bool));
	values[KV_PARTITION - 1] = text_datum(row->partition, row->partition_length);
	values[KV_KEY - 1] = text_datum(row->key, row->key_length);
	slot->tts_isnull[KV_VALUE - 1] = row->value_kind == VALUE_NONE;
	values[KV_VALUE - 1] =
		row->value_kind == VALUE_NONE ? (Datum) 0 : text_datum(row->value, row->value_length);
	values[KV_VALUE_KIND - 1] = Int16GetDatum((int16) row->value_kind);
	values[KV_REVISION - 1] = Int64GetDatum((int64) row->revision);
	values[KV_CREATE_REVISION - 1] = Int64GetDatum((int64) row->create_revision);
	values[KV_WRITTEN_AT - 1] =
		TimestampTzGetDatum(row->written_at_us - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * USECS_PER_DAY);
	values[KV_HASH - 1] = store_hash_datum(row->hash);
	ExecStoreVirtualTuple(slot);
	MemoryContextSwitchTo(context);
}

static void write_row(OpenTable *table, ApplyRow *row)
{
	if (!row->exists)
	{
		simple_table_tuple_delete(table->relation, &row->place, GetActiveSnapshot());
		return;
	}
	fill_slot(table, row);
	if (row->stored)
		update_tuple(table, &row->place);
	else
		insert_tuple(table, &row->place);
}

void store_write_rows(StoreRows *open, ApplyRow **rows, int n)
{
	for (int i = 0; i < n; i++)
		write_row(&open->table, rows[i]);
	/* what comes behind in this transaction sees them, a clear above all */
	CommandCounterIncrement();
}

/* ---------------------------------------------------------------- the state's one row */

static bool find_state_by_scan(Relation relation, TupleTableSlot *slot)
{
	TableScanDesc scan = table_beginscan(relation, GetActiveSnapshot(), 0, NULL);
	bool found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	table_endscan(scan);
	return found;
}

/* At the place where it was written last, or where VACUUM FULL moved it. */
static bool find_state(Relation relation, ItemPointer place, TupleTableSlot *slot)
{
	/* A scan would read all dead versions, while somebody's old snapshot keeps them. */
	if (ItemPointerGetBlockNumber(place) < RelationGetNumberOfBlocks(relation) &&
		table_tuple_fetch_row_version(relation, place, GetActiveSnapshot(), slot))
		return true;
	return find_state_by_scan(relation, slot);
}

void store_update_state(ApplyState *state, Datum sessions)
{
	OpenTable table = open_table("state", STATE_COLUMNS);
	TupleTableSlot *old = table_slot_create(table.relation, NULL);
	TupleTableSlot *new = table.slot;

	if (!find_state(table.relation, &state->place, old))
		ereport(ERROR, (errcode(ERRCODE_UNDEFINED_TABLE), errmsg("paxoskv.state has lost its row")));
	slot_getallattrs(old);
	state->place = old->tts_tid;
	memcpy(new->tts_values, old->tts_values, STATE_COLUMNS * sizeof(Datum));
	memcpy(new->tts_isnull, old->tts_isnull, STATE_COLUMNS * sizeof(bool));
	new->tts_values[STATE_APPLIED_SLOT - 1] = Int64GetDatum((int64) state->applied);
	new->tts_values[STATE_HASH - 1] = store_hash_datum(state->hash);
	new->tts_values[STATE_ROW_COUNT - 1] = Int64GetDatum(state->rows);
	new->tts_values[STATE_SESSIONS - 1] = sessions;
	new->tts_values[STATE_REQUEST_COUNT - 1] = Int64GetDatum(state->request_count);
	new->tts_values[STATE_NEWEST_DROPPED - 1] = Int64GetDatum((int64) state->newest_dropped);
	ExecStoreVirtualTuple(new);
	update_tuple(&table, &state->place);
	ExecDropSingleTupleTableSlot(old);
	close_table(&table);
}
