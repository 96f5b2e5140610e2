/*
 * stat_log.c - view paxoskv.stat_log: what this node's log holds, and when it was last read through.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"

#include "sql/arguments.h"
#include "sql/show.h"

PG_FUNCTION_INFO_V1(paxoskv_read_stat_log);

#define STAT_LOG_COLUMNS 5

Datum paxoskv_read_stat_log(PG_FUNCTION_ARGS)
{
	ClientStatus *status = palloc(sizeof(ClientStatus));
	TupleDesc descriptor;
	Datum values[STAT_LOG_COLUMNS];
	bool nulls[STAT_LOG_COLUMNS];
	RowBuilder row = {values, nulls, 0};

	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	client_status(status);
	row_add_int64(&row, status->first_slot);
	row_add_int64(&row, status->last_slot);
	row_add_int64(&row, status->log_bytes);
	row_add_int64_or_null(&row, status->scrub_slot);
	if (status->scrubbed_at != 0)
		row_add_int64(&row, (uint64) status->scrubbed_at); /* a timestamptz is an int64 */
	else
		row_add_null(&row);
	Assert(row.n == STAT_LOG_COLUMNS);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
