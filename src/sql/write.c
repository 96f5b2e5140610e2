/*
 * write.c - the SQL functions that change the store: put, delete, clear, clear_all, batch.
 *
 * Each makes one command, and takes effect when it returns, whatever becomes of the transaction around it.
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "common/hashfn.h"
#include "fmgr.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"

#include "pg_compat.h"
#include "sql/arguments.h"
#include "sql/batch.h"

PG_FUNCTION_INFO_V1(paxos_put);
PG_FUNCTION_INFO_V1(paxos_put_any);
PG_FUNCTION_INFO_V1(paxos_delete);
PG_FUNCTION_INFO_V1(paxos_clear);
PG_FUNCTION_INFO_V1(paxos_clear_all);
PG_FUNCTION_INFO_V1(paxos_batch);

static uint64 put(TextArgument partition, TextArgument key, TextArgument value, TextArgument request_id)
{
	struct operation operation = {.kind = OPERATION_PUT};

	check_key(partition, key);
	operation_set_partition(&operation, partition);
	operation_set_key(&operation, key);
	operation_set_value(&operation, value);
	return submit_operations(&operation, 1, request_id).revision;
}

/* ---------------------------------------------------------------- one key */

Datum paxos_put(PG_FUNCTION_ARGS)
{
	TextArgument key;
	TextArgument value;
	TextArgument partition;
	TextArgument request_id;

	check_may_write("paxos_put()");
	key = text_argument(fcinfo, 0, "key");
	value = text_argument(fcinfo, 1, "value");
	partition = text_argument(fcinfo, 2, "partition");
	request_id = request_id_argument(fcinfo, 3);
	PG_RETURN_INT64((int64) put(partition, key, value, request_id));
}

/* Types whose text depends on no setting. */
static bool has_constant_text(Oid type)
{
	switch (type)
	{
		case BOOLOID:
		case INT2OID:
		case INT4OID:
		case INT8OID:
		case NUMERICOID:
		case UUIDOID:
		case JSONOID:
		case JSONBOID:
		case TEXTOID:
		case VARCHAROID:
		case BPCHAROID:
			return true;
		default:
			return false;
	}
}

static void set_for_conversion(const char *name, const char *value)
{
	(void) set_config_option(name, value, PGC_USERSET, PGC_S_SESSION, GUC_ACTION_SAVE, true, 0, false);
}

/*
 * A value's text by its type's output function, the same whatever the session's settings are: a key's value
 * must not depend on who wrote it.  palloc'd.
 */
static TextArgument text_of_any(Datum datum, Oid type)
{
	TextArgument text;
	Oid output;
	bool is_varlena;
	char *string;
	int nest_level = 0;

	getTypeOutputInfo(type, &output, &is_varlena);
	if (!has_constant_text(type))
	{
		nest_level = NewGUCNestLevel();
		set_for_conversion("datestyle", "ISO, YMD");
		set_for_conversion("intervalstyle", "postgres");
		set_for_conversion("timezone", "UTC");
		set_for_conversion("extra_float_digits", "1");
		set_for_conversion("bytea_output", "hex");
		set_for_conversion("lc_monetary", "C");
		set_for_conversion("search_path", "pg_catalog"); /* regclass and the like */
	}
	string = OidOutputFunctionCall(output, datum);
	if (nest_level > 0)
		AtEOXact_GUC(true, nest_level);
	text.data = string;
	text.length = strlen(string);
	return text;
}

Datum paxos_put_any(PG_FUNCTION_ARGS)
{
	TextArgument key;
	TextArgument value;
	TextArgument partition;
	TextArgument request_id;
	Oid type = get_fn_expr_argtype(fcinfo->flinfo, 1);

	check_may_write("paxos_put()");
	key = text_argument(fcinfo, 0, "key");
	if (PG_ARGISNULL(1))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("parameter \"%s\" must not be null", "value"),
						errhint("paxos_delete() removes a key.")));
	if (!OidIsValid(type))
		ereport(ERROR, (errcode(ERRCODE_INDETERMINATE_DATATYPE),
						errmsg("could not determine the type of parameter \"%s\"", "value"),
						errhint("Cast it to text.")));
	partition = text_argument(fcinfo, 2, "partition");
	request_id = request_id_argument(fcinfo, 3);
	value = text_of_any(PG_GETARG_DATUM(1), type);
	PG_RETURN_INT64((int64) put(partition, key, value, request_id));
}

Datum paxos_delete(PG_FUNCTION_ARGS)
{
	struct operation operation = {.kind = OPERATION_DELETE};
	TextArgument key;
	TextArgument partition;
	TextArgument request_id;

	check_may_write("paxos_delete()");
	key = text_argument(fcinfo, 0, "key");
	partition = text_argument(fcinfo, 1, "partition");
	request_id = request_id_argument(fcinfo, 2);
	check_key(partition, key);
	operation_set_partition(&operation, partition);
	operation_set_key(&operation, key);
	PG_RETURN_BOOL(submit_operations(&operation, 1, request_id).rows_removed > 0);
}

/* ---------------------------------------------------------------- many keys */

Datum paxos_clear(PG_FUNCTION_ARGS)
{
	struct operation operation = {.kind = OPERATION_CLEAR};
	TextArgument partition;
	TextArgument request_id;

	check_may_write("paxos_clear()");
	partition = text_argument(fcinfo, 0, "partition");
	request_id = request_id_argument(fcinfo, 1);
	check_partition(partition);
	operation_set_partition(&operation, partition);
	PG_RETURN_INT64(submit_operations(&operation, 1, request_id).rows_removed);
}

/* The cluster's name is asked for so that nobody empties a store that he took for another. */
Datum paxos_clear_all(PG_FUNCTION_ARGS)
{
	struct operation operation = {.kind = OPERATION_CLEAR_ALL};
	TextArgument name;
	TextArgument request_id;
	ClientStatus *status = palloc(sizeof(ClientStatus));

	check_may_write("paxos_clear_all()");
	name = text_argument(fcinfo, 0, "cluster_name");
	request_id = request_id_argument(fcinfo, 1);
	client_status(status);
	if (name.length != strlen(status->cluster_name) ||
		memcmp(name.data, status->cluster_name, name.length) != 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("this cluster is not named \"%.*s\"",
							   pg_mbcliplen(name.data, (int) name.length, 64), name.data),
						errhint("Its name is \"%s\" (paxoskv.cluster_name).", status->cluster_name)));
	operation_set_key(&operation, name);
	PG_RETURN_INT64(submit_operations(&operation, 1, request_id).rows_removed);
}

/* Where a key of a batch stands among its operations. */
typedef struct BatchKey
{
	TextArgument key;
	uint32 operation;
} BatchKey;

static uint32 hash_batch_key(const void *key, Size size)
{
	const TextArgument *text = key;

	return hash_bytes((const unsigned char *) text->data, (int) text->length);
}

static int match_batch_keys(const void *a, const void *b, Size size)
{
	const TextArgument *x = a;
	const TextArgument *y = b;

	return x->length == y->length ? memcmp(x->data, y->data, x->length) : 1;
}

/* One put a key, the last value of each; gives their number. */
static uint32 fill_batch(struct operation *operations, TextArgument partition, const TextArgument *keys,
						 const TextArgument *values, int n)
{
	HASHCTL control = {.keysize = sizeof(TextArgument),
					   .entrysize = sizeof(BatchKey),
					   .hash = hash_batch_key,
					   .match = match_batch_keys,
					   .hcxt = CurrentMemoryContext};
	HTAB *seen =
		hash_create("keys of a batch", n, &control, HASH_ELEM | HASH_FUNCTION | HASH_COMPARE | HASH_CONTEXT);
	uint32 n_operations = 0;

	for (int i = 0; i < n; i++)
	{
		bool found;
		BatchKey *entry;

		check_key(partition, keys[i]);
		entry = hash_search(seen, &keys[i], HASH_ENTER, &found);
		if (!found)
		{
			entry->operation = n_operations++;
			operations[entry->operation].kind = OPERATION_PUT;
			operation_set_partition(&operations[entry->operation], partition);
			operation_set_key(&operations[entry->operation], keys[i]);
		}
		operation_set_value(&operations[entry->operation], values[i]);
	}
	hash_destroy(seen);
	return n_operations;
}

uint64 submit_batch(TextArgument partition, const TextArgument *keys, const TextArgument *values, int n,
					TextArgument request_id)
{
	struct operation *operations = MemoryContextAllocExtended(
		CurrentMemoryContext, sizeof(struct operation) * (Size) n, MCXT_ALLOC_ZERO | MCXT_ALLOC_HUGE);
	uint32 n_operations = fill_batch(operations, partition, keys, values, n);

	if (n_operations > COMMAND_OPERATIONS_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("too many keys in one batch"),
						errdetail("It has %u; the limit is %d.", n_operations, COMMAND_OPERATIONS_MAX),
						errhint("Split the batch; each part is then all or nothing by itself.")));
	return submit_operations(operations, n_operations, request_id).revision;
}

/* NULL for an empty batch: nothing is written, so there is no revision. */
Datum paxos_batch(PG_FUNCTION_ARGS)
{
	TextArgument *keys;
	TextArgument *values;
	TextArgument partition;
	TextArgument request_id;
	int n_keys;
	int n_values;

	check_may_write("paxos_batch()");
	keys = text_array_argument(fcinfo, 0, "keys", &n_keys);
	values = text_array_argument(fcinfo, 1, "vals", &n_values);
	partition = text_argument(fcinfo, 2, "partition");
	request_id = request_id_argument(fcinfo, 3);
	if (n_keys != n_values)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("parameters \"%s\" and \"%s\" must have the same length", "keys", "vals"),
						errdetail("They have %d and %d elements.", n_keys, n_values)));
	check_partition(partition);
	if (n_keys == 0)
		PG_RETURN_NULL();
	PG_RETURN_INT64((int64) submit_batch(partition, keys, values, n_keys, request_id));
}
