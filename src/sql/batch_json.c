/*
 * batch_json.c - paxos_batch_json(): the members of a JSON object put in one command.
 *
 * A member that is a string is stored as its text, any other as its JSON: of jsonb as jsonb prints it, of json and
 * text as it is written there; null is refused.  PostgreSQL's own json_each_text() and jsonb_each_text() take the
 * object apart.
 */
#include "postgres.h"

#include "executor/executor.h"
#include "fmgr.h"
#include "funcapi.h"
#include "mb/pg_wchar.h"
#include "nodes/execnodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/fmgrprotos.h"
#include "utils/tuplestore.h"

#include "sql/arguments.h"
#include "sql/batch.h"

PG_FUNCTION_INFO_V1(paxos_batch_json_jsonb);
PG_FUNCTION_INFO_V1(paxos_batch_json_json);
PG_FUNCTION_INFO_V1(paxos_batch_json_text);

/* Keys and values in the object's order, n of each; a key may be there more than once. */
typedef struct Pairs
{
	TextArgument *keys;
	TextArgument *values;
	int n;
	int capacity;
} Pairs;

static TextArgument copy_text(Datum datum)
{
	return text_of_datum(PointerGetDatum(DatumGetTextPCopy(datum)));
}

static void *grow(void *array, int capacity)
{
	return repalloc_huge(array, sizeof(TextArgument) * (Size) capacity);
}

/* JSON's null has no text of its own, and may mean absence as well as the word. */
static void refuse_null(TextArgument key)
{
	ereport(ERROR,
			(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
			 errmsg("parameter \"%s\" must not contain nulls", "pairs"),
			 errdetail("The value of key \"%.*s\" is null.", pg_mbcliplen(key.data, (int) key.length, 64),
					   key.data),
			 errhint("Leave the key out, as jsonb_strip_nulls() does, or write the string \"null\".")));
}

static void add_pair(Pairs *pairs, Datum key, Datum value, bool value_is_null)
{
	if (pairs->n == pairs->capacity)
	{
		pairs->capacity *= 2;
		pairs->keys = grow(pairs->keys, pairs->capacity);
		pairs->values = grow(pairs->values, pairs->capacity);
	}
	pairs->keys[pairs->n] = copy_text(key);
	if (value_is_null)
		refuse_null(pairs->keys[pairs->n]);
	pairs->values[pairs->n] = copy_text(value);
	pairs->n++;
}

/* Calls a set-returning function of one argument as FROM does. */
static void call_for_rows(Oid function, Datum argument, ReturnSetInfo *result)
{
	LOCAL_FCINFO(call, 1);
	FmgrInfo info;

	fmgr_info(function, &info);
	InitFunctionCallInfoData(*call, &info, 1, InvalidOid, NULL, (Node *) result);
	call->args[0].value = argument;
	call->args[0].isnull = false;
	memset(result, 0, sizeof(*result));
	result->type = T_ReturnSetInfo;
	result->econtext = CreateStandaloneExprContext();
	result->allowedModes = SFRM_Materialize;
	result->returnMode = SFRM_ValuePerCall;
	(void) FunctionCallInvoke(call);
	if (result->returnMode != SFRM_Materialize || result->setResult == NULL)
		elog(ERROR, "function %u gave no rows", function);
}

static Pairs take_apart(Oid each_text, Datum object)
{
	Pairs pairs = {.capacity = 64};
	ReturnSetInfo result;
	TupleTableSlot *slot;

	pairs.keys = palloc(sizeof(TextArgument) * pairs.capacity);
	pairs.values = palloc(sizeof(TextArgument) * pairs.capacity);
	call_for_rows(each_text, object, &result);
	slot = MakeSingleTupleTableSlot(result.setDesc, &TTSOpsMinimalTuple);
	while (tuplestore_gettupleslot(result.setResult, true, false, slot))
	{
		slot_getallattrs(slot);
		add_pair(&pairs, slot->tts_values[0], slot->tts_values[1], slot->tts_isnull[1]);
	}
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(result.setResult);
	FreeExprContext(result.econtext, true);
	return pairs;
}

static void check_object(PGFunction type_of, Datum json)
{
	char *type = TextDatumGetCString(DirectFunctionCall1(type_of, json));

	if (strcmp(type, "object") != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("parameter \"%s\" must be a JSON object", "pairs"),
						errdetail("At \"%s\" there is a value of type %s.", "pairs", type),
						errhint("Its keys are the keys to write, its values their values.")));
}

/* NULL for an empty object: nothing is written, so there is no revision. */
static Datum batch_json(FunctionCallInfo fcinfo, PGFunction to_json, PGFunction type_of, Oid each_text)
{
	TextArgument partition;
	TextArgument request_id;
	Datum json;
	Pairs pairs;

	check_may_write("paxos_batch_json()");
	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("parameter \"%s\" must not be null", "pairs")));
	partition = text_argument(fcinfo, 1, "partition");
	request_id = request_id_argument(fcinfo, 2);
	check_partition(partition);
	json = PG_GETARG_DATUM(0);
	if (to_json != NULL)
		json = DirectFunctionCall1(to_json, CStringGetDatum(TextDatumGetCString(json)));
	check_object(type_of, json);
	pairs = take_apart(each_text, json);
	if (pairs.n == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) submit_batch(partition, pairs.keys, pairs.values, pairs.n, request_id));
}

Datum paxos_batch_json_jsonb(PG_FUNCTION_ARGS)
{
	return batch_json(fcinfo, NULL, jsonb_typeof, F_JSONB_EACH_TEXT);
}

Datum paxos_batch_json_json(PG_FUNCTION_ARGS)
{
	return batch_json(fcinfo, NULL, json_typeof, F_JSON_EACH_TEXT);
}

Datum paxos_batch_json_text(PG_FUNCTION_ARGS)
{
	return batch_json(fcinfo, json_in, json_typeof, F_JSON_EACH_TEXT);
}
