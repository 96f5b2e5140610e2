/*
 * arguments.c - argument checks shared by the SQL functions.
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/dbcommands.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "pg_compat.h"
#include "sql/arguments.h"
#include "worker/settings.h"

/* A session's database never changes its name (it would have to leave it first), so one look is enough. */
void check_database(void)
{
	static bool checked = false;
	char *current;

	if (checked || !client_preloaded())
		return; /* not preloaded: client.h's functions say so */
	current = get_database_name(MyDatabaseId);
	if (current == NULL || strcmp(current, paxoskv_database) != 0)
		ereport(ERROR, (errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
						errmsg("paxoskv does not work in database \"%s\"", current ? current : "?"),
						errdetail("The replicated table is in database \"%s\" (paxoskv.database).",
								  paxoskv_database),
						errhint("Connect to database \"%s\".", paxoskv_database)));
	pfree(current);
	checked = true;
}

void check_may_write(const char *function_name)
{
	PreventCommandIfReadOnly(function_name);
	PreventCommandIfParallelMode(function_name);
	PreventCommandDuringRecovery(function_name);
	check_database();
}

TextArgument text_of_datum(Datum datum)
{
	struct varlena *value = PG_DETOAST_DATUM_PACKED(datum);
	TextArgument text;

	text.data = VARDATA_ANY(value);
	text.length = VARSIZE_ANY_EXHDR(value);
	return text;
}

Datum text_datum(TextArgument text)
{
	return PointerGetDatum(cstring_to_text_with_len(text.data, (int) text.length));
}

TextArgument text_argument(FunctionCallInfo fcinfo, int position, const char *name)
{
	if (PG_ARGISNULL(position))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("parameter \"%s\" must not be null", name),
				 strcmp(name, "value") == 0 ? errhint("paxos_delete() removes a key.") : 0));
	return text_of_datum(PG_GETARG_DATUM(position));
}

TextArgument *text_array_argument(FunctionCallInfo fcinfo, int position, const char *name, int *n)
{
	ArrayType *array;
	Datum *elements;
	bool *nulls;
	TextArgument *texts;

	if (PG_ARGISNULL(position))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED), errmsg("parameter \"%s\" must not be null", name)));
	array = PG_GETARG_ARRAYTYPE_P(position);
	if (ARR_NDIM(array) > 1)
		ereport(ERROR, (errcode(ERRCODE_ARRAY_SUBSCRIPT_ERROR),
						errmsg("parameter \"%s\" must be a one-dimensional array", name),
						errdetail("It has %d dimensions.", ARR_NDIM(array)),
						errhint("Write one as ARRAY['a', 'b'] or '{a,b}'.")));
	deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, n);
	texts = palloc(sizeof(TextArgument) * Max(*n, 1));
	for (int i = 0; i < *n; i++)
	{
		if (nulls[i])
			ereport(
				ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("parameter \"%s\" must not contain nulls", name),
				 errdetail("Element %d is null.", i + 1),
				 errhint(
					 "array_agg(...) FILTER (WHERE ... IS NOT NULL) and array_remove() leave nulls out.")));
		texts[i] = text_of_datum(elements[i]);
	}
	return texts;
}

TextArgument request_id_argument(FunctionCallInfo fcinfo, int position)
{
	TextArgument id = {"", 0};
	uint64 session;
	uint64 number;

	if (PG_ARGISNULL(position))
		return id;
	id = text_of_datum(PG_GETARG_DATUM(position));
	if (id.length == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("request id must not be empty"),
						errhint("Leave \"request_id\" out or pass NULL for none.")));
	if (id.length > COMMAND_REQUEST_ID_MAX)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("request id is too long"),
						errdetail("It has %u bytes, and may have %d.", id.length, COMMAND_REQUEST_ID_MAX),
						errhint("A UUID is long enough.")));
	if (parse_command_name(id.data, id.length, &session, &number))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("request id \"%.*s\" has the form of a command's name", (int) id.length, id.data),
				 errhint("Names of the form s<session>-<number> are given by the cluster; choose another "
						 "one, such as a UUID.")));
	return id;
}

ClientResult submit_operations(const struct operation *operations, uint32 n_operations,
							   TextArgument request_id)
{
	return client_submit(operations, n_operations, request_id.data, request_id.length);
}

void check_partition(TextArgument partition)
{
	if (partition.length == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("partition must not be empty"),
						errhint("The partition that is used where none is given is 'default'.")));
	if (partition.length >= COMMAND_KEY_BYTES_MAX)
		ereport(
			ERROR,
			(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("partition is too long"),
			 errdetail("It has %u bytes; partition and key together may have %d, and a key has at least one.",
					   partition.length, COMMAND_KEY_BYTES_MAX)));
}

void check_key(TextArgument partition, TextArgument key)
{
	check_partition(partition);
	if (key.length == 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("key must not be empty")));
	if ((uint64) partition.length + key.length > COMMAND_KEY_BYTES_MAX)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("key is too long"),
						errdetail("Partition (%u bytes) and key (%u bytes) together may have %d bytes.",
								  partition.length, key.length, COMMAND_KEY_BYTES_MAX),
						errhint("Put what is long into the value, or use a digest of it as the key.")));
}

void operation_set_partition(struct operation *operation, TextArgument partition)
{
	operation->partition = partition.data;
	operation->partition_length = (uint16_t) partition.length;
}

void operation_set_key(struct operation *operation, TextArgument key)
{
	operation->key = key.data;
	operation->key_length = key.length;
}

void operation_set_value(struct operation *operation, TextArgument value)
{
	operation->value_kind = VALUE_TEXT;
	operation->value = value.data;
	operation->value_length = value.length;
}

ReadLevel consistency_argument(FunctionCallInfo fcinfo, int position)
{
	const char *level;

	if (PG_ARGISNULL(position))
		return (ReadLevel) paxoskv_read_consistency;
	level = text_to_cstring(PG_GETARG_TEXT_PP(position));
	if (strcmp(level, "linearizable") == 0)
		return READ_LINEARIZABLE;
	if (strcmp(level, "leader") == 0)
		return READ_LEADER;
	if (strcmp(level, "local") == 0)
		return READ_LOCAL;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid consistency level: \"%s\"", level),
			 errhint("Use 'linearizable', 'leader' or 'local', or NULL for the setting "
					 "paxoskv.read_consistency.")));
}
