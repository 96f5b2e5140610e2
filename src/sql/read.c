/*
 * read.c - the SQL functions that read one key, get and get_row, and those that wait for plain queries' sake, sync and
 * wait.
 *
 * A read first waits until this node has applied what its level must see (R1 to R3), then looks the key up
 * in this node's table with a snapshot taken after that wait, whatever snapshot the caller's query has.
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_collation.h"
#include "fmgr.h"
#include "funcapi.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "sql/arguments.h"
#include "sql/key_value.h"
#include "worker/store_tables.h"

PG_FUNCTION_INFO_V1(paxos_get);
PG_FUNCTION_INFO_V1(paxos_get_row);
PG_FUNCTION_INFO_V1(paxos_sync);
PG_FUNCTION_INFO_V1(paxos_wait);

/* Bytewise equality whatever the column's collation: the index's operator class compares so too. */
static void set_key_equal(ScanKey scan_key, AttrNumber column, TextArgument text)
{
	ScanKeyEntryInitialize(scan_key, 0, column, BTEqualStrategyNumber, InvalidOid, C_COLLATION_OID, F_TEXTEQ,
						   text_datum(text));
}

/*
 * Finds a key's row in the table as it is now.  columns: which of paxoskv.kv; values and nulls get copies
 * that outlive the snapshot, detoasted.  False: no such key.
 */
static bool find_row(TextArgument partition, TextArgument key, const AttrNumber *columns, int n_columns,
					 Datum *values, bool *nulls)
{
	Relation table = store_open_table("kv");
	TupleDesc descriptor = RelationGetDescr(table);
	ScanKeyData scan_keys[2];
	SysScanDesc scan;
	HeapTuple tuple;

	set_key_equal(&scan_keys[0], KV_PARTITION, partition);
	set_key_equal(&scan_keys[1], KV_KEY, key);
	PushActiveSnapshot(GetLatestSnapshot());
	scan = systable_beginscan(table, RelationGetReplicaIndex(table), true, GetActiveSnapshot(), 2, scan_keys);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
	{
		for (int i = 0; i < n_columns; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(descriptor, columns[i] - 1);

			values[i] = heap_getattr(tuple, columns[i], descriptor, &nulls[i]);
			if (nulls[i])
				continue;
			if (attribute->attlen == -1)
				values[i] = PointerGetDatum(PG_DETOAST_DATUM_COPY(values[i]));
			else
				values[i] = datumCopy(values[i], attribute->attbyval, attribute->attlen);
		}
	}
	systable_endscan(scan);
	PopActiveSnapshot();
	table_close(table, AccessShareLock);
	return HeapTupleIsValid(tuple);
}

Datum paxos_get(PG_FUNCTION_ARGS)
{
	static const AttrNumber columns[] = {KV_VALUE};
	TextArgument key = text_argument(fcinfo, 0, "key");
	TextArgument partition = text_argument(fcinfo, 1, "partition");
	ReadLevel level = consistency_argument(fcinfo, 2);
	Datum value;
	bool is_null;

	check_key(partition, key);
	check_database();
	client_wait_for_read(level);
	if (!find_row(partition, key, columns, lengthof(columns), &value, &is_null) || is_null)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(value);
}

Datum paxos_get_row(PG_FUNCTION_ARGS)
{
	TextArgument key = text_argument(fcinfo, 0, "key");
	TextArgument partition = text_argument(fcinfo, 1, "partition");
	ReadLevel level = consistency_argument(fcinfo, 2);
	ReturnSetInfo *result;
	Datum *values;
	bool *nulls;

	check_key(partition, key);
	check_database();
	InitMaterializedSRF(fcinfo, 0);
	result = (ReturnSetInfo *) fcinfo->resultinfo;
	check_key_value(result->setDesc);
	values = palloc0(result->setDesc->natts * sizeof(Datum));
	nulls = palloc(result->setDesc->natts * sizeof(bool));
	memset(nulls, true, result->setDesc->natts * sizeof(bool));
	client_wait_for_read(level);
	if (find_row(partition, key, key_value_columns, KEY_VALUE_COLUMNS, values, nulls))
		tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
	PG_RETURN_NULL();
}

/* A later plain SELECT must take its snapshot after the call, which REPEATABLE READ and SERIALIZABLE don't. */
static void check_new_snapshots(const char *function_name)
{
	if (IsolationUsesXactSnapshot())
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run in a REPEATABLE READ or SERIALIZABLE transaction", function_name),
				 errdetail("Its queries all see the snapshot that this call itself fixes, which is too old."),
				 errhint("Call %s before BEGIN, under READ COMMITTED.", function_name)));
}

/* The slot reached. */
Datum paxos_sync(PG_FUNCTION_ARGS)
{
	ReadLevel level = consistency_argument(fcinfo, 0);

	check_database();
	check_new_snapshots("paxos_sync()");
	PG_RETURN_INT64((int64) client_wait_for_read(level));
}

/* The slot reached. */
Datum paxos_wait(PG_FUNCTION_ARGS)
{
	int64 revision;

	if (PG_ARGISNULL(0))
		ereport(ERROR, (errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
						errmsg("parameter \"%s\" must not be null", "revision")));
	revision = PG_GETARG_INT64(0);
	if (revision < 0)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("revision must not be negative"),
						errhint("Pass what a write returned, or revision from paxos_get_row().")));
	check_database();
	check_new_snapshots("paxos_wait()");
	PG_RETURN_INT64((int64) client_wait_for_applied((uint64) revision));
}
