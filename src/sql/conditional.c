/*
 * conditional.c - the SQL functions that write one key under a condition: insert, update, cas, cas_revision.
 *
 * Apply decides, in log order, from the row as it is then; the verdict is the same on all nodes and is what the
 * caller gets.
 */
#include "postgres.h"

#include "fmgr.h"

#include "sql/arguments.h"

PG_FUNCTION_INFO_V1(paxos_insert);
PG_FUNCTION_INFO_V1(paxos_update);
PG_FUNCTION_INFO_V1(paxos_cas);
PG_FUNCTION_INFO_V1(paxos_cas_revision);

/* A put of the key, value, partition and request id, which follow each other from the value on. */
static struct operation put_of(FunctionCallInfo fcinfo, int value_position, TextArgument *request_id)
{
	struct operation operation = {.kind = OPERATION_PUT};
	TextArgument key = text_argument(fcinfo, 0, "key");
	TextArgument value = text_argument(fcinfo, value_position, "value");
	TextArgument partition = text_argument(fcinfo, value_position + 1, "partition");

	*request_id = request_id_argument(fcinfo, value_position + 2);
	check_key(partition, key);
	operation_set_partition(&operation, partition);
	operation_set_key(&operation, key);
	operation_set_value(&operation, value);
	return operation;
}

/* A put whose condition has no operand. */
static bool put_if(FunctionCallInfo fcinfo, const char *function, enum operation_precondition precondition)
{
	TextArgument request_id;
	struct operation operation;

	check_may_write(function);
	operation = put_of(fcinfo, 1, &request_id);
	operation.precondition = (uint8) precondition;
	return submit_operations(&operation, 1, request_id).succeeded;
}

Datum paxos_insert(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(put_if(fcinfo, "paxos_insert()", PRECONDITION_ABSENT));
}

Datum paxos_update(PG_FUNCTION_ARGS)
{
	PG_RETURN_BOOL(put_if(fcinfo, "paxos_update()", PRECONDITION_EXISTS));
}

/* Expected NULL: the key is absent. */
Datum paxos_cas(PG_FUNCTION_ARGS)
{
	TextArgument request_id;
	struct operation operation;

	check_may_write("paxos_cas()");
	operation = put_of(fcinfo, 2, &request_id);
	if (PG_ARGISNULL(1))
		operation.precondition = PRECONDITION_ABSENT;
	else
	{
		TextArgument expected = text_argument(fcinfo, 1, "expected");
		char *operand = palloc((Size) expected.length + 1);

		condition_set_value(&operation, COMPARE_EQUAL, expected.data, expected.length, operand);
	}
	PG_RETURN_BOOL(submit_operations(&operation, 1, request_id).succeeded);
}

/* Expected NULL or 0: the key is absent. */
Datum paxos_cas_revision(PG_FUNCTION_ARGS)
{
	char operand[PRECONDITION_NUMBER_BYTES];
	TextArgument request_id;
	struct operation operation;
	int64 expected;

	check_may_write("paxos_cas_revision()");
	operation = put_of(fcinfo, 2, &request_id);
	expected = PG_ARGISNULL(1) ? 0 : PG_GETARG_INT64(1);
	if (expected < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("parameter \"%s\" must not be negative", "expected"),
				 errhint("A revision is what paxos_put() returned; 0 or NULL says that the key is absent.")));
	condition_set_number(&operation, PRECONDITION_REVISION, COMPARE_EQUAL, (uint64) expected, operand);
	PG_RETURN_BOOL(submit_operations(&operation, 1, request_id).succeeded);
}
