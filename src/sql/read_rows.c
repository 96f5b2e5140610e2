/*
 * read_rows.c - the SQL functions that read many rows: get_many, range, prefix.
 *
 * They give a row a call, so in a SELECT list the walk is as far as the caller is: a cursor over a million rows holds
 * one.  In FROM the executor would collect all rows of any function first; row_plan.c sees to that.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/pg_collation.h"
#include "funcapi.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"

#include "sql/key_value.h"
#include "sql/row_scan.h"
#include "worker/store_tables.h"

PG_FUNCTION_INFO_V1(paxos_get_many);
PG_FUNCTION_INFO_V1(paxos_range);
PG_FUNCTION_INFO_V1(paxos_prefix);

/* ---------------------------------------------------------------- arguments */

/* A condition of the table's index: bytewise, whatever the database's collation. */
static void add_condition(RowQuery *query, AttrNumber column, StrategyNumber strategy, int flags,
						  RegProcedure compare, Datum argument)
{
	Assert(query->n_conditions < ROW_CONDITIONS_MAX);
	ScanKeyEntryInitialize(&query->conditions[query->n_conditions++], flags, column, strategy, InvalidOid,
						   C_COLLATION_OID, compare, argument);
}

static void add_partition(RowQuery *query, TextArgument partition)
{
	check_partition(partition);
	add_condition(query, KV_PARTITION, BTEqualStrategyNumber, 0, F_TEXTEQ, text_datum(partition));
}

/* Bounds may be longer than any key: the next page of one that ends with the longest key begins so. */
static void add_start(RowQuery *query, TextArgument start)
{
	add_condition(query, KV_KEY, BTGreaterEqualStrategyNumber, 0, F_TEXT_PATTERN_GE, text_datum(start));
}

static void add_end(RowQuery *query, TextArgument end)
{
	add_condition(query, KV_KEY, BTLessStrategyNumber, 0, F_TEXT_PATTERN_LT, text_datum(end));
}

static void set_limit(RowQuery *query, FunctionCallInfo fcinfo, int position)
{
	int64 max_rows;

	if (PG_ARGISNULL(position))
		return;
	max_rows = PG_GETARG_INT64(position);
	if (max_rows < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("max_rows must not be negative"),
						errhint("Pass NULL for no limit.")));
	query->limited = true;
	query->max_rows = (uint64) max_rows;
}

/* The walk sorts the keys, and takes each once. */
static void read_get_many(FunctionCallInfo fcinfo, RowQuery *query)
{
	int n;
	TextArgument *keys = text_array_argument(fcinfo, 0, "keys", &n);
	TextArgument partition = text_argument(fcinfo, 1, "partition");

	query->level = consistency_argument(fcinfo, 2);
	add_partition(query, partition);
	for (int i = 0; i < n; i++)
		check_key(partition, keys[i]);
	pfree(keys);
	add_condition(query, KV_KEY, BTEqualStrategyNumber, SK_SEARCHARRAY, F_TEXTEQ,
				  PointerGetDatum(PG_GETARG_ARRAYTYPE_P_COPY(0)));
}

static void read_range(FunctionCallInfo fcinfo, RowQuery *query)
{
	set_limit(query, fcinfo, 2);
	add_partition(query, text_argument(fcinfo, 3, "partition"));
	query->level = consistency_argument(fcinfo, 4);
	if (!PG_ARGISNULL(0))
		add_start(query, text_argument(fcinfo, 0, "start_key"));
	if (!PG_ARGISNULL(1))
		add_end(query, text_argument(fcinfo, 1, "end_key"));
}

/* UTF8 has no byte 0xFF, so all keys that begin with the prefix, and no others, lie between these bounds. */
static void read_prefix(FunctionCallInfo fcinfo, RowQuery *query)
{
	TextArgument prefix = text_argument(fcinfo, 0, "prefix");
	TextArgument end;
	char *bytes;

	set_limit(query, fcinfo, 1);
	add_partition(query, text_argument(fcinfo, 2, "partition"));
	query->level = consistency_argument(fcinfo, 3);
	end.length = prefix.length + 1;
	bytes = palloc(end.length);
	memcpy(bytes, prefix.data, prefix.length);
	bytes[prefix.length] = (char) 0xFF;
	end.data = bytes;
	add_start(query, prefix);
	add_end(query, end);
	pfree(bytes);
}

const RowFunction row_functions[ROW_FUNCTIONS] = {
	{"paxos_get_many", paxos_get_many, read_get_many},
	{"paxos_range", paxos_range, read_range},
	{"paxos_prefix", paxos_prefix, read_prefix},
};

/* ---------------------------------------------------------------- rows */

/* A walk that gives a row a call. */
typedef struct RowCursor
{
	RowScan *scan;
	Datum *values; /* of the width that the type has now: columns that somebody added to it are null */
	bool *nulls;
} RowCursor;

/* When the executor wants no more rows, or wants them from the start.  Not called after an error. */
static void end_early(Datum argument)
{
	row_scan_end((RowScan *) DatumGetPointer(argument));
}

static ExprContext *caller_context(FunctionCallInfo fcinfo)
{
	return ((ReturnSetInfo *) fcinfo->resultinfo)->econtext;
}

static void open_cursor(FunctionCallInfo fcinfo, FuncCallContext *call, RowQueryReader read_query)
{
	MemoryContext caller = MemoryContextSwitchTo(call->multi_call_memory_ctx);
	RowCursor *cursor = palloc(sizeof(RowCursor));

	if (get_call_result_type(fcinfo, NULL, &call->tuple_desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	check_key_value(call->tuple_desc);
	call->tuple_desc = BlessTupleDesc(call->tuple_desc);
	cursor->values = palloc0(call->tuple_desc->natts * sizeof(Datum));
	cursor->nulls = palloc(call->tuple_desc->natts * sizeof(bool));
	memset(cursor->nulls, true, call->tuple_desc->natts * sizeof(bool));
	cursor->scan = row_scan_begin(fcinfo, read_query);
	call->user_fctx = cursor;
	MemoryContextSwitchTo(caller);
	RegisterExprContextCallback(caller_context(fcinfo), end_early, PointerGetDatum(cursor->scan));
}

static Datum next_row(FunctionCallInfo fcinfo, RowQueryReader read_query)
{
	FuncCallContext *call;
	RowCursor *cursor;

	if (SRF_IS_FIRSTCALL())
	{
		call = SRF_FIRSTCALL_INIT();
		open_cursor(fcinfo, call, read_query);
	}
	call = SRF_PERCALL_SETUP();
	cursor = call->user_fctx;
	if (!row_scan_next(cursor->scan, cursor->values, cursor->nulls))
	{
		UnregisterExprContextCallback(caller_context(fcinfo), end_early, PointerGetDatum(cursor->scan));
		row_scan_end(cursor->scan);
		SRF_RETURN_DONE(call);
	}
	SRF_RETURN_NEXT(call,
					HeapTupleGetDatum(heap_form_tuple(call->tuple_desc, cursor->values, cursor->nulls)));
}

Datum paxos_get_many(PG_FUNCTION_ARGS)
{
	return next_row(fcinfo, read_get_many);
}

Datum paxos_range(PG_FUNCTION_ARGS)
{
	return next_row(fcinfo, read_range);
}

Datum paxos_prefix(PG_FUNCTION_ARGS)
{
	return next_row(fcinfo, read_prefix);
}
