/*
 * outcome.c - paxos_outcome(): what became of a command whose answer was lost, and giving it up for good.
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/builtins.h"

#include "sql/arguments.h"

PG_FUNCTION_INFO_V1(paxos_outcome);

static const char *const outcome_names[] = {
	[CLIENT_APPLIED] = "applied", [CLIENT_NOT_APPLIED] = "not applied", [CLIENT_UNKNOWN] = "unknown"};

/* O4: after it the command of that number or id takes effect no more, unless it has. */
static void give_up(TextArgument id)
{
	struct fence fence = {0};

	if (!parse_command_name(id.data, id.length, &fence.session, &fence.number))
	{
		fence.request_id = id.data;
		fence.request_id_length = id.length;
	}
	client_give_up(&fence);
}

Datum paxos_outcome(PG_FUNCTION_ARGS)
{
	TextArgument id = text_argument(fcinfo, 0, "request_id");
	TupleDesc descriptor;
	ClientOutcome outcome;
	uint64 revision;
	Datum values[2];
	bool nulls[2] = {false, false};

	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("parameter \"%s\" must not be null", "give_up")));
	if (id.length == 0 || id.length > COMMAND_REQUEST_ID_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("request id must have 1 to %d bytes", COMMAND_REQUEST_ID_MAX)));
	if (get_call_result_type(fcinfo, NULL, &descriptor) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "paxos_outcome() does not return a row");
	check_database();
	if (PG_GETARG_BOOL(1))
	{
		check_may_write("paxos_outcome()");
		give_up(id);
	}
	client_wait_for_read(READ_LINEARIZABLE);
	outcome = client_outcome(id.data, id.length, &revision);
	values[0] = CStringGetTextDatum(outcome_names[outcome]);
	values[1] = Int64GetDatum((int64) revision);
	nulls[1] = revision == 0;
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(descriptor), values, nulls)));
}
