/*
 * row_scan.c - a walk over many rows of the store in bytewise key order, all as one snapshot shows them.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sql/key_value.h"
#include "sql/row_scan.h"
#include "worker/store_tables.h"

static void open_scan(RowScan *scan)
{
	ScanKeyData conditions[ROW_CONDITIONS_MAX]; /* a copy: the scan numbers their columns as the index does */

	memcpy(conditions, scan->query.conditions, sizeof(conditions));
	scan->scan = systable_beginscan_ordered(scan->table, scan->index, scan->snapshot,
											scan->query.n_conditions, conditions);
	scan->n_rows = 0;
}

RowScan *row_scan_begin(FunctionCallInfo fcinfo, RowQueryReader read_query)
{
	RowScan *scan = palloc0(sizeof(RowScan));
	int n_columns;

	scan->memory = CurrentMemoryContext;
	read_query(fcinfo, &scan->query);
	check_database();
	(void) client_wait_for_read(scan->query.level);
	scan->table = store_open_table("kv");
	scan->index = index_open(RelationGetReplicaIndex(scan->table), AccessShareLock);
	scan->snapshot = RegisterSnapshot(GetLatestSnapshot());
	open_scan(scan);
	n_columns = RelationGetDescr(scan->table)->natts;
	scan->columns = palloc(sizeof(Datum) * n_columns);
	scan->column_nulls = palloc(sizeof(bool) * n_columns);
	return scan;
}

bool row_scan_next(RowScan *scan, Datum *values, bool *nulls)
{
	MemoryContext caller;
	HeapTuple tuple;

	if (scan->query.limited && scan->n_rows >= scan->query.max_rows)
		return false;
	/* The index notes things for later as it steps. */
	caller = MemoryContextSwitchTo(scan->memory);
	tuple = systable_getnext_ordered(scan->scan, ForwardScanDirection);
	MemoryContextSwitchTo(caller);
	if (!HeapTupleIsValid(tuple))
		return false;
	scan->n_rows++;
	heap_deform_tuple(tuple, RelationGetDescr(scan->table), scan->columns, scan->column_nulls);
	for (int i = 0; i < KEY_VALUE_COLUMNS; i++)
	{
		values[i] = scan->columns[key_value_columns[i] - 1];
		nulls[i] = scan->column_nulls[key_value_columns[i] - 1];
	}
	return true;
}

void row_scan_restart(RowScan *scan)
{
	MemoryContext caller = MemoryContextSwitchTo(scan->memory);

	systable_endscan_ordered(scan->scan);
	open_scan(scan);
	MemoryContextSwitchTo(caller);
}

void row_scan_end(RowScan *scan)
{
	systable_endscan_ordered(scan->scan);
	UnregisterSnapshot(scan->snapshot);
	index_close(scan->index, AccessShareLock);
	table_close(scan->table, AccessShareLock);
}
