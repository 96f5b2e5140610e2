/*
 * snapshot_table.c - rows of the store's tables: in order, as bytes, and into a table many at a time.
 *
 * By the tables' own functions, as apply_table.c does it: a statement for each batch of rows would copy them thrice.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "executor/tuptable.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "paxos/bytes.h"
#include "pg_compat.h"
#include "worker/snapshot_table.h"
#include "worker/store_tables.h"

#define NULL_LENGTH UINT32_MAX

/* Letters for what is in a column; '.' in "nullable": it is never null. */
const SnapshotTable snapshot_tables[SNAPSHOT_TABLES] = {
	[SNAPSHOT_KV] = {"kv", "kv_key", KV_COLUMNS, 2, "vvv288tv", "..n....."},
	[SNAPSHOT_REQUESTS] = {"requests", "requests_pkey", REQUEST_COLUMNS, 1, "v28vb8vbv", "......n.."},
	[SNAPSHOT_VOID_NUMBERS] = {"void_numbers", "void_numbers_pkey", VOID_COLUMNS, 2, "88", ".."},
	[SNAPSHOT_CLOSED_SESSIONS] = {"closed_sessions", "closed_sessions_pkey", CLOSED_COLUMNS, 1, "848", "..."},
};

StaticAssertDecl(REQUEST_COLUMNS <= SNAPSHOT_COLUMNS_MAX && KV_COLUMNS <= SNAPSHOT_COLUMNS_MAX &&
					 STATE_COLUMNS <= SNAPSHOT_COLUMNS_MAX,
				 "the widest table fits a row");

static Relation open_table(const SnapshotTable *table, LOCKMODE lock)
{
	Relation relation = table_open(store_relation_id(table->name), lock);

	if (RelationGetDescr(relation)->natts != table->n_columns)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("table \"paxoskv.%s\" does not have the columns it was made with", table->name)));
	return relation;
}

/* ---------------------------------------------------------------- reading */

void snapshot_scan_begin(SnapshotScan *scan, const SnapshotTable *table)
{
	scan->table = table;
	scan->relation = open_table(table, AccessShareLock);
	scan->index = index_open(store_relation_id(table->index), AccessShareLock);
	scan->scan = systable_beginscan_ordered(scan->relation, scan->index, GetActiveSnapshot(), 0, NULL);
	scan->tuple = NULL;
}

bool snapshot_scan_next(SnapshotScan *scan)
{
	scan->tuple = systable_getnext_ordered(scan->scan, ForwardScanDirection);
	if (!HeapTupleIsValid(scan->tuple))
		return false;
	heap_deform_tuple(scan->tuple, RelationGetDescr(scan->relation), scan->row.values, scan->row.nulls);
	return true;
}

void snapshot_scan_end(SnapshotScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, AccessShareLock);
	table_close(scan->relation, AccessShareLock);
}

/* ---------------------------------------------------------------- bytes */

static int64 number_of(char letter, Datum value)
{
	switch (letter)
	{
		case '2':
			return DatumGetInt16(value);
		case '4':
			return DatumGetInt32(value);
		case 'b':
			return DatumGetBool(value) ? 1 : 0;
		default:
			return DatumGetInt64(value);
	}
}

/* False: it is no value of that column. */
static bool datum_of(char letter, int64 number, Datum *value)
{
	switch (letter)
	{
		case '2':
			*value = Int16GetDatum((int16) number);
			return number == (int16) number;
		case '4':
			*value = Int32GetDatum((int32) number);
			return number == (int32) number;
		case 'b':
			*value = BoolGetDatum(number != 0);
			return number == 0 || number == 1;
		default:
			*value = Int64GetDatum(number);
			return true;
	}
}

static void append_u32(StringInfo to, uint32 number)
{
	uint8 bytes[4];

	put_u32(bytes, number);
	appendBinaryStringInfo(to, (char *) bytes, sizeof(bytes));
}

void snapshot_row_append(StringInfo to, const SnapshotTable *table, const SnapshotRow *row)
{
	for (int i = 0; i < table->n_columns; i++)
	{
		uint8 bytes[8];
		struct varlena *value;

		if (table->columns[i] != 'v')
		{
			if (row->nulls[i])
				elog(ERROR, "column %d of a row of paxoskv.%s is null", i + 1, table->name);
			put_u64(bytes, (uint64) number_of(table->columns[i], row->values[i]));
			appendBinaryStringInfo(to, (char *) bytes, sizeof(bytes));
			continue;
		}
		if (row->nulls[i])
		{
			append_u32(to, NULL_LENGTH);
			continue;
		}
		value = PG_DETOAST_DATUM_PACKED(row->values[i]);
		append_u32(to, (uint32) VARSIZE_ANY_EXHDR(value));
		appendBinaryStringInfo(to, VARDATA_ANY(value), (int) VARSIZE_ANY_EXHDR(value));
	}
}

pg_noreturn static void refuse_row(const SnapshotTable *table)
{
	ereport(ERROR, (errcode(ERRCODE_DATA_CORRUPTED),
					errmsg("a row of paxoskv.%s came that can be none", table->name)));
}

static Datum read_bytes(const SnapshotTable *table, const uint8 **at, const uint8 *end, uint32 length)
{
	struct varlena *value;

	if ((uint64) (end - *at) < length)
		refuse_row(table);
	value = palloc(VARHDRSZ + length);
	SET_VARSIZE(value, VARHDRSZ + length);
	memcpy(VARDATA(value), *at, length);
	*at += length;
	return PointerGetDatum(value);
}

void snapshot_row_read(SnapshotRow *row, const SnapshotTable *table, const uint8 **at, const uint8 *end)
{
	for (int i = 0; i < table->n_columns; i++)
	{
		bool bytes = table->columns[i] == 'v';
		uint32 length;

		if (end - *at < (bytes ? 4 : 8))
			refuse_row(table);
		row->nulls[i] = false;
		if (!bytes)
		{
			if (!datum_of(table->columns[i], (int64) get_u64(*at), &row->values[i]))
				refuse_row(table);
			*at += 8;
			continue;
		}
		length = get_u32(*at);
		*at += 4;
		row->nulls[i] = length == NULL_LENGTH;
		if (row->nulls[i] && table->nullable[i] != 'n')
			refuse_row(table);
		row->values[i] = row->nulls[i] ? (Datum) 0 : read_bytes(table, at, end, length);
	}
}

static int compare_bytes(Datum a, Datum b)
{
	struct varlena *x = PG_DETOAST_DATUM_PACKED(a);
	struct varlena *y = PG_DETOAST_DATUM_PACKED(b);
	Size n = VARSIZE_ANY_EXHDR(x);
	Size m = VARSIZE_ANY_EXHDR(y);
	int result = memcmp(VARDATA_ANY(x), VARDATA_ANY(y), Min(n, m));

	return result != 0 ? result : (n > m) - (n < m);
}

int snapshot_row_compare(const SnapshotTable *table, const SnapshotRow *a, const SnapshotRow *b)
{
	for (int i = 0; i < table->n_keys; i++)
	{
		char letter = table->columns[i];
		int64 x = letter == 'v' ? compare_bytes(a->values[i], b->values[i]) : number_of(letter, a->values[i]);
		int64 y = letter == 'v' ? 0 : number_of(letter, b->values[i]);

		if (x != y)
			return x > y ? 1 : -1;
	}
	return 0;
}

bool snapshot_row_equal(const SnapshotTable *table, const SnapshotRow *a, const SnapshotRow *b)
{
	for (int i = 0; i < table->n_columns; i++)
	{
		char letter = table->columns[i];

		if (a->nulls[i] != b->nulls[i])
			return false;
		if (a->nulls[i])
			continue;
		if (letter == 'v' ? compare_bytes(a->values[i], b->values[i]) != 0
						  : number_of(letter, a->values[i]) != number_of(letter, b->values[i]))
			return false;
	}
	return true;
}

/* ---------------------------------------------------------------- writing */

static void begin_writing(SnapshotWriter *writer, const SnapshotTable *table, Relation relation, int options)
{
	memset(writer, 0, sizeof(*writer));
	writer->table = table;
	writer->relation = relation;
	writer->options = options;
	writer->executor = CreateExecutorState();
	writer->result = makeNode(ResultRelInfo);
	InitResultRelInfo(writer->result, writer->relation, 0, NULL, 0);
	ExecOpenIndices(writer->result, false);
	writer->bulk = GetBulkInsertState();
	writer->batch_context =
		AllocSetContextCreate(CurrentMemoryContext, "paxoskv snapshot batch", ALLOCSET_DEFAULT_SIZES);
}

void snapshot_writer_begin(SnapshotWriter *writer, const SnapshotTable *table)
{
	begin_writing(writer, table, open_table(table, RowExclusiveLock), 0);
}

/*
 * Rows are frozen: whoever waits for the lock under which the files take the old ones' place, with a snapshot of before
 * the commit, is to see them and not an empty table.  Where the transaction fails the files go.
 */
void snapshot_writer_begin_anew(SnapshotWriter *writer, const SnapshotTable *table)
{
	Relation old = open_table(table, ShareUpdateExclusiveLock);

	begin_writing(writer, table, snapshot_rewrite_begin(old), TABLE_INSERT_SKIP_FSM | TABLE_INSERT_FROZEN);
	table_close(old, NoLock);
}

static uint64 row_bytes(const SnapshotTable *table, const SnapshotRow *row)
{
	uint64 bytes = 64;

	for (int i = 0; i < table->n_columns; i++)
		if (table->columns[i] == 'v' && !row->nulls[i])
			bytes += VARSIZE_ANY_EXHDR(DatumGetPointer(row->values[i]));
	return bytes;
}

void snapshot_writer_insert(SnapshotWriter *writer, const SnapshotRow *row)
{
	int n = writer->table->n_columns;
	TupleTableSlot *slot = writer->slots[writer->n_slots];

	if (slot == NULL)
	{
		MemoryContext outer = MemoryContextSwitchTo(writer->executor->es_query_cxt);

		slot = writer->slots[writer->n_slots] = table_slot_create(writer->relation, NULL);
		MemoryContextSwitchTo(outer);
	}
	ExecClearTuple(slot);
	memcpy(slot->tts_values, row->values, (Size) n * sizeof(Datum));
	memcpy(slot->tts_isnull, row->nulls, (Size) n * sizeof(bool));
	ExecStoreVirtualTuple(slot);
	ExecMaterializeSlot(slot);
	writer->n_slots++;
	writer->bytes += row_bytes(writer->table, row);
	if (writer->n_slots == SNAPSHOT_BATCH_ROWS || writer->bytes >= SNAPSHOT_BATCH_BYTES)
		snapshot_writer_flush(writer);
}

void snapshot_writer_flush(SnapshotWriter *writer)
{
	MemoryContext outer;

	if (writer->n_slots == 0)
		return;
	outer = MemoryContextSwitchTo(writer->batch_context);
	table_multi_insert(writer->relation, writer->slots, writer->n_slots, GetCurrentCommandId(true),
					   writer->options, writer->bulk);
	for (int i = 0; i < writer->n_slots; i++)
	{
		list_free(compat_insert_index_tuples(writer->result, writer->slots[i], writer->executor, false));
		ResetPerTupleExprContext(writer->executor);
		ExecClearTuple(writer->slots[i]);
	}
	MemoryContextSwitchTo(outer);
	MemoryContextReset(writer->batch_context);
	writer->n_slots = 0;
	writer->bytes = 0;
}

void snapshot_writer_delete(SnapshotWriter *writer, ItemPointer place)
{
	simple_table_tuple_delete(writer->relation, place, GetActiveSnapshot());
}

void snapshot_writer_end(SnapshotWriter *writer)
{
	snapshot_writer_flush(writer);
	table_finish_bulk_insert(writer->relation, writer->options);
	FreeBulkInsertState(writer->bulk);
	for (int i = 0; i < SNAPSHOT_BATCH_ROWS && writer->slots[i] != NULL; i++)
		ExecDropSingleTupleTableSlot(writer->slots[i]);
	ExecCloseIndices(writer->result);
	FreeExecutorState(writer->executor);
	MemoryContextDelete(writer->batch_context);
	table_close(writer->relation, NoLock);
}
